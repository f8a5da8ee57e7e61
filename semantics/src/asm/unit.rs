//! The statements of a text and their names, until all of it is read.

use std::collections::HashMap;

use super::parser::{Goal, has_long_distance};
use super::{AsmError, AsmErrorKind, Fail, helper_id, suggest, unknown_helper};
use crate::encoding::{self, SLOT_LEN};
use crate::insn::{Insn, Mode, Op, Opcode, Wide};

/// A place in the text, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The program so far.
pub(super) struct Unit<'a> {
    maps: &'a dyn Fn(&str) -> Option<u32>,
    items: Vec<Item>,
    /// The item behind each label, and its line.
    labels: HashMap<String, (usize, usize)>,
    /// The first item of each section of a listing.
    sections: HashMap<String, usize>,
    /// The first item of the section that goes on.
    section: usize,
}

/// A statement.
struct Item {
    insn: Insn,
    place: Place,
    /// What is to be filled in, its name and column.
    goal: Option<(Goal, String, usize)>,
    /// Its slot, if it stands in the kernel's log.
    slot: Option<usize>,
    /// The first of two lines that GNU objdump prints of a wide instruction: its second slot is on the next.
    half: bool,
}

impl<'a> Unit<'a> {
    pub(super) fn new(maps: &'a dyn Fn(&str) -> Option<u32>) -> Self {
        Unit { maps, items: Vec::new(), labels: HashMap::new(), sections: HashMap::new(), section: 0 }
    }

    /// A label of what comes next.
    pub(super) fn label(&mut self, name: &str, place: Place) -> Result<(), Fail> {
        match self.labels.insert(name.to_owned(), (self.items.len(), place.line)) {
            Some((_, first)) => Err((place.column, AsmErrorKind::DuplicateLabel { name: name.to_owned(), first })),
            None => Ok(()),
        }
    }

    /// A section of a listing begins.
    pub(super) fn section(&mut self, name: &str) {
        self.section = self.items.len();
        self.sections.insert(name.to_owned(), self.section);
    }

    pub(super) fn push(&mut self, insn: Insn, goal: Option<(Goal, String, usize)>, place: Place, slot: Option<usize>) {
        self.items.push(Item { insn, place, goal, slot, half: false });
    }

    /// A line of a listing with bytes and no text.
    pub(super) fn bytes_only(&mut self, bytes: &[u8], place: Place) -> Result<(), Fail> {
        if let Some(item) = self.items.last_mut().filter(|item| item.half) {
            item.half = false;
            return Ok(());
        }
        let insn = decode(bytes).map_err(|kind| (place.column, AsmErrorKind::BadBytes(kind)))?;
        self.push(insn, None, place, None);
        Ok(())
    }

    /// The last statement has these bytes, which say of calls and wide immediates what the text leaves out.
    pub(super) fn confirm(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        let Some(item) = self.items.last_mut() else { return Ok(()) };
        if bytes.len() == SLOT_LEN && matches!(item.insn.op(), Op::Wide(_)) {
            item.half = true;
            return Ok(());
        }
        let column = item.place.column;
        let theirs = decode(bytes).map_err(|kind| (column, AsmErrorKind::BadBytes(kind)))?;
        let ours = item.insn;
        // Names of the text stand for distances, and are as good as these.
        let same = match item.goal {
            Some(_) => theirs.opcode == ours.opcode || (is_call(theirs) && is_call(ours)),
            None => theirs == ours || printed_as(theirs, ours),
        };
        if !same {
            return Err((column, AsmErrorKind::OtherBytes(theirs.to_string())));
        }
        if item.goal.is_none() {
            item.insn = theirs;
        }
        Ok(())
    }

    /// A relocation of the last statement: a map or a symbol of the text.
    pub(super) fn relocate(&mut self, symbol: &str) {
        let section = self.sections.get(symbol).copied();
        let known = self.labels.contains_key(symbol);
        let Some(item) = self.items.last_mut() else { return };
        let place = (symbol.to_owned(), item.place.column);
        match item.insn.op() {
            Op::Wide(_) if (self.maps)(symbol).is_some() => {
                // Sections hold global data, at an offset that is the immediate; other symbols are maps.
                let offset = symbol.starts_with('.').then_some(item.insn.imm as i32);
                item.insn = Insn::new(Opcode::LddwMap).dst(item.insn.dst);
                item.goal = Some((Goal::Symbol(offset), place.0, place.1));
            }
            Op::CallHelper | Op::CallLocal if section.is_some() => {
                // The section's first instruction, and the distance from there.
                let distance = item.insn.imm as i32;
                item.insn = Insn::new(Opcode::CallLocal).imm(distance);
                item.goal = Some((Goal::Section, place.0, place.1));
            }
            Op::CallHelper | Op::CallLocal if known || item.insn.imm == u32::MAX => {
                item.insn = Insn::new(Opcode::CallLocal);
                item.goal = Some((Goal::Label, place.0, place.1));
            }
            _ => {}
        }
    }

    /// Puts the statements where they belong and fills in what their names stand for.
    pub(super) fn link(mut self) -> Result<Vec<Insn>, AsmError> {
        let slots = self.lay_out()?;
        let mut insns = Vec::with_capacity(self.items.len());
        for (at, item) in self.items.iter().enumerate() {
            if slots[at] < insns.len() {
                continue; // the kernel's log shows it again
            }
            let insn = match &item.goal {
                None => item.insn,
                Some((goal, name, column)) => self.resolve(at, &slots, *goal, name).map_err(|kind| AsmError {
                    line: item.place.line,
                    column: *column,
                    kind,
                })?,
            };
            insns.push(insn);
            if matches!(insn.op(), Op::Wide(_)) {
                insns.push(Insn::new(Opcode::WideTail));
            }
        }
        Ok(insns)
    }

    /// The slot of each item, and of the end; items are in the order of their slots from then on.
    fn lay_out(&mut self) -> Result<Vec<usize>, AsmError> {
        let in_log = !self.items.is_empty() && self.items.iter().all(|item| item.slot.is_some());
        if in_log {
            return self.lay_out_log();
        }
        let mut slots = vec![0];
        for item in &self.items {
            slots.push(slots[slots.len() - 1] + item.insn.slots());
        }
        Ok(slots)
    }

    /// The verifier walks through a slot as often as it has to, and in its own order.
    fn lay_out_log(&mut self) -> Result<Vec<usize>, AsmError> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|at| (self.items[*at].slot, *at));
        let mut slots = vec![0; self.items.len() + 1];
        let (mut end, mut last): (Option<usize>, Option<&Item>) = (None, None);
        let base = self.items[order[0]].slot.unwrap_or_default();
        for (sorted, at) in order.iter().enumerate() {
            let item = &self.items[*at];
            let slot = item.slot.unwrap_or_default();
            let fail = |kind| AsmError { line: item.place.line, column: item.place.column, kind };
            match (end, last) {
                (Some(_), Some(last)) if last.slot == item.slot => {
                    let first = last.place.line;
                    if last.insn != item.insn || last.goal.is_some() != item.goal.is_some() {
                        return Err(fail(AsmErrorKind::OtherInstruction { slot, first }));
                    }
                }
                (Some(end), _) if slot != end => return Err(fail(AsmErrorKind::MissingSlot(end))),
                _ => {
                    end = Some(slot.saturating_add(item.insn.slots()));
                    last = Some(item);
                }
            }
            slots[sorted] = slot - base;
        }
        slots[order.len()] = end.unwrap_or_default() - base;
        for (item, _) in self.labels.values_mut() {
            *item = order.iter().position(|at| at == item).unwrap_or(order.len());
        }
        let mut items: Vec<Option<Item>> = self.items.drain(..).map(Some).collect();
        self.items = order.iter().filter_map(|at| items[*at].take()).collect();
        Ok(slots)
    }

    /// The instruction of an item whose name is this.
    fn resolve(&self, at: usize, slots: &[usize], goal: Goal, name: &str) -> Result<Insn, AsmErrorKind> {
        let insn = self.items[at].insn;
        match goal {
            Goal::Label => match self.slot(name, slots) {
                Some(to) => distance(insn, slots[at], to, name),
                None => Err(AsmErrorKind::UndefinedLabel { name: name.to_owned(), nearest: self.nearest(name) }),
            },
            Goal::Section => {
                let first = self.sections.get(name).map_or(0, |item| slots[*item]);
                // The distance of an object's call is from the section's first slot, less one.
                let to = first as i64 + 1 + i64::from(insn.imm as i32);
                distance(insn, slots[at], to, name)
            }
            Goal::Callee => match (self.labels.get(name), helper_id(name)) {
                (Some((item, _)), _) => distance(Insn::new(Opcode::CallLocal), slots[at], slots[*item] as i64, name),
                (None, Some(id)) => Ok(insn.imm(id as i32)),
                (None, None) => Err(match self.nearest(name) {
                    None => unknown_helper(name),
                    nearest => AsmErrorKind::UnknownHelper { name: name.to_owned(), nearest },
                }),
            },
            Goal::Map => match (self.maps)(name) {
                Some(index) => Ok(insn.imm(index as i32)),
                None => Err(AsmErrorKind::UnknownMap(name.to_owned())),
            },
            Goal::Symbol(offset) => match ((self.maps)(name), self.labels.get(name), offset) {
                (Some(index), _, None) => Ok(insn.imm(index as i32)),
                (Some(index), _, Some(offset)) => {
                    let mut insn = Insn { opcode: Opcode::of(Op::Wide(Wide::MapValue)), ..insn }.imm(index as i32);
                    insn.imm_hi = offset as u32;
                    Ok(insn)
                }
                (None, Some((item, _)), None) => {
                    let insn = Insn { opcode: Opcode::of(Op::Wide(Wide::Code)), ..insn };
                    distance(insn, slots[at], slots[*item] as i64, name)
                }
                _ => Err(AsmErrorKind::UnknownSymbol { name: name.to_owned(), nearest: self.nearest(name) }),
            },
        }
    }

    /// The slot of a label; `exit` is the first exit if it is none.
    fn slot(&self, name: &str, slots: &[usize]) -> Option<i64> {
        let exit = || self.items.iter().position(|item| name == "exit" && item.insn.opcode == Opcode::Exit);
        let item = self.labels.get(name).map(|(item, _)| *item).or_else(exit)?;
        Some(slots[item] as i64)
    }

    fn nearest(&self, name: &str) -> Option<String> {
        suggest::nearest(name, self.labels.keys().map(String::as_str))
    }
}

/// The instruction with the distance from its slot to `to`.
fn distance(insn: Insn, slot: usize, to: i64, name: &str) -> Result<Insn, AsmErrorKind> {
    let distance = to - (slot as i64 + 1);
    let too_far = || AsmErrorKind::LabelTooFar { name: name.to_owned(), distance };
    if has_long_distance(insn.op()) {
        return i32::try_from(distance).map(|imm| insn.imm(imm)).map_err(|_| too_far());
    }
    i16::try_from(distance).map(|off| insn.off(off)).map_err(|_| too_far())
}

fn is_call(insn: Insn) -> bool {
    matches!(insn.op(), Op::CallHelper | Op::CallLocal | Op::CallKfunc)
}

/// Whether `llvm-objdump` may print an instruction as if it were `ours`: it leaves out what kind a call or a wide immediate
/// is and what is added to the register of a packet access, and, without `--mcpu`, whether an addition of 32 bits fetches.
fn printed_as(theirs: Insn, ours: Insn) -> bool {
    let operands = |insn: Insn| (insn.dst, insn.src, insn.off);
    match (theirs.op(), ours.op()) {
        (Op::CallLocal | Op::CallKfunc, Op::CallHelper) => theirs.imm == ours.imm,
        (Op::Wide(_), Op::Wide(Wide::Imm64)) => theirs.dst == ours.dst && theirs.wide_imm() == ours.wide_imm(),
        (Op::Packet { mode: Mode::Ind, size }, Op::Packet { mode: Mode::Ind, size: other }) => {
            size == other && theirs.src == ours.src && ours.imm == 0
        }
        (Op::Atomic { op, size, .. }, Op::Atomic { op: other, size: of, .. }) => {
            (op, size) == (other, of) && operands(theirs) == operands(ours)
        }
        _ => false,
    }
}

/// The instruction of these bytes, one slot or two.
fn decode(bytes: &[u8]) -> Result<Insn, encoding::DecodeErrorKind> {
    encoding::decode(bytes).map(|insns| insns[0]).map_err(|error| error.kind)
}
