//! Maximum by tournament: `max(a, b) = a + relu(b - a)`, exact when both are integers of one scale.

use crate::diagnostic::Diagnostic;
use crate::lower::boundary::EXACT_EXTRA_BITS;
use crate::lower::lowering::Lowering;
use crate::lower::tabulate::Tabulated;
use crate::lower::value::Value;

use crate::lower::ops::slice::slice;

/// Bits up to which values meet without being committed first.
const EXACT_BITS: u8 = 16;
/// Widest integers of which the greater is found exactly.
const WIDE_BITS: u8 = 26;
/// What is rounded to so many bits, and kept as it is up to a few more, has differences that are not rounded.
pub(super) const EXACT_MAXIMUM_BITS: u8 = WIDE_BITS - EXACT_EXTRA_BITS - 1;
/// Sums of more terms are committed before the next match.
const MAX_TERMS: usize = 8;

/// Elementwise maximum; axes of length 1 repeat.
pub(super) fn maximum(cx: &mut Lowering, a: Value, b: Value) -> Result<Value, Diagnostic> {
    maximum_to(cx, a, b, cx.wanted_bits(cx.current()))
}

/// As [`maximum`], of operands with so many bits if they have to be rounded.
pub(super) fn maximum_to(
    cx: &mut Lowering,
    a: Value,
    b: Value,
    bits: u8,
) -> Result<Value, Diagnostic> {
    let (mut a, mut b) = (settle_to(cx, a, bits)?, settle_to(cx, b, bits)?);
    cx.align(&mut a, &mut b)?;
    let (sure_a, sure_b) = (cx.certain_range(&a)?, cx.certain_range(&b)?);
    let mut difference = b.clone().plus(a.clone().scaled(-1.0));
    difference.proven = Some((sure_b.0 - sure_a.1, sure_b.1 - sure_a.0));
    difference.range = (b.range.0 - a.range.1, b.range.1 - a.range.0);
    difference.name = format!("{}/difference", cx.here()).into();
    let excess = cx.part("excess", |cx| match bits > cx.bits.activation_bits {
        true => excess_of_bits(cx, difference, bits),
        false => excess(cx, &difference),
    })?;
    let (range, name) = (
        (a.range.0.max(b.range.0), a.range.1.max(b.range.1)),
        a.name.clone(),
    );
    let winner = a.plus(excess);
    Ok(Value {
        range,
        name,
        proven: Some((sure_a.0.max(sure_b.0), sure_a.1.max(sure_b.1))),
        ..winner
    })
}

/// By how much a value exceeds zero: exactly, where it is an integer of so few or so many bits that it is not rounded.
fn excess(cx: &mut Lowering, value: &Value) -> Result<Value, Diagnostic> {
    if value.integer {
        return cx.positive_part(value);
    }
    let bits = cx.bits.activation_bits;
    let wide = cx
        .exact_bits(value)?
        .filter(|exact| (bits + 2..=WIDE_BITS).contains(exact));
    if wide.is_some()
        && let Some(exact) = exact_excess(cx, value)?
    {
        return Ok(exact);
    }
    let greatest = value.range.1.max(0.0);
    let relu = Tabulated {
        label: "relu",
        bits,
        greatest,
        least: 0.0,
        function: &|x| x.max(0.0),
    };
    cx.through_table(value, relu)
}

/// By how much a value exceeds zero, where it has more bits than a table: of this many if it has to be rounded.
fn excess_of_bits(cx: &mut Lowering, value: Value, bits: u8) -> Result<Value, Diagnostic> {
    if value.integer {
        return cx.positive_part(&value);
    }
    let narrow = cx.exact_bits(&value)?.is_some_and(|bits| bits <= WIDE_BITS);
    let value = match narrow {
        true => value,
        false => cx.small(&value, bits)?,
    };
    match exact_excess(cx, &value)? {
        Some(exact) => Ok(exact),
        None => excess(cx, &value),
    }
}

/// The value times whether it is positive, if that fits one column.
fn exact_excess(cx: &mut Lowering, value: &Value) -> Result<Option<Value>, Diagnostic> {
    let sign = cx.positive(value)?;
    let product = cx.multiply(value.clone(), sign)?;
    let most = cx.certain_range(value)?.1.max(0.0);
    let product = Value {
        proven: Some((0.0, most)),
        name: cx.here().into(),
        ..product
    };
    cx.exact(&product, WIDE_BITS)
}

/// The value as an expression of few exact integers.
pub(super) fn settle(cx: &mut Lowering, value: Value) -> Result<Value, Diagnostic> {
    settle_to(cx, value, cx.bits.activation_bits)
}

/// As [`settle`], rounded to so many bits if it has to be.
pub(super) fn settle_to(cx: &mut Lowering, value: Value, bits: u8) -> Result<Value, Diagnostic> {
    if value.is_constant()
        || (value.terms.len() <= MAX_TERMS
            && cx
                .exact_bits(&value)?
                .is_some_and(|bits| bits <= EXACT_BITS))
    {
        return Ok(value);
    }
    cx.small(&value, bits)
}

/// Maximum over dimension `dim`, which is kept with length 1: halves meet until one is left.
pub(super) fn maximum_over(
    cx: &mut Lowering,
    value: Value,
    dim: usize,
) -> Result<Value, Diagnostic> {
    maximum_over_to(cx, value, dim, cx.wanted_bits(cx.current()))
}

/// As [`maximum_over`], rounded to so many bits if it has to be.
pub(super) fn maximum_over_to(
    cx: &mut Lowering,
    value: Value,
    dim: usize,
    bits: u8,
) -> Result<Value, Diagnostic> {
    let mut value = settle_to(cx, value, bits)?;
    while value.len(dim) > 1 {
        let len = value.len(dim);
        let half = len.div_ceil(2);
        let about = (value.range, value.proven, value.name.clone());
        let part = |cx: &mut Lowering, start: usize| {
            let mut part = value.clone();
            part.freshen(&cx.fresh);
            let part = slice(cx, part, dim, start as i64, 1, half)?;
            Ok(Value {
                range: about.0,
                proven: about.1,
                name: about.2.clone(),
                ..part
            })
        };
        let (low, high) = (part(cx, 0)?, part(cx, len - half)?);
        value = maximum_to(cx, low, high, bits)?;
    }
    Ok(value)
}
