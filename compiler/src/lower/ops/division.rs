//! Division of integers, rounded down, and what it leaves: exact, by constants and by computed integers. Divisors are positive: what is zero or
//! negative has no proof.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Node};
use crate::lower::lowering::Lowering;
use crate::lower::value::Value;

/// Widest integers whose quotients are looked up.
const TABLE_BITS: u8 = 12;

/// `floor(a / b)`, or `a - b floor(a / b)`.
pub(super) fn lower(
    cx: &mut Lowering,
    function: BinaryFn,
    node: &Node,
) -> Result<Value, Diagnostic> {
    let (a, mut b) = (cx.read(node, 0)?, cx.read(node, 1)?);
    if !a.is_integer() || !b.is_integer() {
        return Err(refuse(
            "it divides numbers that are not integers",
            "report the model",
        ));
    }
    let mut a = cx.column_of_integers(&a)?;
    cx.align(&mut a, &mut b)?;
    let table = b
        .is_constant()
        .then(|| b.constant_part().uniform())
        .flatten();
    if let Some(divisor) = table {
        let of = |x: f64| function.eval(x, divisor);
        let label = cx.label();
        if let Some(made) = cx.through_integer_table(&a, &label, TABLE_BITS, &of)? {
            let dims = a.repeated_like(&b).dims;
            return Ok(Value { dims, ..made });
        }
    }
    let quotient = cx.floor_quotient(&a, &b)?;
    if function == BinaryFn::FloorDiv {
        return Ok(quotient);
    }
    let greatest = cx.certain_range(&b)?.1 - 1.0;
    let multiple = cx.multiply(quotient, b)?;
    let rest = a.plus(multiple.scaled(-1.0));
    Ok(Value {
        proven: Some((0.0, greatest)),
        ..rest
    })
}
