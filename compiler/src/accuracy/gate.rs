//! The gate: no program is compiled that strays from the float model on a sample.
//!
//! Unless bits or settings are given, the first bits of a ladder are taken whose program meets a target on every sample, or else those that
//! stray the least. Given or found, a program that strays beyond a limit is refused, and [`culprit`] says which node it is and why.

use rayon::prelude::*;
use zkiln_runtime::error::ProveError;

use crate::accuracy::culprit;
use crate::accuracy::deviation::{Deviation, Spans, Units};
use crate::accuracy::inference::Inference;
use crate::calibrate::ranges::synthetic_inputs;
use crate::error::CompileError;
use crate::graph::Tensor;
use crate::lower::lower;
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::Prepared;
use crate::program::Lowered;

/// Bits of activations and of weights, cheapest first.
pub const LADDER: [(u8, u8); 4] = [(12, 12), (12, 16), (14, 16), (16, 16)];
/// Errors that are good enough.
pub const TARGET: Errors = Errors {
    output: 0.005,
    channel: 0.1,
};
/// Greatest errors with which a model is compiled.
pub const LIMIT: Errors = Errors {
    output: 0.05,
    channel: 0.25,
};
/// Synthetic samples that are compared where there are none.
const SYNTHETIC: usize = 4;
/// About how many values the samples that run at a time may have together.
const AT_A_TIME: usize = 1 << 26;

/// Relative to the spread of an output in its sample, and to that of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    pub output: f64,
    pub channel: f64,
}

impl Errors {
    /// How many times the greater of both is what is allowed.
    fn severity(self, deviation: &Deviation) -> f64 {
        let channel = deviation.channel.map_or(0.0, |(share, _)| share);
        (deviation.share / self.output).max(channel / self.channel)
    }
}

/// What became of one sample.
#[derive(Debug)]
enum Seen {
    /// One deviation an output.
    Outputs(Vec<Deviation>),
    Refused(ProveError),
}

/// What is worst about a program.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It refuses a sample.
    Refused { sample: usize, error: ProveError },
    /// An output strays.
    Strays {
        sample: usize,
        output: usize,
        deviation: Deviation,
    },
}

/// The greatest error on the samples that were compared.
struct Judgement {
    /// 1 is what is allowed at most; infinite for a refused sample and for an integer that is another one.
    severity: f64,
    fault: Option<Fault>,
}

/// Lowers with the bits that are given, or else with the first of the ladder that meet the target, or with the most faithful ones.
///
/// # Errors
/// As [`lower`]; [`CompileError::Unfaithful`] where the program strays far from the float model on a sample.
pub(crate) fn lower_faithfully(
    prepared: &Prepared,
    options: &Options,
    name: &str,
) -> Result<Lowered, CompileError> {
    let gate = Gate::new(prepared, options, name)?;
    match gate.is_chosen() {
        // Random inputs are none that settings were measured on, or bits chosen for.
        true if options.samples.is_empty() => lower(&prepared.graph, options, name),
        true => gate.chosen(),
        false => gate.ladder(),
    }
}

/// A model with the samples that its programs have to be right on.
pub(crate) struct Gate<'a> {
    pub prepared: &'a Prepared,
    pub options: &'a Options,
    pub name: &'a str,
    pub samples: Vec<Vec<Tensor>>,
    units: Vec<Units>,
}

impl<'a> Gate<'a> {
    /// Runs the float model on all samples.
    fn new(
        prepared: &'a Prepared,
        options: &'a Options,
        name: &'a str,
    ) -> Result<Self, CompileError> {
        let mut samples = match options.samples.is_empty() {
            true => synthetic_inputs(&prepared.graph, SYNTHETIC),
            false => tensors(&options.samples),
        };
        let expected = |sample: &Vec<Tensor>| prepared.float.run(sample);
        let mut spans = Spans::of_outputs(prepared);
        let mut defined = Vec::new();
        // Block by block: outputs may be large.
        for (block, samples) in samples.chunks(BLOCK).enumerate() {
            let outputs: Vec<_> = samples.par_iter().map(expected).collect::<Result<_, _>>()?;
            for (at, outputs) in outputs.iter().enumerate() {
                let number = block * BLOCK + at;
                let undefined = outputs.iter().position(is_undefined);
                if let (Some(output), false) = (undefined, options.samples.is_empty()) {
                    return Err(culprit::undefined(prepared, &samples[at], number, output));
                }
                defined.push(undefined.is_none());
                if undefined.is_none() {
                    spans
                        .iter_mut()
                        .zip(outputs)
                        .for_each(|(span, output)| span.add(output));
                }
            }
        }
        let mut defined = defined.into_iter();
        samples.retain(|_| defined.next() == Some(true));
        Ok(Self {
            prepared,
            options,
            name,
            samples,
            units: spans.iter().map(Spans::units).collect(),
        })
    }

    /// Whether bits or settings are given.
    pub fn is_chosen(&self) -> bool {
        let Options {
            activation_bits,
            weight_bits,
            settings,
            ..
        } = self.options;
        activation_bits.is_some() || weight_bits.is_some() || settings.is_some()
    }

    /// The program with the bits of the options or of the settings.
    fn chosen(&self) -> Result<Lowered, CompileError> {
        let lowered = lower(&self.prepared.graph, self.options, self.name)?;
        let judgement = self.judge(&lowered, LIMIT)?;
        self.admit(lowered, self.options, judgement)
    }

    fn ladder(&self) -> Result<Lowered, CompileError> {
        let mut tried: Vec<(f64, Options)> = Vec::new();
        let mut first_error = None;
        for (activation_bits, weight_bits) in LADDER {
            let options = Options {
                activation_bits: Some(activation_bits),
                weight_bits: Some(weight_bits),
                ..self.options.clone()
            };
            let lowered = match lower(&self.prepared.graph, &options, self.name) {
                Ok(lowered) => lowered,
                Err(error) => {
                    first_error.get_or_insert(error);
                    continue;
                }
            };
            let Judgement { severity, .. } = self.judge(&lowered, TARGET)?;
            tracing::debug!(activation_bits, weight_bits, severity, "fidelity");
            if severity <= 1.0 {
                return Ok(lowered);
            }
            tried.push((severity, options));
        }
        if let (true, Some(error)) = (tried.is_empty(), first_error) {
            return Err(error);
        }
        // What strays least on the samples up to the first that misses the target may stray more on the others: so all of them, in order.
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut refusal = None;
        for (_, options) in &tried {
            let lowered = lower(&self.prepared.graph, options, self.name)?;
            let judgement = self.judge(&lowered, LIMIT)?;
            match self.admit(lowered, options, judgement) {
                Err(error) => refusal.get_or_insert(error),
                lowered => return lowered,
            };
        }
        Err(refusal.unwrap_or_else(|| CompileError::Plan("no choice of bits was tried".into())))
    }

    /// The program, if its errors are within the limit.
    fn admit(
        &self,
        lowered: Lowered,
        options: &Options,
        judgement: Judgement,
    ) -> Result<Lowered, CompileError> {
        match judgement.fault {
            Some(fault) if judgement.severity > 1.0 => Err(culprit::find(self, options, &fault)),
            _ => Ok(lowered),
        }
    }

    /// The greatest error, by what is `allowed`; it looks no further once that is exceeded.
    fn judge(&self, lowered: &Lowered, allowed: Errors) -> Result<Judgement, CompileError> {
        let inference = Inference::new(lowered)?;
        let mut judgement = Judgement {
            severity: 0.0,
            fault: None,
        };
        let at_a_time = AT_A_TIME / inference.values().max(1);
        let at_a_time = at_a_time.clamp(1, 2 * rayon::current_num_threads());
        for first in (0..self.samples.len()).step_by(at_a_time) {
            let block = first..self.samples.len().min(first + at_a_time);
            let seen: Vec<Seen> = (block.clone().into_par_iter())
                .map(|sample| self.see(&inference, sample))
                .collect::<Result<_, _>>()?;
            for (sample, seen) in block.zip(seen) {
                judgement.add(sample, seen, allowed);
            }
            if judgement.severity > 1.0 {
                break;
            }
        }
        Ok(judgement)
    }

    fn see(&self, inference: &Inference, sample: usize) -> Result<Seen, CompileError> {
        let inputs = &self.samples[sample];
        let got = match inference.run(inputs) {
            Ok(got) => got,
            Err(error) => return Ok(Seen::Refused(error)),
        };
        let expected = self.prepared.float.run(inputs)?;
        let outputs = self.units.iter().zip(&got).zip(&expected);
        let deviation = |((units, got), expected): ((&Units, &Vec<f64>), &Tensor)| {
            units.deviation(sample, got, &expected.data)
        };
        Ok(Seen::Outputs(outputs.map(deviation).collect()))
    }
}

/// Samples that the float model runs at a time.
const BLOCK: usize = 64;

impl Judgement {
    fn add(&mut self, sample: usize, seen: Seen, allowed: Errors) {
        let mut worse = |severity: f64, fault: Fault| {
            if severity > self.severity {
                (self.severity, self.fault) = (severity, Some(fault));
            }
        };
        match seen {
            Seen::Refused(error) => worse(f64::INFINITY, Fault::Refused { sample, error }),
            Seen::Outputs(deviations) => {
                for (output, deviation) in deviations.into_iter().enumerate() {
                    let severity = allowed.severity(&deviation);
                    let fault = Fault::Strays {
                        sample,
                        output,
                        deviation,
                    };
                    worse(severity, fault);
                }
            }
        }
    }
}

fn is_undefined(output: &Tensor) -> bool {
    output.data.iter().any(|x| !x.is_finite())
}

fn tensors(samples: &[Vec<Sample>]) -> Vec<Vec<Tensor>> {
    let tensor = |sample: &Sample| Tensor::new(sample.shape.clone(), sample.data.clone());
    let sample = |sample: &Vec<Sample>| sample.iter().map(tensor).collect();
    samples.iter().map(sample).collect()
}
