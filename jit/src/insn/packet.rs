//! Legacy access to packet bytes (RFC 9669 section 5.5): a call of the runtime, which knows the socket buffer.

use semantics::insn::packet::Mode;
use semantics::insn::{Insn, Size, Width};
use semantics::word::{Algebra, Flag, Word};

use super::native;
use crate::x64::{AluOp, Branch, Cc, Inst, Reg, Stub, encode};

/// Where the stub expects the offset and the number of bytes.
pub(crate) const OFFSET: Reg = Reg::R9;
const BYTES: Reg = Reg::R10;

/// `r0 = ntoh(*(size *)(packet + offset))`; out of the function with R0 = 0 where the packet has no such bytes.
#[inline(never)]
pub fn lower<A: Algebra>(mode: Mode, size: Size, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    match mode {
        Mode::Abs => out.push(Inst::MovZx { dst: OFFSET, imm: insn.imm.clone() }),
        Mode::Ind => {
            out.push(Inst::MovRr { width: Width::W32, dst: OFFSET, src: native(insn.src) });
            if !insn.imm.is_zero().decide() {
                let (op, width, imm) = (AluOp::Add, Width::W32, insn.imm.clone());
                out.push(Inst::AluRi { op, width, dst: OFFSET, imm });
            }
        }
    }
    load(size, out);
}

/// The rest, with the offset in place.
pub(crate) fn load<A: Algebra>(size: Size, out: &mut Vec<Inst<A>>) {
    out.push(Inst::MovZx { dst: BYTES, imm: A::W32::lit(u64::from(size.bytes())) });
    out.push(Inst::Branch(Branch::Stub(Stub::Packet)));
    // The stub leaves 1 in rdx where the bytes are missing, and 0 in R0.
    out.push(Inst::AluRr { op: AluOp::Test, width: Width::W32, dst: Reg::Rdx, src: Reg::Rdx });
    out.push(Inst::Skip { cc: Some(Cc::E), count: 1, bytes: encode::len::<A>(&Inst::Ret) as u8 });
    out.push(Inst::Ret);
}
