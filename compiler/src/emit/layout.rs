//! Expressions on one line where they fit, and one part a line where they do not.

/// Columns of a line.
const WIDTH: usize = 120;
const INDENT: usize = 4;

/// An expression to be laid out.
pub enum Layout {
    /// Never broken.
    Word(String),
    /// Parts between brackets.
    Group {
        /// Opening bracket and what stands before it.
        open: String,
        /// What separates brackets and parts on one line.
        space: &'static str,
        /// The parts, each with what stands before it.
        parts: Vec<(String, Layout)>,
        /// Closing bracket.
        close: &'static str,
    },
}

impl Layout {
    /// Any text without a break.
    pub fn word(text: impl ToString) -> Self {
        Self::Word(text.to_string())
    }

    /// `name(part, part)`.
    pub fn call(name: &str, parts: impl IntoIterator<Item = Self>) -> Self {
        Self::group(format!("{name}("), parts, ")")
    }

    /// `&[part, part]`.
    pub fn slice(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::group("&[".into(), parts, "]")
    }

    /// `list(&[part, part])`.
    pub fn list(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::group("list(&[".into(), parts, "])")
    }

    /// `Name { field: part, field: part }`.
    pub fn structure(name: &str, fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let label = |(field, part)| (format!("{field}: "), part);
        Self::Group {
            open: format!("{name} {{"),
            space: " ",
            parts: fields.into_iter().map(label).collect(),
            close: "}",
        }
    }

    fn group(open: String, parts: impl IntoIterator<Item = Self>, close: &'static str) -> Self {
        Self::Group {
            open,
            space: "",
            parts: parts
                .into_iter()
                .map(|part| (String::new(), part))
                .collect(),
            close,
        }
    }

    /// The text for a line indented by `indent` that has `before` more columns; a comma or semicolon may follow.
    pub fn print(&self, indent: usize, before: usize) -> String {
        let flat = self.flat();
        let Self::Group {
            open, parts, close, ..
        } = self
        else {
            return flat;
        };
        if parts.is_empty() || indent + before + flat.len() < WIDTH {
            return flat;
        }
        if let [(label, part @ Self::Group { .. })] = parts.as_slice()
            && label.is_empty()
        {
            let before = before + open.len() + close.len();
            return format!("{open}{}{close}", part.print(indent, before));
        }
        let inner = indent + INDENT;
        let mut text = format!("{open}\n");
        for (label, part) in parts {
            let part = part.print(inner, label.len());
            text += &format!("{:inner$}{label}{part},\n", "");
        }
        text + &format!("{:indent$}{close}", "")
    }

    fn flat(&self) -> String {
        let Self::Group {
            open,
            space,
            parts,
            close,
        } = self
        else {
            let Self::Word(word) = self else {
                unreachable!("groups are matched above")
            };
            return word.clone();
        };
        if parts.is_empty() {
            return format!("{open}{close}");
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|(label, part)| format!("{label}{}", part.flat()))
            .collect();
        format!("{open}{space}{}{space}{close}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> impl Iterator<Item = Layout> {
        (0..count).map(|i| Layout::word(format!("word_{i}")))
    }

    #[test]
    fn what_fits_is_on_one_line() {
        let point = Layout::structure(
            "Point",
            [("x", Layout::word(1)), ("y", Layout::list(words(2)))],
        );
        assert_eq!(
            point.print(4, 20),
            "Point { x: 1, y: list(&[word_0, word_1]) }"
        );
        assert_eq!(Layout::list([]).print(0, 0), "list(&[])");
        assert_eq!(
            Layout::call("f", [Layout::slice(words(1))]).print(0, 0),
            "f(&[word_0])"
        );
    }

    #[test]
    fn what_does_not_fit_is_broken_from_outside() {
        let point = Layout::structure(
            "Point",
            [("x", Layout::word(1)), ("y", Layout::list(words(2)))],
        );
        assert_eq!(
            point.print(80, 0).replace(' ', ""),
            "Point{\nx:1,\ny:list(&[word_0,word_1]),\n}"
        );
        let list = Layout::list(words(14)).print(0, 0);
        assert_eq!(list.lines().count(), 16);
        assert!(list.starts_with("list(&[\n    word_0,\n") && list.ends_with(",\n])"));
    }

    #[test]
    fn a_single_part_shares_its_brackets() {
        let nested = Layout::list([Layout::call("f", words(14))]).print(0, 0);
        assert!(nested.starts_with("list(&[f(\n    word_0,\n") && nested.ends_with(",\n)])"));
    }
}
