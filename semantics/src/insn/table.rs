//! The instruction table: one row per instruction, from which opcodes, decoder, encoder, assembler, disassembler,
//! dispatch, generators and coverage are made (RFC 9669 section 3 and appendix A).

use super::{AluOp, AtomicOp, Cond, Mode, MulDivOp, Op, Order, ShiftOp, Size, Source, Wide, Width};

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
    const SRC_IMM: Fields = Fields { dst: Only(0), src: Any, off: Only(0), imm: Any };
    const OFF: Fields = Fields { dst: Only(0), src: Only(0), off: Any, imm: Only(0) };
    const IMM: Fields = Fields { dst: Only(0), src: Only(0), off: Only(0), imm: Any };
    const NONE: Fields = Fields { dst: Only(0), src: Only(0), off: Only(0), imm: Only(0) };
    const CALL: Fields = Fields::call(0);
    const CALL_LOCAL: Fields = Fields::call(1);
    const CALL_KFUNC: Fields = Fields::call(2);
    /// Signed division and modulo: the offset is 1.
    const SIGNED_IMM: Fields = Fields { off: Only(1), ..Fields::DST_IMM };
    const SIGNED_SRC: Fields = Fields { off: Only(1), ..Fields::DST_SRC };
    /// Sign-extending moves: the offset is the width.
    const SX8: Fields = Fields { off: Only(8), ..Fields::DST_SRC };
    const SX16: Fields = Fields { off: Only(16), ..Fields::DST_SRC };
    const SX32: Fields = Fields { off: Only(32), ..Fields::DST_SRC };
    /// Byte order: the immediate is the width.
    const SWAP16: Fields = Fields { imm: Only(16), ..Fields::DST };
    const SWAP32: Fields = Fields { imm: Only(32), ..Fields::DST };
    const SWAP64: Fields = Fields { imm: Only(64), ..Fields::DST };
    /// Wide immediates: the source is the kind.
    const WIDE: Fields = Fields::wide(0);
    const WIDE_MAP: Fields = Fields::wide(1);
    const WIDE_VALUE: Fields = Fields::wide(2);
    const WIDE_VARIABLE: Fields = Fields::wide(3);
    const WIDE_CODE: Fields = Fields::wide(4);
    const WIDE_INDEX: Fields = Fields::wide(5);
    const WIDE_INDEX_VALUE: Fields = Fields::wide(6);
    /// Atomic operations: the immediate is the operation, 1 its fetch bit.
    const A_ADD: Fields = Fields::atomic(0x00);
    const A_OR: Fields = Fields::atomic(0x40);
    const A_AND: Fields = Fields::atomic(0x50);
    const A_XOR: Fields = Fields::atomic(0xa0);
    const A_FADD: Fields = Fields::atomic(0x01);
    const A_FOR: Fields = Fields::atomic(0x41);
    const A_FAND: Fields = Fields::atomic(0x51);
    const A_FXOR: Fields = Fields::atomic(0xa1);
    const A_XCHG: Fields = Fields::atomic(0xe1);
    const A_CMPXCHG: Fields = Fields::atomic(0xf1);
    const A_ACQUIRE: Fields = Fields::atomic(0x100);
    const A_RELEASE: Fields = Fields::atomic(0x110);

    const fn call(kind: i32) -> Fields {
        Fields { src: Only(kind), ..Fields::IMM }
    }
    const fn wide(kind: i32) -> Fields {
        Fields { src: Only(kind), ..Fields::DST_IMM }
    }
    const fn atomic(operation: i32) -> Fields {
        Fields { imm: Only(operation), ..Fields::DST_SRC_OFF }
    }
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
            Lsh32K   0x64 DST_IMM    Op::Shift { op: ShiftOp::Lsh, width: Width::W32, source: Source::K };
            Lsh32X   0x6c DST_SRC    Op::Shift { op: ShiftOp::Lsh, width: Width::W32, source: Source::X };
            Lsh64K   0x67 DST_IMM    Op::Shift { op: ShiftOp::Lsh, width: Width::W64, source: Source::K };
            Lsh64X   0x6f DST_SRC    Op::Shift { op: ShiftOp::Lsh, width: Width::W64, source: Source::X };
            Rsh32K   0x74 DST_IMM    Op::Shift { op: ShiftOp::Rsh, width: Width::W32, source: Source::K };
            Rsh32X   0x7c DST_SRC    Op::Shift { op: ShiftOp::Rsh, width: Width::W32, source: Source::X };
            Rsh64K   0x77 DST_IMM    Op::Shift { op: ShiftOp::Rsh, width: Width::W64, source: Source::K };
            Rsh64X   0x7f DST_SRC    Op::Shift { op: ShiftOp::Rsh, width: Width::W64, source: Source::X };
            Arsh32K  0xc4 DST_IMM    Op::Shift { op: ShiftOp::Arsh, width: Width::W32, source: Source::K };
            Arsh32X  0xcc DST_SRC    Op::Shift { op: ShiftOp::Arsh, width: Width::W32, source: Source::X };
            Arsh64K  0xc7 DST_IMM    Op::Shift { op: ShiftOp::Arsh, width: Width::W64, source: Source::K };
            Arsh64X  0xcf DST_SRC    Op::Shift { op: ShiftOp::Arsh, width: Width::W64, source: Source::X };
            Mul32K   0x24 DST_IMM    Op::MulDiv { op: MulDivOp::Mul, width: Width::W32, source: Source::K };
            Mul32X   0x2c DST_SRC    Op::MulDiv { op: MulDivOp::Mul, width: Width::W32, source: Source::X };
            Mul64K   0x27 DST_IMM    Op::MulDiv { op: MulDivOp::Mul, width: Width::W64, source: Source::K };
            Mul64X   0x2f DST_SRC    Op::MulDiv { op: MulDivOp::Mul, width: Width::W64, source: Source::X };
            Div32K   0x34 DST_IMM    Op::MulDiv { op: MulDivOp::Div, width: Width::W32, source: Source::K };
            Div32X   0x3c DST_SRC    Op::MulDiv { op: MulDivOp::Div, width: Width::W32, source: Source::X };
            Div64K   0x37 DST_IMM    Op::MulDiv { op: MulDivOp::Div, width: Width::W64, source: Source::K };
            Div64X   0x3f DST_SRC    Op::MulDiv { op: MulDivOp::Div, width: Width::W64, source: Source::X };
            Sdiv32K  0x34 SIGNED_IMM Op::MulDiv { op: MulDivOp::Sdiv, width: Width::W32, source: Source::K };
            Sdiv32X  0x3c SIGNED_SRC Op::MulDiv { op: MulDivOp::Sdiv, width: Width::W32, source: Source::X };
            Sdiv64K  0x37 SIGNED_IMM Op::MulDiv { op: MulDivOp::Sdiv, width: Width::W64, source: Source::K };
            Sdiv64X  0x3f SIGNED_SRC Op::MulDiv { op: MulDivOp::Sdiv, width: Width::W64, source: Source::X };
            Mod32K   0x94 DST_IMM    Op::MulDiv { op: MulDivOp::Mod, width: Width::W32, source: Source::K };
            Mod32X   0x9c DST_SRC    Op::MulDiv { op: MulDivOp::Mod, width: Width::W32, source: Source::X };
            Mod64K   0x97 DST_IMM    Op::MulDiv { op: MulDivOp::Mod, width: Width::W64, source: Source::K };
            Mod64X   0x9f DST_SRC    Op::MulDiv { op: MulDivOp::Mod, width: Width::W64, source: Source::X };
            Smod32K  0x94 SIGNED_IMM Op::MulDiv { op: MulDivOp::Smod, width: Width::W32, source: Source::K };
            Smod32X  0x9c SIGNED_SRC Op::MulDiv { op: MulDivOp::Smod, width: Width::W32, source: Source::X };
            Smod64K  0x97 SIGNED_IMM Op::MulDiv { op: MulDivOp::Smod, width: Width::W64, source: Source::K };
            Smod64X  0x9f SIGNED_SRC Op::MulDiv { op: MulDivOp::Smod, width: Width::W64, source: Source::X };
            Mov32K 0xb4 DST_IMM Op::Mov { width: Width::W32, source: Source::K };
            Mov32X 0xbc DST_SRC Op::Mov { width: Width::W32, source: Source::X };
            Mov64K 0xb7 DST_IMM Op::Mov { width: Width::W64, source: Source::K };
            Mov64X 0xbf DST_SRC Op::Mov { width: Width::W64, source: Source::X };
            Movsx8To32  0xbc SX8    Op::MovSx { from: Size::B, width: Width::W32 };
            Movsx16To32 0xbc SX16   Op::MovSx { from: Size::H, width: Width::W32 };
            Movsx8To64  0xbf SX8    Op::MovSx { from: Size::B, width: Width::W64 };
            Movsx16To64 0xbf SX16   Op::MovSx { from: Size::H, width: Width::W64 };
            Movsx32To64 0xbf SX32   Op::MovSx { from: Size::W, width: Width::W64 };
            Le16        0xd4 SWAP16 Op::Endian { order: Order::Le, size: Size::H };
            Le32        0xd4 SWAP32 Op::Endian { order: Order::Le, size: Size::W };
            Le64        0xd4 SWAP64 Op::Endian { order: Order::Le, size: Size::Dw };
            Be16        0xdc SWAP16 Op::Endian { order: Order::Be, size: Size::H };
            Be32        0xdc SWAP32 Op::Endian { order: Order::Be, size: Size::W };
            Be64        0xdc SWAP64 Op::Endian { order: Order::Be, size: Size::Dw };
            Bswap16     0xd7 SWAP16 Op::Endian { order: Order::Swap, size: Size::H };
            Bswap32     0xd7 SWAP32 Op::Endian { order: Order::Swap, size: Size::W };
            Bswap64     0xd7 SWAP64 Op::Endian { order: Order::Swap, size: Size::Dw };
            Lddw              0x18 WIDE             Op::Wide(Wide::Imm64);
            LddwMap           0x18 WIDE_MAP         Op::Wide(Wide::Map);
            LddwMapValue      0x18 WIDE_VALUE       Op::Wide(Wide::MapValue);
            LddwVariable      0x18 WIDE_VARIABLE    Op::Wide(Wide::Variable);
            LddwCode          0x18 WIDE_CODE        Op::Wide(Wide::Code);
            LddwMapIndex      0x18 WIDE_INDEX       Op::Wide(Wide::MapIndex);
            LddwMapIndexValue 0x18 WIDE_INDEX_VALUE Op::Wide(Wide::MapIndexValue);
            WideTail          0x00 NONE             Op::WideTail;
            LdxB  0x71 DST_SRC_OFF Op::Load { size: Size::B };
            LdxH  0x69 DST_SRC_OFF Op::Load { size: Size::H };
            LdxW  0x61 DST_SRC_OFF Op::Load { size: Size::W };
            LdxDw 0x79 DST_SRC_OFF Op::Load { size: Size::Dw };
            LdxsB 0x91 DST_SRC_OFF Op::LoadSx { size: Size::B };
            LdxsH 0x89 DST_SRC_OFF Op::LoadSx { size: Size::H };
            LdxsW 0x81 DST_SRC_OFF Op::LoadSx { size: Size::W };
            StB   0x72 DST_OFF_IMM Op::Store { size: Size::B,  source: Source::K };
            StH   0x6a DST_OFF_IMM Op::Store { size: Size::H,  source: Source::K };
            StW   0x62 DST_OFF_IMM Op::Store { size: Size::W,  source: Source::K };
            StDw  0x7a DST_OFF_IMM Op::Store { size: Size::Dw, source: Source::K };
            StxB  0x73 DST_SRC_OFF Op::Store { size: Size::B,  source: Source::X };
            StxH  0x6b DST_SRC_OFF Op::Store { size: Size::H,  source: Source::X };
            StxW  0x63 DST_SRC_OFF Op::Store { size: Size::W,  source: Source::X };
            StxDw 0x7b DST_SRC_OFF Op::Store { size: Size::Dw, source: Source::X };
            AtomicAdd32      0xc3 A_ADD     Op::Atomic { op: AtomicOp::Add, fetch: false, size: Size::W };
            AtomicOr32       0xc3 A_OR      Op::Atomic { op: AtomicOp::Or, fetch: false, size: Size::W };
            AtomicAnd32      0xc3 A_AND     Op::Atomic { op: AtomicOp::And, fetch: false, size: Size::W };
            AtomicXor32      0xc3 A_XOR     Op::Atomic { op: AtomicOp::Xor, fetch: false, size: Size::W };
            AtomicFetchAdd32 0xc3 A_FADD    Op::Atomic { op: AtomicOp::Add, fetch: true, size: Size::W };
            AtomicFetchOr32  0xc3 A_FOR     Op::Atomic { op: AtomicOp::Or, fetch: true, size: Size::W };
            AtomicFetchAnd32 0xc3 A_FAND    Op::Atomic { op: AtomicOp::And, fetch: true, size: Size::W };
            AtomicFetchXor32 0xc3 A_FXOR    Op::Atomic { op: AtomicOp::Xor, fetch: true, size: Size::W };
            AtomicXchg32     0xc3 A_XCHG    Op::Atomic { op: AtomicOp::Xchg, fetch: true, size: Size::W };
            AtomicCmpxchg32  0xc3 A_CMPXCHG Op::Atomic { op: AtomicOp::Cmpxchg, fetch: true, size: Size::W };
            AtomicAdd64      0xdb A_ADD     Op::Atomic { op: AtomicOp::Add, fetch: false, size: Size::Dw };
            AtomicOr64       0xdb A_OR      Op::Atomic { op: AtomicOp::Or, fetch: false, size: Size::Dw };
            AtomicAnd64      0xdb A_AND     Op::Atomic { op: AtomicOp::And, fetch: false, size: Size::Dw };
            AtomicXor64      0xdb A_XOR     Op::Atomic { op: AtomicOp::Xor, fetch: false, size: Size::Dw };
            AtomicFetchAdd64 0xdb A_FADD    Op::Atomic { op: AtomicOp::Add, fetch: true, size: Size::Dw };
            AtomicFetchOr64  0xdb A_FOR     Op::Atomic { op: AtomicOp::Or, fetch: true, size: Size::Dw };
            AtomicFetchAnd64 0xdb A_FAND    Op::Atomic { op: AtomicOp::And, fetch: true, size: Size::Dw };
            AtomicFetchXor64 0xdb A_FXOR    Op::Atomic { op: AtomicOp::Xor, fetch: true, size: Size::Dw };
            AtomicXchg64     0xdb A_XCHG    Op::Atomic { op: AtomicOp::Xchg, fetch: true, size: Size::Dw };
            AtomicCmpxchg64  0xdb A_CMPXCHG Op::Atomic { op: AtomicOp::Cmpxchg, fetch: true, size: Size::Dw };
            LoadAcquireB     0xd3 A_ACQUIRE Op::LoadAcquire { size: Size::B };
            LoadAcquireH     0xcb A_ACQUIRE Op::LoadAcquire { size: Size::H };
            LoadAcquireW     0xc3 A_ACQUIRE Op::LoadAcquire { size: Size::W };
            LoadAcquireDw    0xdb A_ACQUIRE Op::LoadAcquire { size: Size::Dw };
            StoreReleaseB    0xd3 A_RELEASE Op::StoreRelease { size: Size::B };
            StoreReleaseH    0xcb A_RELEASE Op::StoreRelease { size: Size::H };
            StoreReleaseW    0xc3 A_RELEASE Op::StoreRelease { size: Size::W };
            StoreReleaseDw   0xdb A_RELEASE Op::StoreRelease { size: Size::Dw };
            LdAbsW           0x20 IMM       Op::Packet { mode: Mode::Abs, size: Size::W };
            LdAbsH           0x28 IMM       Op::Packet { mode: Mode::Abs, size: Size::H };
            LdAbsB           0x30 IMM       Op::Packet { mode: Mode::Abs, size: Size::B };
            LdIndW           0x40 SRC_IMM   Op::Packet { mode: Mode::Ind, size: Size::W };
            LdIndH           0x48 SRC_IMM   Op::Packet { mode: Mode::Ind, size: Size::H };
            LdIndB           0x50 SRC_IMM   Op::Packet { mode: Mode::Ind, size: Size::B };
            Ja       0x05 OFF         Op::Ja;
            Gotol    0x06 IMM         Op::Gotol;
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
            Call      0x85 CALL       Op::CallHelper;
            CallLocal 0x85 CALL_LOCAL Op::CallLocal;
            CallKfunc 0x85 CALL_KFUNC Op::CallKfunc;
            Exit      0x95 NONE       Op::Exit;
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

/// A conformance group (RFC 9669 section 2.4): what an implementation says it supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Group {
    Base32,
    Base64,
    Atomic32,
    Atomic64,
    Divmul32,
    Divmul64,
    Packet,
    /// No group of the RFC: an instruction that Linux added.
    Linux,
}

impl Group {
    /// Its name in the RFC's registry.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Base32 => "base32",
            Group::Base64 => "base64",
            Group::Atomic32 => "atomic32",
            Group::Atomic64 => "atomic64",
            Group::Divmul32 => "divmul32",
            Group::Divmul64 => "divmul64",
            Group::Packet => "packet",
            Group::Linux => "linux",
        }
    }
}

/// A version of Linux: major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Op {
    /// The conformance group (RFC 9669 appendix A).
    pub const fn group(self) -> Group {
        const fn base(wide: bool) -> Group {
            if wide { Group::Base64 } else { Group::Base32 }
        }
        match self {
            Op::MulDiv { width: Width::W32, .. } => Group::Divmul32,
            Op::MulDiv { width: Width::W64, .. } => Group::Divmul64,
            Op::Atomic { size: Size::Dw, .. } => Group::Atomic64,
            Op::Atomic { .. } => Group::Atomic32,
            Op::LoadAcquire { .. } | Op::StoreRelease { .. } => Group::Linux,
            Op::Packet { .. } => Group::Packet,
            Op::Alu { width, .. }
            | Op::Neg { width }
            | Op::Shift { width, .. }
            | Op::Mov { width, .. }
            | Op::MovSx { width, .. }
            | Op::Jump { width, .. } => base(matches!(width, Width::W64)),
            Op::Endian { size, .. } | Op::Load { size } | Op::Store { size, .. } => base(matches!(size, Size::Dw)),
            Op::LoadSx { size } => base(matches!(size, Size::W)),
            Op::Wide(_) | Op::WideTail => Group::Base64,
            Op::Ja | Op::Gotol | Op::CallHelper | Op::CallLocal | Op::CallKfunc | Op::Exit => Group::Base32,
        }
    }

    /// The first Linux that has it.
    pub const fn since(self) -> Version {
        match self {
            Op::LoadAcquire { .. } | Op::StoreRelease { .. } => Version(6, 15),
            // "cpu v4" of LLVM.
            Op::MovSx { .. }
            | Op::LoadSx { .. }
            | Op::Gotol
            | Op::MulDiv { op: MulDivOp::Sdiv | MulDivOp::Smod, .. }
            | Op::Endian { order: Order::Swap, .. } => Version(6, 6),
            Op::Wide(Wide::MapIndex | Wide::MapIndexValue) => Version(5, 14),
            Op::CallKfunc | Op::Wide(Wide::Code) => Version(5, 13),
            Op::Wide(Wide::Variable) => Version(5, 10),
            Op::Atomic { op, fetch, .. } if fetch || !matches!(op, AtomicOp::Add) => Version(5, 12),
            Op::Wide(Wide::MapValue) => Version(5, 2),
            Op::Jump { width: Width::W32, .. } => Version(5, 1),
            Op::CallLocal => Version(4, 16),
            Op::Jump { cond: Cond::Lt | Cond::Le | Cond::Slt | Cond::Sle, .. } => Version(4, 14),
            _ => Version(3, 18),
        }
    }
}
