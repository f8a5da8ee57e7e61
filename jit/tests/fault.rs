//! Faults and endless runs of native code are traps with their place, and leave the engine as it was; all other faults kill.

use std::arch::asm;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jit::plant::plants;
use jit::x64::{Inst, Reg};
use jit::{Jit, Rules, fault};
use semantics::asm::assemble;
use semantics::engine::Engine;
use semantics::helper::{Call, Helper, by_id, id};
use semantics::insn::Opcode;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::{NativeFault, Trap};
use semantics::word::Concrete;
use semantics::world::{Input, World};

/// Time of a run that does not end by itself.
const LIMIT: Duration = Duration::from_millis(20);

fn program(text: &str) -> Verified {
    let program = Program::new("test", ProgramType::Xdp, "GPL", vec![], assemble(text).unwrap()).unwrap();
    // SAFETY: where a program of this file accesses what it may not, there is nothing, or a test waits for the end of this
    // process; those that do not end have a limit.
    unsafe { Verified::trust(Arc::new(program)) }
}

/// An engine and its world.
struct Machine {
    jit: Jit,
    world: World,
}

impl Machine {
    /// With these rules, and faults that are caught.
    fn with_rules(rules: Rules) -> Machine {
        fault::guard().unwrap();
        Machine::unguarded(rules)
    }
    fn new() -> Machine {
        Machine::with_rules(Rules::for_this_processor())
    }
    fn unguarded(rules: Rules) -> Machine {
        Machine { jit: Jit::with_rules(rules).unwrap(), world: World::new(Memory::native().unwrap()) }
    }
    fn load(&mut self, text: &str) {
        let program = program(text);
        self.jit.load(&program).unwrap();
        self.world.load(program.program()).unwrap();
        self.world.reset(&Input::default()).unwrap();
    }
    fn run(&mut self, text: &str) -> Result<u64, Trap> {
        self.load(text);
        self.jit.run(&mut self.world)
    }
    /// The same on a thing that has to end by itself.
    fn is_well(&mut self) {
        let text = "r6 = 5; r7 = 1; r8 = 2; r9 = 3; r1 = 4; r2 = body ll; r3 = 0; r4 = 0; call 181
            r0 += r6; r0 += r7; r0 += r8; r0 += r9; exit
            body: r6 = 0; r7 = 0; r8 = 0; r9 = 0; r0 = 0; exit";
        assert_eq!(self.run(text), Ok(15));
    }
}

fn native(fault: NativeFault, slot: usize, addr: Option<u64>) -> Result<u64, Trap> {
    Err(Trap::Native { fault, slot: Some(slot), addr })
}

fn segv(slot: usize, addr: u64) -> Result<u64, Trap> {
    native(NativeFault::Segv, slot, Some(addr))
}

#[test]
fn wild_accesses_are_traps_with_their_place() {
    let mut machine = Machine::new();
    let mut run = |text| {
        let result = machine.run(text);
        machine.is_well();
        result
    };
    assert_eq!(run("r1 = 0; r0 = *(u64 *)(r1 + 0); exit"), segv(1, 0));
    assert_eq!(run("r1 = 0; r0 = *(u64 *)(r1 + 0x70); exit"), segv(1, 0x70));
    assert_eq!(run("r0 = 0; r1 = 0x123456 ll; *(u32 *)(r1 + 4) = 7; exit"), segv(3, 0x12_345a));
    assert_eq!(run("r0 = 0; r1 = 0x123456 ll; if r0 == 0 goto there; exit\nthere: *(u8 *)(r1 + 0) = r0; exit"), {
        segv(5, 0x12_3456)
    });
    assert_eq!(run("r1 = -4096; r0 = 1; lock *(u64 *)(r1 + 0) += r0; exit"), segv(2, -4096_i64 as u64));
    // Not canonical: the processor does not say which address it was.
    assert_eq!(run("r1 = 0x8000000000000000 ll; r0 = *(u8 *)(r1 + 0); exit"), native(NativeFault::Segv, 2, None));
    // In a subprogram of a subprogram, with registers of all of them on the stack.
    let deep = "r6 = 1; r7 = 2; call one; exit
        one: r6 = 3; r8 = 4; call two; exit
        two: r9 = 5; r6 = 0; r0 = *(u16 *)(r6 + 2); exit";
    assert_eq!(run(deep), segv(10, 2));
}

#[test]
fn what_a_trap_says() {
    let trap = |slot, addr| Trap::Native { fault: NativeFault::Segv, slot, addr }.to_string();
    assert_eq!(trap(Some(5), Some(0x1234)), "native code was stopped at insn 5 by SIGSEGV, address 0x1234");
    assert_eq!(trap(Some(5), None), "native code was stopped at insn 5 by SIGSEGV");
    assert_eq!(trap(None, None), "native code was stopped outside its instructions by SIGSEGV");
}

/// A division that nobody guards: a planted mistake of the lowering.
#[test]
fn an_unguarded_division_is_a_trap() {
    let text = "r1 = 0; r0 = 5; r0 %= r1; exit";
    let mut rules = Rules::for_this_processor();
    assert_eq!(Machine::with_rules(rules.clone()).run(text), Ok(5));
    let plant = plants().into_iter().find(|plant| plant.name == "muldiv::zero_unguarded").unwrap();
    (plant.install)(&mut rules);
    let mut machine = Machine::with_rules(rules);
    assert_eq!(machine.run(text), native(NativeFault::Fpe, 2, None));
    machine.is_well();
}

/// Rules by which a wide constant is jumped to.
fn that_jump() -> Rules {
    let mut rules: Rules<Concrete> = Rules::for_this_processor();
    rules.set(
        Opcode::Lddw,
        Some(|insn, out| {
            let imm = u64::from(insn.imm_hi) << 32 | u64::from(insn.imm);
            out.extend([Inst::MovAbs { dst: Reg::R11, imm }, Inst::JmpReg { target: Reg::R11 }]);
        }),
    );
    rules
}

/// What lies behind the code stops whoever comes there.
#[test]
fn code_that_nobody_wrote_is_a_trap() {
    let mut machine = Machine::with_rules(that_jump());
    machine.load("r0 = 1; exit");
    let behind = machine.jit.image().range().start + machine.jit.image().capacity() - 1;
    let result = machine.run(&format!("r0 = 1; r1 = {behind:#x} ll; exit"));
    assert_eq!(result, Err(Trap::Native { fault: NativeFault::Trap, slot: None, addr: None }));
    assert_eq!(machine.run("r0 = 3; exit"), Ok(3));
}

/// A fault in a callback leaves the callback, the helper and the program.
#[test]
fn faults_in_callbacks() {
    let mut machine = Machine::new();
    let text = "r6 = 1; r1 = 3; r2 = outer ll; r3 = 0; r4 = 0; call 181; exit
        outer: r7 = 2; r1 = 3; r2 = inner ll; r3 = 0; r4 = 0; call 181; r0 = 0; exit
        inner: r8 = 3; call deep; r0 = 0; exit
        deep: r9 = 0; r0 = *(u8 *)(r9 + 9); r0 = 0; exit";
    for _ in 0..3 {
        assert_eq!(machine.run(text), segv(22, 9));
        machine.is_well();
    }
}

#[test]
fn an_endless_run_is_out_of_fuel() {
    let mut machine = Machine::new();
    let limit = fault::limit(LIMIT).unwrap();
    assert_eq!(machine.run("again: goto again"), Err(Trap::OutOfFuel));
    drop(limit);
    let limit = fault::limit(LIMIT).unwrap();
    assert_eq!(
        machine.run("r6 = 1; call sub; exit\nsub: r7 = 1\nagain: r7 += 1; call leaf; goto again\nleaf: exit"),
        { Err(Trap::OutOfFuel) }
    );
    drop(limit);
    let _limit = fault::limit(LIMIT).unwrap();
    let callback = "r1 = 3; r2 = body ll; r3 = 0; r4 = 0; call 181; exit
        body: r6 = 0\nagain: r6 += 1; goto again";
    assert_eq!(machine.run(callback), Err(Trap::OutOfFuel));
    machine.is_well();
}

/// A limit ends with its value, and is one of processor time of the thread.
#[test]
fn a_limit_is_of_one_thread_and_ends() {
    let mut machine = Machine::new();
    let long = "r1 = 100000000\nagain: r1 += -1; if r1 != 0 goto again; r0 = 1; exit";
    drop(fault::limit(Duration::from_nanos(1)).unwrap());
    assert_eq!(machine.run(long), Ok(1));
    let _limit = fault::limit(Duration::from_nanos(1)).unwrap();
    let (jit, world) = (&mut machine.jit, &mut machine.world);
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| jit.run(world)).join().unwrap());
    assert_eq!(elsewhere, Ok(1));
    assert_eq!(machine.run(long), Err(Trap::OutOfFuel), "here it holds");
}

/// Processor time of this thread.
fn spent() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) }, 0);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

static RETURNED: AtomicU32 = AtomicU32::new(0);

/// Takes longer than there is time.
#[allow(clippy::unnecessary_wraps, reason = "the type of a meaning")]
fn slow(_: &mut Call<'_>) -> Result<u64, Trap> {
    let end = spent() + 4 * LIMIT;
    while spent() < end {}
    RETURNED.fetch_add(1, Ordering::Relaxed);
    Ok(0)
}

/// Time that is up in a helper is noticed behind it.
#[test]
fn helpers_are_not_interrupted() {
    let mut machine = Machine::new();
    let clock = id("ktime_get_ns");
    machine.world.helpers.replace(Helper { meaning: slow, ..*by_id(clock).unwrap() });
    let _limit = fault::limit(LIMIT).unwrap();
    assert_eq!(machine.run(&format!("call {clock}\nagain: goto again")), Err(Trap::OutOfFuel));
    assert_eq!(RETURNED.load(Ordering::Relaxed), 1);
}

/// Calls a function on another stack.
///
/// # Safety
/// The stack ends at `top`, a multiple of 16, is nobody else's, and as large as the function needs.
unsafe fn on_stack(top: *mut u8, function: extern "C" fn(*mut ()), argument: *mut ()) {
    // SAFETY: r12 is kept by the function.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {function}",
            "mov rsp, r12",
            top = in(reg) top,
            function = in(reg) function,
            in("rdi") argument,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

/// Less and less stack, until native code has too little: its deepest frames lie deeper than anything that called it.
#[test]
fn an_overflow_of_the_native_stack_is_a_trap() {
    struct Job<'a>(&'a mut Machine, Option<Result<u64, Trap>>);
    extern "C" fn run(job: *mut ()) {
        // SAFETY: what is given below.
        let Job(machine, result) = unsafe { &mut *job.cast::<Job<'_>>() };
        *result = Some(machine.jit.run(&mut machine.world));
    }
    let (page, room) = (4096, 1 << 16);
    // SAFETY: new pages, the lowest of them without rights.
    let base = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(ptr::null_mut(), page + room, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(base, page, libc::PROT_NONE), 0);
        base.cast::<u8>()
    };
    let mut machine = Machine::new();
    let saves = "r6 = 1; r7 = 1; r8 = 1; r9 = 1";
    let functions: Vec<String> = (1..7).map(|at| format!("f{at}: {saves}; call f{}; exit", at + 1)).collect();
    machine.load(&format!("{saves}; call f1; exit\n{}\nf7: r0 = 9; exit", functions.join("\n")));
    let results: Vec<Result<u64, Trap>> = (0..room / 64)
        .map(|less| {
            let mut job = Job(&mut machine, None);
            // SAFETY: a stack of that size, which the function leaves as it should.
            unsafe { on_stack(base.add(page + room - 64 * less), run, (&raw mut job).cast()) };
            job.1.unwrap()
        })
        .take_while(Result::is_ok)
        .collect();
    assert!(results.len() > 100 && results.len() < room / 64, "{}", results.len());
    let mut job = Job(&mut machine, None);
    // SAFETY: as above.
    unsafe { on_stack(base.add(page + room - 64 * results.len()), run, (&raw mut job).cast()) };
    let Some(Err(Trap::Native { fault: NativeFault::Segv, slot: Some(slot), addr: Some(addr) })) = job.1 else {
        panic!("{:?}", job.1)
    };
    assert!(slot > 0 && (base as u64..base as u64 + page as u64).contains(&addr), "insn {slot}, {addr:#x}");
    machine.is_well();
    // SAFETY: nobody uses it any more.
    unsafe { libc::munmap(base.cast(), page + room) };
}

/// What a child of the next test does; it is to end before this returns.
fn act(deed: &str) {
    let null = ptr::null_mut::<u8>();
    match deed {
        "fault of this process" => {
            fault::guard().unwrap();
            // SAFETY: it is not, that is the point.
            unsafe { null.write_volatile(1) };
        }
        "fault in a helper" => {
            #[allow(clippy::unnecessary_wraps, reason = "the type of a meaning")]
            fn faults(_: &mut Call<'_>) -> Result<u64, Trap> {
                // SAFETY: it is not, that is the point.
                Ok(u64::from(unsafe { ptr::null::<u8>().read_volatile() }))
            }
            let mut machine = Machine::new();
            let clock = id("ktime_get_ns");
            machine.world.helpers.replace(Helper { meaning: faults, ..*by_id(clock).unwrap() });
            let _ = machine.run(&format!("call {clock}; exit"));
        }
        "jump into nothing" => {
            let _ = Machine::with_rules(that_jump()).run("r1 = 0x1000 ll; exit");
        }
        "native fault without a guard" => {
            let _ = Machine::unguarded(Rules::for_this_processor()).run("r1 = 0; r0 = *(u64 *)(r1 + 0); exit");
        }
        "image without a place" => {
            let _images: Vec<Jit> = (0..fault::IMAGES_MAX).map(|_| Jit::new().unwrap()).collect();
            let _ = Machine::new().run("r1 = 0; r0 = *(u64 *)(r1 + 0); exit");
        }
        "signal of somebody" => {
            fault::guard().unwrap();
            // SAFETY: ends this process.
            unsafe { libc::raise(libc::SIGSEGV) };
            // The handler of the standard library takes the first for a fault that comes again.
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
        "alarm of somebody" => {
            drop(fault::limit(LIMIT).unwrap());
            // SAFETY: ends this process.
            unsafe { libc::raise(libc::SIGVTALRM) };
        }
        "handler of before" => {
            extern "C" fn handler(_: libc::c_int) {
                // SAFETY: ends this process.
                unsafe { libc::_exit(42) };
            }
            // SAFETY: a handler that does what a handler may.
            unsafe { libc::signal(libc::SIGFPE, handler as *const () as usize) };
            Machine::new().is_well();
            // SAFETY: calls that handler.
            unsafe { libc::raise(libc::SIGFPE) };
        }
        "other handler of before" => {
            extern "C" fn handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
                // SAFETY: ends this process.
                unsafe { libc::_exit(if (*info).si_addr().is_null() { 43 } else { 1 }) };
            }
            // SAFETY: a handler that does what a handler may.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO;
                libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
            }
            let mut machine = Machine::new();
            assert_eq!(machine.run("r1 = 0; r0 = *(u64 *)(r1 + 0); exit"), segv(1, 0));
            // SAFETY: calls that handler.
            unsafe { null.write_volatile(1) };
        }
        _ => panic!("{deed}"),
    }
}

/// How processes end that do these things.
#[test]
fn what_is_not_ours_ends_the_process_as_before() {
    const DEED: &str = "TOUCHSTONE_FAULT_TEST";
    if let Ok(deed) = std::env::var(DEED) {
        act(&deed);
        std::process::exit(7);
    }
    let end = |deed: &str| -> ExitStatus {
        let name = "what_is_not_ours_ends_the_process_as_before";
        let executable = std::env::current_exe().unwrap();
        Command::new(executable).args(["--exact", name]).env(DEED, deed).output().unwrap().status
    };
    let killed = |deed| end(deed).signal();
    assert_eq!(killed("fault of this process"), Some(libc::SIGSEGV));
    assert_eq!(killed("fault in a helper"), Some(libc::SIGSEGV));
    assert_eq!(killed("jump into nothing"), Some(libc::SIGSEGV));
    assert_eq!(killed("native fault without a guard"), Some(libc::SIGSEGV));
    assert_eq!(killed("image without a place"), Some(libc::SIGSEGV));
    assert_eq!(killed("signal of somebody"), Some(libc::SIGSEGV));
    assert_eq!(killed("alarm of somebody"), Some(libc::SIGVTALRM));
    assert_eq!(end("handler of before").code(), Some(42));
    assert_eq!(end("other handler of before").code(), Some(43));
}
