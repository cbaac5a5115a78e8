//! Value ranges: the float model is run on samples, and every node of our graph learns what it may hold.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::f64::consts::TAU;

use tract_onnx::prelude::{OutletId, TValue};

use crate::float::FloatModel;
use crate::graph::{Dtype, Graph, NodeId, Op, Tensor};
use crate::import::tensors::from_tract;
use crate::interpret;
use crate::{CompileError, Options};

/// Number of synthetic samples.
const SYNTHETIC_SAMPLES: usize = 8;

/// Sets the ranges and statistics of all nodes from the options' samples, or from [`synthetic_inputs`]. `origins` has, for each
/// node, the tract value with the same elements.
///
/// # Errors
/// [`CompileError::Samples`] where a sample does not fit the model.
pub(crate) fn calibrate(
    graph: &mut Graph,
    origins: &[Option<OutletId>],
    float: &FloatModel,
    options: &Options,
) -> Result<(), CompileError> {
    let given: Vec<Vec<Tensor>> = options
        .samples
        .iter()
        .map(|sample| {
            sample
                .iter()
                .map(|t| Tensor {
                    shape: t.shape.clone(),
                    data: t.data.clone(),
                })
                .collect()
        })
        .collect();
    let samples = if given.is_empty() {
        synthetic_inputs(graph, SYNTHETIC_SAMPLES)
    } else {
        given
    };
    let wanted: HashSet<OutletId> = origins.iter().flatten().copied().collect();
    for sample in &samples {
        check_indices(graph, sample)?;
        let mut observed = HashMap::new();
        float.run_observed(sample, |node, values| {
            let outlets = values
                .iter()
                .enumerate()
                .map(|(slot, v)| (OutletId::new(node.id, slot), v.clone()));
            observed.extend(outlets.filter(|(outlet, _)| wanted.contains(outlet)));
        })?;
        let computed = graph
            .inputs
            .iter()
            .copied()
            .zip(sample.iter().cloned())
            .collect();
        let seen = Observation {
            graph,
            origins,
            observed,
            computed,
        }
        .nodes()?;
        for (node, seen) in graph.nodes.iter_mut().zip(seen) {
            node.range = (
                node.range.0.min(seen.range.0),
                node.range.1.max(seen.range.1),
            );
            node.stats
                .resize(seen.stats.len(), (f64::INFINITY, f64::NEG_INFINITY));
            for (all, one) in node.stats.iter_mut().zip(seen.stats) {
                *all = (all.0.min(one.0), all.1.max(one.1));
            }
        }
    }
    Ok(())
}

/// One node's range and statistics in one sample.
struct Seen {
    range: (f64, f64),
    stats: Vec<(f64, f64)>,
}

/// What one sample shows.
struct Observation<'a> {
    graph: &'a Graph,
    origins: &'a [Option<OutletId>],
    observed: HashMap<OutletId, TValue>,
    computed: HashMap<NodeId, Tensor>,
}

impl Observation<'_> {
    fn nodes(mut self) -> Result<Vec<Seen>, CompileError> {
        (0..self.graph.nodes.len())
            .map(|id| self.node(id))
            .collect()
    }

    fn node(&mut self, id: NodeId) -> Result<Seen, CompileError> {
        let node = &self.graph.nodes[id];
        let range = match self.value(id)? {
            Some(value) => value.range(),
            None => {
                let operand = |i: &NodeId| Ok(self.value(*i)?.expect("operands come first"));
                let operands = node
                    .inputs
                    .iter()
                    .map(operand)
                    .collect::<Result<Vec<_>, CompileError>>()?;
                let operands: Vec<&Tensor> = operands.iter().map(|o| &**o).collect();
                let value = interpret::evaluate_node(node, &operands);
                let range = value.range();
                self.computed.insert(id, value);
                range
            }
        };
        let stats = match (&node.op, node.inputs.first()) {
            (Op::Softmax { .. } | Op::RmsNorm { .. }, Some(operand)) => {
                let operand = self.value(*operand)?.expect("operands come first");
                let values = interpret::intermediate_values(&node.op, &operand);
                let bounds = |v: &Vec<f64>| {
                    v.iter()
                        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, g), x| {
                            (x.min(l), x.max(g))
                        })
                };
                values.iter().map(bounds).collect()
            }
            _ => Vec::new(),
        };
        Ok(Seen { range, stats })
    }

    /// A node's value, if it is a constant, or tract has it, or it was computed.
    fn value(&self, id: NodeId) -> Result<Option<Cow<'_, Tensor>>, CompileError> {
        let node = &self.graph.nodes[id];
        if let Some(tensor) = node.constant() {
            return Ok(Some(Cow::Borrowed(tensor)));
        }
        if let Some(value) = self.origins[id].and_then(|o| self.observed.get(&o)) {
            let mut tensor = from_tract(value)
                .map_err(|e| CompileError::Samples(format!("`{}`: {e}", node.name)))?;
            tensor.shape = node.shape.clone();
            return Ok(Some(Cow::Owned(tensor)));
        }
        Ok(self.computed.get(&id).map(Cow::Borrowed))
    }
}

/// For each model input, the least length of the axes it picks from: the numbers it may hold are below.
fn index_limits(graph: &Graph) -> Vec<Option<usize>> {
    let mut limits = vec![None; graph.inputs.len()];
    for node in &graph.nodes {
        let Op::Gather { axis } = node.op else {
            continue;
        };
        let length = graph.nodes[node.inputs[0]].shape[axis];
        let mut stack = vec![node.inputs[1]];
        while let Some(id) = stack.pop() {
            let source = &graph.nodes[id];
            match source.op {
                Op::Input(_) => {
                    if let Some(i) = graph.inputs.iter().position(|input| *input == id) {
                        limits[i] =
                            Some(limits[i].map_or(length, |limit: usize| limit.min(length)));
                    }
                }
                Op::Reshape
                | Op::Transpose { .. }
                | Op::Slice { .. }
                | Op::Concat { .. }
                | Op::Broadcast => {
                    stack.extend(&source.inputs);
                }
                Op::Gather { .. } => stack.push(source.inputs[0]),
                _ => (),
            }
        }
    }
    limits
}

fn check_indices(graph: &Graph, sample: &[Tensor]) -> Result<(), CompileError> {
    for ((id, limit), tensor) in graph.inputs.iter().zip(index_limits(graph)).zip(sample) {
        let Some(limit) = limit else { continue };
        if let Some(v) = tensor
            .data
            .iter()
            .find(|v| !(0.0..limit as f64).contains(v))
        {
            let name = &graph.nodes[*id].name;
            return Err(CompileError::Samples(format!(
                "input `{name}` picks row {v} of {limit}"
            )));
        }
    }
    Ok(())
}

/// Reproducible samples: floats standard normal and uniform in `[0, 1)` by turns; integers that pick, uniform over what they
/// pick from; other integers and booleans 0 or 1, and all 1 in every other sample.
pub fn synthetic_inputs(graph: &Graph, count: usize) -> Vec<Vec<Tensor>> {
    let mut random = Random(0x5eed);
    let limits = index_limits(graph);
    (0..count)
        .map(|number| {
            let draw =
                |random: &mut Random, dtype: Dtype, limit: Option<usize>| match (dtype, limit) {
                    (_, Some(limit)) => (random.uniform() * limit as f64).floor(),
                    (Dtype::Float32, None) if number % 2 == 0 => random.normal(),
                    (Dtype::Float32, None) => random.uniform(),
                    (_, None) if number % 2 == 0 => 1.0,
                    (_, None) => (random.uniform() * 2.0).floor(),
                };
            let tensor = |(id, limit): (&NodeId, &Option<usize>)| {
                let node = &graph.nodes[*id];
                let Op::Input(dtype) = node.op else {
                    unreachable!("graph inputs are inputs")
                };
                let data = (0..node.volume())
                    .map(|_| draw(&mut random, dtype, *limit))
                    .collect();
                Tensor::new(node.shape.clone(), data)
            };
            graph.inputs.iter().zip(&limits).map(tensor).collect()
        })
        .collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box, Muller 1958), rounded to `f32`.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        (radius * (TAU * self.uniform()).cos()) as f32 as f64
    }
}
