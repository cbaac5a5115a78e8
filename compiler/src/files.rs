//! Files that appear whole, and secrets that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zkiln_runtime::randomness::system_seed;

use crate::text::hex;

/// Writes a whole file that only its owner can read, whatever stood there before.
///
/// # Errors
/// From the operating system; then the old file is as it was.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = secret_aside(path, bytes)?;
    fs::rename(&aside, path).inspect_err(|_| drop(fs::remove_file(&aside)))
}

/// Writes a secret file unless there is a file of that name; whether it did.
///
/// # Errors
/// From the operating system.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let aside = secret_aside(path, bytes)?;
    // Linked into place, so that nobody reads half of it.
    let linked = fs::hard_link(&aside, path);
    let _ = fs::remove_file(&aside);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A new file beside `path`, readable by its owner from the first byte on.
fn secret_aside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}", hex(&system_seed()[..8])));
    let aside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(aside),
        Err(error) => {
            let _ = fs::remove_file(&aside);
            Err(error)
        }
    }
}
