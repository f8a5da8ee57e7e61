//! A campaign: worker processes that judge numbered tests until time, tests or patience run out.
//!
//! Test number N is the same for the same seed whatever the number of workers. Findings are written the moment they are
//! shrunk; interrupting a campaign loses nothing that was found.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::finding::{Finding, Objection};
use crate::reduce::reduce;
use crate::test::Test;
use crate::worker::{BatchReply, Launcher, Remote, RemoteError, Setup, Stats};

/// Tests of a batch: a worker answers some times per second.
const BATCH: u64 = 4096;
/// The same where kernels are asked, which take longer.
const BATCH_OUTSIDE: u64 = 256;
/// Workers that may die in a batch.
const DEATHS: usize = 8;
/// Raw objections of one kind that are shrunk; later ones are taken for the same mistake.
const SHRUNK_PER_KIND: usize = 8;

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How tests are made, and what is planted.
    pub setup: Setup,
    /// Worker processes.
    pub workers: usize,
    /// How long.
    pub duration: Option<Duration>,
    /// How many tests.
    pub tests: Option<u64>,
    /// Stop after so many different findings.
    pub findings: Option<usize>,
    /// Where findings are written; nowhere if not given.
    pub dir: Option<PathBuf>,
    /// How workers are started.
    pub launcher: Launcher,
}

/// Why a campaign stopped.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// Workers do not work.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Counts.
    pub stats: Stats,
    /// Findings by meaning, shrunk, with the file each was written to or why that failed.
    pub findings: BTreeMap<String, (Finding, Option<Result<PathBuf, String>>)>,
    /// Raw objections, also those taken for a finding that there is already.
    pub objections: u64,
    /// Time from start to end.
    pub elapsed: Duration,
    /// Time from start to the first finding.
    pub first_finding: Option<Duration>,
    /// Tests tried while shrinking.
    pub reductions: u64,
}

struct Shared<'a> {
    options: &'a Options,
    start: Instant,
    next: AtomicU64,
    stop: &'a AtomicBool,
    report: Mutex<Report>,
    /// How often each kind of objection was shrunk.
    shrunk: Mutex<BTreeMap<String, usize>>,
}

/// Runs a campaign. `stop` ends it early; `progress` is called after each batch.
pub fn run(options: &Options, stop: &AtomicBool, progress: &(dyn Fn(&Report) + Sync)) -> Result<Report, CampaignError> {
    let shared = Shared {
        options,
        start: Instant::now(),
        next: AtomicU64::new(0),
        stop,
        report: Mutex::default(),
        shrunk: Mutex::default(),
    };
    let results: Vec<Result<(), RemoteError>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.workers.max(1)).map(|_| scope.spawn(|| shared.work(progress))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(RemoteError::Broken("a thread panicked".to_owned()))))
            .collect()
    });
    let mut report = shared.report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.elapsed = shared.start.elapsed();
    // What was found counts more than a worker that failed later.
    match results.into_iter().find_map(Result::err) {
        Some(error) if report.findings.is_empty() => Err(error.into()),
        _ => Ok(report),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn done(&self) -> bool {
        let options = self.options;
        self.stop.load(Ordering::Relaxed)
            || options.duration.is_some_and(|limit| self.start.elapsed() >= limit)
            || options.findings.is_some_and(|limit| lock(&self.report).findings.len() >= limit)
    }

    /// The next batch: first number and count.
    fn take(&self) -> Option<(u64, u64)> {
        let batch = if self.options.setup.linux.is_empty() { BATCH } else { BATCH_OUTSIDE };
        let first = self.next.fetch_add(batch, Ordering::Relaxed);
        let count = match self.options.tests {
            Some(tests) => batch.min(tests.saturating_sub(first)),
            None => batch,
        };
        (count > 0 && !self.done()).then_some((first, count))
    }

    fn work(&self, progress: &(dyn Fn(&Report) + Sync)) -> Result<(), RemoteError> {
        let mut remote = Remote::new(self.options.launcher.clone(), self.options.setup.clone());
        while let Some((first, count)) = self.take() {
            let mut objections = self.batch(&mut remote, first, count)?;
            lock(&self.report).objections += objections.len() as u64;
            // Short programs first, and those that do not take a worker with them: they shrink fast.
            let generator = self.options.setup.generator();
            let test = |number| self.options.setup.test(&generator, number);
            objections.sort_by_cached_key(|(number, objection)| {
                let is_death = objection.engines == Objection::death("").engines;
                (is_death, test(*number).program.insns().len(), *number)
            });
            for (number, objection) in objections {
                if self.done() && !lock(&self.report).findings.is_empty() {
                    break;
                }
                self.found(&mut remote, number, objection)?;
            }
            let mut report = lock(&self.report);
            report.elapsed = self.start.elapsed();
            progress(&report);
        }
        Ok(())
    }

    /// Judges a batch, also through tests that kill the worker.
    fn batch(&self, remote: &mut Remote, first: u64, count: u64) -> Result<Vec<(u64, Objection)>, RemoteError> {
        let (mut first, end) = (first, first + count);
        let (mut found, mut announce, mut deaths) = (Vec::new(), false, 0);
        while first < end {
            match remote.batch(first, end - first, announce)? {
                BatchReply::Done(stats, objections) => {
                    lock(&self.report).stats.add(&stats);
                    found.extend(objections);
                    break;
                }
                // Once more, with each test announced, to learn which one it was.
                BatchReply::Died(_, None, _) if !announce => announce = true,
                BatchReply::Died(how, None, _) => return Err(RemoteError::Broken(how)),
                BatchReply::Died(how, Some(number), objections) => {
                    found.extend(objections);
                    found.push((number, Objection::death(&how)));
                    deaths += 1;
                    let survived = Stats { tests: number + 1 - first, ..Stats::default() };
                    lock(&self.report).stats.add(&survived);
                    first = number + 1;
                    // What kills so often is known by now; the rest of the batch would take long to go through.
                    if deaths >= DEATHS || self.done() {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Shrinks an objection and keeps it if it is a new one.
    fn found(&self, remote: &mut Remote, number: u64, objection: Objection) -> Result<(), RemoteError> {
        let kind = format!("{:?} {:?} {}", objection.oracle, objection.engines, objection.kind);
        {
            let mut shrunk = lock(&self.shrunk);
            let times = shrunk.entry(kind).or_default();
            if *times >= SHRUNK_PER_KIND {
                return Ok(());
            }
            *times += 1;
        }
        let setup = &self.options.setup;
        let test = setup.test(&setup.generator(), number);
        let finding = Finding { test, objection, plant: setup.plant.clone(), target: setup.target };
        let mut broken = None;
        let (finding, tries) = reduce(finding, &mut |test: &Test| match remote.check(test) {
            Ok(Ok(objection)) => objection,
            Ok(Err(_)) => None,
            Err(error) => {
                broken.get_or_insert(error);
                None
            }
        });
        self.keep(finding, tries);
        broken.map_or(Ok(()), Err)
    }

    fn keep(&self, finding: Finding, tries: u64) {
        let mut report = lock(&self.report);
        report.reductions += tries;
        let meaning = finding.meaning();
        if report.findings.contains_key(&meaning) {
            return;
        }
        let written = self.options.dir.as_ref().map(|dir| crate::case::write(&finding, dir).map_err(|e| e.to_string()));
        report.first_finding.get_or_insert_with(|| self.start.elapsed());
        report.findings.insert(meaning, (finding, written));
    }
}
