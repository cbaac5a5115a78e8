"""Convolutions, pools, resampling, sampling of regions."""

import numpy as np

from builder import Impossible
from families import idiom


def image(b, least=3, fits=lambda v: True):
    """Some [batch, channels, height, width] of moderate size."""
    x = b.real(rank=4, fits=lambda v: min(v.shape[2:]) >= least and fits(v), most=800)
    return b.within(x, 50.0)


def kernel(b, out, channels, *sizes):
    fan_in = channels * int(np.prod(sizes))
    scale = b.magnitude_of(-1.5, 1.5) if b.chance(0.1) else 1.0
    return b.constant(scale * b.rng.standard_normal((out, channels, *sizes)) / np.sqrt(fan_in), stem="w")


def convolution(b, x):
    size = b.one_of([s for s in (1, 3, 2, 5) if s <= min(x.shape[2:])])
    channels = x.shape[1]
    group = channels if b.chance(0.25) else 1
    out = channels * b.one_of([1, 2]) if group > 1 else b.between(1, 6)
    attributes = {"kernel_shape": [size, size], "group": group}
    if b.chance(0.3):
        attributes["strides"] = [2, 2]
    if size > 1 and b.chance(0.6):
        attributes["pads"] = [size // 2] * 4
    elif b.chance(0.15):
        attributes["auto_pad"] = b.one_of(["SAME_UPPER", "SAME_LOWER", "VALID"])
    if size > 1 and "strides" not in attributes and (size - 1) * 2 < min(x.shape[2:]) and b.chance(0.15):
        attributes["dilations"] = [2, 2]
    w = kernel(b, out, channels // group, size, size)
    return b.node("Conv", [x, w, b.bias(out) if b.chance(0.7) else None], **attributes)


@idiom(weight=2)
def conv(b):
    return convolution(b, image(b))


@idiom(weight=3)
def conv_bn_relu(b):
    y = convolution(b, image(b))
    c = y.shape[1]
    size = max(y.magnitude, 0.1)
    moments = [b.constant(0.2 * size * b.rng.standard_normal(c)), b.constant((size * b.rng.uniform(0.2, 1.0, c)) ** 2)]
    y = b.node("BatchNormalization", [y, b.constant(b.rng.uniform(0.5, 1.5, c)), b.bias(c), *moments])
    y = b.node("Relu", [y]) if b.chance(0.7) else b.clip(y, 0, 6)
    return pooled(b, y) if b.chance(0.5) else y


def pooled(b, x):
    if min(x.shape[2:]) < 2:
        return x
    operator = b.one_of(["MaxPool", "AveragePool"])
    attributes = {"kernel_shape": [2, 2], "strides": b.one_of([[2, 2], [1, 1]])}
    if b.chance(0.3):
        attributes["pads"] = [0, 0, 1, 1]
        if operator == "AveragePool" and b.chance(0.5):
            attributes["count_include_pad"] = 1
    if b.opset >= 10 and b.chance(0.2):
        attributes["ceil_mode"] = 1
    return b.node(operator, [x], **attributes)


@idiom(weight=2)
def pool(b):
    return pooled(b, image(b))


@idiom(weight=4)
def global_pool(b):
    x = image(b)
    operator = b.one_of(["GlobalAveragePool", "GlobalMaxPool", "GlobalAveragePool"])
    y = b.node(operator, [x])
    return b.node("Flatten", [y]) if b.chance(0.7) else y


@idiom(weight=2.5)
def lp_pool(b):
    x = image(b)
    if b.chance(0.5):
        return b.node("GlobalLpPool", [x], p=b.one_of([1, 2]))
    return b.node("LpPool", [x], kernel_shape=[2, 2], strides=[2, 2], p=b.one_of([1, 2]))


@idiom()
def pool_of_signal(b):
    x = b.real(rank=3, fits=lambda v: v.shape[2] >= 3)
    return b.node(b.one_of(["MaxPool", "AveragePool"]), [x], kernel_shape=[3], strides=[b.between(1, 2)], pads=[1, 1])


@idiom()
def conv_of_signal(b):
    x = b.within(b.real(rank=3, fits=lambda v: v.shape[2] >= 3), 50.0)
    out = b.between(1, 6)
    return b.node("Conv", [x, kernel(b, out, x.shape[1], 3), b.bias(out)], kernel_shape=[3], pads=b.one_of([[0, 0], [1, 1], [2, 0]]))


@idiom(weight=1.3)
def conv_transpose(b):
    x = image(b, least=2)
    out = b.between(1, 4)
    w = b.constant(b.rng.standard_normal((x.shape[1], out, 3, 3)) / np.sqrt(3 * x.shape[1]), stem="w")
    return b.node("ConvTranspose", [x, w, b.bias(out)], kernel_shape=[3, 3], strides=b.one_of([[1, 1], [2, 2]]), pads=b.one_of([[0] * 4, [1] * 4]))


@idiom()
def squeeze_and_excite(b):
    x = image(b)
    c = x.shape[1]
    y = b.node("GlobalAveragePool", [x])
    y = b.node("Relu", [b.node("Conv", [y, kernel(b, 2, c, 1, 1), b.bias(2)])])
    y = b.node("Sigmoid", [b.node("Conv", [y, kernel(b, c, 2, 1, 1), b.bias(c)])])
    return b.node("Mul", [x, y])


@idiom(since=11, weight=2)
def resize(b):
    x = image(b, least=2, fits=lambda v: v.size <= 200)
    mode = b.one_of(["nearest", "linear", "cubic"])
    attributes = {"mode": mode, "coordinate_transformation_mode": b.one_of(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])}
    if mode == "nearest":
        attributes["nearest_mode"] = b.one_of(["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"])
    none = b.constant(np.zeros(0, dtype=np.float32)) if b.opset < 13 else None
    if b.chance(0.6):
        scales = [1.0, 1.0, *(float(b.one_of([2.0, 2.0, 1.5, 0.5])) for _ in range(2))]
        if min(np.floor(np.multiply(x.shape, scales))) < 1:
            raise Impossible("nothing would be left")
        if attributes["coordinate_transformation_mode"] == "align_corners" and np.any(np.multiply(x.shape, scales) % 1):
            raise Impossible("ONNX aligns the corners of a length that is not rounded, onnxruntime those of one that is")
        return b.node("Resize", [x, none, b.constant(np.array(scales, dtype=np.float32))], **attributes)
    sizes = b.ints(*x.shape[:2], *(b.between(1, 9) for _ in range(2)))
    return b.node("Resize", [x, none, none, sizes], **attributes)


@idiom(since=9, until=9, weight=8)
def upsample(b):
    x = image(b, least=2, fits=lambda v: v.size <= 200)
    return b.node("Upsample", [x, b.constant(np.array([1, 1, 2, b.one_of([1, 2])], dtype=np.float32))], mode=b.one_of(["nearest", "linear"]))


@idiom(weight=1.5)
def depth_to_space(b):
    x = b.real(rank=4, fits=lambda v: v.shape[1] % 4 == 0)
    mode = {"mode": b.one_of(["DCR", "CRD"])} if b.opset >= 11 else {}
    return b.node("DepthToSpace", [x], blocksize=2, **mode)


@idiom(weight=1.5)
def space_to_depth(b):
    x = b.real(rank=4, fits=lambda v: v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0)
    return b.node("SpaceToDepth", [x], blocksize=2)


@idiom(weight=2)
def max_unpool(b):
    x = image(b, fits=lambda v: v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0)
    y, places = b.node("MaxPool", [x], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    return b.node("MaxUnpool", [y, places, b.ints(*x.shape)], kernel_shape=[2, 2], strides=[2, 2])


def regions(b, x, count):
    """Boxes within the image, [count, 4]."""
    height, width = x.shape[2:]
    corner = b.rng.uniform(0, 0.5, (count, 2)) * [width, height]
    size = b.rng.uniform(0.3, 0.5, (count, 2)) * [width, height]
    return np.concatenate([corner, corner + size], axis=1)


@idiom(since=10, weight=1.5)
def roi_align(b):
    x = image(b, fits=lambda v: v.shape[0] == 1)
    boxes = b.constant(regions(b, x, 2))
    attributes = {"output_height": 2, "output_width": 2, "sampling_ratio": 2, "mode": b.one_of(["avg", "avg", "max"])}
    return b.node("RoiAlign", [x, boxes, b.constant(np.zeros(2, dtype=np.int64))], **attributes)


@idiom(weight=2)
def max_roi_pool(b):
    x = image(b, fits=lambda v: v.shape[0] == 1)
    boxes = np.round(np.concatenate([np.zeros((2, 1)), regions(b, x, 2)], axis=1))
    return b.node("MaxRoiPool", [x, b.constant(boxes)], pooled_shape=[2, 2])


@idiom(since=16, weight=1.5)
def grid_sample(b):
    x = image(b, fits=lambda v: v.size <= 200)
    shape = (x.shape[0], b.between(2, 4), b.between(2, 4), 2)
    linear, cubic = ("linear", "cubic") if b.opset >= 20 else ("bilinear", "bicubic")
    grid = b.constant(b.rng.uniform(-1.1, 1.1, shape))
    if b.chance(0.5):
        grid = b.within(b.real(shape=shape), 1.0)
    attributes = {
        "mode": b.one_of([linear, linear, "nearest", cubic]),
        "padding_mode": b.one_of(["zeros", "border"]),
        "align_corners": b.between(0, 1),
    }
    if attributes["mode"] == cubic and attributes["padding_mode"] == "border":
        # ONNX moves what is outside to the border before it interpolates, onnxruntime after.
        attributes["padding_mode"] = "zeros"
    return b.node("GridSample", [x, grid], **attributes)


@idiom(since=20, weight=1.5)
def affine_grid(b):
    theta = b.within(b.real(shape=(1, 2, 3)), 1.0)
    grid = b.node("AffineGrid", [theta, b.ints(1, 2, 3, 4)], align_corners=b.between(0, 1))
    if b.chance(0.5):
        x = image(b, fits=lambda v: v.shape[0] == 1 and v.size <= 200)
        return b.node("GridSample", [x, b.within(grid, 1.2)])
    return grid


@idiom(since=19, weight=4)
def deform_conv(b):
    x = image(b, fits=lambda v: v.size <= 120)
    height, width = x.shape[2] - 1, x.shape[3] - 1
    offset = b.within(b.real(shape=(x.shape[0], 8, height, width)), 1.0)
    return b.node("DeformConv", [x, kernel(b, 2, x.shape[1], 2, 2), offset], kernel_shape=[2, 2], pads=[0] * 4)


@idiom(since=18, weight=2)
def col2im(b):
    x = b.real(shape=(1, 4 * b.between(1, 2), 4))
    return b.node("Col2Im", [x, b.ints(4, 4), b.ints(2, 2)], strides=[2, 2])


@idiom(since=18, weight=1.5)
def center_crop_pad(b):
    x = b.real(rank=b.one_of([2, 4]))
    return b.node("CenterCropPad", [x, b.ints(*(b.between(1, 6) for _ in range(2)))], axes=[-2, -1])


@idiom(since=11, weight=4)
def determinant(b):
    n = b.between(2, 4)
    return b.node("Det", [b.within(b.real(shape=(b.between(1, 3), n, n)), 3.0)])


@idiom(since=27, weight=3)
def causal_conv_with_state(b):
    x = b.within(b.real(rank=3, fits=lambda v: v.shape[2] > 2), 20.0)
    w = b.constant(b.rng.standard_normal((x.shape[1], 1, 3)) / 2, stem="w")
    y, _ = b.node("CausalConvWithState", [x, w, b.bias(x.shape[1])], outputs=2)
    return y


@idiom()
def image_mean_and_scale(b):
    """Pixels of 0 to 255, normalised by channel."""
    x = b.real(rank=4)
    c = x.shape[1]
    mean, scale = b.constant(b.rng.uniform(0.3, 0.5, (c, 1, 1)) * x.magnitude), b.constant(b.rng.uniform(0.2, 0.3, (c, 1, 1)) * x.magnitude + 1e-3)
    return b.node("Div", [b.node("Sub", [x, mean]), scale])
