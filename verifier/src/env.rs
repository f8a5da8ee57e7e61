//! What the rules of one verification lean on.

use crate::dialect::Dialect;
use crate::prune::liveness::Touched;
use crate::rules::Rules;
use crate::state::State;
use semantics::map::MapDef;
use semantics::program::Program;
use semantics::program_type::Declaration;
use semantics::word::Concrete;
use std::cell::Cell;

/// Program, rules and version; and the ids given so far.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    pub program: &'a Program,
    pub declaration: &'static Declaration,
    pub rules: &'a Rules<Concrete>,
    pub dialect: Dialect,
    /// By subprogram, the bytes of its frame that are used (`stack_depth`).
    pub stack_depths: Vec<Cell<u32>>,
    /// By subprogram, whether it is called back later, on its own (`is_async_cb`).
    pub is_async: Vec<bool>,
    /// What the instruction did to the stack.
    pub touched: Touched,
    /// Paths that begin beside the one that is followed.
    pub later: Vec<Later>,
    /// By instruction, the map whose elements a call goes through.
    pub maps_at: Vec<(usize, u32)>,
    /// The last id given to pointers or linked numbers (`id_gen`).
    pub last_id: u32,
}

/// Set in the number of a map that stands for what the inner maps of a map of maps look like.
pub(crate) const INNER: u32 = 1 << 31;

/// A path that begins beside the one that is followed: a callback that runs later, another turn of a loop.
#[derive(Debug)]
pub(crate) struct Later {
    /// Where it goes on, in slots.
    pub pc: usize,
    /// What is known there.
    pub state: State,
    /// Whether it runs on its own, not as part of this path.
    pub alone: bool,
}

impl<'a> Env<'a> {
    /// The number of the subprogram that begins at this slot.
    pub fn subprogram_at(&self, start: usize) -> u32 {
        self.program.subprograms().partition_point(|other| *other < start) as u32
    }
    /// Notes that a subprogram uses so many bytes of its frame (`update_stack_depth`).
    #[inline]
    pub fn use_stack(&self, state: &State, frame: u8, bytes: i64) {
        let entry = state.callers.get(usize::from(frame)).map_or(&state.entry, |caller| &caller.entry);
        let depth = &self.stack_depths[entry.subprogram as usize];
        depth.set(depth.get().max(bytes as u32));
    }
    /// How many bytes of its frame a subprogram uses.
    pub fn stack_depth(&self, subprogram: usize) -> u32 {
        self.stack_depths[subprogram].get()
    }
    /// The definition of this map: one of the program's, or of the inner maps of one.
    #[inline]
    pub fn map(&self, number: u32) -> &'a MapDef {
        let map = &self.program.maps()[(number & !INNER) as usize];
        match &map.inner {
            Some(inner) if number & INNER != 0 => inner,
            _ => map,
        }
    }
}

impl Env<'_> {
    /// An id that was never given.
    pub fn new_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }
}
