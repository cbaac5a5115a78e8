//! Finds tensors and dimensions that are too large for any model before tract computes with them.

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;

use crate::graph::limits::{MOST_ELEMENTS, volume};

/// Longest expression of a dimension, in bytes.
const MOST_TEXT: usize = 256;
/// Most parentheses in it: tract's parser recurses for each.
const MOST_PARENTHESES: usize = 16;

/// Refuses a model with a tensor that is too large to compute with.
pub fn check_tensors(model: &TypedModel) -> TractResult<()> {
    for node in &model.nodes {
        for output in &node.outputs {
            let shape = output.fact.shape.as_concrete().unwrap_or_default();
            if volume(shape.iter().map(|len| *len as u64)) > MOST_ELEMENTS {
                let name = &node.name;
                return Err(TractError::msg(format!("`{name}` is too large: {shape:?}")));
            }
        }
    }
    Ok(())
}

/// Refuses a graph, or one inside it, with a dimension's expression that is too long to be parsed.
pub fn check_expressions(graph: &GraphProto) -> Result<(), String> {
    for value in &graph.input {
        for text in expressions(value) {
            let parentheses = text.matches('(').count();
            if text.len() > MOST_TEXT || parentheses > MOST_PARENTHESES {
                return Err(format!("a dimension of `{}` is too large", value.name));
            }
        }
    }
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let mut inside = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    inside.try_for_each(check_expressions)
}

fn expressions(value: &ValueInfoProto) -> impl Iterator<Item = &str> {
    let tensor = match value.r#type.as_ref().and_then(|of| of.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.shape.as_ref(),
        _ => None,
    };
    let dims = tensor.into_iter().flat_map(|shape| &shape.dim);
    dims.filter_map(|dim| match &dim.value {
        Some(Dimension::DimParam(text)) => Some(text.as_str()),
        _ => None,
    })
}
