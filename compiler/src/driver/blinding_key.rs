//! The weight blinding key of a model: the secret from which the blinding of its weights' commitments is derived.
//!
//! With the same model, options and blinding key, a verifier key comes out the same on every machine; without the blinding key nobody can
//! tell whether a verifier key is that of given weights. It is a file of 64 hexadecimal digits beside the model, `MODEL.blinding`, made from
//! the operating system's randomness when it is missing. It belongs to the proving side: keep it with the weights, and as secret.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zkiln_runtime::randomness::{SEED_BYTES, system_seed};

use crate::error::CompileError;
use crate::files::create_secret;
use crate::text::{hex, unhex};

/// A secret of 32 bytes.
pub type BlindingKey = [u8; SEED_BYTES];

/// The name that such files had before: it is read where there is no file of the new name.
const OLD_EXTENSION: &str = "salt";

/// Where the blinding key of a model is unless something else is chosen: `models/x.onnx` has `models/x.blinding`, or `models/x.salt`, as it
/// was called before, if there is only that.
pub fn beside(model: &Path) -> PathBuf {
    let (path, old) = (
        model.with_extension("blinding"),
        model.with_extension(OLD_EXTENSION),
    );
    if old.exists() && !path.exists() {
        return old;
    }
    path
}

/// What to tell people of a file that has the old name.
pub fn note(path: &Path) -> Option<String> {
    let old = path
        .extension()
        .is_some_and(|extension| extension == OLD_EXTENSION);
    let renamed = path.with_extension("blinding");
    let note = || {
        let (path, renamed) = (path.display(), renamed.display());
        format!("`{path}` is a blinding key under its old name: rename it to `{renamed}`")
    };
    old.then(note)
}

/// A blinding key that nothing keeps: the verifier key made with it cannot be made again.
pub fn ephemeral() -> BlindingKey {
    system_seed()
}

/// The blinding key in the file at `path`, which is made if it is missing.
///
/// # Errors
/// [`CompileError::BlindingKey`] if the file holds something else, [`CompileError::Read`] and [`CompileError::BlindingKeyNotMade`].
pub fn read_or_create(path: &Path) -> Result<BlindingKey, CompileError> {
    match read(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// The blinding key in the file at `path`, if there is one.
///
/// # Errors
/// [`CompileError::BlindingKey`] if the file holds something else, [`CompileError::Read`].
pub fn read(path: &Path) -> Result<Option<BlindingKey>, CompileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.display().to_string();
            return Err(CompileError::Read { path, source });
        }
    };
    let digits = text.trim();
    let key = unhex(digits).and_then(|bytes| bytes.try_into().ok());
    let key = key.ok_or_else(|| CompileError::BlindingKey {
        path: path.display().to_string(),
        reason: format!("it has {} characters", digits.chars().count()),
    });
    key.map(Some)
}

/// Makes a file that only its owner can read, or reads the one that another process has made in the meantime.
fn create(path: &Path) -> Result<BlindingKey, CompileError> {
    let failed = |source| CompileError::BlindingKeyNotMade {
        path: path.display().to_string(),
        source,
    };
    let key = ephemeral();
    let text = format!("{}\n", hex(&key));
    if create_secret(path, text.as_bytes()).map_err(failed)? {
        return Ok(key);
    }
    let gone = || failed(io::Error::other("another process made and removed it"));
    read(path)?.ok_or_else(gone)
}

#[cfg(test)]
mod tests {
    use crate::driver::blinding_key::*;

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = beside(&folder.path().join("net.onnx"));
        assert_eq!(path, folder.path().join("net.blinding"));
        assert_eq!(read(&path).expect("readable"), None);
        let key = read_or_create(&path).expect("made");
        assert_eq!(read_or_create(&path).expect("read"), key);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn threads_at_once_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.blinding");
        let keys: Vec<BlindingKey> = std::thread::scope(|scope| {
            let reads = (0..8).map(|_| scope.spawn(|| read_or_create(&path).expect("a key")));
            let reads: Vec<_> = reads.collect();
            reads
                .into_iter()
                .map(|read| read.join().expect("no panic"))
                .collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        for text in [
            "",
            "00",
            &"0".repeat(63),
            &"g".repeat(64),
            &"\u{e4}".repeat(32),
        ] {
            fs::write(&path, text).expect("written");
            assert!(matches!(read(&path), Err(CompileError::BlindingKey { .. })));
        }
        let nowhere = folder.path().join("missing").join("key");
        let refused = read_or_create(&nowhere);
        assert!(matches!(
            refused,
            Err(CompileError::BlindingKeyNotMade { .. })
        ));
    }

    #[test]
    fn a_file_of_the_old_name_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("net.onnx");
        let (old, new) = (
            folder.path().join("net.salt"),
            folder.path().join("net.blinding"),
        );
        fs::write(&old, "ab".repeat(32)).expect("written");
        assert_eq!(beside(&model), old);
        assert!(note(&old).is_some() && note(&new).is_none());
        assert_eq!(read(&beside(&model)).expect("a key"), Some([0xab; 32]));
        fs::write(&new, "cd".repeat(32)).expect("written");
        assert_eq!(beside(&model), new);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_a_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.blinding");
        read_or_create(&path).expect("made");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
