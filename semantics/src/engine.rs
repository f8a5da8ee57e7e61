//! Engines: whatever can run a program. The interpreter, the JIT, real kernels, and others behind the same trait.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::outcome::{Outcome, Sight};
use crate::program::{Program, Verified};
use crate::trap::{Trap, Unsupported};
use crate::world::{Input, InputError, World};

/// Which engine: what findings and the command line call it by.
///
/// ```
/// use semantics::engine::{EngineId, LinuxMode, LinuxVersion};
///
/// let engine: EngineId = "linux-6.1-jit".parse()?;
/// assert_eq!(engine, EngineId::Linux(LinuxVersion { major: 6, minor: 1 }, LinuxMode::Jit));
/// assert_eq!(engine.to_string(), "linux-6.1-jit");
/// # Ok::<(), semantics::engine::NoSuchEngine>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EngineId {
    /// Our interpreter: the semantics itself.
    Interpreter,
    /// Our JIT, for this processor.
    Jit,
    /// Our JIT, for processors without BMI2.
    JitNoBmi2,
    /// Our JIT, with constants blinded.
    JitBlinded,
    /// A Linux kernel in a guest.
    Linux(LinuxVersion, LinuxMode),
    /// Any other, by its name.
    Other(&'static str),
}

/// A version of Linux: `6.12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinuxVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
}

/// How a kernel runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinuxMode {
    /// Its JIT.
    Jit,
    /// Its interpreter.
    Interpreter,
}

impl LinuxMode {
    /// Both.
    pub const ALL: [LinuxMode; 2] = [LinuxMode::Jit, LinuxMode::Interpreter];

    /// The last word of the engine's name.
    pub const fn name(self) -> &'static str {
        match self {
            LinuxMode::Jit => "jit",
            LinuxMode::Interpreter => "interpreter",
        }
    }
}

impl fmt::Display for LinuxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for LinuxVersion {
    type Err = NoSuchEngine;
    fn from_str(text: &str) -> Result<LinuxVersion, NoSuchEngine> {
        let numbers = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (major, minor) = numbers.ok_or(NoSuchEngine)?;
        Ok(LinuxVersion { major, minor })
    }
}

/// No engine is called that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engines are interpreter, jit, jit-no-bmi2, jit-blinded, linux-VERSION-jit and linux-VERSION-interpreter")]
pub struct NoSuchEngine;

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineId::Interpreter => f.write_str("interpreter"),
            EngineId::Jit => f.write_str("jit"),
            EngineId::JitNoBmi2 => f.write_str("jit-no-bmi2"),
            EngineId::JitBlinded => f.write_str("jit-blinded"),
            EngineId::Linux(version, mode) => write!(f, "linux-{version}-{}", mode.name()),
            EngineId::Other(name) => f.write_str(name),
        }
    }
}

impl FromStr for EngineId {
    type Err = NoSuchEngine;
    fn from_str(text: &str) -> Result<EngineId, NoSuchEngine> {
        let own = [EngineId::Interpreter, EngineId::Jit, EngineId::JitNoBmi2, EngineId::JitBlinded];
        if let Some(engine) = own.into_iter().find(|engine| engine.to_string() == text) {
            return Ok(engine);
        }
        let (version, mode) = text.strip_prefix("linux-").and_then(|rest| rest.split_once('-')).ok_or(NoSuchEngine)?;
        let mode = LinuxMode::ALL.into_iter().find(|known| known.name() == mode).ok_or(NoSuchEngine)?;
        Ok(EngineId::Linux(version.parse()?, mode))
    }
}

/// Why an engine does not take a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It does not have something that the program needs.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// It judges programs itself, and rejects this one.
    #[error("{engine} refuses it: {}", last_line(log))]
    Refused {
        /// The engine.
        engine: EngineId,
        /// The log of its verifier, or what else it says.
        log: String,
    },
    /// It did not survive the program, or is not there any more.
    #[error("{engine} is gone: {reason}")]
    Gone {
        /// The engine.
        engine: EngineId,
        /// What became of it.
        reason: String,
    },
}

/// The last line of a verifier's log that says something about the program, before the statistics
/// (`print_verification_stats`).
///
/// ```
/// let log = "0: (95) exit\nR0 !read_ok\nverification time 9 usec\nstack depth 0\nprocessed 1 insns\n";
/// assert_eq!(semantics::engine::last_line(log), "R0 !read_ok");
/// ```
pub fn last_line(log: &str) -> &str {
    const STATISTICS: [&str; 4] = ["verification time ", "stack depth ", "processed ", "insns processed "];
    let is_statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
    let says_something = |line: &&str| !line.trim().is_empty() && !is_statistics(line);
    log.lines().rev().find(says_something).unwrap_or("(no log)")
}

/// A program and all that it will be run on.
#[derive(Clone, Debug)]
pub struct Task {
    /// The program.
    pub program: Arc<Program>,
    /// The inputs.
    pub inputs: Vec<Input>,
}

/// Something that runs programs on a world.
pub trait Engine {
    /// Which one it is.
    fn id(&self) -> EngineId;
    /// What it shows of the runs of the program loaded last.
    fn sight(&self) -> Sight {
        Sight::WHOLE
    }
    /// Whether it judges programs itself and keeps this process out of danger: then it may be given any, verified or not.
    fn is_contained(&self) -> bool {
        false
    }
    /// Learns what it will be asked for soon. An engine that is far away asks once for all of it.
    fn ahead(&mut self, _tasks: &[Task]) {}
    /// Prepares a program; it replaces the one before.
    fn load(&mut self, program: &Verified) -> Result<(), Lack>;
    /// Runs the program loaded last, on the world as it stands: R0, or how it ended instead.
    fn run(&mut self, world: &mut World) -> Result<u64, Trap>;
    /// What it has to complain of since it was last asked: warnings of a kernel, or how it died.
    fn complaint(&mut self) -> Option<String> {
        None
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["interpreter", "jit", "jit-no-bmi2", "jit-blinded", "linux-6.12-interpreter", "linux-7.2-jit"] {
            assert_eq!(name.parse::<EngineId>().unwrap().to_string(), name);
        }
        for name in ["", "linux", "linux-6-jit", "linux-6.1", "linux-6.1-both", "linux-six.one-jit", "JIT"] {
            assert_eq!(name.parse::<EngineId>(), Err(NoSuchEngine), "{name}");
        }
    }
}
