//! Registers and addresses in the words of a program: `packet+14`, `fp-8`, `counts[11000000]+4`.

use std::fmt::Write;

use corpus::text::hex;
use semantics::insn::Reg;
use semantics::interpreter::Registers;
use semantics::map::MapType;
use semantics::memory::{Object, layout};
use semantics::program::Program;
use semantics::world::World;

/// A run at one moment, before the instruction at `pc`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub program: &'a Program,
    pub world: &'a World,
    pub registers: &'a Registers,
    pub pc: usize,
    /// Instructions that were executed before.
    pub retired: u64,
}

/// The byte of an object that an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub object: Object,
    /// The key of a map element, else empty.
    pub key: Vec<u8>,
    /// Bytes from the object's start; from its upper end, and negative, in a frame.
    pub offset: i64,
}

/// The number of the frame that this frame pointer belongs to.
pub fn depth(registers: &Registers) -> u32 {
    (registers[Reg::FP.index()].wrapping_sub(layout::frame_top(0)) / layout::FRAME_STRIDE) as u32
}

/// What a run calls the function that holds `slot`.
pub fn function(program: &Program, slot: usize) -> String {
    if let Some((_, name)) = program.debug().function_at(slot) {
        return name.to_owned();
    }
    match program.subprograms().iter().rev().find(|start| **start <= slot) {
        None | Some(0) => program.name().to_owned(),
        Some(start) => match program.targets().iter().find(|target| target.start == *start) {
            Some(target) => target.name.clone(),
            None => format!("L{start}"),
        },
    }
}

impl View<'_> {
    /// Which frame is on top.
    pub fn depth(&self) -> u32 {
        depth(self.registers)
    }

    /// What lies at an address.
    pub fn spot(&self, addr: u64) -> Option<Spot> {
        let (object, part) = self.world.memory.object_at(addr)?;
        let offset = match object {
            Object::Frame(depth) => addr.wrapping_sub(layout::frame_top(u64::from(depth))) as i64,
            _ => (addr - part) as i64,
        };
        let key = match object {
            Object::MapValue(map) => self.key(map as usize, part),
            _ => Vec::new(),
        };
        Some(Spot { object, key, offset })
    }

    /// The key of the element whose value lies at `part`; empty if it is no element any more.
    fn key(&self, map: usize, part: u64) -> Vec<u8> {
        let Some(of) = self.world.maps.get(map) else { return Vec::new() };
        let mut found = Vec::new();
        if of.def.map_type == MapType::ARRAY
            && let Some(region) = self.world.memory.regions().find(|r| r.object == Object::MapValue(map as u32))
        {
            return (((part - region.base) / region.stride) as u32).to_le_bytes().to_vec();
        }
        of.ops.each(&mut |key, addresses| {
            if addresses.contains(&part) {
                found = key.to_vec();
            }
        });
        found
    }

    /// What an address is called; `None` if it leads nowhere.
    pub fn name(&self, addr: u64) -> Option<String> {
        if let Some(map) = layout::map_of_handle(addr).and_then(|map| self.program.maps().get(map)) {
            return Some(format!("map {}", map.name));
        }
        if let Some(spot) = self.spot(addr) {
            return Some(self.name_of(&spot));
        }
        // One past the end of what is walked upwards or downwards.
        if addr == self.world.packet.end() {
            return Some(format!("packet+{}", addr - self.world.packet.start()));
        }
        let frames = 0..=self.depth();
        if let Some(depth) = frames.rev().find(|depth| addr == layout::frame_top(u64::from(*depth))) {
            return Some(if depth == self.depth() { "fp".to_owned() } else { format!("fp[{depth}]") });
        }
        let slot = addr.checked_sub(layout::CODE).filter(|distance| distance % 8 == 0)? / 8;
        let slot = usize::try_from(slot).ok().filter(|slot| *slot < self.program.insns().len())?;
        Some(function(self.program, slot))
    }

    /// What a byte is called.
    pub fn name_of(&self, spot: &Spot) -> String {
        let Spot { object, key, offset } = spot;
        match object {
            Object::Packet => format!("packet+{offset}"),
            Object::Context => format!("ctx+{offset}"),
            Object::FlowKeys => format!("flow_keys+{offset}"),
            Object::MapKey(_) | Object::Record(_) | Object::Kernel(_) | Object::Room(_) => format!("{object}+{offset}"),
            Object::Frame(depth) if *depth == self.depth() => format!("fp{offset}"),
            Object::Frame(depth) => format!("fp[{depth}]{offset}"),
            Object::MapValue(map) => {
                let name = self.program.maps().get(*map as usize).map_or("?", |map| map.name.as_str());
                let mut text = format!("{name}[{}]", hex(key));
                if *offset != 0 {
                    let _ = write!(text, "+{offset}");
                }
                text
            }
        }
    }

    /// A value, and what it points to: `0x10001106 (packet+6)`.
    pub fn value(&self, value: u64) -> String {
        match self.name(value) {
            Some(name) => format!("{value:#x} ({name})"),
            None => format!("{value:#x}"),
        }
    }
}

/// The JSON of a byte's place.
pub fn json(program: &Program, spot: &Spot) -> serde_json::Value {
    let Spot { object, key, offset } = spot;
    match object {
        Object::Packet => serde_json::json!({"object": "packet", "offset": offset}),
        Object::Context => serde_json::json!({"object": "context", "offset": offset}),
        Object::FlowKeys => serde_json::json!({"object": "flow_keys", "offset": offset}),
        Object::MapKey(_) | Object::Record(_) | Object::Kernel(_) | Object::Room(_) => {
            serde_json::json!({"object": object.to_string(), "offset": offset})
        }
        Object::Frame(depth) => serde_json::json!({"object": "stack", "frame": depth, "offset": offset}),
        Object::MapValue(map) => {
            let name = program.maps().get(*map as usize).map(|map| map.name.as_str());
            serde_json::json!({"object": "map", "map": name, "key": hex(key), "offset": offset})
        }
    }
}
