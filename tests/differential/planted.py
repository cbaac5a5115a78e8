"""Does the machine find faults? onnxruntime itself is the product here: as it is, when no graph may fail; and with a fault put in by hand, when
some must: a value that is clamped to what the samples show, an attribute that is dropped, a label that is rounded."""

import json
from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

import generate
import tensors
from judge import judge
from oracle import Oracle, Undefined
from product import Compiled

# Attributes whose loss is no fault of arithmetic: without them the node is another one, or none.
STRUCTURAL = {"to", "value", "hidden_size", "perm", "equation", "body", "then_branch", "else_branch", "num_scan_inputs"}


class Planted:
    """Takes the place of the command line. `fault` makes another model of a model and its samples, or None where it does not apply."""

    def __init__(self, fault, rng):
        self.fault, self.rng, self.applies = fault, rng, True

    def compile(self, model, samples, folder):
        model = onnx.load(model)
        lines = [line for line in samples.read_text().splitlines() if line]
        self.ports = {value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type) for value in model.graph.input}
        drawn = [self.arrays(line) for line in lines]
        changed = self.fault(model, drawn, self.rng)
        self.applies = changed is not None
        self.oracle = Oracle(changed if self.applies else model)
        ends = {name: [sample[name] for sample in drawn] for name in self.ports}
        return Compiled(folder, {name: (np.min(seen), np.max(seen)) for name, seen in ends.items() if seen[0].dtype.kind != "b"})

    def arrays(self, line):
        read = tensors.read(json.loads(line)["inputs"])
        return {name: array.astype(self.ports[name]) for name, array in read.items()}

    def run(self, compiled, inputs, scratch):
        answers = []
        for given in inputs:
            try:
                outputs = self.oracle.run(given)
            except Undefined as refused:
                answers.append(str(refused))
                continue
            answers.append({name: array.astype(object if array.dtype.kind in "iu" else float) for name, array in outputs.items()})
        return answers

    def stated_error(self, model, samples):
        return 0.003

    def prove(self, *_):
        pass


def nothing(model, samples, rng):
    return model


def clamp(model, samples, rng):
    """A float value is held to nine tenths of what the samples show."""
    outputs = {value.name for value in model.graph.output}
    inner = [n for n in model.graph.node if n.op_type != "Constant" and len(n.output) == 1 and n.output[0] not in outputs]
    if not inner:
        return None
    node = inner[int(rng.integers(len(inner)))]
    name = node.output[0]
    seen = [Oracle(model, [name]).run(sample)[name] for sample in samples[:4]]
    if seen[0].dtype != np.float32 or model.opset_import[0].version < 12 or np.ptp(seen) == 0:
        return None
    changed = copy_of(model)
    bounds = {f"{name}/{end}": np.float32(0.9 * np.quantile(seen, q)) for end, q in (("low", 0), ("high", 1))}
    changed.graph.initializer.extend(numpy_helper.from_array(np.asarray(bound), key) for key, bound in bounds.items())
    place = next(k for k, n in enumerate(model.graph.node) if name in n.output)
    for later in changed.graph.node[place + 1 :]:
        later.input[:] = [f"{name}/held" if operand == name else operand for operand in later.input]
    changed.graph.node.insert(place + 1, helper.make_node("Clip", [name, *bounds], [f"{name}/held"]))
    return changed


def drop_attribute(model, samples, rng):
    """An attribute falls back to its default, where that matters on the samples and no shape changes."""
    places = [(k, a.name) for k, n in enumerate(model.graph.node) for a in n.attribute if n.op_type != "Constant" and a.name not in STRUCTURAL]
    rng.shuffle(places)
    right = Oracle(model).run(samples[0])
    for place, attribute in places:
        changed = copy_of(model)
        node = changed.graph.node[int(place)]
        kept = [a for a in node.attribute if a.name != attribute]
        del node.attribute[:]
        node.attribute.extend(kept)
        try:
            got = Oracle(changed).run(samples[0])
        except Exception:  # It is needed.
            continue
        same_shapes = all(got[name].shape == array.shape and got[name].dtype == array.dtype for name, array in right.items())
        if same_shapes and not all(np.array_equal(got[name], array) for name, array in right.items()):
            return changed
    return None


def round_label(model, samples, rng):
    """An integer output has eleven significant bits."""
    right = Oracle(model).run(samples[0])
    large = [name for name, array in right.items() if array.dtype == np.int64 and (abs(array) > 2**11).any() and (array % 2 == 1).any()]
    if not large:
        return None
    name = large[0]
    changed = copy_of(model)
    for node in changed.graph.node:
        node.output[:] = [f"{name}/exact" if result == name else result for result in node.output]
        node.input[:] = [f"{name}/exact" if operand == name else operand for operand in node.input]
    float16 = helper.make_node("Div", [f"{name}/exact", f"{name}/unit"], [f"{name}/units"])
    changed.graph.node.extend([float16, helper.make_node("Mul", [f"{name}/units", f"{name}/unit"], [name])])
    unit = np.int64(2 ** max(int(np.log2(abs(right[name]).max())) - 11, 1))
    changed.graph.initializer.append(numpy_helper.from_array(np.asarray(unit), f"{name}/unit"))
    return changed


def copy_of(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


FAULTS = {"nothing": nothing, "a clamp": clamp, "a dropped attribute": drop_attribute, "a rounded label": round_label}


def check(seeds):
    """Prints how many of the graphs with each fault fail; the exit code."""
    planted, found, false = Counter(), Counter(), []
    for seed in seeds:
        case = generate.case(seed)
        for kind, fault in FAULTS.items():
            product = Planted(fault, np.random.default_rng([seed, 2]))
            result = judge(case, product, prove=False)
            if not product.applies or result.verdict == "discarded":
                continue
            planted[kind] += 1
            found[kind] += result.verdict != "ran"
            if kind == "nothing" and result.verdict != "ran":
                false.append((seed, result.reason))
    for kind in FAULTS:
        print(f"{kind:22} put into {planted[kind]:4} graphs, found in {found[kind]:4}")
    for seed, reason in false:
        print(f"{seed:6} fails without a fault: {reason}")
    return int(bool(false) or not all(found[kind] for kind in FAULTS if kind != "nothing"))
