//! Elementwise functions of one variable: a lookup table on the operand. Affine ones fold into the expression.

use crate::graph::{Node, Pointwise, UnaryFn};
use crate::lower::value::{Term, Value};
use crate::lower::weight::Weight;
use crate::lower::{Lowering, Refusal};

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    function: &Pointwise,
) -> Result<Value, Refusal> {
    let value = cx.read(node, 0)?;
    if value.is_constant() {
        return Ok(map_constant(&value, |x| function.eval(x)));
    }
    if let Some((factor, offset)) = function.is_affine() {
        return Ok(add_number(value.scaled(factor), offset));
    }
    let greatest = node.range.0.abs().max(node.range.1.abs());
    cx.through_table(
        &value,
        &label(node, function),
        cx.settings.activation_bits,
        greatest,
        &|x| function.eval(x),
    )
}

/// The function of a constant.
pub(super) fn map_constant(value: &Value, function: impl Fn(f64) -> f64) -> Value {
    Value {
        terms: vec![Term::constant(value.constant_part().map(function))],
        ..value.clone()
    }
}

/// `value + number`.
pub(super) fn add_number(mut value: Value, number: f64) -> Value {
    value
        .terms
        .push(Term::constant(Weight::new(vec![], vec![number])));
    value.proven = value.proven.map(|(lo, hi)| (lo + number, hi + number));
    value
}

fn label(node: &Node, function: &Pointwise) -> String {
    let known: Option<&UnaryFn> = match function {
        Pointwise::Unary(function, argument) if **argument == Pointwise::Variable => Some(function),
        _ => None,
    };
    known.map_or_else(
        || node.name.clone(),
        |function| format!("{function:?}").to_lowercase(),
    )
}
