//! Instructions as bytes: decoding and encoding, driven by the instruction table alone (RFC 9669 section 3).
//!
//! A program in memory has one entry per slot of 8 bytes. The second slot of a wide instruction is an entry too,
//! [`Opcode::WideTail`] with nothing in it: its immediate is `imm_hi` of the entry before.
//!
//! ```
//! use semantics::encoding::{decode, encode};
//! let bytes = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
//! let insns = decode(&bytes).unwrap();
//! assert_eq!(insns[0].to_string(), "r0 = 0x1");
//! assert_eq!(encode(&insns), bytes);
//! ```

use std::fmt;

use crate::insn::table::TABLE;
use crate::insn::{Field, Fields, Insn, Op, Opcode, Reg, Row, Version};

/// Bytes of a slot.
pub const SLOT_LEN: usize = 8;

/// One slot: the fields of 8 bytes, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Class, operation or mode, source or size.
    pub code: u8,
    /// Destination register, 4 bits.
    pub dst: u8,
    /// Source register, 4 bits.
    pub src: u8,
    /// Offset.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Slot {
    /// The fields of these bytes.
    pub fn from_bytes(bytes: [u8; SLOT_LEN]) -> Slot {
        let [code, regs, off0, off1, imm @ ..] = bytes;
        Slot {
            code,
            dst: regs & 0xf,
            src: regs >> 4,
            off: i16::from_le_bytes([off0, off1]),
            imm: i32::from_le_bytes(imm),
        }
    }
    /// The bytes of these fields; registers are cut to 4 bits.
    pub fn to_bytes(self) -> [u8; SLOT_LEN] {
        let [off0, off1] = self.off.to_le_bytes();
        let [imm0, imm1, imm2, imm3] = self.imm.to_le_bytes();
        [self.code, self.dst & 0xf | self.src << 4, off0, off1, imm0, imm1, imm2, imm3]
    }
    fn field(&self, field: FieldName) -> i32 {
        match field {
            FieldName::Code => i32::from(self.code),
            FieldName::Dst => i32::from(self.dst),
            FieldName::Src => i32::from(self.src),
            FieldName::Off => i32::from(self.off),
            FieldName::Imm => self.imm,
        }
    }
}

/// A field of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FieldName {
    Code,
    Dst,
    Src,
    Off,
    Imm,
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldName::Code => "code",
            FieldName::Dst => "dst",
            FieldName::Src => "src",
            FieldName::Off => "off",
            FieldName::Imm => "imm",
        })
    }
}

/// Why bytes are no instructions, and at which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("insn {index}: {kind}")]
pub struct DecodeError {
    /// The slot.
    pub index: usize,
    /// The reason.
    pub kind: DecodeErrorKind,
}

/// Why a slot is no instruction. The words before a colon are those of Linux's verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The bytes end within a slot.
    #[error("{len} bytes at the end, a slot has 8")]
    TrailingBytes {
        /// How many there are, 1 to 7.
        len: usize,
    },
    /// A register field above 10.
    #[error("R{value} is invalid: {field} of {mnemonic}")]
    RegisterOutOfRange {
        /// `Dst` or `Src`.
        field: FieldName,
        /// 11 to 15.
        value: u8,
        /// The row's name.
        mnemonic: &'static str,
    },
    /// A field that must hold another value.
    #[error("{} uses reserved fields: {field} is {value} in {mnemonic}", class(*opcode))]
    ReservedField {
        /// The field.
        field: FieldName,
        /// What it holds.
        value: i32,
        /// The row.
        opcode: Opcode,
        /// The row's name.
        mnemonic: &'static str,
    },
    /// The second slot of a wide instruction has more than an immediate, or one that its kind does not use.
    #[error("invalid bpf_ld_imm64 insn: {field} of the second slot is {value}")]
    ReservedTailField {
        /// The field.
        field: FieldName,
        /// What it holds.
        value: i32,
    },
    /// A wide instruction at the end, without its second slot.
    #[error("invalid bpf_ld_imm64 insn: its second slot is missing")]
    TruncatedWide,
    /// No instruction has this code.
    #[error("unknown opcode {0:02x}")]
    ReservedOpcode(u8),
    /// An instruction that RFC 9669 reserves and a later Linux defines, and that is not modelled. To a Linux before
    /// `since` it is as reserved as to the RFC.
    #[error("{what} (opcode {code:02x}, Linux {since} and later) is not modelled")]
    Unsupported {
        /// The first byte.
        code: u8,
        /// Its name.
        what: &'static str,
        /// The first Linux that has it.
        since: Version,
    },
}

/// How Linux's verifier names the kind of an instruction whose reserved fields are in use.
fn class(opcode: Opcode) -> &'static str {
    match opcode.op() {
        Op::Alu { .. } | Op::Shift { .. } | Op::MulDiv { .. } => "BPF_ALU",
        Op::Neg { .. } => "BPF_NEG",
        Op::Mov { .. } | Op::MovSx { .. } => "BPF_MOV",
        Op::Endian { .. } => "BPF_END",
        Op::Wide(_) | Op::WideTail => "BPF_LD_IMM64",
        Op::Load { .. } | Op::LoadSx { .. } => "BPF_LDX",
        Op::Atomic { .. } | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => "BPF_ATOMIC",
        Op::Packet { .. } => "BPF_LD_[ABS|IND]",
        Op::Store { source: crate::insn::Source::K, .. } => "BPF_ST",
        Op::Store { .. } => "BPF_STX",
        Op::Jump { .. } => "BPF_JMP/JMP32",
        Op::Ja | Op::Gotol => "BPF_JA",
        Op::CallHelper | Op::CallLocal | Op::CallKfunc => "BPF_CALL",
        Op::Exit => "BPF_EXIT",
    }
}

/// Decodes a program, one entry per slot.
pub fn decode(bytes: &[u8]) -> Result<Vec<Insn>, DecodeError> {
    let (slots, rest) = bytes.as_chunks::<SLOT_LEN>();
    let insns = decode_slots(slots.iter().map(|bytes| Slot::from_bytes(*bytes)))?;
    if rest.is_empty() {
        Ok(insns)
    } else {
        Err(DecodeError { index: slots.len(), kind: DecodeErrorKind::TrailingBytes { len: rest.len() } })
    }
}

/// Decodes slots, one entry per slot.
pub fn decode_slots(slots: impl IntoIterator<Item = Slot>) -> Result<Vec<Insn>, DecodeError> {
    let mut slots = slots.into_iter().enumerate().peekable();
    let mut insns: Vec<Insn> = Vec::with_capacity(slots.size_hint().0);
    let mut wide: Option<&Row> = None;
    while let Some((index, slot)) = slots.next() {
        let fail = |kind| DecodeError { index, kind };
        if let Some(row) = wide.take() {
            insns[index - 1].imm_hi = tail(slot, row).map_err(fail)? as u32;
            insns.push(Insn::new(Opcode::WideTail));
        } else {
            let row = row_of(slot).map_err(|kind| match slots.peek() {
                // Linux looks at second slots before it looks at the fields of first ones (`resolve_pseudo_ldimm64`).
                Some((second, next)) if slot.code == Opcode::Lddw.row().code => tail(*next, Opcode::Lddw.row())
                    .map_or_else(|kind| DecodeError { index: *second, kind }, |_| fail(kind)),
                _ => fail(kind),
            })?;
            wide = matches!(row.op, Op::Wide(_)).then_some(row);
            insns.push(fields(slot, row).map_err(fail)?);
        }
    }
    match wide {
        Some(_) => Err(DecodeError { index: insns.len() - 1, kind: DecodeErrorKind::TruncatedWide }),
        None => Ok(insns),
    }
}

/// Encodes a program: one slot per entry, whatever the entries are. The bytes of a [`Opcode::WideTail`] come from the
/// entry before it.
pub fn encode(insns: &[Insn]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(insns.len() * SLOT_LEN);
    encode_slots(insns).for_each(|slot| bytes.extend_from_slice(&slot.to_bytes()));
    bytes
}

/// The slots of a program, one per entry.
pub fn encode_slots(insns: &[Insn]) -> impl Iterator<Item = Slot> + '_ {
    let mut high = 0;
    insns.iter().map(move |insn| {
        let row = insn.opcode.row();
        let tail = insn.opcode == Opcode::WideTail;
        let slot = Slot {
            code: row.code,
            dst: put(row.fields.dst, i32::from(insn.dst.number())) as u8,
            src: put(row.fields.src, i32::from(insn.src.number())) as u8,
            off: put(row.fields.off, i32::from(insn.off as i16)) as i16,
            imm: if tail { high } else { put(row.fields.imm, insn.imm as i32) },
        };
        high = if matches!(row.op, Op::Wide(_)) { insn.imm_hi as i32 } else { 0 };
        slot
    })
}

/// What a field holds in the encoding.
fn put(field: Field, value: i32) -> i32 {
    match field {
        Field::Any => value,
        Field::Only(only) => only,
    }
}

/// The instruction of a slot whose row is known.
fn fields(slot: Slot, row: &Row) -> Result<Insn, DecodeErrorKind> {
    let reg = |name: FieldName, field: Field, number: u8| match (field, Reg::from_number(number)) {
        (Field::Only(_), _) => Ok(Reg::R0),
        (Field::Any, Some(reg)) => Ok(reg),
        (Field::Any, None) => {
            Err(DecodeErrorKind::RegisterOutOfRange { field: name, value: number, mnemonic: row.name })
        }
    };
    // What selects the row is not repeated in the instruction.
    let free = |field: Field, value: i32| if field == Field::Any { value } else { 0 };
    Ok(Insn {
        opcode: row.opcode,
        dst: reg(FieldName::Dst, row.fields.dst, slot.dst)?,
        src: reg(FieldName::Src, row.fields.src, slot.src)?,
        off: free(row.fields.off, i32::from(slot.off)) as u16,
        imm: free(row.fields.imm, slot.imm) as u32,
        imm_hi: 0,
    })
}

/// The immediate of a second slot: the high half of a constant, or an offset into a map's value.
fn tail(slot: Slot, row: &Row) -> Result<i32, DecodeErrorKind> {
    let high = matches!(row.op, Op::Wide(kind) if kind.has_high_half());
    let imm = if high { Field::Any } else { Field::Only(0) };
    let checks = [
        (FieldName::Code, Field::Only(0)),
        (FieldName::Dst, Field::Only(0)),
        (FieldName::Src, Field::Only(0)),
        (FieldName::Off, Field::Only(0)),
        (FieldName::Imm, imm),
    ];
    match checks.into_iter().find(|(name, field)| !field.admits(slot.field(*name))) {
        Some((field, _)) => Err(DecodeErrorKind::ReservedTailField { field, value: slot.field(field) }),
        None => Ok(slot.imm),
    }
}

/// The row that admits the slot's fields.
fn row_of(slot: Slot) -> Result<&'static Row, DecodeErrorKind> {
    let word = u64::from_le_bytes(slot.to_bytes());
    let mut at = CHAINS.first[usize::from(slot.code)];
    while let Some(row) = TABLE.get(usize::from(at)) {
        let (mask, value) = CHAINS.patterns[usize::from(at)];
        if word & mask == value {
            return Ok(row);
        }
        at = CHAINS.next[usize::from(at)];
    }
    Err(why_no_row(slot))
}

/// What is wrong with a slot that no row admits.
#[cold]
fn why_no_row(slot: Slot) -> DecodeErrorKind {
    // Of several rows the one is meant that misses in the fewest fields.
    let rows = TABLE.iter().filter(|row| row.code == slot.code && row.opcode != Opcode::WideTail);
    let nearest = rows.min_by_key(|row| reserved(slot, row).count());
    let nearest = nearest.and_then(|row| reserved(slot, row).next().map(|field| (row, field)));
    match (unsupported(slot), nearest) {
        (Some((what, since)), _) => DecodeErrorKind::Unsupported { code: slot.code, what, since },
        (None, None) => DecodeErrorKind::ReservedOpcode(slot.code),
        (None, Some((row, field))) => {
            DecodeErrorKind::ReservedField { field, value: slot.field(field), opcode: row.opcode, mnemonic: row.name }
        }
    }
}

/// The fields that the row does not admit.
fn reserved(slot: Slot, row: &Row) -> impl Iterator<Item = FieldName> {
    let fields = [
        (FieldName::Src, row.fields.src),
        (FieldName::Dst, row.fields.dst),
        (FieldName::Off, row.fields.off),
        (FieldName::Imm, row.fields.imm),
    ];
    fields.into_iter().filter(move |(name, field)| !field.admits(slot.field(*name))).map(|(name, _)| name)
}

/// An instruction without a row that Linux defines in its newer versions, fields that it reserves being 0.
fn unsupported(slot: Slot) -> Option<(&'static str, Version)> {
    match slot {
        Slot { code: 0xbf, off: 1, imm: 1 | 0x1_0000, .. } => Some(("addr_space_cast", Version(6, 9))),
        Slot { code: 0xe5, dst: 0, src: 0, imm: 0, .. } => Some(("may_goto", Version(6, 9))),
        Slot { code: 0x0d, src: 0, off: 0, imm: 0, .. } => Some(("gotox", Version(6, 19))),
        _ => None,
    }
}

/// The rows of each code, as chains of indices into the table; an index beyond the table ends a chain. A row admits a slot,
/// register numbers aside, if the slot's bits under its mask are its value.
struct Chains {
    first: [u8; 256],
    next: [u8; TABLE.len()],
    patterns: [(u64, u64); TABLE.len()],
}

static CHAINS: Chains = {
    let mut chains = Chains { first: [u8::MAX; 256], next: [u8::MAX; TABLE.len()], patterns: [(0, 0); TABLE.len()] };
    assert!(TABLE.len() < u8::MAX as usize);
    let mut at = TABLE.len();
    while at > 0 {
        at -= 1;
        chains.patterns[at] = pattern(&TABLE[at]);
        // The second slot of a wide instruction is never found by its code.
        if !matches!(TABLE[at].op, Op::WideTail) {
            let code = TABLE[at].code as usize;
            chains.next[at] = chains.first[code];
            chains.first[code] = at as u8;
        }
    }
    chains
};

/// Mask and value of the bits that a row fixes.
const fn pattern(row: &Row) -> (u64, u64) {
    let Fields { dst, src, off, imm } = row.fields;
    let fields = [(dst, 8, 0xf), (src, 12, 0xf), (off, 16, 0xffff), (imm, 32, 0xffff_ffff)];
    let (mut mask, mut value) = (0xff, row.code as u64);
    let mut at = 0;
    while at < fields.len() {
        let (field, shift, bits) = fields[at];
        if let Field::Only(only) = field {
            mask |= bits << shift;
            value |= (only as u64 & bits) << shift;
        }
        at += 1;
    }
    (mask, value)
}
