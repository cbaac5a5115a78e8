"""Recurrent layers, loops and branches."""

import numpy as np
from onnx import TensorProto, helper

from builder import Impossible
from families import idiom


def layer(b, operator, gates):
    x = b.within(b.real(rank=3, fits=lambda v: v.shape[0] <= 6), 5.0)
    length, batch, width = x.shape
    hidden = b.between(2, 6)
    direction = b.one_of(["forward", "forward", "reverse", "bidirectional"])
    d = 2 if direction == "bidirectional" else 1
    w = b.constant(b.rng.standard_normal((d, gates * hidden, width)) / np.sqrt(width), stem="w")
    r = b.constant(b.rng.standard_normal((d, gates * hidden, hidden)) / np.sqrt(hidden), stem="r")
    bias = b.constant(0.3 * b.rng.standard_normal((d, 2 * gates * hidden)), stem="b") if b.chance(0.8) else None
    state = b.constant(0.5 * b.rng.standard_normal((d, batch, hidden))) if b.chance(0.3) else None
    attributes = {"hidden_size": hidden, "direction": direction}
    if operator == "GRU":
        attributes["linear_before_reset"] = b.between(0, 1)
    outputs = 3 if operator == "LSTM" else 2
    y, *_ = b.node(operator, [x, w, r, bias, None, state], outputs=outputs, **attributes)
    if b.chance(0.5):
        y = b.node("Transpose", [y], perm=[0, 2, 1, 3])
        y = b.node("Reshape", [y, b.ints(length, batch, -1)])
    return y


@idiom(weight=1.5)
def gru(b):
    return layer(b, "GRU", 3)


@idiom(weight=1.5)
def lstm(b):
    return layer(b, "LSTM", 4)


@idiom()
def rnn(b):
    return layer(b, "RNN", 1)


def tensor(name, value):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape))


def flag(name):
    return helper.make_tensor_value_info(name, TensorProto.BOOL, [])


@idiom(since=11)
def branch(b):
    """If, by a constant or by what is computed."""
    x = b.within(b.real(rank=2), 20.0)
    condition = b.constant(np.array(b.chance(0.5)))
    if b.chance(0.5):
        condition = b.node("Greater", [b.reduce("ReduceSum", x, [0, 1], keepdims=0), b.constant(0.0)])
    result = tensor("result", x)
    then = helper.make_graph([helper.make_node("Tanh", [x.name], ["result"])], "then", [], [result])
    other = helper.make_graph([helper.make_node("Neg", [x.name], ["result"])], "else", [], [result])
    return b.node("If", [condition], captured=[x], then_branch=then, else_branch=other)


@idiom(since=11)
def loop(b):
    """A loop of a constant number of turns that carries a state."""
    x = b.within(b.real(rank=2), 5.0)
    turns = b.between(1, 4)
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "state"], ["square"]),
            helper.make_node("Tanh", ["square"], ["turned"]),
            helper.make_node("Add", ["turned", x.name], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []), flag("go"), tensor("state", x)],
        [flag("go_on"), tensor("next", x)],
    )
    return b.node("Loop", [b.constant(np.int64(turns)), b.constant(np.array(True)), x], captured=[x], body=body)


@idiom(since=11)
def scan(b):
    """A running sum along the first axis."""
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[0] <= 8), 20.0)
    row = helper.make_tensor_value_info
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype)
    width = [x.shape[1]]
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "row"], ["next"]), helper.make_node("Relu", ["next"], ["shown"])],
        "body",
        [row("sum", dtype, width), row("row", dtype, width)],
        [row("next", dtype, width), row("shown", dtype, width)],
    )
    start = b.constant(np.zeros(width))
    _, y = b.node("Scan", [start, x], outputs=2, num_scan_inputs=1, body=body)
    return y


@idiom(since=15, weight=3)
def optional(b):
    """A plain tensor where an optional one may stand."""
    if b.opset < 18:
        raise Impossible("plain tensors are of opset 18")
    x = b.real()
    if b.chance(0.5):
        return b.node("OptionalGetElement", [x])
    has = b.node("OptionalHasElement", [x])
    return b.node("Where", [has, x, b.constant(0.0)])
