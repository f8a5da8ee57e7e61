//! Other projects' test suites as cases. What a suite says that nobody here knows is a typed [`Skip`], as is later what an
//! engine or the verifier lacks: never passed over in silence.

use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::error::ReadError;
use crate::read;
use crate::runner::Skip;

pub mod conformance;
pub mod linux;

/// One case of a suite.
#[derive(Debug)]
pub struct Entry {
    /// Its name in the suite.
    pub name: String,
    /// The version of Linux whose verdict it states, if it states whose.
    pub dialect: Option<&'static str>,
    /// The case, or why there is none.
    pub case: Result<Case, Skip>,
}

impl From<Case> for Entry {
    fn from(case: Case) -> Entry {
        Entry { name: case.name.clone(), dialect: None, case: Ok(case) }
    }
}

/// The files of suites in a directory and below, in the order of their names: cases, and objects in directories without
/// cases, where they belong to those. A path of a file is itself.
pub fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return std::fs::metadata(path).map(|_| vec![path.to_owned()]);
    }
    let entries: std::io::Result<Vec<PathBuf>> = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let is = |path: &Path, kind: &str| path.extension().is_some_and(|extension| extension == kind);
    let is_case = |path: &Path| is(path, "yaml") || is(path, "data");
    let has_cases = entries.iter().any(|entry| is_case(entry) && entry.is_file());
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            // A link to a directory may lead back up.
            if !entry.is_symlink() {
                files.extend(self::files(&entry)?);
            }
        } else if is_case(&entry) || (!has_cases && is(&entry, "o")) {
            files.push(entry);
        }
    }
    Ok(files)
}

/// Reads a file of a suite: `.data` is [`conformance`], YAML with `bytecode` is [`linux`], other YAML are cases of our own.
pub fn read(file: &Path) -> Result<Vec<Entry>, ReadError> {
    let text = read::read_text(file)?;
    if file.extension().is_some_and(|extension| extension == "data") {
        return Ok(vec![conformance::parse(&text, file)?]);
    }
    if text.lines().any(|line| line.trim_start().trim_start_matches("- ").starts_with("bytecode:")) {
        return linux::parse(&text, file);
    }
    Ok(read::parse(&text, file)?.into_iter().map(Entry::from).collect())
}
