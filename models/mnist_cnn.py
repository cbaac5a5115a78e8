"""mnist_cnn.onnx: a convolutional network of MNIST's size, 20,522 random parameters.

    [1,1,28,28] conv 5x5 -> 8, ReLU, max pool 2 -> conv 5x5 -> 16, ReLU, max pool 2 -> gemm 64, ReLU -> gemm 10
"""

import numpy as np

from common import Builder, save


def build(rng):
    b = Builder()

    def weights(name, shape):
        fan_in = int(np.prod(shape[1:]))
        w = b.constant(f"{name}.weight", rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32))
        return w, b.constant(f"{name}.bias", rng.normal(0, 0.1, shape[0]).astype(np.float32))

    x = "input"
    for i, (inward, outward) in enumerate([(1, 8), (8, 16)], start=1):
        x = b.op("Conv", [x, *weights(f"conv{i}", (outward, inward, 5, 5))], f"conv{i}", kernel_shape=[5, 5])
        x = b.op("Relu", [x], f"conv{i}_relu")
        x = b.op("MaxPool", [x], f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    x = b.op("Flatten", [x], "flatten", axis=1)
    x = b.op("Gemm", [x, *weights("fc1", (64, 256))], "fc1", transB=1)
    x = b.op("Relu", [x], "fc1_relu")
    b.op("Gemm", [x, *weights("fc2", (10, 64))], "output", transB=1)
    return b.model("mnist_cnn", [("input", "float32", [1, 1, 28, 28])], [("output", "float32", [1, 10])])


def sample(rng):
    """A soft pen stroke through random points, grey values of 8 bits scaled to 0..1 as MNIST's are."""
    points = rng.uniform(6, 22, (5, 2))
    t = np.linspace(0, 1, 64)[:, None]
    segment = np.minimum((t * 4).astype(int), 3)[:, 0]
    along = t * 4 - segment[:, None]
    stroke = points[segment] * (1 - along) + points[segment + 1] * along
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"), -1)
    distance = np.linalg.norm(grid[:, :, None] - stroke, axis=-1).min(-1)
    grey = np.clip(255 * (2.2 - distance), 0, 255).round()
    return {"input": (grey / 255).round(4).astype(np.float32).reshape(1, 1, 28, 28)}


if __name__ == "__main__":
    rng = np.random.Generator(np.random.PCG64(2))
    save("mnist_cnn", build(rng), sample(rng), [sample(rng) for _ in range(4)])
