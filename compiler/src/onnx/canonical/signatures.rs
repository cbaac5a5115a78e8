//! Which operators exist in which opset, and what they take: the table `signatures.txt`, which `signatures.py` makes.

use std::collections::HashMap;
use std::sync::LazyLock;

use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Dtype;
use crate::onnx::canonical::inside;
use crate::onnx::canonical::opsets::{Opsets, domain, shown};
use crate::onnx::decompose::operator::bare;
use crate::onnx::unsupported;

/// Types of attributes, by their number in ONNX.
const KINDS: &str = "_fistgFISTGzZpP";

/// An operator from one opset on, until the next line about it.
struct Signature {
    since: i64,
    /// For each a letter, the same where types must be equal, and `!` required, `?` optional, `*` variadic; `None` where the operator is no more.
    operands: Option<&'static str>,
    /// `*` for any number.
    results: &'static str,
    /// Name, type, and whether it is required.
    attributes: Vec<(&'static str, char, bool)>,
}

#[derive(Default)]
struct Table {
    /// Newest version of each domain.
    newest: HashMap<&'static str, i64>,
    operators: HashMap<(&'static str, &'static str), Vec<Signature>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("signatures.txt")));

fn read(text: &'static str) -> Table {
    let mut table = Table::default();
    let mut of = "";
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.is_empty()) {
        let mut words = line.trim_matches(['[', ']']).split(' ');
        let name = words.next().unwrap_or_default();
        let since = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        if line.starts_with('[') {
            of = domain(name);
            table.newest.insert(of, since);
            continue;
        }
        let versions = table.operators.entry((of, name)).or_default();
        versions.push(Signature {
            since,
            operands: words.next().filter(|word| *word != "deprecated"),
            results: words.next().unwrap_or_default(),
            attributes: words.filter_map(attribute).collect(),
        });
    }
    table
}

/// `name:type`, with a `!` if it is required.
fn attribute(word: &'static str) -> Option<(&'static str, char, bool)> {
    let (name, kind) = word.split_once(':')?;
    Some((name, kind.chars().next()?, kind.ends_with('!')))
}

/// The newest version of a domain that is known.
pub(super) fn newest(domain: &str) -> Option<i64> {
    TABLE.newest.get(domain).copied()
}

/// The opset since which an operator has been what it is in this one.
pub(super) fn since(domain: &str, operator: &str, version: i64) -> Option<i64> {
    let versions = TABLE.operators.get(&(domain, operator))?;
    let known = versions.iter().rev().find(|line| line.since <= version);
    known.map(|line| line.since)
}

/// Nodes of a graph, and of those inside it, that are not what ONNX says.
pub(super) fn faults(graph: &GraphProto, opsets: &Opsets) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (at, node) in graph.node.iter().enumerate() {
        if let Err(fault) = check(node, opsets) {
            found.push(fault.at(unsupported::name(at, node), &node.op_type));
        }
        found.extend(inside(node).flat_map(|graph| faults(graph, opsets)));
    }
    found
}

fn check(node: &NodeProto, opsets: &Opsets) -> Result<(), Diagnostic> {
    let of = shown(&node.domain);
    let Some(version) = opsets.version(&node.domain) else {
        return Err(refuse(
            format!("the model does not import its operator set `{of}`"),
            "add it to the model's `opset_import`",
        ));
    };
    let Some(versions) = TABLE.operators.get(&(&*node.domain, &*node.op_type)) else {
        // Refused with all else that is not supported.
        return Ok(());
    };
    let Some(known) = versions.iter().rev().find(|line| line.since <= version) else {
        let first = versions.first().map_or(0, |line| line.since);
        return Err(refuse(
            format!("`{of}` has it since version {first}, and the model imports version {version}"),
            format!("import version {first} or later"),
        ));
    };
    let Some(operands) = known.operands else {
        let since = known.since;
        return Err(refuse(
            format!("`{of}` does not have it any more since version {since}"),
            "export the model with what replaces it",
        ));
    };
    check_operands(node, operands)?;
    if known.results != "*"
        && known
            .results
            .parse()
            .is_ok_and(|most: usize| node.output.len() > most)
    {
        return Err(refuse(
            format!(
                "it has {} results, and there are at most {}",
                node.output.len(),
                known.results
            ),
            "correct the model",
        ));
    }
    check_attributes(node, known, version)
}

/// Type and mark of each operand.
fn marks(operands: &str) -> Vec<(u8, u8)> {
    let pairs = operands.as_bytes().chunks_exact(2);
    pairs.map(|pair| (pair[0], pair[1])).collect()
}

/// Whether the operands are as many as there are, and none that is required is left out.
fn check_operands(node: &NodeProto, operands: &str) -> Result<(), Diagnostic> {
    let operands = marks(operands);
    let variadic = operands.last().is_some_and(|(_, mark)| *mark == b'*');
    if node.input.len() > operands.len() && !variadic {
        let (given, most) = (node.input.len(), operands.len());
        return Err(refuse(
            format!("it has {given} operands, and takes at most {most}"),
            "correct the model",
        ));
    }
    let missing = |at: &usize| {
        let (_, mark) = operands[*at];
        mark == b'!' && node.input.get(*at).is_none_or(String::is_empty)
    };
    match (0..operands.len()).find(missing) {
        Some(at) => Err(refuse(
            format!("its operand {at} is missing"),
            "correct the model",
        )),
        None => Ok(()),
    }
}

/// Nodes of a model whose operands have different types where ONNX wants equal ones; `dtype` knows types of values.
pub(crate) fn mismatches(
    model: &ModelProto,
    dtype: impl Fn(&str) -> Option<Dtype>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    for (at, node) in nodes.enumerate() {
        let imported = model
            .opset_import
            .iter()
            .find(|import| import.domain == node.domain);
        let name = bare(&node.op_type);
        let versions = TABLE.operators.get(&(&*node.domain, name));
        let known = imported.zip(versions).and_then(|(import, versions)| {
            let known = versions.iter().rev();
            known.into_iter().find(|line| line.since <= import.version)
        });
        let Some(operands) = known.and_then(|line| line.operands).map(marks) else {
            continue;
        };
        let mut types: HashMap<u8, Dtype> = HashMap::new();
        for (index, input) in node.input.iter().enumerate() {
            let rest = operands.last().filter(|(_, mark)| *mark == b'*');
            let Some((letter, _)) = operands.get(index).or(rest) else {
                continue;
            };
            let Some(dtype) = dtype(input).filter(|_| *letter != b'-') else {
                continue;
            };
            let first = *types.entry(*letter).or_insert(dtype);
            if first != dtype {
                let reason = format!(
                    "its operand `{input}` has elements of {}, and another has {}",
                    dtype.name(),
                    first.name()
                );
                let fault = refuse(reason, "cast one of them");
                found.push(fault.at(unsupported::name(at, node), name));
                break;
            }
        }
    }
    found
}

fn check_attributes(node: &NodeProto, known: &Signature, version: i64) -> Result<(), Diagnostic> {
    for (at, attribute) in node.attribute.iter().enumerate() {
        let name = attribute.name.as_str();
        if node.attribute[..at].iter().any(|other| other.name == name) {
            return Err(refuse(
                format!("it has the attribute `{name}` twice"),
                "correct the model",
            ));
        }
        let Some((_, kind, _)) = known.attributes.iter().find(|(known, ..)| *known == name) else {
            return Err(refuse(
                format!("it has no attribute `{name}` in opset {version}"),
                "leave the attribute out, or import the opset that has it",
            ));
        };
        if !is_kind(attribute, *kind) {
            return Err(refuse(
                format!("its attribute `{name}` has another type"),
                "correct the model",
            ));
        }
    }
    let given = |name: &str| {
        node.attribute
            .iter()
            .any(|attribute| attribute.name == name)
    };
    let missing = known
        .attributes
        .iter()
        .find(|(name, _, required)| *required && !given(name));
    match missing {
        Some((name, ..)) => Err(refuse(
            format!("its attribute `{name}` is missing"),
            "correct the model",
        )),
        None => Ok(()),
    }
}

/// Whether an attribute has this type; old files do not say it.
fn is_kind(attribute: &AttributeProto, kind: char) -> bool {
    let number = usize::try_from(attribute.r#type).unwrap_or(usize::MAX);
    number == 0 || KINDS.chars().nth(number) == Some(kind)
}

#[cfg(test)]
mod tests {
    use crate::onnx::canonical::signatures::{TABLE, newest, since};
    use crate::onnx::supported::operators;

    #[test]
    fn every_operator_that_compiles_has_a_signature() {
        for operator in operators() {
            let versions = &TABLE.operators.get(&(operator.domain, operator.name));
            let first = versions.map(|lines| lines[0].since);
            let known = first.is_some_and(|first| first <= i64::from(operator.since));
            assert!(known, "{}: {first:?}", operator.name);
        }
    }

    #[test]
    fn versions_are_found() {
        assert_eq!(newest(""), Some(28));
        assert_eq!(since("", "Relu", 5), Some(1));
        assert_eq!(since("", "Relu", 13), Some(13));
        assert_eq!(since("", "Gelu", 19), None);
    }
}
