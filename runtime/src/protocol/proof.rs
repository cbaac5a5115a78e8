//! The protocol's name, and a proof as bytes.

use sha3::{Digest, Keccak256};

use crate::error::VerifyError;

/// Names the protocol and its version in the transcript.
pub(super) const PROTOCOL: &str = "zkiln 6: hiding Pedersen rows of tiles, one-time pads, LogUp-GKR, batched contractions, linear opening, one Sigma protocol with folded answers";

/// A proof: a header, then canonical field elements and compressed points, 32 bytes each, in the order of the transcript.
///
/// | bytes | meaning |
/// |---|---|
/// | 8 | magic `zkiln-p2` |
/// | 32 | [`protocol_digest`] |
/// | the rest | elements |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Vec<u8>);

// verify-path: begin
/// Keccak-256 of the protocol's name and version: in the header of every key and proof.
pub fn protocol_digest() -> [u8; 32] {
    Keccak256::digest(PROTOCOL.as_bytes()).into()
}

impl Proof {
    /// First bytes of a proof.
    const MAGIC: &[u8; 8] = b"zkiln-p2";
    /// Bytes before the elements.
    pub const HEADER_BYTES: usize = 40;

    /// Wraps bytes. [`crate::protocol::verify`] checks them all.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// With a header.
    pub(super) fn of_elements(elements: &[u8]) -> Self {
        Self([Self::MAGIC, protocol_digest().as_slice(), elements].concat())
    }

    /// What follows the header, if it is this protocol's.
    pub(super) fn elements(&self) -> Result<&[u8], VerifyError> {
        let header = self.0.split_at_checked(Self::HEADER_BYTES);
        let (header, elements) = header.ok_or(VerifyError::Truncated)?;
        let protocol = header.strip_prefix(Self::MAGIC);
        match protocol {
            Some(digest) if digest == protocol_digest() => Ok(elements),
            _ => Err(VerifyError::Protocol),
        }
    }
}
// verify-path: end
