//! Whether a translated graph is well-formed: what lets fusion, calibration and lowering take shapes and axes for granted.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_COMPUTED, MOST_ELEMENTS, volume};
use crate::graph::{Graph, Node, Op, Window};

/// Refuses a graph with nodes whose operands, attributes and shapes do not fit together.
///
/// # Errors
/// All of them.
pub fn check(graph: &Graph) -> Result<(), Vec<Diagnostic>> {
    let diagnostic = |node: &Node| {
        let operands = node.inputs.iter().map(|id| &*graph.nodes[*id].shape);
        let reason = fault(&node.op, &operands.collect::<Vec<_>>(), &node.shape)?;
        Some(refuse(reason, "correct the model").at(&node.name, node.op.name()))
    };
    let mut diagnostics: Vec<Diagnostic> = graph.nodes.iter().filter_map(diagnostic).collect();
    if diagnostics.is_empty() {
        diagnostics.extend(too_much(graph));
    }
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(diagnostics)
    }
}

/// The largest value, where all together are too large to be computed and proved.
fn too_much(graph: &Graph) -> Option<Diagnostic> {
    let computed = graph.nodes.iter().filter(|node| node.constant().is_none());
    let elements: u64 = computed.clone().map(|node| node.volume() as u64).sum();
    let largest = computed.max_by_key(|node| node.volume())?;
    let (name, op) = (&largest.name, largest.op.name());
    let reason = format!(
        "its result {:?} is the largest of values that have {elements} elements together, more than {MOST_COMPUTED}",
        largest.shape
    );
    (elements > MOST_COMPUTED).then(|| refuse(reason, "use smaller tensors").at(name, op))
}

/// Whether the axes of `x` have become 1 in `shape`, and no others have changed.
fn is_reduced(x: &[usize], axes: &[usize], shape: &[usize]) -> bool {
    let reduced = |axis: usize| if axes.contains(&axis) { 1 } else { x[axis] };
    axes.iter().all(|axis| *axis < x.len()) && shape.iter().copied().eq((0..x.len()).map(reduced))
}

/// What is wrong with a node.
fn fault(op: &Op, operands: &[&[usize]], shape: &[usize]) -> Option<&'static str> {
    let elements = |shape: &[usize]| volume(shape.iter().map(|len| *len as u64));
    let size = elements(shape);
    if size == 0 {
        return Some("its result is empty");
    }
    if size > MOST_ELEMENTS {
        return Some("its result is too large");
    }
    let fits = match (op, operands) {
        (Op::Input(_), []) => true,
        (Op::Constant(tensor), []) => tensor.shape == shape,
        (Op::Einsum { inputs, output }, operands) => einsum(inputs, output, operands, shape),
        (Op::Convolution { window, groups }, [data, kernel, bias]) => {
            windows(window, data, shape) && convolves(window, *groups, data, kernel, bias, shape)
        }
        (Op::Binary(_), [_, _]) | (Op::Select, [_, _, _]) => {
            operands.iter().all(|operand| repeats(operand, shape))
                && (0..shape.len()).all(|axis| operands.iter().any(|o| o[axis] == shape[axis]))
        }
        (Op::Rescale { .. }, [x, factor, offset]) => {
            *x == shape && repeats(factor, shape) && repeats(offset, shape)
        }
        (Op::Pointwise(_), [x]) => *x == shape,
        (Op::Reduce { axes, .. }, [x]) => is_reduced(x, axes, shape),
        (Op::Softmax { axis, .. } | Op::MaximumMask { axis }, [x])
        | (Op::RmsNorm { axis, .. }, [x]) => *axis < x.len() && *x == shape,
        (Op::Softmax { axis, .. }, [x, level]) => {
            *axis < x.len() && *x == shape && repeats(level, shape)
        }
        (Op::LogSumExp { axis, .. }, [x]) => is_reduced(x, &[*axis], shape),
        (Op::Gather { axis }, [data, index]) => {
            data.split_at_checked(*axis).is_some_and(|(before, from)| {
                from.split_first()
                    .is_some_and(|(_, after)| [before, index, after].concat() == shape)
            })
        }
        (Op::MaxPool(window) | Op::AveragePool { window, .. }, [x]) => {
            windows(window, x, shape) && x[..2] == shape[..2]
        }
        (Op::Reshape, [x]) => elements(x) == size,
        (Op::Transpose { permutation }, [x]) => {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..x.len())
                && shape
                    .iter()
                    .copied()
                    .eq(permutation.iter().map(|axis| x[*axis]))
        }
        (Op::Slice { axis, start, step }, [x]) => slice(*axis, *start, *step, x, shape),
        (Op::Concat { axis }, [_, ..]) => {
            let alike = |x: &&[usize]| {
                x.len() == shape.len() && (0..x.len()).all(|at| at == *axis || x[at] == shape[at])
            };
            *axis < shape.len()
                && operands.iter().all(alike)
                && operands.iter().map(|x| x[*axis]).sum::<usize>() == shape[*axis]
        }
        (Op::Pad { before, .. }, [x]) => {
            let inside = |axis: usize| before[axis].saturating_add(x[axis]) <= shape[axis];
            before.len() == x.len() && shape.len() == x.len() && (0..x.len()).all(inside)
        }
        (Op::Broadcast, [x]) => repeats(x, shape),
        _ => false,
    };
    (!fits).then_some("its operands and its result do not fit together")
}

/// Axes of length 1 stand for longer ones.
fn repeats(from: &[usize], to: &[usize]) -> bool {
    from.len() == to.len()
        && from
            .iter()
            .zip(to)
            .all(|(from, to)| from == to || *from == 1)
}

fn einsum(inputs: &[Vec<u8>], output: &[u8], operands: &[&[usize]], shape: &[usize]) -> bool {
    let mut lens = HashMap::new();
    let mut known = |labels: &[u8], shape: &[usize]| {
        labels.len() == shape.len()
            && (labels.iter().zip(shape))
                .all(|(label, len)| *lens.entry(*label).or_insert(*len) == *len)
    };
    inputs.len() == operands.len()
        && (inputs.iter().zip(operands)).all(|(labels, shape)| known(labels, shape))
        && known(output, shape)
        && output
            .iter()
            .all(|label| inputs.iter().any(|labels| labels.contains(label)))
}

/// Whether a window has as many axes as the data has in space, and each step of it touches the padded data.
fn windows(window: &Window, data: &[usize], shape: &[usize]) -> bool {
    let Window {
        kernel,
        stride,
        dilation,
        pad_before,
    } = window;
    let axes = kernel.len();
    let lens = [stride.len(), dilation.len(), pad_before.len()];
    let positive = |list: &[usize]| list.iter().all(|&len| len > 0);
    data.len() == axes + 2
        && shape.len() == axes + 2
        && lens == [axes; 3]
        && positive(kernel)
        && positive(stride)
        && positive(dilation)
}

fn convolves(
    window: &Window,
    groups: usize,
    data: &[usize],
    kernel: &[usize],
    bias: &[usize],
    shape: &[usize],
) -> bool {
    let (channels, made) = (data[1], shape[1]);
    groups > 0
        && channels % groups == 0
        && made % groups == 0
        && data[0] == shape[0]
        && *bias == [made]
        && *kernel == [&[made, channels / groups], &*window.kernel].concat()
}

fn slice(axis: usize, start: usize, step: isize, from: &[usize], to: &[usize]) -> bool {
    let alike = |at: usize| at == axis || from[at] == to[at];
    if axis >= from.len() || from.len() != to.len() || !(0..from.len()).all(alike) {
        return false;
    }
    let steps = isize::try_from(to[axis] - 1).ok();
    let last = steps
        .and_then(|steps| step.checked_mul(steps))
        .and_then(|reach| start.checked_add_signed(reach));
    start < from[axis] && last.is_some_and(|last| last < from[axis])
}
