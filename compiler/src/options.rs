//! What the user chooses about a compilation.

use zkiln_runtime::model::Visibility;

use crate::frozen::Frozen;
use crate::ports::Sample;
use crate::settings::Settings;

/// What proofs are to be good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Soon made, soon verified.
    #[default]
    Time,
    /// Few bytes.
    Size,
}

impl std::str::FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "time" => Ok(Self::Time),
            "size" => Ok(Self::Size),
            _ => Err(format!(
                "`{text}` is not an objective: use `time` or `size`"
            )),
        }
    }
}

/// What the user may choose about a compilation.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Options {
    /// Module and model name; default: the file's stem in snake case.
    pub name: Option<String>,
    /// Values of symbolic dimensions, by name, or as `INPUT.AXIS` where they have none; default: those of `shapes`, else 1.
    pub dimensions: Vec<(String, usize)>,
    /// Values of inputs that are none any more, by their names.
    pub frozen: Vec<(String, Frozen)>,
    /// Shapes of given inputs, by name or in order: symbolic dimensions that have no value take theirs.
    #[serde(skip)]
    pub shapes: Vec<(Option<String>, Vec<usize>)>,
    /// Sample inputs for calibration, one entry a sample: one tensor an input. Empty: seeded synthetic ones.
    pub samples: Vec<Vec<Sample>>,
    /// Bits of activations, 6 to 16. Unless these or `weight_bits` are given, the least bits that keep the samples' error below 0.5 % are chosen.
    pub activation_bits: Option<u8>,
    /// Bits of weights, 4 to 16 (default 12 if `activation_bits` is given).
    pub weight_bits: Option<u8>,
    /// What calibration chose for this model: all bits and ranges, so that neither bits nor samples are given beside it.
    pub settings: Option<Settings>,
    /// Whether values beyond their range are clamped, which is proved, rather than refused: float inputs up to 4096 times their range,
    /// boundaries up to 8 times. Also so if the settings say it.
    pub saturate: bool,
    /// What proofs are to be good for.
    pub objective: Objective,
    /// Who sees what: `inputs`, `outputs`, `weights`, or a port by its ONNX name, which comes before the general ones; the last entry of a name
    /// counts. Default: inputs private, outputs public, weights private.
    pub visibility: Vec<(String, Visibility)>,
}

/// Which way a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Options {
    fn named(&self, name: &str) -> Option<Visibility> {
        let entries = self.visibility.iter().rev();
        entries
            .filter(|(entry, _)| entry == name)
            .map(|(_, visibility)| *visibility)
            .next()
    }

    pub(crate) fn port_visibility(&self, side: Side, name: &str) -> Visibility {
        let (all, default) = match side {
            Side::Input => ("inputs", Visibility::Private),
            Side::Output => ("outputs", Visibility::Public),
        };
        self.named(name)
            .or_else(|| self.named(all))
            .unwrap_or(default)
    }

    /// Who sees the weights.
    pub fn weight_visibility(&self) -> Visibility {
        self.named("weights").unwrap_or_default()
    }
}
