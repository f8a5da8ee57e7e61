//! One guest: a kernel in qemu, from boot to its end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::{ANSWERS_LEN, ASKS_LEN, Answer, Ask, FrameError, Job, SHARED_LEN, Signal};

use crate::kernel::Kernel;

/// What a guest is and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Hardware virtualisation instead of emulation.
    pub kvm: bool,
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
        Settings { kvm: false, memory: 512, boot: seconds(60), job: seconds(30), command_line: String::new() }
    }
}

/// Why a guest cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// No qemu, or it does not start.
    #[error("{QEMU}: {0}; `make linux` installs it")]
    Qemu(io::Error),
    /// Memory or sockets of ours.
    #[error("a guest's channel: {0}")]
    Channel(#[from] io::Error),
    /// It did not come up.
    #[error("the guest with Linux {version} did not boot: {why}; its console ends with:\n{console}")]
    Boot {
        /// The kernel.
        version: String,
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
}

/// A guest that is gone, and at which job.
#[derive(Debug)]
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
    #[error("no answer in {} s", .0.as_secs())]
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

const QEMU: &str = "qemu-system-x86_64";
/// All that is emulated but `cmpxchg16b`: qemu 7.2 now and then leaves garbage in EFLAGS after it, which the kernel's slab
/// allocator does not survive.
const TCG_CPU: &str = "max,-cx16";
/// Bytes of a console that are kept.
const CONSOLE_KEPT: usize = 1 << 16;

/// A running guest. It ends when it is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    signals: BufReader<UnixStream>,
    shared: Shared,
    console: Console,
    settings: Settings,
    /// `uname -r`.
    pub release: String,
    /// From start to its first word.
    pub boot_time: Duration,
}

impl Guest {
    /// Boots a kernel and waits until it is ready.
    pub fn start(kernel: &Kernel, settings: &Settings) -> Result<Guest, GuestError> {
        let start = Instant::now();
        let shared = Shared::new()?;
        let (ours, theirs) = UnixStream::pair()?;
        let (console, console_end) = io::pipe()?;
        let child = command(kernel, settings, &shared.memory, &theirs)
            .stdout(console_end.try_clone()?)
            .stderr(console_end)
            .spawn()
            .map_err(GuestError::Qemu)?;
        drop(theirs);
        let mut guest = Guest {
            child,
            signals: BufReader::new(ours),
            shared,
            console: Console::follow(console),
            settings: settings.clone(),
            release: String::new(),
            boot_time: Duration::ZERO,
        };
        match guest.hear(settings.boot) {
            Ok(Signal::Hello { version: wire::VERSION, release }) => guest.release = release,
            Ok(Signal::Hello { version: found, .. }) => {
                return Err(GuestError::Version { found, wanted: wire::VERSION });
            }
            Ok(other) => return Err(guest.not_up(kernel, Lost::Nonsense(other.to_line()))),
            Err(why) => return Err(guest.not_up(kernel, why)),
        }
        guest.boot_time = start.elapsed();
        Ok(guest)
    }

    fn not_up(mut self, kernel: &Kernel, why: Lost) -> GuestError {
        GuestError::Boot { version: kernel.version.clone(), why, console: self.last_words() }
    }

    /// Has the guest do jobs; `each` gets the answers as they come. The jobs fit [`ASKS_LEN`] (see [`fits`]).
    pub fn ask(&mut self, jobs: Vec<Job>, each: &mut dyn FnMut(usize, Answer)) -> Result<(), Loss> {
        let mut at = None;
        self.talk(jobs, &mut at, each).map_err(|why| Loss { job: at, why, console: self.last_words() })
    }

    fn talk(
        &mut self,
        jobs: Vec<Job>,
        at: &mut Option<usize>,
        each: &mut dyn FnMut(usize, Answer),
    ) -> Result<(), Lost> {
        let message = wire::encode(&Ask::Jobs(jobs));
        self.shared.ask(&message);
        self.say(&Signal::Ask { len: message.len() })?;
        loop {
            match self.hear(self.settings.job)? {
                Signal::At { job } => *at = Some(job as usize),
                Signal::Answer { job, at: start, len } => {
                    let bytes = self
                        .shared
                        .answer(start, len)
                        .ok_or_else(|| Lost::Nonsense(format!("answer {start} {len}")))?;
                    let answer = wire::decode(&bytes).map_err(Lost::Garbled)?;
                    *at = None;
                    each(job as usize, answer);
                }
                Signal::Full => self.say(&Signal::Read)?,
                Signal::Done => return Ok(()),
                Signal::Failed { reason } => return Err(Lost::Agent(reason)),
                other => return Err(Lost::Nonsense(other.to_line().trim_end().to_owned())),
            }
        }
    }

    fn say(&mut self, signal: &Signal) -> Result<(), Lost> {
        self.signals.get_mut().write_all(signal.to_line().as_bytes()).map_err(|_| self.ended())
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

    fn ended(&mut self) -> Lost {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a job is short enough to be asked at all, with others of so many bytes.
pub fn fits(bytes: usize) -> bool {
    bytes <= ASKS_LEN
}

fn command(kernel: &Kernel, settings: &Settings, memory: &File, signals: &UnixStream) -> Command {
    let (memory, signals) = (memory.as_raw_fd(), signals.as_raw_fd());
    let words = "console=ttyS0 panic=-1 loglevel=5 nokaslr mitigations=off";
    let mut command = Command::new(QEMU);
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc"])
        .args(if settings.kvm { ["-accel", "kvm", "-cpu", "host"] } else { ["-accel", "tcg", "-cpu", TCG_CPU] })
        .args(["-m", &settings.memory.to_string()])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&kernel.initramfs)
        .args(["-append", &format!("{words} {}", settings.command_line)])
        .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
        .args(["-chardev", &format!("socket,id=signals,fd={signals}"), "-serial", "chardev:signals"])
        .args([
            "-object",
            &format!("memory-backend-file,id=shared,size={SHARED_LEN},mem-path=/proc/self/fd/{memory},share=on"),
        ])
        .args(["-device", "ivshmem-plain,memdev=shared"])
        .stdin(Stdio::null());
    // SAFETY: the calls are safe between fork and exec: they touch this child's own descriptors and settings only.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // Ctrl-C at the terminal is for the campaign, which ends its guests itself.
            libc::setpgid(0, 0);
            for fd in [memory, signals] {
                if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command
}

/// Memory that host and guest map: asks at its start, answers behind [`ASKS_LEN`].
#[derive(Debug)]
struct Shared {
    memory: File,
    at: *mut u8,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> io::Result<Shared> {
        // SAFETY: a new descriptor, closed at exec, with a name that ends with 0.
        let fd = unsafe { libc::memfd_create(c"touchstone-guest".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made for us.
        let memory = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        memory.set_len(SHARED_LEN as u64)?;
        let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), SHARED_LEN, read_write, shared, memory.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Shared { memory, at: at.cast() }) }
    }
    fn ask(&mut self, message: &[u8]) {
        assert!(fits(message.len()), "an ask of {} bytes", message.len());
        // SAFETY: the message fits the mapping, and the guest reads it only after the signal.
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), self.at, message.len()) };
    }
    /// A copy of bytes that the guest has written; `None` outside of the answers.
    fn answer(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len).filter(|end| *end <= ANSWERS_LEN)?;
        let mut bytes = vec![0; end - at];
        // SAFETY: the range lies in the mapping. The guest may write at any time: whatever is copied is checked.
        unsafe { std::ptr::copy_nonoverlapping(self.at.add(ASKS_LEN + at), bytes.as_mut_ptr(), len) };
        Some(bytes)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.at.cast(), SHARED_LEN) };
    }
}

/// The end of what the kernel and qemu print.
#[derive(Debug)]
struct Console {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Console {
    fn follow(mut pipe: io::PipeReader) -> Console {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(len @ 1..) = pipe.read(&mut part) {
                let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend(&part[..len]);
                let surplus = text.len().saturating_sub(2 * CONSOLE_KEPT);
                if surplus > 0 {
                    text.drain(..surplus + CONSOLE_KEPT);
                }
            }
        });
        Console { text, reader: Some(reader) }
    }
    /// All of it, once the guest has ended.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let from = text.len().saturating_sub(CONSOLE_KEPT);
        String::from_utf8_lossy(&text[from..]).replace('\r', "")
    }
}
