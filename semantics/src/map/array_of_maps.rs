//! `BPF_MAP_TYPE_ARRAY_OF_MAPS`: maps under indices (`kernel/bpf/arraymap.c`, `kernel/bpf/map_in_map.c`).
//!
//! A program gets the handle of the inner map and passes it on as any map. Only user space puts maps in.

use super::held::{FdArray, Held, Kind};
use super::{Errno, INNER_MAP, MapDef, MapError, MapType, held, refuse};

/// `array_of_map_alloc`: as all arrays of objects; and what its maps look like.
pub(super) fn check(def: &MapDef) -> Result<(), MapError> {
    held::check(def)?;
    check_inner(def)
}

/// `bpf_map_meta_alloc`: the inner map is no map of maps, and of a type that can be one (ENOTSUPP).
pub(super) fn check_inner(def: &MapDef) -> Result<(), MapError> {
    // Without one it has no meaning here.
    let Some(inner) = &def.inner else { return Ok(()) };
    if inner.inner.is_some() || inner.is_of_maps() {
        return refuse(def, Errno::Einval, "a map of maps does not hold maps of maps");
    }
    let types = [MapType::PROG_ARRAY, MapType::CGROUP_STORAGE, MapType::PERCPU_CGROUP_STORAGE, MapType::STRUCT_OPS];
    if types.contains(&inner.map_type) {
        return refuse(def, Errno::Enotsupp, "a map of this type is no inner map");
    }
    super::check_creation(inner)
}

/// Which of the program's maps look as a map of maps says (`bpf_map_meta_equal` and that of the type).
pub(super) fn fit(def: &MapDef, all: &[MapDef]) -> Vec<bool> {
    let is_alike = |inner: &MapDef, map: &MapDef| {
        let has_entries =
            inner.map_type == MapType::XSKMAP || inner.map_type == MapType::ARRAY && inner.flags & INNER_MAP == 0;
        (inner.map_type, inner.key_size, inner.value_size, inner.flags)
            == (map.map_type, map.key_size, map.value_size, map.flags)
            && inner.fields == map.fields
            && (!has_entries || inner.max_entries == map.max_entries)
    };
    all.iter().map(|map| def.inner.as_deref().is_some_and(|inner| is_alike(inner, map))).collect()
}

/// The map with this number, if there is one (EBADF) and it looks as it must (EINVAL).
pub(super) fn fitting(fit: &[bool], number: u32) -> Result<Held, Errno> {
    match fit.get(number as usize) {
        None => Err(Errno::Ebadf),
        Some(false) => Err(Errno::Einval),
        Some(true) => Ok(Held::Map(number)),
    }
}

pub(super) fn create(def: &MapDef, all: &[MapDef]) -> FdArray {
    FdArray::create(def, Kind::Map(fit(def, all)))
}
