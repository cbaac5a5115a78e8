//! Which operators exist in which opset, and what they take: the table `signatures.txt`, which `signatures.py` makes.

use std::collections::HashMap;
use std::sync::LazyLock;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::inside;
use crate::onnx::canonical::opsets::{Opsets, domain, shown};
use crate::onnx::unsupported;

/// Types of attributes, by their number in ONNX.
const KINDS: &str = "_fistgFISTGzZpP";

/// An operator from one opset on, until the next line about it.
pub(super) struct Signature {
    since: i64,
    /// `None` where the operator is no more.
    operands: Option<Ports>,
    results: Ports,
    /// For each letter, what it may stand for.
    types: HashMap<u8, Types>,
    /// Name, type, and whether it is required.
    attributes: Vec<(&'static str, char, bool)>,
}

/// Operands or results: for each a letter for its type, the same where types must be equal, and `!` required, `?` optional, `*` variadic, `~`
/// variadic of types that may differ.
struct Ports(Vec<(u8, u8)>);

impl Ports {
    fn read(word: &str) -> Ports {
        let pairs = word.as_bytes().chunks_exact(2);
        Ports(pairs.map(|pair| (pair[0], pair[1])).collect())
    }

    fn is_variadic(&self) -> bool {
        self.0.last().is_some_and(|(_, mark)| b"*~".contains(mark))
    }

    /// Whether there are more than these.
    fn is_exceeded(&self, count: usize) -> bool {
        count > self.0.len() && !self.is_variadic()
    }

    fn at(&self, at: usize) -> Option<(u8, u8)> {
        let rest = self.0.last().filter(|_| self.is_variadic());
        self.0.get(at).or(rest).copied()
    }

    /// The first that must be there and has no name.
    fn missing(&self, names: &[String]) -> Option<usize> {
        let missing = |at: &usize| {
            let (_, mark) = self.0[*at];
            mark == b'!' && names.get(*at).is_none_or(String::is_empty)
        };
        (0..self.0.len()).find(missing)
    }
}

/// A set of element types: a bit for each, by its number in ONNX.
#[derive(Clone, Copy)]
pub(super) struct Types(u64);

impl Types {
    /// What is no tensor.
    const OTHER: u32 = 63;

    fn read(words: std::str::SplitWhitespace) -> Types {
        let number = |word: &str| {
            let mut all = (1..Types::OTHER).filter(|number| element(*number).is_some());
            all.find(|number| element(*number).is_some_and(|of| shown_type(of) == word))
        };
        let bit = |word: &str| match word {
            "other" => Some(Types::OTHER),
            word => number(word),
        };
        let bits = words.filter_map(bit);
        Types(bits.fold(0, |all, bit| all | 1 << bit))
    }

    pub fn contains(self, of: DataType) -> bool {
        self.0 >> (of as u32 & Types::OTHER) & 1 == 1
    }

    /// The type, if there is only one.
    pub fn single(self) -> Option<DataType> {
        let only = self.0.is_power_of_two().then(|| self.0.trailing_zeros());
        only.and_then(element)
    }
}

fn element(number: u32) -> Option<DataType> {
    DataType::try_from(i32::try_from(number).ok()?).ok()
}

/// A type as the table says it.
pub(super) fn shown_type(of: DataType) -> String {
    of.as_str_name().to_ascii_lowercase()
}

impl Signature {
    /// What an operand may be, and the letter of its type, if that must be equal to others.
    pub fn operand(&self, at: usize) -> Option<(Types, Option<u8>)> {
        self.lettered(self.operands.as_ref()?, at)
    }

    /// The same of a result.
    pub fn result(&self, at: usize) -> Option<(Types, Option<u8>)> {
        self.lettered(&self.results, at)
    }

    fn lettered(&self, ports: &Ports, at: usize) -> Option<(Types, Option<u8>)> {
        let (letter, mark) = ports.at(at)?;
        Some((*self.types.get(&letter)?, (mark != b'~').then_some(letter)))
    }
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
    let (mut of, mut sets) = ("", Vec::new());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.is_empty()) {
        let mut words = line.trim_matches(['[', ']']).split_whitespace();
        let name = words.next().unwrap_or_default();
        let number = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        if name == "=" {
            sets.push(Types::read(words));
            continue;
        }
        if line.starts_with('[') {
            of = domain(name);
            table.newest.insert(of, number);
            continue;
        }
        let versions = table.operators.entry((of, name)).or_default();
        versions.push(signature(number, words, &sets));
    }
    table
}

fn signature(
    since: i64,
    mut words: std::str::SplitWhitespace<'static>,
    sets: &[Types],
) -> Signature {
    let operands = words.next().filter(|word| *word != "deprecated");
    let results = words.next().unwrap_or_default();
    let lettered = |word: &str| {
        let (letter, set) = word.split_once('=')?;
        Some((
            *letter.as_bytes().first()?,
            *sets.get(set.parse::<usize>().ok()?)?,
        ))
    };
    Signature {
        since,
        operands: operands.map(Ports::read),
        results: Ports::read(results),
        types: words.clone().filter_map(lettered).collect(),
        attributes: words.filter_map(attribute).collect(),
    }
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

/// The signature of a node's operator.
pub(super) fn of_node<'n>(node: &'n NodeProto, opsets: &Opsets) -> Option<&'n Signature> {
    let version = opsets.version(&node.domain)?;
    let versions = TABLE.operators.get(&(&*node.domain, &*node.op_type))?;
    versions.iter().rev().find(|line| line.since <= version)
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
    let Some(operands) = &known.operands else {
        let since = known.since;
        return Err(refuse(
            format!("`{of}` does not have it any more since version {since}"),
            "export the model with what replaces it",
        ));
    };
    check_operands(node, operands)?;
    if known.results.is_exceeded(node.output.len()) {
        let (given, most) = (node.output.len(), known.results.0.len());
        return Err(refuse(
            format!("it has {given} results, and there are at most {most}"),
            "correct the model",
        ));
    }
    if let Some(at) = known.results.missing(&node.output) {
        return Err(refuse(
            format!("its result {at} has no name"),
            "correct the model",
        ));
    }
    check_attributes(node, known, version)
}

/// Whether the operands are as many as there are, and none that is required is left out.
fn check_operands(node: &NodeProto, operands: &Ports) -> Result<(), Diagnostic> {
    if operands.is_exceeded(node.input.len()) {
        let (given, most) = (node.input.len(), operands.0.len());
        return Err(refuse(
            format!("it has {given} operands, and takes at most {most}"),
            "correct the model",
        ));
    }
    match operands.missing(&node.input) {
        Some(at) => Err(refuse(
            format!("its operand {at} is missing"),
            "correct the model",
        )),
        None => Ok(()),
    }
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
    use tract_onnx::pb::tensor_proto::DataType;

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
    fn types_are_known_by_their_letters() {
        let gather = &TABLE.operators[&("", "Gather")][2];
        let (_, data) = gather.operand(0).expect("is known");
        let (allowed, indices) = gather.operand(1).expect("is known");
        assert_ne!(data, indices);
        assert_eq!(gather.result(0).map(|(_, letter)| letter), Some(data));
        let carried = TABLE.operators[&("", "Loop")][0].operand(7);
        assert_eq!(carried.map(|(_, letter)| letter), Some(None));
        let holds =
            [DataType::Int32, DataType::Int64, DataType::Float].map(|of| allowed.contains(of));
        assert_eq!((holds, allowed.single()), ([true, true, false], None));
        let reshape = &TABLE.operators[&("", "Reshape")][1];
        let single = reshape.operand(1).and_then(|(allowed, _)| allowed.single());
        assert_eq!(single, Some(DataType::Int64));
    }

    #[test]
    fn versions_are_found() {
        assert_eq!(newest(""), Some(28));
        assert_eq!(since("", "Relu", 5), Some(1));
        assert_eq!(since("", "Relu", 13), Some(13));
        assert_eq!(since("", "Gelu", 19), None);
    }
}
