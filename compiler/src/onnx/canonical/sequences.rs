//! Sequences whose elements are known by name: what is taken out of one is the element itself. Or which a loop appends to, once a step: it gives
//! what it appends as one tensor.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, type_proto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::sequence_flow::{branches, mapped, repeated};
use crate::onnx::canonical::{Fault, inside_mut, refused};
use crate::onnx::decompose::legacy;
use crate::onnx::decompose::operator::qualified;
use crate::onnx::malformed::integers;
use crate::onnx::unsupported;

/// Most elements that a tensor is split into.
const MOST_PARTS: i64 = 1 << 12;

/// Puts tensors in place of the sequences of a graph; its opset is `version`. An output that is a sequence becomes one tensor, its elements
/// along a new first axis.
pub(crate) fn resolve(graph: &mut GraphProto, version: i64) -> Result<(), Fault> {
    let types = unsupported::types(graph);
    if !types.iter().any(|operator| operator.contains("Sequence")) {
        return Ok(());
    }
    let mut resolver = Resolver {
        version,
        sequences: HashMap::new(),
        integers: HashMap::new(),
        lens: HashMap::new(),
        made: Vec::new(),
    };
    refused(resolver.graph(graph))?;
    for output in &graph.output {
        if let Some(parts) = resolver.sequences.get(&output.name).cloned() {
            let joined = resolver.join(&parts, 0, true, &output.name);
            joined.map_err(|fault| vec![fault.at(output.name.clone(), "Sequence")])?;
        }
    }
    graph.node.extend(resolver.made);
    Ok(())
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

/// Some elements of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// The value of this name.
    Element(String),
    /// The slices of this value along its first axis, however many there are.
    Slices(String),
    /// What a loop has put there in the steps before.
    Before,
}

/// Sequences by their names.
pub(super) type Sequences = HashMap<String, Vec<Part>>;

#[derive(Clone)]
pub(super) struct Resolver {
    pub version: i64,
    pub sequences: Sequences,
    /// Constants that are integers.
    integers: HashMap<String, Vec<i64>>,
    lens: HashMap<String, Vec<Option<i64>>>,
    pub made: Vec<NodeProto>,
}

pub(super) fn unknown(what: &str) -> Diagnostic {
    refuse(
        format!("{what} must be known when the model is compiled"),
        "export the model with fixed shapes and positions",
    )
}

/// The elements, if each has a name.
pub(super) fn elements(parts: &[Part]) -> Option<Vec<String>> {
    let name = |part: &Part| match part {
        Part::Element(name) => Some(name.clone()),
        _ => None,
    };
    parts.iter().map(name).collect()
}

impl Resolver {
    /// Takes sequences out of a graph; its nodes that are left are in `made` afterwards.
    pub fn graph(&mut self, graph: &mut GraphProto) -> Vec<Diagnostic> {
        self.lens.extend(lens(graph));
        for tensor in &graph.initializer {
            self.know(&tensor.name, tensor);
        }
        let mut found = Vec::new();
        for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
            let name = unsupported::name(at, &node);
            let operator = node.op_type.clone();
            if let Err(fault) = self.node(node) {
                found.push(fault.at(name, operator));
            }
        }
        found
    }

    fn know(&mut self, name: &str, tensor: &TensorProto) {
        let values = integers(tensor);
        if !values.is_empty() {
            self.integers.insert(name.to_string(), values);
        }
    }

    pub fn node(&mut self, node: NodeProto) -> Result<(), Diagnostic> {
        if !node.domain.is_empty() {
            return self.other(node);
        }
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
        let parts = match node.op_type.as_str() {
            "SequenceEmpty" => Vec::new(),
            "SequenceConstruct" => node.input.into_iter().map(Part::Element).collect(),
            "Identity" if self.sequences.contains_key(&first) => self.sequence(&first)?,
            "SequenceInsert" => self.inserted(&node)?,
            "SequenceErase" => {
                let mut parts = self.sequence(&first)?;
                let count = self.elements(&first)?.len();
                let at = self.position(node.input.get(1), count, 0)?;
                let at = at.or(count.checked_sub(1));
                parts.remove(at.ok_or_else(|| unknown("an element"))?);
                parts
            }
            "SplitToSequence" => return self.split(&node, &result),
            "SequenceAt" => return self.at(node),
            "SequenceLength" => return self.length_of(&first, &result),
            "ConcatFromSequence" => {
                let parts = self.sequence(&first)?;
                let axis = int(&node, "axis").unwrap_or(0);
                return self.join(&parts, axis, int(&node, "new_axis") == Some(1), &result);
            }
            "If" => return branches(self, node),
            "Loop" => return repeated(self, node),
            "SequenceMap" => return mapped(self, &node),
            _ => return self.other(node),
        };
        self.sequences.insert(result, parts);
        Ok(())
    }

    /// A node that reads no sequence, but for the graphs inside it.
    fn other(&mut self, mut node: NodeProto) -> Result<(), Diagnostic> {
        let mut names = node.input.iter();
        if let Some(name) = names.find(|name| self.sequences.contains_key(*name)) {
            return Err(refuse(
                format!("it reads the sequence `{name}`"),
                "export the model with tensors instead of sequences",
            ));
        }
        for inner in inside_mut(&mut node) {
            self.inside(inner)?;
        }
        self.made.push(node);
        Ok(())
    }

    /// Takes the sequences out of a graph inside a node: those in it.
    pub fn inside(&self, graph: &mut GraphProto) -> Result<Sequences, Diagnostic> {
        let mut inner = Resolver {
            made: Vec::new(),
            ..self.clone()
        };
        if let Some(first) = inner.graph(graph).into_iter().next() {
            return Err(refuse(
                format!("`{}` inside it: {}", first.op, first.reason),
                first.help,
            ));
        }
        graph.node = inner.made;
        Ok(inner.sequences)
    }

    pub fn sequence(&self, name: &str) -> Result<Vec<Part>, Diagnostic> {
        let known = self.sequences.get(name).cloned();
        known.ok_or_else(|| unknown(&format!("the number of elements of the sequence `{name}`")))
    }

    /// The elements of a sequence that has a known number of them.
    pub fn elements(&self, name: &str) -> Result<Vec<String>, Diagnostic> {
        let known = elements(&self.sequence(name)?);
        known.ok_or_else(|| unknown(&format!("the number of elements of the sequence `{name}`")))
    }

    /// `SequenceInsert`.
    fn inserted(&self, node: &NodeProto) -> Result<Vec<Part>, Diagnostic> {
        let mut parts = self.sequence(&node.input[0])?;
        let place = node.input.get(2).filter(|name| !name.is_empty());
        let at = match place {
            None => None,
            Some(_) => self.position(place, self.elements(&node.input[0])?.len(), 1)?,
        };
        parts.insert(
            at.unwrap_or(parts.len()),
            Part::Element(node.input[1].clone()),
        );
        Ok(parts)
    }

    /// `SequenceAt`: the element itself; of slices, one of them.
    fn at(&mut self, mut node: NodeProto) -> Result<(), Diagnostic> {
        let parts = self.sequence(&node.input[0])?;
        let source = match &parts[..] {
            [Part::Slices(all)] => {
                node.op_type = "Gather".into();
                node.input[0] = all.clone();
                self.made.push(node);
                return Ok(());
            }
            _ => self.elements(&node.input[0])?,
        };
        let at = self.position(node.input.get(1), source.len(), 0)?;
        let element = at.and_then(|at| source.get(at));
        let element = element.ok_or_else(|| unknown("its position"))?;
        node.op_type = "Identity".into();
        node.input = vec![element.clone()];
        self.made.push(node);
        Ok(())
    }

    /// `SequenceLength`.
    fn length_of(&mut self, name: &str, result: &str) -> Result<(), Diagnostic> {
        if let [Part::Slices(all)] = &self.sequence(name)?[..] {
            let shape = format!("{result}.shape");
            self.made.push(self::node("Shape", &[all], &[&shape]));
            let first = format!("{result}.axis");
            self.made.push(constant(&first, &[], &[0]));
            self.made
                .push(self::node("Gather", &[&shape, &first], &[result]));
            return Ok(());
        }
        let count = self.elements(name)?.len() as i64;
        self.made.push(constant(result, &[], &[count]));
        self.integers.insert(result.to_string(), vec![count]);
        Ok(())
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
        parts: &[Part],
        axis: i64,
        is_new: bool,
        result: &str,
    ) -> Result<(), Diagnostic> {
        if parts.is_empty() {
            return Err(refuse("it joins no elements", "leave it out"));
        }
        let mut joined = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let wide = format!("{result}.element.{at}");
            joined.push(match part {
                Part::Element(name) if is_new => {
                    let mut unsqueeze = node("Unsqueeze", &[name], &[&wide]);
                    self.listed(&mut unsqueeze, "axes", &[axis]);
                    self.made.push(unsqueeze);
                    wide
                }
                Part::Element(name) => name.clone(),
                Part::Slices(all) => {
                    let mut along = node(legacy::SLICES_ALONG, &[all], &[&wide]);
                    along.domain = legacy::DOMAIN.into();
                    along.op_type = qualified(legacy::DOMAIN, legacy::SLICES_ALONG);
                    let is_new = number("new_axis", i64::from(is_new));
                    along.attribute = vec![number("axis", axis), is_new];
                    self.made.push(along);
                    wide
                }
                Part::Before => return Err(unknown("what a loop has joined so far")),
            });
        }
        let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
        let mut concat = node("Concat", &joined, &[result]);
        concat.attribute.push(number("axis", axis));
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
        made.attribute.push(number("axis", axis));
        self.listed(&mut made, "split", &lens);
        self.made.push(made);
        for (part, name) in parts.iter().zip(&names).filter(|_| squeezes) {
            let mut squeeze = node("Squeeze", &[part], &[name]);
            self.listed(&mut squeeze, "axes", &[axis]);
            self.made.push(squeeze);
        }
        let parts = names.into_iter().map(Part::Element);
        self.sequences.insert(result.to_string(), parts.collect());
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

fn number(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int as i32,
        ..Default::default()
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

pub(super) fn constant(name: &str, dims: &[i64], values: &[i64]) -> NodeProto {
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
