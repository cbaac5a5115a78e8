//! The vocabulary of generated modules: short constant constructors for the parts of a [`Model`].
//!
//! Everything here is for the reader of a generated file. A view reads as
//! `View { column: column::X, index: list(&[A, C]) }`: element `[a, c]` of column `x`, where `a`, `b`, ... number the
//! accumulator's output axes first and the summed axes of the term after them.

use std::borrow::Cow;
use std::ops::Range;

pub use std::borrow::Cow::{Borrowed as list, Borrowed as name};

pub use crate::statement::model::*;
pub use crate::statement::relations::*;
pub use crate::{columns, tables};

/// Columns with a name each: `columns! { X = witness("x", &[4]) }` makes `column::X`, the place in the list, and `COLUMNS`, the list.
#[macro_export]
macro_rules! columns {
    ($($name:ident = $column:expr),* $(,)?) => {
        mod column {
            #[allow(clippy::upper_case_acronyms, non_camel_case_types)]
            enum Place { $($name),* }
            $(
                pub const $name: $crate::model::ColumnId =
                    $crate::model::ColumnId(Place::$name as u32);
            )*
        }
        const COLUMNS: &[$crate::model::Column] = &[$($column),*];
    };
}

/// Tables with a name each: `tables! { RELU = table(..) }` makes `table::RELU`, the place in the list, and `TABLES`, the list.
#[macro_export]
macro_rules! tables {
    ($($name:ident = $table:expr),* $(,)?) => {
        mod table {
            #[allow(clippy::upper_case_acronyms, non_camel_case_types)]
            enum Place { $($name),* }
            $(
                pub const $name: $crate::model::TableId =
                    $crate::model::TableId(Place::$name as u32);
            )*
        }
        const TABLES: &[$crate::model::Table] = &[$($table),*];
    };
}

/// A column that the prover fills.
pub const fn witness(title: &'static str, shape: &'static [u32]) -> Column {
    column(title, ColumnKind::Witness, shape)
}

/// A column committed at compile time.
pub const fn constant(title: &'static str, shape: &'static [u32]) -> Column {
    column(title, ColumnKind::Constant, shape)
}

/// A column that nobody commits to: it follows from its formula.
pub const fn structural(
    title: &'static str,
    shape: &'static [u32],
    structure: Structure,
) -> Column {
    column(title, ColumnKind::Structural(structure), shape)
}

const fn column(title: &'static str, kind: ColumnKind, shape: &'static [u32]) -> Column {
    Column {
        name: Cow::Borrowed(title),
        kind,
        shape: Cow::Borrowed(shape),
    }
}

/// A table of all `keys`, a power of two of them, with one column for each value that a key is mapped to.
///
/// # Panics
///
/// While compiling, if the number of keys is not a power of two.
pub const fn table(
    title: &'static str,
    keys: Range<i64>,
    outputs: &'static [ColumnId],
    multiplicities: ColumnId,
) -> Table {
    rows(title, keys, outputs, multiplicities, None)
}

/// A [`table`] of which nothing may look up the rows that are not zero in `barred`.
///
/// # Panics
///
/// While compiling, if the number of keys is not a power of two.
pub const fn partial_table(
    title: &'static str,
    keys: Range<i64>,
    outputs: &'static [ColumnId],
    multiplicities: ColumnId,
    barred: ColumnId,
) -> Table {
    rows(title, keys, outputs, multiplicities, Some(barred))
}

const fn rows(
    title: &'static str,
    keys: Range<i64>,
    outputs: &'static [ColumnId],
    multiplicities: ColumnId,
    barred: Option<ColumnId>,
) -> Table {
    let len = keys.end.abs_diff(keys.start);
    assert!(len.is_power_of_two(), "a table has a power of two of keys");
    Table {
        name: Cow::Borrowed(title),
        len_log2: len.trailing_zeros() as u8,
        first_key: keys.start,
        outputs: Cow::Borrowed(outputs),
        multiplicities,
        barred,
    }
}

/// `offset + sum of stride * axis` over the pairs `(axis, stride)`; axis 0 is `a`.
pub const fn affine(offset: i32, strides: &'static [(u8, i32)]) -> AxisMap {
    AxisMap {
        offset,
        strides: Cow::Borrowed(strides),
    }
}

macro_rules! axes {
    ($($letter:ident $axis:literal),*) => {
        /// The letters of the plain axes, in order: those of [`A`] to [`P`].
        pub const LETTERS: [&str; [$($axis),*].len()] = [$(stringify!($letter)),*];
        $(
            #[doc = concat!("Index along axis ", $axis, " of a term, as it is.")]
            pub const $letter: AxisMap = affine(0, &[($axis, 1)]);
        )*
    };
}

axes!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);

/// 32 bytes from 64 hexadecimal digits.
///
/// # Panics
///
/// While compiling, if the text is anything else.
pub const fn digest(hex: &str) -> [u8; 32] {
    let hex = hex.as_bytes();
    assert!(hex.len() == 64, "a digest has 64 hexadecimal digits");
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]);
        i += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("a digest has hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_number_the_axes() {
        assert_eq!(A, affine(0, &[(0, 1)]));
        assert_eq!(P, affine(0, &[(15, 1)]));
        assert_eq!(LETTERS[2], "C");
    }

    #[test]
    fn lists_name_their_elements() {
        columns! { X = witness("x", &[4]), SQUARES = constant("squares", &[16]), COUNTS = witness("counts", &[16]) }
        tables! { SQUARE = table("square", -8..8, &[column::SQUARES], column::COUNTS) }
        assert_eq!((column::X, column::COUNTS), (ColumnId(0), ColumnId(2)));
        assert_eq!(COLUMNS[1], constant("squares", &[16]));
        assert_eq!(table::SQUARE, TableId(0));
        let Table {
            len_log2,
            first_key,
            outputs,
            multiplicities,
            ..
        } = &TABLES[0];
        assert_eq!((*len_log2, *first_key), (4, -8));
        assert_eq!(
            (&**outputs, *multiplicities),
            (&[ColumnId(1)][..], ColumnId(2))
        );
    }

    #[test]
    fn digests_are_read() {
        const BYTES: [u8; 32] =
            digest("00ff10000000000000000000000000000000000000000000000000000000000a");
        assert_eq!(BYTES[..3], [0, 255, 16]);
        assert_eq!(BYTES[31], 10);
    }
}
