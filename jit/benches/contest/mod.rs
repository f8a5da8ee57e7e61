//! Contests: the same work done by several runners, measured in turns so that what else the machine does hits all alike.
#![allow(dead_code, reason = "each bench uses a part of it")]
#![allow(clippy::cast_precision_loss, reason = "of times far below 2^53 nanoseconds")]

use std::time::{Duration, Instant};

pub mod compile;
pub mod helper;
pub mod native;
pub mod programs;
pub mod run;
pub mod template;

/// The same work for several runners; the first is ours.
pub trait Contest {
    /// What is done, and per which unit it is counted.
    fn title(&self) -> (&str, Unit);
    /// Who does it.
    fn runners(&self) -> &[&'static str];
    /// Does it once.
    fn run(&mut self, runner: usize);
}

/// What a duration is divided by.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// How many of it one run has.
    pub count: u64,
    /// Its name, empty for the run as a whole.
    pub name: &'static str,
}

impl Unit {
    /// The run as a whole.
    pub const RUN: Unit = Unit { count: 1, name: "" };
}

/// What one runner needed.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Who.
    pub runner: &'static str,
    /// Nanoseconds per unit, the median over rounds.
    pub nanoseconds: f64,
    /// Our time divided by theirs, the median over rounds.
    pub ratio: f64,
}

/// Turns that everyone gets.
const ROUNDS: usize = 61;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_micros(500);

/// Measures all runners, in turns whose order rotates.
pub fn measure(contest: &mut dyn Contest) -> Vec<Figure> {
    let runners = contest.runners().to_vec();
    let per_turn: Vec<u32> = (0..runners.len()).map(|runner| calibrate(contest, runner)).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(ROUNDS); runners.len()];
    for round in 0..ROUNDS {
        for turn in 0..runners.len() {
            let runner = (round + turn) % runners.len();
            times[runner].push(turn_of(contest, runner, per_turn[runner]));
        }
    }
    let count = contest.title().1.count as f64;
    let figure = |(at, runner): (usize, &&'static str)| Figure {
        runner,
        nanoseconds: median(times[at].iter().map(|time| time / count)),
        ratio: median(times[0].iter().zip(&times[at]).map(|(ours, theirs)| ours / theirs)),
    };
    runners.iter().enumerate().map(figure).collect()
}

/// Nanoseconds per run of `runs` in a row.
fn turn_of(contest: &mut dyn Contest, runner: usize, runs: u32) -> f64 {
    let start = Instant::now();
    (0..runs).for_each(|_| contest.run(runner));
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

/// How many runs fill a turn.
fn calibrate(contest: &mut dyn Contest, runner: usize) -> u32 {
    let mut runs = 1;
    while turn_of(contest, runner, runs) * f64::from(runs) < TURN.as_nanos() as f64 {
        runs *= 2;
    }
    runs
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All contests, one after the other: each owns guest memory, of which a process has one.
pub fn all() -> Vec<fn() -> Box<dyn Contest>> {
    vec![
        || Box::new(run::Code::mixed_alu()),
        || Box::new(run::Code::alu_chain()),
        || Box::new(run::Code::checksum()),
        || Box::new(run::Code::copy_words()),
        || Box::new(run::Code::copy_bytes()),
        || Box::new(run::Code::copy_unrolled()),
        || Box::new(run::Code::divisions()),
        || Box::new(run::Code::nothing()),
        || Box::new(helper::Calls::new()),
        || Box::new(compile::Compile::new(20)),
        || Box::new(compile::Compile::new(4096)),
        || Box::new(compile::Whole::new()),
    ]
}
