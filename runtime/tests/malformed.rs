//! Small keys that ask for a lot of work are refused before it is done.
mod support;

use std::borrow::Cow;

use support::{Builder, accumulator, affine, term, view};
use zkiln_runtime::error::VerifyError;
use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::model::{AxisMap, Term};
use zkiln_runtime::relations::{Exact, Relation};

/// Why a key is refused whose model reads one column of length `len`, in rows of two entries, by `terms`.
fn refusal(
    len: u32,
    terms: impl FnOnce(&mut dyn FnMut(&[u32], AxisMap) -> Term) -> Vec<Term>,
) -> VerifyError {
    let mut b = Builder::default();
    let x = b.input("x", &[len], (0, 1));
    let y = b.witness("y", &[2]);
    let mut read = |summed: &[u32], map| term(1, summed, &[view(x, &[map])]);
    b.node(
        "y",
        Relation::Exact(Exact {
            accumulator: accumulator(&[2], &[], &terms(&mut read)),
            output: y,
        }),
    );
    b.output("y", accumulator(&[2], &[(1, y)], &[]));
    let (model, _) = b.build(1);
    VerifierKey::from_parts(model, &[]).expect_err("refused")
}

#[test]
fn rows() {
    let refused = refusal(1 << 30, |read| vec![read(&[], affine(0, &[(0, 1)]))]);
    assert_eq!(refused, VerifyError::Key("there are too many rows"));
}

#[test]
fn pieces_of_an_axis() {
    let refused = refusal(1 << 20, |read| vec![read(&[], affine(1, &[(0, 3)]))]);
    assert_eq!(refused, VerifyError::Key("claims have too many pieces"));
}

#[test]
fn weights_of_pieces() {
    let sum =
        |read: &mut dyn FnMut(&[u32], AxisMap) -> Term| read(&[1 << 20], affine(0, &[(1, 1)]));
    let refused = refusal(1 << 20, |read| vec![sum(read); 3000]);
    assert_eq!(refused, VerifyError::Key("claims have too many weights"));
}

/// As [`refusal`], in rows that columns share.
fn refusal_in_a_row(read: impl FnOnce(&mut Builder) -> Vec<Term>) -> VerifyError {
    let mut b = Builder::default();
    let terms = read(&mut b);
    let y = b.witness("y", &[2]);
    b.node(
        "y",
        Relation::Exact(Exact {
            accumulator: accumulator(&[2], &[], &terms),
            output: y,
        }),
    );
    b.output("y", accumulator(&[2], &[(1, y)], &[]));
    let (model, _) = b.build(12);
    VerifierKey::from_parts(model, &[]).expect_err("refused")
}

#[test]
fn weights_of_a_shared_row() {
    let refused = refusal_in_a_row(|b| {
        let x = b.input("x", &[1 << 11], (0, 1));
        let window = |at| view(x, &[affine(at, &[(1, 1)])]);
        let terms = (0..2000).map(|at| term(1, &[1 << 11], &[window(at)]));
        terms.collect()
    });
    assert_eq!(refused, VerifyError::Key("claims have too many weights"));
}

#[test]
fn pieces_of_tiles_in_a_shared_row() {
    let refused = refusal_in_a_row(|b| {
        let c = b.constant("c", &[9, 9, 9, 5], vec![1; 3645]);
        let corner = view(c, &[0, 0, 0, 0].map(|at| affine(at, &[])));
        vec![term(1, &[], &[corner]); 1000]
    });
    assert_eq!(refused, VerifyError::Key("claims have too many pieces"));
}

#[test]
fn indices_that_a_view_combines() {
    let refused = refusal(4, |read| {
        vec![read(&[1 << 10; 3], affine(0, &[(1, 1), (2, 1), (3, 1)]))]
    });
    assert_eq!(
        refused,
        VerifyError::Key("a view combines too many indices")
    );
}

#[test]
fn claims() {
    let constant = Term {
        coefficient: 1,
        summed: Cow::Borrowed(&[]),
        operands: Cow::Borrowed(&[]),
    };
    let refused = refusal(4, |_| vec![constant; 1 << 18]);
    assert_eq!(refused, VerifyError::Key("there are too many claims"));
}

#[test]
fn ports() {
    let mut b = Builder::default();
    for number in 0..5000 {
        b.input(&number.to_string(), &[1], (0, 1));
    }
    let (model, _) = b.build(1);
    let refused = VerifierKey::from_parts(model, &[]).expect_err("refused");
    assert_eq!(refused, VerifyError::Key("there are too many ports"));
}
