//! Programs per second of one process: generated, verified, run on both engines, compared and contained.

#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fuzz::dice::Dice;
use fuzz::generate::{Generator, Options};
use fuzz::judge::{Judge, Judgement};

const BATCH: u64 = 1000;

fn benches(c: &mut Criterion) {
    let generator = Generator::new(Options::default());
    let mut judge = Judge::new(None).expect("guest and executable memory");
    let mut group = c.benchmark_group("fuzz");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("generate", |b| {
        let mut number = 0;
        b.iter(|| {
            for _ in 0..BATCH {
                number += 1;
                std::hint::black_box(generator.test(Dice::new(1, number)));
            }
        });
    });
    group.bench_function("judge", |b| {
        let mut number = 0;
        b.iter(|| {
            for _ in 0..BATCH {
                number += 1;
                let judgement = judge.judge(&generator.test(Dice::new(1, number)));
                assert!(!matches!(judgement, Judgement::Objection(_)), "{judgement:?}");
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = fuzz_benches;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(fuzz_benches);
