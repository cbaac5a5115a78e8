"""A random graph from a seed."""

from dataclasses import dataclass

import numpy as np
import onnx

import families
from builder import Impossible
from palette import Palette

OPSETS = [9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 17, 17, 18, 18, 19, 20, 20, 21, 21, 22, 23, 23, 24, 25, 26, 28]
MOST_OUTPUTS = 5


@dataclass
class Case:
    """A valid model and how its inputs are drawn."""

    seed: int
    model: onnx.ModelProto
    ports: list

    def draw(self, rng):
        return {port.name: port.sample(rng) for port in self.ports}

    def quiet(self, rng, factor):
        return {port.name: port.quiet(rng, factor) for port in self.ports}

    def at_ends(self, rng, accepted):
        return {port.name: port.at_ends(rng, accepted.get(port.name)) for port in self.ports}


def case(seed):
    """The graph of a seed: 10 to 40 nodes."""
    rng = np.random.default_rng([seed, 0])
    b = Palette(rng, opset=OPSETS[int(rng.integers(len(OPSETS)))])
    idioms = [i for i in families.load() if i.since <= b.opset <= i.until]
    weights = np.array([i.weight / max(0.1, sum(i.since <= opset <= i.until for opset in OPSETS) / len(OPSETS)) for i in idioms])
    target = b.between(14, 40)
    tried = 0
    while len(b.nodes) < target and tried < 200:
        tried += 1
        chosen = idioms[int(rng.choice(len(idioms), p=weights / weights.sum()))]
        try:
            chosen.build(b)
        except Impossible:
            continue
    model, ports = b.model(outputs(b))
    onnx.checker.check_model(model, full_check=True)
    return Case(seed, model, ports)


def outputs(b):
    """The results that nothing reads: the last few of them."""
    computed = {name for node in b.nodes for name in node.output}
    leaves = [value for value in b.pool if value.uses == 0 and value.name in computed]
    return leaves[-MOST_OUTPUTS:]
