//! `BPF_PROG_TYPE_LIRC_MODE2`: decodes what an infrared receiver sees; its context is one number.

use super::context::layout::{LIRC, LIRC_LEN};
use super::context::{FieldAccess, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `lirc_mode2_is_valid_access`: the whole number.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::LircMode2,
    LIRC_LEN,
    &const { Fields::new(&LIRC, FieldAccess::Exact(Size::W)).done() },
);
