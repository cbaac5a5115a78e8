"""docs/models.md: the models, and how far zkiln is from onnxruntime on each."""

from itertools import groupby

HEAD = """# Models

Made by `.ci/full`, or `python tests/exporters --zkiln target/release/zkiln --table docs/models.md`:
[tests/exporters/](../tests/exporters/README.md) says how to install what that needs.

Architectures as their exporters write them, small and with random weights; scikit-learn's and boosting libraries' are fitted to small tables. Each
is calibrated on {samples} samples and run on {tests} other inputs, each of which is proved and verified. The percentage is the greatest difference
from onnxruntime, relative to the spread of the output; integers are equal. torch exports in two ways: through TorchScript (`dynamo=False`) and
through `torch.export` (`dynamo=True`).

**{right} of {count} architectures are right within 1 % and proved, by all of their exporters**: {files} of {of_files} files.
"""
EXPORTERS = {"converter": "converter", "torchscript": "TorchScript", "dynamo": "`torch.export`"}


def right(verdicts):
    """Whether all files of an architecture are right."""
    exported = [verdict for verdict in verdicts.values() if verdict.word != "not exported"]
    return bool(exported) and all(verdict.word == "right" for verdict in exported)


def cell(verdict):
    return f"{100 * verdict.error:.2f} %" if verdict.word == "right" else f"**{verdict.word}**"


def text(results, sizes, samples, tests):
    """`results` has for each architecture the verdict of each exporter; `sizes` the bytes of its greatest file."""
    every = [verdict for verdicts in results.values() for verdict in verdicts.values() if verdict.word != "not exported"]
    counts = {"right": sum(map(right, results.values())), "count": len(results)}
    counts |= {"files": sum(verdict.word == "right" for verdict in every), "of_files": len(every)}
    parts = [HEAD.format(samples=samples, tests=tests, **counts)]
    for heading, group in groupby(results, key=lambda architecture: architecture.family):
        members = list(group)
        columns = [name for name in EXPORTERS if any(name in results[member] for member in members)]
        lines = [["model", "size", *(EXPORTERS[name] for name in columns)], ["---"] * (2 + len(columns))]
        for member in members:
            cells = [cell(results[member][name]) if name in results[member] else "" for name in columns]
            lines.append([member.name, f"{sizes[member] / 1024:.1f} kB", *cells])
        parts.append(f"## {heading}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    others = [(a, name, v) for a, verdicts in results.items() for name, v in verdicts.items() if v.word != "right"]
    if others:
        listed = "".join(f"- {a.name}, {EXPORTERS[name]}: {v.word}: {reason(v)}\n" for a, name, v in others)
        parts.append(f"## Not right\n\n{listed}")
    return "\n".join(parts)


def reason(verdict):
    """Its last line: what is before it is how it came to that."""
    lines = [line.strip() for line in verdict.reason.splitlines() if line.strip()]
    return lines[-1] if lines else ""
