//! What tests on real guests share.
#![allow(dead_code)] // each test file uses some of it

use std::path::PathBuf;

use linux::{Given, Kernel, kernel};
use wire::{Answer, Engine, Job, Mishap, Program, Run};

/// The kernel that tests boot; `None`, with the reason printed, where it cannot be.
pub fn kernel() -> Option<Kernel> {
    if !has_qemu() {
        eprintln!("skipped: there is no qemu-system-x86_64 (`make linux` installs it)");
        return None;
    }
    kernel_anyway()
}

/// The same, whether or not there is a qemu.
pub fn kernel_anyway() -> Option<Kernel> {
    let found = Kernel::find(&kernel::folder(), "6.1");
    found.inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

fn has_qemu() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("qemu-system-x86_64").is_file())
}

/// `BPF_PROG_TYPE_SOCKET_FILTER`.
pub const SOCKET_FILTER: u32 = 1;

/// A program of these slots, run once on both engines.
pub fn program(slots: &[u64]) -> Job {
    let insns = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let license = "GPL".to_owned();
    Job {
        engines: vec![Engine::Jit, Engine::Interpreter],
        programs: vec![Program { prog_type: SOCKET_FILTER, license, insns, ..Program::default() }],
        runs: vec![Run { data: vec![0; 64], repeat: 1, ..Run::default() }],
        log_level: 2,
        ..Job::default()
    }
}

/// `r0 = value; exit`.
pub fn returns(value: u32) -> Job {
    program(&[u64::from(value) << 32 | 0xb7, 0x95])
}

/// The same, with something that goes wrong.
pub fn mishap(value: u32, mishap: Mishap) -> Job {
    Job { mishap: Some(mishap), ..returns(value) }
}

/// What a program returned on both engines.
pub fn returned(answer: &Answer) -> Vec<u32> {
    answer.trials.iter().map(|trial| trial.runs[0].as_ref().unwrap().retval).collect()
}

/// Whether this is the answer to [`returns`].
pub fn is_answer(given: &Given, value: u32) -> bool {
    given.as_ref().is_ok_and(|answer| returned(answer) == [value, value])
}

/// A folder of this test's own, empty.
pub fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Processes whose command line holds these words, zombies left out.
pub fn processes(words: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.starts_with(b"qemu") && String::from_utf8_lossy(&line).contains(words)
    };
    ids.filter(has).collect()
}
