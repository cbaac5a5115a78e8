//! Softmax.

use tract_onnx::tract_core::ops::nn::Softmax;

use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Several axes are merged into one.
pub fn translate(importer: &mut Importer, call: &Call, op: &Softmax) -> Translated {
    if op.quant_output_dt.is_some() {
        return Err(refuse(
            "it computes in quantized integers",
            "export the float model; quantization is done here",
        ));
    }
    let x = call.inputs[0];
    if let [axis] = op.axes[..] {
        return Ok(vec![importer.build.softmax(x, None, axis)]);
    }
    let shape = importer.build.shape(x);
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !op.axes.contains(a)).collect();
    let permutation: Vec<usize> = kept.iter().chain(op.axes.iter()).copied().collect();
    let moved = importer.build.transpose(x, &permutation);
    let moved_shape = importer.build.shape(moved);
    let mut merged: Vec<usize> = moved_shape[..kept.len()].to_vec();
    merged.push(moved_shape[kept.len()..].iter().product());
    let flat = importer.build.reshape(moved, &merged);
    let made = importer.build.softmax(flat, None, kept.len());
    let apart = importer.build.reshape(made, &moved_shape);
    let mut back = vec![0; permutation.len()];
    permutation
        .iter()
        .enumerate()
        .for_each(|(to, from)| back[*from] = to);
    Ok(vec![importer.build.transpose(apart, &back)])
}
