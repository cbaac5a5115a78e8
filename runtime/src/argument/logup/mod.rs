//! LogUp-GKR: a sum of fractions is zero *(Papini-Haböck 2023/1284, sections 3 and 4; sumcheck after Gruen 2024/108)*.
//!
//! Statement: `sum_i n_i prod_{j != i} d_j = 0` over the leaves `0 <= i < 2^len_log2`. It is reduced to one claim on the numerators and one on
//! the denominators at a common random point. With `d_i = alpha - f_i(beta)`, where the polynomials `f_i` are fixed before `alpha` and `beta` are
//! drawn, the sum is a polynomial in both, zero if and only if `sum_i n_i / (X - f_i)` is: denominators need not be shown to be nonzero.
//!
//! The leaves are the last layer of a binary tree of fractions; a node is the sum of its children `2x` and `2x + 1`:
//!
//! ```text
//! p(x) = p0(x) q1(x) + p1(x) q0(x)        q(x) = q0(x) q1(x)
//! ```
//!
//! | symbol | meaning |
//! |---|---|
//! | `p`, `q` | numerators and denominators of a layer, `2^k` nodes |
//! | `p0`, `p1`, `q0`, `q1` | the same of the layer below, children of either parity: functions of `k` variables |
//! | `lambda` | batches the claim on `p` with that on `q` |
//! | `F` | `p0 q1 + p1 q0 + lambda q0 q1` |
//! | `h(t)` | `sum_x eq(z, x) F(x, t)` over the variables `x` above the one that `t` stands for: quadratic, `a + b t + c t^2` |
//!
//! **Root.** The prover sends its two children; the numerator of their sum must be zero.
//!
//! **Layer.** The values of the `k - 1` variable functions `p0`, `p1`, `q0`, `q1` at a point `z` are claims on the layer's `p` and
//! `q` at `(z, 0)` and `(z, 1)`. So `h(0) = p0 + lambda q0` and `h(1) = p1 + lambda q1` of the first round are known, for the least
//! significant variable; the prover sends `c` only, and a challenge `t` leaves the claim `h(t)`. This takes the place of the usual
//! random fold of the two children, and saves half of the widest round. In each later round the claim is `sum_x eq(z, x) F(x)` with one
//! variable less, `(1 - z_i) h(0) + z_i h(1)`; the prover sends `b` and `c`, and the verifier has `a = claim - z_i (b + c)`. At the end
//! it sends the four values at the new point, and `F` of them is the claim.
//!
//! **Leaves.** A last challenge folds the children of the leaf layer to one point.

use ark_ff::{AdditiveGroup, Field};

use crate::error::VerifyError;
use crate::field::{Fr, batch_invert};
use crate::transcript::{AffineForm, Equation, ProverTranscript, VerifierTranscript};

#[cfg(target_arch = "x86_64")]
mod avx512;
mod dense;
mod lanes;
mod level;
mod memory;
#[cfg(test)]
mod tests;
mod tree;

use lanes::Lanes;
use tree::Tree;

/// The leaves, in three zones: `[0, unit)` with numerator one, `[unit, len)` with numerators of their own, and from there to
/// `2^len_log2` the fraction `0 / 1`, which costs nothing.
#[derive(Debug)]
pub struct Leaves<'a> {
    /// Leaves (log2).
    pub len_log2: usize,
    /// Length of the zone of unit numerators.
    pub unit: usize,
    /// Numerators of the second zone.
    pub numerators: &'a [i64],
    /// Denominators of the first two zones.
    pub denominators: Vec<Fr>,
}

/// What is left to check: the multilinear extensions of the leaves at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafClaim<T> {
    /// `len_log2` coordinates, most significant variable first.
    pub point: Vec<Fr>,
    /// The numerators' value.
    pub numerator: T,
    /// The denominators' value.
    pub denominator: T,
}

/// Bound on the soundness error for `2^len_log2` leaves, as a multiple of `1 / |Fr|`.
///
/// The layer of `k` variables has its batching (degree 1) and `k` rounds (degree 2: the `eq` factor is not part of the messages); the
/// fold of the leaves has degree 1. Their sum is `len_log2^2`.
pub fn soundness_terms(len_log2: usize) -> u64 {
    (len_log2 as u64).pow(2)
}

/// Values of the children of one layer: `p0`, `p1`, `q0`, `q1`.
type Children = [Fr; 4];

/// Proves that the fractions sum to zero. Panics if the leaves' lengths do not fit.
///
/// The proof is rejected if the sum is not zero.
pub fn prove(leaves: Leaves, transcript: &mut ProverTranscript) -> LeafClaim<Fr> {
    #[cfg(target_arch = "x86_64")]
    if crate::field::avx512::available() {
        return prove_with::<avx512::Avx512Lanes>(leaves, transcript);
    }
    prove_with::<Fr>(leaves, transcript)
}

fn prove_with<L: Lanes>(leaves: Leaves, transcript: &mut ProverTranscript) -> LeafClaim<Fr> {
    let len_log2 = leaves.len_log2;
    let mut memory = Vec::new();
    let mut tree = Tree::<L>::new(leaves, &mut memory);
    let Some(mut children) = tree.children_of_root() else {
        let denominator = tree.root_denominator();
        transcript.send("lookup.root", &[denominator]);
        return LeafClaim {
            point: Vec::new(),
            numerator: Fr::ZERO,
            denominator,
        };
    };
    transcript.send("lookup.children", &children);
    let mut point = Vec::new();
    for _ in 1..len_log2 {
        let lambda = transcript.sponge.challenge("lookup.lambda");
        let mut rounds = Rounds::new(transcript, &children, lambda, &point);
        children = tree.prove_layer(lambda, &mut rounds);
        point = rounds.challenges;
        transcript.send("lookup.children", &children);
    }
    let bit = transcript.sponge.challenge("lookup.leaf");
    let [p0, p1, q0, q1] = children;
    LeafClaim {
        point: leaf_point(point, bit),
        numerator: p0 + bit * (p1 - p0),
        denominator: q0 + bit * (q1 - q0),
    }
}

// verify-path: begin
/// Checks that the fractions at `2^len_log2` leaves sum to zero, given that the claim on them holds.
///
/// # Errors
///
/// `Lookup` if the sum is not zero, `Sumcheck` if a layer does not follow from the one below, `Truncated` and `NonCanonical` for malformed
/// proofs.
pub fn verify(
    len_log2: usize,
    transcript: &mut VerifierTranscript,
) -> Result<LeafClaim<AffineForm>, VerifyError> {
    if len_log2 == 0 {
        let [denominator] = transcript.receive_array("lookup.root")?;
        return Ok(LeafClaim {
            point: Vec::new(),
            numerator: AffineForm::default(),
            denominator,
        });
    }
    let mut children = receive_children(transcript)?;
    let root = Equation {
        products: sum_of_fractions(&children),
        linear: AffineForm::default(),
    };
    transcript.require(root, VerifyError::Lookup)?;
    let mut point = Vec::new();
    for _ in 1..len_log2 {
        let lambda = transcript.sponge.challenge("lookup.lambda");
        let (claim, challenges) = verify_rounds(transcript, &children, lambda, &point)?;
        children = receive_children(transcript)?;
        let mut products = sum_of_fractions(&children);
        let [_, _, q0, q1] = &children;
        products.push((lambda, q0.clone(), q1.clone()));
        let layer = Equation {
            products,
            linear: claim.times(-Fr::ONE),
        };
        transcript.require(layer, VerifyError::Sumcheck("lookup"))?;
        point = challenges;
    }
    let bit = transcript.sponge.challenge("lookup.leaf");
    let [p0, p1, q0, q1] = &children;
    let fold =
        |low: &AffineForm, high: &AffineForm| low.clone().times(Fr::ONE - bit).plus(bit, high);
    Ok(LeafClaim {
        point: leaf_point(point, bit),
        numerator: fold(p0, p1),
        denominator: fold(q0, q1),
    })
}

fn receive_children(transcript: &mut VerifierTranscript) -> Result<[AffineForm; 4], VerifyError> {
    transcript.receive_array("lookup.children")
}

/// `p0 q1 + p1 q0`.
fn sum_of_fractions([p0, p1, q0, q1]: &[AffineForm; 4]) -> Vec<(Fr, AffineForm, AffineForm)> {
    vec![
        (Fr::ONE, p0.clone(), q1.clone()),
        (Fr::ONE, p1.clone(), q0.clone()),
    ]
}

/// `point` is least significant variable first.
fn leaf_point(point: Vec<Fr>, bit: Fr) -> Vec<Fr> {
    point
        .into_iter()
        .rev()
        .chain(std::iter::once(bit))
        .collect()
}
// verify-path: end

/// The prover's messages in the rounds of one layer.
struct Rounds<'a> {
    transcript: &'a mut ProverTranscript,
    /// Values at zero and one of the first round's polynomial.
    ends: [Fr; 2],
    claim: Fr,
    /// The layer's point, least significant variable first.
    point: &'a [Fr],
    inverses: Vec<Fr>,
    challenges: Vec<Fr>,
}

impl<'a> Rounds<'a> {
    fn new(
        transcript: &'a mut ProverTranscript,
        [p0, p1, q0, q1]: &Children,
        lambda: Fr,
        point: &'a [Fr],
    ) -> Self {
        let mut inverses = point.to_vec();
        batch_invert(&mut inverses);
        Self {
            transcript,
            ends: [*p0 + lambda * q0, *p1 + lambda * q1],
            claim: Fr::ZERO,
            point,
            inverses,
            challenges: Vec::new(),
        }
    }

    /// The first round, from `h`'s leading coefficient.
    fn first(&mut self, c: Fr) -> Fr {
        let [at_zero, at_one] = self.ends;
        self.transcript.send("lookup.first_round", &[c]);
        self.challenge(at_zero, at_one - at_zero - c, c)
    }

    /// A later round, from `h(0)` and its leading coefficient.
    fn next(&mut self, a: Fr, c: Fr) -> Fr {
        // claim = a + z (b + c). That a challenge was zero has probability 1 / |Fr|.
        let b = (self.claim - a) * self.inverses[self.challenges.len() - 1] - c;
        self.transcript.send("lookup.round", &[b, c]);
        self.challenge(a, b, c)
    }

    fn challenge(&mut self, a: Fr, b: Fr, c: Fr) -> Fr {
        let at = self.transcript.sponge.challenge("lookup.at");
        self.claim = a + at * (b + at * c);
        self.challenges.push(at);
        at
    }
}

// verify-path: begin
/// The verifier's side of [`Rounds`], over one variable more than `point` has; the last claim and the challenges.
fn verify_rounds(
    transcript: &mut VerifierTranscript,
    [p0, p1, q0, q1]: &[AffineForm; 4],
    lambda: Fr,
    point: &[Fr],
) -> Result<(AffineForm, Vec<Fr>), VerifyError> {
    let [c] = transcript.receive_array("lookup.first_round")?;
    let mut at = transcript.sponge.challenge("lookup.at");
    // h(0) + at (h(1) - h(0) - c) + at^2 c
    let mut claim = AffineForm::default();
    for (weight, p, q) in [(Fr::ONE - at, p0, q0), (at, p1, q1)] {
        claim.add(weight, p);
        claim.add(weight * lambda, q);
    }
    claim.add(at * (at - Fr::ONE), &c);
    let mut challenges = vec![at];
    for z in point {
        let [b, c] = transcript.receive_array("lookup.round")?;
        at = transcript.sponge.challenge("lookup.at");
        // a + b at + c at^2, where a = claim - z (b + c)
        claim.add(at - z, &b);
        claim.add(at * at - z, &c);
        challenges.push(at);
    }
    Ok((claim, challenges))
}
// verify-path: end
