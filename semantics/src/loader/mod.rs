//! Programs from ELF objects, as clang makes them and libbpf reads them.
//!
//! An executable section holds programs, one per function; its name says the program type (`xdp`, `socket/eth`). Maps are
//! declared in `.maps` with BTF, or in `maps` as `struct bpf_map_def`; a relocation of a 64-bit immediate to a map's symbol
//! becomes [`Opcode::LddwMap`] with the map's index. Maps that cannot be modelled are left out
//! where the program does not refer to them. Everything else that an object can ask for, global data, subprograms, external
//! symbols, CO-RE, is an error that says where and what.
//!
//! ```no_run
//! let object = std::fs::read("corpus/program/xdp_count_drop.o").unwrap();
//! let program = semantics::loader::load(&object, None).unwrap();
//! assert_eq!(program.maps()[0].name, "protocol_count");
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::encoding::{self, Slot};
use crate::insn::Opcode;
use crate::map::MapDef;
use crate::program::{INSNS_MAX, Program, ProgramError};
use crate::program_type::ProgramType;
use btf::Btf;
use elf::{Object, Relocation};
use maps::Declared;

mod btf;
mod elf;
mod error;
mod maps;

pub use btf::{BtfError, BtfErrorKind};
pub use error::{LoadError, MapReason, Part, RelocationReason};

/// The largest object that is read, in bytes.
pub const OBJECT_MAX: usize = 64 << 20;

/// The longest license (Linux copies 128 bytes, one of them the NUL).
const LICENSE_MAX: usize = 127;

/// A program of an object, not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its section.
    pub section: String,
    /// Its function; the section's name if no symbol names one.
    pub program: String,
    /// Slots.
    pub slots: usize,
    /// The type that the section's name stands for, if it is modelled.
    pub program_type: Option<ProgramType>,
}

/// The programs of an object, in order.
pub fn sections(bytes: &[u8]) -> Result<Vec<Section>, LoadError> {
    let object = Object::parse(bytes)?;
    let entries = entries(&object)?;
    let section = |entry: &Entry<'_>| Section {
        section: entry.section_name.clone().into_owned(),
        program: entry.name.clone().into_owned(),
        slots: entry.code.len() / encoding::SLOT_LEN,
        program_type: program_type(&entry.section_name),
    };
    Ok(entries.iter().map(section).collect())
}

/// Loads the object's program, or the one that `name` chooses: a section or a function.
pub fn load(bytes: &[u8], name: Option<&str>) -> Result<Program, LoadError> {
    load_as(bytes, name, None)
}

/// Loads a program as one of this type, whatever its section is called.
pub fn load_as(bytes: &[u8], name: Option<&str>, as_type: Option<ProgramType>) -> Result<Program, LoadError> {
    let object = Object::parse(bytes)?;
    let entries = entries(&object)?;
    let entry = choose(&entries, name)?;
    let section = || entry.section_name.clone().into_owned();
    let program_type = as_type
        .or_else(|| program_type(&entry.section_name))
        .ok_or_else(|| LoadError::UnsupportedProgramType { section: section() })?;
    let wrong = |error| LoadError::Program { section: section(), program: entry.name.clone().into_owned(), error };
    let len = entry.code.len() / encoding::SLOT_LEN;
    if len > INSNS_MAX {
        return Err(wrong(ProgramError::TooLong(len)));
    }
    let license = license(&object)?;
    let btf = btf(&object, entry)?;
    let declared = maps::declared(&object, btf.as_ref())?;
    let references = references(&object, entry, &declared)?;
    let (maps, indices) = keep(declared, &references)?;
    let slots = link(entry.code, &references, &indices);
    let insns = encoding::decode_slots(slots).and_then(|insns| {
        let (index, len) = (insns.len(), entry.code.len() % encoding::SLOT_LEN);
        let kind = encoding::DecodeErrorKind::TrailingBytes { len };
        if len == 0 { Ok(insns) } else { Err(encoding::DecodeError { index, kind }) }
    });
    let insns = insns.map_err(|error| {
        let offset = entry.start + (error.index * encoding::SLOT_LEN) as u64;
        LoadError::Decode { section: section(), offset, error }
    })?;
    Program::new(entry.name.clone(), program_type, license, maps, insns).map_err(wrong)
}

/// The type that a section's name stands for; `?` before it asks libbpf not to load the program by default.
fn program_type(section: &str) -> Option<ProgramType> {
    ProgramType::from_section(section.strip_prefix('?').unwrap_or(section))
}

/// A program within a section.
struct Entry<'a> {
    section: elf::Section<'a>,
    section_name: Cow<'a, str>,
    name: Cow<'a, str>,
    /// Bytes from the start of the section.
    start: u64,
    code: &'a [u8],
}

/// The programs of an object. What lies in `.text` beside other sections are their subprograms.
fn entries<'a>(object: &Object<'a>) -> Result<Vec<Entry<'a>>, LoadError> {
    let mut entries = Vec::new();
    for section in object.sections().filter(|section| Object::is_executable(*section)) {
        let data = object.data(section)?;
        let section_name = object.name(section);
        let mut starts = functions(object, section, data.len() as u64);
        if starts.is_empty() {
            starts.insert(0, section_name.clone());
        }
        let ends: Vec<u64> = starts.keys().skip(1).copied().chain([data.len() as u64]).collect();
        for ((start, name), end) in starts.into_iter().zip(ends) {
            let code = &data[start as usize..end as usize];
            entries.push(Entry { section, section_name: section_name.clone(), name, start, code });
        }
    }
    if entries.iter().any(|entry| entry.section_name != ".text") {
        entries.retain(|entry| entry.section_name != ".text");
    }
    Ok(entries)
}

/// Where functions start in a section of `len` bytes, with their names. Old compilers did not mark functions as such, but
/// only they are global.
fn functions<'a>(object: &Object<'a>, section: elf::Section<'a>, len: u64) -> BTreeMap<u64, Cow<'a, str>> {
    let symbols = || object.symbols_in(section).iter().copied().filter(|symbol| symbol.value() < len);
    let named = |symbol: elf::Symbol<'a>| (symbol.value(), object.symbol_name(symbol));
    let marked: BTreeMap<_, _> = symbols().filter(|symbol| symbol.is_function()).map(named).collect();
    if !marked.is_empty() {
        return marked;
    }
    symbols().filter(|symbol| symbol.is_object() && symbol.is_global()).map(named).collect()
}

/// The only program, or the one that is named.
fn choose<'e, 'a>(entries: &'e [Entry<'a>], name: Option<&str>) -> Result<&'e Entry<'a>, LoadError> {
    let names = |entries: &[&Entry<'_>]| entries.iter().map(|entry| entry.name.clone().into_owned()).collect();
    let all: Vec<&Entry<'_>> = entries.iter().collect();
    let Some(name) = name else {
        return match entries {
            [] => Err(LoadError::NoProgram),
            [entry] => Ok(entry),
            _ => Err(LoadError::Ambiguous { programs: names(&all) }),
        };
    };
    let in_section: Vec<&Entry<'_>> = entries.iter().filter(|entry| entry.section_name == name).collect();
    let by_function = entries.iter().find(|entry| entry.name == name);
    match (&in_section[..], by_function) {
        ([_], _) => entries.iter().find(|entry| entry.section_name == name).ok_or(LoadError::NoProgram),
        (_, Some(entry)) => Ok(entry),
        ([], None) => Err(LoadError::NoSuchProgram { name: name.to_owned(), programs: names(&all) }),
        (several, None) => Err(LoadError::Ambiguous { programs: names(several) }),
    }
}

/// The license that section `license` states; empty without one.
fn license(object: &Object<'_>) -> Result<String, LoadError> {
    let Some(section) = object.section_named("license") else { return Ok(String::new()) };
    let data = object.data(section)?;
    let text = data.split(|byte| *byte == 0).next().unwrap_or(&[]);
    if text.len() > LICENSE_MAX {
        return Err(LoadError::License("it is longer than 127 bytes"));
    }
    String::from_utf8(text.to_vec()).map_err(|_| LoadError::License("it is not UTF-8"))
}

/// The object's type information, which must not ask for the program to be relocated.
fn btf<'a>(object: &Object<'a>, entry: &Entry<'a>) -> Result<Option<Btf<'a>>, LoadError> {
    let fail = |section| move |error| LoadError::Btf { section, error };
    let Some(section) = object.section_named(".BTF") else { return Ok(None) };
    let btf = Btf::parse(object.data(section)?).map_err(fail(".BTF"))?;
    if let Some(section) = object.section_named(".BTF.ext") {
        let end = entry.start + entry.code.len() as u64;
        let data = object.data(section)?;
        let offsets = btf::core_relocations(data, &btf, &entry.section_name).map_err(fail(".BTF.ext"))?;
        if let Some(offset) = offsets.into_iter().map(u64::from).find(|offset| (entry.start..end).contains(offset)) {
            let (section, symbol) = (entry.section_name.clone().into_owned(), String::new());
            return Err(LoadError::Relocation { section, offset, symbol, reason: RelocationReason::Core });
        }
    }
    Ok(Some(btf))
}

/// Which slots of the program refer to which declared map.
fn references(
    object: &Object<'_>,
    entry: &Entry<'_>,
    declared: &[Declared],
) -> Result<BTreeMap<usize, usize>, LoadError> {
    let mut references = BTreeMap::new();
    object.relocations(entry.section, |relocation| {
        let Some(at) = relocation.offset.checked_sub(entry.start).filter(|at| *at < entry.code.len() as u64) else {
            return Ok(());
        };
        let slot = at as usize / encoding::SLOT_LEN;
        let fields = entry.code.as_chunks().0.get(slot).map(|bytes| Slot::from_bytes(*bytes));
        let found = match refer(object, relocation, fields, declared) {
            Ok(_) if !at.is_multiple_of(encoding::SLOT_LEN as u64) => Err(RelocationReason::NoInstruction),
            // A second relocation of the same slot would contradict the first.
            Ok(_) if references.contains_key(&slot) => Err(RelocationReason::NoInstruction),
            found => found,
        };
        let map = found.map_err(|reason| LoadError::Relocation {
            section: entry.section_name.clone().into_owned(),
            offset: relocation.offset,
            symbol: object.symbol(relocation.symbol).map_or(String::new(), |s| object.symbol_name(s).into_owned()),
            reason,
        })?;
        references.insert(slot, map);
        Ok(())
    })?;
    Ok(references)
}

/// The declared map that a relocation of `slot` refers to.
fn refer(
    object: &Object<'_>,
    relocation: Relocation,
    slot: Option<Slot>,
    declared: &[Declared],
) -> Result<usize, RelocationReason> {
    /// A 64-bit immediate.
    const R_BPF_64_64: u32 = 1;
    /// A call.
    const R_BPF_64_32: u32 = 10;

    let slot = slot.ok_or(RelocationReason::NoInstruction)?;
    let symbol = object.symbol(relocation.symbol).ok_or(RelocationReason::NoSymbol)?;
    if !matches!(relocation.kind, R_BPF_64_64 | R_BPF_64_32) {
        return Err(RelocationReason::UnknownType(relocation.kind));
    }
    let Some(section) = object.section(symbol.section()).filter(|section| section.number != 0) else {
        return Err(RelocationReason::Extern);
    };
    if !matches!(&*object.name(section), "maps" | ".maps") {
        let code = symbol.is_function() || Object::is_executable(section) || relocation.kind == R_BPF_64_32;
        return Err(if code { RelocationReason::Subprogram } else { RelocationReason::Data });
    }
    if slot.code != Opcode::LddwMap.row().code {
        return Err(RelocationReason::NotWide(slot.code));
    }
    // The immediate is an offset from the symbol: that of the map where the symbol is the section's.
    let distance = relocation.addend.wrapping_add(i64::from(slot.imm));
    let offset = symbol.value().wrapping_add_signed(distance);
    let map = declared.iter().position(|map| map.section == section.number && map.offset == offset);
    map.ok_or(RelocationReason::NoMap)
}

/// The maps that the program gets, and the index of each declared one among them: all that can be modelled, and an error
/// for one that cannot but is referred to.
fn keep(
    declared: Vec<Declared>,
    references: &BTreeMap<usize, usize>,
) -> Result<(Vec<MapDef>, Vec<Option<usize>>), LoadError> {
    let used: std::collections::BTreeSet<usize> = references.values().copied().collect();
    let (mut maps, mut indices) = (Vec::new(), Vec::new());
    for (number, map) in declared.into_iter().enumerate() {
        match map.def {
            Ok(def) => {
                indices.push(Some(maps.len()));
                maps.push(def);
            }
            Err(error) if error.is_unsupported() && !used.contains(&number) => indices.push(None),
            Err(error) => return Err(error),
        }
    }
    Ok((maps, indices))
}

fn slots(code: &[u8]) -> impl Iterator<Item = Slot> + '_ {
    code.as_chunks::<{ encoding::SLOT_LEN }>().0.iter().map(|bytes| Slot::from_bytes(*bytes))
}

/// The program's slots with map references filled in.
fn link<'a>(
    code: &'a [u8],
    references: &'a BTreeMap<usize, usize>,
    indices: &'a [Option<usize>],
) -> impl Iterator<Item = Slot> + 'a {
    slots(code).enumerate().map(|(at, slot)| {
        let index = references.get(&at).and_then(|map| indices[*map]);
        index.map_or(slot, |index| Slot { src: 1, imm: index as i32, ..slot })
    })
}
