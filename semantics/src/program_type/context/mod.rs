//! Fields of contexts: where they lie, how they may be accessed, and what reading them yields.

use super::attach_type::{AttachType, AttachTypes};
use crate::insn::Size;

pub mod args;
pub mod layout;
pub mod sk_buff;

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
    /// A `struct bpf_sock` of which only the common part can be relied on, or NULL (`PTR_TO_SOCK_COMMON_OR_NULL`).
    SockCommonOrNull,
    /// A full `struct bpf_sock` or NULL (`PTR_TO_SOCKET_OR_NULL`).
    SockOrNull,
    /// A full `struct bpf_sock`, never NULL (`PTR_TO_SOCKET`).
    Sock,
    /// The `struct bpf_flow_keys` that a flow dissector fills in (`PTR_TO_FLOW_KEYS`).
    FlowKeys,
    /// A kernel object of this type, never NULL (`PTR_TO_BTF_ID`).
    Object(&'static str),
    /// The buffer of a writable tracepoint (`PTR_TO_TP_BUFFER`).
    TracepointBuffer,
    /// Whatever the program that is extended has there.
    Target,
}

impl FieldKind {
    /// Whether the world has a value for it. There are no sockets, so a pointer to one that may be NULL is NULL.
    pub const fn is_modelled(self) -> bool {
        match self {
            FieldKind::Scalar
            | FieldKind::Packet
            | FieldKind::PacketMeta
            | FieldKind::PacketEnd
            | FieldKind::FlowKeys
            | FieldKind::SockCommonOrNull
            | FieldKind::SockOrNull => true,
            FieldKind::Sock | FieldKind::Object(_) | FieldKind::TracepointBuffer | FieldKind::Target => false,
        }
    }
}

/// How a field may be accessed, at offsets that are multiples of the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldAccess {
    /// Not at all.
    Never,
    /// Only in this size.
    Exact(Size),
    /// In any size up to this one (narrow reads yield the bytes at that place).
    UpTo(Size),
    /// In any size from the first to the second.
    Between(Size, Size),
    /// In any size up to this one, at the field's first byte only.
    Start(Size),
    /// In any size, but not this many bytes at its beginning.
    Behind(u32),
}

impl FieldAccess {
    /// The permitted sizes, ascending.
    pub fn sizes(self) -> impl Iterator<Item = Size> {
        Size::ALL.into_iter().filter(move |size| match self {
            FieldAccess::Never => false,
            FieldAccess::Exact(exact) => *size == exact,
            FieldAccess::UpTo(most) | FieldAccess::Start(most) => *size <= most,
            FieldAccess::Between(least, most) => least <= *size && *size <= most,
            FieldAccess::Behind(_) => true,
        })
    }
    /// Whether `size` bytes may be accessed `inside` bytes behind the field's first.
    pub fn permits(self, inside: u32, size: Size) -> bool {
        match self {
            FieldAccess::Never => false,
            FieldAccess::Exact(exact) => size == exact,
            FieldAccess::UpTo(most) => size <= most,
            FieldAccess::Between(least, most) => least <= size && size <= most,
            FieldAccess::Start(most) => size <= most && inside == 0,
            FieldAccess::Behind(hidden) => inside >= hidden,
        }
    }
}

/// One field of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextField {
    /// Name in the uapi header.
    pub name: &'static str,
    /// Bytes from the start of the context.
    pub offset: u32,
    /// Bytes in all.
    pub len: u32,
    /// Bytes of an element; an array has several.
    pub element: u32,
    /// How it may be read.
    pub read: FieldAccess,
    /// How it may be written.
    pub write: FieldAccess,
    /// What a read yields.
    pub kind: FieldKind,
    /// For which attach types it is there at all.
    pub guard: AttachTypes,
    /// For which of these it may also be written.
    pub write_guard: AttachTypes,
    /// Whether it shares bytes with others: a member of a union, or another view of the same bytes.
    pub shared: bool,
}

impl ContextField {
    /// A field that nobody may access.
    pub const fn hidden(row: layout::Row) -> ContextField {
        let (name, offset, len, element) = row;
        ContextField {
            name,
            offset,
            len,
            element,
            read: FieldAccess::Never,
            write: FieldAccess::Never,
            kind: FieldKind::Scalar,
            guard: AttachTypes::ANY,
            write_guard: AttachTypes::ANY,
            shared: false,
        }
    }
    /// Whether a program with this attach type may access `size` bytes at byte `offset` of the context through it.
    pub fn permits(&self, attach: Option<AttachType>, offset: u32, size: Size, write: bool) -> bool {
        let inside = offset.wrapping_sub(self.offset);
        let access = if write { self.write } else { self.read };
        inside < self.len
            && size.bytes() <= self.len - inside
            && access.permits(inside, size)
            && self.guard.contains(attach)
            && (!write || self.write_guard.contains(attach))
    }
    /// Whether an input can set it: a number that programs can read.
    pub fn is_settable(&self) -> bool {
        self.kind == FieldKind::Scalar && self.read != FieldAccess::Never
    }
}

/// The fields of a structure while their rights are stated; a name that it lacks is an error at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Fields<const N: usize>([ContextField; N]);

/// The place of the field of this name.
const fn place<const N: usize>(fields: &[ContextField; N], name: &str) -> usize {
    let mut at = 0;
    while at < N {
        if same(fields[at].name, name) {
            return at;
        }
        at += 1;
    }
    panic!("the structure has no field of this name");
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl<const N: usize> Fields<N> {
    /// Every field readable like this, none writable.
    pub const fn new(layout: &[layout::Row; N], read: FieldAccess) -> Fields<N> {
        let mut fields = [ContextField::hidden(("", 0, 0, 0)); N];
        let mut at = 0;
        while at < N {
            fields[at] = ContextField { read, ..ContextField::hidden(layout[at]) };
            at += 1;
        }
        Fields(fields)
    }
    /// The fields, done.
    pub const fn done(self) -> [ContextField; N] {
        self.0
    }
    /// Sets how these are read.
    pub const fn read(mut self, names: &[&str], access: FieldAccess) -> Fields<N> {
        let mut at = 0;
        while at < names.len() {
            self.0[place(&self.0, names[at])].read = access;
            at += 1;
        }
        self
    }
    /// Sets how these are written.
    pub const fn write(mut self, names: &[&str], access: FieldAccess) -> Fields<N> {
        let mut at = 0;
        while at < names.len() {
            self.0[place(&self.0, names[at])].write = access;
            at += 1;
        }
        self
    }
    /// Takes all rights to these.
    pub const fn deny(self, names: &[&str]) -> Fields<N> {
        self.read(names, FieldAccess::Never).write(names, FieldAccess::Never)
    }
    /// Sets what reading one yields.
    pub const fn kind(mut self, name: &str, kind: FieldKind) -> Fields<N> {
        self.0[place(&self.0, name)].kind = kind;
        self
    }
    /// A pointer, readable whole.
    pub const fn pointer(self, name: &str, size: Size, kind: FieldKind) -> Fields<N> {
        self.read(&[name], FieldAccess::Exact(size)).kind(name, kind)
    }
    /// These are there only for programs with these attach types.
    pub const fn guard(mut self, names: &[&str], attach: &[AttachType]) -> Fields<N> {
        let mut at = 0;
        while at < names.len() {
            self.0[place(&self.0, names[at])].guard = AttachTypes::of(attach);
            at += 1;
        }
        self
    }
    /// These can be written only by programs with these attach types.
    pub const fn write_guard(mut self, names: &[&str], attach: &[AttachType]) -> Fields<N> {
        let mut at = 0;
        while at < names.len() {
            self.0[place(&self.0, names[at])].write_guard = AttachTypes::of(attach);
            at += 1;
        }
        self
    }
    /// These share their bytes with others.
    pub const fn shared(mut self, names: &[&str]) -> Fields<N> {
        let mut at = 0;
        while at < names.len() {
            self.0[place(&self.0, names[at])].shared = true;
            at += 1;
        }
        self
    }
}

/// The row of this name.
pub const fn row(layout: &[layout::Row], name: &str) -> layout::Row {
    let mut at = 0;
    while at < layout.len() {
        if same(layout[at].0, name) {
            return layout[at];
        }
        at += 1;
    }
    panic!("the structure has no field of this name");
}

/// One more row behind those of a layout.
pub const fn with<const N: usize, const M: usize>(layout: &[layout::Row; N], row: layout::Row) -> [layout::Row; M] {
    assert!(N + 1 == M);
    let mut rows = [row; M];
    let mut at = 0;
    while at < N {
        rows[at] = layout[at];
        at += 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_permit_sizes_and_places() {
        use Size::{B, Dw, H, W};
        assert_eq!(FieldAccess::UpTo(W).sizes().collect::<Vec<_>>(), [B, H, W]);
        assert_eq!(FieldAccess::Between(H, W).sizes().collect::<Vec<_>>(), [H, W]);
        assert_eq!(FieldAccess::Exact(Dw).sizes().collect::<Vec<_>>(), [Dw]);
        assert_eq!(FieldAccess::Never.sizes().count(), 0);
        assert!(FieldAccess::Start(W).permits(0, H) && !FieldAccess::Start(W).permits(2, H));
        assert!(FieldAccess::Behind(8).permits(8, Dw) && !FieldAccess::Behind(8).permits(4, W));
        assert!(FieldAccess::Between(H, W).permits(2, H) && !FieldAccess::Between(H, W).permits(2, B));
    }

    #[test]
    fn guards_depend_on_the_attach_type() {
        let fields = Fields::new(&[("f", 4, 4, 4)], FieldAccess::UpTo(Size::W))
            .write(&["f"], FieldAccess::Exact(Size::W))
            .guard(&["f"], &[AttachType::Xdp, AttachType::XdpDevmap])
            .write_guard(&["f"], &[AttachType::Xdp])
            .done();
        let permits = |attach, write| fields[0].permits(attach, 4, Size::W, write);
        assert!(permits(Some(AttachType::Xdp), false) && permits(Some(AttachType::Xdp), true));
        assert!(permits(Some(AttachType::XdpDevmap), false) && !permits(Some(AttachType::XdpDevmap), true));
        assert!(!permits(None, false) && !permits(Some(AttachType::XdpCpumap), false));
        assert!(!fields[0].permits(Some(AttachType::Xdp), 0, Size::W, false), "before the field");
        assert!(!fields[0].permits(Some(AttachType::Xdp), 7, Size::H, false), "beyond the field");
    }
}
