//! Operators as old opsets had them, as newer opsets write them; and as exporters write them, as tract reads them. What no newer opset can say
//! becomes an operator of [ours](crate::onnx::decompose::legacy).

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::inside_mut;
use crate::onnx::canonical::opsets::Opsets;
use crate::onnx::decompose::legacy;
use crate::onnx::unsupported;

/// First opset in which operands are broadcast as NumPy does, not as attributes say.
const NUMPY: i64 = 7;

/// Operators of two operands of one shape, in old opsets.
const BINARY: &[&str] = &[
    "Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor",
];

/// Rewrites the nodes of a graph, and of those inside it; those that cannot be.
pub(super) fn upgrade(graph: &mut GraphProto, opsets: &Opsets) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(version) = opsets.version("") {
        upgrade_graph(graph, version, &mut found);
    }
    found
}

fn upgrade_graph(graph: &mut GraphProto, version: i64, found: &mut Vec<Diagnostic>) {
    let nodes = std::mem::take(&mut graph.node);
    for (at, mut node) in nodes.into_iter().enumerate() {
        inside_mut(&mut node).for_each(|inner| upgrade_graph(inner, version, found));
        if node.domain.is_empty()
            && let Err(fault) = upgrade_node(graph, &mut node, version)
        {
            found.push(fault.at(unsupported::name(at, &node), &node.op_type));
        }
        graph.node.push(node);
    }
}

/// Changes a node; what it needs goes before it into the graph.
fn upgrade_node(
    graph: &mut GraphProto,
    node: &mut NodeProto,
    version: i64,
) -> Result<(), Diagnostic> {
    match node.op_type.as_str() {
        name if version < NUMPY && BINARY.contains(&name) => {
            let broadcast = take(node, "broadcast").map_or(0, |a| a.i);
            let axis = take(node, "axis").map(|a| a.i);
            align(graph, node, broadcast, axis);
        }
        "PRelu" if version < NUMPY => align(graph, node, 1, Some(1)),
        "Cast" if version < 6 => {
            let name = take(node, "to").map(|a| a.s).unwrap_or_default();
            let name = String::from_utf8_lossy(&name).to_ascii_uppercase();
            let mut all =
                (0..=i32::from(u8::MAX)).filter_map(|number| DataType::try_from(number).ok());
            let dtype = all.find(|dtype| dtype.as_str_name() == name);
            let dtype = dtype
                .ok_or_else(|| refuse(format!("it casts to `{name}`"), "correct the model"))?;
            node.attribute.push(int("to", dtype as i64));
        }
        "Concat" if version < 4 && !has(node, "axis") => node.attribute.push(int("axis", 1)),
        "CumSum" if !is_scalar(graph, &node.input[1]) => {
            let axis = before(graph, node, legacy::SCALAR, &node.input[1..], vec![]);
            node.input[1] = axis;
        }
        "GlobalLpPool" | "LpPool" if version < 2 => {
            let p = take(node, "p").map_or(2.0, |a| a.f);
            if p.fract() != 0.0 {
                return Err(refuse(format!("its `p` is {p}"), "use a whole number"));
            }
            node.attribute.push(int("p", p as i64));
        }
        "Pad" if version < 2 => rename(node, "paddings", "pads"),
        "Reshape" if version < 5 => {
            let shape = take(node, "shape").map(|a| a.ints).unwrap_or_default();
            let name = format!("{}.shape", node.output.first().map_or("", String::as_str));
            graph.initializer.push(TensorProto {
                name: name.clone(),
                dims: vec![shape.len() as i64],
                data_type: DataType::Int64 as i32,
                int64_data: shape,
                ..Default::default()
            });
            node.input.push(name);
        }
        "Selu" if version < 6 => {
            for (name, value) in [("alpha", 1.6732), ("gamma", 1.0507)] {
                if !has(node, name) {
                    node.attribute.push(float(name, value));
                }
            }
        }
        "Squeeze" if version < 13 && !has(node, "axes") => ours(node, legacy::SQUEEZE_ALL),
        "Tile" if version < 6 => ours(node, legacy::TILE_ALONG),
        "Upsample" if version < NUMPY => {
            let scale = |name: &str| take(node, name).map_or(1.0, |a| a.f);
            let [height, width] = ["height_scale", "width_scale"].map(scale);
            node.attribute.push(AttributeProto {
                name: "scales".into(),
                floats: vec![1.0, 1.0, height, width],
                r#type: AttributeType::Floats as i32,
                ..Default::default()
            });
        }
        _ => {}
    }
    take(node, "consumed_inputs");
    Ok(())
}

/// Brings the second operand of a node to the axes of the first.
fn align(graph: &mut GraphProto, node: &mut NodeProto, broadcast: i64, axis: Option<i64>) {
    let mut attributes = vec![int("broadcast", broadcast)];
    attributes.extend(axis.map(|axis| int("axis", axis)));
    node.input[1] = before(graph, node, legacy::ALIGN, &node.input, attributes);
}

/// Puts an operator of ours before a node: the name of its result.
fn before(
    graph: &mut GraphProto,
    node: &NodeProto,
    operator: &str,
    operands: &[String],
    attributes: Vec<AttributeProto>,
) -> String {
    let result = node.output.first().map_or("", String::as_str);
    let name = format!("{result}.{}", operator.to_ascii_lowercase());
    let mut made = NodeProto {
        name: name.clone(),
        input: operands.to_vec(),
        output: vec![name.clone()],
        attribute: attributes,
        ..Default::default()
    };
    ours(&mut made, operator);
    graph.node.push(made);
    name
}

/// Whether a value is stored as a single number.
fn is_scalar(graph: &GraphProto, name: &str) -> bool {
    let stored = graph.initializer.iter().find(|tensor| tensor.name == name);
    let writer = graph
        .node
        .iter()
        .find(|node| node.output.iter().any(|output| output == name));
    let constant = writer.and_then(|node| node.attribute.iter().find_map(|a| a.t.as_ref()));
    stored
        .or(constant)
        .is_some_and(|tensor| tensor.dims.is_empty())
}

fn ours(node: &mut NodeProto, operator: &str) {
    node.domain = legacy::DOMAIN.into();
    node.op_type = operator.into();
}

fn has(node: &NodeProto, name: &str) -> bool {
    node.attribute
        .iter()
        .any(|attribute| attribute.name == name)
}

fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let at = node
        .attribute
        .iter()
        .position(|attribute| attribute.name == name)?;
    Some(node.attribute.remove(at))
}

fn rename(node: &mut NodeProto, from: &str, to: &str) {
    let known = node
        .attribute
        .iter_mut()
        .find(|attribute| attribute.name == from);
    if let Some(attribute) = known {
        attribute.name = to.into();
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int as i32,
        ..Default::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: value,
        r#type: AttributeType::Float as i32,
        ..Default::default()
    }
}
