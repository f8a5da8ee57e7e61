//! Closed programs are closed, reach every instruction that the JIT lowers, and no engine differs from another.

use fuzz::closed::{self, Closedness, Generator};
use fuzz::dice::Dice;
use fuzz::generate::Options;
use fuzz::judge::{Judge, Judgement};
use fuzz::target::Target;
use semantics::insn::Opcode;
use semantics::insn::table::TABLE;
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::trap::Trap;
use semantics::world::World;

const SEED: u64 = 7;

/// On the interpreter alone: every program is closed and ends, and together they execute every row that can be.
#[test]
fn programs_are_closed_and_reach_every_row() {
    let generator = Generator::new(Options::default());
    let mut world = World::new(Memory::detached().unwrap());
    let mut executed = vec![0; TABLE.len()];
    for number in 0..TESTS {
        let test = generator.test(Dice::new(SEED, number));
        world.load(&test.program).unwrap();
        world.reset(&test.input).unwrap();
        let mut closedness = Closedness::default();
        let stop = interpreter::run(&test.program, &mut world, closed::FUEL, &mut closedness);
        let place = || format!("test {number}\n{}", semantics::disasm::disassemble(test.program.insns()));
        assert_eq!(closedness.breach, None, "{}", place());
        let is_end = matches!(stop.result, Ok(_) | Err(Trap::Argument { .. }));
        assert!(is_end, "insn {}: {:?}, {}", stop.pc, stop.result, place());
        for (row, count) in executed.iter_mut().enumerate() {
            *count += usize::from(closedness.was_executed(row));
        }
    }
    // The second slot of a wide instruction is none of its own.
    let rows = TABLE.iter().filter(|row| closed::is_generated(row.op) && row.opcode != Opcode::WideTail);
    let missing: Vec<_> = rows.filter(|row| executed[row.opcode as usize] == 0).map(|row| row.name).collect();
    assert!(missing.is_empty(), "never executed in {TESTS} programs: {missing:?}");
}

#[test]
fn engines_agree_on_closed_programs() {
    let generator = Generator::new(Options::default());
    let mut judge = Judge::of(Target::Closed, None, None).unwrap();
    for number in 0..TESTS {
        let test = generator.test(Dice::new(SEED, number));
        let judgement = judge.judge_numbered(&test, number);
        let listing = || semantics::disasm::disassemble(test.program.insns());
        assert!(matches!(judgement, Judgement::Fine(_)), "test {number}: {judgement:?}\n{}", listing());
    }
}

#[test]
fn tests_depend_on_seed_and_number_alone() {
    let (generator, again) = (Generator::new(Options::default()), Generator::new(Options::default()));
    for number in [0, 1, 77, 1 << 40] {
        assert_eq!(generator.test(Dice::new(SEED, number)), again.test(Dice::new(SEED, number)));
    }
    assert_ne!(generator.test(Dice::new(SEED, 1)), generator.test(Dice::new(SEED + 1, 1)));
}

const TESTS: u64 = 20_000;
