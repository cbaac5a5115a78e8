//! A compiled model as a folder: all that proving, verifying and reading need, so that nothing is compiled or committed again.
//!
//! | file | what | secret |
//! |---|---|---|
//! | `NAME.json` | the manifest: version of this form, ports and their scales, the table of nodes | no |
//! | `NAME.vk` | the verifier key | no |
//! | `NAME.weights` | the quantized weights, and what hides their commitments | yes: only its owner can read it |
//! | `NAME.rs`, `NAME.commitments` | the generated module, and what it includes of the key | no |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::model::Port;
use zkiln_runtime::weights::{self, Packed};

use crate::emit::{emit, file_names};
use crate::error::CompileError;
use crate::files::write_secret;
use crate::program::{Compiled, Fidelity, NodeReport, PortInfo, Ranges};
use crate::text::{hex, unhex};

/// The version of the form that is written, and the only one that is read.
const VERSION: u32 = 3;

/// What stands in the place of the manifest's digest while it is computed.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a compiled model is, for people and for programs that run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the folder's form.
    pub version: u32,
    /// Digest of the manifest itself with zeros in this place, in hexadecimal digits: it is not for editing.
    pub digest: String,
    /// Name of the model and of its files.
    pub name: String,
    /// Name of the ONNX file.
    pub origin: String,
    /// Digest of the verifier key, in hexadecimal digits.
    pub model_digest: String,
    /// Digest of the file of weights, in hexadecimal digits.
    pub weights_digest: String,
    /// Number of float parameters of the ONNX model.
    pub parameters: u64,
    /// Number of ONNX nodes.
    pub onnx_nodes: u64,
    /// Where the ranges of its values come from.
    pub ranges: Ranges,
    /// How far it is from the float model; none where no samples were given.
    pub fidelity: Option<Fidelity>,
    /// Inputs in ONNX order.
    pub inputs: Vec<PortInfo>,
    /// Outputs in ONNX order.
    pub outputs: Vec<PortInfo>,
    /// One line a node.
    pub report: Vec<NodeReport>,
}

impl Manifest {
    /// Of a model that was compiled from the ONNX file of name `origin`; `weights` is its file of weights.
    fn new(compiled: &Compiled, origin: &str, weights: &[u8]) -> Self {
        let lowered = &compiled.lowered;
        Self {
            version: VERSION,
            digest: NO_DIGEST.into(),
            name: lowered.model.name.to_string(),
            origin: origin.into(),
            model_digest: hex(&compiled.digest),
            weights_digest: hex(&weights::digest(weights)),
            parameters: lowered.parameters,
            onnx_nodes: lowered.onnx_nodes,
            ranges: lowered.ranges,
            fidelity: lowered.fidelity,
            inputs: lowered.inputs.clone(),
            outputs: lowered.outputs.clone(),
            report: lowered.report.clone(),
        }
    }
}

/// A compiled model that can prove.
#[derive(Debug)]
pub struct Artefact {
    /// What it is.
    pub manifest: Manifest,
    /// Both keys.
    pub prover: ProverKey,
}

impl Artefact {
    /// Of a model that has just been compiled from the ONNX file of name `origin`.
    ///
    /// # Errors
    /// [`CompileError::Plan`] for a fault of ours.
    pub fn new(compiled: Compiled, origin: &str) -> Result<Self, CompileError> {
        let manifest = Manifest::new(&compiled, origin, &[]);
        let fault = |error: &dyn ToString| CompileError::Plan(error.to_string());
        let verifier = VerifierKey::from_bytes(&compiled.key).map_err(|e| fault(&e))?;
        let constants = compiled.lowered.constants;
        let prover = ProverKey::from_parts(verifier, constants, compiled.blinding);
        Ok(Self {
            manifest,
            prover: prover.map_err(|e| fault(&e))?,
        })
    }

    /// Of a folder that [`write()`] made.
    ///
    /// # Errors
    /// [`CompileError::Read`]; [`CompileError::Artefact`] where the files are of another version, or not of one model.
    pub fn read(folder: &Path) -> Result<Self, CompileError> {
        let refused = |reason: String| CompileError::Artefact {
            path: folder.display().to_string(),
            reason,
        };
        let manifest = manifest(folder)?;
        let file = |extension| folder.join(format!("{}.{extension}", manifest.name));
        let verifier = VerifierKey::from_bytes(&bytes(&file("vk"))?)
            .map_err(|e| refused(format!("its verifier key: {e}")))?;
        if hex(&verifier.digest()) != manifest.model_digest {
            return Err(refused("its verifier key is another model's".into()));
        }
        let model = verifier.model();
        if !fit(&manifest.inputs, &model.inputs) || !fit(&manifest.outputs, &model.outputs) {
            return Err(refused(
                "its manifest has other ports than its verifier key".into(),
            ));
        }
        let weights = bytes(&file("weights"))?;
        let digest = unhex(&manifest.weights_digest).and_then(|bytes| bytes.try_into().ok());
        let digest =
            digest.ok_or_else(|| refused("its manifest has no digest of weights".into()))?;
        let wrong = |e: zkiln_runtime::error::ProveError| refused(format!("its weights: {e}"));
        let (constants, blinding) = weights::decode(&weights, &digest).map_err(wrong)?;
        let constants = constants.into_iter().map(Packed::values);
        let prover = ProverKey::from_parts(verifier, constants, blinding).map_err(wrong)?;
        Ok(Self { manifest, prover })
    }
}

/// Paths of all manifests in a folder: a verifier key beside them tells them from other files of JSON.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>, CompileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|e| e == "json") && path.with_extension("vk").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the manifest's ports are those of the key.
fn fit(infos: &[PortInfo], ports: &[Port]) -> bool {
    let same = |(info, port): (&PortInfo, &Port)| {
        let elements = info.shape.iter().copied().fold(1, usize::saturating_mul);
        let fits = info.name == *port.name && elements == port.len() && info.range == port.range;
        fits && info.scale.fits(&info.shape)
    };
    infos.len() == ports.len() && infos.iter().zip(ports).all(same)
}

/// The manifest of a folder that [`write()`] made.
fn manifest(folder: &Path) -> Result<Manifest, CompileError> {
    let refused = |reason: String| CompileError::Artefact {
        path: folder.display().to_string(),
        reason,
    };
    let found = manifests(folder)?;
    let path =
        match found.as_slice() {
            [path] => path,
            [] => return Err(refused(
                "there is no compiled model in it: make one with `zkiln compile MODEL --out DIR`"
                    .into(),
            )),
            several => {
                let names = several.iter().filter_map(|path| path.file_stem());
                let names: Vec<String> = names
                    .map(|name| name.to_string_lossy().into_owned())
                    .collect();
                return Err(refused(format!(
                    "there are several models in it, {}: give each a folder of its own",
                    names.join(", ")
                )));
            }
        };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let text = bytes(path)?;
    let malformed =
        |e: serde_json::Error| refused(format!("`{}` is not a manifest: {e}", path.display()));
    let Version { version } = serde_json::from_slice(&text).map_err(malformed)?;
    if version != VERSION {
        return Err(refused(format!(
            "it was written in version {version} of the form, and this zkiln reads version {VERSION}: compile the model again"
        )));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(malformed)?;
    let plain = String::from_utf8_lossy(&text).replacen(&manifest.digest, NO_DIGEST, 1);
    if hex(&weights::digest(plain.as_bytes())) != manifest.digest {
        return Err(refused(
            "its manifest was changed: compile the model again".into(),
        ));
    }
    Ok(manifest)
}

/// Writes the folder of a model that was compiled from the ONNX file of name `origin`; its files, with their lengths in bytes.
///
/// # Errors
/// [`CompileError::Write`].
pub fn write(
    folder: &Path,
    compiled: &Compiled,
    origin: &str,
) -> Result<Vec<(PathBuf, usize)>, CompileError> {
    let generated = emit(compiled, origin);
    let [source, commitments, weights] = file_names(&generated.name);
    let manifest = Manifest::new(compiled, origin, &generated.weights);
    let manifest = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
    let digest = hex(&weights::digest(manifest.as_bytes()));
    let manifest = manifest.replacen(NO_DIGEST, &digest, 1);
    let [json, vk] = ["json", "vk"].map(|extension| format!("{}.{extension}", generated.name));
    fs::create_dir_all(folder).map_err(unwritable(folder))?;
    if let Some(other) = manifests(folder)?
        .into_iter()
        .find(|path| !path.ends_with(&json))
    {
        let other = other.file_stem().unwrap_or_default().to_string_lossy();
        return Err(CompileError::Artefact {
            path: folder.display().to_string(),
            reason: format!(
                "there is another model in it, `{other}`: give each a folder of its own"
            ),
        });
    }
    let mut written = Vec::new();
    // The manifest last: without it the folder is not taken for a whole one.
    for (name, bytes, secret) in [
        (source, generated.source.as_bytes(), false),
        (commitments, &generated.commitments, false),
        (weights, &generated.weights, true),
        (vk, &compiled.key, false),
        (json, manifest.as_bytes(), false),
    ] {
        let path = folder.join(name);
        let done = if secret {
            write_secret(&path, bytes)
        } else {
            fs::write(&path, bytes)
        };
        done.map_err(unwritable(&path))?;
        written.push((path, bytes.len()));
    }
    Ok(written)
}

fn bytes(path: &Path) -> Result<Vec<u8>, CompileError> {
    fs::read(path).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> CompileError + use<> {
    let path = path.display().to_string();
    move |source| CompileError::Read {
        path: path.clone(),
        source,
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> CompileError + use<> {
    let path = path.display().to_string();
    move |source| CompileError::Write {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::compile::Request;
    use zkiln_runtime::protocol::{prove, verify};

    fn compiled() -> Compiled {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let request = Request {
            samples: vec![package.join("models/tiny_mlp.samples.jsonl")],
            ..Request::new(package.join("models/tiny_mlp.onnx"))
        };
        request.compile().expect("compiles")
    }

    #[test]
    fn a_folder_proves_as_the_model_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let compiled = compiled();
        let files = write(folder.path(), &compiled, "tiny_mlp.onnx").expect("written");
        assert_eq!(files.len(), 5);
        let read = Artefact::read(folder.path()).expect("read");
        let new = Artefact::new(compiled, "tiny_mlp.onnx").expect("fits");
        assert_eq!(read.manifest.inputs, new.manifest.inputs);
        let (read, new) = (read.prover, new.prover);
        assert_eq!(
            read.verifier_key().to_bytes(),
            new.verifier_key().to_bytes()
        );
        let proven = prove(&read, &[vec![1, 2, 3, 4]]).expect("proves");
        let verdict = verify(new.verifier_key(), &proven.statement, &proven.proof);
        assert_eq!(verdict, Ok(()));
    }

    #[cfg(unix)]
    #[test]
    fn weights_are_for_their_owner_even_over_an_old_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let weights = folder.path().join("tiny_mlp.weights");
        fs::write(&weights, "for all to read").expect("written");
        write(folder.path(), &compiled(), "tiny_mlp.onnx").expect("written");
        let mode = fs::metadata(&weights).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_not_one_whole_model_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let refused = |part: &str| {
            let error = Artefact::read(path).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("zkiln compile");
        write(path, &compiled(), "tiny_mlp.onnx").expect("written");
        let manifest = path.join("tiny_mlp.json");
        let text = fs::read_to_string(&manifest).expect("there");
        fs::write(&manifest, text.replace("\"version\": 3", "\"version\": 1")).expect("written");
        refused("version 1");
        fs::write(&manifest, &text).expect("written");
        let other = text.replace("[\n        1,\n        4\n      ]", "[5]");
        assert_ne!(other, text);
        fs::write(&manifest, other).expect("written");
        refused("manifest was changed");
        fs::write(&manifest, &text).expect("written");
        let weights = path.join("tiny_mlp.weights");
        let mut bytes = fs::read(&weights).expect("there");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&weights, &bytes).expect("written");
        refused("weights");
        for extension in ["json", "vk"] {
            let from = path.join(format!("tiny_mlp.{extension}"));
            fs::copy(from, path.join(format!("other.{extension}"))).expect("copied");
        }
        refused("several models");
        let error = write(path, &compiled(), "tiny_mlp.onnx").expect_err("refused");
        assert!(error.to_string().contains("`other`"), "{error}");
    }
}
