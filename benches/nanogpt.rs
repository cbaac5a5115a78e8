//! nanoGPT, stage by stage: compiling, running, proving, verifying; with everything hidden, and with nothing hidden.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use zkiln_compiler::Visibility;
use zkiln_compiler::compile::Request;
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::protocol::{Proven, prove, run, verify};

fn nanogpt(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut group = criterion.benchmark_group("nanoGPT");
    group.sample_size(20);
    for (name, visibility) in [
        ("all private", Visibility::Private),
        ("all public", Visibility::Public),
    ] {
        let mut request = Request {
            samples: vec![root.join("models/nanoGPT.samples.jsonl")],
            ..Request::new(root.join("models/nanoGPT.onnx"))
        };
        let kinds = ["inputs", "outputs", "weights"];
        request.options.visibility = kinds.map(|kind| (kind.to_owned(), visibility)).into();
        let lowered = request.compile().expect("compiles").lowered;
        let key = ProverKey::new(lowered.model, lowered.constants, &[0; 32]).expect("a key");
        let inputs = vec![(0..64).map(|i| i * 37 % 65).collect::<Vec<i64>>()];
        let Proven {
            statement, proof, ..
        } = prove(&key, &inputs).expect("proves");
        println!(
            "nanoGPT, {name}: a proof has {} bytes",
            proof.as_bytes().len()
        );

        group.bench_function(format!("compile, {name}"), |b| {
            b.iter(|| request.compile().expect("compiles"))
        });
        group.bench_function(format!("run, {name}"), |b| {
            b.iter(|| run(&key, black_box(&inputs)).expect("in range"))
        });
        group.bench_function(format!("prove, {name}"), |b| {
            b.iter(|| prove(&key, black_box(&inputs)).expect("in range"))
        });
        group.bench_function(format!("verify, {name}"), |b| {
            b.iter(|| verify(key.verifier_key(), black_box(&statement), &proof).expect("true"))
        });
    }
    group.finish();
}

criterion_group!(benches, nanogpt);
criterion_main!(benches);
