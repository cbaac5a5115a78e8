"""tiny_score.onnx: 4 -> 6 -> 1 with Tanh and Sigmoid, on the same kind of input as tiny_mlp.onnx, for the example of linked proofs."""

import numpy as np

from common import Builder, save


def build(rng):
    b = Builder()
    hidden = b.constant("hidden.weight", rng.normal(0, 0.7, (6, 4)).astype(np.float32))
    bias = b.constant("hidden.bias", rng.normal(0, 0.1, 6).astype(np.float32))
    x = b.op("Gemm", ["input", hidden, bias], "hidden", transB=1)
    x = b.op("Tanh", [x], "tanh")
    score = b.constant("score.weight", rng.normal(0, 1, (1, 6)).astype(np.float32))
    offset = b.constant("score.bias", np.zeros(1, np.float32))
    x = b.op("Gemm", [x, score, offset], "logit", transB=1)
    b.op("Sigmoid", [x], "score")
    return b.model("tiny_score", [("input", "float32", [1, 4])], [("score", "float32", [1, 1])])


def sample(rng):
    return {"input": rng.uniform(-2, 2, (1, 4)).round(3).astype(np.float32)}


if __name__ == "__main__":
    rng = np.random.Generator(np.random.PCG64(4))
    save("tiny_score", build(rng), sample(rng), [sample(rng) for _ in range(4)])
