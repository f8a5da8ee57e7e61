//! Jobs made of cases and programs: all that a case says goes to the kernel.
//!
//! Instructions go as they are written, also those that are none. Where the kernel wants types ([`btf`]), they are made of
//! what the case says of its maps and of where its instructions call.

use std::collections::BTreeSet;

use corpus::case::{Case, Code, Load, Malformed};
use semantics::encoding::{self, SLOT_LEN, Slot};
use semantics::map::{Contents, MapDef};
use semantics::program::Program;
use semantics::program_type::{AttachType, ProgramType};
use semantics::world::Input;
use wire::{Attach, Engine, Fd, FdField, Job, Map, Run, Value};

mod btf;
mod run;

pub use run::{ETH_HLEN, NotRun, PACKET_MAX, not_run};

/// What is wanted beside a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The kernel's engines.
    pub engines: Vec<Engine>,
    /// The level of the verifier's log.
    pub log_level: u32,
    /// Run on the inputs.
    pub runs: bool,
    /// Translated and native instructions, and a line for each instruction that says where its code begins.
    pub dump: bool,
    /// The number of the kernel that is asked: some names in types changed.
    pub kernel: (u32, u32),
}

impl Default for Wanted {
    /// All of it but instructions, on both engines, with the log at level 2.
    fn default() -> Wanted {
        Wanted {
            engines: vec![Engine::Jit, Engine::Interpreter],
            log_level: 2,
            runs: true,
            dump: false,
            kernel: (6, 8),
        }
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
        program_type: case.program_type,
        load: &case.load,
        license: &case.license,
        maps: &case.maps,
        is_typed: false,
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
        program_type: program.program_type(),
        load: program.load(),
        license: program.license(),
        maps: program.maps(),
        is_typed: !program.debug().functions.is_empty(),
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
    program_type: ProgramType,
    load: &'a Load,
    license: &'a str,
    maps: &'a [MapDef],
    /// Whether the types of its functions are known.
    is_typed: bool,
    /// The program, and those that its program arrays hold, by name.
    parts: Vec<(String, Vec<u8>)>,
}

/// `BTF_KIND_*` of what programs are attached to.
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;

/// `BPF_F_*` of a load.
const STRICT_ALIGNMENT: u32 = 1;
const TEST_STATE_FREQ: u32 = 1 << 3;
const SLEEPABLE: u32 = 1 << 4;
const XDP_HAS_FRAGS: u32 = 1 << 5;

impl Source<'_> {
    fn job<'a>(&self, inputs: impl Iterator<Item = &'a Input>, wanted: &Wanted) -> Job {
        let mut types = btf::Types::default();
        let mut maps: Vec<Map> = self.maps.iter().map(|def| self.map(def, &mut types, wanted.kernel)).collect();
        // What inner maps look like is said by maps that nothing else is done with, behind the case's own.
        for (at, def) in self.maps.iter().enumerate() {
            if let Some(inner) = &def.inner {
                maps[at].inner = Some(maps.len() as u32);
                let template = self.map(inner, &mut types, wanted.kernel);
                maps.push(template);
            }
        }
        Job {
            engines: wanted.engines.clone(),
            maps,
            programs: self.parts.iter().map(|(name, code)| self.program(name, code, &mut types, wanted)).collect(),
            btf: types.encode(),
            runs: if wanted.runs { inputs.map(|input| self.run(input)).collect() } else { Vec::new() },
            log_level: wanted.log_level,
            dump: wanted.dump,
            ..Job::default()
        }
    }

    fn map(&self, def: &MapDef, types: &mut btf::Types, kernel: (u32, u32)) -> Map {
        Map {
            name: def.name.clone(),
            map_type: def.map_type.id(),
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            extra: def.extra,
            btf: types.of_map(def, kernel),
            inner: None,
            elements: self.elements(def),
            freeze: def.frozen,
        }
    }

    fn elements(&self, def: &MapDef) -> Vec<(Vec<u8>, Value)> {
        let index = |key: u32| key.to_le_bytes().to_vec();
        let part = |wanted: &String| self.parts.iter().position(|(name, _)| name == wanted);
        match &def.contents {
            Contents::Empty => Vec::new(),
            Contents::Bytes(bytes) => {
                let mut value = bytes.clone();
                value.resize(def.value_size as usize, 0);
                vec![(index(0), Value::Bytes(value))]
            }
            Contents::Elements(all) => {
                all.iter().map(|(key, value)| (key.clone(), Value::Bytes(value.clone()))).collect()
            }
            Contents::Maps(maps) => maps.iter().map(|(at, map)| (index(*at), Value::Map(*map as u32))).collect(),
            Contents::Programs(programs) => programs
                .iter()
                .filter_map(|(at, name)| Some((index(*at), Value::Program(part(name)? as u32))))
                .collect(),
        }
    }

    fn program(&self, name: &str, code: &[u8], types: &mut btf::Types, wanted: &Wanted) -> wire::Program {
        let func_info = functions(code, self.is_typed, wanted.dump, types);
        wire::Program {
            name: if name == corpus::case::MAIN { self.name } else { name }.to_owned(),
            prog_type: self.program_type.id(),
            attach_type: self.load.attach_type.map_or(0, AttachType::id),
            flags: self.flags(),
            license: self.license.to_owned(),
            attach: self.attach(),
            fds: descriptors(code, self.maps.len()),
            fd_array: fd_array(code, self.maps.len()),
            line_info: if wanted.dump && !func_info.is_empty() { lines(code) } else { Vec::new() },
            func_info,
            insns: code.to_vec(),
        }
    }

    fn flags(&self) -> u32 {
        let Load { strict_alignment, test_state_freq, sleepable, frags, .. } = *self.load;
        let all = [
            (strict_alignment, STRICT_ALIGNMENT),
            (test_state_freq, TEST_STATE_FREQ),
            (sleepable, SLEEPABLE),
            (frags, XDP_HAS_FRAGS),
        ];
        all.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag)
    }

    /// What the program is attached to, as the kernel's BTF calls it (libbpf: `find_kernel_btf_id`).
    fn attach(&self) -> Option<Attach> {
        use AttachType as A;
        let name = self.load.attach_to.as_deref()?;
        let (prefix, kind) = match self.load.attach_type {
            Some(A::TraceRawTp) => ("btf_trace_", KIND_TYPEDEF),
            Some(A::TraceIter) => ("bpf_iter_", KIND_FUNC),
            Some(A::LsmMac | A::LsmCgroup) => ("bpf_lsm_", KIND_FUNC),
            _ => ("", KIND_FUNC),
        };
        Some(Attach { name: format!("{prefix}{name}"), kind })
    }

    fn run(&self, input: &Input) -> Run {
        Run {
            elements: input
                .elements
                .iter()
                .map(|(map, key, value)| (*map as u32, (key.clone(), value.clone())))
                .collect(),
            read_back: (0..self.maps.len() as u32).collect(),
            ..run::run(self.program_type, input)
        }
    }
}

/// A wide instruction, whose second slot is none by itself.
const LDDW: u8 = 0x18;
/// A call.
const CALL: u8 = 0x85;
/// Loads from the packet (`BPF_LD | BPF_ABS`, `BPF_LD | BPF_IND`), without their sizes.
const LD_ABS: u8 = 0x20;
const LD_IND: u8 = 0x40;
/// `BPF_FUNC_tail_call`.
const TAIL_CALL: i32 = 12;
/// `BPF_PSEUDO_CALL`, in a call.
const PSEUDO_CALL: u8 = 1;
/// `BPF_PSEUDO_MAP_IDX` and `BPF_PSEUDO_MAP_IDX_VALUE`, in a wide instruction.
const PSEUDO_MAP_IDX: u8 = 5;
const PSEUDO_MAP_IDX_VALUE: u8 = 6;
/// `BPF_PSEUDO_FUNC`, in a wide instruction.
const PSEUDO_FUNC: u8 = 4;

/// Slots with their numbers, without the second ones of wide instructions.
fn slots(code: &[u8]) -> impl Iterator<Item = (u32, Slot)> {
    let (slots, _) = code.as_chunks::<SLOT_LEN>();
    let mut tail = false;
    (0..).zip(slots).map(|(at, bytes)| (at, Slot::from_bytes(*bytes))).filter(move |(_, slot)| {
        let is_tail = tail;
        tail = !tail && slot.code == LDDW;
        !is_tail
    })
}

/// `bpf_func_info` records of all functions, if an address of one is taken: the kernel then wants to know their types. And of
/// functions whose types are known, if one of them may end the program (`check_abnormal_return`); or at any rate.
fn functions(code: &[u8], is_typed: bool, at_any_rate: bool, types: &mut btf::Types) -> Vec<u8> {
    let mut starts = BTreeSet::from([0]);
    let mut is_wanted = at_any_rate;
    for (at, slot) in slots(code) {
        let takes_address = slot.code == LDDW && slot.src == PSEUDO_FUNC;
        let is_packet_load = matches!(slot.code & 0xe7, LD_ABS | LD_IND);
        let may_end = is_packet_load || (slot.code == CALL && slot.src == 0 && slot.imm == TAIL_CALL);
        is_wanted |= takes_address || (is_typed && may_end);
        if takes_address || (slot.code == CALL && slot.src == PSEUDO_CALL) {
            starts.insert(i64::from(at) + 1 + i64::from(slot.imm));
        }
    }
    let slots = (code.len() / SLOT_LEN) as i64;
    if !is_wanted || !starts.iter().all(|start| (0..slots).contains(start)) {
        return Vec::new();
    }
    let name = |start: i64| if start == 0 { corpus::case::MAIN.to_owned() } else { format!("function_{start}") };
    starts.iter().flat_map(|start| [*start as u32, types.function(&name(*start))]).flat_map(u32::to_le_bytes).collect()
}

/// Whether an instruction jumps back.
pub(crate) fn has_loop(code: &[u8]) -> bool {
    /// `BPF_JMP` and `BPF_JMP32`.
    const JUMPS: [u8; 2] = [0x05, 0x06];
    slots(code).any(|(_, slot)| JUMPS.contains(&(slot.code & 7)) && slot.off < 0 && slot.code != CALL)
}

/// `bpf_line_info` records, a line for each instruction; the number of the line is that of the slot.
fn lines(code: &[u8]) -> Vec<u8> {
    let record = |(slot, _): (u32, Slot)| [slot, 0, 0, slot << LINE_SHIFT];
    slots(code).flat_map(record).flat_map(u32::to_le_bytes).collect()
}

/// `BPF_LINE_INFO_LINE_NUM`: the column lies below.
const LINE_SHIFT: u32 = 10;

/// The slot that a line stands for, of those that a job with [`Wanted::dump`] has.
pub fn slot_of_line(line_col: u32) -> usize {
    (line_col >> LINE_SHIFT) as usize
}

/// The array that instructions name maps in by index, if there are such: all maps, and behind them nothing as far as indices go.
fn fd_array(code: &[u8], maps: usize) -> Vec<Fd> {
    /// What lies beyond is left to the kernel, which finds no memory there, or no descriptor.
    const LONGEST: usize = 1 << 12;
    let index = |slot: Slot| {
        let names = slot.code == LDDW && (slot.src == PSEUDO_MAP_IDX || slot.src == PSEUDO_MAP_IDX_VALUE);
        names.then(|| usize::try_from(slot.imm).ok()).flatten()
    };
    let Some(last) = slots(code).filter_map(|(_, slot)| index(slot)).max() else { return Vec::new() };
    let len = maps.max(last.saturating_add(1).min(LONGEST));
    (0..len).map(|at| if at < maps { Fd::Map(at as u32) } else { Fd::Bad }).collect()
}

/// The slots that name maps by their index, which the kernel takes as file descriptors. A number that no map has stands as it
/// is, for the kernel to name it, where it cannot be the descriptor of a map by chance.
fn descriptors(code: &[u8], maps: usize) -> Vec<FdField> {
    // Standard input, output and error of the guest's process, which are never maps.
    const NEVER_MAPS: std::ops::Range<i32> = 0..3;
    let named = slots(code).filter(|(_, slot)| slot.code == LDDW && (slot.src == 1 || slot.src == 2));
    let field = |(slot, Slot { imm, .. }): (u32, Slot)| {
        let is_known = usize::try_from(imm).is_ok_and(|index| index < maps);
        let fd = if is_known { Fd::Map(imm as u32) } else { Fd::Bad };
        (is_known || !(imm < 0 || NEVER_MAPS.contains(&imm))).then_some(FdField { slot, fd })
    };
    named.filter_map(field).collect()
}
