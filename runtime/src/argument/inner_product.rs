//! Rounds of a sumcheck for `claim = sum_x a(x) b(x)`, or a sum of such sums, most significant variable first.
//!
//! A round's polynomial is quadratic: the prover sends its constant and its square coefficient, and the claim says what the third is.

use ark_ff::{AdditiveGroup, Field};

use crate::field::{Fr, bind_halves, dot};
use crate::transcript::AffineForm;

/// Constant and square coefficient of `sum_x a(t, x) b(t, x)`.
pub(crate) fn round(a: &[Fr], b: &[Fr]) -> [Fr; 2] {
    let half = a.len() / 2;
    let step = |t: &[Fr]| -> Vec<Fr> {
        let pairs = t[..half].iter().zip(&t[half..]);
        pairs.map(|(low, high)| *high - low).collect()
    };
    [dot(&a[..half], &b[..half]), dot(&step(a), &step(b))]
}

/// Binds the first variable.
pub(crate) fn bind(table: &mut Vec<Fr>, r: Fr) {
    let half = table.len() / 2;
    let (low, high) = table.split_at_mut(half);
    bind_halves(low, high, &r);
    table.truncate(half);
}

// verify-path: begin
/// The claim after a round: `constant + r (claim - 2 constant - square + r square)`.
pub(crate) fn next_claim(
    claim: AffineForm,
    [constant, square]: &[AffineForm; 2],
    r: Fr,
) -> AffineForm {
    claim
        .times(r)
        .plus(Fr::ONE - r.double(), constant)
        .plus(r * (r - Fr::ONE), square)
}
// verify-path: end
