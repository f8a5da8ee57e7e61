//! The verifier's log in the kernel's style (level 2), and registers as it prints them.

use crate::dialect::Dialect;
use crate::refusal::bits;
use crate::state::{Byte, Kind, Number, RegState, State};
use semantics::insn::{Insn, Op, Reg, Version, Width};
use semantics::program::Program;
use std::fmt::{self, Display, Formatter, Write as _};

/// A register as the kernel prints it: `scalar(umax=255)`, `fp-8`, `pkt(r=14)`.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a RegState, pub &'a Program);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Shown(reg, program) = self;
        if let Some(value) = reg.as_constant() {
            return write!(f, "{}", value as i64);
        }
        let var = &reg.var;
        match reg.kind {
            Kind::Fp if var.var_off.mask == 0 => return write!(f, "fp{}", Signed(reg)),
            Kind::Scalar => f.write_str("scalar(")?,
            _ => write!(f, "{}(", reg.ty())?,
        }
        let mut parts = Parts { f, first: true };
        if reg.id != 0 {
            parts.add("id", reg.id)?;
        }
        if let (Kind::MapPtr | Kind::MapValue | Kind::MapKey, Some(map)) =
            (reg.kind, program.maps().get(reg.map as usize))
        {
            parts.add("map", &map.name)?;
            parts.add("ks", map.key_size)?;
            parts.add("vs", map.value_size)?;
        }
        if reg.kind != Kind::Scalar && reg.off != 0 {
            parts.add("off", reg.off)?;
        }
        if reg.kind.is_packet() {
            parts.add("r", reg.range)?;
        }
        numbers(var, reg.kind, &mut parts)?;
        f.write_str(")")
    }
}

struct Parts<'a, 'b> {
    f: &'a mut Formatter<'b>,
    first: bool,
}

impl Parts<'_, '_> {
    fn add(&mut self, name: &str, value: impl Display) -> fmt::Result {
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        write!(self.f, "{comma}{name}={value}")
    }
}

/// The bounds that say something.
fn numbers(var: &Number, kind: Kind, parts: &mut Parts<'_, '_>) -> fmt::Result {
    let unknown = Number::unknown();
    if var.var_off.mask == 0 {
        let value = var.var_off.value as i64;
        return if kind == Kind::Scalar || value != 0 { parts.add("imm", value) } else { Ok(()) };
    }
    // Bounds with the same value share it: `smax=umax=255`.
    let bounds = [
        ("smin", Bound::signed(var.smin as i64), var.smin == unknown.smin),
        ("smax", Bound::signed(var.smax as i64), var.smax == unknown.smax),
        ("umin", Bound(i128::from(var.umin)), var.umin == unknown.umin),
        ("umax", Bound(i128::from(var.umax)), var.umax == unknown.umax),
        ("smin32", Bound::signed(var.s32_min as i32), var.s32_min == unknown.s32_min),
        ("smax32", Bound::signed(var.s32_max as i32), var.s32_max == unknown.s32_max),
        ("umin32", Bound(i128::from(var.u32_min)), var.u32_min == unknown.u32_min),
        ("umax32", Bound(i128::from(var.u32_max)), var.u32_max == unknown.u32_max),
    ];
    for (at, (name, value, _)) in bounds.iter().enumerate().filter(|(_, (_, _, open))| !open) {
        let shares = |(_, other, open): &&(_, Bound, bool)| !open && other == value;
        if bounds[..at].iter().any(|bound| shares(&bound)) {
            continue;
        }
        let mut names = (*name).to_owned();
        for (other, ..) in bounds[at + 1..].iter().filter(shares) {
            names.push('=');
            names.push_str(other);
        }
        parts.add(&names, value)?;
    }
    if var.var_off != unknown.var_off {
        parts.add("var_off", bits(&var.var_off))?;
    }
    Ok(())
}

/// A bound as the kernel prints it: small numbers in decimal.
#[derive(PartialEq)]
struct Bound(i128);

impl Bound {
    fn signed(value: impl Into<i64>) -> Bound {
        Bound(i128::from(value.into()))
    }
}

impl Display for Bound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            small if (-0x8000..=0xffff).contains(&small) => write!(f, "{small}"),
            large => write!(f, "{:#x}", large as u64),
        }
    }
}

/// The whole constant offset of a pointer: `-8`, and `0` for none.
struct Signed<'a>(&'a RegState);

impl Display for Signed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", i64::from(self.0.off).wrapping_add(self.0.var.var_off.value as i64))
    }
}

/// All registers that hold something, and what is spilled.
pub(crate) fn state(log: &mut String, state: &State, program: &Program) {
    for (reg, held) in Reg::ALL.iter().zip(&state.regs).filter(|(_, held)| held.kind != Kind::NotInit) {
        let _ = write!(log, " R{}={}", reg.number(), Shown(held, program));
    }
    for (at, slot) in state.stack.iter().enumerate() {
        let off = (at + 1) * 8;
        if slot.is_spilled() {
            let _ = write!(log, " fp-{off}={}", Shown(&slot.spill, program));
        } else if slot.bytes.iter().any(|byte| *byte != Byte::Invalid) {
            let marks: String = slot.bytes.iter().rev().copied().map(Byte::mark).collect();
            let _ = write!(log, " fp-{off}={marks}");
        }
    }
}

impl Byte {
    /// As logs print it (`slot_type_char`).
    pub fn mark(self) -> char {
        match self {
            Byte::Invalid => '?',
            Byte::Spill => 'r',
            Byte::Misc => 'm',
            Byte::Zero => '0',
            Byte::Dynptr => 'd',
        }
    }
}

/// The source line of an instruction, where it is another than that of the one before (`verbose_linfo`).
pub(crate) fn line(log: &mut String, program: &Program, dialect: Dialect, pc: usize, last: &mut Option<usize>) {
    let Some(line) = program.debug().line_at(pc) else { return };
    if last.replace(line.slot) == Some(line.slot) {
        return;
    }
    let _ = write!(log, "; {}", line.text.trim_start());
    // File and number came later.
    if dialect.version >= Version(6, 9) {
        let file = line.file.rsplit('/').next().unwrap_or(&line.file);
        let _ = write!(log, " @ {file}:{}", line.line);
    }
    log.push('\n');
}

/// The instruction about to be followed.
pub(crate) fn instruction(log: &mut String, pc: usize, insn: &Insn) {
    let _ = write!(log, "{pc}: ({:02x}) {insn}", insn.opcode.row().code);
}

/// What it changed.
pub(crate) fn change(log: &mut String, insn: &Insn, state: &State, program: &Program) {
    let op = insn.op();
    let mut shown = |reg: Reg, comma: bool| {
        let _ = write!(log, "{}R{}={}", if comma { " " } else { " ; " }, reg.number(), Shown(state.reg(reg), program));
    };
    match op {
        Op::CallHelper => shown(Reg::R0, false),
        Op::Jump { source, width: Width::W64 | Width::W32, .. } => {
            shown(insn.dst, false);
            if source == semantics::insn::Source::X {
                shown(insn.src, true);
            }
        }
        _ if op.writes_dst() => shown(insn.dst, false),
        _ => {}
    }
    log.push('\n');
}
