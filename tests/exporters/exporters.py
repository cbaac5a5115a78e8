"""The exporters: from what an architecture's function builds to ONNX files."""

import contextlib
import io
import warnings

import numpy as np
import onnx
import torch

from catalogue import Converted, drawn

# Inputs that batch norms take their statistics from.
BATCHES = 16


def seeded(seed):
    """Random weights come out the same again."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    # TorchScript has no operator for the fused layers that inference would take.
    torch.backends.mha.set_fastpath_enabled(False)
    np.random.seed(seed)


def exported(architecture):
    """For each exporter a function that gives the file's bytes; and how inputs are drawn."""
    seeded(architecture.seed)
    built = architecture.build()
    if isinstance(built, Converted):
        model = built.model
        return {"converter": lambda: model.SerializeToString()}, built.inputs
    rng = np.random.default_rng(architecture.seed)
    module = settled(built, rng)
    example = drawn(built.inputs, rng)
    exporters = {"torchscript": False, "dynamo": True}
    return {name: lambda dynamo=dynamo: from_torch(module, example, dynamo) for name, dynamo in exporters.items()}, built.inputs


def settled(built, rng):
    """The module ready for inference; batch norms have the statistics of random batches, as after training."""
    module = built.module
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    if norms:
        for norm in norms:
            norm.momentum = None
        module.train()
        batches = [drawn(built.inputs, rng) for _ in range(BATCHES)]
        stacked = [torch.from_numpy(np.concatenate([batch[name] for batch in batches])) for name in built.inputs]
        with torch.no_grad():
            module(*stacked)
    return module.eval()


def from_torch(module, example, dynamo):
    file = io.BytesIO()
    arguments = tuple(torch.from_numpy(array) for array in example.values())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, arguments, file, dynamo=dynamo, input_names=list(example), verbose=False)
    return without_traces(file.getvalue())


def without_traces(model_bytes):
    """The file without the lines of source that its nodes come from, which name folders of the machine that exported it."""
    model = onnx.load_from_string(model_bytes)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key != "pkg.torch.onnx.stack_trace"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    return model.SerializeToString()
