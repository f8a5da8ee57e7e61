//! The interpreter: `exec` over machine integers, guest memory and a world.

use std::sync::Arc;

use crate::engine::{Engine, EngineId, Lack};
use crate::helper::{self, Callbacks};
use crate::insn::{
    AluOp, AtomicOp, Cond, Flow, Insn, Machine, Mode, MulDivOp, Op, Opcode, Order, Reg, ShiftOp, Size, Source, Wide,
    Width, exec_op,
};
use crate::memory::layout;
use crate::program::{Program, Verified};
use crate::trap::{Trap, Unsupported};
use crate::word::Concrete;
use crate::world::World;

/// The registers of a running program.
pub type Registers = [u64; 11];

/// Sees the state of a run before every instruction.
pub trait Observer {
    /// The instruction at slot `pc` is about to be executed.
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World);

    /// Asked after [`before`](Observer::before): whether the run ends here, without the instruction ([`Trap::Stopped`]).
    #[inline(always)]
    fn stops(&mut self) -> bool {
        false
    }
}

/// Sees nothing and costs nothing.
impl Observer for () {
    #[inline(always)]
    fn before(&mut self, _: usize, _: &Insn, _: &Registers, _: &mut World) {}
}

/// What a run came to, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// R0, or how it ended instead.
    pub result: Result<u64, Trap>,
    /// The slot of the last instruction.
    pub pc: usize,
    /// Instructions that began.
    pub retired: u64,
    /// The registers at the end.
    pub registers: Registers,
}

/// A run under way.
struct State<'r, O> {
    registers: Registers,
    world: &'r mut World,
    insns: &'r [Insn],
    observer: &'r mut O,
    /// The slot of the instruction, where its meaning depends on that.
    pc: usize,
    /// Instructions that may still begin, whenever the loop is left.
    left: u64,
    callers: Vec<Caller>,
    /// The depth of the first frame.
    depth: u64,
    /// Where a callback trapped.
    trapped: Option<(usize, Registers)>,
}

/// Where a subprogram returns to.
struct Caller {
    /// The slot of the call.
    pc: usize,
    /// R6 to R10.
    saved: [u64; 5],
}

impl<O> State<'_, O> {
    /// Gives the subprogram that is called at `pc` its frame.
    #[inline(never)]
    fn enter(&mut self, pc: usize) -> Result<(), Trap> {
        let frame = frame_behind(self.world, self.depth + self.callers.len() as u64)?;
        let [_, _, _, _, _, _, saved @ ..] = self.registers;
        self.callers.push(Caller { pc, saved });
        self.registers[Reg::FP.index()] = frame;
        Ok(())
    }
    /// The slot behind the call that led here; `None` if the whole program is left.
    #[inline(always)]
    fn leave(&mut self) -> Option<usize> {
        let Caller { pc, saved } = self.callers.pop()?;
        self.registers[Reg::R6.index()..].copy_from_slice(&saved);
        Some(pc + 1)
    }
}

/// What R10 holds in the frame behind the one at `depth`.
fn frame_behind(world: &World, depth: u64) -> Result<u64, Trap> {
    if depth + 1 < u64::from(world.frames()) { Ok(layout::frame_top(depth + 1)) } else { Err(Trap::CallDepth) }
}

/// Runs subprograms for a helper.
struct Nested<'r, O> {
    insns: &'r [Insn],
    observer: &'r mut O,
    left: &'r mut u64,
    trapped: &'r mut Option<(usize, Registers)>,
    /// The depth of the frame that the helper was called from; `None` where the kernel calls, of itself.
    caller: Option<u64>,
}

impl<O: Observer> Callbacks for Nested<'_, O> {
    fn call(&mut self, world: &mut World, function: u64, args: [u64; 5]) -> Option<Result<u64, Trap>> {
        let slot = layout::slot_of_code(function).filter(|slot| *slot < self.insns.len() as u64)?;
        let mut registers = [0; 11];
        registers[Reg::R1.index()..=Reg::R5.index()].copy_from_slice(&args);
        let frame = self.caller.map_or(Ok(layout::frame_top(0)), |depth| frame_behind(world, depth));
        registers[Reg::FP.index()] = match frame {
            Ok(frame) => frame,
            Err(trap) => return Some(Err(trap)),
        };
        let state = State {
            registers,
            world,
            insns: self.insns,
            observer: self.observer,
            pc: slot as usize,
            left: *self.left,
            callers: Vec::new(),
            depth: self.caller.map_or(0, |depth| depth + 1),
            trapped: None,
        };
        let (result, state) = execute(state);
        *self.left = state.left;
        if result.is_err() {
            *self.trapped = Some(state.trapped.unwrap_or((state.pc, state.registers)));
        }
        Some(result)
    }
}

impl<O: Observer> Machine<Concrete> for State<'_, O> {
    type Fault = Trap;
    #[inline(always)]
    fn reg(&self, reg: Reg) -> &u64 {
        &self.registers[reg.index()]
    }
    #[inline(always)]
    fn set_reg(&mut self, reg: Reg, value: u64) {
        self.registers[reg.index()] = value;
    }
    #[inline(always)]
    fn load(&mut self, size: Size, addr: &u64) -> Result<u64, Trap> {
        let addr = *addr;
        let memory = &mut self.world.memory;
        memory.load(size, addr).map_err(|access| memory.fault(access, addr, size, false))
    }
    #[inline(always)]
    fn store(&mut self, size: Size, addr: &u64, value: &u64) -> Result<(), Trap> {
        let addr = *addr;
        let memory = &mut self.world.memory;
        memory.store(size, addr, *value).map_err(|access| memory.fault(access, addr, size, true))
    }
    fn call_helper(&mut self, id: &u32) -> Result<bool, Trap> {
        let [_, a, b, c, d, e, ..] = self.registers;
        let mut nested = Nested {
            insns: self.insns,
            observer: self.observer,
            left: &mut self.left,
            trapped: &mut self.trapped,
            caller: Some(self.depth + self.callers.len() as u64),
        };
        self.registers[0] = helper::call(self.world, *id, [a, b, c, d, e], &mut nested)?;
        if *id != helper::tail_call::ID {
            return Ok(false);
        }
        let target = self.world.take_tail_target();
        self.pc = target.unwrap_or(self.pc);
        Ok(target.is_some())
    }
    fn call_kfunc(&mut self, id: &u32) -> Result<(), Trap> {
        Err(Unsupported::Kfunc(*id).into())
    }
    fn load_packet(&mut self, size: Size, offset: &u32) -> Result<(u64, bool), Trap> {
        let value = self.world.load_packet(self.registers[Reg::R6.index()], size, *offset as i32)?;
        Ok((value.unwrap_or(0), value.is_some()))
    }
    fn map_value(&self, map: &u32) -> Result<u64, Trap> {
        let found = self.world.maps.get(*map as usize).ok_or(Trap::NoDirectValue(*map))?;
        if let Some(lack) = found.def.lack() {
            return Err(lack.into());
        }
        found.ops.direct().ok_or(Trap::NoDirectValue(*map))
    }
    fn variable(&self, id: &u32) -> Result<u64, Trap> {
        Err(Unsupported::Variable(*id).into())
    }
    fn code(&self, distance: &u32) -> Result<u64, Trap> {
        Ok(layout::code_handle((self.pc as u64 + 1).wrapping_add_signed(i64::from(*distance as i32))))
    }
}

/// Runs `program` on the world as it stands, for at most `fuel` instructions.
///
/// R1 holds the context, R10 the frame pointer; the others are 0, where Linux leaves them open. Once the program is done, the world's
/// time passes ([`World::pass_time`]).
pub fn run<O: Observer>(program: &Program, world: &mut World, fuel: u64, observer: &mut O) -> Stop {
    let mut registers = [0; 11];
    registers[Reg::R1.index()] = layout::CONTEXT;
    registers[Reg::FP.index()] = layout::frame_top(0);
    let insns = program.insns();
    let (pc, left, callers) = (0, fuel, Vec::new());
    let state = State { registers, world, insns, observer, pc, left, callers, depth: 0, trapped: None };
    let (result, mut state) = execute(state);
    let result = result.and_then(|r0| {
        let State { world, insns, observer, left, trapped, .. } = &mut state;
        let mut kernel = Nested { insns, observer: &mut **observer, left, trapped, caller: None };
        world.pass_time(&mut kernel).map(|()| r0)
    });
    let (pc, registers) = state.trapped.unwrap_or((state.pc, state.registers));
    Stop { result, pc, retired: fuel - state.left, registers }
}

/// Runs from the slot in the state until the function that it is in is left: its R0. The state comes and goes by value: as a
/// local of the loop it is a third faster than behind a reference.
fn execute<O: Observer>(mut state: State<'_, O>) -> (Result<u64, Trap>, State<'_, O>) {
    let (mut pc, mut left) = (state.pc, state.left);
    let insns = state.insns;
    // One flat match over the opcode. Each arm hands `exec_op` a constant, so its matches and the one on its answer fold
    // away. What is not worth a place in the loop, which would then keep less in registers, is done outside of it.
    macro_rules! arms {
        ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
            loop {
                if left == 0 {
                    break Err(Trap::OutOfFuel);
                }
                left -= 1;
                let insn = &insns[pc];
                state.observer.before(pc, insn, &state.registers, state.world);
                if state.observer.stops() {
                    left += 1;
                    break Err(Trap::Stopped);
                }
                match insn.opcode {
                    $(Opcode::$name if const { is_simple($op) } => match exec_op(const { $op }, insn, &mut state) {
                        Ok(Flow::Branch(taken)) => pc = next(pc, insn, taken),
                        Ok(_) => pc += 1,
                        Err(trap) => break Err(trap),
                    },)*
                    _ => {
                        state.left = left;
                        let done = other(pc, insn, &mut state);
                        left = state.left;
                        match done {
                            Ok(Some(next)) => pc = next,
                            Ok(None) => break Ok(state.registers[0]),
                            Err(trap) => break Err(trap),
                        }
                    }
                }
            }
        };
    }
    let result = crate::instructions!(arms);
    (state.pc, state.left) = (pc, left);
    (result, state)
}

/// Whether an instruction is so short and frequent that the loop does it itself. It goes on to the next slot or jumps by its
/// offset.
const fn is_simple(op: Op) -> bool {
    matches!(
        op,
        Op::Alu { .. }
            | Op::Neg { .. }
            | Op::Shift { .. }
            | Op::MulDiv { op: MulDivOp::Mul, .. }
            | Op::Mov { .. }
            | Op::Load { .. }
            | Op::Store { .. }
            | Op::Jump { .. }
            | Op::Ja
    )
}

/// Any instruction: the slot behind it, `None` if it leaves the program.
#[inline(never)]
fn other<O: Observer>(pc: usize, insn: &Insn, state: &mut State<'_, O>) -> Result<Option<usize>, Trap> {
    state.pc = pc;
    macro_rules! arms {
        ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
            match insn.opcode {
                $(Opcode::$name => (exec_op(const { $op }, insn, state)?, const { slots($op) }),)*
            }
        };
    }
    let (flow, slots) = crate::instructions!(arms);
    let target = || insn.target(pc) as usize;
    Ok(match flow {
        Flow::Next | Flow::Tail(false) | Flow::Leave(false) => Some(pc + slots),
        Flow::Tail(true) => Some(state.pc),
        Flow::Branch(taken) => Some(if taken { target() } else { pc + 1 }),
        Flow::Call => {
            state.enter(pc)?;
            Some(target())
        }
        Flow::Exit | Flow::Leave(true) => state.leave(),
    })
}

/// Whether instructions of this operation are executed. The others, which reach into the kernel by BTF numbers, end the run
/// with a typed [`Unsupported`].
pub const fn is_executed(op: Op) -> bool {
    !matches!(op, Op::CallKfunc | Op::Wide(Wide::Variable))
}

/// The second slot of a wide instruction is no instruction.
const fn slots(op: Op) -> usize {
    if matches!(op, Op::Wide(_)) { 2 } else { 1 }
}

/// The slot behind a jump by its offset.
#[inline(always)]
fn next(pc: usize, insn: &Insn, taken: bool) -> usize {
    let distance = if taken { insn.off as i16 as isize } else { 0 };
    (pc + 1).wrapping_add_signed(distance)
}

/// The interpreter as an engine.
#[derive(Debug)]
pub struct Interpreter {
    program: Option<Arc<Program>>,
    fuel: u64,
}

/// Instructions that a run gets unless told otherwise.
pub const FUEL: u64 = 1 << 32;

impl Default for Interpreter {
    fn default() -> Self {
        Interpreter::new(FUEL)
    }
}

impl Interpreter {
    /// An interpreter that gives each run `fuel` instructions.
    pub fn new(fuel: u64) -> Interpreter {
        Interpreter { program: None, fuel }
    }
}

impl Engine for Interpreter {
    fn id(&self) -> EngineId {
        EngineId::Interpreter
    }
    fn load(&mut self, program: &Verified) -> Result<(), Lack> {
        self.program = Some(program.share());
        Ok(())
    }
    fn run(&mut self, world: &mut World) -> Result<u64, Trap> {
        match &self.program {
            Some(program) => run(program, world, self.fuel, &mut ()).result,
            None => Err(Unsupported::Facility { engine: "interpreter", facility: "a loaded program" }.into()),
        }
    }
}
