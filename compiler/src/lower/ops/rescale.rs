//! Integers from real numbers: `round(x * factor) + offset`, kept in a range.
//!
//! The product of exact integers and a factor `m / 2^k` is rounded once, by a [`Requant`](zkiln_runtime::relations::Requant) of `k` bits: what
//! is said of a model that is quantized already is said of its own integers. To the nearest even is two roundings, up and down, where halves
//! can occur; they do not if no multiple of `m` is an odd multiple of `2^(k-1)`.

use zkiln_runtime::model::Term as ModelTerm;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Node, Rounding};
use crate::lower::boundary::{column_value, mapped_value};
use crate::lower::columns::KeyRange;
use crate::lower::intervals::ACCUMULATOR_BITS;
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary::add;
use crate::lower::ops::function::map_constant;
use crate::lower::quantize::{Goal, Quantized, accumulate, ceil_log2, margin, too_wide};
use crate::lower::tabulate::Tabulated;
use crate::lower::value::Value;

/// Widest integers whose function is looked up without rounding first.
const TABLE_BITS: u8 = 16;
/// Widest rounded integers that are looked up.
const MOST_BITS: u8 = 18;
/// Most bits that are dropped.
const MOST_DROPPED: i32 = 53;
/// Bits of a factor that is not of the form `m / 2^k`; factors in single precision are.
const FACTOR_BITS: u32 = 30;

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
    value.name = cx.here().into();
    value.range = cx.graph.nodes[node.inputs[0]].range;
    let (factor, offset) = (cx.read(node, 1)?, cx.read(node, 2)?);
    if !factor.is_constant() || !offset.is_constant() {
        return Err(refuse(
            "its factor or its offset is computed",
            "make its scale and zero point constants of the model",
        ));
    }
    let uniform = |value: &Value| value.constant_part().uniform();
    if let (Some(f), Some(z)) = (uniform(&factor), uniform(&offset)) {
        let most = node.range.0.abs().max(node.range.1.abs());
        let of = |x: f64| target.of(rounding.eval(x * f) + z);
        let tabulated = Tabulated {
            label: &cx.label(),
            bits: cx.bits.activation_bits,
            greatest: most,
            least: 0.0,
            function: &of,
        };
        if let Some(made) = cx.through_exact_table(&value, tabulated, TABLE_BITS)? {
            return Ok(made);
        }
    }
    let axes = value.mentioned();
    let Some(integers) = cx.exact_integers(&value, &axes)? else {
        return inexact(cx, value, factor, offset, &target);
    };
    let scaled = match uniform(&factor) {
        Some(factor) => Scaled::uniformly(&integers, factor),
        None => Scaled::each(cx, &value, &integers, factor)?,
    };
    if scaled.quantized.step_log2 <= 0 {
        return Err(refuse(
            "its integers are too wide to be multiplied",
            "use a smaller factor",
        ));
    }
    rounded(cx, &value, scaled, offset, &target)
}

impl Target {
    fn of(&self, x: f64) -> f64 {
        x.clamp(self.least, self.greatest)
    }

    /// `x + offset`, through a table if it is to be kept in a range.
    fn offset(&self, cx: &mut Lowering, x: Value, offset: Value) -> Result<Value, Diagnostic> {
        let sum = add(cx, x, offset)?;
        let (low, high) = cx.certain_range(&sum)?;
        if low >= self.least && high <= self.greatest {
            return Ok(sum);
        }
        let tabulated = Tabulated {
            label: &cx.label(),
            bits: cx.bits.activation_bits,
            greatest: self.greatest.abs(),
            least: 0.0,
            function: &|x| self.of(x),
        };
        let clamped = cx.through_exact_table(&sum, tabulated, MOST_BITS + 1)?;
        clamped.ok_or_else(|| too_wide(1 << MOST_BITS))
    }
}

/// `m`, `k` with `m / 2^k` the number, or near it with `m` of `bits` bits.
fn dyadic(number: f64, bits: u32) -> (i64, i32) {
    if number == 0.0 {
        return (0, 1);
    }
    let exponent = ceil_log2(number.abs());
    // `m` has 53 bits at most, so that this is exact.
    let exact = (number.abs() * f64::from(53 - exponent).exp2()) as u64;
    let spare = exact.trailing_zeros();
    let (mut m, mut k) = ((exact >> spare) as i64, 53 - exponent - spare as i32);
    let width = 64 - m.leading_zeros();
    let cut = width
        .saturating_sub(bits)
        .max((k - MOST_DROPPED).max(0) as u32);
    if cut > 0 {
        m = match cut {
            0..=62 => (m + (1 << (cut - 1))) >> cut,
            _ => 0,
        };
        k -= cut as i32;
    }
    (if number < 0.0 { -m } else { m }, k)
}

/// Integers times a factor, to be rounded.
struct Scaled {
    /// The step is 1.
    quantized: Quantized,
    /// Whether a half can occur.
    halves: bool,
    /// Greatest factor of the real numbers.
    greatest: f64,
}

/// Whether a multiple of `m` up to `most * m` is an odd multiple of `2^(k-1)`.
fn has_halves(m: i64, k: i32, most: i128) -> bool {
    let needed = k - 1 - m.trailing_zeros() as i32;
    m != 0 && (0..100).contains(&needed) && most >= 1i128 << needed
}

impl Scaled {
    fn uniformly(integers: &Quantized, factor: f64) -> Scaled {
        let width = 128 - integers.magnitude.leading_zeros();
        let bits = (ACCUMULATOR_BITS - 4).saturating_sub(width).min(53);
        let number = factor * integers.unit;
        let exact = dyadic(number, bits);
        let (m, k) = match 64 - exact.0.unsigned_abs().leading_zeros() {
            0..=FACTOR_BITS => exact,
            _ => dyadic(number, bits.min(FACTOR_BITS)),
        };
        let mut quantized = integers.clone();
        for term in quantized.accumulator.terms.to_mut() {
            term.coefficient = term.coefficient.saturating_mul(m);
        }
        let ends = [integers.bounds.0, integers.bounds.1].map(|x| x * i128::from(m));
        quantized.bounds = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        quantized.magnitude *= i128::from(m.unsigned_abs()).max(1);
        quantized.unit = f64::from(-k).exp2();
        quantized.step_log2 = k;
        Scaled {
            halves: has_halves(m, k, integers.magnitude),
            greatest: factor.abs(),
            quantized,
        }
    }

    /// With one factor for each index of some axes: the integers are committed first.
    fn each(
        cx: &mut Lowering,
        value: &Value,
        integers: &Quantized,
        factor: Value,
    ) -> Result<Scaled, Diagnostic> {
        let greatest = factor.constant_part().max_abs() * integers.unit;
        let k = (FACTOR_BITS as i32 - 1 - ceil_log2(greatest)).min(MOST_DROPPED);
        let parts = map_constant(&factor, |f| {
            (f * integers.unit * f64::from(k).exp2()).round()
        });
        let Some(mut column) = cx.exact(value, 31)? else {
            return Err(too_wide(integers.magnitude));
        };
        column = column.scaled(1.0 / integers.unit);
        let factors = parts.constant_part().data.clone();
        let mut parts = parts;
        cx.align(&mut parts, &mut column)?;
        let product = cx.multiply(column, parts)?;
        let name = cx.here();
        let axes = product.mentioned();
        let bits = FACTOR_BITS as u8 + 1;
        let mut quantized = accumulate(&mut cx.columns, &name, &product, &axes, Goal::Exact, bits)?;
        let finer = (1.0 / quantized.unit) as i64;
        let powers = quantized.unit.log2().fract() == 0.0;
        quantized.unit *= f64::from(-k).exp2();
        // What is left is one factor for all.
        let scaled = Scaled::uniformly(&quantized, 1.0);
        let dropped = scaled.quantized.step_log2;
        let halves = |m: &f64| has_halves(*m as i64 * finer, dropped, integers.magnitude);
        Ok(Scaled {
            halves: match powers && finer > 0 {
                true => factors.iter().any(halves),
                false => scaled.halves,
            },
            greatest: greatest / integers.unit,
            ..scaled
        })
    }

    /// The same with another sign.
    fn negated(&self) -> Quantized {
        let mut quantized = self.quantized.clone();
        for term in quantized.accumulator.terms.to_mut() {
            term.coefficient = -term.coefficient;
        }
        quantized.bounds = (-self.quantized.bounds.1, -self.quantized.bounds.0);
        quantized
    }
}

/// KeyRange of what bounded integers are when `2^bits` of them are one.
fn keys(bounds: (i128, i128), bits: i32) -> KeyRange {
    KeyRange::covering((bounds.0 >> bits).min(-1), (bounds.1 >> bits) + 1)
}

/// KeyRange of the rounded integers: all that there can be, or those that calibration saw with a margin if these are too many.
fn keys_of(
    cx: &Lowering,
    value: &Value,
    quantized: &Quantized,
    factor: f64,
) -> Result<KeyRange, Diagnostic> {
    let certain = keys(quantized.bounds, quantized.step_log2.max(0));
    if certain.bits <= MOST_BITS {
        return Ok(certain);
    }
    let seen = value.range.0.abs().max(value.range.1.abs()) * factor;
    let seen = (seen * margin(value.shape().iter().product()) + 2.0).min(1e30);
    let seen = KeyRange::covering(-(seen as i128), seen as i128);
    match seen.bits <= MOST_BITS {
        true => Ok(seen),
        false => Err(refuse(
            format!(
                "the result of `{}` before it is cut has {} bits",
                cx.here(),
                seen.bits
            ),
            format!("scale it to {MOST_BITS} bits first"),
        )),
    }
}

fn rounded(
    cx: &mut Lowering,
    value: &Value,
    mut scaled: Scaled,
    offset: Value,
    target: &Target,
) -> Result<Value, Diagnostic> {
    let axes = value.mentioned();
    let keys = keys_of(cx, value, &scaled.quantized, scaled.greatest)?;
    let name = cx.here();
    if target.rounding == Rounding::Down {
        // Half a step down, since rounding adds it.
        let half = -(1i64 << (scaled.quantized.step_log2 - 1));
        scaled.quantized.accumulator.terms.to_mut().push(ModelTerm {
            coefficient: half,
            summed: vec![].into(),
            operands: vec![].into(),
        });
    } else if scaled.halves {
        let range = cx.tables.range(&mut cx.columns, keys);
        let mut ends = vec![];
        let sides = [("up", scaled.quantized.clone()), ("down", scaled.negated())];
        for (side, quantized) in sides {
            let name = format!("{name}/{side}");
            let (column, _) = cx.requant(&name, quantized, keys, range, &[])?;
            ends.push(column_value(value, column, &axes, 1.0));
        }
        let [up, down] = [ends.remove(0), ends.remove(0).scaled(-1.0)];
        // Twice the integer; or, from two that differ, their odd sum.
        let mut sum = up.plus(down);
        sum.proven = None;
        let even = |sum: f64| match sum.rem_euclid(2.0) == 0.0 {
            true => sum / 2.0,
            false => (sum / 2.0).round_ties_even(),
        };
        let tabulated = Tabulated {
            label: "even",
            bits: cx.bits.activation_bits,
            greatest: f64::from(1u32 << MOST_BITS),
            least: 0.0,
            function: &even,
        };
        let made = cx.part("even", |cx| {
            cx.through_exact_table(&sum, tabulated, MOST_BITS + 1)
        })?;
        let made = made.ok_or_else(|| too_wide(1 << MOST_BITS))?;
        return target.offset(cx, made, offset);
    }
    mapped(cx, value, scaled.quantized, keys, offset, target)
}

/// Rounds half up, adds the offset and keeps the sum in its range.
fn mapped(
    cx: &mut Lowering,
    value: &Value,
    quantized: Quantized,
    keys: KeyRange,
    offset: Value,
    target: &Target,
) -> Result<Value, Diagnostic> {
    let (axes, name) = (value.mentioned(), cx.here());
    let shape = quantized.accumulator.shape.to_vec();
    let Some(z) = offset.constant_part().uniform() else {
        let range = cx.tables.range(&mut cx.columns, keys);
        let (column, _) = cx.requant(&name, quantized, keys, range, &[])?;
        let made = column_value(value, column, &axes, 1.0);
        return target.offset(
            cx,
            Value {
                proven: None,
                ..made
            },
            offset,
        );
    };
    let data: Vec<i32> = keys
        .iter()
        .map(|q| target.of(q as f64 + z) as i32)
        .collect();
    let bounds = data.iter().fold((0, 0), |(lo, hi): (i64, i64), y| {
        (lo.min((*y).into()), hi.max((*y).into()))
    });
    let label = cx.label();
    let table = cx.tables.table(&mut cx.columns, &label, keys, &[data]);
    let output = cx.columns.witness(&name, shape, bounds);
    let rounded = format!("{name}/rounded");
    cx.requant(&rounded, quantized, keys, table, &[output])?;
    Ok(mapped_value(value, output, &axes, 1.0))
}

/// Real numbers that are not exact integers: rounding them finely decides.
fn inexact(
    cx: &mut Lowering,
    mut value: Value,
    mut factor: Value,
    offset: Value,
    target: &Target,
) -> Result<Value, Diagnostic> {
    let most = factor.constant_part().max_abs();
    let name = value.name.clone();
    let range = (value.range.0 * most, value.range.1 * most);
    let product = match factor.constant_part().uniform() {
        Some(factor) => value.scaled(factor),
        None => {
            cx.align(&mut value, &mut factor)?;
            cx.multiply(value, factor)?
        }
    };
    let product = Value {
        name,
        range,
        ..product
    };
    let mut quantized = cx.accumulate(&product, &product.mentioned(), Goal::Step(1.0))?;
    if target.rounding == Rounding::Down {
        let finer = u32::from(quantized.step_log2 < 1);
        quantized = quantized.refined(finer);
        quantized.accumulator.terms.to_mut().push(ModelTerm {
            coefficient: -(1i64 << (quantized.step_log2 - 1)),
            summed: vec![].into(),
            operands: vec![].into(),
        });
    }
    let keys = keys_of(cx, &product, &quantized, 1.0)?;
    mapped(cx, &product, quantized, keys, offset, target)
}

#[cfg(test)]
mod tests {
    use crate::lower::ops::rescale::*;

    #[test]
    fn factors_are_dyadic() {
        assert_eq!(dyadic(0.75, 24), (3, 2));
        assert_eq!(dyadic(-12.0, 24), (-3, -2));
        let scale = f64::from(0.0037f32);
        let (m, k) = dyadic(scale, 24);
        assert_eq!(m as f64 / f64::from(k).exp2(), scale);
        let (m, k) = dyadic(1.0 / 3.0, 20);
        assert!((m as f64 / f64::from(k).exp2() - 1.0 / 3.0).abs() < 1e-6 && m < 1 << 20);
    }

    #[test]
    fn halves_occur_only_where_they_can() {
        assert!(has_halves(1, 1, 1));
        assert!(has_halves(3, 4, 8) && !has_halves(3, 4, 7));
        assert!(!has_halves(0, 1, 100));
    }
}
