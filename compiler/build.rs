//! Tells the compiler its own digest: what another version of it has made is not used.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() {
    let mut hasher = DefaultHasher::new();
    // Beside the compiler is the runtime, except in a published package: then the version says all.
    for sources in ["src", "../runtime/src"].map(Path::new) {
        if sources.is_dir() {
            println!("cargo::rerun-if-changed={}", sources.display());
            for file in files(sources) {
                file.hash(&mut hasher);
                fs::read(&file)
                    .expect("a source can be read")
                    .hash(&mut hasher);
            }
        }
    }
    println!("cargo::rustc-env=ZKILN_SOURCES={:016x}", hasher.finish());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder can be listed");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    let expand = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    paths.into_iter().flat_map(expand).collect()
}
