//! Verdict and JIT cases of the Linux kernel's self-tests, in the YAML form that a test harness dumped them to.
//!
//! A case holds its program as hexadecimal slots (`bytecode`) with the maps that 64-bit loads refer to (`map_refs`), the
//! verdict, strings of the log, and runs with the 32-bit return value. Without a verdict the program is run unverified.

use std::collections::BTreeMap;
use std::path::Path;

use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::insn::{Insn, Opcode};
use semantics::map::{self, Contents, MapDef, MapType};
use semantics::program_type::ProgramType;
use semantics::world::Input;
use serde::Deserialize;

use super::{Entry, lacking_helper};
use crate::case::{Case, Code, Ending, Expected, Malformed, Run, Verdict};
use crate::error::{ReadError, Reason};
use crate::place::Step;
use crate::read::{Checked, Wrong, yaml};
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
    value_fields: Option<serde::de::IgnoredAny>,
    inner: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    programs: Vec<RawProgram>,
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

/// The version of Linux whose verdicts these are.
const DIALECT: &str = "6.1";

/// Why there is no case: the file is wrong, or something is not modelled.
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
        return Err(Skip::ProgramType(raw.program_type).into());
    };
    if let Some(lack) = load_property(&raw) {
        return Err(Skip::LoadProperty(lack).into());
    }
    let names: Vec<&String> = raw.maps.keys().collect();
    let mut maps = Vec::new();
    let (mut elements, mut targets) = (Vec::new(), Vec::new());
    for (name, raw) in &raw.maps {
        let def = map(name, raw)?;
        for element in &raw.entries {
            elements.push((maps.len(), bytes(&element.key, "maps")?, bytes(&element.value, "maps")?));
        }
        for program in &raw.programs {
            let text = program.asm.replace("map[self]", &format!("map[{name}]"));
            targets.push((target(name, program.index), text));
        }
        maps.push(def);
    }
    let mut code = bytes(&raw.bytecode, "bytecode")?;
    refer(&mut code, &raw.map_refs, &names)?;
    if raw.expect.verdict.is_none() {
        end(&mut code);
    }
    let plain_memory = raw.context.is_some();
    let runs = raw.expect.runs.iter().map(|run| self::run(run, &elements)).collect::<Checked<Vec<Run>>>()?;
    let case = Case {
        name: raw.name,
        story: String::new(),
        program_type: if plain_memory { ProgramType::Xdp } else { program_type },
        license: raw.license,
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
    };
    modelled(&case)?;
    Ok(case)
}

/// Skips what the model lacks.
pub(super) fn modelled(case: &Case) -> Result<(), Skip> {
    match case.program() {
        Ok(program) => lacking_helper(&program).map_or(Ok(()), |name| Err(Skip::Helper(name))),
        Err(Malformed::Decode(error)) => match error.kind {
            semantics::encoding::DecodeErrorKind::Unsupported { what, .. } => Err(Skip::Instruction(what)),
            _ => Ok(()),
        },
        Err(_) => Ok(()),
    }
}

/// Something about the load that has no meaning here. How often states are kept does not change a verdict.
fn load_property(raw: &RawCase) -> Option<String> {
    let flag = raw.load_flags.iter().find(|flag| *flag != "test_state_freq").cloned();
    flag.or_else(|| raw.attach_to.as_ref().map(|_| "attach_to".to_owned()))
        .or_else(|| raw.expected_attach_type.filter(|at| *at != 0).map(|at| format!("expected_attach_type {at}")))
}

fn map(name: &str, raw: &RawMap) -> Result<MapDef, Lack> {
    let map_type = MapType::from_name(&raw.map_type)
        .ok_or_else(|| Wrong::new(Reason::MapType(raw.map_type.clone())).at(Step::Field("maps")))?;
    if !map_type.is_modelled() {
        return Err(Skip::MapType(raw.map_type.clone()).into());
    }
    let properties = [("value_fields", &raw.value_fields), ("inner", &raw.inner)];
    if let Some((property, _)) = properties.into_iter().find(|(_, value)| value.is_some()) {
        return Err(Skip::MapProperty(property.to_owned()).into());
    }
    let mut flags = 0;
    for flag in &raw.map_flags {
        match flag.as_str() {
            "no_prealloc" => flags |= map::NO_PREALLOC,
            other => return Err(Skip::MapProperty(other.to_owned()).into()),
        }
    }
    let held: Vec<(u32, String)> =
        raw.programs.iter().map(|program| (program.index, target(name, program.index))).collect();
    let contents = if held.is_empty() { Contents::Empty } else { Contents::Programs(held) };
    let RawMap { key_size, value_size, max_entries, .. } = *raw;
    Ok(MapDef { flags, contents, ..MapDef::new(name, map_type, key_size, value_size, max_entries) })
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

fn run(raw: &RawRun, elements: &[(usize, Vec<u8>, Vec<u8>)]) -> Checked<Run> {
    let packet = bytes(&raw.packet, "expect")?;
    let result = match raw.returned {
        RawReturn::Number(value) => Some(Ending::Return(value as u32)),
        RawReturn::Word(_) => None,
    };
    Ok(Run {
        input: Input { packet, elements: elements.to_vec(), ..Input::default() },
        expect: Expected { result, ..Expected::default() },
    })
}
