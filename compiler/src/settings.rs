//! `MODEL.settings.json`: what calibration found and chose, so that a model compiles the same everywhere, without its samples.
//!
//! ```json
//! {
//!   "version": 1,
//!   "model": "SHA3-256 of the ONNX file and its external data",
//!   "activation_bits": 12,
//!   "weight_bits": 12,
//!   "saturate": false,
//!   "target": 0.999,
//!   "agreement": 0.0,
//!   "reached": 0.99992,
//!   "nodes": [
//!     {"node": "fc0", "range": [-3.1, 4.2]},
//!     {"node": "relu0", "range": [0.0, 4.2], "activation_bits": 10}
//!   ]
//! }
//! ```
//!
//! One line a node, in the order of the graph. `activation_bits` and `weight_bits` of a node are those with which it is computed;
//! without them the ones at the top count. `stats` are ranges inside a node, such as the sums of a softmax. `range` has zero in it, `seen`
//! is without, and `channels` are the ranges along an axis on which they differ.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::CompileError;
use crate::graph::extent::Channels;
use crate::graph::{Extent, Graph, Node, flag_of};

/// The only version there is.
const VERSION: u32 = 1;
/// Bits of activations.
const BITS: std::ops::RangeInclusive<u8> = 6..=16;

/// What calibration found and chose for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(crate) version: u32,
    /// Digest of the model that they are for, in hexadecimal digits.
    pub model: String,
    /// Bits of activations.
    pub activation_bits: u8,
    /// Bits of weights.
    pub weight_bits: u8,
    /// Whether values beyond their range are clamped rather than refused.
    pub saturate: bool,
    /// Which cosine similarity calibration was to reach, to measure against.
    pub target: f64,
    /// Which share of argmaxes was to agree.
    pub agreement: f64,
    /// What it reached, for people.
    pub reached: f64,
    /// Every node that is not a constant.
    pub nodes: Vec<NodeSettings>,
    /// What is added to outputs, where their errors have a mean.
    #[serde(default)]
    pub corrections: Vec<Correction>,
}

/// What is added to an output along its last axis: minus the mean error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Name.
    pub output: String,
    /// One number for each place of the last axis.
    pub values: Vec<f32>,
}

/// What is known of one node's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// Name.
    pub node: String,
    /// Least and greatest value.
    pub range: (f32, f32),
    /// Ranges of what the node computes on the way.
    #[serde(default)]
    pub stats: Vec<(f32, f32)>,
    /// Least and greatest value, where zero is not between them.
    #[serde(default)]
    pub seen: Option<(f32, f32)>,
    /// Ranges channel by channel, along axes on which these differ.
    #[serde(default)]
    pub channels: Vec<ChannelRanges>,
    /// Bits of activations, if not those of all.
    #[serde(default)]
    pub activation_bits: Option<u8>,
    /// Bits of weights, if not those of all.
    #[serde(default)]
    pub weight_bits: Option<u8>,
}

/// Least and greatest value at each index of an axis; both zero where none was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRanges {
    /// Which axis.
    pub axis: usize,
    /// For each index.
    pub ranges: Vec<(f32, f32)>,
}

/// What a search does to one node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// More bits, or fewer.
    Bits { node: usize, more: i8 },
    /// Half the range: what leaves it is clamped, what stays is finer.
    Clip { node: usize },
}

impl Change {
    /// The node's number.
    pub fn node(self) -> usize {
        match self {
            Self::Bits { node, .. } | Self::Clip { node } => node,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CompileError> {
    std::fs::read(path).map_err(|source| CompileError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// Both ends in 32 bits: files stay short, and reading one again gives the same numbers. Zero if the range is empty.
fn short((low, high): (f64, f64)) -> (f32, f32) {
    let short = |end: f64| (end as f32).clamp(f32::MIN, f32::MAX);
    match low <= high {
        true => (short(low), short(high)),
        false => (0.0, 0.0),
    }
}

fn long((low, high): (f32, f32)) -> (f64, f64) {
    (low.into(), high.into())
}

impl NodeSettings {
    /// What calibration found of a node.
    fn of(node: &Node) -> Self {
        let seen = short(node.seen.all);
        let channels = node.seen.channels.iter().map(|channels| ChannelRanges {
            axis: channels.axis,
            ranges: channels.ranges.iter().copied().map(short).collect(),
        });
        Self {
            node: node.name.clone(),
            range: short(node.range),
            stats: node.stats.iter().copied().map(short).collect(),
            seen: Some(seen).filter(|seen| *seen != short(node.range)),
            channels: channels.collect(),
            activation_bits: None,
            weight_bits: None,
        }
    }

    /// Gives the node what was found.
    fn apply(&self, node: &mut Node) {
        node.range = long(self.range);
        node.stats = self.stats.iter().copied().map(long).collect();
        let fits = |all: &&ChannelRanges| node.shape.get(all.axis) == Some(&all.ranges.len());
        let channels = self.channels.iter().filter(fits).map(|channels| Channels {
            axis: channels.axis,
            ranges: channels.ranges.iter().copied().map(long).collect(),
        });
        node.seen = Extent {
            all: long(self.seen.unwrap_or(self.range)),
            channels: channels.collect(),
        };
    }
}

impl Settings {
    /// The ranges of a calibrated graph, and as many bits as there can be.
    pub(crate) fn of(graph: &Graph, model: String) -> Self {
        let found = graph.nodes.iter().filter(|node| node.constant().is_none());
        let nodes = found.map(NodeSettings::of);
        Self {
            version: VERSION,
            model,
            activation_bits: *BITS.end(),
            weight_bits: 16,
            saturate: false,
            target: 0.0,
            agreement: 0.0,
            reached: 0.0,
            nodes: nodes.collect(),
            corrections: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CompileError::Read`]; [`CompileError::Settings`] for anything else.
    pub fn from_path(path: &Path) -> Result<Self, CompileError> {
        Self::parse(&String::from_utf8_lossy(&read(path)?))
            .map_err(|reason| CompileError::Settings(format!("`{}`: {reason}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let wrong = |error: serde_json::Error| error.to_string();
        let Version { version } = serde_json::from_str(text).map_err(wrong)?;
        if version != VERSION {
            return Err(format!(
                "it has version {version}, and this zkiln reads version {VERSION}; calibrate again"
            ));
        }
        let settings: Self = serde_json::from_str(text).map_err(wrong)?;
        settings.check().map(|()| settings)
    }

    fn check(&self) -> Result<(), String> {
        let nodes = || self.nodes.iter();
        let activations = nodes().filter_map(|node| node.activation_bits);
        let weights = nodes().filter_map(|node| node.weight_bits);
        for (bits, what, least) in activations
            .chain([self.activation_bits])
            .map(|bits| (bits, "activations", *BITS.start()))
            .chain(
                weights
                    .chain([self.weight_bits])
                    .map(|bits| (bits, "weights", 4)),
            )
        {
            if !(least..=16).contains(&bits) {
                return Err(format!("{bits} bits of {what}, and it takes {least} to 16"));
            }
        }
        for node in nodes() {
            let channels = node.channels.iter().flat_map(|channels| &channels.ranges);
            let ranges = node.stats.iter().chain([&node.range]);
            let ranges = ranges.chain(&node.seen).chain(channels);
            let is_range =
                |(low, high): &(f32, f32)| low <= high && low.is_finite() && high.is_finite();
            if !ranges.into_iter().all(is_range) {
                return Err(format!("a range of `{}` is none", node.node));
            }
        }
        Ok(())
    }

    /// The file: the same text for the same settings.
    pub fn to_text(&self) -> String {
        let mut text = String::from("{\n");
        for (name, value) in [
            ("version", json(&self.version)),
            ("model", json(&self.model)),
            ("activation_bits", json(&self.activation_bits)),
            ("weight_bits", json(&self.weight_bits)),
            ("saturate", json(&self.saturate)),
            ("target", json(&self.target)),
            ("agreement", json(&self.agreement)),
            ("reached", json(&self.reached)),
        ] {
            let _ = writeln!(text, "  \"{name}\": {value},");
        }
        let line = |node: &NodeSettings| {
            let mut line = format!(
                "    {{\"node\": {}, \"range\": {}",
                json(&node.node),
                json(&node.range)
            );
            if !node.stats.is_empty() {
                let _ = write!(line, ", \"stats\": {}", json(&node.stats));
            }
            if let Some(seen) = &node.seen {
                let _ = write!(line, ", \"seen\": {}", json(seen));
            }
            if !node.channels.is_empty() {
                let _ = write!(line, ", \"channels\": {}", json(&node.channels));
            }
            for (name, bits) in [
                ("activation_bits", node.activation_bits),
                ("weight_bits", node.weight_bits),
            ] {
                if let Some(bits) = bits {
                    let _ = write!(line, ", \"{name}\": {bits}");
                }
            }
            line + "}"
        };
        let lines: Vec<String> = self.nodes.iter().map(line).collect();
        let _ = write!(text, "  \"nodes\": [\n{}\n  ]", lines.join(",\n"));
        if !self.corrections.is_empty() {
            let lines: Vec<String> = self.corrections.iter().map(json).collect();
            let lines = lines.join(",\n    ");
            let _ = write!(text, ",\n  \"corrections\": [\n    {lines}\n  ]");
        }
        text + "\n}\n"
    }

    /// That they are for the model of this digest, which is at `path`.
    ///
    /// # Errors
    /// [`CompileError::SettingsOfAnother`].
    pub(crate) fn check_model(&self, digest: &str, path: &Path) -> Result<(), CompileError> {
        if digest == self.model {
            return Ok(());
        }
        Err(CompileError::SettingsOfAnother {
            path: path.display().to_string(),
            expected: self.model.clone(),
            got: digest.into(),
        })
    }

    /// What is known of each node, by its name.
    pub(crate) fn by_name(&self) -> HashMap<&str, &NodeSettings> {
        let nodes = self.nodes.iter();
        nodes.map(|node| (node.node.as_str(), node)).collect()
    }

    /// Bits of activations of a node.
    pub fn bits_of(&self, name: &str) -> u8 {
        let own = self.nodes.iter().find(|node| node.node == name);
        own.and_then(|node| node.activation_bits)
            .unwrap_or(self.activation_bits)
    }

    /// The number that an input is unless it is 0, if it is known to be one of the two.
    pub(crate) fn flagged(&self, name: &str) -> Option<f64> {
        let own = self.nodes.iter().find(|node| node.node == name)?;
        own.stats.first().map(|ends| flag_of(long(*ends)))
    }

    /// With one node changed; `None` where that cannot be.
    pub(crate) fn with(&self, change: Change) -> Option<Self> {
        let mut settings = self.clone();
        match change {
            Change::Bits { node, more } => {
                let node = &mut settings.nodes[node];
                let bits = node.activation_bits.unwrap_or(self.activation_bits);
                let bits = bits.checked_add_signed(more)?;
                let bits = Some(bits).filter(|bits| BITS.contains(bits))?;
                node.activation_bits = Some(bits).filter(|bits| *bits != self.activation_bits);
            }
            Change::Clip { node } => {
                let node = &mut settings.nodes[node];
                let channels = node.channels.iter_mut().flat_map(|all| &mut all.ranges);
                let ranges = [&mut node.range].into_iter().chain(&mut node.seen);
                for (low, high) in ranges.chain(channels) {
                    (*low, *high) = (*low / 2.0, *high / 2.0);
                }
            }
        }
        Some(settings)
    }

    /// Gives every node of the graph its range.
    ///
    /// # Errors
    /// [`CompileError::Settings`] where they and the graph do not have the same nodes.
    pub(crate) fn apply(&self, graph: &mut Graph) -> Result<(), CompileError> {
        for correction in &self.corrections {
            let mut outputs = graph.outputs.iter();
            let id = outputs.find(|(name, _)| *name == correction.output);
            let len = id.map(|(_, id)| graph.nodes[*id].shape.last().copied().unwrap_or(1));
            if len != Some(correction.values.len()) {
                return Err(CompileError::Settings(format!(
                    "the correction of `{}` does not fit an output",
                    correction.output
                )));
            }
        }
        let mut known = self.by_name();
        for node in graph.nodes.iter_mut() {
            if let Some(tensor) = node.constant() {
                node.range = tensor.range();
            } else if let Some(settings) = known.remove(node.name.as_str()) {
                settings.apply(node);
            } else {
                return Err(CompileError::Settings(format!(
                    "they do not know the node `{}`; calibrate again, with the same dimensions",
                    node.name
                )));
            }
        }
        match known.into_keys().min() {
            None => Ok(()),
            Some(name) => Err(CompileError::Settings(format!(
                "the model has no node `{name}`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let node = |name: &str, activation_bits| NodeSettings {
            node: name.into(),
            range: (-0.1, 3.25),
            stats: vec![(0.0, 1e-7)],
            seen: Some((0.5, 3.25)),
            channels: vec![ChannelRanges {
                axis: 1,
                ranges: vec![(0.5, 0.75), (0.0, 0.0), (0.5, 3.25)],
            }],
            activation_bits,
            weight_bits: None,
        };
        Settings {
            version: VERSION,
            model: "00ff".into(),
            activation_bits: 12,
            weight_bits: 16,
            saturate: true,
            target: 0.999,
            agreement: 0.99,
            reached: 0.99992,
            nodes: vec![node("a \"b\"", None), node("c", Some(9))],
            corrections: vec![Correction {
                output: "y".into(),
                values: vec![0.25, -1e-3],
            }],
        }
    }

    #[test]
    fn a_file_says_the_same_again() {
        let text = settings().to_text();
        assert_eq!(Settings::parse(&text), Ok(settings()));
        assert_eq!(text.lines().count(), 17);
        assert_eq!(Settings::parse(&text).map(|s| s.to_text()), Ok(text));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let text = settings().to_text();
        for (from, to, reason) in [
            ("\"version\": 1", "\"version\": 2", "it has version 2"),
            ("\"saturate\"", "\"saturated\"", "unknown field `saturated`"),
            (
                "\"activation_bits\": 9",
                "\"bits\": 9",
                "unknown field `bits`",
            ),
            (
                "\"activation_bits\": 9",
                "\"activation_bits\": 17",
                "17 bits of activations",
            ),
            (
                "\"weight_bits\": 16",
                "\"weight_bits\": 3",
                "3 bits of weights",
            ),
            ("[-0.1,3.25]", "[3.25,-0.1]", "a range of `a \"b\"` is none"),
            ("\"nodes\"", "", "key must be a string"),
        ] {
            assert!(text.contains(from), "{from}");
            let error = Settings::parse(&text.replacen(from, to, 1)).expect_err(from);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn settings_are_of_one_model() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("m.onnx");
        let settings = Settings {
            model: "ab".into(),
            ..settings()
        };
        assert!(settings.check_model("ab", &path).is_ok());
        let error = settings.check_model("cd", &path).expect_err("another");
        assert!(matches!(error, CompileError::SettingsOfAnother { .. }));
    }
}
