//! The soundness budget of a schedule, computed and not asserted. `docs/soundness.md` derives every term.

use crate::argument::logup;
use crate::argument::schedule::Schedule;
use crate::argument::schedule::cost::{answer_rounds, product_elements, row_len};
use crate::commitment::{Attack, BEST_ATTACK, GENERIC_ATTACK};
use crate::field::FIELD_BITS;
use crate::statement::model::Model;

/// One line of the budget: how many of the field's elements are bad challenges, summed over the challenges of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityTerm {
    /// What may go wrong.
    pub name: &'static str,
    /// Numerator of the error probability, out of `2^FIELD_BITS`.
    pub numerator: u128,
}

/// What a proof rests on, each with its own bits. No one number says how secure a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// The error of the interactive argument, its messages bound, is below two to the minus this.
    pub statistical_bits: u32,
    /// On the group, for any curve like this one.
    pub generic_attack: Attack,
    /// On the group, of those published.
    pub best_attack: Attack,
}

impl SecurityTerm {
    /// log2 of the error probability.
    pub fn log2(&self) -> f64 {
        (self.numerator.max(1) as f64).log2() - f64::from(FIELD_BITS)
    }
}

impl Security {
    /// The least of the statistical bits and those of the generic attack.
    pub fn floor(&self) -> u32 {
        self.statistical_bits.min(self.generic_attack.bits)
    }
}

/// Every term of the budget.
pub fn security_terms(model: &Model, schedule: &Schedule) -> Vec<SecurityTerm> {
    let others = schedule.leaves.len.saturating_sub(1) as u128;
    let claims = 1 + schedule.zeros.len() + model.ports().count() + schedule.shown.len();
    let rounds = schedule.contraction_rounds * schedule.contraction_degree;
    let groups = schedule.groups.len().saturating_sub(1);
    let term = |name, numerator: usize| SecurityTerm {
        name,
        numerator: numerator as u128,
    };
    let mut terms = vec![
        SecurityTerm {
            name: "lookup challenge alpha: one factor of each other leaf",
            numerator: others,
        },
        SecurityTerm {
            name: "fingerprint challenge beta: degree 3 in each other leaf",
            numerator: 3 * others,
        },
        SecurityTerm {
            name: "LogUp-GKR rounds",
            numerator: u128::from(logup::soundness_terms(schedule.leaves.len_log2)),
        },
        term("zero checks and public values at tau", schedule.tau_len),
        term("folding of equations", claims),
        term("contraction rounds", rounds),
        term("folding of operands' claims", schedule.operand_count()),
        term("opening rounds", 2 * usize::from(model.row_log2)),
        term("folding of opened vectors", groups),
    ];
    terms.extend(closing_terms(model, schedule));
    terms
}

/// Those of the closing.
fn closing_terms(model: &Model, schedule: &Schedule) -> Vec<SecurityTerm> {
    let term = |name, numerator: usize| SecurityTerm {
        name,
        numerator: numerator as u128,
    };
    let (mut terms, mut coordinates) = (Vec::new(), 0);
    if model.hides() {
        coordinates = schedule.coordinates();
        terms.push(term("folding of hidden equations", equations(schedule) - 1));
        // Two a round; the last challenge folds three equations.
        let products = product_elements(schedule.product_count());
        terms.push(term("products to one", products));
        let others = schedule.answer_len(model) - row_len(model);
        terms.push(term("nothing in others' segments", others));
        // The greatest power.
        terms.push(term("rows to one", 15));
        terms.push(term("closing challenge", 2));
    }
    let rounds = answer_rounds(schedule.answer_len(model), model.answer_log2);
    if rounds > 0 {
        let name = "folding of the answer: its values, and two a round";
        terms.push(term(name, 1 + coordinates + 2 * rounds));
    }
    terms.push(term("batching of checks", 1));
    terms
}

/// Equations in hidden elements, of a proof that hides.
fn equations(schedule: &Schedule) -> usize {
    // One for each layer of the lookups, the root's among them; one for each partial product; the last of the contractions, and two of the opening.
    let partials = schedule.factor_count() - schedule.operand_count();
    schedule.leaves.len_log2 + partials + 3
}

/// What proofs of the model rest on.
pub fn security(model: &Model, schedule: &Schedule) -> Security {
    let terms = security_terms(model, schedule);
    let numerators = terms.iter().map(|term| term.numerator);
    let total = numerators.fold(1, u128::saturating_add);
    let lost = u128::BITS - total.leading_zeros();
    Security {
        statistical_bits: FIELD_BITS.saturating_sub(lost),
        generic_attack: GENERIC_ATTACK,
        best_attack: BEST_ATTACK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argument::schedule::Challenges;
    use crate::field::Fr;
    use crate::protocol::coefficients::{Coefficients, Fingerprint};
    use crate::protocol::key::ProverKey;
    use crate::protocol::prove;
    use crate::protocol::testing::transcript_log;
    use crate::protocol::verifier::Verifier;
    use crate::randomness::Randomness;
    use crate::statement::model::{Accumulator, View, Visibility};
    use crate::statement::relations::testing::{Draft, everything};
    use crate::transcript::{Claims, ELEMENT_BYTES};
    use ark_ff::{Field, PrimeField};

    /// Bad answers of one challenge, by its label; for an answer's values, by how many they are.
    fn degree(key: &ProverKey, label: &str, claims: &Claims, values: usize) -> usize {
        let (model, schedule) = (key.verifier_key().model(), key.verifier_key().schedule());
        match label {
            "alpha" => schedule.leaves.len.saturating_sub(1),
            "beta" => 3 * schedule.leaves.len.saturating_sub(1),
            "lookup.lambda" | "lookup.leaf" | "tau" => 1,
            "lookup.at" | "opening round" | "product round" | "closing products" => 2,
            "closing" | "answer round" => 2,
            "answer value" => values,
            "eta" => 1 + schedule.zeros.len() + model.ports().count() + schedule.shown.len(),
            "contraction round" => schedule.contraction_degree,
            "gamma" => schedule.operand_count(),
            "opened vector" => schedule.groups.len() - 1,
            "closing equations" => claims.equations.len() - 1,
            "closing segments" => schedule.answer_len(model) - (1 << model.row_log2),
            "closing rows" => 15,
            "closing batch" => 1,
            other => panic!("`{other}` is in no term"),
        }
    }

    /// The challenges of a real proof, and the equations and rows of a real verifier, make up the budget: no more and no less. The document that
    /// derives it names every message and every challenge.
    fn assert_complete(draft: &Draft, inputs: &[Vec<i64>]) {
        let key = draft.key();
        let verifier_key = key.verifier_key();
        let proven = prove(&key, inputs).unwrap();
        let log = transcript_log(verifier_key, &proven.statement, &proven.proof).unwrap();
        let verifier = Verifier::start(verifier_key, &proven.statement, &proven.proof).unwrap();
        let claims = verifier.steps().unwrap().claims();
        let mut before = 0;
        let mut expected = 0;
        for (kind, label, bytes) in &log {
            if *kind == "challenge" {
                expected += degree(&key, label, &claims, before / ELEMENT_BYTES);
            }
            before = *bytes;
        }
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/soundness.md");
        let document = std::fs::read_to_string(document).unwrap();
        for (_, label, _) in &log {
            assert!(document.contains(&format!("`{label}`")), "{label}");
        }
        let terms = verifier_key.security_terms();
        let total: u128 = terms.iter().map(|term| term.numerator).sum();
        assert_eq!(total, expected as u128, "{log:?}");
    }

    /// The greatest power of `eta` in the one equation: by how much it grows when `eta` does, all else being equal.
    fn degree_in_eta(key: &ProverKey) -> u64 {
        let (model, schedule) = (key.verifier_key().model(), key.verifier_key().schedule());
        let mut stream = Randomness::from_seed("test", [1; 32]);
        let mut scalars = |len| stream.scalars(len);
        let mut challenges =
            Challenges::new(scalars(schedule.leaves.len_log2), scalars(schedule.tau_len));
        challenges.sum = scalars(schedule.contraction_rounds);
        let [alpha, beta] = [scalars(1)[0], scalars(1)[0]];
        let factors = |eta: u64| {
            let fingerprint = Fingerprint { alpha, beta };
            let eta = Fr::from(eta);
            let coefficients = Coefficients::new(model, schedule, fingerprint, &challenges, eta);
            coefficients.unwrap().factors(&challenges).unwrap().concat()
        };
        let power = |(of_one, of_two): (Fr, Fr)| {
            let found = (0..1 << 10).find(|&power| of_one * Fr::from(2u64).pow([power]) == of_two);
            found.expect("a power of eta")
        };
        factors(1)
            .into_iter()
            .zip(factors(2))
            .map(power)
            .max()
            .unwrap()
    }

    #[test]
    fn every_equation_is_in_the_budget() {
        let mut draft = everything();
        for visibility in [
            Visibility::Public,
            Visibility::Private,
            Visibility::Committed,
        ] {
            draft.model.inputs.to_mut()[0].visibility = visibility;
            let key = draft.key();
            let terms = key.verifier_key().security_terms();
            let folding = terms
                .iter()
                .find(|term| term.name == "folding of equations");
            let (counted, degree) = (folding.unwrap().numerator, degree_in_eta(&key));
            assert!(
                u128::from(degree) <= counted,
                "{degree} of {counted}: {visibility:?}"
            );
        }
    }

    #[test]
    fn every_challenge_is_in_the_budget() {
        let mut draft = everything();
        for weights in [Visibility::Private, Visibility::Public] {
            draft.model.weights = weights;
            for (row_log2, answer_log2) in [(4, 2), (5, 5), (8, 3), (8, 8)] {
                (draft.model.row_log2, draft.model.answer_log2) = (row_log2, answer_log2);
                assert_complete(&draft, &[vec![4, 0, 2]]);
            }
        }
        draft.model.inputs.to_mut()[0].visibility = Visibility::Committed;
        assert_complete(&draft, &[vec![4, 0, 2]]);
    }

    /// Ports are equations, also those that no linear summand belongs to: here four ports, of which three are products.
    #[test]
    fn ports_of_products_are_in_the_budget() {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[3]);
        for name in ["a", "b", "c"] {
            let operands = vec![View::identity(x, 1).unwrap(); 2];
            let square = Accumulator::zero(vec![3].into()).plus_product(1, vec![], operands);
            draft.output(name, square, (0, 100));
        }
        assert_complete(&draft, &[vec![1, -2, 3]]);
        let terms = draft.key().verifier_key().security_terms();
        let folding = terms
            .iter()
            .find(|term| term.name == "folding of equations");
        assert_eq!(folding.unwrap().numerator, 5);
    }

    /// A challenge is a hash of 256 bits, reduced: an element has at most `ceil(2^256 / q)` of them, which is at most `2^(256 - FIELD_BITS)`.
    #[test]
    fn no_challenge_is_likelier_than_the_budget_says() {
        let top = Fr::MODULUS.0[3];
        assert_eq!(
            top >> (FIELD_BITS - 192),
            1,
            "2^FIELD_BITS is below q, and twice it is not"
        );
    }
}
