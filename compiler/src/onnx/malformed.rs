//! Nodes that are refused before tract sees them: it never returns from them, panics, or computes constants without end; or their integers
//! would not be onnxruntime's.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::onnx::unsupported;

/// Attributes that count something.
const COUNTS: &[&str] = &["blocksize", "dilations", "group", "kernel_shape", "strides"];
/// Attributes that name axes.
const AXES: &[&str] = &["axes", "axis", "batch_axis", "time_axis"];
/// More axes than any tensor has.
const MOST_AXES: u64 = 64;
/// Operators with weights for a number of neurons, which they say.
const RECURRENT: &[&str] = &["GRU", "LSTM", "RNN"];

/// What is wrong with the nodes of a graph and of the graphs inside it.
pub fn nodes(graph: &GraphProto) -> Vec<Diagnostic> {
    let mut constants: HashMap<&str, &TensorProto> = HashMap::new();
    constants.extend(graph.initializer.iter().map(|t| (t.name.as_str(), t)));
    for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
        let value = node.attribute.iter().find_map(|a| a.t.as_ref());
        constants.extend(
            value
                .zip(node.output.first())
                .map(|(t, name)| (name.as_str(), t)),
        );
    }
    let own = graph.node.iter().enumerate().filter_map(|(at, node)| {
        let fault = permutation(node)
            .or_else(|| counts(node))
            .or_else(|| axes(node))
            .or_else(|| neurons(node))
            .or_else(|| divisor(node, &constants))
            .or_else(|| steps(node, &constants))
            .or_else(|| growth(node, &constants))
            .or_else(|| dynamic_integers(graph, node))?;
        Some(fault.at(unsupported::name(at, node), &node.op_type))
    });
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let inside = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    own.chain(inside.flat_map(nodes)).collect()
}

/// A `perm` that is no permutation: tract would follow its cycles for ever.
fn permutation(node: &NodeProto) -> Option<Diagnostic> {
    let of_permutation = |name: &str| node.op_type == "Transpose" && name == "perm";
    let perm = node.attribute.iter().find(|a| of_permutation(&a.name))?;
    let mut sorted = perm.ints.clone();
    sorted.sort_unstable();
    if sorted.into_iter().eq(0..perm.ints.len() as i64) {
        return None;
    }
    Some(refuse(
        format!(
            "its `perm` {:?} is not a permutation of the axes",
            perm.ints
        ),
        "correct the model",
    ))
}

/// A number of elements, positions or groups below 1, by which tract would divide.
fn counts(node: &NodeProto) -> Option<Diagnostic> {
    let is_count = |a: &&AttributeProto| COUNTS.contains(&a.name.as_str());
    let wrong = |a: &&AttributeProto| match a.ints.is_empty() {
        true => a.i < 1,
        false => a.ints.iter().any(|count| *count < 1),
    };
    let list = |a: &&AttributeProto| !(a.ints.is_empty() && a.r#type == AttributeType::Ints as i32);
    let found = node
        .attribute
        .iter()
        .filter(is_count)
        .filter(list)
        .find(wrong)?;
    Some(refuse(
        format!("its `{}` is below 1", found.name),
        "correct the model",
    ))
}

/// An axis that no tensor has: tract would count up to it.
fn axes(node: &NodeProto) -> Option<Diagnostic> {
    let named = |a: &&AttributeProto| AXES.contains(&a.name.as_str());
    let beyond = |a: &&AttributeProto| {
        let mut axes = a.ints.iter().chain(std::iter::once(&a.i));
        axes.any(|axis| axis.unsigned_abs() > MOST_AXES)
    };
    let found = node.attribute.iter().filter(named).find(beyond)?;
    Some(refuse(
        format!("its `{}` is no axis", found.name),
        "correct the model",
    ))
}

/// A recurrent operator that leaves out how many neurons it has, which onnxruntime does not guess either.
fn neurons(node: &NodeProto) -> Option<Diagnostic> {
    let says = node.attribute.iter().any(|a| a.name == "hidden_size");
    let silent = RECURRENT.contains(&node.op_type.as_str()) && !says;
    silent.then(|| refuse("it has no `hidden_size`", "correct the model"))
}

/// An integer division by a constant with an element that is zero.
fn divisor(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Diagnostic> {
    let divides = ["Div", "Mod"].contains(&node.op_type.as_str());
    let constant = constants.get(node.input.get(1).filter(|_| divides)?.as_str())?;
    let at = integers(constant).iter().position(|v| *v == 0)?;
    Some(refuse(
        format!("element {at} of its divisor `{}` is 0", node.input[1]),
        "divide by integers that are not 0",
    ))
}

/// A slice that stays where it is: tract would divide by its step.
fn steps(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Diagnostic> {
    let slices = node.op_type == "Slice";
    let steps = constants.get(node.input.get(4).filter(|_| slices)?.as_str())?;
    integers(steps)
        .contains(&0)
        .then(|| refuse("one of its steps is 0", "correct the model"))
}

/// A shape or numbers of repetitions that no tensor can have.
fn growth(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Diagnostic> {
    let at = match node.op_type.as_str() {
        "ConstantOfShape" => 0,
        "Expand" | "Tile" => 1,
        _ => return None,
    };
    let lens = integers(constants.get(node.input.get(at)?.as_str())?);
    let elements = volume(lens.iter().map(|len| len.unsigned_abs()));
    (elements > MOST_ELEMENTS).then(|| {
        refuse(
            format!("its result has at least {elements} elements, more than {MOST_ELEMENTS}"),
            "use shorter axes",
        )
    })
}

/// Integers of a dynamic quantization as an output: they hang on how single precision rounds the scale, which comes of the data.
fn dynamic_integers(graph: &GraphProto, node: &NodeProto) -> Option<Diagnostic> {
    let made = node.output.first()?;
    let shown = graph.output.iter().any(|output| output.name == *made);
    (node.op_type == "DynamicQuantizeLinear" && shown).then(|| {
        refuse(
            format!("its integers `{made}` are an output, and no integers are proved that rounding in single precision decides"),
            "make what is dequantized the output",
        )
    })
}

/// The elements of a tensor of integers that is in the file itself; none of another.
pub(crate) fn integers(tensor: &TensorProto) -> Vec<i64> {
    let signed = |element: &[u8]| {
        let sign = element.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = [if sign { 0xff } else { 0 }; 8];
        wide[..element.len()].copy_from_slice(element);
        i64::from_le_bytes(wide)
    };
    let bytes = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int8 | DataType::Uint8) => 1,
        Ok(DataType::Int16 | DataType::Uint16) => 2,
        Ok(DataType::Int32 | DataType::Uint32) => 4,
        Ok(DataType::Int64 | DataType::Uint64) => 8,
        _ => return Vec::new(),
    };
    let raw = tensor.raw_data.chunks_exact(bytes).map(signed);
    let narrow = tensor.int32_data.iter().map(|v| i64::from(*v));
    let wide = tensor.int64_data.iter().copied();
    let unsigned = tensor.uint64_data.iter().map(|v| *v as i64);
    raw.chain(narrow).chain(wide).chain(unsigned).collect()
}
