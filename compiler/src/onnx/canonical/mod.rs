//! A decoded file in one form, checked against the specification: what the rest of the importer reads.
//!
//! Functions of the model are inlined (as soon as it is decoded), nodes are in order and write each name once, operands that are left out at
//! the end are gone, every operator exists in its domain and opset and takes what it is given, of the types that ONNX says, and old operators
//! are written as newer ones.

pub(crate) mod functions;
mod opsets;
mod order;
mod sequence_flow;
pub(crate) mod sequences;
pub(crate) mod signatures;
mod stored;
mod types;
mod upgrade;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use crate::diagnostic::Diagnostic;
use crate::error::CompileError;
use crate::onnx::canonical::opsets::Opsets;
use crate::onnx::decompose::operator::qualified;

/// What is wrong with a file.
pub(crate) enum Fault {
    /// The file as a whole.
    File(String),
    /// Some of its nodes.
    Nodes(Vec<Diagnostic>),
}

impl Fault {
    /// About the file at `path`.
    pub fn of(self, path: &str) -> CompileError {
        match self {
            Fault::File(reason) => CompileError::Load {
                path: path.into(),
                reason,
            },
            Fault::Nodes(diagnostics) => CompileError::Nodes(diagnostics),
        }
    }
}

impl From<Vec<Diagnostic>> for Fault {
    fn from(diagnostics: Vec<Diagnostic>) -> Fault {
        Fault::Nodes(diagnostics)
    }
}

/// Brings a model into this form; `folder` holds its external data. Its [`sequences`] are resolved later, when its dimensions are known.
pub(crate) fn bring(proto: &mut ModelProto, folder: Option<&str>) -> Result<(), Fault> {
    let opsets = Opsets::of(proto)?;
    let graph = proto.graph.get_or_insert_default();
    each_node(graph, &mut tidy);
    refused(signatures::faults(graph, &opsets))?;
    order::order(graph)?;
    types::check(graph, &opsets)?;
    stored::widen(graph, folder)?;
    refused(upgrade::upgrade(graph, &opsets))?;
    each_node(graph, &mut |node| {
        node.op_type = qualified(&node.domain, &node.op_type);
    });
    proto.opset_import = opsets.imports();
    Ok(())
}

fn refused(diagnostics: Vec<Diagnostic>) -> Result<(), Fault> {
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(Fault::Nodes(diagnostics)),
    }
}

/// Leaves out the empty names at the end of a node's operands and results, and the standard domain's long name.
fn tidy(node: &mut NodeProto) {
    for names in [&mut node.input, &mut node.output] {
        let given = names.iter().rposition(|name| !name.is_empty());
        names.truncate(given.map_or(0, |last| last + 1));
    }
    node.domain = opsets::domain(&node.domain).to_string();
}

/// The graphs inside a node.
fn inside(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    let attributes = node.attribute.iter();
    attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// The graphs inside a node, to change.
fn inside_mut(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    let attributes = node.attribute.iter_mut();
    attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs))
}

/// Changes all nodes of a graph and of the graphs inside it.
fn each_node(graph: &mut GraphProto, change: &mut dyn FnMut(&mut NodeProto)) {
    for node in &mut graph.node {
        change(node);
        inside_mut(node).for_each(|graph| each_node(graph, change));
    }
}
