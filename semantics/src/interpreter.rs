//! The interpreter: `exec` over machine integers, guest memory and a world.

use std::sync::Arc;

use crate::engine::Engine;
use crate::helper;
use crate::insn::{AluOp, Cond, Flow, Insn, Machine, Op, Opcode, Reg, Size, Source, Wide, Width, exec_op};
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

struct State<'w> {
    registers: Registers,
    world: &'w mut World,
}

impl Machine<Concrete> for State<'_> {
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
        self.world.memory.load(size, addr).map_err(|access| Trap::Memory { access, addr, size, write: false })
    }
    #[inline(always)]
    fn store(&mut self, size: Size, addr: &u64, value: &u64) -> Result<(), Trap> {
        let addr = *addr;
        self.world.memory.store(size, addr, *value).map_err(|access| Trap::Memory { access, addr, size, write: true })
    }
    fn call_helper(&mut self, id: &u32) -> Result<(), Trap> {
        let [_, a, b, c, d, e, ..] = self.registers;
        self.registers[0] = helper::call(self.world, *id, [a, b, c, d, e])?;
        Ok(())
    }
}

/// Runs `program` on the world as it stands, for at most `fuel` instructions.
///
/// R1 holds the context, R10 the frame pointer; the others are 0, where Linux leaves them open.
pub fn run<O: Observer>(program: &Program, world: &mut World, fuel: u64, observer: &mut O) -> Stop {
    let mut registers = [0; 11];
    registers[Reg::R1.index()] = layout::CONTEXT;
    registers[Reg::FP.index()] = layout::frame_top(0);
    let mut state = State { registers, world };
    let (mut pc, mut left) = (0, fuel);
    let insns = program.insns();
    // One flat match over the opcode. Each arm hands `exec_op` a constant, so its matches and the one on its answer fold
    // away and every arm ends in its own jump back to the top.
    macro_rules! arms {
        ($($name:ident $code:literal $fields:ident $op:expr;)*) => {
            loop {
                if left == 0 {
                    break Err(Trap::OutOfFuel);
                }
                left -= 1;
                let insn = &insns[pc];
                observer.before(pc, insn, &state.registers, state.world);
                match insn.opcode {
                    $(Opcode::$name => match exec_op(const { $op }, insn, &mut state) {
                        Ok(Flow::Next) => pc += const { slots($op) },
                        Ok(Flow::Branch(taken)) => pc = next(pc, insn, taken),
                        Ok(Flow::Exit) => break Ok(state.registers[0]),
                        Err(trap) => break Err(trap),
                    },)*
                }
            }
        };
    }
    let result = crate::instructions!(arms);
    Stop { result, pc, retired: fuel - left, registers: state.registers }
}

/// The second slot of a wide instruction is no instruction.
const fn slots(op: Op) -> usize {
    if matches!(op, Op::Wide(_)) { 2 } else { 1 }
}

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
    fn name(&self) -> &'static str {
        "interpreter"
    }
    fn load(&mut self, program: &Verified) -> Result<(), Unsupported> {
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
