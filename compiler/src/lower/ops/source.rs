//! Model inputs: columns. Floats are scaled by powers of two to cover the calibrated range, one for all or one for each index of an axis;
//! token ids stay as they are, and so do masks of scores, which are 0 or one other number. The verifier sees the
//! range of what is public; what is hidden is looked up in a range, unless its one-hot rows bound it already.

use zkiln_runtime::model::{Accumulator, Port, Visibility};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::extent::{Channels, channel_axes, magnitude};
use crate::graph::{BinaryFn, Dtype, Node, NodeId, Op, Tensor};
use crate::lower::columns::KeyRange;
use crate::lower::levels::{channel_margin, is_coarse, power_below};
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{ceil_log2, margin};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value, View};
use crate::options::Side;
use crate::program::PortInfo;
use crate::scale::Scale;

/// Lower than any number that comparisons tell masks by.
const STANDS_FOR_INFINITY: f64 = -65_536.0;
/// Widest range that is looked up in one table.
const MAX_RANGE_BITS: u8 = 17;
/// Bits of a column.
const MOST_INTEGER_BITS: u8 = 32;
/// Bits of a float input that is compared with constants and nothing else, or equals them: all that single precision has, for features of which some are
/// 100 times smaller than others.
const COMPARED_BITS: u8 = 30;
/// Scores beyond are not exact enough in the bits of other inputs.
const GREAT_SCORE: f64 = 32.0;
/// Bits of a float input that becomes integers in the model, since rounding twice makes others; and of one that is steep near zero.
const PRECISE_BITS: u8 = 26;
/// Most bits of an input that is clamped: it is taken with more.
const MOST_CLAMPED_BITS: u8 = 20;
/// Steps that are chosen are so much finer than what readers ask for at least, since bits of inputs cost little.
const FINER: f64 = 0.25;
/// Steps of their own are given to columns if that saves at least so many bits.
const SAVED_BITS: u8 = 2;

pub(super) fn input(cx: &mut Lowering, node: &Node, dtype: Dtype) -> Result<Value, Diagnostic> {
    let usage = match dtype {
        Dtype::Float32 => usage(cx, cx.current()),
        _ => Usage::Other,
    };
    let Scaled {
        scale,
        range,
        clamped,
    } = scaled(cx, node, dtype, usage)?;
    let dims = cx.fresh.dims(&node.shape);
    let axes = dims.concat();
    let shape: Vec<u32> = axes.iter().map(|axis| axis.len as u32).collect();
    let column = cx.columns.witness(&node.name, shape.clone(), range);
    let value = Accumulator {
        shape: shape.into(),
        columns: vec![(1, column)].into(),
        terms: vec![].into(),
    };
    let visibility = cx.options.port_visibility(Side::Input, &node.name);
    cx.add_input(
        Port {
            name: node.name.clone().into(),
            value: value.clone(),
            range,
            visibility,
        },
        PortInfo {
            name: node.name.clone(),
            dtype,
            shape: node.shape.clone(),
            scale: scale.clone(),
            range,
        },
    );
    // Of masks of scores, no more than that they are there is rounded.
    let unit = match scale.coarsest() {
        unit if unit > 0.0 => unit,
        _ => 1.0,
    };
    let read = match clamped {
        Some(keys) => cx.clamped_input(&node.name, column, keys, unit)?,
        None => column,
    };
    if matches!(usage, Usage::Compared | Usage::Equated) {
        cx.compared.push(read);
    }
    if clamped.is_none() && visibility != Visibility::Public && !is_gathered_with(cx, cx.current())
    {
        cx.bound(&node.name, &value, range, unit, MAX_RANGE_BITS);
    }
    let mut term = Term::view(View::whole(read, &axes), 1.0);
    match scale {
        Scale::Uniform(step) if step.is_infinite() => term.scalar = stand_in(cx)?,
        Scale::Uniform(step) => term.scalar = step,
        Scale::Along { axis, steps } => term.weight = Some(Weight::new(dims[axis].clone(), steps)),
    }
    Ok(Value::new(dims, vec![term]))
}

/// What stands for minus infinity, where nothing but its sign counts.
fn stand_in(cx: &Lowering) -> Result<f64, Diagnostic> {
    let by_sign = |reader: &NodeId| match &cx.graph.nodes[*reader].op {
        Op::Pointwise(function) => function.by_sign().is_some(),
        _ => false,
    };
    let is_output = cx.graph.outputs.iter().any(|(_, id)| *id == cx.current());
    if is_output || !cx.readers(cx.current()).iter().all(by_sign) {
        return Err(refuse(
            "it is minus infinity in places, and is more than a mask of scores",
            "mask with a finite number",
        ));
    }
    Ok(STANDS_FOR_INFINITY)
}

/// How an input becomes integers.
struct Scaled {
    /// Real value of one unit.
    scale: Scale,
    /// Least and greatest integer.
    range: (i64, i64),
    /// KeyRange that it is clamped to, if it is.
    clamped: Option<KeyRange>,
}

fn scaled(cx: &Lowering, node: &Node, dtype: Dtype, usage: Usage) -> Result<Scaled, Diagnostic> {
    let exact = |range| Scaled {
        scale: Scale::Uniform(1.0),
        range,
        clamped: None,
    };
    if let Some(unit) = node.flagged() {
        return Ok(Scaled {
            scale: Scale::Uniform(unit),
            ..exact((0, 1))
        });
    }
    match dtype {
        Dtype::Bool => return Ok(exact((0, 1))),
        Dtype::Float32 => {}
        integer => {
            let beyond = margin(node.volume());
            return Ok(exact(integer_range(cx, node.range, beyond, integer)?));
        }
    }
    let (scale, bits) = match usage {
        Usage::Other => steps(cx, node),
        Usage::Compared | Usage::Equated => own_steps(node, COMPARED_BITS),
        Usage::Precise if is_taken_apart(cx, node) => own_steps(node, PRECISE_BITS),
        Usage::Precise => one_step(node, PRECISE_BITS),
        Usage::Normalized => one_step(node, cx.bits.norm_bits().max(cx.wanted_bits(cx.current()))),
    };
    let keys = KeyRange { bits, signed: true };
    let clamped = cx.saturates().then_some(keys);
    Ok(Scaled {
        scale,
        range: clamped.map_or(keys.bounds(), Lowering::input_range),
        clamped,
    })
}

/// What calibration saw with a margin, in so many bits.
fn one_step(node: &Node, bits: u8) -> (Scale, u8) {
    (
        Scale::Uniform(step(magnitude(node.range), node.volume(), bits)),
        bits,
    )
}

/// So many bits for what calibration saw at each index of an axis, if that differs.
fn own_steps(node: &Node, bits: u8) -> (Scale, u8) {
    let Some(Channels { axis, ranges }) = node.seen.channels.last() else {
        return one_step(node, bits);
    };
    let elements = node.volume() / ranges.len();
    let own = |range: &(f64, f64)| match magnitude(*range) {
        // What it may be is not known.
        0.0 => step(magnitude(node.range), node.volume(), bits),
        greatest => column_step(greatest, elements, bits),
    };
    let steps = ranges.iter().map(own).collect();
    (Scale::Along { axis: *axis, steps }, bits)
}

/// Whether each reader takes one index of the axis along which the input differs.
fn is_taken_apart(cx: &Lowering, node: &Node) -> bool {
    let takes_one = |axis: usize, reader: &NodeId| {
        let reader = &cx.graph.nodes[*reader];
        matches!(reader.op, Op::Slice { axis: along, .. } if along == axis)
            && reader.shape[axis] == 1
    };
    let readers = cx.readers(cx.current());
    let apart = |channels: &Channels| readers.iter().all(|r| takes_one(channels.axis, r));
    node.seen.channels.last().is_some_and(apart)
}

/// The step of signed integers of so many bits that reach a magnitude seen among so many elements, with a margin.
fn step(greatest: f64, elements: usize, bits: u8) -> f64 {
    let reached = match greatest > 0.0 {
        true => greatest * margin(elements),
        false => 1.0,
    };
    f64::from(ceil_log2(reached) - i32::from(bits) + 1).exp2()
}

/// The step of one column among many, which has [`channel_margin`].
fn column_step(greatest: f64, elements: usize, bits: u8) -> f64 {
    step(greatest, elements, bits) * channel_margin(elements) / margin(elements)
}

/// Steps as fine as those that read the input need, and bits: one step of the usual bits if that is fine enough; else one step for each index
/// of an axis, unless a step for all takes hardly more bits.
fn steps(cx: &Lowering, node: &Node) -> (Scale, u8) {
    let usual = cx.bits.input_bits();
    let most = if cx.saturates() {
        MOST_CLAMPED_BITS
    } else {
        COMPARED_BITS
    };
    let (tolerance, precision) = (cx.tolerance(), cx.bits.precision());
    let coarsest = step(magnitude(node.range), node.volume(), usual);
    if !is_coarse(coarsest, tolerance.all * precision) {
        return one_step(node, usual);
    }
    let precision = precision * FINER;
    let along = |axis: usize| {
        let len = node.shape[axis];
        let elements = node.volume() / len;
        let fine = tolerance.at(axis, len);
        let seen = node.seen.along(axis);
        let magnitude = |at: usize| magnitude(seen.map_or(node.range, |ranges| ranges[at]));
        let steps: Vec<f64> = (0..len)
            .map(|at| {
                let finest = column_step(magnitude(at), elements, most).min(coarsest);
                power_below(fine[at] * precision).clamp(finest, coarsest)
            })
            .collect();
        let needed = |(at, step): (usize, &f64)| {
            let reached = magnitude(at) * channel_margin(elements) / step;
            ceil_log2(reached.max(1.0)) + 1
        };
        let bits = steps.iter().enumerate().map(needed).fold(0, i32::max);
        (bits.max(usual.into()) as u8, axis, steps)
    };
    let found = channel_axes(&node.shape).map(along);
    let finest = power_below(tolerance.all * precision);
    let finest = finest.max(step(magnitude(node.range), node.volume(), most));
    let all = (0..most).find(|bits| step(magnitude(node.range), node.volume(), *bits) <= finest);
    let all = all.unwrap_or(most);
    match found.min_by_key(|(bits, ..)| *bits) {
        Some((bits, axis, steps)) if bits + SAVED_BITS <= all => {
            (Scale::Along { axis, steps }, bits)
        }
        _ => one_step(node, all.max(usual)),
    }
}

/// What a float input is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Usage {
    /// Comparisons with constants.
    Compared,
    Other,
    /// What equals a constant, beside others: as little as possible else is to be rounded to it.
    Equated,
    /// Integers that it is rounded to; what is steep near zero; great scores.
    Precise,
    /// What is wanted with a precision relative to itself.
    Normalized,
}

/// What a value is for, seen through data movement: the most demanding of its readers decides.
fn usage(cx: &Lowering, id: NodeId) -> Usage {
    let is_output = cx.graph.outputs.iter().any(|(_, output)| *output == id);
    let readers = cx
        .readers(id)
        .iter()
        .map(|reader| usage_by(cx, id, *reader));
    let most = match is_output || cx.readers(id).is_empty() {
        true => Usage::Other,
        false => readers.max().unwrap_or(Usage::Other),
    };
    match most {
        Usage::Other | Usage::Equated if cx.is_relative(id) => Usage::Normalized,
        most => most,
    }
}

fn usage_by(cx: &Lowering, id: NodeId, reader: NodeId) -> Usage {
    let node = &cx.graph.nodes[reader];
    let others = node.inputs.iter().filter(|input| **input != id);
    let mut constants = others.map(|input| cx.graph.nodes[*input].constant());
    let moves = |tensor: &Tensor| tensor.data.iter().all(|x| [-1.0, 0.0, 1.0].contains(x));
    let onwards = match &node.op {
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Broadcast => true,
        Op::Gather { .. } => node.inputs[0] == id && constants.all(|c| c.is_some()),
        // Scores, perhaps: what is quiet in one operand may be loud in the other.
        Op::Einsum { .. }
            if constants.clone().any(|c| c.is_none()) && cx.is_only_compared(reader) =>
        {
            return Usage::Normalized;
        }
        Op::Einsum { .. } => constants.all(|c| c.is_some_and(moves)),
        Op::Binary(BinaryFn::Add | BinaryFn::Sub) => constants.all(|c| c.is_some()),
        Op::Pointwise(function) if function.by_sign().is_some() => {
            return match function.by_sign() {
                Some((_, [below, at, above])) if at != below && at != above => Usage::Equated,
                _ => Usage::Compared,
            };
        }
        Op::Pointwise(function) if function.power_law().is_some() => return Usage::Precise,
        Op::Rescale { .. } => return Usage::Precise,
        Op::Pointwise(function) if node.dtype.is_integer() || function.is_whole(false) => {
            return Usage::Precise;
        }
        Op::Softmax { .. } | Op::LogSumExp { .. } if reach(cx, id) > GREAT_SCORE => {
            return Usage::Precise;
        }
        Op::Binary(BinaryFn::Div) if node.inputs.get(1) == Some(&id) => return Usage::Precise,
        _ => false,
    };
    if onwards && usage(cx, reader) != Usage::Other {
        return usage(cx, reader);
    }
    Usage::Other
}

/// Greatest magnitude that was calibrated.
fn reach(cx: &Lowering, id: NodeId) -> f64 {
    let (low, high) = cx.graph.nodes[id].range;
    low.abs().max(high.abs())
}

/// Whether every reader gathers with the input as it is, which bounds it by one-hot rows.
fn is_gathered_with(cx: &Lowering, id: NodeId) -> bool {
    let readers = cx.readers(id);
    let gathers = |&reader: &NodeId| {
        let Node { op, inputs, .. } = &cx.graph.nodes[reader];
        let long = |data: NodeId, axis: usize| cx.graph.nodes[data].shape[axis] > 1;
        matches!(op, Op::Gather { axis } if inputs[1] == id && inputs[0] != id && long(inputs[0], *axis))
    };
    let is_output = cx.graph.outputs.iter().any(|(_, output)| *output == id);
    !readers.is_empty() && !is_output && readers.iter().all(gathers)
}

/// What an integer input may be: an index if something gathers with it; all that its type has if that is narrow; else a power of two beyond
/// what calibration saw.
fn integer_range(
    cx: &Lowering,
    (least, most): (f64, f64),
    beyond: f64,
    dtype: Dtype,
) -> Result<(i64, i64), Diagnostic> {
    let limits = dtype.limits();
    let (lowest, highest) = (limits.0 as i64, limits.1 as i64);
    if let Some(len) = gathered_len(cx, cx.current()) {
        return Ok((0, highest.min(len as i64 - 1)));
    }
    if highest.saturating_sub(lowest) < 1 << MAX_RANGE_BITS {
        return Ok((lowest, highest));
    }
    let signed = |bits: u8| KeyRange { bits, signed: true }.bounds();
    let (low, high) = signed(MOST_INTEGER_BITS);
    if least < low as f64 || most > high as f64 {
        return Err(refuse(
            format!("its integers reach from {least} to {most}"),
            format!("use integers of {MOST_INTEGER_BITS} bits with a sign"),
        ));
    }
    let greatest = most.max(-least) * beyond;
    let bits = ceil_log2(greatest + 1.0) as u8 + 1;
    let (low, high) = signed(bits.clamp(2, MOST_INTEGER_BITS));
    Ok((low.max(lowest), high.min(highest)))
}

/// Length of the axis that the value indexes, directly or after moving; the longest, where parts of it index different ones.
fn gathered_len(cx: &Lowering, id: NodeId) -> Option<usize> {
    let (mut whole, mut parts) = (None, None);
    for &reader in cx.readers(id) {
        let node = &cx.graph.nodes[reader];
        let len = match &node.op {
            Op::Gather { axis } if node.inputs[1] == id => {
                Some(cx.graph.nodes[node.inputs[0]].shape[*axis])
            }
            Op::Slice { .. } => {
                parts = parts.max(gathered_len(cx, reader));
                None
            }
            Op::Reshape | Op::Transpose { .. } | Op::Broadcast | Op::Concat { .. } => {
                gathered_len(cx, reader)
            }
            _ => None,
        };
        whole = match (whole, len) {
            (Some(one), Some(other)) => Some(std::cmp::min(one, other)),
            (one, other) => one.or(other),
        };
    }
    whole.or(parts)
}

#[cfg(test)]
mod tests {
    use zkiln_runtime::error::ProveError;
    use zkiln_runtime::trace::{self, Constants};

    use crate::graph::Graph;
    use crate::lower;
    use crate::lower::ops::source::*;
    use crate::options::Options;

    /// An input of three elements that is an output as well, and an index if something is gathered.
    fn graph(dtype: Dtype, greatest: f64, gathered: Option<usize>) -> Graph {
        let node = |op, inputs: &[NodeId], shape: &[usize], range| Node {
            name: format!("n{}", shape.len()),
            op,
            inputs: inputs.to_vec(),
            shape: shape.to_vec(),
            dtype,
            range,
            stats: vec![],
            seen: Default::default(),
        };
        let mut nodes = vec![node(Op::Input(dtype), &[], &[3], (-greatest, greatest))];
        let mut outputs = vec![("same".to_string(), 0)];
        if let Some(len) = gathered {
            let rows = Tensor::new(vec![len, 1], (0..len).map(|x| x as f64).collect());
            let last = len as f64;
            nodes.push(node(Op::Constant(rows), &[], &[len, 1], (0.0, last)));
            nodes.push(node(Op::Gather { axis: 0 }, &[1, 0], &[3, 1], (0.0, last)));
            outputs.push(("rows".to_string(), 2));
        }
        Graph {
            nodes,
            inputs: vec![0],
            outputs,
        }
    }

    #[test]
    fn hidden_inputs_are_bounded_by_their_ranges_and_no_further() {
        for (dtype, greatest, gathered) in [
            (Dtype::Bool, 1.0, None),
            (Dtype::Float32, 3.0, None),
            (Dtype::Int64, 2.0, None),
            (Dtype::Int64, 4.0, Some(5)),
            (Dtype::Int64, 1000.0, None),
            (Dtype::Int64, 1e5, None),
            (Dtype::Int64, 1e6, None),
            (Dtype::Int64, 4e8, None),
        ] {
            let graph = graph(dtype, greatest, gathered);
            let lowered = lower(&graph, &Options::default(), "bounded").expect("lowers");
            let (mut model, constants) = (lowered.model, lowered.constants);
            assert_eq!(model.validate(), Ok(()), "{dtype:?} {greatest}");
            let constants = Constants::new(&model, constants).expect("fit");
            // Only the nodes are left to refuse.
            let (low, high) = model.inputs[0].range;
            model.inputs.to_mut()[0].range = (i32::MIN.into(), i32::MAX.into());
            let run = |value: i64| trace::run(&model, &constants, &[vec![0, value, 0]]);
            for inside in [low, high] {
                assert!(run(inside).is_ok(), "{dtype:?} {greatest}: {inside}");
            }
            for outside in [low - 1, high + 1] {
                let refused = matches!(run(outside), Err(ProveError::OutOfRange { .. }));
                assert!(refused, "{dtype:?} {greatest}: {outside}");
            }
        }
    }
}
