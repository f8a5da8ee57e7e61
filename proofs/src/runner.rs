//! Running obligations: which, how, in parallel, with results as they come.

use crate::obligation::{Floor, Obligation, Outcome, Unknown};
use crate::plant;
use crate::solver::{self, Settings, Stats};
use rayon::prelude::*;
use semantics::insn::Room;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// At which widths obligations are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// Proven by the solver for all values of the real widths.
    #[default]
    Full,
    /// Run on all values of the narrowest world where those are few, on samples otherwise, without a solver: see
    /// [`crate::check`] for the bounds. Finds mistakes quickly and proves nothing about 64 bits.
    Narrow,
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only obligations whose names match: `*` stands for any text; a name without one also for all paths below it. The
    /// floor may stand before the name: `verifier`, `jit::insn::alu`.
    pub only: Option<String>,
    /// None of these names.
    pub skip: Vec<String>,
    /// Only the part with this number, from 0, of so many equal parts.
    pub shard: Option<(usize, usize)>,
    /// At which widths.
    pub width: Width,
    /// The longest that one query may take.
    pub timeout: Duration,
    /// A mistake to plant into the rules under proof: then something must be refuted.
    pub plant: Option<String>,
    /// A directory, which must exist, that remembers what is proven by the hash of the query; `None`: everything is
    /// proven anew.
    pub cache: Option<PathBuf>,
    /// A directory, which must exist, for all queries as SMT-LIB 2 files.
    pub smt2: Option<PathBuf>,
    /// Set by whoever wants the run to end: obligations not yet begun are reported as stopped.
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            only: None,
            skip: Vec::new(),
            shard: None,
            width: Width::Full,
            timeout: Duration::from_mins(1),
            plant: None,
            cache: None,
            smt2: None,
            stop: Arc::default(),
        }
    }
}

/// Why nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A run that proves nothing must not look like one that proves everything.
    #[error("no obligation matches {only}")]
    NothingMatches {
        /// What was asked for.
        only: String,
    },
    /// No mistake has this name.
    #[error("no planted mistake is called {name:?}")]
    NoSuchPlant {
        /// The name.
        name: String,
    },
    /// Parts are numbered from 0.
    #[error("there is no part {index} of {count}")]
    NoSuchShard {
        /// Which part.
        index: usize,
        /// Of how many.
        count: usize,
    },
}

/// What came of one obligation.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finished {
    /// The obligation.
    pub name: String,
    /// What it is about.
    pub floor: Floor,
    /// The family of instructions, if it is about one.
    pub room: Option<&'static str>,
    /// How many cases it has.
    pub cases: usize,
    /// How long it took.
    pub seconds: f64,
    /// What the solver was asked.
    pub solver: Stats,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// At which widths.
    pub width: Width,
    /// The mistake that was planted.
    pub plant: Option<String>,
    /// Wall-clock time of the whole.
    pub seconds: f64,
    /// By obligation, in the order of [`crate::obligations`].
    pub results: Vec<Finished>,
}

impl Report {
    /// How many are proven, refuted, unknown.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |matches: fn(&Outcome) -> bool| self.results.iter().filter(|result| matches(&result.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Proven)),
            count(|outcome| matches!(outcome, Outcome::Refuted(_))),
            count(|outcome| matches!(outcome, Outcome::Unknown { .. })),
        )
    }
    /// Whether all is as it must be: everything proven; or, with a planted mistake, something refuted and nothing unknown.
    pub fn is_success(&self) -> bool {
        let (proven, refuted, unknown) = self.counts();
        unknown == 0 && if self.plant.is_some() { refuted > 0 } else { refuted == 0 && proven > 0 }
    }
}

/// Runs what the options select, on all threads of the pool, and tells `progress` of each result as it comes.
pub fn run(options: &Options, progress: impl Fn(&Finished) + Sync) -> Result<Report, RunError> {
    let begun = Instant::now();
    let chosen = select(options)?;
    let results = chosen.par_iter().with_max_len(1).map(|obligation| {
        let finished = run_one(obligation, options);
        progress(&finished);
        finished
    });
    let results = results.collect();
    let (width, plant) = (options.width, options.plant.clone());
    Ok(Report { width, plant, seconds: begun.elapsed().as_secs_f64(), results })
}

/// The obligations that the options select.
pub fn select(options: &Options) -> Result<Vec<Obligation>, RunError> {
    let planted = options.plant.as_ref().map(|name| {
        let known = plant::by_name(name);
        known.ok_or_else(|| RunError::NoSuchPlant { name: name.clone() })
    });
    let floor = planted.transpose()?.map(|plant| plant.floor);
    let (index, count) = options.shard.unwrap_or((0, 1));
    if index >= count {
        return Err(RunError::NoSuchShard { index, count });
    }
    let only = options.only.as_deref().unwrap_or("*");
    let matching = crate::obligations().into_iter().filter(|obligation| {
        let below_floor = format!("{}::{}", obligation.floor.name(), obligation.name);
        matches(only, &obligation.name) || matches(only, &below_floor)
    });
    let matching = matching.filter(|obligation| !options.skip.contains(&obligation.name));
    let matching = matching.filter(|obligation| floor.is_none_or(|floor| floor == obligation.floor));
    let chosen: Vec<Obligation> =
        matching.enumerate().filter(|(at, _)| at % count == index).map(|(_, obligation)| obligation).collect();
    if chosen.is_empty() { Err(RunError::NothingMatches { only: only.to_owned() }) } else { Ok(chosen) }
}

fn run_one(obligation: &Obligation, options: &Options) -> Finished {
    let begun = Instant::now();
    let plant = options.plant.as_deref();
    let mut stats = Stats::default();
    let outcome = if options.stop.load(Ordering::Relaxed) {
        Unknown::Stopped.into()
    } else if options.width == Width::Narrow {
        obligation.check(plant)
    } else {
        let (smt2, cache) = (options.smt2.clone(), options.cache.clone());
        let settings = Settings { timeout: options.timeout, smt2, cache };
        // A context of its own: terms are freed with it, and its queries' text does not depend on what ran before.
        let (outcome, asked) = z3::with_z3_config(&z3::Config::new(), || {
            solver::begin(&obligation.name, settings.clone());
            (obligation.prove(plant), solver::end())
        });
        stats = asked;
        outcome
    };
    Finished {
        name: obligation.name.clone(),
        floor: obligation.floor,
        room: obligation.room.map(Room::name),
        cases: obligation.cases(),
        seconds: begun.elapsed().as_secs_f64(),
        solver: stats,
        outcome,
    }
}

/// Whether the name matches the pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return name.strip_prefix(pattern).is_some_and(|below| below.is_empty() || below.starts_with("::"));
    };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("*", "tnum::add64") && matches("tnum::add64", "tnum::add64"));
        assert!(matches("insn::alu", "insn::alu::lower::neg32") && !matches("insn::al", "insn::alu::lower::neg32"));
        assert!(matches("insn::*::lower::*64*", "insn::alu::lower::add64_k"));
        assert!(!matches("insn::*::lower::*64*", "insn::alu::lower::add32_k"));
        assert!(matches("*64_k", "insn::alu::lower::add64_k") && !matches("*64", "insn::alu::lower::add64_k"));
    }

    #[test]
    fn a_run_of_nothing_is_an_error() {
        let nothing = Options { only: Some("nonsense".into()), ..Options::default() };
        assert_eq!(run(&nothing, |_| ()).unwrap_err(), RunError::NothingMatches { only: "nonsense".into() });
        let plant = Options { plant: Some("nonsense".into()), ..Options::default() };
        assert_eq!(select(&plant).unwrap_err(), RunError::NoSuchPlant { name: "nonsense".into() });
        let shard = Options { shard: Some((3, 3)), ..Options::default() };
        assert_eq!(select(&shard).unwrap_err(), RunError::NoSuchShard { index: 3, count: 3 });
    }

    #[test]
    fn shards_are_a_partition() {
        let names = |shard| {
            let chosen = select(&Options { shard, ..Options::default() }).unwrap();
            chosen.into_iter().map(|obligation| obligation.name).collect::<Vec<_>>()
        };
        let mut parts: Vec<String> = (0..3).flat_map(|index| names(Some((index, 3)))).collect();
        let mut whole = names(None);
        parts.sort();
        whole.sort();
        assert_eq!(parts, whole);
        whole.dedup();
        assert_eq!(parts.len(), whole.len(), "names are unique");
    }

    #[test]
    fn a_stopped_run_reports_what_it_did_not_try() {
        let options = Options { only: Some("tnum".into()), ..Options::default() };
        options.stop.store(true, Ordering::Relaxed);
        let report = run(&options, |_| ()).unwrap();
        assert!(!report.is_success());
        assert_eq!(report.counts().2, report.results.len());
    }
}
