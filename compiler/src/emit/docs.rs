//! The documentation of a module: what it computes in a line, figures, and the table of what is proved.

use super::describe::quoted;
use super::{signature, table};
use crate::program::{Compiled, Ranges};
use crate::text::hex;

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
            "A proof has {} bytes and {} bits of security. Model digest `{}`.",
            thousands(compiled.proof_bytes as u64),
            compiled.security_bits,
            hex(&compiled.digest),
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
