//! Shorthands for building operators: numpy's arithmetic, softmax, integer comparisons.

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Tensor, UnaryFn};

impl Builder {
    /// `f(a, b)`; missing leading axes are added, axes of length 1 are repeated.
    pub fn apply(&mut self, f: BinaryFn, a: NodeId, b: NodeId) -> NodeId {
        let rank = self.rank(a).max(self.rank(b));
        let (a, b) = (
            self.unsqueeze_to_rank(a, rank),
            self.unsqueeze_to_rank(b, rank),
        );
        self.binary(f, a, b)
    }

    /// `a + b`, as [`Builder::apply`].
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(BinaryFn::Add, a, b)
    }

    /// `a - b`, as [`Builder::apply`].
    pub fn subtract(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(BinaryFn::Sub, a, b)
    }

    /// `a * b`, as [`Builder::apply`].
    pub fn multiply(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(BinaryFn::Mul, a, b)
    }

    /// `a / b`, as [`Builder::apply`].
    pub fn divide(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(BinaryFn::Div, a, b)
    }

    /// A named function of each element.
    pub fn unary(&mut self, f: UnaryFn, x: NodeId) -> NodeId {
        self.pointwise(Pointwise::of(f), x)
    }

    /// With leading axes of length 1 added, up to `rank`.
    pub fn unsqueeze_to_rank(&mut self, x: NodeId, rank: usize) -> NodeId {
        let shape = self.shape(x);
        let missing = vec![1; rank.saturating_sub(shape.len())];
        self.reshape(x, &[missing, shape].concat())
    }

    /// Softmax along an axis, over what `allowed` is 1 for.
    pub fn softmax(&mut self, x: NodeId, allowed: Option<NodeId>, axis: usize) -> NodeId {
        let shape = self.shape(x);
        let level = allowed.map(|allowed| {
            let negative = self.multiply_scalar(allowed, -1.0);
            let level = self.add_scalar(negative, 1.0);
            self.unsqueeze_to_rank(level, shape.len())
        });
        let hidden = level.map(|_| f64::from(f32::MIN)).into_iter().collect();
        let operands = std::iter::once(x).chain(level).collect();
        self.push(Op::Softmax { axis, hidden }, operands, shape)
    }

    /// `x - ln(sum(exp(x)))` along axes.
    pub fn log_softmax(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let total = self.log_sum_exp(x, axes);
        self.binary(BinaryFn::Sub, x, total)
    }

    /// `ln(sum(exp(x)))` over axes, which are kept with length 1.
    pub fn log_sum_exp(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let mut kept = self.shape(x);
        axes.iter().for_each(|axis| kept[*axis] = 1);
        let reach = f64::INFINITY;
        if let &[axis] = axes {
            return self.push(Op::LogSumExp { axis, reach }, vec![x], kept);
        }
        // All of the axes as the last one.
        let shape = self.shape(x);
        let others = (0..shape.len()).filter(|axis| !axes.contains(axis));
        let permutation: Vec<usize> = others.chain(axes.iter().copied()).collect();
        let rows = shape.len() - axes.len();
        let mut merged: Vec<usize> = permutation[..rows]
            .iter()
            .map(|axis| shape[*axis])
            .collect();
        merged.push(axes.iter().map(|axis| shape[*axis]).product());
        let moved = self.transpose(x, &permutation);
        let moved = self.reshape(moved, &merged);
        merged[rows] = 1;
        let total = self.push(Op::LogSumExp { axis: rows, reach }, vec![moved], merged);
        self.reshape(total, &kept)
    }

    /// 1 where an integer is at least `least` and at most `most`, else 0.
    pub fn within(&mut self, x: NodeId, least: Option<f64>, most: Option<f64>) -> NodeId {
        let x_plus = |scale: f64, offset: f64| {
            let scaled = Pointwise::binary(
                BinaryFn::Mul,
                Pointwise::Constant(scale),
                Pointwise::Variable,
            );
            Pointwise::step(Pointwise::binary(
                BinaryFn::Add,
                scaled,
                Pointwise::Constant(offset),
            ))
        };
        let above = least.map(|least| x_plus(1.0, 1.0 - least));
        let below = most.map(|most| x_plus(-1.0, 1.0 + most));
        let function = match (above, below) {
            (Some(above), Some(below)) => Pointwise::binary(BinaryFn::Mul, above, below),
            (above, below) => above.or(below).unwrap_or(Pointwise::Constant(1.0)),
        };
        self.pointwise(function, x)
    }

    /// `0, 1, ...` along an axis of a tensor of `rank` axes.
    pub fn iota(&mut self, length: usize, axis: usize, rank: usize) -> NodeId {
        let mut shape = vec![1; rank];
        shape[axis] = length;
        let data = (0..length).map(|i| i as f64).collect();
        self.constant(Tensor::new(shape, data))
    }

    /// Without axes of length 1.
    pub fn squeeze(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let shape = self.shape(x);
        let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
        let shape: Vec<usize> = kept.map(|axis| shape[axis]).collect();
        self.reshape(x, &shape)
    }

    /// The elements at one position of an axis, without the axis.
    pub fn select_index(&mut self, x: NodeId, axis: usize, position: usize) -> NodeId {
        let slice = self.slice(x, axis, position, 1, 1);
        self.squeeze(slice, &[axis])
    }

    /// Values of equal shape joined along a new axis.
    pub fn stack(&mut self, parts: Vec<NodeId>, axis: usize) -> NodeId {
        let parts = parts.into_iter().map(|part| {
            let mut shape = self.shape(part);
            shape.insert(axis, 1);
            self.reshape(part, &shape)
        });
        let parts = parts.collect();
        self.concat(parts, axis)
    }
}
