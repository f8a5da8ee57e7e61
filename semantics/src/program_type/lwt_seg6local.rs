//! `BPF_PROG_TYPE_LWT_SEG6LOCAL`: is an action of IPv6 segment routing; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::sk_buff;
use super::{Declaration, ProgramType};

/// `lwt_is_valid_access`; the packet may be read.
pub(super) static DECLARATION: Declaration =
    Declaration::new(ProgramType::LwtSeg6local, SK_BUFF_LEN, &const { sk_buff::lwt().done() });
