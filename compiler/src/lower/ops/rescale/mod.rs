//! Integers from real numbers: `round(x * factor) + offset`, kept in a range.
//!
//! What is said of a model that is quantized already is said of its own integers. `x * factor` is a sum of integers times real factors
//! ([`linear`]); these are taken to as many bits as it needs for the integer to be that of the real sum ([`precision`], [`halves`]), and
//! the sum is rounded once ([`rounded`]). Few integers are looked up instead.

mod halves;
mod linear;
mod precision;
mod rounded;

use zkiln_runtime::model::ColumnId;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Node, Rounding, Tensor};
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::ops::rescale::linear::{Linear, Part};
use crate::lower::ops::rescale::precision::{Precision, Wanted, Words};
use crate::lower::ops::rescale::rounded::{
    Sum, TABLE_BITS, To, floor, kept_bits, keys, minus, varying,
};
use crate::lower::quantize::sums::{IntegerPart, IntegerWeight, sum_of_integers};
use crate::lower::quantize::{Goal, Quantized, too_wide};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Widest integers that are committed to be multiplied by factors of their own, sign included.
const COLUMN_BITS: u8 = 31;

/// What the rounded integers become.
struct Target {
    rounding: Rounding,
    least: f64,
    greatest: f64,
}

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    rounding: Rounding,
    (least, greatest): (f64, f64),
) -> Result<Value, Diagnostic> {
    let target = Target {
        rounding,
        least,
        greatest,
    };
    let mut value = cx.read(node, 0)?;
    let (mut factor, mut offset) = (cx.read(node, 1)?, cx.read(node, 2)?);
    if !factor.is_constant() || !offset.is_constant() {
        return Err(refuse(
            "its factor or its offset is computed",
            "make its scale and zero point constants of the model",
        ));
    }
    cx.align(&mut value, &mut factor)?;
    cx.align(&mut value, &mut offset)?;
    let parts = value.dims.iter().zip(&factor.dims).zip(&offset.dims);
    let dims: Vec<Vec<Axis>> = parts
        .map(|((a, b), c)| {
            [a, b, c]
                .into_iter()
                .find(|dim| !dim.is_empty())
                .cloned()
                .unwrap_or_default()
        })
        .collect();
    let factor = factor.constant_part().reduced();
    if value.is_constant() {
        let product = value
            .constant_part()
            .product(&factor)
            .map(|x| rounding.eval(x));
        let made = product
            .sum(1.0, &offset.constant_part(), 1.0)
            .map(|x| target.of(x));
        return Ok(Value::new(dims, vec![Term::constant(made)]));
    }
    let offsets = offset.constant_part().reduced();
    let axes = varying(&value, &dims.concat(), &[&factor, &offsets]);
    let about = Value {
        name: cx.here().into(),
        ..Value::new(dims, vec![])
    };
    let linear = Linear::of(cx, &value, &factor, axes, target.width())?;
    if let Some(made) = few(cx, &linear, &about, &offsets, &target)? {
        return Ok(made);
    }
    many(cx, linear, &about, offset, &target)
}

/// `round(value / step) - least`, kept among the integers of `bits` bits.
pub(super) fn cut(
    cx: &mut Lowering,
    value: &Value,
    step: f64,
    least: f64,
    bits: u8,
) -> Result<Value, Diagnostic> {
    let axes = value.mentioned();
    let quantized = cx.accumulate(value, &axes, Goal::Step(step))?;
    let finer = (1 - quantized.step_log2).max(0);
    let quantized = quantized.refined_within(finer)?;
    let units = f64::from(quantized.step_log2).exp2();
    let range = (
        quantized.bounds.0 as f64 / units,
        quantized.bounds.1 as f64 / units,
    );
    let about = Value {
        name: cx.here().into(),
        ..Value::new(value.dims.clone(), vec![])
    };
    let precision = Precision {
        bits: quantized.step_log2 as u32,
        slack: 0,
        halves: false,
        words: None,
    };
    let sum = Sum {
        about: &about,
        axes,
        quantized,
        precision,
    };
    let target = Target {
        rounding: Rounding::Even,
        least: 0.0,
        greatest: f64::from((1u32 << bits) - 1),
    };
    let offset = Value::constant(
        &Tensor::filled(vec![1; value.dims.len()], -least),
        &cx.fresh,
    );
    sum.kept_in(cx, &offset, &target, range)
}

impl Target {
    fn of(&self, x: f64) -> f64 {
        x.clamp(self.least, self.greatest)
    }

    fn width(&self) -> f64 {
        (self.greatest - self.least).max(1.0)
    }

    fn is_bounded(&self) -> bool {
        self.least.is_finite() && self.greatest.is_finite()
    }

    fn keeps(&self, (low, high): (f64, f64)) -> bool {
        low >= self.least && high <= self.greatest
    }
}

/// Integers that are what they are to become, or so few that they are looked up.
fn few(
    cx: &mut Lowering,
    linear: &Linear,
    about: &Value,
    offset: &Weight,
    target: &Target,
) -> Result<Option<Value>, Diagnostic> {
    let (Some((part, factor, constant)), Some(offset)) = (linear.single(), offset.uniform()) else {
        return Ok(None);
    };
    let (low, high) = part.bounds;
    if KeyRange::covering(low, high).bits > TABLE_BITS {
        return Ok(None);
    }
    let mut integers = part.value(about);
    integers.proven = Some((low as f64, high as f64));
    let of = |key: f64| target.rounding.eval(key * factor + constant) + offset;
    let ends = [of(low as f64), of(high as f64)];
    if factor == 1.0 && constant.fract() == 0.0 && target.keeps((ends[0], ends[1])) {
        integers
            .terms
            .push(Term::constant(Weight::new(vec![], vec![constant + offset])));
        return Ok(Some(
            Value {
                proven: Some((ends[0], ends[1])),
                ..integers
            }
            .normalize(),
        ));
    }
    let table = |key: f64| target.of(of(key));
    let label = cx.label();
    cx.through_integer_table(&integers, &label, TABLE_BITS, &table)
}

/// Sums of integers, rounded.
fn many(
    cx: &mut Lowering,
    mut linear: Linear,
    about: &Value,
    offset: Value,
    target: &Target,
) -> Result<Value, Diagnostic> {
    let even = target.rounding == Rounding::Even;
    if !even {
        // Down is to the nearest of what is half a unit less.
        linear.constant = linear.constant.map(|x| x - 0.5);
    }
    let range = linear.range(cx);
    let offsets = offset
        .constant_part()
        .data
        .iter()
        .fold((0.0, 0.0), |(low, high): (f64, f64), z| {
            (low.min(*z), high.max(*z))
        });
    let wide = keys(range).bits > TABLE_BITS;
    let wanted = Wanted {
        range: (range.0 + offsets.0, range.1 + offsets.1),
        window: (
            target.least - offsets.1 - 1.0,
            target.greatest - offsets.0 + 1.0,
        ),
        more: 1 + if wide { kept_bits(target) } else { 0 },
        even,
    };
    let precision = Precision::of(cx, &linear, &wanted)?;
    let mut quantized = multiplied(cx, &linear, about, precision)?;
    let ends =
        [range.0, range.1].map(|x| (x * f64::from(precision.bits).exp2()).clamp(-1e36, 1e36));
    let slack = 1i128 << precision.bits;
    quantized.bounds.0 = quantized.bounds.0.max(ends[0].floor() as i128 - slack);
    quantized.bounds.1 = quantized.bounds.1.min(ends[1].ceil() as i128 + slack);
    let sum = Sum {
        about,
        axes: linear.axes,
        quantized,
        precision,
    };
    sum.kept_in(cx, &offset, target, range)
}

impl Part {
    /// The integers as a value.
    fn value(&self, about: &Value) -> Value {
        let term = |part: &IntegerPart| {
            let real = |weight: &IntegerWeight| {
                Weight::new(
                    weight.axes.clone(),
                    weight.data.iter().map(|x| *x as f64).collect(),
                )
            };
            Term {
                factors: part.factors.clone(),
                weight: part.weight.as_ref().map(real),
                scalar: part.coefficient as f64,
                summed: part.summed.clone(),
            }
        };
        Value {
            terms: self.integers.iter().map(term).collect(),
            ..about.clone()
        }
    }

    /// The integers times integer factors. Where these differ, the integers are committed first.
    fn times(
        &self,
        cx: &mut Lowering,
        about: &Value,
        precision: Precision,
    ) -> Result<Vec<IntegerPart>, Diagnostic> {
        if let Some(words) = precision.words {
            return self.in_words(cx, about, precision.bits, words);
        }
        let factors = IntegerWeight::of(&self.factor, precision.bits);
        if let [factor] = factors.data[..] {
            let times = |part: &IntegerPart| {
                let coefficient = part
                    .coefficient
                    .checked_mul(factor)
                    .ok_or_else(|| too_wide(i128::MAX))?;
                Ok(IntegerPart {
                    coefficient,
                    ..part.clone()
                })
            };
            return self.integers.iter().map(times).collect();
        }
        if KeyRange::covering(self.bounds.0, self.bounds.1).bits > COLUMN_BITS {
            return Err(too_wide(self.bounds.1.max(-self.bounds.0)));
        }
        let (axes, sum) = self.sum(cx, about)?;
        let column = cx.commit(&format!("{}/integers", cx.here()), sum);
        Ok(vec![product(column, &axes, factors)])
    }

    /// The exact sum, and the axes that it varies along.
    fn sum(&self, cx: &mut Lowering, about: &Value) -> Result<(Vec<Axis>, Quantized), Diagnostic> {
        let axes = varying(&self.value(about), &about.axes(), &[]);
        let name = format!("{}/integers", cx.here());
        let mut sum = sum_of_integers(&mut cx.columns, &name, &axes, &self.integers)?;
        sum.bounds = self.bounds;
        Ok((axes, sum))
    }

    /// The same of integers `2^s h + l` and factors `2^s n + m`: `h (2^s n + m) + l n`, and what is left of `l m / 2^s`.
    fn in_words(
        &self,
        cx: &mut Lowering,
        about: &Value,
        bits: u32,
        words: Words,
    ) -> Result<Vec<IntegerPart>, Diagnostic> {
        let (axes, sum) = self.sum(cx, about)?;
        let high = floor(cx, "high", &sum, 0, &To::range(words.low, words.high()))?;
        let mut rest = minus(&sum, high, words.low)?;
        rest.bounds = (0, (1 << words.low) - 1);
        let low = cx.commit(&format!("{}/low", cx.here()), rest);
        let factors = IntegerWeight::of(&self.factor, bits + words.low);
        let part_of = |f: &dyn Fn(i64) -> i64| IntegerWeight {
            axes: factors.axes.clone(),
            data: factors.data.iter().map(|x| f(*x)).collect(),
            derivation: factors.derivation,
        };
        let upper = part_of(&|x| x >> words.low);
        let lower = part_of(&|x| x & ((1 << words.low) - 1));
        let wide = varying(&self.value(about), &about.axes(), &[&self.factor]);
        let name = format!("{}/carry", cx.here());
        let lowest = sum_of_integers(&mut cx.columns, &name, &wide, &[product(low, &axes, lower)])?;
        let to = To::range(words.low + words.dropped, words.carry());
        let carry = floor(cx, "carry", &lowest, 0, &to)?;
        let carry = IntegerPart {
            factors: vec![View::whole(carry, &wide)],
            summed: vec![],
            weight: None,
            coefficient: 1 << words.dropped,
        };
        Ok(vec![
            product(high, &axes, factors),
            product(low, &axes, upper),
            carry,
        ])
    }
}

/// A column times constants.
fn product(column: ColumnId, axes: &[Axis], factors: IntegerWeight) -> IntegerPart {
    let (weight, coefficient) = factors.apart();
    IntegerPart {
        factors: vec![View::whole(column, axes)],
        summed: vec![],
        weight,
        coefficient,
    }
}

/// The value in units of `2^-bits`.
fn multiplied(
    cx: &mut Lowering,
    linear: &Linear,
    about: &Value,
    precision: Precision,
) -> Result<Quantized, Diagnostic> {
    let bits = precision.bits;
    let mut parts = vec![];
    for part in &linear.parts {
        parts.extend(part.times(cx, about, precision)?);
    }
    for float in &linear.floats {
        let one = Weight::new(vec![], vec![1.0]);
        let weight = float
            .weight
            .as_ref()
            .unwrap_or(&one)
            .map(|x| x * float.scalar);
        parts.push(IntegerPart {
            factors: float.factors.clone(),
            summed: float.summed.clone(),
            weight: Some(IntegerWeight::of(&weight, bits)),
            coefficient: 1,
        });
    }
    let (weight, coefficient) = IntegerWeight::of(&linear.constant, bits).apart();
    parts.push(IntegerPart {
        factors: vec![],
        summed: vec![],
        weight,
        coefficient,
    });
    sum_of_integers(&mut cx.columns, &about.name, &linear.axes, &parts)
}
