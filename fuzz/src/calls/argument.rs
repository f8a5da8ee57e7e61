//! Arguments from their declarations.

use semantics::helper::{Arg, ArgKind, Fact};
use semantics::insn::{Insn, Opcode, Reg, Size};

use super::maps::{DATA_LEN, TEXT_LEN, TEXTS};
use super::writer::{DATA, Writer};
use crate::dice::Dice;

/// How an argument is put into its register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// A constant.
    Number(u64),
    /// Eight bytes of the data, which nothing is known of.
    Unknown(u8),
    /// A number of bytes, at most so many, which follows from the data: at least 1 where 0 is not permitted.
    UnknownSize { at: u8, max: u32, zero: bool },
    /// An address in the frame, in bytes below its top.
    Stack(i16),
    /// An address in the data.
    Data(u32),
    /// A text.
    Text(usize),
    /// An address in the packet, which R8 leads to.
    Packet,
    /// The map with this number.
    Map(usize),
    /// The context.
    Context,
    /// A function that is written later.
    Function,
    /// What R8 holds.
    Kept,
}

/// Whether this kind of argument can be had.
pub(super) fn is_had(arg: &Arg) -> bool {
    match arg.kind {
        ArgKind::Anything
        | ArgKind::ConstMapPtr
        | ArgKind::ConstSize
        | ArgKind::ConstSizeOrZero
        | ArgKind::ConstStr
        | ArgKind::Ctx
        | ArgKind::Func
        | ArgKind::MapKey
        | ArgKind::MapValue
        | ArgKind::Mem
        | ArgKind::PtrToInt
        | ArgKind::PtrToLong
        | ArgKind::Stack
        | ArgKind::Undeclared => true,
        ArgKind::BtfId => arg.c_type.contains("task_struct"),
        ArgKind::ConstAllocSizeOrZero
        | ArgKind::BtfIdSockCommon
        | ArgKind::Dynptr
        | ArgKind::Kptr
        | ArgKind::PercpuBtfId
        | ArgKind::RingbufMem
        | ArgKind::SockCommon
        | ArgKind::Socket
        | ArgKind::SpinLock
        | ArgKind::Timer => false,
    }
}

/// A number that some helper does something special for: small ones, sizes, single bits and what lies beside them.
pub(super) fn number(dice: &mut Dice) -> u64 {
    match dice.below(10) {
        0..=3 => dice.below(9) as u64,
        4 => dice.pick(&[12, 14, 16, 20, 24, 34, 40, 64, 0x0800, 0x0008, 0xdd86, 0x8100]),
        5 => 1 << dice.below(64),
        6 => (1u64 << dice.below(64)).wrapping_sub(1 + dice.below(2) as u64),
        7 => dice.pick(&[0xffff_ffff, 1 << 32, u64::MAX, u64::MAX - 1, 0xffff, 0x1_0000, 0xffff_ffff_0000_0000]),
        _ => dice.wide(),
    }
}

/// Bytes of what a pointer of fixed size leads to.
fn fixed_len(arg: &Arg) -> u32 {
    match arg.kind {
        ArgKind::PtrToInt => 4,
        ArgKind::PtrToLong => 8,
        _ => 64,
    }
}

impl Writer<'_> {
    /// What argument `at` is to be; the map that the call is about is `map`.
    pub(super) fn plan(&mut self, fact: &Fact, at: usize, map: Option<usize>, sizes: &mut [u32; 5]) -> Given {
        let arg = &fact.args[at];
        match arg.kind {
            ArgKind::ConstMapPtr => map.map_or(Given::Number(0), Given::Map),
            ArgKind::MapKey => {
                let len = map.map_or(8, |map| self.maps[map].key_size);
                self.key(len)
            }
            ArgKind::MapValue => {
                let len = map.map_or(8, |map| self.maps[map].value_size);
                self.memory(len, arg.is(Arg::UNINIT), fact)
            }
            ArgKind::Mem if arg.is(Arg::OR_NULL) && self.dice.chance(1, 6) => {
                sizes[at] = 0;
                Given::Number(0)
            }
            // Text, with its NUL.
            ArgKind::Mem if arg.is(Arg::RDONLY) && arg.c_type.contains("char") && self.dice.chance(2, 3) => {
                let text = self.dice.below(TEXTS.len());
                sizes[at] = TEXTS[text].len() as u32 + 1;
                Given::Text(text)
            }
            ArgKind::Mem => {
                let len = match fact.args.get(at + 1).map(|next| next.kind) {
                    Some(ArgKind::ConstSize | ArgKind::ConstSizeOrZero) => {
                        self.dice.pick(&[1, 2, 4, 8, 8, 12, 16, 20, 40, 64])
                    }
                    _ => fixed_len(arg),
                };
                sizes[at] = len;
                self.memory(len, arg.is(Arg::UNINIT), fact)
            }
            ArgKind::PtrToInt | ArgKind::PtrToLong => self.memory(fixed_len(arg), true, fact),
            ArgKind::ConstSize | ArgKind::ConstSizeOrZero => {
                let max = if at > 0 { sizes[at - 1] } else { 0 };
                self.size(max, arg.kind == ArgKind::ConstSizeOrZero)
            }
            ArgKind::ConstStr => Given::Text(self.dice.below(TEXTS.len())),
            ArgKind::Ctx => Given::Context,
            ArgKind::Func => Given::Function,
            ArgKind::Stack => {
                if arg.is(Arg::OR_NULL) && self.dice.chance(1, 3) {
                    Given::Number(0)
                } else {
                    self.stack(8, false)
                }
            }
            ArgKind::BtfId => Given::Kept,
            // Flags that nobody knows end most calls early.
            _ if arg.name == "flags" && self.dice.chance(2, 3) => {
                Given::Number(self.dice.pick(&[0, 0, 0, 0, 1, 2, 4, 0xffff_ffff]))
            }
            _ if self.dice.chance(1, 3) => Given::Unknown(self.dice.below(8) as u8),
            _ => Given::Number(number(self.dice)),
        }
    }

    /// A key: mostly one of few, so that elements are met again.
    fn key(&mut self, len: u32) -> Given {
        if len <= 16 && self.dice.chance(1, 4) {
            return Given::Data(8 * self.dice.below(6) as u32);
        }
        let Given::Stack(offset) = self.stack(len.max(1), false) else { unreachable!("a place in the frame") };
        for word in 0..len.div_ceil(8) as i16 {
            let imm = if word == 0 { self.dice.below(4) as i32 } else { 0 };
            self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(8 * word - offset).imm(imm));
        }
        Given::Stack(offset)
    }

    /// `len` bytes of memory.
    fn memory(&mut self, len: u32, uninit: bool, fact: &Fact) -> Given {
        match self.dice.below(8) {
            0 if fact.packet_access() && len <= 32 && self.packet(len) => Given::Packet,
            0..3 if len <= DATA_LEN => {
                let room = DATA_LEN - len;
                let at = if self.dice.chance(1, 4) { self.dice.below(room as usize + 1) as u32 } else { room & !7 };
                Given::Data(at)
            }
            _ => self.stack(len, uninit),
        }
    }

    /// A number of bytes for memory of `max`.
    fn size(&mut self, max: u32, zero: bool) -> Given {
        let least = u32::from(!zero);
        if max > 0 && self.dice.chance(1, 4) {
            return Given::UnknownSize { at: self.dice.below(8) as u8, max, zero };
        }
        let len = match self.dice.below(4) {
            0 => self.dice.below(max as usize + 1) as u32,
            1 => least,
            _ => max,
        };
        Given::Number(u64::from(len.max(least)))
    }

    /// Writes an argument.
    pub(super) fn give(&mut self, reg: Reg, given: Given) {
        match given {
            Given::Number(value) => match i32::try_from(value as i64) {
                Ok(imm) => self.push(Insn::new(Opcode::Mov64K).dst(reg).imm(imm)),
                Err(_) => self.wide(Insn::new(Opcode::Lddw).dst(reg).wide(value)),
            },
            Given::Unknown(at) => self.load(reg, at),
            Given::UnknownSize { at, max, zero } => {
                self.load(reg, at);
                // The greatest mask that keeps it within bounds.
                let least = u32::from(!zero);
                let mask = (max + 1 - least).next_power_of_two() / 2;
                let mask = if (max + 1 - least).is_power_of_two() { max - least } else { mask - 1 };
                self.push(Insn::new(Opcode::And64K).dst(reg).imm(mask as i32));
                if !zero {
                    self.push(Insn::new(Opcode::Add64K).dst(reg).imm(1));
                }
            }
            Given::Stack(below) => self.address(reg, Reg::FP, -i32::from(below)),
            Given::Data(at) => self.address(reg, DATA, at as i32),
            Given::Text(at) => {
                let map = self.texts();
                let place = (at * TEXT_LEN) as u64;
                self.wide(Insn::new(Opcode::LddwMapValue).dst(reg).wide(map as u64 | place << 32));
            }
            Given::Packet | Given::Kept => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R8)),
            Given::Map(map) => self.wide(Insn::new(Opcode::LddwMap).dst(reg).imm(map as i32)),
            Given::Context => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R6)),
            Given::Function => self.function(reg),
        }
    }

    fn load(&mut self, reg: Reg, at: u8) {
        let size = self.dice.pick(&[Size::Dw, Size::Dw, Size::W, Size::H, Size::B]);
        self.push(Insn::new(Writer::load_of(size)).dst(reg).src(DATA).off(8 * i16::from(at)));
    }

    pub(super) fn address(&mut self, reg: Reg, base: Reg, offset: i32) {
        self.push(Insn::new(Opcode::Mov64X).dst(reg).src(base));
        if offset != 0 {
            self.push(Insn::new(Opcode::Add64K).dst(reg).imm(offset));
        }
    }
}
