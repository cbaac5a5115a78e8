"""digits_mlp.onnx: handwritten digits with three layers, 64 -> 48 -> 32 -> 10 with ReLU. Trained; see digits.py."""

import jax.numpy as jnp
import numpy as np

from common import Builder
from digits import train

WIDTHS = [64, 48, 32, 10]


def initial(rng):
    pairs = zip(WIDTHS, WIDTHS[1:])
    return [(rng.normal(0, np.sqrt(2 / a), (b, a)).astype(np.float32), np.zeros(b, np.float32)) for a, b in pairs]


def forward(layers, images):
    x = images.reshape(len(images), -1) / 16
    for weight, bias in layers[:-1]:
        x = jnp.maximum(x @ weight.T + bias, 0)
    weight, bias = layers[-1]
    return x @ weight.T + bias


def build(layers):
    b = Builder()
    x = b.op("Flatten", ["input"], "flatten", axis=1)
    x = b.op("Div", [x, b.constant("white", np.array(16, np.float32))], "scaled")
    for i, (weight, bias) in enumerate(layers):
        last = i == len(layers) - 1
        constants = [b.constant(f"fc{i}.weight", weight), b.constant(f"fc{i}.bias", bias)]
        x = b.op("Gemm", [x, *constants], "output" if last else f"fc{i}", transB=1)
        if not last:
            x = b.op("Relu", [x], f"relu{i}")
    return b.model("digits_mlp", [("input", "float32", [1, 1, 8, 8])], [("output", "float32", [1, 10])])


if __name__ == "__main__":
    train("digits_mlp", 4, initial, forward, build)
