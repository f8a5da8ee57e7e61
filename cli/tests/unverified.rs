//! Programs that the verifier does not accept, run natively when told by name: in a process that may be lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

fn touchstone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.args(args);
    command
}

fn said(output: Output) -> (String, String, i32) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

/// The output and the exit code.
fn run(args: &[&str]) -> (String, String, i32) {
    said(touchstone(args).output().expect("the command starts"))
}

fn json(args: &[&str]) -> (Value, i32) {
    let (stdout, stderr, code) = run(&[args, &["--format", "json"]].concat());
    (serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}\n{stderr}")), code)
}

/// A file for one test.
fn file(name: &str, contents: &str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unverified");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path: PathBuf = directory.join(name);
    std::fs::write(&path, contents).expect("a file");
    path.to_str().expect("a path of ours").to_owned()
}

const WILD: &str = "r1 = 0\nr0 = 7\n*(u64 *)(r1 + 0x50) = r0\nexit\n";
const ENDLESS: &str = "r6 = 0\nagain: r6 += 1; goto again\n";

/// Exit code 1 for what is rejected, 2 for what cannot be followed; both name the way out.
#[test]
fn without_the_flag_it_is_refused() {
    let (rejected, unfollowed) = (file("wild.s", WILD), file("kfunc.hex", "8520000001000000 9500000000000000\n"));
    for engine in ["jit", "both"] {
        let (out, error, code) = run(&["run", &rejected, "--engine", engine]);
        assert_eq!((code, error.as_str()), (1, ""));
        assert!(out.contains("rejected, so the JIT does not run it\ninsn 2: R1 invalid mem access"), "{out}");
        assert!(out.ends_with("\nrun it natively all the same with --unverified\n"), "{out}");
        let (out, error, code) = run(&["run", &unfollowed, "--engine", engine, "--type", "socket_filter"]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(error.ends_with("CallKfunc; run it natively all the same with --unverified\n"), "{error}");
    }
    let (out, _, code) = run(&["jit", &rejected]);
    assert!(code == 1 && out.ends_with("\ncompile it all the same with --unverified\n"), "{out}");
    let (out, _, code) = run(&["jit", &rejected, "--unverified"]);
    assert!(code == 0 && out.contains("2: *(u64 *)(r1 + 0x50) = r0") && out.ends_with(" bytes\n"), "{out}");
    // It is nothing to the interpreter, and its time is nothing to anybody else.
    let (_, error, code) = run(&["run", &rejected, "--unverified"]);
    assert!(code == 2 && error.contains("--unverified is for the JIT"), "{error}");
    assert_eq!(run(&["run", &rejected, "--engine", "jit", "--seconds", "5"]).2, 2);
    assert_eq!(run(&["run", &rejected, "--engine", "jit", "--unverified", "--seconds", "0"]).2, 2);
}

#[test]
fn what_the_verifier_cannot_follow_runs() {
    let program = file("loads.s", "r6 = r1; r0 = *(u16 *)skb[2]; exit\n");
    let packet = "000102030405060708090a0b0c0d0e0f10111213";
    let args = ["run", &program, "--type", "socket_filter", "--packet", packet, "--engine", "both", "--unverified"];
    let (value, code) = json(&args);
    assert_eq!((code, &value["agree"]), (0, &true.into()), "{value}");
    assert_eq!(value["runs"][1]["result"]["r0"], "0x1011");

    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/helper/tail_call.yaml");
    let case = "0 - goes on in the program under the index, in the same frame";
    let (value, code) = json(&["run", cases, "--case", case, "--engine", "both", "--unverified"]);
    assert_eq!((code, &value["agree"]), (0, &true.into()), "{value}");
    assert_eq!(value["runs"][1]["result"]["r0"], "0x2e");
}

/// The program may come through a pipe, which the other process inherits; errors of input are said once.
#[test]
fn the_other_process_reads_and_fails_as_this_one_would() {
    let wild = file("piped.s", WILD);
    let input = std::fs::File::open(&wild).expect("it was written");
    let args = ["run", "-", "--engine", "jit", "--unverified"];
    let (out, error, code) = said(touchstone(&args).stdin(input).output().expect("the command starts"));
    assert!(code == 1 && out.contains("stopped at insn 2 by SIGSEGV"), "{out}{error}");
    let (out, error, code) = run(&["run", "no/such/file", "--engine", "jit", "--unverified"]);
    assert_eq!((code, out.as_str(), error.lines().count()), (2, "", 1), "{error}");
}

#[test]
fn a_wild_store_is_a_trap_with_its_instruction() {
    let wild = file("store.s", WILD);
    let (out, error, code) = run(&["run", &wild, "--engine", "jit", "--unverified"]);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("trap: native code was stopped at insn 2 by SIGSEGV, address 0x50"), "{out}");
    assert!(out.contains("2: *(u64 *)(r1 + 0x50) = r0"), "{out}");
    // Both engines stop at the same access; that they say it in their own words is no difference.
    let (value, code) = json(&["run", &wild, "--engine", "both", "--unverified"]);
    assert_eq!((code, &value["agree"], &value["runs"][1]["pc"]), (1, &true.into(), &2.into()), "{value}");
    // What native code can read and the specification forbids is one.
    let below = file("below.s", "r0 = *(u8 *)(r10 - 513); exit\n");
    let (value, code) = json(&["run", &below, "--engine", "both", "--unverified"]);
    assert_eq!((code, &value["agree"]), (1, &false.into()), "{value}");
    assert!(value["difference"].as_str().is_some_and(|text| text.contains("load of 1 bytes")), "{value}");
}

/// Every input has its own time; those after one that does not end are run.
#[test]
fn an_endless_program_is_stopped() {
    let text = "r0 = *(u32 *)(r1 + 0); again: if r0 == 0 goto again; r0 = 1; r2 = r5; exit\n";
    let args = [&file("sometimes.s", text), "--type", "socket_filter", "--packet", "", "--packet", "0001020304050607"];
    let (value, code) = json(&[&["run", "--engine", "both", "--unverified", "--seconds", "1"], &args[..]].concat());
    assert_eq!((code, &value["agree"]), (1, &true.into()), "{value}");
    assert_eq!(value["runs"][1]["result"]["trap"], "out of fuel");
}

/// A process that is lost nevertheless is reported.
#[test]
fn a_lost_process_is_reported() {
    let endless = file("endless.s", ENDLESS);
    let mut command = touchstone(&["run", &endless, "--engine", "jit", "--unverified", "--seconds", "100"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let other = loop {
        let text = std::fs::read_to_string(&children).expect("the command waits");
        if let Some(other) = text.split_whitespace().next() {
            break other.to_owned();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(Command::new("kill").args(["-KILL", &other]).status().expect("a shell's tools").success());
    let (out, error, code) = said(child.wait_with_output().expect("it ends"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(error, "touchstone: the process of the native code was killed by SIGKILL\n");
}
