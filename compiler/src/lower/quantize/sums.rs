//! Sums whose constants are integers already, and real numbers that are integers times one of them: a quantized model's.

use crate::diagnostic::Diagnostic;
use crate::lower::columns::{Columns, Origin};
use crate::lower::intervals::{product_bounds, sum_bounds};
use crate::lower::quantize::{Builder, Quantized};
use crate::lower::value::weight::{Derivation, Weight};
use crate::lower::value::{Axis, View};

/// Bits of the lower limb of a constant that is wider than a column's elements.
const LIMB_BITS: u32 = 30;
/// How far, relative to itself, a multiple may be off: a product or two in double precision.
const ROUNDED: f64 = 1.0 / (1u64 << 44) as f64;

/// The same in single precision, of a scale and its multiples.
const SINGLE: f64 = 1.0 / (1u32 << 22) as f64;

/// A product of a sum of integers: `coefficient * sum over summed of weight * product of factors`.
#[derive(Clone, Debug)]
pub struct IntegerPart {
    /// Columns; none for a constant.
    pub factors: Vec<View>,
    /// Axes that are summed away.
    pub summed: Vec<Axis>,
    /// Constant factor that varies.
    pub weight: Option<IntegerWeight>,
    /// Constant factor that does not.
    pub coefficient: i64,
}

/// Integers below `2^61` in magnitude.
#[derive(Clone, Debug)]
pub struct IntegerWeight {
    /// Axes, most significant first.
    pub axes: Vec<Axis>,
    /// Elements.
    pub data: Vec<i64>,
    /// How it came about.
    pub derivation: Derivation,
}

impl IntegerWeight {
    /// Real numbers rounded to multiples of `2^-bits`.
    pub fn of(weight: &Weight, bits: u32) -> IntegerWeight {
        let scale = f64::from(bits).exp2();
        let data = weight.data.iter().map(|x| (x * scale).round() as i64);
        IntegerWeight {
            axes: weight.axes.clone(),
            data: data.collect(),
            derivation: weight.derivation,
        }
    }

    /// As a factor that varies and one that does not: the one number, if all are the same.
    pub fn apart(self) -> (Option<Self>, i64) {
        match self.data[..] {
            [number] => (None, number),
            _ => (Some(self), 1),
        }
    }

    /// As columns of 32-bit integers, with what each counts.
    fn limbs(&self) -> Vec<(i64, Vec<i32>)> {
        let narrow: Result<Vec<i32>, _> = self.data.iter().map(|x| i32::try_from(*x)).collect();
        match narrow {
            Ok(data) => vec![(1, data)],
            Err(_) => {
                let low = |x: &i64| (x & ((1 << LIMB_BITS) - 1)) as i32;
                let high = |x: &i64| (x >> LIMB_BITS) as i32;
                vec![
                    (1 << LIMB_BITS, self.data.iter().map(high).collect()),
                    (1, self.data.iter().map(low).collect()),
                ]
            }
        }
    }
}

/// The exact sum of the parts over `axes`, which are those that they mention.
///
/// # Errors
/// Where 64-bit integers cannot hold it.
pub fn sum_of_integers(
    columns: &mut Columns,
    name: &str,
    axes: &[Axis],
    parts: &[IntegerPart],
) -> Result<Quantized, Diagnostic> {
    let mut builder = Builder::new(columns, name, axes, 1.0);
    for part in parts {
        builder.push_part(part)?;
    }
    builder.finish(0)
}

impl Builder<'_> {
    fn push_part(&mut self, part: &IntegerPart) -> Result<(), Diagnostic> {
        let product = product_bounds(&part.factors, self.columns);
        let views = |builder: &Self| {
            part.factors
                .iter()
                .map(|view| builder.view(view, &part.summed))
                .collect::<Vec<_>>()
        };
        let Some(weight) = &part.weight else {
            let (bounds, operands) = (sum_bounds(product, None, &part.summed), views(self));
            return self.add(part.coefficient.into(), bounds, &part.summed, operands);
        };
        let title = match part.factors.is_empty() {
            true => "constant",
            false => "weight",
        };
        let shape: Vec<u32> = weight.axes.iter().map(|axis| axis.len as u32).collect();
        let origin = Origin::Tensor(weight.derivation);
        for (count, data) in weight.limbs() {
            let bounds = sum_bounds(product, Some((&weight.axes, &data)), &part.summed);
            let title = format!("{}/{title}", self.name);
            let column = (self.columns).constant(&title, shape.clone(), data, origin);
            let mut operands = views(self);
            operands.push(self.view(&View::whole(column, &weight.axes), &part.summed));
            let coefficient = i128::from(count) * i128::from(part.coefficient);
            self.add(coefficient, bounds, &part.summed, operands)?;
        }
        self.cost += part
            .summed
            .iter()
            .map(|axis| axis.len as u64)
            .product::<u64>();
        Ok(())
    }
}

/// The greatest number of which all elements are integer multiples below `limit`, if there is one.
pub fn common_measure(data: &[f64], limit: f64) -> Option<f64> {
    let most = data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    if most == 0.0 || !most.is_finite() {
        return None;
    }
    // Euclid's algorithm; what is far below the least number that there can be is an error of rounding.
    let least = most / limit;
    let mut measure = 0.0;
    for x in data {
        measure = common_divisor(measure, x.abs(), least / 8.0);
        if measure < 0.5 * least && measure > 0.0 {
            return None;
        }
    }
    let measure = most / (most / measure).round();
    let fits = |x: &f64| {
        let multiple = (x / measure).abs();
        (multiple - multiple.round()).abs() <= ROUNDED * multiple && multiple < limit
    };
    data.iter().all(fits).then_some(measure)
}

/// The scale of which all elements are integer multiples below `limit` as single precision rounds them, and no less: a tensor that was
/// dequantized.
pub fn common_scale(data: &[f64], limit: f64) -> Option<f64> {
    let most = data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let single = |x: &f64| f64::from(*x as f32) == *x;
    if most == 0.0 || !most.is_finite() || !data.iter().all(single) {
        return None;
    }
    let multiples = (1..)
        .map(f64::from)
        .take_while(|multiple| *multiple < limit);
    let mut scales = multiples.filter_map(|multiple| {
        let scale = (most / multiple) as f32;
        let about = |x: &f64| {
            let multiple = x / f64::from(scale);
            (multiple - multiple.round()).abs() <= SINGLE * multiple.abs()
        };
        let made = |scale: &f32| {
            let scale = f64::from(*scale);
            let made = |x: &f64| f64::from(((x / scale).round() * scale) as f32) == *x;
            data.iter().all(made)
        };
        let near = [scale, scale.next_up(), scale.next_down()];
        match data.iter().all(about) {
            true => near.into_iter().find(made),
            false => None,
        }
    });
    scales.next().map(f64::from)
}

fn common_divisor(mut a: f64, mut b: f64, nothing: f64) -> f64 {
    while b > nothing {
        let rest = a % b;
        (a, b) = (b, if b - rest < nothing { 0.0 } else { rest });
    }
    a
}

#[cfg(test)]
mod tests {
    use crate::lower::quantize::sums::*;

    #[test]
    fn dequantized_numbers_have_their_scale_in_common() {
        let scale = f64::from(0.0173f32);
        let dequantized = |integers: &[i32]| -> Vec<f64> {
            integers.iter().map(|q| f64::from(*q) * scale).collect()
        };
        let limit = 131_072.0;
        assert_eq!(
            common_measure(&dequantized(&[-7, 0, 127, 15]), limit),
            Some(scale)
        );
        assert_eq!(
            common_measure(&dequantized(&[30_011, -32_768, 4999]), limit),
            Some(scale)
        );
        assert_eq!(
            common_measure(&dequantized(&[6, -4]), limit),
            Some(2.0 * scale)
        );
        // Numbers that are rounded once.
        let thirds: Vec<f64> = [4.0, 6.0, 9.0].map(|n: f64| n.recip()).to_vec();
        assert_eq!(
            common_measure(&thirds, limit).map(|m| (m * 36.0 - 1.0).abs() < 1e-12),
            Some(true)
        );
        assert_eq!(
            common_measure(&[2f64.sqrt(), -3f64.sqrt(), 0.1123], limit),
            None
        );
        assert_eq!(
            common_measure(&[f64::from(0.1f32), f64::from(0.3f32)], limit),
            None
        );
        assert_eq!(common_measure(&[0.0], limit), None);
    }

    #[test]
    fn scales_are_found_where_single_precision_rounded_their_multiples() {
        let rounded = |scale: f32, integers: &[i32]| -> Vec<f64> {
            integers
                .iter()
                .map(|q| f64::from(*q as f32 * scale))
                .collect()
        };
        let (limit, scale) = (131_072.0, 0.0173f32);
        let eight = rounded(scale, &[-7, 0, 127, 15, 33, -128]);
        assert_eq!(common_scale(&eight, limit), Some(scale.into()));
        assert_eq!(common_measure(&eight, limit), None);
        let sixteen = rounded(
            scale,
            &[30_011, -32_768, 4999, 2, 777, -15_013, 12_347, 28_001, 5],
        );
        assert_eq!(common_scale(&sixteen, limit), Some(scale.into()));
        let floats: Vec<f64> = (1..20).map(|i| f64::from((i as f32).sin())).collect();
        assert_eq!(common_scale(&floats, limit), None);
    }

    #[test]
    fn wide_constants_are_cut_in_two() {
        let axis = crate::lower::value::Fresh::default().axis(4);
        let data = vec![3 << 40, -(5 << 33) - 1, 7, -1];
        let mut columns = Columns::default();
        let weight = IntegerWeight {
            axes: vec![axis],
            data: data.clone(),
            derivation: Derivation::default(),
        };
        let limbs = weight.limbs();
        let sums: Vec<i64> = (0..4)
            .map(|i| {
                limbs
                    .iter()
                    .map(|(count, data)| count * i64::from(data[i]))
                    .sum()
            })
            .collect();
        assert_eq!(sums, data);
        let part = IntegerPart {
            factors: vec![],
            summed: vec![],
            weight: Some(weight),
            coefficient: 2,
        };
        let sum = sum_of_integers(&mut columns, "test", &[axis], &[part]).expect("narrow enough");
        assert!(sum.bounds.0 <= -(5 << 34) - 2 && sum.bounds.1 >= 3 << 41);
        assert_eq!(columns.list().len(), 2);
    }
}
