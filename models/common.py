"""What the scripts of this folder share: a small graph builder, and the files beside each model.

Weights come from a seed and nowhere else, so that running a script again gives the same bytes.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent
DTYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


class Builder:
    """Collects nodes and initialisers; every method returns the name of a value."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, kind, inputs, name, outputs=1, **attributes):
        names = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, graph_name, inputs, outputs, opset=17):
        """`inputs` and `outputs`: lists of (name, dtype, shape)."""

        def ports(which):
            return [helper.make_tensor_value_info(n, DTYPES[d], s) for n, d, s in which]

        graph = helper.make_graph(self.nodes, graph_name, ports(inputs), ports(outputs), self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        model.producer_name = "zkiln"
        onnx.checker.check_model(model, full_check=True)
        return model


def tensor(name, array):
    """One tensor in the file format of the command line: flat, row-major."""
    if array.dtype == np.float32 and not (array == np.round(array)).all():
        data = [float(np.format_float_positional(x, unique=True)) for x in array.reshape(-1)]
    else:
        data = [int(x) for x in array.reshape(-1)]
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def line(key, tensors, label=None):
    """`label`: the right answer, or a list of them, one for each row of the output."""
    content = {key: [tensor(n, a) for n, a in tensors.items()]}
    if label is not None:
        content["label"] = np.asarray(label).tolist()
    return json.dumps(content, separators=(",", ":")) + "\n"


def predictions(session, samples):
    """The index of the greatest element of each row of the first output: `[samples, rows]`."""
    name = session.get_outputs()[0].name
    outputs = [session.run([name], sample)[0] for sample in samples]
    return np.stack([output.argmax(-1).reshape(-1) for output in outputs])


def save(stem, model, sample, calibration, labels=None):
    """Writes the model, one sample input, what onnxruntime makes of it, and the calibration samples."""
    (FOLDER / f"{stem}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    labels = [None] * len(calibration) if labels is None else labels
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    expected = dict(zip(names, session.run(names, sample), strict=True))
    (FOLDER / f"{stem}.input.json").write_text(line("inputs", sample))
    (FOLDER / f"{stem}.expected.json").write_text(line("outputs", expected))
    (FOLDER / f"{stem}.samples.jsonl").write_text("".join(map(line, ["inputs"] * len(calibration), calibration, labels)))
    parameters = sum(int(np.prod(i.dims)) for i in model.graph.initializer if i.data_type == TensorProto.FLOAT)
    print(f"{stem}: {len(model.graph.node)} nodes, {parameters} float parameters")
    for name, value in expected.items():
        print(f"  {name} {list(value.shape)}: {value.min():.3f} to {value.max():.3f}, deviation {value.std():.3f}")
    return session
