//! ONNX bytes to tract's decluttered graph with concrete shapes.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use tract_onnx::dim_expr::parse_onnx_dim;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, type_proto};
use tract_onnx::prelude::tract_itertools::Itertools;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::SymbolScope;

use crate::diagnostic::caught;
use crate::error::CompileError;
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::onnx::decompose::expansion::{self, Diagnostics};
use crate::onnx::loaded::{Loaded, model_digest, read};
use crate::onnx::malformed;
use crate::onnx::sizes;
use crate::onnx::tensors::port_dtype;
use crate::onnx::translate::inside::translate_inside;
use crate::onnx::unsupported;
use crate::options::Options;
use crate::ports::Port;

/// Loads a file, with its external data beside it.
pub fn from_path(path: &Path, options: &Options) -> Result<Loaded, CompileError> {
    let shown = path.display().to_string();
    let bytes = read(path)?;
    if let Some(settings) = &options.settings {
        settings.check_model(&model_digest(&bytes, path)?, path)?;
    }
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let proto = parse(&bytes, &shown)?;
    drop(bytes);
    from_proto(proto, folder.to_str(), &shown, options)
}

/// Loads the bytes of a file without external data.
pub fn from_bytes(bytes: &[u8], path: &str, options: &Options) -> Result<Loaded, CompileError> {
    from_proto(parse(bytes, path)?, None, path, options)
}

/// Decodes the bytes of a file.
pub fn parse(mut bytes: &[u8], path: &str) -> Result<ModelProto, CompileError> {
    quietly(|| tract_onnx::onnx().proto_model_for_read(&mut bytes))
        .map_err(|e| load_error(path, &e))
}

/// Loads a decoded model; `folder` holds its external data.
pub fn from_proto(
    mut proto: ModelProto,
    folder: Option<&str>,
    path: &str,
    options: &Options,
) -> Result<Loaded, CompileError> {
    let Some(graph) = proto.graph.as_mut() else {
        return Err(CompileError::Load {
            path: path.into(),
            reason: "it has no graph".into(),
        });
    };
    let output_names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let onnx_nodes = graph.node.len() as u64;
    compute_outputs(graph);
    let bound = sizes::check_expressions(graph)
        .and_then(|()| caught(|| bind_dimensions(graph, options)).flatten());
    bound.map_err(|reason| CompileError::Load {
        path: path.into(),
        reason,
    })?;
    let malformed = malformed::nodes(graph);
    if !malformed.is_empty() {
        return Err(CompileError::Nodes(malformed));
    }
    let diagnostics = Diagnostics::default();
    let onnx = expansion::front_end(graph);
    let parsed = quietly(|| onnx.parse(&proto, folder));
    // tract has its own copy now.
    for tensor in proto.graph.iter_mut().flat_map(|g| &mut g.initializer) {
        tensor.raw_data = Default::default();
        tensor.float_data = Vec::new();
    }
    let analyzed = quietly(|| {
        let mut parsed = parsed?;
        expansion::connect(&mut parsed.model, &diagnostics, translate_inside);
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(TractError::msg(format!("nothing computes `{name}`")));
        }
        let model = parsed.model.into_typed()?;
        sizes::check_tensors(&model)?;
        let model = model.into_decluttered()?;
        sizes::check_tensors(&model)?;
        Ok(model)
    });
    let diagnostics = diagnostics.take();
    let model = match analyzed {
        Ok(model) => model,
        Err(_) if !diagnostics.is_empty() => return Err(CompileError::Nodes(diagnostics)),
        Err(e) => return Err(load_error(path, &e)),
    };
    let graph = proto.graph.as_ref().expect("checked above");
    let initialized: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let input_names = graph
        .input
        .iter()
        .map(|i| i.name.clone())
        .filter(|n| !initialized.contains(n.as_str()));
    let inputs = ports(&model, &model.inputs, input_names).map_err(|e| load_error(path, &e))?;
    let outputs = ports(&model, &model.outputs, output_names.into_iter())
        .map_err(|e| load_error(path, &e))?;
    Ok(Loaded {
        path: path.into(),
        inputs,
        outputs,
        operators: unsupported::operators(graph),
        names: names(graph),
        onnx_nodes,
        parameters: parameters(graph),
        diagnostics,
        model: Arc::new(model),
    })
}

/// [`CompileError::Load`] with tract's chain of reasons.
pub fn load_error(path: &str, error: &TractError) -> CompileError {
    CompileError::Load {
        path: path.into(),
        reason: format!("{error:#}"),
    }
}

/// tract panics on some malformed models; we report that like any other error.
fn quietly<T>(work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    let panicked = |panic| TractError::msg(format!("tract panicked: {panic}"));
    caught(work).unwrap_or_else(|panic| Err(panicked(panic)))
}

fn ports(
    model: &TypedModel,
    outlets: &[OutletId],
    names: impl Iterator<Item = String>,
) -> TractResult<Vec<Port>> {
    let names = names.collect_vec();
    if names.len() != outlets.len() {
        return Err(TractError::msg(format!(
            "{} inputs and outputs are declared, {} found",
            names.len(),
            outlets.len()
        )));
    }
    let describe = |(outlet, name): (&OutletId, String)| {
        let fact = model.outlet_fact(*outlet)?;
        let Some(shape) = fact.shape.as_concrete() else {
            return Err(TractError::msg(format!(
                "the shape {:?} of `{name}` depends on the data",
                fact.shape
            )));
        };
        if fact.datum_type == DatumType::String {
            return Err(TractError::msg(format!(
                "`{name}` is text: remove it from the model's inputs and outputs, or export it as integers"
            )));
        }
        let Some(dtype) = port_dtype(fact.datum_type) else {
            return Err(TractError::msg(format!(
                "`{name}` has elements of type {:?}",
                fact.datum_type
            )));
        };
        Ok(Port {
            name,
            dtype,
            shape: shape.to_vec(),
        })
    };
    outlets.iter().zip(names).map(describe).collect()
}

/// Puts an `Identity` before each output that is an input: tract cannot name a value twice.
fn compute_outputs(graph: &mut GraphProto) {
    for output in &mut graph.output {
        if graph.input.iter().any(|i| i.name == output.name) {
            let computed = format!("{}.output", output.name);
            graph.node.push(NodeProto {
                op_type: "Identity".into(),
                name: computed.clone(),
                input: vec![output.name.clone()],
                output: vec![computed.clone()],
                ..Default::default()
            });
            output.name = computed;
        }
    }
}

/// Replaces the symbolic dimensions of all inputs by numbers: those of the options, else 1.
fn bind_dimensions(graph: &mut GraphProto, options: &Options) -> Result<(), String> {
    let initialized: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let mut known = BTreeSet::new();
    for input in graph
        .input
        .iter_mut()
        .filter(|i| !initialized.contains(&i.name))
    {
        let Some(type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|t| t.value.as_mut())
        else {
            continue;
        };
        for dim in tensor.shape.iter_mut().flat_map(|s| &mut s.dim) {
            let value = match &dim.value {
                Some(Dimension::DimValue(v)) if *v >= 0 => *v,
                Some(Dimension::DimParam(text)) => bind(text, options, &mut known)
                    .map_err(|e| format!("dimension `{text}` of `{}`: {e}", input.name))?,
                _ => 1,
            };
            dim.value = Some(Dimension::DimValue(value));
        }
        let lens = tensor.shape.iter().flat_map(|s| &s.dim);
        let lens = lens.filter_map(|dim| match dim.value {
            Some(Dimension::DimValue(len)) => u64::try_from(len).ok(),
            _ => None,
        });
        if volume(lens) > MOST_ELEMENTS {
            return Err(format!("the input `{}` is too large", input.name));
        }
    }
    match options
        .dimensions
        .iter()
        .find(|(name, _)| !known.contains(name))
    {
        Some((name, _)) if known.is_empty() => Err(format!(
            "it has no symbolic dimensions, so none is named `{name}`"
        )),
        Some((name, _)) => Err(format!(
            "it has no symbolic dimension named `{name}`, only `{}`",
            known.iter().join("`, `")
        )),
        None => Ok(()),
    }
}

/// The value of a dimension's expression; adds its symbols to `known`.
fn bind(text: &str, options: &Options, known: &mut BTreeSet<String>) -> Result<i64, String> {
    let chosen = |name: &str| {
        options
            .dimensions
            .iter()
            .find(|(n, _)| n == name)
            .map_or(1, |(_, v)| *v as i64)
    };
    let scope = SymbolScope::default();
    let Ok(parsed) = parse_onnx_dim(&scope, text) else {
        known.insert(text.to_string());
        return Ok(chosen(text));
    };
    let mut values = SymbolValues::default();
    for symbol in parsed.symbols() {
        let name = symbol.to_string();
        values.set(&symbol, chosen(&name));
        known.insert(name);
    }
    let value = parsed
        .eval(&values)
        .to_i64()
        .map_err(|e| format!("{e:#}"))?;
    if value < 0 {
        Err(format!("is {value}"))
    } else {
        Ok(value)
    }
}

fn names(graph: &GraphProto) -> HashSet<String> {
    let nodes = graph
        .node
        .iter()
        .flat_map(|n| std::iter::once(&n.name).chain(&n.output));
    let tensors = graph.initializer.iter().map(|t| &t.name);
    let inputs = graph.input.iter().map(|i| &i.name);
    nodes
        .chain(tensors)
        .chain(inputs)
        .filter(|n| !n.is_empty())
        .cloned()
        .collect()
}

/// Elements of all float initializers and of `Constant` nodes that are not a single number.
fn parameters(graph: &GraphProto) -> u64 {
    let floats = [
        DataType::Float,
        DataType::Double,
        DataType::Float16,
        DataType::Bfloat16,
    ]
    .map(|t| t as i32);
    let volume = |t: &TensorProto| volume(t.dims.iter().map(|d| (*d).max(0) as u64));
    let constants = graph
        .node
        .iter()
        .filter(|n| n.op_type == "Constant")
        .flat_map(|n| &n.attribute);
    let constants = constants
        .filter_map(|a| a.t.as_ref())
        .filter(|t| volume(t) > 1);
    graph
        .initializer
        .iter()
        .chain(constants)
        .filter(|t| floats.contains(&t.data_type))
        .map(volume)
        .fold(0, u64::saturating_add)
}
