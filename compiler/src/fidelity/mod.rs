//! How many bits: the least that keep the integer program close to the float model on the calibration samples.

mod bench;
mod distance;
mod search;

pub use bench::{Accuracy, Labelled, Line, Report, Uniform, Wanted, predicted_cost};
pub use distance::Figures;
pub use search::{Calibration, calibrate, measure};

use zkiln_runtime::trace::{self, Constants};

use crate::calibrate::synthetic_inputs;
use crate::graph::Tensor;
use crate::import::Imported;
use crate::lower::lower;
use crate::{CompileError, Lowered, Options};

/// Bits of activations and of weights, cheapest first.
const LADDER: [(u8, u8); 4] = [(12, 12), (12, 16), (14, 16), (16, 16)];
/// Greatest error, relative to an output's range, that is good enough.
const TARGET: f64 = 0.005;
/// Samples that are compared.
const SAMPLES: usize = 4;

/// Lowers with the first bits of the ladder that meet the target, or else with the most faithful ones. Bits that the user or the settings chose are kept.
///
/// # Errors
/// As [`lower`].
pub(crate) fn lower_faithfully(
    imported: &Imported,
    options: &Options,
    name: &str,
) -> Result<Lowered, CompileError> {
    let chosen = options.activation_bits.is_some() || options.weight_bits.is_some();
    if chosen || options.settings.is_some() {
        return lower(&imported.graph, options, name);
    }
    let samples = samples(imported, options);
    let mut best: Option<(f64, Lowered)> = None;
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
        tracing::debug!(activation_bits, weight_bits, error, "fidelity");
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, lowered));
        }
        if error <= TARGET {
            break;
        }
    }
    best.map(|(_, lowered)| lowered)
        .ok_or_else(|| CompileError::Plan("no choice of bits was tried".into()))
}

fn samples(imported: &Imported, options: &Options) -> Vec<Vec<Tensor>> {
    if options.samples.is_empty() {
        return synthetic_inputs(&imported.graph, SAMPLES);
    }
    let tensor = |sample: &crate::Sample| Tensor {
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

/// Greatest difference from the float model over all samples and outputs, relative to the output's range; infinite where the program refuses a sample.
fn greatest_error(lowered: &Lowered, imported: &Imported, samples: &[Vec<Tensor>]) -> f64 {
    let Ok(constants) = Constants::new(&lowered.model, &lowered.constants) else {
        return f64::INFINITY;
    };
    let error = |sample: &Vec<Tensor>| -> Option<f64> {
        let quantised = sample.iter().zip(&lowered.inputs);
        let integers: Vec<Vec<i64>> = quantised
            .map(|(tensor, port)| {
                tensor
                    .data
                    .iter()
                    .map(|x| (x / port.scale).round() as i64)
                    .collect()
            })
            .collect();
        let trace = trace::run(&lowered.model, &constants, &integers).ok()?;
        let got = trace.outputs(&lowered.model).ok()?;
        let expected = imported.float.run(sample).ok()?;
        let outputs = got.iter().zip(&lowered.outputs).zip(&expected);
        Some(
            outputs
                .map(|((got, port), expected)| relative_error(got, port.scale, &expected.data))
                .fold(0.0, f64::max),
        )
    };
    samples
        .iter()
        .map(|sample| error(sample).unwrap_or(f64::INFINITY))
        .fold(0.0, f64::max)
}

fn relative_error(got: &[i64], scale: f64, expected: &[f64]) -> f64 {
    let (low, high) = expected
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| {
            (low.min(x), high.max(x))
        });
    let range = if high > low {
        high - low
    } else {
        high.abs().max(f64::MIN_POSITIVE)
    };
    got.iter()
        .zip(expected)
        .map(|(&got, &expected)| (got as f64 * scale - expected).abs() / range)
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_range() {
        assert_eq!(relative_error(&[0, 5, 10], 0.1, &[0.0, 0.5, 1.0]), 0.0);
        assert!((relative_error(&[0, 6, 10], 0.1, &[0.0, 0.5, 1.0]) - 0.1).abs() < 1e-12);
        assert!((relative_error(&[3], 1.0, &[2.0]) - 0.5).abs() < 1e-12);
    }
}
