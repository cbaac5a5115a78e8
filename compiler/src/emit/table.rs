//! The table of what is proved: a row for each node and each output. Alike blocks, such as a transformer's layers, are one block of rows.

use zkiln_runtime::model::{Accumulator, AxisMap, Model, Port};

use super::describe::{made, quoted};
use super::docs::thousands;
use crate::program::{Lowered, NodeReport, PortInfo};

/// Folding must save at least so many rows.
const SAVED_ROWS: usize = 3;

/// One row, or the rows of alike blocks: numbers from their least to their greatest.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The values that it makes; or its name, if it only restricts others.
    pub names: Vec<String>,
    relation: String,
    shape: String,
    scale_log2: (f64, f64),
    bits: (u32, u32),
    lookups: (u64, u64),
}

/// A number in names that tells alike blocks apart: what stands before it, and its value.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    prefix: String,
    number: u64,
}

/// The table in Markdown.
pub fn table(lowered: &Lowered) -> Vec<String> {
    let mut lines = vec![
        "| value | relation | shape | scale (log2) | bits | lookups |".to_string(),
        "|---|---|---|---|---|---|".to_string(),
    ];
    let rows = rows(lowered);
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        let Some(repeat) = repeated(rest) else {
            lines.push(first.line());
            rest = &rest[1..];
            continue;
        };
        lines.push(repeat.heading());
        lines.extend((0..repeat.length).map(|at| repeat.row(rest, at).line()));
        rest = &rest[repeat.length * repeat.count..];
    }
    lines
}

/// A row for each node, then one for each output that is not a node's value.
pub fn rows(lowered: &Lowered) -> Vec<Row> {
    let model = &lowered.model;
    let nodes = model.nodes.iter().zip(&lowered.report);
    let nodes = nodes.map(|(node, report)| {
        let made = made(&node.relation).into_iter();
        let mut names: Vec<String> = made
            .map(|id| model.columns[id.0 as usize].name.to_string())
            .collect();
        if names.is_empty() {
            names.push(node.name.to_string());
        }
        let output = |port: &Port| names.contains(&port.name.to_string()) && is_value(model, port);
        let is_output = model.outputs.iter().any(output);
        Row::of_node(report, names, is_output)
    });
    let outputs = model.outputs.iter().zip(&lowered.outputs);
    let outputs = outputs.filter(|(port, _)| !is_value(model, port));
    nodes
        .chain(outputs.map(|(port, info)| Row::of_output(model, port, info)))
        .collect()
}

/// Whether the output is, by name and element by element, a value that a node makes.
pub fn is_value(model: &Model, port: &Port) -> bool {
    let Accumulator { columns, terms, .. } = &port.value;
    let plain = |(axis, map): (u8, &AxisMap)| map.offset == 0 && *map.strides == [(axis, 1)];
    let column = match (&**columns, &**terms) {
        ([(1, id)], []) => *id,
        ([], [term]) if term.coefficient == 1 && term.summed.is_empty() => match &*term.operands {
            [view] if (0..).zip(view.index.iter()).all(plain) => view.column,
            _ => return false,
        },
        _ => return false,
    };
    let is_made = || {
        let mut nodes = model.nodes.iter();
        nodes.any(|node| made(&node.relation).contains(&column))
    };
    model.columns[column.0 as usize].name == port.name && is_made()
}

/// Name of an output that is not a node's value: another one if it is that of a column.
pub fn output_name(model: &Model, port: &Port) -> String {
    if model.columns.iter().any(|column| column.name == port.name) {
        format!("{}/output", port.name)
    } else {
        port.name.to_string()
    }
}

impl Row {
    fn of_node(report: &NodeReport, names: Vec<String>, is_output: bool) -> Self {
        let output = if is_output { ", output" } else { "" };
        let scale_log2 = tenths(report.scale_log2);
        Self {
            names,
            relation: format!("{}{output}", report.relation),
            shape: report.shape.clone(),
            scale_log2: (scale_log2, scale_log2),
            bits: (report.bits, report.bits),
            lookups: (report.lookups, report.lookups),
        }
    }

    fn of_output(model: &Model, port: &Port, info: &PortInfo) -> Self {
        let scale_log2 = tenths(info.scale.coarsest().abs().log2());
        let (low, high) = port.range;
        let bits = |end: i64| i64::BITS - (if end < 0 { !end } else { end }).leading_zeros();
        let bits = bits(low).max(bits(high)) + u32::from(low < 0);
        Self {
            names: vec![output_name(model, port)],
            relation: "output".into(),
            shape: shape(model, &port.value),
            scale_log2: (scale_log2, scale_log2),
            bits: (bits, bits),
            lookups: (0, 0),
        }
    }

    /// As a line of Markdown.
    fn line(&self) -> String {
        let names = self.names.iter().map(|name| format!("`{}`", quoted(name)));
        let names: Vec<String> = names.collect();
        format!(
            "| {} | {} | `{}` | {} | {} | {} |",
            names.join(", "),
            self.relation,
            self.shape,
            span(self.scale_log2, |x| x.to_string()),
            span(self.bits, |x| x.to_string()),
            span(self.lookups, thousands),
        )
    }

    /// The parts of the names after the block's number, if all are of the block.
    fn within(&self, block: &Block) -> Option<Vec<&str>> {
        self.names.iter().map(|name| block.rest(name)).collect()
    }

    /// Whether the row is to `block` what `other` is to `others_block`.
    fn is_like(&self, block: &Block, other: &Self, others_block: &Block) -> bool {
        let names = self.within(block);
        names.is_some()
            && names == other.within(others_block)
            && (&self.relation, &self.shape) == (&other.relation, &other.shape)
    }
}

impl Block {
    /// `h.0`.
    fn name(&self) -> String {
        format!("{}{}", self.prefix, self.number)
    }

    fn after(&self, count: u64) -> Self {
        Self {
            prefix: self.prefix.clone(),
            number: self.number.saturating_add(count),
        }
    }

    /// What follows the number in a name of this block.
    fn rest<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(&self.name())?;
        let goes_on = rest.starts_with(|c: char| c.is_ascii_digit());
        (!goes_on).then_some(rest)
    }
}

/// Every number in a name after some other text.
fn blocks(name: &str) -> Vec<Block> {
    let is_digit = |at: usize| name.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let starts = (1..name.len()).filter(|&at| is_digit(at) && !is_digit(at - 1));
    let block = |at: usize| {
        let digits = name[at..].split(|c: char| !c.is_ascii_digit()).next()?;
        let number = digits.parse().ok()?;
        let prefix = name[..at].to_string();
        // Not `007`.
        (digits.len() == 1 || !digits.starts_with('0')).then_some(Block { prefix, number })
    };
    starts.filter_map(block).collect()
}

/// Alike blocks, one after the other.
struct Repeat {
    first: Block,
    /// Rows of a block.
    length: usize,
    /// Blocks.
    count: usize,
}

/// Alike blocks at the start of `rows`, if folding them saves enough.
fn repeated(rows: &[Row]) -> Option<Repeat> {
    let candidates = blocks(rows.first()?.names.first()?).into_iter();
    let mut found = candidates.map(|first| {
        let length = rows_of(rows, &first);
        let alike = |&count: &usize| {
            let rest = rows.get(count * length..).unwrap_or_default();
            let block = first.after(count as u64);
            let mut pairs = rows[..length].iter().zip(rest);
            rows_of(rest, &block) == length && pairs.all(|(a, b)| b.is_like(&block, a, &first))
        };
        let count = match length {
            0 => 0,
            _ => 1 + (1..).take_while(alike).count(),
        };
        Repeat {
            first,
            length,
            count,
        }
    });
    found.find(|it| it.length * it.count >= it.length + SAVED_ROWS)
}

/// Number of first rows that are of the block.
fn rows_of(rows: &[Row], block: &Block) -> usize {
    rows.iter()
        .take_while(|row| row.within(block).is_some())
        .count()
}

impl Repeat {
    /// `h.0 to h.3`.
    fn heading(&self) -> String {
        let last = self.first.after(self.count as u64 - 1);
        let [first, last] = [&self.first, &last].map(|block| quoted(&block.name()));
        format!("| **`{first}` to `{last}`, each:** | | | | | |")
    }

    /// Row `at` of every block among `rows`, with `N` for the number.
    fn row(&self, rows: &[Row], at: usize) -> Row {
        let named = |rest: &str| format!("{}N{rest}", self.first.prefix);
        let names = rows[at].within(&self.first).unwrap_or_default();
        let start = Row {
            names: names.into_iter().map(named).collect(),
            ..rows[at].clone()
        };
        let alike = rows.iter().skip(at).step_by(self.length).take(self.count);
        alike.fold(start, |row, other| Row {
            scale_log2: (
                row.scale_log2.0.min(other.scale_log2.0),
                row.scale_log2.1.max(other.scale_log2.1),
            ),
            bits: (row.bits.0.min(other.bits.0), row.bits.1.max(other.bits.1)),
            lookups: (
                row.lookups.0.min(other.lookups.0),
                row.lookups.1.max(other.lookups.1),
            ),
            ..row
        })
    }
}

/// Names of all blocks in a row of which each has the next number: `h.0`, `h.1`, `h.2` as `h.0 to h.2`.
pub fn numbered(names: Vec<String>) -> Vec<String> {
    let mut list = Vec::new();
    let mut rest = names.as_slice();
    while let Some(first) = rest.first() {
        let block = blocks(first).pop().filter(|block| block.name() == *first);
        let count = block.map_or(1, |block| {
            let names = rest.iter().zip(0..);
            names
                .take_while(|(name, number)| block.after(*number).name() == **name)
                .count()
        });
        if count > 2 {
            list.push(format!("{first} to {}", rest[count - 1]));
        } else {
            list.extend_from_slice(&rest[..count]);
        }
        rest = &rest[count..];
    }
    list
}

/// Shapes of the largest term's operands, or of the accumulator if there is nothing to multiply.
fn shape(model: &Model, accumulator: &Accumulator) -> String {
    let text = |shape: &[u32]| {
        let lens: Vec<String> = shape.iter().map(u32::to_string).collect();
        format!("[{}]", lens.join(","))
    };
    let largest = accumulator.terms.iter().max_by_key(|t| t.operands.len());
    match largest {
        Some(term) if term.operands.len() > 1 => {
            let columns = term.operands.iter().map(|view| view.column.0 as usize);
            let shapes: Vec<String> = columns.map(|id| text(&model.columns[id].shape)).collect();
            shapes.join("x")
        }
        _ => text(&accumulator.shape),
    }
}

/// `4`, or `3 to 5`.
fn span<T: PartialEq>((least, greatest): (T, T), text: impl Fn(T) -> String) -> String {
    if least == greatest {
        text(least)
    } else {
        format!("{} to {}", text(least), text(greatest))
    }
}

fn tenths(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(names: &[&str], shape: &str, bits: u32) -> Row {
        Row {
            names: names.iter().map(ToString::to_string).collect(),
            relation: "requant".into(),
            shape: shape.into(),
            scale_log2: (-3.0, -3.0),
            bits: (bits, bits),
            lookups: (1024, 1024),
        }
    }

    /// What `repeated` finds: a name, rows of a block, and blocks.
    fn found(rows: &[Row]) -> Option<(String, usize, usize)> {
        let repeat = repeated(rows)?;
        Some((repeat.first.name(), repeat.length, repeat.count))
    }

    #[test]
    fn alike_blocks_are_one() {
        let mut rows = Vec::new();
        for layer in 9..12 {
            let name = |part: &str| format!("h.{layer}{part}");
            let (fc, act, out) = (name("/fc"), name("/act"), name(""));
            rows.push(row(&[&fc, &act], "[4]", layer));
            rows.push(row(&[&out], "[2]", 8));
        }
        rows.push(row(&["ln"], "[2]", 8));
        assert_eq!(found(&rows), Some(("h.9".into(), 2, 3)));
        let line = repeated(&rows).expect("found above").row(&rows, 0).line();
        let expected = "| `h.N/fc`, `h.N/act` | requant | `[4]` | -3 | 9 to 11 | 1,024 |";
        assert_eq!(line, expected);
    }

    #[test]
    fn what_differs_is_not_folded() {
        let block = |layer: usize, shape: &str| {
            ["a", "b", "c"].map(|part| row(&[&format!("h.{layer}/{part}")], shape, 8))
        };
        let rows = |blocks: &[[Row; 3]]| blocks.concat();
        let alike = [block(0, "[4]"), block(1, "[4]")];
        assert_eq!(found(&rows(&alike)), Some(("h.0".into(), 3, 2)));
        for others in [block(1, "[5]"), block(2, "[4]"), block(0, "[4]")] {
            assert_eq!(found(&rows(&[block(0, "[4]"), others])), None);
        }
        // Two rows are better read as they are.
        let relus = ["relu0", "relu1"].map(|name| row(&[name], "[8]", 12));
        assert_eq!(found(&relus), None);
    }

    #[test]
    fn runs_of_numbered_names_are_short() {
        let names = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let folded = numbered(names("in h.8 h.9 h.10 ln fc1 fc2 x.01 x.02 x.03"));
        let expected = [
            "in",
            "h.8 to h.10",
            "ln",
            "fc1",
            "fc2",
            "x.01",
            "x.02",
            "x.03",
        ];
        assert_eq!(folded, expected);
    }
}
