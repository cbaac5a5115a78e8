//! Bytes as an ONNX file: a plan that can run or a typed error, never a panic of ours.

use zkiln_compiler::{Lowered, Options, lower};
use zkiln_runtime::schedule::Schedule;
use zkiln_runtime::trace::{self, Constants};

/// Most elements of a model that is run.
const SMALL: usize = 1 << 14;

/// One input: a file.
pub fn run(bytes: &[u8]) {
    let options = Options {
        activation_bits: Some(8),
        weight_bits: Some(8),
        ..Options::default()
    };
    let imported = match zkiln_compiler::prepare::from_bytes(bytes, "fuzz.onnx", &options) {
        Ok(imported) => imported,
        Err(error) => return drop(error.to_string()),
    };
    match lower(&imported.graph, &options, "fuzz") {
        Ok(lowered) => check(lowered),
        Err(error) => drop(error.to_string()),
    }
}

/// A plan that the runtime takes can be run on zeros, or says why not.
fn check(lowered: Lowered) {
    let Lowered {
        model, constants, ..
    } = lowered;
    let lens = model.columns.iter().map(|column| {
        let lens = column.shape.iter().map(|&len| len as usize);
        lens.fold(1usize, usize::saturating_mul)
    });
    let small = lens.fold(0, usize::saturating_add) <= SMALL;
    if Schedule::new(&model).is_ok() && small {
        let constants = Constants::new(&model, constants).expect("a plan's constants fit it");
        let zeros = |port: &zkiln_runtime::model::Port| vec![0; port.len()];
        let inputs: Vec<Vec<i64>> = model.inputs.iter().map(zeros).collect();
        drop(trace::run(&model, &constants, &inputs).map(|trace| trace.outputs(&model)));
    }
}
