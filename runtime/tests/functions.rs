//! A key describes a function, whoever made it: no input has two outputs. What relations rely on is no constant of the key maker's.
mod support;

use support::{Show, everything};
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::model::{ColumnId, Model};
use zkiln_runtime::protocol::testing::prove_trace;
use zkiln_runtime::protocol::{ProveOptions, prove, verify};
use zkiln_runtime::randomness::Randomness;
use zkiln_runtime::trace::{self, Constants, Trace};

fn column(model: &Model, name: &str) -> ColumnId {
    let mut columns = model.columns.iter();
    let place = columns.position(|column| column.name == name);
    ColumnId(place.expect("a column") as u32)
}

/// A key whose maker has put other values into a constant, unless no such key is accepted; and the trace of a run.
fn other_key(name: &str, values: Vec<i32>) -> Option<(ProverKey, Vec<Vec<i64>>)> {
    let (mut model, mut constants, inputs) = everything(5, Show::Ports);
    support::as_constant(&mut model, &mut constants, name, values);
    let key = ProverKey::new(model, constants, &[0; 32]).ok()?;
    Some((key, inputs))
}

fn run(key: &ProverKey, constants: Vec<Vec<i32>>, inputs: &[Vec<i64>]) -> Trace {
    let model = key.verifier_key().model();
    let constants = Constants::new(model, constants).unwrap();
    trace::run(model, &constants, inputs).unwrap()
}

/// That the trace is not proved to be one of these inputs, if its outputs are not theirs.
fn assert_one_output(key: &ProverKey, inputs: &[Vec<i64>], trace: Trace) {
    let outputs = trace.outputs(key.verifier_key().model()).unwrap();
    assert_ne!(outputs, prove(key, inputs).unwrap().outputs);
    let randomness = Randomness::from_seed("test", [1; 32]);
    let proven = prove_trace(
        key,
        trace,
        inputs,
        outputs,
        &ProveOptions::default(),
        randomness,
    );
    let verdict = verify(key.verifier_key(), &proven.statement, &proven.proof);
    assert!(verdict.is_err(), "two outputs of one input");
}

#[test]
fn a_key_whose_maker_chose_where_maxima_are_is_refused() {
    let (mut model, mut constants, _) = everything(5, Show::Ports);
    assert!(ProverKey::new(model.clone(), constants.clone(), &[0; 32]).is_ok());
    let everywhere = vec![1; 256];
    support::as_constant(&mut model, &mut constants, "exp/hit", everywhere);
    let refused = ProverKey::new(model, constants, &[0; 32]).err();
    let reason = "a column that a relation relies on is of another kind";
    assert!(refused.is_some_and(|refused| refused.to_string().contains(reason)));
}

#[test]
fn a_key_with_two_rows_of_one_number_is_refused() {
    let iota = vec![0, 1, 1, 3, 4, 5];
    let Some((key, inputs)) = other_key("iota", iota.clone()) else {
        return;
    };
    let model = key.verifier_key().model();
    let mut others = inputs.clone();
    others[0][3] = 2;
    let (_, mut constants, _) = everything(5, Show::Ports);
    constants[0] = iota;
    let mut trace = run(&key, constants, &others);
    let tokens = column(model, "tokens");
    let mut values = trace.column(tokens).to_vec();
    values[3] = 1;
    trace.set(tokens, values);
    assert_one_output(&key, &inputs, trace);
}
