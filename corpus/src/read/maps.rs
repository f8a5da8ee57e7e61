//! Maps as a case file declares them.

use semantics::map::{self, Contents, FLAGS, MapDef, MapError, MapType, ValueField, ValueFieldKind};

use super::{Checked, Wrong, element, field, number, number32};
use crate::error::Reason;
use crate::place::Step;
use crate::raw;
use crate::text;

/// All maps, by index. Maps of maps name others of them, also later ones.
pub(super) fn maps(raw: raw::Pairs<raw::Map>) -> Checked<Vec<MapDef>> {
    let names: Vec<String> = raw.0.iter().map(|(name, _)| name.clone()).collect();
    let mut defs: Vec<MapDef> = Vec::with_capacity(raw.0.len());
    for (at, (name, raw)) in raw.0.into_iter().enumerate() {
        if name.is_empty() {
            return Err(Wrong::new(Reason::EmptyName).at(Step::Key(at)));
        }
        if defs.iter().any(|def| def.name == name) {
            return Err(Wrong::new(Reason::Duplicate(name)).at(Step::Key(at)));
        }
        let def = map(name, raw, &names).map_err(|wrong| wrong.at(Step::Nth(at)))?;
        // What is not modelled is a handle: using it is what is unsupported.
        match map::check(&def) {
            Ok(()) | Err(MapError::Unsupported { .. }) => {}
            Err(error) => return Err(Wrong::new(error).at(Step::Nth(at))),
        }
        defs.push(def);
    }
    Ok(defs)
}

fn map(name: String, raw: raw::Map, names: &[String]) -> Checked<MapDef> {
    let map_type =
        MapType::from_name(&raw.of).ok_or_else(|| Wrong::new(Reason::MapType(raw.of)).at(Step::Field("type")))?;
    let key_size = field("key_size", Some(raw.key_size), 0, number32)?;
    let value_size = field("value_size", Some(raw.value_size), 0, number32)?;
    let max_entries = field("max_entries", Some(raw.max_entries), 0, number32)?;
    let mut def = MapDef::new(name, map_type, key_size, value_size, max_entries);
    def.flags = field("flags", raw.flags, 0, flags)?;
    def.extra = field("extra", raw.extra, 0, number)?;
    def.fields = field("fields", raw.fields, Vec::new(), |raw| fields(raw, value_size))?;
    def.inner = field("inner", raw.inner, None, |raw| {
        let inner = map(format!("{}.inner", def.name), *raw, &[])?;
        Ok(Some(Box::new(inner)))
    })?;
    def.frozen = raw.frozen;
    let elements = field("elements", raw.elements, None, |raw| elements(raw, &def).map(Some))?;
    let maps = field("maps", raw.maps, None, |raw| held(raw, names).map(Some))?;
    let programs = field("programs", raw.programs, None, |raw| programs(raw).map(Some))?;
    let mut given = [elements, maps, programs].into_iter().flatten();
    if let Some(contents) = given.next() {
        def.contents = contents;
    }
    if given.next().is_some() { Err(Wrong::new(Reason::Contents)) } else { Ok(def) }
}

/// A number, or names of flags.
fn flags(raw: raw::Strings) -> Checked<u32> {
    if let [text] = &raw.0[..]
        && text::number(text).is_some()
    {
        return number32(text.clone());
    }
    raw.0.into_iter().try_fold(0, |flags, name| match FLAGS.iter().find(|(of, _)| *of == name) {
        Some((_, flag)) => Ok(flags | flag),
        None => Err(Wrong::new(Reason::MapFlag(name))),
    })
}

/// Members of values, sorted.
fn fields(raw: Vec<raw::Field>, value_size: u32) -> Checked<Vec<ValueField>> {
    let read = |(at, raw)| value_field(raw, value_size).map_err(|wrong| wrong.at(Step::Nth(at)));
    let mut fields = raw.into_iter().enumerate().map(read).collect::<Checked<Vec<ValueField>>>()?;
    fields.sort_by_key(|field| field.offset);
    Ok(fields)
}

fn value_field(raw: raw::Field, value_size: u32) -> Checked<ValueField> {
    let Some(kind) = ValueFieldKind::from_name(&raw.kind) else {
        return Err(Wrong::new(Reason::ValueField(raw.kind)).at(Step::Field("kind")));
    };
    let offset = field("offset", Some(raw.offset), 0, number32)?;
    place(kind, offset, value_size).map_err(|wrong| wrong.at(Step::Field("offset")))?;
    if raw.of.is_some() != kind.is_pointer() {
        return Err(Wrong::new(Reason::FieldOf));
    }
    Ok(ValueField { kind, offset, of: raw.of })
}

/// Whether a member may lie there.
pub(crate) fn place(kind: ValueFieldKind, offset: u32, value_size: u32) -> Checked<()> {
    let (len, align) = kind.layout();
    let fits = offset.is_multiple_of(align) && offset.checked_add(len).is_some_and(|end| end <= value_size);
    let reason = || Reason::FieldPlace { kind: kind.name(), len, align, offset, value_size };
    if fits { Ok(()) } else { Err(Wrong::new(reason())) }
}

fn elements(raw: Vec<raw::Element>, def: &MapDef) -> Checked<Contents> {
    let read =
        |(at, raw)| element(def, (def.key_size, def.value_size), &raw).map_err(|wrong: Wrong| wrong.at(Step::Nth(at)));
    raw.into_iter().enumerate().map(read).collect::<Checked<_>>().map(Contents::Elements)
}

/// What a map of maps holds, by index.
fn held(raw: raw::Pairs<String>, names: &[String]) -> Checked<Contents> {
    let find = |(at, (index, name)): (usize, (u32, String))| match names.iter().position(|other| *other == name) {
        Some(map) => Ok((index, map)),
        None => Err(Wrong::new(Reason::UnknownMap(name)).at(Step::Nth(at))),
    };
    indexed(raw)?.into_iter().enumerate().map(find).collect::<Checked<_>>().map(Contents::Maps)
}

/// What a program array holds from the start, by index.
fn programs(raw: raw::Pairs<String>) -> Checked<Contents> {
    indexed(raw).map(Contents::Programs)
}

/// Names by index, each index once.
fn indexed(raw: raw::Pairs<String>) -> Checked<Vec<(u32, String)>> {
    let mut all: Vec<(u32, String)> = Vec::with_capacity(raw.0.len());
    for (at, (index, name)) in raw.0.into_iter().enumerate() {
        let number = number32(index.clone()).map_err(|wrong| wrong.at(Step::Key(at)))?;
        if all.iter().any(|(other, _)| *other == number) {
            return Err(Wrong::new(Reason::Duplicate(index)).at(Step::Key(at)));
        }
        all.push((number, name));
    }
    Ok(all)
}
