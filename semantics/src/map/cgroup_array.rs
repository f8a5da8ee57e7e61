//! `BPF_MAP_TYPE_CGROUP_ARRAY`: cgroups that packets and tasks are tested against (`kernel/bpf/arraymap.c`).

use super::MapDef;
pub(super) use super::held::check;
use super::held::{FdArray, Kind};

pub(super) fn create(def: &MapDef) -> FdArray {
    FdArray::create(def, Kind::Cgroup)
}
