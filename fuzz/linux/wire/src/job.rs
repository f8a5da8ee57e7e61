//! A job: maps, programs and runs, and what became of each.

use serde::{Deserialize, Serialize};

/// One program with its maps, loaded and run on one or both of the kernel's engines. Numbers are the kernel's
/// (`enum bpf_map_type`, `enum bpf_prog_type`, flags of `bpf(2)`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The kernel's engines that it is loaded under, in this order.
    pub engines: Vec<Engine>,
    /// BTF that maps and programs refer to; empty for none.
    pub btf: Vec<u8>,
    /// Maps, by index.
    pub maps: Vec<Map>,
    /// The program, and behind it those that program arrays hold.
    pub programs: Vec<Program>,
    /// What is done to maps before the first run, in order.
    pub steps: Vec<Step>,
    /// What the program is run on. Each run finds the maps as after creation.
    pub runs: Vec<Run>,
    /// `log_level` of the verifier; 0 for no log.
    pub log_level: u32,
    /// Read the translated and the native instructions back.
    pub dump: bool,
    /// What goes wrong on purpose, to try out what hosts make of it.
    pub mishap: Option<Mishap>,
}

/// Something that goes wrong in a guest: at the job that carries it, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mishap {
    /// The kernel panics.
    Panic,
    /// The machine resets, without a word.
    Reset,
    /// The agent never answers.
    Hang,
    /// The agent exits, which no kernel survives.
    Exit,
    /// The kernel warns in its log.
    Warn,
    /// The kernel panics after the answer, before the next job.
    PanicAfter,
    /// A bit of the answer changes on its way.
    Garble,
    /// The last byte of the answer is missing.
    Cut,
    /// So many bytes are added to the answer.
    Swell(u32),
}

/// One of the kernel's ways to run a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Engine {
    /// Native code (`net.core.bpf_jit_enable` = 1).
    Jit,
    /// The interpreter (`net.core.bpf_jit_enable` = 0).
    Interpreter,
}

/// Bytes of a key and a value of a map.
pub type Element = (Vec<u8>, Vec<u8>);

/// A map to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Name; cut and cleaned to what the kernel takes.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// Types of key and value in the job's BTF; 0 for none.
    pub btf: (u32, u32),
    /// The index of the map that inner maps look like, in [`Job::maps`]: one that is no map of maps itself.
    pub inner: Option<u32>,
    /// Elements that it holds from the start.
    pub elements: Vec<(Vec<u8>, Value)>,
    /// Whether user space may no longer write to it then (`BPF_MAP_FREEZE`).
    pub freeze: bool,
}

/// The value of an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A map of the job, by index.
    Map(u32),
    /// A program of the job, by index.
    Program(u32),
}

/// A program to load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name; cut and cleaned to what the kernel takes.
    pub name: String,
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// `enum bpf_attach_type`; 0 where the type has none.
    pub attach_type: u32,
    /// `BPF_F_*` of the load.
    pub flags: u32,
    /// License.
    pub license: String,
    /// What it is attached to.
    pub attach: Option<Attach>,
    /// Slots of 8 bytes.
    pub insns: Vec<u8>,
    /// Slots whose immediate is a file descriptor.
    pub fds: Vec<FdField>,
    /// The array that wide instructions name maps in by index (`fd_array`); empty for none.
    pub fd_array: Vec<Fd>,
    /// `bpf_func_info` records, with types of the job's BTF; empty for none.
    pub func_info: Vec<u8>,
    /// `bpf_line_info` records; empty for none. The kernel takes them only with [`Program::func_info`].
    pub line_info: Vec<u8>,
}

/// A kernel function or another target in the guest's BTF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Its name.
    pub name: String,
    /// `BTF_KIND_*` of what is looked up: 12 for a function, 8 for a typedef, 4 for a structure.
    pub kind: u32,
}

/// A slot whose immediate names something by a file descriptor of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdField {
    /// Index of the slot.
    pub slot: u32,
    /// What it names.
    pub fd: Fd,
}

/// What a file descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fd {
    /// A map of the job.
    Map(u32),
    /// No open file: what the kernel says of one.
    Bad,
}

/// Something done to a map from user space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The map.
    pub map: u32,
    /// What.
    pub op: MapOp,
}

/// Commands of `bpf(2)` on a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MapOp {
    /// `BPF_MAP_LOOKUP_ELEM`, without a key for queues and stacks.
    Lookup {
        /// The key.
        key: Option<Vec<u8>>,
        /// Flags.
        flags: u64,
    },
    /// `BPF_MAP_UPDATE_ELEM`.
    Update(Update),
    /// `BPF_MAP_DELETE_ELEM`.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`.
    LookupAndDelete {
        /// The key.
        key: Option<Vec<u8>>,
        /// Flags.
        flags: u64,
    },
    /// `BPF_MAP_GET_NEXT_KEY`; the first without a key.
    NextKey {
        /// The key.
        key: Option<Vec<u8>>,
    },
    /// `BPF_MAP_FREEZE`.
    Freeze,
}

/// `BPF_MAP_UPDATE_ELEM`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The key; `None` for queues and stacks.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Value,
    /// Flags.
    pub flags: u64,
}

/// What a command came to: bytes (of a value or a key, if it has any), or an error number.
pub type Outcome = Result<Vec<u8>, i32>;

/// `BPF_PROG_TEST_RUN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `data_in`.
    pub data: Vec<u8>,
    /// `ctx_in`; empty for none.
    pub ctx: Vec<u8>,
    /// Bytes of the context that are read back; 0 for none.
    pub ctx_out: u32,
    /// `repeat`.
    pub repeat: u32,
    /// `BPF_F_TEST_*`.
    pub flags: u32,
    /// Elements that maps hold before the run, by map.
    pub elements: Vec<(u32, Element)>,
    /// Maps that are read back after the run.
    pub read_back: Vec<u32>,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// For each of [`Job::engines`].
    pub trials: Vec<Trial>,
    /// Warnings and worse that the kernel wrote to its own log meanwhile.
    pub messages: Vec<String>,
    /// Nanoseconds that the guest took.
    pub nanoseconds: u64,
}

/// A job under one engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The engine.
    pub engine: Engine,
    /// The load.
    pub load: Load,
    /// What became of each of [`Job::steps`].
    pub steps: Vec<Outcome>,
    /// What became of each of [`Job::runs`]; none if it was not loaded.
    pub runs: Vec<Result<Ran, i32>>,
    /// Translated instructions (`xlated`), if asked for.
    pub xlated: Vec<u8>,
    /// Native code (`jited`), function after function, if asked for.
    pub jited: Vec<u8>,
    /// Bytes of the native code of each function.
    pub jited_lens: Vec<u32>,
    /// Addresses of the functions.
    pub jited_at: Vec<u64>,
    /// Where the lines of [`Program::line_info`] begin that the program still has.
    pub lines: Vec<Line>,
}

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `line_col` of its record, which says which one it is.
    pub line_col: u32,
    /// The slot, in [`Trial::xlated`].
    pub slot: u32,
    /// The address of its native code, in [`Trial::jited`] by [`Trial::jited_at`].
    pub at: u64,
}

impl Trial {
    /// A job under this engine that came to nothing but what is said of its load.
    pub fn new(engine: Engine, load: Load) -> Trial {
        Trial {
            engine,
            load,
            steps: Vec::new(),
            runs: Vec::new(),
            xlated: Vec::new(),
            jited: Vec::new(),
            jited_lens: Vec::new(),
            jited_at: Vec::new(),
            lines: Vec::new(),
        }
    }
}

/// What became of loading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Where it failed, with the error number.
    pub result: Result<(), (Stage, i32)>,
    /// The verifier's log of the program, or of the BTF that was refused.
    pub log: String,
    /// `log_level` that the log was written at: a log that does not fit is asked for again at a lower one.
    pub log_level: u32,
    /// `verified_insns`; 0 on kernels that do not say.
    pub verified_insns: u32,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Switching the engine.
    Engine,
    /// Loading the BTF.
    Btf,
    /// Creating the map of this index.
    Map(u32),
    /// Putting an element into the map of this index.
    Element(u32),
    /// Finding what a program is attached to.
    Attach(String),
    /// Loading the program of this index.
    Program(u32),
    /// The program was loaded, but not for the engine.
    Fallback,
}

/// A run that came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The low half of R0.
    pub retval: u32,
    /// `data_out`.
    pub data: Vec<u8>,
    /// `ctx_out`.
    pub ctx: Vec<u8>,
    /// `duration`: nanoseconds of one repetition.
    pub duration: u32,
    /// Elements of [`Run::read_back`], in the order of iteration; an error number where a map cannot be read.
    pub maps: Vec<Result<Vec<Element>, i32>>,
}
