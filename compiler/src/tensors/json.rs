//! Tensors in JSON.
//!
//! ```json
//! {"inputs":  [{"name": "x", "dtype": "float32", "shape": [1, 2], "data": [0.5, -1]}]}
//! {"outputs": [{"name": "y", "dtype": "float32", "shape": [1], "data": ["NaN"]}]}
//! {"input_data": [[0.5, -1]]}
//! ```
//!
//! The last form is EZKL's: one list an input, in the model's order. `data` may be nested lists, `"NaN"`, `"Infinity"` and
//! `"-Infinity"` stand for what JSON's numbers cannot say, and booleans are 0 and 1 or `false` and `true`.

use std::fmt;
use std::io::BufRead;
use std::path::Path;

use crate::graph::Dtype;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::tensors::{FileTensor, Line, Side, TensorError, dtype_named};

/// One JSON object.
pub fn document(bytes: &[u8], file: &str, side: Side) -> Result<Vec<FileTensor>, TensorError> {
    tensors(parse(bytes, file)?, file, side)
}

fn line(bytes: &[u8], place: String, side: Side) -> Result<Line, TensorError> {
    let mut document = parse(bytes, &place)?;
    let label = document.label.take();
    Ok(Line {
        tensors: tensors(document, &place, side)?,
        label,
        place,
    })
}

fn parse(bytes: &[u8], file: &str) -> Result<Document, TensorError> {
    serde_json::from_slice(bytes)
        .map_err(|e| TensorError::format(file, format!("not a JSON file of tensors: {e}")))
}

fn tensors(document: Document, file: &str, side: Side) -> Result<Vec<FileTensor>, TensorError> {
    let (tensors, data, keys) = match side {
        Side::Inputs => (
            document.inputs,
            document.input_data,
            "`inputs` or `input_data`",
        ),
        Side::Outputs => (
            document.outputs,
            document.output_data,
            "`outputs` or `output_data`",
        ),
    };
    match (tensors, data) {
        (Some(tensors), _) => tensors.into_iter().map(|t| t.tensor(file)).collect(),
        (None, Some(lists)) => Ok(lists.into_iter().map(unnamed).collect()),
        (None, None) => Err(TensorError::format(
            file,
            format!("expected an object with the key {keys}, got neither"),
        )),
    }
}

/// One JSON object a line, read as they are asked for; empty lines are skipped.
pub fn lines(
    path: &Path,
    side: Side,
) -> Result<impl Iterator<Item = Result<Line, TensorError>>, TensorError> {
    let file = path.display().to_string();
    let opened = std::fs::File::open(path).map_err(|source| TensorError::Read {
        file: file.clone(),
        source,
    })?;
    let lines = std::io::BufReader::new(opened).lines().zip(1..);
    Ok(lines.filter_map(move |(line, number)| {
        let place = format!("{file}:{number}");
        match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(self::line(line.as_bytes(), place, side)),
            Err(source) => Some(Err(TensorError::Read {
                file: place,
                source,
            })),
        }
    }))
}

#[derive(Deserialize)]
struct Document {
    inputs: Option<Vec<JsonTensor>>,
    outputs: Option<Vec<JsonTensor>>,
    input_data: Option<Vec<Elements>>,
    output_data: Option<Vec<Elements>>,
    label: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct JsonTensor {
    name: Option<String>,
    dtype: Option<String>,
    shape: Option<Vec<usize>>,
    data: Elements,
}

impl JsonTensor {
    fn tensor(self, file: &str) -> Result<FileTensor, TensorError> {
        let dtype = match self.dtype.as_deref() {
            None => None,
            Some(name) => Some(
                dtype_named(name)
                    .ok_or_else(|| TensorError::format(file, format!("unknown dtype `{name}`")))?,
            ),
        };
        Ok(FileTensor {
            name: self.name,
            dtype,
            shape: self.shape,
            data: self.data.0,
        })
    }
}

fn unnamed(data: Elements) -> FileTensor {
    FileTensor {
        name: None,
        dtype: None,
        shape: None,
        data: data.0,
    }
}

/// Numbers in lists of any depth, flattened.
struct Elements(Vec<f64>);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Vec::new();
        Flatten(&mut elements).deserialize(deserializer)?;
        Ok(Self(elements))
    }
}

struct Flatten<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, `\"NaN\"`, `\"Infinity\"`, `\"-Infinity\"` or a list of them")
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push(value as f64);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.push(value as f64);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(f64::from(u8::from(value)));
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.0.push(match value {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return Err(E::invalid_value(serde::de::Unexpected::Str(value), &self)),
        });
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Flatten(self.0))?.is_some() {}
        Ok(())
    }
}

/// A tensor to be written: elements are numbers of the dtype, and strings where JSON has no number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutTensor {
    /// ONNX name.
    pub name: String,
    /// Kind of elements.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: OutData,
}

/// Elements of an [`OutTensor`].
#[derive(Clone, Debug, PartialEq)]
pub struct OutData {
    /// Decides how an element is written.
    pub dtype: Dtype,
    /// Row-major.
    pub elements: Vec<f64>,
}

impl OutTensor {
    /// From parts.
    pub fn new(name: &str, dtype: Dtype, shape: &[usize], elements: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            data: OutData { dtype, elements },
        }
    }
}

impl Serialize for OutData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.elements.len()))?;
        for &element in &self.elements {
            if element.is_nan() {
                list.serialize_element("NaN")?;
            } else if element.is_infinite() {
                list.serialize_element(if element > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                })?;
            } else if self.dtype == Dtype::Float32 {
                list.serialize_element(&(element as f32))?;
            } else {
                list.serialize_element(&(element as i64))?;
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Result<Vec<FileTensor>, TensorError> {
        document(text.as_bytes(), "in.json", Side::Inputs)
    }

    #[test]
    fn reads_our_form() {
        let text =
            r#"{"inputs":[{"name":"x","dtype":"int64","shape":[2],"data":[1,2]}],"extra":[]}"#;
        let expected = FileTensor {
            name: Some("x".into()),
            dtype: Some(Dtype::Int64),
            shape: Some(vec![2]),
            data: vec![1.0, 2.0],
        };
        assert_eq!(inputs(text).unwrap(), [expected]);
    }

    #[test]
    fn reads_ezkl_and_nested_lists() {
        let read =
            inputs(r#"{"input_data":[[1,[2.5,true]],["-Infinity"]],"output_data":null}"#).unwrap();
        assert_eq!(read[0].data, [1.0, 2.5, 1.0]);
        assert_eq!(read[1].data, [f64::NEG_INFINITY]);
        assert_eq!(read[0].name, None);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("{", "not a JSON file of tensors"),
            ("{}", "expected an object with the key `inputs`"),
            (r#"{"outputs":[]}"#, "got neither"),
            (r#"{"inputs":[{"name":"x"}]}"#, "missing field `data`"),
            (
                r#"{"inputs":[{"dtype":"string","data":[]}]}"#,
                "unknown dtype `string`",
            ),
            (r#"{"inputs":[{"data":["0x12"]}]}"#, "expected a number"),
            (r#"{"inputs":[{"shape":[-1],"data":[]}]}"#, "invalid value"),
            (r#"{"inputs":[{"data":{}}]}"#, "expected a number"),
        ] {
            let message = inputs(text).unwrap_err().to_string();
            assert!(
                message.contains("`in.json`") && message.contains(part),
                "{text}: {message}"
            );
        }
        let deep = "[".repeat(100_000);
        assert!(inputs(&format!(r#"{{"input_data":{deep}"#)).is_err());
    }

    #[test]
    fn names_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.jsonl");
        std::fs::write(&path, "{\"input_data\":[[1]]}\n\n{\"input_data\":3}\n").unwrap();
        let read: Vec<_> = lines(&path, Side::Inputs).unwrap().collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].as_ref().unwrap().place.ends_with("many.jsonl:1"));
        let message = read[1].as_ref().unwrap_err().to_string();
        assert!(message.contains("many.jsonl:3"), "{message}");
    }

    #[test]
    fn writes_what_it_reads() {
        let tensor = OutTensor::new(
            "y",
            Dtype::Float32,
            &[3],
            vec![f64::from(0.1f32), f64::NAN, -1.0],
        );
        let text = serde_json::to_string(&tensor).unwrap();
        assert_eq!(
            text,
            r#"{"name":"y","dtype":"float32","shape":[3],"data":[0.1,"NaN",-1.0]}"#
        );
        let integers = OutTensor::new("z", Dtype::Bool, &[2], vec![1.0, 0.0]);
        assert_eq!(
            serde_json::to_string(&integers.data).unwrap(),
            "[1,0]",
            "booleans are 0 and 1"
        );
    }
}
