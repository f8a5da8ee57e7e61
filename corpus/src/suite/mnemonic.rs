//! ubpf's assembly, as `bpf_conformance` writes it: `mov %r0, 1`, `ldxw %r0, [%r1+4]`, `jeq %r0, %r1, exit`.

use std::collections::HashMap;

use semantics::asm::AsmErrorKind;
use semantics::encoding;
use semantics::insn::{AluOp, Cond, Insn, Op, Opcode, Reg, Size, Source, Wide, Width};

use crate::error::Reason;
use crate::text;

/// Why there is no program.
#[derive(Debug)]
pub(super) enum Lack {
    /// An instruction that is known and has no meaning here.
    Unsupported(&'static str),
    /// The line with this number is wrong.
    Wrong(usize, Reason),
}

/// Assembles lines without comments, given with their numbers, to slots.
pub(super) fn assemble<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<u8>, Lack> {
    let mut unit = Unit::default();
    for (line, text) in lines {
        unit.line(line, text)?;
    }
    unit.link()
}

#[derive(Default)]
struct Unit {
    insns: Vec<Insn>,
    labels: HashMap<String, usize>,
    /// Slot, line and label of each jump to a label.
    jumps: Vec<(usize, usize, String)>,
}

/// What a mnemonic stands for.
enum Meaning {
    /// Two operands, the second a register or an immediate.
    Alu(AluOp, Width),
    Mov(Width),
    Neg(Width),
    Load(Size),
    Store(Size, Source),
    Jump(Cond, Width),
    Ja,
    Lddw,
    Call,
    Exit,
}

impl Unit {
    fn line(&mut self, line: usize, text: &str) -> Result<(), Lack> {
        let mut text = text;
        if let Some((label, rest)) = text.split_once(':') {
            self.labels.insert(label.trim().to_owned(), self.insns.len());
            text = rest.trim();
        }
        if text.is_empty() {
            return Ok(());
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let operands: Vec<&str> = rest.split(',').map(str::trim).filter(|operand| !operand.is_empty()).collect();
        let meaning = meaning(word, rest).map_err(|lack| match lack {
            Some(what) => Lack::Unsupported(what),
            None => wrong(line, "an instruction", word),
        })?;
        let insn = self.statement(line, &meaning, &operands)?;
        if matches!(meaning, Meaning::Exit) {
            // The implicit label of the first exit.
            self.labels.entry("exit".to_owned()).or_insert(self.insns.len());
        }
        self.insns.push(insn);
        if matches!(meaning, Meaning::Lddw) {
            self.insns.push(Insn::new(Opcode::WideTail));
        }
        Ok(())
    }

    fn statement(&mut self, line: usize, meaning: &Meaning, operands: &[&str]) -> Result<Insn, Lack> {
        let operand = |at: usize| operands.get(at).copied().ok_or_else(|| wrong(line, "an operand", ""));
        let reg =
            |at: usize| operand(at).and_then(|text| register(text).ok_or_else(|| wrong(line, "a register", text)));
        let second = |at: usize, op: &dyn Fn(Source) -> Op| -> Result<Insn, Lack> {
            let text = operand(at)?;
            match register(text) {
                Some(src) => Ok(Insn::new(Opcode::of(op(Source::X))).src(src)),
                None => Ok(Insn::new(Opcode::of(op(Source::K))).imm(imm(line, text)?)),
            }
        };
        Ok(match *meaning {
            Meaning::Alu(op, width) => second(1, &|source| Op::Alu { op, width, source })?.dst(reg(0)?),
            Meaning::Mov(width) => second(1, &|source| Op::Mov { width, source })?.dst(reg(0)?),
            Meaning::Neg(width) => Insn::new(Opcode::of(Op::Neg { width })).dst(reg(0)?),
            Meaning::Load(size) => {
                let (base, off) = place(line, operand(1)?)?;
                Insn::new(Opcode::of(Op::Load { size })).dst(reg(0)?).src(base).off(off)
            }
            Meaning::Store(size, source) => {
                let (base, off) = place(line, operand(0)?)?;
                let insn = Insn::new(Opcode::of(Op::Store { size, source })).dst(base).off(off);
                if source == Source::X { insn.src(reg(1)?) } else { insn.imm(imm(line, operand(1)?)?) }
            }
            Meaning::Jump(cond, width) => {
                let insn = second(1, &|source| Op::Jump { cond, width, source })?.dst(reg(0)?);
                self.target(line, insn, operand(2)?)?
            }
            Meaning::Ja => self.target(line, Insn::new(Opcode::Ja), operand(0)?)?,
            Meaning::Lddw => {
                let text = operand(1)?;
                let value = text::number(text).ok_or_else(|| Lack::Wrong(line, Reason::Number(text.to_owned())))?;
                Insn::new(Opcode::of(Op::Wide(Wide::Imm64))).dst(reg(0)?).wide(value)
            }
            Meaning::Call => Insn::new(Opcode::Call).imm(imm(line, operand(0)?)?),
            Meaning::Exit => Insn::new(Opcode::Exit),
        })
    }

    /// A distance such as `+1`, or a label.
    fn target(&mut self, line: usize, insn: Insn, text: &str) -> Result<Insn, Lack> {
        if text.starts_with(['+', '-']) {
            let distance = text::number(text.trim_start_matches('+'))
                .and_then(|distance| i16::try_from(distance as i64).ok())
                .ok_or_else(|| Lack::Wrong(line, Reason::Number(text.to_owned())))?;
            return Ok(insn.off(distance));
        }
        self.jumps.push((self.insns.len(), line, text.to_owned()));
        Ok(insn)
    }

    fn link(mut self) -> Result<Vec<u8>, Lack> {
        for (slot, line, label) in self.jumps {
            let Some(to) = self.labels.get(&label) else {
                return Err(Lack::Wrong(line, Reason::Asm(AsmErrorKind::UndefinedLabel(label))));
            };
            let distance = *to as i64 - (slot as i64 + 1);
            match i16::try_from(distance) {
                Ok(off) => self.insns[slot] = self.insns[slot].off(off),
                Err(_) => {
                    return Err(Lack::Wrong(line, Reason::Asm(AsmErrorKind::LabelTooFar { name: label, distance })));
                }
            }
        }
        Ok(encoding::encode(&self.insns))
    }
}

fn wrong(line: usize, expected: &'static str, found: &str) -> Lack {
    Lack::Wrong(line, Reason::Asm(AsmErrorKind::Expected { expected, found: found.to_owned() }))
}

/// What a mnemonic stands for; else the family of a known one without a meaning here, or nothing.
fn meaning(word: &str, operands: &str) -> Result<Meaning, Option<&'static str>> {
    let (stem, width) = word.strip_suffix("32").map_or((word, Width::W64), |stem| (stem, Width::W32));
    let stem = stem.strip_suffix("64").unwrap_or(stem);
    let alu = [("add", AluOp::Add), ("sub", AluOp::Sub), ("and", AluOp::And), ("or", AluOp::Or), ("xor", AluOp::Xor)];
    if let Some((_, op)) = alu.into_iter().find(|(name, _)| *name == stem) {
        return Ok(Meaning::Alu(op, width));
    }
    if let Some(cond) = Cond::ALL.into_iter().find(|cond| jump_name(*cond) == stem) {
        return Ok(Meaning::Jump(cond, width));
    }
    for size in Size::ALL {
        let letter = match size {
            Size::B => "b",
            Size::H => "h",
            Size::W => "w",
            Size::Dw => "dw",
        };
        match word.strip_suffix(letter) {
            Some("ldx") => return Ok(Meaning::Load(size)),
            Some("st") => return Ok(Meaning::Store(size, Source::K)),
            Some("stx") => return Ok(Meaning::Store(size, Source::X)),
            _ => {}
        }
    }
    match (stem, width) {
        ("mov", _) => Ok(Meaning::Mov(width)),
        ("neg", _) => Ok(Meaning::Neg(width)),
        ("ja", Width::W64) => Ok(Meaning::Ja),
        ("lddw", _) => Ok(Meaning::Lddw),
        ("exit", _) => Ok(Meaning::Exit),
        ("call", _) if operands.trim_start().starts_with("local") => Err(Some("call of a subprogram")),
        ("call", _) => Ok(Meaning::Call),
        _ => Err(unsupported(word)),
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

/// The family of a mnemonic that exists and has no meaning here, by the names that the decoder gives them.
fn unsupported(word: &str) -> Option<&'static str> {
    let families = [
        ("mul", "multiplication"),
        ("sdiv", "division"),
        ("smod", "division"),
        ("div", "division"),
        ("mod", "division"),
        ("lsh", "shift"),
        ("rsh", "shift"),
        ("arsh", "shift"),
        ("movsx", "sign-extending move"),
        ("ldxs", "sign-extending load"),
        ("bswap", "byte swap"),
        ("swap", "byte swap"),
        ("be", "byte swap"),
        ("le", "byte swap"),
        ("lock", "atomic"),
        ("ja32", "long jump"),
        ("callx", "call by register"),
    ];
    families.into_iter().find(|(stem, _)| word.starts_with(stem)).map(|(_, family)| family)
}

fn register(text: &str) -> Option<Reg> {
    Reg::from_number(text.strip_prefix("%r")?.parse().ok()?)
}

/// An immediate of 32 bits, written signed or unsigned.
fn imm(line: usize, text: &str) -> Result<i32, Lack> {
    let fail = || Lack::Wrong(line, Reason::Number(text.to_owned()));
    let value = text::number(text).ok_or_else(fail)?;
    if i64::from(value as i32) == value as i64 || u32::try_from(value).is_ok() { Ok(value as i32) } else { Err(fail()) }
}

/// `[%r1+4]`.
fn place(line: usize, text: &str) -> Result<(Reg, i16), Lack> {
    let fail = || wrong(line, "a place such as [%r1+4]", text);
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or_else(fail)?;
    let at = inner.find(['+', '-']).unwrap_or(inner.len());
    let base = register(inner[..at].trim()).ok_or_else(fail)?;
    let off = match inner[at..].trim() {
        "" => 0,
        text => text::number(text.trim_start_matches('+')).ok_or_else(fail)? as i64,
    };
    Ok((base, i16::try_from(off).map_err(|_| fail())?))
}
