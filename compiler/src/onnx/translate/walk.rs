//! ONNX to our graph: tract parses, infers shapes and declutters; we translate what is left, node by node.
//!
//! Each family of tract operators has a file under `ops/` and a line in its table. Whatever has no line is refused by name,
//! and all refusals of a model are returned together.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::MultiBroadcastTo;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;

use crate::calibrate::ranges;
use crate::driver::diagnose;
use crate::graph::builder::Builder;
use crate::graph::passes::fuse;
use crate::graph::passes::{masks, negative_indices};
use crate::graph::{Graph, NodeId, Op};
use crate::graph::{check, names};
use crate::onnx::load::Loaded;
use crate::onnx::reference::FloatModel;
use crate::onnx::{load, tensors, translate, unsupported};
use crate::{CompileError, Complaint, Options};

/// An ONNX model as we compile it, and as tract runs it.
#[derive(Debug)]
pub struct Imported {
    /// Fused, with value ranges.
    pub graph: Graph,
    /// For each node of the graph, the tract value with the same elements, if there is one.
    pub(crate) origins: Vec<Option<OutletId>>,
    /// The float reference.
    pub float: FloatModel,
    /// Number of float parameters of the ONNX model.
    pub parameters: u64,
    /// Number of ONNX nodes.
    pub onnx_nodes: u64,
}

/// Imports the bytes of an ONNX file; `path` is for messages.
///
/// # Errors
/// [`CompileError::Load`]; [`CompileError::Nodes`] with everything that cannot be compiled; [`CompileError::Samples`].
pub fn import(bytes: &[u8], path: &str, options: &Options) -> Result<Imported, CompileError> {
    complete(load::from_bytes(bytes, path, options)?, path, options)
}

/// Types of the nodes of an ONNX file, those of graphs inside included; none for what is no such file.
pub fn operators(bytes: &[u8]) -> Vec<String> {
    let graph = load::parse(bytes, "").ok().and_then(|proto| proto.graph);
    let types = graph.iter().flat_map(unsupported::types);
    types.map(str::to_string).collect()
}

/// Imports an ONNX file, with its external data beside it.
///
/// # Errors
/// [`CompileError::Read`], else as [`import`].
pub fn import_path(path: &Path, options: &Options) -> Result<Imported, CompileError> {
    complete(
        load::from_path(path, options)?,
        &path.display().to_string(),
        options,
    )
}

pub(crate) fn complete(
    loaded: Loaded,
    path: &str,
    options: &Options,
) -> Result<Imported, CompileError> {
    // tract computes constants and samples, and may panic at either; so may we, before the graph is checked.
    let completed = load::caught(|| translated(loaded, path, options));
    completed.unwrap_or_else(|panic| {
        Err(CompileError::Load {
            path: path.into(),
            reason: format!("its import panicked: {panic}"),
        })
    })
}

fn translated(loaded: Loaded, path: &str, options: &Options) -> Result<Imported, CompileError> {
    let (mut graph, mut origins) = translate(&loaded)?;
    prune(&mut graph, &mut origins);
    check::check(&graph)?;
    mask(&mut graph, &mut origins);
    fuse::fuse(&mut graph);
    negative_indices::wrap_negative(&mut graph, &options.samples);
    prune(&mut graph, &mut origins);
    names::distinguish(&mut graph);
    let float = FloatModel::new(&loaded, path)?;
    ranges::calibrate(&mut graph, &origins, &float, options)?;
    Ok(Imported {
        graph,
        origins,
        float,
        parameters: loaded.parameters,
        onnx_nodes: loaded.onnx_nodes,
    })
}

/// Finds masks, and brings the graph in order again.
fn mask(graph: &mut Graph, origins: &mut Vec<Option<OutletId>>) {
    let mut build = Builder::new();
    std::mem::swap(&mut build.graph, graph);
    std::mem::swap(&mut build.origins, origins);
    masks::find(&mut build);
    (*graph, *origins) = (build.graph, build.origins);
    prune(graph, origins);
}

/// Leaves out what no output needs.
fn prune(graph: &mut Graph, origins: &mut Vec<Option<OutletId>>) {
    let kept = graph.prune().into_iter();
    *origins = kept
        .map(|old| origins.get(old).copied().flatten())
        .collect();
}

/// Why one node cannot be translated.
pub(crate) struct Refusal {
    pub reason: String,
    pub help: String,
}

/// A [`Refusal`].
pub(crate) fn refusal(reason: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal {
        reason: reason.into(),
        help: help.into(),
    }
}

/// One tract node to translate.
pub(crate) struct Call<'m> {
    /// The node.
    pub node: &'m TypedNode,
    /// Its operands among our nodes.
    pub inputs: Vec<NodeId>,
    /// Element types of its operands.
    pub dtypes: Vec<DatumType>,
    /// Shapes of its results.
    pub shapes: Vec<Vec<usize>>,
}

/// Translation under way.
pub(crate) struct Importer<'m> {
    /// Where nodes go.
    pub build: Builder,
    pub known: HashSet<&'m str>,
    pub operators: &'m HashMap<String, String>,
    pub complaints: Vec<Complaint>,
}

/// tract's graph as ours; for each of our nodes, the tract value with the same elements, if there is one.
pub(crate) fn translate(loaded: &Loaded) -> Result<(Graph, Vec<Option<OutletId>>), CompileError> {
    let mut importer = Importer {
        build: Builder::new(),
        known: loaded.names.iter().map(String::as_str).collect(),
        operators: &loaded.operators,
        complaints: loaded.refusals.clone(),
    };
    let mut values = HashMap::new();
    for (outlet, port) in loaded.model.inputs.iter().zip(&loaded.inputs) {
        importer.build.name = port.name.clone();
        let id = importer
            .build
            .push(Op::Input(port.dtype), Vec::new(), port.shape.clone());
        importer.build.origins[id] = Some(*outlet);
        importer.build.graph.inputs.push(id);
        values.insert(*outlet, id);
    }
    importer.walk(&loaded.model, &mut values, None);
    let Builder {
        mut graph, origins, ..
    } = importer.build;
    for (outlet, port) in loaded.model.outputs.iter().zip(&loaded.outputs) {
        // A refused node whose result has no shape has no value.
        let value = values.get(outlet).map(|id| (port.name.clone(), *id));
        graph.outputs.extend(value);
    }
    let mut complaints = importer.complaints;
    if complaints.is_empty() {
        return Ok((graph, origins));
    }
    complaints.extend(diagnose::complaints(graph));
    Err(CompileError::Nodes(complaints))
}

impl Importer<'_> {
    /// Translates all nodes of a model whose inputs have `values` already. For a body that is unrolled, `within` is the name of
    /// its node and the step.
    pub fn walk(
        &mut self,
        model: &TypedModel,
        values: &mut HashMap<OutletId, NodeId>,
        within: Option<(&str, usize)>,
    ) {
        let order = match model.eval_order() {
            Ok(order) => order,
            Err(e) => {
                return self.complain("", "graph", refusal(format!("{e:#}"), "report the model"));
            }
        };
        for id in order {
            let node = model.node(id);
            if node.op_is::<TypedSource>() {
                continue;
            }
            let part = names::onnx_part(&node.name, |n| self.known.contains(n));
            let onnx = within.map_or(part, |(name, _)| name).to_string();
            self.build.name = match within {
                Some((name, step)) if !node.op_is::<Const>() => format!("{name}/{step}"),
                _ => onnx.clone(),
            };
            match self.node(model, node, values) {
                Ok(Some(results)) => {
                    for (slot, result) in results.into_iter().enumerate() {
                        let outlet = OutletId::new(id, slot);
                        if within.is_none() {
                            self.build.stem_from(result, outlet);
                        }
                        values.insert(outlet, result);
                    }
                }
                Ok(None) => self.stand_in(node, values),
                Err(refusal) => {
                    self.complain(&onnx, &node.op().name(), refusal);
                    self.stand_in(node, values);
                }
            }
        }
    }

    /// The node's results; `None` where an operand is missing.
    fn node(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        values: &HashMap<OutletId, NodeId>,
    ) -> Result<Option<Vec<NodeId>>, Refusal> {
        if let Some(konst) = node.op_as::<Const>() {
            let tensor = tensors::from_tract(konst.val())
                .map_err(|e| refusal(e.to_string(), "only tensors of numbers can be compiled"))?;
            return Ok(Some(vec![self.build.constant(tensor)]));
        }
        let Some(inputs) = node
            .inputs
            .iter()
            .map(|i| values.get(i).copied())
            .collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        if let Some(folded) = self.fold(model, node) {
            return Ok(Some(folded));
        }
        let facts = |outlets: Vec<OutletId>| -> Vec<&TypedFact> {
            outlets
                .into_iter()
                .filter_map(|o| model.outlet_fact(o).ok())
                .collect()
        };
        let given = facts(node.inputs.to_vec());
        let made = facts(
            (0..node.outputs.len())
                .map(|slot| OutletId::new(node.id, slot))
                .collect(),
        );
        let call = Call {
            node,
            inputs,
            dtypes: given.iter().map(|f| f.datum_type).collect(),
            shapes: made.iter().map(|f| concrete(f)).collect::<Result<_, _>>()?,
        };
        let results = translate::translate(self, &call)?;
        for (result, shape) in results.iter().zip(&call.shapes) {
            assert_eq!(
                self.build.graph.nodes[*result].shape, *shape,
                "shape of {node}"
            );
        }
        Ok(Some(results))
    }

    /// What tract computes where all operands are constants that it left.
    fn fold(&mut self, model: &TypedModel, node: &TypedNode) -> Option<Vec<NodeId>> {
        if node.inputs.is_empty() || node.op_is::<MultiBroadcastTo>() {
            return None;
        }
        let operands: Option<TVec<TValue>> = node
            .inputs
            .iter()
            .map(|i| Some(model.outlet_fact(*i).ok()?.konst.clone()?.into_tvalue()))
            .collect();
        let results = node.op().eval_out_of_plan(operands?).ok()??;
        let tensors: Option<Vec<_>> = results
            .iter()
            .map(|t| tensors::from_tract(t).ok())
            .collect();
        Some(
            tensors?
                .into_iter()
                .map(|t| self.build.constant(t))
                .collect(),
        )
    }

    fn complain(&mut self, name: &str, tract_operator: &str, refusal: Refusal) {
        let onnx = self.operators.get(name);
        let known = onnx.and_then(|op| unsupported::reason(op));
        let (reason, help) = match known {
            Some((reason, help)) => (reason.to_string(), help.to_string()),
            None => (refusal.reason, refusal.help),
        };
        let op = onnx.cloned().unwrap_or_else(|| tract_operator.to_string());
        let said = |c: &Complaint| c.node == name && c.op == op;
        if !self.complaints.iter().any(said) {
            self.complaints.push(Complaint {
                node: name.to_string(),
                op,
                reason,
                help,
            });
        }
    }

    /// Puts inputs in the place of a refused node's results, so that the nodes after it are examined as well.
    fn stand_in(&mut self, node: &TypedNode, values: &mut HashMap<OutletId, NodeId>) {
        for (slot, output) in node.outputs.iter().enumerate() {
            if let (Ok(shape), Some(dtype)) = (
                concrete(&output.fact),
                tensors::port_dtype(output.fact.datum_type),
            ) {
                let id = self.build.push(Op::Input(dtype), Vec::new(), shape);
                values.insert(OutletId::new(node.id, slot), id);
            }
        }
    }
}

fn concrete(fact: &TypedFact) -> Result<Vec<usize>, Refusal> {
    match fact.shape.as_concrete() {
        Some(shape) => Ok(shape.to_vec()),
        None => Err(refusal(
            format!("the shape {:?} of its result depends on values", fact.shape),
            "export the model with fixed shapes",
        )),
    }
}
