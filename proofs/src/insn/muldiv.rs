//! Multiplication, division and modulo: transfer functions; and their lowering.
//!
//! What products and quotients are is proven over the integers in `range` and `tnum`; here that the pieces are put together
//! so: that each row of the verifier's table is those pieces and nothing else.

use super::lowering;
use super::transfer::{Registers, applied, instance, operators_and_transfers};
use crate::domain::{self, Everywhere, InDomain, claim_contains, claim_contains_by, claim_row, same};
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory, Variable};
use semantics::insn::{MulDivOp, Op, Opcode, Room, Width};
use semantics::word::{Flag, Word};
use verifier::Domain;
use verifier::insn::{alu, muldiv};
use verifier::range::Range;
use verifier::scalar::Scalar;

/// The obligations of this room.
pub fn obligations() -> Vec<Obligation> {
    let verifier = operators_and_transfers(
        Room::Muldiv,
        &MulDivOp::ALL,
        |op, width| Everywhere(Operator { op, width }),
        |row, registers| Everywhere(Transfer { opcode: row.opcode, op: row.op, registers }),
    );
    let pieces = [
        Obligation::verifier("insn::muldiv::settled", Some(Room::Muldiv), Settled),
        Obligation::verifier("insn::muldiv::by_power64", Some(Room::Muldiv), ByPower { width: Width::W64 }),
        Obligation::verifier("insn::muldiv::by_power32", Some(Room::Muldiv), ByPower { width: Width::W32 }),
    ];
    let lowering = lowering::obligations(Room::Muldiv).chain(lowering::obligations_blinded(Room::Muldiv));
    verifier.into_iter().chain(pieces).chain(lowering).collect()
}

/// The result before views are synchronised is made of known bits from `tnum::mul`, ranges from `range`, and the choices of
/// `settled`; a half becomes a whole as in `scalar::from_half`.
struct Operator {
    op: MulDivOp,
    width: Width,
}

impl Operator {
    fn product<A: Theory>(&self, domain: &Domain, dst: &Scalar<A>, src: &Scalar<A>) -> (Scalar<A>, A::Flag) {
        let result = muldiv::multiplied(self.width, domain, dst, src);
        let half =
            if domain.signed_products { dst.half().mul(&src.half()) } else { dst.half().mul_halves(&src.half()) };
        let expected = match self.width {
            Width::W64 => {
                let (a, b) = (&dst.var_off, &src.var_off);
                let bits = muldiv::product_bits(domain, a, b);
                let (a, b) = (dst.wide(), src.wide());
                Scalar::from_views(bits, if domain.signed_products { a.mul(&b) } else { a.mul_halves(&b) }, half)
            }
            Width::W32 => {
                let (a, b) = (dst.var_off.cast::<A::W32>(), src.var_off.cast());
                Scalar::from_half(&muldiv::product_bits(domain, &a, &b), half)
            }
        };
        let same = same(&result, &expected);
        (result, same)
    }
    fn quotient<A: Theory>(&self, dst: &Scalar<A>, src: &Scalar<A>) -> (Scalar<A>, A::Flag) {
        let op = self.op;
        let result = muldiv::divided(op, self.width, dst, src);
        let expected = match self.width {
            Width::W64 => {
                let (range, by) = (dst.wide(), &src.var_off.value);
                let quotients = muldiv::divided_range(op, &range, by);
                let quotients = Scalar::from_views(verifier::tnum::Tnum::unknown(), quotients, Range::unknown());
                muldiv::settled(op, &by.is_zero(), &muldiv::leaves_dividend(op, &range, by), dst, &quotients)
            }
            Width::W32 => {
                let (range, by): (_, A::W32) = (dst.half(), A::low(&src.var_off.value));
                let quotients = muldiv::divided_range(op, &range, &by);
                let quotients = Scalar::from_half(&verifier::tnum::Tnum::unknown(), quotients);
                let cut = Scalar::from_half(&dst.var_off.cast(), dst.half());
                muldiv::settled(op, &by.is_zero(), &muldiv::leaves_dividend(op, &range, &by), &cut, &quotients)
            }
        };
        let same = same(&result, &expected);
        (result, same)
    }
}

impl InDomain for Operator {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let (x, y): (A::W64, A::W64) = (cx.word("dst"), cx.word("src"));
        let dst = domain::scalar(cx, "dst", &x);
        let (result, lemma) = if self.op == MulDivOp::Mul {
            let src = domain::scalar(cx, "src", &y);
            self.product::<A>(domain, &dst, &src)
        } else {
            self.quotient::<A>(&dst, &Scalar::constant(&y))
        };
        let value = applied::<A>(self.op, self.width, &x, &y);
        claim_contains_by(cx, "the result", &result, &value, &[lemma]);
    }
}

/// Known bits of quotients and remainders by each power of two.
struct ByPower {
    width: Width,
}

impl Statement for ByPower {
    fn cases(&self) -> usize {
        if self.width == Width::W64 { 64 } else { 32 }
    }
    fn case_name(&self, case: usize) -> String {
        format!("2^{case}")
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        match self.width {
            Width::W64 => Self::of::<A, A::W64>(case, cx),
            Width::W32 => Self::of::<A, A::W32>(case, cx),
        }
    }
}

impl ByPower {
    fn of<A: Theory, W: Variable<Flag = A::Flag>>(case: usize, cx: &mut Context<'_, A>) {
        let exponent = case as u32 % W::BITS;
        let power = W::lit(1 << exponent);
        let x: W = cx.word("x");
        let bits = domain::tnum(cx, "a", &x);
        for op in [MulDivOp::Div, MulDivOp::Mod] {
            let known = muldiv::by_power(op, &bits, exponent);
            cx.claim(format!("{op:?} contains"), known.contains(&op.apply(&x, &power)));
        }
        if exponent + 1 < W::BITS {
            let positive = x.is_negative().not();
            for op in [MulDivOp::Sdiv, MulDivOp::Smod] {
                let known = muldiv::by_power(op, &bits, exponent);
                cx.claim(format!("{op:?} contains"), positive.implies(&known.contains(&op.apply(&x, &power))));
            }
        }
    }
}

/// Whatever a quotient is: the choice between 0, the dividend and what contains quotients contains it.
struct Settled;

impl Statement for Settled {
    fn cases(&self) -> usize {
        2
    }
    fn case_name(&self, case: usize) -> String {
        (if case == 0 { "quotients" } else { "remainders" }).to_owned()
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (dividend, quotient): (A::W64, A::W64) = (cx.word("dividend"), cx.word("quotient"));
        let (by_zero, kept) = (cx.word::<A::W64>("divisor").is_zero(), cx.word::<A::W64>("kept").is_zero());
        let (op, at_zero) = if case == 0 { (MulDivOp::Div, A::W64::lit(0)) } else { (MulDivOp::Mod, dividend.clone()) };
        let (before, quotients) = (domain::scalar(cx, "x", &dividend), domain::scalar(cx, "q", &quotient));
        let settled = muldiv::settled(op, &by_zero, &kept, &before, &quotients);
        let value = A::W64::select(&by_zero, &at_zero, &A::W64::select(&kept, &dividend, &quotient));
        claim_contains(cx, "the result", &settled, &value);
    }
}

/// The row of the verifier's table for an instruction contains what the instruction leaves, in every domain.
struct Transfer {
    opcode: Opcode,
    op: Op,
    registers: Registers,
}

impl InDomain for Transfer {
    fn state<A: Theory>(&self, domain: &'static Domain, cx: &mut Context<'_, A>) {
        let Op::MulDiv { op, width, source } = self.op else { unreachable!("{:?} is of another room", self.op) };
        let rules = domain::rules(cx);
        let run = instance(cx, self.opcode, source, self.registers, rules.at(width));
        let result = rules.at(width).muldiv(op)(domain, &run.dst, &run.src);
        let proven = muldiv::transfer(op, width, domain, &run.dst, &run.src);
        let value = applied::<A>(op, width, &run.dst_value, &run.src_value);
        // What passes for a constant divisor is the operator's constant.
        let known = alu::is_constant(width, &run.src);
        let divisor = match width {
            Width::W64 => run.src.var_off.value.same(&run.src_value),
            Width::W32 => A::low(&run.src.var_off.value).same(&A::low(&run.src_value)),
        };
        claim_row(cx, &result, &proven, &run.result, &[known.implies(&divisor), run.result.same(&value)]);
    }
}
