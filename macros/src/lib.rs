//! `include_model!`: an ONNX file as a Rust module that proves it.
//!
//! Parse, check, expand: all that can be wrong with the arguments or with the model is reported where it is written, and expansion cannot
//! fail.

#![forbid(unsafe_code)]

mod arguments;

use std::path::PathBuf;

use proc_macro2::TokenStream;
use syn::{Error, LitStr};
use zkiln_compiler::{CompileError, build};

use arguments::Arguments;

/// Compiles an ONNX model and becomes a module named after it.
///
/// ```ignore
/// zkiln::include_model!("models/nanoGPT.onnx");           // -> pub mod nano_gpt
/// zkiln::include_model!(
///     "models/mlp.onnx",
///     name = "small",                                     // -> pub mod small
///     dims = { batch = 1, "seq-len" = 64 },               // symbolic dimensions; 1 if not given
///     freeze = { rate = 16000, mask = [1, 1, 0], table = "models/table.npy" },  // inputs that are constants
///     samples = "models/mlp.samples.jsonl",               // inputs that tell the ranges of values; or a list of files
///     settings = "models/mlp.settings.json",              // what `zkiln calibrate` chose, in place of samples and bits
///     saturate = true,                                    // values beyond their range are clamped, which is proved, rather than refused
///     objective = size,                                   // small proofs; the default is `time`: soon made and soon verified
///     visibility = { inputs = private, outputs = public, weights = private },  // the default; ports by name as well; or `committed`
///     blinding_key = "models/mlp.blinding",               // the secret that hides the weights; this is the default, made if missing
///     activation_bits = 12,
///     weight_bits = 12,
/// );
/// ```
///
/// Paths are relative to the package. The model is compiled when one of its files or options has changed, and only then.
/// Whatever cannot be proved is an error that names the ONNX node.
#[proc_macro]
pub fn include_model(arguments: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(arguments.into())
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(arguments: TokenStream) -> Result<TokenStream, Error> {
    let Arguments { path, request } = syn::parse2(arguments)?;
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let request = request.within(&package.unwrap_or_default());
    build::module(&request).map_err(|error| at(&path, error))
}

/// All diagnostics about the model, where its path is written.
fn at(path: &LitStr, error: CompileError) -> Error {
    let diagnostics = match error {
        CompileError::Nodes(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
        error => vec![error.to_string()],
    };
    let errors = diagnostics
        .into_iter()
        .map(|diagnostic| Error::new(path.span(), diagnostic));
    let combine = |mut all: Error, error| {
        all.combine(error);
        all
    };
    errors
        .reduce(combine)
        .unwrap_or_else(|| Error::new(path.span(), "the model cannot be compiled"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkiln_compiler::Diagnostic;

    #[test]
    fn every_diagnostic_is_an_error_of_its_own() {
        let diagnostic = |node: &str| Diagnostic {
            node: node.into(),
            op: "Loop".into(),
            reason: "cannot be proved".into(),
            help: "unroll it".into(),
        };
        let error = CompileError::Nodes(vec![diagnostic("a"), diagnostic("b")]);
        let path = LitStr::new("m.onnx", proc_macro2::Span::call_site());
        let texts: Vec<String> = at(&path, error)
            .into_iter()
            .map(|e| e.to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "node `a` (Loop): cannot be proved; unroll it",
                "node `b` (Loop): cannot be proved; unroll it"
            ]
        );
    }

    #[test]
    fn a_model_that_is_none_is_an_error_at_its_path() {
        for (arguments, expected) in [
            (quote::quote!("missing.onnx"), "cannot read"),
            (quote::quote!("Cargo.toml", name = "net"), "cannot load"),
            (
                quote::quote!("Cargo.toml", samples = "missing.jsonl"),
                "cannot read",
            ),
        ] {
            let error = expand(arguments).expect_err("no model").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
