//! Picking by index.

use tract_onnx::tract_core::ops::array::{Gather, GatherElements, GatherNd};

use crate::graph::{Op, Tensor};
use crate::onnx::translate::indices;
use crate::onnx::translate::indices::{positive, take};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Constant indices are made positive; others have to be.
pub fn gather(importer: &mut Importer, call: &Call, op: &Gather) -> Translated {
    if let Some(to) = op.output_type.filter(|to| *to != call.dtypes[0]) {
        return Err(refuse(
            format!(
                "its data is stored as {:?} but read as {to:?}",
                call.dtypes[0]
            ),
            "store the data as floats",
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

/// `GatherElements`.
pub fn elements(importer: &mut Importer, call: &Call, op: &GatherElements) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    if let Some(indices) = importer.build.tensor(call.inputs[1]) {
        let picks = indices::of_elements(indices, &shape, op.axis)?;
        return pick(importer, call, &picks);
    }
    let build = &mut importer.build;
    let mut data = call.inputs[0];
    for (axis, &length) in call.shapes[0]
        .iter()
        .enumerate()
        .filter(|(a, _)| *a != op.axis)
    {
        data = build.slice(data, axis, 0, length, 1);
    }
    let hot = build.one_hot(call.inputs[1], shape[op.axis])?;
    let rank = shape.len() as u8;
    let output: Vec<u8> = (0..rank).collect();
    let mut picked = output.clone();
    picked[op.axis] = rank;
    let op = Op::Einsum {
        inputs: vec![(0..=rank).collect(), picked],
        output,
    };
    Ok(vec![build.push(
        op,
        vec![hot, data],
        call.shapes[0].clone(),
    )])
}

/// `GatherND`: a product of one-hot rows, one for each indexed axis, picks.
pub fn tuples(importer: &mut Importer, call: &Call, op: &GatherNd) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    if let Some(indices) = importer.build.tensor(call.inputs[1]) {
        let picks = indices::of_tuples(indices, &shape, op.batch_dims)?;
        return pick(importer, call, &picks);
    }
    let build = &mut importer.build;
    let mut tuples = build.shape(call.inputs[1]);
    let depth = tuples.pop().unwrap_or(0);
    let batches = op.batch_dims;
    // Labels: the tuples' axes, then the indexed axes, then the rest of the data.
    let own: Vec<u8> = (0..tuples.len() as u8).collect();
    let indexed = |k: usize| (tuples.len() + k) as u8;
    let rest: Vec<u8> = (depth..shape.len() - batches).map(indexed).collect();
    let mut inputs = Vec::new();
    let mut operands = Vec::new();
    for k in 0..depth {
        operands.push(indices::component(
            build,
            call.inputs[1],
            k,
            shape[batches + k],
        )?);
        inputs.push([&own[..], &[indexed(k)]].concat());
    }
    let all: Vec<u8> = (0..depth).map(indexed).collect();
    inputs.push([&own[..batches], &all, &rest].concat());
    operands.push(call.inputs[0]);
    let op = Op::Einsum {
        inputs,
        output: [own, rest].concat(),
    };
    Ok(vec![build.push(op, operands, call.shapes[0].clone())])
}
