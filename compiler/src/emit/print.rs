//! Tokens as a file for people: formatted, with air between items.

use proc_macro2::TokenStream;

use crate::emit::layout::Layout;

/// Formats items; the same bytes for the same tokens.
pub fn format(items: TokenStream) -> String {
    let file = syn::parse2(items).expect("emitted items are Rust");
    spaced(&prettyplease::unparse(&file))
}

/// A documented constant of the module: `start` is all before its value.
pub fn item(docs: &[String], start: &str, value: &Layout) -> String {
    let mut text = String::from("\n");
    for line in docs {
        text += format!("    /// {line}").trim_end();
        text.push('\n');
    }
    text + &format!("    {start}{};\n", value.print(4, start.len()))
}

/// A formatted module with more items between its imports and the rest.
pub fn after_imports(module: &str, items: &str) -> String {
    let imports = module.find("\n    pub use ").expect("a module has imports");
    let end = module[imports..]
        .find(";\n")
        .map_or(module.len(), |len| imports + len + 2);
    let (head, rest) = module.split_at(end);
    format!("{head}{items}{rest}")
}

/// A blank line after each item that ends in a brace, and before each that has documentation.
fn spaced(source: &str) -> String {
    let mut spaced = String::with_capacity(source.len() + source.len() / 16);
    let mut previous: Option<&str> = None;
    for line in source.lines() {
        if previous.is_some_and(|previous| apart(previous, line)) {
            spaced.push('\n');
        }
        spaced += line;
        spaced.push('\n');
        previous = Some(line);
    }
    spaced
}

fn apart(previous: &str, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    if previous.is_empty() || line.is_empty() || indent(previous) != indent(line) {
        return false;
    }
    let (previous, line) = (previous.trim_start(), line.trim_start());
    let opens_item = |line: &str| {
        ["///", "#[", "fn ", "impl "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let ends_block =
        ["}", "};", "]);", "];"].contains(&previous) && !line.starts_with(['}', ')', ']']);
    let ends_imports = previous.starts_with("use ") || previous.starts_with("pub use ");
    ends_block
        || (opens_item(line) && !opens_item(previous) && previous.ends_with(';'))
        || (ends_imports && !line.contains("use "))
}
