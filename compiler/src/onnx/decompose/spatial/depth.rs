//! `SpaceToDepth`: blocks of space become channels, in either order.

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[op("SpaceToDepth", 1, from_space)];

fn from_space(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let block = scope
        .int("blocksize")
        .and_then(|block| usize::try_from(block).ok());
    let (Some(block @ 1..), &[batch, channels, height, width]) = (block, shape.as_slice()) else {
        return Err(refuse(
            "its block size is not positive, or its operand does not have four axes",
            "correct the model",
        ));
    };
    if height % block != 0 || width % block != 0 {
        return Err(refuse(
            "its blocks do not divide the spatial axes",
            "pad the operand",
        ));
    }
    // Axes: batch, channel, row of blocks, row, column of blocks, column.
    let order = match scope.text("mode").unwrap_or("DCR") {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        mode => {
            return Err(refuse(
                format!("its mode is `{mode}`"),
                "use `DCR` or `CRD`",
            ));
        }
    };
    let (rows, columns) = (height / block, width / block);
    let build = &mut scope.build;
    let apart = build.reshape(x, &[batch, channels, rows, block, columns, block]);
    let moved = build.transpose(apart, &order);
    let made = build.reshape(moved, &[batch, channels * block * block, rows, columns]);
    Ok(vec![(made, dtype)])
}
