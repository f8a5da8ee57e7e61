//! Maps from user space: which are made, what each command says, and what they then hold.
//!
//! A program cannot show these: the job goes to the kernel as it is ([`wire::Step`]), and the model answers the same steps.

use std::collections::BTreeSet;

use semantics::map::{
    Errno, Map, MapDef, MapError, MapType, NO_COMMON_LRU, NO_PREALLOC, STACK_BUILD_ID, Setting, ZERO_SEED,
};
use semantics::memory::{ArenaError, Memory};
use wire::{Engine, Job, MapOp, Outcome, Stage, Step, Trial, Update, Value};

use crate::dice::Dice;

/// A map, and what user space does to it.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The map.
    pub def: MapDef,
    /// What is done, in order.
    pub steps: Vec<MapOp>,
    /// Its number among sequences of commands.
    number: Option<usize>,
}

/// What the kernel and the model say of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Difference {
    /// One makes the map, or they refuse it differently. Error numbers; 0 for none.
    #[error("creation: the kernel says {theirs}, the model {ours}")]
    Creation {
        /// The kernel's.
        theirs: i32,
        /// Ours.
        ours: i32,
    },
    /// A command ends otherwise.
    #[error("step {step}: the kernel says {theirs}, the model {ours}")]
    Step {
        /// Which, from 0.
        step: usize,
        /// The kernel's, as text.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// The model has no meaning for it.
    #[error("not modelled")]
    Unsupported,
}

/// Types of which any map can be made with nothing but numbers: the values of storages need types, those of maps of maps a map.
const TYPES: [MapType; 25] = [
    MapType::HASH,
    MapType::ARRAY,
    MapType::PROG_ARRAY,
    MapType::PERF_EVENT_ARRAY,
    MapType::PERCPU_HASH,
    MapType::PERCPU_ARRAY,
    MapType::STACK_TRACE,
    MapType::CGROUP_ARRAY,
    MapType::LRU_HASH,
    MapType::LRU_PERCPU_HASH,
    MapType::LPM_TRIE,
    MapType::ARRAY_OF_MAPS,
    MapType::HASH_OF_MAPS,
    MapType::DEVMAP,
    MapType::SOCKMAP,
    MapType::CPUMAP,
    MapType::XSKMAP,
    MapType::SOCKHASH,
    MapType::CGROUP_STORAGE,
    MapType::REUSEPORT_SOCKARRAY,
    MapType::PERCPU_CGROUP_STORAGE,
    MapType::QUEUE,
    MapType::STACK,
    MapType::DEVMAP_HASH,
    MapType::BLOOM_FILTER,
];

/// Ring buffers have sizes of their own.
const RINGS: [MapType; 2] = [MapType::RINGBUF, MapType::USER_RINGBUF];

/// Maps of every shape near the limits of what is made.
pub fn creations() -> Vec<Examination> {
    let mut all = Vec::new();
    for map_type in TYPES.into_iter().chain(RINGS) {
        let mut add = |key, value, entries, flags| all.push(creation(map_type, (key, value, entries), flags));
        for key in [0, 1, 3, 4, 5, 8, 16, 260, 261, 512, 513] {
            for value in [0, 1, 4, 8, 1 << 12] {
                for entries in [0, 1, 4] {
                    add(key, value, entries, own_flags(map_type));
                }
            }
        }
        let (key, value, entries) = own_sizes(map_type);
        // Flags of later kernels: of files that stand for rights, and of rings that overwrite.
        for bit in (0..32).filter(|bit| ![16, 19].contains(bit)) {
            add(key, value, entries, 1 << bit);
            add(key, value, entries, 1 | 1 << bit);
            add(key, 2 * value, entries, own_flags(map_type) ^ 1 << bit);
        }
        // Both may not be asked for at once.
        add(key, value, entries, own_flags(map_type) | 1 << 3 | 1 << 4);
        add(key, value, entries, own_flags(map_type) | 1 << 7 | 1 << 8);
        // How long a value may be; what memory has room for is another matter.
        let lengths = [1016, 1024, 32_768, 32_769, 65_407, 65_408, 65_536, 1 << 21, (1 << 22) - 300, (1 << 22) - 256];
        for value in lengths.into_iter().chain([
            (1 << 22) - 4,
            1 << 22,
            (1 << 22) + 1,
            i32::MAX as u32 + 1,
            u32::MAX - 7,
            u32::MAX,
        ]) {
            add(key, value, entries, own_flags(map_type));
        }
        for entries in [4095, 4096, 8192, 8193, 12_288] {
            add(key, value, entries, own_flags(map_type));
        }
    }
    for value in [8, 32, 40, 4064, 4096] {
        all.push(creation(MapType::STACK_TRACE, (4, value, 4), STACK_BUILD_ID));
    }
    for flags in [NO_COMMON_LRU, NO_COMMON_LRU | NO_PREALLOC] {
        all.push(creation(MapType::LRU_HASH, (4, 8, 4), flags));
    }
    for extra in [1, 15, 16, 1 << 32] {
        for map_type in [MapType::BLOOM_FILTER, MapType::HASH] {
            let mut examination = creation(map_type, (own_sizes(map_type).0, 4, 4), 0);
            examination.def.extra = extra;
            all.push(examination);
        }
    }
    all
}

fn creation(map_type: MapType, (key, value, entries): (u32, u32, u32), flags: u32) -> Examination {
    let inner = is_of_maps(map_type).then(|| Box::new(inner()));
    let def = MapDef { flags, inner, ..MapDef::new("subject", map_type, key, value, entries) };
    Examination { def, steps: Vec::new(), number: None }
}

fn is_of_maps(map_type: MapType) -> bool {
    matches!(map_type, MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS)
}

/// What inner maps look like.
fn inner() -> MapDef {
    MapDef::new("inner", MapType::ARRAY, 4, 8, 1)
}

/// Sizes that the type takes: of keys, values, and entries.
fn own_sizes(map_type: MapType) -> (u32, u32, u32) {
    match map_type {
        MapType::QUEUE | MapType::STACK | MapType::BLOOM_FILTER => (0, 4, 4),
        MapType::LPM_TRIE => (8, 4, 4),
        MapType::CGROUP_STORAGE | MapType::PERCPU_CGROUP_STORAGE => (8, 4, 0),
        MapType::STACK_TRACE => (4, 8, 4),
        MapType::RINGBUF | MapType::USER_RINGBUF => (0, 0, 4096),
        _ => (4, 4, 4),
    }
}

/// Flags that the type does not do without.
fn own_flags(map_type: MapType) -> u32 {
    if map_type == MapType::LPM_TRIE { NO_PREALLOC } else { 0 }
}

/// Keys of 4 bytes: those of an array of 4 elements, and others.
const KEYS: [u32; 7] = [0, 1, 2, 3, 4, 0x8000_0000, u32::MAX];
const FLAGS: [u64; 10] = [0, 1, 2, 3, 4, 5, 8, 1 << 31, 1 << 32, u64::MAX];
/// Of maps with a value for each CPU, where later kernels have more flags; and of tries, where they do not agree on others.
const FEW_FLAGS: [u64; 3] = [0, 1, 2];
const TRIE_FLAGS: [u64; 3] = [0, 3, 4];

/// What commands are drawn for.
struct Subject {
    def: MapDef,
    keys: Keys,
    values: Values,
    flags: &'static [u64],
    /// Whether the order of its elements follows from what was done.
    has_order: bool,
}

enum Keys {
    None,
    Of(&'static [u32]),
    Prefixes,
}

/// What values are.
enum Values {
    /// Anything of this length.
    Bytes(usize),
    /// One of these numbers, in so many bytes.
    Of(&'static [u64], usize),
    /// The inner map.
    Map,
}

/// Maps of 4 elements, as a rule, of every type that user space does something to.
fn subjects() -> Vec<Subject> {
    use Values::{Bytes, Map, Of};
    let def = |map_type, key, value, entries, flags| {
        let inner = is_of_maps(map_type).then(|| Box::new(inner()));
        MapDef { flags, inner, ..MapDef::new("subject", map_type, key, value, entries) }
    };
    let keyed = |map_type, flags, values: Values, has_order| {
        let len = match values {
            Bytes(len) | Of(_, len) => len as u32,
            Map => 4,
        };
        let entries = if matches!(map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH) { 16 } else { 4 };
        Subject { def: def(map_type, 4, len, entries, flags), keys: Keys::Of(&KEYS), values, flags: &FLAGS, has_order }
    };
    let few = |subject: Subject| Subject { flags: &FEW_FLAGS, ..subject };
    let without = |map_type, flags| Subject {
        def: def(map_type, 0, 8, 4, flags),
        keys: Keys::None,
        values: Of(&[0, 1, 2, 3, u64::MAX], 8),
        flags: &FLAGS,
        has_order: true,
    };
    vec![
        keyed(MapType::HASH, 0, Bytes(8), false),
        keyed(MapType::ARRAY, 0, Bytes(8), true),
        keyed(MapType::HASH, NO_PREALLOC, Bytes(8), false),
        few(keyed(MapType::PERCPU_HASH, ZERO_SEED, Bytes(8), true)),
        few(keyed(MapType::PERCPU_ARRAY, 0, Bytes(8), true)),
        without(MapType::QUEUE, 0),
        without(MapType::STACK, 0),
        without(MapType::BLOOM_FILTER, ZERO_SEED),
        // Where the function starts from 0, it is known where each element is.
        keyed(MapType::HASH, ZERO_SEED, Bytes(8), true),
        keyed(MapType::HASH, ZERO_SEED | NO_PREALLOC, Bytes(5), true),
        keyed(MapType::LRU_HASH, ZERO_SEED, Bytes(8), true),
        few(keyed(MapType::LRU_PERCPU_HASH, 0, Bytes(8), false)),
        few(keyed(MapType::PERCPU_HASH, NO_PREALLOC, Bytes(8), false)),
        Subject {
            def: def(MapType::LPM_TRIE, 8, 8, 64, NO_PREALLOC),
            keys: Keys::Prefixes,
            flags: &TRIE_FLAGS,
            ..keyed(MapType::LPM_TRIE, 0, Bytes(8), true)
        },
        keyed(MapType::ARRAY_OF_MAPS, 0, Map, true),
        // Later kernels replace a map where it is.
        keyed(MapType::HASH_OF_MAPS, 0, Map, false),
        keyed(MapType::DEVMAP, 0, Of(&[0, 1], 4), true),
        keyed(MapType::DEVMAP, 0, Of(&[0, 1], 8), true),
        keyed(MapType::DEVMAP_HASH, 0, Of(&[0, 1], 4), true),
        keyed(MapType::CPUMAP, 0, Of(&[0, 1, 64, 16_385], 4), true),
        // Of what these hold user space has nothing to give: all are told that it is no open file.
        keyed(MapType::PROG_ARRAY, 0, Of(&[u64::MAX], 4), true),
        keyed(MapType::PERF_EVENT_ARRAY, 0, Of(&[u64::MAX], 4), true),
        keyed(MapType::CGROUP_ARRAY, 0, Of(&[u64::MAX], 4), true),
        keyed(MapType::SOCKMAP, 0, Of(&[u64::MAX], 4), true),
        keyed(MapType::SOCKHASH, 0, Of(&[u64::MAX], 8), true),
        keyed(MapType::REUSEPORT_SOCKARRAY, 0, Of(&[u64::MAX], 8), true),
        keyed(MapType::XSKMAP, 0, Of(&[u64::MAX], 4), true),
        keyed(MapType::STACK_TRACE, 0, Bytes(8), true),
        Subject {
            def: def(MapType::CGROUP_STORAGE, 8, 8, 0, 0),
            ..few(keyed(MapType::CGROUP_STORAGE, 0, Bytes(8), true))
        },
        Subject {
            def: def(MapType::RINGBUF, 0, 0, 4096, 0),
            keys: Keys::None,
            // Later kernels look at the flags first.
            flags: &FLAGS[..1],
            ..keyed(MapType::RINGBUF, 0, Bytes(0), true)
        },
    ]
}

/// Sequences of commands, drawn from `seed`.
pub fn sequences(seed: u64, count: usize) -> Vec<Examination> {
    let subjects = subjects();
    (0..count)
        .map(|number| {
            let mut dice = Dice::new(seed, number as u64);
            let subject = &subjects[number % subjects.len()];
            let steps = (0..48).map(|_| subject.step(&mut dice)).collect();
            Examination { def: subject.def.clone(), steps, number: Some(number) }
        })
        .collect()
}

impl Subject {
    fn step(&self, dice: &mut Dice) -> MapOp {
        let key = self.key(dice);
        let flags = |dice: &mut Dice| if dice.chance(2, 3) { 0 } else { dice.pick(self.flags) };
        match dice.below(if self.has_order { 16 } else { 14 }) {
            0..=5 => MapOp::Update(Update { key, value: self.value(dice), flags: flags(dice) }),
            6..=9 => MapOp::Lookup { key, flags: if dice.chance(7, 8) { 0 } else { dice.pick(self.flags) } },
            10 | 11 => MapOp::Delete { key: key.unwrap_or_default() },
            // Later kernels can do it.
            12 if self.def.map_type == MapType::STACK_TRACE => MapOp::NextKey { key },
            12 => MapOp::LookupAndDelete { key, flags: if dice.chance(7, 8) { 0 } else { dice.pick(self.flags) } },
            13 if dice.chance(1, 16) => MapOp::Freeze,
            13 => MapOp::Lookup { key: None, flags: 0 },
            // Kernels do not agree on what comes behind a prefix that is not there.
            _ if matches!(self.keys, Keys::Prefixes) => MapOp::NextKey { key: None },
            _ => MapOp::NextKey { key: key.filter(|_| dice.chance(7, 8)) },
        }
    }
    fn key(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        match self.keys {
            Keys::None => None,
            Keys::Of(keys) => {
                let mut key = dice.pick(keys).to_le_bytes().to_vec();
                key.resize(self.def.key_size as usize, 0);
                Some(key)
            }
            Keys::Prefixes => {
                let prefix = dice.pick(&[0u32, 1, 8, 9, 16, 24, 31, 32, 33]);
                let data = [dice.pick(&[0, 10, 138]), dice.pick(&[0, 1, 128]), 0, dice.pick(&[0, 1])];
                Some([prefix.to_le_bytes(), data].concat())
            }
        }
    }
    fn value(&self, dice: &mut Dice) -> Value {
        match self.values {
            Values::Bytes(len) => Value::Bytes(dice.bits().to_le_bytes().iter().copied().cycle().take(len).collect()),
            Values::Of(numbers, len) => Value::Bytes(dice.pick(numbers).to_le_bytes()[..len].to_vec()),
            Values::Map => Value::Map(0),
        }
    }
}

impl Examination {
    /// What tells it from others: the shape of the map, and for sequences their number.
    pub fn name(&self) -> String {
        let MapDef { map_type, key_size, value_size, max_entries, flags, extra, .. } = &self.def;
        let extra = if *extra == 0 { String::new() } else { format!(" extra {extra:#x}") };
        let sequence = self.number.map_or_else(String::new, |number| format!(", sequence {number}"));
        format!("{map_type} key {key_size} value {value_size} entries {max_entries} flags {flags:#x}{extra}{sequence}")
    }

    /// The maps of the kernel, and of the model: what inner maps look like comes first.
    fn defs(&self) -> Vec<MapDef> {
        self.def.inner.as_deref().cloned().into_iter().chain([self.def.clone()]).collect()
    }

    /// What the kernel is asked.
    pub fn job(&self) -> Job {
        let maps: Vec<wire::Map> = self.defs().iter().map(map).collect();
        let at = maps.len() as u32 - 1;
        Job {
            engines: vec![Engine::Jit],
            maps,
            steps: self.steps.iter().map(|op| Step { map: at, op: op.clone() }).collect(),
            ..Job::default()
        }
    }

    /// Where the model says otherwise than the kernel.
    pub fn differences(&self, trial: &Trial) -> Result<BTreeSet<Difference>, ArenaError> {
        let mut memory = Memory::detached()?;
        let theirs = match &trial.load.result {
            Err((Stage::Map(_), errno)) => *errno,
            _ => 0,
        };
        let defs = self.defs();
        let mut map = match Map::create(&defs, defs.len() - 1, &mut memory) {
            Err(MapError::Refused { errno, .. }) => {
                let ours = errno.number() as i32;
                return Ok((theirs != ours).then_some(Difference::Creation { theirs, ours }).into_iter().collect());
            }
            Err(MapError::Unsupported { .. } | MapError::TooLarge { .. }) => {
                return Ok([Difference::Unsupported].into());
            }
            Ok(map) if theirs == 0 => map,
            Ok(_) => return Ok([Difference::Creation { theirs, ours: 0 }].into()),
        };
        // Guests have one.
        map.reset(&mut memory, &Setting { cpus: 1, ..Setting::default() });
        let mut found = BTreeSet::new();
        for (step, (op, theirs)) in self.steps.iter().zip(&trial.steps).enumerate() {
            let ours = self.shown(op, model(&mut map, &mut memory, op));
            let theirs = self.shown(op, theirs.clone());
            if ours != theirs {
                let (theirs, ours) = (show(&theirs), show(&ours));
                found.insert(Difference::Step { step, theirs, ours });
            }
        }
        Ok(found)
    }

    /// What is compared of an answer: the ids of maps are the kernel's to choose, and of a bloom filter nothing is read. That a
    /// map is frozen already was EBUSY before 6.5, and is EPERM since.
    fn shown(&self, op: &MapOp, outcome: Outcome) -> Outcome {
        let is_lookup = matches!(op, MapOp::Lookup { .. });
        let is_open = is_of_maps(self.def.map_type) || self.def.map_type == MapType::BLOOM_FILTER;
        match (op, outcome) {
            (_, Ok(_)) if is_lookup && is_open => Ok(Vec::new()),
            (MapOp::Freeze, Err(errno)) if errno == Errno::Ebusy.number() as i32 => Err(Errno::Eperm.number() as i32),
            (_, outcome) => outcome,
        }
    }
}

fn map(def: &MapDef) -> wire::Map {
    let MapDef { key_size, value_size, max_entries, flags, extra, .. } = *def;
    let (name, map_type) = (def.name.clone(), def.map_type.id());
    let inner = def.inner.is_some().then_some(0);
    wire::Map { name, map_type, key_size, value_size, max_entries, flags, extra, inner, ..wire::Map::default() }
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Ok(bytes) => corpus::text::hex(bytes),
        Err(errno) => format!("error {errno}"),
    }
}

/// What the model says of a command.
fn model(map: &mut Map, memory: &mut Memory, op: &MapOp) -> Outcome {
    let done = |done: Result<(), Errno>| done.map(|()| Vec::new());
    let answer = match op {
        MapOp::Lookup { key, flags } => {
            // Where a value is asked for, the agent asks for zeros.
            let zeros = vec![0; map.ops.user_len().unwrap_or(0)];
            map.user_lookup(memory, key.as_deref(), Some(&zeros), *flags)
        }
        MapOp::Update(Update { key, value, flags }) => {
            let bytes = match value {
                Value::Bytes(bytes) => bytes.clone(),
                Value::Map(number) | Value::Program(number) => number.to_le_bytes().to_vec(),
            };
            done(map.user_update(memory, key.as_deref(), Some(&bytes), *flags))
        }
        // The agent has no address for no bytes.
        MapOp::Delete { key } => done(map.user_delete(memory, Some(&**key).filter(|key| !key.is_empty()))),
        MapOp::LookupAndDelete { key, flags } => map.user_lookup_and_delete(memory, key.as_deref(), *flags),
        MapOp::NextKey { key } => map.user_next_key(key.as_deref()),
        MapOp::Freeze => done(map.user_freeze()),
    };
    answer.map_err(|errno| errno.number() as i32)
}
