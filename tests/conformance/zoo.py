"""How faithful zkiln is on a folder of models: ten inputs each, against onnxruntime.

    v/bin/python tests/conformance/zoo.py ZKILN FOLDER [MODEL...]

FOLDER has a folder a model with `model.onnx` and `input.json`. Inputs are made like the given one, from a fixed seed: floats with its mean
and deviation, integers and booleans shuffled. Eight of them calibrate, ten others are run (`zkiln run`: exactly the integers that are
proved). Printed are the median and the greatest of the errors relative to the output's range, and rows whose greatest element differs
although the float margin is above 1 % of the range.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import zlib

import numpy as np
import onnxruntime


def like(array, rng):
    if array.dtype.kind == "f":
        return (array.mean() + array.std() * rng.standard_normal(array.shape)).astype(array.dtype)
    return rng.permutation(array.reshape(-1)).reshape(array.shape)


def sample(tensors, rng):
    made = []
    for tensor in tensors:
        array = np.array(tensor["data"], dtype=tensor["dtype"]).reshape(tensor["shape"])
        # A mask is part of the setting.
        keep = "mask" in tensor["name"] or array.size and (array == array.reshape(-1)[0]).all()
        made.append((tensor["name"], array if keep else like(array, rng)))
    return made


def line(arrays):
    def one(name, array):
        data = [x if np.isfinite(x) else str(x) for x in array.reshape(-1).tolist()]
        return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "data": data}

    return json.dumps({"inputs": [one(*pair) for pair in arrays]})


def compare(expected, got):
    """Greatest error relative to the range; rows that disagree on a clear maximum."""
    worst, wrong = 0.0, 0
    for e, g in zip(expected, got, strict=True):
        e, g = np.asarray(e, dtype=np.float64), np.asarray(g, dtype=np.float64).reshape(np.shape(e))
        span = e.max() - e.min() or abs(e.max()) or 1.0
        worst = max(worst, float(abs(e - g).max() / span))
        if e.ndim and e.shape[-1] > 1:
            rows, made = e.reshape(-1, e.shape[-1]), g.reshape(-1, e.shape[-1])
            top = np.sort(rows, axis=-1)
            clear = top[:, -1] - top[:, -2] > 0.01 * span
            wrong += int((clear & (rows.argmax(-1) != made.argmax(-1))).sum())
    return worst, wrong


def measure(zkiln, folder):
    rng = np.random.default_rng(zlib.crc32(folder.name.encode()))
    tensors = json.loads((folder / "input.json").read_text())["inputs"]
    model = folder / "model.onnx"
    session = onnxruntime.InferenceSession(str(model))
    samples, tests = [sample(tensors, rng) for _ in range(8)], [sample(tensors, rng) for _ in range(10)]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "samples.jsonl").write_text("\n".join(map(line, samples)))
        (scratch / "tests.jsonl").write_text("\n".join(map(line, tests)))
        command = [zkiln, "run", model, "--samples", scratch / "samples.jsonl"]
        command += ["--inputs", scratch / "tests.jsonl", "--out", scratch / "out.jsonl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        lines = (scratch / "out.jsonl").read_text().splitlines()
    results = []
    for arrays, text in zip(tests, lines, strict=True):
        got = [tensor["data"] for tensor in json.loads(text)["outputs"]]
        expected = session.run(None, dict(arrays))
        results.append(compare(expected, got))
    errors = sorted(error for error, _ in results)
    median = (errors[4] + errors[5]) / 2
    return f"median {median:.3%}  greatest {errors[-1]:.3%}  other maxima {sum(w for _, w in results)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zkiln")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.folder.glob("*/model.onnx"))
    for folder in folders:
        if not options.models or folder.name in options.models:
            print(f"{folder.name:24} {measure(options.zkiln, folder)}", flush=True)


if __name__ == "__main__":
    main()
