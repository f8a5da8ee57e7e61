//! The command as a user has it: exit codes, output, and messages for bad input.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus");

fn touchstone(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_touchstone")).args(args).output().expect("the command starts")
}

/// The output and the exit code.
fn run(args: &[&str]) -> (String, String, i32) {
    let output = touchstone(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

fn json(args: &[&str]) -> (Value, i32) {
    let (stdout, stderr, code) = run(args);
    (serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}\n{stderr}")), code)
}

/// A file for one test.
fn file(name: &str, contents: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    std::fs::write(&path, contents).expect("a file");
    path
}

fn object(name: &str) -> String {
    format!("{CORPUS}/program/{name}.o")
}

/// An IPv4 packet with this protocol and a UDP header to this port.
fn packet(protocol: u8, port: u16) -> String {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 8, 0, 0]);
    corpus::text::hex(&bytes)
}

#[test]
fn run_names_the_result_and_agrees() {
    let program = object("xdp_count_drop");
    let drop = packet(17, 7777);
    let (out, _, code) = run(&["run", &program, "--packet", &drop, "--engine", "both"]);
    assert_eq!((code, out.matches("XDP_DROP (r0 = 0x1)").count()), (0, 2), "{out}");
    assert!(out.contains("protocol_count[11000000]"), "{out}");
    let (value, code) = json(&["run", &program, "--packet", &drop, "--engine", "both", "--format", "json"]);
    assert_eq!(code, 0);
    assert_eq!(value["agree"], true);
    assert_eq!(value["runs"][1]["engine"], "jit");
    assert_eq!(value["runs"][0]["result"]["name"], "XDP_DROP");
    assert_eq!(value["runs"][0]["maps"]["protocol_count"][0]["value"], "0100000000000000");
    assert_eq!(value["runs"][0]["effects"][0]["helper"], "map_lookup_elem");
}

#[test]
fn run_traces_and_traps() {
    let program = file("trace.s", b"r1 = 5\nr1 += 2\nr0 = r1\nexit\n");
    let (out, _, code) = run(&["run", program.to_str().unwrap(), "--trace"]);
    assert_eq!(code, 0);
    let lines: Vec<Vec<&str>> = out.lines().take(3).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["1:", "r1", "+=", "0x2", "r1", "0x5", "->", "0x7"], "{out}");
    let endless = file("endless.s", b"again: goto again\n");
    let (out, _, code) = run(&["run", endless.to_str().unwrap(), "--fuel", "100"]);
    assert_eq!(code, 1);
    assert!(out.contains("trap: out of fuel") && out.contains("100 instructions"), "{out}");
}

#[test]
fn verify_says_why() {
    assert_eq!(run(&["verify", &object("xdp_count_drop")]).2, 0);
    let bad = object("xdp_count_drop_nobounds");
    let (out, _, code) = run(&["verify", &bad]);
    assert_eq!(code, 1);
    assert!(out.contains("rejected: ") && out.contains("invalid access to packet, off=14 size=1"), "{out}");
    let (value, code) = json(&["verify", &bad, "--format", "json"]);
    assert_eq!((code, value["verdict"].as_str()), (1, Some("reject")));
    assert!(value["explanation"].as_str().is_some_and(|text| !text.is_empty()));
    let (out, ..) = run(&["verify", &object("xdp_count_drop"), "--states"]);
    assert!(out.contains("r1=ctx()"), "{out}");
    // Slots that make no program are rejected too; what is not modelled is bad input.
    let nowhere = file("nowhere.s", b"r0 = 0\ngoto +5\nexit\n");
    let (out, _, code) = run(&["verify", nowhere.to_str().unwrap()]);
    assert!(code == 1 && out.contains("jump out of range from insn 1 to 7"), "{out}");
    let reserved = file("reserved.hex", b"ff00000000000000 9500000000000000");
    assert_eq!(run(&["verify", reserved.to_str().unwrap()]).2, 1);
    let kfunc = file("kfunc.hex", b"8520000001000000 9500000000000000");
    assert_eq!(run(&["verify", kfunc.to_str().unwrap()]).2, 2);
    // What Linux added later is reserved to those before.
    let may_goto = file("may_goto.hex", b"b700000000000000 e500000000000000 9500000000000000");
    assert_eq!(run(&["verify", may_goto.to_str().unwrap(), "--dialect", "6.8"]).2, 1);
    assert_eq!(run(&["verify", may_goto.to_str().unwrap(), "--dialect", "7.2"]).2, 2);
    // What is rejected runs on no native engine.
    assert_eq!(run(&["run", &bad, "--engine", "jit"]).2, 1);
    assert_eq!(run(&["jit", &bad]).2, 1);
}

#[test]
fn jit_shows_both_sides() {
    let program = file("jit.s", b"r0 = 7\nexit\n");
    let (out, _, code) = run(&["jit", program.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("trampoline") && out.contains("r0 = 0x7") && out.contains("ret"), "{out}");
    let (hex, ..) = run(&["jit", program.to_str().unwrap(), "--hex"]);
    assert!(corpus::text::bytes(&hex).is_ok_and(|bytes| !bytes.is_empty()));
}

#[test]
fn constants_can_be_blinded() {
    let program = file("blind.s", b"r0 = 0x1234567\nexit\n");
    let program = program.to_str().unwrap();
    // The code of the first instruction; elsewhere addresses change from process to process.
    let code = |args: &[&str]| {
        let (out, ..) = run(&[&["jit", program], args].concat());
        let (_, rest) = out.split_once("r0 = 0x1234567").unwrap_or_else(|| panic!("{out}"));
        rest.split_once("exit").unwrap_or_else(|| panic!("{out}")).0.to_owned()
    };
    assert!(code(&[]).contains("1234567h"));
    assert!(!code(&["--blind=7"]).contains("1234567h"));
    assert_eq!(code(&["--blind=7"]), code(&["--blind=7", "--no-bmi2"]), "there is no shift");
    assert_ne!(code(&["--blind=7"]), code(&["--blind=8"]));
    assert_ne!(code(&["--blind"]), code(&["--blind"]), "by default nobody can foresee the keys");
    let object = object("xdp_count_drop");
    let drop = packet(17, 7777);
    let (value, code) =
        json(&["run", &object, "--packet", &drop, "--engine", "both", "--blind", "--no-bmi2", "--format", "json"]);
    assert_eq!((code, &value["agree"]), (0, &Value::Bool(true)));
    assert_eq!(value["runs"][1]["engine"], "jit-blinded");
    let (_, error, code) = run(&["run", &object, "--packet", &drop, "--blind"]);
    assert!(code == 2 && error.contains("--blind and --no-bmi2 are for the JIT"), "{error}");
    let cases = format!("{CORPUS}/insn/alu.yaml");
    let (out, _, code) = run(&["suite", &cases, "--engine", "jit", "--blind=3", "--no-bmi2"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(run(&["suite", &cases, "--engine", "verifier", "--blind"]).2, 2);
}

#[test]
fn asm_and_disasm_are_inverse() {
    let program = object("xdp_count_drop");
    let (listing, _, code) = run(&["disasm", &program]);
    assert_eq!(code, 0);
    let (slots, ..) = run(&["asm", &program]);
    let map = |name: &str, of: &str, entries: u32| format!("{name}={of},4,8,{entries}");
    let (a, b) = (map("protocol_count", "array", 256), map("source_count", "hash", 1024));
    let path = file("listing.s", listing.as_bytes());
    let (again, stderr, code) = run(&["asm", path.to_str().unwrap(), "--map", &a, "--map", &b, "--type", "xdp"]);
    assert_eq!((code, &again), (0, &slots), "{stderr}");
    let hex = file("slots.hex", slots.as_bytes());
    let (out, ..) = run(&["disasm", hex.to_str().unwrap(), "--map", &a, "--map", &b]);
    // Slots have no source lines.
    let bare: Vec<&str> = listing.lines().filter(|line| !line.starts_with(';')).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), bare);
}

#[test]
fn asm_and_disasm_speak_each_format() {
    let path = file("mixed.s", b"mov %r0, 1\nr1 = -5 ll; if w0 == 1 goto out\nout: exit\n");
    let path = path.to_str().unwrap();
    let (hex, ..) = run(&["asm", path]);
    assert_eq!(hex.lines().count(), 5);
    let (c, ..) = run(&["asm", path, "--format", "c"]);
    let last = "\t{ .code = 0x95, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0 }, // exit\n};\n";
    assert!(c.starts_with("static const struct bpf_insn program[] = {\n\t{ .code = 0xb7,") && c.ends_with(last), "{c}");
    let (listing, ..) = run(&["asm", path, "--format", "listing"]);
    assert!(listing.starts_with("       0:\tb7 00 00 00 01 00 00 00\tr0 = 0x1\n"), "{listing}");
    let listing = file("mixed.listing", listing.as_bytes());
    assert_eq!(run(&["asm", listing.to_str().unwrap()]).0, hex);
    let (linux, ..) = run(&["disasm", path, "--syntax", "linux"]);
    assert!(linux.ends_with("3: (16) if w0 == 0x1 goto pc+0\n4: (95) exit\n"), "{linux}");
    assert_eq!(run(&["disasm", path, "--linux"]).0, linux);
    let log = file("mixed.log", linux.as_bytes());
    assert_eq!(run(&["asm", log.to_str().unwrap()]).0, hex);
    let bytes: Vec<u8> =
        (0..hex.len()).filter(|at| hex.as_bytes()[*at] != b'\n').map(|at| hex.as_bytes()[at]).collect();
    let bytes: Vec<u8> =
        bytes.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let raw = file("mixed.bin", &bytes);
    assert_eq!(run(&["asm", raw.to_str().unwrap()]).0, hex);
}

#[test]
fn suite_counts_and_fails() {
    for engine in ["interpreter", "jit", "verifier"] {
        let (out, _, code) = run(&["suite", &format!("{CORPUS}/insn/mov.yaml"), "--engine", engine]);
        assert_eq!(code, 0, "{out}");
        let last = out.lines().last().unwrap_or_default().to_owned();
        assert!(last.ends_with(" skipped") && last.contains(" passed, 0 failed, "), "{last}");
    }
    let wrong = file("wrong.yaml", b"- {name: wrong, asm: r0 = 1; exit, result: 2}\n");
    for engine in ["interpreter", "jit"] {
        let (value, code) = json(&["suite", wrong.to_str().unwrap(), "--engine", engine, "--format", "json"]);
        assert_eq!((code, &value["failed"]), (1, &1.into()));
        assert_eq!(value["failures"][0]["kind"], "other result");
    }
    // A program that kills the process that runs it is a failure, and the cases behind it are still run.
    let deadly = b"- {name: deadly, asm: r1 = 0; r0 = *(u64 *)(r1 + 0); exit, result: 2, expect: {verdict: any}}\n\
                   - {name: fine, asm: r0 = 1; exit, result: 1}\n";
    let (value, code) =
        json(&["suite", file("deadly.yaml", deadly).to_str().unwrap(), "--engine", "jit", "--format", "json"]);
    assert_eq!((code, &value["passed"], &value["failed"]), (1, &1.into(), &1.into()));
}

#[test]
fn conformance_files_are_read() {
    let data =
        b"# a note\n-- asm\nmov %r0, 1 # one\nldxb %r3, [%r1+2]\nadd %r0, %r3\njeq %r2, 3, exit\nmov %r0, 0\nexit\n\
                 -- mem\n01 02 03\n-- result\n0x4\n";
    let path = file("sum.data", data);
    for engine in ["interpreter", "jit"] {
        let (out, _, code) = run(&["suite", path.to_str().unwrap(), "--engine", engine]);
        assert_eq!((code, out.lines().last()), (0, Some("1 passed, 0 failed, 0 skipped")), "{out}");
    }
    let failing = file("failing.data", b"-- asm\nmov %r1, 0\nldxdw %r0, [%r1+0]\nexit\n-- error\nfails\n");
    for engine in ["interpreter", "jit"] {
        let (out, _, code) = run(&["suite", failing.to_str().unwrap(), "--engine", engine]);
        assert_eq!((code, out.lines().last()), (0, Some("1 passed, 0 failed, 0 skipped")), "{out}");
    }
    let skipped = file("may_goto.data", b"-- raw\n0x00000000000000e5\n95 00 00 00 00 00 00 00\n-- result\n0x0\n");
    let (out, ..) = run(&["suite", skipped.to_str().unwrap()]);
    assert!(out.contains("1 skipped: instruction not modelled: may_goto"), "{out}");
}

#[test]
fn helpers_are_listed_and_shown() {
    let (out, _, code) = run(&["helpers"]);
    assert_eq!(code, 0);
    assert!(out.contains("211 in all") && out.contains("map_lookup_elem"), "{out}");
    let (out, _, code) = run(&["helpers", "bpf_map_update_elem"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("bpf_map_update_elem(struct bpf_map *map, const void *key") && out.contains("-E2BIG"),
        "{out}"
    );
    let (value, _) = json(&["helpers", "--format", "json"]);
    assert_eq!(value.as_array().map(Vec::len), Some(211));
    assert_eq!(run(&["helpers", "no_such"]).2, 2);
}

#[test]
fn coverage_is_a_table() {
    let (out, _, code) = run(&["coverage", "--corpus", CORPUS]);
    assert_eq!(code, 0);
    assert!(out.contains("| alu | 22 | 22 | 22 | 22 |"), "{out}");
    assert!(out.contains("| helpers | ") && out.contains(" | 211 | "), "{out}");
}

#[test]
fn a_planted_mistake_is_found_written_and_replayed() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("findings");
    let _ = std::fs::remove_dir_all(&directory);
    let (out, _, code) = run(&["fuzz", "--list-plants"]);
    assert_eq!(code, 0);
    let plant = out
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name)
        .find(|name| name.starts_with("jit::"));
    let plant = plant.expect("a mistake to plant into the JIT");
    let out = directory.to_str().unwrap();
    let args = [
        "fuzz",
        "--plant",
        plant,
        "--findings",
        "1",
        "--duration",
        "60",
        "--workers",
        "1",
        "--out",
        out,
        "--format",
        "json",
    ];
    let (value, code) = json(&args);
    assert_eq!(code, 1, "{value}");
    let case = value["findings"][0]["file"].as_str().expect("a file").to_owned();
    let (out, _, code) = run(&["repro", &case]);
    assert_eq!(code, 1);
    assert!(out.contains(": reproduced: agree: "), "{out}");
    let (out, _, code) = run(&["repro", &case, "--without-plant"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("not reproduced"), "{out}");
}

#[test]
fn a_short_campaign_finds_nothing() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing");
    let args = ["fuzz", "--tests", "5000", "--workers", "1", "--out", out.to_str().unwrap(), "--format", "json"];
    let (value, code) = json(&args);
    assert_eq!(code, 0, "{value}");
    assert_eq!(value["tests"], 5000);
}

#[cfg(feature = "proofs")]
#[test]
fn prove_proves_and_refutes() {
    let (out, stderr, code) = run(&["prove", "--narrow", "--only", "insn::mov::*"]);
    assert_eq!(code, 0, "{out}{stderr}");
    let (_, stderr, code) = run(&["prove", "--only", "no::such"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no obligation matches"), "{stderr}");
}

#[test]
fn bad_usage_and_bad_input_end_with_2_and_say_where() {
    let bad = |name: &str, contents: &[u8]| file(name, contents).to_str().unwrap().to_owned();
    let text = bad("bad.s", b"r0 = 1\nexot\n");
    let elf = bad("bad.o", b"\x7fELF\x02\x01\x01 not really");
    let hex = bad("bad.hex", b"ff00000000000000");
    let binary = bad("bad.bin", &[0xff, 0xfe, 0, 1]);
    let yaml = bad("bad.yaml", b"- name: n\n  asm: exit\n  colour: red\n");
    let several = format!("{CORPUS}/insn/mov.yaml");
    let program = object("xdp_count_drop");
    let cases: &[(&[&str], &str)] = &[
        (&["verify", "no/such/file"], "no/such/file"),
        (&["run", &text], "bad.s:2:1: "),
        (&["verify", &elf], "bad.o"),
        (&["disasm", &hex], "insn 0: unknown opcode ff"),
        (&["run", &binary], "neither an ELF object nor text"),
        (&["suite", &yaml], "bad.yaml:3:3: "),
        (&["run", &several], "choose one of its cases with --case"),
        (&["run", &program, "--packet", "0g"], "packet `0g`"),
        (&["run", &program, "--context", "data=1"], "data"),
        (&["run", &program, "--element", "none:00=00"], "no map `none`"),
        (&["run", &program, "--section", "none"], "none"),
        (&["verify", &program, "--dialect", "5.0"], "there is no dialect 5.0"),
        (&["fuzz", "--plant", "none"], "there is no planted mistake `none`"),
        (&["repro", "no/such/file"], "no/such/file"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&[], "Usage"),
    ];
    for (args, expected) in cases {
        let (out, stderr, code) = run(args);
        assert_eq!(code, 2, "{args:?}: {out}{stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{args:?}: {stderr}");
    }
    assert!(run(&["--help"]).0.contains("Exit codes: 0 fine; 1 findings or failures"));
}

#[test]
fn a_closed_pipe_is_quiet() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["helpers", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn standard_input_holds_a_program() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    child.stdin.take().expect("a pipe").write_all(b"r0 = 3\nexit\n").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(String::from_utf8_lossy(&output.stdout).contains("keep 3 bytes (r0 = 0x3)"));
}
