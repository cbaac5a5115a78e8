//! Our float graph: the model in a small set of operators.
//!
//! Nodes are in topological order. Every value has a static shape; rank 0 is a scalar. Data movement is explicit.

pub(crate) mod builder;
pub(crate) mod check;
pub(crate) mod defined;
mod dtype;
pub mod extent;
pub(crate) mod integers;
pub mod interpret;
pub(crate) mod limits;
pub(crate) mod names;
pub mod passes;
mod pointwise;
mod power_law;
mod shorthands;

pub use crate::graph::extent::Extent;
pub use crate::graph::power_law::PowerLaw;
pub(crate) use dtype::is_whole;
pub use dtype::{Dtype, MOST_EXACT};

/// A node's index in [`Graph::nodes`].
pub type NodeId = usize;

/// A value of another evaluation of the model, with the same elements as one of our nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The node there.
    pub node: usize,
    /// Which of its results.
    pub slot: usize,
}

/// Dense row-major constant. Integers and booleans are carried as `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Vec<f64>,
}

/// Functions of one real variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum UnaryFn {
    Abs,
    Neg,
    Exp,
    Ln,
    Sqrt,
    Rsqrt,
    Recip,
    Square,
    Tanh,
    Sigmoid,
    Erf,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    Floor,
    Ceil,
    Round,
    Sign,
    Relu,
    HardSwish,
    Softplus,
    Gelu,
    Silu,
}

/// Functions of two real variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryFn {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    Pow,
    /// Of integers, rounded down; the divisor is positive.
    FloorDiv,
    /// What that division leaves: never negative, and less than the divisor.
    FloorMod,
}

/// A function of one real variable as an expression tree: what pointwise fusion makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pointwise {
    /// The variable.
    Variable,
    /// A constant.
    Constant(f64),
    /// Of one argument.
    Unary(UnaryFn, Box<Pointwise>),
    /// Of two arguments.
    Binary(BinaryFn, Box<Pointwise>, Box<Pointwise>),
    /// The second where the first is not 0, else the third.
    Select(Box<Pointwise>, Box<Pointwise>, Box<Pointwise>),
}

/// Reductions; axes are kept with length 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reducer {
    Sum,
    Mean,
    SumSquare,
    Max,
    Min,
}

/// A sliding window over the spatial axes of `[batch, channels, spatial...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Kernel length of each spatial axis.
    pub kernel: Vec<usize>,
    /// Stride of each spatial axis.
    pub stride: Vec<usize>,
    /// Dilation of each spatial axis.
    pub dilation: Vec<usize>,
    /// Zero padding before each spatial axis; what comes after follows from the output shape.
    pub pad_before: Vec<usize>,
}

/// How a real number becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the nearest; halves to even.
    Even,
    /// Down.
    Down,
}

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Op {
    /// Model input.
    Input(Dtype),
    /// Model constant.
    Constant(Tensor),
    /// Sum of products over labeled axes: labels of each input (a label is any small integer), labels of the output.
    /// Labels absent from the output are summed. An input axis of length 1 may carry a label whose length elsewhere is not 1
    /// only after an explicit [`Op::Broadcast`].
    Einsum {
        inputs: Vec<Vec<u8>>,
        output: Vec<u8>,
    },
    /// Inputs: data `[n, c, spatial...]`, kernel `[o, c/groups, kernel...]`, constant bias `[o]`.
    Convolution { window: Window, groups: usize },
    /// Elementwise on two inputs of equal rank; axes of length 1 broadcast (numpy).
    Binary(BinaryFn),
    /// Elementwise function of the single input: the result of fusion ([`crate::graph::passes::fuse`]).
    Pointwise(Pointwise),
    /// Over `axes`, kept with length 1.
    Reduce { reducer: Reducer, axes: Vec<usize> },
    /// `exp(x - max) / sum` over one axis. Inputs: x and, if some of it is hidden, the level of each element, of equal rank, whose axes of
    /// length 1 repeat: at level 0 it is as it is; at level `i`, single precision adds `hidden[i - 1]`. These descend, far apart.
    Softmax { axis: usize, hidden: Vec<f64> },
    /// `ln(sum(exp(x)))` over one axis, which is kept with length 1; it has no value where an element is more than `reach` below the greatest.
    LogSumExp { axis: usize, reach: f64 },
    /// 1 where the element is the greatest of the axis, also where several are, else 0.
    MaximumMask { axis: usize },
    /// `x / sqrt(mean(x^2) + epsilon)` over one axis.
    RmsNorm { axis: usize, epsilon: f64 },
    /// Inputs: data, integer indices in `[0, length)`. Output shape: data's with `axis` replaced by the indices' shape.
    Gather { axis: usize },
    /// Inputs: data, constant factor, constant offset; equal rank, axes of length 1 of the constants broadcast. The integer
    /// `round(data * factor) + offset`, kept in `least..=greatest`.
    Rescale {
        rounding: Rounding,
        least: f64,
        greatest: f64,
    },
    /// Inputs: condition (0/1), value where 1, value where 0; equal rank, axes of length 1 broadcast.
    Select,
    /// Maximum over windows of `[n, c, spatial...]`; padding never wins.
    MaxPool(Window),
    /// Sum over windows, divided by the number of elements: all of the kernel's (`count_padding`) or the true ones.
    AveragePool { window: Window, count_padding: bool },
    /// Row-major reinterpretation to the node's shape.
    Reshape,
    /// Output axis `i` is input axis `permutation[i]`.
    Transpose { permutation: Vec<usize> },
    /// `start, start+step, ...` along `axis`, as many as the node's shape says; step may be negative.
    Slice {
        axis: usize,
        start: usize,
        step: isize,
    },
    /// Along `axis`.
    Concat { axis: usize },
    /// Constant padding before each axis (what comes after follows from the shape).
    Pad { before: Vec<usize>, value: f64 },
    /// Axes of length 1 repeated to the node's shape (equal rank).
    Broadcast,
}

/// One value of the graph and what computes it.
#[derive(Clone, Debug)]
pub struct Node {
    /// ONNX name, for people.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands.
    pub inputs: Vec<NodeId>,
    /// Static shape of the value.
    pub shape: Vec<usize>,
    /// Element type: integers are never rounded.
    pub dtype: Dtype,
    /// Least and greatest finite value seen in calibration, widened to contain 0. For constants exact. Infinities, and values
    /// beyond [`MASKED`] in magnitude, are left out: models use them to mask, and no scale could hold them.
    pub range: (f64, f64),
    /// Least and greatest value, not widened, of what the operator computes on the way. [`Op::Softmax`]: the sum of
    /// `exp(x - max)` over the axis. [`Op::RmsNorm`]: `mean(x^2) + epsilon`. Division: the divisor's magnitude.
    /// [`Op::Input`] that is 0 or one other number, which hides scores: 0 and that number's reciprocal. Other operators: empty.
    pub stats: Vec<(f64, f64)>,
    /// What calibration saw of the value, channel by channel where they differ.
    pub seen: Extent,
}

/// From this magnitude on, a value is a mask's infinity and not a number to calculate with.
pub const MASKED: f64 = 1e30;

/// A model in topological order.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Every node; operands come first.
    pub nodes: Vec<Node>,
    /// Model inputs in ONNX order.
    pub inputs: Vec<NodeId>,
    /// Model outputs in ONNX order: name and node.
    pub outputs: Vec<(String, NodeId)>,
}

impl Tensor {
    /// A tensor of the given shape and row-major elements.
    ///
    /// # Panics
    /// If the shape does not have as many elements.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Tensor {
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "shape {shape:?}"
        );
        Tensor { shape, data }
    }

    /// A tensor whose elements are all `value`.
    pub fn filled(shape: Vec<usize>, value: f64) -> Tensor {
        let volume = shape.iter().product();
        Tensor {
            shape,
            data: vec![value; volume],
        }
    }

    /// The common value of all elements, where there is one.
    pub fn uniform(&self) -> Option<f64> {
        let first = *self.data.first()?;
        self.data.iter().all(|v| *v == first).then_some(first)
    }

    /// Least and greatest element, as [`Node::range`] has it.
    pub fn range(&self) -> (f64, f64) {
        range_of(self.data.iter().copied())
    }
}

/// Least and greatest of the values, as [`Node::range`] has it.
pub fn range_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|v| v.abs() < MASKED)
        .fold((0.0, 0.0), |(least, greatest): (f64, f64), v| {
            (least.min(v), greatest.max(v))
        })
}

/// The number whose reciprocal and 0 are these ends; of 0 alone, minus infinity.
pub fn flag_of((low, high): (f64, f64)) -> f64 {
    match low + high {
        0.0 => f64::NEG_INFINITY,
        reciprocal => reciprocal.recip(),
    }
}

impl Op {
    /// The operator's name, for diagnostics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "Input",
            Self::Constant(_) => "Constant",
            Self::Einsum { .. } => "Einsum",
            Self::Convolution { .. } => "Convolution",
            Self::Binary(_) => "Binary",
            Self::Pointwise(_) => "Pointwise",
            Self::Reduce { .. } => "Reduce",
            Self::Softmax { .. } => "Softmax",
            Self::LogSumExp { .. } => "LogSumExp",
            Self::MaximumMask { .. } => "MaximumMask",
            Self::RmsNorm { .. } => "RmsNorm",
            Self::Gather { .. } => "Gather",
            Self::Rescale { .. } => "Rescale",
            Self::Select => "Select",
            Self::MaxPool(_) => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::Reshape => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Broadcast => "Broadcast",
            Self::Slice { .. } => "Slice",
            Self::Concat { .. } => "Concat",
            Self::Pad { .. } => "Pad",
        }
    }
}

impl Node {
    /// An input that is 0 or one other number: that number.
    pub fn flagged(&self) -> Option<f64> {
        let ends = self
            .stats
            .first()
            .filter(|_| matches!(self.op, Op::Input(_)));
        ends.copied().map(flag_of)
    }

    /// Number of elements.
    pub fn volume(&self) -> usize {
        self.shape.iter().product()
    }

    /// The tensor of a constant.
    pub fn constant(&self) -> Option<&Tensor> {
        match &self.op {
            Op::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }
}

impl Graph {
    /// Of each node, the nodes that read it, in order; a node that reads twice is listed twice.
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                users[input].push(id);
            }
        }
        users
    }

    /// The value of a node that is a constant with equal elements, seen through [`Op::Broadcast`] and [`Op::Reshape`].
    pub fn uniform(&self, id: NodeId) -> Option<f64> {
        let node = &self.nodes[id];
        match &node.op {
            Op::Constant(tensor) => tensor.uniform(),
            Op::Broadcast | Op::Reshape => self.uniform(node.inputs[0]),
            _ => None,
        }
    }

    /// Drops nodes that no output needs and restores the topological order; model inputs stay. Returns the old index of each
    /// node that is left.
    pub fn prune(&mut self) -> Vec<NodeId> {
        let order = self.live_in_order();
        let mut renamed = vec![usize::MAX; self.nodes.len()];
        for (new, &old) in order.iter().enumerate() {
            renamed[old] = new;
        }
        let mut old_nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes)
            .into_iter()
            .map(Some)
            .collect();
        for &old in &order {
            let mut node = old_nodes[old].take().expect("each node is listed once");
            node.inputs.iter_mut().for_each(|i| *i = renamed[*i]);
            self.nodes.push(node);
        }
        self.inputs.iter_mut().for_each(|i| *i = renamed[*i]);
        self.outputs.iter_mut().for_each(|(_, i)| *i = renamed[*i]);
        order
    }

    /// Live nodes, operands first, otherwise as they are.
    fn live_in_order(&self) -> Vec<NodeId> {
        let mut live = vec![false; self.nodes.len()];
        let mut stack: Vec<NodeId> = self
            .outputs
            .iter()
            .map(|o| o.1)
            .chain(self.inputs.iter().copied())
            .collect();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut live[id], true) {
                stack.extend(&self.nodes[id].inputs);
            }
        }
        let mut placed = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        for start in (0..self.nodes.len()).filter(|id| live[*id]) {
            let mut stack = vec![(start, 0)];
            while let Some((id, next)) = stack.pop() {
                if placed[id] {
                    continue;
                }
                match self.nodes[id].inputs.get(next) {
                    Some(&input) => stack.extend([(id, next + 1), (input, 0)]),
                    None => {
                        placed[id] = true;
                        order.push(id);
                    }
                }
            }
        }
        order
    }
}
