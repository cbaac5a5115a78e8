"""The architectures: each is a function that builds a small model with random weights, and says what its inputs look like."""

import zlib
from dataclasses import dataclass

import numpy as np

ARCHITECTURES = []


@dataclass(frozen=True)
class Architecture:
    """`family` is the heading under which it is listed; `build` gives something that `exporters.py` exports."""

    family: str
    name: str
    build: object

    @property
    def slug(self):
        kept = "".join(c if c.isalnum() else "_" for c in self.name.lower())
        return "_".join(part for part in kept.split("_") if part)

    @property
    def seed(self):
        return zlib.crc32(self.slug.encode())


def family(heading):
    """A decorator for the functions of a family: `@architecture("LeNet-5")`."""

    def architecture(name):
        def added(build):
            ARCHITECTURES.append(Architecture(heading, name, build))
            return build

        return added

    return architecture


@dataclass
class Torch:
    """A module of torch. `inputs` has for each argument its name, and how it is drawn."""

    module: object
    inputs: dict


@dataclass
class Converted:
    """A model that is ONNX already, on `inputs`."""

    model: object
    inputs: dict


def normal(*shape):
    return lambda rng: rng.standard_normal(shape).astype(np.float32)


def uniform(low, high, *shape):
    return lambda rng: rng.uniform(low, high, shape).astype(np.float32)


def integers(low, high, *shape):
    """From `low` to one below `high`."""
    return lambda rng: rng.integers(low, high, shape, dtype=np.int64)


def lengths(rows, columns):
    """A mask: each row has ones, as many as its sequence is long, and then zeros."""

    def draw(rng):
        kept = rng.integers(columns // 2, columns + 1, (rows, 1))
        return (np.arange(columns) < kept).astype(np.int64)

    return draw


def rows(table, count):
    """Rows of a table."""
    return lambda rng: table[rng.integers(0, len(table), count)]


def drawn(inputs, rng):
    """One input: arrays by name."""
    return {name: draw(rng) for name, draw in inputs.items()}
