//! Why an object is no program: each error says where and why.

use super::btf::BtfError;
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
    /// An ELF file that is not relocatable.
    #[error("ELF header: the type is {0}, not 1 (relocatable)")]
    NotRelocatable(u16),
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
    /// A section name that stands for no modelled program type.
    #[error("section {section}: its name stands for no program type that is modelled")]
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
            LoadError::UnsupportedProgramType { .. } | LoadError::Map { error: MapError::Unsupported { .. }, .. } => {
                true
            }
            LoadError::MapDeclaration { reason, .. } => matches!(reason, MapReason::Inner | MapReason::UnknownType(_)),
            LoadError::Relocation { reason, .. } => reason.is_unsupported(),
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
    /// `values` of a map of maps or a program array.
    #[error("initial values of maps and programs are not modelled")]
    Inner,
}

/// Why a relocation cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelocationReason {
    /// Not at a slot of the program.
    #[error("no instruction starts there")]
    NoInstruction,
    /// A map reference in another instruction than a wide immediate.
    #[error("only a 64-bit immediate can refer to it, this is opcode {0:02x}")]
    NotWide(u8),
    /// A symbol number beyond the table.
    #[error("the symbol table has no such symbol")]
    NoSymbol,
    /// In a section of maps, but not where one starts.
    #[error("no map starts there")]
    NoMap,
    /// A reference to `.data`, `.rodata`, `.bss`, `.kconfig` or the like.
    #[error("global data is not modelled")]
    Data,
    /// A reference to a function.
    #[error("a call of a subprogram is not modelled")]
    Subprogram,
    /// A symbol that is defined elsewhere.
    #[error("external symbols are not modelled")]
    Extern,
    /// A CO-RE relocation.
    #[error("CO-RE relocations are not modelled")]
    Core,
    /// Any other type of relocation.
    #[error("relocation type {0} is not known")]
    UnknownType(u32),
}

impl RelocationReason {
    /// Whether the reference is right and only not modelled.
    fn is_unsupported(self) -> bool {
        matches!(
            self,
            RelocationReason::Data | RelocationReason::Subprogram | RelocationReason::Extern | RelocationReason::Core
        )
    }
}
