//! What several commands ask for.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use zkiln_compiler::salt::{self, Salt};
use zkiln_compiler::{Options, PortInfo, Sample, Settings, Visibility};

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
    /// What `zkiln calibrate` chose for this model: bits and ranges, in place of --samples, --activation-bits and --weight-bits
    #[arg(long, value_name = "FILE", conflicts_with_all = ["samples", "activation_bits", "weight_bits"])]
    pub settings: Option<PathBuf>,
    /// Clamp values that leave their calibrated range, and prove it, rather than refuse them
    #[arg(long)]
    pub saturate: bool,
    /// Bits of activations, 6 to 16 (default: the least that keep the samples' error below 0.5 % of the output's range)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(6..=16))]
    pub activation_bits: Option<u8>,
    /// Bits of weights, 4 to 16 (default: as for activations)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(4..=16))]
    pub weight_bits: Option<u8>,
    /// Who sees an input or output by its name, or all `inputs`, `outputs` or `weights`: public, private or committed (default: inputs
    /// private, outputs public, weights private); may be repeated
    #[arg(long, value_name = "NAME=VISIBILITY", value_parser = visibility)]
    pub visibility: Vec<(String, Visibility)>,
    /// The secret that hides the weights: the same one gives the same key again (default: MODEL.salt beside the model)
    #[arg(long, value_name = "FILE")]
    pub salt: Option<PathBuf>,
}

fn visibility(text: &str) -> Result<(String, Visibility), String> {
    let (name, visibility) = text
        .rsplit_once('=')
        .ok_or("expected NAME=VISIBILITY, got no `=`")?;
    Ok((name.to_owned(), visibility.parse()?))
}

/// `NAME=N`.
pub fn dimension(text: &str) -> Result<(String, usize), String> {
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
        let settings = self.settings.as_deref().map(Settings::from_path);
        Ok(Options {
            name: None,
            settings: settings.transpose()?,
            saturate: self.saturate,
            dimensions: self.dimensions.clone(),
            samples,
            activation_bits: self.activation_bits,
            weight_bits: self.weight_bits,
            visibility: self.visibility.clone(),
        })
    }

    fn salt_path(&self) -> PathBuf {
        let beside = || salt::beside(&self.model);
        self.salt.clone().unwrap_or_else(beside)
    }

    /// The salt for a key that others keep: its file is made if it is missing.
    pub fn kept_salt(&self, options: &Options) -> Result<Salt, CliError> {
        match options.weight_visibility() {
            Visibility::Public => Ok(Salt::default()),
            _ => Ok(salt::read_or_create(&self.salt_path())?),
        }
    }

    /// The salt, if there is one.
    pub fn known_salt(&self) -> Result<Option<Salt>, CliError> {
        let path = self.salt_path();
        let known = salt::read(&path)?;
        if known.is_none() && self.salt.is_some() {
            return Err(CliError::file(&path, "there is no such file"));
        }
        Ok(known)
    }

    /// The salt for a key that nobody keeps: nothing is written.
    pub fn passing_salt(&self) -> Result<Salt, CliError> {
        Ok(self.known_salt()?.unwrap_or_else(salt::ephemeral))
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

/// Writes a whole file that only its owner can read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| CliError::Write {
        file: path.display().to_string(),
        source,
    })
}

/// Reads a whole file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|e| CliError::file(path, format!("cannot be read: {e}")))
}

/// Reads a file that is of no use if it is longer than `most` bytes.
pub fn read_at_most(path: &Path, most: usize) -> Result<Vec<u8>, CliError> {
    let cannot = |e| CliError::file(path, format!("cannot be read: {e}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that it is too long.
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Bytes from hexadecimal digits.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(16 * digit(high)? + digit(low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        for bad in ["0", "0g", "ä", "+1"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn visibilities_are_names_and_words() {
        assert_eq!(visibility("x=public"), Ok(("x".into(), Visibility::Public)));
        let odd = Ok(("a=b".into(), Visibility::Committed));
        assert_eq!(visibility("a=b=committed"), odd);
        assert!(visibility("inputs").is_err() && visibility("inputs=secret").is_err());
    }

    #[test]
    fn dimensions_are_names_and_lengths() {
        assert_eq!(dimension("batch=4"), Ok(("batch".into(), 4)));
        for bad in ["batch", "batch=", "batch=0", "=3", "batch=-1"] {
            assert!(dimension(bad).is_err(), "{bad}");
        }
    }
}
