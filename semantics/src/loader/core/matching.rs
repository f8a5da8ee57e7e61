//! Finding an access again in the target's types, and comparing types (libbpf: `bpf_core_spec_match`,
//! `bpf_core_types_are_compat`, `bpf_core_types_match`).

use super::{Access, CoreReason, Resolver, Step, Wanted};
use crate::loader::btf::{DEPTH_MAX, Kind, Member, essential};

/// Bounds the work of one relocation: types can be nested so that comparing them takes forever.
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Budget {
        Budget(20_000)
    }
}

impl Budget {
    fn take(&mut self) -> Result<(), CoreReason> {
        self.0 = self.0.checked_sub(1).ok_or(CoreReason::TooDeep)?;
        Ok(())
    }
}

/// Whether one can stand for the other: the same kind, enumerations of any width.
pub(super) fn compatible_kinds(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Struct { union: a, .. }, Kind::Struct { union: b, .. }) => a == b,
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// Integers that are declared with an offset of bits, as old compilers did for bitfields.
fn is_shifted(kind: &Kind) -> bool {
    matches!(kind, Kind::Int { encoding, .. } if encoding >> 16 & 0xff != 0)
}

impl Resolver<'_> {
    /// The access in the target's type `candidate`; `None` if it does not have it.
    pub(super) fn find(
        &self,
        local: &Access,
        wanted: Wanted,
        candidate: u32,
        budget: &mut Budget,
    ) -> Result<Option<Access>, CoreReason> {
        let mut found = Access { root: candidate, steps: Vec::new(), bit_offset: 0 };
        if wanted.is_type() {
            let alike = if wanted == Wanted::TypeMatches {
                self.matches(local.root, candidate, false, DEPTH_MAX, budget)?
            } else {
                self.compatible(local.root, candidate, DEPTH_MAX, budget)?
            };
            return Ok(alike.then_some(found));
        }
        if wanted.is_enumerator() {
            return Ok(self.find_enumerator(local, candidate));
        }
        let mut of = candidate;
        for (at, step) in local.steps.iter().enumerate() {
            of = match (step.name, self.target.resolve(of)) {
                (Some(_), Some(_)) => match self.find_member(step, of, &mut found, DEPTH_MAX, budget)? {
                    Some(of) => of,
                    None => return Ok(None),
                },
                (None, Some(_)) if at == 0 => of,
                (None, Some(Kind::Array { element, count })) => {
                    if step.index >= *count && !found.is_flexible(self.target, *count) {
                        return Ok(None);
                    }
                    *element
                }
                _ => return Ok(None),
            };
            if step.name.is_none() {
                found.index(self.target, of, step.index)?;
            }
        }
        Ok(Some(found))
    }

    fn find_enumerator(&self, local: &Access, candidate: u32) -> Option<Access> {
        let of = self.target.resolve_id(candidate);
        let Some(Kind::Enum { values, .. }) = self.target.resolve(of) else { return None };
        let name = essential(self.local.bytes(local.steps.first()?.name?));
        let index = values.iter().position(|value| essential(self.target.bytes(value.name)) == name)?;
        let step = Step { of, index: index as u32, name: Some(values[index].name) };
        Some(Access { root: candidate, steps: vec![step], bit_offset: 0 })
    }

    /// Steps to the member of the local step's name, also through anonymous members; its type, if it is a compatible one.
    fn find_member(
        &self,
        step: &Step,
        of: u32,
        found: &mut Access,
        depth: u32,
        budget: &mut Budget,
    ) -> Result<Option<u32>, CoreReason> {
        budget.take()?;
        let Some(Kind::Struct { members, .. }) = self.target.resolve(of) else { return Ok(None) };
        let Some(Kind::Struct { members: locals, .. }) = self.local.resolve(step.of) else { return Ok(None) };
        let Some(local) = locals.get(step.index as usize) else { return Ok(None) };
        let depth = depth.checked_sub(1).ok_or(CoreReason::TooDeep)?;
        let name = self.local.bytes(local.name);
        for (index, member) in members.iter().enumerate() {
            let member_name = self.target.bytes(member.name);
            let before = found.bit_offset;
            if member_name.is_empty() {
                found.advance(u64::from(member.offset))?;
                if let Some(of) = self.find_member(step, member.of, found, depth, budget)? {
                    return Ok(Some(of));
                }
                found.bit_offset = before;
            } else if member_name == name {
                if !self.fields_compatible(local.of, member.of, budget)? {
                    return Ok(None);
                }
                found.advance(u64::from(member.offset))?;
                let of = self.target.resolve_id(of);
                found.steps.push(Step { of, index: index as u32, name: Some(member.name) });
                return Ok(Some(member.of));
            }
        }
        Ok(None)
    }

    /// Whether a field of one type can be read as one of the other (`bpf_core_fields_are_compat`).
    fn fields_compatible(&self, local: u32, target: u32, budget: &mut Budget) -> Result<bool, CoreReason> {
        let (mut local, mut target) = (local, target);
        loop {
            budget.take()?;
            let (local_id, target_id) = (self.local.resolve_id(local), self.target.resolve_id(target));
            let (Some(a), Some(b)) = (self.local.get(local_id), self.target.get(target_id)) else {
                return Ok(false);
            };
            return Ok(match (&a.kind, &b.kind) {
                (Kind::Struct { .. }, Kind::Struct { .. })
                | (Kind::Ptr(_), Kind::Ptr(_))
                | (Kind::Float { .. }, Kind::Float { .. }) => true,
                (Kind::Fwd { .. }, Kind::Fwd { .. }) | (Kind::Enum { .. }, Kind::Enum { .. }) => {
                    let names = (essential(self.local.bytes(a.name)), essential(self.target.bytes(b.name)));
                    names.0.is_empty() || names.1.is_empty() || names.0 == names.1
                }
                (a @ Kind::Int { .. }, b @ Kind::Int { .. }) => !is_shifted(a) && !is_shifted(b),
                (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                    (local, target) = (*a, *b);
                    continue;
                }
                _ => false,
            });
        }
    }

    /// Whether types are of the same shape, whatever their members (`bpf_core_types_are_compat`).
    fn compatible(&self, local: u32, target: u32, depth: u32, budget: &mut Budget) -> Result<bool, CoreReason> {
        let (mut local, mut target) = (local, target);
        loop {
            budget.take()?;
            let (a, b) = match (self.local.resolve(local), self.target.resolve(target)) {
                (None, None) => return Ok(true),
                (Some(a), Some(b)) if compatible_kinds(a, b) => (a, b),
                _ => return Ok(false),
            };
            (local, target) = match (a, b) {
                (Kind::Struct { .. } | Kind::Enum { .. } | Kind::Fwd { .. }, _) => return Ok(true),
                (Kind::Int { .. }, _) => return Ok(!is_shifted(a) && !is_shifted(b)),
                (Kind::Ptr(a), Kind::Ptr(b)) | (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                    (*a, *b)
                }
                (Kind::FuncProto { result: a, params: locals }, Kind::FuncProto { result: b, params: targets }) => {
                    if locals.len() != targets.len() {
                        return Ok(false);
                    }
                    let depth = depth.checked_sub(1).ok_or(CoreReason::TooDeep)?;
                    for (a, b) in locals.iter().zip(targets) {
                        if !self.compatible(*a, *b, depth, budget)? {
                            return Ok(false);
                        }
                    }
                    (*a, *b)
                }
                _ => return Ok(false),
            };
        }
    }

    fn names_match(&self, local: u32, target: u32) -> bool {
        essential(self.local.bytes(local)) == essential(self.target.bytes(target))
    }

    /// Whether all that the local type says holds of the target's (`bpf_core_types_match`). Behind a pointer only names
    /// of structures count.
    fn matches(
        &self,
        local: u32,
        target: u32,
        behind_pointer: bool,
        depth: u32,
        budget: &mut Budget,
    ) -> Result<bool, CoreReason> {
        let (mut local, mut target, mut behind_pointer) = (local, target, behind_pointer);
        let depth = depth.checked_sub(1).ok_or(CoreReason::TooDeep)?;
        loop {
            budget.take()?;
            let (local_id, target_id) = (self.local.resolve_id(local), self.target.resolve_id(target));
            let (a, b) = match (self.local.get(local_id), self.target.get(target_id)) {
                (None, None) => return Ok(true),
                (Some(a), Some(b)) if self.names_match(a.name, b.name) => (&a.kind, &b.kind),
                _ => return Ok(false),
            };
            (local, target) = match (a, b) {
                (Kind::Fwd { union: a }, Kind::Fwd { union: b }) => return Ok(a == b),
                (Kind::Fwd { union: a }, Kind::Struct { union: b, .. })
                | (Kind::Struct { union: a, .. }, Kind::Fwd { union: b }) => return Ok(behind_pointer && a == b),
                (Kind::Struct { union: a, members: locals, .. }, Kind::Struct { union: b, members: targets, .. }) => {
                    if a != b || behind_pointer {
                        return Ok(a == b);
                    }
                    return self.members_match(locals, targets, depth, budget);
                }
                (Kind::Enum { size: a, values: locals, .. }, Kind::Enum { size: b, values: targets, .. }) => {
                    for local in locals {
                        budget.take()?;
                        if !targets.iter().any(|target| self.names_match(local.name, target.name)) {
                            return Ok(false);
                        }
                    }
                    return Ok(a == b);
                }
                (Kind::Int { size: a, encoding: e }, Kind::Int { size: b, encoding: f }) => {
                    return Ok(a == b && (e ^ f) >> 24 & 1 == 0);
                }
                (Kind::Ptr(a), Kind::Ptr(b)) => {
                    behind_pointer = true;
                    (*a, *b)
                }
                (Kind::Array { element: a, count: n }, Kind::Array { element: b, count: m }) if n == m => (*a, *b),
                (Kind::FuncProto { result: a, params: locals }, Kind::FuncProto { result: b, params: targets })
                    if locals.len() == targets.len() =>
                {
                    for (a, b) in locals.iter().zip(targets) {
                        if !self.matches(*a, *b, behind_pointer, depth, budget)? {
                            return Ok(false);
                        }
                    }
                    (*a, *b)
                }
                _ => return Ok(false),
            };
        }
    }

    /// Whether each local member has one of the same name and a matching type in the target.
    fn members_match(
        &self,
        locals: &[Member],
        targets: &[Member],
        depth: u32,
        budget: &mut Budget,
    ) -> Result<bool, CoreReason> {
        for local in locals {
            let mut found = false;
            for target in targets.iter().filter(|target| self.names_match(local.name, target.name)) {
                if self.matches(local.of, target.of, false, depth, budget)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
