"""Models of ai.onnx.ml, as scikit-learn and the boosting libraries export them."""

import numpy as np
from onnx import numpy_helper

import ports
from builder import Impossible
from families import idiom

DOMAIN = "ai.onnx.ml"


def features(b, least=2):
    """A table of float32 features."""
    if b.real_type != np.float32:
        raise Impossible("float32 only")
    return b.real(rank=2, fits=lambda v: least <= v.shape[1] <= 12)


def columns(b, x):
    """Mean and deviation of each column."""
    rows = np.concatenate([p.reshape(-1, x.shape[1]) for p in x.probes])
    return rows.mean(0), rows.std(0) + 1e-3 * max(abs(rows).max(), 1e-3)


@idiom(weight=1.5)
def table(b):
    """A new input whose columns are an age, an income, a ratio, a count."""
    if len(b.ports) > 3 or b.real_type != np.float32:
        raise Impossible("enough inputs")
    n = b.between(2, 8)
    scales = b.rng.choice([15.0, 2e4, 0.1, 3.0, 1.0], n)
    offsets = scales * b.rng.uniform(0, 3, n)
    shape = (b.between(1, 3), n)
    x = b.input(np.float32, shape, ports.columns(shape, scales, offsets), "table")
    return scaler(b, x)


def scaler(b, x):
    mean, deviation = columns(b, x)
    return b.node("Scaler", [x], domain=DOMAIN, offset=mean.tolist(), scale=(1 / deviation).tolist())


@idiom()
def scaled(b):
    return scaler(b, features(b))


@idiom()
def normalizer(b):
    x = features(b)
    return b.node("Normalizer", [x], domain=DOMAIN, norm=b.one_of(["L1", "L2"]))


@idiom()
def binarizer(b):
    x = features(b)
    return b.node("Binarizer", [x], domain=DOMAIN, threshold=float(columns(b, x)[0].mean()))


@idiom(weight=1.5)
def imputer(b):
    hole = float(b.one_of([-1.0, 0.0]))
    if len(b.ports) <= 3 and b.real_type == np.float32 and b.chance(0.7):
        shape = (b.between(1, 6), b.between(2, 6))
        scale = b.magnitude_of(-1, 2)
        x = b.input(np.float32, shape, ports.holes(shape, ports.positive(shape, scale), hole), "table")
    else:
        x = features(b)
    mean, _ = columns(b, x)
    return b.node("Imputer", [x], domain=DOMAIN, imputed_value_floats=mean.tolist(), replaced_value_float=hole)


@idiom()
def feature_vectorizer(b):
    x = features(b)
    rows = x.shape[0]
    y = b.real(rank=2, fits=lambda v: v.shape[0] == rows)
    return b.node("FeatureVectorizer", [x, y], domain=DOMAIN, inputdimensions=[x.shape[1], y.shape[1]])


@idiom(weight=1.5)
def array_feature_extractor(b):
    x = features(b)
    places = b.constant(b.rng.integers(0, x.shape[1], b.between(1, 3)), dtype=np.int64)
    return b.node("ArrayFeatureExtractor", [x, places], domain=DOMAIN)


@idiom(weight=2.5)
def label_encoder(b):
    ids = b.whole(np.int64, low=0, high=5)
    keys = list(range(6))
    if b.chance(0.5):
        values = b.one_of([[10007, 5, 70001, 3, 2, 1], [1, 0, 5, 4, 2, 3]])
        return b.node("LabelEncoder", [ids], domain=DOMAIN, keys_int64s=keys, values_int64s=values, default_int64=-1)
    values = b.rng.uniform(-2, 2, 6).tolist()
    return b.node("LabelEncoder", [ids], domain=DOMAIN, keys_int64s=keys, values_floats=values, default_float=0.0)


@idiom()
def one_hot_encoder(b):
    ids = b.whole(np.int64, low=0, high=6, fits=lambda v: v.size <= 30)
    return b.node("OneHotEncoder", [ids], domain=DOMAIN, cats_int64s=[0, 1, 2, 3, 5], zeros=1)


@idiom()
def linear_regressor(b):
    x = features(b)
    targets = b.between(1, 3)
    _, deviation = columns(b, x)
    weights = (b.rng.standard_normal((targets, x.shape[1])) / deviation).reshape(-1).tolist()
    intercepts = b.rng.standard_normal(targets).tolist()
    return b.node("LinearRegressor", [x], domain=DOMAIN, coefficients=weights, intercepts=intercepts, targets=targets)


def class_labels(b, count):
    return b.one_of([list(range(count)), [10007, 70001, 3, -1][:count]])


@idiom(weight=1.5)
def linear_classifier(b):
    x = features(b)
    count = b.between(2, 4)
    _, deviation = columns(b, x)
    weights = (b.rng.standard_normal((count, x.shape[1])) / deviation).reshape(-1).tolist()
    transform = b.one_of(["NONE", "SOFTMAX", "LOGISTIC"])
    label, scores = b.node(
        "LinearClassifier",
        [x],
        outputs=2,
        domain=DOMAIN,
        coefficients=weights,
        intercepts=b.rng.standard_normal(count).tolist(),
        classlabels_ints=class_labels(b, count),
        post_transform=transform,
    )
    return b.node("Normalizer", [scores], domain=DOMAIN, norm="L1") if transform == "LOGISTIC" and b.chance(0.5) else (label, scores)


@idiom(weight=2)
def zip_map(b):
    """Scores by label, as scikit-learn's classifiers end."""
    x = features(b)
    if b.chance(0.5):
        return b.node("ZipMap", [x], domain=DOMAIN, classlabels_int64s=b.rng.permutation(100)[: x.shape[1]].tolist())
    return b.node("ZipMap", [x], domain=DOMAIN, classlabels_strings=[f"class {k}" for k in b.rng.permutation(x.shape[1])])


def forest(b, x, trees, depth):
    """Attributes of full binary trees with thresholds halfway between values that features have."""
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    rows = np.concatenate([p.reshape(-1, x.shape[1]) for p in x.probes])
    leaves = []

    def threshold(feature):
        values = np.unique(rows[:, feature])
        k = b.between(0, max(len(values) - 2, 0))
        return float(np.float32(values[k : k + 2].mean()))

    mode = b.one_of(["BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT"])
    for tree in range(trees):
        inner = 2**depth - 1
        for node in range(2 ** (depth + 1) - 1):
            is_leaf = node >= inner
            feature = 0 if is_leaf else b.between(0, x.shape[1] - 1)
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(node)
            nodes["featureids"].append(feature)
            nodes["values"].append(0.0 if is_leaf else threshold(feature))
            nodes["modes"].append("LEAF" if is_leaf else mode)
            nodes["truenodeids"].append(0 if is_leaf else 2 * node + 1)
            nodes["falsenodeids"].append(0 if is_leaf else 2 * node + 2)
            nodes["missing_value_tracks_true"].append(0)
            if is_leaf:
                leaves.append((tree, node))
    return {f"nodes_{key}": values for key, values in nodes.items()}, leaves


def leaf_weights(b, leaves, prefix, outputs):
    rows = [(tree, node, k, float(b.rng.standard_normal())) for tree, node in leaves for k in range(outputs)]
    trees, nodes, ids, weights = (list(column) for column in zip(*rows, strict=True))
    return {f"{prefix}_treeids": trees, f"{prefix}_nodeids": nodes, f"{prefix}_ids": ids, f"{prefix}_weights": weights}


@idiom(until=21, weight=1.5)
def tree_regressor(b):
    x = features(b)
    attributes, leaves = forest(b, x, b.between(1, 4), b.between(1, 3))
    targets = b.between(1, 2)
    attributes |= leaf_weights(b, leaves, "target", targets)
    if b.chance(0.5):
        attributes["base_values"] = b.rng.standard_normal(targets).tolist()
    return b.node("TreeEnsembleRegressor", [x], domain=DOMAIN, n_targets=targets, aggregate_function=b.one_of(["SUM", "AVERAGE"]), **attributes)


@idiom(until=21, weight=1.5)
def tree_classifier(b):
    x = features(b)
    attributes, leaves = forest(b, x, b.between(1, 4), b.between(1, 3))
    count = b.between(3, 4)
    attributes |= leaf_weights(b, leaves, "class", count)
    transform = b.one_of(["NONE", "SOFTMAX", "LOGISTIC"])
    labels = class_labels(b, count)
    return b.node("TreeEnsembleClassifier", [x], outputs=2, domain=DOMAIN, classlabels_int64s=labels, post_transform=transform, **attributes)


@idiom(since=22, weight=1.5)
def tree_ensemble(b):
    """Trees in the form of ai.onnx.ml 5: full ones, whose last level of branches leads to leaves."""
    x = features(b)
    attributes, _ = forest(b, x, b.between(1, 4), depth := b.between(1, 3))
    inner, trees = 2**depth - 1, len(attributes["nodes_treeids"]) // (2 ** (depth + 1) - 1)
    branches = [k for k, mode in enumerate(attributes["nodes_modes"]) if mode != "LEAF"]
    at_end = [node >= inner // 2 for _ in range(trees) for node in range(inner)]
    node = [(tree, k) for tree in range(trees) for k in range(inner)]
    leaves = 2**depth

    def child(tree, k, side):
        below = 2 * k + 1 + side
        return tree * leaves + below - inner if below >= inner else tree * inner + below

    targets = b.between(1, 2)
    values = [attributes["nodes_values"][k] for k in branches]
    modes = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3}
    return b.node(
        "TreeEnsemble",
        [x],
        domain=DOMAIN,
        n_targets=targets,
        aggregate_function=b.one_of([0, 1]),
        post_transform=0,
        tree_roots=[tree * inner for tree in range(trees)],
        nodes_featureids=[attributes["nodes_featureids"][k] for k in branches],
        nodes_splits=numpy_helper.from_array(np.array(values, dtype=np.float32)),
        nodes_modes=numpy_helper.from_array(np.array([modes[attributes["nodes_modes"][k]] for k in branches], dtype=np.uint8)),
        nodes_truenodeids=[child(tree, k, 0) for tree, k in node],
        nodes_trueleafs=[int(end) for end in at_end],
        nodes_falsenodeids=[child(tree, k, 1) for tree, k in node],
        nodes_falseleafs=[int(end) for end in at_end],
        leaf_targetids=b.rng.integers(0, targets, trees * leaves).tolist(),
        leaf_weights=numpy_helper.from_array(b.rng.standard_normal(trees * leaves).astype(np.float32)),
    )


@idiom(weight=1.5)
def svm_regressor(b):
    x = features(b)
    mean, deviation = columns(b, x)
    vectors = b.between(2, 5)
    support = mean + deviation * b.rng.standard_normal((vectors, x.shape[1]))
    kernel = b.one_of(["RBF", "LINEAR", "POLY", "SIGMOID"])
    size = float(np.square(deviation).sum() + np.square(mean).sum())
    gamma = 1 / max(size, 1e-6)
    return b.node(
        "SVMRegressor",
        [x],
        domain=DOMAIN,
        support_vectors=support.reshape(-1).tolist(),
        coefficients=b.rng.standard_normal(vectors).tolist(),
        rho=[float(b.rng.standard_normal())],
        n_supports=vectors,
        kernel_type=kernel,
        kernel_params=[gamma, 0.5, 2.0],
    )


@idiom(weight=1.7)
def svm_classifier(b):
    x = features(b)
    mean, deviation = columns(b, x)
    vectors = 4
    support = mean + deviation * b.rng.standard_normal((vectors, x.shape[1]))
    gamma = 1 / max(float(np.square(deviation).sum()), 1e-6)
    return b.node(
        "SVMClassifier",
        [x],
        outputs=2,
        domain=DOMAIN,
        support_vectors=support.reshape(-1).tolist(),
        coefficients=b.rng.standard_normal(vectors).tolist(),
        rho=[0.1],
        vectors_per_class=[2, 2],
        kernel_type=b.one_of(["RBF", "LINEAR"]),
        kernel_params=[gamma, 0.0, 3.0],
        classlabels_ints=[0, 1],
    )


@idiom(since=9, weight=2.5)
def n_grams(b):
    ids = b.whole(b.one_of([np.int32, np.int64]), low=0, high=6, fits=lambda v: v.rank == 1 and v.size >= 4)
    pool, counts = [2, 3, 5, 0, 1, 2, 3, 3, 4], [0, 3]
    return b.node(
        "TfIdfVectorizer",
        [ids],
        mode=b.one_of(["TF", "IDF", "TFIDF"]),
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=b.between(0, 1),
        ngram_counts=counts,
        ngram_indexes=list(range(6)),
        pool_int64s=pool,
        weights=[0.5, 1.0, 2.0, 1.0, 0.7, 1.5],
    )
