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

/// What a proof is made for: a session, a nonce, a chain. Up to 32 bytes, none by default. A proof under one context is worth nothing under another.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    len: u8,
    /// Zeros from `len` on.
    bytes: [u8; Self::MAX_BYTES],
}

/// What the verifier is told, in the order of the model's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What the proof is made for.
    pub context: Context,
    /// One entry an input port.
    pub inputs: Vec<Shown>,
    /// One entry an output port.
    pub outputs: Vec<Shown>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:02x?})", self.as_bytes())
    }
}

// verify-path: begin
impl Context {
    /// The most that a context has.
    pub const MAX_BYTES: usize = 32;

    /// Of these bytes; `None` if they are too many.
    pub fn new(context: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX_BYTES];
        let slots = bytes.get_mut(..context.len())?;
        // len: cut to the context's
        for (slot, byte) in slots.iter_mut().zip(context) {
            *slot = *byte;
        }
        let len = u8::try_from(context.len()).ok()?;
        Some(Self { len, bytes })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

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
    /// The context's length in a byte and the context, then public integers as eight little-endian bytes and commitments as compressed points,
    /// port by port.
    pub fn to_bytes(&self) -> Vec<u8> {
        let context = self.context.as_bytes();
        [&[self.context.len], context, &self.port_bytes()].concat()
    }

    /// Public integers as eight little-endian bytes, commitments as compressed points; inputs first. The model says how many there are.
    pub(crate) fn port_bytes(&self) -> Vec<u8> {
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
        let (&len, bytes) = bytes.split_first().ok_or(SHORT)?;
        let (context, mut rest) = bytes.split_at_checked(usize::from(len)).ok_or(SHORT)?;
        let context =
            Context::new(context).ok_or(VerifyError::Statement("the context is too long"))?;
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
            context,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::testing::everything;

    #[test]
    fn contexts_are_up_to_32_bytes() {
        for len in 0..=32 {
            let bytes = vec![7; len];
            let context = Context::new(&bytes).unwrap();
            assert_eq!(context.as_bytes(), bytes);
        }
        assert_eq!(Context::new(&[7; 33]), None);
        assert_ne!(Context::new(&[]), Context::new(&[0]));
        assert_ne!(Context::new(&[0]), Context::new(&[0, 0]));
        assert_eq!(Context::new(&[]), Some(Context::default()));
        assert_eq!(
            format!("{:?}", Context::new(&[1, 255]).unwrap()),
            "Context([01, ff])"
        );
    }

    #[test]
    fn a_statement_with_a_context_is_read_back() {
        let mut model = everything().model;
        for port in model
            .inputs
            .to_mut()
            .iter_mut()
            .chain(model.outputs.to_mut())
        {
            port.visibility = Visibility::Private;
        }
        let private = |ports: &[Port]| ports.iter().map(|_| Shown::Private).collect();
        let context = Context::new(b"a session").unwrap();
        let (inputs, outputs) = (private(&model.inputs), private(&model.outputs));
        let statement = Statement {
            context,
            inputs,
            outputs,
        };
        let bytes = statement.to_bytes();
        assert_eq!(bytes, b"\x09a session");
        assert_eq!(Statement::from_bytes(&model, &bytes), Ok(statement));
        for malformed in [
            &bytes[1..],
            &bytes[..9],
            &[],
            &[[33].as_slice(), &[0; 33]].concat(),
        ] {
            let verdict = Statement::from_bytes(&model, malformed);
            assert!(
                matches!(verdict, Err(VerifyError::Statement(_))),
                "{malformed:?}"
            );
        }
    }
}
