//! House rules that a machine can check. Every finding is `file:line`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Files that verifying runs through. Each marks what a verifier executes between `// verify-path: begin` and
/// `// verify-path: end`; a file that is not listed may have such marks too.
const VERIFY_PATH: &[&str] = &[
    "runtime/src/argument/closing/mod.rs",
    "runtime/src/argument/contraction/mod.rs",
    "runtime/src/argument/folding.rs",
    "runtime/src/argument/logup/mod.rs",
    "runtime/src/argument/opening.rs",
    "runtime/src/argument/schedule/bounds.rs",
    "runtime/src/argument/schedule/cost.rs",
    "runtime/src/argument/schedule/functional.rs",
    "runtime/src/argument/schedule/leaves.rs",
    "runtime/src/argument/schedule/mod.rs",
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

/// Lines of a file that still fits a head.
const LINES: usize = 600;

/// Something that a rule forbids.
#[derive(Debug, PartialEq)]
struct Finding {
    place: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place, self.line, self.what)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this extension, outside build outputs and hidden folders: name from the root, and text.
fn files(extension: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), extension, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    found.into_iter().map(read).collect()
}

fn report(findings: &[Finding]) {
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}

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

/// Source text with the same lines, but blanks for comments, strings and character literals.
fn without_comments_and_literals(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = match literal_end(&characters, at) {
            Some(end) => end,
            None => {
                code.push(characters[at]);
                at += 1;
                continue;
            }
        };
        for &c in &characters[at..end] {
            code.push(if c == '\n' { '\n' } else { ' ' });
        }
        at = end;
    }
    code
}

/// Where the comment, string or character literal that starts here ends; `None` if none does.
fn literal_end(text: &[char], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let until = |end: Option<usize>| Some(end.map_or(text.len(), |len| at + len));
    match rest {
        ['/', '/', ..] => until(rest.iter().position(|&c| c == '\n')),
        ['/', '*', ..] => until(block_comment(rest)),
        ['"', ..] => until(quoted(rest, '"')),
        ['r', '"' | '#', ..] if !continues_word(text, at) => until(raw_string(rest)?),
        ['\'', '\\', ..] => until(quoted(rest, '\'')),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn continues_word(text: &[char], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|before| text[before].is_alphanumeric() || text[before] == '_')
}

fn block_comment(rest: &[char]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn quoted(rest: &[char], quote: char) -> Option<usize> {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The outer `None`: a raw identifier, no string.
fn raw_string(rest: &[char]) -> Option<Option<usize>> {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let from = 2 + hashes;
    let body = &rest[from..];
    let found = body
        .windows(closing.len())
        .position(|window| window == closing);
    Some(found.map(|position| from + position + closing.len()))
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
