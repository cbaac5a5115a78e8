//! Reading between the positions of an axis, at computed coordinates.
//!
//! Nothing is looked up by an index: each position of the axis has a weight that is a function of its distance to the coordinate,
//! zero for all but a few, and what is read is the sum of the data times the weights.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::graph::{BinaryFn, NodeId, Pointwise, Tensor, UnaryFn};

use Pointwise::{Constant, Variable};

/// Weights as functions of `coordinate - position`, at the first, at inner and at the last position; on an axis of one, at that.
pub(crate) struct Weights {
    pub first: Pointwise,
    pub inner: Pointwise,
    pub last: Pointwise,
    pub only: Pointwise,
}

/// `max(0, 1 - |x|)`.
pub(crate) fn hat() -> Pointwise {
    relu(sub(Constant(1.0), abs()))
}

pub(crate) fn abs() -> Pointwise {
    Pointwise::of(UnaryFn::Abs)
}

pub(crate) fn relu(x: Pointwise) -> Pointwise {
    Pointwise::unary(UnaryFn::Relu, x)
}

pub(crate) fn sub(a: Pointwise, b: Pointwise) -> Pointwise {
    Pointwise::binary(BinaryFn::Sub, a, b)
}

pub(crate) fn mul(a: Pointwise, b: Pointwise) -> Pointwise {
    Pointwise::binary(BinaryFn::Mul, a, b)
}

pub(crate) fn add(a: Pointwise, b: Pointwise) -> Pointwise {
    Pointwise::binary(BinaryFn::Add, a, b)
}

/// `if a > b { yes } else { no }`.
pub(crate) fn if_greater(a: Pointwise, b: f64, yes: Pointwise, no: Pointwise) -> Pointwise {
    Pointwise::select(Pointwise::step(sub(a, Constant(b))), yes, no)
}

/// The mirror image of a function.
fn mirrored(f: &Pointwise) -> Pointwise {
    f.compose(&Pointwise::of(UnaryFn::Neg))
}

/// Keys' cubic convolution kernel of parameter `a`.
pub(crate) fn cubic(a: f64) -> Pointwise {
    let horner = |coefficients: [f64; 4]| {
        let [first, rest @ ..] = coefficients;
        let step = |sum, c| add(mul(sum, abs()), Constant(c));
        rest.into_iter().fold(Constant(first), step)
    };
    let near = horner([a + 2.0, -(a + 3.0), 0.0, 1.0]);
    let far = horner([a, -5.0 * a, 8.0 * a, -4.0 * a]);
    let outside = if_greater(abs(), 2.0, Constant(0.0), far);
    if_greater(abs(), 1.0, outside, near)
}

impl Weights {
    /// Of the two positions around the coordinate. Beyond the ends there are zeros.
    pub fn linear() -> Weights {
        Weights {
            first: hat(),
            inner: hat(),
            last: hat(),
            only: hat(),
        }
    }

    /// Of the two positions around the coordinate. Beyond an end, the end counts.
    pub fn linear_with_ends() -> Weights {
        let first = Pointwise::binary(
            BinaryFn::Min,
            relu(sub(Constant(1.0), Variable)),
            Constant(1.0),
        );
        Weights {
            last: mirrored(&first),
            first,
            inner: hat(),
            only: Constant(1.0),
        }
    }

    /// Of the two positions around the coordinate. Beyond an end, the end counts for a distance of 1.
    pub fn linear_near_ends() -> Weights {
        let ends = Weights::linear_with_ends();
        let near = |f: Pointwise| if_greater(abs(), 1.0, Constant(0.0), f);
        Weights {
            first: near(ends.first),
            inner: hat(),
            last: near(ends.last),
            only: near(Constant(1.0)),
        }
    }

    /// The parts of [`Weights::linear_near_ends`] of the position at or below the coordinate, and of the one above.
    pub fn below_and_above() -> [Weights; 2] {
        let falling = relu(sub(Constant(1.0), Variable));
        let below = Pointwise::select(
            Pointwise::step(Pointwise::of(UnaryFn::Neg)),
            Constant(0.0),
            falling,
        );
        let above = Pointwise::select(
            Pointwise::step(Pointwise::of(UnaryFn::Neg)),
            relu(add(Constant(1.0), Variable)),
            Constant(0.0),
        );
        let near = Weights::linear_near_ends();
        let last = Pointwise::select(
            Pointwise::step(Pointwise::of(UnaryFn::Neg)),
            Constant(0.0),
            near.only.clone(),
        );
        [
            Weights {
                first: near.first,
                inner: below,
                last,
                only: near.only,
            },
            Weights {
                first: Constant(0.0),
                inner: above.clone(),
                last: above,
                only: Constant(0.0),
            },
        ]
    }

    /// The weights `[.., len]` of an axis for coordinates `[.., 1]`.
    pub fn at(&self, build: &mut Builder, x: NodeId, len: usize) -> Result<NodeId, Diagnostic> {
        let shape = build.shape(x);
        check_size(&shape, len)?;
        if len == 1 {
            return Ok(build.pointwise(self.only.clone(), x));
        }
        if [&self.first, &self.last].iter().all(|f| **f == self.inner) {
            return distances(build, x, 0..len as i64, &self.inner);
        }
        let end = len as i64 - 1;
        let mut parts = vec![distances(build, x, 0..1, &self.first)?];
        if len > 2 {
            parts.push(distances(build, x, 1..end, &self.inner)?);
        }
        parts.push(distances(build, x, end..end + 1, &self.last)?);
        Ok(build.concat(parts, shape.len() - 1))
    }
}

fn check_size(shape: &[usize], len: usize) -> Result<(), Diagnostic> {
    let lens = shape.iter().map(|n| *n as u64);
    if volume(lens.chain([len as u64])) > MOST_ELEMENTS {
        return Err(refuse(
            "it samples too many points on too long an axis",
            "use fewer points or shorter axes",
        ));
    }
    Ok(())
}

/// `f(coordinate - position)` for coordinates `[.., 1]` and the positions.
pub(crate) fn distances(
    build: &mut Builder,
    x: NodeId,
    positions: std::ops::Range<i64>,
    f: &Pointwise,
) -> Result<NodeId, Diagnostic> {
    let count = (positions.end - positions.start) as usize;
    let mut along = vec![1; build.rank(x)];
    check_size(&build.shape(x), count)?;
    *along.last_mut().expect("an axis of length 1") = count;
    let positions = Tensor::new(along, positions.map(|i| i as f64).collect());
    let positions = build.constant(positions);
    let distance = build.binary(BinaryFn::Sub, x, positions);
    Ok(build.pointwise(f.clone(), distance))
}
