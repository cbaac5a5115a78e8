//! Reductions over axes, which are kept with length 1.

use crate::diagnostic::Diagnostic;
use crate::graph::{Node, Reducer};
use crate::lower::lowering::Lowering;
use crate::lower::ops::extremum;
use crate::lower::value::{Axis, Value};

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    reducer: Reducer,
    axes: &[usize],
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let summed: Vec<Axis> = axes
        .iter()
        .flat_map(|&dim| value.dims[dim].clone())
        .collect();
    let kept = |value: &Value| {
        value
            .dims
            .iter()
            .enumerate()
            .map(|(dim, factors)| {
                if axes.contains(&dim) {
                    vec![]
                } else {
                    factors.clone()
                }
            })
            .collect()
    };
    let sum = |value: Value| Value {
        dims: kept(&value),
        ..value.sum_over(&summed)
    };
    match reducer {
        Reducer::Sum => Ok(sum(value)),
        Reducer::Mean => {
            let count: usize = summed.iter().map(|axis| axis.len).product();
            Ok(sum(value).scaled(1.0 / count as f64))
        }
        Reducer::SumSquare => {
            let bits = cx.wanted_bits(node.inputs[0]);
            let value = cx.short_sum(&value, bits)?;
            cx.sum_of_squares(&value, &summed, kept(&value))
        }
        Reducer::Max => over_all(cx, value, axes),
        Reducer::Min => Ok(over_all(cx, value.scaled(-1.0), axes)?.scaled(-1.0)),
    }
}

fn over_all(cx: &mut Lowering, value: Value, axes: &[usize]) -> Result<Value, Diagnostic> {
    axes.iter()
        .try_fold(value, |value, &dim| extremum::maximum_over(cx, value, dim))
}
