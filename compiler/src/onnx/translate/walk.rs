//! tract's decluttered graph to ours, node by node. An operator that is missing from the table is refused by name, and
//! the walk goes on, so that one run reports all refused nodes.

use std::collections::{HashMap, HashSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::MultiBroadcastTo;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};
use tract_onnx::tract_core::ops::source::TypedSource;

use crate::diagnostic::{Diagnostic, caught, refuse};
use crate::graph::Origin;
use crate::graph::builder::Builder;
use crate::graph::names;
use crate::graph::{Dtype, Graph, Node, NodeId, Op};
use crate::onnx::decompose::subgraph::Subgraph;
use crate::onnx::loaded::Loaded;
use crate::onnx::{tensors, translate, unsupported};

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

/// A translation in progress.
pub(crate) struct Importer<'m> {
    /// Where nodes go.
    pub build: Builder,
    known: HashSet<&'m str>,
    operators: &'m HashMap<String, String>,
    diagnostics: Vec<Diagnostic>,
}

/// A model that is refused: what was translated, with inputs in place of refused nodes, and the reasons.
pub(crate) struct Refused {
    /// Not checked, not pruned.
    pub graph: Graph,
    /// Not empty.
    pub diagnostics: Vec<Diagnostic>,
}

/// tract's graph as ours; for each of our nodes, the tract value with the same elements, if there is one.
pub(crate) fn translate(loaded: &Loaded) -> Result<(Graph, Vec<Option<Origin>>), Refused> {
    let known = loaded.names.iter().map(String::as_str).collect();
    let mut importer = Importer::new(known, &loaded.operators, loaded.diagnostics.clone());
    let mut values = HashMap::new();
    for (outlet, port) in loaded.model.inputs.iter().zip(&loaded.inputs) {
        importer.build.name = port.name.clone();
        let id = importer
            .build
            .push(Op::Input(port.dtype), Vec::new(), port.shape.clone());
        importer.build.origins[id] = Some(origin(*outlet));
        importer.build.graph.inputs.push(id);
        values.insert(*outlet, id);
    }
    importer.walk(&loaded.model, &mut values, None);
    let mut outputs = Vec::new();
    for (outlet, port) in loaded.model.outputs.iter().zip(&loaded.outputs) {
        // A refused node whose result has no shape has no value.
        let value = values
            .get(outlet)
            .map(|id| importer.of_type(*id, port.dtype));
        outputs.extend(value.map(|id| (port.name.clone(), id)));
    }
    let Builder {
        mut graph, origins, ..
    } = importer.build;
    graph.outputs = outputs;
    let diagnostics = importer.diagnostics;
    if diagnostics.is_empty() {
        Ok((graph, origins))
    } else {
        Err(Refused { graph, diagnostics })
    }
}

impl<'m> Importer<'m> {
    /// Nothing translated yet. `known` are the names of the ONNX graph, `operators` the types of its nodes by name, `diagnostics` what is
    /// refused already.
    pub fn new(
        known: HashSet<&'m str>,
        operators: &'m HashMap<String, String>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self {
            build: Builder::new(),
            known,
            operators,
            diagnostics,
        }
    }

    /// The value as one of this type: casts that keep what a value is leave no node.
    fn of_type(&mut self, id: NodeId, dtype: Dtype) -> NodeId {
        let Node {
            dtype: own,
            shape,
            name,
            ..
        } = &self.build.graph.nodes[id];
        if *own == dtype {
            return id;
        }
        let shape = shape.clone();
        self.build.name = name.clone();
        let known = self.build.graph.nodes.len();
        let made = self.build.append(Op::Reshape, vec![id], shape);
        self.build.origins[made] = self.build.origins[id];
        self.build.retype(known, made, dtype);
        made
    }

    /// The first of what was refused.
    pub fn into_first_refusal(self) -> Result<Builder, Diagnostic> {
        match self.diagnostics.into_iter().next() {
            Some(diagnostic) => Err(diagnostic),
            None => Ok(self.build),
        }
    }

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
                return self.refuse(
                    "",
                    "graph",
                    refuse(format!("{e:#}"), "please report this model"),
                );
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
            match self.caught(model, node, values) {
                Ok(Some(results)) => {
                    for (slot, result) in results.into_iter().enumerate() {
                        let outlet = OutletId::new(id, slot);
                        if within.is_none() {
                            self.build.stem_from(result, origin(outlet));
                        }
                        values.insert(outlet, result);
                    }
                }
                Ok(None) => self.stand_in(node, values),
                Err(diagnostic) => {
                    self.refuse(&onnx, &node.op().name(), diagnostic);
                    self.stand_in(node, values);
                }
            }
        }
    }

    /// As [`node`](Self::node); where that panics, the node is refused.
    fn caught(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        values: &HashMap<OutletId, NodeId>,
    ) -> Result<Option<Vec<NodeId>>, Diagnostic> {
        let translated = caught(|| self.node(model, node, values));
        translated.unwrap_or_else(|_| {
            Err(refuse(
                "it is not as the specification says",
                "correct the model, or report it",
            ))
        })
    }

    /// The node's results; `None` where an operand is missing.
    fn node(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        values: &HashMap<OutletId, NodeId>,
    ) -> Result<Option<Vec<NodeId>>, Diagnostic> {
        if let Some(konst) = node.op_as::<Const>() {
            let tensor = tensors::from_tract(konst.val())
                .map_err(|e| refuse(e.to_string(), "only tensors of numbers can be compiled"))?;
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
        let known = self.build.graph.nodes.len();
        let mut results = translate::translate(self, &call)?;
        for (result, fact) in results.iter_mut().zip(&made) {
            if let Some(dtype) = tensors::port_dtype(fact.datum_type) {
                if wraps(node) {
                    *result = self.build.wrap(*result, dtype);
                }
                self.build.retype(known, *result, dtype);
            }
        }
        for (result, shape) in results.iter().zip(&call.shapes) {
            assert_eq!(
                self.build.graph.nodes[*result].shape, *shape,
                "shape of {node}"
            );
        }
        Ok(Some(results))
    }

    /// The value of a node whose operands are all constants that tract did not fold.
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

    /// Records why a node is refused: by its ONNX type alone, if that is reason enough.
    fn refuse(&mut self, name: &str, tract_operator: &str, diagnostic: Diagnostic) {
        let onnx = self.operators.get(name);
        let known = onnx.and_then(|op| unsupported::reason(op));
        let diagnostic = known.map_or(diagnostic, |(reason, help)| refuse(reason, help));
        let op = onnx.map_or(tract_operator, String::as_str);
        let known = |d: &Diagnostic| d.node == name && d.op == op;
        if !self.diagnostics.iter().any(known) {
            self.diagnostics.push(diagnostic.at(name, op));
        }
    }

    /// Puts inputs in place of a refused node's results, so that the nodes after it are examined too.
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

/// Whether the operator's integers wrap around when they leave their type: ours see to it themselves, and a sum that overflows is undefined.
fn wraps(node: &TypedNode) -> bool {
    let sums = |op: &Reduce| matches!(op.reducer, Reducer::Sum);
    !node.op_is::<Subgraph>() && !node.op_as::<Reduce>().is_some_and(sums)
}

/// Which of tract's values.
fn origin(outlet: OutletId) -> Origin {
    Origin {
        node: outlet.node,
        slot: outlet.slot,
    }
}

fn concrete(fact: &TypedFact) -> Result<Vec<usize>, Diagnostic> {
    match fact.shape.as_concrete() {
        Some(shape) => Ok(shape.to_vec()),
        None => Err(refuse(
            format!(
                "the shape {:?} of its result depends on the data",
                fact.shape
            ),
            "export the model with fixed shapes",
        )),
    }
}
