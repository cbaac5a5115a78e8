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
#[test]
#[ignore]
fn write() {
    let d = "/work/wt/fuzz/fuzz/seeds/key/";
    for (k, m) in key::models().iter().enumerate() {
        let b = postcard::to_allocvec(m).unwrap();
        if k == 4 || k == 0 {
            std::fs::write(format!("{d}model-{k}"), [&[1], &*b].concat()).unwrap();
        }
        if k == 8 || k == 4 {
            std::fs::write(format!("{d}model-{k}"), [&[1], &*b].concat()).unwrap();
            std::fs::write(format!("{d}key-{k}"), [&[0], &*key::around(&b)].concat()).unwrap();
        }
    }
}
