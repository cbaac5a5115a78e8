//! Select: with a constant condition, a 0/1 weight on either branch; otherwise `no + condition * (yes - no)`. What masks scores for a
//! softmax is made finite.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{MASKED, Node};
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary;
use crate::lower::quantize::ceil_log2;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value};

pub(super) fn lower(cx: &mut Lowering, node: &Node) -> Result<Value, Diagnostic> {
    let (condition, yes, no) = (cx.read(node, 0)?, cx.read(node, 1)?, cx.read(node, 2)?);
    if condition.is_constant() {
        let yes = branch(cx, &condition, yes, |x| x != 0.0)?;
        let no = branch(cx, &condition, no, |x| x == 0.0)?;
        return binary::add(cx, yes, no);
    }
    let masks = cx.is_only_compared(cx.current());
    let (yes, no, masked) = match masks {
        true => finite_masks(cx, yes, no)?,
        false => (yes, no, false),
    };
    for branch in [&yes, &no] {
        let beyond = |x: &f64| x.is_nan() || x.abs() >= MASKED;
        if branch.is_constant() && branch.constant_part().data.iter().any(beyond) {
            return Err(refuse(
                "it selects infinities that are more than a softmax's masks",
                "select a finite number instead",
            ));
        }
    }
    let mut difference = binary::add(cx, yes, no.clone().scaled(-1.0))?;
    difference.name = format!("{}/difference", cx.here()).into();
    let mut condition = condition;
    cx.align(&mut condition, &mut difference)?;
    let (mut chosen, mut no) = (cx.multiply(condition, difference)?, no);
    cx.align(&mut chosen, &mut no)?;
    let value = chosen.plus(no);
    Ok(Value { masked, ..value })
}

/// Raises a constant branch that stands for minus infinity to where it loses against the other all the same; the other is committed
/// first, so that the mask is an integer in its units.
fn finite_masks(
    cx: &mut Lowering,
    yes: Value,
    no: Value,
) -> Result<(Value, Value, bool), Diagnostic> {
    let bits = cx.bits.activation_bits;
    let floor = |other: &Value| {
        -f64::from(ceil_log2(other.range.1 - other.range.0 + f64::from(bits))).exp2()
    };
    let stands_for_less = |value: &Value, floor: f64| {
        let uniform = value
            .is_constant()
            .then(|| value.constant_part().uniform())
            .flatten();
        uniform.is_some_and(|x| x < 2.0 * floor)
    };
    let raised = |value: &Value, other: &Value| {
        let floor = other.range.0.min(0.0) + floor(other);
        let floor = -f64::from(ceil_log2(-floor)).exp2();
        Value {
            terms: vec![Term::constant(Weight::new(vec![], vec![floor]))],
            ..value.clone()
        }
    };
    let commit = |cx: &mut Lowering, value: Value| match value.is_constant() || value.is_simple() {
        true => Ok(value),
        false => cx.small(&value, bits),
    };
    if stands_for_less(&no, floor(&yes)) {
        let (no, yes) = (raised(&no, &yes), commit(cx, yes)?);
        return Ok((yes, no, true));
    }
    if stands_for_less(&yes, floor(&no)) {
        let (yes, no) = (raised(&yes, &no), commit(cx, no)?);
        return Ok((yes, no, true));
    }
    Ok((yes, no, false))
}

/// The value where `taken(condition)`, zero elsewhere.
fn branch(
    cx: &mut Lowering,
    condition: &Value,
    value: Value,
    taken: impl Fn(f64) -> bool,
) -> Result<Value, Diagnostic> {
    let mut condition = condition.clone();
    condition.freshen(&cx.fresh);
    let mask = condition.constant_part().map(|x| f64::from(taken(x)));
    if mask.uniform() == Some(1.0) || mask.uniform() == Some(0.0) {
        return Ok(if mask.uniform() == Some(1.0) {
            value
        } else {
            value.scaled(0.0)
        });
    }
    let mut mask = Value {
        terms: vec![Term::constant(mask)],
        ..condition
    };
    let mut value = match value.is_constant() || value.is_simple() {
        true => value,
        false => cx.small(&value, cx.bits.activation_bits)?,
    };
    cx.align(&mut mask, &mut value)?;
    if value.is_constant() {
        return Ok(chosen_constant(&mask, &value));
    }
    cx.multiply(value, mask)
}

/// `value` where the mask is 1; zero elsewhere, whatever the value is there.
fn chosen_constant(mask: &Value, value: &Value) -> Value {
    let dims: Vec<_> = mask
        .dims
        .iter()
        .zip(&value.dims)
        .map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() })
        .collect();
    let axes = dims.concat();
    let (mask, value) = (
        mask.constant_part().over(&axes),
        value.constant_part().over(&axes),
    );
    let data = mask
        .data
        .iter()
        .zip(value.data.iter())
        .map(|(&mask, &value)| if mask != 0.0 { value } else { 0.0 })
        .collect();
    Value::new(dims, vec![Term::constant(Weight::new(axes, data))])
}
