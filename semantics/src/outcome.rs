//! All that can be observed of a run.

use crate::memory::Object;
use crate::open::Open;
use crate::trap::Trap;
use crate::world::Effect;

/// R0 or a trap, the bytes of every object, and the ordered effects. Two outcomes are equal only if all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// R0, or how the run ended instead.
    pub result: Result<u64, Trap>,
    /// What was done to the world, in order.
    pub effects: Vec<Effect>,
    /// Keys and bytes of all objects, one after the other.
    bytes: Vec<u8>,
    pieces: Vec<(Object, usize, usize)>,
}

/// One object of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub object: Object,
    /// The key of a map element, else empty.
    pub key: &'a [u8],
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The first place where two outcomes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// R0 or the trap.
    Result(Result<u64, Trap>, Result<u64, Trap>),
    /// A byte of an object, at this offset.
    Byte {
        /// The object.
        object: Object,
        /// The key of a map element, else empty.
        key: Vec<u8>,
        /// Bytes from its start.
        offset: usize,
        /// The bytes there.
        values: (u8, u8),
    },
    /// An object that only one outcome has.
    Object(Object),
    /// The effect with this number; `None` where one outcome has fewer.
    Effect(usize, Option<Effect>, Option<Effect>),
}

/// What an engine shows of an outcome. Kernel space shows little: frames, contexts, addresses and effects stay inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The upper half of R0, too.
    pub whole_r0: bool,
    /// The bytes of the packet.
    pub packet: bool,
    /// The values of maps, in whatever order.
    pub maps: bool,
    /// All else: contexts, frames, flow keys, the order of map elements, effects.
    pub rest: bool,
}

impl Sight {
    /// All of it.
    pub const WHOLE: Sight = Sight { whole_r0: true, packet: true, maps: true, rest: true };
    /// What `BPF_PROG_TEST_RUN` and reading maps show.
    pub const USER_SPACE: Sight = Sight { whole_r0: false, packet: true, maps: true, rest: false };

    /// What both show.
    #[must_use]
    pub fn meet(self, other: Sight) -> Sight {
        Sight {
            whole_r0: self.whole_r0 && other.whole_r0,
            packet: self.packet && other.packet,
            maps: self.maps && other.maps,
            rest: self.rest && other.rest,
        }
    }

    fn shows(self, object: Object) -> bool {
        match object {
            Object::Packet => self.packet,
            Object::MapValue(_) => self.maps,
            Object::Context
            | Object::FlowKeys
            | Object::Frame(_)
            | Object::MapKey(_)
            | Object::Record(_)
            | Object::Kernel(_)
            | Object::Room(_) => self.rest,
        }
    }
}

impl Difference {
    /// What differs, without the values: what findings are told apart by.
    pub fn field(&self) -> String {
        match self {
            Difference::Result(Ok(_), Ok(_)) => "r0".to_owned(),
            Difference::Result(..) => "trap".to_owned(),
            Difference::Byte { object, .. } => format!("bytes of the {object}"),
            Difference::Object(object) => format!("presence of a {object}"),
            Difference::Effect(..) => "effects".to_owned(),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |result: &Result<u64, Trap>| match result {
            Ok(r0) => format!("r0 = {r0:#x}"),
            Err(trap) => format!("trap: {trap}"),
        };
        match self {
            Difference::Result(a, b) => write!(f, "{} against {}", show(a), show(b)),
            Difference::Byte { object, offset, values: (a, b), .. } => {
                write!(f, "byte {offset} of the {object}: {a:#04x} against {b:#04x}")
            }
            Difference::Object(object) => write!(f, "only one has this {object}"),
            Difference::Effect(at, a, b) => write!(f, "effect {at}: {a:x?} against {b:x?}"),
        }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome { result: Ok(0), effects: Vec::new(), bytes: Vec::new(), pieces: Vec::new() }
    }
}

impl Outcome {
    pub(crate) fn clear(&mut self, result: Result<u64, Trap>) {
        self.result = result;
        self.effects.clear();
        self.bytes.clear();
        self.pieces.clear();
    }
    #[inline]
    pub(crate) fn push(&mut self, object: Object, key: &[u8], bytes: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(bytes);
        self.pieces.push((object, key.len(), bytes.len()));
    }

    /// The objects, in a fixed order.
    pub fn objects(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut at = 0;
        self.pieces.iter().map(move |&(object, key, len)| {
            let piece = Piece { object, key: &self.bytes[at..at + key], bytes: &self.bytes[at + key..at + key + len] };
            at += key + len;
            piece
        })
    }

    /// The first place where the two differ; `None` exactly when they are equal.
    pub fn difference(&self, other: &Outcome) -> Option<Difference> {
        if self == other {
            return None;
        }
        if self.result != other.result {
            return Some(Difference::Result(self.result, other.result));
        }
        for (ours, theirs) in self.objects().zip(other.objects()) {
            if (ours.object, ours.key, ours.bytes.len()) != (theirs.object, theirs.key, theirs.bytes.len()) {
                return Some(Difference::Object(ours.object));
            }
            if let Some(offset) = ours.bytes.iter().zip(theirs.bytes).position(|(a, b)| a != b) {
                let values = (ours.bytes[offset], theirs.bytes[offset]);
                return Some(Difference::Byte { object: ours.object, key: ours.key.to_vec(), offset, values });
            }
        }
        let (ours, theirs) = (self.pieces.len(), other.pieces.len());
        if ours != theirs {
            let longer = if ours > theirs { &self.pieces } else { &other.pieces };
            return Some(Difference::Object(longer[ours.min(theirs)].0));
        }
        let longest = self.effects.len().max(other.effects.len());
        let at = (0..longest).find(|at| self.effects.get(*at) != other.effects.get(*at))?;
        Some(Difference::Effect(at, self.effects.get(at).copied(), other.effects.get(at).copied()))
    }

    /// The first place where the two differ within `sight`, other than in what is `open`.
    ///
    /// ```
    /// use semantics::{open::Open, outcome::{Outcome, Sight}};
    ///
    /// let (mut a, mut b) = (Outcome::default(), Outcome::default());
    /// (a.result, b.result) = (Ok(1), Ok(1 << 32 | 1));
    /// assert!(a.difference_within(&b, Sight::WHOLE, &Open::default()).is_some());
    /// assert!(a.difference_within(&b, Sight::USER_SPACE, &Open::default()).is_none());
    /// ```
    pub fn difference_within(&self, other: &Outcome, sight: Sight, open: &Open) -> Option<Difference> {
        if sight.rest && open.is_empty() {
            return self.difference(other);
        }
        let same = match (self.result, other.result) {
            (Ok(_), Ok(_)) if open.result() => true,
            (Ok(a), Ok(b)) if !sight.whole_r0 || open.upper() => a as u32 == b as u32,
            (a, b) => a == b,
        };
        if !same {
            return Some(Difference::Result(self.result, other.result));
        }
        if open.course() {
            return None;
        }
        let (ours, theirs) = (self.seen(sight, open), other.seen(sight, open));
        for (a, b) in ours.iter().zip(&theirs) {
            if (a.object, a.key, a.bytes.len()) != (b.object, b.key, b.bytes.len()) {
                return Some(Difference::Object(a.object.min(b.object)));
            }
            let differs = |at: &usize| a.bytes[*at] != b.bytes[*at] && !open.byte(a.object, a.key, *at);
            if let Some(offset) = (0..a.bytes.len()).find(differs) {
                let values = (a.bytes[offset], b.bytes[offset]);
                return Some(Difference::Byte { object: a.object, key: a.key.to_vec(), offset, values });
            }
        }
        let longer = if ours.len() > theirs.len() { &ours } else { &theirs };
        longer.get(ours.len().min(theirs.len())).map(|piece| Difference::Object(piece.object))
    }

    /// The objects that are compared, in an order that does not depend on a map's.
    fn seen(&self, sight: Sight, open: &Open) -> Vec<Piece<'_>> {
        let is_seen = |piece: &Piece<'_>| sight.shows(piece.object) && !open.object(piece.object);
        let mut pieces: Vec<Piece<'_>> = self.objects().filter(is_seen).collect();
        pieces.sort_by_key(|piece| (piece.object, piece.key));
        pieces
    }
}
