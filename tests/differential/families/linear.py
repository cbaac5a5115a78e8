"""Linear layers, as frameworks export them."""

import numpy as np

from families import idiom


@idiom(weight=2)
def gemm(b):
    x = b.real(rank=2)
    n = b.between(1, 24)
    transposed = b.chance(0.6)
    w = b.weight(n, x.shape[1], fan_in=x.shape[1]) if transposed else b.weight(x.shape[1], n)
    scaling = {"alpha": b.one_of([0.5, 2.0]), "beta": b.one_of([0.25, 1.0])} if b.chance(0.15) else {}
    return b.node("Gemm", [x, w, b.bias(n) if b.chance(0.85) or b.opset < 11 else None], transB=int(transposed) or None, **scaling)


@idiom(weight=2)
def gemm_relu(b):
    return b.node("Relu", [gemm(b)])


@idiom(weight=2)
def matmul_add(b):
    x = b.real(rank=b.between(2, 3))
    n = b.between(1, 24)
    y = b.node("MatMul", [x, b.weight(x.shape[-1], n)])
    operands = [y, b.bias(n)]
    return b.node("Add", operands if b.chance(0.7) else operands[::-1])


@idiom()
def matmul_of_values(b):
    x = b.real(rank=3)
    y = b.node("MatMul", [x, b.node("Transpose", [x], perm=[0, 2, 1])])
    return b.node("Mul", [y, b.constant(1 / np.sqrt(x.shape[-1]))])


@idiom()
def residual(b):
    x = b.real(rank=2)
    y = b.node("MatMul", [x, b.weight(x.shape[1], x.shape[1])])
    y = b.node(b.one_of(["Relu", "Tanh", "Sigmoid"]), [y])
    return b.node("Add", [x, y])
