//! Support vector machines: a function of each support vector's product or distance with the features, and a constant matrix.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::ml::linear_models::{affine, features, numbers};
use crate::onnx::decompose::ml::scores;
use crate::onnx::decompose::ml::scores::{Labels, above};
use crate::onnx::decompose::operator::{ML, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("SVMClassifier", 1, classifier)
        .domain(ML)
        .restricted("integer labels; no probabilities of more than two classes"),
    op("SVMRegressor", 1, regressor).domain(ML),
];

/// Probabilities keep this distance from 0 and 1.
const LEAST_PROBABILITY: f64 = 1e-7;

fn malformed(reason: &str) -> Diagnostic {
    refuse(reason, "correct the model")
}

/// The kernel of the features with each row of `vectors`: `[n, rows]`.
fn kernels(scope: &mut Scope, x: NodeId, vectors: &[f64]) -> Result<NodeId, Diagnostic> {
    let wide = scope.build.shape(x)[1];
    if vectors.is_empty() || wide == 0 || !vectors.len().is_multiple_of(wide) {
        return Err(malformed(
            "its support vectors do not have as many elements as there are features",
        ));
    }
    let count = vectors.len() / wide;
    let parameters = numbers(scope, "kernel_params");
    let parameter = |index: usize| parameters.get(index).copied().unwrap_or(0.0);
    let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
    let kind = scope.text("kernel_type").unwrap_or("LINEAR").to_string();
    let build = &mut scope.build;
    if kind == "RBF" {
        // |x - v|^2 = |x|^2 - 2 x v + |v|^2
        let squares: Vec<f64> = vectors
            .chunks(wide)
            .map(|row| row.iter().map(|v| v * v).sum())
            .collect();
        let rows: Vec<f64> = vectors.iter().map(|v| -2.0 * v).collect();
        let partial = affine(build, x, &rows, &squares)?;
        let own = build.reduce(Reducer::SumSquare, &[1], x);
        let distance = build.binary(BinaryFn::Add, partial, own);
        let scaled = Pointwise::binary(
            BinaryFn::Mul,
            Pointwise::Constant(-gamma),
            Pointwise::Variable,
        );
        return Ok(build.pointwise(Pointwise::unary(UnaryFn::Exp, scaled), distance));
    }
    let product = affine(build, x, vectors, &vec![0.0; count])?;
    let scaled = build.multiply_scalar(product, gamma);
    let shifted = build.add_scalar(scaled, offset);
    Ok(match &*kind {
        "LINEAR" => product,
        "POLY" => {
            let power = Pointwise::binary(
                BinaryFn::Pow,
                Pointwise::Variable,
                Pointwise::Constant(degree),
            );
            build.pointwise(power, shifted)
        }
        "SIGMOID" => build.pointwise(Pointwise::of(UnaryFn::Tanh), shifted),
        other => return Err(malformed(&format!("the kernel `{other}` does not exist"))),
    })
}

/// `SVMRegressor`.
fn regressor(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let coefficients = numbers(scope, "coefficients");
    let rho = numbers(scope, "rho");
    let offset = rho.first().copied().unwrap_or(0.0);
    let vectors = numbers(scope, "support_vectors");
    let used = match scope.int("n_supports").unwrap_or(0) {
        0 => x,
        _ => kernels(scope, x, &vectors)?,
    };
    if scope.int("n_supports").unwrap_or(0) == 0
        && scope
            .text("kernel_type")
            .is_some_and(|kind| kind != "LINEAR")
    {
        return Err(malformed("it has a kernel and no support vectors"));
    }
    let build = &mut scope.build;
    let sum = affine(build, used, &coefficients, &[offset])?;
    let made = match scope.int("one_class").unwrap_or(0) {
        0 => scores::of_targets(&mut scope.build, sum, how)?,
        _ => {
            let inside = above(&mut scope.build, sum, 0.0);
            let doubled = scope.build.multiply_scalar(inside, 2.0);
            scope.build.add_scalar(doubled, -1.0)
        }
    };
    Ok(vec![(made, DatumType::F32)])
}

/// Two classes, and the coefficients of all support vectors that tell the first from the second.
type Pair = (usize, usize, Vec<f64>);

/// One against one: all pairs of classes.
fn pairs(coefficients: &[f64], sizes: &[usize]) -> Vec<Pair> {
    let total: usize = sizes.iter().sum();
    let start = |class: usize| sizes[..class].iter().sum::<usize>();
    let mut pairs = Vec::new();
    for first in 0..sizes.len() {
        for second in first + 1..sizes.len() {
            let mut row = vec![0.0; total];
            for (of, against) in [(first, second - 1), (second, first)] {
                for vector in start(of)..start(of) + sizes[of] {
                    row[vector] = coefficients[against * total + vector];
                }
            }
            pairs.push((first, second, row));
        }
    }
    pairs
}

/// `SVMClassifier`.
fn classifier(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let labels = Labels::of(scope, "classlabels_ints", "classlabels_strings");
    let labels = labels.ok_or_else(|| malformed("it has no class labels"))?;
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let (coefficients, rho) = (numbers(scope, "coefficients"), numbers(scope, "rho"));
    let classes = labels.len();
    let sizes = scope.ints("vectors_per_class").unwrap_or_default();
    let sizes: Vec<usize> = sizes.iter().map(|n| (*n).max(0) as usize).collect();
    let total: usize = sizes.iter().sum();
    if classes < 2 || rho.is_empty() {
        return Err(malformed("it has fewer than two classes, or no rho"));
    }
    if total == 0 {
        if classes == 2 {
            return Err(refuse(
                "runtimes disagree on linear support vector machines with two classes",
                "use LinearClassifier, or Gemm",
            ));
        }
        let build = &mut scope.build;
        let scores = affine(build, x, &coefficients, &vec![rho[0]; classes])?;
        let label = labels.of_greatest(build, scores);
        let made = scores::transformed(build, scores, how);
        return Ok(vec![label, (made, DatumType::F32)]);
    }
    if sizes.len() != classes || coefficients.len() != (classes - 1) * total {
        return Err(malformed("its coefficients do not fit its support vectors"));
    }
    let vectors = numbers(scope, "support_vectors");
    if vectors.len() != total * scope.build.shape(x)[1] {
        return Err(malformed("its support vectors do not fit the features"));
    }
    let pairs = pairs(&coefficients, &sizes);
    if rho.len() != pairs.len() {
        return Err(malformed(
            "it does not have one rho for each pair of classes",
        ));
    }
    let (prob_a, prob_b) = (numbers(scope, "prob_a"), numbers(scope, "prob_b"));
    let kernels = kernels(scope, x, &vectors)?;
    let rows: Vec<f64> = pairs.iter().flat_map(|(.., row)| row.clone()).collect();
    let build = &mut scope.build;
    let scores = affine(build, kernels, &rows, &rho)?;
    let first_wins = above(build, scores, 0.0);
    let label = if classes == 2 {
        let negated = build.multiply_scalar(first_wins, -1.0);
        let second = build.add_scalar(negated, 1.0);
        labels.binary(build, second)
    } else {
        let votes = votes(build, first_wins, &pairs, classes);
        labels.of_greatest(build, votes)
    };
    let made = match (classes, &prob_a[..], &prob_b[..]) {
        (2, [], _) => scores::of_two(build, scores, how, how != scores::Transform::None)?,
        (_, [], _) => scores::transformed(build, scores, how),
        (2, [a], [b]) => {
            let both = probabilities(build, scores, *a, *b);
            scores::transformed(build, both, how)
        }
        _ => {
            return Err(refuse(
                "probabilities of more than two classes are computed by iteration",
                "export the model without probabilities (probability=False)",
            ));
        }
    };
    Ok(vec![label, (made, DatumType::F32)])
}

/// How many pairs each class wins, where `first_wins` is 1 if the first of a pair does.
fn votes(build: &mut Builder, first_wins: NodeId, pairs: &[Pair], classes: usize) -> NodeId {
    let mut matrix = Tensor::filled(vec![classes, pairs.len()], 0.0);
    let mut votes = Tensor::filled(vec![1, classes], 0.0);
    for (p, (first, second, _)) in pairs.iter().enumerate() {
        matrix.data[first * pairs.len() + p] = 1.0;
        matrix.data[second * pairs.len() + p] = -1.0;
        votes.data[*second] += 1.0;
    }
    let won = build.apply_matrix(first_wins, 1, matrix);
    let votes = build.constant(votes);
    build.binary(BinaryFn::Add, won, votes)
}

/// Probabilities of two classes: that of the first is `sigmoid(-a score - b)`.
fn probabilities(build: &mut Builder, scores: NodeId, a: f64, b: f64) -> NodeId {
    let scaled = build.multiply_scalar(scores, -a);
    let line = build.add_scalar(scaled, -b);
    let limit = |f, bound, e| Pointwise::binary(f, Pointwise::Constant(bound), e);
    let first = Pointwise::of(UnaryFn::Sigmoid);
    let first = limit(BinaryFn::Max, LEAST_PROBABILITY, first);
    let first = limit(BinaryFn::Min, 1.0 - LEAST_PROBABILITY, first);
    let first = build.pointwise(first, line);
    let negated = build.multiply_scalar(first, -1.0);
    let second = build.add_scalar(negated, 1.0);
    build.concat(vec![first, second], 1)
}
