//! One case an operator's behavior: the imported graph computes what tract does, and has the form we expect.

mod arithmetic;
mod control;
mod data_movement;
mod dequantized;
mod errors;
mod exact;
mod files;
mod integers;
mod language;
mod networks;
mod resampling;
mod spatial;
mod specification;
mod through_loops;
mod vision;
mod windows;

use crate::graph::{Graph, Node, Op};
use crate::testing::{Attribute, Onnx};
use Attribute::{Float, Floats, Int, Ints, Text, Texts};

/// One input `x` of the given shape, one node from `x` (and further operands) to `y`.
fn one(shape: &str, operator: &str, operands: &str, attributes: &[(&str, Attribute)]) -> Onnx {
    Onnx::new()
        .input("x", shape)
        .node(operator, operands, "y", attributes)
        .output("y")
}

/// The nodes that are neither inputs nor constants.
fn computed(graph: &Graph) -> Vec<&Node> {
    graph
        .nodes
        .iter()
        .filter(|n| !matches!(n.op, Op::Input(_) | Op::Constant(_)))
        .collect()
}

/// The node that has the name of an ONNX node.
fn named<'g>(graph: &'g Graph, name: &str) -> &'g Node {
    graph
        .nodes
        .iter()
        .find(|n| n.name == name)
        .unwrap_or_else(|| panic!("no `{name}` in {graph:?}"))
}
