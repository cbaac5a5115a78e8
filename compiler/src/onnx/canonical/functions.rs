//! Functions that a model brings along: their bodies in place of the nodes that call them.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::opsets::{Opsets, domain, shown};
use crate::onnx::canonical::{Fault, inside, inside_mut, refused, signatures};
use crate::onnx::unsupported;

/// Most nodes that calls may become.
const MOST_INLINED: usize = 1 << 17;

/// What tract's types for the file format lack: the values of attributes that a call leaves out.
#[derive(Clone, PartialEq, Message)]
struct Defaults {
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionDefaults>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionDefaults {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "10")]
    domain: String,
    #[prost(message, repeated, tag = "11")]
    attributes: Vec<AttributeProto>,
}

/// Puts the bodies of a model's functions in place of the nodes that call them; what they import, the model imports then. `bytes` are the
/// model's.
pub(crate) fn inline(model: &mut ModelProto, bytes: &[u8]) -> Result<(), Fault> {
    let functions = std::mem::take(&mut model.functions);
    if functions.is_empty() {
        return Ok(());
    }
    let defaults = Defaults::decode(bytes).unwrap_or_default().functions;
    let mut known: HashMap<(&str, &str), Function> = HashMap::new();
    let mut opsets = Opsets::of(model)?;
    for function in &functions {
        let name = key(function);
        let same = |other: &&FunctionDefaults| name == (domain(&other.domain), &*other.name);
        let defaults = defaults
            .iter()
            .find(same)
            .map_or(&[][..], |found| &found.attributes);
        if known
            .insert(name, Function { function, defaults })
            .is_some()
        {
            return Err(Fault::File(format!("it has two functions `{}`", name.1)));
        }
        opsets.extend(Opsets::read(&function.opset_import).map_err(Fault::File)?);
    }
    for function in &functions {
        let imports = Opsets::read(&function.opset_import).map_err(Fault::File)?;
        let calls = |node: &NodeProto| known.contains_key(&call(node));
        refused(disagreements(&function.node, &calls, &imports, &opsets))?;
    }
    model.opset_import = opsets.imports();
    let Some(graph) = model.graph.as_mut() else {
        return Ok(());
    };
    let mut taken = HashSet::new();
    names(graph, &mut taken);
    let mut inliner = Inliner {
        functions: known,
        taken,
        within: Vec::new(),
        inlined: 0,
    };
    inliner
        .graph(graph)
        .map_err(|fault| Fault::Nodes(vec![fault]))
}

/// A function and the values of attributes that a call may leave out.
#[derive(Clone, Copy)]
struct Function<'f> {
    function: &'f FunctionProto,
    defaults: &'f [AttributeProto],
}

fn key(function: &FunctionProto) -> (&str, &str) {
    let of = function.domain.as_deref().unwrap_or_default();
    (domain(of), function.name.as_deref().unwrap_or_default())
}

fn call(node: &NodeProto) -> (&str, &str) {
    (domain(&node.domain), &node.op_type)
}

/// Nodes of a function whose operators are others in the opset that the model imports.
fn disagreements(
    nodes: &[NodeProto],
    calls: &dyn Fn(&NodeProto) -> bool,
    own: &Opsets,
    model: &Opsets,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let (of, operator) = call(node);
        let since = |opsets: &Opsets| signatures::since(of, operator, opsets.version(of)?);
        let fault = match own.version(of) {
            _ if calls(node) => None,
            None => Some(format!(
                "its function does not import its operator set `{}`",
                shown(of)
            )),
            Some(_) if since(own) == since(model) => None,
            Some(version) => Some(format!(
                "its function imports version {version} of `{}`, in which it is not what it is in the model's",
                shown(of)
            )),
        };
        let fault = fault.map(|reason| refuse(reason, "export the model with one opset"));
        found.extend(fault.map(|fault| fault.at(unsupported::name(at, node), operator)));
        let graphs = inside(node).flat_map(|graph| disagreements(&graph.node, calls, own, model));
        found.extend(graphs);
    }
    found
}

/// All names of values in a graph.
fn names(graph: &GraphProto, taken: &mut HashSet<String>) {
    let ports = graph.input.iter().chain(&graph.output);
    taken.extend(ports.map(|port| port.name.clone()));
    taken.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    for node in &graph.node {
        taken.extend(node.input.iter().chain(&node.output).cloned());
        inside(node).for_each(|graph| names(graph, taken));
    }
}

struct Inliner<'f> {
    functions: HashMap<(&'f str, &'f str), Function<'f>>,
    /// Names of values.
    taken: HashSet<String>,
    /// Functions whose bodies are being inlined.
    within: Vec<(&'f str, &'f str)>,
    inlined: usize,
}

impl<'f> Inliner<'f> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), Diagnostic> {
        graph.node = self.nodes(std::mem::take(&mut graph.node))?;
        Ok(())
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, Diagnostic> {
        let mut made = Vec::with_capacity(nodes.len());
        for (at, mut node) in nodes.into_iter().enumerate() {
            let Some(function) = self.functions.get(&call(&node)).copied() else {
                inside_mut(&mut node).try_for_each(|graph| self.graph(graph))?;
                made.push(node);
                continue;
            };
            let key = key(function.function);
            self.inlined += function.function.node.len();
            if self.within.contains(&key) || self.inlined > MOST_INLINED {
                let endless = refuse(
                    "its function calls itself, or too many others",
                    "export the model without functions",
                );
                return Err(endless.at(unsupported::name(at, &node), &node.op_type));
            }
            self.within.push(key);
            let body = self.body(function, &node);
            let body = self.nodes(body)?;
            made.extend(body);
            self.within.pop();
        }
        Ok(made)
    }

    /// The nodes of a function for one call.
    fn body(&mut self, function: Function, call: &NodeProto) -> Vec<NodeProto> {
        let Function { function, defaults } = function;
        let prefix = self.prefix(call);
        let mut renaming = Renaming {
            known: HashMap::new(),
            prefix,
        };
        let given = call
            .input
            .iter()
            .cloned()
            .chain(std::iter::repeat(String::new()));
        renaming
            .known
            .extend(function.input.iter().cloned().zip(given));
        let mut passed = Vec::new();
        for (at, formal) in function.output.iter().enumerate() {
            let Some(actual) = call.output.get(at).filter(|name| !name.is_empty()) else {
                continue;
            };
            match renaming.known.get(formal) {
                Some(known) => passed.push(identity(known, actual)),
                None => {
                    renaming.known.insert(formal.clone(), actual.clone());
                }
            }
        }
        let given = |name: &str| call.attribute.iter().any(|given| given.name == name);
        let left_out = defaults.iter().filter(|default| !given(&default.name));
        let values: Vec<&AttributeProto> = call.attribute.iter().chain(left_out).collect();
        let mut nodes = function.node.clone();
        for node in &mut nodes {
            substitute(node, &values);
            renaming.node(node);
            self.taken.extend(node.output.iter().cloned());
        }
        nodes.extend(passed);
        nodes
    }

    /// What the names of values inside a call begin with: its result, so that no two calls share it.
    fn prefix(&self, call: &NodeProto) -> String {
        let result = call.output.iter().find(|name| !name.is_empty());
        let mut prefix = format!("{}/", result.unwrap_or(&call.op_type));
        while self.taken.iter().any(|name| name.starts_with(&prefix)) {
            prefix.insert(prefix.len() - 1, '\'');
        }
        prefix
    }
}

fn identity(from: &str, to: &str) -> NodeProto {
    NodeProto {
        op_type: "Identity".into(),
        name: to.into(),
        input: vec![from.into()],
        output: vec![to.into()],
        ..Default::default()
    }
}

/// Gives the attributes of a node, and of those inside it, that refer to the function's the values of the call.
fn substitute(node: &mut NodeProto, values: &[&AttributeProto]) {
    let attributes = std::mem::take(&mut node.attribute);
    for attribute in attributes {
        if attribute.ref_attr_name.is_empty() {
            node.attribute.push(attribute);
            continue;
        }
        let value = values
            .iter()
            .find(|value| value.name == attribute.ref_attr_name);
        node.attribute.extend(value.map(|value| AttributeProto {
            name: attribute.name,
            ..(*value).clone()
        }));
    }
    for graph in inside_mut(node) {
        graph
            .node
            .iter_mut()
            .for_each(|node| substitute(node, values));
    }
}

/// From names in a function to names in the graph that calls it.
pub(super) struct Renaming {
    pub known: HashMap<String, String>,
    /// What all other names get.
    pub prefix: String,
}

impl Renaming {
    pub fn name(&self, name: &mut String) {
        if !name.is_empty() {
            let known = self.known.get(name).cloned();
            *name = known.unwrap_or_else(|| format!("{}{name}", self.prefix));
        }
    }

    pub fn node(&self, node: &mut NodeProto) {
        if !node.name.is_empty() {
            node.name = format!("{}{}", self.prefix, node.name);
        }
        let names = node.input.iter_mut().chain(&mut node.output);
        names.for_each(|name| self.name(name));
        for graph in inside_mut(node) {
            graph
                .initializer
                .iter_mut()
                .for_each(|tensor| self.name(&mut tensor.name));
            let ports = graph
                .input
                .iter_mut()
                .chain(&mut graph.output)
                .chain(&mut graph.value_info);
            ports.for_each(|port| self.name(&mut port.name));
            graph.node.iter_mut().for_each(|node| self.node(node));
        }
    }
}
