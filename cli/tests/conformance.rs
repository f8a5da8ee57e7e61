//! The plugin as the runner of `bpf_conformance` starts it: memory first, then options, the program on standard input.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corpus::suite::conformance::{self, Data, Lack};

/// Starts the plugin as the runner does.
fn plugin(memory: &[u8], options: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.arg("conformance-plugin");
    if !memory.is_empty() {
        command.arg(spaced(memory));
    }
    let mut child = command
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the plugin starts");
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().expect("standard input").write_all(format!("{input}\n").as_bytes());
    child.wait_with_output().expect("the plugin ends")
}

/// Bytes as the runner writes them: two blanks behind each.
fn spaced(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}  "))
}

/// R0, or what the plugin says instead.
fn result(output: &Output) -> Result<u64, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.code() == Some(0) {
        return u64::from_str_radix(&text(&output.stdout), 16)
            .map_err(|error| format!("{error}: {:?}", text(&output.stdout)));
    }
    assert!(output.status.code().is_some(), "the plugin itself is lost");
    let why = text(&output.stderr);
    assert!(!why.is_empty(), "a failure without a reason");
    Err(why)
}

fn samples() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites/bpf_conformance");
    path.is_dir().then_some(path)
}

/// Passed, failed and skipped of the sample, each case in a process of its own. A plugin that lacks something says so.
fn sample(options: &[&str], wrap: impl Fn(&Data) -> String) -> Option<[usize; 3]> {
    let Some(directory) = samples() else {
        println!("skipped: the sample suite is not there");
        return None;
    };
    let mut counts = [0; 3];
    for file in corpus::suite::files(&directory).expect("the sample") {
        let text = std::fs::read_to_string(&file).expect("text");
        let data = match conformance::data(&text, &file) {
            Ok(data) => data,
            Err(Lack::Skip(why)) => {
                println!("skipped {}: {why}", file.display());
                counts[2] += 1;
                continue;
            }
            Err(Lack::Wrong(error)) => panic!("{error}"),
        };
        let found = result(&plugin(&data.memory, options, &wrap(&data)));
        let lacks = matches!(&found, Err(why) if why.contains("does not have the instruction") || why.contains("is not modelled"));
        let at = match data.result {
            _ if lacks => 2,
            Some(expected) => usize::from(found != Ok(expected)),
            None => usize::from(found.is_ok()),
        };
        if at == 1 {
            println!("{}: {found:?}, expected {:?}", file.display(), data.result);
        }
        counts[at] += 1;
    }
    println!("{options:?}: {counts:?} passed, failed, skipped");
    Some(counts)
}

#[test]
fn the_sample_passes_on_the_interpreter() {
    if let Some([passed, failed, skipped]) = sample(&[], |data| spaced(&data.code)) {
        assert_eq!((passed, failed, skipped), (161, 0, 0));
    }
}

#[test]
fn the_sample_passes_on_the_jit_or_is_unsupported() {
    if let Some([passed, failed, _]) = sample(&["--jit"], |data| spaced(&data.code)) {
        assert_eq!(failed, 0);
        assert!(passed >= 150, "{passed}");
    }
}

#[test]
fn the_sample_passes_as_objects() {
    if let Some([passed, failed, skipped]) = sample(&["--elf"], |data| spaced(&object(&data.code))) {
        assert_eq!((passed, failed, skipped), (161, 0, 0));
    }
}

/// The least ELF object: section `.text` with the symbol `main`.
fn object(code: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.text\0.symtab\0.strtab\0main\0";
    let mut symbols = vec![0; 24];
    symbols.extend([23, 0, 0, 0, 0x12, 0, 1, 0]);
    symbols.extend(0u64.to_le_bytes());
    symbols.extend((code.len() as u64).to_le_bytes());
    let (text, symtab) = (64, 64 + code.len() as u64);
    let strtab = symtab + symbols.len() as u64;
    let headers = (strtab + NAMES.len() as u64).next_multiple_of(8);
    // Name, type, flags, offset, size, link, info, entry size.
    let sections: [[u64; 8]; 4] = [
        [0; 8],
        [1, 1, 6, text, code.len() as u64, 0, 0, 0],
        [7, 2, 0, symtab, symbols.len() as u64, 3, 1, 24],
        [15, 3, 0, strtab, NAMES.len() as u64, 0, 0, 0],
    ];
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 247, 0, 1, 0, 0, 0];
    bytes.extend([0; 16]);
    bytes.extend(headers.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 4, 0, 3, 0]);
    bytes.extend([code, &symbols, NAMES].concat());
    bytes.resize(headers as usize, 0);
    for [name, kind, flags, offset, size, link, info, entry] in sections {
        bytes.extend((name as u32).to_le_bytes());
        bytes.extend((kind as u32).to_le_bytes());
        bytes.extend([flags, 0, offset, size].map(u64::to_le_bytes).as_flattened());
        bytes.extend((link as u32).to_le_bytes());
        bytes.extend((info as u32).to_le_bytes());
        bytes.extend([1, entry].map(u64::to_le_bytes).as_flattened());
    }
    bytes
}

/// The bytes of a program in our assembly.
fn assembled(text: &str) -> Vec<u8> {
    semantics::encoding::encode(&semantics::asm::assemble(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[test]
fn memory_of_any_length_is_reachable_and_no_more() {
    let sum = assembled("r0 = r2; exit");
    for length in [0, 1, 7, 64, 1500, 9000, 30_000] {
        let memory = vec![0xa5; length];
        assert_eq!(result(&plugin(&memory, &[], &spaced(&sum))), Ok(length as u64));
    }
    let last = assembled("r1 += r2; r0 = *(u8 *)(r1 - 1); exit");
    let beyond = assembled("r1 += r2; r0 = *(u8 *)(r1 + 0); exit");
    for memory in [vec![7], vec![7; 255], vec![7; 20_000]] {
        assert_eq!(result(&plugin(&memory, &[], &spaced(&last))), Ok(7));
        let why = result(&plugin(&memory, &[], &spaced(&beyond))).expect_err("beyond the memory");
        assert!(why.contains("outside every region"), "{why}");
    }
    let without = result(&plugin(&[], &[], &spaced(&beyond))).expect_err("no memory");
    assert!(without.contains("outside every region"), "{without}");
}

/// Each of them must fail, and say why.
#[test]
fn programs_that_must_fail_do() {
    let cases: [(&str, Vec<u8>, &str, &str); 9] = [
        ("reserved code", vec![0xff, 0, 0, 0, 0, 0, 0, 0], "insn 0: unknown opcode ff", "insn 0: unknown opcode ff"),
        ("callx", vec![0x8d, 0, 0, 0, 0, 0, 0, 0], "unknown opcode 8d", "unknown opcode 8d"),
        (
            "reserved field",
            [vec![0x95, 1, 0, 0, 0, 0, 0, 0], vec![0x95, 0, 0, 0, 0, 0, 0, 0]].concat(),
            "insn 0: BPF_EXIT uses reserved fields: dst is 1",
            "dst is 1",
        ),
        ("half a slot", vec![0x95, 0, 0, 0], "4 bytes at the end", "4 bytes at the end"),
        ("nothing", vec![], "no instructions", "no instructions"),
        (
            "a jump out of range",
            assembled("r0 = 0; goto +5; exit"),
            "jump out of range from insn 1 to 7",
            "jump out of range from insn 1 to 7",
        ),
        (
            "a jump before the program",
            assembled("r0 = 0; if r0 == 0 goto -3; exit"),
            "jump out of range from insn 1 to -1",
            "jump out of range from insn 1 to -1",
        ),
        ("no end", assembled("r0 = 0; goto -2; exit"), "out of fuel", "did not end"),
        (
            "a wild address",
            assembled("r1 = 0; r0 = *(u64 *)(r1 + 0); exit"),
            "outside every region",
            "native code faulted",
        ),
    ];
    for (what, code, interpreted, native) in cases {
        for (options, expected) in [(&[][..], interpreted), (&["--jit"][..], native)] {
            let why = result(&plugin(&[], options, &spaced(&code))).expect_err(what);
            assert!(why.contains(expected), "{what} {options:?}: {why}");
        }
    }
    for (input, expected) in [("zz", "`z` is not a hexadecimal digit"), ("1", "no whole number of bytes")] {
        let output = plugin(&[], &[], input);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected));
    }
    let no_object = result(&plugin(&[], &["--elf"], "7f454c46")).expect_err("no object");
    assert!(no_object.contains("ELF"), "{no_object}");
}

/// A helper with id 5 is there, and a program may come on the command line.
#[test]
fn helpers_and_programs_on_the_command_line() {
    let code = corpus::text::hex(&assembled("call 5; r0 = 2; exit"));
    for options in [&["--program", &code][..], &["--program", &code, "--jit"], &["--program", &code, "--interpret"]] {
        assert_eq!(result(&plugin(&[1], options, "")), Ok(2), "{options:?}");
    }
}

/// The runner starts an executable without a subcommand: a link does.
#[cfg(unix)]
#[test]
fn a_link_stands_for_the_subcommand() {
    let link = Path::new(env!("CARGO_TARGET_TMPDIR")).join("touchstone-conformance-plugin");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_touchstone"), &link).expect("a link");
    let code = corpus::text::hex(&assembled("r0 = *(u8 *)(r1 + 1); exit"));
    let output = Command::new(link).args(["11  22  ", "--program", &code]).output().expect("the link starts");
    assert_eq!(result(&output), Ok(0x22));
}

/// Our own cases of plain instructions give by the plugin what they say.
#[test]
fn our_own_cases() {
    let mut tried = 0;
    for room in ["alu", "shift", "muldiv", "mov", "endian", "atomic", "jump"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../corpus/insn/{room}.yaml"));
        let cases = corpus::read::read(&file).unwrap_or_else(|error| panic!("{error}"));
        // Some of each: a process takes its time.
        for case in cases.iter().step_by(cases.len().div_ceil(12)) {
            let (Ok(program), [run]) = (case.program(), &case.runs[..]) else { continue };
            let Some(corpus::Ending::Result(expected)) = run.expect.result else { continue };
            if !case.maps.is_empty() {
                continue;
            }
            let code = semantics::encoding::encode(program.insns());
            assert_eq!(result(&plugin(&[], &[], &spaced(&code))), Ok(expected), "{}", case.name);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}
