//! House rules that a machine can check. Every finding is `file:line`.

mod house;

use std::collections::{BTreeMap, BTreeSet};

use house::functions::{self, Function, functions};
use house::layers::{House, is_for_tests};
use house::source::{production, without_comments_and_literals};
use house::{Finding, files, report, root};

/// Files that verifying runs through. Each marks what a verifier executes between `// verify-path: begin` and
/// `// verify-path: end`; a file that is not listed may have such marks too.
const VERIFY_PATH: &[&str] = &[
    "runtime/src/argument/closing/mod.rs",
    "runtime/src/argument/contraction/mod.rs",
    "runtime/src/argument/folding.rs",
    "runtime/src/argument/logup/mod.rs",
    "runtime/src/argument/opening/mod.rs",
    "runtime/src/argument/schedule/axis.rs",
    "runtime/src/argument/schedule/bounds.rs",
    "runtime/src/argument/schedule/cost.rs",
    "runtime/src/argument/schedule/functional.rs",
    "runtime/src/argument/schedule/leaves.rs",
    "runtime/src/argument/schedule/mod.rs",
    "runtime/src/argument/schedule/pieces.rs",
    "runtime/src/argument/schedule/rows.rs",
    "runtime/src/commitment/encoding.rs",
    "runtime/src/protocol/coefficients.rs",
    "runtime/src/protocol/commitment.rs",
    "runtime/src/protocol/key.rs",
    "runtime/src/protocol/mod.rs",
    "runtime/src/protocol/proof.rs",
    "runtime/src/protocol/statement.rs",
    "runtime/src/protocol/verifier.rs",
    "runtime/src/statement/algebra.rs",
    "runtime/src/statement/constraints.rs",
    "runtime/src/statement/hidden.rs",
    "runtime/src/statement/relations/exact.rs",
    "runtime/src/statement/relations/limbs.rs",
    "runtime/src/statement/relations/map.rs",
    "runtime/src/statement/relations/mod.rs",
    "runtime/src/statement/relations/one_hot.rs",
    "runtime/src/statement/relations/quotient.rs",
    "runtime/src/statement/relations/requant.rs",
    "runtime/src/statement/relations/row_max.rs",
    "runtime/src/statement/validate/mod.rs",
    "runtime/src/transcript/affine_form.rs",
    "runtime/src/transcript/mod.rs",
    "runtime/src/transcript/verifier.rs",
];

/// The compiler's rooms are its pipeline; `graph` is the waist between `onnx` and `lower`, which never see each other.
const COMPILER: House = House {
    source: "compiler/src/",
    rooms: &[
        "text",
        "files",
        "diagnostic",
        "frozen",
        "graph",
        "ports",
        "tensors",
        "error",
        "settings",
        "options",
        "scale",
        "program",
        "onnx",
        "lower",
        "calibrate",
        "prepare",
        "accuracy",
        "emit",
        "driver",
    ],
    strangers: &[("lower", "onnx")],
    macros: &[],
    whole: &[],
};

/// The runtime's rooms: what everything rests on first, the order of the steps last.
const RUNTIME: House = House {
    source: "runtime/src/",
    rooms: &[
        "error",
        "field",
        "randomness",
        "commitment",
        "transcript",
        "statement",
        "witness",
        "argument",
        "protocol",
        "codegen",
        "weights",
    ],
    strangers: &[],
    macros: &["columns", "tables"],
    // A model has relations, and a relation is about the columns of a model.
    whole: &["statement"],
};

/// Names that two files of the compiler may have: an operator's meaning in `onnx/translate`, and its lowering in `lower/ops`.
const PAIRS: [&str; 2] = ["onnx/translate/", "lower/ops/"];

/// Lines of a file that still fits a head.
const LINES: usize = 600;

#[test]
fn nothing_is_unfinished() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
    ];
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        for (line, content) in (1..).zip(text.lines()) {
            for mark in marks.iter().filter(|mark| content.contains(**mark)) {
                let what = format!("`{mark}`");
                findings.push(Finding {
                    place: place.clone(),
                    line,
                    what,
                });
            }
        }
    }
    report(&findings);
}

#[test]
fn files_fit_a_head() {
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        let line = text.lines().count();
        let generated = text
            .lines()
            .next()
            .is_some_and(|first| first.contains("@generated"));
        if line > LINES && !generated {
            findings.push(Finding {
                place,
                line,
                what: format!("more than {LINES} lines"),
            });
        }
    }
    report(&findings);
}

/// What only files of eight lanes may contain.
const AVX512: &[&str] = &[
    concat!("_mm", "512"),
    concat!("__m", "512"),
    concat!("\"avx", "512"),
];

#[test]
fn eight_lanes_are_in_files_named_after_them() {
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        if place.contains(concat!("avx", "512")) {
            continue;
        }
        for (line, content) in (1..).zip(text.lines()) {
            if let Some(word) = AVX512.iter().find(|word| content.contains(**word)) {
                findings.push(Finding {
                    place: place.clone(),
                    line,
                    what: format!("`{word}` belongs into `avx512/` or a file `*_avx512.rs`"),
                });
            }
        }
    }
    report(&findings);
}

#[test]
fn layers_hold() {
    let files = files("rs");
    let mut findings = COMPILER.findings(&files);
    findings.extend(RUNTIME.findings(&files));
    report(&findings);
}

/// Only `onnx/` knows how ONNX files are read.
#[test]
fn tract_stays_in_its_room() {
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        let Some(own) = place.strip_prefix("compiler/src/") else {
            continue;
        };
        if own.starts_with("onnx/") || is_for_tests(own) {
            continue;
        }
        for (line, content) in (1..).zip(production(&text).lines()) {
            if content.contains("tract_") {
                findings.push(Finding {
                    place: place.clone(),
                    line,
                    what: "`tract` outside `onnx/`".into(),
                });
            }
        }
    }
    report(&findings);
}

/// Only `commitment/` knows which group it is, but for the file that names the group's fields.
#[test]
fn the_curve_stays_in_its_room() {
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        let own = place.strip_prefix("runtime/src/").unwrap_or_default();
        if own.starts_with("commitment/") || own == "field/modulus.rs" || own.is_empty() {
            continue;
        }
        for (line, content) in (1..).zip(text.lines()) {
            if content.to_lowercase().contains("bn254") || content.contains("G1") {
                let (place, what) = (place.clone(), "the curve outside `commitment/`".into());
                findings.push(Finding { place, line, what });
            }
        }
    }
    report(&findings);
}

#[test]
fn functions_fit_a_screen() {
    let mut findings = Vec::new();
    for (place, text) in files("rs") {
        let own = place.split("src/").nth(1).unwrap_or("tests");
        if !place.contains("src/") || is_for_tests(own) {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        for function in functions(&text) {
            let Function {
                line,
                name,
                lines: length,
                arguments,
            } = function;
            let long = (length > functions::LINES).then(|| format!("{length} lines"));
            let many = (arguments > functions::ARGUMENTS).then(|| format!("{arguments} arguments"));
            for what in [long, many].into_iter().flatten() {
                // Clippy's own attribute above the function may say why.
                let above = lines[line.saturating_sub(8)..line - 1].join("\n");
                if !(above.contains("clippy::too_many_") && above.contains("reason =")) {
                    findings.push(Finding {
                        place: place.clone(),
                        line,
                        what: format!("`{name}` has {what}"),
                    });
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn a_module_is_a_file_or_a_folder() {
    let all = files("rs");
    let mut findings = Vec::new();
    for (place, _) in &all {
        let folder = place.replace(".rs", "/");
        if all.iter().any(|(other, _)| other.starts_with(&folder)) {
            findings.push(Finding {
                place: place.clone(),
                line: 1,
                what: format!("it stands beside the folder {folder}: make it {folder}mod.rs"),
            });
        }
    }
    report(&findings);
}

#[test]
fn names_of_files_tell_them_apart() {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, _) in files("rs") {
        let Some(own) = place.strip_prefix("compiler/src/") else {
            continue;
        };
        let name = own.rsplit('/').next().unwrap_or(own).to_owned();
        let paired = PAIRS.iter().position(|folder| own.starts_with(folder));
        let kept = !is_for_tests(own) && name != "mod.rs";
        if kept {
            // The two of a pair count apart.
            let key = paired.map_or(name.clone(), |side| format!("{name} {side}"));
            known.entry(key).or_default().push(place.clone());
            if paired.is_some() {
                known.entry(name).or_default();
            }
        }
    }
    let twice = known.iter().filter(|(_, places)| places.len() > 1);
    let findings: Vec<Finding> = twice
        .map(|(name, places)| Finding {
            place: places[0].clone(),
            line: 1,
            what: format!("{name} is also {}", places[1..].join(", ")),
        })
        .collect();
    report(&findings);
}

#[test]
fn dependencies_have_reasons() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let reasons = named_in_tables(&architecture);
    let mut findings = Vec::new();
    for (place, text) in files("toml")
        .iter()
        .filter(|(place, _)| place.ends_with("Cargo.toml"))
    {
        for (line, name) in dependencies(text) {
            if !name.starts_with("zkiln") && !reasons.contains(&name) {
                let what = format!("`{name}` has no row in ARCHITECTURE.md");
                findings.push(Finding {
                    place: place.clone(),
                    line,
                    what,
                });
            }
        }
    }
    report(&findings);
}

/// Words in backquotes in the first cells of tables; `-tail` continues the word before it.
fn named_in_tables(markdown: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in markdown.lines().filter_map(|line| line.strip_prefix('|')) {
        let first = row.split('|').next().unwrap_or_default();
        let mut last = "";
        for word in first.split('`').skip(1).step_by(2) {
            match word.starts_with('-') {
                true => names.insert(format!("{last}{word}")),
                false => names.insert(word.to_owned()),
            };
            last = word;
        }
    }
    names
}

/// Keys of all dependency tables: line and name.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            inside = line.trim_end().ends_with("dependencies]");
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let name: String = line
                .chars()
                .take_while(|&c| c.is_alphanumeric() || "-_".contains(c))
                .collect();
            found.push((number, name));
        }
    }
    found
}

#[test]
fn verifying_cannot_panic() {
    let mut findings = Vec::new();
    let mut marked = BTreeSet::new();
    for (place, text) in files("rs") {
        let regions = verify_regions(&text);
        if !regions.iter().any(|&inside| inside) || place.starts_with("tests/") {
            continue;
        }
        findings.extend(panic_sites(&place, &text, &regions));
        marked.insert(place);
    }
    report(&findings);
    for file in VERIFY_PATH {
        assert!(marked.contains(*file), "{file}: no `// verify-path: begin`");
    }
}

/// For each line, whether it lies between the marks.
fn verify_regions(text: &str) -> Vec<bool> {
    let mut inside = false;
    let mut regions = Vec::new();
    for line in text.lines() {
        match line.trim() {
            "// verify-path: begin" => inside = true,
            "// verify-path: end" => inside = false,
            _ => {}
        }
        regions.push(inside);
    }
    regions
}

/// Calls that panic on some argument.
const PANICKING: &[&str] = &[
    ".unwrap(",
    ".unwrap_err(",
    ".expect(",
    ".expect_err(",
    "assert!",
    "assert_eq!",
    "assert_ne!",
    "panic!",
    "unreachable!",
    ".split_at(",
    ".split_at_mut(",
    ".split_off(",
    ".swap_remove(",
    ".remove(",
    ".swap(",
    "copy_from_slice(",
    "clone_from_slice(",
    "copy_within(",
];

/// Calls that panic when their argument is zero.
const NO_ZERO: &[&str] = &[
    ".chunks(",
    ".chunks_exact(",
    ".par_chunks(",
    ".par_chunks_exact(",
    ".windows(",
    ".step_by(",
];

/// Panic sites on the lines of the regions.
fn panic_sites(place: &str, text: &str, regions: &[bool]) -> Vec<Finding> {
    let code = without_comments_and_literals(text);
    let originals: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        if !regions[index] {
            continue;
        }
        let mut found = |what: String| {
            findings.push(Finding {
                place: place.to_owned(),
                line: index + 1,
                what,
            });
        };
        for call in PANICKING.iter().filter(|call| line.contains(**call)) {
            found(format!("`{call}` panics"));
        }
        for call in NO_ZERO {
            let mut calls = line.match_indices(call);
            let unknown = calls.any(|(at, _)| !literal(&line[at + call.len()..]));
            if unknown && !says_length(&originals, index) {
                found(format!(
                    "`{call}` panics on zero: say `// len: ...` beside it"
                ));
            }
        }
        if indexes(line) {
            found("indexing panics: use `get`".into());
        }
        if divides(line) {
            found("division by something else than a literal".into());
        }
        if line.contains(".zip(") && !says_length(&originals, index) {
            found("`.zip(` truncates: say `// len: ...` beside it, and why it cannot".into());
        }
    }
    findings
}

/// On the line itself or one of the two above.
fn says_length(lines: &[&str], index: usize) -> bool {
    lines[index.saturating_sub(2)..=index]
        .iter()
        .any(|line| line.contains("// len"))
}

/// A bracket right after a value, as in `x[i]`, `f()[i]`, `x[i][j]`; not `#[...]`, `vec![...]`, `&[...]`.
fn indexes(line: &str) -> bool {
    let mut pairs = line.chars().zip(line.chars().skip(1));
    pairs.any(|(before, c)| c == '[' && (before.is_alphanumeric() || "_)]?".contains(before)))
}

fn divides(line: &str) -> bool {
    line.match_indices(['/', '%']).any(|(at, _)| {
        let rest = &line[at + 1..];
        !literal(rest.strip_prefix('=').unwrap_or(rest))
    })
}

/// Starts with a number that is not zero.
fn literal(text: &str) -> bool {
    let text = text.trim_start();
    let digits: String = text
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '_')
        .collect();
    digits.chars().any(|c| ('1'..='9').contains(&c))
}

mod scanner {
    use super::*;

    fn sites(code: &str) -> Vec<(usize, String)> {
        let text = format!("// verify-path: begin\n{code}\n// verify-path: end\nx.unwrap();\n");
        let found = panic_sites("f.rs", &text, &verify_regions(&text));
        found.into_iter().map(|f| (f.line - 1, f.what)).collect()
    }

    #[test]
    fn finds_every_kind() {
        for code in [
            "x.unwrap();",
            "x.expect(\"y\");",
            "assert!(x);",
            "debug_assert_eq!(x, y);",
            "panic!();",
            "unreachable!()",
            "let y = x[0];",
            "f()[1..]",
            "&x?[i]",
            "x[i][j]",
            "a / b",
            "a % (b)",
            "a /= b;",
            "a / 0",
            "x.split_at(3)",
            "x.copy_from_slice(y)",
            "x.chunks(n)",
            "a.iter().zip(b)",
        ] {
            assert_eq!(sites(code).len(), 1, "{code}: {:?}", sites(code));
        }
    }

    #[test]
    fn lets_harmless_code_pass() {
        for code in [
            "x.unwrap_or(1);",
            "vec![0; 3]",
            "#[derive(Debug)]",
            "fn f(x: &[u8; 32]) -> &'a [[u8; 2]] {}",
            "let [a, b] = x;",
            "a / 2 + b % 8",
            "a /= 2;",
            "// x.unwrap() / y",
            "/* x[0] /* nested */ y[1] */",
            "\"x[0] / \\\" .unwrap()\"",
            "r#\"x[0] \" y[0]\"#",
            "let c = '['; let d = '\\'';",
            "x.chunks(8)",
            "// len: n is a row\nx.chunks(n)",
            "a.iter().zip(b) // len: checked",
            "// len: both are rounds\na\n.zip(b)",
            "x.split_at_checked(3)",
        ] {
            assert_eq!(sites(code), [], "{code}");
        }
    }

    #[test]
    fn knows_lines_and_regions() {
        assert_eq!(sites("a;\n\nx.unwrap();")[0].0, 3);
        let text = "x.unwrap();\n// verify-path: begin\n// verify-path: end\ny[0]\n";
        assert_eq!(panic_sites("f.rs", text, &verify_regions(text)), []);
        let finding = Finding {
            place: "f.rs".into(),
            line: 3,
            what: "x".into(),
        };
        assert_eq!(finding.to_string(), "f.rs:3: x");
    }

    #[test]
    fn reads_manifests_and_tables() {
        let manifest =
            "[package]\nname = \"x\"\n[dev-dependencies]\nrayon.workspace = true\nclap = \"4\"\n";
        let expected = [(4, "rayon".to_owned()), (5, "clap".to_owned())];
        assert_eq!(dependencies(manifest), expected);
        let names = named_in_tables("| `a`, `b` 0.6 | `c` |\n| `d` (`-e`) | x |\n`f`");
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["a", "b", "d", "d-e"]
        );
    }
}
