//! Tensors as files store them, as tensors that tract has: half precision and 8-bit floats are single precision, which holds their values;
//! integers of 4 bits are integers of 8; what is sparse is full.

use std::collections::HashMap;

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto,
    type_proto,
};
use tract_onnx::prelude::*;
use tract_onnx::tensor::load_tensor;
use tract_onnx::tract_core::internal::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::onnx::canonical::{Fault, inside_mut, refused};
use crate::onnx::unsupported;

/// Attributes that name an element type.
const TYPES: &[&str] = &[
    "dtype",
    "output_datatype",
    "output_dtype",
    "softmax_precision",
    "stash_type",
    "to",
];

/// Brings the tensors of a graph, and of those inside it, into types that tract has; `folder` holds external data.
pub(super) fn widen(graph: &mut GraphProto, folder: Option<&str>) -> Result<(), Fault> {
    if let Some(input) = graph
        .input
        .iter()
        .find(|input| dtype_of(input).is_some_and(is_packed))
    {
        let name = &input.name;
        return Err(Fault::File(format!(
            "its input `{name}` has elements of 4 or 8 bits that are no numbers of ours: use int8, uint8 or floats"
        )));
    }
    let mut found = Vec::new();
    let mut narrow = HashMap::new();
    widen_graph(graph, folder, &mut narrow, &mut found)?;
    refused(found)
}

fn widen_graph(
    graph: &mut GraphProto,
    folder: Option<&str>,
    narrow: &mut HashMap<String, DataType>,
    found: &mut Vec<Diagnostic>,
) -> Result<(), Fault> {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        let name = sparse
            .values
            .as_ref()
            .map(|v| v.name.clone())
            .unwrap_or_default();
        let dense = dense(sparse, folder);
        graph.initializer.push(dense.map_err(|e| about(&name, &e))?);
    }
    for tensor in &mut graph.initializer {
        note(&tensor.name, tensor, narrow);
        let widened = widen_tensor(tensor, folder);
        widened.map_err(|e| about(&tensor.name, &e))?;
    }
    let ports = graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info);
    ports.for_each(widen_port);
    for (at, node) in graph.node.iter_mut().enumerate() {
        if let Err(fault) = widen_node(node, folder, narrow) {
            found.push(fault.at(unsupported::name(at, node), &node.op_type));
        }
        for inner in inside_mut(node) {
            widen_graph(inner, folder, narrow, found)?;
        }
    }
    Ok(())
}

fn about(name: &str, error: &TractError) -> Fault {
    Fault::File(format!("its tensor `{name}` cannot be read: {error:#}"))
}

/// Remembers which values have elements of 4 bits.
fn note(name: &str, tensor: &TensorProto, narrow: &mut HashMap<String, DataType>) {
    let dtype = DataType::try_from(tensor.data_type).ok();
    narrow.extend(
        dtype
            .filter(|dtype| is_packed(*dtype))
            .map(|dtype| (name.to_string(), dtype)),
    );
}

fn widen_node(
    node: &mut NodeProto,
    folder: Option<&str>,
    narrow: &mut HashMap<String, DataType>,
) -> Result<(), Diagnostic> {
    let unreadable = |e: TractError| {
        refuse(
            format!("its tensor cannot be read: {e:#}"),
            "correct the model",
        )
    };
    if let Some(sparse) = node
        .attribute
        .iter_mut()
        .find(|a| a.sparse_tensor.is_some())
    {
        let full = sparse
            .sparse_tensor
            .take()
            .map(|sparse| dense(sparse, folder));
        *sparse = AttributeProto {
            name: "value".into(),
            t: full.transpose().map_err(unreadable)?,
            r#type: AttributeType::Tensor as i32,
            ..Default::default()
        };
    }
    if node.op_type == "Constant" {
        node.attribute.iter_mut().for_each(as_tensor);
    }
    let made = node.output.first().cloned().unwrap_or_default();
    for attribute in &mut node.attribute {
        for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
            note(&made, tensor, narrow);
            widen_tensor(tensor, folder).map_err(unreadable)?;
        }
        if TYPES.contains(&attribute.name.as_str()) {
            let dtype = i32::try_from(attribute.i)
                .ok()
                .and_then(|n| DataType::try_from(n).ok());
            attribute.i = match dtype {
                Some(DataType::Float16 | DataType::Bfloat16) => DataType::Float as i64,
                Some(dtype) if is_packed(dtype) && node.op_type != "QuantizeLinear" => {
                    return Err(refuse(
                        format!("it makes numbers of type {}", dtype.as_str_name()),
                        "use integers or floats of 8 bits and more",
                    ));
                }
                _ => attribute.i,
            };
        }
    }
    if node.op_type == "QuantizeLinear"
        && let Some(dtype) = node.input.get(2).and_then(|zero| narrow.get(zero))
    {
        node.attribute
            .retain(|attribute| attribute.name != "output_dtype");
        node.attribute.push(AttributeProto {
            name: "output_dtype".into(),
            i: *dtype as i64,
            r#type: AttributeType::Int as i32,
            ..Default::default()
        });
    }
    Ok(())
}

/// Numbers in the attribute of a `Constant` as a tensor.
fn as_tensor(attribute: &mut AttributeProto) {
    let mut tensor = TensorProto::default();
    match attribute.name.as_str() {
        "value_float" => tensor.float_data = vec![attribute.f],
        "value_floats" => tensor.float_data = std::mem::take(&mut attribute.floats),
        "value_int" => tensor.int64_data = vec![attribute.i],
        "value_ints" => tensor.int64_data = std::mem::take(&mut attribute.ints),
        _ => return,
    }
    let (floats, ints) = (tensor.float_data.len(), tensor.int64_data.len());
    tensor.dims = match attribute.name.ends_with('s') {
        true => vec![(floats + ints) as i64],
        false => vec![],
    };
    tensor.data_type = match attribute.name.starts_with("value_float") {
        true => DataType::Float as i32,
        false => DataType::Int64 as i32,
    };
    *attribute = AttributeProto {
        name: "value".into(),
        t: Some(tensor),
        r#type: AttributeType::Tensor as i32,
        ..Default::default()
    };
}

fn dtype_of(port: &ValueInfoProto) -> Option<DataType> {
    match port.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => DataType::try_from(tensor.elem_type).ok(),
    }
}

fn widen_port(port: &mut ValueInfoProto) {
    let dtype = dtype_of(port).map(|dtype| widened(dtype) as i32);
    let of = port.r#type.as_mut().and_then(|of| of.value.as_mut());
    if let (Some(type_proto::Value::TensorType(tensor)), Some(dtype)) = (of, dtype) {
        tensor.elem_type = dtype;
    }
}

/// The type in which the values of another are.
fn widened(dtype: DataType) -> DataType {
    match dtype {
        DataType::Int4 => DataType::Int8,
        DataType::Uint4 => DataType::Uint8,
        DataType::Float16 | DataType::Bfloat16 => DataType::Float,
        dtype if Small::of(dtype).is_some() => DataType::Float,
        dtype => dtype,
    }
}

/// Whether elements are smaller than a byte, or floats of a byte.
fn is_packed(dtype: DataType) -> bool {
    matches!(dtype, DataType::Int4 | DataType::Uint4) || Small::of(dtype).is_some()
}

fn widen_tensor(tensor: &mut TensorProto, folder: Option<&str>) -> TractResult<()> {
    let Ok(dtype) = DataType::try_from(tensor.data_type) else {
        return Ok(());
    };
    if widened(dtype) == dtype {
        return Ok(());
    }
    let lens = tensor.dims.iter().map(|len| len.unsigned_abs());
    let count = volume(lens);
    if count > MOST_ELEMENTS {
        bail!("it is too large");
    }
    let count = count as usize;
    let nibbles = matches!(
        dtype,
        DataType::Int4 | DataType::Uint4 | DataType::Float4e2m1
    );
    let bits = match dtype {
        DataType::Float16 | DataType::Bfloat16 => load(tensor, DataType::Uint16, count, folder)?,
        _ if nibbles => load(tensor, DataType::Uint8, count.div_ceil(2), folder)?,
        _ => load(tensor, DataType::Uint8, count, folder)?,
    };
    let bits = bits.cast_to::<u16>()?;
    let bits = bits.to_plain_array_view::<u16>()?;
    let low_and_high = |byte: &u16| [byte & 15, byte >> 4];
    let elements: Vec<u16> = match nibbles {
        true => bits.iter().flat_map(low_and_high).take(count).collect(),
        false => bits.iter().copied().collect(),
    };
    tensor.raw_data = match dtype {
        DataType::Uint4 => elements.iter().map(|v| *v as u8).collect(),
        DataType::Int4 => elements
            .iter()
            .map(|v| ((*v as u8) ^ 8).wrapping_sub(8))
            .collect(),
        dtype => {
            let floats = elements.iter().map(|v| float(dtype, *v));
            floats.flat_map(f32::to_le_bytes).collect()
        }
    };
    tensor.data_type = widened(dtype) as i32;
    Ok(())
}

/// The stored elements of a tensor, as `count` unsigned integers.
fn load(
    tensor: &mut TensorProto,
    dtype: DataType,
    count: usize,
    folder: Option<&str>,
) -> TractResult<Tensor> {
    let bytes = count * if dtype == DataType::Uint16 { 2 } else { 1 };
    if !tensor.raw_data.is_empty() && tensor.raw_data.len() != bytes {
        bail!(
            "it has {} bytes, and its shape needs {bytes}",
            tensor.raw_data.len()
        );
    }
    let stored = TensorProto {
        data_type: dtype as i32,
        dims: vec![count as i64],
        raw_data: std::mem::take(&mut tensor.raw_data),
        int32_data: std::mem::take(&mut tensor.int32_data),
        external_data: std::mem::take(&mut tensor.external_data),
        data_location: tensor.data_location.take(),
        ..Default::default()
    };
    load_tensor(&MmapDataResolver, &stored, folder)
}

/// A float of few bits: how many its exponent and its fraction have, and what is subtracted of the exponent.
struct Small {
    exponent: u32,
    fraction: u32,
    bias: i32,
    /// Whether the greatest exponent is of infinities and NaN; else all bits 1 are NaN, or, without a negative zero, that.
    infinite: bool,
    no_negative_zero: bool,
}

impl Small {
    fn of(dtype: DataType) -> Option<Small> {
        let (exponent, fraction, bias, infinite, no_negative_zero) = match dtype {
            DataType::Float4e2m1 => (2, 1, 1, false, false),
            DataType::Float8e4m3fn => (4, 3, 7, false, false),
            DataType::Float8e4m3fnuz => (4, 3, 8, false, true),
            DataType::Float8e5m2 => (5, 2, 15, true, false),
            DataType::Float8e5m2fnuz => (5, 2, 16, false, true),
            _ => return None,
        };
        Some(Small {
            exponent,
            fraction,
            bias,
            infinite,
            no_negative_zero,
        })
    }

    fn value(&self, bits: u16) -> f32 {
        let width = self.exponent + self.fraction;
        let magnitude = bits & ((1 << width) - 1);
        let sign = if bits >> width & 1 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from(magnitude >> self.fraction);
        let fraction = f32::from(magnitude & ((1 << self.fraction) - 1));
        let unit = (self.fraction as f32).exp2();
        let greatest = (1 << self.exponent) - 1;
        let full = magnitude == (1 << width) - 1 && width == 7 && !self.no_negative_zero;
        match exponent {
            _ if self.no_negative_zero && sign < 0.0 && magnitude == 0 => f32::NAN,
            _ if self.infinite && exponent == greatest && fraction == 0.0 => sign * f32::INFINITY,
            _ if self.infinite && exponent == greatest || full => f32::NAN,
            0 => sign * fraction / unit * ((1 - self.bias) as f32).exp2(),
            _ => sign * (1.0 + fraction / unit) * ((exponent - self.bias) as f32).exp2(),
        }
    }
}

/// The number that the bits of a float of at most 16 bits are.
fn float(dtype: DataType, bits: u16) -> f32 {
    match dtype {
        DataType::Bfloat16 => f32::from_bits(u32::from(bits) << 16),
        DataType::Float16 => f16::from_bits(bits).to_f32(),
        dtype => Small::of(dtype).map_or(f32::NAN, |small| small.value(bits)),
    }
}

/// A sparse tensor with all of its elements.
fn dense(sparse: SparseTensorProto, folder: Option<&str>) -> TractResult<TensorProto> {
    let (Some(mut values), Some(indices)) = (sparse.values, sparse.indices) else {
        bail!("it is sparse, and has no values or no indices");
    };
    widen_tensor(&mut values, folder)?;
    let indices = load_tensor(&MmapDataResolver, &indices, folder)?;
    let given = load_tensor(&MmapDataResolver, &values, folder)?;
    let lens = sparse.dims.iter().map(|len| len.unsigned_abs());
    let count = volume(lens);
    if count > MOST_ELEMENTS {
        bail!("it is too large");
    }
    let rank = sparse.dims.len();
    let width = if indices.rank() == 2 { rank } else { 1 };
    let indices = indices.cast_to::<i64>()?;
    let indices = indices.to_plain_array_view::<i64>()?;
    let indices: Vec<i64> = indices.iter().copied().collect();
    if indices.len() != given.len() * width {
        bail!(
            "it has {} values and {} indices",
            given.len(),
            indices.len()
        );
    }
    let size = given.datum_type().size_of();
    let mut raw = vec![0; count as usize * size];
    let elements = given.as_bytes().chunks_exact(size);
    for (element, index) in elements.zip(indices.chunks_exact(width.max(1))) {
        let flat = match width == rank {
            true => index
                .iter()
                .zip(&sparse.dims)
                .try_fold(0, |at, (index, len)| {
                    (0..*len).contains(index).then_some(at * len + index)
                }),
            false => index.first().copied(),
        };
        let at = flat.filter(|at| (0..count as i64).contains(at));
        let Some(at) = at.map(|at| at as usize) else {
            bail!("its index {index:?} is beyond its shape");
        };
        raw[at * size..(at + 1) * size].copy_from_slice(element);
    }
    Ok(TensorProto {
        name: values.name,
        dims: sparse.dims,
        data_type: values.data_type,
        raw_data: raw,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::onnx::canonical::stored::float;

    /// Values that ml_dtypes gives.
    #[test]
    fn floats_of_few_bits() {
        let of =
            |dtype, bits: &[u16]| -> Vec<f32> { bits.iter().map(|b| float(dtype, *b)).collect() };
        assert_eq!(
            of(DataType::Float16, &[0x3c00, 0xc100, 0x0001]),
            [1.0, -2.5, 5.960_464_5e-8]
        );
        assert_eq!(of(DataType::Bfloat16, &[0x3f80, 0xc020]), [1.0, -2.5]);
        assert_eq!(
            of(DataType::Float8e4m3fn, &[0x38, 0x7e, 0x01, 0xb8]),
            [1.0, 448.0, 0.001_953_125, -1.0]
        );
        assert_eq!(of(DataType::Float8e4m3fnuz, &[0x40, 0x7f]), [1.0, 240.0]);
        assert_eq!(of(DataType::Float8e5m2, &[0x3c, 0x7b]), [1.0, 57344.0]);
        assert_eq!(of(DataType::Float8e5m2fnuz, &[0x40, 0x7f]), [1.0, 57344.0]);
        assert_eq!(
            of(DataType::Float4e2m1, &[0, 1, 2, 3, 7, 15]),
            [0.0, 0.5, 1.0, 1.5, 6.0, -6.0]
        );
        assert!(float(DataType::Float8e4m3fn, 0x7f).is_nan());
        assert!(float(DataType::Float8e4m3fnuz, 0x80).is_nan());
        assert_eq!(float(DataType::Float8e5m2, 0xfc), f32::NEG_INFINITY);
    }
}
