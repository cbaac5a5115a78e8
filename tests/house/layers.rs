//! Which file of a crate imports which, and whether imports climb or go in circles.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::source::production;

/// A crate whose rooms, the folders and files of its `src`, stand on one another: each may import those before it.
pub struct House {
    /// Folder of the source, with a slash at its end.
    pub source: &'static str,
    /// Rooms, the lowest first.
    pub rooms: &'static [&'static str],
    /// Pairs of which the first must not import the second, although it could by its place.
    pub strangers: &'static [(&'static str, &'static str)],
    /// Exported macros: Rust puts them at the crate's root, wherever they stand.
    pub macros: &'static [&'static str],
    /// Folders that are one room with the folders in them, since their types are defined by one another.
    pub whole: &'static [&'static str],
}

/// An import: the file it is in, its line, and the file that it names.
#[derive(Debug)]
struct Import {
    from: String,
    line: usize,
    to: String,
}

impl House {
    /// What is wrong with the imports of these files, given by name and text.
    pub fn findings(&self, files: &[(String, String)]) -> Vec<Finding> {
        let own: Vec<(&str, &str)> = files
            .iter()
            .filter_map(|(place, text)| Some((place.strip_prefix(self.source)?, text.as_str())))
            .filter(|(place, _)| !is_for_tests(place))
            .collect();
        let modules: BTreeMap<Vec<&str>, &str> = own
            .iter()
            .map(|(place, _)| (module(place), *place))
            .collect();
        let mut findings: Vec<Finding> = Vec::new();
        let mut imports = Vec::new();
        for (place, text) in &own {
            for (line, path) in paths(text, &module(place)) {
                if let [only] = path.as_slice()
                    && self.macros.contains(&only.as_str())
                {
                    continue;
                }
                match resolve(&path, &modules) {
                    Some(to) if to != *place => imports.push(Import {
                        from: (*place).into(),
                        line,
                        to: to.into(),
                    }),
                    _ => {}
                }
            }
        }
        for import in &imports {
            findings.extend(self.climb(import));
        }
        findings.extend(self.circles(&imports).into_iter().map(|circle| Finding {
            place: format!("{}{}", self.source, circle[0]),
            line: 1,
            what: format!(
                "a circle of imports crosses a folder: {}",
                circle.join(", ")
            ),
        }));
        findings
    }

    /// Groups of files that import one another in a circle and do not lie in one folder.
    fn circles(&self, imports: &[Import]) -> Vec<Vec<String>> {
        let mut reaches: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for Import { from, to, .. } in imports {
            reaches.entry(from).or_default().insert(to);
        }
        let reached = |start: &str| {
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            let mut stack: Vec<&str> = reaches.get(start).into_iter().flatten().copied().collect();
            while let Some(file) = stack.pop() {
                if seen.insert(file) {
                    stack.extend(reaches.get(file).into_iter().flatten().copied());
                }
            }
            seen
        };
        let all: BTreeMap<&str, BTreeSet<&str>> =
            reaches.keys().map(|file| (*file, reached(file))).collect();
        let mut found = BTreeSet::new();
        for (file, forth) in &all {
            let circle: Vec<&str> = forth
                .iter()
                .copied()
                .filter(|other| all.get(other).is_some_and(|back| back.contains(file)))
                .collect();
            if circle
                .iter()
                .any(|other| self.folder(other) != self.folder(file))
            {
                found.insert(circle.into_iter().map(str::to_owned).collect::<Vec<_>>());
            }
        }
        found.into_iter().collect()
    }

    /// The folder that a file is a part of.
    fn folder<'f>(&self, file: &'f str) -> &'f str {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let whole = self
            .whole
            .iter()
            .find(|whole| file.starts_with(&format!("{whole}/")));
        whole.map_or(folder, |whole| &file[..whole.len()])
    }

    fn climb(&self, import: &Import) -> Option<Finding> {
        let (from, to) = (room(&import.from), room(&import.to));
        let place = |room: &str| self.rooms.iter().position(|known| *known == room);
        let what = if from == "lib" || from == to {
            return None;
        } else if to == "lib" {
            "it imports from the crate's root: name the room".to_owned()
        } else {
            match (place(from), place(to)) {
                (Some(own), Some(other)) if other > own => format!("`{from}` climbs to `{to}`"),
                (Some(_), Some(_)) if self.strangers.contains(&(from, to)) => {
                    format!("`{from}` must not know `{to}`")
                }
                (Some(_), Some(_)) => return None,
                (None, _) => format!("the room `{from}` is not in the list of layers"),
                (_, None) => format!("the room `{to}` is not in the list of layers"),
            }
        };
        Some(Finding {
            place: format!("{}{}", self.source, import.from),
            line: import.line,
            what,
        })
    }
}

/// Folders and files whose module is declared for tests only.
const FOR_TESTS: [&str; 7] = [
    "tests",
    "tests.rs",
    "testing.rs",
    "golden",
    "clamping.rs",
    "simulator.rs",
    "blinding_census.rs",
];

/// Files that are compiled for tests only.
pub fn is_for_tests(place: &str) -> bool {
    // The adversary of the runtime's integration tests is compiled always.
    let is_always_compiled = place.ends_with("protocol/testing.rs");
    let mut parts = place.split('/');
    !is_always_compiled && parts.any(|part| FOR_TESTS.contains(&part))
}

fn room(place: &str) -> &str {
    let first = place.split('/').next().unwrap_or(place);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The module that a file is, from the crate's root.
fn module(place: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = place
        .strip_suffix(".rs")
        .unwrap_or(place)
        .split('/')
        .collect();
    if matches!(parts.last(), Some(&"mod" | &"lib")) {
        parts.pop();
    }
    parts
}

/// The file that a path names: the deepest module on it.
fn resolve<'f>(path: &[String], modules: &BTreeMap<Vec<&str>, &'f str>) -> Option<&'f str> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    (0..=path.len())
        .rev()
        .find_map(|len| modules.get(&path[..len]).copied())
}

/// Paths from the crate's root that a file names, with their lines.
fn paths(text: &str, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(&production(text));
    let mut found = Vec::new();
    let children: BTreeSet<&str> = tokens
        .windows(3)
        .filter(|w| w[0].1 == "mod" && w[2].1 == ";")
        .map(|w| w[1].1.as_str())
        .collect();
    for at in 0..tokens.len() {
        let (line, word) = (tokens[at].0, tokens[at].1.as_str());
        // `$crate` in a macro is for those who use it.
        let begins = at == 0 || !["::", "$"].contains(&tokens[at - 1].1.as_str());
        if !begins || tokens.get(at + 1).is_none_or(|(_, next)| next != "::") {
            continue;
        }
        let base: Vec<String> = match word {
            "crate" => Vec::new(),
            "self" => module.iter().map(ToString::to_string).collect(),
            "super" => module[..module.len().saturating_sub(1)]
                .iter()
                .map(ToString::to_string)
                .collect(),
            child if children.contains(child) => module
                .iter()
                .chain([&child])
                .map(ToString::to_string)
                .collect(),
            _ => continue,
        };
        let mut list = Vec::new();
        tree(&tokens, at + 2, base, &mut list);
        found.extend(list.into_iter().map(|path| (line, path)));
    }
    found
}

/// Collects the paths of a tree of imports that starts behind a `::`; gives the place behind it.
fn tree(
    tokens: &[(usize, String)],
    mut at: usize,
    mut base: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        match tokens.get(at).map(|(_, word)| word.as_str()) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, word)| word != "}") {
                    if tokens[at].1 == "," {
                        at += 1;
                    } else {
                        at = tree(tokens, at, base.clone(), found);
                    }
                }
                return at + 1;
            }
            Some("super") => drop(base.pop()),
            Some("self" | "*") => {}
            Some(word) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                base.push(word.to_owned());
            }
            _ => {
                found.push(base);
                return at + 1;
            }
        }
        at += 1;
        if tokens.get(at).is_some_and(|(_, word)| word == "::") {
            at += 1;
        } else {
            while tokens.get(at).is_some_and(|(_, w)| w == "as")
                || at > 0 && tokens.get(at - 1).is_some_and(|(_, w)| w == "as")
            {
                at += 1;
            }
            found.push(base);
            return at;
        }
    }
}

/// Words and signs, with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (line, content) in (1..).zip(code.lines()) {
        let mut word = String::new();
        let mut rest = content.chars().peekable();
        while let Some(c) = rest.next() {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                tokens.push((line, std::mem::take(&mut word)));
            }
            if c == ':' && rest.peek() == Some(&':') {
                rest.next();
                tokens.push((line, "::".into()));
            } else if !c.is_whitespace() {
                tokens.push((line, c.into()));
            }
        }
        if !word.is_empty() {
            tokens.push((line, word));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: House = House {
        source: "src/",
        rooms: &["low", "left", "right", "high"],
        strangers: &[("right", "left")],
        macros: &[],
        whole: &[],
    };

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(place, text)| (format!("src/{place}"), text.to_string()))
            .collect();
        HOUSE
            .findings(&files)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn imports_may_descend() {
        let files = [
            (
                "lib.rs",
                "mod low; mod high; pub use high::H; pub use crate::low::L;",
            ),
            ("low.rs", "pub struct L;"),
            ("left.rs", ""),
            (
                "high/mod.rs",
                "mod own; use crate::{low::{self, L}, left}; use self::own::O;",
            ),
            (
                "high/own.rs",
                "use super::super::low as l; fn f() { crate::low::f() }",
            ),
        ];
        assert_eq!(findings(&files), [""; 0]);
    }

    #[test]
    fn climbing_is_found_wherever_it_is_written() {
        for text in [
            "use crate::high;",
            "use crate::{left, high::H};",
            "use super::high::H;",
            "fn f() { crate::high::f() }",
            "fn f(x: &crate::high::H) {}",
        ] {
            let files = [("low.rs", text), ("left.rs", ""), ("high.rs", "")];
            let found = findings(&files);
            assert!(
                found
                    .iter()
                    .any(|f| f == "src/low.rs:1: `low` climbs to `high`"),
                "{text}: {found:?}"
            );
        }
        let tested = "#[cfg(test)]\nmod tests { use crate::high::H; }\n// crate::high\n";
        assert_eq!(findings(&[("low.rs", tested), ("high.rs", "")]), [""; 0]);
    }

    #[test]
    fn strangers_roofs_and_unknown_rooms_are_found() {
        let found = findings(&[("right.rs", "use crate::left::L;"), ("left.rs", "")]);
        assert_eq!(found, ["src/right.rs:1: `right` must not know `left`"]);
        let found = findings(&[("high.rs", "use crate::L;"), ("lib.rs", "")]);
        assert_eq!(
            found,
            ["src/high.rs:1: it imports from the crate's root: name the room"]
        );
        let found = findings(&[("new.rs", "use crate::low::L;"), ("low.rs", "")]);
        assert_eq!(
            found,
            ["src/new.rs:1: the room `new` is not in the list of layers"]
        );
    }

    #[test]
    fn circles_within_a_folder_are_nobodys_business() {
        let files = [
            ("high/mod.rs", "mod a; mod b;"),
            ("high/a.rs", "use super::b::B;"),
            ("high/b.rs", "use super::a::A;"),
        ];
        assert_eq!(findings(&files), [""; 0]);
        let files = [
            ("high/mod.rs", "mod inner; mod a; use inner::c::C;"),
            ("high/a.rs", "use super::inner::c::C;"),
            ("high/inner/mod.rs", "pub mod c;"),
            ("high/inner/c.rs", "use crate::high::a::A;"),
        ];
        let found = findings(&files);
        assert!(
            found.len() == 1 && found[0].contains("high/a.rs, high/inner/c.rs"),
            "{found:?}"
        );
    }
}
