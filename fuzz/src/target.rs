//! What a campaign is about: which programs are made, how they are judged, and in which configurations the JIT runs them.

use jit::Rules;
use semantics::word::Concrete;
use serde::{Deserialize, Serialize};

use crate::calls;
use crate::closed;
use crate::dice::Dice;
use crate::generate::{self, Options};
use crate::paths;
use crate::test::Test;

/// Which programs are made and how they are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Well-typed programs, judged inside the verifier's states.
    #[default]
    InterpreterVsJit,
    /// Programs that are safe by construction, over every instruction that the JIT lowers.
    Closed,
    /// Programs whose verdict hangs on their paths, verified with and without pruning.
    VerifierPrune,
    /// Sequences of helper calls that share maps, memory and packet, judged like the first.
    Helper,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 4] = [Target::InterpreterVsJit, Target::Closed, Target::VerifierPrune, Target::Helper];

    /// Its name, which is also that of the cargo-fuzz target.
    pub fn name(self) -> &'static str {
        match self {
            Target::InterpreterVsJit => "interpreter_vs_jit",
            Target::Closed => "closed",
            Target::VerifierPrune => "verifier_prune",
            Target::Helper => "helper",
        }
    }
    /// The target with this name.
    pub fn by_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }
    /// The configuration that it uses unless told otherwise; `None` stands for all in turns.
    pub fn configuration(self) -> Option<Configuration> {
        match self {
            Target::InterpreterVsJit | Target::VerifierPrune | Target::Helper => Some(Configuration::Standard),
            Target::Closed => None,
        }
    }
}

/// How the JIT lowers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Configuration {
    /// For this processor.
    Standard,
    /// For a processor without BMI2.
    NoBmi2,
    /// For this processor, with constants blinded.
    Blinded,
}

impl Configuration {
    /// All of them.
    pub const ALL: [Configuration; 3] = [Configuration::Standard, Configuration::NoBmi2, Configuration::Blinded];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Configuration::Standard => "standard",
            Configuration::NoBmi2 => "no-bmi2",
            Configuration::Blinded => "blinded",
        }
    }
    /// What findings call the JIT in this configuration.
    pub fn engine(self) -> &'static str {
        match self {
            Configuration::Standard => "jit",
            Configuration::NoBmi2 => "jit-no-bmi2",
            Configuration::Blinded => "jit-blinded",
        }
    }
    /// The configuration with this name.
    pub fn by_name(name: &str) -> Option<Configuration> {
        Configuration::ALL.into_iter().find(|configuration| configuration.name() == name)
    }
    /// The lowering rules.
    pub fn rules(self) -> Rules<Concrete> {
        match self {
            Configuration::Standard if has_bmi2() => Rules::standard(),
            Configuration::Standard | Configuration::NoBmi2 => Rules::without_bmi2(),
            // The keys are the same in every run, so that what is found once is found again.
            Configuration::Blinded => Configuration::Standard.rules().blinded(0),
        }
    }
    /// Whether it is another one than those before on this processor.
    pub fn is_supported(self) -> bool {
        self != Configuration::NoBmi2 || has_bmi2()
    }
}

fn has_bmi2() -> bool {
    std::arch::is_x86_feature_detected!("bmi2")
}

/// The generator of a target.
#[derive(Debug)]
pub enum Generator {
    /// Of [`Target::InterpreterVsJit`].
    Typed(generate::Generator),
    /// Of [`Target::Closed`].
    Closed(closed::Generator),
    /// Of [`Target::VerifierPrune`].
    Paths(paths::Generator),
    /// Of [`Target::Helper`].
    Calls(calls::Generator),
}

impl Generator {
    /// The generator of this target, with these options; its programs call these helpers, by number, or all if there are none.
    pub fn new(target: Target, options: Options, helpers: &[u32]) -> Generator {
        match target {
            Target::Helper => Generator::Calls(calls::Generator::new(helpers, options.run_by_kernels)),
            Target::InterpreterVsJit => Generator::Typed(generate::Generator::new(options)),
            Target::Closed => Generator::Closed(closed::Generator::new(options)),
            Target::VerifierPrune => Generator::Paths(paths::Generator::new(options)),
        }
    }
    /// The test that these dice give.
    pub fn test(&self, dice: Dice) -> Test {
        match self {
            Generator::Typed(generator) => generator.test(dice),
            Generator::Closed(generator) => generator.test(dice),
            Generator::Paths(generator) => generator.test(dice),
            Generator::Calls(generator) => generator.test(dice),
        }
    }
}
