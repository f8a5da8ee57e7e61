//! Any bytes as a program: verified, run on both engines, compared and contained.
#![no_main]

use std::cell::RefCell;

use fuzz::judge::{Judge, Judgement};
use fuzz::test::Test;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::new(Judge::new(None).expect("guest and executable memory"));
}

fuzz_target!(|test: Test| {
    if let Judgement::Objection(objection) = JUDGE.with_borrow_mut(|judge| judge.judge_fully(&test)) {
        panic!("{objection}");
    }
});
