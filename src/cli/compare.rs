//! How far outputs are from what was expected.

use zkiln_compiler::tensors::OutTensor;

/// Distance of all outputs of a model; the worst of them counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Greatest absolute difference.
    pub max_abs: f64,
    /// Greatest absolute difference, divided by the range of the expected output it is in.
    pub max_rel: f64,
    /// Elements of integer and boolean outputs that are not equal, which no tolerance allows.
    pub unequal: usize,
    /// Share of rows (along the last axis) whose greatest element is at the same index; `None` when rows have one element.
    pub argmax_agreement: Option<f64>,
}

impl Comparison {
    /// The worse of both.
    pub fn and(self, other: Self) -> Self {
        let agreement = self
            .argmax_agreement
            .into_iter()
            .chain(other.argmax_agreement);
        Self {
            max_abs: self.max_abs.max(other.max_abs),
            max_rel: self.max_rel.max(other.max_rel),
            unequal: self.unequal + other.unequal,
            argmax_agreement: agreement.reduce(f64::min),
        }
    }

    /// That nothing is further off than `tolerance`, relative to its range; what is, in words.
    pub fn within(&self, tolerance: f64) -> Result<(), String> {
        match (self.unequal, self.max_rel) {
            (0, error) if error <= tolerance => Ok(()),
            (0, error) => Err(format!(
                "the greatest error is {error:.4} of the output's range, more than {tolerance}"
            )),
            (count, _) => Err(format!("{count} integers of the outputs are not equal")),
        }
    }
}

/// Compares outputs with expected elements, tensor by tensor. Integers must be the same ones, and so must be elements that are not finite.
pub fn compare(outputs: &[OutTensor], expected: &[Vec<f64>]) -> Comparison {
    let mut worst = Comparison::default();
    for (output, expected) in outputs.iter().zip(expected) {
        let got = &output.data.elements;
        if output.dtype.is_integer() {
            let pairs = got.iter().zip(expected);
            worst.unequal += pairs.filter(|(got, expected)| got != expected).count();
        }
        let range = range(expected);
        let difference = got
            .iter()
            .zip(expected)
            .map(|(&g, &e)| difference(g, e))
            .fold(0.0, f64::max);
        worst.max_abs = worst.max_abs.max(difference);
        worst.max_rel = worst.max_rel.max(difference / range);
        let row = output.shape.last().copied().unwrap_or(1);
        if row > 1 {
            let agreement = argmax_agreement(got, expected, row, 1e-6 * range);
            let least = worst.argmax_agreement.unwrap_or(1.0);
            worst.argmax_agreement = Some(least.min(agreement));
        }
    }
    worst
}

fn difference(got: f64, expected: f64) -> f64 {
    match got == expected || (got.is_nan() && expected.is_nan()) {
        true => 0.0,
        false if got.is_finite() && expected.is_finite() => (got - expected).abs(),
        false => f64::INFINITY,
    }
}

/// Share of its magnitude that a range is not taken to be less than: single precision gives differences of equal numbers too.
const MAGNITUDE: f64 = 1e-3;

/// Of the finite elements; where that is zero their greatest magnitude, and where that is zero one.
fn range(elements: &[f64]) -> f64 {
    let finite = elements.iter().copied().filter(|e| e.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), e| {
        (low.min(e), high.max(e))
    });
    let candidates = [high - low, high.abs(), 1.0];
    let range = candidates
        .into_iter()
        .find(|&r| r.is_finite() && r > 0.0)
        .unwrap_or(1.0);
    let magnitude = high.abs().max(low.abs());
    match magnitude.is_finite() {
        true => range.max(MAGNITUDE * magnitude),
        false => range,
    }
}

/// A tie counts as agreement when the chosen element attains the expected maximum to within `slack`.
fn argmax_agreement(got: &[f64], expected: &[f64], row: usize, slack: f64) -> f64 {
    let mut rows = 0usize;
    let mut agreeing = 0usize;
    for (got, expected) in got.chunks_exact(row).zip(expected.chunks_exact(row)) {
        let greatest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        rows += 1;
        if argmax(got).is_some_and(|index| expected[index] >= greatest - slack) {
            agreeing += 1;
        }
    }
    match rows {
        0 => 1.0,
        _ => agreeing as f64 / rows as f64,
    }
}

fn argmax(row: &[f64]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, &value) in row.iter().enumerate() {
        if best.is_none_or(|(_, most)| value > most) && !value.is_nan() {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use zkiln_compiler::graph::Dtype;

    use super::*;

    fn output(shape: &[usize], elements: &[f64]) -> OutTensor {
        OutTensor::new("y", Dtype::Float32, shape, elements.to_vec())
    }

    #[test]
    fn measures_against_the_range() {
        let outputs = [output(&[2, 2], &[0.0, 1.0, 3.0, 9.0]), output(&[1], &[5.0])];
        let expected = [vec![0.0, 2.0, 4.0, -6.0], vec![5.0]];
        let got = compare(&outputs, &expected);
        assert_eq!(got.max_abs, 15.0);
        assert_eq!(got.max_rel, 1.5);
        assert_eq!(got.argmax_agreement, Some(0.5));
    }

    #[test]
    fn takes_ties_and_single_elements() {
        let tie = compare(&[output(&[3], &[1.0, 2.0, 0.0])], &[vec![2.0, 2.0, 0.0]]);
        assert_eq!(tie.argmax_agreement, Some(1.0));
        let one = compare(&[output(&[1], &[1.5])], &[vec![1.0]]);
        assert_eq!((one.max_rel, one.argmax_agreement), (0.5, None));
        assert_eq!(compare(&[output(&[1], &[0.0])], &[vec![0.0]]).max_rel, 0.0);
    }

    #[test]
    fn infinities_must_be_the_same() {
        let inf = f64::INFINITY;
        let same = compare(&[output(&[2], &[inf, 1.0])], &[vec![inf, 1.0]]);
        assert_eq!(same.max_abs, 0.0);
        let other = compare(&[output(&[2], &[0.0, 1.0])], &[vec![inf, 1.0]]);
        assert_eq!(other.max_abs, inf);
    }

    #[test]
    fn integers_are_equal_or_wrong() {
        let output = OutTensor::new("y", Dtype::Int64, &[2], vec![10_000.0, 3.0]);
        let got = compare(&[output], &[vec![10_007.0, 3.0]]);
        assert_eq!(got.unequal, 1);
        assert!(got.within(1.0).is_err());
    }
}
