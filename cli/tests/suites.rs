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
    Some(counts(&path, engine))
}

/// Passed, failed and skipped of a folder of cases.
fn counts(path: &Path, engine: &str) -> [usize; 3] {
    let output = Command::new(env!("CARGO_BIN_EXE_touchstone"))
        .args(["suite", "--engine", engine])
        .arg(path)
        .output()
        .expect("the command starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let last = text.lines().last().unwrap_or_default();
    println!("{} on the {engine}: {last}", path.display());
    let mut numbers = last.split_whitespace().filter_map(|word| word.parse().ok());
    let counts = [(); 3].map(|()| numbers.next().unwrap_or_else(|| panic!("{text}")));
    assert_eq!(counts[1], 0, "{text}");
    counts
}

/// Our own cases of instructions run natively, also where the verifier cannot judge them yet: the worker may be lost.
#[test]
fn own_cases_run_on_the_jit() {
    let [passed, _, skipped] = counts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/insn"), "jit");
    assert!(passed >= 2100 && skipped < 200, "{passed} passed, {skipped} skipped");
}

/// At least so many pass.
fn assert_passed(suite: &str, engine: &str, least: usize) {
    if let Some([passed, ..]) = count(suite, engine) {
        assert!(passed >= least, "{passed} passed, there were {least}");
    }
}

#[test]
fn linux_verdicts() {
    assert_passed("linux_verifier", "verifier", 638);
    assert_passed("linux_verifier", "interpreter", 266);
    assert_passed("linux_verifier", "jit", 216);
}

#[test]
fn linux_jit() {
    assert_passed("linux_jit", "interpreter", 340);
    assert_passed("linux_jit", "jit", 340);
}

#[test]
fn conformance() {
    if let Some(counts) = count("bpf_conformance", "interpreter") {
        assert_eq!(counts, [161, 0, 0]);
    }
    if let Some(counts) = count("bpf_conformance", "jit") {
        assert_eq!(counts, [161, 0, 0]);
    }
}

/// Each program of each object loads or is refused with a reason, whatever is asked of it.
#[test]
fn objects() {
    for (engine, least) in [("interpreter", 10), ("verifier", 5), ("jit", 4)] {
        if let Some([passed, _, skipped]) = count("objects", engine) {
            assert!(passed >= least && passed + skipped >= 160, "{engine}: {passed} passed, {skipped} skipped");
        }
    }
}

/// Directories, formats, and files that cannot be read beside those that can.
#[test]
fn what_cannot_be_read_does_not_keep_the_rest() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite");
    let _ = std::fs::remove_dir_all(&directory);
    let write = |name: &str, text: &str| {
        let file = directory.join(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(file, text).expect("a file");
    };
    let suite = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_touchstone"))
            .args(["suite", directory.to_str().expect("UTF-8")])
            .args(arguments)
            .output()
            .expect("the command starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    write("deep/below/good.yaml", "- {name: good, asm: r0 = 1; exit, result: 1}\n");
    write("deep/skipped.yaml", "- {name: 'no & runs', asm: r0 = 1; exit}\n");
    write("conformance/good.data", "-- asm\nmov %r0, 2\nexit\n-- result\n0x2\n");
    write("conformance/fails.data", "-- asm\nldxdw %r0, [%r1]\nexit\n-- mem\n01 02\n-- error\nout of bounds\n");
    write("objects/empty.o", "no object");
    let (out, _, code) = suite(&[]);
    assert_eq!((out.lines().last(), code), (Some("3 passed, 0 failed, 2 skipped"), Some(0)), "{out}");
    assert!(out.contains("1 skipped: nothing to run") && out.contains("1 skipped: refused: "), "{out}");
    let (out, ..) = suite(&["--verbose"]);
    assert!(out.contains("skipped.yaml: no & runs: nothing to run"), "{out}");

    write("bad.yaml", "- {name: bad, asm: r0 = 1; exit, result: 2}\n");
    assert_eq!(suite(&[]).2, Some(1));
    write("torn.yaml", "- {name: torn, asm: r0 = q; exit}\n");
    let (out, err, code) = suite(&[]);
    assert_eq!((out.lines().last(), code), (Some("3 passed, 1 failed, 2 skipped"), Some(2)), "{out}");
    assert!(out.contains("UNREADABLE ") && out.contains("torn.yaml:1:"), "{out}");
    assert!(err.contains("torn.yaml:1:"), "{err}");

    let (out, _, code) = suite(&["--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!((value["passed"].as_u64(), value["failed"].as_u64(), code), (Some(3), Some(1), Some(2)));
    assert_eq!(value["skips"]["nothing to run"], 1);
    assert_eq!(value["failures"][0]["case"], "bad");
    assert!(value["errors"][0]["why"].as_str().is_some_and(|why| why.contains("torn.yaml:1:")), "{value}");

    let (out, ..) = suite(&["--format", "junit"]);
    assert!(out.contains("tests=\"7\" failures=\"1\" errors=\"1\" skipped=\"2\""), "{out}");
    assert!(out.contains("name=\"no &amp; runs\"><skipped message=\"nothing to run\"/>"), "{out}");
    assert!(out.contains("<failure type=\"other result\"") && out.ends_with("</testsuite>\n"), "{out}");

    let nowhere = Command::new(env!("CARGO_BIN_EXE_touchstone")).args(["suite", "/nowhere"]).output().expect("starts");
    assert_eq!(nowhere.status.code(), Some(2));
}
