//! Linking: a program and the subprograms that it reaches become one list of slots, with every reference filled in.
//!
//! Subprograms follow the program in the order in which they are first named, each once. Maps, data and functions are
//! named by relocations; a call within a section may also name its target by distance alone, as clang writes it.

use std::collections::{HashMap, HashSet};

use super::btf_ext::within;
use super::core::{self, Resolver};
use super::debug::Gathered;
use super::elf::{Relocation, Symbol};
use super::error::{LoadError, RelocationReason};
use super::functions::{self, Function};
use super::{Maps, Object, data};
use crate::encoding::{DecodeError, DecodeErrorKind, SLOT_LEN, Slot};
use crate::program::{Debug, INSNS_MAX, ProgramError};
use crate::world::kconfig::Kconfig;

/// A 64-bit immediate.
const R_BPF_64_64: u32 = 1;
/// A call.
const R_BPF_64_32: u32 = 10;

/// Codes of the instructions that refer to something.
const LDDW: u8 = 0x18;
const CALL: u8 = 0x85;

/// What the source field of a 64-bit immediate says it is.
mod wide {
    pub(super) const CONSTANT: u8 = 0;
    pub(super) const MAP: u8 = 1;
    pub(super) const MAP_VALUE: u8 = 2;
    pub(super) const CODE: u8 = 4;
}
/// The source field of a call of a subprogram.
const CALL_LOCAL: u8 = 1;

/// What libbpf puts in place of a call of a weak kernel function that does not exist.
const POISON_KFUNC: i32 = 2_002_000_000;

/// A linked program.
pub(super) struct Linked {
    pub(super) slots: Vec<Slot>,
    /// First slot and number of each function, ascending by slot.
    pub(super) origins: Vec<(usize, usize)>,
    /// Instructions that nothing could be filled into, and why.
    pub(super) poisoned: Vec<(usize, LoadError)>,
    pub(super) debug: Debug,
}

/// What everything is linked against.
pub(super) struct Linker<'o, 'a> {
    pub(super) object: &'o Object<'a>,
    pub(super) resolver: Option<Resolver<'o>>,
    pub(super) kconfig: &'o Kconfig,
    pub(super) maps: &'o Maps,
}

/// What grows while functions are placed.
#[derive(Default)]
struct Placing {
    slots: Vec<Slot>,
    /// Numbers of the functions in their order.
    order: Vec<usize>,
    known: HashSet<usize>,
    /// Slots that name a function.
    open: Vec<(usize, usize)>,
    poisoned: Vec<(usize, LoadError)>,
    gathered: Gathered,
}

impl Placing {
    /// Names a function at a slot; it is placed later if it was not yet.
    fn refer(&mut self, slot: usize, function: usize) {
        self.open.push((slot, function));
        if self.known.insert(function) {
            self.order.push(function);
        }
    }
}

impl Linker<'_, '_> {
    /// Links the function of this number with all that it reaches.
    pub(super) fn link(&self, main: usize) -> Result<Linked, LoadError> {
        let mut placing = Placing { order: vec![main], ..Placing::default() };
        placing.known.insert(main);
        let mut origins = Vec::new();
        let mut placed = HashMap::new();
        let mut at = 0;
        while let Some(number) = placing.order.get(at).copied() {
            let base = placing.slots.len();
            placed.insert(number, base);
            origins.push((base, number));
            self.place(number, base, &mut placing)?;
            at += 1;
        }
        for (slot, function) in &placing.open {
            // Relative to the next slot.
            placing.slots[*slot].imm = (placed[function] as i64 - *slot as i64 - 1) as i32;
        }
        let Placing { slots, poisoned, gathered, .. } = placing;
        Ok(Linked { slots, origins, poisoned, debug: gathered.finish() })
    }

    /// Appends a function and fills in what it refers to.
    fn place(&self, number: usize, base: usize, placing: &mut Placing) -> Result<(), LoadError> {
        let function = &self.object.functions[number];
        let len = base + function.slots();
        if len > INSNS_MAX {
            let (section, program) = (function.section_name.clone().into_owned(), function.name.clone().into_owned());
            return Err(LoadError::Program { section, program, error: ProgramError::TooLong(len) });
        }
        let rest = function.code.len() % SLOT_LEN;
        if rest != 0 {
            let error = DecodeError { index: len, kind: DecodeErrorKind::TrailingBytes { len: rest } };
            let offset = function.end() - rest as u64;
            return Err(LoadError::Decode { section: function.section_name.clone().into_owned(), offset, error });
        }
        placing.slots.extend(function.code.as_chunks().0.iter().map(|bytes| Slot::from_bytes(*bytes)));
        self.relocate_core(function, base, placing)?;
        let mut relocations = self.relocations(function)?.into_iter().peekable();
        let mut slot = 0;
        while slot < function.slots() {
            let insn = placing.slots[base + slot];
            let relocation = relocations.next_if(|(at, _)| *at == slot).map(|(_, relocation)| relocation);
            let done = match relocation {
                Some(relocation) => self.refer(function, base, slot, relocation, placing),
                None => self.local_call(function, base, slot, placing),
            };
            done.map_err(|reason| self.relocation_error(function, slot, relocation, reason))?;
            slot += if insn.code == LDDW { 2 } else { 1 };
        }
        if let Some((slot, relocation)) = relocations.next() {
            return Err(self.relocation_error(function, slot, Some(relocation), RelocationReason::NoInstruction));
        }
        let btf = self.object.btf.as_ref();
        let lines = self.object.ext.lines(&function.section_name, function.start, function.end());
        placing.gathered.add(function, base, btf, lines);
        Ok(())
    }

    /// The relocations of a function with their slots, ascending; one per slot.
    fn relocations(&self, function: &Function<'_>) -> Result<Vec<(usize, Relocation)>, LoadError> {
        let all = self.object.relocations.get(&function.section.number).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<(usize, Relocation)> = Vec::new();
        for relocation in within(all, function.start, function.end(), |relocation| relocation.offset) {
            let at = (relocation.offset - function.start) as usize;
            let slot = at / SLOT_LEN;
            // A second relocation of the same slot would contradict the first.
            if !at.is_multiple_of(SLOT_LEN) || found.last().is_some_and(|(last, _)| *last == slot) {
                return Err(self.relocation_error(function, slot, Some(*relocation), RelocationReason::NoInstruction));
            }
            found.push((slot, *relocation));
        }
        Ok(found)
    }

    fn relocation_error(
        &self,
        function: &Function<'_>,
        slot: usize,
        relocation: Option<Relocation>,
        reason: RelocationReason,
    ) -> LoadError {
        let symbol = relocation.and_then(|relocation| self.object.elf.symbol(relocation.symbol));
        LoadError::Relocation {
            section: function.section_name.clone().into_owned(),
            offset: relocation.map_or(function.start + (slot * SLOT_LEN) as u64, |relocation| relocation.offset),
            symbol: symbol.map_or(String::new(), |symbol| self.object.elf.symbol_name(symbol).into_owned()),
            reason,
        }
    }

    /// Applies the CO-RE relocations of a function.
    fn relocate_core(&self, function: &Function<'_>, base: usize, placing: &mut Placing) -> Result<(), LoadError> {
        let Some(resolver) = &self.resolver else { return Ok(()) };
        for relocation in self.object.ext.relocations(&function.section_name, function.start, function.end()) {
            let at = u64::from(relocation.offset) - function.start;
            let slot = base + at as usize / SLOT_LEN;
            let patched = if at.is_multiple_of(SLOT_LEN as u64) {
                resolver.resolve(*relocation).and_then(|value| core::patch(&mut placing.slots, slot, value))
            } else {
                Err(core::CoreReason::NoInstruction)
            };
            let error = |reason| LoadError::Core {
                section: function.section_name.clone().into_owned(),
                offset: u64::from(relocation.offset),
                access: resolver.describe(*relocation),
                reason,
            };
            if let Some(reason) = patched.map_err(error)? {
                placing.poisoned.push((slot, error(reason)));
            }
        }
        Ok(())
    }

    /// Fills in what the relocation of one slot refers to.
    fn refer(
        &self,
        function: &Function<'_>,
        base: usize,
        slot: usize,
        relocation: Relocation,
        placing: &mut Placing,
    ) -> Result<(), RelocationReason> {
        let elf = &self.object.elf;
        let at = base + slot;
        let insn = *placing.slots.get(at).ok_or(RelocationReason::NoInstruction)?;
        let symbol = elf.symbol(relocation.symbol).ok_or(RelocationReason::NoSymbol)?;
        if !matches!(relocation.kind, R_BPF_64_64 | R_BPF_64_32) {
            return Err(RelocationReason::UnknownType(relocation.kind));
        }
        if !matches!(insn.code, LDDW | CALL) {
            return Err(RelocationReason::NotWide(insn.code));
        }
        if insn.code == LDDW && slot + 1 >= function.slots() {
            return Err(RelocationReason::NoInstruction);
        }
        if symbol.is_undefined() {
            return self.external(function, at, slot, symbol, placing);
        }
        let section = elf.section(symbol.section()).ok_or(RelocationReason::NoSection)?;
        if insn.code == CALL {
            // To the symbol's start with an immediate of -1, or to slots of the section.
            let distance = (i64::from(insn.imm) + 1) * SLOT_LEN as i64 + relocation.addend;
            let start = symbol.value().wrapping_add_signed(distance);
            if insn.src != CALL_LOCAL {
                return Err(RelocationReason::NotLocalCall(insn.src));
            }
            let target = functions::at(&self.object.functions, section.number, start);
            placing.refer(at, target.ok_or(RelocationReason::NoFunction(start))?);
            return Ok(());
        }
        // The immediate is an offset from the symbol: that of the target where the symbol is the section's.
        let distance = relocation.addend.wrapping_add(i64::from(insn.imm));
        let offset = symbol.value().wrapping_add_signed(distance);
        let (src, low, high) = if matches!(&*elf.name(section), "maps" | ".maps") {
            let map = self.maps.places.get(&(section.number, offset));
            (wide::MAP, *map.ok_or(RelocationReason::NoMap)?, 0)
        } else if super::elf::Elf::is_executable(section) {
            let target = functions::at(&self.object.functions, section.number, offset);
            placing.refer(at, target.ok_or(RelocationReason::NoFunction(offset))?);
            (wide::CODE, 0, 0)
        } else if data::is_data(elf, section) {
            let map = *self.maps.data.get(&section.number).ok_or(RelocationReason::Data)?;
            let size = super::elf::Elf::size(section);
            if offset >= size {
                return Err(RelocationReason::OutOfData { offset, size });
            }
            (wide::MAP_VALUE, map, offset as i32)
        } else {
            return Err(RelocationReason::Data);
        };
        placing.slots[at] = Slot { src, imm: low as i32, ..insn };
        placing.slots[at + 1].imm = high;
        Ok(())
    }

    /// A symbol that the kernel defines: its configuration is known; of its variables and functions, only that a weak one
    /// may be missing.
    fn external(
        &self,
        function: &Function<'_>,
        at: usize,
        slot: usize,
        symbol: Symbol<'_>,
        placing: &mut Placing,
    ) -> Result<(), RelocationReason> {
        let name = self.object.elf.symbol_name(symbol);
        let insn = placing.slots[at];
        if let (Some(found), LDDW, Some(btf)) = (self.object.externs.kconfig(&name), insn.code, &self.object.btf) {
            found.value(btf, self.kconfig).map_err(RelocationReason::Kconfig)?;
            let map = self.maps.kconfig.ok_or(RelocationReason::Data)?;
            placing.slots[at] = Slot { src: wide::MAP_VALUE, imm: map as i32, ..insn };
            placing.slots[at + 1].imm = found.offset as i32;
            return Ok(());
        }
        let reason = match self.object.externs.kernel(&name) {
            None => return Err(RelocationReason::Undeclared),
            Some(true) => RelocationReason::Kfunc,
            Some(false) => RelocationReason::Ksym,
        };
        if !symbol.is_weak() {
            return Err(reason);
        }
        if insn.code == LDDW {
            // The address of what does not exist is 0.
            placing.slots[at] = Slot { src: wide::CONSTANT, imm: 0, ..insn };
            placing.slots[at + 1].imm = 0;
        } else {
            placing.slots[at] = Slot { code: CALL, dst: 0, src: 0, off: 0, imm: POISON_KFUNC };
            let (section, offset) = (function.section_name.clone().into_owned(), function.start + (slot * 8) as u64);
            let error = LoadError::Relocation { section, offset, symbol: name.into_owned(), reason };
            placing.poisoned.push((at, error));
        }
        Ok(())
    }

    /// A call may name a function of the same section by distance. Within the function the distance stays right.
    fn local_call(
        &self,
        function: &Function<'_>,
        base: usize,
        slot: usize,
        placing: &mut Placing,
    ) -> Result<(), RelocationReason> {
        let insn = placing.slots[base + slot];
        if insn.code != CALL || insn.src != CALL_LOCAL {
            return Ok(());
        }
        let from = function.start as i64 / SLOT_LEN as i64 + slot as i64;
        let start = ((from + 1 + i64::from(insn.imm)) * SLOT_LEN as i64) as u64;
        if !(function.start..function.end()).contains(&start) {
            let found = functions::at(&self.object.functions, function.section.number, start);
            placing.refer(base + slot, found.ok_or(RelocationReason::NoFunction(start))?);
        }
        Ok(())
    }
}
