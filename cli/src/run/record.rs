//! What one instruction did: registers, memory, helper calls and where control went.

use corpus::text::hex;
use semantics::helper::{self, ArgKind, ResultClass};
use semantics::insn::{Insn, Op, Size};
use semantics::interpreter::Registers;
use semantics::memory::{Object, layout};
use semantics::program::Program;
use semantics::world::{Effect, World};
use serde_json::{Value, json};

use super::view::{self, Spot, View};

/// The state before an instruction, as far as it is needed to say what the instruction did.
#[derive(Debug)]
pub struct Before {
    pub pc: usize,
    pub retired: u64,
    insn: Insn,
    registers: Registers,
    memory: Touched,
    effects: usize,
}

/// Memory that an instruction may write, as it was.
#[derive(Debug)]
enum Touched {
    Nothing,
    Place { addr: u64, bytes: Option<Vec<u8>> },
    Objects(Vec<Saved>),
}

/// An object as it was.
#[derive(Debug, PartialEq, Eq)]
struct Saved {
    object: Object,
    key: Vec<u8>,
    /// Address of its first byte.
    addr: u64,
    bytes: Vec<u8>,
}

/// Maps with more bytes of values than this are not compared around a helper call; the element that the call names is.
const COMPARED_MAX: u64 = 1 << 20;

/// What one instruction did.
#[derive(Debug)]
pub struct Record {
    pub pc: usize,
    /// Which instruction of the run it was, from 0.
    pub retired: u64,
    /// The frame that it ran in.
    pub depth: u32,
    pub registers: Vec<RegisterChange>,
    pub memory: Vec<MemoryChange>,
    pub calls: Vec<HelperCall>,
    /// Of a conditional jump: whether it was taken.
    pub taken: Option<bool>,
    /// The function that was entered, or the one that was returned to.
    pub frame: Option<(Way, String)>,
}

#[derive(Debug)]
pub struct RegisterChange {
    pub register: usize,
    pub old: u64,
    pub new: u64,
    /// What the new value points to.
    pub name: Option<String>,
    /// Whether the old value is worth a look: the instruction computed with it.
    pub is_update: bool,
}

#[derive(Debug)]
pub struct MemoryChange {
    pub spot: Spot,
    pub name: String,
    /// `None` where there was nothing.
    pub old: Option<Vec<u8>>,
    /// `None` where there is nothing any more.
    pub new: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct HelperCall {
    pub name: &'static str,
    /// Name, value and what the value points to or leads to.
    pub args: Vec<(&'static str, u64, Option<String>)>,
    pub result: u64,
    /// What the result is.
    pub meaning: Option<String>,
}

/// How control came to another function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a call, of the program or of a helper.
    Call,
    /// By a tail call.
    Tail,
    /// By an exit.
    Exit,
}

impl Way {
    /// What the instruction did, if it led to another function.
    fn of(op: Op, slot: usize, depth: u32, view: &View<'_>) -> Option<Way> {
        let deeper = view.depth().cmp(&depth);
        match op {
            Op::CallLocal => Some(Way::Call),
            // A helper calls back.
            Op::CallHelper if deeper.is_gt() => Some(Way::Call),
            Op::CallHelper if deeper.is_eq() && view.pc != slot + 1 => Some(Way::Tail),
            // A helper calls back again.
            Op::Exit if deeper.is_eq() => Some(Way::Call),
            Op::Exit => Some(Way::Exit),
            _ => None,
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Call => "enters",
            Way::Tail => "goes on in",
            Way::Exit => "back in",
        })
    }
}

/// Whether an instruction may change memory.
pub fn writes(insn: &Insn) -> bool {
    let op = insn.op();
    matches!(op, Op::Store { .. } | Op::Atomic { .. } | Op::StoreRelease { .. } | Op::CallHelper | Op::CallKfunc)
}

/// Where an instruction writes memory by itself.
fn place(insn: &Insn, registers: &Registers) -> Option<(u64, Size)> {
    let (Op::Store { size, .. } | Op::Atomic { size, .. } | Op::StoreRelease { size }) = insn.op() else { return None };
    Some((registers[insn.dst.index()].wrapping_add(insn.displacement()), size))
}

impl Before {
    pub fn new(pc: usize, retired: u64, insn: &Insn, registers: &Registers, world: &World) -> Before {
        let memory = match place(insn, registers) {
            Some((addr, size)) => {
                let bytes = world.memory.read(addr, u64::from(size.bytes())).ok().map(<[u8]>::to_vec);
                Touched::Place { addr, bytes }
            }
            None if matches!(insn.op(), Op::CallHelper | Op::CallKfunc) => Touched::Objects(objects(registers, world)),
            None => Touched::Nothing,
        };
        let effects = world.effects.len();
        Before { pc, retired, insn: *insn, registers: *registers, memory, effects }
    }

    /// What the instruction did, now that the run is at `view`. The slots of calls that wait for a return are in `callers`.
    pub fn record(self, view: &View<'_>, ended: bool) -> Record {
        let depth = view::depth(&self.registers);
        let before = View { registers: &self.registers, ..*view };
        let op = self.insn.op();
        let mut memory = self.memory_changes(&before);
        // The last instruction is an exit, or it trapped and did nothing.
        memory.retain(|change| change.old != change.new || !ended);
        let way = Way::of(op, self.pc, depth, view).filter(|_| !ended);
        let (entered, left) = (matches!(way, Some(Way::Call | Way::Tail)), way == Some(Way::Exit));
        let registers = (0..view.registers.len())
            .filter(|at| view.registers[*at] != self.registers[*at] || (self.is_written(*at) && !ended))
            .filter(|at| !(entered || left) || *at == 0)
            .filter(|at| way.is_none() || view.registers[*at] != self.registers[*at])
            .map(|at| RegisterChange {
                register: at,
                old: self.registers[at],
                new: view.registers[at],
                name: view.name(view.registers[at]),
                is_update: at == self.insn.dst.index() && op.reads_dst() && view.registers[at] != self.registers[at],
            })
            .collect();
        let calls = view.world.effects[self.effects.min(view.world.effects.len())..].iter();
        Record {
            pc: self.pc,
            retired: self.retired,
            depth,
            registers,
            memory,
            calls: calls.map(|effect| HelperCall::new(effect, &before, true)).collect(),
            taken: matches!(op, Op::Jump { .. })
                .then(|| view.pc as i64 == self.insn.target(self.pc))
                .filter(|_| !ended),
            frame: way.map(|way| (way, view::function(view.program, view.pc))),
        }
    }

    /// Whether the instruction names this register as its destination, whatever it became.
    fn is_written(&self, register: usize) -> bool {
        let op = self.insn.op();
        register == self.insn.dst.index() && op.writes_dst()
            || register == 0 && matches!(op, Op::CallHelper | Op::CallKfunc | Op::Packet { .. })
    }

    fn memory_changes(&self, view: &View<'_>) -> Vec<MemoryChange> {
        match &self.memory {
            Touched::Nothing | Touched::Place { bytes: None, .. } => Vec::new(),
            Touched::Place { addr, bytes: Some(old) } => {
                let Some(spot) = view.spot(*addr) else { return Vec::new() };
                let new = view.world.memory.peek(*addr, old.len() as u64).to_vec();
                vec![MemoryChange { name: view.name_of(&spot), spot, old: Some(old.clone()), new: Some(new) }]
            }
            Touched::Objects(old) => differences(old, &objects(&self.registers, view.world), view),
        }
    }
}

/// Everything that a helper may write.
fn objects(registers: &Registers, world: &World) -> Vec<Saved> {
    let mut saved = Vec::new();
    let memory = &world.memory;
    let mut save = |object, key: &[u8], addr: u64, len: u64| {
        saved.push(Saved { object, key: key.to_vec(), addr, bytes: memory.peek(addr, len).to_vec() });
    };
    for region in memory.regions().filter(|region| !matches!(region.object, Object::MapValue(_))) {
        save(region.object, &[], region.base, region.len);
    }
    let named = layout::map_of_handle(registers[1]);
    for (index, map) in world.maps.iter().enumerate() {
        let (object, len) = (Object::MapValue(index as u32), u64::from(map.def.value_size));
        if u64::from(map.def.max_entries) * len <= COMPARED_MAX {
            // Where each CPU has a value, that of the current one.
            map.ops.each(&mut |key, addresses| {
                if let Some(addr) = map.ops.find(key).or(addresses.first().copied()) {
                    save(object, key, addr, len);
                }
            });
        } else if named == Some(index)
            && let Ok(key) = memory.read(registers[2], u64::from(map.def.key_size))
            && let Some(addr) = map.ops.find(key)
        {
            save(object, key, addr, len);
        }
    }
    saved
}

/// What is not as it was, in the order of objects.
fn differences(old: &[Saved], new: &[Saved], view: &View<'_>) -> Vec<MemoryChange> {
    let by_key = |all: &[Saved]| -> std::collections::BTreeMap<(Object, Vec<u8>), usize> {
        all.iter().enumerate().map(|(at, saved)| ((saved.object, saved.key.clone()), at)).collect()
    };
    let (before, after) = (by_key(old), by_key(new));
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut changes = Vec::new();
    for name in names {
        let was = before.get(name).map(|at| &old[*at]);
        let is = after.get(name).map(|at| &new[*at]);
        if was.map(|saved| &saved.bytes) == is.map(|saved| &saved.bytes) {
            continue;
        }
        // Of an object that stays as long as it was, the bytes from the first to the last that changed.
        let (from, to) = match (was, is) {
            (Some(was), Some(is)) if was.bytes.len() == is.bytes.len() && !matches!(name.0, Object::MapValue(_)) => {
                let differs = |at: &usize| was.bytes[*at] != is.bytes[*at];
                let len = was.bytes.len();
                ((0..len).find(differs).unwrap_or(0), (0..len).rev().find(differs).map_or(len, |last| last + 1))
            }
            _ => (0, usize::MAX),
        };
        let part = |saved: &Saved| saved.bytes[from..to.min(saved.bytes.len())].to_vec();
        let offset = match name.0 {
            Object::Frame(_) => from as i64 - layout::FRAME_LEN as i64,
            _ => from as i64,
        };
        let spot = Spot { object: name.0, key: name.1.clone(), offset };
        changes.push(MemoryChange { name: view.name_of(&spot), spot, old: was.map(part), new: is.map(part) });
    }
    changes
}

impl HelperCall {
    /// A call. `now`: the bytes that its arguments point to are still those that it was given.
    pub fn new(effect: &Effect, view: &View<'_>, now: bool) -> HelperCall {
        let Effect::Call { helper, args, result, class } = effect;
        let fact = helper::fact(*helper);
        let describe = |at: usize, value: u64| {
            let name = view.name(value);
            let name = name.map(|name| name.strip_prefix("map ").map_or_else(|| name.clone(), ToOwned::to_owned));
            if !now {
                return name;
            }
            let kind = fact.and_then(|fact| fact.args.get(at)).map(|arg| arg.kind);
            let map = layout::map_of_handle(args[0]).and_then(|map| view.world.maps.get(map));
            let len = match (kind, map) {
                (Some(ArgKind::MapKey), Some(map)) => map.def.key_size,
                (Some(ArgKind::MapValue), Some(map)) => map.def.value_size,
                _ => return name,
            };
            match (name, view.world.memory.read(value, u64::from(len))) {
                (Some(name), Ok(bytes)) => Some(format!("{name} {{{}}}", hex(bytes))),
                (name, _) => name,
            }
        };
        let count = fact.map_or(0, |fact| fact.args.len().min(5));
        let names = fact.map_or(&[][..], |fact| fact.args);
        let args = (0..count).map(|at| (names[at].name, args[at], describe(at, args[at]))).collect();
        let meaning = match class {
            ResultClass::Null | ResultClass::Error(_) => Some(class.to_string()),
            _ => view.name(*result),
        };
        HelperCall { name: fact.map_or("?", |fact| fact.name), args, result: *result, meaning }
    }
}

impl std::fmt::Display for HelperCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(", self.name)?;
        for (at, (name, value, meaning)) in self.args.iter().enumerate() {
            let meaning = meaning.clone().unwrap_or_else(|| format!("{value:#x}"));
            write!(f, "{}{name}={meaning}", if at > 0 { ", " } else { "" })?;
        }
        match &self.meaning {
            Some(meaning) => write!(f, ") = {meaning}"),
            None => write!(f, ") = {:#x}", self.result),
        }
    }
}

impl HelperCall {
    pub fn json(&self) -> Value {
        let args = self.args.iter();
        let args: Vec<Value> = args
            .map(|(name, value, meaning)| json!({"name": name, "value": format!("{value:#x}"), "points_to": meaning}))
            .collect();
        json!({"helper": self.name, "args": args, "result": format!("{:#x}", self.result), "meaning": self.meaning})
    }
}

impl std::fmt::Display for RegisterChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RegisterChange { register, old, new, name, is_update } = self;
        if *is_update && name.is_none() {
            return write!(f, "r{register} {old:#x} -> {new:#x}");
        }
        write!(f, "r{register} = {new:#x}")?;
        name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

impl std::fmt::Display for MemoryChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or("none".to_owned(), |bytes| hex(bytes));
        let len = self.new.as_ref().or(self.old.as_ref()).map_or(0, Vec::len);
        // A whole element needs no length behind its name.
        match (self.spot.object, self.spot.offset) {
            (Object::MapValue(_), 0) if self.old.is_none() || self.new.is_none() => write!(f, "{}", self.name)?,
            _ => write!(f, "{}:{len}", self.name)?,
        }
        if self.old == self.new {
            return write!(f, " = {}", show(&self.new));
        }
        write!(f, " {} -> {}", show(&self.old), show(&self.new))
    }
}

impl Record {
    /// What it did, on one line.
    pub fn effects(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.calls.iter().map(ToString::to_string));
        let called = !self.calls.is_empty();
        parts.extend(self.registers.iter().filter(|change| !(called && change.register == 0)).map(ToString::to_string));
        parts.extend(self.memory.iter().map(ToString::to_string));
        match self.taken {
            Some(true) => parts.push("taken".to_owned()),
            Some(false) => parts.push("not taken".to_owned()),
            None => {}
        }
        if let Some((way, function)) = &self.frame {
            parts.push(format!("{way} {function}"));
        }
        parts.join("; ")
    }

    /// The fields of the record as JSON.
    pub fn json(&self, program: &Program, listing: &[String]) -> Value {
        let source = program.debug().line_at(self.pc);
        let source = source
            .map(|line| json!({"file": line.file, "line": line.line, "column": line.column, "text": line.text.trim()}));
        let registers: serde_json::Map<String, Value> = self
            .registers
            .iter()
            .map(|RegisterChange { register, old, new, name, .. }| {
                let value = json!({"old": format!("{old:#x}"), "new": format!("{new:#x}"), "points_to": name});
                (format!("r{register}"), value)
            })
            .collect();
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|change| {
                let mut value = view::json(program, &change.spot);
                value["name"] = change.name.clone().into();
                value["old"] = change.old.as_ref().map(|bytes| hex(bytes)).into();
                value["new"] = change.new.as_ref().map(|bytes| hex(bytes)).into();
                value
            })
            .collect();
        json!({
            "type": "insn", "n": self.retired, "pc": self.pc, "depth": self.depth, "insn": listing[self.pc],
            "source": source, "registers": registers, "memory": memory,
            "call": self.calls.first().map(HelperCall::json), "taken": self.taken, "function": self.frame.as_ref().map(|(_, function)| function),
        })
    }
}

/// The text of each slot's instruction: jumps with the slots they lead to, calls and maps with their names.
pub fn listing(program: &Program) -> Vec<String> {
    let mut listing = vec![String::new(); program.insns().len()];
    for line in semantics::disasm::disassemble_program(program).lines() {
        if let Some((slot, text)) = line.split_once(": ")
            && let Ok(slot) = slot.trim().parse::<usize>()
            && let Some(place) = listing.get_mut(slot)
        {
            text.clone_into(place);
        }
    }
    for (slot, insn) in program.instructions() {
        match insn.op() {
            Op::CallHelper => {
                if let Some(fact) = helper::fact(insn.imm) {
                    listing[slot] = format!("call {}", fact.name);
                }
            }
            Op::CallLocal => {
                if let Ok(target) = usize::try_from(insn.target(slot)) {
                    listing[slot] = format!("call {}", view::function(program, target));
                }
            }
            _ => {}
        }
    }
    listing
}
