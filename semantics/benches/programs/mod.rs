//! The programs that engines are measured on, on every floor.

use semantics::insn::{Insn, Opcode, Reg};

/// Turns of a loop.
pub const LOOPS: i32 = 10_000;
/// Bytes of the packet.
pub const PACKET: i32 = 1500;

/// A plain two-register instruction.
pub fn op(opcode: Opcode, dst: Reg, src: Reg) -> Insn {
    Insn::new(opcode).dst(dst).src(src)
}

/// Ten instructions per turn, all in registers.
pub fn alu_loop() -> Vec<Insn> {
    use Reg::{R0, R3, R4, R5};
    vec![
        Insn::new(Opcode::Mov64K).dst(R3).imm(LOOPS),
        Insn::new(Opcode::Mov64K).dst(R0).imm(0),
        Insn::new(Opcode::Mov64K).dst(R4).imm(7),
        op(Opcode::Mov64X, R5, R0),
        op(Opcode::Add64X, R0, R3),
        op(Opcode::Xor64X, R0, R4),
        Insn::new(Opcode::And64K).dst(R5).imm(0xffff),
        op(Opcode::Add32X, R4, R5),
        op(Opcode::Sub64X, R0, R4),
        Insn::new(Opcode::Or32K).dst(R4).imm(1),
        Insn::new(Opcode::Neg64).dst(R4),
        Insn::new(Opcode::Sub64K).dst(R3).imm(1),
        Insn::new(Opcode::Jne64K).dst(R3).imm(0).off(-10),
        Insn::new(Opcode::Exit),
    ]
}

/// The sum of the packet's half words; `entry` sets R6 to the packet and R7 to its end.
pub fn checksum_loop(entry: &[Insn]) -> Vec<Insn> {
    use Reg::{R0, R2, R6, R7};
    let mut insns = entry.to_vec();
    insns.extend([
        Insn::new(Opcode::Mov64K).dst(R0).imm(0),
        op(Opcode::LdxH, R2, R6),
        op(Opcode::Add64X, R0, R2),
        Insn::new(Opcode::Add64K).dst(R6).imm(2),
        op(Opcode::Jne64X, R6, R7).off(-4),
        Insn::new(Opcode::Exit),
    ]);
    insns
}
