//! Element types, and what an operator makes of those of its operands.

use crate::graph::{BinaryFn, Graph, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};

/// Integers up to this are exact in `f64`.
pub const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Element type of a value, as ONNX has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// A float of any width.
    Float32,
    /// 8 bits with a sign.
    Int8,
    /// 16 bits with a sign.
    Int16,
    /// 32 bits with a sign.
    Int32,
    /// 64 bits with a sign.
    Int64,
    /// 8 bits.
    Uint8,
    /// 16 bits.
    Uint16,
    /// 32 bits.
    Uint32,
    /// 64 bits.
    Uint64,
    /// Boolean, carried as 0 or 1.
    Bool,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Dtype; 10] = [
        Dtype::Float32,
        Dtype::Int8,
        Dtype::Int16,
        Dtype::Int32,
        Dtype::Int64,
        Dtype::Uint8,
        Dtype::Uint16,
        Dtype::Uint32,
        Dtype::Uint64,
        Dtype::Bool,
    ];

    /// ONNX's name, which is numpy's too.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Float32 => "float32",
            Dtype::Int8 => "int8",
            Dtype::Int16 => "int16",
            Dtype::Int32 => "int32",
            Dtype::Int64 => "int64",
            Dtype::Uint8 => "uint8",
            Dtype::Uint16 => "uint16",
            Dtype::Uint32 => "uint32",
            Dtype::Uint64 => "uint64",
            Dtype::Bool => "bool",
        }
    }

    /// Whether elements are integers or booleans.
    pub fn is_integer(self) -> bool {
        self != Dtype::Float32
    }

    /// Width of an integer's bits, and whether it has a sign.
    pub fn bits(self) -> Option<(u32, bool)> {
        Some(match self {
            Dtype::Float32 => return None,
            Dtype::Int8 => (8, true),
            Dtype::Int16 => (16, true),
            Dtype::Int32 => (32, true),
            Dtype::Int64 => (64, true),
            Dtype::Uint8 => (8, false),
            Dtype::Uint16 => (16, false),
            Dtype::Uint32 => (32, false),
            Dtype::Uint64 => (64, false),
            Dtype::Bool => (1, false),
        })
    }

    /// Least and greatest number of the type.
    pub fn limits(self) -> (f64, f64) {
        match self.bits() {
            None => (f64::NEG_INFINITY, f64::INFINITY),
            Some((bits, true)) => {
                let half = f64::from(bits - 1).exp2();
                (-half, half - 1.0)
            }
            Some((bits, false)) => (0.0, f64::from(bits).exp2() - 1.0),
        }
    }
}

/// Whether it is an integer that `f64` has exactly.
pub fn is_whole(x: f64) -> bool {
    x.fract() == 0.0 && x.abs() <= MOST_EXACT
}

impl Tensor {
    /// Whether all elements are integers.
    pub fn is_whole(&self) -> bool {
        self.data.iter().all(|x| is_whole(*x))
    }
}

/// The type of both; integers of any size where they differ.
fn common(a: Dtype, b: Dtype) -> Dtype {
    match (a, b) {
        (Dtype::Float32, _) | (_, Dtype::Float32) => Dtype::Float32,
        (a, b) if a == b => a,
        _ => Dtype::Int64,
    }
}

impl Graph {
    /// The type of what an operator makes, where nothing says more: sums and products of integers are integers of any size. A constant of
    /// integers adapts to what it meets.
    pub fn dtype_of(&self, op: &Op, inputs: &[NodeId]) -> Dtype {
        let of = |id: &NodeId| self.nodes[*id].dtype;
        let all = |inputs: &[NodeId]| inputs.iter().map(of).reduce(common);
        let all = |inputs: &[NodeId]| all(inputs).unwrap_or(Dtype::Int64);
        let computed = |inputs: &[NodeId]| match all(inputs).is_integer() {
            true => Dtype::Int64,
            false => Dtype::Float32,
        };
        let whole = |is: bool| if is { Dtype::Int64 } else { Dtype::Float32 };
        match op {
            Op::Input(dtype) => *dtype,
            Op::Constant(tensor) => whole(tensor.is_whole()),
            Op::Binary(BinaryFn::Div | BinaryFn::Pow) => Dtype::Float32,
            Op::Binary(BinaryFn::Max | BinaryFn::Min) => all(inputs),
            Op::Binary(_) | Op::Einsum { .. } | Op::Convolution { .. } => computed(inputs),
            Op::Pointwise(function) => whole(function.is_whole(of(&inputs[0]).is_integer())),
            Op::Reduce { reducer, .. } => match reducer {
                Reducer::Max | Reducer::Min => all(inputs),
                Reducer::Sum | Reducer::SumSquare => computed(inputs),
                Reducer::Mean => Dtype::Float32,
            },
            Op::Softmax { .. } | Op::LogSumExp { .. } => Dtype::Float32,
            Op::RmsNorm { .. } | Op::AveragePool { .. } => Dtype::Float32,
            Op::MaximumMask { .. } => Dtype::Bool,
            Op::Gather { .. } => all(&inputs[..1]),
            Op::Rescale { .. } => all(&inputs[2..]),
            Op::Select => all(&inputs[1..]),
            Op::Pad { value, .. } if !is_whole(*value) => Dtype::Float32,
            Op::MaxPool(_)
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Concat { .. }
            | Op::Pad { .. }
            | Op::Broadcast => all(inputs),
        }
    }
}

impl Pointwise {
    /// Whether the function makes integers, by its form, of numbers that are integers or not.
    pub fn is_whole(&self, variable: bool) -> bool {
        match self {
            Pointwise::Variable => variable,
            Pointwise::Constant(c) => is_whole(*c),
            Pointwise::Unary(f, a) => match f {
                UnaryFn::Floor | UnaryFn::Ceil | UnaryFn::Round | UnaryFn::Sign => true,
                UnaryFn::Abs | UnaryFn::Neg | UnaryFn::Square | UnaryFn::Relu => {
                    a.is_whole(variable)
                }
                _ => false,
            },
            Pointwise::Binary(BinaryFn::Div | BinaryFn::Pow, ..) => false,
            Pointwise::Binary(_, a, b) | Pointwise::Select(_, a, b) => {
                a.is_whole(variable) && b.is_whole(variable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_make_integers_by_their_form() {
        let x = || Pointwise::Variable;
        let double = Pointwise::binary(BinaryFn::Mul, x(), Pointwise::Constant(2.0));
        assert!(double.is_whole(true) && !double.is_whole(false));
        assert!(Pointwise::truncate(x()).is_whole(false));
        let half = Pointwise::binary(BinaryFn::Div, x(), Pointwise::Constant(2.0));
        assert!(!half.is_whole(true));
        assert!(is_whole(MOST_EXACT) && !is_whole(1e30) && !is_whole(f64::NAN));
    }

    #[test]
    fn limits_are_those_of_the_type() {
        assert_eq!(Dtype::Int8.limits(), (-128.0, 127.0));
        assert_eq!(Dtype::Uint16.limits(), (0.0, 65_535.0));
        assert_eq!(Dtype::Bool.limits(), (0.0, 1.0));
        assert_eq!(Dtype::Float32.limits().1, f64::INFINITY);
    }

    #[test]
    fn names_are_those_of_the_encoding() {
        for dtype in Dtype::ALL {
            let encoded = serde_json::to_string(&dtype).expect("a name");
            assert_eq!(encoded, format!("\"{}\"", dtype.name()));
        }
    }
}
