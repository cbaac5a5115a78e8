"""Functions whose domain the samples stay inside of, and other inputs may leave: there onnxruntime gives what is not a number, or infinity."""

import numpy as np

from families import idiom


def inside(b, least):
    """A value that is above `least` on all probes, and not by much."""
    x = b.within(b.real(fits=lambda v: v.rank > 0), 50.0)
    margin = 0.5 * (x.high - x.low) + 1e-2
    return b.node("Add", [x, b.constant(least - x.low + margin)])


@idiom()
def logarithm(b):
    return b.node("Log", [inside(b, 0.0)])


@idiom()
def root(b):
    return b.node("Sqrt", [inside(b, 0.0)])


@idiom()
def quotient(b):
    divisor = inside(b, 0.0)
    return b.node("Div", [b.constant(1.0) if b.chance(0.5) else b.real(shape=divisor.shape), divisor])


@idiom(weight=0.7)
def reciprocal(b):
    return b.node("Reciprocal", [inside(b, 0.0)])


@idiom(weight=0.7)
def inverse_sine(b):
    x = b.real()
    x = b.node("Mul", [x, b.constant(0.6 / max(x.magnitude, 1e-6))])
    return b.node(b.one_of(["Asin", "Acos", "Atanh"]), [x])


@idiom(weight=0.7)
def fractional_power(b):
    return b.node("Pow", [inside(b, 0.0), b.constant(b.one_of([0.5, 1.5, -1.0]))])


@idiom()
def exponential(b):
    """Large results that grow fast beyond the samples."""
    x = b.real()
    return b.node("Exp", [b.node("Mul", [x, b.constant(b.one_of([2.0, 6.0, 10.0]) / max(x.magnitude, 1e-6))])])


@idiom(weight=0.7)
def quiet_rows(b):
    """Rows of very different sizes, normalised."""
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[0] > 1 and v.shape[1] > 2), 20.0)
    sizes = b.constant(10 ** b.rng.uniform(-2, 1, (x.shape[0], 1)))
    x = b.node("Mul", [x, sizes])
    mean = b.reduce("ReduceMean", b.node("Mul", [x, x]), [1])
    return b.node("Div", [x, b.node("Sqrt", [b.node("Add", [mean, b.constant(np.float64(b.one_of([1e-5, 1e-12])))])])])
