//! What a helper call costs: a program that calls one in a loop, and a loop in Rust that calls the same function.

use std::hint::black_box;

use jit::Jit;
use semantics::engine::Engine;
use semantics::helper::{self, Callbacks};
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::program::Verified;
use semantics::trap::Trap;
use semantics::world::{Input, World};

use super::programs::{CALLS, helper_calls, verified};
use super::{Contest, Unit};

/// Calls of `bpf_ktime_get_ns`.
pub struct Calls {
    program: Verified,
    world: World,
    jit: Jit,
    helper: u32,
}

impl Calls {
    /// A world to call in.
    pub fn new() -> Calls {
        let program = verified("helper calls", helper_calls());
        let mut world = World::new(Memory::native().expect("guest memory"));
        world.load(program.program()).expect("no maps");
        world.reset(&Input::default()).expect("an input");
        let mut jit = Jit::new().expect("an image");
        jit.load(&program).expect("every opcode");
        let mut calls = Calls { program, world, jit, helper: helper::id("ktime_get_ns") };
        let made = RUNNERS.iter().enumerate().map(|(runner, _)| {
            calls.run(runner);
            calls.world.effects.len() as u64
        });
        assert!(made.into_iter().all(|made| made == CALLS));
        calls
    }
}

const RUNNERS: [&str; 3] = ["touchstone", "Rust", "touchstone interpreter"];

impl Contest for Calls {
    fn title(&self) -> (&str, Unit) {
        ("helper call", Unit { count: CALLS, name: "call" })
    }
    fn runners(&self) -> &[&'static str] {
        &RUNNERS
    }
    fn run(&mut self, runner: usize) {
        let world = &mut self.world;
        world.effects.clear();
        black_box(match runner {
            0 => self.jit.run(world),
            1 => natively(black_box(helper::call), world, self.helper),
            _ => interpreter::run(self.program.program(), world, u64::MAX, &mut ()).result,
        })
        .expect("a result");
    }
}

/// The function that both call.
type Call = fn(&mut World, u32, [u64; 5], &mut dyn Callbacks) -> Result<u64, Trap>;

#[inline(never)]
fn natively(call: Call, world: &mut World, id: u32) -> Result<u64, Trap> {
    let mut last = 0;
    for _ in 0..CALLS {
        last = call(world, id, black_box([0; 5]), &mut ())?;
    }
    Ok(last)
}
