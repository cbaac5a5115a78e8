//! ONNX names for our nodes.
//!
//! tract makes several nodes of one ONNX node and names them `onnx.suffix`. We keep the ONNX part, give it to the node that
//! computes the ONNX node's result, and tell the others apart by what they do: `ln_1`, `ln_1.reduce`, `ln_1.mul`.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, Node, Op};

/// The longest part of tract's name that is an ONNX name, else all of it.
pub fn onnx_part(name: &str, known: impl Fn(&str) -> bool) -> &str {
    let name = name.strip_prefix("tap.").unwrap_or(name);
    let cuts = name.match_indices('.').map(|(at, _)| at).rev();
    std::iter::once(name.len())
        .chain(cuts)
        .map(|end| &name[..end])
        .find(|part| known(part))
        .unwrap_or(name)
}

/// Makes all names different.
pub fn distinguish(graph: &mut Graph) {
    let mut owner: HashMap<String, (bool, usize)> = HashMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let rank = (computes(node), id);
        let best = owner.entry(node.name.clone()).or_insert(rank);
        *best = rank.max(*best);
    }
    let mut taken: HashSet<String> = owner.keys().cloned().collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (id, node) in graph.nodes.iter_mut().enumerate() {
        if owner.get(&node.name).is_some_and(|(_, first)| *first == id) {
            continue;
        }
        let base = format!("{}.{}", node.name, kind(&node.op));
        let number = numbers.entry(base.clone()).or_insert(0);
        node.name = loop {
            *number += 1;
            let name = match *number {
                1 => base.clone(),
                number => format!("{base}.{number}"),
            };
            if taken.insert(name.clone()) {
                break name;
            }
        };
    }
}

/// Whether a node is more than a constant or a movement of data.
fn computes(node: &Node) -> bool {
    !matches!(
        node.op,
        Op::Constant(_)
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Broadcast
    )
}

fn kind(op: &Op) -> String {
    match op {
        Op::Constant(_) => "constant".into(),
        Op::Binary(f) => format!("{f:?}").to_lowercase(),
        _ => {
            let shown = format!("{op:?}");
            shown
                .split(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap_or_default()
                .to_lowercase()
        }
    }
}
