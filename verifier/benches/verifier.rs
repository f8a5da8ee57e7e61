//! What a verification costs: the fuzzer verifies 50,000 programs of about 20 instructions a second.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use criterion::{Criterion, criterion_group, criterion_main};
use semantics::asm::assemble;
use semantics::insn::{AluOp, Insn, Width};
use semantics::interpreter::{Observer, Registers, run};
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::word::Concrete;
use semantics::world::{Input, World};
use std::hint::black_box;
use std::sync::Arc;
use verifier::rules::Rules;
use verifier::scalar::Scalar;
use verifier::{Options, Snapshot, States, Verifier};

/// 20 instructions: packet bounds, loads, arithmetic, a spill, two branches on numbers.
const TWENTY: &str = "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r2 = r6\n r2 += 14\n r0 = 1\n if r2 > r7 goto out\n \
    r3 = *(u16 *)(r6 + 12)\n r4 = *(u8 *)(r6 + 3)\n r3 += r4\n w3 ^= 5\n *(u64 *)(r10 - 8) = r3\n if w3 s< 100 goto small\n \
    r3 -= 100\n small: r5 = *(u64 *)(r10 - 8)\n r5 &= 7\n if r5 == r4 goto out\n r0 = r5\n r0 |= 2\n r0 += 3\n out: exit";
/// 2,000 steps in a loop.
const LOOP: &str = "r0 = 0\n r1 = 1\n again: r1 += r0\n r0 += 1\n if r0 < 666 goto again\n exit";

fn program(text: &str) -> Arc<Program> {
    Arc::new(Program::new("bench", ProgramType::Xdp, "GPL", vec![], assemble(text).unwrap()).unwrap())
}

struct Contained<'a>(&'a States);

impl Observer for Contained<'_> {
    fn before(&mut self, pc: usize, _: &Insn, regs: &Registers, world: &mut World) {
        self.0.contains(pc, &Snapshot { regs, memory: &world.memory, packet: &world.packet, origins: None }).unwrap();
    }
}

fn whole_programs(criterion: &mut Criterion) {
    let twenty = program(TWENTY);
    let record = Options { record: true, ..Options::default() };
    let mut verifier = Verifier::default();
    criterion.bench_function("verify 20 instructions", |b| {
        b.iter(|| assert!(verifier.verify(black_box(&twenty), &Options::default()).is_accept()));
    });
    criterion.bench_function("verify 20 instructions, recording", |b| {
        b.iter(|| {
            let states = verifier.verify(black_box(&twenty), &record).accepted().unwrap().states.unwrap();
            verifier.recycle(states);
        });
    });
    let looping = program(LOOP);
    criterion.bench_function("verify a loop of 2,000 steps", |b| {
        b.iter(|| assert!(verifier.verify(black_box(&looping), &Options::default()).is_accept()));
    });
    let states = verifier.verify(&twenty, &record).accepted().unwrap().states.unwrap();
    let mut world = World::new(Memory::detached().unwrap());
    world.load(&twenty).unwrap();
    world.reset(&Input { packet: vec![1; 64], ..Input::default() }).unwrap();
    criterion.bench_function("run 20 instructions", |b| b.iter(|| run(&twenty, &mut world, 1000, &mut ())));
    criterion.bench_function("run 20 instructions, contained", |b| {
        b.iter(|| run(&twenty, &mut world, 1000, &mut Contained(&states)));
    });
}

fn scalars(criterion: &mut Criterion) {
    let rules = Rules::<Concrete>::default();
    let (a, b) = (Scalar::<Concrete>::of_bits(16), Scalar::of_bits(8));
    criterion.bench_function("add two scalars", |bench| {
        bench.iter(|| rules.at(Width::W64).alu(AluOp::Add)(&verifier::Domain::V6_8, black_box(&a), black_box(&b)));
    });
    criterion.bench_function("synchronise a scalar", |bench| bench.iter(|| black_box(&a).sync()));
}

criterion_group!(benches, whole_programs, scalars);
criterion_main!(benches);
