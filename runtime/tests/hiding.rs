//! What a proof that hides looks like from outside: noise, whatever the witness.
//!
//! | what | shown by |
//! |---|---|
//! | two proofs of one input have nothing in common but the header | [`fresh_randomness_changes_every_element`] |
//! | commitments in the statement are fresh | [`fresh_blindings_change_every_commitment`] |
//! | proofs of two inputs pass the [`statistics`] | [`proofs_of_two_inputs_look_alike`], [`proofs_with_one_public_output_look_alike`] |
//! | the statistics find proofs in the clear, and small leaks | [`proofs_in_the_clear_are_told_apart`], [`small_leaks_are_found`] |
//!
//! Statistics prove nothing, but would see a missing blinding. That nothing is missing is argued in the closing's documentation, simulated in the
//! protocol's unit tests, and taken stock of, element by element, there.
mod statistics;
mod support;

use std::collections::HashSet;

use rayon::prelude::*;
use statistics::{ELEMENT, Elements, SIGMAS, statistics};
use support::Show;
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::protocol::{
    Blinding, Proof, ProveOptions, Proven, Statement, prove, prove_with, run,
};
use zkiln_runtime::randomness::Randomness;

/// Proofs of one population.
const PROOFS: u8 = 64;

/// The proof's elements, and the statement's points.
fn elements(proven: &Proven) -> Elements {
    let bytes = &proven.proof.as_bytes()[Proof::HEADER_BYTES..];
    [bytes, &commitments(&proven.statement)]
        .concat()
        .as_chunks::<ELEMENT>()
        .0
        .to_vec()
}

fn commitments(statement: &Statement) -> Vec<u8> {
    let shown = statement.inputs.iter().chain(&statement.outputs);
    let committed = shown.filter_map(|shown| shown.commitment());
    committed
        .flat_map(|commitment| commitment.to_bytes())
        .collect()
}

/// A proof with randomness from a seed.
fn seeded(key: &ProverKey, inputs: &[Vec<i64>], show: Show, seed: [u8; 2]) -> Proven {
    let seed = std::array::from_fn(|at| seed.get(at).copied().unwrap_or(0));
    let blindings = [("tokens", "tokens"), ("gain", "gain")].map(|(port, domain)| {
        let [scalar] = Randomness::from_seed(domain, seed).scalars(1)[..] else {
            unreachable!()
        };
        let bytes = zkiln_runtime::transcript::encode_field(&scalar);
        (port, Blinding::from_bytes(bytes))
    });
    let options = ProveOptions {
        blindings: if show == Show::Some { &blindings } else { &[] },
        ..ProveOptions::default()
    };
    let randomness = Randomness::from_seed("test", seed);
    prove_with(key, inputs, &options, randomness).unwrap()
}

/// Proofs of one input, seeded by `population` and their number.
fn proofs(key: &ProverKey, inputs: &[Vec<i64>], show: Show, population: u8) -> Vec<Elements> {
    (0..PROOFS)
        .into_par_iter()
        .map(|number| elements(&seeded(key, inputs, show, [population, number])))
        .collect()
}

/// Two inputs that have little in common.
fn two_inputs() -> [Vec<Vec<i64>>; 2] {
    let (.., inputs) = support::everything(5, Show::Nothing);
    let zeros = inputs.iter().map(|tensor| vec![0; tensor.len()]).collect();
    [inputs, zeros]
}

#[track_caller]
fn assert_alike(a: &[Elements], b: &[Elements]) {
    for (name, sigmas) in statistics(a, b) {
        assert!(sigmas < SIGMAS, "{name}: {sigmas:.1} sigmas");
    }
}

/// What tells two populations apart.
fn found(a: &[Elements], b: &[Elements]) -> Vec<&'static str> {
    let findings = statistics(a, b).into_iter();
    findings
        .filter(|(_, sigmas)| *sigmas >= SIGMAS)
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn fresh_randomness_changes_every_element() {
    for show in [Show::Ports, Show::Some, Show::Nothing] {
        let (key, inputs) = support::key(5, show);
        let [a, b] = [(); 2].map(|()| prove(&key, &inputs).unwrap());
        let (header, _) = a.proof.as_bytes().split_at(Proof::HEADER_BYTES);
        assert!(b.proof.as_bytes().starts_with(header));
        let (a, b) = (elements(&a), elements(&b));
        assert_eq!(a.len(), b.len());
        for (at, (a, b)) in a.iter().zip(&b).enumerate() {
            assert_ne!(a, b, "element {at}, {show:?}");
        }
        // No element comes twice either.
        let all: HashSet<_> = a.iter().chain(&b).collect();
        assert_eq!(all.len(), a.len() + b.len(), "{show:?}");
    }
}

#[test]
fn fresh_blindings_change_every_commitment() {
    let (key, inputs) = support::key(5, Show::Some);
    let [a, b] = [(); 2].map(|()| commitments(&prove(&key, &inputs).unwrap().statement));
    assert_eq!(a.len(), 2 * ELEMENT);
    let pairs = a.chunks(ELEMENT).zip(b.chunks(ELEMENT));
    assert_eq!(pairs.filter(|(a, b)| a == b).count(), 0);
}

#[test]
fn proofs_of_two_inputs_look_alike() {
    let (key, _) = support::key(5, Show::Nothing);
    let [one, other] = two_inputs();
    let a = proofs(&key, &one, Show::Nothing, 0);
    let b = proofs(&key, &other, Show::Nothing, 1);
    assert_alike(&a, &b);
}

#[test]
fn proofs_with_one_public_output_look_alike() {
    let (key, one) = support::key(5, Show::Some);
    let public = |inputs: &[Vec<i64>]| run(&key, inputs).map(|outputs| outputs[0].clone());
    let expected = public(&one).unwrap();
    // Rounding forgives small changes of the private input.
    let mut other = one.clone();
    for at in 0..one[1].len() {
        for step in [-1, 1] {
            let mut nearby = other.clone();
            nearby[1][at] += step;
            if public(&nearby).is_ok_and(|output| output == expected) {
                other = nearby;
            }
        }
    }
    assert_ne!(one, other);
    let a = proofs(&key, &one, Show::Some, 0);
    let b = proofs(&key, &other, Show::Some, 1);
    assert_alike(&a, &b);
}

#[test]
fn proofs_in_the_clear_are_told_apart() {
    let (key, _) = support::key(5, Show::Everything);
    let [one, other] = two_inputs();
    let [a, b] = [one, other].map(|inputs| proofs(&key, &inputs, Show::Everything, 0));
    let found = found(&a, &b);
    for name in [
        "bits of an element",
        "mean of an element",
        "equal elements",
        "collisions of words",
    ] {
        assert!(found.contains(&name), "{name} is not among {found:?}");
    }
    // So are single ones.
    let [a, b] = [&a, &b].map(|proofs| proofs[..1].to_vec());
    assert!(!self::found(&a, &b).is_empty());
    // Proofs of one input by the same statistics: what they see is not the populations' order or number.
    let (key, _) = support::key(5, Show::Nothing);
    let [one, _] = two_inputs();
    let [a, b] = [2, 3].map(|population| proofs(&key, &one, Show::Nothing, population));
    assert_alike(&a, &b);
}

/// A change to one population's proofs: the elements, and the proof's number.
type Leak = fn(&mut Elements, usize);

#[test]
fn small_leaks_are_found() {
    let (key, _) = support::key(5, Show::Nothing);
    let [one, other] = two_inputs();
    let a = proofs(&key, &one, Show::Nothing, 0);
    let b = proofs(&key, &other, Show::Nothing, 1);
    let leaks: [(&str, &str, Leak); 9] = [
        ("a bit of an element", "bits of an element", |e, _| {
            e[7][12] |= 16
        }),
        ("a bit, now and then", "bits of all elements", |e, _| {
            e.iter_mut().step_by(9).for_each(|element| element[3] |= 1)
        }),
        ("some bytes", "bytes are uniform", |e, _| {
            e.iter_mut().step_by(9).for_each(|element| element[5] = 17)
        }),
        ("an element's size", "mean of an element", |e, _| {
            e[200][..8].fill(0)
        }),
        ("an element that repeats", "equal elements", |e, number| {
            e[20] = [number as u8 / 2; ELEMENT]
        }),
        ("neighbors that agree", "neighbors", |e, _| {
            for at in (1..e.len()).step_by(9) {
                e[at] = std::array::from_fn(|byte| e[at - 1][byte] & 0x7f | e[at][byte] & 0x80);
            }
        }),
        (
            "one mask for two elements",
            "equal differences",
            |e, number| {
                let mut sum = e[e.len() - 2];
                sum[0] ^= 1;
                *e.last_mut().unwrap() = sum;
                assert!(number < usize::from(PROOFS));
            },
        ),
        ("stretches of a bit", "runs", |e, _| {
            e.iter_mut()
                .step_by(9)
                .for_each(|e| e[10..20].copy_from_slice(&[0, 255, 0, 255, 0, 255, 0, 255, 0, 255]))
        }),
        ("few words", "collisions of words", |e, _| {
            e.iter_mut().step_by(9).for_each(|element| {
                element[2] &= 3;
                element[3] = 0;
            })
        }),
    ];
    for (what, by, leak) in leaks {
        let mut leaking = a.clone();
        for (number, proof) in leaking.iter_mut().enumerate() {
            leak(proof, number);
        }
        let found = found(&leaking, &b);
        assert!(
            found.contains(&by),
            "{what} is not found by {by}: {found:?}"
        );
    }
}
