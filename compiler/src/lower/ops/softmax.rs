//! Softmax over one axis: `exp(x - max)` from a table, its sum, and the sum's reciprocal as an exact integer quotient.
//!
//! The result stays the product `exp * reciprocal`: normalization is deferred to whatever contracts it.

use std::f64::consts::LN_2;

use zkiln_runtime::model::ColumnId;
use zkiln_runtime::relations::{Quotient, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::boundary::limbs;
use crate::lower::columns::KeyRange;
use crate::lower::intervals::elementwise;
use crate::lower::lowering::Lowering;
use crate::lower::ops::extremum::settle;
use crate::lower::quantize::{Goal, Quantized, ceil_log2, margin};
use crate::lower::row_max::RowMaximum;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Bits of the reciprocal of the greatest sum.
const RECIPROCAL_BITS: i32 = 12;
/// Widest table of exponentials.
const MAX_KEY_BITS: u8 = 18;

pub(super) fn lower(cx: &mut Lowering, node: &Node, dim: usize) -> Result<Value, Diagnostic> {
    let mut value = cx.read(node, 0)?;
    if node.inputs.len() == 2 {
        value = masked(cx, node, value)?;
    }
    let value = cx.single_axis(value, dim)?;
    let &[axis] = value.dims[dim].as_slice() else {
        return Ok(Value::new(
            value.dims,
            vec![Term::constant(Weight::new(vec![], vec![1.0]))],
        ));
    };
    let value = clamp_masks(cx, value);
    let value = settle(cx, value)?;
    let rows: Vec<Axis> = value
        .mentioned()
        .into_iter()
        .filter(|a| *a != axis)
        .collect();
    let exp = exponentials(cx, &value, &rows, axis)?;
    let total = Value {
        name: format!("{}/sum", node.name).into(),
        ..Value::new(value.dims.clone(), vec![exp.clone()]).sum_over(&[axis])
    };
    let greatest = node
        .stats
        .first()
        .map_or(axis.len as f64, |&(_, hi)| hi.min(axis.len as f64));
    let (reciprocal, scale_log2) = reciprocal(cx, &total, &rows, axis.len, greatest)?;
    let mut product = exp;
    product.factors.push(View::whole(reciprocal, &rows));
    product.scalar = f64::from(-scale_log2).exp2();
    Ok(Value {
        proven: Some((0.0, 1.0)),
        ..Value::new(value.dims, vec![product])
    })
}

/// `low + mask (x - low)`, where exponentials of `low` are zero beside any that is not masked.
fn masked(cx: &mut Lowering, node: &Node, mut value: Value) -> Result<Value, Diagnostic> {
    let mut mask = cx.read(node, 1)?;
    let (lo, hi) = value.range;
    let low = lo - vanishes(cx);
    let constant = |x: f64| Term::constant(Weight::new(vec![], vec![x]));
    value.terms.push(constant(-low));
    value.range = (0.0, hi - low);
    value.proven = value.proven.map(|(lo, hi)| (lo - low, hi - low));
    cx.align(&mut mask, &mut value)?;
    let name = value.name.clone();
    let mut product = cx.multiply(mask, value)?;
    product.terms.push(constant(low));
    Ok(Value {
        range: (low, hi.max(low)),
        name,
        ..product.normalize()
    })
}

/// Distance from the maximum at which an exponential is zero.
fn vanishes(cx: &Lowering) -> f64 {
    f64::from(cx.bits.activation_bits + 2) * LN_2
}

/// Raises constants that stand for minus infinity to where the exponential is zero all the same.
fn clamp_masks(cx: &mut Lowering, mut value: Value) -> Value {
    let Some((lo, hi)) = elementwise(&value, &cx.columns) else {
        return value;
    };
    let least_column = lo.data.iter().fold(0.0, |least: f64, &x| least.min(x));
    let constant = value.constant_part();
    let floor = hi.map(|hi| least_column - hi - vanishes(cx));
    if constant.uniform().is_none() {
        value.terms.retain(|term| !term.is_constant());
        value
            .terms
            .push(Term::constant(constant.combine(&floor, f64::max)));
    }
    value
}

/// `2^K exp(x - max)` over `rows` and `axis`, with the relation that proves it.
fn exponentials(
    cx: &mut Lowering,
    value: &Value,
    rows: &[Axis],
    axis: Axis,
) -> Result<Term, Diagnostic> {
    let axes = [rows, &[axis]].concat();
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
    let scale = f64::from(1u32 << cx.bits.activation_bits);
    let exp: Vec<i32> = keys
        .iter()
        .map(|key| (scale * libm::exp(-(key as f64) * scores.unit)).round() as i32)
        .collect();
    let hit: Vec<i32> = keys.iter().map(|key| i32::from(key == 0)).collect();
    let table = cx.tables.table(&mut cx.columns, "exp", keys, &[exp, hit]);
    let maximum = RowMaximum {
        scores: &scores,
        range: (lo, hi),
        keys,
        table,
        label: "exp",
        bounds: (0, scale as i64),
    };
    let (exp, _) = maximum.emit(cx);
    Ok(Term::view(View::whole(exp, &axes), 1.0 / scale))
}

/// `floor(2^t / sum)` for sums of up to `len` exponentials, typically at most `greatest`: the column and `t`.
fn reciprocal(
    cx: &mut Lowering,
    total: &Value,
    rows: &[Axis],
    len: usize,
    greatest: f64,
) -> Result<(ColumnId, i32), Diagnostic> {
    let exp_bits = i32::from(cx.bits.activation_bits);
    let sum: Quantized = cx.accumulate(total, rows, Goal::Exact)?;
    let numerator_log2 = exp_bits + ceil_log2(greatest) + RECIPROCAL_BITS;
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
