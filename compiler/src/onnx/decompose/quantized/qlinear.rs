//! Quantized numbers: integers that stand for `scale * (integer - zero point)`.
//!
//! Integers are multiplied and summed exactly, and rounded once: to the nearest, halves to even, with a factor that is the single-precision
//! quotient of the scales. That is what ONNX defines, and what runtimes compute but for the last bit of a product in single precision.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Rounding, Tensor, UnaryFn, Window};
use crate::onnx::decompose::operator::{MICROSOFT, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("ConvInteger", 10, conv_integer).restricted("constant kernel and zero points"),
    op("DequantizeLinear", 10, dequantize).restricted("constant scale and zero point"),
    op("MatMulInteger", 10, matmul_integer).restricted("constant zero points"),
    op("QGemm", 1, qgemm)
        .domain(MICROSOFT)
        .restricted("`alpha` 1; constant scales and zero points"),
    op("QLinearAdd", 1, qlinear_binary)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
    op("QLinearConv", 10, qlinear_conv).restricted("constant weights, scales and zero points"),
    op("QLinearGlobalAveragePool", 1, qlinear_average)
        .domain(MICROSOFT)
        .restricted("channels first; constant scales and zero points"),
    op("QLinearLeakyRelu", 1, qlinear_function)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
    op("QLinearMatMul", 10, qlinear_matmul).restricted("constant scales and zero points"),
    op("QLinearMul", 1, qlinear_binary)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
    op("QLinearSigmoid", 1, qlinear_function)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
    op("QuantizeLinear", 10, quantize)
        .restricted("constant scale and zero point; to integers of 4, 8 or 16 bits"),
];

/// Least and greatest integer of an element type.
pub(crate) fn limits(dtype: DatumType) -> Result<(f64, f64), Diagnostic> {
    Ok(match dtype {
        DatumType::U8 => (0.0, 255.0),
        DatumType::I8 => (-128.0, 127.0),
        DatumType::U16 => (0.0, 65535.0),
        DatumType::I16 => (-32768.0, 32767.0),
        DatumType::I32 => (-2147483648.0, 2147483647.0),
        DatumType::U32 => (0.0, 4294967295.0),
        other => {
            return Err(refuse(
                format!("its integers have the type {other:?}"),
                "use integers of 8, 16 or 32 bits",
            ));
        }
    })
}

/// A scale or a zero point that may be one for each index of `axis`, or for each block of it: with the rank of `shape`, to broadcast.
fn spread(
    scope: &mut Scope,
    given: NodeId,
    shape: &[usize],
    axis: usize,
    block: usize,
) -> Result<NodeId, Diagnostic> {
    let build = &mut scope.build;
    let own = build.shape(given);
    let count: usize = own.iter().product();
    let mut wide = vec![1; shape.len()];
    if count == 1 {
        return Ok(build.reshape(given, &wide));
    }
    let fits = |axis: &usize| shape.get(*axis) == Some(&count);
    if own.len() == 1 && fits(&axis) {
        wide[axis] = count;
        return Ok(build.reshape(given, &wide));
    }
    if own.len() == shape.len() && block > 0 && own[axis] == shape[axis].div_ceil(block) {
        let positions = (0..shape[axis]).map(|i| (i / block) as f64).collect();
        let positions = build.constant(Tensor::new(vec![shape[axis]], positions));
        let mut full = own.clone();
        full[axis] = shape[axis];
        return Ok(build.push(Op::Gather { axis }, vec![given, positions], full));
    }
    Err(refuse(
        format!("its scale of shape {own:?} does not fit data of shape {shape:?}"),
        "correct the model",
    ))
}

/// An optional zero point; 0 if it is left out.
fn zero_point(scope: &mut Scope, index: usize) -> NodeId {
    match scope.optional(index) {
        Some(id) => id,
        None => scope.build.scalar(0.0, 0),
    }
}

pub(in crate::onnx::decompose) fn must_be_constant(
    scope: &Scope,
    index: usize,
) -> Result<Tensor, Diagnostic> {
    let tensor = scope.constant(index)?.cloned();
    tensor.ok_or_else(|| refuse(format!("operand {index} is missing"), "correct the model"))
}

pub(in crate::onnx::decompose) fn positive(scale: &Tensor) -> Result<(), Diagnostic> {
    if scale.data.iter().all(|s| s.is_finite() && *s != 0.0) {
        Ok(())
    } else {
        Err(refuse(
            "a scale is zero or not a number",
            "correct the model",
        ))
    }
}

/// The element type of a quantized result, and its limits: those of 4 bits are in one of 8.
fn quantized_type(scope: &Scope) -> Result<(DatumType, (f64, f64)), Diagnostic> {
    let dtype = match (scope.optional(2), scope.int("output_dtype").unwrap_or(0)) {
        (_, UINT4) => return Ok((DatumType::U8, (0.0, 15.0))),
        (_, INT4) => return Ok((DatumType::I8, (-8.0, 7.0))),
        (Some(_), _) => scope.dtype(2),
        (None, 0) => DatumType::U8,
        (None, number) => numbered(number).ok_or_else(|| {
            refuse(
                format!("its output has the ONNX element type {number}"),
                "quantize to integers of 4, 8 or 16 bits",
            )
        })?,
    };
    Ok((dtype, limits(dtype)?))
}

/// The numbers of the element types of 4 bits in ONNX.
const UINT4: i64 = 21;
const INT4: i64 = 22;

/// The element type with this number in ONNX.
fn numbered(dtype: i64) -> Option<DatumType> {
    Some(match dtype {
        2 => DatumType::U8,
        3 => DatumType::I8,
        4 => DatumType::U16,
        5 => DatumType::I16,
        _ => return None,
    })
}

/// `QuantizeLinear`.
fn quantize(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let scale = must_be_constant(scope, 1)?;
    positive(&scale)?;
    let (dtype, range) = quantized_type(scope)?;
    must_be_quantized(scope, 2)?;
    let shape = scope.build.shape(x);
    let axis = match shape.len() {
        0 => 0,
        rank => Scope::position(scope.int("axis").unwrap_or(1).min(rank as i64 - 1), rank)?,
    };
    let block = scope.int("block_size").unwrap_or(0).max(0) as usize;
    let inverse = Tensor::new(scale.shape, scale.data.iter().map(|s| s.recip()).collect());
    let inverse = scope.build.constant(inverse);
    let zero = zero_point(scope, 2);
    let factor = spread(scope, inverse, &shape, axis, block)?;
    let zero = spread(scope, zero, &shape, axis, block)?;
    let made = scope
        .build
        .rescale(x, [factor, zero], Rounding::Even, range);
    Ok(vec![(made, dtype)])
}

/// Refuses a zero point that is computed.
fn must_be_quantized(scope: &Scope, index: usize) -> Result<(), Diagnostic> {
    scope.constant(index).map(|_| ())
}

/// `DequantizeLinear`.
fn dequantize(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, scale) = (scope.operand(0)?, scope.operand(1)?);
    let shape = scope.build.shape(x);
    let axis = match shape.len() {
        0 => 0,
        rank => Scope::position(scope.int("axis").unwrap_or(1).min(rank as i64 - 1), rank)?,
    };
    let block = scope.int("block_size").unwrap_or(0).max(0) as usize;
    let dtype = scope.dtype(1);
    let zero = zero_point(scope, 2);
    let zero = spread(scope, zero, &shape, axis, block)?;
    let scale = spread(scope, scale, &shape, axis, block)?;
    let centered = scope.build.binary(BinaryFn::Sub, x, zero);
    Ok(vec![(
        scope.build.binary(BinaryFn::Mul, centered, scale),
        dtype,
    )])
}

/// The variable, kept in a range.
pub(crate) fn clamp(least: f64, greatest: f64) -> Pointwise {
    let above = Pointwise::binary(
        BinaryFn::Max,
        Pointwise::Variable,
        Pointwise::Constant(least),
    );
    Pointwise::binary(BinaryFn::Min, above, Pointwise::Constant(greatest))
}

/// `x - zero point`, with one zero point or one for each index of `axis`.
pub(in crate::onnx::decompose) fn centered(
    scope: &mut Scope,
    x: usize,
    zero: usize,
    axis: usize,
) -> Result<NodeId, Diagnostic> {
    let x = scope.operand(x)?;
    let shape = scope.build.shape(x);
    let zero = zero_point(scope, zero);
    let same = scope.build.rank(zero) == shape.len();
    let zero = if same && !shape.is_empty() {
        zero
    } else {
        spread(scope, zero, &shape, axis, 0)?
    };
    Ok(scope.build.binary(BinaryFn::Sub, x, zero))
}

/// The matrix product of ONNX's `MatMul`.
pub(in crate::onnx::decompose) fn matrix_product(
    build: &mut Builder,
    a: NodeId,
    b: NodeId,
) -> Result<NodeId, Diagnostic> {
    let (mut left, mut right) = (build.shape(a), build.shape(b));
    let (row, column) = (left.len() == 1, right.len() == 1);
    if row {
        left.insert(0, 1);
    }
    if column {
        right.push(1);
    }
    let rank = left.len().max(right.len());
    if left.is_empty() || right.is_empty() || rank > 100 {
        return Err(refuse("an operand is a scalar", "correct the model"));
    }
    let padded = |shape: &[usize]| [vec![1; rank - shape.len()], shape.to_vec()].concat();
    let (left, right) = (padded(&left), padded(&right));
    if left[rank - 1] != right[rank - 2] {
        return Err(refuse(
            format!("it multiplies matrices of shapes {left:?} and {right:?}"),
            "correct the model",
        ));
    }
    let longer = |axis: usize| left[axis].max(right[axis]);
    let batch: Vec<usize> = (0..rank - 2).map(longer).collect();
    let wide = |own: &[usize]| [&batch[..], &own[rank - 2..]].concat();
    let (a, b) = (build.reshape(a, &left), build.reshape(b, &right));
    let (a, b) = (
        build.broadcast(a, &wide(&left)),
        build.broadcast(b, &wide(&right)),
    );
    let labels: Vec<u8> = (0..rank as u8 - 2).collect();
    let [m, k, n] = [rank as u8, rank as u8 + 1, rank as u8 + 2];
    let product = Op::Einsum {
        inputs: vec![
            [&labels[..], &[m, k]].concat(),
            [&labels[..], &[k, n]].concat(),
        ],
        output: [&labels[..], &[m, n]].concat(),
    };
    let shape = [&batch[..], &[left[rank - 2], right[rank - 1]]].concat();
    let made = build.push(product, vec![a, b], shape.clone());
    let mut kept = batch;
    if !row {
        kept.push(left[rank - 2]);
    }
    if !column {
        kept.push(right[rank - 1]);
    }
    Ok(build.reshape(made, &kept))
}

/// `MatMulInteger`.
fn matmul_integer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let rows = scope.build.rank(scope.operand(0)?).saturating_sub(2);
    let columns = scope.build.rank(scope.operand(1)?).saturating_sub(1);
    let a = centered(scope, 0, 2, rows)?;
    let b = centered(scope, 1, 3, columns)?;
    let made = matrix_product(&mut scope.build, a, b)?;
    Ok(vec![(made, DatumType::I32)])
}

/// The single-precision factor `a * b / y` for each of several scales `b`.
fn factors(scope: &Scope, a: usize, b: usize, y: usize) -> Result<Vec<f64>, Diagnostic> {
    let (a, b, y) = (
        must_be_constant(scope, a)?,
        must_be_constant(scope, b)?,
        must_be_constant(scope, y)?,
    );
    positive(&y)?;
    let ([a], [y]) = (&a.data[..], &y.data[..]) else {
        return Err(refuse(
            "it has a scale for each row",
            "quantize its first operand and its result with one scale each",
        ));
    };
    let factor = |b: &f64| f64::from(*a as f32 * *b as f32 / *y as f32);
    Ok(b.data.iter().map(factor).collect())
}

/// Rounds sums to the integers of the result, with one factor for all, or one for each index of `axis`.
pub(in crate::onnx::decompose) fn finish(
    scope: &mut Scope,
    sums: NodeId,
    factors: Vec<f64>,
    axis: usize,
    zero: usize,
) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = scope.dtype(zero);
    let range = limits(dtype)?;
    must_be_quantized(scope, zero)?;
    let shape = scope.build.shape(sums);
    let factors = scope
        .build
        .constant(Tensor::new(vec![factors.len()], factors));
    let factor = spread(scope, factors, &shape, axis, 0)?;
    let zero = zero_point(scope, zero);
    let zero = spread(scope, zero, &shape, axis, 0)?;
    let made = scope
        .build
        .rescale(sums, [factor, zero], Rounding::Even, range);
    Ok(vec![(made, dtype)])
}

/// `QLinearMatMul`.
fn qlinear_matmul(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let rows = scope.build.rank(scope.operand(0)?).saturating_sub(2);
    let columns = scope.build.rank(scope.operand(3)?).saturating_sub(1);
    let a = centered(scope, 0, 2, rows)?;
    let b = centered(scope, 3, 5, columns)?;
    let sums = matrix_product(&mut scope.build, a, b)?;
    let factors = factors(scope, 1, 4, 6)?;
    let axis = scope.build.rank(sums).saturating_sub(1);
    finish(scope, sums, factors, axis, 7)
}

/// The window of a convolution over data `[n, c, spatial...]`, and its output's lengths.
pub(in crate::onnx::decompose) fn window(
    scope: &Scope,
    spatial: &[usize],
    kernel: &[usize],
) -> Result<(Window, Vec<usize>), Diagnostic> {
    let count = spatial.len();
    let list = |name: &str, default: i64, len: usize| -> Result<Vec<i64>, Diagnostic> {
        let list = scope
            .ints(name)
            .map_or_else(|| vec![default; len], <[i64]>::to_vec);
        if list.len() == len && list.iter().all(|v| *v >= default.min(1)) {
            Ok(list)
        } else {
            Err(refuse(
                format!("its `{name}` are invalid"),
                "correct the model",
            ))
        }
    };
    let stride = list("strides", 1, count)?;
    let dilation = list("dilations", 1, count)?;
    let mut pads = list("pads", 0, 2 * count)?;
    let reach = |i: usize| (kernel[i] as i64 - 1) * dilation[i] + 1;
    match scope.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" | "" => (),
        "VALID" => pads = vec![0; 2 * count],
        same => {
            for i in 0..count {
                let made = (spatial[i] as i64 + stride[i] - 1) / stride[i];
                let total = ((made - 1) * stride[i] + reach(i) - spatial[i] as i64).max(0);
                let less = total / 2;
                let before = if same == "SAME_LOWER" {
                    total - less
                } else {
                    less
                };
                (pads[i], pads[count + i]) = (before, total - before);
            }
        }
    }
    let mut lens = Vec::new();
    for i in 0..count {
        let room = spatial[i] as i64 + pads[i] + pads[count + i] - reach(i);
        if room < 0 || stride[i] < 1 || dilation[i] < 1 {
            return Err(refuse(
                "its window is larger than its data",
                "correct the model",
            ));
        }
        lens.push((room / stride[i] + 1) as usize);
    }
    let unsigned = |list: &[i64]| list.iter().map(|v| *v as usize).collect();
    let window = Window {
        kernel: kernel.to_vec(),
        stride: unsigned(&stride),
        dilation: unsigned(&dilation),
        pad_before: unsigned(&pads[..count]),
    };
    Ok((window, lens))
}

/// Sums of a convolution; `bias` has one for each output channel.
pub(crate) fn convolution(
    scope: &mut Scope,
    x: NodeId,
    kernel: NodeId,
    bias: Option<NodeId>,
) -> Result<NodeId, Diagnostic> {
    let (data, weights) = (scope.build.shape(x), scope.build.shape(kernel));
    if data.len() < 3 || weights.len() != data.len() {
        return Err(refuse(
            "its operands have too few axes",
            "correct the model",
        ));
    }
    let groups = scope.int("group").unwrap_or(1).max(1) as usize;
    let (window, lens) = window(scope, &data[2..], &weights[2..])?;
    let bias = match bias {
        Some(bias) => bias,
        None => scope.build.constant(Tensor::filled(vec![weights[0]], 0.0)),
    };
    let shape = [&[data[0], weights[0]], &lens[..]].concat();
    let op = Op::Convolution { window, groups };
    Ok(scope.build.push(op, vec![x, kernel, bias], shape))
}

/// `ConvInteger`.
fn conv_integer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = centered(scope, 0, 2, 1)?;
    let kernel = centered(scope, 1, 3, 0)?;
    let made = convolution(scope, x, kernel, None)?;
    Ok(vec![(made, DatumType::I32)])
}

/// `QLinearConv`.
fn qlinear_conv(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = centered(scope, 0, 2, 1)?;
    let kernel = centered(scope, 3, 5, 0)?;
    let bias = scope.optional(8);
    let sums = convolution(scope, x, kernel, bias)?;
    let factors = factors(scope, 1, 4, 6)?;
    finish(scope, sums, factors, 1, 7)
}

/// `QGemm` of `com.microsoft`: integers if the result has a scale, else floats.
fn qgemm(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut a = centered(scope, 0, 2, 1)?;
    let columns = 1 - usize::from(scope.int("transB").unwrap_or(0) != 0);
    let mut b = centered(scope, 3, 5, columns)?;
    if scope.build.rank(a) != 2 || scope.build.rank(b) != 2 {
        return Err(refuse("an operand is not a matrix", "correct the model"));
    }
    for (name, x) in [("transA", &mut a), ("transB", &mut b)] {
        if scope.int(name).unwrap_or(0) != 0 {
            *x = scope.build.transpose(*x, &[1, 0]);
        }
    }
    let mut sums = matrix_product(&mut scope.build, a, b)?;
    if scope.float("alpha").unwrap_or(1.0) != 1.0 {
        return Err(refuse("its alpha is not 1", "use alpha = 1"));
    }
    if let Some(bias) = scope.optional(6) {
        let columns: usize = scope.build.shape(bias).iter().product();
        let bias = scope.build.reshape(bias, &[1, columns]);
        sums = scope.build.binary(BinaryFn::Add, sums, bias);
    }
    if scope.optional(7).is_some() {
        let factors = factors(scope, 1, 4, 7)?;
        return finish(scope, sums, factors, 1, 8);
    }
    let (a, b) = (must_be_constant(scope, 1)?, must_be_constant(scope, 4)?);
    let scales: Vec<f64> = b.data.iter().map(|b| b * a.data[0]).collect();
    let scales = scope
        .build
        .constant(Tensor::new(vec![1, scales.len()], scales));
    Ok(vec![(
        scope.build.binary(BinaryFn::Mul, sums, scales),
        DatumType::F32,
    )])
}

/// `QLinearAdd` and `QLinearMul` of `com.microsoft`.
fn qlinear_binary(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let part = |scope: &mut Scope, at: usize| -> Result<NodeId, Diagnostic> {
        let x = centered(scope, at, at + 2, 0)?;
        let scale = must_be_constant(scope, at + 1)?;
        let [scale] = scale.data[..] else {
            return Err(refuse("it has several scales", "use one for each operand"));
        };
        Ok(scope.build.multiply_scalar(x, scale))
    };
    let (a, b) = (part(scope, 0)?, part(scope, 3)?);
    let function = match scope.operator() {
        "QLinearMul" => BinaryFn::Mul,
        _ => BinaryFn::Add,
    };
    let build = &mut scope.build;
    let rank = build.rank(a).max(build.rank(b));
    let [a, b] = [a, b].map(|x| {
        let own = build.shape(x);
        build.reshape(x, &[vec![1; rank - own.len()], own].concat())
    });
    let sum = build.binary(function, a, b);
    let scale = must_be_constant(scope, 6)?;
    positive(&scale)?;
    let factors = scale.data.iter().map(|s| s.recip()).collect();
    finish(scope, sum, factors, 0, 7)
}

/// `QLinearGlobalAveragePool` of `com.microsoft`.
fn qlinear_average(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    if scope.int("channels_last").unwrap_or(0) != 0 {
        return Err(refuse(
            "its channels are last",
            "use [n, channels, spatial...]",
        ));
    }
    let x = centered(scope, 0, 2, 0)?;
    let (from, to) = (must_be_constant(scope, 1)?, must_be_constant(scope, 3)?);
    positive(&to)?;
    let axes: Vec<usize> = (2..scope.build.rank(x)).collect();
    let shape = scope.build.shape(x);
    let count: usize = shape[2.min(shape.len())..].iter().product();
    let sum = scope.build.reduce(Reducer::Sum, &axes, x);
    let factor = from.data[0] as f32 / (to.data[0] as f32 * count as f32);
    finish(scope, sum, vec![f64::from(factor)], 0, 4)
}

/// `QLinearSigmoid` and `QLinearLeakyRelu` of `com.microsoft`: a table of integers.
fn qlinear_function(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = centered(scope, 0, 2, 0)?;
    let (from, to) = (must_be_constant(scope, 1)?, must_be_constant(scope, 3)?);
    positive(&to)?;
    let x = scope.build.multiply_scalar(x, from.data[0]);
    let function = match scope.operator() {
        "QLinearSigmoid" => Pointwise::of(UnaryFn::Sigmoid),
        _ => {
            let alpha = scope.float("alpha").unwrap_or(0.01);
            let limit = |f| Pointwise::binary(f, Pointwise::Variable, Pointwise::Constant(0.0));
            let below = Pointwise::binary(
                BinaryFn::Mul,
                Pointwise::Constant(alpha),
                limit(BinaryFn::Min),
            );
            Pointwise::binary(BinaryFn::Add, limit(BinaryFn::Max), below)
        }
    };
    let scaled = Pointwise::binary(BinaryFn::Div, function, Pointwise::Constant(to.data[0]));
    let rounded = Pointwise::unary(UnaryFn::Round, scaled);
    let dtype = scope.dtype(0);
    let (least, greatest) = limits(dtype)?;
    let zero = scope.constant(4)?.map_or(0.0, |t| t.data[0]);
    let sum = Pointwise::binary(BinaryFn::Add, rounded, Pointwise::Constant(zero));
    let kept = clamp(least, greatest).compose(&sum);
    Ok(vec![(scope.build.pointwise(kept, x), dtype)])
}
