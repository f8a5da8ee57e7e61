//! The instruction table: one row per instruction, from which opcodes, decoder, encoder, assembler, disassembler,
//! dispatch, generators and coverage are made (RFC 9669 section 3 and appendix A).

use super::{AluOp, Cond, Op, Size, Source, Wide, Width};

/// What the encoding lets a field hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Any value (of a register field: 0 to 10).
    Any,
    /// Only this value: 0 where the field is reserved, else it selects the instruction.
    Only(i32),
}

impl Field {
    /// Whether the field may hold `value`.
    pub const fn admits(self, value: i32) -> bool {
        match self {
            Field::Any => true,
            Field::Only(only) => value == only,
        }
    }
}

/// The fields of the (first) slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Fields {
    pub dst: Field,
    pub src: Field,
    pub off: Field,
    pub imm: Field,
}

use Field::{Any, Only};

impl Fields {
    const DST: Fields = Fields { dst: Any, src: Only(0), off: Only(0), imm: Only(0) };
    const DST_IMM: Fields = Fields { dst: Any, src: Only(0), off: Only(0), imm: Any };
    const DST_SRC: Fields = Fields { dst: Any, src: Any, off: Only(0), imm: Only(0) };
    const DST_SRC_OFF: Fields = Fields { dst: Any, src: Any, off: Any, imm: Only(0) };
    const DST_OFF_IMM: Fields = Fields { dst: Any, src: Only(0), off: Any, imm: Any };
    const OFF: Fields = Fields { dst: Only(0), src: Only(0), off: Any, imm: Only(0) };
    const NONE: Fields = Fields { dst: Only(0), src: Only(0), off: Only(0), imm: Only(0) };
    const CALL: Fields = Fields { dst: Only(0), src: Only(0), off: Only(0), imm: Any };
    const WIDE: Fields = Fields { dst: Any, src: Only(0), off: Only(0), imm: Any };
    const WIDE_MAP: Fields = Fields { dst: Any, src: Only(1), off: Only(0), imm: Any };
}

/// One row: an instruction with its encoding.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in Rust.
    pub opcode: Opcode,
    /// That name, for messages and coverage.
    pub name: &'static str,
    /// The first byte of the encoding.
    pub code: u8,
    /// What its fields may hold.
    pub fields: Fields,
    /// What it does.
    pub op: Op,
}

/// The rows. `$callback!` receives them as `Name code FIELDS op;`: whoever needs one arm per instruction uses this.
#[macro_export]
macro_rules! instructions {
    ($callback:ident) => {
        $callback! {
            Add32K 0x04 DST_IMM Op::Alu { op: AluOp::Add, width: Width::W32, source: Source::K };
            Add32X 0x0c DST_SRC Op::Alu { op: AluOp::Add, width: Width::W32, source: Source::X };
            Add64K 0x07 DST_IMM Op::Alu { op: AluOp::Add, width: Width::W64, source: Source::K };
            Add64X 0x0f DST_SRC Op::Alu { op: AluOp::Add, width: Width::W64, source: Source::X };
            Sub32K 0x14 DST_IMM Op::Alu { op: AluOp::Sub, width: Width::W32, source: Source::K };
            Sub32X 0x1c DST_SRC Op::Alu { op: AluOp::Sub, width: Width::W32, source: Source::X };
            Sub64K 0x17 DST_IMM Op::Alu { op: AluOp::Sub, width: Width::W64, source: Source::K };
            Sub64X 0x1f DST_SRC Op::Alu { op: AluOp::Sub, width: Width::W64, source: Source::X };
            Or32K  0x44 DST_IMM Op::Alu { op: AluOp::Or,  width: Width::W32, source: Source::K };
            Or32X  0x4c DST_SRC Op::Alu { op: AluOp::Or,  width: Width::W32, source: Source::X };
            Or64K  0x47 DST_IMM Op::Alu { op: AluOp::Or,  width: Width::W64, source: Source::K };
            Or64X  0x4f DST_SRC Op::Alu { op: AluOp::Or,  width: Width::W64, source: Source::X };
            And32K 0x54 DST_IMM Op::Alu { op: AluOp::And, width: Width::W32, source: Source::K };
            And32X 0x5c DST_SRC Op::Alu { op: AluOp::And, width: Width::W32, source: Source::X };
            And64K 0x57 DST_IMM Op::Alu { op: AluOp::And, width: Width::W64, source: Source::K };
            And64X 0x5f DST_SRC Op::Alu { op: AluOp::And, width: Width::W64, source: Source::X };
            Xor32K 0xa4 DST_IMM Op::Alu { op: AluOp::Xor, width: Width::W32, source: Source::K };
            Xor32X 0xac DST_SRC Op::Alu { op: AluOp::Xor, width: Width::W32, source: Source::X };
            Xor64K 0xa7 DST_IMM Op::Alu { op: AluOp::Xor, width: Width::W64, source: Source::K };
            Xor64X 0xaf DST_SRC Op::Alu { op: AluOp::Xor, width: Width::W64, source: Source::X };
            Neg32  0x84 DST     Op::Neg { width: Width::W32 };
            Neg64  0x87 DST     Op::Neg { width: Width::W64 };
            Mov32K 0xb4 DST_IMM Op::Mov { width: Width::W32, source: Source::K };
            Mov32X 0xbc DST_SRC Op::Mov { width: Width::W32, source: Source::X };
            Mov64K 0xb7 DST_IMM Op::Mov { width: Width::W64, source: Source::K };
            Mov64X 0xbf DST_SRC Op::Mov { width: Width::W64, source: Source::X };
            Lddw    0x18 WIDE     Op::Wide(Wide::Imm64);
            LddwMap 0x18 WIDE_MAP Op::Wide(Wide::Map);
            WideTail 0x00 NONE    Op::WideTail;
            LdxB  0x71 DST_SRC_OFF Op::Load { size: Size::B };
            LdxH  0x69 DST_SRC_OFF Op::Load { size: Size::H };
            LdxW  0x61 DST_SRC_OFF Op::Load { size: Size::W };
            LdxDw 0x79 DST_SRC_OFF Op::Load { size: Size::Dw };
            StB   0x72 DST_OFF_IMM Op::Store { size: Size::B,  source: Source::K };
            StH   0x6a DST_OFF_IMM Op::Store { size: Size::H,  source: Source::K };
            StW   0x62 DST_OFF_IMM Op::Store { size: Size::W,  source: Source::K };
            StDw  0x7a DST_OFF_IMM Op::Store { size: Size::Dw, source: Source::K };
            StxB  0x73 DST_SRC_OFF Op::Store { size: Size::B,  source: Source::X };
            StxH  0x6b DST_SRC_OFF Op::Store { size: Size::H,  source: Source::X };
            StxW  0x63 DST_SRC_OFF Op::Store { size: Size::W,  source: Source::X };
            StxDw 0x7b DST_SRC_OFF Op::Store { size: Size::Dw, source: Source::X };
            Ja       0x05 OFF         Op::Ja;
            Jeq64K   0x15 DST_OFF_IMM Op::Jump { cond: Cond::Eq,  width: Width::W64, source: Source::K };
            Jeq64X   0x1d DST_SRC_OFF Op::Jump { cond: Cond::Eq,  width: Width::W64, source: Source::X };
            Jgt64K   0x25 DST_OFF_IMM Op::Jump { cond: Cond::Gt,  width: Width::W64, source: Source::K };
            Jgt64X   0x2d DST_SRC_OFF Op::Jump { cond: Cond::Gt,  width: Width::W64, source: Source::X };
            Jge64K   0x35 DST_OFF_IMM Op::Jump { cond: Cond::Ge,  width: Width::W64, source: Source::K };
            Jge64X   0x3d DST_SRC_OFF Op::Jump { cond: Cond::Ge,  width: Width::W64, source: Source::X };
            Jset64K  0x45 DST_OFF_IMM Op::Jump { cond: Cond::Set, width: Width::W64, source: Source::K };
            Jset64X  0x4d DST_SRC_OFF Op::Jump { cond: Cond::Set, width: Width::W64, source: Source::X };
            Jne64K   0x55 DST_OFF_IMM Op::Jump { cond: Cond::Ne,  width: Width::W64, source: Source::K };
            Jne64X   0x5d DST_SRC_OFF Op::Jump { cond: Cond::Ne,  width: Width::W64, source: Source::X };
            Jsgt64K  0x65 DST_OFF_IMM Op::Jump { cond: Cond::Sgt, width: Width::W64, source: Source::K };
            Jsgt64X  0x6d DST_SRC_OFF Op::Jump { cond: Cond::Sgt, width: Width::W64, source: Source::X };
            Jsge64K  0x75 DST_OFF_IMM Op::Jump { cond: Cond::Sge, width: Width::W64, source: Source::K };
            Jsge64X  0x7d DST_SRC_OFF Op::Jump { cond: Cond::Sge, width: Width::W64, source: Source::X };
            Jlt64K   0xa5 DST_OFF_IMM Op::Jump { cond: Cond::Lt,  width: Width::W64, source: Source::K };
            Jlt64X   0xad DST_SRC_OFF Op::Jump { cond: Cond::Lt,  width: Width::W64, source: Source::X };
            Jle64K   0xb5 DST_OFF_IMM Op::Jump { cond: Cond::Le,  width: Width::W64, source: Source::K };
            Jle64X   0xbd DST_SRC_OFF Op::Jump { cond: Cond::Le,  width: Width::W64, source: Source::X };
            Jslt64K  0xc5 DST_OFF_IMM Op::Jump { cond: Cond::Slt, width: Width::W64, source: Source::K };
            Jslt64X  0xcd DST_SRC_OFF Op::Jump { cond: Cond::Slt, width: Width::W64, source: Source::X };
            Jsle64K  0xd5 DST_OFF_IMM Op::Jump { cond: Cond::Sle, width: Width::W64, source: Source::K };
            Jsle64X  0xdd DST_SRC_OFF Op::Jump { cond: Cond::Sle, width: Width::W64, source: Source::X };
            Jeq32K   0x16 DST_OFF_IMM Op::Jump { cond: Cond::Eq,  width: Width::W32, source: Source::K };
            Jeq32X   0x1e DST_SRC_OFF Op::Jump { cond: Cond::Eq,  width: Width::W32, source: Source::X };
            Jgt32K   0x26 DST_OFF_IMM Op::Jump { cond: Cond::Gt,  width: Width::W32, source: Source::K };
            Jgt32X   0x2e DST_SRC_OFF Op::Jump { cond: Cond::Gt,  width: Width::W32, source: Source::X };
            Jge32K   0x36 DST_OFF_IMM Op::Jump { cond: Cond::Ge,  width: Width::W32, source: Source::K };
            Jge32X   0x3e DST_SRC_OFF Op::Jump { cond: Cond::Ge,  width: Width::W32, source: Source::X };
            Jset32K  0x46 DST_OFF_IMM Op::Jump { cond: Cond::Set, width: Width::W32, source: Source::K };
            Jset32X  0x4e DST_SRC_OFF Op::Jump { cond: Cond::Set, width: Width::W32, source: Source::X };
            Jne32K   0x56 DST_OFF_IMM Op::Jump { cond: Cond::Ne,  width: Width::W32, source: Source::K };
            Jne32X   0x5e DST_SRC_OFF Op::Jump { cond: Cond::Ne,  width: Width::W32, source: Source::X };
            Jsgt32K  0x66 DST_OFF_IMM Op::Jump { cond: Cond::Sgt, width: Width::W32, source: Source::K };
            Jsgt32X  0x6e DST_SRC_OFF Op::Jump { cond: Cond::Sgt, width: Width::W32, source: Source::X };
            Jsge32K  0x76 DST_OFF_IMM Op::Jump { cond: Cond::Sge, width: Width::W32, source: Source::K };
            Jsge32X  0x7e DST_SRC_OFF Op::Jump { cond: Cond::Sge, width: Width::W32, source: Source::X };
            Jlt32K   0xa6 DST_OFF_IMM Op::Jump { cond: Cond::Lt,  width: Width::W32, source: Source::K };
            Jlt32X   0xae DST_SRC_OFF Op::Jump { cond: Cond::Lt,  width: Width::W32, source: Source::X };
            Jle32K   0xb6 DST_OFF_IMM Op::Jump { cond: Cond::Le,  width: Width::W32, source: Source::K };
            Jle32X   0xbe DST_SRC_OFF Op::Jump { cond: Cond::Le,  width: Width::W32, source: Source::X };
            Jslt32K  0xc6 DST_OFF_IMM Op::Jump { cond: Cond::Slt, width: Width::W32, source: Source::K };
            Jslt32X  0xce DST_SRC_OFF Op::Jump { cond: Cond::Slt, width: Width::W32, source: Source::X };
            Jsle32K  0xd6 DST_OFF_IMM Op::Jump { cond: Cond::Sle, width: Width::W32, source: Source::K };
            Jsle32X  0xde DST_SRC_OFF Op::Jump { cond: Cond::Sle, width: Width::W32, source: Source::X };
            Call     0x85 CALL        Op::CallHelper;
            Exit     0x95 NONE        Op::Exit;
        }
    };
}

macro_rules! define {
    ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
        /// The instructions, by name: what a decoded [`Insn`](super::Insn) dispatches on. K is an immediate operand, X a register.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Opcode { $($name),* }

        /// All rows, in the order of [`Opcode`].
        pub static TABLE: &[Row] = &[
            $(Row { opcode: Opcode::$name, name: stringify!($name), code: $code, fields: Fields::$fields, op: $op }),*
        ];

        impl Opcode {
            /// What it does: a constant wherever the opcode is one.
            #[inline(always)]
            pub const fn op(self) -> Op {
                match self { $(Opcode::$name => $op),* }
            }
        }
    };
}
instructions!(define);

impl Opcode {
    /// Its row.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
    /// The opcode with this operation.
    pub fn of(op: Op) -> Opcode {
        TABLE.iter().find(|row| row.op == op).expect("every Op has a row").opcode
    }
}
