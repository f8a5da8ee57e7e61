//! What user space does to a map: the commands of bpf(2), in the order of their checks (`kernel/bpf/syscall.c`).
//!
//! Keys and values shorter than the map's are memory that user space does not have (EFAULT); of longer ones the rest is not
//! looked at.

use super::{Errno, Map, MapType, RDONLY, ValueFieldKind, WRONLY, update};
use crate::memory::Memory;

/// What a command for many elements came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Keys and values that were read; of other commands, nothing.
    pub elements: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many elements were read, stored or removed.
    pub count: usize,
    /// Where the next command of the kind goes on (`out_batch`).
    pub next: Option<Vec<u8>>,
    /// Why it ended early; ENOENT behind the last element.
    pub error: Option<Errno>,
}

impl Batch {
    fn failed(errno: Errno) -> Batch {
        Batch { error: Some(errno), ..Batch::default() }
    }
}

/// How a type reads many elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Key by key, from the one where the last command ended.
    Keys,
    /// Bucket by bucket, whole ones only.
    Buckets,
}

impl Map {
    /// `BPF_MAP_LOOKUP_ELEM`: the value under `key`. Of a bloom filter, `value` is what is asked for.
    pub fn user_lookup(
        &mut self,
        memory: &Memory,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        flags: u64,
    ) -> Result<Vec<u8>, Errno> {
        if flags & !update::LOCK != 0 {
            return Err(Errno::Einval);
        }
        self.may_read()?;
        self.may_lock(flags)?;
        let key = self.key(key)?;
        let mut into = vec![0; self.ops.user_len().unwrap_or(0)];
        if self.def.map_type == MapType::BLOOM_FILTER {
            let asked = value.and_then(|value| value.get(..into.len())).ok_or(Errno::Efault)?;
            into.copy_from_slice(asked);
        }
        self.ops.user_lookup(memory, &key, &mut into)?;
        Ok(if self.def.map_type == MapType::BLOOM_FILTER { Vec::new() } else { into })
    }

    /// `BPF_MAP_UPDATE_ELEM`: stores `value` under `key`.
    pub fn user_update(
        &mut self,
        memory: &mut Memory,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        flags: u64,
    ) -> Result<(), Errno> {
        self.may_write()?;
        self.may_lock(flags)?;
        let key = self.key(key)?;
        let value = self.value(value)?;
        self.ops.user_update(memory, &key, value, flags)
    }

    /// `BPF_MAP_DELETE_ELEM`: removes the element under `key`.
    pub fn user_delete(&mut self, memory: &mut Memory, key: Option<&[u8]>) -> Result<(), Errno> {
        self.may_write()?;
        let key = self.key(key)?;
        self.ops.delete(memory, &key)
    }

    /// `BPF_MAP_GET_NEXT_KEY`: the key behind `key`, or the first.
    pub fn user_next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.may_read()?;
        let key = key.map(|key| self.key(Some(key))).transpose()?;
        self.ops.next_key(key.as_deref())
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`: the value under `key`, or the next one, which is removed.
    pub fn user_lookup_and_delete(
        &mut self,
        memory: &mut Memory,
        key: Option<&[u8]>,
        flags: u64,
    ) -> Result<Vec<u8>, Errno> {
        if flags & !update::LOCK != 0 {
            return Err(Errno::Einval);
        }
        self.may_read()?;
        self.may_write()?;
        if flags != 0 && matches!(self.def.map_type, MapType::QUEUE | MapType::STACK) {
            return Err(Errno::Einval);
        }
        self.may_lock(flags)?;
        let key = self.key(key)?;
        let mut value = vec![0; self.ops.user_len().unwrap_or(0)];
        self.ops.lookup_and_delete(memory, &key, &mut value)?;
        Ok(value)
    }

    /// `BPF_MAP_FREEZE`: from now on user space changes nothing. Who cannot change anything cannot do that either (EPERM).
    pub fn user_freeze(&mut self) -> Result<(), Errno> {
        let is_kept = |kind: ValueFieldKind| matches!(kind, ValueFieldKind::SpinLock | ValueFieldKind::ResSpinLock);
        if self.def.map_type == MapType::STRUCT_OPS || self.def.fields.iter().any(|field| !is_kept(field.kind)) {
            return Err(Errno::Enotsupp);
        }
        self.may_write()?;
        self.def.frozen = true;
        Ok(())
    }

    /// `BPF_MAP_LOOKUP_BATCH`, or with `delete` `BPF_MAP_LOOKUP_AND_DELETE_BATCH`: at most `count` elements, from where the last
    /// such command ended.
    pub fn user_lookup_batch(
        &mut self,
        memory: &mut Memory,
        from: Option<&[u8]>,
        count: usize,
        flags: u64,
        delete: bool,
    ) -> Batch {
        let permitted = self.may_read().and_then(|()| if delete { self.may_write() } else { Ok(()) });
        let reader = permitted.and_then(|()| match self.reader() {
            Some(reader) if !delete || reader == Reader::Buckets => Ok(reader),
            _ => Err(Errno::Enotsupp),
        });
        let checked = reader.and_then(|reader| self.check_batch(flags).map(|()| reader));
        match checked {
            Err(errno) => Batch::failed(errno),
            Ok(_) if count == 0 => Batch::default(),
            Ok(Reader::Keys) => self.read_keys(memory, from, count),
            Ok(Reader::Buckets) => self.read_buckets(memory, from, count, delete),
        }
    }

    /// `BPF_MAP_UPDATE_BATCH`: stores elements until one is refused.
    pub fn user_update_batch(&mut self, memory: &mut Memory, elements: &[(Vec<u8>, Vec<u8>)], flags: u64) -> Batch {
        if let Err(errno) = self.check_writer(self.reader().is_some(), flags) {
            return Batch::failed(errno);
        }
        let mut batch = Batch::default();
        for (key, value) in elements {
            let stored = self.key(Some(key)).and_then(|key| {
                let value = self.value(Some(value))?;
                self.ops.user_update(memory, &key, value, flags)
            });
            if let Err(errno) = stored {
                batch.error = Some(errno);
                break;
            }
            batch.count += 1;
        }
        batch
    }

    /// `BPF_MAP_DELETE_BATCH`: removes elements until one is refused.
    pub fn user_delete_batch(&mut self, memory: &mut Memory, keys: &[Vec<u8>], flags: u64) -> Batch {
        let is_known = self.reader() == Some(Reader::Buckets) || self.def.map_type == MapType::LPM_TRIE;
        if let Err(errno) = self.check_writer(is_known, flags) {
            return Batch::failed(errno);
        }
        let mut batch = Batch::default();
        for key in keys {
            if let Err(errno) = self.key(Some(key)).and_then(|key| self.ops.delete(memory, &key)) {
                batch.error = Some(errno);
                break;
            }
            batch.count += 1;
        }
        batch
    }

    /// How the type reads many elements, if it does.
    fn reader(&self) -> Option<Reader> {
        Some(match self.def.map_type {
            MapType::ARRAY | MapType::PERCPU_ARRAY | MapType::LPM_TRIE | MapType::ARRAY_OF_MAPS => Reader::Keys,
            MapType::HASH
            | MapType::PERCPU_HASH
            | MapType::LRU_HASH
            | MapType::LRU_PERCPU_HASH
            | MapType::HASH_OF_MAPS => Reader::Buckets,
            _ => return None,
        })
    }
    fn check_writer(&self, is_known: bool, flags: u64) -> Result<(), Errno> {
        self.may_write()?;
        if is_known { self.check_batch(flags) } else { Err(Errno::Enotsupp) }
    }
    fn check_batch(&self, flags: u64) -> Result<(), Errno> {
        if flags & !update::LOCK != 0 { Err(Errno::Einval) } else { self.may_lock(flags) }
    }

    /// `generic_map_lookup_batch`.
    fn read_keys(&mut self, memory: &Memory, from: Option<&[u8]>, count: usize) -> Batch {
        let mut batch = Batch { next: from.map(<[u8]>::to_vec), ..Batch::default() };
        while batch.count < count {
            let key = match self.ops.next_key(batch.next.as_deref()) {
                Ok(key) => key,
                Err(errno) => {
                    batch.error = Some(errno);
                    break;
                }
            };
            let mut value = vec![0; self.ops.user_len().unwrap_or(0)];
            match self.ops.user_lookup(memory, &key, &mut value) {
                Ok(()) => {
                    batch.elements.push((key.clone(), value));
                    batch.count += 1;
                }
                // Gone, or never there.
                Err(Errno::Enoent) => {}
                Err(errno) => return Batch::failed(errno),
            }
            batch.next = Some(key);
        }
        batch
    }

    /// `__htab_map_lookup_and_delete_batch`.
    fn read_buckets(&mut self, memory: &mut Memory, from: Option<&[u8]>, count: usize, delete: bool) -> Batch {
        let mut bucket = match from {
            None => 0,
            Some(&[a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]),
            Some(_) => return Batch::failed(Errno::Efault),
        };
        if self.ops.bucket(bucket).is_none() {
            return Batch::failed(Errno::Enoent);
        }
        let mut batch = Batch::default();
        loop {
            let Some(keys) = self.ops.bucket(bucket) else {
                batch.error = Some(Errno::Enoent);
                break;
            };
            if keys.len() > count - batch.count {
                // Not even the first bucket has room.
                batch.error = (batch.count == 0).then_some(Errno::Enospc);
                break;
            }
            batch.count += keys.len();
            for key in keys {
                let mut value = vec![0; self.ops.user_len().unwrap_or(0)];
                if self.ops.user_lookup(memory, &key, &mut value).is_ok() {
                    batch.elements.push((key.clone(), value));
                }
                if delete && self.ops.delete(memory, &key).is_err() {
                    debug_assert!(false, "it was just found");
                }
            }
            bucket += 1;
        }
        batch.next = Some(bucket.to_le_bytes().to_vec());
        batch
    }

    fn may_read(&self) -> Result<(), Errno> {
        if self.def.flags & WRONLY == 0 { Ok(()) } else { Err(Errno::Eperm) }
    }
    fn may_write(&self) -> Result<(), Errno> {
        if self.def.flags & RDONLY == 0 && !self.def.frozen { Ok(()) } else { Err(Errno::Eperm) }
    }
    fn may_lock(&self, flags: u64) -> Result<(), Errno> {
        if flags & update::LOCK == 0 || self.def.has_lock() { Ok(()) } else { Err(Errno::Einval) }
    }
    /// The bytes of a key; a map without keys takes none (EINVAL).
    fn key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match (self.def.key_size as usize, key) {
            (0, None) => Ok(Vec::new()),
            (0, Some(_)) => Err(Errno::Einval),
            (len, key) => key.and_then(|key| key.get(..len)).map(<[u8]>::to_vec).ok_or(Errno::Efault),
        }
    }
    fn value<'v>(&self, value: Option<&'v [u8]>) -> Result<&'v [u8], Errno> {
        match self.ops.user_len() {
            None => Ok(&[]),
            Some(len) => value.and_then(|value| value.get(..len)).ok_or(Errno::Efault),
        }
    }
}
