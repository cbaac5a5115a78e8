//! Symbolic dimensions of a model's inputs: their values, which a compiled model has once and for all.

use std::collections::{BTreeSet, HashMap, HashSet};

use tract_onnx::dim_expr::parse_onnx_dim;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::tract_itertools::Itertools;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::SymbolScope;

use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::options::Options;

/// Replaces the symbolic dimensions of all inputs by numbers: those of the options, else of the inputs that are given, else 1.
pub fn bind(graph: &mut GraphProto, options: &Options) -> Result<(), String> {
    let initialized: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let inputs = graph.input.iter_mut();
    let mut inputs: Vec<&mut ValueInfoProto> = inputs
        .filter(|input| !initialized.contains(&input.name))
        .collect();
    let mut symbols = Symbols::new(options);
    let mut at = 0;
    for input in &inputs {
        let frozen = options.frozen.iter().find(|(name, _)| *name == input.name);
        match frozen {
            Some((_, value)) => symbols.measure(input, value.shape.as_deref()),
            None => {
                symbols.measure(input, given_shape(at, input, options));
                at += 1;
            }
        }
    }
    for input in &mut inputs {
        bind_input(input, &mut symbols)?;
    }
    symbols.check(options)
}

/// Makes inputs without elements constants: there is nothing that could be given for them.
pub fn fix_empty(graph: &mut GraphProto) {
    for input in &graph.input {
        let Some(tensor) = tensor(input) else {
            continue;
        };
        let lens = tensor.shape.iter().flat_map(|shape| &shape.dim);
        let lens: Vec<i64> = lens
            .filter_map(|dim| match dim.value {
                Some(Dimension::DimValue(len)) => Some(len),
                _ => None,
            })
            .collect();
        let known = graph
            .initializer
            .iter()
            .any(|tensor| tensor.name == input.name);
        if lens.contains(&0) && !known {
            graph.initializer.push(TensorProto {
                name: input.name.clone(),
                dims: lens,
                data_type: tensor.elem_type,
                ..Default::default()
            });
        }
    }
}

fn tensor(input: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

/// The shape that is given for an input, by its name or its position.
fn given_shape<'o>(at: usize, input: &ValueInfoProto, options: &'o Options) -> Option<&'o [usize]> {
    let named = |(name, _): &&(Option<String>, _)| name.as_deref() == Some(&*input.name);
    let found = options.shapes.iter().find(named);
    let unnamed = options.shapes.get(at).filter(|(name, _)| name.is_none());
    found.or(unnamed).map(|(_, shape)| shape.as_slice())
}

/// What a dimension without a name is called.
fn called(input: &str, axis: usize) -> String {
    format!("{input}.{axis}")
}

fn bind_input(input: &mut ValueInfoProto, symbols: &mut Symbols) -> Result<(), String> {
    let name = input.name.clone();
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_mut().and_then(|of| of.value.as_mut())
    else {
        return Ok(());
    };
    for (axis, dim) in tensor.shape.iter_mut().flat_map(|s| &mut s.dim).enumerate() {
        let value = match &dim.value {
            Some(Dimension::DimValue(v)) if *v >= 0 => *v,
            Some(Dimension::DimParam(text)) if !text.is_empty() => symbols
                .value(text)
                .map_err(|e| format!("dimension `{text}` of `{name}`: {e}"))?,
            _ => symbols.chosen(&called(&name, axis)),
        };
        dim.value = Some(Dimension::DimValue(value));
    }
    let lens = tensor.shape.iter().flat_map(|s| &s.dim);
    let lens = lens.filter_map(|dim| match dim.value {
        Some(Dimension::DimValue(len)) => u64::try_from(len).ok(),
        _ => None,
    });
    match volume(lens) > MOST_ELEMENTS {
        true => Err(format!("the input `{name}` is too large")),
        false => Ok(()),
    }
}

/// Values of symbols.
struct Symbols {
    values: HashMap<String, i64>,
    /// Those that the model has.
    known: BTreeSet<String>,
}

impl Symbols {
    fn new(options: &Options) -> Symbols {
        let chosen = options.dimensions.iter();
        Symbols {
            values: chosen
                .map(|(name, len)| (name.clone(), *len as i64))
                .collect(),
            known: BTreeSet::new(),
        }
    }

    /// Takes values of the shape that is given for an input.
    fn measure(&mut self, input: &ValueInfoProto, shape: Option<&[usize]>) {
        let dims = tensor(input).and_then(|tensor| tensor.shape.as_ref());
        let (Some(shape), Some(dims)) = (shape, dims) else {
            return;
        };
        if shape.len() != dims.dim.len() {
            return;
        }
        for (axis, (dim, len)) in dims.dim.iter().zip(shape).enumerate() {
            let name = match &dim.value {
                Some(Dimension::DimValue(v)) if *v >= 0 => continue,
                Some(Dimension::DimParam(text)) if !text.is_empty() => text.clone(),
                _ => called(&input.name, axis),
            };
            self.values.entry(name).or_insert(*len as i64);
        }
    }

    fn chosen(&mut self, name: &str) -> i64 {
        self.known.insert(name.to_string());
        self.values.get(name).copied().unwrap_or(1)
    }

    /// The value of an expression.
    fn value(&mut self, text: &str) -> Result<i64, String> {
        let scope = SymbolScope::default();
        let Ok(parsed) = parse_onnx_dim(&scope, text) else {
            return Ok(self.chosen(text));
        };
        let mut values = SymbolValues::default();
        for symbol in parsed.symbols() {
            values.set(&symbol, self.chosen(&symbol.to_string()));
        }
        let value = parsed
            .eval(&values)
            .to_i64()
            .map_err(|e| format!("{e:#}"))?;
        match value < 0 {
            true => Err(format!("is {value}")),
            false => Ok(value),
        }
    }

    /// Refuses values of symbols that the model does not have.
    fn check(&self, options: &Options) -> Result<(), String> {
        let mut chosen = options.dimensions.iter();
        match chosen.find(|(name, _)| !self.known.contains(name)) {
            Some((name, _)) if self.known.is_empty() => Err(format!(
                "it has no symbolic dimensions, so none is named `{name}`"
            )),
            Some((name, _)) => Err(format!(
                "it has no symbolic dimension named `{name}`, only `{}`",
                self.known.iter().join("`, `")
            )),
            None => Ok(()),
        }
    }
}
