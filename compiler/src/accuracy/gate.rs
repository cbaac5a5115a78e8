//! The gate: no program is compiled that strays from the float model on a sample.
//!
//! Unless bits or settings are given, the first bits of a ladder are taken whose program meets a target on every sample, or else those that
//! stray the least. Given or found, a program that strays beyond a limit is refused, and [`culprit`] says which node it is and why.
//!
//! An input quieter than every sample is accepted as well, and where the samples saturate a function, quiet ones do not: bits that are right
//! on all samples may be too few for them. So the ladder is climbed until *quiet* copies of some samples meet the target too. They refuse
//! nothing, since such inputs may never be; but their error is stated, as that of the samples is ([`Fidelity`]).

use rayon::prelude::*;
use zkiln_runtime::error::ProveError;

use crate::accuracy::culprit;
use crate::accuracy::deviation::{Deviation, Spans, Units};
use crate::accuracy::inference::Inference;
use crate::calibrate::ranges::synthetic_inputs;
use crate::error::CompileError;
use crate::graph::{Dtype, Tensor};
use crate::lower::lower;
use crate::options::Options;
use crate::ports::{Port, Sample};
use crate::prepare::Prepared;
use crate::program::{Fidelity, Lowered};

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
/// By what the floats of samples are multiplied to be quiet, in turns.
const QUIET: [f64; 2] = [0.25, 0.1];
/// Samples of which there are quiet copies.
const MOST_QUIET: usize = 8;
/// Bits whose errors on quiet samples are within so many times the least are as good: decisions on floats may fall otherwise at any bits.
const AS_GOOD: f64 = 1.5;
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
    /// Relative to the output's spread in its sample.
    greatest: f64,
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
    let (lowered, fidelity) = match gate.is_chosen() {
        // Random inputs are none that settings were measured on, or bits chosen for.
        true if options.samples.is_empty() => return lower(&prepared.graph, options, name),
        true => gate.chosen()?,
        false => gate.ladder()?,
    };
    Ok(Lowered {
        fidelity: (!options.samples.is_empty()).then_some(fidelity),
        ..lowered
    })
}

/// A model with the samples that its programs have to be right on.
pub(crate) struct Gate<'a> {
    pub prepared: &'a Prepared,
    pub options: &'a Options,
    pub name: &'a str,
    pub samples: Vec<Vec<Tensor>>,
    units: Vec<Units>,
    /// Quiet copies of some samples.
    quiet: Vec<Vec<Tensor>>,
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
            quiet: match options.samples.is_empty() {
                true => Vec::new(),
                false => quiet(prepared, &samples),
            },
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
    fn chosen(&self) -> Result<(Lowered, Fidelity), CompileError> {
        let lowered = lower(&self.prepared.graph, self.options, self.name)?;
        let judgement = self.judge(&lowered, LIMIT)?;
        self.admit(lowered, self.options, judgement)
    }

    fn ladder(&self) -> Result<(Lowered, Fidelity), CompileError> {
        let mut tried: Vec<(f64, Options)> = Vec::new();
        let mut right_on_samples: Vec<(Fidelity, Options)> = Vec::new();
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
            let Judgement {
                severity, greatest, ..
            } = self.judge(&lowered, TARGET)?;
            tracing::debug!(activation_bits, weight_bits, severity, "fidelity");
            if severity > 1.0 {
                tried.push((severity, options));
                continue;
            }
            let quiet = self.error_on_quiet(&lowered)?;
            tracing::debug!(
                activation_bits,
                weight_bits,
                quiet,
                "fidelity on quiet inputs"
            );
            let fidelity = Fidelity {
                samples: greatest,
                quiet,
            };
            if quiet.is_none_or(|quiet| quiet <= TARGET.output) {
                return Ok((lowered, fidelity));
            }
            right_on_samples.push((fidelity, options));
        }
        if let Some((fidelity, options)) = cheapest(&right_on_samples) {
            let lowered = lower(&self.prepared.graph, options, self.name)?;
            return Ok((lowered, *fidelity));
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
    ) -> Result<(Lowered, Fidelity), CompileError> {
        match judgement.fault {
            Some(fault) if judgement.severity > 1.0 => Err(culprit::find(self, options, &fault)),
            _ => {
                let fidelity = Fidelity {
                    samples: judgement.greatest,
                    quiet: self.error_on_quiet(&lowered)?,
                };
                Ok((lowered, fidelity))
            }
        }
    }

    /// The greatest error, by what is `allowed`; it looks no further once that is exceeded.
    fn judge(&self, lowered: &Lowered, allowed: Errors) -> Result<Judgement, CompileError> {
        let inference = Inference::new(lowered)?;
        let mut judgement = Judgement {
            greatest: 0.0,
            severity: 0.0,
            fault: None,
        };
        let at_a_time = at_a_time(&inference);
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

    /// The greatest error on quiet inputs, of those that neither the float model nor the program refuses; none if there are none.
    fn error_on_quiet(&self, lowered: &Lowered) -> Result<Option<f64>, CompileError> {
        let inference = Inference::new(lowered)?;
        let error = |inputs: &Vec<Tensor>| {
            let expected = self.prepared.float.run(inputs).ok()?;
            let got = inference.run(inputs).ok()?;
            let outputs = self.units.iter().zip(&got).zip(&expected);
            let shares =
                outputs.map(|((units, got), expected)| units.typical_share(got, &expected.data));
            Some(shares.fold(0.0, f64::max))
        };
        let blocks = self.quiet.chunks(at_a_time(&inference));
        let worst = |block: &[Vec<Tensor>]| {
            let errors = block.par_iter().filter_map(error);
            errors.reduce_with(f64::max)
        };
        Ok(blocks.filter_map(worst).reduce(f64::max))
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

/// How many samples run at a time.
fn at_a_time(inference: &Inference) -> usize {
    let most = AT_A_TIME / inference.values().max(1);
    most.clamp(1, 2 * rayon::current_num_threads())
}

/// The first of all that are about as good as the best.
fn cheapest(tried: &[(Fidelity, Options)]) -> Option<&(Fidelity, Options)> {
    let error = |(fidelity, _): &(Fidelity, Options)| fidelity.quiet.unwrap_or(0.0);
    let least = tried.iter().map(error).reduce(f64::min)?;
    tried.iter().find(|tried| error(tried) <= AS_GOOD * least)
}

/// Quiet copies of some samples: none if no input is a float.
fn quiet(prepared: &Prepared, samples: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
    let ports = &prepared.float.inputs;
    if ports.iter().all(|port| port.dtype != Dtype::Float32) {
        return Vec::new();
    }
    let copy = |(sample, factor): (&Vec<Tensor>, &f64)| {
        let scaled = |(tensor, port): (&Tensor, &Port)| match port.dtype {
            Dtype::Float32 => {
                let data = tensor.data.iter().map(|x| x * factor);
                Tensor::new(tensor.shape.clone(), data.collect())
            }
            _ => tensor.clone(),
        };
        sample.iter().zip(ports).map(scaled).collect()
    };
    let factors = QUIET.iter().cycle();
    let some = samples
        .iter()
        .step_by(samples.len().div_ceil(MOST_QUIET).max(1));
    some.zip(factors).map(copy).collect()
}

/// Samples that the float model runs at a time.
const BLOCK: usize = 64;

impl Judgement {
    fn add(&mut self, sample: usize, seen: Seen, allowed: Errors) {
        match seen {
            Seen::Refused(error) => self.worse(f64::INFINITY, Fault::Refused { sample, error }),
            Seen::Outputs(deviations) => {
                for (output, deviation) in deviations.into_iter().enumerate() {
                    self.greatest = self.greatest.max(deviation.share);
                    let severity = allowed.severity(&deviation);
                    let fault = Fault::Strays {
                        sample,
                        output,
                        deviation,
                    };
                    self.worse(severity, fault);
                }
            }
        }
    }
}

impl Judgement {
    fn worse(&mut self, severity: f64, fault: Fault) {
        if severity > self.severity {
            (self.severity, self.fault) = (severity, Some(fault));
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
