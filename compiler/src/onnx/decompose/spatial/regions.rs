//! Pooling over regions: `RoiAlign` reads between elements, `MaxRoiPool` reads whole elements.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_STEPS, volume};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::sampling::Weights;

pub(super) const OPERATORS: &[Operator] = &[
    op("MaxRoiPool", 1, max_roi_pool).restricted("constant regions"),
    op("RoiAlign", 10, roi_align),
];

/// One axis of the regions.
struct Axis {
    /// Number of cells, and of points in a cell.
    cells: usize,
    points: usize,
    /// Length of the data.
    len: usize,
}

/// Start and size of the regions along an axis, `[r, 1, 1]`.
type Extent = (NodeId, NodeId);

fn roi_align(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, regions, batch) = (scope.operand(0)?, scope.operand(1)?, scope.operand(2)?);
    let dtype = scope.dtype(0);
    let average = match scope.text("mode").unwrap_or("avg").to_lowercase().as_str() {
        "avg" => true,
        "max" => false,
        other => {
            return Err(refuse(
                format!("its mode `{other}` is not supported"),
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
    let scaled = build.multiply_scalar(regions, scale);
    let corners = build.add_scalar(scaled, if half_pixel { -0.5 } else { 0.0 });
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
        parts.push(if average {
            averages(build, data, &axes)?
        } else {
            maxima(build, data, &axes)?
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
            "the number of points to sample depends on computed regions",
            "set `sampling_ratio`",
        ));
    };
    let one = |(i, region): (usize, &[f64])| {
        let points = [0, 1].map(|axis| {
            let size = region[3 - axis] - region[1 - axis];
            let size = if half_pixel { size } else { size.max(1.0) };
            (size / cells[axis] as f64).ceil()
        });
        if points.iter().all(|p| (1.0..=MOST_STEPS as f64).contains(p)) {
            Ok((i, 1, points.map(|p| p as usize)))
        } else {
            Err(refuse(
                "a region is empty, or too large",
                "set `sampling_ratio`",
            ))
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

/// The greatest element of each cell of constant regions `[image, x1, y1, x2, y2]`, whose ends are included; 0 for a cell that has none.
///
/// Attributes: `pooled_shape` (the numbers of cells), `spatial_scale` (1).
fn max_roi_pool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let cells = scope.lengths("pooled_shape", 2, 0)?;
    let scale = scope.float("spatial_scale").unwrap_or(1.0) as f32;
    let Some(regions) = scope.constant(1)?.cloned() else {
        return Err(refuse("it has no regions", "correct the model"));
    };
    let fits = shape.len() == 4 && regions.shape.len() == 2 && regions.shape[1] == 5;
    if !fits || regions.data.is_empty() || cells.contains(&0) {
        return Err(refuse(
            "its operands and its `pooled_shape` do not fit together",
            "correct the model",
        ));
    }
    let steps = volume(
        [regions.shape[0], cells[0], cells[1]]
            .map(|n| n as u64)
            .into_iter(),
    );
    if steps > MOST_STEPS as u64 {
        return Err(refuse(
            format!("it has {steps} cells"),
            format!("use at most {MOST_STEPS}"),
        ));
    }
    let build = &mut scope.build;
    let mut parts = Vec::new();
    for region in regions.data.chunks(5) {
        let image = region[0] as usize;
        if region[0] < 0.0 || image >= shape[0] {
            return Err(refuse(
                format!("a region is in image {} of {}", region[0], shape[0]),
                "correct the model",
            ));
        }
        let mut part = build.slice(x, 0, image, 1, 1);
        for (axis, first, last) in [(2, region[2], region[4]), (3, region[1], region[3])] {
            let end = |at: f64| (at as f32 * scale).round();
            let spans = spans(end(first), end(last), cells[axis - 2], shape[axis]);
            part = greatest(build, part, axis, &spans);
        }
        parts.push(part);
    }
    Ok(vec![(build.concat(parts, 0), dtype)])
}

/// The first element and the number of elements of each cell of a region from `first` to `last`, both included, on an axis of `len`. Cells
/// may overlap. In single precision, since that decides which elements are in a cell.
fn spans(first: f32, last: f32, cells: usize, len: usize) -> Vec<(usize, usize)> {
    let size = (last - first + 1.0).max(1.0) / cells as f32;
    let inside = |at: f32| (first + at).clamp(0.0, len as f32) as usize;
    let span = |cell: usize| {
        let start = inside((cell as f32 * size).floor());
        let end = inside(((cell + 1) as f32 * size).ceil());
        (start, end.saturating_sub(start))
    };
    (0..cells).map(span).collect()
}

/// The greatest element of each span of an axis; 0 for an empty one.
fn greatest(build: &mut Builder, x: NodeId, axis: usize, spans: &[(usize, usize)]) -> NodeId {
    let parts = spans.iter().map(|(start, count)| match count {
        0 => {
            let mut shape = build.shape(x);
            shape[axis] = 1;
            build.constant(Tensor::filled(shape, 0.0))
        }
        _ => {
            let span = build.slice(x, axis, *start, *count, 1);
            build.reduce(Reducer::Max, &[axis], span)
        }
    });
    let parts = parts.collect();
    build.concat(parts, axis)
}
