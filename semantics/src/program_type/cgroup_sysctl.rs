//! `BPF_PROG_TYPE_CGROUP_SYSCTL`: permits and changes accesses to sysctl files; its context is `struct bpf_sysctl`.

use super::context::layout::{SYSCTL, SYSCTL_LEN};
use super::context::{FieldAccess, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `sysctl_is_valid_access`: reads in any size; the position may be written.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupSysctl,
    SYSCTL_LEN,
    &const { Fields::new(&SYSCTL, FieldAccess::UpTo(Size::W)).write(&["file_pos"], FieldAccess::Exact(Size::W)).done() },
);
