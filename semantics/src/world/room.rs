//! Rooms of the world: what of them can be observed, by name.

use super::bytes::hex;
use crate::memory::Object;
use crate::outcome::Outcome;

/// A part of the modelled kernel whose state is compared and printed beside memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Room {
    /// The packet besides its bytes: fragments, checksum, VLAN tag, offsets.
    Packet,
    /// Where the packet is sent.
    Redirect,
    /// Clones of the packet that were sent.
    Clones,
    /// What a map holds besides values: lists, queues, objects by number.
    Map(u32),
    /// The records of a ring buffer.
    Ring(u32),
    /// Timers.
    Timers,
    /// Records of perf events.
    Perf,
    /// Trace output (`trace_pipe`).
    Trace,
    /// The current task, and signals sent to it.
    Task,
    /// Memory of user space.
    User,
    /// What a program did to the function that it is attached to.
    Traced,
}

impl Room {
    /// The word for it in cases, and the map that it belongs to.
    pub const fn name(self) -> (&'static str, Option<u32>) {
        match self {
            Room::Packet => ("packet", None),
            Room::Redirect => ("redirect", None),
            Room::Clones => ("clones", None),
            Room::Map(map) => ("map", Some(map)),
            Room::Ring(map) => ("ring", Some(map)),
            Room::Timers => ("timers", None),
            Room::Perf => ("perf", None),
            Room::Trace => ("trace", None),
            Room::Task => ("task", None),
            Room::User => ("user", None),
            Room::Traced => ("traced", None),
        }
    }
    /// The room of this name: a word, with the name of a map behind it where the room is a map's.
    pub fn from_name(name: &str, map: impl Fn(&str) -> Option<u32>) -> Option<Room> {
        let (word, of) = name.split_once(' ').unwrap_or((name, ""));
        let map = if of.is_empty() { None } else { Some(map(of)?) };
        let number = map.unwrap_or(0);
        let all = [
            Room::Packet,
            Room::Redirect,
            Room::Clones,
            Room::Map(number),
            Room::Ring(number),
            Room::Timers,
            Room::Perf,
            Room::Trace,
            Room::Task,
            Room::User,
            Room::Traced,
        ];
        all.into_iter().find(|room| room.name() == (word, map))
    }
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Room::Packet => f.write_str("packet state"),
            Room::Redirect => f.write_str("redirect"),
            Room::Clones => f.write_str("clones"),
            Room::Map(map) => write!(f, "state of map {map}"),
            Room::Ring(map) => write!(f, "ring of map {map}"),
            Room::Timers => f.write_str("timers"),
            Room::Perf => f.write_str("perf records"),
            Room::Trace => f.write_str("trace output"),
            Room::Task => f.write_str("task"),
            Room::User => f.write_str("user memory"),
            Room::Traced => f.write_str("traced function"),
        }
    }
}

/// Takes down what a room shows: names with values, as text, so that it is compared, printed and stated in cases alike.
#[derive(Debug)]
pub struct Observation<'a> {
    outcome: &'a mut Outcome,
    room: Room,
}

impl<'a> Observation<'a> {
    /// Of this room.
    pub fn new(outcome: &'a mut Outcome, room: Room) -> Observation<'a> {
        Observation { outcome, room }
    }
    /// A value that is text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.outcome.push(Object::Room(self.room), name.as_bytes(), text.as_bytes());
    }
    /// A number.
    pub fn number(&mut self, name: &str, value: impl Into<i128>) {
        self.text(name, &value.into().to_string());
    }
    /// Bytes, written in hexadecimal.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.text(name, &hex(bytes));
    }
}
