//! `OneHot`: every class is compared with the index, so that an index outside the classes gives a row of off-values.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Tensor};
use crate::onnx::decompose::nn::ranking::is_zero;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] =
    &[op("OneHot", 9, build).restricted("constant depth; at most 2^22 elements")];

/// Most comparisons of indices with classes.
const MOST_COMPARISONS: usize = 1 << 22;

/// Classes from `-depth`: a negative index counts from the end.
fn build(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let indices = scope.operand(0)?;
    let depth = scope
        .constant_ints(1)?
        .and_then(|depth| depth.first().copied());
    let depth = depth
        .and_then(|depth| usize::try_from(depth).ok())
        .filter(|depth| *depth > 0);
    let depth = depth.ok_or_else(|| refuse("its depth is not positive", "correct the model"))?;
    let values = scope.operand(2)?;
    let dtype = scope.dtype(2);
    let rank = scope.build.rank(indices) + 1;
    let axis = Scope::position(scope.int("axis").unwrap_or(-1), rank)?;
    let build = &mut scope.build;
    let mut shape = build.shape(indices);
    let indexed = shape.iter().product::<usize>();
    if indexed.saturating_mul(depth) > MOST_COMPARISONS {
        return Err(refuse(
            format!("it compares {indexed} indices with {depth} classes"),
            "use fewer classes, or Gather rows of a matrix",
        ));
    }
    shape.insert(axis, 1);
    let indices = build.reshape(indices, &shape);
    let mut along = vec![1; rank];
    along[axis] = depth;
    let mut hits = Vec::new();
    for first in [0.0, -(depth as f64)] {
        let classes = (0..depth).map(|class| first + class as f64).collect();
        let classes = build.constant(Tensor::new(along.clone(), classes));
        let distance = build.binary(BinaryFn::Sub, indices, classes);
        hits.push(build.pointwise(is_zero(), distance));
    }
    let hit = build.binary(BinaryFn::Add, hits[0], hits[1]);
    let one = vec![1; rank];
    let off = build.slice(values, 0, 0, 1, 1);
    let on = build.slice(values, 0, 1, 1, 1);
    let (off, on) = (build.reshape(off, &one), build.reshape(on, &one));
    let step = build.binary(BinaryFn::Sub, on, off);
    let raised = build.binary(BinaryFn::Mul, hit, step);
    Ok(vec![(build.binary(BinaryFn::Add, raised, off), dtype)])
}
