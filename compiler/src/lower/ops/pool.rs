//! Pooling: averages are sums over the window, maxima tournaments along one axis after the other.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Node, Window};
use crate::lower::lowering::Lowering;
use crate::lower::ops::convolution::{read_along, slide, spread};
use crate::lower::ops::extremum::{maximum, settle};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value};

/// Most positions over which products of columns are summed as they are.
const MOST_TAPS: usize = 64;

pub(super) fn average(
    cx: &mut Lowering,
    node: &Node,
    window: &Window,
    count_padding: bool,
) -> Result<Value, Diagnostic> {
    let data = cx.read(node, 0)?;
    let mut data = spread(cx, data, window.kernel.len())?;
    let taps: usize = window.kernel.iter().product();
    if !(data.is_simple() || data.is_plain_product() && taps <= MOST_TAPS) {
        data = cx.compact(&data, cx.bits.activation_bits)?;
    }
    for i in 0..window.kernel.len() {
        let len = data.len(2 + i);
        let (value, out, taps) = slide(cx, data, window, i, node.shape[2 + i])?;
        data = value.sum_over(&taps);
        let counts = counts(window, i, len, node.shape[2 + i], count_padding);
        match counts.as_slice() {
            counts if counts.iter().all(|count| *count == counts[0]) => {
                data = data.scaled(1.0 / counts[0])
            }
            _ => {
                let weight = Weight::new(out, counts.iter().map(|count| 1.0 / count).collect());
                data.terms
                    .iter_mut()
                    .for_each(|term| term.multiply_weight(&weight));
            }
        }
    }
    data.proven = None;
    Ok(data)
}

/// By how much the sum over spatial axis `i` is divided, for each output position.
fn counts(window: &Window, i: usize, len: usize, out_len: usize, count_padding: bool) -> Vec<f64> {
    let inside = |out: usize| taps_inside(window, i, len, out).count();
    (0..out_len).map(|out| if count_padding { window.kernel[i] } else { inside(out).max(1) } as f64).collect()
}

/// The taps of output position `out` along spatial axis `i` that lie within the data's `len`.
fn taps_inside(window: &Window, i: usize, len: usize, out: usize) -> impl Iterator<Item = usize> {
    let origin = (out * window.stride[i]) as i64 - window.pad_before[i] as i64;
    let dilation = window.dilation[i];
    (0..window.kernel[i])
        .filter(move |tap| (0..len as i64).contains(&(origin + (tap * dilation) as i64)))
}

pub(super) fn max(cx: &mut Lowering, node: &Node, window: &Window) -> Result<Value, Diagnostic> {
    let mut data = cx.read(node, 0)?;
    let channels = data.dims[1].clone();
    let levels = cx.levels(&data, cx.bits.activation_bits);
    let levels = levels.filter(|levels| levels.of.axes == channels);
    if let Some(levels) = &levels {
        data = levels.even(&data);
    }
    for i in 0..window.kernel.len() {
        data = max_along(cx, data, window, i, node.shape[2 + i])?;
    }
    Ok(match levels {
        Some(levels) => levels
            .moved(&channels, &data.dims[1])
            .restore(data, node.range),
        None => data,
    })
}

fn max_along(
    cx: &mut Lowering,
    data: Value,
    window: &Window,
    i: usize,
    out_len: usize,
) -> Result<Value, Diagnostic> {
    let data = settle(cx, data)?;
    let sure = cx.certain_range(&data)?;
    let len = data.len(2 + i);
    let mut best: Option<Value> = None;
    for tap in 0..window.kernel[i] {
        let seen: Vec<bool> = (0..out_len)
            .map(|out| taps_inside(window, i, len, out).any(|t| t == tap))
            .collect();
        if !seen.contains(&true) {
            continue;
        }
        let mut shifted = data.clone();
        shifted.freshen(&cx.fresh);
        let shifted = cx.single_axis(shifted, 2 + i)?;
        let out: Vec<Axis> = if out_len == 1 {
            vec![]
        } else {
            vec![cx.fresh.axis(out_len)]
        };
        let parts: Vec<(Axis, i64)> = out
            .iter()
            .map(|&axis| (axis, window.stride[i] as i64))
            .collect();
        let offset = (tap * window.dilation[i]) as i64 - window.pad_before[i] as i64;
        let mut value = read_along(shifted, 2 + i, offset, &parts, &out);
        let mut range = data.range;
        if seen.contains(&false) {
            lift_padding(&mut value, 2 + i, &seen, sure.0);
            range.0 = range.0.min(sure.0);
        }
        value = Value {
            range,
            proven: Some((sure.0.min(0.0), sure.1.max(0.0))),
            name: data.name.clone(),
            ..value
        };
        best = Some(match best {
            None => value,
            Some(best) => maximum(cx, best, value)?,
        });
    }
    best.ok_or_else(|| refuse("its window is empty", "correct the model"))
}

/// Padding must never win: where the window leaves the data, which reads zero, the least possible value is added.
fn lift_padding(value: &mut Value, dim: usize, seen: &[bool], least: f64) {
    if least < 0.0 {
        let data = seen
            .iter()
            .map(|&seen| if seen { 0.0 } else { least })
            .collect();
        value
            .terms
            .push(Term::constant(Weight::new(value.dims[dim].clone(), data)));
    }
}
