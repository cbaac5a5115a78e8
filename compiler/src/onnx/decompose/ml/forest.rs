//! Ensembles of decision trees as attributes give them: nodes with tests, and leaves with weights.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::MOST_STEPS;
use crate::onnx::decompose::ml::linear_models;
use crate::onnx::decompose::scope::Scope;

/// Most entries of all matrices of leaves by comparisons.
pub(crate) const MOST_ENTRIES: usize = 1 << 26;

/// What is compared: feature, sign and bits of the threshold.
pub(crate) type Comparison = (usize, i8, u64);

/// A sum of comparisons and a constant that is 1 where a test holds, else 0.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub constant: f64,
    pub bits: Vec<(Comparison, f64)>,
}

impl Test {
    /// `sign * (x - threshold) > 0`.
    fn beyond(feature: usize, sign: i8, threshold: f64) -> Test {
        // In single precision, as inputs are. Zero has one sign, so that equal comparisons are one.
        let threshold = f64::from(threshold as f32) + 0.0;
        Test {
            constant: 0.0,
            bits: vec![((feature, sign, threshold.to_bits()), 1.0)],
        }
    }

    fn equal(feature: usize, value: f64) -> Test {
        let more = Test::beyond(feature, 1, value);
        more.plus(Test::beyond(feature, -1, value)).negated()
    }

    /// Whether the feature is one of these values.
    fn member(feature: usize, values: &[f64]) -> Test {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let none = Test {
            constant: 0.0,
            bits: Vec::new(),
        };
        let each = values.iter().map(|value| Test::equal(feature, *value));
        each.fold(none, Test::plus)
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

/// A node that is not a leaf: its test and where it leads.
pub(crate) struct Branch {
    test: Test,
    yes: Next,
    no: Next,
}

/// Positions among a forest's branches and leaves.
#[derive(Clone, Copy)]
pub(crate) enum Next {
    Branch(usize),
    Leaf(usize),
}

/// Weight of a leaf for a target.
pub(crate) type LeafWeights = Vec<(usize, f64)>;

/// An ensemble as the attributes give it.
pub(crate) struct Forest {
    pub branches: Vec<Branch>,
    pub leaves: Vec<LeafWeights>,
    pub roots: Vec<Next>,
    pub targets: usize,
}

/// A leaf that a tree has: the tests that lead to it.
pub(crate) struct Path {
    pub weights: LeafWeights,
    pub tests: Vec<Test>,
}

pub(crate) fn malformed(reason: &str) -> Diagnostic {
    refuse(
        format!("its trees are malformed: {reason}"),
        "correct the model",
    )
}

pub(crate) fn too_large() -> Diagnostic {
    refuse(
        "its trees are too large",
        "use fewer or shallower trees (for example, of depth 8 at most)",
    )
}

impl Forest {
    /// The leaves of each tree and what leads to them.
    pub fn paths(&self) -> Result<Vec<Vec<Path>>, Diagnostic> {
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

/// A list of numbers that is an attribute of floats, or of a tensor of doubles.
pub(crate) fn numbers(scope: &Scope, name: &str) -> Vec<f64> {
    if let Some((tensor, _)) = scope.typed_tensor(&format!("{name}_as_tensor")) {
        return tensor.data;
    }
    linear_models::numbers(scope, name)
}

/// The ensemble of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`, whose leaf weights' attributes begin with `prefix`.
pub(crate) fn listed(scope: &Scope, prefix: &str, targets: usize) -> Result<Forest, Diagnostic> {
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
        return Err(malformed("its lists of nodes have different lengths"));
    }
    let (mut branches, mut leaf_count, mut places) = (Vec::new(), 0, Places(HashMap::new()));
    for node in 0..count {
        let next = if modes[node] == "LEAF" {
            leaf_count += 1;
            Next::Leaf(leaf_count - 1)
        } else {
            branches.push(node);
            Next::Branch(branches.len() - 1)
        };
        let place = (tree_ids[node], node_ids[node]);
        if places.0.insert(place, next).is_some() {
            return Err(malformed("a node is listed twice"));
        }
    }
    let leaves = leaf_weights(scope, prefix, &places, leaf_count, targets)?;
    // The root of a tree is its first node.
    let mut seen = HashSet::new();
    let firsts = (0..count).filter(|node| seen.insert(tree_ids[*node]));
    let roots: Result<Vec<Next>, Diagnostic> = firsts
        .map(|node| places.find(tree_ids[node], node_ids[node]))
        .collect();
    let roots = roots?;
    let branch = |node: &usize| {
        let feature =
            usize::try_from(features[*node]).map_err(|_| malformed("a feature is negative"))?;
        let test = Test::of(&modes[*node], feature, values[*node]);
        Ok(Branch {
            test: test
                .ok_or_else(|| malformed(&format!("the mode `{}` does not exist", modes[*node])))?,
            yes: places.find(tree_ids[*node], yes[*node])?,
            no: places.find(tree_ids[*node], no[*node])?,
        })
    };
    Ok(Forest {
        branches: branches
            .iter()
            .map(branch)
            .collect::<Result<_, Diagnostic>>()?,
        leaves,
        roots,
        targets,
    })
}

/// Where the nodes of trees are, by the ids of tree and node.
struct Places(HashMap<(i64, i64), Next>);

impl Places {
    fn find(&self, tree: i64, node: i64) -> Result<Next, Diagnostic> {
        let place = self.0.get(&(tree, node)).copied();
        place.ok_or_else(|| malformed(&format!("tree {tree} has no node {node}")))
    }
}

/// The weights that the attributes beginning with `prefix` give each leaf.
fn leaf_weights(
    scope: &Scope,
    prefix: &str,
    places: &Places,
    leaf_count: usize,
    targets: usize,
) -> Result<Vec<LeafWeights>, Diagnostic> {
    let list = |name: &str| {
        let ints = scope.ints(&format!("{prefix}_{name}"));
        ints.unwrap_or_default()
    };
    let (trees, nodes, ids) = (list("treeids"), list("nodeids"), list("ids"));
    let weights = numbers(scope, &format!("{prefix}_weights"));
    if [trees.len(), nodes.len(), ids.len()] != [weights.len(); 3] {
        return Err(malformed("its lists of weights have different lengths"));
    }
    let mut leaves = vec![LeafWeights::new(); leaf_count];
    for (i, weight) in weights.iter().enumerate() {
        let Next::Leaf(leaf) = places.find(trees[i], nodes[i])? else {
            return Err(malformed("a node that is not a leaf has a weight"));
        };
        leaves[leaf].push((target(ids[i], targets)?, *weight));
    }
    Ok(leaves)
}

/// A leaf's target, which must be below the number of targets.
fn target(id: i64, targets: usize) -> Result<usize, Diagnostic> {
    let target = usize::try_from(id).ok().filter(|target| *target < targets);
    target.ok_or_else(|| malformed(&format!("the target {id} does not exist")))
}

/// Modes of `TreeEnsemble` by their numbers; the next number tests for membership.
const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];
const MEMBER: usize = MODES.len();

/// The ensemble of `TreeEnsemble`.
pub(crate) fn indexed(scope: &Scope, targets: usize) -> Result<Forest, Diagnostic> {
    let list = |name: &str| scope.ints(name).unwrap_or_default();
    let tensor = |name: &str| {
        let tensor = scope.typed_tensor(name);
        tensor.map_or_else(Vec::new, |(tensor, _)| tensor.data)
    };
    let features = list("nodes_featureids");
    let (modes, splits) = (tensor("nodes_modes"), tensor("nodes_splits"));
    let (yes, no) = (list("nodes_truenodeids"), list("nodes_falsenodeids"));
    let (yes_leaf, no_leaf) = (list("nodes_trueleafs"), list("nodes_falseleafs"));
    let (ids, weights) = (list("leaf_targetids"), tensor("leaf_weights"));
    let count = features.len();
    let of_nodes = [modes.len(), splits.len(), yes.len(), no.len()];
    let of_leaves = [yes_leaf.len(), no_leaf.len()];
    if of_nodes != [count; 4] || of_leaves != [count; 2] || ids.len() != weights.len() {
        return Err(malformed("its lists have different lengths"));
    }
    let members = tensor("membership_values");
    let mut sets = members.split(|value| value.is_nan());
    let next = |at: i64, leaf: i64| {
        let at = usize::try_from(at).map_err(|_| malformed("a position is negative"))?;
        if leaf == 0 && at < count {
            Ok(Next::Branch(at))
        } else if leaf != 0 && at < ids.len() {
            Ok(Next::Leaf(at))
        } else {
            Err(malformed("a node leads nowhere"))
        }
    };
    let mut branches = Vec::new();
    for node in 0..count {
        let feature =
            usize::try_from(features[node]).map_err(|_| malformed("a feature is negative"))?;
        let test = match modes[node] as usize {
            MEMBER => {
                let set = sets.next();
                let set = set.ok_or_else(|| malformed("a set of members is missing"))?;
                Test::member(feature, set)
            }
            mode => {
                let name = MODES.get(mode);
                let test = name.and_then(|name| Test::of(name, feature, splits[node]));
                test.ok_or_else(|| malformed(&format!("the mode {mode} does not exist")))?
            }
        };
        branches.push(Branch {
            test,
            yes: next(yes[node], yes_leaf[node])?,
            no: next(no[node], no_leaf[node])?,
        });
    }
    let leaf = |(id, weight): (&i64, &f64)| Ok(vec![(target(*id, targets)?, *weight)]);
    let leaves = ids.iter().zip(&weights).map(leaf);
    // A root is a branch; one whose ways lead to the same leaf is a leaf.
    let roots = list("tree_roots").iter().map(|root| next(*root, 0));
    Ok(Forest {
        branches,
        leaves: leaves.collect::<Result<_, Diagnostic>>()?,
        roots: roots.collect::<Result<_, _>>()?,
        targets,
    })
}

pub(crate) fn checked(forest: Forest) -> Result<Forest, Diagnostic> {
    if forest.roots.is_empty() {
        return Err(malformed("it has none"));
    }
    if forest.roots.len() > MOST_STEPS {
        return Err(too_large());
    }
    let weights = forest.leaves.iter().flatten().map(|(_, weight)| *weight);
    let tests = forest.branches.iter().flat_map(|branch| &branch.test.bits);
    let thresholds = tests.map(|((.., threshold), _)| f64::from_bits(*threshold));
    if !weights.chain(thresholds).all(f64::is_finite) {
        return Err(refuse(
            "a threshold or a weight of its trees is not a finite number",
            "correct the model",
        ));
    }
    Ok(forest)
}
