//! A kernel's JIT or interpreter as an engine.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use semantics::engine::{Engine, EngineId, Lack, LinuxMode, LinuxVersion, Task};
use semantics::map::{Contents, Map, MapType};
use semantics::memory::{ArenaError, Memory, layout};
use semantics::outcome::Sight;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::{RunLack, Trap, Unsupported};
use semantics::world::{Elements, World};
use wire::{Answer, Job, Load, Ran, Run, Stage, Trial};

use crate::guest::{GuestError, Settings};
use crate::job::{self, Wanted};
use crate::kernel::{Kernel, KernelError};
use crate::machine::Machine;
use crate::widen;

/// Why there is no such engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// It does not boot.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// No memory to lay inputs out in.
    #[error(transparent)]
    Memory(#[from] ArenaError),
}

/// Kernels by version, each with one guest that all its engines share.
#[derive(Debug, Default)]
pub struct Machines {
    machines: HashMap<LinuxVersion, Shared>,
    settings: Settings,
}

/// A machine that several engines ask.
pub type Shared = Arc<Mutex<Machine>>;

impl Machines {
    /// No machine yet; guests will have these settings.
    pub fn new(settings: Settings) -> Machines {
        Machines { machines: HashMap::new(), settings }
    }

    /// The machine of a version, from this folder of kernels.
    pub fn machine(&mut self, folder: &Path, version: LinuxVersion) -> Result<Shared, KernelError> {
        if let Some(machine) = self.machines.get(&version) {
            return Ok(Arc::clone(machine));
        }
        let kernel = Kernel::find(folder, &version.to_string())?;
        let machine = Arc::new(Mutex::new(Machine::new(kernel, self.settings.clone())));
        self.machines.insert(version, Arc::clone(&machine));
        Ok(machine)
    }

    /// An engine, whose guest starts with the first question.
    pub fn engine(
        &mut self,
        folder: &Path,
        version: LinuxVersion,
        mode: LinuxMode,
    ) -> Result<LinuxEngine, EngineError> {
        Ok(LinuxEngine::new(self.machine(folder, version)?, version, mode)?)
    }
}

/// The engines that the kernels of a folder are, oldest first.
pub fn engines(folder: &Path) -> Vec<EngineId> {
    let kernels = Kernel::all(folder);
    let versions = kernels.iter().filter_map(|kernel| kernel.version.parse().ok());
    versions.flat_map(|version| LinuxMode::ALL.map(|mode| EngineId::Linux(version, mode))).collect()
}

/// The kernel's engine of this mode, in the words of the wire.
pub const fn wire_engine(mode: LinuxMode) -> wire::Engine {
    match mode {
        LinuxMode::Jit => wire::Engine::Jit,
        LinuxMode::Interpreter => wire::Engine::Interpreter,
    }
}

/// Whether the verifier refused a program, by this log, for what only native code can do.
pub fn wants_native_code(log: &str) -> bool {
    ["non-JITed", "JIT is required"].iter().any(|words| log.contains(words))
}

/// A kernel's JIT or interpreter, in a guest.
///
/// It verifies programs itself, so it takes any. A run is one question to the guest; what is announced by
/// [`Engine::ahead`] is asked together.
#[derive(Debug)]
pub struct LinuxEngine {
    version: LinuxVersion,
    mode: LinuxMode,
    machine: Shared,
    /// Where inputs are laid out that are announced.
    scratch: World,
    /// Announced programs, by the bytes of their job.
    known: HashMap<Vec<u8>, Arc<Loaded>>,
    /// Complaints over them that nobody has heard yet.
    complaints: HashMap<Vec<u8>, String>,
    loaded: Option<Arc<Loaded>>,
    /// Whether the last run showed R0 whole.
    whole: bool,
    complaint: Option<String>,
}

/// A program, and what is known of it.
#[derive(Debug)]
struct Loaded {
    program: Arc<Program>,
    /// As it is, without runs.
    job: Job,
    /// With R0 in a map; `None` if the kernel does not take it so.
    wide: Option<Job>,
    verdict: Result<(), Lack>,
    runs: Vec<(Run, Result<Shown, RunLack>)>,
}

/// A run that came to its end.
#[derive(Clone, Debug)]
struct Shown {
    ran: Ran,
    /// R0 whole.
    r0: Option<u64>,
}

impl LinuxEngine {
    /// An engine on this machine.
    pub fn new(machine: Shared, version: LinuxVersion, mode: LinuxMode) -> Result<LinuxEngine, ArenaError> {
        Ok(LinuxEngine {
            version,
            mode,
            machine,
            scratch: World::new(Memory::detached()?),
            known: HashMap::new(),
            complaints: HashMap::new(),
            loaded: None,
            whole: false,
            complaint: None,
        })
    }

    /// Starts the guest, if it is not there: an engine that cannot work says so at once.
    pub fn start(&mut self) -> Result<(), GuestError> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.ask_one(&Job::default()).map(|_| ())
    }

    /// Asks the kernel for its verdict of a program and keeps the program for runs.
    pub fn load_program(&mut self, program: &Arc<Program>) -> Result<(), Lack> {
        (self.loaded, self.whole) = (None, false);
        let job = self.job(program);
        let key = wire::encode(&job);
        let (loaded, complaint) = if let Some(known) = self.known.get(&key) {
            (Arc::clone(known), self.complaints.remove(&key))
        } else {
            let (loaded, complaint) = self.ask(vec![(Arc::clone(program), job, Vec::new())]).remove(0);
            (Arc::new(loaded), complaint)
        };
        self.complaint = self.complaint.take().or(complaint);
        loaded.verdict.clone()?;
        self.loaded = Some(loaded);
        Ok(())
    }

    /// A program as it is, without runs.
    fn job(&self, program: &Program) -> Job {
        let kernel = (u32::from(self.version.major), u32::from(self.version.minor));
        let wanted =
            Wanted { engines: vec![wire_engine(self.mode)], log_level: 1, runs: false, kernel, ..Wanted::default() };
        job::of_program(program, std::iter::empty(), &wanted)
    }

    /// Asks for programs with runs, as they are where the kernel does not take them with R0 in a map. With each comes what
    /// there is to complain of.
    fn ask(&mut self, asked: Vec<(Arc<Program>, Job, Vec<Run>)>) -> Vec<(Loaded, Option<String>)> {
        let wide: Vec<Option<Job>> = asked.iter().map(|(_, job, runs)| widen::widen(&with_runs(job, runs))).collect();
        let plain = |at: usize| with_runs(&asked[at].1, &asked[at].2);
        let jobs: Vec<Job> =
            wide.iter().enumerate().map(|(at, wide)| wide.clone().unwrap_or_else(|| plain(at))).collect();
        let mut answers = self.answers(&jobs);
        let again: Vec<usize> =
            (0..asked.len()).filter(|at| wide[*at].is_some() && !is_loaded(&answers[*at])).collect();
        let jobs: Vec<Job> = again.iter().map(|at| plain(*at)).collect();
        for (at, answer) in again.iter().zip(self.answers(&jobs)) {
            answers[*at] = answer;
        }
        let is_wide = |at: usize| wide[at].is_some() && !again.contains(&at);
        let numbered = asked.into_iter().zip(answers).enumerate();
        numbered
            .map(|(at, ((program, job, runs), answer))| {
                let wide = if is_wide(at) { widen::widen(&job) } else { None };
                self.loaded(program, job, wide, runs, answer)
            })
            .collect()
    }

    fn answers(&mut self, jobs: &[Job]) -> Vec<Result<Answer, Lack>> {
        let engine = self.id();
        let mut answers: Vec<Result<Answer, Lack>> = Vec::with_capacity(jobs.len());
        let gone = |reason: String| Lack::Gone { engine, reason };
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let end = machine.ask(jobs, &mut |_, answer| answers.push(answer.map_err(|why| gone(why.to_string()))));
        let reason = end.map_or_else(|error| error.to_string(), |()| "no answer".to_owned());
        answers.resize_with(jobs.len(), || Err(gone(reason.clone())));
        answers
    }

    fn loaded(
        &self,
        program: Arc<Program>,
        job: Job,
        wide: Option<Job>,
        runs: Vec<Run>,
        answer: Result<Answer, Lack>,
    ) -> (Loaded, Option<String>) {
        let (verdict, complaint, shown) = match answer {
            Err(lack) => (Err(lack.clone()), Some(lack.to_string()), vec![Err(RunLack::Lost); runs.len()]),
            Ok(Answer { mut trials, messages, .. }) => {
                let complaint = (!messages.is_empty()).then(|| messages.join("\n"));
                match trials.pop() {
                    Some(Trial { load, runs, .. }) => {
                        let shown = runs.into_iter().map(|ran| shown(ran, wide.is_some())).collect();
                        (self.verdict(load), complaint, shown)
                    }
                    None => (Err(self.refused("no trial")), complaint, Vec::new()),
                }
            }
        };
        (Loaded { program, job, wide, verdict, runs: runs.into_iter().zip(shown).collect() }, complaint)
    }

    fn verdict(&self, load: Load) -> Result<(), Lack> {
        /// `ENOTSUPP`: the kernel's interpreter does not have an instruction, or not with this stack.
        const ENOTSUPP: i32 = 524;
        let Err((stage, errno)) = load.result else { return Ok(()) };
        let engine = "the kernel's interpreter";
        let is_native_only = wants_native_code(&load.log) || errno == ENOTSUPP || stage == Stage::Fallback;
        if self.mode == LinuxMode::Interpreter && is_native_only {
            return Err(Unsupported::Facility { engine, facility: "native code for this program" }.into());
        }
        if load.log.contains("missing btf func_info") {
            let (engine, facility) = ("the kernel", "types of the functions that are called back");
            return Err(Unsupported::Facility { engine, facility }.into());
        }
        match stage {
            Stage::Program(_) if !load.log.trim().is_empty() => Err(self.refused(&load.log)),
            Stage::Map(map) => Err(self.refused(&format!("map {map}: error {errno}"))),
            Stage::Element(map) => Err(self.refused(&format!("elements of map {map}: error {errno}"))),
            stage => Err(self.refused(&format!("{stage:?}: error {errno}"))),
        }
    }

    fn refused(&self, log: &str) -> Lack {
        Lack::Refused { engine: self.id(), log: log.to_owned() }
    }

    /// What came of a run of the loaded program: known, or asked for now.
    fn shown(&mut self, run: &Run) -> Result<Shown, RunLack> {
        let Some(loaded) = &self.loaded else { return Err(RunLack::Lost) };
        if let Some((_, known)) = loaded.runs.iter().find(|(known, _)| known == run) {
            return known.clone();
        }
        let (is_wide, program, plain) = (loaded.wide.is_some(), Arc::clone(&loaded.program), loaded.job.clone());
        let job = match &loaded.wide {
            Some(_) => widen::widen(&with_runs(&plain, std::slice::from_ref(run))).unwrap_or_default(),
            None => with_runs(&plain, std::slice::from_ref(run)),
        };
        let answer = self.answers(&[job]).remove(0);
        let wide = is_wide.then(Job::default);
        let (mut asked, complaint) = self.loaded(program, plain, wide, vec![run.clone()], answer);
        self.complaint = self.complaint.take().or(complaint);
        asked.runs.pop().map_or(Err(RunLack::Lost), |(_, shown)| shown)
    }
}

fn with_runs(job: &Job, runs: &[Run]) -> Job {
    Job { runs: runs.to_vec(), ..job.clone() }
}

fn is_loaded(answer: &Result<Answer, Lack>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.trials.iter().all(|trial| trial.load.result.is_ok()))
}

fn shown(ran: Result<Ran, i32>, is_wide: bool) -> Result<Shown, RunLack> {
    let mut ran = ran.map_err(RunLack::TestRun)?;
    let r0 = if is_wide { widen::r0(&mut ran) } else { None };
    Ok(Shown { ran, r0 })
}

/// The run that a world stands for: its packet, what its context and its maps hold beside what they hold anyway.
fn run_of(world: &World) -> Result<Run, RunLack> {
    if !world.is_as_in_test_run() {
        return Err(RunLack::World);
    }
    let (data, ctx) = (world.packet_bytes().to_vec(), context_of(world)?);
    let mut run = Run { data, ctx, repeat: 1, ..Run::default() };
    for (at, map) in (0..).zip(&world.maps).filter(|(_, map)| is_read(map)) {
        run.read_back.push(at);
        let initial = |key: &[u8]| -> Option<&[u8]> {
            match &map.def.contents {
                _ if map.def.map_type == MapType::HASH => None,
                Contents::Bytes(bytes) if key.iter().all(|byte| *byte == 0) => Some(bytes),
                _ => Some(&[]),
            }
        };
        map.each_value(&world.memory, &mut |key, value| {
            let is_initial = initial(key).is_some_and(|bytes| {
                let (head, rest) = value.split_at(bytes.len().min(value.len()));
                head == bytes && rest.iter().all(|byte| *byte == 0)
            });
            if !is_initial {
                run.elements.push((at, (key.to_vec(), value.to_vec())));
            }
        });
    }
    Ok(run)
}

/// Whether user space can read all elements of a map, and they have a meaning here.
fn is_read(map: &Map) -> bool {
    let of_bytes = [MapType::HASH, MapType::ARRAY].contains(&map.def.map_type);
    of_bytes && map.def.flags & semantics::map::WRONLY == 0
}

/// The context that a test run is given: none where it sets up the same by itself.
fn context_of(world: &World) -> Result<Vec<u8>, RunLack> {
    let declaration = world.program_type().declaration();
    let context = world.memory.peek(layout::CONTEXT, u64::from(declaration.context_len));
    let default = world.default_context();
    match world.program_type() {
        // They have no packet: the context is all there is.
        ProgramType::RawTracepoint | ProgramType::SkLookup | ProgramType::Syscall => return Ok(context.to_vec()),
        // Where metadata and packet begin and end is said in bytes from the first one (`xdp_convert_md_to_buff`).
        ProgramType::Xdp if context == default && world.packet.before() > 0 => {
            let mut given = vec![0; context.len()];
            let places = [("data", world.packet.before()), ("data_end", world.packet.observed())];
            for (field, value) in places.iter().filter_map(|(name, value)| Some((declaration.field(name)?, value))) {
                let at = field.offset as usize;
                given[at..at + field.len as usize].copy_from_slice(&value.to_le_bytes()[..field.len as usize]);
            }
            return Ok(given);
        }
        _ if context == default => return Ok(Vec::new()),
        _ => {}
    }
    // What `convert___skb_to_skb` takes without conditions; it wants zeros elsewhere.
    let mut given = vec![0; context.len()];
    for field in SKB_FIELDS.iter().filter_map(|name| declaration.field(name)) {
        let range = field.offset as usize..(field.offset + field.len) as usize;
        given[range.clone()].copy_from_slice(&context[range]);
    }
    let is_given = |at: usize| context[at] == default[at] || context[at] == given[at];
    let is_skb = declaration.context == "__sk_buff";
    if is_skb && (0..context.len()).all(is_given) { Ok(given) } else { Err(RunLack::Context) }
}

/// Fields of `struct __sk_buff` that a test run can be given any values of; of the length on the wire, none below the buffer's.
pub const SKB_FIELDS: [&str; 5] = ["mark", "priority", "cb", "tstamp", "wire_len"];

/// The packet after a run on `before`, of what the kernel gave back.
pub fn packet_after(program_type: ProgramType, before: Vec<u8>, after: Vec<u8>) -> Vec<u8> {
    /// Bytes of an Ethernet header.
    const ETH_HLEN: usize = 14;
    match program_type {
        // It gives back the keys.
        ProgramType::FlowDissector => before,
        // `bpf_prog_test_run_skb` shows a link-layer header of zeros to those that do not see it.
        ProgramType::SocketFilter
        | ProgramType::CgroupSkb
        | ProgramType::LwtIn
        | ProgramType::LwtOut
        | ProgramType::LwtXmit
        | ProgramType::LwtSeg6local
            if before.len() >= ETH_HLEN && after.len() >= ETH_HLEN =>
        {
            [&before[..ETH_HLEN], &after[ETH_HLEN..]].concat()
        }
        _ => after,
    }
}

impl Engine for LinuxEngine {
    fn id(&self) -> EngineId {
        EngineId::Linux(self.version, self.mode)
    }

    fn sight(&self) -> Sight {
        Sight { whole_r0: self.whole, ..Sight::USER_SPACE }
    }

    fn is_contained(&self) -> bool {
        true
    }

    fn ahead(&mut self, tasks: &[Task]) {
        let mut asked: Vec<(Arc<Program>, Job, Vec<Run>)> = Vec::new();
        for Task { program, inputs } in tasks {
            let job = self.job(program);
            let mut runs = Vec::with_capacity(inputs.len());
            if self.scratch.load(program).is_ok() {
                for input in inputs {
                    if self.scratch.reset(input).is_ok() {
                        runs.extend(run_of(&self.scratch));
                    }
                }
            }
            match asked.iter_mut().find(|(_, other, _)| *other == job) {
                Some((.., known)) => known.extend(runs),
                None => asked.push((Arc::clone(program), job, runs)),
            }
        }
        let keys: Vec<Vec<u8>> = asked.iter().map(|(_, job, _)| wire::encode(job)).collect();
        self.known.clear();
        self.complaints.clear();
        for (key, (loaded, complaint)) in keys.into_iter().zip(self.ask(asked)) {
            self.complaints.extend(complaint.map(|complaint| (key.clone(), complaint)));
            self.known.insert(key, Arc::new(loaded));
        }
    }

    fn load(&mut self, program: &Verified) -> Result<(), Lack> {
        self.load_program(&program.share())
    }

    fn run(&mut self, world: &mut World) -> Result<u64, Trap> {
        let engine = self.id();
        let fail = |why| Trap::from(Unsupported::Run { engine, why });
        let loaded = self.loaded.as_ref().ok_or(fail(RunLack::Lost))?;
        let program = Arc::clone(&loaded.program);
        let run = run_of(world).map_err(fail)?;
        let Shown { ran, r0 } = self.shown(&run).map_err(fail)?;
        let maps: Result<Vec<(usize, Elements)>, RunLack> = run
            .read_back
            .iter()
            .zip(&ran.maps)
            .map(|(map, elements)| Ok((*map as usize, elements.clone().map_err(RunLack::Maps)?)))
            .collect();
        let packet = packet_after(program.program_type(), run.data, ran.data);
        world.take_over(&packet, &maps.map_err(fail)?).map_err(|_| fail(RunLack::Maps(0)))?;
        self.whole = r0.is_some();
        Ok(r0.unwrap_or(u64::from(ran.retval)))
    }

    fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }
}
