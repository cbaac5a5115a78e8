//! 1 where an element is the greatest of its axis, else 0: the hits of a row maximum.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary::add;
use crate::lower::ops::extremum::maximum_over;
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
        _ if value.integer => return among_many(cx, &value, dim),
        _ if cx.bits.are_more() => {
            let value = cx.small(&value, cx.bits.deciding_bits())?;
            return among_many(cx, &value, dim);
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
    let hits: Vec<i32> = keys.iter().map(|key| i32::from(key == 0)).collect();
    let outputs = [hits.clone(), hits];
    let table = cx.tables.table(&mut cx.columns, "hit", keys, &outputs);
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

/// `1 - [maximum - x > 0]` of what has too many steps for a table of distances.
fn among_many(cx: &mut Lowering, value: &Value, dim: usize) -> Result<Value, Diagnostic> {
    let value = &cx.small(value, SCORE_BITS)?;
    let greatest = maximum_over(cx, value.clone(), dim)?;
    let mut below = add(cx, greatest, value.clone().scaled(-1.0))?;
    below.name = format!("{}/below", cx.here()).into();
    Ok(add_number(cx.positive(&below)?.scaled(-1.0), 1.0))
}
