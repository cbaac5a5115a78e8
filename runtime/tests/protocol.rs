//! Honest proofs verify; what is shown is what was proved.
mod support;

use support::Show;
use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::{ProverKey, VerifierKey, WeightBlinding};
use zkiln_runtime::protocol::{
    Blinding, Commitment, Proof, ProveOptions, Prover, Shown, Statement, prove, prove_with, run,
    verify,
};
use zkiln_runtime::randomness::Randomness;

#[test]
fn a_model_with_every_relation_proves_and_verifies() {
    for (row_log2, show) in [2, 5, 9]
        .into_iter()
        .flat_map(|log2| Show::ALL.map(|s| (log2, s)))
    {
        if (row_log2, show) == (2, Show::Some) {
            continue; // A commitment that is shown needs longer rows.
        }
        let (key, inputs) = support::key(row_log2, show);
        let proven = prove(&key, &inputs).unwrap();
        let (statement, proof) = (&proven.statement, &proven.proof);
        assert_eq!(proven.outputs, run(&key, &inputs).unwrap());
        assert_eq!(proof.as_bytes().len(), key.verifier_key().proof_bytes());
        verify(key.verifier_key(), statement, proof).unwrap();
        let decoded = VerifierKey::from_bytes(&key.verifier_key().to_bytes()).unwrap();
        assert_eq!(decoded.digest(), key.verifier_key().digest());
        let statement = Statement::from_bytes(decoded.model(), &statement.to_bytes()).unwrap();
        verify(&decoded, &statement, &Proof::from_bytes(proof.as_bytes())).unwrap();
    }
}

#[test]
fn a_statement_shows_what_the_model_says() {
    let (key, inputs) = support::key(5, Show::Some);
    let proven = prove(&key, &inputs).unwrap();
    let statement = &proven.statement;
    assert_eq!(statement.inputs[1], Shown::Private);
    assert_eq!(statement.outputs[0].integers(), Some(&*proven.outputs[0]));
    assert_eq!(statement.outputs[1], Shown::Private);
    let [tokens, gain] = &proven.openings[..] else {
        panic!("two openings");
    };
    assert_eq!((&*tokens.port, &*gain.port), ("tokens", "gain"));
    assert_eq!(gain.integers, proven.outputs[2]);
    for (opening, shown, shape) in [
        (tokens, &statement.inputs[0], &[5][..]),
        (gain, &statement.outputs[2], &[5, 3]),
    ] {
        let commitment = shown.commitment().unwrap();
        assert!(commitment.opens_to(shape, &opening.integers, &opening.seed));
    }
}

#[test]
fn a_chosen_blinding_links_proofs_by_different_models() {
    let blinding = Blinding::random();
    let commitments: Vec<Commitment> = [5, 9]
        .into_iter()
        .map(|row_log2| {
            let (key, inputs) = support::key(row_log2, Show::Some);
            let chosen = [("tokens", blinding.clone())];
            let options = ProveOptions {
                blindings: &chosen,
                ..ProveOptions::default()
            };
            let randomness = Randomness::from_system();
            let proven = prove_with(&key, &inputs, &options, randomness).unwrap();
            // What opens the commitment is not what was chosen.
            assert_ne!(proven.openings[0].seed.to_bytes(), blinding.to_bytes());
            verify(key.verifier_key(), &proven.statement, &proven.proof).unwrap();
            proven.statement.inputs[0].commitment().unwrap().clone()
        })
        .collect();
    assert_eq!(commitments[0], commitments[1]);
    let (key, inputs) = support::key(5, Show::Some);
    let fresh = prove(&key, &inputs).unwrap().statement;
    assert_ne!(fresh.inputs[0].commitment(), Some(&commitments[0]));
    for port in ["x", "y"] {
        let chosen = [(port, blinding.clone())];
        let options = ProveOptions {
            blindings: &chosen,
            ..ProveOptions::default()
        };
        let refused = Prover::start(&key, &inputs, &options);
        let port = port.to_owned();
        assert_eq!(refused.err(), Some(ProveError::Blinding { port }));
    }
}

#[test]
fn keys_repeat_for_a_blinding_key_and_hide_the_weights() {
    let key = |show, blinding_key: u8, change: i32| {
        let (model, mut constants, _) = support::everything(5, show);
        constants[1][0] += change;
        ProverKey::new(model, constants, &[blinding_key; 32]).unwrap()
    };
    let digest =
        |show, blinding_key, change| key(show, blinding_key, change).verifier_key().digest();
    assert_eq!(digest(Show::Ports, 1, 0), digest(Show::Ports, 1, 0));
    assert_ne!(digest(Show::Ports, 1, 0), digest(Show::Ports, 2, 0));
    assert_eq!(
        digest(Show::Everything, 1, 0),
        digest(Show::Everything, 2, 0)
    );
    // All rows are blinded anew when one weight changes: no difference of commitments is one of weights.
    let commitments = |change| {
        key(Show::Ports, 1, change)
            .verifier_key()
            .commitment_bytes()
    };
    let (before, after) = (commitments(0), commitments(1));
    assert!(before.chunks(32).zip(after.chunks(32)).all(|(a, b)| a != b));
    // But anyone who has the blinding key can tell.
    let rows = |blinding_key: u8, change| {
        let key = key(Show::Ports, 1, change);
        key.verifier_key().without_blinding(&[blinding_key; 32])
    };
    let equal = |a: &[[u8; 32]], b: &[[u8; 32]]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    let (before, after) = (rows(1, 0), rows(1, 1));
    assert_eq!(equal(&before, &after), before.len() - 1);
    assert_eq!(equal(&rows(2, 0), &before), 0);
    let open = ProverKey::new(
        support::everything(5, Show::Everything).0,
        support::everything(5, Show::Everything).1,
        &[9; 32],
    );
    assert_eq!(
        open.unwrap().verifier_key().without_blinding(&[3; 32]),
        before
    );
}

#[test]
fn a_key_from_its_parts_proves_as_well() {
    let (model, constants, inputs) = support::everything(5, Show::Nothing);
    let (key, _) = support::key(5, Show::Nothing);
    let bytes = key.verifier_key().commitment_bytes();
    let verifier = || VerifierKey::from_parts(model.clone(), &bytes).unwrap();
    let blinding = WeightBlinding::from_bytes(key.blinding().to_bytes());
    let same = ProverKey::from_parts(verifier(), constants.clone(), blinding).unwrap();
    let proven = prove(&same, &inputs).unwrap();
    verify(key.verifier_key(), &proven.statement, &proven.proof).unwrap();
    let other = WeightBlinding::from_bytes([9; 32]);
    let other = ProverKey::from_parts(verifier(), constants, other).unwrap();
    let proven = prove(&other, &inputs).unwrap();
    assert!(verify(key.verifier_key(), &proven.statement, &proven.proof).is_err());
}
