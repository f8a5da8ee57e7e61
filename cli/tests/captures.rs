//! `touchstone run` on packets of captures.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/program/xdp_count_drop.o");
const DROPPED: &str = "02000000000202000000000108004500001c00000000401100000a0000010a0000020fa01e6100080000";
const PASSED: &str = "0200000000020200000000010800";

fn run(args: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["run", OBJECT])
        .args(args)
        .output()
        .expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

/// A capture with this link type; packets as bytes on the wire, and captured bytes.
fn capture(name: &str, link: u32, packets: &[(u32, &[u8])], behind: &[u8]) -> String {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link]);
    for (len, bytes) in packets {
        file.extend(words(&[0, 0, bytes.len() as u32, *len]));
        file.extend_from_slice(bytes);
    }
    file.extend(behind);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("captures");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    std::fs::write(&path, file).expect("a file");
    path.to_str().expect("a path").to_owned()
}

fn bytes(hex: &str) -> Vec<u8> {
    corpus::text::bytes(hex).expect("hexadecimal")
}

/// Each line with runs of blanks as one.
fn lines(out: &str) -> Vec<String> {
    out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_capture_gives_a_row_per_packet() {
    let (dropped, passed) = (bytes(DROPPED), bytes(PASSED));
    let file = capture("good.pcap", 1, &[(42, &dropped), (14, &passed), (42, &dropped)], &[]);
    let (out, stderr, code) = run(&["--packet", &file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = [
        "packet length result instructions".to_owned(),
        format!("{file}#1 42 bytes XDP_DROP (r0 = 0x1) 51"),
        format!("{file}#2 14 bytes XDP_PASS (r0 = 0x2) 12"),
        format!("{file}#3 42 bytes XDP_DROP (r0 = 0x1) 51"),
        String::new(),
        "2 x XDP_DROP (r0 = 0x1)".to_owned(),
        "1 x XDP_PASS (r0 = 0x2)".to_owned(),
    ];
    assert_eq!(lines(&out), expected);
    // One of them is run as if its bytes had been given.
    let (one, ..) = run(&["--packet", &format!("{file}#2")]);
    let (direct, ..) = run(&["--packet", PASSED]);
    assert_eq!(one.replace(&format!(" ({file}#2)"), ""), direct);
    let (out, _, code) = run(&["--packet", &file, "--engine", "both", "--format", "json"]);
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, value["runs"].as_array().map(Vec::len)), (0, Some(6)));
    assert_eq!(value["runs"][2]["from"], format!("{file}#2"));
    assert_eq!(value["runs"][2]["result"]["name"], "XDP_PASS");
}

#[test]
fn what_cannot_be_run_does_not_keep_the_rest_from_it() {
    let (dropped, long) = (bytes(DROPPED), vec![0; 70_000]);
    let broken = [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1];
    let file = capture("bad.pcap", 1, &[(42, &dropped), (60, &dropped), (70_000, &long), (42, &dropped)], &broken);
    let (out, stderr, code) = run(&["--packet", &file]);
    assert_eq!((code, stderr.as_str()), (2, "touchstone: 3 packets were not run\n"));
    let expected = [
        format!("{file}#1 42 bytes XDP_DROP (r0 = 0x1) 51"),
        format!("{file}#2 not run: the capture has 42 of its 60 bytes; --cut runs it all the same"),
        format!("{file}#3 not run: the packet has 70000 bytes, the limit is 65535"),
        format!("{file}#4 42 bytes XDP_DROP (r0 = 0x1) 51"),
        format!("{file}#5 not run: byte 70214: the file ends inside this record: 8 bytes are missing"),
    ];
    assert_eq!(lines(&out)[1..6], expected);
    let (out, _, code) = run(&["--packet", &file, "--cut", "--format", "json"]);
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &value["runs"][1]["result"]["name"]), (2, &"XDP_DROP".into()));
    assert_eq!(value["runs"][2]["result"]["error"], "the packet has 70000 bytes, the limit is 65535");
    // A packet before the broken place is not touched by it.
    assert_eq!(run(&["--packet", &format!("{file}#4")]).2, 0);
}

#[test]
fn other_link_types_are_asked_for() {
    let dropped = bytes(DROPPED);
    let file = capture("raw.pcap", 101, &[(42, &dropped)], &[]);
    let (out, stderr, code) = run(&["--packet", &file]);
    assert_eq!((code, stderr.as_str()), (2, "touchstone: 1 packets were not run\n"));
    assert!(out.contains("not run: it begins as raw IP (link type 101), not with an Ethernet header"), "{out}");
    let (out, _, code) = run(&["--packet", &file, "--link", "any"]);
    assert!(code == 0 && out.contains("XDP_DROP"), "{out}");
}

#[test]
fn numbers_and_files_that_are_not_there() {
    let dropped = bytes(DROPPED);
    let file = capture("one.pcap", 1, &[(42, &dropped)], &[]);
    for (packet, expected) in [
        (format!("{file}#2"), "has packets 1 to 1, not 2"),
        (format!("{file}#0"), "has packets 1 to 1, not 0"),
        (format!("{OBJECT}#1"), "this is neither a pcap nor a pcapng file"),
        ("none.pcap#1".to_owned(), "packet `none.pcap#1`: neither a file nor hexadecimal"),
    ] {
        let (out, stderr, code) = run(&["--packet", &packet]);
        assert!(code == 2 && stderr.contains(expected), "{packet}: {out}{stderr}");
    }
    let version = capture("version.pcap", 1, &[], &[]);
    let mut contents = std::fs::read(&version).expect("the file");
    contents[4] = 9;
    std::fs::write(&version, contents).expect("the file");
    let (_, stderr, code) = run(&["--packet", &version]);
    assert!(code == 2 && stderr.contains("version.pcap: byte 0: version 9.4 of the format is not read"), "{stderr}");
}
