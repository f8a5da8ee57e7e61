//! Maps as objects declared them before BTF, in section `maps`: `struct bpf_map_def`, with what two loaders added to it.
//!
//! Definitions begin with five words: type, key size, value size, entries, flags; very old ones lack the flags. Linux's
//! samples then say the inner map's position and a NUMA node, 28 bytes in all; iproute2's `struct bpf_elf_map` an
//! identifier, how to pin, and, with 36 bytes, the identifier of the inner map and the position in the outer one.
//!
//! Both fill program arrays by the names of sections: iproute2 from `ID/INDEX`, the samples from `TYPE/INDEX`.

use std::collections::HashMap;

use super::elf::{Elf, Section};
use super::error::{LoadError, MapReason};
use super::functions::Function;
use super::maps::{Declared, Numbers, Push, define, symbols};
use crate::map::MapDef;

/// Bytes of the shortest definition, and of those of the two loaders.
const SHORTEST: usize = 16;
const SAMPLES: usize = 28;
const IPROUTE2: usize = 36;

/// What a loader's own words say of a map.
#[derive(Clone, Copy)]
struct Extra {
    /// iproute2's identifier; 0 for none.
    id: u32,
    /// Of the samples: the position of the inner map.
    inner_position: Option<u32>,
    /// Of iproute2: the identifier of the inner map.
    inner_id: u32,
    /// Of iproute2: this map's position in the outer map, -1 for none.
    position: i32,
}

/// Adds the maps of the section. Definitions lie at equal distances, one per symbol.
pub(super) fn maps<'a>(
    elf: &Elf<'a>,
    section: Section<'a>,
    functions: &[Function<'a>],
    maps: &mut Vec<Declared>,
) -> Result<(), LoadError> {
    let data = elf.data(section)?;
    let symbols = symbols(elf, section)?;
    if data.is_empty() && symbols.is_empty() {
        return Ok(());
    }
    let stride = data.len().checked_div(symbols.len()).unwrap_or(0);
    let uneven = stride < SHORTEST || stride * symbols.len() != data.len();
    let before = maps.len();
    let mut extras = Vec::new();
    for symbol in &symbols {
        let (name, offset) = (elf.symbol_name(*symbol), symbol.value());
        let bytes = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)?.get(..stride));
        let numbers = match bytes {
            Some(bytes) if !uneven && (offset as usize).is_multiple_of(stride) => {
                extras.push(extra(bytes));
                let size = symbol.size();
                if size != 0 && size != stride as u64 {
                    Err(MapReason::SymbolSize { symbol: size, definition: stride as u64 })
                } else {
                    Ok(numbers(bytes))
                }
            }
            _ => Err(MapReason::Stride { symbols: symbols.len(), bytes: data.len() }),
        };
        maps.push(define(elf, section, (offset, &name), numbers));
    }
    if symbols.is_empty() {
        let reason = MapReason::Stride { symbols: 0, bytes: data.len() };
        let (section, symbol) = (elf.name(section).into_owned(), String::new());
        return Err(LoadError::MapDeclaration { section, offset: 0, symbol, reason });
    }
    // Only where every definition was readable do the extras stand beside the maps.
    if extras.len() == symbols.len() {
        nest(elf, section, &extras, &mut maps[before..], before);
        fill(functions, &extras, &mut maps[before..]);
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.as_chunks::<4>().0.get(at).map_or(0, |word| u32::from_le_bytes(*word))
}

fn numbers(bytes: &[u8]) -> Numbers {
    let [map_type, key_size, value_size, max_entries, flags] = std::array::from_fn(|at| word(bytes, at));
    Numbers { map_type, key_size, value_size, max_entries, flags, ..Numbers::default() }
}

fn extra(bytes: &[u8]) -> Extra {
    let none = Extra { id: 0, inner_position: None, inner_id: 0, position: -1 };
    match bytes.len() {
        SAMPLES => Extra { id: word(bytes, 5), inner_position: Some(word(bytes, 5)), ..none },
        IPROUTE2 => Extra { id: word(bytes, 5), inner_id: word(bytes, 7), position: word(bytes, 8) as i32, ..none },
        _ => none,
    }
}

fn is_of_maps(def: &MapDef) -> bool {
    matches!(def.map_type.name(), "array_of_maps" | "hash_of_maps")
}

/// Gives maps of maps their inner ones.
fn nest<'a>(elf: &Elf<'a>, section: Section<'a>, extras: &[Extra], maps: &mut [Declared], before: usize) {
    for at in 0..maps.len() {
        if !maps[at].def.as_ref().is_ok_and(is_of_maps) {
            continue;
        }
        let inner = match extras[at] {
            Extra { inner_position: Some(position), .. } => Some(position as usize),
            Extra { inner_id: 0, .. } => None,
            Extra { inner_id, .. } => extras.iter().position(|extra| extra.id == inner_id),
        };
        let template = inner.filter(|inner| *inner != at).and_then(|inner| maps.get(inner)?.def.as_ref().ok());
        let template = template.filter(|template| !is_of_maps(template)).cloned();
        let offset = maps[at].offset;
        match (&mut maps[at].def, template) {
            (Ok(def), Some(template)) => {
                def.inner = Some(Box::new(template));
                let inner_id = extras[at].inner_id;
                let held = |extra: &Extra| inner_id != 0 && extra.id == inner_id && extra.position >= 0;
                for (map, extra) in extras.iter().enumerate().filter(|(_, extra)| held(extra)) {
                    def.contents.push_map(extra.position as u32, before + map);
                }
            }
            (def, None) => {
                let symbol = def.as_ref().map_or(String::new(), |def| def.name.clone());
                let (section, reason) = (elf.name(section).into_owned(), MapReason::NoInner);
                *def = Err(LoadError::MapDeclaration { section, offset, symbol, reason });
            }
            (Err(_), Some(_)) => {}
        }
    }
}

/// Fills program arrays by the names of sections.
fn fill(functions: &[Function<'_>], extras: &[Extra], maps: &mut [Declared]) {
    let arrays: Vec<usize> = (0..maps.len())
        .filter(|at| maps[*at].def.as_ref().is_ok_and(|def| def.map_type.name() == "prog_array"))
        .collect();
    let by_id: HashMap<u32, usize> = arrays.iter().map(|at| (extras[*at].id, *at)).collect();
    for function in functions.iter().filter(|function| function.is_program) {
        let Some((before, index)) = function.section_name.rsplit_once('/') else { continue };
        let Ok(index) = index.parse::<u32>() else { continue };
        let array = match before.parse::<u32>() {
            Ok(id) => by_id.get(&id),
            // The samples have one array.
            Err(_) => arrays.last(),
        };
        if let Some(Ok(def)) = array.map(|at| &mut maps[*at].def) {
            def.contents.push_program(index, function.name.clone().into_owned());
        }
    }
}
