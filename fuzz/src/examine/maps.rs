//! Maps from user space: which are made, what each command says, and what they then hold.
//!
//! A program cannot show these: the job goes to the kernel as it is ([`wire::Step`]), and the model answers the same steps.

use std::collections::BTreeSet;

use semantics::map::{Errno, Map, MapDef, MapError, MapType, update};
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

const TYPES: [MapType; 3] = [MapType::HASH, MapType::ARRAY, MapType::PROG_ARRAY];

/// Maps of every shape near the limits of what is made.
pub fn creations() -> Vec<Examination> {
    let mut all = Vec::new();
    for map_type in TYPES {
        let mut add = |key, value, entries, flags| {
            let def = MapDef { flags, ..MapDef::new("subject", map_type, key, value, entries) };
            all.push(Examination { def, steps: Vec::new(), number: None });
        };
        for key in [0, 1, 3, 4, 5, 8, 512] {
            for value in [0, 1, 4, 8, 1 << 12] {
                for entries in [0, 1, 4] {
                    add(key, value, entries, 0);
                }
            }
        }
        for bit in 0..32 {
            add(4, 4, 1, 1 << bit);
            add(4, 8, 1, 1 | 1 << bit);
        }
        // Both may not be asked for at once.
        add(4, 4, 1, 1 << 3 | 1 << 4);
        add(4, 4, 1, 1 << 7 | 1 << 8);
        // How long a value may be; what memory has room for is another matter.
        for value in [1 << 21, (1 << 22) - 4, 1 << 22, i32::MAX as u32 + 1, u32::MAX - 7, u32::MAX] {
            add(4, value, 1, 0);
        }
    }
    all
}

/// Keys of 4 bytes: those of an array of 4 elements, and others.
const KEYS: [u32; 7] = [0, 1, 2, 3, 4, 0x8000_0000, u32::MAX];
const FLAGS: [u64; 10] = [0, 1, 2, 3, 4, 5, 8, 1 << 31, 1 << 32, u64::MAX];

/// Sequences of commands on maps of 4 elements, some in order and some drawn from `seed`.
pub fn sequences(seed: u64, count: usize) -> Vec<Examination> {
    let def = |number: usize| {
        let (map_type, flags) = [(MapType::HASH, 0), (MapType::ARRAY, 0), (MapType::HASH, 1)][number % 3];
        MapDef { flags, ..MapDef::new("subject", map_type, 4, 8, 4) }
    };
    (0..count)
        .map(|number| {
            let mut dice = Dice::new(seed, number as u64);
            let steps = (0..48).map(|_| step(&mut dice, number)).collect();
            Examination { def: def(number), steps, number: Some(number) }
        })
        .collect()
}

fn step(dice: &mut Dice, number: usize) -> MapOp {
    let key = dice.pick(&KEYS).to_le_bytes().to_vec();
    // Iteration is defined for arrays only: a hash has its elements in an order of its own.
    let is_array = number % 3 == 1;
    match dice.below(if is_array { 8 } else { 7 }) {
        0..=3 => {
            let value = Value::Bytes(dice.bits().to_le_bytes().to_vec());
            let flags = if dice.chance(2, 3) { FLAGS[dice.below(3)] } else { dice.pick(&FLAGS) };
            MapOp::Update(Update { key: Some(key), value, flags })
        }
        4..=6 => MapOp::Lookup { key: Some(key), flags: if dice.chance(7, 8) { 0 } else { dice.pick(&FLAGS) } },
        _ => MapOp::NextKey { key: dice.chance(7, 8).then_some(key) },
    }
}

impl Examination {
    /// What tells it from others: the shape of the map, and for sequences their number.
    pub fn name(&self) -> String {
        let MapDef { map_type, key_size, value_size, max_entries, flags, .. } = &self.def;
        let sequence = self.number.map_or_else(String::new, |number| format!(", sequence {number}"));
        format!("{map_type} key {key_size} value {value_size} entries {max_entries} flags {flags:#x}{sequence}")
    }

    /// What the kernel is asked.
    pub fn job(&self) -> Job {
        Job {
            engines: vec![Engine::Jit],
            maps: vec![self.map()],
            steps: self.steps.iter().map(|op| Step { map: 0, op: op.clone() }).collect(),
            ..Job::default()
        }
    }

    fn map(&self) -> wire::Map {
        let MapDef { key_size, value_size, max_entries, flags, .. } = self.def;
        let (name, map_type) = (self.def.name.clone(), self.def.map_type.id());
        wire::Map { name, map_type, key_size, value_size, max_entries, flags, ..wire::Map::default() }
    }

    /// Where the model says otherwise than the kernel.
    pub fn differences(&self, trial: &Trial) -> Result<BTreeSet<Difference>, ArenaError> {
        let mut memory = Memory::detached()?;
        let theirs = match &trial.load.result {
            Err((Stage::Map(_), errno)) => *errno,
            _ => 0,
        };
        let mut map = match Map::create(&self.def, 0, &mut memory) {
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
        let mut found = BTreeSet::new();
        for (step, (op, theirs)) in self.steps.iter().zip(&trial.steps).enumerate() {
            let Some(ours) = model(&mut map, &mut memory, op) else {
                found.insert(Difference::Unsupported);
                continue;
            };
            if ours != *theirs {
                let (theirs, ours) = (show(theirs), show(&ours));
                found.insert(Difference::Step { step, theirs, ours });
            }
        }
        Ok(found)
    }
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Ok(bytes) => corpus::text::hex(bytes),
        Err(errno) => format!("error {errno}"),
    }
}

/// What the model says of a command; `None` for one that it lacks.
fn model(map: &mut Map, memory: &mut Memory, op: &MapOp) -> Option<Outcome> {
    let errno = |errno: Errno| errno.number() as i32;
    let value_size = map.def.value_size as usize;
    Some(match op {
        // The call itself looks at the flags: a lookup has BPF_F_LOCK alone, which needs a lock in the value.
        MapOp::Lookup { flags, .. } if *flags != 0 => Err(errno(Errno::Einval)),
        MapOp::Lookup { key: Some(key), .. } => match map.ops.lookup(key) {
            Some(address) => Ok(memory.peek(address, value_size as u64).to_vec()),
            None => Err(errno(Errno::Enoent)),
        },
        MapOp::Update(Update { key: Some(_), flags, .. }) if flags & update::LOCK != 0 => Err(errno(Errno::Einval)),
        MapOp::Update(Update { key: Some(key), value: Value::Bytes(value), flags }) => {
            map.ops.update(memory, key, value, *flags).map(|()| Vec::new()).map_err(errno)
        }
        MapOp::NextKey { key } if map.def.map_type == MapType::ARRAY => next_index(map, key.as_deref()).map_err(errno),
        _ => return None,
    })
}

/// `array_map_get_next_key`: an index that is not one of the array leads to the first.
fn next_index(map: &Map, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
    let keys: Vec<Vec<u8>> = {
        let mut keys = Vec::new();
        map.ops.each(&mut |key, _| keys.push(key.to_vec()));
        keys
    };
    let place = key.and_then(|key| keys.iter().position(|other| other == key));
    keys.get(place.map_or(0, |place| place + 1)).cloned().ok_or(Errno::Enoent)
}
