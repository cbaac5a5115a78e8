//! Names of what compiler and runtime do not have yet.
#![allow(missing_docs, clippy::unused_self)]

use std::path::Path;

use zkiln_compiler::{CompileError, Lowered, Options, PortInfo};
use zkiln_runtime::error::{ProveError, VerifyError};
use zkiln_runtime::model::Model;

pub enum FloatModel {}
impl FloatModel {
    pub fn load(path: &Path, _: &[(String, usize)]) -> Result<Self, CompileError> {
        Err(CompileError::Load {
            path: path.display().to_string(),
            reason: "the compiler is not linked yet".into(),
        })
    }
    pub fn inputs(&self) -> &[PortInfo] {
        match *self {}
    }
    pub fn outputs(&self) -> &[PortInfo] {
        match *self {}
    }
    pub fn run(&self, _: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, CompileError> {
        match *self {}
    }
    pub fn random_input(&self, _: u64) -> Vec<Vec<f64>> {
        match *self {}
    }
}
pub struct Compiled {
    pub lowered: Lowered,
}
pub fn compile(path: &Path, _: &Options) -> Result<Compiled, CompileError> {
    FloatModel::load(path, &[]).map(|model| match model {})
}
pub fn run(_: &Compiled, _: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
    Err(ProveError::Weights("not linked yet".into()))
}
pub fn emit(_: Compiled) -> Result<Vec<(String, Vec<u8>)>, ProveError> {
    Err(ProveError::Weights("not linked yet".into()))
}
pub enum ProverKey {}
impl ProverKey {
    pub fn new(_: Model, _: Vec<Vec<i32>>) -> Result<Self, ProveError> {
        Err(ProveError::Weights("not linked yet".into()))
    }
    pub fn verifier_key(&self) -> &VerifierKey {
        match *self {}
    }
}
pub enum VerifierKey {}
impl VerifierKey {
    pub fn from_bytes(_: &[u8]) -> Result<Self, VerifyError> {
        Err(VerifyError::Key("not linked yet"))
    }
    pub fn to_bytes(&self) -> Vec<u8> {
        match *self {}
    }
    pub fn digest(&self) -> [u8; 32] {
        match *self {}
    }
    pub fn proof_bytes(&self) -> usize {
        match *self {}
    }
    pub fn security_bits(&self) -> u32 {
        match *self {}
    }
    pub fn model(&self) -> &Model {
        match *self {}
    }
}
pub struct Statement {
    pub inputs: Vec<Vec<i64>>,
    pub outputs: Vec<Vec<i64>>,
}
pub struct Proof(Vec<u8>);
impl Proof {
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
pub fn prove(key: &ProverKey, _: &[Vec<i64>]) -> Result<(Statement, Proof), ProveError> {
    match *key {}
}
pub fn verify(key: &VerifierKey, _: &Statement, _: &Proof) -> Result<(), VerifyError> {
    match *key {}
}
