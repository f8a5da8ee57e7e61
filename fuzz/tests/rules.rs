//! Mistakes of rules that are not about numbers are found by the target that is about them; those on the safe side are not
//! objected to.

use fuzz::dice::Dice;
use fuzz::finding::{Finding, Objection};
use fuzz::generate::Options;
use fuzz::judge::{Judge, Judgement};
use fuzz::oracle::Oracle;
use fuzz::plant::{self, Plant, Site};
use fuzz::reduce::reduce;
use fuzz::target::{Configuration, Generator, Target};
use fuzz::test::Test;
use semantics::word::Concrete;

const SEED: u64 = 42;

/// What came of so many tests: the first objection with the number of its test, accepted and rejected programs.
fn search(target: Target, plant: Option<&Plant>, tests: u64) -> (Option<(u64, Objection)>, u64, u64) {
    let generator = Generator::new(target, Options::default(), &[]);
    let mut judge = Judge::of(target, Some(Configuration::Standard), plant).unwrap();
    let (mut accepted, mut rejected) = (0, 0);
    for number in 0..tests {
        let test = generator.test(Dice::new(SEED, number));
        match judge.judge_numbered(&test, number) {
            Judgement::Fine(_) => accepted += 1,
            Judgement::Rejected(_) => rejected += 1,
            Judgement::Unsupported(what) => panic!("test {number}: {what}"),
            Judgement::Objection(objection) => return (Some((number, objection)), accepted, rejected),
        }
    }
    (None, accepted, rejected)
}

/// The smallest program that shows what test `number` does.
fn smallest(target: Target, number: u64, objection: Objection) -> String {
    let test = Generator::new(target, Options::default(), &[]).test(Dice::new(SEED, number));
    let mut judge = Judge::of(target, Some(Configuration::Standard), None).unwrap();
    let finding = Finding { test, objection, plant: None, target };
    let (finding, _) = reduce(finding, &mut |test: &Test| match judge.judge_fully(test) {
        Judgement::Objection(objection) => Some(objection),
        _ => None,
    });
    let listing = semantics::disasm::disassemble(finding.test.program.insns());
    format!("test {number}: {}\n{listing}", finding.objection)
}

fn verifier_plants() -> Vec<Plant> {
    let rules = verifier::prune::plant::all::<Concrete>().map(|plant| plant.name);
    // Its number's views contradict each other.
    let names = [&rules[..], &["mov32_unsynced"]].concat();
    names.iter().map(|name| plant::by_name(&format!("verifier::{name}")).expect("planted")).collect()
}

#[test]
fn verdicts_do_not_depend_on_pruning() {
    const TESTS: u64 = 20_000;
    let (found, accepted, rejected) = search(Target::VerifierPrune, None, TESTS);
    if let Some((number, objection)) = found {
        panic!("{}", smallest(Target::VerifierPrune, number, objection));
    }
    assert!(accepted > TESTS / 4 && rejected > TESTS / 8, "{accepted} accepted, {rejected} rejected");
}

#[test]
fn mistakes_are_found() {
    const TESTS: u64 = 50_000;
    let missed: Vec<String> = verifier_plants()
        .iter()
        .filter(|plant| {
            let (found, ..) = search(plant.target(), Some(plant), TESTS);
            println!("{}: {:?}", plant.name, found.as_ref().map(|(number, objection)| (number, &objection.text)));
            let oracle = match (plant.target(), plant.name.as_str()) {
                (_, "verifier::call_keeps_arguments" | "verifier::prune_forgets_links") => Oracle::Contained,
                (Target::VerifierPrune, _) => Oracle::Pruned,
                _ => Oracle::Invariant,
            };
            found.is_none_or(|(_, objection)| objection.oracle != oracle)
        })
        .map(|plant| plant.name.clone())
        .collect();
    assert!(missed.is_empty(), "not found, or not by what is about them: {missed:?}");
}

#[test]
fn mistakes_on_the_safe_side_are_not_objected_to() {
    const TESTS: u64 = 5_000;
    for harmless in verifier::prune::plant::harmless::<Concrete>() {
        let (name, story) = (harmless.name.to_owned(), harmless.story);
        let plant = Plant { name, story, site: Site::Verifier(harmless.apply) };
        for target in [Target::InterpreterVsJit, Target::VerifierPrune] {
            assert_eq!(search(target, Some(&plant), TESTS).0, None, "{}", plant.name);
        }
    }
}
