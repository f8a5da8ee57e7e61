//! Slots that hold no element: a list for each CPU, last in, first out (`kernel/bpf/percpu_freelist.c`).

use std::ops::Range;

/// The free slots of a map whose elements all exist from the start.
///
/// Slots that were never used lie under those that were given back, and the highest of them comes first: they are put on the
/// list in ascending order, each on top.
#[derive(Debug, Default)]
pub(super) struct FreeLists {
    lists: Vec<FreeList>,
}

#[derive(Debug, Default)]
struct FreeList {
    given_back: Vec<u32>,
    fresh: Range<u32>,
    all: Range<u32>,
}

/// Deals `slots` slots out to `cpus` CPUs, in order: the first get one more where they cannot be shared out evenly.
pub(super) fn deal(slots: u32, cpus: u32) -> impl Iterator<Item = Range<u32>> {
    let (each, more) = (slots / cpus, slots % cpus);
    let first = move |cpu: u32| cpu * each + cpu.min(more);
    (0..cpus).map(move |cpu| first(cpu)..first(cpu + 1))
}

impl FreeLists {
    /// `pcpu_freelist_populate`.
    pub(super) fn populate(&mut self, slots: u32, cpus: u32) {
        self.lists.resize_with(cpus as usize, FreeList::default);
        for (list, range) in self.lists.iter_mut().zip(deal(slots, cpus)) {
            list.given_back.clear();
            list.all = range.clone();
            list.fresh = range;
        }
    }
    /// `pcpu_freelist_push`: gives a slot back to the list of this CPU.
    pub(super) fn push(&mut self, cpu: u32, slot: u32) {
        self.lists[cpu as usize].given_back.push(slot);
    }
    /// `pcpu_freelist_pop`: the first slot of the list of this CPU, else of the next one's.
    pub(super) fn pop(&mut self, cpu: u32) -> Option<u32> {
        let (before, from) = self.lists.split_at_mut(cpu as usize);
        from.iter_mut().chain(before).find_map(|list| list.given_back.pop().or_else(|| list.fresh.next_back()))
    }
    /// The slots that were ever in use.
    pub(super) fn touched(&self) -> impl Iterator<Item = Range<u32>> {
        self.lists.iter().map(|list| list.fresh.end..list.all.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out_by_cpu() {
        let mut lists = FreeLists::default();
        lists.populate(5, 2);
        assert_eq!(deal(5, 2).collect::<Vec<_>>(), [0..3, 3..5]);
        assert_eq!([lists.pop(1), lists.pop(1), lists.pop(1)], [Some(4), Some(3), Some(2)]);
        lists.push(0, 4);
        lists.push(0, 3);
        assert_eq!([lists.pop(0), lists.pop(1), lists.pop(1), lists.pop(0)], [Some(3), Some(4), Some(1), Some(0)]);
        assert_eq!(lists.pop(0), None);
        assert_eq!(lists.touched().collect::<Vec<_>>(), [0..3, 3..5]);
    }
}
