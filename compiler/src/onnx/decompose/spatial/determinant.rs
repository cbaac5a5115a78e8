//! `Det` of small matrices.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, NodeId};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] =
    &[op("Det", 11, build).restricted("matrices of at most 4 rows")];

/// Most rows: each term is a product of that many elements.
const MOST_ROWS: usize = 4;

/// By minors of the first rows: one for each set of as many columns, from those with one row less.
fn build(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let build = &mut scope.build;
    let shape = build.shape(x);
    let batch = shape.len().saturating_sub(2);
    let size = shape.last().copied().unwrap_or(0);
    if shape.len() < 2 || shape[batch] != size {
        return Err(refuse("its matrices are not square", "correct the model"));
    }
    if size > MOST_ROWS {
        return Err(refuse(
            format!("its matrices have {size} rows"),
            format!("use at most {MOST_ROWS}"),
        ));
    }
    let mut minors: Vec<Option<NodeId>> = vec![None; 1 << size];
    for columns in 1usize..1 << size {
        let row = columns.count_ones() as usize - 1;
        let mut sum: Option<NodeId> = None;
        for column in (0..size).filter(|column| columns >> column & 1 == 1) {
            let line = build.slice(x, batch, row, 1, 1);
            let element = build.slice(line, batch + 1, column, 1, 1);
            let element = build.reshape(element, &shape[..batch]);
            let product = match minors[columns ^ 1 << column] {
                None => element,
                Some(minor) => build.binary(BinaryFn::Mul, element, minor),
            };
            let odd = (columns >> (column + 1)).count_ones() % 2 == 1;
            sum = Some(match (sum, odd) {
                (None, false) => product,
                (None, true) => build.multiply_scalar(product, -1.0),
                (Some(sum), false) => build.binary(BinaryFn::Add, sum, product),
                (Some(sum), true) => build.binary(BinaryFn::Sub, sum, product),
            });
        }
        minors[columns] = sum;
    }
    let made = minors.last().copied().flatten();
    let made = made.ok_or_else(|| refuse("its matrices are empty", "correct the model"))?;
    Ok(vec![(made, dtype)])
}
