//! How a run can end other than by `exit`. A trap is part of the meaning of a program, not an error of this library.

use crate::engine::EngineId;
use crate::errno::Errno;
use crate::insn::Size;
use crate::map::MapType;
use crate::memory::Access;

/// Something that exists in Linux or RFC 9669 and has no meaning here. Always counted and shown, never passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unsupported {
    /// A helper of bpf-helpers(7) without a declaration.
    #[error("helper {name}#{id} is not modelled")]
    Helper {
        /// Its number.
        id: u32,
        /// Its name.
        name: &'static str,
    },
    /// A map type.
    #[error("map type {0} is not modelled")]
    MapType(MapType),
    /// A property of a map of a type that has a meaning: a creation flag, or a member of its values.
    #[error("map property {0} is not modelled")]
    MapProperty(&'static str),
    /// An instruction that an engine does not have.
    #[error("{engine} does not have the instruction {insn}")]
    Insn {
        /// The engine.
        engine: &'static str,
        /// Name of the row in the instruction table.
        insn: &'static str,
    },
    /// A kernel function.
    #[error("the kernel function with BTF number {0} is not modelled")]
    Kfunc(u32),
    /// A variable of the kernel.
    #[error("the kernel variable with BTF number {0} is not modelled")]
    Variable(u32),
    /// A field of a context that leads to an object which the world lacks.
    #[error("what the field {field} of {context} points to is not modelled")]
    ContextField {
        /// The structure.
        context: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A packet.
    #[error("{0} is not modelled")]
    Packet(&'static str),
    /// An object of the kernel that the world lacks.
    #[error("a {0} is not modelled")]
    KernelObject(&'static str),
    /// A read of the kernel's structure behind a map.
    #[error("the fields of struct bpf_map are not modelled")]
    MapStructure,
    /// A read of the kernel's structure that a context is a view of.
    #[error("the structure that {0} is a view of is not modelled")]
    ContextStructure(&'static str),
    /// A cgroup that a map holds, and the world does not have.
    #[error("cgroup {0}, which a map holds, is not in the world's tree")]
    Cgroup(u32),
    /// A read of the stack around the arguments of a traced function.
    #[error("what lies around the arguments of a traced function is not modelled")]
    AroundArguments,
    /// The arguments of the function that a program is attached to.
    #[error("how many arguments the traced function has is not known: say it under traced.args")]
    TracedFunction,
    /// A run that an engine cannot make of what it is given.
    #[error("{engine} cannot run it: {why}")]
    Run {
        /// The engine.
        engine: EngineId,
        /// The reason.
        why: RunLack,
    },
    /// A facility of the machine that an engine needs.
    #[error("{engine} needs {facility}")]
    Facility {
        /// The engine.
        engine: &'static str,
        /// What it needs.
        facility: &'static str,
    },
}

/// Why an engine cannot make a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RunLack {
    /// The kernel's test run fails with this error number.
    #[error("BPF_PROG_TEST_RUN fails with {}", errno_name(*.0))]
    TestRun(i32),
    /// The program was loaded, but making its maps anew, or putting elements into them, fails with this error number.
    #[error("its maps cannot be filled: {}", errno_name(*.0))]
    Maps(i32),
    /// Its context differs from what a test run sets up, in a field that a test run does not take.
    #[error("a test run does not take this context")]
    Context,
    /// Something of its world is as a test run does not set it up.
    #[error("a test run does not set up such a world")]
    World,
    /// The engine did not come back from it.
    #[error("it was lost")]
    Lost,
}

fn errno_name(number: i32) -> String {
    Errno::from_number(number.into()).map_or_else(|| format!("error {number}"), |errno| errno.name().to_owned())
}

/// Why a helper refuses an argument that a verified program could not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ArgumentFault {
    /// Not the handle of a map of the program.
    #[error("is not a map of the program")]
    NotAMap,
    /// A map of a type that the helper does not take.
    #[error("is a map of a type that the helper does not take")]
    MapType,
    /// Not the context of the program.
    #[error("is not the context of the program")]
    NotTheContext,
    /// Not text that ends with a NUL.
    #[error("is no text that ends inside its object")]
    NotAString,
    /// Not in a value of the map that the next argument names.
    #[error("does not lie in a value of the map")]
    NotInTheMap,
    /// Not a record of a ring buffer.
    #[error("is not a record that was reserved")]
    NotARecord,
    /// Not a dynptr that a helper made.
    #[error("is not a dynptr")]
    NotADynptr,
    /// A lock that the program holds: it would wait for ever.
    #[error("is a lock that is taken already")]
    LockTaken,
    /// A lock that nobody holds.
    #[error("is a lock that is not taken")]
    LockFree,
    /// Not the address of a task.
    #[error("is not a struct task_struct")]
    NotATask,
    /// Not the address of a subprogram.
    #[error("is not a subprogram: {0:#x}")]
    NotAFunction(u64),
    /// Memory of the declared length is not all inside one region.
    #[error("does not point to {0} readable bytes")]
    Unreadable(u64),
    /// Memory of the declared length is not all inside one writable region.
    #[error("does not point to {0} writable bytes")]
    Unwritable(u64),
}

/// How a helper broke its declaration: a mistake in the model, found at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Breach {
    /// The result is in none of the declared classes.
    #[error("returned {0:#x}, which is in none of its declared result classes")]
    Result(u64),
    /// Memory changed that is not among the declared effects.
    #[error("changed bytes of the {0} without declaring it")]
    Wrote(crate::memory::Object),
}

/// The signal that the processor's refusal of an instruction becomes, signal(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NativeFault {
    /// An access of memory that there is not, or that forbids it.
    Segv,
    /// An access of memory that is mapped and cannot be had.
    Bus,
    /// A division.
    Fpe,
    /// An instruction that the processor does not have.
    Ill,
    /// A breakpoint: code that nobody wrote.
    Trap,
}

impl NativeFault {
    /// Its name in signal(7).
    pub const fn name(self) -> &'static str {
        match self {
            NativeFault::Segv => "SIGSEGV",
            NativeFault::Bus => "SIGBUS",
            NativeFault::Fpe => "SIGFPE",
            NativeFault::Ill => "SIGILL",
            NativeFault::Trap => "SIGTRAP",
        }
    }
}

/// How a run ended other than by `exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Trap {
    /// An access that no region permits.
    #[error("{} of {} bytes at {addr:#x}: {}", if *.write { "store" } else { "load" }, size.bytes(), describe(*.access))]
    Memory {
        /// What is wrong with it.
        access: Access,
        /// Its address.
        addr: u64,
        /// Its size.
        size: Size,
        /// Whether it is a store.
        write: bool,
    },
    /// More instructions than the run was given.
    #[error("out of fuel")]
    OutOfFuel,
    /// The observer of the run ended it.
    #[error("stopped by its observer")]
    Stopped,
    /// A call of a subprogram at the deepest frame there can be.
    #[error("the call stack of {} frames is too deep", crate::memory::layout::FRAMES_MAX + 1)]
    CallDepth,
    /// An access to packet bytes through the implicit context, but R6 does not hold one with a packet.
    #[error("BPF_LD_[ABS|IND]: R6 = {0:#x} is not the context of a socket buffer")]
    NoSocketBuffer(u64),
    /// The address of a value of a map that has no single value.
    #[error("map {0} has no value at a constant address")]
    NoDirectValue(u32),
    /// A call of a number that no helper has.
    #[error("unknown func#{0}")]
    UnknownHelper(u32),
    /// Something without a meaning here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A helper was given what a verified program could not pass.
    #[error("{helper}: argument {number} {fault}")]
    Argument {
        /// The helper.
        helper: &'static str,
        /// 1 to 5.
        number: u8,
        /// What is wrong with it.
        fault: ArgumentFault,
    },
    /// A helper broke its declaration.
    #[error("{helper} {breach}")]
    Contract {
        /// The helper.
        helper: &'static str,
        /// How.
        breach: Breach,
    },
    /// Native code of a program that nobody verified did what the processor refuses.
    #[error("native code was stopped {} by {}{}", place(*.slot), fault.name(), address(*.addr))]
    Native {
        /// What the processor said.
        fault: NativeFault,
        /// The instruction; `None` outside the code of all of them.
        slot: Option<usize>,
        /// The address of an access, where the processor tells it: it does not for one that is not canonical.
        addr: Option<u64>,
    },
    /// The meaning of a helper panicked.
    #[error("the model of a helper panicked")]
    Panic,
}

fn place(slot: Option<usize>) -> String {
    slot.map_or("outside its instructions".to_owned(), |slot| format!("at insn {slot}"))
}

fn address(addr: Option<u64>) -> String {
    addr.map_or(String::new(), |addr| format!(", address {addr:#x}"))
}

fn describe(access: Access) -> &'static str {
    match access {
        Access::OutOfBounds => "outside every region",
        Access::ReadOnly => "the region is read-only",
        Access::ContextField => "the context's declaration does not permit it",
        Access::Unmodelled => "the world has no value for the field",
    }
}
