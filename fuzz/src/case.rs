//! Findings as cases of the corpus, and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::{Case, FindingNote, Run};

use crate::finding::Finding;
use crate::target::Target;
use crate::test::Test;

/// The case that a finding is written as.
pub fn of_finding(finding: &Finding) -> Case {
    let objection = &finding.objection;
    let mut case = Case::of_program(name(finding), &finding.test.program);
    case.story.clone_from(&objection.text);
    case.runs = vec![Run { input: finding.test.input.clone(), ..Run::default() }];
    case.finding = Some(FindingNote {
        oracle: objection.oracle.name().to_owned(),
        engines: objection.engines.clone(),
        difference: objection.kind.clone(),
        plant: finding.plant.clone(),
        target: (finding.target != Target::default()).then(|| finding.target.name().to_owned()),
    });
    case
}

/// The case that a test is sent to another process as.
pub fn of_test(test: &Test) -> Case {
    let mut case = Case::of_program("test", &test.program);
    case.runs = vec![Run { input: test.input.clone(), ..Run::default() }];
    case
}

/// The tests in a case: one per run.
pub fn tests(case: &Case) -> Result<Vec<Test>, corpus::case::Malformed> {
    let program = Arc::new(case.program()?);
    let test = |run: &Run| Test { program: Arc::clone(&program), input: run.input.clone() };
    Ok(case.runs.iter().map(test).collect())
}

/// A name that says what it is about and differs where the meaning differs.
fn name(finding: &Finding) -> String {
    let meaning = finding.meaning();
    let mut words: String = meaning.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    while words.contains("--") {
        words = words.replace("--", "-");
    }
    words.truncate(60);
    // FNV-1a over the whole meaning, so that a long one that was cut keeps its own name.
    let hash = meaning.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{}-{:06x}", words.trim_matches('-'), hash & 0xff_ffff)
}

/// Writes the finding into `dir` and says where. The file is complete or not there.
pub fn write(finding: &Finding, dir: &Path) -> std::io::Result<PathBuf> {
    let case = of_finding(finding);
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{}.yaml", case.name));
    let partial = dir.join(format!(".{}.partial", case.name));
    std::fs::write(&partial, case.to_yaml())?;
    std::fs::rename(&partial, &path)?;
    Ok(path)
}
