"""What is right: onnxruntime, without its graph optimisations. A node for which it has no kernel is evaluated by ONNX's reference."""

import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

from models import constants, labels_of, read_by, single, with_outputs

onnxruntime.set_default_logger_severity(4)
warnings.simplefilter("ignore")


class Undefined(Exception):
    """The oracle gives no result: an index out of bounds, a division of integers by zero, an operator that nobody has."""


class Oracle:
    """A model that can be run. `outputs` are names of any of its values; its own outputs unless given."""

    def __init__(self, model, outputs=None):
        if outputs is not None:
            model = with_outputs(model, outputs)
        self.outputs = [value.name for value in model.graph.output]
        self.runtime = Runtime.of(model) or Stepwise(model)

    @property
    def is_onnxruntime(self):
        return isinstance(self.runtime, Runtime)

    def run(self, inputs):
        """Values by name."""
        return dict(zip(self.outputs, self.runtime.run(self.outputs, inputs), strict=True))


class Runtime:
    """A session of onnxruntime."""

    def __init__(self, session, labels):
        self.session, self.labels = session, labels

    @classmethod
    def of(cls, model):
        """None where a kernel is missing."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        labels = {node.output[0]: labels_of(node) for node in model.graph.node if node.op_type == "ZipMap"}
        try:
            return cls(onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), labels)
        except Exception as unsupported:
            message = str(unsupported)
            if "NOT_IMPLEMENTED" in message or "opset" in message or "is not a registered function/op" in message:
                return None
            raise

    def run(self, names, inputs):
        try:
            return [self.array(name, result) for name, result in zip(names, self.session.run(names, inputs), strict=True)]
        except Exception as refused:
            raise Undefined(str(refused)) from refused


    def array(self, name, result):
        """A result; of maps the scores, in the order of the labels."""
        if name in self.labels:
            result = [[scores[label] for label in self.labels[name]] for scores in result]
            return np.array(result, dtype=np.float32)
        return np.asarray(result)


# What ONNX's reference evaluator computes otherwise than ONNX says: LRN of the first channels only, as many as there are images; a sum in place of
# a sum of magnitudes in the norm of LpNormalization with `p` 1.
MISTAKEN = {"LRN", "LpNormalization"}


class Reference:
    """ONNX's reference evaluator, for a model of one node."""

    def __init__(self, model):
        operator = model.graph.node[0].op_type
        if operator in MISTAKEN:
            raise Undefined(f"the reference is mistaken about {operator}")
        # numpy promotes where ONNX does not.
        inferred = onnx.shape_inference.infer_shapes(model).graph.output
        self.dtypes = {v.name: helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in inferred if v.type.tensor_type.elem_type}
        try:
            self.evaluator = ReferenceEvaluator(model)
        except Exception as unsupported:
            raise Undefined(f"neither onnxruntime nor the reference has it: {unsupported}") from unsupported

    def run(self, names, inputs):
        try:
            results = zip(names, self.evaluator.run(names, inputs), strict=True)
            return [np.asarray(result, dtype=self.dtypes.get(name)) for name, result in results]
        except Exception as refused:
            raise Undefined(str(refused)) from refused


class Stepwise:
    """Node after node, each by whoever has it."""

    def __init__(self, model):
        self.model, self.constants, self.steps = model, constants(model), {}

    def run(self, names, inputs):
        values = self.constants | inputs
        for number, node in enumerate(self.model.graph.node):
            given = {name: values[name] for name in sorted(read_by(node)) if name in values}
            if number not in self.steps:
                step = single(self.model, node, given)
                self.steps[number] = Runtime.of(step) or Reference(step)
            results = [name for name in node.output if name]
            values |= dict(zip(results, self.steps[number].run(results, given), strict=True))
        return [values[name] for name in names]
