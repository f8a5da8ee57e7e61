//! A path that is cut short shows nothing new: the verdict is the same with and without pruning; and with a planted mistake
//! in what is followed back, some program gets away.

use semantics::asm::assemble;
use semantics::insn::Op;
use semantics::program::{Load, Program};
use semantics::program_type::ProgramType;
use semantics::word::Concrete;
use std::sync::Arc;
use verifier::prune::precision::Wanted;
use verifier::rules::Rules;
use verifier::{Options, Pruning, Verifier};

/// Pseudorandom numbers (a linear congruence): the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Numbers that depend on the path go through registers, slots, links and calls; at the end one of them is the offset of an
/// access, which fits for some.
fn program(random: &mut Random) -> Arc<Program> {
    let mut lines: Vec<String> =
        ["r8 = *(u32 *)(r1 + 12)", "r9 = *(u32 *)(r1 + 16)", "r2 = 4", "r3 = 8", "r4 = 0"].map(str::to_owned).to_vec();
    lines.extend([1, 2, 3, 4, 5, 6, 7, 8].map(|slot| format!("*(u64 *)(r10 - {}) = 0", 8 * slot)));
    let (regs, mut calls) = (["r2", "r3", "r4"], 0);
    for _ in 0..4 + random.below(8) {
        let (dst, src, number) = (random.pick(&regs), random.pick(&regs), 4 * random.below(4));
        let slot = 8 * (1 + random.below(3));
        let open = random.pick(&["r8", "r9"]);
        match random.below(10) {
            // An open number, below one that depends on the path.
            9 => lines.extend(
                [format!("{dst} = {open}"), format!("{dst} &= 12"), format!("if {dst} <= {src} goto +1")]
                    .into_iter()
                    .chain([format!("{dst} = {number}")]),
            ),
            0..3 => lines.extend([format!("if {open} > {} goto +1", random.below(9)), format!("{dst} = {number}")]),
            3 => lines.push(format!("{dst} = {src}")),
            4 => lines.push(format!("{dst} += {}", random.pick(&[0, 4]))),
            5 => lines.push(format!("*(u64 *)(r10 - {slot}) = {src}")),
            6 => lines.push(format!("{dst} = *(u64 *)(r10 - {slot})")),
            7 => {
                let cond = random.pick(&["==", "!=", ">", "s<"]);
                lines.extend([format!("if {dst} {cond} {src} goto +1"), format!("{src} = {number}")]);
            }
            _ => {
                calls += 1;
                let call = [
                    format!("r6 = {}", random.pick(&["r2", "r3"])),
                    format!("r1 = {src}"),
                    format!("*(u64 *)(r10 - 24) = {dst}"),
                    "call pcCALLEE".to_owned(),
                    "r2 = r6".to_owned(),
                    "r3 = r0".to_owned(),
                    "r4 = *(u64 *)(r10 - 24)".to_owned(),
                ];
                lines.extend(call);
            }
        }
    }
    let offset = random.pick(&regs);
    lines.extend([
        "r5 = r10".to_owned(),
        "r5 += -16".to_owned(),
        format!("r5 += {offset}"),
        "r0 = *(u32 *)(r5 + 0)".to_owned(),
        "r0 = 0".to_owned(),
        "exit".to_owned(),
    ]);
    let end = lines.len();
    if calls > 0 {
        let body = random.pick(&["r0 = r1", "r0 = 4", "*(u64 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)"]);
        lines.extend(body.split('\n').map(str::to_owned));
        lines.extend(["r2 = r0".to_owned(), "if r2 != 12 goto +1".to_owned(), "r0 = 0".to_owned(), "exit".to_owned()]);
    }
    for (at, line) in lines.iter_mut().enumerate().take(end) {
        *line = line.replace("CALLEE", &format!("{:+}", end as i64 - at as i64 - 1));
    }
    let insns = assemble(&lines.join("\n")).unwrap();
    let program = Program::new("paths", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
    program.with_load(Load { test_state_freq: random.below(4) != 0, ..Load::default() }).into()
}

/// The first program whose verdict depends on pruning; how many were accepted up to it, and the instructions that were followed
/// without pruning and with it.
fn search(rules: Rules<Concrete>, pruning: Pruning, rounds: usize) -> (Option<String>, usize, [u32; 2]) {
    let (mut verifier, mut random) = (Verifier::with_rules(rules), Random(3));
    let (mut accepted, mut followed) = (0, [0; 2]);
    for _ in 0..rounds {
        let program = program(&mut random);
        let mut verdicts = [false; 2];
        for (at, pruning) in [Pruning::Off, pruning].into_iter().enumerate() {
            let verdict = verifier.verify(&program, &Options { pruning, ..Options::default() });
            let accepted = verdict.accepted();
            verdicts[at] = accepted.is_some();
            followed[at] += accepted.map_or(0, |accepted| accepted.stats.insns);
        }
        accepted += usize::from(verdicts[0]);
        if verdicts[0] != verdicts[1] {
            let listing: Vec<_> = program.instructions().map(|(at, insn)| format!("{at}: {insn}")).collect();
            return (Some(format!("{verdicts:?}\n{}", listing.join("\n"))), accepted, followed);
        }
    }
    (None, accepted, followed)
}

#[test]
fn verdicts_do_not_depend_on_pruning() {
    const ROUNDS: usize = 4000;
    for pruning in [Pruning::Exact, Pruning::Linux] {
        let (found, accepted, [all, pruned]) = search(Rules::default(), pruning, ROUNDS);
        assert_eq!(found, None, "{}", pruning.name());
        assert!(accepted > ROUNDS / 8 && accepted < ROUNDS, "{accepted}");
        assert!(pruned < all, "{}: {all} instructions, {pruned} with pruning", pruning.name());
    }
}

#[test]
fn planted_mistakes_let_programs_get_away() {
    // Only the register that is followed is wanted, not the other one of the comparison (CVE-2023-2163).
    let comparisons = Rules {
        backtrack: |wanted, traced, insn, next, frame| {
            if !matches!(insn.op(), Op::Jump { .. }) {
                wanted.backtrack(traced, insn, next, frame);
            }
        },
        ..Rules::default()
    };
    assert!(search(comparisons, Pruning::Linux, 40_000).0.is_some(), "comparisons are not followed back");
    // What was stored is forgotten.
    let stores = Rules {
        backtrack: |wanted, traced, insn, next, frame| match insn.op() {
            Op::Store { .. } => {}
            _ => wanted.backtrack(traced, insn, next, frame),
        },
        ..Rules::default()
    };
    assert!(search(stores, Pruning::Linux, 40_000).0.is_some(), "stores are not followed back");
    let calls = Rules {
        backtrack: |wanted, traced, insn, next, frame| match insn.op() {
            Op::CallLocal => *wanted = Wanted::regs(0, 0),
            _ => wanted.backtrack(traced, insn, next, frame),
        },
        ..Rules::default()
    };
    assert!(search(calls, Pruning::Linux, 40_000).0.is_some(), "calls are not followed back");
}

#[test]
fn planted_rows_are_missed() {
    for name in ["prune_forgets_results", "prune_forgets_links"] {
        let mut rules = Rules::default();
        let plant = verifier::prune::plant::all::<Concrete>().into_iter().find(|plant| plant.name == name);
        (plant.expect("a plant of this name").apply)(&mut rules);
        assert!(search(rules, Pruning::Linux, 40_000).0.is_some(), "{name}");
    }
}
