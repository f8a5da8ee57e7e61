//! Why a program is rejected, in more than Linux's words: what every instruction on the way there changed ([`Way`]), where
//! a register got its value from, and what bound is missing ([`advice`]).
//!
//! None of it is known where a program is verified as usual. [`Options::explain`](crate::Options::explain) has a rejected
//! program verified once more, which goes the same way, and keeps what happens on the path that was rejected.

use crate::refusal::Refusal;

mod advice;
mod origin;
mod way;

pub use advice::{Advice, advice};
pub use origin::Origin;
pub(crate) use way::Recorder;
pub use way::{Change, EVENTS_MAX, Event, Held, Place, Way};

impl Refusal {
    /// Whether it is about the path on which it came up, not about the program as a whole.
    pub fn is_of_a_path(&self) -> bool {
        use Refusal as R;
        let of_program = matches!(
            self,
            R::Unreachable { .. } | R::CombinedStack { .. } | R::TailCallDepth { .. } | R::CallStack { .. }
        );
        !of_program
    }
}
