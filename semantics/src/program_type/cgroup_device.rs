//! `BPF_PROG_TYPE_CGROUP_DEVICE`: permits or forbids access to device files; its context is `struct bpf_cgroup_dev_ctx`.

use super::context::layout::{CGROUP_DEV_CTX, CGROUP_DEV_CTX_LEN};
use super::context::{FieldAccess, Fields};
use super::{Declaration, ProgramType};
use crate::insn::Size;

/// `cgroup_dev_is_valid_access`: read-only, the access in any size.
pub(super) static DECLARATION: Declaration = Declaration::new(
    ProgramType::CgroupDevice,
    CGROUP_DEV_CTX_LEN,
    &const {
        Fields::new(&CGROUP_DEV_CTX, FieldAccess::Exact(Size::W))
            .read(&["access_type"], FieldAccess::UpTo(Size::W))
            .done()
    },
);
