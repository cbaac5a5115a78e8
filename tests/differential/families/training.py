"""Losses, and steps of optimisers."""

import numpy as np

from builder import Impossible
from families import idiom

DOMAIN = "ai.onnx.preview.training"


@idiom(since=12, weight=3)
def cross_entropy(b):
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[1] > 1), 10.0)
    target = b.whole(np.int64, shape=x.shape[:1], low=0, high=x.shape[1] - 1)
    reduction = b.one_of(["mean", "sum", "none"])
    if b.chance(0.4):
        return b.node("SoftmaxCrossEntropyLoss", [x, target], reduction=reduction)
    return b.node("NegativeLogLikelihoodLoss", [b.node("LogSoftmax", [x], axis=1), target], reduction=reduction)


@idiom()
def mean_squared_error(b):
    x = b.within(b.real(rank=2), 20.0)
    difference = b.node("Sub", [x, b.real(shape=x.shape)])
    return b.reduce("ReduceMean", b.node("Mul", [difference, difference]), [0, 1], keepdims=0)


@idiom(weight=2.5)
def optimizer_step(b):
    if b.real_type != np.float32:
        raise Impossible("float32 only")
    x = b.within(b.real(rank=2), 5.0)
    gradient = b.within(b.real(shape=x.shape), 5.0)
    rate, turn = b.constant(0.1, dtype=np.float32), b.constant(np.int64(b.between(0, 3)))
    zeros = b.constant(np.zeros(x.shape))
    operator = b.one_of(["Adagrad", "Momentum", "Adam"])
    if operator == "Adagrad":
        squares = b.node("Mul", [gradient, gradient])
        return b.node(operator, [rate, turn, x, gradient, squares], outputs=2, domain=DOMAIN, epsilon=0.01, decay_factor=0.1, norm_coefficient=0.001)
    if operator == "Momentum":
        attributes = {"alpha": 0.9, "beta": 0.5, "mode": b.one_of(["standard", "nesterov"]), "norm_coefficient": 0.001}
        return b.node(operator, [rate, turn, x, gradient, zeros], outputs=2, domain=DOMAIN, **attributes)
    return b.node(
        operator, [rate, turn, x, gradient, zeros, zeros], outputs=3, domain=DOMAIN, alpha=0.9, beta=0.99, epsilon=0.01, norm_coefficient=0.001
    )
