//! Which element goes when there is no room: lists of elements by how lately programs looked at them
//! (`kernel/bpf/bpf_lru_list.c`).
//!
//! Common lists: elements that a CPU made wait on its pending list until it needs free slots again, and move to the active or
//! the inactive list by their reference bit; free slots come to a CPU in batches of 128. Without common lists each CPU
//! has an active, an inactive and a free list of its own, with batches of 4.

use std::ops::Range;

use super::free_list::deal;

/// Slots that a CPU takes at once, and elements that are looked at for it, of common lists (`LOCAL_FREE_TARGET`).
const COMMON_TARGET: u32 = 128;
/// The same for lists of a CPU (`PERCPU_FREE_TARGET`).
const PER_CPU_TARGET: u32 = 4;

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Active,
    Inactive,
    Free,
    /// Free slots of a CPU.
    LocalFree,
    /// Elements of a CPU that are on no common list yet.
    Pending,
}

/// The lists of an LRU table.
#[derive(Debug)]
pub(super) struct Lru {
    is_common: bool,
    slots: u32,
    cpus: u32,
    /// Neighbours of each slot, then of each list's end: (before, behind).
    links: Vec<(u32, u32)>,
    nodes: Vec<Node>,
    shared: Vec<Shared>,
    /// Of common lists, the CPU that each CPU takes from next when nothing is free.
    next_steal: Vec<u32>,
    has_evicted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    cpu: u32,
    kind: Kind,
    is_referenced: bool,
}

/// An active, an inactive and a free list.
#[derive(Debug)]
struct Shared {
    active: u32,
    inactive: u32,
    /// Where the next turn of the inactive list starts: a slot, or the end of the list.
    rotation: u32,
    /// Slots that were never used: they lie under those of the free list, the highest first.
    fresh: Range<u32>,
    all: Range<u32>,
}

impl Lru {
    /// Lists for at most `slots` slots and `cpus` CPUs.
    pub(super) fn new(is_common: bool, slots: u32, cpus: u32) -> Lru {
        let ends = 5 * cpus as usize;
        Lru {
            is_common,
            slots,
            cpus: 1,
            links: vec![(0, 0); slots as usize + ends],
            nodes: vec![Node { cpu: 0, kind: Kind::Active, is_referenced: false }; slots as usize],
            shared: Vec::new(),
            next_steal: Vec::new(),
            has_evicted: false,
        }
    }

    /// All of these slots free, on lists of so many CPUs (`bpf_lru_populate`).
    pub(super) fn populate(&mut self, slots: u32, cpus: u32) {
        self.cpus = cpus;
        self.has_evicted = false;
        for end in self.slots..self.links.len() as u32 {
            self.links[end as usize] = (end, end);
        }
        self.shared.clear();
        for (group, range) in (0..).zip(deal(slots, if self.is_common { 1 } else { cpus })) {
            let rotation = self.end(Kind::Inactive, group);
            self.shared.push(Shared { active: 0, inactive: 0, rotation, fresh: range.clone(), all: range });
        }
        self.next_steal = (0..cpus).collect();
    }
    /// The slots that were ever in use.
    pub(super) fn touched(&self) -> impl Iterator<Item = Range<u32>> {
        self.shared.iter().map(|shared| shared.fresh.end..shared.all.end)
    }
    /// Whether the CPUs share their lists.
    pub(super) fn is_common(&self) -> bool {
        self.is_common
    }
    /// Whether an element had to go since [`Lru::populate`].
    pub(super) fn has_evicted(&self) -> bool {
        self.has_evicted
    }
    /// A program looked at the element (`bpf_lru_node_set_ref`).
    #[inline]
    pub(super) fn mark(&mut self, slot: u32) {
        self.nodes[slot as usize].is_referenced = true;
    }

    /// A free slot for a CPU, `None` if there is none and no element can go. `unlink` takes the element of a slot out of the
    /// table (`bpf_lru_pop_free`).
    pub(super) fn pop(&mut self, cpu: u32, unlink: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        if self.is_common { self.pop_common(cpu, unlink) } else { self.pop_per_cpu(cpu, unlink) }
    }
    /// The element of a slot is out of the table (`bpf_lru_push_free`).
    pub(super) fn push(&mut self, slot: u32) {
        let Node { cpu, kind, .. } = self.nodes[slot as usize];
        if kind == Kind::Pending {
            self.nodes[slot as usize] = Node { cpu, kind: Kind::LocalFree, is_referenced: false };
            self.move_to(slot, Kind::LocalFree, cpu);
        } else {
            self.move_within(slot, Kind::Free, if self.is_common { 0 } else { cpu });
        }
    }

    fn pop_common(&mut self, cpu: u32, unlink: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        let mut found = self.pop_first(Kind::LocalFree, cpu);
        if found.is_none() {
            self.refill(cpu, unlink);
            found = self.pop_first(Kind::LocalFree, cpu);
        }
        if found.is_none() {
            // From the CPUs in turn: what they have free, else their oldest elements.
            let first = self.next_steal[cpu as usize];
            let mut steal = first;
            loop {
                found = self.pop_first(Kind::LocalFree, steal).or_else(|| self.pop_pending(steal, unlink));
                steal = (steal + 1) % self.cpus;
                if found.is_some() || steal == first {
                    break;
                }
            }
            self.next_steal[cpu as usize] = steal;
        }
        let slot = found?;
        self.nodes[slot as usize] = Node { cpu, kind: Kind::Pending, is_referenced: false };
        self.push_front(slot, Kind::Pending, cpu);
        Some(slot)
    }

    /// Gets free slots for a CPU from the common lists, whose pending elements join them first
    /// (`bpf_lru_list_pop_free_to_local`).
    fn refill(&mut self, cpu: u32, unlink: &mut dyn FnMut(u32) -> bool) {
        while let Some(slot) = self.last(Kind::Pending, cpu) {
            let kind = if self.nodes[slot as usize].is_referenced { Kind::Active } else { Kind::Inactive };
            self.nodes[slot as usize] = Node { cpu, kind, is_referenced: false };
            self.count(kind, 0, 1);
            self.move_to(slot, kind, 0);
        }
        self.rotate(0);
        let mut taken = 0;
        while taken < COMMON_TARGET
            && let Some(slot) = self.take_free(0)
        {
            self.nodes[slot as usize].kind = Kind::LocalFree;
            self.push_front(slot, Kind::LocalFree, cpu);
            taken += 1;
        }
        if taken < COMMON_TARGET {
            self.shrink(0, COMMON_TARGET - taken, (Kind::LocalFree, cpu), unlink);
        }
    }

    /// The oldest pending element of a CPU that no program looked at, else the oldest (`__local_list_pop_pending`).
    fn pop_pending(&mut self, cpu: u32, unlink: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        for force in [false, true] {
            let end = self.end(Kind::Pending, cpu);
            let mut at = self.links[end as usize].0;
            while at != end {
                let before = self.links[at as usize].0;
                if (force || !self.nodes[at as usize].is_referenced) && unlink(at) {
                    self.has_evicted = true;
                    self.unlink(at);
                    return Some(at);
                }
                at = before;
            }
        }
        None
    }

    fn pop_per_cpu(&mut self, cpu: u32, unlink: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        self.rotate(cpu);
        let mut found = self.take_free(cpu);
        if found.is_none() {
            self.shrink(cpu, PER_CPU_TARGET, (Kind::Free, cpu), unlink);
            found = self.take_free(cpu);
        }
        let slot = found?;
        self.nodes[slot as usize] = Node { cpu, kind: Kind::Inactive, is_referenced: false };
        self.count(Kind::Inactive, cpu, 1);
        self.push_front(slot, Kind::Inactive, cpu);
        Some(slot)
    }

    /// Takes the first slot off a free list.
    fn take_free(&mut self, group: u32) -> Option<u32> {
        self.pop_first(Kind::Free, group).or_else(|| self.shared[group as usize].fresh.next_back())
    }

    /// Gives elements another chance, or none: the active list if it is the longer one, always the inactive one
    /// (`__bpf_lru_list_rotate`).
    fn rotate(&mut self, group: u32) {
        let shared = &self.shared[group as usize];
        if shared.inactive < shared.active {
            self.rotate_active(group);
        }
        self.rotate_inactive(group);
    }

    fn scans(&self) -> u32 {
        if self.is_common { COMMON_TARGET } else { PER_CPU_TARGET }
    }

    fn rotate_active(&mut self, group: u32) {
        let end = self.end(Kind::Active, group);
        let first = self.links[end as usize].1;
        let mut at = self.links[end as usize].0;
        for _ in 0..self.scans() {
            if at == end {
                break;
            }
            let before = self.links[at as usize].0;
            let kind = if self.nodes[at as usize].is_referenced { Kind::Active } else { Kind::Inactive };
            self.move_within(at, kind, group);
            if at == first {
                break;
            }
            at = before;
        }
    }

    fn rotate_inactive(&mut self, group: u32) {
        let end = self.end(Kind::Inactive, group);
        if self.links[end as usize].1 == end {
            return;
        }
        let mut at = self.shared[group as usize].rotation;
        let mut last = self.links[at as usize].1;
        if last == end {
            last = self.links[end as usize].1;
        }
        let mut next = end;
        let mut scanned = 0;
        while scanned < self.scans() {
            if at == end {
                at = self.links[at as usize].0;
                // Nothing is left of the list.
                if at == end {
                    break;
                }
                continue;
            }
            next = self.links[at as usize].0;
            if self.nodes[at as usize].is_referenced {
                self.move_within(at, Kind::Active, group);
            }
            if at == last {
                break;
            }
            at = next;
            scanned += 1;
        }
        self.shared[group as usize].rotation = next;
    }

    /// Frees up to `count` inactive elements that nobody looked at, else one whatever it is (`__bpf_lru_list_shrink`).
    fn shrink(&mut self, group: u32, count: u32, to: (Kind, u32), unlink: &mut dyn FnMut(u32) -> bool) {
        let end = self.end(Kind::Inactive, group);
        let mut at = self.links[end as usize].0;
        let (mut freed, mut scanned) = (0, 0);
        while at != end {
            let before = self.links[at as usize].0;
            if self.nodes[at as usize].is_referenced {
                self.move_within(at, Kind::Active, group);
            } else if unlink(at) {
                self.free(at, group, to);
                freed += 1;
                if freed == count {
                    break;
                }
            }
            scanned += 1;
            if scanned == self.scans() {
                break;
            }
            at = before;
        }
        if freed > 0 {
            return;
        }
        let kind = if self.last(Kind::Inactive, group).is_some() { Kind::Inactive } else { Kind::Active };
        let end = self.end(kind, group);
        let mut at = self.links[end as usize].0;
        while at != end {
            let before = self.links[at as usize].0;
            if unlink(at) {
                self.free(at, group, to);
                return;
            }
            at = before;
        }
    }

    /// Moves an element that is out of the table to a free list (`__bpf_lru_node_move_to_free`).
    fn free(&mut self, slot: u32, group: u32, (kind, owner): (Kind, u32)) {
        self.has_evicted = true;
        self.step_rotation(slot, group);
        self.count(self.nodes[slot as usize].kind, group, -1);
        self.nodes[slot as usize].kind = kind;
        self.move_to(slot, kind, owner);
    }

    /// Moves a slot between the lists of a group (`__bpf_lru_node_move`).
    fn move_within(&mut self, slot: u32, kind: Kind, group: u32) {
        self.count(self.nodes[slot as usize].kind, group, -1);
        self.count(kind, group, 1);
        let node = &mut self.nodes[slot as usize];
        (node.kind, node.is_referenced) = (kind, false);
        self.step_rotation(slot, group);
        self.move_to(slot, kind, group);
    }

    /// The next turn does not start at a slot that leaves its place.
    fn step_rotation(&mut self, slot: u32, group: u32) {
        let before = self.links[slot as usize].0;
        let rotation = &mut self.shared[group as usize].rotation;
        if *rotation == slot {
            *rotation = before;
        }
    }

    fn count(&mut self, kind: Kind, group: u32, by: i32) {
        let shared = &mut self.shared[group as usize];
        match kind {
            Kind::Active => shared.active = shared.active.wrapping_add_signed(by),
            Kind::Inactive => shared.inactive = shared.inactive.wrapping_add_signed(by),
            Kind::Free | Kind::LocalFree | Kind::Pending => {}
        }
    }

    /// The end of a list: what lies before its first and behind its last slot.
    fn end(&self, kind: Kind, owner: u32) -> u32 {
        self.slots + 5 * owner + kind as u32
    }
    fn last(&self, kind: Kind, owner: u32) -> Option<u32> {
        let end = self.end(kind, owner);
        Some(self.links[end as usize].0).filter(|slot| *slot != end)
    }
    fn pop_first(&mut self, kind: Kind, owner: u32) -> Option<u32> {
        let end = self.end(kind, owner);
        let first = self.links[end as usize].1;
        if first == end {
            return None;
        }
        self.unlink(first);
        Some(first)
    }
    fn unlink(&mut self, slot: u32) {
        let (before, behind) = self.links[slot as usize];
        self.links[before as usize].1 = behind;
        self.links[behind as usize].0 = before;
    }
    fn push_front(&mut self, slot: u32, kind: Kind, owner: u32) {
        let end = self.end(kind, owner);
        let first = self.links[end as usize].1;
        self.links[slot as usize] = (end, first);
        self.links[end as usize].1 = slot;
        self.links[first as usize].0 = slot;
    }
    fn move_to(&mut self, slot: u32, kind: Kind, owner: u32) {
        self.unlink(slot);
        self.push_front(slot, kind, owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lru(is_common: bool, slots: u32, cpus: u32) -> Lru {
        let mut lru = Lru::new(is_common, slots, cpus);
        lru.populate(slots, cpus);
        lru
    }

    /// Pops once; the slots whose elements went.
    fn pop(lru: &mut Lru, cpu: u32) -> (Option<u32>, Vec<u32>) {
        let mut gone = Vec::new();
        let slot = lru.pop(cpu, &mut |slot| {
            gone.push(slot);
            true
        });
        (slot, gone)
    }

    #[test]
    fn a_full_common_list_frees_all_that_nobody_looked_at() {
        let mut lru = lru(true, 4, 1);
        let slots: Vec<u32> = (0..4).map(|_| pop(&mut lru, 0).0.unwrap()).collect();
        assert!(!lru.has_evicted());
        lru.mark(slots[1]);
        let (slot, gone) = pop(&mut lru, 0);
        // Three go at once, the oldest first; the one that was looked at stays.
        assert_eq!(gone, [slots[0], slots[2], slots[3]]);
        assert!(lru.has_evicted() && gone.contains(&slot.unwrap()));
    }

    #[test]
    fn reference_bits_do_not_keep_a_full_list_full() {
        for is_common in [true, false] {
            let mut lru = lru(is_common, 3, 1);
            let slots: Vec<u32> = (0..3).map(|_| pop(&mut lru, 0).0.unwrap()).collect();
            for slot in slots {
                lru.mark(slot);
            }
            let (slot, gone) = pop(&mut lru, 0);
            assert!(slot.is_some() && !gone.is_empty(), "common: {is_common}");
        }
    }

    #[test]
    fn a_cpu_takes_from_others_what_they_hold() {
        let mut lru = lru(true, 2, 2);
        let first = pop(&mut lru, 0).0.unwrap();
        // The other slot waits on the free list of CPU 0.
        let (second, gone) = pop(&mut lru, 1);
        assert!(second.is_some_and(|slot| slot != first) && gone.is_empty());
        // Now an element has to go: CPU 1's own, then again one of CPU 0.
        let (third, gone) = pop(&mut lru, 1);
        assert_eq!((third, gone), (second, vec![second.unwrap()]));
    }

    #[test]
    fn lists_of_a_cpu_free_at_most_four() {
        let mut lru = lru(false, 16, 2);
        let slots: Vec<u32> = (0..8).map(|_| pop(&mut lru, 1).0.unwrap()).collect();
        assert!(slots.iter().all(|slot| *slot >= 8));
        let (_, gone) = pop(&mut lru, 1);
        assert_eq!(gone, slots[..4]);
    }

    /// No slot is lost, and none is on two lists, whatever happens.
    #[test]
    fn every_slot_is_somewhere() {
        for is_common in [true, false] {
            let mut lru = lru(is_common, 300, 3);
            let (mut held, mut dice) = (Vec::new(), 99u32);
            for _ in 0..20_000 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match dice >> 30 {
                    0 if !held.is_empty() => lru.push(held.swap_remove((dice >> 8) as usize % held.len())),
                    1 if !held.is_empty() => lru.mark(held[(dice >> 8) as usize % held.len()]),
                    _ => {
                        let (slot, gone) = pop(&mut lru, (dice >> 8) % 3);
                        held.retain(|slot| !gone.contains(slot));
                        let slot = slot.expect("something can always go");
                        assert!(!held.contains(&slot));
                        held.push(slot);
                    }
                }
                assert!(held.len() <= 300);
            }
            assert!(lru.has_evicted());
        }
    }
}
