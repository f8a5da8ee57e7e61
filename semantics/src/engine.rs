//! Engines: whatever can run a program. The interpreter, the JIT, and others behind the same trait.

use crate::outcome::Outcome;
use crate::program::Verified;
use crate::trap::{Trap, Unsupported};
use crate::world::{Input, InputError, World};

/// Something that runs programs on a world.
pub trait Engine {
    /// Its name, as findings and the command line say it.
    fn name(&self) -> &'static str;
    /// Prepares a program; it replaces the one before. What the engine lacks is a typed `Unsupported`.
    fn load(&mut self, program: &Verified) -> Result<(), Unsupported>;
    /// Runs the program loaded last, on the world as it stands: R0, or how it ended instead.
    fn run(&mut self, world: &mut World) -> Result<u64, Trap>;
}

/// Runs the loaded program of `engine` on `input` and writes down what can be observed.
pub fn run_on(
    engine: &mut dyn Engine,
    world: &mut World,
    input: &Input,
    outcome: &mut Outcome,
) -> Result<(), InputError> {
    world.reset(input)?;
    let result = engine.run(world);
    world.observe(result, outcome);
    Ok(())
}
