//! Running a statement on numbers: replays, and the search for counterexamples at narrow widths.

use crate::memory::mix;
use crate::obligation::{Counterexample, Outcome, Unknown};
use crate::theory::{Context, Memory, Numbers, Statement, Theory};
use semantics::word::narrow::{Eighth, Sixteenth};
use semantics::word::{Concrete, Word};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A statement whose cases take at most so many bits of variables at 4-bit registers is checked for all values there.
pub const EXHAUSTIVE_BITS: u32 = 16;
/// How many values of a scaling obligation are drawn in the world of 8-bit registers, shared out among its cases.
pub const SAMPLES: usize = 10_000;
/// How many values of an obligation without narrow worlds are drawn at full width, shared out among its cases.
pub const FULL_SAMPLES: usize = 2_000;
/// How many values are drawn before a goal whose argument fails is put to the solver whole.
pub const SEARCH: usize = 50_000;
/// The least number of values drawn per case.
pub const CASE_SAMPLES: usize = 20;

/// Whether the code that runs fails on the counterexample.
pub fn replay<S: Statement>(statement: &S, counterexample: &Counterexample, plant: Option<&str>) -> bool {
    let Counterexample { case, bits, values, memory, .. } = counterexample;
    let (values, memory) = (values.clone(), memory.clone());
    let bytes = Rc::new(move |addr: u64| memory.get(&addr).copied().unwrap_or(0));
    match bits {
        8 => run::<Eighth, S>(statement, *case, plant, &mut Given { values, bytes }).is_failure(),
        4 => run::<Sixteenth, S>(statement, *case, plant, &mut Given { values, bytes }).is_failure(),
        _ => run::<Concrete, S>(statement, *case, plant, &mut Given { values, bytes }).is_failure(),
    }
}

/// The goal that fails on these values in the real world, if one does while the assumptions hold.
pub fn failing_goal<S: Statement>(
    statement: &S,
    case: usize,
    plant: Option<&str>,
    values: BTreeMap<String, u64>,
    bytes: Rc<dyn Fn(u64) -> u8>,
) -> Option<String> {
    match run::<Concrete, S>(statement, case, plant, &mut Given { values, bytes }) {
        Run::Fails(goal) => Some(goal),
        Run::Holds | Run::NotAdmitted => None,
    }
}

/// Looks for a counterexample of one case among [`SEARCH`] samples at full width.
pub(crate) fn search<S: Statement>(statement: &S, case: usize, plant: Option<&str>) -> Option<Counterexample> {
    match sample::<Concrete, S>(statement, case, SEARCH, plant) {
        Outcome::Refuted(found) => Some(found),
        Outcome::Proven | Outcome::Unknown { .. } => None,
    }
}

/// Looks for a counterexample without a solver.
pub fn check<S: Statement>(statement: &S, scales: bool, plant: Option<&str>) -> Outcome {
    let attempt = || {
        for case in 0..statement.cases() {
            let outcome = if scales {
                let exhausted = exhaust::<Sixteenth, S>(statement, case, plant);
                let sampled = || sample::<Eighth, S>(statement, case, SAMPLES / statement.cases(), plant);
                exhausted.filter(|outcome| matches!(outcome, Outcome::Refuted(_))).unwrap_or_else(sampled)
            } else {
                sample::<Concrete, S>(statement, case, FULL_SAMPLES / statement.cases(), plant)
            };
            if outcome != Outcome::Proven {
                return outcome;
            }
        }
        Outcome::Proven
    };
    let caught = catch_unwind(AssertUnwindSafe(attempt));
    caught.unwrap_or_else(|payload| Unknown::Panicked { message: panic_message(&*payload) }.into())
}

/// The words of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

/// What one run of a statement came to.
enum Run {
    Holds,
    NotAdmitted,
    Fails(String),
}

impl Run {
    fn is_failure(&self) -> bool {
        matches!(self, Run::Fails(_))
    }
}

fn run<A: Theory<Flag = bool>, S: Statement>(
    statement: &S,
    case: usize,
    plant: Option<&str>,
    numbers: &mut dyn Numbers,
) -> Run
where
    A::Memory: Memory<A>,
{
    let mut cx = Context::<A>::new(numbers, plant);
    statement.state(case, &mut cx);
    if cx.assumptions.contains(&false) {
        return Run::NotAdmitted;
    }
    cx.goals.into_iter().find(|goal| !goal.flag).map_or(Run::Holds, |goal| Run::Fails(goal.name))
}

/// Values that are given.
struct Given {
    values: BTreeMap<String, u64>,
    bytes: Rc<dyn Fn(u64) -> u8>,
}

impl Numbers for Given {
    fn number(&mut self, name: &str, _: u32) -> u64 {
        self.values.get(name).copied().unwrap_or(0)
    }
    fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8> {
        Rc::clone(&self.bytes)
    }
}

/// Draws values: often near the ends of the number circle, and near values drawn before.
struct Sampler {
    state: u64,
    values: BTreeMap<String, u64>,
    recent: Vec<u64>,
    read: Rc<RefCell<BTreeMap<u64, u8>>>,
}

impl Sampler {
    fn new(seed: u64) -> Self {
        Sampler { state: mix(0, seed), values: BTreeMap::new(), recent: Vec::new(), read: Rc::default() }
    }
    fn next(&mut self) -> u64 {
        self.state = mix(self.state, 1);
        self.state
    }
    fn draw(&mut self, bits: u32) -> u64 {
        let (kind, any, pick) = (self.next() % 8, self.next(), self.next());
        let near = |value: u64| value.wrapping_add(pick % 3).wrapping_sub(1);
        match (kind, self.recent.is_empty()) {
            (0, _) => near(0),
            (1, _) => near(1 << (bits - 1)),
            (2, _) => any & self.next() & self.next(),
            (3..=5, false) => near(self.recent[any as usize % self.recent.len()]),
            _ => any,
        }
    }
}

impl Numbers for Sampler {
    fn number(&mut self, name: &str, bits: u32) -> u64 {
        let value = self.draw(bits) & (u64::MAX >> (64 - bits));
        self.recent.push(value);
        self.values.insert(name.to_owned(), value);
        value
    }
    fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8> {
        let (seed, read) = (self.next(), Rc::clone(&self.read));
        Rc::new(move |addr| *read.borrow_mut().entry(addr).or_insert_with(|| mix(seed, addr) as u8))
    }
    fn draws(&self) -> u32 {
        12
    }
}

fn sample<A: Theory<Flag = bool>, S: Statement>(
    statement: &S,
    case: usize,
    samples: usize,
    plant: Option<&str>,
) -> Outcome {
    let mut admitted = false;
    for seed in 0..samples.max(CASE_SAMPLES) {
        let mut numbers = Sampler::new(seed as u64);
        match run::<A, S>(statement, case, plant, &mut numbers) {
            Run::NotAdmitted => {}
            Run::Holds => admitted = true,
            Run::Fails(goal) => {
                return Outcome::Refuted(Counterexample {
                    case,
                    case_name: statement.case_name(case),
                    bits: A::W64::BITS,
                    goal,
                    values: numbers.values,
                    memory: numbers.read.borrow().clone(),
                });
            }
        }
    }
    if admitted { Outcome::Proven } else { Unknown::Vacuous { case: statement.case_name(case) }.into() }
}

/// Counts through all values of all variables, the first fastest.
#[derive(Default)]
struct Odometer {
    digits: Vec<(String, u32, u64)>,
    next: usize,
}

impl Odometer {
    fn bits(&self) -> u32 {
        self.digits.iter().map(|(_, bits, _)| bits).sum()
    }
    /// The next setting; false after the last.
    fn step(&mut self) -> bool {
        self.next = 0;
        for (_, bits, value) in &mut self.digits {
            *value = (*value + 1) & (u64::MAX >> (64 - *bits));
            if *value != 0 {
                return true;
            }
        }
        false
    }
}

impl Numbers for Odometer {
    fn number(&mut self, name: &str, bits: u32) -> u64 {
        if let Some((_, _, value)) = self.digits[..self.next].iter().find(|(known, _, _)| known == name) {
            return *value;
        }
        if self.next == self.digits.len() {
            self.digits.push((name.to_owned(), bits, 0));
        }
        self.next += 1;
        self.digits[self.next - 1].2
    }
    fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8> {
        Rc::new(|_| 0)
    }
}

/// All values, if there are few enough; `None` if there are too many.
fn exhaust<A: Theory<Flag = bool>, S: Statement>(statement: &S, case: usize, plant: Option<&str>) -> Option<Outcome> {
    let mut numbers = Odometer::default();
    let mut admitted = false;
    loop {
        match run::<A, S>(statement, case, plant, &mut numbers) {
            _ if numbers.bits() > EXHAUSTIVE_BITS => return None,
            Run::NotAdmitted => {}
            Run::Holds => admitted = true,
            Run::Fails(goal) => {
                return Some(Outcome::Refuted(Counterexample {
                    case,
                    case_name: statement.case_name(case),
                    bits: A::W64::BITS,
                    goal,
                    values: numbers.digits.into_iter().map(|(name, _, value)| (name, value)).collect(),
                    memory: BTreeMap::new(),
                }));
            }
        }
        if !numbers.step() {
            break;
        }
    }
    Some(if admitted { Outcome::Proven } else { Unknown::Vacuous { case: statement.case_name(case) }.into() })
}
