//! What constant blinding is for: the code of an instruction shows nothing of its constant.
//!
//! Every immediate in the code is the key, or the constant under the key, so that for each value of it every constant is as
//! likely as another, or the same for every other constant; and so is all else, displacements and the choice of
//! instructions. Left out are constants that [show](shows).

use crate::theory::{Context, Theory};
use jit::rules::Rules;
use jit::x64::Inst;
use semantics::insn::{Insn, MulDivOp, Op};
use semantics::word::{Algebra, Flag, Word};

/// Claims that code shows nothing of the constant of `insn` but that it is one that [`shows`].
pub fn claim<A: Theory>(rules: &Rules<A>, insn: &Insn<A>, key: &A::W64, cx: &mut Context<'_, A>) {
    let wide = matches!(insn.op(), Op::Wide(_));
    let other_imm = cx.word("other_imm");
    let other =
        Insn { imm: other_imm, imm_hi: if wide { cx.word("other_imm_hi") } else { A::W32::lit(0) }, ..insn.clone() };
    let parts = |insn: &Insn<A>| -> Vec<_> {
        let mut code = Vec::new();
        rules.lower_blinded(insn, key, &mut code);
        code.into_iter().map(split).collect()
    };
    let (parts, others) = (parts(insn), parts(&other));
    let shown = shows(insn).or(&shows(&other));
    for (at, (_, immediate)) in parts.iter().enumerate() {
        let Some(immediate) = immediate else { continue };
        let other = others.get(at).and_then(|(_, other)| other.as_ref());
        let same = other.map_or(A::Flag::lit(false), |other| immediate.same(other));
        cx.claim(
            format!("immediate of instruction {at} is blinded"),
            immediate.is_blinded(insn, key).or(&same).or(&shown),
        );
    }
    // Terms that read alike are alike.
    let shape = |parts: &[(Inst<A>, _)]| parts.iter().map(|(inst, _)| format!("{inst:?}")).collect::<Vec<_>>();
    let alike = A::Flag::lit(shape(&parts) == shape(&others));
    cx.claim("the rest of the code is that of another constant", alike.or(&shown));
}

/// Whether the constant may show: 0, and -1 as the divisor of a signed division, have code of their own.
fn shows<A: Algebra>(insn: &Insn<A>) -> A::Flag {
    let zero = if let Op::Wide(_) = insn.op() { insn.wide_imm().is_zero() } else { insn.imm.is_zero() };
    match insn.op() {
        Op::MulDiv { op: MulDivOp::Sdiv | MulDivOp::Smod, .. } => zero.or(&insn.imm.same(&A::W32::ones())),
        _ => zero,
    }
}

/// What an instruction holds that is no register, displacement or length.
#[derive(Clone, Debug)]
enum Immediate<A: Algebra> {
    Shift,
    Half(A::W32),
    Whole(A::W64),
}

impl<A: Algebra> Immediate<A> {
    /// Whether it is that one.
    fn same(&self, other: &Self) -> A::Flag {
        match (self, other) {
            (Immediate::Half(imm), Immediate::Half(other)) => imm.same(other),
            (Immediate::Whole(imm), Immediate::Whole(other)) => imm.same(other),
            _ => A::Flag::lit(false),
        }
    }
    /// Whether it is the key, or the constant under the key.
    fn is_blinded(&self, insn: &Insn<A>, key: &A::W64) -> A::Flag {
        match self {
            Immediate::Shift => A::Flag::lit(false),
            Immediate::Half(imm) => {
                let key = A::low(key);
                imm.same(&key).or(&imm.same(&insn.imm.xor(&key)))
            }
            Immediate::Whole(imm) => imm.same(key).or(&imm.same(&insn.wide_imm().xor(key))),
        }
    }
}

/// The instruction with 0 for its immediate, and that.
fn split<A: Algebra>(mut inst: Inst<A>) -> (Inst<A>, Option<Immediate<A>>) {
    let immediate = match &mut inst {
        Inst::AluRi { imm, .. }
        | Inst::MovZx { imm, .. }
        | Inst::MovSx { imm, .. }
        | Inst::StoreImm { imm, .. }
        | Inst::ImulImm { imm, .. } => Some(Immediate::Half(std::mem::replace(imm, A::W32::lit(0)))),
        Inst::MovAbs { imm, .. } => Some(Immediate::Whole(std::mem::replace(imm, A::W64::lit(0)))),
        Inst::ShiftImm { .. } => Some(Immediate::Shift),
        Inst::AluRr { .. }
        | Inst::Neg { .. }
        | Inst::MovRr { .. }
        | Inst::Load { .. }
        | Inst::Store { .. }
        | Inst::LoadSx { .. }
        | Inst::ShiftCl { .. }
        | Inst::ShiftX { .. }
        | Inst::Imul { .. }
        | Inst::Div { .. }
        | Inst::SignRdx { .. }
        | Inst::MovZxRr { .. }
        | Inst::MovSxRr { .. }
        | Inst::Bswap { .. }
        | Inst::Lock { .. }
        | Inst::Skip { .. }
        | Inst::Retry { .. }
        | Inst::Push { .. }
        | Inst::Pop { .. }
        | Inst::CallReg { .. }
        | Inst::JmpReg { .. }
        | Inst::Ret
        | Inst::Branch(_) => None,
    };
    (inst, immediate)
}
