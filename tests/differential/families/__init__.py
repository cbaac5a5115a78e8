"""The idioms, in families: a module each. An idiom is a function that adds a few nodes to a graph as exporters or people write them."""

from dataclasses import dataclass

IDIOMS = []


@dataclass(frozen=True)
class Idiom:
    name: str
    family: str
    since: int
    until: int
    weight: float
    build: object


def idiom(since=9, until=99, weight=1.0):
    """Registers an idiom that needs an opset from `since` to `until`."""

    def register(build):
        family = build.__module__.rsplit(".", 1)[-1]
        IDIOMS.append(Idiom(build.__name__, family, since, until, weight, build))
        return build

    return register


def load():
    """All idioms."""
    from families import attention, integers, linear, ml, movement, norms, pointwise, quantized, recurrent, reductions, signal, training, vision  # noqa: F401, E501

    return IDIOMS
