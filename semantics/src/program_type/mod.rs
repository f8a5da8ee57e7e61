//! Program types: what the program is given, and which of its context's fields it may touch.
//!
//! Context fields are declared, not flat bytes. The declaration says where a field lies, how wide it may be read and
//! written, and what a read yields; verifier, interpreter and JIT all go by it. In guest memory a context is laid out
//! exactly as declared, little-endian, so that a permitted plain access is a plain load or store on every engine.
//!
//! What the kernel's tables say of a type is a row of [`FACTS`]; each type has a room with its [`Declaration`]; what several
//! have in common is in [`context`].
//!
//! # How to change what a type may access
//! Its room starts from the layout of its structure ([`context::layout`], made from the kernel's header) and states rights
//! by field name. A name that the structure lacks does not compile.

use crate::insn::Size;

pub mod attach_type;
mod cgroup_device;
mod cgroup_skb;
mod cgroup_sock;
mod cgroup_sock_addr;
mod cgroup_sockopt;
mod cgroup_sysctl;
pub mod context;
mod ext;
pub mod facts;
mod flow_dissector;
mod kprobe;
mod lirc_mode2;
mod lsm;
mod lwt_in;
mod lwt_out;
mod lwt_seg6local;
mod lwt_xmit;
mod netfilter;
mod perf_event;
mod raw_tracepoint;
mod raw_tracepoint_writable;
mod sched_act;
mod sched_cls;
pub mod section;
mod sk_lookup;
mod sk_msg;
mod sk_reuseport;
mod sk_skb;
mod sock_ops;
mod socket_filter;
mod struct_ops;
mod syscall;
pub mod target;
mod tracepoint;
mod tracing;
mod xdp;

pub use attach_type::{AttachType, AttachTypes};
pub use context::{ContextField, FieldAccess, FieldKind};
pub use facts::{FACTS, Fact, ProgramType, Results};
pub use section::{SectionType, from_section};

/// The declarations, by number of the type from 1.
static DECLARATIONS: [&Declaration; ProgramType::ALL.len()] = [
    &socket_filter::DECLARATION,
    &kprobe::DECLARATION,
    &sched_cls::DECLARATION,
    &sched_act::DECLARATION,
    &tracepoint::DECLARATION,
    &xdp::DECLARATION,
    &perf_event::DECLARATION,
    &cgroup_skb::DECLARATION,
    &cgroup_sock::DECLARATION,
    &lwt_in::DECLARATION,
    &lwt_out::DECLARATION,
    &lwt_xmit::DECLARATION,
    &sock_ops::DECLARATION,
    &sk_skb::DECLARATION,
    &cgroup_device::DECLARATION,
    &sk_msg::DECLARATION,
    &raw_tracepoint::DECLARATION,
    &cgroup_sock_addr::DECLARATION,
    &lwt_seg6local::DECLARATION,
    &lirc_mode2::DECLARATION,
    &sk_reuseport::DECLARATION,
    &flow_dissector::DECLARATION,
    &cgroup_sysctl::DECLARATION,
    &raw_tracepoint_writable::DECLARATION,
    &cgroup_sockopt::DECLARATION,
    &tracing::DECLARATION,
    &struct_ops::DECLARATION,
    &ext::DECLARATION,
    &lsm::DECLARATION,
    &sk_lookup::DECLARATION,
    &syscall::DECLARATION,
    &netfilter::DECLARATION,
];

impl ProgramType {
    /// The kernel's number.
    pub const fn id(self) -> u32 {
        self as u32
    }
    /// The type with this number.
    pub fn from_id(id: u32) -> Option<ProgramType> {
        ProgramType::ALL.get((id as usize).checked_sub(1)?).copied()
    }
    /// What the kernel's tables say of it.
    pub const fn fact(self) -> &'static Fact {
        &FACTS[self.id() as usize - 1]
    }
    /// What the program is given.
    pub fn declaration(self) -> &'static Declaration {
        DECLARATIONS[self.id() as usize - 1]
    }
    /// The kernel's name in lower case without `BPF_PROG_TYPE_`.
    pub fn name(self) -> &'static str {
        self.fact().name
    }
    /// The type of that name.
    ///
    /// ```
    /// use semantics::program_type::ProgramType;
    /// assert_eq!(ProgramType::from_name("sched_cls").map(ProgramType::id), Some(3));
    /// ```
    pub fn from_name(name: &str) -> Option<ProgramType> {
        ProgramType::ALL.into_iter().find(|t| t.name() == name)
    }
    /// The type that an ELF section of this name stands for; see [`from_section`], which knows more of it.
    pub fn from_section(section: &str) -> Option<ProgramType> {
        from_section(section).map(|section| section.program_type)
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
    /// Whose declaration it is.
    pub program_type: ProgramType,
    /// Name of the context's structure.
    pub context: &'static str,
    /// Bytes of the context.
    pub context_len: u32,
    /// Fields of the context, ascending.
    pub fields: &'static [ContextField],
    /// Whether packet bytes may be written through packet pointers (`may_access_direct_pkt_data`).
    pub packet_write: bool,
    /// What a program that does not say so is attached to (`bpf_prog_load_fixup_attach_type`).
    pub attach: Option<AttachType>,
}

/// A place in a context that an input can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The field.
    pub field: &'static ContextField,
    /// Bytes from the start of the context.
    pub offset: u32,
    /// Bytes that are set.
    pub len: u32,
}

impl Declaration {
    pub(crate) const fn new(
        program_type: ProgramType,
        context_len: u32,
        fields: &'static [ContextField],
    ) -> Declaration {
        let context = program_type.fact().context;
        Declaration { program_type, context, context_len, fields, packet_write: false, attach: None }
    }
    pub(crate) const fn writes_packets(mut self) -> Declaration {
        self.packet_write = true;
        self
    }
    pub(crate) const fn by_default(mut self, attach: AttachType) -> Declaration {
        self.attach = Some(attach);
        self
    }

    /// The field that an access of `size` at byte `offset` touches, if the declaration permits it to a program with this
    /// attach type.
    ///
    /// ```
    /// use semantics::insn::Size;
    /// use semantics::program_type::{AttachType, ProgramType};
    /// let xdp = ProgramType::Xdp.declaration();
    /// assert_eq!(xdp.access(None, 0, Size::W, false).unwrap().name, "data");
    /// assert!(xdp.access(None, 0, Size::H, false).is_none());
    /// assert!(xdp.access(None, 20, Size::W, false).is_none());
    /// assert!(xdp.access(Some(AttachType::XdpDevmap), 20, Size::W, false).is_some());
    /// ```
    pub fn access(
        &self,
        attach: Option<AttachType>,
        offset: i64,
        size: Size,
        write: bool,
    ) -> Option<&'static ContextField> {
        let offset = u32::try_from(offset).ok().filter(|offset| offset % size.bytes() == 0)?;
        let attach = attach.or(self.attach);
        self.fields.iter().find(|field| field.permits(attach, offset, size, write))
    }
    /// Whether the context leads to a `struct bpf_flow_keys`.
    pub fn has_flow_keys(&self) -> bool {
        self.program_type == ProgramType::FlowDissector
    }
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static ContextField> {
        self.fields.iter().find(|f| f.name == name)
    }
    /// The place that an input sets with this name: that of a field, or `FIELD[INDEX]` for an element of an array.
    ///
    /// ```
    /// use semantics::program_type::ProgramType;
    /// let arguments = ProgramType::RawTracepoint.declaration();
    /// assert_eq!(arguments.place("args[2]").map(|place| (place.offset, place.len)), Some((16, 8)));
    /// assert_eq!(arguments.place("args[12]"), None);
    /// ```
    pub fn place(&self, name: &str) -> Option<Place> {
        if let Some(field) = self.field(name) {
            return field.is_settable().then_some(Place { field, offset: field.offset, len: field.len });
        }
        let (array, index) = name.strip_suffix(']')?.split_once('[')?;
        let field = self.field(array).filter(|field| field.is_settable() && field.element < field.len)?;
        let index: u32 = index.parse().ok()?;
        (index < field.len / field.element).then(|| Place {
            field,
            offset: field.offset + index * field.element,
            len: field.element,
        })
    }
    /// The results that the verifier permits to a program with this attach type; `None` if all are.
    pub fn results(&self, attach: Option<AttachType>) -> Option<&'static Results> {
        let attach = attach.or(self.attach);
        self.program_type.fact().results.iter().find(|results| results.attach.contains(attach))
    }
}
