//! Inputs that are given once and for all: constants of the graph.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;

use crate::frozen::Frozen;
use crate::graph;
use crate::onnx::tensors::{from_tract, to_tract};
use crate::options::Options;

/// Makes inputs whose dimensions are known constants.
pub fn freeze(graph: &mut GraphProto, options: &Options) -> Result<(), String> {
    for (name, value) in &options.frozen {
        let is_constant = graph.initializer.iter().any(|tensor| tensor.name == *name);
        let inputs = graph.input.iter().filter(|_| !is_constant);
        let input = inputs.into_iter().find(|input| input.name == *name);
        let input =
            input.ok_or_else(|| format!("it has no input `{name}` that could be frozen"))?;
        let tensor = constant(input, value).map_err(|e| format!("its input `{name}`: {e}"))?;
        graph.initializer.push(tensor);
    }
    Ok(())
}

fn constant(input: &ValueInfoProto, value: &Frozen) -> Result<TensorProto, String> {
    let of = input.r#type.as_ref().and_then(|of| of.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = of else {
        return Err("it is no tensor".into());
    };
    let lens = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let lens: Option<Vec<usize>> = lens
        .map(|dim| match dim.value {
            Some(Dimension::DimValue(len)) => usize::try_from(len).ok(),
            _ => None,
        })
        .collect();
    let shape = lens.ok_or("its shape is not known")?;
    let volume = shape.iter().product();
    let data = match (&value.shape, &value.data[..]) {
        (None, [number]) => vec![*number; volume],
        (_, data) if data.len() == volume => data.to_vec(),
        (_, data) => {
            let given = data.len();
            return Err(format!(
                "it has shape {shape:?}, and is given {given} numbers"
            ));
        }
    };
    let unknown = || "it has no element type of ours".to_string();
    let stored = DataType::try_from(tensor.elem_type).map_err(|_| unknown())?;
    let dtype = DatumType::try_from(stored).map_err(|_| unknown())?;
    let wanted = graph::Tensor::new(shape.clone(), data);
    let made = to_tract(&wanted, dtype).map_err(|e| format!("{e:#}"))?;
    let kept = from_tract(&made).map_err(|e| e.to_string())?;
    let changed = kept
        .data
        .iter()
        .zip(&wanted.data)
        .find(|(kept, wanted)| kept != wanted);
    if let Some((_, wanted)) = changed.filter(|_| !dtype.is_float()) {
        return Err(format!("{wanted} is no element of {dtype:?}"));
    }
    Ok(TensorProto {
        name: input.name.clone(),
        dims: shape.iter().map(|len| *len as i64).collect(),
        data_type: tensor.elem_type,
        raw_data: made.as_bytes().to_vec(),
        ..Default::default()
    })
}
