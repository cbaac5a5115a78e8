//! Field kernels and commitments, on one thread and on all.
//!
//! Times are for a whole call; the throughput is in values, points or entries.

use std::hint::black_box;

use ark_ec::VariableBaseMSM;
use ark_ff::Field;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zkiln_runtime::Fr;
use zkiln_runtime::commitment::{
    Generators, GroupSum, commit_rows, decode_point, encode_point, msm,
};
use zkiln_runtime::field::{combine_rows_small, dot, dot_small, eq_table};

/// Signed values of `bits` bits; 0 and 1 for one bit.
fn values(len: usize, bits: u32) -> Vec<i32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if bits == 1 {
                (state >> 63) as i32
            } else {
                (state as i64 >> (64 - bits)) as i32
            }
        })
        .collect()
}

fn elements(len: usize) -> Vec<Fr> {
    let mut element = Fr::from(3u64);
    let step = Fr::from(5u64).pow([1 << 40]);
    (0..len)
        .map(|_| {
            element = element.square() + step;
            element
        })
        .collect()
}

/// Runs `body` on a pool of one thread and on the machine's.
fn on_pools(mut body: impl FnMut(&str, &dyn Fn(&mut (dyn FnMut() + Send)))) {
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    body("1 thread", &|run| one.install(run));
    body("all threads", &|run| run());
}

fn commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("commit_rows");
    group.sample_size(10);
    for (row_len, rows) in [(256, 256), (1024, 64), (4096, 16)] {
        let generators = Generators::derive(row_len);
        for bits in [1, 8, 12, 16] {
            let values = values(row_len * rows, bits);
            group.throughput(Throughput::Elements(values.len() as u64));
            on_pools(|pool, install| {
                let id = BenchmarkId::new(format!("{bits} bits, rows of {row_len}"), pool);
                group.bench_function(id, |b| {
                    b.iter(|| {
                        install(&mut || drop(black_box(commit_rows(&generators, &values, row_len))))
                    })
                });
            });
        }
    }
}

fn msms(c: &mut Criterion) {
    let mut group = c.benchmark_group("msm");
    group.sample_size(10);
    for len in [512, 1024, 2048, 4096] {
        let generators = Generators::derive(len);
        let scalars = elements(len);
        group.throughput(Throughput::Elements(len as u64));
        on_pools(|pool, install| {
            group.bench_function(BenchmarkId::new(format!("{len}"), pool), |b| {
                b.iter(|| {
                    install(&mut || {
                        let _ = black_box(msm(generators.points(), &scalars));
                    })
                })
            });
        });
        group.bench_function(BenchmarkId::new(format!("{len}"), "ark, 1 thread"), |b| {
            b.iter(|| GroupSum::msm_unchecked(generators.points(), &scalars))
        });
    }
    let point = encode_point(&Generators::derive(1).points()[0]);
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode_point", |b| {
        b.iter(|| decode_point(black_box(&point)))
    });
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("field");
    group.sample_size(10);
    let len = 1 << 14;
    let (a, b, small) = (elements(len), elements(len + 1), values(len, 12));
    group.throughput(Throughput::Elements(len as u64));
    group.bench_function("dot_small", |bench| bench.iter(|| dot_small(&small, &a)));
    group.bench_function("dot", |bench| bench.iter(|| dot(&a, &b[1..])));
    group.bench_function("dot, ark", |bench| {
        bench.iter(|| a.iter().zip(&b).map(|(a, b)| *a * b).sum::<Fr>())
    });
    let point = elements(14);
    group.bench_function("eq_table", |bench| bench.iter(|| eq_table(&point)));
    let (rows, row_len) = (1024, 1024);
    let (matrix, weights) = (values(rows * row_len, 12), elements(rows));
    group.throughput(Throughput::Elements((rows * row_len) as u64));
    on_pools(|pool, install| {
        group.bench_function(BenchmarkId::new("combine_rows_small", pool), |bench| {
            bench.iter(|| {
                install(&mut || drop(black_box(combine_rows_small(&matrix, row_len, &weights))))
            })
        });
    });
}

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(not(target_arch = "x86_64"))]
mod avx512 {
    pub fn bench(_: &mut criterion::Criterion) {}
}

criterion_group!(benches, avx512::bench, kernels, commits, msms);
criterion_main!(benches);
