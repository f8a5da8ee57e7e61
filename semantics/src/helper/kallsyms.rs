//! Symbols of the kernel (`kernel/bpf/syscall.c`).

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::symbols;

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[Helper {
    id: id("kallsyms_lookup_name"),
    changes: &[],
    results: &[
        ResultClass::Success,
        ResultClass::Error(Errno::Einval),
        ResultClass::Error(Errno::Enoent),
        ResultClass::Error(Errno::Eperm),
    ],
    meaning: kallsyms_lookup_name,
}];

/// `bpf_kallsyms_lookup_name(name, name_sz, flags, res)`: the address of a symbol. Flags first, then a name that is empty or does
/// not end with its last byte (EINVAL), then addresses that are not to be known (EPERM); ENOENT stores 0, the others nothing.
fn kallsyms_lookup_name(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (size, flags) = (call.int(2), call.int(3));
    if flags != 0 || size <= 1 {
        return Ok(Errno::Einval.result());
    }
    let name = call.bytes(1, size as u64)?;
    if name.last() != Some(&0) {
        return Ok(Errno::Einval.result());
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let addr = symbols::address(&call.world.symbols, &name[..end]);
    if call.world.trace.config.kptr_restrict != 0 {
        return Ok(Errno::Eperm.result());
    }
    call.write(4, &addr.unwrap_or(0).to_le_bytes())?;
    Ok(if addr.is_some() { 0 } else { Errno::Enoent.result() })
}
