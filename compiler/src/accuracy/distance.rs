//! How far an integer tensor is from the float one, over many samples.

use serde::Serialize;

/// Sums over the elements and rows of one tensor in all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    samples: u64,
    elements: u64,
    greatest: f64,
    absolute: f64,
    squares: f64,
    cosines: f64,
    rows: u64,
    agreeing: u64,
}

/// How far outputs are from those of floats, for people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Greatest absolute error.
    pub max: f64,
    /// Mean absolute error.
    pub mean: f64,
    /// Cosine of the angle between integers and floats, averaged over samples.
    pub cosine: f64,
    /// Share of rows (along the last axis) whose greatest element is the same; `None` where rows have one element.
    pub argmax_agreement: Option<f64>,
}

impl Distance {
    /// Of one sample; `row` is the length of the last axis.
    pub fn of(got: &[f64], expected: &[f64], row: usize) -> Self {
        let mut distance = Self {
            samples: 1,
            elements: expected.len() as u64,
            ..Self::default()
        };
        let (mut dot, mut squares) = (0.0, (0.0, 0.0));
        for (&got, &expected) in got.iter().zip(expected) {
            let error = (got - expected).abs();
            distance.greatest = distance.greatest.max(error);
            distance.absolute += error;
            distance.squares += error * error;
            dot += got * expected;
            squares = (squares.0 + got * got, squares.1 + expected * expected);
        }
        distance.cosines = match squares {
            (0.0, 0.0) => 1.0,
            (got, expected) if got == 0.0 || expected == 0.0 => 0.0,
            (got, expected) => dot / (got.sqrt() * expected.sqrt()),
        };
        if row > 1 {
            let rows = got.chunks_exact(row).zip(expected.chunks_exact(row));
            for (got, expected) in rows {
                distance.rows += 1;
                distance.agreeing += u64::from(agree(got, expected));
            }
        }
        distance
    }

    /// With the samples of another.
    pub fn and(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            elements: self.elements + other.elements,
            greatest: self.greatest.max(other.greatest),
            absolute: self.absolute + other.absolute,
            squares: self.squares + other.squares,
            cosines: self.cosines + other.cosines,
            rows: self.rows + other.rows,
            agreeing: self.agreeing + other.agreeing,
        }
    }

    /// Cosine and agreement, if all further samples up to `count` are equal to floats.
    pub fn at_best(&self, count: u64) -> (f64, Option<f64>) {
        let further = count.saturating_sub(self.samples);
        let all = (self.samples + further).max(1) as f64;
        let cosine = (self.cosines + further as f64) / all;
        let rows = self.rows / self.samples.max(1);
        let agreeing = self.agreeing + further * rows;
        let agreement = agreeing as f64 / (self.rows + further * rows).max(1) as f64;
        (cosine, (self.rows > 0).then_some(agreement))
    }

    /// Sum of squared errors.
    pub fn squares(&self) -> f64 {
        self.squares
    }

    /// Means over what was summed.
    pub fn figures(&self) -> Figures {
        let share = |sum: f64, count: u64| sum / count.max(1) as f64;
        Figures {
            max: self.greatest,
            mean: share(self.absolute, self.elements),
            cosine: share(self.cosines, self.samples),
            argmax_agreement: (self.rows > 0).then(|| share(self.agreeing as f64, self.rows)),
        }
    }
}

/// Index of the greatest element, the first of equals.
pub fn argmax(row: &[f64]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).reduce(better).unwrap_or(0)
}

/// A tie counts as agreement: floats that are equal but for their rounding are one maximum.
fn agree(got: &[f64], expected: &[f64]) -> bool {
    let greatest = expected[argmax(expected)];
    let least = expected.iter().copied().fold(greatest, f64::min);
    expected[argmax(got)] >= greatest - 1e-6 * (greatest - least)
}

#[cfg(test)]
mod tests {
    use crate::accuracy::distance::*;

    #[test]
    fn figures_are_over_all_samples() {
        let first = Distance::of(&[1.0, 2.0, 0.0, 4.0], &[1.0, 1.0, 0.0, 4.5], 2);
        let same = Distance::of(&[3.0, 0.0], &[3.0, 0.0], 2);
        let figures = first.and(same).figures();
        assert_eq!((figures.max, figures.mean), (1.0, 0.25));
        assert_eq!(figures.argmax_agreement, Some(1.0));
        let cosine = 21.0 / (21.0f64.sqrt() * 22.25f64.sqrt());
        assert!((figures.cosine - (1.0 + cosine) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn zeros_single_elements_and_other_maxima() {
        assert_eq!(Distance::of(&[0.0], &[0.0], 1).figures().cosine, 1.0);
        assert_eq!(Distance::of(&[0.0], &[2.0], 1).figures().cosine, 0.0);
        assert_eq!(
            Distance::of(&[0.0], &[2.0], 1).figures().argmax_agreement,
            None
        );
        let other = Distance::of(&[1.0, 2.0], &[2.0, 1.0], 2);
        assert_eq!(other.figures().argmax_agreement, Some(0.0));
    }
}
