//! Picking by index.

use tract_onnx::tract_core::ops::array::{Gather, GatherElements, GatherNd, OneHot};

use super::{Call, Importer, Translated, refusal};
use crate::graph::{NodeId, Op, Tensor};

/// Constant indices are made positive; others have to be.
pub fn gather(importer: &mut Importer, call: &Call, op: &Gather) -> Translated {
    if let Some(to) = op.output_type.filter(|to| *to != call.dtypes[0]) {
        return Err(refusal(
            format!(
                "its data is stored as {:?} and read as {to:?}",
                call.dtypes[0]
            ),
            "store floats",
        ));
    }
    let (data, mut picked) = (call.inputs[0], call.inputs[1]);
    let length = importer.build.shape(data)[op.axis];
    if let Some(indices) = importer.build.tensor(picked) {
        let positive: Option<Vec<f64>> = indices
            .data
            .iter()
            .map(|i| positive(*i, length).map(|i| i as f64))
            .collect();
        let Some(positive) = positive else {
            return Err(refusal(
                format!("an index is not below {length}"),
                "correct the model",
            ));
        };
        picked = importer
            .build
            .constant(Tensor::new(indices.shape.clone(), positive));
    }
    Ok(vec![importer.build.push(
        Op::Gather { axis: op.axis },
        vec![data, picked],
        call.shapes[0].clone(),
    )])
}

fn positive(index: f64, length: usize) -> Option<usize> {
    let index = if index < 0.0 {
        index + length as f64
    } else {
        index
    };
    (0.0..length as f64)
        .contains(&index)
        .then_some(index as usize)
}

/// Element `o` of the result is the data's element at `pick(o)`, row-major.
fn pick(importer: &mut Importer, call: &Call, picks: Option<Vec<usize>>) -> Translated {
    let data = call.inputs[0];
    let volume = importer.build.graph.nodes[data].volume();
    let Some(picks) = picks.filter(|p| p.iter().all(|i| *i < volume)) else {
        return Err(refusal(
            "an index is outside of the data",
            "correct the model",
        ));
    };
    let flat = importer.build.reshape(data, &[volume]);
    let count = picks.len();
    let picks = importer.build.constant(Tensor::new(
        vec![count],
        picks.iter().map(|i| *i as f64).collect(),
    ));
    let made = importer
        .build
        .push(Op::Gather { axis: 0 }, vec![flat, picks], vec![count]);
    Ok(vec![importer.build.reshape(made, &call.shapes[0])])
}

fn constant_indices<'i>(
    importer: &'i Importer,
    indices: NodeId,
) -> Result<&'i Tensor, super::Refusal> {
    importer.build.tensor(indices).ok_or_else(|| {
        refusal(
            "its indices are computed",
            "only `Gather` along one axis takes computed indices",
        )
    })
}

/// `GatherElements` with constant indices.
pub fn elements(importer: &mut Importer, call: &Call, op: &GatherElements) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let indices = constant_indices(importer, call.inputs[1])?;
    let picks = (0..indices.data.len()).map(|flat| {
        let (mut rest, mut inner, mut offset) = (flat, 1, 0);
        for axis in (0..shape.len()).rev() {
            let own = rest % indices.shape[axis];
            rest /= indices.shape[axis];
            offset += inner
                * if axis == op.axis {
                    positive(indices.data[flat], shape[axis])?
                } else {
                    own
                };
            inner *= shape[axis];
        }
        Some(offset)
    });
    let picks = picks.collect();
    pick(importer, call, picks)
}

/// `GatherND` with constant indices.
pub fn tuples(importer: &mut Importer, call: &Call, op: &GatherNd) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let indices = constant_indices(importer, call.inputs[1])?;
    let batches: usize = shape[..op.batch_dims].iter().product();
    let depth = *indices.shape.last().unwrap_or(&1);
    let indexed = &shape[op.batch_dims..op.batch_dims + depth];
    let block: usize = shape[op.batch_dims + depth..].iter().product();
    let tuples_a_batch = indices.data.len() / depth.max(1) / batches.max(1);
    let mut picks = Some(Vec::new());
    for (number, tuple) in indices.data.chunks(depth.max(1)).enumerate() {
        let batch = number / tuples_a_batch.max(1);
        let start = tuple
            .iter()
            .zip(indexed)
            .try_fold(batch, |at, (i, n)| Some(at * n + positive(*i, *n)?));
        picks = picks.zip(start).map(|(mut picks, start)| {
            picks.extend(start * block..(start + 1) * block);
            picks
        });
    }
    pick(importer, call, picks)
}

/// A row of a table with `on` at the index and `off` elsewhere.
pub fn one_hot(importer: &mut Importer, call: &Call, op: &OneHot) -> Translated {
    let value = |t: &tract_onnx::prelude::Tensor| t.cast_to_scalar::<f64>();
    let (Ok(on), Ok(off)) = (value(&op.on), value(&op.off)) else {
        return Err(refusal(
            "its values are not numbers",
            "export the model in floats",
        ));
    };
    let mut table = Tensor::filled(vec![op.dim, op.dim], off);
    (0..op.dim).for_each(|i| table.data[i * op.dim + i] = on);
    let table = importer.build.constant(table);
    let mut shape = importer.build.shape(call.inputs[0]);
    shape.push(op.dim);
    let rank = shape.len();
    let rows = importer
        .build
        .push(Op::Gather { axis: 0 }, vec![table, call.inputs[0]], shape);
    let mut permutation: Vec<usize> = (0..rank - 1).collect();
    permutation.insert(op.axis, rank - 1);
    Ok(vec![importer.build.transpose(rows, &permutation)])
}
