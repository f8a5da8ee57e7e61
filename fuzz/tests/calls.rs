//! Programs that call helpers: nearly all are accepted, no engine objects, and results of every helper are seen.

use std::collections::BTreeMap;

use fuzz::calls::{self, Generator};
use fuzz::dice::Dice;
use fuzz::judge::{Judge, Judgement};
use fuzz::target::Target;
use semantics::helper;
use semantics::world::Effect;

const TESTS: u64 = 4000;

#[test]
fn programs_are_accepted_and_engines_agree() {
    let generator = Generator::new(&[], false);
    let mut judge = Judge::of(Target::Helper, Target::Helper.configuration(), None).expect("a judge");
    let (mut accepted, mut refusals) = (0, BTreeMap::<String, u32>::new());
    let mut called = BTreeMap::<u32, u32>::new();
    for number in 0..TESTS {
        let test = generator.test(Dice::new(0, number));
        match judge.judge_numbered(&test, number) {
            Judgement::Fine(_) => {
                accepted += 1;
                for Effect::Call { helper, .. } in judge.effects() {
                    *called.entry(*helper).or_default() += 1;
                }
            }
            Judgement::Rejected(why) | Judgement::Unsupported(why) => *refusals.entry(why).or_default() += 1,
            Judgement::Objection(objection) => {
                let text = semantics::disasm::disassemble(test.program.insns());
                panic!("test {number} of seed 0: {objection}\n{text}");
            }
        }
    }
    let mut worst: Vec<_> = refusals.into_iter().collect();
    worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    worst.truncate(10);
    assert!(accepted * 10 >= TESTS * 9, "{accepted} of {TESTS} accepted; the others: {worst:#?}");
    let missing: Vec<_> = helper::modelled()
        .map(|(_, helper)| helper)
        .filter(|helper| calls::is_written(helper) && !called.contains_key(&helper.id))
        .map(|helper| helper.fact().name)
        .collect();
    assert!(missing.is_empty(), "never called: {missing:?}");
}

#[test]
fn one_helper_or_a_topic_can_be_chosen() {
    let numbers = |word: &str| calls::named(word).iter().map(|helper| helper.fact().name).collect::<Vec<_>>();
    assert_eq!(numbers("bpf_ktime_get_ns"), ["ktime_get_ns"]);
    assert!(numbers("clock").contains(&"jiffies64"));
    assert_eq!(numbers("all").len(), helper::modelled().count());
    assert!(numbers("no_such_helper").is_empty());
    let only = helper::id("get_smp_processor_id");
    let generator = Generator::new(&[only], false);
    for number in 0..50 {
        let test = generator.test(Dice::new(1, number));
        assert!(test.program.insns().iter().any(|insn| insn.imm == only), "{number}");
    }
}
