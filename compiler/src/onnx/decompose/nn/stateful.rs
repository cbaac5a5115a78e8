//! Layers that carry a state from position to position: linear attention, causal convolution, cumulative products.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_STEPS, too_many_steps};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Tensor, UnaryFn, Window};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("CausalConvWithState", 27, causal_convolution),
    op("CumProd", 26, cumulative_product).restricted("constant axis"),
    op("LinearAttention", 27, linear_attention),
    op("TensorScatter", 24, tensor_scatter),
];

/// `LinearAttention`: the state `S [batch, heads, keys, values]` is updated with the outer product of key and value.
fn linear_attention(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [query, key, value] = [scope.operand(0)?, scope.operand(1)?, scope.operand(2)?];
    let (gated, delta) = update_rule(scope)?;
    let count = |name: &str| usize::try_from(scope.int(name).unwrap_or(0)).unwrap_or(0);
    let (queries, heads) = (count("q_num_heads"), count("kv_num_heads"));
    let shape = scope.build.shape(query);
    if shape.len() != 3 || heads == 0 || queries == 0 || queries % heads != 0 {
        return Err(refuse(
            "its heads do not fit its query",
            "correct the model",
        ));
    }
    let (batch, steps) = (shape[0], shape[1]);
    if steps > MOST_STEPS {
        return Err(too_many_steps());
    }
    let query = apart(scope, query, heads)?;
    let keys = scope.build.shape(query)[3] / (queries / heads);
    let query = scope
        .build
        .reshape(query, &[batch, steps, heads, queries / heads, keys]);
    let (key, value) = (apart(scope, key, heads)?, apart(scope, value, heads)?);
    let values = scope.build.shape(value)[3];
    if scope.build.shape(key) != [batch, steps, heads, keys]
        || scope.build.shape(value)[..2] != [batch, steps]
    {
        return Err(refuse(
            "its keys and values do not fit its query",
            "correct the model",
        ));
    }
    let (mut decay, mut rate) = (None, None);
    if gated {
        let logarithm = scope.operand(4)?;
        let factor = scope.build.unary(UnaryFn::Exp, logarithm);
        decay = Some(apart(scope, factor, heads)?);
    }
    if delta {
        let given = scope.operand(5)?;
        let width = scope.build.shape(given).last().copied().unwrap_or(1);
        rate = Some(apart(scope, given, width)?);
    }
    let mut state = first_state(scope, &[batch, heads, keys, values])?;
    let scale = scope.float("scale").filter(|scale| *scale != 0.0);
    let scale = scale.unwrap_or_else(|| (keys as f64).sqrt().recip());
    let layer = LinearAttention {
        query,
        key,
        value,
        decay,
        rate,
    };
    let build = &mut scope.build;
    let mut outputs = Vec::new();
    for step in 0..steps {
        let (next, read) = layer.step(build, state, step);
        state = next;
        let read = build.multiply_scalar(read, scale);
        outputs.push(build.reshape(read, &[batch, queries * values]));
    }
    if outputs.is_empty() {
        return Err(refuse("it has no positions", "correct the model"));
    }
    let output = build.stack(outputs, 1);
    let given = scope.optional(3).map_or(0, |_| 3);
    Ok(vec![(output, scope.dtype(0)), (state, scope.dtype(given))])
}

/// The state that is given, or zeros.
fn first_state(scope: &mut Scope, shape: &[usize]) -> Result<NodeId, Diagnostic> {
    match scope.optional(3) {
        Some(state) if scope.build.shape(state) == shape => Ok(state),
        Some(_) => Err(refuse(
            "its state does not fit its heads",
            "correct the model",
        )),
        None => Ok(scope.build.constant(Tensor::filled(shape.to_vec(), 0.0))),
    }
}

/// Whether the state decays, and whether only what differs from it is added.
fn update_rule(scope: &Scope) -> Result<(bool, bool), Diagnostic> {
    match scope.text("update_rule").unwrap_or("gated_delta") {
        "linear" => Ok((false, false)),
        "gated" => Ok((true, false)),
        "delta" => Ok((false, true)),
        "gated_delta" => Ok((true, true)),
        rule => Err(refuse(
            format!("its update rule `{rule}` is not supported"),
            "use `linear`, `gated`, `delta` or `gated_delta`",
        )),
    }
}

/// Operands of a linear attention; positions are the second axis.
struct LinearAttention {
    /// `[batch, positions, heads, queries of a head, keys]`.
    query: NodeId,
    /// `[batch, positions, heads, keys]`.
    key: NodeId,
    /// `[batch, positions, heads, values]`.
    value: NodeId,
    /// What the state is multiplied with, if it decays.
    decay: Option<NodeId>,
    /// How much of the difference from the state is added, if that is the rule.
    rate: Option<NodeId>,
}

impl LinearAttention {
    /// The state after a position, and what its query reads from it.
    fn step(&self, build: &mut Builder, mut state: NodeId, step: usize) -> (NodeId, NodeId) {
        let [q, k] = [self.query, self.key].map(|x| build.select_index(x, 1, step));
        let mut v = build.select_index(self.value, 1, step);
        if let Some(decay) = self.decay {
            let decay = build.select_index(decay, 1, step);
            let (whole, width) = (build.shape(state), build.shape(decay)[2]);
            let decay = build.reshape(decay, &[whole[0], whole[1], width, 1]);
            state = build.multiply(state, decay);
        }
        if let Some(rate) = self.rate {
            let known = build.einsum("bhdm,bhd->bhm", &[state, k]);
            let news = build.subtract(v, known);
            let rate = build.select_index(rate, 1, step);
            v = build.multiply(rate, news);
        }
        let added = build.einsum("bhd,bhm->bhdm", &[k, v]);
        let state = build.add(state, added);
        (state, build.einsum("bhgd,bhdm->bhgm", &[q, state]))
    }
}

/// `[batch, steps, heads * size]` as `[batch, steps, heads, size]`.
fn apart(scope: &mut Scope, x: NodeId, heads: usize) -> Result<NodeId, Diagnostic> {
    match scope.build.shape(x)[..] {
        [batch, steps, hidden] if heads > 0 && hidden % heads == 0 => Ok(scope
            .build
            .reshape(x, &[batch, steps, heads, hidden / heads])),
        ref shape => Err(refuse(
            format!("an operand of shape {shape:?} cannot be split into {heads} heads"),
            "correct the model",
        )),
    }
}

/// `CausalConvWithState`: each channel of `[batch, channels, positions]` with its own kernel `[channels, 1, k]`, on what came before.
fn causal_convolution(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, weight) = (scope.operand(0)?, scope.operand(1)?);
    let (bias, past) = (scope.optional(2), scope.optional(3));
    let (shape, kernel) = (scope.build.shape(x), scope.build.shape(weight));
    let (&[batch, channels, length], &[filters, 1, taps]) = (&shape[..], &kernel[..]) else {
        return Err(refuse(
            "its input or its kernel does not have three axes",
            "correct the model",
        ));
    };
    let fits = |past: NodeId| scope.build.shape(past) == [batch, channels, taps - 1];
    if filters != channels || taps == 0 || !past.is_none_or(fits) {
        return Err(refuse(
            "its kernel or its state does not fit its input",
            "correct the model",
        ));
    }
    let build = &mut scope.build;
    let mut padded = x;
    if taps > 1 {
        let before = [batch, channels, taps - 1].to_vec();
        let past = past.unwrap_or_else(|| build.constant(Tensor::filled(before, 0.0)));
        padded = build.concat(vec![past, x], 2);
    }
    let bias = bias.unwrap_or_else(|| build.constant(Tensor::filled(vec![channels], 0.0)));
    let mut made = if build.tensor(weight).is_some() && build.tensor(bias).is_some() {
        let window = Window {
            kernel: vec![taps],
            stride: vec![1],
            dilation: vec![1],
            pad_before: vec![0],
        };
        let groups = channels;
        build.push(
            Op::Convolution { window, groups },
            vec![padded, weight, bias],
            shape.clone(),
        )
    } else {
        let windows = (0..taps).map(|tap| build.slice(padded, 2, tap, length, 1));
        let windows = windows.collect();
        let windows = build.stack(windows, 3);
        let weight = build.reshape(weight, &[channels, taps]);
        let sums = build.einsum("bclk,ck->bcl", &[windows, weight]);
        let bias = build.reshape(bias, &[channels, 1]);
        build.add(sums, bias)
    };
    let activation = scope.text("activation").unwrap_or("none").to_string();
    match activation.as_str() {
        "none" => {}
        "silu" | "swish" => made = scope.build.unary(UnaryFn::Silu, made),
        other => {
            return Err(refuse(
                format!("its activation `{other}` is not supported"),
                "use `silu` or `none`",
            ));
        }
    }
    let dtype = scope.dtype(0);
    if taps == 1 {
        return if scope.wants(1) {
            Err(refuse("its state is empty", "leave out the second output"))
        } else {
            Ok(vec![(made, dtype)])
        };
    }
    let state = scope.build.slice(padded, 2, length, taps - 1, 1);
    Ok(vec![(made, dtype), (state, dtype)])
}

/// `CumProd`: each element with all before it, in as many rounds as the length has bits.
fn cumulative_product(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let axis = scope
        .constant_ints(1)?
        .and_then(|axis| axis.first().copied());
    let rank = scope.build.rank(x);
    let axis = Scope::position(axis.unwrap_or(0), rank)?;
    let flag = |name: &str| scope.int(name).unwrap_or(0) != 0;
    let (reverse, exclusive) = (flag("reverse"), flag("exclusive"));
    let build = &mut scope.build;
    let shape = build.shape(x);
    let Some(&length) = shape.get(axis) else {
        return Err(refuse("its operand is a scalar", "correct the model"));
    };
    let turn = |build: &mut Builder, x| {
        if reverse {
            build.slice(x, axis, length - 1, length, -1)
        } else {
            x
        }
    };
    let mut products = turn(build, x);
    let mut span = 1;
    while span < length {
        let head = build.slice(products, axis, 0, span, 1);
        let tail = build.slice(products, axis, span, length - span, 1);
        let before = build.slice(products, axis, 0, length - span, 1);
        let tail = build.multiply(tail, before);
        products = build.concat(vec![head, tail], axis);
        span *= 2;
    }
    if exclusive {
        let mut one = shape.clone();
        one[axis] = 1;
        let one = build.constant(Tensor::filled(one, 1.0));
        products = match length {
            1 => one,
            _ => {
                let before = build.slice(products, axis, 0, length - 1, 1);
                build.concat(vec![one, before], axis)
            }
        };
    }
    Ok(vec![(turn(build, products), scope.dtype(0))])
}

/// `TensorScatter`: rows of an update in the place of rows of a cache, from an index on.
fn tensor_scatter(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (cache, update) = (scope.operand(0)?, scope.operand(1)?);
    let axis = scope.axis("axis", -2, cache)?;
    let circular = match scope.text("mode").unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => {
            let reason = format!("its mode `{other}` is not supported");
            return Err(refuse(reason, "use `linear` or `circular`"));
        }
    };
    let starts = scope.optional(2);
    let build = &mut scope.build;
    let (shape, news) = (build.shape(cache), build.shape(update));
    let agree = |at: usize| at == axis || shape[at] == news[at];
    if axis == 0 || shape.len() != news.len() || !(0..shape.len()).all(agree) {
        return Err(refuse(
            "its update does not fit its cache",
            "correct the model",
        ));
    }
    let (batch, length, added) = (shape[0], shape[axis], news[axis]);
    let starts = starts.unwrap_or_else(|| build.constant(Tensor::filled(vec![batch], 0.0)));
    let hot = match circular {
        true => {
            let starts = build.reshape(starts, &[batch, 1, 1]);
            let (from, to) = (build.iota(added, 1, 3), build.iota(length, 2, 3));
            let position = build.add(starts, from);
            let distance = build.subtract(position, to);
            let distance = modulo(build, distance, length);
            build.within(distance, Some(0.0), Some(0.0))
        }
        false => {
            let starts = build.reshape(starts, &[batch, 1]);
            let from = build.iota(added, 1, 2);
            let position = build.add(starts, from);
            build.one_hot(position, length)?
        }
    };
    let order: Vec<usize> = [0, axis]
        .into_iter()
        .chain((1..shape.len()).filter(|a| *a != axis))
        .collect();
    let rows = |build: &mut Builder, x, length| {
        let moved = build.transpose(x, &order);
        let rest = shape.iter().product::<usize>() / (shape[0] * shape[axis]).max(1);
        build.reshape(moved, &[batch, length, rest])
    };
    let (old, new) = (rows(build, cache, length), rows(build, update, added));
    let covered = build.einsum("bls->bs", &[hot]);
    let kept = build.multiply_scalar(covered, -1.0);
    let kept = build.add_scalar(kept, 1.0);
    let kept = build.reshape(kept, &[batch, length, 1]);
    let old = build.multiply(old, kept);
    let new = build.einsum("bls,blr->bsr", &[hot, new]);
    let both = build.add(old, new);
    let moved: Vec<usize> = order.iter().map(|axis| shape[*axis]).collect();
    let both = build.reshape(both, &moved);
    let mut back = vec![0; order.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(to, from)| back[*from] = to);
    Ok(vec![(build.transpose(both, &back), scope.dtype(0))])
}

/// The remainder of an integer, between 0 and `length`.
fn modulo(build: &mut Builder, x: NodeId, length: usize) -> NodeId {
    let length = || Pointwise::Constant(length as f64);
    let quotient = Pointwise::binary(BinaryFn::Div, Pointwise::Variable, length());
    let whole = Pointwise::unary(UnaryFn::Floor, quotient);
    let product = Pointwise::binary(BinaryFn::Mul, length(), whole);
    let rest = Pointwise::binary(BinaryFn::Sub, Pointwise::Variable, product);
    build.pointwise(rest, x)
}
