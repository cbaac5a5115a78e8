//! Picking by index.

use tract_onnx::tract_core::ops::array::{Gather, GatherElements, GatherNd, OneHot};

use super::indices::{self, constant, positive, take};
use super::{Call, Importer, Translated, refusal};
use crate::graph::{Op, Tensor};
use crate::import::limits::check_matrix;

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
        let positive = indices
            .data
            .iter()
            .map(|i| positive(*i, length).map(|i| i as f64));
        let positive = positive.collect::<Result<_, _>>()?;
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

/// Element `o` of the result is the data's element at `pick(o)`, row-major.
fn pick(importer: &mut Importer, call: &Call, picks: &[usize]) -> Translated {
    let made = take(importer, call.inputs[0], picks);
    Ok(vec![importer.build.reshape(made, &call.shapes[0])])
}

/// `GatherElements` with constant indices.
pub fn elements(importer: &mut Importer, call: &Call, op: &GatherElements) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let picks = indices::of_elements(constant(importer, call.inputs[1])?, &shape, op.axis)?;
    pick(importer, call, &picks)
}

/// `GatherND` with constant indices.
pub fn tuples(importer: &mut Importer, call: &Call, op: &GatherNd) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let picks = indices::of_tuples(constant(importer, call.inputs[1])?, &shape, op.batch_dims)?;
    pick(importer, call, &picks)
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
    check_matrix(op.dim, op.dim)?;
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
