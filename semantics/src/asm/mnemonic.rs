//! Statements in the manner of ubpf, `bpf_conformance` and GNU as: `mov32 %r0, 1`, `ldxw %r0, [%r1+4]`, `jeq %r0, %r1, exit`.
//!
//! The names come from the instruction table. A bare name is the 64-bit operation, which `64` behind it may stress; `32`
//! makes it the 32-bit one. `lock add [%r10-8], %r1` operates atomically, `lock fetch add` also returns what was there.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::lexer::TokenKind;
use super::parser::{self, Goal, Parser, Statement};
use super::{AsmErrorKind, Fail, suggest};
use crate::insn::table::TABLE;
use crate::insn::{AluOp, AtomicOp, Cond, Insn, Mode, MulDivOp, Op, Opcode, Order, ShiftOp, Size, Source, Width};

/// The instruction of each name: with an immediate, and with a register as its second operand. Names of instructions with
/// one form only stand for it either way.
static NAMES: LazyLock<HashMap<String, [Option<Opcode>; 2]>> = LazyLock::new(|| {
    let mut names: HashMap<String, [Option<Opcode>; 2]> = HashMap::new();
    for row in TABLE {
        for name in names_of(row.op) {
            let forms = names.entry(name).or_default();
            match source(row.op) {
                Some(Source::K) => forms[0] = Some(row.opcode),
                Some(Source::X) => forms[1] = Some(row.opcode),
                None => *forms = [Some(row.opcode); 2],
            }
        }
    }
    names
});

/// Whether an instruction has this name.
pub(super) fn is_name(word: &str) -> bool {
    word == "lock" || word == "callx" || NAMES.contains_key(word)
}

/// All names, for suggestions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.keys().map(String::as_str)
}

/// The second operand, of operations that let one choose.
fn source(op: Op) -> Option<Source> {
    match op {
        Op::Alu { source, .. }
        | Op::Shift { source, .. }
        | Op::MulDiv { source, .. }
        | Op::Mov { source, .. }
        | Op::Jump { source, .. } => Some(source),
        _ => None,
    }
}

/// What the operation is called.
fn names_of(op: Op) -> Vec<String> {
    match op {
        Op::Alu { op, width, .. } => sized(alu_name(op), width),
        Op::Shift { op, width, .. } => sized(
            match op {
                ShiftOp::Lsh => "lsh",
                ShiftOp::Rsh => "rsh",
                ShiftOp::Arsh => "arsh",
            },
            width,
        ),
        Op::MulDiv { op, width, .. } => sized(
            match op {
                MulDivOp::Mul => "mul",
                MulDivOp::Div => "div",
                MulDivOp::Mod => "mod",
                MulDivOp::Sdiv => "sdiv",
                MulDivOp::Smod => "smod",
            },
            width,
        ),
        Op::Mov { width, .. } => sized("mov", width),
        Op::Neg { width } => sized("neg", width),
        Op::MovSx { from, width } => {
            vec![format!("movsx{}{}", from.bits(), if width == Width::W32 { 32 } else { 64 })]
        }
        Op::Endian { order: Order::Swap, size } => {
            vec![format!("bswap{}", size.bits()), format!("swap{}", size.bits())]
        }
        Op::Endian { order, size } => vec![format!("{}{}", order.prefix(), size.bits())],
        Op::Load { size } => vec![format!("ldx{}", letter(size))],
        Op::LoadSx { size } => vec![format!("ldxs{}", letter(size))],
        Op::Store { size, source: Source::K } => vec![format!("st{}", letter(size))],
        Op::Store { size, source: Source::X } => vec![format!("stx{}", letter(size))],
        Op::Packet { mode: Mode::Abs, size } => vec![format!("ldabs{}", letter(size))],
        Op::Packet { mode: Mode::Ind, size } => vec![format!("ldind{}", letter(size))],
        Op::Jump { cond, width, .. } => sized(jump_name(cond), width),
        Op::Wide(crate::insn::Wide::Imm64) => vec!["lddw".to_owned()],
        Op::Ja => sized("ja", Width::W64),
        Op::Gotol => vec!["ja32".to_owned(), "jal".to_owned()],
        Op::CallHelper => vec!["call".to_owned()],
        Op::Exit => vec!["exit".to_owned()],
        _ => vec![],
    }
}

fn sized(stem: &str, width: Width) -> Vec<String> {
    match width {
        Width::W32 => vec![format!("{stem}32")],
        Width::W64 => vec![stem.to_owned(), format!("{stem}64")],
    }
}

fn alu_name(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "add",
        AluOp::Sub => "sub",
        AluOp::And => "and",
        AluOp::Or => "or",
        AluOp::Xor => "xor",
    }
}

fn letter(size: Size) -> &'static str {
    match size {
        Size::B => "b",
        Size::H => "h",
        Size::W => "w",
        Size::Dw => "dw",
    }
}

fn jump_name(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "jeq",
        Cond::Ne => "jne",
        Cond::Gt => "jgt",
        Cond::Ge => "jge",
        Cond::Lt => "jlt",
        Cond::Le => "jle",
        Cond::Sgt => "jsgt",
        Cond::Sge => "jsge",
        Cond::Slt => "jslt",
        Cond::Sle => "jsle",
        Cond::Set => "jset",
    }
}

impl<'a> Parser<'a> {
    /// The statement that begins with a mnemonic; nothing is consumed if none does.
    pub(super) fn mnemonic(&mut self) -> Option<Result<Statement<'a>, Fail>> {
        let token = self.peek()?;
        match token.text {
            // Written alike in every syntax.
            "exit" | "call" | "callx" => None,
            "lock" if self.rest().get(1).is_none_or(|next| next.text != "*") => {
                self.skip(1);
                Some(self.locked())
            }
            word => {
                let forms = NAMES.get(word).copied()?;
                self.skip(1);
                self.decimal = true;
                Some(self.operands(forms))
            }
        }
    }

    /// The operands of a mnemonic, which is behind us.
    fn operands(&mut self, forms: [Option<Opcode>; 2]) -> Result<Statement<'a>, Fail> {
        let [k, _] = forms;
        let opcode = k.or(forms[1]).expect("a name stands for something");
        let insn = Insn::new(opcode);
        let insn = match opcode.op() {
            Op::Neg { .. } | Op::Endian { .. } => insn.dst(self.reg()?),
            Op::MovSx { .. } => {
                let insn = insn.dst(self.reg()?);
                self.comma()?;
                insn.src(self.reg()?)
            }
            Op::Load { .. } | Op::LoadSx { .. } => {
                let insn = insn.dst(self.reg()?);
                self.comma()?;
                let (base, off) = self.bracket()?;
                insn.src(base).off(off)
            }
            Op::Store { source, .. } => {
                let (base, off) = self.bracket()?;
                self.comma()?;
                let insn = insn.dst(base).off(off);
                if source == Source::X { insn.src(self.reg()?) } else { insn.imm(self.imm("a number")?) }
            }
            Op::Wide(_) => {
                let dst = self.reg()?;
                self.comma()?;
                insn.dst(dst).wide(self.imm64()?)
            }
            Op::Packet { mode: Mode::Abs, .. } => insn.imm(self.imm("a number")?),
            Op::Packet { mode: Mode::Ind, .. } => {
                let insn = insn.src(self.reg()?);
                let imm = if self.take(",") { self.imm("a number")? } else { 0 };
                insn.imm(imm)
            }
            Op::Ja | Op::Gotol => return self.target(insn),
            _ => return self.two_operands(forms),
        };
        Ok((insn, None))
    }

    /// `dst, source`, and of a jump `dst, source, target`.
    fn two_operands(&mut self, forms: [Option<Opcode>; 2]) -> Result<Statement<'a>, Fail> {
        let dst = self.reg()?;
        self.comma()?;
        let src = self.peek().and_then(|token| token.register());
        let opcode = forms[usize::from(src.is_some())].ok_or_else(|| self.expected("another operand"))?;
        let insn = Insn::new(opcode).dst(dst);
        let insn = if src.is_some() { insn.src(self.reg()?) } else { insn.imm(self.imm("a register or a number")?) };
        if !matches!(opcode.op(), Op::Jump { .. }) {
            return Ok((insn, None));
        }
        self.comma()?;
        self.target(insn)
    }

    /// `lock fetch add32 [%r10-8], %r1`; the `lock` is behind us.
    fn locked(&mut self) -> Result<Statement<'a>, Fail> {
        const OPERATION: &str = "`*(`, `fetch`, `add`, `or`, `and`, `xor`, `xchg` or `cmpxchg`";
        let mut fetch = self.take("fetch");
        let Some(token) = self.peek().filter(|token| token.kind == TokenKind::Word) else {
            return Err(self.expected(OPERATION));
        };
        let mut name = token.text;
        if let Some(rest) = name.strip_prefix("fetch_").filter(|_| !fetch) {
            (name, fetch) = (rest, true);
        }
        let (stem, size) = match name.strip_suffix("32") {
            Some(stem) => (stem, Size::W),
            None => (name.strip_suffix("64").unwrap_or(name), Size::Dw),
        };
        let Some(op) = AtomicOp::ALL.into_iter().find(|op| op.name() == stem) else {
            let all = AtomicOp::ALL.into_iter().map(AtomicOp::name);
            return Err(self.mistaken(OPERATION, suggest::nearest(stem, all.chain(["fetch"]))));
        };
        self.skip(1);
        // These two return what was there in any case.
        let fetch = fetch || matches!(op, AtomicOp::Xchg | AtomicOp::Cmpxchg);
        let (base, off) = self.bracket()?;
        self.comma()?;
        let insn = Insn::new(Opcode::of(Op::Atomic { op, fetch, size }));
        Ok((insn.dst(base).off(off).src(self.reg()?), None))
    }

    /// `[%r1+4]`.
    fn bracket(&mut self) -> Result<(crate::insn::Reg, i16), Fail> {
        self.expect("[")?;
        let base = self.reg()?;
        let column = self.column();
        let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
        let off = if signed { self.number("an offset")? } else { 0 };
        self.expect("]")?;
        Ok((base, parser::off16(column, off)?))
    }

    fn comma(&mut self) -> Result<(), Fail> {
        self.expect(",")
    }

    fn reg(&mut self) -> Result<crate::insn::Reg, Fail> {
        match self.peek().and_then(|token| token.register()) {
            Some((reg, Width::W64)) => {
                self.skip(1);
                Ok(reg)
            }
            _ => Err(self.expected("a register: r0 to r10")),
        }
    }

    /// `call local f`; `call` and `local` are behind us.
    pub(super) fn call_local(&mut self) -> Result<Statement<'a>, Fail> {
        let insn = Insn::new(Opcode::CallLocal);
        match self.peek() {
            Some(token) if token.kind == TokenKind::Word => {
                self.skip(1);
                Ok((insn, Some((Goal::Label, token))))
            }
            _ => Ok((insn.imm(self.imm("a label or a distance")?), None)),
        }
    }
}

/// Mnemonics of instructions that no program may have.
pub(super) fn reserved(word: &str) -> Option<AsmErrorKind> {
    let what = match word {
        "callx" => return Some(AsmErrorKind::Reserved("call by register")),
        "may_goto" => "may_goto",
        "gotox" => "gotox",
        "goto_or_nop" => "goto_or_nop",
        "nospec" => "nospec",
        "addr_space_cast" => "addr_space_cast",
        _ => return None,
    };
    Some(AsmErrorKind::Unsupported(what))
}
