//! The lowering rules: one row per [`Opcode`], and another where constants are blinded. A planted mistake replaces a row, see
//! [`plant`](crate::plant).

use semantics::insn::{
    AluOp, AtomicOp, Cond, Insn, Mode, MulDivOp, Op, Opcode, Order, ShiftOp, Size, Source, Wide, Width,
};
use semantics::instructions;
use semantics::word::{Algebra, Concrete};

use crate::blind::{Keys, is_blinded, lower_blinded};
use crate::frame::Frame;
use crate::insn::{is_lowered, lower_op, shift};
use crate::layout::relax::Standard;
use crate::layout::{Code, place};
use crate::link::{is_linked, linked};
use crate::x64::Inst;

/// Appends the code of one instruction.
pub type Lower<A> = fn(&Insn<A>, &mut Vec<Inst<A>>);

/// Appends the code of one instruction with its constant under a key.
pub type LowerBlinded<A> = fn(&Insn<A>, &<A as Algebra>::W64, &mut Vec<Inst<A>>);

/// The table of rules.
///
/// ```
/// use jit::x64::{Inst, Reg};
/// use semantics::insn::{Insn, Opcode};
/// let (rules, mut code) = (jit::Rules::standard(), Vec::new());
/// rules.lower(&Insn::new(Opcode::Mov64K).imm(-1), &mut code).expect("every opcode has a rule");
/// assert_eq!(code, [Inst::MovSx { dst: Reg::Rax, imm: u32::MAX }]);
/// ```
#[derive(Clone, Debug)]
pub struct Rules<A: Algebra = Concrete> {
    rows: Vec<Option<Lower<A>>>,
    /// What stands before the code.
    pub frame: Frame<A>,
    /// Gives the code its place: the steps of [`relax`](crate::layout::relax).
    pub place: fn(&mut Code),
    /// Makes a plain immediate of a wide constant, given the address that it names.
    pub link: fn(&Insn<A>, &A::W64) -> Insn<A>,
    /// `None` where there is nothing to blind.
    blinded: Vec<Option<LowerBlinded<A>>>,
    blinding: Option<Keys>,
}

macro_rules! rows {
    ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
        vec![$(if const { is_lowered($op) && !is_linked($op) } {
            Some((|insn: &Insn<A>, out: &mut Vec<Inst<A>>| lower_op($op, insn, out)) as Lower<A>)
        } else {
            None
        }),*]
    };
}

macro_rules! rows_blinded {
    ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
        vec![$(if const { is_blinded($op) } {
            Some((|insn: &Insn<A>, key: &A::W64, out: &mut Vec<Inst<A>>| {
                lower_blinded($op, insn, key, out);
            }) as LowerBlinded<A>)
        } else {
            None
        }),*]
    };
}

macro_rules! rows_without_bmi2 {
    ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
        vec![$(match $op {
            Op::Shift { .. } => Some((|insn: &Insn<A>, out: &mut Vec<Inst<A>>| {
                if let Op::Shift { op, width, source } = const { $op } {
                    shift::lower_without_bmi2(op, width, source, insn, out);
                }
            }) as Lower<A>),
            _ => None,
        }),*]
    };
}

impl<A: Algebra> Rules<A> {
    /// The rules of the rooms, [`crate::insn`], for a processor with BMI2.
    pub fn standard() -> Self {
        let (frame, blinded) = (Frame::default(), instructions!(rows_blinded));
        Rules { rows: instructions!(rows), blinded, blinding: None, frame, place: place::<Standard>, link: linked }
    }
    /// The rules for the processor that this runs on.
    pub fn for_this_processor() -> Self {
        if std::arch::is_x86_feature_detected!("bmi2") { Self::standard() } else { Self::without_bmi2() }
    }
    /// The rules for a processor without BMI2: its shifts take the amount in `cl`.
    pub fn without_bmi2() -> Self {
        let mut rules = Self::standard();
        let shifts: Vec<Option<Lower<A>>> = instructions!(rows_without_bmi2);
        for (row, shift) in rules.rows.iter_mut().zip(shifts).filter(|(_, shift)| shift.is_some()) {
            *row = shift;
        }
        rules
    }
    /// These rules with constants [blinded](crate::blind), by keys that follow from the seed. Take one that nobody can
    /// foresee, such as [`random_seed`](crate::blind::random_seed).
    pub fn blinded(self, seed: u64) -> Self {
        Rules { blinding: Some(Keys::new(seed)), ..self }
    }
    /// The keys of the next program, if constants are blinded.
    pub fn blinding(&self) -> Option<Keys> {
        self.blinding
    }
    /// Lets the next program have other keys than the one before.
    pub fn renew_keys(&mut self) {
        self.blinding = self.blinding.map(|mut keys| Keys::new(keys.draw()));
    }
    /// The rule of this opcode, `None` where it is not lowered, or linked first.
    #[inline(always)]
    pub fn row(&self, opcode: Opcode) -> Option<Lower<A>> {
        self.rows[opcode as usize]
    }
    /// Replaces a rule; `None` takes the opcode out of what is supported.
    pub fn set(&mut self, opcode: Opcode, row: Option<Lower<A>>) {
        self.rows[opcode as usize] = row;
    }
    /// Replaces the rule that holds while constants are blinded; `None` means that there is nothing to blind.
    pub fn set_blinded(&mut self, opcode: Opcode, row: Option<LowerBlinded<A>>) {
        self.blinded[opcode as usize] = row;
    }
    /// Appends the code of `insn` with its constant, if it has one, under `key`; `None` where its opcode has no rule.
    #[inline(always)]
    pub fn lower_blinded(&self, insn: &Insn<A>, key: &A::W64, out: &mut Vec<Inst<A>>) -> Option<()> {
        let plain = self.row(insn.opcode)?;
        match self.blinded[insn.opcode as usize] {
            Some(blinded) => blinded(insn, key, out),
            None => plain(insn, out),
        }
        Some(())
    }
    /// Appends the code of `insn`, its constant as it is; `None` where its opcode has no rule.
    #[inline(always)]
    pub fn lower(&self, insn: &Insn<A>, out: &mut Vec<Inst<A>>) -> Option<()> {
        self.row(insn.opcode)?(insn, out);
        Some(())
    }
    /// The same where the constant of `insn` may be one that only the whole program tells: then it is, or counts from, `address`.
    pub fn lower_at(&self, insn: &Insn<A>, address: &A::W64, out: &mut Vec<Inst<A>>) -> Option<()> {
        if is_linked(insn.op()) { self.lower(&(self.link)(insn, address), out) } else { self.lower(insn, out) }
    }
}

impl<A: Algebra> Default for Rules<A> {
    fn default() -> Self {
        Rules::standard()
    }
}
