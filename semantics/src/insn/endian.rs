//! Byte order: to little-endian, to big-endian, unconditional swap (RFC 9669 section 4.2).

use super::{Insn, Machine, Size};
use crate::word::{Algebra, Convert, Word};

/// What becomes of the bytes. The machine is little-endian, as its encoding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// To little-endian: only the width changes.
    Le,
    /// To big-endian: the bytes in opposite order.
    Be,
    /// The bytes in opposite order, whatever the machine.
    Swap,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 3] = [Order::Le, Order::Be, Order::Swap];

    /// A value of the width that the instruction names.
    ///
    /// ```
    /// use semantics::insn::Order;
    /// assert_eq!(Order::Be.apply(&0x1234u16), 0x3412);
    /// assert_eq!(Order::Le.apply(&0x1234u16), 0x1234);
    /// ```
    #[inline(always)]
    pub fn apply<W: Word>(self, value: &W) -> W {
        match self {
            Order::Le => value.clone(),
            Order::Be | Order::Swap => value.swap_bytes(),
        }
    }
}

/// `dst = order of the low size bytes of dst`, zero-extended.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(order: Order, size: Size, insn: &Insn<A>, machine: &mut M) {
    let dst = machine.reg(insn.dst);
    let value = match size {
        // No row has this size: a byte has no order.
        Size::B => Convert::<A::W8>::zx(dst).zx(),
        Size::H => order.apply(&Convert::<A::W16>::zx(dst)).zx(),
        Size::W => A::zext(&order.apply(&A::low(dst))),
        Size::Dw => order.apply(dst),
    };
    machine.set_reg(insn.dst, value);
}
