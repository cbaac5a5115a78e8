//! Attention as `com.microsoft` has it: projections, biases and caches in one operator.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{NodeId, Op, UnaryFn};
use crate::onnx::decompose::nn::attention::{mix, scores, split_heads};
use crate::onnx::decompose::operator::{MICROSOFT, Operator, op};
use crate::onnx::decompose::quantized::qlinear::matrix_product;
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("Attention", 1, attention)
        .domain(MICROSOFT)
        .restricted("without rotation; masks of keys, or of queries and keys"),
    op("GroupQueryAttention", 1, grouped)
        .domain(MICROSOFT)
        .restricted("caches that are full; lengths are those of the tensors"),
    op("MultiHeadAttention", 1, multi_head)
        .domain(MICROSOFT)
        .restricted("masks of keys, or of queries and keys"),
    op("RotaryEmbedding", 1, rotary)
        .domain(MICROSOFT)
        .restricted("without `scale`"),
];

/// Queries, keys and values `[batch, heads, positions, size]`, and what is added to scores or masks them.
struct Heads {
    query: NodeId,
    key: NodeId,
    value: NodeId,
    bias: Option<NodeId>,
    allowed: Option<NodeId>,
    scale: Option<f64>,
    softcap: Option<f64>,
    /// Keys before the first query's.
    past: usize,
    /// Whether a query sees its own and earlier keys only, and of these at most how many.
    causal: bool,
    window: Option<usize>,
}

fn count(scope: &Scope, name: &str) -> usize {
    usize::try_from(scope.int(name).unwrap_or(0)).unwrap_or(0)
}

impl Heads {
    /// Of the operator's scale, and nothing else that it may ask for.
    fn new(scope: &Scope, [query, key, value]: [NodeId; 3]) -> Self {
        Self {
            query,
            key,
            value,
            bias: None,
            allowed: None,
            scale: scope.float("scale").filter(|scale| *scale != 0.0),
            softcap: None,
            past: 0,
            causal: false,
            window: None,
        }
    }

    /// `softmax(scale Q K^T + bias, masked) V`, as `[batch, positions, heads * size]`.
    fn attend(self, build: &mut Builder) -> Result<NodeId, Diagnostic> {
        let size = build.shape(self.query)[3] as f64;
        let scale = self.scale.unwrap_or_else(|| size.sqrt().recip());
        let mut scores = scores(build, self.query, self.key, scale)?;
        if let Some(cap) = self.softcap {
            let divided = build.multiply_scalar(scores, cap.recip());
            let bent = build.unary(UnaryFn::Tanh, divided);
            scores = build.multiply_scalar(bent, cap);
        }
        if let Some(bias) = self.bias {
            let bias = build.unsqueeze_to_rank(bias, 4);
            scores = build.add(scores, bias);
        }
        let mut allowed = self.allowed;
        if self.causal || self.window.is_some() {
            let shape = build.shape(scores);
            let (i, j) = (build.iota(shape[2], 2, 4), build.iota(shape[3], 3, 4));
            let ahead = build.subtract(i, j);
            let ahead = build.add_scalar(ahead, self.past as f64);
            let least = self.causal.then_some(0.0);
            let most = self.window.map(|window| window as f64 - 1.0);
            let inside = build.within(ahead, least, most);
            allowed = Some(match allowed {
                Some(allowed) => build.multiply(allowed, inside),
                None => inside,
            });
        }
        let allowed = allowed.filter(|mask| build.graph.uniform(*mask) != Some(1.0));
        let probabilities = build.softmax(scores, allowed, 3);
        let mixed = mix(build, probabilities, self.value)?;
        let mixed = build.transpose(mixed, &[0, 2, 1, 3]);
        let shape = build.shape(mixed);
        Ok(build.reshape(mixed, &[shape[0], shape[1], shape[2] * shape[3]]))
    }

    /// Puts earlier keys and values before these.
    fn follow(&mut self, build: &mut Builder, past_key: NodeId, past_value: NodeId) {
        self.past = build.shape(past_key)[2];
        if self.past > 0 {
            self.key = build.concat(vec![past_key, self.key], 2);
            self.value = build.concat(vec![past_value, self.value], 2);
        }
    }
}

/// A mask of integers: 1 where a key counts, `[batch, keys]` or `[batch, queries, keys]`; or how many keys count, `[batch]`.
fn mask(scope: &mut Scope, index: usize, keys: usize) -> Result<Option<NodeId>, Diagnostic> {
    let Some(mask) = scope.optional(index) else {
        return Ok(None);
    };
    let is_float = scope.dtype(index).is_float();
    let build = &mut scope.build;
    let shape = build.shape(mask);
    match shape[..] {
        [batch, own] if own == keys && !is_float => {
            Ok(Some(build.reshape(mask, &[batch, 1, 1, keys])))
        }
        [batch, queries, own] if own == keys && !is_float => {
            Ok(Some(build.reshape(mask, &[batch, 1, queries, keys])))
        }
        [batch] if !is_float => {
            let lengths = build.reshape(mask, &[batch, 1, 1, 1]);
            let j = build.iota(keys, 3, 4);
            let left = build.subtract(lengths, j);
            Ok(Some(build.within(left, Some(1.0), None)))
        }
        _ => Err(refuse(
            format!("its mask has the shape {shape:?}"),
            "use one of keys, or of queries and keys",
        )),
    }
}

/// `Attention`: data, weights and bias of the three projections, mask, past `[2, batch, heads, positions, size]`, bias of scores.
fn attention(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, weights) = (scope.operand(0)?, scope.operand(1)?);
    if scope.int("do_rotary").unwrap_or(0) != 0 || scope.build.rank(x) != 3 {
        return Err(refuse(
            "it rotates its queries, or its data has not three axes",
            "use RotaryEmbedding",
        ));
    }
    let heads = count(scope, "num_heads");
    let mut projected = matrix_product(&mut scope.build, x, weights)?;
    if let Some(bias) = scope.optional(2) {
        let bias = scope.build.unsqueeze_to_rank(bias, 3);
        projected = scope.build.add(projected, bias);
    }
    let width = scope.build.shape(projected)[2];
    let sizes = match scope
        .ints("qkv_hidden_sizes")
        .filter(|sizes| !sizes.is_empty())
    {
        Some(sizes) => sizes.iter().map(|size| (*size).max(0) as usize).collect(),
        None => vec![width / 3; 3],
    };
    if sizes.len() != 3 || sizes.iter().sum::<usize>() != width {
        return Err(refuse(
            "the sizes of its projections do not fit its weights",
            "correct the model",
        ));
    }
    let mut start = 0;
    let mut parts = [0; 3];
    for (part, size) in parts.iter_mut().zip(sizes) {
        let sliced = scope.build.slice(projected, 2, start, size, 1);
        *part = split_heads(scope, (0, sliced), heads)?;
        start += size;
    }
    let mut all = Heads::new(scope, parts);
    all.bias = scope.optional(5);
    all.causal = scope.int("unidirectional").unwrap_or(0) != 0;
    if let Some(past) = scope.optional(4) {
        let [keys, values] = [0, 1].map(|at| scope.build.select_index(past, 0, at));
        all.follow(&mut scope.build, keys, values);
    }
    let length = scope.build.shape(all.key)[2];
    all.allowed = mask(scope, 3, length)?;
    let present = match scope.wants(1) {
        true => scope.build.stack(vec![all.key, all.value], 0),
        false => all.key,
    };
    let dtype = scope.dtype(0);
    let made = all.attend(&mut scope.build)?;
    Ok(vec![(made, dtype), (present, dtype)])
}

/// `MultiHeadAttention`: query, key, value, bias, mask of keys, bias of scores, past key, past value.
fn multi_head(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let heads = count(scope, "num_heads");
    let dtype = scope.dtype(0);
    let mut operands = [scope.operand(0)?, scope.operand(1)?, scope.operand(2)?];
    if let Some(bias) = scope.optional(3) {
        let mut start = 0;
        for x in &mut operands {
            if scope.build.rank(*x) != 3 {
                continue;
            }
            let size = scope.build.shape(*x)[2];
            let own = scope.build.slice(bias, 0, start, size, 1);
            let own = scope.build.unsqueeze_to_rank(own, 3);
            *x = scope.build.add(*x, own);
            start += size;
        }
    }
    for (index, x) in operands.iter_mut().enumerate() {
        *x = split_heads(scope, (index, *x), heads)?;
    }
    let mut all = Heads::new(scope, operands);
    all.bias = scope.optional(5);
    all.causal = scope.int("unidirectional").unwrap_or(0) != 0;
    if let (Some(past_key), Some(past_value)) = (scope.optional(6), scope.optional(7)) {
        all.follow(&mut scope.build, past_key, past_value);
    }
    let length = scope.build.shape(all.key)[2];
    all.allowed = mask(scope, 4, length)?;
    let (key, value) = (all.key, all.value);
    let made = all.attend(&mut scope.build)?;
    Ok(vec![(made, dtype), (key, dtype), (value, dtype)])
}

/// `GroupQueryAttention`: query, key, value, past key, past value, lengths, length, cosines, sines; causal.
fn grouped(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (heads, groups) = (count(scope, "num_heads"), count(scope, "kv_num_heads"));
    let dtype = scope.dtype(0);
    let query = scope.operand(0)?;
    let mut parts = match (scope.optional(1), scope.optional(2)) {
        (Some(key), Some(value)) => [query, key, value],
        _ => packed(scope, query, heads, groups)?,
    };
    let counts = [heads, groups, groups];
    for (index, (x, heads)) in parts.iter_mut().zip(counts).enumerate() {
        *x = split_heads(scope, (index, *x), heads)?;
    }
    let [mut query, mut key, value] = parts;
    let past = scope
        .optional(3)
        .map_or(0, |past| scope.build.shape(past)[2]);
    let count = scope.build.shape(query)[2];
    full_lengths(scope, past + count)?;
    if scope.int("do_rotary").unwrap_or(0) != 0 {
        let interleaved = scope.int("rotary_interleaved").unwrap_or(0) != 0;
        for x in [&mut query, &mut key] {
            let mut caches = [0; 2];
            for (at, cache) in caches.iter_mut().enumerate() {
                let given = scope.operand(7 + at)?;
                let own = scope.build.slice(given, 0, past, count, 1);
                let width = scope.build.shape(own)[1];
                *cache = scope.build.reshape(own, &[1, 1, count, width]);
            }
            *x = rotated(&mut scope.build, *x, caches, interleaved)?;
        }
    }
    let mut all = Heads::new(scope, [query, key, value]);
    all.bias = scope.optional(10);
    all.softcap = scope.float("softcap").filter(|cap| *cap > 0.0);
    all.causal = true;
    all.window = usize::try_from(scope.int("local_window_size").unwrap_or(-1)).ok();
    if let (Some(past_key), Some(past_value)) = (scope.optional(3), scope.optional(4)) {
        all.follow(&mut scope.build, past_key, past_value);
    }
    let (key, value) = (all.key, all.value);
    let made = all.attend(&mut scope.build)?;
    Ok(vec![(made, dtype), (key, dtype), (value, dtype)])
}

/// Queries, keys and values that are one operand.
fn packed(
    scope: &mut Scope,
    x: NodeId,
    heads: usize,
    groups: usize,
) -> Result<[NodeId; 3], Diagnostic> {
    let width = scope.build.shape(x).last().copied().unwrap_or(0);
    let all = (heads + 2 * groups).max(1);
    if width % all != 0 {
        return Err(refuse(
            format!("its width {width} is not one of {all} heads"),
            "correct the model",
        ));
    }
    let size = width / all;
    let part = |build: &mut Builder, start: usize, count: usize| {
        build.slice(x, 2, start * size, count * size, 1)
    };
    let build = &mut scope.build;
    Ok([
        part(build, 0, heads),
        part(build, heads, groups),
        part(build, heads + groups, groups),
    ])
}

/// Refuses lengths of sequences that are not those of the tensors; where there is no past, padding at the end changes nothing before it.
fn full_lengths(scope: &Scope, length: usize) -> Result<(), Diagnostic> {
    let has_past = scope
        .optional(3)
        .is_some_and(|past| scope.build.shape(past)[2] > 0);
    if !has_past {
        return Ok(());
    }
    let lengths = scope.constant(5)?;
    let full =
        lengths.is_none_or(|lengths| lengths.data.iter().all(|last| *last + 1.0 == length as f64));
    match full {
        true => Ok(()),
        false => Err(refuse(
            "its sequences are shorter than its cache",
            "cut the cache to the length of the sequence",
        )),
    }
}

/// `RotaryEmbedding`: data, positions, cosines, sines.
fn rotary(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let is_flat = scope.build.rank(x) == 3;
    let (caches, positions) = ([scope.operand(2)?, scope.operand(3)?], scope.operand(1)?);
    let width = scope.build.shape(caches[0]).last().copied().unwrap_or(0);
    let limited = count(scope, "rotary_embedding_dim");
    let heads = match (count(scope, "num_heads"), scope.build.shape(x).last()) {
        (0, Some(hidden)) if limited == 0 && width > 0 => hidden / (2 * width),
        (heads, _) => heads,
    };
    if scope.float("scale").is_some_and(|scale| scale != 1.0) {
        return Err(refuse("it scales positions", "scale the cosines and sines"));
    }
    let x = split_heads(scope, (0, x), heads)?;
    let shape = scope.build.shape(x);
    let interleaved = scope.int("interleaved").unwrap_or(0) != 0;
    let build = &mut scope.build;
    let picked = build.shape(positions);
    let positions = match picked[..] {
        [1] => {
            let first = build.reshape(positions, &[1, 1]);
            let steps = build.iota(shape[2], 1, 2);
            build.add(first, steps)
        }
        _ => positions,
    };
    let rows = build.shape(positions);
    let caches = caches.map(|cache| {
        let picked = build.push(
            Op::Gather { axis: 0 },
            vec![cache, positions],
            [&rows[..], &[width]].concat(),
        );
        build.reshape(picked, &[rows[0], 1, shape[2], width])
    });
    let mut made = rotated(build, x, caches, interleaved)?;
    if is_flat {
        made = build.transpose(made, &[0, 2, 1, 3]);
        made = build.reshape(made, &[shape[0], shape[2], shape[1] * shape[3]]);
    }
    Ok(vec![(made, scope.dtype(0))])
}

/// Pairs `(a, b)` become `(a cos - b sin, b cos + a sin)`: neighbors, or those of the two halves; the rest of an axis stays.
fn rotated(
    build: &mut Builder,
    x: NodeId,
    [cosine, sine]: [NodeId; 2],
    interleaved: bool,
) -> Result<NodeId, Diagnostic> {
    let (size, half) = (build.shape(x)[3], build.shape(cosine)[3]);
    if 2 * half > size || half == 0 {
        return Err(refuse(
            "its cosines are wider than its heads",
            "correct the model",
        ));
    }
    let (step, second) = if interleaved { (2, 1) } else { (1, half) };
    let a = build.slice(x, 3, 0, half, step);
    let b = build.slice(x, 3, second, half, step);
    let mut turned = |a: NodeId, b: NodeId, sign: f64| {
        let (kept, crossed) = (build.multiply(a, cosine), build.multiply(b, sine));
        let crossed = build.multiply_scalar(crossed, sign);
        build.add(kept, crossed)
    };
    let (first, second) = (turned(a, b, -1.0), turned(b, a, 1.0));
    let mut made = match interleaved {
        true => {
            let mut shape = build.shape(x);
            shape[3] = 2 * half;
            let pairs = build.stack(vec![first, second], 4);
            build.reshape(pairs, &shape)
        }
        false => build.concat(vec![first, second], 3),
    };
    if 2 * half < size {
        let rest = build.slice(x, 3, 2 * half, size - 2 * half, 1);
        made = build.concat(vec![made, rest], 3);
    }
    Ok(made)
}
