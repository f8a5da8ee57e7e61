//! The JIT as an engine, beside the interpreter, on worlds in native memory.

mod common;

use std::sync::Arc;

use common::Random;
use jit::image::Image;
use jit::plant::plants;
use jit::{Jit, Rules};
use semantics::asm::assemble;
use semantics::engine::{Engine, run_on};
use semantics::helper::{Call, Helper, by_id, id};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Opcode, Reg};
use semantics::interpreter::Interpreter;
use semantics::map::{MapDef, MapType};
use semantics::memory::Memory;
use semantics::outcome::Outcome;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::{Trap, Unsupported};
use semantics::world::{Input, World};

fn verified(insns: Vec<Insn>, maps: Vec<MapDef>) -> Verified {
    let program = Program::new("test", ProgramType::Xdp, "GPL", maps, insns).unwrap();
    // SAFETY: each program of this file ends, and accesses its own frame, context, packet or map value only.
    unsafe { Verified::trust(Arc::new(program)) }
}

fn program(text: &str) -> Verified {
    verified(assemble(text).unwrap(), vec![])
}

fn input() -> Input {
    Input { packet: (0..64).collect(), ..Input::default() }
}

/// Both engines on one world; their outcomes must be the same in everything.
fn agree(world: &mut World, jit: &mut Jit, program: &Verified) -> Outcome {
    let mut outcomes = [Outcome::default(), Outcome::default()];
    let mut interpreter = Interpreter::default();
    let engines: [&mut dyn Engine; 2] = [&mut interpreter, jit];
    world.load(program.program()).unwrap();
    for (engine, outcome) in engines.into_iter().zip(&mut outcomes) {
        engine.load(program).unwrap();
        run_on(engine, world, &input(), outcome).unwrap();
    }
    let [ours, native] = outcomes;
    assert_eq!(ours.difference(&native), None, "{:?}", program.program().insns());
    native
}

fn result(text: &str) -> Result<u64, Trap> {
    let mut world = World::new(Memory::native().unwrap());
    agree(&mut world, &mut Jit::new().unwrap(), &program(text)).result
}

#[test]
fn exits_with_r0() {
    assert_eq!(result("r0 = 7; exit"), Ok(7));
    assert_eq!(result("r0 = -1; exit"), Ok(u64::MAX));
    assert_eq!(result("w0 = -1; exit"), Ok(0xffff_ffff));
}

#[test]
fn frame_context_and_packet() {
    let text = "r6 = *(u32 *)(r1 + 0)
        r7 = *(u32 *)(r1 + 4)
        r7 -= r6
        r8 = *(u8 *)(r6 + 5)
        *(u64 *)(r10 - 8) = r7
        *(u16 *)(r10 - 512) = r8
        *(u8 *)(r6 + 6) = 0x7f
        r9 = *(u64 *)(r10 - 8)
        r0 = *(u16 *)(r10 - 512)
        r0 += r9
        exit";
    assert_eq!(result(text), Ok(64 + 5));
}

#[test]
fn loops_and_every_register() {
    let text = "r0 = 0; r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5; r6 = 6; r7 = 7; r8 = 8; r9 = 9
        again: r0 += r1; r0 += r2; r0 += r3; r0 += r4; r0 += r5; r0 += r6; r0 += r7; r0 += r8
        r9 -= 1
        if r9 != 0 goto again
        exit";
    assert_eq!(result(text), Ok(9 * 36));
}

/// Frames of their own, R6 to R10 back afterwards, helper calls and traps at every depth, loops around calls.
#[test]
fn subprograms() {
    let clock = id("ktime_get_ns");
    let depth = |deepest: &str| {
        format!(
            "r6 = 1; r7 = 2; r8 = 3; r9 = 4
            *(u64 *)(r10 - 8) = 77
            r1 = 5
            call one
            r0 += r6; r0 += r7; r0 += r8; r0 += r9
            r1 = *(u64 *)(r10 - 8)
            r0 += r1
            exit
            one: r6 = 100; r7 = 200; *(u64 *)(r10 - 8) = r1
            r1 += 1; call two; r0 += r6; r1 = *(u64 *)(r10 - 8); r0 += r1; exit
            two: r8 = 300; r9 = 400; *(u64 *)(r10 - 8) = r1
            r1 += 1; call three; r0 += r8; r1 = *(u64 *)(r10 - 8); r0 += r1; exit
            three: r6 = r1; {deepest}
            r0 = r6; exit"
        )
    };
    assert_eq!(result(&depth("r6 += 1")), Ok(8 + 300 + 6 + 100 + 5 + 10 + 77));
    assert_eq!(result(&depth(&format!("call {clock}; r6 += 1"))), Ok(8 + 300 + 6 + 100 + 5 + 10 + 77));
    assert_eq!(result(&depth("call 4711")), Err(Trap::UnknownHelper(4711)));
    let turns = "r6 = 1000; r7 = 0
        again: r1 = r6; r2 = r7; call add; r7 = r0; r6 -= 1; if r6 != 0 goto again
        r0 = r7; exit
        add: r0 = r1; r0 += r2; exit";
    assert_eq!(result(turns), Ok(500_500));
}

#[test]
fn maps_and_helpers() {
    let def = MapDef::new("counts", MapType::ARRAY, 4, 8, 4);
    let lookup = id("map_lookup_elem");
    let clock = id("ktime_get_ns");
    let random = id("get_prandom_u32");
    let text = format!(
        "*(u32 *)(r10 - 4) = 2
        r1 = map 0 ll
        r2 = r10
        r2 += -4
        call {lookup}
        if r0 == 0 goto out
        r6 = r0
        r1 = *(u64 *)(r6 + 0)
        r1 += 41
        *(u64 *)(r6 + 0) = r1
        call {clock}
        r7 = r0
        call {random}
        r7 += r0
        r0 = *(u64 *)(r6 + 0)
        r0 += r7
        out: exit"
    );
    let program = verified(assemble(&text).unwrap(), vec![def]);
    let mut world = World::new(Memory::native().unwrap());
    let outcome = agree(&mut world, &mut Jit::new().unwrap(), &program);
    assert_eq!(outcome.effects.len(), 3);
    assert!(outcome.result.unwrap() > 1_000_000_000);
}

/// A trap leaves from the middle, with all that the caller keeps in registers intact.
#[test]
fn traps_in_helpers() {
    let mut world = World::new(Memory::native().unwrap());
    let mut jit = Jit::new().unwrap();
    let call = |number: u32| program(&format!("r6 = 1; r7 = 2; r8 = 3; r9 = r10; call {number}; r0 = 1; exit"));
    let outcome = agree(&mut world, &mut jit, &call(100_000));
    assert_eq!(outcome.result, Err(Trap::UnknownHelper(100_000)));
    let unmodelled = id("d_path");
    assert!(by_id(unmodelled).is_none());
    let outcome = agree(&mut world, &mut jit, &call(unmodelled));
    assert!(matches!(outcome.result, Err(Trap::Unsupported(Unsupported::Helper { .. }))));
}

#[test]
fn a_panic_in_a_helper_is_a_trap() {
    fn panics(_: &mut Call<'_>) -> Result<u64, Trap> {
        // Without the panic hook: the message is expected.
        std::panic::resume_unwind(Box::new("planted"))
    }
    let number = id("ktime_get_ns");
    let program = program(&format!("r6 = 5; call {number}; r0 = r6; exit"));
    let mut world = World::new(Memory::native().unwrap());
    world.helpers.replace(Helper { meaning: panics, ..*by_id(number).unwrap() });
    let mut jit = Jit::new().unwrap();
    world.load(program.program()).unwrap();
    world.reset(&input()).unwrap();
    jit.load(&program).unwrap();
    assert_eq!(jit.run(&mut world), Err(Trap::Panic));
    world.helpers = semantics::helper::Helpers::default();
    assert_eq!(jit.run(&mut world), Ok(5), "the engine is as good as before");
}

#[test]
fn the_image_grows_and_is_reused() {
    let mut world = World::new(Memory::native().unwrap());
    let mut jit = Jit::new().unwrap();
    let before = jit.image().capacity();
    for len in [1, 20_000, 3, 40_000, 5] {
        let mut insns = vec![Insn::new(Opcode::Mov64K)];
        insns.extend(vec![Insn::new(Opcode::Add64K).imm(1); len]);
        insns.push(Insn::new(Opcode::Exit));
        let outcome = agree(&mut world, &mut jit, &verified(insns, vec![]));
        assert_eq!(outcome.result, Ok(len as u64));
        assert_eq!(jit.image().range().len(), jit.code().bytes().len());
    }
    assert!(jit.image().capacity() > before);
}

#[test]
fn what_is_missing_is_said() {
    let mut jit = Jit::new().unwrap();
    let mut detached = World::new(Memory::detached().unwrap());
    let missing = |facility| Err(Trap::Unsupported(Unsupported::Facility { engine: "jit", facility }));
    assert_eq!(jit.run(&mut detached), missing("a loaded program"));
    jit.load(&program("r0 = 0; exit")).unwrap();
    assert_eq!(jit.run(&mut detached), missing("guest memory at its own addresses"));
}

/// Straight programs of random arithmetic over all registers, and jumps forward.
fn random_program(random: &mut Random) -> Verified {
    let mut insns: Vec<Insn> = Reg::ALL[..10]
        .iter()
        .flat_map(|reg| [Insn::new(Opcode::Lddw).dst(*reg).wide(random.word()), Insn::new(Opcode::WideTail)])
        .collect();
    let straight = |op: &Op| matches!(op, Op::Alu { .. } | Op::Neg { .. } | Op::Mov { .. } | Op::Jump { .. });
    let ops: Vec<Op> = TABLE.iter().map(|row| row.op).filter(straight).collect();
    let len = 20;
    for left in (0..len).rev() {
        let op = random.pick(&ops);
        let mut insn = Insn::new(Opcode::of(op)).dst(random.pick(&Reg::ALL[..10]));
        insn = if op.reads_src() { insn.src(random.pick(&Reg::ALL[..10])) } else { insn.imm(random.imm()) };
        if op.is_jump() {
            insn = insn.off(random.below(left + 1) as i16);
        }
        insns.push(insn);
    }
    for reg in 1..10 {
        insns.push(Insn::new(Opcode::Xor64X).src(Reg::ALL[reg]));
    }
    insns.push(Insn::new(Opcode::Exit));
    verified(insns, vec![])
}

#[test]
fn random_programs() {
    let mut world = World::new(Memory::native().unwrap());
    let mut random = Random(11);
    let blinded = Jit::with_rules(Rules::standard().blinded(12)).unwrap();
    for mut jit in [Jit::new().unwrap(), blinded] {
        for _ in 0..20_000 {
            agree(&mut world, &mut jit, &random_program(&mut random));
        }
    }
}

/// The same mistakes that the proofs refute show on the processor.
#[test]
fn a_planted_mistake_shows() {
    let mut rules = Rules::standard();
    let plant = plants().into_iter().find(|plant| plant.name == "mov::self32_elided").unwrap();
    (plant.install)(&mut rules);
    let mut jit = Jit::with_rules(rules).unwrap();
    let mut world = World::new(Memory::native().unwrap());
    let program = program("r0 = -1; w0 = w0; exit");
    world.load(program.program()).unwrap();
    world.reset(&input()).unwrap();
    jit.load(&program).unwrap();
    assert_eq!(jit.run(&mut world), Ok(u64::MAX));
    assert_eq!(agree(&mut world, &mut Jit::new().unwrap(), &program).result, Ok(0xffff_ffff));
}

/// No page is ever writable and executable, and nothing stays behind.
#[test]
fn images_are_never_writable_and_executable() {
    let mine = |range: std::ops::Range<usize>| -> Vec<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .filter(|line| {
                let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
                let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
                start < range.end && range.start < end
            })
            .map(|line| line.split(' ').nth(1).unwrap()[..3].to_owned())
            .collect()
    };
    let mut image = Image::new(100).unwrap();
    image.load(&[0xc3]).unwrap();
    let range = image.range();
    assert_eq!(mine(range.clone()), ["r-x"]);
    let (below, above) = (range.start - 4096, range.start + image.capacity());
    assert_eq!(mine(below..below + 1), ["---"], "a guard page before");
    assert_eq!(mine(above..above + 1), ["---"], "a guard page after");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.lines().any(|line| line.contains("rwx")), "{maps}");
    image.load(&vec![0x90; 100_000]).unwrap();
    assert_eq!(mine(range), [""; 0], "the image moved, and its first place is free");
}
