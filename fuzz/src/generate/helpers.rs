//! Calls of helpers in generated programs, from their declarations.

use semantics::helper::{Arg, ArgKind, Fact, Helper, RetKind};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::map::{MapDef, MapType};

use super::{Kind, Writer};

impl Writer<'_> {
    /// Calls a helper, from its declaration.
    pub(super) fn call(&mut self) {
        if self.generator.helpers.is_empty() {
            return;
        }
        let helper = self.dice.pick(&self.generator.helpers);
        if helper.fact().ret == RetKind::Integer {
            self.call_of(helper);
        }
    }

    /// `map_lookup_elem` or whatever else yields a map value, with the NULL check.
    pub(super) fn lookup(&mut self, depth: usize) {
        let found = self.generator.helpers.iter().find(|h| h.fact().ret == RetKind::MapValueOrNull);
        let Some(helper) = found.copied().filter(|_| depth < 3) else { return };
        let Some(map) = self.call_of(helper) else { return };
        let keep = self.dice.pick(&[Reg::R0, Reg::R0, Reg::R9]);
        if keep != Reg::R0 {
            self.push(Insn::new(Opcode::Mov64X).dst(keep).src(Reg::R0));
        }
        self.set(keep, Kind::Nothing);
        self.push(Insn::new(Opcode::Jeq64K).dst(keep).imm(0));
        let jump = self.insns.len() - 1;
        let before = self.sketch;
        self.set(keep, Kind::Value(map));
        self.value();
        self.block(depth + 1);
        self.land(jump);
        self.sketch.meet(&before);
    }

    /// Writes arguments and call; the map that it was about.
    fn call_of(&mut self, helper: &Helper) -> Option<u8> {
        let fact = helper.fact();
        if !fact.is_open_to(self.program_type) {
            return None;
        }
        let wants_context = fact.args.iter().any(|arg| arg.kind == ArgKind::Ctx);
        if wants_context && self.kind(Reg::R6) != Kind::Context {
            return None;
        }
        let map = (!self.maps.is_empty()).then(|| self.dice.below(self.maps.len()) as u8);
        if map.is_none() && fact.args.iter().any(|arg| arg.kind == ArgKind::ConstMapPtr) {
            return None;
        }
        let map = map.unwrap_or(0);
        if self.maps.get(usize::from(map)).is_some_and(|map| !is_taken(fact, map)) {
            return None;
        }
        // Memory first: writing it may take registers that the arguments are about to hold.
        for arg in fact.args {
            let len = self.memory_len(arg, map);
            for place in 0..len.div_ceil(8) as usize {
                if self.sketch.stack >> place & 1 == 0 {
                    let imm = if self.dice.chance(1, 2) { 0 } else { self.dice.below(3) as i32 };
                    self.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(-8 * (place as i16 + 1)).imm(imm));
                    self.sketch.stack |= 1 << place;
                }
            }
        }
        for (arg, reg) in fact.args.iter().zip(Reg::ARGS) {
            self.argument(arg, reg, map);
        }
        self.push(Insn::new(Opcode::Call).imm(helper.id as i32));
        for reg in Reg::ARGS {
            self.set(reg, Kind::Nothing);
        }
        self.set(Reg::R0, if fact.ret == RetKind::Integer { Kind::Scalar } else { Kind::Nothing });
        Some(map)
    }

    /// Bytes of stack that an argument points to.
    fn memory_len(&self, arg: &Arg, map: u8) -> u32 {
        match (arg.kind, self.maps.get(usize::from(map))) {
            (ArgKind::MapKey, Some(map)) => map.key_size,
            (ArgKind::MapValue, Some(map)) => map.value_size,
            _ => 0,
        }
    }

    fn argument(&mut self, arg: &Arg, reg: Reg, map: u8) {
        match arg.kind {
            ArgKind::ConstMapPtr => self.push(Insn::new(Opcode::LddwMap).dst(reg).imm(i32::from(map))),
            ArgKind::MapKey | ArgKind::MapValue => {
                let len = self.memory_len(arg, map).next_multiple_of(8) as i32;
                self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::FP));
                self.push(Insn::new(Opcode::Add64K).dst(reg).imm(-len));
            }
            ArgKind::Ctx => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R6)),
            _ => {
                // Flags and numbers: mostly small, so that every documented result occurs.
                let imm = if self.dice.chance(3, 4) { self.dice.below(4) as i32 } else { self.dice.imm() };
                self.push(Insn::new(Opcode::Mov64K).dst(reg).imm(imm));
            }
        }
        self.set(reg, Kind::Nothing);
    }
}

/// Whether a helper on maps takes this one.
fn is_taken(fact: &Fact, map: &MapDef) -> bool {
    let has_key = fact.args.iter().any(|arg| arg.kind == ArgKind::MapKey);
    match fact.name {
        "map_lookup_percpu_elem" => map.is_per_cpu(),
        "map_push_elem" | "map_peek_elem" => map.key_size == 0,
        "map_pop_elem" => map.key_size == 0 && map.map_type != MapType::BLOOM_FILTER,
        _ => !has_key || map.key_size > 0,
    }
}
