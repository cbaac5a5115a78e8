//! The float model: what tract computes, the reference that a proof's output is compared with.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{GatherNd, ScatterNd};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::Softmax;
use tract_onnx::tract_core::plan::{self, SimplePlan};

use crate::diagnostic::caught;
use crate::error::CompileError;
use crate::graph::{Extent, Origin, Tensor, interpret};
use crate::onnx::analyze;
use crate::onnx::loaded::Loaded;
use crate::onnx::tensors::f32s;
use crate::onnx::tensors::{from_tract, to_tract};
use crate::ports::Port;
use std::collections::{HashMap, HashSet};

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
    /// Of a model without stand-ins for what was refused.
    pub(crate) fn new(loaded: &Loaded) -> Result<FloatModel, CompileError> {
        let plan = SimplePlan::new(loaded.model.clone())
            .map_err(|e| analyze::load_error(&loaded.path.display().to_string(), &e))?;
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

    /// The values of these origins for the given inputs.
    pub(crate) fn observe(
        &self,
        inputs: &[Tensor],
        wanted: &HashSet<Origin>,
    ) -> Result<HashMap<Origin, Observed>, CompileError> {
        let mut observed = HashMap::new();
        self.run_observed(inputs, |node, values| {
            let origins = (0..).map(|slot| Origin {
                node: node.id,
                slot,
            });
            let values = origins
                .zip(values)
                .filter(|(origin, _)| wanted.contains(origin));
            observed.extend(values.map(|(origin, value)| (origin, Observed(value.clone()))));
        })?;
        Ok(observed)
    }

    /// Whether a value has integers or booleans.
    pub(crate) fn is_integer(&self, origin: Origin) -> bool {
        let fact = self
            .plan
            .model()
            .outlet_fact(OutletId::new(origin.node, origin.slot));
        fact.is_ok_and(|fact| {
            let dtype = fact.datum_type;
            dtype.is_integer() || dtype == bool::datum_type() || dtype == TDim::datum_type()
        })
    }

    fn run_observed(
        &self,
        inputs: &[Tensor],
        mut observe: impl FnMut(&TypedNode, &[TValue]),
    ) -> Result<TVec<TValue>, CompileError> {
        let failed = |e: TractError| CompileError::Samples(format!("{e:#}"));
        let inputs = self.to_values(inputs)?;
        let mut state = self.plan.spawn().map_err(failed)?;
        let mut last = String::new();
        let results = caught(|| {
            state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                last.clone_from(&node.name);
                let inputs = counted_from_start(node, inputs)?;
                let outputs = match node.op_as::<Softmax>().filter(|op| is_float(op)) {
                    Some(op) => softmax(op, &inputs[0])?,
                    None if in_single_precision(node, &inputs) => single(node, &inputs[0])?,
                    None => plan::eval(context, state, node, inputs)?,
                };
                observe(node, &outputs);
                TractResult::Ok(outputs)
            })
        });
        // tract panics where integers are divided by zero.
        let undefined = |reason| CompileError::Samples(format!("node `{last}`: {reason}"));
        results.map_err(undefined)?.map_err(failed)
    }

    fn to_values(&self, inputs: &[Tensor]) -> Result<TVec<TValue>, CompileError> {
        if inputs.len() != self.inputs.len() {
            let (expected, got) = (self.inputs.len(), inputs.len());
            return Err(CompileError::Samples(format!(
                "the model has {expected} input(s), the sample has {got}"
            )));
        }
        let model = self.plan.model();
        let mut values = tvec![];
        for ((tensor, port), outlet) in inputs.iter().zip(&self.inputs).zip(&model.inputs) {
            let volume: usize = tensor.shape.iter().product();
            if tensor.shape != port.shape || tensor.data.len() != volume {
                return Err(CompileError::Samples(format!(
                    "input `{}` has shape {:?}, the sample has {:?} with {} elements",
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

fn is_float(softmax: &Softmax) -> bool {
    softmax.quant_output_dt.is_none()
}

/// The operands, with indices that count from the end as indices: tract's own tuples of indices do not.
fn counted_from_start(node: &TypedNode, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
    let batches = match (node.op_as::<GatherNd>(), node.op_is::<ScatterNd>()) {
        (Some(op), _) => op.batch_dims,
        (None, true) => 0,
        (None, false) => return Ok(inputs),
    };
    let mut tuples = inputs[1].cast_to::<i64>()?.into_owned();
    let lens = &inputs[0].shape()[batches..];
    let depth = tuples.shape().last().copied().unwrap_or(0).min(lens.len());
    let mut plain = tuples.try_as_plain_ram_mut()?;
    for tuple in plain.as_slice_mut::<i64>()?.chunks_exact_mut(depth.max(1)) {
        for (index, len) in tuple.iter_mut().zip(lens) {
            let from_end = if *index < 0 { *len as i64 } else { 0 };
            *index += from_end;
            ensure!(
                (0..*len as i64).contains(index),
                "an index picks row {index} of {len}"
            );
        }
    }
    inputs[1] = tuples.into_tvalue();
    Ok(inputs)
}

/// Functions that tract does not have for double precision.
const SINGLE: &[&str] = &[
    "Erf",
    "GeluApproximate",
    "GeluExact",
    "HardSwish",
    "LeakyRelu",
    "PowConst",
    "RoundHalfToEven",
    "Sigmoid",
    "Silu",
];

fn in_single_precision(node: &TypedNode, inputs: &[TValue]) -> bool {
    let doubles = inputs
        .first()
        .is_some_and(|x| x.datum_type() == f64::datum_type());
    doubles && node.op_is::<ElementWiseOp>() && SINGLE.contains(&&*node.op().name())
}

/// A function of doubles, rounded to single precision before, unless it rounds itself.
fn single(node: &TypedNode, x: &TValue) -> TractResult<TVec<TValue>> {
    if node.op().name() == "RoundHalfToEven" {
        let mut rounded = from_tract(x)?;
        rounded
            .data
            .iter_mut()
            .for_each(|v| *v = v.round_ties_even());
        return Ok(tvec![to_tract(&rounded, f64::datum_type())?.into_tvalue()]);
    }
    let narrow = x.cast_to::<f32>()?.into_owned().into_tvalue();
    let made = node.op().eval_out_of_plan(tvec![narrow])?;
    let made = made.with_context(|| format!("{node} needs a plan"))?;
    let wide = made
        .iter()
        .map(|y| Ok(y.cast_to::<f64>()?.into_owned().into_tvalue()));
    wide.collect()
}

/// In double precision: tract's own softmax has no exponentials below `exp(-87)`, of which logarithms may be taken.
fn softmax(op: &Softmax, x: &TValue) -> TractResult<TVec<TValue>> {
    let made = interpret::softmax(&op.axes, &from_tract(x)?);
    Ok(tvec![to_tract(&made, x.datum_type())?.into_tvalue()])
}

/// A value that the float model computed.
pub(crate) struct Observed(TValue);

impl Observed {
    /// Its ranges, as a value of this shape.
    pub fn extent(&self, shape: &[usize]) -> Option<Extent> {
        let elements = f32s(&self.0)?;
        Some(Extent::of(shape, elements))
    }

    /// As one of our tensors.
    pub fn tensor(&self) -> Result<Tensor, String> {
        from_tract(&self.0).map_err(|e| e.to_string())
    }
}
