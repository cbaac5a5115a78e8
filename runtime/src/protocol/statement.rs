//! What is public, as values and as bytes.

use super::commitment::Commitment;
use crate::error::VerifyError;
use crate::statement::model::{Model, Port, Visibility};

/// What the verifier is told of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All: its integers, row-major.
    Public(Vec<i64>),
    /// Nothing.
    Private,
    /// A hiding commitment.
    Committed(Commitment),
}

/// What the verifier is told, in the order of the model's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One entry an input port.
    pub inputs: Vec<Shown>,
    /// One entry an output port.
    pub outputs: Vec<Shown>,
}

// verify-path: begin
impl Shown {
    /// The integers, if they are public.
    pub fn integers(&self) -> Option<&[i64]> {
        match self {
            Self::Public(integers) => Some(integers),
            _ => None,
        }
    }

    /// The commitment, if there is one.
    pub fn commitment(&self) -> Option<&Commitment> {
        match self {
            Self::Committed(commitment) => Some(commitment),
            _ => None,
        }
    }
}

impl Statement {
    /// Public integers as eight little-endian bytes, commitments as compressed points; inputs first. The model says how many there are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shown in self.shown() {
            match shown {
                Shown::Public(integers) => {
                    bytes.extend(integers.iter().flat_map(|value| value.to_le_bytes()));
                }
                Shown::Private => {}
                Shown::Committed(commitment) => bytes.extend(commitment.to_bytes()),
            }
        }
        bytes
    }

    /// Inverse of [`Self::to_bytes`] for `model`.
    ///
    /// # Errors
    /// [`VerifyError::Statement`] when the length or a point is wrong.
    pub fn from_bytes(model: &Model, bytes: &[u8]) -> Result<Self, VerifyError> {
        const SHORT: VerifyError = VerifyError::Statement("too few bytes");
        let mut rest = bytes;
        let mut take = |port: &Port| -> Result<Shown, VerifyError> {
            let unit = match port.visibility {
                Visibility::Private => return Ok(Shown::Private),
                Visibility::Public => port.len().checked_mul(8),
                Visibility::Committed => Commitment::bytes(&port.value.shape),
            };
            let (head, tail) = unit
                .and_then(|len| rest.split_at_checked(len))
                .ok_or(SHORT)?;
            rest = tail;
            if port.visibility == Visibility::Public {
                let (words, _) = head.as_chunks::<8>();
                let integers = words.iter().map(|word| i64::from_le_bytes(*word));
                return Ok(Shown::Public(integers.collect()));
            }
            let commitment = Commitment::from_bytes(head);
            commitment
                .map(Shown::Committed)
                .ok_or(VerifyError::Statement("a commitment is malformed"))
        };
        let statement = Self {
            inputs: model
                .inputs
                .iter()
                .map(&mut take)
                .collect::<Result<_, _>>()?,
            outputs: model
                .outputs
                .iter()
                .map(&mut take)
                .collect::<Result<_, _>>()?,
        };
        if !rest.is_empty() {
            return Err(VerifyError::Statement("too many bytes"));
        }
        statement.check(model)?;
        Ok(statement)
    }

    /// Inputs, then outputs.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// As many entries as the model says, each of its port's visibility and length, and each integer within its port's range.
    pub(crate) fn check(&self, model: &Model) -> Result<(), VerifyError> {
        let fits = |ports: &[Port], shown: &[Shown]| {
            let port_fits = |(port, shown): (&Port, &Shown)| match (port.visibility, shown) {
                (Visibility::Public, Shown::Public(integers)) => {
                    integers.len() == port.len()
                        && integers
                            .iter()
                            .all(|value| (port.range.0..=port.range.1).contains(value))
                }
                (Visibility::Private, Shown::Private) => true,
                (Visibility::Committed, Shown::Committed(commitment)) => {
                    Commitment::rows_of(&port.value.shape) == Some(commitment.rows().len())
                }
                _ => false,
            };
            ports.len() == shown.len() && ports.iter().zip(shown).all(port_fits) // len: checked
        };
        if !fits(&model.inputs, &self.inputs) {
            return Err(VerifyError::Statement(
                "an input has the wrong length or visibility, or leaves its range",
            ));
        }
        if !fits(&model.outputs, &self.outputs) {
            return Err(VerifyError::Statement(
                "an output has the wrong length or visibility, or leaves its range",
            ));
        }
        Ok(())
    }
}
// verify-path: end
