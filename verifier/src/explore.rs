//! All paths, depth first (kernel: `do_check`, `is_state_visited`).
//!
//! A state that an earlier one covers is not followed again. That is exact: every range of every register that is still
//! wanted is compared, and only with states whose paths have all been followed to the end.

use crate::branch;
use crate::compare::{self, IdMap};
use crate::dialect::Dialect;
use crate::env::{Env, Later};
use crate::flow::Flow;
use crate::frames;
use crate::helper;
use crate::insn::jump::Ways;
use crate::insn::{alu, call, is_followed, is_unknown_at_once, load_store, mov, wide};
use crate::log;
use crate::refusal::{Refusal, Stop, Unsupported};
use crate::rules::Rules;
use crate::state::{Kind, State};
use crate::states::States;
use crate::verdict::{Accepted, Rejection, Stats, Step, Verdict};
use semantics::insn::{Insn, Op, Reg};
use semantics::map::MapDef;
use semantics::program::{Load, Program, Verified};
use semantics::program_type::ProgramType;
use semantics::word::Concrete;
use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;

/// The most steps over all paths (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const STEPS_MAX: u32 = 1_000_000;

/// The most states that are recorded, about a kilobyte each: a program with more is accepted without them.
pub const RECORDS_MAX: usize = 1 << 16;
/// The most ways that wait to be followed (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
const PENDING_MAX: usize = 8192;

const NONE: u32 = u32::MAX;

/// How to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The version of Linux whose rules hold.
    pub dialect: Dialect,
    /// Keep the states before every instruction, [`RECORDS_MAX`] at most, for [`States::contains`]. Registers that nobody reads any more are then
    /// compared like others.
    pub record: bool,
    /// Write a log like the kernel's at level 2.
    pub log: bool,
}

/// A verifier: rules, and memory that is used again from program to program.
#[derive(Debug, Default)]
pub struct Verifier {
    rules: Rules<Concrete>,
    flow: Flow,
    ids: IdMap,
    current: Option<State>,
    taken: Option<State>,
    work: Pool<Pending>,
    saved: Pool<Saved>,
    /// By instruction, the last saved state.
    heads: Vec<u32>,
    /// By instruction, what it accessed.
    accessed: Vec<Option<Kind>>,
    trail: Vec<Trail>,
    spare: States,
    log: String,
}

/// A list whose elements keep their memory when it is emptied.
#[derive(Debug)]
struct Pool<T> {
    all: Vec<T>,
    used: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { all: Vec::new(), used: 0 }
    }
}

impl<T> Pool<T> {
    /// An element to fill: an old one, or what `new` makes.
    fn push(&mut self, new: impl FnOnce() -> T) -> &mut T {
        if self.used == self.all.len() {
            self.all.push(new());
        }
        self.used += 1;
        &mut self.all[self.used - 1]
    }
}

/// A way that is still to be followed.
#[derive(Debug)]
struct Pending {
    state: State,
    at: Place,
}

/// Where a path is, and how it got there.
#[derive(Clone, Copy, Debug)]
struct Place {
    pc: usize,
    /// The last saved state on the path.
    parent: u32,
    /// The last decision on the path.
    trail: u32,
}

/// A state that later ones are compared with (`struct bpf_verifier_state_list`).
#[derive(Debug)]
struct Saved {
    state: State,
    parent: u32,
    next: u32,
    /// Paths from here that are not at their end.
    branches: u32,
    hits: u32,
    misses: u32,
}

/// A decision: at this jump, taken or not.
#[derive(Clone, Copy, Debug)]
struct Trail {
    step: Step,
    before: u32,
}

/// What the kernel counts to decide whether a state is worth saving.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    insns: u32,
    jumps: u32,
    saved_insns: u32,
    saved_jumps: u32,
}

/// Where a path goes on.
enum Next {
    Follow(usize),
    End,
}

/// The program types whose rules are known: what else a program may return, call and read is not checked.
pub const PROGRAM_TYPES: [ProgramType; 2] = [ProgramType::SocketFilter, ProgramType::Xdp];

/// Verifies `program` once.
///
/// ```
/// use semantics::insn::{Insn, Opcode, Reg};
/// use semantics::{program::Program, program_type::ProgramType};
/// use verifier::{Options, Verdict, verify};
/// let insns = vec![Insn::new(Opcode::Mov64X).dst(Reg::R0).src(Reg::R2), Insn::new(Opcode::Exit)];
/// let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns)?.into();
/// let Verdict::Reject(rejection) = verify(&program, &Options::default()) else { panic!() };
/// assert_eq!(rejection.message(), "R2 !read_ok");
/// # Ok::<(), semantics::program::ProgramError>(())
/// ```
pub fn verify(program: &Arc<Program>, options: &Options) -> Verdict {
    Verifier::default().verify(program, options)
}

impl Verifier {
    /// A verifier with other rules: planted mistakes.
    pub fn with_rules(rules: Rules<Concrete>) -> Verifier {
        Verifier { rules, ..Verifier::default() }
    }

    /// Verifies `program`, and each program that its tail calls lead to: as Linux does, one by one.
    pub fn verify(&mut self, program: &Arc<Program>, options: &Options) -> Verdict {
        if program.targets().is_empty() {
            return self.verify_alone(program, options);
        }
        let (mut stats, mut log) = (Stats::default(), String::new());
        for (start, part) in program.parts() {
            match self.verify_alone(&Arc::new(part), options) {
                Verdict::Accept(accepted) => {
                    stats =
                        Stats { insns: stats.insns + accepted.stats.insns, saved: stats.saved + accepted.stats.saved };
                    log.push_str(&accepted.log);
                }
                Verdict::Reject(rejection) => return Verdict::Reject(rejection.behind(start)),
                unsupported @ Verdict::Unsupported(_) => return unsupported,
            }
        }
        // SAFETY: each of the programs was accepted, and they reach each other by tail calls only.
        let verified = unsafe { Verified::trust(Arc::clone(program)) };
        Verdict::Accept(Accepted { verified, states: None, stats, log })
    }

    fn verify_alone(&mut self, program: &Arc<Program>, options: &Options) -> Verdict {
        if let Some(lack) = program.maps().iter().find_map(MapDef::lack) {
            return Verdict::Unsupported(Unsupported::Map(lack));
        }
        let is_known = |insn: &Insn| options.dialect.has(insn.op());
        if let Some((_, insn)) = program.instructions().find(|(_, insn)| is_known(insn) && !is_followed(insn.op())) {
            return Verdict::Unsupported(Unsupported::Insn { name: insn.opcode.row().name });
        }
        if !PROGRAM_TYPES.contains(&program.program_type()) {
            return Verdict::Unsupported(Unsupported::ProgramType(program.program_type()));
        }
        if let Some(property) = load_property(program) {
            return Verdict::Unsupported(Unsupported::Load(property));
        }
        let mut exploration = Exploration {
            env: Env {
                program,
                declaration: program.program_type().declaration(),
                rules: &self.rules.clone(),
                dialect: options.dialect,
                stack_depths: vec![Cell::new(0); program.subprograms().len()],
                later: Vec::new(),
                last_id: 0,
            },
            options,
            counts: Counts::default(),
            state: self.current.take().unwrap_or_else(State::entry),
            taken: self.taken.take().unwrap_or_else(State::entry),
            at: Place { pc: 0, parent: NONE, trail: NONE },
            store: self,
        };
        let result = exploration.run();
        let Exploration { counts, at, state, taken, .. } = exploration;
        self.current = Some(state);
        self.taken = Some(taken);
        let stats = Stats { insns: counts.insns, saved: self.saved.used as u32 };
        match result {
            Ok(()) => self.accept(program, options, stats),
            Err(Stop::Unsupported(unsupported)) => Verdict::Unsupported(unsupported),
            Err(Stop::Refused(refusal)) => self.reject(refusal, options, stats, at),
        }
    }

    /// Takes the memory of recorded states back, to use it for the next ones.
    pub fn recycle(&mut self, states: States) {
        self.spare = states;
    }

    /// Keeps a way for later; what it knows is swapped for something else (`push_stack`).
    fn keep(&mut self, at: Place, state: &mut State) -> Result<(), Refusal> {
        if let Some(parent) = self.saved.all.get_mut(at.parent as usize) {
            parent.branches += 1;
        }
        let pending = self.work.push(|| Pending { state: State::entry(), at });
        pending.at = at;
        std::mem::swap(&mut pending.state, state);
        if self.work.used > PENDING_MAX {
            return Err(Refusal::TooManyJumps { jumps: self.work.used });
        }
        Ok(())
    }

    fn accept(&mut self, program: &Arc<Program>, options: &Options, stats: Stats) -> Verdict {
        if options.log {
            let _ = writeln!(self.log, "{stats}");
        }
        // SAFETY: every path was followed to its end, and every access on it found to be in bounds.
        let verified = unsafe { Verified::trust(Arc::clone(program)) };
        let complete = options.record && self.spare.len() < RECORDS_MAX;
        let states = complete.then(|| std::mem::take(&mut self.spare));
        Verdict::Accept(Accepted { verified, states, stats, log: std::mem::take(&mut self.log) })
    }

    fn reject(&mut self, refusal: Refusal, options: &Options, stats: Stats, at: Place) -> Verdict {
        let mut path = Vec::new();
        let mut next = at.trail;
        while let Some(decision) = self.trail.get(next as usize) {
            path.push(decision.step);
            next = decision.before;
        }
        path.reverse();
        if options.log {
            let _ = writeln!(self.log, "{refusal}\n{stats}");
        }
        let insn = match refusal {
            Refusal::Unreachable { insn } | Refusal::TooNew { insn, .. } => insn,
            _ => at.pc,
        };
        Verdict::Reject(Rejection { insn, refusal, path, stats, log: std::mem::take(&mut self.log) })
    }
}

/// What the program says at its load that changes the rules, and whose rules are not known.
fn load_property(program: &Program) -> Option<&'static str> {
    let Load { attach_type, attach_to, strict_alignment, test_state_freq: _, sleepable, frags } = program.load();
    let known = &program.program_type().fact().attach_types;
    let is_strange = attach_type.is_some_and(|of| !known.contains(&of));
    [
        (*strict_alignment, "strict_alignment"),
        (*sleepable, "sleepable"),
        (*frags && program.program_type() != ProgramType::Xdp, "frags"),
        (attach_to.is_some(), "attach_to"),
        (is_strange, "an attach type that is not one of the program type"),
    ]
    .into_iter()
    .find_map(|(lacks, property)| lacks.then_some(property))
}

/// One verification under way.
struct Exploration<'a> {
    env: Env<'a>,
    options: &'a Options,
    counts: Counts,
    state: State,
    /// Where a jump's other way is made.
    taken: State,
    at: Place,
    store: &'a mut Verifier,
}

impl Exploration<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let insns = self.env.program.insns();
        let store = &mut *self.store;
        (store.work.used, store.saved.used) = (0, 0);
        store.trail.clear();
        store.log.clear();
        store.heads.clear();
        store.heads.resize(insns.len(), NONE);
        store.accessed.clear();
        store.accessed.resize(insns.len(), None);
        store.spare.reset(if self.options.record { insns.len() } else { 0 });
        let dialect = self.options.dialect;
        // Others are taken for older ones with a reserved field, which is looked at where they are followed.
        let is_no_code = |insn: &Insn| !dialect.has(insn.op()) && is_unknown_at_once(insn.op());
        if let Some(insn) = insns.iter().position(is_no_code) {
            return Err(Refusal::TooNew { insn, opcode: insns[insn].opcode }.into());
        }
        store.flow.analyse(insns, !self.options.record)?;
        self.state.reset();
        if self.options.log {
            self.log_state();
        }
        loop {
            if let Next::Follow(pc) = self.step(insns)? {
                self.at.pc = pc;
            } else if !self.next_path() {
                return Ok(frames::check(&self.env)?);
            }
        }
    }

    /// One instruction of one path.
    fn step(&mut self, insns: &[Insn]) -> Result<Next, Stop> {
        let pc = self.at.pc;
        let insn = &insns[pc];
        self.counts.insns += 1;
        if self.counts.insns > STEPS_MAX {
            return Err(Refusal::TooLarge { processed: self.counts.insns }.into());
        }
        if self.store.flow.joins[pc] && self.visit()? {
            return Ok(Next::End);
        }
        if self.options.record && self.store.spare.len() < RECORDS_MAX {
            self.store.spare.record(pc, &self.state);
        }
        if self.options.log {
            log::instruction(&mut self.store.log, pc, insn);
        }
        let next = self.follow(insn);
        self.keep_later()?;
        if self.options.log {
            match next {
                Ok(_) => log::change(&mut self.store.log, insn, &self.state, self.env.program),
                Err(_) => self.store.log.push('\n'),
            }
        }
        next
    }

    fn follow(&mut self, insn: &Insn) -> Result<Next, Stop> {
        let (env, state, pc) = (&mut self.env, &mut self.state, self.at.pc);
        if !env.dialect.has(insn.op()) {
            return Err(Refusal::TooNew { insn: pc, opcode: insn.opcode }.into());
        }
        match insn.op() {
            Op::Alu { op, width, source } => alu::check(env, state, op, width, source, insn)?,
            Op::Neg { width } => alu::check_neg(env, state, width, insn)?,
            Op::Mov { width, source } => mov::check(env, state, width, source, insn)?,
            Op::Wide(kind) => {
                wide::check(state, kind, insn)?;
                return Ok(Next::Follow(pc + 2));
            }
            Op::Load { size } => {
                let kind = state.reg(insn.src).kind;
                load_store::check_load(env, state, size, insn)?;
                self.check_same_pointer(insn.src, kind)?;
            }
            Op::Store { size, source } => {
                let kind = state.reg(insn.dst).kind;
                load_store::check_store(env, state, size, source, insn)?;
                self.check_same_pointer(insn.dst, kind)?;
            }
            Op::CallHelper => return Ok(Next::Follow(helper::check(env, state, insn, pc)?)),
            Op::CallLocal => return Ok(Next::Follow(call::check_local(env, state, insn, pc)?)),
            Op::Ja => {
                self.counts.jumps += 1;
                return Ok(Next::Follow(insn.target(pc) as usize));
            }
            Op::Jump { cond, width, source } => {
                self.counts.jumps += 1;
                let ways = branch::check(env, state, &mut self.taken, (cond, width, source), insn)?;
                return Ok(self.jump(ways, insn)?);
            }
            Op::Exit => {
                return Ok(call::check_exit(env, state)?.map_or(Next::End, Next::Follow));
            }
            Op::WideTail => {}
            _ => return Err(Unsupported::Insn { name: insn.opcode.row().name }.into()),
        }
        Ok(Next::Follow(pc + 1))
    }

    /// An access is to the context on all paths or on none: the kernel translates those (`save_aux_ptr_type`).
    fn check_same_pointer(&mut self, reg: Reg, kind: Kind) -> Result<(), Refusal> {
        let seen = self.store.accessed[self.at.pc].replace(kind).unwrap_or(kind);
        if seen != kind && (seen == Kind::Ctx || kind == Kind::Ctx) {
            return Err(Refusal::DifferentPointers { reg });
        }
        Ok(())
    }

    /// Keeps the paths that began beside this one.
    fn keep_later(&mut self) -> Result<(), Refusal> {
        while let Some(Later { pc, mut state }) = self.env.later.pop() {
            self.store.keep(Place { pc, ..self.at }, &mut state)?;
        }
        Ok(())
    }

    /// Goes one way, and keeps the other for later.
    fn jump(&mut self, ways: Ways, insn: &Insn) -> Result<Next, Refusal> {
        let pc = self.at.pc;
        let before = self.at.trail;
        let target = insn.target(pc) as usize;
        let store = &mut *self.store;
        let mut decide = |taken| {
            store.trail.push(Trail { step: Step { insn: pc, taken }, before });
            store.trail.len() as u32 - 1
        };
        if ways == Ways::Both {
            let at = Place { pc: target, parent: self.at.parent, trail: decide(true) };
            self.at.trail = decide(false);
            store.keep(at, &mut self.taken)?;
            return Ok(Next::Follow(pc + 1));
        }
        self.at.trail = decide(ways == Ways::Take);
        Ok(Next::Follow(if ways == Ways::Take { target } else { pc + 1 }))
    }

    /// Ends this path and takes up another; false where there is none (`update_branch_counts`, `pop_stack`).
    fn next_path(&mut self) -> bool {
        let store = &mut *self.store;
        let mut parent = self.at.parent;
        while let Some(saved) = store.saved.all[..store.saved.used].get_mut(parent as usize) {
            saved.branches -= 1;
            if saved.branches > 0 {
                break;
            }
            parent = saved.parent;
        }
        if store.work.used == 0 {
            return false;
        }
        store.work.used -= 1;
        let pending = &mut store.work.all[store.work.used];
        std::mem::swap(&mut pending.state, &mut self.state);
        self.at = pending.at;
        if self.options.log {
            let _ = write!(self.store.log, "\nfrom {} to {}:", self.decision_at(), self.at.pc);
            self.log_state();
        }
        true
    }

    fn decision_at(&self) -> usize {
        self.store.trail.get(self.at.trail as usize).map_or(0, |decision| decision.step.insn)
    }

    fn log_state(&mut self) {
        log::state(&mut self.store.log, &self.state, self.env.program);
        self.store.log.push('\n');
    }

    /// Compares with the states saved here: true where one covers this state. Else this one may be saved
    /// (`is_state_visited`).
    fn visit(&mut self) -> Result<bool, Stop> {
        let pc = self.at.pc;
        let (store, counts) = (&mut *self.store, &self.counts);
        let (jumps, insns) = (counts.jumps - counts.saved_jumps, counts.insns - counts.saved_insns);
        let mut worth_saving = jumps >= 2 && insns >= 8;
        let (mut before, mut next) = (NONE, store.heads[pc]);
        while next != NONE {
            let at = next;
            let saved = &mut store.saved.all[at as usize];
            next = saved.next;
            if saved.branches > 0 {
                if compare::equal(&saved.state, &self.state, &mut store.ids) {
                    return Err(Refusal::InfiniteLoop { insn: pc }.into());
                }
                // A loop in progress: its rounds are not worth saving each.
                worth_saving &= jumps >= 20 || insns >= 100;
            } else if compare::subsumes(&saved.state, &self.state, pc, &store.flow.live, &mut store.ids) {
                saved.hits += 1;
                if self.options.log {
                    let from = store.trail.get(self.at.trail as usize).map_or(0, |decision| decision.step.insn);
                    let _ = writeln!(store.log, "from {from} to {pc}: safe");
                }
                return Ok(true);
            }
            // What never matches is not looked at again.
            saved.misses += u32::from(worth_saving);
            if saved.misses > saved.hits * 3 + 3 {
                match before {
                    NONE => store.heads[pc] = next,
                    before => store.saved.all[before as usize].next = next,
                }
            } else {
                before = at;
            }
        }
        if worth_saving {
            self.save();
        }
        Ok(false)
    }

    fn save(&mut self) {
        let (pc, parent) = (self.at.pc, self.at.parent);
        let store = &mut *self.store;
        let next = store.heads[pc];
        let saved = store.saved.push(|| Saved { state: State::entry(), parent, next, branches: 0, hits: 0, misses: 0 });
        saved.state.clone_from(&self.state);
        (saved.parent, saved.next, saved.branches, saved.hits, saved.misses) = (parent, next, 1, 0, 0);
        let at = store.saved.used as u32 - 1;
        store.heads[pc] = at;
        self.at.parent = at;
        self.counts.saved_jumps = self.counts.jumps;
        self.counts.saved_insns = self.counts.insns;
    }
}
