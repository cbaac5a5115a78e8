//! The salt of a model: the secret from which the blinding of its weights' commitments is derived.
//!
//! With the same model, options and salt a key comes out the same, on every machine; without the salt nobody can tell whether a key is
//! that of given weights. It is a file of 64 hexadecimal digits beside the model, `MODEL.salt`, made from the operating system's
//! randomness when it is missing. It belongs to the proving side: keep it with the weights, and as secret.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zkiln_runtime::randomness::{SEED_BYTES, system_seed};

use crate::emit::hex;
use crate::error::CompileError;

/// A secret of 32 bytes.
pub type Salt = [u8; SEED_BYTES];

/// Where the salt of a model is unless something else is chosen: `models/x.onnx` has `models/x.salt`.
pub fn beside(model: &Path) -> PathBuf {
    model.with_extension("salt")
}

/// A salt that nothing keeps: the key made with it cannot be made again.
pub fn ephemeral() -> Salt {
    system_seed()
}

/// The salt in the file at `path`, which is made if it is missing.
///
/// # Errors
/// [`CompileError::Salt`] if the file holds something else, [`CompileError::Read`] and [`CompileError::SaltNotMade`].
pub fn read_or_create(path: &Path) -> Result<Salt, CompileError> {
    match read(path)? {
        Some(salt) => Ok(salt),
        None => create(path),
    }
}

/// The salt in the file at `path`, if there is one.
///
/// # Errors
/// [`CompileError::Salt`] if the file holds something else, [`CompileError::Read`].
pub fn read(path: &Path) -> Result<Option<Salt>, CompileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.display().to_string();
            return Err(CompileError::Read { path, source });
        }
    };
    let salt = parse(text.trim()).map_err(|reason| CompileError::Salt {
        path: path.display().to_string(),
        reason,
    });
    salt.map(Some)
}

fn parse(digits: &str) -> Result<Salt, String> {
    let mut salt = [0; SEED_BYTES];
    if digits.len() != 2 * SEED_BYTES || !digits.is_ascii() {
        return Err(format!("it has {} characters", digits.len()));
    }
    for (byte, at) in salt.iter_mut().zip((0..).step_by(2)) {
        let pair = &digits[at..at + 2];
        *byte = u8::from_str_radix(pair, 16).map_err(|_| format!("it contains `{pair}`"))?;
    }
    Ok(salt)
}

/// Makes a file that only its owner can read, or reads the one that somebody else has made in the meantime.
fn create(path: &Path) -> Result<Salt, CompileError> {
    let failed = |source| CompileError::SaltNotMade {
        path: path.display().to_string(),
        source,
    };
    let salt = ephemeral();
    // Written aside and linked into place, so that nobody reads half of it.
    let aside = path.with_extension(format!("salt.{}", hex(&ephemeral()[..8])));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside).map_err(failed)?;
    let written = writeln!(file, "{}", hex(&salt)).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    match linked {
        Ok(()) => Ok(salt),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let gone = || failed(io::Error::other("another process made and removed it"));
            read(path)?.ok_or_else(gone)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::salt::*;

    #[test]
    fn a_salt_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = beside(&folder.path().join("net.onnx"));
        assert_eq!(path, folder.path().join("net.salt"));
        assert_eq!(read(&path).expect("readable"), None);
        let salt = read_or_create(&path).expect("made");
        assert_eq!(read_or_create(&path).expect("read"), salt);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn threads_at_once_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.salt");
        let salts: Vec<Salt> = std::thread::scope(|scope| {
            let reads = (0..8).map(|_| scope.spawn(|| read_or_create(&path).expect("a salt")));
            let reads: Vec<_> = reads.collect();
            reads
                .into_iter()
                .map(|read| read.join().expect("no panic"))
                .collect()
        });
        assert!(salts.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn what_is_no_salt_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("salt");
        for text in [
            "",
            "00",
            &"0".repeat(63),
            &"g".repeat(64),
            &"\u{e4}".repeat(32),
        ] {
            fs::write(&path, text).expect("written");
            assert!(matches!(read(&path), Err(CompileError::Salt { .. })));
        }
        let nowhere = folder.path().join("missing").join("salt");
        let refused = read_or_create(&nowhere);
        assert!(matches!(refused, Err(CompileError::SaltNotMade { .. })));
    }
}
