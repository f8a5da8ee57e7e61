//! `BPF_MAP_TYPE_PROG_ARRAY`: the programs that tail calls lead to (kernel/bpf/arraymap.c).
//!
//! User space stores a file descriptor and the kernel holds the program; here a program is the number of a part: 0 is the
//! program itself, the others are its targets ([`Program::targets`](crate::program::Program::targets)).

use super::{Contents, Errno, MapDef, MapError, MapOps, NUMA_NODE, RDONLY, WRONLY, check_flags, refuse, update};
use crate::memory::Memory;

/// An array of programs.
#[derive(Debug)]
pub struct ProgArray {
    /// The part that each index holds.
    parts: Vec<Option<u32>>,
    /// What it holds from the start.
    initial: Vec<(u32, u32)>,
}

/// `fd_array_map_alloc_check`: keys and values of 4 bytes, at least one entry; programs neither read nor write it.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.max_entries == 0 || def.key_size != 4 || def.value_size != 4 {
        return refuse(def, Errno::Einval, "a program array has 4-byte keys, 4-byte values and at least 1 entry");
    }
    check_flags(def, NUMA_NODE | RDONLY | WRONLY)?;
    match &def.contents {
        Contents::Empty => Ok(()),
        Contents::Programs(programs) if programs.iter().all(|(index, _)| *index < def.max_entries) => Ok(()),
        _ => refuse(def, Errno::Einval, "what it holds from the start is no program under one of its indices"),
    }
}

impl ProgArray {
    pub(super) fn create(def: &MapDef) -> ProgArray {
        ProgArray { parts: vec![None; def.max_entries as usize], initial: Vec::new() }
    }
}

impl MapOps for ProgArray {
    /// Programs cannot look into it (`fd_array_map_lookup_elem`).
    fn lookup(&self, _: &[u8]) -> Option<u64> {
        None
    }
    /// From user space: the value is the number of a part; one that there is not leads nowhere.
    fn update(&mut self, _: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes);
        let (Ok(index), Ok(part)) = (number(key), number(value)) else { return Err(Errno::Einval) };
        // `bpf_fd_array_map_update_elem`: any flag but BPF_ANY is refused first.
        if flags != update::ANY {
            return Err(Errno::Einval);
        }
        *self.parts.get_mut(index as usize).ok_or(Errno::E2big)? = Some(part);
        Ok(())
    }
    fn reset(&mut self, _: &mut Memory) {
        self.parts.fill(None);
        for (index, part) in &self.initial {
            self.parts[*index as usize] = Some(*part);
        }
    }
    fn hold(&mut self, programs: Vec<(u32, u32)>) {
        self.initial = programs;
    }
    fn program(&self, index: u32) -> Option<Option<u32>> {
        self.parts.get(index as usize).copied()
    }
    fn each(&self, _: &mut dyn FnMut(&[u8], u64)) {}
}
