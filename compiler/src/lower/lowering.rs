//! The program under construction, as operators see it.

use std::cell::OnceCell;
use std::collections::HashMap;

use zkiln_runtime::model::{Accumulator, ColumnId, Node as ModelNode, Port};
use zkiln_runtime::relations::Relation;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Graph, Node, NodeId, Op, Reducer};
use crate::lower::columns::{Columns, Tables};
use crate::lower::quantize::{Quantized, ceil_log2};
use crate::lower::relative::{Precision, precisions};
use crate::lower::tolerance::{Tolerance, tolerances};
use crate::lower::value::{Fresh, Value};
use crate::options::Options;
use crate::program::{NodeReport, PortInfo};
use crate::settings::NodeSettings;

/// Bits of activations unless the options say otherwise.
const ACTIVATION_BITS: u8 = 12;
/// Bits of weights unless the options say otherwise.
const WEIGHT_BITS: u8 = 12;
/// How many more bits than activations a value has that later layers add to: its errors stay to the end.
const RESIDUAL_EXTRA_BITS: u8 = 2;
/// How many more bits than residual values a value has that is normalized.
const NORM_EXTRA_BITS: u8 = 8;
/// Most bits of a value that is normalized, so that sums of its squares fit.
const MOST_NORM_BITS: u8 = 24;
/// Most bits of a value that is wanted relative to itself, so that its product with an inverse root fits; and of a sum of squares of such values.
const MOST_LAW_BITS: u8 = 24;
const SQUARE_SUM_BITS: i32 = 58;
/// Bits of a value that decides, at first.
const DECIDING_BITS: u8 = 14;
/// How many more bits than activations model inputs have: they need no table.
const INPUT_EXTRA_BITS: u8 = 1;
/// Widths in bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits {
    /// Boundary values.
    pub activation_bits: u8,
    /// Weights, sign included.
    pub weight_bits: u8,
}

impl Bits {
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

    /// Those of a node that has these settings.
    fn with(self, own: &NodeSettings) -> Self {
        Self {
            activation_bits: own.activation_bits.unwrap_or(self.activation_bits),
            weight_bits: own.weight_bits.unwrap_or(self.weight_bits),
        }
    }

    /// Those of the options for the node of this name.
    pub fn at(options: &Options, node: &str) -> Self {
        let mut settings = options.settings.iter().flat_map(|settings| &settings.nodes);
        let own = settings.find(|settings| settings.node == node);
        let all = Self::of(options);
        own.map_or(all, |own| all.with(own))
    }

    /// Width of values that later layers add to.
    pub fn residual_bits(self) -> u8 {
        self.activation_bits + RESIDUAL_EXTRA_BITS
    }

    /// Width of what is normalized: rows a thousand times quieter than the loudest have as many bits as residual values.
    pub fn norm_bits(self) -> u8 {
        (self.residual_bits() + NORM_EXTRA_BITS).min(MOST_NORM_BITS)
    }

    /// Width of what is not exact and decides, by a comparison or by rounding to integers: all that there is to have where a model has more bits
    /// than the fewest, since a sample decided otherwise with these.
    pub fn deciding_bits(self) -> u8 {
        match self.are_more() {
            true => MOST_NORM_BITS,
            false => DECIDING_BITS,
        }
    }

    /// Whether a model has more bits than it is given at first.
    pub fn are_more(self) -> bool {
        self.activation_bits > ACTIVATION_BITS
    }

    /// Width of model inputs.
    pub fn input_bits(self) -> u8 {
        self.activation_bits + INPUT_EXTRA_BITS
    }
}

/// As many bits as leave room for the longest sum of squares.
fn law_bits(graph: &Graph) -> u8 {
    let squares = |node: &Node| {
        let shape = &graph.nodes[*node.inputs.first()?].shape;
        match &node.op {
            Op::RmsNorm { axis, .. } => Some(shape[*axis]),
            Op::Reduce { reducer, axes } if !matches!(reducer, Reducer::Max | Reducer::Min) => {
                Some(axes.iter().map(|axis| shape[*axis]).product())
            }
            Op::Einsum { .. } | Op::Convolution { .. } => Some(shape.iter().skip(1).product()),
            _ => None,
        }
    };
    let longest = graph.nodes.iter().filter_map(squares).max().unwrap_or(1);
    let room = SQUARE_SUM_BITS - ceil_log2(longest.max(1) as f64);
    (room / 2).clamp(0, MOST_LAW_BITS.into()) as u8
}

/// The program under construction.
pub(crate) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub options: &'a Options,
    /// Of the node that is being lowered.
    pub bits: Bits,
    pub(super) own_settings: HashMap<&'a str, &'a NodeSettings>,
    pub fresh: Fresh,
    pub columns: Columns,
    pub tables: Tables,
    /// Float inputs that constants are compared with: these are rounded as the inputs are, so that what is equal stays equal.
    pub compared: Vec<ColumnId>,
    pub(super) nodes: Vec<ModelNode>,
    pub(super) report: Vec<NodeReport>,
    pub(super) inputs: Vec<(Port, PortInfo)>,
    pub(super) values: Vec<Option<Value>>,
    pub(super) readers: Vec<Vec<NodeId>>,
    precisions: Vec<Precision>,
    /// Bits of what is wanted relative to itself.
    law_bits: u8,
    pub(super) current: NodeId,
    /// Of every node, if one is asked for.
    tolerances: OnceCell<Vec<Tolerance>>,
    /// Of the node that is being lowered.
    part: Option<&'static str>,
}

impl<'a> Lowering<'a> {
    pub fn new(graph: &'a Graph, options: &'a Options) -> Self {
        let mut readers = vec![vec![]; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            node.inputs
                .iter()
                .for_each(|&input| readers[input].push(id));
        }
        Self {
            graph,
            options,
            bits: Bits::of(options),
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
            precisions: precisions(graph, &readers, Bits::of(options)),
            law_bits: law_bits(graph),
            readers,
            current: 0,
            tolerances: OnceCell::new(),
            part: None,
        }
    }

    /// How coarsely the current node's value may be rounded.
    pub fn tolerance(&self) -> &Tolerance {
        let all = self.tolerances.get_or_init(|| tolerances(self.graph));
        &all[self.current]
    }

    /// Turns to a node, with its settings.
    pub fn begin(&mut self, id: NodeId) {
        self.current = id;
        self.bits = Bits::of(self.options);
        if let Some(own) = self.own_settings.get(self.graph.nodes[id].name.as_str()) {
            self.bits = self.bits.with(own);
        }
    }

    /// The width at which the current node's value is committed if it is not a simple expression: `None` if it has one reader, or all
    /// take different slices.
    pub fn shared_bits(&self) -> Option<u8> {
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
        let bits = match adds {
            true => self.bits.residual_bits(),
            false => self.bits.activation_bits,
        };
        Some(bits.max(self.wanted_bits(self.current)))
    }

    /// Whether the value of node `id` is wanted with a precision that is [relative] to itself.
    pub fn is_relative(&self, id: NodeId) -> bool {
        self.precisions[id] > Precision::Absolute
    }

    /// Whether the value of node `id` is wanted relative to itself because elements of a result are quiet where it is.
    pub fn is_factor(&self, id: NodeId) -> bool {
        self.precisions[id] == Precision::OfFactors
    }

    /// Whether the value of node `id` is wanted relative to itself, not to its row.
    pub fn is_precise(&self, id: NodeId) -> bool {
        self.precisions[id] >= Precision::OfItself
    }

    /// Bits to which the value of node `id` is rounded if it has to be.
    pub fn wanted_bits(&self, id: NodeId) -> u8 {
        match self.precisions[id] {
            Precision::Absolute => self.bits.activation_bits,
            Precision::OfRow => self.bits.norm_bits(),
            Precision::OfItself | Precision::OfFactors => self.law_bits(),
        }
    }

    /// Bits of what is wanted relative to itself.
    pub fn law_bits(&self) -> u8 {
        self.law_bits.max(self.bits.norm_bits())
    }

    /// Drops values that nothing reads any more.
    pub fn forget(&mut self, node: &Node) {
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
            Op::Softmax { .. } | Op::LogSumExp { .. } | Op::MaximumMask { .. } => true,
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
    pub fn emit(&mut self, name: &str, quantized: &Quantized, bits: u32, relation: Relation) {
        let name = self.node_name(name, &relation);
        self.report
            .push(self.describe(&name, quantized, bits, &relation));
        self.nodes.push(ModelNode {
            name: name.into(),
            relation,
        });
    }

    fn node_name(&self, name: &str, relation: &Relation) -> String {
        let values = match relation {
            Relation::Requant(it) => [&[it.output], &*it.mapped].concat(),
            Relation::Quotient(it) => vec![it.quotient],
            Relation::Round(it) => vec![it.output],
            Relation::Normalize(it) => [&[it.mantissa], &*it.mapped].concat(),
            Relation::Division(it) => vec![it.quotient],
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
}
