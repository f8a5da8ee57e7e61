//! Any bytes as a program: the verdict is the same with and without pruning, and what is accepted runs inside its states.
#![no_main]

use std::cell::RefCell;

use fuzz::judge::{Judge, Judgement};
use fuzz::target::Target;
use fuzz::test::Test;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::new(
        Judge::of(Target::VerifierPrune, Target::VerifierPrune.configuration(), None)
            .expect("guest and executable memory")
    );
}

fuzz_target!(|test: Test| {
    if let Judgement::Objection(objection) = JUDGE.with_borrow_mut(|judge| judge.judge_fully(&test)) {
        panic!("{objection}");
    }
});
