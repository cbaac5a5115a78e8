#!/usr/bin/env python3
"""Writes signatures.txt beside this file: `pip install onnx==1.23.2 onnxruntime==1.31.1`, then run it. The schemas are ONNX's own; those of
`com.microsoft`, and a few of the standard domain that optimizers write, are onnxruntime's."""
import re
from pathlib import Path

import onnx.defs
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

KINDS = {"FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "SPARSE_TENSOR": "z", "TYPE_PROTO": "p",
         "FLOATS": "F", "INTS": "I", "STRINGS": "S", "TENSORS": "T", "GRAPHS": "G", "SPARSE_TENSORS": "Z", "TYPE_PROTOS": "P"}
DOMAINS = ["", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"]

HEAD = """\
# Signatures of operators, made by signatures.py from onnx {onnx} and onnxruntime {ort}.
# A line `= N` has the element types of a set; `other` stands for what is no tensor.
# A line for each version: name, first opset, operands, results, the set of each letter's types, attributes with their types, ! if required.
# An operand or result is a letter for its type, the same where types must be equal, and ! required, ? optional, * variadic,
# ~ variadic of types that may differ. `deprecated` in place of all that: there is none from this opset on.
"""


def name(value):
    return str(value).rsplit(".", 1)[-1].upper()


def elements(types):
    """Element types, in words; `other` for what is no tensor."""
    named = re.compile(r"tensor\((\w+)\)")
    found = {match[1] if (match := named.fullmatch(of)) else "other" for of in types}
    return " ".join(sorted(found))


def signature(schema, sets):
    if schema.deprecated:
        return f"{schema.name} {schema.since_version} deprecated"
    marks = {"SINGLE": "!", "OPTIONAL": "?", "VARIADIC": "*"}
    types = {constraint.type_param_str: list(constraint.allowed_type_strs) for constraint in schema.type_constraints}
    letters = {}

    def letter(operand):
        of = getattr(operand, "type_str", None) or getattr(operand, "typeStr", "")
        types.setdefault(of, [of])
        return letters.setdefault(of, "abcdefghijklmnopqrstuvwxyz"[len(letters)])

    def mark(port):
        unlike = name(port.option) == "VARIADIC" and not getattr(port, "is_homogeneous", getattr(port, "isHomogeneous", True))
        return "~" if unlike else marks[name(port.option)]

    def marked(ports):
        return "".join(letter(port) + mark(port) for port in ports) or "-"

    operands, results = marked(schema.inputs), marked(schema.outputs)
    allowed = [f"{letter}={sets.setdefault(elements(types[of]), len(sets))}" for of, letter in letters.items()]
    attributes = [f"{key}:{KINDS[name(a.type)]}{'!' if a.required else ''}" for key, a in sorted(schema.attributes.items())]
    return " ".join([schema.name, str(schema.since_version), operands, results, *allowed, *attributes])


def main():
    import onnx
    import onnxruntime

    ours = onnx.defs.get_all_schemas_with_history()
    known = {(schema.domain, schema.name, schema.since_version) for schema in ours}
    of_runtime = [schema for schema in get_all_operator_schema() if (schema.domain, schema.name, schema.since_version) not in known]
    lines, sets = [], {}
    for domain in DOMAINS:
        schemas = [schema for schema in [*ours, *of_runtime] if schema.domain == domain]
        newest = onnx.defs.onnx_opset_version() if domain == "" else max(schema.since_version for schema in schemas)
        lines += ["", f"[{domain or 'ai.onnx'} {newest}]"]
        lines += [signature(schema, sets) for schema in sorted(schemas, key=lambda s: (s.name, s.since_version))]
    head = HEAD.format(onnx=onnx.__version__, ort=onnxruntime.__version__).rstrip()
    known = [f"= {number} {types}" for types, number in sets.items()]
    Path(__file__).with_name("signatures.txt").write_text("\n".join([head, "", *known, *lines]) + "\n")


if __name__ == "__main__":
    main()
