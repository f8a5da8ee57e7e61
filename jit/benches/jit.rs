//! Compile time per instruction, and run time of compiled code beside the JIT and the interpreter of the rbpf crate, on
//! the same instructions in one run.

#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jit::image::Image;
use jit::{Code, Jit, Rules, compile};
use semantics::engine::Engine;
use semantics::insn::{Insn, Opcode, Reg};
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};

#[path = "../../semantics/benches/programs/mod.rs"]
mod programs;
use programs::{PACKET, alu_loop, checksum_loop, op};

/// All rooms in turn, with a forward jump in each block.
fn long_program(len: usize) -> Vec<Insn> {
    use Reg::{R0, R1, R3, R6, R10};
    let block = [
        Insn::new(Opcode::Mov64K).dst(R0).imm(1000),
        op(Opcode::Add64X, R0, R3),
        Insn::new(Opcode::And64K).dst(R0).imm(0xff),
        op(Opcode::StxDw, R10, R0).off(-16),
        op(Opcode::LdxW, R6, R1).off(4),
        Insn::new(Opcode::Jeq64K).dst(R6).imm(7).off(2),
        op(Opcode::Xor32X, R3, R6),
        Insn::new(Opcode::Add64K).dst(R3).imm(100_000),
    ];
    let mut insns: Vec<Insn> = block.into_iter().cycle().take((len - 1) / block.len() * block.len()).collect();
    insns.resize(len, Insn::new(Opcode::Exit));
    insns
}

fn verified(name: &str, insns: Vec<Insn>) -> Verified {
    let program = Program::new(name, ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
    // SAFETY: the programs above end, and access the context, their frame and the packet within its length.
    unsafe { Verified::trust(Arc::new(program)) }
}

fn bench_compile(c: &mut Criterion) {
    for len in [20, 4096] {
        let program = verified("compile", long_program(len));
        let (rules, mut code) = (Rules::standard(), Code::default());
        let mut image = Image::new(1 << 16).expect("an image");
        let bytes = semantics::encoding::encode(program.program().insns());
        let mut group = c.benchmark_group(format!("compile_{len}"));
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function("touchstone", |b| b.iter(|| compile(&program, &rules, &mut code)));
        group.bench_function("touchstone_into_image", |b| {
            b.iter(|| {
                compile(&program, &rules, &mut code).expect("every opcode");
                image.load(code.bytes()).expect("room");
            });
        });
        // Longer code does not fit the memory that rbpf's JIT takes.
        if len < 100 {
            group.bench_function("rbpf", |b| {
                b.iter(|| {
                    let mut vm = rbpf::EbpfVmRaw::new(None).expect("a machine");
                    vm.set_verifier(|_| Ok(())).expect("no program yet");
                    vm.set_program(&bytes).expect("a program");
                    vm.jit_compile().expect("every opcode");
                });
            });
        }
        group.finish();
    }
}

fn bench_run(c: &mut Criterion, name: &str, ours: Vec<Insn>, theirs: &[Insn]) {
    let program = verified(name, ours);
    let mut world = World::new(Memory::native().expect("guest memory"));
    world.load(program.program()).expect("no maps");
    let input = Input { packet: vec![0x5a; PACKET as usize], ..Input::default() };
    world.reset(&input).expect("an input");
    let stop = interpreter::run(program.program(), &mut world, u64::MAX, &mut ());
    let mut jit = Jit::new().expect("an image");
    jit.load(&program).expect("every opcode");
    assert_eq!(jit.run(&mut world), stop.result, "the engines agree");

    let bytes = semantics::encoding::encode(theirs);
    let mut vm = rbpf::EbpfVmRaw::new(None).expect("a machine");
    vm.set_verifier(|_| Ok(())).expect("no program yet");
    vm.set_program(&bytes).expect("a program");
    vm.jit_compile().expect("every opcode");
    let mut packet = input.packet.clone();
    // SAFETY: the program reads the packet that it is given.
    let their_result = unsafe { vm.execute_program_jit(&mut packet) };
    assert_eq!(Ok(their_result.expect("a result")), stop.result, "the peers agree");

    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(stop.retired));
    group.bench_function("touchstone_jit", |b| b.iter(|| jit.run(&mut world)));
    // SAFETY: as above.
    group.bench_function("rbpf_jit", |b| b.iter(|| unsafe { vm.execute_program_jit(&mut packet) }.expect("a result")));
    group.bench_function("rbpf_interpreter", |b| b.iter(|| vm.execute_program(&mut packet).expect("a result")));
    group.finish();
}

fn benches(c: &mut Criterion) {
    bench_compile(c);
    bench_run(c, "alu_loop", alu_loop(), &alu_loop());
    let ours = [op(Opcode::LdxW, Reg::R6, Reg::R1), op(Opcode::LdxW, Reg::R7, Reg::R1).off(4)];
    // The raw machine of rbpf gets the packet in R1.
    let theirs = [
        op(Opcode::Mov64X, Reg::R6, Reg::R1),
        op(Opcode::Mov64X, Reg::R7, Reg::R1),
        Insn::new(Opcode::Add64K).dst(Reg::R7).imm(PACKET),
    ];
    bench_run(c, "checksum_1500", checksum_loop(&ours), &checksum_loop(&theirs));
}

criterion_group! {
    name = jit_benches;
    config = Criterion::default().sample_size(30);
    targets = benches
}
criterion_main!(jit_benches);
