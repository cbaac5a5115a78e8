//! The integer program that a model becomes, what its ports mean, and its commitments.

use serde::{Deserialize, Serialize};
use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::WeightBlinding;
use zkiln_runtime::model::Model;

use crate::graph::Dtype;
use crate::options::Options;
use crate::ports::Port;
use crate::scale::{Scale, real};
use crate::text::shown;

/// How integers of a port relate to reals: `real = integer * scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortInfo {
    /// ONNX name.
    pub name: String,
    /// ONNX element type.
    pub dtype: Dtype,
    /// ONNX shape.
    pub shape: Vec<usize>,
    /// Real value of one unit; 1 for integer ports. A port of the range 0 to 1 holds 0 or the unit, which may be minus infinity, and no
    /// number between.
    pub scale: Scale,
    /// Least and greatest integer.
    pub range: (i64, i64),
}

impl PortInfo {
    /// As the ONNX file declares it.
    pub fn port(&self) -> Port {
        Port {
            name: self.name.clone(),
            dtype: self.dtype,
            shape: self.shape.clone(),
        }
    }

    /// Reals as the nearest integers of units, halves away from zero.
    ///
    /// # Errors
    /// As [`integers_in_range`].
    pub fn to_integers(&self, reals: &[f64]) -> Result<Vec<i64>, ProveError> {
        let unit = self.scale.of(&self.shape);
        let elements = (0..).zip(reals).map(|(at, x)| {
            let unit = unit(at);
            Element {
                integer: nearest_integer(*x, unit),
                real: *x,
                unit,
            }
        });
        integers_in_range(&self.name, self.range, elements)
    }

    /// What integers mean.
    pub fn to_reals(&self, integers: &[i64]) -> Vec<f64> {
        let unit = self.scale.of(&self.shape);
        let real = |(at, integer): (usize, &i64)| real(*integer, unit(at));
        integers.iter().enumerate().map(real).collect()
    }
}

/// How far a port that is 0 or one other number may be from them, relative to that number.
const FLAG_TOLERANCE: f64 = 1e-6;

/// An element of a port: the real number, the unit that it is to be a multiple of, and the nearest such multiple, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// In units.
    pub integer: Option<i64>,
    /// As it was given.
    pub real: f64,
    /// Real value of one unit.
    pub unit: f64,
}

/// `real` as a multiple of `unit`, rounded half away from zero; `None` where there is no such 64-bit integer.
pub fn nearest_integer(real: f64, unit: f64) -> Option<i64> {
    if unit.is_infinite() && real == unit {
        return Some(1);
    }
    let units = (real / unit).round();
    // 2^63 is a float and not an `i64`; everything between the bounds converts exactly.
    let bound = -(i64::MIN as f64);
    (-bound <= units && units < bound).then_some(units as i64)
}

/// Whether a port that is 0 or `unit` may take this number: another is too far from both to stand for either.
fn is_flag(real: f64, unit: f64) -> bool {
    let near = |end: f64| (real - end).abs() <= FLAG_TOLERANCE * unit.abs().min(1.0);
    near(0.0) || real == unit || (real / unit - 1.0).abs() <= FLAG_TOLERANCE
}

/// The integers of a port's elements, once all are in the port's range.
///
/// # Errors
/// [`ProveError::InputRange`] for the first element that is outside, or has no integer, in reals.
pub fn integers_in_range(
    port: &str,
    range: (i64, i64),
    elements: impl Iterator<Item = Element>,
) -> Result<Vec<i64>, ProveError> {
    let integer = |(index, element): (usize, Element)| {
        let Element {
            integer,
            real: given,
            unit,
        } = element;
        let inside = integer.filter(|i| (range.0..=range.1).contains(i));
        let inside = inside.filter(|_| range != (0, 1) || is_flag(given, unit));
        inside.ok_or_else(|| ProveError::InputRange {
            input: port.into(),
            index,
            value: given.to_string(),
            low: real(range.0, unit).to_string(),
            high: real(range.1, unit).to_string(),
        })
    };
    elements.enumerate().map(integer).collect()
}

/// What integers of a node stand for: `real = integer * step + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    /// Real value of one.
    pub step: f64,
    /// Real number that zero stands for.
    pub offset: f64,
}

/// An error about a node's integers as one about real numbers, if it is known what that node's integers mean.
pub fn in_reals<'a>(
    error: ProveError,
    mut nodes: impl Iterator<Item = (&'a str, Meaning)>,
) -> ProveError {
    let named = error
        .node()
        .and_then(|name| nodes.find(|(node, _)| *node == name));
    let Some((_, Meaning { step, offset })) = named else {
        return error;
    };
    error.in_words(|_, integer| Some(shown(integer as f64 * step + offset)))
}

/// One line of the table of nodes: for `inspect` and for the generated module's documentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Name.
    pub node: String,
    /// Relation.
    pub relation: String,
    /// Shapes, as `[64,64]x[64,256]`.
    pub shape: String,
    /// log2 of the accumulator's scale.
    pub scale_log2: f64,
    /// What the integers mean whose range is checked, or that are looked up; none where that is no multiple.
    pub meaning: Option<Meaning>,
    /// Bits of the output.
    pub bits: u32,
    /// Lookup leaves.
    pub lookups: u64,
    /// Multiply-adds of the reference.
    pub cost: u64,
}

/// Where the ranges of a model's values come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranges {
    /// Inputs that the user gave.
    Samples,
    /// A file of settings, which `zkiln calibrate` made.
    Settings,
    /// Random inputs: nothing is known of the real ones.
    #[default]
    Guessed,
}

impl Ranges {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Settings => "settings",
            Self::Guessed => "guesses",
        }
    }

    /// Where a model with these options has its ranges from.
    pub(crate) fn of(options: &Options) -> Self {
        match (&options.settings, options.samples.is_empty()) {
            (Some(_), _) => Self::Settings,
            (None, false) => Self::Samples,
            (None, true) => Self::Guessed,
        }
    }
}

impl NodeReport {
    /// Its name and what its integers mean.
    pub fn meaning(&self) -> Option<(&str, Meaning)> {
        self.meaning.map(|meaning| (self.node.as_str(), meaning))
    }
}

/// The greatest errors of an output that were measured when a model was compiled, as shares of what the output spans in a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// On the samples.
    pub samples: f64,
    /// On copies of some samples, 4 and 10 times quieter, relative to what outputs typically span; none where no input is a float.
    pub quiet: Option<f64>,
}

impl Fidelity {
    /// The greater of both.
    pub fn greatest(self) -> f64 {
        self.quiet.unwrap_or(0.0).max(self.samples)
    }
}

/// What lowering makes: a model and its constants, not yet committed.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The statement.
    pub model: Model,
    /// Data of every constant column in the order of `model.columns` (true shape, row-major, not padded).
    pub constants: Vec<Vec<i32>>,
    /// Inputs.
    pub inputs: Vec<PortInfo>,
    /// Outputs.
    pub outputs: Vec<PortInfo>,
    /// One line a node.
    pub report: Vec<NodeReport>,
    /// Number of float parameters of the ONNX model.
    pub parameters: u64,
    /// Number of ONNX nodes.
    pub onnx_nodes: u64,
    /// Where the ranges of its values come from.
    pub ranges: Ranges,
    /// How far it is from the float model; none where no samples were given.
    pub fidelity: Option<Fidelity>,
}

/// A model whose constants are committed: all that both sides need.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The statement, the constants and what they mean.
    pub lowered: Lowered,
    /// What hides the constants' commitments.
    pub blinding: WeightBlinding,
    /// The verifier key.
    pub key: Vec<u8>,
    /// The constants' row commitments: the verifier key without the model.
    pub commitments: Vec<u8>,
    /// Digest of the verifier key.
    pub digest: [u8; 32],
    /// Length of every proof.
    pub proof_bytes: usize,
    /// The error of the interactive argument is below two to the minus this.
    pub statistical_bits: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: fn() -> PortInfo = || PortInfo {
        name: "x".into(),
        dtype: Dtype::Float32,
        shape: vec![3],
        scale: Scale::Uniform(0.25),
        range: (-4, 3),
    };

    #[test]
    fn integers_and_reals() {
        assert_eq!(PORT().to_integers(&[0.3, -1.0, 0.125]), Ok(vec![1, -4, 1]));
        assert_eq!(PORT().to_reals(&[1, -4]), [0.25, -1.0]);
    }

    #[test]
    fn each_column_has_its_step_and_its_range() {
        let port = PortInfo {
            shape: vec![2, 2],
            scale: Scale::Along {
                axis: 1,
                steps: vec![0.25, 1000.0],
            },
            ..PORT()
        };
        let integers = vec![1, 3, -4, -2];
        assert_eq!(
            port.to_integers(&[0.25, 2900.0, -1.0, -2000.0]),
            Ok(integers.clone())
        );
        assert_eq!(port.to_reals(&integers), [0.25, 3000.0, -1.0, -2000.0]);
        let error = port
            .to_integers(&[0.25, 2900.0, 2.0, 0.0])
            .expect_err("out of range");
        assert!(
            error
                .to_string()
                .contains("element 2: 2 is outside the calibrated range -1..=0.75")
        );
    }

    #[test]
    fn halves_go_away_from_zero() {
        for (real, integer) in [(0.25, 1), (-0.25, -1), (0.24, 0), (-0.26, -1), (1.25, 3)] {
            assert_eq!(nearest_integer(real, 0.5), Some(integer), "{real}");
        }
        assert_eq!(nearest_integer(i64::MIN as f64, 1.0), Some(i64::MIN));
        for real in [f64::NAN, f64::INFINITY, f64::MAX, -(i64::MIN as f64)] {
            assert_eq!(nearest_integer(real, 1.0), None, "{real}");
        }
    }

    #[test]
    fn ports_of_two_values_take_no_other() {
        for unit in [-1e9, -65504.0, f64::from(f32::MIN), f64::NEG_INFINITY, 1.0] {
            let port = PortInfo {
                scale: Scale::Uniform(unit),
                range: (0, 1),
                ..PORT()
            };
            assert_eq!(port.to_integers(&[0.0, unit, -0.0]), Ok(vec![0, 1, 0]));
            assert_eq!(port.to_reals(&[0, 1]), [0.0, unit]);
            for other in [
                -5.0,
                0.4,
                2.0 * unit.max(-1e30),
                0.999 * unit.max(-1e30),
                f64::NAN,
            ] {
                let taken = port.to_integers(&[other]);
                assert!(taken.is_err(), "{unit} {other}");
            }
        }
    }

    #[test]
    fn errors_are_about_real_numbers() {
        let nodes = [("exp", 0.25, -1.0), ("sum", 0.5, 0.0)];
        let said = |error: ProveError| {
            let nodes = nodes.map(|(node, step, offset)| (node, Meaning { step, offset }));
            in_reals(error, nodes.into_iter()).to_string()
        };
        let range = |node: &str| ProveError::OutOfRange {
            node: node.into(),
            value: 9,
            low: -4,
            high: 3,
        };
        let expected = "node `sum`: 4.5 is outside the calibrated range -2..=1.5; give sample inputs that reach it when compiling";
        assert_eq!(said(range("sum")), expected);
        assert_eq!(said(range("other")), range("other").to_string());
        let barred = said(ProveError::Barred {
            node: "exp".into(),
            function: "exp".into(),
            key: 8,
        });
        assert!(
            barred.starts_with("node `exp`: `exp` has no value at 1, or"),
            "{barred}"
        );
    }

    #[test]
    fn the_first_element_out_of_range_is_named() {
        for (bad, value) in [(0.9, "0.9"), (f64::NAN, "NaN"), (1e300, &1e300.to_string())] {
            let error = PORT()
                .to_integers(&[0.0, bad, -9.0])
                .expect_err("out of range");
            let expected = format!(
                "input `x`, element 1: {value} is outside the calibrated range -1..=0.75; give sample inputs that cover it when compiling"
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}
