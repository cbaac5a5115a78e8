//! Layers that onnxruntime's optimizer made of several: activations with a bias, products with a factor.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, NodeId, Pointwise, UnaryFn};
use crate::onnx::decompose::operator::{MICROSOFT, Operator, op};
use crate::onnx::decompose::quantized::qlinear::{convolution, matrix_product};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("BiasGelu", 1, gelu).domain(MICROSOFT),
    op("FastGelu", 1, fast_gelu).domain(MICROSOFT),
    op("FusedConv", 1, fused_conv).domain(MICROSOFT).restricted(
        "activations `Clip`, `HardSigmoid`, `LeakyRelu`, `Relu`, `Sigmoid`, `Softplus`, `Tanh`",
    ),
    op("FusedGemm", 1, fused_gemm)
        .domain(MICROSOFT)
        .restricted("activations without parameters"),
    op("FusedMatMul", 1, fused_matmul).domain(MICROSOFT),
    op("Gelu", 1, gelu).domain(MICROSOFT),
    op("QuickGelu", 1, quick_gelu).domain(MICROSOFT),
];

/// The first operand, plus the second if there is one.
fn biased(scope: &mut Scope) -> Result<NodeId, Diagnostic> {
    let x = scope.operand(0)?;
    Ok(match scope.optional(1) {
        Some(bias) => scope.build.add(x, bias),
        None => x,
    })
}

/// `Gelu` and `BiasGelu`.
fn gelu(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = biased(scope)?;
    Ok(vec![(scope.build.unary(UnaryFn::Gelu, x), scope.dtype(0))])
}

/// `FastGelu`: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
fn fast_gelu(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = biased(scope)?;
    let (variable, number) = (|| Pointwise::Variable, Pointwise::Constant);
    let times = |a, b| Pointwise::binary(BinaryFn::Mul, a, b);
    let plus = |a, b| Pointwise::binary(BinaryFn::Add, a, b);
    let square = Pointwise::of(UnaryFn::Square);
    let bend = plus(number(1.0), times(number(0.044715), square));
    let inside = times(times(variable(), number(FRAC_2_SQRT_PI / SQRT_2)), bend);
    let share = plus(number(1.0), Pointwise::unary(UnaryFn::Tanh, inside));
    let made = times(times(variable(), number(0.5)), share);
    Ok(vec![(scope.build.pointwise(made, x), scope.dtype(0))])
}

/// `QuickGelu`: `x sigmoid(alpha x)`.
fn quick_gelu(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let alpha = scope.float("alpha").unwrap_or(1.702);
    let scaled = Pointwise::binary(
        BinaryFn::Mul,
        Pointwise::Variable,
        Pointwise::Constant(alpha),
    );
    let share = Pointwise::unary(UnaryFn::Sigmoid, scaled);
    let made = Pointwise::binary(BinaryFn::Mul, Pointwise::Variable, share);
    Ok(vec![(scope.build.pointwise(made, x), scope.dtype(0))])
}

/// The operand with its last two axes exchanged, if the attribute says so.
fn transposed(scope: &mut Scope, index: usize, name: &str) -> Result<NodeId, Diagnostic> {
    let x = scope.operand(index)?;
    let rank = scope.build.rank(x);
    if scope.int(name).unwrap_or(0) == 0 || rank < 2 {
        return Ok(x);
    }
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 2, rank - 1);
    Ok(scope.build.transpose(x, &permutation))
}

/// `FusedMatMul`: a factor, and transposed operands.
fn fused_matmul(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    if ["transBatchA", "transBatchB"]
        .iter()
        .any(|name| scope.int(name).unwrap_or(0) != 0)
    {
        return Err(refuse(
            "it moves the batch behind the matrix",
            "leave out `transBatchA` and `transBatchB`",
        ));
    }
    let a = transposed(scope, 0, "transA")?;
    let b = transposed(scope, 1, "transB")?;
    let product = matrix_product(&mut scope.build, a, b)?;
    let alpha = scope.float("alpha").unwrap_or(1.0);
    Ok(vec![(
        scope.build.multiply_scalar(product, alpha),
        scope.dtype(0),
    )])
}

/// `FusedGemm`: `activation(alpha A B + beta C)`.
fn fused_gemm(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let a = transposed(scope, 0, "transA")?;
    let b = transposed(scope, 1, "transB")?;
    let product = matrix_product(&mut scope.build, a, b)?;
    let mut made = scope
        .build
        .multiply_scalar(product, scope.float("alpha").unwrap_or(1.0));
    if let Some(c) = scope.optional(2) {
        let c = scope.build.unsqueeze_to_rank(c, 2);
        let c = scope
            .build
            .multiply_scalar(c, scope.float("beta").unwrap_or(1.0));
        made = scope.build.add(made, c);
    }
    let made = activated(scope, made, &[])?;
    Ok(vec![(made, scope.dtype(0))])
}

/// `FusedConv`: `activation(X * W + B + Z)`.
fn fused_conv(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, kernel) = (scope.operand(0)?, scope.operand(1)?);
    let mut made = convolution(scope, x, kernel, scope.optional(2))?;
    if let Some(other) = scope.optional(3) {
        made = scope.build.add(made, other);
    }
    let parameters = scope.floats("activation_params").unwrap_or_default();
    let parameters: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
    let made = activated(scope, made, &parameters)?;
    Ok(vec![(made, scope.dtype(0))])
}

/// What the activation makes of a value.
fn activated(scope: &mut Scope, x: NodeId, parameters: &[f64]) -> Result<NodeId, Diagnostic> {
    let function = match (scope.text("activation").unwrap_or(""), parameters) {
        ("", _) => return Ok(x),
        ("Relu", _) => Pointwise::of(UnaryFn::Relu),
        ("Sigmoid", _) => Pointwise::of(UnaryFn::Sigmoid),
        ("Softplus", _) => Pointwise::of(UnaryFn::Softplus),
        ("Tanh", _) => Pointwise::of(UnaryFn::Tanh),
        ("Clip", [least, most]) => bounded(Pointwise::Variable, *least, *most),
        ("HardSigmoid", [alpha, beta]) => {
            let line = binary(BinaryFn::Mul, Pointwise::Variable, *alpha);
            bounded(binary(BinaryFn::Add, line, *beta), 0.0, 1.0)
        }
        ("LeakyRelu", [alpha]) => {
            let negative = binary(BinaryFn::Min, Pointwise::Variable, 0.0);
            let negative = binary(BinaryFn::Mul, negative, *alpha);
            Pointwise::binary(BinaryFn::Add, Pointwise::of(UnaryFn::Relu), negative)
        }
        (other, _) => {
            return Err(refuse(
                format!("its activation `{other}` is not supported"),
                "use Relu, Sigmoid, Softplus or Tanh",
            ));
        }
    };
    Ok(scope.build.pointwise(function, x))
}

fn binary(function: BinaryFn, x: Pointwise, number: f64) -> Pointwise {
    Pointwise::binary(function, x, Pointwise::Constant(number))
}

fn bounded(x: Pointwise, least: f64, most: f64) -> Pointwise {
    binary(BinaryFn::Min, binary(BinaryFn::Max, x, least), most)
}
