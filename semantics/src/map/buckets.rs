//! The buckets of a hash table: which slot holds the element of a key (`kernel/bpf/hashtab.c`).
//!
//! New elements come first in their bucket. The order of iteration follows from the seed: bucket by bucket.

use super::jhash::jhash;

/// Chains of slots, one for each value of the hash's low bits. Links hold the number of a slot plus one, or 0.
#[derive(Debug)]
pub(super) struct Buckets {
    mask: u32,
    seed: u32,
    key_size: usize,
    heads: Vec<u32>,
    next: Vec<u32>,
    hashes: Vec<u32>,
    keys: Vec<u8>,
    /// The slots of all elements, in no order, and where in it a slot is.
    used: Vec<u32>,
    places: Vec<u32>,
}

/// The most buckets that the kernel makes: they would take 4 GiB.
pub(super) const BUCKETS_MAX: u64 = u32::MAX as u64 / 16;

impl Buckets {
    /// Buckets for `max_entries` elements, which lie in slots below `slots`.
    pub(super) fn new(max_entries: u32, slots: u64, key_size: u32) -> Buckets {
        let (slots, buckets) = (slots as usize, max_entries.next_power_of_two() as usize);
        Buckets {
            mask: buckets as u32 - 1,
            seed: 0,
            key_size: key_size as usize,
            heads: vec![0; buckets],
            next: vec![0; slots],
            hashes: vec![0; slots],
            keys: vec![0; slots * key_size as usize],
            used: Vec::new(),
            places: vec![0; slots],
        }
    }
    /// Removes all elements; the hash function starts from another seed.
    pub(super) fn clear(&mut self, seed: u32) {
        for slot in self.used.drain(..) {
            self.heads[(self.hashes[slot as usize] & self.mask) as usize] = 0;
        }
        self.seed = seed;
    }
    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }
    /// The key of the element in this slot.
    #[inline]
    pub(super) fn key(&self, slot: u32) -> &[u8] {
        let at = slot as usize * self.key_size;
        &self.keys[at..at + self.key_size]
    }
    /// The slot of the element with this key.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = jhash(key, self.seed);
        let mut link = self.heads[(hash & self.mask) as usize];
        while link != 0 {
            let slot = link - 1;
            if self.hashes[slot as usize] == hash && self.key(slot) == key {
                return Some(slot);
            }
            link = self.next[slot as usize];
        }
        None
    }
    /// Puts the element of a slot at the head of its bucket.
    pub(super) fn insert(&mut self, slot: u32, key: &[u8]) {
        let (at, hash) = (slot as usize, jhash(key, self.seed));
        self.keys[at * self.key_size..(at + 1) * self.key_size].copy_from_slice(key);
        self.hashes[at] = hash;
        let head = &mut self.heads[(hash & self.mask) as usize];
        self.next[at] = std::mem::replace(head, slot + 1);
        self.places[at] = self.used.len() as u32;
        self.used.push(slot);
    }
    /// Takes the element of a slot out of its bucket, if it is in one. Its own link stays, as in the kernel: a walk that
    /// stands at it goes on.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let at = slot as usize;
        if self.used.get(self.places[at] as usize) != Some(&slot) {
            return false;
        }
        let behind = self.next[at];
        let mut link = &mut self.heads[(self.hashes[at] & self.mask) as usize];
        while *link != slot + 1 {
            let before = (*link - 1) as usize;
            link = &mut self.next[before];
        }
        *link = behind;
        let place = self.places[at];
        self.used.swap_remove(place as usize);
        if let Some(moved) = self.used.get(place as usize) {
            self.places[*moved as usize] = place;
        }
        true
    }

    /// The first element at or behind this bucket, and its bucket.
    pub(super) fn first_from(&self, bucket: u32) -> Option<(u32, u32)> {
        let from = bucket as usize;
        // Few elements in many buckets: looked up among them.
        let found = if self.used.len() * 8 < self.heads.len() {
            let bucket = |slot: &u32| (self.hashes[*slot as usize] & self.mask) as usize;
            self.used.iter().map(bucket).filter(|bucket| *bucket >= from).min()?
        } else {
            from + self.heads.get(from..)?.iter().position(|head| *head != 0)?
        };
        Some((self.heads[found] - 1, found as u32))
    }
    /// The element behind that of this slot in its bucket.
    pub(super) fn behind(&self, slot: u32) -> Option<u32> {
        self.next[slot as usize].checked_sub(1)
    }
    /// The key of the element that iteration comes to behind `key`; behind a key that is not there, the first
    /// (`htab_map_get_next_key`).
    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Option<&[u8]> {
        let first = || self.first_from(0).map(|(slot, _)| slot);
        let next = match key.and_then(|key| self.find(key)) {
            None => first(),
            Some(slot) => self.behind(slot).or_else(|| {
                let bucket = self.hashes[slot as usize] & self.mask;
                self.first_from(bucket + 1).map(|(slot, _)| slot)
            }),
        };
        next.map(|slot| self.key(slot))
    }
    /// The keys of a bucket, if there is such a bucket.
    pub(super) fn bucket(&self, number: u32) -> Option<Vec<Vec<u8>>> {
        let mut link = *self.heads.get(number as usize)?;
        let mut keys = Vec::new();
        while link != 0 {
            keys.push(self.key(link - 1).to_vec());
            link = self.next[link as usize - 1];
        }
        Some(keys)
    }
    /// The slots of all elements in the order of iteration.
    pub(super) fn slots(&self) -> Vec<u32> {
        let mut heads: Vec<u32> = self.used.iter().map(|slot| self.hashes[*slot as usize] & self.mask).collect();
        heads.sort_unstable();
        heads.dedup();
        let mut slots = Vec::with_capacity(self.used.len());
        for head in heads {
            let mut link = self.heads[head as usize];
            while link != 0 {
                slots.push(link - 1);
                link = self.next[link as usize - 1];
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain list, newest first, sorted by bucket.
    #[test]
    fn chains_hold_what_was_put_in() {
        let mut buckets = Buckets::new(4, 16, 4);
        buckets.clear(7);
        let mut model: Vec<(u32, [u8; 4])> = Vec::new();
        let mut dice = 12_345u32;
        for _ in 0..10_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (slot, key) = (dice >> 28, (dice >> 20 & 15).to_le_bytes());
            let holds_key = model.iter().any(|(_, other)| *other == key);
            if let Some(at) = model.iter().position(|(other, _)| *other == slot) {
                assert!(buckets.remove(slot));
                model.remove(at);
            } else if !holds_key {
                assert!(!buckets.remove(slot));
                buckets.insert(slot, &key);
                model.insert(0, (slot, key));
            }
            let mut ordered = model.clone();
            ordered.sort_by_key(|(_, key)| jhash(key, 7) & 3);
            assert_eq!(buckets.slots(), ordered.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
            let mut walked = Vec::new();
            let mut key = buckets.next_key(None);
            while let Some(at) = key {
                walked.push(buckets.find(at).unwrap());
                key = buckets.next_key(Some(at));
            }
            assert_eq!(walked, buckets.slots());
        }
        assert!(!model.is_empty());
    }
}
