//! Softmax over one axis: `exp(x - max)` from a table, its sum, and the sum's reciprocal as an exact integer quotient.
//!
//! The result stays the product `exp * reciprocal`: normalization is deferred to whatever contracts it.

use std::f64::consts::LN_2;

use zkiln_runtime::model::ColumnId;
use zkiln_runtime::relations::{Quotient, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::graph::extent::magnitude;
use crate::lower::boundary::limbs;
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::ops::extremum::settle_to;
use crate::lower::ops::hidden;
use crate::lower::quantize::{Goal, Quantized, ceil_log2, margin};
use crate::lower::row_max::RowMaximum;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Bits of the reciprocal of the greatest sum.
const RECIPROCAL_BITS: i32 = 14;
/// Step of scores, at most.
const SCORE_STEP: f64 = 1.0 / 64.0;
/// Step of scores from which on a softmax is another one.
const COARSEST_STEP: f64 = 0.25;
/// Most bits of scores.
const MOST_SCORE_BITS: u8 = 16;
/// Widest reciprocals.
const MOST_QUOTIENT_BITS: i32 = 30;
/// Widest table of exponentials.
const MAX_KEY_BITS: u8 = 18;
/// A sum of exponentials may be this many bits less precise than one of them: each is rounded.
const SUM_BITS: i32 = 6;
/// Most bits of an exponential.
const MOST_BITS: i32 = 24;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    dim: usize,
    hidden: &[f64],
) -> Result<Value, Diagnostic> {
    let mut value = cx.read(node, 0)?;
    if !hidden.is_empty() {
        value = hidden::lower(cx, node, dim, value, hidden)?;
    }
    let value = cx.single_axis(value, dim)?;
    let &[axis] = value.dims[dim].as_slice() else {
        return Ok(Value::new(
            value.dims,
            vec![Term::constant(Weight::new(vec![], vec![1.0]))],
        ));
    };
    let value = hidden::clamp(cx, value, dim)?;
    let value = settled_scores(cx, value)?;
    let made = exponentials(cx, &value, axis, f64::INFINITY)?;
    let total = total(&value, &made, node, axis);
    let (reciprocal, scale_log2) = reciprocal(cx, &total, &made, axis.len)?;
    let mut product = made.exp;
    product.factors.push(View::whole(reciprocal, &made.rows));
    product.scalar = f64::from(-scale_log2).exp2();
    Ok(Value {
        proven: Some((0.0, 1.0)),
        ..Value::new(value.dims, vec![product])
    })
}

/// `max + ln(sum(exp(x - max)))`, where no element is more than `reach` below the maximum.
pub(super) fn log_sum_exp(
    cx: &mut Lowering,
    node: &Node,
    dim: usize,
    reach: f64,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let value = cx.single_axis(value, dim)?;
    let &[axis] = value.dims[dim].as_slice() else {
        return Ok(value);
    };
    let value = hidden::clamp(cx, value, dim)?;
    let value = settled_scores(cx, value)?;
    let made = exponentials(cx, &value, axis, reach)?;
    let mut total = total(&value, &made, node, axis);
    total.dims[dim] = vec![];
    let mut logarithm = cx.part("ln", |cx| cx.logarithm(&total, 0.0))?;
    logarithm
        .terms
        .push(Term::view(View::whole(made.max, &made.rows), made.unit));
    Ok(logarithm.normalize())
}

/// Exponentials of the distances from their row's maximum.
struct Exponentials {
    rows: Vec<Axis>,
    /// Maxima over the rows, in units of `unit`.
    max: ColumnId,
    unit: f64,
    /// `2^bits exp(x - max)`, as a real number.
    exp: Term,
    bits: i32,
}

/// The sum of the exponentials, at least 1.
fn total(value: &Value, made: &Exponentials, node: &Node, axis: Axis) -> Value {
    let sum = Value::new(value.dims.clone(), vec![made.exp.clone()]).sum_over(&[axis]);
    Value {
        name: format!("{}/sum", node.name).into(),
        range: (0.0, axis.len as f64),
        proven: Some((1.0, axis.len as f64)),
        ..sum
    }
}

/// The scores as exact integers: as they are, or rounded finely.
fn settled_scores(cx: &mut Lowering, value: Value) -> Result<Value, Diagnostic> {
    let unit = |cx: &mut Lowering, value: &Value| {
        let exact = cx.exact_integers(value, &value.mentioned())?;
        Ok(exact.map_or(f64::INFINITY, |exact| exact.unit))
    };
    let bits = score_bits(cx, &value);
    let before = unit(cx, &value)?;
    let settled = settle_to(cx, value, bits)?;
    let step = unit(cx, &settled)?;
    if step.is_finite() && step > COARSEST_STEP && before < step && !settled.masked {
        return Err(refuse(
            format!("its scores reach so far that they are rounded to multiples of {step}"),
            "scale the scores down before the softmax, or give sample inputs of the size that is meant",
        ));
    }
    Ok(settled)
}

/// Bits of scores of which rounding changes no exponential by more than half of [`SCORE_STEP`].
pub(super) fn score_bits(cx: &Lowering, value: &Value) -> u8 {
    let greatest = value.range.0.abs().max(value.range.1.abs());
    let most = greatest * margin(value.shape().iter().product());
    let bits = ceil_log2(most / SCORE_STEP).max(0) as u8 + 1;
    bits.min(MOST_SCORE_BITS).max(cx.bits.activation_bits)
}

/// Distance from the maximum at which an exponential is zero.
pub(super) fn vanishes(cx: &Lowering, len: usize) -> f64 {
    f64::from(exponential_bits(cx, len) + 2) * LN_2
}

/// Bits of exponentials of which so many are summed.
fn exponential_bits(cx: &Lowering, len: usize) -> i32 {
    let bits = (SUM_BITS + ceil_log2(len as f64)).min(MOST_BITS);
    bits.max(cx.bits.activation_bits.into())
}

/// The exponentials along `axis`, with the relation that proves them, and that no element is more than `reach` below the maximum.
fn exponentials(
    cx: &mut Lowering,
    value: &Value,
    axis: Axis,
    reach: f64,
) -> Result<Exponentials, Diagnostic> {
    let rows = value.mentioned().into_iter().filter(|a| *a != axis);
    let rows: Vec<Axis> = rows.collect();
    let axes = [rows.as_slice(), &[axis]].concat();
    let scores = cx.accumulate(value, &axes, Goal::Exact)?;
    let (lo, hi) = cx.certain_range(value)?;
    let masked = value
        .constant_part()
        .data
        .iter()
        .any(|&x| x < value.range.0);
    let seen = if masked {
        f64::INFINITY
    } else {
        (value.range.1 - value.range.0) * margin(value.shape().iter().product())
    };
    let covering = |span: f64| KeyRange::covering(0, (span / scores.unit).ceil() as i128);
    let certain = covering(hi - lo);
    let keys = if cx.saturates() && certain.bits <= MAX_KEY_BITS {
        certain
    } else {
        covering((hi - lo).min(seen))
    };
    if keys.bits > MAX_KEY_BITS {
        return Err(refuse(
            format!(
                "its scores span {} steps of {:e}",
                1u64 << keys.bits,
                scores.unit
            ),
            "scale the scores down before the softmax, or mask with a smaller number",
        ));
    }
    let bits = exponential_bits(cx, axis.len);
    let scale = f64::from(bits).exp2();
    let exp: Vec<i32> = keys
        .iter()
        .map(|key| (scale * libm::exp(-(key as f64) * scores.unit)).round() as i32)
        .collect();
    let hit: Vec<i32> = keys.iter().map(|key| i32::from(key == 0)).collect();
    let barred: Vec<bool> = (keys.iter())
        .map(|key| key as f64 * scores.unit > reach)
        .collect();
    let place = (keys.first(), keys.bits);
    let (columns, data) = (&mut cx.columns, [exp, hit]);
    let table = (cx.tables).partial_table(columns, "exp", place, &data, &barred);
    let maximum = RowMaximum {
        scores: &scores,
        range: (lo, hi),
        seen: match masked {
            true => f64::INFINITY,
            false => magnitude(value.range) * margin(value.shape().iter().product()),
        },
        keys,
        table,
        label: "exp",
        bounds: (0, scale as i64),
    };
    let columns = maximum.emit(cx)?;
    Ok(Exponentials {
        rows,
        max: columns.max,
        unit: scores.unit,
        exp: Term::view(View::whole(columns.made, &axes), 1.0 / scale),
        bits,
    })
}

/// `floor(2^t / sum)` for sums of up to `len` exponentials: the column and `t`.
fn reciprocal(
    cx: &mut Lowering,
    total: &Value,
    made: &Exponentials,
    len: usize,
) -> Result<(ColumnId, i32), Diagnostic> {
    let exp_bits = made.bits;
    let sum: Quantized = cx.accumulate(total, &made.rows, Goal::Exact)?;
    let len_log2 = ceil_log2(len as f64);
    let numerator_log2 = exp_bits + len_log2 + RECIPROCAL_BITS.min(MOST_QUOTIENT_BITS - len_log2);
    let quotient_bits = (numerator_log2 - exp_bits + 1) as u32;
    let sum_bits = (exp_bits + ceil_log2(len as f64)) as u32 + 1;
    let shape = sum.accumulator.shape.to_vec();
    let name = total.name.clone();
    let quotient = cx.columns.witness(
        &format!("{}/recip", cx.here()),
        shape.clone(),
        (0, 1 << (quotient_bits - 1)),
    );
    let mut split = |label: &str, bits: u32| {
        limbs(
            &mut cx.columns,
            &mut cx.tables,
            &format!("{name}/{label}"),
            &shape,
            bits,
            3,
        )
        .1
    };
    let (quotient_limbs, remainder, slack) = (
        split("quotient", quotient_bits),
        split("remainder", sum_bits),
        split("slack", sum_bits),
    );
    let relation = Quotient {
        numerator: 1 << numerator_log2,
        denominator: sum.accumulator.clone(),
        quotient,
        quotient_limbs,
        remainder,
        slack,
    };
    cx.emit(
        &format!("{}/recip", cx.here()),
        &sum,
        quotient_bits,
        Relation::Quotient(relation),
    );
    Ok((quotient, numerator_log2))
}
