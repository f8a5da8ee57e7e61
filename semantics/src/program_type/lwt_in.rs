//! `BPF_PROG_TYPE_LWT_IN`: runs on packets that are received through a light-weight tunnel; its context is `struct __sk_buff`.

use super::context::layout::SK_BUFF_LEN;
use super::context::sk_buff;
use super::{Declaration, ProgramType};

/// `lwt_is_valid_access`; the packet may be read.
pub(super) static DECLARATION: Declaration =
    Declaration::new(ProgramType::LwtIn, SK_BUFF_LEN, &const { sk_buff::lwt().done() });
