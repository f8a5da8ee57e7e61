//! BTF, the type information of an object (Linux: Documentation/bpf/btf.rst): types, strings, and where CO-RE relocations are.
//!
//! Only what maps are declared with is kept: sizes, members, variables. Every list is read once from the bytes it lies in, so
//! memory stays in proportion to the input.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
/// The deepest chain of types that is followed (`MAX_RESOLVE_DEPTH`).
const DEPTH_MAX: u32 = 32;

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
    /// A version other than 1.
    #[error("version {0} is not known")]
    Version(u8),
    /// A header shorter than its fields.
    #[error("a header of {0} bytes is too short")]
    HeaderLen(u32),
    /// A kind of type that is not known.
    #[error("kind {0} of a type is not known")]
    Kind(u32),
    /// A record length that does not fit.
    #[error("records of {0} bytes are too short")]
    RecordLen(u32),
}

/// A type, as far as it matters here. Numbers of types count from 1; 0 is void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Integers, floats, enumerations: only their size.
    Sized(u32),
    Pointer(u32),
    Array {
        element: u32,
        count: u32,
    },
    Struct {
        size: u32,
        members: Vec<Member>,
    },
    /// `typedef`, `const`, `volatile`, `restrict`, type tags: another name for a type.
    Alias(u32),
    Variable {
        name: u32,
        of: u32,
    },
    DataSection {
        name: u32,
        variables: Vec<u32>,
    },
    /// Functions, forward declarations, declaration tags: without a size.
    Other,
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) of: u32,
}

/// The types and strings of a `.BTF` section.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    types: Vec<Type>,
    strings: &'a [u8],
}

/// Reads little-endian numbers, never beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
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
    fn u32(&mut self, what: &'static str) -> Result<u32, BtfError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }
    /// `len` bytes that begin `start` bytes into the section.
    fn part(&self, what: &'static str, start: usize, len: u32) -> Result<&'a [u8], BtfError> {
        let end = start.checked_add(len as usize);
        let part = end.and_then(|end| self.bytes.get(start..end));
        part.ok_or(BtfError { offset: start.min(self.bytes.len()), kind: BtfErrorKind::Truncated(what) })
    }
}

/// Magic number, version and header length, which `.BTF` and `.BTF.ext` begin with.
fn header(bytes: &[u8], least: u32) -> Result<(Reader<'_>, usize), BtfError> {
    let mut reader = Reader { bytes, at: 0 };
    let magic = u16::from_le_bytes(reader.array("header")?);
    if magic != MAGIC {
        return Err(BtfError { offset: 0, kind: BtfErrorKind::Magic(magic) });
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

impl<'a> Btf<'a> {
    /// Reads a `.BTF` section.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Btf<'a>, BtfError> {
        let (mut reader, base) = header(bytes, 24)?;
        let [type_off, type_len] = [reader.u32("header")?, reader.u32("header")?];
        let [str_off, str_len] = [reader.u32("header")?, reader.u32("header")?];
        let strings = reader.part("string section", base.saturating_add(str_off as usize), str_len)?;
        let start = base.saturating_add(type_off as usize);
        reader.part("type section", start, type_len)?;
        let mut types = Vec::new();
        let mut reader = Reader { bytes: &bytes[..start + type_len as usize], at: start };
        while reader.at < reader.bytes.len() {
            types.push(parse_type(&mut reader)?);
        }
        Ok(Btf { types, strings })
    }

    /// The string at this offset; empty where there is none.
    pub(super) fn string(&self, offset: u32) -> Cow<'a, str> {
        super::elf::string(self.strings, offset as usize)
    }

    fn get(&self, number: u32) -> Option<&Type> {
        self.types.get((number as usize).checked_sub(1)?)
    }

    /// The type that is meant, without typedefs and qualifiers.
    pub(super) fn resolve(&self, mut number: u32) -> Option<&Type> {
        for _ in 0..DEPTH_MAX {
            match self.get(number)? {
                Type::Alias(of) => number = *of,
                found => return Some(found),
            }
        }
        None
    }

    /// Bytes of a value of this type; `None` if it has no size.
    pub(super) fn size(&self, number: u32) -> Option<u32> {
        let (mut count, mut number) = (1u32, number);
        for _ in 0..DEPTH_MAX {
            match self.resolve(number)? {
                Type::Sized(size) | Type::Struct { size, .. } => return count.checked_mul(*size),
                Type::Pointer(_) => return count.checked_mul(8),
                Type::Array { element, count: elements } => {
                    (count, number) = (count.checked_mul(*elements)?, *element);
                }
                Type::Variable { of, .. } => number = *of,
                Type::Alias(_) | Type::DataSection { .. } | Type::Other => return None,
            }
        }
        None
    }

    /// The variables of the data section of this name: name and type of each.
    pub(super) fn variables(&self, section: &str) -> Vec<(Cow<'a, str>, u32)> {
        let sections = self.types.iter().filter_map(|of| match of {
            Type::DataSection { name, variables } if self.string(*name) == section => Some(variables),
            _ => None,
        });
        sections
            .flatten()
            .filter_map(|variable| match self.get(*variable) {
                Some(Type::Variable { name, of }) => Some((self.string(*name), *of)),
                _ => None,
            })
            .collect()
    }
}

/// One type with what follows its three common words.
fn parse_type(reader: &mut Reader<'_>) -> Result<Type, BtfError> {
    const WHAT: &str = "type";
    let [name, info, size_or_type] = [reader.u32(WHAT)?, reader.u32(WHAT)?, reader.u32(WHAT)?];
    let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
    let skip = |reader: &mut Reader<'_>, words: u32| (0..words).try_for_each(|_| reader.u32(WHAT).map(drop));
    Ok(match kind {
        1 => {
            skip(reader, 1)?;
            Type::Sized(size_or_type)
        }
        2 => Type::Pointer(size_or_type),
        3 => {
            let [element, _index, count] = [reader.u32(WHAT)?, reader.u32(WHAT)?, reader.u32(WHAT)?];
            Type::Array { element, count }
        }
        4 | 5 => {
            let member = |_| {
                let [name, of, _offset] = [reader.u32(WHAT)?, reader.u32(WHAT)?, reader.u32(WHAT)?];
                Ok(Member { name, of })
            };
            Type::Struct { size: size_or_type, members: (0..count).map(member).collect::<Result<_, BtfError>>()? }
        }
        6 | 19 => {
            skip(reader, count * if kind == 6 { 2 } else { 3 })?;
            Type::Sized(size_or_type)
        }
        8..=11 | 18 => Type::Alias(size_or_type),
        7 | 12 => Type::Other,
        13 => {
            skip(reader, count * 2)?;
            Type::Other
        }
        14 => {
            skip(reader, 1)?;
            Type::Variable { name, of: size_or_type }
        }
        15 => {
            let variable = |_| {
                let [of, _offset, _size] = [reader.u32(WHAT)?, reader.u32(WHAT)?, reader.u32(WHAT)?];
                Ok(of)
            };
            Type::DataSection { name, variables: (0..count).map(variable).collect::<Result<_, BtfError>>()? }
        }
        16 => Type::Sized(size_or_type),
        17 => {
            skip(reader, 1)?;
            Type::Other
        }
        _ => return Err(BtfError { offset: reader.at - 8, kind: BtfErrorKind::Kind(kind) }),
    })
}

/// The byte offsets of CO-RE relocations in the program section `section`, from a `.BTF.ext` section.
pub(super) fn core_relocations(bytes: &[u8], btf: &Btf<'_>, section: &str) -> Result<BTreeSet<u32>, BtfError> {
    const WHAT: &str = "CO-RE relocation";
    let (mut reader, base) = header(bytes, 24)?;
    // Headers of 24 bytes are older than CO-RE.
    if base < 32 {
        return Ok(BTreeSet::new());
    }
    reader.at = 24;
    let [off, len] = [reader.u32("header")?, reader.u32("header")?];
    let start = base.saturating_add(off as usize);
    reader.part("section of CO-RE relocations", start, len)?;
    let mut found = BTreeSet::new();
    let mut reader = Reader { bytes: &bytes[..start + len as usize], at: start };
    if len == 0 {
        return Ok(found);
    }
    let record = reader.u32(WHAT)?;
    if record < 4 {
        return Err(BtfError { offset: start, kind: BtfErrorKind::RecordLen(record) });
    }
    while reader.at < reader.bytes.len() {
        let [name, count] = [reader.u32(WHAT)?, reader.u32(WHAT)?];
        let meant = btf.string(name) == section;
        for _ in 0..count {
            reader.part(WHAT, reader.at, record)?;
            let offset = reader.u32(WHAT)?;
            reader.at += record as usize - 4;
            if meant {
                found.insert(offset);
            }
        }
    }
    Ok(found)
}
