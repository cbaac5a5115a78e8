"""Quantised models: QuantizeLinear and DequantizeLinear around floats, QLinear operators, integer products."""

import numpy as np

from builder import Impossible
from families import idiom

BITS8 = [np.uint8, np.int8]
BITS16 = [np.uint16, np.int16]


def scale_of(b, value, dtype):
    """Scale and zero point that cover the value, as a calibrator of quantisers chooses them."""
    info = np.iinfo(dtype)
    low, high = min(value.low, 0.0), max(value.high, 1e-3)
    if info.min < 0 and b.chance(0.6):
        return max(-low, high) / info.max, 0
    scale = (high - low) / (info.max - info.min)
    return scale, int(np.clip(round(info.min - low / scale), info.min, info.max))


def parameters(b, scale, zero, dtype):
    return b.constant(scale, dtype=np.float32, stem="scale"), b.constant(zero, dtype=dtype, stem="zero")


def kind(b):
    """A type of quantised activations."""
    if b.opset >= 21 and b.chance(0.2):
        return b.one_of(BITS16)
    return b.one_of(BITS8)


def quantize(b, x, dtype):
    scale, zero = parameters(b, *scale_of(b, x, dtype), dtype)
    return b.node("QuantizeLinear", [x, scale, zero]), scale, zero


def fake(b, x, dtype=None):
    """Quantised and dequantised."""
    q, scale, zero = quantize(b, x, dtype or kind(b))
    return b.node("DequantizeLinear", [q, scale, zero])


def quantized_weight(b, array, axis=None):
    """A dequantised int8 weight, with a scale for all of it or for each channel of an axis."""
    if axis is None or b.opset < 13:
        scale, zeros, attributes = np.abs(array).max() / 127, np.int8(0), {}
        q = np.round(array / scale)
    else:
        others = tuple(k for k in range(array.ndim) if k != axis)
        scale = np.abs(array).max(axis=others) / 127
        shape = [-1 if k == axis else 1 for k in range(array.ndim)]
        q, zeros, attributes = np.round(array / scale.reshape(shape)), np.zeros(scale.shape, dtype=np.int8), {"axis": axis}
    weight = b.constant(np.clip(q, -127, 127), dtype=np.int8, stem="w")
    node = b.node("DequantizeLinear", [weight, b.constant(scale, dtype=np.float32), b.constant(zeros, dtype=np.int8)], **attributes)
    return node, np.asarray(scale, dtype=np.float32)


def bias_of(b, count, x_scale, w_scale):
    """A dequantised int32 bias in units of the product of the scales."""
    scale = np.float32(x_scale.probes[0]) * np.broadcast_to(w_scale, (count,))
    q = b.constant(b.rng.integers(-400, 400, count), dtype=np.int32)
    if b.opset < 13:
        if len(set(scale.tolist())) > 1:
            raise Impossible("per channel is of opset 13")
        return b.node("DequantizeLinear", [q, b.constant(scale[0], dtype=np.float32)])
    return b.node("DequantizeLinear", [q, b.constant(scale, dtype=np.float32)], axis=0)


def needs(b, opset):
    if b.opset < opset or b.real_type != np.float32:
        raise Impossible(f"of opset {opset} and float32")


@idiom(since=10, weight=2)
def qdq_gemm(b):
    needs(b, 10)
    x = b.real(rank=2)
    q, x_scale, x_zero = quantize(b, x, kind(b))
    n = b.between(1, 12)
    array = b.rng.standard_normal((n, x.shape[1]))
    w, w_scale = quantized_weight(b, array, 0 if b.chance(0.4) else None)
    bias = bias_of(b, n, x_scale, w_scale)
    y = b.node("Gemm", [b.node("DequantizeLinear", [q, x_scale, x_zero]), w, bias], transB=1)
    return fake(b, b.node("Relu", [y]) if b.chance(0.5) else y)


@idiom(since=10, weight=2)
def qdq_matmul(b):
    needs(b, 10)
    x = fake(b, b.real(rank=b.between(2, 3)))
    if b.chance(0.6):
        w, _ = quantized_weight(b, b.rng.standard_normal((x.shape[-1], b.between(1, 12))), 1 if b.chance(0.4) else None)
    else:
        w = fake(b, b.real(shape=(x.shape[-1], b.between(2, 6))))
    return fake(b, b.node("MatMul", [x, w]))


@idiom(since=10, weight=2)
def qdq_conv(b):
    needs(b, 10)
    x = b.real(rank=4, fits=lambda v: min(v.shape[2:]) >= 3)
    q, x_scale, x_zero = quantize(b, x, kind(b))
    out = b.between(1, 4)
    w, w_scale = quantized_weight(b, b.rng.standard_normal((out, x.shape[1], 3, 3)), 0 if b.chance(0.5) else None)
    bias = bias_of(b, out, x_scale, w_scale)
    y = b.node("Conv", [b.node("DequantizeLinear", [q, x_scale, x_zero]), w, bias], kernel_shape=[3, 3], pads=[1] * 4)
    y = fake(b, b.node("Relu", [y]) if b.chance(0.6) else y)
    if b.chance(0.4) and min(y.shape[2:]) >= 2:
        y = fake(b, b.node(b.one_of(["MaxPool", "AveragePool"]), [y], kernel_shape=[2, 2], strides=[2, 2]))
    return y


@idiom(since=10, weight=1.5)
def qdq_add(b):
    needs(b, 10)
    x = b.real()
    operator = b.one_of(["Add", "Add", "Mul"])
    return fake(b, b.node(operator, [fake(b, b.within(x, 100.0)), fake(b, b.within(b.real(shape=x.shape), 100.0))]))


@idiom(since=10, weight=1.5)
def qdq_alone(b):
    needs(b, 10)
    return fake(b, b.real())


@idiom(since=10)
def quantized_output(b):
    needs(b, 10)
    return quantize(b, b.real(), kind(b))[0]


@idiom(since=10)
def qdq_global_pool(b):
    needs(b, 10)
    return fake(b, b.node("GlobalAveragePool", [fake(b, b.real(rank=4))]))


@idiom(since=10, weight=1.5)
def qlinear_matmul(b):
    needs(b, 10)
    dtype = b.one_of(BITS8)
    q, x_scale, x_zero = quantize(b, b.real(rank=2), dtype)
    w = b.constant(b.rng.integers(-100, 100, (q.shape[1], b.between(1, 8))), dtype=np.int8, stem="w")
    w_scale = b.constant(0.01, dtype=np.float32)
    product = (q.probes[0].astype(float) - float(x_zero.probes[0])) @ w.probes[0].astype(float) * float(x_scale.probes[0]) * 0.01
    out = max(abs(product).max(), 1e-3) / 100
    scale, zero = parameters(b, out, 128 if dtype == np.uint8 else 0, dtype)
    y = b.node("QLinearMatMul", [q, x_scale, x_zero, w, w_scale, b.constant(0, dtype=np.int8), scale, zero])
    return b.node("DequantizeLinear", [y, scale, zero]) if b.chance(0.7) else y


@idiom(since=10, weight=1.5)
def qlinear_conv(b):
    needs(b, 10)
    x = b.real(rank=4, fits=lambda v: min(v.shape[2:]) >= 3)
    q, x_scale, x_zero = quantize(b, x, np.uint8)
    out = b.between(1, 4)
    w = b.constant(b.rng.integers(-100, 100, (out, x.shape[1], 3, 3)), dtype=np.int8, stem="w")
    w_scale = b.constant(b.rng.uniform(0.005, 0.02, out) if b.chance(0.4) else 0.01, dtype=np.float32)
    w_zero = b.constant(np.zeros(w_scale.shape), dtype=np.int8)
    bias = b.constant(b.rng.integers(-300, 300, out), dtype=np.int32) if b.chance(0.7) else None
    reach = x.magnitude * np.sqrt(x.shape[1] * 9) * 0.6
    scale, zero = parameters(b, max(reach, 1e-3) / 100, 110, np.uint8)
    y = b.node("QLinearConv", [q, x_scale, x_zero, w, w_scale, w_zero, scale, zero, bias], kernel_shape=[3, 3], pads=b.one_of([[0] * 4, [1] * 4]))
    return b.node("DequantizeLinear", [y, scale, zero])


@idiom(since=10, weight=1.5)
def integer_product(b):
    """MatMulInteger of quantised activations, scaled back."""
    needs(b, 10)
    q, x_scale, x_zero = quantize(b, b.real(rank=2), b.one_of(BITS8))
    w = b.constant(b.rng.integers(-100, 100, (q.shape[1], b.between(1, 8))), dtype=np.int8, stem="w")
    y = b.node("MatMulInteger", [q, w, x_zero])
    return b.node("Mul", [b.cast(y, np.float32), b.constant(float(x_scale.probes[0]) * 0.01)])


@idiom(since=10)
def integer_convolution(b):
    needs(b, 10)
    x = b.real(rank=4, fits=lambda v: min(v.shape[2:]) >= 3)
    q, x_scale, x_zero = quantize(b, x, np.uint8)
    w = b.constant(b.rng.integers(0, 200, (b.between(1, 3), x.shape[1], 3, 3)), dtype=np.uint8, stem="w")
    y = b.node("ConvInteger", [q, w, x_zero, b.constant(100, dtype=np.uint8)], kernel_shape=[3, 3])
    return b.node("Mul", [b.cast(y, np.float32), b.constant(float(x_scale.probes[0]) * 0.01)])


@idiom(since=11, weight=1.5)
def dynamic_quantization(b):
    """As onnxruntime quantises dynamically: DynamicQuantizeLinear, MatMulInteger, Cast, Mul."""
    needs(b, 11)
    x = b.real(rank=2, fits=lambda v: v.size > 3)
    q, scale, zero = b.node("DynamicQuantizeLinear", [x], outputs=3)
    if b.chance(0.3):
        return b.node("DequantizeLinear", [q, scale, zero])
    w = b.constant(b.rng.integers(-100, 100, (x.shape[1], b.between(1, 8))), dtype=np.int8, stem="w")
    y = b.cast(b.node("MatMulInteger", [q, w, zero]), np.float32)
    return b.node("Mul", [y, b.node("Mul", [scale, b.constant(0.01)])])


def contrib(b, operator, operands, reach, dtype, **attributes):
    scale, zero = parameters(b, max(reach, 1e-3) / 110, 128 if dtype == np.uint8 else 0, dtype)
    y = b.node(operator, [*operands, scale, zero], domain="com.microsoft", **attributes)
    return b.node("DequantizeLinear", [y, scale, zero])


@idiom(since=10, weight=2.5)
def contrib_binary(b):
    needs(b, 10)
    dtype = b.one_of(BITS8)
    x = b.real()
    y = b.real(shape=x.shape)
    operands = [*quantize(b, x, dtype), *quantize(b, y, dtype)]
    if b.chance(0.5):
        return contrib(b, "QLinearAdd", operands, x.magnitude + y.magnitude, dtype)
    return contrib(b, "QLinearMul", operands, x.magnitude * y.magnitude, dtype)


@idiom(since=10, weight=3)
def contrib_unary(b):
    needs(b, 10)
    dtype = b.one_of(BITS8)
    x = b.real(fits=lambda v: v.rank > 0)
    operands = quantize(b, x, dtype)
    if b.chance(0.5):
        return contrib(b, "QLinearSigmoid", operands, 1.0, dtype)
    return contrib(b, "QLinearLeakyRelu", operands, x.magnitude, dtype, alpha=0.1)


@idiom(since=10, weight=1.5)
def contrib_pool(b):
    needs(b, 10)
    x = b.real(rank=4)
    return contrib(b, "QLinearGlobalAveragePool", quantize(b, x, b.one_of([np.uint8])), x.magnitude, np.uint8, channels_last=0)


@idiom(since=10)
def contrib_gemm(b):
    needs(b, 10)
    x = b.real(rank=2)
    operands = quantize(b, x, np.uint8)
    n = b.between(1, 6)
    w = b.constant(b.rng.integers(-100, 100, (n, x.shape[1])), dtype=np.int8, stem="w")
    bias = b.constant(b.rng.integers(-300, 300, n), dtype=np.int32)
    weights = [w, b.constant(0.01, dtype=np.float32), b.constant(0, dtype=np.int8), bias]
    return contrib(b, "QGemm", [*operands, *weights], x.magnitude * np.sqrt(x.shape[1]), np.uint8, transB=1, alpha=1.0)
