//! The seam to compiler and runtime: nothing else on the command line knows how a model is compiled, run and proved.

use std::path::Path;

use zkiln_compiler::artefact::{Artefact, Manifest};
use zkiln_compiler::{Compiled, Fidelity, NodeReport, PortInfo, Ranges};
use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::model::ColumnKind;
use zkiln_runtime::protocol;

pub use zkiln_runtime::key::VerifierKey;
pub use zkiln_runtime::protocol::{
    Blinding, Commitment, CommitmentOpening, Context, OpeningSeed, Proof, ProveOptions, Proven,
    Shown, Statement, verify,
};
use zkiln_runtime::randomness::Randomness;

use super::error::CliError;
use zkiln_compiler::tensors::OutTensor;

/// Types of the nodes of an ONNX file; none where it is not such a file.
pub fn operators(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    zkiln_compiler::onnx::operators(&bytes)
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
    manifest: Manifest,
    prover: ProverKey,
}

impl Program {
    /// Of a model that was compiled from the file of name `origin`.
    pub fn new(compiled: Compiled, origin: &str) -> Result<Self, CliError> {
        let Artefact { manifest, prover } = Artefact::new(compiled, origin)?;
        Ok(Self { manifest, prover })
    }

    /// Of a folder that `zkiln compile` wrote.
    pub fn read(folder: &Path) -> Result<Self, CliError> {
        let Artefact { manifest, prover } = Artefact::read(folder)?;
        Ok(Self { manifest, prover })
    }

    /// Name of the ONNX file, for people.
    pub fn origin(&self) -> &str {
        &self.manifest.origin
    }

    /// Inputs.
    pub fn inputs(&self) -> &[PortInfo] {
        &self.manifest.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> &[PortInfo] {
        &self.manifest.outputs
    }

    /// One line a node.
    pub fn report(&self) -> &[NodeReport] {
        &self.manifest.report
    }

    /// How far it is from the float model; none where no samples were given.
    pub fn fidelity(&self) -> Option<Fidelity> {
        self.manifest.fidelity
    }

    /// Where the ranges of its values come from.
    pub fn ranges(&self) -> Ranges {
        self.manifest.ranges
    }

    /// Figures.
    pub fn counts(&self) -> Counts {
        let model = self.verifier_key().model();
        let values = |kind: ColumnKind| {
            let columns = model.columns.iter().filter(|c| c.kind == kind);
            columns
                .map(|c| c.shape.iter().map(|&len| u64::from(len)).product::<u64>())
                .sum()
        };
        Counts {
            onnx_nodes: self.manifest.onnx_nodes,
            params: self.manifest.parameters,
            boundaries: model.nodes.len() as u64,
            lookups: self.report().iter().map(|line| line.lookups).sum(),
            constants: values(ColumnKind::Constant),
            witness: values(ColumnKind::Witness),
        }
    }

    /// Real inputs as the model's integers.
    ///
    /// # Errors
    /// [`ProveError::InputRange`] for the first element outside its port's range.
    pub fn to_integers(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<i64>>, ProveError> {
        let ports = self.inputs().iter().zip(inputs);
        ports.map(|(port, data)| port.to_integers(data)).collect()
    }

    /// The integers of the outputs, without a proof.
    pub fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
        protocol::run(&self.prover, inputs).map_err(|error| self.in_reals(error))
    }

    /// Runs and proves.
    pub fn prove(&self, inputs: &[Vec<i64>], options: &ProveOptions) -> Result<Proven, ProveError> {
        protocol::prove_with(&self.prover, inputs, options, Randomness::from_system())
            .map_err(|error| self.in_reals(error))
    }

    fn in_reals(&self, error: ProveError) -> ProveError {
        let nodes = self.report().iter().filter_map(NodeReport::meaning);
        zkiln_compiler::in_reals(error, nodes)
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.prover.verifier_key()
    }
}

/// Outputs for people.
pub fn tensors(ports: &[PortInfo], outputs: &[Vec<i64>]) -> Vec<OutTensor> {
    let pairs = ports.iter().zip(outputs);
    pairs
        .map(|(port, integers)| {
            let elements = port.to_reals(integers);
            OutTensor::new(&port.name, port.dtype, &port.shape, elements)
        })
        .collect()
}
