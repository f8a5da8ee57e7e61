//! Atomic operations on memory (RFC 9669 section 5.3), and the ordered loads and stores that Linux 6.15 added.
//!
//! Here one program runs at a time, so an atomic operation is its load and its store. A compare-and-exchange that fails
//! stores what it loaded, as x86 does: memory must be writable either way.

use super::{Flow, Insn, Machine, Reg, Size};
use crate::word::{Algebra, Word};

/// What becomes of the value in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// The sum with the source.
    Add,
    /// The bitwise or with the source.
    Or,
    /// The bitwise and with the source.
    And,
    /// The exclusive or with the source.
    Xor,
    /// The source.
    Xchg,
    /// The source where it equals R0, else what it was; R0 becomes what it was.
    Cmpxchg,
}

impl AtomicOp {
    /// All of them, in the order of their codes.
    pub const ALL: [AtomicOp; 6] =
        [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor, AtomicOp::Xchg, AtomicOp::Cmpxchg];

    /// What is stored where `old` was, at the width of the access; `r0` is what [`AtomicOp::Cmpxchg`] compares with.
    ///
    /// ```
    /// use semantics::insn::AtomicOp;
    /// assert_eq!(AtomicOp::Cmpxchg.apply(&5u32, &9, &5), 9);
    /// assert_eq!(AtomicOp::Cmpxchg.apply(&5u32, &9, &6), 5);
    /// ```
    #[inline(always)]
    pub fn apply<W: Word>(self, old: &W, src: &W, r0: &W) -> W {
        match self {
            AtomicOp::Add => old.add(src),
            AtomicOp::Or => old.or(src),
            AtomicOp::And => old.and(src),
            AtomicOp::Xor => old.xor(src),
            AtomicOp::Xchg => src.clone(),
            AtomicOp::Cmpxchg => W::select(&old.same(r0), src, old),
        }
    }
}

/// `*(size *)(dst + off) = *(size *)(dst + off) op src`; with `fetch`, the old value goes zero-extended to the source
/// register, of a compare-and-exchange to R0.
#[inline(always)]
pub fn exec<A: Algebra, M: Machine<A>>(
    op: AtomicOp,
    fetch: bool,
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    let addr = machine.reg(insn.dst).add(&insn.displacement());
    let (src, r0) = (machine.reg(insn.src).clone(), machine.reg(Reg::R0).clone());
    let old = machine.load(size, &addr)?;
    let new = match size {
        Size::Dw => op.apply(&old, &src, &r0),
        // No row has a size below a word.
        Size::B | Size::H | Size::W => A::zext(&op.apply(&A::low(&old), &A::low(&src), &A::low(&r0))),
    };
    machine.store(size, &addr, &new)?;
    match (op, fetch) {
        (AtomicOp::Cmpxchg, _) => machine.set_reg(Reg::R0, old),
        (_, true) => machine.set_reg(insn.src, old),
        (_, false) => {}
    }
    Ok(Flow::Next)
}

/// `dst = load_acquire((size *)(src + off))`: a load that nothing later is seen before.
#[inline(always)]
pub fn exec_load_acquire<A: Algebra, M: Machine<A>>(
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    super::load_store::exec_load(size, insn, machine)
}

/// `store_release((size *)(dst + off), src)`: a store that nothing earlier is seen after.
#[inline(always)]
pub fn exec_store_release<A: Algebra, M: Machine<A>>(
    size: Size,
    insn: &Insn<A>,
    machine: &mut M,
) -> Result<Flow<A::Flag>, M::Fault> {
    super::load_store::exec_store(size, super::Source::X, insn, machine)
}
