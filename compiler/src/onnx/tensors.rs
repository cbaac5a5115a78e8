//! Conversion of tensors between tract and our graph.

use tract_onnx::prelude::tract_itertools::Itertools;
use tract_onnx::prelude::*;

use crate::graph;
use crate::graph::Dtype;

/// Why a tensor cannot be one of ours.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unrepresentable(String);

/// Least magnitude of a number that is not taken for 0: what is below it, single precision has with fewer digits, or not at all.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// A tract tensor of numbers or booleans in `f64`.
pub fn from_tract(tensor: &Tensor) -> Result<graph::Tensor, Unrepresentable> {
    let cannot = || {
        Unrepresentable(format!(
            "elements of type {:?} are not numbers",
            tensor.datum_type()
        ))
    };
    let dtype = tensor.datum_type();
    if !(dtype.is_number() || dtype == bool::datum_type() || dtype == TDim::datum_type())
        || dtype.is_quantized()
    {
        return Err(cannot());
    }
    let wide = if dtype == bool::datum_type() {
        tensor
            .cast_to::<u8>()
            .and_then(|t| t.cast_to::<f64>().map(|t| t.into_owned()))
    } else {
        tensor.cast_to::<f64>().map(|t| t.into_owned())
    };
    let wide = wide.map_err(|e| Unrepresentable(format!("{e:#}")))?;
    let data = wide
        .to_plain_array_view::<f64>()
        .map_err(|_| cannot())?
        .iter()
        .map(|v| if v.abs() < LEAST { 0.0 } else { *v })
        .collect_vec();
    Ok(graph::Tensor::new(tensor.shape().to_vec(), data))
}

/// The elements of a dense `f32` tensor.
pub fn f32s(value: &TValue) -> Option<&[f32]> {
    let view = value.to_plain_array_view::<f32>().ok()?;
    view.to_slice()
}

/// One of our tensors with tract's element type.
pub fn to_tract(tensor: &graph::Tensor, dtype: DatumType) -> TractResult<Tensor> {
    if dtype == bool::datum_type() {
        let data: Vec<bool> = tensor.data.iter().map(|v| *v != 0.0).collect();
        return Tensor::from_shape(&tensor.shape, &data);
    }
    if !dtype.is_float()
        && let Some(v) = tensor
            .data
            .iter()
            .find(|v| v.fract() != 0.0 || !v.is_finite())
    {
        return Err(TractError::msg(format!("{v} is not an integer")));
    }
    Ok(Tensor::from_shape(&tensor.shape, &tensor.data)?
        .cast_to_dt(dtype)?
        .into_owned())
}

/// The port type for a tract element type.
pub fn port_dtype(dtype: DatumType) -> Option<Dtype> {
    match dtype {
        DatumType::Bool => Some(Dtype::Bool),
        DatumType::I8 => Some(Dtype::Int8),
        DatumType::I16 => Some(Dtype::Int16),
        DatumType::I32 => Some(Dtype::Int32),
        DatumType::I64 | DatumType::TDim => Some(Dtype::Int64),
        DatumType::U8 => Some(Dtype::Uint8),
        DatumType::U16 => Some(Dtype::Uint16),
        DatumType::U32 => Some(Dtype::Uint32),
        DatumType::U64 => Some(Dtype::Uint64),
        _ if dtype.is_float() && !dtype.is_quantized() => Some(Dtype::Float32),
        _ => None,
    }
}
