//! Guests that die, hang and lie: one job is lost, with the reason and the console's text, and the rest goes on.

mod common;

use std::time::Duration;

use common::{is_answer, mishap, program, returned, returns};
use linux::{Given, Kernel, Lost, Machine, Settings, Unanswered};
use wire::{Engine, Job, Map, Mishap, Stage};

fn settings() -> Settings {
    Settings { job: Duration::from_secs(6), ..Settings::default() }
}

fn ask(machine: &mut Machine, jobs: &[Job]) -> Vec<Given> {
    let mut all = Vec::new();
    machine
        .ask(jobs, &mut |at, given| {
            assert_eq!(at, all.len(), "each job once, in order");
            all.push(given);
        })
        .unwrap();
    assert_eq!(all.len(), jobs.len());
    all
}

/// Asks for jobs with others between them, which all must have their answers: what the jobs in question came to.
fn among_others(kernel: Kernel, suspects: &[Job]) -> (Vec<Given>, Machine) {
    let mut machine = Machine::new(kernel, settings());
    let jobs: Vec<Job> = suspects.iter().zip(1..).flat_map(|(job, number)| [job.clone(), returns(number)]).collect();
    let mut all = ask(&mut machine, &jobs);
    for (number, given) in (1..).zip(all.iter().skip(1).step_by(2)) {
        assert!(is_answer(given, number), "the job behind suspect {number}: {given:?}");
    }
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        at % 2 == 1
    });
    (all, machine)
}

fn lost(given: &Given) -> (&Lost, &str) {
    match given {
        Err(Unanswered::Lost { why, console }) => (why, console),
        other => panic!("not lost: {other:?}"),
    }
}

#[test]
fn a_kernel_that_dies_costs_one_job() {
    let Some(kernel) = common::kernel() else { return };
    let suspects = [Mishap::Panic, Mishap::Reset, Mishap::Exit, Mishap::PanicAfter].map(|of| mishap(90, of));
    let (all, machine) = among_others(kernel, &suspects);
    let (why, console) = lost(&all[0]);
    assert!(matches!(why, Lost::Ended(_)), "{why}");
    assert!(console.contains("Kernel panic - not syncing: sysrq triggered crash"), "{console}");
    assert!(all[0].as_ref().unwrap_err().to_string().contains("sysrq triggered crash"));
    assert!(matches!(lost(&all[1]).0, Lost::Ended(_)));
    assert!(lost(&all[2]).1.contains("Attempted to kill init"));
    // Its answer is there, and what came after it is told with it.
    let Ok(answer) = &all[3] else { panic!("{:?}", all[3]) };
    assert_eq!(returned(answer), [90, 90]);
    let messages = answer.messages.join("\n");
    assert!(messages.contains("lost after this job") && messages.contains("sysrq triggered crash"), "{messages}");
    assert_eq!(machine.started, 5);
    assert_eq!(machine.strays, []);
}

#[test]
fn a_guest_that_hangs_or_lies_costs_one_job() {
    let Some(kernel) = common::kernel() else { return };
    let mut suspects = [Mishap::Hang, Mishap::Garble, Mishap::Cut].map(|of| mishap(90, of)).to_vec();
    suspects.push(endless());
    let (all, machine) = among_others(kernel, &suspects);
    assert_eq!(*lost(&all[0]).0, Lost::Silent(settings().job));
    assert!(matches!(lost(&all[1]).0, Lost::Garbled(wire::FrameError::Checksum { .. })));
    assert!(matches!(lost(&all[2]).0, Lost::Garbled(wire::FrameError::Checksum { .. })));
    assert_eq!(*lost(&all[3]).0, Lost::Silent(settings().job));
    assert_eq!(machine.started, 5);
}

#[test]
fn a_guest_survives_what_is_too_large_for_it() {
    let Some(kernel) = common::kernel() else { return };
    let array = |mebibytes: u32| {
        let map = Map { map_type: 2, key_size: 4, value_size: 1 << 20, max_entries: mebibytes, ..Map::default() };
        Job { maps: vec![map], ..returns(7) }
    };
    let too_long = Job { btf: vec![0; wire::ASKS_LEN], ..returns(7) };
    let warns = Job { engines: vec![Engine::Jit], ..mishap(90, Mishap::Warn) };
    let swollen = mishap(90, Mishap::Swell(wire::ANSWERS_LEN as u32));
    let large = mishap(90, Mishap::Swell(wire::ANSWERS_LEN as u32 - (1 << 20)));
    let (all, machine) = among_others(kernel, &[array(300), array(100), too_long, swollen, large, warns]);
    let Ok(answer) = &all[0] else { panic!("{:?}", all[0]) };
    let results: Vec<_> = answer.trials.iter().map(|trial| &trial.load.result).collect();
    assert_eq!(results, [&Err((Stage::Map(0), libc::ENOMEM)); 2]);
    assert!(is_answer(&all[1], 7), "{:?}", all[1]);
    assert!(matches!(all[2], Err(Unanswered::TooLong(len)) if len > wire::ASKS_LEN));
    assert!(matches!(all[3], Err(Unanswered::Overlong(len)) if len > wire::ANSWERS_LEN));
    assert!(is_answer(&all[4], 90));
    let Ok(answer) = &all[5] else { panic!("{:?}", all[5]) };
    assert!(answer.messages.iter().any(|line| line.contains("uses deprecated remap_file_pages")), "{answer:?}");
    assert_eq!(machine.started, 1, "one guest did it all");
}

/// `bpf_loop` in `bpf_loop`: 2^46 rounds, which the kernel lets nothing interrupt.
fn endless() -> Job {
    let round = |function: u64| {
        [
            0x0080_0000_0000_01b7,   // r1 = 1 << 23
            function << 32 | 0x4218, // r2 = function
            0,
            0x03b7,           // r3 = 0
            0x04b7,           // r4 = 0
            181 << 32 | 0x85, // call bpf_loop
            0x00b7,           // r0 = 0
            0x95,             // exit
        ]
    };
    let slots: Vec<u64> = [round(6), round(6)].into_iter().flatten().chain([0x00b7, 0x95]).collect();
    let mut job = program(&slots);
    job.btf = btf();
    let records = [(0, 3), (8, 3), (16, 3)];
    job.programs[0].func_info =
        records.iter().flat_map(|(insn, id): &(u32, u32)| [insn.to_le_bytes(), id.to_le_bytes()].concat()).collect();
    job
}

/// `int f(void)`, the least that functions need to be named: `INT` 1, `FUNC_PROTO` 2, `FUNC` 3.
fn btf() -> Vec<u8> {
    let types: [u32; 10] = [1, 1 << 24, 4, 32, 0, 13 << 24, 1, 5, 12 << 24, 2];
    let strings = b"\0int\0f\0";
    let (types_len, strings_len) = (4 * types.len() as u32, strings.len() as u32);
    let header: [u32; 6] = [0x0001_eb9f, 24, 0, types_len, types_len, strings_len];
    let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
    words.chain(strings.iter().copied()).collect()
}
