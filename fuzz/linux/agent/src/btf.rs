//! Names in the kernel's own BTF.

use std::collections::HashMap;
use std::io;

/// Numbers of types in `/sys/kernel/btf/vmlinux`, by kind and name.
pub struct KernelBtf(HashMap<(u32, String), u32>);

impl KernelBtf {
    pub fn read() -> io::Result<KernelBtf> {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux")?;
        let types = parse(&bytes).ok_or_else(|| io::Error::other("the kernel's BTF cannot be read"))?;
        Ok(KernelBtf(types))
    }
    pub fn find(&self, kind: u32, name: &str) -> Option<u32> {
        self.0.get(&(kind, name.to_owned())).copied()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn parse(bytes: &[u8]) -> Option<HashMap<(u32, String), u32>> {
    let header = word(bytes, 4)? as usize;
    let [types, types_len, names] = [8, 12, 16].map(|at| word(bytes, at));
    let (start, names) = (header + types? as usize, header + names? as usize);
    let end = start + types_len? as usize;
    let mut found = HashMap::new();
    let (mut at, mut id) = (start, 1);
    while at < end {
        let (name, info) = (word(bytes, at)? as usize, word(bytes, at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let name = bytes.get(names + name..)?;
        let name = &name[..name.iter().position(|byte| *byte == 0)?];
        if !name.is_empty() {
            found.entry((kind, String::from_utf8_lossy(name).into_owned())).or_insert(id);
        }
        at += 12 + trailing(kind, count);
        id += 1;
    }
    Some(found)
}

/// Bytes behind the header of a type.
fn trailing(kind: u32, count: usize) -> usize {
    match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        _ => 0,
    }
}
