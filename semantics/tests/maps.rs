//! Maps from user space: what is made, what each command says, which elements go, what a walk shows.

use semantics::map::{
    Contents, Errno, Held, Map, MapDef, MapError, MapType, NO_COMMON_LRU, NO_PREALLOC, NUMA_NODE, RDONLY, RDONLY_PROG,
    STACK_BUILD_ID, Setting, WRONLY, ZERO_SEED, check, update,
};
use semantics::memory::Memory;

struct Session {
    map: Map,
    memory: Memory,
}

impl Session {
    fn new(def: &MapDef) -> Session {
        Session::with(def, Setting::default())
    }
    fn with(def: &MapDef, setting: Setting) -> Session {
        let mut memory = Memory::detached().expect("guest memory");
        let mut map = Map::create(std::slice::from_ref(def), 0, &mut memory).expect("a map");
        map.reset(&mut memory, &setting);
        Session { map, memory }
    }
    fn update(&mut self, key: u32, value: &[u8], flags: u64) -> Result<(), Errno> {
        self.map.user_update(&mut self.memory, Some(&key.to_le_bytes()), Some(value), flags)
    }
    fn lookup(&mut self, key: u32) -> Result<Vec<u8>, Errno> {
        self.map.user_lookup(&self.memory, Some(&key.to_le_bytes()), None, 0)
    }
    fn delete(&mut self, key: u32) -> Result<(), Errno> {
        self.map.user_delete(&mut self.memory, Some(&key.to_le_bytes()))
    }
    fn keys(&self) -> Vec<u32> {
        let mut keys = Vec::new();
        let mut next = self.map.user_next_key(None);
        while let Ok(key) = next {
            keys.push(u32::from_le_bytes(key[..4].try_into().expect("four bytes")));
            next = self.map.user_next_key(Some(&key));
        }
        keys
    }
}

fn def(map_type: MapType, key: u32, value: u32, entries: u32, flags: u32) -> MapDef {
    MapDef { flags, ..MapDef::new("m", map_type, key, value, entries) }
}

fn refusal(def: &MapDef) -> Option<Errno> {
    match check(def) {
        Err(MapError::Refused { errno, .. }) => Some(errno),
        _ => None,
    }
}

#[test]
fn creation_is_refused_as_the_kernel_does() {
    use Errno::{E2big, Einval, Enotsupp};
    let rows = [
        (def(MapType::LRU_HASH, 4, 8, 4, NO_PREALLOC), Some(Enotsupp)),
        (def(MapType::LRU_HASH, 4, 8, 0, NO_PREALLOC), Some(Enotsupp)),
        (def(MapType::LRU_HASH, 4, 8, 4, NO_COMMON_LRU), None),
        (def(MapType::HASH, 4, 8, 4, NO_COMMON_LRU), Some(Einval)),
        (def(MapType::PERCPU_HASH, 4, 8, 4, NUMA_NODE), Some(Einval)),
        (def(MapType::PERCPU_HASH, 4, 32_768, 4, 0), None),
        (def(MapType::PERCPU_HASH, 4, 32_769, 4, 0), Some(E2big)),
        (def(MapType::PERCPU_ARRAY, 4, 32_769, 4, 0), Some(E2big)),
        (def(MapType::HASH, 4, 8, (1 << 27) + 1, 0), Some(E2big)),
        (def(MapType::LPM_TRIE, 8, 8, 4, 0), Some(Einval)),
        (def(MapType::LPM_TRIE, 260, 8, 4, NO_PREALLOC), None),
        (def(MapType::LPM_TRIE, 261, 8, 4, NO_PREALLOC), Some(Einval)),
        (def(MapType::QUEUE, 4, 8, 4, 0), Some(Einval)),
        (def(MapType::QUEUE, 0, (1 << 22) + 1, 4, 0), Some(E2big)),
        (def(MapType::BLOOM_FILTER, 4, (1 << 22) + 1, 4, 0), Some(E2big)),
        (MapDef { extra: 16, ..def(MapType::BLOOM_FILTER, 0, 8, 4, 0) }, Some(Einval)),
        (MapDef { extra: 1, ..def(MapType::QUEUE, 0, 8, 4, 0) }, Some(Einval)),
        (def(MapType::STACK_TRACE, 4, 1016, 4, 0), None),
        (def(MapType::STACK_TRACE, 4, 1024, 4, 0), Some(Einval)),
        (def(MapType::STACK_TRACE, 4, 1024, 4, STACK_BUILD_ID), None),
        (def(MapType::PROG_ARRAY, 4, 4, 4, RDONLY_PROG), Some(Einval)),
        (def(MapType::CPUMAP, 4, 4, 8193, 0), Some(E2big)),
        (def(MapType::SOCKHASH, 513, 4, 4, 0), Some(E2big)),
        (def(MapType::SK_STORAGE, 4, 8, 0, 0), Some(Einval)),
        (def(MapType::SK_STORAGE, 4, 65_408, 0, NO_PREALLOC), Some(E2big)),
        (def(MapType::CGROUP_STORAGE, 4, 8, 0, 0), Some(Einval)),
        (def(MapType::CGROUP_STORAGE, 8, 8, 1, 0), Some(Einval)),
        (def(MapType::RINGBUF, 0, 0, 12_288, 0), Some(Einval)),
        (def(MapType::USER_RINGBUF, 0, 0, 4096, 0), None),
        (def(MapType::STRUCT_OPS, 4, 8, 2, 0), Some(Einval)),
        (def(MapType::STRUCT_OPS, 4, 8, 1, 0), None),
        (def(MapType::HASH, 4, 8, 4, RDONLY | WRONLY), Some(Einval)),
    ];
    for (def, errno) in rows {
        assert_eq!(refusal(&def), errno, "{def:?}");
    }
}

#[test]
fn inner_maps_look_as_they_must() {
    let cells = |name: &str, value, entries| MapDef::new(name, MapType::ARRAY, 4, value, entries);
    let of_maps = |inner| MapDef { inner: Some(Box::new(inner)), ..def(MapType::ARRAY_OF_MAPS, 4, 4, 2, 0) };
    assert_eq!(refusal(&of_maps(of_maps(cells("i", 8, 1)))), Some(Errno::Einval));
    assert_eq!(refusal(&of_maps(def(MapType::PROG_ARRAY, 4, 4, 1, 0))), Some(Errno::Enotsupp));
    let defs = [of_maps(cells("i", 8, 1)), cells("a", 8, 1), cells("b", 8, 2), cells("c", 4, 1)];
    let mut memory = Memory::detached().expect("guest memory");
    let mut map = Map::create(&defs, 0, &mut memory).expect("a map");
    let mut put = |number: u32, flags| map.user_update(&mut memory, Some(&[0; 4]), Some(&number.to_le_bytes()), flags);
    assert_eq!([put(1, 0), put(2, 0), put(3, 0)], [Ok(()), Err(Errno::Einval), Err(Errno::Einval)]);
    assert_eq!([put(4, 0), put(1, update::EXIST)], [Err(Errno::Ebadf), Err(Errno::Einval)]);
    assert_eq!(map.ops.held(&[0; 4]), Some(Held::Map(1)));
    assert_eq!(map.user_lookup(&memory, Some(&[0; 4]), None, 0), Ok(vec![1, 0, 0, 0]));
}

/// What a map cannot hold is refused when it is made, not when it is first reset.
#[test]
fn contents_must_fit() {
    let element = |key: u32| (key.to_le_bytes().to_vec(), vec![1; 8]);
    let with = |of, entries, all| MapDef { contents: Contents::Elements(all), ..def(of, 4, 8, entries, 0) };
    let mut memory = Memory::detached().expect("guest memory");
    let mut made = |def: MapDef| {
        Map::create(&[def], 0, &mut memory).map(|_| ()).map_err(|error| match error {
            MapError::Refused { errno, .. } => errno,
            error => panic!("{error}"),
        })
    };
    assert_eq!(made(with(MapType::ARRAY, 2, vec![element(1)])), Ok(()));
    assert_eq!(made(with(MapType::ARRAY, 2, vec![element(2)])), Err(Errno::E2big));
    assert_eq!(made(with(MapType::HASH, 1, vec![element(1), element(2)])), Err(Errno::E2big));
    assert_eq!(made(with(MapType::HASH, 1, vec![(vec![0; 3], vec![1; 8])])), Err(Errno::Einval));
}

#[test]
fn commands_keep_to_the_mode_of_the_map() {
    let mut reads = Session::new(&def(MapType::HASH, 4, 8, 4, RDONLY));
    assert_eq!((reads.update(1, &[0; 8], 0), reads.lookup(1)), (Err(Errno::Eperm), Err(Errno::Enoent)));
    let mut writes = Session::new(&def(MapType::HASH, 4, 8, 4, WRONLY));
    assert_eq!((writes.update(1, &[0; 8], 0), writes.lookup(1)), (Ok(()), Err(Errno::Eperm)));
    assert_eq!(writes.map.user_next_key(None), Err(Errno::Eperm));
    let mut frozen = Session::new(&def(MapType::ARRAY, 4, 8, 4, 0));
    assert_eq!((frozen.map.user_freeze(), frozen.map.user_freeze()), (Ok(()), Err(Errno::Eperm)));
    assert_eq!((frozen.update(1, &[0; 8], 0), frozen.lookup(1)), (Err(Errno::Eperm), Ok(vec![0; 8])));
    // Flags come before the mode, and a lock needs a lock.
    assert_eq!(writes.map.user_lookup(&writes.memory, Some(&[0; 4]), None, 8), Err(Errno::Einval));
    assert_eq!(reads.map.user_lookup(&reads.memory, Some(&[0; 4]), None, update::LOCK), Err(Errno::Einval));
    assert_eq!(reads.map.user_lookup(&reads.memory, None, None, 0), Err(Errno::Efault));
}

#[test]
fn values_of_all_cpus_are_seen_at_once() {
    let setting = Setting { cpus: 3, current: 1, seed: 5 };
    for of in [MapType::PERCPU_HASH, MapType::PERCPU_ARRAY, MapType::LRU_PERCPU_HASH] {
        let mut session = Session::with(&def(of, 4, 5, 4, 0), setting);
        assert_eq!(session.map.ops.user_len(), Some(24));
        let values: Vec<u8> = (0..24).collect();
        assert_eq!(session.update(1, &values, 0), Ok(()));
        // The padding comes back as well.
        assert_eq!(session.lookup(1), Ok(values.clone()), "{of}");
        assert_eq!(session.update(1, &values[..23], 0), Err(Errno::Efault));
        let addr = session.map.ops.lookup(&[1, 0, 0, 0]).expect("an element");
        assert_eq!(session.memory.peek(addr, 5), &values[8..13]);
        session.map.ops.update(&mut session.memory, &[1, 0, 0, 0], &[9; 5], 0).expect("a program's update");
        let mut after = values.clone();
        after[8..13].fill(9);
        assert_eq!(session.lookup(1), Ok(after));
        assert_eq!(session.update(1, &values, update::LOCK), Err(Errno::Einval));
    }
}

#[test]
fn lookups_of_programs_count_and_those_of_user_space_do_not() {
    let hash = |flags| {
        let mut session =
            Session::with(&def(MapType::LRU_HASH, 4, 4, 4, flags), Setting { cpus: 1, ..Setting::default() });
        (0..4).for_each(|key| session.update(key, &[0; 4], 0).expect("room"));
        session
    };
    for flags in [0, NO_COMMON_LRU] {
        let mut session = hash(flags);
        assert!(!session.map.ops.has_evicted());
        session.map.ops.lookup(&2u32.to_le_bytes()).expect("an element");
        session.lookup(3).expect("an element");
        session.update(7, &[0; 4], 0).expect("room is made");
        assert!(session.map.ops.has_evicted());
        let mut keys = session.keys();
        keys.sort_unstable();
        assert_eq!(keys, [2, 7], "flags {flags}");
        // Room is made before the flag is looked at.
        let mut session = hash(flags);
        assert_eq!(session.update(7, &[0; 4], update::EXIST), Err(Errno::Enoent));
        assert_eq!(session.keys(), [0u32; 0]);
    }
}

#[test]
fn slots_are_used_again_last_first() {
    let mut session = Session::with(&def(MapType::HASH, 4, 4, 4, 0), Setting { cpus: 1, ..Setting::default() });
    let addr = |session: &Session, key: u32| session.map.ops.find(&key.to_le_bytes()).expect("an element");
    (0..3).for_each(|key| session.update(key, &[1; 4], 0).expect("room"));
    let [first, second] = [addr(&session, 0), addr(&session, 1)];
    session.delete(0).and_then(|()| session.delete(1)).expect("elements");
    session.update(8, &[2; 4], 0).and_then(|()| session.update(9, &[3; 4], 0)).expect("room");
    assert_eq!([addr(&session, 8), addr(&session, 9)], [second, first]);
    // A replacement takes the spare slot, and the next one the slot that was left.
    session.update(8, &[4; 4], 0).expect("a replacement");
    let spare = addr(&session, 8);
    assert!(spare != second && spare != first);
    session.update(9, &[5; 4], 0).expect("a replacement");
    assert_eq!(addr(&session, 9), second);
}

/// The functions of Linux, computed by hand for two buckets: iteration goes bucket by bucket.
#[test]
fn iteration_follows_the_seed() {
    let mut session = Session::new(&def(MapType::HASH, 4, 4, 16, ZERO_SEED));
    (0..16).for_each(|key| session.update(key, &[0; 4], 0).expect("room"));
    let order = session.keys();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..16).collect::<Vec<u32>>());
    let again = {
        let mut session =
            Session::with(&def(MapType::HASH, 4, 4, 16, ZERO_SEED), Setting { seed: 9, ..Setting::default() });
        (0..16).for_each(|key| session.update(key, &[0; 4], 0).expect("room"));
        session.keys()
    };
    assert_eq!(order, again);
    let mut other = Session::with(&def(MapType::HASH, 4, 4, 16, 0), Setting { seed: 9, ..Setting::default() });
    (0..16).for_each(|key| other.update(key, &[0; 4], 0).expect("room"));
    assert_ne!(order, other.keys());
}

#[test]
fn batches_are_whole_buckets() {
    let mut session = Session::new(&def(MapType::HASH, 4, 4, 8, 0));
    let elements: Vec<_> = (0u32..9).map(|key| (key.to_le_bytes().to_vec(), vec![7; 4])).collect();
    let stored = session.map.user_update_batch(&mut session.memory, &elements, 0);
    assert_eq!((stored.count, stored.error), (8, Some(Errno::E2big)));
    let (mut read, mut from) = (Vec::new(), None);
    loop {
        let batch = session.map.user_lookup_batch(&mut session.memory, from.as_deref(), 3, 0, false);
        read.extend(batch.elements);
        match batch.error {
            None => from = batch.next,
            Some(Errno::Enoent) => break,
            Some(errno) => panic!("{}", errno.name()),
        }
    }
    assert_eq!(read.len(), 8);
    let taken = session.map.user_lookup_batch(&mut session.memory, None, 100, 0, true);
    assert_eq!((taken.count, taken.error), (8, Some(Errno::Enoent)));
    assert_eq!(session.keys(), [0u32; 0]);
    let keys: Vec<Vec<u8>> = elements.into_iter().map(|(key, _)| key).collect();
    let deleted = session.map.user_delete_batch(&mut session.memory, &keys, 0);
    assert_eq!((deleted.count, deleted.error), (0, Some(Errno::Enoent)));
    let mut queue = Session::new(&def(MapType::QUEUE, 0, 4, 8, 0));
    let refused = queue.map.user_lookup_batch(&mut queue.memory, None, 1, 0, false);
    assert_eq!(refused.error, Some(Errno::Enotsupp));
}

#[test]
fn objects_are_held_by_number() {
    let word = |number: u32| number.to_le_bytes();
    let mut ports = Session::new(&def(MapType::DEVMAP, 4, 8, 2, 0));
    let device = |ifindex: u32, program: u32| [word(ifindex), word(program)].concat();
    assert_eq!(ports.update(0, &device(3, 5), 0), Ok(()));
    assert_eq!(ports.map.ops.held(&[0; 4]), Some(Held::Device { ifindex: 3, program: 5 }));
    assert_eq!(ports.update(0, &device(0, 5), 0), Err(Errno::Einval));
    assert_eq!(ports.update(0, &device(3, 5), update::NOEXIST), Err(Errno::Eexist));
    assert_eq!([ports.update(2, &device(3, 0), 0), ports.delete(2)], [Err(Errno::E2big), Err(Errno::Einval)]);
    assert_eq!([ports.update(0, &device(0, 0), 0), ports.delete(0)], [Ok(()), Ok(())]);
    assert_eq!(ports.lookup(0), Err(Errno::Enoent));

    let mut cpus = Session::new(&def(MapType::CPUMAP, 4, 4, 4, 0));
    assert_eq!([cpus.update(1, &word(64), 0), cpus.update(2, &word(64), 0)], [Ok(()), Err(Errno::Enodev)]);
    assert_eq!(cpus.update(1, &word(16_385), 0), Err(Errno::Eoverflow));
    assert_eq!((cpus.lookup(1), cpus.update(1, &word(0), 0)), (Ok(word(64).to_vec()), Ok(())));
    assert_eq!(cpus.lookup(1), Err(Errno::Enoent));

    let mut socks = Session::new(&def(MapType::SOCKMAP, 4, 4, 2, 0));
    assert_eq!([socks.update(1, &word(7), 0), socks.update(0, &word(u32::MAX), 0)], [Ok(()), Err(Errno::Einval)]);
    assert_eq!((socks.lookup(1), socks.delete(0)), (Err(Errno::Enospc), Err(Errno::Einval)));
    let mut shared = Session::new(&def(MapType::REUSEPORT_SOCKARRAY, 4, 8, 2, 0));
    let socket = 7u64.to_le_bytes();
    assert_eq!([shared.update(1, &socket, 0), shared.update(0, &socket, 0)], [Ok(()), Err(Errno::Ebusy)]);
    assert_eq!(
        [shared.update(1, &socket, update::NOEXIST), shared.delete(0)],
        [Err(Errno::Eexist), Err(Errno::Enoent)]
    );
    assert_eq!(shared.lookup(1), Ok(socket.to_vec()));
    let mut xdp = Session::new(&def(MapType::XSKMAP, 4, 4, 2, 0));
    assert_eq!([xdp.update(1, &word(7), 0), xdp.update(1, &word(7), update::NOEXIST)], [Ok(()), Ok(())]);
    assert_eq!([xdp.update(1, &word(8), update::NOEXIST), xdp.delete(0)], [Err(Errno::Eexist), Ok(())]);
    assert_eq!(xdp.lookup(1), Err(Errno::Eopnotsupp));
    let mut groups = Session::new(&def(MapType::CGROUP_ARRAY, 4, 4, 2, 0));
    assert_eq!([groups.update(1, &word(7), 0), groups.update(1, &word(7), 1)], [Ok(()), Err(Errno::Einval)]);
    assert_eq!((groups.lookup(1), groups.update(1, &word(u32::MAX), 0)), (Err(Errno::Enotsupp), Err(Errno::Ebadf)));
    assert_eq!([groups.delete(0), groups.delete(2)], [Err(Errno::Enoent), Err(Errno::E2big)]);
}

#[test]
fn storages_belong_to_objects() {
    for of in [MapType::SK_STORAGE, MapType::INODE_STORAGE, MapType::TASK_STORAGE, MapType::CGRP_STORAGE] {
        let mut session = Session::new(&def(of, 4, 8, 0, NO_PREALLOC));
        assert_eq!(session.update(3, &[1; 8], update::EXIST), Err(Errno::Enoent));
        assert_eq!(
            [session.update(3, &[1; 8], 0), session.update(3, &[1; 8], update::NOEXIST)],
            [Ok(()), Err(Errno::Eexist)]
        );
        assert_eq!((session.lookup(3), session.lookup(4)), (Ok(vec![1; 8]), Err(Errno::Enoent)));
        assert_eq!(
            (session.lookup(u32::MAX), session.map.user_next_key(None)),
            (Err(Errno::Ebadf), Err(Errno::Enotsupp))
        );
        assert_eq!([session.delete(3), session.delete(3)], [Ok(()), Err(Errno::Enoent)]);
    }
    let mut groups = Session::new(&def(MapType::CGROUP_STORAGE, 8, 8, 0, 0));
    let key = 9u64.to_le_bytes();
    let (map, memory) = (&mut groups.map, &mut groups.memory);
    assert_eq!(map.user_update(memory, Some(&key), Some(&[1; 8]), 0), Err(Errno::Enoent));
    assert_eq!(map.put(memory, &key, &[1; 8]), Some(Ok(())));
    assert_eq!(map.user_update(memory, Some(&key), Some(&[2; 8]), update::EXIST), Ok(()));
    assert_eq!(map.user_update(memory, Some(&key), Some(&[2; 8]), update::NOEXIST), Err(Errno::Einval));
    assert_eq!(map.user_lookup(memory, Some(&key), None, 0), Ok(vec![2; 8]));
    assert_eq!(map.user_delete(memory, Some(&key)), Err(Errno::Einval));
    assert_eq!(map.user_next_key(Some(&[0; 8])), Err(Errno::Enoent));
}
