//! What compiles: every ONNX operator, with its first opset and its restrictions.
//!
//! `SUPPORTED_OPS.md` is made of this and of what the conformance sample measures (`tests/conformance.rs`, which also holds that nothing
//! compiles that is not listed, and nothing without restrictions is refused).

pub use crate::onnx::decompose::operator::Operator;
use crate::onnx::decompose::operator::tract;
use crate::onnx::decompose::registry;

/// Every operator that compiles, by domain and name.
pub fn operators() -> Vec<Operator> {
    let ours = registry::operators().copied();
    let mut all: Vec<Operator> = ours.chain(TRACT.iter().copied()).collect();
    all.sort_by_key(|operator| (operator.domain, operator.name));
    all
}

/// Whether tract's own front end has the operator of this name in the standard domain, and it compiles.
pub(crate) fn is_of_tract(name: &str) -> bool {
    TRACT.iter().any(|operator| operator.name == name)
}

/// What tract's own front end has and [`translate`](crate::onnx::translate) knows.
const TRACT: &[Operator] = &[
    tract("Abs", 1),
    tract("Acos", 7),
    tract("Acosh", 9),
    tract("Add", 1),
    tract("And", 1),
    tract("Asin", 7),
    tract("Asinh", 9),
    tract("Atan", 7),
    tract("Atanh", 9),
    tract("AveragePool", 1),
    tract("Cast", 1).restricted("numbers and booleans"),
    tract("CastLike", 15).restricted("numbers and booleans"),
    tract("Ceil", 1),
    tract("Clip", 1),
    tract("Concat", 1),
    tract("Constant", 1).restricted("numbers and booleans"),
    tract("Conv", 1),
    tract("Cos", 7),
    tract("Cosh", 9),
    tract("CumSum", 11).restricted("constant axis"),
    tract("DepthToSpace", 1),
    tract("Div", 1).restricted("divisors that stay away from zero"),
    tract("Einsum", 12),
    tract("Elu", 1),
    tract("Equal", 1),
    tract("Erf", 9),
    tract("Exp", 1),
    tract("Expand", 8).restricted("constant shape"),
    tract("EyeLike", 9),
    tract("Flatten", 1),
    tract("Floor", 1),
    tract("Gather", 1),
    tract("GatherElements", 11),
    tract("GatherND", 11).restricted("at most three computed index axes"),
    tract("Gelu", 20),
    tract("Gemm", 1),
    tract("GlobalAveragePool", 1),
    tract("GlobalMaxPool", 1),
    tract("Greater", 1),
    tract("GreaterOrEqual", 12),
    tract("GroupNormalization", 21),
    tract("HardSigmoid", 1),
    tract("HardSwish", 14),
    tract("Identity", 1),
    tract("InstanceNormalization", 1),
    tract("LayerNormalization", 17),
    tract("LeakyRelu", 1),
    tract("Less", 1),
    tract("LessOrEqual", 12),
    tract("Log", 1).restricted("positive operands"),
    tract("MatMul", 1),
    tract("Max", 1),
    tract("Mean", 1),
    tract("MeanVarianceNormalization", 9),
    tract("Min", 1),
    tract("Mish", 18),
    tract("Mod", 10),
    tract("Mul", 1),
    tract("Neg", 1),
    tract("Not", 1),
    tract("Or", 1),
    tract("PRelu", 1),
    tract("Pow", 1).restricted("with a computed exponent, bases that are not negative"),
    tract("RMSNormalization", 23),
    tract("Reciprocal", 1).restricted("operands that stay away from zero"),
    tract("ReduceL1", 1),
    tract("ReduceL2", 1),
    tract("ReduceLogSum", 1),
    tract("ReduceMean", 1),
    tract("ReduceProd", 1),
    tract("ReduceSum", 1).restricted("constant axes"),
    tract("ReduceSumSquare", 1),
    tract("Relu", 1),
    tract("Reshape", 1).restricted("constant shape"),
    tract("RotaryEmbedding", 23),
    tract("Round", 11),
    tract("Scatter", 9).restricted("as `ScatterElements`"),
    tract("ScatterElements", 11).restricted("`mul`, `max`, `min`: at most 64 updates of an axis"),
    tract("ScatterND", 11).restricted(
        "computed indices: at most three index axes; `mul`, `max`, `min`: at most 64 updates",
    ),
    tract("Selu", 1),
    tract("Shrink", 9),
    tract("Sigmoid", 1),
    tract("Sign", 9),
    tract("Sin", 7),
    tract("Sinh", 9),
    tract("Slice", 1).restricted("constant bounds"),
    tract("Softmax", 1),
    tract("Softplus", 1),
    tract("Softsign", 1),
    tract("Split", 1).restricted("constant lengths"),
    tract("Sqrt", 1),
    tract("Squeeze", 1).restricted("constant axes"),
    tract("Sub", 1),
    tract("Sum", 1),
    tract("Tan", 7),
    tract("Tanh", 1),
    tract("ThresholdedRelu", 10),
    tract("Tile", 1).restricted("constant repeats"),
    tract("Transpose", 1),
    tract("Trilu", 14).restricted("constant diagonal"),
    tract("Unsqueeze", 1).restricted("constant axes"),
    tract("Where", 9),
    tract("Xor", 1),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::onnx::supported::{TRACT, operators};

    #[test]
    fn no_operator_is_listed_twice() {
        let mut seen = HashSet::new();
        for operator in operators() {
            assert!(
                seen.insert((operator.domain, operator.name)),
                "{} is listed twice",
                operator.name
            );
        }
    }

    #[test]
    fn tract_has_what_is_listed_as_its_own() {
        let known = tract_onnx::onnx().op_register;
        for operator in TRACT {
            assert!(
                known.0.contains_key(operator.name),
                "tract does not have {}",
                operator.name
            );
        }
    }
}
