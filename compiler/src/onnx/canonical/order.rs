//! Names: each is written once, everything read is written before, and nodes stand in the order in which they can run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::{Fault, inside_mut, refused};
use crate::onnx::decompose::body::captures;
use crate::onnx::unsupported;

/// Puts the nodes of a graph, and of those inside it, in order.
pub(super) fn order(graph: &mut GraphProto) -> Result<(), Fault> {
    if let Some(name) = repeated(graph.input.iter().map(|input| &*input.name)) {
        return Err(Fault::File(format!("it has two inputs `{name}`")));
    }
    if let Some(name) = repeated(graph.output.iter().map(|output| &*output.name)) {
        return Err(Fault::File(format!("it has two outputs `{name}`")));
    }
    let mut found = Vec::new();
    let missing = sorted(graph, &HashSet::new(), &mut found);
    refused(found)?;
    match missing {
        Some(name) => Err(Fault::File(format!("nothing computes its output `{name}`"))),
        None => Ok(()),
    }
}

fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// Sorts a graph that sees the names around it; the first output that nothing computes.
fn sorted(
    graph: &mut GraphProto,
    around: &HashSet<String>,
    found: &mut Vec<Diagnostic>,
) -> Option<String> {
    let mut known = around.clone();
    known.extend(graph.input.iter().map(|input| input.name.clone()));
    let mut writers: HashMap<String, Option<usize>> = HashMap::new();
    let given = graph.input.iter().map(|input| input.name.clone());
    writers.extend(given.map(|name| (name, None)));
    let sparse = graph.sparse_initializer.iter();
    let sparse = sparse.filter_map(|tensor| tensor.values.as_ref());
    for tensor in graph.initializer.iter().chain(sparse) {
        known.insert(tensor.name.clone());
        writers.insert(tensor.name.clone(), None);
    }
    for (at, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            known.insert(name.clone());
            if writers.insert(name.clone(), Some(at)).is_some() {
                let again = refuse(
                    format!("it writes `{name}`, which is written elsewhere as well"),
                    "give each value a name of its own",
                );
                found.push(again.at(unsupported::name(at, node), &node.op_type));
            }
        }
    }
    for at in 0..graph.node.len() {
        let mut missing = None;
        for inner in inside_mut(&mut graph.node[at]) {
            missing = missing.or(sorted(inner, &known, found));
        }
        let node = &graph.node[at];
        let fault = |name: &str| {
            let of = refuse(
                format!("nothing computes `{name}`, which it reads"),
                "correct the model",
            );
            of.at(unsupported::name(at, node), &node.op_type)
        };
        let unknown = node
            .input
            .iter()
            .find(|name| !name.is_empty() && !known.contains(*name));
        found.extend(
            missing
                .as_deref()
                .or(unknown.map(String::as_str))
                .map(fault),
        );
    }
    arrange(&mut graph.node, &writers, found);
    let outputs = graph.output.iter().map(|output| &output.name);
    outputs
        .into_iter()
        .find(|name| !known.contains(*name))
        .cloned()
}

/// Puts each node after those whose results it reads; what is in order stays as it is.
fn arrange(
    nodes: &mut Vec<NodeProto>,
    writers: &HashMap<String, Option<usize>>,
    found: &mut Vec<Diagnostic>,
) {
    let mut waits = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let captured = captures(node);
        let read: HashSet<&String> = node.input.iter().chain(&captured).collect();
        for writer in read
            .into_iter()
            .filter_map(|name| writers.get(name).copied().flatten())
        {
            waits[at] += 1;
            readers[writer].push(at);
        }
    }
    let free = (0..nodes.len()).filter(|at| waits[*at] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for reader in &readers[at] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.push(Reverse(*reader));
            }
        }
    }
    if let Some(at) = (0..nodes.len()).find(|at| waits[*at] > 0) {
        let node = &nodes[at];
        let circle = refuse(
            "it needs a value that needs its own result",
            "correct the model",
        );
        found.push(circle.at(unsupported::name(at, node), &node.op_type));
        return;
    }
    if order.is_sorted() {
        return;
    }
    let mut taken: Vec<Option<NodeProto>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|at| taken[at].take()));
}
