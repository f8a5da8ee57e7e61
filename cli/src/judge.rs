//! The verifier and the JIT as the corpus' runner takes them.

use std::io::Write;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use corpus::runner::{Judgement, Skip};
use jit::{Rules, blind};
use semantics::program::{Program, Verified};
use verifier::{Dialect, Options, Verdict, Verifier};

use crate::Status;

/// The dialect of this name.
pub fn dialect(name: &str) -> Result<Dialect, String> {
    let names = || Dialect::ALL.map(|dialect| dialect.name).join(", ");
    Dialect::from_name(name).ok_or_else(|| format!("there is no dialect {name}; there are: {}", names()))
}

/// Asks the verifier, with a log whose end is the reason of a rejection.
pub fn judge(verifier: &mut Verifier, program: &Arc<Program>, dialect: Dialect) -> Judgement {
    match verifier.verify(program, &Options { dialect, log: true, ..Options::default() }) {
        Verdict::Accept(accepted) => Judgement::Accepted { verified: accepted.verified, log: accepted.log },
        Verdict::Reject(rejection) => {
            let message = rejection.message();
            let mut log = rejection.log;
            if !log.contains(&message) {
                log = format!("{log}\n{message}\n");
            }
            Judgement::Rejected { log }
        }
        Verdict::Unsupported(verifier::Unsupported::Insn { name }) => Judgement::Unsupported(Skip::NotFollowed(name)),
        Verdict::Unsupported(what) => Judgement::Unsupported(Skip::Verifier(what.to_string())),
    }
}

/// The program, verified; an error if the verifier does not accept it.
fn verified(program: &Arc<Program>, dialect: Dialect) -> anyhow::Result<Result<Verified, String>> {
    match verifier::verify(program, &Options { dialect, ..Options::default() }) {
        Verdict::Accept(accepted) => Ok(Ok(accepted.verified)),
        Verdict::Reject(rejection) => Ok(Err(rejection.to_string())),
        Verdict::Unsupported(what) => bail!("{}: {what}", program.name()),
    }
}

/// Why no native code is made of a program.
#[derive(Debug)]
pub enum Refusal {
    /// The verifier rejects it, for this reason.
    Rejected(String),
    /// The verifier cannot follow it.
    Unsupported(anyhow::Error),
}

/// The program, fit to be compiled: the verifier accepts it, or the user wants it all the same.
///
/// # Safety
/// With `unverified`, what is made of it runs nowhere but in a process that may be lost.
pub unsafe fn fit(program: &Arc<Program>, unverified: bool) -> Result<Verified, Refusal> {
    match verified(program, Dialect::default()) {
        Ok(Ok(verified)) => Ok(verified),
        // SAFETY: as the caller says.
        _ if unverified => Ok(unsafe { Verified::trust(Arc::clone(program)) }),
        Ok(Err(reason)) => Err(Refusal::Rejected(reason)),
        Err(error) => Err(Refusal::Unsupported(error)),
    }
}

impl Refusal {
    /// Says it, with what can be done about it.
    pub fn report(self, rejected: &str, hint: &str, out: &mut dyn Write) -> anyhow::Result<Status> {
        match self {
            Refusal::Rejected(reason) => {
                writeln!(out, "{rejected}\n{reason}\n{hint}")?;
                Ok(Status::Findings)
            }
            Refusal::Unsupported(error) => bail!("{error:#}; {hint}"),
        }
    }
}

/// A JIT.
pub fn jit() -> anyhow::Result<jit::Jit> {
    jit::Jit::new().context("the JIT")
}

/// Where the keys of blinded constants come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seed {
    Random,
    Given(u64),
}

/// How [`Seed::Random`] is written.
const RANDOM: &str = "random";

impl FromStr for Seed {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Seed, ParseIntError> {
        if text == RANDOM { Ok(Seed::Random) } else { text.parse().map(Seed::Given) }
    }
}

/// How the JIT makes code.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Codegen {
    /// Blind constants: none that the program's author chose stands in the code as it is. The keys follow from the seed, by
    /// default one that nobody can foresee
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = RANDOM)]
    blind: Option<Seed>,
    /// Make code for processors without BMI2
    #[arg(long)]
    no_bmi2: bool,
}

impl Codegen {
    /// The JIT's rules, for this processor.
    pub fn rules(self) -> anyhow::Result<Rules> {
        let rules = if self.no_bmi2 { Rules::without_bmi2() } else { Rules::for_this_processor() };
        Ok(match self.blind {
            None => rules,
            Some(Seed::Given(seed)) => rules.blinded(seed),
            Some(Seed::Random) => rules.blinded(blind::random_seed().context("a random seed")?),
        })
    }
    /// A JIT with them.
    pub fn jit(self) -> anyhow::Result<jit::Jit> {
        jit::Jit::with_rules(self.rules()?).context("the JIT")
    }
    /// The same, as arguments of another process.
    pub fn arguments(self) -> Vec<String> {
        let blind = self.blind.map(|seed| match seed {
            Seed::Random => "--blind".to_owned(),
            Seed::Given(seed) => format!("--blind={seed}"),
        });
        blind.into_iter().chain(self.no_bmi2.then(|| "--no-bmi2".to_owned())).collect()
    }
    /// Whether anything differs from what the JIT does by itself.
    pub fn is_asked_for(self) -> bool {
        self.blind.is_some() || self.no_bmi2
    }
}
