//! The judge finds what is planted, finds nothing where nothing is planted, and what it finds shrinks to the point.

use std::collections::BTreeMap;

use fuzz::dice::Dice;
use fuzz::finding::Finding;
use fuzz::generate::{Generator, Options};
use fuzz::judge::{Judge, Judgement};
use fuzz::oracle::Oracle;
use fuzz::plant;
use fuzz::reduce::reduce;
use fuzz::target::Target;
use fuzz::test::Test;

const SEED: u64 = 42;

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let generator = Generator::new(Options::default());
    let mut judge = Judge::new(None).unwrap();
    let (mut fine, mut rejected) = (0, BTreeMap::new());
    for number in 0..20_000 {
        let test = generator.test(Dice::new(SEED, number));
        match judge.judge(&test) {
            Judgement::Fine(_) => fine += 1,
            Judgement::Rejected(reason) => *rejected.entry(reason).or_insert(0) += 1,
            other => panic!("test {number}: {other:?}\n{}", listing(&test)),
        }
    }
    assert!(fine > 19_000, "almost every generated program is accepted: {rejected:?}");
}

/// The same programs whatever was generated before: what makes shards and replays agree.
#[test]
fn tests_depend_on_seed_and_number_alone() {
    let generator = Generator::new(Options::default());
    let again = Generator::new(Options::default());
    for number in [0, 1, 77, 1 << 40] {
        assert_eq!(generator.test(Dice::new(SEED, number)), again.test(Dice::new(SEED, number)));
    }
    assert_ne!(generator.test(Dice::new(SEED, 1)), generator.test(Dice::new(SEED + 1, 1)));
}

/// Finds the planted mistake, shrinks it in this process, and checks that nothing can be left out.
fn found(name: &str, oracle: Oracle, most_insns: usize) {
    let planted = plant::by_name(name).unwrap_or_else(|| panic!("{name} is not planted"));
    let generator = Generator::new(Options::default());
    let mut judge = Judge::new(Some(&planted)).unwrap();
    let mut check = |test: &Test| match judge.judge_fully(test) {
        Judgement::Objection(objection) => Some(objection),
        _ => None,
    };
    let finding = (0..100_000).find_map(|number| {
        let test = generator.test(Dice::new(SEED, number));
        let objection = check(&test)?;
        Some(Finding { test, objection, plant: Some(name.to_owned()), target: Target::default() })
    });
    let finding = finding.unwrap_or_else(|| panic!("{name} was not found"));
    let (finding, _) = reduce(finding, &mut check);
    assert_eq!(finding.objection.oracle, oracle, "{name}: {}", finding.objection);
    let insns = finding.test.program.insns().len();
    assert!(insns <= most_insns, "{name} shrank to {insns} insns only:\n{}", listing(&finding.test));
    // Shrinking again leaves it as it is.
    let (again, _) = reduce(finding.clone(), &mut check);
    assert_eq!(again, finding, "{name}");
    // Without the planted mistake nobody objects.
    drop(judge);
    let mut judge = Judge::new(None).unwrap();
    if let Judgement::Objection(objection) = judge.judge_fully(&finding.test) {
        panic!("{name}: without it there is {objection}:\n{}", listing(&finding.test));
    }
}

fn listing(test: &Test) -> String {
    semantics::disasm::disassemble(test.program.insns())
}

// Mistakes of the JIT take down the process sooner or later: they are looked for in worker processes, by the campaigns of
// the command line's tests.

#[test]
fn mistakes_of_the_verifier_are_found() {
    found("verifier::mov32_sign_extended", Oracle::Contained, 3);
    found("verifier::add32_on_64_bits", Oracle::Contained, 5);
    found("verifier::packet_range_off_by_one", Oracle::Contained, 8);
}

#[test]
fn mistakes_of_helpers_are_found() {
    found("helper::prandom_sign_extended", Oracle::Contract, 3);
    found("helper::lookup_clobbers_key", Oracle::Contract, 9);
}

/// Programs that are almost accepted: generated ones with a few bytes changed. Whatever the verifier says of them, a
/// program that it accepts stays inside its states and both engines agree.
#[test]
fn programs_with_changed_bytes_are_judged_soundly() {
    let generator = Generator::new(Options::default());
    let mut judge = Judge::new(None).unwrap();
    let (mut accepted, mut rejected) = (0, 0);
    for number in 0..MUTANTS {
        let mut dice = Dice::new(SEED + 1, number);
        let mut bytes = fuzz::bytes::encode(&generator.test(dice));
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            bytes[at] = if dice.chance(1, 2) { dice.bits() as u8 } else { bytes[at] ^ (1 << dice.below(8)) };
        }
        let test = fuzz::bytes::decode(&bytes);
        // A loop whose counter changed may take the verifier its whole budget: too long for so many.
        let insns = test.program.insns();
        if insns.iter().any(|insn| insn.op().is_jump() && (insn.off as i16) < 0) {
            continue;
        }
        match judge.judge(&test) {
            Judgement::Fine(_) => accepted += 1,
            Judgement::Rejected(_) => rejected += 1,
            Judgement::Unsupported(_) => {}
            other @ Judgement::Objection(_) => panic!("mutant {number}: {other:?}\n{}", listing(&test)),
        }
    }
    assert!(accepted > MUTANTS / 10 && rejected > MUTANTS / 10, "{accepted} accepted, {rejected} rejected");
}

const MUTANTS: u64 = 50_000;
