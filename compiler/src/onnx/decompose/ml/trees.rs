//! Ensembles of decision trees.
//!
//! Every comparison of a feature with a threshold is a bit: 1 where `sign * x - threshold > 0`. Whether a node's test holds is a sum of such
//! bits and a constant; a leaf is reached if as many tests hold as lead to it; and the result of the trees is a matrix product of these.
//! Trees share their comparisons, unless the matrix of all leaves by all comparisons would be too large: then each tree has its own.
//!
//! A model's inputs are numbers, so that what a node does with missing values (NaN) never matters.

use std::collections::HashMap;

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::ml::forest::{
    Comparison, Forest, MOST_ENTRIES, Path, checked, indexed, listed, malformed, numbers, too_large,
};
use crate::onnx::decompose::ml::linear_models::features;
use crate::onnx::decompose::ml::scores;
use crate::onnx::decompose::ml::scores::{Labels, Transform};
use crate::onnx::decompose::operator::{ML, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("TreeEnsemble", 5, ensemble).domain(ML),
    op("TreeEnsembleClassifier", 1, classifier)
        .domain(ML)
        .restricted(
            "integer labels; every leaf with a weight for each class, or for the second of two",
        ),
    op("TreeEnsembleRegressor", 1, regressor).domain(ML),
];

/// Most entries of the matrix of leaves by comparisons that trees share.
const MOST_SHARED: usize = 1 << 22;

/// Trees that share their comparisons.
struct Group<'p> {
    comparisons: Vec<Comparison>,
    paths: Vec<&'p Path>,
}

fn group<'p>(trees: &'p [Vec<Path>]) -> Group<'p> {
    let paths: Vec<&Path> = trees.iter().flatten().collect();
    let tests = paths.iter().flat_map(|path| &path.tests);
    let bits = tests.flat_map(|test| test.bits.iter().map(|(bit, _)| *bit));
    let mut comparisons: Vec<Comparison> = bits.collect();
    comparisons.sort_unstable();
    comparisons.dedup();
    Group { comparisons, paths }
}

/// The trees' leaves as 0/1 values `[n, groups, leaves]`, with the weights of each.
struct Reached<'p> {
    leaves: NodeId,
    groups: Vec<Group<'p>>,
    /// Leaves of a group, padding included.
    most: usize,
}

fn reached<'p>(
    scope: &mut Scope,
    x: NodeId,
    trees: &'p [Vec<Path>],
    apart: bool,
) -> Result<Reached<'p>, Diagnostic> {
    let whole = group(trees);
    let shared = whole.comparisons.len().saturating_mul(whole.paths.len()) <= MOST_SHARED;
    let groups: Vec<Group> = if shared && !apart {
        vec![whole]
    } else {
        trees.chunks(1).map(group).collect()
    };
    let most_of = |len: &dyn Fn(&Group) -> usize| groups.iter().map(len).max().unwrap_or(0).max(1);
    let comparisons = most_of(&|group| group.comparisons.len());
    let most = most_of(&|group| group.paths.len());
    let features = scope.build.shape(x)[1];
    let count = groups.len();
    let entries = (count * most).saturating_mul(comparisons);
    if entries.max((count * comparisons).saturating_mul(features)) > MOST_ENTRIES {
        return Err(too_large());
    }
    let mut chosen = Tensor::filled(vec![count * comparisons, features], 0.0);
    let mut offset = Tensor::filled(vec![1, count * comparisons], 0.0);
    let mut matrix = Tensor::filled(vec![count, most, comparisons], 0.0);
    // A leaf that is padding is never reached.
    let mut excess = Tensor::filled(vec![1, count, most], 0.0);
    for (g, group) in groups.iter().enumerate() {
        let place: HashMap<Comparison, usize> = (group.comparisons.iter().enumerate())
            .map(|(i, bit)| (*bit, i))
            .collect();
        for (i, (feature, sign, threshold)) in group.comparisons.iter().enumerate() {
            if *feature >= features {
                return Err(malformed(&format!("the feature {feature} does not exist")));
            }
            let sign = f64::from(*sign);
            let row = g * comparisons + i;
            chosen.data[row * features + feature] = sign;
            offset.data[row] = -sign * f64::from_bits(*threshold);
        }
        for (l, path) in group.paths.iter().enumerate() {
            let constants: f64 = path.tests.iter().map(|test| test.constant).sum();
            excess.data[g * most + l] = constants - path.tests.len() as f64 + 1.0;
            for (bit, weight) in path.tests.iter().flat_map(|test| &test.bits) {
                matrix.data[(g * most + l) * comparisons + place[bit]] += weight;
            }
        }
    }
    let build = &mut scope.build;
    let rows = build.shape(x)[0];
    let chosen = build.apply_matrix(x, 1, chosen);
    let offset = build.constant(offset);
    let beyond = build.binary(BinaryFn::Add, chosen, offset);
    let bits = build.pointwise(Pointwise::step(Pointwise::Variable), beyond);
    let bits = build.reshape(bits, &[rows, count, comparisons]);
    let matrix = build.constant(matrix);
    let held = Op::Einsum {
        inputs: vec![vec![0, 1, 3], vec![1, 2, 3]],
        output: vec![0, 1, 2],
    };
    let held = build.push(held, vec![bits, matrix], vec![rows, count, most]);
    let excess = build.constant(excess);
    let held = build.binary(BinaryFn::Add, held, excess);
    Ok(Reached {
        leaves: build.pointwise(Pointwise::of(UnaryFn::Relu), held),
        groups,
        most,
    })
}

impl Reached<'_> {
    /// The leaves' weights `[groups, leaves, targets]`.
    fn weights(&self, targets: usize) -> Tensor {
        let mut weights = Tensor::filled(vec![self.groups.len(), self.most, targets], 0.0);
        for (g, group) in self.groups.iter().enumerate() {
            for (l, path) in group.paths.iter().enumerate() {
                for (target, weight) in &path.weights {
                    weights.data[(g * self.most + l) * targets + target] += weight;
                }
            }
        }
        weights
    }
}

/// The sums of the trees' weights: `[n, targets]`.
fn sums(scope: &mut Scope, x: NodeId, forest: &Forest) -> Result<NodeId, Diagnostic> {
    let trees = forest.paths()?;
    let reached = reached(scope, x, &trees, false)?;
    let weights = scope.build.constant(reached.weights(forest.targets));
    let rows = scope.build.shape(x)[0];
    let sum = Op::Einsum {
        inputs: vec![vec![0, 1, 2], vec![1, 2, 3]],
        output: vec![0, 3],
    };
    let operands = vec![reached.leaves, weights];
    Ok(scope.build.push(sum, operands, vec![rows, forest.targets]))
}

/// The least or greatest of the trees' weights: `[n, targets]`.
fn extremes(
    scope: &mut Scope,
    x: NodeId,
    forest: &Forest,
    reducer: Reducer,
) -> Result<NodeId, Diagnostic> {
    let trees = forest.paths()?;
    let complete = |path: &Path| {
        let mut said: Vec<usize> = path.weights.iter().map(|(target, _)| *target).collect();
        said.sort_unstable();
        said.into_iter().eq(0..forest.targets)
    };
    if !trees.iter().flatten().all(complete) {
        return Err(refuse(
            "it takes the minimum or maximum of leaves, and some have no weight for a target",
            "give every leaf one weight for each target",
        ));
    }
    let reached = reached(scope, x, &trees, true)?;
    let weights = scope.build.constant(reached.weights(forest.targets));
    let rows = scope.build.shape(x)[0];
    let each = Op::Einsum {
        inputs: vec![vec![0, 1, 2], vec![1, 2, 3]],
        output: vec![0, 1, 3],
    };
    let shape = vec![rows, trees.len(), forest.targets];
    let each = scope.build.push(each, vec![reached.leaves, weights], shape);
    let extreme = scope.build.reduce(reducer, &[1], each);
    Ok(scope.build.reshape(extreme, &[rows, forest.targets]))
}

/// `TreeEnsembleRegressor`.
fn regressor(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let targets = scope.int("n_targets").unwrap_or(1).max(1) as usize;
    let forest = checked(listed(scope, "target", targets)?)?;
    let base = numbers(scope, "base_values");
    let aggregate = scope
        .text("aggregate_function")
        .unwrap_or("SUM")
        .to_string();
    aggregated(scope, &forest, &aggregate, &base)
}

/// `TreeEnsemble`.
fn ensemble(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let targets = scope.int("n_targets").unwrap_or(1).max(1) as usize;
    let forest = checked(indexed(scope, targets)?)?;
    let aggregate = match scope.int("aggregate_function").unwrap_or(1) {
        0 => "AVERAGE",
        1 => "SUM",
        2 => "MIN",
        _ => "MAX",
    };
    aggregated(scope, &forest, aggregate, &[])
}

fn aggregated(
    scope: &mut Scope,
    forest: &Forest,
    aggregate: &str,
    base: &[f64],
) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let scores = match aggregate {
        "SUM" => sums(scope, x, forest)?,
        "AVERAGE" => {
            let sum = sums(scope, x, forest)?;
            scope
                .build
                .multiply_scalar(sum, 1.0 / forest.roots.len() as f64)
        }
        "MIN" => extremes(scope, x, forest, Reducer::Min)?,
        "MAX" => extremes(scope, x, forest, Reducer::Max)?,
        other => {
            return Err(refuse(
                format!("the aggregate_function `{other}` does not exist"),
                "correct the model",
            ));
        }
    };
    let scores = plus(scope, scores, base)?;
    let made = scores::of_targets(&mut scope.build, scores, how)?;
    let dtype = match scope.dtype(0) {
        DatumType::F64 if scope.operator() == "TreeEnsemble" => DatumType::F64,
        _ => DatumType::F32,
    };
    Ok(vec![(made, dtype)])
}

/// Scores `[n, targets]` with a base added: one for each target, one for all, or none.
fn plus(scope: &mut Scope, scores: NodeId, base: &[f64]) -> Result<NodeId, Diagnostic> {
    let targets = scope.build.shape(scores)[1];
    match base.len() {
        0 => Ok(scores),
        count if count == targets => {
            let base = scope
                .build
                .constant(Tensor::new(vec![1, targets], base.to_vec()));
            Ok(scope.build.binary(BinaryFn::Add, scores, base))
        }
        count => Err(refuse(
            format!("it has {count} base_values for {targets} targets"),
            "give one base value for each target",
        )),
    }
}

/// `TreeEnsembleClassifier`.
fn classifier(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let labels = Labels::of(scope, "classlabels_int64s", "classlabels_strings");
    let labels = labels.ok_or_else(|| refuse("it has no class labels", "correct the model"))?;
    let forest = checked(listed(scope, "class", labels.len())?)?;
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let base = numbers(scope, "base_values");
    let mut said: Vec<usize> = forest
        .leaves
        .iter()
        .flatten()
        .map(|(class, _)| *class)
        .collect();
    said.sort_unstable();
    said.dedup();
    if let (2, [class]) = (labels.len(), &said[..]) {
        if base.len() > usize::from(*class == 0) {
            return Err(refuse(
                "runtimes disagree on the base_values of two classes",
                "add them to the weights of the first tree",
            ));
        }
        let sum = sums(scope, x, &forest)?;
        let score = scope.build.slice(sum, 1, *class, 1, 1);
        return one_score(scope, &forest, &labels, (score, *class), how, &base);
    }
    if labels.len() < 3 {
        return both_scores(scope, x, &forest, &labels, how);
    }
    let positive = forest
        .leaves
        .iter()
        .flatten()
        .all(|(_, weight)| *weight > 0.0);
    if base.len() < labels.len() && !positive && !all_say(&forest)? {
        return Err(refuse(
            "some of its leaves leave out classes, and runtimes disagree on their scores",
            "give every leaf a weight for each class, even if it is 0",
        ));
    }
    let scores = sums(scope, x, &forest)?;
    let scores = plus(scope, scores, &base)?;
    let build = &mut scope.build;
    let label = labels.of_greatest(build, scores);
    let made = scores::transformed(build, scores, how);
    Ok(vec![label, (made, DatumType::F32)])
}

/// Whether every sample reaches a weight for every class: for each class there is a tree all of whose leaves have one.
fn all_say(forest: &Forest) -> Result<bool, Diagnostic> {
    let trees = forest.paths()?;
    let says = |path: &Path, class: usize| path.weights.iter().any(|(of, _)| *of == class);
    let always = |class| {
        trees
            .iter()
            .any(|paths| paths.iter().all(|path| says(path, class)))
    };
    Ok((0..forest.targets).all(always))
}

/// Two classes of which the trees give both scores: the second is chosen where its own is positive, whatever the first's.
fn both_scores(
    scope: &mut Scope,
    x: NodeId,
    forest: &Forest,
    labels: &Labels,
    how: Transform,
) -> Result<Vec<TypedValue>, Diagnostic> {
    if !numbers(scope, "base_values").is_empty() || labels.len() < 2 || !all_say(forest)? {
        return Err(refuse(
            "runtimes disagree on trees with weights for both of two classes, some of which are left out or have base_values",
            "give every leaf a weight for each class, or for the second class only, with id 0",
        ));
    }
    let scores = sums(scope, x, forest)?;
    let build = &mut scope.build;
    let second = build.slice(scores, 1, 1, 1, 1);
    let second = scores::above(build, second, 0.0);
    let label = labels.binary(build, second);
    let made = scores::transformed(build, scores, how);
    Ok(vec![label, (made, DatumType::F32)])
}

/// Two classes of which the trees give one score: the second's, and either the whole result (id 1) or with what is left to the first (id 0).
fn one_score(
    scope: &mut Scope,
    forest: &Forest,
    labels: &Labels,
    (score, class): (NodeId, usize),
    how: Transform,
    base: &[f64],
) -> Result<Vec<TypedValue>, Diagnostic> {
    let build = &mut scope.build;
    let score = build.add_scalar(score, base.first().copied().unwrap_or(0.0));
    let share = forest
        .leaves
        .iter()
        .flatten()
        .all(|(_, weight)| *weight >= 0.0);
    let second = scores::above(build, score, if share { -0.5 } else { 0.0 });
    let label = labels.binary(build, second);
    let made = match class {
        0 => scores::of_two(build, score, how, share)?,
        _ => {
            let none = build.multiply_scalar(score, 0.0);
            let both = build.concat(vec![none, score], 1);
            scores::transformed(build, both, how)
        }
    };
    Ok(vec![label, (made, DatumType::F32)])
}
