//! What good code looks like: immediates for which there is something shorter or faster get it.

use jit::Rules;
use jit::x64::{Inst, encode};
use semantics::insn::{Insn, Opcode};

fn lowered(insn: Insn) -> Vec<Inst> {
    let mut code = Vec::new();
    Rules::standard().lower(&insn, &mut code).expect("every opcode");
    code
}

#[test]
fn immediates_are_short() {
    let bytes = |insn| lowered(insn).iter().map(encode::len).sum::<usize>();
    for (opcode, imm, len) in [
        (Opcode::Add64K, 0, 0),
        (Opcode::Add64K, 128, 4),
        (Opcode::Sub64K, 128, 4),
        (Opcode::Add64K, 129, 6),
        (Opcode::And64K, -1, 0),
        (Opcode::And64K, 0xff, 3),
        (Opcode::And64K, 0xffff, 3),
        (Opcode::And32K, 0xffff, 3),
        (Opcode::And64K, 0, 2),
        (Opcode::And64K, 0xfff, 5),
        (Opcode::And64K, -2, 4),
        (Opcode::Mov64K, 0, 2),
        (Opcode::Mov64K, 1, 5),
        (Opcode::Mov64K, -1, 7),
        (Opcode::Jeq64K, 0, 3),
        (Opcode::Be16, 16, 5),
    ] {
        assert_eq!(bytes(Insn::new(opcode).imm(imm)), len, "{opcode:?} {imm}");
    }
}

#[test]
fn powers_of_two_are_shifts_and_masks() {
    let is_slow = |insn| lowered(insn).iter().any(|inst| matches!(inst, Inst::ImulImm { .. } | Inst::Div { .. }));
    for opcode in [Opcode::Mul64K, Opcode::Mul32K, Opcode::Div64K, Opcode::Div32K, Opcode::Mod64K, Opcode::Mod32K] {
        for exponent in 0..31 {
            let insn = Insn::new(opcode).imm(1 << exponent);
            assert!(lowered(insn).len() <= 1 && !is_slow(insn), "{opcode:?} by 2^{exponent}");
        }
        assert!(is_slow(Insn::new(opcode).imm(10)), "{opcode:?} by 10");
    }
    // Sign-extended, it is no power of two.
    assert!(is_slow(Insn::new(Opcode::Div64K).imm(i32::MIN)));
    assert!(!is_slow(Insn::new(Opcode::Div32K).imm(i32::MIN)));
}
