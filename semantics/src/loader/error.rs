//! Why an object is no program: each error says where and why.

use super::btf::BtfError;
use super::core::CoreReason;
use crate::encoding::{DecodeError, DecodeErrorKind};
use crate::map::MapError;
use crate::program::ProgramError;

/// Why an object is no program. Offsets are bytes from the start of the named section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Larger than [`OBJECT_MAX`](super::OBJECT_MAX).
    #[error("an object of {0} bytes is larger than the limit of {max}", max = super::OBJECT_MAX)]
    TooLarge(usize),
    /// The bytes are no ELF file of 64 bits, or a part of it is broken.
    #[error("{part}: {reason}")]
    Elf {
        /// Which part.
        part: Part,
        /// What is wrong with it.
        reason: object::Error,
    },
    /// An ELF file for another machine than BPF.
    #[error("ELF header: the machine is {0}, not 247 (BPF)")]
    WrongMachine(u16),
    /// An ELF file whose instructions are in the other byte order.
    #[error("ELF header: the byte order is big-endian; big-endian BPF is not modelled")]
    BigEndian,
    /// An ELF file that is not relocatable.
    #[error("ELF header: the type is {0}, not 1 (relocatable)")]
    NotRelocatable(u16),
    /// A table whose entries are not as long as they are.
    #[error("section number {section}: {entries} of {found} bytes, they have {expected}")]
    EntrySize {
        /// The table's section.
        section: usize,
        /// What it holds.
        entries: &'static str,
        /// Bytes of an entry, as the section's header says.
        found: u64,
        /// Bytes of an entry.
        expected: u64,
    },
    /// An ELF file that should bring the kernel's types.
    #[error("the file has no section .BTF")]
    NoBtf,
    /// More maps than are looked at.
    #[error("the object declares {0} maps, the limit is {max}", max = super::maps::MAPS_MAX)]
    TooManyMaps(usize),
    /// More relocations than fit an object.
    #[error("the object has {0} relocations of code, more than fit an object")]
    TooManyRelocations(usize),
    /// A function that does not lie in its section.
    #[error(
        "section {section}, offset {offset:#x}, symbol {symbol}: a function of {size} bytes goes beyond the section's {len}"
    )]
    Function {
        /// The section.
        section: String,
        /// Where the function starts.
        offset: u64,
        /// Its name.
        symbol: String,
        /// Its bytes.
        size: u64,
        /// Bytes of the section.
        len: u64,
    },
    /// Global data too long for an array.
    #[error("section {section}: {size} bytes are too many for global data")]
    DataSize {
        /// The section.
        section: String,
        /// Its bytes.
        size: u64,
    },
    /// A program that is a function of a kernel structure.
    #[error("section {section}: struct_ops programs are not modelled")]
    StructOps {
        /// The section.
        section: String,
    },
    /// No section holds a program.
    #[error("the object has no program: no executable section holds instructions")]
    NoProgram,
    /// Several programs and no choice.
    #[error("the object has several programs, choose one of: {}", programs.join(", "))]
    Ambiguous {
        /// Their names.
        programs: Vec<String>,
    },
    /// No program or section of this name.
    #[error("the object has no program `{name}`, it has: {}", programs.join(", "))]
    NoSuchProgram {
        /// The name.
        name: String,
        /// What there is.
        programs: Vec<String>,
    },
    /// A section name that stands for no program type, and none was given.
    #[error("section {section}: its name stands for no program type, and none is given")]
    UnsupportedProgramType {
        /// The section.
        section: String,
    },
    /// A license that is no text.
    #[error("section license: {0}")]
    License(&'static str),
    /// Type information that cannot be read.
    #[error("section {section}: {error}")]
    Btf {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// Offset and reason.
        error: BtfError,
    },
    /// A map's declaration.
    #[error("section {section}, offset {offset:#x}, map {symbol}: {reason}")]
    MapDeclaration {
        /// `maps` or `.maps`.
        section: String,
        /// Where the map lies.
        offset: u64,
        /// Its name.
        symbol: String,
        /// What is wrong with it.
        reason: MapReason,
    },
    /// A map that the program refers to and that cannot be made.
    #[error("section {section}, offset {offset:#x}: {error}")]
    Map {
        /// The section of maps.
        section: String,
        /// Where the map lies.
        offset: u64,
        /// Name and reason.
        error: MapError,
    },
    /// A relocation that cannot be applied.
    #[error("section {section}, offset {offset:#x}, symbol {symbol}: {reason}")]
    Relocation {
        /// The program's section.
        section: String,
        /// The relocated instruction.
        offset: u64,
        /// What it refers to; empty if that has no name.
        symbol: String,
        /// Why not.
        reason: RelocationReason,
    },
    /// A CO-RE relocation that cannot be applied, or one that has no value where control can reach it.
    #[error("section {section}, offset {offset:#x}, CO-RE relocation of {access}: {reason}")]
    Core {
        /// The program's section.
        section: String,
        /// The relocated instruction.
        offset: u64,
        /// The type or field.
        access: String,
        /// Why not.
        reason: CoreReason,
    },
    /// A slot that is no instruction.
    #[error("section {section}, offset {offset:#x}: {error}")]
    Decode {
        /// The program's section.
        section: String,
        /// The slot.
        offset: u64,
        /// Slot (counted within the program) and reason.
        error: DecodeError,
    },
    /// Instructions that are no program.
    #[error("section {section}, program {program}: {error}")]
    Program {
        /// The section.
        section: String,
        /// The program.
        program: String,
        /// Instruction and reason.
        error: ProgramError,
    },
}

impl LoadError {
    /// Whether the object may well be right and only needs what is not modelled: suites count it as skipped.
    pub fn is_unsupported(&self) -> bool {
        match self {
            LoadError::UnsupportedProgramType { .. }
            | LoadError::StructOps { .. }
            | LoadError::BigEndian
            | LoadError::Map { error: MapError::Unsupported { .. }, .. } => true,
            LoadError::MapDeclaration { reason, .. } => matches!(reason, MapReason::UnknownType(_)),
            LoadError::Relocation { reason, .. } => reason.is_unsupported(),
            LoadError::Core { reason, .. } => reason.is_unsupported(),
            LoadError::Decode { error, .. } => matches!(error.kind, DecodeErrorKind::Unsupported { .. }),
            _ => false,
        }
    }
}

/// A part of an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// The headers and tables that everything is found by.
    #[error("ELF header")]
    Header,
    /// A section by its number.
    #[error("section number {0}")]
    SectionNumber(usize),
    /// A section by its name.
    #[error("section {0}")]
    Section(String),
    /// A symbol by its number.
    #[error("symbol number {0}")]
    Symbol(usize),
}

/// What is wrong with the declaration of a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapReason {
    /// Definitions that do not divide the section among the symbols in it.
    #[error("{symbols} maps in {bytes} bytes: definitions of at least 16 bytes at equal distances are expected")]
    Stride {
        /// Symbols in the section.
        symbols: usize,
        /// Bytes of the section.
        bytes: usize,
    },
    /// A symbol whose size is not that of a definition.
    #[error("the symbol has {symbol} bytes, a definition {definition}")]
    SymbolSize {
        /// Bytes of the symbol.
        symbol: u64,
        /// Bytes of a definition.
        definition: u64,
    },
    /// `.maps` without `.BTF`.
    #[error("there is no section .BTF that declares it")]
    NoBtf,
    /// A variable that is not in the symbol table.
    #[error("the symbol table has no such symbol in this section")]
    NoSymbol,
    /// A symbol without a variable in BTF.
    #[error("section .BTF declares no such variable")]
    NoVariable,
    /// Its type is not a structure.
    #[error("its type is not a structure")]
    NotAStruct,
    /// A member that cannot be read.
    #[error("member {member}: {expected}")]
    Member {
        /// The member.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Two sizes that contradict each other.
    #[error("member {member}: the size is {first} elsewhere, {second} here")]
    Contradiction {
        /// The later member.
        member: String,
        /// The size it had.
        first: u32,
        /// The size it would get.
        second: u32,
    },
    /// No type, or 0.
    #[error("it has no type")]
    NoType,
    /// A number that no map type of Linux 6.8 has.
    #[error("map type {0} is not known")]
    UnknownType(u32),
    /// A map of maps that does not say what its inner maps are.
    #[error("it does not say what its inner maps are")]
    NoInner,
    /// An inner map that holds maps itself.
    #[error("its inner map has initial values itself")]
    InnerOfInner,
    /// A relocation of an initial value that names no map or program, or lies outside of a map's values.
    #[error("it is no initial value: a map or program among a map's values is expected")]
    InitialValue,
}

/// Why a variable of `.kconfig` has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KconfigReason {
    /// An option that the configuration does not name.
    #[error("the kernel's configuration does not set it")]
    NotSet,
    /// A type that cannot hold the setting.
    #[error("its type does not fit what the kernel's configuration sets")]
    Type,
    /// A number that is too large.
    #[error("its type is too narrow for what the kernel's configuration sets")]
    Range,
}

/// Why a relocation cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelocationReason {
    /// Not at a slot of the program, or a second time at the same one.
    #[error("no instruction starts there")]
    NoInstruction,
    /// Another instruction than a wide immediate or a call.
    #[error("only a 64-bit immediate can refer to it, this is opcode {0:02x}")]
    NotWide(u8),
    /// A call of a function that is not marked as one.
    #[error("a call of a subprogram has source register 1, this has {0}")]
    NotLocalCall(u8),
    /// A symbol number beyond the table.
    #[error("the symbol table has no such symbol")]
    NoSymbol,
    /// A symbol that lies in no section: absolute or common.
    #[error("it lies in no section")]
    NoSection,
    /// In a section of maps, but not where one starts.
    #[error("no map starts there")]
    NoMap,
    /// In a section of code, but not where a function starts.
    #[error("no function starts at offset {0:#x}")]
    NoFunction(u64),
    /// In a section that is neither code nor maps nor global data.
    #[error("its section is neither code nor maps nor global data")]
    Data,
    /// Beyond the end of global data.
    #[error("offset {offset:#x} is outside of its section's {size} bytes")]
    OutOfData {
        /// Bytes from the start of the section.
        offset: u64,
        /// Bytes of the section.
        size: u64,
    },
    /// A symbol that is defined elsewhere, and BTF does not say what it is.
    #[error("it is external, and section .BTF does not declare it as the kernel's")]
    Undeclared,
    /// An option of the kernel's configuration.
    #[error("{0}")]
    Kconfig(KconfigReason),
    /// A variable of the kernel.
    #[error("variables of the kernel are not modelled")]
    Ksym,
    /// A function of the kernel.
    #[error("functions of the kernel are not modelled")]
    Kfunc,
    /// Any other type of relocation.
    #[error("relocation type {0} is not known")]
    UnknownType(u32),
}

impl RelocationReason {
    /// Whether the reference is right and only not modelled.
    fn is_unsupported(self) -> bool {
        let not_set = RelocationReason::Kconfig(KconfigReason::NotSet);
        matches!(self, RelocationReason::Ksym | RelocationReason::Kfunc) || self == not_set
    }
}
