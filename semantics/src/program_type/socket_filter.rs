//! `BPF_PROG_TYPE_SOCKET_FILTER`: says how many bytes of a packet a socket keeps; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::sk_buff;
use super::{Declaration, ProgramType};

/// `sk_filter_is_valid_access`: no packet pointers, and nothing of the queueing layer or of the addresses.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SocketFilter,
    SK_BUFF_LEN,
    &const {
        sk_buff::fields()
            .deny(&["tc_classid", "data", "data_meta", "data_end", "tstamp", "wire_len", "hwtstamp"])
            .deny(sk_buff::SOCKET)
            .done()
    },
);
