//! R0 whole: `BPF_PROG_TEST_RUN` shows its low half only, so programs are rewritten to leave it in a map.
//!
//! Each `exit` of a main function becomes a jump to a sequence behind that function, which stores R0 into an array of one
//! element and exits. Verdicts and images are always those of a program as it is.

use semantics::encoding::{SLOT_LEN, Slot};
use wire::{Fd, FdField, Job, Map, Program, Ran};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_LD | BPF_IMM | BPF_DW`.
const LDDW: u8 = 0x18;
/// `BPF_STX | BPF_MEM | BPF_DW`.
const STX_DW: u8 = 0x7b;
/// `BPF_JMP | BPF_JA`, `BPF_JMP | BPF_CALL` and `BPF_JMP | BPF_EXIT`.
const JA: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// `BPF_PSEUDO_CALL` of a call; `BPF_PSEUDO_MAP_VALUE` and `BPF_PSEUDO_FUNC` of a 64-bit load.
const PSEUDO_CALL: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_FUNC: u8 = 4;

/// Slots of the sequence behind a main function.
const SEQUENCE: i64 = 4;
/// Bytes of a record of `func_info` and of `line_info`; each begins with the number of a slot.
const FUNC_INFO: usize = 8;
const LINE_INFO: usize = 16;

/// The job with programs that leave R0 in a further map, the last one, which each run reads back last. `None` if one of them
/// cannot be rewritten: it is no whole program, or a jump would be too long.
pub fn widen(job: &Job) -> Option<Job> {
    let mut wide = job.clone();
    let index = wide.maps.len() as u32;
    wide.maps.push(Map {
        name: "r0".into(),
        map_type: ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        ..Map::default()
    });
    for program in &mut wide.programs {
        rewrite(program, index)?;
    }
    for run in &mut wide.runs {
        run.read_back.push(index);
    }
    Some(wide)
}

/// What a run of a rewritten program left: R0 whole, and what else it read back. `None` if the map does not show the R0 that the
/// kernel does.
pub fn r0(ran: &mut Ran) -> Option<u64> {
    let elements = ran.maps.pop()?.ok()?;
    let (_, value) = elements.first()?;
    let value = u64::from_le_bytes(value.as_slice().try_into().ok()?);
    (value as u32 == ran.retval).then_some(value)
}

fn rewrite(program: &mut Program, map: u32) -> Option<()> {
    let (bytes, rest) = program.insns.as_chunks::<SLOT_LEN>();
    let mut slots: Vec<Slot> = bytes.iter().map(|bytes| Slot::from_bytes(*bytes)).collect();
    if !rest.is_empty() {
        return None;
    }
    let heads = heads(&slots);
    let end = heads.iter().filter_map(|at| callee(&slots, *at)).filter(|start| *start > 0).min();
    let end = end.unwrap_or(slots.len() as i64);
    let moved = |at: i64| at + if at >= end { SEQUENCE } else { 0 };
    for at in &heads {
        let slot = slots[*at];
        let here = *at as i64;
        if slot.code == EXIT && here < end {
            let off = i16::try_from(end - here - 1).ok()?;
            slots[*at] = Slot { code: JA, dst: 0, src: 0, off, imm: 0 };
        } else if let Some(start) = callee(&slots, *at) {
            slots[*at].imm = i32::try_from(moved(start) - moved(here) - 1).ok()?;
        }
    }
    let end = usize::try_from(end).ok().filter(|end| *end <= slots.len())?;
    let load = Slot { code: LDDW, dst: 1, src: PSEUDO_MAP_VALUE, off: 0, imm: 0 };
    let tail = Slot { code: 0, dst: 0, src: 0, off: 0, imm: 0 };
    slots.splice(end..end, [load, tail, Slot { code: STX_DW, dst: 1, ..tail }, Slot { code: EXIT, ..tail }]);
    for field in &mut program.fds {
        field.slot = moved(i64::from(field.slot)) as u32;
    }
    program.fds.push(FdField { slot: end as u32, fd: Fd::Map(map) });
    shift(&mut program.func_info, FUNC_INFO, &moved);
    shift(&mut program.line_info, LINE_INFO, &moved);
    program.insns = slots.into_iter().flat_map(Slot::to_bytes).collect();
    Some(())
}

/// The slots where instructions begin.
fn heads(slots: &[Slot]) -> Vec<usize> {
    let mut at = 0;
    std::iter::from_fn(|| {
        let head = at;
        at += if slots.get(head)?.code == LDDW { 2 } else { 1 };
        Some(head)
    })
    .collect()
}

/// Where the subprogram begins that the instruction at this slot names.
fn callee(slots: &[Slot], at: usize) -> Option<i64> {
    let Slot { code, src, imm, .. } = slots[at];
    let names = (code == CALL && src == PSEUDO_CALL) || (code == LDDW && src == PSEUDO_FUNC);
    names.then(|| at as i64 + 1 + i64::from(imm)).filter(|start| (0..slots.len() as i64).contains(start))
}

/// Moves the slots that records begin with.
fn shift(records: &mut [u8], len: usize, moved: &impl Fn(i64) -> i64) {
    for record in records.chunks_exact_mut(len) {
        if let Some((slot, _)) = record.split_first_chunk_mut::<4>() {
            *slot = (moved(i64::from(u32::from_le_bytes(*slot))) as u32).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use semantics::asm::assemble;
    use semantics::encoding::{decode, encode};

    use super::*;

    fn widened(text: &str) -> String {
        let insns = encode(&assemble(text).expect("assembly"));
        let job = Job { programs: vec![Program { insns, ..Program::default() }], ..Job::default() };
        let wide = widen(&job).expect("it can be rewritten");
        assert_eq!(wide.maps.len(), 1);
        assert_eq!(wide.programs[0].fds.len(), 1);
        semantics::disasm::disassemble(&decode(&wide.programs[0].insns).expect("instructions"))
    }

    fn plain(text: &str) -> String {
        semantics::disasm::disassemble(&assemble(text).expect("assembly"))
    }

    #[test]
    fn exits_of_main_lead_to_the_sequence() {
        let wide = widened("r0 = 1\n if r1 == 0 goto +1\n exit\n r0 = 2\n exit");
        let expected = "r0 = 1\n if r1 == 0 goto +1\n goto +2\n r0 = 2\n goto +0\n r1 = map_value[0] + 0 ll\n\
             *(u64 *)(r1 + 0) = r0\n exit";
        assert_eq!(slots(&wide), slots(&plain(&expected.replace("r1 = map_value[0] + 0 ll", "r1 = 0 ll"))), "{wide}");
    }

    /// The text, with any 64-bit load in the same words.
    fn slots(text: &str) -> Vec<String> {
        let line = |line: &str| if line.ends_with(" ll") { "wide".to_owned() } else { line.to_owned() };
        text.lines().map(line).collect()
    }

    #[test]
    fn subprograms_keep_their_exits_and_their_callers_find_them() {
        let wide = widened("call one\n exit\none: r0 = 3\n call two\n exit\ntwo: r0 = 4\n exit");
        let expected = "call one\n goto +0\n r1 = 0 ll\n *(u64 *)(r1 + 0) = r0\n exit\none: r0 = 3\n call two\n exit\ntwo: \
             r0 = 4\n exit";
        assert_eq!(slots(&wide), slots(&plain(expected)), "{wide}");
    }

    #[test]
    fn what_is_too_long_is_left_alone() {
        let mut text = "if r1 == 0 goto +1\n exit\n".to_owned();
        text.push_str(&"r0 = 0\n".repeat(40_000));
        text.push_str("exit");
        let insns = encode(&assemble(&text).expect("assembly"));
        let job = Job { programs: vec![Program { insns, ..Program::default() }], ..Job::default() };
        assert_eq!(widen(&job), None);
        // Nor is what is no program.
        let job = Job { programs: vec![Program { insns: vec![0; 7], ..Program::default() }], ..Job::default() };
        assert_eq!(widen(&job), None);
    }
}
