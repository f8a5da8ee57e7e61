//! Tail calls (`kernel/bpf/core.c`: `JMP_TAIL_CALL`).

use super::{Call, Helper, ResultClass, id};
use crate::map::MapType;
use crate::memory::layout::TAIL_CALLS_MAX;
use crate::trap::{ArgumentFault, Trap};
use crate::word::{Flag, Word};

/// Number of the helper: the instruction that calls it is the one that may go on elsewhere.
pub const ID: u32 = id("tail_call");

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper { id: ID, changes: &[], results: &[ResultClass::Success], meaning: tail_call }];

/// Whether one more tail call is permitted after `count`, and the count after this one.
///
/// An index inside the array costs one of the 33, also where nothing lies under it; one beyond the array costs nothing.
pub fn spend<W: Word>(count: &W, in_range: &W::Flag) -> (W::Flag, W) {
    let permitted = in_range.and(&count.ult(&W::lit(TAIL_CALLS_MAX)));
    let next = W::select(&permitted, &count.add(&W::lit(1)), count);
    (permitted, next)
}

/// `bpf_tail_call(ctx, map, index)`: goes on in the program under the index, with the context in R1 and the frame of this
/// function; falls through, with R0 = 0 here, where there is none or the run has made 33 tail calls, in whichever function.
fn tail_call(call: &mut Call<'_>) -> Result<u64, Trap> {
    let map = call.map(2)?;
    if call.world.maps[map].def.map_type != MapType::PROG_ARRAY {
        return Err(call.fault(2, ArgumentFault::MapType));
    }
    // The index is a u32: the upper half of the register does not count.
    let held = call.world.maps[map].ops.program(call.arg(3) as u32);
    let (permitted, count) = spend(&call.world.tail_calls, &held.is_some());
    call.world.tail_calls = count;
    if let (true, Some(Some(part))) = (permitted, held) {
        call.world.tail_target = call.world.part(part);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_three_are_permitted() {
        let mut count = 0u32;
        for _ in 0..33 {
            let (permitted, next) = spend(&count, &true);
            assert!(permitted && next == count + 1);
            assert_eq!(spend(&count, &false), (false, count));
            count = next;
        }
        assert_eq!(spend(&count, &true), (false, 33));
    }
}
