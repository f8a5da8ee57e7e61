//! What the rules of one verification lean on.

use crate::dialect::Dialect;
use crate::rules::Rules;
use semantics::program::Program;
use semantics::program_type::Declaration;
use semantics::word::Concrete;

/// Program, rules and version; and the ids given so far.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    pub program: &'a Program,
    pub declaration: &'static Declaration,
    pub rules: &'a Rules<Concrete>,
    pub dialect: Dialect,
    /// The last id given to pointers or linked numbers (`id_gen`).
    pub last_id: u32,
}

impl Env<'_> {
    /// An id that was never given.
    pub fn new_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }
}
