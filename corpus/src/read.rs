//! Reading case files.
//!
//! ```
//! let cases = corpus::read::parse("- {name: one, asm: r0 = 1; exit, result: 1}", "doc.yaml".as_ref())?;
//! assert_eq!(cases[0].name, "one");
//! let error = corpus::read::parse("- name: one\n  asm: |\n    r0 = 1\n    exot\n", "doc.yaml".as_ref()).unwrap_err();
//! assert!(error.to_string().starts_with("doc.yaml:4:5: case `one`: "), "{error}");
//! # Ok::<(), corpus::error::ReadError>(())
//! ```

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use semantics::map::{Contents, MapDef, MapType};
use semantics::memory::layout;
use semantics::program_type::{AttachType, ProgramType};
use semantics::world::{Input, Room};

use crate::case::{Case, Code, Element, Ending, Expected, FindingNote, Load, MAIN, Malformed, Object, Run, Shown};
use crate::error::{ReadError, Reason, YamlError};
use crate::place::{self, Step};
use crate::raw;
use crate::text;
use maps::maps;

mod maps;

pub(crate) use maps::place as place_field;

/// Case files (`.yaml`, and `.data` of other suites) at or below a path, in a fixed order. A file that is named is one
/// whatever its name.
pub fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: std::io::Result<Vec<PathBuf>> = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let is_case = entry.extension().is_some_and(|extension| extension == "yaml" || extension == "data");
        if entry.is_dir() || is_case {
            files.extend(self::files(&entry)?);
        }
    }
    Ok(files)
}

/// Reads the cases of a file.
pub fn read(file: &Path) -> Result<Vec<Case>, ReadError> {
    parse(&read_text(file)?, file)
}

/// Reads a file as text.
pub(crate) fn read_text(file: &Path) -> Result<String, ReadError> {
    let whole = |reason| ReadError { file: file.to_owned(), line: 0, column: 0, case: None, reason: Box::new(reason) };
    let bytes = std::fs::read(file).map_err(|error| whole(error.into()))?;
    String::from_utf8(bytes).map_err(|error| whole(Reason::NotUtf8(error.utf8_error().valid_up_to())))
}

/// Reads the cases of a text; `file` is where it comes from, for messages and for objects beside it.
pub fn parse(text: &str, file: &Path) -> Result<Vec<Case>, ReadError> {
    let raw: Vec<raw::Case> = serde_yaml::from_str(text).map_err(|error| yaml(file, error))?;
    let names: Vec<String> = raw.iter().map(|case| case.name.clone()).collect();
    let mut seen = HashSet::new();
    raw.into_iter()
        .enumerate()
        .map(|(at, raw)| {
            let duplicate = !seen.insert(raw.name.clone());
            let case =
                if duplicate { Err(Wrong::new(Reason::Duplicate(raw.name)).at(FIELD_NAME)) } else { case(raw, file) };
            case.map_err(|wrong| wrong.at(Step::Nth(at)).located(text, file, &names[at]))
        })
        .collect()
}

const FIELD_NAME: Step = Step::Field("name");

/// What the YAML reader refuses.
pub(crate) fn yaml(file: &Path, error: serde_yaml::Error) -> ReadError {
    let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
    ReadError { file: file.to_owned(), line, column, case: None, reason: Box::new(Reason::Yaml(YamlError(error))) }
}

/// A reason on its way up to whoever knows the text.
pub(crate) struct Wrong {
    /// From the innermost step outwards.
    path: Vec<Step>,
    /// Lines and columns from the start of the scalar at the end of the path, from 0.
    inside: Option<(usize, usize)>,
    reason: Box<Reason>,
}

pub(crate) type Checked<T> = Result<T, Wrong>;

impl Wrong {
    pub(crate) fn new(reason: impl Into<Reason>) -> Wrong {
        Wrong { path: Vec::new(), inside: None, reason: Box::new(reason.into()) }
    }
    pub(crate) fn at(mut self, step: Step) -> Wrong {
        self.path.push(step);
        self
    }
    pub(crate) fn located(mut self, text: &str, file: &Path, case: &str) -> ReadError {
        self.path.reverse();
        let (mut line, mut column) = place::find(text, &self.path).unwrap_or((0, 0));
        if let Some((down, right)) = self.inside {
            (line, column) = inside(text, (line, column), down, right);
        }
        let case = (!case.is_empty()).then(|| case.to_owned());
        ReadError { file: file.to_owned(), line, column, case, reason: self.reason }
    }
}

/// The place `right` characters into line `down` of the scalar that starts at `start`.
fn inside(text: &str, start: (usize, usize), down: usize, right: usize) -> (usize, usize) {
    let nth = |line: usize| text.lines().nth(line.wrapping_sub(1));
    let head: String = nth(start.0).unwrap_or_default().chars().skip(start.1.saturating_sub(1)).collect();
    if !head.starts_with(['|', '>']) {
        return if down == 0 { (start.0, start.1 + right) } else { start };
    }
    // The lines of a block are indented as its first one that is not empty, or as its header says.
    let indent = |line: &str| line.chars().take_while(|c| *c == ' ').count();
    let first = (start.0 + 1..).map_while(nth).find(|line| !line.trim().is_empty()).map_or(0, indent);
    let stated = head.chars().find_map(|c| c.to_digit(10));
    let parent = nth(start.0).map_or(0, |line| line.chars().take_while(|c| matches!(c, ' ' | '-')).count());
    (start.0 + 1 + down, stated.map_or(first, |n| parent + n as usize) + right + 1)
}

fn case(raw: raw::Case, file: &Path) -> Checked<Case> {
    if raw.name.is_empty() {
        return Err(Wrong::new(Reason::EmptyName).at(FIELD_NAME));
    }
    let code = code(&raw, file)?;
    let mut case = Case {
        name: raw.name,
        story: raw.story.unwrap_or_default(),
        program_type: field("program_type", raw.program_type, ProgramType::SocketFilter, program_type)?,
        license: raw.license.unwrap_or_else(|| "GPL".to_owned()),
        load: field("load", raw.load, Load::default(), load)?,
        maps: field("maps", raw.maps, Vec::new(), maps)?,
        code,
        targets: field("targets", raw.targets, Vec::new(), targets)?,
        verdict: crate::case::Verdict::Accept,
        message: Vec::new(),
        runs: Vec::new(),
        finding: raw.finding.map(finding),
    };
    check_programs(&case)?;
    check_code(&mut case)?;
    if let Some(expect) = raw.expect {
        case.verdict = expect.verdict.into();
        case.message = expect.message.map_or_else(Vec::new, |strings| strings.0);
        if case.verdict == crate::case::Verdict::Any && !case.message.is_empty() {
            return Err(Wrong::new(Reason::Message).at(Step::Field("message")).at(Step::Field("expect")));
        }
    }
    case.runs = runs(&case, raw.inputs, raw.packet, raw.result)?;
    Ok(case)
}

/// Understands an optional field; a reason gets its place.
fn field<R, T>(name: &'static str, raw: Option<R>, default: T, read: impl FnOnce(R) -> Checked<T>) -> Checked<T> {
    raw.map_or(Ok(default), |raw| read(raw).map_err(|wrong| wrong.at(Step::Field(name))))
}

fn code(raw: &raw::Case, file: &Path) -> Checked<Code> {
    if raw.section.is_some() && raw.object.is_none() {
        return Err(Wrong::new(Reason::Section).at(Step::Field("section")));
    }
    match (&raw.asm, &raw.hex, &raw.object) {
        (Some(text), None, None) => Ok(Code::Asm(text.clone())),
        (None, Some(text), None) => {
            let bytes = hex(text).map_err(|wrong| wrong.at(Step::Field("hex")))?;
            if bytes.len() % 8 != 0 {
                return Err(Wrong::new(Reason::Slots(bytes.len())).at(Step::Field("hex")));
            }
            Ok(Code::Slots(bytes))
        }
        (None, None, Some(path)) => object(raw, path, file),
        (asm, hex, object) => {
            let given = [asm.is_some(), hex.is_some(), object.is_some()];
            Err(Wrong::new(Reason::Codes(given.into_iter().filter(|given| *given).count())))
        }
    }
}

/// An object lies beside the case file.
fn object(raw: &raw::Case, path: &str, file: &Path) -> Checked<Code> {
    let own = [
        ("maps", raw.maps.is_some()),
        ("program_type", raw.program_type.is_some()),
        ("license", raw.license.is_some()),
        ("load", raw.load.is_some()),
        ("targets", raw.targets.is_some()),
    ];
    if let Some((name, _)) = own.into_iter().find(|(_, given)| *given) {
        return Err(Wrong::new(Reason::OfObject(name)).at(Step::Field(name)));
    }
    let place = file.parent().unwrap_or(Path::new("")).join(path);
    let bytes = std::fs::read(place)
        .map_err(|error| Wrong::new(Reason::Object { path: path.to_owned(), error }).at(Step::Field("object")))?;
    Ok(Code::Object(Object { path: PathBuf::from(path), section: raw.section.clone(), bytes }))
}

/// Names and texts of the targets of tail calls.
fn targets(raw: raw::Pairs<String>) -> Checked<Vec<(String, String)>> {
    for (at, (name, _)) in raw.0.iter().enumerate() {
        if name.is_empty() {
            return Err(Wrong::new(Reason::EmptyName).at(Step::Key(at)));
        }
        if name == MAIN || raw.0[..at].iter().any(|(other, _)| other == name) {
            return Err(Wrong::new(Reason::Duplicate(name.clone())).at(Step::Key(at)));
        }
    }
    Ok(raw.0)
}

/// Targets are assembly, and program arrays name them.
fn check_programs(case: &Case) -> Checked<()> {
    for (at, (_, text)) in case.targets.iter().enumerate() {
        if let Err(Malformed::Asm(error)) = case.assemble(text) {
            let mut wrong = Wrong::new(Reason::Asm(error.kind)).at(Step::Nth(at)).at(Step::Field("targets"));
            wrong.inside = Some((error.line - 1, error.column - 1));
            return Err(wrong);
        }
    }
    for (at, map) in case.maps.iter().enumerate() {
        let Contents::Programs(programs) = &map.contents else { continue };
        let is_known = |name: &str| name == MAIN || case.targets.iter().any(|(target, _)| target == name);
        if let Some((nth, (_, name))) = programs.iter().enumerate().find(|(_, (_, name))| !is_known(name)) {
            let wrong = Wrong::new(Reason::NoSuchTarget(name.clone())).at(Step::Nth(nth)).at(Step::Field("programs"));
            return Err(wrong.at(Step::Nth(at)).at(Step::Field("maps")));
        }
    }
    Ok(())
}

/// Assembles, or loads what an object brings. What a verifier would refuse is no mistake of the file.
fn check_code(case: &mut Case) -> Checked<()> {
    match (case.program(), &case.code) {
        (Ok(program), Code::Object(_)) => {
            case.program_type = program.program_type();
            program.license().clone_into(&mut case.license);
            case.load.clone_from(program.load());
            case.maps = program.maps().to_vec();
            Ok(())
        }
        (Err(Malformed::Asm(error)), _) => {
            let mut wrong = Wrong::new(Reason::Asm(error.kind)).at(Step::Field("asm"));
            wrong.inside = Some((error.line - 1, error.column - 1));
            Err(wrong)
        }
        (Err(Malformed::Load(error)), Code::Object(object)) => {
            let path = object.path.display().to_string();
            Err(Wrong::new(Reason::Load { path, error }).at(Step::Field("object")))
        }
        _ => Ok(()),
    }
}

fn load(raw: raw::Load) -> Checked<Load> {
    let raw::Load { attach_type, attach_to, strict_alignment, test_state_freq, sleepable, frags } = raw;
    let attach =
        |name: String| AttachType::from_name(&name).map(Some).ok_or_else(|| Wrong::new(Reason::AttachType(name)));
    let attach_type = field("attach_type", attach_type, None, attach)?;
    Ok(Load { attach_type, attach_to, strict_alignment, test_state_freq, sleepable, frags })
}

fn finding(raw: raw::Finding) -> FindingNote {
    FindingNote {
        oracle: raw.oracle,
        engines: raw.engines.map_or_else(Vec::new, |strings| strings.0),
        difference: raw.difference,
        plant: raw.plant,
        target: raw.target,
    }
}

fn program_type(name: String) -> Checked<ProgramType> {
    ProgramType::from_name(&name).ok_or_else(|| Wrong::new(Reason::ProgramType(name)))
}

fn hex(text: &str) -> Checked<Vec<u8>> {
    text::bytes(text).map_err(Wrong::new)
}

fn number(text: String) -> Checked<u64> {
    text::number(&text).ok_or_else(|| Wrong::new(Reason::Number(text)))
}

fn number32(text: String) -> Checked<u32> {
    let value = number(text)?;
    u32::try_from(value).map_err(|_| Wrong::new(Reason::TooWide { value, bits: 32 }))
}

/// The low half of a number; a negative one may be written with its sign.
fn returned(text: String) -> Checked<u32> {
    let value = number(text)?;
    let sign = value as u32 as i32 as i64 as u64;
    if value == sign {
        Ok(value as u32)
    } else {
        u32::try_from(value).map_err(|_| Wrong::new(Reason::TooWide { value, bits: 32 }))
    }
}

fn runs(
    case: &Case,
    inputs: Option<Vec<raw::Input>>,
    packet_text: Option<String>,
    result: Option<String>,
) -> Checked<Vec<Run>> {
    match (inputs, packet_text, result) {
        (Some(inputs), None, None) => {
            let run = |(at, raw)| run(case, raw).map_err(|wrong| wrong.at(Step::Nth(at)).at(Step::Field("inputs")));
            inputs.into_iter().enumerate().map(run).collect()
        }
        (Some(_), _, _) => Err(Wrong::new(Reason::ShortAndLong).at(Step::Field("inputs"))),
        (None, None, None) => Ok(Vec::new()),
        (None, packet_text, result) => {
            let mut run = Run::default();
            run.input.packet = field("packet", packet_text, Vec::new(), |text| packet(&text))?;
            run.expect.result = field("result", result, None, |text| Ok(Some(Ending::Result(number(text)?))))?;
            Ok(vec![run])
        }
    }
}

fn packet(text: &str) -> Checked<Vec<u8>> {
    let bytes = hex(text)?;
    if bytes.len() as u64 > layout::PACKET_MAX {
        return Err(Wrong::new(Reason::PacketTooLong(bytes.len())));
    }
    Ok(bytes)
}

fn run(case: &Case, raw: raw::Input) -> Checked<Run> {
    let input = Input {
        packet: field("packet", raw.packet, Vec::new(), |text| packet(&text))?,
        context: field("context", raw.context, Vec::new(), |raw| context(case.program_type, raw))?,
        elements: field("maps", raw.maps, Vec::new(), |raw| {
            let maps = map_elements(case, raw, |def| (def.key_size, def.value_size))?;
            Ok(maps.into_iter().flat_map(|(map, all)| all.into_iter().map(move |(k, v)| (map, k, v))).collect())
        })?,
        world: {
            raw.world.check().map_err(|error| Wrong::new(error).at(Step::Field("world")))?;
            raw.world
        },
    };
    let expect = field("expect", raw.expect, Expected::default(), |raw| expected(case, raw))?;
    Ok(Run { input, expect })
}

fn context(program_type: ProgramType, raw: raw::Pairs<String>) -> Checked<Vec<(String, u64)>> {
    let mut fields: Vec<(String, u64)> = Vec::new();
    for (at, (name, text)) in raw.0.into_iter().enumerate() {
        if fields.iter().any(|(other, _)| *other == name) {
            return Err(Wrong::new(Reason::Duplicate(name)).at(Step::Key(at)));
        }
        let Some(place) = program_type.declaration().place(&name) else {
            return Err(Wrong::new(Reason::ContextField { program_type, name }).at(Step::Key(at)));
        };
        let value = number(text).map_err(|wrong| wrong.at(Step::Nth(at)))?;
        if place.len < 8 && value >> (8 * place.len) != 0 {
            return Err(Wrong::new(Reason::TooWide { value, bits: 8 * place.len }).at(Step::Nth(at)));
        }
        fields.push((name, value));
    }
    Ok(fields)
}

/// Elements by map, with these sizes of keys and values.
fn map_elements(
    case: &Case,
    raw: raw::Pairs<Vec<raw::Element>>,
    sizes: fn(&MapDef) -> (u32, u32),
) -> Checked<Vec<(usize, Vec<Element>)>> {
    let mut all: Vec<(usize, Vec<Element>)> = Vec::new();
    for (at, (name, raw)) in raw.0.into_iter().enumerate() {
        let Some(index) = case.map_index(&name) else {
            return Err(Wrong::new(Reason::UnknownMap(name)).at(Step::Key(at)));
        };
        if all.iter().any(|(other, _)| *other == index) {
            return Err(Wrong::new(Reason::Duplicate(name)).at(Step::Key(at)));
        }
        let def = &case.maps[index];
        let element = |(nth, raw)| {
            element(def, sizes(def), &raw).map_err(|wrong: Wrong| wrong.at(Step::Nth(nth)).at(Step::Nth(at)))
        };
        all.push((index, raw.into_iter().enumerate().map(element).collect::<Checked<_>>()?));
    }
    Ok(all)
}

/// Key and value of an element. Of a map with a value for each CPU, `value` is that of all of them, and `values` are those of
/// each, which are put one behind the other as user space sees them.
fn element(def: &MapDef, (key_size, value_size): (u32, u32), raw: &raw::Element) -> Checked<Element> {
    let part = |part: &'static str, text: &str, expected: u32| {
        let bytes = hex(text).map_err(|wrong| wrong.at(Step::Field(part)))?;
        if bytes.len() == expected as usize {
            return Ok(bytes);
        }
        let reason = Reason::ElementSize { map: def.name.clone(), part, expected, found: bytes.len() };
        Err(Wrong::new(reason).at(Step::Field(part)))
    };
    let key = part("key", raw.key.as_deref().unwrap_or_default(), key_size)?;
    let value = match (&raw.value, &raw.values) {
        (Some(value), None) => part("value", value, value_size)?,
        (None, Some(values)) if def.is_per_cpu() => {
            let mut all = Vec::new();
            for (at, value) in values.iter().enumerate() {
                all.extend(part("values", value, value_size).map_err(|wrong| wrong.at(Step::Nth(at)))?);
                all.resize(all.len().next_multiple_of(8), 0);
            }
            all
        }
        _ => return Err(Wrong::new(Reason::ElementValue)),
    };
    Ok((key, value))
}

/// Sizes of what a map shows: of a bloom filter, the numbers of its words, and the words.
fn shown_sizes(def: &MapDef) -> (u32, u32) {
    if def.map_type == MapType::BLOOM_FILTER { (4, 8) } else { (def.key_size, def.value_size) }
}

/// What rooms of the world are expected to show.
fn rooms(case: &Case, raw: raw::Pairs<raw::Pairs<String>>) -> Checked<Vec<Shown>> {
    let room = |(at, (name, shown)): (usize, (String, raw::Pairs<String>))| {
        let room = Room::from_name(&name, |map| Some(case.map_index(map)? as u32));
        let room = room.ok_or_else(|| Wrong::new(Reason::UnknownRoom(name)).at(Step::Key(at)))?;
        Ok((room, shown.0))
    };
    raw.0.into_iter().enumerate().map(room).collect()
}

fn expected(case: &Case, raw: raw::Outcome) -> Checked<Expected> {
    let mut result = None;
    for (name, text) in [("result", raw.result), ("return", raw.returned), ("trap", raw.trap)] {
        let Some(text) = text else { continue };
        let ending = match name {
            "result" => number(text).map(Ending::Result),
            "return" => returned(text).map(Ending::Return),
            _ => Ok(Ending::Trap(text)),
        };
        if result.replace(ending.map_err(|wrong| wrong.at(Step::Field(name)))?).is_some() {
            return Err(Wrong::new(Reason::Endings).at(Step::Field(name)));
        }
    }
    Ok(Expected {
        result,
        packet: field("packet", raw.packet, None, |text| hex(&text).map(Some))?,
        maps: field("maps", raw.maps, Vec::new(), |raw| map_elements(case, raw, shown_sizes))?,
        world: field("world", raw.world, Vec::new(), |raw| rooms(case, raw))?,
    })
}
