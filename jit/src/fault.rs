//! What the processor stops native code for, as a trap with its place: signal handlers that lead out of the program.
//!
//! A verified program needs none of this. One that is not may load from nowhere, or never end: [`guard`] makes traps of
//! its faults, and [`limit`] bounds its time. Both act only where the interrupted instruction lies in the code of a program,
//! between trampoline and stubs on one side and the end of the image on the other: there `r12` holds the [`Entry`], and the
//! run is left as a trap of a helper leaves it, through the trap exit. Whatever else is interrupted goes to the handler that
//! was there before, so that a mistake of this process, or of the runtime on behalf of a program, still ends it.
//!
//! Nothing here makes such a program harmless. Its stores reach all memory of the process that is writable; who runs it
//! does so in a process that may be lost.
//!
//! Handlers allocate nothing and take no lock. They run on the alternate stack of the thread, which threads of the standard
//! library have, so that also an overflow of the native stack is caught. At most [`IMAGES_MAX`] images are watched at a
//! time; faults in any further one end the process.

use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use semantics::trap::NativeFault;

use crate::frame::Entry;
use crate::runtime;

/// The most images whose faults are caught.
pub const IMAGES_MAX: usize = 256;

/// The signals of faults, and what a trap calls them.
const FAULTS: [(c_int, NativeFault); 5] = [
    (libc::SIGSEGV, NativeFault::Segv),
    (libc::SIGBUS, NativeFault::Bus),
    (libc::SIGFPE, NativeFault::Fpe),
    (libc::SIGILL, NativeFault::Ill),
    (libc::SIGTRAP, NativeFault::Trap),
];

/// What says that time is up. Nothing else sends it: its use is another interval timer.
const TIME_IS_UP: c_int = libc::SIGVTALRM;

/// How long a run that is over its limit goes on where it cannot be left: in a helper.
const AGAIN: Duration = Duration::from_millis(1);

/// Why a run is left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// The processor refuses an instruction; the address is that of an access.
    Fault(NativeFault, Option<u64>),
    /// Its time is up.
    Time,
}

/// Makes traps of faults in native code, [`Trap::Native`](semantics::trap::Trap::Native), from here on and in the whole
/// process. Handlers that others install later take precedence; those of before get what is not ours.
pub fn guard() -> io::Result<()> {
    FAULTS.iter().try_for_each(|(signal, _)| install(*signal))
}

/// Ends runs of this thread once it has spent this much processor time, with
/// [`Trap::OutOfFuel`](semantics::trap::Trap::OutOfFuel), until the value is dropped. A run that is in a helper then
/// is left when it is back in its own code.
pub fn limit(time: Duration) -> io::Result<Limit> {
    install(TIME_IS_UP)?;
    // SAFETY: all zeros is a value of these plain structures.
    let (mut event, mut timer) = unsafe { (std::mem::zeroed::<libc::sigevent>(), ptr::null_mut()) };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = TIME_IS_UP;
    event.sigev_value = libc::sigval { sival_ptr: mark() };
    // SAFETY: names the calling thread; both places are valid for the call.
    let made = unsafe {
        event.sigev_notify_thread_id = libc::gettid();
        libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut event, &raw mut timer)
    };
    check(made)?;
    let limit = Limit { timer, thread: PhantomData };
    // All zeros would disarm it.
    let times =
        libc::itimerspec { it_value: timespec(time.max(Duration::from_nanos(1))), it_interval: timespec(AGAIN) };
    // SAFETY: the timer was made above.
    check(unsafe { libc::timer_settime(timer, 0, &raw const times, ptr::null_mut()) })?;
    Ok(limit)
}

/// A limit in force.
#[derive(Debug)]
pub struct Limit {
    timer: libc::timer_t,
    /// It is a limit of one thread, which also has to drop it.
    thread: PhantomData<*mut ()>,
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: the timer is this value's own. A signal that is under way arrives before this call returns.
        unsafe { libc::timer_delete(self.timer) };
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs().min(i64::MAX as u64) as libc::time_t,
        tv_nsec: time.subsec_nanos() as libc::c_long,
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What tells our timers from those of others.
fn mark() -> *mut c_void {
    static MARK: u8 = 0;
    (&raw const MARK).cast_mut().cast()
}

/// What handled each signal before, in the order of [`FAULTS`], then [`TIME_IS_UP`].
static BEFORE: [OnceLock<libc::sigaction>; FAULTS.len() + 1] = [const { OnceLock::new() }; FAULTS.len() + 1];

/// Index into [`BEFORE`].
fn index(signal: c_int) -> usize {
    FAULTS.iter().position(|(fault, _)| *fault == signal).unwrap_or(FAULTS.len())
}

/// Installs the handler, the first time that it is called.
fn install(signal: c_int) -> io::Result<()> {
    // SAFETY: all zeros is a value of this plain structure.
    let (mut before, mut ours): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    // SAFETY: asks only.
    check(unsafe { libc::sigaction(signal, ptr::null(), &raw mut before) })?;
    // Noted first: the handler may be needed as soon as it is there.
    if BEFORE[index(signal)].set(before).is_err() {
        return Ok(());
    }
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler does only what a handler may.
    check(unsafe { libc::sigaction(signal, &raw const ours, ptr::null_mut()) })
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel calls with a signal's information and the registers of what it interrupted.
    unsafe {
        let done = leave(signal, &*info, &mut *context.cast());
        if !done {
            forward(signal, info, context);
        }
    }
}

/// Leads out of the program, if that is what was interrupted; whether there is nothing more to do.
///
/// # Safety
/// Called by a handler, with what it was called with.
unsafe fn leave(signal: c_int, info: &siginfo_t, context: &mut ucontext_t) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let register = |register: c_int| registers[register as usize] as usize;
    // `int3` has been executed, other instructions have not.
    let at = register(libc::REG_RIP).wrapping_sub(usize::from(signal == libc::SIGTRAP));
    let stop = match FAULTS.get(index(signal)) {
        // Somebody sent it.
        Some(_) if info.si_code <= 0 => return false,
        Some((_, fault)) => {
            let access = matches!(fault, NativeFault::Segv | NativeFault::Bus) && info.si_code != libc::SI_KERNEL;
            // SAFETY: faults of accesses have an address.
            Stop::Fault(*fault, access.then(|| unsafe { info.si_addr() } as u64))
        }
        // SAFETY: timers have a value.
        None if info.si_code == libc::SI_TIMER && unsafe { info.si_value() }.sival_ptr == mark() => Stop::Time,
        None => return false,
    };
    if !WATCHED.iter().any(|watched| watched.contains(at)) {
        // A limit strikes again soon.
        return matches!(stop, Stop::Time);
    }
    let entry = register(libc::REG_R12) as *mut Entry;
    // SAFETY: the code of a program was interrupted, where r12 is its entry.
    let (stack_pointer, exit) = unsafe { runtime::stop(entry, at, stop) };
    registers[libc::REG_RDX as usize] = stack_pointer as i64;
    registers[libc::REG_RIP as usize] = exit as i64;
    true
}

/// Does what would have been done without us.
///
/// # Safety
/// As for [`leave`].
unsafe fn forward(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE[index(signal)].get() else { return };
    // SAFETY: the handler was installed for such calls; the others are async-signal-safe.
    unsafe {
        let fault = (*info).si_code > 0;
        match before.sa_sigaction {
            libc::SIG_IGN if !fault => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, ptr::null_mut());
                // An instruction that faults does it again; anything else would be over.
                if !fault || signal == libc::SIGTRAP {
                    libc::raise(signal);
                }
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

/// Where the code of programs lies.
static WATCHED: [Watched; IMAGES_MAX] = [const { Watched::free() }; IMAGES_MAX];

/// Nobody's.
const FREE: usize = 0;
/// An image's that has no code.
const HELD: usize = 1;

/// A range of addresses, written by one thread and read by handlers of all.
#[derive(Debug)]
struct Watched {
    /// [`FREE`], [`HELD`], or the first address.
    start: AtomicUsize,
    /// One past the last.
    end: AtomicUsize,
    /// The process: a child made by `fork` has other things there.
    owner: AtomicU32,
}

impl Watched {
    const fn free() -> Watched {
        Watched { start: AtomicUsize::new(FREE), end: AtomicUsize::new(0), owner: AtomicU32::new(0) }
    }

    fn contains(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        // Where it changes meanwhile, start and end may be of two ranges.
        (start..end).contains(&address)
            && start > HELD
            && self.start.load(Ordering::Acquire) == start
            && self.owner.load(Ordering::Relaxed) == std::process::id()
    }
}

/// A place in the table, which one image of this process holds; none where the table is full.
#[derive(Debug)]
pub(crate) struct Watch(Option<&'static Watched>);

impl Watch {
    pub(crate) fn new() -> Watch {
        let take = |watched: &&Watched| {
            watched.start.compare_exchange(FREE, HELD, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let watched = WATCHED.iter().find(take);
        if let Some(watched) = watched {
            watched.owner.store(std::process::id(), Ordering::Relaxed);
        }
        Watch(watched)
    }

    /// From here on, faults at these addresses are caught; with an empty range, none.
    pub(crate) fn set(&self, code: Range<usize>) {
        let Some(watched) = self.0 else { return };
        watched.start.store(HELD, Ordering::Relaxed);
        if !code.is_empty() {
            // Whoever sees this end sees that the start before is gone.
            watched.end.store(code.end, Ordering::Release);
            watched.start.store(code.start, Ordering::Release);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watched) = self.0 {
            watched.start.store(FREE, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More images than places: the last is not watched, and a place that is given back is taken again.
    #[test]
    fn places_are_given_back() {
        let mut watches: Vec<Watch> = (0..IMAGES_MAX).map(|_| Watch::new()).collect();
        assert!(watches.iter().all(|watch| watch.0.is_some()));
        assert!(Watch::new().0.is_none());
        let watch = watches.remove(7);
        watch.set(0x5000..0x6000);
        let watched = watch.0.unwrap();
        assert!(watched.contains(0x5000) && watched.contains(0x5fff));
        assert!(!watched.contains(0x4fff) && !watched.contains(0x6000));
        watch.set(0..0);
        assert!(!watched.contains(0x5000), "another program, and none yet");
        watch.set(0x5000..0x6000);
        drop(watch);
        assert!(!watched.contains(0x5000), "nobody's");
        assert!(Watch::new().0.is_some());
    }

    /// What a forked child has at those addresses is its own.
    #[test]
    fn another_process_is_not_watched() {
        let watched = Watched::free();
        watched.end.store(0x6000, Ordering::Relaxed);
        watched.start.store(0x5000, Ordering::Relaxed);
        watched.owner.store(std::process::id(), Ordering::Relaxed);
        assert!(watched.contains(0x5000));
        watched.owner.store(std::process::id() + 1, Ordering::Relaxed);
        assert!(!watched.contains(0x5000));
    }
}
