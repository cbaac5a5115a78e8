"""Mutates ONNX files, and holds that zkiln refuses each one by name, or computes what onnxruntime does.

    python3 -m venv v && v/bin/pip install -r tests/conformance/requirements.txt
    v/bin/python tests/conformance/mutated_models.py target/release/zkiln [--count 100] [--seed 1] [--only TEXT] [--keep FOLDER]

Twenty models of this repository, `--count` mutations of each: one or two changes that know what an ONNX file is made of (an attribute, a type, a
shape, an index, a name, the order, a part that is missing or there twice). Counted are

    refused     exit code 2 within two seconds, without a panic in its words
    right       what onnxruntime computes, within 1 % of the output's range or 0.2 % of its greatest value; integers exactly
    undefined   accepted, while onnxruntime has no kernel for it, does not know the opset yet, or crashes

and all else is a find: ACCEPTED (onnxruntime calls the file malformed), WRONG, CRASH, HANG, SLOW. Exit code 1 if there is one; with --keep they are
written to a folder.
"""

import argparse
import copy
import json
import multiprocessing
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import AttributeProto, TensorProto

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASES = """models/tiny_mlp.onnx models/tiny_score.onnx models/digits_mlp.onnx cases/basic_conv_without_padding cases/if cases/loop11 cases/scan9_scalar
cases/lstm_defaults cases/gather_elements_0 cases/scatter_elements_with_axis cases/top_k_same_values cases/slice_neg_steps cases/gathernd_example_int32
cases/layer_normalization_2d_axis1 cases/qlinearconv ml/dtc_0 ml/QDQ_pc_u8s8_0 microsoft/attention microsoft/matmul_4_bits
microsoft/qlinear_concat""".split()
OPERATORS = """Add Mul Div Conv MatMul Gemm Gather GatherND Relu Reshape Concat Softmax Slice Transpose Squeeze Unsqueeze Pad Where TopK Cast Loop If LSTM
Split Expand Tile CumSum Einsum ReduceSum ScatterND SequenceAt""".split()
NUMBERS = [-(2**62), -100, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**62]
SECONDS = 40
NUMPY = {"float": np.float32, "double": np.float64, "float16": np.float16, "bool": np.bool_}
NUMPY |= {f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)}


def names(graph):
    written = [name for node in graph.node for name in node.output]
    return written + [port.name for port in graph.input] + [tensor.name for tensor in graph.initializer]


class Mutator:
    """Each method changes a model, or says with `False` that there is nothing of its kind to change."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def mutate(self, model):
        kinds = [name for name in vars(Mutator) if name.startswith("change_")]
        done = []
        while len(done) < self.random.choice([1, 1, 1, 2]):
            kind = self.random.choice(kinds)
            if model.graph.node and getattr(self, kind)(model, model.graph) is not False:
                done.append(kind.removeprefix("change_"))
        return done

    def node(self, graph):
        return self.random.choice(list(graph.node))

    def change_attribute(self, model, graph):
        node = self.node(graph)
        if not node.attribute:
            return False
        attribute, number = self.random.choice(list(node.attribute)), self.random.choice(NUMBERS)
        if attribute.type == AttributeProto.INT:
            attribute.i = number
        elif attribute.type == AttributeProto.INTS:
            if attribute.ints:
                attribute.ints[self.random.randrange(len(attribute.ints))] = number
            else:
                attribute.ints.append(number)
        elif attribute.type == AttributeProto.FLOAT:
            attribute.f = self.random.choice([0.0, -1.0, 1e30, float("nan")])
        elif attribute.type == AttributeProto.FLOATS and attribute.floats:
            attribute.floats[self.random.randrange(len(attribute.floats))] = self.random.choice([0.0, 1e30, float("nan")])
        elif attribute.type == AttributeProto.STRING:
            attribute.s = self.random.choice([b"", b"OTHER", b"LEFT", b"linear"])
        else:
            return False

    def change_attribute_type(self, model, graph):
        node = self.node(graph)
        if not node.attribute:
            return False
        self.random.choice(list(node.attribute)).type = self.random.choice([1, 2, 3, 4, 5, 6, 7])

    def change_missing_attribute(self, model, graph):
        node = self.node(graph)
        if not node.attribute:
            return False
        del node.attribute[self.random.randrange(len(node.attribute))]

    def change_doubled_attribute(self, model, graph):
        node = self.node(graph)
        if not node.attribute:
            return False
        node.attribute.append(self.random.choice(list(node.attribute)))

    def change_doubled_node(self, model, graph):
        graph.node.append(copy.deepcopy(self.node(graph)))

    def change_missing_node(self, model, graph):
        graph.node.remove(self.node(graph))

    def change_order(self, model, graph):
        nodes = list(graph.node)
        self.random.shuffle(nodes)
        del graph.node[:]
        graph.node.extend(nodes)

    def change_operand(self, model, graph):
        node = self.node(graph)
        if not node.input:
            return False
        node.input[self.random.randrange(len(node.input))] = self.random.choice([*names(graph), "", "nothing"])

    def change_more_operands(self, model, graph):
        self.node(graph).input.append(self.random.choice(names(graph)))

    def change_missing_operand(self, model, graph):
        node = self.node(graph)
        if not node.input:
            return False
        del node.input[self.random.randrange(len(node.input))]

    def change_operator(self, model, graph):
        self.node(graph).op_type = self.random.choice(OPERATORS)

    def change_domain(self, model, graph):
        self.node(graph).domain = self.random.choice(["", "ai.onnx.ml", "com.microsoft", "vendor.x"])

    def change_input_type(self, model, graph):
        if not graph.input:
            return False
        port = self.random.choice(list(graph.input))
        port.type.tensor_type.elem_type = self.random.choice([1, 2, 3, 6, 7, 9, 10, 11, 16, 22])

    def change_input_shape(self, model, graph):
        port = self.random.choice(list(graph.input) or [None])
        dims = port.type.tensor_type.shape.dim if port else []
        if not dims:
            return False
        dims[self.random.randrange(len(dims))].dim_value = self.random.choice([0, 1, 2, 3, 5, 10**6, 2**40])

    def change_dims(self, model, graph):
        if not graph.initializer:
            return False
        tensor = self.random.choice(list(graph.initializer))
        if tensor.dims:
            tensor.dims[self.random.randrange(len(tensor.dims))] = self.random.choice([0, 1, 2, -1, 1000, 2**40])
        else:
            tensor.dims.append(self.random.choice([0, 1, 2]))

    def change_data(self, model, graph):
        if not graph.initializer:
            return False
        tensor = self.random.choice(list(graph.initializer))
        if tensor.raw_data:
            tensor.raw_data = tensor.raw_data[: self.random.randrange(len(tensor.raw_data))]
        elif tensor.int64_data:
            tensor.int64_data[0] = self.random.choice(NUMBERS)
        elif tensor.float_data:
            del tensor.float_data[-1]

    def change_index(self, model, graph):
        whole = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT64 and tensor.raw_data]
        if not whole:
            return False
        tensor = self.random.choice(whole)
        values = np.frombuffer(tensor.raw_data, np.int64).copy()
        values[self.random.randrange(len(values))] = self.random.choice(NUMBERS)
        tensor.raw_data = values.tobytes()

    def change_stored_type(self, model, graph):
        if not graph.initializer:
            return False
        tensor = self.random.choice(list(graph.initializer))
        tensor.data_type = self.random.choice([1, 2, 3, 6, 7, 9, 10, 11, 16, 17, 21, 22])

    def change_missing_initializer(self, model, graph):
        if not graph.initializer:
            return False
        del graph.initializer[self.random.randrange(len(graph.initializer))]

    def change_doubled_initializer(self, model, graph):
        if not graph.initializer:
            return False
        graph.initializer.append(self.random.choice(list(graph.initializer)))

    def change_output(self, model, graph):
        graph.output[0].name = self.random.choice([*names(graph), "nothing"])

    def change_output_type(self, model, graph):
        graph.output[0].type.tensor_type.elem_type = self.random.choice([1, 6, 7, 9, 10, 11])

    def change_output_shape(self, model, graph):
        dims = graph.output[0].type.tensor_type.shape.dim
        if not dims:
            return False
        dims[self.random.randrange(len(dims))].dim_value = self.random.choice([1, 2, 3, 100])

    def change_result(self, model, graph):
        node = self.node(graph)
        node.output[self.random.randrange(len(node.output))] = self.random.choice([*names(graph), "", "new"])

    def change_opset(self, model, graph):
        model.opset_import[0].version = self.random.choice([0, 1, 5, 7, 10, 12, 18, 22, 99])


def base(name):
    """A model and the file of its input."""
    path = ROOT / name if name.startswith("models/") else ROOT / "tests/conformance" / name
    if path.is_dir():
        return path / "model.onnx", path / "input.json"
    return path, None


def given(model, path, seed):
    """The tensors of a base's input, which mutated models are given as well."""
    if path:
        return json.loads(path.read_text())["inputs"]
    stored = {tensor.name for tensor in model.graph.initializer}
    rng, tensors = np.random.default_rng(seed), []
    for port in model.graph.input:
        if port.name not in stored:
            shape = [dim.dim_value or 1 for dim in port.type.tensor_type.shape.dim]
            data = rng.uniform(-1, 1, shape).astype(np.float32).ravel().tolist()
            tensors.append({"name": port.name, "dtype": "float32", "shape": shape, "data": data})
    return tensors


def number(value):
    return float(value) if not isinstance(value, str) else float(value.replace("Infinity", "inf"))


def agrees(output, right):
    """Whether an output is what onnxruntime gives."""
    right = np.asarray(right)
    if list(right.shape) != list(output["shape"]):
        return False
    have = np.array([number(value) for value in output["data"]])
    want = right.astype(np.float64).ravel()
    if right.dtype.kind in "iub":
        return bool((have == want).all())
    finite = want[np.isfinite(want)]
    slack = max(0.01 * np.ptp(finite), 0.002 * max(np.abs(finite).max(), 1e-6)) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        same = (have == want) | (np.isnan(have) & np.isnan(want)) | (np.abs(have - want) <= slack)
    return bool(same.all())


def runtime(path, tensors, outputs):
    """The verdict of onnxruntime on outputs."""
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = {}
        for port in session.get_inputs():
            tensor = next(tensor for tensor in tensors if tensor["name"] == port.name)
            of = NUMPY[port.type.removeprefix("tensor(").rstrip(")")]
            feeds[port.name] = np.array([number(x) for x in tensor["data"]]).reshape(tensor["shape"]).astype(of)
        results = session.run(None, feeds)
    except Exception as error:  # Whatever it is, its words say it.
        undefined = ["NOT_IMPLEMENTED", "under development", "Could not find an implementation"]
        return ("undefined" if any(words in str(error) for words in undefined) else "ACCEPTED"), str(error)
    by_name = {output["name"]: output for output in outputs}
    wrong = [port.name for port, right in zip(session.get_outputs(), results) if not agrees(by_name[port.name], right)]
    return ("WRONG", ", ".join(wrong)) if wrong else ("right", "")


def apart(path, tensors, outputs):
    """The verdict of onnxruntime, which some files crash, in a process of its own."""

    def tell(sender):
        sender.send(runtime(path, tensors, outputs))

    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=tell, args=(sender,))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return "undefined", "onnxruntime crashes"
    finally:
        process.join()


def judge(binary, path, inputs, tensors):
    """The verdict on a mutated model, and its words."""
    began = time.monotonic()
    command = [binary, "check", path, "--input", inputs, "--json"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "HANG", f"over {SECONDS} s"
    seconds, said = time.monotonic() - began, (run.stderr + run.stdout).strip()
    if run.returncode not in (0, 1, 2) or any(words in said for words in ("panicked", "please report")):
        return "CRASH", said
    if run.returncode == 2:
        return ("refused" if seconds < 2 else "SLOW"), f"{seconds:.1f} s: {said}"
    try:
        outputs = json.loads(run.stdout)["outputs"]
    except (ValueError, KeyError):
        return "refused", said
    return apart(path, tensors, outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--count", type=int, default=100, help="mutations of each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="only models with this in their names")
    parser.add_argument("--keep", type=pathlib.Path, help="where finds are written")
    options = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in BASES:
            if options.only and options.only not in name:
                continue
            path, inputs = base(name)
            model = onnx.load(path)
            tensors = given(model, inputs, options.seed)
            (folder / "input.json").write_text(json.dumps({"inputs": tensors}))
            for at in range(options.count):
                mutated = onnx.ModelProto()
                mutated.CopyFrom(model)
                changes = Mutator(f"{options.seed} {name} {at}").mutate(mutated)
                target = folder / "model.onnx"
                target.write_bytes(mutated.SerializeToString())
                verdict, words = judge(options.binary, str(target), str(folder / "input.json"), tensors)
                counts[verdict] = counts.get(verdict, 0) + 1
                if verdict.isupper():
                    words = words[:300].replace("\n", " ")
                    print(f"{verdict} {name} {at} {'+'.join(changes)}: {words}", flush=True)
                    if options.keep:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        kept = f"{name.replace('/', '_').removesuffix('.onnx')}_{at}"
                        (options.keep / f"{kept}.onnx").write_bytes(target.read_bytes())
                        (options.keep / f"{kept}.json").write_bytes((folder / "input.json").read_bytes())
    print(counts)
    sys.exit(any(verdict.isupper() for verdict in counts))


if __name__ == "__main__":
    main()
