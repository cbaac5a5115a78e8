//! The soundness inventory: who catches what.
//!
//! | what is changed | caught by |
//! |---|---|
//! | any element of a proof: flipped, zeroed, swapped, non-canonical | [`every_element_of_a_proof_counts`], [`elements_of_a_proof_with_long_rows_count`] |
//! | lies that make every check before them hold | `protocol/forger/` |
//! | length of a proof | [`length_is_exact`] |
//! | one column of one relation, everything after it recomputed to fit; a forged multiplicity; padding; ranges | [`tampering`] |
//! | one column of a wide rounding, a normalization, a division; a barred row | `relations.rs`, `barred.rs` |
//! | a weight | [`another_weight_does_not_verify`] |
//! | statement, model, visibility, protocol, places of commitments, order of what is absorbed | `binding.rs` |
//! | random bytes | [`random_bytes_are_rejected`] |
mod support;

use support::{Show, everything, key, stream};
use zkiln_runtime::error::VerifyError;
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::model::{ColumnId, Model};
use zkiln_runtime::protocol::testing::prove_trace;
use zkiln_runtime::protocol::{Blinding, Proof, ProveOptions, Proven, prove, prove_with, verify};
use zkiln_runtime::randomness::Randomness;
use zkiln_runtime::trace::{self, Constants, Trace};

/// The order of BN254's scalar field, little-endian.
const ORDER: [u64; 4] = [
    0x43e1_f593_f000_0001,
    0x2833_e848_79b9_7091,
    0xb850_45b6_8181_585d,
    0x3064_4e72_e131_a029,
];

/// The identity's one encoding.
const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 0x40;
    bytes
};

fn column(model: &Model, name: &str) -> ColumnId {
    ColumnId(
        model
            .columns
            .iter()
            .position(|column| column.name == name)
            .unwrap() as u32,
    )
}

/// Blindings of the committed ports: always the same.
fn blindings() -> [(&'static str, Blinding); 2] {
    ["tokens", "gain"].map(|port| (port, Blinding::from_bytes([5; 32])))
}

fn randomness() -> Randomness {
    Randomness::from_seed("test", [7; 32])
}

#[test]
fn a_true_trace_argued_slowly_gives_the_same_proof() {
    for show in Show::ALL {
        let (key, inputs) = key(5, show);
        let (model, constants, _) = everything(5, show);
        let constants = Constants::new(&model, constants).unwrap();
        let trace = trace::run(&model, &constants, &inputs).unwrap();
        let outputs = trace.outputs(&model).unwrap();
        let chosen = blindings();
        let options = ProveOptions {
            blindings: if show == Show::Some { &chosen } else { &[] },
            ..ProveOptions::default()
        };
        let fast = prove_with(&key, &inputs, &options, randomness()).unwrap();
        let slow = prove_trace(&key, trace, &inputs, outputs, &options, randomness());
        assert_eq!(fast, slow);
    }
}

#[test]
fn every_element_of_a_proof_counts() {
    every_element_counts(5, Show::Everything, |_, _| true);
    every_element_counts(5, Show::Some, |_, _| true);
}

/// Rows of 2^12 elements, whose answer is folded to 2^8 in four rounds: some elements, and all around the rounds.
#[test]
fn elements_of_a_proof_with_long_rows_count() {
    let counts = |at: usize, len: usize| {
        // The last are a blinding factor, and the answer after four rounds of two points.
        let answer = len - 1 - (1 << 8);
        let rounds = answer - 12..answer + 4;
        at.is_multiple_of(29) || rounds.contains(&at)
    };
    every_element_counts(12, Show::Some, counts);
}

/// Of the elements that `of` says, by place and number.
fn every_element_counts(row_log2: u8, show: Show, of: fn(usize, usize) -> bool) {
    let (key, inputs) = key(row_log2, show);
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).unwrap();
    let bytes = proof.as_bytes();
    let rejected = |bytes: Vec<u8>, what: &str, at: usize| {
        if bytes != proof.as_bytes() {
            let result = verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes));
            assert!(result.is_err(), "{what} of element {at} was accepted");
        }
    };
    let elements = bytes.len() / 32;
    for at in (0..elements).filter(|at| of(*at, elements)) {
        // The header's five words count as well.
        let start = (Proof::HEADER_BYTES + 32 * at) % (bytes.len() - 32);
        let with = |change: &dyn Fn(&mut [u8])| {
            let mut bytes = bytes.to_vec();
            change(&mut bytes[start..]);
            bytes
        };
        rejected(with(&|element| element[31] ^= 1), "the lowest bit", at);
        rejected(with(&|element| element[17] ^= 64), "a middle bit", at);
        rejected(with(&|element| element[0] ^= 128), "the highest bit", at);
        rejected(with(&|element| element[..32].fill(0)), "zeroing", at);
        rejected(
            with(&|element| element[..32].copy_from_slice(&IDENTITY)),
            "the identity",
            at,
        );
        rejected(
            with(&|element| add_order(&mut element[..32])),
            "adding the order",
            at,
        );
        if start + 64 <= bytes.len() {
            let swap = |element: &mut [u8]| {
                let (a, b) = element.split_at_mut(32);
                a.swap_with_slice(&mut b[..32]);
            };
            rejected(with(&swap), "swapping", at);
        }
    }
}

/// The same residue, written non-canonically.
fn add_order(element: &mut [u8]) {
    let mut carry = 0u128;
    for (limb, order) in element.chunks_mut(8).zip(ORDER) {
        let sum =
            u128::from(u64::from_le_bytes(limb.try_into().unwrap())) + u128::from(order) + carry;
        limb.copy_from_slice(&(sum as u64).to_le_bytes());
        carry = sum >> 64;
    }
}

#[test]
fn length_is_exact() {
    let (key, inputs) = key(5, Show::Some);
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).unwrap();
    let expected = proof.as_bytes().len();
    for got in [
        0,
        1,
        31,
        32,
        expected - 32,
        expected - 1,
        expected + 1,
        expected + 32,
    ] {
        let mut bytes = proof.as_bytes().to_vec();
        bytes.resize(got, 0);
        assert_eq!(
            verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes)),
            Err(VerifyError::Length { expected, got })
        );
    }
}

/// A change to the integers of a column, given its true and padded shapes.
type Change = fn(&mut [i32]);

/// Runs the model honestly, changes columns, lets every later node follow, recounts multiplicities and argues for the result.
fn tamper_with(show: Show, changes: &[(&str, Change)]) -> Result<(), VerifyError> {
    let (model, constants, inputs) = everything(5, show);
    let (key, _) = key(5, show);
    let constants = Constants::new(&model, constants).unwrap();
    let mut trace = trace::run(&model, &constants, &inputs).unwrap();
    let mut after = 0;
    for &(name, change) in changes {
        let id = column(&model, name);
        let mut values = trace.column(id).to_vec();
        change(&mut values);
        assert_ne!(
            values,
            trace.column(id),
            "`{name}` is not changed: nothing is tampered with"
        );
        trace.set(id, values);
        after = after.max(
            model
                .nodes
                .iter()
                .position(|node| node.relation.writes().contains(&id))
                .map_or(0, |at| at + 1),
        );
    }
    for node in &model.nodes[after..] {
        // A later node may find that the change leaves its range; its columns then stay as they were.
        let _ = node.relation.fill(&node.name, &model, &mut trace);
    }
    if !changes
        .iter()
        .any(|(name, _)| name.ends_with("multiplicities"))
    {
        recount(&key, &mut trace);
    }
    let outputs = trace.outputs(&model).unwrap();
    argue_and_verify(&key, trace, &inputs, outputs)
}

fn argue_and_verify(
    key: &ProverKey,
    trace: Trace,
    inputs: &[Vec<i64>],
    outputs: Vec<Vec<i64>>,
) -> Result<(), VerifyError> {
    let options = ProveOptions::default();
    let proven = prove_trace(key, trace, inputs, outputs, &options, randomness());
    verify(key.verifier_key(), &proven.statement, &proven.proof)
}

/// The multiplicities that fit best: every key that is in its table is counted.
fn recount(key: &ProverKey, trace: &mut Trace) {
    let model = key.verifier_key().model();
    for (id, table) in model.tables.iter().enumerate() {
        let mut counts = vec![0i32; 1 << table.len_log2];
        for lookup in key
            .verifier_key()
            .schedule()
            .lookups
            .iter()
            .filter(|lookup| lookup.table.0 as usize == id)
        {
            for value in lookup.entries[0].accumulator.evaluate(trace) {
                let row = (value >> lookup.entries[0].shift_log2) - table.first_key;
                if let Some(count) = usize::try_from(row)
                    .ok()
                    .and_then(|row| counts.get_mut(row))
                {
                    *count += 1;
                }
            }
        }
        trace.set(table.multiplicities, counts);
    }
}

#[test]
fn tampering() {
    // Shapes: [5, 6] is padded to [8, 8], [5, 7] to [8, 8], [5] to [8].
    let tampering: &[(&str, &[(&str, Change)])] = &[
        ("one-hot row with two ones", &[("hot", |h| h[0] = 1)]),
        (
            "one-hot row of fractions that sum to one",
            &[("hot", |h| (h[0], h[1], h[3]) = (2, -1, 0))],
        ),
        (
            "one-hot of another token",
            &[("hot", |h| (h[3], h[4]) = (0, 1))],
        ),
        ("garbage in one-hot padding", &[("hot", |h| h[6] = 1)]),
        ("garbage in the rows' padding", &[("hot", |h| h[8 * 5] = 1)]),
        ("exact sum off by one", &[("sum", |s| s[1] += 1)]),
        ("garbage in a sum's padding", &[("sum", |s| s[3] = 1)]),
        (
            "rounded up",
            &[("y", |y| y[0] += 1), ("out", |o| o[0] += 1)],
        ),
        (
            "rounded down, the remainder's limb too large",
            &[("y", |y| y[9] -= 1)],
        ),
        (
            "remainder's limb off by one",
            &[("y/remainder/limb1", |l| l[2] ^= 1)],
        ),
        (
            "remainder's limb negative",
            &[("y/remainder/limb1", |l| l[2] -= 8)],
        ),
        ("wrong table output", &[("out", |o| o[1] += 1)]),
        ("table output of another key", &[("out", |o| o.swap(0, 1))]),
        (
            "garbage in the padding of a table output",
            &[("out", |o| o[7] = 5)],
        ),
        ("garbage in the padding of a key", &[("y", |y| y[7] = 5)]),
        (
            "shifted accumulator: scores too large by one",
            &[("scores", |s| s.iter_mut().for_each(|s| *s += 1))],
        ),
        ("maximum too large by one", &[("max", |m| m[0] += 1)]),
        ("maximum too small", &[("max", |m| m[1] -= 1)]),
        ("no maximum is attained", &[("hit", |h| h[..8].fill(0))]),
        (
            "maximum attained elsewhere",
            &[("hit", |h| h[..8].rotate_right(1))],
        ),
        ("wrong exponential", &[("e", |e| e[8] += 1)]),
        (
            "garbage in the padding of an exponential",
            &[("e", |e| e[5] += 1)],
        ),
        (
            "reciprocal too large by one",
            &[("softmax/recip", |q| q[0] += 1)],
        ),
        (
            "reciprocal too small by one",
            &[("softmax/recip", |q| q[2] -= 1)],
        ),
        (
            "reciprocal's limb shifted",
            &[("softmax/recip/limbs/limb1", |l| l[0] += 1)],
        ),
        (
            "reciprocal's remainder limb shifted",
            &[("softmax/recip/remainder/limb1", |l| l[1] ^= 1)],
        ),
        (
            "reciprocal's slack limb shifted",
            &[("softmax/recip/slack/limb1", |l| l[1] ^= 1)],
        ),
        ("normalized value off by one", &[("mixed", |m| m[3] += 1)]),
        ("difference's gain off by one", &[("gain", |g| g[0] += 1)]),
        ("an input beyond its range", &[("x", |x| x[0] += 400)]),
        ("a token beyond the last", &[("tokens", |t| t[0] = 6)]),
        (
            "garbage in the tokens' padding",
            &[("tokens", |t| t[5] = 1)],
        ),
        (
            "one multiplicity too many",
            &[("range/multiplicities", |m| m[128] += 1)],
        ),
        (
            "multiplicities of two keys exchanged",
            &[("relu/multiplicities", |m| m.swap(510, 512))],
        ),
    ];
    for (show, (what, changes)) in Show::ALL
        .into_iter()
        .flat_map(|s| tampering.iter().map(move |l| (s, l)))
    {
        let result = tamper_with(show, changes);
        assert!(result.is_err(), "accepted: {what}, {show:?}");
    }
    let public: &[(&str, &[(&str, Change)])] = &[
        (
            "the input in the trace is not the public one",
            &[("x", |x| x[0] += 1)],
        ),
        (
            "the tokens in the trace are not the public ones",
            &[("tokens", |t| t[0] ^= 1)],
        ),
        ("garbage in an input's padding", &[("x", |x| x[3] = 7)]),
    ];
    for (what, changes) in public {
        let result = tamper_with(Show::Everything, changes);
        assert!(result.is_err(), "accepted: {what}");
        let result = tamper_with(Show::Ports, changes);
        assert!(result.is_err(), "accepted: {what}, hidden weights");
    }
    // What a commitment is to has the port's shape: a looked-up input is bounded in its padding, and zero only by the commitment's own check.
    let padding: &[(&str, Change)] = &[("x", |x| x[3] = 7)];
    assert!(tamper_with(Show::Inputs, padding).is_err());
    assert_eq!(tamper_with(Show::Nothing, padding), Ok(()));
}

#[test]
fn a_commitment_to_more_than_the_tensor_is_rejected() {
    // The tensor takes the first 8 entries of a row, its commitment the first 2^8 of them at most.
    let port = "tokens";
    for (row_log2, at) in [(5, 8), (5, 31), (9, 8), (9, 255), (12, 9)] {
        let (key, inputs) = key(row_log2, Show::Some);
        let model = key.verifier_key().model();
        let constants = constants_of(row_log2);
        let id = column(model, port);
        let shape = &model.columns[id.0 as usize].shape;
        let argue = |garbage: i32| {
            let mut trace = trace::run(model, &constants, &inputs).unwrap();
            let outputs = trace.outputs(model).unwrap();
            let mut values = trace.column(id).to_vec();
            values.resize(1 << row_log2.min(8), 0);
            values[at] = garbage;
            trace.set(id, values);
            prove_trace(
                &key,
                trace,
                &inputs,
                outputs,
                &ProveOptions::default(),
                randomness(),
            )
        };
        let opens = |proven: &Proven| {
            let opening = &proven.openings[0];
            let commitment = proven.statement.inputs[0].commitment().unwrap();
            commitment.opens_to(shape, &opening.integers, &opening.seed)
        };
        let honest = argue(0);
        let verdict = verify(key.verifier_key(), &honest.statement, &honest.proof);
        assert!(opens(&honest) && verdict == Ok(()));
        let more = argue(7);
        assert!(!opens(&more));
        let verdict = verify(key.verifier_key(), &more.statement, &more.proof);
        assert!(verdict.is_err(), "accepted: 7 at {at} of 2^{row_log2}");
    }
}

fn constants_of(row_log2: u8) -> Constants {
    let (model, constants, _) = everything(row_log2, Show::Some);
    Constants::new(&model, constants).unwrap()
}

#[test]
fn a_maximum_that_no_score_attains_is_rejected_with_everything_else_in_order() {
    // The strongest form of a wrong maximum: exponentials and hits are those of the shifted keys.
    let (model, constants, inputs) = everything(5, Show::Some);
    let (key, _) = key(5, Show::Some);
    let constants = Constants::new(&model, constants).unwrap();
    let mut trace = trace::run(&model, &constants, &inputs).unwrap();
    let [max, e, hit] = ["max", "e", "hit"].map(|name| column(&model, name));
    let scores: Vec<i64> = {
        let node = model
            .nodes
            .iter()
            .find(|node| node.name == "softmax/max")
            .unwrap();
        node.relation.reads()[0].evaluate(&trace)
    };
    let mut values = [max, e, hit].map(|id| trace.column(id).to_vec());
    values[0][0] += 1;
    for j in 0..5 {
        let key = i64::from(values[0][0]) - scores[j];
        values[1][j] = (64.0 * (-0.05 * key as f64).exp()).round() as i32;
        values[2][j] = 0;
    }
    for (id, values) in [max, e, hit].into_iter().zip(values) {
        trace.set(id, values);
    }
    let after = model
        .nodes
        .iter()
        .position(|node| node.name == "softmax/max")
        .unwrap()
        + 1;
    for node in &model.nodes[after..] {
        node.relation.fill(&node.name, &model, &mut trace).unwrap();
    }
    recount(&key, &mut trace);
    let outputs = trace.outputs(&model).unwrap();
    assert!(argue_and_verify(&key, trace, &inputs, outputs).is_err());
}

#[test]
fn another_weight_does_not_verify() {
    for (show, changed) in Show::ALL
        .into_iter()
        .flat_map(|s| (0..6).map(move |c| (s, c)))
    {
        let (key, inputs) = key(5, show);
        let (model, mut constants, _) = everything(5, show);
        constants[changed][1] += 1;
        let bytes = key.verifier_key().commitment_bytes();
        let verifier = VerifierKey::from_parts(model, &bytes).unwrap();
        let blinding = key.blinding().clone();
        let other = ProverKey::from_parts(verifier, constants, blinding).unwrap();
        let Ok(proven) = prove(&other, &inputs) else {
            continue;
        };
        let verdict = verify(key.verifier_key(), &proven.statement, &proven.proof);
        assert!(verdict.is_err(), "constant {changed}, {show:?}");
    }
}

#[test]
fn random_bytes_are_rejected() {
    let (key, inputs) = key(5, Show::Some);
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).unwrap();
    let mut random = stream(77, 1 << 40);
    for _ in 0..200 {
        let bytes: Vec<u8> = random
            .by_ref()
            .take(proof.as_bytes().len())
            .map(|x| x as u8)
            .collect();
        assert!(verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes)).is_err());
    }
    // Canonical elements in the right places, all from the true proof, shuffled.
    let mut elements: Vec<&[u8]> = proof.as_bytes()[Proof::HEADER_BYTES..].chunks(32).collect();
    let header = &proof.as_bytes()[..Proof::HEADER_BYTES];
    for _ in 0..200 {
        let (a, b) = (
            random.next().unwrap().unsigned_abs() as usize,
            random.next().unwrap().unsigned_abs() as usize,
        );
        let len = elements.len();
        elements.swap(a % len, b % len);
        let shuffled = [header, &elements.concat()].concat();
        if shuffled != proof.as_bytes() {
            let shuffled = Proof::from_bytes(shuffled);
            assert!(verify(key.verifier_key(), &statement, &shuffled).is_err());
        }
    }
}
