//! The count of tail calls: a run makes at most 33, whichever of its functions make them.
//!
//! The count is the world's and both engines take the same step, so what is left to show is that step: it permits a call only
//! below the limit and then counts exactly one, else it changes nothing. From 0 on the count is never above the limit, by
//! induction over calls, and equals the calls that were permitted.

use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::helper::tail_call::spend;
use semantics::memory::layout::TAIL_CALLS_MAX;
use semantics::word::{Flag, Word};

/// The obligations of this topic.
pub fn obligations() -> Vec<Obligation> {
    vec![Obligation::semantics("helper::tail_call::spend", None, Spend)]
}

/// A step, or one with a mistake.
type Step<W> = fn(&W, &<W as Word>::Flag) -> (<W as Word>::Flag, W);

/// A tail call at any count.
struct Spend;

impl Statement for Spend {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let limit = A::W32::lit(TAIL_CALLS_MAX);
        let count: A::W32 = cx.word_where("count", |count: &A::W32| count.ule(&limit));
        let in_range = cx.word::<A::W8>("in_range").is_zero();
        let step: Step<A::W32> = match cx.plant() {
            Some("helper::tail_calls_34") => plant::one_more,
            Some("helper::tail_calls_uncounted") => plant::uncounted,
            _ => spend,
        };
        let (permitted, next) = step(&count, &in_range);
        let below = count.ult(&limit);
        cx.claim("what is in range is permitted below the limit", permitted.iff(&in_range.and(&below)));
        let expected = A::W32::select(&permitted, &count.add(&A::W32::lit(1)), &count);
        cx.claim("each call that is permitted counts once, others not at all", next.same(&expected));
        cx.claim("the count stays within the limit", next.ule(&limit));
    }
}

/// Planted mistakes.
pub mod plant {
    use semantics::helper::tail_call::spend;
    use semantics::memory::layout::TAIL_CALLS_MAX;
    use semantics::word::{Flag, Word};

    /// Names and stories.
    pub const ALL: [(&str, &str); 2] = [
        ("helper::tail_calls_34", "the limit of tail calls is compared with > instead of >="),
        (
            "helper::tail_calls_uncounted",
            "a tail call is not counted where it is made (Linux x86-64, 116e04ba1459: not in the caller of a subprogram)",
        ),
    ];

    pub(super) fn one_more<W: Word>(count: &W, in_range: &W::Flag) -> (W::Flag, W) {
        let permitted = in_range.and(&count.ule(&W::lit(TAIL_CALLS_MAX)));
        let next = W::select(&permitted, &count.add(&W::lit(1)), count);
        (permitted, next)
    }

    pub(super) fn uncounted<W: Word>(count: &W, in_range: &W::Flag) -> (W::Flag, W) {
        (spend(count, in_range).0, count.clone())
    }
}
