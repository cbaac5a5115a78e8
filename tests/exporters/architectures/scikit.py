"""scikit-learn's estimators, fitted to small tables and exported by skl2onnx."""

import numpy as np
from skl2onnx import to_onnx
from sklearn import (
    cluster,
    compose,
    datasets,
    decomposition,
    discriminant_analysis,
    ensemble,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from catalogue import Converted, family, rows

architecture = family("scikit-learn")
FEATURES, ROWS, FITTED = 6, 8, 200
X, LABELS = datasets.make_classification(400, FEATURES, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
X = X.astype(np.float32)
RNG = np.random.default_rng(0)
TARGETS = X @ RNG.standard_normal(FEATURES) + np.sin(X[:, 0]) + 0.3 * RNG.standard_normal(len(X))


def exported(estimator, table, y=None, **options):
    """Fitted to half of the table; what it is run on are rows of the other half."""
    estimator.fit(table[:FITTED], None if y is None else y[:FITTED])
    model = to_onnx(estimator, table[:1], options={id(estimator): options} if options else None, target_opset={"": 21, "ai.onnx.ml": 3})
    return on_rows(model, table)


def on_rows(model, table):
    """The model on rows of a table that it was not fitted to. Their number is left open by exporters."""
    (table_input,) = model.graph.input
    table_input.type.tensor_type.shape.dim[0].dim_value = ROWS
    return Converted(model, {table_input.name: rows(table[FITTED:], ROWS)})


# Probabilities as a tensor, rather than a dictionary for each row.
TENSOR = {"zipmap": False}


def classifier(name, estimator, table=X, options=TENSOR):
    architecture(name)(lambda: exported(estimator, table, LABELS, **options))


def regressor(name, estimator, table=X):
    architecture(name)(lambda: exported(estimator, table, TARGETS))


def transformer(name, estimator, table=X):
    architecture(name)(lambda: exported(estimator, table))


regressor("Linear regression", linear_model.LinearRegression())
classifier("Logistic regression", linear_model.LogisticRegression())
classifier("Linear SVM", svm.LinearSVC(), options={})
classifier("SVM, RBF kernel", svm.SVC())
regressor("Support vector regression", svm.SVR())
classifier("Decision tree", tree.DecisionTreeClassifier(max_depth=6, random_state=0))
classifier("Random forest", ensemble.RandomForestClassifier(12, max_depth=5, random_state=0))
regressor("Extra trees, regression", ensemble.ExtraTreesRegressor(12, max_depth=5, random_state=0))
classifier("Gradient boosting", ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0))
classifier("AdaBoost", ensemble.AdaBoostClassifier(n_estimators=8, random_state=0))
VOTERS = [("regression", linear_model.LogisticRegression()), ("bayes", naive_bayes.GaussianNB())]
classifier("Soft voting", ensemble.VotingClassifier(VOTERS, voting="soft", flatten_transform=False))
transformer("Isolation forest", ensemble.IsolationForest(n_estimators=8, max_samples=64, random_state=0))
classifier("k nearest neighbors", neighbors.KNeighborsClassifier(3))
classifier("Naive Bayes, Gaussian", naive_bayes.GaussianNB())
classifier("Naive Bayes, multinomial", naive_bayes.MultinomialNB(), np.round(np.abs(3 * X)))
classifier("Multilayer perceptron", neural_network.MLPClassifier((16, 8), max_iter=300, random_state=0))
KERNEL = gaussian_process.kernels.RBF(2.0) + gaussian_process.kernels.WhiteKernel()
regressor("Gaussian process", gaussian_process.GaussianProcessRegressor(KERNEL))
transformer("Gaussian mixture", mixture.GaussianMixture(3, random_state=0))
transformer("k-means", cluster.KMeans(4, random_state=0))
STEPS = preprocessing.StandardScaler(), decomposition.PCA(4), discriminant_analysis.LinearDiscriminantAnalysis()
classifier("Scaler, PCA, discriminant analysis", pipeline.make_pipeline(*STEPS))
regressor("Polynomial features, ridge", pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()))


# What stands for a number that is not known: inputs of a proof are numbers.
MISSING = -99.0


@architecture("Imputer, one-hot encoder, logistic regression")
def table_with_holes():
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.1, MISSING, X)
    holes[:, -1] = LABELS
    numbers = pipeline.make_pipeline(impute.SimpleImputer(missing_values=MISSING), preprocessing.RobustScaler())
    columns = compose.ColumnTransformer([("numbers", numbers, list(range(FEATURES - 1))), ("codes", preprocessing.OneHotEncoder(), [FEATURES - 1])])
    return exported(pipeline.make_pipeline(columns, linear_model.LogisticRegression()), holes.astype(np.float32), LABELS, **TENSOR)
