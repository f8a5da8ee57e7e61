//! The modelled kernel around a program: memory, maps, clock, open choices, and what was done to it.
//!
//! A world is deterministic, has a documented default, and is cheap to reset: `load` a program once, then `reset` with
//! each input, run, and `observe` the outcome.

use crate::helper::{Helpers, ResultClass};
use crate::map::{Contents, Errno, Map, MapError, MapType, Setting};
use crate::memory::{Memory, Object, Region, layout};
use crate::outcome::Outcome;
use crate::program::Program;
use crate::program_type::context::layout::FLOW_KEYS_LEN;
use crate::program_type::{AttachType, Declaration, ProgramType, target};
use crate::trap::{Trap, Unsupported};

pub mod btf;
mod bytes;
mod careful;
mod cgroup;
mod choice;
mod clock;
mod config;
mod context;
mod cpus;
mod device;
mod flow;
pub mod kconfig;
mod kernel;
pub mod objects;
pub mod packet;
mod perf;
pub mod redirect;
mod room;
pub mod skb;
pub mod symbols;
pub mod task;
mod timers;
mod trace;
mod traced;
pub mod user;
pub mod xdp;

pub use bytes::Bytes;
pub use careful::Refused;
pub use cgroup::{CgroupConfig, CgroupNode, SocketConfig};
pub use choice::Choice;
pub use clock::{Clock, ClockConfig};
pub use config::{ConfigError, WorldConfig};
pub use cpus::CpuConfig;
pub use device::Device;
pub use packet::{ETH_HLEN, Packet, Refusal};
pub use perf::{Perf, PerfConfig, PerfEvent};
pub use room::{Observation, Room};
pub use skb::Checksum;
pub use symbols::SymbolConfig;
pub use task::{PidNamespaceConfig, Task, TaskConfig};
pub use timers::{TimerClock, TimerConfig, Timers};
pub use trace::{Trace, TraceConfig};
pub use traced::{RouteConfig, Traced, TracedConfig};
pub use user::{User, UserConfig, UserRange};

/// What a program is run on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Input {
    /// Bytes of the packet.
    pub packet: Vec<u8>,
    /// Context fields that differ from what the program type sets, by name.
    pub context: Vec<(String, u64)>,
    /// Map elements that exist before the run: index of the map, key, value.
    pub elements: Vec<(usize, Vec<u8>, Vec<u8>)>,
    /// The rest of the world.
    pub world: WorldConfig,
}

impl Input {
    /// This packet in one piece, however long it is: what suites take memory for.
    ///
    /// ```
    /// use semantics::world::Input;
    /// assert_eq!(Input::in_one_piece(vec![0; 64]), Input { packet: vec![0; 64], ..Input::default() });
    /// assert_ne!(Input::in_one_piece(vec![0; 9000]), Input { packet: vec![0; 9000], ..Input::default() });
    /// ```
    pub fn in_one_piece(packet: Vec<u8>) -> Input {
        let mut input = Input { packet, ..Input::default() };
        if input.packet.len() as u64 > input.world.xdp.linear_max() {
            input.world.xdp = xdp::XdpConfig::in_one_piece();
        }
        input
    }
}

/// Why an input does not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The packet is longer than [`layout::PACKET_MAX`].
    #[error("the packet has {0} bytes, the limit is {max}", max = layout::PACKET_MAX)]
    PacketTooLong(usize),
    /// The context has no such field, or it is the model's to set.
    #[error("{context} has no field `{name}` that can be set")]
    NoSuchField {
        /// The structure.
        context: &'static str,
        /// The name given.
        name: String,
    },
    /// The value does not fit the field.
    #[error("field `{name}` has {len} bytes, {value:#x} does not fit")]
    FieldTooNarrow {
        /// The field.
        name: String,
        /// Its bytes.
        len: u32,
        /// The value given.
        value: u64,
    },
    /// There is no such world.
    #[error("world: {0}")]
    World(#[from] ConfigError),
    /// The program has no such map.
    #[error("the program has no map number {0}")]
    NoSuchMap(usize),
    /// Key or value have the wrong length.
    #[error("map {map}: key and value have {key} and {value} bytes, declared are {key_size} and {value_size}")]
    ElementSize {
        /// The map.
        map: String,
        /// Bytes of the key given.
        key: usize,
        /// Bytes of the value given.
        value: usize,
        /// Bytes declared.
        key_size: u32,
        /// Bytes declared.
        value_size: u32,
    },
    /// The map has no meaning here.
    #[error("map {map}: {lack}")]
    MapUnsupported {
        /// The map.
        map: String,
        /// What has no meaning.
        lack: Unsupported,
    },
    /// The user ring buffer has no room for the sample with this number.
    #[error("map {map}: it has no room for sample {sample} and those before it")]
    SampleRefused {
        /// The map.
        map: String,
        /// The sample, from 0.
        sample: usize,
    },
    /// The map does not take the element.
    #[error("map {map}: element refused with {}", errno.name())]
    ElementRefused {
        /// The map.
        map: String,
        /// The kernel's error.
        errno: Errno,
    },
}

/// Sees an object, the key of a map element, its address, and its bytes.
type Visit<'a, A> = dyn FnMut(Object, &[u8], A, &[u8]) + 'a;

/// Keys and values of a map's elements.
pub type Elements = Vec<(Vec<u8>, Vec<u8>)>;

/// Something that a run did to the world, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A helper was called. Arguments beyond the helper's own are 0.
    Call {
        /// Its number.
        helper: u32,
        /// Its arguments.
        args: [u64; 5],
        /// What it returned.
        result: u64,
        /// The declared class of that.
        class: ResultClass,
    },
}

/// The modelled kernel.
#[derive(Debug)]
pub struct World {
    /// Guest memory.
    pub memory: Memory,
    /// The program's maps, by index.
    pub maps: Vec<Map>,
    /// The clocks.
    pub clock: Clock,
    /// The processors.
    pub cpus: CpuConfig,
    /// Timers.
    pub timers: Timers,
    /// Perf events.
    pub perf: Perf,
    /// Draws all that the specification leaves open.
    pub choice: Choice,
    /// The current task.
    pub task: Task,
    /// Cgroups, and who is in which.
    pub cgroups: CgroupConfig,
    /// Memory of the current process.
    pub user: User,
    /// What programs print.
    pub trace: Trace,
    /// What the program is attached to.
    pub traced: Traced,
    /// Symbols that this world adds to those of every kernel.
    pub symbols: Vec<SymbolConfig>,
    /// The way that the packet takes.
    pub route: RouteConfig,
    /// Objects of the kernel lie in memory.
    has_objects: bool,
    /// What was done, in order.
    pub effects: Vec<Effect>,
    /// The helpers that calls reach.
    pub helpers: Helpers,
    /// Around how many helper calls from here on all memory is compared with what the helper declares (the `contract` oracle;
    /// slow, so that a run of many calls needs an end to it).
    pub watch: u32,
    /// What maps see of this world.
    setting: Setting,
    program_type: ProgramType,
    attach: Option<AttachType>,
    /// Where the packet lies.
    pub packet: Packet,
    /// The socket buffer around it.
    pub skb: skb::SkBuff,
    /// The XDP buffer around it.
    pub xdp: xdp::XdpBuff,
    /// Network devices.
    pub devices: Vec<Device>,
    /// Where the packet is to go.
    pub redirect: redirect::Redirect,
    /// Copies of the packet that were sent, in order.
    pub sent: Vec<redirect::Sent>,
    /// Packet and devices are as a test run sets them up.
    as_in_test_run: bool,
    /// The key of the hashes of flows, once it is drawn.
    flow_key: Option<u64>,
    /// Arguments of the function that the program is attached to, where it is known.
    target_args: Option<u32>,
    frames: u32,
    /// First slots of the program and of the targets of its tail calls.
    parts: Vec<usize>,
    /// Tail calls that the run has made, in all its functions.
    pub(crate) tail_calls: u32,
    /// The slot that the tail call under way leads to.
    pub(crate) tail_target: Option<usize>,
}

impl World {
    /// A world without maps, in which nothing was run.
    pub fn new(memory: Memory) -> World {
        World {
            memory,
            maps: Vec::new(),
            clock: Clock::default(),
            cpus: CpuConfig::default(),
            timers: Timers::default(),
            perf: Perf::default(),
            choice: Choice::default(),
            task: Task::default(),
            cgroups: CgroupConfig::default(),
            user: User::default(),
            trace: Trace::default(),
            traced: Traced::default(),
            symbols: Vec::new(),
            route: RouteConfig::default(),
            has_objects: false,
            effects: Vec::new(),
            helpers: Helpers::default(),
            watch: 0,
            setting: Setting::default(),
            program_type: ProgramType::Xdp,
            attach: None,
            packet: Packet::default(),
            skb: skb::SkBuff::default(),
            xdp: xdp::XdpBuff::default(),
            devices: Vec::new(),
            redirect: redirect::Redirect::default(),
            sent: Vec::new(),
            as_in_test_run: true,
            flow_key: None,
            target_args: None,
            frames: 1,
            parts: Vec::new(),
            tail_calls: 0,
            tail_target: None,
        }
    }

    /// Makes the program's maps. Keeps those there are if they were declared alike.
    pub fn load(&mut self, program: &Program) -> Result<(), MapError> {
        self.program_type = program.program_type();
        self.frames = frames(program);
        self.attach = program.attach_type();
        self.target_args = target::of(program).map(target::Function::count);
        self.parts.clear();
        self.parts.extend([0].into_iter().chain(program.targets().iter().map(|part| part.start)));
        if !self.maps.iter().map(|map| &map.def).eq(program.maps()) {
            self.make_maps(program)?;
        }
        for (map, def) in self.maps.iter_mut().zip(program.maps()) {
            if let Contents::Programs(programs) = &def.contents {
                let part = |(index, name): &(u32, String)| Some((*index, program.part_number(name)?));
                map.hold(programs.iter().filter_map(part));
            }
        }
        Ok(())
    }

    fn make_maps(&mut self, program: &Program) -> Result<(), MapError> {
        self.maps.clear();
        self.memory.forget_map_values();
        for index in 0..program.maps().len() {
            match Map::create(program.maps(), index, &mut self.memory) {
                Ok(map) => self.maps.push(map),
                Err(error) => {
                    // A world is whole or empty: a later load must not take half the maps for all.
                    self.maps.clear();
                    self.memory.forget_map_values();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes the world as it is before a run on `input`.
    pub fn reset(&mut self, input: &Input) -> Result<(), InputError> {
        let declaration = self.program_type.declaration();
        if input.packet.len() as u64 > layout::PACKET_MAX {
            return Err(InputError::PacketTooLong(input.packet.len()));
        }
        let config = &input.world;
        config.check()?;
        self.clock = Clock::new(config.clock_ns, config.clock_step_ns, config.clocks);
        self.cpus = config.cpus;
        self.timers.reset(config.timers, config.advance_ns);
        self.perf.reset(&config.perf);
        self.choice = Choice::new(config.seed);
        self.reset_rooms(config);
        self.effects.clear();
        (self.tail_calls, self.tail_target) = (0, None);
        self.arrive(input)?;
        self.set_context(input, declaration)?;
        self.setting = Setting { cpus: config.cpus.count, current: config.cpus.current, seed: map_seed(config.seed) };
        for map in &mut self.maps {
            map.reset(&mut self.memory, &self.setting);
            if let Some(ring) = map.ops.ringbuf() {
                ring.begin(&config.ringbuf);
            }
            if let Some(ring) = map.ops.user_ringbuf() {
                let full = |sample| InputError::SampleRefused { map: map.def.name.clone(), sample };
                ring.begin(&mut self.memory, &config.user_ringbuf).map_err(full)?;
            }
        }
        for (index, key, value) in &input.elements {
            self.set_element(*index, key, value)?;
        }
        Ok(())
    }

    /// The task and what surrounds it.
    fn reset_rooms(&mut self, config: &WorldConfig) {
        self.task.reset(&config.task);
        self.user.reset(&config.user, config.task.kernel_thread);
        self.trace.reset(config.trace, config.seed);
        self.traced = Traced::new(config.traced);
        self.route = config.route;
        self.has_objects = false;
        if self.cgroups != config.cgroups {
            self.cgroups.clone_from(&config.cgroups);
        }
        if self.symbols != config.symbols {
            self.symbols.clone_from(&config.symbols);
        }
    }

    /// Places packet, context and frames in memory, all of them clear but the packet.
    fn place_locals(&mut self, packet: &[u8]) {
        let declaration = self.program_type.declaration();
        let region = Region {
            object: Object::Packet,
            base: layout::PACKET,
            len: 0,
            stride: 1,
            count: 1,
            writable: declaration.packet_write,
        };
        self.memory.place_locals(region, declaration, self.attach, self.frames);
        self.memory.clear(self.packet.head(), self.packet.headroom());
        self.memory.poke(layout::PACKET, packet);
        self.packet.place(&mut self.memory);
        for depth in 0..self.frames {
            self.memory.clear(layout::frame_bottom(u64::from(depth)), layout::FRAME_LEN);
        }
    }

    fn set_context(&mut self, input: &Input, declaration: &'static Declaration) -> Result<(), InputError> {
        self.memory.clear(layout::CONTEXT, u64::from(declaration.context_len));
        for (name, element, value) in
            context::defaults(self.program_type, &self.packet, self.xdp.no_meta, &input.packet)
        {
            let field = declaration.field(name).expect("defaults name declared fields");
            let len = field.element.min(8);
            self.poke_field(field.offset + element * len, len, value);
        }
        if declaration.has_flow_keys() {
            self.memory.poke(layout::FLOW_KEYS, &context::flow_keys(&input.packet));
        }
        for (name, value) in &input.context {
            let Some(place) = declaration.place(name) else {
                return Err(InputError::NoSuchField { context: declaration.context, name: name.clone() });
            };
            let (len, value) = (place.len, *value);
            if len < 8 && value >> (8 * len) != 0 {
                return Err(InputError::FieldTooNarrow { name: name.clone(), len, value });
            }
            self.poke_field(place.offset, len, value);
        }
        let states_len = input.context.iter().any(|(name, value)| name == "wire_len" && *value != 0);
        if let Some(len) = context::wire_len(self.program_type, &input.packet)
            && !(input.context.is_empty() || states_len)
        {
            let field = declaration.field("wire_len").expect("a field of a socket buffer");
            self.poke_field(field.offset, field.len, len);
        }
        Ok(())
    }

    fn poke_field(&mut self, offset: u32, len: u32, value: u64) {
        let bytes = value.to_le_bytes();
        self.memory.poke(layout::CONTEXT + u64::from(offset), &bytes[..len.min(8) as usize]);
    }

    fn set_element(&mut self, index: usize, key: &[u8], value: &[u8]) -> Result<(), InputError> {
        let map = self.maps.get_mut(index).ok_or(InputError::NoSuchMap(index))?;
        if let Some(lack) = map.def.lack() {
            return Err(InputError::MapUnsupported { map: map.def.name.clone(), lack });
        }
        match map.put(&mut self.memory, key, value) {
            Some(Ok(())) => Ok(()),
            Some(Err(errno)) => Err(InputError::ElementRefused { map: map.def.name.clone(), errno }),
            None => Err(InputError::ElementSize {
                map: map.def.name.clone(),
                key: key.len(),
                value: value.len(),
                key_size: map.def.key_size,
                value_size: map.def.value_size,
            }),
        }
    }

    /// The context as it is set up for this packet where an input names no field.
    pub fn default_context(&self) -> Vec<u8> {
        let declaration = self.program_type.declaration();
        let mut bytes = vec![0; declaration.context_len as usize];
        let packet = self.packet_bytes();
        for (name, element, value) in context::defaults(self.program_type, &self.packet, self.xdp.no_meta, packet) {
            let field = declaration.field(name).expect("defaults name declared fields");
            let len = field.element.min(8) as usize;
            let at = field.offset as usize + element as usize * len;
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        bytes
    }

    /// Takes over what an engine with a world of its own left behind: the packet, and all elements of these maps. What such an
    /// engine does not show, frames and the context among it, means nothing afterwards.
    pub fn take_over(&mut self, packet: &[u8], maps: &[(usize, Elements)]) -> Result<(), InputError> {
        if packet.len() as u64 > layout::PACKET_MAX {
            return Err(InputError::PacketTooLong(packet.len()));
        }
        if packet.len() as u64 == self.packet.observed() {
            self.memory.poke(self.packet.start(), packet);
        } else {
            self.packet.arrive(packet.len() as u64, &packet::Arrival::default());
            self.place_locals(packet);
        }
        for (index, elements) in maps {
            let map = self.maps.get_mut(*index).ok_or(InputError::NoSuchMap(*index))?;
            map.reset(&mut self.memory, &self.setting);
            for (key, value) in elements {
                self.set_element(*index, key, value)?;
            }
        }
        Ok(())
    }

    /// Writes down all that can be observed after a run that ended with `result`. Reuses the buffers of `outcome`.
    pub fn observe(&self, result: Result<u64, Trap>, outcome: &mut Outcome) {
        outcome.clear(result);
        self.each_local(&mut |object, key, _, bytes| outcome.push(object, key, bytes));
        for (index, map) in self.maps.iter().enumerate() {
            let object = Object::MapValue(index as u32);
            map.each_value(&self.memory, &mut |key, value| outcome.push(object, key, value));
        }
        self.each_room(outcome);
        outcome.effects.extend_from_slice(&self.effects);
    }

    /// Calls `visit` with what can be observed of memory besides maps: the object, no key, the address, the bytes.
    fn each_local(&self, visit: &mut Visit<'_, u64>) {
        let memory = &self.memory;
        let mut object = |object, addr, len| visit(object, &[], addr, memory.peek(addr, len));
        object(Object::Packet, self.packet.start(), self.packet.observed());
        let declaration = self.program_type.declaration();
        object(Object::Context, layout::CONTEXT, u64::from(declaration.context_len));
        if declaration.has_flow_keys() {
            object(Object::FlowKeys, layout::FLOW_KEYS, u64::from(FLOW_KEYS_LEN));
        }
        for depth in 0..self.frames {
            object(Object::Frame(depth), layout::frame_bottom(u64::from(depth)), layout::FRAME_LEN);
        }
        for record in memory.passing().filter(|region| matches!(region.object, Object::Record(_))) {
            object(record.object, record.base, record.len);
        }
    }

    /// Takes down what can be observed besides memory: each room that a run can have changed.
    fn each_room(&self, outcome: &mut Outcome) {
        let mut room = Observation::new(outcome, Room::Packet);
        self.skb.observe(&self.packet, &mut room);
        self.xdp.observe(self.packet.frags(), &mut room);
        self.redirect.observe(&mut Observation::new(outcome, Room::Redirect));
        for sent in &self.sent {
            sent.observe(&mut Observation::new(outcome, Room::Clones));
        }
        for (index, map) in self.maps.iter().enumerate() {
            map.ops.show(&self.memory, &mut Observation::new(outcome, Room::Ring(index as u32)));
        }
        self.timers.observe(&self.memory, &mut Observation::new(outcome, Room::Timers));
        self.perf.observe(&mut Observation::new(outcome, Room::Perf));
        self.trace.observe(outcome);
        self.task.observe(outcome);
        self.user.observe(outcome);
        self.traced.observe(outcome);
    }

    /// Calls `visit` with everything that can be observed at this moment; what is no memory has no address.
    pub(crate) fn each_piece(&self, visit: &mut Visit<'_, Option<u64>>) {
        self.each_local(&mut |object, key, addr, bytes| visit(object, key, Some(addr), bytes));
        for (index, map) in self.maps.iter().enumerate() {
            let (object, len) = (Object::MapValue(index as u32), u64::from(map.def.value_size));
            map.ops.each(&mut |key, addresses| {
                for addr in addresses {
                    visit(object, key, Some(*addr), self.memory.peek(*addr, len));
                }
            });
            map.ops.observe(&self.memory, &mut |key, value| visit(object, key, None, value));
        }
        let mut rooms = Outcome::default();
        self.each_room(&mut rooms);
        rooms.objects().for_each(|piece| visit(piece.object, piece.key, None, piece.bytes));
    }

    /// The outcome of a run that ended with `result`.
    pub fn outcome(&self, result: Result<u64, Trap>) -> Outcome {
        let mut outcome = Outcome::default();
        self.observe(result, &mut outcome);
        outcome
    }

    /// The first slot of the program with this number: 0, or one of the targets of its tail calls.
    pub(crate) fn part(&self, number: u32) -> Option<usize> {
        self.parts.get(number as usize).copied()
    }
    /// Where the tail call that was just made leads, once.
    #[inline]
    pub fn take_tail_target(&mut self) -> Option<usize> {
        self.tail_target.take()
    }
    /// Whether a map holds perf events, which user space would have to make.
    fn holds_perf_events(&self) -> bool {
        let mut holds = false;
        for map in self.maps.iter().filter(|map| map.def.map_type == MapType::PERF_EVENT_ARRAY) {
            map.each_value(&self.memory, &mut |_, _| holds = true);
        }
        holds
    }
    /// Frames that a run may have at once.
    pub fn frames(&self) -> u32 {
        self.frames
    }
    /// The type of the loaded program.
    pub fn program_type(&self) -> ProgramType {
        self.program_type
    }
    /// The bytes of the packet, fragments and metadata included.
    pub fn packet_bytes(&self) -> &[u8] {
        self.memory.peek(self.packet.start(), self.packet.observed())
    }
    /// What the loaded program said that it will be attached to, else what its type is attached to.
    pub fn attach_type(&self) -> Option<AttachType> {
        self.attach.or(self.program_type.declaration().attach)
    }
    /// Arguments of the function that the program is attached to, where it is known.
    pub fn target_args(&self) -> Option<u32> {
        self.target_args
    }
}

/// What the hash functions of maps start from: a choice of its own, so that programs draw the same random numbers with maps and
/// without.
fn map_seed(seed: u64) -> u32 {
    Choice::new(!seed).next_u32()
}

/// How many frames a run of the program may have at once.
fn frames(program: &Program) -> u32 {
    let functions = program.subprograms().len();
    let frames = if functions == 1 + program.targets().len() {
        1
    } else if program.maps().iter().any(|map| map.map_type == MapType::PROG_ARRAY) {
        layout::FRAMES_MAX_CHAINED
    } else {
        layout::FRAMES_MAX
    };
    frames as u32
}
