//! Pointers to objects of the kernel in map values (`kernel/bpf/helpers.c`).

use super::{Call, Helper, ResultClass, id};
use crate::trap::Trap;

/// The helpers of this topic.
pub const HELPERS: &[Helper] =
    &[Helper { id: id("kptr_xchg"), changes: &[], results: &[ResultClass::Null, ResultClass::Kernel], meaning: xchg }];

/// `bpf_kptr_xchg(map_value, ptr)`: puts a pointer, or NULL, into a map value: the one that was there, or NULL.
fn xchg(call: &mut Call<'_>) -> Result<u64, Trap> {
    let new = call.arg(2).to_le_bytes();
    let place = call.bytes_mut(1, 8)?;
    let old = place.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    place.copy_from_slice(&new);
    Ok(old)
}
