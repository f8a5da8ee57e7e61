//! How long a guest takes to its first answer, and how many small cases guests do. Skipped where there is no kernel.

#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linux::{Kernel, Machine, Order, Pool, Settings, kernel, sample};

const BATCH: u32 = 256;

fn benches(c: &mut Criterion) {
    let kernels = Kernel::all(&kernel::folder());
    if kernels.is_empty() {
        println!("skipped: there are no kernels (`make linux` gets them)");
    }
    for kernel in kernels {
        let mut group = c.benchmark_group(format!("linux-{}", kernel.version));
        group.sample_size(10).measurement_time(Duration::from_secs(30));
        let machine = || Machine::new(kernel.clone(), Settings::default());
        group.bench_function("start to first answer", |b| {
            b.iter(|| machine().ask_one(&sample::small(1)).expect("a guest").expect("an answer"));
        });
        group.throughput(Throughput::Elements(u64::from(BATCH))).measurement_time(Duration::from_secs(10));
        let jobs: Vec<_> = (0..BATCH).map(sample::small).collect();
        let mut one = machine();
        group.bench_function("small cases, one guest", |b| {
            b.iter(|| one.ask(&jobs, &mut |_, given| drop(given.expect("an answer"))).expect("a guest"));
        });
        drop(one);
        let mut pool = Pool::new(&kernel, &Settings::default(), Pool::default_guests());
        group.throughput(Throughput::Elements(4 * u64::from(BATCH)));
        group.bench_function(format!("small cases, {} guests", Pool::default_guests()), |b| {
            b.iter(|| {
                let jobs = (0..4 * BATCH).map(|number| ((), sample::small(number)));
                pool.ask(jobs, Order::Done).for_each(|done| drop(done.expect("a guest").1.expect("an answer")));
            });
        });
        group.finish();
    }
}

criterion_group!(guest_benches, benches);
criterion_main!(guest_benches);
