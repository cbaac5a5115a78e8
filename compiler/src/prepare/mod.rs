//! From an analyzed ONNX file to a graph that can be lowered: translate, rewrite, calibrate.

mod diagnose;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::calibrate::ranges;
use crate::diagnostic::caught;
use crate::error::CompileError;
use crate::graph::builder::Builder;
use crate::graph::passes::{fuse, greatest, masks, negative_indices, powers, rescaling, words};
use crate::graph::{Dtype, Graph, NodeId, Op, Origin, Tensor, check, defined, names};
use crate::onnx::load;
use crate::onnx::loaded::Loaded;
use crate::onnx::reference::FloatModel;
use crate::onnx::translate::walk::{Refused, translate};
use crate::options::Options;
use crate::ports::Sample;

/// An ONNX model as we compile it, and as tract runs it.
#[derive(Debug)]
pub struct Prepared {
    /// Fused, with value ranges.
    pub graph: Graph,
    /// For each node of the graph, the value of the float reference with the same elements, if there is one.
    pub(crate) origins: Vec<Option<Origin>>,
    /// The float reference.
    pub float: FloatModel,
    /// Number of float parameters of the ONNX model.
    pub parameters: u64,
    /// Number of ONNX nodes.
    pub onnx_nodes: u64,
}

impl Prepared {
    /// Whether a node's value has integers or booleans in the ONNX model, as far as the float model knows it.
    pub(crate) fn is_integer(&self, id: NodeId) -> bool {
        match (&self.graph.nodes[id].op, self.origins[id]) {
            (Op::Input(dtype), _) => *dtype != Dtype::Float32,
            (_, Some(origin)) => self.float.is_integer(origin),
            _ => false,
        }
    }
}

/// Prepares the bytes of an ONNX file without external data; `path` is for messages.
///
/// # Errors
/// [`CompileError::Load`], else as [`prepare`].
pub fn from_bytes(bytes: &[u8], path: &str, options: &Options) -> Result<Prepared, CompileError> {
    prepare(load::from_bytes(bytes, path, options)?, options)
}

/// Prepares an analyzed model.
///
/// # Errors
/// [`CompileError::Nodes`] with everything that cannot be compiled; [`CompileError::Samples`] and [`CompileError::Settings`] where these do not
/// fit; [`CompileError::Load`] where a model that is malformed makes tract panic.
pub fn prepare(loaded: Loaded, options: &Options) -> Result<Prepared, CompileError> {
    // tract computes constants and samples, and may panic at either; so may we, before the graph is checked.
    let path = loaded.path.display().to_string();
    let prepared = caught(|| prepared(loaded, options));
    prepared.unwrap_or_else(|panic| {
        Err(CompileError::Load {
            path,
            reason: format!("it cannot be translated, please report it: {panic}"),
        })
    })
}

fn prepared(loaded: Loaded, options: &Options) -> Result<Prepared, CompileError> {
    let (mut graph, mut origins) = translate(&loaded).map_err(refused)?;
    prune(&mut graph, &mut origins);
    check::check(&graph).map_err(CompileError::Nodes)?;
    rewrite(&mut graph, &mut origins, options);
    fuse::fuse(&mut graph);
    prune(&mut graph, &mut origins);
    rescaling::raise(&mut graph);
    let float = FloatModel::new(&loaded)?;
    let negative = counted_from_end(&graph, &origins, &float, options)?;
    with_builder(&mut graph, &mut origins, |build| {
        negative_indices::wrap_negative(build, &negative);
    });
    prune(&mut graph, &mut origins);
    defined::check(&graph).map_err(CompileError::Nodes)?;
    names::distinguish(&mut graph);
    ranges::calibrate(&mut graph, &origins, &float, options)?;
    Ok(Prepared {
        graph,
        origins,
        float,
        parameters: loaded.parameters,
        onnx_nodes: loaded.onnx_nodes,
    })
}

/// What translation refused, and what else is wrong with the model.
fn refused(refused: Refused) -> CompileError {
    let mut diagnostics = refused.diagnostics;
    diagnostics.extend(diagnose::of_lowering(refused.graph));
    CompileError::Nodes(diagnostics)
}

/// Finds masks, powers and the order of softmaxes, and brings the graph in order again.
fn rewrite(graph: &mut Graph, origins: &mut Vec<Option<Origin>>, options: &Options) {
    let names: Vec<String> = graph
        .inputs
        .iter()
        .map(|id| graph.nodes[*id].name.clone())
        .collect();
    let seen = |input: usize| match &options.settings {
        Some(settings) => Some(vec![settings.flagged(&names[input]).unwrap_or(f64::NAN)]),
        None if options.samples.is_empty() => None,
        None => Some(values(&options.samples, input)),
    };
    with_builder(graph, origins, |build| {
        masks::find(build, &seen);
        powers::find(build);
        greatest::find(&mut build.graph);
        words::with_sign(&mut build.graph);
    });
    prune(graph, origins);
}

fn with_builder(
    graph: &mut Graph,
    origins: &mut Vec<Option<Origin>>,
    change: impl FnOnce(&mut Builder),
) {
    let mut build = Builder::new();
    std::mem::swap(&mut build.graph, graph);
    std::mem::swap(&mut build.origins, origins);
    change(&mut build);
    (*graph, *origins) = (build.graph, build.origins);
    origins.resize(graph.nodes.len(), None);
}

/// Inputs, and computed indices, that are negative in some sample.
fn counted_from_end(
    graph: &Graph,
    origins: &[Option<Origin>],
    float: &FloatModel,
    options: &Options,
) -> Result<HashSet<NodeId>, CompileError> {
    let mut found = HashSet::new();
    let indices = negative_indices::computed(graph);
    let origin = |id: &NodeId| {
        origins
            .get(*id)
            .copied()
            .flatten()
            .map(|origin| (*id, origin))
    };
    let indices: Vec<(NodeId, Origin)> = indices.iter().filter_map(origin).collect();
    let wanted: HashSet<Origin> = indices.iter().map(|(_, origin)| *origin).collect();
    let is_negative = |data: &[f64]| data.iter().any(|v| *v < 0.0);
    for sample in &options.samples {
        let inputs = graph.inputs.iter().zip(sample);
        found.extend(
            inputs
                .filter(|(_, tensor)| is_negative(&tensor.data))
                .map(|(id, _)| *id),
        );
        if wanted.is_empty() {
            continue;
        }
        let tensor = |sample: &Sample| Tensor::new(sample.shape.clone(), sample.data.clone());
        let observed = float.observe(&sample.iter().map(tensor).collect::<Vec<_>>(), &wanted)?;
        for (id, origin) in &indices {
            let value = observed.get(origin).and_then(|value| value.tensor().ok());
            found.extend(value.filter(|value| is_negative(&value.data)).map(|_| *id));
        }
    }
    Ok(found)
}

/// The values other than 0 that an input has in samples; of many, two.
fn values(samples: &[Vec<Sample>], input: usize) -> Vec<f64> {
    let mut values: Vec<f64> = Vec::new();
    let all = samples.iter().filter_map(|sample| sample.get(input));
    for value in all.flat_map(|tensor| &tensor.data) {
        if *value != 0.0 && !values.contains(value) && values.len() < 2 {
            values.push(*value);
        }
    }
    values
}

/// Leaves out what no output needs.
fn prune(graph: &mut Graph, origins: &mut Vec<Option<Origin>>) {
    let kept = graph.prune().into_iter();
    *origins = kept
        .map(|old| origins.get(old).copied().flatten())
        .collect();
}
