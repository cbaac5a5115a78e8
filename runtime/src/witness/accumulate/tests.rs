//! Every path against the definition of an accumulator.

use proptest::prelude::*;

use crate::statement::layout::padded_strides;
use crate::statement::model::{
    Accumulator, AxisMap, Column, ColumnId, ColumnKind, Model, Term, View,
};
use crate::witness::trace::{Constants, Trace};

/// Small integers from a seed.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state >> 33
    }
}

/// A trace of the given columns with noise everywhere, the padding included.
fn noisy_trace(shapes: &[Vec<u32>], seed: u64) -> Trace {
    let columns: Vec<Column> = (shapes.iter().enumerate())
        .map(|(index, shape)| Column {
            name: format!("c{index}").into(),
            kind: ColumnKind::Witness,
            shape: shape.clone().into(),
        })
        .collect();
    let model = Model {
        name: "test".into(),
        row_log2: 0,
        answer_log2: 0,
        columns: columns.into(),
        tables: Vec::new().into(),
        nodes: Vec::new().into(),
        inputs: Vec::new().into(),
        outputs: Vec::new().into(),
        weights: crate::statement::model::Visibility::Public,
    };
    let constants = Constants::new(&model, Vec::<Vec<i32>>::new()).unwrap();
    let mut trace = Trace::new(&model, &constants);
    let mut noise = noise(seed);
    for (index, column) in model.columns.iter().enumerate() {
        let values = (0..1 << column.len_log2()).map(|_| (noise() % 4001) as i32 - 2000);
        trace.set(ColumnId(index as u32), values.collect::<Vec<_>>());
    }
    trace
}

/// The definition, read aloud.
fn reference(accumulator: &Accumulator, trace: &Trace) -> Vec<i64> {
    let mut out = vec![0i64; 1 << accumulator.len_log2()];
    for &(factor, column) in accumulator.columns.iter() {
        for (out, &value) in out.iter_mut().zip(trace.column(column)) {
            *out += factor * i64::from(value);
        }
    }
    let strides = padded_strides(&accumulator.shape);
    for term in accumulator.terms.iter() {
        let lens = [&*accumulator.shape, &*term.summed].concat();
        let mut index = vec![0u32; lens.len()];
        loop {
            let to: usize = (index.iter().zip(&strides))
                .map(|(&i, s)| i as usize * s)
                .sum();
            let read = term.operands.iter().map(|view| read(view, &index, trace));
            out[to] = out[to].wrapping_add(term.coefficient.wrapping_mul(read.product()));
            let Some(next) = (0..lens.len())
                .rev()
                .find(|&axis| index[axis] + 1 < lens[axis])
            else {
                break;
            };
            index[next] += 1;
            index[next + 1..].fill(0);
        }
    }
    out
}

fn read(view: &View, index: &[u32], trace: &Trace) -> i64 {
    let shape = trace.shape(view.column);
    let mut from = 0;
    for ((map, &len), stride) in view.index.iter().zip(shape).zip(padded_strides(shape)) {
        let steps = map.strides.iter();
        let at = steps.fold(i64::from(map.offset), |at, &(axis, step)| {
            at + i64::from(step) * i64::from(index[axis as usize])
        });
        if at < 0 || at >= i64::from(len) {
            return 0;
        }
        from += at as usize * stride;
    }
    trace.column(view.column)[from].into()
}

fn check(accumulator: &Accumulator, trace: &Trace) {
    assert_eq!(
        accumulator.evaluate(trace),
        reference(accumulator, trace),
        "{accumulator:?}"
    );
}

fn view(column: u32, maps: &[(i32, &[(u8, i32)])]) -> View {
    let map = |&(offset, strides): &(i32, &[(u8, i32)])| AxisMap {
        offset,
        strides: strides.to_vec().into(),
    };
    View {
        column: ColumnId(column),
        index: maps.iter().map(map).collect::<Vec<_>>().into(),
    }
}

fn check_product(shape: &[u32], summed: &[u32], columns: &[&[u32]], operands: Vec<View>) {
    let shapes: Vec<Vec<u32>> = columns.iter().map(|shape| shape.to_vec()).collect();
    let trace = noisy_trace(&shapes, 7);
    let accumulator =
        Accumulator::zero(shape.to_vec().into()).plus_product(-3, summed.to_vec(), operands);
    check(&accumulator, &trace);
}

#[test]
fn constants_and_whole_columns_in_the_padding() {
    let trace = noisy_trace(&[vec![3, 5]], 1);
    let accumulator = Accumulator::of_column(vec![3, 5].into(), ColumnId(0)).plus_constant(11);
    let values = accumulator.evaluate(&trace);
    check(&accumulator, &trace);
    assert_eq!(values[0], i64::from(trace.column(ColumnId(0))[0]) + 11);
    assert_eq!(values[7], i64::from(trace.column(ColumnId(0))[7]));
    check(
        &Accumulator::zero(vec![].into()).plus_product(2, vec![3, 5], vec![]),
        &trace,
    );
}

#[test]
fn matrix_products() {
    let normal = view(1, &[(0, &[(2, 1)]), (0, &[(1, 1)])]);
    let transposed = view(1, &[(0, &[(1, 1)]), (0, &[(2, 1)])]);
    let left = view(0, &[(0, &[(0, 1)]), (0, &[(2, 1)])]);
    for (m, k, n) in [
        (1, 64, 64),
        (20, 33, 50),
        (64, 64, 600),
        (17, 5, 3),
        (3, 5, 700),
    ] {
        check_product(
            &[m, n],
            &[k],
            &[&[m, k], &[k, n]],
            vec![left.clone(), normal.clone()],
        );
        check_product(
            &[m, n],
            &[k],
            &[&[m, k], &[n, k]],
            vec![left.clone(), transposed.clone()],
        );
        check_product(
            &[m, n],
            &[k],
            &[&[m, k], &[n, k]],
            vec![transposed.clone(), left.clone()],
        );
    }
}

#[test]
fn batched_products() {
    // Heads: [t, h, u] = sum_d q[t, h d] k[u, h d].
    let q = view(0, &[(0, &[(0, 1)]), (0, &[(1, 8), (3, 1)])]);
    let k = view(1, &[(0, &[(2, 1)]), (0, &[(1, 8), (3, 1)])]);
    check_product(&[13, 4, 13], &[8], &[&[13, 32], &[13, 32]], vec![q, k]);
}

#[test]
fn convolutions() {
    // [o, y, x] = sum_{c, i, j} w[o, c, i, j] x[c, s y + i - 1, s x + j - 1].
    for stride in [1, 2] {
        let w = view(
            0,
            &[
                (0, &[(0, 1)]),
                (0, &[(3, 1)]),
                (0, &[(4, 1)]),
                (0, &[(5, 1)]),
            ],
        );
        let x = view(
            1,
            &[
                (0, &[(3, 1)]),
                (-1, &[(1, stride), (4, 1)]),
                (-1, &[(2, stride), (5, 1)]),
            ],
        );
        let side = 14 / stride as u32;
        check_product(
            &[10, side, side],
            &[3, 3, 3],
            &[&[10, 3, 3, 3], &[3, 14, 14]],
            vec![w, x],
        );
        // Depthwise.
        let w = view(0, &[(0, &[(0, 1)]), (0, &[(3, 1)]), (0, &[(4, 1)])]);
        let x = view(
            1,
            &[
                (0, &[(0, 1)]),
                (-1, &[(1, stride), (3, 1)]),
                (-1, &[(2, stride), (4, 1)]),
            ],
        );
        check_product(
            &[10, side, side],
            &[3, 3],
            &[&[10, 3, 3], &[10, 14, 14]],
            vec![w, x],
        );
    }
}

#[test]
fn far_apart_and_outside() {
    let far = view(0, &[(-1_000_000_000, &[(0, 500_000_000)])]);
    check_product(&[5], &[], &[&[6]], vec![far.clone()]);
    check_product(&[5], &[], &[&[6]], vec![view(0, &[(9, &[])]), far]);
    check_product(
        &[5, 7],
        &[3],
        &[&[6]],
        vec![view(0, &[(3, &[(0, -1), (1, 2), (2, -5)])])],
    );
}

#[test]
fn large_terms_run_in_parallel() {
    let a = view(0, &[(0, &[(0, 1)]), (0, &[(1, 1)])]);
    let b = view(1, &[(0, &[(1, 1)]), (0, &[(0, 1)])]);
    check_product(
        &[300, 300],
        &[],
        &[&[300, 300], &[300, 300]],
        vec![a.clone(), b.clone()],
    );
    check_product(
        &[300],
        &[300],
        &[&[300, 300], &[300, 300]],
        vec![a.clone(), b.clone()],
    );
    check_product(
        &[300],
        &[300],
        &[&[300, 300], &[300, 300]],
        vec![a, b.clone(), b],
    );
}

#[test]
fn large_coefficients() {
    let trace = noisy_trace(&[vec![40], vec![40]], 3);
    let (a, b) = (view(0, &[(0, &[(0, 1)])]), view(1, &[(0, &[(0, 1)])]));
    for operands in [vec![], vec![a.clone()], vec![a, b]] {
        let zero = Accumulator::zero(vec![40].into());
        check(&zero.plus_product(1 << 40, vec![], operands), &trace);
    }
}

fn shape(max_rank: usize, max_len: u32) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1..=max_len, 0..=max_rank)
}

/// A view of a column of `rank` axes by a term of `axes` axes: each term axis goes to one column axis or to none.
fn any_view(column: u32, rank: usize, axes: usize) -> impl Strategy<Value = View> {
    let stride = prop_oneof![4 => Just(1), 1 => -3..=3i32];
    let offset = prop_oneof![2 => Just(0), 1 => -3..=4i32];
    let uses = prop::collection::vec((0..=rank, stride), axes);
    (uses, prop::collection::vec(offset, rank)).prop_map(move |(uses, offsets)| {
        let map = |(axis, offset)| {
            let steps = (0u8..).zip(&uses).filter(|(_, (to, _))| *to == axis);
            AxisMap {
                offset,
                strides: steps.map(|(from, &(_, stride))| (from, stride)).collect(),
            }
        };
        View {
            column: ColumnId(column),
            index: offsets.into_iter().enumerate().map(map).collect(),
        }
    })
}

fn any_term(shapes: Vec<Vec<u32>>, rank: usize, max_len: u32) -> impl Strategy<Value = Term> {
    (shape(2, max_len), 0..=4usize).prop_flat_map(move |(summed, operands)| {
        let axes = rank + summed.len();
        let shapes = shapes.clone();
        let operand = (0..shapes.len())
            .prop_flat_map(move |column| any_view(column as u32, shapes[column].len(), axes));
        let operands = prop::collection::vec(operand, operands);
        (-5..=5i64, operands).prop_map(move |(coefficient, operands)| Term {
            coefficient,
            summed: summed.clone().into(),
            operands: operands.into(),
        })
    })
}

/// Column shapes and an accumulator over them.
fn any_accumulator(max_len: u32) -> impl Strategy<Value = (Vec<Vec<u32>>, Accumulator)> {
    (
        shape(3, max_len),
        prop::collection::vec(shape(3, 2 * max_len), 1..4),
    )
        .prop_flat_map(move |(shape, mut shapes)| {
            shapes.push(shape.clone());
            let whole = ColumnId(shapes.len() as u32 - 1);
            let terms = prop::collection::vec(any_term(shapes.clone(), shape.len(), max_len), 0..4);
            (terms, prop::option::of(-9..=9i64)).prop_map(move |(terms, factor)| {
                let columns: Vec<_> = factor.into_iter().map(|factor| (factor, whole)).collect();
                let accumulator = Accumulator {
                    shape: shape.clone().into(),
                    columns: columns.into(),
                    terms: terms.into(),
                };
                (shapes.clone(), accumulator)
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn small_accumulators((shapes, accumulator) in any_accumulator(5), seed: u64) {
        check(&accumulator, &noisy_trace(&shapes, seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn larger_accumulators((shapes, accumulator) in any_accumulator(17), seed: u64) {
        check(&accumulator, &noisy_trace(&shapes, seed));
    }
}
