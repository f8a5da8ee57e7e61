//! The rules as rows of a table, so that a planted mistake replaces a row and product code has no test switches.

use crate::insn::jump::{Refined, Taken};
use crate::insn::{alu, jump, mov};
use crate::prune::precision::{Traced, Wanted};
use crate::scalar::Scalar;
use semantics::insn::{AluOp, Cond, Insn, Width};
use semantics::word::Algebra;

/// A rule for an operation of two operands: destination, source.
pub type Binary<A> = fn(&Scalar<A>, &Scalar<A>) -> Scalar<A>;
/// A rule for an operation of one operand.
pub type Unary<A> = fn(&Scalar<A>) -> Scalar<A>;
/// A rule for an immediate.
pub type Immediate<A> = fn(&<A as Algebra>::W32) -> Scalar<A>;
/// A rule for what a jump's way teaches of destination and source.
pub type Refine<A> = fn(&Scalar<A>, &Scalar<A>) -> Refined<A>;

/// A rule for following a number back over an instruction.
pub type Backtrack = fn(&mut Wanted, Traced, &Insn, usize, &mut usize);

/// The rules of one condition at one width.
#[derive(Clone, Copy, Debug)]
pub struct Branch<A: Algebra> {
    /// Which way it must go.
    pub taken: fn(&Scalar<A>, &Scalar<A>) -> Taken<<A as Algebra>::Flag>,
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
    /// Negation.
    pub neg: Unary<A>,
    /// Moves of registers.
    pub mov: Unary<A>,
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
    /// What a load of so many bits may read from memory that nothing is known of.
    pub load: fn(u32) -> Scalar<A>,
    /// How many bytes of a packet a comparison proves: from the constant offset of the pointer that was compared with the
    /// packet's end, and whether it was found strictly below the end.
    pub packet_range: fn(i64, bool) -> i64,
    /// Follows what a verdict depends on back over an instruction: to the number of the one behind it, in the frame behind it,
    /// which becomes that before it.
    pub backtrack: Backtrack,
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

impl<A: Algebra> AtWidth<A> {
    /// The rule for this operation.
    #[inline(always)]
    pub fn alu(&self, op: AluOp) -> Binary<A> {
        self.alu[op as usize]
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
            alu: [
                |dst, src| alu::transfer(AluOp::Add, $width, dst, src),
                |dst, src| alu::transfer(AluOp::Sub, $width, dst, src),
                |dst, src| alu::transfer(AluOp::And, $width, dst, src),
                |dst, src| alu::transfer(AluOp::Or, $width, dst, src),
                |dst, src| alu::transfer(AluOp::Xor, $width, dst, src),
            ],
            neg: |dst| alu::transfer_neg($width, dst),
            mov: |src| mov::transfer($width, src),
            mov_immediate: |imm| mov::immediate($width, imm),
            operand: |imm| mov::immediate(Width::W64, imm),
            branch: at_width!(@branch $width, Eq Ne Gt Ge Lt Le Sgt Sge Slt Sle Set),
        }
    };
    (@branch $width:expr, $($cond:ident)*) => {
        [$(Branch {
            taken: |dst, src| jump::branch_taken(Cond::$cond, $width, dst, src),
            holds: |dst, src| jump::refine(Cond::$cond, $width, true, dst, src),
            fails: |dst, src| jump::refine(Cond::$cond, $width, false, dst, src),
        }),*]
    };
}

impl<A: Algebra> Default for Rules<A> {
    fn default() -> Self {
        Rules {
            w64: at_width!(Width::W64),
            w32: at_width!(Width::W32),
            load: Scalar::of_bits,
            packet_range,
            backtrack: Wanted::backtrack,
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
        for width in [Width::W64, Width::W32] {
            for op in AluOp::ALL {
                assert_eq!(rules.at(width).alu(op)(&a, &b).umin, op.apply(&0b1100, &0b1010), "{op:?}");
            }
            for cond in Cond::ALL {
                let taken = (rules.at(width).branch(cond).taken)(&a, &b);
                assert_eq!(taken.always, cond.holds(&0b1100u64, &0b1010), "{cond:?}");
                assert_ne!(taken.always, taken.never);
            }
        }
    }
}
