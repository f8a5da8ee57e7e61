//! Whether a helper kept to its declaration: all that can be observed, before and after a call.

use std::ops::Range;

use super::dynptr::Dynptr;
use super::{ArgKind, Change, Helper};
use crate::memory::{Object, layout};
use crate::world::{Room, World};

/// Everything that can be observed at one moment, with the addresses of what lies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(Vec<Seen>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    object: Object,
    key: Vec<u8>,
    /// Where its bytes lie; `None` of what is no memory.
    addr: Option<u64>,
    bytes: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn of(world: &World) -> Snapshot {
        let mut all = Vec::new();
        world.each_piece(&mut |object, key, addr, bytes| {
            all.push(Seen { object, key: key.to_vec(), addr, bytes: bytes.to_vec() });
        });
        Snapshot(all)
    }

    /// The first object that `now` shows otherwise, apart from what is `permitted`.
    pub(crate) fn breach(&self, now: &Snapshot, permitted: &Permitted) -> Option<Object> {
        let relevant = |all: &'_ Snapshot| {
            all.0.iter().filter(|seen| !permitted.objects.contains(seen)).cloned().collect::<Vec<_>>()
        };
        let (before, after) = (relevant(self), relevant(now));
        for (old, new) in before.iter().zip(&after) {
            if (old.object, &old.key, old.addr, old.bytes.len()) != (new.object, &new.key, new.addr, new.bytes.len()) {
                return Some(old.object.min(new.object));
            }
            let is_permitted = |at: usize| {
                old.addr.is_some_and(|addr| permitted.ranges.iter().any(|range| range.contains(&(addr + at as u64))))
            };
            if (0..old.bytes.len()).any(|at| old.bytes[at] != new.bytes[at] && !is_permitted(at)) {
                return Some(old.object);
            }
        }
        after.get(before.len()).or_else(|| before.get(after.len())).map(|seen| seen.object)
    }
}

/// What a call may change.
#[derive(Debug)]
pub(crate) struct Permitted {
    ranges: Vec<Range<u64>>,
    objects: Objects,
}

#[derive(Debug)]
struct Objects {
    changes: &'static [Change],
    /// The map that the helper names: its values and its state.
    map: Option<u32>,
}

impl Objects {
    fn contains(&self, seen: &Seen) -> bool {
        let map = |of: u32| self.map == Some(of) && self.changes.contains(&Change::MapValues);
        match seen.object {
            Object::Packet => self.changes.contains(&Change::Packet),
            Object::Context | Object::FlowKeys => self.changes.contains(&Change::Context),
            Object::MapValue(of) => map(of),
            Object::Room(room) => {
                let named = match room {
                    Room::Map(of) | Room::Ring(of) => map(of),
                    _ => false,
                };
                let of_records = matches!(room, Room::Ring(_)) && self.changes.contains(&Change::Records);
                named || of_records || self.changes.contains(&Change::Room(room))
            }
            Object::Frame(_) | Object::MapKey(_) | Object::Kernel(_) => false,
            Object::Record(of) => self.map == Some(of) || self.changes.contains(&Change::Records),
        }
    }
}

impl Permitted {
    /// What `helper` declares of a call with these arguments: memory that it is handed to write, and its changes.
    pub(crate) fn of(helper: &Helper, world: &World, args: &[u64; 5]) -> Permitted {
        let declared = helper.fact().args;
        let mut ranges = Vec::new();
        for (at, arg) in declared.iter().enumerate().take(5) {
            if arg.is(super::Arg::RDONLY) || args[at] == 0 {
                continue;
            }
            let size = declared.get(at + 1).filter(|next| {
                matches!(next.kind, ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSizeOrZero)
            });
            let len = match (arg.kind, size) {
                (ArgKind::Mem, Some(_)) => u64::from(args[at + 1] as u32),
                // The size follows from the prototype, which the table does not have: up to the end of the object.
                (ArgKind::Mem, None) => world.memory.rest(args[at]),
                (ArgKind::MapValue, _) => {
                    let map = layout::map_of_handle(args[0]).and_then(|map| world.maps.get(map));
                    map.map_or(0, |map| u64::from(map.def.value_size))
                }
                (ArgKind::PtrToInt | ArgKind::SpinLock, _) => 4,
                (ArgKind::PtrToLong | ArgKind::Kptr, _) => 8,
                (ArgKind::Dynptr | ArgKind::Timer, _) => 16,
                _ => continue,
            };
            ranges.push(args[at]..args[at].saturating_add(len));
        }
        if helper.changes.contains(&Change::Dynptr)
            && let Some(dynptr) = Dynptr::read(&world.memory, args[0])
        {
            ranges.push(dynptr.start()..dynptr.start().saturating_add(dynptr.size.into()));
        }
        let map = layout::map_of_handle(args[0]).and_then(|map| u32::try_from(map).ok());
        Permitted { ranges, objects: Objects { changes: helper.changes, map } }
    }
}
