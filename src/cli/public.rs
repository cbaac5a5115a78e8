//! The public statement as a file: what was put in and what came out, as integers.
//!
//! `integers` are what is proved. `scale` and `data` tell people what they mean (`data = integers * scale`); a proof says
//! nothing about them, so a verifier that wants reals takes the scale from the model's owner.

use serde::{Deserialize, Serialize};
use zkiln_compiler::PortInfo;
use zkiln_compiler::graph::Dtype;
use zkiln_runtime::model::{Model, Port};

use super::args::hex;
use super::engine::{Statement, dequantise};
use super::error::CliError;
use crate::tensors::OutData;

/// `public.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Digest of the verifier key, hexadecimal.
    model_digest: String,
    /// In the model's order.
    inputs: Vec<PublicTensor>,
    /// In the model's order.
    outputs: Vec<PublicTensor>,
}

/// One public tensor.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    scale: f64,
    integers: Vec<i64>,
    #[serde(
        default,
        deserialize_with = "skipped",
        skip_serializing_if = "Option::is_none"
    )]
    data: Option<OutData>,
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
        let tensor = |port: &PortInfo, integers: &Vec<i64>, people: bool| PublicTensor {
            name: port.name.clone(),
            dtype: port.dtype,
            shape: port.shape.clone(),
            scale: port.scale,
            integers: integers.clone(),
            data: people.then(|| OutData {
                dtype: port.dtype,
                elements: dequantise(integers, port),
            }),
        };
        let pair = |ports: &[PortInfo], values: &[Vec<i64>], people| {
            let pairs = ports.iter().zip(values);
            pairs.map(|(port, v)| tensor(port, v, people)).collect()
        };
        Self {
            model_digest: hex(digest),
            inputs: pair(inputs, &statement.inputs, false),
            outputs: pair(outputs, &statement.outputs, true),
        }
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
        Ok(Statement {
            inputs: integers("input", self.inputs, &model.inputs)?,
            outputs: integers("output", self.outputs, &model.outputs)?,
        })
    }
}

fn integers(
    side: &str,
    tensors: Vec<PublicTensor>,
    ports: &[Port],
) -> Result<Vec<Vec<i64>>, CliError> {
    if tensors.len() != ports.len() {
        let (expected, got) = (ports.len(), tensors.len());
        let reason = format!("expected {expected} {side}s, got {got}");
        return Err(CliError::Statement(reason));
    }
    let mut statement = Vec::with_capacity(ports.len());
    for (tensor, port) in tensors.into_iter().zip(ports) {
        if tensor.name != port.name {
            let reason = format!("expected the {side} `{}`, got `{}`", port.name, tensor.name);
            return Err(CliError::Statement(reason));
        }
        let elements = port.value.shape.iter().map(|&len| len as usize);
        let expected = elements.fold(1, usize::saturating_mul);
        let shape = tensor.shape.iter().copied();
        let promised = shape.fold(1, usize::saturating_mul);
        if tensor.integers.len() != expected || promised != expected {
            return Err(CliError::Statement(format!(
                "{side} `{}`: expected {expected} integers, got {} of shape {:?}",
                port.name,
                tensor.integers.len(),
                tensor.shape
            )));
        }
        statement.push(tensor.integers);
    }
    Ok(statement)
}
