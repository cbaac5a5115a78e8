//! Hidden scores of a softmax: lowered as far as makes their exponentials zero, and no further, since no scale holds what models lower them by.
//!
//! A row of which some element is not hidden leaves nothing of those that are. A row that is hidden as a whole is what single precision makes of
//! it: small numbers leave the scores as they are; great ones swallow them, and make all that is left equal; infinite ones leave no numbers, so
//! that there is no proof.

use zkiln_runtime::relations::{Map, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::boundary::EXACT_EXTRA_BITS;
use crate::lower::columns::KeyRange;
use crate::lower::intervals::elementwise;
use crate::lower::lowering::Lowering;
use crate::lower::ops::extremum::settle_to;
use crate::lower::ops::function::{add_number, map_constant};
use crate::lower::ops::softmax::{score_bits, vanishes};
use crate::lower::quantize::{Goal, Quantized, ceil_log2};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value};

/// Numbers up to this magnitude leave of a score what counts: single precision has steps of at most 1/128 there.
const LEAVES_SCORES: f64 = 131_072.0;
/// How many more bits than activations the scores and what lowers them have together.
const EXTRA_BITS: u8 = 3;
/// Most bits of both together.
const MOST_BITS: u8 = 16;

/// The scores, lowered by their level times a distance at which exponentials are zero. `hidden` is what the model adds at each level.
pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    dim: usize,
    x: Value,
    hidden: &[f64],
) -> Result<Value, Diagnostic> {
    let mut level = cx.read(node, 1)?;
    let len = x.len(dim);
    let mut x = fitted(cx, x, hidden.len(), len)?;
    let range = cx.certain_range(&x)?;
    let distance = range.1.max(0.0) - range.0.min(0.0) + vanishes(cx, len);
    let steps = std::iter::once(&0.0).chain(hidden).zip(hidden);
    if steps.into_iter().any(|(from, to)| from - to < distance) {
        return Err(refuse(
            format!("its scores may span {distance}, more than the numbers that mask them"),
            "mask with a lower number",
        ));
    }
    cx.align(&mut level, &mut x)?;
    let undefined = hidden.iter().position(|by| by.is_infinite());
    if let Some(at) = undefined {
        let shown = shown(cx, &level, at)?;
        cx.part("hidden", |cx| check_rows(cx, count(shown, dim)))?;
    }
    let finite = &hidden[..undefined.unwrap_or(hidden.len())];
    if let Some(at) = finite.iter().position(|by| *by < -LEAVES_SCORES) {
        let shown = shown(cx, &level, at)?;
        if !swallows(hidden[at], range) {
            let counted = count(shown.clone(), dim);
            cx.part("hidden", |cx| check_scores(cx, counted, &x, hidden[at]))?;
        }
        let (proven, name) = ((range.0.min(0.0), range.1.max(0.0)), x.name.clone());
        x = cx.multiply(shown, x)?;
        (x.proven, x.name) = (Some(proven), name);
    }
    let (unit, most) = (unit(cx, &x)?, hidden.len() as f64);
    let step = (distance / unit).ceil() * unit;
    let lowered = x.plus(level.scaled(-step));
    Ok(Value {
        range: (range.0.min(0.0) - most * step, range.1.max(0.0)),
        ..lowered
    })
}

/// Real value of the unit of exact integers; 1 of a constant.
fn unit(cx: &mut Lowering, x: &Value) -> Result<f64, Diagnostic> {
    let integers = cx.exact_integers(x, &x.mentioned())?;
    Ok(integers.map_or(1.0, |integers| integers.unit))
}

/// The scores in few enough bits for one table to hold them, and what lowers them at so many levels.
fn fitted(cx: &mut Lowering, x: Value, levels: usize, len: usize) -> Result<Value, Diagnostic> {
    let bits = score_bits(cx, &x);
    let mut x = settle_to(cx, x, bits)?;
    if x.is_constant() {
        return Ok(x);
    }
    let limit = (bits + EXTRA_BITS).min(MOST_BITS);
    // Columns of a few more bits than asked for are kept as they are at first.
    for kept in [0, EXACT_EXTRA_BITS] {
        let Some(integers) = cx.exact_integers(&x, &x.mentioned())? else {
            break;
        };
        let (lo, hi) = cx.certain_range(&x)?;
        let levels = levels as f64;
        let span = (1.0 + levels) * (hi - lo) + levels * vanishes(cx, len);
        let excess = ceil_log2(span / integers.unit) - i32::from(limit);
        if excess <= 0 {
            break;
        }
        let bits = KeyRange::covering(integers.bounds.0, integers.bounds.1).bits;
        let bits = bits.saturating_sub(excess as u8 + kept).max(2);
        x = cx.small(&x, bits)?;
    }
    Ok(x)
}

/// 1 where the level is at most `most`, else 0.
fn shown(cx: &mut Lowering, level: &Value, most: usize) -> Result<Value, Diagnostic> {
    let beyond = add_number(level.clone(), -(most as f64));
    if level.is_constant() {
        return Ok(map_constant(&beyond, |x| f64::from(x <= 0.0)));
    }
    let (lo, hi) = cx.certain_range(&beyond)?;
    let hides = match lo >= 0.0 && hi <= 1.0 {
        true => beyond,
        false => cx.part("hides", |cx| cx.positive(&beyond))?,
    };
    Ok(Value {
        proven: Some((0.0, 1.0)),
        range: (0.0, 1.0),
        ..add_number(hides.scaled(-1.0), 1.0)
    })
}

/// How many elements are shown in each row.
fn count(mut shown: Value, dim: usize) -> Value {
    let row = std::mem::take(&mut shown.dims[dim]);
    shown.sum_over(&row)
}

/// Nothing but rows of which something is shown can be proved.
fn check_rows(cx: &mut Lowering, count: Value) -> Result<(), Diagnostic> {
    let mut others = add_number(count, -1.0);
    if others.is_constant() {
        return match others.constant_part().data.iter().any(|x| *x < 0.0) {
            true => Err(refuse(
                "all of a row is masked by minus infinity, and has no value",
                "leave something of each row, or mask with a finite number",
            )),
            false => Ok(()),
        };
    }
    others.name = cx.here().into();
    let (_, most) = cx.certain_range(&others)?;
    let quantized = cx.accumulate(&others, &others.mentioned(), Goal::Exact)?;
    check(cx, quantized, KeyRange::covering(0, most.max(1.0) as i128))
}

/// Nothing but scores that `by` swallows can be proved where nothing of a row is shown.
fn check_scores(cx: &mut Lowering, count: Value, x: &Value, by: f64) -> Result<(), Diagnostic> {
    let step = (by.abs().log2().floor() - f64::from(f32::MANTISSA_DIGITS)).exp2();
    let keys = (step / unit(cx, x)?).log2().floor();
    if keys < 0.0 {
        return check_rows(cx, count);
    }
    let mut count = count;
    count.name = format!("{}/shown", cx.here()).into();
    let none = add_number(cx.positive(&count)?.scaled(-1.0), 1.0);
    if none.is_constant() && none.constant_part().uniform() == Some(0.0) {
        return Ok(());
    }
    let mut scores = cx.multiply(none, x.clone())?;
    scores.name = cx.here().into();
    let quantized = cx.accumulate(&scores, &scores.mentioned(), Goal::Exact)?;
    let keys = KeyRange {
        bits: keys as u8 + 1,
        signed: true,
    };
    check(cx, quantized, keys)
}

/// Looks exact integers up in a range.
fn check(cx: &mut Lowering, quantized: Quantized, keys: KeyRange) -> Result<(), Diagnostic> {
    let relation = Relation::Map(Map {
        accumulator: quantized.accumulator.clone(),
        table: cx.tables.range(&mut cx.columns, keys),
        mapped: vec![].into(),
    });
    cx.emit(&cx.here(), &quantized, u32::from(keys.bits), relation);
    Ok(())
}

/// Whether nothing is left of scores in this range once single precision has added `by`.
fn swallows(by: f64, range: (f64, f64)) -> bool {
    let by = by as f32;
    by + range.0 as f32 == by && by + range.1 as f32 == by
}

/// Raises constants that hide scores to where the exponential is zero all the same. Of every row, they leave something.
pub(super) fn clamp(cx: &mut Lowering, value: Value, dim: usize) -> Result<Value, Diagnostic> {
    let (constant, len) = (value.constant_part(), value.len(dim));
    let mut scores = value.clone();
    scores.terms.retain(|term| !term.is_constant());
    scores.proven = None;
    if constant.uniform().is_some() || scores.terms.is_empty() {
        return Ok(value);
    }
    let greatest = greatest_of_rows(&constant, &value.dims[dim]);
    let raised = |cx: &Lowering, scores: &Value| {
        let (lo, hi) = elementwise(scores, &cx.columns)?;
        let most = -hi.map(|x| -x).least();
        let range = (lo.least().min(0.0), most.max(0.0));
        let below = hi.map(|hi| range.0 - hi - vanishes(cx, len));
        let floor = greatest.sum(1.0, &below, 1.0);
        Some((range, constant.combine(&floor, f64::max)))
    };
    let Some((range, first)) = raised(cx, &scores) else {
        return Ok(value);
    };
    if first == constant {
        return Ok(value);
    }
    // What the model adds is in the range that calibration saw.
    scores.range = range;
    scores = fitted(cx, scores, 1, len)?;
    let (range, raised) = raised(cx, &scores).unwrap_or((range, first));
    scores.range = (range.0 + raised.least(), range.1);
    scores.terms.push(Term::constant(raised));
    Ok(scores)
}

/// The greatest element of each row.
fn greatest_of_rows(constant: &Weight, row: &[Axis]) -> Weight {
    let (inner, outer): (Vec<Axis>, Vec<Axis>) =
        constant.axes.iter().partition(|axis| row.contains(axis));
    let len: usize = inner.iter().map(|axis| axis.len).product();
    let ordered = constant.over(&[&outer[..], &inner].concat());
    let greatest = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Weight::new(outer, ordered.data.chunks(len).map(greatest).collect())
}

#[cfg(test)]
mod tests {
    use zkiln_runtime::error::ProveError;
    use zkiln_runtime::trace::{self, Constants};

    use crate::graph::{Dtype, Graph, NodeId, Op, Tensor, interpret};
    use crate::lower;
    use crate::lower::ops::hidden::*;
    use crate::options::Options;
    use crate::program::Lowered;

    /// A softmax over rows of four scores up to `size`, hidden by an input of 0 and 1.
    fn graph(size: f64, hidden: f64) -> Graph {
        let node = |name: &str, op, inputs: &[NodeId], range, stats| Node {
            name: name.into(),
            op,
            dtype: Dtype::Float32,
            inputs: inputs.to_vec(),
            shape: vec![2, 4],
            range,
            stats,
            seen: Default::default(),
        };
        let softmax = Op::Softmax {
            axis: 1,
            hidden: vec![hidden],
        };
        let flag = vec![(0.0, 1.0)];
        Graph {
            nodes: vec![
                node("x", Op::Input(Dtype::Float32), &[], (-size, size), vec![]),
                node("level", Op::Input(Dtype::Int64), &[], (0.0, 1.0), flag),
                node("y", softmax, &[0, 1], (0.0, 1.0), vec![(1.0, 4.0)]),
            ],
            inputs: vec![0, 1],
            outputs: vec![("y".into(), 2)],
        }
    }

    fn run(lowered: &Lowered, inputs: &[Tensor]) -> Result<Vec<f64>, ProveError> {
        let constants = Constants::new(&lowered.model, lowered.constants.clone())?;
        let ports = inputs.iter().zip(&lowered.inputs);
        let integers = ports.map(|(tensor, port)| port.to_integers(&tensor.data));
        let integers = integers.collect::<Result<Vec<_>, _>>()?;
        let outputs = trace::run(&lowered.model, &constants, &integers)?.outputs(&lowered.model)?;
        Ok(lowered.outputs[0].to_reals(&outputs[0]))
    }

    fn inputs(size: f64, levels: [f64; 8]) -> [Tensor; 2] {
        let scores = [1.0, -0.7, 0.2, 0.9, -1.0, 0.5, 0.1, -0.3].map(|x| x * size);
        [scores, levels].map(|data| Tensor::new(vec![2, 4], data.to_vec()))
    }

    const HIDDEN: [f64; 4] = [-1e4, -65504.0, -1e9, f32::MIN as f64];
    const SOME: [f64; 8] = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    const ROW: [f64; 8] = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0];

    #[test]
    fn rows_hidden_in_part_or_as_a_whole_are_those_of_single_precision() {
        for (size, hidden) in [0.004, 0.1, 1.0, 8.0]
            .into_iter()
            .flat_map(|s| HIDDEN.map(|h| (s, h)))
        {
            let graph = graph(size, hidden);
            let lowered = lower(&graph, &Options::default(), "hidden").expect("lowers");
            for levels in [[0.0; 8], SOME, ROW, [1.0; 8]] {
                let inputs = inputs(size, levels);
                let expected = &interpret::run(&graph, &inputs)[0];
                let made = run(&lowered, &inputs).expect("numbers");
                for (made, expected) in made.iter().zip(&expected.data) {
                    assert!(
                        (made - expected).abs() < 0.003,
                        "{size} {hidden}: {made} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn rows_without_a_value_cannot_be_proved() {
        // Beside a million, scores that count are rounded; beside minus infinity, nothing is a number.
        for hidden in [-1e6, f64::NEG_INFINITY] {
            let graph = graph(3.0, hidden);
            let lowered = lower(&graph, &Options::default(), "hidden").expect("lowers");
            let refused = run(&lowered, &inputs(3.0, ROW)).expect_err("no value");
            assert!(
                matches!(refused, ProveError::OutOfRange { .. }),
                "{refused}"
            );
            let made = run(&lowered, &inputs(3.0, SOME)).expect("numbers");
            assert!(
                made[1] == 0.0 && made[3] == 0.0 && made[4] == 0.0,
                "{made:?}"
            );
        }
    }

    #[test]
    fn ports_of_masks_hold_two_values() {
        let lowered = lower(&graph(1.0, -1e4), &Options::default(), "hidden").expect("lowers");
        for outside in [-1.0, 2.0, 0.5] {
            let mut levels = SOME;
            levels[2] = outside;
            let refused = run(&lowered, &inputs(1.0, levels)).expect_err("neither");
            assert!(
                matches!(refused, ProveError::InputRange { .. }),
                "{refused}"
            );
        }
    }
}
