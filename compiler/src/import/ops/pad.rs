//! Padding.

use tract_onnx::tract_core::ops::array::{Pad, PadMode};

use super::{Call, Importer, Translated, refusal};
use crate::graph::{NodeId, Op};

/// Constants as they are; reflections and repeated edges are joined from slices.
pub fn translate(importer: &mut Importer, call: &Call, op: &Pad) -> Translated {
    let mut x = call.inputs[0];
    match &op.mode {
        PadMode::Constant(value) => {
            let Ok(value) = value.cast_to_scalar::<f64>() else {
                return Err(refusal("its value is not a number", "pad with a number"));
            };
            let before = op.pads.iter().map(|p| p.0).collect();
            x = importer
                .build
                .push(Op::Pad { before, value }, vec![x], call.shapes[0].clone());
        }
        mode => {
            for (axis, (before, after)) in op.pads.iter().enumerate() {
                let length = importer.build.shape(x)[axis];
                let reflect = *mode == PadMode::Reflect;
                if reflect && *before.max(after) >= length {
                    return Err(refusal(
                        "it reflects more than there is",
                        "correct the model",
                    ));
                }
                let left = if reflect {
                    mirror(importer, x, axis, *before, *before)
                } else {
                    edge(importer, x, axis, 0, *before)
                };
                let last = length - 1;
                let right = if reflect {
                    mirror(importer, x, axis, last.saturating_sub(1), *after)
                } else {
                    edge(importer, x, axis, last, *after)
                };
                let parts = left.into_iter().chain([x]).chain(right).collect();
                x = importer.build.concat(parts, axis);
            }
        }
    }
    Ok(vec![x])
}

/// `count` positions backwards from `start`.
fn mirror(
    importer: &mut Importer,
    x: NodeId,
    axis: usize,
    start: usize,
    count: usize,
) -> Option<NodeId> {
    (count > 0).then(|| importer.build.slice(x, axis, start, count, -1))
}

/// Position `at`, `count` times.
fn edge(
    importer: &mut Importer,
    x: NodeId,
    axis: usize,
    at: usize,
    count: usize,
) -> Option<NodeId> {
    let one = (count > 0).then(|| importer.build.slice(x, axis, at, 1, 1))?;
    let mut shape = importer.build.shape(x);
    shape[axis] = count;
    Some(importer.build.broadcast(one, &shape))
}
