//! The instruction table for readers: what each instruction does in words, how it is written and encoded, and what to watch
//! for (RFC 9669 sections 3 to 5).
//!
//! Everything is made from the [`Op`], matched exhaustively, so that no row can be forgotten. The meaning as a
//! [`formula`](super::formula) is checked against [`exec`](super::exec); the assembly against the assembler.
//!
//! ```
//! use semantics::insn::Opcode;
//! let op = Opcode::Sdiv32X.op();
//! assert_eq!(op.assembly(), "wdst s/= wsrc");
//! assert_eq!(op.section(), Some("4.1"));
//! assert!(op.notes().iter().any(|note| note.contains("-1")));
//! ```

use super::{
    AluOp, AtomicOp, Cond, Field, Fields, Mode, MulDivOp, Op, Order, Room, Row, ShiftOp, Size, Source, Wide, Width,
};

/// A register's name in assembly at a width, `dst` or `wdst`: `r1` or `w1`.
fn name(register: &str, width: Width) -> String {
    match width {
        Width::W64 => register.to_owned(),
        Width::W32 => format!("w{register}"),
    }
}

/// The second operand in assembly.
fn operand(width: Width, source: Source) -> String {
    match source {
        Source::K => "imm".to_owned(),
        Source::X => name("src", width),
    }
}

/// The width at which an access of this size holds its value in assembly.
fn width_of(size: Size) -> Width {
    if size == Size::Dw { Width::W64 } else { Width::W32 }
}

/// The second operand in words.
fn operand_words(width: Width, source: Source) -> &'static str {
    match (width, source) {
        (Width::W64, Source::K) => "imm (sign-extended)",
        (Width::W32, Source::K) => "imm",
        (Width::W64, Source::X) => "src",
        (Width::W32, Source::X) => "the low half of src",
    }
}

/// The first operand in words.
fn dst_words(width: Width) -> &'static str {
    match width {
        Width::W64 => "dst",
        Width::W32 => "the low half of dst",
    }
}

/// A value in memory in words.
fn size_words(size: Size) -> &'static str {
    match size {
        Size::B => "the byte",
        Size::H => "the 2 bytes",
        Size::W => "the 4 bytes",
        Size::Dw => "the 8 bytes",
    }
}

impl Room {
    /// What the family is, as a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Room::Alu => "Arithmetic and logic",
            Room::Shift => "Shifts",
            Room::Muldiv => "Multiplication, division and modulo",
            Room::Mov => "Moves",
            Room::Endian => "Byte order",
            Room::Wide => "64-bit immediates",
            Room::LoadStore => "Loads and stores",
            Room::Atomic => "Atomic operations",
            Room::Packet => "Legacy packet access",
            Room::Jump => "Jumps",
            Room::Call => "Calls and exit",
        }
    }
}

impl Cond {
    /// The condition in words, between its operands.
    const fn words(self) -> &'static str {
        match self {
            Cond::Eq => "equals",
            Cond::Ne => "differs from",
            Cond::Gt => "is above (unsigned)",
            Cond::Ge => "is above or equals (unsigned)",
            Cond::Lt => "is below (unsigned)",
            Cond::Le => "is below or equals (unsigned)",
            Cond::Sgt => "is greater than (signed)",
            Cond::Sge => "is greater than or equals (signed)",
            Cond::Slt => "is less than (signed)",
            Cond::Sle => "is less than or equals (signed)",
            Cond::Set => "has a bit in common with",
        }
    }
}

impl Op {
    /// How it is written, in LLVM's syntax: `dst` and `src` stand for r0 to r10, `wdst` and `wsrc` for w0 to w10, which are
    /// their low halves; `imm`, `off` and `next_imm` for numbers.
    pub fn assembly(self) -> String {
        match self {
            Op::Alu { op, width, source } => binary(op.symbol(), width, source),
            Op::Shift { op, width, source } => binary(op.symbol(), width, source),
            Op::MulDiv { op, width, source } => binary(op.symbol(), width, source),
            Op::Neg { width } => format!("{0} = -{0}", name("dst", width)),
            Op::Mov { width, source } => format!("{} = {}", name("dst", width), operand(width, source)),
            Op::MovSx { from, width } => {
                format!("{} = ({}){}", name("dst", width), from.signed_name(), name("src", width))
            }
            Op::Endian { order, size } => format!("dst = {}{} dst", order.prefix(), size.bits()),
            Op::Wide(kind) => match kind {
                Wide::Imm64 => "dst = imm64 ll",
                Wide::Map => "dst = map imm ll",
                Wide::MapValue => "dst = map[imm][0]+next_imm ll",
                Wide::Variable => "dst = var[imm] ll",
                Wide::Code => "dst = subprog[+imm] ll",
                Wide::MapIndex => "dst = map_idx[imm] ll",
                Wide::MapIndexValue => "dst = map_idx[imm][0]+next_imm ll",
            }
            .to_owned(),
            Op::WideTail => "(second slot)".to_owned(),
            Op::Load { size } => format!("dst = *({} *)(src + off)", size.type_name()),
            Op::LoadSx { size } => format!("dst = *({} *)(src + off)", size.signed_name()),
            Op::Store { size, source } => {
                format!("*({} *)(dst + off) = {}", size.type_name(), operand(Width::W64, source))
            }
            Op::Atomic { op, fetch, size } => atomic(op, fetch, size),
            Op::LoadAcquire { size } => {
                format!("{} = load_acquire(({} *)(src + off))", name("dst", width_of(size)), size.type_name())
            }
            Op::StoreRelease { size } => {
                format!("store_release(({} *)(dst + off), {})", size.type_name(), name("src", width_of(size)))
            }
            Op::Packet { mode: Mode::Abs, size } => format!("r0 = *({} *)skb[imm]", size.type_name()),
            Op::Packet { mode: Mode::Ind, size } => format!("r0 = *({} *)skb[src + imm]", size.type_name()),
            Op::Jump { cond, width, source } => {
                format!("if {} {} {} goto +off", name("dst", width), cond.symbol(), operand(width, source))
            }
            Op::Ja => "goto +off".to_owned(),
            Op::Gotol => "gotol +imm".to_owned(),
            Op::CallHelper => "call imm".to_owned(),
            Op::CallLocal => "call pc+imm".to_owned(),
            Op::CallKfunc => "call kfunc#imm".to_owned(),
            Op::Exit => "exit".to_owned(),
        }
    }

    /// What it does, in one sentence or two.
    pub fn words(self) -> String {
        match self {
            Op::Alu { .. } | Op::Neg { .. } | Op::Shift { .. } | Op::MulDiv { .. } => arithmetic(self),
            Op::Mov { width: Width::W64, source: Source::K } => "Sets dst to imm, sign-extended.".to_owned(),
            Op::Mov { width: Width::W64, source: Source::X } => "Copies src to dst.".to_owned(),
            Op::Mov { width: Width::W32, source: Source::K } => "Sets dst to imm, zero-extended.".to_owned(),
            Op::Mov { width: Width::W32, source: Source::X } => {
                "Copies the low half of src to dst, zero-extended.".to_owned()
            }
            Op::MovSx { from, width: Width::W64 } => {
                format!("Sign-extends the low {} bits of src to 64 and sets dst to that.", from.bits())
            }
            Op::MovSx { from, width: Width::W32 } => {
                let bits = from.bits();
                format!("Sign-extends the low {bits} bits of src to 32 and sets dst to that, zero-extended.")
            }
            Op::Endian { order, size } => endian(order, size),
            Op::Wide(kind) => wide(kind).to_owned(),
            Op::WideTail => "Holds the high half of the immediate before it. It is no instruction.".to_owned(),
            Op::Load { size: Size::Dw } => "Reads the 8 bytes at src + off into dst.".to_owned(),
            Op::Load { size } => format!("Reads {} at src + off into dst, zero-extended.", size_words(size)),
            Op::LoadSx { size } => format!("Reads {} at src + off into dst, sign-extended.", size_words(size)),
            Op::Store { size, source } => {
                let value = match (size, source) {
                    (Size::Dw, Source::K) => "imm (sign-extended)".to_owned(),
                    (Size::W, Source::K) => "imm".to_owned(),
                    (size, Source::K) => format!("the low {} bits of imm", size.bits()),
                    (Size::Dw, Source::X) => "src".to_owned(),
                    (size, Source::X) => format!("the low {} bits of src", size.bits()),
                };
                format!("Writes {value} to {} at dst + off.", size_words(size))
            }
            Op::Atomic { op, fetch, size } => atomic_words(op, fetch, size),
            Op::LoadAcquire { size } => format!(
                "Reads {} at src + off into dst, zero-extended; nothing later is seen to happen before it.",
                size_words(size)
            ),
            Op::StoreRelease { size } => {
                format!("Writes src to {} at dst + off; nothing earlier is seen to happen after it.", size_words(size))
            }
            Op::Packet { mode, size } => {
                let at = if mode == Mode::Abs { "imm" } else { "imm plus the low half of src" };
                format!(
                    "Reads {} of the packet at {at} into r0, from network order; outside the packet the function ends with 0.",
                    size_words(size)
                )
            }
            Op::Jump { cond, width, source } => {
                let (dst, src) = (dst_words(width), operand_words(width, source));
                format!("Jumps off slots further if {dst} {} {src}.", cond.words())
            }
            Op::Ja => "Jumps off slots further.".to_owned(),
            Op::Gotol => "Jumps imm slots further: a jump that reaches all of a program.".to_owned(),
            Op::CallHelper => {
                "Calls the helper with the number imm: arguments in r1 to r5, the result in r0. A tail call that finds a program goes on in it."
                    .to_owned()
            }
            Op::CallLocal => {
                "Calls the subprogram that begins imm slots further, with a stack frame of its own.".to_owned()
            }
            Op::CallKfunc => "Calls the kernel function with the BTF number imm, as a helper is called.".to_owned(),
            Op::Exit => {
                "Returns from the function with the result in r0; from the outermost one, ends the program.".to_owned()
            }
        }
    }

    /// The section of RFC 9669 that defines it; `None`: Linux added it since.
    pub const fn section(self) -> Option<&'static str> {
        Some(match self {
            Op::Alu { .. }
            | Op::Neg { .. }
            | Op::Shift { .. }
            | Op::MulDiv { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. } => "4.1",
            Op::Endian { .. } => "4.2",
            Op::Jump { .. } | Op::Ja | Op::Gotol | Op::Exit => "4.3",
            Op::CallHelper | Op::CallKfunc => "4.3.1",
            Op::CallLocal => "4.3.2",
            Op::Load { .. } | Op::Store { .. } => "5.1",
            Op::LoadSx { .. } => "5.2",
            Op::Atomic { .. } => "5.3",
            Op::Wide(kind) => match kind {
                Wide::Imm64 | Wide::Code => "5.4",
                Wide::Map | Wide::MapValue | Wide::MapIndex | Wide::MapIndexValue => "5.4.1",
                Wide::Variable => "5.4.2",
            },
            Op::WideTail => "5.4",
            Op::Packet { .. } => "5.5",
            Op::LoadAcquire { .. } | Op::StoreRelease { .. } => return None,
        })
    }

    /// What to watch for, a sentence each.
    pub fn notes(self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        match self {
            Op::Alu { width, .. } | Op::Neg { width } => notes.extend(half(width)),
            Op::Mov { width: Width::W32, .. } | Op::MovSx { width: Width::W32, .. } => notes.extend(half(Width::W32)),
            Op::Shift { width, .. } => {
                notes.push("The amount is taken modulo the width, in every engine; Linux's verifier refuses an immediate that is as large.");
                notes.extend(half(width));
            }
            Op::MulDiv { op, width, source } => {
                notes.extend(division(op, source));
                notes.extend(half(width));
            }
            Op::Endian { order, size } => {
                if order == Order::Le {
                    notes.push("The machine modelled is little-endian: bytes stay where they are.");
                }
                if size != Size::Dw {
                    notes.push("The bits above the width become 0.");
                }
            }
            Op::Wide(kind) => {
                notes.push(
                    "Takes two slots; the second holds the high half of the immediate, and a jump to it is refused.",
                );
                if kind.names_map() {
                    notes.push("Programs name maps by their index in the program's list; a loader puts it there.");
                }
            }
            Op::WideTail => notes.push("Code, registers and offset must be 0."),
            Op::Load { .. } | Op::LoadSx { .. } | Op::Store { .. } => notes.push(BOUNDS),
            Op::Atomic { op, .. } => {
                notes.push(BOUNDS);
                if op == AtomicOp::Cmpxchg {
                    notes.push("r0 receives what was in memory, zero-extended, whether or not it was exchanged; memory is written either way.");
                }
                notes.push("One program runs at a time in the model: the load and the store are one step.");
            }
            Op::LoadAcquire { .. } | Op::StoreRelease { .. } => {
                notes.push(BOUNDS);
                notes.push("The RFC reserves this encoding; older kernels refuse it.");
            }
            Op::Packet { .. } => {
                notes.push("r6 must hold the context of a socket buffer; r1 to r5 are open afterwards.");
                notes.push(
                    "Deprecated by the RFC; Linux gives a meaning to some negative offsets (link and network header).",
                );
            }
            Op::Jump { .. } | Op::Ja | Op::Gotol => notes.push("The distance counts slots from the next instruction."),
            Op::CallHelper | Op::CallKfunc => notes.push("r1 to r5 are open afterwards, r6 to r10 keep their values."),
            Op::CallLocal => {
                notes.push("Its exit brings back r6 to r10; Linux allows 8 frames and 512 bytes of stack.");
            }
            Op::Exit | Op::Mov { .. } | Op::MovSx { .. } => {}
        }
        notes
    }
}

/// Of accesses to memory.
const BOUNDS: &str = "The formula is for an access within bounds; any other traps, and the verifier refuses it.";

fn half(width: Width) -> Option<&'static str> {
    (width == Width::W32).then_some("The upper half of dst becomes 0, whatever it was.")
}

fn division(op: MulDivOp, source: Source) -> Vec<&'static str> {
    let mut notes = match op {
        MulDivOp::Mul => return vec!["The product is cut to the width, signed and unsigned alike."],
        MulDivOp::Div => vec!["Division by 0 gives 0, and never traps."],
        MulDivOp::Mod => vec!["Modulo 0 leaves dst, and never traps; at 32 bits its upper half still becomes 0."],
        MulDivOp::Sdiv => vec![
            "Division by 0 gives 0, and never traps.",
            "The quotient is cut towards 0; the least number divided by -1 is itself.",
        ],
        MulDivOp::Smod => vec![
            "Modulo 0 leaves dst, and never traps; at 32 bits its upper half still becomes 0.",
            "The remainder has the sign of the dividend; modulo -1 is 0, also of the least number.",
        ],
    };
    if source == Source::K {
        notes.push("Linux's verifier refuses an immediate of 0.");
    }
    notes
}

fn binary(symbol: &str, width: Width, source: Source) -> String {
    format!("{} {symbol}= {}", name("dst", width), operand(width, source))
}

fn atomic(op: AtomicOp, fetch: bool, size: Size) -> String {
    let (ty, width) = (size.type_name(), width_of(size));
    let src = name("src", width);
    let suffix = if width == Width::W64 { "_64" } else { "32_32" };
    match (op, op.symbol()) {
        (_, Some(symbol)) if !fetch => format!("lock *({ty} *)(dst + off) {symbol}= {src}"),
        (AtomicOp::Cmpxchg, _) => {
            let r0 = if width == Width::W64 { "r0" } else { "w0" };
            format!("{r0} = cmpxchg{suffix}(dst + off, {r0}, {src})")
        }
        (AtomicOp::Xchg, _) => format!("{src} = xchg{suffix}(dst + off, {src})"),
        _ => format!("{src} = atomic_fetch_{}(({ty} *)(dst + off), {src})", op.name()),
    }
}

fn arithmetic(op: Op) -> String {
    let zeroed = |width| if width == Width::W32 { "; the upper half becomes 0" } else { "" };
    let said = |verb: &str, join: &str, width, source| {
        format!("{verb} {} {join} {}", dst_words(width), operand_words(width, source))
    };
    let (text, width) = match op {
        Op::Alu { op, width, source } => {
            let (dst, src) = (dst_words(width), operand_words(width, source));
            let text = match op {
                AluOp::Add => format!("Adds {src} to {dst}"),
                AluOp::Sub => format!("Subtracts {src} from {dst}"),
                AluOp::And => said("Keeps the bits of", "that are set in", width, source),
                AluOp::Or => said("Sets the bits of", "that are set in", width, source),
                AluOp::Xor => said("Flips the bits of", "that are set in", width, source),
            };
            (text, width)
        }
        Op::Shift { op, width, source } => {
            let join = match op {
                ShiftOp::Lsh => "to the left by",
                ShiftOp::Rsh => "to the right, zeros coming in, by",
                ShiftOp::Arsh => "to the right, copies of the sign coming in, by",
            };
            let text = said("Shifts", join, width, source).replace(" (sign-extended)", "");
            (format!("{text} modulo {}", if width == Width::W64 { 64 } else { 32 }), width)
        }
        Op::MulDiv { op, width, source } => {
            let text = match op {
                MulDivOp::Mul => said("Multiplies", "with", width, source),
                MulDivOp::Div => said("Divides", "by", width, source) + ", both unsigned; by 0 it is 0",
                MulDivOp::Sdiv => said("Divides", "by", width, source) + ", both signed, towards 0; by 0 it is 0",
                MulDivOp::Mod => {
                    said("Leaves of", "the remainder by", width, source) + ", both unsigned; by 0 it stays"
                }
                MulDivOp::Smod => {
                    let rest = ", both signed, with the sign of the dividend; by 0 it stays";
                    said("Leaves of", "the remainder by", width, source) + rest
                }
            };
            (text, width)
        }
        Op::Neg { width } => (format!("Negates {}", dst_words(width)), width),
        _ => unreachable!("{op:?} is no arithmetic"),
    };
    format!("{text}{}.", zeroed(width))
}

fn endian(order: Order, size: Size) -> String {
    let bits = size.bits();
    match (order, size) {
        (Order::Le, Size::Dw) => "To little-endian: nothing changes.".to_owned(),
        (Order::Le, _) => format!("To little-endian: keeps the low {bits} bits of dst, zero-extended."),
        (Order::Be, Size::Dw) => "To big-endian: turns the 8 bytes of dst around.".to_owned(),
        (Order::Be, _) => format!("To big-endian: turns the low {} bytes of dst around, zero-extended.", bits / 8),
        (Order::Swap, Size::Dw) => "Turns the 8 bytes of dst around.".to_owned(),
        (Order::Swap, _) => format!("Turns the low {} bytes of dst around, zero-extended.", bits / 8),
    }
}

fn wide(kind: Wide) -> &'static str {
    match kind {
        Wide::Imm64 => "Sets dst to a constant of 64 bits: imm is the low half, the second slot's the high half.",
        Wide::Map => "Sets dst to the handle of the map imm.",
        Wide::MapValue => {
            "Sets dst to the address of the first value of the map imm, plus the second slot's immediate."
        }
        Wide::Variable => "Sets dst to the address of the kernel variable with the BTF number imm.",
        Wide::Code => "Sets dst to the address of the subprogram that begins imm slots behind the second slot.",
        Wide::MapIndex => "Sets dst to the handle of the map with the index imm in the loader's array.",
        Wide::MapIndexValue => {
            "Sets dst to the address of the first value of the map with the index imm in the loader's array, plus the second slot's immediate."
        }
    }
}

fn atomic_words(op: AtomicOp, fetch: bool, size: Size) -> String {
    let (bytes, src) = (size_words(size), if size == Size::Dw { "src" } else { "the low half of src" });
    let text = match op {
        AtomicOp::Add => format!("Adds {src} to {bytes} at dst + off"),
        AtomicOp::Or => format!("Sets the bits of {src} in {bytes} at dst + off"),
        AtomicOp::And => format!("Keeps of {bytes} at dst + off the bits that are set in {src}"),
        AtomicOp::Xor => format!("Flips the bits of {src} in {bytes} at dst + off"),
        AtomicOp::Xchg => format!("Exchanges {bytes} at dst + off and {src}"),
        AtomicOp::Cmpxchg => {
            let r0 = if size == Size::Dw { "r0" } else { "the low half of r0" };
            return format!(
                "Writes {src} to {bytes} at dst + off if they equal {r0}; r0 becomes what they were, zero-extended."
            );
        }
    };
    match (op, fetch) {
        (AtomicOp::Xchg, _) => text + ", zero-extended.",
        (_, true) => text + "; src becomes what they were, zero-extended.",
        (_, false) => text + ".",
    }
}

impl Fields {
    /// What the fields must hold, in the order of the encoding: a number, or `None` where any value may stand.
    pub fn required(&self) -> [(&'static str, Option<i32>); 4] {
        let only = |field| match field {
            Field::Any => None,
            Field::Only(value) => Some(value),
        };
        [("dst", only(self.dst)), ("src", only(self.src)), ("off", only(self.off)), ("imm", only(self.imm))]
    }
}

impl Row {
    /// The name as it stands in those of obligations and files: `Add64K` is `add64_k`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for (at, letter) in self.name.char_indices() {
            if at > 0 && letter.is_ascii_uppercase() && !path.ends_with('_') {
                path.push('_');
            }
            path.push(letter.to_ascii_lowercase());
        }
        path
    }
    /// The parts of the code byte: class, operation or mode, source or size (RFC 9669 section 3).
    pub fn code_parts(&self) -> [&'static str; 3] {
        const CLASSES: [&str; 8] = ["LD", "LDX", "ST", "STX", "ALU", "JMP", "JMP32", "ALU64"];
        const ALU: [&str; 14] =
            ["ADD", "SUB", "MUL", "DIV", "OR", "AND", "LSH", "RSH", "NEG", "MOD", "XOR", "MOV", "ARSH", "END"];
        const JUMPS: [&str; 14] =
            ["JA", "JEQ", "JGT", "JGE", "JSET", "JNE", "JSGT", "JSGE", "CALL", "EXIT", "JLT", "JLE", "JSLT", "JSLE"];
        const MODES: [&str; 8] = ["IMM", "ABS", "IND", "MEM", "MEMSX", "-", "ATOMIC", "-"];
        const SIZES: [&str; 4] = ["W", "H", "B", "DW"];
        let class = usize::from(self.code & 7);
        let (high, source) = (usize::from(self.code >> 4), if self.code & 8 == 0 { "K" } else { "X" });
        match class {
            // The second slot has code 0, which stands for no class.
            _ if self.op == Op::WideTail => ["-", "-", "-"],
            0..=3 => [CLASSES[class], MODES[usize::from(self.code >> 5)], SIZES[usize::from(self.code >> 3 & 3)]],
            5 | 6 => [CLASSES[class], JUMPS[high], source],
            _ => [CLASSES[class], ALU[high], source],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::assemble;
    use crate::insn::table::TABLE;
    use crate::insn::{Insn, Reg};
    use std::collections::BTreeMap;

    /// An instruction with telling operands, and its assembly from the template.
    fn example(row: &Row) -> (Insn, String) {
        let any = |field: Field, value: i32| if field == Field::Any { value } else { 0 };
        let insn = Insn {
            dst: if row.fields.dst == Field::Any { Reg::R1 } else { Reg::R0 },
            src: if row.fields.src == Field::Any { Reg::R2 } else { Reg::R0 },
            off: any(row.fields.off, 0x10) as u16,
            imm: any(row.fields.imm, 7) as u32,
            imm_hi: u32::from(matches!(row.op, Op::Wide(kind) if kind.has_high_half())),
            opcode: row.opcode,
        };
        let decimal = matches!(row.op, Op::CallKfunc)
            || matches!(row.op, Op::Wide(kind) if kind.names_map() && kind != Wide::Imm64);
        let texts = [
            ("wdst", "w1"),
            ("wsrc", "w2"),
            ("dst", "r1"),
            ("src", "r2"),
            ("off", "0x10"),
            ("imm64", "0x100000007"),
            ("next_imm", "0x1"),
            ("imm", if decimal { "7" } else { "0x7" }),
        ];
        (insn, texts.iter().fold(row.op.assembly(), |text, (from, to)| text.replace(from, to)))
    }

    /// The template is what the disassembler prints, and the assembler reads it as this row.
    #[test]
    fn the_assembly_is_the_disassemblers_and_the_assemblers() {
        let mut read = 0;
        for row in TABLE {
            let (insn, text) = example(row);
            assert_eq!(text, insn.to_string(), "{}", row.name);
            // What the assembler does not know yet it refuses; `kfunc#` it reads as a helper's name.
            if let Ok(insns) = assemble(&text)
                && row.op != Op::CallKfunc
            {
                assert_eq!(insns[0], insn, "{}", row.name);
                read += 1;
            }
        }
        assert!(read >= 86, "{read} of {} are read", TABLE.len());
    }

    /// No two rows share their words, their formula and their notes, unless they differ only in what Linux calls them.
    #[test]
    fn words_tell_rows_apart() {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for row in TABLE {
            let words = row.op.words();
            assert!(words.ends_with('.') && !words.contains(".."), "{}: {words}", row.name);
            if let Some(other) = seen.insert(words, row.name) {
                panic!("{} and {other} have the same words", row.name);
            }
        }
    }

    #[test]
    fn names_read_like_paths() {
        let path = |name: &str| TABLE.iter().find(|row| row.name == name).unwrap().path();
        assert_eq!(["Add64K", "LdxDw", "LddwMap", "Ja"].map(path), ["add64_k", "ldx_dw", "lddw_map", "ja"]);
    }

    #[test]
    fn the_parts_of_the_code() {
        let parts = |name: &str| TABLE.iter().find(|row| row.name == name).unwrap().code_parts();
        assert_eq!(parts("Sdiv64X"), ["ALU64", "DIV", "X"]);
        assert_eq!(parts("LdxsH"), ["LDX", "MEMSX", "H"]);
        assert_eq!(parts("Jslt32K"), ["JMP32", "JSLT", "K"]);
        assert_eq!(parts("AtomicCmpxchg32"), ["STX", "ATOMIC", "W"]);
        assert_eq!(parts("Le16"), ["ALU", "END", "K"]);
        assert_eq!(parts("LdIndB"), ["LD", "IND", "B"]);
        assert_eq!(parts("Lddw"), ["LD", "IMM", "DW"]);
    }
}
