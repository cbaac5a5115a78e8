//! Elementwise arithmetic on two operands, which repeat along axes of length 1.
//!
//! Sums and products of expressions are expressions. A quotient is a product with a reciprocal in
//! floating point.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Node, Pointwise};
use crate::lower::lowering::Lowering;
use crate::lower::ops::{division, extremum, function};
use crate::lower::tabulate::Tabulated;
use crate::lower::value::Value;

/// Sums of more columns than this are committed before more is added.
const MAX_SUMMANDS: usize = 16;
/// Widest integers that are committed as they are.
const MOST_INTEGER_BITS: u8 = 32;
/// Products of two values are committed if they have more bits.
const MOST_WIDTH: u32 = 40;
/// Bits of a product that is committed because it is wide.
const WIDE_BITS: u8 = 24;
/// Constants this much below the other operand's range mask it: they are for a softmax to drop.
const MASK_FACTOR: f64 = 4.0;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    function: BinaryFn,
) -> Result<Value, Diagnostic> {
    let (mut a, mut b) = (cx.read(node, 0)?, cx.read(node, 1)?);
    if a.is_constant() && b.is_constant() {
        cx.align(&mut a, &mut b)?;
        return Ok(constants(&a, &b, function));
    }
    match function {
        BinaryFn::Add => add(cx, a, b),
        BinaryFn::Sub => add(cx, a, b.scaled(-1.0)),
        BinaryFn::Mul => multiply(cx, node, a, b),
        BinaryFn::Div => {
            let inverse = reciprocal(cx, &b)?;
            multiply(cx, node, a, inverse)
        }
        BinaryFn::Max => extremum::maximum(cx, a, b),
        BinaryFn::Min => Ok(extremum::maximum(cx, a.scaled(-1.0), b.scaled(-1.0))?.scaled(-1.0)),
        BinaryFn::Pow => power(cx, node, a, &b),
        BinaryFn::FloorDiv | BinaryFn::FloorMod => division::lower(cx, function, node),
    }
}

fn constants(a: &Value, b: &Value, function: BinaryFn) -> Value {
    let dims: Vec<_> = a
        .dims
        .iter()
        .zip(&b.dims)
        .map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() })
        .collect();
    let axes = dims.concat();
    let (left, right) = (a.constant_part().over(&axes), b.constant_part().over(&axes));
    let data = left
        .data
        .iter()
        .zip(right.data.iter())
        .map(|(&a, &b)| function.eval(a, b))
        .collect();
    Value::new(
        dims,
        vec![crate::lower::value::Term::constant(
            crate::lower::value::weight::Weight::new(axes, data),
        )],
    )
}

/// `a + b`.
pub(super) fn add(cx: &mut Lowering, mut a: Value, mut b: Value) -> Result<Value, Diagnostic> {
    a = prepare(cx, a, &b)?;
    b = prepare(cx, b, &a)?;
    cx.align(&mut a, &mut b)?;
    Ok(a.plus(b))
}

/// Commits a summand that would get lost in a mask, or is too long a sum already.
fn prepare(cx: &mut Lowering, value: Value, other: &Value) -> Result<Value, Diagnostic> {
    let masked = other.masked || other.is_constant() && masks(other, &value);
    if masked && !value.is_simple() {
        return cx.small(&value, cx.bits.activation_bits);
    }
    if value.terms.len() > MAX_SUMMANDS {
        // Integers stay what they are.
        let integers = cx.exact_integers(&value, &value.mentioned())?;
        if integers.is_some_and(|integers| integers.unit == 1.0)
            && let Some(exact) = cx.exact(&value, MOST_INTEGER_BITS)?
        {
            return Ok(exact);
        }
        cx.small(&value, cx.bits.residual_bits())
    } else {
        Ok(value)
    }
}

/// Whether a constant is so far below the value that it can only be a mask.
fn masks(constant: &Value, value: &Value) -> bool {
    let least = constant
        .constant_part()
        .data
        .iter()
        .fold(0.0, |least: f64, &x| least.min(x));
    let span = value.range.1 - value.range.0;
    least < -MASK_FACTOR * span && least < -10.0
}

fn multiply(
    cx: &mut Lowering,
    node: &Node,
    mut a: Value,
    mut b: Value,
) -> Result<Value, Diagnostic> {
    cx.align(&mut a, &mut b)?;
    let square = node.inputs[0] == node.inputs[1];
    let linear = a.is_constant() || b.is_constant();
    let product = Value {
        proven: square.then_some((0.0, f64::INFINITY)),
        ..cx.multiply(a, b)?
    };
    if linear || cx.width(&product) <= MOST_WIDTH {
        return Ok(product);
    }
    // A product with what is in floating point is never as great as its columns allow.
    let known = Value {
        range: node.range,
        name: cx.here().into(),
        ..product
    };
    cx.small(&known, WIDE_BITS)
}

/// `1 / value`, which is one sign for all elements where calibration saw one.
pub(super) fn reciprocal(cx: &mut Lowering, value: &Value) -> Result<Value, Diagnostic> {
    if value.is_constant() {
        return Ok(function::map_constant(value, f64::recip));
    }
    let inverse = |cx: &mut Lowering, value: &Value| {
        let inverse = cx.part("recip", |cx| cx.inverse_root(value, 0.0, 1, "recip"))?;
        merged(cx, inverse)
    };
    if value.range.0 >= 0.0 {
        return inverse(cx, value);
    }
    if value.range.1 <= 0.0 {
        let negative = value.clone().scaled(-1.0);
        return Ok(inverse(cx, &negative)?.scaled(-1.0));
    }
    let (magnitude, sign) = cx.magnitude_and_sign(value)?;
    let inverse = inverse(cx, &magnitude)?;
    cx.multiply(inverse, sign)
}

/// A product that is known to fit one column.
pub(super) fn merged(cx: &mut Lowering, product: Value) -> Result<Value, Diagnostic> {
    let named = Value {
        name: cx.here().into(),
        ..product
    };
    Ok(cx.exact(&named, MOST_INTEGER_BITS)?.unwrap_or(named))
}

fn power(
    cx: &mut Lowering,
    node: &Node,
    base: Value,
    exponent: &Value,
) -> Result<Value, Diagnostic> {
    let uniform = exponent
        .is_constant()
        .then(|| exponent.constant_part().uniform())
        .flatten();
    let Some(exponent) = uniform else {
        return computed_power(cx, node, base, exponent.clone());
    };
    function::lower_with(cx, node, base, &Pointwise::power(exponent))
}

/// `exp(exponent * ln(base))`, for bases that are not negative.
fn computed_power(
    cx: &mut Lowering,
    node: &Node,
    base: Value,
    exponent: Value,
) -> Result<Value, Diagnostic> {
    if base.range.0 < 0.0 {
        return Err(refuse(
            "its base may be negative, and its exponent is computed",
            "use one constant exponent, or make the base positive",
        ));
    }
    let mut logarithm = match base.is_constant() {
        true => function::map_constant(&base, libm::log),
        false => cx.part("ln", |cx| cx.logarithm(&base, 0.0))?,
    };
    let (mut exponent, exponent_range) = (exponent.clone(), exponent.range);
    cx.align(&mut logarithm, &mut exponent)?;
    let mut product = cx.multiply(logarithm, exponent)?;
    let ends = |(low, high): (f64, f64)| low.abs().max(high.abs());
    let most = libm::log(node.range.1.max(f64::MIN_POSITIVE));
    let steepest = ends(exponent_range) * libm::log(base.range.1.max(2.0));
    product.range = (-steepest.max(most.abs()), most.max(0.0));
    product.name = format!("{}/log", cx.here()).into();
    let tabulated = Tabulated {
        label: "exp",
        bits: cx.bits.residual_bits(),
        greatest: node.range.1,
        least: 0.0,
        function: &libm::exp,
    };
    cx.through_table(&product, tabulated)
}
