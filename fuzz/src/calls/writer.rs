//! A program that calls helpers, being written.
//!
//! R6 holds the context, R9 the data that arguments are drawn from and results go to; R7 and R8 are free.

use semantics::helper::{self, ArgKind, Fact, Helper, RetKind};
use semantics::insn::{Insn, Opcode, Reg, Size};
use semantics::map::MapDef;
use semantics::program_type::{Declaration, ProgramType};

use super::argument::{Given, number};
use super::{maps, protocol};
use crate::dice::Dice;

/// Holds the address of the data.
pub(super) const DATA: Reg = Reg::R9;
/// 8-byte places of the frame for memory arguments; those behind them are for dynptrs.
const PLACES: u16 = 24;
/// The most maps.
const MAPS_MAX: usize = 5;

/// See the module.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) dice: &'a mut Dice,
    pub(super) program_type: ProgramType,
    pub(super) insns: Vec<Insn>,
    pub(super) maps: Vec<MapDef>,
    declaration: &'static Declaration,
    /// Bit n: the 8 bytes at `fp - 8 * (n + 1)` are initialised.
    init: u64,
    /// Jumps that lead behind the call being written, and what was initialised there.
    skips: Vec<(usize, u64)>,
    /// Functions that are written at the end: the instruction that names each, and what it is called back for.
    functions: Vec<(usize, Fact)>,
    /// The helper whose call is being written.
    calling: Option<&'static Fact>,
    results: u16,
}

impl<'a> Writer<'a> {
    pub(super) fn new(dice: &'a mut Dice, program_type: ProgramType) -> Writer<'a> {
        Writer {
            dice,
            program_type,
            insns: Vec::with_capacity(96),
            maps: vec![maps::data()],
            declaration: program_type.declaration(),
            init: 0,
            skips: Vec::new(),
            functions: Vec::new(),
            calling: None,
            results: 0,
        }
    }

    pub(super) fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }
    pub(super) fn wide(&mut self, insn: Insn) {
        self.insns.extend([insn, Insn::new(Opcode::WideTail)]);
    }
    pub(super) fn copy(&mut self, dst: Reg, src: Reg) {
        self.push(Insn::new(Opcode::Mov64X).dst(dst).src(src));
    }
    pub(super) fn set(&mut self, dst: Reg, imm: i32) {
        self.push(Insn::new(Opcode::Mov64K).dst(dst).imm(imm));
    }
    /// The load of a size.
    pub(super) fn load_of(size: Size) -> Opcode {
        match size {
            Size::B => Opcode::LdxB,
            Size::H => Opcode::LdxH,
            Size::W => Opcode::LdxW,
            Size::Dw => Opcode::LdxDw,
        }
    }

    pub(super) fn prologue(&mut self) {
        self.copy(Reg::R6, Reg::R1);
        self.wide(Insn::new(Opcode::LddwMapValue).dst(DATA));
    }

    pub(super) fn epilogue(&mut self) {
        self.set(Reg::R0, 0);
        self.push(Insn::new(Opcode::Exit));
        for (at, fact) in std::mem::take(&mut self.functions) {
            let distance = self.insns.len() - at - 1;
            self.insns[at] = self.insns[at].imm(distance as i32);
            protocol::called_back(self, &fact);
        }
    }

    /// Writes a call, with what has to come before and behind it.
    pub(super) fn call(&mut self, helper: &'static Helper) {
        match protocol::of(helper.id) {
            Some(protocol) => protocol(self, helper),
            None => {
                self.one_call(helper);
            }
        }
        self.land();
    }

    /// All jumps over what was just written lead here.
    pub(super) fn land(&mut self) {
        for (jump, init) in std::mem::take(&mut self.skips) {
            self.insns[jump] = self.insns[jump].off((self.insns.len() - jump - 1) as i16);
            self.init &= init;
        }
    }

    /// Leaves what is being written where `reg` is 0.
    pub(super) fn unless_null(&mut self, reg: Reg) {
        self.skips.push((self.insns.len(), self.init));
        self.push(Insn::new(Opcode::Jeq64K).dst(reg));
    }

    /// The call of a helper, and what is done with its result; whether it could be written.
    pub(super) fn one_call(&mut self, helper: &'static Helper) -> bool {
        let fact = helper.fact();
        self.calling = Some(fact);
        let wants = |kind| fact.args.iter().any(|arg| arg.kind == kind);
        let map = wants(ArgKind::ConstMapPtr).then(|| self.map_for(helper));
        if map == Some(None) || (wants(ArgKind::BtfId) && !self.task()) {
            return false;
        }
        let map = map.flatten();
        self.arguments(fact, map);
        self.push(Insn::new(Opcode::Call).imm(helper.id as i32));
        self.result(helper, map);
        true
    }

    /// Writes the arguments of a call that is about this map.
    fn arguments(&mut self, fact: &Fact, map: Option<usize>) {
        let mut sizes = [0; 5];
        let mut given = Vec::with_capacity(5);
        for at in 0..fact.args.len().min(5) {
            given.push(self.plan(fact, at, map, &mut sizes));
        }
        // An ellipsis stands for all arguments that are left. No verifier asks whether they hold anything, and what a register
        // holds that nobody wrote differs between engines.
        if fact.args.last().is_some_and(|arg| arg.kind == ArgKind::Undeclared) {
            while given.len() < Reg::ARGS.len() {
                given.push(Given::Number(number(self.dice)));
            }
        }
        for (reg, given) in Reg::ARGS.into_iter().zip(given) {
            self.give(reg, given);
        }
    }

    /// The current task in R8; whether it can be had.
    fn task(&mut self) -> bool {
        const CURRENT: u32 = helper::id("get_current_task_btf");
        let open = helper::by_id(CURRENT).is_some_and(|helper| helper.fact().is_open_to(self.program_type));
        if open {
            self.push(Insn::new(Opcode::Call).imm(CURRENT as i32));
            self.copy(Reg::R8, Reg::R0);
        }
        open
    }

    /// A map that the helper takes: one that there is, or a new one.
    pub(super) fn map_for(&mut self, helper: &Helper) -> Option<usize> {
        let program_type = self.program_type;
        let fits = |map: &MapDef| map.fields.is_empty() && maps::is_taken(helper, program_type, map.map_type);
        let there: Vec<usize> =
            (1..self.maps.len()).filter(|at| fits(&self.maps[*at]) && self.maps[*at].name != "texts").collect();
        if !there.is_empty() && (self.dice.chance(2, 3) || self.maps.len() >= MAPS_MAX) {
            return Some(self.dice.pick(&there));
        }
        let def = maps::taken_by(helper, program_type, self.dice)?;
        Some(self.add_map(def))
    }

    pub(super) fn add_map(&mut self, mut def: MapDef) -> usize {
        def.name = format!("{}{}", def.name, self.maps.len());
        self.maps.push(def);
        self.maps.len() - 1
    }

    /// The map with the texts.
    pub(super) fn texts(&mut self) -> usize {
        let there = self.maps.iter().position(|map| map.name == "texts");
        there.unwrap_or_else(|| {
            self.maps.push(maps::texts());
            self.maps.len() - 1
        })
    }

    /// Initialised memory of the frame, unless the helper only writes it.
    pub(super) fn stack(&mut self, len: u32, uninit: bool) -> Given {
        let words = len.div_ceil(8).clamp(1, u32::from(PLACES)) as u16;
        // Places overlap now and then: helpers are handed the same memory twice.
        let top = self.dice.below(usize::from(PLACES - words) + 1) as u16;
        let first = if self.dice.chance(1, 3) { 0 } else { top };
        for word in first..first + words {
            if self.init >> word & 1 == 0 && !(uninit && self.dice.chance(1, 2)) {
                let imm = if self.dice.chance(1, 2) { 0 } else { self.dice.imm() };
                self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(-8 * (word as i16 + 1)).imm(imm));
                self.init |= 1 << word;
            }
        }
        Given::Stack(8 * (first + words) as i16)
    }

    /// The start of the packet in R8, where it has `len` bytes; whether there is one.
    pub(super) fn packet(&mut self, len: u32) -> bool {
        let fields = ["data", "data_end"].map(|name| self.declaration.field(name));
        let [Some(data), Some(end)] = fields else { return false };
        if !data.guard.contains(None) || !matches!(data.len, 4 | 8) {
            return false;
        }
        for (reg, field) in [(Reg::R8, data), (Reg::R7, end)] {
            let size = if field.len == 8 { Size::Dw } else { Size::W };
            self.push(Insn::new(Writer::load_of(size)).dst(reg).src(Reg::R6).off(field.offset as i16));
        }
        self.address(Reg::R1, Reg::R8, len as i32);
        self.skips.push((self.insns.len(), self.init));
        self.push(Insn::new(Opcode::Jgt64X).dst(Reg::R1).src(Reg::R7));
        true
    }

    /// The helper whose call is written next.
    pub(super) fn calling(&mut self, fact: &'static Fact) {
        self.calling = Some(fact);
    }

    /// A function that the helper calls back, written later.
    pub(super) fn function(&mut self, reg: Reg) {
        let fact = *self.calling.expect("a call is being written");
        self.functions.push((self.insns.len(), fact));
        self.wide(Insn::new(Opcode::LddwCode).dst(reg));
    }

    /// Keeps a result where the run shows it, and uses what it leads to.
    fn result(&mut self, helper: &Helper, map: Option<usize>) {
        match helper.fact().ret {
            RetKind::Integer | RetKind::BtfIdTrusted | RetKind::BtfId => self.keep(Reg::R0),
            RetKind::MapValueOrNull | RetKind::MapValue => self.value(map),
            _ => {}
        }
    }

    /// Stores a register into the data.
    pub(super) fn keep(&mut self, reg: Reg) {
        let at = self.results % 8;
        self.results += 1;
        self.push(Insn::new(Opcode::StxDw).dst(DATA).src(reg).off(8 * at as i16));
    }

    /// Reads and changes the value that R0 leads to.
    fn value(&mut self, map: Option<usize>) {
        let Some(def) = map.map(|map| &self.maps[map]) else { return };
        let (len, writable) = (def.value_size, !def.is_read_only());
        self.unless_null(Reg::R0);
        if len >= 8 {
            self.push(Insn::new(Opcode::LdxDw).dst(Reg::R1).src(Reg::R0));
            self.keep(Reg::R1);
            if writable && self.dice.chance(1, 2) {
                self.push(Insn::new(Opcode::Add64K).dst(Reg::R1).imm(1));
                self.push(Insn::new(Opcode::StxDw).dst(Reg::R0).src(Reg::R1));
            }
        }
    }
}
