//! What compiled code reaches while it runs: the world of the run, through one function that calls helpers.
//!
//! The run is current for its thread, so code needs no register for it. Runs nest: each restores the one before.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use semantics::helper;
use semantics::memory::layout::CONTEXT;
use semantics::trap::Trap;
use semantics::world::World;

use crate::image::Image;

/// What the prologue writes: how to leave from anywhere.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    /// The stack pointer once the prologue has saved registers.
    pub stack_pointer: u64,
}

/// A run under way.
struct Run {
    world: *mut World,
    entry: Entry,
    trap: Option<Trap>,
}

/// What a helper returns to the stub, in `rax` and `rdx`.
#[derive(Debug)]
#[repr(C)]
pub struct Returned {
    /// The result.
    value: u64,
    /// The stack pointer to leave with after a trap, else 0.
    leave: u64,
}

thread_local! {
    static CURRENT: Cell<*mut Run> = const { Cell::new(ptr::null_mut()) };
}

/// Makes a run current while it lives.
struct Current(*mut Run);

impl Current {
    fn set(run: *mut Run) -> Current {
        Current(CURRENT.replace(run))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs the code in `image` on `world`: R0, or the trap of a helper.
///
/// # Safety
/// The image holds a compiled program that is fit for `world`, see [`Verified`](semantics::program::Verified), and the
/// memory of `world` lies at the guest's own addresses.
pub unsafe fn run(image: &Image, world: &mut World) -> Result<u64, Trap> {
    let mut run = Run { world, entry: Entry { stack_pointer: 0 }, trap: None };
    let run = &raw mut run;
    let current = Current::set(run);
    // SAFETY: compiled code keeps to the ABI, its accesses are fit for the world says the caller, and `run` outlives it.
    let value = unsafe { image.call(CONTEXT, &raw mut (*run).entry) };
    drop(current);
    // SAFETY: `run` is a local of this function, and the code that shared it has returned.
    match unsafe { (*run).trap.take() } {
        None => Ok(value),
        Some(trap) => Err(trap),
    }
}

/// The address that the helper stub calls.
pub(crate) fn helper_address() -> u64 {
    call_helper as *const () as u64
}

/// Calls a helper for compiled code. It never unwinds: a panic in the meaning of a helper is a trap.
extern "sysv64" fn call_helper(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, id: u32) -> Returned {
    let run = CURRENT.get();
    assert!(!run.is_null(), "helpers are called by running code");
    // SAFETY: `run` set this pointer and waits for the code that calls; the code itself holds no reference to the world.
    let (world, trap, entry) = unsafe { (&mut *(*run).world, &mut (*run).trap, &(*run).entry) };
    let result = catch_unwind(AssertUnwindSafe(|| helper::call(world, id, [r1, r2, r3, r4, r5])));
    match result.unwrap_or(Err(Trap::Panic)) {
        Ok(value) => Returned { value, leave: 0 },
        Err(reason) => {
            *trap = Some(reason);
            Returned { value: 0, leave: entry.stack_pointer }
        }
    }
}
