//! What tract's operators mean in terms of ours: one file for each family, one line for each operator.

pub(crate) mod inside;
pub(crate) mod walk;

mod axes;
mod binary;
mod cast;
mod concat;
mod conv;
mod cumulative;
mod einsum;
mod elementwise;
mod gather;
mod indices;
mod norm;
mod pool;
mod reduce;
mod repeat;
mod scatter;
mod select;
mod slice;
mod softmax;

use tract_onnx::tract_core::ops as core;
use tract_onnx::tract_core::ops::change_axes::AxisOp;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::NodeId;
use crate::onnx::decompose::subgraph::Subgraph;
use crate::onnx::translate::walk::{Call, Importer};

/// The nodes of our graph for a tract node's results.
pub(crate) type Translated = Result<Vec<NodeId>, Diagnostic>;

/// The nodes of an operator of ours in its place.
fn splice(importer: &mut Importer, call: &Call, op: &Subgraph) -> Translated {
    Ok(op.splice(&mut importer.build, &call.inputs))
}

/// Looks the operator up and translates it.
pub(crate) fn translate(importer: &mut Importer, call: &Call) -> Translated {
    macro_rules! table {
        ($($operator:ty => $translate:path,)*) => {$(
            if let Some(operator) = call.node.op_as::<$operator>() {
                return $translate(importer, call, operator);
            }
        )*};
    }
    table! {
        AxisOp => axes::translate,
        Subgraph => splice,
        core::array::CumSum => cumulative::cumulative_sum,
        core::array::Gather => gather::gather,
        core::array::GatherElements => gather::elements,
        core::array::GatherNd => gather::tuples,
        core::array::MultiBroadcastTo => repeat::broadcast,
        core::array::ScatterElements => scatter::elements,
        core::array::ScatterNd => scatter::tuples,
        core::array::Slice => slice::slice,
        core::array::Tile => repeat::tile,
        core::array::Trilu => select::triangle,
        core::array::TypedConcat => concat::translate,
        core::binary::TypedBinOp => binary::translate,
        core::cast::Cast => cast::translate,
        core::cnn::Conv => conv::translate,
        core::cnn::SumPool => pool::sum,
        core::Downsample => slice::downsample,
        core::einsum::EinSum => einsum::translate,
        core::element_wise::ElementWiseOp => elementwise::translate,
        core::identity::Identity => axes::identity,
        core::logic::Iff => select::iff,
        core::nn::Reduce => reduce::translate,
        core::nn::RmsNorm => norm::rms,
        core::quant::DequantizeLinearF32 => elementwise::dequantize,
        core::nn::Softmax => softmax::translate,
    }
    Err(refuse(
        "this operator is not supported",
        "express it with other operators",
    ))
}
