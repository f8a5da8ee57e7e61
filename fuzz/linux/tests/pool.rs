//! Several guests at once: every job has its result, in the order asked for, also when guests die.

mod common;

use std::collections::BTreeSet;

use common::{is_answer, mishap, returns};
use linux::{GuestError, Order, Pool, Settings, Unanswered};
use wire::Mishap;

#[test]
fn results_are_those_of_their_jobs() {
    let Some(kernel) = common::kernel() else { return };
    let mut pool = Pool::new(&kernel, &Settings::default(), 2);
    let mut taken = 0;
    // Many more than are on their way at once; the first guest dies early on.
    let jobs = (0..700).map(|number| {
        taken += 1;
        (number, if number == 5 { mishap(number, Mishap::Panic) } else { returns(number) })
    });
    let mut answers = pool.ask(jobs, Order::Given);
    for expected in 0..700 {
        let (number, given) = answers.next().unwrap().unwrap();
        assert_eq!(number, expected);
        match given {
            Err(Unanswered::Lost { console, .. }) => {
                assert!(number == 5 && console.contains("sysrq triggered crash"), "{number}: {console}");
            }
            other => assert!(number != 5 && is_answer(&other, number), "{number}: {other:?}"),
        }
    }
    assert!(answers.next().is_none());
    drop(answers);
    assert_eq!(taken, 700);
    let history = pool.history();
    assert_eq!((history.started, history.boot_times.len()), (3, 2), "{history:?}");

    // As they are done: each once. Then one that is dropped early, and the next one gets its own results only.
    let all: BTreeSet<u32> =
        pool.ask((0..100).map(|number| (number, returns(number))), Order::Done).map(|done| done.unwrap().0).collect();
    assert_eq!(all.len(), 100);
    let mut endless = pool.ask((0..).map(|number| (number, returns(1))), Order::Given);
    assert_eq!(endless.next().unwrap().unwrap().0, 0);
    drop(endless);
    let (with, given) = pool.ask([("last", returns(77))], Order::Given).next().unwrap().unwrap();
    assert!(with == "last" && is_answer(&given, 77), "{given:?}");

    // Stopped from another thread, while guests hang.
    let stop = pool.stopper();
    let mut hanging = pool.ask([((), mishap(0, Mishap::Hang))], Order::Given);
    let stopper = std::thread::spawn(move || stop.stop());
    assert!(matches!(hanging.next(), Some(Err(GuestError::Stopped))));
    assert!(hanging.next().is_none());
    stopper.join().unwrap();
}
