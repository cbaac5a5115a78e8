//! Repetition along axes.

use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Tile};

use crate::onnx::translate::{Call, Importer, Translated};

/// Axes of length 1, and missing leading ones.
pub fn broadcast(importer: &mut Importer, call: &Call, _: &MultiBroadcastTo) -> Translated {
    Ok(vec![
        importer.build.broadcast(call.inputs[0], &call.shapes[0]),
    ])
}

/// Whole axes: a new axis before each, repeated and merged.
pub fn tile(importer: &mut Importer, call: &Call, _: &Tile) -> Translated {
    let x = call.inputs[0];
    let lengths = importer.build.shape(x);
    let pairs = lengths.iter().zip(&call.shapes[0]);
    let before: Vec<usize> = lengths.iter().flat_map(|len| [1, *len]).collect();
    let after: Vec<usize> = pairs
        .flat_map(|(from, to)| [to / from.max(&1), *from])
        .collect();
    let apart = importer.build.reshape(x, &before);
    let repeated = importer.build.broadcast(apart, &after);
    Ok(vec![importer.build.reshape(repeated, &call.shapes[0])])
}
