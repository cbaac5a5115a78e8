"""Attention with masks of all kinds, position embeddings, and the shape arithmetic that exporters write around them."""

import numpy as np

import ports
from builder import Impossible
from families import idiom
from families.linear import matmul_add

HIDDEN = [-1e9, float(np.finfo(np.float32).min), -65504.0, -1e4, float("-inf")]


def sequence(b, least=2):
    """Some [batch, length, width]."""
    x = b.real(rank=3, fits=lambda v: v.shape[1] >= least and v.shape[2] % 2 == 0 and v.size <= 400)
    return b.within(x, 10.0)


def project(b, x, width=None):
    width = width or x.shape[-1]
    y = b.node("MatMul", [x, b.constant(b.rng.standard_normal((x.shape[-1], width)) / np.sqrt(x.shape[-1]), stem="w")])
    return b.node("Add", [y, b.bias(width)]) if b.chance(0.6) else y


def heads(b, x, count):
    """[batch, length, width] to [batch, heads, length, depth]: with constant shapes, or read off the value as exporters do."""
    batch, length, width = x.shape
    if b.chance(0.5):
        shape = b.ints(batch, length, count, width // count)
    else:
        read = b.node("Shape", [x])
        dims = [b.unsqueeze(b.node("Gather", [read, b.constant(np.int64(k))], axis=0), [0]) for k in (0, 1)]
        shape = b.node("Concat", [*dims, b.ints(count), b.ints(width // count)], axis=0)
    return b.node("Transpose", [b.node("Reshape", [x, shape])], perm=[0, 2, 1, 3])


def masked(b, scores):
    """Scores of [..., queries, keys] with some of them hidden."""
    queries, keys = scores.shape[-2:]
    how = b.between(0, 4)
    causal = np.tril(np.ones((queries, keys), dtype=bool), keys - queries)
    if how == 0:
        fill = b.one_of(HIDDEN)
        return b.node("Add", [scores, b.constant(np.where(causal, 0.0, fill))], finite=False)
    if how == 1:
        visible = b.constant(causal)
        return b.node("Where", [visible, scores, b.constant(b.one_of(HIDDEN))], finite=False)
    if how == 2:
        mask = b.input(b.real_type, (keys,), ports.leading((keys,)), "mask")
        bias = b.node("Mul", [b.node("Sub", [b.constant(1.0), mask]), b.constant(b.one_of([-1e9, -1e4, float(np.finfo(np.float32).min)]))])
        return b.node("Add", [scores, bias])
    if how == 3:
        mask = b.input(np.int64, (1, keys), ports.leading((1, keys)), "attention_mask", selects=True)
        visible = b.cast(b.unsqueeze(mask, [1]), bool)
        return b.node("Where", [visible, scores, b.constant(b.one_of(HIDDEN[:-1]))])
    return scores


@idiom(weight=3)
def attention(b):
    x = sequence(b)
    if len(b.ports) > 3:
        raise Impossible("enough inputs")
    count = b.one_of([h for h in (1, 2) if x.shape[-1] % h == 0])
    q, k, v = (heads(b, project(b, x), count) for _ in range(3))
    scores = b.node("MatMul", [q, b.node("Transpose", [k], perm=[0, 1, 3, 2])])
    depth = np.sqrt(q.shape[-1])
    scores = b.node("Div", [scores, b.constant(depth)]) if b.chance(0.5) else b.node("Mul", [scores, b.constant(1 / depth)])
    weights = b.node("Softmax", [masked(b, scores)], axis=-1 if b.opset >= 13 else 3)
    y = b.node("Transpose", [b.node("MatMul", [weights, v])], perm=[0, 2, 1, 3])
    return project(b, b.node("Reshape", [y, b.ints(0, 0, -1) if b.chance(0.5) else b.ints(*x.shape)]))


@idiom(weight=1.5)
def attention_of_one_head(b):
    x = sequence(b)
    q, k, v = (project(b, x) for _ in range(3))
    scores = b.node("MatMul", [q, b.node("Transpose", [k], perm=[0, 2, 1])])
    weights = b.node("Softmax", [masked(b, b.node("Mul", [scores, b.constant(x.shape[-1] ** -0.5)]))], axis=2)
    return b.node("Add", [x, b.node("MatMul", [weights, v])])


@idiom(since=23, weight=3)
def attention_operator(b):
    x = sequence(b)
    count = b.one_of([h for h in (1, 2) if x.shape[-1] % h == 0])
    q, k, v = (project(b, x) for _ in range(3))
    mask = None
    if b.chance(0.4):
        mask = b.constant(np.tril(np.ones((x.shape[1], x.shape[1]), dtype=bool)))
    return b.node("Attention", [q, k, v, mask], q_num_heads=count, kv_num_heads=count, is_causal=int(mask is None and b.chance(0.5)))


@idiom(since=23, weight=2)
def rotary_embedding(b):
    x = sequence(b)
    half = x.shape[2] // 2
    angles = np.arange(x.shape[1])[:, None] / 10 ** (np.arange(half) / half)
    angles = np.broadcast_to(angles, (x.shape[0], x.shape[1], half))
    return b.node("RotaryEmbedding", [x, b.constant(np.cos(angles)), b.constant(np.sin(angles))], num_heads=1)


@idiom()
def rotary_written_out(b):
    x = sequence(b)
    half = x.shape[2] // 2
    angles = np.arange(x.shape[1])[:, None] / 10 ** (np.arange(half) / half)
    angles = np.concatenate([angles, angles], axis=1)
    first, second = b.slice(x, [0], [half], [2]), b.slice(x, [half], [2 * half], [2])
    turned = b.node("Concat", [b.node("Neg", [second]), first], axis=-1)
    return b.node("Add", [b.node("Mul", [x, b.constant(np.cos(angles))]), b.node("Mul", [turned, b.constant(np.sin(angles))])])


@idiom(weight=2)
def embedding(b):
    vocabulary, width = b.between(5, 60), b.one_of([4, 8, 12])
    ids = b.whole(np.int64, low=0, high=vocabulary - 1, fits=lambda v: v.rank in (1, 2) and v.size <= 40)
    y = b.node("Gather", [b.constant(b.one_of([0.1, 1.0, 1.0]) * b.rng.standard_normal((vocabulary, width)), stem="table"), ids])
    if b.chance(0.5):
        y = b.node("Add", [y, b.constant(0.5 * b.rng.standard_normal((ids.shape[-1], width)), stem="positions")])
    return y


@idiom(since=14)
def position_ids(b):
    """As RoBERTa counts what is not padding."""
    shape = (1, b.between(4, 12))
    ids = b.input(np.int64, shape, ports.whole(shape, 0, 5), "ids", selects=True)
    shown = b.cast(b.node("Not", [b.node("Equal", [ids, b.constant(np.int64(1))])]), np.int32)
    counted = b.node("Mul", [b.node("CumSum", [shown, b.constant(np.int64(1))]), shown])
    places = b.node("Add", [b.cast(counted, np.int64), b.constant(np.int64(1))])
    return b.node("Gather", [b.constant(b.rng.standard_normal((ids.shape[1] + 2, 6)), stem="positions"), places])


@idiom()
def transformer_feed_forward(b):
    x = b.real(rank=3)
    y = b.node("Relu", [matmul_add(b)]) if b.chance(0.1) else b.node("Relu", [project(b, x, 2 * x.shape[-1])])
    return b.node("Add", [x, project(b, y, x.shape[-1])]) if y.shape[:2] == x.shape[:2] else y


@idiom()
def mean_pool_of_shown(b):
    """The mean over the positions that a mask shows, as of sentence embeddings."""
    x = b.real(rank=3, fits=lambda v: v.shape[1] > 1)
    mask = b.input(np.int64, x.shape[:2], ports.leading(x.shape[:2]), "attention_mask", selects=True)
    shown = b.cast(b.unsqueeze(mask, [2]), b.real_type)
    total = b.reduce("ReduceSum", b.node("Mul", [x, shown]), [1], keepdims=0)
    count = b.clip(b.reduce("ReduceSum", shown, [1], keepdims=0), b.one_of([1e-9, 1.0]), None)
    return b.node("Div", [total, count])


@idiom(since=14, weight=0.7)
def causal_by_trilu(b):
    x = b.real(rank=3, fits=lambda v: v.shape[1] == v.shape[2] and v.shape[1] > 1)
    mask = b.node("Trilu", [b.constant(np.full(x.shape[1:], b.one_of([-1e4, -1e9]))), b.constant(np.int64(1))], upper=1)
    return b.node("Softmax", [b.node("Add", [b.within(x, 20.0), mask])], axis=-1)


@idiom(since=27, weight=3)
def linear_attention(b):
    x = sequence(b)
    q, k, v = (project(b, x) for _ in range(3))
    y, _ = b.node("LinearAttention", [q, k, v], outputs=2, q_num_heads=1, kv_num_heads=1, update_rule="linear")
    return y


@idiom(since=26, weight=2)
def flex_attention(b):
    x = sequence(b)
    q, k, v = (heads(b, project(b, x), 1) for _ in range(3))
    return b.node("FlexAttention", [q, k, v], domain="ai.onnx.preview")
