//! Files of sample inputs: one JSON object a line, `{"inputs":[{"name","dtype","shape","data"}]}`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::error::CompileError;
use crate::options::Sample;
use crate::ports::Port;

/// One line.
#[derive(Deserialize)]
struct Line {
    inputs: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    data: Vec<Element>,
}

/// JSON's numbers and booleans.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Number(f64),
    Boolean(bool),
}

impl From<Element> for f64 {
    fn from(element: Element) -> Self {
        match element {
            Element::Number(number) => number,
            Element::Boolean(boolean) => u8::from(boolean).into(),
        }
    }
}

/// Every sample of a file, its tensors in the order of `ports`. Empty lines are skipped.
///
/// # Errors
/// [`CompileError::Read`]; [`CompileError::Samples`] with the line that is wrong.
pub fn read(path: &Path, ports: &[Port]) -> Result<Vec<Vec<Sample>>, CompileError> {
    let unreadable = |source| CompileError::Read {
        path: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut samples = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(unreadable)?;
        if !line.trim().is_empty() {
            let wrong = |reason| {
                CompileError::Samples(format!("`{}`, line {number}: {reason}", path.display()))
            };
            samples.push(sample(&line, ports).map_err(wrong)?);
        }
    }
    Ok(samples)
}

fn sample(line: &str, ports: &[Port]) -> Result<Vec<Sample>, String> {
    let Line { mut inputs } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let sample = ports.iter().map(|port| {
        let place = inputs.iter().position(|tensor| tensor.name == port.name);
        let place = place.ok_or_else(|| format!("the input `{}` is missing", port.name))?;
        fit(inputs.swap_remove(place), port)
    });
    let sample = sample.collect::<Result<_, _>>()?;
    match inputs.first() {
        None => Ok(sample),
        Some(tensor) => Err(format!("the model has no input `{}` left", tensor.name)),
    }
}

fn fit(tensor: Tensor, port: &Port) -> Result<Sample, String> {
    let elements: usize = port.shape.iter().product();
    if tensor.shape != port.shape || tensor.data.len() != elements {
        return Err(format!(
            "the input `{}` has shape {:?}, not {:?} with {} elements",
            port.name,
            port.shape,
            tensor.shape,
            tensor.data.len()
        ));
    }
    Ok(Sample {
        shape: tensor.shape,
        data: tensor.data.into_iter().map(f64::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use crate::calibrate::samples::*;
    use crate::graph::Dtype;

    fn ports() -> Vec<Port> {
        let port = |name: &str, dtype, shape: &[usize]| Port {
            name: name.into(),
            dtype,
            shape: shape.into(),
        };
        vec![
            port("x", Dtype::Float32, &[1, 2]),
            port("mask", Dtype::Bool, &[2]),
        ]
    }

    #[test]
    fn tensors_are_found_by_name() {
        let line = r#"{"inputs":[{"name":"mask","dtype":"bool","shape":[2],"data":[true,0]},
            {"name":"x","dtype":"float32","shape":[1,2],"data":[0.5,-3]}]}"#;
        let sample = sample(line, &ports()).expect("fits");
        let data: Vec<_> = sample.into_iter().map(|tensor| tensor.data).collect();
        assert_eq!(data, [[0.5, -3.0], [1.0, 0.0]]);
    }

    #[test]
    fn lines_that_do_not_fit_say_why() {
        let x = r#"{"name":"x","shape":[1,2],"data":[0,0]}"#;
        let mask = r#"{"name":"mask","shape":[2],"data":[0,0]}"#;
        for (tensors, reason) in [
            (x.to_string(), "the input `mask` is missing"),
            (format!("{x},{x},{mask}"), "the model has no input `x` left"),
            (
                format!("{x},{}", mask.replace("[2]", "[3]")),
                "the input `mask` has shape [2], not [3] with 2 elements",
            ),
        ] {
            let line = format!(r#"{{"inputs":[{tensors}]}}"#);
            assert_eq!(sample(&line, &ports()).map(|_| ()), Err(reason.into()));
        }
        assert!(sample("{", &ports()).is_err());
    }

    #[test]
    fn files_are_read_line_by_line() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("samples.jsonl");
        let line = r#"{"inputs":[{"name":"x","shape":[1,2],"data":[1,2]}]}"#;
        std::fs::write(&path, format!("{line}\n\n{line}\n")).expect("written");
        let x = &ports()[..1];
        assert_eq!(read(&path, x).expect("fits").len(), 2);
        std::fs::write(&path, format!("{line}\n{{}}\n")).expect("written");
        let error = read(&path, x).expect_err("no inputs").to_string();
        assert!(error.contains("samples.jsonl`, line 2"), "{error}");
        assert!(matches!(
            read(&folder.path().join("none"), x),
            Err(CompileError::Read { .. })
        ));
    }
}
