//! Cost of proving each relation on its own, on 2^14 elements: the reference, then the whole proof.
#[path = "../tests/support/mod.rs"]
mod support;

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{Builder, accumulator, at, stream, term, view};
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::model::Structure;
use zkiln_runtime::protocol::{prove, run};
use zkiln_runtime::relations::{Exact, Map, OneHot, Quotient, Relation, Requant, RowMax};

const ROWS: u32 = 128;
const LEN: u32 = 128;

fn ints(seed: u64, len: usize, modulus: i64) -> Vec<i64> {
    stream(seed, modulus).take(len).collect()
}

fn requant(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS, LEN], (-2048, 2047));
    let w = b.constant(
        "w",
        &[LEN, LEN],
        ints(1, (LEN * LEN) as usize, 200)
            .into_iter()
            .map(|w| w as i32)
            .collect(),
    );
    let table = b.table("relu", 12, -2048, &[&|y| y.max(0) as i32]);
    let remainder = b.limbs("remainder", &[ROWS, LEN], &[12]);
    let (output, mapped) = (b.witness("y", &[ROWS, LEN]), b.witness("out", &[ROWS, LEN]));
    let product = term(
        1,
        &[LEN],
        &[view(x, &[at(0), at(2)]), view(w, &[at(2), at(1)])],
    );
    let accumulator = accumulator(&[ROWS, LEN], &[], &[product]);
    b.node(
        "requant",
        Relation::Requant(Requant {
            accumulator,
            shift: 12,
            remainder,
            output,
            table,
            mapped: Cow::Owned(vec![mapped]),
        }),
    );
    vec![ints(2, (ROWS * LEN) as usize, 2000)]
}

fn map(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS, LEN], (-2048, 2047));
    let table = b.table("relu", 12, -2048, &[&|y| y.max(0) as i32]);
    let out = b.witness("out", &[ROWS, LEN]);
    let accumulator = accumulator(&[ROWS, LEN], &[(1, x)], &[]);
    b.node(
        "map",
        Relation::Map(Map {
            accumulator,
            table,
            mapped: Cow::Owned(vec![out]),
        }),
    );
    vec![ints(2, (ROWS * LEN) as usize, 4000)]
}

fn exact(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS, LEN], (-2048, 2047));
    let output = b.witness("square", &[ROWS, LEN]);
    let square = term(
        1,
        &[],
        &[view(x, &[at(0), at(1)]), view(x, &[at(0), at(1)])],
    );
    b.node(
        "exact",
        Relation::Exact(Exact {
            accumulator: accumulator(&[ROWS, LEN], &[], &[square]),
            output,
        }),
    );
    vec![ints(2, (ROWS * LEN) as usize, 4000)]
}

fn row_max(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS, LEN], (-2048, 2047));
    let max_range = b.table("max", 12, -2048, &[]);
    let exp: &dyn Fn(i64) -> i32 = &|key| (4096.0 * (-0.01 * key as f64).exp()).round() as i32;
    let table = b.table("exp", 13, 0, &[exp]);
    let first = b.structural("exp/hit", 1 << 13, Structure::First);
    b.tables[table.0 as usize].outputs.to_mut().push(first);
    let count_range = b.table("count", 7, 0, &[]);
    let (max, exp, hit) = (
        b.witness("max", &[ROWS]),
        b.witness("exp", &[ROWS, LEN]),
        b.witness("hit", &[ROWS, LEN]),
    );
    let scores = accumulator(&[ROWS, LEN], &[(1, x)], &[]);
    b.node(
        "row_max",
        Relation::RowMax(RowMax {
            scores,
            max,
            max_range,
            table,
            exp,
            hit,
            count_range,
        }),
    );
    vec![ints(2, (ROWS * LEN) as usize, 4000)]
}

fn quotient(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS, LEN], (0, 4095));
    let quotient = b.witness("q", &[ROWS, LEN]);
    let quotient_limbs = b.limbs("limbs", &[ROWS, LEN], &[12, 12]);
    let (remainder, slack) = (
        b.limbs("remainder", &[ROWS, LEN], &[12]),
        b.limbs("slack", &[ROWS, LEN], &[12]),
    );
    let denominator = accumulator(
        &[ROWS, LEN],
        &[],
        &[term(1, &[], &[view(x, &[at(0), at(1)])]), term(1, &[], &[])],
    );
    b.node(
        "quotient",
        Relation::Quotient(Quotient {
            numerator: 1 << 22,
            denominator,
            quotient,
            quotient_limbs,
            remainder,
            slack,
        }),
    );
    vec![
        ints(2, (ROWS * LEN) as usize, 4000)
            .into_iter()
            .map(|x| x + 2000)
            .collect(),
    ]
}

fn one_hot(b: &mut Builder) -> Vec<Vec<i64>> {
    let x = b.input("x", &[ROWS], (0, i64::from(LEN) - 1));
    let hot = b.witness("hot", &[ROWS, LEN]);
    let iota = b.structural("iota", LEN, Structure::Index);
    b.node(
        "one_hot",
        Relation::OneHot(OneHot {
            index: accumulator(&[ROWS], &[(1, x)], &[]),
            hot,
            iota,
        }),
    );
    vec![
        (0..i64::from(ROWS))
            .map(|x| x * 37 % i64::from(LEN))
            .collect(),
    ]
}

/// Fills a builder with one relation and gives the inputs.
type Fixture = fn(&mut Builder) -> Vec<Vec<i64>>;

fn relations(criterion: &mut Criterion) {
    let fixtures: [(&str, Fixture); 6] = [
        ("requant", requant),
        ("map", map),
        ("exact", exact),
        ("row_max", row_max),
        ("quotient", quotient),
        ("one_hot", one_hot),
    ];
    for (name, fixture) in fixtures {
        let mut builder = Builder::default();
        let inputs = fixture(&mut builder);
        let (model, constants) = builder.build(10);
        let key = ProverKey::new(model, constants, &[0; 32]).expect("the fixture is well-formed");
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        group.bench_function("reference", |b| {
            b.iter(|| run(&key, black_box(&inputs)).expect("in range"))
        });
        group.bench_function("prove", |b| {
            b.iter(|| prove(&key, black_box(&inputs)).expect("in range"))
        });
        group.finish();
    }
}

criterion_group!(benches, relations);
criterion_main!(benches);
