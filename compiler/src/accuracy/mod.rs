//! How many bits: the least that keep the integer program close to the float model on the calibration samples.

mod bench;
mod distance;
mod search;

pub use crate::accuracy::bench::{Accuracy, Line, Report, Uniform, Wanted, predicted_cost};
pub use crate::accuracy::distance::Figures;
pub use crate::accuracy::search::Calibration;
pub(crate) use crate::accuracy::search::{calibrate, measure};

use zkiln_runtime::trace::{self, Constants};

use crate::calibrate::ranges::synthetic_inputs;
use crate::error::CompileError;
use crate::graph::Tensor;
use crate::lower::lower;
use crate::options::Options;
use crate::prepare::Prepared;
use crate::program::Lowered;

/// Bits of activations and of weights, cheapest first.
const LADDER: [(u8, u8); 4] = [(12, 12), (12, 16), (14, 16), (16, 16)];
/// Greatest error, relative to an output's range, that is good enough.
const TARGET: f64 = 0.005;
/// Greatest error on the user's samples with which a model is compiled without being asked for by bits or settings.
const LIMIT: f64 = 0.05;
/// Samples that are compared.
const SAMPLES: usize = 4;

/// Lowers with the first bits of the ladder that meet the target, or else with the most faithful ones. Bits that the user or the settings chose are kept.
///
/// # Errors
/// As [`lower`]; [`CompileError::Unfaithful`] where even those stray far from the float model on the user's samples.
pub(crate) fn lower_faithfully(
    imported: &Prepared,
    options: &Options,
    name: &str,
) -> Result<Lowered, CompileError> {
    let chosen = options.activation_bits.is_some() || options.weight_bits.is_some();
    if chosen || options.settings.is_some() {
        return lower(&imported.graph, options, name);
    }
    let samples = samples(imported, options);
    let mut best: Option<(Greatest, Lowered)> = None;
    for (activation_bits, weight_bits) in LADDER {
        let options = Options {
            activation_bits: Some(activation_bits),
            weight_bits: Some(weight_bits),
            ..options.clone()
        };
        let lowered = match (lower(&imported.graph, &options, name), &best) {
            (Err(_), Some(_)) => continue,
            (lowered, _) => lowered?,
        };
        let error = greatest_error(&lowered, imported, &samples);
        tracing::debug!(activation_bits, weight_bits, error.single, "fidelity");
        if best
            .as_ref()
            .is_none_or(|(least, _)| error.single < least.single)
        {
            best = Some((error, lowered));
        }
        if error.single <= TARGET {
            break;
        }
    }
    match best {
        None => Err(CompileError::Plan("no choice of bits was tried".into())),
        Some((error, _)) if error.joint > LIMIT && !options.samples.is_empty() => {
            Err(CompileError::Unfaithful {
                error: error.joint,
                limit: LIMIT,
            })
        }
        Some((_, lowered)) => Ok(lowered),
    }
}

fn samples(imported: &Prepared, options: &Options) -> Vec<Vec<Tensor>> {
    if options.samples.is_empty() {
        return synthetic_inputs(&imported.graph, SAMPLES);
    }
    let tensor = |sample: &crate::ports::Sample| Tensor {
        shape: sample.shape.clone(),
        data: sample.data.clone(),
    };
    options
        .samples
        .iter()
        .take(SAMPLES)
        .map(|sample| sample.iter().map(tensor).collect())
        .collect()
}

/// Greatest difference from the float model over all outputs; infinite where the program refuses a sample.
#[derive(Clone, Copy)]
struct Greatest {
    /// Relative to the output's range in one sample.
    single: f64,
    /// Relative to the output's range over all samples.
    joint: f64,
}

fn greatest_error(lowered: &Lowered, imported: &Prepared, samples: &[Vec<Tensor>]) -> Greatest {
    let unknown = Greatest {
        single: f64::INFINITY,
        joint: f64::INFINITY,
    };
    let Ok(constants) = Constants::new(&lowered.model, &lowered.constants) else {
        return unknown;
    };
    let mut single: f64 = 0.0;
    let mut spans = vec![Span::default(); lowered.outputs.len()];
    let mut add = |sample: &Vec<Tensor>| -> Option<()> {
        let ports = sample.iter().zip(&lowered.inputs);
        let integers = ports.map(|(tensor, port)| port.to_integers(&tensor.data).ok());
        let integers: Vec<Vec<i64>> = integers.collect::<Option<_>>()?;
        let trace = trace::run(&lowered.model, &constants, &integers).ok()?;
        let got = trace.outputs(&lowered.model).ok()?;
        let expected = imported.float.run(sample).ok()?;
        let outputs = got.iter().zip(&lowered.outputs).zip(&expected);
        for (((got, port), expected), span) in outputs.zip(&mut spans) {
            let mut own = Span::default();
            own.add(got, port.scale, &expected.data);
            single = single.max(own.relative_error());
            span.add(got, port.scale, &expected.data);
        }
        Some(())
    };
    match samples.iter().all(|sample| add(sample).is_some()) {
        true => Greatest {
            single,
            joint: spans.iter().map(Span::relative_error).fold(0.0, f64::max),
        },
        false => unknown,
    }
}

/// What an output's elements show: their range in floats, and the greatest error. Infinities and NaN count for neither.
#[derive(Clone)]
struct Span {
    low: f64,
    high: f64,
    error: f64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            error: 0.0,
        }
    }
}

impl Span {
    fn add(&mut self, got: &[i64], scale: f64, expected: &[f64]) {
        for (&got, &expected) in got.iter().zip(expected).filter(|(_, e)| e.is_finite()) {
            self.low = self.low.min(expected);
            self.high = self.high.max(expected);
            self.error = self.error.max((got as f64 * scale - expected).abs());
        }
    }

    /// Where there is no range, the magnitude of the one value takes its place.
    fn relative_error(&self) -> f64 {
        let range = match self.high > self.low {
            true => self.high - self.low,
            false => self.high.abs(),
        };
        match self.error > 0.0 {
            true => self.error / range.max(f64::MIN_POSITIVE),
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    mod accepted;

    use crate::accuracy::*;

    #[test]
    fn errors_are_relative_to_the_range_over_all_samples() {
        let error = |runs: &[(&[i64], &[f64])], scale: f64| {
            let mut span = Span::default();
            runs.iter()
                .for_each(|(got, expected)| span.add(got, scale, expected));
            span.relative_error()
        };
        assert_eq!(error(&[(&[0, 5, 10], &[0.0, 0.5, 1.0])], 0.1), 0.0);
        assert!((error(&[(&[0, 6, 10], &[0.0, 0.5, 1.0])], 0.1) - 0.1).abs() < 1e-12);
        assert!((error(&[(&[3], &[2.0])], 1.0) - 0.5).abs() < 1e-12);
        assert!((error(&[(&[3], &[2.0]), (&[12], &[12.0])], 1.0) - 0.1).abs() < 1e-12);
        assert_eq!(error(&[(&[3, 1], &[f64::NEG_INFINITY, 1.0])], 1.0), 0.0);
    }
}
