//! LogUp-GKR: time per leaf. `RAYON_NUM_THREADS=1 cargo bench -p zkiln-runtime --bench logup`

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zkiln_runtime::Fr;
use zkiln_runtime::logup::{Leaves, prove};
use zkiln_runtime::transcript::{ProverTranscript, Sponge};

/// (name, log2 of the tree, unit leaves, table leaves)
const CASES: [(&str, usize, usize, usize); 5] = [
    ("2^16", 16, 1 << 15, 1 << 15),
    ("2^18", 18, 3 << 16, 1 << 16),
    ("2^20", 20, 15 << 16, 1 << 16),
    ("2^20 unit", 20, 1 << 20, 0),
    ("650k of 2^20", 20, 550_000, 100_000),
];

fn logup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("logup");
    group.sample_size(10);
    for (name, len_log2, unit, table) in CASES {
        // Any fractions cost the same.
        let mut value = Fr::from(3u64);
        let denominators: Vec<Fr> = (0..unit + table)
            .map(|_| {
                value = value * value + Fr::from(1u64);
                value
            })
            .collect();
        let numerators: Vec<i64> = (0..table as i64).map(|i| -(i * 37 % 1000)).collect();
        group.throughput(Throughput::Elements((unit + table) as u64));
        group.bench_function(BenchmarkId::new("prove", name), |bencher| {
            bencher.iter_batched(
                || denominators.clone(),
                |denominators| {
                    let mut transcript = ProverTranscript::new(Sponge::new("bench"));
                    let leaves = Leaves {
                        len_log2,
                        unit,
                        numerators: &numerators,
                        denominators,
                    };
                    black_box(prove(leaves, &mut transcript))
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, logup);
criterion_main!(benches);
