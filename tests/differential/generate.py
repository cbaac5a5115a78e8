"""A random graph from a seed."""

from dataclasses import dataclass

import numpy as np
import onnx

import families
from builder import Broken, Impossible
from palette import Palette

OPSETS = [9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 17, 17, 18, 18, 19, 20, 20, 21, 21, 22, 23, 23, 24, 25, 26, 28, 28]
# Types of floats, and how often a graph has them.
REALS = {"float32": 0.92, "float64": 0.04, "float16": 0.04}
MOST_OUTPUTS = 5
# Operators of onnxruntime in ONNX's domain, which the checker does not know.
UNCHECKED = {"SimplifiedLayerNormalization"}
LEAST_NODES = 10


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
    for attempt in range(10):
        b = built(np.random.default_rng([seed, attempt]))
        model, ports = b.model(outputs(b))
        try:
            if UNCHECKED.isdisjoint(node.op_type for node in model.graph.node):
                onnx.checker.check_model(model, full_check=True)
        except onnx.shape_inference.InferenceError:
            # onnxruntime and ONNX differ on some shapes, as of pools that round up: no graph for a comparison.
            continue
        if len(model.graph.node) >= LEAST_NODES:
            return Case(seed, model, ports)
    raise Broken(f"no valid graph for seed {seed}")


def built(rng):
    """As many idioms as it takes."""
    opset = OPSETS[int(rng.integers(len(OPSETS)))]
    b = Palette(rng, opset, rng.choice(list(REALS), p=list(REALS.values())))
    idioms = [i for i in families.load() if i.since <= opset <= i.until]
    weights = np.array([i.weight / max(0.1, sum(i.since <= o <= i.until for o in OPSETS) / len(OPSETS)) for i in idioms])
    target = b.between(12, 34)
    for _ in range(200):
        if len(b.nodes) >= target:
            break
        chosen = idioms[int(rng.choice(len(idioms), p=weights / weights.sum()))]
        try:
            chosen.build(b)
        except Impossible:
            continue
    return b


def outputs(b):
    """The results that nothing reads: the last few of them."""
    computed = {name for node in b.nodes for name in node.output}
    leaves = [value for value in [*b.pool, *b.maps] if value.uses == 0 and value.name in computed]
    return leaves[-MOST_OUTPUTS:]
