//! A second opinion: the queries that a run wrote, put to another solver (Bitwuzla, through its Python package).
//!
//! The package is optional: `python3 -m pip install --target .solver bitwuzla==0.9.1`. A run writes its queries with
//! [`Options::smt2`](crate::runner::Options::smt2); each file says which answer the first solver gave.

use rayon::prelude::*;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Reads names of files, one per line, and prints the first answer of each.
const DRIVER: &str = include_str!("second.py");
/// The driver's exit code where the package is missing.
const NO_PACKAGE: i32 = 3;

/// What the second solver said.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SecondOpinion {
    /// Queries with an answer of the first solver.
    pub queries: usize,
    /// How many of them it answered the same.
    pub agreed: usize,
    /// Those that it answered otherwise: one of the two is wrong.
    pub disagreed: Vec<PathBuf>,
    /// Those that it did not answer: too long, or not its language.
    pub unanswered: Vec<PathBuf>,
}

/// Why there is no second opinion.
#[derive(Debug, thiserror::Error)]
pub enum SecondOpinionError {
    /// The run wrote nothing.
    #[error("no queries in {}", directory.display())]
    NoQueries {
        /// Where they were looked for.
        directory: PathBuf,
    },
    /// Not installed.
    #[error("the Python package bitwuzla is missing: python3 -m pip install --target .solver bitwuzla==0.9.1")]
    NoPackage,
    /// A file or a process.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Asks about every query in `directory`. `packages` is where Python finds the solver beside its own places.
pub fn ask(directory: &Path, packages: &Path, timeout: Duration) -> Result<SecondOpinion, SecondOpinionError> {
    let mut queries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "smt2") {
            queries.extend(first_answer(&fs::read_to_string(&path)?).map(|answer| (path, answer)));
        }
    }
    if queries.is_empty() {
        return Err(SecondOpinionError::NoQueries { directory: directory.to_owned() });
    }
    queries.sort();
    let shares: Vec<_> = queries.chunks(queries.len().div_ceil(rayon::current_num_threads())).collect();
    let parts = shares.into_par_iter().map(|share| ask_share(share, packages, timeout));
    let mut opinion = SecondOpinion { queries: queries.len(), ..SecondOpinion::default() };
    for part in parts.collect::<Result<Vec<_>, _>>()? {
        opinion.agreed += part.agreed;
        opinion.disagreed.extend(part.disagreed);
        opinion.unanswered.extend(part.unanswered);
    }
    Ok(opinion)
}

/// The answer that the first solver gave, if it gave one.
fn first_answer(text: &str) -> Option<String> {
    let status = text.lines().next()?.strip_prefix("(set-info :status ")?.strip_suffix(')')?;
    (status != "unknown").then(|| status.to_owned())
}

fn ask_share(
    share: &[(PathBuf, String)],
    packages: &Path,
    timeout: Duration,
) -> Result<SecondOpinion, SecondOpinionError> {
    let milliseconds = timeout.as_millis().to_string();
    let mut command = Command::new("python3");
    command.args(["-c", DRIVER, &milliseconds]).arg(packages);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let names: Vec<String> = share.iter().map(|(path, _)| path.display().to_string()).collect();
    let written = child.stdin.take().expect("stdin is piped").write_all(names.join("\n").as_bytes());
    let output = child.wait_with_output()?;
    if output.status.code() == Some(NO_PACKAGE) {
        return Err(SecondOpinionError::NoPackage);
    }
    written?;
    let answers = String::from_utf8_lossy(&output.stdout);
    let answers = answers.lines().chain(std::iter::repeat("unknown"));
    let mut opinion = SecondOpinion { queries: share.len(), ..SecondOpinion::default() };
    for ((path, first), second) in share.iter().zip(answers) {
        match second {
            "sat" | "unsat" if second == first => opinion.agreed += 1,
            "sat" | "unsat" => opinion.disagreed.push(path.clone()),
            _ => opinion.unanswered.push(path.clone()),
        }
    }
    Ok(opinion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(first_answer("(set-info :status unsat)\n(check-sat)").as_deref(), Some("unsat"));
        assert_eq!(first_answer("(set-info :status unknown)\n"), None);
        assert_eq!(first_answer("(check-sat)"), None);
    }

    #[test]
    fn an_empty_directory_is_an_error() {
        let directory = std::env::temp_dir().join(format!("touchstone-second-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let result = ask(&directory, Path::new("."), Duration::from_secs(1));
        assert!(matches!(result, Err(SecondOpinionError::NoQueries { .. })));
        fs::remove_dir(&directory).unwrap();
    }
}
