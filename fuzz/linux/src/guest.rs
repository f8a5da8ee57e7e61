//! One guest: a kernel in qemu, from boot to its end.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::{ASKS_LEN, Answer, Asked, FrameError, Job, Signal};

use crate::accel::{Accel, NoAccel};
use crate::console::{self, Console};
use crate::job;
use crate::kernel::Kernel;
use crate::qemu::{self, QEMU};
use crate::shared::Shared;

/// What a guest is and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How its processor is made; `None` for what [`Accel::of`] says of the folder of kernels.
    pub accel: Option<Accel>,
    /// MiB of memory.
    pub memory: u32,
    /// How long it may take to boot.
    pub boot: Duration,
    /// How long one job may take.
    pub job: Duration,
    /// More words of the kernel's command line.
    pub command_line: String,
}

impl Default for Settings {
    fn default() -> Settings {
        let seconds = Duration::from_secs;
        Settings { accel: None, memory: 512, boot: seconds(60), job: seconds(30), command_line: String::new() }
    }
}

/// Why a guest cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// No qemu, or it does not start.
    #[error("{QEMU}: {0}; `make linux` installs it")]
    Qemu(io::Error),
    /// The kernel or the initramfs.
    #[error("{0}; `make linux` makes it")]
    File(io::Error),
    /// Memory or sockets of ours.
    #[error("a guest's channel: {0}")]
    Channel(io::Error),
    /// The accelerator.
    #[error("{variable}: {0}", variable = crate::accel::VARIABLE)]
    Accel(NoAccel),
    /// It did not come up.
    #[error("the guest with Linux {version} ({accel}) did not boot: {why}; its console ends with:\n{console}")]
    Boot {
        /// The kernel.
        version: String,
        /// The accelerator.
        accel: Accel,
        /// What happened.
        why: Lost,
        /// The end of its console.
        console: String,
    },
    /// Its agent is an older or newer one.
    #[error("the guest's agent speaks version {found}, wanted is {wanted}: `make linux` builds a new one")]
    Version {
        /// The agent's.
        found: u32,
        /// Ours.
        wanted: u32,
    },
    /// Somebody called [`Stop::stop`].
    #[error("stopped")]
    Stopped,
}

// Their texts tell the reason, so it is no source beside that: whoever prints a chain of errors would print it twice.
impl From<io::Error> for GuestError {
    fn from(error: io::Error) -> GuestError {
        GuestError::Channel(error)
    }
}

impl From<NoAccel> for GuestError {
    fn from(error: NoAccel) -> GuestError {
        GuestError::Accel(error)
    }
}

/// A job that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The guest was lost over it.
    #[error("the guest was lost: {why}{}", telling_lines(console))]
    Lost {
        /// What happened.
        why: Lost,
        /// The end of its console.
        console: String,
    },
    /// It is too long for the memory that guest and host share.
    #[error("the job has {0} bytes, more than a guest can be asked")]
    TooLong(usize),
    /// Its answer is too long for that memory.
    #[error("the answer has {0} bytes, more than a guest can give")]
    Overlong(usize),
}

fn telling_lines(console: &str) -> String {
    console::telling(console).iter().flat_map(|line| ["\n  ", line]).collect()
}

/// A guest that is gone, and at which job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The job that it was at, of those asked; `None` before the first or after the last.
    pub job: Option<usize>,
    /// What happened.
    pub why: Lost,
    /// The end of its console.
    pub console: String,
}

/// What became of a guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No answer in time.
    #[error("no answer in {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// It ended: the kernel panicked, or qemu was killed.
    #[error("it ended ({0})")]
    Ended(String),
    /// An answer cannot be read.
    #[error("its answer cannot be read: {0}")]
    Garbled(FrameError),
    /// The agent gave up.
    #[error("its agent gave up: {0}")]
    Agent(String),
    /// The signal makes no sense.
    #[error("it said `{0}`")]
    Nonsense(String),
}

/// What becomes of a job while its guest lives.
pub type Given = Result<Answer, Unanswered>;

/// How long a guest that closed its line has to exit by itself, so that its status tells something.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// A running guest. It ends when it is dropped, and with this process, however that ends.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    signals: BufReader<UnixStream>,
    shared: Shared,
    console: Console,
    settings: Settings,
    stop: Stop,
    /// Its entry in `stop`.
    entry: u64,
    /// `uname -r`.
    pub release: String,
    /// From start to its first word.
    pub boot_time: Duration,
    /// How its processor is made.
    pub accel: Accel,
}

impl Guest {
    /// Boots a kernel and waits until it is ready.
    pub fn start(kernel: &Kernel, settings: &Settings) -> Result<Guest, GuestError> {
        Guest::start_until(kernel, settings, &Stop::default())
    }

    /// The same, until somebody stops it.
    pub fn start_until(kernel: &Kernel, settings: &Settings, stop: &Stop) -> Result<Guest, GuestError> {
        let start = Instant::now();
        let accel = settings.accel.clone().map_or_else(|| Accel::of(kernel.folder()), Ok)?;
        let shared = Shared::new()?;
        let (ours, theirs) = UnixStream::pair()?;
        let (console, console_end) = io::pipe()?;
        let mut command = qemu::command(kernel, settings, &accel, &shared.memory, &theirs).map_err(GuestError::File)?;
        command.stdout(console_end.try_clone()?).stderr(console_end);
        let entry = stop.enter(&ours)?;
        let child = qemu::spawn(command).map_err(|error| {
            stop.leave(entry);
            GuestError::Qemu(error)
        })?;
        drop(theirs);
        let mut guest = Guest {
            child,
            signals: BufReader::new(ours),
            shared,
            console: Console::follow(console),
            settings: settings.clone(),
            stop: stop.clone(),
            entry,
            release: String::new(),
            boot_time: Duration::ZERO,
            accel,
        };
        match guest.hear(settings.boot) {
            Ok(Signal::Hello { version: wire::VERSION, release }) => guest.release = release,
            Ok(Signal::Hello { version: found, .. }) => {
                return Err(GuestError::Version { found, wanted: wire::VERSION });
            }
            Ok(other) => return Err(guest.not_up(kernel, nonsense(&other))),
            Err(why) => return Err(guest.not_up(kernel, why)),
        }
        guest.boot_time = start.elapsed();
        Ok(guest)
    }

    fn not_up(mut self, kernel: &Kernel, why: Lost) -> GuestError {
        if self.stop.is_stopped() {
            return GuestError::Stopped;
        }
        let (version, accel) = (kernel.version.clone(), self.accel.clone());
        GuestError::Boot { version, accel, why, console: self.last_words() }
    }

    /// Has the guest do jobs; `each` gets what became of them as it comes. The jobs fit [`ASKS_LEN`] (see [`fits`]).
    ///
    /// What a guest does after an answer and before the next job is told in [`Answer::messages`] of the one before.
    pub fn ask(&mut self, jobs: &[Job], each: &mut dyn FnMut(usize, Given)) -> Result<(), Loss> {
        let mut talk = Talk::default();
        let Err(why) = self.talk(jobs, &mut talk, each) else { return Ok(()) };
        let console = self.last_words();
        if let Some((job, mut answer)) = talk.held.take() {
            answer.messages.push(format!("the guest was lost after this job: {why}"));
            answer.messages.extend(console::telling(&console).iter().map(|line| (*line).to_owned()));
            each(job, Ok(answer));
        }
        Err(Loss { job: talk.at, why, console })
    }

    fn talk(&mut self, jobs: &[Job], talk: &mut Talk, each: &mut dyn FnMut(usize, Given)) -> Result<(), Lost> {
        let message = wire::encode(&Asked::Jobs(jobs));
        self.shared.ask(&message);
        self.say(&Signal::Ask { len: message.len() })?;
        loop {
            let wait = talk.at.and_then(|job| jobs.get(job)).map_or(self.settings.job, |job| self.patience(job));
            let signal = self.hear(wait)?;
            // Whatever it says next: it has survived the job before.
            if let Some((job, answer)) = talk.held.take() {
                each(job, Ok(answer));
            }
            match signal {
                Signal::At { job } if job as usize == talk.begun => {
                    talk.at = Some(talk.begun);
                    talk.begun += 1;
                }
                Signal::Answer { job, at: start, len } if talk.at == Some(job as usize) => {
                    let nonsense = || Lost::Nonsense(format!("answer {start} {len}"));
                    let bytes = self.shared.answer(start, len).ok_or_else(nonsense)?;
                    let mut answer: Answer = wire::decode(&bytes).map_err(Lost::Garbled)?;
                    answer.messages.retain(|line| !console::is_notice(line));
                    talk.at = None;
                    talk.held = Some((job as usize, answer));
                }
                Signal::Overlong { job, len } if talk.at == Some(job as usize) => {
                    talk.at = None;
                    each(job as usize, Err(Unanswered::Overlong(len)));
                }
                Signal::Full => self.say(&Signal::Read)?,
                Signal::Done if talk.at.is_none() && talk.begun == jobs.len() => return Ok(()),
                Signal::Failed { reason } => return Err(Lost::Agent(reason)),
                other => return Err(nonsense(&other)),
            }
        }
    }

    fn say(&mut self, signal: &Signal) -> Result<(), Lost> {
        self.signals.get_mut().write_all(signal.to_line().as_bytes()).map_err(|_| self.ended())
    }

    /// How long a job may take: longer for long programs, since the kernel moves what lies behind each instruction that it
    /// rewrites (`bpf_patch_insn_data`), which is quadratic; and for loops, of which its verifier may follow a million
    /// instructions.
    fn patience(&self, job: &Job) -> Duration {
        const SLOTS_PER_SECOND: usize = 64;
        const LOOP_TIMES: u32 = 4;
        let slots: usize = job.programs.iter().map(|program| program.insns.len() / 8).sum();
        let loops = job.programs.iter().any(|program| job::has_loop(&program.insns));
        let times = if loops { LOOP_TIMES } else { 1 };
        times * self.settings.job + Duration::from_secs((slots / SLOTS_PER_SECOND * job.engines.len()) as u64)
    }

    /// The next signal; what is no signal is left out.
    fn hear(&mut self, wait: Duration) -> Result<Signal, Lost> {
        let deadline = Instant::now() + wait;
        let mut line = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Lost::Silent(wait));
            }
            let _ = self.signals.get_ref().set_read_timeout(Some(left));
            match self.signals.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => {
                    if let Some(signal) = Signal::from_line(&String::from_utf8_lossy(&line)) {
                        return Ok(signal);
                    }
                    line.clear();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Ended in the middle of a line, or at its start.
                Ok(_) | Err(_) => return Err(self.ended()),
            }
        }
    }

    /// How it ended that closed its line.
    fn ended(&mut self) -> Lost {
        let deadline = Instant::now() + LAST_STEPS;
        while !self.stop.is_stopped() && Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(status)) => return Lost::Ended(status.to_string()),
                Err(_) => break,
            }
        }
        let _ = self.child.kill();
        Lost::Ended(self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string()))
    }

    /// Ends it, for the console up to its end.
    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.console.finish()
    }

    /// The process of qemu.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop.leave(self.entry);
        self.last_words();
    }
}

fn nonsense(signal: &Signal) -> Lost {
    Lost::Nonsense(signal.to_line().trim_end().to_owned())
}

/// Where a guest is with its jobs.
#[derive(Default)]
struct Talk {
    /// Jobs that it has begun with.
    begun: usize,
    /// The job that it is at.
    at: Option<usize>,
    /// The last answer, until the guest has shown that it lives on.
    held: Option<(usize, Answer)>,
}

/// Whether jobs of so many bytes can be asked at once.
pub fn fits(bytes: usize) -> bool {
    bytes <= ASKS_LEN
}

/// Ends guests from another thread, and lets no other start.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<Stopping>>);

#[derive(Debug, Default)]
struct Stopping {
    stopped: bool,
    next: u64,
    /// The line to each living guest: closed, it ends the wait of whoever listens.
    lines: HashMap<u64, UnixStream>,
}

impl Stop {
    /// Ends all guests that were started with it. Whoever asks one gets [`GuestError::Stopped`].
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        for line in state.lines.values() {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
    /// Whether [`Stop::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }
    fn enter(&self, line: &UnixStream) -> Result<u64, GuestError> {
        let mut state = self.state();
        if state.stopped {
            return Err(GuestError::Stopped);
        }
        let entry = state.next;
        state.next += 1;
        state.lines.insert(entry, line.try_clone()?);
        Ok(entry)
    }
    fn leave(&self, entry: u64) {
        self.state().lines.remove(&entry);
    }
    fn state(&self) -> MutexGuard<'_, Stopping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
