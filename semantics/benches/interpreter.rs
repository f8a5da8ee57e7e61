//! Time per instruction of the interpreter, beside the interpreter of the rbpf crate, on the same bytes in one run.

#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};

#[path = "programs/mod.rs"]
mod programs;
use programs::{LOOPS, PACKET, alu_loop, checksum_loop, op};

fn bytes(insns: &[Insn]) -> Vec<u8> {
    semantics::encoding::encode(insns)
}

fn bench_pair(c: &mut Criterion, name: &str, ours: Vec<Insn>, theirs: &[Insn]) {
    let program = Program::new(name, ProgramType::Xdp, "GPL", vec![], ours).expect("a program");
    let mut world = World::new(Memory::detached().expect("guest memory"));
    world.load(&program).expect("no maps");
    let input = Input { packet: vec![0x5a; PACKET as usize], ..Input::default() };
    world.reset(&input).expect("an input");
    let stop = interpreter::run(&program, &mut world, u64::MAX, &mut ());
    let their_bytes = bytes(theirs);
    let mut vm = rbpf::EbpfVmRaw::new(None).expect("a machine");
    vm.set_verifier(|_| Ok(())).expect("no program yet");
    vm.set_program(&their_bytes).expect("a program");
    let mut packet = input.packet.clone();
    assert_eq!(Ok(vm.execute_program(&mut packet).expect("a result")), stop.result, "the peers agree");

    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(stop.retired));
    group.bench_function("touchstone", |b| {
        b.iter(|| interpreter::run(&program, &mut world, u64::MAX, &mut ()).result);
    });
    group.bench_function("rbpf", |b| b.iter(|| vm.execute_program(&mut packet).expect("a result")));
    group.finish();
}

/// Sixteen instructions per turn of the families beyond plain arithmetic: products, quotients, shifts, byte order, the
/// stack, and a call of a subprogram.
fn mixed_loop() -> Vec<Insn> {
    use Reg::{R0, R1, R2, R6, R7, R10};
    vec![
        Insn::new(Opcode::Mov64K).dst(R6).imm(LOOPS),
        Insn::new(Opcode::Mov64K).dst(R7).imm(12_345),
        Insn::new(Opcode::Mul64K).dst(R7).imm(0x5deece6),
        Insn::new(Opcode::Add64K).dst(R7).imm(11),
        op(Opcode::Mov64X, R1, R7),
        Insn::new(Opcode::Rsh64K).dst(R1).imm(16),
        op(Opcode::StxDw, R10, R1).off(-8),
        op(Opcode::Mov64X, R2, R6),
        Insn::new(Opcode::CallLocal).imm(8),
        Insn::new(Opcode::Be32).dst(R0),
        op(Opcode::LdxW, R1, R10).off(-8),
        op(Opcode::Xor64X, R7, R0),
        op(Opcode::Add64X, R7, R1),
        Insn::new(Opcode::Sub64K).dst(R6).imm(1),
        Insn::new(Opcode::Jne64K).dst(R6).imm(0).off(-13),
        op(Opcode::Mov64X, R0, R7),
        // `CallLocal` leads behind this exit.
        Insn::new(Opcode::Exit),
        op(Opcode::Mov64X, R0, R1),
        op(Opcode::Mod64X, R0, R2),
        Insn::new(Opcode::Lsh32K).dst(R0).imm(3),
        Insn::new(Opcode::Exit),
    ]
}

fn benches(c: &mut Criterion) {
    bench_pair(c, "alu_loop", alu_loop(), &alu_loop());
    bench_pair(c, "mixed_loop", mixed_loop(), &mixed_loop());
    let ours = [op(Opcode::LdxW, Reg::R6, Reg::R1), op(Opcode::LdxW, Reg::R7, Reg::R1).off(4)];
    // The raw machine of rbpf gets the packet in R1.
    let theirs = [
        op(Opcode::Mov64X, Reg::R6, Reg::R1),
        op(Opcode::Mov64X, Reg::R7, Reg::R1),
        Insn::new(Opcode::Add64K).dst(Reg::R7).imm(PACKET),
    ];
    bench_pair(c, "checksum_1500", checksum_loop(&ours), &checksum_loop(&theirs));
}

criterion_group! {
    name = interpreter_benches;
    config = Criterion::default().sample_size(30);
    targets = benches
}
criterion_main!(interpreter_benches);
