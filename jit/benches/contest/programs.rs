//! The programs of the contests, in assembly: XDP programs, which find the bounds of the packet in their context.

use std::fmt::Write;
use std::sync::Arc;

use semantics::asm::assemble;
use semantics::insn::{Insn, Opcode, Reg};
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;

/// Turns of a loop that reads no packet.
pub const TURNS: u64 = 10_000;
/// Bytes of the packet.
pub const PACKET: usize = 1500;
/// Bytes copied from the start of the packet to what follows.
pub const COPIED: usize = 744;

/// R6 and R7 become the packet and its end.
const ENTRY: &str = "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n";

/// Nothing: what it costs to enter and leave.
pub fn nothing() -> Vec<Insn> {
    insns("r0 = 0\n exit")
}

/// Four strands of sixteen instructions, most of which do not wait for each other.
pub fn mixed_alu() -> Vec<Insn> {
    insns(&format!(
        "r3 = {TURNS}\n r0 = 4660\n r2 = 7\n r4 = 9\n r5 = 11\n
         again: r1 = r0\n r0 += r3\n r1 <<= 3\n r2 ^= r1\n w4 += 4660\n r5 >>= 1\n r5 ^= r4\n w1 = w2\n r1 &= 255\n
         r4 += r1\n r2 -= 5\n r5 |= 65537\n r0 *= 8\n w2 s>>= 1\n r3 -= 1\n if r3 != 0 goto again\n
         r0 ^= r2\n r0 ^= r4\n r0 ^= r5\n exit"
    ))
}

/// Ten instructions a turn, most of which wait for each other.
pub fn alu_chain() -> Vec<Insn> {
    insns(&format!(
        "r3 = {TURNS}\n r0 = 0\n r4 = 7\n
         again: r5 = r0\n r0 += r3\n r0 ^= r4\n r5 &= 65535\n w4 += w5\n r0 -= r4\n w4 |= 1\n r4 = -r4\n r3 -= 1\n
         if r3 != 0 goto again\n exit"
    ))
}

/// The sum of the packet's half words.
pub fn checksum() -> Vec<Insn> {
    insns(
        &(ENTRY.to_owned()
            + "r0 = 0\n again: r2 = *(u16 *)(r6 + 0)\n r0 += r2\n r6 += 2\n if r6 != r7 goto again\n exit"),
    )
}

/// Copies `COPIED` bytes, `size` at a time.
fn copy(size: usize) -> Vec<Insn> {
    let bits = 8 * size;
    insns(&format!(
        "{ENTRY}r2 = r6\n r2 += {}\n r0 = 1\n if r2 > r7 goto out\n r3 = r6\n r3 += {COPIED}\n r4 = r3\n
         again: r5 = *(u{bits} *)(r6 + 0)\n *(u{bits} *)(r3 + 0) = r5\n r6 += {size}\n r3 += {size}\n if r6 != r4 goto again\n
         r0 = 0\n out: exit",
        2 * COPIED
    ))
}

/// Copies eight bytes at a time.
pub fn copy_words() -> Vec<Insn> {
    copy(8)
}

/// Copies byte by byte.
pub fn copy_bytes() -> Vec<Insn> {
    copy(1)
}

/// Copies without a loop, as clang writes a `memcpy` of constant length.
pub fn copy_unrolled() -> Vec<Insn> {
    let mut text = format!("{ENTRY}r2 = r6\n r2 += {}\n r0 = 1\n if r2 > r7 goto out\n r0 = 0\n", 2 * COPIED);
    for at in (0..COPIED).step_by(8) {
        writeln!(text, "r5 = *(u64 *)(r6 + {at})\n *(u64 *)(r6 + {}) = r5", COPIED + at).expect("a string grows");
    }
    insns(&(text + "out: exit"))
}

/// Quotients and remainders by constants and registers.
pub fn divisions() -> Vec<Insn> {
    insns(&format!(
        "r3 = {TURNS}\n r0 = 0\n r5 = 1000003\n
         again: r1 = r5\n r1 /= 8\n r2 = r5\n r2 %= 64\n w4 = w5\n w4 %= 10\n r0 += r1\n r0 += r2\n r0 += r4\n r5 += 12345\n
         r1 = r5\n r1 /= r3\n r0 += r1\n r3 -= 1\n if r3 != 0 goto again\n exit"
    ))
}

/// Calls of `bpf_ktime_get_ns` in one run of [`helper_calls`].
pub const CALLS: u64 = 1000;

/// Calls of `bpf_ktime_get_ns` in a loop.
pub fn helper_calls() -> Vec<Insn> {
    let id = semantics::helper::id("ktime_get_ns");
    insns(&format!("r6 = {CALLS}\n again: call {id}\n r6 -= 1\n if r6 != 0 goto again\n exit"))
}

/// `len` instructions of all kinds in turn, with a forward jump in each block.
pub fn long(len: usize) -> Vec<Insn> {
    use Reg::{R0, R1, R3, R6, R10};
    let op = |opcode, dst, src| Insn::new(opcode).dst(dst).src(src);
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

/// 20 instructions as they come: packet bounds, loads, arithmetic, a spill, branches on numbers.
pub fn twenty() -> Vec<Insn> {
    insns(
        "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r2 = r6\n r2 += 14\n r0 = 1\n if r2 > r7 goto out\n
         r3 = *(u16 *)(r6 + 12)\n r4 = *(u8 *)(r6 + 3)\n r3 += r4\n w3 ^= 5\n *(u64 *)(r10 - 8) = r3\n
         if w3 s< 100 goto small\n r3 -= 100\n small: r5 = *(u64 *)(r10 - 8)\n r5 &= 7\n if r5 == r4 goto out\n r0 = r5\n
         r0 |= 2\n r0 += 3\n out: exit",
    )
}

fn insns(text: &str) -> Vec<Insn> {
    assemble(text).expect("assembly")
}

/// A program that native code may run.
pub fn verified(name: &str, insns: Vec<Insn>) -> Verified {
    let program = Program::new(name, ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
    // SAFETY: the programs above end, and access the context, their frame and the packet within its length.
    unsafe { Verified::trust(Arc::new(program)) }
}
