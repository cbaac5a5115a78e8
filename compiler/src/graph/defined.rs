//! Whether what a graph computes is numbers: constants that are none, and functions that have no value anywhere, are refused.
//!
//! A NaN spreads to whatever it touches, and no integer stands for it. Infinities are masks: minus infinity may be chosen, added and moved on
//! its way to an operator that drops it, and to nothing else.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Graph, NodeId, Op, Pointwise, Reducer, Tensor};

/// Where functions are tried: 0 and powers of two of both signs from `2^-PROBES` to `2^PROBES`.
const PROBES: i32 = 12;

/// Refuses a graph with a constant that is not a number, a division by a constant zero, or a function that is nowhere defined.
///
/// # Errors
/// All of them.
pub fn check(graph: &Graph) -> Result<(), Vec<Diagnostic>> {
    let users = graph.users();
    let fault = |id: NodeId| {
        let node = &graph.nodes[id];
        let diagnostic = match &node.op {
            Op::Constant(tensor) => constant(graph, &users, id, tensor),
            Op::Binary(BinaryFn::Div) => divisor(graph, node.inputs[1]),
            Op::Pointwise(function) => nowhere(function),
            Op::Pad { value, .. } if value.is_nan() => Some(not_a_number("what it pads with")),
            _ => None,
        };
        diagnostic.map(|diagnostic| diagnostic.at(&node.name, node.op.name()))
    };
    let diagnostics: Vec<Diagnostic> = (0..graph.nodes.len()).filter_map(fault).collect();
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(diagnostics),
    }
}

fn not_a_number(what: &str) -> Diagnostic {
    refuse(
        format!("{what} is NaN, so that what depends on it is none"),
        "correct the model",
    )
}

fn constant(
    graph: &Graph,
    users: &[Vec<NodeId>],
    id: NodeId,
    tensor: &Tensor,
) -> Option<Diagnostic> {
    if let Some(at) = tensor.data.iter().position(|v| v.is_nan()) {
        return Some(not_a_number(&format!("its element {at}")));
    }
    let infinite = tensor.data.iter().find(|v| v.is_infinite())?;
    let misused = misuse(graph, users, id, *infinite)?;
    Some(refuse(
        format!("it holds {infinite}, and {misused}"),
        "use a finite number, or minus infinity to mask the scores of a softmax",
    ))
}

/// Where an infinity goes that is not masking.
fn misuse(graph: &Graph, users: &[Vec<NodeId>], from: NodeId, infinite: f64) -> Option<String> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut stack = vec![from];
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut seen[id], true) {
            continue;
        }
        if let Some((name, _)) = graph.outputs.iter().find(|(_, output)| *output == id) {
            return Some(format!("it reaches the output `{name}`"));
        }
        for &user in &users[id] {
            let node = &graph.nodes[user];
            let own = id == from;
            match (&node.op, infinite < 0.0) {
                (Op::Softmax { .. } | Op::MaximumMask { .. } | Op::MaxPool(_), true) => {}
                (Op::Reduce { reducer, .. }, true) if *reducer == Reducer::Max => {}
                (Op::Reduce { reducer, .. }, false) if *reducer == Reducer::Min => {}
                (Op::Binary(BinaryFn::Max), true) | (Op::Binary(BinaryFn::Min), false) if own => {}
                (Op::Binary(BinaryFn::Add | BinaryFn::Max | BinaryFn::Min), _)
                | (Op::Reshape | Op::Transpose { .. } | Op::Broadcast, _)
                | (Op::Slice { .. } | Op::Concat { .. } | Op::Pad { .. }, _) => stack.push(user),
                (Op::Gather { .. }, _) if node.inputs[1] != id => stack.push(user),
                (Op::Select, _) if node.inputs[0] != id => stack.push(user),
                (op, _) => {
                    let (name, op) = (&node.name, op.name());
                    return Some(format!("`{name}` ({op}) computes with it"));
                }
            }
        }
    }
    None
}

/// A division by a constant that is zero somewhere.
fn divisor(graph: &Graph, id: NodeId) -> Option<Diagnostic> {
    let data = match &graph.nodes[id].op {
        Op::Constant(tensor) => &tensor.data,
        Op::Broadcast | Op::Reshape => return divisor(graph, graph.nodes[id].inputs[0]),
        _ => return None,
    };
    let at = data.iter().position(|v| *v == 0.0)?;
    Some(refuse(
        format!("element {at} of its divisor is 0"),
        "divide by a number that is not 0",
    ))
}

/// A function without a value at any of the [`PROBES`].
fn nowhere(function: &Pointwise) -> Option<Diagnostic> {
    let powers = (-PROBES..=PROBES).map(|e| f64::from(e).exp2());
    let mut probes = powers.flat_map(|x| [x, -x]).chain([0.0]);
    let undefined = probes.all(|x| !function.eval(x).is_finite());
    undefined.then(|| {
        refuse(
            "it is not a number, whatever its operand",
            "keep its constants inside the domains of its functions",
        )
    })
}
