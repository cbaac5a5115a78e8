"""nanoGPT.onnx: Karpathy's architecture with random weights, written as exporters write it.

4 layers, 4 heads, 64 channels, a context of 64, a vocabulary of 65, no biases, tanh-GELU from elementary nodes, the head
tied to the token embedding, and -10 where the causal mask forbids (what benchmarks of this model use).
GPT-2's initialisation has a deviation of 0.02, which leaves attention uniform and logits flat; 0.2 and 0.3 do not.
"""

import numpy as np

from common import Builder, save

LAYERS, HEADS, CHANNELS, CONTEXT, VOCABULARY = 4, 4, 64, 64, 65
HEAD = CHANNELS // HEADS
DEVIATION = 0.2
EMBEDDING_DEVIATION = 0.3
RESIDUAL_DEVIATION = DEVIATION / np.sqrt(2 * LAYERS)
MASKED = -10.0


class NanoGpt:
    def __init__(self, rng):
        self.rng = rng
        self.b = Builder()

    def normal(self, shape, deviation=DEVIATION):
        return self.rng.normal(0, deviation, shape).astype(np.float32)

    def scalar(self, name, value):
        return self.b.constant(name, np.array(value, np.float32))

    def layer_norm(self, x, name):
        scale = self.b.constant(f"{name}.weight", 1 + self.normal(CHANNELS, 0.1))
        return self.b.op("LayerNormalization", [x, scale], f"{name}", axis=-1, epsilon=1e-5)

    def linear(self, x, name, shape, deviation=DEVIATION):
        return self.b.op("MatMul", [x, self.b.constant(f"{name}.weight", self.normal(shape, deviation))], name)

    def attention(self, x, name):
        b = self.b
        sizes = b.constant(f"{name}.sizes", np.full(3, CHANNELS, np.int64))
        heads = b.constant(f"{name}.heads", np.array([1, CONTEXT, HEADS, HEAD], np.int64))
        qkv = b.op("Split", [self.linear(x, f"{name}/c_attn", (CHANNELS, 3 * CHANNELS)), sizes], f"{name}/split", 3, axis=2)
        q, k, v = [b.op("Reshape", [part, heads], f"{name}/{which}") for part, which in zip(qkv, "qkv", strict=True)]
        q = b.op("Transpose", [q], f"{name}/q_heads", perm=[0, 2, 1, 3])
        k = b.op("Transpose", [k], f"{name}/k_heads", perm=[0, 2, 3, 1])
        v = b.op("Transpose", [v], f"{name}/v_heads", perm=[0, 2, 1, 3])
        scores = b.op("MatMul", [q, k], f"{name}/scores")
        scores = b.op("Mul", [scores, self.scalar(f"{name}.scale", 1 / np.sqrt(HEAD))], f"{name}/scaled")
        scores = b.op("Where", ["mask", "masked", scores], f"{name}/masked")
        y = b.op("MatMul", [b.op("Softmax", [scores], f"{name}/softmax", axis=-1), v], f"{name}/values")
        y = b.op("Transpose", [y], f"{name}/values_last", perm=[0, 2, 1, 3])
        y = b.op("Reshape", [y, b.constant(f"{name}.joined", np.array([1, CONTEXT, CHANNELS], np.int64))], f"{name}/joined")
        return self.linear(y, f"{name}/c_proj", (CHANNELS, CHANNELS), RESIDUAL_DEVIATION)

    def gelu(self, x, name):
        """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"""
        b = self.b
        half = b.op("Mul", [x, self.scalar(f"{name}.half", 0.5)], f"{name}/half")
        cube = b.op("Pow", [x, self.scalar(f"{name}.three", 3)], f"{name}/cube")
        cube = b.op("Mul", [cube, self.scalar(f"{name}.cubic", 0.044715)], f"{name}/cubic")
        inner = b.op("Add", [x, cube], f"{name}/sum")
        inner = b.op("Mul", [inner, self.scalar(f"{name}.root", np.sqrt(2 / np.pi))], f"{name}/inner")
        outer = b.op("Add", [b.op("Tanh", [inner], f"{name}/tanh"), self.scalar(f"{name}.one", 1)], f"{name}/outer")
        return b.op("Mul", [half, outer], name)

    def mlp(self, x, name):
        x = self.gelu(self.linear(x, f"{name}/c_fc", (CHANNELS, 4 * CHANNELS)), f"{name}/gelu")
        return self.linear(x, f"{name}/c_proj", (4 * CHANNELS, CHANNELS), RESIDUAL_DEVIATION)

    def build(self):
        b = self.b
        embedding = self.normal((VOCABULARY, CHANNELS), EMBEDDING_DEVIATION)
        b.constant("wte", embedding)
        b.constant("wpe", self.normal((CONTEXT, CHANNELS), EMBEDDING_DEVIATION))
        b.constant("positions", np.arange(CONTEXT, dtype=np.int64).reshape(1, CONTEXT))
        b.constant("mask", ~np.tril(np.ones((1, 1, CONTEXT, CONTEXT), bool)))
        self.scalar("masked", MASKED)
        x = b.op("Add", [b.op("Gather", ["wte", "input"], "tokens"), b.op("Gather", ["wpe", "positions"], "places")], "embedded")
        for i in range(LAYERS):
            x = b.op("Add", [x, self.attention(self.layer_norm(x, f"h.{i}/ln_1"), f"h.{i}/attn")], f"h.{i}/attended")
            x = b.op("Add", [x, self.mlp(self.layer_norm(x, f"h.{i}/ln_2"), f"h.{i}/mlp")], f"h.{i}")
        head = b.constant("lm_head.weight", embedding.T)
        b.op("MatMul", [self.layer_norm(x, "ln_f"), head], "output")
        return b.model("nanoGPT", [("input", "int64", [1, CONTEXT])], [("output", "float32", [1, CONTEXT, VOCABULARY])])


def sample(rng):
    return {"input": rng.integers(0, VOCABULARY, (1, CONTEXT))}


if __name__ == "__main__":
    rng = np.random.Generator(np.random.PCG64(3))
    save("nanoGPT", NanoGpt(rng).build(), sample(rng), [sample(rng) for _ in range(4)])
