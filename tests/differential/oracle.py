"""What is right: onnxruntime, without its graph optimisations; ONNX's reference evaluator where onnxruntime has no kernel."""

import warnings

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)
warnings.simplefilter("ignore")


class Undefined(Exception):
    """The oracle gives no result for this input: an index out of bounds, a division of integers by zero."""


class Oracle:
    """A model that can be run. `outputs` are names of any of its values; its own outputs unless given."""

    def __init__(self, model, outputs=None):
        if outputs is not None:
            model = with_outputs(model, outputs)
        self.outputs = [value.name for value in model.graph.output]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            self.name = "onnxruntime"
        except Exception as unsupported:
            if not lacks_kernel(str(unsupported)):
                raise
            self.session = reference(model)
            self.name = "reference"

    def run(self, inputs):
        """Values by name."""
        try:
            results = self.session.run(None, inputs)
        except Exception as refused:
            raise Undefined(str(refused)) from refused
        return dict(zip(self.outputs, map(np.asarray, results), strict=True))


def reference(model):
    try:
        return ReferenceEvaluator(model)
    except Exception as unsupported:
        raise Undefined(f"neither onnxruntime nor the reference has it: {unsupported}") from unsupported


def lacks_kernel(message):
    return "NOT_IMPLEMENTED" in message or "opset" in message or "is not a registered function/op" in message


def with_outputs(model, names):
    """The model with these values as outputs; their types are inferred."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy
