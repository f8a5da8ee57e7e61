//! What a relocation asks of an access that was found: offsets, sizes, shifts, existence (libbpf: `bpf_core_calc_relo`).

use super::{Access, CoreReason, Resolver, Value, Wanted};
use crate::loader::btf::{Btf, Kind, Member};

/// A computed field: its value, the bytes of the field where loads and stores follow it, and whether the instruction holds
/// that value for certain (which bits of a bitfield's word a compiler reads is its own choice).
struct Computed {
    value: u64,
    width: Option<(u32, u32)>,
    certain: bool,
}

impl Resolver<'_> {
    /// The value for an access that was found in the target, or was not for a reason.
    pub(super) fn value(
        &self,
        wanted: Wanted,
        local: &Access,
        target: Result<&Access, CoreReason>,
    ) -> Result<Value, CoreReason> {
        let plain = |old, new| Ok(Value { old: Some(old), new, resize: None, fixed_width: false });
        let found = u64::from(target.is_ok());
        match wanted {
            Wanted::FieldExists | Wanted::TypeExists | Wanted::TypeMatches | Wanted::EnumvalExists => {
                plain(1, Ok(found))
            }
            Wanted::TypeIdLocal => plain(u64::from(local.root), Ok(u64::from(local.root))),
            // A type that does not exist has neither number nor size, and that is no error.
            Wanted::TypeIdTarget => {
                let new = target.map_or(0, |target| u64::from(target.root));
                Ok(Value { old: None, new: Ok(new), resize: None, fixed_width: false })
            }
            Wanted::TypeSize => {
                let size = |btf: &Btf, of| btf.size(of).map(u64::from).ok_or(CoreReason::Access);
                let new = target.map_or(Ok(0), |target| size(self.target, target.root))?;
                plain(size(self.local, local.root)?, Ok(new))
            }
            Wanted::EnumvalValue => {
                let old = enumerator(self.local, local)?;
                plain(old, target.and_then(|target| enumerator(self.target, target)))
            }
            _ => self.field(wanted, local, target),
        }
    }

    fn field(&self, wanted: Wanted, local: &Access, target: Result<&Access, CoreReason>) -> Result<Value, CoreReason> {
        let old = compute(self.local, wanted, local)?;
        let new = match target {
            Ok(target) => compute(self.target, wanted, target)?,
            Err(missing) => {
                let old = old.certain.then_some(old.value);
                return Ok(Value { old, new: Err(missing), resize: None, fixed_width: false });
            }
        };
        let resize = match (old.width, new.width) {
            (Some((_, from)), Some((_, to))) if from != to => Some((from, to)),
            _ => None,
        };
        let fixed_width = match (old.width, new.width) {
            (Some((old, _)), Some((new, _))) if resize.is_some() => !follows(self.local, old, self.target, new),
            _ => false,
        };
        Ok(Value { old: old.certain.then_some(old.value), new: Ok(new.value), resize, fixed_width })
    }
}

/// Whether a load or store may change its width with the field: pointers, which are shorter on 32 bits, and unsigned
/// integers, which are extended by zeros either way.
fn follows(local: &Btf, old: u32, target: &Btf, new: u32) -> bool {
    let unsigned = |kind: &Kind| matches!(kind, Kind::Int { encoding, .. } if encoding >> 24 & 1 == 0);
    match (local.resolve(old), target.resolve(new)) {
        (Some(Kind::Ptr(_)), Some(Kind::Ptr(_))) => true,
        (Some(old), Some(new)) => unsigned(old) && unsigned(new),
        _ => false,
    }
}

fn enumerator(btf: &Btf, access: &Access) -> Result<u64, CoreReason> {
    let step = access.steps.first().ok_or(CoreReason::Access)?;
    match btf.resolve(step.of) {
        Some(Kind::Enum { values, .. }) => {
            values.get(step.index as usize).map(|value| value.value).ok_or(CoreReason::Access)
        }
        _ => Err(CoreReason::Access),
    }
}

/// A field's value in one BTF (`bpf_core_calc_field_relo`).
fn compute(btf: &Btf, wanted: Wanted, access: &Access) -> Result<Computed, CoreReason> {
    let step = access.steps.last().ok_or(CoreReason::Access)?;
    if step.name.is_none() {
        let size = btf.size(step.of).ok_or(CoreReason::Access)?;
        return match wanted {
            Wanted::FieldByteOffset => {
                let value = u64::from(access.bit_offset / 8);
                Ok(Computed { value, width: Some((step.of, size)), certain: true })
            }
            Wanted::FieldByteSize => Ok(Computed { value: u64::from(size), width: None, certain: true }),
            _ => Err(CoreReason::Access),
        };
    }
    let Some(Kind::Struct { members, .. }) = btf.resolve(step.of) else { return Err(CoreReason::Access) };
    let member = members.get(step.index as usize).ok_or(CoreReason::Access)?;
    let Word { offset, size, bits } = word(btf, access.bit_offset, member)?;
    let is_bitfield = member.bits != 0;
    let plain = |value: u32| Ok(Computed { value: u64::from(value), width: None, certain: !is_bitfield });
    match wanted {
        Wanted::FieldByteOffset => {
            let width = (!is_bitfield).then_some((member.of, size));
            Ok(Computed { value: u64::from(offset), width, certain: !is_bitfield })
        }
        Wanted::FieldByteSize => plain(size),
        Wanted::FieldSigned => {
            let signed = match btf.resolve(member.of) {
                Some(Kind::Int { encoding, .. }) => encoding >> 24 & 1 != 0,
                Some(Kind::Enum { signed, .. }) => *signed,
                _ => false,
            };
            Ok(Computed { value: u64::from(signed), width: None, certain: true })
        }
        Wanted::FieldLshift => {
            let end = u64::from(access.bit_offset) + u64::from(bits) - 8 * u64::from(offset);
            let value = 64u64.checked_sub(end).ok_or(CoreReason::Access)?;
            Ok(Computed { value, width: None, certain: !is_bitfield })
        }
        Wanted::FieldRshift => {
            let value = 64u32.checked_sub(bits).ok_or(CoreReason::Access)?;
            Ok(Computed { value: u64::from(value), width: None, certain: true })
        }
        _ => Err(CoreReason::Access),
    }
}

/// The word that a field is read from: bytes from the root, bytes, and bits of the field in it.
struct Word {
    offset: u32,
    size: u32,
    bits: u32,
}

/// Of a bitfield, the smallest aligned integer that holds all of it.
fn word(btf: &Btf, bit_offset: u32, member: &Member) -> Result<Word, CoreReason> {
    if member.bits == 0 {
        let size = btf.size(member.of).ok_or(CoreReason::Access)?;
        let bits = size.checked_mul(8).ok_or(CoreReason::Access)?;
        return Ok(Word { offset: bit_offset / 8, size, bits });
    }
    let mut size = btf.size(member.of).filter(|size| size.is_power_of_two()).ok_or(CoreReason::Access)?;
    loop {
        let offset = bit_offset / 8 / size * size;
        let end = u64::from(bit_offset) + u64::from(member.bits) - 8 * u64::from(offset);
        if end <= 8 * u64::from(size) {
            return Ok(Word { offset, size, bits: member.bits });
        }
        if size >= 8 {
            return Err(CoreReason::Access);
        }
        size *= 2;
    }
}
