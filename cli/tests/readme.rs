//! The README says what is true: its coverage table is the program's.

use std::path::Path;
use std::process::Command;

#[test]
fn the_coverage_table_is_the_programs_own() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("README.md");
    let begin = "<!-- `touchstone coverage` writes this table; a test compares. -->\n";
    let (_, rest) = readme.split_once(begin).expect("the table's beginning");
    let (table, _) = rest.split_once("<!-- end of coverage -->").expect("the table's end");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output =
        Command::new(env!("CARGO_BIN_EXE_touchstone")).arg("coverage").current_dir(root).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    let generated = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table == generated, "run `touchstone coverage` and put this into README.md:\n{generated}");
}

/// Every file that the README names is there.
#[test]
fn the_places_that_it_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let crates = ["semantics/", "verifier/", "jit/", "proofs/", "fuzz/", "corpus/"];
    let named: Vec<&str> = readme
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| crates.iter().any(|c| word.starts_with(c)) && !word.contains(['<', '{', ' ', '*']))
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for place in named {
        assert!(root.join(place).exists(), "README.md names {place}");
    }
}

/// What the section about rejections shows is what the commands print.
#[test]
fn the_explanations_are_the_programs_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("\n## Why is it rejected?\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let mut checked = 0;
    for block in section.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the block's end");
        let (command, shown) = block.split_once('\n').expect("a command and its output");
        let words: Vec<&str> = command.strip_prefix("$ touchstone ").expect("a command").split(' ').collect();
        if words.contains(&"--witness") && !cfg!(feature = "proofs") {
            continue;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_touchstone")).args(words).current_dir(&root).output();
        let printed = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
        // `...` stands for what is left out.
        let mut rest = printed.as_str();
        for (at, part) in shown.split("...\n").enumerate() {
            let (before, behind) = rest.split_once(part).unwrap_or_else(|| panic!("{command} prints:\n{printed}"));
            assert!(at > 0 || before.is_empty(), "{command} prints:\n{printed}");
            rest = behind;
        }
        assert!(rest.is_empty() || shown.ends_with("...\n"), "{command} prints:\n{printed}");
        checked += 1;
    }
    assert!(checked > 0);
}
