//! Pedersen commitments to rows of small integers.

use ark_bn254::G1Affine;

/// Canonical compressed bytes of a point (32 bytes).
pub fn encode_point(_point: &G1Affine) -> [u8; 32] {
    todo!()
}

/// Inverse of [`encode_point`]; `None` unless canonical and on the curve.
pub fn decode_point(_bytes: &[u8; 32]) -> Option<G1Affine> {
    todo!()
}
