"""What zkiln makes of a case."""

import json
import subprocess
from dataclasses import dataclass

import onnx

# What must not be.
FAULTS = ("wrong", "crash", "hang", "unnamed", "broken")


@dataclass
class Verdict:
    """`word` is right, refused, not exported, or one of FAULTS."""

    word: str
    reason: str = ""
    error: float | None = None
    seconds: float = 0.0


def judged(zkiln, case, limit):
    """Compiles the case, and runs, proves and verifies its tests."""
    command = [str(zkiln), "conformance", str(case.parent), "--only", case.name, "--prove", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return Verdict("hang", f"more than {limit} s", seconds=limit)
    try:
        result = next(r for r in json.loads(done.stdout)["results"] if r["name"] == case.name)
    except (ValueError, KeyError, StopIteration):
        return Verdict("crash", f"exit code {done.returncode}: {done.stderr.strip()[-400:]}")
    word, reason = result["verdict"], result["reason"] or ""
    if "panicked" in reason:
        word = "crash"
    elif word == "refused" and not names_a_node(reason, onnx.load(case / "model.onnx")):
        word = "unnamed"
    return Verdict(word, reason, result["error"], result["ms"] / 1000)


def names_a_node(message, model):
    """Whether a message names a node, a value or an operator of the model."""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    names = {name for node in nodes for name in (node.name, node.op_type, *node.input, *node.output)}
    names |= {value.name for value in [*model.graph.input, *model.graph.output]}
    return any(name and name in message for name in names)
