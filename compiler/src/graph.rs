//! Our float graph: what tract's decluttered graph means, in few operators.
//!
//! Nodes are in topological order. Every value has a static shape; rank 0 is a scalar. Data movement is explicit.

/// A node's index in [`Graph::nodes`].
pub type NodeId = usize;

/// Dense row-major constant. Integers and booleans are carried as `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Vec<f64>,
}

/// Element type of an ONNX input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit float (and f16/f64 ports, converted).
    Float32,
    /// 64-bit integer (and all other integer ports).
    Int64,
    /// Boolean.
    Bool,
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

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Model input.
    Input(Dtype),
    /// Model constant.
    Constant(Tensor),
    /// Sum of products over labelled axes: labels of each input (a label is any small integer), labels of the output.
    /// Labels absent from the output are summed. An input axis of length 1 may carry a label whose length elsewhere is not 1
    /// only after an explicit [`Op::Broadcast`].
    Einsum {
        inputs: Vec<Vec<u8>>,
        output: Vec<u8>,
    },
    /// Inputs: data `[n, c, spatial...]`, constant kernel `[o, c/groups, kernel...]`, constant bias `[o]`.
    Convolution { window: Window, groups: usize },
    /// Elementwise on two inputs of equal rank; axes of length 1 broadcast (numpy).
    Binary(BinaryFn),
    /// Elementwise function of the single input: the result of fusion ([`crate::fuse`]).
    Pointwise(Pointwise),
    /// Over `axes`, kept with length 1.
    Reduce { reducer: Reducer, axes: Vec<usize> },
    /// `exp(x - max) / sum` over one axis.
    Softmax { axis: usize },
    /// `x / sqrt(mean(x^2) + epsilon)` over one axis.
    RmsNorm { axis: usize, epsilon: f64 },
    /// Inputs: data, integer indices. Output shape: data's with `axis` replaced by the indices' shape.
    Gather { axis: usize },
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
    /// Least and greatest value seen in calibration, widened to contain 0. For constants exact.
    pub range: (f64, f64),
}

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
