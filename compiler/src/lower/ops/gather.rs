//! Gather: constant indices are a slice or a selection matrix; others become one-hot rows, and the gather a matrix product.

use zkiln_runtime::model::{ColumnId, Structure};
use zkiln_runtime::relations::{OneHot, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::ops::slice::slice;
use crate::lower::quantize::Quantized;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value, View};

/// Most entries of a 0/1 matrix that picks rows.
const MOST_ENTRIES: usize = 1 << 30;

pub(super) fn lower(cx: &mut Lowering, node: &Node, dim: usize) -> Result<Value, Diagnostic> {
    let (data, index) = (cx.read(node, 0)?, cx.read(node, 1)?);
    let data = cx.single_axis(data, dim)?;
    match index.is_constant() {
        true => constant_indices(cx, data, &index, dim),
        false => one_hot(cx, data, &index, dim),
    }
}

fn constant_indices(
    cx: &mut Lowering,
    data: Value,
    index: &Value,
    dim: usize,
) -> Result<Value, Diagnostic> {
    let len = data.len(dim) as i64;
    let wrap = |x: &f64| if *x < 0.0 { *x as i64 + len } else { *x as i64 };
    let indices: Vec<i64> = index
        .constant_part()
        .over(&index.axes())
        .data
        .iter()
        .map(wrap)
        .collect();
    let volume: usize = index.shape().iter().product();
    let indices = if indices.len() == volume {
        indices
    } else {
        vec![indices[0]; volume]
    };
    let step = indices.get(1).map_or(1, |second| second - indices[0]);
    let shape = [
        &data.shape()[..dim],
        &index.shape(),
        &data.shape()[dim + 1..],
    ]
    .concat();
    let gathered = if step != 0 && indices.windows(2).all(|pair| pair[1] - pair[0] == step) {
        slice(cx, data, dim, indices[0], step, volume)?
    } else {
        select(cx, data, &indices, dim)?
    };
    cx.regroup(gathered, &shape)
}

/// Rows `indices` of dimension `dim`, by a 0/1 matrix.
fn select(
    cx: &mut Lowering,
    mut data: Value,
    indices: &[i64],
    dim: usize,
) -> Result<Value, Diagnostic> {
    let &[from] = data.dims[dim].as_slice() else {
        crate::lower::ops::shape::repeat(cx, &mut data, dim, indices.len());
        return Ok(data);
    };
    if indices.len().saturating_mul(from.len) > MOST_ENTRIES {
        return Err(refuse(
            format!("it picks {} of {} rows", indices.len(), from.len),
            "pick fewer",
        ));
    }
    let to = cx.fresh.axis(indices.len());
    let matrix = indices
        .iter()
        .flat_map(|&index| (0..from.len as i64).map(move |row| f64::from(row == index)));
    let selection = Value::new(
        vec![],
        vec![Term::constant(Weight::new(
            vec![to, from],
            matrix.collect(),
        ))],
    );
    let mut dims = data.dims.clone();
    dims[dim] = if to.len == 1 { vec![] } else { vec![to] };
    cx.contract(data, selection, &[from], dims)
}

fn one_hot(cx: &mut Lowering, data: Value, index: &Value, dim: usize) -> Result<Value, Diagnostic> {
    let &[row] = data.dims[dim].as_slice() else {
        let dims = [&data.dims[..dim], &index.dims, &data.dims[dim + 1..]].concat();
        return Ok(Value { dims, ..data });
    };
    let axes = index.mentioned();
    let not_integers = || {
        refuse(
            "its indices are calculated in floats",
            "gather with constant indices or with an integer model input",
        )
    };
    let integers = cx
        .exact_integers(index, &axes)?
        .filter(|q| q.unit == 1.0)
        .ok_or_else(not_integers)?;
    let hot = View::whole(
        hot_column(cx, integers, row.len as u32),
        &[axes, vec![row]].concat(),
    );
    let dims = [&data.dims[..dim], &index.dims, &data.dims[dim + 1..]].concat();
    let hot = Value::new(vec![], vec![Term::view(hot, 1.0)]).of_integers();
    let proven = data.proven;
    let picked = cx.contract(hot, data, &[row], dims)?;
    Ok(Value { proven, ..picked })
}

/// The one-hot rows of an index; the same ones for the same index.
fn hot_column(cx: &mut Lowering, index: Quantized, len: u32) -> ColumnId {
    if let Some(known) = cx.known_one_hot(&index.accumulator, len) {
        return known;
    }
    let shape = [index.accumulator.shape.to_vec(), vec![len]].concat();
    let name = cx.here();
    let hot = cx.columns.witness(&format!("{name}/hot"), shape, (0, 1));
    let iota = (cx.columns).structural(&format!("iota/{len}"), len, Structure::Index);
    cx.emit(
        &format!("{name}/hot"),
        &index.clone(),
        1,
        Relation::OneHot(OneHot {
            index: index.accumulator,
            hot,
            iota,
        }),
    );
    hot
}
