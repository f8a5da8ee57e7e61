//! Lines of listings: what `llvm-objdump -d`, Linux's verifier log and `bpftool prog dump xlated` print around instructions.

use std::borrow::Cow;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing about instructions.
    Noise,
    /// `0000000000000000 <main>:`, or bpftool's `int main(void * ctx):`.
    Symbol(&'a str),
    /// `Disassembly of section xdp:`.
    Section(&'a str),
    /// `0000000000000008:  R_BPF_64_64  counts`: of the instruction before.
    Relocation(&'a str),
    /// Statements, without the column of raw bytes, whose place blanks take.
    Code {
        /// The bytes.
        bytes: Option<Vec<u8>>,
        /// The statements.
        text: Cow<'a, str>,
    },
}

/// Beginnings of lines of the verifier's log that are no instructions.
const REMARKS: [&str; 19] = [
    "func#",
    "from ",
    "processed ",
    "last_idx ",
    "regs=",
    "mark_precise:",
    "parent state ",
    "parent didn't ",
    "verification time ",
    "stack depth ",
    "returning from callee:",
    "to caller at ",
    "propagating ",
    "Validating ",
    "Func#",
    "arg#",
    "-- BEGIN ",
    "-- END ",
    "libbpf:",
];

/// What `line` is; `next` is the line behind it.
pub(super) fn classify<'a>(line: &'a str, next: Option<&str>) -> Line<'a> {
    let trimmed = line.trim();
    if let Some(name) = trimmed.strip_prefix("Disassembly of section ").and_then(|name| name.strip_suffix(':')) {
        return Line::Section(name);
    }
    if let Some(name) = symbol(trimmed) {
        return Line::Symbol(name);
    }
    let called = matches!(trimmed, "caller:" | "callee:") && next.is_some_and(|next| is_state(next.trim()));
    let format = trimmed.contains(":\tfile format ");
    if called || format || is_state(trimmed) || REMARKS.iter().any(|remark| trimmed.starts_with(remark)) {
        return Line::Noise;
    }
    let code = |text| Line::Code { bytes: None, text };
    let Some((number, behind)) = line.split_once(':') else { return code(line.into()) };
    let (number, rest) = (number.trim(), behind.trim_start());
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_hexdigit()) {
        return code(line.into());
    }
    if rest.starts_with("R_BPF_") {
        return Line::Relocation(rest.split_whitespace().nth(1).unwrap_or_default());
    }
    if is_state(rest.trim_end()) || rest.trim_end() == "safe" {
        return Line::Noise;
    }
    match raw(rest) {
        Some((bytes, length)) => {
            let start = line.len() - rest.len();
            let text = line[start + length..].trim();
            if text == "<unknown>" {
                return Line::Code { bytes: Some(bytes), text: String::new().into() };
            }
            let blanks = " ".repeat(line[..start + length].chars().count());
            Line::Code { bytes: Some(bytes), text: format!("{blanks}{}", &line[start + length..]).into() }
        }
        None => code(line.into()),
    }
}

/// The name in `0000000000000000 <main>:` or in `int main(void * ctx):`.
fn symbol(line: &str) -> Option<&str> {
    if let Some((address, name)) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
        return address.trim().chars().all(|c| c.is_ascii_hexdigit()).then_some(name);
    }
    let (head, _) = line.strip_suffix("):")?.split_once('(')?;
    let name = head.rsplit([' ', '*']).next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_name && !head.starts_with(['(', ';', '#', '/']) && head.len() > name.len()).then_some(name)
}

/// Whether this is the state of registers in the verifier's log: `R1=ctx() R10=fp0`, `frame1: R1_w=1`.
fn is_state(line: &str) -> bool {
    let line = match line.strip_prefix("frame").and_then(|rest| rest.split_once(':')) {
        Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => rest.trim_start(),
        _ => line,
    };
    let Some(rest) = line.strip_prefix('R') else { return false };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix('_').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_lowercase()));
    rest.strip_prefix('=').is_some_and(|value| value.starts_with(|c: char| !c.is_whitespace()))
}

/// One or two slots written as pairs of digits, and how long that is.
fn raw(text: &str) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut length = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let digits = word.trim_end();
        let byte = if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None };
        let Some(byte) = byte.filter(|_| bytes.len() < 16) else { break };
        bytes.push(byte);
        length += word.len();
    }
    matches!(bytes.len(), 8 | 16).then_some((bytes, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let code = |text: &'static str| Line::Code { bytes: None, text: text.into() };
        let lines = [
            ("x.o:\tfile format elf64-bpf", Line::Noise),
            ("Disassembly of section .text:", Line::Section(".text")),
            ("0000000000000010 <LBB0_2>:", Line::Symbol("LBB0_2")),
            ("<main>:", Line::Symbol("main")),
            ("int handle(struct pt_regs * ctx):", Line::Symbol("handle")),
            ("\t\t0000000000000008:  R_BPF_64_64\tcounts", Line::Relocation("counts")),
            ("0: R1=ctx(off=0,imm=0) R10=fp0", Line::Noise),
            ("3: frame1: R1_w=scalar()", Line::Noise),
            ("R0_w=1", Line::Noise),
            ("from 3 to 5: R0=0", Line::Noise),
            ("7: safe", Line::Noise),
            ("from: exit", code("from: exit")),
            ("12: (bf) r1 = r2", code("12: (bf) r1 = r2")),
            ("if r1 == 0 goto a", code("if r1 == 0 goto a")),
            ("R1 = 5", code("R1 = 5")),
        ];
        for (line, expected) in lines {
            assert_eq!(classify(line, None), expected, "{line}");
        }
        let Line::Code { bytes: Some(bytes), text } = classify("  1:\tb7 00 00 00 ff 00 00 00\tr0 = 0xff", None) else {
            panic!("no bytes")
        };
        assert_eq!(bytes, [0xb7, 0, 0, 0, 0xff, 0, 0, 0]);
        assert_eq!(text.find("r0"), Some(29));
        assert_eq!(classify("callee:", Some(" frame1: R1=0")), Line::Noise);
        assert_eq!(classify("callee:", Some(" exit")), code("callee:"));
    }
}
