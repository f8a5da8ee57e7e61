//! A case: one program, the verdict it deserves, and inputs with what must come of them.

use std::path::PathBuf;

use semantics::asm::{self, AsmError};
use semantics::encoding::{self, DecodeError, DecodeErrorKind};
use semantics::insn::Insn;
use semantics::map::{Contents, MapDef};
pub use semantics::program::Load;
use semantics::program::{Program, ProgramError};
use semantics::program_type::ProgramType;
use semantics::world::{Input, Room};

/// One case of a case file. [`read`](crate::read::read) makes it from YAML, [`Case::to_yaml`] writes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name, once per file.
    pub name: String,
    /// What it is about, in one line; may be empty.
    pub story: String,
    /// Program type; socket filter unless stated.
    pub program_type: ProgramType,
    /// License; `GPL` unless stated.
    pub license: String,
    /// What else is said at the load.
    pub load: Load,
    /// The program's maps, in the order of their indices. Names are unique.
    pub maps: Vec<MapDef>,
    /// The program.
    pub code: Code,
    /// Programs that its tail calls lead to, in assembly, by the names that program arrays hold them under. The program itself
    /// is [`MAIN`] there.
    pub targets: Vec<(String, String)>,
    /// What the verifier must say.
    pub verdict: Verdict,
    /// Strings that occur in the verifier's log, in this order.
    pub message: Vec<String>,
    /// What the program is run on.
    pub runs: Vec<Run>,
    /// Where the case comes from, if a fuzzer found it.
    pub finding: Option<FindingNote>,
}

/// What program arrays call the program of the case itself.
pub const MAIN: &str = "main";

/// The program of a case, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// Assembly; maps by name.
    Asm(String),
    /// Slots of 8 bytes, as in memory; a map is its index.
    Slots(Vec<u8>),
    /// An ELF object.
    Object(Object),
}

/// A compiled program in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The path as written: relative to the case file.
    pub path: PathBuf,
    /// Its section, where there are several.
    pub section: Option<String>,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
}

/// What the verifier must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It accepts.
    #[default]
    Accept,
    /// It rejects.
    Reject,
    /// It is not asked: the case is about what engines do. Native engines run such a program only if it is accepted, or
    /// where the process may be lost.
    Any,
}

impl Verdict {
    /// The word for it in a case file.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Reject => "reject",
            Verdict::Any => "any",
        }
    }
}

/// One run: an input and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Run {
    /// What the program is run on.
    pub input: Input,
    /// What must come of it.
    pub expect: Expected,
}

/// What must come of a run. What is not stated is not compared, except between engines.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Expected {
    /// How the run ends.
    pub result: Option<Ending>,
    /// The bytes of the packet afterwards.
    pub packet: Option<Vec<u8>>,
    /// Maps that are compared whole, by index: elements that are not listed do not exist in a hash and are zero in an
    /// array.
    pub maps: Vec<(usize, Vec<Element>)>,
    /// What rooms of the world show: all that is listed; nothing at all where the list is empty.
    pub world: Vec<Shown>,
}

/// A room, and the names and values that it shows.
pub type Shown = (Room, Vec<(String, String)>);

/// Key and value of a map element.
pub type Element = (Vec<u8>, Vec<u8>);

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By exit, with this in R0.
    Result(u64),
    /// By exit, with this in the low half of R0: what `BPF_PROG_TEST_RUN` shows.
    Return(u32),
    /// By a trap whose description contains this.
    Trap(String),
}

/// What a fuzzer found with a case, enough to replay it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FindingNote {
    /// The oracle that was violated.
    pub oracle: String,
    /// The engines that it was about.
    pub engines: Vec<String>,
    /// What differed.
    pub difference: String,
    /// The planted mistake that was active, if any.
    pub plant: Option<String>,
    /// The target of the fuzzer, if it is not the default one.
    pub target: Option<String>,
}

/// Why a case has no program.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The text is no assembly.
    #[error(transparent)]
    Asm(#[from] AsmError),
    /// The bytes are no instructions.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The instructions are no program.
    #[error(transparent)]
    Structure(#[from] ProgramError),
    /// The object cannot be loaded.
    #[error(transparent)]
    Load(#[from] Box<semantics::loader::LoadError>),
}

impl Malformed {
    /// Whether a verifier would say this of a program that it was given: the case then counts as rejected.
    pub fn is_rejection(&self) -> bool {
        match self {
            Malformed::Decode(error) => !matches!(error.kind, DecodeErrorKind::Unsupported { .. }),
            Malformed::Structure(_) => true,
            Malformed::Asm(_) | Malformed::Load(_) => false,
        }
    }
}

impl Case {
    /// A socket filter under the GPL with these maps and this code, without runs, expected to be accepted.
    pub fn new(name: impl Into<String>, maps: Vec<MapDef>, code: Code) -> Case {
        Case {
            name: name.into(),
            story: String::new(),
            program_type: ProgramType::SocketFilter,
            license: "GPL".to_owned(),
            load: Load::default(),
            maps,
            code,
            targets: Vec::new(),
            verdict: Verdict::Accept,
            message: Vec::new(),
            runs: Vec::new(),
            finding: None,
        }
    }

    /// A case about `program`, without runs, expected to be accepted: what a fuzzer starts a finding from. Names of maps
    /// must be unique.
    pub fn of_program(name: impl Into<String>, program: &Program) -> Case {
        let starts: Vec<usize> = [0].into_iter().chain(program.targets().iter().map(|target| target.start)).collect();
        let part = |at: usize| {
            let end = starts.get(at + 1).copied().unwrap_or(program.insns().len());
            semantics::disasm::disassemble(&program.insns()[starts[at]..end])
        };
        Case {
            name: name.into(),
            story: String::new(),
            program_type: program.program_type(),
            license: program.license().to_owned(),
            load: program.load().clone(),
            maps: program.maps().iter().map(|def| with_main(def, program)).collect(),
            code: Code::Asm(part(0)),
            targets: program
                .targets()
                .iter()
                .enumerate()
                .map(|(at, target)| (target.name.clone(), part(at + 1)))
                .collect(),
            verdict: Verdict::Accept,
            message: Vec::new(),
            runs: Vec::new(),
            finding: None,
        }
    }

    /// The program.
    pub fn program(&self) -> Result<Program, Malformed> {
        let insns = match &self.code {
            Code::Asm(text) => self.assemble(text)?,
            Code::Slots(bytes) => encoding::decode(bytes)?,
            Code::Object(object) => {
                return Ok(semantics::loader::load(&object.bytes, object.section.as_deref()).map_err(Box::new)?);
            }
        };
        let program = |name: &str, insns| {
            let program = Program::new(name, self.program_type, self.license.clone(), self.maps.clone(), insns)?;
            Ok::<_, ProgramError>(program.with_load(self.load.clone()))
        };
        if self.targets.is_empty() {
            // A program array may hold the program itself and nothing else.
            let name = if self.maps.iter().any(holds_main) { MAIN } else { &self.name };
            return Ok(program(name, insns)?);
        }
        let target = |(name, text): &(String, String)| Ok(program(name, self.assemble(text)?)?);
        let targets: Result<Vec<Program>, Malformed> = self.targets.iter().map(target).collect();
        Ok(program(MAIN, insns)?.with_targets(targets?)?)
    }

    /// Assembles a program that uses the maps of the case.
    pub fn assemble(&self, text: &str) -> Result<Vec<Insn>, Malformed> {
        let maps = |name: &str| self.map_index(name).map(|at| at as u32);
        Ok(asm::assemble_with(text, asm::Options { maps: &maps, ..asm::Options::default() })?)
    }

    /// The index of the map of this name.
    pub fn map_index(&self, name: &str) -> Option<usize> {
        self.maps.iter().position(|map| map.name == name)
    }
}

fn holds_main(def: &MapDef) -> bool {
    matches!(&def.contents, Contents::Programs(programs) if programs.iter().any(|(_, name)| name == MAIN))
}

/// The map, with the program's own name for what program arrays hold replaced by [`MAIN`].
fn with_main(def: &MapDef, program: &Program) -> MapDef {
    let mut def = def.clone();
    if let Contents::Programs(programs) = &mut def.contents {
        for (_, name) in programs.iter_mut().filter(|(_, name)| name == program.name()) {
            MAIN.clone_into(name);
        }
    }
    def
}
