//! Examinations: our JIT and real kernels see what our interpreter sees. Kernels are left out where there are none.

use std::sync::Arc;

use corpus::case::Case;
use corpus::runner::{CaseResult, Runner, Untried};
use fuzz::examine::maps::{Difference, Examination};
use fuzz::examine::{forms, helpers, maps};
use fuzz::finding::Objection;
use fuzz::judge::{Judge, Judgement};
use fuzz::oracle::Oracle;
use fuzz::target::{Configuration, Target};
use fuzz::test::Test;
use linux::{Kernel, LinuxEngine, Machine, Machines, Settings, kernel};
use semantics::engine::{Engine, LinuxMode, LinuxVersion, run_on};
use semantics::insn::table::{TABLE, Version};
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::outcome::Outcome;
use semantics::program::Verified;
use semantics::world::World;

/// The kernels to ask, oldest and newest.
fn kernels() -> Vec<Kernel> {
    let folder = kernel::folder();
    let mut all = Kernel::all(&folder);
    if all.is_empty() {
        eprintln!("skipped: no kernels in {}: `make linux` gets them", folder.display());
    }
    let newest = if all.len() > 1 { all.pop() } else { None };
    all.truncate(1);
    all.extend(newest);
    all
}

fn all_forms(until: Option<LinuxVersion>) -> Vec<Case> {
    let is_known = |since: Version| until.is_none_or(|until| (since.0, since.1) <= (until.major, until.minor));
    let rows = TABLE.iter().filter(|row| is_known(row.op.since()));
    rows.filter_map(|row| forms::cases(row.opcode).expect("a program").ok()).flatten().collect()
}

fn all_helpers() -> Vec<Case> {
    let cases = |helper: &semantics::helper::Helper| helpers::cases(helper.fact().name).expect("a program");
    semantics::helper::modelled().flat_map(|(_, helper)| cases(helper)).collect()
}

/// What a case comes to on one kernel's engines; `None` where it agrees.
fn objection(world: &mut World, engines: &mut [LinuxEngine; 2], case: &Case) -> Option<String> {
    let [jit, interpreter] = engines;
    // The kernel's interpreter has no callbacks.
    let is_known = |untried: &Untried| untried.why.to_string().contains("needs native code");
    match Runner::new(world).engine(jit).engine(interpreter).run(case) {
        CaseResult::Passed(untried) if untried.iter().all(is_known) => None,
        CaseResult::Passed(untried) => {
            Some(format!("{}: not tried on {} ({})", case.name, untried[0].on, untried[0].why))
        }
        CaseResult::Failed(failure) => Some(format!("{}: {failure}", case.name)),
        CaseResult::Skipped(skip) => Some(format!("{}: {skip}", case.name)),
    }
}

/// Runs all cases on a kernel; the objections.
fn objections(kernel: &Kernel, cases: &[Case]) -> Vec<String> {
    let (mut machines, version) = (Machines::new(Settings::default()), kernel.version.parse().expect("a version"));
    let mut engines = LinuxMode::ALL.map(|mode| machines.engine(&kernel::folder(), version, mode).expect("an engine"));
    let mut world = World::new(Memory::detached().expect("memory"));
    cases.iter().filter_map(|case| objection(&mut world, &mut engines, case)).collect()
}

/// What only newer kernels take.
fn is_old(kernel: &Kernel) -> bool {
    kernel.number() < (6, 6)
}

#[test]
fn kernels_agree_on_every_form_and_helper() {
    for kernel in kernels() {
        let mut cases = all_forms(Some(kernel.version.parse().expect("a version")));
        cases.extend(all_helpers());
        assert!(cases.len() > if is_old(&kernel) { 250 } else { 280 });
        let objections = objections(&kernel, &cases);
        assert!(objections.is_empty(), "{}:\n{}", kernel.version, objections.join("\n"));
    }
}

/// One row for another, and a helper that keeps its sign: the comparison notices.
#[test]
fn a_mistake_is_noticed_on_a_kernel() {
    let Some(kernel) = kernels().into_iter().next() else { return };
    let mut cases: Vec<Case> = all_helpers().into_iter().filter(|case| case.name.contains("get_prandom_u32")).collect();
    assert_eq!(cases.len(), 1);
    let plant = fuzz::plant::by_name("helper::prandom_sign_extended").expect("a plant");
    let (mut machines, version) = (Machines::new(Settings::default()), kernel.version.parse().expect("a version"));
    let mut engines = LinuxMode::ALL.map(|mode| machines.engine(&kernel::folder(), version, mode).expect("an engine"));
    let mut world = World::new(Memory::detached().expect("memory"));
    let case = cases.remove(0);
    assert_eq!(objection(&mut world, &mut engines, &case), None);
    let fuzz::plant::Site::Helper(wrong) = plant.site else { panic!("a plant of a helper") };
    world.helpers.replace(wrong());
    assert!(objection(&mut world, &mut engines, &case).is_some());
}

/// A meaning that all engines of ours share: neither the JIT nor the helper's declaration objects, a kernel does.
#[test]
fn only_a_kernel_notices_a_mistake_that_is_shared() {
    let plant = fuzz::plant::by_name("helper::update_says_enoent").expect("a plant");
    let cases: Vec<Case> = all_helpers().into_iter().filter(|case| case.name.contains("map_update_elem")).collect();
    let tests: Vec<Test> = cases.iter().flat_map(|case| fuzz::case::tests(case).expect("tests")).collect();
    assert!(tests.len() > 50);
    // Of the errors of older ones, which are `int`, nothing is compared.
    let kernels = kernels().into_iter().filter(|kernel| kernel.number() >= (6, 4));
    for kernel in [None].into_iter().chain(kernels.map(Some)) {
        let engines: Vec<Box<dyn Engine>> = kernel.iter().flat_map(both).collect();
        let judge = Judge::of(Target::Closed, Some(Configuration::Standard), Some(&plant)).expect("a judge");
        let mut judge = judge.with_outside(engines);
        for test in &tests {
            let judgement = judge.judge_fully(test);
            assert!(matches!(judgement, Judgement::Fine(_)), "{judgement:?}");
        }
        let asked: Vec<&Test> = tests.iter().collect();
        let objections: Vec<Objection> = judge.ask_outside(&asked).into_iter().flatten().collect();
        assert_eq!(objections.is_empty(), kernel.is_none(), "{kernel:?}");
        assert!(objections.iter().all(|objection| objection.oracle == Oracle::Agree), "{objections:?}");
        judge.retire();
    }
}

/// A kernel's engines on one guest.
fn both(kernel: &Kernel) -> Vec<Box<dyn Engine>> {
    let (mut machines, version) = (Machines::new(Settings::default()), kernel.version.parse().expect("a version"));
    let engine =
        |mode| -> Box<dyn Engine> { Box::new(machines.engine(&kernel::folder(), version, mode).expect("an engine")) };
    LinuxMode::ALL.map(engine).into()
}

#[test]
fn the_jit_agrees_on_every_form_and_helper() {
    let mut world = World::new(Memory::native().expect("memory"));
    let mut jit = jit::Jit::new().expect("a JIT");
    let mut runs = 0;
    for case in all_forms(None).into_iter().chain(all_helpers()) {
        let program = Arc::new(case.program().expect("a program"));
        world.load(&program).expect("maps");
        // SAFETY: examinations access their maps, stack and packet only, as the interpreter has just checked.
        jit.load(&unsafe { Verified::trust(Arc::clone(&program)) }).expect("native code");
        for run in &case.runs {
            world.reset(&run.input).expect("an input");
            let stop = interpreter::run(&program, &mut world, 1 << 24, &mut ());
            let (ours, mut theirs) = (world.outcome(stop.result), Outcome::default());
            run_on(&mut jit, &mut world, &run.input, &mut theirs).expect("an input");
            assert_eq!(ours.difference(&theirs), None, "{}", case.name);
            runs += 1;
        }
    }
    assert!(runs > 2000, "{runs}");
}

/// Where model and kernel differ over maps.
fn map_differences(kernel: &Kernel, all: &[Examination]) -> Vec<(usize, Difference)> {
    let mut machine = Machine::new(kernel.clone(), Settings::default());
    let jobs: Vec<wire::Job> = all.iter().map(Examination::job).collect();
    let mut differences = Vec::new();
    let asked = machine.ask(&jobs, &mut |at, answer| {
        let answer = answer.expect("a guest that lives");
        let found = all[at].differences(&answer.trials[0]).expect("memory");
        differences.extend(found.into_iter().map(|difference| (at, difference)));
    });
    asked.expect("a guest");
    differences
}

#[test]
fn kernels_agree_on_maps() {
    for kernel in kernels() {
        let mut all = maps::creations();
        all.extend(maps::sequences(1, 200));
        let (lacking, wrong): (Vec<_>, Vec<_>) =
            map_differences(&kernel, &all).into_iter().partition(|(_, what)| *what == Difference::Unsupported);
        let show = |(at, what): &(usize, Difference)| format!("{:?}: {what}", all[*at].def);
        assert!(wrong.is_empty(), "{}:\n{}", kernel.version, wrong.iter().map(show).collect::<Vec<_>>().join("\n"));
        assert!(lacking.is_empty(), "{:?}", lacking.iter().map(show).collect::<Vec<_>>());
    }
}

#[test]
fn a_wrong_map_is_noticed() {
    let Some(kernel) = kernels().into_iter().next() else { return };
    let mut machine = Machine::new(kernel, Settings::default());
    for (number, examination) in maps::sequences(2, 3).into_iter().enumerate() {
        let answer = machine.ask_one(&examination.job()).expect("a guest").expect("an answer");
        assert!(examination.differences(&answer.trials[0]).expect("memory").is_empty());
        let mut larger = examination.clone();
        larger.def.max_entries += 1;
        assert!(!larger.differences(&answer.trials[0]).expect("memory").is_empty(), "{number}");
    }
}
