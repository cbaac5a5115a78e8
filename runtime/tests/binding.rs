//! What a proof is bound to: statement, input, model, protocol.
//!
//! | what is changed | caught by |
//! |---|---|
//! | anything in the statement: integers, commitments, visibility | [`everything_shown_counts`] |
//! | the model, its visibility | [`a_proof_is_bound_to_its_model_and_its_visibility`] |
//! | the protocol's version | [`a_proof_is_bound_to_the_protocol`] |
//! | the context | [`a_proof_is_bound_to_its_context`] |
//! | the input | [`a_proof_for_another_input_is_another_proof`] |
//! | places of commitments | [`commitments_do_not_change_places`] |
//! | order of what the transcript absorbs | [`transcript_is_as_written_down`] |
mod support;

use support::{Show, everything, key, stream};
use zkiln_runtime::error::VerifyError;
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::protocol::testing::transcript_log;
use zkiln_runtime::protocol::{
    Blinding, Commitment, Context, Proof, ProveOptions, Proven, Shown, prove, prove_with, verify,
};
use zkiln_runtime::randomness::Randomness;

#[test]
fn a_proof_is_bound_to_its_model_and_its_visibility() {
    for show in Show::ALL {
        let (key, inputs) = key(5, show);
        let proven = prove(&key, &inputs).unwrap();
        let (mut model, constants, _) = everything(5, show);
        model.name = "another".into();
        let other = ProverKey::new(model, constants, &[0; 32]).unwrap();
        let verdict = verify(other.verifier_key(), &proven.statement, &proven.proof);
        assert!(verdict.is_err(), "{show:?}");
        for other in Show::ALL.into_iter().filter(|other| *other != show) {
            let (other, _) = support::key(5, other);
            let verdict = verify(other.verifier_key(), &proven.statement, &proven.proof);
            assert!(verdict.is_err(), "{show:?}");
        }
    }
}

#[test]
fn a_proof_is_bound_to_the_protocol() {
    let (key, inputs) = key(5, Show::Ports);
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).unwrap();
    for at in 0..Proof::HEADER_BYTES {
        let mut bytes = proof.as_bytes().to_vec();
        bytes[at] ^= 1;
        let verdict = verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes));
        assert_eq!(verdict, Err(VerifyError::Protocol));
    }
    let mut bytes = key.verifier_key().to_bytes();
    bytes[8] ^= 1;
    let verdict = VerifierKey::from_bytes(&bytes).err();
    let expected = VerifyError::Key("for another version of the protocol");
    assert_eq!(verdict, Some(expected));
}

#[test]
fn a_proof_is_bound_to_its_context() {
    let contexts = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"session 1",
        b"session 2",
        &[255; 32],
    ];
    for show in Show::ALL {
        let (key, inputs) = key(5, show);
        for context in contexts {
            let options = ProveOptions {
                context: Context::new(context).unwrap(),
                ..ProveOptions::default()
            };
            let randomness = Randomness::from_seed("test", [1; 32]);
            let proven = prove_with(&key, &inputs, &options, randomness).unwrap();
            let mut statement = proven.statement;
            assert_eq!(statement.context.as_bytes(), context);
            for other in contexts {
                statement.context = Context::new(other).unwrap();
                let verdict = verify(key.verifier_key(), &statement, &proven.proof);
                assert_eq!(
                    verdict.is_ok(),
                    other == context,
                    "{show:?}: {other:?} for {context:?}"
                );
            }
        }
    }
}

#[test]
fn a_proof_for_another_input_is_another_proof() {
    // Two inputs with the same output, since the last tokens are padding for the convolution's first rows: whatever is public differs, or is
    // hidden; neither proof passes for the other's statement.
    let (key, inputs) = key(5, Show::Some);
    let proven = prove(&key, &inputs).unwrap();
    let mut other = inputs.clone();
    other[0][4] ^= 1;
    let other = prove(&key, &other).unwrap();
    assert!(verify(key.verifier_key(), &other.statement, &proven.proof).is_err());
    assert!(verify(key.verifier_key(), &proven.statement, &other.proof).is_err());
    // Its commitment alone does not carry over either.
    let mut mixed = proven.statement.clone();
    mixed.inputs[0] = other.statement.inputs[0].clone();
    assert!(verify(key.verifier_key(), &mixed, &proven.proof).is_err());
}

#[test]
fn commitments_do_not_change_places() {
    let (key, inputs) = key(5, Show::Some);
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).unwrap();
    let rows = key.verifier_key().schedule().committed_rows;
    let row = |at: usize| Proof::HEADER_BYTES + 32 * at..Proof::HEADER_BYTES + 32 * (at + 1);
    for (a, b) in (0..rows).zip(1..rows) {
        let mut bytes = proof.as_bytes().to_vec();
        bytes[row(a)].copy_from_slice(&proof.as_bytes()[row(b)]);
        bytes[row(b)].copy_from_slice(&proof.as_bytes()[row(a)]);
        let verdict = verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes));
        assert!(verdict.is_err(), "rows {a} and {b}");
    }
    // Nor do the key's.
    let (model, ..) = everything(5, Show::Some);
    let mut commitments = key.verifier_key().commitment_bytes();
    // After the nonce.
    let (first, second) = commitments[32..].split_at_mut(32);
    first.swap_with_slice(&mut second[..32]);
    let swapped = VerifierKey::from_parts(model, &commitments).unwrap();
    assert!(verify(&swapped, &statement, &proof).is_err());
}

#[test]
fn keys_are_decoded_strictly() {
    let (key, _) = key(5, Show::Some);
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

/// What a verifier absorbs and draws, a line for each, or for several that are alike.
fn transcript(row_log2: u8, show: Show) -> String {
    let (key, inputs) = key(row_log2, show);
    let proven = prove(&key, &inputs).unwrap();
    let log = transcript_log(key.verifier_key(), &proven.statement, &proven.proof).unwrap();
    // To the proof's last byte.
    let sent = log
        .iter()
        .skip_while(|(_, label, _)| *label != "witness rows");
    let sent = sent.filter(|(kind, ..)| *kind == "absorb");
    let sent: usize = sent.map(|(.., bytes)| bytes).sum();
    assert_eq!(Proof::HEADER_BYTES + sent, proven.proof.as_bytes().len());
    let title = format!("# rows of 2^{row_log2}, {show:?} shown\n");
    let alike = log.chunk_by(|a, b| a == b);
    let lines = alike.map(|entries| {
        let (kind, label, bytes) = entries[0];
        format!("{kind} {label} ({bytes} bytes) x{}\n", entries.len())
    });
    std::iter::once(title).chain(lines).collect()
}

#[test]
fn transcript_is_as_written_down() {
    let log = [(12, Show::Some), (5, Show::Everything)].map(|(rows, show)| transcript(rows, show));
    let log = log.join("\n");
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

#[test]
fn everything_shown_counts() {
    for show in [Show::Everything, Show::Some] {
        let (key, inputs) = key(5, show);
        let Proven {
            statement, proof, ..
        } = prove(&key, &inputs).unwrap();
        let rejected = |change: &dyn Fn(&mut Vec<Shown>), what: &str| {
            for inputs in [true, false] {
                let mut forged = statement.clone();
                change(if inputs {
                    &mut forged.inputs
                } else {
                    &mut forged.outputs
                });
                if forged != statement {
                    let verdict = verify(key.verifier_key(), &forged, &proof);
                    assert!(verdict.is_err(), "{what}, inputs: {inputs}");
                }
            }
        };
        let changes = [
            |x: i64| x + 1,
            |x: i64| x - 1,
            |x: i64| -x,
            |_| 0,
            |x: i64| x ^ 1 << 33,
        ];
        for (tensor, at, change) in (0..3)
            .flat_map(|t| (0..15).map(move |at| (t, at)))
            .flat_map(|(tensor, at)| changes.map(|change| (tensor, at, change)))
        {
            let forged = |shown: &mut Vec<Shown>| {
                if let Some(Shown::Public(integers)) = shown.get_mut(tensor)
                    && let Some(value) = integers.get_mut(at)
                {
                    *value = change(*value);
                }
            };
            rejected(&forged, "an integer");
        }
        let other = Commitment::new(&[5], &[3, 0, 5, 1, 3], &Blinding::random()).unwrap();
        let longer = Commitment::new(&[300], &[0; 300], &Blinding::random()).unwrap();
        for tensor in 0..3 {
            for replaced in [
                Shown::Private,
                Shown::Public(vec![0; 5]),
                Shown::Committed(other.clone()),
                Shown::Committed(longer.clone()),
            ] {
                let forged = |shown: &mut Vec<Shown>| {
                    if let Some(slot) = shown.get_mut(tensor) {
                        *slot = replaced.clone();
                    }
                };
                rejected(&forged, "another kind of entry");
            }
        }
        rejected(&|shown| shown.swap(0, 1), "order");
        rejected(&|shown| drop(shown.pop()), "one too few");
        rejected(&|shown| shown.push(Shown::Private), "one too many");
    }
}
