//! What a run of the model is as `BPF_PROG_TEST_RUN` of a kernel, and what none of its runs can be
//! (`net/bpf/test_run.c`).

use semantics::program_type::ProgramType;
use semantics::world::Input;
use wire::Run;

/// Bytes of an Ethernet header: the shortest packet of a test run.
pub const ETH_HLEN: usize = 14;
/// Bytes of the longest packet of a test run that all kernels take: a page without what a socket buffer needs.
pub const PACKET_MAX: usize = 4096 - 64 - 320;

/// Why the kernel cannot run a program on an input as the model does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotRun {
    /// The type has no test run.
    #[error("the kernel has no test run for programs of type {0}")]
    NoTestRun(ProgramType),
    /// A test run of this type calls the function that the program is attached to.
    #[error("a test run of a program of type {0} runs what it is attached to")]
    Attached(ProgramType),
    /// A packet without a link-layer header.
    #[error("a test run needs a packet of at least {ETH_HLEN} bytes, this one has {0}")]
    ShortPacket(usize),
    /// A packet whose link-layer header announces a network-layer header that is not whole.
    #[error("a test run needs the whole header of IP version {version}, this packet has {len} bytes")]
    ShortNetworkHeader {
        /// 4 or 6.
        version: u8,
        /// Bytes of the packet.
        len: usize,
    },
    /// More than the page that a test run copies it into.
    #[error("a test run takes packets of at most {PACKET_MAX} bytes, this one has {0}")]
    LongPacket(usize),
    /// The type has no packet.
    #[error("a test run of a program of type {0} has no packet")]
    Packet(ProgramType),
    /// A field that a test run sets by itself.
    #[error("a test run of a program of type {program_type} does not let the field {name} be set")]
    Field {
        /// The program type.
        program_type: ProgramType,
        /// The field.
        name: String,
    },
    /// Packet or devices are as a test run does not set them up.
    #[error("a test run does not set up such a packet, or such devices")]
    World,
}

/// What a test run takes beside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A packet, and a context of which these fields can be set (`convert___skb_to_skb`).
    PacketAnd(&'static [&'static str]),
    /// A context alone; how often it runs cannot be said.
    Context,
    /// Nothing that the program sees.
    Nothing,
}

const SKB_FIELDS: [&str; 10] =
    ["mark", "priority", "ingress_ifindex", "ifindex", "cb", "tstamp", "wire_len", "gso_segs", "gso_size", "hwtstamp"];
/// The device must be there, and have the queue.
const XDP_FIELDS: [&str; 2] = ["ingress_ifindex", "rx_queue_index"];

fn takes(program_type: ProgramType) -> Takes {
    use ProgramType as T;
    match program_type {
        T::Xdp => Takes::PacketAnd(&XDP_FIELDS),
        T::SocketFilter
        | T::SchedCls
        | T::SchedAct
        | T::CgroupSkb
        | T::LwtIn
        | T::LwtOut
        | T::LwtXmit
        | T::LwtSeg6local => Takes::PacketAnd(&SKB_FIELDS),
        T::FlowDissector | T::Netfilter => Takes::PacketAnd(&[]),
        T::SkLookup | T::RawTracepoint | T::Syscall => Takes::Context,
        _ => Takes::Nothing,
    }
}

/// Why a test run cannot show what the model does on this input; `None` if it can.
///
/// ```
/// use linux::job::{NotRun, not_run};
/// use semantics::{program_type::ProgramType, world::Input};
/// let input = Input { packet: vec![0; 13], ..Input::default() };
/// assert_eq!(not_run(ProgramType::Xdp, &input), Some(NotRun::ShortPacket(13)));
/// assert_eq!(not_run(ProgramType::Kprobe, &input), Some(NotRun::NoTestRun(ProgramType::Kprobe)));
/// ```
pub fn not_run(program_type: ProgramType, input: &Input) -> Option<NotRun> {
    if program_type.fact().test_run.is_none() {
        return Some(NotRun::NoTestRun(program_type));
    }
    if !input.world.is_as_in_test_run(program_type) {
        return Some(NotRun::World);
    }
    let len = input.packet.len();
    match takes(program_type) {
        Takes::Nothing => Some(NotRun::Attached(program_type)),
        Takes::Context if len > 0 => Some(NotRun::Packet(program_type)),
        Takes::PacketAnd(_) if len < ETH_HLEN => Some(NotRun::ShortPacket(len)),
        Takes::PacketAnd(_) if len > PACKET_MAX => Some(NotRun::LongPacket(len)),
        Takes::PacketAnd(fields) => {
            if let Some(version) = cut_header(program_type, &input.packet) {
                return Some(NotRun::ShortNetworkHeader { version, len });
            }
            let base = |name: &str| name.split('[').next().unwrap_or_default().to_owned();
            let name = input.context.iter().map(|(name, _)| name).find(|name| !fields.contains(&base(name).as_str()));
            name.map(|name| NotRun::Field { program_type, name: name.clone() })
        }
        Takes::Context => None,
    }
}

/// The version of IP whose header a socket buffer would begin with, and is too short for (`bpf_prog_test_run_skb`).
fn cut_header(program_type: ProgramType, packet: &[u8]) -> Option<u8> {
    if program_type.declaration().context != "__sk_buff" || program_type == ProgramType::FlowDissector {
        return None;
    }
    let (version, header) = match packet.get(12..ETH_HLEN)? {
        [0x08, 0x00] => (4, 20),
        [0x86, 0xdd] => (6, 40),
        _ => return None,
    };
    (packet.len() < ETH_HLEN + header).then_some(version)
}

/// The run that an input is, without elements of maps. What [`not_run`] gives a reason for is asked all the same: the kernel
/// says no.
pub(super) fn run(program_type: ProgramType, input: &Input) -> Run {
    let ctx = context(program_type, input);
    match takes(program_type) {
        // The length of the context says which arguments there are; of another length than 0 nothing else may be said.
        Takes::Context => Run { ctx, ..Run::default() },
        _ => Run { data: input.packet.clone(), ctx_out: ctx.len() as u32, ctx, repeat: 1, ..Run::default() },
    }
}

/// The bytes of the context with what the input states; none where a test run sets up the same by itself.
fn context(program_type: ProgramType, input: &Input) -> Vec<u8> {
    let takes_packet = matches!(takes(program_type), Takes::PacketAnd(_));
    let meta = if program_type == ProgramType::Xdp { input.world.xdp.meta } else { 0 };
    if takes_packet && input.context.is_empty() && meta == 0 {
        return Vec::new();
    }
    let declaration = program_type.declaration();
    let mut bytes = vec![0; declaration.context_len as usize];
    let mut set = |offset: u32, len: u32, value: u64| {
        let (at, len) = (offset as usize, len.min(8) as usize);
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    };
    for (name, value) in &input.context {
        if let Some(place) = declaration.place(name) {
            set(place.offset, place.len, *value);
        }
    }
    // Where metadata and packet end, in bytes from the first one (`xdp_convert_md_to_buff`).
    if program_type == ProgramType::Xdp
        && let (Some(data), Some(end)) = (declaration.field("data"), declaration.field("data_end"))
    {
        set(data.offset, data.len, u64::from(meta));
        set(end.offset, end.len, input.packet.len() as u64);
    }
    bytes
}
