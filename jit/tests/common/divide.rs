//! Divisions that the processor refuses: a handler of `SIGFPE` counts them and goes on behind them.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use jit::x64::encode::encode;
use jit::x64::{Inst, Reg};
use semantics::insn::Width;
use semantics::word::Concrete;

use crate::common::Random;
use crate::native::{Native, State};

/// The division that runs, and what follows it: the handler touches no other.
static DIVISION: AtomicU64 = AtomicU64::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

extern "C" fn refused(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the registers of the thread, and takes them back as they are left.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = &mut registers[libc::REG_RIP as usize];
    if *at as u64 == DIVISION.load(Ordering::Relaxed) {
        *at = NEXT.load(Ordering::Relaxed) as i64;
        REFUSED.fetch_add(1, Ordering::Relaxed);
    } else {
        // SAFETY: of the calls that a handler may make; the fault comes again and ends the process.
        unsafe { libc::signal(libc::SIGFPE, libc::SIG_DFL) };
    }
}

/// Has [`refused`] called on a stack of its own, because `rsp` belongs to the snippet; gives back what was before.
struct Handler {
    _stack: Vec<u8>,
    action: libc::sigaction,
    before: libc::stack_t,
}

impl Handler {
    fn install() -> Handler {
        let mut stack = vec![0u8; 64 * 1024];
        // SAFETY: both structures are plain, for which zero is a value; the new stack outlives its use, see `drop`.
        unsafe {
            let (mut action, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            let own = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
            assert_eq!(libc::sigaltstack(&raw const own, &raw mut before), 0);
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = refused as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            assert_eq!(libc::sigaction(libc::SIGFPE, &raw const new, &raw mut action), 0);
            Handler { _stack: stack, action, before }
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // SAFETY: both are what the system gave when they were replaced.
        unsafe {
            libc::sigaction(libc::SIGFPE, &raw const self.action, ptr::null_mut());
            libc::sigaltstack(&raw const self.before, ptr::null_mut());
        }
    }
}

/// Takes `states` through the division and gives how many of them the processor refused.
pub fn refusals(inst: &Inst, states: &[State]) -> usize {
    let mut native = Native::new(4096);
    let mut body = Vec::new();
    encode::<Concrete>(inst, &mut body);
    let division = native.next();
    let entry = native.add(&body);
    native.load();
    let mut output = vec![State::ZERO; states.len()];
    DIVISION.store(division, Ordering::Relaxed);
    NEXT.store(division + body.len() as u64, Ordering::Relaxed);
    REFUSED.store(0, Ordering::Relaxed);
    let handler = Handler::install();
    native.run(entry, states, &mut output);
    drop(handler);
    REFUSED.load(Ordering::Relaxed) as usize
}

/// A state whose dividend extends `rax` and cannot be divided: by 0, or the least number by -1.
pub fn undividable(random: &mut Random, signed: bool, width: Width, src: Reg) -> State {
    let mut state = State::ZERO;
    state.regs = std::array::from_fn(|_| random.word());
    let low = if width == Width::W64 { u64::MAX } else { 0xffff_ffff };
    // The upper half of a register is nothing to a division of 32 bits.
    let mut set = |reg: Reg, value: u64| {
        let old = &mut state.regs[reg.index()];
        *old = *old & !low | value & low;
    };
    if signed && src != Reg::Rax && random.below(2) == 0 {
        set(Reg::Rax, low ^ low >> 1);
        set(Reg::Rdx, low);
        set(src, low);
    } else {
        set(Reg::Rax, random.word() & low >> 1);
        set(Reg::Rdx, 0);
        set(src, 0);
    }
    state
}
