"""What an input of a graph may hold: how it is drawn, made quieter, and taken to the ends of what the product accepts."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Port:
    """An input of a graph. `draw` gives its elements; `floor` is what a quieter draw shrinks towards."""

    name: str
    dtype: np.dtype
    shape: tuple
    draw: object = field(repr=False)
    # Integers that select something, whose ends are those of what they select from; others may reach the ends of their type.
    selects: bool = False

    def sample(self, rng):
        return np.asarray(self.draw(rng)).astype(self.dtype).reshape(self.shape)

    def quiet(self, rng, factor):
        """Floats `factor` times as large; integers and booleans as ever."""
        drawn = self.sample(rng)
        return (drawn * factor).astype(self.dtype) if self.dtype.kind == "f" else drawn

    def at_ends(self, rng, accepted, share=0.15):
        """A sample with a share of its elements at the least and the greatest accepted value."""
        drawn = self.sample(rng)
        if self.dtype.kind == "b" or accepted is None:
            return drawn
        low, high = (np.broadcast_to(end, self.shape) for end in accepted)
        where = rng.random(self.shape)
        if self.dtype.kind != "f":
            info = np.iinfo(self.dtype)
            # What the type cannot hold is no input of it; a float64 cannot say the greatest 64-bit integers.
            low, high = (np.array([min(max(int(x), info.min), info.max) for x in end.reshape(-1)], dtype=self.dtype) for end in (low, high))
            low, high = low.reshape(self.shape), high.reshape(self.shape)
        made = np.where(where < share / 2, low, np.where(where > 1 - share / 2, high, drawn))
        return made.astype(self.dtype)


def normal(shape, scale=1.0, offset=0.0):
    return lambda rng: offset + scale * rng.standard_normal(shape)


def uniform(shape, low, high):
    return lambda rng: rng.uniform(low, high, shape)


def positive(shape, scale=1.0):
    """Log-normal: amounts, prices, durations."""
    return lambda rng: scale * np.exp(0.6 * rng.standard_normal(shape))


def heavy(shape, scale=1.0):
    """Student's t with four degrees of freedom: a few elements are far out."""
    return lambda rng: scale * np.clip(rng.standard_t(4, shape), -8, 8)


def sparse(shape, scale=1.0):
    """Half of it zeros, as after a ReLU."""
    return lambda rng: scale * np.maximum(rng.standard_normal(shape), 0)


def rows(shape, scales):
    """Rows of different sizes in one tensor."""
    return lambda rng: np.asarray(scales).reshape(-1, 1) * rng.standard_normal(shape)


def columns(shape, scales, offsets):
    """A table: an age, an income, a ratio, a count."""
    return lambda rng: np.asarray(offsets) + np.asarray(scales) * rng.standard_normal(shape)


def holes(shape, draw, hole, share=0.15):
    """What is drawn, with a share of it replaced by what stands for a missing number."""
    return lambda rng: np.where(rng.random(shape) < share, hole, draw(rng))


def whole(shape, low, high):
    """Integers from `low` to `high`, both included."""
    return lambda rng: rng.integers(low, high, shape, endpoint=True)


def boolean(shape, share=0.6):
    return lambda rng: rng.random(shape) < share


def choice(shape, values, weights=None):
    return lambda rng: rng.choice(np.asarray(values), size=shape, p=weights)


def leading(shape, low=1):
    """Ones followed by zeros along the last axis: the padding mask of a sequence."""

    def draw(rng):
        lengths = rng.integers(low, shape[-1], shape[:-1] + (1,), endpoint=True)
        return np.arange(shape[-1]) < lengths

    return draw
