//! How a function begins and ends: with all registers written, and with all of them shown.

use semantics::insn::{Insn, Opcode, Reg};

use super::writer::{Entry, Holds, Writer};

impl Writer<'_> {
    /// Writes something to every register that is open at the start: all but the context or the arguments.
    pub(super) fn prologue(&mut self) {
        let given = match self.entry {
            Entry::Program => 1,
            Entry::Call => 5,
            Entry::Callback => 2,
        };
        if self.entry == Entry::Program && self.dice.chance(3, 4) {
            // R6 is where packet loads want the context.
            let keep = self.dice.pick(&[Reg::R6, Reg::R6, Reg::R7, Reg::R9, Reg::R3]);
            self.push(Insn::new(Opcode::Mov64X).dst(keep).src(Reg::R1));
            self.set(keep, Holds::Context);
        }
        for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::FP) {
            let is_given = (1..=given).contains(&reg.number());
            if !is_given && self.holds[reg.index()] == Holds::Number {
                let value = self.dice.wide();
                self.number(reg, value);
            }
        }
        for _ in 0..self.dice.below(3) {
            let (src, off) = (self.any(), -8 * (1 + self.dice.below(64) as i16));
            self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(src).off(off));
        }
    }

    /// Shows every bit of every register, in the frame or in R0, and leaves.
    pub(super) fn epilogue(&mut self) {
        self.land_some();
        if self.entry == Entry::Callback || self.dice.chance(1, 2) {
            for reg in Reg::ALL {
                let off = -8 * (1 + i16::from(reg.number()));
                self.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(reg).off(off));
            }
        } else {
            self.fold();
        }
        if self.entry == Entry::Callback {
            let result = self.dice.pick(&[0, 0, 0, 1]);
            self.push(Insn::new(Opcode::Mov64K).imm(result));
        }
        // A jump to the last instruction is one, too.
        self.land_all();
        self.push(Insn::new(Opcode::Exit));
    }

    /// Folds all registers and some of the frame into R0: a wrong bit in one of them changes it.
    fn fold(&mut self) {
        for reg in Reg::ALL.into_iter().skip(1) {
            // Odd factors lose nothing.
            self.push(Insn::new(Opcode::Mul64K).dst(Reg::R0).imm(0x01b3));
            self.push(Insn::new(Opcode::Add64X).dst(Reg::R0).src(reg));
        }
        for _ in 0..self.dice.below(4) {
            let off = -8 * (1 + self.dice.below(64) as i16);
            self.push(Insn::new(Opcode::LdxDw).dst(Reg::R1).src(Reg::FP).off(off));
            self.push(Insn::new(Opcode::Mul64K).dst(Reg::R0).imm(0x01b3));
            self.push(Insn::new(Opcode::Add64X).dst(Reg::R0).src(Reg::R1));
        }
    }
}
