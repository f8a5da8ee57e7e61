//! Messages and signals come back as they were, and what was changed on the way is noticed.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{
    Answer, Ask, Asked, Engine, Fd, FdField, FrameError, Job, Line, Load, Map, Mishap, Program, Ran, Run, Signal,
    Stage, Trial, Value, decode, encode,
};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..24)
}

fn engine() -> impl Strategy<Value = Engine> {
    prop_oneof![Just(Engine::Jit), Just(Engine::Interpreter)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        bytes().prop_map(Value::Bytes),
        any::<u32>().prop_map(Value::Map),
        any::<u32>().prop_map(Value::Program)
    ]
}

fn map() -> impl Strategy<Value = Map> {
    let sizes = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>());
    ("[a-z]{0,20}", sizes, vec((bytes(), value()), 0..3), any::<bool>(), any::<Option<u32>>()).prop_map(
        |(name, (map_type, key_size, value_size, max_entries, extra), elements, freeze, inner)| Map {
            name,
            map_type,
            key_size,
            value_size,
            max_entries,
            extra,
            elements,
            freeze,
            inner,
            ..Map::default()
        },
    )
}

fn program() -> impl Strategy<Value = Program> {
    let fd = prop_oneof![any::<u32>().prop_map(Fd::Map), Just(Fd::Bad)];
    let fds = vec((any::<u32>(), fd).prop_map(|(slot, fd)| FdField { slot, fd }), 0..3);
    ("\\PC{0,8}", any::<u32>(), bytes(), fds, bytes()).prop_map(|(name, prog_type, insns, fds, func_info)| Program {
        name,
        prog_type,
        insns,
        fd_array: fds.iter().map(|field| field.fd).collect(),
        fds,
        func_info,
        ..Program::default()
    })
}

fn job() -> impl Strategy<Value = Job> {
    let mishap =
        prop_oneof![Just(None), Just(Some(Mishap::Hang)), any::<u32>().prop_map(|len| Some(Mishap::Swell(len)))];
    let run =
        (bytes(), bytes(), any::<u32>()).prop_map(|(data, ctx, repeat)| Run { data, ctx, repeat, ..Run::default() });
    (vec(engine(), 0..3), vec(map(), 0..3), vec(program(), 0..3), vec(run, 0..3), any::<u32>(), mishap).prop_map(
        |(engines, maps, programs, runs, log_level, mishap)| Job {
            engines,
            maps,
            programs,
            runs,
            log_level,
            mishap,
            ..Job::default()
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    let stage = prop_oneof![Just(Stage::Engine), any::<u32>().prop_map(Stage::Map), ".{0,9}".prop_map(Stage::Attach)];
    let result = prop_oneof![Just(Ok(())), (stage, any::<i32>()).prop_map(Err)];
    let ran = (
        any::<u32>(),
        bytes(),
        vec(prop_oneof![any::<i32>().prop_map(Err), vec((bytes(), bytes()), 0..2).prop_map(Ok)], 0..2),
    )
        .prop_map(|(retval, data, maps)| Ok(Ran { retval, data, maps, ..Ran::default() }));
    let runs = vec(prop_oneof![ran, any::<i32>().prop_map(Err)], 0..3);
    let trial = (engine(), result, ".{0,40}", runs, bytes()).prop_map(|(engine, result, log, runs, jited)| Trial {
        engine,
        load: Load { result, log, log_level: 2, verified_insns: 3 },
        steps: vec![Ok(Vec::new()), Err(2)],
        runs,
        xlated: Vec::new(),
        jited_lens: vec![jited.len() as u32],
        jited,
        jited_at: vec![0xffff_ffff_c000_0000],
        lines: vec![Line { line_col: 5 << 10, slot: 4, at: 0xffff_ffff_c000_0010 }],
    });
    (vec(trial, 0..3), vec(".{0,20}", 0..3), any::<u64>()).prop_map(|(trials, messages, nanoseconds)| Answer {
        trials,
        messages,
        nanoseconds,
    })
}

fn signal() -> impl Strategy<Value = Signal> {
    let (len, job) = (0_usize.., any::<u32>());
    prop_oneof![
        // A release has neither spaces nor control characters.
        (any::<u32>(), "[!-~]{1,20}").prop_map(|(version, release)| Signal::Hello { version, release }),
        len.clone().prop_map(|len| Signal::Ask { len }),
        job.prop_map(|job| Signal::At { job }),
        (job, len.clone(), len.clone()).prop_map(|(job, at, len)| Signal::Answer { job, at, len }),
        (job, len).prop_map(|(job, len)| Signal::Overlong { job, len }),
        Just(Signal::Full),
        Just(Signal::Read),
        Just(Signal::Done),
        "[!-~]{0,9}( [!-~]{1,9}){0,3}".prop_map(|reason| Signal::Failed { reason }),
    ]
}

proptest! {
    #[test]
    fn messages_come_back(jobs in vec(job(), 0..3), answer in answer()) {
        let bytes = encode(&Asked::Jobs(&jobs));
        prop_assert_eq!(&bytes, &encode(&Ask::Jobs(jobs.clone())));
        prop_assert_eq!(decode::<Ask>(&bytes), Ok(Ask::Jobs(jobs)));
        prop_assert_eq!(decode::<Answer>(&encode(&answer)), Ok(answer));
    }

    #[test]
    fn a_changed_byte_is_noticed(answer in answer(), change in 1_u8.., at in any::<prop::sample::Index>()) {
        let mut bytes = encode(&answer);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let noticed = matches!(decode::<Answer>(&bytes), Err(FrameError::Checksum { .. }));
        prop_assert!(noticed, "byte {} of {}", at, bytes.len());
    }

    #[test]
    fn a_cut_is_noticed(answer in answer()) {
        let bytes = encode(&answer);
        for len in 0..bytes.len() {
            prop_assert!(decode::<Answer>(&bytes[..len]).is_err(), "{} of {}", len, bytes.len());
        }
    }

    #[test]
    fn more_than_a_message_is_noticed(answer in answer(), more in vec(any::<u8>(), 1..9)) {
        prop_assert!(decode::<Answer>(&[encode(&answer), more].concat()).is_err());
    }

    #[test]
    fn signals_come_back(signal in signal()) {
        let line = signal.to_line();
        prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{}", line);
        prop_assert_eq!(Signal::from_line(&line), Some(signal));
    }

    #[test]
    fn no_line_is_too_strange(line in ".{0,60}", word in "(hello|ask|at|answer|overlong|failed)", numbers in "[-0-9 ]{0,50}") {
        let _ = Signal::from_line(&line);
        let _ = Signal::from_line(&format!("{word} {numbers}"));
    }
}

/// The planted mistake: without a checksum, most changes of a byte give another message or none, unnoticed.
#[test]
fn the_meaning_alone_notices_little() {
    let answer = Answer { messages: vec!["abc".to_owned()], nanoseconds: 5, ..Answer::default() };
    let mut bytes = postcard::to_allocvec(&answer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(postcard::from_bytes::<Answer>(&bytes).unwrap().nanoseconds, 4);
}

/// A number of a job that does not fit is no signal, rather than another job's.
#[test]
fn numbers_are_not_cut() {
    assert_eq!(Signal::from_line("at 4294967296\n"), None);
    assert_eq!(Signal::from_line("at 1 2\n"), None);
    assert_eq!(Signal::from_line("at"), None);
}
