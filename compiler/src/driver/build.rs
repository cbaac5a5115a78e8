//! Models compiled by a build script, or by a macro.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), zkiln_compiler::build::BuildError> {
//!     zkiln_compiler::build::compile("models/nanoGPT.onnx")?;
//!     zkiln_compiler::build::model("models/mlp.onnx").name("small").weight_bits(8).compile()?;
//!     Ok(())
//! }
//! ```
//!
//! A compiled model is in the target directory's cache, where `include_model!` with the same file and options finds it. The
//! same files are in `OUT_DIR`, for `include!(concat!(env!("OUT_DIR"), "/nano_gpt.rs"))`.

use std::env;
use std::fmt::{self, Debug, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::quote;
use zkiln_runtime::model::Visibility;

use crate::driver::cache::{Cache, Entry};
use crate::driver::compile::Request;
use crate::emit::{emit, file_names, located};
use crate::error::CompileError;
use crate::frozen::Frozen;
use crate::options::Objective;

/// Compiles the model at `path`, relative to the package, with default options: for build scripts.
///
/// # Errors
/// As [`Model::compile`].
pub fn compile(path: impl Into<PathBuf>) -> Result<PathBuf, BuildError> {
    model(path).compile()
}

/// The model at `path`, relative to the package, and its options.
pub fn model(path: impl Into<PathBuf>) -> Model {
    Model(Request::new(path))
}

/// A model to be compiled by a build script.
#[derive(Clone, Debug)]
#[must_use = "nothing is compiled before `compile`"]
pub struct Model(Request);

impl Model {
    /// Name of the module; default: the file's stem in snake case.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.options.name = Some(name.into());
        self
    }

    /// Value of a symbolic dimension; default 1.
    pub fn dim(mut self, name: impl Into<String>, value: usize) -> Self {
        self.0.options.dimensions.push((name.into(), value));
        self
    }

    /// Makes an input a constant, with this value: a number, for all its elements, or its elements.
    pub fn freeze(mut self, name: impl Into<String>, value: impl Into<Frozen>) -> Self {
        self.0.options.frozen.push((name.into(), value.into()));
        self
    }

    /// Makes an input a constant, with the value of a file (`.npy`).
    pub fn freeze_file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.0.frozen.push((name.into(), path.into()));
        self
    }

    /// A file of sample inputs, which tell the ranges of values: JSON lines of `{"inputs":[{"name","dtype","shape","data"}]}`.
    pub fn samples(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.samples.push(path.into());
        self
    }

    /// The file of settings that `zkiln calibrate` made: bits and ranges, so that neither bits nor samples are given beside it.
    pub fn settings(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.settings = Some(path.into());
        self
    }

    /// Whether values beyond their range are clamped, which is proved, rather than refused.
    pub fn saturate(mut self, saturate: bool) -> Self {
        self.0.options.saturate = saturate;
        self
    }

    /// What proofs are to be good for: time (default) or size.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.0.options.objective = objective;
        self
    }

    /// Bits of activations.
    pub fn activation_bits(mut self, bits: u8) -> Self {
        self.0.options.activation_bits = Some(bits);
        self
    }

    /// Bits of weights.
    pub fn weight_bits(mut self, bits: u8) -> Self {
        self.0.options.weight_bits = Some(bits);
        self
    }

    /// Who sees `inputs`, `outputs`, `weights`, or a port by its name. Default: inputs private, outputs public, weights private.
    pub fn visibility(mut self, name: impl Into<String>, visibility: Visibility) -> Self {
        self.0.options.visibility.push((name.into(), visibility));
        self
    }

    /// The file of the secret that hides the weights, made if it is missing; default: `MODEL.blinding` beside the model.
    pub fn blinding_key(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.blinding_key = Some(path.into());
        self
    }

    /// Compiles, unless it has been done before, and writes the module and its side files to `OUT_DIR`.
    /// Gives the path of the module. Cargo runs the script again when one of the model's files changes.
    ///
    /// # Errors
    /// Whatever is wrong with the model, all at once; or no `OUT_DIR`.
    pub fn compile(self) -> Result<PathBuf, BuildError> {
        let variable = |name| env::var_os(name).ok_or(BuildError::Variable(name));
        let (package, output) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
        let request = self.0.within(Path::new(&package));
        // Said before anything can fail: a corrected file is to be tried again.
        let named = std::iter::once(&request.path).chain(&request.samples);
        let named = named.chain(&request.settings);
        let named = named.chain(request.frozen.iter().map(|(_, path)| path));
        named.for_each(rerun_if_changed);
        let (entry, source) = written(&Cache::of_this_build(), &request, Path::new(&output))?;
        entry.files.iter().for_each(rerun_if_changed);
        Ok(source)
    }
}

/// The entry of a request, and the path of its module in `output`.
fn written(
    cache: &Cache,
    request: &Request,
    output: &Path,
) -> Result<(Entry, PathBuf), CompileError> {
    let entry = entry(cache, request)?;
    publish(&entry, output).map_err(|source| CompileError::Write {
        path: output.display().to_string(),
        source,
    })?;
    let [source, ..] = file_names(&entry.name);
    Ok((entry, output.join(source)))
}

fn rerun_if_changed(path: impl AsRef<Path>) {
    println!("cargo::rerun-if-changed={}", path.as_ref().display());
}

/// Copies an entry's files; they share their bytes where the file system can.
fn publish(entry: &Entry, output: &Path) -> io::Result<()> {
    for name in file_names(&entry.name) {
        let (from, to) = (entry.directory.join(&name), output.join(&name));
        match fs::remove_file(&to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ()))?,
        }
    }
    Ok(())
}

impl Request {
    /// The same with paths taken from `folder`.
    pub fn within(mut self, folder: &Path) -> Self {
        self.path = folder.join(self.path);
        for path in (self.samples.iter_mut())
            .chain(self.frozen.iter_mut().map(|(_, path)| path))
            .chain(&mut self.settings)
            .chain(&mut self.blinding_key)
        {
            *path = folder.join(&*path);
        }
        self
    }
}

/// The entry of a request, compiled if there is none.
fn entry(cache: &Cache, request: &Request) -> Result<Entry, CompileError> {
    cache.get(request, || Ok(emit(&request.compile()?, &request.origin())))
}

/// The module of a model whose paths are absolute: what `include_model!` becomes. The crate that has it is compiled again when one
/// of the model's files changes.
///
/// # Errors
/// Whatever is wrong with the model, all at once.
pub fn module(request: &Request) -> Result<TokenStream, CompileError> {
    included(&Cache::of_this_build(), request)
}

fn included(cache: &Cache, request: &Request) -> Result<TokenStream, CompileError> {
    let entry = entry(cache, request)?;
    let unreadable = |source| CompileError::Read {
        path: entry.source().display().to_string(),
        source,
    };
    let source = fs::read_to_string(entry.source()).map_err(unreadable)?;
    let module = located(&source, &entry.directory)
        .map_err(|error| unreadable(io::Error::other(error.to_string())))?;
    let files = entry.files.iter().map(|path| path.to_string_lossy());
    // A function that nobody calls leaves nothing in the program, while a constant would.
    Ok(quote! {
        #module
        const _: () = {
            #[allow(dead_code)]
            fn compile_again_when_these_change() {
                #(let _ = include_bytes!(#files);)*
            }
        };
    })
}

/// Why a build script could not compile a model. Its debug form is for people too: it is what Cargo shows when `main` returns it.
#[non_exhaustive]
pub enum BuildError {
    /// Not called by a build script.
    Variable(&'static str),
    /// The model.
    Compile(CompileError),
}

impl From<CompileError> for BuildError {
    fn from(error: CompileError) -> Self {
        Self::Compile(error)
    }
}

impl Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "`{name}` is not set: is this a build script?"),
            Self::Compile(error) => Display::fmt(error, f),
        }
    }
}

impl Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Variable(_) => None,
            Self::Compile(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::build::*;

    #[test]
    fn options_and_paths_are_kept() {
        let Model(request) = model("models/x.onnx")
            .name("net")
            .dim("batch", 2)
            .freeze("rate", 16000.0)
            .freeze_file("mask", "mask.npy")
            .samples("samples.jsonl")
            .settings("x.settings.json")
            .saturate(true)
            .objective(Objective::Size)
            .activation_bits(10)
            .weight_bits(8)
            .visibility("inputs", Visibility::Public)
            .blinding_key("secret/x.blinding");
        let request = request.within(Path::new("/package"));
        assert_eq!(request.path, Path::new("/package/models/x.onnx"));
        assert_eq!(request.samples, [Path::new("/package/samples.jsonl")]);
        let settings = PathBuf::from("/package/x.settings.json");
        assert_eq!(request.settings, Some(settings));
        assert_eq!(request.module_name(), "net");
        assert_eq!(request.options.dimensions, [("batch".to_string(), 2)]);
        let rate = [("rate".to_string(), Frozen::from(16000.0))];
        assert_eq!(request.options.frozen, rate);
        let mask = [("mask".to_string(), PathBuf::from("/package/mask.npy"))];
        assert_eq!(request.frozen, mask);
        assert!(request.options.saturate);
        assert_eq!(request.options.objective, Objective::Size);
        assert_eq!(request.options.activation_bits, Some(10));
        assert_eq!(request.options.weight_bits, Some(8));
        let visibility = [("inputs".to_string(), Visibility::Public)];
        assert_eq!(request.options.visibility, visibility);
        assert_eq!(
            request.blinding_key,
            Some(PathBuf::from("/package/secret/x.blinding"))
        );
    }

    #[test]
    fn files_are_published_over_old_ones() {
        let folder = tempfile::tempdir().expect("a directory");
        let [entry, output] = ["entry", "output"].map(|name| folder.path().join(name));
        for path in [&entry, &output] {
            fs::create_dir(path).expect("made");
        }
        let entry = Entry {
            directory: entry,
            name: "net".into(),
            files: Vec::new(),
        };
        for text in ["first", "second"] {
            for name in file_names("net") {
                // As the cache does: a new file in place of the old one.
                let _ = fs::remove_file(entry.directory.join(&name));
                fs::write(entry.directory.join(&name), text).expect("written");
            }
            publish(&entry, &output).expect("published");
            assert_eq!(
                fs::read_to_string(output.join("net.rs")).expect("there"),
                text
            );
        }
    }

    #[test]
    fn a_macro_finds_what_a_build_script_has_compiled() {
        let folder = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(folder.path().join("zkiln"));
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let Model(request) = model("models/tiny_mlp.onnx").samples("models/tiny_mlp.samples.jsonl");
        let request = request.within(&package);
        let (entry, source) = written(&cache, &request, folder.path()).expect("compiles");
        assert_eq!(source, folder.path().join("tiny_mlp.rs"));
        assert_eq!(
            entry.files,
            [
                request.path.clone(),
                request.samples[0].clone(),
                request.path.with_extension("blinding")
            ]
        );
        let tokens = included(&cache, &request).expect("is there").to_string();
        assert!(
            tokens.contains("pub mod tiny_mlp")
                && tokens.contains("compile_again_when_these_change")
        );
        let log = fs::read_to_string(folder.path().join("zkiln/compilations")).expect("a log");
        assert_eq!(log.lines().count(), 1);
    }

    #[test]
    fn errors_read_the_same_in_a_failed_build() {
        let error = BuildError::from(CompileError::Samples("no".into()));
        assert_eq!(
            format!("{error:?}"),
            "sample inputs do not fit the model: no"
        );
        assert!(
            BuildError::Variable("OUT_DIR")
                .to_string()
                .starts_with("`OUT_DIR` is not set")
        );
    }
}
