//! Sequences whose elements are known by name: what is taken out of one is the element itself.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, type_proto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::{Fault, inside_mut, refused};
use crate::onnx::decompose::body::captures;
use crate::onnx::malformed::integers;
use crate::onnx::unsupported;

/// Most elements that a tensor is split into.
const MOST_PARTS: i64 = 1 << 12;

/// Puts tensors in place of the sequences of a graph; its opset is `version`. An output that is a sequence becomes one tensor, its elements
/// along a new first axis.
pub(crate) fn resolve(graph: &mut GraphProto, version: i64) -> Result<(), Fault> {
    let makes = |node: &NodeProto| node.op_type.contains("Sequence") && node.domain.is_empty();
    if !graph.node.iter().any(makes) {
        return Ok(());
    }
    let mut resolver = Resolver {
        version,
        sequences: HashMap::new(),
        integers: HashMap::new(),
        lens: lens(graph),
        made: Vec::new(),
    };
    for tensor in &graph.initializer {
        resolver.know(&tensor.name, tensor);
    }
    let mut found = Vec::new();
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let name = unsupported::name(at, &node);
        let operator = node.op_type.clone();
        if let Err(fault) = resolver.node(node) {
            found.push(fault.at(name, operator));
        }
    }
    for output in &graph.output {
        if let Some(elements) = resolver.sequences.get(&output.name).cloned() {
            let joined = resolver.join(&elements, 0, true, &output.name);
            joined.map_err(|fault| vec![fault.at(output.name.clone(), "Sequence")])?;
        }
    }
    graph.node = resolver.made;
    refused(found)
}

/// Lengths that the file says values have.
fn lens(graph: &GraphProto) -> HashMap<String, Vec<Option<i64>>> {
    let ports = graph.input.iter().chain(&graph.value_info);
    let known = ports.filter_map(|port| {
        let type_proto::Value::TensorType(tensor) = port.r#type.as_ref()?.value.as_ref()?;
        let lens = tensor
            .shape
            .as_ref()?
            .dim
            .iter()
            .map(|dim| match dim.value {
                Some(Dimension::DimValue(len)) => Some(len),
                _ => None,
            });
        Some((port.name.clone(), lens.collect()))
    });
    let stored = graph.initializer.iter();
    let stored = stored.map(|t| (t.name.clone(), t.dims.iter().copied().map(Some).collect()));
    known.chain(stored).collect()
}

struct Resolver {
    version: i64,
    /// Names of the elements of each sequence.
    sequences: HashMap<String, Vec<String>>,
    /// Constants that are integers.
    integers: HashMap<String, Vec<i64>>,
    lens: HashMap<String, Vec<Option<i64>>>,
    made: Vec<NodeProto>,
}

fn unknown(what: &str) -> Diagnostic {
    refuse(
        format!("{what} must be known when the model is compiled"),
        "export the model with fixed shapes and positions",
    )
}

impl Resolver {
    fn know(&mut self, name: &str, tensor: &TensorProto) {
        let values = integers(tensor);
        if !values.is_empty() {
            self.integers.insert(name.to_string(), values);
        }
    }

    fn node(&mut self, mut node: NodeProto) -> Result<(), Diagnostic> {
        if node.op_type == "Constant" {
            let value = node.attribute.iter().find_map(|a| a.t.clone());
            if let (Some(value), Some(name)) = (value, node.output.first()) {
                self.know(name, &value);
                let lens = value.dims.iter().copied().map(Some);
                self.lens.insert(name.clone(), lens.collect());
            }
        }
        let first = node.input.first().cloned().unwrap_or_default();
        let result = node.output.first().cloned().unwrap_or_default();
        match node.op_type.as_str() {
            "SequenceEmpty" => {
                self.sequences.insert(result, Vec::new());
            }
            "SequenceConstruct" => {
                self.sequences.insert(result, node.input);
            }
            "Identity" if self.sequences.contains_key(&first) => {
                let same = self.sequence(&first)?;
                self.sequences.insert(result, same);
            }
            "SequenceInsert" => {
                let mut elements = self.sequence(&first)?;
                let at = self.position(node.input.get(2), elements.len(), 1)?;
                elements.insert(at.unwrap_or(elements.len()), node.input[1].clone());
                self.sequences.insert(result, elements);
            }
            "SequenceErase" => {
                let mut elements = self.sequence(&first)?;
                let at = self.position(node.input.get(1), elements.len(), 0)?;
                let last = elements.len().checked_sub(1);
                let at = at.or(last).ok_or_else(|| unknown("an element"))?;
                elements.remove(at);
                self.sequences.insert(result, elements);
            }
            "SequenceAt" => {
                let elements = self.sequence(&first)?;
                let at = self.position(node.input.get(1), elements.len(), 0)?;
                let element = at
                    .and_then(|at| elements.get(at))
                    .ok_or_else(|| unknown("its position"))?;
                node.op_type = "Identity".into();
                node.input = vec![element.clone()];
                self.made.push(node);
            }
            "SequenceLength" => {
                let count = self.sequence(&first)?.len() as i64;
                self.made.push(constant(&result, &[], &[count]));
                self.integers.insert(result, vec![count]);
            }
            "ConcatFromSequence" => {
                let elements = self.sequence(&first)?;
                let axis = int(&node, "axis").unwrap_or(0);
                self.join(&elements, axis, int(&node, "new_axis") == Some(1), &result)?;
            }
            "SplitToSequence" => self.split(&node, &result)?,
            _ => self.other(node)?,
        }
        Ok(())
    }

    /// A node that reads no sequence.
    fn other(&mut self, mut node: NodeProto) -> Result<(), Diagnostic> {
        let mut names = node.input.clone();
        names.extend(captures(&node));
        if let Some(name) = names.iter().find(|name| self.sequences.contains_key(*name)) {
            return Err(refuse(
                format!("it reads the sequence `{name}`"),
                "export the model with tensors instead of sequences",
            ));
        }
        for inner in inside_mut(&mut node) {
            let resolved = resolve(inner, self.version);
            resolved.map_err(|fault| match fault {
                Fault::File(reason) => refuse(reason, "correct the model"),
                Fault::Nodes(mut all) => {
                    let first = all.swap_remove(0);
                    refuse(
                        format!("`{}` inside it: {}", first.op, first.reason),
                        first.help,
                    )
                }
            })?;
        }
        self.made.push(node);
        Ok(())
    }

    fn sequence(&self, name: &str) -> Result<Vec<String>, Diagnostic> {
        let known = self.sequences.get(name).cloned();
        known.ok_or_else(|| unknown(&format!("the number of elements of the sequence `{name}`")))
    }

    /// A position among `count` elements, and `beyond` after them; negative ones count from the end.
    fn position(
        &self,
        name: Option<&String>,
        count: usize,
        beyond: i64,
    ) -> Result<Option<usize>, Diagnostic> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let known = self.integers.get(name).and_then(|v| v.first().copied());
        let position = known.ok_or_else(|| unknown(&format!("the position `{name}`")))?;
        let count = count as i64;
        let from_start = if position < 0 {
            position + count
        } else {
            position
        };
        match (0..count + beyond).contains(&from_start) {
            true => Ok(Some(from_start as usize)),
            false => Err(refuse(
                format!("its position {position} is beyond the {count} elements"),
                "correct the model",
            )),
        }
    }

    /// Elements along an axis, which may be a new one.
    fn join(
        &mut self,
        elements: &[String],
        axis: i64,
        is_new: bool,
        result: &str,
    ) -> Result<(), Diagnostic> {
        if elements.is_empty() {
            return Err(refuse("it joins no elements", "leave it out"));
        }
        let mut parts = elements.to_vec();
        if is_new {
            for (at, part) in parts.iter_mut().enumerate() {
                let wide = format!("{result}.element.{at}");
                let axes = format!("{wide}.axes");
                let mut unsqueeze = node("Unsqueeze", &[part], &[&wide]);
                match self.version < 13 {
                    true => unsqueeze.attribute.push(ints("axes", &[axis])),
                    false => {
                        self.made.push(constant(&axes, &[1], &[axis]));
                        unsqueeze.input.push(axes);
                    }
                }
                self.made.push(unsqueeze);
                *part = wide;
            }
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut concat = node("Concat", &parts, &[result]);
        concat.attribute.push(AttributeProto {
            name: "axis".into(),
            i: axis,
            r#type: AttributeType::Int as i32,
            ..Default::default()
        });
        self.made.push(concat);
        Ok(())
    }

    /// `SplitToSequence`: lengths of all parts, of each part, or parts of length 1.
    fn split(&mut self, split: &NodeProto, result: &str) -> Result<(), Diagnostic> {
        let data = split.input.first().cloned().unwrap_or_default();
        let axis = int(split, "axis").unwrap_or(0);
        let given = split.input.get(1).filter(|name| !name.is_empty());
        let listed = given.map(|name| {
            let known = self.integers.get(name).cloned();
            let is_scalar = self.lens.get(name).is_some_and(Vec::is_empty);
            let found = known.map(|lens| (lens, is_scalar));
            found.ok_or_else(|| unknown(&format!("the lengths `{name}`")))
        });
        let lens = match listed.transpose()? {
            Some((lens, false)) => lens,
            other => {
                let each = other
                    .and_then(|(lens, _)| lens.first().copied())
                    .unwrap_or(1);
                let total = self
                    .length(&data, axis)
                    .ok_or_else(|| unknown("the length of its operand"))?;
                if each < 1 || total / each.max(1) > MOST_PARTS {
                    return Err(refuse("it makes no parts, or too many", "use fewer parts"));
                }
                let starts = (0..total).step_by(each as usize);
                starts.map(|start| each.min(total - start)).collect()
            }
        };
        let squeezes = given.is_none() && int(split, "keepdims") == Some(0);
        let names: Vec<String> = (0..lens.len()).map(|at| format!("{result}.{at}")).collect();
        let parts: Vec<String> = match squeezes {
            true => names.iter().map(|name| format!("{name}.part")).collect(),
            false => names.clone(),
        };
        let outputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut made = node("Split", &[&data], &outputs);
        made.attribute.push(AttributeProto {
            name: "axis".into(),
            i: axis,
            r#type: AttributeType::Int as i32,
            ..Default::default()
        });
        self.listed(&mut made, "split", &lens);
        self.made.push(made);
        for (part, name) in parts.iter().zip(&names).filter(|_| squeezes) {
            let mut squeeze = node("Squeeze", &[part], &[name]);
            self.listed(&mut squeeze, "axes", &[axis]);
            self.made.push(squeeze);
        }
        self.sequences.insert(result.to_string(), names);
        Ok(())
    }

    /// Gives a node a list that is an attribute before opset 13, and an operand from then on.
    fn listed(&mut self, node: &mut NodeProto, name: &str, values: &[i64]) {
        if self.version < 13 {
            return node.attribute.push(ints(name, values));
        }
        let constants = format!("{}.{name}", node.output[0]);
        self.made
            .push(constant(&constants, &[values.len() as i64], values));
        node.input.push(constants);
    }

    fn length(&self, name: &str, axis: i64) -> Option<i64> {
        let lens = self.lens.get(name)?;
        let axis = if axis < 0 {
            axis + lens.len() as i64
        } else {
            axis
        };
        *lens.get(usize::try_from(axis).ok()?)?
    }
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    let found = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    found.map(|attribute| attribute.i)
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: AttributeType::Ints as i32,
        ..Default::default()
    }
}

fn node(operator: &str, operands: &[&str], results: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    NodeProto {
        op_type: operator.into(),
        name: results.first().copied().unwrap_or_default().into(),
        input: owned(operands),
        output: owned(results),
        ..Default::default()
    }
}

fn constant(name: &str, dims: &[i64], values: &[i64]) -> NodeProto {
    let mut made = node("Constant", &[], &[name]);
    made.attribute.push(AttributeProto {
        name: "value".into(),
        t: Some(TensorProto {
            dims: dims.to_vec(),
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..Default::default()
        }),
        r#type: AttributeType::Tensor as i32,
        ..Default::default()
    });
    made
}
