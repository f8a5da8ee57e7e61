//! Keys in buckets without a seed, newest first: the order in which [`devmap_hash`](super::devmap_hash) and
//! [`sockhash`](super::sockhash) are gone through.

use std::collections::BTreeMap;

use super::Errno;

/// Elements under keys.
#[derive(Debug)]
pub(super) struct Chained<T> {
    /// By bucket, then by age: the newest has the lowest number.
    elements: BTreeMap<(u32, u64), (Vec<u8>, T)>,
    next: u64,
    mask: u32,
    hash: fn(&[u8]) -> u32,
}

impl<T> Chained<T> {
    /// So many buckets that each of `max_entries` could have one.
    pub(super) fn new(max_entries: u32, hash: fn(&[u8]) -> u32) -> Chained<T> {
        let mask = (u64::from(max_entries).next_power_of_two() - 1) as u32;
        Chained { elements: BTreeMap::new(), next: u64::MAX, mask, hash }
    }
    pub(super) fn clear(&mut self) {
        self.elements.clear();
        self.next = u64::MAX;
    }
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }
    fn bucket(&self, key: &[u8]) -> u32 {
        (self.hash)(key) & self.mask
    }
    fn place(&self, key: &[u8]) -> Option<(u32, u64)> {
        let bucket = self.bucket(key);
        self.elements.range((bucket, 0)..=(bucket, u64::MAX)).find(|(_, (other, _))| other == key).map(|(at, _)| *at)
    }
    pub(super) fn get(&self, key: &[u8]) -> Option<&T> {
        self.elements.get(&self.place(key)?).map(|(_, element)| element)
    }
    /// Puts an element in as the newest; the one that it replaces.
    pub(super) fn insert(&mut self, key: &[u8], element: T) -> Option<T> {
        let old = self.remove(key);
        self.next -= 1;
        self.elements.insert((self.bucket(key), self.next), (key.to_vec(), element));
        old
    }
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<T> {
        let place = self.place(key)?;
        self.elements.remove(&place).map(|(_, element)| element)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.elements.values().map(|(key, element)| (&**key, element))
    }
    /// The key behind this one; behind one that is not there, the first.
    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        use std::ops::Bound;
        let from = key.and_then(|key| self.place(key)).map_or(Bound::Unbounded, Bound::Excluded);
        self.elements.range((from, Bound::Unbounded)).next().map(|(_, (key, _))| key.clone()).ok_or(Errno::Enoent)
    }
}
