//! What classifiers make of raw scores: transformed scores, and labels.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::nn::ranking::first_maximum;
use crate::onnx::decompose::scope::{Scope, TypedValue};

/// Scores closer to zero than this are zero to `SOFTMAX_ZERO`.
const ZERO: f64 = 1e-7;
/// The constant of the rational approximation of the inverse error function (Winitzki 2008).
const INVERSE_ERF: f64 = 0.147;

/// How raw scores become the scores that are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// Not at all.
    None,
    /// Each through the logistic function.
    Logistic,
    /// Softmax over the classes.
    Softmax,
    /// Softmax over the classes whose score is not zero.
    SoftmaxZero,
    /// Each through the inverse of the normal distribution.
    Probit,
}

/// The attribute `post_transform`: a name, or a number in `TreeEnsemble`.
pub(crate) fn transform(scope: &Scope) -> Result<Transform, Diagnostic> {
    let name = match scope.text("post_transform") {
        Some(name) if !name.is_empty() => name.to_string(),
        _ => scope.int("post_transform").unwrap_or(0).to_string(),
    };
    Ok(match &*name {
        "NONE" | "0" => Transform::None,
        "SOFTMAX" | "1" => Transform::Softmax,
        "LOGISTIC" | "2" => Transform::Logistic,
        "SOFTMAX_ZERO" | "3" => Transform::SoftmaxZero,
        "PROBIT" | "4" => Transform::Probit,
        other => {
            return Err(refuse(
                format!("the post_transform `{other}` does not exist"),
                "correct the model",
            ));
        }
    })
}

/// The scores `[n, classes]` that are returned.
pub(crate) fn transformed(build: &mut Builder, scores: NodeId, how: Transform) -> NodeId {
    match how {
        Transform::None => scores,
        Transform::Logistic => build.pointwise(Pointwise::of(UnaryFn::Sigmoid), scores),
        Transform::Softmax => build.softmax(scores, None, 1),
        Transform::SoftmaxZero => {
            let greatest = build.reduce(Reducer::Max, &[1], scores);
            let below = build.binary(BinaryFn::Sub, scores, greatest);
            let weight = build.pointwise(Pointwise::of(UnaryFn::Exp), below);
            let size = Pointwise::of(UnaryFn::Abs);
            let past = Pointwise::binary(BinaryFn::Sub, size, Pointwise::Constant(ZERO));
            let counts = build.pointwise(Pointwise::step(past), scores);
            let weight = build.binary(BinaryFn::Mul, weight, counts);
            let sum = build.reduce(Reducer::Sum, &[1], weight);
            build.binary(BinaryFn::Div, weight, sum)
        }
        Transform::Probit => build.pointwise(probit(), scores),
    }
}

/// The targets `[n, targets]` of a regression that are returned.
pub(crate) fn of_targets(
    build: &mut Builder,
    targets: NodeId,
    how: Transform,
) -> Result<NodeId, Diagnostic> {
    if build.shape(targets)[1] == 1 && !matches!(how, Transform::None | Transform::Probit) {
        return Err(refuse(
            format!("runtimes disagree on the post_transform {how:?} of one target"),
            "use NONE, and apply an operator to the result",
        ));
    }
    Ok(transformed(build, targets, how))
}

/// `sqrt(2) erfinv(2 x - 1)`, with the approximation of `erfinv` that runtimes have.
fn probit() -> Pointwise {
    use BinaryFn::{Add, Div, Mul, Sub};
    let c = Pointwise::Constant;
    let binary = Pointwise::binary;
    let centered = binary(Sub, binary(Mul, c(2.0), Pointwise::Variable), c(1.0));
    let rest = binary(
        Sub,
        c(1.0),
        Pointwise::unary(UnaryFn::Square, centered.clone()),
    );
    let log = Pointwise::unary(UnaryFn::Ln, rest);
    let half = binary(
        Add,
        c(2.0 / (std::f64::consts::PI * INVERSE_ERF)),
        binary(Mul, c(0.5), log.clone()),
    );
    let inside = binary(
        Sub,
        Pointwise::unary(UnaryFn::Square, half.clone()),
        binary(Div, log, c(INVERSE_ERF)),
    );
    let square = binary(Sub, Pointwise::unary(UnaryFn::Sqrt, inside), half);
    let size = Pointwise::unary(UnaryFn::Sqrt, square);
    let sign = Pointwise::unary(UnaryFn::Sign, centered);
    binary(Mul, c(std::f64::consts::SQRT_2), binary(Mul, sign, size))
}

/// Labels of classes.
pub(crate) struct Labels {
    numbers: Vec<i64>,
    dtype: DatumType,
}

impl Labels {
    /// Those of the first attribute that is there: numbers, or texts, which stand for their positions and have an element type that no
    /// output can have.
    pub fn of(scope: &Scope, numbers: &str, texts: &str) -> Option<Labels> {
        if let Some(numbers) = scope.ints(numbers).filter(|list| !list.is_empty()) {
            return Some(Labels {
                numbers: numbers.to_vec(),
                dtype: DatumType::I64,
            });
        }
        let texts = scope.texts(texts).filter(|list| !list.is_empty())?;
        Some(Labels {
            numbers: (0..texts.len() as i64).collect(),
            dtype: DatumType::String,
        })
    }

    /// `0..count`.
    pub fn counted(count: usize) -> Labels {
        Labels {
            numbers: (0..count as i64).collect(),
            dtype: DatumType::I64,
        }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Second label where a 0/1 value `[n, 1]` is 1, else the first: `[n]`.
    pub fn binary(&self, build: &mut Builder, second: NodeId) -> TypedValue {
        let (no, yes) = (self.numbers[0] as f64, self.numbers[1] as f64);
        let scaled = build.multiply_scalar(second, yes - no);
        let label = build.add_scalar(scaled, no);
        let rows = build.shape(label)[0];
        (build.reshape(label, &[rows]), self.dtype)
    }

    /// Label of the first of the greatest scores `[n, classes]`: `[n]`.
    pub fn of_greatest(&self, build: &mut Builder, scores: NodeId) -> TypedValue {
        let mask = first_maximum(build, scores, 1, false);
        let numbers = self.numbers.iter().map(|label| *label as f64).collect();
        let row = Tensor::new(vec![1, self.numbers.len()], numbers);
        let label = build.apply_matrix(mask, 1, row);
        let rows = build.shape(label)[0];
        (build.reshape(label, &[rows]), self.dtype)
    }
}

/// Scores of two classes `[n, 2]` from the second's `[n, 1]`: what is left to the first is 1 minus it if it is a `share`.
pub(crate) fn of_two(
    build: &mut Builder,
    score: NodeId,
    how: Transform,
    share: bool,
) -> Result<NodeId, Diagnostic> {
    let negated = build.multiply_scalar(score, -1.0);
    match how {
        Transform::Probit => Err(refuse(
            "PROBIT of one score for two classes is not supported",
            "use NONE, and apply an operator to the result",
        )),
        Transform::Logistic => {
            let both = build.concat(vec![negated, score], 1);
            Ok(transformed(build, both, how))
        }
        _ => {
            let first = build.add_scalar(negated, f64::from(u8::from(share)));
            Ok(build.concat(vec![first, score], 1))
        }
    }
}

/// 1 where `x + offset > 0`, else 0.
pub(crate) fn above(build: &mut Builder, x: NodeId, offset: f64) -> NodeId {
    let shifted = build.add_scalar(x, offset);
    build.pointwise(Pointwise::step(Pointwise::Variable), shifted)
}
