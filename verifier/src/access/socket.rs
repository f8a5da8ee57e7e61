//! Sockets: which fields of `struct bpf_sock` and its kin may be read (kernel: `check_sock_access`).

use super::Access;
use crate::refusal::{MemoryRefusal, Refusal};
use crate::state::Kind;
use semantics::insn::Size;
use semantics::program_type::context::layout::SOCK;
use semantics::program_type::context::{FieldAccess, row};

/// A field of a socket: where it begins, how many bytes it has, and how it may be read.
type Field = (u32, u32, FieldAccess);

const fn field(name: &str, read: FieldAccess) -> Field {
    let (_, offset, len, _) = row(&SOCK, name);
    (offset, len, read)
}

/// Where the part of `struct bpf_sock` begins that only full sockets have read rights to, and where it ends.
const FULL_ONLY: (u32, u32) = (row(&SOCK, "type").1, row(&SOCK, "priority").1 + 4);

/// `bpf_sock_is_valid_access`: what is not said is read as words.
const FIELDS: [Field; 13] = {
    let (word, start) = (FieldAccess::Exact(Size::W), FieldAccess::Start(Size::W));
    let (bytes, port) = (FieldAccess::UpTo(Size::W), row(&SOCK, "dst_port").1);
    [
        field("bound_dev_if", word),
        field("family", start),
        field("type", start),
        field("protocol", start),
        field("mark", word),
        field("priority", word),
        field("src_ip4", bytes),
        field("src_ip6", bytes),
        field("src_port", start),
        // The port, with the padding behind it only as a word.
        (port, 2, FieldAccess::UpTo(Size::H)),
        (port, 4, word),
        field("dst_ip4", bytes),
        field("dst_ip6", bytes),
    ]
};
const STATE: [Field; 2] =
    [field("state", FieldAccess::Start(Size::W)), field("rx_queue_mapping", FieldAccess::Start(Size::W))];

/// Bytes of a `struct bpf_tcp_sock`, and where its fields of 8 bytes lie.
const TCP_SOCK_LEN: u32 = 112;
const TCP_SOCK_WIDE: [u32; 2] = [80, 88];
/// Bytes of a `struct bpf_xdp_sock`.
const XDP_SOCK_LEN: u32 = 4;

/// A load or store.
pub(super) fn check(access: &Access) -> Result<(), Refusal> {
    let Access { reg, ref base, at, size, write, .. } = *access;
    if write {
        return Err(MemoryRefusal::NotWritable { reg, kind: base.ty() }.into());
    }
    if (base.var.smin as i64) < 0 {
        return Err(Refusal::NegativeIndex { reg });
    }
    let off = u32::try_from(at).ok().filter(|off| off % size.bytes() == 0);
    if off.is_some_and(|off| is_readable(base.kind, off, size)) {
        return Ok(());
    }
    Err(MemoryRefusal::Socket { reg, kind: base.ty(), off: at, size: size.bytes() }.into())
}

fn is_readable(kind: Kind, off: u32, size: Size) -> bool {
    match kind {
        Kind::SockCommon if (FULL_ONLY.0..FULL_ONLY.1).contains(&off) => false,
        Kind::Socket | Kind::SockCommon => FIELDS.iter().chain(&STATE).any(|(start, len, read)| {
            let inside = off.wrapping_sub(*start);
            inside < *len && size.bytes() <= len - inside && read.permits(inside, size)
        }),
        Kind::TcpSock if TCP_SOCK_WIDE.contains(&off) => size == Size::Dw,
        Kind::TcpSock => off < TCP_SOCK_LEN && size == Size::W,
        Kind::XdpSock => off < XDP_SOCK_LEN && size == Size::W,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_narrow_addresses_and_whole_numbers() {
        let full = |off, size| is_readable(Kind::Socket, off, size);
        assert!(
            full(24, Size::B) && full(29, Size::B) && !full(46, Size::H),
            "addresses, and the source port at its first byte"
        );
        assert!(full(4, Size::B) && !full(5, Size::B), "numbers at their first byte");
        assert!(full(0, Size::W) && !full(0, Size::B), "the device as a word");
        assert!(
            full(48, Size::W) && full(48, Size::H) && full(49, Size::B) && !full(50, Size::H) && !full(50, Size::B)
        );
        assert!(full(72, Size::W) && full(76, Size::B) && !full(80, Size::W), "the end");
        let common = |off| is_readable(Kind::SockCommon, off, Size::W);
        assert!(common(4) && !common(8) && !common(20) && common(24));
    }

    #[test]
    fn tcp_sockets_have_two_wide_fields() {
        let tcp = |off, size| is_readable(Kind::TcpSock, off, size);
        assert!(tcp(80, Size::Dw) && !tcp(80, Size::W) && tcp(88, Size::Dw) && tcp(108, Size::W));
        assert!(!tcp(112, Size::W) && !tcp(0, Size::H) && tcp(84, Size::W));
        assert!(is_readable(Kind::XdpSock, 0, Size::W) && !is_readable(Kind::XdpSock, 4, Size::W));
    }
}
