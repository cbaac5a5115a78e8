//! Classification losses: the score of each target's class, selected by one-hot rows, weighted and averaged. A target that is no class and
//! not the ignored one cannot be proved.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{NodeId, Tensor};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("NegativeLogLikelihoodLoss", 12, likelihood),
    op("SoftmaxCrossEntropyLoss", 12, cross_entropy),
];

/// `NegativeLogLikelihoodLoss`: `x [n, classes, ...]`, `target [n, ...]`, weights of the classes.
fn likelihood(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    Ok(vec![(loss(scope, x)?, scope.dtype(0))])
}

/// `SoftmaxCrossEntropyLoss`: the same for the logarithm of a softmax, which is the second result.
fn cross_entropy(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    if scope.build.rank(x) < 2 {
        return Err(refuse("its scores have no classes", "correct the model"));
    }
    let x = scope.build.log_softmax(x, &[1]);
    let dtype = scope.dtype(0);
    Ok(vec![(loss(scope, x)?, dtype), (x, dtype)])
}

fn loss(scope: &mut Scope, x: NodeId) -> Result<NodeId, Diagnostic> {
    let target = scope.operand(1)?;
    let shape = scope.build.shape(x);
    let rank = shape.len();
    if !(2..=20).contains(&rank) {
        return Err(refuse("its scores have no classes", "correct the model"));
    }
    let classes = shape[1];
    let targets = [&shape[..1], &shape[2..]].concat();
    if targets.iter().product::<usize>() != scope.build.shape(target).iter().product::<usize>() {
        return Err(refuse(
            "its targets do not fit its scores",
            "correct the model",
        ));
    }
    let target = scope.build.reshape(target, &targets);
    let mut hot = rows(scope, target, classes)?;
    let weights = weights(scope, classes, rank)?;
    if let Some(weights) = weights {
        hot = scope.build.multiply(hot, weights);
    }
    let letters: String = ('a'..).take(rank).collect();
    let kept = letters.replace('b', "");
    let hot_letters = format!("{kept}b");
    let reduction = scope.text("reduction").unwrap_or("mean").to_string();
    let build = &mut scope.build;
    let chosen = |output: &str| format!("{hot_letters},{letters}->{output}");
    let total = |build: &mut Builder| {
        let sum = build.einsum(&chosen(""), &[hot, x]);
        build.multiply_scalar(sum, -1.0)
    };
    match reduction.as_str() {
        "none" => {
            let made = build.einsum(&chosen(&kept), &[hot, x]);
            Ok(build.multiply_scalar(made, -1.0))
        }
        "sum" => Ok(total(build)),
        "mean" => {
            let sum = total(build);
            if weights.is_none() {
                let count = targets.iter().product::<usize>() as f64;
                return Ok(build.multiply_scalar(sum, count.recip()));
            }
            let all = build.einsum(&format!("{hot_letters}->"), &[hot]);
            Ok(build.divide(sum, all))
        }
        other => Err(refuse(
            format!("its reduction `{other}` is not supported"),
            "use `none`, `sum` or `mean`",
        )),
    }
}

/// One-hot rows of the targets, along a last axis; rows of zeros for those that are to be ignored.
fn rows(scope: &mut Scope, target: NodeId, classes: usize) -> Result<NodeId, Diagnostic> {
    let ignored = scope.int("ignore_index");
    let beyond = ignored.filter(|ignored| usize::try_from(*ignored).map_or(true, |i| i >= classes));
    let build = &mut scope.build;
    let Some(ignored) = beyond else {
        return build.one_hot(target, classes);
    };
    let distance = build.add_scalar(target, -(ignored as f64));
    let is_ignored = build.within(distance, Some(0.0), Some(0.0));
    let counts = build.multiply_scalar(is_ignored, -1.0);
    let counts = build.add_scalar(counts, 1.0);
    let class = build.multiply(target, counts);
    let hot = build.one_hot(class, classes)?;
    let rows = [build.shape(counts), vec![1]].concat();
    let counts = build.reshape(counts, &rows);
    Ok(build.multiply(hot, counts))
}

/// Weights of the classes along a last axis, 0 for the one that is ignored; `None` if all are 1.
fn weights(scope: &mut Scope, classes: usize, rank: usize) -> Result<Option<NodeId>, Diagnostic> {
    let mut shape = vec![1; rank];
    shape[rank - 1] = classes;
    let given = match scope.optional(2) {
        Some(weights) if scope.build.shape(weights) == [classes] => {
            Some(scope.build.reshape(weights, &shape))
        }
        Some(_) => {
            return Err(refuse(
                "it does not have one weight for each class",
                "correct the model",
            ));
        }
        None => None,
    };
    let Some(ignored) = scope.int("ignore_index") else {
        return Ok(given);
    };
    let counts = (0..classes).map(|class| f64::from(class as i64 != ignored));
    let counts = Tensor::new(shape, counts.collect());
    let counts = scope.build.constant(counts);
    Ok(Some(match given {
        Some(given) => scope.build.multiply(given, counts),
        None => counts,
    }))
}
