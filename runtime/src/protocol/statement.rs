//! What is public, and the proof, as bytes.

use crate::error::VerifyError;
use crate::model::{Model, Port};

/// What the verifier is told: the integers of every public input and output, row-major, in the order of the model's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One tensor an input port.
    pub inputs: Vec<Vec<i64>>,
    /// One tensor an output port.
    pub outputs: Vec<Vec<i64>>,
}

// verify-path: begin
impl Statement {
    /// Every integer as eight little-endian bytes, inputs first. The model says how many there are.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.inputs
            .iter()
            .chain(&self.outputs)
            .flatten()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    /// Inverse of [`Self::to_bytes`] for `model`.
    ///
    /// # Errors
    /// [`VerifyError::Statement`] when the length is wrong.
    pub fn from_bytes(model: &Model, bytes: &[u8]) -> Result<Self, VerifyError> {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| i64::from_le_bytes(*word));
        let mut take = |ports: &[Port]| -> Vec<Vec<i64>> {
            ports
                .iter()
                .map(|port| words.by_ref().take(port_len(port)).collect())
                .collect()
        };
        let statement = Self {
            inputs: take(&model.inputs),
            outputs: take(&model.outputs),
        };
        if !rest.is_empty() || words.next().is_some() {
            return Err(VerifyError::Statement("too many bytes"));
        }
        statement.check(model)?;
        Ok(statement)
    }

    /// As many tensors and integers as the model says, and each within its port's range.
    pub(crate) fn check(&self, model: &Model) -> Result<(), VerifyError> {
        let fits = |ports: &[Port], tensors: &[Vec<i64>]| {
            let port_fits = |(port, tensor): (&Port, &Vec<i64>)| {
                tensor.len() == port_len(port)
                    && tensor
                        .iter()
                        .all(|value| (port.range.0..=port.range.1).contains(value))
            };
            ports.len() == tensors.len() && ports.iter().zip(tensors).all(port_fits) // len: checked
        };
        if !fits(&model.inputs, &self.inputs) {
            return Err(VerifyError::Statement(
                "an input has the wrong length or leaves its range",
            ));
        }
        if !fits(&model.outputs, &self.outputs) {
            return Err(VerifyError::Statement(
                "an output has the wrong length or leaves its range",
            ));
        }
        Ok(())
    }
}

/// Elements of a port.
fn port_len(port: &Port) -> usize {
    port.value
        .shape
        .iter()
        .fold(1usize, |product, &len| product.saturating_mul(len as usize))
}

/// A proof: canonical field elements and compressed points, 32 bytes each, in the order of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Vec<u8>);

impl Proof {
    /// Wraps bytes. [`crate::protocol::verify`] checks them all.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
// verify-path: end
