//! Guest memory.
pub mod layout;
