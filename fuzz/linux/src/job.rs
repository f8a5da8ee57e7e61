//! Jobs made of cases and programs.

use corpus::case::{Case, Code, Malformed};
use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::map::{Contents, MapDef};
use semantics::program::Program;
use semantics::world::Input;
use wire::{Engine, Fd, FdField, Job, Map, Run, Value};

/// What is wanted beside a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The kernel's engines.
    pub engines: Vec<Engine>,
    /// The level of the verifier's log.
    pub log_level: u32,
    /// Run on the inputs.
    pub runs: bool,
    /// Translated and native instructions.
    pub dump: bool,
}

impl Default for Wanted {
    /// All of it but instructions, on both engines, with the log at level 2.
    fn default() -> Wanted {
        Wanted { engines: vec![Engine::Jit, Engine::Interpreter], log_level: 2, runs: true, dump: false }
    }
}

impl Wanted {
    /// A verdict with its log.
    pub fn verdict() -> Wanted {
        Wanted { engines: vec![Engine::Jit], runs: false, ..Wanted::default() }
    }
}

/// The job that a case is. Instructions go to the kernel as they are written: also those that are none.
pub fn of_case(case: &Case, wanted: &Wanted) -> Result<Job, Malformed> {
    let inputs = case.runs.iter().map(|run| &run.input);
    let assemble = |text: &str| Ok::<_, Malformed>(encoding::encode(&case.assemble(text)?));
    let main = match &case.code {
        Code::Asm(text) => assemble(text)?,
        Code::Slots(bytes) => bytes.clone(),
        Code::Object(_) => return Ok(of_program(&case.program()?, inputs, wanted)),
    };
    let targets = case.targets.iter().map(|(name, text)| Ok((name.clone(), assemble(text)?)));
    let parts: Result<Vec<(String, Vec<u8>)>, Malformed> =
        [Ok((corpus::case::MAIN.to_owned(), main))].into_iter().chain(targets).collect();
    let source = Source {
        name: &case.name,
        prog_type: case.program_type.id(),
        attach_type: 0,
        license: &case.license,
        maps: &case.maps,
        parts: parts?,
    };
    Ok(source.job(inputs, wanted))
}

/// The job that a program is, on these inputs.
pub fn of_program<'a>(program: &Program, inputs: impl Iterator<Item = &'a Input>, wanted: &Wanted) -> Job {
    let own = program.name().to_owned();
    let parts = program.parts();
    let parts = if parts.is_empty() { vec![(0, program.clone())] } else { parts };
    let source = Source {
        name: program.name(),
        prog_type: program.program_type().id(),
        attach_type: program.attach_type().map_or(0, |attach| attach.id()),
        license: program.license(),
        maps: program.maps(),
        parts: parts
            .iter()
            .map(|(start, part)| {
                let name = if *start == 0 { own.clone() } else { part.name().to_owned() };
                (name, encoding::encode(part.insns()))
            })
            .collect(),
    };
    source.job(inputs, wanted)
}

/// What cases and programs have in common.
struct Source<'a> {
    name: &'a str,
    prog_type: u32,
    attach_type: u32,
    license: &'a str,
    maps: &'a [MapDef],
    /// The program, and those that its program arrays hold, by name.
    parts: Vec<(String, Vec<u8>)>,
}

impl Source<'_> {
    fn job<'a>(&self, inputs: impl Iterator<Item = &'a Input>, wanted: &Wanted) -> Job {
        Job {
            engines: wanted.engines.clone(),
            maps: self.maps.iter().map(|def| self.map(def)).collect(),
            programs: self.parts.iter().map(|(name, code)| self.program(name, code)).collect(),
            runs: if wanted.runs { inputs.map(|input| self.run(input)).collect() } else { Vec::new() },
            log_level: wanted.log_level,
            dump: wanted.dump,
            ..Job::default()
        }
    }

    fn map(&self, def: &MapDef) -> Map {
        let index = |key: u32| key.to_le_bytes().to_vec();
        let part = |wanted: &String| self.parts.iter().position(|(name, _)| name == wanted);
        let elements = match &def.contents {
            Contents::Empty => Vec::new(),
            Contents::Bytes(bytes) => vec![(index(0), Value::Bytes(bytes.clone()))],
            Contents::Maps(maps) => maps.iter().map(|(at, map)| (index(*at), Value::Map(*map as u32))).collect(),
            Contents::Programs(programs) => programs
                .iter()
                .filter_map(|(at, name)| Some((index(*at), Value::Program(part(name)? as u32))))
                .collect(),
        };
        Map {
            name: def.name.clone(),
            map_type: def.map_type.id(),
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            elements,
            freeze: def.is_read_only(),
            ..Map::default()
        }
    }

    fn program(&self, name: &str, code: &[u8]) -> wire::Program {
        wire::Program {
            name: if name == corpus::case::MAIN { self.name } else { name }.to_owned(),
            prog_type: self.prog_type,
            attach_type: self.attach_type,
            license: self.license.to_owned(),
            fds: descriptors(code, self.maps.len()),
            insns: code.to_vec(),
            ..wire::Program::default()
        }
    }

    fn run(&self, input: &Input) -> Run {
        Run {
            data: input.packet.clone(),
            elements: input
                .elements
                .iter()
                .map(|(map, key, value)| (*map as u32, (key.clone(), value.clone())))
                .collect(),
            read_back: (0..self.maps.len() as u32).collect(),
            repeat: 1,
            ..Run::default()
        }
    }
}

/// The slots that name maps by their index, which the kernel takes as file descriptors.
fn descriptors(code: &[u8], maps: usize) -> Vec<FdField> {
    const LDDW: u8 = 0x18;
    let (slots, _) = code.as_chunks::<SLOT_LEN>();
    let mut found = Vec::new();
    let mut tail = false;
    for (slot, bytes) in (0..).zip(slots) {
        let Slot { code, src, imm, .. } = Slot::from_bytes(*bytes);
        if !tail && code == LDDW && (src == 1 || src == 2) {
            let known = usize::try_from(imm).is_ok_and(|index| index < maps);
            found.push(FdField { slot, fd: if known { Fd::Map(imm as u32) } else { Fd::Bad } });
        }
        tail = !tail && code == LDDW;
    }
    found
}
