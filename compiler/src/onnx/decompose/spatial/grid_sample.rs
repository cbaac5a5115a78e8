//! `GridSample` and `AffineGrid`.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::graph::{NodeId, Pointwise, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::sampling::{
    Weights, abs, add, cubic, distances, if_greater, mul, sub,
};

use Pointwise::{Constant, Variable};

pub(super) const OPERATORS: &[Operator] = &[
    op("AffineGrid", 20, affine).restricted("constant size"),
    op("GridSample", 16, build),
];

/// Most spatial axes: letters of an einsum.
const MOST_AXES: usize = 8;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// How an axis is read at a point.
struct Sampler {
    mode: Mode,
    padding: Padding,
    /// Whether -1 and 1 are the centers of the end positions, or their outer borders.
    corners: bool,
}

fn build(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, grid) = (scope.operand(0)?, scope.operand(1)?);
    let dtype = scope.dtype(0);
    let unknown = |name: &str| {
        refuse(
            format!("`{name}` is not supported"),
            "use a mode that ONNX defines",
        )
    };
    let sampler = Sampler {
        mode: match scope.text("mode").unwrap_or("linear") {
            "nearest" => Mode::Nearest,
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            other => return Err(unknown(other)),
        },
        padding: match scope.text("padding_mode").unwrap_or("zeros") {
            "zeros" => Padding::Zeros,
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            other => return Err(unknown(other)),
        },
        corners: scope.int("align_corners").unwrap_or(0) != 0,
    };
    let build = &mut scope.build;
    let (shape, points) = (build.shape(x), build.shape(grid));
    let axes = shape.len().saturating_sub(2);
    let fits = (1..=MOST_AXES).contains(&axes)
        && points.len() == shape.len()
        && points[0] == shape[0]
        && points[axes + 1] == axes;
    if !fits {
        return Err(refuse(
            "its grid does not fit its data",
            "correct the model",
        ));
    }
    let made = &points[1..=axes];
    let count: usize = made.iter().product();
    let flat = build.reshape(grid, &[shape[0], count, axes]);
    let mut operands = vec![x];
    let mut labels = vec![format!("nc{}", &SPACE[..axes])];
    for axis in 0..axes {
        // The last component is the first axis in space.
        let coordinate = build.slice(flat, 2, axes - 1 - axis, 1, 1);
        operands.push(sampler.weights(build, coordinate, shape[2 + axis])?);
        labels.push(format!("np{}", &SPACE[axis..=axis]));
    }
    let equation = format!("{}->ncp", labels.join(","));
    let sampled = build.einsum(&equation, &operands);
    let shape = [&shape[..2], made].concat();
    Ok(vec![(build.reshape(sampled, &shape), dtype)])
}

/// Letters of the spatial axes.
const SPACE: &str = "stuvwxyz";

impl Sampler {
    /// Weights `[n, p, len]` of an axis for normalized coordinates `[n, p, 1]`.
    fn weights(&self, build: &mut Builder, g: NodeId, len: usize) -> Result<NodeId, Diagnostic> {
        let length = len as f64;
        let (least, greatest, slope) = if self.corners {
            (0.0, length - 1.0, (length - 1.0) / 2.0)
        } else {
            (-0.5, length - 0.5, length / 2.0)
        };
        let scaled = build.multiply_scalar(g, slope);
        let mut x = build.add_scalar(scaled, (length - 1.0) / 2.0);
        if self.mode == Mode::Nearest {
            x = build.pointwise(Pointwise::of(UnaryFn::Round), x);
        }
        if self.padding == Padding::Reflection {
            x = build.pointwise(reflected(least, greatest), x);
        }
        let linear = self.mode != Mode::Cubic;
        match self.padding {
            Padding::Zeros if linear => return Weights::linear().at(build, x, len),
            Padding::Zeros => return distances(build, x, 0..len as i64, &cubic(-0.75)),
            _ if linear => return Weights::linear_with_ends().at(build, x, len),
            _ => (),
        }
        if self.padding == Padding::Border {
            x = build.pointwise(clamped(least, greatest, length - 1.0), x);
        }
        // The cubic reaches two positions beyond the borders; each of them stands for one inside.
        let virtual_positions = -2..len as i64 + 2;
        let weights = distances(build, x, virtual_positions.clone(), &cubic(-0.75))?;
        let mut matrix = Tensor::filled(vec![len, len + 4], 0.0);
        for (column, at) in virtual_positions.enumerate() {
            matrix.data[self.inside(at, len as i64) * (len + 4) + column] = 1.0;
        }
        Ok(build.apply_matrix(weights, 2, matrix))
    }

    /// The position that one beyond the ends stands for.
    fn inside(&self, at: i64, len: i64) -> usize {
        let (period, offset) = if self.corners {
            (2 * (len - 1), 0)
        } else {
            (2 * len, 1)
        };
        let inside = match self.padding {
            Padding::Reflection if period > 0 => {
                let around = at.rem_euclid(period);
                around.min(period - offset - around)
            }
            _ => at.clamp(0, len - 1),
        };
        inside as usize
    }
}

/// A coordinate beyond the borders moves to the end position.
fn clamped(least: f64, greatest: f64, last: f64) -> Pointwise {
    let high = if_greater(Variable, greatest, Constant(last), Variable);
    let below = sub(Constant(0.0), Variable);
    if_greater(below, -least, Constant(0.0), high)
}

/// A coordinate reflected at the borders until it is between them.
fn reflected(least: f64, greatest: f64) -> Pointwise {
    let range = greatest - least;
    if range <= 0.0 {
        return Constant(least.max(0.0));
    }
    let c = Constant;
    let from_border = Pointwise::unary(UnaryFn::Abs, sub(Variable, c(least)));
    let turns = mul(from_border.clone(), c(0.5 / range));
    let turns = Pointwise::unary(UnaryFn::Floor, turns);
    let within = sub(from_border, mul(turns, c(2.0 * range)));
    let fold = abs().compose(&sub(c(range), within));
    sub(add(c(least), c(range)), fold)
}

/// The points of a regular grid, transformed.
fn affine(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let theta = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let corners = scope.int("align_corners").unwrap_or(0) != 0;
    let size = scope.constant_ints(1)?.unwrap_or_default();
    let shape = scope.build.shape(theta);
    let axes = size.len().saturating_sub(2);
    let fits = size.iter().all(|n| *n > 0)
        && volume(size.iter().map(|n| *n as u64)) <= MOST_ELEMENTS
        && axes > 0
        && shape == [size[0] as usize, axes, axes + 1];
    if !fits {
        return Err(refuse(
            "its size does not fit its matrices",
            "correct the model",
        ));
    }
    let lens: Vec<usize> = size[2..].iter().map(|n| *n as usize).collect();
    if corners && lens.contains(&1) {
        return Err(refuse(
            "it aligns the corners of an axis of length 1",
            "use `align_corners = 0`",
        ));
    }
    let count: usize = lens.iter().product();
    let mut points = Vec::with_capacity(count * (axes + 1));
    for flat in 0..count {
        let mut rest = flat;
        for &len in lens.iter().rev() {
            let at = (rest % len) as f64;
            rest /= len;
            points.push(if corners {
                at * 2.0 / (len as f64 - 1.0) - 1.0
            } else {
                (2.0 * at + 1.0) / len as f64 - 1.0
            });
        }
        points.push(1.0);
    }
    let build = &mut scope.build;
    let points = build.constant(Tensor::new(vec![count, axes + 1], points));
    let made = build.einsum("nij,pj->npi", &[theta, points]);
    let made = build.reshape(made, &[&shape[..1], &lens[..], &[axes]].concat());
    Ok(vec![(made, dtype)])
}
