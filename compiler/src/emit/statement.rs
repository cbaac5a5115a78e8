//! The statement as constants: columns, tables, one constant a node and an output with its equation above, and the model.

use proc_macro2::Ident;
use zkiln_runtime::model::{Model, Port};

use super::identifiers::{Scope, screaming_case};
use super::layout::Layout;
use super::literal::{self, Symbols};
use super::{describe, print, table};

/// All that is proved, as the text of a module's first items.
pub fn statement(model: &Model) -> String {
    let symbols = symbols(model);
    let mut text = heading("What is proved.");
    text += &named_list(
        "Committed tensors of small integers, in the order of their commitments.",
        "columns",
        &symbols.columns,
        literal::columns(model),
    );
    text += &named_list(
        "Lookup tables: keys, what they are mapped to, and how often each is looked up.",
        "tables",
        &symbols.tables,
        literal::tables(model, &symbols),
    );
    for (node, name) in model.nodes.iter().zip(&symbols.nodes) {
        let docs = describe::node(model, node);
        let (relation, value) = literal::relation(&node.relation, &symbols);
        text += &print::item(&docs, &format!("const {name}: {relation} = "), &value);
    }
    for (port, name) in model.outputs.iter().zip(&symbols.outputs) {
        if let Some(name) = name {
            let docs = [describe::output(
                model,
                &table::output_name(model, port),
                port,
            )];
            let value = literal::accumulator(&port.value, &symbols);
            text += &print::item(&docs, &format!("const {name}: Accumulator = "), &value);
        }
    }
    let docs = ["All that is proved, with the nodes in the order of execution.".into()];
    let model = literal::model(model, &symbols);
    text += &print::item(&docs, "static MODEL: Model = ", &model);
    text + &heading("How it is run, proved and verified.")
}

/// A line between the parts of the module.
fn heading(text: &str) -> String {
    format!("\n    // ---- {text} ----\n")
}

/// Names of the module's own constants, and the letters of axes.
const RESERVED: [&str; 25] = [
    "COLUMNS",
    "TABLES",
    "PROOF_BYTES",
    "STATISTICAL_BITS",
    "MODEL_DIGEST",
    "WEIGHTS_DIGEST",
    "VERIFIER_KEY",
    "PROVER_KEY",
    "MODEL",
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "K",
    "L",
    "M",
    "N",
    "O",
    "P",
];

fn symbols(model: &Model) -> Symbols {
    fn unique<'a>(names: impl Iterator<Item = &'a str>, scope: &mut Scope) -> Vec<Ident> {
        names
            .map(|name| scope.unique(screaming_case(name)))
            .collect()
    }
    let columns = model.columns.iter().map(|column| &*column.name);
    let tables = model.tables.iter().map(|table| &*table.name);
    let nodes = model.nodes.iter().map(|node| &*node.name);
    let mut constants = Scope::reserving(&RESERVED);
    let nodes = unique(nodes, &mut constants);
    let output = |port: &Port| {
        let name = screaming_case(&table::output_name(model, port));
        (!table::is_value(model, port)).then(|| constants.unique(name))
    };
    Symbols {
        columns: unique(columns, &mut Scope::default()),
        tables: unique(tables, &mut Scope::default()),
        nodes,
        outputs: model.outputs.iter().map(output).collect(),
    }
}

/// `columns! { .. }`: a list of which each element has a name.
fn named_list(comment: &str, list: &str, names: &[Ident], values: Vec<Layout>) -> String {
    let mut text = format!("\n    // {comment}\n    {list}! {{\n");
    for (name, value) in names.iter().zip(values) {
        let start = format!("{name} = ");
        text += &format!("        {start}{},\n", value.print(8, start.len()));
    }
    text + "    }\n"
}
