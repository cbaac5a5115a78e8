"""Writes cases of `com.microsoft`'s operators, with what onnxruntime makes of them.

    v/bin/python tests/conformance/microsoft.py FOLDER

Inputs come from a fixed seed; each case is calibrated on its one input.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

RNG = np.random.default_rng(13)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ports(names, arrays):
    def port(name, array):
        return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "data": array.reshape(-1).tolist()}

    return [port(name, array) for name, array in zip(names, arrays)]


def case(folder, name, operator, operands, outputs=1, **attributes):
    """One node; an operand is an input `("name", array)`, a constant `array`, or `None`."""
    inputs, constants, names = {}, [], []
    for at, operand in enumerate(operands):
        if operand is None:
            names.append("")
        elif isinstance(operand, tuple):
            inputs[operand[0]] = np.asarray(operand[1])
            names.append(operand[0])
        else:
            constants.append(numpy_helper.from_array(np.asarray(operand), f"c{at}"))
            names.append(f"c{at}")
    results = [f"y{i}" for i in range(outputs)]
    domain, operator = ("", operator[1:]) if operator.startswith(":") else ("com.microsoft", operator)
    node = helper.make_node(operator, names, results, domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()]
    graph = helper.make_graph([node], name, infos, [onnx.ValueInfoProto(name=n) for n in results], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made = session.run(None, inputs)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(model, place / "model.onnx")
    for file, side, listed in (("input", "inputs", ports(inputs, inputs.values())), ("expected", "outputs", ports(results, made))):
        (place / f"{file}.json").write_text(json.dumps({side: listed}) + "\n")


def attention(folder):
    x, w, b = ("x", normal(1, 4, 8)), normal(8, 24) / 3, normal(24)
    case(folder, "attention", "Attention", [x, w, b], num_heads=2)
    case(folder, "attention_causal", "Attention", [x, w, b], num_heads=2, unidirectional=1)
    past = ("past", normal(2, 1, 2, 3, 4))
    case(folder, "attention_past", "Attention", [x, w, b, None, past], outputs=2, num_heads=2, unidirectional=1)
    kept = np.array([[1, 1, 0, 1]], np.int32)
    case(folder, "attention_mask", "Attention", [x, w, b, kept], num_heads=2)
    q, k, v = (("q", normal(1, 4, 8)), ("k", normal(1, 5, 8)), ("v", normal(1, 5, 8)))
    case(folder, "multi_head", "MultiHeadAttention", [q, k, v], num_heads=2)
    case(folder, "multi_head_bias", "MultiHeadAttention", [q, k, v, normal(24)], num_heads=2, scale=0.3)
    kept = np.array([[1, 0, 1, 1, 1]], np.int32)
    case(folder, "multi_head_mask", "MultiHeadAttention", [q, k, v, None, kept], num_heads=2)
    case(folder, "multi_head_scores", "MultiHeadAttention", [q, k, v, None, None, ("a", normal(1, 2, 4, 5))], num_heads=2)
    caches = [("pk", normal(1, 2, 3, 4)), ("pv", normal(1, 2, 3, 4))]
    own = [("q", normal(1, 2, 8)), ("k", normal(1, 2, 8)), ("v", normal(1, 2, 8))]
    case(folder, "multi_head_past", "MultiHeadAttention", [*own, None, None, None, *caches], outputs=3, num_heads=2)


def grouped(folder):
    q, k, v = ("q", normal(1, 4, 32)), ("k", normal(1, 4, 16)), ("v", normal(1, 4, 16))
    last, total = np.array([3], np.int32), np.array(4, np.int32)
    none = [None, None, last, total]
    heads = {"num_heads": 4, "kv_num_heads": 2}
    case(folder, "grouped", "GroupQueryAttention", [q, k, v, *none], outputs=3, **heads)
    case(folder, "grouped_window", "GroupQueryAttention", [q, k, v, *none], outputs=3, local_window_size=2, **heads)
    q, k, v = ("q", normal(1, 4, 64)), ("k", normal(1, 4, 32)), ("v", normal(1, 4, 32))
    angles = np.arange(8)[:, None] * 0.5 ** np.arange(8)[None]
    caches = [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]
    case(folder, "grouped_rotated", "GroupQueryAttention", [q, k, v, *none, *caches], outputs=3, do_rotary=1, **heads)
    q, k, v = ("q", normal(1, 1, 64)), ("k", normal(1, 1, 32)), ("v", normal(1, 1, 32))
    past = [("pk", normal(1, 2, 3, 16)), ("pv", normal(1, 2, 3, 16))]
    case(folder, "grouped_past", "GroupQueryAttention", [q, k, v, *past, last, total, *caches], outputs=3, do_rotary=1, **heads)


def rotary(folder):
    angles = np.arange(6)[:, None] * 0.5 ** np.arange(4)[None]
    caches = [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]
    x, places = ("x", normal(1, 3, 16)), np.array([[1, 0, 4]], np.int64)
    case(folder, "rotary", "RotaryEmbedding", [x, places, *caches])
    case(folder, "rotary_neighbors", "RotaryEmbedding", [x, np.array([2], np.int64), *caches], interleaved=1)
    case(folder, "rotary_partly", "RotaryEmbedding", [("x", normal(1, 2, 3, 12)), places, *caches], rotary_embedding_dim=8, num_heads=2)


def sums(folder):
    tokens, segments = ("i", np.array([[1, 5, 3]], np.int32)), ("g", np.array([[0, 0, 1]], np.int32))
    tables = [normal(10, 8), normal(4, 8), normal(2, 8), normal(8), normal(8)]
    case(folder, "embedded", "EmbedLayerNormalization", [tokens, segments, *tables], outputs=2)
    x, skip, gain, beta, bias = ("x", normal(1, 3, 8)), ("s", normal(1, 3, 8)), normal(8), normal(8), normal(8)
    case(folder, "skip", "SkipLayerNormalization", [x, skip, gain, beta, bias], epsilon=1e-5)
    case(folder, "skip_simplified", "SkipSimplifiedLayerNormalization", [x, skip, gain, bias], epsilon=1e-5)
    case(folder, "simplified", ":SimplifiedLayerNormalization", [x, gain], axis=-1)


def fused(folder):
    x, bias = ("x", normal(2, 5)), normal(5)
    case(folder, "bias_gelu", "BiasGelu", [x, bias])
    case(folder, "fast_gelu", "FastGelu", [x, bias])
    case(folder, "gelu", "Gelu", [x])
    case(folder, "quick_gelu", "QuickGelu", [x], alpha=1.5)
    case(folder, "fused_matmul", "FusedMatMul", [x, ("z", normal(3, 5))], transB=1, alpha=0.5)
    case(folder, "fused_gemm", "FusedGemm", [x, normal(5, 3), normal(3)], alpha=0.5, beta=2.0, activation="Relu")


def integers(folder):
    x, w = ("x", normal(2, 8)), RNG.integers(-127, 127, (8, 3)).astype(np.int8)
    scale, zero = np.float32(0.02), np.int8(0)
    case(folder, "dynamic_quantize_matmul", "DynamicQuantizeMatMul", [x, w, scale, zero, normal(3)])
    q = ("q", RNG.integers(0, 255, (2, 8)).astype(np.uint8))
    case(folder, "matmul_integer_to_float", "MatMulIntegerToFloat", [q, w, np.float32(0.03), scale, np.uint8(120), zero])
    parts = [("a", RNG.integers(0, 255, (2, 3)).astype(np.uint8)), np.float32(0.03), np.uint8(120)]
    parts += [RNG.integers(0, 255, (2, 2)).astype(np.uint8), np.float32(0.05), np.uint8(110)]
    case(folder, "qlinear_concat", "QLinearConcat", [np.float32(0.05), np.uint8(110), *parts], axis=1)
    pooled = ("x", RNG.integers(0, 255, (1, 2, 4, 4)).astype(np.uint8))
    quantized = [pooled, np.float32(0.03), np.uint8(120), np.float32(0.03), np.uint8(110)]
    case(folder, "qlinear_average_pool", "QLinearAveragePool", quantized, kernel_shape=[2, 2], strides=[2, 2])


def blocks(folder):
    packed = RNG.integers(0, 256, (6, 2, 8)).astype(np.uint8)
    scales, zeros = np.abs(normal(12)) / 8, RNG.integers(0, 256, 6).astype(np.uint8)
    sizes = {"K": 32, "N": 6, "bits": 4, "block_size": 16}
    case(folder, "matmul_4_bits", "MatMulNBits", [("x", normal(2, 32)), packed, scales], **sizes)
    case(folder, "matmul_4_bits_zeros", "MatMulNBits", [("x", normal(2, 32)), packed, scales, zeros], **sizes)


def convolutions(folder):
    x, kernel, bias = ("x", normal(1, 2, 5, 5)), normal(4, 2, 3, 3) / 3, normal(4)
    leaky = {"activation": "LeakyRelu", "activation_params": [0.1]}
    case(folder, "fused_conv", "FusedConv", [x, kernel, bias], pads=[1, 1, 1, 1], strides=[2, 2], **leaky)
    case(folder, "fused_conv_sum", "FusedConv", [x, kernel, bias, ("z", normal(1, 4, 3, 3))], activation="Relu")


def groups(folder):
    packed = RNG.integers(0, 256, (6, 2, 8)).astype(np.uint8)
    scales, order = np.abs(normal(12)) / 8, RNG.integers(0, 2, 32).astype(np.int32)
    sizes = {"K": 32, "N": 6, "bits": 4, "block_size": 16}
    case(folder, "matmul_4_bits_groups", "MatMulNBits", [("x", normal(2, 32)), packed, scales, None, order], **sizes)


if __name__ == "__main__":
    for write in (attention, grouped, rotary, sums, fused, integers, blocks, convolutions, groups):
        write(pathlib.Path(sys.argv[1]))
