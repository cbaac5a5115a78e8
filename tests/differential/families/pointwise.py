"""Functions of one element, and of two with broadcasting."""

import numpy as np

from families import idiom

# Operator, since, greatest magnitude of its operand, attributes.
FUNCTIONS = [
    ("Abs", 6, 1e4, {}),
    ("Acos", 7, 0.99, {}),
    ("Asin", 7, 0.99, {}),
    ("Asinh", 9, 100.0, {}),
    ("Atan", 7, 100.0, {}),
    ("Atanh", 9, 0.95, {}),
    ("Ceil", 6, 50.0, {}),
    ("Celu", 12, 10.0, {"alpha": 1.5}),
    ("Cos", 7, 10.0, {}),
    ("Cosh", 9, 5.0, {}),
    ("Elu", 6, 100.0, {"alpha": 0.7}),
    ("Erf", 9, 10.0, {}),
    ("Exp", 6, 6.0, {}),
    ("Floor", 6, 50.0, {}),
    ("Gelu", 20, 20.0, {}),
    ("Gelu", 20, 20.0, {"approximate": "tanh"}),
    ("HardSigmoid", 6, 10.0, {"alpha": 0.25, "beta": 0.4}),
    ("HardSwish", 14, 10.0, {}),
    ("LeakyRelu", 6, 1e3, {"alpha": 0.02}),
    ("Mish", 18, 10.0, {}),
    ("Neg", 6, 1e4, {}),
    ("Relu", 6, 1e4, {}),
    ("Round", 11, 50.0, {}),
    ("Selu", 6, 50.0, {}),
    ("Shrink", 9, 10.0, {"lambd": 0.3, "bias": 0.1}),
    ("Sigmoid", 6, 30.0, {}),
    ("Sign", 9, 1e3, {}),
    ("Sin", 7, 10.0, {}),
    ("Sinh", 9, 5.0, {}),
    ("Softplus", 1, 30.0, {}),
    ("Softsign", 1, 30.0, {}),
    ("Swish", 24, 20.0, {"alpha": 1.2}),
    ("Tan", 7, 1.3, {}),
    ("Tanh", 6, 10.0, {}),
    ("ThresholdedRelu", 10, 10.0, {"alpha": 0.4}),
]
RECENT = 14


@idiom(weight=36)
def function(b):
    known = [f for f in FUNCTIONS if f[1] <= b.opset]
    # Few opsets have them.
    recent = [f for f in known if f[1] >= RECENT]
    operator, _, most, attributes = b.one_of(recent if recent and b.chance(0.35) else known)
    x = b.within(b.real(), most)
    return b.node(operator, [x], **(attributes if b.chance(0.6) else {}))


@idiom(since=24, weight=1.5)
def swish(b):
    return b.node("Swish", [b.within(b.real(), 20.0)], alpha=b.one_of([1.0, 1.2]))


@idiom(weight=4.5)
def function_of_positive(b):
    operator, least = b.one_of([("Log", 0.02), ("Sqrt", 0.0), ("Reciprocal", 0.1), ("Acosh", 1.05)])
    x = b.above(b.within(b.real(), 100.0), least)
    return b.node(operator, [x])


@idiom()
def sqrt_of_square_sum(b):
    x, y = (b.within(v, 50.0) for v in pair(b))
    squares = b.node("Add", [b.node("Mul", [x, x]), b.node("Mul", [y, y])])
    return b.node("Sqrt", [b.node("Add", [squares, b.constant(b.one_of([1e-6, 1e-3, 1.0]))])])


@idiom(weight=2)
def gelu_by_erf(b):
    x = b.within(b.real(), 20.0)
    erf = b.node("Erf", [b.node("Div", [x, b.constant(np.sqrt(2))])])
    gate = b.node("Add", [erf, b.constant(1.0)])
    if b.chance(0.5):
        return b.node("Mul", [b.node("Mul", [x, gate]), b.constant(0.5)])
    return b.node("Mul", [b.node("Mul", [x, b.constant(0.5)]), gate])


@idiom(weight=2)
def gelu_by_tanh(b):
    x = b.within(b.real(), 12.0)
    cube = b.node("Pow", [x, b.constant(3.0)]) if b.chance(0.6) else b.node("Mul", [b.node("Mul", [x, x]), x])
    inner = b.node("Add", [x, b.node("Mul", [cube, b.constant(0.044715)])])
    gate = b.node("Add", [b.node("Tanh", [b.node("Mul", [inner, b.constant(np.sqrt(2 / np.pi))])]), b.constant(1.0)])
    return b.node("Mul", [b.node("Mul", [x, b.constant(0.5)]), gate])


@idiom()
def silu(b):
    x = b.within(b.real(), 30.0)
    return b.node("Mul", [x, b.node("Sigmoid", [x])])


@idiom()
def hard_swish(b):
    x = b.within(b.real(), 20.0)
    gate = b.clip(b.node("Add", [x, b.constant(3.0)]), 0, 6)
    return b.node("Mul", [x, b.node("Div", [gate, b.constant(6.0)])])


@idiom()
def mish(b):
    x = b.within(b.real(), 20.0)
    return b.node("Mul", [x, b.node("Tanh", [b.node("Softplus", [x])])])


@idiom()
def gated(b):
    """A gated linear unit by Split."""
    x = b.within(b.real(fits=lambda v: v.rank > 0 and v.shape[-1] % 2 == 0), 20.0)
    half = x.shape[-1] // 2
    value, gate = b.split(x, [half, half], x.rank - 1)
    return b.node("Mul", [value, b.node("Sigmoid", [gate])])


@idiom()
def prelu(b):
    x = b.real(fits=lambda v: v.rank > 0)
    shape = b.one_of([(1,), x.shape[-1:]] + ([(x.shape[1], 1, 1)] if x.rank == 4 else []))
    return b.node("PRelu", [x, b.constant(b.rng.uniform(-0.2, 0.5, shape))])


@idiom()
def clip(b):
    x = b.real()
    low, high = sorted(b.rng.uniform(-1, 1, 2) * max(x.magnitude, 1e-3))
    return b.clip(x, low if b.chance(0.8) else None, high)


@idiom()
def power(b):
    exponent = b.one_of([2.0, 3.0, 0.5, -1.0, 1.5, -0.5, 4.0])
    x = b.within(b.real(), 8.0)
    if exponent not in (2.0, 3.0, 4.0):
        x = b.above(x, 0.1)
    return b.node("Pow", [x, b.constant(exponent)])


@idiom(weight=0.5)
def power_of_values(b):
    base = b.within(b.above(b.real(), 0.2), 8.0)
    exponent = b.within(b.real(shape=base.shape), 2.0)
    return b.node("Pow", [base, exponent])


def pair(b):
    """Two operands that broadcast: of one shape, or a row, a column, a scalar against a tensor."""
    x = b.real(fits=lambda v: v.rank > 0)
    how = b.between(0, 4)
    if how <= 1:
        return x, b.real(shape=x.shape)
    if how == 2:
        return x, b.real(shape=x.shape[-1:])
    if how == 3:
        return x, b.real(shape=(*x.shape[:-1], 1))
    shape = b.one_of([(), (1,), x.shape[-1:], x.shape])
    return x, b.constant(b.magnitude_of(-1, 1) * b.rng.standard_normal(shape))


@idiom(weight=4)
def arithmetic(b):
    x, y = pair(b)
    if b.chance(0.3):
        x, y = y, x
    operator = b.one_of(["Add", "Sub", "Mul", "Max", "Min", "Add", "Mul"])
    if operator == "Mul":
        x, y = b.within(x, 200.0), b.within(y, 200.0)
    return b.node(operator, [x, y])


@idiom(weight=2)
def division(b):
    x, y = pair(b)
    return b.node("Div", [x, b.above(b.within(y, 50.0), b.one_of([0.1, 1e-2, 1.0]))])


@idiom(weight=4.5)
def of_several(b):
    x = b.real(fits=lambda v: v.rank > 0)
    operands = [x, b.real(shape=x.shape), b.real(shape=x.shape[-1:])][: b.between(1, 3)]
    return b.node(b.one_of(["Sum", "Mean", "Max", "Min"]), operands)


@idiom(since=10, weight=0.5)
def float_modulo(b):
    x = b.within(b.real(), 20.0)
    return b.node("Mod", [x, b.constant(b.one_of([1.0, 2.5, 3.0]))], fmod=1)


@idiom(weight=3)
def unchanged(b):
    x = b.real()
    return b.node(b.one_of(["Identity", "Dropout"]), [x])


@idiom(weight=0.7)
def interpolation(b):
    """A weighted mean of two values by a gate."""
    x = b.real()
    y = b.real(shape=x.shape)
    gate = b.node("Sigmoid", [b.within(b.real(shape=x.shape), 20.0)])
    rest = b.node("Sub", [b.constant(1.0), gate])
    return b.node("Add", [b.node("Mul", [gate, x]), b.node("Mul", [rest, y])])


@idiom(since=28, weight=3)
def swiglu(b):
    x = b.within(b.real(), 20.0)
    return b.node("SwiGLU", [x, b.within(b.real(shape=x.shape), 20.0)], alpha=1.0)
