//! Proofs of the models in `models/`, for tests that do something to them.

use std::path::Path;

use zkiln_compiler::compile::Request;
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::protocol::{Proof, Proven, Statement, prove, verify};

/// A model of ours, proved for zeros.
pub fn proven(model: &str) -> (ProverKey, Statement, Proof) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let request = Request {
        samples: vec![root.join(format!("models/{model}.samples.jsonl"))],
        ..Request::new(root.join(format!("models/{model}.onnx")))
    };
    let lowered = request.compile().expect("compiles").lowered;
    let elements = |port: &zkiln_compiler::PortInfo| vec![0; port.shape.iter().product()];
    let inputs: Vec<Vec<i64>> = lowered.inputs.iter().map(elements).collect();
    let key = ProverKey::new(lowered.model, lowered.constants, &[0; 32]).expect("a key");
    let Proven {
        statement, proof, ..
    } = prove(&key, &inputs).expect("proves");
    verify(key.verifier_key(), &statement, &proof).expect("verifies");
    (key, statement, proof)
}
