//! Byte order: to little-endian, to big-endian, unconditional swap (RFC 9669 section 4.2).

use semantics::insn::{Insn, Order, Size, Width};
use semantics::word::{Algebra, Word};

use super::native;
use crate::x64::{Inst, ShiftOp};

/// `dst = order of the low size bytes of dst`. The processor is little-endian.
#[inline(always)]
pub fn lower<A: Algebra>(order: Order, size: Size, insn: &Insn<A>, out: &mut Vec<Inst<A>>) {
    let dst = native(insn.dst);
    match (order, size) {
        (Order::Le, Size::Dw) => {}
        (Order::Le, Size::W) => out.push(Inst::MovRr { width: Width::W32, dst, src: dst }),
        (Order::Le, size) => out.push(Inst::MovZxRr { size, dst, src: dst }),
        (_, Size::Dw) => out.push(Inst::Bswap { width: Width::W64, dst }),
        (_, Size::W) => out.push(Inst::Bswap { width: Width::W32, dst }),
        // The two bytes end up in the upper half: shorter than a rotation of 16 bits and its zero extension.
        (_, Size::H | Size::B) => out.extend([
            Inst::Bswap { width: Width::W32, dst },
            Inst::ShiftImm { op: ShiftOp::Shr, width: Width::W32, dst, amount: A::W8::lit(16) },
        ]),
    }
}
