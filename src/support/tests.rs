//! The golden module of the compiler, compiled and run.

include!("../../compiler/src/emit/golden/tiny.rs");

use tiny::{Input, Output, Statement};

use crate::{Proof, ProveError, VerifyError};

fn input() -> Input {
    Input {
        x: [[1.0, -2.0, 0.5, 7.9375]],
    }
}

#[test]
fn a_generated_module_proves_and_verifies() {
    let proven = tiny::prove(&input()).expect("proves");
    assert_eq!(proven.proof.as_bytes().len(), tiny::PROOF_BYTES);
    assert_eq!(proven.output, tiny::run(&input()).expect("runs"));
    assert_eq!(proven.output, proven.statement.output());
    assert_eq!(proven.statement.input(), input());
    assert_eq!(tiny::verify(&proven.statement, &proven.proof), Ok(()));
}

#[test]
fn the_output_is_that_of_the_model() {
    // fc = round((x w + 16 b) / 16), relu, sums of neighbours; x in units of 1/16.
    let output = tiny::run(&input()).expect("runs");
    assert_eq!(
        output,
        Output {
            type_: [[1.0, 1.78125]]
        }
    );
}

#[test]
fn statements_and_proofs_travel_as_bytes() {
    let proven = tiny::prove(&input()).expect("proves");
    let statement = Statement::from_bytes(&proven.statement.to_bytes()).expect("a statement");
    let proof = Proof::from_bytes(proven.proof.as_bytes());
    assert_eq!(tiny::verify(&statement, &proof), Ok(()));
    assert!(matches!(
        Statement::from_bytes(&[0, 1, 2, 3]),
        Err(VerifyError::Statement(_))
    ));
}

#[test]
fn false_statements_and_proofs_are_rejected() {
    let proven = tiny::prove(&input()).expect("proves");
    let mut bytes = proven.statement.to_bytes();
    *bytes.last_mut().expect("not empty") ^= 1;
    if let Ok(statement) = Statement::from_bytes(&bytes) {
        assert!(tiny::verify(&statement, &proven.proof).is_err());
    }
    let mut bytes = proven.proof.as_bytes().to_vec();
    bytes[0] ^= 1;
    assert!(tiny::verify(&proven.statement, &Proof::from_bytes(bytes)).is_err());
}

#[test]
fn inputs_out_of_range_are_named() {
    let mut input = Input::default();
    input.x[0][2] = 8.0;
    let error = tiny::prove(&input).expect_err("out of range");
    assert!(matches!(error, ProveError::InputRange { input, index: 2, .. } if input == "x"));
}

#[test]
fn the_verifier_key_travels_as_bytes() {
    let key = crate::__private::VerifierKey::from_bytes(&tiny::verifier_key().expect("a key"))
        .expect("a key");
    assert_eq!(key.digest(), tiny::MODEL_DIGEST);
}
