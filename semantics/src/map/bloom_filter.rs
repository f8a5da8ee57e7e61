//! `BPF_MAP_TYPE_BLOOM_FILTER`: says of a value that it surely is not, or may be, among those that were put in
//! (`kernel/bpf/bloom_filter.c`).

use std::collections::BTreeMap;

use super::htab::KMALLOC_MAX;
use super::jhash::jhash;
use super::{
    Errno, MapDef, MapError, MapOps, NUMA_NODE, RDONLY, RDONLY_PROG, Setting, WRONLY, WRONLY_PROG, ZERO_SEED,
    check_access, refuse, update,
};
use crate::memory::Memory;

/// `bloom_map_alloc_check` and the checks of `bloom_map_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if u64::from(def.value_size) > KMALLOC_MAX {
        return refuse(def, Errno::E2big, "the value is longer than the kernel can allocate");
    }
    if def.key_size != 0 || def.value_size == 0 || def.max_entries == 0 {
        return refuse(
            def,
            Errno::Einval,
            "a bloom filter has no keys, values of at least 1 byte and at least 1 entry",
        );
    }
    check_access(def, NUMA_NODE | ZERO_SEED | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG)?;
    if def.extra & !0xf != 0 {
        return refuse(def, Errno::Einval, "map_extra is the number of hash functions, at most 15");
    }
    Ok(())
}

/// Bits, of which each value sets a few.
#[derive(Debug)]
pub(super) struct BloomFilter {
    /// Words of bits that are not all 0.
    words: BTreeMap<u32, u64>,
    mask: u32,
    hashes: u32,
    seed: u32,
    has_zero_seed: bool,
    len: usize,
}

/// How many hash functions there are if nothing is said.
const HASHES: u32 = 5;

/// The number of bits less one: entries times functions times 7/5, up to the next power of two.
fn mask(max_entries: u32, hashes: u32) -> u32 {
    let bits = max_entries.checked_mul(hashes).and_then(|bits| (bits / 5).checked_mul(7));
    match bits.filter(|bits| *bits <= 1 << 31) {
        None => u32::MAX,
        Some(bits) => bits.max(64).next_power_of_two() - 1,
    }
}

impl BloomFilter {
    pub(super) fn create(def: &MapDef) -> BloomFilter {
        let hashes = if def.extra == 0 { HASHES } else { def.extra as u32 };
        BloomFilter {
            words: BTreeMap::new(),
            mask: mask(def.max_entries, hashes),
            hashes,
            seed: 0,
            has_zero_seed: def.flags & ZERO_SEED != 0,
            len: def.value_size as usize,
        }
    }
    /// The bits of a value: number of the word, and the bit in it.
    fn bits(&self, value: &[u8]) -> impl Iterator<Item = (u32, u64)> {
        (0..self.hashes).map(|function| {
            let bit = jhash(value, self.seed.wrapping_add(function)) & self.mask;
            (bit / 64, 1 << (bit % 64))
        })
    }
}

impl MapOps for BloomFilter {
    fn reset(&mut self, _: &mut Memory, setting: &Setting) {
        self.words.clear();
        self.seed = if self.has_zero_seed { 0 } else { setting.seed };
    }
    fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != update::ANY {
            return Err(Errno::Einval);
        }
        let bits: Vec<(u32, u64)> = self.bits(value).collect();
        for (word, bit) in bits {
            *self.words.entry(word).or_default() |= bit;
        }
        Ok(())
    }
    fn pop(&mut self, _: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::Eopnotsupp)
    }
    /// Whether the value may be in it: ENOENT where it is not.
    fn peek(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        let is_set = |(word, bit): (u32, u64)| self.words.get(&word).is_some_and(|word| word & bit != 0);
        if self.bits(value).all(is_set) { Ok(()) } else { Err(Errno::Enoent) }
    }
    fn delete(&mut self, _: &mut Memory, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Eopnotsupp)
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.len)
    }
    fn user_update(&mut self, _: &mut Memory, _: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.push(value, flags)
    }
    fn next_key(&self, _: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::Eopnotsupp)
    }
    /// Its words that are not 0, by their number.
    fn observe(&self, _: &Memory, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.words.iter().for_each(|(at, word)| visit(&at.to_le_bytes(), &word.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(mask(1, 5), 63);
        assert_eq!(mask(100, 5), 1023);
        assert_eq!(mask(64, 5), 511);
        assert_eq!(mask(u32::MAX, 2), u32::MAX);
        assert_eq!(mask(1 << 30, 5), u32::MAX);
    }

    /// What was put in is found, always; and of the rest so little that the filter is of use.
    #[test]
    fn false_positives_are_few_and_real() {
        let def = MapDef::new("m", super::super::MapType::BLOOM_FILTER, 0, 4, 100);
        let mut filter = BloomFilter::create(&def);
        for value in 0u32..100 {
            filter.push(&value.to_le_bytes(), 0).unwrap();
        }
        let mut peek = |value: u32| filter.peek(&mut value.to_le_bytes()).is_ok();
        assert!((0..100).all(&mut peek));
        let wrong = (100..10_100).filter(|value| peek(*value)).count();
        assert!((1..600).contains(&wrong), "{wrong} of 10000");
    }
}
