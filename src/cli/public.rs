//! The public statement as a file: of what was put in and what came out, the public part, as integers, and commitments.
//!
//! `integers` and `commitment` are what is proved. `scale` and `data` tell people what they mean (`data = integers * scale`); a proof says
//! nothing about them, so a verifier that wants reals takes the scale from the model's owner.

use serde::{Deserialize, Serialize};
use zkiln_compiler::graph::Dtype;
use zkiln_compiler::{PortInfo, Scale};
use zkiln_runtime::model::{Model, Port};

use super::engine::{Commitment, Context, Shown, Statement};
use super::error::CliError;
use zkiln_compiler::tensors::OutData;
use zkiln_compiler::text::{hex, unhex};

/// `public.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Digest of the verifier key, hexadecimal.
    model_digest: String,
    /// What the proof was made for, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    context: String,
    /// In the model's order.
    inputs: Vec<PublicTensor>,
    /// In the model's order.
    outputs: Vec<PublicTensor>,
}

/// What is told of one port.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    scale: Scale,
    /// `public`, `private` or `committed`.
    visibility: Seen,
    /// If it is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    integers: Option<Vec<i64>>,
    /// Hexadecimal, if it is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
    #[serde(
        default,
        deserialize_with = "skipped",
        skip_serializing_if = "Option::is_none"
    )]
    data: Option<OutData>,
}

/// A visibility, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Seen {
    Public,
    Private,
    Committed,
}

/// What is written for people is not read.
fn skipped<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<OutData>, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| None)
}

impl Public {
    /// What is to be published of a proof.
    pub fn new(
        digest: &[u8; 32],
        inputs: &[PortInfo],
        outputs: &[PortInfo],
        statement: &Statement,
    ) -> Self {
        let tensor = |port: &PortInfo, shown: &Shown, people: bool| {
            let people = shown.integers().filter(|_| people);
            PublicTensor {
                name: port.name.clone(),
                dtype: port.dtype,
                shape: port.shape.clone(),
                scale: port.scale.clone(),
                visibility: match shown {
                    Shown::Public(_) => Seen::Public,
                    Shown::Private => Seen::Private,
                    Shown::Committed(_) => Seen::Committed,
                },
                integers: shown.integers().map(<[i64]>::to_vec),
                commitment: shown.commitment().map(|c| hex(&c.to_bytes())),
                data: people.map(|integers| OutData {
                    dtype: port.dtype,
                    elements: port.to_reals(integers),
                }),
            }
        };
        let pair = |ports: &[PortInfo], shown: &[Shown], people| {
            let pairs = ports.iter().zip(shown);
            pairs.map(|(port, s)| tensor(port, s, people)).collect()
        };
        Self {
            model_digest: hex(digest),
            context: hex(statement.context.as_bytes()),
            inputs: pair(inputs, &statement.inputs, false),
            outputs: pair(outputs, &statement.outputs, true),
        }
    }

    /// Every committed port and its commitment in hexadecimal digits.
    pub fn committed(&self) -> Vec<(&str, &str)> {
        let tensors = self.inputs.iter().chain(&self.outputs);
        tensors
            .filter_map(|tensor| Some((tensor.name.as_str(), tensor.commitment.as_deref()?)))
            .collect()
    }

    /// The statement about the model with this digest.
    ///
    /// # Errors
    /// The file is about another model, or its tensors are not the model's.
    pub fn statement(self, digest: &[u8; 32], model: &Model) -> Result<Statement, CliError> {
        if self.model_digest != hex(digest) {
            return Err(CliError::Statement(format!(
                "it is about the model {}, the key is of {}",
                self.model_digest,
                hex(digest)
            )));
        }
        let context = unhex(&self.context).and_then(|bytes| Context::new(&bytes));
        Ok(Statement {
            context: context.ok_or_else(|| CliError::Statement("not a context".into()))?,
            inputs: shown("input", self.inputs, &model.inputs)?,
            outputs: shown("output", self.outputs, &model.outputs)?,
        })
    }
}

fn shown(side: &str, tensors: Vec<PublicTensor>, ports: &[Port]) -> Result<Vec<Shown>, CliError> {
    if tensors.len() != ports.len() {
        let (expected, got) = (ports.len(), tensors.len());
        let reason = format!("expected {expected} {side}s, got {got}");
        return Err(CliError::Statement(reason));
    }
    let mut statement = Vec::with_capacity(ports.len());
    for (tensor, port) in tensors.into_iter().zip(ports) {
        let name = &port.name;
        if tensor.name != *name {
            let reason = format!("expected the {side} `{name}`, got `{}`", tensor.name);
            return Err(CliError::Statement(reason));
        }
        let refused = |reason: String| CliError::Statement(format!("{side} `{name}`: {reason}"));
        statement.push(
            match (tensor.visibility, tensor.integers, tensor.commitment) {
                (Seen::Public, Some(integers), None) => {
                    let shape = tensor.shape.iter().copied();
                    let promised = shape.fold(1, usize::saturating_mul);
                    let (expected, got) = (port.len(), integers.len());
                    if got != expected || promised != expected {
                        return Err(refused(format!(
                            "expected {expected} integers, got {got} of shape {:?}",
                            tensor.shape
                        )));
                    }
                    Shown::Public(integers)
                }
                (Seen::Private, None, None) => Shown::Private,
                (Seen::Committed, None, Some(digits)) => {
                    let commitment =
                        unhex(&digits).and_then(|bytes| Commitment::from_bytes(&bytes));
                    let commitment =
                        commitment.ok_or_else(|| refused("not a commitment".into()))?;
                    Shown::Committed(commitment)
                }
                _ => return Err(refused("its visibility does not fit what is there".into())),
            },
        );
    }
    Ok(statement)
}
