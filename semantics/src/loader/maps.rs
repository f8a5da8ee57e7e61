//! Maps as objects declare them: `struct bpf_map_def` in section `maps`, and BTF in section `.maps`.

use super::btf::{Btf, Member, Type};
use super::elf::{Object, Section, Symbol};
use super::error::{LoadError, MapReason};
use crate::map::{self, MapDef, MapType};

/// A map of an object, and where it is declared.
pub(super) struct Declared {
    /// Number of the section.
    pub(super) section: usize,
    /// Bytes from its start.
    pub(super) offset: u64,
    /// What it declares, or why that is no map.
    pub(super) def: Result<MapDef, LoadError>,
}

/// All maps of an object, in the order of sections and offsets.
pub(super) fn declared(object: &Object<'_>, btf: Option<&Btf<'_>>) -> Result<Vec<Declared>, LoadError> {
    let mut maps = Vec::new();
    if let Some(section) = object.section_named("maps") {
        legacy(object, section, &mut maps)?;
    }
    if let Some(section) = object.section_named(".maps") {
        with_btf(object, section, btf, &mut maps)?;
    }
    maps.sort_by_key(|map: &Declared| (map.section, map.offset));
    Ok(maps)
}

/// The numbers of a declaration; absent ones are 0.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

impl Numbers {
    fn define(self, name: &str) -> Result<MapDef, MapReason> {
        let Numbers { map_type, key_size, value_size, max_entries, flags } = self;
        let map_type = match map_type {
            0 => return Err(MapReason::NoType),
            id => MapType::from_id(id).ok_or(MapReason::UnknownType(id))?,
        };
        Ok(MapDef { flags, ..MapDef::new(name, map_type, key_size, value_size, max_entries) })
    }
}

/// The symbols that name maps of a section.
fn symbols<'a>(object: &Object<'a>, section: Section<'a>) -> Vec<Symbol<'a>> {
    object.symbols_in(section).iter().copied().filter(|symbol| symbol.is_object()).collect()
}

/// Adds a map whose declaration was read, checked as the kernel checks it.
fn add(
    object: &Object<'_>,
    section: Section<'_>,
    (offset, symbol): (u64, &str),
    numbers: Result<Numbers, MapReason>,
    maps: &mut Vec<Declared>,
) {
    let name =
        |object: &Object<'_>| object.section(section.number).map_or(String::new(), |s| object.name(s).into_owned());
    let def = match numbers.and_then(|numbers| numbers.define(symbol)) {
        Err(reason) => {
            Err(LoadError::MapDeclaration { section: name(object), offset, symbol: symbol.to_owned(), reason })
        }
        Ok(def) => match map::check(&def) {
            Ok(()) => Ok(def),
            Err(error) => Err(LoadError::Map { section: name(object), offset, error }),
        },
    };
    maps.push(Declared { section: section.number, offset, def });
}

/// `struct bpf_map_def`: five words, the last of which old objects lack, and what other loaders add behind them, which says
/// how to pin and place a map and is ignored. Definitions lie at equal distances, one per symbol.
fn legacy<'a>(object: &Object<'a>, section: Section<'a>, maps: &mut Vec<Declared>) -> Result<(), LoadError> {
    let data = object.data(section)?;
    let symbols = symbols(object, section);
    if data.is_empty() && symbols.is_empty() {
        return Ok(());
    }
    let stride = data.len().checked_div(symbols.len()).unwrap_or(0);
    let uneven = stride < 16 || stride * symbols.len() != data.len();
    for symbol in &symbols {
        let (name, offset) = (object.symbol_name(*symbol), symbol.value());
        let words = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)?.get(..stride));
        let numbers = match words {
            Some(words) if !uneven && (offset as usize).is_multiple_of(stride) => {
                let size = symbol.size();
                if size != 0 && size != stride as u64 {
                    Err(MapReason::SymbolSize { symbol: size, definition: stride as u64 })
                } else {
                    Ok(numbers(words))
                }
            }
            _ => Err(MapReason::Stride { symbols: symbols.len(), bytes: data.len() }),
        };
        add(object, section, (offset, &name), numbers, maps);
    }
    if symbols.is_empty() {
        let reason = MapReason::Stride { symbols: 0, bytes: data.len() };
        let (section, symbol) = (object.name(section).into_owned(), String::new());
        return Err(LoadError::MapDeclaration { section, offset: 0, symbol, reason });
    }
    Ok(())
}

fn numbers(words: &[u8]) -> Numbers {
    let (words, _) = words.as_chunks::<4>();
    let word = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word));
    Numbers { map_type: word(0), key_size: word(1), value_size: word(2), max_entries: word(3), flags: word(4) }
}

/// Variables of the data section `.maps`; where they lie is said by the symbols of the same names.
fn with_btf<'a>(
    object: &Object<'a>,
    section: Section<'a>,
    btf: Option<&Btf<'_>>,
    maps: &mut Vec<Declared>,
) -> Result<(), LoadError> {
    let fail = |offset, symbol: &str, reason| {
        let section = object.name(section).into_owned();
        Err(LoadError::MapDeclaration { section, offset, symbol: symbol.to_owned(), reason })
    };
    let variables = btf.map_or(Vec::new(), |btf| btf.variables(".maps"));
    let mut declared = std::collections::HashMap::new();
    declared.extend(variables.iter().map(|(name, of)| (name.clone(), *of)));
    for symbol in symbols(object, section) {
        let (name, offset) = (object.symbol_name(symbol), symbol.value());
        let Some(btf) = btf else { return fail(offset, &name, MapReason::NoBtf) };
        let Some(of) = declared.remove(&name) else { return fail(offset, &name, MapReason::NoVariable) };
        add(object, section, (offset, &name), structure(btf, of), maps);
    }
    match variables.iter().find(|(name, _)| declared.contains_key(name)) {
        Some((name, _)) => fail(0, name, MapReason::NoSymbol),
        None => Ok(()),
    }
}

/// The members of a map's structure (libbpf's `parse_btf_map_def`).
fn structure(btf: &Btf<'_>, of: u32) -> Result<Numbers, MapReason> {
    let Some(Type::Struct { members, .. }) = btf.resolve(of) else { return Err(MapReason::NotAStruct) };
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
            // Where to place and pin it: no part of what it means.
            "numa_node" | "pinning" | "map_extra" => {
                number(btf, *member)?;
            }
            "values" => return Err(MapReason::Inner),
            _ => return Err(MapReason::Member { member: name.into_owned(), expected: "no map has such a member" }),
        }
    }
    Ok(numbers)
}

/// Sets a size that may be said twice.
fn agree(size: &mut u32, new: u32, member: &str) -> Result<(), MapReason> {
    if *size != 0 && *size != new {
        return Err(MapReason::Contradiction { member: member.to_owned(), first: *size, second: new });
    }
    *size = new;
    Ok(())
}

/// `__uint(name, n)` is a pointer to an array of n elements.
fn number(btf: &Btf<'_>, member: Member) -> Result<u32, MapReason> {
    if let Some(Type::Pointer(to)) = btf.resolve(member.of)
        && let Some(Type::Array { count, .. }) = btf.resolve(*to)
    {
        return Ok(*count);
    }
    let member = btf.string(member.name).into_owned();
    Err(MapReason::Member { member, expected: "a pointer to an array, whose length is the number, is expected" })
}

/// `__type(name, type)` is a pointer to the type.
fn pointed_size(btf: &Btf<'_>, member: Member) -> Result<u32, MapReason> {
    let size = match btf.resolve(member.of) {
        Some(Type::Pointer(to)) => btf.size(*to),
        _ => None,
    };
    size.ok_or_else(|| MapReason::Member {
        member: btf.string(member.name).into_owned(),
        expected: "a pointer to a type with a size is expected",
    })
}
