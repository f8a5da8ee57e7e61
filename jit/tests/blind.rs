//! Constant blinding as an attacker sees it: a program full of one pattern, and the bytes of its code.

mod common;

use std::sync::Arc;

use common::Random;
use jit::blind::{Keys, is_blinded};
use jit::plant::plants;
use jit::{Code, Rules, compile};
use semantics::insn::table::{Field, TABLE};
use semantics::insn::{Insn, Op, Opcode, Reg};
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;

/// `int3; int3; syscall` to whoever jumps into the middle: what a spraying program is made of.
const PATTERN: u32 = 0x050f_cccc;

/// Every instruction that holds a constant, with every destination, the pattern as each of its constants.
fn spray() -> Verified {
    let mut insns = Vec::new();
    for row in TABLE.iter().filter(|row| is_blinded(row.op)) {
        // R10 cannot be written; packet loads name no destination.
        let destinations = if row.fields.dst == Field::Any { &Reg::ALL[..10] } else { &Reg::ALL[..1] };
        for dst in destinations {
            insns.push(Insn::new(row.opcode).dst(*dst).imm(PATTERN as i32));
            if let Op::Wide(_) = row.op {
                insns.pop();
                insns.push(Insn::new(row.opcode).dst(*dst).wide(u64::from(PATTERN) << 32 | u64::from(PATTERN)));
                insns.push(Insn::new(Opcode::WideTail));
            }
        }
    }
    insns.push(Insn::new(Opcode::Exit));
    let program = Program::new("spray", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
    // SAFETY: this program is compiled and looked at, never run.
    unsafe { Verified::trust(Arc::new(program)) }
}

/// How often the pattern stands in the code, at any offset.
fn sightings(rules: &Rules, program: &Verified) -> usize {
    let mut code = Code::default();
    compile(program, rules, &mut code).unwrap();
    code.bytes().windows(4).filter(|bytes| **bytes == PATTERN.to_le_bytes()).count()
}

#[test]
fn the_pattern_is_nowhere_in_blinded_code() {
    let program = spray();
    let constants = program.program().insns().iter().filter(|insn| is_blinded(insn.op())).count();
    assert!(constants > 300, "{constants}");
    // Stores of one or two bytes hold no more of it than that; a wide constant holds it twice.
    let plain = sightings(&Rules::standard(), &program);
    assert_eq!(plain, constants - 20 + 10);
    for seed in 0..100 {
        assert_eq!(sightings(&Rules::standard().blinded(seed), &program), 0, "seed {seed}");
        assert_eq!(sightings(&Rules::without_bmi2().blinded(seed), &program), 0, "seed {seed}");
    }
}

/// Mistakes that leave the pattern in the code do show here.
#[test]
fn planted_mistakes_show_the_pattern() {
    let program = spray();
    for name in ["blind::constant_in_the_clear", "blind::high_half_in_the_clear"] {
        let plant = plants().into_iter().find(|plant| plant.name == name).unwrap();
        let mut rules = Rules::standard().blinded(1);
        (plant.install)(&mut rules);
        assert!(sightings(&rules, &program) > 0, "{name}");
    }
}

/// Two instructions do not share a key, nor do two programs; the same seed makes the same code.
#[test]
fn keys_are_fresh() {
    let program = |insns: usize| {
        let mut insns = vec![Insn::new(Opcode::Mov64K).imm(PATTERN as i32); insns];
        insns.push(Insn::new(Opcode::Exit));
        let program = Program::new("keys", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
        // SAFETY: as above.
        unsafe { Verified::trust(Arc::new(program)) }
    };
    let code = |rules: &Rules, program: &Verified| {
        let mut code = Code::default();
        compile(program, rules, &mut code).unwrap();
        code
    };
    let program = program(1000);
    let mut rules = Rules::standard().blinded(9);
    let first = code(&rules, &program);
    let mut blocks: Vec<&[u8]> = (0..1000).map(|slot| &first.bytes()[first.slot(slot)..first.slot(slot + 1)]).collect();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), 1000);
    assert_eq!(code(&rules, &program).bytes(), first.bytes());
    rules.renew_keys();
    assert_ne!(rules.blinding(), Some(Keys::new(9)));
    assert_ne!(code(&rules, &program).bytes(), first.bytes());
}

/// Keys look random: each bit is set about half of the time, also of the low half that constants of 32 bits take.
#[test]
fn key_bits_are_balanced() {
    let mut keys = Keys::new(Random(3).next());
    let mut set = [0u32; 64];
    for _ in 0..10_000 {
        let key = keys.draw();
        (0..64).for_each(|bit| set[bit] += (key >> bit & 1) as u32);
    }
    assert!(set.iter().all(|count| (4_700..5_300).contains(count)), "{set:?}");
}
