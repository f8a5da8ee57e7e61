//! Programs from ELF objects, as clang makes them and libbpf reads them.
//!
//! An executable section holds programs, one per global function; its name says the program type (`xdp`, `socket/eth`).
//! What a program calls, static or global, in `.text` or in its own section, is appended to it. Maps are declared in
//! `.maps` with BTF, or in `maps` as `struct bpf_map_def` (`legacy.rs`); global data becomes arrays of one element, and
//! `.kconfig` is filled from the kernel's configuration (`data.rs`). All programs of an object have the same maps, so they
//! can share them. CO-RE relocations are resolved against the world's own BTF, or another one (`core`). What an object
//! asks for beyond that is an error that says where and what.
//!
//! ```no_run
//! use semantics::loader::{LoadOptions, Object};
//! let bytes = std::fs::read("corpus/program/xdp_count_drop.o").unwrap();
//! let object = Object::parse(&bytes).unwrap();
//! for section in object.programs() {
//!     let name = format!("{}/{}", section.section, section.program);
//!     let program = object.load(Some(&name), &LoadOptions::default()).unwrap();
//!     assert_eq!(program.maps()[0].name, "protocol_count");
//! }
//! ```

use std::collections::{BTreeSet, HashMap};

use crate::encoding::{self, DecodeError, SLOT_LEN};
use crate::helper;
use crate::insn::{Insn, Op};
use crate::map::{Contents, MapDef};
use crate::program::{Load, Program};
use crate::program_type::{ProgramType, SectionType, from_section};
use crate::world;
use crate::world::kconfig::Kconfig;
use btf_ext::BtfExt;
use core::Resolver;
use data::Externs;
use elf::{Elf, Relocation};
use functions::Function;
use link::{Linked, Linker};
use maps::Declared;

pub mod btf;
mod btf_ext;
mod core;
mod data;
mod debug;
mod elf;
mod error;
mod functions;
mod guard;
mod legacy;
mod link;
mod maps;

pub use btf::{Btf, BtfError, BtfErrorKind};
pub use core::CoreReason;
pub use error::{KconfigReason, LoadError, MapReason, Part, RelocationReason};

/// The largest object that is read, in bytes.
pub const OBJECT_MAX: usize = 64 << 20;

/// The most bytes of global data, zeros left out.
const DATA_MAX: usize = 16 << 20;

/// The longest license (Linux copies 128 bytes, one of them the NUL).
const LICENSE_MAX: usize = 127;

/// A program of an object, not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its section.
    pub section: String,
    /// Its function; the section's name if no symbol names one.
    pub program: String,
    /// Slots, without those of its subprograms.
    pub slots: usize,
    /// The program type that the section's name stands for.
    pub program_type: Option<ProgramType>,
}

/// What a program is loaded against, where that is not the world's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// The kernel's types, which CO-RE relocations are resolved against; without them, the world's own
    /// ([`world::btf`]).
    pub btf: Option<&'a Btf>,
    /// The kernel's configuration; without one, the default ([`world::kconfig`]).
    pub kconfig: Option<&'a Kconfig>,
    /// The program's type, whatever its section is called.
    pub program_type: Option<ProgramType>,
}

/// The kernel's types from a file: raw BTF such as /sys/kernel/btf/vmlinux, or an ELF file with a section `.BTF`.
pub fn read_btf(bytes: &[u8]) -> Result<Btf, LoadError> {
    let bytes = if bytes.starts_with(b"\x7fELF") { elf::btf_section(bytes)? } else { bytes };
    Btf::parse(bytes).map_err(|error| LoadError::Btf { section: ".BTF", error })
}

/// The programs of an object, in order.
pub fn sections(bytes: &[u8]) -> Result<Vec<Section>, LoadError> {
    Ok(Object::parse(bytes)?.programs())
}

/// Loads the object's program, or the one that `name` chooses: a section, a function, or `section/function`.
pub fn load(bytes: &[u8], name: Option<&str>) -> Result<Program, LoadError> {
    load_as(bytes, name, None)
}

/// Loads a program as one of this type, whatever its section is called.
pub fn load_as(bytes: &[u8], name: Option<&str>, as_type: Option<ProgramType>) -> Result<Program, LoadError> {
    Object::parse(bytes)?.load(name, &LoadOptions { program_type: as_type, ..LoadOptions::default() })
}

/// An object, read once; each of its programs can be loaded.
pub struct Object<'a> {
    elf: Elf<'a>,
    btf: Option<Btf>,
    ext: BtfExt,
    functions: Vec<Function<'a>>,
    declared: Vec<Declared>,
    externs: Externs,
    /// Relocations of each executable section, by ascending offset.
    relocations: HashMap<usize, Vec<Relocation>>,
    /// The arrays that sections of global data become.
    arrays: Vec<(usize, MapDef)>,
}

impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("programs", &self.programs()).finish_non_exhaustive()
    }
}

/// The maps that all programs of an object have, and which of them is meant.
#[derive(Debug, Default)]
struct Maps {
    defs: Vec<MapDef>,
    /// The index of the map that is declared at a section and offset.
    places: HashMap<(usize, u64), usize>,
    /// The index of the array of each section of global data.
    data: HashMap<usize, usize>,
    kconfig: Option<usize>,
}

impl<'a> Object<'a> {
    /// Reads an object: its functions, types, and what its maps and data are.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, LoadError> {
        let elf = Elf::parse(bytes)?;
        let functions = functions::functions(&elf)?;
        let (btf, ext) = types(&elf)?;
        let declared = maps::declared(&elf, btf.as_ref(), &functions)?;
        let externs = Externs::collect(&elf, btf.as_ref());
        let mut object =
            Object { elf, btf, ext, functions, declared, externs, relocations: HashMap::new(), arrays: Vec::new() };
        object.read_relocations()?;
        Ok(object)
    }

    /// Relocations of code, and the sections of data that they refer to.
    fn read_relocations(&mut self) -> Result<(), LoadError> {
        let mut data_sections = BTreeSet::new();
        let mut count = 0;
        for section in self.elf.sections().filter(|section| Elf::is_executable(*section)) {
            let relocations = self.elf.relocations(section)?;
            // Tables that overlap could be many times the file.
            count += relocations.len();
            if count > OBJECT_MAX / SLOT_LEN {
                return Err(LoadError::TooManyRelocations(count));
            }
            let symbols = relocations.iter().filter_map(|relocation| self.elf.symbol(relocation.symbol));
            data_sections.extend(symbols.map(elf::Symbol::section));
            self.relocations.insert(section.number, relocations);
        }
        let mut total = 0;
        for number in data_sections {
            let Some(section) = self.elf.section(number) else { continue };
            if data::is_data(&self.elf, section) {
                let def = data::array(&self.elf, section, self.btf.as_ref())?;
                if let Contents::Bytes(bytes) = &def.contents {
                    total += bytes.len();
                }
                if total > DATA_MAX || self.arrays.len() > maps::MAPS_MAX {
                    let (section, size) = (self.elf.name(section).into_owned(), total as u64);
                    return Err(LoadError::DataSize { section, size });
                }
                self.arrays.push((number, def));
            }
        }
        Ok(())
    }

    /// Its programs, in order.
    pub fn programs(&self) -> Vec<Section> {
        let section = |function: &Function<'_>| Section {
            section: function.section_name.clone().into_owned(),
            program: function.name.clone().into_owned(),
            slots: function.slots(),
            program_type: ProgramType::from_section(&function.section_name),
        };
        self.functions.iter().filter(|function| function.is_program).map(section).collect()
    }

    /// Loads its program, or the one that `name` chooses: a section, a function, or `section/function`.
    pub fn load(&self, name: Option<&str>, options: &LoadOptions<'_>) -> Result<Program, LoadError> {
        self.load_function(self.choose(name)?, options)
    }

    /// Loads each of its programs, in the order of [`Object::programs`].
    pub fn load_all<'o>(&'o self, options: &'o LoadOptions<'o>) -> impl Iterator<Item = Result<Program, LoadError>> {
        let programs = (0..self.functions.len()).filter(|number| self.functions[*number].is_program);
        programs.map(|number| self.load_function(number, options))
    }

    /// A program with the targets of its tail calls, and of theirs: those that the program arrays hold.
    fn load_function(&self, number: usize, options: &LoadOptions<'_>) -> Result<Program, LoadError> {
        let program = self.load_alone(number, options)?;
        let makes_tail_calls = |insn: &Insn| insn.op() == Op::CallHelper && insn.imm == helper::tail_call::ID;
        if !program.insns().iter().any(makes_tail_calls) {
            return Ok(program);
        }
        let held = program.maps().iter().flat_map(|map| match &map.contents {
            Contents::Programs(programs) => &programs[..],
            _ => &[],
        });
        let names: BTreeSet<&str> =
            held.map(|(_, name)| name.as_str()).filter(|name| *name != program.name()).collect();
        let mut targets = Vec::new();
        for (number, function) in self.functions.iter().enumerate() {
            if function.is_program && names.contains(&*function.name) {
                let target = self.load_alone(number, options)?;
                // The kernel does not take a program of another type into the array.
                if target.program_type() == program.program_type() && target.attach_type() == program.attach_type() {
                    targets.push(target);
                }
            }
        }
        let (section, name) = (self.functions[number].section_name.clone().into_owned(), program.name().to_owned());
        program.with_targets(targets).map_err(|error| LoadError::Program { section, program: name, error })
    }

    fn load_alone(&self, number: usize, options: &LoadOptions<'_>) -> Result<Program, LoadError> {
        let function = &self.functions[number];
        let section = || function.section_name.clone().into_owned();
        let by_name = from_section(&function.section_name);
        let named = by_name.map(|section| {
            let SectionType { program_type, attach_type, attach_to, sleepable, frags, .. } = section;
            // Others are attached after their load: nothing is looked up for them then.
            let is_known = matches!(program_type, ProgramType::Tracing | ProgramType::Lsm | ProgramType::Ext);
            let attach_to = attach_to.filter(|_| is_known);
            (program_type, Load { attach_type, attach_to, sleepable, frags, ..Load::default() })
        });
        // What a program is attached to is said by the name of its section, and goes with the type that the name says.
        let (program_type, load) = match (options.program_type, named) {
            (Some(of), Some((same, load))) if of == same => (of, load),
            (Some(of), _) => (of, Load::default()),
            (None, Some(named)) => named,
            (None, None) => return Err(LoadError::UnsupportedProgramType { section: section() }),
        };
        if program_type == ProgramType::StructOps {
            return Err(LoadError::StructOps { section: section() });
        }
        let license = license(&self.elf)?;
        let default = Kconfig::default();
        let kconfig = options.kconfig.unwrap_or(&default);
        let maps = self.maps(kconfig)?;
        let target = options.btf.unwrap_or_else(|| world::btf::btf());
        let resolver = self.btf.as_ref().map(|local| Resolver { local, target });
        let linker = Linker { object: self, resolver, kconfig, maps: &maps };
        let Linked { slots, origins, poisoned, debug } = linker.link(number)?;
        let insns = encoding::decode_slots(slots).map_err(|error| self.misread(&origins, error))?;
        let slots: Vec<usize> = poisoned.iter().map(|(slot, _)| *slot).collect();
        let program = Program::new(function.name.clone(), program_type, license, maps.defs, insns);
        let program = program.map_err(|error| {
            let program = function.name.clone().into_owned();
            LoadError::Program { section: section(), program, error }
        })?;
        if !slots.is_empty()
            && let Some(reached) = guard::reachable(program.insns(), program.maps(), &slots)
            && let Some((_, error)) = poisoned.into_iter().find(|(slot, _)| *slot == reached)
        {
            return Err(error);
        }
        Ok(program.with_load(load).with_debug(debug))
    }

    /// Where a slot that is no instruction came from.
    fn misread(&self, origins: &[(usize, usize)], error: DecodeError) -> LoadError {
        let origin = origins.partition_point(|(base, _)| *base <= error.index).saturating_sub(1);
        let (base, number) = origins.get(origin).copied().unwrap_or((0, 0));
        let function = &self.functions[number];
        let offset = function.start + ((error.index - base) * SLOT_LEN) as u64;
        LoadError::Decode { section: function.section_name.clone().into_owned(), offset, error }
    }

    /// The maps that all programs get: declared ones, global data, the kernel's configuration. A map of a type that does
    /// not exist is left out, and a reference to it is an error.
    fn maps(&self, kconfig: &Kconfig) -> Result<Maps, LoadError> {
        let mut maps = Maps::default();
        let mut indices = Vec::with_capacity(self.declared.len());
        for map in &self.declared {
            match &map.def {
                Ok(def) => {
                    maps.places.insert((map.section, map.offset), maps.defs.len());
                    indices.push(Some(maps.defs.len()));
                    maps.defs.push(def.clone());
                }
                Err(error) if error.is_unsupported() && !self.refers_to(map.section, map.offset) => indices.push(None),
                Err(error) => return Err(error.clone()),
            }
        }
        for def in &mut maps.defs {
            if let Contents::Maps(held) = &mut def.contents {
                held.retain_mut(|(_, map)| {
                    let index = indices.get(*map).copied().flatten();
                    *map = index.unwrap_or(0);
                    index.is_some()
                });
            }
        }
        for (section, def) in &self.arrays {
            maps.data.insert(*section, maps.defs.len());
            maps.defs.push(def.clone());
        }
        if let Some(def) = self.externs.array(self.btf.as_ref(), kconfig) {
            maps.kconfig = Some(maps.defs.len());
            maps.defs.push(def);
        }
        Ok(maps)
    }

    /// Whether a relocation of code names the symbol at a place.
    fn refers_to(&self, section: usize, offset: u64) -> bool {
        self.relocations.values().flatten().any(|relocation| {
            let symbol = self.elf.symbol(relocation.symbol);
            symbol
                .is_some_and(|symbol| symbol.section() == section && (symbol.is_section() || symbol.value() == offset))
        })
    }

    /// The number of the only program, or of the one that is named.
    fn choose(&self, name: Option<&str>) -> Result<usize, LoadError> {
        let programs: Vec<usize> = (0..self.functions.len()).filter(|at| self.functions[*at].is_program).collect();
        let names = |of: &[usize]| of.iter().map(|at| self.functions[*at].name.clone().into_owned()).collect();
        let Some(name) = name else {
            return match programs[..] {
                [] => Err(LoadError::NoProgram),
                [program] => Ok(program),
                _ => Err(LoadError::Ambiguous { programs: names(&programs) }),
            };
        };
        let those = |is: &dyn Fn(&Function<'_>) -> bool| -> Vec<usize> {
            programs.iter().copied().filter(|at| is(&self.functions[*at])).collect()
        };
        let in_section = those(&|function| function.section_name == name);
        let of_name = those(&|function| function.name == name);
        let of_both = those(&|function| {
            let rest = name.strip_prefix(&*function.section_name).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| rest == function.name)
        });
        match (&in_section[..], &of_name[..], &of_both[..]) {
            ([program], ..) | (_, [program], _) | ([], [], [program]) => Ok(*program),
            ([], [], []) => Err(LoadError::NoSuchProgram { name: name.to_owned(), programs: names(&programs) }),
            ([], [], several) | ([], several, _) | (several, ..) => {
                Err(LoadError::Ambiguous { programs: names(several) })
            }
        }
    }
}

/// The object's types, and what they say of its instructions.
fn types(elf: &Elf<'_>) -> Result<(Option<Btf>, BtfExt), LoadError> {
    let fail = |section| move |error| LoadError::Btf { section, error };
    let Some(section) = elf.section_named(".BTF") else { return Ok((None, BtfExt::default())) };
    let btf = Btf::parse(elf.data(section)?).map_err(fail(".BTF"))?;
    let ext = match elf.section_named(".BTF.ext") {
        Some(section) => BtfExt::parse(elf.data(section)?, &btf).map_err(fail(".BTF.ext"))?,
        None => BtfExt::default(),
    };
    Ok((Some(btf), ext))
}

/// The license that section `license` states; empty without one.
fn license(elf: &Elf<'_>) -> Result<String, LoadError> {
    let Some(section) = elf.section_named("license") else { return Ok(String::new()) };
    let data = elf.data(section)?;
    let text = data.split(|byte| *byte == 0).next().unwrap_or(&[]);
    if text.len() > LICENSE_MAX {
        return Err(LoadError::License("it is longer than 127 bytes"));
    }
    String::from_utf8(text.to_vec()).map_err(|_| LoadError::License("it is not UTF-8"))
}
