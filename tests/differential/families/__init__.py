"""The idioms, in families: a module each. An idiom is a function that adds a few nodes to a graph as exporters or people write them."""

import importlib
import pathlib
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
    for module in sorted(pathlib.Path(__file__).parent.glob("[a-z]*.py")):
        importlib.import_module(f"families.{module.stem}")
    return IDIOMS
