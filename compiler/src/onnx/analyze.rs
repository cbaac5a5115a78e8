//! tract's analysis of a graph, and which node is to blame where it fails.

use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::diagnostic::{Diagnostic, caught, refuse};
use crate::error::CompileError;
use crate::graph::limits::volume;
use crate::graph::names::onnx_part;
use crate::onnx::decompose::expansion::{self, Diagnostics};
use crate::onnx::translate::inside::translate_inside;
use crate::onnx::{declared, sizes, unsupported};

/// Most elements of tensors in a model of which another copy is kept until it is analyzed.
const MOST_KEPT: u64 = 1 << 22;

/// What tract makes of a graph.
pub struct Analyzed {
    /// Decluttered, with concrete shapes wherever no value decides them.
    pub model: TypedModel,
    /// What is refused, with stand-ins in the model.
    pub diagnostics: Vec<Diagnostic>,
}

/// Analyzes the graph of a model in its canonical form; the elements of its tensors are gone from it afterwards. `folder` holds external data,
/// `path` is for messages.
pub fn analyze(
    proto: &mut ModelProto,
    folder: Option<&str>,
    path: &str,
) -> Result<Analyzed, CompileError> {
    let onnx = expansion::front_end(proto.graph.get_or_insert_default());
    let parsed = quietly(|| onnx.parse(proto, folder));
    // tract has its own copy now.
    for tensor in proto.graph.iter_mut().flat_map(|g| &mut g.initializer) {
        tensor.raw_data = Default::default();
        tensor.float_data = Vec::new();
    }
    let producer = proto.producer_name.clone();
    let graph = proto.graph.get_or_insert_default();
    let diagnostics = Diagnostics::default();
    let lens = |tensor: &TensorProto| volume(tensor.dims.iter().map(|len| len.unsigned_abs()));
    let stored = graph
        .initializer
        .iter()
        .map(lens)
        .fold(0, u64::saturating_add);
    let mut unlike: Vec<Diagnostic> = Vec::new();
    let mut unanalyzed = None;
    let analyzed = quietly(|| {
        let mut parsed = parsed?;
        expansion::connect(&mut parsed.model, &diagnostics, translate_inside);
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(TractError::msg(format!("nothing computes `{name}`")));
        }
        unanalyzed = (stored <= MOST_KEPT).then(|| parsed.model.clone());
        parsed.model.analyse(true)?;
        unlike = declared::unlike(graph, &producer, |name| {
            let outlet = parsed.outlets_by_name.get(name)?;
            lengths(parsed.model.outlet_fact(*outlet).ok()?)
        });
        let model = parsed.model.into_typed()?;
        sizes::check_tensors(&model)?;
        let model = model.into_decluttered()?;
        sizes::check_tensors(&model)?;
        Ok(model)
    });
    let diagnostics = diagnostics.take();
    match analyzed {
        _ if !unlike.is_empty() => Err(CompileError::Nodes(unlike)),
        Ok(model) => Ok(Analyzed { model, diagnostics }),
        Err(_) if !diagnostics.is_empty() => Err(CompileError::Nodes(diagnostics)),
        Err(e) => {
            let panicked = e.to_string().starts_with(MALFORMED);
            let e = match unanalyzed.filter(|_| panicked) {
                Some(model) => e.context(culprit(&model)),
                None => e,
            };
            Err(blamed(graph, path, &e))
        }
    }
}

/// The lengths of a value's axes, as far as they are known.
fn lengths(fact: &InferenceFact) -> Option<declared::Lengths> {
    fact.shape.rank().concretize()?;
    let dims = fact.shape.dims();
    Some(
        dims.map(|dim| usize::try_from(dim.concretize()?.to_i64().ok()?).ok())
            .collect(),
    )
}

/// [`CompileError::Load`] with tract's chain of reasons.
pub fn load_error(path: &str, error: &TractError) -> CompileError {
    CompileError::Load {
        path: path.into(),
        reason: format!("{error:#}"),
    }
}

/// The node that tract names in an error, and its last reason; else as [`load_error`].
fn blamed(graph: &GraphProto, path: &str, error: &TractError) -> CompileError {
    let text = format!("{error:#}");
    let quoted = || {
        let (_, rest) = text.split_once("node #")?;
        let (_, rest) = rest.split_once('"')?;
        Some(rest.split_once('"')?.0)
    };
    let operators = unsupported::operators(graph);
    let known = |name: &str| operators.contains_key(name);
    let node = quoted().map(|name| onnx_part(name, known));
    match node.and_then(|node| Some((node, operators.get(node)?))) {
        None => load_error(path, error),
        Some((node, operator)) => {
            let reason = format!("its operands do not fit it: {}", error.root_cause());
            let reason = reason.trim_end_matches('.');
            let fault = refuse(reason, "correct the shapes and types in the model");
            CompileError::Nodes(vec![fault.at(node, operator)])
        }
    }
}

/// What is said of a model where tract panics.
const MALFORMED: &str = "it is not as the specification says";

/// The first node that tract cannot analyze without panicking, as tract names nodes.
fn culprit(model: &InferenceModel) -> String {
    let order = model.eval_order().unwrap_or_default();
    let counts: Vec<usize> = (1..=order.len()).collect();
    let is_sound = |count: &usize| {
        let has_result = |id: &&usize| !model.nodes[**id].outputs.is_empty();
        let outlets = order[..*count].iter().filter(has_result);
        let outlets: Vec<OutletId> = outlets.map(|id| OutletId::new(*id, 0)).collect();
        let analyzed = caught(|| {
            let mut part = model.clone().with_output_outlets(&outlets)?;
            part.compact()?;
            part.into_typed()?.into_decluttered()
        });
        analyzed.is_ok()
    };
    let last = order.get(counts.partition_point(is_sound));
    last.map_or_else(String::new, |id| {
        format!("node #{id} \"{}\"", model.nodes[*id].name)
    })
}

/// tract panics on some malformed models; we report that like any other error.
pub fn quietly<T>(work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    caught(work).unwrap_or_else(|_| Err(TractError::msg(MALFORMED)))
}
