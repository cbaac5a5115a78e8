//! Rust source as far as the rules need to understand it.

/// Source text with the same lines, but blanks for comments, strings and character literals.
pub fn without_comments_and_literals(text: &str) -> String {
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

/// The same lines without comments, literals and everything that is compiled for tests only.
pub fn production(text: &str) -> String {
    let mut code: Vec<char> = without_comments_and_literals(text).chars().collect();
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut at = 0;
    while at + mark.len() <= code.len() {
        if code[at..at + mark.len()] == mark[..] {
            let end = item_end(&code, at + mark.len());
            for c in &mut code[at..end] {
                if *c != '\n' {
                    *c = ' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    code.into_iter().collect()
}

/// Where the item that starts here ends: behind its semicolon or its block, or, if it is a field, behind its comma.
fn item_end(code: &[char], from: usize) -> usize {
    let is_field = is_field(code, from);
    let mut at = from;
    while at < code.len() {
        match code[at] {
            ';' => return at + 1,
            ',' if is_field => return at + 1,
            '(' | '[' | '{' if is_field => at = block_end(code, at),
            '{' => return block_end(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// Whether a name and a colon come next, and no statement or item.
fn is_field(code: &[char], from: usize) -> bool {
    let rest = code[from..].iter().skip_while(|c| c.is_whitespace());
    let rest: String = rest.take_while(|c| !";={(,".contains(**c)).collect();
    let name = rest.split(':').next().unwrap_or_default();
    let words = name
        .split_whitespace()
        .filter(|word| !word.starts_with("pub"));
    rest.contains(':') && words.count() == 1
}

/// Behind the bracket that closes the one at `from`.
pub fn block_end(code: &[char], from: usize) -> usize {
    let mut depth = 0usize;
    for (at, c) in code.iter().enumerate().skip(from) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}
