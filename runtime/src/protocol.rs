//! Shim until the protocol is merged.
#![allow(missing_docs)]
use crate::error::{ProveError, VerifyError};
use crate::model::Model;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug)]
pub struct VerifierKey {
    model: Model,
    commitments: Vec<u8>,
}

impl VerifierKey {
    pub fn from_parts(model: Model, commitments: &[u8]) -> Result<Self, VerifyError> {
        Ok(Self {
            model,
            commitments: commitments.to_vec(),
        })
    }
    pub fn commitments(&self) -> Vec<u8> {
        self.commitments.clone()
    }
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(&(&self.model, &self.commitments)).unwrap_or_default()
    }
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VerifyError> {
        let (model, commitments) =
            postcard::from_bytes(bytes).map_err(|_| VerifyError::Key("shim"))?;
        Ok(Self { model, commitments })
    }
    pub fn digest(&self) -> [u8; 32] {
        crate::weights::digest(&self.to_bytes())
    }
    pub fn proof_bytes(&self) -> usize {
        3
    }
    pub fn security_bits(&self) -> u32 {
        100
    }
    pub fn model(&self) -> &Model {
        &self.model
    }
}

#[derive(Debug)]
pub struct ProverKey {
    key: VerifierKey,
    constants: Vec<Vec<i32>>,
}

impl ProverKey {
    pub fn new(model: Model, constants: Vec<Vec<i32>>) -> Result<Self, ProveError> {
        let commitments = crate::weights::digest(&crate::weights::encode(&constants)).to_vec();
        Ok(Self {
            key: VerifierKey { model, commitments },
            constants,
        })
    }
    pub fn from_parts(key: VerifierKey, constants: Vec<Vec<i32>>) -> Result<Self, ProveError> {
        Ok(Self { key, constants })
    }
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub inputs: Vec<Vec<i64>>,
    pub outputs: Vec<Vec<i64>>,
}

impl Statement {
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VerifyError> {
        postcard::from_bytes(bytes).map_err(|_| VerifyError::Statement("shim"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Vec<u8>);

impl Proof {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

pub fn run(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
    let _ = (&key.constants, inputs);
    Ok(key
        .key
        .model
        .outputs
        .iter()
        .map(|port| vec![1; port.value.shape.iter().product::<u32>() as usize])
        .collect())
}

pub fn prove(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<(Statement, Proof), ProveError> {
    Ok((
        Statement {
            inputs: inputs.to_vec(),
            outputs: run(key, inputs)?,
        },
        Proof(vec![1, 2, 3]),
    ))
}

pub fn verify(_: &VerifierKey, _: &Statement, proof: &Proof) -> Result<(), VerifyError> {
    if proof.0 == [1, 2, 3] {
        Ok(())
    } else {
        Err(VerifyError::Opening)
    }
}
