//! The parts of helpers that are written over any word, by topic.

use crate::obligation::Obligation;

pub mod tail_call;

/// The obligations of all topics.
pub fn obligations() -> Vec<Obligation> {
    tail_call::obligations()
}
