//! All paths, depth first (kernel: `do_check`, `is_state_visited`).
//!
//! A state that an earlier one covers is not followed again: see [`prune`](crate::prune).

use crate::branch;
use crate::dialect::Dialect;
use crate::env::{Env, Later};
use crate::explain::{Recorder, Way};
use crate::flow::{self, Flow};
use crate::frames;
use crate::helper;
use crate::insn::jump::Ways;
use crate::insn::{alu, atomic, call, endian, is_followed, load_store, mov, muldiv, packet, shift, wide};
use crate::invariant::{self, Broken, Which};
use crate::load;
use crate::log;
use crate::prune::Pruning;
use crate::prune::compare::IdMap;
use crate::prune::liveness::{Slots, Touched};
use crate::prune::precision::{Note, Traced};
use crate::refusal::{Refusal, Stop, Unsupported};
use crate::rules::Rules;
use crate::state::{Kind, State, Type};
use crate::states::States;
use crate::verdict::{Accepted, Rejection, Stats, Step, Verdict};
use semantics::insn::{Insn, Op, Reg, Source};
use semantics::program::{Program, Verified};
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

/// No number.
pub(crate) const NONE: u32 = u32::MAX;

/// How to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The version of Linux whose rules hold.
    pub dialect: Dialect,
    /// Keep the states before every instruction, [`RECORDS_MAX`] at most, for [`States::contains`]. Registers that nobody reads any more are then
    /// compared like others.
    pub record: bool,
    /// How states are compared; exactly where states are recorded.
    pub pruning: Pruning,
    /// Write a log like the kernel's at level 2.
    pub log: bool,
    /// Look for states that cannot be: see [`Verifier::broken`]. Debug builds always do.
    pub check_invariants: bool,
    /// Verify a rejected program once more, to keep the way to its rejection.
    pub explain: bool,
}

impl Options {
    /// Whether states are looked at for what cannot be.
    #[inline]
    pub(crate) fn looks(&self) -> bool {
        cfg!(debug_assertions) || self.check_invariants
    }
}

/// A verifier: rules, and memory that is used again from program to program.
#[derive(Debug, Default)]
pub struct Verifier {
    pub(crate) rules: Rules<Concrete>,
    pub(crate) flow: Flow,
    pub(crate) ids: IdMap,
    pub(crate) current: Option<State>,
    pub(crate) taken: Option<State>,
    work: Pool<Pending>,
    pub(crate) saved: Pool<Saved>,
    /// By instruction, the last saved state.
    pub(crate) heads: Vec<u32>,
    /// By instruction, what it accessed.
    pub(crate) accessed: Vec<Option<Type>>,
    trail: Vec<Trail>,
    /// Every instruction on every path, where what a verdict depends on is followed back.
    pub(crate) history: Vec<Traced>,
    pub(crate) spare: States,
    pub(crate) log: String,
    pub(crate) broken: Option<Broken>,
    pub(crate) refused_dead: bool,
    /// Keeps what happens on one path, where that is asked for.
    pub(crate) recorder: Option<Recorder>,
}

/// A list whose elements keep their memory when it is emptied.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    pub(crate) all: Vec<T>,
    pub(crate) used: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { all: Vec::new(), used: 0 }
    }
}

impl<T> Pool<T> {
    /// An element to fill: an old one, or what `new` makes.
    pub(crate) fn push(&mut self, new: impl FnOnce() -> T) -> &mut T {
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
pub(crate) struct Place {
    pub(crate) pc: usize,
    /// The last saved state on the path.
    pub(crate) parent: u32,
    /// The last decision on the path.
    pub(crate) trail: u32,
    /// The last instruction on the path.
    pub(crate) step: u32,
    /// Slots written since the last saved state.
    pub(crate) written: Slots,
    /// Whether no run comes here, as far as states were looked at.
    pub(crate) dead: bool,
}

/// A state that later ones are compared with (`struct bpf_verifier_state_list`).
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) state: State,
    /// The instruction.
    pub(crate) pc: usize,
    pub(crate) parent: u32,
    pub(crate) next: u32,
    /// Paths from here that are not at their end.
    pub(crate) branches: u32,
    pub(crate) hits: u32,
    pub(crate) misses: u32,
    /// The last instruction before it.
    pub(crate) step: u32,
    /// Slots that are read behind it before they are written.
    pub(crate) read: Slots,
    /// Slots that were written on the way to it from the one before it.
    pub(crate) written: Slots,
}

/// A decision: at this jump, taken or not.
#[derive(Clone, Copy, Debug)]
struct Trail {
    step: Step,
    before: u32,
}

/// What the kernel counts to decide whether a state is worth saving.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) insns: u32,
    pub(crate) jumps: u32,
    pub(crate) saved_insns: u32,
    pub(crate) saved_jumps: u32,
    /// The most states saved at one instruction.
    pub(crate) most_here: u32,
}

/// Where a path goes on.
enum Next {
    Follow(usize),
    End,
}

/// The program types whose rules are known: all but extensions, which take the rules of what they replace.
pub const PROGRAM_TYPES: [ProgramType; 31] = {
    let mut known = [ProgramType::SocketFilter; 31];
    let (mut from, mut to) = (0, 0);
    while from < ProgramType::ALL.len() {
        if !matches!(ProgramType::ALL[from], ProgramType::Ext) {
            known[to] = ProgramType::ALL[from];
            to += 1;
        }
        from += 1;
    }
    known
};

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
        (self.broken, self.refused_dead) = (None, false);
        if program.targets().is_empty() {
            return self.verify_alone(program, options);
        }
        let (mut stats, mut log) = (Stats::default(), String::new());
        for (start, part) in program.parts() {
            match self.verify_alone(&Arc::new(part), options) {
                Verdict::Accept(accepted) => {
                    stats = stats + accepted.stats;
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
        let is_known = |insn: &Insn| options.dialect.has(insn.op());
        if let Some((_, insn)) = program.instructions().find(|(_, insn)| is_known(insn) && !is_followed(insn.op())) {
            return Verdict::Unsupported(Unsupported::Insn { name: insn.opcode.row().name });
        }
        if program.program_type() == ProgramType::Ext {
            return Verdict::Unsupported(Unsupported::ProgramType(program.program_type()));
        }
        if let Some(property) = load_property(program) {
            return Verdict::Unsupported(Unsupported::Load(property));
        }
        let (result, stats, at) = self.explore(program, options);
        match result {
            Ok(()) => self.accept(program, options, stats),
            Err(Stop::Unsupported(unsupported)) => Verdict::Unsupported(unsupported),
            Err(Stop::Refused(refusal)) => {
                let mut rejection = self.reject(refusal, options, stats, at);
                if options.explain && refusal.is_of_a_path() {
                    rejection.way = self.retrace(program, options, at).map(Box::new);
                }
                Verdict::Reject(rejection)
            }
        }
    }

    /// Follows all paths, until one is refused: what it took, and where it ended.
    fn explore(&mut self, program: &Arc<Program>, options: &Options) -> (Result<(), Stop>, Stats, Place) {
        let mut exploration = Exploration {
            env: Env {
                program,
                declaration: program.program_type().declaration(),
                rules: &self.rules.clone(),
                dialect: options.dialect,
                stack_depths: vec![Cell::new(0); program.subprograms().len()],
                is_async: vec![false; program.subprograms().len()],
                touched: Touched::default(),
                later: Vec::new(),
                maps_at: Vec::new(),
                last_id: 0,
            },
            options,
            counts: Counts::default(),
            state: self.current.take().unwrap_or_else(State::entry),
            taken: self.taken.take().unwrap_or_else(State::entry),
            at: Place { pc: 0, parent: NONE, trail: NONE, step: NONE, written: [u64::MAX; 8], dead: false },
            looked_at: 0,
            dead: [false; 2],
            line: None,
            store: self,
        };
        let result = exploration.run();
        let Exploration { counts, at, state, taken, .. } = exploration;
        self.current = Some(state);
        self.taken = Some(taken);
        let stats = Stats { insns: counts.insns, saved: self.saved.used as u32, most_here: counts.most_here };
        (result, stats, at)
    }

    /// Goes the way to a rejection once more, which leads through the same states, and keeps it.
    fn retrace(&mut self, program: &Arc<Program>, options: &Options, at: Place) -> Option<Way> {
        let before = |step: &u32| self.history.get(*step as usize).map(|traced| traced.before);
        let known = |step: &u32| self.history.get(*step as usize).is_some();
        let steps = std::iter::successors(Some(at.step), before).filter(known);
        self.recorder = Some(Recorder::new(steps));
        let (again, ..) = self.explore(program, &Options { log: false, ..*options });
        debug_assert!(again.is_err(), "verification repeats itself");
        let recorder = self.recorder.take()?;
        let state = self.current.as_ref()?;
        recorder.finish(at.pc, program.insns().get(at.pc)?, state)
    }

    /// The first state of the last verification that breaks an invariant, whatever the verdict: a mistake of the rules. It was
    /// looked for if [`Options::check_invariants`] said so.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Whether the last rejection was about a path that no run takes: what was known of a number there was empty and then
    /// forgotten, so less may be known on it than on another that covers it. Seen where states are looked at, too.
    pub fn refused_on_dead_path(&self) -> bool {
        self.refused_dead
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

    fn reject(&mut self, refusal: Refusal, options: &Options, stats: Stats, at: Place) -> Rejection {
        self.refused_dead = at.dead;
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
        Rejection { insn, refusal, path, way: None, stats, log: std::mem::take(&mut self.log) }
    }
}

/// What the program says at its load that is refused before it is looked at, as far as it is known.
fn load_property(program: &Program) -> Option<&'static str> {
    let known = &program.program_type().fact().attach_types;
    let is_strange = program.attach_type().is_some_and(|of| !known.contains(&of));
    (is_strange && is_attach_type_checked(program.program_type())).then_some("an attach type of another program type")
}

/// Whether what such programs are attached to is looked at when they are loaded (`bpf_prog_load_check_attach`).
fn is_attach_type_checked(of: ProgramType) -> bool {
    use ProgramType as P;
    matches!(
        of,
        P::CgroupSock
            | P::CgroupSockAddr
            | P::CgroupSkb
            | P::CgroupSockopt
            | P::SkLookup
            | P::SkReuseport
            | P::Netfilter
    )
}

/// One verification under way.
pub(crate) struct Exploration<'a> {
    pub(crate) env: Env<'a>,
    pub(crate) options: &'a Options,
    pub(crate) counts: Counts,
    pub(crate) state: State,
    /// Where a jump's other way is made.
    pub(crate) taken: State,
    pub(crate) at: Place,
    /// The registers whose numbers the instruction looked at, a bit each.
    pub(crate) looked_at: u16,
    /// Whether no run goes on behind the jump, and whether none takes it.
    pub(crate) dead: [bool; 2],
    /// The source line that was logged last, by the slot that it begins at.
    pub(crate) line: Option<usize>,
    pub(crate) store: &'a mut Verifier,
}

impl Exploration<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let insns = self.env.program.insns();
        let store = &mut *self.store;
        (store.work.used, store.saved.used) = (0, 0);
        store.trail.clear();
        store.history.clear();
        store.log.clear();
        store.heads.clear();
        store.heads.resize(insns.len(), NONE);
        store.accessed.clear();
        store.accessed.resize(insns.len(), None);
        store.spare.reset(if self.options.record { insns.len() } else { 0 });
        load::check(self.env.program, &self.options.dialect).map_err(|(insn, stop)| {
            self.at.pc = insn;
            stop
        })?;
        if let Some((from, to)) = self.options.dialect.loops_by_jumps.then(|| flow::back_edge(insns)).flatten() {
            self.at.pc = from;
            return Err(Refusal::BackEdge { from, to }.into());
        }
        let successors = (!self.options.record).then_some(self.env.rules.successors);
        store.flow.analyse(insns, successors)?;
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
            log::line(&mut self.store.log, self.env.program, self.env.dialect, pc, &mut self.line);
            log::instruction(&mut self.store.log, pc, insn);
        }
        let next = if self.options.marks() {
            let before = (self.at, self.state.depth());
            self.trace(insn);
            let next = self.follow(insn);
            self.learn(&before.0, before.1);
            next
        } else {
            if self.options.explain {
                self.trace(insn);
            }
            self.follow(insn)
        };
        if next.is_ok() && self.options.looks() {
            self.check_invariants(Which::Path);
        }
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
            Op::Shift { op, width, source } => shift::check(env, state, (op, width, source), insn)?,
            Op::MulDiv { op, width, source } => muldiv::check(env, state, (op, width, source), insn)?,
            Op::MovSx { from, width } => mov::check_sx(env, state, (from, width), insn)?,
            Op::Endian { order, size } => endian::check(env, state, (order, size), insn)?,
            Op::Wide(kind) => {
                wide::check(env, state, kind, insn, pc)?;
                return Ok(Next::Follow(pc + 2));
            }
            Op::Load { size } => {
                let ty = state.reg(insn.src).ty();
                load_store::check_load(env, state, size, insn)?;
                self.check_same_pointer(insn.src, ty)?;
            }
            Op::Store { size, source } => {
                let ty = state.reg(insn.dst).ty();
                load_store::check_store(env, state, size, source, insn)?;
                // Stores of immediates never were to the context before they could be.
                if source == Source::X || self.options.dialect.st_imm_to_ctx {
                    self.check_same_pointer(insn.dst, ty)?;
                }
            }
            Op::LoadSx { size } => {
                let ty = state.reg(insn.src).ty();
                load_store::check_load_sx(env, state, size, insn)?;
                self.check_same_pointer(insn.src, ty)?;
            }
            Op::Atomic { op, fetch, size } => {
                let ty = state.reg(insn.dst).ty();
                atomic::check(env, state, (op, fetch, size), insn)?;
                if self.options.dialect.st_imm_to_ctx {
                    self.check_same_pointer(insn.dst, ty)?;
                }
            }
            Op::LoadAcquire { size } => atomic::check_load_acquire(env, state, size, insn)?,
            Op::StoreRelease { size } => atomic::check_store_release(env, state, size, insn)?,
            Op::CallHelper => return Ok(Next::Follow(helper::check(env, state, insn, pc)?)),
            Op::CallLocal => return Ok(Next::Follow(call::check_local(env, state, insn, pc)?)),
            Op::Packet { mode, .. } => return Ok(Next::Follow(packet::check(env, state, mode, insn, pc)?)),
            Op::Ja | Op::Gotol => {
                self.counts.jumps += 1;
                return Ok(Next::Follow(insn.target(pc) as usize));
            }
            Op::Jump { cond, width, source } => {
                self.counts.jumps += 1;
                let operands = [Some(insn.dst), (source == Source::X).then_some(insn.src)];
                let held = operands.into_iter().flatten().map(|reg| (reg, *state.reg(reg)));
                let numbers = held.filter(|(_, held)| held.kind == Kind::Scalar);
                let (looked_at, linked) = numbers
                    .fold((0, false), |(all, linked), (reg, held)| (all | 1 << reg.number(), linked || held.id != 0));
                let before = operands.map(|reg| reg.map(|reg| (reg, *state.reg(reg))));
                let ways = branch::check(env, state, &mut self.taken, (cond, width, source), insn)?;
                if ways == Ways::Both && self.options.looks() {
                    self.dead = [&self.state, &self.taken].map(|state| invariant::has_forgotten(&before, state));
                    self.check_invariants(Which::Taken);
                }
                if ways != Ways::Both {
                    self.looked_at |= looked_at;
                } else if linked && self.options.marks() {
                    self.store.history[self.at.step as usize].note = Note::linked();
                }
                return Ok(self.jump(ways, insn)?);
            }
            Op::Exit => {
                let callback = state.entry.callback.filter(|_| state.depth() > 0);
                let Some(next) = call::check_exit(env, state)? else { return Ok(Next::End) };
                if callback.is_some() {
                    self.widen(next);
                }
                return Ok(Next::Follow(next));
            }
            Op::WideTail => {}
            Op::CallKfunc => return Err(Unsupported::Insn { name: insn.opcode.row().name }.into()),
        }
        Ok(Next::Follow(pc + 1))
    }

    /// An access is to the context, or to a socket or an object of the kernel, on all paths or on none: the kernel
    /// translates those (`save_aux_ptr_type`).
    fn check_same_pointer(&mut self, reg: Reg, ty: Type) -> Result<(), Refusal> {
        let seen = self.store.accessed[self.at.pc].unwrap_or(ty);
        self.store.accessed[self.at.pc] = Some(seen);
        let is_translated = |of: Type| of.kind == Kind::Ctx || of.kind == Kind::BtfId || of.kind.is_socket();
        if seen != ty && (is_translated(seen) || is_translated(ty)) {
            return Err(Refusal::DifferentPointers { reg });
        }
        Ok(())
    }

    /// Keeps the paths that began beside this one.
    fn keep_later(&mut self) -> Result<(), Refusal> {
        while let Some(Later { pc, mut state, alone }) = self.env.later.pop() {
            let mut at = Place { pc, ..self.at };
            // Nothing that was saved knows a frame that is new.
            if alone || state.depth() > self.state.depth() {
                at.written[state.depth()] = u64::MAX;
            }
            if alone {
                (at.parent, at.step) = (NONE, NONE);
            }
            self.store.keep(at, &mut state)?;
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
            let [falls, taken] = std::mem::take(&mut self.dead);
            let at = Place { pc: target, trail: decide(true), dead: self.at.dead | taken, ..self.at };
            (self.at.trail, self.at.dead) = (decide(false), self.at.dead | falls);
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

    pub(crate) fn decision_at(&self) -> usize {
        self.store.trail.get(self.at.trail as usize).map_or(0, |decision| decision.step.insn)
    }

    fn log_state(&mut self) {
        log::state(&mut self.store.log, &self.state, self.env.program);
        self.store.log.push('\n');
    }
}
