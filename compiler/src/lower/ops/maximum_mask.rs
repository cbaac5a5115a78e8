//! 1 where an element is the greatest of its axis, else 0: the hits of a row maximum.

use zkiln_runtime::model::Structure;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::columns::{KeyRange, Output};
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary::add;
use crate::lower::ops::extremum::{EXACT_MAXIMUM_BITS, maximum_over_to};
use crate::lower::ops::function::add_number;
use crate::lower::quantize::{Goal, margin};
use crate::lower::row_max::RowMaximum;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Bits to which scores are rounded unless they are small integers.
const SCORE_BITS: u8 = 14;
/// Widest table of distances from the maximum.
const MAX_KEY_BITS: u8 = 18;

pub(super) fn lower(cx: &mut Lowering, node: &Node, dim: usize) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let value = cx.single_axis(value, dim)?;
    let &[axis] = value.dims[dim].as_slice() else {
        let one = Term::constant(Weight::new(vec![], vec![1.0]));
        return Ok(Value::new(value.dims, vec![one]));
    };
    let value = match cx.exact_bits(&value)? {
        Some(bits) if bits < MAX_KEY_BITS => value,
        _ if value.integer => {
            let value = cx.small(&value, SCORE_BITS)?;
            return among_many(cx, value, dim);
        }
        _ if cx.bits.are_more() => {
            let bits = cx.bits.deciding_bits().min(EXACT_MAXIMUM_BITS);
            // Elements of a row are told apart: they have one step.
            let even = Value {
                channels: None,
                ..value
            };
            let value = cx.small(&even, bits)?;
            return among_many(cx, value, dim);
        }
        _ => cx.small(&value, SCORE_BITS)?,
    };
    let rows: Vec<Axis> = value
        .mentioned()
        .into_iter()
        .filter(|a| *a != axis)
        .collect();
    let axes = [rows.as_slice(), &[axis]].concat();
    let scores = cx.accumulate(&value, &axes, Goal::Exact)?;
    let (lo, hi) = cx.certain_range(&value)?;
    let seen = (value.range.1 - value.range.0) * margin(value.shape().iter().product());
    let most = |span: f64| KeyRange::covering(0, (span / scores.unit).ceil() as i128);
    let keys = match most(hi - lo) {
        keys if keys.bits <= MAX_KEY_BITS => keys,
        _ => most(seen),
    };
    if keys.bits > MAX_KEY_BITS {
        return Err(refuse(
            "its scores have too many steps to be told apart",
            "use fewer activation bits",
        ));
    }
    let hits = || Output::Structural(Structure::First);
    let (place, outputs) = ((keys.first(), keys.bits), vec![hits(), hits()]);
    let table = (cx.tables).partial_table(&mut cx.columns, "hit", place, outputs, &[]);
    let maximum = RowMaximum {
        scores: &scores,
        range: (lo, hi),
        seen: f64::INFINITY,
        keys,
        table,
        label: "same",
        bounds: (0, 1),
    };
    let hit = maximum.emit(cx)?.hit;
    Ok(Value {
        proven: Some((0.0, 1.0)),
        ..Value::new(value.dims, vec![Term::view(View::whole(hit, &axes), 1.0)])
    })
}

/// `1 - [maximum - x > 0]` of what has too many steps for a table of distances. The maximum is one of the elements, to the last bit: a rounded one
/// may be above all of them.
fn among_many(cx: &mut Lowering, value: Value, dim: usize) -> Result<Value, Diagnostic> {
    let greatest = maximum_over_to(cx, value.clone(), dim, EXACT_MAXIMUM_BITS)?;
    let mut below = add(cx, greatest, value.scaled(-1.0))?;
    below.name = format!("{}/below", cx.here()).into();
    Ok(add_number(cx.positive(&below)?.scaled(-1.0), 1.0))
}
