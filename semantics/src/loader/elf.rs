//! ELF objects as far as BPF needs them: sections, symbols, relocations, read through the `object` crate.

use std::borrow::Cow;
use std::collections::HashMap;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, Rel64, Rela64, SectionHeader64, Sym64};
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _};
use object::read::{SectionIndex, SymbolIndex};

use super::OBJECT_MAX;
use super::error::{LoadError, Part};

/// The longest name that is read, in bytes.
const NAME_MAX: usize = 512;

/// The string at an offset of a string table, without its NUL; cut at [`NAME_MAX`] bytes, empty where there is none.
pub(super) fn string_bytes(table: &[u8], offset: usize) -> &[u8] {
    let rest = table.get(offset..).unwrap_or(&[]);
    let rest = &rest[..rest.len().min(NAME_MAX)];
    rest.split(|byte| *byte == 0).next().unwrap_or(&[])
}

/// The same as text.
fn string(table: &[u8], offset: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(string_bytes(table, offset))
}

/// A relocatable BPF object.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    sections: SectionTable<'a, FileHeader64<LE>>,
    section_names: &'a [u8],
    symbols: &'a [Sym64<LE>],
    symbol_names: &'a [u8],
    /// The symbols of each section.
    by_section: HashMap<usize, Vec<Symbol<'a>>>,
    /// The sections of relocations of each section.
    relocated: HashMap<usize, Vec<Section<'a>>>,
}

/// A section of it.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) number: usize,
    header: &'a SectionHeader64<LE>,
}

/// A symbol of it.
#[derive(Clone, Copy)]
pub(super) struct Symbol<'a> {
    raw: &'a Sym64<LE>,
}

impl Symbol<'_> {
    /// The number of the section that it lies in; 0 for symbols that are defined elsewhere.
    pub(super) fn section(self) -> usize {
        usize::from(self.raw.st_shndx(LE))
    }
    pub(super) fn value(self) -> u64 {
        self.raw.st_value(LE)
    }
    pub(super) fn size(self) -> u64 {
        self.raw.st_size(LE)
    }
    pub(super) fn is_function(self) -> bool {
        self.raw.st_type() == elf::STT_FUNC
    }
    pub(super) fn is_section(self) -> bool {
        self.raw.st_type() == elf::STT_SECTION
    }
    /// Names data or, in objects of old compilers, a function.
    pub(super) fn is_object(self) -> bool {
        matches!(self.raw.st_type(), elf::STT_OBJECT | elf::STT_NOTYPE)
    }
    pub(super) fn is_global(self) -> bool {
        self.raw.st_bind() != elf::STB_LOCAL
    }
    pub(super) fn is_weak(self) -> bool {
        self.raw.st_bind() == elf::STB_WEAK
    }
    /// Defined elsewhere.
    pub(super) fn is_undefined(self) -> bool {
        self.raw.st_shndx(LE) == elf::SHN_UNDEF
    }
}

/// A relocation of a section.
#[derive(Clone, Copy)]
pub(super) struct Relocation {
    pub(super) offset: u64,
    pub(super) kind: u32,
    pub(super) symbol: usize,
    pub(super) addend: i64,
}

impl<'a> Elf<'a> {
    /// Reads headers and the symbol table.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, LoadError> {
        if bytes.len() > OBJECT_MAX {
            return Err(LoadError::TooLarge(bytes.len()));
        }
        let fail = |reason| LoadError::Elf { part: Part::Header, reason };
        // `EI_DATA`: the byte order, also of the instructions.
        if bytes.starts_with(&elf::ELFMAG) && bytes.get(5) == Some(&elf::ELFDATA2MSB) {
            return Err(LoadError::BigEndian);
        }
        let header = FileHeader64::<LE>::parse(bytes).map_err(fail)?;
        header.endian().map_err(fail)?;
        if header.e_machine(LE) != elf::EM_BPF {
            return Err(LoadError::WrongMachine(header.e_machine(LE)));
        }
        if header.e_type(LE) != elf::ET_REL {
            return Err(LoadError::NotRelocatable(header.e_type(LE)));
        }
        let sections = header.sections(LE, bytes).map_err(fail)?;
        let data = |index: SectionIndex| {
            let part = || Part::SectionNumber(index.0);
            let header = sections.section(index).map_err(|reason| LoadError::Elf { part: part(), reason })?;
            header.data(LE, bytes).map_err(|reason| LoadError::Elf { part: part(), reason })
        };
        let section_names = match header.shstrndx(LE, bytes).map_err(fail)? {
            0 => &[][..],
            index => data(SectionIndex(index as usize))?,
        };
        let (symbols, symbol_names): (&'a [Sym64<LE>], &'a [u8]) =
            match sections.enumerate().find(|(_, s)| s.sh_type(LE) == elf::SHT_SYMTAB) {
                None => (&[][..], &[][..]),
                Some((number, section)) => {
                    entry_size::<Sym64<LE>>(number.0, section, "symbols")?;
                    let part = Part::SectionNumber(number.0);
                    let symbols = section.data_as_array(LE, bytes).map_err(|reason| LoadError::Elf { part, reason })?;
                    (symbols, data(section.link(LE))?)
                }
            };
        let mut by_section: HashMap<usize, Vec<Symbol<'a>>> = HashMap::new();
        for symbol in symbols.iter().map(|raw| Symbol { raw }) {
            by_section.entry(symbol.section()).or_default().push(symbol);
        }
        let mut relocated: HashMap<usize, Vec<Section<'a>>> = HashMap::new();
        for (index, header) in sections.enumerate() {
            if matches!(header.sh_type(LE), elf::SHT_REL | elf::SHT_RELA) {
                let table = Section { number: index.0, header };
                relocated.entry(header.sh_info(LE) as usize).or_default().push(table);
            }
        }
        Ok(Elf { bytes, sections, section_names, symbols, symbol_names, by_section, relocated })
    }

    /// All sections in order.
    pub(super) fn sections(&self) -> impl Iterator<Item = Section<'a>> {
        self.sections.enumerate().map(|(index, header)| Section { number: index.0, header })
    }
    /// The section of this number.
    pub(super) fn section(&self, number: usize) -> Option<Section<'a>> {
        let header = self.sections.section(SectionIndex(number)).ok()?;
        Some(Section { number, header })
    }
    /// The first section of this name.
    pub(super) fn section_named(&self, name: &str) -> Option<Section<'a>> {
        self.sections().find(|section| self.name(*section) == name)
    }
    /// A section's name.
    pub(super) fn name(&self, section: Section<'a>) -> Cow<'a, str> {
        string(self.section_names, section.header.sh_name(LE) as usize)
    }
    /// A section's bytes.
    pub(super) fn data(&self, section: Section<'a>) -> Result<&'a [u8], LoadError> {
        let part = || Part::Section(self.name(section).into_owned());
        section.header.data(LE, self.bytes).map_err(|reason| LoadError::Elf { part: part(), reason })
    }
    /// Bytes of a section in memory.
    pub(super) fn size(section: Section<'a>) -> u64 {
        section.header.sh_size(LE)
    }
    /// Whether it takes memory but no bytes of the file: zeros.
    pub(super) fn is_zeroed(section: Section<'a>) -> bool {
        section.header.sh_type(LE) == elf::SHT_NOBITS
    }
    /// Whether it is part of the program's memory.
    pub(super) fn is_allocated(section: Section<'a>) -> bool {
        section.header.sh_flags(LE) & u64::from(elf::SHF_ALLOC) != 0
    }
    /// Whether it holds instructions.
    pub(super) fn is_executable(section: Section<'a>) -> bool {
        section.header.sh_type(LE) == elf::SHT_PROGBITS
            && section.header.sh_flags(LE) & u64::from(elf::SHF_EXECINSTR) != 0
            && section.header.sh_size(LE) != 0
    }

    /// The symbols that lie in a section, in the order of the table.
    pub(super) fn symbols_in(&self, section: Section<'a>) -> &[Symbol<'a>] {
        self.by_section.get(&section.number).map_or(&[], Vec::as_slice)
    }
    /// The symbol of this number.
    pub(super) fn symbol(&self, number: usize) -> Option<Symbol<'a>> {
        self.symbols.get(SymbolIndex(number).0).map(|raw| Symbol { raw })
    }
    /// A symbol's name; of a section's symbol, the section's.
    pub(super) fn symbol_name(&self, symbol: Symbol<'a>) -> Cow<'a, str> {
        match self.section(symbol.section()) {
            Some(section) if symbol.is_section() => self.name(section),
            _ => string(self.symbol_names, symbol.raw.st_name(LE) as usize),
        }
    }

    /// All symbols, in the order of the table.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        self.symbols.iter().map(|raw| Symbol { raw })
    }

    /// The relocations of a section, by ascending offset.
    pub(super) fn relocations(&self, section: Section<'a>) -> Result<Vec<Relocation>, LoadError> {
        let mut all = Vec::new();
        for table in self.relocated.get(&section.number).into_iter().flatten() {
            let fail = |reason| LoadError::Elf { part: Part::SectionNumber(table.number), reason };
            if table.header.sh_type(LE) == elf::SHT_REL {
                entry_size::<Rel64<LE>>(table.number, table.header, "relocations")?;
                let relocations: &[Rel64<LE>] = table.header.data_as_array(LE, self.bytes).map_err(fail)?;
                all.extend(relocations.iter().map(|relocation| Relocation {
                    offset: relocation.r_offset.get(LE),
                    kind: relocation.r_type(LE),
                    symbol: relocation.r_sym(LE) as usize,
                    addend: 0,
                }));
            } else {
                entry_size::<Rela64<LE>>(table.number, table.header, "relocations")?;
                let relocations: &[Rela64<LE>] = table.header.data_as_array(LE, self.bytes).map_err(fail)?;
                all.extend(relocations.iter().map(|relocation| Relocation {
                    offset: relocation.r_offset.get(LE),
                    kind: relocation.r_type(LE, false),
                    symbol: relocation.r_sym(LE, false) as usize,
                    addend: relocation.r_addend.get(LE),
                }));
            }
        }
        all.sort_by_key(|relocation| relocation.offset);
        Ok(all)
    }
}

/// Checks what a table says of the size of its entries.
fn entry_size<T>(section: usize, header: &SectionHeader64<LE>, entries: &'static str) -> Result<(), LoadError> {
    let (found, expected) = (header.sh_entsize(LE), size_of::<T>() as u64);
    if found == expected { Ok(()) } else { Err(LoadError::EntrySize { section, entries, found, expected }) }
}

/// The bytes of section `.BTF` of an ELF file for whatever machine.
pub(super) fn btf_section(bytes: &[u8]) -> Result<&[u8], LoadError> {
    let fail = |reason| LoadError::Elf { part: Part::Header, reason };
    let header = FileHeader64::<LE>::parse(bytes).map_err(fail)?;
    header.endian().map_err(fail)?;
    let sections = header.sections(LE, bytes).map_err(fail)?;
    let found = sections.section_by_name(LE, b".BTF").ok_or(LoadError::NoBtf)?;
    found.1.data(LE, bytes).map_err(|reason| LoadError::Elf { part: Part::Section(".BTF".to_owned()), reason })
}
