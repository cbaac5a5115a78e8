//! What the gate lets through, and what it says of the rest.

mod accepted;

use crate::accuracy::inference::Inference;
use crate::accuracy::{Wanted, lower_faithfully};
use crate::error::{Cause, CompileError, Unfaithful};
use crate::graph::Tensor;
use crate::options::Options;
use crate::ports::Sample;
use crate::program::Lowered;
use crate::settings::Settings;
use crate::testing::Onnx;

fn samples(rows: &[&[f64]]) -> Options {
    let sample = |row: &&[f64]| {
        vec![Sample {
            shape: vec![1, row.len()],
            data: row.to_vec(),
        }]
    };
    Options {
        samples: rows.iter().map(sample).collect(),
        ..Options::default()
    }
}

fn compile(model: Onnx, options: &Options) -> Result<Lowered, CompileError> {
    lower_faithfully(&model.import_with(options)?, options, "test")
}

fn refused(model: Onnx, options: &Options) -> Unfaithful {
    match compile(model, options) {
        Err(CompileError::Unfaithful(unfaithful)) => {
            let text = unfaithful.to_string();
            assert!(
                !text.contains("inf %") && !text.contains("whatever"),
                "{text}"
            );
            *unfaithful
        }
        other => panic!("{other:?}"),
    }
}

fn relu() -> Onnx {
    let model = Onnx::new().input("x", "1,2");
    model.node("Relu", "x", "y", &[]).output("y")
}

#[test]
fn every_sample_is_compared_with_its_own_spread() {
    let quiet: &[f64] = &[1e-3, 0.0];
    let loud: &[f64] = &[1e4, -1e4];
    let refusal = refused(
        relu(),
        &samples(&[quiet, quiet, quiet, loud, &[5e-4, 1e-3]]),
    );
    assert_eq!(refusal.cause, Cause::Range);
    assert!(refusal.sample.ends_with("of 5"), "{}", refusal.sample);
    assert!(refusal.node.reason.contains("10000"), "{}", refusal.node);
    assert!(compile(relu(), &samples(&[quiet; 5])).is_ok());
}

#[test]
fn bits_that_are_given_are_held_to_the_samples_too() {
    let model = || {
        let model = Onnx::new().input("x", "1,2").weight("w", &[2, 8]);
        model
            .node("MatMul", "x,w", "h", &[])
            .node("Tanh", "h", "t", &[])
            .weight("v", &[8, 8])
            .node("MatMul", "t,v", "u", &[])
            .node("Sigmoid", "u", "y", &[])
            .output("y")
    };
    let of = |activation_bits, weight_bits| Options {
        activation_bits: Some(activation_bits),
        weight_bits: Some(weight_bits),
        ..samples(&[&[0.5, 1.0], &[-1.0, 0.25], &[0.125, -0.5]])
    };
    assert!(compile(model(), &of(14, 14)).is_ok());
    let refusal = refused(model(), &of(6, 4));
    assert_eq!(refusal.cause, Cause::Bits, "{refusal}");
    assert_eq!(refusal.node.help, "give more bits");
}

#[test]
fn settings_are_held_to_the_samples_too() {
    let options = samples(&[&[0.5, 1.0]]);
    let prepared = relu().import_with(&options).expect("imports");
    let with = |rows: &[&[f64]]| Options {
        settings: Some(Settings::of(&prepared.graph, String::new())),
        ..samples(rows)
    };
    assert!(compile(relu(), &with(&[&[0.25, 0.75]])).is_ok());
    let refusal = refused(relu(), &with(&[&[0.25, 0.75], &[700.0, 0.0]]));
    assert_eq!(
        (refusal.cause, refusal.node.node.as_str()),
        (Cause::Range, "x")
    );
    assert!(refusal.node.help.contains("calibrate again"), "{refusal}");
}

#[test]
fn what_the_float_model_leaves_undefined_is_named() {
    let model = Onnx::new().input("x", "1,2").node("Log", "x", "l", &[]);
    let model = model.node("Abs", "l", "y", &[]).output("y");
    let refusal = compile(model, &samples(&[&[0.5, 1.0], &[2.0, -1.0]])).err();
    let refusal = refusal.expect("is refused").to_string();
    let named = refusal.contains("`l` (Pointwise)") || refusal.contains("`y` (Pointwise)");
    assert!(named && refusal.contains("NaN on a sample"), "{refusal}");
}

#[test]
fn a_mask_that_drowns_the_rest_is_named() {
    // Rows: columns that differ have scales of their own.
    let model = Onnx::new()
        .opset(18)
        .input("x", "1,2")
        .ints("rows", &[2], &[2, 1])
        .node("Reshape", "x,rows", "r", &[])
        .floats("m", &[2, 1], vec![0.0, -1e9]);
    let model = model
        .node("Add", "r,m", "masked", &[])
        .node("Abs", "masked", "a", &[])
        .ints("axes", &[1], &[0])
        .node("ReduceMin", "a,axes", "y", &[])
        .output("y");
    let refusal = refused(model, &samples(&[&[0.5, 1.0], &[0.75, -1.0], &[0.1, 0.2]]));
    assert_eq!(refusal.cause, Cause::Mask, "{refusal}");
}

/// In single precision a softmax is zero from about 103 below the greatest score on, and its logarithm infinite.
#[test]
fn a_logarithm_of_a_softmax_that_vanishes_is_refused() {
    let model = Onnx::new().input("x", "1,3").node("Softmax", "x", "s", &[]);
    let model = model.node("Log", "s", "y", &[]).output("y");
    let lowered = compile(
        model,
        &samples(&[&[0.0, -5.0, -100.0], &[-90.0, 0.0, -1.0]]),
    );
    let lowered = lowered.expect("compiles");
    let inference = Inference::new(&lowered).expect("constants");
    let run = |row: &[f64]| inference.run(&[Tensor::new(vec![1, 3], row.to_vec())]);
    let made = run(&[-98.0, 0.0, -1.0]).expect("is not too far");
    assert!((made[0][0] + 98.3).abs() < 0.1, "{made:?}");
    let refusal = run(&[-120.0, 0.0, -1.0]).expect_err("is too far");
    assert!(refusal.to_string().contains("has no value"), "{refusal}");
}

#[test]
fn guesses_are_known_as_such() {
    use crate::program::Ranges;
    let lowered = |options: &Options| compile(relu(), options).expect("compiles").ranges;
    assert_eq!(lowered(&Options::default()), Ranges::Guessed);
    assert_eq!(lowered(&samples(&[&[0.5, 1.0]])), Ranges::Samples);
}

#[test]
fn calibration_is_no_worse_than_the_default() {
    use crate::accuracy::calibrate;
    use crate::onnx::load;
    use crate::tensors::LabelledSample;
    let model = Onnx::new().input("x", "1,4").weight("w", &[4, 16]);
    let model = model
        .node("MatMul", "x,w", "h", &[])
        .node("Relu", "h", "r", &[])
        .weight("v", &[16, 3])
        .node("MatMul", "r,v", "u", &[])
        .node("Softmax", "u", "y", &[])
        .output("y");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, "what the settings are for").expect("written");
    let path = path.display().to_string();
    let options = Options::default();
    let source = load::from_proto(model.proto(), None, &path, &options).expect("loads");
    let sample = |i: usize| LabelledSample {
        inputs: vec![Sample {
            shape: vec![1, 4],
            data: (0..4)
                .map(|k| ((5 * i + 3 * k) % 17) as f64 / 4.0 - 2.0)
                .collect(),
        }],
        label: None,
    };
    let samples: Vec<LabelledSample> = (0..40).map(sample).collect();
    let report = |error: Option<f64>| {
        let wanted = Wanted {
            target: 0.99,
            agreement: 0.0,
            error,
        };
        let steps = std::cell::RefCell::new(Vec::new());
        let progress = |step: &str| steps.borrow_mut().push(step.to_owned());
        let found = calibrate(&source, &Options::default(), &samples, wanted, &progress);
        assert!(steps.borrow().iter().any(|step| step.contains(" of ")));
        found.expect("calibrates").report
    };
    let strict = report(None);
    let default = strict.default.expect("measured");
    let most = default.greatest.expect("floats").max(0.005);
    assert!(strict.met && strict.greatest <= Some(most), "{strict:?}");
    let lax = report(Some(0.05));
    assert!(lax.met && lax.greatest <= Some(0.05) && lax.cost <= strict.cost);
}
