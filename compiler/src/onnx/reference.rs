//! The float model: what tract computes, the reference that a proof's output is compared with.

use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::{self, SimplePlan};

use crate::graph::{Dtype, Tensor};
use crate::onnx::load;
use crate::onnx::load::Loaded;
use crate::onnx::tensors::{from_tract, to_tract};
use crate::onnx::translate::walk::translate;
use crate::{CompileError, Options};

/// One input or output of the ONNX model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// ONNX name.
    pub name: String,
    /// ONNX element type.
    pub dtype: Dtype,
    /// ONNX shape, symbolic dimensions bound.
    pub shape: Vec<usize>,
}

/// An ONNX model that tract can run.
#[derive(Clone, Debug)]
pub struct FloatModel {
    plan: Arc<TypedSimplePlan>,
    /// Inputs in ONNX order.
    pub inputs: Vec<Port>,
    /// Outputs in ONNX order.
    pub outputs: Vec<Port>,
}

impl FloatModel {
    /// From the bytes of an ONNX file; `path` is for messages.
    ///
    /// # Errors
    /// [`CompileError::Load`], and [`CompileError::Nodes`] for operators that nothing evaluates.
    pub fn load(bytes: &[u8], path: &str, options: &Options) -> Result<FloatModel, CompileError> {
        FloatModel::whole(load::from_bytes(bytes, path, options)?, path)
    }

    /// From an ONNX file, with its external data beside it.
    ///
    /// # Errors
    /// [`CompileError::Read`], else as [`FloatModel::load`].
    pub fn load_path(path: &Path, options: &Options) -> Result<FloatModel, CompileError> {
        FloatModel::whole(load::from_path(path, options)?, &path.display().to_string())
    }

    /// Of a model without stand-ins for what was refused.
    fn whole(loaded: Loaded, path: &str) -> Result<FloatModel, CompileError> {
        if loaded.refusals.is_empty() {
            FloatModel::new(&loaded, path)
        } else {
            Err(CompileError::Nodes(loaded.refusals))
        }
    }

    pub(crate) fn new(loaded: &Loaded, path: &str) -> Result<FloatModel, CompileError> {
        if !loaded.refusals.is_empty() {
            // What else cannot be compiled is said with it.
            translate(loaded)?;
        }
        let plan = SimplePlan::new(loaded.model.clone()).map_err(|e| load::refuse(path, &e))?;
        Ok(FloatModel {
            plan,
            inputs: loaded.inputs.clone(),
            outputs: loaded.outputs.clone(),
        })
    }

    /// The outputs for the given inputs, both in ONNX order.
    ///
    /// # Errors
    /// [`CompileError::Samples`] where the inputs do not fit the model.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, CompileError> {
        let results = self.run_observed(inputs, |_, _| ())?;
        results
            .iter()
            .map(|t| from_tract(t).map_err(|reason| CompileError::Samples(reason.to_string())))
            .collect()
    }

    /// As [`FloatModel::run`]; shows every node's outputs.
    pub(crate) fn run_observed(
        &self,
        inputs: &[Tensor],
        mut observe: impl FnMut(&TypedNode, &[TValue]),
    ) -> Result<TVec<TValue>, CompileError> {
        let failed = |e: TractError| CompileError::Samples(format!("{e:#}"));
        let inputs = self.to_values(inputs)?;
        let mut state = self.plan.spawn().map_err(failed)?;
        state
            .run_plan_with_eval(inputs, |context, state, node, inputs| {
                let outputs = plan::eval(context, state, node, inputs)?;
                observe(node, &outputs);
                TractResult::Ok(outputs)
            })
            .map_err(failed)
    }

    fn to_values(&self, inputs: &[Tensor]) -> Result<TVec<TValue>, CompileError> {
        if inputs.len() != self.inputs.len() {
            let (expected, got) = (self.inputs.len(), inputs.len());
            return Err(CompileError::Samples(format!(
                "the model has {expected} input(s), the sample {got}"
            )));
        }
        let model = self.plan.model();
        let mut values = tvec![];
        for ((tensor, port), outlet) in inputs.iter().zip(&self.inputs).zip(&model.inputs) {
            let volume: usize = tensor.shape.iter().product();
            if tensor.shape != port.shape || tensor.data.len() != volume {
                return Err(CompileError::Samples(format!(
                    "input `{}` has shape {:?}, the sample {:?} with {} elements",
                    port.name,
                    port.shape,
                    tensor.shape,
                    tensor.data.len()
                )));
            }
            let fact = model
                .outlet_fact(*outlet)
                .map_err(|e| CompileError::Samples(format!("{e:#}")))?;
            let value = to_tract(tensor, fact.datum_type)
                .map_err(|e| CompileError::Samples(format!("input `{}`: {e:#}", port.name)))?;
            values.push(value.into_tvalue());
        }
        Ok(values)
    }
}
