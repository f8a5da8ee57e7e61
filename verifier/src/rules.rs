//! The rules as rows of a table, so that a planted mistake replaces a row and product code has no test switches.

use crate::bounds::{self, Extent, Fit};
use crate::domain::Domain;
use crate::flow;
use crate::insn::jump::{Refined, Taken};
use crate::insn::{alu, endian, jump, mov, muldiv, shift};
use crate::prune::compare;
use crate::prune::precision::{Traced, Wanted};
use crate::scalar::Scalar;
use semantics::insn::{AluOp, Cond, Insn, MulDivOp, Order, ShiftOp, Size, Width};
use semantics::word::Algebra;

/// A rule for an operation of two operands: destination, source.
pub type Binary<A> = fn(&Domain, &Scalar<A>, &Scalar<A>) -> Scalar<A>;
/// A rule for an operation of one operand.
pub type Unary<A> = fn(&Domain, &Scalar<A>) -> Scalar<A>;
/// A rule for an operation on the low bytes of its operand.
pub type Sized<A> = fn(Size, &Domain, &Scalar<A>) -> Scalar<A>;
/// A rule for an immediate.
pub type Immediate<A> = fn(&<A as Algebra>::W32) -> Scalar<A>;
/// A rule for what a jump's way teaches of destination and source.
pub type Refine<A> = fn(&Domain, &Scalar<A>, &Scalar<A>) -> Refined<A>;

/// A rule for following a number back over an instruction.
pub type Backtrack = fn(&mut Wanted, Traced, &Insn, usize, &mut usize);

/// A rule for whether numbers of a state stay linked as those of the state that shall cover it: see
/// [`compare::stays_linked`].
pub type StaysLinked = fn(u32, u32) -> bool;

/// A rule for where an instruction leads within its function, at most two slots.
pub type Successors = fn(&[Insn], usize) -> [Option<usize>; 2];

/// A rule for whether an access at a variable and a constant part lies inside its object.
pub type Region<A> = fn(&Scalar<A>, &<A as Algebra>::W32, &Extent<A>) -> Fit<<A as Algebra>::Flag>;

/// A rule for which way a condition must go.
pub type Decide<A> = fn(&Domain, &Scalar<A>, &Scalar<A>) -> Taken<<A as Algebra>::Flag>;

/// The rules of one condition at one width.
#[derive(Clone, Copy, Debug)]
pub struct Branch<A: Algebra> {
    /// Which way it must go.
    pub taken: Decide<A>,
    /// Which way it must go where a register is compared with itself.
    pub taken_itself: fn(&Domain, &Scalar<A>) -> Taken<<A as Algebra>::Flag>,
    /// What is known where the condition holds.
    pub holds: Refine<A>,
    /// What is known where it does not.
    pub fails: Refine<A>,
}

/// The rules at one width.
#[derive(Clone, Copy, Debug)]
pub struct AtWidth<A: Algebra> {
    /// By [`AluOp`] as a number.
    pub alu: [Binary<A>; 5],
    /// By [`ShiftOp`] as a number.
    pub shift: [Binary<A>; 3],
    /// By [`MulDivOp`] as a number.
    pub muldiv: [Binary<A>; 5],
    /// Negation.
    pub neg: Unary<A>,
    /// Moves of registers.
    pub mov: Unary<A>,
    /// Moves of registers with sign extension, from this size.
    pub mov_sx: Sized<A>,
    /// Moves of immediates.
    pub mov_immediate: Immediate<A>,
    /// An immediate as second operand.
    pub operand: Immediate<A>,
    /// By [`Cond`] as a number.
    pub branch: [Branch<A>; 11],
}

/// All rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules<A: Algebra> {
    /// 64-bit operations.
    pub w64: AtWidth<A>,
    /// 32-bit operations.
    pub w32: AtWidth<A>,
    /// Byte order, by [`Order`] as a number.
    pub endian: [Sized<A>; 3],
    /// What a load of this size leaves of what memory holds.
    pub fill: Sized<A>,
    /// Whether a number that is spilled or filled with this size stays linked: whether it is the same then.
    pub fits: fn(Size, &Scalar<A>) -> A::Flag,
    /// What a sign-extending load of this size leaves of what a zero-extending one would.
    pub load_sx: Sized<A>,
    /// What a load of so many bits may read from memory that nothing is known of.
    pub load: fn(u32) -> Scalar<A>,
    /// How many bytes of a packet a comparison proves: from the constant offset of the pointer that was compared with the
    /// packet's end, and whether it was found strictly below the end.
    pub packet_range: fn(i64, bool) -> i64,
    /// Whether an access lies inside an object of known length.
    pub region: Region<A>,
    /// Follows what a verdict depends on back over an instruction: to the number of the one behind it, in the frame behind it,
    /// which becomes that before it.
    pub backtrack: Backtrack,
    /// Whether linked numbers are linked in a later state, too.
    pub stays_linked: StaysLinked,
    /// Where an instruction leads, for what is still wanted before it.
    pub successors: Successors,
    /// The registers that the call of a subprogram leaves without meaning, a bit each: R0 to R5 (`caller_saved`).
    pub clobbered: u16,
}

impl<A: Algebra> Rules<A> {
    /// The rules at this width.
    #[inline(always)]
    pub fn at(&self, width: Width) -> &AtWidth<A> {
        match width {
            Width::W64 => &self.w64,
            Width::W32 => &self.w32,
        }
    }
    /// The same, to replace a row.
    pub fn at_mut(&mut self, width: Width) -> &mut AtWidth<A> {
        match width {
            Width::W64 => &mut self.w64,
            Width::W32 => &mut self.w32,
        }
    }
}

impl<A: Algebra> Rules<A> {
    /// The rule for this byte order.
    #[inline(always)]
    pub fn endian(&self, order: Order) -> Sized<A> {
        self.endian[order as usize]
    }
}

impl<A: Algebra> AtWidth<A> {
    /// The rule for this operation.
    #[inline(always)]
    pub fn alu(&self, op: AluOp) -> Binary<A> {
        self.alu[op as usize]
    }
    /// The rule for this shift.
    #[inline(always)]
    pub fn shift(&self, op: ShiftOp) -> Binary<A> {
        self.shift[op as usize]
    }
    /// The rule for this product, quotient or remainder.
    #[inline(always)]
    pub fn muldiv(&self, op: MulDivOp) -> Binary<A> {
        self.muldiv[op as usize]
    }
    /// The rules for this condition.
    #[inline(always)]
    pub fn branch(&self, cond: Cond) -> &Branch<A> {
        &self.branch[cond as usize]
    }
}

/// A pointer found below the end of its packet proves the bytes before it, and strictly below also its own
/// (`find_good_pkt_pointers`).
pub fn packet_range(off: i64, strictly_below: bool) -> i64 {
    off + i64::from(strictly_below)
}

macro_rules! at_width {
    ($width:expr) => {
        AtWidth {
            alu: at_width!(@binary alu::transfer, $width, AluOp: Add Sub And Or Xor),
            shift: at_width!(@binary shift::transfer, $width, ShiftOp: Lsh Rsh Arsh),
            muldiv: at_width!(@binary muldiv::transfer, $width, MulDivOp: Mul Div Mod Sdiv Smod),
            neg: |domain, dst| alu::transfer_neg($width, domain, dst),
            mov: |domain, src| mov::transfer($width, domain, src),
            mov_sx: |size, domain, src| mov::sign_extend(size, $width, domain, src),
            mov_immediate: |imm| mov::immediate($width, imm),
            operand: |imm| mov::immediate(Width::W64, imm),
            branch: at_width!(@branch $width, Eq Ne Gt Ge Lt Le Sgt Sge Slt Sle Set),
        }
    };
    (@binary $transfer:path, $width:expr, $family:ident: $($op:ident)*) => {
        [$(|domain, dst, src| $transfer($family::$op, $width, domain, dst, src)),*]
    };
    (@branch $width:expr, $($cond:ident)*) => {
        [$(Branch {
            taken: |domain, dst, src| jump::branch_taken(Cond::$cond, $width, domain, dst, src),
            taken_itself: |domain, of| jump::branch_taken_itself(Cond::$cond, $width, domain, of),
            holds: |domain, dst, src| jump::refine(Cond::$cond, $width, domain, true, dst, src),
            fails: |domain, dst, src| jump::refine(Cond::$cond, $width, domain, false, dst, src),
        }),*]
    };
}

impl<A: Algebra> Default for Rules<A> {
    fn default() -> Self {
        Rules {
            w64: at_width!(Width::W64),
            w32: at_width!(Width::W32),
            endian: [
                |size, domain, dst| endian::transfer(Order::Le, size, domain, dst),
                |size, domain, dst| endian::transfer(Order::Be, size, domain, dst),
                |size, domain, dst| endian::transfer(Order::Swap, size, domain, dst),
            ],
            fill: |size, domain, held| held.cut_to(size, domain),
            fits: |size, held| held.fits(size),
            load_sx: |size, domain, loaded| mov::sign_extend(size, Width::W64, domain, loaded),
            load: Scalar::of_bits,
            packet_range,
            region: bounds::region,
            backtrack: Wanted::backtrack,
            stays_linked: compare::stays_linked,
            successors: flow::successors,
            clobbered: 0b11_1111,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::word::Concrete;

    #[test]
    fn rows_lie_where_their_operation_says() {
        let rules = Rules::<Concrete>::default();
        let (a, b) = (Scalar::constant(&0b1100), Scalar::constant(&0b1010));
        let domain = Domain::V7_2;
        for width in [Width::W64, Width::W32] {
            for op in AluOp::ALL {
                assert_eq!(rules.at(width).alu(op)(&domain, &a, &b).umin, op.apply(&0b1100, &0b1010), "{op:?}");
            }
            for op in ShiftOp::ALL {
                assert_eq!(rules.at(width).shift(op)(&domain, &a, &b).umin, op.apply(&0b1100, &0b1010), "{op:?}");
            }
            for op in MulDivOp::ALL {
                let result = rules.at(width).muldiv(op)(&domain, &a, &b);
                assert!(result.contains(&op.apply(&0b1100, &0b1010)) && !result.contains(&119), "{op:?}");
            }
            for cond in Cond::ALL {
                let taken = (rules.at(width).branch(cond).taken)(&domain, &a, &b);
                assert_eq!(taken.always, cond.holds(&0b1100u64, &0b1010), "{cond:?}");
                assert_ne!(taken.always, taken.never);
            }
        }
    }
}
