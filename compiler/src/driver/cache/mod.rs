//! Compiled models in the target directory, found by the content of what they were made from.
//!
//! | in `target/zkiln/` | what |
//! |---|---|
//! | `<key>/` | a module with its side files; appears whole, by a rename |
//! | `stamps/<request>` | lengths and times of the files that gave a key, so that unchanged files need not be read |
//! | `locks/<key>` | held by the process that compiles; others wait and use its result |
//! | `compilations` | one line for each compilation, of the key, the name, the path and the milliseconds |
//!
//! A key is a digest of the files' bytes, the options, and the compiler. Build scripts, macros and editors share the directory, at the
//! same time.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};
use zkiln_runtime::weights::digest;

use crate::driver::compile::Request;
use crate::emit::{Generated, file_names};
use crate::error::CompileError;
use crate::files::write_secret;
use crate::onnx::external;
use crate::text::hex;

/// Which compiler made an entry: its version and its sources.
const COMPILER: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("ZKILN_SOURCES"));

/// A file that was changed this shortly before it was read may change again without a new time.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

/// A directory of compiled models.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// A compiled model in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the module and its side files are.
    pub directory: PathBuf,
    /// Name of the module.
    pub name: String,
    /// All files that the module was made from: the model first.
    pub files: Vec<PathBuf>,
}

impl Entry {
    /// Path of the module.
    pub fn source(&self) -> PathBuf {
        let [source, ..] = file_names(&self.name);
        self.directory.join(source)
    }

    fn is_complete(&self) -> bool {
        let names = file_names(&self.name);
        names.iter().all(|name| self.directory.join(name).is_file())
    }
}

impl Cache {
    /// The cache in the target directory of the package that is being compiled.
    pub fn of_this_build() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        let target = target_directory(variable, std::env::args_os().collect());
        Self::at(target.join("zkiln"))
    }

    /// A cache in any directory, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The entry of `request`, made by `compile` if there is none.
    ///
    /// # Errors
    /// What `compile` returns; [`CompileError::Read`] and [`CompileError::Write`].
    pub fn get(
        &self,
        request: &Request,
        compile: impl FnOnce() -> Result<Generated, CompileError>,
    ) -> Result<Entry, CompileError> {
        let (key, files) = self.key(request)?;
        let entry = Entry {
            directory: self.root.join(&key),
            name: request.module_name(),
            files,
        };
        if entry.is_complete() {
            return Ok(entry);
        }
        let _lock = self.lock(&key);
        if !entry.is_complete() {
            let start = Instant::now();
            let generated = compile()?;
            self.log(&key, request, start.elapsed());
            self.store(&entry, &generated)
                .map_err(|source| CompileError::Write {
                    path: entry.directory.display().to_string(),
                    source,
                })?;
        }
        Ok(entry)
    }

    /// Waits until no other process compiles the same. Where locks are not supported, processes may do the same work.
    fn lock(&self, key: &str) -> Option<File> {
        let path = self.root.join("locks").join(key);
        fs::create_dir_all(path.parent()?).ok()?;
        let file = File::create(path).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    /// Writes all files aside and moves them into place at once.
    fn store(&self, entry: &Entry, generated: &Generated) -> io::Result<()> {
        let aside = self.aside();
        fs::create_dir_all(&aside)?;
        for (name, bytes) in generated.files() {
            let path = aside.join(&name);
            if name.ends_with(".weights") {
                write_secret(&path, bytes)?;
            } else {
                fs::write(&path, bytes)?;
            }
        }
        if entry.directory.exists() && !entry.is_complete() {
            fs::remove_dir_all(&entry.directory)?;
        }
        let moved = fs::rename(&aside, &entry.directory);
        if moved.is_err() && entry.is_complete() {
            // Somebody else was faster, with the same bytes.
            return fs::remove_dir_all(&aside);
        }
        moved
    }

    /// A path that no other thread or process uses.
    fn aside(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        self.root
            .join(format!("aside-{}-{next}", std::process::id()))
    }

    /// For tests and the curious; nothing depends on it.
    fn log(&self, key: &str, request: &Request, time: Duration) {
        let (name, path) = (request.module_name(), request.path.display());
        let line = format!("{key} {name} {path} {}\n", time.as_millis());
        let options = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.root.join("compilations"));
        let _ = options.and_then(|mut file| file.write_all(line.as_bytes()));
    }

    /// The key of `request` and the files that it covers; reads the files only if they may have changed.
    fn key(&self, request: &Request) -> Result<(String, Vec<PathBuf>), CompileError> {
        let path = self.root.join("stamps").join(request_digest(request));
        if let Some(stamp) = Stamp::read(&path)
            && stamp.holds()
        {
            return Ok((stamp.key, stamp.files));
        }
        // Made if it is missing, since the key depends on it.
        request.blinding_key()?;
        let begin = SystemTime::now();
        let (key, files) = content_key(request)?;
        if let Some(stamp) = Stamp::new(begin, &key, &files) {
            stamp.write(&path, &self.aside());
        }
        Ok((key, files))
    }
}

/// Digest of the request's own fields.
fn request_digest(request: &Request) -> String {
    let mut hash = Sha3_256::new();
    hash.update(options_bytes(request));
    let paths = std::iter::once(&request.path).chain(&request.samples);
    let paths = paths.chain(request.frozen.iter().map(|(_, path)| path));
    let key = request.hides_weights().then(|| request.blinding_key_path());
    for path in paths.chain(&request.settings).chain(&key) {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        hash.update(digest(path.as_os_str().as_encoded_bytes()));
    }
    hex(&hash.finalize())
}

/// Digest of everything that the result depends on, and the files among it.
fn content_key(request: &Request) -> Result<(String, Vec<PathBuf>), CompileError> {
    let model = read(&request.path)?;
    let external = external::files(&model, &request.path);
    let mut hash = Sha3_256::new();
    hash.update(options_bytes(request));
    hash.update(digest(&model));
    drop(model);
    let others: Vec<PathBuf> = external
        .into_iter()
        .chain(request.samples.clone())
        .chain(request.frozen.iter().map(|(_, path)| path.clone()))
        .chain(request.settings.clone())
        .chain(request.hides_weights().then(|| request.blinding_key_path()))
        .collect();
    for path in &others {
        hash.update(digest(&read(path)?));
    }
    let files = std::iter::once(request.path.clone())
        .chain(others)
        .collect();
    Ok((hex(&hash.finalize()), files))
}

/// The compiler and the options, names of the module and the file among them: they stand in the module.
fn options_bytes(request: &Request) -> Vec<u8> {
    let mut options = request.options.clone();
    options.name = Some(request.module_name());
    options.dimensions.sort();
    let frozen: Vec<&String> = request.frozen.iter().map(|(name, _)| name).collect();
    let files = (request.samples.len(), frozen, request.settings.is_some());
    let fields = (COMPILER, request.origin(), options, files);
    postcard::to_allocvec(&fields).expect("options are plain data")
}

fn read(path: &Path) -> Result<Vec<u8>, CompileError> {
    fs::read(path).map_err(|source| CompileError::Read {
        path: path.display().to_string(),
        source,
    })
}

/// What some files were like when their key was computed.
#[derive(Serialize, Deserialize)]
struct Stamp {
    key: String,
    files: Vec<PathBuf>,
    states: Vec<State>,
}

/// What changes when a file changes.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct State {
    len: u64,
    modified: SystemTime,
    changed: (i64, i64),
}

impl State {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            len: metadata.len(),
            modified: metadata.modified().ok()?,
            changed: changed(&metadata),
        })
    }

    fn latest(&self) -> SystemTime {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        self.modified.max(changed)
    }
}

/// The time of the last change that no program can set.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

impl Stamp {
    /// The state of `files` read since `begin`; `None` if they could still change unnoticed.
    fn new(begin: SystemTime, key: &str, files: &[PathBuf]) -> Option<Self> {
        let states: Vec<State> = files
            .iter()
            .map(|path| State::of(path))
            .collect::<Option<_>>()?;
        let settled = states.iter().all(|state| {
            let age = begin.duration_since(state.latest());
            age.is_ok_and(|age| age > CLOCK_GRAIN)
        });
        settled.then(|| Self {
            key: key.into(),
            files: files.into(),
            states,
        })
    }

    fn holds(&self) -> bool {
        let holds = |(path, state): (&PathBuf, &State)| State::of(path).as_ref() == Some(state);
        self.files.len() == self.states.len() && self.files.iter().zip(&self.states).all(holds)
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Without a stamp the files are read again, so a failure is not an error.
    fn write(&self, path: &Path, aside: &Path) {
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            fs::write(aside, serde_json::to_vec(self)?)?;
            fs::rename(aside, path)
        };
        let _ = write();
    }
}

/// Cargo's target directory, as far as it can be told in a build script, in rustc, and in an editor's macro server.
fn target_directory(
    variable: impl Fn(&str) -> Option<OsString>,
    arguments: Vec<OsString>,
) -> PathBuf {
    let path = |name: &str| variable(name).map(PathBuf::from);
    let manifest = path("CARGO_MANIFEST_DIR").unwrap_or_default();
    let rustc_output = arguments
        .windows(2)
        .find(|pair| pair[0] == "--out-dir")
        .map(|pair| PathBuf::from(&pair[1]));
    let tagged = [path("OUT_DIR"), rustc_output]
        .into_iter()
        .flatten()
        .find_map(|output| tagged_ancestor(&output));
    let existing = || {
        let targets = manifest.ancestors().map(|folder| folder.join("target"));
        targets.into_iter().find(|target| target.is_dir())
    };
    tagged
        .or_else(|| path("CARGO_TARGET_DIR"))
        .or_else(existing)
        .unwrap_or_else(|| manifest.join("target"))
}

/// The outermost directory around `path` that Cargo has marked as its own.
fn tagged_ancestor(path: &Path) -> Option<PathBuf> {
    let tagged = path
        .ancestors()
        .filter(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.last().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests;
