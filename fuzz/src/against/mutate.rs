//! Programs made wrong by small changes, so that refusals are compared too.

use semantics::encoding;
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Opcode, Reg};
use semantics::program::Program;

use crate::dice::Dice;

/// Offsets that accesses and jumps are moved by.
const STEPS: [i16; 10] = [1, -1, 2, -2, 4, -4, 8, -8, 16, -16];

/// The slots of `program` with one to three changes. What comes out need not be a program, nor instructions.
pub fn mutated(program: &Program, dice: &mut Dice) -> Vec<u8> {
    let mut insns = program.insns().to_vec();
    for _ in 0..dice.pick(&[1, 1, 1, 2, 2, 3]) {
        let before = insns.clone();
        change(&mut insns, dice);
        // What is changed in a loop, or makes one, mostly has no end, and a kernel follows it for seconds.
        let is_loop = loops(&before).any(|(from, to)| insns[from..=to] != before[from..=to]);
        if (is_loop || loops(&insns).count() > loops(&before).count()) && !dice.chance(1, 32) {
            insns = before;
        }
    }
    let mut slots = encoding::encode(&insns);
    if dice.chance(1, 16) {
        let at = dice.below(slots.len());
        slots[at] ^= 1 << dice.below(8);
    }
    slots
}

/// First and last slots of loops.
fn loops(insns: &[Insn]) -> impl Iterator<Item = (usize, usize)> + '_ {
    insns.iter().enumerate().filter_map(|(at, insn)| {
        let back = usize::try_from(insn.target(at)).ok().filter(|to| insn.op().is_jump() && *to <= at);
        Some((back?, at))
    })
}

/// One change of one instruction.
fn change(insns: &mut [Insn], dice: &mut Dice) {
    let at = dice.below(insns.len());
    let op = insns[at].op();
    // Both slots of a wide instruction stay where they are.
    let is_wide = |at: usize| insns.get(at).is_some_and(|insn| matches!(insn.op(), Op::Wide(_) | Op::WideTail));
    match dice.below(12) {
        0 if !is_wide(at) => insns[at] = Insn::new(Opcode::Ja),
        1 if !is_wide(at) && at + 1 < insns.len() && !is_wide(at + 1) => insns.swap(at, at + 1),
        2 if !is_wide(at) => {
            let other = dice.below(insns.len());
            if !is_wide(other) {
                insns[at] = insns[other];
            }
        }
        3 | 4 if !is_wide(at) => insns[at].opcode = alike(insns[at].opcode, dice),
        5 | 6 if op != Op::WideTail && op.writes_dst() | op.reads_dst() => insns[at].dst = register(dice),
        7 if !is_wide(at) && op.reads_src() => insns[at].src = register(dice),
        8 | 9 if has_offset(op) => insns[at].off = insns[at].off.wrapping_add(dice.pick(&STEPS) as u16),
        10 if has_immediate(op) => insns[at].imm = insns[at].imm.wrapping_add(i32::from(dice.pick(&STEPS)) as u32),
        _ if has_immediate(op) => insns[at].imm = dice.imm() as u32,
        _ => {}
    }
}

fn register(dice: &mut Dice) -> Reg {
    dice.pick(&Reg::ALL)
}

/// An instruction that reads and writes the same operands.
fn alike(opcode: Opcode, dice: &mut Dice) -> Opcode {
    let shape =
        |op: Op| (op.reads_src(), op.reads_dst(), op.writes_dst(), op.is_jump(), has_offset(op), has_immediate(op));
    let of = shape(opcode.op());
    let all: Vec<Opcode> = TABLE.iter().map(|row| row.opcode).filter(|other| shape(other.op()) == of).collect();
    dice.pick(&all)
}

fn has_offset(op: Op) -> bool {
    matches!(op, Op::Load { .. } | Op::Store { .. } | Op::Jump { .. } | Op::Ja)
}

fn has_immediate(op: Op) -> bool {
    let is_immediate = |source| source == semantics::insn::Source::K;
    match op {
        Op::Alu { source, .. } | Op::Mov { source, .. } | Op::Store { source, .. } | Op::Jump { source, .. } => {
            is_immediate(source)
        }
        Op::CallHelper => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generator, Options};

    #[test]
    fn changes_are_small_and_many() {
        let generator = Generator::new(Options::default());
        let (mut changed, mut most) = (0, 0);
        for number in 0..200 {
            let program = generator.test(Dice::new(1, number)).program;
            let (before, after) = (encoding::encode(program.insns()), mutated(&program, &mut Dice::new(2, number)));
            assert_eq!(before.len(), after.len());
            let slots = |bytes: &[u8]| bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let differing = slots(&before).iter().zip(slots(&after)).filter(|(a, b)| **a != *b).count();
            changed += usize::from(differing > 0);
            most = most.max(differing);
        }
        assert!(changed > 150, "{changed} of 200 programs are changed");
        assert!(most <= 7, "a change of {most} slots is not small");
    }
}
