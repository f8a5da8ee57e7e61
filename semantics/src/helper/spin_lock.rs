//! Spin locks in map values (`kernel/bpf/helpers.c`).

use super::{Call, Helper, ResultClass, id};
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("spin_lock"), changes: &[], results: &[ResultClass::Success], meaning: lock },
    Helper { id: id("spin_unlock"), changes: &[], results: &[ResultClass::Success], meaning: unlock },
];

/// Bytes of a `struct bpf_spin_lock`.
const LEN: u64 = 4;
/// What it holds while it is taken.
const TAKEN: [u8; LEN as usize] = [1, 0, 0, 0];

fn is_taken(call: &Call<'_>) -> Result<bool, Trap> {
    Ok(call.bytes(1, LEN)?[0] != 0)
}

/// `bpf_spin_lock(lock)`: takes the lock. No other processor holds it, since one program runs at a time; one that is
/// held by the program itself would never be free.
fn lock(call: &mut Call<'_>) -> Result<u64, Trap> {
    if is_taken(call)? {
        return Err(call.fault(1, ArgumentFault::LockTaken));
    }
    call.write(1, &TAKEN).map(|()| 0)
}

/// `bpf_spin_unlock(lock)`: gives the lock back.
fn unlock(call: &mut Call<'_>) -> Result<u64, Trap> {
    if !is_taken(call)? {
        return Err(call.fault(1, ArgumentFault::LockFree));
    }
    call.write(1, &[0; LEN as usize]).map(|()| 0)
}
