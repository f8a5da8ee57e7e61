//! Compiling, and running compiled code, beside the rbpf crate, templates as ubpf's, and scalar Rust. `ratios` prints the same
//! contests as a table.

#![allow(missing_docs, reason = "a program")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod contest;

fn contests(c: &mut Criterion) {
    for make in contest::all() {
        let mut contest = make();
        let (title, unit) = contest.title();
        let mut group = c.benchmark_group(title.replace([' ', ','], "_"));
        group.throughput(Throughput::Elements(unit.count));
        for (at, runner) in contest.runners().to_vec().into_iter().enumerate() {
            group.bench_function(runner, |b| b.iter(|| contest.run(at)));
        }
        group.finish();
    }
}

criterion_group! {
    name = jit_benches;
    config = Criterion::default().sample_size(20);
    targets = contests
}
criterion_main!(jit_benches);
