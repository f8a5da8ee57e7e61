//! The judge finds what is planted, finds nothing where nothing is planted, and what it finds shrinks to the point.

use fuzz::dice::Dice;
use fuzz::finding::Finding;
use fuzz::generate::{Generator, Options};
use fuzz::judge::{Judge, Judgement};
use fuzz::oracle::Oracle;
use fuzz::plant;
use fuzz::reduce::reduce;
use fuzz::test::Test;

const SEED: u64 = 42;

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let generator = Generator::new(Options::default());
    let mut judge = Judge::new(None).unwrap();
    let mut fine = 0;
    for number in 0..20_000 {
        let test = generator.test(Dice::new(SEED, number));
        match judge.judge(&test) {
            Judgement::Fine(_) => fine += 1,
            other => panic!("test {number}: {other:?}\n{}", listing(&test)),
        }
    }
    assert_eq!(fine, 20_000, "every generated program is accepted");
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
        Some(Finding { test, objection, plant: Some(name.to_owned()) })
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
    assert!(!matches!(judge.judge_fully(&finding.test), Judgement::Objection(_)), "{name}");
}

fn listing(test: &Test) -> String {
    semantics::disasm::disassemble(test.program.insns())
}

#[test]
fn mistakes_of_the_jit_are_found() {
    found("jit::alu::sub_swapped", Oracle::Agree, 4);
    found("jit::jump::signed_as_unsigned", Oracle::Agree, 6);
    found("jit::load_store::store_too_wide", Oracle::Agree, 5);
}

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
