//! What proofs cost: one obligation of each kind.

#![allow(missing_docs, reason = "criterion's macros define undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use proofs::obligation::Outcome;
use proofs::solver::{self, Settings};

const REPRESENTATIVE: [&str; 8] = [
    "tnum::add64",
    "scalar::deduce_mixed",
    "scalar::sync",
    "insn::alu::operator::or64",
    "insn::alu::transfer::add64_x",
    "insn::jump::operator::slt64_holds",
    "insn::load_store::lower::stx_dw",
    "x64::encode::load",
];

fn proofs(criterion: &mut Criterion) {
    let obligations = proofs::obligations();
    let mut group = criterion.benchmark_group("prove");
    group.sample_size(10);
    for name in REPRESENTATIVE {
        let obligation = obligations.iter().find(|obligation| obligation.name == name).expect("an obligation's name");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                solver::begin(name, Settings::default());
                assert_eq!(obligation.prove(None), Outcome::Proven);
                solver::end()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, proofs);
criterion_main!(benches);
