//! What tests on real guests share.
#![allow(dead_code)] // each test file uses some of it

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linux::{Given, Kernel, Settings, kernel};
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
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Processes whose command line holds these words, zombies left out.
pub fn processes(words: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.starts_with(b"qemu") && String::from_utf8_lossy(&line).contains(words)
    };
    ids.filter(has).collect()
}

/// Guests that can be told from all others by their command line.
pub fn tagged(tag: &str) -> Settings {
    Settings { command_line: format!("touchstone.test={tag}"), ..Settings::default() }
}

/// Names in a folder.
pub fn named(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The guests with this tag that are still there when all had time to die.
pub fn wait_for_end(tag: &str) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes(tag);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Open descriptors, threads, children, mappings of memory that guests share: of this process.
pub fn open() -> [usize; 4] {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    let children = fs::read_dir("/proc/self/task").unwrap().flatten().flat_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mappings = maps.lines().filter(|line| line.contains("touchstone-guest")).count();
    [count("/proc/self/fd"), count("/proc/self/task"), children.count(), mappings]
}
