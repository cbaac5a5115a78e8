//! A reader's test: whoever reads a module of `generated/`, and nothing else, finds every layer and every output of the ONNX model.
//!
//! `tests/golden.rs` holds these files against the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a module says, as text.
struct Module {
    lines: Vec<String>,
    /// Names in each row of the table; a row of alike blocks is as many rows.
    rows: Vec<Vec<String>>,
    /// Each equation without its backquotes, and the names on its left.
    equations: Vec<(String, Vec<String>)>,
    /// Constants of the statement's nodes and outputs, each with the number of equations above it.
    constants: Vec<(String, usize)>,
    /// Constants and names in the list of columns.
    columns: Vec<(String, String)>,
}

impl Module {
    fn read(name: &str) -> Self {
        let source = std::fs::read_to_string(package(&format!("generated/{name}.rs")));
        let source = source.expect("the module is there");
        let lines: Vec<String> = source.lines().map(String::from).collect();
        let (equations, constants) = equations(&lines);
        Self {
            rows: rows(&lines),
            equations,
            constants,
            columns: columns(&lines),
            lines,
        }
    }

    /// The only line that starts like this.
    fn line(&self, start: &str) -> usize {
        let mut places = (0..self.lines.len()).filter(|&at| self.lines[at].starts_with(start));
        let place = places.next().unwrap_or_else(|| panic!("no line `{start}`"));
        assert_eq!(places.next(), None, "a second line `{start}`");
        place
    }

    fn row_names(&self) -> Vec<&str> {
        self.rows.iter().flatten().map(String::as_str).collect()
    }
}

/// Texts between backquotes.
fn between_backquotes(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

fn rows(lines: &[String]) -> Vec<Vec<String>> {
    let table = lines.iter().filter_map(|line| line.strip_prefix("/// | "));
    let mut rows = Vec::new();
    let mut blocks: Option<(String, std::ops::RangeInclusive<u64>)> = None;
    for line in table.skip(1) {
        let names = between_backquotes(line.split(" | ").next().expect("a first cell"));
        if line.contains("each:") {
            let number = |name: &str| {
                let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let number = name[prefix.len()..].parse().expect("a number");
                (prefix.to_string(), number)
            };
            let ((prefix, first), (_, last)) = (number(&names[0]), number(&names[1]));
            blocks = Some((format!("{prefix}N"), first..=last));
            continue;
        }
        match &blocks {
            Some((prefix, numbers)) if names[0].starts_with(prefix.as_str()) => {
                let in_block = |name: &String, number: u64| {
                    let rest = name.strip_prefix(prefix.as_str()).expect("of the block");
                    format!("{}{number}{rest}", prefix.trim_end_matches('N'))
                };
                rows.extend(numbers.clone().map(|number| {
                    let names = names.iter();
                    names.map(|name| in_block(name, number)).collect()
                }));
            }
            _ => {
                blocks = None;
                rows.push(names);
            }
        }
    }
    rows
}

/// Names on the left of an equation: `a` and `b` of `(a[i, j], b[i, j]) = f(c)`.
fn left(equation: &str) -> Vec<String> {
    let Some((left, _)) = equation.split_once(" = ") else {
        return Vec::new();
    };
    let mut depth = 0;
    let mut names = String::new();
    for c in left.trim_start_matches('(').trim_end_matches(')').chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => names.push(c),
            _ => {}
        }
    }
    names.split(", ").map(String::from).collect()
}

type Equations = (Vec<(String, Vec<String>)>, Vec<(String, usize)>);

/// Documentation of the constants before `MODEL`.
fn equations(lines: &[String]) -> Equations {
    let (mut equations, mut constants) = (Vec::new(), Vec::new());
    let mut above = 0;
    for line in lines {
        if line.starts_with("    static MODEL") {
            break;
        } else if let Some(text) = line.strip_prefix("    /// `") {
            let text = text.replace('`', "");
            equations.push((text.clone(), left(&text)));
            above += 1;
        } else if let Some(constant) = line.strip_prefix("    const ") {
            let name = constant.split(':').next().expect("a name");
            constants.push((name.to_string(), above));
            above = 0;
        }
    }
    (equations, constants)
}

fn columns(lines: &[String]) -> Vec<(String, String)> {
    let list = lines.iter().skip_while(|line| *line != "    columns! {");
    let list = list.skip(1).take_while(|line| *line != "    }");
    let text: Vec<&str> = list.map(|line| line.trim()).collect();
    let text = text.concat();
    let quotes: Vec<&str> = text.split('"').collect();
    let pairs = quotes.chunks_exact(2);
    let column = |pair: &[&str]| {
        let (before, _) = pair[0].rsplit_once(" = ").expect("a constant is defined");
        let constant = before.rsplit(',').next().unwrap_or(before);
        (constant.to_string(), pair[1].to_string())
    };
    pairs.map(column).collect()
}

/// An ONNX node.
#[derive(Debug, Default)]
struct Layer {
    name: String,
    op: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// What a reader knows of the ONNX file.
#[derive(Default)]
struct Onnx {
    layers: Vec<Layer>,
    weights: BTreeSet<String>,
    outputs: Vec<String>,
}

/// Fields of a protobuf message that are bytes: number and content.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(byte & 127) << shift;
            if byte & 128 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let len = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        let (content, rest) = message.split_at(len);
        message = rest;
        fields.push((key >> 3, content));
    }
    fields
}

impl Onnx {
    fn read(model: &str) -> Self {
        let file = std::fs::read(package(&format!("models/{model}.onnx"))).expect("the model");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let graphs = fields(&file).into_iter().filter(|(field, _)| *field == 7);
        let mut onnx = Self::default();
        for (field, content) in graphs.flat_map(|(_, graph)| fields(graph)) {
            let named = |number: u64| {
                let parts = fields(content).into_iter();
                let name = parts.filter(move |(field, _)| *field == number);
                name.map(|(_, name)| text(name))
            };
            match field {
                1 => onnx.layers.push(Layer {
                    inputs: named(1).collect(),
                    outputs: named(2).collect(),
                    name: named(3).collect(),
                    op: named(4).collect(),
                }),
                5 => onnx.weights.extend(named(8)),
                12 => onnx.outputs.extend(named(1)),
                _ => {}
            }
        }
        onnx
    }

    /// The rows of each layer: those named after it or after a part of it.
    fn rows<'a>(&self, names: &[&'a str]) -> BTreeMap<&str, Vec<&'a str>> {
        let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for &row in names {
            let owns = |layer: &&Layer| {
                let rest = row.strip_prefix(layer.name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
            };
            let owner = self.layers.iter().filter(owns).max_by_key(|l| l.name.len());
            if let Some(owner) = owner {
                rows.entry(&owner.name).or_default().push(row);
            }
        }
        rows
    }

    /// The rows in which a layer is computed: its own, or those of all that read it, if it has none.
    fn found<'a>(
        &self,
        layer: &Layer,
        rows: &BTreeMap<&str, Vec<&'a str>>,
    ) -> Option<Vec<&'a str>> {
        if let Some(own) = rows.get(layer.name.as_str()) {
            return Some(own.clone());
        }
        let reads = |reader: &&Layer| reader.inputs.iter().any(|i| layer.outputs.contains(i));
        let mut found = Vec::new();
        for reader in self.layers.iter().filter(reads) {
            found.extend(self.found(reader, rows)?);
        }
        (!found.is_empty()).then_some(found)
    }
}

/// Asserts that nothing is in the list twice.
fn assert_unique<'a>(what: &str, names: impl IntoIterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name), "{what} `{name}` is listed twice");
    }
}

/// Everything that a reader may rely on.
fn read(model: &str, module: &str) {
    let (onnx, module) = (Onnx::read(model), Module::read(module));
    every_layer_is_in_the_table(&onnx, &module);
    every_row_has_its_equation(&module);
    nothing_is_listed_twice(&module);
    the_statement_comes_first(&module);
}

fn every_layer_is_in_the_table(onnx: &Onnx, module: &Module) {
    let names = module.row_names();
    let rows = onnx.rows(&names);
    assert!(!onnx.layers.is_empty() && !onnx.outputs.is_empty());
    for layer in &onnx.layers {
        let found = onnx.found(layer, &rows);
        let found = found.unwrap_or_else(|| panic!("{} `{}` has no row", layer.op, layer.name));
        let multiplies = ["Gemm", "MatMul", "Conv"].contains(&layer.op.as_str());
        if multiplies && layer.inputs.iter().any(|i| onnx.weights.contains(i)) {
            let weighs = |(text, left): &(String, Vec<String>)| {
                left.iter().any(|name| found.contains(&name.as_str())) && text.contains("/weight[")
            };
            let name = &layer.name;
            assert!(
                module.equations.iter().any(weighs),
                "`{name}` has no weights"
            );
        }
    }
    for output in &onnx.outputs {
        let count = names.iter().filter(|name| *name == output).count();
        assert_eq!(count, 1, "rows of the output `{output}`");
    }
}

fn every_row_has_its_equation(module: &Module) {
    for (constant, equations) in &module.constants {
        assert!(*equations > 0, "no equation above `{constant}`");
    }
    assert_eq!(module.constants.len(), module.rows.len());
    let left: Vec<&str> = module
        .equations
        .iter()
        .flat_map(|(_, left)| left)
        .map(String::as_str)
        .collect();
    assert_unique("equation of", left.iter().copied());
    let restrictions = module
        .equations
        .iter()
        .filter(|(text, _)| text.contains(" is in "));
    let values = |row: &&Vec<String>| row.iter().all(|name| left.contains(&name.as_str()));
    let (with, without): (Vec<_>, Vec<_>) = module.rows.iter().partition(values);
    assert_eq!(without.len(), restrictions.count(), "{without:?}");
    let rows: BTreeSet<&str> = with.into_iter().flatten().map(String::as_str).collect();
    assert_eq!(rows, left.into_iter().collect());
}

fn nothing_is_listed_twice(module: &Module) {
    assert_unique("row", module.row_names());
    assert!(!module.columns.is_empty());
    assert_unique(
        "column",
        module.columns.iter().map(|(constant, _)| constant.as_str()),
    );
    assert_unique(
        "column",
        module.columns.iter().map(|(_, name)| name.as_str()),
    );
    assert_unique(
        "constant",
        module.constants.iter().map(|(name, _)| name.as_str()),
    );
    let text: String = module.lines.iter().map(|line| line.trim()).collect();
    for (_, name) in &module.columns {
        let kinds = ["witness", "constant", "structural"].map(|kind| format!("{kind}({name:?},"));
        let count: usize = kinds.iter().map(|kind| text.matches(kind).count()).sum();
        assert_eq!(count, 1, "column `{name}`");
    }
}

fn the_statement_comes_first(module: &Module) {
    let signature = module
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("/// `"));
    let signature = signature.expect("a line of documentation");
    assert!(signature.starts_with("input ") && signature.contains(" -> output f32["));
    let order = [
        "/// | value | relation |",
        "    columns! {",
        "    tables! {",
        "    static MODEL: Model",
        "    pub struct Input",
        "    pub struct Statement",
        "    pub fn prove(",
        "    pub fn verify(",
    ]
    .map(|start| module.line(start));
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_perceptron_is_read() {
    read("tiny_mlp", "tiny_mlp");
}

#[test]
fn a_convolutional_network_is_read() {
    read("mnist_cnn", "mnist_cnn");
}

#[test]
fn a_transformer_is_read() {
    read("nanoGPT", "nano_gpt");
    let module = Module::read("nano_gpt");
    let table = module
        .lines
        .iter()
        .filter(|line| line.starts_with("/// | "));
    assert!(table.count() < 30, "alike layers are one block");
    assert!(module.row_names().contains(&"h.3/attn/values"));
}
