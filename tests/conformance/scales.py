"""Writes cases whose columns or channels are of very different magnitudes, with what onnxruntime makes of them.

    v/bin/python tests/conformance/scales.py FOLDER

Each is calibrated on `samples.jsonl` and tested on other inputs of the same distribution, from a fixed seed.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SAMPLES, TESTS = 24, 3
# Age, income, a ratio, a count.
MEAN, DEVIATION = np.array([40, 60_000, 0.3, 3]), np.array([12, 25_000, 0.1, 2])
CHANNELS = np.array([1, 1e4, 1e-2, 30])
RNG = np.random.default_rng(10)


def normal(*shape):
    return RNG.standard_normal(shape)


def matrix(rows, columns):
    return normal(rows, columns) / np.sqrt(rows)


def node(operator, inputs, output, domain="", **attributes):
    return helper.make_node(operator, inputs.split(","), [output], domain=domain, **attributes)


def port(name, array, digits):
    # Few digits keep files short; onnxruntime sees the same numbers.
    data = [float(f"{x:.{digits}g}") for x in array.astype(np.float32).reshape(-1).tolist()]
    return {"name": name, "dtype": "float32", "shape": list(array.shape), "data": data}


def case(folder, name, nodes, constants, draw):
    """A model from `x` to `y`, on inputs that `draw` makes."""
    shape = draw().shape
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))]
    tensors = [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, name, infos[:1], infos[1:], tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [port("x", draw(), 6) for _ in range(SAMPLES + TESTS)]
    outputs = []
    for given in inputs[SAMPLES:]:
        x = np.array(given["data"], np.float32).reshape(shape)
        outputs.append(port("y", session.run(None, {"x": x})[0], 9))
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(model, place / "model.onnx")
    for file, side, ports in (
        ("samples.jsonl", "inputs", inputs[:SAMPLES]),
        ("tests.jsonl", "inputs", inputs[SAMPLES:]),
        ("tests.expected.jsonl", "outputs", outputs),
    ):
        (place / file).write_text("".join(json.dumps({side: [one]}) + "\n" for one in ports))


def tables(folder):
    """Tables of features before two layers."""
    layers = [
        node("Gemm", "z,w,b", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r,v,c", "y"),
    ]
    weights = {"w": matrix(4, 12), "b": 0.1 * normal(12), "v": matrix(12, 3), "c": 0.1 * normal(3)}
    columns = {"m": MEAN, "s": DEVIATION, "f": 1 / DEVIATION, "o": np.zeros(4), "g": np.ones(4), "q": DEVIATION**2}
    scalings = {
        "standard_scaler": [node("Sub", "x,m", "d"), node("Div", "d,s", "z")],
        "scaler": [node("Scaler", "x", "z", "ai.onnx.ml", offset=MEAN.tolist(), scale=(1 / DEVIATION).tolist())],
        "min_max_scaler": [node("Mul", "x,f", "d"), node("Add", "d,g", "z")],
        "batch_norm": [node("BatchNormalization", "x,g,o,m,q", "z")],
    }
    for name, nodes in scalings.items():
        read = {i for n in nodes + layers for i in n.input}
        constants = {n: a for n, a in (columns | weights).items() if n in read}
        case(folder, name, nodes + layers, constants, lambda: MEAN + DEVIATION * normal(1, 4))
    case(
        folder,
        "weights_that_compensate",
        [node("Gemm", "x,w,b", "y")],
        {"w": (w := matrix(4, 5) / DEVIATION[:, None]), "b": -MEAN @ w},
        lambda: MEAN + DEVIATION * normal(1, 4),
    )


    # A tree on each feature and the next: comparisons have to be exact on the smallest as well.
    nodes, targets = [], []
    for tree in range(24):
        for at, mode in enumerate(("BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF")):
            feature = (tree + at) % 4
            threshold = MEAN[feature] + DEVIATION[feature] * float(normal())
            nodes.append((tree, at, mode, feature, threshold, *((1, 2) if at == 0 else (3, 4) if at == 1 else (0, 0))))
            if mode == "LEAF":
                targets.append((tree, at, tree % 3, float(normal())))
    keys = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    attributes = {f"nodes_{key}": list(column) for key, column in zip(keys, zip(*nodes))}
    keys = ("treeids", "nodeids", "ids", "weights")
    attributes |= {f"target_{key}": list(column) for key, column in zip(keys, zip(*targets))}
    scale = np.array([1, 100, 1e-3, 1])
    attributes["nodes_values"] = [float(x * scale[f]) for x, f in zip(attributes["nodes_values"], attributes["nodes_featureids"])]
    forest = node("TreeEnsembleRegressor", "x", "y", "ai.onnx.ml", n_targets=3, **attributes)
    case(folder, "forest", [forest], {}, lambda: scale * (MEAN + DEVIATION * normal(1, 4)))
    # A logarithm of one column: the others are as precise beside it.
    case(
        folder,
        "logarithm_of_a_column",
        [
            helper.make_node("Split", ["x"], ["a", "i", "q", "n"], axis=1),
            node("Log", "i", "l"),
            node("Concat", "a,l,q,n", "t", axis=1),
            node("Sub", "t,m", "d"),
            node("Div", "d,s", "z"),
            node("Gemm", "z,w", "y"),
        ],
        {"m": [40, 11, 0.3, 3], "s": [12, 0.5, 0.1, 2], "w": matrix(4, 3)},
        lambda: np.abs(MEAN + DEVIATION * normal(1, 4)) + [0, 1e4, 0, 0],
    )


def channels(folder):
    """Channels that a batch norm or a matrix makes differ, and the next layer makes alike."""
    inner, outer = normal(4, 3, 3, 3) / 5, normal(5, 4, 3, 3) / 6 / CHANNELS[None, :, None, None]
    first = [
        node("Conv", "x,k", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c,g,b,m,v", "n"),
    ]
    constants = {"k": inner, "l": outer, "g": CHANNELS, "b": CHANNELS / 10, "m": np.zeros(4), "v": np.ones(4)}
    between = {
        "batch_norm_relu": [node("Relu", "n", "r")],
        "batch_norm_max_pool": [node("MaxPool", "n", "r", kernel_shape=[2, 2], strides=[2, 2])],
        "batch_norm_leaky_average": [
            node("LeakyRelu", "n", "a", alpha=0.1),
            node("AveragePool", "a", "r", kernel_shape=[2, 2], strides=[2, 2]),
        ],
    }
    for name, nodes in between.items():
        last = [node("Conv", "r,l", "y", pads=[1, 1, 1, 1])]
        case(folder, name, first + nodes + last, constants, lambda: normal(1, 3, 6, 6))
    powers = 10 ** np.linspace(-2, 2, 12)
    case(
        folder,
        "columns_of_a_layer",
        [node("Gemm", "x,w,b", "h"), node("Relu", "h", "r"), node("Gemm", "r,v", "y")],
        {"w": matrix(8, 12) * powers, "b": 0.1 * normal(12) * powers, "v": matrix(12, 3) / powers[:, None]},
        lambda: normal(1, 8),
    )
    case(
        folder,
        "columns_of_an_output",
        [node("Gemm", "x,w", "h"), node("Relu", "h", "r"), node("Gemm", "r,v", "y")],
        {"w": matrix(8, 12), "v": matrix(12, 4) * CHANNELS},
        lambda: normal(1, 8),
    )


def first_token():
    """Tokens of which the first has one channel a thousand times louder than all others."""
    x = normal(1, 6, 16)
    x[0, 0, 3] = 1500 + 100 * x[0, 0, 3]
    return x


def outliers(folder):
    """What language models do: a block whose residual stream has an outlier, in the first token or in all."""

    def block(x, y):
        return [
            node("LayerNormalization", f"{x},g,b", f"{x}n", axis=-1),
            node("MatMul", f"{x}n,w", f"{x}h"),
            node("Relu", f"{x}h", f"{x}r"),
            node("MatMul", f"{x}r,v", f"{x}m"),
            node("Add", f"{x},{x}m", y),
        ]

    quiet = np.where(np.arange(16) == 3, 0.02, 1)
    constants = {"w": matrix(16, 32), "v": matrix(32, 16), "b": 0.1 * normal(16), "u": matrix(16, 5)}
    nodes = block("x", "s") + block("s", "t")
    nodes += [node("LayerNormalization", "t,g,b", "n", axis=-1), node("MatMul", "n,u", "y")]
    case(folder, "first_token_outlier", nodes, constants | {"g": np.ones(16)}, first_token)
    loud = np.where(np.arange(16) == 3, 400, 1)
    case(folder, "outlier_channel", nodes, constants | {"g": quiet}, lambda: loud * (1 + 0.1 * normal(1, 6, 16)) + normal(1, 6, 16))


if __name__ == "__main__":
    for write in (tables, channels, outliers):
        write(pathlib.Path(sys.argv[1]))
