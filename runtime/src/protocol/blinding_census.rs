//! A census of the elements of a proof that hides: each is blinded, by randomness of its own.
//!
//! The challenges are fixed by a programmed oracle. Then everything that a prover computes from the witness is the same in two proofs, and they
//! differ by their blinding alone: an element that is equal in both, or differs in both by as much as another, depends on too little
//! randomness. (Under the hash it would differ all the same, since the challenges do.)

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ark_ec::CurveGroup;

use super::{Blinding, Context, Proof, ProveOptions, Prover};
use crate::commitment::{decode_point, encode_point};
use crate::field::Fr;
use crate::protocol::key::ProverKey;
use crate::randomness::Randomness;
use crate::statement::model::{Accumulator, View, Visibility};
use crate::statement::relations::testing::{Draft, everything};
use crate::statement::relations::{Exact, Relation};
use crate::transcript::{ELEMENT_BYTES, Sponge, decode_field, encode_field};

/// Every kind of message, and whether it is committed. A new one must be looked at before it is listed here: what is not committed must be
/// under pads, or masked.
const MESSAGES: [(&str, bool); 21] = [
    ("answer", false),
    ("answer round", true),
    ("answer value", false),
    ("closing blinder", false),
    ("closing mask", true),
    ("closing sum blinder", false),
    ("closing sums", true),
    ("contraction round", false),
    ("linear part", false),
    ("lookup.children", false),
    ("lookup.first_round", false),
    ("lookup.root", false),
    ("lookup.round", false),
    ("opened values", false),
    ("opening round", false),
    (OPERANDS, false),
    ("pads", true),
    ("product factors", false),
    ("product round", false),
    ("segment sums", false),
    ("witness rows", true),
];
/// Committed where they are a late row.
const OPERANDS: &str = "operand evaluations";
/// Proofs of one census: for an element without blinding to look like a point in all of them is a matter of `2^-24`.
const PROOFS: u8 = 24;

/// A labeled element of a proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Element {
    pub label: &'static str,
    pub bytes: [u8; ELEMENT_BYTES],
}

/// A proof's elements. `oracle` takes the place of the hash.
fn elements(key: &ProverKey, inputs: &[Vec<i64>], seed: u8, oracle: bool) -> Vec<Element> {
    let randomness = Randomness::from_seed("test", [seed; 32]);
    elements_of(key, inputs, Context::default(), (randomness, seed), oracle)
}

/// In a context, with this randomness; committed inputs have the blinding of a seed.
pub(super) fn elements_of(
    key: &ProverKey,
    inputs: &[Vec<i64>],
    context: Context,
    (randomness, seed): (Randomness, u8),
    oracle: bool,
) -> Vec<Element> {
    let chosen = [("tokens", Blinding::from_bytes([seed; 32]))];
    let is_committed = key.verifier_key().model().inputs[0].visibility == Visibility::Committed;
    let options = ProveOptions {
        blindings: if is_committed { &chosen } else { &[] },
        context,
    };
    let mut prover = Prover::start_seeded(key, inputs, &options, randomness).unwrap();
    if oracle {
        let challenges = Randomness::from_seed("oracle", [0; 32]).scalars(800);
        prover.set_sponge(Sponge::of_oracle(challenges));
    }
    let mut prover = prover.steps();
    prover.close();
    let sent = |(kind, label, _): &&(&str, &str, usize)| {
        *kind == "absorb" && !["protocol", "context", "model", "statement"].contains(label)
    };
    let log = prover.transcript().sponge.log().iter().filter(sent);
    let labels: Vec<&'static str> = log
        .flat_map(|(_, label, bytes)| std::iter::repeat_n(*label, bytes / ELEMENT_BYTES))
        .collect();
    let proof = prover.finish().proof;
    let (chunks, rest) = proof.elements().unwrap().as_chunks::<ELEMENT_BYTES>();
    assert_eq!((chunks.len(), rest.len()), (labels.len(), 0));
    let pairs = labels.into_iter().zip(chunks);
    pairs
        .map(|(label, bytes)| Element {
            label,
            bytes: *bytes,
        })
        .collect()
}

/// Of the same witness and challenges, with a seed each.
fn proofs(key: &ProverKey, inputs: &[Vec<i64>]) -> Vec<Vec<Element>> {
    (0..PROOFS)
        .map(|seed| elements(key, inputs, seed, true))
        .collect()
}

/// `left - right`, of points or of field elements.
fn difference(left: &Element, right: &Element, is_point: bool) -> [u8; ELEMENT_BYTES] {
    if is_point {
        let point = |element: &Element| decode_point(&element.bytes).unwrap();
        encode_point(&(point(left) - point(right)).into_affine())
    } else {
        let field = |element: &Element| decode_field(&element.bytes).unwrap();
        encode_field(&(field(left) - field(right)))
    }
}

/// Which labels' elements are points in all proofs.
fn points(proofs: &[Vec<Element>]) -> BTreeMap<&'static str, bool> {
    let mut points = BTreeMap::new();
    for element in proofs.iter().flatten() {
        *points.entry(element.label).or_insert(true) &= decode_point(&element.bytes).is_some();
    }
    points
}

/// Compares proofs of one witness under one oracle.
///
/// # Errors
/// The label and place of an element that is blinded too little.
fn census(proofs: &[Vec<Element>]) -> Result<(), String> {
    let is_point = points(proofs);
    let mut seen = HashMap::new();
    for proof in proofs {
        for (at, element) in proof.iter().enumerate() {
            let label = element.label;
            if let Some(other) = seen.insert(element.bytes, at) {
                return Err(format!("`{label}`: element {at} repeats element {other}"));
            }
        }
    }
    let (first, others) = proofs.split_first().unwrap();
    for other in others {
        let mut differences = HashMap::new();
        for (at, (left, right)) in first.iter().zip(other).enumerate() {
            let label = left.label;
            assert_eq!(label, right.label);
            let difference = difference(left, right, is_point[label]);
            if let Some(same) = differences.insert(difference, at) {
                return Err(format!(
                    "`{label}`: element {at} is blinded as element {same} is"
                ));
            }
        }
    }
    Ok(())
}

/// The model of all relations, with this much of it hidden.
pub(super) fn draft(weights: Visibility, input: Visibility, output: Visibility) -> Draft {
    let mut draft = everything();
    draft.model.weights = weights;
    let port = &mut draft.model.inputs.to_mut()[0];
    (port.name, port.visibility) = ("tokens".into(), input);
    draft.model.outputs.to_mut()[0].visibility = output;
    draft
}

/// A model without lookups: a product with hidden weights.
pub(super) fn product() -> Draft {
    let mut draft = Draft::new();
    let (x, _) = draft.input("x", &[3]);
    let w = draft.constant("w", &[5, 3], (0..15).collect());
    let output = draft.witness("y", &[5]);
    let operands = vec![View::identity(w, 2).unwrap(), View::along(x, 1).unwrap()];
    let accumulator = Accumulator::zero(vec![5].into()).plus_product(1, vec![3], operands);
    let exact = Exact {
        accumulator,
        output,
    };
    draft.node("linear", Relation::Exact(exact));
    draft
}

/// Models with the inputs to prove.
fn models() -> Vec<(&'static str, Draft, Vec<Vec<i64>>)> {
    use Visibility::{Committed, Private, Public};
    let tokens = vec![vec![4, 0, 2]];
    let all = |weights, input, output| draft(weights, input, output);
    vec![
        ("all hidden", all(Private, Private, Private), tokens.clone()),
        (
            "weights hidden",
            all(Private, Public, Public),
            tokens.clone(),
        ),
        ("input hidden", all(Public, Private, Public), tokens.clone()),
        (
            "output hidden",
            all(Public, Public, Private),
            tokens.clone(),
        ),
        ("input committed", all(Private, Committed, Public), tokens),
        ("no lookups", product(), vec![vec![1, 10, 100]]),
        ("zeros", product(), vec![vec![0; 3]]),
    ]
}

#[test]
fn every_element_is_blinded_by_itself() {
    for (name, draft, inputs) in models() {
        let verdict = census(&proofs(&draft.key(), &inputs));
        assert_eq!(verdict, Ok(()), "{name}");
    }
}

#[test]
fn messages_are_the_known_ones_and_committed_padded_or_masked() {
    let known = BTreeMap::from(MESSAGES);
    let (mut met, mut rows) = (BTreeSet::new(), 0);
    for (name, draft, inputs) in models() {
        let key = draft.key();
        for (label, is_point) in points(&proofs(&key, &inputs)) {
            met.insert(label);
            let late = label == OPERANDS && key.verifier_key().schedule().has_late_row();
            assert_eq!(is_point, known[label] || late, "{name}: `{label}`");
            rows += usize::from(late);
        }
    }
    assert!(met.iter().eq(known.keys()), "{met:?}");
    assert!(
        (1..models().len()).contains(&rows),
        "{rows} models with a late row"
    );
}

#[test]
fn a_proof_in_the_clear_does_not_pass_the_census() {
    let public = Visibility::Public;
    let key = draft(public, public, public).key();
    let proofs = proofs(&key, &[vec![4, 0, 2]]);
    assert_eq!(proofs[0], proofs[1]);
    let verdict = census(&proofs).unwrap_err();
    assert!(verdict.contains("`witness rows`"), "{verdict}");
}

#[test]
fn the_census_finds_what_is_not_blinded() {
    let hidden = Visibility::Private;
    let key = draft(hidden, hidden, hidden).key();
    let honest = proofs(&key, &[vec![4, 0, 2]]);
    let is_point = points(&honest);
    let step = Fr::from(5u64);
    let shift = encode_point(&crate::commitment::commit_row(
        0,
        &[step],
        Default::default(),
    ));
    for label in is_point.keys().copied() {
        let of_label = |element: &Element| element.label == label;
        let at = honest[0].iter().position(of_label).unwrap();
        // One element as it was in another proof.
        let mut planted = honest.clone();
        planted[1][at] = honest[0][at].clone();
        let verdict = census(&planted).unwrap_err();
        assert!(verdict.contains(&format!("`{label}`")), "{verdict}");
        // One element that differs from another of its kind by something without randomness.
        let is_like = |element: &Element| is_point[element.label] == is_point[label];
        let like = honest[0].iter().rposition(is_like).unwrap();
        let like = if like == at {
            honest[0].iter().position(is_like).unwrap()
        } else {
            like
        };
        let mut planted = honest.clone();
        for proof in &mut planted {
            let from = proof[like].bytes;
            proof[at].bytes = if is_point[label] {
                let sum = decode_point(&from).unwrap() + decode_point(&shift).unwrap();
                encode_point(&sum.into_affine())
            } else {
                encode_field(&(decode_field(&from).unwrap() + step))
            };
        }
        let verdict = census(&planted).unwrap_err();
        assert!(verdict.contains("is blinded as"), "{label}: {verdict}");
    }
}

#[test]
fn a_proof_is_a_function_of_witness_and_randomness() {
    for (name, draft, inputs) in models() {
        let key = draft.key();
        let once = elements(&key, &inputs, 3, false);
        assert_eq!(once, elements(&key, &inputs, 3, false), "{name}");
        let other = elements(&key, &inputs, 4, false);
        let pairs = once.iter().zip(&other);
        let equal = pairs.filter(|(a, b)| a.bytes == b.bytes).count();
        assert_eq!(equal, 0, "{name}");
        assert_eq!(
            once.len() * ELEMENT_BYTES + Proof::HEADER_BYTES,
            key.verifier_key().proof_bytes(),
            "{name}"
        );
    }
}
