//! Putting a relocated value into its instruction (libbpf: `bpf_core_patch_insn`).

use super::{CoreReason, Value};
use crate::encoding::Slot;

/// A call of a helper that does not exist: what libbpf puts in place of instructions whose relocation has no value. A
/// verifier passes it only where it is never reached.
const POISON: i32 = 195_896_080;

const POISONED: Slot = Slot { code: 0x85, dst: 0, src: 0, off: 0, imm: POISON };

/// Patches the instruction at `at`. What has no value becomes poison, and the reason is returned.
pub(in crate::loader) fn patch(slots: &mut [Slot], at: usize, value: Value) -> Result<Option<CoreReason>, CoreReason> {
    let insn = *slots.get(at).ok_or(CoreReason::NoInstruction)?;
    let is_wide = insn.code == 0x18;
    let tail = if is_wide { Some(slots.get(at + 1).copied().ok_or(CoreReason::NoInstruction)?) } else { None };
    // Classes LDX, ST and STX.
    let is_access = matches!(insn.code & 7, 1..=3);
    let width = if is_access && value.fixed_width { Err(CoreReason::Width) } else { Ok(()) };
    let new = match width.and(value.new) {
        Ok(new) => new,
        Err(reason) => {
            slots[at] = POISONED;
            if is_wide {
                slots[at + 1] = POISONED;
            }
            return Ok(Some(reason));
        }
    };
    let expect = |found: u64, mask: u64| match value.old {
        Some(expected) if expected & mask != found & mask => Err(CoreReason::Mismatch { found, expected }),
        _ => Ok(()),
    };
    match (insn.code & 7, tail) {
        // Classes ALU and ALU64, with an immediate.
        (4 | 7, _) if insn.code & 8 == 0 => {
            expect(u64::from(insn.imm as u32), u64::from(u32::MAX))?;
            // Sign-extended values of enumerations fit too.
            i32::try_from(new as i64)
                .or(u32::try_from(new).map(|new| new as i32))
                .map_err(|_| CoreReason::TooLarge(new))?;
            slots[at].imm = new as i32;
        }
        (1..=3, _) => {
            expect(insn.off as u64, u64::MAX)?;
            slots[at].off = i16::try_from(new).map_err(|_| CoreReason::TooLarge(new))?;
            if let Some((from, to)) = value.resize {
                slots[at].code = resize(insn.code, from, to)?;
            }
        }
        (0, Some(tail)) if tail.code == 0 && insn.src == 0 => {
            let imm = u64::from(insn.imm as u32) | u64::from(tail.imm as u32) << 32;
            expect(imm, u64::MAX)?;
            slots[at].imm = new as i32;
            slots[at + 1].imm = (new >> 32) as i32;
        }
        _ => return Err(CoreReason::NotRelocatable(insn.code)),
    }
    Ok(None)
}

/// The code of the same access with `to` bytes instead of `from`.
fn resize(code: u8, from: u32, to: u32) -> Result<u8, CoreReason> {
    const SIZE: u8 = 0x18;
    let bits = |bytes| match bytes {
        1 => Some(0x10),
        2 => Some(0x08),
        4 => Some(0x00),
        8 => Some(0x18),
        _ => None,
    };
    match (bits(from), bits(to)) {
        (Some(from), Some(to)) if code & SIZE == from => Ok(code & !SIZE | to),
        _ => Err(CoreReason::Width),
    }
}
