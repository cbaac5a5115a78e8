//! Values that inputs have once and for all.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value that an input is given once and for all: it is a constant of the compiled model then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Lengths of its axes; none: one number, for all elements of the input.
    pub shape: Option<Vec<usize>>,
    /// Row-major elements.
    pub data: Vec<f64>,
}

impl From<f64> for Frozen {
    fn from(number: f64) -> Frozen {
        Frozen {
            shape: None,
            data: vec![number],
        }
    }
}

impl From<Vec<f64>> for Frozen {
    fn from(data: Vec<f64>) -> Frozen {
        Frozen {
            shape: Some(vec![data.len()]),
            data,
        }
    }
}

/// A number, `true` or `false`, or a list of these, or a list of lists: `16000`, `[[0, 1], [2, 3]]`.
impl FromStr for Frozen {
    type Err = String;

    fn from_str(text: &str) -> Result<Frozen, String> {
        let expected = || format!("expected a number or a list of numbers, got `{text}`");
        let value: Value = serde_json::from_str(text).map_err(|_| expected())?;
        let mut data = Vec::new();
        let shape = elements(&value, &mut data).ok_or_else(expected)?;
        let shape = value.is_array().then_some(shape);
        Ok(Frozen { shape, data })
    }
}

/// Appends the elements of a list: its shape, if its parts have one shape.
fn elements(value: &Value, data: &mut Vec<f64>) -> Option<Vec<usize>> {
    let Value::Array(parts) = value else {
        let truth = value.as_bool().map(|truth| f64::from(u8::from(truth)));
        data.push(value.as_f64().or(truth)?);
        return Some(Vec::new());
    };
    let shapes = parts.iter().map(|part| elements(part, data));
    let shapes: Vec<Vec<usize>> = shapes.collect::<Option<_>>()?;
    let inner = shapes.first().cloned().unwrap_or_default();
    let same = shapes.iter().all(|shape| *shape == inner);
    same.then(|| [vec![parts.len()], inner].concat())
}

#[cfg(test)]
mod tests {
    use crate::frozen::Frozen;

    #[test]
    fn numbers_and_lists() {
        let of = |text: &str| text.parse::<Frozen>().map(|f| (f.shape, f.data));
        assert_eq!(of("16000"), Ok((None, vec![16000.0])));
        assert_eq!(of("-1.5"), Ok((None, vec![-1.5])));
        assert_eq!(of("true"), Ok((None, vec![1.0])));
        assert_eq!(of("[1, 0]"), Ok((Some(vec![2]), vec![1.0, 0.0])));
        let nested = Ok((Some(vec![1, 2]), vec![1.0, 2.0]));
        assert_eq!(of("[[1, 2]]"), nested);
        assert_eq!(of("[]"), Ok((Some(vec![0]), vec![])));
        for bad in ["", "x", "[1, [2]]", "\"a\"", "[1", "{}"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
