//! Inputs that break an access which the verifier refused: the rejected path is followed with the code that runs, over terms;
//! the solver is asked for an input that takes the path and breaks the access; and the interpreter is run on it, where it
//! must trap.
//!
//! Addresses are those of guest memory, so that the question is what the interpreter checks. What cannot be followed is a
//! typed [`Lack`], never an answer.

mod follow;
mod helper;
mod input;
mod memory;

use crate::solver::{self, Answer as Solved, Settings};
use follow::Follower;
use input::Confirmed;
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::trap::Trap;
use semantics::world::{Input, World};
use std::time::Duration;
use verifier::explain::Way;
use verifier::{Refusal, Rejection};
use z3::Model;
use z3::ast::Bool;

/// The longest path that is followed, in instructions.
pub const PATH_MAX: usize = 1 << 14;

/// The answer to "which input breaks this access?".
#[derive(Debug)]
pub enum Answer {
    /// This one: the interpreter was run on it, and trapped at the instruction.
    Found(Box<Witness>),
    /// None that takes this path: the verifier could have been more precise.
    None {
        /// Whether any input takes the path at all.
        feasible: bool,
    },
    /// One that leaves the object, but lands in another one, where nothing traps.
    Elsewhere(Box<Input>),
    /// It cannot be said.
    Cannot(Lack),
    /// The solver gave up.
    Unknown(String),
}

/// An input, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The input.
    pub input: Input,
    /// How the run ends.
    pub trap: Trap,
    /// Instructions that began.
    pub retired: u64,
}

/// Why it cannot be said whether there is an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// A rule of form: no run shows it.
    #[error("the rejection is not about the bounds of an access, so no run can show it")]
    NoAccess,
    /// The verifier did not keep the path.
    #[error("the path from the program's start was not kept")]
    NoPath,
    /// The path is too long.
    #[error("the path has more than {PATH_MAX} instructions")]
    TooLong,
    /// The program has several parts.
    #[error("tail calls into other programs are not followed")]
    TailCalls,
    /// A helper.
    #[error("insn {insn}: what {name} does here is not followed")]
    Helper {
        /// The instruction, in slots.
        insn: usize,
        /// The helper.
        name: &'static str,
    },
    /// A kernel function.
    #[error("insn {insn}: calls of kernel functions are not followed")]
    Kfunc {
        /// The instruction, in slots.
        insn: usize,
    },
    /// The stack at an offset that varies.
    #[error("insn {insn}: an access to the stack at an offset that varies is not followed")]
    VariableStack {
        /// The instruction, in slots.
        insn: usize,
    },
    /// A field of the context that is no number and no packet pointer; or some of its bytes.
    #[error("insn {insn}: the context at byte {offset} is not followed")]
    Context {
        /// The instruction, in slots.
        insn: usize,
        /// Bytes from the start of the context.
        offset: u64,
    },
    /// Bytes of the packet at an offset that varies, read through the implicit context.
    #[error("insn {insn}: BPF_LD_[ABS|IND] at this offset is not followed")]
    PacketLoad {
        /// The instruction, in slots.
        insn: usize,
    },
    /// An address that only a loaded kernel knows.
    #[error("insn {insn}: the address that is loaded is not known here")]
    Address {
        /// The instruction, in slots.
        insn: usize,
    },
    /// Contents of a map that are too large to state.
    #[error("the contents of map {map} are too large to follow")]
    Contents {
        /// The map.
        map: String,
    },
    /// The world has no place for the program's maps, or refuses the input.
    #[error("{0}")]
    World(String),
    /// No input was found, but not all were looked at.
    #[error("no input was found among those where {0}")]
    Restricted(&'static str),
    /// The run on the input that the solver found ended otherwise.
    #[error("the solver's input did not break the access when it was run: {0}")]
    NotConfirmed(String),
}

/// Looks for an input with which the access breaks that `rejection` is about. One query takes `timeout` at most.
pub fn find(program: &Program, rejection: &Rejection, timeout: Duration) -> Answer {
    if !is_about_bounds(&rejection.refusal) {
        return Answer::Cannot(Lack::NoAccess);
    }
    solver::begin("witness", Settings { timeout, ..Settings::default() });
    let answer = look(program, rejection);
    solver::end();
    answer.unwrap_or_else(Answer::Cannot)
}

/// Whether a run can show what the refusal says: an access outside of what there is, or through no address at all.
fn is_about_bounds(refusal: &Refusal) -> bool {
    use Refusal as R;
    matches!(
        refusal,
        R::PacketBounds { .. }
            | R::PacketRegion { .. }
            | R::PacketEnd { .. }
            | R::PacketWrite { .. }
            | R::MapBounds { .. }
            | R::MapRights { .. }
            | R::NegativeIndex { .. }
            | R::Unbounded { .. }
            | R::NoMemory { .. }
            | R::StackBounds { .. }
            | R::VariableStackBounds { .. }
            | R::UnboundedStack { .. }
    )
}

fn look(program: &Program, rejection: &Rejection) -> Result<Answer, Lack> {
    let way: &Way = rejection.way.as_deref().ok_or(Lack::NoPath)?;
    if way.skipped > 0 || way.events.len() > PATH_MAX {
        return Err(Lack::TooLong);
    }
    if !program.targets().is_empty() {
        return Err(Lack::TailCalls);
    }
    if way.events.first().is_none_or(|first| first.insn != 0) {
        return Err(Lack::NoPath);
    }
    let unfit = |error: &dyn std::fmt::Display| Lack::World(error.to_string());
    let mut world = World::new(Memory::detached().map_err(|error| unfit(&error))?);
    world.load(program).map_err(|error| unfit(&error))?;
    world.reset(&Input { packet: vec![0; follow::SAMPLE_LEN], ..Input::default() }).map_err(|error| unfit(&error))?;
    let mut follower = Follower::new(program, &world, way, rejection);
    let access = follower.follow()?;
    let (outside, traps) = (follower.leaves_object(&access), follower.traps(&access));
    let path = follower.conditions.clone();
    let with = |more: &[&Bool]| path.iter().chain(more.iter().copied()).cloned().collect::<Vec<Bool>>();
    match solver::model(&with(&[&outside])) {
        Solved::Yes(_) => {}
        Solved::Unknown(reason) => return Ok(Answer::Unknown(reason)),
        Solved::No => {
            if let Some(restriction) = follower.restricted {
                return Err(Lack::Restricted(restriction));
            }
            return match solver::satisfiable(&path) {
                Ok(feasible) => Ok(Answer::None { feasible }),
                Err(reason) => Ok(Answer::Unknown(reason)),
            };
        }
    }
    let model = match solver::model(&with(&[&outside, &traps])) {
        Solved::Yes(model) => model.ok_or(Lack::NoPath)?,
        Solved::Unknown(reason) => return Ok(Answer::Unknown(reason)),
        Solved::No => {
            return match solver::model(&with(&[&outside])) {
                Solved::Yes(Some(model)) => Ok(Answer::Elsewhere(Box::new(input::input(&follower, &model, &world)))),
                _ => Err(Lack::NoPath),
            };
        }
    };
    // The plainer the input the better.
    let plainer = follower.plainer().into_iter().find_map(|plain| {
        let wishes: Vec<&Bool> = [&outside, &traps].into_iter().chain(&plain).collect();
        match solver::model(&with(&wishes)) {
            Solved::Yes(model) => model,
            _ => None,
        }
    });
    confirm(&follower, &plainer.unwrap_or(model), &mut world, rejection)
}

fn confirm(follower: &Follower<'_>, model: &Model, world: &mut World, rejection: &Rejection) -> Result<Answer, Lack> {
    let input = input::input(follower, model, world);
    match input::confirm(follower.program, world, input, rejection.insn, follower.draws > 0)? {
        Confirmed::Yes(witness) => Ok(Answer::Found(Box::new(witness))),
        Confirmed::No(_) if follower.draws > 0 => Err(Lack::NotConfirmed(
            "the random numbers that it needs were not drawn from any seed that was tried".to_owned(),
        )),
        Confirmed::No(how) => Err(Lack::NotConfirmed(how)),
    }
}
