//! Value ranges: the float model is run on samples, which gives every node of our graph its range.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::f64::consts::TAU;

use rayon::prelude::*;

use crate::calibrate::picks::{Picks, check_indices, index_limits};
use crate::diagnostic::refuse;
use crate::error::CompileError;
use crate::graph::interpret;
use crate::graph::{BinaryFn, Dtype, Extent, Graph, NodeId, Op, Origin, Tensor};
use crate::onnx::reference::{FloatModel, Observed};
use crate::options::Options;
use crate::ports::Sample;

/// Number of synthetic samples.
const SYNTHETIC_SAMPLES: usize = 8;

/// Sets the ranges and statistics of all nodes from the options' settings or samples, or from [`synthetic_inputs`]. `origins` has, for each
/// node, the value of the float model with the same elements.
///
/// # Errors
/// [`CompileError::Samples`] where a sample does not fit the model; [`CompileError::Settings`] where the settings do not.
pub(crate) fn calibrate(
    graph: &mut Graph,
    origins: &[Option<Origin>],
    float: &FloatModel,
    options: &Options,
) -> Result<(), CompileError> {
    if let Some(settings) = &options.settings {
        return settings.apply(graph);
    }
    let tensor = |t: &Sample| Tensor {
        shape: t.shape.clone(),
        data: t.data.clone(),
    };
    let mut samples: Vec<Vec<Tensor>> = options
        .samples
        .iter()
        .map(|s| s.iter().map(tensor).collect())
        .collect();
    if samples.is_empty() {
        samples = synthetic_inputs(graph, SYNTHETIC_SAMPLES);
    }
    let limits = index_limits(graph);
    let given = !options.samples.is_empty();
    let observe = |sample: &Vec<Tensor>| observe(graph, origins, float, &limits, sample, given);
    let join = |mut all: Vec<Seen>, one: Vec<Seen>| -> Result<_, CompileError> {
        all.iter_mut().zip(one).for_each(|(all, one)| all.join(one));
        Ok(all)
    };
    let count = samples.len();
    let seen = samples.par_iter().map(observe).try_reduce_with(join);
    for (node, mut seen) in graph
        .nodes
        .iter_mut()
        .zip(seen.transpose()?.unwrap_or_default())
    {
        let (low, high) = seen.extent.all;
        node.range = (node.range.0.min(low), node.range.1.max(high));
        node.stats = seen.stats;
        // Columns of an input take the bits that they need, so those that differ by chance are not too narrow.
        let elements = match node.op {
            Op::Input(_) => usize::MAX,
            _ => count * node.volume(),
        };
        seen.extent.keep_uneven(elements);
        node.seen = seen.extent;
    }
    Ok(())
}

/// Ranges and statistics of every node in one sample. Those that are `given`, rather than made up, have outputs that are numbers.
fn observe(
    graph: &Graph,
    origins: &[Option<Origin>],
    float: &FloatModel,
    limits: &[Picks],
    sample: &[Tensor],
    given: bool,
) -> Result<Vec<Seen>, CompileError> {
    check_indices(graph, limits, sample)?;
    let mut observation = Observation::new(graph, origins, float, sample)?;
    let seen: Result<Vec<Seen>, CompileError> = (0..graph.nodes.len())
        .map(|id| observation.node(id))
        .collect();
    if given {
        observation.check_defined()?;
    }
    seen
}

/// Every node's value in floats; `None` for constants.
pub(crate) fn values(
    graph: &Graph,
    origins: &[Option<Origin>],
    float: &FloatModel,
    sample: &[Tensor],
) -> Result<Vec<Option<Tensor>>, CompileError> {
    let mut observation = Observation::new(graph, origins, float, sample)?;
    let value = |id: NodeId| {
        observation.node(id)?;
        let constant = graph.nodes[id].constant().is_some();
        let value = || Ok(observation.value(id)?.into_owned());
        (!constant).then(value).transpose()
    };
    (0..graph.nodes.len()).map(value).collect()
}

/// One node's ranges and statistics in some samples.
struct Seen {
    extent: Extent,
    stats: Vec<(f64, f64)>,
}

impl Seen {
    fn join(&mut self, other: Self) {
        self.extent.join(other.extent);
        for (all, one) in self.stats.iter_mut().zip(other.stats) {
            *all = (all.0.min(one.0), all.1.max(one.1));
        }
    }
}

/// What one sample shows.
struct Observation<'a> {
    graph: &'a Graph,
    origins: &'a [Option<Origin>],
    observed: HashMap<Origin, Observed>,
    computed: HashMap<NodeId, Tensor>,
}

impl<'a> Observation<'a> {
    fn new(
        graph: &'a Graph,
        origins: &'a [Option<Origin>],
        float: &FloatModel,
        sample: &[Tensor],
    ) -> Result<Self, CompileError> {
        let wanted: HashSet<Origin> = origins.iter().flatten().copied().collect();
        let observed = float.observe(sample, &wanted)?;
        let inputs = graph.inputs.iter().copied();
        Ok(Self {
            graph,
            origins,
            observed,
            computed: inputs.zip(sample.iter().cloned()).collect(),
        })
    }

    fn node(&mut self, id: NodeId) -> Result<Seen, CompileError> {
        let node = &self.graph.nodes[id];
        if self.observed(id).is_none()
            && !self.computed.contains_key(&id)
            && node.constant().is_none()
        {
            let operands = node
                .inputs
                .iter()
                .map(|i| self.value(*i))
                .collect::<Result<Vec<_>, _>>()?;
            let value =
                interpret::evaluate_node(node, &operands.iter().map(|o| &**o).collect::<Vec<_>>());
            self.computed.insert(id, value);
        }
        let extent = match self
            .observed(id)
            .and_then(|value| value.extent(&node.shape))
        {
            Some(extent) => extent,
            None => Extent::of(&node.shape, &self.value(id)?.data),
        };
        let stats = match &node.op {
            Op::Softmax { .. } | Op::RmsNorm { .. } | Op::Binary(BinaryFn::Div) => {
                let operands = node.inputs.iter().map(|i| self.value(*i));
                let operands = operands.collect::<Result<Vec<_>, _>>()?;
                let operands: Vec<&Tensor> = operands.iter().map(|o| &**o).collect();
                let values = interpret::intermediate_values(&node.op, &operands);
                values.iter().map(|v| bounds(v)).collect()
            }
            Op::Input(_) => node.stats.clone(),
            _ => Vec::new(),
        };
        Ok(Seen { extent, stats })
    }

    /// What the float model has for a node.
    fn observed(&self, id: NodeId) -> Option<&Observed> {
        self.observed.get(&self.origins[id]?)
    }

    /// Refuses a sample with an output that is not a number, and names the node that was the first to be none.
    fn check_defined(&self) -> Result<(), CompileError> {
        for what in ["NaN", "infinite"] {
            let is_fault = |v: &f64| match what {
                "NaN" => v.is_nan(),
                _ => v.is_infinite(),
            };
            for (name, output) in &self.graph.outputs {
                let faulty = |id: &NodeId| {
                    let value = self.value(*id);
                    value.is_ok_and(|value| value.data.iter().any(is_fault))
                };
                if !faulty(output) {
                    continue;
                }
                let mut origin = &self.graph.nodes[*output];
                while let Some(operand) = origin.inputs.iter().find(|id| faulty(id)) {
                    origin = &self.graph.nodes[*operand];
                }
                let reason = format!("it is {what} on a sample, and so is the output `{name}`");
                let help = "correct the model, or leave out samples outside its domain";
                let diagnostic = refuse(reason, help).at(&origin.name, origin.op.name());
                return Err(CompileError::Nodes(vec![diagnostic]));
            }
        }
        Ok(())
    }

    /// A node's value: a constant, or from the float model, or computed before.
    fn value(&self, id: NodeId) -> Result<Cow<'_, Tensor>, CompileError> {
        let node = &self.graph.nodes[id];
        if let Some(tensor) = node.constant() {
            return Ok(Cow::Borrowed(tensor));
        }
        if let Some(value) = self.observed(id) {
            let mut tensor = value
                .tensor()
                .map_err(|e| CompileError::Samples(format!("`{}`: {e}", node.name)))?;
            tensor.shape = node.shape.clone();
            return Ok(Cow::Owned(tensor));
        }
        Ok(Cow::Borrowed(&self.computed[&id]))
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, g), x| {
            (x.min(l), x.max(g))
        })
}

/// Reproducible samples: floats standard normal and uniform in `[0, 1)` by turns; integers that pick, uniform over what they
/// pick from; masks of scores, by chance; other integers and booleans 0 or 1, and all 1 in every other sample.
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
            let tensor = |(id, picks): (&NodeId, &Picks)| {
                let node = &graph.nodes[*id];
                if let Some(value) = node.flagged() {
                    let flag = |_| if random.uniform() < 0.5 { value } else { 0.0 };
                    return Tensor::new(node.shape.clone(), (0..node.volume()).map(flag).collect());
                }
                let Op::Input(dtype) = node.op else {
                    unreachable!("graph inputs are inputs")
                };
                let data = (0..node.volume())
                    .map(|_| draw(&mut random, dtype, picks.limit))
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
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        (radius * libm::cos(TAU * self.uniform())) as f32 as f64
    }
}

#[cfg(test)]
mod tests {
    use crate::calibrate::ranges::*;
    use crate::testing::Onnx;
    use tract_onnx::pb::tensor_proto::DataType;

    fn picks_two_rows_further() -> Graph {
        let model = Onnx::new()
            .typed_input("i", DataType::Int64, "50")
            .weight("table", &[7, 4])
            .ints("two", &[], &[2]);
        model
            .node("Add", "i,two", "j", &[])
            .node("Gather", "table,j", "y", &[])
            .output("y")
            .agrees()
    }

    #[test]
    fn an_index_is_followed_through_arithmetic() {
        let graph = picks_two_rows_further();
        assert_eq!(index_limits(&graph)[0].limit, Some(5));
        assert_eq!(graph.nodes[graph.inputs[0]].range, (0.0, 4.0));
    }

    #[test]
    fn synthetic_inputs_are_reproducible() {
        let graph = picks_two_rows_further();
        assert_eq!(synthetic_inputs(&graph, 3), synthetic_inputs(&graph, 3));
        assert_eq!(synthetic_inputs(&graph, 1)[0].len(), 1);
    }

    #[test]
    fn floats_are_normal_and_uniform_by_turns() {
        let graph = Onnx::new()
            .input("x", "4000")
            .node("Tanh", "x", "y", &[])
            .output("y")
            .agrees();
        let samples = synthetic_inputs(&graph, 2);
        let moments = |t: &Tensor| {
            let mean = t.data.iter().sum::<f64>() / 4000.0;
            (
                mean,
                t.data.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 4000.0,
            )
        };
        let (mean, variance) = moments(&samples[0][0]);
        assert!(
            mean.abs() < 0.06 && (variance - 1.0).abs() < 0.1,
            "{mean} {variance}"
        );
        let (mean, variance) = moments(&samples[1][0]);
        assert!(
            (mean - 0.5).abs() < 0.03 && (variance - 1.0 / 12.0).abs() < 0.01,
            "{mean} {variance}"
        );
    }
}
