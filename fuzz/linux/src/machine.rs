//! A kernel whose guests are replaced when they die.

use std::time::Duration;

use wire::Job;

pub use crate::guest::Unanswered;
use crate::guest::{Given, Guest, GuestError, Loss, Settings, Stop, fits};
use crate::kernel::Kernel;

/// Jobs that are asked at once.
const BATCH: usize = 64;
/// Bytes of jobs that are asked at once, about; a longer job is asked alone.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that a message has beside its jobs, at most.
const FRAME_BYTES: usize = 64;

/// A kernel to put jobs to.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    settings: Settings,
    guest: Option<Guest>,
    stop: Stop,
    /// Guests started so far.
    pub started: u32,
    /// Jobs that guests were asked to do so far.
    pub asked: u64,
    /// How long the first of them took.
    pub boot_time: Option<Duration>,
    /// Guests that died with no job in hand and none just done, so that none can be blamed.
    pub strays: Vec<Loss>,
}

impl Machine {
    /// No guest is started yet.
    pub fn new(kernel: Kernel, settings: Settings) -> Machine {
        Machine::until(kernel, settings, Stop::default())
    }

    /// The same; its guests end when somebody stops them.
    pub fn until(kernel: Kernel, settings: Settings, stop: Stop) -> Machine {
        Machine { kernel, settings, guest: None, stop, started: 0, asked: 0, boot_time: None, strays: Vec::new() }
    }

    /// The kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Does all jobs; `each` gets what became of them, in order. A guest that dies costs the job that it was at, and a
    /// fresh one goes on with the next.
    ///
    /// An error means that there is no guest to be had: the kernel did not boot, twice in a row.
    pub fn ask(&mut self, jobs: &[Job], each: &mut dyn FnMut(usize, Given)) -> Result<(), GuestError> {
        let mut next = 0;
        // Guests that died before they began with the next job.
        let mut early = 0;
        while next < jobs.len() {
            let len = wire::encode(&jobs[next]).len();
            if !fits(len + FRAME_BYTES) {
                each(next, Err(Unanswered::TooLong(len)));
                next += 1;
                continue;
            }
            let end = next + batch(&jobs[next..]);
            let start = next;
            self.asked += (end - start) as u64;
            let asked = self.guest()?.ask(&jobs[start..end], &mut |at, given| {
                next = start + at + 1;
                each(start + at, given);
            });
            let Err(loss) = asked else { continue };
            self.guest = None;
            if self.stop.is_stopped() {
                return Err(GuestError::Stopped);
            }
            early = if next > start || loss.job.is_some() { 0 } else { early + 1 };
            // It was not at any job, but where two guests stumble it is the job's doing.
            if loss.job.is_some() || early == 2 {
                each(next, Err(Unanswered::Lost { why: loss.why, console: loss.console }));
                (next, early) = (next + 1, 0);
            } else if early == 1 {
                self.strays.push(loss);
            }
        }
        Ok(())
    }

    /// One job.
    pub fn ask_one(&mut self, job: &Job) -> Result<Given, GuestError> {
        let mut result = None;
        self.ask(std::slice::from_ref(job), &mut |_, answer| result = Some(answer))?;
        Ok(result.expect("an answer for each job"))
    }

    /// The guest; a new one if there is none. A kernel that once did not boot gets a second chance.
    pub fn guest(&mut self) -> Result<&mut Guest, GuestError> {
        if self.guest.is_none() {
            let start = || Guest::start_until(&self.kernel, &self.settings, &self.stop);
            let guest = start().or_else(|error| match error {
                GuestError::Boot { .. } => start(),
                other => Err(other),
            })?;
            self.started += 1;
            self.boot_time.get_or_insert(guest.boot_time);
            self.guest = Some(guest);
        }
        Ok(self.guest.as_mut().expect("it was just started"))
    }

    /// Ends the guest, if there is one.
    pub fn stop(&mut self) {
        self.guest = None;
    }
}

/// How many of these jobs are asked at once.
fn batch(jobs: &[Job]) -> usize {
    let mut bytes = 0;
    let fitting = jobs.iter().take(BATCH).take_while(|job| {
        bytes += wire::encode(*job).len();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}
