//! The soundness budget of a schedule, computed and not asserted.

use crate::argument::logup;
use crate::argument::schedule::Schedule;
use crate::statement::model::Model;

/// Bits of the generic attack on a discrete logarithm in BN254's G1: half of the group order's 254 bits, less the constant of Pollard's rho.
const CURVE_BITS: u32 = 126;
/// log2 of the scalar field's order, rounded down.
const FIELD_BITS: u32 = 253;

/// One line of the budget: errors out of the field's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityTerm {
    /// What may go wrong.
    pub name: &'static str,
    /// Numerator of the error probability; the denominator is the field's order.
    pub numerator: u128,
}

impl SecurityTerm {
    /// log2 of the error probability.
    pub fn log2(&self) -> f64 {
        (self.numerator.max(1) as f64).log2() - f64::from(FIELD_BITS)
    }
}

/// Every term of the budget *(Schwartz-Zippel, summed by a union bound)*.
pub fn security_terms(model: &Model, schedule: &Schedule) -> Vec<SecurityTerm> {
    let leaves = schedule.leaves.len as u128;
    let equations = (2 + schedule.zeros.len() + schedule.linear.len()) as u128;
    let rounds = (schedule.contraction_rounds * schedule.contraction_degree) as u128;
    let rows = (schedule.leaves.len_log2 + 2) as u128;
    let mut terms = vec![
        SecurityTerm {
            name: "lookup challenge alpha: degree of the sum of fractions",
            numerator: 2 * leaves,
        },
        SecurityTerm {
            name: "fingerprint challenge beta: degree 3 for each pair of rows",
            numerator: 3 * leaves * leaves,
        },
        SecurityTerm {
            name: "LogUp-GKR rounds",
            numerator: logup::soundness_terms(schedule.leaves.len_log2) as u128,
        },
        SecurityTerm {
            name: "zero checks and public values at tau",
            numerator: schedule.tau_len as u128,
        },
        SecurityTerm {
            name: "folding of equations",
            numerator: equations,
        },
        SecurityTerm {
            name: "contraction rounds",
            numerator: rounds,
        },
        SecurityTerm {
            name: "folding of claims",
            numerator: schedule.pieces.len() as u128,
        },
        SecurityTerm {
            name: "opening rounds and folding of vectors",
            numerator: 64 + schedule.lows.len() as u128,
        },
    ];
    if model.answer_rounds() > 0 {
        terms.push(SecurityTerm {
            name: "folding of the answer: its value, and degree 2 a round",
            numerator: 1 + 2 * model.answer_rounds() as u128,
        });
    }
    if model.hides() {
        let partials = schedule.factor_count() - schedule.operand_count();
        terms.push(SecurityTerm {
            name: "closing: folding of equations, the challenge, batching of checks",
            numerator: rows + (partials as u128 + 2) + 2 + rows,
        });
    }
    terms
}

/// Security in bits: the least of the field's budget and the curve's.
pub fn security_bits(model: &Model, schedule: &Schedule) -> u32 {
    let total: u128 = security_terms(model, schedule)
        .iter()
        .map(|term| term.numerator)
        .fold(1, u128::saturating_add);
    let lost = u128::BITS - total.leading_zeros();
    FIELD_BITS.saturating_sub(lost).min(CURVE_BITS)
}
