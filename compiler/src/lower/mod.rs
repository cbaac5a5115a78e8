//! Lowering: from the float graph to the integer [`Model`](zkiln_runtime::model::Model).
//!
//! The walk gives every node's value a symbolic expression ([`value`]); operators ([`crate::lower::ops`]) rewrite expressions and ask for a
//! [`boundary`] where something non-linear happens or an expression would become too costly to prove. [`quantize`] turns
//! expressions into integer accumulators, [`intervals`] proves that these cannot overflow, `assemble` makes the model.

mod assemble;
pub(crate) mod boundary;
pub(crate) mod columns;
mod exact_functions;
mod floating;
mod floor_division;
pub(crate) mod intervals;
pub(crate) mod levels;
pub(crate) mod lowering;
pub(crate) mod ops;
pub(crate) mod product;
pub(crate) mod quantize;
pub(crate) mod regroup;
mod relative;
mod row_max;
mod saturate;
#[cfg(test)]
mod secrecy;
mod sign;
mod tabulate;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod tolerance;
pub(crate) mod value;
mod wide;
mod window;

use zkiln_runtime::model::{Accumulator, Port, Visibility};
use zkiln_runtime::relations::{Exact, Relation};

use crate::diagnostic::{Diagnostic, caught, refuse};
use crate::error::CompileError;
use crate::graph::{Dtype, Graph, Node, NodeId, Op, Reducer};
use crate::lower::columns::KeyRange;
use crate::lower::intervals::{ACCUMULATOR_BITS, Bounds};
pub(crate) use crate::lower::lowering::Bits;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Goal, Quantized, is_exact};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value};
use crate::options::{Options, Side};
use crate::program::{Lowered, PortInfo};
use crate::scale::Scale;

/// Bits of the table that bounds a committed output: limbs have the others.
const COMMITTED_TABLE_BITS: u8 = 12;
/// Outputs whose exact integers stay below this many bits are not rounded.
const OUTPUT_BITS: u32 = 50;

/// An axis, and a number for each index of it.
type Along = (usize, Vec<f64>);

/// The scale of integers in units of `unit`, times what they were divided by.
fn scale(unit: f64, levels: Option<Along>) -> Scale {
    match levels {
        None => Scale::Uniform(unit),
        Some((axis, levels)) => Scale::Along {
            axis,
            steps: levels.iter().map(|level| level * unit).collect(),
        },
    }
}

/// Lowers a fused and calibrated graph to an integer program.
///
/// # Errors
/// [`CompileError::Nodes`] with a diagnostic for every node that cannot be lowered; [`CompileError::Plan`] where a fault of ours panics.
pub fn lower(graph: &Graph, options: &Options, name: &str) -> Result<Lowered, CompileError> {
    let lowered = caught(|| lower_checked(graph, options, name, false));
    let lowered = lowered.unwrap_or_else(|panic| Err(CompileError::Plan(panic)));
    lowered.map(|(lowered, _)| lowered)
}

/// The same program with more outputs after its own, to look at and not to prove: the values of these nodes.
pub(crate) fn lower_probed(
    graph: &Graph,
    options: &Options,
    name: &str,
) -> Result<(Lowered, Vec<NodeId>), CompileError> {
    let lowered = caught(|| lower_checked(graph, options, name, true));
    lowered.unwrap_or_else(|panic| Err(CompileError::Plan(panic)))
}

fn lower_checked(
    graph: &Graph,
    options: &Options,
    name: &str,
    probing: bool,
) -> Result<(Lowered, Vec<NodeId>), CompileError> {
    check_visibility(graph, options)?;
    let mut lowering = Lowering::new(graph, options);
    let mut diagnostics = vec![];
    for (id, node) in graph.nodes.iter().enumerate() {
        // What follows from a refused node is not examined.
        if node
            .inputs
            .iter()
            .any(|input| lowering.values[*input].is_none())
        {
            continue;
        }
        lowering.begin(id);
        match lowering.node(node) {
            Ok(value) => lowering.values[id] = Some(value),
            Err(diagnostic) => diagnostics.push(diagnostic.at(&node.name, node.op.name())),
        }
        if !probing {
            lowering.forget(node);
        }
    }
    let mut outputs = vec![];
    for (name, id) in &graph.outputs {
        let Some(value) = lowering.values[*id].clone() else {
            continue;
        };
        lowering.begin(*id);
        match lowering.output(name, *id, value) {
            Ok(port) => outputs.push(port),
            Err(diagnostic) => {
                let node = &graph.nodes[*id];
                diagnostics.push(diagnostic.at(&node.name, node.op.name()));
            }
        }
    }
    if !diagnostics.is_empty() {
        return Err(CompileError::Nodes(diagnostics));
    }
    let mut probed = vec![];
    for id in (0..graph.nodes.len()).filter(|_| probing) {
        if let Some(port) = lowering.probe(id) {
            outputs.push(port);
            probed.push(id);
        }
    }
    Ok((lowering.assemble(name, outputs), probed))
}

/// Every visibility is that of something in the model.
fn check_visibility(graph: &Graph, options: &Options) -> Result<(), CompileError> {
    let inputs = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Input(_)));
    let inputs = inputs.map(|node| node.name.as_str());
    let outputs = graph.outputs.iter().map(|(name, _)| name.as_str());
    let ports: Vec<&str> = inputs.chain(outputs).collect();
    let known =
        |name: &str| ports.contains(&name) || ["inputs", "outputs", "weights"].contains(&name);
    match options.visibility.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => Err(CompileError::Visibility {
            name: name.clone(),
            ports: ports
                .iter()
                .map(|port| format!("`{port}`"))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

impl Lowering<'_> {
    fn node(&mut self, node: &Node) -> Result<Value, Diagnostic> {
        let mut value = ops::lower(self, node)?.normalize();
        debug_assert_eq!(value.shape(), node.shape, "{}", node.name);
        value.range = node.range;
        if value.masked {
            value.range.0 = value.range.0.min(self.certain_range(&value)?.0);
        }
        value.name = node.name.as_str().into();
        value.integer = node.dtype.is_integer();
        self.check_type(node, &value)?;
        value.channels = self.channels(node, &value);
        // A square of what is quiet is exact as it is, and so is a sum of them.
        let (relative, precise) = (
            self.is_relative(self.current()),
            self.is_precise(self.current()),
        );
        let is_square =
            relative && value.is_plain_product() || precise && value.is_sum_of_products();
        match self.shared_bits() {
            Some(bits) if !value.is_simple() && !is_square => self.small(&value, bits),
            _ => Ok(value),
        }
    }

    /// Refuses integers that may leave their type where nothing wraps them: sums, and differences without a sign in 64 bits.
    fn check_type(&mut self, node: &Node, value: &Value) -> Result<(), Diagnostic> {
        let sums = |op: &Op| {
            matches!(
                op,
                Op::Reduce {
                    reducer: Reducer::Sum,
                    ..
                }
            )
        };
        let checked = match node.dtype {
            Dtype::Float32 | Dtype::Int64 => false,
            Dtype::Uint64 => true,
            _ => sums(&node.op),
        };
        if !checked {
            return Ok(());
        }
        let (low, high) = self.certain_range(value)?;
        let (least, most) = node.dtype.limits();
        if low >= least && high <= most {
            return Ok(());
        }
        let dtype = node.dtype.name();
        Err(refuse(
            format!("its integers may reach from {low} to {high}, which {dtype} does not hold"),
            "compute in a wider type, or give samples of the numbers that occur",
        ))
    }

    /// The value of a node as an output, if it varies and its integers are not too wide.
    fn probe(&mut self, id: NodeId) -> Option<(Port, PortInfo)> {
        let node = &self.graph.nodes[id];
        let value = self.values[id].clone().filter(|v| !v.is_constant())?;
        let (value, levels) = match self.even_output(&value) {
            Some((even, levels)) => (even, Some(levels)),
            None => (value, None),
        };
        let quantized = self.accumulate(&value, &value.axes(), Goal::Output).ok()?;
        let range = self.told(id, quantized.bounds, Visibility::Public);
        let scale = scale(quantized.unit, levels);
        let port = Port {
            name: node.name.clone().into(),
            value: quantized.accumulator,
            range,
            visibility: Visibility::Public,
        };
        let info = PortInfo {
            name: node.name.clone(),
            dtype: node.dtype,
            shape: node.shape.clone(),
            scale,
            range,
        };
        Some((port, info))
    }

    /// The range that a key tells of an output. The exact one follows from the weights: where they are hidden, it is what the type, a column
    /// or an accumulator can hold, whatever the weights.
    fn told(&self, id: NodeId, exact: Bounds, visibility: Visibility) -> (i64, i64) {
        if self.options.weight_visibility() == Visibility::Public {
            return (exact.0 as i64, exact.1 as i64);
        }
        let most = match visibility {
            Visibility::Committed => f64::from(i32::MAX),
            _ => f64::from(ACCUMULATOR_BITS).exp2(),
        };
        let (low, high) = self.graph.nodes[id].dtype.limits();
        (low.max(-most) as i64, high.min(most) as i64)
    }

    /// Adds what the settings add to an output.
    fn correct(&self, name: &str, value: &mut Value) {
        let corrections = self.options.settings.iter().flat_map(|s| &s.corrections);
        for correction in corrections.filter(|correction| correction.output == name) {
            let axes = value.dims.last().cloned().unwrap_or_default();
            let data = correction.values.iter().map(|x| f64::from(*x)).collect();
            value.terms.push(Term::constant(Weight::new(axes, data)));
            value.proven = None;
            *value = value.clone().normalize();
        }
    }

    /// An output divided by powers of two channel by channel, where its weights could not be rounded to one unit; and these, along an axis.
    fn even_output(&self, value: &Value) -> Option<(Value, Along)> {
        let levels = self.levels(value, self.bits.activation_bits)?;
        let axis = value.dims.iter().position(|dim| *dim == levels.of.axes)?;
        let rounds = !is_exact(value, self.bits.weight_bits);
        rounds.then(|| (levels.even(value), (axis, levels.of.data.to_vec())))
    }

    /// The integers of an output of at most `limit` bits, rounded if they are wider, and what they mean.
    fn output_integers(
        &mut self,
        value: &Value,
        limit: u32,
    ) -> Result<(Quantized, Scale), Diagnostic> {
        if let Some((even, levels)) = self.even_output(value)
            && let Ok(quantized) = self.integers_within(&even, limit)
        {
            let scale = scale(quantized.unit, Some(levels));
            return Ok((quantized, scale));
        }
        let quantized = self.integers_within(value, limit)?;
        let scale = scale(quantized.unit, None);
        Ok((quantized, scale))
    }

    fn integers_within(&mut self, value: &Value, limit: u32) -> Result<Quantized, Diagnostic> {
        let quantized = self.accumulate(value, &value.axes(), Goal::Output);
        if quantized.as_ref().is_ok_and(|q| q.magnitude < 1 << limit) {
            return quantized;
        }
        let rounded = self.small(value, self.bits.residual_bits())?;
        self.accumulate(&rounded, &rounded.axes(), Goal::Output)
    }

    fn output(
        &mut self,
        name: &str,
        id: NodeId,
        mut value: Value,
    ) -> Result<(Port, PortInfo), Diagnostic> {
        let visibility = self.options.port_visibility(Side::Output, name);
        self.correct(name, &mut value);
        let limit = match visibility {
            // A column holds 32 bits.
            Visibility::Committed => 31,
            _ => OUTPUT_BITS,
        };
        let (mut quantized, scale) = self.output_integers(&value, limit)?;
        let range = (quantized.bounds.0 as i64, quantized.bounds.1 as i64);
        if visibility == Visibility::Committed {
            let shape = quantized.accumulator.shape.clone();
            let output = self
                .columns
                .witness(&format!("{name}/committed"), shape.to_vec(), range);
            let whole = Accumulator {
                shape,
                columns: vec![(1, output)].into(),
                terms: vec![].into(),
            };
            let accumulator = std::mem::replace(&mut quantized.accumulator, whole.clone());
            let bits = KeyRange::covering(range.0.into(), range.1.into()).bits;
            let relation = Relation::Exact(Exact {
                accumulator,
                output,
            });
            self.emit(
                &format!("{name}/committed"),
                &quantized,
                u32::from(bits),
                relation,
            );
            let all = (i32::MIN.into(), i32::MAX.into());
            let name = format!("{name}/committed");
            self.bound(&name, &whole, all, quantized.unit, COMMITTED_TABLE_BITS);
        }
        let range = self.told(id, quantized.bounds, visibility);
        let port = Port {
            name: name.to_string().into(),
            value: quantized.accumulator,
            range,
            visibility,
        };
        let info = PortInfo {
            name: name.to_string(),
            dtype: self.graph.nodes[id].dtype,
            shape: self.graph.nodes[id].shape.clone(),
            scale,
            range,
        };
        Ok((port, info))
    }
}
