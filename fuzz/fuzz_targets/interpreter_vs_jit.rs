//! Any bytes as a program: verified, run on both engines, compared and contained.
#![no_main]

use std::cell::RefCell;

use fuzz::judge::{Judge, Judgement};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::new(Judge::new(None).expect("guest and executable memory"));
}

fuzz_target!(|bytes: &[u8]| {
    let judgement = JUDGE.with_borrow_mut(|judge| judge.judge_fully(&fuzz::bytes::decode(bytes)));
    if let Judgement::Objection(objection) = judgement {
        panic!("{objection}");
    }
});
