//! Small jobs to try guests out and to measure them with.

use wire::{Attach, Engine, Fd, FdField, Job, Map, Program, Run};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_SOCKET_FILTER`.
const SOCKET_FILTER: u32 = 1;
/// `BPF_PROG_TYPE_TRACING`, and `BPF_TRACE_FENTRY`.
const FENTRY: (u32, u32) = (26, 24);
/// `BTF_KIND_FUNC`.
const FUNC: u32 = 12;

/// A small case: a program with an array that looks an element up, changes it and returns `number`, loaded with the log at
/// level 2 and run once on a packet under both engines; the array is read back.
pub fn small(number: u32) -> Job {
    let number = u64::from(number) << 32;
    let slots = [
        0xa2bf,                // r2 = r10
        0xffff_fffc_0000_0207, // r2 += -4
        0x0000_0000_fffc_0a62, // *(u32 *)(r10 - 4) = 0
        0x1118,                // r1 = map
        0,
        1 << 32 | 0x85,  // call bpf_map_lookup_elem
        0x0002_0015,     // if r0 == 0 goto +2
        number | 0x01b7, // r1 = number
        0x107b,          // *(u64 *)(r0 + 0) = r1
        number | 0x00b7, // r0 = number
        0x95,            // exit
    ];
    let insns = slots.iter().flat_map(|slot: &u64| slot.to_le_bytes()).collect();
    let fds = vec![FdField { slot: 3, fd: Fd::Map(0) }];
    let (license, name) = ("GPL".to_owned(), "small".to_owned());
    Job {
        engines: vec![Engine::Jit, Engine::Interpreter],
        maps: vec![Map { map_type: ARRAY, key_size: 4, value_size: 8, max_entries: 4, ..Map::default() }],
        programs: vec![Program { name, prog_type: SOCKET_FILTER, license, insns, fds, ..Program::default() }],
        runs: vec![Run { data: vec![0; 64], repeat: 1, read_back: vec![0], ..Run::default() }],
        log_level: 2,
        ..Job::default()
    }
}

/// A program that is attached to a kernel function, which the kernel knows only with types of its own.
pub fn attached() -> Job {
    let insns = [0x00b7_u64, 0x95].iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let attach = Some(Attach { name: "bpf_fentry_test1".to_owned(), kind: FUNC });
    let (prog_type, attach_type) = FENTRY;
    let license = "GPL".to_owned();
    let program = Program { prog_type, attach_type, license, attach, insns, ..Program::default() };
    Job { engines: vec![Engine::Jit], programs: vec![program], log_level: 1, ..Job::default() }
}
