"""A graph under construction. Every value carries what it holds on a few drawn inputs, so that an idiom can ask for operands of a shape, a type
and a size, and never builds a graph that is invalid or overflows."""

from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models import declared, read_by, single, typed
from oracle import Oracle, Undefined
from ports import Port

PROBES = 3
MOST_ELEMENTS = 1500
MOST_INPUTS = 4


class Impossible(Exception):
    """The idiom does not fit here: another one is tried."""


@dataclass(eq=False)
class Value:
    """A tensor of the graph, and its elements for each probe; a constant has the same for all."""

    name: str
    probes: list = field(repr=False)
    constant: bool = False
    uses: int = 0

    @property
    def dtype(self):
        return self.probes[0].dtype

    @property
    def shape(self):
        return self.probes[0].shape

    @property
    def rank(self):
        return len(self.shape)

    @property
    def size(self):
        return self.probes[0].size

    @property
    def low(self):
        return min(float(p.min()) for p in self.probes)

    @property
    def high(self):
        return max(float(p.max()) for p in self.probes)

    @property
    def magnitude(self):
        return max(abs(self.low), abs(self.high))


class Builder:
    """Makes nodes. `real` is the graph's type of floats."""

    def __init__(self, rng, opset, real=np.float32, batch=1):
        self.rng, self.opset, self.real_type, self.batch = rng, opset, np.dtype(real), batch
        self.ports, self.nodes, self.initializers, self.pool = [], [], {}, []
        # What is no tensor, and nothing reads.
        self.maps = []
        self.names = {}

    # Chance.

    def chance(self, share):
        return self.rng.random() < share

    def one_of(self, options):
        return options[int(self.rng.integers(len(options)))]

    def between(self, low, high):
        """An integer, both ends included."""
        return int(self.rng.integers(low, high, endpoint=True))

    def magnitude_of(self, low, high):
        """10 to a power between the two."""
        return float(10 ** self.rng.uniform(low, high))

    # Parts of the graph.

    def fresh(self, stem):
        self.names[stem] = self.names.get(stem, -1) + 1
        return f"{stem}_{self.names[stem]}"

    def draft(self, dtype, shape, draw, stem="x", selects=False):
        """An input that is not part of the graph yet: its port and its value."""
        port = Port(stem, np.dtype(dtype), tuple(shape), draw, selects)
        return port, Value(stem, [port.sample(self.rng) for _ in range(PROBES)])

    def adopt(self, port, value):
        """Makes an input of a draft."""
        value.name = self.fresh(port.name)
        self.ports.append(replace(port, name=value.name))
        self.pool.append(value)
        return value

    def input(self, dtype, shape, draw, stem="x", selects=False):
        """A new input of the graph, whose elements `draw(rng)` gives."""
        return self.adopt(*self.draft(dtype, shape, draw, stem, selects))

    def constant(self, array, dtype=None, stem="c"):
        """An initializer, or now and then a Constant node as exporters write it."""
        array = np.asarray(array, dtype=dtype)
        if array.dtype.kind == "f" and dtype is None:
            array = array.astype(self.real_type)
        name = self.fresh(stem)
        if self.chance(0.2):
            tensor = numpy_helper.from_array(array, name + "_value")
            self.nodes.append(helper.make_node("Constant", [], [name], name=self.fresh("Constant"), value=tensor))
        self.initializers[name] = array
        return Value(name, [array] * PROBES, constant=True)

    def ints(self, *values):
        """A constant list of int64, as shapes, axes and bounds are."""
        return self.constant(np.array(values, dtype=np.int64))

    def node(self, operator, inputs, outputs=1, domain="", finite=True, captured=(), **attributes):
        """A node; its result, or its results if there are several. `None` is an operand left out; graphs among the attributes read what is
        `captured`. Results are finite, but those of a mask."""
        inputs = list(inputs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        name = self.fresh(operator)
        results = [f"{name}_out{k}" if outputs > 1 else f"{name}_out" for k in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        node = helper.make_node(operator, [v.name if v else "" for v in inputs], results, name=name, domain=domain, **attributes)
        read = [value for value in [*inputs, *captured] if value]
        made = self.probe(node, read, finite)
        self.nodes.append(node)
        for value in read:
            value.uses += 1
        (self.maps if operator == "ZipMap" else self.pool).extend(made)
        return made[0] if outputs == 1 else tuple(made)

    def probe(self, node, operands, finite):
        """The results of a node on the probes."""
        operands = list({value.name: value for value in operands}.values())
        fed = [value for value in operands if not value.constant]
        initializers = [numpy_helper.from_array(value.probes[0], value.name) for value in operands if value.constant]
        try:
            oracle = Oracle(single(self.wrapped(helper.make_graph([node], "", [], [])), node, {v.name: v.probes[0] for v in fed}, initializers))
            runs = [oracle.run({value.name: value.probes[k] for value in fed}) for k in range(PROBES)]
        except (Undefined, onnx.onnx_cpp2py_export.checker.ValidationError) as refused:
            raise Impossible(f"{node.op_type}: {refused}") from refused
        except Exception as refused:
            if "Type Error" in str(refused):
                raise Impossible(f"{node.op_type} does not take this type in opset {self.opset}") from refused
            raise Broken(f"{node.op_type}: {refused}") from refused
        results = [Value(name, [run[name] for run in runs]) for name in node.output]
        for value in results:
            if value.size == 0 or value.size > MOST_ELEMENTS:
                raise Impossible(f"{node.op_type} gives {value.shape}")
            if finite and value.dtype.kind == "f" and not all(np.isfinite(p).all() for p in value.probes):
                raise Impossible(f"{node.op_type} gives what is not finite")
        return results

    def wrapped(self, graph):
        domains = {"": self.opset, "ai.onnx.ml": 5 if self.opset >= 22 else 3, "com.microsoft": 1}
        domains |= {node.domain: 1 for node in graph.node if node.domain not in domains}
        used = {node.domain for node in graph.node} | {""}
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains.items() if domain in used],
            ir_version=8 if self.opset < 19 else 10,
            producer_name="differential",
        )

    def model(self, outputs):
        """The graph with these outputs, and of all else only what they need."""
        needed = {value.name for value in outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= read_by(node)
        kept.reverse()
        made = {name for node in kept for name in node.output}
        # ONNX infers no shapes of operators of others.
        unknown = {name for node in kept if node.domain == "com.microsoft" for name in node.output}
        ports = [port for port in self.ports if port.name in needed]
        graph = helper.make_graph(
            kept,
            "graph",
            [typed(port.name, port) for port in ports],
            [declared(value.name, value, kept) for value in outputs],
            [numpy_helper.from_array(a, name) for name, a in self.initializers.items() if name in needed and name not in made],
            value_info=[typed(value.name, value) for value in self.pool if value.name in unknown],
        )
        return self.wrapped(graph), ports


class Broken(Exception):
    """An idiom built a node that onnxruntime does not take: a fault of the generator."""
