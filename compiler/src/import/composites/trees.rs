//! Ensembles of decision trees.
//!
//! Every comparison of a feature with a threshold is a bit: 1 where `sign * x - threshold > 0`. Whether a node's test holds is a sum of such
//! bits and a constant; whether a leaf is reached, whether as many tests hold as lead to it; and what the trees say, a matrix product of these.
//! Trees share their comparisons, unless the matrix of all leaves by all comparisons would be too large: then each tree has its own.
//!
//! A model's inputs are numbers, so that what a node does with missing values (NaN) never matters.

use std::collections::HashMap;

use tract_onnx::prelude::DatumType;

use super::linear::{self, features};
use super::scope::{Made, Scope};
use super::scores::{self, Labels, Transform};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::import::limits::MOST_STEPS;
use crate::import::{Refusal, refusal};

/// Most entries of the matrix of leaves by comparisons that trees share.
const MOST_SHARED: usize = 1 << 22;
/// Most entries of all matrices of leaves by comparisons.
const MOST_ENTRIES: usize = 1 << 26;

/// Position in [`Forest::comparisons`]: feature, sign and threshold bits.
type Comparison = (usize, i8, u64);

/// A sum of comparisons and a constant that is 1 where a test holds, else 0.
#[derive(Clone, Debug)]
struct Test {
    constant: f64,
    bits: Vec<(Comparison, f64)>,
}

impl Test {
    /// `sign * (x - threshold) > 0`.
    fn beyond(feature: usize, sign: i8, threshold: f64) -> Test {
        // Zero has one sign, so that equal comparisons are one.
        let threshold = threshold + 0.0;
        Test {
            constant: 0.0,
            bits: vec![((feature, sign, threshold.to_bits()), 1.0)],
        }
    }

    fn equal(feature: usize, value: f64) -> Test {
        let more = Test::beyond(feature, 1, value);
        more.plus(Test::beyond(feature, -1, value)).negated()
    }

    fn negated(mut self) -> Test {
        self.constant = 1.0 - self.constant;
        self.bits
            .iter_mut()
            .for_each(|(_, weight)| *weight = -*weight);
        self
    }

    fn plus(mut self, other: Test) -> Test {
        self.constant += other.constant;
        self.bits.extend(other.bits);
        self
    }

    fn of(mode: &str, feature: usize, value: f64) -> Option<Test> {
        Some(match mode {
            "BRANCH_LEQ" => Test::beyond(feature, 1, value).negated(),
            "BRANCH_LT" => Test::beyond(feature, -1, value),
            "BRANCH_GTE" => Test::beyond(feature, -1, value).negated(),
            "BRANCH_GT" => Test::beyond(feature, 1, value),
            "BRANCH_EQ" => Test::equal(feature, value),
            "BRANCH_NEQ" => Test::equal(feature, value).negated(),
            _ => return None,
        })
    }
}

/// A node that is no leaf: its test and where to go.
struct Branch {
    test: Test,
    yes: Next,
    no: Next,
}

/// Positions among a forest's branches and leaves.
#[derive(Clone, Copy)]
enum Next {
    Branch(usize),
    Leaf(usize),
}

/// Weight of a leaf for a target.
type Weights = Vec<(usize, f64)>;

/// An ensemble as the attributes give it.
struct Forest {
    branches: Vec<Branch>,
    leaves: Vec<Weights>,
    roots: Vec<Next>,
    targets: usize,
}

/// A leaf that a tree has: the tests that lead to it.
struct Path {
    weights: Weights,
    tests: Vec<Test>,
}

fn malformed(reason: &str) -> Refusal {
    refusal(
        format!("its trees are malformed: {reason}"),
        "correct the model",
    )
}

fn too_large() -> Refusal {
    refusal(
        "its trees are too large",
        "use fewer or shallower trees (a maximal depth of 8, say)",
    )
}

impl Forest {
    /// The leaves of each tree and what leads to them.
    fn paths(&self) -> Result<Vec<Vec<Path>>, Refusal> {
        let mut total = 0;
        let walk = |root: &Next| {
            let mut paths = Vec::new();
            let mut stack = vec![(*root, Vec::<Test>::new())];
            while let Some((at, tests)) = stack.pop() {
                total += tests.len() + 1;
                if tests.len() > self.branches.len() {
                    return Err(malformed("a node leads to itself"));
                }
                if total > MOST_ENTRIES {
                    return Err(too_large());
                }
                match at {
                    Next::Leaf(leaf) => paths.push(Path {
                        weights: self.leaves[leaf].clone(),
                        tests,
                    }),
                    Next::Branch(branch) => {
                        let Branch { test, yes, no } = &self.branches[branch];
                        let with = |test: Test| [tests.clone(), vec![test]].concat();
                        stack.push((*no, with(test.clone().negated())));
                        stack.push((*yes, with(test.clone())));
                    }
                }
            }
            Ok(paths)
        };
        self.roots.iter().map(walk).collect()
    }
}

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
) -> Result<Reached<'p>, Refusal> {
    let whole = group(trees);
    let shared = whole.comparisons.len().saturating_mul(whole.paths.len()) <= MOST_SHARED;
    let groups: Vec<Group> = match shared && !apart {
        true => vec![whole],
        false => trees.chunks(1).map(group).collect(),
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
                return Err(malformed(&format!("there is no feature {feature}")));
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
    let chosen = build.matrix(x, 1, chosen);
    let offset = build.constant(offset);
    let beyond = build.binary(BinaryFn::Add, chosen, offset);
    let bits = build.pointwise(Pointwise::positive(Pointwise::Variable), beyond);
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
fn sums(scope: &mut Scope, x: NodeId, forest: &Forest) -> Result<NodeId, Refusal> {
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
) -> Result<NodeId, Refusal> {
    let trees = forest.paths()?;
    let complete = |path: &Path| {
        let mut said: Vec<usize> = path.weights.iter().map(|(target, _)| *target).collect();
        said.sort_unstable();
        said.into_iter().eq(0..forest.targets)
    };
    if !trees.iter().flatten().all(complete) {
        return Err(refusal(
            "the least or greatest of leaves is asked for, and some have no weight for a target",
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

/// A list of numbers that is an attribute of floats, or of a tensor of doubles.
fn numbers(scope: &Scope, name: &str) -> Vec<f64> {
    if let Some((tensor, _)) = scope.typed_tensor(&format!("{name}_as_tensor")) {
        return tensor.data;
    }
    linear::numbers(scope, name)
}

/// The ensemble of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`, whose leaf weights' attributes begin with `prefix`.
fn listed(scope: &Scope, prefix: &str, targets: usize) -> Result<Forest, Refusal> {
    let list = |name: &str| scope.ints(name).unwrap_or_default();
    let (tree_ids, node_ids) = (list("nodes_treeids"), list("nodes_nodeids"));
    let (yes, no) = (list("nodes_truenodeids"), list("nodes_falsenodeids"));
    let features = list("nodes_featureids");
    let modes = scope.texts("nodes_modes").unwrap_or_default();
    let values = numbers(scope, "nodes_values");
    let count = node_ids.len();
    let lens = [
        tree_ids.len(),
        yes.len(),
        no.len(),
        features.len(),
        modes.len(),
        values.len(),
    ];
    if lens != [count; 6] {
        return Err(malformed("its lists of nodes differ in length"));
    }
    let (mut branches, mut leaves, mut places) = (Vec::new(), Vec::new(), HashMap::new());
    for node in 0..count {
        let next = if modes[node] == "LEAF" {
            leaves.push(Vec::new());
            Next::Leaf(leaves.len() - 1)
        } else {
            branches.push(node);
            Next::Branch(branches.len() - 1)
        };
        if places
            .insert((tree_ids[node], node_ids[node]), next)
            .is_some()
        {
            return Err(malformed("a node is listed twice"));
        }
    }
    let find = |tree: i64, node: i64| {
        let place = places.get(&(tree, node)).copied();
        place.ok_or_else(|| malformed(&format!("tree {tree} has no node {node}")))
    };
    let (trees, nodes, ids) = (
        list(&format!("{prefix}_treeids")),
        list(&format!("{prefix}_nodeids")),
        list(&format!("{prefix}_ids")),
    );
    let weights = numbers(scope, &format!("{prefix}_weights"));
    if [trees.len(), nodes.len(), ids.len()] != [weights.len(); 3] {
        return Err(malformed("its lists of weights differ in length"));
    }
    for (i, weight) in weights.iter().enumerate() {
        let Next::Leaf(leaf) = find(trees[i], nodes[i])? else {
            return Err(malformed("a node that is no leaf has a weight"));
        };
        let target = usize::try_from(ids[i])
            .ok()
            .filter(|target| *target < targets);
        let target = target.ok_or_else(|| malformed(&format!("there is no target {}", ids[i])))?;
        leaves[leaf].push((target, *weight));
    }
    // The root of a tree is its first node.
    let mut seen = std::collections::HashSet::new();
    let firsts = (0..count).filter(|node| seen.insert(tree_ids[*node]));
    let roots: Result<Vec<Next>, Refusal> = firsts
        .map(|node| find(tree_ids[node], node_ids[node]))
        .collect();
    let roots = roots?;
    let branch = |node: &usize| {
        let feature =
            usize::try_from(features[*node]).map_err(|_| malformed("a feature is negative"))?;
        let test = Test::of(&modes[*node], feature, values[*node]);
        Ok(Branch {
            test: test.ok_or_else(|| malformed(&format!("there is no mode `{}`", modes[*node])))?,
            yes: find(tree_ids[*node], yes[*node])?,
            no: find(tree_ids[*node], no[*node])?,
        })
    };
    Ok(Forest {
        branches: branches
            .iter()
            .map(branch)
            .collect::<Result<_, Refusal>>()?,
        leaves,
        roots,
        targets,
    })
}

/// The ensemble of `TreeEnsemble`.
fn indexed(scope: &Scope, targets: usize) -> Result<Forest, Refusal> {
    const MODES: [&str; 6] = [
        "BRANCH_LEQ",
        "BRANCH_LT",
        "BRANCH_GTE",
        "BRANCH_GT",
        "BRANCH_EQ",
        "BRANCH_NEQ",
    ];
    let list = |name: &str| scope.ints(name).unwrap_or_default();
    let tensor = |name: &str| {
        scope
            .typed_tensor(name)
            .map(|(t, _)| t.data)
            .unwrap_or_default()
    };
    let (features, modes, splits) = (
        list("nodes_featureids"),
        tensor("nodes_modes"),
        tensor("nodes_splits"),
    );
    let (yes, no) = (list("nodes_truenodeids"), list("nodes_falsenodeids"));
    let (yes_leaf, no_leaf) = (list("nodes_trueleafs"), list("nodes_falseleafs"));
    let (ids, weights) = (list("leaf_targetids"), tensor("leaf_weights"));
    let count = features.len();
    let lens = [
        modes.len(),
        splits.len(),
        yes.len(),
        no.len(),
        yes_leaf.len(),
        no_leaf.len(),
    ];
    if lens != [count; 6] || ids.len() != weights.len() {
        return Err(malformed("its lists differ in length"));
    }
    let members = tensor("membership_values");
    let mut sets = members.split(|value| value.is_nan());
    let next = |at: i64, leaf: i64| {
        let at = usize::try_from(at).map_err(|_| malformed("a position is negative"))?;
        match leaf != 0 {
            true if at < ids.len() => Ok(Next::Leaf(at)),
            false if at < count => Ok(Next::Branch(at)),
            _ => Err(malformed("a node leads nowhere")),
        }
    };
    let mut branches = Vec::new();
    for node in 0..count {
        let feature =
            usize::try_from(features[node]).map_err(|_| malformed("a feature is negative"))?;
        let test = match modes[node] as usize {
            6 => {
                let set = sets
                    .next()
                    .ok_or_else(|| malformed("a set of members is missing"))?;
                let mut set = set.to_vec();
                set.sort_by(f64::total_cmp);
                set.dedup();
                let none = Test {
                    constant: 0.0,
                    bits: Vec::new(),
                };
                set.iter()
                    .fold(none, |sum, value| sum.plus(Test::equal(feature, *value)))
            }
            mode => {
                let mode = MODES
                    .get(mode)
                    .ok_or_else(|| malformed(&format!("there is no mode {mode}")))?;
                Test::of(mode, feature, splits[node])
                    .ok_or_else(|| malformed("a mode is unknown"))?
            }
        };
        branches.push(Branch {
            test,
            yes: next(yes[node], yes_leaf[node])?,
            no: next(no[node], no_leaf[node])?,
        });
    }
    let leaf = |(id, weight): (&i64, &f64)| {
        let target = usize::try_from(*id).ok().filter(|target| *target < targets);
        let target = target.ok_or_else(|| malformed(&format!("there is no target {id}")))?;
        Ok(vec![(target, *weight)])
    };
    // A root is a branch; one whose ways lead to the same leaf is a leaf.
    Ok(Forest {
        branches,
        leaves: ids
            .iter()
            .zip(&weights)
            .map(leaf)
            .collect::<Result<_, Refusal>>()?,
        roots: list("tree_roots")
            .iter()
            .map(|root| next(*root, 0))
            .collect::<Result<_, _>>()?,
        targets,
    })
}

fn checked(forest: Forest) -> Result<Forest, Refusal> {
    if forest.roots.is_empty() {
        return Err(malformed("there are none"));
    }
    if forest.roots.len() > MOST_STEPS {
        return Err(too_large());
    }
    let weights = forest.leaves.iter().flatten().map(|(_, weight)| *weight);
    let tests = forest.branches.iter().flat_map(|branch| &branch.test.bits);
    let thresholds = tests.map(|((.., threshold), _)| f64::from_bits(*threshold));
    if !weights.chain(thresholds).all(f64::is_finite) {
        return Err(refusal(
            "a threshold or a weight of its trees is no finite number",
            "correct the model",
        ));
    }
    Ok(forest)
}

/// `TreeEnsembleRegressor`.
pub(super) fn regressor(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
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
pub(super) fn ensemble(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
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
) -> Result<Vec<Made>, Refusal> {
    let x = features(scope)?;
    let how = scores::transform(scope)?;
    let scores = match aggregate {
        "SUM" => sums(scope, x, forest)?,
        "AVERAGE" => {
            let sum = sums(scope, x, forest)?;
            scope.build.scale(sum, 1.0 / forest.roots.len() as f64)
        }
        "MIN" => extremes(scope, x, forest, Reducer::Min)?,
        "MAX" => extremes(scope, x, forest, Reducer::Max)?,
        other => {
            return Err(refusal(
                format!("there is no aggregate_function `{other}`"),
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
fn plus(scope: &mut Scope, scores: NodeId, base: &[f64]) -> Result<NodeId, Refusal> {
    let targets = scope.build.shape(scores)[1];
    match base.len() {
        0 => Ok(scores),
        count if count == targets => {
            let base = scope
                .build
                .constant(Tensor::new(vec![1, targets], base.to_vec()));
            Ok(scope.build.binary(BinaryFn::Add, scores, base))
        }
        count => Err(refusal(
            format!("it has {count} base_values for {targets} targets"),
            "give one base value for each target",
        )),
    }
}

/// `TreeEnsembleClassifier`.
pub(super) fn classifier(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
    let labels = Labels::of(scope, "classlabels_int64s", "classlabels_strings");
    let labels = labels.ok_or_else(|| refusal("it has no class labels", "correct the model"))?;
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
            return Err(refusal(
                "runtimes disagree about the base_values of two classes",
                "add them to the weights of the first tree",
            ));
        }
        let sum = sums(scope, x, &forest)?;
        let score = scope.build.slice(sum, 1, *class, 1, 1);
        return one_score(scope, &forest, &labels, (score, *class), how, &base);
    }
    if labels.len() < 3 {
        return Err(refusal(
            "runtimes disagree about trees with weights for both of two classes",
            "give the leaves weights for the second class alone, under the id 0",
        ));
    }
    let positive = forest
        .leaves
        .iter()
        .flatten()
        .all(|(_, weight)| *weight > 0.0);
    if base.len() < labels.len() && !positive && !all_say(&forest)? {
        return Err(refusal(
            "some of its leaves leave out classes, whose scores runtimes treat in different ways",
            "give every leaf a weight for each class, if it is 0",
        ));
    }
    let scores = sums(scope, x, &forest)?;
    let scores = plus(scope, scores, &base)?;
    let build = &mut scope.build;
    let label = labels.of_greatest(build, scores);
    let made = scores::transformed(build, scores, how);
    Ok(vec![label, (made, DatumType::F32)])
}

/// Whether the leaves that a sample reaches speak of every class, whatever the sample: for each class there is a tree all of whose leaves do.
fn all_say(forest: &Forest) -> Result<bool, Refusal> {
    let trees = forest.paths()?;
    let says = |path: &Path, class: usize| path.weights.iter().any(|(of, _)| *of == class);
    let always = |class| {
        trees
            .iter()
            .any(|paths| paths.iter().all(|path| says(path, class)))
    };
    Ok((0..forest.targets).all(always))
}

/// Two classes of which the trees give one score: the second's, and either the whole result (id 1) or with what is left to the first (id 0).
fn one_score(
    scope: &mut Scope,
    forest: &Forest,
    labels: &Labels,
    (score, class): (NodeId, usize),
    how: Transform,
    base: &[f64],
) -> Result<Vec<Made>, Refusal> {
    let build = &mut scope.build;
    let score = build.shift(score, base.first().copied().unwrap_or(0.0));
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
            let none = build.scale(score, 0.0);
            let both = build.concat(vec![none, score], 1);
            scores::transformed(build, both, how)
        }
    };
    Ok(vec![label, (made, DatumType::F32)])
}
