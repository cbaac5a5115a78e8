//! One of our graphs as an operator of tract's.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::graph;
use crate::graph::builder::Builder;
use crate::graph::interpret;
use crate::graph::{Dtype, Graph, Node, NodeId};
use crate::onnx::tensors::{from_tract, to_tract};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Subgraph {
    name: String,
    graph: Arc<Graph>,
    /// For each input of the graph, which operand it is.
    sources: Vec<usize>,
    /// Element types of the results.
    dtypes: Vec<DatumType>,
    /// Whether it is only there for a refused operator.
    stands_in: bool,
}

impl PartialEq for Subgraph {
    fn eq(&self, other: &Subgraph) -> bool {
        Arc::ptr_eq(&self.graph, &other.graph)
    }
}

impl Eq for Subgraph {}

impl Subgraph {
    /// The operator `name`.
    pub fn new(name: &str, graph: Graph, sources: Vec<usize>, dtypes: Vec<DatumType>) -> Subgraph {
        Subgraph {
            name: name.to_string(),
            graph: Arc::new(graph),
            sources,
            dtypes,
            stands_in: false,
        }
    }

    /// The stand-in for a refused operator: its first operand.
    pub fn stand_in(name: &str, first: &TypedFact, results: usize) -> TractResult<Subgraph> {
        let Some(shape) = first.shape.as_concrete() else {
            bail!("`{name}` has no operand with a known shape");
        };
        let source = Node {
            name: name.to_string(),
            op: graph::Op::Input(Dtype::Float32),
            inputs: Vec::new(),
            shape: shape.to_vec(),
            dtype: Dtype::Float32,
            range: (0.0, 0.0),
            stats: Vec::new(),
            seen: Default::default(),
        };
        let graph = Graph {
            nodes: vec![source],
            inputs: vec![0],
            outputs: vec![(String::new(), 0); results],
        };
        let dtypes = vec![first.datum_type; results];
        Ok(Subgraph {
            stands_in: true,
            ..Subgraph::new(name, graph, vec![0], dtypes)
        })
    }

    /// Whether it is only there for a refused operator.
    pub fn is_stand_in(&self) -> bool {
        self.stands_in
    }

    /// Appends the nodes of the graph; `inputs` are the operands of the operator.
    pub fn splice(&self, build: &mut Builder, inputs: &[NodeId]) -> Vec<NodeId> {
        let operands = self.sources.iter().map(|source| inputs[*source]);
        inline(build, &self.graph, &operands.collect::<Vec<_>>())
    }

    /// Types and shapes of the results, and the values of those that are constant.
    pub fn facts(&self) -> TVec<TypedFact> {
        let outputs = self.graph.outputs.iter().zip(&self.dtypes);
        let fact = |((_, id), dtype): (&(String, NodeId), &DatumType)| {
            let node = &self.graph.nodes[*id];
            let constant = node.constant().and_then(|t| to_tract(t, *dtype).ok());
            let known = constant.and_then(|t| TypedFact::try_from(t.into_arc_tensor()).ok());
            known.unwrap_or_else(|| dtype.fact(node.shape.as_slice()))
        };
        outputs.map(fact).collect()
    }
}

impl Op for Subgraph {
    fn name(&self) -> StaticName {
        self.name.clone().into()
    }

    op_as_typed_op!();
}

impl EvalOp for Subgraph {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let operands = self
            .sources
            .iter()
            .map(|source| from_tract(&inputs[*source]));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let results = interpret::run(&self.graph, &operands);
        let typed = results.iter().zip(&self.dtypes);
        typed
            .map(|(tensor, dtype)| Ok(to_tract(tensor, *dtype)?.into_tvalue()))
            .collect()
    }
}

impl TypedOp for Subgraph {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.facts())
    }

    as_op!();
}

/// Appends the nodes of a graph, with these operands for its inputs; its outputs.
pub(crate) fn inline(build: &mut Builder, graph: &Graph, operands: &[NodeId]) -> Vec<NodeId> {
    let mut given = vec![None; graph.nodes.len()];
    for (input, operand) in graph.inputs.iter().zip(operands) {
        given[*input] = Some(*operand);
    }
    let mut ids: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (node, given) in graph.nodes.iter().zip(given) {
        let made = match (&node.op, given) {
            (_, Some(operand)) => operand,
            (graph::Op::Constant(tensor), _) => build.constant(tensor.clone()),
            (op, _) => {
                let operands = node.inputs.iter().map(|input| ids[*input]).collect();
                let known = build.graph.nodes.len();
                let made = build.push(op.clone(), operands, node.shape.clone());
                build.retype(known, made, node.dtype);
                made
            }
        };
        ids.push(made);
    }
    graph.outputs.iter().map(|(_, id)| ids[*id]).collect()
}
