//! What `cargo test` proves: everything at narrow widths, what is quick at 64 bits, and that planted mistakes are refuted.

use proofs::obligation::{Floor, Outcome};
use proofs::plant::{self, Planted};
use proofs::runner::{Options, Report, Width, run};
use semantics::insn::Op;
use semantics::insn::table::TABLE;
use std::collections::BTreeSet;

/// What the 64-bit part of this test may take on two idle cores, in seconds of wall-clock time.
const BUDGET: f64 = 60.0;

/// The obligations that are left out of it, because each takes seconds; `touchstone prove` proves them too.
const SLOW: [&str; 3] = ["tnum::sub64", "insn::alu::operator::add64", "insn::alu::operator::sub64"];

fn failures(report: &Report) -> String {
    let failed = report.results.iter().filter(|result| result.outcome != Outcome::Proven);
    failed.map(|result| result.line(report.width) + "\n").collect()
}

#[test]
fn everything_holds_at_narrow_widths() {
    let report = run(&Options { width: Width::Narrow, ..Options::default() }, |_| ()).unwrap();
    println!("{}", report.summary());
    assert!(report.is_success(), "{}", failures(&report));
    assert_eq!(report.results.len(), proofs::obligations().len());
}

#[test]
fn what_is_quick_is_proven_at_64_bits() {
    let quick = Options { skip: SLOW.map(str::to_owned).to_vec(), ..Options::default() };
    let report = run(&quick, |_| ()).unwrap();
    print_slowest(&report);
    if report.seconds > BUDGET {
        eprintln!("warning: {:.0} s are more than the {BUDGET:.0} s that are planned for this test", report.seconds);
    }
    assert!(report.is_success(), "{}", failures(&report));
    assert_eq!(
        report.results.len() + SLOW.len(),
        proofs::obligations().len(),
        "a slow obligation has another name now"
    );
}

fn print_slowest(report: &Report) {
    let mut slowest: Vec<_> = report.results.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    println!("{}; the slowest:", report.summary());
    slowest.iter().take(12).for_each(|result| println!("{}", result.line(report.width)));
}

#[test]
fn planted_mistakes_are_refuted_and_replayed() {
    for Planted { name: plant, refuted_by: name, .. } in plant::all() {
        let name = name.unwrap_or_else(|| panic!("{plant} has no refutation"));
        let options = Options { only: Some(name.into()), plant: Some(plant.into()), ..Options::default() };
        let report = run(&options, |_| ()).unwrap();
        let [result] = &report.results[..] else { panic!("{name} is {} obligations", report.results.len()) };
        println!("{plant}: {}", result.line(report.width));
        let Outcome::Refuted(counterexample) = &result.outcome else {
            panic!("{plant}: {}", result.line(report.width))
        };
        assert!(report.is_success());
        // From its recorded values alone it fails on the planted code, and not on the right one.
        let obligations = proofs::obligations();
        let obligation = obligations.iter().find(|obligation| obligation.name == name).unwrap();
        assert!(obligation.replay(counterexample, Some(plant)), "{plant}: {counterexample}");
        assert!(!obligation.replay(counterexample, None), "{plant}: {counterexample}");
    }
    for plant in verifier::plant::harmless::<semantics::word::Concrete>() {
        assert!(plant::by_name(plant.name).is_none(), "{} is no mistake", plant.name);
    }
    let floor = |floor| plant::all().iter().filter(|plant| plant.floor == floor).count();
    assert!(floor(Floor::Verifier) >= 10 && floor(Floor::Jit) >= 40);
}

/// Mistakes that samples find without a solver, at narrow widths or, for the JIT, at full width.
#[test]
fn planted_mistakes_are_found_at_narrow_widths() {
    for plant in
        ["mov32_sign_extended", "add32_on_64_bits", "jslt64_off_by_one", "mov::self32_elided", "call::id_in_r8"]
    {
        let options = Options { plant: Some(plant.into()), width: Width::Narrow, ..Options::default() };
        let report = run(&options, |_| ()).unwrap();
        assert!(report.is_success(), "{plant} was not found");
    }
}

#[test]
fn every_row_of_the_table_has_its_obligations() {
    let names: BTreeSet<String> = proofs::obligations().into_iter().map(|obligation| obligation.name).collect();
    let count = |verb: &str| names.iter().filter(|name| name.split("::").any(|part| part == verb)).count();
    let rows = |matches: fn(Op) -> bool| TABLE.iter().filter(|row| matches(row.op)).count();
    let jumps = rows(|op| matches!(op, Op::Jump { .. }));
    let is_number: fn(Op) -> bool = |op| {
        matches!(op, Op::Alu { .. } | Op::Neg { .. } | Op::Shift { .. } | Op::MulDiv { .. } | Op::Mov { .. })
            || matches!(op, Op::MovSx { .. } | Op::Endian { .. } | Op::LoadSx { .. })
    };
    let is_pair: fn(Op) -> bool =
        |op| matches!(op, Op::Alu { .. } | Op::Shift { .. } | Op::MulDiv { .. }) && op.reads_src();
    assert_eq!(count("lower"), rows(jit::insn::is_lowered));
    assert_eq!(count("lower_blinded"), rows(jit::blind::is_blinded));
    assert_eq!(count("transfer"), rows(is_pair) + rows(is_number));
    // With a register compared with itself where that can go this way.
    assert_eq!(count("taken"), jumps + jumps / 2);
    assert_eq!(count("refine_holds") + count("refine_fails"), 2 * jumps + jumps / 2 + 2);
}

/// A directory that is removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("touchstone-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_cache_remembers_what_is_proven() {
    let cache = Scratch::new("cache");
    let options = Options { only: Some("tnum::*32".into()), cache: Some(cache.0.clone()), ..Options::default() };
    let remembered = |report: &Report| report.results.iter().map(|result| result.solver.remembered).sum::<u64>();
    let (first, second) = (run(&options, |_| ()).unwrap(), run(&options, |_| ()).unwrap());
    assert!(first.is_success() && second.is_success());
    assert!(remembered(&second) > remembered(&first));
}

#[test]
fn a_second_solver_agrees() {
    let queries = Scratch::new("queries");
    let options = Options { only: Some("scalar".into()), smt2: Some(queries.0.clone()), ..Options::default() };
    assert!(run(&options, |_| ()).unwrap().is_success());
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.solver");
    match proofs::second::ask(&queries.0, &packages, std::time::Duration::from_secs(20)) {
        Ok(opinion) => {
            println!("{} of {} queries answered alike", opinion.agreed, opinion.queries);
            assert_eq!(opinion.disagreed, Vec::<std::path::PathBuf>::new());
            assert!(opinion.agreed > 0);
        }
        Err(error) => println!("skipped: {error}"),
    }
}
