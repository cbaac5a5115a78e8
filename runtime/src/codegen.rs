//! The vocabulary of generated modules: short constant constructors for the parts of a [`Model`].
//!
//! Everything here is for the reader of a generated file. A view reads as
//! `View { column: column::X, index: list(&[A, C]) }`: element `[a, c]` of column `x`, where `a`, `b`, ... number the
//! accumulator's output axes first and the summed axes of the term after them.

use std::borrow::Cow;

pub use std::borrow::Cow::{Borrowed as list, Borrowed as name};

pub use crate::statement::model::*;
pub use crate::statement::relations::*;

/// A column that the prover fills.
pub const fn witness(title: &'static str, shape: &'static [u32]) -> Column {
    column(title, ColumnKind::Witness, shape)
}

/// A column committed at compile time.
pub const fn constant(title: &'static str, shape: &'static [u32]) -> Column {
    column(title, ColumnKind::Constant, shape)
}

const fn column(title: &'static str, kind: ColumnKind, shape: &'static [u32]) -> Column {
    Column {
        name: Cow::Borrowed(title),
        kind,
        shape: Cow::Borrowed(shape),
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
    fn digests_are_read() {
        const BYTES: [u8; 32] =
            digest("00ff10000000000000000000000000000000000000000000000000000000000a");
        assert_eq!(BYTES[..3], [0, 255, 16]);
        assert_eq!(BYTES[31], 10);
    }
}
