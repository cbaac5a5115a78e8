"""Small things about ONNX models that several modules need."""

import numpy as np
import onnx
from onnx import helper, numpy_helper


def typed(name, array):
    """The declaration of a value like an array."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(array.dtype)), list(array.shape))


def onnx_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def read_by(node):
    """Names that a node reads, in its graphs as well."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names |= {name for inner in attribute.g.node for name in read_by(inner)}
    return names


def constants(model):
    """Initializers and Constant nodes, by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    return found | {node.output[0]: numpy_helper.to_array(a.t) for node in nodes for a in node.attribute if a.name == "value"}


def with_outputs(model, names):
    """The model with these values as outputs; their types are inferred."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def single(model, node, given, initializers=()):
    """A model of one node of `model`: what it reads is `given`, arrays by name, or initializers."""
    inputs = [typed(name, array) for name, array in given.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "step", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def labels_of(node):
    """What a ZipMap calls its scores, in their order."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return attributes.get("classlabels_int64s") or [label.decode() for label in attributes["classlabels_strings"]]


def declared(name, array, nodes):
    """The declaration of an output of a graph: of a tensor, or of a ZipMap's maps, of which `array` has the scores in the order of the labels."""
    node = next((node for node in nodes if name in node.output), None)
    if node is None or node.op_type != "ZipMap":
        return typed(name, array)
    key = onnx.TensorProto.STRING if isinstance(labels_of(node)[0], str) else onnx.TensorProto.INT64
    score = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    return helper.make_value_info(name, helper.make_sequence_type_proto(helper.make_map_type_proto(key, score)))
