//! Calls of helpers, whether or not they have a meaning: what their declarations demand, in Linux's words.

use semantics::asm::assemble;
use semantics::map::{Contents, MapDef, MapType, RDONLY_PROG, ValueField, ValueFieldKind};
use semantics::program::Program;
use semantics::program_type::ProgramType;
use std::sync::Arc;
use verifier::{Dialect, Options, Verdict, verify};

fn field(kind: ValueFieldKind, offset: u32) -> ValueField {
    ValueField { kind, offset, of: None }
}

/// 0 an array, 1 a ring buffer, 2 events, 3 programs, 4 a constant string, 5 values with a lock, 6 with a timer, 7 a queue.
fn maps() -> Vec<MapDef> {
    let map = |name: &str, map_type, key, value| MapDef::new(name, map_type, key, value, 1);
    let text = b"%d of %s\0\0\0\0\0\0\0\0".to_vec();
    vec![
        map("array", MapType::ARRAY, 4, 16),
        MapDef { max_entries: 4096, ..map("ring", MapType::RINGBUF, 0, 0) },
        map("events", MapType::PERF_EVENT_ARRAY, 4, 4),
        map("programs", MapType::PROG_ARRAY, 4, 4),
        MapDef {
            flags: RDONLY_PROG,
            frozen: true,
            contents: Contents::Bytes(text),
            ..map("text", MapType::ARRAY, 4, 16)
        },
        MapDef { fields: vec![field(ValueFieldKind::SpinLock, 4)], ..map("locks", MapType::HASH, 4, 16) },
        MapDef { fields: vec![field(ValueFieldKind::Timer, 0)], ..map("timers", MapType::HASH, 4, 16) },
        map("queue", MapType::QUEUE, 0, 8),
    ]
}

fn verdict_as(text: &str, license: &str, dialect: Dialect) -> Verdict {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let program = Program::new("test", ProgramType::Xdp, license, maps(), insns).unwrap();
    verify(&Arc::new(program), &Options { dialect, ..Options::default() })
}

fn message(text: &str, dialect: Dialect) -> Option<String> {
    match verdict_as(text, "GPL", dialect) {
        Verdict::Accept(_) => None,
        Verdict::Reject(rejection) => {
            assert!(rejection.explanation().ends_with('.'), "{}", rejection.explanation());
            Some(rejection.message())
        }
        Verdict::Unsupported(lack) => panic!("{lack}\n{text}"),
    }
}

fn accepts(text: &str) {
    for dialect in [Dialect::V6_1, Dialect::V6_8] {
        assert_eq!(message(text, dialect), None, "{dialect}\n{text}");
    }
}

fn rejects(expected: &str, text: &str) {
    for dialect in [Dialect::V6_1, Dialect::V6_8] {
        assert_eq!(message(text, dialect).as_deref(), Some(expected), "{dialect}\n{text}");
    }
}

/// The helper's number, for assembly.
fn call(name: &str) -> String {
    let fact = semantics::helper::FACTS.iter().find(|fact| fact.name == name);
    format!("call {}", fact.unwrap_or_else(|| panic!("{name}")).id)
}

/// `r0`: the value under key 0 of a map, surely there; `r6` keeps the context.
fn lookup(map: usize) -> String {
    format!(
        "r6 = r1\n *(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map {map} ll\n call 1\n if r0 != 0 goto there\n \
         r0 = 0\n exit\n there: "
    )
}

const END: &str = "r0 = 0\n exit";

#[test]
fn who_may_call_what() {
    let free = |text: &str, dialect| verdict_as(text, "MIT", dialect).is_accept();
    let text = format!("r1 = r10\n r1 += -8\n r2 = 8\n r3 = 0\n {}\n {END}", call("probe_read_kernel"));
    accepts(&text);
    assert!(!free(&text, Dialect::V6_8));
    let newer = format!("r1 = map 0 ll\n r2 = 0\n {}\n {END}", call("cgrp_storage_delete"));
    assert_eq!(message(&newer, Dialect::V6_1).unwrap(), "invalid func unknown#211");
    // Open to more types in later versions.
    let cgroup = format!("{}\n {END}", call("get_current_cgroup_id"));
    assert_eq!(message(&cgroup, Dialect::V6_1).unwrap(), "unknown func bpf_get_current_cgroup_id#80");
    assert_eq!(message(&cgroup, Dialect::V6_8), None);
    let pid = format!("{}\n {END}", call("get_current_pid_tgid"));
    rejects("unknown func bpf_get_current_pid_tgid#14", &pid);
    assert_eq!(message(&pid, Dialect::V6_12), None);
    rejects("unknown func bpf_skb_vlan_pop#19", &format!("{}\n {END}", call("skb_vlan_pop")));
}

#[test]
fn memory_and_sizes() {
    let event = |size: &str, prepare: &str| {
        format!(
            "r6 = r1\n {prepare} r1 = r6\n r2 = map 2 ll\n r3 = 0\n r4 = r10\n r4 += -16\n {size}\n {}\n {END}",
            call("perf_event_output")
        )
    };
    let unknown = "r7 = *(u32 *)(r1 + 12)\n ";
    accepts(&event("r5 = 16", ""));
    accepts(&event("r5 = 0", ""));
    accepts(&event("r5 = r7\n r5 &= 15", unknown));
    rejects("R5 min value is negative, either use unsigned or 'var &= const'", &event("r5 = -1", ""));
    rejects("R5 unbounded memory access, use 'var &= const' or 'if (var < const)'", &event("r5 = r7", unknown));
    rejects("invalid indirect access to stack R4 off=-16 size=17", &event("r5 = 17", ""));
    rejects("R5 type=fp expected=scalar", &event("r5 = r10", ""));
    // Packets go to helpers that take them, up to what is there.
    let sum = |len: u32| {
        format!(
            "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r2 = r6\n r2 += 8\n if r2 > r7 goto out\n r1 = r6\n r2 = {len}\n \
             r3 = 0\n r4 = 0\n r5 = 0\n {}\n out: {END}",
            call("csum_diff")
        )
    };
    accepts(&sum(8));
    rejects(
        "invalid access to packet, off=0 size=12, R1(id=0,off=0,r=8)\nR1 offset is outside of the packet",
        &sum(12),
    );
}

#[test]
fn numbers_that_a_helper_writes() {
    let parse = |off: i32| {
        format!(
            "*(u64 *)(r10 - 8) = 0\n r1 = r10\n r1 += -8\n r2 = 8\n r3 = 0\n r4 = r10\n r4 += {off}\n {}\n {END}",
            call("strtol")
        )
    };
    accepts(&parse(-16));
    let wanted = Some("invalid indirect access to stack R4 off=-4 size=8");
    assert_eq!(message(&parse(-4), Dialect::V6_1).as_deref(), wanted);
    let misaligned = message(&parse(-20), Dialect::V6_1).unwrap();
    assert_eq!(misaligned, "misaligned stack access off (0x0; 0x0)+-20+0 size 8");
}

#[test]
fn maps_and_helpers_go_together() {
    let output = |map: u32, name: &str| {
        format!("r1 = map {map} ll\n r2 = r10\n r2 += -8\n r3 = 8\n r4 = 0\n {}\n {END}", call(name))
    };
    accepts(&output(1, "ringbuf_output"));
    rejects("cannot pass map_type 2 into func bpf_ringbuf_output#130", &output(0, "ringbuf_output"));
    let lookup_in =
        |map: u32| format!("r2 = r10\n r2 += -4\n *(u32 *)(r2 + 0) = 0\n r1 = map {map} ll\n call 1\n {END}");
    rejects("cannot pass map_type 3 into func bpf_map_lookup_elem#1", &lookup_in(3));
    accepts(&lookup_in(5));
    rejects(
        "write into map forbidden",
        &format!("r2 = r10\n r2 += -4\n r1 = map 4 ll\n {}\n {END}", call("map_delete_elem")),
    );
    let push =
        |map: u32| format!("r1 = map {map} ll\n r2 = r10\n r2 += -16\n r3 = 0\n {}\n {END}", call("map_push_elem"));
    accepts(&push(7));
    rejects("cannot pass map_type 1 into func bpf_map_push_elem#87", &push(5));
}

#[test]
fn records_are_given_back_once() {
    let reserve = format!("r1 = map 1 ll\n r2 = 8\n r3 = 0\n {}\n if r0 == 0 goto out\n ", call("ringbuf_reserve"));
    let submit = format!("r1 = r0\n r2 = 0\n {}\n ", call("ringbuf_submit"));
    accepts(&format!("{reserve} *(u64 *)(r0 + 0) = 1\n {submit} out: {END}"));
    let leak = message(&format!("{reserve} out: {END}"), Dialect::V6_1).unwrap();
    assert!(leak.starts_with("Unreleased reference id="), "{leak}");
    assert!(leak.ends_with(" alloc_insn=4"), "{leak}");
    rejects(
        "R1 invalid mem access 'scalar'",
        &format!("{reserve} r6 = r0\n {submit} r1 = r6\n *(u64 *)(r1 + 0) = 1\n out: {END}"),
    );
    let twice = format!("{reserve} r6 = r0\n {submit} r1 = r6\n r2 = 0\n {}\n out: {END}", call("ringbuf_submit"));
    assert_eq!(message(&twice, Dialect::V6_1).unwrap(), "R1 type=scalar expected=alloc_mem");
    assert_eq!(message(&twice, Dialect::V6_8).unwrap(), "R1 type=scalar expected=ringbuf_mem");
    let moved = format!("{reserve} r1 = r0\n r1 += 4\n r2 = 0\n {}\n out: {END}", call("ringbuf_submit"));
    let wanted = "dereference of modified alloc_mem ptr R1 off=4 disallowed";
    assert_eq!(message(&moved, Dialect::V6_1).unwrap(), wanted);
    rejects(
        "R2 is not a known constant'",
        &format!("r2 = *(u32 *)(r1 + 12)\n r1 = map 1 ll\n r3 = 0\n {}\n {END}", call("ringbuf_reserve")),
    );
}

#[test]
fn locks() {
    let (take, give) = (call("spin_lock"), call("spin_unlock"));
    let locked = |body: &str| format!("{} r7 = r0\n r1 = r7\n r1 += 4\n {take}\n {body}\n {END}", lookup(5));
    accepts(&locked(&format!("r1 = r7\n r1 += 4\n {give}")));
    rejects("bpf_spin_unlock is missing", &locked(""));
    rejects("function calls are not allowed while holding a lock", &locked(&call("ktime_get_ns")));
    rejects("function calls are not allowed while holding a lock", &locked(&format!("r1 = r7\n r1 += 4\n {take}")));
    let alone = |map, off: u32, name: &str| format!("{} r1 = r0\n r1 += {off}\n {}\n {END}", lookup(map), call(name));
    rejects("bpf_spin_unlock without taking a lock", &alone(5, 4, "spin_unlock"));
    assert_eq!(
        message(&alone(5, 0, "spin_lock"), Dialect::V6_1).unwrap(),
        "off 0 doesn't point to 'struct bpf_spin_lock'"
    );
    rejects("map 'array' has to have BTF in order to use bpf_spin_lock", &alone(0, 0, "spin_lock"));
    rejects("map 'timers' doesn't have 'struct bpf_spin_lock'", &alone(6, 0, "spin_lock"));
}

#[test]
fn timers_lie_in_the_map_that_is_named() {
    let init = |timer: usize, map: u32, off: u32| {
        format!("{} r1 = r0\n r1 += {off}\n r2 = map {map} ll\n r3 = 1\n {}\n {END}", lookup(timer), call("timer_init"))
    };
    accepts(&init(6, 6, 0));
    rejects("off 8 doesn't point to 'struct bpf_timer' that is at 0", &init(6, 6, 8));
    rejects("timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0", &init(6, 5, 0));
}

#[test]
fn callbacks() {
    let each = |map: u32, off: u32, result: u32| {
        format!(
            "r1 = map {map} ll\n r2 = subprog[f] ll\n r3 = 0\n r4 = 0\n {}\n {END}\n f: r0 = *(u8 *)(r3 + {off})\n r0 = {result}\n exit",
            call("for_each_map_elem")
        )
    };
    accepts(&each(0, 15, 1));
    rejects(
        "invalid access to map value, value_size=16 off=16 size=1\nR3 min value is outside of the allowed memory range",
        &each(0, 16, 0),
    );
    let result = message(&each(0, 15, 2), Dialect::V6_1).unwrap();
    assert!(result.starts_with("At callback return the register R0 has value (0x2; 0x0)"), "{result}");
    rejects("callback function not allowed for map", &each(7, 0, 0));
}

#[test]
fn dynptrs() {
    let make = format!(
        "r6 = r1\n r1 = map 1 ll\n r2 = 8\n r3 = 0\n r4 = r10\n r4 += -16\n {}\n ",
        call("ringbuf_reserve_dynptr")
    );
    let give = format!("r1 = r10\n r1 += -16\n r2 = 0\n {}\n ", call("ringbuf_submit_dynptr"));
    let data = |len: u32| format!("r1 = r10\n r1 += -16\n r2 = 0\n r3 = {len}\n {}\n ", call("dynptr_data"));
    accepts(&format!("{make} {give} {END}"));
    accepts(&format!("{make} {} if r0 == 0 goto out\n *(u64 *)(r0 + 0) = 1\n out: {give} {END}", data(8)));
    let leak = message(&format!("{make} {END}"), Dialect::V6_1).unwrap();
    assert!(leak.starts_with("Unreleased reference id="), "{leak}");
    rejects(
        "invalid access to memory, mem_size=8 off=8 size=8\nR0 min value is outside of the allowed memory range",
        &format!("{make} {} if r0 == 0 goto out\n *(u64 *)(r0 + 8) = 1\n out: {give} {END}", data(8)),
    );
    // What was made of it goes with it.
    rejects(
        "R7 invalid mem access 'scalar'",
        &format!(
            "{make} {} r7 = r0\n if r7 == 0 goto out\n {give} r0 = *(u64 *)(r7 + 0)\n exit\n out: {give} {END}",
            data(8)
        ),
    );
    rejects("arg 1 is an unacquired reference", &format!("{make} {give} {give} {END}"));
    rejects("Expected an initialized dynptr as arg #1", &format!("*(u64 *)(r10 - 16) = 0\n {} {END}", data(8)));
    rejects("Dynptr has to be an uninitialized dynptr", &format!("{make} {make} {END}").replacen("r6 = r1\n", "", 2));
    rejects(
        "cannot pass in dynptr at an offset",
        &format!("{make} r1 = r10\n r1 += -12\n r2 = 0\n {}\n {END}", call("ringbuf_submit_dynptr")),
    );
    rejects("Expected an initialized dynptr as arg #1", &format!("{make} *(u8 *)(r10 - 9) = 1\n {} {END}", data(8)));
}

#[test]
fn constant_strings_and_formats() {
    let print = |map: usize, bytes: u32| {
        format!(
            "*(u64 *)(r10 - 16) = 0\n *(u64 *)(r10 - 24) = 0\n {} r3 = r0\n r1 = r10\n r1 += -8\n r2 = 8\n r4 = r10\n r4 += -24\n \
             r5 = {bytes}\n {}\n {END}",
            lookup(map),
            call("snprintf")
        )
    };
    accepts(&print(4, 16));
    rejects("Invalid format string", &print(4, 8));
    rejects("R3 does not point to a readonly map'", &print(0, 16));
}

#[test]
fn results() {
    // Bytes that were read, or an error.
    let read = |limit: u32| {
        format!(
            "{} r7 = r0\n r1 = r10\n r1 += -64\n r2 = {limit}\n r3 = 0\n {}\n if r0 s< 0 goto out\n r7 += r0\n \
             r0 = *(u8 *)(r7 + 0)\n out: {END}",
            lookup(0),
            call("probe_read_kernel_str")
        )
    };
    accepts(&read(15));
    rejects(
        "invalid access to map value, value_size=16 off=16 size=1\nR7 max value is outside of the allowed memory range",
        &read(16),
    );
    // The packet may have moved.
    let moved = format!(
        "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r8 = r6\n r8 += 1\n if r8 > r7 goto out\n r2 = 0\n {}\n \
         r0 = *(u8 *)(r6 + 0)\n out: {END}",
        call("xdp_adjust_head")
    );
    rejects("R6 invalid mem access 'scalar'", &moved);
}

/// What a turn of the inner loop changed is forgotten behind the turns of the outer one, too: a loop is followed for a few
/// turns, however often it may go round.
#[test]
fn loops_in_loops_are_followed_for_a_few_turns() {
    let call_back = |body: &str| format!("r2 = {body} ll\n r4 = 0\n call 181\n");
    let (outer, inner) = (call_back("outer"), call_back("inner"));
    let text = format!(
        "*(u64 *)(r10 - 8) = 0\n r1 = 6\n r3 = r10\n r3 += -8\n {outer} r0 = 2\n exit\n \
         outer: r3 = r2\n r1 = 7\n {inner} r0 = 0\n exit\n \
         inner: r3 = *(u64 *)(r2 + 0)\n r3 += 1\n *(u64 *)(r2 + 0) = r3\n r0 = 0\n exit"
    );
    for dialect in Dialect::ALL {
        let Verdict::Accept(accepted) = verdict_as(&text, "GPL", dialect) else { panic!("{text}") };
        assert!(accepted.stats.insns < 500, "{}", accepted.stats.insns);
    }
}
