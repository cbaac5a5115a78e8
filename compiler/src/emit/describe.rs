//! What a node or an output states, as a line of mathematics.

use zkiln_runtime::codegen::LETTERS;
use zkiln_runtime::model::{
    Accumulator, AxisMap, ColumnId, Model, Node, Port, Table, TableId, Term, View,
};
use zkiln_runtime::relations::{
    Division, Exact, Map, Normalize, OneHot, Quotient, Relation, Requant, Reshape, Round, RowMax,
};

/// Summands printed before the rest is only counted.
const SUMMANDS: usize = 6;

/// Lines on what `node` states, in letters for the axes of its accumulator.
pub fn node(model: &Model, node: &Node) -> Vec<String> {
    let mut lines = Speaker(model).relation(&node.relation);
    if lines.is_empty() {
        lines.push(format!("`{}`", quoted(&node.name)));
    }
    lines.join("\n\n").lines().map(String::from).collect()
}

/// The line that states an output: `output[a] = 2 sum(b < 8) (relu1[b] * output/weight[a, b])`.
pub fn output(model: &Model, name: &str, port: &Port) -> String {
    let axes = axes(port.value.shape.len());
    let (output, sum) = (
        indexed(&quoted(name), &axes),
        Speaker(model).sum(&port.value),
    );
    format!("`{output} = {sum}`")
}

/// The values that a node makes, in the order of its equations; none if it only restricts others.
pub fn made(relation: &Relation) -> Vec<ColumnId> {
    match relation {
        Relation::Requant(it) => [&[it.output], &*it.mapped].concat(),
        Relation::Quotient(it) => vec![it.quotient],
        Relation::Round(it) => vec![it.output],
        Relation::Normalize(it) => {
            let own = [it.exponent, it.power, it.mantissa];
            [&own[..], &it.factors, &it.mapped].concat()
        }
        Relation::Division(it) => vec![it.quotient],
        others => others.writes(),
    }
}

impl Speaker<'_> {
    fn relation(&self, relation: &Relation) -> Vec<String> {
        match relation {
            Relation::Requant(it) => self.requant(it),
            Relation::Map(it) => self.map(it),
            Relation::Exact(it) => self.exact(it),
            Relation::RowMax(it) => self.row_max(it),
            Relation::Quotient(it) => self.quotient(it),
            Relation::OneHot(it) => self.one_hot(it),
            Relation::Round(it) => self.round(it),
            Relation::Normalize(it) => self.normalize(it),
            Relation::Division(it) => self.division(it),
            Relation::Reshape(it) => self.reshape(it),
            _ => Vec::new(),
        }
    }

    fn requant(&self, it: &Requant) -> Vec<String> {
        let axes = axes(it.accumulator.shape.len());
        let y = self.column(it.output, &axes);
        let sum = self.sum(&it.accumulator);
        let mut lines = vec![format!("`{y} = round(({sum}) / 2^{})`", it.shift)];
        lines.extend(self.mapped(&it.mapped, it.table, &y, &axes));
        lines
    }

    fn map(&self, it: &Map) -> Vec<String> {
        let axes = axes(it.accumulator.shape.len());
        let sum = self.sum(&it.accumulator);
        match self.mapped(&it.mapped, it.table, &sum, &axes) {
            lines if lines.is_empty() => vec![self.range(&sum, it.table)],
            lines => lines,
        }
    }

    /// That a sum is among the keys of a table.
    fn range(&self, sum: &str, table: TableId) -> String {
        let &Table {
            first_key,
            len_log2,
            ..
        } = &self.0.tables[table.0 as usize];
        let last_key = first_key + ((1 << len_log2) - 1);
        format!(
            "`{sum}` is in `{}`: {first_key} to {last_key}",
            self.table(table)
        )
    }

    fn exact(&self, it: &Exact) -> Vec<String> {
        let axes = axes(it.accumulator.shape.len());
        let (output, sum) = (self.column(it.output, &axes), self.sum(&it.accumulator));
        vec![format!("`{output} = {sum}`")]
    }

    fn reshape(&self, it: &Reshape) -> Vec<String> {
        let output = &self.0.columns[it.output.0 as usize];
        let (output, sum) = (
            self.column(it.output, &axes(output.shape.len())),
            self.sum(&it.accumulator),
        );
        vec![format!("`{output} = {sum}`, with axes merged")]
    }

    fn row_max(&self, it: &RowMax) -> Vec<String> {
        let axes = axes(it.scores.shape.len());
        let (last, rows) = axes
            .split_last()
            .map_or(("", &[][..]), |(last, rows)| (last, rows));
        let (max, scores) = (self.column(it.max, rows), self.sum(&it.scores));
        let [exp, hit] = [it.exp, it.hit].map(|column| self.column(column, &axes));
        let table = self.table(it.table);
        vec![
            format!("`{max} = max over {last} of {scores}`"),
            format!("`({exp}, {hit}) = {table}({max} - ({scores}))`"),
        ]
    }

    fn quotient(&self, it: &Quotient) -> Vec<String> {
        let axes = axes(it.denominator.shape.len());
        let quotient = self.column(it.quotient, &axes);
        let sum = self.sum(&it.denominator);
        vec![format!("`{quotient} = floor({} / ({sum}))`", it.numerator)]
    }

    fn round(&self, it: &Round) -> Vec<String> {
        let axes = axes(it.accumulator.shape.len());
        let (y, sum) = (self.column(it.output, &axes), self.sum(&it.accumulator));
        vec![format!("`{y} = round(({sum}) / 2^{})`", it.shift)]
    }

    fn normalize(&self, it: &Normalize) -> Vec<String> {
        let axes = axes(it.accumulator.shape.len());
        let [exponent, power, m] =
            [it.exponent, it.power, it.mantissa].map(|column| self.column(column, &axes));
        let table = |table: TableId| &self.0.tables[table.0 as usize];
        let first_key = table(it.table).first_key;
        let powers = match it.times {
            1 => power,
            times => format!("{power}^{times}"),
        };
        let sum = self.sum(&it.accumulator);
        let outputs = [&[it.power], &*it.factors].concat();
        let shifted = format!("({sum}) * {powers} / 2^{}", it.shift);
        let mut lines = vec![format!(
            "`{exponent} = min e of which floor({shifted}) is below 2^{}`",
            table(it.table).len_log2
        )];
        lines.extend(self.mapped(&outputs, it.exponents, &exponent, &axes));
        lines.push(format!("`{m} = floor({shifted}) - {}`", -first_key));
        lines.extend(self.mapped(&it.mapped, it.table, &m, &axes));
        lines
    }

    fn division(&self, it: &Division) -> Vec<String> {
        let axes = axes(it.numerator.shape.len());
        let quotient = self.column(it.quotient, &axes);
        let (numerator, divisor) = (self.sum(&it.numerator), self.sum(&it.divisor));
        vec![format!("`{quotient} = floor(({numerator}) / ({divisor}))`")]
    }

    fn one_hot(&self, it: &OneHot) -> Vec<String> {
        let axes = axes(it.index.shape.len() + 1);
        let value = axes.last().map_or("", |&value| value);
        let (hot, index) = (self.column(it.hot, &axes), self.sum(&it.index));
        vec![format!("`{hot} = 1 if {value} = {index} else 0`")]
    }
}

/// `a`, `b`, ...: the first `len` axes.
fn axes(len: usize) -> Vec<&'static str> {
    (0..len).map(letter).collect()
}

fn letter(axis: usize) -> &'static str {
    const LOWER: [&str; 16] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p",
    ];
    const { assert!(LOWER.len() == LETTERS.len()) };
    LOWER.get(axis).copied().unwrap_or("_")
}

/// `name[a, b]`; for a single element just the name.
fn indexed<T: AsRef<str>>(name: &str, index: &[T]) -> String {
    let index: Vec<&str> = index.iter().map(AsRef::as_ref).collect();
    if index.is_empty() {
        name.into()
    } else {
        format!("{name}[{}]", index.join(", "))
    }
}

/// Knows the names of columns and tables.
struct Speaker<'a>(&'a Model);

impl Speaker<'_> {
    fn name(&self, column: ColumnId) -> String {
        quoted(&self.0.columns[column.0 as usize].name)
    }

    fn table(&self, table: TableId) -> String {
        quoted(&self.0.tables[table.0 as usize].name)
    }

    fn column<T: AsRef<str>>(&self, column: ColumnId, index: &[T]) -> String {
        indexed(&self.name(column), index)
    }

    fn mapped(&self, mapped: &[ColumnId], table: TableId, key: &str, axes: &[&str]) -> Vec<String> {
        let outputs: Vec<String> = mapped
            .iter()
            .map(|&column| self.column(column, axes))
            .collect();
        match outputs.as_slice() {
            [] => Vec::new(),
            [output] => vec![format!("`{output} = {}({key})`", self.table(table))],
            outputs => vec![format!(
                "`({}) = {}({key})`",
                outputs.join(", "),
                self.table(table)
            )],
        }
    }

    fn sum(&self, accumulator: &Accumulator) -> String {
        let axes = axes(accumulator.shape.len());
        let columns = accumulator
            .columns
            .iter()
            .map(|&(factor, id)| (factor, self.column(id, &axes)));
        let terms = accumulator
            .terms
            .iter()
            .map(|term| (term.coefficient, self.term(term, axes.len())));
        let summands: Vec<(i64, String)> = columns.chain(terms).collect();
        let mut text = String::new();
        for (i, (factor, summand)) in summands.iter().take(SUMMANDS).enumerate() {
            text += match (i, *factor < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            text += &match (factor.unsigned_abs(), summand.as_str()) {
                (1, "") => "1".into(),
                (1, summand) => summand.into(),
                (factor, "") => factor.to_string(),
                (factor, summand) => format!("{factor} {summand}"),
            };
        }
        match summands.len() {
            0 => "0".into(),
            len if len > SUMMANDS => format!("{text} + ({} more)", len - SUMMANDS),
            _ => text,
        }
    }

    /// Without its coefficient; empty for a mere constant.
    fn term(&self, term: &Term, outputs: usize) -> String {
        let product: Vec<String> = term.operands.iter().map(|view| self.view(view)).collect();
        let summed = (outputs..).zip(term.summed.iter());
        let summed: Vec<String> = summed
            .map(|(axis, len)| format!("{} < {len}", letter(axis)))
            .collect();
        let product = product.join(" * ");
        match (summed.is_empty(), product.is_empty()) {
            (true, _) => product,
            (false, true) => format!("sum({}) 1", summed.join(", ")),
            (false, false) => format!("sum({}) ({product})", summed.join(", ")),
        }
    }

    fn view(&self, view: &View) -> String {
        let index: Vec<String> = view.index.iter().map(affine).collect();
        self.column(view.column, &index)
    }
}

/// `2a + c - 1`.
fn affine(map: &AxisMap) -> String {
    let mut text = String::new();
    for &(axis, stride) in map.strides.iter() {
        text += match (text.is_empty(), stride < 0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        if stride.unsigned_abs() != 1 {
            text += &stride.unsigned_abs().to_string();
        }
        text += letter(axis.into());
    }
    match (text.is_empty(), map.offset) {
        (true, offset) => offset.to_string(),
        (false, 0) => text,
        (false, offset) if offset < 0 => format!("{text} - {}", offset.unsigned_abs()),
        (false, offset) => format!("{text} + {offset}"),
    }
}

/// A name that may stand between backticks, in a line of a table.
pub fn quoted(name: &str) -> String {
    name.replace(['`', '\n', '\r'], "'").replace('|', "¦")
}
