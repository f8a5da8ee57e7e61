//! Helpers: one declaration each, used four times.
//!
//! A [`Helper`] joins the kernel's facts about it (number, signature, who may call it: the [`facts`] table, never typed
//! by hand) with its effects, the set of its results, and one function, its meaning over the world. The verifier checks
//! calls from the declaration; the interpreter and the JIT runtime call the meaning through [`call`], which checks at run
//! time that it kept to the declaration; the fuzzer generates calls from it.
//!
//! # How to add a helper
//! 1. Find its topic and open (or make) `helper/<topic>.rs`.
//! 2. Write its `meaning(call) -> Result<u64, Trap>`; it reaches memory and world only through [`Call`].
//! 3. Add a [`Helper`] with its effects and result classes to the topic's `HELPERS`, and the topic to `TOPICS` here.
//! 4. Add `corpus/helper/<name>.yaml` with a case per documented result. A test fails until it is there.

use crate::errno::Errno;
use crate::memory::{Object, layout};
use crate::program_type::ProgramType;
use crate::trap::{ArgumentFault, Breach, Trap, Unsupported};
use crate::world::{Effect, Room, World};
use contract::{Permitted, Snapshot};

pub mod bpf_loop;
pub mod cgroup;
pub mod clock;
mod contract;
pub mod copy_from_user;
pub mod cpu;
pub mod dynptr;
pub mod facts;
pub mod for_each_map_elem;
mod format;
pub mod kallsyms;
pub mod kptr;
pub mod map_elem;
pub mod map_percpu;
pub mod map_queue;
pub mod mtu;
pub mod percpu_ptr;
pub mod perf_output;
pub mod printf;
pub mod probe_read;
pub mod probe_write_user;
pub mod random;
pub mod redirect;
pub mod ringbuf;
pub mod signal;
pub mod skb_csum;
pub mod skb_data;
pub mod skb_meta;
pub mod skb_room;
pub mod skb_vlan;
pub mod spin_lock;
pub mod strings_num;
pub mod tail_call;
pub mod task;
pub mod timer;
pub mod tracing;
pub mod user_ringbuf;
pub mod xdp_data;

pub use facts::FACTS;

/// What the verifier demands of an argument (`enum bpf_arg_type`, without its modifiers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ArgKind {
    Anything,
    BtfId,
    BtfIdSockCommon,
    ConstAllocSizeOrZero,
    ConstMapPtr,
    ConstSize,
    ConstSizeOrZero,
    ConstStr,
    Ctx,
    Dynptr,
    Func,
    Kptr,
    MapKey,
    MapValue,
    Mem,
    PercpuBtfId,
    PtrToInt,
    PtrToLong,
    RingbufMem,
    SockCommon,
    Socket,
    SpinLock,
    Stack,
    Timer,
    Undeclared,
}

/// What the verifier takes a result for (`enum bpf_return_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RetKind {
    BtfId,
    BtfIdOrNull,
    BtfIdTrusted,
    DynptrMemOrNull,
    Integer,
    MapValue,
    MapValueOrNull,
    MemOrBtfId,
    MemOrBtfIdOrNull,
    RingbufMemOrNull,
    SockCommonOrNull,
    SockOrNull,
    TcpSockOrNull,
    Void,
}

/// One argument of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Name in the prototype.
    pub name: &'static str,
    /// Type in the prototype: a narrow integer type means that the helper ignores the upper bits of the register.
    pub c_type: &'static str,
    /// What the verifier demands.
    pub kind: ArgKind,
    /// `Arg::RDONLY` and so on.
    pub modifiers: u8,
}

impl Arg {
    /// The helper only reads the memory.
    pub const RDONLY: u8 = 1;
    /// The memory may be uninitialised: the helper writes it.
    pub const UNINIT: u8 = 2;
    /// NULL is permitted.
    pub const OR_NULL: u8 = 4;
    /// The call releases the reference.
    pub const RELEASE: u8 = 8;
    /// The size follows from the prototype.
    pub const FIXED_SIZE: u8 = 16;
    /// A dynptr of a ring buffer.
    pub const RINGBUF: u8 = 32;
    /// A dynptr of local memory.
    pub const LOCAL: u8 = 64;

    /// Whether it has this modifier.
    pub fn is(&self, modifier: u8) -> bool {
        self.modifiers & modifier != 0
    }
}

/// What the kernel's tables say of a helper.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Its number.
    pub id: u32,
    /// Its name without `bpf_`.
    pub name: &'static str,
    /// C type of the result.
    pub ret_type: &'static str,
    /// What the verifier takes the result for.
    pub ret: RetKind,
    /// Arguments, at most five.
    pub args: &'static [Arg],
    properties: u8,
    program_types: u64,
}

impl Fact {
    const GPL: u8 = 1;
    const PKT_ACCESS: u8 = 2;
    const SLEEPS: u8 = 4;
    const CHANGES_PACKET: u8 = 8;

    /// Open to GPL-compatible programs only.
    pub fn gpl_only(&self) -> bool {
        self.properties & Fact::GPL != 0
    }
    /// Takes packet pointers for its memory arguments.
    pub fn packet_access(&self) -> bool {
        self.properties & Fact::PKT_ACCESS != 0
    }
    /// May sleep.
    pub fn might_sleep(&self) -> bool {
        self.properties & Fact::SLEEPS != 0
    }
    /// Invalidates packet pointers.
    pub fn changes_packet(&self) -> bool {
        self.properties & Fact::CHANGES_PACKET != 0
    }
    /// Whether programs of this type may call it.
    pub fn is_open_to(&self, program_type: ProgramType) -> bool {
        self.program_types >> program_type.id() & 1 != 0
    }
}

impl std::fmt::Display for Fact {
    /// The prototype, as in bpf-helpers(7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spaced = |c_type: &str| if c_type.ends_with('*') { String::new() } else { " ".to_owned() };
        write!(f, "{}{}bpf_{}(", self.ret_type, spaced(self.ret_type), self.name)?;
        for (at, arg) in self.args.iter().enumerate() {
            write!(f, "{}{}{}{}", if at > 0 { ", " } else { "" }, arg.c_type, spaced(arg.c_type), arg.name)?;
        }
        f.write_str(if self.args.is_empty() { "void)" } else { ")" })
    }
}

/// A class of results: the declaration lists all that can occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultClass {
    /// 0: success.
    Success,
    /// NULL: nothing there.
    Null,
    /// The address of a value of the map that argument 1 names.
    MapValue,
    /// Any 64-bit number.
    U64,
    /// Any 32-bit number, zero-extended.
    U32,
    /// A negated error number.
    Error(Errno),
    /// A signed number from the first to the last.
    Range(i64, i64),
    /// The handle of a map.
    Map,
    /// The address of the first byte of a record of the ring buffer that argument 1 names.
    Record,
    /// The address of an object of the kernel.
    Kernel,
    /// An address that a program may read or write at, whatever lies there.
    Memory,
}

impl std::fmt::Display for ResultClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ResultClass::Success => f.write_str("0"),
            ResultClass::Null => f.write_str("NULL"),
            ResultClass::MapValue => f.write_str("map value"),
            ResultClass::U64 => f.write_str("any u64"),
            ResultClass::U32 => f.write_str("any u32"),
            ResultClass::Error(errno) => write!(f, "-{}", errno.name()),
            ResultClass::Range(first, last) => write!(f, "{first} to {last}"),
            ResultClass::Map => f.write_str("map"),
            ResultClass::Record => f.write_str("record"),
            ResultClass::Kernel => f.write_str("kernel object"),
            ResultClass::Memory => f.write_str("address"),
        }
    }
}

/// What a helper may change, apart from what its arguments declare as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Values, records and the state of the map that argument 1 names.
    MapValues,
    /// Records of ring buffers, and the state of these.
    Records,
    /// The memory that the dynptr leads to which argument 1 points to.
    Dynptr,
    /// The packet: its bytes, its length.
    Packet,
    /// The context.
    Context,
    /// What this room holds.
    Room(Room),
    /// The clock moves on.
    Clock,
    /// The random numbers move on.
    Random,
}

/// A helper with a meaning.
#[derive(Clone, Copy)]
pub struct Helper {
    /// Its number in [`FACTS`], by name: see [`id`].
    pub id: u32,
    /// What it may change.
    pub changes: &'static [Change],
    /// Every class of its results.
    pub results: &'static [ResultClass],
    /// What it does.
    pub meaning: fn(&mut Call<'_>) -> Result<u64, Trap>,
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.fact().name, self.id)
    }
}

impl Helper {
    /// What the kernel's tables say of it.
    pub fn fact(&self) -> &'static Fact {
        &FACTS[self.id as usize - 1]
    }

    /// The class that `result` belongs to, if it is a declared one.
    pub fn classify(&self, result: u64, world: &World, args: &[u64; 5]) -> Option<ResultClass> {
        self.results.iter().copied().find(|class| match class {
            ResultClass::Success | ResultClass::Null => result == 0,
            ResultClass::U64 => true,
            ResultClass::U32 => u32::try_from(result).is_ok(),
            ResultClass::Error(errno) => result == errno.result(),
            ResultClass::Range(first, last) => (*first..=*last).contains(&(result as i64)),
            ResultClass::Map => layout::map_of_handle(result).is_some_and(|map| map < world.maps.len()),
            ResultClass::MapValue | ResultClass::Record => {
                let Some(map) = layout::map_of_handle(args[0]) else { return false };
                let object = match class {
                    ResultClass::Record => Object::Record(map as u32),
                    _ => Object::MapValue(map as u32),
                };
                // A record may have no bytes.
                let record = || world.memory.passing_at(result) == Some(object);
                world.memory.object_at(result) == Some((object, result)) || record()
            }
            ResultClass::Kernel => {
                matches!(world.memory.object_at(result), Some((Object::Kernel(_), first)) if first == result)
            }
            // Of no bytes, also one past the last byte of an object.
            ResultClass::Memory => {
                let is_inside = |addr| world.memory.object_at(addr).is_some();
                is_inside(result) || is_inside(result.wrapping_sub(1)) || world.memory.passing_at(result).is_some()
            }
        })
    }
}

/// The number of the helper of this name, looked up while compiling: numbers are never typed by hand.
pub const fn id(name: &str) -> u32 {
    let mut at = 0;
    while at < FACTS.len() {
        let (ours, theirs) = (FACTS[at].name.as_bytes(), name.as_bytes());
        let mut same = ours.len() == theirs.len();
        let mut byte = 0;
        while same && byte < ours.len() {
            same = ours[byte] == theirs[byte];
            byte += 1;
        }
        if same {
            return FACTS[at].id;
        }
        at += 1;
    }
    panic!("no helper has this name");
}

/// The topics, each a room.
const TOPICS: &[(&str, &[Helper])] = &[
    ("map_elem", map_elem::HELPERS),
    ("map_queue", map_queue::HELPERS),
    ("map_percpu", map_percpu::HELPERS),
    ("for_each_map_elem", for_each_map_elem::HELPERS),
    ("clock", clock::HELPERS),
    ("cpu", cpu::HELPERS),
    ("random", random::HELPERS),
    ("tail_call", tail_call::HELPERS),
    ("bpf_loop", bpf_loop::HELPERS),
    ("skb_data", skb_data::HELPERS),
    ("skb_csum", skb_csum::HELPERS),
    ("skb_meta", skb_meta::HELPERS),
    ("skb_vlan", skb_vlan::HELPERS),
    ("skb_room", skb_room::HELPERS),
    ("xdp_data", xdp_data::HELPERS),
    ("redirect", redirect::HELPERS),
    ("mtu", mtu::HELPERS),
    ("strings_num", strings_num::HELPERS),
    ("spin_lock", spin_lock::HELPERS),
    ("dynptr", dynptr::HELPERS),
    ("ringbuf", ringbuf::HELPERS),
    ("user_ringbuf", user_ringbuf::HELPERS),
    ("timer", timer::HELPERS),
    ("kptr", kptr::HELPERS),
    ("percpu_ptr", percpu_ptr::HELPERS),
    ("perf_output", perf_output::HELPERS),
    ("task", task::HELPERS),
    ("cgroup", cgroup::HELPERS),
    ("probe_read", probe_read::HELPERS),
    ("probe_write_user", probe_write_user::HELPERS),
    ("copy_from_user", copy_from_user::HELPERS),
    ("printf", printf::HELPERS),
    ("kallsyms", kallsyms::HELPERS),
    ("signal", signal::HELPERS),
    ("tracing", tracing::HELPERS),
];

/// Every modelled helper with its topic.
pub fn modelled() -> impl Iterator<Item = (&'static str, &'static Helper)> {
    TOPICS.iter().flat_map(|(topic, helpers)| helpers.iter().map(move |helper| (*topic, helper)))
}

/// The facts about the helper with this number.
pub fn fact(id: u32) -> Option<&'static Fact> {
    FACTS.get((id as usize).checked_sub(1)?)
}

/// The helpers of a world: a table by number, so that one row can be replaced by a planted mistake.
#[derive(Clone, Debug)]
pub struct Helpers(Vec<Option<Helper>>);

impl Default for Helpers {
    fn default() -> Self {
        let mut rows = vec![None; FACTS.len() + 1];
        for (_, helper) in modelled() {
            rows[helper.id as usize] = Some(*helper);
        }
        Helpers(rows)
    }
}

impl Helpers {
    /// The helper with this number.
    pub fn get(&self, id: u32) -> Result<&Helper, Trap> {
        match self.0.get(id as usize) {
            Some(Some(helper)) => Ok(helper),
            _ => match fact(id) {
                Some(fact) => Err(Unsupported::Helper { id, name: fact.name }.into()),
                None => Err(Trap::UnknownHelper(id)),
            },
        }
    }
    /// Replaces a row.
    pub fn replace(&mut self, helper: Helper) {
        self.0[helper.id as usize] = Some(helper);
    }
}

/// The modelled helper with this number.
pub fn by_id(id: u32) -> Option<&'static Helper> {
    modelled().map(|(_, helper)| helper).find(|helper| helper.id == id)
}

/// The engine that a helper is called from, as far as a meaning needs it: it runs the program's own subprograms.
pub trait Callbacks {
    /// Calls the subprogram that `function` stands for, with R1 to R5, in the frame behind that of the caller of the
    /// helper: its R0. `None` if it stands for none.
    fn call(&mut self, world: &mut World, function: u64, args: [u64; 5]) -> Option<Result<u64, Trap>>;
}

/// For calls that no program makes: there are no subprograms.
impl Callbacks for () {
    fn call(&mut self, _: &mut World, _: u64, _: [u64; 5]) -> Option<Result<u64, Trap>> {
        None
    }
}

/// A call under way: all that a meaning can reach.
#[allow(missing_debug_implementations, reason = "an engine shows nothing of itself here")]
pub struct Call<'a> {
    /// The modelled kernel.
    pub world: &'a mut World,
    engine: &'a mut dyn Callbacks,
    helper: &'static Fact,
    args: [u64; 5],
}

impl Call<'_> {
    /// Argument `number`, 1 to 5, all 64 bits of it.
    pub fn arg(&self, number: u8) -> u64 {
        self.args[usize::from(number) - 1]
    }
    /// Argument `number` narrowed to the integer type that the prototype gives it: what the kernel's wrapper of a helper
    /// (`BPF_CALL`) hands on.
    pub fn int(&self, number: u8) -> i64 {
        let value = self.arg(number);
        match self.helper.args.get(usize::from(number) - 1).map_or("", |arg| arg.c_type) {
            "u8" | "__u8" | "bool" => i64::from(value as u8),
            "u16" | "__u16" | "__be16" => i64::from(value as u16),
            "u32" | "__u32" | "__be32" | "unsigned int" => i64::from(value as u32),
            "int" | "s32" => i64::from(value as i32),
            _ => value as i64,
        }
    }
    /// The context, which argument `number` has to be.
    pub fn context(&self, number: u8) -> Result<u64, Trap> {
        let addr = self.arg(number);
        if addr == layout::CONTEXT { Ok(addr) } else { Err(self.fault(number, ArgumentFault::NotTheContext)) }
    }
    /// The index of the map whose handle argument `number` is.
    pub fn map(&self, number: u8) -> Result<usize, Trap> {
        layout::map_of_handle(self.arg(number))
            .filter(|map| *map < self.world.maps.len())
            .ok_or_else(|| self.fault(number, ArgumentFault::NotAMap))
    }
    /// `len` bytes that argument `number` points to.
    pub fn bytes(&self, number: u8, len: u64) -> Result<&[u8], Trap> {
        if len == 0 {
            // Also one past the last byte of an object.
            return Ok(&[]);
        }
        self.world.memory.read(self.arg(number), len).map_err(|_| self.fault(number, ArgumentFault::Unreadable(len)))
    }
    /// The memory of `len` bytes that argument `number` points to, to be written.
    pub fn bytes_mut(&mut self, number: u8, len: u64) -> Result<&mut [u8], Trap> {
        let fault = self.fault(number, ArgumentFault::Unwritable(len));
        self.world.memory.write(self.arg(number), len).map_err(|_| fault)
    }
    /// Writes bytes where argument `number` points to.
    pub fn write(&mut self, number: u8, bytes: &[u8]) -> Result<(), Trap> {
        self.bytes_mut(number, bytes.len() as u64)?.copy_from_slice(bytes);
        Ok(())
    }
    /// The text that argument `number` points to, up to its NUL, which has to lie inside its object.
    pub fn string(&self, number: u8) -> Result<&[u8], Trap> {
        let rest = self.bytes(number, self.world.memory.rest(self.arg(number)))?;
        let end = rest.iter().position(|byte| *byte == 0);
        end.map(|end| &rest[..end]).ok_or_else(|| self.fault(number, ArgumentFault::Unreadable(rest.len() as u64 + 1)))
    }
    /// Calls the subprogram of the program that `function` stands for: its R0.
    pub fn callback(&mut self, function: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let returned = self.engine.call(self.world, function, args);
        let number = (1..=5).find(|number| self.arg(*number) == function).unwrap_or(2);
        returned.unwrap_or_else(|| Err(self.fault(number, ArgumentFault::NotAFunction(function))))
    }
    /// A fault of argument `number`.
    fn fault(&self, number: u8, fault: ArgumentFault) -> Trap {
        Trap::Argument { helper: self.helper.name, number, fault }
    }
}

/// Calls the helper with this number: what the interpreter and the JIT runtime do for a call instruction.
///
/// The call is an effect of the world, in order. A result outside the declared classes is a [`Trap::Contract`].
pub fn call(world: &mut World, id: u32, args: [u64; 5], engine: &mut dyn Callbacks) -> Result<u64, Trap> {
    let helper = *world.helpers.get(id)?;
    let fact = helper.fact();
    // What a function that is called back writes is the program's own doing.
    let is_watched = world.watch > 0 && fact.args.iter().all(|arg| arg.kind != ArgKind::Func);
    world.watch -= u32::from(is_watched);
    let before = is_watched.then(|| (Snapshot::of(world), Permitted::of(&helper, world, &args)));
    let result = (helper.meaning)(&mut Call { world, engine, helper: fact, args })?;
    let breach = |breach| Trap::Contract { helper: fact.name, breach };
    let class = helper.classify(result, world, &args).ok_or_else(|| breach(Breach::Result(result)))?;
    if let Some((before, permitted)) = before
        && let Some(object) = before.breach(&Snapshot::of(world), &permitted)
    {
        return Err(breach(Breach::Wrote(object)));
    }
    let mut declared = [0; 5];
    for (at, _) in fact.args.iter().enumerate().filter(|(_, arg)| arg.kind != ArgKind::Undeclared) {
        declared[at] = args[at];
    }
    world.effects.push(Effect::Call { helper: id, args: declared, result, class });
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_numbered_and_named_once() {
        let mut names = std::collections::HashSet::new();
        for (at, fact) in FACTS.iter().enumerate() {
            assert_eq!(fact.id as usize, at + 1);
            assert!(names.insert(fact.name), "{} twice", fact.name);
            assert!(fact.args.len() <= 5, "{}", fact.name);
        }
        assert_eq!(FACTS.len(), 211);
    }

    /// Each watched call costs a comparison of all memory: after so many the others are not looked at.
    #[test]
    fn so_many_calls_are_watched() {
        #[allow(clippy::unnecessary_wraps)] // the type of a meaning
        fn writes(call: &mut Call<'_>) -> Result<u64, Trap> {
            let bottom = crate::memory::layout::frame_bottom(0);
            let old = call.world.memory.peek(bottom, 1)[0];
            call.world.memory.poke(bottom, &[!old]);
            Ok(0)
        }
        let mut world = World::new(crate::memory::Memory::detached().unwrap());
        world.reset(&crate::world::Input::default()).unwrap();
        let clock = id("ktime_get_ns");
        world.helpers.replace(Helper { meaning: writes, ..*by_id(clock).unwrap() });
        world.watch = 2;
        let caught = [(); 4].map(|()| call(&mut world, clock, [0; 5], &mut ()).is_err());
        assert_eq!(caught, [true, true, false, false]);
    }

    #[test]
    fn prototypes_read_like_the_manual() {
        assert_eq!(fact(5).unwrap().to_string(), "u64 bpf_ktime_get_ns(void)");
        assert_eq!(fact(1).unwrap().to_string(), "void *bpf_map_lookup_elem(struct bpf_map *map, const void *key)");
    }
}
