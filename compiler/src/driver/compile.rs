//! The whole way from an ONNX file to a committed model: the only one, for the macro, for build scripts and for the command line.
//!
//! ```text
//! Request -- read --> Source -- prepare --> Float -- lower and commit --> Compiled
//!             ports are known     floats can be run
//! ```

use std::path::{Path, PathBuf};

use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::model::Visibility;

use crate::accuracy;
use crate::accuracy::{Calibration, Report, Wanted, lower_faithfully};
use crate::calibrate::ranges::synthetic_inputs;
use crate::driver::blinding_key;
use crate::driver::blinding_key::BlindingKey;
use crate::driver::rows;
use crate::emit::snake_case;
use crate::error::CompileError;
use crate::graph::Tensor;
use crate::onnx::load;
use crate::onnx::loaded::Loaded;
use crate::options::Options;
use crate::ports::Port;
use crate::ports::Sample;
use crate::prepare::{Prepared, prepare};
use crate::program::{Compiled, Lowered};
use crate::settings::Settings;
use crate::tensors;
use crate::tensors::LabelledSample;

/// Bits below which nothing is compiled: of the argument's error, and of the generic attack on the group.
const SECURITY_BITS: u32 = 100;

/// A model to be compiled: its file, the options, and files of sample inputs.
#[derive(Clone, Debug)]
pub struct Request {
    /// ONNX file; external data lies beside it.
    pub path: PathBuf,
    /// What the user chose. Samples in here come before those of files.
    pub options: Options,
    /// Files of sample inputs, one JSON object a line: see [`crate::tensors`].
    pub samples: Vec<PathBuf>,
    /// Files of one array (`.npy`) each, for inputs that are none any more, by their names; in the options are those that are no files.
    pub frozen: Vec<(String, PathBuf)>,
    /// The file of settings that `zkiln calibrate` made: then no samples are needed, and none are read.
    pub settings: Option<PathBuf>,
    /// The file of the weight blinding key; default: [`blinding_key::beside`] the model.
    pub blinding_key: Option<PathBuf>,
}

impl Request {
    /// The model at `path` with default options.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            options: Options::default(),
            samples: Vec::new(),
            frozen: Vec::new(),
            settings: None,
            blinding_key: None,
        }
    }

    /// Path of the blinding key's file, whether one is needed or not.
    pub fn blinding_key_path(&self) -> PathBuf {
        let beside = || blinding_key::beside(&self.path);
        self.blinding_key.clone().unwrap_or_else(beside)
    }

    /// Whether the weights are hidden, so that a blinding key is needed.
    pub fn hides_weights(&self) -> bool {
        self.options.weight_visibility() != Visibility::Public
    }

    /// The blinding key, made if it is missing; zeros if none is needed.
    ///
    /// # Errors
    /// As [`blinding_key::read_or_create`].
    pub fn blinding_key(&self) -> Result<BlindingKey, CompileError> {
        if !self.hides_weights() {
            return Ok(BlindingKey::default());
        }
        let path = self.blinding_key_path();
        if let Some(note) = blinding_key::note(&path) {
            eprintln!("zkiln: {note}");
        }
        blinding_key::read_or_create(&path)
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

    /// Reads and analyses the model, and reads its settings and samples.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn read(&self) -> Result<Source, CompileError> {
        let mut options = self.options.clone();
        if let Some(path) = &self.settings {
            options.settings = Some(Settings::from_path(path)?);
        }
        for (name, path) in &self.frozen {
            options.frozen.push((name.clone(), tensors::array(path)?));
        }
        if let Some(first) = self.samples.first() {
            options.shapes = tensors::shapes(first).unwrap_or_default();
        }
        let loaded = load::from_path(&self.path, &options)?;
        if !loaded.diagnostics.is_empty() {
            // The ports of stand-ins are not the model's: nothing else is read, and everything that is wrong is reported.
            let diagnostics = loaded.diagnostics.clone();
            prepare(loaded, &options)?;
            return Err(CompileError::Nodes(diagnostics));
        }
        for file in &self.samples {
            options
                .samples
                .extend(tensors::samples(file, &loaded.inputs)?);
        }
        Ok(Source {
            loaded,
            name: self.module_name(),
            options,
        })
    }

    /// Reads, prepares, lowers and commits.
    ///
    /// # Errors
    /// All that is wrong with the files or with the model's nodes, at once.
    pub fn compile(&self) -> Result<Compiled, CompileError> {
        let float = self.read()?.prepare()?;
        float.compile(&self.blinding_key()?)
    }
}

/// An ONNX file that has been read and analyzed.
pub struct Source {
    loaded: Loaded,
    name: String,
    options: Options,
}

impl Source {
    /// Of bytes without external data; `path` is for messages.
    ///
    /// # Errors
    /// [`CompileError::Load`], [`CompileError::Nodes`].
    pub fn from_bytes(bytes: &[u8], path: &str, options: &Options) -> Result<Self, CompileError> {
        let stem = Path::new(path)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        Ok(Self {
            loaded: load::from_bytes(bytes, path, options)?,
            name: snake_case(options.name.as_deref().unwrap_or(&stem)),
            options: options.clone(),
        })
    }

    /// In ONNX order.
    pub fn inputs(&self) -> &[Port] {
        &self.loaded.inputs
    }

    /// In ONNX order.
    pub fn outputs(&self) -> &[Port] {
        &self.loaded.outputs
    }

    /// Samples that the ranges will come from.
    pub fn samples(&self) -> &[Vec<Sample>] {
        &self.options.samples
    }

    /// Adds a sample: the elements of every input, row-major.
    pub fn add_sample(&mut self, elements: &[Vec<f64>]) {
        let sample = tensors::sample(&self.loaded.inputs, elements);
        self.options.samples.push(sample);
    }

    /// Chooses bits and ranges that give what is `wanted`, on `samples`, or on synthetic ones where there are none; `progress` is told what is
    /// being done.
    ///
    /// # Errors
    /// Whatever is wrong with the model or the samples.
    pub fn calibrate(
        &self,
        samples: &[LabelledSample],
        wanted: Wanted,
        progress: &dyn Fn(&str),
    ) -> Result<Calibration, CompileError> {
        accuracy::calibrate(&self.loaded, &self.options, samples, wanted, progress)
    }

    /// How the model does with its settings: all samples are held out.
    ///
    /// # Errors
    /// [`CompileError::Settings`] without settings; whatever is wrong with the model, the settings or the samples.
    pub fn measure(
        &self,
        samples: &[LabelledSample],
        progress: &dyn Fn(&str),
    ) -> Result<Report, CompileError> {
        let settings = self
            .settings()
            .ok_or_else(|| CompileError::Settings("there are none".into()))?;
        accuracy::measure(&self.loaded, &self.options, settings, samples, progress)
    }

    /// The settings, if the request has some.
    pub fn settings(&self) -> Option<&Settings> {
        self.options.settings.as_ref()
    }

    /// Translates the model and finds the ranges of its values.
    ///
    /// # Errors
    /// All that is wrong with the model's nodes, or with the samples.
    pub fn prepare(self) -> Result<Float, CompileError> {
        Ok(Float {
            prepared: prepare(self.loaded, &self.options)?,
            name: self.name,
            options: self.options,
        })
    }
}

/// A model in floats, with ranges: it can be run, and compiled.
pub struct Float {
    prepared: Prepared,
    name: String,
    options: Options,
}

impl Float {
    /// The float outputs.
    ///
    /// # Errors
    /// [`CompileError::Samples`] where the inputs do not fit the model.
    pub fn run(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, CompileError> {
        let ports = self.prepared.float.inputs.iter().zip(inputs);
        let tensor =
            |(port, data): (&Port, &Vec<f64>)| Tensor::new(port.shape.clone(), data.clone());
        let outputs = self
            .prepared
            .float
            .run(&ports.map(tensor).collect::<Vec<_>>())?;
        Ok(outputs.into_iter().map(|tensor| tensor.data).collect())
    }

    /// Inputs that the model takes, always the same: the first of those that it is calibrated on without samples.
    pub fn synthetic_input(&self) -> Vec<Vec<f64>> {
        let mut samples = synthetic_inputs(&self.prepared.graph, 1);
        let first = samples.pop().unwrap_or_default();
        first.into_iter().map(|tensor| tensor.data).collect()
    }

    /// Lowers and commits. The float model is gone before anything is committed.
    ///
    /// # Errors
    /// [`CompileError::Nodes`], [`CompileError::Unfaithful`], else as [`commit`].
    pub fn compile(self, key: &BlindingKey) -> Result<Compiled, CompileError> {
        commit(self.lower()?, key)
    }

    /// The integer program, not committed.
    ///
    /// # Errors
    /// [`CompileError::Nodes`], [`CompileError::Unfaithful`].
    pub fn lower(self) -> Result<Lowered, CompileError> {
        let mut lowered = lower_faithfully(&self.prepared, &self.options, &self.name)?;
        rows::choose(&mut lowered.model, self.options.objective);
        Ok(Lowered {
            parameters: self.prepared.parameters,
            onnx_nodes: self.prepared.onnx_nodes,
            ..lowered
        })
    }
}

/// Commits to the constants, hidden by `key` unless they are public.
///
/// # Errors
/// [`CompileError::Security`]; [`CompileError::Plan`] for a model that the runtime refuses.
pub fn commit(lowered: Lowered, key: &BlindingKey) -> Result<Compiled, CompileError> {
    let refused = |error: ProveError| CompileError::Plan(error.to_string());
    let (key, blinding) =
        VerifierKey::commit(lowered.model.clone(), &lowered.constants, key).map_err(refused)?;
    let security = key.security();
    if security.floor() < SECURITY_BITS {
        return Err(CompileError::Security {
            expected: SECURITY_BITS,
            got: security.floor(),
        });
    }
    Ok(Compiled {
        blinding,
        key: key.to_bytes(),
        commitments: key.commitment_bytes(),
        digest: key.digest(),
        proof_bytes: key.proof_bytes(),
        statistical_bits: security.statistical_bits,
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
        let source = Source {
            loaded: load::from_proto(model.proto(), None, "test.onnx", &options).expect("loads"),
            name: "perceptron".into(),
            options,
        };
        let float = source.prepare().expect("can be prepared");
        float.compile(&BlindingKey::default()).expect("compiles")
    }

    #[test]
    fn proofs_and_code_do_not_grow_with_weights() {
        let small = emit(&perceptron(64, Visibility::Private), "test.onnx");
        for visibility in [Visibility::Private, Visibility::Public] {
            let compiled = perceptron(8192, visibility);
            assert_eq!(compiled.lowered.parameters, (1024 + 10) * 8192);
            let generated = emit(&compiled, "test.onnx");
            assert!(generated.source.len() < small.source.len() + 1000);
            let model = &compiled.lowered.model;
            assert!(model.answer_log2 < model.row_log2);
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
