//! Which registers fit which argument (kernel: `compatible_reg_types`, `check_reg_type`).

use crate::dialect::Dialect;
use crate::state::{Flags, Kind, Type};
use semantics::helper::ArgKind;

const fn ty(kind: Kind) -> Type {
    Type { kind, flags: Flags::NONE }
}

const fn flagged(kind: Kind, flags: Flags) -> Type {
    Type { kind, flags }
}

const TRUSTED: Type = flagged(Kind::BtfId, Flags::TRUSTED);

/// What keys and values may lie in, in 6.1; numbers that a helper writes, until they became memory like other.
const ELEMENT: &[Type] = &[ty(Kind::Fp), ty(Kind::Packet), ty(Kind::PacketMeta), ty(Kind::MapKey), ty(Kind::MapValue)];

const MEMORY_6_1: &[Type] = &[
    ty(Kind::Fp),
    ty(Kind::Packet),
    ty(Kind::PacketMeta),
    ty(Kind::MapKey),
    ty(Kind::MapValue),
    ty(Kind::Mem),
    flagged(Kind::Mem, Flags::ALLOC),
    ty(Kind::Buf),
];

const MEMORY: &[Type] = &[
    ty(Kind::Fp),
    ty(Kind::Packet),
    ty(Kind::PacketMeta),
    ty(Kind::MapKey),
    ty(Kind::MapValue),
    ty(Kind::Mem),
    flagged(Kind::Mem, Flags::RINGBUF),
    ty(Kind::Buf),
    TRUSTED,
];

/// The context passes at first (since 7.0).
const MEMORY_7_0: &[Type] = &[
    ty(Kind::Fp),
    ty(Kind::Packet),
    ty(Kind::PacketMeta),
    ty(Kind::MapKey),
    ty(Kind::MapValue),
    ty(Kind::Mem),
    flagged(Kind::Mem, Flags::RINGBUF),
    ty(Kind::Buf),
    TRUSTED,
    ty(Kind::Ctx),
];

const SOCKETS: &[Type] = &[ty(Kind::SockCommon), ty(Kind::Socket), ty(Kind::TcpSock), ty(Kind::XdpSock)];

const SOCKETS_TYPED_6_1: &[Type] =
    &[ty(Kind::SockCommon), ty(Kind::Socket), ty(Kind::TcpSock), ty(Kind::XdpSock), ty(Kind::BtfId)];

const SOCKETS_TYPED: &[Type] =
    &[ty(Kind::SockCommon), ty(Kind::Socket), ty(Kind::TcpSock), ty(Kind::XdpSock), ty(Kind::BtfId), TRUSTED];

const OBJECT: &[Type] = &[ty(Kind::BtfId), TRUSTED, flagged(Kind::BtfId, Flags::RCU)];

const PERCPU: &[Type] = &[
    flagged(Kind::BtfId, Flags::PERCPU),
    flagged(Kind::BtfId, Flags::PERCPU.with(Flags::RCU)),
    flagged(Kind::BtfId, Flags::PERCPU.with(Flags::TRUSTED)),
];

/// A value of a map, or an object that the program allocated itself: there are none here, but messages name them.
const MEMBER: &[Type] = &[ty(Kind::MapValue), flagged(Kind::BtfId, Flags::LOCAL)];

const KPTR_7_0: &[Type] = &[
    ty(Kind::MapValue),
    flagged(Kind::BtfId, Flags::LOCAL),
    flagged(Kind::BtfId, Flags::LOCAL),
    flagged(Kind::BtfId, Flags::LOCAL.with(Flags::RCU)),
];

/// The types that a register may have for an argument of this kind; empty for arguments that no register is looked at for.
pub(super) fn compatible(kind: ArgKind, dialect: &Dialect) -> &'static [Type] {
    let early = dialect.early_prototypes;
    match kind {
        ArgKind::Anything | ArgKind::Undeclared => const { &[] },
        ArgKind::MapKey | ArgKind::MapValue if early => ELEMENT,
        ArgKind::PtrToInt | ArgKind::PtrToLong => ELEMENT,
        ArgKind::Mem if early => MEMORY_6_1,
        ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem if dialect.context_as_memory => MEMORY_7_0,
        ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem => MEMORY,
        ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSizeOrZero => const { &[ty(Kind::Scalar)] },
        ArgKind::ConstMapPtr => const { &[ty(Kind::MapPtr)] },
        ArgKind::Ctx => const { &[ty(Kind::Ctx)] },
        ArgKind::SockCommon => SOCKETS,
        ArgKind::BtfIdSockCommon if early => SOCKETS_TYPED_6_1,
        ArgKind::BtfIdSockCommon => SOCKETS_TYPED,
        ArgKind::Socket => const { &[ty(Kind::Socket)] },
        ArgKind::BtfId if early => const { &[ty(Kind::BtfId)] },
        ArgKind::BtfId => OBJECT,
        ArgKind::PercpuBtfId if early => const { &[flagged(Kind::BtfId, Flags::PERCPU)] },
        ArgKind::PercpuBtfId => PERCPU,
        ArgKind::SpinLock if !early => MEMBER,
        ArgKind::Kptr if dialect.context_as_memory => KPTR_7_0,
        ArgKind::Kptr if dialect.writes_declared && !early => MEMBER,
        ArgKind::SpinLock | ArgKind::ConstStr | ArgKind::Timer | ArgKind::Kptr => const { &[ty(Kind::MapValue)] },
        ArgKind::RingbufMem if early => const { &[flagged(Kind::Mem, Flags::ALLOC)] },
        ArgKind::RingbufMem => const { &[flagged(Kind::Mem, Flags::RINGBUF)] },
        ArgKind::Func => const { &[ty(Kind::Func)] },
        ArgKind::Stack => const { &[ty(Kind::Fp)] },
        ArgKind::Dynptr => const { &[ty(Kind::Fp), ty(Kind::Dynptr)] },
    }
}
