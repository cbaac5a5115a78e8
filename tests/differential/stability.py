"""Which elements of the oracle's outputs say something.

A model may be ill-conditioned: then onnxruntime's own rounding decides its outputs, and a comparison measures nothing. And a model may decide
on floats (compare them, round them, rank them): where an operand lies closer to the threshold than floats are asked to be right, both answers
are right. So the model is run again, a few times, with

- every float that is computed or given disturbed by a few units of its type's precision, relative to itself;
- operands of a decision disturbed by as much of their reach as floats may be wrong (see compare.py), in any direction, unless they are exact:
  integers, or sums of products of integers, as in a quantised model, which owe nothing to rounding.

An element that then changes by more than its tolerance is *undecided* and is not compared. A continuous operator never gets the second kind of
disturbance: that a faithful implementation magnifies its error there is no excuse. Of TopK the order is decided on, not the values.
"""

import numpy as np
import onnx
from onnx import helper

from compare import TOLERANCE, reach, reaches
from models import constants, typed
from oracle import Oracle, Undefined

# Units of precision that an oracle's own arithmetic is off.
UNITS = 8
RUNS = 8

# What operands of a decision are disturbed by, relative to their reach. Some operators decide and pass their operand on as well: half of it, so
# that the disturbance itself is not taken for a decision.
NEAR = TOLERANCE
PASSING = {"Imputer", "ThresholdedRelu", "Shrink", "Mod", "GridSample", "MaxPool", "DynamicQuantizeLinear"}

COMPARISONS = dict.fromkeys(["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Mod"], (0, 1))
FIRST = """Imputer Round Floor Ceil Sign Hardmax QuantizeLinear DynamicQuantizeLinear ArgMax ArgMin TopK ThresholdedRelu Shrink Binarizer OneHotEncoder
LabelEncoder TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor LinearClassifier SVMClassifier MaxPool Cast CastLike GridSample""".split()
DECISIONS = COMPARISONS | dict.fromkeys(FIRST, (0,)) | {"GridSample": (1,)}

# Operators that keep exact what is exact.
EXACT = set(
    """Add Sub Mul Neg Abs Max Min Sum Relu Clip MatMul Gemm Conv ConvTranspose Einsum ReduceSum ReduceMax ReduceMin MaxPool GlobalMaxPool
    AveragePool GlobalAveragePool ReduceMean Where Round Floor Ceil Sign DequantizeLinear QuantizeLinear Cast Identity Reshape Transpose Flatten
    Squeeze Unsqueeze Concat Split Slice Gather GatherElements GatherND Expand Tile Pad ScatterND ScatterElements DepthToSpace SpaceToDepth
    ReverseSequence CumSum TopK OneHot Trilu Compress Dropout Upsample""".split()
)


class Disturbed:
    """A model and its disturbed copy."""

    def __init__(self, model):
        self.model = model
        values = [value.name for value in model.graph.input] + [name for node in model.graph.node for name in node.output if name]
        self.plain = Oracle(model, outputs=[name for name in values])
        self.constants = constants(model)

    def values(self, inputs):
        """Every value of the model."""
        return self.constants | self.plain.run(inputs)

    def undecided(self, inputs, outputs, typical, rng):
        """For each output the elements that are undecided; `typical` has the reach of every value in a typical sample."""
        values = self.values(inputs)
        exact = exact_values(self.model, values)
        scale = {name: max(typical.get(name, 0.0), reach(array)) for name, array in values.items()}
        copy, noise = disturbed(self.model, values, exact, scale)
        oracle = Oracle(copy)
        masks = {name: np.zeros(array.shape, dtype=bool) for name, array in outputs.items()}
        for _ in range(RUNS):
            drawn = {name: signs(size, rng) for name, size in noise.items()}
            try:
                results = oracle.run(inputs | drawn)
            except Undefined:
                # An index that is decided on floats leaves its bounds: nothing here is certain.
                return {name: np.ones(array.shape, dtype=bool) for name, array in outputs.items()}
            for name, array in outputs.items():
                masks[name] |= ~close(results[name], array, scale[name])
        return masks


def close(a, b, scale):
    if b.dtype.kind in "iub":
        return a == b
    with np.errstate(invalid="ignore"):
        return (a == b) | (np.isnan(a) & np.isnan(b)) | (abs(a.astype(float) - b.astype(float)) <= TOLERANCE * reaches(b, scale))


def signs(size, rng):
    return np.asarray(size * rng.choice([-1.0, 1.0], size.shape), dtype=size.dtype)


def exact_values(model, values):
    """Names of values that a faithful implementation computes exactly."""

    def whole(array):
        return array.dtype.kind in "iub" or bool(np.isfinite(array).all() and (array == np.round(array)).all() and (abs(array) < 2**24).all())

    exact = {name for name, array in values.items() if array.dtype.kind in "iub"}
    exact |= {tensor.name for tensor in model.graph.initializer if whole(values[tensor.name])}
    for node in model.graph.node:
        operands = [name for name in node.input if name]
        if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            operands = operands[:1]
        if node.op_type == "Constant":
            exact |= {name for name in node.output if name in values and whole(values[name])}
        elif node.op_type in EXACT and all(name in exact for name in operands):
            exact |= {name for name in node.output if name}
    return exact


def disturbed(model, values, exact, scale):
    """The model with additions of noise, and for each noise, which is an input, its size an element."""
    noise = {}

    def add(name, size):
        added = f"{name}/noise{len(noise)}"
        noise[added] = np.asarray(size, dtype=values[name].dtype)
        return helper.make_node("Add", [name, added], [f"{added}/sum"]), f"{added}/sum"

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes, renamed = [], {}
    outputs = {value.name for value in model.graph.output}

    def disturb(name):
        array = values[name]
        if array.dtype.kind == "f" and array.size:
            node, renamed[name] = add(name, UNITS * np.finfo(array.dtype).eps * np.where(np.isfinite(array), abs(array), 0))
            nodes.append(node)

    for value in model.graph.input:
        disturb(value.name)
    for node in copy.graph.node:
        operands, undisturbed = [renamed.get(name, name) for name in node.input], None
        for position in DECISIONS.get(node.op_type, ()):
            name = node.input[position] if position < len(node.input) else ""
            if name and values[name].dtype.kind == "f" and name not in exact and decides(node):
                share = NEAR / 2 if node.op_type in PASSING else NEAR
                added, noisy = add(name, np.where(is_replaced(node, values[name]), 0.0, share * scale[name]))
                added.input[0] = operands[position]
                nodes.append(added)
                undisturbed, operands[position] = operands[position], noisy
        node.input[:] = operands
        nodes.append(node)
        if node.op_type == "TopK" and undisturbed and opset(model) >= 11:
            nodes.append(in_order(node, undisturbed))
        for name in node.output:
            if name and name in values and name not in outputs and node.op_type != "Constant":
                disturb(name)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.input.extend(typed(name, size) for name, size in noise.items())
    return copy, noise


def is_replaced(node, array):
    """What an Imputer replaces: it is certain to equal a number that it equals."""
    if node.op_type != "Imputer":
        return np.zeros(array.shape, dtype=bool)
    return array == np.float32(next((a.f for a in node.attribute if a.name == "replaced_value_float"), 0.0))


def in_order(node, values):
    """The first result of a TopK as what its order, the second, selects from `values`: they are no part of the decision."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
    result, node.output[0] = node.output[0], f"{node.output[0]}/disturbed"
    return helper.make_node("GatherElements", [values, node.output[1]], [result], axis=axis)


def opset(model):
    return next(imported.version for imported in model.opset_import if imported.domain == "")


def decides(node):
    """Whether the node decides at all: a cast between floats does not, nor a pool without indices."""
    attributes = {a.name: a for a in node.attribute}
    if node.op_type == "Cast":
        return attributes["to"].i not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    if node.op_type == "MaxPool":
        return len(node.output) > 1
    if node.op_type == "GridSample":
        return "mode" in attributes and attributes["mode"].s == b"nearest"
    return True
