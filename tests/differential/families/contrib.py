"""Operators of com.microsoft, as onnxruntime's optimizers and exporters of language models write them."""

import numpy as np

from families import idiom
from families.attention import project, sequence
from families.quantized import BITS8, contrib, needs, parameters, quantize

DOMAIN = "com.microsoft"


def fused(b, operator, operands, **attributes):
    return b.node(operator, operands, domain=DOMAIN, **attributes)


def floats(b, rank=None, fits=lambda v: True):
    needs(b, 9)
    return b.within(b.real(rank=rank, fits=fits), 20.0)


@idiom(weight=4)
def gelu(b):
    x = floats(b, fits=lambda v: v.rank > 0)
    operator = b.one_of(["Gelu", "BiasGelu", "FastGelu", "QuickGelu"])
    if operator == "BiasGelu":
        return fused(b, operator, [x, b.bias(x.shape[-1])])
    if operator == "FastGelu":
        return fused(b, operator, [x, b.bias(x.shape[-1]) if b.chance(0.5) else None])
    return fused(b, operator, [x], **({"alpha": 1.702} if operator == "QuickGelu" else {}))


@idiom(weight=1.3)
def fused_matmul(b):
    x = floats(b, fits=lambda v: v.rank in (2, 3))
    turned = b.between(0, 1)
    shape = (b.between(1, 8), x.shape[-1])
    return fused(b, "FusedMatMul", [x, b.weight(*(shape if turned else shape[::-1]))], transB=turned, alpha=b.one_of([1.0, 0.125]))


@idiom(weight=1.3)
def fused_gemm(b):
    x = floats(b, rank=2)
    n = b.between(1, 12)
    activation = b.one_of(["Relu", "Tanh", "Sigmoid"])
    return fused(b, "FusedGemm", [x, b.weight(n, x.shape[1], fan_in=x.shape[1]), b.bias(n)], transB=1, activation=activation)


def gamma(b, count):
    return b.constant(b.rng.uniform(0.5, 1.5, count), stem="gamma")


@idiom(weight=4)
def skip_layer_normalization(b):
    x = floats(b, rank=3, fits=lambda v: v.shape[-1] > 2)
    skip = b.within(b.real(shape=x.shape), 20.0)
    if b.chance(0.4):
        return fused(b, "SkipSimplifiedLayerNormalization", [x, skip, gamma(b, x.shape[-1])], epsilon=1e-5)
    operands = [x, skip, gamma(b, x.shape[-1]), b.bias(x.shape[-1])]
    return fused(b, "SkipLayerNormalization", operands, epsilon=1e-5)


@idiom(weight=1.3)
def simplified_layer_normalization(b):
    x = floats(b, rank=b.between(2, 3), fits=lambda v: v.shape[-1] > 2)
    return b.node("SimplifiedLayerNormalization", [x, gamma(b, x.shape[-1])], axis=-1, epsilon=b.one_of([1e-5, 1e-6]))


@idiom(weight=1.3)
def embed_layer_normalization(b):
    needs(b, 9)
    vocabulary, width = b.between(5, 40), b.one_of([4, 8])
    ids = b.whole(np.int32, rank=2, low=0, high=vocabulary - 1, fits=lambda v: v.size <= 24)
    words, places = (b.constant(b.rng.standard_normal((rows, width)), stem="table") for rows in (vocabulary, ids.shape[1]))
    return fused(b, "EmbedLayerNormalization", [ids, None, words, places, None, gamma(b, width), b.bias(width)], outputs=2)[0]


@idiom(weight=1.3)
def fused_attention(b):
    x = floats(b, rank=3, fits=lambda v: v.shape[2] % 2 == 0 and 2 <= v.shape[1] and v.size <= 200)
    width = x.shape[2]
    weights = [b.weight(width, 3 * width, fan_in=width), b.bias(3 * width)]
    return fused(b, "Attention", [x, *weights], num_heads=b.one_of([1, 2]), unidirectional=b.between(0, 1))


@idiom(weight=1.3)
def multi_head_attention(b):
    needs(b, 9)
    x = sequence(b)
    return fused(b, "MultiHeadAttention", [project(b, x) for _ in range(3)], num_heads=b.one_of([1, 2]))


@idiom(weight=2)
def group_query_attention(b):
    needs(b, 9)
    x = b.within(b.real(rank=3, fits=lambda v: v.shape[0] == 1 and 2 <= v.shape[1] <= 6 and v.size <= 100), 5.0)
    groups = b.one_of([1, 2])
    # Depths are multiples of eight.
    q, k, v = project(b, x, 16 * groups), project(b, x, 8 * groups), project(b, x, 8 * groups)
    lengths = [b.constant([x.shape[1] - 1], dtype=np.int32), b.constant(x.shape[1], dtype=np.int32)]
    return fused(b, "GroupQueryAttention", [q, k, v, None, None, *lengths], outputs=3, num_heads=2 * groups, kv_num_heads=groups)[0]


@idiom(weight=1.3)
def fused_rotary_embedding(b):
    needs(b, 9)
    x = b.within(b.real(rank=3, fits=lambda v: v.shape[0] == 1 and v.shape[2] % 2 == 0), 10.0)
    half = x.shape[2] // 2
    angles = np.arange(x.shape[1])[:, None] / 10 ** (np.arange(half) / half)
    places = b.constant(np.arange(x.shape[1])[None], dtype=np.int64)
    return fused(b, "RotaryEmbedding", [x, places, b.constant(np.cos(angles)), b.constant(np.sin(angles))], interleaved=b.between(0, 1))


@idiom(weight=2)
def product_with_4_bits(b):
    x = floats(b, rank=2, fits=lambda v: v.shape[1] % 2 == 0)
    width, n, block = x.shape[1], b.between(1, 6), 16
    blocks = -(-width // block)
    packed = b.constant(b.rng.integers(0, 256, (n, blocks, block // 2)), dtype=np.uint8, stem="w")
    scales = b.constant(b.rng.uniform(0.05, 0.2, n * blocks) / np.sqrt(width), stem="scale")
    return fused(b, "MatMulNBits", [x, packed, scales], K=width, N=n, bits=4, block_size=block)


@idiom(since=11, weight=3)
def product_with_8_bits(b):
    """DynamicQuantizeMatMul, or MatMulIntegerToFloat of what was quantised."""
    x = floats(b, rank=2, fits=lambda v: v.size > 3)
    n = b.between(1, 6)
    w, w_scale = b.constant(b.rng.integers(-100, 100, (x.shape[1], n)), dtype=np.int8, stem="w"), b.constant(0.01, dtype=np.float32)
    if b.chance(0.5):
        return fused(b, "DynamicQuantizeMatMul", [x, w, w_scale, b.constant(0, dtype=np.int8), b.bias(n)])
    q, scale, zero = quantize(b, x, np.uint8)
    return fused(b, "MatMulIntegerToFloat", [q, w, scale, w_scale, zero, b.constant(0, dtype=np.int8), b.bias(n)])


@idiom(since=21, weight=2.2)
def gather_of_4_bits(b):
    """An embedding whose rows are in blocks of sixteen."""
    needs(b, 21)
    rows, width = b.between(4, 20), 32
    ids = b.whole(np.int64, rank=1, low=0, high=rows - 1, fits=lambda v: v.size <= 12)
    packed = b.constant(b.rng.integers(0, 256, (rows, width // 2)), dtype=np.uint8, stem="w")
    scales = b.constant(b.rng.uniform(0.05, 0.2, (rows, width // 16)), stem="scale")
    attributes = {"gather_axis": 0, "quantize_axis": 1, "block_size": 16, "bits": 4}
    return fused(b, "GatherBlockQuantized", [packed, ids, scales], **attributes)


@idiom(since=10, weight=1.5)
def qlinear_average_pool(b):
    needs(b, 10)
    x = b.real(rank=4, fits=lambda v: min(v.shape[2:]) >= 2)
    return contrib(b, "QLinearAveragePool", quantize(b, x, np.uint8), x.magnitude, np.uint8, kernel_shape=[2, 2], strides=[2, 2])


@idiom(since=10, weight=1.3)
def qlinear_concat(b):
    needs(b, 10)
    dtype = b.one_of(BITS8)
    x = b.real(rank=2)
    y = b.real(shape=x.shape)
    scale, zero = parameters(b, max(x.magnitude, y.magnitude, 1e-3) / 110, 128 if dtype == np.uint8 else 0, dtype)
    pairs = [*quantize(b, x, dtype), *quantize(b, y, dtype)]
    joined = fused(b, "QLinearConcat", [scale, zero, *pairs], axis=1)
    return b.node("DequantizeLinear", [joined, scale, zero])


@idiom(since=10, weight=1.3)
def qlinear_softmax(b):
    needs(b, 10)
    x = b.within(b.real(rank=2, fits=lambda v: v.shape[-1] > 1), 10.0)
    scale, zero = parameters(b, 1 / 256, 0, np.uint8)
    y = fused(b, "QLinearSoftmax", [*quantize(b, x, np.uint8), scale, zero], axis=-1, opset=13)
    return b.node("DequantizeLinear", [y, scale, zero])
