//! `RoiAlign`.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::MOST_STEPS;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor};
use crate::onnx::decompose::registry::{Operator, op};
use crate::onnx::decompose::scope::{Made, Scope};
use crate::onnx::decompose::spatial::sampling::Weights;

pub(super) const OPERATORS: &[Operator] = &[op("RoiAlign", 10, roi_align)];

/// One axis of the regions.
struct Axis {
    /// Number of cells, and of points in a cell.
    cells: usize,
    points: usize,
    /// Length of the data.
    len: usize,
}

/// Regions' start and size along an axis, `[r, 1, 1]`.
type Extent = (NodeId, NodeId);

fn roi_align(scope: &mut Scope) -> Result<Vec<Made>, Diagnostic> {
    let (x, regions, batch) = (scope.operand(0)?, scope.operand(1)?, scope.operand(2)?);
    let dtype = scope.dtype(0);
    let average = match scope.text("mode").unwrap_or("avg").to_lowercase().as_str() {
        "avg" => true,
        "max" => false,
        other => {
            return Err(refuse(
                format!("its mode `{other}` is not known"),
                "use `avg`",
            ));
        }
    };
    let transform = scope.text("coordinate_transformation_mode");
    let half_pixel = scope.opset >= 16 && transform.unwrap_or("half_pixel") == "half_pixel";
    let cells = |name| usize::try_from(scope.int(name).unwrap_or(1)).unwrap_or(0);
    let cells = [cells("output_height"), cells("output_width")];
    let ratio = usize::try_from(scope.int("sampling_ratio").unwrap_or(0)).unwrap_or(0);
    let scale = scope.float("spatial_scale").unwrap_or(1.0);
    let build = &mut scope.build;
    let (shape, of) = (build.shape(x), build.shape(regions));
    let limit = |n: &usize| (1..=MOST_STEPS).contains(n);
    let fits = shape.len() == 4
        && of.len() == 2
        && of[1] == 4
        && build.shape(batch) == of[..1]
        && cells.iter().all(limit)
        && ratio <= MOST_STEPS;
    if !fits {
        return Err(refuse("its operands do not fit", "correct the model"));
    }
    let scaled = build.scale(regions, scale);
    let corners = build.shift(scaled, if half_pixel { -0.5 } else { 0.0 });
    let groups = match ratio {
        0 => alone(build, corners, cells, half_pixel)?,
        ratio => vec![(0, of[0], [ratio; 2])],
    };
    let mut parts = Vec::new();
    for (start, count, points) in groups {
        let part = build.slice(corners, 0, start, count, 1);
        let index = build.slice(batch, 0, start, count, 1);
        let data = match shape[0] {
            1 => build.reshape(x, &shape[1..]),
            _ => {
                let chosen = [&[count], &shape[1..]].concat();
                build.push(Op::Gather { axis: 0 }, vec![x, index], chosen)
            }
        };
        let axes: Vec<(Axis, Extent)> = (0..2)
            .map(|at| {
                let axis = Axis {
                    cells: cells[at],
                    points: points[at],
                    len: shape[2 + at],
                };
                (axis, extent(build, part, at, half_pixel))
            })
            .collect();
        parts.push(match average {
            true => averages(build, data, &axes)?,
            false => maxima(build, data, &axes)?,
        });
    }
    Ok(vec![(build.concat(parts, 0), dtype)])
}

/// Constant regions one by one, with a number of points that depends on their sizes.
fn alone(
    build: &Builder,
    corners: NodeId,
    cells: [usize; 2],
    half_pixel: bool,
) -> Result<Vec<(usize, usize, [usize; 2])>, Diagnostic> {
    let Some(corners) = build.tensor(corners) else {
        return Err(refuse(
            "the number of points that it reads depends on computed regions",
            "set `sampling_ratio`",
        ));
    };
    let one = |(i, region): (usize, &[f64])| {
        let points = [0, 1].map(|axis| {
            let size = region[3 - axis] - region[1 - axis];
            let size = if half_pixel { size } else { size.max(1.0) };
            (size / cells[axis] as f64).ceil()
        });
        match points.iter().all(|p| (1.0..=MOST_STEPS as f64).contains(p)) {
            true => Ok((i, 1, points.map(|p| p as usize))),
            false => Err(refuse(
                "a region is empty, or too large",
                "set `sampling_ratio`",
            )),
        }
    };
    corners.data.chunks(4).enumerate().map(one).collect()
}

/// Regions are `[x1, y1, x2, y2]`.
fn extent(build: &mut Builder, corners: NodeId, axis: usize, half_pixel: bool) -> Extent {
    let count = build.shape(corners)[0];
    let mut column = |at: usize| {
        let one = build.slice(corners, 1, at, 1, 1);
        build.reshape(one, &[count, 1, 1])
    };
    let (start, end) = (column(1 - axis), column(3 - axis));
    let mut size = build.binary(BinaryFn::Sub, end, start);
    if !half_pixel {
        let one = Pointwise::Constant(1.0);
        let at_least = Pointwise::binary(BinaryFn::Max, Pointwise::Variable, one);
        size = build.pointwise(at_least, size);
    }
    (start, size)
}

/// Weights `[r, cells * points, len]`: points are in the middle of equal parts of each cell.
fn weights(
    build: &mut Builder,
    (axis, (start, size)): &(Axis, Extent),
    of: &Weights,
) -> Result<NodeId, Diagnostic> {
    let count = axis.cells * axis.points;
    let middle = |i: usize| (i as f64 + 0.5) / count as f64;
    let middles = Tensor::new(vec![1, count, 1], (0..count).map(middle).collect());
    let middles = build.constant(middles);
    let inside = build.binary(BinaryFn::Mul, *size, middles);
    let points = build.binary(BinaryFn::Add, inside, *start);
    of.at(build, points, axis.len)
}

/// The data at the points, `[r, c, y, x]`.
fn read(build: &mut Builder, data: NodeId, weights: [NodeId; 2]) -> NodeId {
    let equation = match build.rank(data) {
        3 => "chw,rph,rqw->rcpq",
        _ => "rchw,rph,rqw->rcpq",
    };
    build.einsum(equation, &[data, weights[0], weights[1]])
}

/// The mean over the points of a cell: that of their weights.
fn averages(
    build: &mut Builder,
    data: NodeId,
    axes: &[(Axis, Extent)],
) -> Result<NodeId, Diagnostic> {
    let mut means = [0; 2];
    for (mean, axis) in means.iter_mut().zip(axes) {
        let of = weights(build, axis, &Weights::linear_near_ends())?;
        let count = build.shape(of)[0];
        let Axis { cells, points, len } = axis.0;
        let apart = build.reshape(of, &[count, cells, points, len]);
        let reduced = build.reduce(Reducer::Mean, &[2], apart);
        *mean = build.reshape(reduced, &[count, cells, len]);
    }
    Ok(read(build, data, means))
}

/// The maximum over the points of a cell and the four weighted elements around each.
fn maxima(
    build: &mut Builder,
    data: NodeId,
    axes: &[(Axis, Extent)],
) -> Result<NodeId, Diagnostic> {
    let sides = Weights::below_and_above();
    let mut best = None;
    for side in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let [y, x] = [0, 1].map(|at| weights(build, &axes[at], &sides[side[at]]));
        let seen = read(build, data, [y?, x?]);
        best = Some(match best {
            None => seen,
            Some(best) => build.binary(BinaryFn::Max, best, seen),
        });
    }
    let best = best.expect("four sides");
    let shape = build.shape(best);
    let [y, x] = [&axes[0].0, &axes[1].0];
    let apart = [shape[0], shape[1], y.cells, y.points, x.cells, x.points];
    let apart = build.reshape(best, &apart);
    let greatest = build.reduce(Reducer::Max, &[3, 5], apart);
    Ok(build.reshape(greatest, &[shape[0], shape[1], y.cells, x.cells]))
}
