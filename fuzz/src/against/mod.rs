//! Our verifier against those of real kernels: what both say of many programs, and where they differ, by cause.
//!
//! The way of a program: [`subject`] reads or makes it ([`mutate`] makes some of them wrong), [`opinion`] is what each
//! side says of it, [`relation`] how that relates, [`tally`] counts and groups.

pub mod message;
pub mod mutate;
pub mod opinion;
pub mod relation;
pub mod runs;
pub mod subject;
pub mod tally;

use std::sync::Arc;
use std::time::Instant;

use corpus::case::Malformed;
use linux::guest::GuestError;
use linux::job::{self, Wanted};
use linux::{Kernel, Order, Pool, Settings};
use semantics::insn::Version;
use semantics::memory::ArenaError;
use semantics::program::Program;
use verifier::{Dialect, Verifier};
use wire::Job;

use crate::examine::maps;
use opinion::{Impossible, Ours, Theirs, Unsupported};
use relation::{explain, relate};
use runs::Runs;
use subject::{Content, Lack, Subject};
use tally::{Comparison, Tally};

/// `BPF_LOG_STATS`: what the verifier says last and its counts, without the instructions that it followed. A million of
/// those take a kernel minutes to write down.
const LOG_STATS: u32 = 4;

/// Our verifier, and one kernel that it is compared with.
#[derive(Debug)]
pub struct Bench {
    verifier: Verifier,
    dialect: Dialect,
    pool: Pool,
    runs: Runs,
    /// What came of it so far.
    pub tally: Tally,
}

impl Bench {
    /// Compares `verifier`, under the dialect of the kernel's version, with that kernel in so many guests.
    pub fn new(verifier: Verifier, kernel: &Kernel, guests: usize) -> Result<Bench, ArenaError> {
        let (major, minor) = kernel.number();
        let version = Version(major as u16, minor as u16);
        let dialect = Dialect::of_version(version);
        let pool = Pool::new(kernel, &Settings::default(), guests);
        let runs = Runs::on(kernel)?;
        Ok(Bench { verifier, dialect, pool, runs, tally: Tally::new(version, dialect.name) })
    }

    /// Compares what both sides say of some programs; `each` is called for every one. Those that cannot be asked about
    /// come first, the others in order.
    pub fn compare(&mut self, subjects: &[Subject], each: &mut dyn FnMut(&Comparison<'_>)) -> Result<(), GuestError> {
        let start = Instant::now();
        let wanted = Wanted { log_level: LOG_STATS, ..Wanted::verdict() };
        let mut asked = Vec::with_capacity(subjects.len());
        for subject in subjects {
            match ask(subject, &wanted) {
                Ok((program, job)) => asked.push(((subject, program), job)),
                Err((ours, theirs)) => {
                    let again = ours.clone();
                    let comparison = related(subject, ours, theirs, self.dialect, &mut |_| again.clone());
                    self.tally.add(&comparison);
                    each(&comparison);
                }
            }
        }
        let mut taken = Vec::new();
        let mut comparisons = Vec::with_capacity(asked.len());
        for done in self.pool.ask(asked, Order::Given) {
            let ((subject, program), given) = done?;
            let ours = Ours::ask(&mut self.verifier, &program, self.dialect);
            let mut again = |dialect| Ours::ask(&mut self.verifier, &program, dialect);
            let mut comparison = related(subject, ours, Theirs::read(&given), self.dialect, &mut again);
            comparison.warnings = given.map_or_else(|_| Vec::new(), |answer| answer.messages);
            if let (Theirs::Accept { .. }, Ok(program)) = (&comparison.theirs, program) {
                taken.extend(runs::tests(subject, &program).into_iter().map(|test| (comparisons.len(), test)));
            }
            comparisons.push(comparison);
        }
        for (at, objection) in self.runs.ask(&taken) {
            comparisons[at].run.get_or_insert(objection);
        }
        for comparison in &comparisons {
            self.tally.add(comparison);
            each(comparison);
        }
        self.tally.runs.clone_from(self.runs.counts());
        self.tally.guests = self.pool.history().started;
        self.tally.elapsed += start.elapsed();
        Ok(())
    }
}

impl Bench {
    /// Compares what the kernel and the model say of maps and of commands on them; the sequences of commands are drawn from `seed`.
    pub fn examine_maps(&mut self, seed: u64, only: Option<&str>) -> Result<(), GuestError> {
        /// Sequences of commands, of 48 each.
        const SEQUENCES: usize = 300;
        let start = Instant::now();
        let all = maps::creations().into_iter().chain(maps::sequences(seed, SEQUENCES));
        let wanted = all.filter(|examination| only.is_none_or(|only| examination.name() == only));
        let jobs = wanted.map(|examination| {
            let job = examination.job();
            (examination, job)
        });
        for done in self.pool.ask(jobs, Order::Given) {
            let (examination, given) = done?;
            let Some(trial) = given.ok().and_then(|answer| answer.trials.into_iter().next()) else { continue };
            let differences =
                examination.differences(&trial).map_err(|error| GuestError::Channel(std::io::Error::other(error)))?;
            self.tally.add_map(&examination.name(), &differences);
        }
        self.tally.guests = self.pool.history().started;
        self.tally.elapsed += start.elapsed();
        Ok(())
    }
}

/// How two opinions relate; `again` is ours under other rules.
fn related<'s>(
    subject: &'s Subject,
    ours: Ours,
    theirs: Theirs,
    dialect: Dialect,
    again: &mut dyn FnMut(Dialect) -> Ours,
) -> Comparison<'s> {
    let cause = relate(&ours, &theirs);
    let explained = explain(&cause, (&ours, &theirs), dialect, again);
    Comparison { subject, ours, theirs, cause, explained, warnings: Vec::new(), run: None }
}

/// A program as we read it, and as a kernel is asked about it; or why nobody is asked.
#[allow(clippy::type_complexity)] // said in one place only
fn ask(subject: &Subject, wanted: &Wanted) -> Result<(Result<Arc<Program>, Malformed>, Job), (Ours, Theirs)> {
    let nobody = |lack: &Lack| {
        let ours = Ours::Unsupported(Unsupported::Read(lack.to_string()));
        (ours, Theirs::Impossible(Impossible::Case(lack.to_string())))
    };
    let content = subject.content.as_ref().map_err(nobody)?;
    let job = match content {
        Content::Case(case) => job::of_case(case, wanted).map_err(|malformed| nobody(&Lack::Case(malformed)))?,
        Content::Program(program) => job::of_program(program, std::iter::empty(), wanted),
    };
    Ok((content.program(), job))
}
