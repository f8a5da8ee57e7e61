//! Program types: what the program is given, and which of its context's fields it may touch.
//!
//! Context fields are declared, not flat bytes. The declaration says where a field lies, how wide it may be read and
//! written, and what a read yields; verifier, interpreter and JIT all go by it. In guest memory a context is laid out
//! exactly as declared, little-endian, so that a permitted plain access is a plain load or store on every engine.

use crate::insn::Size;

pub mod socket_filter;
pub mod xdp;

/// The program types that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramType {
    /// `BPF_PROG_TYPE_SOCKET_FILTER`.
    SocketFilter,
    /// `BPF_PROG_TYPE_XDP`.
    Xdp,
}

impl ProgramType {
    /// All that are modelled.
    pub const ALL: [ProgramType; 2] = [ProgramType::SocketFilter, ProgramType::Xdp];

    /// What the program is given.
    pub fn declaration(self) -> &'static Declaration {
        match self {
            ProgramType::SocketFilter => &socket_filter::DECLARATION,
            ProgramType::Xdp => &xdp::DECLARATION,
        }
    }
    /// The kernel's name in lower case without `BPF_PROG_TYPE_`.
    pub fn name(self) -> &'static str {
        self.declaration().name
    }
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<ProgramType> {
        ProgramType::ALL.into_iter().find(|t| t.name() == name)
    }
    /// The type that libbpf gives to an ELF section of this name.
    pub fn from_section(section: &str) -> Option<ProgramType> {
        ProgramType::ALL.into_iter().find(|t| {
            t.declaration().sections.iter().any(|prefix| {
                section.strip_prefix(prefix).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(['/', '.', '_']) || rest.bytes().all(|b| b.is_ascii_digit())
                })
            })
        })
    }
}

impl std::fmt::Display for ProgramType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A program type as declared.
#[derive(Debug)]
pub struct Declaration {
    /// The kernel's name in lower case without `BPF_PROG_TYPE_`.
    pub name: &'static str,
    /// The kernel's number.
    pub id: u32,
    /// ELF section names (prefixes) that stand for it.
    pub sections: &'static [&'static str],
    /// Name of the context's structure.
    pub context: &'static str,
    /// Bytes of the context.
    pub context_len: u32,
    /// Fields of the context, ascending.
    pub fields: &'static [ContextField],
    /// Whether packet bytes may be written through packet pointers.
    pub packet_write: bool,
}

/// What a read of a field yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Scalar,
    /// The address of the first packet byte.
    Packet,
    /// The address of the metadata before the packet.
    PacketMeta,
    /// The address one past the last packet byte.
    PacketEnd,
}

/// How a field may be accessed, at naturally aligned offsets inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldAccess {
    /// Not at all.
    Never,
    /// Only as a whole of this size.
    Exact(Size),
    /// In any size up to this one (narrow reads yield the bytes at that place).
    UpTo(Size),
}

/// One field of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextField {
    /// Name in the uapi header.
    pub name: &'static str,
    /// Bytes from the start of the context.
    pub offset: u32,
    /// Bytes in all; an array field has several elements.
    pub len: u32,
    /// How it may be read.
    pub read: FieldAccess,
    /// How it may be written.
    pub write: FieldAccess,
    /// What a read yields.
    pub kind: FieldKind,
}

impl ContextField {
    /// A number of 4 bytes, read in any size, never written.
    pub const fn u32(name: &'static str, offset: u32) -> ContextField {
        ContextField {
            name,
            offset,
            len: 4,
            read: FieldAccess::UpTo(Size::W),
            write: FieldAccess::Never,
            kind: FieldKind::Scalar,
        }
    }
    /// A packet address of 4 bytes, read whole.
    pub const fn packet(name: &'static str, offset: u32, kind: FieldKind) -> ContextField {
        ContextField { name, offset, len: 4, read: FieldAccess::Exact(Size::W), write: FieldAccess::Never, kind }
    }
    /// The same with other rights.
    #[must_use]
    pub const fn access(mut self, read: FieldAccess, write: FieldAccess) -> ContextField {
        self.read = read;
        self.write = write;
        self
    }
    /// The same with `len` bytes.
    #[must_use]
    pub const fn len(mut self, len: u32) -> ContextField {
        self.len = len;
        self
    }
}

impl Declaration {
    /// The field that an access of `size` at byte `offset` touches, if the declaration permits it.
    ///
    /// ```
    /// use semantics::insn::Size;
    /// use semantics::program_type::ProgramType;
    /// let xdp = ProgramType::Xdp.declaration();
    /// assert_eq!(xdp.access(0, Size::W, false).unwrap().name, "data");
    /// assert!(xdp.access(0, Size::H, false).is_none());
    /// ```
    pub fn access(&self, offset: i64, size: Size, write: bool) -> Option<&'static ContextField> {
        let bytes = i64::from(size.bytes());
        if offset % bytes != 0 {
            return None;
        }
        let field = self
            .fields
            .iter()
            .find(|f| i64::from(f.offset) <= offset && offset + bytes <= i64::from(f.offset) + i64::from(f.len))?;
        let permitted = match if write { field.write } else { field.read } {
            FieldAccess::Never => false,
            FieldAccess::Exact(exact) => exact == size,
            FieldAccess::UpTo(most) => size <= most,
        };
        permitted.then_some(field)
    }
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static ContextField> {
        self.fields.iter().find(|f| f.name == name)
    }
}
