"""tiny_mlp.onnx: 4 -> 8 -> 8 -> 3 with ReLU, for documentation and tests."""

import numpy as np

from common import Builder, save

WIDTHS = [4, 8, 8, 3]


def build(rng):
    b = Builder()
    x = "input"
    last = len(WIDTHS) - 2
    for i, (wide, high) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        weight = b.constant(f"fc{i}.weight", rng.normal(0, np.sqrt(2 / wide), (high, wide)).astype(np.float32))
        bias = b.constant(f"fc{i}.bias", rng.normal(0, 0.1, high).astype(np.float32))
        x = b.op("Gemm", [x, weight, bias], "output" if i == last else f"fc{i}", transB=1)
        if i != last:
            x = b.op("Relu", [x], f"relu{i}")
    return b.model("tiny_mlp", [("input", "float32", [1, 4])], [("output", "float32", [1, 3])])


def sample(rng):
    return {"input": rng.uniform(-2, 2, (1, 4)).round(3).astype(np.float32)}


if __name__ == "__main__":
    rng = np.random.Generator(np.random.PCG64(1))
    save("tiny_mlp", build(rng), sample(rng), [sample(rng) for _ in range(4)])
