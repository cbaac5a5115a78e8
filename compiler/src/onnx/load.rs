//! ONNX bytes to tract's decluttered graph with concrete shapes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::tract_itertools::Itertools;
use tract_onnx::prelude::*;

use crate::diagnostic::caught;
use crate::error::CompileError;
use crate::graph::limits::volume;
use crate::onnx::analyze::{Analyzed, analyze, load_error, quietly};
use crate::onnx::canonical::{self, Fault, functions, sequences};
use crate::onnx::loaded::{Loaded, model_digest, read};
use crate::onnx::malformed;
use crate::onnx::sizes;
use crate::onnx::tensors::port_dtype;
use crate::onnx::unsupported;
use crate::onnx::{dimensions, freeze};
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

/// Decodes the bytes of a file, and inlines its functions.
pub fn parse(bytes: &[u8], path: &str) -> Result<ModelProto, CompileError> {
    let mut read = bytes;
    let decoded = quietly(|| tract_onnx::onnx().proto_model_for_read(&mut read));
    let mut model = decoded.map_err(|e| load_error(path, &e))?;
    functions::inline(&mut model, bytes).map_err(|fault| fault.of(path))?;
    Ok(model)
}

/// Loads a decoded model; `folder` holds its external data.
pub fn from_proto(
    mut proto: ModelProto,
    folder: Option<&str>,
    path: &str,
    options: &Options,
) -> Result<Loaded, CompileError> {
    if proto.graph.is_none() {
        return Err(Fault::File("it has no graph".into()).of(path));
    }
    canonical::bring(&mut proto, folder).map_err(|fault| fault.of(path))?;
    let graph = proto.graph.get_or_insert_default();
    let output_names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let onnx_nodes = graph.node.len() as u64;
    make_static(&mut proto, options).map_err(|fault| fault.of(path))?;
    let Analyzed { model, diagnostics } = analyze(&mut proto, folder, path)?;
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

/// Gives all dimensions a length, puts tensors in place of sequences, and refuses what tract would never return from.
fn make_static(proto: &mut ModelProto, options: &Options) -> Result<(), Fault> {
    let own = proto
        .opset_import
        .iter()
        .find(|import| import.domain.is_empty());
    let version = own.map_or(1, |import| import.version);
    let graph = proto.graph.get_or_insert_default();
    compute_outputs(graph);
    let bound = sizes::check_expressions(graph)
        .and_then(|()| caught(|| dimensions::bind(graph, options)).flatten());
    bound.map_err(Fault::File)?;
    freeze::freeze(graph, options).map_err(Fault::File)?;
    dimensions::fix_empty(graph);
    sequences::resolve(graph, version)?;
    match malformed::nodes(graph) {
        malformed if malformed.is_empty() => Ok(()),
        malformed => Err(Fault::Nodes(malformed)),
    }
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
