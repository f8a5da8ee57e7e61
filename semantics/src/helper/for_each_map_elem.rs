//! Going through the elements of a map (`kernel/bpf/helpers.c`; `bpf_for_each_array_elem`, `bpf_for_each_hash_elem`).

use super::map_elem::{has_elements, map_of};
use super::{Call, Helper, ResultClass, id};
use crate::map::{Errno, MapType, Walk};
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("for_each_map_elem"),
    changes: &[],
    results: &[ResultClass::U32, ResultClass::Error(Errno::Einval)],
    meaning: for_each,
}];

/// `bpf_for_each_map_elem(map, callback_fn, callback_ctx, flags)`: calls `callback_fn(map, key, value, callback_ctx)` for each
/// element until one returns other than 0; how many were visited. Of a per-CPU map that is the value of the current CPU.
///
/// The callback may add and remove elements. As in the kernel, a walk goes on behind an element that was removed meanwhile; it
/// comes to the one that was next in its bucket when it came there, even if that is gone.
fn for_each(call: &mut Call<'_>) -> Result<u64, Trap> {
    let index = map_of(call, |of| has_elements(of) && of != MapType::LPM_TRIE)?;
    let (map, function, context) = (call.arg(1), call.arg(2), call.arg(3));
    if call.arg(4) != 0 {
        return Ok(Errno::Einval.result());
    }
    let key_len = u64::from(call.world.maps[index].def.key_size);
    // Frames end before this does.
    let key_base = call.world.memory.place_key(index as u32, key_len).ok_or(Trap::CallDepth)?;
    let (mut walk, mut visited) = (Walk::default(), 0);
    while let Some((key, value)) = call.world.maps[index].ops.walk(&mut walk) {
        visited += 1;
        call.world.memory.poke(key_base, &key);
        if call.callback(function, [map, key_base, value, context, 0])? != 0 {
            break;
        }
    }
    call.world.memory.remove_passing(key_base);
    Ok(visited)
}
