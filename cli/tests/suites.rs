//! Other projects' suites, where they lie beside the repository: nothing may fail, and enough must pass.

use std::path::Path;
use std::process::Command;

/// Passed, failed and skipped of a suite; `None` if the suite is not there.
fn count(suite: &str, engine: &str) -> Option<[usize; 3]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites").join(suite);
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["suite", "--engine", engine])
        .arg(path)
        .output()
        .expect("the command starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let last = text.lines().last().unwrap_or_default();
    println!("{suite} on the {engine}: {last}");
    let mut numbers = last.split_whitespace().filter_map(|word| word.parse().ok());
    let counts = [(); 3].map(|()| numbers.next().unwrap_or_else(|| panic!("{text}")));
    assert_eq!(counts[1], 0, "{text}");
    Some(counts)
}

/// At least so many pass.
fn assert_passed(suite: &str, engine: &str, least: usize) {
    if let Some([passed, ..]) = count(suite, engine) {
        assert!(passed >= least, "{passed} passed, there were {least}");
    }
}

#[test]
fn linux_verdicts() {
    assert_passed("linux_verifier", "verifier", 176);
    assert_passed("linux_verifier", "interpreter", 95);
    assert_passed("linux_verifier", "jit", 95);
}

#[test]
fn linux_jit() {
    assert_passed("linux_jit", "interpreter", 340);
    assert_passed("linux_jit", "jit", 155);
}

#[test]
fn conformance() {
    assert_passed("bpf_conformance", "interpreter", 49);
    assert_passed("bpf_conformance", "jit", 49);
}
