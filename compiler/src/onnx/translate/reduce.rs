//! Reductions.

use tract_onnx::tract_core::ops::nn::{Reduce, Reducer as Tract};

use crate::graph::{BinaryFn, NodeId, Reducer};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Logic as maxima and minima of 0 and 1; products by halving.
pub fn translate(importer: &mut Importer, call: &Call, op: &Reduce) -> Translated {
    let x = call.inputs[0];
    let axes = &op.axes[..];
    let made = match op.reducer {
        Tract::Sum => importer.build.reduce(Reducer::Sum, axes, x),
        Tract::Max | Tract::Any => importer.build.reduce(Reducer::Max, axes, x),
        Tract::Min | Tract::All => importer.build.reduce(Reducer::Min, axes, x),
        Tract::MeanOfSquares => {
            let shape = importer.build.shape(x);
            let count: usize = axes.iter().map(|a| shape[*a]).product();
            let sum = importer.build.reduce(Reducer::SumSquare, axes, x);
            importer.build.multiply_scalar(sum, (count as f64).recip())
        }
        Tract::Prod => axes.iter().fold(x, |x, axis| product(importer, x, *axis)),
        Tract::ArgMax(_) | Tract::ArgMin(_) => {
            return Err(refuse(
                "it returns positions",
                "return the scores, and find the positions outside the proof",
            ));
        }
    };
    Ok(vec![made])
}

fn product(importer: &mut Importer, mut x: NodeId, axis: usize) -> NodeId {
    loop {
        let length = importer.build.shape(x)[axis];
        if length <= 1 {
            return x;
        }
        let half = length / 2;
        let low = importer.build.slice(x, axis, 0, half, 1);
        let high = importer.build.slice(x, axis, half, half, 1);
        let pairs = importer.build.binary(BinaryFn::Mul, low, high);
        let odd = (length % 2 == 1).then(|| importer.build.slice(x, axis, length - 1, 1, 1));
        x = importer
            .build
            .concat([pairs].into_iter().chain(odd).collect(), axis);
    }
}
