//! The input that a model stands for, and the run that confirms it.

use super::follow::Follower;
use super::{Lack, Witness};
use crate::sym::Sym;
use semantics::interpreter;
use semantics::memory::layout;
use semantics::program::Program;
use semantics::word::Word;
use semantics::world::{Input, World, WorldConfig};
use std::collections::HashSet;
use z3::Model;
use z3::ast::BV;

/// How many seeds are tried where the program draws random numbers.
const SEEDS: u64 = 4096;
/// Instructions that a run may take beyond those of the path.
const FUEL: u64 = 1 << 20;

/// What a run on the input came to.
pub(super) enum Confirmed {
    /// It trapped at the instruction.
    Yes(Witness),
    /// It ended otherwise: how.
    No(String),
}

fn value(model: &Model, term: &BV) -> u64 {
    model.eval(term, true).and_then(|value| value.as_u64()).unwrap_or(0)
}

/// The input of a model.
pub(super) fn input(follower: &Follower<'_>, model: &Model, world: &World) -> Input {
    // What nobody read may be anything: 0.
    let read: HashSet<u64> = follower.memory.read.iter().map(|addr| value(model, addr.term())).collect();
    let byte = |addr: u64| {
        let held = || value(model, follower.memory.initial_byte(&Sym::lit(addr)).term()) as u8;
        if read.contains(&addr) { held() } else { 0 }
    };
    let len = value(model, follower.len.term());
    let packet = (0..len).map(|at| byte(layout::PACKET + at)).collect();
    let context =
        follower.fields.iter().map(|(name, term)| (name.clone(), value(model, term.term()))).collect::<Vec<_>>();
    let mut elements: Vec<(usize, Vec<u8>, Vec<u8>)> = Vec::new();
    for element in &follower.elements {
        let is_there = element.present.term().as_bool().or_else(|| model.eval(element.present.term(), true)?.as_bool());
        let def = &follower.program.maps()[element.map];
        if is_there != Some(true) || def.is_read_only() {
            continue;
        }
        let key: Vec<u8> = element.key.iter().map(|byte| value(model, byte.term()) as u8).collect();
        let addr = value(model, element.addr.term());
        let bytes: Vec<u8> = (0..u64::from(def.value_size)).map(|at| byte(addr + at)).collect();
        // All elements of an array are there, and zeros, unless something else is said.
        let said = element.is_created || world.memory.read(addr, bytes.len() as u64).is_ok_and(|now| now != bytes);
        if said && !elements.iter().any(|(map, other, _)| *map == element.map && *other == key) {
            elements.push((element.map, key, bytes));
        }
    }
    let clock = follower.clock.as_ref().map(|clock| value(model, clock.term()));
    let default = WorldConfig::default();
    let world = WorldConfig { clock_ns: clock.unwrap_or(default.clock_ns), ..default };
    Input { packet, context, elements, world }
}

/// Runs the program on the input: it must trap at this instruction.
pub(super) fn confirm(
    program: &Program,
    world: &mut World,
    mut input: Input,
    insn: usize,
    draws: bool,
) -> Result<Confirmed, Lack> {
    let mut how = String::new();
    for seed in 0..if draws { SEEDS } else { 1 } {
        input.world.seed = seed;
        world.reset(&input).map_err(|error| Lack::World(error.to_string()))?;
        let stop = interpreter::run(program, world, FUEL, &mut ());
        match stop.result {
            Err(trap) if stop.pc == insn => {
                return Ok(Confirmed::Yes(Witness { input, trap, retired: stop.retired }));
            }
            Err(trap) => how = format!("it ends at insn {}: {trap}", stop.pc),
            Ok(r0) => how = format!("it ends with r0 = {r0:#x}"),
        }
    }
    Ok(Confirmed::No(how))
}
