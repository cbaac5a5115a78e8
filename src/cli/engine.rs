//! The seam to compiler and runtime: nothing else on the command line knows how a model is compiled, run and proved.

use std::path::Path;

use zkiln_compiler::float::{FloatModel, Port};
use zkiln_compiler::graph::Tensor;
use zkiln_compiler::salt::Salt;
use zkiln_compiler::{Lowered, NodeReport, Options, PortInfo};
use zkiln_runtime::error::ProveError;
use zkiln_runtime::model::ColumnKind;

use zkiln_runtime::key::ProverKey;
pub use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::protocol;
pub use zkiln_runtime::protocol::{
    Blinding, Commitment, CommitmentOpening, Proof, Proven, Shown, Statement, verify,
};
use zkiln_runtime::randomness::Randomness;

use super::error::CliError;
use crate::tensors::OutTensor;

/// A model in floats, as its file has it.
pub struct FloatNetwork {
    model: FloatModel,
    inputs: Vec<PortInfo>,
    outputs: Vec<PortInfo>,
}

impl FloatNetwork {
    /// Reads an ONNX file; `dimensions` are the lengths of symbolic ones.
    pub fn load(path: &Path, dimensions: &[(String, usize)]) -> Result<Self, CliError> {
        let options = Options {
            dimensions: dimensions.to_vec(),
            ..Options::default()
        };
        let model = FloatModel::load_path(path, &options)?;
        let port = |port: &Port| PortInfo {
            name: port.name.clone(),
            dtype: port.dtype,
            shape: port.shape.clone(),
            scale: 1.0,
        };
        let inputs = model.inputs.iter().map(port).collect();
        let outputs = model.outputs.iter().map(port).collect();
        Ok(Self {
            model,
            inputs,
            outputs,
        })
    }

    /// In ONNX order; scales are not known yet.
    pub fn inputs(&self) -> &[PortInfo] {
        &self.inputs
    }

    /// In ONNX order; scales are not known yet.
    pub fn outputs(&self) -> &[PortInfo] {
        &self.outputs
    }

    /// The float outputs.
    pub fn run(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, CliError> {
        let tensor = |(port, data): (&PortInfo, &Vec<f64>)| Tensor {
            shape: port.shape.clone(),
            data: data.clone(),
        };
        let tensors: Vec<Tensor> = self.inputs.iter().zip(inputs).map(tensor).collect();
        let outputs = self.model.run(&tensors)?;
        Ok(outputs.into_iter().map(|tensor| tensor.data).collect())
    }
}

/// Inputs that the ONNX file takes, always the same: the first of those that it is calibrated on without samples.
pub fn synthetic_input(path: &Path, options: &Options) -> Result<Vec<Vec<f64>>, CliError> {
    let imported = zkiln_compiler::import::import_path(path, options)?;
    let mut samples = zkiln_compiler::calibrate::synthetic_inputs(&imported.graph, 1);
    let first = samples.pop().unwrap_or_default();
    Ok(first.into_iter().map(|tensor| tensor.data).collect())
}

/// Types of the nodes of an ONNX file; none where it is no such file.
pub fn operators(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    zkiln_compiler::import::operators(&bytes)
}

/// Figures of a compiled model.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Nodes of the ONNX graph.
    pub onnx_nodes: u64,
    /// Float parameters.
    pub params: u64,
    /// Nodes of the compiled model: where values are rounded or looked up.
    pub boundaries: u64,
    /// Lookups of one proof.
    pub lookups: u64,
    /// Constants that are committed once.
    pub constants: u64,
    /// Values that every proof commits to.
    pub witness: u64,
}

/// A compiled model: it runs, proves and verifies.
pub struct Program {
    lowered: Lowered,
    prover: ProverKey,
}

impl Program {
    /// Compiles the ONNX file.
    pub fn compile(path: &Path, options: &Options, salt: &Salt) -> Result<Self, CliError> {
        let compiled = zkiln_compiler::compile::compile(path, options, salt)?;
        let mut lowered = compiled.lowered;
        let constants = std::mem::take(&mut lowered.constants);
        let verifier = VerifierKey::from_bytes(&compiled.key)?;
        let prover = ProverKey::from_parts(verifier, constants, compiled.blinding)?;
        Ok(Self { lowered, prover })
    }

    /// Inputs.
    pub fn inputs(&self) -> &[PortInfo] {
        &self.lowered.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> &[PortInfo] {
        &self.lowered.outputs
    }

    /// One line a node.
    pub fn report(&self) -> &[NodeReport] {
        &self.lowered.report
    }

    /// Figures.
    pub fn counts(&self) -> Counts {
        let lowered = &self.lowered;
        let values = |kind: ColumnKind| {
            let columns = lowered.model.columns.iter().filter(|c| c.kind == kind);
            columns
                .map(|c| c.shape.iter().map(|&len| u64::from(len)).product::<u64>())
                .sum()
        };
        Counts {
            onnx_nodes: lowered.onnx_nodes,
            params: lowered.parameters,
            boundaries: lowered.model.nodes.len() as u64,
            lookups: lowered.report.iter().map(|line| line.lookups).sum(),
            constants: values(ColumnKind::Constant),
            witness: values(ColumnKind::Witness),
        }
    }

    /// Real inputs as the model's integers.
    pub fn quantise(&self, inputs: &[Vec<f64>]) -> Vec<Vec<i64>> {
        let ports = self.inputs().iter().zip(inputs);
        ports.map(|(port, data)| quantise(data, port)).collect()
    }

    /// The integers of the outputs, without a proof.
    pub fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
        protocol::run(&self.prover, inputs)
    }

    /// Runs and proves; `blindings` are those of committed ports that shall not be fresh.
    pub fn prove(
        &self,
        inputs: &[Vec<i64>],
        blindings: &[(&str, Blinding)],
    ) -> Result<Proven, ProveError> {
        protocol::prove_with(&self.prover, inputs, blindings, Randomness::from_system())
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.prover.verifier_key()
    }
}

/// The generated files of an ONNX file: name and content.
pub fn emit(
    path: &Path,
    options: &Options,
    salt: &Salt,
) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let compiled = zkiln_compiler::compile::compile(path, options, salt)?;
    let origin = path.file_name().unwrap_or(path.as_os_str());
    let generated = zkiln_compiler::emit::emit(&compiled, &origin.to_string_lossy());
    let files = generated.files().into_iter();
    let mut files: Vec<_> = files.map(|(name, bytes)| (name, bytes.to_vec())).collect();
    files.push((format!("{}.vk", compiled.lowered.model.name), compiled.key));
    Ok(files)
}

/// The nearest integers; those too large for the port are refused when proving.
fn quantise(data: &[f64], port: &PortInfo) -> Vec<i64> {
    data.iter()
        .map(|value| (value / port.scale).round() as i64)
        .collect()
}

/// What integers of a port mean.
pub fn dequantise(integers: &[i64], port: &PortInfo) -> Vec<f64> {
    let real = |&integer: &i64| integer as f64 * port.scale;
    integers.iter().map(real).collect()
}

/// Outputs for people.
pub fn tensors(ports: &[PortInfo], outputs: &[Vec<i64>]) -> Vec<OutTensor> {
    let pairs = ports.iter().zip(outputs);
    pairs
        .map(|(port, integers)| {
            let elements = dequantise(integers, port);
            OutTensor::new(&port.name, port.dtype, &port.shape, elements)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkiln_compiler::graph::Dtype;

    #[test]
    fn integers_and_reals() {
        let port = PortInfo {
            name: "x".into(),
            dtype: Dtype::Float32,
            shape: vec![3],
            scale: 0.25,
        };
        let integers = quantise(&[0.3, -1.0, 1e300], &port);
        assert_eq!(integers, [1, -4, i64::MAX]);
        assert_eq!(dequantise(&integers[..2], &port), [0.25, -1.0]);
    }
}
