//! Lowering: from the float graph to the integer [`Model`](zkiln_runtime::model::Model).
//!
//! The walk gives every node's value a symbolic expression ([`value`]); operators ([`crate::ops`]) rewrite expressions and ask for a
//! [`boundary`] where something non-linear happens or an expression would become too costly to prove. [`quantise`] turns
//! expressions into integer accumulators, [`intervals`] proves that these cannot overflow, `assemble` makes the model.

mod assemble;
pub(crate) mod boundary;
pub(crate) mod columns;
pub(crate) mod intervals;
pub(crate) mod product;
pub(crate) mod quantise;
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

use crate::graph::{Graph, Node, NodeId, Op};
use crate::import::load;
use crate::settings::NodeSettings;
use crate::{CompileError, Complaint, Lowered, NodeReport, Options, PortInfo, Side, ops};
use columns::{Columns, Keys, Tables};
use quantise::{Goal, Quantised};
use value::{Fresh, Term, Value};
use weight::Weight;

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

/// Why a node cannot be lowered.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// It is the node's own fault: reason and help.
    Complaint(String, String),
    /// An operand could not be lowered; that complaint is enough.
    Operand,
}

/// A refusal with its reason and what to do about it.
pub(crate) fn refuse(reason: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal::Complaint(reason.into(), help.into())
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
    /// Of the node that is being lowered.
    part: Option<&'static str>,
}

/// Lowers a fused and calibrated graph to an integer program.
///
/// # Errors
/// [`CompileError::Nodes`] with a complaint for every node that cannot be lowered; [`CompileError::Plan`] where a fault of ours panics.
pub fn lower(graph: &Graph, options: &Options, name: &str) -> Result<Lowered, CompileError> {
    let lowered = load::caught(|| lower_checked(graph, options, name, false));
    let lowered = lowered.unwrap_or_else(|panic| Err(CompileError::Plan(panic)));
    lowered.map(|(lowered, _)| lowered)
}

/// The same program with more outputs after its own, to look at and not to prove: the values of these nodes.
pub(crate) fn lower_probed(
    graph: &Graph,
    options: &Options,
    name: &str,
) -> Result<(Lowered, Vec<NodeId>), CompileError> {
    let lowered = load::caught(|| lower_checked(graph, options, name, true));
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
    let mut complaints = vec![];
    for (id, node) in graph.nodes.iter().enumerate() {
        lowering.begin(id);
        match lowering.node(node) {
            Ok(value) => lowering.values[id] = Some(value),
            Err(refusal) => complaints.extend(complaint(node, refusal)),
        }
        if !probing {
            lowering.forget(node);
        }
    }
    let mut outputs = vec![];
    for (name, id) in &graph.outputs {
        lowering.begin(*id);
        match lowering.output(name, *id) {
            Ok(port) => outputs.push(port),
            Err(refusal) => complaints.extend(complaint(&graph.nodes[*id], refusal)),
        }
    }
    if !complaints.is_empty() {
        return Err(CompileError::Nodes(complaints));
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

fn complaint(node: &Node, refusal: Refusal) -> Option<Complaint> {
    match refusal {
        Refusal::Operand => None,
        Refusal::Complaint(reason, help) => Some(Complaint {
            node: node.name.clone(),
            op: ops::name(&node.op).to_string(),
            reason,
            help,
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
            part: None,
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

    fn node(&mut self, node: &Node) -> Result<Value, Refusal> {
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
    pub fn read(&mut self, node: &Node, index: usize) -> Result<Value, Refusal> {
        let mut value = self.values[node.inputs[index]]
            .clone()
            .ok_or(Refusal::Operand)?;
        value.freshen(&self.fresh);
        Ok(value)
    }

    /// Name of the node that is being lowered, or of the part of it.
    pub fn here(&self) -> String {
        let node = &self.graph.nodes[self.current].name;
        match self.part {
            Some(part) => format!("{node}/{part}"),
            None => node.clone(),
        }
    }

    /// Name for a table of what is here: `gelu` in `h.0/mlp/gelu`.
    pub fn label(&self) -> String {
        let here = self.here();
        let last = here.rsplit('/').find(|part| !part.is_empty());
        last.unwrap_or(&here).to_string()
    }

    /// Lowers a part of the node, whose value is not the node's: it is named `node/part`.
    pub fn part<T>(&mut self, part: &'static str, lower: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.part.replace(part);
        let made = lower(self);
        self.part = outer;
        made
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

    /// Adds a node to the program. It is named `name` if it makes no value or one of this name, else after the last value that it makes.
    pub fn emit(&mut self, name: &str, quantised: &Quantised, bits: u32, relation: Relation) {
        let name = self.node_name(name, &relation);
        self.report
            .push(self.describe(&name, quantised, bits, &relation));
        self.nodes.push(ModelNode {
            name: name.into(),
            relation,
        });
    }

    fn node_name(&self, name: &str, relation: &Relation) -> String {
        let values = match relation {
            Relation::Requant(it) => [&[it.output], &*it.mapped].concat(),
            Relation::Quotient(it) => vec![it.quotient],
            others => others.writes(),
        };
        let mut names = values.iter().map(|id| &self.columns.get(*id).name);
        match names.clone().next_back() {
            Some(last) if !names.any(|value| value == name) => last.clone(),
            _ => name.to_string(),
        }
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

    fn output(&mut self, name: &str, id: NodeId) -> Result<(Port, PortInfo), Refusal> {
        let visibility = self.options.port_visibility(Side::Output, name);
        let mut value = self.values[id].clone().ok_or(Refusal::Operand)?;
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
