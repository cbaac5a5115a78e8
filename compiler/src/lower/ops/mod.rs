//! What each operator means: one file a family, each a lowering from operands' expressions to the result's.
//!
//! A new operator is one file and one line in [`lower`].

mod binary;
mod concat;
mod convolution;
mod division;
mod einsum;
mod extremum;
mod function;
mod gather;
mod hidden;
mod maximum_mask;
mod pool;
mod reduce;
mod rescale;
mod rms_norm;
mod saturating;
mod select;
mod shape;
mod slice;
mod softmax;
mod source;

use crate::diagnostic::Diagnostic;
use crate::graph::{Node, Op};
use crate::lower::lowering::Lowering;
use crate::lower::value::Value;

/// The expression for the node's value.
pub(crate) fn lower(cx: &mut Lowering, node: &Node) -> Result<Value, Diagnostic> {
    match &node.op {
        Op::Input(dtype) => source::input(cx, node, *dtype),
        Op::Constant(tensor) => Ok(Value::constant(tensor, &cx.fresh)),
        Op::Einsum { inputs, output } => einsum::lower(cx, node, inputs, output),
        Op::Convolution { window, groups } => convolution::lower(cx, node, window, *groups),
        Op::Binary(function) => binary::lower(cx, node, *function),
        Op::Pointwise(function) => saturating::lower(cx, node, function),
        Op::Reduce { reducer, axes } => reduce::lower(cx, node, *reducer, axes),
        Op::Softmax { axis, hidden } => softmax::lower(cx, node, *axis, hidden),
        Op::LogSumExp { axis, reach } => softmax::log_sum_exp(cx, node, *axis, *reach),
        Op::MaximumMask { axis } => maximum_mask::lower(cx, node, *axis),
        Op::RmsNorm { axis, epsilon } => rms_norm::lower(cx, node, *axis, *epsilon),
        Op::Gather { axis } => gather::lower(cx, node, *axis),
        Op::Rescale {
            rounding,
            least,
            greatest,
        } => rescale::lower(cx, node, *rounding, (*least, *greatest)),
        Op::Select => select::lower(cx, node),
        Op::MaxPool(window) => pool::max(cx, node, window),
        Op::AveragePool {
            window,
            count_padding,
        } => pool::average(cx, node, window, *count_padding),
        Op::Reshape => shape::reshape(cx, node),
        Op::Transpose { permutation } => shape::transpose(cx, node, permutation),
        Op::Broadcast => shape::broadcast(cx, node),
        Op::Slice { axis, start, step } => slice::lower(cx, node, *axis, *start, *step),
        Op::Concat { axis } => concat::concat(cx, node, *axis),
        Op::Pad { before, value } => concat::pad(cx, node, before, *value),
    }
}
