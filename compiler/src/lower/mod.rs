//! Lowering: from the float graph to the integer [`Model`](zkiln_runtime::model::Model).
//!
//! The walk gives every node's value a symbolic expression ([`value`]); operators ([`crate::lower::ops`]) rewrite expressions and ask for a
//! [`boundary`] where something non-linear happens or an expression would become too costly to prove. [`quantize`] turns
//! expressions into integer accumulators, [`intervals`] proves that these cannot overflow, `assemble` makes the model.

mod assemble;
pub(crate) mod boundary;
pub(crate) mod columns;
pub(crate) mod intervals;
pub(crate) mod ops;
pub(crate) mod product;
pub(crate) mod quantize;
pub(crate) mod regroup;
mod saturate;
mod sign;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod value;
pub(crate) mod weight;

use std::collections::HashMap;

use zkiln_runtime::model::{Accumulator, ColumnId, Node as ModelNode, Port, Visibility};
use zkiln_runtime::relations::{Exact, Relation};

use crate::diagnostic::{Diagnostic, caught, refuse};
use crate::error::CompileError;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::lower::columns::{Columns, Keys, Tables};
use crate::lower::quantize::{Goal, Quantised};
use crate::lower::value::{Fresh, Term, Value};
use crate::lower::weight::Weight;
use crate::options::{Options, Side};
use crate::program::{Lowered, NodeReport, PortInfo};
use crate::settings::NodeSettings;

/// Bits of activations unless the options say otherwise.
const ACTIVATION_BITS: u8 = 12;
/// Bits of weights unless the options say otherwise.
const WEIGHT_BITS: u8 = 12;
/// How many more bits than activations a value has that later layers add to: its errors stay to the end.
const RESIDUAL_EXTRA_BITS: u8 = 2;
/// How many more bits than activations model inputs have: they need no table.
const INPUT_EXTRA_BITS: u8 = 1;
/// Outputs whose exact integers stay below this many bits are not rounded.
const OUTPUT_BITS: u32 = 50;

/// Widths in bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Boundary values.
    pub activation_bits: u8,
    /// Weights, sign included.
    pub weight_bits: u8,
}

impl Settings {
    /// Those of the options, for nodes that have none of their own.
    fn of(options: &Options) -> Self {
        let chosen = options.settings.as_ref();
        let activation_bits = chosen.map(|s| s.activation_bits);
        let weight_bits = chosen.map(|s| s.weight_bits);
        Self {
            activation_bits: activation_bits
                .or(options.activation_bits)
                .unwrap_or(ACTIVATION_BITS)
                .clamp(6, 16),
            weight_bits: weight_bits
                .or(options.weight_bits)
                .unwrap_or(WEIGHT_BITS)
                .clamp(4, 16),
        }
    }

    /// Width of values that later layers add to.
    pub fn residual_bits(self) -> u8 {
        self.activation_bits + RESIDUAL_EXTRA_BITS
    }

    /// Width of model inputs.
    pub fn input_bits(self) -> u8 {
        self.activation_bits + INPUT_EXTRA_BITS
    }
}

/// The program under construction.
pub(crate) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub options: &'a Options,
    /// Of the node that is being lowered.
    pub settings: Settings,
    own_settings: HashMap<&'a str, &'a NodeSettings>,
    pub fresh: Fresh,
    pub columns: Columns,
    pub tables: Tables,
    /// Float inputs that constants are compared with: these are rounded as the inputs are, so that what is equal stays equal.
    pub compared: Vec<ColumnId>,
    nodes: Vec<ModelNode>,
    report: Vec<NodeReport>,
    inputs: Vec<(Port, PortInfo)>,
    values: Vec<Option<Value>>,
    readers: Vec<Vec<NodeId>>,
    current: NodeId,
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
            Err(diagnostic) => diagnostics.push(diagnostic.at(&node.name, ops::name(&node.op))),
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
                diagnostics.push(diagnostic.at(&node.name, ops::name(&node.op)));
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

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, options: &'a Options) -> Self {
        let mut readers = vec![vec![]; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            node.inputs
                .iter()
                .for_each(|&input| readers[input].push(id));
        }
        Self {
            graph,
            options,
            settings: Settings::of(options),
            own_settings: options
                .settings
                .as_ref()
                .map(|settings| settings.by_name())
                .unwrap_or_default(),
            fresh: Fresh::default(),
            columns: Columns::default(),
            tables: Tables::default(),
            compared: vec![],
            nodes: vec![],
            report: vec![],
            inputs: vec![],
            values: vec![None; graph.nodes.len()],
            readers,
            current: 0,
        }
    }

    /// Turns to a node, with its settings.
    fn begin(&mut self, id: NodeId) {
        self.current = id;
        self.settings = Settings::of(self.options);
        if let Some(own) = self.own_settings.get(self.graph.nodes[id].name.as_str()) {
            let Settings {
                activation_bits,
                weight_bits,
            } = &mut self.settings;
            *activation_bits = own.activation_bits.unwrap_or(*activation_bits);
            *weight_bits = own.weight_bits.unwrap_or(*weight_bits);
        }
    }

    fn node(&mut self, node: &Node) -> Result<Value, Diagnostic> {
        let mut value = ops::lower(self, node)?.normalise();
        debug_assert_eq!(value.shape(), node.shape, "{}", node.name);
        value.range = node.range;
        if value.masked {
            value.range.0 = value.range.0.min(self.certain_range(&value)?.0);
        }
        value.name = node.name.as_str().into();
        match self.shared_bits() {
            Some(bits) if !value.is_simple() => self.small(&value, bits),
            _ => Ok(value),
        }
    }

    /// The width at which the current node's value is committed if it is no simple expression: `None` if it has one reader, or all
    /// take different slices.
    fn shared_bits(&self) -> Option<u8> {
        let readers = &self.readers[self.current];
        let reads = readers.len()
            + self
                .graph
                .outputs
                .iter()
                .filter(|(_, id)| *id == self.current)
                .count();
        let op = |&id: &NodeId| &self.graph.nodes[id].op;
        if reads < 2
            || (reads == readers.len()
                && readers
                    .iter()
                    .map(op)
                    .all(|op| matches!(op, Op::Slice { .. })))
        {
            return None;
        }
        let adds = readers
            .iter()
            .map(op)
            .any(|op| matches!(op, Op::Binary(_) | Op::Reduce { .. } | Op::RmsNorm { .. }));
        Some(if adds {
            self.settings.residual_bits()
        } else {
            self.settings.activation_bits
        })
    }

    /// Drops values that nothing reads any more.
    fn forget(&mut self, node: &Node) {
        for &input in &node.inputs {
            let is_output = self.graph.outputs.iter().any(|(_, id)| *id == input);
            if !is_output
                && self.readers[input]
                    .iter()
                    .all(|&reader| reader <= self.current)
            {
                self.values[input] = None;
            }
        }
    }

    /// The `index`-th operand of `node`, over axes of its own.
    pub fn read(&mut self, node: &Node, index: usize) -> Result<Value, Diagnostic> {
        let value = self.values[node.inputs[index]].clone();
        let mut value =
            value.ok_or_else(|| refuse("an operand has no value", "report the model"))?;
        value.freshen(&self.fresh);
        Ok(value)
    }

    /// Name of the node that is being lowered.
    pub fn here(&self) -> String {
        self.graph.nodes[self.current].name.clone()
    }

    /// Nodes that read the value of node `id`.
    pub fn readers(&self, id: NodeId) -> &[NodeId] {
        &self.readers[id]
    }

    /// Whether nothing but its order counts: it goes, moved perhaps, to softmaxes and maxima.
    pub fn is_only_compared(&self, id: NodeId) -> bool {
        let is_output = self.graph.outputs.iter().any(|(_, output)| *output == id);
        let compares = |&reader: &NodeId| match &self.graph.nodes[reader].op {
            Op::Softmax { .. } | Op::MaximumMask { .. } => true,
            Op::Reshape | Op::Transpose { .. } | Op::Broadcast | Op::Slice { .. } => {
                self.is_only_compared(reader)
            }
            _ => false,
        };
        !is_output && !self.readers[id].is_empty() && self.readers[id].iter().all(compares)
    }

    /// The one-hot column of this index, if there is one already.
    pub fn known_one_hot(&self, index: &Accumulator, len: u32) -> Option<ColumnId> {
        self.nodes.iter().find_map(|node| match &node.relation {
            Relation::OneHot(known)
                if known.index == *index
                    && self.columns.get(known.hot).shape.last() == Some(&len) =>
            {
                Some(known.hot)
            }
            _ => None,
        })
    }

    /// Node that is being lowered.
    pub fn current(&self) -> NodeId {
        self.current
    }

    /// Adds a node to the program.
    pub fn emit(&mut self, name: &str, quantised: &Quantised, bits: u32, relation: Relation) {
        self.report
            .push(self.describe(name, quantised, bits, &relation));
        self.nodes.push(ModelNode {
            name: name.to_string().into(),
            relation,
        });
    }

    /// Adds an input.
    pub fn add_input(&mut self, port: Port, info: PortInfo) {
        self.inputs.push((port, info));
    }

    /// The value of a node as an output, if it is one that varies and its integers are not too wide.
    fn probe(&mut self, id: NodeId) -> Option<(Port, PortInfo)> {
        let node = &self.graph.nodes[id];
        let value = self.values[id].clone().filter(|v| !v.is_constant())?;
        let quantised = self.accumulate(&value, &value.axes(), Goal::Output).ok()?;
        let range = (quantised.bounds.0 as i64, quantised.bounds.1 as i64);
        let port = Port {
            name: node.name.clone().into(),
            value: quantised.accumulator,
            range,
            visibility: Visibility::Public,
        };
        let info = PortInfo {
            name: node.name.clone(),
            dtype: crate::graph::Dtype::Float32,
            shape: node.shape.clone(),
            scale: quantised.unit,
        };
        Some((port, info))
    }

    /// Adds what the settings add to an output.
    fn correct(&self, name: &str, value: &mut Value) {
        let corrections = self.options.settings.iter().flat_map(|s| &s.corrections);
        for correction in corrections.filter(|correction| correction.output == name) {
            let axes = value.dims.last().cloned().unwrap_or_default();
            let data = correction.values.iter().map(|x| f64::from(*x)).collect();
            value.terms.push(Term::constant(Weight::new(axes, data)));
            value.proven = None;
            *value = value.clone().normalise();
        }
    }

    fn output(
        &mut self,
        name: &str,
        id: NodeId,
        mut value: Value,
    ) -> Result<(Port, PortInfo), Diagnostic> {
        let visibility = self.options.port_visibility(Side::Output, name);
        self.correct(name, &mut value);
        let axes = value.axes();
        let limit = match visibility {
            // A column holds 32 bits.
            Visibility::Committed => 31,
            _ => OUTPUT_BITS,
        };
        let mut quantised = self.accumulate(&value, &axes, Goal::Output);
        if !quantised.as_ref().is_ok_and(|q| q.magnitude < 1 << limit) {
            value = self.small(&value, self.settings.residual_bits())?;
            quantised = self.accumulate(&value, &axes, Goal::Output);
        }
        let mut quantised = quantised?;
        let range = (quantised.bounds.0 as i64, quantised.bounds.1 as i64);
        let unit = quantised.unit;
        if visibility == Visibility::Committed {
            let shape = quantised.accumulator.shape.clone();
            let output = self
                .columns
                .witness(&format!("{name}/committed"), shape.to_vec(), range);
            let whole = Accumulator {
                shape,
                columns: vec![(1, output)].into(),
                terms: vec![].into(),
            };
            let accumulator = std::mem::replace(&mut quantised.accumulator, whole.clone());
            let bits = Keys::covering(range.0.into(), range.1.into()).bits;
            let relation = Relation::Exact(Exact {
                accumulator,
                output,
            });
            self.emit(
                &format!("{name}/committed"),
                &quantised,
                u32::from(bits),
                relation,
            );
        }
        let port = Port {
            name: name.to_string().into(),
            value: quantised.accumulator,
            range,
            visibility,
        };
        let info = PortInfo {
            name: name.to_string(),
            dtype: crate::graph::Dtype::Float32,
            shape: self.graph.nodes[id].shape.clone(),
            scale: unit,
        };
        Ok((port, info))
    }
}
