//! Bytes as the files that the command line reads: what is read fits the ports that it is read for, and nothing panics.

use std::path::PathBuf;
use std::sync::LazyLock;

use zkiln_compiler::Port;
use zkiln_compiler::graph::Dtype;
use zkiln_runtime::model::Model;
use zkiln_runtime::protocol::Statement;

use crate::cli::public::Public;
use crate::support::{self, Show};
use zkiln_compiler::tensors::{self, Finite, Side};

static MODEL: LazyLock<Model> = LazyLock::new(|| support::everything(5, Show::Some).0);

/// Names, kinds and shapes of what files are read for.
const PORTS: [(&str, Dtype, &[usize]); 3] = [
    ("x", Dtype::Float32, &[1, 2]),
    ("i", Dtype::Int64, &[2]),
    ("b", Dtype::Bool, &[]),
];

/// One input: which reader, then a file.
pub fn run(data: &[u8]) {
    let Some((&which, bytes)) = data.split_first() else {
        return;
    };
    match which % 5 {
        0 => read(Side::Inputs, bytes),
        1 => read(Side::Outputs, bytes),
        2 => {
            let path = file(bytes);
            let lines = tensors::lines(&path, Side::Inputs).expect("can be opened");
            lines.flatten().for_each(|line| fit(line.tensors));
        }
        3 => sample(bytes),
        _ => public(bytes),
    }
}

/// A file of its own, with these bytes.
fn file(bytes: &[u8]) -> PathBuf {
    let name = format!("zkiln-fuzz-{}.jsonl", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("can be written");
    path
}

fn read(side: Side, bytes: &[u8]) {
    if let Ok(tensors) = tensors::document(bytes, "file", side) {
        fit(tensors);
    }
}

fn ports() -> Vec<Port> {
    let port = |&(name, dtype, shape): &(&str, Dtype, &[usize])| Port {
        name: name.into(),
        dtype,
        shape: shape.into(),
    };
    PORTS.iter().map(port).collect()
}

fn fit(tensors: Vec<tensors::FileTensor>) {
    // As many of the ports as the file has tensors.
    let ports = &ports()[..tensors.len().min(PORTS.len())];
    if let Ok(elements) = tensors::fit(tensors, ports, "file", Finite::Required) {
        for (elements, port) in elements.iter().zip(ports) {
            assert_eq!(elements.len(), port.shape.iter().product::<usize>());
            assert!(elements.iter().all(|element| element.is_finite()));
        }
    }
}

fn sample(bytes: &[u8]) {
    let ports = ports();
    let path = file(bytes);
    let _ = tensors::labelled_samples(&path, &ports);
    for sample in tensors::samples(&path, &ports).into_iter().flatten() {
        for (tensor, port) in sample.iter().zip(&ports) {
            assert_eq!(tensor.shape, port.shape);
            assert_eq!(tensor.data.len(), port.shape.iter().product::<usize>());
            assert!(tensor.data.iter().all(|element| element.is_finite()));
        }
    }
}

fn public(bytes: &[u8]) {
    if let Ok(public) = serde_json::from_slice::<Public>(bytes)
        && let Ok(statement) = public.statement(&[0; 32], &MODEL)
    {
        let bytes = statement.to_bytes();
        match Statement::from_bytes(&MODEL, &bytes) {
            Ok(again) => assert_eq!(again, statement),
            // More or fewer commitments than a port has: for the verifier to refuse.
            Err(error) => drop(error.to_string()),
        }
    }
}
