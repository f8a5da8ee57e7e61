//! `BPF_PROG_TYPE_SK_LOOKUP`: selects the socket that takes a connection or a datagram; its context is `struct bpf_sk_lookup`.

use super::context::layout::{Row, SK_LOOKUP, SK_LOOKUP_LEN};
use super::context::{FieldAccess, FieldKind, Fields, row, with};
use super::{Declaration, ProgramType};
use crate::insn::Size;

const FIELDS: usize = SK_LOOKUP.len();

/// The port with the padding behind it: it once had 4 bytes, and may still be read so, and the padding, too.
const WIDE_PORT: Row = ("remote_port, wide", row(&SK_LOOKUP, "remote_port").1, 4, 4);

/// `sk_lookup_is_valid_access`: read-only, in any size.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::SkLookup,
    SK_LOOKUP_LEN,
    &const {
        Fields::new(&with::<FIELDS, { FIELDS + 1 }>(&SK_LOOKUP, WIDE_PORT), FieldAccess::UpTo(Size::W))
            .read(&["cookie"], FieldAccess::Never)
            .read(&["remote_port"], FieldAccess::UpTo(Size::H))
            .pointer("sk", Size::Dw, FieldKind::SockOrNull)
            .shared(&["cookie", "sk", "remote_port", WIDE_PORT.0])
            .done()
    },
);
