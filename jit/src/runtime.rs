//! What compiled code reaches while it runs: the world of the run, through the functions that its stubs call.
//!
//! The [`Entry`] that native code was entered with leads to the run, and native code hands it to each of these functions.
//! Runs nest, and a helper that calls back into the program nests, too: each has an entry of its own, through which a trap
//! leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};

use semantics::helper::{self, Callbacks, tail_call};
use semantics::insn::Size;
use semantics::memory::layout::{self, CONTEXT, frame_top};
use semantics::trap::Trap;
use semantics::world::World;

use crate::fault::Stop;
use crate::frame::Entry;
use crate::image::Image;
use crate::layout::Code;
use crate::x64::Stub;

/// A run under way.
struct Run<'r> {
    world: *mut World,
    image: &'r Image,
    code: &'r Code,
    trap: Option<Trap>,
}

/// What a function of the runtime returns to its stub, in `rax` and `rdx`.
#[derive(Debug)]
#[repr(C)]
pub struct Returned {
    /// The result.
    value: u64,
    /// The stack pointer to leave with after a trap, else 0, or 1 for packet bytes that are not there.
    leave: u64,
}

/// Runs the code in `image`, which is that of `code`, on `world`: R0, or the trap of a helper.
///
/// # Safety
/// The program is fit for `world`, see [`Verified`](semantics::program::Verified), and the memory of `world` lies at the
/// guest's own addresses.
#[inline]
pub unsafe fn run(image: &Image, code: &Code, world: &mut World) -> Result<u64, Trap> {
    let mut run = Run { world, image, code, trap: None };
    let run: *mut Run<'_> = &raw mut run;
    // SAFETY: `run` is a local of this function that outlives the call; the rest is what the caller says.
    let result = unsafe { enter(run, 0, [CONTEXT, 0, 0, 0, 0], 0) }?;
    // SAFETY: the same, and nothing of the program runs any more.
    unsafe { (*(*run).world).pass_time(&mut Native { run: run.cast(), caller: None })? };
    Ok(result)
}

/// Calls the function of the program that begins at `slot`, with a frame at `depth`.
///
/// # Safety
/// `run` is a run under way that nothing else refers to, and its program is fit for its world.
#[inline]
unsafe fn enter(run: *mut Run<'_>, slot: usize, args: [u64; 5], depth: u64) -> Result<u64, Trap> {
    // SAFETY: the run outlives this call.
    let (image, code) = unsafe { ((*run).image, (*run).code) };
    let target = (image.range().start + code.slot(slot)) as u64;
    let mut entry = Entry { stack_pointer: 0, frame_pointer: frame_top(depth), target, helper: 0, run: run.cast() };
    // SAFETY: the image begins with the trampoline, which keeps to the ABI; what it calls is fit for the world.
    let value = unsafe { image.call(args, &raw mut entry) };
    // SAFETY: native code has returned.
    match unsafe { (*run).trap.take() } {
        None => Ok(value),
        Some(trap) => Err(trap),
    }
}

/// The address of the function that a stub calls.
pub(crate) fn address(stub: Stub) -> u64 {
    match stub {
        Stub::Helper => call_helper as *const () as u64,
        Stub::Tail => call_tail as *const () as u64,
        Stub::Packet => load_packet as *const () as u64,
    }
}

/// The run whose code calls, with its world.
///
/// # Safety
/// Called by running code only, with its entry; the code itself holds no reference to the world.
unsafe fn current<'w>(entry: *mut Entry) -> (*mut Run<'static>, &'w mut World) {
    // SAFETY: `enter` made the entry and waits for the code that calls.
    unsafe {
        let run: *mut Run<'static> = (*entry).run.cast();
        (run, &mut *(*run).world)
    }
}

/// What native code gets for its call of the runtime. A panic in the model is a trap: it never unwinds through native frames.
///
/// # Safety
/// As for [`current`].
#[inline(always)]
unsafe fn answer(entry: *mut Entry, call: impl FnOnce() -> Result<Returned, Trap>) -> Returned {
    let trapped = |trap| {
        // SAFETY: the entry lives as long as the native code that calls, and the run longer.
        let leave = unsafe {
            (*(*entry).run.cast::<Run<'static>>()).trap = Some(trap);
            (*entry).stack_pointer
        };
        Returned { value: 0, leave }
    };
    // Looked at inside: carried out of the catch, the wide result would be copied in words right after its tag was written
    // as a byte, which the processor does not forward.
    let call = || call().unwrap_or_else(trapped);
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| trapped(Trap::Panic))
}

/// Notes why the run is left whose program was interrupted at the address `at`: the stack pointer to leave with, and the address
/// of the trap exit. Only looks and writes, for a signal handler.
///
/// # Safety
/// Code of a program was interrupted, and `entry` is its entry.
pub(crate) unsafe fn stop(entry: *mut Entry, at: usize, stop: Stop) -> (u64, usize) {
    // SAFETY: the entry lives as long as the native code that was interrupted, and the run longer.
    unsafe {
        let run: *mut Run<'static> = (*entry).run.cast();
        let (base, code) = ((*run).image.range().start, (*run).code);
        (*run).trap = Some(match stop {
            Stop::Fault(fault, addr) => Trap::Native { fault, slot: code.slot_at(at.wrapping_sub(base)), addr },
            Stop::Time => Trap::OutOfFuel,
        });
        ((*entry).stack_pointer, base + code.trap_exit())
    }
}

/// Runs subprograms for a helper.
struct Native {
    run: *mut Run<'static>,
    /// R10 of the caller of the helper; `None` where the kernel calls, of itself.
    caller: Option<u64>,
}

impl Callbacks for Native {
    fn call(&mut self, world: &mut World, function: u64, args: [u64; 5]) -> Option<Result<u64, Trap>> {
        // SAFETY: the run waits for the helper that calls back.
        let code = unsafe { (*self.run).code };
        let function = code.function(layout::slot_of_code(function)? as usize)?;
        let depth = self.caller.map_or(Some(0), |frame| layout::depth_of_frame(frame).map(|depth| depth + 1));
        // Also the deepest call from there has a frame.
        let Some(depth) = depth.filter(|depth| depth + function.below < u64::from(world.frames())) else {
            return Some(Err(Trap::CallDepth));
        };
        // SAFETY: the program that made the call is fit for the world, and so is its subprogram. Until it returns, the world is
        // reached through the reference that the helper lends.
        Some(unsafe {
            let lender = std::mem::replace(&mut (*self.run).world, world);
            let result = enter(self.run, function.slot, args, depth);
            (*self.run).world = lender;
            result
        })
    }
}

/// Calls a helper for compiled code.
extern "sysv64" fn call_helper(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, entry: *mut Entry) -> Returned {
    // SAFETY: the stub of running code calls.
    unsafe {
        let (run, world) = current(entry);
        let (id, frame_pointer) = ((*entry).helper as u32, (*entry).frame_pointer);
        let mut engine = Native { run, caller: Some(frame_pointer) };
        answer(entry, || {
            let value = helper::call(world, id, [r1, r2, r3, r4, r5], &mut engine)?;
            Ok(Returned { value, leave: 0 })
        })
    }
}

/// Makes a tail call for compiled code: the address where the program begins that it found, or 0.
extern "sysv64" fn call_tail(r1: u64, r2: u64, r3: u64, entry: *mut Entry) -> Returned {
    // SAFETY: the stub of running code calls.
    unsafe {
        let (run, world) = current(entry);
        answer(entry, || {
            helper::call(world, tail_call::ID, [r1, r2, r3, 0, 0], &mut ())?;
            let start = |slot| ((*run).image.range().start + (*run).code.slot(slot)) as u64;
            Ok(Returned { value: world.take_tail_target().map_or(0, start), leave: 0 })
        })
    }
}

/// Reads bytes of the packet of the context `r6` for compiled code.
extern "sysv64" fn load_packet(r6: u64, offset: u32, bytes: u32, entry: *mut Entry) -> Returned {
    // SAFETY: the stub of running code calls.
    unsafe {
        let (_, world) = current(entry);
        answer(entry, || {
            let size = Size::ALL.into_iter().find(|size| size.bytes() == bytes).expect("lowering knows the sizes");
            let value = world.load_packet(r6, size, offset as i32)?;
            Ok(Returned { value: value.unwrap_or(0), leave: u64::from(value.is_none()) })
        })
    }
}
