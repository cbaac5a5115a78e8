//! Files of tensors, of inputs and of samples: JSON (ours and EZKL's), JSON lines, NumPy's `.npy` and `.npz`.
//!
//! A file is read into [`FileTensor`]s, which say only what the file says; [`fit`] then holds them against the
//! model's ports. Elements are `f64` throughout, row-major, like everywhere before quantization.

mod fault;
mod fit;
mod json;
mod numpy;

use std::path::Path;

use serde::Deserialize;

use crate::frozen::Frozen;
use crate::graph::Dtype;
use crate::ports::Port;
use crate::ports::Sample;

pub use crate::tensors::fault::TensorError;
pub use crate::tensors::fit::{Finite, fit};
pub use crate::tensors::json::{OutData, OutTensor, document, lines};

/// Which side of a model a file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Keys `inputs` or `input_data`.
    Inputs,
    /// Keys `outputs` or `output_data`.
    Outputs,
}

/// A tensor as a file has it; what the file leaves out is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    /// Name of the model's port.
    pub name: Option<String>,
    /// Kind of elements.
    pub dtype: Option<Dtype>,
    /// Lengths of the axes.
    pub shape: Option<Vec<usize>>,
    /// Row-major elements.
    pub data: Vec<f64>,
}

/// Reads a file whose format its name tells: `.npy`, `.npz`, and JSON for all others.
pub fn read(path: &Path, side: Side) -> Result<Vec<FileTensor>, TensorError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| TensorError::Read {
        file: file.clone(),
        source,
    })?;
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => Ok(vec![numpy::array(&bytes, &file)?]),
        Some("npz") => numpy::archive(&bytes, &file),
        _ => json::document(&bytes, &file, side),
    }
}

/// The array of an `.npy` file, as the value of an input.
///
/// # Errors
/// [`TensorError`] for what is no such file.
pub fn array(path: &Path) -> Result<Frozen, TensorError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| TensorError::Read {
        file: file.clone(),
        source,
    })?;
    let FileTensor { shape, data, .. } = numpy::array(&bytes, &file)?;
    Ok(Frozen { shape, data })
}

/// An element type by ONNX's or NumPy's name.
fn dtype_named(name: &str) -> Option<Dtype> {
    let named = |dtype: &Dtype| dtype.name() == name;
    match name {
        "float16" | "bfloat16" | "float64" | "float" | "double" => Some(Dtype::Float32),
        _ => Dtype::ALL.into_iter().find(named),
    }
}

/// A sample, and what the model should say of it.
#[derive(Clone, Debug)]
pub struct LabelledSample {
    /// One tensor an input.
    pub inputs: Vec<Sample>,
    /// The index that should be greatest in the first output, one a row.
    pub label: Option<Vec<usize>>,
}

/// Name, if there is one, and shape.
pub type Named = (Option<String>, Vec<usize>);

/// Names and shapes of the inputs of a file, or of its first line.
///
/// # Errors
/// [`TensorError`] for what is no such file.
pub fn shapes(path: &Path) -> Result<Vec<Named>, TensorError> {
    let tensors = match path.extension().and_then(|e| e.to_str()) {
        Some("jsonl") => match lines(path, Side::Inputs)?.next() {
            Some(line) => line?.tensors,
            None => Vec::new(),
        },
        _ => read(path, Side::Inputs)?,
    };
    let known = tensors
        .into_iter()
        .map(|tensor| (tensor.name, tensor.shape.unwrap_or_default()));
    Ok(known.collect())
}

/// Every sample of a file, one JSON object a line, its tensors in the order of `ports`.
///
/// # Errors
/// [`TensorError`] with the line that is wrong; also for a file without samples.
pub fn samples(path: &Path, ports: &[Port]) -> Result<Vec<Vec<Sample>>, TensorError> {
    let sample = |line: Line| line.sample(ports);
    every(path, sample)
}

/// As [`samples`], with their labels: a line may have a `"label"` beside its `"inputs"`, an index or a list of them.
///
/// # Errors
/// As [`samples`]; also for a label that is something else.
pub fn labelled_samples(path: &Path, ports: &[Port]) -> Result<Vec<LabelledSample>, TensorError> {
    every(path, |line| {
        let label = line.label.clone().map(serde_json::from_value::<Label>);
        let label = label.transpose();
        let label = label.map_err(|error| TensorError::format(&line.place, error))?;
        Ok(LabelledSample {
            inputs: line.sample(ports)?,
            label: label.map(Into::into),
        })
    })
}

fn every<T>(
    path: &Path,
    sample: impl Fn(Line) -> Result<T, TensorError>,
) -> Result<Vec<T>, TensorError> {
    let lines = lines(path, Side::Inputs)?;
    let samples = lines.map(|line| sample(line?));
    let samples: Vec<T> = samples.collect::<Result<_, _>>()?;
    if samples.is_empty() {
        let file = path.display().to_string();
        return Err(TensorError::format(
            &file,
            "expected at least one sample, got none",
        ));
    }
    Ok(samples)
}

/// Elements of every port as a sample.
pub fn sample(ports: &[Port], elements: &[Vec<f64>]) -> Vec<Sample> {
    let tensor = |(port, data): (&Port, &Vec<f64>)| Sample {
        shape: port.shape.clone(),
        data: data.clone(),
    };
    ports.iter().zip(elements).map(tensor).collect()
}

/// One line of a file of many inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `FILE:LINE`.
    pub place: String,
    /// Its tensors.
    pub tensors: Vec<FileTensor>,
    /// Its label, if it has one, as the file has it: only calibration reads labels.
    pub label: Option<serde_json::Value>,
}

impl Line {
    fn sample(self, ports: &[Port]) -> Result<Vec<Sample>, TensorError> {
        let elements = fit(self.tensors, ports, &self.place, Finite::Required)?;
        Ok(sample(ports, &elements))
    }
}

/// A label as files have it.
#[derive(Deserialize)]
#[serde(untagged)]
#[serde(expecting = "a label is an index or a list of them")]
enum Label {
    One(usize),
    Rows(Vec<usize>),
}

impl From<Label> for Vec<usize> {
    fn from(label: Label) -> Self {
        match label {
            Label::One(index) => vec![index],
            Label::Rows(rows) => rows,
        }
    }
}
