//! CO-RE: what a program assumes of the kernel's types, computed anew for the kernel at hand.
//!
//! Each relocation names a type as the program was compiled with (local), an access to it, and what is wanted: an offset,
//! a size, whether something exists. The access is found again by names in the target's BTF (Linux:
//! `Documentation/bpf/llvm_reloc.rst`; libbpf: `relo_core.c`), a name's flavor left out, and the instruction is patched.

use std::fmt::Write as _;

use super::btf::{Btf, Kind, essential};
use super::btf_ext::CoreRelocation;
use matching::{Budget, compatible_kinds};

mod field;
mod matching;
mod patch;

pub(super) use patch::patch;

/// The longest access (`BPF_CORE_SPEC_MAX_LEN`).
const ACCESS_MAX: usize = 64;

/// Why a CO-RE relocation is wrong, or has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreReason {
    /// A kind of relocation that is not known.
    #[error("relocation kind {0} is not known")]
    UnknownKind(u32),
    /// The relocated type does not exist, or has no name.
    #[error("type {0} of the object has no name or does not exist")]
    NoLocalType(u32),
    /// The access string is not a list of numbers that fits the type.
    #[error("the access string does not fit the type")]
    Access,
    /// Not at an instruction of the program.
    #[error("no instruction starts there")]
    NoInstruction,
    /// An instruction that holds nothing to relocate.
    #[error("opcode {0:02x} cannot be relocated")]
    NotRelocatable(u8),
    /// The instruction does not hold what the object's own types say.
    #[error("the instruction holds {found:#x}, the object's types say {expected:#x}")]
    Mismatch {
        /// In the instruction.
        found: u64,
        /// By the object's BTF.
        expected: u64,
    },
    /// The new value does not fit the instruction.
    #[error("the value {0:#x} does not fit the instruction")]
    TooLarge(u64),
    /// A load or store of a signed field that has another width in the target.
    #[error("the field's width differs, and the access cannot be adjusted")]
    Width,
    /// Candidates that give different values.
    #[error("the kernel's BTF has several such types, with different values")]
    Ambiguous,
    /// Types nested too deeply or too widely to compare.
    #[error("the types are too large to compare")]
    TooDeep,
    /// No type of this name.
    #[error("the kernel's BTF has no such type")]
    NoType,
    /// Types of this name, none with the field.
    #[error("the kernel's BTF has the type but no such field")]
    NoField,
    /// Enumerations of this name, none with the value.
    #[error("the kernel's BTF has the enumeration but no such value")]
    NoEnumerator,
}

impl CoreReason {
    /// Whether the relocation is right, and only the kernel's BTF lacks something.
    pub fn is_unsupported(self) -> bool {
        matches!(self, CoreReason::NoType | CoreReason::NoField | CoreReason::NoEnumerator | CoreReason::Width)
    }
}

/// `enum bpf_core_relo_kind`, in order from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLshift,
    FieldRshift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumvalExists,
    EnumvalValue,
    TypeMatches,
}

impl Wanted {
    const ALL: [Wanted; 13] = [
        Wanted::FieldByteOffset,
        Wanted::FieldByteSize,
        Wanted::FieldExists,
        Wanted::FieldSigned,
        Wanted::FieldLshift,
        Wanted::FieldRshift,
        Wanted::TypeIdLocal,
        Wanted::TypeIdTarget,
        Wanted::TypeExists,
        Wanted::TypeSize,
        Wanted::EnumvalExists,
        Wanted::EnumvalValue,
        Wanted::TypeMatches,
    ];
    fn of(kind: u32) -> Result<Wanted, CoreReason> {
        Wanted::ALL.get(kind as usize).copied().ok_or(CoreReason::UnknownKind(kind))
    }
    fn is_type(self) -> bool {
        use Wanted::{TypeExists, TypeIdLocal, TypeIdTarget, TypeMatches, TypeSize};
        matches!(self, TypeIdLocal | TypeIdTarget | TypeExists | TypeSize | TypeMatches)
    }
    fn is_enumerator(self) -> bool {
        matches!(self, Wanted::EnumvalExists | Wanted::EnumvalValue)
    }
}

/// One step of an access. The type is the structure of a member, the element of an array, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    of: u32,
    index: u32,
    /// A member or an enumerator with this name.
    name: Option<u32>,
}

/// An access, found in one BTF.
#[derive(Clone, Debug)]
struct Access {
    root: u32,
    /// Steps by index or by a name; those through anonymous members are left out.
    steps: Vec<Step>,
    /// Bits from the start of the root.
    bit_offset: u32,
}

/// What to put into an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// What the compiler put there, if that is to be checked.
    pub(super) old: Option<u64>,
    /// What the target says, or why it says nothing.
    pub(super) new: Result<u64, CoreReason>,
    /// Width of the field in bytes, old and new, where a load or store must follow it.
    pub(super) resize: Option<(u32, u32)>,
    /// The width differs, and a load or store cannot follow.
    pub(super) fixed_width: bool,
}

/// Relocates what was compiled with `local` types for a kernel with `target` types.
pub(super) struct Resolver<'a> {
    pub(super) local: &'a Btf,
    pub(super) target: &'a Btf,
}

impl Resolver<'_> {
    /// The value of a relocation.
    pub(super) fn resolve(&self, relocation: CoreRelocation) -> Result<Value, CoreReason> {
        let wanted = Wanted::of(relocation.kind)?;
        let named = self.local.get(relocation.of).ok_or(CoreReason::NoLocalType(relocation.of))?;
        let local = self.access(relocation, wanted)?;
        if wanted == Wanted::TypeIdLocal {
            let id = u64::from(relocation.of);
            return Ok(Value { old: None, new: Ok(id), resize: None, fixed_width: false });
        }
        let name = essential(self.local.bytes(named.name));
        if name.is_empty() {
            return Err(CoreReason::NoLocalType(relocation.of));
        }
        let mut budget = Budget::default();
        let mut found: Option<(Access, Value)> = None;
        let mut missing = CoreReason::NoType;
        for candidate in self.target.named(name) {
            if !self.target.get(*candidate).is_some_and(|of| compatible_kinds(&named.kind, &of.kind)) {
                continue;
            }
            missing = if wanted.is_enumerator() { CoreReason::NoEnumerator } else { CoreReason::NoField };
            let Some(access) = self.find(&local, wanted, *candidate, &mut budget)? else { continue };
            let value = self.value(wanted, &local, Ok(&access))?;
            match &found {
                None => found = Some((access, value)),
                Some((first, old)) if first.bit_offset != access.bit_offset || old.new != value.new => {
                    return Err(CoreReason::Ambiguous);
                }
                Some(_) => {}
            }
        }
        match found {
            Some((_, value)) => Ok(value),
            None => self.value(wanted, &local, Err(missing)),
        }
    }

    /// The relocation in words, such as `struct task_struct.real_parent`.
    pub(super) fn describe(&self, relocation: CoreRelocation) -> String {
        let kind = self.local.get(relocation.of).map_or("type", |of| of.kind.word());
        let mut text = format!("{kind} {}", self.local.name(relocation.of));
        let Ok(wanted) = Wanted::of(relocation.kind) else { return text };
        let Ok(access) = self.access(relocation, wanted) else { return text };
        let skipped = usize::from(!wanted.is_enumerator());
        for step in access.steps.iter().skip(skipped) {
            match step.name {
                Some(name) if wanted.is_enumerator() => text = format!("{text} value {}", self.local.string(name)),
                Some(name) => text = format!("{text}.{}", self.local.string(name)),
                None => write!(text, "[{}]", step.index).expect("strings take text"),
            }
        }
        text
    }

    /// The access that a relocation's string describes in the local types (`bpf_core_parse_spec`).
    fn access(&self, relocation: CoreRelocation, wanted: Wanted) -> Result<Access, CoreReason> {
        let indices = indices(self.local.bytes(relocation.access))?;
        let root = relocation.of;
        let mut access = Access { root, steps: Vec::new(), bit_offset: 0 };
        if wanted.is_type() {
            return if indices == [0] { Ok(access) } else { Err(CoreReason::Access) };
        }
        if wanted.is_enumerator() {
            let (Some(Kind::Enum { values, .. }), [index]) = (self.local.resolve(root), &indices[..]) else {
                return Err(CoreReason::Access);
            };
            let value = values.get(*index as usize).ok_or(CoreReason::Access)?;
            access.steps.push(Step { of: self.local.resolve_id(root), index: *index, name: Some(value.name) });
            return Ok(access);
        }
        access.index(self.local, root, indices[0])?;
        let mut of = root;
        for index in &indices[1..] {
            of = match self.local.resolve(of).ok_or(CoreReason::Access)? {
                Kind::Struct { members, .. } => {
                    let member = members.get(*index as usize).ok_or(CoreReason::Access)?;
                    access.advance(u64::from(member.offset))?;
                    if !self.local.bytes(member.name).is_empty() {
                        let of = self.local.resolve_id(of);
                        access.steps.push(Step { of, index: *index, name: Some(member.name) });
                    }
                    member.of
                }
                Kind::Array { element, count } => {
                    if index >= count && !access.is_flexible(self.local, *count) {
                        return Err(CoreReason::Access);
                    }
                    access.index(self.local, *element, *index)?;
                    *element
                }
                _ => return Err(CoreReason::Access),
            };
        }
        Ok(access)
    }
}

/// Numbers with colons between them.
fn indices(text: &[u8]) -> Result<Vec<u32>, CoreReason> {
    let text = std::str::from_utf8(text).map_err(|_| CoreReason::Access)?;
    let indices: Result<Vec<u32>, _> = text.split(':').take(ACCESS_MAX + 1).map(str::parse).collect();
    indices.ok().filter(|indices| indices.len() <= ACCESS_MAX).ok_or(CoreReason::Access)
}

impl Access {
    /// Moves on by this many bits.
    fn advance(&mut self, bits: u64) -> Result<(), CoreReason> {
        let sum = u64::from(self.bit_offset).checked_add(bits).and_then(|sum| u32::try_from(sum).ok());
        self.bit_offset = sum.ok_or(CoreReason::Access)?;
        Ok(())
    }
    /// Steps to element `index` of a row of `of`.
    fn index(&mut self, btf: &Btf, of: u32, index: u32) -> Result<(), CoreReason> {
        // The first element lies at 0 whatever the size, also of types that have none.
        let size = if index == 0 { 0 } else { btf.size(of).ok_or(CoreReason::Access)? };
        let bytes = u64::from(size) * u64::from(index);
        self.steps.push(Step { of, index, name: None });
        self.advance(bytes.checked_mul(8).ok_or(CoreReason::Access)?)
    }
    /// Whether the array of `count` elements that was stepped to is the open end of its structure.
    fn is_flexible(&self, btf: &Btf, count: u32) -> bool {
        let Some(Step { of, index, name: Some(_) }) = self.steps.last() else { return false };
        let members = match btf.resolve(*of) {
            Some(Kind::Struct { members, .. }) => members.len(),
            _ => return false,
        };
        count == 0 && *index as usize + 1 == members
    }
}
