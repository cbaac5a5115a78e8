//! The whole way from ONNX bytes to a committed model.

use std::fs;
use std::path::Path;

use zkiln_runtime::error::ProveError;
use zkiln_runtime::key::ProverKey;

use crate::emit::snake_case;
use crate::error::CompileError;
use crate::{Lowered, Options};

/// Security level below which nothing is compiled.
const SECURITY_BITS: u32 = 100;

/// A model whose constants are committed: all that both sides need.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The statement, the constants and what they mean.
    pub lowered: Lowered,
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

/// Compiles the model at `path`: import, lower, commit.
///
/// # Errors
///
/// All that is wrong with the file or with the model's nodes, at once.
pub fn compile(path: &Path, options: &Options) -> Result<Compiled, CompileError> {
    let bytes = fs::read(path).map_err(|source| CompileError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let name = module_name(path, options);
    let imported = crate::import::import(&bytes, path, options)?;
    let lowered = crate::lower::lower(&imported.graph, options, &name)?;
    commit(Lowered {
        parameters: imported.parameters,
        onnx_nodes: imported.onnx_nodes,
        ..lowered
    })
}

/// Name of the module for the model at `path`: the chosen one, or the file's stem in snake case.
pub fn module_name(path: &Path, options: &Options) -> String {
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy();
    options.name.clone().unwrap_or_else(|| snake_case(&stem()))
}

/// Commits to the constants.
pub(crate) fn commit(lowered: Lowered) -> Result<Compiled, CompileError> {
    let key = ProverKey::new(lowered.model.clone(), lowered.constants.clone()).map_err(internal)?;
    let key = key.verifier_key();
    if key.security_bits() < SECURITY_BITS {
        return Err(CompileError::Security {
            expected: SECURITY_BITS,
            got: key.security_bits(),
        });
    }
    Ok(Compiled {
        key: key.to_bytes(),
        commitments: key.commitment_bytes(),
        digest: key.digest(),
        proof_bytes: key.proof_bytes(),
        security_bits: key.security_bits(),
        lowered,
    })
}

fn internal(error: ProveError) -> CompileError {
    CompileError::Load {
        path: String::new(),
        reason: error.to_string(),
    }
}
