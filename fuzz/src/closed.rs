//! Closed programs: safe by construction and without the verifier, over every instruction that the JIT lowers.
//!
//! All registers are initialised, every access lies inside an object whose place and length the generator knows, loops
//! count down a register that nothing else writes, calls have no cycles. [`Closedness`] watches that this is so while the
//! interpreter runs a program, so that a shrunk or mutated one is run natively only if it is closed as well.

use std::sync::Arc;

use jit::insn::is_lowered;
use semantics::helper::{self, ArgKind, Helper, RetKind};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Opcode, Wide};
use semantics::map::{Contents, MapDef, MapType};
use semantics::memory::layout::FRAMES_MAX;
use semantics::program::Program;

use crate::dice::Dice;
use crate::generate::{self, Options};
use crate::test::Test;

mod action;
mod call;
mod closedness;
mod epilogue;
mod swarm;
mod writer;

use action::Action;
pub use closedness::{Breach, Closedness};
use swarm::{Family, Swarm};
use writer::{Callee, Entry, Plan, Writer};

/// Instructions that a closed program may execute: above what the generator allows itself, by far.
pub const FUEL: u64 = 1 << 18;

/// Instructions that a program may execute, about, before the generator makes no more loops and calls.
const BUDGET: u64 = 20_000;
/// The same for one among those that tail-call each other, up to 33 times in a run.
const BUDGET_CHAINED: u64 = 1_000;
/// Names of programs that tail calls lead to; the first is the program that is run.
const NAMES: [&str; 4] = ["main", "one", "two", "three"];

/// What closed programs are made of, found once.
#[derive(Debug)]
pub struct Generator {
    options: Options,
    /// Rows of each family.
    rows: Vec<Vec<Opcode>>,
    /// Helpers that take numbers only.
    plain: Vec<&'static Helper>,
    /// Helpers on an element of a map.
    elements: Vec<&'static Helper>,
}

/// A function that is written: main is number 0, and each calls only such of higher numbers.
#[derive(Debug)]
struct Function {
    insns: Vec<Insn>,
    /// Slots of instructions that name another function, by its number.
    links: Vec<(usize, usize)>,
    entry: Entry,
    /// Instructions that a call executes, at most.
    cost: u64,
    /// Frames that a call takes, its own among them.
    height: usize,
}

impl Generator {
    /// A generator with these options.
    pub fn new(options: Options) -> Generator {
        let lowered = TABLE.iter().filter(|row| is_lowered(row.op));
        let mut rows = vec![Vec::new(); Family::COUNT];
        for row in lowered {
            if let Some(family) = Family::of(row.op) {
                rows[family as usize].push(row.opcode);
            }
        }
        let wanted = |helper: &&'static Helper| options.helper.is_none_or(|only| only == helper.id);
        let helpers = || helper::modelled().map(|(_, helper)| helper).filter(wanted);
        let is_number = |kind: ArgKind| kind == ArgKind::Anything;
        let is_open = |helper: &&'static Helper| generate::PROGRAM_TYPES.iter().all(|of| helper.fact().is_open_to(*of));
        let plain = helpers().filter(is_open).filter(|helper| {
            helper.fact().ret == RetKind::Integer && helper.fact().args.iter().all(|arg| is_number(arg.kind))
        });
        let is_element = |kind| matches!(kind, ArgKind::ConstMapPtr | ArgKind::MapKey | ArgKind::MapValue);
        let elements = helpers().filter(|helper| {
            let args = helper.fact().args;
            args.len() >= 2 && args.iter().all(|arg| is_element(arg.kind) || is_number(arg.kind))
        });
        let elements = elements.filter(|helper| helper.fact().args[1].kind == ArgKind::MapKey);
        Generator { options, rows, plain: plain.collect(), elements: elements.collect() }
    }

    /// The test that these dice give.
    pub fn test(&self, mut dice: Dice) -> Test {
        let program_type = dice.pick(&generate::PROGRAM_TYPES);
        let mut maps = generate::maps(&mut dice);
        let declaration = program_type.declaration();
        let input = generate::input(&mut dice, declaration, &maps);
        let mut swarm = Swarm::draw(&mut dice, &self.rows);
        let targets = if dice.chance(1, 6) { dice.pick(&[1, 1, 2, 3]) } else { 0 };
        let (mut programs, mut budget) = (None, BUDGET);
        if targets > 0 {
            (programs, budget, swarm.length) = (Some(maps.len() as u8), BUDGET_CHAINED, 1);
            swarm.actions.extend([Action::TailCall; 6]);
            maps.push(table(targets));
        }
        let plan =
            Plan { generator: self, declaration, maps: &maps, packet_len: input.packet.len(), swarm, programs, budget };
        let mut program = |name: &str| {
            let insns = link(&self.functions(&plan, &mut dice), &mut dice);
            Program::new(name, program_type, "GPL", maps.clone(), insns)
        };
        let main = program(NAMES[0]);
        let others: Result<Vec<Program>, _> = NAMES[1..=targets].iter().map(|name| program(name)).collect();
        let program = main.and_then(|main| main.with_targets(others?));
        let program = program.expect("the generator writes structurally sound programs");
        Test { program: Arc::new(program), input }
    }

    /// Main and what it calls, the deepest first so that each knows what its callees cost.
    fn functions(&self, plan: &Plan<'_>, dice: &mut Dice) -> Vec<Function> {
        let count = if plan.swarm.calls { dice.pick(&[2, 2, 3, 4, 8, 10]) } else { 1 };
        let parents = parents(count, dice);
        let mut written: Vec<Option<Function>> = (0..count).map(|_| None).collect();
        for at in (0..count).rev() {
            let depth = std::iter::successors(Some(at), |at| parents[*at]).count() - 1;
            let room = FRAMES_MAX as usize - 1 - depth;
            let entry = match at {
                0 => Entry::Program,
                _ => dice.pick(&[Entry::Call, Entry::Callback]),
            };
            let mut writer = Writer::new(plan, dice, entry);
            for (callee, function) in written.iter().enumerate().filter_map(|(at, f)| Some((at, f.as_ref()?))) {
                if function.height <= room {
                    let is_child = parents[callee] == Some(at);
                    let Function { entry, cost, height, .. } = *function;
                    writer.callees.push(Callee { number: callee, cost, height, entry, is_due: is_child });
                }
            }
            written[at] = Some(writer.function(self.slots(at, count, plan)));
        }
        written.into_iter().flatten().collect()
    }

    /// How long a function is to be.
    fn slots(&self, at: usize, count: usize, plan: &Plan<'_>) -> usize {
        let slots = self.options.insns * plan.swarm.length;
        if at == 0 { slots } else { slots / count + 2 }
    }
}

/// A map of the program itself and these targets, with an index under which there is none.
fn table(targets: usize) -> MapDef {
    let mut def = MapDef::new("programs", MapType::PROG_ARRAY, 4, 4, NAMES.len() as u32 + 1);
    let held = NAMES[..=targets].iter().enumerate().map(|(at, name)| (at as u32, (*name).to_owned()));
    def.contents = Contents::Programs(held.collect());
    def
}

/// Who calls each function for certain; main has nobody. No chain is longer than the frames there are.
fn parents(count: usize, dice: &mut Dice) -> Vec<Option<usize>> {
    let is_chain = dice.chance(1, 2);
    let mut depths = vec![0; count];
    let mut parents = vec![None; count];
    for at in 1..count {
        let parent = if is_chain { at - 1 } else { dice.below(at) };
        let parent = if depths[parent] + 1 < FRAMES_MAX as usize { parent } else { 0 };
        depths[at] = depths[parent] + 1;
        parents[at] = Some(parent);
    }
    parents
}

/// Puts the functions one behind the other, main first and the others in any order, and aims what names them.
fn link(functions: &[Function], dice: &mut Dice) -> Vec<Insn> {
    let mut order: Vec<usize> = (0..functions.len()).collect();
    for at in (2..order.len()).rev() {
        order.swap(at, 1 + dice.below(at));
    }
    let mut starts = vec![0; functions.len()];
    let mut insns = Vec::with_capacity(functions.iter().map(|function| function.insns.len()).sum());
    for at in &order {
        starts[*at] = insns.len();
        insns.extend_from_slice(&functions[*at].insns);
    }
    for (at, function) in functions.iter().enumerate() {
        for (slot, callee) in &function.links {
            let slot = starts[at] + slot;
            insns[slot] = insns[slot].imm((starts[*callee] as i64 - slot as i64 - 1) as i32);
        }
    }
    insns
}

/// Whether generated programs can have an instruction of this operation: the others are not lowered.
pub fn is_generated(op: Op) -> bool {
    is_lowered(op) && !matches!(op, Op::CallKfunc | Op::Wide(Wide::Variable))
}
