//! Engines by name on the command line, where there are no kernels.

use std::process::{Command, Output};

fn touchstone(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.args(arguments).env("TOUCHSTONE_KERNELS", "/nonexistent").output().expect("it runs")
}

fn error(arguments: &[&str]) -> String {
    let output = touchstone(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_name_that_is_none_lists_those_that_are() {
    for command in [["run", "x.s", "--engine", "linux"], ["suite", "x", "--engine", "LINUX-6.1-JIT"]] {
        let error = error(&command);
        assert!(error.contains("there are: interpreter, jit,"), "{error}");
        assert!(error.contains("make linux"), "{error}");
    }
    let error = error(&["fuzz", "--engine", "jit"]);
    assert!(error.contains("there is no kernel's engine jit"), "{error}");
}

#[test]
fn without_kernels_it_is_said_how_to_get_them() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/insn/alu.yaml");
    for command in
        [vec!["suite", program, "--engine", "linux-6.1-jit"], vec!["fuzz", "--engine", "linux-6.1-jit", "--tests", "1"]]
    {
        let error = error(&command);
        assert!(error.contains("there are no kernels in /nonexistent: `make linux` gets them"), "{error}");
    }
}
