//! Appends nodes to a graph: one method for each operator, which skips trivial nodes and evaluates constant ones.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::diagnostic::Diagnostic;
use crate::graph::interpret;
use crate::graph::limits::check_matrix;
use crate::graph::{
    BinaryFn, Dtype, Graph, Node, NodeId, Op, Origin, Pointwise, Reducer, Rounding, Tensor,
};

/// A graph under construction.
pub struct Builder {
    /// What has been built so far.
    pub graph: Graph,
    /// For each node, the value of the file's own evaluation that has the same elements in the same order.
    pub origins: Vec<Option<Origin>>,
    /// ONNX name of new nodes.
    pub name: String,
    /// Constants by a hash of their shape and elements.
    constants: HashMap<u64, Vec<NodeId>>,
}

/// See [`Builder::trivial`].
enum Trivial {
    Operand(NodeId),
    Zero,
}

/// Equal also where NaN.
fn equal_bits(a: &Tensor, b: &Tensor) -> bool {
    a.shape == b.shape
        && a.data
            .iter()
            .map(|v| v.to_bits())
            .eq(b.data.iter().map(|v| v.to_bits()))
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Builder {
        let graph = Graph {
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Builder {
            graph,
            origins: Vec::new(),
            name: String::new(),
            constants: HashMap::new(),
        }
    }

    /// Appends a node; with constant operands, its value, unless that is a longer repetition.
    pub fn push(&mut self, op: Op, inputs: Vec<NodeId>, shape: Vec<usize>) -> NodeId {
        let node = self.node(op, inputs, shape);
        let operands: Option<Vec<&Tensor>> = node
            .inputs
            .iter()
            .map(|i| self.graph.nodes[*i].constant())
            .collect();
        if let Some(operands) = operands.filter(|o| !o.is_empty() && node.op != Op::Broadcast) {
            let value = interpret::evaluate_node(&node, &operands);
            return self.constant(value);
        }
        self.add_node(node)
    }

    /// Appends a node, also with constant operands.
    pub fn append(&mut self, op: Op, inputs: Vec<NodeId>, shape: Vec<usize>) -> NodeId {
        let node = self.node(op, inputs, shape);
        self.add_node(node)
    }

    fn node(&self, op: Op, inputs: Vec<NodeId>, shape: Vec<usize>) -> Node {
        let name = self.name.clone();
        let dtype = self.graph.dtype_of(&op, &inputs);
        Node {
            name,
            op,
            inputs,
            shape,
            dtype,
            range: (0.0, 0.0),
            stats: Vec::new(),
            seen: Default::default(),
        }
    }

    fn add_node(&mut self, node: Node) -> NodeId {
        self.graph.nodes.push(node);
        self.origins.push(None);
        self.graph.nodes.len() - 1
    }

    /// Records that a node, and what it merely reshapes, has the elements of a value of the file's own evaluation.
    pub fn stem_from(&mut self, mut id: NodeId, origin: Origin) {
        while self.origins[id].is_none() {
            self.origins[id] = Some(origin);
            match &self.graph.nodes[id] {
                Node {
                    op: Op::Reshape,
                    inputs,
                    ..
                } => id = inputs[0],
                _ => break,
            }
        }
    }

    /// Says of which type a value is, if it has been computed since there were `known` nodes.
    pub fn retype(&mut self, known: usize, id: NodeId, dtype: Dtype) {
        let node = &mut self.graph.nodes[id];
        if id >= known && !matches!(node.op, Op::Constant(_) | Op::Input(_)) {
            node.dtype = dtype;
        }
    }

    /// Shape of a node.
    pub fn shape(&self, id: NodeId) -> Vec<usize> {
        self.graph.nodes[id].shape.clone()
    }

    /// Number of axes of a node.
    pub fn rank(&self, id: NodeId) -> usize {
        self.graph.nodes[id].shape.len()
    }

    /// The tensor of a constant.
    pub fn tensor(&self, id: NodeId) -> Option<&Tensor> {
        self.graph.nodes[id].constant()
    }

    /// A constant; an existing one if it is the same.
    pub fn constant(&mut self, tensor: Tensor) -> NodeId {
        let mut hasher = DefaultHasher::new();
        tensor.shape.hash(&mut hasher);
        tensor
            .data
            .iter()
            .for_each(|v| v.to_bits().hash(&mut hasher));
        let hash = hasher.finish();
        let same = |id: &&NodeId| self.tensor(**id).is_some_and(|t| equal_bits(t, &tensor));
        if let Some(&known) = self
            .constants
            .get(&hash)
            .and_then(|ids| ids.iter().find(same))
        {
            return known;
        }
        let shape = tensor.shape.clone();
        let node = self.node(Op::Constant(tensor), Vec::new(), shape);
        let id = self.add_node(node);
        self.constants.entry(hash).or_default().push(id);
        id
    }

    /// A constant of one element with `rank` axes.
    pub fn scalar(&mut self, value: f64, rank: usize) -> NodeId {
        self.constant(Tensor::filled(vec![1; rank], value))
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        if self.graph.nodes[x].shape == shape {
            return x;
        }
        let made = self.push(Op::Reshape, vec![x], shape.to_vec());
        self.origins[made] = self.origins[x];
        made
    }

    /// Output axis `i` is input axis `permutation[i]`.
    pub fn transpose(&mut self, x: NodeId, permutation: &[usize]) -> NodeId {
        if permutation.iter().enumerate().all(|(i, p)| i == *p) {
            return x;
        }
        let from = self.shape(x);
        let shape = permutation.iter().map(|p| from[*p]).collect();
        self.push(
            Op::Transpose {
                permutation: permutation.to_vec(),
            },
            vec![x],
            shape,
        )
    }

    /// `length` positions along an axis.
    pub fn slice(
        &mut self,
        x: NodeId,
        axis: usize,
        start: usize,
        length: usize,
        step: isize,
    ) -> NodeId {
        let mut shape = self.shape(x);
        if start == 0 && length == shape[axis] && step == 1 {
            return x;
        }
        shape[axis] = length;
        self.push(Op::Slice { axis, start, step }, vec![x], shape)
    }

    /// Joined along an axis.
    pub fn concat(&mut self, parts: Vec<NodeId>, axis: usize) -> NodeId {
        if let [single] = parts[..] {
            return single;
        }
        let mut shape = self.shape(parts[0]);
        shape[axis] = parts.iter().map(|p| self.graph.nodes[*p].shape[axis]).sum();
        self.push(Op::Concat { axis }, parts, shape)
    }

    /// Axes of length 1 repeated; missing leading axes are added.
    pub fn broadcast(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        let mut own = self.shape(x);
        while own.len() < shape.len() {
            own.insert(0, 1);
        }
        let x = self.reshape(x, &own);
        if own == shape {
            return x;
        }
        self.push(Op::Broadcast, vec![x], shape.to_vec())
    }

    /// A function of each element.
    pub fn pointwise(&mut self, e: Pointwise, x: NodeId) -> NodeId {
        let shape = self.shape(x);
        match e.is_affine() {
            Some((slope, offset)) => {
                let scaled = self.multiply_scalar(x, slope);
                self.add_scalar(scaled, offset)
            }
            None => self.push(Op::Pointwise(e), vec![x], shape),
        }
    }

    /// `factor * x`.
    pub fn multiply_scalar(&mut self, x: NodeId, factor: f64) -> NodeId {
        if factor == 1.0 {
            return x;
        }
        let rank = self.shape(x).len();
        let factor = self.scalar(factor, rank);
        self.binary(BinaryFn::Mul, x, factor)
    }

    /// `x + offset`.
    pub fn add_scalar(&mut self, x: NodeId, offset: f64) -> NodeId {
        if offset == 0.0 {
            return x;
        }
        let rank = self.shape(x).len();
        let offset = self.scalar(offset, rank);
        self.binary(BinaryFn::Add, x, offset)
    }

    /// A function of two tensors of equal rank; axes of length 1 are repeated.
    pub fn binary(&mut self, f: BinaryFn, a: NodeId, b: NodeId) -> NodeId {
        if f == BinaryFn::Div
            && let Some(divisor) = self.tensor(b)
            && divisor.data.iter().all(|v| v.is_normal())
        {
            let reciprocal = Tensor::new(
                divisor.shape.clone(),
                divisor.data.iter().map(|v| v.recip()).collect(),
            );
            let reciprocal = self.constant(reciprocal);
            return self.binary(BinaryFn::Mul, a, reciprocal);
        }
        let (inputs, shape) = self.broadcast_shapes(vec![a, b]);
        match self.trivial(f, a, b, &shape) {
            Some(Trivial::Operand(x)) => x,
            Some(Trivial::Zero) => {
                let zero = self.scalar(0.0, shape.len());
                self.broadcast(zero, &shape)
            }
            None => self.push(Op::Binary(f), inputs, shape),
        }
    }

    /// A result that needs no computation: sums with 0, products with 0 and 1, bounds that are infinite.
    fn trivial(&self, f: BinaryFn, a: NodeId, b: NodeId, shape: &[usize]) -> Option<Trivial> {
        let keeps = |x: NodeId| (self.graph.nodes[x].shape == shape).then_some(Trivial::Operand(x));
        match (f, self.graph.uniform(a), self.graph.uniform(b)) {
            (BinaryFn::Add | BinaryFn::Sub, _, Some(0.0)) => keeps(a),
            (BinaryFn::Mul | BinaryFn::Div | BinaryFn::Pow | BinaryFn::FloorDiv, _, Some(1.0)) => {
                keeps(a)
            }
            (BinaryFn::Max, _, Some(f64::NEG_INFINITY)) => keeps(a),
            (BinaryFn::Min, _, Some(f64::INFINITY)) => keeps(a),
            (BinaryFn::Max, Some(f64::NEG_INFINITY), _) => keeps(b),
            (BinaryFn::Min, Some(f64::INFINITY), _) => keeps(b),
            (BinaryFn::Add, Some(0.0), _) | (BinaryFn::Mul, Some(1.0), _) => keeps(b),
            (BinaryFn::Mul, Some(0.0), _) | (BinaryFn::Mul, _, Some(0.0)) => Some(Trivial::Zero),
            _ => None,
        }
    }

    /// Rows of `length`, along a last axis, with a one at the index. No other index can be proved.
    pub fn one_hot(&mut self, indices: NodeId, length: usize) -> Result<NodeId, Diagnostic> {
        check_matrix(length, length)?;
        let mut identity = Tensor::filled(vec![length, length], 0.0);
        (0..length).for_each(|i| identity.data[i * length + i] = 1.0);
        let identity = self.constant(identity);
        let mut shape = self.shape(indices);
        shape.push(length);
        Ok(self.push(Op::Gather { axis: 0 }, vec![identity, indices], shape))
    }

    /// `if condition { yes } else { no }`; equal rank, axes of length 1 are repeated.
    pub fn select(&mut self, condition: NodeId, yes: NodeId, no: NodeId) -> NodeId {
        let (inputs, shape) = self.broadcast_shapes(vec![condition, yes, no]);
        self.push(Op::Select, inputs, shape)
    }

    /// `round(x * factor) + offset` kept in a range; constants of the same rank.
    pub fn rescale(
        &mut self,
        x: NodeId,
        [factor, offset]: [NodeId; 2],
        rounding: Rounding,
        (least, greatest): (f64, f64),
    ) -> NodeId {
        let shape = self.shape(x);
        let op = Op::Rescale {
            rounding,
            least,
            greatest,
        };
        self.push(op, vec![x, factor, offset], shape)
    }

    /// A reduction; the axes stay with length 1.
    pub fn reduce(&mut self, reducer: Reducer, axes: &[usize], x: NodeId) -> NodeId {
        let mut shape = self.shape(x);
        axes.iter().for_each(|a| shape[*a] = 1);
        self.push(
            Op::Reduce {
                reducer,
                axes: axes.to_vec(),
            },
            vec![x],
            shape,
        )
    }

    /// Applies a matrix `[out, in]` along one axis.
    pub fn apply_matrix(&mut self, x: NodeId, axis: usize, matrix: Tensor) -> NodeId {
        let mut shape = self.shape(x);
        let summed = shape.len() as u8;
        shape[axis] = matrix.shape[0];
        let output: Vec<u8> = (0..summed).collect();
        let mut input = output.clone();
        input[axis] = summed;
        let matrix = self.constant(matrix);
        self.push(
            Op::Einsum {
                inputs: vec![input, vec![axis as u8, summed]],
                output,
            },
            vec![x, matrix],
            shape,
        )
    }

    /// Sum of products over axes that are named by letters: `"bqd,bkd->bqk"`. Equal letters have equal lengths. More than two
    /// operands are multiplied one after the other, so that intermediate products have ranges.
    pub fn einsum(&mut self, equation: &str, operands: &[NodeId]) -> NodeId {
        let (left, output) = equation.split_once("->").expect("an arrow");
        let labels: Vec<&[u8]> = left.split(',').map(str::as_bytes).collect();
        let (mut made, mut own) = (operands[0], labels[0].to_vec());
        for next in 1..operands.len().max(2) {
            let last = next + 1 >= operands.len();
            let (inputs, ids) = match operands.get(next) {
                None => (vec![own], vec![made]),
                Some(id) => (vec![own, labels[next].to_vec()], vec![made, *id]),
            };
            let length = |letter: &u8| {
                let found = inputs.iter().zip(&ids).find_map(|(labels, id)| {
                    let axis = labels.iter().position(|l| l == letter)?;
                    Some(self.graph.nodes[*id].shape[axis])
                });
                found.expect("an operand has the letter")
            };
            let output = if last {
                output.as_bytes().to_vec()
            } else {
                let later = labels[next + 1..].concat();
                let mut kept = inputs.concat();
                kept.sort_unstable();
                kept.dedup();
                kept.retain(|l| later.contains(l) || output.as_bytes().contains(l));
                kept
            };
            let shape = output.iter().map(length).collect();
            own = output.clone();
            made = self.push(Op::Einsum { inputs, output }, ids, shape);
        }
        made
    }

    /// Operands of an elementwise operator, and its shape. A broadcast that the operator does by itself is skipped.
    fn broadcast_shapes(&self, mut operands: Vec<NodeId>) -> (Vec<NodeId>, Vec<usize>) {
        let shape_of = |operands: &[NodeId]| -> Vec<usize> {
            let shapes: Vec<&[usize]> = operands
                .iter()
                .map(|o| &*self.graph.nodes[*o].shape)
                .collect();
            (0..shapes[0].len())
                .map(|axis| {
                    shapes
                        .iter()
                        .map(|s| s[axis])
                        .find(|n| *n != 1)
                        .unwrap_or(1)
                })
                .collect()
        };
        let shape = shape_of(&operands);
        for i in 0..operands.len() {
            let kept = operands[i];
            if self.graph.nodes[kept].op == Op::Broadcast {
                operands[i] = self.graph.nodes[kept].inputs[0];
                if shape_of(&operands) != shape {
                    operands[i] = kept;
                }
            }
        }
        (operands, shape)
    }
}
