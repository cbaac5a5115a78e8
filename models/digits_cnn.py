"""digits_cnn.onnx: handwritten digits with two convolutions and max pools. Trained; see digits.py.

    [1,1,8,8] conv 3x3 -> 12, ReLU, max pool 2 -> conv 3x3 -> 24, ReLU, max pool 2 -> gemm 10
"""

import jax
import jax.numpy as jnp
import numpy as np

from common import Builder
from digits import train

CHANNELS = [1, 12, 24]


def initial(rng):
    def layer(*shape):
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        return rng.normal(0, deviation, shape).astype(np.float32), np.zeros(shape[0], np.float32)

    convolutions = [layer(b, a, 3, 3) for a, b in zip(CHANNELS, CHANNELS[1:])]
    return convolutions + [layer(10, CHANNELS[-1] * 4)]


def forward(layers, images):
    x = images / 16
    for weight, bias in layers[:-1]:
        x = jax.lax.conv(x, weight, (1, 1), "SAME") + bias[:, None, None]
        n, c, h, w = x.shape
        x = jnp.maximum(x, 0).reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
    weight, bias = layers[-1]
    return x.reshape(len(x), -1) @ weight.T + bias


def build(layers):
    b = Builder()
    x = b.op("Div", ["input", b.constant("white", np.array(16, np.float32))], "scaled")
    for i, (weight, bias) in enumerate(layers[:-1], start=1):
        constants = [b.constant(f"conv{i}.weight", weight), b.constant(f"conv{i}.bias", bias)]
        x = b.op("Conv", [x, *constants], f"conv{i}", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = b.op("Relu", [x], f"conv{i}_relu")
        x = b.op("MaxPool", [x], f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    weight, bias = layers[-1]
    constants = [b.constant("fc.weight", weight), b.constant("fc.bias", bias)]
    b.op("Gemm", [b.op("Flatten", [x], "flatten", axis=1), *constants], "output", transB=1)
    return b.model("digits_cnn", [("input", "float32", [1, 1, 8, 8])], [("output", "float32", [1, 10])])


if __name__ == "__main__":
    train("digits_cnn", 5, initial, forward, build, epochs=30)
