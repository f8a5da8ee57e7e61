//! From instructions to one block of bytes: every slot and every branch gets its place (branch relaxation).
//!
//! The block is `trampoline, stubs, trap exit, slots in order`. It holds no absolute address of its own.
//!
//! **Invariant of relaxation**, proven of the steps in [`relax`]. Every branch starts short and only ever grows to near. The
//! distance between two places is a sum of lengths, none of which ever shrinks, so a distance never shrinks either: a branch
//! that did not fit 8 bits once does not fit in any later round, and when a round changes nothing every short branch fits. Rounds are bounded:
//! after `ROUNDS_MAX` all remaining branches become near, which fits always. Nops before loops, see `align`, are put in
//! when it has settled, and it goes on from there.

use semantics::insn::Insn;
use semantics::memory::layout::FRAMES_MAX;
use semantics::program::{Program, Verified};
use semantics::trap::Unsupported;
use semantics::word::Concrete;

use crate::engine::NAME;
use crate::frame::{self, Frame};
use crate::link;
use crate::rules::Rules;
use crate::runtime;
use crate::x64::encode;
use crate::x64::{Branch, Inst, Reach, Stub};

mod align;
pub mod relax;

use align::Loop;
use relax::{Standard, Steps};

/// Rounds of relaxation that look at single branches; programs need two or three.
const ROUNDS_MAX: u32 = 16;

/// Bytes of a branch and of the nops before its target, at most.
const BRANCH_MAX: usize = 6 + 64;

/// The code of one program, with the buffers that made it: compiling again reuses them.
#[derive(Clone, Debug, Default)]
pub struct Code {
    bytes: Vec<u8>,
    prelude: Prelude,
    /// Per slot, and one behind the last.
    places: Vec<Place>,
    branches: Vec<Pending>,
    /// What instructions lowered to, without branches.
    straight: Vec<u8>,
    /// `grown[i]`: bytes of the first `i` branches.
    grown: Vec<u32>,
    insts: Vec<Inst>,
    /// Jumps back, in the order of their branches.
    loops: Vec<Loop>,
    functions: Vec<Function>,
}

/// A subprogram, as far as a callback needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its first slot.
    pub slot: usize,
    /// How many frames calls from it can put behind its own.
    pub below: u64,
}

/// Trampoline, stubs and trap exit: the same for every program, so they are encoded once.
#[derive(Clone, Debug, Default)]
struct Prelude {
    /// The rows that made it.
    made_by: Option<[usize; 2]>,
    bytes: Vec<u8>,
    /// Where each stub begins, in the order of [`Stub::ALL`]; then where they end.
    stubs: [u32; Stub::ALL.len() + 1],
}

impl Prelude {
    /// Makes it anew if other rows made it.
    fn make(&mut self, frame: &Frame<Concrete>) {
        let rows = Some([frame.trampoline as usize, frame.stub as usize]);
        if self.made_by == rows {
            return;
        }
        self.bytes.clear();
        let mut insts = Vec::new();
        (frame.trampoline)(&mut insts);
        insts.drain(..).for_each(|inst| encode::encode(&inst, &mut self.bytes));
        for stub in Stub::ALL {
            self.stubs[stub as usize] = self.bytes.len() as u32;
            (frame.stub)(stub, runtime::address(stub), &mut insts);
            insts.drain(..).for_each(|inst| encode::encode(&inst, &mut self.bytes));
        }
        self.stubs[Stub::ALL.len()] = self.bytes.len() as u32;
        frame::trap_exit(&mut insts);
        insts.drain(..).for_each(|inst| encode::encode(&inst, &mut self.bytes));
        self.made_by = rows;
    }
}

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
    /// Index into the places; of the call of a stub, nothing.
    target: u32,
    branch: Branch,
    reach: Reach,
}

/// Compiles a program; `code` receives it.
pub fn compile(program: &Verified, rules: &Rules, code: &mut Code) -> Result<(), Unsupported> {
    let program = program.program();
    code.functions.clear();
    if program.subprograms().len() > 1 {
        let facility = "chains of at most 8 calls";
        let depths = program.call_depths().filter(|depths| depths.iter().all(|below| *below < FRAMES_MAX));
        let depths = depths.ok_or(Unsupported::Facility { engine: NAME, facility })?;
        let functions = program.subprograms().iter().zip(depths);
        code.functions.extend(functions.map(|(slot, below)| Function { slot: *slot, below }));
    }
    code.assemble(program, rules)
}

impl Code {
    /// The block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Slots of the program.
    pub fn slots(&self) -> usize {
        self.places.len().saturating_sub(1)
    }
    /// Where the code of a slot begins; the second slot of a wide instruction has none and shares the place of what
    /// follows. One past the last slot is the end of the block.
    #[inline]
    pub fn slot(&self, slot: usize) -> usize {
        self.offset::<Standard>(self.places[slot]) as usize
    }
    /// Where a stub lies. The trampoline lies before the first.
    pub fn stub(&self, stub: Stub) -> std::ops::Range<usize> {
        let at = stub as usize;
        self.prelude.stubs[at] as usize..self.prelude.stubs[at + 1] as usize
    }
    /// Where the way out begins that what interrupts a program takes, with `Entry::stack_pointer` in `rdx`: behind the stubs.
    pub fn trap_exit(&self) -> usize {
        self.prelude.stubs[Stub::ALL.len()] as usize
    }
    /// Where the code of slots begins, and what stands before all programs ends.
    pub fn body(&self) -> usize {
        self.prelude.bytes.len()
    }
    /// The slot whose code the byte at this offset belongs to. Looks only: a signal handler asks.
    pub fn slot_at(&self, offset: usize) -> Option<usize> {
        // Slots without code share the place of the next one that has some, which is the last of them.
        let behind = self.places.partition_point(|place| self.offset::<Standard>(*place) as usize <= offset);
        behind.checked_sub(1).filter(|slot| *slot < self.slots())
    }
    /// The subprogram that begins at this slot, if the program has more than one.
    pub fn function(&self, slot: usize) -> Option<Function> {
        let at = self.functions.binary_search_by_key(&slot, |function| function.slot).ok()?;
        Some(self.functions[at])
    }

    fn assemble(&mut self, program: &Program, rules: &Rules) -> Result<(), Unsupported> {
        self.places.clear();
        self.branches.clear();
        self.straight.clear();
        self.bytes.clear();
        self.insts.clear();
        self.loops.clear();
        self.prelude.make(&rules.frame);
        match rules.blinding() {
            None => self.lower(program, rules, |insn, out| rules.lower(insn, out))?,
            Some(mut keys) => self.lower(program, rules, |insn, out| rules.lower_blinded(insn, &keys.draw(), out))?,
        }
        // Offsets are below 2^31, so that every branch reaches; nops before loops are fewer than the branches back.
        let most = self.prelude.bytes.len() + self.straight.len() + BRANCH_MAX * self.branches.len();
        if most > i32::MAX as usize {
            return Err(Unsupported::Facility { engine: NAME, facility: "code of less than 2 GiB" });
        }
        (rules.place)(self);
        Ok(())
    }

    /// Lowers everything to straight code and branches, single instructions with `row`.
    fn lower(
        &mut self,
        program: &Program,
        rules: &Rules,
        mut row: impl FnMut(&Insn, &mut Vec<Inst>) -> Option<()>,
    ) -> Result<(), Unsupported> {
        let insns = program.insns();
        self.places.reserve(insns.len() + 1);
        for (slot, insn) in insns.iter().enumerate() {
            self.mark();
            if row(insn, &mut self.insts).is_none() {
                let linked = linked(program, slot, rules)?;
                row(&linked, &mut self.insts).ok_or_else(|| unsupported(insn))?;
            }
            self.append(|| insn.target(slot) as usize);
        }
        self.mark();
        Ok(())
    }

    /// The next slot lies here.
    #[inline(always)]
    fn mark(&mut self) {
        self.places.push(Place { straight: self.straight.len() as u32, branches: self.branches.len() as u32 });
    }

    /// Encodes what was lowered, with branches apart: a place for each.
    #[inline(always)]
    fn append(&mut self, jump: impl Fn() -> usize) {
        for inst in &self.insts {
            let Inst::Branch(branch) = *inst else {
                let mut bytes = encode::Buffer::default();
                encode::encode_to(inst, &mut bytes);
                bytes.append_to(&mut self.straight);
                continue;
            };
            let (target, reach) = match branch {
                Branch::Jcc(_) | Branch::Jmp => (jump(), Reach::Short),
                Branch::Local => (jump(), Reach::Near),
                Branch::Stub(_) => (0, Reach::Near),
            };
            // A jump to what follows takes no bytes.
            if branch != Branch::Jmp || target != self.places.len() {
                let straight = self.straight.len() as u32;
                // What jumps to itself is left at once or never.
                if target + 1 < self.places.len() && matches!(branch, Branch::Jcc(_) | Branch::Jmp) {
                    self.loops.push(Loop { head: target as u32, branch: self.branches.len() as u32 });
                }
                self.branches.push(Pending { straight, target: target as u32, branch, reach });
            }
        }
        self.insts.clear();
    }

    /// Decides how far each branch reaches.
    fn relax<S: Steps>(&mut self) {
        for round in 0.. {
            self.measure::<S>();
            let mut settled = true;
            for index in 0..self.branches.len() {
                let now = self.branches[index].reach;
                if now == Reach::Short {
                    let next = S::reach(now, &self.displacement::<S>(index));
                    if next == Reach::Near || round >= ROUNDS_MAX {
                        self.branches[index].reach = Reach::Near;
                        settled = false;
                    }
                }
            }
            if settled {
                break;
            }
        }
    }

    /// Sums the lengths of branches.
    fn measure<S: Steps>(&mut self) {
        self.grown.clear();
        self.grown.push(0);
        let mut total = 0;
        self.grown.extend(self.branches.iter().map(|pending| {
            total = S::grow(&total, pending.branch, pending.reach);
            total
        }));
    }

    #[inline(always)]
    fn offset<S: Steps>(&self, place: Place) -> u32 {
        S::offset(&(self.prelude.bytes.len() as u32), &place.straight, &self.grown[place.branches as usize])
    }

    /// From the end of a branch to its target.
    #[inline(always)]
    fn displacement<S: Steps>(&self, index: usize) -> u32 {
        let pending = &self.branches[index];
        let end = Place { straight: pending.straight, branches: index as u32 + 1 };
        let target = match pending.branch {
            Branch::Stub(stub) => self.prelude.stubs[stub as usize],
            _ => self.offset::<S>(self.places[pending.target as usize]),
        };
        S::displacement(&target, &self.offset::<S>(end))
    }

    /// Writes straight code and branches between each other.
    fn write<S: Steps>(&mut self) {
        self.bytes.extend_from_slice(&self.prelude.bytes);
        let mut from = 0;
        for index in 0..self.branches.len() {
            let Pending { straight, branch, reach, .. } = self.branches[index];
            self.bytes.extend_from_slice(&self.straight[from..straight as usize]);
            from = straight as usize;
            let rel = self.displacement::<S>(index);
            encode::branch::<Concrete>(branch, reach, &rel, &mut self.bytes);
        }
        self.bytes.extend_from_slice(&self.straight[from..]);
        let end = Place { straight: self.straight.len() as u32, branches: self.branches.len() as u32 };
        assert_eq!(self.bytes.len(), self.offset::<S>(end) as usize, "lengths are as they were measured");
    }
}

/// The instruction at `slot`, for which there is no rule, once it is linked.
#[cold]
fn linked(program: &Program, slot: usize, rules: &Rules) -> Result<Insn, Unsupported> {
    let insn = &program.insns()[slot];
    if !link::is_linked(insn.op()) {
        return Err(unsupported(insn));
    }
    Ok((rules.link)(insn, &link::address(program, slot)?))
}

fn unsupported(insn: &Insn) -> Unsupported {
    Unsupported::Insn { engine: NAME, insn: insn.opcode.row().name }
}

/// Gives everything in `code` its place, and writes it.
pub(crate) fn place<S: Steps>(code: &mut Code) {
    code.relax::<S>();
    if !code.loops.is_empty() && code.align::<S>() {
        code.relax::<S>();
    }
    code.write::<S>();
}
