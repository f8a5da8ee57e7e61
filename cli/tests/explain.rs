//! What `touchstone verify` says of a rejected program, and the input that `--witness` finds.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/program/xdp_count_drop_nobounds.o");

fn touchstone(args: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_touchstone")).args(args).output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

fn file(name: &str, contents: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    std::fs::write(&path, contents).expect("a file");
    path
}

#[test]
fn a_card_with_lines_of_c() {
    let (out, _, code) = touchstone(&["verify", OBJECT]);
    assert_eq!(code, 1);
    let parts = [
        "R1 offset is outside of the packet",
        "; xdp_count_drop.h:55  if (ip->version_ihl != 0x45)\n    8: r1 = *(u8 *)(r1 + 0x0)\n",
        "on this path only its first 14 bytes are known to be there.",
        "Leave where `data + 15 > data_end`, before instruction 8 (xdp_count_drop.h:55).",
        "Where r1 comes from\n; xdp_count_drop.h:44  void *data = (void *)(u64)ctx->data;",
        "R1=pkt(off=14,r=14)",
        "The path\n; xdp_count_drop.h:50 ",
        "processed 9 insns",
    ];
    let mut rest = out.as_str();
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("`{part}` is missing, or not in this order:\n{out}")).1;
    }
}

#[test]
fn the_same_in_json() {
    let (out, _, code) = touchstone(&["verify", OBJECT, "--format", "json"]);
    assert_eq!(code, 1);
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((value["insn"].as_u64(), value["register"].as_str()), (Some(8), Some("r1")));
    assert!(value["missing"].as_str().is_some_and(|text| text.contains("first 14 bytes")), "{value:#}");
    assert_eq!(value["source"]["line"], 55);
    let history = value["history"].as_array().expect("a history");
    assert_eq!(history.last().expect("some")["value"], "pkt(off=14,r=14)");
    assert_eq!((&history[0]["place"], &history[0]["source"]["line"]), (&Value::from("r6"), &Value::from(44)));
    assert_eq!(value["path"][1]["taken"], false);
}

/// The log has the lines of C, as the kernel's has: with file and number since 6.9.
#[test]
fn the_log_has_lines_of_c() {
    let log = |dialect| touchstone(&["verify", OBJECT, "--log", "--dialect", dialect]).0;
    let new = log("6.12");
    assert!(new.contains("; if (ip->version_ihl != 0x45) @ xdp_count_drop.h:55\n8: (71) r1 = *(u8 *)(r1 "), "{new}");
    let old = log("6.1");
    assert!(old.contains("; if (ip->version_ihl != 0x45)\n8: (71)"), "{old}");
}

#[cfg(feature = "proofs")]
#[test]
fn a_witness_that_can_be_run() {
    let case = file("witness.yaml", "");
    let case = case.to_str().expect("text");
    let (out, errors, code) = touchstone(&["verify", OBJECT, "--witness", "--out", case]);
    assert_eq!(code, 1, "{out}{errors}");
    let (_, witness) = out
        .split_once("Witness: with this input the run traps at instruction 8, after 9 instructions")
        .unwrap_or_else(|| panic!("{out}"));
    let command = witness.lines().find_map(|line| line.trim().strip_prefix("touchstone ")).expect("a command");
    let (ran, _, code) = touchstone(&command.split(' ').collect::<Vec<_>>());
    assert!(code == 1 && ran.contains("outside every region"), "{ran}");
    // The case says the same, and holds.
    let (ran, _, code) = touchstone(&["run", case]);
    assert!(code == 1 && ran.contains("outside every region"), "{ran}");
    for engine in ["verifier", "interpreter"] {
        let (suite, errors, code) = touchstone(&["suite", case, "--engine", engine]);
        assert_eq!(code, 0, "{suite}{errors}");
    }
    let (out, ..) = touchstone(&["verify", OBJECT, "--witness", "--format", "json"]);
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&value["witness"]["answer"], &value["witness"]["packet"].as_str().map(str::len)),
        (&Value::from("found"), &Some(28))
    );
}

#[cfg(feature = "proofs")]
#[test]
fn a_rejection_that_nothing_breaks() {
    let text = "r2 = *(u32 *)(r1 + 12)\nr2 &= 1\nr3 = r2\nr3 += r2\nr0 = 0\nif r3 == 1 goto +1\nexit\nr0 = *(u8 *)(r0 + 0)\nexit\n";
    let path = file("odd.s", text);
    let path = path.to_str().expect("text");
    let (out, ..) = touchstone(&["verify", path, "--type", "xdp", "--witness"]);
    assert!(out.contains("no input takes this path: the verifier could have been more precise"), "{out}");
    let (_, errors, code) = touchstone(&["verify", path, "--type", "xdp", "--witness", "--out", "nowhere.yaml"]);
    assert!(code == 2 && errors.contains("there is no input to write"), "{errors}");
}

#[cfg(not(feature = "proofs"))]
#[test]
fn no_witness_without_a_solver() {
    let (_, errors, code) = touchstone(&["verify", OBJECT, "--witness"]);
    assert!(code == 2 && errors.contains("built without the feature `proofs`"), "{errors}");
}
