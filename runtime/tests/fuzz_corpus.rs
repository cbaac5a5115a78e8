//! The fuzz targets' seeds, and what they once found: replayed.

#[path = "../../fuzz/bodies/key.rs"]
mod key;
#[path = "../../fuzz/bodies/proof.rs"]
mod proof;
#[path = "../../fuzz/bodies/replay.rs"]
mod replay;
mod support;

#[test]
fn proofs() {
    replay::all("proof", proof::run);
}

#[test]
fn keys() {
    replay::all("key", key::run);
}
