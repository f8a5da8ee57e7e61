//! Verdict and JIT cases of the Linux kernel's self-tests, in the YAML form that a test harness dumped them to.
//!
//! A case holds its program as hexadecimal slots (`bytecode`) with the maps that 64-bit loads refer to (`map_refs`), the
//! verdict, strings of the log, and runs with the 32-bit return value. Without a verdict the program is run unverified.

use std::collections::BTreeMap;
use std::path::Path;

use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::insn::{Insn, Opcode};
use semantics::map::{Contents, FLAGS, MapDef, MapType, ValueField, ValueFieldKind};
use semantics::program_type::{AttachType, ProgramType};
use semantics::world::Input;
use serde::Deserialize;

use super::Entry;
use crate::case::{Case, Code, Ending, Expected, Load, Run, Verdict};
use crate::error::{ReadError, Reason};
use crate::place::Step;
use crate::read::{Checked, Wrong, place_field, yaml};
use crate::runner::Skip;
use crate::text;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    program_type: String,
    expected_attach_type: Option<u32>,
    #[serde(default)]
    license: String,
    #[serde(default)]
    load_flags: Vec<String>,
    attach_to: Option<String>,
    #[serde(default)]
    maps: BTreeMap<String, RawMap>,
    #[serde(default)]
    map_refs: BTreeMap<usize, String>,
    context: Option<String>,
    bytecode: String,
    expect: RawExpect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMap {
    #[serde(rename = "type")]
    map_type: String,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    #[serde(default)]
    map_flags: Vec<String>,
    #[serde(default)]
    entries: Vec<RawElement>,
    map_extra: Option<u64>,
    #[serde(default)]
    value_fields: Vec<RawField>,
    inner: Option<Box<RawMap>>,
    #[serde(default)]
    programs: Vec<RawProgram>,
}

/// A member of values that the kernel manages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    kind: String,
    offset: u32,
    /// The structure that a pointer points to.
    #[serde(alias = "type", alias = "struct", alias = "target")]
    of: Option<String>,
}

/// A program in a program array.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProgram {
    index: u32,
    /// `map[self]` is the array.
    asm: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawElement {
    key: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    verdict: Option<RawVerdict>,
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    runs: Vec<RawRun>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawVerdict {
    Accept,
    Reject,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRun {
    packet: String,
    #[serde(rename = "return")]
    returned: RawReturn,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawReturn {
    Number(i64),
    /// `pointer`: some address, not compared.
    #[allow(dead_code)]
    Word(String),
}

/// The structure that pointers in values point to where nothing else is said: one of the kernel's own tests.
const POINTED: &str = "prog_test_ref_kfunc";
/// The version of Linux whose verdicts these are.
const DIALECT: &str = "6.1";

/// Why there is no case: the file is wrong, or says what is not known.
enum Lack {
    Wrong(Wrong),
    Skip(Skip),
}

impl From<Wrong> for Lack {
    fn from(wrong: Wrong) -> Lack {
        Lack::Wrong(wrong)
    }
}

impl From<Skip> for Lack {
    fn from(skip: Skip) -> Lack {
        Lack::Skip(skip)
    }
}

/// Reads the cases of a text.
pub fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, ReadError> {
    let raw: Vec<RawCase> = serde_yaml::from_str(text).map_err(|error| yaml(file, error))?;
    raw.into_iter()
        .enumerate()
        .map(|(at, raw)| {
            let name = raw.name.clone();
            let dialect = Some(DIALECT);
            match case(raw) {
                Ok(case) => Ok(Entry { name, dialect, case: Ok(case) }),
                Err(Lack::Skip(skip)) => Ok(Entry { name, dialect, case: Err(skip) }),
                Err(Lack::Wrong(wrong)) => Err(wrong.at(Step::Nth(at)).located(text, file, &name)),
            }
        })
        .collect()
}

fn case(raw: RawCase) -> Result<Case, Lack> {
    let Some(program_type) = ProgramType::from_name(&raw.program_type) else {
        return Err(Skip::Unknown { what: "program type", name: raw.program_type }.into());
    };
    let load = load(&raw)?;
    let names: Vec<&String> = raw.maps.keys().collect();
    let maps = raw.maps.iter().map(|(name, raw)| map(name, raw)).collect::<Result<Vec<MapDef>, Lack>>()?;
    let mut targets = Vec::new();
    for (name, raw) in &raw.maps {
        for program in &raw.programs {
            let text = program.asm.replace("map[self]", &format!("map[{name}]"));
            targets.push((target(name, program.index), text));
        }
    }
    let mut code = bytes(&raw.bytecode, "bytecode")?;
    refer(&mut code, &raw.map_refs, &names)?;
    if raw.expect.verdict.is_none() {
        end(&mut code);
    }
    let plain_memory = raw.context.is_some();
    let runs = raw.expect.runs.iter().map(run).collect::<Checked<Vec<Run>>>()?;
    Ok(Case {
        name: raw.name,
        story: String::new(),
        program_type: if plain_memory { ProgramType::Xdp } else { program_type },
        license: raw.license,
        load,
        maps,
        code: Code::Slots(if plain_memory { super::conformance::with_memory(&code) } else { code }),
        targets,
        verdict: match raw.expect.verdict {
            None => Verdict::Any,
            Some(RawVerdict::Accept) => Verdict::Accept,
            Some(RawVerdict::Reject) => Verdict::Reject,
        },
        message: raw.expect.message,
        runs,
        finding: None,
    })
}

/// What is said at the load. Attach type 0 is what a program has that names none.
fn load(raw: &RawCase) -> Result<Load, Skip> {
    let mut load = Load { attach_to: raw.attach_to.clone(), ..Load::default() };
    if let Some(number) = raw.expected_attach_type.filter(|number| *number != 0) {
        let unknown = || Skip::Unknown { what: "attach type", name: number.to_string() };
        load.attach_type = Some(AttachType::from_id(number).ok_or_else(unknown)?);
    }
    for flag in &raw.load_flags {
        match flag.as_str() {
            "strict_alignment" => load.strict_alignment = true,
            "test_state_freq" => load.test_state_freq = true,
            "sleepable" => load.sleepable = true,
            // So it is without strict_alignment.
            "any_alignment" => {}
            other => return Err(Skip::Unknown { what: "load flag", name: other.to_owned() }),
        }
    }
    Ok(load)
}

fn map(name: &str, raw: &RawMap) -> Result<MapDef, Lack> {
    let unknown = |what, name: &str| Skip::Unknown { what, name: name.to_owned() };
    let map_type = MapType::from_name(&raw.map_type).ok_or_else(|| unknown("map type", &raw.map_type))?;
    let RawMap { key_size, value_size, max_entries, .. } = *raw;
    let mut def = MapDef::new(name, map_type, key_size, value_size, max_entries);
    for flag in &raw.map_flags {
        let (_, flag) = FLAGS.iter().find(|(of, _)| of == flag).ok_or_else(|| unknown("map flag", flag))?;
        def.flags |= flag;
    }
    def.extra = raw.map_extra.unwrap_or(0);
    for field in &raw.value_fields {
        let kind = field_kind(&field.kind).ok_or_else(|| unknown("value field", &field.kind))?;
        place_field(kind, field.offset, value_size).map_err(|wrong| wrong.at(Step::Field("maps")))?;
        let of = field.of.clone().or_else(|| kind.is_pointer().then(|| POINTED.to_owned()));
        def.fields.push(ValueField { kind, offset: field.offset, of });
    }
    def.fields.sort_by_key(|field| field.offset);
    if let Some(inner) = &raw.inner {
        def.inner = Some(Box::new(map(&format!("{name}.inner"), inner)?));
    }
    def.contents = contents(name, raw)?;
    Ok(def)
}

fn contents(name: &str, raw: &RawMap) -> Checked<Contents> {
    if !raw.programs.is_empty() {
        let held = |program: &RawProgram| (program.index, target(name, program.index));
        return Ok(Contents::Programs(raw.programs.iter().map(held).collect()));
    }
    if raw.entries.is_empty() {
        return Ok(Contents::Empty);
    }
    let element = |raw: &RawElement| Ok((bytes(&raw.key, "maps")?, bytes(&raw.value, "maps")?));
    raw.entries.iter().map(element).collect::<Checked<_>>().map(Contents::Elements)
}

/// A member of values in the words of Linux 6.1, where a pointer without a reference is a plain `kptr`.
fn field_kind(name: &str) -> Option<ValueFieldKind> {
    match name {
        "kptr" | "kptr_unref" => Some(ValueFieldKind::KptrUntrusted),
        "kptr_ref" => Some(ValueFieldKind::Kptr),
        other => ValueFieldKind::from_name(other),
    }
}

/// What the program under an index of a program array is called.
fn target(map: &str, index: u32) -> String {
    format!("{map}[{index}]")
}

fn bytes(text: &str, field: &'static str) -> Checked<Vec<u8>> {
    text::bytes(text).map_err(|error| Wrong::new(error).at(Step::Field(field)))
}

/// Writes the index of its map into each 64-bit load of `refs`.
fn refer(code: &mut [u8], refs: &BTreeMap<usize, String>, names: &[&String]) -> Checked<()> {
    for (at, name) in refs {
        let fail = |reason| Wrong::new(reason).at(Step::Field("map_refs"));
        let index =
            names.iter().position(|other| *other == name).ok_or_else(|| fail(Reason::UnknownMap(name.clone())))?;
        let (slots, _) = code.as_chunks_mut::<SLOT_LEN>();
        let slots_len = slots.len();
        let bytes = slots.get_mut(*at).ok_or_else(|| fail(Reason::Slots(slots_len * SLOT_LEN)))?;
        let slot = Slot::from_bytes(*bytes);
        *bytes = Slot { imm: index as i32, ..slot }.to_bytes();
    }
    Ok(())
}

/// Ends a program that nobody verifies with an exit, so that control cannot run off it.
fn end(code: &mut Vec<u8>) {
    let exit = encoding::encode(&[Insn::new(Opcode::Exit)]);
    if !code.ends_with(&exit) {
        code.extend(exit);
    }
}

fn run(raw: &RawRun) -> Checked<Run> {
    let packet = bytes(&raw.packet, "expect")?;
    let result = match raw.returned {
        RawReturn::Number(value) => Some(Ending::Return(value as u32)),
        RawReturn::Word(_) => None,
    };
    Ok(Run { input: Input::in_one_piece(packet), expect: Expected { result, ..Expected::default() } })
}
