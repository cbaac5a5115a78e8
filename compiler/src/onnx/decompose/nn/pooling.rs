//! Pooling other than a plain maximum or average: with positions, of a norm, inverted, across channels; and `Col2Im`.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, MOST_STEPS, check_matrix, volume};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn, Window};
use crate::onnx::decompose::nn::ranking::first_maximum;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::movement::{pad, take};
use crate::onnx::decompose::spatial::sampling::{abs, hat};

pub(super) const OPERATORS: &[Operator] = &[
    op("Col2Im", 18, col2im).restricted("constant shapes"),
    op("GlobalLpPool", 1, global_lp_pool),
    op("LRN", 1, lrn),
    op("LpPool", 1, lp_pool),
    op("MaxPool", 1, max_pool),
    op("MaxUnpool", 9, max_unpool).restricted("constant output shape"),
];

/// Most elements of a matrix that places elements at computed positions.
const MOST_PLACES: u64 = 1 << 26;

/// Where windows lie on data `[n, c, spatial...]`, and how many there are along each axis.
struct Windows {
    window: Window,
    counts: Vec<usize>,
}

/// Windows from an operator's attributes.
fn windows(scope: &Scope, x: NodeId) -> Result<Windows, Diagnostic> {
    let shape = scope.build.shape(x);
    let spatial = shape.get(2..).unwrap_or_default();
    let axes = spatial.len();
    let kernel = scope.lengths("kernel_shape", axes, 1)?;
    let stride = scope.lengths("strides", axes, 1)?;
    let dilation = scope.lengths("dilations", axes, 1)?;
    let pads = scope.lengths("pads", 2 * axes, 0)?;
    let ceil = scope.int("ceil_mode").unwrap_or(0) != 0;
    let same = match scope.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" | "" | "VALID" => None,
        "SAME_UPPER" => Some(false),
        "SAME_LOWER" => Some(true),
        other => {
            return Err(refuse(
                format!("its padding `{other}` is not supported"),
                "correct the model",
            ));
        }
    };
    if axes == 0 || scope.ints("kernel_shape").is_none() {
        return Err(refuse("it has no window", "correct the model"));
    }
    let (mut counts, mut pad_before) = (Vec::new(), Vec::new());
    for axis in 0..axes {
        let extent = (kernel[axis] - 1) * dilation[axis] + 1;
        let (len, step) = (spatial[axis], stride[axis]);
        if let Some(lower) = same {
            let count = len.div_ceil(step);
            let total = ((count - 1) * step + extent).saturating_sub(len);
            counts.push(count);
            pad_before.push(if lower { total.div_ceil(2) } else { total / 2 });
            continue;
        }
        let (before, after) = (pads[axis], pads[axes + axis]);
        let Some(free) = (before + len + after).checked_sub(extent) else {
            return Err(refuse(
                "its window is larger than the padded data",
                "correct the model",
            ));
        };
        let mut count = if ceil {
            free.div_ceil(step)
        } else {
            free / step
        } + 1;
        // The last window starts within the data or the padding before it.
        if ceil && (count - 1) * step >= before + len {
            count -= 1;
        }
        counts.push(count);
        pad_before.push(before);
    }
    let window = Window {
        kernel,
        stride,
        dilation,
        pad_before,
    };
    Ok(Windows { window, counts })
}

impl Windows {
    /// The shape of the result for data of this shape.
    fn shape(&self, x: &[usize]) -> Vec<usize> {
        [&x[..2], &self.counts].concat()
    }

    /// For each window and tap along an axis, the position that is read: where that is outside, the first one inside.
    fn positions(&self, axis: usize, len: usize) -> Option<Vec<usize>> {
        let Window {
            kernel,
            stride,
            dilation,
            pad_before,
        } = &self.window;
        let at = |window: usize, tap: usize| {
            let padded = window * stride[axis] + tap * dilation[axis];
            padded.checked_sub(pad_before[axis]).filter(|at| *at < len)
        };
        let mut positions = Vec::new();
        for tap in 0..kernel[axis] {
            for window in 0..self.counts[axis] {
                let first = || (0..kernel[axis]).find_map(|tap| at(window, tap));
                positions.push(at(window, tap).or_else(first)?);
            }
        }
        Some(positions)
    }

    /// Along an axis: the padding before, the length that windows reach on padded data, and the positions they read there.
    fn padded_positions(&self, axis: usize) -> (usize, usize, Vec<usize>) {
        let window = &self.window;
        let (stride, dilation) = (window.stride[axis], window.dilation[axis]);
        let taps = 0..window.kernel[axis];
        let windows = |tap: usize| (0..self.counts[axis]).map(move |w| w * stride + tap * dilation);
        let positions: Vec<usize> = taps.flat_map(windows).collect();
        let reach = positions.last().map_or(0, |last| last + 1);
        (window.pad_before[axis], reach, positions)
    }

    /// The data at the positions of each axis, `[n * c, windows, taps]`.
    fn rows(
        &self,
        build: &mut Builder,
        x: NodeId,
        positions: &[Vec<usize>],
    ) -> Result<NodeId, Diagnostic> {
        let shape = build.shape(x);
        let (counts, kernel) = (&self.counts, &self.window.kernel);
        let taps: usize = kernel.iter().product();
        let windows: usize = counts.iter().product();
        check_matrix(shape[0] * shape[1] * windows, taps)?;
        let mut seen = x;
        for (axis, positions) in positions.iter().enumerate() {
            seen = take(build, seen, 2 + axis, positions);
        }
        let axes = counts.len();
        let pairs = (0..axes).flat_map(|axis| [kernel[axis], counts[axis]]);
        let apart: Vec<usize> = shape[..2].iter().copied().chain(pairs).collect();
        let apart = build.reshape(seen, &apart);
        let order = (0..axes).map(|a| 3 + 2 * a);
        let order = order.chain((0..axes).map(|a| 2 + 2 * a));
        let order: Vec<usize> = [0, 1].into_iter().chain(order).collect();
        let moved = build.transpose(apart, &order);
        Ok(build.reshape(moved, &[shape[0] * shape[1], windows, taps]))
    }
}

/// Without positions, this is a plain maximum over windows.
fn max_pool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let windows = windows(scope, x)?;
    let column_major = scope.int("storage_order").unwrap_or(0) != 0;
    let shape = scope.build.shape(x);
    let made = windows.shape(&shape);
    if scope.results() < 2 {
        let op = Op::MaxPool(windows.window);
        return Ok(vec![(scope.build.push(op, vec![x], made), dtype)]);
    }
    let (lens, counts, kernel) = (&shape[2..], &windows.counts, &windows.window.kernel);
    let axes = lens.len();
    let build = &mut scope.build;
    let taps: usize = kernel.iter().product();
    let outputs: usize = counts.iter().product();
    // Taps outside repeat the first one inside, so that the first maximum stays it.
    let positions = (0..axes).map(|axis| windows.positions(axis, lens[axis]));
    let positions: Option<Vec<_>> = positions.collect();
    let positions = positions
        .ok_or_else(|| refuse("a window covers nothing but padding", "use less padding"))?;
    let rows = windows.rows(build, x, &positions)?;
    let mut index = vec![0; outputs * taps];
    let mut inner: usize = lens.iter().product();
    let mut outer = 1;
    for (axis, positions) in positions.iter().enumerate() {
        inner /= lens[axis];
        let weight = if column_major { outer } else { inner };
        outer *= lens[axis];
        for (flat, index) in index.iter_mut().enumerate() {
            let along = |flat: usize, lens: &[usize]| {
                flat / lens[axis + 1..].iter().product::<usize>() % lens[axis]
            };
            let (window, tap) = (along(flat / taps, counts), along(flat % taps, kernel));
            *index += positions[tap * counts[axis] + window] * weight;
        }
    }
    let hits = first_maximum(build, rows, 2, false);
    let index = index.iter().map(|at| *at as f64).collect();
    let index = build.constant(Tensor::new(vec![outputs, taps], index));
    let within = build.einsum("rpk,pk->rp", &[hits, index]);
    let volume: usize = lens.iter().product();
    let starts = (0..shape[0] * shape[1]).map(|row| (row * volume) as f64);
    let starts = Tensor::new(vec![shape[0] * shape[1], 1], starts.collect());
    let starts = build.constant(starts);
    let places = build.binary(BinaryFn::Add, within, starts);
    let places = build.reshape(places, &made);
    let greatest = build.push(Op::MaxPool(windows.window), vec![x], made);
    Ok(vec![(greatest, dtype), (places, DatumType::I64)])
}

/// Each element at its position in a tensor of zeros; where several share a position, the last one stays.
fn max_unpool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, places) = (scope.operand(0)?, scope.operand(1)?);
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let axes = shape.len().saturating_sub(2);
    let kernel = scope.lengths("kernel_shape", axes, 1)?;
    let strides = scope.lengths("strides", axes, 1)?;
    let pads = scope.lengths("pads", 2 * axes, 0)?;
    let mut made = shape.clone();
    for axis in 0..axes {
        let whole = (shape[2 + axis] - 1) * strides[axis] + kernel[axis];
        let Some(len) = whole
            .checked_sub(pads[axis] + pads[axes + axis])
            .filter(|len| *len > 0)
        else {
            return Err(refuse("its padding leaves nothing", "correct the model"));
        };
        made[2 + axis] = len;
    }
    let wanted = scope.constant_ints(2)?;
    let build = &mut scope.build;
    let count: usize = shape.iter().product();
    let places_shape = build.shape(places);
    let total: usize = made.iter().product();
    if axes == 0 || places_shape != shape {
        return Err(refuse(
            "its positions do not fit its data",
            "correct the model",
        ));
    }
    if volume([count as u64, total as u64].into_iter()) > MOST_PLACES {
        return Err(refuse(
            format!("it places {count} elements among {total}, and proves every place"),
            "use smaller maps, or upsample with constant positions",
        ));
    }
    let column = build.reshape(places, &[count, 1]);
    let numbers = Tensor::new(vec![1, total], (0..total).map(|i| i as f64).collect());
    let numbers = build.constant(numbers);
    let distance = build.binary(BinaryFn::Sub, column, numbers);
    let hits = build.pointwise(hat(), distance);
    let later = (0..count * count).map(|i| f64::from(i % count > i / count));
    let later = build.apply_matrix(hits, 0, Tensor::new(vec![count, count], later.collect()));
    let covered = build.pointwise(Pointwise::step(Pointwise::Variable), later);
    let uncovered = build.multiply_scalar(covered, -1.0);
    let uncovered = build.add_scalar(uncovered, 1.0);
    let lasting = build.binary(BinaryFn::Mul, hits, uncovered);
    let flat = build.reshape(x, &[count]);
    let placed = build.einsum("ep,e->p", &[lasting, flat]);
    let mut placed = build.reshape(placed, &made);
    for (axis, wanted) in wanted.unwrap_or_default().into_iter().enumerate() {
        let more = wanted - made.get(axis).map_or(0, |len| *len as i64);
        if axis >= made.len() || !(0..=MOST_ELEMENTS as i64).contains(&more) {
            return Err(refuse(
                "its `output_shape` is too small",
                "correct the model",
            ));
        }
        placed = pad(build, placed, axis, (0, more), 0.0)?;
    }
    Ok(vec![(placed, dtype)])
}

/// `sum(|x|^p)^(1/p)` over windows; zeros beyond the data.
fn lp_pool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let order = order(scope)?;
    let windows = windows(scope, x)?;
    let build = &mut scope.build;
    let shape = build.shape(x);
    let made = windows.shape(&shape);
    let norms = if order == 1.0 || order == 2.0 {
        let taps: usize = windows.window.kernel.iter().product();
        let powers = powers(build, x, order);
        let op = Op::AveragePool {
            window: windows.window,
            count_padding: true,
        };
        let means = build.push(op, vec![powers], made);
        let sums = build.multiply_scalar(means, taps as f64);
        root(build, sums, order)
    } else {
        let mut logarithms = logarithms(build, x);
        let mut positions = Vec::new();
        for (axis, len) in shape[2..].iter().enumerate() {
            let (before, reach, listed) = windows.padded_positions(axis);
            let after = reach.saturating_sub(before + len);
            let ends = (before as i64, after as i64);
            logarithms = pad(build, logarithms, 2 + axis, ends, TINY.ln())?;
            positions.push(listed);
        }
        let rows = windows.rows(build, logarithms, &positions)?;
        let norms = norm(build, rows, order);
        build.reshape(norms, &made)
    };
    Ok(vec![(norms, dtype)])
}

/// `sum(|x|^p)^(1/p)` over all spatial axes.
fn global_lp_pool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let order = order(scope)?;
    let build = &mut scope.build;
    let shape = build.shape(x);
    if shape.len() < 3 {
        return Err(refuse("its data has no spatial axes", "correct the model"));
    }
    let rows = [shape[0] * shape[1], 1, shape[2..].iter().product()];
    let rows = build.reshape(x, &rows);
    let norms = if order == 1.0 || order == 2.0 {
        let powers = powers(build, rows, order);
        let sums = build.reduce(Reducer::Sum, &[2], powers);
        root(build, sums, order)
    } else {
        let logarithms = logarithms(build, rows);
        norm(build, logarithms, order)
    };
    let made = [&shape[..2], &vec![1; shape.len() - 2][..]].concat();
    Ok(vec![(build.reshape(norms, &made), dtype)])
}

/// Magnitudes below this count as zero.
const TINY: f64 = 1e-6;

/// `ln |x|`.
fn logarithms(build: &mut Builder, x: NodeId) -> NodeId {
    let magnitude = Pointwise::binary(BinaryFn::Max, abs(), Pointwise::Constant(TINY));
    build.pointwise(Pointwise::unary(UnaryFn::Ln, magnitude), x)
}

/// The norms of rows `[.., .., taps]` of logarithms. Powers are taken relative to the greatest, since no fixed scale holds those of
/// large and of small numbers.
fn norm(build: &mut Builder, logarithms: NodeId, order: f64) -> NodeId {
    let greatest = build.reduce(Reducer::Max, &[2], logarithms);
    let below = build.binary(BinaryFn::Sub, logarithms, greatest);
    let scaled = build.multiply_scalar(below, order);
    let powers = build.pointwise(Pointwise::of(UnaryFn::Exp), scaled);
    let sums = build.reduce(Reducer::Sum, &[2], powers);
    let more = build.pointwise(Pointwise::of(UnaryFn::Ln), sums);
    let more = build.multiply_scalar(more, order.recip());
    let all = build.binary(BinaryFn::Add, greatest, more);
    build.pointwise(Pointwise::of(UnaryFn::Exp), all)
}

/// `x^(1/order)`.
fn root(build: &mut Builder, x: NodeId, order: f64) -> NodeId {
    build.pointwise(power(Pointwise::Variable, order.recip()), x)
}

fn order(scope: &Scope) -> Result<f64, Diagnostic> {
    let order = match scope.opset {
        ..2 => scope.float("p").unwrap_or(2.0),
        _ => scope.int("p").unwrap_or(2) as f64,
    };
    if order > 0.0 {
        Ok(order)
    } else {
        Err(refuse(
            "the order of its norm is not positive",
            "correct the model",
        ))
    }
}

/// `|x|`, or `x^2`: squares are products, which are exact, and not a function that a table rounds.
fn powers(build: &mut Builder, x: NodeId, order: f64) -> NodeId {
    if order == 1.0 {
        return build.pointwise(abs(), x);
    }
    let axes: String = ('a'..).take(build.rank(x)).collect();
    build.einsum(&format!("{axes},{axes}->{axes}"), &[x, x])
}

fn power(x: Pointwise, exponent: f64) -> Pointwise {
    Pointwise::binary(BinaryFn::Pow, x, Pointwise::Constant(exponent))
}

/// Each element divided by a power of the sum of squares over neighboring channels.
fn lrn(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let size = scope.int("size").unwrap_or(0);
    let [alpha, beta, bias] = [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)]
        .map(|(name, default)| scope.float(name).unwrap_or(default));
    let build = &mut scope.build;
    if size < 1 || build.rank(x) < 2 {
        return Err(refuse("its `size` is missing", "correct the model"));
    }
    let channels = build.shape(x)[1];
    check_matrix(channels, channels)?;
    let (before, after) = ((size - 1) / 2, size / 2);
    let near = |i: usize| {
        let distance = (i % channels) as i64 - (i / channels) as i64;
        f64::from((-before..=after).contains(&distance))
    };
    let band = (0..channels * channels).map(near).collect();
    let squares = powers(build, x, 2.0);
    let sums = build.apply_matrix(squares, 1, Tensor::new(vec![channels, channels], band));
    let scaled = build.multiply_scalar(sums, alpha / size as f64);
    let shifted = build.add_scalar(scaled, bias);
    let factors = build.pointwise(power(Pointwise::Variable, -beta), shifted);
    Ok(vec![(build.binary(BinaryFn::Mul, x, factors), dtype)])
}

/// Blocks summed where they lie on the image: along each axis, a 0/1 matrix.
fn col2im(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let wrong = || refuse("its blocks do not fit its image", "correct the model");
    let lens = |values: Option<Vec<i64>>| -> Option<Vec<usize>> {
        let fits = |n: &i64| (1..=MOST_ELEMENTS as i64).contains(n);
        let values = values?;
        values
            .iter()
            .map(|n| fits(n).then_some(*n as usize))
            .collect()
    };
    let image = lens(scope.constant_ints(1)?).ok_or_else(wrong)?;
    let block = lens(scope.constant_ints(2)?).ok_or_else(wrong)?;
    let axes = image.len();
    let strides = scope.lengths("strides", axes, 1)?;
    let dilations = scope.lengths("dilations", axes, 1)?;
    let pads = scope.lengths("pads", 2 * axes, 0)?;
    let shape = scope.build.shape(x);
    if axes == 0 || axes > MOST_STEPS || block.len() != axes || shape.len() != 3 {
        return Err(wrong());
    }
    let count = |axis: usize| {
        let extent = (block[axis] - 1) * dilations[axis] + 1;
        let padded = image[axis] + pads[axis] + pads[axes + axis];
        Some(padded.checked_sub(extent)? / strides[axis] + 1)
    };
    let counts: Option<Vec<usize>> = (0..axes).map(count).collect();
    let counts = counts.ok_or_else(wrong)?;
    let taps: usize = block.iter().product();
    if !shape[1].is_multiple_of(taps) || shape[2] != counts.iter().product::<usize>() {
        return Err(wrong());
    }
    let build = &mut scope.build;
    let leading = [shape[0], shape[1] / taps];
    let apart = build.reshape(x, &[&leading[..], &block, &counts].concat());
    let pairs = (0..axes).flat_map(|axis| [2 + axis, 2 + axes + axis]);
    let order: Vec<usize> = [0, 1].into_iter().chain(pairs).collect();
    let moved = build.transpose(apart, &order);
    let merged = (0..axes).map(|axis| block[axis] * counts[axis]);
    let merged: Vec<usize> = leading.into_iter().chain(merged).collect();
    let mut made = build.reshape(moved, &merged);
    for axis in 0..axes {
        made = lay(
            build,
            made,
            2 + axis,
            image[axis],
            counts[axis],
            |tap, at| (tap * dilations[axis] + at * strides[axis]).checked_sub(pads[axis]),
        )?;
    }
    Ok(vec![(made, dtype)])
}

/// Sums the taps of blocks, `[.., taps * blocks, ..]`, where they lie on an axis.
fn lay(
    build: &mut Builder,
    x: NodeId,
    axis: usize,
    len: usize,
    blocks: usize,
    place: impl Fn(usize, usize) -> Option<usize>,
) -> Result<NodeId, Diagnostic> {
    let columns = build.shape(x)[axis];
    check_matrix(len, columns)?;
    let mut matrix = Tensor::filled(vec![len, columns], 0.0);
    for column in 0..columns {
        if let Some(at) = place(column / blocks, column % blocks).filter(|at| *at < len) {
            matrix.data[at * columns + column] = 1.0;
        }
    }
    Ok(build.apply_matrix(x, axis, matrix))
}
