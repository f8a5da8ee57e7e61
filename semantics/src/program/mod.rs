//! A program as it is loaded: instructions, maps, type and license, checked for structure.

use std::sync::Arc;

use crate::insn::{Insn, Op, Opcode};
use crate::map::MapDef;
use crate::memory::layout::FRAMES_MAX;
use crate::program_type::{AttachType, ProgramType};

mod debug;

pub use debug::{Debug, Line};

/// The most slots of a program (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const INSNS_MAX: usize = 1_000_000;

/// The most subprograms of a program (`BPF_MAX_SUBPROGS`).
pub const SUBPROGRAMS_MAX: usize = 256;

/// A structurally sound program: every jump leads to an instruction of its subprogram, every call to the first one of a
/// subprogram, and control cannot run off the end of any.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // `program_type` is the kernel's word, and `type` Rust's
pub struct Program {
    name: String,
    program_type: ProgramType,
    load: Load,
    license: String,
    maps: Vec<MapDef>,
    insns: Vec<Insn>,
    /// First slots, ascending; the first is 0.
    subprograms: Vec<usize>,
    /// Programs that tail calls lead to, behind the program itself.
    targets: Vec<Part>,
    debug: Arc<Debug>,
}

/// What a program says at its load beside its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// What it will be attached to (`expected_attach_type`).
    pub attach_type: Option<AttachType>,
    /// The function or type of the kernel that it will be attached to (`attach_btf_id`).
    pub attach_to: Option<String>,
    /// Every access must be aligned, as on machines that do not align themselves (`BPF_F_STRICT_ALIGNMENT`).
    pub strict_alignment: bool,
    /// States are kept more often than needed (`BPF_F_TEST_STATE_FREQ`): no verdict changes, only the log.
    pub test_state_freq: bool,
    /// It may sleep (`BPF_F_SLEEPABLE`).
    pub sleepable: bool,
    /// It knows packets of several fragments (`BPF_F_XDP_HAS_FRAGS`).
    pub frags: bool,
}

/// A program among those that tail-call each other: its instructions, with its subprograms, lie behind those of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What program arrays name it by.
    pub name: String,
    /// Its first slot.
    pub start: usize,
}

/// Why instructions are no program. Indices count slots, as the kernel's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is nothing to run.
    #[error("the program has no instructions")]
    Empty,
    /// More than [`INSNS_MAX`] slots.
    #[error("the program has {0} instructions, the limit is {INSNS_MAX}")]
    TooLong(usize),
    /// A jump out of the program.
    #[error("jump out of range from insn {from} to {to}")]
    JumpOutOfRange {
        /// The jump.
        from: usize,
        /// Where it leads.
        to: i64,
    },
    /// A call, or the address of a subprogram, that leads out of the program or to the second slot of a wide instruction.
    #[error("call to invalid destination: insn {from} to {to}")]
    CallOutOfRange {
        /// The call.
        from: usize,
        /// Where it leads.
        to: i64,
    },
    /// More than [`SUBPROGRAMS_MAX`] subprograms.
    #[error("too many subprograms: {0}, the limit is {SUBPROGRAMS_MAX}")]
    TooManySubprograms(usize),
    /// A jump to the second slot of a wide instruction.
    #[error("jump into the middle of ldimm64 insn {wide} from insn {from}")]
    JumpIntoWide {
        /// The jump.
        from: usize,
        /// The wide instruction.
        wide: usize,
    },
    /// A wide instruction whose second slot is missing, or a second slot on its own.
    #[error("insn {0}: a 64-bit immediate takes two slots")]
    BrokenWide(usize),
    /// The last instruction of a subprogram is neither exit nor an unconditional jump.
    #[error("last insn is not an exit or jmp: insn {0}")]
    FallsOff(usize),
    /// The parts of a program that makes tail calls cannot be told apart in other instructions.
    #[error("the instructions of a program with tail-call targets cannot be replaced")]
    Linked,
    /// A tail call leads to a program of the same type, that uses the same maps.
    #[error("target {0} of tail calls has another program type, other maps, or targets of its own")]
    Incompatible(usize),
    /// A map index beyond the program's list.
    #[error("insn {at}: fd {map} is not pointing to valid bpf_map")]
    NoSuchMap {
        /// The instruction.
        at: usize,
        /// The index it names.
        map: u32,
    },
}

impl Program {
    /// Checks the structure of `insns`, one entry per slot.
    ///
    /// ```
    /// use semantics::insn::{Insn, Opcode};
    /// use semantics::program::{Program, ProgramError};
    /// use semantics::program_type::ProgramType;
    /// let exit = Insn::new(Opcode::Exit);
    /// assert!(Program::new("p", ProgramType::Xdp, "GPL", vec![], vec![exit]).is_ok());
    /// assert_eq!(Program::new("p", ProgramType::Xdp, "GPL", vec![], vec![]), Err(ProgramError::Empty));
    /// ```
    pub fn new(
        name: impl Into<String>,
        program_type: ProgramType,
        license: impl Into<String>,
        maps: Vec<MapDef>,
        insns: Vec<Insn>,
    ) -> Result<Program, ProgramError> {
        let subprograms = check(&insns, maps.len())?;
        let (name, license) = (name.into(), license.into());
        let (load, targets, debug) = (Load::default(), Vec::new(), Arc::default());
        Ok(Program { name, program_type, load, license, maps, insns, subprograms, targets, debug })
    }

    /// The same with the programs that its tail calls, and those of the targets themselves, lead to: program arrays name them.
    /// Each has the type of this one and was made with the same maps (`bpf_prog_map_compatible`).
    pub fn with_targets(mut self, targets: Vec<Program>) -> Result<Program, ProgramError> {
        let mut debug = Debug::clone(&self.debug);
        for (number, target) in targets.into_iter().enumerate() {
            if target.program_type != self.program_type || target.maps != self.maps || !target.targets.is_empty() {
                return Err(ProgramError::Incompatible(number));
            }
            let start = self.insns.len();
            self.insns.extend(target.insns);
            self.subprograms.extend(target.subprograms.iter().map(|slot| slot + start));
            debug.append(&target.debug, start);
            self.targets.push(Part { name: target.name, start });
        }
        self.debug = Arc::new(debug);
        Ok(self)
    }

    /// The same with names and source lines.
    #[must_use]
    pub fn with_debug(self, debug: Debug) -> Program {
        Program { debug: Arc::new(debug), ..self }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its type, which fixes the context and the helpers.
    pub fn program_type(&self) -> ProgramType {
        self.program_type
    }
    /// What it said that it will be attached to (`expected_attach_type`).
    pub fn attach_type(&self) -> Option<AttachType> {
        self.load.attach_type
    }
    /// The same program, attached to something else.
    #[must_use]
    pub fn with_attach(mut self, attach_type: Option<AttachType>) -> Program {
        self.load.attach_type = attach_type;
        self
    }
    /// What it says at its load.
    pub fn load(&self) -> &Load {
        &self.load
    }
    /// The same program, loaded otherwise.
    #[must_use]
    pub fn with_load(self, load: Load) -> Program {
        Program { load, ..self }
    }
    /// Its license string.
    pub fn license(&self) -> &str {
        &self.license
    }
    /// Whether GPL-only helpers are open to it (`license_is_gpl_compatible`).
    pub fn is_gpl_compatible(&self) -> bool {
        matches!(
            self.license.as_str(),
            "GPL" | "GPL v2" | "GPL and additional rights" | "Dual BSD/GPL" | "Dual MIT/GPL" | "Dual MPL/GPL"
        )
    }
    /// Its maps; [`Opcode::LddwMap`] names them by index.
    pub fn maps(&self) -> &[MapDef] {
        &self.maps
    }
    /// Its instructions, one entry per slot; the second slot of a wide one is [`Opcode::WideTail`].
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }
    /// First slots of its subprograms, ascending; the first is 0, the program's entry.
    pub fn subprograms(&self) -> &[usize] {
        &self.subprograms
    }
    /// The programs that tail calls lead to; their instructions lie behind those of the program itself.
    pub fn targets(&self) -> &[Part] {
        &self.targets
    }
    /// The program and its targets, each alone, with its first slot here: a verifier looks at each by itself.
    pub fn parts(&self) -> Vec<(usize, Program)> {
        let alone = |name: &str, start: usize, end: usize| {
            let slots = self.subprograms.iter().filter(|slot| (start..end).contains(*slot)).map(|slot| slot - start);
            Program {
                name: name.to_owned(),
                insns: self.insns[start..end].to_vec(),
                subprograms: slots.collect(),
                targets: Vec::new(),
                debug: Arc::new(self.debug.part(start, end)),
                ..self.clone()
            }
        };
        let own = [(self.name.as_str(), 0)].into_iter();
        let starts: Vec<(&str, usize)> =
            own.chain(self.targets.iter().map(|part| (part.name.as_str(), part.start))).collect();
        let ends = starts[1..].iter().map(|(_, start)| *start).chain([self.insns.len()]);
        starts.iter().zip(ends).map(|((name, start), end)| (*start, alone(name, *start, end))).collect()
    }
    /// The number of the target of this name, counted from 1; 0 if it is this program's own name.
    pub fn part_number(&self, name: &str) -> Option<u32> {
        let target = self.targets.iter().position(|part| part.name == name).map(|at| at as u32 + 1);
        target.or((self.name == name).then_some(0))
    }
    /// For each subprogram how many frames calls from it can put behind its own, calls by helpers left out; `None` if that is
    /// without bound, or a chain of calls has more than [`FRAMES_MAX`] frames (`check_max_stack_depth`).
    pub fn call_depths(&self) -> Option<Vec<u64>> {
        let caller_of = |slot: usize| self.subprograms.partition_point(|start| *start <= slot) - 1;
        let is_call = |(slot, insn): (usize, &Insn)| {
            (insn.op() == Op::CallLocal).then(|| (caller_of(slot), caller_of(insn.target(slot) as usize)))
        };
        let mut calls: Vec<(usize, usize)> = self.insns.iter().enumerate().filter_map(is_call).collect();
        calls.sort_unstable();
        calls.dedup();
        let mut depths = vec![0; self.subprograms.len()];
        // Each round adds a frame to the longest chain.
        for _ in 0..FRAMES_MAX {
            let before = depths.clone();
            for (caller, callee) in &calls {
                depths[*caller] = depths[*caller].max(before[*callee] + 1);
            }
            if depths == before {
                return Some(depths);
            }
        }
        None
    }
    /// Names and source lines.
    pub fn debug(&self) -> &Debug {
        &self.debug
    }
    /// Instructions with their slots, without the tails of wide ones.
    pub fn instructions(&self) -> impl Iterator<Item = (usize, &Insn)> {
        self.insns.iter().enumerate().filter(|(_, insn)| insn.opcode != Opcode::WideTail)
    }
    /// The same program with other instructions.
    pub fn with_insns(&self, insns: Vec<Insn>) -> Result<Program, ProgramError> {
        if !self.targets.is_empty() {
            return Err(ProgramError::Linked);
        }
        let subprograms = check(&insns, self.maps.len())?;
        Ok(Program { insns, subprograms, ..self.clone() })
    }
}

/// Checks slots, calls and jumps (`check_subprogs`); first slots of subprograms.
fn check(insns: &[Insn], maps: usize) -> Result<Vec<usize>, ProgramError> {
    if insns.is_empty() {
        return Err(ProgramError::Empty);
    }
    if insns.len() > INSNS_MAX {
        return Err(ProgramError::TooLong(insns.len()));
    }
    check_slots(insns, maps)?;
    let starts = subprograms(insns)?;
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(insns.len());
        check_jumps(insns, *start, end)?;
    }
    Ok(starts)
}

/// Wide instructions have their second slots and name maps that there are.
fn check_slots(insns: &[Insn], maps: usize) -> Result<(), ProgramError> {
    let mut tail_due = false;
    for (at, insn) in insns.iter().enumerate() {
        if tail_due != (insn.opcode == Opcode::WideTail) {
            return Err(ProgramError::BrokenWide(if tail_due { at - 1 } else { at }));
        }
        let op = insn.op();
        tail_due = matches!(op, Op::Wide(_));
        if let Op::Wide(kind) = op
            && ((kind.names_map() && insn.imm as usize >= maps) || (!kind.has_high_half() && insn.imm_hi != 0))
        {
            return Err(ProgramError::NoSuchMap { at, map: insn.imm });
        }
    }
    if tail_due { Err(ProgramError::BrokenWide(insns.len() - 1)) } else { Ok(()) }
}

/// First slots of subprograms: the entry, and what calls and addresses name.
fn subprograms(insns: &[Insn]) -> Result<Vec<usize>, ProgramError> {
    let mut starts = vec![0];
    for (from, insn) in insns.iter().enumerate().filter(|(_, insn)| insn.op().names_subprogram()) {
        let to = insn.target(from);
        let start = usize::try_from(to).ok();
        match start.filter(|start| insns.get(*start).is_some_and(|insn| insn.opcode != Opcode::WideTail)) {
            Some(start) => starts.push(start),
            None => return Err(ProgramError::CallOutOfRange { from, to }),
        }
    }
    starts.sort_unstable();
    starts.dedup();
    if starts.len() > SUBPROGRAMS_MAX { Err(ProgramError::TooManySubprograms(starts.len())) } else { Ok(starts) }
}

/// Jumps of the subprogram in these slots stay inside of it, and its last instruction does not fall through.
fn check_jumps(insns: &[Insn], start: usize, end: usize) -> Result<(), ProgramError> {
    for (at, insn) in insns.iter().enumerate().take(end).skip(start) {
        if !insn.op().is_jump() {
            continue;
        }
        let to = insn.target(at);
        match usize::try_from(to).ok().filter(|to| (start..end).contains(to)) {
            None => return Err(ProgramError::JumpOutOfRange { from: at, to }),
            Some(to) if insns[to].opcode == Opcode::WideTail => {
                return Err(ProgramError::JumpIntoWide { from: at, wide: to - 1 });
            }
            Some(_) => {}
        }
    }
    match insns[end - 1].op() {
        Op::Exit | Op::Ja | Op::Gotol => Ok(()),
        _ => Err(ProgramError::FallsOff(end - 1)),
    }
}

/// A program that native code may run: accepted by the verifier, or trusted by name.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Program>);

impl Verified {
    /// Declares a program fit to run natively.
    ///
    /// # Safety
    /// Every access that the program makes lies inside the regions of its world, and it ends; or the process that runs
    /// it is isolated and may be lost.
    pub unsafe fn trust(program: Arc<Program>) -> Verified {
        Verified(program)
    }
    /// The program.
    pub fn program(&self) -> &Program {
        &self.0
    }
    /// The program, shared.
    pub fn share(&self) -> Arc<Program> {
        Arc::clone(&self.0)
    }
}
