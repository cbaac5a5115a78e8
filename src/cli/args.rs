//! What several commands ask for.

use std::path::{Path, PathBuf};

use zkiln_compiler::{Options, PortInfo, Sample};

use super::error::CliError;
use crate::tensors::{self, Finite, Side};

/// A model and how to compile it.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The ONNX file
    pub model: PathBuf,
    /// Length of a symbolic dimension (1 unless given); may be repeated
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dimension)]
    pub dimensions: Vec<(String, usize)>,
    /// Sample inputs that the value ranges are calibrated on, one JSON object a line (default: seeded random inputs)
    #[arg(long, value_name = "FILE.jsonl")]
    pub samples: Option<PathBuf>,
    /// Bits of activations, 6 to 16 (default: 12)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(6..=16))]
    pub activation_bits: Option<u8>,
    /// Bits of weights, 4 to 16 (default: 12)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(4..=16))]
    pub weight_bits: Option<u8>,
}

fn dimension(text: &str) -> Result<(String, usize), String> {
    let (name, len) = text.split_once('=').ok_or("expected NAME=N, got no `=`")?;
    match len.parse() {
        Ok(len) if len > 0 && !name.is_empty() => Ok((name.to_owned(), len)),
        _ => Err(format!("expected NAME=N with N at least 1, got `{text}`")),
    }
}

impl ModelArgs {
    /// The model's file name, for people.
    pub fn file_name(&self) -> String {
        let name = self.model.file_name().unwrap_or(self.model.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// What the compiler wants to know; `ports` are the model's inputs.
    pub fn options(&self, ports: &[PortInfo]) -> Result<Options, CliError> {
        let mut samples = Vec::new();
        if let Some(path) = &self.samples {
            for line in tensors::lines(path, Side::Inputs)? {
                let (place, read) = line?;
                let data = tensors::fit(read, ports, &place, Finite::Required)?;
                samples.push(sample(ports, &data));
            }
            if samples.is_empty() {
                return Err(CliError::file(
                    path,
                    "expected at least one sample, got none",
                ));
            }
        }
        Ok(Options {
            name: None,
            dimensions: self.dimensions.clone(),
            samples,
            activation_bits: self.activation_bits,
            weight_bits: self.weight_bits,
        })
    }
}

/// Inputs as the compiler takes them for calibration.
pub fn sample(ports: &[PortInfo], data: &[Vec<f64>]) -> Vec<Sample> {
    let tensors = ports.iter().zip(data);
    tensors
        .map(|(port, data)| Sample {
            shape: port.shape.clone(),
            data: data.clone(),
        })
        .collect()
}

/// One set of inputs from a file of any format.
pub fn read_inputs(path: &Path, ports: &[PortInfo]) -> Result<Vec<Vec<f64>>, CliError> {
    read(path, ports, Side::Inputs, Finite::Required)
}

/// Expected outputs from a file of any format.
pub fn read_outputs(path: &Path, ports: &[PortInfo]) -> Result<Vec<Vec<f64>>, CliError> {
    read(path, ports, Side::Outputs, Finite::Any)
}

fn read(
    path: &Path,
    ports: &[PortInfo],
    side: Side,
    finite: Finite,
) -> Result<Vec<Vec<f64>>, CliError> {
    let read = tensors::read(path, side)?;
    let file = path.display().to_string();
    Ok(tensors::fit(read, ports, &file, finite)?)
}

/// Writes a whole file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, bytes).map_err(|source| CliError::Write {
        file: path.display().to_string(),
        source,
    })
}

/// Reads a whole file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|e| CliError::file(path, format!("cannot be read: {e}")))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_names_and_lengths() {
        assert_eq!(dimension("batch=4"), Ok(("batch".into(), 4)));
        for bad in ["batch", "batch=", "batch=0", "=3", "batch=-1"] {
            assert!(dimension(bad).is_err(), "{bad}");
        }
    }
}
