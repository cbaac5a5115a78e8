//! Honest proofs verify; what is public is what was proved.
mod support;

use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::protocol::{Statement, prove, run, verify};

#[test]
fn a_model_with_every_relation_proves_and_verifies() {
    for row_log2 in [2, 4, 7] {
        let (model, constants, inputs) = support::everything(row_log2);
        let key = ProverKey::new(model, constants).unwrap();
        let (statement, proof) = prove(&key, &inputs).unwrap();
        assert_eq!(statement.outputs, run(&key, &inputs).unwrap());
        assert_eq!(proof.as_bytes().len(), key.verifier_key().proof_bytes());
        verify(key.verifier_key(), &statement, &proof).unwrap();
        let decoded = VerifierKey::from_bytes(&key.verifier_key().to_bytes()).unwrap();
        assert_eq!(decoded.digest(), key.verifier_key().digest());
        let statement = Statement::from_bytes(decoded.model(), &statement.to_bytes()).unwrap();
        verify(&decoded, &statement, &proof).unwrap();
    }
}
