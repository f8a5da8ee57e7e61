//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY`: perf events, one for each CPU as a rule (`kernel/bpf/arraymap.c`).
//!
//! User space cannot read them. An event leaves the array when the file is closed through which it came there, unless
//! `BPF_F_PRESERVE_ELEMS` says otherwise: here no file is closed during a run.

use super::MapDef;
pub(super) use super::held::check;
use super::held::{FdArray, Kind};

pub(super) fn create(def: &MapDef) -> FdArray {
    FdArray::create(def, Kind::PerfEvent)
}
