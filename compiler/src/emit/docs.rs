//! The documentation of a module: what it computes in a line, figures, and the table of what is proved.

use super::describe::quoted;
use super::{signature, table};
use crate::program::{Compiled, Ranges};
use crate::text::hex;
use zkiln_runtime::commitment::{BEST_ATTACK, GROUP};

/// Lines of the module's documentation.
pub fn documentation(compiled: &Compiled) -> Vec<String> {
    let lowered = &compiled.lowered;
    let mut lines = vec![
        format!("`{}`", quoted(&signature::signature(lowered))),
        String::new(),
        format!(
            "`{}`, compiled to prove its own execution: {} parameters, {} ONNX nodes.",
            lowered.model.name,
            thousands(lowered.parameters),
            thousands(lowered.onnx_nodes),
        ),
        format!(
            "A proof has {} bytes. Model digest `{}`.",
            thousands(compiled.proof_bytes as u64),
            hex(&compiled.digest),
        ),
        format!(
            "The error of its argument is below `2^-{}`, if its commitments bind: a discrete logarithm in {GROUP} costs about `2^{}` operations.",
            compiled.statistical_bits, BEST_ATTACK.bits,
        ),
    ];
    if lowered.ranges == Ranges::Guessed {
        lines.push(
            "Its value ranges are guesses from random inputs: give typical ones as `samples`, or `settings` that `zkiln calibrate` made.".into(),
        );
    }
    lines.extend([
        String::new(),
        "Each row is a constant below, with its equations above it.".into(),
        String::new(),
    ]);
    lines.extend(table::table(lowered));
    let spaced = |line: &String| {
        if line.is_empty() {
            String::new()
        } else {
            format!(" {line}")
        }
    };
    lines.iter().map(spaced).collect()
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}
