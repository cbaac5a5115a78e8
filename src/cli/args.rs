//! What several commands ask for.

use std::io::Read;
use std::path::{Path, PathBuf};

use zkiln_compiler::blinding_key::{self, BlindingKey};
use zkiln_compiler::compile::Request;
use zkiln_compiler::tensors::{self, Finite, Side};
use zkiln_compiler::text::unhex;
use zkiln_compiler::{Frozen, Objective, Options, Port, PortInfo, Visibility};

use super::engine::{Context, Program};
use super::error::CliError;
use super::terminal::note_guesses;

/// A model and how to compile it.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The ONNX file; where a compiled model is enough, also the folder that `zkiln compile` wrote
    pub model: PathBuf,
    /// Length of a symbolic dimension (1 unless given); may be repeated
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dimension)]
    pub dimensions: Vec<(String, usize)>,
    /// Make an input a constant: a number, for all its elements, a list as in JSON, or a file of an array (`.npy`); may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = frozen)]
    pub freeze: Vec<(String, FrozenInput)>,
    /// Sample inputs that the value ranges are calibrated on, one JSON object a line (default: seeded random inputs)
    #[arg(long, value_name = "FILE.jsonl")]
    pub samples: Option<PathBuf>,
    /// What `zkiln calibrate` chose for this model: bits and ranges, in place of --samples, --activation-bits and --weight-bits
    #[arg(long, value_name = "FILE", conflicts_with_all = ["samples", "activation_bits", "weight_bits"])]
    pub settings: Option<PathBuf>,
    /// Clamp values that leave their calibrated range, and prove it, rather than refuse them
    #[arg(long)]
    pub saturate: bool,
    /// What proofs are to be good for: time, or size
    #[arg(long, value_name = "OBJECTIVE", default_value = "time")]
    pub objective: Objective,
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
    /// The secret that hides the weights: the same one gives the same verifier key again (default: MODEL.blinding beside the model)
    #[arg(long, value_name = "FILE")]
    pub blinding_key: Option<PathBuf>,
}

fn visibility(text: &str) -> Result<(String, Visibility), String> {
    let (name, visibility) = text
        .rsplit_once('=')
        .ok_or("expected NAME=VISIBILITY, got no `=`")?;
    Ok((name.to_owned(), visibility.parse()?))
}

/// What an input is frozen to.
#[derive(Clone, Debug, PartialEq)]
pub enum FrozenInput {
    /// The value itself.
    Value(Frozen),
    /// A file of it.
    File(PathBuf),
}

/// `NAME=VALUE`.
pub fn frozen(text: &str) -> Result<(String, FrozenInput), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, got no `=`")?;
    let value = match value.ends_with(".npy") {
        true => FrozenInput::File(value.into()),
        false => FrozenInput::Value(value.parse()?),
    };
    Ok((name.to_owned(), value))
}

/// Adds inputs that are frozen to a request.
pub fn freeze(request: &mut Request, inputs: &[(String, FrozenInput)]) {
    for (name, value) in inputs.iter().cloned() {
        match value {
            FrozenInput::Value(value) => request.options.frozen.push((name, value)),
            FrozenInput::File(path) => request.frozen.push((name, path)),
        }
    }
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

    /// What the compiler is asked for.
    pub fn request(&self) -> Request {
        let mut request = Request {
            options: Options {
                saturate: self.saturate,
                objective: self.objective,
                dimensions: self.dimensions.clone(),
                activation_bits: self.activation_bits,
                weight_bits: self.weight_bits,
                visibility: self.visibility.clone(),
                ..Options::default()
            },
            samples: self.samples.iter().cloned().collect(),
            settings: self.settings.clone(),
            blinding_key: self.blinding_key.clone(),
            ..Request::new(&self.model)
        };
        freeze(&mut request, &self.freeze);
        request
    }

    /// The same for this file of inputs: symbolic dimensions have its lengths, where no option says others.
    pub fn request_for(&self, inputs: &Path) -> Request {
        let mut request = self.request();
        request.options.shapes = tensors::shapes(inputs).unwrap_or_default();
        request
    }

    /// The program of a folder that `zkiln compile` wrote, if that is what is given.
    ///
    /// # Errors
    /// [`CliError::File`] if it comes with options, which could have no effect.
    pub fn compiled(&self) -> Result<Option<Program>, CliError> {
        if !self.model.is_dir() {
            return Ok(None);
        }
        let given = [
            ("--dim", !self.dimensions.is_empty()),
            ("--freeze", !self.freeze.is_empty()),
            ("--samples", self.samples.is_some()),
            ("--settings", self.settings.is_some()),
            ("--saturate", self.saturate),
            ("--objective", self.objective != Objective::default()),
            ("--activation-bits", self.activation_bits.is_some()),
            ("--weight-bits", self.weight_bits.is_some()),
            ("--visibility", !self.visibility.is_empty()),
            ("--blinding-key", self.blinding_key.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            return Err(CliError::file(
                &self.model,
                format!(
                    "it is a compiled model, which {option} cannot change: give it to `zkiln compile`"
                ),
            ));
        }
        Program::read(&self.model).map(Some)
    }

    /// The program, compiled now unless it is a folder that `zkiln compile` wrote, and what `read` reads for its inputs before anything is
    /// compiled; it is never calibrated on that, but for the lengths of symbolic dimensions. `key` gives the blinding key.
    pub fn program<T>(
        &self,
        inputs: Option<&Path>,
        key: impl FnOnce(&Self) -> Result<BlindingKey, CliError>,
        read: impl FnOnce(&[Port]) -> Result<T, CliError>,
    ) -> Result<(Program, T), CliError> {
        let (program, read) = match self.compiled()? {
            Some(program) => {
                let ports: Vec<Port> = program.inputs().iter().map(PortInfo::port).collect();
                let read = read(&ports)?;
                (program, read)
            }
            None => {
                let source = inputs
                    .map_or_else(|| self.request(), |path| self.request_for(path))
                    .read()?;
                let read = read(source.inputs())?;
                let compiled = source.prepare()?.compile(&key(self)?)?;
                (Program::new(compiled, &self.file_name())?, read)
            }
        };
        note_guesses(program.ranges());
        Ok((program, read))
    }

    /// The blinding key for a verifier key that others keep: its file is made if it is missing.
    pub fn kept_blinding_key(&self) -> Result<BlindingKey, CliError> {
        Ok(self.request().blinding_key()?)
    }

    /// The blinding key, if there is one.
    pub fn known_blinding_key(&self) -> Result<Option<BlindingKey>, CliError> {
        let path = self.request().blinding_key_path();
        let known = blinding_key::read(&path)?;
        if known.is_none() && self.blinding_key.is_some() {
            return Err(CliError::file(&path, "there is no such file"));
        }
        Ok(known)
    }

    /// The blinding key for a verifier key that nobody keeps: nothing is written.
    pub fn passing_blinding_key(&self) -> Result<BlindingKey, CliError> {
        Ok(self
            .known_blinding_key()?
            .unwrap_or_else(blinding_key::ephemeral))
    }
}

/// One set of inputs from a file of any format.
pub fn read_inputs(path: &Path, ports: &[Port]) -> Result<Vec<Vec<f64>>, CliError> {
    read(path, ports, Side::Inputs, Finite::Required)
}

/// Expected outputs from a file of any format.
pub fn read_outputs(path: &Path, ports: &[Port]) -> Result<Vec<Vec<f64>>, CliError> {
    read(path, ports, Side::Outputs, Finite::Any)
}

fn read(
    path: &Path,
    ports: &[Port],
    side: Side,
    finite: Finite,
) -> Result<Vec<Vec<f64>>, CliError> {
    let read = tensors::read(path, side)?;
    let file = path.display().to_string();
    Ok(tensors::fit(read, ports, &file, finite)?)
}

/// A context as hexadecimal digits.
pub fn context(digits: &str) -> Result<Context, String> {
    let context = unhex(digits).and_then(|bytes| Context::new(&bytes));
    context.ok_or_else(|| "expected up to 64 hexadecimal digits, two a byte".into())
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
    zkiln_compiler::write_secret(path, bytes).map_err(|source| CliError::Write {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visibilities_are_names_and_words() {
        assert_eq!(visibility("x=public"), Ok(("x".into(), Visibility::Public)));
        let odd = Ok(("a=b".into(), Visibility::Committed));
        assert_eq!(visibility("a=b=committed"), odd);
        assert!(visibility("inputs").is_err() && visibility("inputs=secret").is_err());
    }

    #[test]
    fn contexts_are_up_to_32_bytes() {
        assert_eq!(context(""), Ok(Context::default()));
        assert_eq!(context("00fF"), Ok(Context::new(&[0, 255]).unwrap()));
        assert!(context(&"00".repeat(32)).is_ok());
        for bad in ["0", "0x00", "g0", &"00".repeat(33)] {
            assert!(context(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn inputs_are_frozen_to_values_and_files() {
        let value = |text: &str| text.parse().map(FrozenInput::Value);
        assert_eq!(frozen("sr=16000"), value("16000").map(|v| ("sr".into(), v)));
        assert_eq!(
            frozen("m=[[1, 0]]"),
            value("[[1, 0]]").map(|v| ("m".into(), v))
        );
        let file = FrozenInput::File("a.npy".into());
        assert_eq!(frozen("m=a.npy"), Ok(("m".into(), file)));
        assert!(frozen("sr").is_err() && frozen("sr=fast").is_err());
    }

    #[test]
    fn dimensions_are_names_and_lengths() {
        assert_eq!(dimension("batch=4"), Ok(("batch".into(), 4)));
        for bad in ["batch", "batch=", "batch=0", "=3", "batch=-1"] {
            assert!(dimension(bad).is_err(), "{bad}");
        }
    }
}
