//! What the kernel tells of a loaded program (`struct bpf_prog_info`).

use std::os::fd::OwnedFd;

use wire::{Engine, Line, Stage, Trial};

use crate::bpf::{Attr, Command};

/// Bytes of `struct bpf_prog_info` up to `attach_btf_id`. Older kernels take a longer structure if its end is 0.
const LEN: usize = 232;
/// Offsets in it.
const JITED_LEN: usize = 16;
const XLATED_LEN: usize = 20;
const JITED: usize = 24;
const XLATED: usize = 32;
const KSYMS_COUNT: usize = 104;
const FUNCTIONS_COUNT: usize = 108;
const KSYMS: usize = 112;
const FUNCTIONS: usize = 120;
const LINES_COUNT: usize = 148;
const LINES: usize = 152;
const JITED_LINES: usize = 160;
const JITED_LINES_COUNT: usize = 168;
const LINE_LEN: usize = 172;
const JITED_LINE_LEN: usize = 176;
const VERIFIED_INSNS: usize = 216;

/// `struct bpf_line_info`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct LineInfo {
    insn_off: u32,
    file_name_off: u32,
    line_off: u32,
    line_col: u32,
}

struct Info([u8; LEN]);

impl Info {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
    fn set(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
    /// Room for what the kernel writes: its length, and its address.
    fn room<T>(&mut self, count: usize, pointer: usize, room: &mut [T]) {
        self.set(count, &(room.len() as u32).to_le_bytes());
        self.set(pointer, &(room.as_mut_ptr() as u64).to_le_bytes());
    }
    fn ask(&mut self, program: &OwnedFd) -> bool {
        let len = self.0.len() as u32;
        Attr::new().fd(0, program).u32(4, len).room(8, &mut self.0).call(Command::ObjInfo).is_ok()
    }
}

/// Fills in what is known of the program, and sees to it that the engine is the one asked for.
pub fn read(program: &OwnedFd, dump: bool, trial: &mut Trial) {
    let mut info = Info([0; LEN]);
    if !info.ask(program) {
        return;
    }
    trial.load.verified_insns = info.u32(VERIFIED_INSNS);
    let is_native = info.u32(JITED_LEN) > 0;
    if is_native != (trial.engine == Engine::Jit) {
        trial.load.result = Err((Stage::Fallback, 0));
        return;
    }
    if !dump {
        return;
    }
    let mut lines = vec![LineInfo::default(); info.u32(LINES_COUNT) as usize];
    let mut jited_lines = vec![0u64; info.u32(JITED_LINES_COUNT) as usize];
    let functions = info.u32(FUNCTIONS_COUNT) as usize;
    trial.jited = vec![0; info.u32(JITED_LEN) as usize];
    trial.xlated = vec![0; info.u32(XLATED_LEN) as usize];
    trial.jited_lens = vec![0; functions];
    trial.jited_at = vec![0; info.u32(KSYMS_COUNT) as usize];
    let mut info = Info([0; LEN]);
    info.room(JITED_LEN, JITED, &mut trial.jited);
    info.room(XLATED_LEN, XLATED, &mut trial.xlated);
    info.room(FUNCTIONS_COUNT, FUNCTIONS, &mut trial.jited_lens);
    info.room(KSYMS_COUNT, KSYMS, &mut trial.jited_at);
    info.room(LINES_COUNT, LINES, &mut lines);
    info.room(JITED_LINES_COUNT, JITED_LINES, &mut jited_lines);
    info.set(LINE_LEN, &(size_of::<LineInfo>() as u32).to_le_bytes());
    info.set(JITED_LINE_LEN, &(size_of::<u64>() as u32).to_le_bytes());
    info.ask(program);
    let line = |(info, at): (LineInfo, u64)| Line { line_col: info.line_col, slot: info.insn_off, at };
    trial.lines = lines.into_iter().zip(jited_lines).map(line).collect();
}

/// How many CPUs the kernel keeps values of per-CPU maps for: the last of a list such as `0-3`, and one.
pub fn possible_cpus() -> usize {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = list.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<usize>().ok());
    last.map_or(1, |last| last + 1)
}
