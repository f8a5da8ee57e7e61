//! BTF, type information (Linux: Documentation/bpf/btf.rst): of an object, and of the kernel that it is relocated against.
//!
//! Every list is read once from the bytes it lies in, so memory stays in proportion to the input. Numbers of types count
//! from 1; 0 is void. Whatever refers to a type was checked to name one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
/// The deepest chain of types that is followed (`MAX_RESOLVE_DEPTH`).
pub(super) const DEPTH_MAX: u32 = 32;

/// Why bytes are no BTF, and at which byte of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset:#x}: {kind}")]
pub struct BtfError {
    /// Bytes from the start of the section.
    pub offset: usize,
    /// The reason.
    pub kind: BtfErrorKind,
}

/// Why bytes are no BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfErrorKind {
    /// The section ends too early.
    #[error("the {0} goes beyond the end of the section")]
    Truncated(&'static str),
    /// The first two bytes.
    #[error("the magic number is {0:#06x}, not 0xeb9f")]
    Magic(u16),
    /// The first two bytes are exchanged.
    #[error("the byte order is big-endian, which is not modelled")]
    BigEndian,
    /// A version other than 1.
    #[error("version {0} is not known")]
    Version(u8),
    /// A header shorter than its fields.
    #[error("a header of {0} bytes is too short")]
    HeaderLen(u32),
    /// A kind of type that is not known.
    #[error("kind {0} of a type is not known")]
    Kind(u32),
    /// A type that refers to one that does not exist.
    #[error("type {of} refers to type {to}, the last is {last}")]
    NoSuchType {
        /// The type.
        of: u32,
        /// The one it names.
        to: u32,
        /// The largest number there is.
        last: u32,
    },
    /// Strings must begin and end with a NUL.
    #[error("the strings do not begin and end with a NUL")]
    Strings,
    /// A record length that does not fit.
    #[error("records of {0} bytes are too short")]
    RecordLen(u32),
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Offset of its name among the strings; 0 if it has none.
    pub name: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a type is (`BTF_KIND_*`). Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the kernel's names
pub enum Kind {
    /// `encoding` is the kernel's word: bits 24 to 27 the encoding, 16 to 23 the offset, 0 to 7 the width in bits.
    Int {
        size: u32,
        encoding: u32,
    },
    Ptr(u32),
    Array {
        element: u32,
        count: u32,
    },
    /// A structure, or a union.
    Struct {
        union: bool,
        size: u32,
        members: Vec<Member>,
    },
    /// 32-bit and 64-bit enumerations; values sign-extended where `signed`.
    Enum {
        size: u32,
        signed: bool,
        values: Vec<Enumerator>,
    },
    Fwd {
        union: bool,
    },
    Typedef(u32),
    /// `const`, `volatile`, `restrict`, type tags: the same type.
    Modifier(u32),
    Func {
        proto: u32,
        linkage: u32,
    },
    FuncProto {
        result: u32,
        params: Vec<u32>,
    },
    /// Linkage 0 is static, 1 global, 2 extern.
    Var {
        of: u32,
        linkage: u32,
    },
    DataSection {
        size: u32,
        variables: Vec<Variable>,
    },
    Float {
        size: u32,
    },
    /// A remark on a type or on one of its members.
    DeclTag(u32),
}

/// A member of a structure or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name; 0 for anonymous structures and unions.
    pub name: u32,
    /// Its type.
    pub of: u32,
    /// Bits from the start of the structure.
    pub offset: u32,
    /// Width in bits of a bitfield, 0 for others.
    pub bits: u32,
}

/// A name of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Offset of the name.
    pub name: u32,
    /// Its value.
    pub value: u64,
}

/// A variable or function of a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its `Var` or `Func`.
    pub of: u32,
    /// Bytes from the start of the section, as far as the compiler knew it.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// The types and strings of a `.BTF` section.
#[derive(Debug)]
pub struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
    /// Numbers of the types of each name, without its flavor; made when first asked for.
    by_name: OnceLock<HashMap<Vec<u8>, Vec<u32>>>,
}

/// Reads little-endian numbers, never beyond the end.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    fn fail(&self, kind: BtfErrorKind) -> BtfError {
        BtfError { offset: self.at, kind }
    }
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BtfError> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(found) = rest.first_chunk::<N>() else { return Err(self.fail(BtfErrorKind::Truncated(what))) };
        self.at += N;
        Ok(*found)
    }
    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, BtfError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }
    fn words<const N: usize>(&mut self, what: &'static str) -> Result<[u32; N], BtfError> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u32(what)?;
        }
        Ok(words)
    }
    /// `len` bytes that begin `start` bytes into the section.
    pub(super) fn part(&self, what: &'static str, start: usize, len: u32) -> Result<&'a [u8], BtfError> {
        let end = start.checked_add(len as usize);
        let part = end.and_then(|end| self.bytes.get(start..end));
        part.ok_or(BtfError { offset: start.min(self.bytes.len()), kind: BtfErrorKind::Truncated(what) })
    }
}

/// Magic number, version and header length, which `.BTF` and `.BTF.ext` begin with.
pub(super) fn header(bytes: &[u8], least: u32) -> Result<(Reader<'_>, usize), BtfError> {
    let mut reader = Reader { bytes, at: 0 };
    let magic = u16::from_le_bytes(reader.array("header")?);
    if magic != MAGIC {
        let kind = if magic.swap_bytes() == MAGIC { BtfErrorKind::BigEndian } else { BtfErrorKind::Magic(magic) };
        return Err(BtfError { offset: 0, kind });
    }
    let [version, _flags] = reader.array("header")?;
    if version != 1 {
        return Err(BtfError { offset: 2, kind: BtfErrorKind::Version(version) });
    }
    let len = reader.u32("header")?;
    if len < least {
        return Err(BtfError { offset: 4, kind: BtfErrorKind::HeaderLen(len) });
    }
    reader.part("header", 0, len)?;
    Ok((reader, len as usize))
}

/// A name without its flavor: what follows the last `___` says which kernels a declaration is for, not which type it is.
pub(super) fn essential(name: &[u8]) -> &[u8] {
    let is_flavor = |at: usize| matches!(name[at..at + 5], [a, b'_', b'_', b'_', c] if a != b'_' && c != b'_');
    let end = (0..name.len().saturating_sub(4)).rev().find(|at| is_flavor(*at));
    end.map_or(name, |at| &name[..=at])
}

impl Btf {
    /// Reads a `.BTF` section, or a file such as `/sys/kernel/btf/vmlinux`.
    ///
    /// ```
    /// use semantics::loader::Btf;
    /// let error = Btf::parse(&[0x9f, 0xeb, 2, 0]).unwrap_err();
    /// assert_eq!(error.to_string(), "offset 0x2: version 2 is not known");
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        let (mut reader, base) = header(bytes, 24)?;
        let [type_off, type_len, str_off, str_len] = reader.words("header")?;
        let string_start = base.saturating_add(str_off as usize);
        let strings = reader.part("string section", string_start, str_len)?;
        if !matches!(strings, [] | [0] | [0, .., 0]) {
            return Err(BtfError { offset: string_start, kind: BtfErrorKind::Strings });
        }
        let start = base.saturating_add(type_off as usize);
        reader.part("type section", start, type_len)?;
        let mut types = Vec::new();
        let mut starts = Vec::new();
        let mut reader = Reader { bytes: &bytes[..start + type_len as usize], at: start };
        while reader.at < reader.bytes.len() {
            starts.push(reader.at);
            types.push(parse_type(&mut reader)?);
        }
        let last = types.len() as u32;
        for (at, of) in types.iter().enumerate() {
            if let Some(to) = of.kind.references().find(|to| *to > last) {
                let kind = BtfErrorKind::NoSuchType { of: at as u32 + 1, to, last };
                return Err(BtfError { offset: starts[at], kind });
            }
        }
        Ok(Btf { types, strings: strings.to_vec(), by_name: OnceLock::new() })
    }

    /// The bytes of the string at this offset, without NUL; empty where there is none.
    pub(super) fn bytes(&self, offset: u32) -> &[u8] {
        super::elf::string_bytes(&self.strings, offset as usize)
    }
    /// The string at this offset; empty where there is none.
    pub fn string(&self, offset: u32) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(offset))
    }
    /// All types, in order: the first is number 1.
    pub fn types(&self) -> &[Type] {
        &self.types
    }
    /// The type of this number; `None` for void.
    pub fn get(&self, number: u32) -> Option<&Type> {
        self.types.get((number as usize).checked_sub(1)?)
    }
    /// The name of the type of this number; empty if it has none.
    pub fn name(&self, number: u32) -> Cow<'_, str> {
        self.get(number).map_or(Cow::Borrowed("void"), |of| self.string(of.name))
    }

    /// The number of the type that is meant, without typedefs and modifiers; 0 for void and for chains without an end.
    pub(super) fn resolve_id(&self, mut number: u32) -> u32 {
        for _ in 0..DEPTH_MAX {
            match self.get(number).map(|of| &of.kind) {
                Some(Kind::Typedef(of) | Kind::Modifier(of)) => number = *of,
                _ => return number,
            }
        }
        0
    }
    /// The type that is meant, without typedefs and modifiers.
    pub(crate) fn resolve(&self, number: u32) -> Option<&Kind> {
        self.get(self.resolve_id(number)).map(|of| &of.kind)
    }

    /// Bytes of a value of this type; `None` if it has no size.
    pub fn size(&self, number: u32) -> Option<u32> {
        let (mut count, mut number) = (1u32, number);
        for _ in 0..DEPTH_MAX {
            match self.resolve(number)? {
                Kind::Int { size, .. }
                | Kind::Enum { size, .. }
                | Kind::Struct { size, .. }
                | Kind::DataSection { size, .. }
                | Kind::Float { size } => return count.checked_mul(*size),
                Kind::Ptr(_) => return count.checked_mul(8),
                Kind::Array { element, count: elements } => {
                    (count, number) = (count.checked_mul(*elements)?, *element);
                }
                Kind::Var { of, .. } => number = *of,
                _ => return None,
            }
        }
        None
    }

    /// The alignment of a value of this type in bytes, as the compiler places it.
    pub(super) fn align(&self, number: u32) -> u32 {
        let mut number = number;
        for _ in 0..DEPTH_MAX {
            match self.resolve(number) {
                Some(Kind::Int { size, .. } | Kind::Enum { size, .. } | Kind::Float { size }) => {
                    return (*size).clamp(1, 8);
                }
                Some(Kind::Ptr(_) | Kind::Struct { .. }) => return 8,
                Some(Kind::Array { element, .. }) => number = *element,
                _ => return 1,
            }
        }
        1
    }

    /// What the data sections of this name hold.
    pub fn variables<'b>(&'b self, section: &'b str) -> impl Iterator<Item = (&'b Type, Variable)> {
        let sections = self.types.iter().filter_map(move |of| match &of.kind {
            Kind::DataSection { variables, .. } if self.bytes(of.name) == section.as_bytes() => Some(variables),
            _ => None,
        });
        sections.flatten().filter_map(|variable| Some((self.get(variable.of)?, *variable)))
    }

    /// The numbers of all types whose name is this one, flavors left out.
    pub(super) fn named(&self, essential_name: &[u8]) -> &[u32] {
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
            for (at, of) in self.types.iter().enumerate().filter(|(_, of)| of.name != 0) {
                by_name.entry(essential(self.bytes(of.name)).to_vec()).or_default().push(at as u32 + 1);
            }
            by_name
        });
        by_name.get(essential_name).map_or(&[], Vec::as_slice)
    }
}

impl Kind {
    /// Numbers of the types that it refers to.
    fn references(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, members, params, variables): (Option<u32>, &[Member], &[u32], &[Variable]) = match self {
            Kind::Ptr(of) | Kind::Typedef(of) | Kind::Modifier(of) | Kind::DeclTag(of) => (Some(*of), &[], &[], &[]),
            Kind::Array { element: of, .. } | Kind::Func { proto: of, .. } | Kind::Var { of, .. } => {
                (Some(*of), &[], &[], &[])
            }
            Kind::Struct { members, .. } => (None, members, &[], &[]),
            Kind::FuncProto { result, params } => (Some(*result), &[], params, &[]),
            Kind::DataSection { variables, .. } => (None, &[], &[], variables),
            Kind::Int { .. } | Kind::Enum { .. } | Kind::Fwd { .. } | Kind::Float { .. } => (None, &[], &[], &[]),
        };
        let lists = members.iter().map(|member| member.of).chain(params.iter().copied());
        one.into_iter().chain(lists).chain(variables.iter().map(|variable| variable.of))
    }
    /// The word for it in messages.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "integer",
            Kind::Ptr(_) => "pointer",
            Kind::Array { .. } => "array",
            Kind::Struct { union: false, .. } => "struct",
            Kind::Struct { union: true, .. } => "union",
            Kind::Enum { .. } => "enum",
            Kind::Fwd { .. } => "forward declaration",
            Kind::Typedef(_) => "typedef",
            Kind::Modifier(_) => "modifier",
            Kind::Func { .. } | Kind::FuncProto { .. } => "function",
            Kind::Var { .. } => "variable",
            Kind::DataSection { .. } => "data section",
            Kind::Float { .. } => "float",
            Kind::DeclTag(_) => "tag",
        }
    }
}

/// One type with what follows its three common words.
fn parse_type(reader: &mut Reader<'_>) -> Result<Type, BtfError> {
    const WHAT: &str = "type";
    let start = reader.at;
    let [name, info, size_or_type] = reader.words(WHAT)?;
    let (kind, count, flag) = (info >> 24 & 0x1f, info & 0xffff, info >> 31 != 0);
    let kind = match kind {
        1 => {
            let [encoding] = reader.words(WHAT)?;
            Kind::Int { size: size_or_type, encoding }
        }
        2 => Kind::Ptr(size_or_type),
        3 => {
            let [element, _index, count] = reader.words(WHAT)?;
            Kind::Array { element, count }
        }
        4 | 5 => {
            let member = |_| {
                let [name, of, offset] = reader.words(WHAT)?;
                // With the flag the word also holds the width of a bitfield.
                let (offset, bits) = if flag { (offset & 0xff_ffff, offset >> 24) } else { (offset, 0) };
                Ok(Member { name, of, offset, bits })
            };
            let members = (0..count).map(member).collect::<Result<_, BtfError>>()?;
            Kind::Struct { union: kind == 5, size: size_or_type, members }
        }
        6 | 19 => {
            let value = |_| {
                let [name, low] = reader.words(WHAT)?;
                let high = match kind {
                    19 => reader.u32(WHAT)?,
                    _ if flag => (low as i32 >> 31) as u32,
                    _ => 0,
                };
                Ok(Enumerator { name, value: u64::from(high) << 32 | u64::from(low) })
            };
            let values = (0..count).map(value).collect::<Result<_, BtfError>>()?;
            Kind::Enum { size: size_or_type, signed: flag, values }
        }
        7 => Kind::Fwd { union: flag },
        8 => Kind::Typedef(size_or_type),
        9..=11 | 18 => Kind::Modifier(size_or_type),
        12 => Kind::Func { proto: size_or_type, linkage: count },
        13 => {
            let param = |_| reader.words(WHAT).map(|[_name, of]| of);
            Kind::FuncProto { result: size_or_type, params: (0..count).map(param).collect::<Result<_, _>>()? }
        }
        14 => {
            let [linkage] = reader.words(WHAT)?;
            Kind::Var { of: size_or_type, linkage }
        }
        15 => {
            let variable = |_| reader.words(WHAT).map(|[of, offset, size]| Variable { of, offset, size });
            let variables = (0..count).map(variable).collect::<Result<_, _>>()?;
            Kind::DataSection { size: size_or_type, variables }
        }
        16 => Kind::Float { size: size_or_type },
        17 => {
            let [_component] = reader.words(WHAT)?;
            Kind::DeclTag(size_or_type)
        }
        _ => return Err(BtfError { offset: start + 4, kind: BtfErrorKind::Kind(kind) }),
    };
    Ok(Type { name, kind })
}
