//! Maximum by tournament: `max(a, b) = a + relu(b - a)`, exact when both are integers of one scale.

use crate::diagnostic::Diagnostic;
use crate::lower::lowering::Lowering;
use crate::lower::tabulate::Tabulated;
use crate::lower::value::Value;

use crate::lower::ops::slice::slice;

/// Bits up to which values meet without being committed first.
const EXACT_BITS: u8 = 16;
/// Sums of more terms are committed before the next match.
const MAX_TERMS: usize = 8;

/// Elementwise maximum; axes of length 1 repeat.
pub(super) fn maximum(cx: &mut Lowering, a: Value, b: Value) -> Result<Value, Diagnostic> {
    let (mut a, mut b) = (settle(cx, a)?, settle(cx, b)?);
    cx.align(&mut a, &mut b)?;
    let (sure_a, sure_b) = (cx.certain_range(&a)?, cx.certain_range(&b)?);
    let mut difference = b.clone().plus(a.clone().scaled(-1.0));
    difference.proven = Some((sure_b.0 - sure_a.1, sure_b.1 - sure_a.0));
    difference.range = (b.range.0 - a.range.1, b.range.1 - a.range.0);
    difference.name = format!("{}/difference", cx.here()).into();
    let greatest = difference.range.1.max(0.0);
    let bits = cx.bits.activation_bits;
    let excess = cx.part("excess", |cx| {
        let relu = Tabulated {
            label: "relu",
            bits,
            greatest,
            least: 0.0,
            function: &|x| x.max(0.0),
        };
        cx.through_table(&difference, relu)
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

/// The value as an expression of few exact integers.
pub(super) fn settle(cx: &mut Lowering, value: Value) -> Result<Value, Diagnostic> {
    if value.is_constant()
        || (value.terms.len() <= MAX_TERMS
            && cx
                .exact_bits(&value)?
                .is_some_and(|bits| bits <= EXACT_BITS))
    {
        return Ok(value);
    }
    cx.small(&value, cx.bits.activation_bits)
}

/// Maximum over dimension `dim`, which is kept with length 1: halves meet until one is left.
pub(super) fn maximum_over(
    cx: &mut Lowering,
    value: Value,
    dim: usize,
) -> Result<Value, Diagnostic> {
    let mut value = settle(cx, value)?;
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
        value = maximum(cx, low, high)?;
    }
    Ok(value)
}
