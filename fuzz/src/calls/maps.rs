//! Maps of generated programs: small, one shape per type.

use semantics::helper::Helper;
use semantics::map::{Contents, MapDef, MapType, NO_PREALLOC, RDONLY_PROG, ValueField, ValueFieldKind};
use semantics::program_type::ProgramType;
use verifier::takes_map;

use crate::dice::Dice;

/// Bytes of the value that holds data: arguments are drawn from it, results go into it.
pub(super) const DATA_LEN: u32 = 64;

/// Global data.
pub(super) fn data() -> MapDef {
    MapDef::new("data", MapType::ARRAY, 4, DATA_LEN, 1)
}

/// Read-only text: formats and names, each of [`TEXT_LEN`] bytes.
pub(super) fn texts() -> MapDef {
    let bytes = TEXTS.iter().flat_map(|text| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(TEXT_LEN, 0);
        bytes
    });
    MapDef {
        flags: RDONLY_PROG,
        contents: Contents::Bytes(bytes.collect()),
        frozen: true,
        ..MapDef::new("texts", MapType::ARRAY, 4, (TEXTS.len() * TEXT_LEN) as u32, 1)
    }
}

/// Bytes of a text, with its NUL.
pub(super) const TEXT_LEN: usize = 24;
/// Texts that helpers take: formats, numbers, a name.
pub(super) const TEXTS: [&str; 12] = [
    "",
    "%d",
    "%llx %c",
    "no argument",
    "%5u|",
    "%%%x",
    "%pi4",
    "bpf_prog_run",
    "-42",
    " 0x7fffffff",
    "99999999999999999999",
    "017z",
];

/// A map whose values hold a lock or a timer.
pub(super) fn holding(kind: ValueFieldKind, dice: &mut Dice) -> MapDef {
    let (name, map_type) = match kind {
        ValueFieldKind::Timer => ("timers", dice.pick(&[MapType::ARRAY, MapType::HASH])),
        _ => ("locked", dice.pick(&[MapType::ARRAY, MapType::HASH])),
    };
    let field = ValueField { kind, offset: 0, of: None };
    MapDef { fields: vec![field], ..MapDef::new(name, map_type, 4, 24, 2) }
}

/// A map that the helper takes, if a modelled type is among those.
pub(super) fn taken_by(helper: &Helper, program_type: ProgramType, dice: &mut Dice) -> Option<MapDef> {
    let types: Vec<MapType> =
        MapType::MODELLED.iter().copied().filter(|of| is_taken(helper, program_type, *of) && has_shape(*of)).collect();
    if types.is_empty() { None } else { shape(dice.pick(&types), dice) }
}

/// Whether the helper takes maps of this type in programs of that one.
pub(super) fn is_taken(helper: &Helper, program_type: ProgramType, of: MapType) -> bool {
    use MapType as M;
    const WALKED: [MapType; 6] = [M::ARRAY, M::PERCPU_ARRAY, M::HASH, M::PERCPU_HASH, M::LRU_HASH, M::LRU_PERCPU_HASH];
    let in_sleepable = WALKED.contains(&of) || matches!(of, M::RINGBUF | M::USER_RINGBUF);
    takes_map(helper.id, of)
        && (helper.id != FOR_EACH || WALKED.contains(&of))
        && (program_type != ProgramType::Syscall || in_sleepable)
}

const FOR_EACH: u32 = semantics::helper::id("for_each_map_elem");

fn has_shape(of: MapType) -> bool {
    shape(of, &mut Dice::new(0, 0)).is_some()
}

/// The shape of a map of this type.
fn shape(of: MapType, dice: &mut Dice) -> Option<MapDef> {
    let name = of.name();
    let def = |key, value, entries| MapDef::new(name, of, key, value, entries);
    Some(match of {
        MapType::ARRAY | MapType::PERCPU_ARRAY => def(4, dice.pick(&[8, 16]), dice.pick(&[1, 2, 4])),
        MapType::HASH | MapType::PERCPU_HASH => MapDef {
            flags: dice.pick(&[0, 0, NO_PREALLOC]),
            ..def(dice.pick(&[4, 8]), dice.pick(&[8, 16]), dice.pick(&[1, 2, 4]))
        },
        MapType::LRU_HASH | MapType::LRU_PERCPU_HASH => def(4, 8, dice.pick(&[2, 4])),
        MapType::LPM_TRIE => MapDef { flags: NO_PREALLOC, ..def(8, 8, 4) },
        MapType::QUEUE | MapType::STACK => def(0, 8, dice.pick(&[1, 2, 3])),
        MapType::BLOOM_FILTER => def(0, 8, 4),
        MapType::RINGBUF | MapType::USER_RINGBUF => def(0, 0, 4096),
        MapType::PERF_EVENT_ARRAY | MapType::CGROUP_ARRAY | MapType::PROG_ARRAY => def(4, 4, 2),
        MapType::DEVMAP | MapType::DEVMAP_HASH | MapType::CPUMAP | MapType::XSKMAP => def(4, 4, 4),
        _ => return None,
    })
}

/// Whether elements are put into it before a run.
pub(super) fn is_filled(map: &MapDef) -> bool {
    let plain = [MapType::ARRAY, MapType::HASH, MapType::LRU_HASH];
    plain.contains(&map.map_type) && !map.is_read_only() && map.fields.is_empty()
}
