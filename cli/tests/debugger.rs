//! The debugger's view of a run, line by line: traces, breakpoints, watchpoints, steps forth and back.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/program/xdp_count_drop.o");
/// UDP to the port that the program drops.
const PACKET: &str = "02000000000202000000000108004500001c00000000401100000a0000010a0000020fa01e6100080000";
/// Adds 3, 2 and 1, and keeps the sum on the stack.
const LOOP: &str =
    "r1 = 0\nr2 = 3\nagain:\nr1 += r2\n*(u64 *)(r10 - 8) = r1\nr2 += -1\nif r2 != 0 goto again\nr0 = 1\nexit\n";
/// r6 = 9; *(u64 *)(r10 - 8) = 5; call sub; r0 += r6; exit; sub: r6 = 1; *(u32 *)(r10 - 4) = 7; r0 = 1; exit
const CALLS: &str = "b706000009000000 7a0af8ff05000000 8510000002000000 0f60000000000000 9500000000000000 \
    b706000001000000 620afcff07000000 b700000001000000 9500000000000000";

/// Output, errors and exit code of `touchstone run` with this on its standard input.
fn run(args: &[&str], stdin: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .arg("run")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

/// A program in a file of this test's own.
fn file(name: &str, contents: &str) -> String {
    let test = std::thread::current().name().expect("a test").to_owned();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debugger").join(test);
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    std::fs::write(&path, contents).expect("a file");
    path.to_str().expect("a path").to_owned()
}

/// Each line with runs of blanks as one, without source lines.
fn lines(out: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    out.lines().map(words).filter(|line| !line.starts_with("; ") && !line.is_empty()).collect()
}

fn json_lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Steps through a program.
fn step(program: &str, args: &[&str], commands: &[&str]) -> Vec<String> {
    let (out, stderr, code) = run(&[&[program, "--step"], args].concat(), &(commands.join("\n") + "\n"));
    assert_eq!((code, stderr.as_str()), (0, ""), "{out}");
    lines(&out)
}

#[test]
fn a_trace_shows_registers_memory_and_jumps() {
    let (out, _, code) = run(&[&file("loop.s", LOOP), "--trace"], "");
    assert_eq!(code, 0);
    let expected = [
        "0: r1 = 0x0 r1 = 0x0",
        "1: r2 = 0x3 r2 = 0x3",
        "2: r1 += r2 r1 0x0 -> 0x3",
        "3: *(u64 *)(r10 - 0x8) = r1 fp-8:8 0000000000000000 -> 0300000000000000",
        "4: r2 += -0x1 r2 0x3 -> 0x2",
        "5: if r2 != 0x0 goto L2 taken",
        "2: r1 += r2 r1 0x3 -> 0x5",
        "3: *(u64 *)(r10 - 0x8) = r1 fp-8:8 0300000000000000 -> 0500000000000000",
        "4: r2 += -0x1 r2 0x2 -> 0x1",
        "5: if r2 != 0x0 goto L2 taken",
        "2: r1 += r2 r1 0x5 -> 0x6",
        "3: *(u64 *)(r10 - 0x8) = r1 fp-8:8 0500000000000000 -> 0600000000000000",
        "4: r2 += -0x1 r2 0x1 -> 0x0",
        "5: if r2 != 0x0 goto L2 not taken",
        "6: r0 = 0x1 r0 = 0x1",
        "7: exit",
        "input 0 on the interpreter",
        "result keep 1 bytes (r0 = 0x1)",
        "executed 16 instructions",
    ];
    assert_eq!(lines(&out)[..expected.len()], expected);
    assert!(lines(&out).contains(&"fp-8 0600000000000000".to_owned()), "{out}");
}

#[test]
fn a_trace_shows_pointers_helpers_and_maps() {
    let (out, _, code) = run(&[OBJECT, "--packet", PACKET, "--trace"], "");
    assert_eq!(code, 0);
    let lines = lines(&out);
    for expected in [
        "1: r7 = *(u32 *)(r1 + 0x4) r7 = 0x1000112a (packet+42)",
        "14: *(u32 *)(r10 - 0x10) = r8 fp-16:4 00000000 -> 11000000",
        "17: r1 = map[protocol_count] ll r1 = 0x400000000000 (map protocol_count)",
        "19: call map_lookup_elem map_lookup_elem(map=protocol_count, key=fp-16 {11000000}) = protocol_count[11000000]",
        "23: *(u64 *)(r0 + 0x0) = r1 protocol_count[11000000]:8 0000000000000000 -> 0100000000000000",
        "30: call map_lookup_elem map_lookup_elem(map=source_count, key=fp-4 {0a000001}) = NULL",
        "45: call map_update_elem map_update_elem(map=source_count, key=fp-4 {0a000001}, value=fp-16 {0100000000000000}, \
         flags=0x1) = 0x0; source_count[0a000001] none -> 0100000000000000",
        "result XDP_DROP (r0 = 0x1)",
        "ctx.data_end 0x1000112a (packet+42)",
        "r6 0x10001100 (packet+0)",
        "source_count[0a000001] 0100000000000000",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{out}");
    }
}

/// A line of C stands above its first instruction, once.
#[test]
fn a_trace_shows_source_lines() {
    let (out, ..) = run(&[OBJECT, "--packet", PACKET, "--trace"], "");
    let expected = "\
        ; xdp_count_drop.h:27  *count += 1;\n   \
        21: r1 = *(u64 *)(r0 + 0x0)                 r1 = 0x0\n   \
        22: r1 += 0x1                               r1 0x0 -> 0x1\n   \
        23: *(u64 *)(r0 + 0x0) = r1                 protocol_count[11000000]:8 0000000000000000 -> 0100000000000000\n\
        ; xdp_count_drop.h:61  count_source(ip->saddr);\n   \
        24: ";
    assert!(out.contains(expected), "{out}");
    let (json, ..) = run(&[OBJECT, "--packet", PACKET, "--trace", "--format", "json"], "");
    let store = json_lines(&json).into_iter().find(|value| value["pc"] == 23).expect("the store");
    assert_eq!((&store["source"]["line"], &store["source"]["text"]), (&27.into(), &"*count += 1;".into()));
    let (out, _, code) = run(&[OBJECT, "--packet", PACKET, "--break", "xdp_count_drop.h:27 if r1 == 1", "--stop"], "");
    // The line begins where r1 is not yet loaded.
    assert!(code == 0 && !out.contains("break"), "{out}");
    let (out, _, code) = run(&[OBJECT, "--packet", PACKET, "--break", "xdp_count_drop.h:27", "--stop"], "");
    assert!(code == 0 && out.contains("break xdp_count_drop.h:27: in xdp_count_drop, after 20 instructions"), "{out}");
    let (_, stderr, code) = run(&[OBJECT, "--break", "xdp_count_drop.h:31"], "");
    assert!(code == 2 && stderr.contains("from line 31 of xdp_count_drop.h; the next is line 32"), "{stderr}");
    let out = step(OBJECT, &["--packet", PACKET], &["b xdp_count_drop.h:27", "c", "bt", "list 27"]);
    assert_eq!(out[0], "=> 0: w0 = 0x2");
    assert!(out.contains(&"#0 xdp_count_drop at slot 21 ; xdp_count_drop.h:27 *count += 1;".to_owned()), "{out:?}");
}

#[test]
fn a_trace_follows_calls() {
    let (out, _, code) = run(&[&file("calls.hex", CALLS), "--trace"], "");
    assert_eq!(code, 0);
    let expected = [
        "0: r6 = 0x9 r6 = 0x9",
        "1: *(u64 *)(r10 - 0x8) = 0x5 fp-8:8 0000000000000000 -> 0500000000000000",
        "2: call L5 enters L5",
        "5: r6 = 0x1 r6 = 0x1",
        "6: *(u32 *)(r10 - 0x4) = 0x7 fp-4:4 00000000 -> 07000000",
        "7: r0 = 0x1 r0 = 0x1",
        "8: exit back in calls",
        "3: r0 += r6 r0 0x1 -> 0xa",
        "4: exit",
    ];
    assert_eq!(lines(&out)[..expected.len()], expected);
    // Instructions of a deeper frame stand further to the right.
    assert!(out.contains("\n    5:   r6 = 0x1"), "{out}");
}

#[test]
fn a_long_trace_is_cut() {
    let program = file("cut.s", LOOP);
    let (out, ..) = run(&[&program, "--trace", "--trace-limit", "2"], "");
    assert_eq!(lines(&out)[1..3], ["1: r2 = 0x3 r2 = 0x3", "... 14 instructions more"]);
    let (out, ..) = run(&[&program, "--trace", "--trace-last", "2"], "");
    assert_eq!(lines(&out)[..3], ["... 14 instructions before", "6: r0 = 0x1 r0 = 0x1", "7: exit"]);
    let (out, ..) = run(&[&program, "--trace", "--trace-last", "2", "--format", "json"], "");
    assert_eq!(
        json_lines(&out).iter().map(|line| line["type"].as_str().unwrap()).collect::<Vec<_>>(),
        ["insn", "insn", "run", "end"]
    );
}

#[test]
fn a_trap_says_where() {
    let program = file("trap.s", "r1 = 3\n*(u8 *)(r10 - 1) = 7\nr0 = *(u64 *)(r1 + 0)\nexit\n");
    let (out, _, code) = run(&[&program, "--trace"], "");
    assert_eq!(code, 1);
    let expected = [
        "1: *(u8 *)(r10 - 0x1) = 0x7 fp-1:1 00 -> 07",
        "2: r0 = *(u64 *)(r1 + 0x0)",
        "input 0 on the interpreter",
        "result trap: load of 8 bytes at 0x3: outside every region",
        "executed 3 instructions",
        "at 2: r0 = *(u64 *)(r1 + 0x0)",
    ];
    assert_eq!(lines(&out)[1..7], expected);
}

/// The frames that wait are shown also where nobody followed the calls.
#[test]
fn a_trap_in_a_subprogram_shows_all_frames() {
    // r0 = *(u64 *)(r6 + 0) in the place of r0 = 1.
    let program = file("calls.hex", &CALLS.replace("b700000001000000", "7960000000000000"));
    for (args, outer) in [(&[][..], "frame 0"), (&["--trace"], "frame 0 calls")] {
        let (out, _, code) = run(&[&[program.as_str()], args].concat(), "");
        let lines = lines(&out);
        let stack: Vec<&String> = lines.iter().skip_while(|line| !line.starts_with("frame")).take(4).collect();
        assert_eq!(code, 1, "{out}");
        assert_eq!(stack, ["frame 1 L5", "fp[1]-8 0000000007000000", outer, "fp[0]-8 0500000000000000"]);
        assert!(lines.contains(&"at 7: r0 = *(u64 *)(r6 + 0x0)".to_owned()), "{out}");
    }
}

#[test]
fn json_lines_agree_with_the_text() {
    let (text, ..) = run(&[OBJECT, "--packet", PACKET, "--trace"], "");
    let (out, _, code) = run(&[OBJECT, "--packet", PACKET, "--trace", "--format", "json"], "");
    assert_eq!(code, 0);
    let values = json_lines(&out);
    let insns: Vec<&Value> = values.iter().filter(|value| value["type"] == "insn").collect();
    let traced: Vec<String> = lines(&text).into_iter().take_while(|line| !line.starts_with("input")).collect();
    assert_eq!(insns.len(), traced.len());
    for (value, line) in insns.iter().zip(&traced) {
        let insn = value["insn"].as_str().unwrap();
        assert!(line.starts_with(&format!("{}: {insn}", value["pc"])), "{line}: {value}");
        for change in value["memory"].as_array().unwrap() {
            let (name, new) = (change["name"].as_str().unwrap(), change["new"].as_str().unwrap());
            assert!(line.contains(name) && line.contains(new), "{line}: {value}");
        }
        for (name, change) in value["registers"].as_object().unwrap() {
            let new = change["new"].as_str().unwrap();
            assert!(value["call"].is_object() || line.contains(name) && line.contains(new), "{line}: {value}");
        }
    }
    let store = insns.iter().find(|value| value["pc"] == 23).expect("the store");
    let expected = serde_json::json!({
        "object": "map", "map": "protocol_count", "key": "11000000", "offset": 0, "name": "protocol_count[11000000]",
        "old": "0000000000000000", "new": "0100000000000000",
    });
    assert_eq!(store["memory"][0], expected);
    let call = insns.iter().find(|value| value["pc"] == 19).expect("the call");
    assert_eq!(
        (&call["call"]["helper"], &call["call"]["args"][0]["points_to"]),
        (&"map_lookup_elem".into(), &"protocol_count".into())
    );
    // The last but one is the run, as without a trace.
    let (whole, ..) = run(&[OBJECT, "--packet", PACKET, "--format", "json"], "");
    let mut whole: Value = serde_json::from_str(&whole).expect("JSON");
    whole["runs"][0]["type"] = "run".into();
    assert_eq!(values[values.len() - 2], whole["runs"][0]);
    assert_eq!(values[values.len() - 1]["agree"], true);
    assert_eq!(whole["runs"][0]["registers"]["r7"]["points_to"], "packet+42");
    assert_eq!(
        whole["runs"][0]["frames"][0]["slots"][1],
        serde_json::json!({
            "offset": -8, "bytes": "000000000a000001", "points_to": null
        })
    );
}

#[test]
fn a_break_prints_the_state() {
    let program = file("break.s", LOOP);
    let (out, _, code) = run(&[&program, "--break", "4 if r2 == 2"], "");
    assert_eq!(code, 0);
    let lines = lines(&out);
    assert_eq!(lines[..3], ["break 4 if r2 == 2: in break, after 8 instructions", "4: r2 += -0x1", "r0 0x0"]);
    assert_eq!((&lines[3], &lines[4]), (&"r1 0x5".to_owned(), &"r2 0x2".to_owned()));
    assert!(lines.contains(&"fp-8 0500000000000000".to_owned()) && out.contains("keep 1 bytes"), "{out}");
    let (out, _, code) = run(&[&program, "--break", "pc == 4", "--stop"], "");
    assert_eq!((code, out.matches("break pc == 4").count(), out.contains("result")), (0, 1, false), "{out}");
    let (out, _, code) = run(&[&program, "--break", "4", "--stop", "--format", "json"], "");
    let values = json_lines(&out);
    assert_eq!((code, &values[0]["type"], &values[0]["registers"]["r1"]["value"]), (0, &"stop".into(), &"0x3".into()));
    assert_eq!(values[1]["result"]["stopped"], 4);
    let (out, ..) =
        run(&[OBJECT, "--packet", PACKET, "--break", "helper:bpf_map_update_elem", "--break", "xdp_count_drop"], "");
    assert!(out.contains("break helper:bpf_map_update_elem: in xdp_count_drop, after 38 instructions"), "{out}");
    assert!(out.contains("break xdp_count_drop: in xdp_count_drop, after 0 instructions"), "{out}");
    let (out, ..) = run(&[&file("calls.hex", CALLS), "--break", "6"], "");
    let lines = self::lines(&out);
    let stack: Vec<&String> = lines.iter().skip_while(|line| *line != "frame 1 L5").take(3).collect();
    assert_eq!(stack, ["frame 1 L5", "frame 0 calls", "fp[0]-8 0500000000000000"]);
}

#[test]
fn a_watch_prints_each_change() {
    let program = file("watch.s", LOOP);
    let (out, _, code) = run(&[&program, "--watch", "fp-8:8", "--watch", "r2"], "");
    assert_eq!(code, 0);
    let changes: Vec<String> = lines(&out).into_iter().filter(|line| line.starts_with("watch")).collect();
    let expected = [
        "watch r2: 0x0 -> 0x3",
        "watch fp-8:8: 0000000000000000 -> 0300000000000000",
        "watch r2: 0x3 -> 0x2",
        "watch fp-8:8: 0300000000000000 -> 0500000000000000",
        "watch r2: 0x2 -> 0x1",
        "watch fp-8:8: 0500000000000000 -> 0600000000000000",
        "watch r2: 0x1 -> 0x0",
    ];
    assert_eq!(changes, expected);
    // Only the instructions that changed something are shown.
    assert_eq!(lines(&out).iter().filter(|line| line.starts_with("5: ")).count(), 0, "{out}");
    for what in ["source_count", "source_count[0a000001]"] {
        let (out, ..) = run(&[OBJECT, "--packet", PACKET, "--watch", what], "");
        assert!(out.contains("watch source_count[0a000001]: none -> 0100000000000000"), "{out}");
    }
    let write = file(
        "write.s",
        "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 14\nif r4 > r3 goto out\n*(u16 *)(r2 + 12) = 0xdd86\nout:\nr0 = 2\nexit\n",
    );
    let (out, ..) = run(&[&write, "--type", "xdp", "--packet", PACKET, "--watch", "pkt+12:2"], "");
    assert!(out.contains("watch pkt+12:2: 0800 -> 86dd"), "{out}");
    assert!(lines(&out).contains(&"5: *(u16 *)(r2 + 0xc) = 0xdd86".to_owned()), "{out}");
    // The address of a frame is that of the frame in which it was said.
    let (out, ..) = run(&[&file("calls.hex", CALLS), "--watch", "fp-8:8"], "");
    assert_eq!(out.matches("watch fp-8:8").count(), 1, "{out}");
}

#[test]
fn steps_go_forth_and_back() {
    let program = file("step.s", LOOP);
    let out =
        step(&program, &[], &["s", "", "s 2", "registers", "rs", "s", "registers", "continue", "rs 3", "p r1", "q"]);
    let expected = [
        "=> 0: r1 = 0x0",
        "0: r1 = 0x0 r1 = 0x0",
        "=> 1: r2 = 0x3",
        "1: r2 = 0x3 r2 = 0x3",
        "=> 2: r1 += r2",
        "2: r1 += r2 r1 0x0 -> 0x3",
        "3: *(u64 *)(r10 - 0x8) = r1 fp-8:8 0000000000000000 -> 0300000000000000",
        "=> 4: r2 += -0x1",
    ];
    assert_eq!(out[..8], expected);
    // Back by one and forth again is the same state.
    assert_eq!(
        out[19..21],
        ["=> 3: *(u64 *)(r10 - 0x8) = r1", "3: *(u64 *)(r10 - 0x8) = r1 fp-8:8 0000000000000000 -> 0300000000000000"]
    );
    assert_eq!(out[8..19], out[22..33]);
    let expected =
        ["the run has ended after 16 instructions: keep 1 bytes (r0 = 0x1)", "=> 5: if r2 != 0x0 goto L2", "6"];
    assert_eq!(out[33..], expected);
}

#[test]
fn breakpoints_and_watchpoints_at_the_prompt() {
    let commands = [
        "b 4 if r1 == 5",
        "watch fp-8:8",
        "c",
        "c",
        "",
        "rc",
        "",
        "",
        "b",
        "w",
        "delete 2",
        "delete",
        "b",
        "c",
        "s",
        "rc",
    ];
    let out = step(&file("points.s", LOOP), &[], &commands);
    let expected = [
        "=> 0: r1 = 0x0",
        "breakpoint 1 at slot 4",
        "watchpoint 2 fp-8:8",
        "3: *(u64 *)(r10 - 0x8) = r1",
        "watchpoint 2, fp-8:8: 0000000000000000 -> 0300000000000000",
        "=> 4: r2 += -0x1",
        "3: *(u64 *)(r10 - 0x8) = r1",
        "watchpoint 2, fp-8:8: 0300000000000000 -> 0500000000000000",
        "breakpoint 1, 4 if r1 == 5",
        "=> 4: r2 += -0x1",
        "3: *(u64 *)(r10 - 0x8) = r1",
        "watchpoint 2, fp-8:8: 0500000000000000 -> 0600000000000000",
        "=> 4: r2 += -0x1",
        "=> 4: r2 += -0x1",
        "=> 4: r2 += -0x1",
        "error: no breakpoint is passed before",
        "=> 4: r2 += -0x1",
        "breakpoint 1, 4 if r1 == 5 (slot 4)",
        "watchpoint 2, fp-8:8",
        "the run has ended after 16 instructions: keep 1 bytes (r0 = 0x1)",
        "error: the run has ended; go back with `rs`, `rc` or `restart`",
        "error: no breakpoint is passed before",
        "the run has ended after 16 instructions: keep 1 bytes (r0 = 0x1)",
    ];
    assert_eq!(out, expected);
    let out = step(
        OBJECT,
        &["--packet", PACKET, "--break", "23", "--watch", "protocol_count"],
        &["c", "c", "print protocol_count"],
    );
    let expected = [
        "watchpoint 2, protocol_count[11000000]: 0000000000000000 -> 0100000000000000",
        "=> 24: r1 = *(u32 *)(r6 + 0x1a)",
        "[11000000] = 0100000000000000",
    ];
    assert!(out.ends_with(&expected.map(str::to_owned)), "{out:?}");
}

#[test]
fn frames_at_the_prompt() {
    let commands = ["n", "n", "n", "restart", "s 4", "bt", "stack", "finish", "p r6", "finish", "list 0", "state"];
    let out = step(&file("calls.hex", CALLS), &[], &commands);
    let expected = [
        "=> 0: r6 = 0x9",
        "0: r6 = 0x9 r6 = 0x9",
        "=> 1: *(u64 *)(r10 - 0x8) = 0x5",
        "1: *(u64 *)(r10 - 0x8) = 0x5 fp-8:8 0000000000000000 -> 0500000000000000",
        "=> 2: call L5",
        "8: exit back in calls",
        "=> 3: r0 += r6",
        "=> 0: r6 = 0x9",
        "0: r6 = 0x9 r6 = 0x9",
        "1: *(u64 *)(r10 - 0x8) = 0x5 fp-8:8 0000000000000000 -> 0500000000000000",
        "2: call L5 enters L5",
        "5: r6 = 0x1 r6 = 0x1",
        "=> 6: *(u32 *)(r10 - 0x4) = 0x7",
        "#0 L5 at slot 6",
        "#1 calls at slot 2",
        "frame 1 L5",
        "frame 0 calls",
        "fp[0]-8 0500000000000000",
        "=> 3: r0 += r6",
        "9",
        "error: this is the program itself; `continue` runs it to its end",
        "0: r6 = 0x9",
        "1: *(u64 *)(r10 - 0x8) = 0x5",
        "2: call L5",
        "=> 3: r0 += r6",
        "4: exit",
    ];
    assert_eq!(out[..expected.len()], expected);
    assert!(out.contains(&"r10 0x200000041200 (fp)".to_owned()), "{out:?}");
}

#[test]
fn memory_at_the_prompt() {
    let commands =
        ["x packet+12 18", "p be16(*(u16 *)(packet + 12))", "p packet:6", "p ctx.data_end", "p *0", "x r1 100000"];
    let out = step(OBJECT, &["--packet", PACKET], &commands);
    let expected = [
        "packet+12 08 00 45 00 00 1c 00 00 00 00 40 11 00 00 0a 00 |..E.......@.....|",
        "packet+28 00 01 |..|",
        "0x800 = 2048",
        "020000000002",
        "0x1000112a (packet+42)",
        "error: no 8 bytes can be read at 0x0",
        "error: no 100000 bytes can be read at 0x200000010000",
    ];
    assert_eq!(out[1..], expected);
}

#[test]
fn errors_at_the_prompt_do_not_end_the_session() {
    let program = file("errors.s", LOOP);
    let commands =
        ["foo", "b 99", "b 2 if r11 > 2", "p r1 +", "s 0", "rs", "delete 7", "x", "watch nothing", "list 77", "s"];
    let (out, _, code) = run(&[&program, "--step"], &(commands.join("\n") + "\n"));
    assert_eq!(code, 0);
    let expected = "=>   0: r1 = 0x0\n\
        error: there is no command `foo`; `help` lists them\n\
        error: column 1: the program has no instruction at slot 99\n  99\n  ^\n\
        error: column 6: there is no register, map or name `r11`\n  2 if r11 > 2\n       ^\n\
        error: column 5: a register, number or name is missing here\n  r1 +\n      ^\n\
        error: `0` is not a number from 1 on\n\
        error: this is the beginning\n\
        error: there is no breakpoint or watchpoint 7\n\
        error: write `x ADDRESS LENGTH`\n\
        error: column 1: there is no register, map or name `nothing`\n  nothing\n  ^\n\
        error: the program has no instruction at slot 77\n    \
        0: r1 = 0x0                                r1 = 0x0\n\
        =>   1: r2 = 0x3\n";
    assert_eq!(out, expected);
}

#[test]
fn bad_expressions_point_at_the_column() {
    let program = file("bad.s", LOOP);
    for (args, expected) in [
        (
            ["--break", "2 if r11 > 2"],
            "--break: column 6: there is no register, map or name `r11`\n  2 if r11 > 2\n       ^",
        ),
        (["--break", "8"], "column 1: the program has no instruction at slot 8"),
        (["--break", "pc == 8"], "column 7: the program has no instruction at slot 8"),
        (["--break", "nowhere"], "column 1: `nowhere` is neither a slot nor a function"),
        (["--break", "helper:none"], "column 8: there is no helper `none`"),
        (["--break", "helper:ktime_get_ns"], "column 8: the program does not call ktime_get_ns"),
        (["--break", "a.c:3"], "column 1: no instruction comes from a file `a.c`"),
        (["--break", "a.c:x"], "column 5: `x` is not a number"),
        (["--watch", "fp-8:"], "--watch: column 6: a length is 1 to 65536 bytes"),
        (["--watch", "r1 ++ 2"], "--watch: column 5: `+` stands where a register, number or name is expected"),
    ] {
        let (out, stderr, code) = run(&[&[program.as_str()], &args[..]].concat(), "");
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    for (args, expected) in [
        (&["--stop"][..], "--stop needs a --break or a --watch"),
        (&["--trace", "--engine", "jit"], "are for the interpreter"),
        (&["--step", "--packet", "00", "--packet", "01"], "--step takes one packet, here are 2"),
        (&["--step", "--packet", "00", "--packet", "01", "--input", "2"], "--input 2: there are inputs 0 to 1"),
        (&["--trace-limit", "3"], "--trace"),
    ] {
        let (_, stderr, code) = run(&[&[program.as_str()], args].concat(), "");
        assert!(code == 2 && stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[test]
fn one_input_of_a_case_is_chosen() {
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/program/xdp_count_drop.yaml");
    let args = ["--case", "xdp_count_drop", "--input", "6"];
    let out = step(case, &args, &["p *protocol_count[0x11]", "c"]);
    assert_eq!(out[1], "0xff = 255");
    assert!(out[2].ends_with("XDP_DROP (r0 = 0x1)"), "{out:?}");
    let (_, stderr, code) = run(&["-", "--step"], "r0 = 1\nexit\n");
    assert!(code == 2 && stderr.contains("the program cannot come from there"), "{stderr}");
}

/// An interrupt ends no session: an endless run comes back to the prompt.
#[test]
fn an_interrupt_returns_to_the_prompt() {
    let program = file("endless.s", "again:\nr1 += 1\ngoto again\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["run", &program, "--step", "--fuel", "281474976710655"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    assert_eq!(out.next().as_deref(), Some("=>   0: r1 += 0x1"));
    writeln!(stdin, "c").expect("written");
    let pid = child.id().to_string();
    let (done, is_done) = std::sync::mpsc::channel();
    // The signal may come before the command is read, and is then for nothing: it is sent until it is answered.
    let sender = std::thread::spawn(move || {
        while is_done.recv_timeout(std::time::Duration::from_millis(20)).is_err() {
            assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        }
    });
    assert_eq!(out.next().as_deref(), Some("interrupted"));
    done.send(()).expect("somebody waits");
    sender.join().expect("it ends");
    writeln!(stdin, "p r1 > 0").expect("written");
    drop(stdin);
    let rest: Vec<String> = out.collect();
    assert_eq!(rest.last().map(String::as_str), Some("1"), "{rest:?}");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// Two slots of a wide instruction are one place.
#[test]
fn the_second_slot_is_no_place() {
    let program = file("wide.s", "r1 = 0x1122334455667788 ll\nr0 = 0\nexit\n");
    let (_, stderr, code) = run(&[&program, "--break", "1"], "");
    assert!(code == 2 && stderr.contains("slot 1 is the second half of the instruction before it"), "{stderr}");
}

/// A function that a helper calls is entered again for each turn; a tail call goes on in another program at the same depth.
#[test]
fn a_trace_follows_callbacks_and_tail_calls() {
    let program = "r1 = 2\nr2 = body ll\nr3 = 0\nr4 = 0\ncall 181\nexit\nbody: r0 = 0\nexit\n";
    let (out, ..) = run(&[&file("callback.s", program), "--trace"], "");
    let lines = lines(&out);
    let wanted = [
        "5: call loop enters L7",
        "7: r0 = 0x0 r0 = 0x0",
        "8: exit enters L7",
        "7: r0 = 0x0 r0 = 0x0",
        "8: exit loop(nr_loops=0x2, callback_fn=L7, callback_ctx=0x0, flags=0x0) = 0x2; back in callback",
    ];
    assert!(lines.windows(wanted.len()).any(|window| window == wanted), "{lines:?}");

    let cases = "- name: tail\n  maps: {t: {type: prog_array, key_size: 4, value_size: 4, max_entries: 1, programs: {0: next}}}\n  \
                 targets: {next: r0 = 3; exit}\n  asm: r2 = map[t] ll; r3 = 0; call 12; exit\n  expect: {verdict: any}\n";
    let (out, ..) = run(&[&file("tail.yaml", cases), "--trace"], "");
    let call = "3: call tail_call tail_call(ctx=ctx+0, prog_array_map=t, index=0x0) = 0x0; goes on in next";
    assert!(self::lines(&out).iter().any(|line| line.starts_with(call)), "{out}");
}
