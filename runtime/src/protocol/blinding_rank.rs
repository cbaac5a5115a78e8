//! Hiding as a rank: what is sent is uniform, and independent, but for what the verifier's checks determine.
//!
//! The challenges are fixed by a programmed oracle. Then every element of a proof is the witness' part, and a linear map of the scalars that the prover
//! draws: blinding factors, pads, masks and their blinding. If the map has full rank on a set of elements, they are uniform whatever the witness. Each
//! scalar is moved by one in turn, which shows the elements that depend on it. A scalar that moves one element of a set only makes that element
//! independent of all others: it is taken out, with the scalar. The map has full rank if nothing is left.
//!
//! The checks determine, from everything else, the commitments to the masks and to the constant of the closing's one equation. Sets are: everything but
//! these; the elements of each message, and each two elements, with these among them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::prelude::*;

use super::Context;
use super::blinding_census::{Element, draft, elements_of, product};
use crate::field::Fr;
use crate::protocol::key::ProverKey;
use crate::randomness::Randomness;
use crate::randomness::faults::Fault;
use crate::statement::model::Visibility;
use crate::statement::relations::testing::Draft;

/// A model with an input.
struct Fixture {
    key: ProverKey,
    inputs: Vec<Vec<i64>>,
}

/// What the scalars that a prover draws are good for.
struct Map {
    /// Of each element.
    labels: Vec<&'static str>,
    /// The elements that each scalar moves.
    moves: Vec<BTreeSet<usize>>,
}

impl Fixture {
    /// With an answer that is not folded: what is folded is a function of it.
    fn new(mut draft: Draft, inputs: Vec<Vec<i64>>) -> Self {
        draft.model.answer_log2 = 12;
        let key = draft.key();
        Self { key, inputs }
    }

    /// A proof's elements, and the scalars that were drawn.
    fn prove(&self, context: Context, faults: &[Fault], oracle: bool) -> (Vec<Element>, Vec<Fr>) {
        let randomness = Randomness::from_seed("test", [1; 32]);
        let (randomness, drawn) = randomness.with_faults(faults);
        let elements = elements_of(&self.key, &self.inputs, context, (randomness, 1), oracle);
        let drawn = drawn.lock().unwrap().clone();
        (elements, drawn)
    }

    /// What each of the scalars `of` moves, with these faults.
    fn map(&self, faults: &[Fault], of: impl IntoParallelIterator<Item = usize>) -> Map {
        let prove = |faults: &[Fault]| self.prove(Context::default(), faults, true).0;
        let base = prove(faults);
        let moves = of.into_par_iter().map(|at| {
            let moved = prove(&[&[Fault::Moved(at)], faults].concat());
            let pairs = base.iter().zip(&moved).enumerate();
            pairs
                .filter(|(_, (a, b))| a.bytes != b.bytes)
                .map(|(at, _)| at)
                .collect()
        });
        Map {
            moves: moves.collect(),
            labels: base.iter().map(|element| element.label).collect(),
        }
    }

    /// The map without faults.
    fn honest(&self) -> Map {
        let (_, drawn) = self.prove(Context::default(), &[], true);
        self.map(&[], 0..drawn.len())
    }
}

impl Map {
    /// What is left of a set of elements.
    fn left(&self, mut set: BTreeSet<usize>) -> BTreeSet<usize> {
        loop {
            let alone = self.moves.iter().filter_map(|moved| {
                let mut both = moved.intersection(&set);
                both.next().filter(|_| both.next().is_none()).copied()
            });
            let alone: BTreeSet<usize> = alone.collect();
            if alone.is_empty() {
                return set;
            }
            set.retain(|element| !alone.contains(element));
        }
    }

    /// All elements but those that the verifier's checks determine.
    fn free(&self) -> BTreeSet<usize> {
        let constant = self
            .labels
            .iter()
            .position(|label| *label == "closing sums");
        (0..self.labels.len())
            .filter(|at| self.labels[*at] != "closing mask" && Some(*at) != constant)
            .collect()
    }

    /// Elements of one message: neighbors of one name.
    fn messages(&self) -> Vec<BTreeSet<usize>> {
        let all: Vec<usize> = (0..self.labels.len()).collect();
        let messages = all.chunk_by(|a, b| self.labels[*a] == self.labels[*b]);
        messages.map(|m| m.iter().copied().collect()).collect()
    }

    /// That every set has full rank.
    ///
    /// # Errors
    /// An element that is not independent of the others, and of which.
    fn check(&self) -> Result<(), String> {
        let sets = [self.free()].into_iter().chain(self.messages());
        for set in sets {
            if let Some(at) = self.left(set).first() {
                return Err(format!("`{}`, element {at}, is left", self.labels[*at]));
            }
        }
        // Two have full rank if neither depends on nothing, and they do not depend on the same.
        let mut seen = BTreeMap::new();
        for (at, label) in self.labels.iter().enumerate() {
            let by = (0..self.moves.len()).filter(|s| self.moves[*s].contains(&at));
            let by: Vec<usize> = by.collect();
            let empty = by.is_empty();
            if let Some(other) = seen.insert(by, at).or(empty.then_some(at)) {
                return Err(format!(
                    "`{label}`, element {at}, depends on what {other} does"
                ));
            }
        }
        Ok(())
    }
}

/// A scalar that moves an element with this label, and as few others as can be.
fn scalar_of(map: &Map, label: &str) -> usize {
    let moves = |moved: &BTreeSet<usize>| moved.iter().any(|at| map.labels[*at] == label);
    let scalars = map
        .moves
        .iter()
        .enumerate()
        .filter(|(_, moved)| moves(moved));
    scalars.min_by_key(|(_, moved)| moved.len()).unwrap().0
}

fn all_hidden() -> Fixture {
    let hidden = Visibility::Private;
    Fixture::new(draft(hidden, hidden, hidden), vec![vec![4, 0, 2]])
}

fn small() -> Fixture {
    Fixture::new(product(), vec![vec![1, 10, 100]])
}

#[test]
fn what_the_checks_do_not_determine_is_uniform() {
    for (name, fixture) in [("product", small()), ("all hidden", all_hidden())] {
        assert_eq!(fixture.honest().check(), Ok(()), "{name}");
    }
}

#[test]
fn what_the_checks_determine_is_determined() {
    let map = small().honest();
    let all: BTreeSet<usize> = (0..map.labels.len()).collect();
    assert!(!map.left(all).is_empty());
}

/// One scalar of each kind, once as zero and once as another; a pad as the one before it as well.
#[test]
fn factors_and_masks_that_are_zero_or_reused_are_found() {
    let fixture = small();
    let honest = fixture.honest();
    let is_used = |at: &usize| !honest.moves[*at].is_empty();
    let used: Vec<usize> = (0..honest.moves.len()).filter(is_used).collect();
    assert_eq!(fixture.map(&[], used.clone()).check(), Ok(()));
    let kinds = [
        "witness rows",
        "pads",
        "linear part",
        "operand evaluations",
        "opened values",
        "closing mask",
        "closing sums",
        "answer",
    ];
    for label in kinds {
        let one = scalar_of(&honest, label);
        let other = if one == used[0] { used[1] } else { used[0] };
        let (of, at) = (one.min(other), one.max(other));
        let neighbor = Fault::Repeated {
            at: one.max(1),
            of: one.max(1) - 1,
        };
        for fault in [Fault::Zero(one), Fault::Repeated { at, of }, neighbor] {
            let verdict = fixture.map(&[fault], used.clone()).check();
            assert!(verdict.is_err(), "{label}: {fault:?}");
        }
    }
}

/// Proofs by a system that gives the same randomness again: of one witness in two contexts, of two witnesses, and under two keys.
fn proofs_of_one_seed(faults: &[Fault]) -> Vec<(Vec<Element>, Vec<Fr>)> {
    let fixture = small();
    let mut other_input = small();
    other_input.inputs[0][1] += 1;
    let mut other_key = product();
    other_key.model.name = "another".into();
    let other_key = Fixture::new(other_key, fixture.inputs.clone());
    let context = Context::new(b"another").unwrap();
    vec![
        fixture.prove(Context::default(), faults, false),
        fixture.prove(context, faults, false),
        other_input.prove(Context::default(), faults, false),
        other_key.prove(Context::default(), faults, false),
    ]
}

#[test]
fn no_two_proofs_share_a_factor_even_if_the_system_repeats_itself() {
    let proofs = proofs_of_one_seed(&[]);
    let (mut scalars, mut elements) = (HashSet::new(), HashSet::new());
    for (sent, drawn) in &proofs {
        assert!(drawn.iter().all(|scalar| scalars.insert(*scalar)));
        assert!(sent.iter().all(|element| elements.insert(element.bytes)));
    }
    assert!(!scalars.contains(&Fr::from(0u64)));
    // The same again is the same: there is nothing to learn from it.
    assert_eq!(proofs_of_one_seed(&[]), proofs);
}

#[test]
fn factors_that_two_proofs_share_are_found() {
    let proofs = proofs_of_one_seed(&[Fault::Unhedged]);
    let (first, others) = proofs.split_first().unwrap();
    for (_, drawn) in others {
        assert_eq!(first.1, *drawn);
    }
    // One witness in two contexts: commitments that repeat.
    assert_eq!(first.0[0], others[0].0[0]);
}
