"""ONNX's own node tests as folders for `zkiln conformance`.

    python3 -m venv v && v/bin/pip install -r tests/conformance/requirements.txt
    v/bin/python tests/conformance/onnx_node_tests.py FOLDER [--expanded] [--samples N]
    zkiln conformance FOLDER --prove

Taken are the tests of the `onnx` package whose inputs and outputs are tensors of numbers or booleans, with static shapes, not empty, and
finite. Tests of a function's expansion (the same operator written out) come with --expanded only.

A test gives all operands as inputs, those too that a model has as constants: shapes, axes, paddings, counts. They become initializers
here (PARAMETERS), since a compiled model has fixed shapes. Everything else stays an input.

With `--samples N` a case is calibrated on N random inputs of the same shapes and spreads, and is tested on ONNX's own, which are none of them.
"""

import argparse
import json
import pathlib
import warnings
import zlib

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

LOSSES = ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"]
# Operator -> positions of the operands that are parameters.
PARAMETERS = {
    "AffineGrid": [1],
    "BlackmanWindow": [0],
    "CenterCropPad": [1],
    "Clip": [1, 2],
    "Col2Im": [1, 2],
    "Compress": [1],
    "ConstantOfShape": [0],
    "CumProd": [1],
    "CumSum": [1],
    "DFT": [1, 2],
    "Dropout": [1, 2],
    "Expand": [1],
    "HammingWindow": [0],
    "HannWindow": [0],
    "Loop": [0, 1],
    "MaxUnpool": [2],
    "MelWeightMatrix": [0, 1, 2, 3, 4],
    "NonMaxSuppression": [2, 3, 4],
    "NonZero": [0],
    "OneHot": [1],
    "Pad": [1, 2, 3],
    "Range": [0, 1, 2],
    "ReduceL1": [1],
    "ReduceL2": [1],
    "ReduceLogSum": [1],
    "ReduceLogSumExp": [1],
    "ReduceMax": [1],
    "ReduceMean": [1],
    "ReduceMin": [1],
    "ReduceProd": [1],
    "ReduceSum": [1],
    "ReduceSumSquare": [1],
    "Reshape": [1],
    "Resize": [1, 2, 3],
    "ReverseSequence": [1],
    "STFT": [1, 2, 3],
    "Slice": [1, 2, 3, 4],
    "Split": [1],
    "Squeeze": [1],
    "Tile": [1],
    "TopK": [1],
    "Trilu": [1],
    "Unique": [0],
    "Unsqueeze": [1],
    "Upsample": [1],
    # Quantised operators: scales and zero points.
    "ConvInteger": [2, 3],
    "DequantizeLinear": [1, 2],
    "MatMulInteger": [2, 3],
    "QLinearConv": [1, 2, 3, 4, 5, 6, 7, 8],
    "QLinearMatMul": [1, 2, 4, 5, 6, 7],
    "QuantizeLinear": [1, 2],
    # Weights.
    "Conv": [1, 2],
    "ConvTranspose": [1, 2],
    "GRU": [1, 2, 3, 4],
    "LSTM": [1, 2, 3, 4],
    "RNN": [1, 2, 3, 4],
    "Scan": [],
}
NUMBERS = {
    onnx.TensorProto.DataType.Value(name)
    for name in "FLOAT FLOAT16 DOUBLE INT8 UINT8 INT16 UINT16 INT32 UINT32 INT64 UINT64 BOOL".split()
}
SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def taken(test):
    """Whether the test is one of those described above."""
    graph = test.model.graph
    for value in [*graph.input, *graph.output]:
        tensor = value.type.tensor_type
        if value.type.WhichOneof("value") != "tensor_type" or tensor.elem_type not in NUMBERS:
            return False
        if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
            return False
    inputs, outputs = test.data_sets[0]
    for array in map(array_of, [*inputs, *outputs]):
        if array.size == 0 or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            return False
    return True


def array_of(value):
    """Some tests carry tensors as they are in files."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def element(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return SPECIAL.get(str(value), value)
    return value


def tensors(values, arrays):
    def one(value, array):
        array = array_of(array)
        data = [element(x) for x in array.reshape(-1).tolist()]
        return {"name": value.name, "dtype": str(array.dtype), "shape": list(array.shape), "data": data}

    return [one(value, array) for value, array in zip(values, arrays, strict=True)]


def parameters(graph):
    """Names of the inputs that become initializers."""
    names = set()
    for node in graph.node:
        for position in PARAMETERS.get(node.op_type, []):
            if position < len(node.input):
                names.add(node.input[position])
    return names


def like(array, rng):
    """A random array of the same shape and spread; what is the same everywhere stays so."""
    low, high = array.min(), array.max()
    if low == high:
        return array
    if array.dtype.kind == "b":
        return rng.random(array.shape) < 0.5
    if array.dtype.kind == "f":
        return rng.uniform(low, high, array.shape).astype(array.dtype)
    drawn = rng.integers(low, high, array.shape, endpoint=True, dtype=array.dtype)
    # Perhaps they divide.
    return drawn if (array == 0).any() else np.where(drawn == 0, array, drawn)


def samples(model, given, count):
    """Random inputs that the model takes, with finite outputs; fewer where it is hard to find some."""
    rng, found = np.random.default_rng(zlib.crc32(model.SerializeToString())), []
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception:
        return found
    # Targets of a loss are classes, or what is ignored: of others ONNX's reference takes classes from the end, and onnxruntime none.
    targets = {node.input[1] for node in model.graph.node if node.op_type in LOSSES}

    def draw(name, array):
        return rng.choice(array.ravel(), array.shape) if name in targets else like(array, rng)

    for _ in range(10 * count):
        drawn = {value.name: draw(value.name, array_of(array)) for value, array in given}
        try:
            outputs = [np.asarray(output) for output in evaluator.run(None, drawn)]
        except Exception:  # It is an index out of bounds, or what else the operator does not take.
            continue
        if all(np.isfinite(array).all() for array in outputs if array.dtype.kind == "f"):
            found.append(drawn)
        if len(found) == count:
            break
    return found


def write(test, folder, count):
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    graph = model.graph
    inputs, outputs = test.data_sets[0]
    fixed = parameters(graph)
    kept = []
    for value, array in zip(list(graph.input), inputs, strict=True):
        if value.name in fixed:
            graph.initializer.append(numpy_helper.from_array(array_of(array), value.name))
        else:
            kept.append((value, array))
    del graph.input[:]
    graph.input.extend(value for value, _ in kept)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    given = tensors([value for value, _ in kept], [array for _, array in kept])
    (folder / "input.json").write_text(json.dumps({"inputs": given}))
    drawn = samples(model, kept, count) if count and kept else []
    if drawn:
        lines = (json.dumps({"inputs": tensors([value for value, _ in kept], sample.values())}) for sample in drawn)
        (folder / "samples.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "expected.json").write_text(json.dumps({"outputs": tensors(graph.output, outputs)}))


def sample(tests):
    """The smallest test of each operator: what the repository keeps."""
    by_operator = {}
    for test in tests:
        operators = [node.op_type for node in test.model.graph.node if node.op_type != "Constant"]
        by_operator.setdefault(operators[0] if operators else "Constant", []).append(test)

    def size(test):
        inputs, outputs = test.data_sets[0]
        return test.model.ByteSize() + 8 * sum(array_of(a).size for a in [*inputs, *outputs])

    kept = []
    for tests in by_operator.values():
        smallest = sorted(tests, key=lambda test: (size(test), test.name))[:1]
        kept += [test for test in smallest if size(test) < 20_000]
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--expanded", action="store_true", help="only the expanded functions")
    parser.add_argument("--only", nargs="*", help="only these tests")
    parser.add_argument("--sample", action="store_true", help="the smallest test of each operator")
    parser.add_argument("--samples", type=int, default=0, metavar="N", help="calibrate on N other inputs")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tests = []
    for test in load_model_tests(kind="node"):
        test.name = test.name.removeprefix("test_")
        chosen = ("expanded" in test.name) == options.expanded if options.only is None else test.name in options.only
        if chosen and taken(test):
            tests.append(test)
    if options.sample:
        tests = sample(tests)
    for test in tests:
        write(test, options.folder / test.name, options.samples)
    print(f"{len(tests)} cases in {options.folder}")


if __name__ == "__main__":
    main()
