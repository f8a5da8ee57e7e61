//! Calls of every kind: functions, helpers, callbacks, tail calls, and what helpers need.

use semantics::helper::{self, ArgKind, Helper, RetKind};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::map::MapType;
use semantics::memory::layout;

use super::swarm::Family;
use super::writer::{Callee, Entry, Holds, Place, Writer};

impl Writer<'_> {
    /// A call of another function, or its address.
    pub(super) fn call_any(&mut self) {
        if self.callees.is_empty() || !self.may_call() {
            return;
        }
        let callee = self.callees[self.dice.below(self.callees.len())];
        if self.dice.chance(1, 8)
            && let Some(opcode) = self.row(Family::Code)
        {
            let dst = self.free();
            self.link_code(opcode, dst, callee);
        } else if self.affords(callee.cost) {
            self.call(callee);
        }
    }

    /// `bpf_loop`, with a function that may be called back.
    pub(super) fn callback(&mut self) {
        let fit: Vec<Callee> = self.callees.iter().filter(|it| it.entry == Entry::Callback).copied().collect();
        let turns = self.dice.pick(&[0, 1, 2, 3, 5]);
        if fit.is_empty() || !self.may_call() {
            return;
        }
        let callee = self.dice.pick(&fit);
        let Some(code) = self.row(Family::Code).filter(|_| self.affords(turns * callee.cost)) else { return };
        // Only the low half of the number of turns counts.
        let above = if self.dice.chance(1, 4) { self.dice.bits() << 32 } else { 0 };
        self.number(Reg::R1, turns | above);
        self.link_code(code, Reg::R2, callee);
        let (src, flags) = (self.any(), self.dice.pick(&[0, 0, 0, 0, 0, 0, 0, 1]));
        self.put(Reg::R3, Insn::new(Opcode::Mov64X).src(src));
        self.put(Reg::R4, Insn::new(Opcode::Mov64K).imm(flags));
        self.push(Insn::new(Opcode::Call).imm(helper::id("loop") as i32));
        self.cost += self.rounds * turns * callee.cost;
        self.returned();
    }

    /// A tail call: to another program, to this one, or nowhere.
    pub(super) fn tail_call(&mut self) {
        let Some(programs) = self.plan.programs.filter(|_| self.may_call()) else { return };
        // The context lies where it lies, also for a function that did not get it.
        self.put(Reg::R1, Insn::new(Opcode::Lddw).wide(layout::CONTEXT));
        self.put(Reg::R2, Insn::new(Opcode::LddwMap).imm(i32::from(programs)));
        let index = self.dice.pick(&[0, 1, 2, 3, 3, 4, 5, u64::from(u32::MAX)]);
        let above = if self.dice.chance(1, 4) { self.dice.bits() << 32 } else { 0 };
        self.number(Reg::R3, index | above);
        self.push(Insn::new(Opcode::Call).imm(helper::tail_call::ID as i32));
        // Where it falls through nothing is returned.
        let value = self.dice.wide();
        self.number(Reg::R0, value);
        self.returned();
    }

    /// A call with an argument that the helper refuses: the program ends, from however deep it is. Rare: what comes
    /// behind is not executed.
    pub(super) fn trap(&mut self) {
        let elements = &self.plan.generator.elements;
        if elements.is_empty() || !self.may_call() || !self.dice.chance(1, 8) {
            return;
        }
        let helper: &Helper = self.dice.pick(elements);
        self.number(Reg::R1, 0);
        self.push(Insn::new(Opcode::Call).imm(helper.id as i32));
        self.returned();
    }

    /// A helper that takes numbers.
    pub(super) fn helper(&mut self) {
        let plain = &self.plan.generator.plain;
        if plain.is_empty() || !self.may_call() {
            return;
        }
        let helper = self.dice.pick(plain);
        self.push(Insn::new(Opcode::Call).imm(helper.id as i32));
        self.returned();
    }

    /// The handle of a map, or the address of its value if it has only one.
    pub(super) fn map_name(&mut self) {
        if self.plan.maps.is_empty() {
            return;
        }
        let map = self.dice.below(self.plan.maps.len()) as u8;
        let dst = self.free();
        let def = &self.plan.maps[usize::from(map)];
        if def.map_type == MapType::ARRAY
            && def.max_entries == 1
            && self.dice.chance(1, 2)
            && let Some(opcode) = self.row(Family::MapValue)
        {
            let offset = self.dice.below(def.value_size as usize) as i32;
            let insn = Insn { imm_hi: offset as u32, ..Insn::new(opcode).dst(dst).imm(i32::from(map)) };
            self.push(insn);
            self.set(dst, Holds::Address(Place::Value(map), offset));
        } else if let Some(opcode) = self.row(Family::Map) {
            self.put(dst, Insn::new(opcode).imm(i32::from(map)));
        }
    }

    /// A helper on an element of a map: looked up, changed or deleted.
    pub(super) fn element(&mut self) {
        let elements = &self.plan.generator.elements;
        if elements.is_empty() || self.plan.maps.is_empty() || !self.may_call() {
            return;
        }
        let helper: &Helper = self.dice.pick(elements);
        let map = self.dice.below(self.plan.maps.len()) as u8;
        let def = &self.plan.maps[usize::from(map)];
        let wants_cpus = helper.id == helper::id("map_lookup_percpu_elem");
        if def.map_type == MapType::PROG_ARRAY || def.key_size == 0 || wants_cpus && !def.is_per_cpu() {
            return;
        }
        // Small keys, so that they repeat.
        let (key, value) = (-16 * (1 + self.dice.below(4) as i32), -512 + 8 * self.dice.below(20) as i32);
        for at in 0..def.key_size.div_ceil(4) as i16 {
            let imm = if at == 0 { self.dice.below(3) as i32 } else { 0 };
            self.push(Insn::new(Opcode::StW).dst(Reg::FP).off(key as i16 + 4 * at).imm(imm));
        }
        for (arg, reg) in helper.fact().args.iter().zip(Reg::ARGS) {
            match arg.kind {
                ArgKind::ConstMapPtr => {
                    let opcode = self.row(Family::Map).unwrap_or(Opcode::LddwMap);
                    self.put(reg, Insn::new(opcode).imm(i32::from(map)));
                }
                ArgKind::MapKey | ArgKind::MapValue => {
                    let place = if arg.kind == ArgKind::MapKey { key } else { value };
                    self.put(reg, Insn::new(Opcode::Mov64X).src(Reg::FP));
                    self.put(reg, Insn::new(Opcode::Add64K).imm(place));
                }
                _ => {
                    let imm = self.dice.below(4) as i32;
                    self.put(reg, Insn::new(Opcode::Mov64K).imm(imm));
                }
            }
        }
        self.push(Insn::new(Opcode::Call).imm(helper.id as i32));
        self.returned();
        if helper.fact().ret == RetKind::MapValueOrNull {
            self.found(map);
        }
    }

    /// Accesses the value that a lookup gave, if it gave one.
    fn found(&mut self, map: u8) {
        let slots = 2 + self.dice.below(8);
        self.jump_over(Insn::new(Opcode::Jeq64K).dst(Reg::R0), slots);
        self.set(Reg::R0, Holds::Address(Place::Value(map), 0));
        for _ in 0..=self.dice.below(3) {
            match self.dice.below(3) {
                0 => self.store(),
                1 => self.atomic(),
                _ => self.load(),
            }
        }
    }

    /// A call returned: R1 to R5 are open until something is written to them.
    pub(super) fn returned(&mut self) {
        self.set(Reg::R0, Holds::Number);
        for reg in Reg::ARGS {
            match self.dice.below(8) {
                0 => {
                    let src = self.dice.pick(&[Reg::R0, Reg::R6, Reg::R7, Reg::R8, Reg::R9, Reg::FP]);
                    self.put(reg, Insn::new(Opcode::Mov64X).src(src));
                    self.set(reg, self.holds[src.index()]);
                }
                1 => {
                    let off = -8 * (1 + self.dice.below(64) as i16);
                    self.put(reg, Insn::new(Opcode::LdxDw).src(Reg::FP).off(off));
                }
                2 => self.seed(reg),
                _ => {
                    let imm = self.dice.imm();
                    self.put(reg, Insn::new(Opcode::Mov64K).imm(imm));
                }
            }
        }
    }
}
