//! Which elements of a model's inputs are indices: of how many rows, and as which functions of the elements.

use std::collections::HashMap;

use crate::error::CompileError;
use crate::graph::interpret::evaluate_node;
use crate::graph::{BinaryFn, Graph, Node, NodeId, Op, Pointwise, Tensor};

/// Longest axis that an input may select from.
const MOST_ROWS: usize = 1 << 24;

/// How a model input selects rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Picks {
    /// The number up to which what any element picks is there, if it picks.
    pub limit: Option<usize>,
    all: Vec<Pick>,
}

/// Some elements of an input that are indices.
#[derive(Clone, Debug)]
struct Pick {
    index: Pointwise,
    /// Rows.
    length: usize,
    /// Which elements; all, where that is not known.
    elements: Option<Vec<usize>>,
}

impl Pick {
    /// Whether there is a row for a number.
    fn has(&self, v: f64) -> bool {
        (0.0..self.length as f64).contains(&self.index.eval(v))
    }

    /// Up to which number there are rows.
    fn limit(&self) -> usize {
        let valid = |v: &usize| self.has(*v as f64);
        (0..MOST_ROWS).take_while(valid).count()
    }

    /// The first of an input's elements that picks a row that is not there.
    fn fault(&self, data: &[f64]) -> Option<f64> {
        let wrong = |v: &f64| !self.has(*v);
        match &self.elements {
            None => data.iter().copied().find(wrong),
            Some(elements) => {
                let read = elements.iter().filter_map(|at| data.get(*at).copied());
                read.into_iter().find(wrong)
            }
        }
    }
}

/// For each model input, how it selects rows.
pub(super) fn index_limits(graph: &Graph) -> Vec<Picks> {
    let mut limits = vec![Picks::default(); graph.inputs.len()];
    let mut sources = Sources {
        graph,
        known: HashMap::new(),
    };
    for node in &graph.nodes {
        let Op::Gather { axis } = node.op else {
            continue;
        };
        let length = graph.nodes[node.inputs[0]].shape[axis];
        for source in sources.of(node.inputs[1]) {
            let positions = source.positions.map(|t| elements(&t));
            let pick = Pick {
                index: source.function,
                length,
                elements: positions,
            };
            let limit = pick.limit();
            if limit > 0 {
                let picks = &mut limits[source.input];
                picks.limit = Some(picks.limit.map_or(limit, |other| other.min(limit)));
                picks.all.push(pick);
            }
        }
    }
    limits
}

fn elements(positions: &Tensor) -> Vec<usize> {
    let known = positions.data.iter().filter(|at| at.is_finite());
    known.map(|at| *at as usize).collect()
}

/// Refuses a sample that picks rows that are not there.
pub(super) fn check_indices(
    graph: &Graph,
    limits: &[Picks],
    sample: &[Tensor],
) -> Result<(), CompileError> {
    for ((id, picks), tensor) in graph.inputs.iter().zip(limits).zip(sample) {
        for pick in &picks.all {
            if let Some(v) = pick.fault(&tensor.data) {
                let (name, limit) = (&graph.nodes[*id].name, pick.limit());
                return Err(CompileError::Samples(format!(
                    "input `{name}` selects row {v} of {limit}"
                )));
            }
        }
    }
    Ok(())
}

/// A value that has elements of an input.
#[derive(Clone)]
struct Source {
    /// Which input.
    input: usize,
    /// Function of the input's elements that the value's are.
    function: Pointwise,
    /// For each element of the value, which of the input's it has; NaN for others. `None` where it is not known.
    positions: Option<Tensor>,
}

/// What values have of inputs, by what moves elements and changes them one by one.
struct Sources<'g> {
    graph: &'g Graph,
    known: HashMap<NodeId, Vec<Source>>,
}

impl Sources<'_> {
    fn of(&mut self, id: NodeId) -> Vec<Source> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let found = self.find(id);
        self.known.insert(id, found.clone());
        found
    }

    fn find(&mut self, id: NodeId) -> Vec<Source> {
        let node = &self.graph.nodes[id];
        match &node.op {
            Op::Input(_) => {
                let input = self.graph.inputs.iter().position(|input| *input == id);
                let iota = (0..node.volume()).map(|at| at as f64).collect();
                let source = |input| Source {
                    input,
                    function: Pointwise::Variable,
                    positions: Some(Tensor::new(node.shape.clone(), iota)),
                };
                input.map(source).into_iter().collect()
            }
            Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Broadcast => {
                self.moved(node, 0)
            }
            Op::Concat { .. } => {
                let operands = 0..node.inputs.len();
                operands
                    .flat_map(|operand| self.moved(node, operand))
                    .collect()
            }
            Op::Gather { .. } => {
                let constant = self.graph.nodes[node.inputs[1]].constant().is_some();
                let mut made = match constant {
                    true => self.moved(node, 0),
                    false => self.of(node.inputs[0]),
                };
                if !constant {
                    made.iter_mut().for_each(|source| source.positions = None);
                }
                made
            }
            Op::Pointwise(e) => self.changed(node, 0, e),
            Op::Binary(f) => self.combined(node, *f),
            _ => Vec::new(),
        }
    }

    /// What an operand has, after an operator that moves elements.
    fn moved(&mut self, node: &Node, operand: usize) -> Vec<Source> {
        let mut made = self.of(node.inputs[operand]);
        for source in &mut made {
            let positions = source.positions.take();
            source.positions = positions.map(|positions| {
                let nothing = |id: &NodeId| match self.graph.nodes[*id].constant() {
                    Some(tensor) if matches!(node.op, Op::Gather { .. }) => tensor.clone(),
                    _ => Tensor::filled(self.graph.nodes[*id].shape.clone(), f64::NAN),
                };
                let mut operands: Vec<Tensor> = node.inputs.iter().map(nothing).collect();
                operands[operand] = positions;
                evaluate_node(node, &operands.iter().collect::<Vec<_>>())
            });
        }
        made
    }

    /// What an operand has, after a function of each element.
    fn changed(&mut self, node: &Node, operand: usize, e: &Pointwise) -> Vec<Source> {
        let mut made = self.of(node.inputs[operand]);
        for source in &mut made {
            source.function = e.compose(&source.function);
            let same = |positions: &Tensor| positions.shape == node.shape;
            source.positions = source.positions.take().filter(same);
        }
        made
    }

    /// A function of two operands is one of a single one where the other is one number.
    fn combined(&mut self, node: &Node, f: BinaryFn) -> Vec<Source> {
        let [a, b] = node.inputs[..] else {
            return Vec::new();
        };
        let number = |id| self.graph.uniform(id).map(Pointwise::Constant);
        match (number(a), number(b)) {
            (None, Some(b)) => {
                let e = Pointwise::binary(f, Pointwise::Variable, b);
                self.changed(node, 0, &e)
            }
            (Some(a), None) => {
                let e = Pointwise::binary(f, a, Pointwise::Variable);
                self.changed(node, 1, &e)
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::calibrate::picks::{check_indices, index_limits};
    use crate::graph::Tensor;
    use crate::testing::Onnx;

    /// Column 0 picks of 3, column 1 of 4.
    #[test]
    fn columns_of_an_input_pick_of_axes_of_their_own() {
        let graph = Onnx::new()
            .input("x", "3,4")
            .typed_input("i", DataType::Int64, "2,2")
            .node("GatherND", "x,i", "y", &[])
            .output("y")
            .agrees();
        let limits = index_limits(&graph);
        assert_eq!(limits[1].limit, Some(3));
        let check = |data: [f64; 4]| {
            let x = Tensor::filled(vec![3, 4], 0.0);
            let sample = [x, Tensor::new(vec![2, 2], data.to_vec())];
            check_indices(&graph, &limits, &sample).is_ok()
        };
        assert!(check([2.0, 3.0, 0.0, 3.0]));
        assert!(!check([3.0, 0.0, 0.0, 0.0]));
    }
}
