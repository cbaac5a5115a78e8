//! How coarsely values may be rounded: what their readers make of an error decides.
//!
//! A tolerance is an error that moves some value behind by as much as it was seen to vary. One step for a whole tensor is fine enough
//! where it is a small part of every channel's tolerance; a column that the next layer multiplies by a thousand needs a step a thousand
//! times finer than its neighbours.
//!
//! Tolerances go backwards through the graph: through a sum they stay what they are, through a product with constants they are divided by
//! these. Behind a product with a matrix or a convolution no more precision is asked for than its own results show. What is neither linear
//! nor made of lines through zero asks for the precision of its whole operand, or for more where it is steep.

use std::borrow::Cow;

use crate::graph::extent::{channel_axes, magnitude, spread};
use crate::graph::{BinaryFn, Graph, Node, Op, Pointwise, Reducer, Tensor};
use crate::lower::value::Axis;
use crate::lower::value::weight::{strides_along, walk};

/// Places in a range where the slope of a function is looked at.
const PLACES: i32 = 256;
/// How many times finer than its own spread the operand of a steep function may be asked for.
const MOST_STEEP: f64 = 256.0;

/// Tolerances of one value; infinite where nothing reads it.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// Of every element.
    pub all: f64,
    /// Along axes that may be channels: of every element at an index. Nowhere less than `all`.
    along: Vec<(usize, Vec<f64>)>,
}

/// Tolerances of all nodes.
pub fn tolerances(graph: &Graph) -> Vec<Tolerance> {
    let mut found: Vec<Tolerance> = vec![Tolerance::new(f64::INFINITY); graph.nodes.len()];
    for (_, id) in &graph.outputs {
        found[*id] = Tolerance::own(&graph.nodes[*id]);
    }
    for id in (0..graph.nodes.len()).rev() {
        let reader = &graph.nodes[id];
        for operand in 0..reader.inputs.len() {
            let read = reader.inputs[operand];
            if graph.nodes[read].constant().is_none() {
                let through = Reading {
                    graph,
                    reader,
                    operand,
                    made: &found[id],
                };
                let needed = through.needed();
                found[read].narrow(needed, &graph.nodes[read].shape);
            }
        }
    }
    found
}

impl Tolerance {
    fn new(all: f64) -> Self {
        Self {
            all,
            along: Vec::new(),
        }
    }

    /// How far the value's elements were seen to vary, channel by channel where that differs.
    fn own(node: &Node) -> Self {
        let whole = Self::whole(node);
        // Of a channel that never varied nothing is known.
        let own = |range: &(f64, f64)| match spread(*range) {
            0.0 => whole.all,
            spread => spread,
        };
        let channels = node.seen.channels.iter();
        let along: Vec<(usize, Vec<f64>)> = channels
            .map(|channels| (channels.axis, channels.ranges.iter().map(own).collect()))
            .collect();
        let least = along.iter().flat_map(|(_, all)| all);
        Self {
            all: least.copied().fold(whole.all, f64::min),
            along,
        }
    }

    /// How far all elements of the value were seen to vary.
    fn whole(node: &Node) -> Self {
        Self::new(match (spread(node.seen.all), magnitude(node.range)) {
            (0.0, 0.0) => f64::INFINITY,
            (0.0, most) => most,
            (spread, _) => spread,
        })
    }

    /// Of every element at an index of an axis.
    pub fn at(&self, axis: usize, len: usize) -> Cow<'_, [f64]> {
        let known = self.along.iter().find(|(known, _)| *known == axis);
        match known {
            Some((_, all)) => Cow::Borrowed(all),
            None => Cow::Owned(vec![self.all; len]),
        }
    }

    /// Adds another reader's.
    fn narrow(&mut self, other: Self, shape: &[usize]) {
        let along = channel_axes(shape).map(|axis| {
            let (mine, theirs) = (self.at(axis, shape[axis]), other.at(axis, shape[axis]));
            let both = mine.iter().zip(theirs.iter());
            (axis, both.map(|(a, b)| a.min(*b)).collect())
        });
        self.along = along.collect();
        self.all = self.all.min(other.all);
    }

    /// No less than the value shows itself.
    fn seen(&self, node: &Node) -> Self {
        let own = Self::own(node);
        let along = channel_axes(&node.shape).map(|axis| {
            let (mine, own) = (
                self.at(axis, node.shape[axis]),
                own.at(axis, node.shape[axis]),
            );
            (
                axis,
                mine.iter()
                    .zip(own.iter())
                    .map(|(a, b)| a.max(*b))
                    .collect(),
            )
        });
        Self {
            along: along.collect(),
            all: self.all.max(own.all),
        }
    }
}

/// One operand of a node, and the tolerance of what the node makes.
struct Reading<'a> {
    graph: &'a Graph,
    reader: &'a Node,
    operand: usize,
    made: &'a Tolerance,
}

impl Reading<'_> {
    fn node(&self) -> &Node {
        &self.graph.nodes[self.reader.inputs[self.operand]]
    }

    fn other(&self) -> &Node {
        &self.graph.nodes[self.reader.inputs[1 - self.operand]]
    }

    /// The operand's tolerance, as far as this reader is concerned.
    fn needed(&self) -> Tolerance {
        let (node, made) = (self.node(), self.made);
        match &self.reader.op {
            Op::Pointwise(function) => match function.is_affine() {
                Some((factor, _)) => self.mapped(Some, factor.abs()),
                None if passes_scales(function) => self.mapped(Some, 1.0),
                None => {
                    let whole = Tolerance::whole(node).all;
                    let steep = self.made.all / steepest(function, node.range);
                    Tolerance::new(steep.clamp(whole / MOST_STEEP, whole))
                }
            },
            Op::Binary(function) => self.binary(*function),
            Op::Einsum { inputs, output } => self.einsum(inputs, output),
            Op::Convolution { groups, .. } if self.operand == 0 => self.convolution(*groups),
            Op::RmsNorm { .. } => {
                let least = self
                    .reader
                    .stats
                    .first()
                    .map_or(1.0, |(least, _)| least.sqrt());
                let seen = made.seen(self.reader);
                Reading {
                    made: &seen,
                    ..*self
                }
                .mapped(Some, 1.0 / least)
            }
            Op::Reduce { reducer, axes } if *reducer != Reducer::SumSquare => {
                self.mapped(|axis| Some(axis).filter(|axis| !axes.contains(axis)), 1.0)
            }
            Op::Gather { axis } if self.operand == 0 => self.gathered(*axis),
            Op::Select if self.operand == 0 => Tolerance::new(f64::INFINITY),
            Op::MaxPool(_) | Op::AveragePool { .. } => {
                self.mapped(|axis| Some(axis).filter(|axis| *axis < 2), 1.0)
            }
            Op::Select | Op::Broadcast => self.mapped(Some, 1.0),
            Op::Reshape => {
                self.mapped(|axis| same_axis(&node.shape, axis, &self.reader.shape), 1.0)
            }
            Op::Transpose { permutation } => self.mapped(
                |axis| permutation.iter().position(|from| *from == axis),
                1.0,
            ),
            Op::Slice { axis, start, step } => {
                self.moved(*axis, |to| start.checked_add_signed(step * to as isize))
            }
            Op::Concat { axis } => {
                let earlier = self.reader.inputs[..self.operand].iter();
                let start: usize = earlier.map(|id| self.graph.nodes[*id].shape[*axis]).sum();
                self.moved(*axis, |to| to.checked_sub(start))
            }
            Op::Pad { before, .. } => {
                channel_axes(&node.shape).fold(Tolerance::new(made.all), |mut padded, axis| {
                    let moved = self.moved(axis, |to| to.checked_sub(before[axis]));
                    padded
                        .along
                        .extend(moved.along.into_iter().filter(|(a, _)| *a == axis));
                    padded
                })
            }
            _ => Tolerance::whole(node),
        }
    }

    /// Through something that keeps channels together: where each axis of the operand is an axis of the result, and by what errors grow.
    fn mapped(&self, place: impl Fn(usize) -> Option<usize>, gain: f64) -> Tolerance {
        let shape = &self.node().shape;
        let along = channel_axes(shape).map(|axis| {
            let kept = place(axis).filter(|to| self.reader.shape.get(*to) == Some(&shape[axis]));
            let made = match kept {
                Some(to) => self.made.at(to, shape[axis]),
                None => Cow::Owned(vec![self.made.all; shape[axis]]),
            };
            (axis, made.iter().map(|x| x / gain).collect())
        });
        Tolerance {
            along: along.collect(),
            all: self.made.all / gain,
        }
    }

    /// Through something that moves the indices of one axis: from where each index of the result comes.
    fn moved(&self, axis: usize, from: impl Fn(usize) -> Option<usize>) -> Tolerance {
        let mut through = self.mapped(Some, 1.0);
        let len = self.reader.shape[axis];
        if let Some((_, all)) = through.along.iter_mut().find(|(known, _)| *known == axis) {
            all.fill(f64::INFINITY);
            for (to, made) in self.made.at(axis, len).iter().enumerate() {
                if let Some(x) = from(to).and_then(|from| all.get_mut(from)) {
                    *x = x.min(*made);
                }
            }
        }
        through
    }

    /// Through rows that were picked: by constants, or by data.
    fn gathered(&self, axis: usize) -> Tolerance {
        let indices = &self.graph.nodes[self.reader.inputs[1]];
        let more = indices.shape.len();
        let place = |from: usize| match from.cmp(&axis) {
            std::cmp::Ordering::Less => Some(from),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(from + more - 1),
        };
        let mut through = self.mapped(place, 1.0);
        let picked = through.along.iter_mut().find(|(known, _)| *known == axis);
        if let (Some((_, all)), Some(picks)) = (picked, indices.constant()) {
            let made = match more {
                1 => self.made.at(axis, picks.data.len()),
                _ => Cow::Owned(vec![self.made.all; picks.data.len()]),
            };
            all.fill(f64::INFINITY);
            for (row, made) in picks.data.iter().zip(made.iter()) {
                if let Some(x) = all.get_mut(*row as usize) {
                    *x = x.min(*made);
                }
            }
        }
        through
    }

    fn binary(&self, function: BinaryFn) -> Tolerance {
        let sums = self.mapped(Some, 1.0);
        match (function, self.other().constant()) {
            (BinaryFn::Add | BinaryFn::Sub | BinaryFn::Max | BinaryFn::Min, _) => sums,
            (BinaryFn::Mul, Some(factors)) => scaled(sums, factors, |x| x),
            (BinaryFn::Div, Some(divisors)) if self.operand == 0 => {
                scaled(sums, divisors, f64::recip)
            }
            _ => Tolerance::whole(self.node()),
        }
    }

    /// Through a product with a matrix: each element of it takes an index of the operand to one of the result.
    fn einsum(&self, inputs: &[Vec<u8>], output: &[u8]) -> Tolerance {
        let (node, place) = (self.node(), |label: u8| {
            output.iter().position(|l| *l == label)
        });
        let own = &inputs[self.operand];
        if inputs.len() == 1 {
            return self.mapped(|axis| place(own[axis]), 1.0);
        }
        let matrix = (inputs.len() == 2).then(|| self.other().constant());
        let Some(matrix) = matrix.flatten() else {
            return Tolerance::whole(node);
        };
        let made = self.made.seen(self.reader);
        let through = Reading {
            made: &made,
            ..*self
        };
        let mut needed = through.mapped(|axis| place(own[axis]), greatest(matrix));
        let labels = &inputs[1 - self.operand];
        let repeats = |at: usize| labels[..at].contains(&labels[at]);
        if (0..labels.len()).any(repeats) {
            return Tolerance::new(needed.all);
        }
        for (axis, all) in &mut needed.along {
            if labels.contains(&own[*axis]) {
                *all = self.weighed(matrix, labels, own[*axis], output, &made);
            }
        }
        needed
    }

    /// For each index of a label of a matrix, the least tolerance of a result divided by the element that leads to it.
    fn weighed(
        &self,
        matrix: &Tensor,
        labels: &[u8],
        own: u8,
        output: &[u8],
        made: &Tolerance,
    ) -> Vec<f64> {
        let axis = |label: &u8, len: usize| Axis {
            id: u32::from(*label),
            len,
        };
        let axes: Vec<Axis> = (labels.iter().zip(&matrix.shape))
            .map(|(label, len)| axis(label, *len))
            .collect();
        let strides = |label: Option<u8>| {
            let own = axes
                .iter()
                .copied()
                .filter(|a| Some(a.id) == label.map(u32::from));
            strides_along(&own.collect::<Vec<_>>(), &axes)
        };
        let len = axes
            .iter()
            .find(|a| a.id == u32::from(own))
            .map_or(1, |a| a.len);
        // Along two axes of the result at most; the more tolerant says what an element can bear.
        let shape = &self.reader.shape;
        let mut ways = channel_axes(shape).filter(|axis| labels.contains(&output[*axis]));
        let [first, second] = [ways.next(), ways.next()];
        let along = |way: Option<usize>| match way {
            Some(axis) => made.at(axis, shape[axis]),
            None => Cow::Owned(vec![made.all]),
        };
        let (made_first, made_second) = (along(first), along(second));
        let [one, two] = [first, second].map(|way| strides(way.map(|axis| output[axis])));
        let mut least = vec![f64::INFINITY; len];
        let places = strides_along(&axes, &axes);
        let visit = |[at, to, one, two]: [i64; 4]| {
            let bears = made_first[one as usize].max(made_second[two as usize]);
            let least = &mut least[to as usize];
            *least = least.min(bears / matrix.data[at as usize].abs());
        };
        walk(
            &matrix.shape,
            [&places, &strides(Some(own)), &one, &two],
            visit,
        );
        least
    }

    fn convolution(&self, groups: usize) -> Tolerance {
        let Some(kernel) = self.graph.nodes[self.reader.inputs[1]].constant() else {
            return Tolerance::whole(self.node());
        };
        let made = self.made.seen(self.reader);
        let through = Reading {
            made: &made,
            ..*self
        };
        let mut needed = through.mapped(
            |axis| Some(axis).filter(|axis| *axis == 0),
            greatest(kernel),
        );
        let (outputs, inputs) = (kernel.shape[0], kernel.shape[1]);
        let taps: usize = kernel.shape[2..].iter().product();
        let bears = made.at(1, outputs);
        if let Some((_, all)) = needed.along.iter_mut().find(|(axis, _)| *axis == 1) {
            all.fill(f64::INFINITY);
            for (at, taps) in kernel.data.chunks_exact(taps.max(1)).enumerate() {
                let (output, input) = (at / inputs, at % inputs);
                let channel = output / (outputs / groups) * inputs + input;
                let most = taps.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
                all[channel] = all[channel].min(bears[output] / most);
            }
        }
        needed
    }
}

/// The greatest slope of a function in a range, between a few places; zero where it ends beside the range, since there keys are to be exact
/// rather than fine.
fn steepest(function: &Pointwise, (low, high): (f64, f64)) -> f64 {
    let step = (high - low) / f64::from(PLACES);
    let at = |place: i32| function.eval(low + step * f64::from(place));
    let beside = PLACES / 8;
    let values: Vec<f64> = (-beside..=PLACES + beside).map(at).collect();
    if values.iter().any(|y| !y.is_finite()) || step == 0.0 {
        return 0.0;
    }
    let changes = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    changes.fold(0.0, f64::max) / step
}

/// Whether a function of a positive multiple is the multiple of the function: lines through zero, as in rectifiers.
pub fn passes_scales(function: &Pointwise) -> bool {
    const SIZES: [f64; 8] = [1e-6, 1e-3, 0.1, 0.5, 3.7, 6.5, 1e3, 1e6];
    let [falling, rising] = [function.eval(-1.0), function.eval(1.0)];
    let lines = SIZES.iter().all(|size| {
        let near = |got: f64, line: f64| (got - line).abs() <= 1e-9 * size;
        near(function.eval(-size), falling * size) && near(function.eval(*size), rising * size)
    });
    lines && function.eval(0.0) == 0.0 && falling.abs().max(rising.abs()) > 0.0
}

/// Divided by what a function makes of constants, at its greatest for each index.
fn scaled(mut sums: Tolerance, factors: &Tensor, function: fn(f64) -> f64) -> Tolerance {
    let gains = |axis, len| greatest_along(factors, axis, len, |x| function(x).abs());
    for (axis, all) in &mut sums.along {
        let gains = gains(*axis, all.len());
        all.iter_mut().zip(gains).for_each(|(x, gain)| *x /= gain);
    }
    sums.all /= gains(usize::MAX, 1)[0];
    sums
}

/// Greatest magnitude of an element.
fn greatest(tensor: &Tensor) -> f64 {
    tensor
        .data
        .iter()
        .fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// Greatest value of a function at each of `len` indices of an axis along which the tensor may repeat; of all elements for no axis of it.
fn greatest_along(
    tensor: &Tensor,
    axis: usize,
    len: usize,
    function: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let own = tensor.shape.get(axis).copied().unwrap_or(1);
    let inner: usize = tensor.shape.iter().skip(axis.saturating_add(1)).product();
    let mut most = vec![0.0f64; own];
    for (at, x) in tensor.data.iter().enumerate() {
        let most = &mut most[at / inner.max(1) % own];
        *most = most.max(function(*x));
    }
    match own == len {
        true => most,
        false => vec![most.into_iter().fold(0.0, f64::max); len],
    }
}

/// The axis of a reshaped tensor that has the same indices.
fn same_axis(from: &[usize], axis: usize, to: &[usize]) -> Option<usize> {
    let inner = |shape: &[usize], axis: usize| shape[axis + 1..].iter().product::<usize>();
    let same = |other: &usize| to[*other] == from[axis] && inner(to, *other) == inner(from, axis);
    (0..to.len()).find(same)
}
