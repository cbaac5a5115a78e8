//! Integer arithmetic as ONNX and its runtimes have it, in terms of division that rounds down.

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, Dtype, NodeId, Op, Pointwise, UnaryFn};

/// How far back to look for what a value can be.
pub const MOST_DEPTH: usize = 4;

impl Builder {
    /// `a / b` of integers of equal rank, towards zero.
    pub fn truncated_quotient(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let (sign, magnitude) = self.sign_and_magnitude(b);
        let quotient = self.quotient_towards_zero(a, magnitude);
        self.binary(BinaryFn::Mul, quotient, sign)
    }

    /// What is left of that division: it has the dividend's sign.
    pub fn truncated_remainder(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let (_, magnitude) = self.sign_and_magnitude(b);
        let quotient = self.quotient_towards_zero(a, magnitude);
        let multiple = self.binary(BinaryFn::Mul, quotient, magnitude);
        self.binary(BinaryFn::Sub, a, multiple)
    }

    /// What is left of a division that rounds down: it has the divisor's sign.
    pub fn floored_remainder(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let (sign, magnitude) = self.sign_and_magnitude(b);
        let turned = self.binary(BinaryFn::Mul, a, sign);
        let rest = self.binary(BinaryFn::FloorMod, turned, magnitude);
        self.binary(BinaryFn::Mul, rest, sign)
    }

    /// `x` to the power of an integer, by squares.
    pub fn power(&mut self, x: NodeId, exponent: u32) -> NodeId {
        let shape = self.shape(x);
        let one = self.scalar(1.0, shape.len());
        let mut made = self.broadcast(one, &shape);
        let mut square = x;
        for bit in 0..u32::BITS - exponent.leading_zeros() {
            if bit > 0 {
                square = self.binary(BinaryFn::Mul, square, square);
            }
            if exponent >> bit & 1 == 1 {
                made = self.binary(BinaryFn::Mul, made, square);
            }
        }
        made
    }

    /// `floor((a + (b - 1) [a < 0]) / b)` for a positive `b`.
    fn quotient_towards_zero(&mut self, a: NodeId, b: NodeId) -> NodeId {
        if self.certain(a, MOST_DEPTH).0 >= 0.0 {
            return self.binary(BinaryFn::FloorDiv, a, b);
        }
        let negative = self.pointwise(Pointwise::step(Pointwise::of(UnaryFn::Neg)), a);
        let short = self.add_scalar(b, -1.0);
        let raise = self.binary(BinaryFn::Mul, negative, short);
        let raised = self.binary(BinaryFn::Add, a, raise);
        self.binary(BinaryFn::FloorDiv, raised, b)
    }

    fn sign_and_magnitude(&mut self, x: NodeId) -> (NodeId, NodeId) {
        if self.certain(x, MOST_DEPTH).0 >= 0.0 {
            let rank = self.rank(x);
            return (self.scalar(1.0, rank), x);
        }
        let sign = self.unary(UnaryFn::Sign, x);
        (sign, self.unary(UnaryFn::Abs, x))
    }

    /// The integer of this type that is congruent to `x`: what overflows wraps around. Types of 64 bits are taken not to overflow.
    pub fn wrap(&mut self, x: NodeId, dtype: Dtype) -> NodeId {
        let Some((bits, signed)) = dtype.bits().filter(|(bits, _)| (2..64).contains(bits)) else {
            return x;
        };
        let (least, most) = dtype.limits();
        let (low, high) = self.certain(x, MOST_DEPTH);
        if low >= least && high <= most {
            return x;
        }
        let half = if signed { -least } else { 0.0 };
        let shifted = self.add_scalar(x, half);
        let rank = self.rank(x);
        let count = self.scalar(f64::from(bits).exp2(), rank);
        let rest = self.binary(BinaryFn::FloorMod, shifted, count);
        self.add_scalar(rest, -half)
    }

    /// Least and greatest number that a value can be, by its type and by how it is made of others.
    pub fn certain(&self, id: NodeId, depth: usize) -> (f64, f64) {
        let node = &self.graph.nodes[id];
        let limits = node.dtype.limits();
        if let Op::Constant(tensor) = &node.op {
            let whole = (f64::INFINITY, f64::NEG_INFINITY);
            let ends = |(low, high): (f64, f64), x: &f64| (low.min(*x), high.max(*x));
            return tensor.data.iter().fold(whole, ends);
        }
        let Some(depth) = depth.checked_sub(1) else {
            return limits;
        };
        let of = |at: usize| self.certain(node.inputs[at], depth);
        let join = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
        let made = match &node.op {
            Op::Binary(function) => match (function, of(0), of(1)) {
                (BinaryFn::Add, a, b) => (a.0 + b.0, a.1 + b.1),
                (BinaryFn::Sub, a, b) => (a.0 - b.1, a.1 - b.0),
                (BinaryFn::Mul, a, b) => product(a, b),
                (BinaryFn::Max, a, b) => (a.0.max(b.0), a.1.max(b.1)),
                (BinaryFn::Min, a, b) => (a.0.min(b.0), a.1.min(b.1)),
                (BinaryFn::FloorMod, _, b) => (0.0, b.1 - 1.0),
                (BinaryFn::FloorDiv, a, b) if b.0 >= 1.0 => (a.0.min(0.0), a.1.max(0.0)),
                _ => limits,
            },
            Op::Pointwise(function) if function.by_sign().is_some() => {
                let values = function.by_sign().map_or([0.0; 3], |(_, values)| values);
                values
                    .into_iter()
                    .fold((values[0], values[0]), |ends, y| join(ends, (y, y)))
            }
            Op::Rescale {
                least, greatest, ..
            } => (*least, *greatest),
            Op::Select => join(of(1), of(2)),
            Op::Concat { .. } => {
                let parts = (1..node.inputs.len()).map(of);
                parts.fold(of(0), join)
            }
            Op::Pad { value, .. } => join(of(0), (*value, *value)),
            Op::Gather { .. }
            | Op::MaxPool(_)
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Broadcast => of(0),
            _ => limits,
        };
        // What a type wraps is only known where it has been wrapped.
        match node.dtype {
            Dtype::Int64 | Dtype::Uint64 | Dtype::Float32 => made,
            _ => (made.0.max(limits.0), made.1.min(limits.1)),
        }
    }
}

fn product(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let ends = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
    let ends = ends.map(|x| if x.is_nan() { 0.0 } else { x });
    let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
    (low, ends.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;
    use crate::graph::interpret;

    const A: [f64; 6] = [7.0, -7.0, 7.0, -7.0, 6.0, -128.0];
    const B: [f64; 6] = [3.0, 3.0, -3.0, -3.0, -3.0, 5.0];

    fn of_pairs(f: fn(&mut Builder, NodeId, NodeId) -> NodeId) -> Vec<f64> {
        let mut build = Builder::new();
        let input = |build: &mut Builder| {
            let id = build.push(Op::Input(Dtype::Int8), vec![], vec![6]);
            build.graph.inputs.push(id);
            id
        };
        let (a, b) = (input(&mut build), input(&mut build));
        let made = f(&mut build, a, b);
        build.graph.outputs.push(("y".into(), made));
        let operands = [A, B].map(|data| Tensor::new(vec![6], data.to_vec()));
        interpret::run(&build.graph, &operands).remove(0).data
    }

    #[test]
    fn quotients_and_remainders_have_the_signs_of_onnx() {
        let quotients = of_pairs(Builder::truncated_quotient);
        assert_eq!(quotients, [2.0, -2.0, -2.0, 2.0, -2.0, -25.0]);
        let rests = of_pairs(Builder::truncated_remainder);
        assert_eq!(rests, [1.0, -1.0, 1.0, -1.0, 0.0, -3.0]);
        let rests = of_pairs(Builder::floored_remainder);
        assert_eq!(rests, [1.0, 2.0, -2.0, -1.0, 0.0, 2.0]);
    }

    #[test]
    fn what_leaves_a_type_wraps_and_what_cannot_is_left_alone() {
        let product = |build: &mut Builder, a, b| {
            let product = build.multiply(a, b);
            assert_eq!(build.wrap(product, Dtype::Int16), product);
            build.wrap(product, Dtype::Int8)
        };
        let expected = A
            .iter()
            .zip(B)
            .map(|(a, b)| f64::from((a * b) as i64 as i8));
        assert_eq!(of_pairs(product), expected.collect::<Vec<_>>());
        let sum = of_pairs(|build, a, b| {
            let sum = build.add(a, b);
            build.wrap(sum, Dtype::Uint8)
        });
        let expected = A
            .iter()
            .zip(B)
            .map(|(a, b)| f64::from((a + b) as i64 as u8));
        assert_eq!(sum, expected.collect::<Vec<_>>());
    }
}
