//! Model inputs: public columns. Floats are scaled by a power of two to cover the calibrated range; token ids stay as they are.

use zkiln_runtime::model::{Accumulator, Port};

use crate::PortInfo;
use crate::graph::{Dtype, Node, NodeId, Op};
use crate::lower::columns::Keys;
use crate::lower::quantise::{ceil_log2, margin};
use crate::lower::value::{Term, Value, View};
use crate::lower::{Lowering, Refusal};

pub(super) fn input(cx: &mut Lowering, node: &Node, dtype: Dtype) -> Result<Value, Refusal> {
    let greatest = node.range.0.abs().max(node.range.1.abs());
    let beyond = margin(node.shape.iter().product());
    let (scale, range) = match dtype {
        Dtype::Bool => (1.0, (0, 1)),
        Dtype::Int64 => (1.0, integer_range(cx, greatest * beyond)),
        Dtype::Float32 => {
            let keys = Keys {
                bits: cx.settings.input_bits(),
                signed: true,
            };
            let magnitude = if greatest > 0.0 {
                greatest * beyond
            } else {
                1.0
            };
            (
                f64::from(ceil_log2(magnitude) - i32::from(keys.bits) + 1).exp2(),
                keys.bounds(),
            )
        }
    };
    let dims = cx.fresh.dims(&node.shape);
    let axes = dims.concat();
    let shape: Vec<u32> = axes.iter().map(|axis| axis.len as u32).collect();
    let column = cx.columns.witness(&node.name, shape.clone(), range);
    let value = Accumulator {
        shape: shape.into(),
        columns: vec![(1, column)].into(),
        terms: vec![].into(),
    };
    let info = PortInfo {
        name: node.name.clone(),
        dtype,
        shape: node.shape.clone(),
        scale,
    };
    cx.add_input(
        Port {
            name: node.name.clone().into(),
            value,
            range,
        },
        info,
    );
    Ok(Value::new(
        dims,
        vec![Term::view(View::whole(column, &axes), scale)],
    ))
}

/// What an integer input may be: an index if something gathers with it, else a power of two beyond what calibration saw.
fn integer_range(cx: &Lowering, greatest: f64) -> (i64, i64) {
    match gathered_len(cx, cx.current()) {
        Some(len) => (0, len as i64 - 1),
        None => Keys {
            bits: (ceil_log2(greatest + 1.0) as u8 + 1).clamp(2, 31),
            signed: true,
        }
        .bounds(),
    }
}

/// Length of the axis that the value indexes, directly or after moving.
fn gathered_len(cx: &Lowering, id: NodeId) -> Option<usize> {
    let readers = cx
        .readers(id)
        .iter()
        .map(|&reader| (reader, &cx.graph.nodes[reader]));
    let lens = readers.filter_map(|(reader, node)| match &node.op {
        Op::Gather { axis } if node.inputs[1] == id => {
            Some(cx.graph.nodes[node.inputs[0]].shape[*axis])
        }
        Op::Reshape
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Broadcast
        | Op::Concat { .. } => gathered_len(cx, reader),
        _ => None,
    });
    lens.min()
}
