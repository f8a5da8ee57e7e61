//! A test: a program and what it is run on.

use std::sync::Arc;

use semantics::program::Program;
use semantics::world::Input;

/// A program and what it is run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The program.
    pub program: Arc<Program>,
    /// The input.
    pub input: Input,
}
