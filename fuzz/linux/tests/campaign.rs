//! A campaign with everything that can go wrong: every job has its result, and nothing is left behind.

mod common;

use std::time::{Duration, Instant};

use common::{mishap, named, open, processes, scratch, tagged};
use linux::{Guest, Order, Pool, Settings, Unanswered, sample};
use wire::{Job, Map, Mishap, Stage};

/// One of so many jobs is no small case.
const RARE: u32 = 100;
/// Jobs, unless `TOUCHSTONE_CAMPAIGN` says for how many seconds it goes on: each thing that can go wrong comes once.
const JOBS: u32 = 9 * RARE;

/// The job of this number, and whether its guest is lost over it.
fn job(number: u32) -> (Kind, Job) {
    let lost = |of| (Kind::Lost, mishap(number, of));
    if !number.is_multiple_of(RARE) {
        return (Kind::Fine, sample::small(number));
    }
    match number / RARE % 9 {
        0 => lost(Mishap::Panic),
        1 => lost(Mishap::Reset),
        2 => lost(Mishap::Exit),
        3 => lost(Mishap::Garble),
        4 => lost(Mishap::Cut),
        5 => lost(Mishap::Hang),
        6 => (Kind::Overlong, mishap(number, Mishap::Swell(wire::ANSWERS_LEN as u32))),
        7 => (Kind::Fine, mishap(number, Mishap::PanicAfter)),
        _ => {
            let map = Map { map_type: 2, key_size: 4, value_size: 1 << 20, max_entries: 300, ..Map::default() };
            (Kind::Refused, Job { maps: vec![map], ..sample::small(number) })
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Fine,
    Lost,
    Overlong,
    /// For want of memory.
    Refused,
}

#[test]
fn a_campaign_leaves_nothing_behind() {
    let Some(kernel) = common::kernel() else { return };
    let limit = std::env::var("TOUCHSTONE_CAMPAIGN").ok();
    let limit = limit.map(|text| Duration::from_secs(text.parse().expect("a number of seconds")));
    let (tag, folder) = (format!("campaign-{}", std::process::id()), scratch("campaign"));
    let settings = Settings { job: Duration::from_secs(10), ..tagged(&tag) };
    // The first guest brings the thread that starts all of them.
    drop(Guest::start(&kernel, &settings).unwrap());
    let before = (open(), named(&folder));
    let (start, mut counts) = (Instant::now(), [0_u32; 4]);
    let mut pool = Pool::new(&kernel, &settings, Pool::default_guests());
    let going = (0..).take_while(|number| limit.map_or(*number < JOBS, |limit| start.elapsed() < limit));
    let mut next = 0;
    for done in pool.ask(going.map(|number| ((number, job(number).0), job(number).1)), Order::Given) {
        let ((number, kind), given) = done.unwrap();
        assert_eq!(number, next, "each job once, in order");
        next += 1;
        counts[kind as usize] += 1;
        let returned = given.as_ref().map(|answer| {
            answer.trials.iter().filter_map(|trial| Some(trial.runs.first()?.as_ref().ok()?.retval)).collect::<Vec<_>>()
        });
        let refused = |answer: &wire::Answer| {
            answer.trials.iter().all(|trial| trial.load.result == Err((Stage::Map(0), libc::ENOMEM)))
        };
        let as_expected = match kind {
            Kind::Fine => returned == Ok(vec![number, number]),
            Kind::Lost => matches!(&given, Err(Unanswered::Lost { .. })),
            Kind::Overlong => matches!(&given, Err(Unanswered::Overlong(_))),
            Kind::Refused => given.as_ref().is_ok_and(refused),
        };
        assert!(as_expected, "{number} {kind:?}: {given:?}");
    }
    let history = pool.history();
    drop(pool);
    assert_eq!(processes(&tag), Vec::<u32>::new());
    assert_eq!((open(), named(&folder)), before, "descriptors, threads, children, mappings; files");
    let [fine, lost, overlong, refused] = counts;
    assert!(limit.is_some() || counts == [JOBS - 8, 6, 1, 1], "{counts:?}");
    println!(
        "{next} jobs ({fine} fine, {lost} lost their guest, {overlong} overlong, {refused} refused), {} guests",
        history.started,
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
