//! Lengths and arguments of functions, counted as clippy counts them.

use super::source::{block_end, production};

/// Lines of code in a function's body.
pub const LINES: usize = 70;
/// Arguments of a function, `self` among them.
pub const ARGUMENTS: usize = 6;

/// A function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// The line of its name, from 1.
    pub line: usize,
    pub name: String,
    /// Lines of code between its braces.
    pub lines: usize,
    pub arguments: usize,
}

/// All functions of a file that are not for tests only.
pub fn functions(text: &str) -> Vec<Function> {
    let code: Vec<char> = production(text).chars().collect();
    let mut found = Vec::new();
    for at in 0..code.len().saturating_sub(3) {
        let word = code[at..].starts_with(&['f', 'n', ' ']);
        let starts = at == 0 || !(code[at - 1].is_alphanumeric() || code[at - 1] == '_');
        if word && starts {
            found.extend(function(&code, at));
        }
    }
    found
}

fn function(code: &[char], at: usize) -> Option<Function> {
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let name: String = code[at + 3..].iter().take_while(|c| is_name(c)).collect();
    let mut from = at + 3 + name.len();
    if code.get(from) == Some(&'<') {
        from = generics_end(code, from);
    }
    if name.is_empty() || code.get(from) != Some(&'(') {
        return None;
    }
    let end = block_end(code, from);
    let arguments = arguments(&code[from + 1..end - 1]);
    let body = code[end..].iter().position(|c| *c == '{' || *c == ';')? + end;
    let lines = if code[body] == '{' {
        let inside: String = code[body + 1..block_end(code, body) - 1].iter().collect();
        inside
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count()
    } else {
        0
    };
    Some(Function {
        line: code[..at].iter().filter(|c| **c == '\n').count() + 1,
        name,
        lines,
        arguments,
    })
}

fn generics_end(code: &[char], from: usize) -> usize {
    let mut depth = 0usize;
    for at in from..code.len() {
        match code[at] {
            '<' => depth += 1,
            '>' if code[at - 1] != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Parts between commas that are in no bracket.
fn arguments(list: &[char]) -> usize {
    let mut depth = 0i32;
    let mut count = 0;
    let mut empty = true;
    for (at, c) in list.iter().enumerate() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if at > 0 && list[at - 1] == '-' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                count += 1;
                empty = true;
                continue;
            }
            _ => {}
        }
        empty &= c.is_whitespace();
    }
    count + usize::from(!empty)
}

#[test]
fn functions_are_measured() {
    let text = "impl X {\n    pub fn f<T: Fn(u8) -> u8>(&self, a: (u8, u8), g: impl Fn(u8, u8) -> u8,) -> u8 {\n        // no code\n\n        a + \"}\"\n    }\n}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\nfn h();\n";
    let found: Vec<_> = functions(text)
        .into_iter()
        .map(|f| (f.line, f.name, f.lines, f.arguments))
        .collect();
    assert_eq!(found, [(2, "f".into(), 1, 3), (12, "h".into(), 0, 0)]);
}
