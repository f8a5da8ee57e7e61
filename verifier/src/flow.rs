//! What can be said of the instructions without states: which are reached, where paths may join, which registers are still
//! wanted (kernel: `check_cfg`).

use crate::refusal::Refusal;
use crate::rules::Successors;
use semantics::helper;
use semantics::insn::{AtomicOp, Insn, Mode, Op, Opcode, Reg};

/// Per instruction.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Paths may join here.
    pub joins: Vec<bool>,
    /// The helper that is called here may call a function of the program.
    pub calls_back: Vec<bool>,
    /// Registers, a bit each, that some path from here reads before it writes them.
    pub live: Vec<u16>,
    reached: Vec<bool>,
    work: Vec<usize>,
}

impl Flow {
    /// Analyses `insns`, or names the first that no path reaches.
    pub fn analyse(&mut self, insns: &[Insn], liveness: Option<Successors>) -> Result<(), Refusal> {
        self.reach(insns);
        let unreached = |(at, insn): (usize, &Insn)| !self.reached[at] && insn.opcode != Opcode::WideTail;
        if let Some(insn) = insns.iter().enumerate().position(unreached) {
            return Err(Refusal::Unreachable { insn });
        }
        self.live.clear();
        self.live.resize(insns.len(), if liveness.is_some() { 0 } else { u16::MAX });
        while liveness.is_some_and(|successors| self.propagate(insns, successors)) {}
        Ok(())
    }

    fn reach(&mut self, insns: &[Insn]) {
        for marks in [&mut self.reached, &mut self.joins, &mut self.calls_back] {
            marks.clear();
            marks.resize(insns.len(), false);
        }
        self.work.clear();
        self.work.push(0);
        while let Some(at) = self.work.pop() {
            if at >= insns.len() || std::mem::replace(&mut self.reached[at], true) {
                continue;
            }
            let insn = &insns[at];
            if insn.op().is_jump() || insn.op().names_subprogram() {
                self.joins[insn.target(at) as usize] = true;
            }
            let takes_function = |fact: &helper::Fact| fact.args.iter().any(|arg| arg.kind == helper::ArgKind::Func);
            if insn.op() == Op::CallHelper && helper::fact(insn.imm).is_some_and(takes_function) {
                (self.joins[at], self.calls_back[at]) = (true, true);
            }
            if matches!(insn.op(), Op::CallHelper | Op::CallLocal) && at + 1 < insns.len() {
                self.joins[at + 1] = true;
            }
            self.work.extend(successors(insns, at).into_iter().flatten());
            if insn.op().names_subprogram() {
                self.work.push(insn.target(at) as usize);
            }
        }
    }

    /// One round backwards; whether something changed.
    fn propagate(&mut self, insns: &[Insn], successors: Successors) -> bool {
        let mut changed = false;
        for at in (0..insns.len()).rev() {
            let after = successors(insns, at).into_iter().flatten();
            let wanted = after.fold(0, |all, next| all | self.live.get(next).copied().unwrap_or(0));
            let (reads, writes) = effects(&insns[at]);
            let live = wanted & !writes | reads;
            changed |= live != self.live[at];
            self.live[at] = live;
        }
        changed
    }
}

/// The first instruction, depth first, that leads back to one on the way to it, where no jump does so (`push_insn`, whose
/// `loop_ok` is false): falling into a loop, or a call of a function that is not done.
pub(crate) fn back_edge(insns: &[Insn]) -> Option<(usize, usize)> {
    let (mut on_path, mut done) = (vec![false; insns.len()], vec![false; insns.len()]);
    let mut path = vec![(0, 0)];
    on_path[0] = true;
    while let Some((at, taken)) = path.last_mut() {
        let from = *at;
        let Some((to, loops)) = edges(insns, from)[*taken] else {
            (on_path[from], done[from]) = (false, true);
            path.pop();
            continue;
        };
        *taken += 1;
        if to >= insns.len() || done[to] {
            continue;
        }
        if on_path[to] {
            if !loops {
                return Some((from, to));
            }
            continue;
        }
        on_path[to] = true;
        path.push((to, 0));
    }
    None
}

/// Where an instruction leads, in the order in which the kernel goes there, and whether a loop may do so; `None` ends.
fn edges(insns: &[Insn], at: usize) -> [Option<(usize, bool)>; 3] {
    let insn = &insns[at];
    let target = insn.target(at) as usize;
    match insn.op() {
        Op::Exit => [None; 3],
        Op::Ja | Op::Gotol => [Some((target, true)), None, None],
        Op::Jump { .. } => [Some((at + 1, true)), Some((target, true)), None],
        op if op.names_subprogram() => [Some((at + insn.slots(), false)), Some((target, op != Op::CallLocal)), None],
        _ => [Some((at + insn.slots(), false)), None, None],
    }
}

/// Where an instruction leads within its function.
pub(crate) fn successors(insns: &[Insn], at: usize) -> [Option<usize>; 2] {
    let insn = &insns[at];
    let target = || Some(insn.target(at) as usize);
    match insn.op() {
        Op::Exit => [None, None],
        Op::Ja | Op::Gotol => [target(), None],
        Op::Jump { .. } => [Some(at + 1), target()],
        _ => [Some(at + insn.slots()), None],
    }
}

/// Registers read and written, a bit each.
fn effects(insn: &Insn) -> (u16, u16) {
    let bit = |reg: Reg| 1u16 << reg.number();
    let op = insn.op();
    match op {
        Op::CallHelper => {
            let args = helper::fact(insn.imm).map_or(5, |fact| fact.args.len());
            (Reg::ARGS.iter().take(args).fold(0, |all, reg| all | bit(*reg)), 0b11_1111)
        }
        Op::CallLocal => (Reg::ARGS.iter().fold(0, |all, reg| all | bit(*reg)), 0b11_1111),
        Op::Exit => (bit(Reg::R0), 0),
        // The context lies in R6.
        Op::Packet { mode, .. } => (bit(Reg::R6) | if mode == Mode::Ind { bit(insn.src) } else { 0 }, 0b11_1111),
        Op::Atomic { op: AtomicOp::Cmpxchg, .. } => (bit(insn.dst) | bit(insn.src) | bit(Reg::R0), 0),
        _ => {
            let reads = if op.reads_dst() { bit(insn.dst) } else { 0 } | if op.reads_src() { bit(insn.src) } else { 0 };
            (reads, if op.writes_dst() { bit(insn.dst) } else { 0 })
        }
    }
}
