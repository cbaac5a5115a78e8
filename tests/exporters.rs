//! Small models as real exporters write them, through integer inference, proof and verification, against what onnxruntime computes.
//!
//! `tests/exporters/` has the exporters, makes these files, and tries all of about 80 architectures.

mod command;

#[test]
fn what_exporters_write_is_right() {
    let folder = "tests/exporters/cases";
    let report = command::zkiln(&["conformance", folder, "--prove", "--json"]).json();
    assert_eq!(report["right"], report["cases"], "{report:#}");
}
