//! Calls of every kind on both engines: subprograms, callbacks of helpers, tail calls, packet loads, and traps in all of them.

use std::sync::Arc;

use jit::Jit;
use semantics::asm::{self, Options};
use semantics::engine::{Engine, Lack};
use semantics::helper::{self, Call, Helper, by_id, id};
use semantics::interpreter;
use semantics::map::{Contents, MapDef, MapType};
use semantics::memory::{Memory, layout};
use semantics::outcome::Outcome;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::{Trap, Unsupported};
use semantics::world::{Input, World};

fn table(programs: &[(u32, &str)]) -> MapDef {
    let held = programs.iter().map(|(index, name)| (*index, (*name).to_owned())).collect();
    MapDef { contents: Contents::Programs(held), ..MapDef::new("table", MapType::PROG_ARRAY, 4, 4, 4) }
}

fn cells() -> MapDef {
    MapDef::new("cells", MapType::ARRAY, 4, 16, 1)
}

/// A program of the parts; the first is called `main`. The maps are `table` and `cells`.
fn linked(parts: &[(&str, &str)], programs: &[(u32, &str)]) -> Program {
    let maps = |name: &str| ["table", "cells"].iter().position(|map| *map == name).map(|at| at as u32);
    let mut parts = parts.iter().map(|(name, text)| {
        let insns = asm::assemble_with(text, Options { maps: &maps, ..Options::default() }).unwrap();
        Program::new(*name, ProgramType::SocketFilter, "GPL", vec![table(programs), cells()], insns).unwrap()
    });
    let main = parts.next().unwrap();
    main.with_targets(parts.collect()).unwrap()
}

fn input() -> Input {
    Input { packet: (0..64).collect(), ..Input::default() }
}

/// Runs on both engines, which must agree on everything.
fn agree(program: Program, replace: Option<Helper>) -> Outcome {
    // SAFETY: the programs of this file access their frames, the context and map values within bounds, and end.
    let program = unsafe { Verified::trust(Arc::new(program)) };
    let mut world = World::new(Memory::native().unwrap());
    if let Some(helper) = replace {
        world.helpers.replace(helper);
    }
    world.load(program.program()).unwrap();
    world.reset(&input()).unwrap();
    let stop = interpreter::run(program.program(), &mut world, 1 << 24, &mut ());
    let expected = world.outcome(stop.result);
    let mut jit = Jit::new().unwrap();
    jit.load(&program).unwrap();
    for _ in 0..2 {
        world.reset(&input()).unwrap();
        let result = jit.run(&mut world);
        let outcome = world.outcome(result);
        assert_eq!(expected.difference(&outcome), None);
    }
    expected
}

fn result(text: &str) -> Result<u64, Trap> {
    agree(linked(&[("main", text)], &[]), None).result
}

/// Each depth keeps its registers and its frame around a callback, and the callback has its own.
#[test]
fn callbacks_at_every_depth() {
    let text = "r6 = 1; r7 = 2; r8 = 3; r9 = 4; *(u64 *)(r10 - 8) = 5
        call one; r0 += r6; r0 += r7; r0 += r8; r0 += r9; r1 = *(u64 *)(r10 - 8); r0 += r1; exit
        one: r6 = 10; r9 = 40; *(u64 *)(r10 - 8) = 50; call two; r0 += r6; r0 += r9; r1 = *(u64 *)(r10 - 8); r0 += r1; exit
        two: r7 = 200; *(u64 *)(r10 - 8) = 0
        r1 = 4; r2 = body ll; r3 = r10; r3 += -8; r4 = 0; call 181
        r1 = *(u64 *)(r10 - 8); r0 += r1; r0 += r7; exit
        body: r6 = 7; r7 = 7; r8 = 7; r9 = r2; *(u64 *)(r10 - 8) = 7; call leaf
        r1 = *(u64 *)(r9 + 0); r1 += r0; *(u64 *)(r9 + 0) = r1; r0 = 0; exit
        leaf: r0 = 1000; r6 = 0; r9 = 0; exit";
    assert_eq!(result(text), Ok(1 + 2 + 3 + 4 + 5 + 10 + 40 + 50 + 200 + 4 + 4000));
}

/// A trap in a callback leaves the callback, the helper, and the program; the next run is as good as the first.
#[test]
fn traps_in_callbacks() {
    let text = "r6 = 1; r1 = 3; r2 = outer ll; r3 = 0; r4 = 0; call 181; exit
        outer: r7 = 2; r1 = 3; r2 = inner ll; r3 = 0; r4 = 0; call 181; r0 = 0; exit
        inner: r8 = 3; call deep; r0 = 0; exit
        deep: r9 = 4; call 4711; r0 = 0; exit";
    assert_eq!(result(text), Err(Trap::UnknownHelper(4711)));
}

/// A helper may go on after a callback of it has trapped, and the trap is not lost on the way.
#[test]
fn a_panic_behind_a_callback_is_a_trap() {
    fn panics(call: &mut Call<'_>) -> Result<u64, Trap> {
        let function = call.arg(2);
        let _ = call.callback(function, [0; 5])?;
        std::panic::resume_unwind(Box::new("planted"))
    }
    let helper = Helper { meaning: panics, ..*by_id(id("loop")).unwrap() };
    let text = "r1 = 3; r2 = body ll; r3 = 0; r4 = 0; call 181; exit
        body: r0 = 0; exit";
    // SAFETY: the program only calls.
    let program = unsafe { Verified::trust(Arc::new(linked(&[("main", text)], &[]))) };
    let mut world = World::new(Memory::native().unwrap());
    world.helpers.replace(helper);
    world.load(program.program()).unwrap();
    world.reset(&input()).unwrap();
    let mut jit = Jit::new().unwrap();
    jit.load(&program).unwrap();
    assert_eq!(jit.run(&mut world), Err(Trap::Panic));
    world.helpers = helper::Helpers::default();
    assert_eq!(jit.run(&mut world), Ok(3), "the engine is as good as before");
}

/// The stack is aligned for helpers, behind callbacks and tail calls too. A compiler trusts the ABI and does not align its own
/// locals of 16 bytes: they show how it came.
#[test]
fn the_stack_is_aligned_at_every_depth() {
    #[repr(align(16))]
    struct Local(#[allow(dead_code, reason = "only its address matters")] [u8; 16]);

    #[allow(clippy::unnecessary_wraps, reason = "the type of a meaning")]
    fn aligned(_: &mut Call<'_>) -> Result<u64, Trap> {
        let local = std::hint::black_box(Local([0; 16]));
        Ok(std::hint::black_box(&raw const local as u64) % 16)
    }
    let clock = id("ktime_get_ns");
    let helper = Helper { meaning: aligned, ..*by_id(clock).unwrap() };
    let main = format!(
        "r6 = r1; r9 = 0; call {clock}; r9 += r0; r1 = r6; call sub; r9 += r0; r0 = r9; exit
        sub: r6 = r1; call {clock}; r7 = r0; r1 = 2; r2 = body ll; r3 = 0; r4 = 0; call 181
        r0 += -2; r7 += r0; r1 = r6; r2 = map[table] ll; r3 = 0; call 12; r0 = -1; exit
        body: call {clock}; if r0 == 0 goto fine; r0 = 1; fine: exit"
    );
    let next = format!(
        "r6 = r1; call {clock}; r8 = r0; call sub; r0 += r8; exit
        sub: call {clock}; exit"
    );
    let program = linked(&[("main", &main), ("next", &next)], &[(0, "next")]);
    assert_eq!(agree(program, Some(helper)).result, Ok(0));
}

/// From depth to depth: each program is left to a subprogram's caller, and none sees the registers of another.
#[test]
fn tail_calls_from_subprograms() {
    let main = "r6 = 1; r7 = 10; r8 = r1; call sub; r0 += r6; r0 += r7; r1 = r8; r2 = map[table] ll; r3 = 1; r9 = r0; call 12; exit
        sub: r6 = 5; r2 = map[table] ll; r3 = 0; call 12; r0 = -1; exit";
    let first = "r6 = 500; r7 = 500; r8 = 500; call deeper; r0 += 100; exit
        deeper: r6 = 600; r0 = 1000; exit";
    let second = "r0 = *(u32 *)(r1 + 0); r1 = r9; r0 += r9; exit";
    let programs = [("main", main), ("first", first), ("second", second)];
    let outcome = agree(linked(&programs, &[(0, "first"), (1, "second")]), None);
    assert_eq!(outcome.result, Ok(1111 + 50));
}

/// Three programs that call each other share one count, wherever they are called from.
#[test]
fn the_count_is_one() {
    let chain = |index: u32| {
        format!(
            "r6 = r1; r2 = map[cells][0]+0x0 ll; r3 = *(u64 *)(r2 + 0); r3 += 1; *(u64 *)(r2 + 0) = r3
            call sub; r2 = map[cells][0]+0x0 ll; r0 = *(u64 *)(r2 + 0); exit
            sub: r2 = map[table] ll; r3 = {index}; call 12
            r2 = map[cells][0]+0x8 ll; r3 = *(u64 *)(r2 + 0); r3 += 1; *(u64 *)(r2 + 0) = r3
            r0 = 0; exit"
        )
    };
    let texts = [chain(1), chain(2), chain(0)];
    let programs = [("main", texts[0].as_str()), ("b", &texts[1]), ("c", &texts[2])];
    let outcome = agree(linked(&programs, &[(0, "main"), (1, "b"), (2, "c")]), None);
    assert_eq!(outcome.result, Ok(34));
    let calls = outcome.effects.len();
    assert_eq!(calls, 34, "33 that went on and one that fell through");
}

/// The largest index, one more, and one whose upper half is not 0; a handle of another type.
#[test]
fn tail_calls_that_lead_nowhere() {
    let text = |map: &str, index: &str| format!("r2 = {map} ll; r3 = {index} ll; call 12; r0 += 7; exit");
    let run = |map, index| {
        agree(linked(&[("main", &text(map, index)), ("next", "r0 = 1; exit")], &[(3, "next")]), None).result
    };
    assert_eq!(run("map[table]", "3"), Ok(1));
    assert_eq!(run("map[table]", "0xffffffff00000003"), Ok(1));
    assert_eq!(run("map[table]", "4"), Ok(7));
    assert_eq!(run("map[table]", "0xffffffff"), Ok(7));
    assert_eq!(run("map[table]", "0x8000000000000000"), Ok(7));
    assert!(matches!(run("map[cells]", "0"), Err(Trap::Argument { number: 2, .. })));
    assert!(matches!(run("0x7777", "0"), Err(Trap::Argument { number: 2, .. })));
}

/// Loads at both ends of the packet, before it, and out of functions: a subprogram is left to its caller.
#[test]
fn packet_loads() {
    assert_eq!(result("r6 = r1; r7 = 7; r0 = *(u16 *)skb[2]; r0 += r7; exit"), Ok(0x1011 + 7));
    assert_eq!(result("r6 = r1; r2 = 4; r0 = *(u32 *)skb[r2 + 42]; exit"), Ok(0x3c3d_3e3f));
    assert_eq!(result("r6 = r1; r2 = 0x7700000004 ll; r0 = *(u8 *)skb[r2 + -4]; exit"), Ok(0x0e));
    assert_eq!(result("r6 = r1; r0 = *(u32 *)skb[47]; r0 = 5; exit"), Ok(0));
    assert_eq!(result("r6 = r1; r0 = *(u8 *)skb[-1048576]; exit"), Ok(0x0e));
    let sub = "r6 = r1; r7 = 3; call sub; r0 += r7; exit
        sub: r6 = r1; r0 = *(u8 *)skb[1000]; r0 = 55; exit";
    assert_eq!(result(sub), Ok(3));
    assert_eq!(result("r6 = 8; r0 = *(u8 *)skb[0]; exit"), Err(Trap::NoSocketBuffer(8)));
}

/// Wide constants are the addresses that the world answers with, whatever maps come before.
#[test]
fn addresses_are_constants() {
    let text =
        "r1 = map[cells][0]+0x8 ll; *(u64 *)(r1 + 0) = 77; r2 = map[cells][0]+0x0 ll; r0 = *(u64 *)(r2 + 8); exit";
    assert_eq!(result(text), Ok(77));
    let maps =
        [MapDef::new("a", MapType::HASH, 5, 300, 7), table(&[]), cells(), MapDef::new("b", MapType::ARRAY, 4, 9, 1)];
    let direct: Vec<Option<u64>> = semantics::map::direct_values(&maps).collect();
    let insns = asm::assemble("r0 = 0; exit").unwrap();
    let program = Program::new("p", ProgramType::Xdp, "GPL", maps.to_vec(), insns).unwrap();
    let mut world = World::new(Memory::detached().unwrap());
    world.load(&program).unwrap();
    assert_eq!(direct, world.maps.iter().map(|map| map.ops.direct()).collect::<Vec<_>>());
    assert_eq!(direct.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, true]);
}

/// What could need more stack than there is, and what names nothing, is refused before it runs.
#[test]
fn the_stack_is_bounded() {
    let load = |text: &str| {
        // SAFETY: these programs are loaded only.
        Jit::new().unwrap().load(&unsafe { Verified::trust(Arc::new(linked(&[("main", text)], &[]))) })
    };
    let chain = |len: usize| {
        let functions: Vec<String> = (1..len).map(|at| format!("f{at}: call f{}; exit", at + 1)).collect();
        format!("call f1; exit\n{}\nf{len}: r0 = 0; exit", functions.join("\n"))
    };
    assert_eq!(load(&chain(7)), Ok(()));
    let too_deep = Unsupported::Facility { engine: "jit", facility: "chains of at most 8 calls" };
    let too_deep = Err(Lack::Unsupported(too_deep));
    assert_eq!(load(&chain(8)), too_deep);
    assert_eq!(load("call main; exit\nmain: call main; exit"), too_deep);
    let indirect = load("r0 = map[table][0]+0x0 ll; exit");
    assert!(matches!(indirect, Err(Lack::Unsupported(Unsupported::Facility { .. }))), "{indirect:?}");
    assert_eq!(layout::FRAMES_MAX, 8);
}
