//! Files that tests replay.

use std::path::Path;

/// Runs a target's body on each of its seeds and of its regressions.
pub fn all(target: &str, body: impl Fn(&[u8])) {
    // Beside the crate's own folder, or in it.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fuzz = ["fuzz", "../fuzz"].map(|folder| root.join(folder));
    let fuzz = fuzz
        .iter()
        .find(|folder| folder.is_dir())
        .expect("a folder");
    for folder in ["seeds", "regressions"].map(|kind| fuzz.join(kind).join(target)) {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("listed").path();
            let bytes = std::fs::read(&path).expect("read");
            println!("{}", path.display());
            body(&bytes);
        }
    }
}
