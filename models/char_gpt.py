"""char_gpt.onnx: a small GPT that writes the Apache licence, character by character. Trained.

2 layers, 4 heads, 64 channels, a context of 32 characters; biases in norms and linear layers, GELU by erf, -1e9 where the causal
mask forbids. It learns from the first eight tenths of LICENSE-APACHE; calibration samples are from the ninth, and the last is the test set.

    char_gpt.test.jsonl  every window of the test set, with the next characters as labels
    char_gpt.test.json   what onnxruntime makes of it: every prediction, and their accuracy

Training is seeded; another version or machine may round otherwise and end with other weights.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from common import FOLDER, Builder, line, predictions, save
from digits import adam, cross_entropy

LAYERS, HEADS, CHANNELS, CONTEXT = 2, 4, 64, 32
HEAD = CHANNELS // HEADS
STEPS, BATCH = 600, 32
STRIDE = 8
MASK = ~np.tril(np.ones((1, 1, CONTEXT, CONTEXT), bool))


def text():
    characters = (FOLDER.parent / "LICENSE-APACHE").read_text()
    alphabet = sorted(set(characters))
    return np.array([alphabet.index(c) for c in characters]), len(alphabet)


def initial(rng, vocabulary):
    def normal(*shape, deviation=0.08):
        return rng.normal(0, deviation, shape).astype(np.float32)

    def linear(a, b):
        return normal(a, b), np.zeros(b, np.float32)

    def norm():
        return np.ones(CHANNELS, np.float32), np.zeros(CHANNELS, np.float32)

    def layer():
        return {
            "ln_1": norm(),
            "qkv": linear(CHANNELS, 3 * CHANNELS),
            "proj": linear(CHANNELS, CHANNELS),
            "ln_2": norm(),
            "up": linear(CHANNELS, 4 * CHANNELS),
            "down": linear(4 * CHANNELS, CHANNELS),
        }

    return {
        "wte": normal(vocabulary, CHANNELS),
        "wpe": normal(CONTEXT, CHANNELS),
        "h": [layer() for _ in range(LAYERS)],
        "ln_f": norm(),
        "head": normal(CHANNELS, vocabulary),
    }


def forward(parameters, tokens):
    def norm(x, p):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[0] + p[1]

    def linear(x, p):
        return x @ p[0] + p[1]

    def attention(x, p):
        n = len(x)
        q, k, v = [part.reshape(n, CONTEXT, HEADS, HEAD).swapaxes(1, 2) for part in jnp.split(linear(x, p["qkv"]), 3, -1)]
        scores = jnp.where(MASK, -1e9, q @ k.swapaxes(-1, -2) / np.sqrt(HEAD))
        y = jax.nn.softmax(scores) @ v
        return linear(y.swapaxes(1, 2).reshape(n, CONTEXT, CHANNELS), p["proj"])

    x = parameters["wte"][tokens] + parameters["wpe"]
    for p in parameters["h"]:
        x = x + attention(norm(x, p["ln_1"]), p)
        x = x + linear(jax.nn.gelu(linear(norm(x, p["ln_2"]), p["up"]), approximate=False), p["down"])
    return norm(x, parameters["ln_f"]) @ parameters["head"]


def build(parameters, vocabulary):
    b = Builder()

    def scalar(name, value):
        return b.constant(name, np.array(value, np.float32))

    def norm(x, name, p):
        return b.op("LayerNormalization", [x, b.constant(f"{name}.weight", p[0]), b.constant(f"{name}.bias", p[1])], name, axis=-1, epsilon=1e-5)

    def linear(x, name, p):
        return b.op("Add", [b.op("MatMul", [x, b.constant(f"{name}.weight", p[0])], f"{name}/product"), b.constant(f"{name}.bias", p[1])], name)

    def attention(x, name, p):
        sizes = b.constant(f"{name}.sizes", np.full(3, CHANNELS, np.int64))
        heads = b.constant(f"{name}.heads", np.array([1, CONTEXT, HEADS, HEAD], np.int64))
        parts = b.op("Split", [linear(x, f"{name}/qkv", p["qkv"]), sizes], f"{name}/split", 3, axis=2)
        turned = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]]
        q, k, v = [
            b.op("Transpose", [b.op("Reshape", [part, heads], f"{name}/{which}")], f"{name}/{which}_heads", perm=perm)
            for part, which, perm in zip(parts, "qkv", turned, strict=True)
        ]
        scores = b.op("Div", [b.op("MatMul", [q, k], f"{name}/scores"), scalar(f"{name}.root", np.sqrt(HEAD))], f"{name}/scaled")
        scores = b.op("Where", ["mask", "masked", scores], f"{name}/masked")
        y = b.op("MatMul", [b.op("Softmax", [scores], f"{name}/softmax", axis=-1), v], f"{name}/values")
        y = b.op("Transpose", [y], f"{name}/values_last", perm=[0, 2, 1, 3])
        y = b.op("Reshape", [y, b.constant(f"{name}.joined", np.array([1, CONTEXT, CHANNELS], np.int64))], f"{name}/joined")
        return linear(y, f"{name}/proj", p["proj"])

    def gelu(x, name):
        """0.5 x (1 + erf(x / sqrt(2)))"""
        inner = b.op("Div", [x, scalar(f"{name}.root", np.sqrt(2))], f"{name}/inner")
        outer = b.op("Add", [b.op("Erf", [inner], f"{name}/erf"), scalar(f"{name}.one", 1)], f"{name}/outer")
        return b.op("Mul", [b.op("Mul", [x, outer], f"{name}/twice"), scalar(f"{name}.half", 0.5)], name)

    b.constant("mask", MASK)
    scalar("masked", -1e9)
    tokens = b.op("Gather", [b.constant("wte", parameters["wte"]), "input"], "tokens")
    x = b.op("Add", [tokens, b.constant("wpe", parameters["wpe"])], "embedded")
    for i, p in enumerate(parameters["h"]):
        x = b.op("Add", [x, attention(norm(x, f"h.{i}/ln_1", p["ln_1"]), f"h.{i}/attn", p)], f"h.{i}/attended")
        up = gelu(linear(norm(x, f"h.{i}/ln_2", p["ln_2"]), f"h.{i}/mlp/up", p["up"]), f"h.{i}/mlp/gelu")
        x = b.op("Add", [x, linear(up, f"h.{i}/mlp/down", p["down"])], f"h.{i}")
    b.op("MatMul", [norm(x, "ln_f", parameters["ln_f"]), b.constant("head", parameters["head"])], "output")
    return b.model("char_gpt", [("input", "int64", [1, CONTEXT])], [("output", "float32", [1, CONTEXT, vocabulary])])


def main():
    rng = np.random.Generator(np.random.PCG64(6))
    characters, vocabulary = text()
    split, test = [len(characters) * tenths // 10 for tenths in (8, 9)]

    def windows(starts):
        at = starts[:, None] + np.arange(CONTEXT + 1)
        return characters[at][:, :-1], characters[at][:, 1:]

    def loss(parameters, tokens, answers):
        return cross_entropy(forward(parameters, tokens), answers)

    starts = [rng.integers(0, split - CONTEXT, BATCH) for _ in range(STEPS)]
    parameters = adam(loss, initial(rng, vocabulary), [windows(s) for s in starts], 2e-3)
    tokens, answers = windows(np.arange(split, test - CONTEXT, STRIDE))
    test_tokens, test_answers = windows(np.arange(test, len(characters) - CONTEXT, STRIDE))
    print(f"loss {loss(parameters, *windows(starts[0])):.3f}, on the test set {loss(parameters, test_tokens, test_answers):.3f}")
    sample = {"input": test_tokens[:1]}
    session = save("char_gpt", build(parameters, vocabulary), sample, [{"input": t[None]} for t in tokens], answers)
    inputs = [{"input": t[None]} for t in test_tokens]
    got = predictions(session, inputs)
    accuracy = float((got == test_answers).mean())
    print(f"  top-1 of {got.size}: {accuracy:.4f}")
    result = {"accuracy": accuracy, "top1": got.tolist()}
    (FOLDER / "char_gpt.test.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    lines = [line("inputs", t, a) for t, a in zip(inputs, test_answers, strict=True)]
    (FOLDER / "char_gpt.test.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
