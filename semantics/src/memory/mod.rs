//! Guest memory: regions with rights over an [`Arena`] at fixed addresses.
//!
//! Every object that a program can reach is a region: the packet, the context, a stack frame, each element of a map. An
//! access is good if one region holds all its bytes and permits it; what lies between regions is out of bounds, also
//! where host memory lies behind it.

use crate::insn::Size;
use crate::program_type::context::layout::FLOW_KEYS_LEN;
use crate::program_type::{AttachType, ContextField, Declaration};
use crate::trap::{Trap, Unsupported};
use crate::world::Room;

mod arena;
pub mod layout;

pub use arena::{Arena, ArenaError};

/// What a region of guest memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// The bytes of the packet.
    Packet,
    /// The context.
    Context,
    /// The keys that a flow dissector fills in (`struct bpf_flow_keys`).
    FlowKeys,
    /// The stack frame at this depth.
    Frame(u32),
    /// The values of the map with this index.
    MapValue(u32),
    /// A key that a walk over the map with this index shows.
    MapKey(u32),
    /// A record of the ring buffer with this index among the maps.
    Record(u32),
    /// An object of the kernel, by number.
    Kernel(u32),
    /// What is no memory: the state of a room of the world.
    Room(Room),
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Object::Packet => f.write_str("packet"),
            Object::Context => f.write_str("context"),
            Object::FlowKeys => f.write_str("flow keys"),
            Object::Frame(depth) => write!(f, "frame {depth}"),
            Object::MapValue(map) => write!(f, "value of map {map}"),
            Object::MapKey(map) => write!(f, "key of map {map}"),
            Object::Record(map) => write!(f, "record of map {map}"),
            Object::Kernel(number) => write!(f, "kernel object {number}"),
            Object::Room(room) => write!(f, "{room}"),
        }
    }
}

/// A region: `count` parts of `len` bytes each, `stride` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// What it is.
    pub object: Object,
    /// Address of the first byte.
    pub base: u64,
    /// Bytes of a part.
    pub len: u64,
    /// Distance between parts; at least `len`.
    pub stride: u64,
    /// How many parts.
    pub count: u64,
    /// Whether programs may write it.
    pub writable: bool,
}

impl Region {
    /// The part that holds the byte at `addr`: its first address.
    #[inline]
    fn part(&self, addr: u64) -> Option<u64> {
        let offset = addr.wrapping_sub(self.base);
        if self.count == 1 {
            return (offset < self.len).then_some(self.base);
        }
        let index = offset / self.stride;
        (index < self.count && offset % self.stride < self.len).then(|| self.base + index * self.stride)
    }
    /// One past the last byte.
    pub fn end(&self) -> u64 {
        self.base + (self.count - 1) * self.stride + self.len
    }
}

/// Why an access is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// No region holds all the bytes.
    OutOfBounds,
    /// The region is read-only.
    ReadOnly,
    /// The context's declaration does not permit it.
    ContextField,
    /// The declaration permits it, but the world has no value for the field.
    Unmodelled,
}

/// A part of a region that was accessed lately.
#[derive(Clone, Copy, Debug)]
struct Hot {
    base: u64,
    len: u64,
    delta: u64,
    writable: bool,
}

const COLD: Hot = Hot { base: 0, len: 0, delta: 0, writable: false };

/// The memory of one world.
#[derive(Debug)]
pub struct Memory {
    arena: Arena,
    /// Regions other than map values, then map values; few, so they are searched one by one.
    regions: Vec<Region>,
    /// Regions that come before the map values.
    locals: usize,
    /// Regions that come and go in a run.
    passing: Vec<Region>,
    context: Option<(&'static Declaration, Option<AttachType>)>,
    hot: [Hot; 2],
    placement: Placement,
}

/// Hands out the addresses of map values, map after map: they follow from how the maps are declared, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    end: u64,
}

impl Default for Placement {
    fn default() -> Self {
        Placement { end: layout::MAP_VALUES }
    }
}

impl Placement {
    /// The address of the first of `count` values that lie `stride` bytes apart, or `None` if the window is full.
    pub fn place(&mut self, stride: u64, count: u64) -> Option<u64> {
        const PAGE: u64 = 4096;
        let bytes = stride.checked_mul(count)?.checked_next_multiple_of(PAGE)?.checked_add(PAGE)?;
        let base = self.end + PAGE;
        let end = self.end.checked_add(bytes)?;
        if end + PAGE > layout::MAP_VALUES + layout::MAP_VALUES_LEN {
            return None;
        }
        self.end = end;
        Some(base)
    }
}

impl Memory {
    /// No regions yet.
    pub fn new(arena: Arena) -> Memory {
        Memory {
            arena,
            regions: Vec::new(),
            locals: 0,
            passing: Vec::new(),
            context: None,
            hot: [COLD; 2],
            placement: Placement::default(),
        }
    }

    /// Memory that native code can share; see [`Arena::native`].
    pub fn native() -> Result<Memory, ArenaError> {
        Arena::native().map(Memory::new)
    }

    /// Memory for the interpreter alone; see [`Arena::detached`].
    pub fn detached() -> Result<Memory, ArenaError> {
        Arena::detached().map(Memory::new)
    }

    /// Whether native code can share it.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.arena.is_native()
    }

    /// Reads `size` little-endian bytes at `addr`, zero-extended.
    #[inline(always)]
    pub fn load(&mut self, size: Size, addr: u64) -> Result<u64, Access> {
        let host = self.check(size, addr, false)?;
        // SAFETY: `check` found all the bytes inside a mapped region; reads may be unaligned.
        Ok(unsafe {
            match size {
                Size::B => u64::from(*(host as *const u8)),
                Size::H => u64::from((host as *const u16).read_unaligned()),
                Size::W => u64::from((host as *const u32).read_unaligned()),
                Size::Dw => (host as *const u64).read_unaligned(),
            }
        })
    }

    /// Writes the low `size` bytes of `value` at `addr`, little-endian.
    #[inline(always)]
    pub fn store(&mut self, size: Size, addr: u64, value: u64) -> Result<(), Access> {
        let host = self.check(size, addr, true)?;
        // SAFETY: `check` found all the bytes inside a mapped, writable region of this exclusively borrowed memory.
        unsafe {
            match size {
                Size::B => *(host as *mut u8) = value as u8,
                Size::H => (host as *mut u16).write_unaligned(value as u16),
                Size::W => (host as *mut u32).write_unaligned(value as u32),
                Size::Dw => (host as *mut u64).write_unaligned(value),
            }
        }
        Ok(())
    }

    /// The host address of an access, if it is good.
    #[inline(always)]
    fn check(&mut self, size: Size, addr: u64, write: bool) -> Result<u64, Access> {
        let bytes = u64::from(size.bytes());
        for hot in &self.hot {
            let offset = addr.wrapping_sub(hot.base);
            if offset < hot.len && bytes <= hot.len - offset && (!write || hot.writable) {
                return Ok(addr.wrapping_add(hot.delta));
            }
        }
        self.check_cold(size, addr, write)
    }

    #[cold]
    #[inline(never)]
    fn check_cold(&mut self, size: Size, addr: u64, write: bool) -> Result<u64, Access> {
        let bytes = u64::from(size.bytes());
        let (region, part) = self.find(addr).ok_or(Access::OutOfBounds)?;
        if bytes > region.len - (addr - part) {
            return Err(Access::OutOfBounds);
        }
        if region.object == Object::Context {
            // Never kept hot: each access goes by the declaration.
            let field = self.context_field(addr - part, size, write).ok_or(Access::ContextField)?;
            if !field.kind.is_modelled() {
                return Err(Access::Unmodelled);
            }
        } else if write && !region.writable {
            return Err(Access::ReadOnly);
        } else {
            let slot = usize::from(!matches!(region.object, Object::Frame(_)));
            let (len, writable) = (region.len, region.writable);
            self.hot[slot] = Hot { base: part, len, delta: self.arena.delta(part), writable };
        }
        Ok(addr.wrapping_add(self.arena.delta(part)))
    }

    /// The field of the context that an access touches, if the declaration permits it.
    fn context_field(&self, offset: u64, size: Size, write: bool) -> Option<&'static ContextField> {
        let (declaration, attach) = self.context?;
        declaration.access(attach, offset as i64, size, write)
    }

    /// How a run ends whose access was not good.
    #[cold]
    pub fn fault(&self, access: Access, addr: u64, size: Size, write: bool) -> Trap {
        let unmodelled = || {
            let (declaration, _) = self.context.filter(|_| access == Access::Unmodelled)?;
            let field = self.context_field(addr.wrapping_sub(layout::CONTEXT), size, write)?;
            Some(Unsupported::ContextField { context: declaration.context, field: field.name }.into())
        };
        // Programs with type information may read the structure that a handle stands for.
        if !write && layout::in_map_handles(addr) {
            return Unsupported::MapStructure.into();
        }
        unmodelled().unwrap_or(Trap::Memory { access, addr, size, write })
    }

    #[inline]
    fn find(&self, addr: u64) -> Option<(&Region, u64)> {
        self.regions.iter().chain(&self.passing).find_map(|region| region.part(addr).map(|part| (region, part)))
    }

    /// The object that holds the byte at `addr`, and the first address of its part.
    pub fn object_at(&self, addr: u64) -> Option<(Object, u64)> {
        self.find(addr).map(|(region, part)| (region.object, part))
    }

    /// How many bytes there are from `addr` to the end of the part of a region that it lies in.
    pub fn rest(&self, addr: u64) -> u64 {
        self.find(addr).map_or(0, |(region, part)| region.len - (addr - part))
    }

    /// Bytes that a helper reads on behalf of the program, if one region holds them all.
    pub fn read(&self, addr: u64, len: u64) -> Result<&[u8], Access> {
        let (region, part) = self.find(addr).ok_or(Access::OutOfBounds)?;
        if len > region.len - (addr - part) {
            return Err(Access::OutOfBounds);
        }
        self.arena.bytes(addr, len).ok_or(Access::OutOfBounds)
    }

    /// Bytes that a helper writes on behalf of the program, if one writable region holds them all.
    pub fn write(&mut self, addr: u64, len: u64) -> Result<&mut [u8], Access> {
        let (region, part) = self.find(addr).ok_or(Access::OutOfBounds)?;
        if len > region.len - (addr - part) {
            return Err(Access::OutOfBounds);
        }
        if !region.writable {
            return Err(Access::ReadOnly);
        }
        self.arena.bytes_mut(addr, len).ok_or(Access::OutOfBounds)
    }

    /// The bytes at `addr` whatever the regions say: for the kernel's side.
    pub fn peek(&self, addr: u64, len: u64) -> &[u8] {
        self.arena.bytes(addr, len).expect("the kernel's side stays inside the windows")
    }

    /// Replaces the bytes at `addr` whatever the regions say: for the kernel's side.
    pub fn poke(&mut self, addr: u64, bytes: &[u8]) {
        self.arena
            .bytes_mut(addr, bytes.len() as u64)
            .expect("the kernel's side stays inside the windows")
            .copy_from_slice(bytes);
    }

    /// Zeroes `len` bytes at `addr`.
    pub fn clear(&mut self, addr: u64, len: u64) {
        self.arena.zero(addr, len);
    }

    /// All regions.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().chain(&self.passing)
    }

    /// Makes a region of what comes into being in a run: a record, an object of the kernel. Gone with the next
    /// [`place_locals`](Memory::place_locals).
    pub fn place_passing(&mut self, region: Region) {
        self.passing.push(region);
    }

    /// Makes room for a key that a walk over a map shows: see [`place_nested`](Memory::place_nested).
    pub fn place_key(&mut self, map: u32, len: u64) -> Option<u64> {
        self.place_nested(Object::MapKey(map), len)
    }

    /// Makes room for what a function is given that a helper calls back, behind that of calls under way: its address, or `None`
    /// where there is no room. Programs only read it.
    pub fn place_nested(&mut self, object: Object, len: u64) -> Option<u64> {
        let ends = self.passing.iter().filter(|region| region.base >= layout::KEYS).map(Region::end);
        let base = ends.max().unwrap_or(layout::KEYS).next_multiple_of(8) + layout::RED_ZONE;
        let region = Region { object, base, len, stride: len, count: 1, writable: false };
        (region.end() + layout::RED_ZONE <= layout::KEYS + layout::KEYS_LEN).then(|| {
            self.place_passing(region);
            base
        })
    }

    /// What the passing region is that begins at `base`, also one of no bytes.
    pub fn passing_at(&self, base: u64) -> Option<Object> {
        self.passing.iter().find(|region| region.base == base).map(|region| region.object)
    }

    /// The regions that came into being in the run and are still there.
    pub fn passing(&self) -> impl Iterator<Item = &Region> {
        self.passing.iter()
    }

    /// Takes away the passing region that begins at `base`.
    pub fn remove_passing(&mut self, base: u64) {
        self.hot = [COLD; 2];
        self.passing.retain(|region| region.base != base);
    }

    /// Puts the packet elsewhere, or gives it another length; its bytes stay where they are.
    pub fn move_packet(&mut self, base: u64, len: u64) {
        self.hot = [COLD; 2];
        for region in self.regions[..self.locals].iter_mut().filter(|region| region.object == Object::Packet) {
            (region.base, region.len, region.stride) = (base, len, len.max(1));
        }
    }

    /// Replaces packet, context and frames; map values stay.
    pub fn place_locals(
        &mut self,
        packet: Region,
        context: &'static Declaration,
        attach: Option<AttachType>,
        frames: u32,
    ) {
        self.hot = [COLD; 2];
        self.passing.clear();
        let plain = |object, base, len| Region { object, base, len, stride: len, count: 1, writable: true };
        let context_region = plain(Object::Context, layout::CONTEXT, u64::from(context.context_len));
        let stack = (0..frames)
            .map(|depth| plain(Object::Frame(depth), layout::frame_bottom(u64::from(depth)), layout::FRAME_LEN));
        let keys = plain(Object::FlowKeys, layout::FLOW_KEYS, u64::from(FLOW_KEYS_LEN));
        let keys = context.has_flow_keys().then_some(keys);
        let locals = [packet, context_region].into_iter().chain(keys).chain(stack);
        self.context = Some((context, attach));
        let mut count = 0;
        self.regions.splice(..self.locals, locals.inspect(|_| count += 1));
        self.locals = count;
    }

    /// Reserves addresses for the values of a map, wherever `values.base` says: the address of the first one, or `None` if
    /// the window is full.
    pub fn place_map_values(&mut self, values: Region) -> Option<u64> {
        let base = self.placement.place(values.stride, values.count)?;
        self.regions.push(Region { base, ..values });
        Some(base)
    }

    /// Gives up all map values.
    pub fn forget_map_values(&mut self) {
        self.hot = [COLD; 2];
        for at in self.locals..self.regions.len() {
            let region = self.regions[at];
            self.arena.zero(region.base, region.count * region.stride);
        }
        self.regions.truncate(self.locals);
        self.placement = Placement::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program_type::ProgramType;

    fn memory() -> Memory {
        let mut memory = Memory::detached().unwrap();
        let packet =
            Region { object: Object::Packet, base: layout::PACKET, len: 10, stride: 10, count: 1, writable: false };
        memory.place_locals(packet, ProgramType::Xdp.declaration(), None, 1);
        memory
    }

    fn values(count: u64, stride: u64, len: u64) -> Region {
        Region { object: Object::MapValue(0), base: 0, len, stride, count, writable: true }
    }

    #[test]
    fn accesses_stay_inside_their_region() {
        let mut m = memory();
        let top = layout::frame_top(0);
        assert_eq!(m.store(Size::Dw, top - 8, 0x1122_3344_5566_7788), Ok(()));
        assert_eq!(m.load(Size::H, top - 8), Ok(0x7788));
        assert_eq!(m.load(Size::Dw, top - 7), Err(Access::OutOfBounds));
        assert_eq!(m.store(Size::B, top, 0), Err(Access::OutOfBounds));
        assert_eq!(m.load(Size::B, layout::frame_bottom(0) - 1), Err(Access::OutOfBounds));
        assert_eq!(m.load(Size::W, layout::PACKET + 6), Ok(0));
        assert_eq!(m.load(Size::W, layout::PACKET + 7), Err(Access::OutOfBounds));
        assert_eq!(m.store(Size::B, layout::PACKET, 1), Err(Access::ReadOnly));
        assert_eq!(m.load(Size::Dw, u64::MAX - 3), Err(Access::OutOfBounds));
    }

    #[test]
    fn context_goes_by_its_declaration() {
        let mut m = memory();
        assert_eq!(m.load(Size::W, layout::CONTEXT), Ok(0));
        assert_eq!(m.load(Size::B, layout::CONTEXT), Err(Access::ContextField));
        assert_eq!(m.store(Size::W, layout::CONTEXT + 12, 0), Err(Access::ContextField));
        assert_eq!(m.load(Size::W, layout::CONTEXT + 24), Err(Access::OutOfBounds));
    }

    #[test]
    fn red_zones_lie_between_map_elements() {
        let mut m = memory();
        let base = m.place_map_values(values(4, 24, 12)).unwrap();
        assert_eq!(m.store(Size::W, base + 24 + 8, 7), Ok(()));
        assert_eq!(m.load(Size::B, base + 12), Err(Access::OutOfBounds));
        assert_eq!(m.load(Size::Dw, base + 24 + 8), Err(Access::OutOfBounds));
        assert_eq!(m.load(Size::B, base + 4 * 24), Err(Access::OutOfBounds));
        assert_eq!(m.object_at(base + 25), Some((Object::MapValue(0), base + 24)));
    }

    #[test]
    fn long_stretches_are_zeroed_to_the_byte() {
        let mut m = memory();
        let base = m.place_map_values(values(1, 1 << 20, 1 << 20)).unwrap();
        m.poke(base, &vec![1; 1 << 20]);
        m.clear(base + 3, (1 << 20) - 8);
        assert_eq!(m.peek(base, 4), [1, 1, 1, 0]);
        assert_eq!(m.peek(base + (1 << 20) - 6, 6), [0, 1, 1, 1, 1, 1]);
        assert!(m.peek(base + 3, (1 << 20) - 8).iter().all(|b| *b == 0));
    }
}
