//! Calls of helpers on the path: lookups find elements that the input has or not; what else is left open is open within the
//! declared results.

use super::Lack;
use super::follow::{Element, Fault, Follower, Origin};
use super::memory::{at, number};
use crate::sym::{SFlag, Sym};
use semantics::helper;
use semantics::insn::Reg;
use semantics::map::MapType;
use semantics::memory::{Region, layout};
use semantics::word::{Flag, Word};
use semantics::world::WorldConfig;
use verifier::Refusal;
use z3::ast::Bool;

impl Follower<'_> {
    /// What a helper returns, and what it does.
    pub fn helper(&mut self, id: u32) -> Result<Sym<64>, Fault> {
        let insn = self.pc();
        let name = helper::fact(id).map_or("a helper", |fact| fact.name);
        let lack = || Fault::Lack(Lack::Helper { insn, name });
        if self.is_last() {
            return Err(self.refused_argument(id).ok_or(Lack::NoAccess)?);
        }
        match name {
            "map_lookup_elem" => self.lookup().ok_or_else(lack)?,
            "map_update_elem" => self.update().ok_or_else(lack)?,
            "ktime_get_ns" => {
                let clock = self.clock.get_or_insert_with(|| Sym::new("clock_ns")).clone();
                let step = Sym::lit(WorldConfig::default().clock_step_ns * self.readings);
                self.readings += 1;
                if self.readings > 1 {
                    self.restricted.get_or_insert("the clock moves on by a microsecond per reading");
                }
                Ok(clock.add(&step))
            }
            "get_prandom_u32" => {
                self.draws += 1;
                let value = self.fresh("random");
                let fits = value.ult(&Sym::lit(1 << 32));
                self.holds(&fits);
                Ok(value)
            }
            _ => self.any_result(id).ok_or_else(lack),
        }
    }

    /// A helper that only answers: any of its declared results.
    fn any_result(&mut self, id: u32) -> Option<Sym<64>> {
        use helper::{Arg, ArgKind, Change, ResultClass, RetKind};
        let helper = helper::by_id(id)?;
        let fact = helper.fact();
        let is_plain = |arg: &Arg| {
            let kinds = [
                ArgKind::Anything,
                ArgKind::Ctx,
                ArgKind::ConstMapPtr,
                ArgKind::Mem,
                ArgKind::ConstSize,
                ArgKind::ConstSizeOrZero,
            ];
            kinds.contains(&arg.kind) && !arg.is(Arg::UNINIT)
        };
        let changes_nothing = helper.changes.iter().all(|change| matches!(change, Change::Clock | Change::Random));
        if !matches!(fact.ret, RetKind::Integer | RetKind::Void)
            || !fact.args.iter().all(is_plain)
            || !changes_nothing
            || fact.changes_packet()
        {
            return None;
        }
        let value = self.fresh(fact.name);
        let classes: Option<Vec<SFlag>> = helper
            .results
            .iter()
            .map(|class| {
                Some(match class {
                    ResultClass::Success | ResultClass::Null => value.is_zero(),
                    ResultClass::U64 => SFlag::lit(true),
                    ResultClass::U32 => value.ult(&Sym::lit(1 << 32)),
                    ResultClass::Error(errno) => value.same(&Sym::lit(errno.result())),
                    ResultClass::Range(first, last) => {
                        let at = |bound: &i64| Sym::lit(*bound as u64);
                        value.slt(&at(first)).not().and(&at(last).slt(&value).not())
                    }
                    ResultClass::MapValue
                    | ResultClass::Map
                    | ResultClass::Record
                    | ResultClass::Kernel
                    | ResultClass::Memory => return None,
                })
            })
            .collect();
        let possible = classes?.into_iter().fold(SFlag::lit(false), |all, class| all.or(&class));
        self.holds(&possible);
        Some(value)
    }

    /// The memory that the last instruction, a call, is refused for.
    fn refused_argument(&self, id: u32) -> Option<Fault> {
        let reg = self.rejection.register()?;
        let fact = helper::fact(id)?;
        let arg = fact.args.get(usize::from(reg.number()).checked_sub(1)?)?;
        let size = match self.rejection.refusal {
            Refusal::PacketBounds { size, .. }
            | Refusal::PacketRegion { size, .. }
            | Refusal::MapBounds { size, .. }
            | Refusal::StackBounds { size, .. }
            | Refusal::VariableStackBounds { size, .. } => size,
            _ => {
                let map = self.program.maps().get(layout::map_of_handle(self.regs[1].literal()?)?)?;
                i64::from(match arg.kind {
                    helper::ArgKind::MapKey => map.key_size,
                    helper::ArgKind::MapValue => map.value_size,
                    _ => return None,
                })
            }
        };
        Some(Fault::Reached(self.regs[reg.index()].clone(), u64::try_from(size).ok()?))
    }

    /// The map that R1 names, with the region of its values.
    fn map(&self) -> Option<(usize, Region)> {
        let map = layout::map_of_handle(self.regs[1].literal()?)?;
        Some((map, self.values(map)?))
    }

    fn key(&mut self, map: usize) -> Result<Vec<Sym<8>>, Fault> {
        let size = u64::from(self.program.maps()[map].key_size);
        let addr = self.regs[2].clone();
        self.read(&addr, size, Reg::R2)
    }

    /// The element of an array under a key: its address, and whether there is one.
    fn element(key: &[Sym<8>], region: &Region) -> (Sym<64>, SFlag) {
        let index = number(key);
        let addr = Sym::lit(region.base).add(&index.mul(&Sym::lit(region.stride)));
        (addr, index.ult(&Sym::lit(region.count)))
    }

    fn lookup(&mut self) -> Option<Result<Sym<64>, Fault>> {
        let (map, region) = self.map()?;
        let def = &self.program.maps()[map];
        let value_len = Sym::lit(def.value_size.into());
        let key = match self.key(map) {
            Ok(key) => key,
            Err(fault) => return Some(Err(fault)),
        };
        let (addr, present) = match def.map_type {
            MapType::ARRAY => Self::element(&key, &region),
            MapType::HASH => self.hash_element(map, &key, &region)?,
            _ => return None,
        };
        let is_created = def.map_type == MapType::HASH;
        let is_new = !self.elements.iter().any(|element| element.map == map && element.addr.term() == addr.term());
        if is_new {
            self.elements.push(Element { map, key, addr: addr.clone(), present: present.clone(), is_created });
        }
        self.origin = Some(Origin { base: addr.clone(), len: value_len });
        Some(Ok(Sym::select(&present, &addr, &Sym::lit(0))))
    }

    /// The element of a hash: elements of the input lie in the order of their lookups.
    fn hash_element(&mut self, map: usize, key: &[Sym<8>], region: &Region) -> Option<(Sym<64>, SFlag)> {
        let def = &self.program.maps()[map];
        if self.updated.contains(&map) || def.contents != semantics::map::Contents::Empty {
            return None;
        }
        let mut before = Sym::<64>::lit(0);
        let mut conditions = Vec::new();
        for element in self.elements.iter().filter(|element| element.map == map) {
            if element.key.iter().zip(key).all(|(a, b)| a.term() == b.term()) {
                return Some((element.addr.clone(), element.present.clone()));
            }
            let same = element.key.iter().zip(key).fold(SFlag::lit(true), |all, (a, b)| all.and(&a.same(b)));
            conditions.push(same.not());
            before = Sym::select(&element.present, &before.add(&Sym::lit(1)), &before);
        }
        // Of elements that are made in order it is the one behind so many others.
        let slots = semantics::map::first_slots(def, conditions.len() + 1);
        let slot = (0..).zip(&slots).fold(Sym::<64>::lit(0), |slot, (number, at)| {
            Sym::select(&before.same(&Sym::lit(number)), &Sym::lit(u64::from(*at)), &slot)
        });
        if !conditions.is_empty() {
            self.restricted.get_or_insert("keys of one map differ that might be the same");
        }
        let present = SFlag::from(Bool::new_const(format!("element_{}", self.elements.len())));
        conditions.push(present.not().or(&before.ult(&Sym::lit(def.max_entries.into()))));
        for condition in conditions {
            self.holds(&condition);
        }
        Some((Sym::lit(region.base).add(&slot.mul(&Sym::lit(region.stride))), present))
    }

    fn update(&mut self) -> Option<Result<Sym<64>, Fault>> {
        let (map, region) = self.map()?;
        let def = &self.program.maps()[map];
        if self.regs[4].literal()? != semantics::map::update::ANY {
            return None;
        }
        if def.map_type == MapType::HASH {
            self.updated.push(map);
            self.restricted.get_or_insert("updates of hashes succeed");
            return Some(Ok(Sym::lit(0)));
        }
        if def.map_type != MapType::ARRAY {
            return None;
        }
        let value = self.regs[3].clone();
        let read = self.key(map).and_then(|key| Ok((key, self.read(&value, def.value_size.into(), Reg::R3)?)));
        let (key, stored) = match read {
            Ok(read) => read,
            Err(fault) => return Some(Err(fault)),
        };
        let (addr, present) = Self::element(&key, &region);
        for (k, byte) in (0..).zip(&stored) {
            let place = at(&addr, k);
            let byte = Sym::select(&present, byte, &self.memory.byte(&place));
            self.memory.set_byte(&place, &byte);
        }
        Some(Ok(Sym::select(&present, &Sym::lit(0), &Sym::lit(semantics::map::Errno::E2big.result()))))
    }
}
