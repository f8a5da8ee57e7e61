//! Objects of the kernel that helpers take and return, by their types (kernel: `btf_struct_ids_match`, `*_btf_ids`).

use super::prototype::{Demand, Prototype};
use crate::access::object;
use crate::refusal::{CallRefusal, Stop, Unsupported};
use crate::state::{Flags, Kind, RegState};
use semantics::helper::{Arg, ArgKind};
use semantics::insn::Reg;

/// Arguments whose objects do not follow from the prototype of the helper: the helper, the argument counted from 1, and the
/// structure.
const ARGUMENTS: [(u32, u8, &str); 11] = [
    (id!("skb_output"), 1, "sk_buff"),
    (id!("xdp_output"), 1, "xdp_buff"),
    (id!("xdp_get_buff_len"), 1, "xdp_buff"),
    (id!("sk_storage_get"), 2, "sock"),
    (id!("sk_storage_delete"), 2, "sock"),
    (id!("inode_storage_get"), 2, "inode"),
    (id!("inode_storage_delete"), 2, "inode"),
    (id!("tcp_send_ack"), 1, "tcp_sock"),
    (id!("d_path"), 1, "path"),
    (id!("bprm_opts_set"), 1, "linux_binprm"),
    (id!("sock_from_file"), 1, "file"),
];

/// Results that are objects.
const RESULTS: [(u32, &str); 10] = [
    (id!("get_current_task_btf"), "task_struct"),
    (id!("task_pt_regs"), "pt_regs"),
    (id!("sock_from_file"), "socket"),
    (id!("skc_to_tcp6_sock"), "tcp6_sock"),
    (id!("skc_to_tcp_sock"), "tcp_sock"),
    (id!("skc_to_tcp_timewait_sock"), "tcp_timewait_sock"),
    (id!("skc_to_tcp_request_sock"), "tcp_request_sock"),
    (id!("skc_to_udp6_sock"), "udp6_sock"),
    (id!("skc_to_unix_sock"), "unix_sock"),
    (id!("skc_to_mptcp_sock"), "mptcp_sock"),
];

/// The structure that an argument has to be.
fn expected(prototype: &Prototype, reg: Reg, demand: Demand) -> Option<&'static str> {
    if demand.kind == ArgKind::BtfIdSockCommon {
        return Some("sock_common");
    }
    let fact = prototype.fact;
    let listed = ARGUMENTS.iter().find(|(helper, number, _)| *helper == fact.id && *number == reg.number());
    let declared = || {
        let arg = fact.args.get(usize::from(reg.number()) - 1)?;
        arg.c_type.strip_prefix("struct ")?.strip_suffix(" *")
    };
    listed.map(|(.., name)| *name).or_else(declared)
}

/// Whether the object is what the helper takes.
pub(super) fn check_argument(prototype: &Prototype, reg: Reg, held: &RegState, demand: Demand) -> Result<(), Stop> {
    let unsupported = || Unsupported::Argument { name: prototype.fact.name, number: reg.number() };
    let expected = expected(prototype, reg, demand).ok_or_else(unsupported)?;
    let number = object::number(expected).ok_or_else(unsupported)?;
    // What is given back has to be of the type itself, but for sockets of any sort.
    let is_strict = demand.is(Arg::RELEASE) && prototype.fact.id != id!("sk_release");
    let fits = held.off == 0 && if is_strict { held.what == number } else { object::begins_with(held.what, number) };
    if fits {
        return Ok(());
    }
    Err(CallRefusal::Object { reg, object: object::name(held.what), expected }.into())
}

/// The object that a helper returns.
pub(super) fn result(prototype: &Prototype, flags: Flags) -> Result<RegState, Unsupported> {
    let unsupported = || Unsupported::Result { name: prototype.fact.name };
    let (_, name) = RESULTS.iter().find(|(helper, _)| *helper == prototype.fact.id).ok_or_else(unsupported)?;
    let what = object::number(name).ok_or_else(unsupported)?;
    Ok(RegState { flags, what, ..RegState::pointer(Kind::BtfId) })
}
