//! What a verifier's log says last of a program, and that without the particulars, to tell causes apart.

use std::iter::Peekable;
use std::str::Chars;

/// Beginnings of the lines that the kernel's log ends with (`print_verification_stats`; since 6.7 the states of a loop that has
/// no end).
const STATISTICS: [&str; 6] =
    ["verification time ", "stack depth ", "processed ", "insns processed ", "cur state:", "old state:"];

/// Beginnings of lines that say how the program is followed, not what is wrong with it: subprograms, ways and precision
/// marks (`do_check`, `mark_chain_precision`), lines of source (`verbose_linfo`).
const TRACE: [&str; 17] = [
    "func#",
    "Func#",
    "Validating ",
    "from ",
    "last_idx ",
    "regs=",
    "mark_precise:",
    "parent didn't have ",
    "parent already had ",
    "parent state ",
    "propagating ",
    "; ",
    "caller:",
    "callee:",
    "returning from callee:",
    "to caller at ",
    "frame",
];

/// The last lines of a kernel's log that are about the program itself, without statistics; empty if there are none.
pub fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(own).map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let end = lines.iter().rposition(|line| !is_statistics(line)).map_or(0, |at| at + 1);
    let start = lines[..end].iter().rposition(|line| is_trace(line)).map_or(0, |at| at + 1);
    lines[start..end].join("\n")
}

/// `processed N insns`, or `insns processed N` since 7.0: instructions followed over all paths.
pub fn processed(log: &str) -> Option<u32> {
    let number = |line: &str| line.split(' ').next()?.parse().ok();
    let lines = || log.lines().rev();
    let new = lines().find_map(|line| number(line.strip_prefix("insns processed ")?));
    new.or_else(|| lines().find_map(|line| number(line.strip_prefix("processed ")?)))
}

/// A line without the statistics that it runs into, because a message forgot its end of line.
fn own(line: &str) -> &str {
    match line.find(STATISTICS[0]) {
        Some(at) if at > 0 => &line[..at],
        _ => line,
    }
}

fn is_statistics(line: &str) -> bool {
    STATISTICS.iter().any(|beginning| line.starts_with(beginning))
}

/// An instruction (`12: (07) r1 += 8`), a state (`12: R1=ctx()`), or one of [`TRACE`].
fn is_trace(line: &str) -> bool {
    let number = line.find(|c: char| !c.is_ascii_digit());
    let is_numbered = number.is_some_and(|at| at > 0 && line[at..].starts_with(':'));
    // `frame1: R1=...`, but not `frame pointer is read only`.
    let is_frame = line.starts_with("frame") && line[5..].starts_with(|c: char| c.is_ascii_digit());
    // What is known of an argument, not what is wrong with it (`btf_ctx_access`).
    let is_argument = line.starts_with("func '") && line.contains(" has btf_id ");
    is_numbered
        || is_frame
        || is_argument
        || TRACE.iter().any(|beginning| *beginning != "frame" && line.starts_with(beginning))
}

/// A message without what differs from program to program: `R3` becomes `R?`, numbers become `N`. Names stay, also with
/// the numbers that belong to them (`u32`, `bpf_map_lookup_elem#1`).
pub fn cause(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message.chars().peekable();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let starts_word = !before.is_ascii_alphanumeric() && before != '_' && before != '#';
        if c == 'R' && starts_word && rest.peek().is_some_and(char::is_ascii_digit) {
            number(&mut rest);
            out.push_str("R?");
            before = '?';
        } else if c.is_ascii_digit() && starts_word || (c == '-' && rest.peek().is_some_and(char::is_ascii_digit)) {
            if c == '0' && rest.next_if_eq(&'x').is_some() {
                while rest.next_if(char::is_ascii_hexdigit).is_some() {}
            } else {
                number(&mut rest);
            }
            out.push('N');
            before = 'N';
        } else {
            out.push(c);
            before = c;
        }
    }
    out.replace('\n', " / ")
}

fn number(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(char::is_ascii_digit).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_says_last() {
        let log = "func#0 @0\n0: R1=ctx(off=0,imm=0) R10=fp0\n0: (61) r2 = *(u32 *)(r1 +76)\n1: (71) r0 = *(u8 *)(r2 +0)\n\
                   invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)\nR2 offset is outside of the packet\n\
                   verification time 41 usec\nstack depth 0\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n";
        let message = "invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)\nR2 offset is outside of the packet";
        assert_eq!((last(log).as_str(), processed(log)), (message, Some(2)));
        assert_eq!(last("unknown opcode 8f\nprocessed 0 insns\n"), "unknown opcode 8f");
        assert_eq!(
            last("0: R1=ctx(off=0,imm=0)\n0: (b7) r10 = 0\nframe pointer is read only\n"),
            "frame pointer is read only"
        );
        assert_eq!(last("3: (95) exit\nprocessed 4 insns\n"), "");
        let newer =
            "R3 !read_ok\nverification time 703 usec\nstack depth 0 max 0\ninsns processed 1\nprocessed 1 insns\n";
        assert_eq!((last(newer).as_str(), processed(newer)), ("R3 !read_ok", Some(1)));
        assert_eq!(
            last("expected prog array map for tail callverification time 7 usec\n"),
            "expected prog array map for tail call"
        );
        let states = "infinite loop detected at insn 1\ncur state: R0=0\nold state: R0_w=0\nprocessed 3 insns\n";
        assert_eq!(last(states), "infinite loop detected at insn 1");
        let argument = "func 'f' arg0 has btf_id 94105 type STRUCT 's'\nonly read is supported\nprocessed 2 insns\n";
        assert_eq!(last(argument), "only read is supported");
        assert_eq!(last("func 'f' doesn't have 3-th argument\n"), "func 'f' doesn't have 3-th argument");
        assert_eq!((last("").as_str(), processed("")), ("", None));
    }

    #[test]
    fn causes_have_no_numbers() {
        assert_eq!(cause("R3 !read_ok"), "R? !read_ok");
        assert_eq!(
            cause("invalid access to packet, off=-4 size=0x1f, R10(id=0,off=3,r=8)"),
            "invalid access to packet, off=N size=N, R?(id=N,off=N,r=N)"
        );
        assert_eq!(
            cause("cannot pass map_type 3 into func bpf_map_lookup_elem#1"),
            "cannot pass map_type N into func bpf_map_lookup_elem#1"
        );
        assert_eq!(
            cause("variable ctx access var_off=(0x0; 0xff) disallowed\nR1 u32"),
            "variable ctx access var_off=(N; N) disallowed / R? u32"
        );
    }
}
