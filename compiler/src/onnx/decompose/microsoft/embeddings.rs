//! Sums that are normalized: embeddings of tokens, residuals.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{NodeId, Op, Reducer, UnaryFn};
use crate::onnx::decompose::operator::{MICROSOFT, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("EmbedLayerNormalization", 1, embedded).domain(MICROSOFT),
    op("SimplifiedLayerNormalization", 1, simplified).restricted("the last axis"),
    op("SkipLayerNormalization", 1, skip).domain(MICROSOFT),
    op("SkipSimplifiedLayerNormalization", 1, skip_simplified).domain(MICROSOFT),
];

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` along the last axis: the result, the mean and the inverse of the root.
fn layer_norm(
    build: &mut Builder,
    x: NodeId,
    gamma: NodeId,
    beta: Option<NodeId>,
    epsilon: f64,
) -> [NodeId; 3] {
    let axis = build.rank(x) - 1;
    let mean = build.reduce(Reducer::Mean, &[axis], x);
    let centered = build.subtract(x, mean);
    let squares = build.reduce(Reducer::SumSquare, &[axis], centered);
    let count = build.shape(x)[axis] as f64;
    let variance = build.multiply_scalar(squares, count.recip());
    let root = build.add_scalar(variance, epsilon);
    let inverse = build.unary(UnaryFn::Rsqrt, root);
    let normal = build.push(
        Op::RmsNorm { axis, epsilon },
        vec![centered],
        build.shape(x),
    );
    [affine(build, normal, gamma, beta), mean, inverse]
}

/// `x / sqrt(mean(x^2) + epsilon) * gamma` along the last axis, and the inverse of the root.
fn root_mean_square(build: &mut Builder, x: NodeId, gamma: NodeId, epsilon: f64) -> [NodeId; 2] {
    let axis = build.rank(x) - 1;
    let squares = build.reduce(Reducer::SumSquare, &[axis], x);
    let count = build.shape(x)[axis] as f64;
    let mean = build.multiply_scalar(squares, count.recip());
    let root = build.add_scalar(mean, epsilon);
    let inverse = build.unary(UnaryFn::Rsqrt, root);
    let normal = build.push(Op::RmsNorm { axis, epsilon }, vec![x], build.shape(x));
    [affine(build, normal, gamma, None), inverse]
}

fn affine(build: &mut Builder, x: NodeId, gamma: NodeId, beta: Option<NodeId>) -> NodeId {
    let rank = build.rank(x);
    let gamma = build.unsqueeze_to_rank(gamma, rank);
    let scaled = build.multiply(x, gamma);
    match beta {
        Some(beta) => {
            let beta = build.unsqueeze_to_rank(beta, rank);
            build.add(scaled, beta)
        }
        None => scaled,
    }
}

/// The last axis's length, which gains and biases have.
fn check(scope: &Scope, x: NodeId, gamma: NodeId) -> Result<(), Diagnostic> {
    let (shape, gains) = (scope.build.shape(x), scope.build.shape(gamma));
    match shape.last() == gains.last() && gains.len() == 1 {
        true => Ok(()),
        false => Err(refuse(
            format!("its gains of shape {gains:?} do not fit data of shape {shape:?}"),
            "correct the model",
        )),
    }
}

/// `SimplifiedLayerNormalization`.
fn simplified(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, gamma) = (scope.operand(0)?, scope.operand(1)?);
    check(scope, x, gamma)?;
    if scope.axis("axis", -1, x)? + 1 != scope.build.rank(x) {
        return Err(refuse(
            "it normalizes several axes",
            "normalize the last axis",
        ));
    }
    let epsilon = scope.float("epsilon").unwrap_or(1e-5);
    let [made, inverse] = root_mean_square(&mut scope.build, x, gamma, epsilon);
    Ok(vec![(made, scope.dtype(0)), (inverse, DatumType::F32)])
}

/// Data, residual and bias: their sum.
fn residual(scope: &mut Scope, bias: usize) -> Result<NodeId, Diagnostic> {
    let (x, skip) = (scope.operand(0)?, scope.operand(1)?);
    let rank = scope.build.rank(x);
    let skip = scope.build.unsqueeze_to_rank(skip, rank);
    let mut sum = scope.build.add(x, skip);
    if let Some(bias) = scope.optional(bias) {
        let bias = scope.build.unsqueeze_to_rank(bias, rank);
        sum = scope.build.add(sum, bias);
    }
    Ok(sum)
}

/// `SkipLayerNormalization`: data, residual, gamma, beta, bias.
fn skip(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let sum = residual(scope, 4)?;
    let gamma = scope.operand(2)?;
    check(scope, sum, gamma)?;
    let (beta, epsilon) = (scope.optional(3), scope.float("epsilon").unwrap_or(1e-12));
    let [made, mean, inverse] = layer_norm(&mut scope.build, sum, gamma, beta, epsilon);
    let (own, float) = (scope.dtype(0), DatumType::F32);
    Ok(vec![
        (made, own),
        (mean, float),
        (inverse, float),
        (sum, own),
    ])
}

/// `SkipSimplifiedLayerNormalization`: data, residual, gamma, bias.
fn skip_simplified(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let sum = residual(scope, 3)?;
    let gamma = scope.operand(2)?;
    check(scope, sum, gamma)?;
    let epsilon = scope.float("epsilon").unwrap_or(1e-12);
    let [made, inverse] = root_mean_square(&mut scope.build, sum, gamma, epsilon);
    let (own, float) = (scope.dtype(0), DatumType::F32);
    // The second result is there for training alone.
    Ok(vec![
        (made, own),
        (inverse, float),
        (inverse, float),
        (sum, own),
    ])
}

/// Rows of a table.
fn rows(build: &mut Builder, table: NodeId, picked: NodeId) -> NodeId {
    let shape = [build.shape(picked), build.shape(table)[1..].to_vec()].concat();
    build.push(Op::Gather { axis: 0 }, vec![table, picked], shape)
}

/// `EmbedLayerNormalization`: tokens, segments, their embeddings and those of positions, gamma, beta, mask, positions.
fn embedded(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let tokens = scope.operand(0)?;
    let shape = scope.build.shape(tokens);
    let &[batch, count] = &shape[..] else {
        return Err(refuse("its tokens are not a matrix", "correct the model"));
    };
    let (words, places) = (scope.operand(2)?, scope.operand(3)?);
    let gamma = scope.operand(5)?;
    let mut sum = rows(&mut scope.build, words, tokens);
    check(scope, sum, gamma)?;
    let placed = match scope.optional(8) {
        Some(positions) => rows(&mut scope.build, places, positions),
        None if scope.build.shape(places)[0] < count => {
            return Err(refuse(
                "it has more tokens than positions",
                "use fewer tokens",
            ));
        }
        None => {
            let first = scope.build.slice(places, 0, 0, count, 1);
            scope.build.unsqueeze_to_rank(first, 3)
        }
    };
    sum = scope.build.add(sum, placed);
    if let (Some(segments), Some(table)) = (scope.optional(1), scope.optional(4)) {
        let of_segments = rows(&mut scope.build, table, segments);
        sum = scope.build.add(sum, of_segments);
    }
    let (beta, epsilon) = (scope.optional(6), scope.float("epsilon").unwrap_or(1e-12));
    let [made, ..] = layer_norm(&mut scope.build, sum, gamma, beta, epsilon);
    let lengths = match scope.optional(7) {
        Some(mask) => {
            let lengths = scope.build.reduce(Reducer::Sum, &[1], mask);
            scope.build.reshape(lengths, &[batch])
        }
        None => {
            let none = scope.build.scalar(0.0, 1);
            scope.build.broadcast(none, &[batch])
        }
    };
    let own = scope.dtype(2);
    Ok(vec![(made, own), (lengths, DatumType::I32), (sum, own)])
}
