//! Where branches lead, by an independent decoder: at the borders of their reach, in chains, over whole programs.

mod common;

use std::sync::Arc;

use common::Random;
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use jit::disasm::listing;
use jit::x64::Stub;
use jit::{Code, Rules, compile};
use semantics::insn::{Insn, Op, Opcode, Reg};
use semantics::program::{INSNS_MAX, Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::Unsupported;

fn program(insns: Vec<Insn>) -> Verified {
    let program = Program::new("layout", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
    // SAFETY: these programs are compiled and looked at, never run.
    unsafe { Verified::trust(Arc::new(program)) }
}

/// Compiles and checks that every branch leads where the BPF jump does, in the shortest form that reaches.
fn compiled(insns: Vec<Insn>) -> Code {
    let program = program(insns);
    let insns = program.program().insns();
    let mut code = Code::default();
    compile(&program, &Rules::standard(), &mut code).unwrap();
    assert_eq!(code.slots(), insns.len());
    for (slot, insn) in insns.iter().enumerate() {
        let (start, end) = (code.slot(slot), code.slot(slot + 1));
        assert!(start <= end);
        let decoder = Decoder::with_ip(64, &code.bytes()[start..end], start as u64, DecoderOptions::NONE);
        let mut branches = decoder.into_iter().filter(|inst| inst.flow_control() != FlowControl::Next);
        let target = match insn.op() {
            Op::Jump { .. } | Op::Ja | Op::Gotol => code.slot(insn.target(slot) as usize),
            Op::CallHelper => code.stub(Stub::Helper).start,
            Op::Exit => {
                assert!(branches.all(|inst| inst.flow_control() == FlowControl::Return));
                continue;
            }
            _ => {
                assert!(branches.next().is_none());
                continue;
            }
        };
        match branches.next() {
            Some(branch) => {
                assert_eq!(branch.near_branch64() as usize, target, "slot {slot} {insn}");
                let rel = target as i64 - branch.next_ip() as i64;
                let long = branch.len() > 2;
                assert!(long || i8::try_from(rel).is_ok());
                // Growing again may take a branch just over the border, by the bytes it grew itself.
                assert!(!long || insn.op() == Op::CallHelper || !(-124..=123).contains(&rel), "slot {slot}: {rel}");
            }
            None => assert_eq!(target, end, "slot {slot} {insn} takes no bytes"),
        }
    }
    code
}

fn exit() -> Insn {
    Insn::new(Opcode::Exit)
}

/// Instructions whose code takes exactly `bytes`, at least 2.
fn filler(bytes: usize) -> Vec<Insn> {
    let short = Insn::new(Opcode::Mov32X);
    let long = Insn::new(Opcode::Mov32X).dst(Reg::R8).src(Reg::R8);
    let mut insns = vec![short; bytes / 2 - bytes % 2];
    insns.extend(vec![long; bytes % 2]);
    insns
}

fn jump(opcode: Opcode, off: i64) -> Insn {
    Insn::new(opcode).dst(Reg::R1).off(i16::try_from(off).unwrap())
}

#[test]
fn forward_borders() {
    for opcode in [Opcode::Ja, Opcode::Jeq64K] {
        for bytes in 120..136 {
            let middle = filler(bytes);
            let mut insns = vec![jump(opcode, middle.len() as i64)];
            insns.extend(middle);
            insns.push(exit());
            let code = compiled(insns);
            let (flags, near) = if opcode == Opcode::Ja { (0, 5) } else { (3, 6) };
            let wanted = flags + if bytes <= 127 { 2 } else { near };
            assert_eq!(code.slot(1) - code.slot(0), wanted, "{opcode:?} over {bytes} bytes");
        }
    }
}

#[test]
fn backward_borders() {
    for opcode in [Opcode::Ja, Opcode::Jeq64K] {
        for bytes in 118..136 {
            let mut insns = filler(bytes);
            let at = insns.len();
            insns.push(jump(opcode, -(at as i64) - 1));
            insns.push(exit());
            let code = compiled(insns);
            let (flags, near) = if opcode == Opcode::Ja { (0, 5) } else { (3, 6) };
            let wanted = flags + if bytes + flags + 2 <= 128 { 2 } else { near };
            assert_eq!(code.slot(at + 1) - code.slot(at), wanted, "{opcode:?} over {bytes} bytes");
        }
    }
}

/// Each jump reaches just over the next: when the last grows, all before it grow, one round after the other.
#[test]
fn chains_of_growth() {
    for len in [1usize, 10, 40, 400] {
        let mut insns = Vec::new();
        for _ in 0..len {
            // 3 + 2 bytes of jump, 122 bytes, and the next jump at its short length: 127.
            let middle = filler(122);
            insns.push(jump(Opcode::Jeq64K, middle.len() as i64 + 1));
            insns.extend(middle);
        }
        let last = filler(130);
        insns.push(jump(Opcode::Jeq64K, last.len() as i64));
        insns.extend(last);
        insns.push(exit());
        compiled(insns);
    }
}

#[test]
fn first_and_last_instruction() {
    for len in [1usize, 30, 500] {
        let mut insns = vec![jump(Opcode::Ja, 2 * len as i64 + 1)];
        insns.extend(vec![Insn::new(Opcode::Add64K).imm(1); 2 * len]);
        insns.push(exit());
        insns.push(jump(Opcode::Ja, -(2 * len as i64) - 3));
        compiled(insns);
    }
    compiled(vec![jump(Opcode::Ja, -1)]);
    assert_eq!(compiled(vec![exit()]).slot(1), compiled(vec![exit()]).slot(0) + 1);
}

/// The second slot of a wide instruction has no code; what follows it must not move (Linux arm64, `ddc665a4bb4b`).
#[test]
fn jumps_over_wide_instructions() {
    let insns = vec![
        jump(Opcode::Jeq64K, 2),
        Insn::new(Opcode::Lddw).wide(0x1234_5678_9abc_def0),
        Insn::new(Opcode::WideTail),
        exit(),
        jump(Opcode::Ja, -4),
    ];
    let code = compiled(insns);
    assert_eq!(code.slot(2), code.slot(3));
}

fn random_program(random: &mut Random, len: usize, near: i64) -> Vec<Insn> {
    let mut insns: Vec<Insn> = (0..len)
        .map(|at| {
            let target = (at as i64 + random.next() as i64 % near).clamp(0, len as i64);
            let off = target - at as i64 - 1;
            match random.below(6) {
                0 => jump(Opcode::Ja, off),
                1 => jump(Opcode::Jsgt64X, off),
                2 => jump(Opcode::Jset32K, off).imm(random.imm()),
                3 => Insn::new(Opcode::LdxW).dst(Reg::R6).src(Reg::R1).off(random.off()),
                4 => Insn::new(Opcode::Call).imm(5),
                _ => Insn::new(Opcode::Add64K).dst(Reg::R7).imm(random.imm()),
            }
        })
        .collect();
    insns.push(exit());
    insns
}

#[test]
fn random_programs() {
    let mut random = Random(7);
    for _ in 0..300 {
        let (len, near) = (1 + random.below(400), 1 + random.below(100) as i64);
        compiled(random_program(&mut random, len, near));
    }
}

/// As many instructions as a program can have: jumps over a few of them, over as many as 16 bits reach, and with `gotol` over
/// nearly all.
#[test]
fn a_million_instructions() {
    let mut random = Random(9);
    let len = INSNS_MAX - 1;
    let mut insns = random_program(&mut random, len, 30_000);
    for _ in 0..1000 {
        let (at, target) = (random.below(len), random.below(len));
        insns[at] = Insn::new(Opcode::Gotol).imm(target as i32 - at as i32 - 1);
    }
    insns[0] = Insn::new(Opcode::Gotol).imm(len as i32 - 1);
    insns[len - 1] = Insn::new(Opcode::Gotol).imm(-(len as i32));
    let code = compiled(insns);
    assert!(code.bytes().len() > 3 * INSNS_MAX);
}

#[test]
fn a_hundred_thousand_instructions() {
    let mut random = Random(8);
    compiled(random_program(&mut random, 100_000, 60));
    compiled(random_program(&mut random, 100_000, 20_000));
}

/// Dead code that only jumps: it must not take more rounds than there are (Linux, `1612a981b766`).
#[test]
fn a_thousand_jumps_to_themselves() {
    let mut insns = vec![jump(Opcode::Ja, -1); 1000];
    insns.push(exit());
    let code = compiled(insns);
    assert_eq!(code.slot(1000) - code.slot(0), 2000);
}

#[test]
fn an_opcode_without_a_rule_is_unsupported() {
    let mut rules = Rules::standard();
    rules.set(Opcode::Neg64, None);
    let program = program(vec![Insn::new(Opcode::Neg64), exit()]);
    let error = compile(&program, &rules, &mut Code::default()).unwrap_err();
    assert_eq!(error, Unsupported::Insn { engine: "jit", insn: "Neg64" });
}

#[test]
fn both_sides_are_listed() {
    let program = program(vec![
        Insn::new(Opcode::LdxW).dst(Reg::R6).src(Reg::R1).off(4),
        Insn::new(Opcode::Mov64X).src(Reg::R6),
        exit(),
    ]);
    let mut code = Code::default();
    compile(&program, &Rules::standard(), &mut code).unwrap();
    let listing = listing(program.program().insns(), &code);
    let texts = |slot| listing.0.iter().find(|part| part.slot == Some(slot)).unwrap().native.iter();
    assert_eq!(texts(0).map(|native| native.text.as_str()).collect::<Vec<_>>(), ["mov ebx,[rdi+4]"]);
    assert_eq!(texts(1).map(|native| native.text.as_str()).collect::<Vec<_>>(), ["mov rax,rbx"]);
    let bytes: Vec<u8> =
        listing.0.iter().flat_map(|part| &part.native).flat_map(|native| native.bytes.clone()).collect();
    assert_eq!(bytes, code.bytes());
    assert!(listing.to_string().contains(&program.program().insns()[0].to_string()));
}
