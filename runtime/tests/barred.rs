//! A row that a table bars has no proof, whatever the trace says.
mod support;

use std::borrow::Cow;

use support::{Builder, accumulator};
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::protocol::testing::prove_trace;
use zkiln_runtime::protocol::{ProveOptions, verify};
use zkiln_runtime::randomness::Randomness;
use zkiln_runtime::relations::{Map, Relation};
use zkiln_runtime::trace::{self, Constants};

#[test]
fn whoever_looks_a_barred_row_up_proves_nothing() {
    let mut b = Builder::default();
    let x = b.input("x", &[3], (-4, 3));
    // Of odd numbers there is no half.
    let table = b.table("half", 3, -4, &[&|key| key as i32 / 2]);
    let odd = (-4..4).map(|key: i32| key & 1).collect();
    let odd = b.constant("odd", &[8], odd);
    let half = b.witness("y", &[3]);
    let relation = Relation::Map(Map {
        accumulator: accumulator(&[3], &[(1, x)], &[]),
        table,
        mapped: Cow::Owned(vec![half]),
    });
    b.node("halve", relation);
    b.output("y", accumulator(&[3], &[(1, half)], &[]));
    let (unbarred, constants) = b.build(3);
    let mut barred = unbarred.clone();
    barred.tables.to_mut()[0].barred = Some(odd);
    for (numbers, verifies) in [([2, 0, -4], true), ([2, -3, 0], false)] {
        // The trace of a prover that knows of no bars.
        let inputs = [numbers.to_vec()];
        let known = Constants::new(&unbarred, constants.clone()).unwrap();
        for (model, verifies) in [(&unbarred, true), (&barred, verifies)] {
            let key = ProverKey::new(model.clone(), constants.clone(), &[0; 32]).unwrap();
            let randomness = Randomness::from_seed("test", [7; 32]);
            let trace = trace::run(&unbarred, &known, &inputs).unwrap();
            let outputs = trace.outputs(&unbarred).unwrap();
            let proven = prove_trace(
                &key,
                trace,
                &inputs,
                outputs,
                &ProveOptions::default(),
                randomness,
            );
            let verdict = verify(key.verifier_key(), &proven.statement, &proven.proof);
            assert_eq!(verdict.is_ok(), verifies, "{numbers:?}");
        }
    }
}
