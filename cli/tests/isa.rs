//! `touchstone isa` from outside: every row in every format, one instruction in full, scripts, and reasons for what is none.

use std::path::Path;
use std::process::{Command, Output};

use semantics::insn::table::TABLE;

fn isa(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.arg("isa").args(args).current_dir(root).output().expect("it starts")
}

fn printed(args: &[&str]) -> String {
    let output = isa(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn refused(args: &[&str]) -> String {
    let output = isa(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn every_format_has_every_row() {
    for format in ["text", "markdown", "json", "html"] {
        let page = printed(&["--format", format]);
        for row in TABLE {
            let quote = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let words = if format == "html" { quote(&row.op.words()) } else { row.op.words() };
            assert!(page.contains(row.name) && page.contains(&words), "{format}: {}", row.name);
        }
    }
    let rows: serde_json::Value = serde_json::from_str(&printed(&["--format", "json"])).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(TABLE.len()));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = printed(&["--format", "html"]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("type=\"search\""));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src=\""));
    assert_eq!(page.matches("<tr id=").count(), TABLE.len());
}

#[test]
fn one_instruction_in_full() {
    let page = printed(&["3f21010000000000"]);
    for part in
        ["Sdiv64X", "dst = src == 0 ? 0 : src == -1 ? -dst : dst s/ src", "3f21010000000000", "RFC 9669 section 4.1"]
    {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    assert!(printed(&["add64_k"]).contains("add64 K, carries out of the register"), "its cases are named");
    assert!(printed(&["07 01 00 00 f9 ff ff ff"]).starts_with("r1 += -0x7\n"));
}

#[test]
fn unknown_instructions_have_a_reason() {
    assert!(refused(&["ad64k"]).contains("near are: Add64K"));
    assert!(refused(&["r1 += q"]).contains("column 7"));
    assert!(refused(&["--all", "--smt2"]).contains("--out"));
}

#[cfg(feature = "proofs")]
#[test]
fn scripts_are_printed_and_written() {
    let script = printed(&["r1 += r1", "--smt2"]);
    assert!(script.contains("(define-fun r1_after () (_ BitVec 64) (bvadd r1 r1))"), "{script}");
    assert!(refused(&["add", "--smt2"]).contains("several instructions"));
    assert!(refused(&["--smt2"]).contains("wants an instruction"));
    let directory = std::env::temp_dir().join(format!("touchstone-isa-files-{}", std::process::id()));
    printed(&["--all", "--smt2", "--out", directory.to_str().expect("UTF-8")]);
    let files = std::fs::read_dir(&directory).expect("the directory").count();
    std::fs::remove_dir_all(&directory).expect("removed");
    // The second slot of a wide instruction has no meaning of its own.
    assert_eq!(files, TABLE.len() - 1);
}

#[cfg(not(feature = "proofs"))]
#[test]
fn without_proofs_there_are_no_scripts() {
    assert!(refused(&["r1 += r1", "--smt2"]).contains("build with the feature `proofs`"));
}
