//! Kernels as engines. Skipped where there are none.

use std::sync::Arc;

use linux::engine::Shared;
use linux::{Kernel, LinuxEngine, Machines, Settings, kernel};
use semantics::engine::{Engine, EngineId, Lack, LinuxMode, LinuxVersion, Task};
use semantics::interpreter;
use semantics::map::{MapDef, MapType};
use semantics::memory::Memory;
use semantics::open::Origins;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};

/// Both engines of the oldest kernel, on one guest.
fn engines() -> Option<[LinuxEngine; 2]> {
    Some(machine_and_engines()?.1)
}

fn machine_and_engines() -> Option<(Shared, [LinuxEngine; 2])> {
    let folder = kernel::folder();
    let version: LinuxVersion = match Kernel::all(&folder).first() {
        Some(kernel) if kernel.initramfs.is_file() => kernel.version.parse().expect("a version"),
        _ => {
            eprintln!("skipped: no kernels in {}: `make linux`", folder.display());
            return None;
        }
    };
    let mut machines = Machines::new(Settings::default());
    let mut engines = LinuxMode::ALL.map(|mode| machines.engine(&folder, version, mode).expect("an engine"));
    if let Err(error) = engines[0].start() {
        eprintln!("skipped: {error}");
        return None;
    }
    let machine = machines.machine(&folder, version).expect("the same machine");
    Some((machine, engines))
}

fn program(text: &str) -> Arc<Program> {
    let maps = vec![MapDef::new("counts", MapType::ARRAY, 4, 16, 4), MapDef::new("seen", MapType::HASH, 8, 8, 16)];
    let index = |name: &str| maps.iter().position(|map| map.name == name).map(|at| at as u32);
    let options = semantics::asm::Options { maps: &index, ..Default::default() };
    let insns = semantics::asm::assemble_with(text, options).expect("assembly");
    Arc::new(Program::new("test", ProgramType::Xdp, "GPL", maps.clone(), insns).expect("a program"))
}

/// Programs that show something: R0 whole, a subprogram, a packet, maps, and what is left open.
const PROGRAMS: [&str; 6] = [
    "r0 = 0x123456789abcdef0 ll; if r1 == 0 goto +1; exit; r0 = 1; exit",
    "call one; r0 <<= 40; r0 |= 5; exit; one: r0 = 7; exit",
    "r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 14; r0 = 0; if r4 > r3 goto +2; *(u16 *)(r2 + 12) = 0x1234; r0 = 9; exit",
    "*(u32 *)(r10 - 4) = 2; *(u64 *)(r10 - 24) = 77; *(u64 *)(r10 - 16) = -1; r1 = map[counts]; r2 = r10; r2 += -4; r3 = r10; r3 += -24; r4 = 0; call map_update_elem; exit",
    "*(u64 *)(r10 - 8) = 5; *(u64 *)(r10 - 16) = r10; r1 = map[seen]; r2 = r10; r2 += -8; r3 = r10; r3 += -16; r4 = 0; call map_update_elem; r0 = r10; exit",
    "call get_prandom_u32; exit",
];

#[test]
fn kernels_run_what_the_interpreter_runs() {
    let Some(mut engines) = engines() else { return };
    let input = Input {
        packet: (0..64).collect(),
        elements: vec![(0, vec![1, 0, 0, 0], vec![9; 16]), (1, vec![3; 8], vec![4; 8])],
        ..Input::default()
    };
    let mut world = World::new(Memory::detached().expect("memory"));
    let programs = PROGRAMS.map(program);
    let tasks: Vec<Task> =
        programs.iter().map(|program| Task { program: Arc::clone(program), inputs: vec![input.clone()] }).collect();
    for (at, engine) in engines.iter_mut().enumerate() {
        // One of them is asked one by one.
        if at == 0 {
            engine.ahead(&tasks);
        }
        for (text, program) in PROGRAMS.iter().zip(&programs) {
            world.load(program).expect("a world");
            world.reset(&input).expect("an input");
            let mut origins = Origins::default();
            let stop = interpreter::run(program, &mut world, 1000, &mut origins);
            let (ours, open) = (world.outcome(stop.result), origins.finish(&world));
            // SAFETY: a kernel in a guest runs it.
            engine
                .load(&unsafe { Verified::trust(Arc::clone(program)) })
                .unwrap_or_else(|lack| panic!("{text}: {lack}"));
            world.reset(&input).expect("an input");
            let result = engine.run(&mut world);
            let theirs = world.outcome(result);
            let id = engine.id();
            assert_eq!(ours.difference_within(&theirs, engine.sight(), &open), None, "{id}: {text}\n{theirs:x?}");
            assert!(engine.sight().whole_r0, "{id}: {text}");
            assert_eq!(engine.complaint(), None);
            // A mistake in R0's upper half or in a map would show.
            let mut wrong = ours.clone();
            wrong.result = wrong.result.map(|r0| r0 ^ 1 << 63);
            assert_eq!(
                wrong.difference_within(&theirs, engine.sight(), &open).is_none(),
                open.result(),
                "{id}: {text}"
            );
        }
    }
}

/// What was announced is asked once for all inputs of a program, however often it is loaded; anything else then and there.
#[test]
fn announced_programs_are_asked_once() {
    let Some((machine, [mut engine, _])) = machine_and_engines() else { return };
    let asked = || machine.lock().expect("a machine").asked;
    let program = program(PROGRAMS[2]);
    let input = |len: u8| Input { packet: (0..len).collect(), ..Input::default() };
    let task = |len| Task { program: Arc::clone(&program), inputs: vec![input(len)] };
    let mut world = World::new(Memory::detached().expect("memory"));
    world.load(&program).expect("a world");
    let mut run = |engine: &mut LinuxEngine, len| {
        engine.load_program(&program).expect("it is loaded");
        world.reset(&input(len)).expect("an input");
        engine.run(&mut world).expect("it runs")
    };
    let before = asked();
    engine.ahead(&[task(40), task(50), task(60)]);
    assert_eq!(asked(), before + 1);
    for len in [40, 50, 60, 40] {
        assert_eq!(run(&mut engine, len), 9);
    }
    assert_eq!(asked(), before + 1);
    assert_eq!(run(&mut engine, 70), 9);
    assert_eq!(asked(), before + 2);
}

#[test]
fn refusals_and_what_cannot_be_run_are_told_apart() {
    let Some([mut engine, mut other]) = engines() else { return };
    assert!(matches!(engine.id(), EngineId::Linux(_, LinuxMode::Jit)));
    let refused = engine.load_program(&program("r0 = r6; exit")).expect_err("it is refused");
    assert!(matches!(&refused, Lack::Refused { log, .. } if log.contains("R6 !read_ok")), "{refused}");
    assert!(refused.to_string().ends_with("R6 !read_ok"), "{refused}");
    // Not enough packet for a test run: the program is fine.
    let short = program("r0 = 1; exit");
    engine.load_program(&short).expect("it is loaded");
    let mut world = World::new(Memory::detached().expect("memory"));
    world.load(&short).expect("a world");
    world.reset(&Input::default()).expect("an input");
    let trap = engine.run(&mut world).expect_err("a test run needs a packet");
    assert_eq!(trap.to_string(), format!("{} cannot run it: BPF_PROG_TEST_RUN fails with EINVAL", engine.id()));
    // Callbacks need native code, and types of the functions.
    let looping = "r1 = 3; r2 = subprog[turn] ll; r3 = 0; r4 = 0; call loop; exit; turn: r0 = 0; exit";
    let insns = semantics::asm::assemble(looping).expect("assembly");
    let program = Arc::new(Program::new("loop", ProgramType::Xdp, "GPL", vec![], insns).expect("a program"));
    assert!(matches!(engine.load_program(&program), Ok(()) | Err(Lack::Unsupported(_))));
    assert!(matches!(other.load_program(&program), Err(Lack::Unsupported(_))));
}
