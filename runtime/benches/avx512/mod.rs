//! Eight field elements at a time.

use super::*;
use zkiln_runtime::field::avx512::{LANES, PackedFr as P, PackedProductSum, available};

#[target_feature(enable = "avx512f,avx512ifma")]
fn load(values: &[Fr]) -> Vec<P> {
    values
        .as_chunks()
        .0
        .iter()
        .map(|chunk| P::load(chunk))
        .collect()
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn store(values: &[P], out: &mut [Fr]) {
    for (value, out) in values.iter().zip(out.as_chunks_mut::<LANES>().0) {
        *out = value.store();
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn each(a: &mut [P], b: &[P], operation: &str) {
    let pairs = a.iter_mut().zip(b);
    match operation {
        "mul" => pairs.for_each(|(a, b)| *a = a.mul(b)),
        "square" => pairs.for_each(|(a, _)| *a = a.square()),
        "add" => pairs.for_each(|(a, b)| *a = a.add(b)),
        "sub" => pairs.for_each(|(a, b)| *a = a.sub(b)),
        _ => unreachable!(),
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn dot(a: &[P], b: &[P]) -> P {
    let mut sum = PackedProductSum::new();
    for (a, b) in a.iter().zip(b) {
        sum.add(a, b);
    }
    sum.finish()
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn power(a: &P, times: usize) -> P {
    (0..times).fold(*a, |power, _| power.mul(a))
}

/// SAFETY of all `unsafe` here: the instructions are there.
pub fn bench(c: &mut Criterion) {
    if !available() {
        return;
    }
    let mut group = c.benchmark_group("avx512");
    let len = 1 << 10;
    let (a, b) = (elements(len), elements(len + 1));
    let mut out = a.clone();
    let (mut x, y) = unsafe { (load(&a), load(&b[1..])) };
    group.throughput(Throughput::Elements(len as u64));
    group.bench_function("load", |bench| {
        bench.iter(|| unsafe { load(black_box(&a)) })
    });
    group.bench_function("store", |bench| {
        bench.iter(|| unsafe { store(black_box(&x), &mut out) })
    });
    for operation in ["mul", "square", "add", "sub"] {
        group.bench_function(operation, |bench| {
            bench.iter(|| unsafe { each(black_box(&mut x), black_box(&y), operation) })
        });
    }
    group.bench_function("dot", |bench| {
        bench.iter(|| unsafe { dot(black_box(&x), black_box(&y)) })
    });
    group.bench_function("mul, dependent", |bench| {
        bench.iter(|| unsafe { power(black_box(&x[0]), len / LANES) })
    });
}
