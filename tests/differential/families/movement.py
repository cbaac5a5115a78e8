"""Moving elements: shapes, slices, gathers, scatters."""

import numpy as np

from builder import Impossible
from families import idiom


def anything(b, rank=None, fits=lambda v: True):
    """A value of any type; floats more often than others."""
    if b.chance(0.3):
        found = b.find(lambda v: v.dtype != b.real_type and v.size <= 400 and v.rank > 0 and (rank is None or v.rank == rank) and fits(v))
        if found is not None:
            return found
    return b.real(rank=rank, fits=lambda v: v.rank > 0 and fits(v))


@idiom(weight=2)
def concat(b):
    x = anything(b)
    axis = b.between(0, x.rank - 1)
    rest = [v for v in b.pool if v.dtype == x.dtype and v.rank == x.rank and all(v.shape[k] == x.shape[k] for k in range(x.rank) if k != axis)]
    operands = [x, *(b.one_of(rest) for _ in range(b.between(1, 2)))]
    if b.chance(0.2):
        shape = list(x.shape)
        shape[axis] = 1
        operands.append(b.constant(np.zeros(shape, dtype=x.dtype), dtype=x.dtype))
    if sum(v.size for v in operands) > 600:
        raise Impossible("too large")
    return b.node("Concat", operands, axis=axis if b.chance(0.6) else axis - x.rank)


@idiom(weight=1.5)
def split(b):
    x = anything(b, fits=lambda v: max(v.shape) > 1)
    axis = int(np.argmax(x.shape))
    first = b.between(1, x.shape[axis] - 1)
    return b.split(x, [first, x.shape[axis] - first], axis)


@idiom(weight=2)
def slice_(b):
    x = anything(b, fits=lambda v: max(v.shape) > 2)
    axis = int(np.argmax(x.shape))
    n = x.shape[axis]
    start = b.between(0, n - 2)
    end = b.between(start + 1, n)
    how = b.between(0, 3)
    if how == 0 and b.opset >= 10:
        return b.slice(x, [n - 1], [-n - 1], [axis], [-1])
    if how == 1 and b.opset >= 10:
        return b.slice(x, [start], [np.iinfo(np.int64).max], [axis], [2])
    if how == 2:
        return b.slice(x, [start - n], [end], [axis])
    return b.slice(x, [start], [end], [axis])


@idiom()
def pad(b):
    x = b.real(fits=lambda v: v.rank >= 2 and min(v.shape[-2:]) > 1 and v.size <= 300)
    pads = np.zeros((2, x.rank), dtype=int)
    pads[:, -2:] = b.rng.integers(0, 2, (2, 2))
    modes = ["constant", "constant", "reflect", "edge"] if x.rank > 2 else ["constant"]
    mode = b.one_of(modes)
    fill = b.one_of([None, 0.0, 1.5]) if mode == "constant" else None
    return b.pad(x, pads.reshape(-1).tolist(), mode, fill)


@idiom(weight=1.5)
def transpose(b):
    x = anything(b)
    perm = b.rng.permutation(x.rank).tolist()
    return b.node("Transpose", [x], perm=perm if b.chance(0.8) else None)


@idiom(weight=1.5)
def reshape(b):
    x = anything(b)
    shape = list(b.factors(x.size, b.between(1, 4)))
    if b.chance(0.4):
        shape[b.between(0, len(shape) - 1)] = -1
    return b.node("Reshape", [x, b.ints(*shape)])


@idiom(weight=1.5)
def shape_chain(b):
    """A shape that is read off a value: Shape, Gather or Slice, Unsqueeze, Concat, Reshape."""
    x = b.real(fits=lambda v: v.rank >= 2)
    read = b.node("Shape", [x])
    if b.chance(0.5):
        first = b.unsqueeze(b.node("Gather", [read, b.constant(np.int64(0))], axis=0), [0])
    else:
        first = b.slice(read, [0], [1], [0])
    return b.node("Reshape", [x, b.node("Concat", [first, b.ints(-1)], axis=0)])


@idiom()
def flatten(b):
    x = b.real(fits=lambda v: v.rank > 1)
    return b.node("Flatten", [x], axis=b.between(0, x.rank) if b.chance(0.5) else None)


@idiom()
def squeeze(b):
    x = anything(b)
    y = b.unsqueeze(x, [b.between(0, x.rank)])
    if b.chance(0.5):
        return y
    axes = [k for k, n in enumerate(y.shape) if n == 1]
    return b.squeeze(y, axes[:1])


@idiom()
def expand(b):
    x = anything(b, fits=lambda v: v.size <= 100)
    return b.node("Expand", [x, b.ints(b.between(2, 3), *x.shape)])


@idiom()
def tile(b):
    x = anything(b, fits=lambda v: v.size <= 100)
    return b.node("Tile", [x, b.ints(*(b.between(1, 2) for _ in x.shape))])


@idiom(weight=1.5)
def gather(b):
    x = anything(b)
    axis = b.between(0, x.rank - 1)
    n = x.shape[axis]
    if b.chance(0.6):
        shape = b.one_of([(), (1,), (3,), (2, 2)])
        return b.node("Gather", [x, b.constant(b.rng.integers(-n, n, shape), dtype=np.int64)], axis=axis)
    ids = b.whole(b.one_of([np.int64, np.int32]), low=0, high=n - 1, fits=lambda v: v.size <= 12)
    return b.node("Gather", [x, ids], axis=axis)


@idiom(since=11)
def gather_elements(b):
    x = b.real(rank=2)
    axis = b.between(0, 1)
    if b.chance(0.6):
        ids = b.constant(b.rng.integers(-x.shape[axis], x.shape[axis], x.shape), dtype=np.int64)
    else:
        ids = b.whole(np.int64, shape=x.shape, low=0, high=x.shape[axis] - 1)
    return b.node("GatherElements", [x, ids], axis=axis)


@idiom(since=11)
def gather_nd(b):
    x = b.real(rank=b.between(2, 3))
    depth = b.between(1, 2)
    count = b.between(1, 4)
    if b.chance(0.7):
        ids = b.constant(np.stack([b.rng.integers(0, x.shape[k], count) for k in range(depth)], axis=1), dtype=np.int64)
    else:
        ids = b.whole(np.int64, shape=(count, 1), low=0, high=x.shape[0] - 1)
    return b.node("GatherND", [x, ids])


@idiom(since=11)
def scatter_nd(b):
    x = b.real(rank=2, fits=lambda v: v.shape[0] > 1)
    count = b.between(1, min(3, x.shape[0]))
    updates = b.real(shape=(count, x.shape[1]))
    if b.chance(0.5):
        ids = b.constant(b.rng.permutation(x.shape[0])[:count].reshape(count, 1), dtype=np.int64)
    else:
        ids = b.whole(np.int64, shape=(count, 1), low=0, high=x.shape[0] - 1)
    modes = ["none"] + (["add"] if b.opset >= 16 else []) + (["max", "min", "mul"] if b.opset >= 18 else [])
    mode = b.one_of(modes)
    if mode in ("none",) and not ids.constant:
        # Of two updates of one row either may win.
        ids = b.constant(b.rng.permutation(x.shape[0])[:count].reshape(count, 1), dtype=np.int64)
    return b.node("ScatterND", [x, ids, updates], reduction=mode if b.opset >= 16 else None)


def scatter_operands(b):
    x = b.real(rank=2)
    axis = b.between(0, 1)
    shape = (1, x.shape[1]) if axis == 0 else (x.shape[0], 1)
    updates = b.real(shape=shape)
    if b.chance(0.5):
        ids = b.constant(b.rng.integers(0, x.shape[axis], shape), dtype=np.int64)
    else:
        ids = b.whole(np.int64, shape=shape, low=0, high=x.shape[axis] - 1)
    return [x, ids, updates], axis


@idiom(until=10, weight=2)
def scatter(b):
    operands, axis = scatter_operands(b)
    return b.node("Scatter", operands, axis=axis)


@idiom(since=11, weight=2)
def scatter_elements(b):
    operands, axis = scatter_operands(b)
    modes = ["none"] + (["add", "mul"] if b.opset >= 16 else []) + (["max", "min"] if b.opset >= 18 else [])
    return b.node("ScatterElements", operands, axis=axis, reduction=b.one_of(modes) if b.opset >= 16 else None)


@idiom(since=10)
def reverse_sequence(b):
    x = b.real(rank=3)
    lengths = b.constant(b.rng.integers(1, x.shape[1], x.shape[0], endpoint=True), dtype=np.int64)
    return b.node("ReverseSequence", [x, lengths], batch_axis=0, time_axis=1)


@idiom(since=14)
def trilu(b):
    x = b.real(fits=lambda v: v.rank >= 2)
    return b.node("Trilu", [x, b.constant(np.int64(b.between(-1, 1)))], upper=b.between(0, 1))


@idiom(weight=1.3)
def compress(b):
    x = b.real(rank=2)
    condition = b.rng.random(x.shape[0]) < 0.7
    condition[b.between(0, x.shape[0] - 1)] = True
    return b.node("Compress", [x, b.constant(condition)], axis=0)


@idiom(weight=1.4)
def one_hot(b):
    depth = b.between(3, 8)
    ids = b.whole(b.one_of([np.int64, np.int32]), low=0, high=depth - 1, fits=lambda v: v.rank in (1, 2) and v.size <= 40)
    values = b.constant(np.array(b.one_of([[0, 1], [-0.5, 2.0]]), dtype=b.real_type))
    y = b.node("OneHot", [ids, b.constant(np.array(depth, dtype=np.int64)), values], axis=-1)
    return b.node("MatMul", [y, b.weight(depth, b.between(2, 8))]) if b.chance(0.5) else y


@idiom(weight=0.7)
def constant_of_shape(b):
    """A constant that is built from a value's shape, and added to it."""
    from onnx import numpy_helper

    x = b.real(fits=lambda v: v.rank > 0)
    y = b.node("ConstantOfShape", [b.node("Shape", [x])], value=numpy_helper.from_array(np.array([b.rng.uniform(-1, 1)], dtype=b.real_type)))
    return b.node("Add", [x, y])


@idiom(weight=1.3)
def eye_like(b):
    x = b.real(rank=2)
    return b.node("Add", [x, b.node("EyeLike", [x], k=b.between(-1, 1))])


@idiom(since=11, weight=0.7)
def range_of_length(b):
    """Positions by Range of a length that Shape gives."""
    x = b.real(rank=2)
    length = b.node("Gather", [b.node("Shape", [x]), b.constant(np.int64(1))], axis=0)
    places = b.node("Range", [b.constant(np.int64(0)), length, b.constant(np.int64(1))])
    scaled = b.node("Mul", [b.cast(places, b.real_type), b.constant(0.1)])
    return b.node("Add", [x, scaled])


@idiom(weight=1.2)
def size(b):
    x = b.real()
    count = b.cast(b.node("Size", [x]), b.real_type)
    return b.node("Div", [b.reduce("ReduceSum", x, [0]) if x.rank else x, count])


@idiom(since=11, weight=3.5)
def of_constants(b):
    """What is computed of constants alone: NonZero, Unique."""
    x = b.real(rank=1, fits=lambda v: v.size > 3)
    flags = np.arange(x.size) % 2 == 0
    if b.chance(0.5):
        places = b.node("NonZero", [b.constant(flags)])
        return b.node("Gather", [x, b.squeeze(places, [0])], axis=0)
    values, *_ = b.node("Unique", [b.constant(b.rng.integers(0, x.size, 5), dtype=np.int64)], outputs=2)
    return b.node("Gather", [x, values], axis=0)


@idiom(since=24, weight=3)
def tensor_scatter(b):
    """A cache of keys with one step written to it."""
    cache = b.real(rank=3, fits=lambda v: v.shape[1] > 2)
    step = b.real(shape=(cache.shape[0], 1, cache.shape[2]))
    place = b.constant(b.rng.integers(0, cache.shape[1], cache.shape[0]), dtype=np.int64)
    return b.node("TensorScatter", [cache, step, place], axis=1)


@idiom(since=12)
def einsum(b):
    x = b.within(b.real(rank=3), 20.0)
    how = b.between(0, 3)
    if how == 0:
        return b.node("Einsum", [x, b.weight(x.shape[2], b.between(1, 8))], equation="bij,jk->bik")
    if how == 1:
        return b.node("Einsum", [x, x], equation="bij,bkj->bik")
    if how == 2:
        return b.node("Einsum", [x], equation="bij->bji")
    return b.node("Einsum", [x, b.real(shape=x.shape)], equation="bij,bij->bi")
