"""Integers of all types and booleans: arithmetic that wraps, comparisons, bits, casts."""

import numpy as np

import ports
from builder import Impossible
from families import idiom
from models import onnx_type

SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]
ALL = SIGNED + UNSIGNED


def integers(b, dtypes=(np.int32, np.int64), rank=None, shape=None, most=None):
    """Some integers; a new input of a type now and then reaches the ends of its type."""
    dtype = np.dtype(b.one_of(list(dtypes)))
    found = b.find(
        lambda v: (
            v.dtype == dtype
            and v.rank > 0
            and v.size <= 300
            and (rank is None or v.rank == rank)
            and (shape is None or v.shape == tuple(shape))
            and (most is None or v.magnitude <= most)
        )
    )
    if found is not None:
        return found
    if len(b.ports) > 5:
        raise Impossible("enough inputs")
    info = np.iinfo(dtype)
    reach = 2**53 if b.chance(0.05) else b.one_of([5, 100, 1000, 10**5, 2**20, 2**31 - 1])
    if most is not None:
        reach = min(reach, most)
    reach = min(reach, info.max)
    shape = tuple(shape) if shape is not None else b.shape(b.between(1, 2) if rank is None else rank)
    low = 0 if info.min == 0 else max(-reach, info.min)
    return b.input(dtype, shape, ports.whole(shape, low, reach), "n")


def same_type(b, x):
    """A value or a constant of the type of `x` that broadcasts to it."""
    if b.chance(0.4):
        return integers(b, [x.dtype.type], shape=x.shape)
    info = np.iinfo(x.dtype)
    reach = min(b.one_of([3, 10, 200]), info.max)
    shape = b.one_of([(), x.shape[-1:], x.shape])
    return b.constant(b.rng.integers(0 if info.min == 0 else -min(reach, -info.min), reach, shape, endpoint=True), dtype=x.dtype)


@idiom(weight=2)
def arithmetic_of_integers(b):
    x = integers(b, [np.int32, np.int64, np.int32, np.int64, *ALL])
    return b.node(b.one_of(["Add", "Sub", "Mul", "Add"]), [x, same_type(b, x)])


@idiom(weight=1.5)
def division_of_integers(b):
    x = integers(b, [np.int32, np.int64, np.int32, np.int64, np.uint8, np.int8])
    d = b.constant(b.one_of([2, 3, 7, 10, 16]) * (b.one_of([1, 1, -1]) if x.dtype.kind == "i" else 1), dtype=x.dtype)
    return b.node("Div", [x, d])


@idiom(since=10, weight=1.5)
def modulo_of_integers(b):
    x = integers(b, [np.int32, np.int64, np.int32, np.int64, np.uint8, np.int8])
    d = b.constant(b.one_of([2, 3, 7, 10, 16]) * (b.one_of([1, 1, -1]) if x.dtype.kind == "i" else 1), dtype=x.dtype)
    return b.node("Mod", [x, d], fmod=b.one_of([None, 1]) if x.dtype.kind == "i" else None)


@idiom(weight=2)
def extremes_of_integers(b):
    x = integers(b, ALL)
    operators = {"Max": 2, "Min": 2} | ({"Abs": 1, "Sign": 1} if x.dtype.kind == "i" else {})
    operators |= {"Neg": 1} if x.dtype in (np.int8, np.int32, np.int64) else {}
    operator = b.one_of(list(operators))
    if operator in ("Max", "Min") and b.opset < 12:
        raise Impossible("of opset 12")
    return b.node(operator, [x, same_type(b, x)][: operators[operator]])


@idiom(since=12, weight=0.7)
def clip_of_integers(b):
    x = integers(b, [np.int8, np.uint8, np.int32, np.int64])
    low, high = (-3, 20) if x.dtype.kind == "i" else (2, 20)
    return b.clip(x, low, high)


@idiom(weight=2)
def comparison_of_integers(b):
    x = integers(b, [np.int32, np.int64, np.int32, np.int64, *ALL])
    operators = ["Equal", "Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if b.opset >= 12 else [])
    return b.node(b.one_of(operators), [x, same_type(b, x)])


@idiom(weight=6)
def logic(b):
    x = b.boolean()
    operator = b.one_of(["And", "Or", "Xor", "Not"])
    if operator == "Not":
        return b.node("Not", [x])
    return b.node(operator, [x, b.boolean(shape=x.shape)])


@idiom(weight=0.7)
def equal_of_booleans(b):
    x = b.boolean()
    return b.node("Equal", [x, b.boolean(shape=x.shape)])


@idiom(weight=2)
def cast_of_integers(b):
    x = integers(b, ALL)
    return b.cast(x, b.one_of([*ALL, bool, b.real_type]))


@idiom()
def cast_of_booleans(b):
    return b.cast(b.boolean(), b.one_of([np.int32, np.int64, np.uint8, b.real_type]))


@idiom(weight=1.5)
def integers_to_floats(b):
    """Integers that go into a network: cast and scaled."""
    x = integers(b, [np.int32, np.int64, np.uint8, np.int8])
    y = b.cast(x, b.real_type)
    return b.node("Mul", [y, b.constant(1 / max(x.magnitude, 1))])


@idiom(since=15, weight=2)
def cast_like(b):
    x = integers(b)
    return b.node("CastLike", [x, b.real()])


@idiom(weight=1.5)
def select_integers(b):
    x = integers(b)
    flags = b.boolean(shape=x.shape) if b.chance(0.5) else b.node("Greater", [x, b.constant(0, dtype=x.dtype)])
    return b.node("Where", [flags, x, same_type(b, x)])


@idiom(weight=0.7)
def cast_to_flags(b):
    return b.cast(integers(b, ALL) if b.chance(0.7) else b.real(), bool)


@idiom(since=11)
def bit_shift(b):
    x = integers(b, UNSIGNED[:3])
    return b.node("BitShift", [x, b.constant(b.rng.integers(0, 4, b.one_of([(), x.shape])), dtype=x.dtype)], direction=b.one_of(["LEFT", "RIGHT"]))


@idiom(since=18, weight=7)
def bitwise(b):
    if b.chance(0.3):
        return b.node("BitwiseNot", [integers(b, [np.int8, np.uint8, np.int16, np.uint16, np.int32])])
    x = integers(b, [np.int8, np.uint8, np.int16, np.uint16])
    return b.node(b.one_of(["BitwiseAnd", "BitwiseOr", "BitwiseXor"]), [x, same_type(b, x)])


@idiom(since=26, weight=3)
def bit_cast(b):
    x = integers(b, [np.int32, np.uint8, np.int8, np.uint32])
    other = {"int32": np.uint32, "uint32": np.int32, "int8": np.uint8, "uint8": np.int8}[x.dtype.name]
    return b.node("BitCast", [x], to=onnx_type(other))


@idiom()
def reduction_of_integers(b):
    x = integers(b, [np.int32, np.int64])
    return b.reduce(b.one_of(["ReduceSum", "ReduceMax", "ReduceMin"]), x, [-1], keepdims=b.between(0, 1))


@idiom(weight=0.7)
def product_of_integers(b):
    x = integers(b, [np.int32, np.int64], shape=(b.between(1, 4), b.between(2, 4)), most=20)
    return b.reduce("ReduceProd", x, [-1])


@idiom(since=11)
def cumulative_sum_of_integers(b):
    x = integers(b, [np.int32, np.int64])
    return b.node("CumSum", [x, b.constant(np.int64(-1))], exclusive=b.between(0, 1), reverse=b.between(0, 1))


@idiom()
def arg_extremum_of_integers(b):
    x = integers(b, [np.int32, np.int64])
    return b.node(b.one_of(["ArgMax", "ArgMin"]), [x], axis=-1 if b.opset >= 11 else x.rank - 1, keepdims=b.between(0, 1))


@idiom(since=11)
def top_k_of_integers(b):
    x = integers(b, [np.int32, np.int64])
    return b.node("TopK", [x, b.ints(min(2, x.shape[-1]))], outputs=2, axis=-1)


@idiom(since=9)
def product_of_integer_matrices(b):
    x = integers(b, [np.int32, np.int64], rank=2, most=1000)
    w = b.constant(b.rng.integers(-5, 5, (x.shape[1], b.between(1, 6)), endpoint=True), dtype=x.dtype)
    return b.node("MatMul", [x, w])


@idiom()
def count_of_hits(b):
    """How many elements hold something: Cast and ReduceSum of flags."""
    flags = b.boolean(rank=2)
    return b.reduce("ReduceSum", b.cast(flags, np.int64), [1], keepdims=0)


@idiom()
def hashed(b):
    """A bucket of an identifier, and its embedding."""
    x = integers(b, [np.int64], rank=1)
    if b.opset < 10:
        raise Impossible("Mod is of opset 10")
    buckets = b.between(3, 9)
    mixed = b.node("Add", [b.node("Mul", [x, b.constant(b.one_of([31, 7, 2654435]), dtype=np.int64)]), b.constant(17, dtype=np.int64)])
    bucket = b.node("Mod", [mixed, b.constant(buckets, dtype=np.int64)])
    return b.node("Gather", [b.constant(b.rng.standard_normal((buckets, 4))), bucket])


@idiom()
def labels(b):
    """A label that an index selects."""
    x = b.real(rank=2, fits=lambda v: v.shape[1] > 1)
    top = b.node("ArgMax", [x], axis=1, keepdims=0)
    table = b.one_of([[10007, 70001, 3], [0, 1, 2**31 + 7], [2**40 + 1, -5, 7]])
    names = b.constant(np.resize(np.array(table, dtype=np.int64), x.shape[1]))
    return b.node("Gather", [names, top])


@idiom(since=11)
def scatter_of_integers(b):
    x = integers(b, [np.int32, np.int64], rank=1)
    count = b.between(1, x.size)
    places = b.constant(b.rng.permutation(x.size)[:count].reshape(count, 1), dtype=np.int64)
    return b.node("ScatterND", [x, places, integers(b, [x.dtype.type], shape=(count,))])


@idiom(weight=0.7)
def expanded_flags(b):
    flags = b.boolean()
    return b.node("Expand", [flags, b.ints(2, *flags.shape)])
