//! A million rounds of compiling and running leave nothing behind: no descriptor, no mapping, no memory. Alone in its
//! process, which is what is counted.

use std::sync::Arc;

use jit::Jit;
use jit::image::Image;
use semantics::asm::assemble;
use semantics::engine::Engine;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};

const ROUNDS: u64 = 1_000_000;

/// Descriptors, mappings and resident pages of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    mappings: usize,
    pages: u64,
}

fn held() -> Held {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let resident = std::fs::read_to_string("/proc/self/statm").unwrap();
    Held {
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        mappings: maps.lines().count(),
        pages: resident.split(' ').nth(1).unwrap().parse().unwrap(),
    }
}

fn program(text: &str) -> Verified {
    let insns = assemble(text).unwrap();
    let program = Program::new("leaks", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
    // SAFETY: the programs below compute, call a modelled helper, and end.
    unsafe { Verified::trust(Arc::new(program)) }
}

/// Grown by so much that it cannot be how the allocator or the kernel happen to round.
fn assert_no_growth(before: Held, after: Held, rounds: u64) {
    assert_eq!(after.descriptors, before.descriptors);
    assert!(after.mappings <= before.mappings + 2, "{before:?} {after:?}");
    assert!(after.pages < before.pages + rounds / 2_000 + 64, "{before:?} {after:?}");
}

#[test]
fn nothing_stays_behind() {
    let mut world = World::new(Memory::native().unwrap());
    let programs = [
        program("r0 = 7; exit"),
        program("call 4711; exit"),
        program("r1 = 3; r2 = body ll; r3 = 0; r4 = 0; call 181; exit\nbody: r0 = 0; exit"),
    ];
    let mut jit = Jit::new().unwrap();
    let mut round = |number: u64, jit: &mut Jit| {
        let program = &programs[number as usize % programs.len()];
        jit.load(program).unwrap();
        world.load(program.program()).unwrap();
        world.reset(&Input::default()).unwrap();
        let _ = jit.run(&mut world);
    };
    (0..1000).for_each(|number| round(number, &mut jit));
    let before = held();
    (0..ROUNDS).for_each(|number| round(number, &mut jit));
    assert_no_growth(before, held(), ROUNDS);

    // Engines come and go, too.
    let before = held();
    (0..ROUNDS / 100).for_each(|number| round(number, &mut Jit::new().unwrap()));
    assert_no_growth(before, held(), ROUNDS / 100);

    // What is counted does see an image that nobody gives back.
    std::mem::forget(Image::new(1).unwrap());
    assert!(held().mappings > before.mappings + 2, "{before:?} {:?}", held());
}
