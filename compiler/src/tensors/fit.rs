//! Tensors of a file against the ports of a model.

use crate::graph::{Dtype, MOST_EXACT};
use crate::ports::Port;

use crate::tensors::{FileTensor, TensorError};

/// Whether NaN and infinities may stand in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finite {
    /// Inputs: no.
    Required,
    /// Expected outputs: yes.
    Any,
}

/// The elements of every port, in the ports' order: by name where the file has names, by position otherwise.
///
/// # Errors
/// Missing, unknown or repeated names; a shape, a kind of element or an element that the port does not take.
pub fn fit(
    tensors: Vec<FileTensor>,
    ports: &[Port],
    file: &str,
    finite: Finite,
) -> Result<Vec<Vec<f64>>, TensorError> {
    // An input without elements is no port: it says nothing.
    let is_port = |tensor: &FileTensor| ports.iter().any(|p| tensor.name.as_ref() == Some(&p.name));
    let mut tensors = tensors;
    tensors.retain(|tensor| !tensor.data.is_empty() || is_port(tensor));
    let ordered = order(tensors, ports, file)?;
    ports
        .iter()
        .zip(ordered)
        .map(|(port, tensor)| {
            let mismatch = |expected: String, got: String| TensorError::Mismatch {
                file: file.to_owned(),
                tensor: port.name.clone(),
                expected,
                got,
            };
            elements(tensor, port, finite).map_err(|(expected, got)| mismatch(expected, got))
        })
        .collect()
}

/// One tensor for each port, in the ports' order.
fn order(
    tensors: Vec<FileTensor>,
    ports: &[Port],
    file: &str,
) -> Result<Vec<FileTensor>, TensorError> {
    let names = TensorError::Names {
        file: file.to_owned(),
        expected: quoted(ports.iter().map(|p| Some(p.name.as_str()))),
        got: quoted(tensors.iter().map(|t| t.name.as_deref())),
    };
    if tensors.len() != ports.len() {
        return Err(names);
    }
    if tensors.iter().all(|t| t.name.is_none()) {
        return Ok(tensors);
    }
    let mut tensors = tensors;
    let mut ordered = Vec::with_capacity(ports.len());
    for port in ports {
        let found = tensors
            .iter()
            .position(|t| t.name.as_deref() == Some(&port.name));
        match found {
            Some(index) => ordered.push(tensors.swap_remove(index)),
            None => return Err(names),
        }
    }
    Ok(ordered)
}

fn quoted<'a>(names: impl Iterator<Item = Option<&'a str>>) -> String {
    let list: Vec<String> = names
        .map(|name| name.map_or("one without a name".to_owned(), |n| format!("`{n}`")))
        .collect();
    match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    }
}

/// The elements as the port takes them, or what was expected and what is there.
fn elements(tensor: FileTensor, port: &Port, finite: Finite) -> Result<Vec<f64>, (String, String)> {
    if let Some(shape) = tensor.shape.as_ref().filter(|shape| **shape != port.shape) {
        return Err((
            format!("shape {:?}", port.shape),
            format!("shape {shape:?}"),
        ));
    }
    let count: usize = port.shape.iter().product();
    if tensor.data.len() != count {
        let expected = format!("{count} elements (shape {:?})", port.shape);
        return Err((expected, format!("{}", tensor.data.len())));
    }
    if let Some(dtype) = tensor.dtype.filter(|&dtype| !takes(port.dtype, dtype)) {
        return Err((port.dtype.name().into(), dtype.name().into()));
    }
    let mut data = tensor.data;
    for (index, value) in data.iter_mut().enumerate() {
        if !fits(*value, port.dtype, finite) {
            let got = format!("{value} at element {index}");
            return Err((expected_elements(port.dtype), got));
        }
        if port.dtype == Dtype::Float32 {
            *value = f64::from(*value as f32);
        }
    }
    Ok(data)
}

/// Integers may stand for reals, and booleans for both.
fn takes(port: Dtype, file: Dtype) -> bool {
    match port {
        Dtype::Float32 => true,
        _ => file.is_integer(),
    }
}

fn fits(value: f64, port: Dtype, finite: Finite) -> bool {
    match port {
        // Minus infinity masks scores: which port may have it is known when the model is.
        Dtype::Float32 if finite == Finite::Required => {
            (value as f32).is_finite() || value == f64::NEG_INFINITY
        }
        Dtype::Float32 => true,
        integer => {
            let (least, most) = integer.limits();
            value.fract() == 0.0 && value.abs() <= MOST_EXACT && (least..=most).contains(&value)
        }
    }
}

fn expected_elements(port: Dtype) -> String {
    match port {
        Dtype::Float32 => "finite float32 numbers".into(),
        Dtype::Bool => "booleans (0 or 1)".into(),
        Dtype::Int64 | Dtype::Uint64 => "integers of at most 53 bits".into(),
        narrow => {
            let (least, most) = narrow.limits();
            format!("integers from {least} to {most}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, dtype: Dtype, shape: &[usize]) -> Port {
        Port {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
        }
    }

    fn tensor(
        name: Option<&str>,
        dtype: Option<Dtype>,
        shape: Option<&[usize]>,
        data: &[f64],
    ) -> FileTensor {
        FileTensor {
            name: name.map(str::to_owned),
            dtype,
            shape: shape.map(<[usize]>::to_vec),
            data: data.to_vec(),
        }
    }

    fn message(tensor: FileTensor, port: Port) -> String {
        let error = fit(vec![tensor], &[port], "in.json", Finite::Required).unwrap_err();
        error.to_string()
    }

    #[test]
    fn orders_by_name_or_position() {
        let ports = [
            port("a", Dtype::Int64, &[1]),
            port("b", Dtype::Float32, &[2]),
        ];
        let named = vec![
            tensor(Some("b"), None, None, &[0.1, 3.0]),
            tensor(Some("a"), Some(Dtype::Int64), Some(&[1]), &[7.0]),
        ];
        let expected = vec![vec![7.0], vec![f64::from(0.1f32), 3.0]];
        assert_eq!(fit(named, &ports, "f", Finite::Required).unwrap(), expected);
        let unnamed = vec![
            tensor(None, None, None, &[7.0]),
            tensor(None, None, None, &[0.1, 3.0]),
        ];
        assert_eq!(
            fit(unnamed, &ports, "f", Finite::Required).unwrap(),
            expected
        );
    }

    #[test]
    fn names_what_does_not_fit() {
        let float = || port("x", Dtype::Float32, &[1, 2]);
        let cases = [
            (
                tensor(Some("y"), None, None, &[0.0; 2]),
                float(),
                "expected the tensors `x`, got `y`",
            ),
            (
                tensor(Some("x"), None, Some(&[2]), &[0.0; 2]),
                float(),
                "tensor `x`: expected shape [1, 2], got shape [2]",
            ),
            (
                tensor(None, None, None, &[0.0; 3]),
                float(),
                "expected 2 elements (shape [1, 2]), got 3",
            ),
            (
                tensor(None, None, None, &[0.0, f64::NAN]),
                float(),
                "expected finite float32 numbers, got NaN at element 1",
            ),
            (
                tensor(None, None, None, &[1e300, 0.0]),
                float(),
                "got 1000000",
            ),
            (
                tensor(None, Some(Dtype::Float32), None, &[1.0]),
                port("t", Dtype::Int64, &[1]),
                "expected int64, got float32",
            ),
            (
                tensor(None, None, None, &[1.5]),
                port("t", Dtype::Int64, &[1]),
                "expected integers of at most 53 bits, got 1.5 at element 0",
            ),
            (
                tensor(None, None, None, &[i64::MAX as f64]),
                port("t", Dtype::Int64, &[1]),
                "expected integers of at most 53 bits",
            ),
            (
                tensor(None, None, None, &[2.0]),
                port("t", Dtype::Bool, &[]),
                "expected booleans (0 or 1), got 2 at element 0",
            ),
        ];
        for (tensor, port, part) in cases {
            let message = message(tensor, port);
            assert!(
                message.contains("`in.json`") && message.contains(part),
                "{message}"
            );
        }
        let none = fit(Vec::new(), &[float()], "in.json", Finite::Required).unwrap_err();
        assert!(
            none.to_string()
                .contains("expected the tensors `x`, got none")
        );
    }

    #[test]
    fn expected_outputs_may_be_infinite() {
        let read = fit(
            vec![tensor(None, None, None, &[f64::INFINITY])],
            &[port("y", Dtype::Float32, &[1])],
            "out.json",
            Finite::Any,
        );
        assert_eq!(read.unwrap(), [[f64::INFINITY]]);
    }
}
