//! What any user may write: the models are compiled while dependencies build, and `include_model!` picks them up.

use zkiln_compiler::build::{BuildError, model};

fn main() -> Result<(), BuildError> {
    for name in ["tiny_mlp", "mnist_cnn", "nanoGPT"] {
        let samples = format!("models/{name}.samples.jsonl");
        model(format!("models/{name}.onnx"))
            .samples(samples)
            .compile()?;
    }
    Ok(())
}
