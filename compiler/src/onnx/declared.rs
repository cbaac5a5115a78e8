//! The shapes that a file says its values have, against those that they have.

use std::collections::HashMap;

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::unsupported;

/// Lengths of the axes of a value, as far as they are known.
pub type Lengths = Vec<Option<usize>>;

/// The producer of files whose labels are declared as one, however many rows there are.
const ONE_LABEL: &str = "OnnxMLTools";

/// Nodes whose results have other shapes than the file says; `shape` knows those that they have. A dimension without a number may have any
/// length, and a shape without any number may have any rank: exporters write such where they know none. So may an output `[1]` of onnxmltools, which
/// writes this for the labels of all classifiers.
pub fn unlike(
    graph: &GraphProto,
    producer: &str,
    shape: impl Fn(&str) -> Option<Lengths>,
) -> Vec<Diagnostic> {
    let mut writers = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        writers.extend(node.output.iter().map(|name| (name.as_str(), (at, node))));
    }
    let said = graph.value_info.iter().chain(&graph.output);
    let found = said.filter_map(|port| {
        let (at, node) = *writers.get(port.name.as_str())?;
        let (said, made) = (lengths(port)?, shape(&port.name)?);
        let agree = |(said, made): (&Option<usize>, &Option<usize>)| {
            said.is_none() || made.is_none() || said == made
        };
        let same = said.len() == made.len() && said.iter().zip(&made).all(agree);
        let is_output = graph.output.iter().any(|output| output.name == port.name);
        let labels = producer == ONE_LABEL && is_output && said == [Some(1)] && made.len() == 1;
        let open = labels || !said.is_empty() && said.iter().all(Option::is_none);
        if same || open {
            return None;
        }
        let fault = refuse(
            format!(
                "its result `{}` is declared with shape {}, and has shape {}",
                port.name,
                shown(&said),
                shown(&made)
            ),
            "correct the shape in the file, or leave it out",
        );
        Some(fault.at(unsupported::name(at, node), &node.op_type))
    });
    found.collect()
}

fn lengths(port: &ValueInfoProto) -> Option<Lengths> {
    let type_proto::Value::TensorType(tensor) = port.r#type.as_ref()?.value.as_ref()?;
    let length = |value: &Option<Dimension>| match value {
        Some(Dimension::DimValue(len)) => usize::try_from(*len).ok(),
        _ => None,
    };
    let dims = &tensor.shape.as_ref()?.dim;
    Some(dims.iter().map(|dim| length(&dim.value)).collect())
}

fn shown(lengths: &[Option<usize>]) -> String {
    let length = |len: &Option<usize>| len.map_or("?".to_string(), |len| len.to_string());
    let lengths: Vec<String> = lengths.iter().map(length).collect();
    format!("[{}]", lengths.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Onnx;
    use tract_onnx::pb::tensor_proto::DataType;

    #[test]
    fn labels_of_onnxmltools_are_declared_as_one() {
        let refused = |producer: &str, declared: &str, made: &[usize]| {
            let model = Onnx::new().input("x", "8").node("Relu", "x", "label", &[]);
            let model = model.declared("label", DataType::Float, declared).proto();
            let mut graph = model.graph.unwrap();
            graph.output = std::mem::take(&mut graph.value_info);
            let made: Lengths = made.iter().map(|len| Some(*len)).collect();
            unlike(&graph, producer, |_| Some(made.clone())).len()
        };
        assert_eq!(refused(ONE_LABEL, "1", &[8]), 0);
        assert_eq!(refused("pytorch", "1", &[8]), 1);
        assert_eq!(refused(ONE_LABEL, "3", &[8]), 1);
        assert_eq!(refused(ONE_LABEL, "1", &[8, 1]), 1);
    }
}
