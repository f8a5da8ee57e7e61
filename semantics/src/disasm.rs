//! Instructions as text: LLVM's syntax, as `llvm-objdump` prints it, and that of Linux's verifier log (`print_bpf_insn`).
//!
//! ```
//! use semantics::disasm::Linux;
//! use semantics::insn::{Insn, Opcode, Reg};
//! let store = Insn::new(Opcode::StxDw).dst(Reg::R10).src(Reg::R1).off(-8);
//! assert_eq!(store.to_string(), "*(u64 *)(r10 - 0x8) = r1");
//! assert_eq!(Linux(&store).to_string(), "(7b) *(u64 *)(r10 -8) = r1");
//! ```

use std::fmt::{self, Display, Formatter, Write};

use crate::insn::{
    AluOp, AtomicOp, Cond, Insn, Mode, MulDivOp, Op, Opcode, Order, Reg, ShiftOp, Size, Source, Wide, Width,
};
use crate::program::Program;

impl AluOp {
    /// The operator as assembly writes it, without `=`.
    pub const fn symbol(self) -> &'static str {
        match self {
            AluOp::Add => "+",
            AluOp::Sub => "-",
            AluOp::And => "&",
            AluOp::Or => "|",
            AluOp::Xor => "^",
        }
    }
}

impl ShiftOp {
    /// The operator as assembly writes it, without `=`.
    pub const fn symbol(self) -> &'static str {
        match self {
            ShiftOp::Lsh => "<<",
            ShiftOp::Rsh => ">>",
            ShiftOp::Arsh => "s>>",
        }
    }
}

impl MulDivOp {
    /// The operator as assembly writes it, without `=`.
    pub const fn symbol(self) -> &'static str {
        match self {
            MulDivOp::Mul => "*",
            MulDivOp::Div => "/",
            MulDivOp::Sdiv => "s/",
            MulDivOp::Mod => "%",
            MulDivOp::Smod => "s%",
        }
    }
}

impl Order {
    /// The prefix of the width as assembly writes it: `be16`.
    pub const fn prefix(self) -> &'static str {
        match self {
            Order::Le => "le",
            Order::Be => "be",
            Order::Swap => "bswap",
        }
    }
}

impl AtomicOp {
    /// The operator as assembly writes it, without `=`; `None` for those that are functions.
    pub const fn symbol(self) -> Option<&'static str> {
        match self {
            AtomicOp::Add => Some("+"),
            AtomicOp::Or => Some("|"),
            AtomicOp::And => Some("&"),
            AtomicOp::Xor => Some("^"),
            AtomicOp::Xchg | AtomicOp::Cmpxchg => None,
        }
    }
    /// Its name in functions such as `atomic_fetch_add`.
    pub const fn name(self) -> &'static str {
        match self {
            AtomicOp::Add => "add",
            AtomicOp::Or => "or",
            AtomicOp::And => "and",
            AtomicOp::Xor => "xor",
            AtomicOp::Xchg => "xchg",
            AtomicOp::Cmpxchg => "cmpxchg",
        }
    }
}

impl Cond {
    /// The operator as assembly writes it.
    pub const fn symbol(self) -> &'static str {
        match self {
            Cond::Eq => "==",
            Cond::Ne => "!=",
            Cond::Gt => ">",
            Cond::Ge => ">=",
            Cond::Lt => "<",
            Cond::Le => "<=",
            Cond::Sgt => "s>",
            Cond::Sge => "s>=",
            Cond::Slt => "s<",
            Cond::Sle => "s<=",
            Cond::Set => "&",
        }
    }
}

impl Size {
    /// The C type as assembly writes it.
    pub const fn type_name(self) -> &'static str {
        match self {
            Size::B => "u8",
            Size::H => "u16",
            Size::W => "u32",
            Size::Dw => "u64",
        }
    }
    /// The signed C type as assembly writes it.
    pub const fn signed_name(self) -> &'static str {
        match self {
            Size::B => "s8",
            Size::H => "s16",
            Size::W => "s32",
            Size::Dw => "s64",
        }
    }
    /// The register width that holds a value of an atomic access of this size.
    const fn width(self) -> Width {
        if matches!(self, Size::Dw) { Width::W64 } else { Width::W32 }
    }
}

/// As `llvm-objdump` prints it. What LLVM has no syntax for is written in bpftool's manner: a map `r1 = map 0 ll`, its value
/// `r1 = map[0][0]+0x8 ll`, a subprogram's address `r1 = subprog[+0x5] ll`, calls `call pc+0x5` and `call kfunc#7`; the
/// second slot of a wide instruction is `(second slot)`.
impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Text { insn: self, linux: false }.fmt(f)
    }
}

/// An instruction as Linux prints it in the verifier's log: decimal immediates, `pc+3`, the code in front.
#[derive(Clone, Copy, Debug)]
pub struct Linux<'a>(pub &'a Insn);

impl Display for Linux<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({:02x}) ", self.0.opcode.row().code)?;
        Text { insn: self.0, linux: true }.fmt(f)
    }
}

/// An instruction in LLVM's syntax or in that of Linux's log.
struct Text<'a> {
    insn: &'a Insn,
    linux: bool,
}

impl Text<'_> {
    /// `dst op source`.
    fn binary(&self, width: Width, operator: impl Display, source: Source, f: &mut Formatter<'_>) -> fmt::Result {
        let dst = Name(self.insn.dst, width);
        match source {
            Source::K => write!(f, "{dst} {operator}= {}", self.imm()),
            Source::X => write!(f, "{dst} {operator}= {}", Name(self.insn.src, width)),
        }
    }
    /// The immediate.
    fn imm(&self) -> Number {
        Number { value: i64::from(self.insn.imm as i32), hex: !self.linux }
    }
    /// An access relative to a register: `*(u32 *)(r2 + 0x4)`.
    fn place(&self, type_name: &'static str, base: Reg) -> Place {
        Place { type_name, base, off: self.insn.off as i16, linux: self.linux }
    }
    /// A distance in slots behind the mark that Linux puts there.
    fn distance(&self, slots: i64) -> Distance {
        Distance { slots, linux: self.linux }
    }

    fn wide(&self, kind: Wide, f: &mut Formatter<'_>) -> fmt::Result {
        let insn = self.insn;
        let (dst, imm, ll) = (insn.dst, insn.imm, if self.linux { "" } else { " ll" });
        match kind {
            Wide::Imm64 if self.linux => write!(f, "{dst} = {:#x}", insn.wide_imm()),
            Wide::Imm64 => write!(f, "{dst} = {} ll", Number { value: insn.wide_imm() as i64, hex: true }),
            Wide::Map if self.linux => write!(f, "{dst} = map[id:{imm}]"),
            Wide::MapIndex if self.linux => write!(f, "{dst} = map[idx:{imm}]"),
            Wide::MapValue if self.linux => write!(f, "{dst} = map[id:{imm}][0]+{}", insn.imm_hi),
            Wide::MapIndexValue if self.linux => write!(f, "{dst} = map[idx:{imm}]+{}", insn.imm_hi),
            Wide::Code if self.linux => write!(f, "{dst} = subprog[{:+}]", imm as i32),
            Wide::Map => write!(f, "{dst} = map {imm}{ll}"),
            Wide::MapIndex => write!(f, "{dst} = map_idx[{imm}]{ll}"),
            Wide::MapValue => write!(f, "{dst} = map[{imm}][0]+{:#x}{ll}", insn.imm_hi),
            Wide::MapIndexValue => write!(f, "{dst} = map_idx[{imm}][0]+{:#x}{ll}", insn.imm_hi),
            Wide::Variable => write!(f, "{dst} = var[{imm:#x}]{ll}"),
            Wide::Code => write!(f, "{dst} = subprog[{}]{ll}", Distance { slots: i64::from(imm as i32), linux: false }),
        }
    }

    fn atomic(&self, op: AtomicOp, fetch: bool, size: Size, f: &mut Formatter<'_>) -> fmt::Result {
        let (base, width) = (self.insn.dst, size.width());
        let src = Name(self.insn.src, width);
        let place = self.place(size.type_name(), base);
        let suffix = if width == Width::W64 { "_64" } else { "32_32" };
        match (op, op.symbol()) {
            (_, Some(symbol)) if !fetch => {
                // Linux names whole registers, whatever the size.
                let src = if self.linux { Name(self.insn.src, Width::W64) } else { src };
                write!(f, "lock {place} {symbol}= {src}")
            }
            (AtomicOp::Cmpxchg, _) if self.linux => {
                let bits = size.bits();
                write!(f, "r0 = atomic{}_cmpxchg({}, r0, {})", linux_bits(bits), place.inner(), self.insn.src)
            }
            (AtomicOp::Xchg, _) if self.linux => {
                let (src, bits) = (self.insn.src, size.bits());
                write!(f, "{src} = atomic{}_xchg({}, {src})", linux_bits(bits), place.inner())
            }
            (_, _) if self.linux => {
                let (src, bits) = (self.insn.src, size.bits());
                write!(f, "{src} = atomic{}_fetch_{}({}, {src})", linux_bits(bits), op.name(), place.inner())
            }
            (AtomicOp::Cmpxchg, _) => {
                let r0 = Name(Reg::R0, width);
                write!(f, "{r0} = cmpxchg{suffix}({}, {r0}, {src})", place.address())
            }
            (AtomicOp::Xchg, _) => write!(f, "{src} = xchg{suffix}({}, {src})", place.address()),
            _ => write!(f, "{src} = atomic_fetch_{}({}, {src})", op.name(), place.inner()),
        }
    }

    fn packet(&self, mode: Mode, size: Size, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "r0 = *({} *)skb[", size.type_name())?;
        match (mode, self.insn.imm as i32) {
            (Mode::Abs, _) => write!(f, "{}]", self.imm()),
            (Mode::Ind, 0) if !self.linux => write!(f, "{}]", self.insn.src),
            (Mode::Ind, _) => write!(f, "{} + {}]", self.insn.src, self.imm()),
        }
    }
}

/// Linux marks atomic functions of 64 bits only.
fn linux_bits(bits: u32) -> &'static str {
    if bits == 64 { "64" } else { "" }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let insn = self.insn;
        let (dst, src) = (insn.dst, insn.src);
        match insn.op() {
            Op::Alu { op, width, source } => self.binary(width, op.symbol(), source, f),
            Op::Shift { op, width, source } => self.binary(width, op.symbol(), source, f),
            Op::MulDiv { op, width, source } => self.binary(width, op.symbol(), source, f),
            Op::Neg { width } => write!(f, "{} = -{}", Name(dst, width), Name(dst, width)),
            Op::Mov { width, source: Source::K } => write!(f, "{} = {}", Name(dst, width), self.imm()),
            Op::Mov { width, source: Source::X } => write!(f, "{} = {}", Name(dst, width), Name(src, width)),
            Op::MovSx { from, width } => {
                write!(f, "{} = ({}){}", Name(dst, width), from.signed_name(), Name(src, width))
            }
            Op::Endian { order, size } => write!(f, "{dst} = {}{} {dst}", order.prefix(), size.bits()),
            Op::Wide(kind) => self.wide(kind, f),
            Op::WideTail => f.write_str("(second slot)"),
            Op::Load { size } => write!(f, "{dst} = {}", self.place(size.type_name(), src)),
            Op::LoadSx { size } => write!(f, "{dst} = {}", self.place(size.signed_name(), src)),
            Op::Store { size, source: Source::K } => {
                write!(f, "{} = {}", self.place(size.type_name(), dst), self.imm())
            }
            Op::Store { size, source: Source::X } => write!(f, "{} = {src}", self.place(size.type_name(), dst)),
            Op::Atomic { op, fetch, size } => self.atomic(op, fetch, size, f),
            Op::LoadAcquire { size } => {
                let place = self.place(size.type_name(), src);
                let width = if self.linux { Width::W64 } else { size.width() };
                write!(f, "{} = load_acquire({})", Name(dst, width), place.inner())
            }
            Op::StoreRelease { size } => {
                let place = self.place(size.type_name(), dst);
                let width = if self.linux { Width::W64 } else { size.width() };
                write!(f, "store_release({}, {})", place.inner(), Name(src, width))
            }
            Op::Packet { mode, size } => self.packet(mode, size, f),
            Op::Jump { .. } => {
                let condition = Condition { insn, linux: self.linux };
                write!(f, "{condition} goto {}", self.distance(i64::from(insn.off as i16)))
            }
            Op::Ja => write!(f, "goto {}", self.distance(i64::from(insn.off as i16))),
            Op::Gotol => write!(f, "gotol {}", self.distance(i64::from(insn.imm as i32))),
            Op::CallHelper if self.linux => write!(f, "call {}#{}", HelperName(insn.imm), insn.imm as i32),
            Op::CallHelper => write!(f, "call {}", self.imm()),
            Op::CallLocal if self.linux => write!(f, "call pc{:+}", insn.imm as i32),
            Op::CallLocal => write!(f, "call pc{}", self.distance(i64::from(insn.imm as i32))),
            Op::CallKfunc if self.linux => write!(f, "call kernel-function#{}", insn.imm as i32),
            Op::CallKfunc => write!(f, "call kfunc#{}", insn.imm as i32),
            Op::Exit => f.write_str("exit"),
        }
    }
}

/// `func_id_name`: the helper's name, or `unknown`.
struct HelperName(u32);

impl Display for HelperName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match crate::helper::fact(self.0) {
            None if self.0 == 0 => f.write_str("bpf_unspec"),
            Some(fact) => write!(f, "bpf_{}", fact.name),
            None => f.write_str("unknown"),
        }
    }
}

/// A listing: one line per instruction with its slot in front, and a label `L<slot>:` before each target of a jump.
/// [`assemble`](crate::asm::assemble) reads it back.
///
/// ```
/// use semantics::insn::{Insn, Opcode};
/// let listing = semantics::disasm::disassemble(&[Insn::new(Opcode::Jne64K).off(0), Insn::new(Opcode::Exit)]);
/// assert_eq!(listing, "   0: if r0 != 0x0 goto L1\nL1:\n   1: exit\n");
/// ```
pub fn disassemble(insns: &[Insn]) -> String {
    list(insns, |_| None, |_| None)
}

/// The source line that begins at a slot, as a comment: `; x = 1; @ prog.c:3`.
pub fn source_line(program: &Program, slot: usize) -> Option<String> {
    let line = program.debug().lines.iter().rev().find(|line| line.slot == slot)?;
    // One line, whatever an object says.
    let clean = |text: &str| text.trim().replace(char::is_control, " ");
    let text = clean(&line.text);
    let blank = if text.is_empty() { "" } else { " " };
    Some(format!("; {text}{blank}@ {}:{}", clean(&line.file), line.line))
}

/// The same of a program, with the names of its maps, `r1 = map[counts] ll`, and its source lines as comments.
/// [`assemble_with`](crate::asm::assemble_with) reads it back.
pub fn disassemble_program(program: &Program) -> String {
    // Only what the assembler takes for a name.
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) && !name.starts_with(char::is_numeric)
    };
    list(
        program.insns(),
        |index| {
            let name = program.maps().get(index as usize)?.name.as_str();
            (is_name(name) && !name.is_empty()).then_some(name)
        },
        |slot| source_line(program, slot),
    )
}

fn list<'a>(insns: &[Insn], map: impl Fn(u32) -> Option<&'a str>, remark: impl Fn(usize) -> Option<String>) -> String {
    let targets: Vec<bool> = {
        let mut targets = vec![false; insns.len()];
        (0..insns.len()).filter_map(|pc| target(insns, pc)).for_each(|to| targets[to] = true);
        targets
    };
    let mut listing = String::new();
    for (pc, insn) in insns.iter().enumerate() {
        if let Some(remark) = remark(pc) {
            let _ = writeln!(listing, "{remark}");
        }
        if targets[pc] {
            let _ = writeln!(listing, "L{pc}:");
        }
        if insn.opcode == Opcode::WideTail {
            continue;
        }
        let map = if matches!(insn.op(), Op::Wide(Wide::Map | Wide::MapValue)) { map(insn.imm) } else { None };
        let _ = match (insn.op(), target(insns, pc)) {
            (Op::Wide(Wide::Map), _) if map.is_some() => {
                writeln!(listing, "{pc:4}: {} = map[{}] ll", insn.dst, map.unwrap_or_default())
            }
            (Op::Wide(_), _) if map.is_some() => {
                let (dst, name, off) = (insn.dst, map.unwrap_or_default(), insn.imm_hi);
                writeln!(listing, "{pc:4}: {dst} = map[{name}][0]+{off:#x} ll")
            }
            (Op::Wide(_), Some(to)) => writeln!(listing, "{pc:4}: {} = subprog[L{to}] ll", insn.dst),
            (Op::CallLocal, Some(to)) => writeln!(listing, "{pc:4}: call L{to}"),
            (Op::Gotol, Some(to)) => writeln!(listing, "{pc:4}: gotol L{to}"),
            (Op::Ja, Some(to)) => writeln!(listing, "{pc:4}: goto L{to}"),
            (_, Some(to)) => writeln!(listing, "{pc:4}: {} goto L{to}", Condition { insn, linux: false }),
            (_, None) => writeln!(listing, "{pc:4}: {insn}"),
        };
    }
    listing
}

/// The slot that the instruction at `pc` leads to or names, if an instruction starts there.
fn target(insns: &[Insn], pc: usize) -> Option<usize> {
    let insn = &insns[pc];
    let op = insn.op();
    let to = usize::try_from(insn.target(pc)).ok().filter(|_| op.is_jump() || op.names_subprogram())?;
    insns.get(to).is_some_and(|insn| insn.opcode != Opcode::WideTail).then_some(to)
}

/// A register at a width: `r1` or `w1`.
struct Name(Reg, Width);

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Width::W64 => write!(f, "r{}", self.0.number()),
            Width::W32 => write!(f, "w{}", self.0.number()),
        }
    }
}

/// A signed number, in hexadecimal as LLVM writes it (`-0x5`) or in decimal.
struct Number {
    value: i64,
    hex: bool,
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.hex {
            write!(f, "{}{:#x}", if self.value < 0 { "-" } else { "" }, self.value.unsigned_abs())
        } else {
            write!(f, "{}", self.value)
        }
    }
}

/// A distance in slots: LLVM's `+0x3`, Linux's `pc+3`.
struct Distance {
    slots: i64,
    linux: bool,
}

impl Display for Distance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.linux {
            write!(f, "pc{:+}", self.slots)
        } else {
            write!(f, "{}{:#x}", if self.slots < 0 { '-' } else { '+' }, self.slots.unsigned_abs())
        }
    }
}

/// A place in memory: `*(u32 *)(r2 + 0x4)`.
struct Place {
    type_name: &'static str,
    base: Reg,
    off: i16,
    linux: bool,
}

impl Place {
    /// `(u32 *)(r2 + 0x4)`.
    fn inner(&self) -> impl Display + '_ {
        fmt::from_fn(move |f| write!(f, "({} *)({})", self.type_name, self.address()))
    }
    /// `r2 + 0x4`.
    fn address(&self) -> impl Display + '_ {
        fmt::from_fn(move |f| {
            if self.linux {
                write!(f, "{} {:+}", self.base, self.off)
            } else {
                write!(f, "{} {} {:#x}", self.base, if self.off < 0 { '-' } else { '+' }, self.off.unsigned_abs())
            }
        })
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "*{}", self.inner())
    }
}

/// `if r1 s> 0x5` of a conditional jump; empty for other instructions. Linux prints the immediate unsigned.
struct Condition<'a> {
    insn: &'a Insn,
    linux: bool,
}

impl Display for Condition<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let insn = self.insn;
        let Op::Jump { cond, width, source } = insn.op() else { return Ok(()) };
        write!(f, "if {} {} ", Name(insn.dst, width), cond.symbol())?;
        match source {
            Source::X => write!(f, "{}", Name(insn.src, width)),
            Source::K if self.linux => write!(f, "{:#x}", insn.imm),
            Source::K => write!(f, "{}", Number { value: i64::from(insn.imm as i32), hex: true }),
        }
    }
}
