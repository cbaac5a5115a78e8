"""What the two models of handwritten digits share: scikit-learn's 1,797 images of 8x8 pixels, a fixed split, the training loop.

    digits.test.jsonl          the whole test set, 360 images with labels, for both models
    digits_NAME.samples.jsonl  128 images with labels for calibration, on which nothing was trained
    digits_NAME.test.json      what onnxruntime makes of the test set: every prediction, and their accuracy

Training is seeded; another version or machine may round otherwise and end with other weights.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from common import FOLDER, line, predictions, save

BATCH = 32
CALIBRATION = 128


def data():
    """Images `[n, 1, 8, 8]` of grey values 0 to 16, and labels: for training and for testing."""
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)


def adam(loss, parameters, batches, rate):
    """Adam with a rate that falls to zero along a cosine."""
    zeros = jax.tree.map(jnp.zeros_like, parameters)

    @jax.jit
    def step(parameters, mean, square, at, batch):
        gradient = jax.grad(loss)(parameters, *batch)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, gradient)
        now = rate * 0.5 * (1 + jnp.cos(jnp.pi * at / len(batches)))

        def update(p, m, s):
            return p - now * (m / (1 - 0.9 ** (at + 1))) / (jnp.sqrt(s / (1 - 0.99 ** (at + 1))) + 1e-8)

        return jax.tree.map(update, parameters, mean, square), mean, square

    mean, square = zeros, zeros
    for at, batch in enumerate(batches):
        parameters, mean, square = step(parameters, mean, square, jnp.float32(at), batch)
    return jax.tree.map(np.asarray, parameters)


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1).mean()


def train(stem, seed, initial, forward, build, epochs=40, rate=3e-3):
    """Trains, exports and tests: `forward(parameters, images)` gives logits, `build(parameters)` the same as ONNX."""
    images, held_out, labels, answers = data()
    rng = np.random.Generator(np.random.PCG64(seed))

    def loss(parameters, images, labels):
        return cross_entropy(forward(parameters, images), labels)

    batches = []
    for _ in range(epochs):
        shuffled = CALIBRATION + rng.permutation(len(images) - CALIBRATION)
        shuffled = shuffled[: len(shuffled) // BATCH * BATCH]
        batches += [(images[i], labels[i]) for i in shuffled.reshape(-1, BATCH)]
    parameters = adam(loss, initial(rng), batches, rate)
    samples = [{"input": image[None]} for image in images[:CALIBRATION]]
    session = save(stem, build(parameters), {"input": held_out[:1]}, samples, labels[:CALIBRATION])
    got = predictions(session, [{"input": image[None]} for image in held_out])
    accuracy = float((got[:, 0] == answers).mean())
    print(f"  top-1 of {len(answers)}: {accuracy:.4f}")
    result = {"accuracy": accuracy, "top1": got[:, 0].tolist()}
    (FOLDER / f"{stem}.test.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    test = [line("inputs", {"input": image[None]}, label) for image, label in zip(held_out, answers, strict=True)]
    (FOLDER / "digits.test.jsonl").write_text("".join(test))
