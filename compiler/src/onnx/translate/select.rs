//! Choosing between two values.

use tract_onnx::tract_core::ops::array::Trilu;
use tract_onnx::tract_core::ops::logic::Iff;

use crate::graph::Tensor;
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Unchanged, but for a condition that is the same everywhere.
pub fn iff(importer: &mut Importer, call: &Call, _: &Iff) -> Translated {
    let build = &importer.build;
    let chosen = build
        .graph
        .uniform(call.inputs[0])
        .map(|condition| match condition {
            0.0 => call.inputs[2],
            _ => call.inputs[1],
        });
    if let Some(chosen) = chosen.filter(|id| build.shape(*id) == call.shapes[0]) {
        return Ok(vec![chosen]);
    }
    Ok(vec![importer.build.select(
        call.inputs[0],
        call.inputs[1],
        call.inputs[2],
    )])
}

/// The triangle of the last two axes, else 0.
pub fn triangle(importer: &mut Importer, call: &Call, op: &Trilu) -> Translated {
    let Some(diagonal) = importer
        .build
        .tensor(call.inputs[1])
        .map(|t| t.data[0] as i64)
    else {
        return Err(refuse("its diagonal is computed", "make it a constant"));
    };
    let rank = call.shapes[0].len();
    let (rows, columns) = (call.shapes[0][rank - 2], call.shapes[0][rank - 1]);
    let inside = |i: usize| {
        let beyond = (i % columns) as i64 - (i / columns) as i64 - diagonal;
        if op.upper { beyond >= 0 } else { beyond <= 0 }
    };
    let mut shape = vec![1; rank];
    shape[rank - 2..].copy_from_slice(&[rows, columns]);
    let mask = Tensor::new(
        shape,
        (0..rows * columns)
            .map(|i| inside(i) as u8 as f64)
            .collect(),
    );
    let mask = importer.build.constant(mask);
    let zero = importer.build.scalar(0.0, rank);
    Ok(vec![importer.build.select(mask, call.inputs[0], zero)])
}
