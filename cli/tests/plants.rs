//! `touchstone plants`: every planted mistake has a check that catches it, and one that nothing catches is reported.

use std::process::{Command, Output};

fn plants(args: &[&str]) -> Output {
    let executable = env!("CARGO_BIN_EXE_touchstone");
    Command::new(executable).arg("plants").args(args).output().expect("it starts")
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// All of them are listed with a check each; a few of every kind are caught by it.
#[test]
fn every_kind_is_caught() {
    for (part, least) in
        [("jit::layout", 3), ("jit::frame::missing", 1), ("jit::blind::key", 2), ("verifier::mov32", 2)]
    {
        let output = plants(&[part, "--format", "json"]);
        assert!(output.status.success(), "{output:?}");
        let report = json(&output);
        let caught = report["plants"].as_array().expect("a list");
        assert!(caught.len() >= least, "{report}");
        assert!(caught.iter().all(|plant| plant["proof"]["caught"] == true), "{report}");
        assert_eq!(report["missed"], serde_json::json!([]));
    }
}

/// The fuzzer, too, finds what proofs refute.
#[test]
fn the_fuzzer_finds_mistakes_of_the_jit() {
    let output = plants(&["jit::frame::result_narrowed", "--fuzz", "--format", "json"]);
    let report = json(&output);
    assert_eq!(report["plants"][0]["proof"]["caught"], true, "{report}");
    assert_eq!(report["plants"][0]["fuzzer"]["caught"], true, "{report}");
    assert_eq!(report["plants"][0]["fuzzer"]["target"], "closed", "{report}");
}

/// A check that has no time finds nothing: that is said, and the command fails.
#[test]
fn what_is_missed_is_said() {
    let output = plants(&["helper::prandom", "--seconds", "0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("MISSED  helper::prandom_sign_extended"), "{text}");
    assert!(text.contains("1 missed"), "{text}");
    let unknown = plants(&["no such mistake"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}
