//! A kernel whose guests are replaced when they die.

use std::time::Duration;

use wire::{Answer, Job};

use crate::guest::{Guest, GuestError, Loss, Lost, Settings, fits};
use crate::kernel::Kernel;

/// Jobs that are asked at once.
const BATCH: usize = 64;
/// Bytes of jobs that are asked at once, about; a longer job is asked alone.
const BATCH_BYTES: usize = 4 << 20;

/// A kernel to put jobs to.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    settings: Settings,
    guest: Option<Guest>,
    /// Guests started so far.
    pub started: u32,
    /// How long the first of them took.
    pub boot_time: Option<Duration>,
}

/// A job that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The guest was lost over it.
    #[error("the guest was lost: {why}{}", console_end(console))]
    Lost {
        /// What happened.
        why: Lost,
        /// The end of its console.
        console: String,
    },
    /// It is too long for the memory that guest and host share.
    #[error("the job has {0} bytes, more than a guest can be asked")]
    TooLong(usize),
}

/// What the kernel said about its end.
fn console_end(console: &str) -> String {
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.iter().position(|line| line.contains("BUG:") || line.contains("Oops") || line.contains("panic"));
    let from = from.unwrap_or(lines.len().saturating_sub(5));
    lines[from..].iter().take(12).map(|line| format!("\n  {line}")).collect()
}

impl Machine {
    /// No guest is started yet.
    pub fn new(kernel: Kernel, settings: Settings) -> Machine {
        Machine { kernel, settings, guest: None, started: 0, boot_time: None }
    }

    /// The kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Does all jobs; `each` gets what became of them, in order. A guest that dies costs the job that it was at.
    pub fn ask(
        &mut self,
        jobs: &[Job],
        each: &mut dyn FnMut(usize, Result<Answer, Unanswered>),
    ) -> Result<(), GuestError> {
        let mut next = 0;
        while next < jobs.len() {
            let len = wire::encode(&jobs[next]).len();
            if !fits(len + 64) {
                each(next, Err(Unanswered::TooLong(len)));
                next += 1;
                continue;
            }
            let end = next + batch(&jobs[next..]);
            next = self.batch(jobs, next, end, each)?;
        }
        Ok(())
    }

    /// One job.
    pub fn ask_one(&mut self, job: &Job) -> Result<Result<Answer, Unanswered>, GuestError> {
        let mut result = None;
        self.ask(std::slice::from_ref(job), &mut |_, answer| result = Some(answer))?;
        Ok(result.expect("an answer for each job"))
    }

    /// Asks some jobs: the number of the first that was not asked.
    fn batch(
        &mut self,
        jobs: &[Job],
        start: usize,
        end: usize,
        each: &mut dyn FnMut(usize, Result<Answer, Unanswered>),
    ) -> Result<usize, GuestError> {
        let mut next = start;
        let guest = match &mut self.guest {
            Some(guest) => guest,
            None => {
                let guest = Guest::start(&self.kernel, &self.settings)?;
                self.started += 1;
                self.boot_time.get_or_insert(guest.boot_time);
                self.guest.insert(guest)
            }
        };
        let lost = guest.ask(jobs[start..end].to_vec(), &mut |at, answer| {
            next = start + at + 1;
            each(start + at, Ok(answer));
        });
        let Err(Loss { job, why, console }) = lost else { return Ok(end) };
        self.guest = None;
        // A guest that dies between two jobs dies of the one before, whose answer is known, or of the next.
        let at = job.map_or(next, |job| start + job);
        if at < end {
            each(at, Err(Unanswered::Lost { why, console }));
        }
        Ok((at + 1).min(end))
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
