//! Two proofs about one hidden input.
//!
//! A customer has four figures that nobody else shall see. One model sorts the customer into a class, another gives a score. Both proofs
//! show a commitment to their input; the customer chooses the same blinding for both, so that the commitments are equal, and anyone who
//! verifies knows that class and score are about the same figures. Later the customer may open the commitment, and keeps the blinding.
//!
//! ```sh
//! cargo run --release --example linked
//! ```

use zkiln::{Blinding, ProveOptions};

zkiln::include_model!(
    "models/tiny_mlp.onnx",
    name = "class",
    samples = "models/tiny_mlp.samples.jsonl",
    visibility = { input = committed },
);
zkiln::include_model!(
    "models/tiny_score.onnx",
    name = "score",
    samples = "models/tiny_score.samples.jsonl",
    visibility = { input = committed },
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let figures = [[0.61, -1.25, 0.098, 1.73]];
    let blinding = Blinding::random();
    let chosen = ProveOptions {
        blindings: &[("input", blinding)],
        ..ProveOptions::default()
    };

    // The customer's side.
    let class_proof = class::prove_with(&class::Input { input: figures }, &chosen)?;
    let score_proof = score::prove_with(&score::Input { input: figures }, &chosen)?;

    // The verifier's side: two proofs, and one look at the commitments.
    class::verify(&class_proof.statement, &class_proof.proof)?;
    score::verify(&score_proof.statement, &score_proof.proof)?;
    let commitment = class_proof.statement.commitments().input;
    assert!(commitment.is_some() && commitment == score_proof.statement.commitments().input);
    let [classes] = class_proof.statement.output().output;
    let [[probability]] = score_proof.statement.output().score;
    println!("class scores {classes:?}, probability {probability}, of the same hidden figures");

    // A proof about other figures, or under another blinding, is not linked.
    let mut others = figures;
    others[0][3] = 0.0;
    let other = score::prove_with(&score::Input { input: others }, &chosen)?;
    assert!(commitment != other.statement.commitments().input);
    let fresh = score::prove(&score::Input { input: figures })?;
    assert!(commitment != fresh.statement.commitments().input);

    // Opened, much later: the figures in steps of the model's input.
    let opening = &class_proof.openings[0];
    let opens = |shape: &[u32]| {
        commitment.is_some_and(|c| c.opens_to(shape, &opening.integers, &opening.seed))
    };
    assert!(opens(&[1, 4]));
    println!("the commitment opens to {:?}", opening.integers);
    Ok(())
}
