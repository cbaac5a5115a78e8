"""What idioms ask for: operands of a kind, weights, and nodes whose form depends on the opset."""

import numpy as np

import ports
from builder import MOST_INPUTS, Builder, Impossible
from models import onnx_type


class Palette(Builder):
    """A builder that finds operands among the values so far, and makes new inputs where there are none."""

    # Operands.

    def find(self, fits, likely=0.8):
        """A value that fits, a late and unused one rather than others; None where there is none, or by chance."""
        fitting = [value for value in self.pool if fits(value)]
        if not fitting or self.chance(1 - likely):
            return None
        weights = np.array([(1 + k) * (4 if value.uses == 0 else 1) for k, value in enumerate(fitting)], dtype=float)
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def is_real(self, value):
        return value.dtype == self.real_type

    def real(self, rank=None, shape=None, fits=lambda value: True, most=600):
        """Floats of a rank or a shape."""

        def right(value):
            if not self.is_real(value) or value.size > most or rank is not None and value.rank != rank:
                return False
            return (shape is None or value.shape == tuple(shape)) and fits(value)

        found = self.find(right)
        if found is not None:
            return found
        if len(self.ports) < MOST_INPUTS:
            for _ in range(12):
                drawn = self.shape(self.between(2, 3) if rank is None else rank) if shape is None else tuple(shape)
                port, value = self.draft_real(drawn)
                if fits(value):
                    return self.adopt(port, value)
        found = self.find(right, likely=1.0)
        if found is not None:
            return found
        return self.reshaped(rank, shape, fits, most)

    def reshaped(self, rank, shape, fits, most):
        """Another value in the shape that is wanted."""
        count = None if shape is None else int(np.prod(shape))
        source = self.find(lambda v: self.is_real(v) and v.size <= most and (count is None or v.size == count) and v.rank > 0, likely=1.0)
        if source is None:
            raise Impossible("no floats of this form")
        target = shape if shape is not None else self.factors(source.size, rank or 2)
        value = self.node("Reshape", [source, self.ints(*target)])
        if not fits(value):
            raise Impossible("no floats of this form")
        return value

    def factors(self, count, rank):
        """A shape of that many elements."""
        shape = []
        for _ in range(rank - 1):
            divisors = [d for d in range(1, min(count, 12) + 1) if count % d == 0]
            shape.append(self.one_of(divisors))
            count //= shape[-1]
        return (*shape, count)

    def shape(self, rank):
        most = {0: 1, 1: 40, 2: 16, 3: 9, 4: 7}.get(rank, 4)
        dims = [self.between(2, most) for _ in range(rank)]
        if rank >= 2 and self.chance(0.4):
            dims[0] = 1
        if rank == 4:
            dims[0] = self.one_of([1, 1, 2])
        return tuple(dims)

    def draft_real(self, shape):
        """A draft of an input of floats: of one of the kinds that models have."""
        scale = self.one_of([1.0, 1.0, 1.0, self.magnitude_of(-2, 2)])
        kinds = [ports.normal(shape, scale), ports.normal(shape, scale), ports.uniform(shape, -scale, scale)]
        kinds += [ports.uniform(shape, 0, scale), ports.sparse(shape, scale), ports.heavy(shape, scale), ports.positive(shape, scale)]
        kinds += [ports.normal(shape, scale, offset=self.one_of([-2, 3]) * scale)]
        if len(shape) == 2 and shape[0] > 1:
            kinds.append(ports.rows(shape, 10 ** self.rng.uniform(-2, 1, shape[0])))
        return self.draft(self.real_type, shape, self.one_of(kinds))

    def new_real(self, shape):
        """An input of floats."""
        return self.adopt(*self.draft_real(shape))

    def whole(self, dtype=None, rank=None, shape=None, low=None, high=None, fits=lambda value: True):
        """Integers of a type, within bounds."""
        dtypes = [np.dtype(dtype)] if dtype is not None else [np.dtype(np.int64), np.dtype(np.int32)]

        def right(value):
            if value.dtype not in dtypes or value.size > 600 or rank is not None and value.rank != rank:
                return False
            if shape is not None and value.shape != tuple(shape):
                return False
            return (low is None or value.low >= low) and (high is None or value.high <= high) and fits(value)

        found = self.find(right)
        if found is not None:
            return found
        if len(self.ports) >= MOST_INPUTS + 1:
            found = self.find(right, likely=1.0)
            if found is None:
                raise Impossible("no integers of this form")
            return found
        dtype = self.one_of(dtypes)
        info = np.iinfo(dtype)
        reach = self.one_of([5, 100, 1000, min(info.max, 2**20)])
        least = max(info.min, -reach) if low is None else low
        most = min(info.max, reach) if high is None else high
        for _ in range(12):
            drawn = self.shape(self.between(1, 3) if rank is None else rank) if shape is None else tuple(shape)
            port, value = self.draft(dtype, drawn, ports.whole(drawn, least, most), "n", selects=low is not None or high is not None)
            if fits(value):
                return self.adopt(port, value)
        raise Impossible("no integers of this form")

    def boolean(self, shape=None, rank=None):
        def right(value):
            return value.dtype == bool and (shape is None or value.shape == tuple(shape)) and (rank is None or value.rank == rank)

        found = self.find(right, likely=0.9)
        if found is not None:
            return found
        if len(self.ports) <= MOST_INPUTS:
            shape = self.shape(self.between(1, 3) if rank is None else rank) if shape is None else tuple(shape)
            return self.input(bool, shape, ports.boolean(shape, self.rng.uniform(0.3, 0.8)), "flag")
        found = self.find(right, likely=1.0)
        if found is None:
            raise Impossible("no booleans of this form")
        return found

    # Sizes of values.

    def within(self, value, most):
        """The value, made smaller where its elements exceed `most` in magnitude."""
        if value.magnitude <= most:
            return value
        how = self.between(0, 3)
        if how == 0:
            return self.clip(value, -most, most)
        if how == 1:
            return self.node("Mul", [self.node("Tanh", [value]), self.constant(most)])
        return self.node("Mul", [value, self.constant(most / value.magnitude)])

    def above(self, value, least):
        """A positive value made of one of any sign."""
        if value.low >= least:
            return value
        how = self.between(0, 2)
        if how == 0:
            return self.node("Add", [self.node("Abs", [value]), self.constant(least)])
        if how == 1:
            return self.node("Add", [self.node("Exp", [self.within(value, 4.0)]), self.constant(least)])
        return self.node("Add", [self.node("Mul", [value, value]), self.constant(least)])

    # Weights.

    def weight(self, *shape, fan_in=None):
        """Weights that keep the size of what they multiply; some of other magnitudes, some with channels of different ones."""
        fan_in = fan_in or (shape[-2] if len(shape) > 1 else 1)
        scale = 1 / np.sqrt(fan_in)
        if self.chance(0.15):
            scale *= self.magnitude_of(-2, 2)
        array = scale * self.rng.standard_normal(shape)
        if len(shape) > 1 and self.chance(0.1):
            array = array * 10 ** self.rng.uniform(-1.5, 1.5, shape[-1])
        if self.chance(0.05):
            array[self.rng.random(shape) < 0.5] = 0
        return self.constant(array, stem="w")

    def bias(self, count):
        return self.constant(self.one_of([0.1, 1.0]) * self.rng.standard_normal(count), stem="b")

    # Nodes whose form depends on the opset.

    def axes_node(self, operator, value, axes, since, **attributes):
        """An operator whose axes are an attribute before `since`, an operand from then on."""
        if self.opset >= since:
            return self.node(operator, [value, self.ints(*axes)], **attributes)
        return self.node(operator, [value], axes=list(axes), **attributes)

    def reduce(self, operator, value, axes, keepdims=1):
        since = 13 if operator == "ReduceSum" else 18
        return self.axes_node(operator, value, axes, since, keepdims=keepdims)

    def squeeze(self, value, axes):
        return self.axes_node("Squeeze", value, axes, 13)

    def unsqueeze(self, value, axes):
        return self.axes_node("Unsqueeze", value, axes, 13)

    def clip(self, value, low, high):
        if self.opset >= 11:
            bounds = [None if end is None else self.constant(np.array(end, dtype=value.dtype)) for end in (low, high)]
            return self.node("Clip", [value, *bounds])
        return self.node("Clip", [value], min=None if low is None else float(low), max=None if high is None else float(high))

    def slice(self, value, starts, ends, axes, steps=None):
        if self.opset >= 10:
            steps = None if steps is None else self.ints(*steps)
            return self.node("Slice", [value, self.ints(*starts), self.ints(*ends), self.ints(*axes), steps])
        return self.node("Slice", [value], starts=starts, ends=ends, axes=axes)

    def split(self, value, lengths, axis):
        if self.opset >= 13:
            return self.node("Split", [value, self.ints(*lengths)], outputs=len(lengths), axis=axis)
        return self.node("Split", [value], outputs=len(lengths), axis=axis, split=list(lengths))

    def pad(self, value, pads, mode="constant", fill=None):
        if self.opset >= 11:
            fill = None if fill is None else self.constant(np.array(fill, dtype=value.dtype))
            return self.node("Pad", [value, self.ints(*pads), fill], mode=mode)
        return self.node("Pad", [value], mode=mode, pads=list(pads), value=fill)

    def cast(self, value, dtype):
        return self.node("Cast", [value], to=onnx_type(dtype))
