//! Linear models of `ai.onnx.ml`: scores are a constant matrix times the features.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Tensor};
use crate::onnx::decompose::ml::scores;
use crate::onnx::decompose::ml::scores::Labels;
use crate::onnx::decompose::operator::{ML, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("LinearClassifier", 1, classifier)
        .domain(ML)
        .restricted("integer labels"),
    op("LinearRegressor", 1, regressor).domain(ML),
];

/// The features `[n, features]`.
pub(crate) fn features(scope: &mut Scope) -> Result<NodeId, Diagnostic> {
    let x = scope.operand(0)?;
    match scope.build.shape(x)[..] {
        [features] => Ok(scope.build.reshape(x, &[1, features])),
        [_, _] => Ok(x),
        _ => Err(refuse(
            "its operand is not a matrix",
            "flatten the features first",
        )),
    }
}

/// `x @ rows^T + offset`, with as many rows as there are offsets.
pub(crate) fn affine(
    build: &mut Builder,
    x: NodeId,
    rows: &[f64],
    offset: &[f64],
) -> Result<NodeId, Diagnostic> {
    let (features, count) = (build.shape(x)[1], offset.len());
    if count == 0 || rows.len() != count * features {
        return Err(refuse(
            format!(
                "it has {} coefficients for {count} scores of {features} features",
                rows.len()
            ),
            "correct the model",
        ));
    }
    let product = build.apply_matrix(x, 1, Tensor::new(vec![count, features], rows.to_vec()));
    let offset = build.constant(Tensor::new(vec![1, count], offset.to_vec()));
    Ok(build.binary(BinaryFn::Add, product, offset))
}

/// A list of floats.
pub(crate) fn numbers(scope: &Scope, name: &str) -> Vec<f64> {
    let floats = scope.floats(name).unwrap_or_default();
    floats.iter().map(|v| f64::from(*v)).collect()
}

/// `LinearRegressor`.
fn regressor(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = features(scope)?;
    let targets = scope.int("targets").unwrap_or(1).max(1) as usize;
    let mut intercepts = numbers(scope, "intercepts");
    if intercepts.is_empty() {
        intercepts = vec![0.0; targets];
    }
    let coefficients = numbers(scope, "coefficients");
    let made = affine(&mut scope.build, x, &coefficients, &intercepts)?;
    let how = scores::transform(scope)?;
    let made = scores::of_targets(&mut scope.build, made, how)?;
    Ok(vec![(made, DatumType::F32)])
}

/// `LinearClassifier`.
fn classifier(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let labels = Labels::of(scope, "classlabels_ints", "classlabels_strings");
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let (coefficients, intercepts) = (numbers(scope, "coefficients"), numbers(scope, "intercepts"));
    let build = &mut scope.build;
    let scores = affine(build, x, &coefficients, &intercepts)?;
    let labels = labels.unwrap_or_else(|| Labels::counted(intercepts.len().max(2)));
    let (label, made) = match (intercepts.len(), labels.len()) {
        (1, 2) => {
            let second = scores::above(build, scores, 0.0);
            let label = labels.binary(build, second);
            (label, scores::of_two(build, scores, how, true)?)
        }
        (scored, named) if scored == named && scored > 1 => {
            let label = labels.of_greatest(build, scores);
            (label, scores::transformed(build, scores, how))
        }
        (scored, named) => {
            return Err(refuse(
                format!("it has {scored} scores for {named} classes"),
                "correct the model",
            ));
        }
    };
    Ok(vec![label, (made, DatumType::F32)])
}
