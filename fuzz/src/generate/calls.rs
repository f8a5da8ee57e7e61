//! Subprograms of generated programs: calls with numbers, pointers into the caller's stack, packets and map values.

use semantics::insn::{Insn, Op, Opcode, Reg, Size, Source};

use super::{Kind, NUMBERS, Sketch, Writer};

/// A subprogram: what it is given, and where it is called.
#[derive(Debug)]
pub(super) struct Function {
    /// What R1 to R5 hold.
    given: [Kind; 5],
    /// The calls, in slots.
    calls: Vec<usize>,
    /// How many calls deep it lies at most.
    depth: usize,
}

/// The most calls deep: with the places that [`Writer::place`] gives, three frames fit into the stack together.
const DEPTH_MAX: usize = 2;
/// The most subprograms.
const FUNCTIONS_MAX: usize = 3;

impl Writer<'_> {
    /// Calls a subprogram that is written later.
    pub(super) fn call_local(&mut self) {
        if self.function_depth >= DEPTH_MAX {
            return;
        }
        let later = self.written..self.functions.len();
        let again = (!later.is_empty() && self.dice.chance(1, 2)).then(|| later.start + self.dice.below(later.len()));
        let Some(function) = again.or_else(|| self.new_function()) else { return };
        let given = self.functions[function].given;
        if !self.give(given) {
            return;
        }
        let (at, depth) = (self.insns.len(), self.function_depth + 1);
        let function = &mut self.functions[function];
        function.calls.push(at);
        function.depth = function.depth.max(depth);
        self.push(Insn::new(Opcode::CallLocal));
        for reg in Reg::ARGS {
            self.set(reg, Kind::Nothing);
        }
        self.set(Reg::R0, Kind::Scalar);
    }

    /// A subprogram with what it will be given; by number.
    fn new_function(&mut self) -> Option<usize> {
        if self.functions.len() >= FUNCTIONS_MAX {
            return None;
        }
        let packet = matches!(self.kind(Reg::R7), Kind::Packet(_)) && self.kind(Reg::R8) == Kind::PacketEnd;
        let first =
            if self.kind(Reg::R6) == Kind::Context && self.dice.chance(1, 2) { Kind::Context } else { Kind::Scalar };
        let (second, third) = match self.dice.below(3) {
            0 if packet => (Kind::Packet(0), Kind::PacketEnd),
            1 => (Kind::Scalar, Kind::Nothing),
            _ => (Kind::Stack, Kind::Scalar),
        };
        let value = match self.kind(Reg::R9) {
            Kind::Value(map) if self.dice.chance(1, 2) => Kind::Value(map),
            _ => Kind::Nothing,
        };
        let given = [first, second, third, value, Kind::Nothing];
        self.functions.push(Function { given, calls: Vec::new(), depth: self.function_depth + 1 });
        Some(self.functions.len() - 1)
    }

    /// Puts this into R1 to R5; whether it is at hand.
    fn give(&mut self, given: [Kind; 5]) -> bool {
        let is_at_hand = |writer: &Self, kind: Kind| match kind {
            Kind::Context => writer.kind(Reg::R6) == Kind::Context,
            Kind::Packet(_) => matches!(writer.kind(Reg::R7), Kind::Packet(_)),
            Kind::PacketEnd => writer.kind(Reg::R8) == Kind::PacketEnd,
            Kind::Value(_) => writer.kind(Reg::R9) == kind,
            _ => true,
        };
        if !given.iter().all(|kind| is_at_hand(self, *kind)) {
            return false;
        }
        // The slot first: writing it may take registers that the arguments are about to hold.
        let place = self.dice.below(8);
        let off = -8 * (place as i16 + 1);
        if given.contains(&Kind::Stack) && self.sketch.stack >> place & 1 == 0 {
            self.store(Size::Dw, Reg::FP, off);
            self.sketch.stack |= 1 << place;
        }
        for (kind, reg) in given.into_iter().zip(Reg::ARGS) {
            match kind {
                Kind::Nothing => continue,
                Kind::Scalar => self.give_number(reg),
                Kind::Stack => {
                    self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::FP));
                    self.push(Insn::new(Opcode::Add64K).dst(reg).imm(i32::from(off)));
                }
                Kind::Context => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R6)),
                Kind::Packet(_) => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R7)),
                Kind::PacketEnd => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R8)),
                Kind::Value(_) => self.push(Insn::new(Opcode::Mov64X).dst(reg).src(Reg::R9)),
                Kind::Frame => return false,
            }
            self.set(reg, Kind::Nothing);
        }
        true
    }

    /// A number for an argument: one that is at hand, or an immediate.
    fn give_number(&mut self, reg: Reg) {
        let held = NUMBERS.into_iter().find(|other| *other != reg && self.kind(*other) == Kind::Scalar);
        match held {
            _ if self.kind(reg) == Kind::Scalar && self.dice.chance(1, 2) => {}
            Some(held) if self.dice.chance(2, 3) => {
                let mov = if self.dice.chance(1, 3) { Opcode::Mov32X } else { Opcode::Mov64X };
                self.push(Insn::new(mov).dst(reg).src(held));
            }
            _ => {
                let imm = self.dice.imm();
                self.push(Insn::new(Opcode::Mov64K).dst(reg).imm(imm));
            }
        }
    }

    /// Writes the subprograms that are called, and those that they call.
    pub(super) fn subprograms(&mut self) {
        while self.written < self.functions.len() {
            let function = &mut self.functions[self.written];
            self.written += 1;
            let (given, calls, depth) = (function.given, std::mem::take(&mut function.calls), function.depth);
            if calls.is_empty() {
                continue;
            }
            let start = self.insns.len();
            for at in calls {
                self.insns[at] = self.insns[at].imm((start - at - 1) as i32);
            }
            self.limit = start + 4 + self.generator.options.insns / 2;
            self.function_depth = depth;
            self.sketch = Sketch { registers: [Kind::Nothing; 11], stack: 0, spills: [Kind::Nothing; 4] };
            self.set(Reg::FP, Kind::Frame);
            for (kind, reg) in given.into_iter().zip(Reg::ARGS) {
                self.receive(kind, reg);
            }
            self.block(1);
            self.epilogue();
        }
    }

    /// Keeps an argument where calls do not clobber it.
    fn receive(&mut self, kind: Kind, reg: Reg) {
        let keep = match kind {
            Kind::Context => Reg::R6,
            Kind::Packet(_) | Kind::Stack => Reg::R7,
            Kind::PacketEnd => Reg::R8,
            Kind::Value(_) => Reg::R9,
            Kind::Scalar | Kind::Nothing | Kind::Frame => return self.set(reg, kind),
        };
        self.push(Insn::new(Opcode::Mov64X).dst(keep).src(reg));
        self.set(keep, kind);
    }

    /// Accesses the slot of a caller.
    pub(super) fn caller_stack(&mut self) {
        if self.kind(Reg::R7) != Kind::Stack {
            return;
        }
        let size = self.dice.pick(&Size::ALL);
        let off = self.dice.below(8 / size.bytes() as usize) as i16 * size.bytes() as i16;
        match self.dice.below(4) {
            0 => self.load(size, Reg::R7, off),
            1 => self.atomic_at(Reg::R7, 0, 8),
            _ => {
                let source = if self.dice.chance(1, 3) { Source::K } else { Source::X };
                let insn = Insn::new(Opcode::of(Op::Store { size, source })).dst(Reg::R7).off(off);
                let insn = match source {
                    Source::K => insn.imm(self.dice.imm()),
                    Source::X => insn.src(self.number()),
                };
                self.push(insn);
            }
        }
    }
}
