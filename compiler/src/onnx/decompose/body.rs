//! Graphs inside an operator: `If`, `Loop`, `Scan`, and modifiers of an attention.
//!
//! tract analyzes the graph as a model of its own, whose inputs are what the graph reads; the importer translates it; and the
//! result is put in the operator's place, once for each time that it runs.

use std::collections::{BTreeSet, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Graph, NodeId};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::subgraph;
use crate::onnx::tensors::to_tract;

/// Names of outer values that the graphs in a node's attributes capture.
pub fn captures(node: &NodeProto) -> Vec<String> {
    let mut names = BTreeSet::new();
    let graphs = node.attribute.iter();
    graphs
        .flat_map(|a| a.g.iter().chain(&a.graphs))
        .for_each(|graph| capture(graph, &HashSet::new(), &mut names));
    names.into_iter().map(String::from).collect()
}

fn capture<'g>(graph: &'g GraphProto, around: &HashSet<&'g str>, names: &mut BTreeSet<&'g str>) {
    let mut known = around.clone();
    known.extend(graph.input.iter().map(|i| i.name.as_str()));
    known.extend(graph.initializer.iter().map(|i| i.name.as_str()));
    for node in &graph.node {
        let read = node.input.iter().map(String::as_str);
        names.extend(read.filter(|name| !name.is_empty() && !known.contains(name)));
        for attribute in &node.attribute {
            for inside in attribute.g.iter().chain(&attribute.graphs) {
                capture(inside, &known, names);
            }
        }
        known.extend(node.output.iter().map(String::as_str));
    }
    let given = graph.output.iter().map(|o| o.name.as_str());
    names.extend(given.filter(|name| !known.contains(name)));
}

/// A graph inside an operator, translated: a function of its arguments and of what it captures.
pub struct Body {
    graph: Graph,
    /// What each input of the graph is.
    sources: Vec<Source>,
    dtypes: Vec<DatumType>,
}

#[derive(Clone, Copy)]
enum Source {
    Argument(usize),
    Captured(NodeId),
}

impl Body {
    /// Elements of all values of the graph.
    pub fn elements(&self) -> usize {
        self.graph.nodes.iter().map(|node| node.volume()).sum()
    }
}

impl Scope<'_> {
    /// The results of the graph in an attribute, with values for its inputs.
    pub fn call(
        &mut self,
        attribute: &str,
        arguments: &[TypedValue],
    ) -> Result<Vec<TypedValue>, Diagnostic> {
        let constant = |(id, _): &TypedValue| self.build.tensor(*id).is_some();
        let known: Vec<bool> = arguments.iter().map(constant).collect();
        let body = self.body(attribute, arguments, &known)?;
        Ok(self.inline(&body, arguments))
    }

    /// The graph in an attribute, for arguments with the shapes, types and, where `known`, values of these.
    pub fn body(
        &self,
        attribute: &str,
        arguments: &[TypedValue],
        known: &[bool],
    ) -> Result<Body, Diagnostic> {
        let Some(graph) = self.graph(attribute) else {
            return Err(refuse(
                format!("it has no `{attribute}`"),
                "correct the model",
            ));
        };
        if graph.input.len() != arguments.len() {
            let (takes, given) = (graph.input.len(), arguments.len());
            return Err(refuse(
                format!("its `{attribute}` takes {takes} values and is given {given}"),
                "correct the model",
            ));
        }
        let mut graph = graph.clone();
        let formal = std::mem::take(&mut graph.input);
        let mut inputs = Vec::new();
        for (at, (input, made)) in formal.into_iter().zip(arguments).enumerate() {
            let source = (!known[at]).then_some(Source::Argument(at));
            inputs.extend(self.declare_input(&mut graph, input.name, *made, source)?);
        }
        let mut read = BTreeSet::new();
        capture(&graph, &HashSet::new(), &mut read);
        let read: Vec<String> = read.into_iter().map(String::from).collect();
        for name in read {
            let Some(made) = self.captured(&name) else {
                continue;
            };
            let constant = self.build.tensor(made.0).is_some();
            let source = (!constant).then_some(Source::Captured(made.0));
            inputs.extend(self.declare_input(&mut graph, name, made, source)?);
        }
        let (graph, dtypes) = self.translate_inside(graph)?;
        Ok(Body {
            graph,
            sources: inputs,
            dtypes,
        })
    }

    /// Adds an input to the graph, or, without a source, a constant.
    fn declare_input(
        &self,
        graph: &mut GraphProto,
        name: String,
        (id, dtype): TypedValue,
        source: Option<Source>,
    ) -> Result<Option<Source>, Diagnostic> {
        let Some(onnx) = onnx_dtype(dtype) else {
            return Err(refuse(
                format!("`{name}` has elements of {dtype:?}"),
                "use floats",
            ));
        };
        let shape = self.build.shape(id);
        match (source, self.build.tensor(id)) {
            (None, Some(tensor)) => {
                let tensor = to_tract(tensor, dtype)
                    .map_err(|e| refuse(format!("`{name}`: {e:#}"), "correct the model"))?;
                graph.initializer.push(TensorProto {
                    name,
                    dims: shape.iter().map(|len| *len as i64).collect(),
                    data_type: onnx as i32,
                    raw_data: tensor.as_bytes().to_vec(),
                    ..Default::default()
                });
            }
            _ => graph.input.push(port(name, onnx, &shape)),
        }
        Ok(source)
    }

    /// The results of a body for these arguments.
    pub fn inline(&mut self, body: &Body, arguments: &[TypedValue]) -> Vec<TypedValue> {
        let operand = |source: &Source| match source {
            Source::Argument(at) => arguments[*at].0,
            Source::Captured(id) => *id,
        };
        let operands: Vec<NodeId> = body.sources.iter().map(operand).collect();
        let results = subgraph::inline(&mut self.build, &body.graph, &operands);
        results
            .into_iter()
            .zip(body.dtypes.iter().copied())
            .collect()
    }
}

fn port(name: String, dtype: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim = |len: &usize| Dimension {
        value: Some(dimension::Value::DimValue(*len as i64)),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: dtype as i32,
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name,
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn onnx_dtype(dtype: DatumType) -> Option<DataType> {
    Some(match dtype {
        DatumType::Bool => DataType::Bool,
        DatumType::U8 => DataType::Uint8,
        DatumType::U16 => DataType::Uint16,
        DatumType::U32 => DataType::Uint32,
        DatumType::U64 => DataType::Uint64,
        DatumType::I8 => DataType::Int8,
        DatumType::I16 => DataType::Int16,
        DatumType::I32 => DataType::Int32,
        DatumType::I64 => DataType::Int64,
        DatumType::F16 => DataType::Float16,
        DatumType::F32 => DataType::Float,
        DatumType::F64 => DataType::Double,
        _ => return None,
    })
}
