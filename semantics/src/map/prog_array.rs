//! `BPF_MAP_TYPE_PROG_ARRAY`: the programs that tail calls lead to (`kernel/bpf/arraymap.c`).
//!
//! User space stores a file descriptor and the kernel holds the program; here a program is the number of a part: 0 is the
//! program itself, the others are its targets ([`Program::targets`](crate::program::Program::targets)). One that there is not
//! leads nowhere.

use super::MapDef;
pub(super) use super::held::check;
use super::held::{FdArray, Kind};

pub(super) fn create(def: &MapDef) -> FdArray {
    FdArray::create(def, Kind::Program)
}
