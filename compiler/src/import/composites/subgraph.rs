//! An operator of tract that is a graph of ours.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::tensors::{from_tract, to_tract};
use crate::graph::{self, Dtype, Graph, Node, NodeId};
use crate::import::ops::Translated;
use crate::import::{Call, Importer};
use crate::interpret;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Subgraph {
    name: String,
    graph: Arc<Graph>,
    /// For each input of the graph, which operand it is.
    sources: Vec<usize>,
    /// Element types of the results.
    dtypes: Vec<DatumType>,
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
        }
    }

    /// What takes the place of an operator that is refused: its first operand.
    pub fn stand_in(name: &str, first: &TypedFact, results: usize) -> TractResult<Subgraph> {
        let Some(shape) = first.shape.as_concrete() else {
            bail!("`{name}` has no concrete operand");
        };
        let source = Node {
            name: name.to_string(),
            op: graph::Op::Input(Dtype::Float32),
            inputs: Vec::new(),
            shape: shape.to_vec(),
            range: (0.0, 0.0),
            stats: Vec::new(),
        };
        let graph = Graph {
            nodes: vec![source],
            inputs: vec![0],
            outputs: vec![(String::new(), 0); results],
        };
        let dtypes = vec![first.datum_type; results];
        Ok(Subgraph::new(name, graph, vec![0], dtypes))
    }

    /// Whether it is one: no operator gives back its operand only.
    pub fn is_stand_in(&self) -> bool {
        self.graph.nodes.len() == 1 && !self.graph.inputs.is_empty()
    }

    /// Types and shapes of the results.
    pub fn facts(&self) -> TVec<TypedFact> {
        let outputs = self.graph.outputs.iter().zip(&self.dtypes);
        let fact = |((_, id), dtype): (&(String, NodeId), &DatumType)| {
            dtype.fact(self.graph.nodes[*id].shape.as_slice())
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

/// The nodes of the subgraph in the place of the operator.
pub(crate) fn splice(importer: &mut Importer, call: &Call, op: &Subgraph) -> Translated {
    let mut ids: Vec<NodeId> = Vec::with_capacity(op.graph.nodes.len());
    let mut sources = op.sources.iter();
    let inputs = &op.graph.inputs;
    let mut given = vec![None; op.graph.nodes.len()];
    inputs
        .iter()
        .for_each(|input| given[*input] = sources.next().map(|s| call.inputs[*s]));
    for (id, node) in op.graph.nodes.iter().enumerate() {
        let made = match (&node.op, given[id]) {
            (_, Some(operand)) => operand,
            (graph::Op::Constant(tensor), _) => importer.build.constant(tensor.clone()),
            (op, _) => {
                let operands = node.inputs.iter().map(|input| ids[*input]).collect();
                importer
                    .build
                    .push(op.clone(), operands, node.shape.clone())
            }
        };
        ids.push(made);
    }
    Ok(op.graph.outputs.iter().map(|(_, id)| ids[*id]).collect())
}
