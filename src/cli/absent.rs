//! Names of what compiler and runtime do not have yet.
#![allow(missing_docs, clippy::unused_self)]

use std::path::Path;

use zkiln_compiler::{CompileError, Lowered, Options, PortInfo};

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
    pub key: Vec<u8>,
}
pub fn compile(path: &Path, _: &Options) -> Result<Compiled, CompileError> {
    FloatModel::load(path, &[]).map(|model| match model {})
}
pub fn emit(path: &Path, _: &Options) -> Result<Vec<(String, Vec<u8>)>, CompileError> {
    FloatModel::load(path, &[]).map(|model| match model {})
}
