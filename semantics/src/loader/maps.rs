//! Maps as objects declare them in section `.maps`, with BTF (libbpf: `parse_btf_map_def`).

use std::borrow::Cow;
use std::collections::HashMap;

use super::btf::{Btf, Kind, Member};
use super::elf::{Elf, Section, Symbol};
use super::error::{LoadError, MapReason};
use super::functions::{self, Function};
use super::legacy;
use crate::map::{self, Contents, MapDef, MapType};
use crate::world::kconfig::CPUS;

/// A map of an object, and where it is declared.
#[derive(Debug)]
pub(super) struct Declared {
    /// Number of the section.
    pub(super) section: usize,
    /// Bytes from its start.
    pub(super) offset: u64,
    /// What it declares, or why that is no map. Maps in its contents are numbers of declared maps.
    pub(super) def: Result<MapDef, LoadError>,
}

/// The most maps of an object.
pub(super) const MAPS_MAX: usize = 4096;

/// All maps of an object, in the order of sections and offsets.
pub(super) fn declared<'a>(
    elf: &Elf<'a>,
    btf: Option<&Btf>,
    functions: &[Function<'a>],
) -> Result<Vec<Declared>, LoadError> {
    let mut maps = Vec::new();
    if let Some(section) = elf.section_named("maps") {
        legacy::maps(elf, section, functions, &mut maps)?;
    }
    if let Some(section) = elf.section_named(".maps") {
        let before = maps.len();
        let values = with_btf(elf, section, btf, &mut maps)?;
        initial_values(elf, section, functions, &values, &mut maps[before..], before)?;
    }
    Ok(maps)
}

/// The numbers of a declaration; absent ones are 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    pub(super) extra: u32,
    pub(super) inner: Option<Box<Numbers>>,
    /// Where the array of initial values begins, in bytes from the map.
    pub(super) values: Option<u64>,
}

impl Numbers {
    fn define(self, name: &str) -> Result<MapDef, MapReason> {
        let map_type = match self.map_type {
            0 => return Err(MapReason::NoType),
            id => MapType::from_id(id).ok_or(MapReason::UnknownType(id))?,
        };
        let max_entries = entries(map_type, self.max_entries);
        // What the type of a record is may be said of a ring, which has no values.
        let value_size = if is_ring(map_type) { 0 } else { self.value_size };
        let mut def = MapDef::new(name, map_type, self.key_size, value_size, max_entries);
        def.flags = self.flags;
        def.extra = self.extra.into();
        if let Some(inner) = self.inner {
            def.inner = Some(Box::new(inner.define(&format!("{name}.inner"))?));
        }
        Ok(def)
    }
}

fn is_ring(map_type: MapType) -> bool {
    matches!(map_type, MapType::RINGBUF | MapType::USER_RINGBUF)
}

/// The number of entries that libbpf asks for: rings are whole pages, a power of two; perf events, one per CPU.
fn entries(map_type: MapType, declared: u32) -> u32 {
    const PAGE: u32 = 4096;
    match map_type {
        _ if is_ring(map_type) && declared > 0 => declared.max(PAGE).checked_next_power_of_two().unwrap_or(declared),
        MapType::PERF_EVENT_ARRAY if declared == 0 => CPUS,
        _ => declared,
    }
}

/// The symbols that name maps of a section, by offset.
pub(super) fn symbols<'a>(elf: &Elf<'a>, section: Section<'a>) -> Result<Vec<Symbol<'a>>, LoadError> {
    let mut symbols: Vec<_> = elf.symbols_in(section).iter().copied().filter(|symbol| symbol.is_object()).collect();
    symbols.sort_by_key(|symbol| symbol.value());
    if symbols.len() > MAPS_MAX { Err(LoadError::TooManyMaps(symbols.len())) } else { Ok(symbols) }
}

/// The map whose declaration was read, checked as the kernel checks it where its type is modelled.
pub(super) fn define(
    elf: &Elf<'_>,
    section: Section<'_>,
    (offset, symbol): (u64, &str),
    numbers: Result<Numbers, MapReason>,
) -> Declared {
    let name = || elf.section(section.number).map_or(String::new(), |section| elf.name(section).into_owned());
    let def = match numbers.and_then(|numbers| numbers.define(symbol)) {
        Err(reason) => Err(LoadError::MapDeclaration { section: name(), offset, symbol: symbol.to_owned(), reason }),
        Ok(def) if def.lack().is_some() => Ok(def),
        Ok(def) => match map::check(&def) {
            Ok(()) => Ok(def),
            Err(error) => Err(LoadError::Map { section: name(), offset, error }),
        },
    };
    Declared { section: section.number, offset, def }
}

/// Variables of the data section `.maps`; where they lie is said by the symbols of the same names. Returns where the
/// initial values of each map begin.
fn with_btf<'a>(
    elf: &Elf<'a>,
    section: Section<'a>,
    btf: Option<&Btf>,
    maps: &mut Vec<Declared>,
) -> Result<Vec<Option<u64>>, LoadError> {
    let fail = |offset, symbol: &str, reason| {
        let section = elf.name(section).into_owned();
        Err(LoadError::MapDeclaration { section, offset, symbol: symbol.to_owned(), reason })
    };
    let mut declared: HashMap<Cow<'_, str>, u32> = HashMap::new();
    let mut order = Vec::new();
    if let Some(btf) = btf {
        for (variable, _) in btf.variables(".maps") {
            let Kind::Var { of, .. } = variable.kind else { continue };
            let name = btf.string(variable.name);
            order.push(name.clone());
            declared.insert(name, of);
        }
    }
    let mut values = Vec::new();
    for symbol in symbols(elf, section)? {
        let (name, offset) = (elf.symbol_name(symbol), symbol.value());
        let Some(btf) = btf else { return fail(offset, &name, MapReason::NoBtf) };
        let Some(of) = declared.remove(&name) else { return fail(offset, &name, MapReason::NoVariable) };
        let numbers = structure(btf, of, true);
        values.push(numbers.as_ref().ok().and_then(|numbers| numbers.values.map(|values| offset + values)));
        maps.push(define(elf, section, (offset, &name), numbers));
    }
    match order.iter().find(|name| declared.contains_key(*name)) {
        Some(name) => fail(0, name, MapReason::NoSymbol),
        None => Ok(values),
    }
}

/// The members of a map's structure. Inner maps (`outer` false) hold no maps.
fn structure(btf: &Btf, of: u32, outer: bool) -> Result<Numbers, MapReason> {
    let Some(Kind::Struct { members, union: false, .. }) = btf.resolve(of) else { return Err(MapReason::NotAStruct) };
    let mut numbers = Numbers::default();
    for member in members {
        let name = btf.string(member.name);
        match &*name {
            "type" => numbers.map_type = number(btf, *member)?,
            "max_entries" => numbers.max_entries = number(btf, *member)?,
            "map_flags" => numbers.flags = number(btf, *member)?,
            "key_size" => agree(&mut numbers.key_size, number(btf, *member)?, &name)?,
            "value_size" => agree(&mut numbers.value_size, number(btf, *member)?, &name)?,
            "key" => agree(&mut numbers.key_size, pointed_size(btf, *member)?, &name)?,
            "value" => agree(&mut numbers.value_size, pointed_size(btf, *member)?, &name)?,
            "map_extra" => numbers.extra = number(btf, *member)?,
            // Where to place and pin it: no part of what programs see of it.
            "numa_node" | "pinning" => {
                number(btf, *member)?;
            }
            "values" if outer => {
                numbers.values = Some(u64::from(member.offset / 8));
                agree(&mut numbers.value_size, 4, &name)?;
                numbers.inner = initial_type(btf, *member, numbers.map_type)?.map(Box::new);
            }
            "values" => return Err(MapReason::InnerOfInner),
            _ => return Err(MapReason::Member { member: name.into_owned(), expected: "no map has such a member" }),
        }
    }
    Ok(numbers)
}

/// `__array(values, type)`: pointers to inner maps, whose definition is returned, or to programs.
fn initial_type(btf: &Btf, member: Member, map_type: u32) -> Result<Option<Numbers>, MapReason> {
    let fail = |expected| Err(MapReason::Member { member: btf.string(member.name).into_owned(), expected });
    let pointed = match btf.resolve(member.of) {
        Some(Kind::Array { element, .. }) => btf.resolve(*element),
        _ => None,
    };
    let Some(Kind::Ptr(to)) = pointed else { return fail("an array of pointers is expected") };
    match MapType::from_id(map_type).map(MapType::name) {
        Some("array_of_maps" | "hash_of_maps") => structure(btf, *to, false).map(Some),
        Some("prog_array") => match btf.resolve(*to) {
            Some(Kind::FuncProto { .. }) => Ok(None),
            _ => fail("pointers to functions are expected"),
        },
        _ => fail("only maps of maps and program arrays have initial values"),
    }
}

/// Sets a size that may be said twice.
fn agree(size: &mut u32, new: u32, member: &str) -> Result<(), MapReason> {
    if *size != 0 && *size != new {
        return Err(MapReason::Contradiction { member: member.to_owned(), first: *size, second: new });
    }
    *size = new;
    Ok(())
}

/// `__uint(name, n)` is a pointer to an array of n elements; `__ulong(name, n)`, an array of an enumeration of n.
fn number(btf: &Btf, member: Member) -> Result<u32, MapReason> {
    match btf.resolve(member.of) {
        Some(Kind::Ptr(to)) => {
            if let Some(Kind::Array { count, .. }) = btf.resolve(*to) {
                return Ok(*count);
            }
        }
        Some(Kind::Array { element, .. }) => {
            if let Some(Kind::Enum { values, .. }) = btf.resolve(*element)
                && let [value] = &values[..]
            {
                // `map_extra` has 64 bits; no other number needs more than 32.
                return Ok(value.value as u32);
            }
        }
        _ => {}
    }
    let member = btf.string(member.name).into_owned();
    Err(MapReason::Member { member, expected: "a pointer to an array, whose length is the number, is expected" })
}

/// `__type(name, type)` is a pointer to the type.
fn pointed_size(btf: &Btf, member: Member) -> Result<u32, MapReason> {
    let size = match btf.resolve(member.of) {
        Some(Kind::Ptr(to)) => btf.size(*to),
        _ => None,
    };
    size.ok_or_else(|| MapReason::Member {
        member: btf.string(member.name).into_owned(),
        expected: "a pointer to a type with a size is expected",
    })
}

/// Relocations in `.maps` fill the arrays of initial values with maps and programs (`bpf_object__collect_map_relos`).
fn initial_values<'a>(
    elf: &Elf<'a>,
    section: Section<'a>,
    functions: &[Function<'a>],
    values: &[Option<u64>],
    maps: &mut [Declared],
    before: usize,
) -> Result<(), LoadError> {
    let starts: Vec<u64> = maps.iter().map(|map| map.offset).collect();
    for relocation in elf.relocations(section)? {
        let offset = relocation.offset;
        let symbol = elf.symbol(relocation.symbol);
        let fail = || LoadError::MapDeclaration {
            section: elf.name(section).into_owned(),
            offset,
            symbol: symbol.map_or(String::new(), |symbol| elf.symbol_name(symbol).into_owned()),
            reason: MapReason::InitialValue,
        };
        let target = symbol.ok_or_else(fail)?;
        let at = starts.partition_point(|start| *start <= offset).checked_sub(1).ok_or_else(fail)?;
        let Ok(def) = &mut maps[at].def else { continue };
        let first = values.get(at).copied().flatten().filter(|first| *first <= offset).ok_or_else(fail)?;
        let index = u32::try_from((offset - first) / 8).map_err(|_| fail())?;
        let place = target.value().wrapping_add_signed(relocation.addend);
        if def.map_type.name() == "prog_array" {
            let program = functions::at(functions, target.section(), place).ok_or_else(fail)?;
            def.contents.push_program(index, functions[program].name.clone().into_owned());
        } else {
            let inner = starts.binary_search(&place).ok().filter(|_| target.section() == section.number);
            def.contents.push_map(index, before + inner.ok_or_else(fail)?);
        }
    }
    Ok(())
}

/// Adds initial values.
pub(super) trait Push {
    fn push_map(&mut self, index: u32, map: usize);
    fn push_program(&mut self, index: u32, function: String);
}

impl Push for Contents {
    fn push_map(&mut self, index: u32, map: usize) {
        match self {
            Contents::Maps(maps) => maps.push((index, map)),
            _ => *self = Contents::Maps(vec![(index, map)]),
        }
    }
    fn push_program(&mut self, index: u32, function: String) {
        match self {
            Contents::Programs(programs) => programs.push((index, function)),
            _ => *self = Contents::Programs(vec![(index, function)]),
        }
    }
}
