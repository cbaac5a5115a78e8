//! What is opened weighs every entry as the claims do: with columns that share rows, and columns that are cut.

use ark_ff::{AdditiveGroup, Field};

use super::*;
use crate::argument::schedule::Functional;
use crate::randomness::Randomness;
use crate::statement::layout::strides;
use crate::statement::model::{Accumulator, AxisMap, Column, ColumnId, ColumnKind, Term, View};
use crate::statement::model::{axis_log2, cube_log2};
use crate::statement::relations::testing::{Draft, everything};

/// A model that reads long constants in many ways: `[9, 5]`, `[3, 6, 7]` and `[5, 70]`, which are cut where rows are short.
fn awkward() -> Draft {
    let mut draft = everything();
    let values = |len: i32| (0..len).map(|at| at * at % 23 - 11).collect();
    let matrix = draft.constant("matrix", &[9, 5], values(45));
    let cube = draft.constant("cube", &[3, 6, 7], values(126));
    let wide = draft.constant("wide", &[5, 70], values(350));
    let (vector, _) = draft.input("vector", &[9]);
    let map = |offset, strides: &[(u8, i32)]| AxisMap {
        offset,
        strides: strides.to_vec().into(),
    };
    let view = |column, index: &[AxisMap]| View {
        column,
        index: index.to_vec().into(),
    };
    let term = |summed: &[u32], operands: Vec<View>| Term {
        coefficient: 3,
        summed: summed.to_vec().into(),
        operands: operands.into(),
    };
    let of_vector = |offset, strides: &[(u8, i32)]| view(vector, &[map(offset, strides)]);
    let sums = Accumulator {
        shape: vec![5, 6].into(),
        columns: Vec::new().into(),
        terms: vec![
            // Long lines.
            term(
                &[70],
                vec![view(wide, &[map(0, &[(0, 1)]), map(0, &[(2, 1)])])],
            ),
            // A product, its transpose backwards, a stride, a window with an offset, a row that is fixed, a sum of all.
            term(
                &[9],
                vec![
                    of_vector(0, &[(2, 1)]),
                    view(matrix, &[map(0, &[(2, 1)]), map(0, &[(0, 1)])]),
                ],
            ),
            term(
                &[5],
                vec![
                    of_vector(8, &[(1, -1)]),
                    view(matrix, &[map(8, &[(1, -1)]), map(4, &[(2, -1)])]),
                ],
            ),
            term(
                &[],
                vec![view(matrix, &[map(0, &[(0, 2)]), map(-2, &[(1, 1)])])],
            ),
            term(
                &[3],
                vec![view(
                    cube,
                    &[map(0, &[(2, 1)]), map(-1, &[(1, 1)]), map(2, &[(0, 1)])],
                )],
            ),
            term(&[], vec![view(matrix, &[map(8, &[]), map(0, &[(0, 1)])])]),
            term(
                &[2, 3],
                vec![view(
                    cube,
                    &[map(1, &[]), map(0, &[(0, 1), (2, 2)]), map(6, &[(3, -3)])],
                )],
            ),
        ]
        .into(),
    };
    draft.output("sums", sums, (i64::MIN, i64::MAX));
    let whole = Accumulator::of_column(vec![9, 5].into(), matrix);
    draft.output("matrix itself", whole, (i64::MIN, i64::MAX));
    draft
}

/// The weights that a claim gives all of its column's padded cube.
fn dense(functional: &Functional, challenges: &Challenges) -> Vec<Fr> {
    let mut out = vec![Fr::ONE];
    for axis in &functional.axes {
        let weights = axis.vector(challenges).unwrap();
        out = out
            .iter()
            .flat_map(|high| weights.iter().map(move |low| *high * low))
            .collect();
    }
    out
}

/// Of each entry of each row: the column that lies there, and where in its padded cube.
fn places(model: &Model, rows: &Rows) -> BTreeMap<(bool, usize, usize), (ColumnId, usize)> {
    let row = 1usize << model.row_log2;
    let mut places = BTreeMap::new();
    for tile in &rows.tiles {
        let span = &rows.spans[tile.span];
        let column = &model.columns[tile.column.0 as usize];
        let lens: Vec<usize> = column
            .shape
            .iter()
            .map(|&len| 1 << axis_log2(len))
            .collect();
        for entry in 0..1usize << tile.len_log2() {
            let (mut rest, mut at) = (entry, 0);
            for (&(first, log2), stride) in tile.ranges.iter().zip(strides(&lens)).rev() {
                at += (first as usize + (rest & ((1 << log2) - 1))) * stride;
                rest >>= log2;
            }
            let used = 1usize << span.used_log2;
            let place = (
                span.is_constant,
                span.first + entry / used,
                tile.at + entry % used,
            );
            assert!(place.2 < row);
            assert_eq!(
                places.insert(place, (tile.column, at)),
                None,
                "two tiles at {place:?}"
            );
        }
    }
    places
}

fn true_places(column: &Column) -> usize {
    column.shape.iter().map(|&len| len as usize).product()
}

fn assert_weighs_alike(model: &Model) {
    let schedule = Schedule::new(model).unwrap();
    let mut randomness = Randomness::from_seed("test", [model.row_log2; 32]);
    let challenges = Challenges {
        rho: randomness.scalars(schedule.leaves.len_log2),
        tau: randomness.scalars(schedule.tau_len),
        sum: randomness.scalars(schedule.contraction_rounds),
    };
    let coefficients = randomness.scalars(schedule.pieces.len());
    let mut expected: BTreeMap<ColumnId, Vec<Fr>> = BTreeMap::new();
    for (functional, coefficient) in schedule.claims().zip(&coefficients) {
        if functional.is_known(model) {
            continue;
        }
        let weights = dense(functional, &challenges);
        let sums = expected
            .entry(functional.column)
            .or_insert_with(|| vec![Fr::ZERO; weights.len()]);
        sums.iter_mut()
            .zip(weights)
            .for_each(|(sum, weight)| *sum += *coefficient * weight);
    }
    let row = 1usize << model.row_log2;
    let groups = group_weights(&schedule, &schedule.pieces, &coefficients, &challenges).unwrap();
    let mut found: BTreeMap<(bool, usize, usize), Fr> = BTreeMap::new();
    let point = randomness.scalars(model.row_log2.into());
    for group in &groups {
        let entries = group.vector(row, &challenges);
        assert_eq!(
            group.evaluate(&point, &challenges).unwrap(),
            dot(&entries, &eq_table(&point))
        );
        for (&span, weights) in &group.rows {
            let span = &schedule.rows.spans[span];
            for (number, of_row) in weights.iter().enumerate() {
                for (at, entry) in entries.iter().enumerate() {
                    let place = (span.is_constant, span.first + number, at);
                    *found.entry(place).or_insert(Fr::ZERO) += *of_row * entry;
                }
            }
        }
    }
    let places = places(model, &schedule.rows);
    for (place, weight) in &found {
        match places.get(place) {
            // What no tile covers is never read.
            None => assert_eq!(*weight, Fr::ZERO, "{place:?}"),
            Some((column, at)) => assert_eq!(*weight, expected[column][*at], "{place:?}"),
        }
    }
    // Every true element lies somewhere.
    for (column, id) in model.columns.iter().zip((0u32..).map(ColumnId)) {
        if column.structure().is_none() {
            let lie = places.values().filter(|(of, _)| *of == id).count();
            let cut = schedule.rows.of_column[id.0 as usize].len() > 1;
            assert!(lie >= true_places(column) && (cut || lie == 1 << cube_log2(&column.shape)));
        }
    }
}

#[test]
fn every_entry_weighs_as_the_claims_do() {
    let mut draft = awkward();
    let mut cut = Vec::new();
    for row_log2 in [0, 1, 2, 3, 4, 6, 9] {
        draft.model.row_log2 = row_log2;
        draft.model.answer_log2 = 0;
        assert_weighs_alike(&draft.model);
        let rows = Schedule::new(&draft.model).unwrap().rows;
        cut.push(
            rows.of_column
                .iter()
                .filter(|tiles| tiles.len() > 1)
                .count(),
        );
    }
    assert_eq!(cut, [4, 4, 4, 4, 3, 2, 0], "some are cut");
}

/// Constants that are cut are committed, bound and opened as if they were not.
#[test]
fn proofs_with_cut_constants_verify() {
    let mut draft = awkward();
    let inputs = [vec![4, 0, 3], vec![1, -2, 3, -4, 5, -6, 7, -8, 9]];
    let mut outputs = Vec::new();
    for row_log2 in [9, 7, 6, 5, 4, 3, 2, 1, 0] {
        draft.model.row_log2 = row_log2;
        draft.model.answer_log2 = row_log2;
        let key = draft.key();
        let proven = crate::protocol::prove(&key, &inputs).unwrap();
        let verdict = crate::protocol::verify(key.verifier_key(), &proven.statement, &proven.proof);
        assert_eq!(verdict, Ok(()), "rows of 2^{row_log2}");
        outputs.push(proven.outputs);
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Short columns lie side by side: what a prover has beyond one's end does not reach the next.
#[test]
fn columns_that_share_a_row_do_not_meet() {
    let mut draft = everything();
    draft.model.row_log2 = 8;
    let rows = Schedule::new(&draft.model).unwrap().rows;
    let shared = rows
        .spans
        .iter()
        .find(|span| span.is_shared() && !span.is_constant);
    let first = &rows.tiles[shared.unwrap().tiles.start];
    let mut trace =
        crate::witness::trace::run(&draft.model, &draft.constants(), &[vec![4, 0, 3]]).unwrap();
    let honest = gather::all(&rows, shared.unwrap(), 256, &trace).into_owned();
    let mut longer = trace.column(first.column).to_vec();
    longer.resize(256, 77);
    trace.set(first.column, longer);
    assert_eq!(gather::all(&rows, shared.unwrap(), 256, &trace), honest);
    assert_eq!(
        draft.model.columns[first.column.0 as usize].kind,
        ColumnKind::Witness
    );
}
