//! Why a case file cannot be read, and where.

use std::path::PathBuf;

use semantics::asm::AsmErrorKind;
use semantics::map::{MapError, ValueFieldKind};
use semantics::program_type::ProgramType;
use semantics::world::ConfigError;

/// Why a file holds no cases. Line and column (in characters) count from 1; they are 0 where the file as a whole is meant.
#[derive(Debug, thiserror::Error)]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// The case, where it has a name.
    pub case: Option<String>,
    /// The reason.
    pub reason: Box<Reason>,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if let Some(case) = &self.case {
            write!(f, "case `{case}`: ")?;
        }
        write!(f, "{}", self.reason)
    }
}

/// Why a file holds no cases.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is no text.
    #[error("is not UTF-8: byte {0} is wrong")]
    NotUtf8(usize),
    /// The text is no YAML, or its fields are not those of a case.
    #[error(transparent)]
    Yaml(YamlError),
    /// A program array holds what is no target of the case.
    #[error("`{0}` is neither `main` nor one of the targets")]
    NoSuchTarget(String),
    /// Two cases or two maps have one name.
    #[error("the name `{0}` stands twice")]
    Duplicate(String),
    /// A name is empty.
    #[error("the name is empty")]
    EmptyName,
    /// A program type that is not modelled.
    #[error("there is no program type `{0}`; there are: {all}", all = program_types())]
    ProgramType(String),
    /// No such attach type.
    #[error("there is no attach type `{0}`")]
    AttachType(String),
    /// No such creation flag.
    #[error("there is no map flag `{0}`; there are: {all}", all = names(&semantics::map::FLAGS.map(|(name, _)| name)))]
    MapFlag(String),
    /// No such member of a value.
    #[error("there is no field `{0}` of a map's values; there are: {all}", all = names(&ValueFieldKind::ALL.map(ValueFieldKind::name)))]
    ValueField(String),
    /// A pointer in a value without the structure that it points to, or something else with one.
    #[error("`of` names the kernel's structure that a kptr points to, and belongs to no other field")]
    FieldOf,
    /// A member of a value that lies beyond it or is not aligned.
    #[error("a {kind} has {len} bytes, aligned to {align}: at {offset} it does not fit a value of {value_size}")]
    FieldPlace {
        /// The kind.
        kind: &'static str,
        /// Its bytes.
        len: u32,
        /// Its alignment in bytes.
        align: u32,
        /// Where it is put, in bytes.
        offset: u32,
        /// Bytes of the value.
        value_size: u32,
    },
    /// More than one of `elements`, `maps`, `programs`.
    #[error("a map holds one kind of things: `elements`, `maps` and `programs` exclude each other")]
    Contents,
    /// No such map type.
    #[error("Linux has no map type `{0}`")]
    MapType(String),
    /// A map that is not modelled, or that the kernel refuses.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Not one of `asm`, `hex`, `object`.
    #[error("a case has exactly one of `asm`, `hex` and `object`; here are {0}")]
    Codes(usize),
    /// `section` without `object`.
    #[error("`section` belongs to `object`")]
    Section,
    /// Maps, type or license given for an object, which has its own.
    #[error("an object brings its own {0}")]
    OfObject(&'static str),
    /// The assembly is wrong.
    #[error("{0}")]
    Asm(AsmErrorKind),
    /// The object cannot be loaded.
    #[error("{path}: {error}")]
    Load {
        /// The object.
        path: String,
        /// The reason.
        error: Box<semantics::loader::LoadError>,
    },
    /// The object cannot be read.
    #[error("{path}: {error}")]
    Object {
        /// The object.
        path: String,
        /// The reason.
        error: std::io::Error,
    },
    /// Not hexadecimal bytes.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// Not a number of 64 bits.
    #[error("`{0}` is not a number of at most 64 bits (decimal, or hexadecimal with 0x)")]
    Number(String),
    /// A number that its field cannot hold.
    #[error("{value:#x} does not fit into {bits} bits")]
    TooWide {
        /// The number.
        value: u64,
        /// What there is room for.
        bits: u32,
    },
    /// Code in slots that is no whole number of slots.
    #[error("{0} bytes are no whole number of slots of 8 bytes")]
    Slots(usize),
    /// Both the short form and `inputs`.
    #[error("the short form (`packet`, `result`) and `inputs` exclude each other")]
    ShortAndLong,
    /// More than one of `result`, `return`, `trap`.
    #[error("a run ends in one way: `result`, `return` and `trap` exclude each other")]
    Endings,
    /// The program has no map of this name.
    #[error("the program has no map `{0}`")]
    UnknownMap(String),
    /// A key or value of another length.
    #[error("a {part} of map {map} has {expected} bytes, these are {found}")]
    ElementSize {
        /// The map.
        map: String,
        /// Key or value.
        part: &'static str,
        /// Bytes declared.
        expected: u32,
        /// Bytes given.
        found: usize,
    },
    /// An element with other than one `value`, or `values` of a map that has one for all CPUs.
    #[error("an element has a `value`, or in a map with a value for each CPU `values`, one for each of them")]
    ElementValue,
    /// A context field that does not exist or cannot be set.
    #[error("the context of {program_type} programs has no field `{name}` that can be set")]
    ContextField {
        /// The program type.
        program_type: ProgramType,
        /// The name given.
        name: String,
    },
    /// A packet longer than guest memory takes.
    #[error("the packet has {0} bytes, the limit is {max}", max = semantics::memory::layout::PACKET_MAX)]
    PacketTooLong(usize),
    /// There is no such world.
    #[error("{0}")]
    World(#[from] ConfigError),
    /// A room that the world lacks, or a map that the case lacks.
    #[error("the world has no room `{0}`")]
    UnknownRoom(String),
    /// `message` for a program that nobody verifies.
    #[error("`message` needs a `verdict` of accept or reject")]
    Message,
}

fn program_types() -> String {
    names(&ProgramType::ALL.map(ProgramType::name))
}

fn names(all: &[&str]) -> String {
    all.join(", ")
}

/// What the YAML reader says, without its place.
#[derive(Debug)]
pub struct YamlError(pub(crate) serde_yaml::Error);

impl std::fmt::Display for YamlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        // Before it may stand a path such as `[0].maps`, which line and column say better.
        let is_path = |head: &str| head.contains('[') && !head.contains(' ');
        f.write_str(reason.split_once(": ").filter(|(head, _)| is_path(head)).map_or(reason, |(_, rest)| rest))
    }
}

impl std::error::Error for YamlError {}

/// Why a text is no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// A character that is no digit.
    #[error("`{found}` is not a hexadecimal digit")]
    Digit {
        /// The character.
        found: char,
        /// Characters before it.
        at: usize,
    },
    /// A digit is missing.
    #[error("{0} hexadecimal digits are no whole number of bytes")]
    Odd(usize),
}
