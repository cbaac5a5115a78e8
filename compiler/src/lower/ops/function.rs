//! Elementwise functions of one variable: a lookup table on the operand. Affine ones fold into the expression.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{MASKED, Node, Pointwise, UnaryFn};
use crate::lower::boundary::Tabulated;
use crate::lower::lowering::Lowering;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value};

/// Widest integers that a table with jumps is exact on: rounding them first would move the jumps.
const MOST_EXACT_BITS: u8 = 16;
/// Widest integers of which one table of signs is cheaper than two comparisons.
const TABLE_BITS: u8 = 12;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    function: &Pointwise,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    if value.is_constant() {
        return Ok(map_constant(&value, |x| function.eval(x)));
    }
    if let Some((factor, offset)) = function.is_affine() {
        return Ok(add_number(value.scaled(factor), offset));
    }
    if let Some((line, values)) = function.by_sign() {
        return by_sign(cx, value, line, values);
    }
    let greatest = node.range.0.abs().max(node.range.1.abs());
    let bits = cx.bits.activation_bits;
    let exact_bits = if function.may_jump() {
        MOST_EXACT_BITS
    } else {
        bits + 1
    };
    let label = label(cx, function);
    let table = |x: f64| function.eval(x);
    let tabulated = Tabulated {
        label: &label,
        bits,
        greatest,
        function: &table,
    };
    match cx.through_exact_table(&value, tabulated, exact_bits)? {
        Some(made) => Ok(made),
        None => cx.through_table(&value, &label, bits, greatest, &table),
    }
}

/// `values` for the negative, zero and positive of `a x + b`.
fn by_sign(
    cx: &mut Lowering,
    value: Value,
    [slope, offset]: [f64; 2],
    [negative, zero, positive]: [f64; 3],
) -> Result<Value, Diagnostic> {
    if ![negative, zero, positive].iter().all(|y| y.abs() < MASKED) {
        return Err(refuse(
            "it makes infinities",
            "make a finite number instead, or mask with the condition where scores are",
        ));
    }
    let table = |x: f64| {
        let at = slope * x + offset;
        match at == 0.0 {
            true => zero,
            false if at < 0.0 => negative,
            false => positive,
        }
    };
    let greatest = [negative, zero, positive]
        .into_iter()
        .fold(0.0, |most: f64, y| most.max(y.abs()));
    let two_sided = negative != zero && positive != zero;
    if two_sided && cx.is_on_grid(&value)? {
        let tabulated = Tabulated {
            label: &cx.label(),
            bits: cx.bits.activation_bits,
            greatest,
            function: &table,
        };
        if let Some(made) = cx.through_exact_table(&value, tabulated, TABLE_BITS)? {
            return Ok(made);
        }
    }
    let shape = value.dims.clone();
    let mut line = add_number(value.scaled(slope), offset);
    line.name = cx.here().into();
    let constant = Term::constant(Weight::new(vec![], vec![zero]));
    let mut made = Value::new(shape, vec![constant]);
    for (sign, step) in [(1.0, positive - zero), (-1.0, negative - zero)] {
        if step != 0.0 {
            made = made.plus(cx.positive(&line.clone().scaled(sign))?.scaled(step));
        }
    }
    Ok(made)
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

fn label(cx: &Lowering, function: &Pointwise) -> String {
    let known: Option<&UnaryFn> = match function {
        Pointwise::Unary(function, argument) if **argument == Pointwise::Variable => Some(function),
        _ => None,
    };
    known.map_or_else(
        || cx.label(),
        |function| format!("{function:?}").to_lowercase(),
    )
}
