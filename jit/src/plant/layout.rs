//! Planted mistakes of layout: other [`Steps`].

use semantics::word::{Algebra, Word};

use super::Plant;
use crate::layout::place;
use crate::layout::relax::Steps;
use crate::x64::{Branch, Reach};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant(
            "layout::reaches_128",
            "a jump over 128 bytes is short and leads back (Linux arm64, 1dd8be4ec722: a check of range off by one)",
            |rules| rules.place = place::<Reaches128>,
        ),
        plant("layout::from_start", "displacements count from the start of a short jump", |rules| {
            rules.place = place::<FromStart>;
        }),
        plant(
            "layout::shrinks",
            "a conditional jump that grows is counted shorter than it is (Linux x86-64, e4d4d456436b: displacements of another pass)",
            |rules| rules.place = place::<Shrinks>,
        ),
        plant("layout::nops_move_slots_only", "nops before a loop move its slots, and branches stay behind", |rules| {
            rules.place = place::<NopsMoveSlotsOnly>;
        }),
    ]
}

/// Takes 128 for a displacement that fits 8 bits.
#[derive(Clone, Copy, Debug)]
pub struct Reaches128;

impl Steps for Reaches128 {
    fn is_short<W: Word>(displacement: &W) -> W::Flag {
        displacement.add(&W::lit(128)).ule(&W::lit(256))
    }
}

/// Counts from the start of a short jump instead of from its end.
#[derive(Clone, Copy, Debug)]
pub struct FromStart;

impl Steps for FromStart {
    fn displacement<W: Word>(target: &W, end: &W) -> W {
        target.sub(end).add(&W::lit(2))
    }
}

/// Takes a near conditional jump for one byte shorter than it is.
#[derive(Clone, Copy, Debug)]
pub struct Shrinks;

impl Steps for Shrinks {
    fn grow<W: Word>(before: &W, branch: Branch, reach: Reach) -> W {
        let len = match (branch, reach) {
            (Branch::Jcc(_), Reach::Near) => 1,
            _ => crate::x64::encode::branch_len(branch, reach),
        };
        before.add(&W::lit(u64::from(len)))
    }
}

/// Leaves branches where they were when nops come before them.
#[derive(Clone, Copy, Debug)]
pub struct NopsMoveSlotsOnly;

impl Steps for NopsMoveSlotsOnly {
    fn pad_branch<W: Word>(straight: &W, _: &W) -> W {
        straight.clone()
    }
}
