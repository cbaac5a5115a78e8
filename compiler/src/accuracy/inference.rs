//! The integer program on float inputs, without proofs: exactly what would be proved.

use zkiln_runtime::error::ProveError;
use zkiln_runtime::trace::{self, Constants};

use crate::error::CompileError;
use crate::graph::Tensor;
use crate::program::{Lowered, NodeReport, in_reals};

/// A program with its constants laid out, to be run many times.
pub struct Inference<'a> {
    lowered: &'a Lowered,
    constants: Constants,
}

impl<'a> Inference<'a> {
    /// # Errors
    /// [`CompileError::Plan`] where constants and model do not fit, which is a fault of ours.
    pub fn new(lowered: &'a Lowered) -> Result<Self, CompileError> {
        let constants = Constants::new(&lowered.model, &lowered.constants);
        Ok(Self {
            lowered,
            constants: constants.map_err(|error| CompileError::Plan(error.to_string()))?,
        })
    }

    /// The outputs as real numbers.
    ///
    /// # Errors
    /// What the program refuses about the inputs.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Vec<f64>>, ProveError> {
        let lines = self.lowered.report.iter();
        self.evaluate(inputs)
            .map_err(|error| in_reals(error, lines.filter_map(NodeReport::meaning)))
    }

    fn evaluate(&self, inputs: &[Tensor]) -> Result<Vec<Vec<f64>>, ProveError> {
        let Lowered {
            model,
            inputs: ports,
            outputs,
            ..
        } = self.lowered;
        let pairs = inputs.iter().zip(ports);
        let integers = pairs.map(|(tensor, port)| port.to_integers(&tensor.data));
        let integers = integers.collect::<Result<Vec<_>, _>>()?;
        let trace = trace::evaluate(model, &self.constants, &integers)?;
        let integers = trace.outputs(model)?;
        let pairs = outputs.iter().zip(&integers);
        Ok(pairs
            .map(|(port, integers)| port.to_reals(integers))
            .collect())
    }

    /// How many values one run computes and keeps.
    pub fn values(&self) -> usize {
        let columns = self.lowered.model.columns.iter();
        let len = |shape: &[u32]| shape.iter().map(|&len| len as usize).product::<usize>();
        columns.map(|column| len(&column.shape)).sum()
    }
}
