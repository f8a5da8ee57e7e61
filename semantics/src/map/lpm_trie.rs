//! `BPF_MAP_TYPE_LPM_TRIE`: finds the longest prefix of a key (`kernel/bpf/lpm_trie.c`).
//!
//! A key is the length of a prefix in bits, a `u32`, and bytes whose bits count from the highest of the first. An intermediate
//! node stands where two prefixes part of which neither begins the other.

use super::htab::{KMALLOC_MAX, OnDemand};
use super::values::Values;
use super::{
    Errno, MapDef, MapError, MapOps, NO_PREALLOC, NUMA_NODE, RDONLY, RDONLY_PROG, Setting, WRONLY, WRONLY_PROG,
    check_access, refuse, update,
};
use crate::memory::Memory;

/// Bytes of the prefix length before the bytes of the prefix.
const HEADER: usize = 4;
/// The most bytes of a prefix.
const DATA_MAX: u32 = 256;
/// `sizeof(struct lpm_trie_node)`.
const NODE_HEADER: u64 = 40;

/// `trie_alloc`.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    if def.flags & NO_PREALLOC == 0 {
        return refuse(def, Errno::Einval, "a trie does not exist from the start: it needs the flag no_prealloc");
    }
    check_access(def, NO_PREALLOC | NUMA_NODE | RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG)?;
    let keys = HEADER as u32 + 1..=HEADER as u32 + DATA_MAX;
    let value_max = KMALLOC_MAX - u64::from(DATA_MAX) - NODE_HEADER;
    if def.max_entries == 0 || !keys.contains(&def.key_size) {
        return refuse(def, Errno::Einval, "a trie has keys of 5 to 260 bytes and at least 1 entry");
    }
    if def.value_size == 0 || u64::from(def.value_size) > value_max {
        return refuse(def, Errno::Einval, "a trie has values of at least 1 byte, which the kernel can allocate");
    }
    Ok(())
}

/// How many slots its values have.
pub(super) fn slot_count(def: &MapDef) -> u64 {
    u64::from(def.max_entries) + OnDemand::spare(def.max_entries)
}

/// A trie.
#[derive(Debug)]
pub(super) struct LpmTrie {
    nodes: Vec<Node>,
    /// Nodes that are in no trie any more.
    unused: Vec<usize>,
    root: Option<usize>,
    values: Values,
    slots: OnDemand,
    count: u32,
    max_entries: u32,
    prefix_max: u32,
}

#[derive(Clone, Debug)]
struct Node {
    prefix: u32,
    data: Box<[u8]>,
    children: [Option<usize>; 2],
    /// Where its value is; an intermediate node that was an element keeps the one that it had.
    slot: Option<u32>,
    is_intermediate: bool,
}

/// Where a node hangs.
#[derive(Clone, Copy, Debug)]
enum Place {
    Root,
    Child(usize, usize),
}

/// An element, where it hangs, and the node that it hangs at, with its own place.
struct Found {
    at: usize,
    place: Place,
    parent: Option<(usize, Place)>,
}

/// A key in its parts.
#[derive(Clone, Copy, Debug)]
struct Key<'a> {
    prefix: u32,
    data: &'a [u8],
}

impl<'a> Key<'a> {
    fn of(key: &'a [u8]) -> Key<'a> {
        let (prefix, data) = key.split_at(HEADER);
        Key { prefix: super::index(prefix), data }
    }
}

/// The bit with this number.
fn bit(data: &[u8], number: u32) -> usize {
    usize::from(data[number as usize / 8] >> (7 - number % 8) & 1)
}

impl Node {
    /// How many bits it has in common with a key, at most the shorter of the two (`longest_prefix_match`).
    fn matching(&self, key: Key<'_>) -> u32 {
        let limit = self.prefix.min(key.prefix);
        let pairs = self.data.iter().zip(key.data);
        let same = pairs.clone().take_while(|(a, b)| a == b).count();
        let part = pairs.skip(same).map(|(a, b)| (a ^ b).leading_zeros()).next().unwrap_or(0);
        (8 * same as u32 + part).min(limit)
    }
}

impl LpmTrie {
    pub(super) fn create(def: &MapDef, index: usize, memory: &mut Memory) -> Result<LpmTrie, MapError> {
        Ok(LpmTrie {
            nodes: Vec::new(),
            unused: Vec::new(),
            root: None,
            values: Values::place(def, index, memory, slot_count(def), false)?,
            slots: OnDemand::new(def.max_entries),
            count: 0,
            max_entries: def.max_entries,
            prefix_max: 8 * (def.key_size - HEADER as u32),
        })
    }
    fn at(&self, place: Place) -> Option<usize> {
        match place {
            Place::Root => self.root,
            Place::Child(node, which) => self.nodes[node].children[which],
        }
    }
    fn hang(&mut self, place: Place, node: Option<usize>) {
        match place {
            Place::Root => self.root = node,
            Place::Child(parent, which) => self.nodes[parent].children[which] = node,
        }
    }
    fn add(&mut self, node: Node) -> usize {
        let Some(at) = self.unused.pop() else {
            self.nodes.push(node);
            return self.nodes.len() - 1;
        };
        self.nodes[at] = node;
        at
    }
    fn drop_node(&mut self, node: usize) {
        self.slots_free(node);
        self.unused.push(node);
    }
    fn slots_free(&mut self, node: usize) {
        if let Some(slot) = self.nodes[node].slot.take() {
            self.slots.push(slot);
        }
    }

    /// The element whose prefix is the longest that the key begins with; its own prefix length is the most.
    fn longest(&self, key: Key<'_>) -> Option<&Node> {
        if key.prefix > self.prefix_max {
            return None;
        }
        let (mut at, mut found) = (self.root, None);
        while let Some(node) = at.map(|at| &self.nodes[at]) {
            let matching = node.matching(key);
            if matching == self.prefix_max {
                return Some(node);
            }
            if matching < node.prefix {
                break;
            }
            if !node.is_intermediate {
                found = Some(node);
            }
            at = node.children[bit(key.data, node.prefix)];
        }
        found
    }

    /// The element with exactly this prefix.
    fn exact(&self, key: Key<'_>) -> Option<Found> {
        let (mut place, mut parent) = (Place::Root, None);
        while let Some(at) = self.at(place) {
            let node = &self.nodes[at];
            let matching = node.matching(key);
            if node.prefix != matching || node.prefix == key.prefix {
                let is_it = node.prefix == key.prefix && node.prefix == matching && !node.is_intermediate;
                return is_it.then_some(Found { at, place, parent });
            }
            parent = Some((at, place));
            place = Place::Child(at, bit(key.data, node.prefix));
        }
        None
    }

    /// Puts a new node where its prefix belongs.
    fn insert(&mut self, node: Node) {
        let (prefix, data) = (node.prefix, node.data.clone());
        let key = Key { prefix, data: &data };
        let mut place = Place::Root;
        let mut met = None;
        while let Some(at) = self.at(place) {
            let there = &self.nodes[at];
            let matching = there.matching(key);
            if there.prefix != matching || there.prefix == prefix || there.prefix == self.prefix_max {
                met = Some((at, matching));
                break;
            }
            place = Place::Child(at, bit(key.data, there.prefix));
        }
        let new = self.add(node);
        let Some((at, matching)) = met else {
            return self.hang(place, Some(new));
        };
        if self.nodes[at].prefix == matching {
            // The same prefix: it takes the place of the node.
            if !self.nodes[at].is_intermediate {
                self.count -= 1;
            }
            self.nodes[new].children = self.nodes[at].children;
            self.hang(place, Some(new));
            return self.drop_node(at);
        }
        if matching == prefix {
            let which = bit(&self.nodes[at].data, matching);
            self.nodes[new].children[which] = Some(at);
            return self.hang(place, Some(new));
        }
        let mut children = [Some(at), Some(new)];
        if bit(&data, matching) == 0 {
            children.swap(0, 1);
        }
        let data = self.nodes[at].data.clone();
        let parting = Node { prefix: matching, data, children, slot: None, is_intermediate: true };
        let parting = self.add(parting);
        self.hang(place, Some(parting));
    }

    /// The first element of a part of the trie in post-order: a longer prefix comes before those that it begins with.
    fn leftmost(&self, from: usize) -> usize {
        let mut at = from;
        while let [left, right] = self.nodes[at].children
            && let Some(next) = left.or(right)
        {
            at = next;
        }
        at
    }
    fn key_of(&self, node: usize) -> Vec<u8> {
        let node = &self.nodes[node];
        [&node.prefix.to_le_bytes(), &*node.data].concat()
    }
    /// The nodes from the root to the element with exactly this prefix, which comes last.
    fn path(&self, key: Key<'_>) -> Option<Vec<usize>> {
        let found = self.exact(key)?.at;
        let mut path = Vec::from_iter(self.root);
        while let Some(at) = path.last().copied().filter(|at| *at != found) {
            path.extend(self.nodes[at].children[bit(key.data, self.nodes[at].prefix)]);
        }
        Some(path)
    }
    /// The element behind the last of a path in post-order.
    fn behind(&self, mut path: Vec<usize>) -> Option<usize> {
        let mut at = path.pop()?;
        while let Some(parent) = path.pop() {
            let [left, right] = self.nodes[parent].children;
            if let Some(right) = right.filter(|_| left == Some(at)) {
                return Some(self.leftmost(right));
            }
            if !self.nodes[parent].is_intermediate {
                return Some(parent);
            }
            at = parent;
        }
        None
    }
    /// All elements, in post-order.
    fn elements(&self) -> Vec<usize> {
        let mut found = Vec::with_capacity(self.count as usize);
        let mut open: Vec<(usize, bool)> = self.root.map(|root| (root, false)).into_iter().collect();
        while let Some((at, is_seen)) = open.pop() {
            if is_seen {
                if !self.nodes[at].is_intermediate {
                    found.push(at);
                }
                continue;
            }
            open.push((at, true));
            open.extend(self.nodes[at].children.iter().rev().flatten().map(|child| (*child, false)));
        }
        found
    }
}

impl MapOps for LpmTrie {
    fn reset(&mut self, memory: &mut Memory, _: &Setting) {
        self.nodes.clear();
        self.unused.clear();
        (self.root, self.count) = (None, 0);
        let touched = self.slots.clear();
        self.values.clear(memory, touched);
    }
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.longest(Key::of(key)).and_then(|node| node.slot).map(|slot| self.values.address(slot))
    }
    /// Unknown flags and prefixes that are too long first (EINVAL), then whether it is full (ENOSPC), even where an element is
    /// replaced. NOEXIST and EXIST mean nothing.
    fn update(&mut self, memory: &mut Memory, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let key = Key::of(key);
        if flags > update::EXIST || key.prefix > self.prefix_max {
            return Err(Errno::Einval);
        }
        if self.count == self.max_entries {
            return Err(Errno::Enospc);
        }
        let slot = self.slots.pop().ok_or(Errno::Enomem)?;
        self.values.make(memory, slot, value);
        self.count += 1;
        let (prefix, data) = (key.prefix, key.data.into());
        self.insert(Node { prefix, data, children: [None; 2], slot: Some(slot), is_intermediate: false });
        Ok(())
    }
    /// Prefixes that are too long first (EINVAL), then what is no element (ENOENT).
    fn delete(&mut self, _: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let key = Key::of(key);
        if key.prefix > self.prefix_max {
            return Err(Errno::Einval);
        }
        let Found { at, place, parent } = self.exact(key).ok_or(Errno::Enoent)?;
        self.count -= 1;
        match (self.nodes[at].children, parent) {
            ([Some(_), Some(_)], _) => {
                self.nodes[at].is_intermediate = true;
                return Ok(());
            }
            // Its parent is no parting any more: the other child takes its place.
            ([None, None], Some((above, place_above))) if self.nodes[above].is_intermediate => {
                let other = self.nodes[above].children.into_iter().flatten().find(|child| *child != at);
                self.hang(place_above, other);
                self.drop_node(above);
            }
            ([left, right], _) => self.hang(place, left.or(right)),
        }
        self.drop_node(at);
        Ok(())
    }
    fn user_len(&self) -> Option<usize> {
        Some(self.values.user_len())
    }
    fn user_lookup(&mut self, memory: &Memory, key: &[u8], value: &mut [u8]) -> Result<(), Errno> {
        self.values.copy(memory, self.longest(Key::of(key)).and_then(|node| node.slot), value)
    }
    /// In post-order; behind a key that is not there comes the first.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let root = self.root.ok_or(Errno::Enoent)?;
        let key = key.map(Key::of).filter(|key| key.prefix <= self.prefix_max);
        let next = match key.and_then(|key| self.path(key)) {
            Some(path) => self.behind(path).ok_or(Errno::Enoent)?,
            None => self.leftmost(root),
        };
        Ok(self.key_of(next))
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u64])) {
        for at in self.elements() {
            if let Some(slot) = self.nodes[at].slot {
                visit(&self.key_of(at), &[self.values.address(slot)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MapType;
    use super::*;

    fn key(prefix: u32, data: [u8; 2]) -> Vec<u8> {
        [&prefix.to_le_bytes()[..], &data].concat()
    }

    /// Whether `data` begins with the first `prefix` bits of `of`.
    fn begins(data: [u8; 2], prefix: u32, of: [u8; 2]) -> bool {
        let (data, of) = (u32::from(u16::from_be_bytes(data)), u32::from(u16::from_be_bytes(of)));
        (data ^ of) >> (16 - prefix) == 0
    }

    /// Against a list of prefixes, searched one by one.
    #[test]
    fn finds_the_longest_prefix() {
        let def = MapDef { flags: NO_PREALLOC, ..MapDef::new("m", MapType::LPM_TRIE, 6, 8, 24) };
        let mut memory = Memory::detached().unwrap();
        let mut trie = LpmTrie::create(&def, 0, &mut memory).unwrap();
        let mut model: Vec<(u32, [u8; 2], u64)> = Vec::new();
        let mut dice = 4711u64;
        for round in 0..30_000u64 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few bits that differ, so that prefixes nest.
            let data = [(dice >> 40) as u8 & 0xe0, (dice >> 48) as u8 & 0x81];
            let prefix = (dice >> 33) as u32 % 17;
            let same = |(p, d, _): &(u32, [u8; 2], u64)| *p == prefix && begins(*d, prefix, data);
            let held = model.iter().position(same);
            match dice >> 62 {
                0 => {
                    let deleted = trie.delete(&mut memory, &key(prefix, data));
                    assert_eq!(deleted, if held.is_some() { Ok(()) } else { Err(Errno::Enoent) });
                    held.map(|at| model.remove(at));
                }
                1 => {
                    let updated = trie.update(&mut memory, &key(prefix, data), &round.to_le_bytes(), 0);
                    assert_eq!(updated, if model.len() == 24 { Err(Errno::Enospc) } else { Ok(()) });
                    if updated.is_ok() {
                        held.map(|at| model.remove(at));
                        model.push((prefix, data, round));
                    }
                }
                _ => {
                    let best = model.iter().filter(|(p, d, _)| *p <= prefix && begins(data, *p, *d));
                    let best = best.max_by_key(|(p, ..)| *p).map(|(.., value)| value.to_le_bytes().to_vec());
                    let found = trie.find(&key(prefix, data)).map(|addr| memory.peek(addr, 8).to_vec());
                    assert_eq!(found, best, "{prefix} {data:?}");
                }
            }
            assert_eq!(trie.count as usize, model.len());
            let mut walked = Vec::new();
            let mut at = trie.next_key(None);
            while let Ok(key) = at {
                at = trie.next_key(Some(&key));
                walked.push(key);
            }
            let mut all = Vec::new();
            trie.each(&mut |key, _| all.push(key.to_vec()));
            assert_eq!(walked, all);
            assert_eq!(all.len(), model.len());
        }
    }
}
