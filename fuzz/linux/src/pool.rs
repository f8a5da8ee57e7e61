//! Several guests with the same kernel: jobs go to whichever is free.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wire::Job;

use crate::guest::{Given, GuestError, Loss, Settings, Stop};
use crate::kernel::Kernel;
use crate::machine::Machine;

/// Jobs that a guest gets at once.
const BATCH: usize = 32;
/// Bytes of jobs that a guest gets at once, about.
const BATCH_BYTES: usize = 4 << 20;
/// Batches on their way, per guest: one that it works on, and more that wait for it.
const BATCHES: usize = 4;

/// In which order results come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the jobs were given.
    #[default]
    Given,
    /// As they are done.
    Done,
}

/// Guests of one kernel. Each is started when there is work for it, replaced when it dies, and ends with the pool.
///
/// Jobs come from an iterator and results go to one; neither is ever held as a whole. Each job brings along something of
/// the caller's, which comes back with its result:
///
/// ```no_run
/// use linux::{Kernel, Order, Pool, Settings, job, kernel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cases: Vec<corpus::case::Case> = Vec::new();
/// let kernel = Kernel::find(&kernel::folder(), "6.1")?;
/// let mut pool = Pool::new(&kernel, &Settings::default(), Pool::default_guests());
/// let jobs = cases.iter().filter_map(|case| Some((&case.name, job::of_case(case, &job::Wanted::verdict()).ok()?)));
/// for done in pool.ask(jobs, Order::Given) {
///     match done? {
///         (name, Ok(answer)) => println!("{name}: {:?}", answer.trials[0].load.result),
///         (name, Err(unanswered)) => println!("{name}: {unanswered}"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Pool {
    stop: Stop,
    queue: Option<Sender<Batch>>,
    workers: Vec<JoinHandle<()>>,
    history: Arc<Mutex<History>>,
}

/// What became of a pool's guests so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Guests started.
    pub started: u32,
    /// How long the first guest of each place took to boot.
    pub boot_times: Vec<Duration>,
    /// Guests that died with no job to blame.
    pub strays: Vec<Loss>,
}

/// Jobs for one guest.
struct Batch {
    first: usize,
    jobs: Vec<Job>,
    /// Jobs of it that have no result yet.
    left: usize,
    results: Sender<Event>,
}

enum Event {
    Given(usize, Box<Given>),
    Failed(GuestError),
}

impl Drop for Batch {
    /// A batch that is lost with the thread that had it must not be waited for.
    fn drop(&mut self) {
        if self.left > 0 {
            let _ = self.results.send(Event::Failed(GuestError::Stopped));
        }
    }
}

impl Pool {
    /// A guest for each processor of this machine.
    pub fn default_guests() -> usize {
        std::thread::available_parallelism().map_or(1, Into::into)
    }

    /// A pool of so many guests (at least one); none is started yet.
    pub fn new(kernel: &Kernel, settings: &Settings, guests: usize) -> Pool {
        let (queue, batches) = channel();
        let batches = Arc::new(Mutex::new(batches));
        let (stop, history) = (Stop::default(), Arc::new(Mutex::new(History::default())));
        let work = |_| {
            let machine = Machine::until(kernel.clone(), settings.clone(), stop.clone());
            let (batches, history) = (Arc::clone(&batches), Arc::clone(&history));
            std::thread::spawn(move || work(machine, &batches, &history))
        };
        let workers = (0..guests.max(1)).map(work).collect();
        Pool { stop, queue: Some(queue), workers, history }
    }

    /// Has jobs done; the results are to be taken from the iterator, which takes jobs as there is room for them. A job
    /// that a guest is lost over has a result that says so, and the rest goes on. An error ends it: no guest is to be had.
    pub fn ask<T, I: IntoIterator<Item = (T, Job)>>(&mut self, jobs: I, order: Order) -> Answers<'_, T, I::IntoIter> {
        let (results, events) = channel();
        let jobs = Some(jobs.into_iter());
        let (waiting, ready) = (BTreeMap::new(), BTreeMap::new());
        Answers { pool: self, jobs, order, results, events, waiting, ready, sent: 0, next: 0, ahead: None }
    }

    /// What became of its guests.
    pub fn history(&self) -> History {
        lock(&self.history).clone()
    }

    /// Ends it from another thread, such as one that waits for Ctrl-C.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.stop();
        self.queue = None;
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// What a thread with a guest does.
fn work(mut machine: Machine, batches: &Mutex<Receiver<Batch>>, history: &Mutex<History>) {
    loop {
        // The lock is held by whoever waits; the others wait for it.
        let Ok(mut batch) = lock(batches).recv() else { return };
        let (jobs, before) = (std::mem::take(&mut batch.jobs), machine.started);
        let asked = machine.ask(&jobs, &mut |at, given| {
            batch.left -= 1;
            let _ = batch.results.send(Event::Given(batch.first + at, Box::new(given)));
        });
        {
            let mut history = lock(history);
            history.started += machine.started - before;
            history.strays.append(&mut machine.strays);
            if before == 0 {
                history.boot_times.extend(machine.boot_time);
            }
        }
        if let Err(error) = asked {
            batch.left = 0;
            let _ = batch.results.send(Event::Failed(error));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results of [`Pool::ask`]. Dropped early, it leaves the guests with what they have begun.
#[derive(Debug)]
pub struct Answers<'a, T, I> {
    pool: &'a mut Pool,
    /// `None` when all are sent, or after an error.
    jobs: Option<I>,
    order: Order,
    results: Sender<Event>,
    events: Receiver<Event>,
    /// What came along with jobs that are on their way.
    waiting: BTreeMap<usize, T>,
    /// Results that came before their turn.
    ready: BTreeMap<usize, (T, Given)>,
    /// Jobs sent.
    sent: usize,
    /// The job whose turn it is.
    next: usize,
    /// A job that did not fit the batch before it.
    ahead: Option<(T, Job)>,
}

impl<T, I: Iterator<Item = (T, Job)>> Answers<'_, T, I> {
    /// Sends batches as long as there is room on the way.
    fn feed(&mut self) {
        let room = BATCHES * BATCH * self.pool.workers.len();
        while self.jobs.is_some() && self.waiting.len() + self.ready.len() + BATCH <= room {
            self.send();
        }
    }

    fn send(&mut self) {
        let (first, mut jobs, mut bytes) = (self.sent, Vec::new(), 0);
        while jobs.len() < BATCH && bytes <= BATCH_BYTES {
            let Some((with, job)) = self.ahead.take().or_else(|| self.jobs.as_mut()?.next()) else {
                self.jobs = None;
                break;
            };
            let len = wire::encode(&job).len();
            if !jobs.is_empty() && bytes + len > BATCH_BYTES {
                self.ahead = Some((with, job));
                break;
            }
            bytes += len;
            self.waiting.insert(self.sent, with);
            self.sent += 1;
            jobs.push(job);
        }
        if !jobs.is_empty() {
            let batch = Batch { first, left: jobs.len(), jobs, results: self.results.clone() };
            let queue = self.pool.queue.as_ref().expect("a pool has a queue until it is dropped");
            // Without anyone to take it, the batch says so when it is dropped.
            let _ = queue.send(batch);
        }
    }

    fn take_ready(&mut self) -> Option<(T, Given)> {
        let result = match self.order {
            Order::Given => self.ready.remove(&self.next),
            Order::Done => self.ready.pop_first().map(|(_, result)| result),
        }?;
        self.next += 1;
        Some(result)
    }
}

impl<T, I: Iterator<Item = (T, Job)>> Iterator for Answers<'_, T, I> {
    type Item = Result<(T, Given), GuestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.feed();
            if let Some(result) = self.take_ready() {
                return Some(Ok(result));
            }
            if self.waiting.is_empty() {
                return None;
            }
            match self.events.recv().unwrap_or(Event::Failed(GuestError::Stopped)) {
                Event::Given(job, given) => {
                    if let Some(with) = self.waiting.remove(&job) {
                        self.ready.insert(job, (with, *given));
                    }
                }
                Event::Failed(error) => {
                    // The others end with it.
                    self.pool.stop.stop();
                    (self.jobs, self.ahead) = (None, None);
                    self.waiting.clear();
                    self.ready.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
