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

use crate::insn::{AluOp, Cond, Insn, Op, Opcode, Reg, Size, Source, Wide, Width};
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
}

/// As `llvm-objdump` prints it. What LLVM has no syntax for: a map reference is `r1 = map 0 ll`, the second slot of a wide
/// instruction `(second slot)`.
impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op() {
            Op::Ja => write!(f, "goto {}", Distance(self.off)),
            Op::Jump { .. } => write!(f, "{} goto {}", Condition { insn: self, linux: false }, Distance(self.off)),
            _ => body(self, f),
        }
    }
}

/// Everything but jumps, in LLVM's syntax.
fn body(insn: &Insn, f: &mut Formatter<'_>) -> fmt::Result {
    let (dst, src) = (insn.dst, insn.src);
    let imm = Hex(i64::from(insn.imm as i32));
    match insn.op() {
        Op::Alu { op, width, source: Source::K } => write!(f, "{} {}= {imm}", Name(dst, width), op.symbol()),
        Op::Alu { op, width, source: Source::X } => {
            write!(f, "{} {}= {}", Name(dst, width), op.symbol(), Name(src, width))
        }
        Op::Neg { width } => write!(f, "{} = -{}", Name(dst, width), Name(dst, width)),
        Op::Mov { width, source: Source::K } => write!(f, "{} = {imm}", Name(dst, width)),
        Op::Mov { width, source: Source::X } => write!(f, "{} = {}", Name(dst, width), Name(src, width)),
        Op::Wide(Wide::Imm64) => write!(f, "{dst} = {} ll", Hex(insn.wide_imm() as i64)),
        Op::Wide(Wide::Map) => write!(f, "{dst} = map {} ll", insn.imm),
        Op::WideTail => f.write_str("(second slot)"),
        Op::Load { size } => write!(f, "{dst} = {}", Place(size, src, insn.off)),
        Op::Store { size, source: Source::K } => write!(f, "{} = {imm}", Place(size, dst, insn.off)),
        Op::Store { size, source: Source::X } => write!(f, "{} = {src}", Place(size, dst, insn.off)),
        Op::CallHelper => write!(f, "call {imm}"),
        Op::Exit => f.write_str("exit"),
        Op::Ja | Op::Jump { .. } => unreachable!("jumps are printed by their callers"),
    }
}

/// An instruction as Linux prints it in the verifier's log: decimal immediates, `pc+3`, the code in front.
#[derive(Clone, Copy, Debug)]
pub struct Linux<'a>(pub &'a Insn);

impl Display for Linux<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let insn = self.0;
        let imm = insn.imm as i32;
        let off = insn.off as i16;
        write!(f, "({:02x}) ", insn.opcode.row().code)?;
        match insn.op() {
            Op::Alu { op, width, source: Source::K } => write!(f, "{} {}= {imm}", Name(insn.dst, width), op.symbol()),
            Op::Mov { width, source: Source::K } => write!(f, "{} = {imm}", Name(insn.dst, width)),
            Op::Wide(Wide::Imm64) => write!(f, "{} = {:#x}", insn.dst, insn.wide_imm()),
            Op::Wide(Wide::Map) => write!(f, "{} = map {}", insn.dst, insn.imm),
            Op::Load { size } => write!(f, "{} = *({} *)({} {off:+})", insn.dst, size.type_name(), insn.src),
            Op::Store { size, source: Source::K } => {
                write!(f, "*({} *)({} {off:+}) = {imm}", size.type_name(), insn.dst)
            }
            Op::Store { size, source: Source::X } => {
                write!(f, "*({} *)({} {off:+}) = {}", size.type_name(), insn.dst, insn.src)
            }
            Op::Ja => write!(f, "goto pc{off:+}"),
            Op::Jump { .. } => write!(f, "{} goto pc{off:+}", Condition { insn, linux: true }),
            Op::CallHelper => write!(f, "call {}#{imm}", HelperName(insn.imm)),
            Op::Alu { .. } | Op::Neg { .. } | Op::Mov { .. } | Op::WideTail | Op::Exit => body(insn, f),
        }
    }
}

/// `func_id_name`: the helper's name, or `unknown`.
struct HelperName(u32);

impl Display for HelperName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match crate::helper::fact(self.0) {
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
    list(insns, |_| None)
}

/// The same of a program, with the names of its maps: `r1 = map[counts] ll`.
/// [`assemble_with`](crate::asm::assemble_with) reads it back.
pub fn disassemble_program(program: &Program) -> String {
    // Only what the assembler takes for a name.
    let is_name =
        |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(char::is_numeric);
    list(program.insns(), |index| {
        let name = program.maps().get(index as usize)?.name.as_str();
        (is_name(name) && !name.is_empty()).then_some(name)
    })
}

fn list<'a>(insns: &[Insn], map: impl Fn(u32) -> Option<&'a str>) -> String {
    let targets: Vec<bool> = {
        let mut targets = vec![false; insns.len()];
        (0..insns.len()).filter_map(|pc| target(insns, pc)).for_each(|to| targets[to] = true);
        targets
    };
    let mut listing = String::new();
    for (pc, insn) in insns.iter().enumerate() {
        if targets[pc] {
            let _ = writeln!(listing, "L{pc}:");
        }
        if insn.opcode == Opcode::WideTail {
            continue;
        }
        let map = if insn.opcode == Opcode::LddwMap { map(insn.imm) } else { None };
        let _ = match (insn.op(), target(insns, pc)) {
            _ if map.is_some() => writeln!(listing, "{pc:4}: {} = map[{}] ll", insn.dst, map.unwrap_or_default()),
            (Op::Ja, Some(to)) => writeln!(listing, "{pc:4}: goto L{to}"),
            (_, Some(to)) => writeln!(listing, "{pc:4}: {} goto L{to}", Condition { insn, linux: false }),
            (_, None) => writeln!(listing, "{pc:4}: {insn}"),
        };
    }
    listing
}

/// The slot that the jump at `pc` leads to, if an instruction starts there.
fn target(insns: &[Insn], pc: usize) -> Option<usize> {
    let insn = &insns[pc];
    let to = usize::try_from(insn.target(pc)).ok().filter(|_| insn.op().is_jump())?;
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

/// A signed number in hexadecimal: `-0x5`.
struct Hex(i64);

impl Display for Hex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:#x}", if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs())
    }
}

/// A jump distance in LLVM's syntax: `+0x3`.
struct Distance(u16);

impl Display for Distance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let off = self.0 as i16;
        write!(f, "{}{:#x}", if off < 0 { '-' } else { '+' }, off.unsigned_abs())
    }
}

/// A place in memory in LLVM's syntax: `*(u32 *)(r2 + 0x4)`.
struct Place(Size, Reg, u16);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let off = self.2 as i16;
        let sign = if off < 0 { '-' } else { '+' };
        write!(f, "*({} *)({} {sign} {:#x})", self.0.type_name(), self.1, off.unsigned_abs())
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
            Source::K => write!(f, "{}", Hex(i64::from(insn.imm as i32))),
        }
    }
}
