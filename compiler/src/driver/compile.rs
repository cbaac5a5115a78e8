//! The whole way from an ONNX file to a committed model.

use std::path::{Path, PathBuf};

use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::model::Visibility;

use crate::accuracy::lower_faithfully;
use crate::calibrate::samples;
use crate::driver::salt;
use crate::driver::salt::Salt;
use crate::emit::snake_case;
use crate::error::CompileError;
use crate::onnx::load;
use crate::options::Options;
use crate::prepare;
use crate::prepare::Prepared;
use crate::program::Compiled;
use crate::program::Lowered;
use crate::settings::Settings;

/// Security level below which nothing is compiled.
const SECURITY_BITS: u32 = 100;

/// A model to be compiled: its file, the options, and files of sample inputs.
#[derive(Clone, Debug)]
pub struct Request {
    /// ONNX file; external data lies beside it.
    pub path: PathBuf,
    /// What the user chose. Samples in here come before those of files.
    pub options: Options,
    /// JSON lines of the form `{"inputs":[{"name","dtype","shape","data"}]}`.
    pub samples: Vec<PathBuf>,
    /// The file of settings that `zkiln calibrate` made: then no samples are needed, and none are read.
    pub settings: Option<PathBuf>,
    /// The file of the salt; default: [`salt::beside`] the model.
    pub salt: Option<PathBuf>,
}

impl Request {
    /// The model at `path` with default options.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            options: Options::default(),
            samples: Vec::new(),
            settings: None,
            salt: None,
        }
    }

    /// Path of the salt's file, if a salt is needed: weights that are public have none.
    pub fn salt_path(&self) -> Option<PathBuf> {
        let hidden = self.options.weight_visibility() != Visibility::Public;
        let path = || {
            self.salt
                .clone()
                .unwrap_or_else(|| salt::beside(&self.path))
        };
        hidden.then(path)
    }

    /// The salt, made if it is missing; zeros if none is needed.
    ///
    /// # Errors
    /// As [`salt::read_or_create`].
    pub fn salt(&self) -> Result<Salt, CompileError> {
        match self.salt_path() {
            Some(path) => salt::read_or_create(&path),
            None => Ok(Salt::default()),
        }
    }

    /// Name of the generated module: the chosen one or else the file's stem, in snake case.
    pub fn module_name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        snake_case(self.options.name.as_deref().unwrap_or(&stem))
    }

    /// The model's file name, for people.
    pub fn origin(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Imports, lowers and commits.
    ///
    /// # Errors
    /// All that is wrong with the files or with the model's nodes, at once.
    pub fn compile(&self) -> Result<Compiled, CompileError> {
        let mut options = self.options.clone();
        if let Some(path) = &self.settings {
            options.settings = Some(Settings::from_path(path)?);
        }
        let loaded = load::from_path(&self.path, &options)?;
        for file in &self.samples {
            options.samples.extend(samples::read(file, &loaded.inputs)?);
        }
        let imported = prepare::prepare(loaded, &self.path.display().to_string(), &options)?;
        let lowered = lowered(imported, &options, &self.module_name())?;
        commit(lowered, &self.salt()?)
    }
}

/// Compiles the model at `path`.
///
/// # Errors
/// As [`Request::compile`].
pub fn compile(path: &Path, options: &Options, salt: &Salt) -> Result<Compiled, CompileError> {
    let imported = prepare::from_path(path, options)?;
    let request = Request {
        options: options.clone(),
        ..Request::new(path)
    };
    commit(lowered(imported, options, &request.module_name())?, salt)
}

fn lowered(imported: Prepared, options: &Options, name: &str) -> Result<Lowered, CompileError> {
    Ok(Lowered {
        parameters: imported.parameters,
        onnx_nodes: imported.onnx_nodes,
        ..lower_faithfully(&imported, options, name)?
    })
}

/// Commits to the constants, hidden by `salt` unless they are public.
///
/// # Errors
/// [`CompileError::Security`]; [`CompileError::Plan`] for a model that the runtime refuses.
pub fn commit(lowered: Lowered, salt: &Salt) -> Result<Compiled, CompileError> {
    let refused = |error: ProveError| CompileError::Plan(error.to_string());
    let (key, blinding) =
        VerifierKey::commit(lowered.model.clone(), &lowered.constants, salt).map_err(refused)?;
    if key.security_bits() < SECURITY_BITS {
        return Err(CompileError::Security {
            expected: SECURITY_BITS,
            got: key.security_bits(),
        });
    }
    Ok(Compiled {
        blinding,
        key: key.to_bytes(),
        commitments: key.commitment_bytes(),
        digest: key.digest(),
        proof_bytes: key.proof_bytes(),
        security_bits: key.security_bits(),
        lowered,
    })
}

#[cfg(test)]
mod tests {
    use crate::driver::compile::*;
    use crate::emit::emit;
    use crate::testing::Onnx;
    use zkiln_runtime::key::ProverKey;
    use zkiln_runtime::protocol::{prove, verify};

    /// Two layers of `width` units, all seen by `visibility`.
    fn perceptron(width: usize, visibility: Visibility) -> Compiled {
        let model = Onnx::new()
            .input("x", "1,1024")
            .weight("a", &[1024, width])
            .weight("b", &[width, 10])
            .node("MatMul", "x,a", "h", &[])
            .node("Relu", "h", "r", &[])
            .node("MatMul", "r,b", "y", &[])
            .output("y");
        let seen = ["inputs", "outputs", "weights"].map(|name| (name.to_string(), visibility));
        let options = Options {
            activation_bits: Some(12),
            visibility: seen.to_vec(),
            ..Options::default()
        };
        let loaded = load::from_proto(model.proto(), None, "test.onnx", &options).expect("loads");
        let imported = prepare::prepare(loaded, "test.onnx", &options).expect("imports");
        let lowered = lowered(imported, &options, "perceptron").expect("lowers");
        commit(lowered, &Salt::default()).expect("commits")
    }

    #[test]
    fn proofs_and_code_do_not_grow_with_weights() {
        let small = emit(&perceptron(64, Visibility::Private), "test.onnx");
        for visibility in [Visibility::Private, Visibility::Public] {
            let compiled = perceptron(8192, visibility);
            assert_eq!(compiled.lowered.parameters, (1024 + 10) * 8192);
            let generated = emit(&compiled, "test.onnx");
            assert!(generated.source.len() < small.source.len() + 1000);
            assert!(compiled.lowered.model.answer_rounds() > 0);
            assert!(compiled.proof_bytes < 80_000, "{}", compiled.proof_bytes);

            let verifier = VerifierKey::from_bytes(&compiled.key).expect("a key");
            let (constants, blinding) = (compiled.lowered.constants, compiled.blinding);
            let key = ProverKey::from_parts(verifier, constants, blinding).expect("fits");
            let input = (0..1024).map(|i| i % 31).collect();
            let proven = prove(&key, &[input]).expect("proves");
            let key = key.verifier_key();
            assert_eq!(verify(key, &proven.statement, &proven.proof), Ok(()));
            let mut bytes = proven.proof.as_bytes().to_vec();
            let last = bytes.len() - 40;
            bytes[last] ^= 1;
            let changed = zkiln_runtime::protocol::Proof::from_bytes(bytes);
            assert!(verify(key, &proven.statement, &changed).is_err());
        }
    }
}
