//! Sums of products.

use tract_onnx::tract_core::internal::InOut;
use tract_onnx::tract_core::ops::einsum::EinSum;

use crate::graph::{NodeId, Op};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Axes of length 1 that stand for longer ones are dropped; output axes that no input has are added after.
pub fn translate(importer: &mut Importer, call: &Call, op: &EinSum) -> Translated {
    if op.q_params.is_some() || !op.operating_dt.is_float() {
        return Err(refuse(
            format!("it computes in {:?}", op.operating_dt),
            "export the float model; quantization is done here",
        ));
    }
    let axes: Vec<_> = op.axes.iter_all_axes().collect();
    let longest = |label: usize| -> usize {
        let lengths = call.inputs.iter().enumerate().flat_map(|(i, x)| {
            let shape = importer.build.shape(*x);
            axes[label].inputs[i]
                .iter()
                .map(move |a| shape[*a])
                .collect::<Vec<_>>()
        });
        lengths.max().unwrap_or(0)
    };
    let lengths: Vec<usize> = (0..axes.len()).map(longest).collect();
    let label_of = |io: InOut, position: usize| -> u8 {
        axes.iter()
            .position(|a| a.interface(io).contains(&position))
            .expect("every position has an axis") as u8
    };
    let mut inputs = Vec::new();
    let mut labels = Vec::new();
    for (i, &x) in call.inputs.iter().enumerate() {
        let shape = importer.build.shape(x);
        let kept: Vec<(usize, u8)> = (0..shape.len())
            .map(|a| (shape[a], label_of(InOut::In(i), a)))
            .filter(|(length, label)| *length == lengths[*label as usize])
            .collect();
        let before: usize = shape.iter().product();
        let shape: Vec<usize> = kept.iter().map(|k| k.0).collect();
        if shape.iter().product::<usize>() != before {
            return Err(refuse(
                "it joins axes of different lengths",
                "correct the model",
            ));
        }
        inputs.push(importer.build.reshape(x, &shape));
        labels.push(kept.into_iter().map(|k| k.1).collect::<Vec<u8>>());
    }
    let output: Vec<u8> = (0..call.shapes[0].len())
        .map(|a| label_of(InOut::Out(0), a))
        .filter(|label| lengths[*label as usize] != 0)
        .collect();
    let operands = inputs.into_iter().zip(labels).collect();
    let made = multiply(importer, operands, output, &lengths);
    Ok(vec![importer.build.reshape(made, &call.shapes[0])])
}

/// The product of operands with these labels, two at a time, so that what is in between has a range. `lengths` are those of the labels.
fn multiply(
    importer: &mut Importer,
    mut operands: Vec<(NodeId, Vec<u8>)>,
    output: Vec<u8>,
    lengths: &[usize],
) -> NodeId {
    operands.reverse();
    let mut join = |operands: Vec<(NodeId, Vec<u8>)>, output: Vec<u8>| {
        let shape = output.iter().map(|l| lengths[*l as usize]).collect();
        let (ids, inputs) = operands.into_iter().unzip();
        importer
            .build
            .push(Op::Einsum { inputs, output }, ids, shape)
    };
    while operands.len() > 2 {
        let pair = operands.split_off(operands.len() - 2);
        let pair: Vec<_> = pair.into_iter().rev().collect();
        let later: Vec<u8> = operands
            .iter()
            .flat_map(|o| o.1.clone())
            .chain(output.clone())
            .collect();
        let mut kept: Vec<u8> = pair.iter().flat_map(|o| o.1.clone()).collect();
        kept.sort_unstable();
        kept.dedup();
        kept.retain(|label| later.contains(label));
        operands.push((join(pair, kept.clone()), kept));
    }
    operands.reverse();
    join(operands, output)
}
