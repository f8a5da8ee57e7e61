//! Watches a run for what the interpreter permits and native code must not meet: contents that nobody wrote.
//!
//! R1 to R5 are open after a call, and all but the arguments at the start of a function; the interpreter has numbers there,
//! the processor others. Atomic accesses are aligned, as the kernel's verifier demands, and the frame pointer is read-only.

use std::sync::LazyLock;

use semantics::helper::{self, ArgKind, Fact};
use semantics::insn::table::TABLE;
use semantics::insn::{AtomicOp, Insn, Op, Reg};
use semantics::interpreter::{Observer, Registers};
use semantics::world::World;

/// Why a program is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// A register is read that nothing was written to.
    #[error("insn {at} reads {reg}, which is open")]
    Open {
        /// The slot.
        at: usize,
        /// The register.
        reg: Reg,
    },
    /// The frame pointer is written.
    #[error("insn {at} writes the frame pointer")]
    FramePointer {
        /// The slot.
        at: usize,
    },
    /// An atomic access that is not aligned.
    #[error("insn {at}: an atomic access of {size} bytes at {addr:#x}")]
    Misaligned {
        /// The slot.
        at: usize,
        /// Where.
        addr: u64,
        /// Bytes.
        size: u32,
    },
}

/// Registers as bits, by number.
type Set = u16;

const fn bit(reg: Reg) -> Set {
    1 << reg as u8
}

/// R1 to R5.
const ARGS: Set = 0b11_1110;

/// What the instructions of a row do with their registers.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    reads_dst: bool,
    reads_src: bool,
    writes_dst: bool,
    writes_src: bool,
    /// Whether more is to be looked at.
    special: bool,
}

static USES: LazyLock<Vec<Use>> = LazyLock::new(|| {
    let special = |op| {
        matches!(
            op,
            Op::Atomic { .. }
                | Op::LoadAcquire { .. }
                | Op::StoreRelease { .. }
                | Op::Packet { .. }
                | Op::CallHelper
                | Op::CallLocal
                | Op::CallKfunc
                | Op::Exit
        )
    };
    let uses = |op: Op| Use {
        reads_dst: op.reads_dst(),
        reads_src: op.reads_src(),
        writes_dst: op.writes_dst(),
        writes_src: op.writes_src(),
        special: special(op),
    };
    TABLE.iter().map(|row| uses(row.op)).collect()
});

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Caller {
    /// What was known at the call.
    known: Set,
    /// The slot of the helper call that calls back, if it is one.
    helper: Option<usize>,
}

/// An instruction of which the next one tells what it did.
#[derive(Clone, Copy, Debug)]
enum Unclear {
    /// It leaves its function if the place is not in the packet.
    PacketLoad,
    /// It goes on in another program.
    TailCall,
    /// A helper that calls functions of the program.
    Callbacks,
}

/// Watches a run.
#[derive(Debug)]
pub struct Closedness {
    uses: &'static [Use],
    /// Registers that hold something known.
    known: Set,
    /// The calls under way.
    callers: Vec<Caller>,
    /// An instruction that may go on elsewhere than behind it, with its slot: what it did is seen by where the run goes on.
    unclear: Option<(usize, Unclear)>,
    /// Rows that were executed, one bit each.
    rows: [u64; 4],
    /// The first breach; the run stops there.
    pub breach: Option<Breach>,
}

impl Default for Closedness {
    fn default() -> Self {
        Closedness {
            uses: &USES,
            known: bit(Reg::R1) | bit(Reg::FP),
            callers: Vec::new(),
            unclear: None,
            rows: [0; 4],
            breach: None,
        }
    }
}

impl Closedness {
    /// Whether the row with this number was executed.
    pub fn was_executed(&self, row: usize) -> bool {
        self.rows[row / 64] >> (row % 64) & 1 == 1
    }

    fn need(&mut self, at: usize, regs: Set) {
        let open = regs & !self.known;
        if open != 0 && self.breach.is_none() {
            self.breach = Some(Breach::Open { at, reg: Reg::ALL[open.trailing_zeros() as usize] });
        }
    }

    fn aligned(&mut self, at: usize, addr: u64, size: u32) {
        if !addr.is_multiple_of(u64::from(size)) && self.breach.is_none() {
            self.breach = Some(Breach::Misaligned { at, addr, size });
        }
    }

    /// A call returned: R0 holds its result.
    fn returned(&mut self) {
        self.known = self.known & !ARGS | bit(Reg::R0);
    }

    /// The function is left.
    fn leave(&mut self) {
        let Some(Caller { known, helper }) = self.callers.pop() else { return };
        self.known = known;
        match helper {
            None => self.returned(),
            // It calls once more, or returns.
            Some(at) => self.unclear = Some((at, Unclear::Callbacks)),
        }
    }

    /// The run went on at slot `pc`.
    #[inline(never)]
    fn clear_up(&mut self, pc: usize) {
        while let Some((at, what)) = self.unclear.take() {
            match what {
                Unclear::PacketLoad | Unclear::Callbacks if pc == at + 1 => self.returned(),
                Unclear::PacketLoad => self.leave(),
                Unclear::TailCall if pc == at + 1 => {
                    // The helper returns nothing.
                    self.returned();
                    self.known &= !bit(Reg::R0);
                }
                Unclear::TailCall => self.known = bit(Reg::R1) | bit(Reg::FP),
                Unclear::Callbacks => {
                    self.callers.push(Caller { known: self.known, helper: Some(at) });
                    // The index and what the caller gave.
                    self.known = bit(Reg::R1) | bit(Reg::R2) | bit(Reg::FP);
                }
            }
        }
    }

    #[inline(never)]
    fn special(&mut self, at: usize, insn: &Insn, registers: &Registers) {
        let addr = |base: Reg| registers[base.index()].wrapping_add(insn.displacement());
        match insn.op() {
            Op::Atomic { op, size, .. } => {
                self.aligned(at, addr(insn.dst), size.bytes());
                if op == AtomicOp::Cmpxchg {
                    self.need(at, bit(Reg::R0));
                }
            }
            Op::LoadAcquire { size } => self.aligned(at, addr(insn.src), size.bytes()),
            Op::StoreRelease { size } => self.aligned(at, addr(insn.dst), size.bytes()),
            Op::CallHelper => {
                let args = helper::fact(insn.imm).map_or(5, |fact| fact.args.len().min(5));
                self.need(at, ARGS & ((1 << (args + 1)) - 1));
                let calls_back = |fact: &Fact| fact.args.iter().any(|arg| arg.kind == ArgKind::Func);
                if insn.imm == helper::tail_call::ID {
                    self.unclear = Some((at, Unclear::TailCall));
                } else if helper::fact(insn.imm).is_some_and(calls_back) {
                    self.unclear = Some((at, Unclear::Callbacks));
                } else {
                    self.returned();
                }
            }
            Op::CallLocal => {
                self.callers.push(Caller { known: self.known, helper: None });
                self.known &= ARGS | bit(Reg::FP);
            }
            Op::Exit => {
                self.need(at, bit(Reg::R0));
                self.leave();
            }
            Op::Packet { .. } => {
                self.need(at, bit(Reg::R6));
                self.unclear = Some((at, Unclear::PacketLoad));
            }
            _ => {}
        }
    }
}

impl Observer for Closedness {
    #[inline(always)]
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, _: &mut World) {
        if self.unclear.is_some() {
            self.clear_up(pc);
        }
        let row = insn.opcode as usize;
        self.rows[row / 64] |= 1 << (row % 64);
        let uses = self.uses[row];
        let (dst, src) = (bit(insn.dst), bit(insn.src));
        let read = if uses.reads_dst { dst } else { 0 } | if uses.reads_src { src } else { 0 };
        if read & !self.known != 0 {
            self.need(pc, read);
        }
        if uses.special {
            self.special(pc, insn, registers);
        }
        let written = if uses.writes_dst { dst } else { 0 } | if uses.writes_src { src } else { 0 };
        if written & bit(Reg::FP) != 0 && self.breach.is_none() {
            self.breach = Some(Breach::FramePointer { at: pc });
        }
        self.known |= written;
    }

    #[inline(always)]
    fn stops(&mut self) -> bool {
        self.breach.is_some()
    }
}

#[cfg(test)]
mod tests {
    use semantics::asm;
    use semantics::interpreter;
    use semantics::memory::Memory;
    use semantics::program::Program;
    use semantics::program_type::ProgramType;
    use semantics::world::Input;

    use super::*;

    fn breach(text: &str) -> Option<Breach> {
        let insns = asm::assemble(text).unwrap();
        let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
        let mut world = World::new(Memory::detached().unwrap());
        world.load(&program).unwrap();
        world.reset(&Input::default()).unwrap();
        let mut closedness = Closedness::default();
        let stop = interpreter::run(&program, &mut world, super::super::FUEL, &mut closedness);
        assert_eq!(stop.result.is_err(), closedness.breach.is_some(), "{:?}", stop.result);
        closedness.breach
    }

    #[test]
    fn what_is_open_must_not_be_read() {
        let open = |at, reg| Some(Breach::Open { at, reg });
        assert_eq!(breach("exit"), open(0, Reg::R0));
        assert_eq!(breach("r0 = r6\nexit"), open(0, Reg::R6));
        assert_eq!(breach("r0 = r1\nexit"), None);
        assert_eq!(breach("call 5\nr0 += r1\nexit"), open(1, Reg::R1));
        assert_eq!(breach("call 5\nr1 = 2\nr0 += r1\nexit"), None);
        assert_eq!(breach("r1 = 0\ncall 1\nr0 = 0\nexit"), open(1, Reg::R2));
        assert_eq!(breach("r6 = 1\ncall f\nexit\nf:\nr0 = r6\nexit"), open(3, Reg::R6));
        assert_eq!(breach("r6 = 1\ncall f\nr0 = r6\nexit\nf:\nr0 = r1\nexit"), None);
        // A function that a helper calls back.
        let looped = |body: &str| {
            format!("r1 = 2\nr2 = f ll\nr3 = r10\nr4 = 0\nr6 = 1\ncall 181\nr0 = r6\nexit\nf:\n{body}\nexit")
        };
        assert_eq!(breach(&looped("r0 = r1\nr0 *= r2")), None);
        assert_eq!(breach(&looped("r0 = 0\nr0 += r3")), open(10, Reg::R3));
        assert_eq!(breach(&looped("r0 = r6")), open(9, Reg::R6));
        assert_eq!(breach("call f\nr0 = r1\nexit\nf:\nr0 = 0\nexit"), open(1, Reg::R1));
        assert_eq!(breach("r0 = 0\ncall f\nexit\nf:\nexit"), open(3, Reg::R0));
        assert_eq!(breach("r2 = 0\nr0 = cmpxchg_64(r10 - 8, r0, r2)\nr0 = 0\nexit"), open(1, Reg::R0));
    }

    #[test]
    fn atomics_are_aligned_and_the_frame_pointer_stays() {
        let atomic = |off| format!("r1 = 1\nlock *(u64 *)(r10 - {off}) += r1\nr0 = 0\nexit");
        assert_eq!(breach(&atomic(16)), None);
        assert!(matches!(breach(&atomic(12)), Some(Breach::Misaligned { at: 1, size: 8, .. })));
        assert_eq!(breach("r10 += 8\nr0 = 0\nexit"), Some(Breach::FramePointer { at: 0 }));
    }
}
