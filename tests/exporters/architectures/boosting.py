"""Gradient boosting: LightGBM, XGBoost and CatBoost, by their own converters."""

import tempfile

import onnx
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBClassifier, XGBRegressor

from architectures.scikit import FEATURES, FITTED, LABELS, TARGETS, X, on_rows
from catalogue import family

architecture = family("Gradient boosting libraries")
TREES, DEPTH, SEED = 12, 4, 0
QUIET = {"verbose": False, "allow_writing_files": False}


def converted(estimator, y, convert, **options):
    estimator.fit(X[:FITTED], y[:FITTED])
    types = [("input", FloatTensorType([None, FEATURES]))]
    return on_rows(convert(estimator, initial_types=types, **options), X)


@architecture("LightGBM, classifier")
def lightgbm_classifier():
    return converted(LGBMClassifier(n_estimators=TREES, max_depth=DEPTH, random_state=SEED, verbose=-1), LABELS, convert_lightgbm, zipmap=False)


@architecture("LightGBM, regression")
def lightgbm_regressor():
    return converted(LGBMRegressor(n_estimators=TREES, max_depth=DEPTH, random_state=SEED, verbose=-1), TARGETS, convert_lightgbm)


@architecture("XGBoost, classifier")
def xgboost_classifier():
    return converted(XGBClassifier(n_estimators=TREES, max_depth=DEPTH, random_state=SEED), LABELS, convert_xgboost)


@architecture("XGBoost, regression")
def xgboost_regressor():
    return converted(XGBRegressor(n_estimators=TREES, max_depth=DEPTH, random_state=SEED), TARGETS, convert_xgboost)


def by_catboost(estimator, y):
    estimator.fit(X[:FITTED], y[:FITTED])
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        estimator.save_model(file, format="onnx")
        return on_rows(without_dictionaries(onnx.load(file)), X)


def without_dictionaries(model):
    """The model with the tensor of probabilities in place of CatBoost's sequence of dictionaries."""
    for node in [node for node in model.graph.node if node.op_type == "ZipMap"]:
        model.graph.node.remove(node)
        output = next(value for value in model.graph.output if value.name == node.output[0])
        output.CopyFrom(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, [None, None]))
    return model


@architecture("CatBoost, classifier")
def catboost_classifier():
    return by_catboost(CatBoostClassifier(iterations=TREES, depth=DEPTH, random_seed=SEED, **QUIET), LABELS)


@architecture("CatBoost, regression")
def catboost_regressor():
    return by_catboost(CatBoostRegressor(iterations=TREES, depth=DEPTH, random_seed=SEED, **QUIET), TARGETS)
