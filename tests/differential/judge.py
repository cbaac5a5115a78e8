"""What the product makes of one graph: a verdict for the graph, and one for each input that it is run on."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx

import tensors
from compare import MOST, TOLERANCE, differences, reach, typical_reach
from oracle import Undefined
from product import Fault, Refused
from stability import Disturbed

SAMPLES = 24
# An output of which more than this share is undecided measures nothing.
MEASURES = 0.5
BAD = ("wrong", "crash", "hang", "unverified", "unnamed")


@dataclass
class Test:
    """An input, and what is right for it; `None` where the oracle has no answer."""

    kind: str
    inputs: dict
    outputs: dict | None
    scale: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)
    skip: dict = field(default_factory=dict)


@dataclass
class Result:
    """`verdict` is ran, refused, discarded, or one of BAD."""

    seed: int
    verdict: str
    reason: str = ""
    # Of each input: (its kind, right | coarse | error | wrong).
    inputs: list = field(default_factory=list)
    signature: tuple = ()
    failing: Test | None = None
    samples: list = field(default_factory=list)
    proved: bool = False
    stable: float = 1.0
    # How many nodes there are of each operator and type.
    operators: Counter = field(default_factory=Counter)


class Experiment:
    """A model with its samples, ready to be tried on the product."""

    def __init__(self, model, samples, oracle):
        self.model, self.samples, self.oracle = model, samples, oracle
        values = [oracle.values(sample) for sample in samples]
        self.operators = operators(model, values[0])
        self.typical = {name: typical_reach([made[name] for made in values]) for name in values[0]}

    def test(self, kind, inputs, rng):
        try:
            outputs = self.oracle.outputs_of(inputs)
        except Undefined:
            return Test(kind, inputs, None)
        own = {name: reach(array) for name, array in outputs.items()}
        scale = {name: max(self.typical[name], own[name]) for name in outputs}
        skip = self.oracle.undecided(inputs, outputs, self.typical, rng)
        return Test(kind, inputs, outputs, scale, own, skip)


class Steady(Disturbed):
    """The oracle of a whole model: its outputs, and which elements of them are decided."""

    def outputs_of(self, inputs):
        values = self.values(inputs)
        return {value.name: values[value.name] for value in self.model.graph.output}


def judge(case, product, prove):
    """Compiles the graph on samples and tries it on inputs that are none of them."""
    rng = np.random.default_rng([case.seed, 1])
    oracle = Steady(case.model)
    samples = finite_samples(case, oracle, rng)
    if samples is None:
        return Result(case.seed, "discarded", "samples whose outputs are not finite")
    experiment = Experiment(case.model, samples, oracle)
    inputs = [("like", case.draw(rng)), ("like", case.draw(rng)), ("0.3", case.quiet(rng, 0.3)), ("0.1", case.quiet(rng, 0.1))]
    tests = [experiment.test(kind, drawn, rng) for kind, drawn in inputs]
    stable = share_decided(tests)
    if stable < MEASURES:
        return Result(case.seed, "discarded", "ill-conditioned", stable=stable)

    def at_ends(accepted):
        return experiment.test("ends", case.at_ends(rng, accepted), rng)

    with tempfile.TemporaryDirectory() as scratch:
        result = compiled_and_tried(experiment, tests, product, Path(scratch), prove, at_ends)
    return replace(result, seed=case.seed, stable=stable, samples=samples, operators=experiment.operators)


def compiled_and_tried(experiment, tests, product, scratch, prove, at_ends=None):
    """The verdict on a model; `at_ends` makes one more test, of what the compiled model accepts."""
    try:
        compiled = compiled_of(experiment, product, scratch)
    except Refused as refused:
        verdict = "refused" if names_node(str(refused), experiment.model) else "unnamed"
        return Result(-1, verdict, str(refused), failing=tests[0])
    except Fault as fault:
        return Result(-1, fault.kind, fault.text, failing=tests[0])
    if at_ends:
        tests = [*tests, at_ends(compiled.accepted)]
    return tried(experiment, compiled, tests, product, scratch, prove)


def finite_samples(case, oracle, rng):
    samples = []
    for _ in range(2 * SAMPLES):
        drawn = case.draw(rng)
        try:
            outputs = oracle.outputs_of(drawn)
        except Undefined:
            continue
        if all(np.isfinite(a).all() for a in outputs.values() if a.dtype.kind == "f"):
            samples.append(drawn)
        if len(samples) == SAMPLES:
            return samples
    return None


def share_decided(tests):
    """The share of output elements that are decided, over the tests that the oracle answers."""
    masks = [mask.reshape(-1) for test in tests if test.outputs is not None for mask in test.skip.values()]
    return float(1 - np.concatenate(masks).mean()) if masks else 0.0


def compiled_of(experiment, product, scratch):
    onnx.save(experiment.model, scratch / "model.onnx")
    (scratch / "samples.jsonl").write_text(tensors.lines("inputs", experiment.samples))
    return product.compile(scratch / "model.onnx", scratch / "samples.jsonl", scratch / "compiled")


def tried(experiment, compiled, tests, product, scratch, prove):
    """The verdict on the tests of a compiled model."""
    result = Result(-1, "ran")
    try:
        answers = product.run(compiled, [test.inputs for test in tests], scratch)
        tolerance = None
        for test, answer in zip(tests, answers, strict=True):
            verdict, reason = of_answer(test, answer, TOLERANCE)
            if verdict == "wrong" and test.outputs is not None:
                tolerance = tolerance or stated(product, scratch)
                verdict, reason = of_answer(test, answer, tolerance)
            result.inputs.append((test.kind, verdict))
            if verdict in BAD and result.verdict == "ran":
                result.verdict, result.reason, result.failing = verdict, f"{test.kind}: {reason}", test
        answered = [(test, answer) for test, answer in zip(tests, answers, strict=True) if isinstance(answer, dict)]
        if prove and answered:
            test, answer = answered[0]
            result.failing = result.failing or test
            product.prove(compiled, test.inputs, answer, scratch)
            result.proved = True
    except Fault as fault:
        result.verdict, result.reason, result.failing = fault.kind, fault.text, result.failing or tests[0]
    return result


def stated(product, scratch):
    """The tolerance by the error that `check` states."""
    error = product.stated_error(scratch / "model.onnx", scratch / "samples.jsonl")
    return min(MOST, max(TOLERANCE, 3 * error))


def of_answer(test, answer, tolerance):
    """Right, coarse, error or wrong, and why."""
    if not isinstance(answer, dict):
        return ("crash" if "panicked" in answer else "error"), answer
    if test.outputs is None:
        return "wrong", "there is an answer where onnxruntime has none"
    worst = max(differences(test.outputs, answer, test.scale, test.skip), key=lambda d: d.relative)
    if not worst.relative <= tolerance:
        return "wrong", str(worst)
    worst = max(differences(test.outputs, answer, test.own, test.skip), key=lambda d: d.relative)
    return ("right", "") if worst.relative <= tolerance else ("coarse", str(worst))


def names_node(message, model):
    """Whether a refusal names a node, a value or an operator of the model."""
    names = {node.name for node in model.graph.node} | {node.op_type for node in model.graph.node}
    names |= {name for node in model.graph.node for name in [*node.input, *node.output]}
    return any(name and name in message for name in names)


def operators(model, values):
    """How many nodes there are of each operator and type: that of the first operand that is computed, or of the result."""
    counted = Counter()
    for node in model.graph.node:
        known = [name for name in [*node.input, *node.output] if name in values]
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        counted[name, str(values[known[0]].dtype)] += 1
    return counted
