//! Attention: `softmax(scale Q K^T + bias, masked) V`.

use tract_onnx::prelude::{Datum, DatumType};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, PREVIEW, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("Attention", 23, attention),
    op("FlexAttention", 1, flexible)
        .domain(PREVIEW)
        .restricted("static score and probability functions"),
];

/// Constants below are masks.
const MASKED: f64 = -1e30;

/// What is added to scores, and which of them count: 0 where masked.
#[derive(Default)]
struct Masks {
    bias: Option<NodeId>,
    allowed: Option<NodeId>,
}

/// `Attention`: `Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen`, of three or four axes.
fn attention(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let packed = scope.build.rank(scope.operand(0)?) == 3;
    let (query_heads, key_heads) = (scope.int("q_num_heads"), scope.int("kv_num_heads"));
    let query = heads(scope, 0, query_heads)?;
    let mut key = heads(scope, 1, key_heads)?;
    let mut value = heads(scope, 2, key_heads)?;
    let mut past = 0;
    if let (Some(past_key), Some(past_value)) = (scope.optional(4), scope.optional(5)) {
        past = dimension(scope, past_key, 2)?;
        key = scope.build.concat(vec![past_key, key], 2);
        value = scope.build.concat(vec![past_value, value], 2);
    }
    let scale = scope
        .float("scale")
        .unwrap_or_else(|| scale_of(scope, query));
    let raw = scores(&mut scope.build, query, key, scale)?;
    let softcap = scope.float("softcap").filter(|cap| *cap > 0.0);
    let capped = match softcap {
        Some(cap) => {
            let divided = scope.build.multiply_scalar(raw, 1.0 / cap);
            let bent = scope.build.unary(UnaryFn::Tanh, divided);
            scope.build.multiply_scalar(bent, cap)
        }
        None => raw,
    };
    let masks = masks(scope, raw, past)?;
    let biased = match masks.bias {
        Some(bias) => scope.build.add(capped, bias),
        None => capped,
    };
    let mut probabilities = scope.build.softmax(biased, masks.allowed, 3);
    let mut mixed = mix(&mut scope.build, probabilities, value)?;
    if let Some(attends) = masks.allowed.and_then(|m| attends(&mut scope.build, m)) {
        probabilities = scope.build.multiply(probabilities, attends);
        mixed = scope.build.multiply(mixed, attends);
    }
    if packed {
        mixed = scope.build.transpose(mixed, &[0, 2, 1, 3]);
        let shape = scope.build.shape(mixed);
        mixed = scope
            .build
            .reshape(mixed, &[shape[0], shape[1], shape[2] * shape[3]]);
    }
    let shown = match scope.int("qk_matmul_output_mode").unwrap_or(0) {
        0 => raw,
        1 => capped,
        2 if masks.allowed.is_some() && scope.wants(3) => {
            return Err(refuse(
                "its fourth result is infinite at masked positions",
                "use another `qk_matmul_output_mode`",
            ));
        }
        2 => biased,
        3 => probabilities,
        mode => {
            return Err(refuse(
                format!("its `qk_matmul_output_mode` {mode} is not supported"),
                "use a value from 0 to 3",
            ));
        }
    };
    let (q, k, v) = (scope.dtype(0), scope.dtype(1), scope.dtype(2));
    Ok(vec![(mixed, q), (key, k), (value, v), (shown, q)])
}

/// `FlexAttention`: `Q, K, V` of four axes, with graphs that change the scores and the probabilities.
fn flexible(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (query, key, value) = (scope.operand(0)?, scope.operand(1)?, scope.operand(2)?);
    dimension(scope, query, 3)?;
    let scale = scope
        .float("scale")
        .unwrap_or_else(|| scale_of(scope, query));
    let dtype = match scope.dtype(0) {
        DatumType::F64 => DatumType::F64,
        _ => DatumType::F32,
    };
    let raw = scores(&mut scope.build, query, key, scale)?;
    let changed = modified(scope, "score_mod", raw, dtype)?;
    let probabilities = scope.build.softmax(changed, None, 3);
    let probabilities = modified(scope, "prob_mod", probabilities, dtype)?;
    let mixed = mix(&mut scope.build, probabilities, value)?;
    Ok(vec![(mixed, scope.dtype(2))])
}

/// A value after the graph in an attribute, if there is one.
fn modified(
    scope: &mut Scope,
    name: &str,
    x: NodeId,
    dtype: DatumType,
) -> Result<NodeId, Diagnostic> {
    if scope.graph(name).is_none() {
        return Ok(x);
    }
    let made = scope.call(name, &[(x, dtype)])?;
    match made[..] {
        [(y, _)] if scope.build.shape(y) == scope.build.shape(x) => Ok(y),
        _ => Err(refuse(
            format!("its `{name}` changes the shape"),
            "correct the model",
        )),
    }
}

/// `1 / sqrt(head size)`.
fn scale_of(scope: &Scope, query: NodeId) -> f64 {
    let size = scope.build.shape(query)[3];
    (size as f64).sqrt().recip()
}

/// The operand as `[batch, heads, positions, size]`.
fn heads(scope: &mut Scope, index: usize, heads: Option<i64>) -> Result<NodeId, Diagnostic> {
    let x = scope.operand(index)?;
    let heads = usize::try_from(heads.unwrap_or(0)).unwrap_or(0);
    split_heads(scope, (index, x), heads)
}

/// An operand `[batch, positions, heads * size]` as `[batch, heads, positions, size]`; what has four axes has been split.
pub fn split_heads(
    scope: &mut Scope,
    (index, x): (usize, NodeId),
    heads: usize,
) -> Result<NodeId, Diagnostic> {
    let shape = scope.build.shape(x);
    match shape[..] {
        [_, _, _, _] => Ok(x),
        [batch, positions, hidden] if heads > 0 && hidden % heads == 0 => {
            let apart = [batch, positions, heads, hidden / heads];
            let apart = scope.build.reshape(x, &apart);
            Ok(scope.build.transpose(apart, &[0, 2, 1, 3]))
        }
        _ => Err(refuse(
            format!("its operand {index} of shape {shape:?} cannot be split into {heads} heads"),
            "correct the shape or the number of heads",
        )),
    }
}

fn dimension(scope: &Scope, x: NodeId, axis: usize) -> Result<usize, Diagnostic> {
    let shape = scope.build.shape(x);
    let found = shape.get(axis).copied();
    found.ok_or_else(|| {
        refuse(
            format!("an operand has the shape {shape:?}"),
            "correct the model",
        )
    })
}

/// Number of query heads that share one head of keys.
fn group(build: &Builder, query: NodeId, key: NodeId) -> Result<usize, Diagnostic> {
    let (query, key) = (build.shape(query), build.shape(key));
    if query.len() != 4 || key.len() != 4 || query[0] != key[0] || query[1] % key[1].max(1) != 0 {
        return Err(refuse(
            format!("queries of shape {query:?} do not fit keys of shape {key:?}"),
            "correct the model",
        ));
    }
    Ok(query[1] / key[1])
}

/// `scale Q K^T`, `[batch, heads, queries, keys]`.
pub fn scores(
    build: &mut Builder,
    query: NodeId,
    key: NodeId,
    scale: f64,
) -> Result<NodeId, Diagnostic> {
    let group = group(build, query, key)?;
    let (q, k) = (build.shape(query), build.shape(key));
    if q[3] != k[3] {
        return Err(refuse(
            "its queries and keys have different sizes",
            "correct the model",
        ));
    }
    let query = build.multiply_scalar(query, scale);
    let query = build.reshape(query, &[q[0], k[1], group, q[2], q[3]]);
    let scores = build.einsum("bhgqd,bhkd->bhgqk", &[query, key]);
    Ok(build.reshape(scores, &[q[0], q[1], q[2], k[2]]))
}

/// Probabilities times values, `[batch, heads, queries, size]`.
pub fn mix(
    build: &mut Builder,
    probabilities: NodeId,
    value: NodeId,
) -> Result<NodeId, Diagnostic> {
    let group = group(build, probabilities, value)?;
    let (p, v) = (build.shape(probabilities), build.shape(value));
    if p[3] != v[2] {
        return Err(refuse(
            "it does not have as many keys as values",
            "correct the model",
        ));
    }
    let apart = build.reshape(probabilities, &[p[0], v[1], group, p[2], p[3]]);
    let mixed = build.einsum("bhgqk,bhkd->bhgqd", &[apart, value]);
    Ok(build.reshape(mixed, &[p[0], p[1], p[2], v[3]]))
}

/// All masks of an attention with these scores; `past` is the number of keys before the first query's key.
fn masks(scope: &mut Scope, scores: NodeId, past: usize) -> Result<Masks, Diagnostic> {
    let shape = scope.build.shape(scores);
    let mut masks = given(scope, &shape)?;
    let [queries, keys] = [shape[2], shape[3]];
    let build = &mut scope.build;
    let (i, j) = (build.iota(queries, 2, 4), build.iota(keys, 3, 4));
    let mut ahead = build.subtract(i, j);
    let filled = scope.optional(6).map(|x| (x, scope.build.shape(x)));
    let build = &mut scope.build;
    let filled = filled.map(|(x, len)| build.reshape(x, &[len.iter().product(), 1, 1, 1]));
    ahead = match filled {
        Some(filled) => {
            let before = build.add_scalar(filled, -(queries as f64));
            build.add(ahead, before)
        }
        None => build.add_scalar(ahead, past as f64),
    };
    let bound = |name: &str| scope.int(name).filter(|w| *w >= 0).map(|w| w as f64);
    let causal = scope.int("is_causal").unwrap_or(0) != 0;
    let (left, right) = (bound("left_window_size"), bound("right_window_size"));
    let least = if causal { Some(0.0) } else { right.map(|r| -r) };
    let build = &mut scope.build;
    if least.is_some() || left.is_some() {
        let inside = build.within(ahead, least, left);
        masks.allow(build, inside);
    }
    if let Some(filled) = filled {
        let after = build.subtract(filled, j);
        let inside = build.within(after, Some(1.0), None);
        masks.allow(build, inside);
    }
    let everything = masks
        .allowed
        .filter(|m| build.graph.uniform(*m) == Some(1.0));
    if everything.is_some() {
        masks.allowed = None;
    }
    Ok(masks)
}

/// The operand `attn_mask`: what is allowed if boolean, else a bias; it may have fewer keys and fewer axes than the scores.
fn given(scope: &mut Scope, scores: &[usize]) -> Result<Masks, Diagnostic> {
    let mut masks = Masks::default();
    let Some(mask) = scope.optional(3) else {
        return Ok(masks);
    };
    let boolean = scope.dtype(3) == bool::datum_type();
    let build = &mut scope.build;
    if build.rank(mask) == 0 || build.rank(mask) > 4 {
        return Err(refuse(
            "its mask does not have 1 to 4 axes",
            "correct the model",
        ));
    }
    let mut mask = build.unsqueeze_to_rank(mask, 4);
    let mut shape = build.shape(mask);
    if shape[3] < scores[3] {
        let present = vec![1.0; shape[3]];
        let mut present = Tensor::new(vec![1, 1, 1, shape[3]], present);
        present.data.resize(scores[3], 0.0);
        present.shape[3] = scores[3];
        if !boolean {
            let present = build.constant(present);
            masks.allow(build, present);
        }
        shape[3] = scores[3];
        let (before, value) = (vec![0; 4], 0.0);
        mask = build.push(Op::Pad { before, value }, vec![mask], shape.clone());
    }
    let fits = |(own, whole): (&usize, &usize)| own == whole || *own == 1;
    if !shape.iter().zip(scores).all(fits) {
        return Err(refuse(
            format!("its mask of shape {shape:?} does not fit its scores of shape {scores:?}"),
            "correct the model",
        ));
    }
    if boolean {
        masks.allow(build, mask);
        return Ok(masks);
    }
    match build.tensor(mask).cloned() {
        Some(values) if values.data.iter().any(|v| *v < MASKED) => {
            let kept = |v: &f64| f64::from(*v >= MASKED);
            let allowed = values.data.iter().map(kept).collect();
            let finite = |v: &f64| if *v < MASKED { 0.0 } else { *v };
            let bias = values.data.iter().map(finite).collect();
            let allowed = build.constant(Tensor::new(values.shape.clone(), allowed));
            masks.allow(build, allowed);
            masks.bias = Some(build.constant(Tensor::new(values.shape, bias)));
        }
        _ => masks.bias = Some(mask),
    }
    Ok(masks)
}

impl Masks {
    fn allow(&mut self, build: &mut Builder, inside: NodeId) {
        self.allowed = Some(match self.allowed {
            Some(allowed) => build.multiply(allowed, inside),
            None => inside,
        });
    }
}

/// 1 for each query that attends to some key; `None` if all do.
fn attends(build: &mut Builder, allowed: NodeId) -> Option<NodeId> {
    let number = build.reduce(Reducer::Sum, &[3], allowed);
    let some = build.pointwise(Pointwise::step(Pointwise::Variable), number);
    (build.graph.uniform(some) != Some(1.0)).then_some(some)
}
