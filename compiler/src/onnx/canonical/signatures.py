#!/usr/bin/env python3
"""Writes signatures.txt beside this file: `pip install onnx==1.23.2 onnxruntime==1.31.1`, then run it. The schemas are ONNX's own; those of
`com.microsoft`, and a few of the standard domain that optimizers write, are onnxruntime's."""
from pathlib import Path

import onnx.defs
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

KINDS = {"FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "SPARSE_TENSOR": "z", "TYPE_PROTO": "p",
         "FLOATS": "F", "INTS": "I", "STRINGS": "S", "TENSORS": "T", "GRAPHS": "G", "SPARSE_TENSORS": "Z", "TYPE_PROTOS": "P"}
DOMAINS = ["", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"]

HEAD = """\
# Signatures of operators, made by signatures.py from onnx {onnx} and onnxruntime {ort}.
# A line for each version: name, first opset, operands, most results (* if variadic), attributes with their types, ! if required.
# An operand is a letter for its type, the same where types must be equal and - where they need not, and ! required, ? optional,
# * variadic. `deprecated` in place of all that: there is none from this opset on.
"""


def name(value):
    return str(value).rsplit(".", 1)[-1].upper()


def signature(schema):
    if schema.deprecated:
        return f"{schema.name} {schema.since_version} deprecated"
    marks = {"SINGLE": "!", "OPTIONAL": "?", "VARIADIC": "*"}
    letters = {constraint.type_param_str: "abcdefghijklmnopqrstuvwxyz"[at] for at, constraint in enumerate(schema.type_constraints)}

    def letter(operand):
        unlike = name(operand.option) == "VARIADIC" and not getattr(operand, "is_homogeneous", getattr(operand, "isHomogeneous", True))
        return "-" if unlike else letters.get(getattr(operand, "type_str", None) or getattr(operand, "typeStr", ""), "-")

    operands = "".join(letter(operand) + marks[name(operand.option)] for operand in schema.inputs) or "-"
    results = "*" if any(name(result.option) == "VARIADIC" for result in schema.outputs) else str(len(schema.outputs))
    attributes = [f"{key}:{KINDS[name(a.type)]}{'!' if a.required else ''}" for key, a in sorted(schema.attributes.items())]
    return " ".join([schema.name, str(schema.since_version), operands, results, *attributes])


def main():
    import onnx
    import onnxruntime

    ours = onnx.defs.get_all_schemas_with_history()
    known = {(schema.domain, schema.name, schema.since_version) for schema in ours}
    of_runtime = [schema for schema in get_all_operator_schema() if (schema.domain, schema.name, schema.since_version) not in known]
    lines = [HEAD.format(onnx=onnx.__version__, ort=onnxruntime.__version__).rstrip()]
    for domain in DOMAINS:
        schemas = [schema for schema in [*ours, *of_runtime] if schema.domain == domain]
        newest = onnx.defs.onnx_opset_version() if domain == "" else max(schema.since_version for schema in schemas)
        lines += ["", f"[{domain or 'ai.onnx'} {newest}]"]
        lines += [signature(schema) for schema in sorted(schemas, key=lambda s: (s.name, s.since_version))]
    Path(__file__).with_name("signatures.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
