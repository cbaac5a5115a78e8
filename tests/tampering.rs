//! What a lying prover could claim of each operator: every witness column of the conformance cases is changed in a few places, and either
//! a constraint breaks, or nothing that the statement shows depends on the change.
//!
//! This is the uniqueness of advice at the level of operators: what a relation binds is tested with it, what an operator makes of relations here.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use zkiln_compiler::compile::Request;
use zkiln_compiler::{CompileError, Lowered, Sample};
use zkiln_runtime::model::{ColumnKind, Model};
use zkiln_runtime::trace::{self, Constants, Trace};

/// Changes of each column.
const CHANGES: usize = 6;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let entries = fs::read_dir(folder).expect("there are cases");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    cases.sort();
    cases
}

/// The elements of a case's inputs.
fn inputs(case: &Path) -> Vec<Sample> {
    let text = fs::read(case.join("input.json")).expect("an input");
    let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let numbers = |list: &serde_json::Value| -> Vec<f64> {
        let list = list.as_array().expect("a list");
        list.iter().map(|x| x.as_f64().expect("a number")).collect()
    };
    let tensors = read["inputs"].as_array().expect("inputs");
    let sample = |tensor: &serde_json::Value| Sample {
        shape: numbers(&tensor["shape"])
            .into_iter()
            .map(|x| x as usize)
            .collect(),
        data: numbers(&tensor["data"]),
    };
    tensors.iter().map(sample).collect()
}

/// The case's model and its honest trace; `None` if the model is refused.
fn honest(case: &Path) -> Option<(Lowered, Constants, Trace)> {
    let samples = inputs(case);
    let mut request = Request::new(case.join("model.onnx"));
    request.options.samples = vec![samples.clone()];
    request.options.visibility = vec![("weights".into(), zkiln_compiler::Visibility::Public)];
    let mut lowered = match request.compile() {
        Ok(compiled) => compiled.lowered,
        Err(CompileError::Nodes(_) | CompileError::Load { .. }) => return None,
        Err(e) => panic!("{}: {e}", case.display()),
    };
    let data = std::mem::take(&mut lowered.constants);
    let constants = Constants::new(&lowered.model, data).expect("constants fit");
    let ports = lowered.inputs.iter().zip(&samples);
    let integers = ports.map(|(port, sample)| port.to_integers(&sample.data).expect("in range"));
    let integers: Vec<Vec<i64>> = integers.collect();
    let trace = trace::run(&lowered.model, &constants, &integers).expect("runs");
    Some((lowered, constants, trace))
}

/// Whether all constraints hold, multiplicities apart: they follow from the lookups.
fn holds(model: &Model, trace: &Trace) -> bool {
    model.nodes.iter().all(|node| {
        let constraints = node.relation.constraints(model).expect("a valid model");
        let zeros = constraints
            .zeros
            .iter()
            .all(|zero| zero.evaluate(trace).iter().all(|x| *x == 0));
        zeros
            && constraints.lookups.iter().all(|lookup| {
                let table = &model.tables[lookup.table.0 as usize];
                let entries = lookup.entries.iter().map(|entry| {
                    let values = entry.accumulator.evaluate(trace);
                    (values, 1i64 << entry.shift_log2)
                });
                let entries: Vec<(Vec<i64>, i64)> = entries.collect();
                (0..entries[0].0.len()).all(|at| {
                    let whole = entries.iter().all(|(values, step)| values[at] % step == 0);
                    let row = entries[0].0[at] / entries[0].1 - table.first_key;
                    let known = (0..1i64 << table.len_log2).contains(&row);
                    let outputs = || {
                        let pairs = table.outputs.iter().zip(&entries[1..]);
                        pairs.map(|(column, (values, step))| {
                            i64::from(trace.column(*column)[row as usize]) == values[at] / step
                        })
                    };
                    whole && known && outputs().all(|same| same)
                })
            })
    })
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Number of changes that were tried.
fn lie(case: &Path) -> usize {
    let Some((lowered, _constants, mut trace)) = honest(case) else {
        return 0;
    };
    let model = &lowered.model;
    assert!(
        holds(model, &trace),
        "{}: the honest trace fails",
        case.display()
    );
    let shown = trace.outputs(model).expect("in range");
    let given: HashSet<u32> = model
        .inputs
        .iter()
        .filter_map(|p| p.column())
        .map(|c| c.0)
        .collect();
    let counts: HashSet<u32> = model
        .tables
        .iter()
        .map(|table| table.multiplicities.0)
        .collect();
    let mut state = 0x11e;
    let mut tried = 0;
    for (index, column) in model.columns.iter().enumerate() {
        let id = zkiln_runtime::model::ColumnId(index as u32);
        if column.kind != ColumnKind::Witness || given.contains(&id.0) || counts.contains(&id.0) {
            continue;
        }
        let honest = trace.column(id).to_vec();
        for change in 0..CHANGES {
            let at = (random(&mut state) % honest.len() as u64) as usize;
            let by = [1, -1, 2, -2, 1 << (random(&mut state) % 12), -honest[at]][change];
            let mut lied = honest.clone();
            lied[at] = lied[at].wrapping_add(by);
            if lied == honest {
                continue;
            }
            trace.set(id, lied);
            tried += 1;
            let caught = !holds(model, &trace);
            let harmless = || trace.outputs(model).is_ok_and(|outputs| outputs == shown);
            assert!(
                caught || harmless(),
                "{}: {by} added to element {at} of `{}` is not caught and changes the output",
                case.display(),
                column.name
            );
        }
        trace.set(id, honest);
    }
    tried
}

#[test]
fn no_single_lie_changes_an_output() {
    let tried: usize = cases().par_iter().map(|case| lie(case)).sum();
    assert!(tried > 1000, "only {tried} lies were tried");
}
