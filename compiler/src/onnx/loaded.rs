//! What is known of an ONNX file once tract has analyzed it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::*;
use zkiln_runtime::weights::digest;

use crate::diagnostic::Diagnostic;
use crate::error::CompileError;
use crate::onnx::external;
use crate::ports::Port;
use crate::text::hex;

/// A model that tract has analyzed.
#[derive(Clone)]
pub struct Loaded {
    /// Its file, for messages; of bytes, some name.
    pub path: PathBuf,
    /// Decluttered, with concrete shapes wherever no value decides them.
    pub model: Arc<TypedModel>,
    /// Inputs in ONNX order.
    pub inputs: Vec<Port>,
    /// Outputs in ONNX order.
    pub outputs: Vec<Port>,
    /// Operator type of each ONNX node, by the name tract gives it.
    pub operators: HashMap<String, String>,
    /// All names of the ONNX graph.
    pub names: HashSet<String>,
    /// What is refused already, with stand-ins in the model.
    pub diagnostics: Vec<Diagnostic>,
    /// Number of nodes.
    pub onnx_nodes: u64,
    /// Number of float parameters.
    pub parameters: u64,
}

impl Loaded {
    /// Digest of the file and of those beside it that it names, in hexadecimal digits.
    ///
    /// # Errors
    /// [`CompileError::Read`].
    pub fn digest(&self) -> Result<String, CompileError> {
        model_digest(&read(&self.path)?, &self.path)
    }
}

/// Digest of an ONNX file and of the files beside it that it names, in hexadecimal digits.
pub fn model_digest(bytes: &[u8], path: &Path) -> Result<String, CompileError> {
    let mut digests = digest(bytes).to_vec();
    for file in external::files(bytes, path) {
        digests.extend(digest(&read(&file)?));
    }
    Ok(hex(&digest(&digests)))
}

/// The bytes of a file.
///
/// # Errors
/// [`CompileError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, CompileError> {
    if path.is_dir() {
        return Err(CompileError::Load {
            path: path.display().to_string(),
            reason: "it is a folder; the ONNX file itself is needed here".into(),
        });
    }
    std::fs::read(path).map_err(|source| CompileError::Read {
        path: path.display().to_string(),
        source,
    })
}
