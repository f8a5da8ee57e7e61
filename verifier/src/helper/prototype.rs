//! What a helper demands of programs of one type, in one version: the facts, and where types and versions differ (kernel:
//! the `*_func_proto` functions).

use crate::dialect::Dialect;
use semantics::helper::{Arg, ArgKind, Fact};
use semantics::program_type::ProgramType;

/// A helper as a program of one type sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prototype {
    /// The facts.
    pub fact: &'static Fact,
    /// The arguments that are looked at.
    args: [Demand; 5],
    len: usize,
    /// Whether it takes packet pointers as memory.
    pub packet_access: bool,
    /// Open to GPL-compatible programs only.
    pub gpl_only: bool,
}

/// What is demanded of an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// What it has to be.
    pub kind: ArgKind,
    /// `Arg::RDONLY` and so on.
    modifiers: u8,
    /// Whether the helper writes the memory (`MEM_WRITE`).
    pub write: bool,
    /// Of memory whose size follows from the prototype: bytes.
    pub size: u32,
    /// Whether it has to lie at a multiple of its size (`MEM_ALIGNED`).
    pub aligned: bool,
}

impl Demand {
    const NONE: Demand = Demand { kind: ArgKind::Undeclared, modifiers: 0, write: false, size: 0, aligned: false };

    const fn new(kind: ArgKind, modifiers: u8) -> Demand {
        Demand { kind, modifiers, write: modifiers & Arg::UNINIT != 0, size: 0, aligned: false }
    }
    /// A register of this kind, whatever else is true of it.
    pub const fn of(kind: ArgKind) -> Demand {
        Demand::new(kind, 0)
    }
    /// Whether it has this modifier.
    pub fn is(self, modifier: u8) -> bool {
        self.modifiers & modifier != 0
    }
}

/// Bytes of `struct iphdr`, `struct ipv6hdr` and `struct tcphdr`.
const HEADERS: [(&str, u32); 3] = [("struct iphdr *", 20), ("struct ipv6hdr *", 40), ("struct tcphdr *", 20)];

const fn bits<const N: usize>(types: [ProgramType; N]) -> u64 {
    let (mut all, mut at) = (0, 0);
    while at < N {
        all |= 1 << types[at].id();
        at += 1;
    }
    all
}

/// A helper that has other arguments for programs of these types.
struct Variant {
    id: u32,
    program_types: u64,
    args: &'static [(ArgKind, u8)],
}

use ArgKind as A;

/// Types that trace whatever functions the kernel has.
const TRACING: u64 = bits([ProgramType::Tracing, ProgramType::Lsm, ProgramType::Syscall]);
const RAW: u64 = TRACING | bits([ProgramType::RawTracepoint, ProgramType::RawTracepointWritable]);
const SOCKET_OPTIONS: u64 =
    bits([ProgramType::Tracing, ProgramType::Lsm, ProgramType::CgroupSockopt, ProgramType::StructOps]);

const VARIANTS: [Variant; 10] = [
    Variant {
        id: id!("get_cgroup_classid"),
        program_types: bits([
            ProgramType::CgroupSock,
            ProgramType::CgroupSockAddr,
            ProgramType::SkMsg,
            ProgramType::CgroupDevice,
            ProgramType::CgroupSysctl,
            ProgramType::CgroupSockopt,
        ]),
        args: &[],
    },
    Variant {
        id: id!("get_socket_cookie"),
        program_types: TRACING | bits([ProgramType::SkReuseport]),
        args: &[(A::BtfIdSockCommon, Arg::OR_NULL)],
    },
    Variant {
        id: id!("setsockopt"),
        program_types: SOCKET_OPTIONS,
        args: &[(A::BtfIdSockCommon, 0), (A::Anything, 0), (A::Anything, 0), (A::Mem, Arg::RDONLY), (A::ConstSize, 0)],
    },
    Variant {
        id: id!("getsockopt"),
        program_types: SOCKET_OPTIONS,
        args: &[(A::BtfIdSockCommon, 0), (A::Anything, 0), (A::Anything, 0), (A::Mem, Arg::UNINIT), (A::ConstSize, 0)],
    },
    Variant {
        id: id!("get_stack"),
        program_types: RAW,
        args: &[(A::Ctx, 0), (A::Mem, Arg::RDONLY), (A::ConstSizeOrZero, 0), (A::Anything, 0)],
    },
    Variant {
        id: id!("sk_storage_get"),
        program_types: bits([ProgramType::CgroupSock]),
        args: &[(A::ConstMapPtr, 0), (A::Ctx, 0), (A::MapValue, Arg::OR_NULL), (A::Anything, 0)],
    },
    Variant {
        id: id!("sk_storage_get"),
        program_types: bits([ProgramType::Tracing]),
        args: &[(A::ConstMapPtr, 0), (A::BtfId, Arg::OR_NULL), (A::MapValue, Arg::OR_NULL), (A::Anything, 0)],
    },
    Variant {
        id: id!("sk_storage_delete"),
        program_types: bits([ProgramType::Tracing]),
        args: &[(A::ConstMapPtr, 0), (A::BtfId, Arg::OR_NULL)],
    },
    Variant {
        id: id!("sk_assign"),
        program_types: bits([ProgramType::SkLookup]),
        args: &[(A::Ctx, 0), (A::Socket, Arg::OR_NULL), (A::Anything, 0)],
    },
    Variant { id: id!("xdp_get_buff_len"), program_types: TRACING, args: &[(A::BtfId, 0)] },
];

/// Where Linux 6.1 demands something else of an argument, counted from 1.
const BEFORE_6_8: [(u32, usize, ArgKind, u8); 11] = [
    (id!("inode_storage_get"), 2, A::BtfId, 0),
    (id!("inode_storage_delete"), 2, A::BtfId, 0),
    (id!("task_storage_get"), 2, A::BtfId, 0),
    (id!("task_storage_delete"), 2, A::BtfId, 0),
    (id!("strncmp"), 1, A::Mem, 0),
    (id!("xdp_store_bytes"), 3, A::Mem, Arg::RDONLY),
    (id!("dynptr_read"), 3, A::Dynptr, 0),
    (id!("dynptr_write"), 1, A::Dynptr, 0),
    (id!("dynptr_data"), 1, A::Dynptr, 0),
    (id!("tcp_raw_gen_syncookie_ipv4"), 3, A::ConstSize, 0),
    (id!("tcp_raw_gen_syncookie_ipv6"), 3, A::ConstSize, 0),
];

/// Helpers that 6.1 opens to any license, and later versions to GPL-compatible ones.
const ONCE_FREE: [u32; 7] = [
    id!("rc_repeat"),
    id!("rc_keydown"),
    id!("tcp_gen_syncookie"),
    id!("tcp_raw_gen_syncookie_ipv4"),
    id!("tcp_raw_gen_syncookie_ipv6"),
    id!("tcp_raw_check_syncookie_ipv4"),
    id!("tcp_raw_check_syncookie_ipv6"),
];

impl Prototype {
    /// The helper for programs of this type.
    pub fn new(fact: &'static Fact, program_type: ProgramType, dialect: &Dialect) -> Prototype {
        let mut prototype = Prototype {
            fact,
            args: [Demand::NONE; 5],
            len: 0,
            packet_access: fact.packet_access(),
            gpl_only: fact.gpl_only(),
        };
        let variant = VARIANTS
            .iter()
            .find(|variant| variant.id == fact.id && variant.program_types >> program_type.id() & 1 != 0);
        if let Some(variant) = variant {
            prototype.len = variant.args.len();
            for (demand, (kind, modifiers)) in prototype.args.iter_mut().zip(variant.args) {
                *demand = Demand::new(*kind, *modifiers);
            }
        } else {
            prototype.len = fact.args.len();
            for (demand, arg) in prototype.args.iter_mut().zip(fact.args) {
                *demand = declared(arg, dialect);
            }
        }
        if dialect.early_prototypes {
            prototype.turn_back();
        }
        // Sockets are looked up by an address that the program gives.
        let is_lookup = [id!("sk_lookup_tcp"), id!("sk_lookup_udp"), id!("skc_lookup_tcp")].contains(&fact.id);
        prototype.packet_access &= !(is_lookup && program_type == ProgramType::CgroupSockAddr);
        prototype.gpl_only &= !(fact.id == id!("get_stackid") && program_type == ProgramType::PerfEvent);
        prototype
    }

    /// To what Linux 6.1 demands.
    fn turn_back(&mut self) {
        let id = self.fact.id;
        for (_, number, kind, modifiers) in BEFORE_6_8.iter().filter(|(of, ..)| *of == id) {
            self.args[number - 1] = Demand::new(*kind, *modifiers);
        }
        if id == id!("load_hdr_opt") {
            self.args[1].write = true;
        }
        self.gpl_only &= !ONCE_FREE.contains(&id);
    }

    /// The arguments that are looked at.
    pub fn args(&self) -> &[Demand] {
        &self.args[..self.len]
    }
}

fn declared(arg: &Arg, dialect: &Dialect) -> Demand {
    let demand = Demand::new(arg.kind, arg.modifiers);
    let size = match arg.kind {
        ArgKind::PtrToInt => 4,
        ArgKind::PtrToLong => 8,
        _ if demand.is(Arg::FIXED_SIZE) => {
            HEADERS.iter().find(|(c_type, _)| *c_type == arg.c_type).map_or(0, |(_, len)| *len)
        }
        _ => 0,
    };
    let is_number = matches!(arg.kind, ArgKind::PtrToInt | ArgKind::PtrToLong);
    if is_number && dialect.numbers_written {
        let modifiers = Arg::UNINIT | Arg::FIXED_SIZE;
        return Demand { size, aligned: true, ..Demand::new(ArgKind::Mem, modifiers) };
    }
    Demand { size, aligned: is_number, ..demand }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::helper::FACTS;

    fn prototype(name: &str, program_type: ProgramType, dialect: Dialect) -> Prototype {
        let fact = FACTS.iter().find(|fact| fact.name == name).unwrap();
        Prototype::new(fact, program_type, &dialect)
    }

    #[test]
    fn every_size_follows_memory_and_every_fixed_size_is_known() {
        for dialect in Dialect::ALL {
            for fact in &FACTS {
                for program_type in ProgramType::ALL {
                    let prototype = Prototype::new(fact, program_type, &dialect);
                    let args = prototype.args();
                    for (at, demand) in args.iter().enumerate() {
                        if matches!(demand.kind, ArgKind::ConstSize | ArgKind::ConstSizeOrZero) {
                            assert_eq!(args[at - 1].kind, ArgKind::Mem, "{}", fact.name);
                        }
                        assert!(!demand.is(Arg::FIXED_SIZE) || demand.size > 0, "{}", fact.name);
                    }
                }
            }
        }
    }

    #[test]
    fn types_and_versions_differ() {
        let kinds =
            |name, of, dialect| prototype(name, of, dialect).args().iter().map(|arg| arg.kind).collect::<Vec<_>>();
        assert_eq!(kinds("get_cgroup_classid", ProgramType::SkMsg, Dialect::V6_1), []);
        assert_eq!(kinds("get_cgroup_classid", ProgramType::SchedCls, Dialect::V6_1), [ArgKind::Ctx]);
        assert_eq!(kinds("check_mtu", ProgramType::Xdp, Dialect::V6_8)[2], ArgKind::PtrToInt);
        assert_eq!(kinds("check_mtu", ProgramType::Xdp, Dialect::V6_1)[2], ArgKind::Mem);
        assert!(prototype("rc_repeat", ProgramType::LircMode2, Dialect::V6_8).gpl_only);
        assert!(!prototype("rc_repeat", ProgramType::LircMode2, Dialect::V6_1).gpl_only);
    }
}
