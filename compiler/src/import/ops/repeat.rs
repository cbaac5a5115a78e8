//! Repetition.

use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Tile};
use tract_onnx::tract_core::ops::nn::NearestUpsample;

use super::{Call, Importer, Translated};

/// Axes of length 1, and missing leading ones.
pub fn broadcast(importer: &mut Importer, call: &Call, _: &MultiBroadcastTo) -> Translated {
    Ok(vec![
        importer.build.broadcast(call.inputs[0], &call.shapes[0]),
    ])
}

/// Whole axes: a new axis before each, repeated and merged.
pub fn tile(importer: &mut Importer, call: &Call, _: &Tile) -> Translated {
    repeat(importer, call, |length, times| {
        [(1, times), (length, length)]
    })
}

/// Each element: a new axis after each, repeated and merged.
pub fn upsample(importer: &mut Importer, call: &Call, _: &NearestUpsample) -> Translated {
    repeat(importer, call, |length, times| {
        [(length, length), (1, times)]
    })
}

/// `split` says which two axes one axis becomes, before and after repetition.
fn repeat(
    importer: &mut Importer,
    call: &Call,
    split: impl Fn(usize, usize) -> [(usize, usize); 2],
) -> Translated {
    let x = call.inputs[0];
    let lengths = importer.build.shape(x);
    let pairs: Vec<(usize, usize)> = lengths
        .iter()
        .zip(&call.shapes[0])
        .flat_map(|(from, to)| split(*from, to / from.max(&1)))
        .collect();
    let before: Vec<usize> = pairs.iter().map(|p| p.0).collect();
    let after: Vec<usize> = pairs.iter().map(|p| p.1).collect();
    let apart = importer.build.reshape(x, &before);
    let repeated = importer.build.broadcast(apart, &after);
    Ok(vec![importer.build.reshape(repeated, &call.shapes[0])])
}
