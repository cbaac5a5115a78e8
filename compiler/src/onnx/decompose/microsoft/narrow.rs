//! Quantized layers of onnxruntime that its own names are for, and weights of a few bits in blocks.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::graph::{NodeId, Op, Rounding, Tensor};
use crate::onnx::decompose::operator::{MICROSOFT, Operator, op};
use crate::onnx::decompose::quantized::dynamic::dynamic;
use crate::onnx::decompose::quantized::qlinear::{
    centered, finish, limits, matrix_product, must_be_constant, positive, window,
};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("DynamicQuantizeMatMul", 1, dynamic_product)
        .domain(MICROSOFT)
        .restricted("constant zero points"),
    op("GatherBlockQuantized", 1, gather_blocks)
        .domain(MICROSOFT)
        .restricted("constant data, scales and zero points; rows along the first axis"),
    op("MatMulIntegerToFloat", 1, product_to_float)
        .domain(MICROSOFT)
        .restricted("constant zero points"),
    op("MatMulNBits", 1, matmul_bits)
        .domain(MICROSOFT)
        .restricted("constant weights, scales, zero points and `g_idx`"),
    op("QLinearAveragePool", 1, average_pool)
        .domain(MICROSOFT)
        .restricted("channels first; constant scales and zero points"),
    op("QLinearConcat", 1, concat)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
    op("QLinearSoftmax", 1, softmax)
        .domain(MICROSOFT)
        .restricted("constant scales and zero points"),
];

/// Scale times an exact product, plus a bias.
fn scaled(
    scope: &mut Scope,
    sums: NodeId,
    scales: [NodeId; 2],
    bias: usize,
) -> Result<NodeId, Diagnostic> {
    let rank = scope.build.rank(sums);
    let mut made = sums;
    for scale in scales {
        let scale = scope.build.unsqueeze_to_rank(scale, rank);
        made = scope.build.multiply(made, scale);
    }
    Ok(match scope.optional(bias) {
        Some(bias) => {
            let bias = scope.build.unsqueeze_to_rank(bias, rank);
            scope.build.add(made, bias)
        }
        None => made,
    })
}

/// `DynamicQuantizeMatMul`: data, weights, their scale and zero point, bias.
fn dynamic_product(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let quantized = dynamic(scope)?;
    let [(x, _), (scale, _), (zero, _)] = quantized[..] else {
        return Err(refuse("its data has no scale", "correct the model"));
    };
    let columns = scope.build.rank(scope.operand(1)?).saturating_sub(1);
    let rank = scope.build.rank(x);
    let zero = scope.build.unsqueeze_to_rank(zero, rank);
    let a = scope.build.subtract(x, zero);
    let b = centered(scope, 1, 3, columns)?;
    let sums = matrix_product(&mut scope.build, a, b)?;
    let scales = [scale, scope.operand(2)?];
    let made = scaled(scope, sums, scales, 4)?;
    Ok(vec![(made, DatumType::F32)])
}

/// `MatMulIntegerToFloat`: two matrices, their scales, their zero points, bias.
fn product_to_float(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let rows = scope.build.rank(scope.operand(0)?).saturating_sub(2);
    let columns = scope.build.rank(scope.operand(1)?).saturating_sub(1);
    let a = centered(scope, 0, 4, rows)?;
    let b = centered(scope, 1, 5, columns)?;
    let sums = matrix_product(&mut scope.build, a, b)?;
    let scales = [scope.operand(2)?, scope.operand(3)?];
    let made = scaled(scope, sums, scales, 6)?;
    Ok(vec![(made, scope.dtype(2))])
}

/// The single number that an operand is.
fn number(scope: &Scope, index: usize) -> Result<f64, Diagnostic> {
    let value = must_be_constant(scope, index)?;
    match value.data[..] {
        [value] => Ok(value),
        _ => Err(refuse(
            format!("its operand {index} is not one number"),
            "correct the model",
        )),
    }
}

/// `QLinearConcat`: scale and zero point of the result, then data, scale and zero point of each part.
fn concat(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = scope.dtype(1);
    let range = limits(dtype)?;
    let (to, zero) = (must_be_constant(scope, 0)?, number(scope, 1)?);
    positive(&to)?;
    let mut parts = Vec::new();
    let mut zeros = (4..scope.count()).step_by(3);
    if scope.count() % 3 != 2 || zeros.any(|at| scope.dtype(at) != dtype) {
        return Err(refuse(
            "its parts have no scale, or no zero point of the result's type",
            "correct the model",
        ));
    }
    for at in (2..scope.count()).step_by(3) {
        let from = number(scope, at + 1)?;
        let x = centered(scope, at, at + 2, 0)?;
        let rank = scope.build.rank(x);
        let factor = f64::from(from as f32 / to.data[0] as f32);
        let [factor, zero] = [factor, zero].map(|value| scope.build.scalar(value, rank));
        parts.push(
            scope
                .build
                .rescale(x, [factor, zero], Rounding::Even, range),
        );
    }
    let [first, ..] = parts[..] else {
        return Err(refuse("it has no parts", "correct the model"));
    };
    let axis = scope.axis("axis", 0, first)?;
    let shape = scope.build.shape(first);
    let fits = |part: &NodeId| {
        let own = scope.build.shape(*part);
        own.len() == shape.len() && (0..own.len()).all(|a| a == axis || own[a] == shape[a])
    };
    if !parts.iter().all(fits) {
        return Err(refuse(
            "the shapes of its parts do not fit together",
            "correct the model",
        ));
    }
    Ok(vec![(scope.build.concat(parts, axis), dtype)])
}

/// `QLinearSoftmax`: data with scale and zero point, scale and zero point of the result.
fn softmax(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let from = number(scope, 1)?;
    let to = must_be_constant(scope, 3)?;
    positive(&to)?;
    let x = centered(scope, 0, 2, 0)?;
    let x = scope.build.multiply_scalar(x, from);
    let shape = scope.build.shape(x);
    let axis = scope.axis("axis", -1, x)?;
    let made = match scope.int("opset").unwrap_or(13) < 13 {
        true => {
            let rows = shape[..axis].iter().product();
            let columns = shape[axis..].iter().product();
            let flat = scope.build.reshape(x, &[rows, columns]);
            let made = scope.build.softmax(flat, None, 1);
            scope.build.reshape(made, &shape)
        }
        false => scope.build.softmax(x, None, axis),
    };
    finish(scope, made, vec![to.data[0].recip()], 0, 4)
}

/// `QLinearAveragePool`: data with scale and zero point, scale and zero point of the result.
fn average_pool(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let is_set = |name: &str| scope.int(name).unwrap_or(0) != 0;
    let count_padding = is_set("count_include_pad");
    if is_set("channels_last") || is_set("ceil_mode") {
        return Err(refuse(
            "its channels are last, or it rounds lengths up",
            "use [n, channels, spatial...] and `ceil_mode` 0",
        ));
    }
    let (from, to) = (number(scope, 1)?, must_be_constant(scope, 3)?);
    positive(&to)?;
    let x = centered(scope, 0, 2, 0)?;
    let shape = scope.build.shape(x);
    let kernel = scope.ints("kernel_shape").unwrap_or_default().to_vec();
    if shape.len() < 3 || kernel.len() + 2 != shape.len() {
        return Err(refuse(
            "its kernel does not fit its data",
            "correct the model",
        ));
    }
    let kernel: Vec<usize> = kernel.iter().map(|len| *len as usize).collect();
    let (window, lens) = window(scope, &shape[2..], &kernel)?;
    let op = Op::AveragePool {
        window,
        count_padding,
    };
    let made = scope.build.push(op, vec![x], [&shape[..2], &lens].concat());
    let factor = f64::from(from as f32 / to.data[0] as f32);
    finish(scope, made, vec![factor], 0, 4)
}

/// Integers of `bits` bits, the lowest first in each byte; `count` of each row of bytes.
fn unpacked(bytes: &[f64], row: usize, count: usize, bits: usize) -> Vec<f64> {
    let (per_byte, mask) = (8 / bits, (1u32 << bits) - 1);
    let element = |row: &[f64], at: usize| {
        let byte = row.get(at / per_byte).map_or(0, |byte| *byte as u32);
        f64::from(byte >> (at % per_byte * bits) & mask)
    };
    let rows = bytes.chunks(row.max(1));
    rows.flat_map(|row| (0..count).map(move |at| element(row, at)))
        .collect()
}

/// `MatMulNBits`: data, weights `[columns, blocks, bytes]`, scales, zero points, `g_idx`, bias.
fn matmul_bits(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let length = |name: &str| usize::try_from(scope.int(name).unwrap_or(0)).unwrap_or(0);
    let (inner, columns, block) = (length("K"), length("N"), length("block_size"));
    let bits = usize::try_from(scope.int("bits").unwrap_or(4)).unwrap_or(0);
    let elements = volume([inner as u64, columns as u64].into_iter());
    if ![2, 4, 8].contains(&bits) || block == 0 || elements == 0 || elements > MOST_ELEMENTS {
        return Err(refuse(
            "its sizes, blocks or bits are not supported",
            "use 2, 4 or 8 bits",
        ));
    }
    let blocks = inner.div_ceil(block);
    let groups = groups(scope, inner, block)?;
    let bytes = (block * bits).div_ceil(8);
    let (stored, scales) = (must_be_constant(scope, 1)?, must_be_constant(scope, 2)?);
    let middle = f64::from(1u32 << (bits - 1));
    let zeros = match scope.constant(3)? {
        None => vec![middle; columns * blocks],
        Some(zeros) if scope.dtype(3).is_float() => zeros.data.clone(),
        Some(zeros) => unpacked(&zeros.data, (blocks * bits).div_ceil(8), blocks, bits),
    };
    let weights = unpacked(&stored.data, bytes, block, bits);
    if weights.len() != columns * blocks * block
        || zeros.len() != columns * blocks
        || scales.data.len() != columns * blocks
    {
        return Err(refuse(
            "its weights, scales and zero points do not fit its sizes",
            "correct the model",
        ));
    }
    let weight = |k: usize, n: usize| {
        let group = n * blocks + groups[k];
        (weights[n * blocks * block + k] - zeros[group]) * scales.data[group]
    };
    let data = (0..inner).flat_map(|k| (0..columns).map(move |n| (k, n)));
    let data = data.map(|(k, n)| weight(k, n)).collect();
    let weights = scope
        .build
        .constant(Tensor::new(vec![inner, columns], data));
    let x = scope.operand(0)?;
    let mut made = matrix_product(&mut scope.build, x, weights)?;
    if let Some(bias) = scope.optional(5) {
        let rank = scope.build.rank(made);
        let bias = scope.build.unsqueeze_to_rank(bias, rank);
        made = scope.build.add(made, bias);
    }
    Ok(vec![(made, scope.dtype(0))])
}

/// For each row of the weights of a `MatMulNBits`, which scale it has: that of its block, unless `g_idx` says another.
fn groups(scope: &Scope, inner: usize, block: usize) -> Result<Vec<usize>, Diagnostic> {
    let Some(listed) = scope.constant_ints(4)? else {
        return Ok((0..inner).map(|row| row / block).collect());
    };
    let blocks = inner.div_ceil(block);
    let group = |group: &i64| usize::try_from(*group).ok().filter(|group| *group < blocks);
    let groups: Option<Vec<usize>> = listed.iter().take(inner).map(group).collect();
    groups
        .filter(|groups| groups.len() == inner)
        .ok_or_else(|| refuse("its `g_idx` does not fit its blocks", "correct the model"))
}

/// `GatherBlockQuantized`: data, indices, scales, zero points.
fn gather_blocks(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let data = must_be_constant(scope, 0)?;
    let rank = data.shape.len();
    let at = |name: &str, default: i64| Scope::position(scope.int(name).unwrap_or(default), rank);
    let (gathered, quantized) = (at("gather_axis", 0)?, at("quantize_axis", 1)?);
    if gathered != 0 || rank != 2 || quantized != 1 {
        return Err(refuse(
            "it does not gather rows of a matrix",
            "use `gather_axis` 0 and `quantize_axis` 1",
        ));
    }
    let bits = usize::try_from(scope.int("bits").unwrap_or(4)).unwrap_or(0);
    let block = usize::try_from(scope.int("block_size").unwrap_or(128)).unwrap_or(0);
    let scales = must_be_constant(scope, 2)?;
    let (rows, blocks) = match scales.shape[..] {
        [rows, blocks] if rows == data.shape[0] && block > 0 && [4, 8].contains(&bits) => {
            (rows, blocks)
        }
        _ => {
            return Err(refuse(
                "its scales do not fit its data",
                "correct the model",
            ));
        }
    };
    let is_packed =
        scope.dtype(0) == DatumType::U8 && bits == 4 && data.shape[1].div_ceil(block) != blocks;
    let (stored, columns) = match is_packed {
        true => (
            unpacked(&data.data, data.shape[1], 2 * data.shape[1], 4),
            2 * data.shape[1],
        ),
        false => (data.data.clone(), data.shape[1]),
    };
    if columns.div_ceil(block) != blocks {
        return Err(refuse(
            "its blocks do not fit its scales",
            "correct the model",
        ));
    }
    let zeros = match scope.constant(3)? {
        Some(zeros) if is_packed => unpacked(&zeros.data, blocks.div_ceil(2), blocks, 4),
        Some(zeros) => zeros.data.clone(),
        None if is_packed => vec![8.0; rows * blocks],
        None if scope.dtype(0) == DatumType::U8 && bits == 8 => vec![128.0; rows * blocks],
        None => vec![0.0; rows * blocks],
    };
    if zeros.len() != rows * blocks {
        return Err(refuse(
            "its zero points do not fit its scales",
            "correct the model",
        ));
    }
    let dequantized = stored.iter().enumerate().map(|(at, value)| {
        let of = at / columns * blocks + at % columns / block;
        (value - zeros[of]) * scales.data[of]
    });
    let table = Tensor::new(vec![rows, columns], dequantized.collect());
    let table = scope.build.constant(table);
    let picked = scope.operand(1)?;
    let shape = [scope.build.shape(picked), vec![columns]].concat();
    let made = scope
        .build
        .push(Op::Gather { axis: 0 }, vec![table, picked], shape);
    Ok(vec![(made, scope.dtype(2))])
}
