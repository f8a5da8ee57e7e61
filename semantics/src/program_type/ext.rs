//! `BPF_PROG_TYPE_EXT`: replaces a global function of another program, whose context it has.

use super::context::args;
use super::{Declaration, ProgramType};

/// Nothing of it can be known without the target.
pub(super) static DECLARATION: Declaration =
    Declaration::new(ProgramType::Ext, args::TARGET_LEN, &const { [args::target()] });
