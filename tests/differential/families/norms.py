"""Normalisation, as operators and written out; softmax and its kin."""

import numpy as np

from families import idiom

EPSILONS = [1e-5, 1e-5, 1e-6, 1e-3, 1e-12]


def channels(b, count, low=0.5, high=1.5):
    return b.constant(b.rng.uniform(low, high, count), stem="gamma")


@idiom(since=17, weight=2)
def layer_normalization(b):
    x = b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 2)
    axis = -1 if b.chance(0.8) else 1
    shape = x.shape[axis:]
    bias = b.constant(0.3 * b.rng.standard_normal(shape)) if b.chance(0.8) else None
    return b.node("LayerNormalization", [x, channels(b, shape), bias], axis=axis, epsilon=b.one_of(EPSILONS))


@idiom(weight=2)
def layer_norm_written_out(b):
    x = b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 2)
    mean = b.reduce("ReduceMean", x, [-1])
    centred = b.node("Sub", [x, mean])
    square = b.node("Pow", [centred, b.constant(2.0)]) if b.chance(0.7) else b.node("Mul", [centred, centred])
    variance = b.reduce("ReduceMean", square, [-1])
    deviation = b.node("Sqrt", [b.node("Add", [variance, b.constant(b.one_of(EPSILONS))])])
    y = b.node("Div", [centred, deviation])
    return b.node("Add", [b.node("Mul", [y, channels(b, x.shape[-1])]), b.bias(x.shape[-1])])


@idiom(since=23, weight=2)
def rms_normalization(b):
    x = b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 2)
    return b.node("RMSNormalization", [x, channels(b, x.shape[-1])], axis=-1, epsilon=b.one_of(EPSILONS))


@idiom(weight=1.5)
def rms_norm_written_out(b):
    x = b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 2)
    mean = b.reduce("ReduceMean", b.node("Pow", [x, b.constant(2.0)]), [-1])
    root = b.node("Sqrt", [b.node("Add", [mean, b.constant(b.one_of(EPSILONS))])])
    y = b.node("Mul", [x, b.node("Reciprocal", [root])]) if b.chance(0.6) else b.node("Div", [x, root])
    return b.node("Mul", [channels(b, x.shape[-1]), y])


@idiom()
def instance_normalization(b):
    x = b.real(rank=b.one_of([3, 4]), fits=lambda v: np.prod(v.shape[2:]) > 2)
    return b.node("InstanceNormalization", [x, channels(b, x.shape[1]), b.bias(x.shape[1])], epsilon=1e-5)


@idiom(since=21, weight=1.5)
def group_normalization(b):
    x = b.real(rank=4, fits=lambda v: v.shape[1] > 1)
    groups = b.one_of([g for g in (1, 2, 3) if x.shape[1] % g == 0])
    return b.node("GroupNormalization", [x, channels(b, x.shape[1]), b.bias(x.shape[1])], num_groups=groups)


@idiom()
def batch_normalization(b):
    x = b.real(rank=b.one_of([2, 3, 4]))
    c = x.shape[1]
    mean = b.constant(0.3 * max(x.magnitude, 0.1) * b.rng.standard_normal(c))
    variance = b.constant((max(x.magnitude, 0.1) * b.rng.uniform(0.2, 1.0, c)) ** 2)
    return b.node("BatchNormalization", [x, channels(b, c), b.bias(c), mean, variance], epsilon=1e-5)


@idiom(weight=3)
def lrn(b):
    x = b.within(b.real(rank=4), 10.0)
    return b.node("LRN", [x], size=b.one_of([3, 5]), alpha=b.one_of([1e-4, 0.5]), beta=0.75, bias=b.one_of([1.0, 2.0]))


@idiom(weight=2)
def lp_normalization(b):
    x = b.real(rank=2, fits=lambda v: v.shape[-1] > 1 and all((abs(p).max(-1) > 1e-3).all() for p in v.probes))
    return b.node("LpNormalization", [x], axis=-1, p=b.one_of([1, 2]))


@idiom(since=13, weight=1.5)
def mean_variance_normalization(b):
    x = b.real(rank=4, fits=lambda v: v.size > 4)
    return b.node("MeanVarianceNormalization", [x], axes=b.one_of([[0, 2, 3], [1, 2, 3], [2, 3]]))


@idiom(weight=1.5)
def l2_norm_by_hand(b):
    """As torch.nn.functional.normalize."""
    x = b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 1)
    norm = b.reduce("ReduceL2", x, [-1])
    if b.chance(0.7):
        norm = b.clip(norm, b.one_of([1e-12, 1e-6, 1e-2]), None)
    else:
        norm = b.node("Add", [norm, b.constant(1e-6)])
    return b.node("Div", [x, norm])


@idiom()
def standard_scaler(b):
    x = b.real(rank=2)
    mean, scale = np.mean(x.probes, axis=(0, 1)), np.std(x.probes, axis=(0, 1)) + 1e-3 * max(x.magnitude, 1e-3)
    return b.node("Div", [b.node("Sub", [x, b.constant(mean)]), b.constant(scale)])


@idiom()
def min_max_by_row(b):
    x = b.real(rank=2, fits=lambda v: v.shape[-1] > 2)
    low, high = b.reduce("ReduceMin", x, [1]), b.reduce("ReduceMax", x, [1])
    width = b.node("Add", [b.node("Sub", [high, low]), b.constant(b.one_of([1e-6, 1e-3]))])
    return b.node("Div", [b.node("Sub", [x, low]), width])


@idiom(weight=2)
def softmax(b):
    x = b.within(b.real(rank=b.between(2, 4)), b.one_of([5.0, 20.0, 100.0]))
    axis = -1 if b.opset >= 13 and b.chance(0.8) else x.rank - 1 if b.opset < 13 else b.between(0, x.rank - 1)
    return b.node("Softmax", [x], axis=axis)


@idiom(weight=1.5)
def softmax_by_hand(b):
    x = b.within(b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 1), 20.0)
    if b.chance(0.7):
        x = b.node("Sub", [x, b.reduce("ReduceMax", x, [-1])])
    else:
        x = b.within(x, 4.0)
    e = b.node("Exp", [x])
    return b.node("Div", [e, b.reduce("ReduceSum", e, [-1])])


@idiom(weight=1.5)
def log_softmax(b):
    x = b.within(b.real(rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 1), b.one_of([5.0, 30.0]))
    if b.chance(0.7):
        return b.node("LogSoftmax", [x], axis=x.rank - 1)
    return b.node("Sub", [x, b.reduce("ReduceLogSumExp", x, [x.rank - 1])])


@idiom(weight=0.7)
def temperature(b):
    """Softmax of scores divided by a small temperature."""
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[-1] > 1), 3.0)
    return b.node("Softmax", [b.node("Div", [x, b.constant(b.one_of([0.1, 0.5, 2.0]))])], axis=1)
