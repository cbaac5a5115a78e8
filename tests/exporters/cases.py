"""Cases: an exported model with samples, inputs that are none of them, and what onnxruntime makes of those, as `zkiln conformance` reads them."""

import json
import shutil
from itertools import islice

import numpy as np
import onnx

import tensors
from catalogue import drawn
from oracle import Oracle

SAMPLES, TESTS = 8, 3
# Among so many inputs those are looked for whose classes are decided.
MOST_DRAWN = 200
# Of the spread, as that of `zkiln conformance`.
TOLERANCE = 0.01
# Digits of inputs: few keep files short, and onnxruntime is given the same numbers.
DIGITS = 5
FILES = ("model.onnx", "samples.jsonl", "tests.jsonl", "tests.expected.jsonl")


def write(folder, model_bytes, inputs, seed):
    """A case: its folder is there when it is complete."""
    rng = np.random.default_rng([seed, 1])
    model = onnx.load_from_string(model_bytes)
    read = [value.name for value in model.graph.input]
    kept = {name: draw for name, draw in inputs.items() if name in read}
    oracle = Oracle(model)
    runs = (run(oracle, kept, rng) for _ in range(MOST_DRAWN))
    taken = list(islice((one for one in runs if decided(one[1])), SAMPLES + TESTS))
    if len(taken) < SAMPLES + TESTS:
        raise ValueError(f"of {MOST_DRAWN} inputs, {len(taken)} have decided classes")
    given, expected = zip(*taken)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "model.onnx").write_bytes(model_bytes)
    for file, side, many in zip(FILES[1:], ("inputs", "inputs", "outputs"), (given[:SAMPLES], given[SAMPLES:], expected[SAMPLES:])):
        (unfinished / file).write_text("".join(line(side, arrays) for arrays in many))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def run(oracle, inputs, rng):
    """An input, and what is right for it."""
    given = {name: rounded(array) for name, array in drawn(inputs, rng).items()}
    return given, oracle.run(given)


def decided(outputs):
    """Whether classes are told apart by more than scores have to be right: the two greatest of a row are not nearer to each other."""
    labels = {array.shape for array in outputs.values() if array.dtype.kind in "iu" and array.ndim == 1}
    for scores in outputs.values():
        if scores.dtype.kind == "f" and scores.ndim == 2 and scores.shape[1] > 1 and scores.shape[:1] in labels:
            ordered = np.sort(scores, axis=1)
            if (ordered[:, -1] - ordered[:, -2]).min() < 2 * TOLERANCE * np.ptp(scores):
                return False
    return True


def rounded(array):
    """Floats with few digits."""
    if array.dtype.kind != "f":
        return array
    return np.array([f"{x:.{DIGITS}g}" for x in array.reshape(-1)], array.dtype).reshape(array.shape)


def line(side, arrays):
    """Arrays as a line of JSON, floats with the digits that tell them apart from others of their type."""

    def data(array):
        flat = array.reshape(-1)
        return [tensors.element(x) for x in (flat.astype(str).astype(float) if array.dtype.kind == "f" else flat).tolist()]

    ports = [{"name": n, "dtype": str(a.dtype), "shape": list(a.shape), "data": data(a)} for n, a in arrays.items()]
    return json.dumps({side: ports}, separators=(",", ":")) + "\n"


def size(folder):
    """Bytes of a case."""
    return sum((folder / file).stat().st_size for file in FILES)
