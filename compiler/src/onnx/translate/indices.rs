//! Indices: constant ones as offsets into row-major data, computed ones as one-hot rows.

use crate::graph::builder::Builder;
use crate::graph::{NodeId, Op, Tensor};
use crate::onnx::translate::{Diagnostic, Importer, refuse};

/// One-hot rows of the `k`-th index of each tuple along the last axis.
pub fn component(
    build: &mut Builder,
    tuples: NodeId,
    k: usize,
    length: usize,
) -> Result<NodeId, Diagnostic> {
    let mut shape = build.shape(tuples);
    let indices = build.slice(tuples, shape.len() - 1, k, 1, 1);
    shape.pop();
    let indices = build.reshape(indices, &shape);
    build.one_hot(indices, length)
}

/// An index below `length`; negative ones count from the end.
pub fn positive(index: f64, length: usize) -> Result<usize, Diagnostic> {
    let counted = if index < 0.0 {
        index + length as f64
    } else {
        index
    };
    if (0.0..length as f64).contains(&counted) {
        Ok(counted as usize)
    } else {
        Err(refuse(
            format!("index {index} is out of range for an axis of length {length}"),
            "correct the model",
        ))
    }
}

/// For each element of the indices, the offset of the data's element at its own place, but along `axis` at the index.
pub fn of_elements(
    indices: &Tensor,
    shape: &[usize],
    axis: usize,
) -> Result<Vec<usize>, Diagnostic> {
    let offset = |flat: usize| -> Result<usize, Diagnostic> {
        let (mut rest, mut inner, mut offset) = (flat, 1, 0);
        for a in (0..shape.len()).rev() {
            let own = rest % indices.shape[a];
            rest /= indices.shape[a];
            offset += inner
                * if a == axis {
                    positive(indices.data[flat], shape[a])?
                } else {
                    own
                };
            inner *= shape[a];
        }
        Ok(offset)
    };
    (0..indices.data.len()).map(offset).collect()
}

/// For each tuple along the last axis of the indices, the offsets of the block of data it points at, after `batches` axes that
/// indices and data share.
pub fn of_tuples(
    indices: &Tensor,
    shape: &[usize],
    batches: usize,
) -> Result<Vec<usize>, Diagnostic> {
    let depth = indices.shape.last().copied().filter(|d| *d > 0);
    let Some(depth) = depth else {
        return Err(refuse("its index tuples are empty", "remove the operator"));
    };
    let batch_count: usize = shape[..batches].iter().product();
    let indexed = &shape[batches..batches + depth];
    let block: usize = shape[batches + depth..].iter().product();
    let tuples_a_batch = (indices.data.len() / depth / batch_count.max(1)).max(1);
    let mut offsets = Vec::new();
    for (number, tuple) in indices.data.chunks(depth).enumerate() {
        let mut at = number / tuples_a_batch;
        for (index, length) in tuple.iter().zip(indexed) {
            at = at * length + positive(*index, *length)?;
        }
        offsets.extend(at * block..(at + 1) * block);
    }
    Ok(offsets)
}

/// The elements at the offsets, as one axis.
pub fn take(importer: &mut Importer, data: NodeId, offsets: &[usize]) -> NodeId {
    let volume = importer.build.graph.nodes[data].volume();
    let flat = importer.build.reshape(data, &[volume]);
    if offsets.iter().copied().eq(0..volume) {
        return flat;
    }
    let picks = Tensor::new(
        vec![offsets.len()],
        offsets.iter().map(|i| *i as f64).collect(),
    );
    let picks = importer.build.constant(picks);
    importer.build.push(
        Op::Gather { axis: 0 },
        vec![flat, picks],
        vec![offsets.len()],
    )
}
