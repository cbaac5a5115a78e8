//! Element types of all values, as the operators that make them say: an operator takes no others than ONNX lets it, and a value has the one that
//! the file says it has.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto, type_proto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::opsets::Opsets;
use crate::onnx::canonical::signatures::{Signature, of_node, shown_type};
use crate::onnx::canonical::{Fault, refused};
use crate::onnx::unsupported;

/// Attributes that name the type of a result.
const MADE: &[&str] = &["dtype", "output_datatype", "output_dtype", "to"];

/// Refuses a graph, or one inside it, whose nodes are in order, with a value of a type that it must not have. What is no tensor, or comes of an
/// unknown operator, is not looked at.
pub(super) fn check(graph: &GraphProto, opsets: &Opsets) -> Result<(), Fault> {
    let mut checker = Checker {
        opsets,
        found: Vec::new(),
    };
    checker.graph(graph, &HashMap::new(), &[]);
    refused(checker.found)
}

/// Types of values by their names.
type Known = HashMap<String, DataType>;
/// Types of values in their order, as far as they are known.
type Listed = Vec<Option<DataType>>;

struct Checker<'o> {
    opsets: &'o Opsets,
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    /// The types of a graph's outputs; it sees the values around it, and its inputs have these types where it does not say them.
    fn graph(&mut self, graph: &GraphProto, around: &Known, given: &[Option<DataType>]) -> Listed {
        let mut known = around.clone();
        for (at, input) in graph.input.iter().enumerate() {
            let of = declared(input).or_else(|| given.get(at).copied().flatten());
            known.extend(of.map(|of| (input.name.clone(), of)));
        }
        let inputs: Vec<&str> = graph.input.iter().map(|input| &*input.name).collect();
        for tensor in &graph.initializer {
            let of = DataType::try_from(tensor.data_type).ok();
            let Some(of) = of.filter(|of| *of != DataType::Undefined) else {
                continue;
            };
            let before = known.insert(tensor.name.clone(), of);
            let is_input = inputs.contains(&&*tensor.name);
            if let Some(said) = before.filter(|said| is_input && *said != of) {
                let fault = unlike("it", said, of);
                self.found.push(fault.at(&tensor.name, "Initializer"));
            }
        }
        let said = graph.value_info.iter().chain(&graph.output);
        let said: HashMap<&str, DataType> = said
            .filter_map(|port| Some((&*port.name, declared(port)?)))
            .collect();
        for (at, node) in graph.node.iter().enumerate() {
            let results = match self.node(node, &known) {
                Ok(results) => results,
                Err(fault) => {
                    self.fault(at, node, fault);
                    Listed::new()
                }
            };
            for (slot, name) in node.output.iter().enumerate() {
                let made = results.get(slot).copied().flatten();
                let said = said.get(&**name).copied();
                if let (Some(made), Some(said)) = (made, said)
                    && made != said
                {
                    self.fault(
                        at,
                        node,
                        unlike(&format!("its result `{name}`"), said, made),
                    );
                }
                known.extend(made.or(said).map(|of| (name.clone(), of)));
            }
        }
        let outputs = graph.output.iter();
        outputs
            .map(|output| known.get(&output.name).copied())
            .collect()
    }

    fn fault(&mut self, at: usize, node: &NodeProto, fault: Diagnostic) {
        self.found
            .push(fault.at(unsupported::name(at, node), &node.op_type));
    }

    /// The types of a node's results.
    fn node(&mut self, node: &NodeProto, known: &Known) -> Result<Listed, Diagnostic> {
        let operands: Listed = node
            .input
            .iter()
            .map(|name| known.get(name).copied())
            .collect();
        let formal: Listed = match node.op_type.as_str() {
            "Loop" => {
                let head = [Some(DataType::Int64), Some(DataType::Bool)];
                head.into_iter()
                    .chain(operands.iter().skip(2).copied())
                    .collect()
            }
            "Scan" if node.domain.is_empty() => operands.clone(),
            _ => Listed::new(),
        };
        let attributes = node.attribute.iter();
        let graphs = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        let inner: Vec<Listed> = graphs
            .map(|graph| self.graph(graph, known, &formal))
            .collect();
        let Some(signature) = of_node(node, self.opsets) else {
            return Ok(Listed::new());
        };
        let bound = bind(node, signature, &operands)?;
        if let ("If", [yes, no]) = (node.op_type.as_str(), &inner[..]) {
            let mut pairs = yes.iter().zip(no);
            if pairs.any(|(yes, no)| yes.is_some() && no.is_some() && yes != no) {
                return Err(refuse(
                    "its branches give results of different types",
                    "cast one of them",
                ));
            }
        }
        carried(node, &formal, inner.first())?;
        let result = |at: usize| match (node.op_type.as_str(), inner.first()) {
            ("If" | "Scan", Some(inner)) => inner.get(at).copied().flatten(),
            ("Loop", Some(inner)) => inner.get(at + 1).copied().flatten(),
            _ => result(node, signature, &bound, at),
        };
        Ok((0..node.output.len()).map(result).collect())
    }
}

/// Whether a loop's body takes what the loop carries, and gives the same again.
fn carried(node: &NodeProto, formal: &Listed, inner: Option<&Listed>) -> Result<(), Diagnostic> {
    let body = node.attribute.iter().find(|a| a.name == "body");
    let Some(body) = body
        .and_then(|a| a.g.as_ref())
        .filter(|_| !formal.is_empty())
    else {
        return Ok(());
    };
    let scanned = node.attribute.iter().find(|a| a.name == "num_scan_inputs");
    let scanned = scanned.map_or(0, |a| usize::try_from(a.i).unwrap_or(0));
    let first = usize::from(node.op_type == "Loop");
    let states = formal.len().saturating_sub(2 * first + scanned);
    let taken = body.input.iter().map(declared).zip(formal.iter().copied());
    let given = inner
        .into_iter()
        .flatten()
        .copied()
        .skip(first)
        .take(states);
    let given = given.zip(formal.iter().copied().skip(2 * first));
    let differs = |(one, other): (Option<DataType>, Option<DataType>)| {
        one.is_some() && other.is_some() && one != other
    };
    match taken.chain(given).any(differs) {
        true => Err(refuse(
            "its body takes or gives values of other types than it carries",
            "cast them",
        )),
        false => Ok(()),
    }
}

fn unlike(what: &str, said: DataType, made: DataType) -> Diagnostic {
    refuse(
        format!(
            "{what} is declared with elements of {}, and has elements of {}",
            shown_type(said),
            shown_type(made)
        ),
        "correct the model",
    )
}

fn declared(port: &ValueInfoProto) -> Option<DataType> {
    let type_proto::Value::TensorType(tensor) = port.r#type.as_ref()?.value.as_ref()?;
    let of = DataType::try_from(tensor.elem_type).ok();
    of.filter(|of| *of != DataType::Undefined)
}

/// What each letter of a signature stands for, by the operands.
fn bind(
    node: &NodeProto,
    signature: &Signature,
    operands: &[Option<DataType>],
) -> Result<HashMap<u8, DataType>, Diagnostic> {
    let mut bound = HashMap::new();
    for (at, operand) in operands.iter().enumerate() {
        let (Some((allowed, letter)), Some(of)) = (signature.operand(at), *operand) else {
            continue;
        };
        let name = &node.input[at];
        if !allowed.contains(of) {
            return Err(refuse(
                format!(
                    "its operand `{name}` has elements of {}, which it does not take",
                    shown_type(of)
                ),
                "cast it, or import an opset in which it takes them",
            ));
        }
        let Some(letter) = letter else {
            continue;
        };
        let first = *bound.entry(letter).or_insert(of);
        if first != of {
            return Err(refuse(
                format!(
                    "its operand `{name}` has elements of {}, and another has {}",
                    shown_type(of),
                    shown_type(first)
                ),
                "cast one of them",
            ));
        }
    }
    Ok(bound)
}

/// The type of a result, by the operands, by the signature alone, by an attribute, or by what is meant where there is none.
fn result(
    node: &NodeProto,
    signature: &Signature,
    bound: &HashMap<u8, DataType>,
    at: usize,
) -> Option<DataType> {
    let (allowed, letter) = signature.result(at)?;
    let operand = letter.and_then(|letter| bound.get(&letter).copied());
    if let Some(of) = operand.or(allowed.single()) {
        return Some(of);
    }
    let mut attributes = node.attribute.iter();
    let named = attributes.find(|attribute| MADE.contains(&&*attribute.name));
    let named =
        named.and_then(|attribute| DataType::try_from(i32::try_from(attribute.i).ok()?).ok());
    let stored = node
        .attribute
        .iter()
        .find_map(|attribute| attribute.t.as_ref());
    let stored = stored.and_then(|tensor| DataType::try_from(tensor.data_type).ok());
    let given = |name: &str| node.attribute.iter().any(|a| a.name.starts_with(name));
    let listed = |strings: &str, integers: &str| match (given(strings), given(integers)) {
        (true, false) => Some(DataType::String),
        (false, true) => Some(DataType::Int64),
        _ => None,
    };
    let implied = || match node.op_type.as_str() {
        _ if given("classlabels_") => listed("classlabels_strings", "classlabels_int"),
        "Constant" if given("value_float") => Some(DataType::Float),
        "Constant" if given("value_int") => Some(DataType::Int64),
        "ConstantOfShape" => Some(DataType::Float),
        "QuantizeLinear" => Some(DataType::Uint8),
        _ => None,
    };
    let named = named.filter(|of| *of != DataType::Undefined);
    named.or(stored).or_else(implied)
}
