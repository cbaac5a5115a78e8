//! Cells of recurrent networks that tract has in one operator. Loops around them are in `scan`.

use tract_onnx::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::lstm_cell::LstmEpilogue;

use super::{Call, Importer, Translated};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Tensor, UnaryFn};
use crate::import::limits::{MOST_STEPS, too_many_steps};

/// From the gates' sums i, o, f, c and the cell's state: the output `o tanh(c')` and the state `c' = f c + i tanh(g)`.
pub fn lstm_cell(importer: &mut Importer, call: &Call, op: &LstmEpilogue) -> Translated {
    let state = call.inputs[1];
    let gates = rows(importer, call.inputs[0], 4 * op.hidden);
    let cell = rows(importer, state, op.hidden);
    let input = gate(importer, gates, op.hidden, 0, UnaryFn::Sigmoid);
    let output = gate(importer, gates, op.hidden, 1, UnaryFn::Sigmoid);
    let forget = gate(importer, gates, op.hidden, 2, UnaryFn::Sigmoid);
    let candidate = gate(importer, gates, op.hidden, 3, UnaryFn::Tanh);
    let kept = importer.build.binary(BinaryFn::Mul, forget, cell);
    let added = importer.build.binary(BinaryFn::Mul, input, candidate);
    let next = importer.build.binary(BinaryFn::Add, kept, added);
    let squashed = importer.build.pointwise(Pointwise::of(UnaryFn::Tanh), next);
    let hidden = importer.build.binary(BinaryFn::Mul, output, squashed);
    Ok(vec![
        importer.build.reshape(hidden, &call.shapes[0]),
        importer.build.reshape(next, &call.shapes[1]),
    ])
}

/// From the input's and the state's sums and the state: the next state.
pub fn gru_cell(importer: &mut Importer, call: &Call, op: &GruEpilogue) -> Translated {
    let from_input = rows(importer, call.inputs[0], 3 * op.hidden);
    let from_state = rows(importer, call.inputs[1], 3 * op.hidden);
    let state = rows(importer, call.inputs[2], op.hidden);
    let next = gru_step(importer, from_input, from_state, state, op.hidden);
    Ok(vec![importer.build.reshape(next, &call.shapes[0])])
}

/// `[rows, width]`.
fn rows(importer: &mut Importer, x: NodeId, width: usize) -> NodeId {
    let volume = importer.build.graph.nodes[x].volume();
    importer.build.reshape(x, &[volume / width, width])
}

fn gate(
    importer: &mut Importer,
    gates: NodeId,
    hidden: usize,
    number: usize,
    f: UnaryFn,
) -> NodeId {
    let sum = importer.build.slice(gates, 1, number * hidden, hidden, 1);
    importer.build.pointwise(Pointwise::of(f), sum)
}

/// With gates z, r, h: `z = sigmoid(xz + sz)`, `r = sigmoid(xr + sr)`, `c = tanh(xh + r sh)`, next state `c + z (state - c)`.
fn gru_step(
    importer: &mut Importer,
    from_input: NodeId,
    from_state: NodeId,
    state: NodeId,
    hidden: usize,
) -> NodeId {
    let build = &mut importer.build;
    let (input_gates, state_gates) = (
        build.slice(from_input, 1, 0, 2 * hidden, 1),
        build.slice(from_state, 1, 0, 2 * hidden, 1),
    );
    let gates = build.binary(BinaryFn::Add, input_gates, state_gates);
    let update = gate(importer, gates, hidden, 0, UnaryFn::Sigmoid);
    let reset = gate(importer, gates, hidden, 1, UnaryFn::Sigmoid);
    let build = &mut importer.build;
    let (input_sum, state_sum) = (
        build.slice(from_input, 1, 2 * hidden, hidden, 1),
        build.slice(from_state, 1, 2 * hidden, hidden, 1),
    );
    let remembered = build.binary(BinaryFn::Mul, reset, state_sum);
    let sum = build.binary(BinaryFn::Add, input_sum, remembered);
    let candidate = build.pointwise(Pointwise::of(UnaryFn::Tanh), sum);
    let change = build.binary(BinaryFn::Sub, state, candidate);
    let scaled = build.binary(BinaryFn::Mul, update, change);
    build.binary(BinaryFn::Add, candidate, scaled)
}

/// A whole sequence `[batch, time, ...]` of such steps.
pub fn gru(importer: &mut Importer, call: &Call, op: &GruSeq) -> Translated {
    let hidden = op.hidden;
    let shape = importer.build.shape(call.inputs[0]);
    let (batch, time) = (shape[0], shape[1]);
    if time > MOST_STEPS {
        return Err(too_many_steps());
    }
    let r_slot = if op.projected { 1 } else { 2 };
    let biases = op
        .has_bias
        .then(|| rows(importer, call.inputs[r_slot + 1], 6 * hidden));
    let mut from_input = call.inputs[0];
    if !op.projected {
        from_input = times(importer, from_input, call.inputs[1]);
        if let Some(biases) = biases {
            let bias = importer.build.slice(biases, 1, 0, 3 * hidden, 1);
            let bias = importer.build.reshape(bias, &[1, 1, 3 * hidden]);
            from_input = importer.build.binary(BinaryFn::Add, from_input, bias);
        }
    }
    let mut state = rows(
        importer,
        *call.inputs.last().expect("a GRU has a state"),
        hidden,
    );
    let mut states = Vec::new();
    let name = importer.build.name.clone();
    for step in 0..time {
        importer.build.name = format!("{name}/{step}");
        let at = if op.chunk < 0 { time - 1 - step } else { step };
        let now = importer.build.slice(from_input, 1, at, 1, 1);
        let now = rows(importer, now, 3 * hidden);
        let mut from_state = times(importer, state, call.inputs[r_slot]);
        if let Some(biases) = biases {
            let bias = importer.build.slice(biases, 1, 3 * hidden, 3 * hidden, 1);
            from_state = importer.build.binary(BinaryFn::Add, from_state, bias);
        }
        state = gru_step(importer, now, from_state, state, hidden);
        states.push(importer.build.reshape(state, &[batch, 1, hidden]));
    }
    importer.build.name = name;
    let last = importer.build.reshape(state, &call.shapes[1]);
    if op.chunk < 0 {
        states.reverse();
    }
    let all = if op.emit_y {
        importer.build.concat(states, 1)
    } else {
        importer
            .build
            .constant(Tensor::filled(call.shapes[0].clone(), 0.0))
    };
    Ok(vec![all, last])
}

/// `x [..., in]` times the transpose of `weights [out, in]`.
fn times(importer: &mut Importer, x: NodeId, weights: NodeId) -> NodeId {
    let mut shape = importer.build.shape(x);
    let last = shape.len() - 1;
    shape[last] = importer.build.shape(weights)[0];
    let mut input: Vec<u8> = (0..=last as u8).collect();
    let output = input.clone();
    let summed = last as u8 + 1;
    input[last] = summed;
    let op = Op::Einsum {
        inputs: vec![input, vec![last as u8, summed]],
        output,
    };
    importer.build.push(op, vec![x, weights], shape)
}
