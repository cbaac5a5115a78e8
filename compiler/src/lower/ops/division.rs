//! Division of integers, rounded down, and what it leaves: exact, by constants and by computed integers. Divisors are positive: what is zero or
//! negative has no proof.

use zkiln_runtime::relations::{Division, Limbs, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Node};
use crate::lower::boundary::{column_value, limbs};
use crate::lower::columns::KeyRange;
use crate::lower::integers::number_like;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Goal;
use crate::lower::value::{Axis, Value};

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
            let dims = dims(&a, &b).dims;
            return Ok(Value { dims, ..made });
        }
    }
    let quotient = quotient(cx, &a, &b)?;
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

/// Least and greatest quotient of integers in these ranges.
fn bounds((low, high): (f64, f64), (least, greatest): (f64, f64)) -> (i128, i128) {
    let quotient = |a: f64, b: f64| (a as i128).div_euclid(b as i128);
    let ends = [least, greatest].map(|b| [quotient(low, b), quotient(high, b)]);
    let ends = ends.as_flattened();
    let least = ends.iter().copied().fold(i128::MAX, i128::min);
    (least, ends.iter().copied().fold(i128::MIN, i128::max))
}

/// `floor(a / b)` of integers over dimensions that agree.
pub(in crate::lower) fn quotient(
    cx: &mut Lowering,
    a: &Value,
    b: &Value,
) -> Result<Value, Diagnostic> {
    let divisors = cx.certain_range(b)?;
    if divisors.1 < 1.0 {
        return Err(refuse("its divisor is never positive", "correct the model"));
    }
    let divisors = (divisors.0.max(1.0), divisors.1);
    let (least, greatest) = bounds(cx.certain_range(a)?, divisors);
    if least == greatest {
        return Ok(number_like(&dims(a, b), least as f64));
    }
    if i32::try_from(least).is_err() || i32::try_from(greatest).is_err() {
        return Err(refuse(
            format!("its quotients reach from {least} to {greatest}"),
            "keep quotients within 32 bits, or give samples of the numbers that occur",
        ));
    }
    let axes = mentioned(a, b);
    let numerator = cx.accumulate(a, &axes, Goal::Exact)?;
    let divisor = cx.accumulate(b, &axes, Goal::Exact)?;
    let shape = numerator.accumulator.shape.to_vec();
    let name = format!("{}/quotient", cx.here());
    let bits = |most: i128| u32::from(KeyRange::covering(0, most).bits);
    let mut cut = |part: &str, most: i128| -> Limbs {
        let (columns, tables) = (&mut cx.columns, &mut cx.tables);
        limbs(
            columns,
            tables,
            &format!("{name}/{part}"),
            &shape,
            bits(most),
            0,
        )
        .1
    };
    let below = divisors.1 as i128 - 1;
    let parts = [
        cut("above", greatest - least),
        cut("rest", below),
        cut("slack", below),
    ];
    let range = (least as i64, greatest as i64);
    let output = cx.columns.witness(&name, shape, range);
    let [quotient_limbs, remainder, slack] = parts;
    let relation = Relation::Division(Division {
        numerator: numerator.accumulator.clone(),
        divisor: divisor.accumulator,
        quotient: output,
        least: range.0,
        quotient_limbs,
        remainder,
        slack,
    });
    cx.emit(&name, &numerator, bits(greatest - least), relation);
    let over = dims(a, b);
    let made = column_value(&over, output, &axes, 1.0);
    Ok(Value {
        proven: Some((least as f64, greatest as f64)),
        integer: true,
        ..made
    })
}

/// The first value with the dimensions of both.
fn dims(a: &Value, b: &Value) -> Value {
    let dims = a.dims.iter().zip(&b.dims);
    let dims = dims.map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() });
    Value {
        dims: dims.collect(),
        ..a.clone()
    }
}

/// The axes that one of the values varies along.
fn mentioned(a: &Value, b: &Value) -> Vec<Axis> {
    let (first, second) = (a.mentioned(), b.mentioned());
    let axes = dims(a, b).axes().into_iter();
    axes.filter(|axis| first.contains(axis) || second.contains(axis))
        .collect()
}
