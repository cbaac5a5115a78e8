"""Reductions, cumulative sums, orders, comparisons of floats."""

import numpy as np

from builder import Impossible
from families import idiom


def axes_of(b, x):
    count = b.between(1, min(2, x.rank))
    axes = sorted(b.rng.permutation(x.rank)[:count].tolist())
    return axes if b.chance(0.7) else [axis - x.rank for axis in axes]


@idiom(weight=7)
def reduction(b):
    operator = b.one_of(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"])
    x = b.within(b.real(fits=lambda v: v.rank > 0), 100.0)
    return b.reduce(operator, x, axes_of(b, x), keepdims=b.between(0, 1))


@idiom()
def log_sum_exp(b):
    x = b.within(b.real(fits=lambda v: v.rank > 0), b.one_of([3.0, 20.0]))
    return b.reduce("ReduceLogSumExp", x, [-1], keepdims=b.between(0, 1))


@idiom(weight=0.7)
def log_sum_exp_by_hand(b):
    x = b.within(b.real(rank=2), 20.0)
    top = b.reduce("ReduceMax", x, [1])
    total = b.reduce("ReduceSum", b.node("Exp", [b.node("Sub", [x, top])]), [1])
    return b.node("Add", [b.node("Log", [total]), top])


@idiom(weight=1.3)
def log_sum(b):
    x = b.above(b.within(b.real(rank=2), 10.0), 0.1)
    return b.reduce("ReduceLogSum", x, [1])


@idiom(weight=0.7)
def product(b):
    x = b.within(b.real(fits=lambda v: v.rank > 0 and v.shape[-1] <= 5), 2.0)
    return b.reduce("ReduceProd", x, [-1], keepdims=b.between(0, 1))


@idiom()
def variance(b):
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[1] > 1), 50.0)
    centred = b.node("Sub", [x, b.reduce("ReduceMean", x, [1])])
    return b.reduce("ReduceMean", b.node("Mul", [centred, centred]), [1])


@idiom(since=11)
def cumulative_sum(b):
    x = b.within(b.real(fits=lambda v: v.rank > 0), 50.0)
    attributes = {"exclusive": b.between(0, 1), "reverse": b.between(0, 1)} if b.chance(0.5) else {}
    return b.node("CumSum", [x, b.constant(np.int64(b.between(-x.rank, x.rank - 1)))], **attributes)


@idiom(since=26, weight=3)
def cumulative_product(b):
    x = b.within(b.real(fits=lambda v: v.rank > 0 and v.shape[-1] <= 6), 1.5)
    return b.node("CumProd", [x, b.constant(np.int64(-1))])


@idiom(weight=1.5)
def arg_extremum(b):
    x = b.real(fits=lambda v: v.rank > 0)
    attributes = {"select_last_index": 1} if b.opset >= 12 and b.chance(0.2) else {}
    return b.node(b.one_of(["ArgMax", "ArgMin", "ArgMax"]), [x], axis=b.between(0, x.rank - 1), keepdims=b.between(0, 1), **attributes)


@idiom(weight=1.5)
def top_k(b):
    x = b.real(fits=lambda v: v.rank > 0 and v.shape[-1] >= 2)
    k = b.between(1, min(4, x.shape[-1]))
    attributes = {"largest": b.between(0, 1)} if b.opset >= 11 else {}
    if b.opset < 10:
        return b.node("TopK", [x], outputs=2, axis=-1, k=k)
    return b.node("TopK", [x, b.ints(k)], outputs=2, axis=-1, **attributes)


@idiom(weight=1.5)
def hardmax(b):
    x = b.real(rank=2, fits=lambda v: v.shape[1] > 1)
    return b.node("Hardmax", [x], axis=1)


@idiom(weight=2)
def comparison(b):
    x = b.real(fits=lambda v: v.rank > 0)
    operators = ["Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if b.opset >= 12 else [])
    y = b.real(shape=x.shape) if b.chance(0.4) else b.constant(b.rng.uniform(-0.5, 0.5) * x.magnitude)
    return b.node(b.one_of(operators), [x, y])


@idiom(weight=2)
def select(b):
    """Where a comparison holds one value, elsewhere another."""
    flags = comparison(b)
    x, y = b.real(shape=flags.shape), b.real(shape=flags.shape) if b.chance(0.5) else b.constant(b.rng.uniform(-1, 1))
    return b.node("Where", [flags, x, y])


@idiom()
def threshold_as_float(b):
    return b.cast(comparison(b), b.real_type)


@idiom()
def masked_by_flags(b):
    x = b.real(fits=lambda v: v.rank > 0)
    return b.node("Where", [b.boolean(shape=x.shape), x, b.constant(0.0)])


@idiom()
def rounded_to_integers(b):
    x = b.within(b.real(), 20.0)
    operator = b.one_of(["Floor", "Ceil", "Round", None])
    if operator == "Round" and b.opset < 11:
        raise Impossible("Round is of opset 11")
    y = b.node(operator, [x]) if operator else x
    return b.cast(y, b.one_of([np.int32, np.int64, np.int8]))


@idiom(weight=0.7)
def relu_as_comparison(b):
    x = b.real()
    return b.node("Mul", [x, b.cast(b.node("Greater", [x, b.constant(0.0)]), b.real_type)])


@idiom(weight=0.7)
def is_positive(b):
    x = b.real()
    return b.node("Not", [b.node("Less", [x, b.constant(0.0)])])


@idiom(weight=4)
def not_finite(b):
    """As torch.nan_to_num, and as guards of half precision."""
    x = b.real()
    operator = "IsNaN" if b.opset < 10 or b.chance(0.5) else "IsInf"
    return b.node("Where", [b.node(operator, [x]), b.constant(0.0), x])
