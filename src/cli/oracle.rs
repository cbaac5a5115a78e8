//! onnxruntime, from a library that is there already: the one reference that does not share our importer.

use std::path::Path;

use ort::LoadDynamicError;
use ort::session::Session;
use ort::value::{DynValue, Tensor, TensorElementType};
use serde::Serialize;
use zkiln_compiler::Port;
use zkiln_compiler::tensors::OutTensor;

use super::compare::{Comparison, compare};
use super::error::CliError;
use super::terminal;

/// How far one output is from onnxruntime's.
#[derive(Debug, Serialize)]
pub struct Difference {
    output: String,
    /// What is proved.
    proved_max_abs: f64,
    proved_max_rel: f64,
    /// The compiler's float model, if it is at hand: what is between the two is the importer's fault.
    float_max_abs: Option<f64>,
    float_max_rel: Option<f64>,
    unequal_integers: usize,
}

/// What to do where the library is none.
const NAME_A_LIBRARY: &str =
    "name its shared library: the Python wheel has libonnxruntime.so in onnxruntime/capi";
/// What to do where it takes the model or the input for wrong.
const CORRECT_THE_MODEL: &str =
    "correct the model, or name a release of onnxruntime that has its operators";

/// What onnxruntime, which is in `library`, makes of the input.
///
/// # Errors
/// [`CliError::Oracle`] where the library is none, or refuses the model or the input.
pub fn run(
    library: &Path,
    model: &Path,
    ports: &[Port],
    input: &[Vec<f64>],
) -> Result<Vec<Vec<f64>>, CliError> {
    let refused = |reason: String, help: &str| CliError::Oracle {
        library: library.display().to_string(),
        reason: reason.trim().to_owned(),
        help: help.to_owned(),
    };
    if !library.is_file() {
        return Err(refused("there is no such file".into(), NAME_A_LIBRARY));
    }
    load(library).map_err(|(reason, help)| refused(reason, &help))?;
    let wrong = |e: ort::Error| refused(e.to_string(), CORRECT_THE_MODEL);
    let mut session = Session::builder().map_err(wrong)?;
    let mut session = session.commit_from_file(model).map_err(wrong)?;
    let mut values = Vec::new();
    for (port, data) in ports.iter().zip(input) {
        let mut declared = session.inputs().iter();
        let declared = declared.find(|input| input.name() == port.name);
        let dtype = declared.and_then(|input| input.dtype().tensor_type());
        let none = || {
            refused(
                format!("it has no tensor `{}`", port.name),
                CORRECT_THE_MODEL,
            )
        };
        let value = to_value(dtype.ok_or_else(none)?, &port.shape, data);
        let value = value.map_err(|e| refused(e, "export the model with inputs of other types"))?;
        values.push((port.name.clone(), value));
    }
    let outputs = session.run(values).map_err(wrong)?;
    let read = (0..outputs.len()).map(|index| from_value(&outputs[index]));
    let read: Result<_, String> = read.collect();
    read.map_err(|e| refused(e, "export the model with outputs of other types"))
}

/// Loads the library, once in a process; or why it cannot be, and what to do about it.
fn load(library: &Path) -> Result<(), (String, String)> {
    let named = |reason: String| (reason, NAME_A_LIBRARY.to_owned());
    // A name without a folder would be looked for where libraries are installed.
    let path = std::fs::canonicalize(library).map_err(|e| named(e.to_string()))?;
    let environment = ort::init_from(path).map_err(|error| not_loaded(&error))?;
    environment
        .with_name("zkiln")
        .with_telemetry(false)
        .commit();
    Ok(())
}

fn not_loaded(error: &LoadDynamicError) -> (String, String) {
    match error {
        LoadDynamicError::BadVersion { version_str, .. } => (
            format!("it is version {version_str}"),
            format!("name version 1.{} or a later one", ort::MINOR_VERSION),
        ),
        _ => (error.to_string(), NAME_A_LIBRARY.to_owned()),
    }
}

fn to_value(dtype: TensorElementType, shape: &[usize], data: &[f64]) -> Result<DynValue, String> {
    macro_rules! tensor {
        ($element:ident) => {{
            let elements: Vec<_> = data.iter().map(|x| $element(*x)).collect();
            let tensor = Tensor::from_array((shape.to_vec(), elements));
            tensor
                .map(|tensor| tensor.into_dyn())
                .map_err(|e| e.to_string())
        }};
    }
    let (f32, f64, bool) = (|x| x as f32, |x: f64| x, |x: f64| x != 0.0);
    let (i8, i16, i32, i64) = (|x| x as i8, |x| x as i16, |x| x as i32, |x| x as i64);
    let (u8, u16, u32, u64) = (|x| x as u8, |x| x as u16, |x| x as u32, |x| x as u64);
    match dtype {
        TensorElementType::Float32 => tensor!(f32),
        TensorElementType::Float64 => tensor!(f64),
        TensorElementType::Bool => tensor!(bool),
        TensorElementType::Int8 => tensor!(i8),
        TensorElementType::Int16 => tensor!(i16),
        TensorElementType::Int32 => tensor!(i32),
        TensorElementType::Int64 => tensor!(i64),
        TensorElementType::Uint8 => tensor!(u8),
        TensorElementType::Uint16 => tensor!(u16),
        TensorElementType::Uint32 => tensor!(u32),
        TensorElementType::Uint64 => tensor!(u64),
        other => Err(format!("tensors of {other} cannot be given to it here")),
    }
}

fn from_value(value: &DynValue) -> Result<Vec<f64>, String> {
    macro_rules! elements {
        ($element:ty, $real:expr) => {{
            let extracted = value.try_extract_tensor::<$element>();
            let (_, elements) = extracted.map_err(|e| e.to_string())?;
            Ok(elements.iter().map(|x| $real(*x)).collect())
        }};
    }
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => elements!(f32, f64::from),
        Some(TensorElementType::Float64) => elements!(f64, f64::from),
        Some(TensorElementType::Bool) => elements!(bool, |x| f64::from(u8::from(x))),
        Some(TensorElementType::Int8) => elements!(i8, f64::from),
        Some(TensorElementType::Int16) => elements!(i16, f64::from),
        Some(TensorElementType::Int32) => elements!(i32, f64::from),
        Some(TensorElementType::Int64) => elements!(i64, |x| x as f64),
        Some(TensorElementType::Uint8) => elements!(u8, f64::from),
        Some(TensorElementType::Uint16) => elements!(u16, f64::from),
        Some(TensorElementType::Uint32) => elements!(u32, f64::from),
        Some(TensorElementType::Uint64) => elements!(u64, |x| x as f64),
        _ => Err("an output of it is no tensor of numbers that can be compared here".into()),
    }
}

/// Every output's distance from what is `right`.
pub fn differences(
    ports: &[Port],
    proved: &[OutTensor],
    float: Option<&[Vec<f64>]>,
    right: &[Vec<f64>],
) -> Vec<Difference> {
    let outputs = ports.iter().zip(proved).zip(right).enumerate();
    let difference =
        |(number, ((port, proved), right)): (usize, ((&Port, &OutTensor), &Vec<f64>))| {
            let beside = |elements: &[f64]| -> Comparison {
                let tensor = OutTensor::new(&port.name, port.dtype, &port.shape, elements.to_vec());
                compare(&[tensor], std::slice::from_ref(right))
            };
            let proved = beside(&proved.data.elements);
            let float = float.and_then(|float| float.get(number));
            let float = float.map(|elements| beside(elements));
            Difference {
                output: port.name.clone(),
                proved_max_abs: proved.max_abs,
                proved_max_rel: proved.max_rel,
                float_max_abs: float.map(|float| float.max_abs),
                float_max_rel: float.map(|float| float.max_rel),
                unequal_integers: proved.unequal,
            }
        };
    outputs.map(difference).collect()
}

/// # Errors
/// [`CliError::Comparison`] for the first output that is further off than `tolerance`.
pub fn judge(differences: &[Difference], tolerance: f64) -> Result<(), CliError> {
    for difference in differences {
        let greatest = difference
            .float_max_rel
            .unwrap_or(0.0)
            .max(difference.proved_max_rel);
        if difference.unequal_integers > 0 || greatest.is_nan() || greatest > tolerance {
            return Err(CliError::Comparison(format!(
                "beside onnxruntime, what is proved of `{}` is off by {:.4} of its range, and the float model by {:.4}, more than {tolerance}",
                difference.output,
                difference.proved_max_rel,
                difference.float_max_rel.unwrap_or(0.0)
            )));
        }
    }
    Ok(())
}

/// A table, if there is something in it.
pub fn say(differences: &[Difference]) {
    if differences.is_empty() {
        return;
    }
    let heading = [
        "beside onnxruntime",
        "proved",
        "of the range",
        "float model",
        "of the range",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(differences.iter().map(|difference| {
        let float = difference.float_max_abs.map(|error| format!("{error:.3e}"));
        vec![
            difference.output.clone(),
            format!("{:.3e}", difference.proved_max_abs),
            terminal::percent(difference.proved_max_rel),
            float.unwrap_or_default(),
            difference
                .float_max_rel
                .map(terminal::percent)
                .unwrap_or_default(),
        ]
    }));
    terminal::say(&format!("\n{}", terminal::table(&rows)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkiln_compiler::graph::Dtype;

    #[test]
    fn a_library_must_be_one() {
        let run = |path: &Path| run(path, Path::new("m.onnx"), &[], &[]).expect_err("refused");
        let missing = run(Path::new("libnone.so"));
        assert!(missing.to_string().contains("libnone.so"), "{missing}");
        assert_eq!(missing.exit_code(), 2);
        let folder = tempfile::tempdir().expect("a folder");
        let other = folder.path().join("other.so");
        std::fs::write(&other, "no library").expect("written");
        assert_eq!(run(&other).exit_code(), 2);
    }

    #[test]
    fn an_old_library_is_told_apart() {
        let error = LoadDynamicError::BadVersion {
            version_str: "1.4.0".into(),
            path: "libold.so".into(),
        };
        let (reason, help) = not_loaded(&error);
        assert_eq!(reason, "it is version 1.4.0");
        assert_eq!(help, "name version 1.17 or a later one");
    }

    #[test]
    fn what_is_proved_and_the_float_model_are_judged() {
        let port = Port {
            name: "y".into(),
            dtype: Dtype::Float32,
            shape: vec![2],
        };
        let proved = [OutTensor::new("y", Dtype::Float32, &[2], vec![0.0, 1.01])];
        let judged = |float: f64| {
            let float = [vec![0.0, float]];
            let found = differences(
                std::slice::from_ref(&port),
                &proved,
                Some(&float),
                &[vec![0.0, 1.0]],
            );
            judge(&found, 0.05)
        };
        assert!(judged(1.0).is_ok());
        assert_eq!(judged(1.5).expect_err("far").exit_code(), 1);
    }
}
