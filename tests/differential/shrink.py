"""Makes a failing graph small: first the shortest prefix whose last value fails, then as many of its values as can be given as inputs in place of
being computed, then as few samples as it takes. What is left is written as a folder: a case as `zkiln conformance` takes it."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import tensors
from judge import Experiment, Result, Steady, compiled_and_tried
from models import declared, read_by, typed
from oracle import Undefined


@dataclass
class Small:
    """A failing model, the samples it is compiled on, and the input that it fails on."""

    model: onnx.ModelProto
    samples: list
    inputs: dict
    result: Result

    @property
    def signature(self):
        return tuple(sorted(node.op_type for node in self.model.graph.node if node.op_type != "Constant"))


class Shrinker:
    def __init__(self, case, samples, result, product, seconds):
        self.product, self.until = product, time.time() + seconds
        self.wanted, self.original = result.verdict, case.model
        oracle = Steady(case.model)
        # Everything that is known of the samples and of the failing input: a value of it may become an input.
        self.known = [oracle.values(sample) for sample in samples]
        self.failing = oracle.values(result.failing.inputs)
        self.best = Small(case.model, samples, result.failing.inputs, result)

    def late(self):
        return time.time() > self.until

    def fails(self, model, samples, inputs):
        """The result of a smaller model, if it fails as the whole does."""
        if self.late():
            return None
        try:
            experiment = Experiment(model, samples, Steady(model))
            test = experiment.test("small", inputs, np.random.default_rng(0))
        except (Undefined, onnx.checker.ValidationError):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            result = compiled_and_tried(experiment, [test], self.product, Path(scratch), prove=self.wanted == "unverified")
        return result if result.verdict == self.wanted else None

    def keep(self, cut, outputs, samples=None):
        """Tries the part of the graph from the values of `cut` to `outputs`; whether it fails and is therefore kept."""
        model = part(self.original, cut, outputs, self.failing)
        if not model.graph.input or not model.graph.node:
            return False
        names = [value.name for value in model.graph.input]
        known = self.known if samples is None else samples
        drawn = [{name: values[name] for name in names} for values in known]
        inputs = {name: self.failing[name] for name in names}
        result = self.fails(model, drawn, inputs)
        if result:
            self.best = Small(model, drawn, inputs, result)
            self.cut, self.outputs, self.known = cut, outputs, known
        return bool(result)

    def run(self):
        given = {value.name for value in self.original.graph.input}
        if not any(self.keep(given, [name]) for name in computed_by(self.original)):
            return self.best
        progress = True
        while progress and not self.late():
            inner = [name for name in computed_by(self.best.model) if name not in self.outputs]
            progress = any(self.keep(self.cut | {name}, self.outputs) for name in reversed(inner))
        while len(self.known) > 1 and not self.late():
            half = len(self.known) // 2
            if not (self.keep(self.cut, self.outputs, self.known[:half]) or self.keep(self.cut, self.outputs, self.known[half:])):
                break
        return self.best


def computed_by(model):
    """Names of the results, in order, without constants."""
    return [name for node in model.graph.node if node.op_type != "Constant" for name in node.output if name]


def part(model, cut, outputs, values):
    """The nodes that `outputs` need, down to the values of `cut`, which become inputs."""
    needed, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if any(name in needed and name not in cut for name in node.output):
            kept.append(node)
            needed |= read_by(node)
    kept.reverse()
    made = {name for node in kept for name in node.output}
    inputs = sorted(name for name in needed & cut if name not in made or name not in outputs)
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in needed and tensor.name not in made]

    small = onnx.ModelProto()
    small.CopyFrom(model)
    del small.graph.node[:], small.graph.input[:], small.graph.output[:], small.graph.initializer[:], small.graph.value_info[:]
    small.graph.node.extend(kept)
    small.graph.input.extend(typed(name, values[name]) for name in inputs)
    small.graph.output.extend(declared(name, values[name], kept) for name in outputs)
    small.graph.initializer.extend(initializers)
    return small


def shrink(case, result, product, seconds):
    return Shrinker(case, result.samples, result, product, seconds).run()


def write(small, seed, folder):
    """The case as a folder in `folder`, named after its operators."""
    folder = folder / f"{small.result.verdict}_{'_'.join(small.signature)[:60]}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(small.model, folder / "model.onnx")
    (folder / "samples.jsonl").write_text(tensors.lines("inputs", small.samples))
    (folder / "input.json").write_text(tensors.line("inputs", small.inputs))
    try:
        (folder / "expected.json").write_text(tensors.line("outputs", Steady(small.model).outputs_of(small.inputs)))
    except Undefined:
        pass
    nodes = ", ".join(node.op_type for node in small.model.graph.node)
    (folder / "README").write_text(f"{small.result.verdict}, seed {seed}: {nodes}. {small.result.reason}\n")
    (folder / "want").write_text("either\n")
