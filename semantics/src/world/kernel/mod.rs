//! The kernel's types as the world has them: named as in Linux 6.8, declared once.
//!
//! A structure has the members that programs commonly read, in the kernel's order but without what lies between, so offsets
//! are the world's own; programs find them by CO-RE. What is missing is missing for programs too: a relocation names it.

use std::borrow::Cow;

use crate::helper::facts::FACTS;
use crate::map::MapType;
use crate::program_type::{ContextField, FieldKind, ProgramType};

mod bpf;
mod file;
mod net;
mod task;
mod trace;

/// A type, as C names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    Void,
    /// `encoding` is BTF's: 1 signed, 2 char, 4 bool.
    Int {
        name: &'static str,
        size: u32,
        encoding: u32,
    },
    Pointer(&'static Of),
    Array(&'static Of, u32),
    /// A function whose type does not matter; only pointed to.
    Function,
    Struct(&'static str),
    Union(&'static str),
    Enum(&'static str),
    /// A typedef.
    Type(&'static str),
    /// A structure or union inside another; without a name its members count as the outer one's.
    Anonymous {
        union: bool,
        fields: &'static [Field],
    },
}

#[allow(missing_docs)]
impl Of {
    const fn int(name: &'static str, size: u32, encoding: u32) -> Of {
        Of::Int { name, size, encoding }
    }
    pub(super) const U8: Of = Of::int("unsigned char", 1, 0);
    pub(super) const U16: Of = Of::int("short unsigned int", 2, 0);
    pub(super) const U32: Of = Of::int("unsigned int", 4, 0);
    pub(super) const U64: Of = Of::int("long long unsigned int", 8, 0);
    pub(super) const ULONG: Of = Of::int("long unsigned int", 8, 0);
    pub(super) const S8: Of = Of::int("signed char", 1, 1);
    pub(super) const S16: Of = Of::int("short int", 2, 1);
    pub(super) const INT: Of = Of::int("int", 4, 1);
    pub(super) const S64: Of = Of::int("long long int", 8, 1);
    pub(super) const LONG: Of = Of::int("long int", 8, 1);
    pub(super) const CHAR: Of = Of::int("char", 1, 1);
    pub(super) const BOOL: Of = Of::int("_Bool", 1, 4);
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Of,
    /// Width of a bitfield; 0 for others.
    pub(super) bits: u8,
    /// Bytes from the start, where an interface fixes it.
    pub(super) at: Option<u32>,
}

/// A declaration.
#[derive(Clone, Debug)]
pub(super) enum Decl {
    Record {
        name: &'static str,
        union: bool,
        fields: Cow<'static, [Field]>,
    },
    Type(&'static str, Of),
    Enum(&'static str, &'static [(&'static str, u32)]),
    /// An enumeration whose names come from another table.
    Numbered(&'static str, Vec<(String, u32)>),
}

const fn field(name: &'static str, of: Of) -> Field {
    Field { name, of, bits: 0, at: None }
}
const fn bits(name: &'static str, of: Of, bits: u8) -> Field {
    Field { name, of, bits, at: None }
}
/// A pointer to a structure.
macro_rules! pointer {
    ($name:literal) => {
        crate::world::kernel::Of::Pointer(&crate::world::kernel::Of::Struct($name))
    };
}
use pointer;

const fn record(name: &'static str, fields: &'static [Field]) -> Decl {
    Decl::Record { name, union: false, fields: Cow::Borrowed(fields) }
}
const fn typedef(name: &'static str, of: Of) -> Decl {
    Decl::Type(name, of)
}
const fn enumeration(name: &'static str, values: &'static [(&'static str, u32)]) -> Decl {
    Decl::Enum(name, values)
}

/// All types of the world; what is used by value comes before its users.
pub(super) fn declarations() -> Vec<Decl> {
    let mut all = integers();
    for room in [task::DECLARATIONS, file::DECLARATIONS, net::DECLARATIONS, bpf::DECLARATIONS, trace::DECLARATIONS] {
        all.extend_from_slice(room);
    }
    let contexts = contexts(&all);
    all.extend(contexts);
    let map_type = |id| MapType::from_id(id).map(|of| format!("BPF_MAP_TYPE_{}", of.name().to_uppercase()));
    all.push(Decl::Numbered("bpf_map_type", numbered("BPF_MAP_TYPE_UNSPEC", map_type)));
    let prog_type = |id| ProgramType::from_id(id).map(|of| format!("BPF_PROG_TYPE_{}", of.name().to_uppercase()));
    all.push(Decl::Numbered("bpf_prog_type", numbered("BPF_PROG_TYPE_UNSPEC", prog_type)));
    let helper = |id: u32| FACTS.iter().find(|fact| fact.id == id).map(|fact| format!("BPF_FUNC_{}", fact.name));
    all.push(Decl::Numbered("bpf_func_id", numbered("BPF_FUNC_unspec", helper)));
    all
}

/// The enumerators of the numbers from 1 that have a name, behind that of 0.
fn numbered(zero: &str, name: impl Fn(u32) -> Option<String>) -> Vec<(String, u32)> {
    let named = (1..=FACTS.len() as u32).filter_map(|id| Some((name(id)?, id)));
    std::iter::once((zero.to_owned(), 0)).chain(named).collect()
}

/// The contexts of programs that are structures, as their types declare them. Types that share one open different members
/// of it, so what a member is may be said by any of them.
fn contexts(declared: &[Decl]) -> Vec<Decl> {
    let is_declared =
        |name: &str| declared.iter().any(|decl| matches!(decl, Decl::Record { name: n, .. } if *n == name));
    let mut all: Vec<(&'static str, Vec<Field>)> = Vec::new();
    for declaration in ProgramType::ALL.map(ProgramType::declaration) {
        let context = declaration.context;
        // Others are arguments or plain memory.
        if context.contains(' ') || matches!(context, "arguments" | "__u32") || is_declared(context) {
            continue;
        }
        let at = all.iter().position(|(name, _)| *name == context).unwrap_or_else(|| {
            all.push((context, Vec::new()));
            all.len() - 1
        });
        for member in declaration.fields {
            let (name, of) = match member.name.split_once('.') {
                // The registers, member by member, which lie first.
                Some((outer, _)) => (outer, Of::Struct("pt_regs")),
                None => (member.name, member_of(member)),
            };
            // Another view of a member has a name that is none in C.
            if name.contains([' ', '[']) {
                continue;
            }
            let fields = &mut all[at].1;
            match fields.iter_mut().find(|field| field.name == name) {
                Some(known) if matches!(of, Of::Pointer(_)) => known.of = of,
                Some(_) => {}
                None => fields.push(Field { name, of, bits: 0, at: Some(member.offset) }),
            }
        }
    }
    for (_, fields) in &mut all {
        fields.sort_by_key(|field| field.at);
    }
    all.into_iter().map(|(name, fields)| Decl::Record { name, union: false, fields: Cow::Owned(fields) }).collect()
}

/// The type of a context's member: addresses of 8 bytes are pointers in C.
fn member_of(member: &ContextField) -> Of {
    let element = match (member.element, member.kind) {
        (8, FieldKind::Scalar) | (_, FieldKind::Target) => &Of::U64,
        (8, FieldKind::SockCommonOrNull | FieldKind::SockOrNull | FieldKind::Sock) => &pointer!("bpf_sock"),
        (8, FieldKind::FlowKeys) => &pointer!("bpf_flow_keys"),
        // Leaked once: types are declared once per process.
        (8, FieldKind::Object(name)) => &*Box::leak(Box::new(Of::Pointer(Box::leak(Box::new(Of::Struct(name)))))),
        (8, _) => &Of::Pointer(&Of::Void),
        (1, _) => &Of::U8,
        (2, _) => &Of::U16,
        _ => &Of::U32,
    };
    let count = member.len / member.element.max(1);
    if count > 1 { Of::Array(element, count) } else { *element }
}

/// Names of integers.
#[rustfmt::skip]
fn integers() -> Vec<Decl> {
    let same = |names: &[&'static str], of: Of| names.iter().map(|name| typedef(name, of)).collect::<Vec<_>>();
    [
        same(&["__u8", "u8", "uint8_t"], Of::U8),
        same(&["__u16", "u16", "__be16", "__le16", "__sum16", "uint16_t"], Of::U16),
        same(&["__u32", "u32", "__be32", "__wsum", "uint32_t", "gfp_t", "fmode_t", "uid_t", "gid_t", "dev_t", "blk_opf_t"], Of::U32),
        same(&["__u64", "u64", "__be64", "uint64_t", "sector_t", "u_int64_t"], Of::U64),
        same(&["size_t", "__kernel_size_t", "netdev_features_t"], Of::ULONG),
        same(&["__s8", "s8"], Of::S8),
        same(&["__s16", "s16"], Of::S16),
        same(&["__s32", "s32", "pid_t", "__kernel_pid_t"], Of::INT),
        same(&["__s64", "s64", "loff_t", "ktime_t", "time64_t"], Of::S64),
        same(&["ssize_t"], Of::LONG),
        same(&["bool"], Of::BOOL),
        same(&["umode_t"], Of::U16),
    ]
    .concat()
}
