//! A value as sums of integers times real factors: what quantized tensors, and all that is linear in them, are.
//!
//! The integers are those of the model: weights are `scale * integer` with one scale, or one for each index of axes that are not summed.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::lower::columns::Columns;
use crate::lower::intervals::{Bounds, certain_range, product_bounds};
use crate::lower::lowering::Lowering;
use crate::lower::ops::rescale::halves::Line;
use crate::lower::quantize::sums::{
    IntegerPart, IntegerWeight, common_measure, common_scale, sum_of_integers,
};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value};

/// Integers of a quantized model's weights are below this: 16 bits less a zero point.
const MOST_WEIGHT: f64 = 131_072.0;
/// Numbers that are integer multiples below this of one have it as their factor.
const MOST_MULTIPLE: f64 = 1_048_576.0;
/// What rounding two scales and their quotient to single precision changes, relatively.
const SCALES_ROUNDED: f64 = 1.0 / (1u32 << 22) as f64;
/// How far a constant that is meant to be an integer in units of a factor may be off.
const MOST_OFF: f64 = 1.0 / 256.0;
/// What is meant may change results by this.
const MOST_CHANGE: f64 = 1.0 / 4096.0;
/// Numerator times denominator of fractions that are rarely met by chance.
const SIMPLE: f64 = 32_768.0;
/// Most different pairs of a factor and a constant that are examined.
const MOST_LINES: usize = 1 << 14;
/// Most values of the smaller of two summands that are gone through.
const MOST_SUMMANDS: i128 = 1 << 12;

/// `sum of factor * integers`.
pub(super) struct Part {
    /// The integers.
    pub integers: Vec<IntegerPart>,
    /// Over axes that are not summed.
    pub factor: Weight,
    /// What the integers can be.
    pub bounds: Bounds,
}

/// A value to be rounded.
pub(super) struct Linear {
    /// Sums of integers.
    pub parts: Vec<Part>,
    /// Products whose weights are no integers times a scale.
    pub floats: Vec<Term>,
    /// What is added to them.
    pub constant: Weight,
    /// All axes that it varies along.
    pub axes: Vec<Axis>,
}

/// A factor that is a fraction of small numbers but for the rounding of scales to single precision: `0.03 * 0.01 / 0.2` is `3 / 2000`. Only
/// with it are halves what they were meant to be.
fn meant(factor: f64, tolerance: f64) -> f64 {
    let size = factor.abs();
    let (mut p, mut q, mut rest) = ([1.0, size.floor()], [0.0, 1.0], size.fract());
    while (p[1] / q[1] - size).abs() > tolerance * size {
        let whole = rest.recip().floor();
        rest = rest.recip().fract();
        p = [p[1], whole * p[1] + p[0]];
        q = [q[1], whole * q[1] + q[0]];
        if p[1] * q[1] > SIMPLE {
            return factor;
        }
    }
    (p[1] / q[1]).copysign(factor)
}

/// A constant that is a multiple of a factor but for rounding.
fn meant_multiple(constant: f64, factor: f64) -> f64 {
    let multiple = constant / factor;
    let off = (multiple - multiple.round()).abs();
    match off <= (SCALES_ROUNDED * multiple.abs()).min(MOST_OFF) {
        true => multiple.round() * factor,
        false => constant,
    }
}

fn number(x: f64) -> Weight {
    Weight::new(vec![], vec![x])
}

/// The scale of dequantized numbers, or what others have in common.
fn unit(data: &[f64]) -> Option<f64> {
    common_measure(data, MOST_WEIGHT).or_else(|| common_scale(data, MOST_WEIGHT))
}

/// A term as integers and their factor.
fn split(term: &Term) -> Option<(IntegerPart, Weight)> {
    let plain = IntegerPart {
        factors: term.factors.clone(),
        summed: term.summed.clone(),
        weight: None,
        coefficient: 1,
    };
    let Some(weight) = &term.weight else {
        return Some((plain, number(term.scalar)));
    };
    let (inner, outer): (Vec<Axis>, Vec<Axis>) =
        (weight.axes.iter()).partition(|axis| term.summed.contains(axis));
    let axes = [&outer[..], &inner[..]].concat();
    let ordered = weight.over(&axes);
    let row_len: usize = inner.iter().map(|axis| axis.len).product();
    let (outer, rows) = match unit(&ordered.data) {
        Some(measure) => (vec![], vec![measure]),
        None => {
            let measure = |row: &[f64]| match row.iter().all(|x| *x == 0.0) {
                true => Some(0.0),
                false => unit(row),
            };
            let rows: Option<Vec<f64>> = ordered.data.chunks(row_len).map(measure).collect();
            (outer, rows?)
        }
    };
    let per_row = ordered.data.len() / rows.len();
    let integers = ordered.data.iter().enumerate();
    let data: Vec<i64> = integers
        .map(|(i, x)| match rows[i / per_row] {
            0.0 => 0,
            measure => (x / measure).round() as i64,
        })
        .collect();
    let derivation = weight.derivation;
    let weight = data.iter().any(|x| *x != 1).then_some(IntegerWeight {
        axes,
        data,
        derivation,
    });
    let factor = Weight::derived(outer, rows, derivation)
        .map(|x| x * term.scalar)
        .reduced();
    Some((IntegerPart { weight, ..plain }, factor))
}

/// Adds integers to those of which their scale is a multiple, or that are multiples of a part of it.
fn join(sums: &mut Vec<(Vec<IntegerPart>, Weight)>, mut integers: IntegerPart, scale: Weight) {
    for (known, own) in sums.iter_mut() {
        if *own == scale {
            known.push(integers);
            return;
        }
        let (&[a], &[b]) = (&own.data[..], &scale.data[..]) else {
            continue;
        };
        if let Some(measure) = common_measure(&[a, b], MOST_MULTIPLE) {
            let times = (a / measure).round() as i64;
            known.iter_mut().for_each(|part| part.coefficient *= times);
            integers.coefficient *= (b / measure).round() as i64;
            known.push(integers);
            *own = number(measure);
            return;
        }
    }
    sums.push((vec![integers], scale));
}

impl Linear {
    /// `value * factor`, which vary along `axes`, of which a range of `width` matters.
    pub fn of(
        cx: &mut Lowering,
        value: &Value,
        factor: &Weight,
        axes: Vec<Axis>,
        width: f64,
    ) -> Result<Linear, Diagnostic> {
        let tolerance = SCALES_ROUNDED.min(MOST_CHANGE / width);
        let mut changed = number(1.0);
        let mut linear = Linear {
            parts: vec![],
            floats: vec![],
            constant: value.constant_part().product(factor).reduced(),
            axes,
        };
        let mut sums: Vec<(Vec<IntegerPart>, Weight)> = vec![];
        for term in value.terms.iter().filter(|term| !term.is_constant()) {
            match split(term) {
                Some((integers, scale)) => {
                    let exact = scale.product(factor);
                    let factor = exact.map(|f| meant(f, tolerance));
                    changed =
                        factor.combine(&exact, |meant, f| if f == 0.0 { 1.0 } else { meant / f });
                    join(&mut sums, integers, factor.reduced());
                }
                None => {
                    let mut float = term.clone();
                    float.multiply_weight(factor);
                    linear.floats.push(float);
                }
            }
        }
        for (integers, factor) in sums {
            let name = format!("{}/integers", cx.here());
            let sum = sum_of_integers(&mut cx.columns, &name, &linear.axes, &integers)?;
            linear.parts.push(Part {
                integers,
                factor,
                bounds: sum.bounds,
            });
        }
        if let ([part], []) = (&linear.parts[..], &linear.floats[..]) {
            let constant = match part.integers.len() {
                1 => linear.constant.product(&changed),
                _ => linear.constant,
            };
            linear.constant = constant.combine(&part.factor, meant_multiple).reduced();
        }
        linear.tighten(certain_range(value, &cx.columns), factor);
        Ok(linear)
    }

    /// Bounds the integers by what is known of the value, if they are all there is to it.
    fn tighten(&mut self, known: Option<(f64, f64)>, factor: &Weight) {
        let Some(constant) = self.constant.uniform() else {
            return;
        };
        let ([part], [], Some((low, high)), Some(factor)) = (
            &mut self.parts[..],
            &self.floats[..],
            known,
            factor.uniform(),
        ) else {
            return;
        };
        let Some(unit) = part.factor.uniform().filter(|unit| *unit != 0.0) else {
            return;
        };
        let ends = [low, high].map(|x| ((x * factor - constant) / unit).clamp(-1e30, 1e30));
        let slack = |x: f64| 1e-9 * (1.0 + x.abs());
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        part.bounds.0 = part.bounds.0.max((low - slack(low)).floor() as i128);
        part.bounds.1 = part.bounds.1.min((high + slack(high)).ceil() as i128);
    }

    /// The one sum of integers, its factor and the constant, if there is no more to the value.
    pub fn single(&self) -> Option<(&Part, f64, f64)> {
        match (&self.parts[..], &self.floats[..]) {
            ([part], []) => Some((part, part.factor.uniform()?, self.constant.uniform()?)),
            _ => None,
        }
    }

    /// Every factor, one for each part, and constant that occur together; the constant comes last.
    fn combinations(&self) -> Vec<Vec<f64>> {
        let weights: Vec<&Weight> = self
            .parts
            .iter()
            .map(|part| &part.factor)
            .chain([&self.constant])
            .collect();
        let axes = weights
            .iter()
            .fold(number(0.0), |all, weight| all.sum(0.0, weight, 0.0))
            .axes;
        let wide: Vec<Weight> = weights.iter().map(|weight| weight.over(&axes)).collect();
        let mut seen = HashSet::new();
        let all = (0..wide[0].data.len()).map(|i| {
            wide.iter()
                .map(|weight| weight.data[i])
                .collect::<Vec<f64>>()
        });
        all.filter(|row| seen.insert(row.iter().map(|x| x.to_bits()).collect::<Vec<u64>>()))
            .collect()
    }

    /// Least and greatest that the value can be.
    pub fn range(&self, cx: &Lowering) -> (f64, f64) {
        let floats = self
            .floats
            .iter()
            .fold((0.0, 0.0), |(low, high): (f64, f64), term| {
                let most = greatest_sum(term, &cx.columns);
                (low - most, high + most)
            });
        let of = |row: &Vec<f64>| {
            let ends = |(part, factor): (&Part, &f64)| {
                let (a, b) = (part.bounds.0 as f64 * factor, part.bounds.1 as f64 * factor);
                (a.min(b), a.max(b))
            };
            let start = (
                floats.0 + row[self.parts.len()],
                floats.1 + row[self.parts.len()],
            );
            let parts = self.parts.iter().zip(row).map(ends);
            parts.fold(start, |(low, high), (a, b)| (low + a, high + b))
        };
        let ranges = self.combinations().iter().map(of).collect::<Vec<_>>();
        ranges
            .iter()
            .fold((0.0, 0.0), |(low, high): (f64, f64), (a, b)| {
                (low.min(*a), high.max(*b))
            })
    }

    /// All lines on which the value is, if they are not too many.
    pub fn lines(&self) -> Option<Vec<Line>> {
        let rows = self.combinations();
        let mut lines = vec![];
        match (&self.parts[..], &self.floats[..]) {
            ([part], []) => rows
                .iter()
                .for_each(|row| lines.push(line(part, row[0], row[1]))),
            ([a, b], []) => {
                let count = |part: &Part| part.bounds.1 - part.bounds.0 + 1;
                let swapped = count(a) > count(b);
                let (few, many) = if swapped { (b, a) } else { (a, b) };
                if count(few) > MOST_SUMMANDS
                    || count(few) * rows.len() as i128 > MOST_LINES as i128
                {
                    return None;
                }
                for row in &rows {
                    let [few_factor, many_factor] =
                        [usize::from(swapped), usize::from(!swapped)].map(|i| row[i]);
                    let of = |x: i128| line(many, many_factor, row[2] + few_factor * x as f64);
                    lines.extend((few.bounds.0..=few.bounds.1).map(of));
                }
            }
            _ => return None,
        }
        (lines.len() <= MOST_LINES).then_some(lines)
    }
}

/// The integers times a factor, plus a constant: one that is a multiple of the factor moves the integers.
fn line(part: &Part, factor: f64, constant: f64) -> Line {
    let (least, greatest) = part.bounds;
    let moved = common_measure(&[factor, constant], f64::from(1u32 << 30));
    let whole = (constant / factor).round();
    match moved {
        Some(measure) if (measure / factor.abs() - 1.0).abs() < 1e-9 => Line {
            factor,
            constant: 0.0,
            least: least + whole as i128,
            greatest: greatest + whole as i128,
            moved: whole as i128,
        },
        _ => Line {
            factor,
            constant,
            least,
            greatest,
            moved: 0,
        },
    }
}

/// What a float term can be at most, in magnitude.
fn greatest_sum(term: &Term, columns: &Columns) -> f64 {
    let (low, high) = product_bounds(&term.factors, columns);
    let most = low.unsigned_abs().max(high.unsigned_abs()) as f64;
    let weight = term
        .weight
        .as_ref()
        .map_or_else(|| number(1.0), |weight| weight.map(f64::abs));
    let inside = |axis: &&Axis| weight.mentions(axis.id);
    let repeats: f64 = term
        .summed
        .iter()
        .filter(|axis| !inside(axis))
        .map(|axis| axis.len as f64)
        .product();
    let summed: Vec<Axis> = term.summed.iter().filter(inside).copied().collect();
    let sums = summed
        .into_iter()
        .fold(weight.clone(), |sums, axis| sums.sum_over(axis));
    most * repeats * sums.max_abs() * term.scalar.abs()
}

impl Linear {
    /// By how much the value may change if every factor changes by one.
    pub fn spread(&self, columns: &Columns) -> f64 {
        let parts = self.parts.iter().map(|part| {
            part.bounds
                .0
                .unsigned_abs()
                .max(part.bounds.1.unsigned_abs()) as f64
        });
        let floats = self.floats.iter().map(|term| {
            let (low, high) = product_bounds(&term.factors, columns);
            let summed: f64 = term.summed.iter().map(|axis| axis.len as f64).product();
            low.unsigned_abs().max(high.unsigned_abs()) as f64 * summed
        });
        parts.chain(floats).sum()
    }

    /// Greatest weight that is a float, if there are any.
    pub fn greatest_float_weight(&self) -> Option<f64> {
        let greatest =
            |term: &Term| term.weight.as_ref().map_or(1.0, Weight::max_abs) * term.scalar.abs();
        self.floats.iter().map(greatest).reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::ops::rescale::linear::*;

    #[test]
    fn factors_are_the_fractions_that_scales_were_meant_to_make() {
        let [x, w, y] = [0.03f32, 0.01, 0.2].map(f64::from);
        assert_ne!(x * w / y, 0.0015);
        assert_eq!(meant(x * w / y, SCALES_ROUNDED), 0.0015);
        assert_eq!(
            meant(-f64::from(0.15f32) / f64::from(0.1f32), SCALES_ROUNDED),
            -1.5
        );
        assert_eq!(meant_multiple(-1.8000001, 0.0015), -1200.0 * 0.0015);
        assert_eq!(meant_multiple(-1.8001, 0.0015), -1.8001);
        for exact in [
            0.0,
            3.0,
            0.375,
            2f64.powi(-20),
            2f64.sqrt() / 1000.0,
            0.0254 * 0.011 / 0.17,
        ] {
            assert_eq!(meant(exact, SCALES_ROUNDED), exact);
        }
    }
}
