//! From instructions to one block of bytes: every slot and every branch gets its place (branch relaxation).
//!
//! The block is `prologue, slots in order, epilogue, helper stub, trap exit`. It holds no absolute address of its own.
//!
//! **Invariant of relaxation.** Every branch starts short and only ever grows to near. The distance between two places is
//! a sum of lengths, none of which ever shrinks, so a distance never shrinks either: a branch that did not fit 8 bits
//! once does not fit in any later round, and when a round changes nothing every short branch fits. Rounds are bounded:
//! after `ROUNDS_MAX` all remaining branches become near, which fits always.

use semantics::insn::{Insn, Reg};
use semantics::program::Verified;
use semantics::trap::Unsupported;
use semantics::word::Concrete;

use crate::engine::NAME;
use crate::frame::{Saved, stub, trap_exit};
use crate::rules::Rules;
use crate::runtime::helper_address;
use crate::x64::encode::{self, branch_len};
use crate::x64::{Branch, Inst, Reach};

/// Rounds of relaxation that look at single branches; programs need two or three.
const ROUNDS_MAX: u32 = 16;

/// The code of one program, with the buffers that made it: compiling again reuses them.
#[derive(Clone, Debug, Default)]
pub struct Code {
    bytes: Vec<u8>,
    /// Per slot; then epilogue, helper stub and trap exit.
    places: Vec<Place>,
    branches: Vec<Pending>,
    /// What instructions lowered to, without branches.
    straight: Vec<u8>,
    /// `grown[i]`: bytes of the first `i` branches.
    grown: Vec<u32>,
    insts: Vec<Inst>,
    prologue: u32,
}

/// The bit of R10 among the registers that a program names: with subprograms, all frames count from it.
const FRAME_POINTER: u16 = 1 << Reg::FP as u16;

/// Places behind the slots: epilogue, helper stub, trap exit.
const EXTRA: usize = 3;

/// A place in the block: after so many straight bytes and so many branches.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    straight: u32,
    branches: u32,
}

/// A branch whose displacement is not known yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// Straight bytes before it.
    straight: u32,
    /// Index into the places.
    target: u32,
    branch: Branch,
    reach: Reach,
}

/// Compiles a program; `code` receives it.
pub fn compile(program: &Verified, rules: &Rules, code: &mut Code) -> Result<(), Unsupported> {
    let program = program.program();
    // The entry is the first subprogram; what lies behind it returns to a caller.
    let entry = program.subprograms().get(1).copied().unwrap_or(usize::MAX);
    code.assemble(program.insns(), entry, rules)
}

impl Code {
    /// The block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Slots of the program.
    pub fn slots(&self) -> usize {
        self.places.len().saturating_sub(EXTRA)
    }
    /// Where the code of a slot begins; the second slot of a wide instruction has none and shares the place of what
    /// follows. One past the last slot is the epilogue.
    pub fn slot(&self, slot: usize) -> usize {
        self.offset(self.places[slot]) as usize
    }
    /// Where the helper stub begins.
    pub fn stub(&self) -> usize {
        self.slot(self.slots() + 1)
    }
    /// Where a run ends early: jumped to with the stack pointer that the prologue saved in `rdx`, it returns to whoever
    /// entered, with no particular result.
    pub fn trap_exit(&self) -> usize {
        self.slot(self.slots() + 2)
    }

    /// Compiles instructions whose jumps all lead to instructions; those before slot `entry` are the program's entry.
    pub(crate) fn assemble(&mut self, insns: &[Insn], entry: usize, rules: &Rules) -> Result<(), Unsupported> {
        self.places.clear();
        self.branches.clear();
        self.straight.clear();
        self.bytes.clear();
        self.insts.clear();
        let saved = self.lower(insns, entry, rules)?;
        saved.prologue(&mut self.insts);
        self.insts.drain(..).for_each(|inst| encode::encode(&inst, &mut self.bytes));
        self.prologue = self.bytes.len() as u32;
        self.relax();
        self.write();
        Ok(())
    }

    /// Lowers everything to straight code and branches.
    fn lower(&mut self, insns: &[Insn], entry: usize, rules: &Rules) -> Result<Saved, Unsupported> {
        let mut named = if entry < insns.len() { FRAME_POINTER } else { 0 };
        let epilogue = insns.len();
        self.places.reserve(insns.len() + EXTRA);
        for (slot, insn) in insns.iter().enumerate() {
            let unsupported = || Unsupported::Insn { engine: NAME, insn: insn.opcode.row().name };
            let row = rules.row(insn.opcode).ok_or_else(unsupported)?;
            self.mark();
            row(insn, &mut self.insts);
            self.append(epilogue, slot >= entry, || insn.target(slot) as usize);
            named |= 1 << insn.dst.number() | 1 << insn.src.number();
        }
        let saved = Saved(named);
        self.mark();
        saved.epilogue(&mut self.insts);
        self.append(epilogue, false, || epilogue);
        self.mark();
        stub(helper_address(), &mut self.insts);
        self.append(epilogue, false, || epilogue + 2);
        self.mark();
        trap_exit(saved, &mut self.insts);
        self.append(epilogue, false, || epilogue);
        Ok(saved)
    }

    /// The next slot lies here.
    #[inline(always)]
    fn mark(&mut self) {
        self.places.push(Place { straight: self.straight.len() as u32, branches: self.branches.len() as u32 });
    }

    /// Encodes what was lowered, with branches apart: a place for each. In a subprogram, which `returns`, exit is a return.
    #[inline(always)]
    fn append(&mut self, epilogue: usize, returns: bool, jump: impl Fn() -> usize) {
        for inst in &self.insts {
            let Inst::Branch(branch) = *inst else {
                encode::encode(inst, &mut self.straight);
                continue;
            };
            let target = match branch {
                Branch::Jcc(_) | Branch::Jmp | Branch::Local => jump(),
                Branch::Exit if returns => {
                    self.straight.push(encode::RET);
                    continue;
                }
                Branch::Exit => epilogue,
                Branch::Call => epilogue + 1,
            };
            // A jump to what follows takes no bytes.
            let calls = matches!(branch, Branch::Call | Branch::Local);
            if target != self.places.len() || calls || matches!(branch, Branch::Jcc(_)) {
                let reach = if calls { Reach::Near } else { Reach::Short };
                let straight = self.straight.len() as u32;
                self.branches.push(Pending { straight, target: target as u32, branch, reach });
            }
        }
        self.insts.clear();
    }

    /// Decides how far each branch reaches.
    fn relax(&mut self) {
        for round in 0.. {
            self.measure();
            let mut settled = true;
            for index in 0..self.branches.len() {
                let short = self.branches[index].reach == Reach::Short;
                if short && (round >= ROUNDS_MAX || i8::try_from(self.displacement(index)).is_err()) {
                    self.branches[index].reach = Reach::Near;
                    settled = false;
                }
            }
            if settled {
                break;
            }
        }
    }

    /// Sums the lengths of branches.
    fn measure(&mut self) {
        self.grown.clear();
        self.grown.push(0);
        let mut total = 0;
        self.grown.extend(self.branches.iter().map(|pending| {
            total += branch_len(pending.branch, pending.reach);
            total
        }));
    }

    #[inline(always)]
    fn offset(&self, place: Place) -> u32 {
        self.prologue + place.straight + self.grown[place.branches as usize]
    }

    /// From the end of a branch to its target.
    #[inline(always)]
    fn displacement(&self, index: usize) -> i32 {
        let pending = &self.branches[index];
        let end = Place { straight: pending.straight, branches: index as u32 + 1 };
        self.offset(self.places[pending.target as usize]) as i32 - self.offset(end) as i32
    }

    /// Writes straight code and branches between each other.
    fn write(&mut self) {
        let mut from = 0;
        for index in 0..self.branches.len() {
            let Pending { straight, branch, reach, .. } = self.branches[index];
            self.bytes.extend_from_slice(&self.straight[from..straight as usize]);
            from = straight as usize;
            let rel = self.displacement(index) as u32;
            encode::branch::<Concrete>(branch, reach, &rel, &mut self.bytes);
        }
        self.bytes.extend_from_slice(&self.straight[from..]);
        let end = Place { straight: self.straight.len() as u32, branches: self.branches.len() as u32 };
        assert_eq!(self.bytes.len(), self.offset(end) as usize, "lengths are as they were measured");
    }
}
