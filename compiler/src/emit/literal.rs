//! Values of the model's types as Rust expressions.
//!
//! The types derive [`Serialize`]; that is enough to write them as struct literals, so that a new relation needs
//! nothing here. Columns and tables become names, plain axis maps become letters.

use std::fmt::{self, Display};

use proc_macro2::{Ident, Literal};
use serde::ser::{self, Serialize};
use zkiln_runtime::codegen::LETTERS;
use zkiln_runtime::model::{Accumulator, Column, ColumnId, ColumnKind, Model, Port, Table};
use zkiln_runtime::relations::Relation;

use crate::emit::layout::Layout;

/// What generated code calls the parts of the model.
pub struct Symbols {
    /// Constant in `mod column` of each column.
    pub columns: Vec<Ident>,
    /// Constant in `mod table` of each table.
    pub tables: Vec<Ident>,
    /// Constant of each node's relation.
    pub nodes: Vec<Ident>,
    /// Constant of each output's accumulator, unless a node's value is the output.
    pub outputs: Vec<Option<Ident>>,
}

/// Type of a node's constant, and its value.
pub fn relation(relation: &Relation, symbols: &Symbols) -> (&'static str, Layout) {
    let (_, _, inner) = variant(relation);
    let Value::Struct(name, _) = &*inner else {
        unreachable!("a relation is a variant around a struct");
    };
    (name, inner.layout(symbols))
}

/// An accumulator.
pub fn accumulator(accumulator: &Accumulator, symbols: &Symbols) -> Layout {
    Value::of(accumulator).layout(symbols)
}

/// `witness("x", &[1, 4])` or `constant("fc.weight", &[4, 8])` for each column.
pub fn columns(model: &Model) -> Vec<Layout> {
    let column = |column: &Column| {
        let shape = Layout::slice(column.shape.iter().map(Layout::word));
        let name = Layout::word(Literal::string(&column.name));
        match column.kind {
            ColumnKind::Witness => Layout::call("witness", [name, shape]),
            ColumnKind::Constant => Layout::call("constant", [name, shape]),
            ColumnKind::Structural(structure) => {
                let formula = Layout::word(format!("Structure::{structure:?}"));
                Layout::call("structural", [name, shape, formula])
            }
        }
    };
    model.columns.iter().map(column).collect()
}

/// `table("relu", -128..128, &[column::TABLE_RELU], column::TABLE_RELU_MULTIPLICITIES)` for each table.
pub fn tables(model: &Model, symbols: &Symbols) -> Vec<Layout> {
    let table = |table: &Table| {
        let name = Layout::word(Literal::string(&table.name));
        let end = table.first_key + (1 << table.len_log2);
        let keys = Layout::word(format!("{}..{end}", table.first_key));
        let id = |id: &ColumnId| Value::of(id).layout(symbols);
        let outputs = Layout::slice(table.outputs.iter().map(id));
        let parts = [name, keys, outputs, id(&table.multiplicities)];
        match &table.barred {
            None => Layout::call("table", parts),
            Some(barred) => Layout::call("partial_table", parts.into_iter().chain([id(barred)])),
        }
    };
    model.tables.iter().map(table).collect()
}

/// The model, of which columns, tables, nodes and outputs are constants.
pub fn model(model: &Model, symbols: &Symbols) -> Layout {
    let Value::Struct(name, fields) = Value::of(model) else {
        unreachable!("a model is a struct");
    };
    let fields = fields.iter().map(|(field, value)| match *field {
        "columns" => (*field, Layout::word("list(COLUMNS)")),
        "tables" => (*field, Layout::word("list(TABLES)")),
        "nodes" => (*field, nodes(model, symbols)),
        "outputs" => (*field, outputs(model, symbols)),
        _ => (*field, value.layout(symbols)),
    });
    Layout::structure(name, fields)
}

fn outputs(model: &Model, symbols: &Symbols) -> Layout {
    let port = |(port, constant): (&Port, &Option<Ident>)| {
        let Value::Struct(name, fields) = Value::of(port) else {
            unreachable!("a port is a struct");
        };
        let fields = fields.iter().map(|(field, value)| match constant {
            Some(constant) if *field == "value" => (*field, Layout::word(constant)),
            _ => (*field, value.layout(symbols)),
        });
        Layout::structure(name, fields)
    };
    Layout::list(model.outputs.iter().zip(&symbols.outputs).map(port))
}

fn nodes(model: &Model, symbols: &Symbols) -> Layout {
    let nodes = model.nodes.iter().zip(&symbols.nodes);
    Layout::list(nodes.map(|(node, constant)| {
        let (relation, variant, _) = variant(&node.relation);
        let relation = Layout::word(format!("{relation}::{variant}({constant})"));
        let name = Value::Text(node.name.to_string()).layout(symbols);
        Layout::structure("Node", [("name", name), ("relation", relation)])
    }))
}

/// Names of the enum and the variant, and what is in it.
fn variant(relation: &Relation) -> (&'static str, &'static str, Box<Value>) {
    match Value::of(relation) {
        Value::Variant(relation, variant, inner) => (relation, variant, inner),
        _ => unreachable!("a relation is a variant around a struct"),
    }
}

/// A serialized value.
enum Value {
    Integer(i128),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Struct(&'static str, Vec<(&'static str, Value)>),
    Wrapper(&'static str, Box<Value>),
    Unit(&'static str, &'static str),
    Variant(&'static str, &'static str, Box<Value>),
    Option(Option<Box<Value>>),
}

impl Value {
    fn of(value: &impl Serialize) -> Self {
        value
            .serialize(Tree)
            .expect("the model's types are plain data")
    }

    fn layout(&self, symbols: &Symbols) -> Layout {
        let call = |name: &str, inner: &Self| Layout::call(name, [inner.layout(symbols)]);
        match self {
            Self::Integer(value) => Layout::word(value),
            Self::Bool(value) => Layout::word(value),
            Self::Text(text) => Layout::word(format!("name({})", Literal::string(text))),
            Self::List(values) => Layout::list(values.iter().map(|value| value.layout(symbols))),
            Self::Tuple(values) => {
                Layout::call("", values.iter().map(|value| value.layout(symbols)))
            }
            Self::Struct("AxisMap", fields) => axis_map(fields, symbols),
            Self::Struct(name, fields) => {
                let fields = fields
                    .iter()
                    .map(|(field, value)| (*field, value.layout(symbols)));
                Layout::structure(name, fields)
            }
            Self::Wrapper("ColumnId", id) => {
                Layout::word(format!("column::{}", symbols.columns[id.index()]))
            }
            Self::Wrapper("TableId", id) => {
                Layout::word(format!("table::{}", symbols.tables[id.index()]))
            }
            Self::Wrapper(name, inner) => call(name, inner),
            Self::Unit(name, variant) => Layout::word(format!("{name}::{variant}")),
            Self::Variant(name, variant, inner) => call(&format!("{name}::{variant}"), inner),
            Self::Option(None) => Layout::word("None"),
            Self::Option(Some(inner)) => call("Some", inner),
        }
    }

    fn index(&self) -> usize {
        match self {
            Self::Integer(value) => usize::try_from(*value).expect("an index"),
            _ => unreachable!("identifiers wrap an integer"),
        }
    }
}

/// `C` for axis 2 as it is, `affine(-1, &[(0, 2), (2, 1)])` for anything else.
fn axis_map(fields: &[(&'static str, Value)], symbols: &Symbols) -> Layout {
    let [("offset", offset), ("strides", Value::List(strides))] = fields else {
        unreachable!("an axis map has an offset and strides");
    };
    if let (Value::Integer(0), [Value::Tuple(pair)]) = (offset, strides.as_slice())
        && let [axis, Value::Integer(1)] = pair.as_slice()
        && let Some(letter) = LETTERS.get(axis.index())
    {
        return Layout::word(letter);
    }
    let strides = Layout::slice(strides.iter().map(|pair| pair.layout(symbols)));
    Layout::call("affine", [offset.layout(symbols), strides])
}

/// Serializes into a [`Value`].
struct Tree;

/// What the model's types do not contain.
#[derive(Debug)]
struct Unsupported(String);

impl Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

impl ser::Error for Unsupported {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn unsupported(kind: &str) -> Result<Value, Unsupported> {
    Err(Unsupported(format!("{kind} has no literal")))
}

macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<Value, Unsupported> {
            Ok(Value::Integer(value.into()))
        })*
    };
}

impl ser::Serializer for Tree {
    type Ok = Value;
    type Error = Unsupported;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = ser::Impossible<Value, Unsupported>;
    type SerializeTupleVariant = ser::Impossible<Value, Unsupported>;
    type SerializeMap = ser::Impossible<Value, Unsupported>;
    type SerializeStruct = Fields;
    type SerializeStructVariant = ser::Impossible<Value, Unsupported>;

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64
    );

    fn serialize_bool(self, value: bool) -> Result<Value, Unsupported> {
        Ok(Value::Bool(value))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Unsupported> {
        Ok(Value::Text(value.into()))
    }

    fn serialize_f32(self, _: f32) -> Result<Value, Unsupported> {
        unsupported("a float")
    }

    fn serialize_f64(self, _: f64) -> Result<Value, Unsupported> {
        unsupported("a float")
    }

    fn serialize_char(self, _: char) -> Result<Value, Unsupported> {
        unsupported("a character")
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Value, Unsupported> {
        unsupported("a byte string")
    }

    fn serialize_unit(self) -> Result<Value, Unsupported> {
        unsupported("the unit")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, Unsupported> {
        unsupported(name)
    }

    fn serialize_none(self) -> Result<Value, Unsupported> {
        Ok(Value::Option(None))
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Value, Unsupported> {
        Ok(Value::Option(Some(Box::new(value.serialize(Tree)?))))
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Unsupported> {
        Ok(Value::Unit(name, variant))
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, Unsupported> {
        Ok(Value::Wrapper(name, Box::new(value.serialize(Tree)?)))
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Unsupported> {
        Ok(Value::Variant(
            name,
            variant,
            Box::new(value.serialize(Tree)?),
        ))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Unsupported> {
        Ok(Items {
            values: Vec::new(),
            close: Value::List,
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Unsupported> {
        Ok(Items {
            values: Vec::new(),
            close: Value::Tuple,
        })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields, Unsupported> {
        Ok(Fields {
            name,
            values: Vec::new(),
        })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unsupported> {
        Err(Unsupported(format!("{name} has no literal")))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unsupported> {
        Err(Unsupported(format!("{name} has no literal")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unsupported> {
        Err(Unsupported("a map has no literal".into()))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unsupported> {
        Err(Unsupported(format!("{name} has no literal")))
    }
}

/// Elements of a list or tuple.
struct Items {
    values: Vec<Value>,
    close: fn(Vec<Value>) -> Value,
}

impl ser::SerializeSeq for Items {
    type Ok = Value;
    type Error = Unsupported;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unsupported> {
        self.values.push(value.serialize(Tree)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Unsupported> {
        Ok((self.close)(self.values))
    }
}

impl ser::SerializeTuple for Items {
    type Ok = Value;
    type Error = Unsupported;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unsupported> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Value, Unsupported> {
        ser::SerializeSeq::end(self)
    }
}

/// Fields of a struct.
struct Fields {
    name: &'static str,
    values: Vec<(&'static str, Value)>,
}

impl ser::SerializeStruct for Fields {
    type Ok = Value;
    type Error = Unsupported;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        field: &'static str,
        value: &T,
    ) -> Result<(), Unsupported> {
        self.values.push((field, value.serialize(Tree)?));
        Ok(())
    }

    fn end(self) -> Result<Value, Unsupported> {
        Ok(Value::Struct(self.name, self.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::format_ident;
    use zkiln_runtime::codegen::{AxisMap, Term, View, affine, list};

    #[test]
    fn terms_read_like_einsums() {
        let symbols = Symbols {
            columns: vec![format_ident!("X"), format_ident!("W")],
            tables: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
        };
        const ROW: AxisMap = affine(0, &[(0, 1)]);
        let view = |column, map| View {
            column: ColumnId(column),
            index: vec![ROW, map].into(),
        };
        let term = Term {
            coefficient: -3,
            summed: list(&[4]),
            operands: vec![
                view(0, affine(0, &[(2, 1)])),
                view(1, affine(-1, &[(1, 2), (2, 1)])),
            ]
            .into(),
        };
        let expected = "Term {
    coefficient: -3,
    summed: list(&[4]),
    operands: list(&[
        View { column: column::X, index: list(&[A, C]) },
        View { column: column::W, index: list(&[A, affine(-1, &[(1, 2), (2, 1)])]) },
    ]),
}";
        assert_eq!(Value::of(&term).layout(&symbols).print(0, 0), expected);
    }
}
