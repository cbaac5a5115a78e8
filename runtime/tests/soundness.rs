//! The soundness inventory: who catches what.
//!
//! | what is changed | caught by |
//! |---|---|
//! | any element of a proof: flipped, zeroed, swapped, non-canonical | [`every_element_of_a_proof_counts`] |
//! | length of a proof | [`length_is_exact`] |
//! | any public integer | [`every_public_integer_counts`] |
//! | one column of one relation, everything after it recomputed to fit | [`lies`] |
//! | a weight | [`another_weight_does_not_verify`] |
//! | order of what the transcript absorbs | [`transcript_is_as_written_down`] |
//! | random bytes | [`random_bytes_are_rejected`] |
mod support;

use support::{everything, stream};
use zkiln_runtime::error::VerifyError;
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::model::{ColumnId, Model};
use zkiln_runtime::protocol::{Proof, Prover, Statement, prove, verify};
use zkiln_runtime::trace::{self, Constants, Trace};

/// The order of BN254's scalar field, little-endian.
const ORDER: [u64; 4] = [
    0x43e1_f593_f000_0001,
    0x2833_e848_79b9_7091,
    0xb850_45b6_8181_585d,
    0x3064_4e72_e131_a029,
];

fn setup() -> (ProverKey, Vec<Vec<i64>>) {
    let (model, constants, inputs) = everything(4);
    (ProverKey::new(model, constants).unwrap(), inputs)
}

fn column(model: &Model, name: &str) -> ColumnId {
    ColumnId(
        model
            .columns
            .iter()
            .position(|column| column.name == name)
            .unwrap() as u32,
    )
}

#[test]
fn a_true_trace_argued_slowly_gives_the_same_proof() {
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
    let (model, constants, _) = everything(4);
    let trace = trace::run(&model, &Constants::new(&model, constants).unwrap(), &inputs).unwrap();
    assert_eq!(argue(&key, trace, statement), proof);
}

fn argue(key: &ProverKey, trace: Trace, statement: Statement) -> Proof {
    let mut prover = Prover::from_trace(key, trace, statement);
    prover.commit();
    prover.lookups();
    prover.contractions();
    prover.opening();
    prover.finish().1
}

#[test]
fn every_element_of_a_proof_counts() {
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
    let bytes = proof.as_bytes();
    let rejected = |bytes: Vec<u8>, what: &str, at: usize| {
        if bytes != proof.as_bytes() {
            let result = verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes));
            assert!(result.is_err(), "{what} of element {at} was accepted");
        }
    };
    for at in 0..bytes.len() / 32 {
        let with = |change: &dyn Fn(&mut [u8])| {
            let mut bytes = bytes.to_vec();
            change(&mut bytes[32 * at..]);
            bytes
        };
        rejected(with(&|element| element[0] ^= 1), "the lowest bit", at);
        rejected(with(&|element| element[17] ^= 64), "a middle bit", at);
        rejected(with(&|element| element[31] ^= 128), "the highest bit", at);
        rejected(with(&|element| element[..32].fill(0)), "zeroing", at);
        rejected(
            with(&|element| add_order(&mut element[..32])),
            "adding the order",
            at,
        );
        if 32 * (at + 1) < bytes.len() {
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
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
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

#[test]
fn every_public_integer_counts() {
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
    let tensors = statement.inputs.len() + statement.outputs.len();
    for tensor in 0..tensors {
        let len = statement
            .inputs
            .iter()
            .chain(&statement.outputs)
            .nth(tensor)
            .unwrap()
            .len();
        for at in 0..len {
            for change in [
                |x: i64| x + 1,
                |x: i64| x - 1,
                |x: i64| -x,
                |_| 0,
                |x: i64| x ^ 1 << 33,
            ] {
                let mut lie = statement.clone();
                let value = &mut lie
                    .inputs
                    .iter_mut()
                    .chain(&mut lie.outputs)
                    .nth(tensor)
                    .unwrap()[at];
                *value = change(*value);
                if lie != statement {
                    assert!(
                        verify(key.verifier_key(), &lie, &proof).is_err(),
                        "tensor {tensor}, element {at}"
                    );
                }
            }
        }
    }
    let mut lie = statement.clone();
    lie.outputs.swap(0, 1);
    assert!(verify(key.verifier_key(), &lie, &proof).is_err());
    lie.outputs.pop();
    assert!(verify(key.verifier_key(), &lie, &proof).is_err());
}

/// A change to the integers of a column, given its true and padded shapes.
type Lie = fn(&mut [i32]);

/// Runs the model honestly, changes columns, lets every later node follow the lie, recounts multiplicities and argues for the result.
fn lie_about(changes: &[(&str, Lie)]) -> Result<(), VerifyError> {
    let (model, constants, inputs) = everything(4);
    let key = ProverKey::new(model.clone(), constants.clone()).unwrap();
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
            "`{name}` is not changed: the lie is none"
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
        // A later node may find that the lie leaves its range; its columns then stay as they were.
        let _ = node.relation.fill(&node.name, &model, &mut trace);
    }
    recount(&key, &mut trace);
    let outputs = trace.outputs(&model).unwrap();
    let statement = Statement { inputs, outputs };
    let proof = argue(&key, trace, statement.clone());
    verify(key.verifier_key(), &statement, &proof)
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
fn lies() {
    // Shapes: [5, 6] is padded to [8, 8], [5, 7] to [8, 8], [5] to [8].
    let lies: &[(&str, &[(&str, Lie)])] = &[
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
        ("normalised value off by one", &[("mixed", |m| m[3] += 1)]),
        ("difference's gain off by one", &[("gain", |g| g[0] += 1)]),
        (
            "committed input is not the public one",
            &[("x", |x| x[0] += 1)],
        ),
        (
            "committed tokens are not the public ones",
            &[("tokens", |t| t[0] ^= 1)],
        ),
        ("garbage in an input's padding", &[("x", |x| x[3] = 7)]),
    ];
    for (what, changes) in lies {
        let result = lie_about(changes);
        assert!(result.is_err(), "accepted: {what}");
    }
}

#[test]
fn a_maximum_that_no_score_attains_is_rejected_with_everything_else_in_order() {
    // The strongest form of a wrong maximum: exponentials and hits are those of the shifted keys.
    let (model, constants, inputs) = everything(4);
    let key = ProverKey::new(model.clone(), constants.clone()).unwrap();
    let constants = Constants::new(&model, constants).unwrap();
    let mut trace = trace::run(&model, &constants, &inputs).unwrap();
    let [max, e, hit] = ["max", "e", "hit"].map(|name| column(&model, name));
    let scores: Vec<i64> = {
        let node = model
            .nodes
            .iter()
            .find(|node| node.name == "softmax/max")
            .unwrap();
        node.relation.reads().evaluate(&trace)
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
    let statement = Statement {
        inputs,
        outputs: trace.outputs(&model).unwrap(),
    };
    let proof = argue(&key, trace, statement.clone());
    assert!(verify(key.verifier_key(), &statement, &proof).is_err());
}

#[test]
fn another_weight_does_not_verify() {
    let (key, inputs) = setup();
    for changed in 0..6 {
        let (model, mut constants, _) = everything(4);
        constants[changed][1] += 1;
        let verifier =
            VerifierKey::from_parts(model, &key.verifier_key().commitment_bytes()).unwrap();
        let liar = ProverKey::from_parts(verifier, constants).unwrap();
        let Ok((statement, proof)) = prove(&liar, &inputs) else {
            continue;
        };
        assert!(
            verify(key.verifier_key(), &statement, &proof).is_err(),
            "constant {changed}"
        );
    }
}

#[test]
fn a_proof_is_bound_to_its_model() {
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
    let (mut model, constants, _) = everything(4);
    model.name = "another".into();
    let other = ProverKey::new(model, constants).unwrap();
    assert!(verify(other.verifier_key(), &statement, &proof).is_err());
}

#[test]
fn random_bytes_are_rejected() {
    let (key, inputs) = setup();
    let (statement, proof) = prove(&key, &inputs).unwrap();
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
    let mut elements: Vec<&[u8]> = proof.as_bytes().chunks(32).collect();
    for _ in 0..200 {
        let (a, b) = (
            random.next().unwrap().unsigned_abs() as usize,
            random.next().unwrap().unsigned_abs() as usize,
        );
        let len = elements.len();
        elements.swap(a % len, b % len);
        if elements.concat() != proof.as_bytes() {
            assert!(
                verify(
                    key.verifier_key(),
                    &statement,
                    &Proof::from_bytes(elements.concat())
                )
                .is_err()
            );
        }
    }
}

#[test]
fn keys_are_decoded_strictly() {
    let (key, _) = setup();
    let bytes = key.verifier_key().to_bytes();
    assert!(VerifierKey::from_bytes(&bytes).is_ok());
    let mut random = stream(5, 1 << 40);
    for at in 0..bytes.len() {
        assert!(VerifierKey::from_bytes(&bytes[..at]).is_err());
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (random.next().unwrap().unsigned_abs() % 8);
        if let Ok(other) = VerifierKey::from_bytes(&changed) {
            assert_ne!(
                other.digest(),
                key.verifier_key().digest(),
                "byte {at} does not count"
            );
        }
    }
    assert!(VerifierKey::from_bytes(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn transcript_is_as_written_down() {
    let (key, inputs) = setup();
    let mut prover = Prover::start(&key, &inputs).unwrap();
    prover.commit();
    prover.lookups();
    prover.contractions();
    prover.opening();
    let mut lines: Vec<(String, usize)> = Vec::new();
    for (kind, label, bytes) in prover.transcript_log() {
        let line = format!("{kind} {label} ({bytes} bytes)");
        match lines.last_mut() {
            Some((last, times)) if *last == line => *times += 1,
            _ => lines.push((line, 1)),
        }
    }
    let log: String = lines
        .iter()
        .map(|(line, times)| format!("{line} x{times}\n"))
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcript.golden");
    if std::env::var_os("ZKILN_BLESS").is_some() {
        std::fs::write(path, &log).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (number, (got, expected)) in log.lines().zip(golden.lines()).enumerate() {
        assert_eq!(
            got,
            expected,
            "line {}; if this is meant, bless with ZKILN_BLESS=1",
            number + 1
        );
    }
    assert_eq!(
        log.lines().count(),
        golden.lines().count(),
        "if this is meant, bless with ZKILN_BLESS=1"
    );
}
