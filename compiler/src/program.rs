//! The integer program that a model becomes, what its ports mean, and its commitments.

use zkiln_runtime::key::WeightBlinding;
use zkiln_runtime::model::Model;

use crate::graph::Dtype;

/// How integers of a port relate to reals: `real = integer * scale`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PortInfo {
    /// ONNX name.
    pub name: String,
    /// ONNX element type.
    pub dtype: Dtype,
    /// ONNX shape.
    pub shape: Vec<usize>,
    /// Real value of one unit; 1 for integer ports.
    pub scale: f64,
}

/// One line of the table of nodes: for `inspect` and for the generated module's documentation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NodeReport {
    /// Name.
    pub node: String,
    /// Relation.
    pub relation: String,
    /// Shapes, as `[64,64]x[64,256]`.
    pub shape: String,
    /// log2 of the accumulator's scale.
    pub scale_log2: f64,
    /// Bits of the output.
    pub bits: u32,
    /// Lookup leaves.
    pub lookups: u64,
    /// Multiply-adds of the reference.
    pub cost: u64,
}

/// What lowering makes: a model and its constants, not yet committed.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Lowered {
    /// The statement.
    pub model: Model,
    /// Data of every constant column in the order of `model.columns` (true shape, row-major, not padded).
    pub constants: Vec<Vec<i32>>,
    /// Inputs.
    pub inputs: Vec<PortInfo>,
    /// Outputs.
    pub outputs: Vec<PortInfo>,
    /// One line a node.
    pub report: Vec<NodeReport>,
    /// Number of float parameters of the ONNX model.
    pub parameters: u64,
    /// Number of ONNX nodes.
    pub onnx_nodes: u64,
}

/// A model whose constants are committed: all that both sides need.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The statement, the constants and what they mean.
    pub lowered: Lowered,
    /// What hides the constants' commitments.
    pub blinding: WeightBlinding,
    /// The verifier key.
    pub key: Vec<u8>,
    /// The constants' row commitments: the verifier key without the model.
    pub commitments: Vec<u8>,
    /// Digest of the verifier key.
    pub digest: [u8; 32],
    /// Length of every proof.
    pub proof_bytes: usize,
    /// Security level.
    pub security_bits: u32,
}
