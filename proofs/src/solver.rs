//! Questions to the solver: one session per task, because terms live and die in the thread that made them.
//!
//! Within a session answers are remembered by term, so that the cases of an obligation that ask the same question share
//! one answer. Queries can be written as SMT-LIB 2 files, and unsatisfiable ones remembered across runs by the hash of
//! their text.

use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use z3::ast::{Ast, Bool};
use z3::{Model, Params, SatResult, Solver};

/// How a session asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest that one query may take.
    pub timeout: Duration,
    /// Where queries are written, one SMT-LIB 2 file each; `None`: nowhere.
    pub smt2: Option<PathBuf>,
    /// Where the hashes of queries known to be unsatisfiable are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { timeout: Duration::from_mins(1), smt2: None, cache: None }
    }
}

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Questions asked.
    pub queries: u64,
    /// Questions whose answer a simplified term already is.
    pub trivial: u64,
    /// Questions asked before in this session, or known from the cache.
    pub remembered: u64,
    /// Queries that could not be written to the directory asked for.
    pub unwritten: u64,
}

/// The answer to "is there a value of the variables with which all of this holds?".
#[derive(Debug)]
pub enum Answer {
    /// Yes, this one; `None` if the answer was remembered.
    Yes(Option<Model>),
    /// No.
    No,
    /// The solver gave up; why.
    Unknown(String),
}

#[derive(Debug, Default)]
struct Session {
    settings: Settings,
    name: String,
    stats: Stats,
    known: HashMap<Bool, bool>,
    written: u32,
}

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
}

/// Begins a session on this thread: forgets all answers, counts from 0. The obligation's name is for the names of files.
pub fn begin(name: &str, settings: Settings) {
    SESSION.set(Session { name: name.replace("::", "."), settings, ..Session::default() });
}

/// Ends the session on this thread; returns what it did.
pub fn end() -> Stats {
    SESSION.take().stats
}

/// Whether all of `formulas` can hold at once; `Err` says why the solver does not know.
pub fn satisfiable(formulas: &[Bool]) -> Result<bool, String> {
    match ask(formulas, false) {
        Answer::Yes(_) => Ok(true),
        Answer::No => Ok(false),
        Answer::Unknown(reason) => Err(reason),
    }
}

/// A model of all of `formulas`.
pub fn model(formulas: &[Bool]) -> Answer {
    ask(formulas, true)
}

fn ask(formulas: &[Bool], want_model: bool) -> Answer {
    let query = Bool::and(formulas).simplify();
    SESSION.with_borrow_mut(|session| {
        session.stats.queries += 1;
        if let Some(literal) = query.as_bool() {
            session.stats.trivial += 1;
            if !literal {
                return Answer::No;
            } else if !want_model {
                return Answer::Yes(None);
            }
        }
        match session.known.get(&query) {
            Some(false) => {
                session.stats.remembered += 1;
                Answer::No
            }
            Some(true) if !want_model => {
                session.stats.remembered += 1;
                Answer::Yes(None)
            }
            _ => session.solve(query),
        }
    })
}

impl Session {
    fn solve(&mut self, query: Bool) -> Answer {
        let solver = Solver::new();
        let mut params = Params::new();
        params.set_u32("timeout", u32::try_from(self.settings.timeout.as_millis()).unwrap_or(u32::MAX));
        solver.set_params(&params);
        solver.assert(&query);
        let text = (self.settings.smt2.is_some() || self.settings.cache.is_some()).then(|| solver.to_smt2());
        let entry = self.cache_entry(text.as_deref());
        let answer = if entry.as_deref().is_some_and(Path::exists) {
            self.stats.remembered += 1;
            Answer::No
        } else {
            check(&solver)
        };
        self.write(text.as_deref(), &answer);
        match answer {
            Answer::Yes(_) => self.known.insert(query, true),
            Answer::No => {
                // A cache that cannot be written only makes the next run slower.
                let _ = entry.map(|entry| fs::write(entry, ""));
                self.known.insert(query, false)
            }
            Answer::Unknown(_) => None,
        };
        answer
    }

    /// The file whose existence says that the query is unsatisfiable.
    fn cache_entry(&self, text: Option<&str>) -> Option<PathBuf> {
        let directory = self.settings.cache.as_ref()?;
        let hash = Sha256::new().chain_update(z3::full_version()).chain_update(text?).finalize();
        let name = hash.iter().fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
        Some(directory.join(name))
    }

    /// Writes the query with its answer, if queries are written.
    fn write(&mut self, text: Option<&str>, answer: &Answer) {
        let (Some(directory), Some(text)) = (&self.settings.smt2, text) else { return };
        let status = match answer {
            Answer::Yes(_) => "sat",
            Answer::No => "unsat",
            Answer::Unknown(_) => "unknown",
        };
        let text: Vec<&str> = text.lines().filter(|line| !line.contains(":status")).collect();
        let file = directory.join(format!("{}.{}.smt2", self.name, self.written));
        self.written += 1;
        let content = format!("(set-info :status {status})\n(set-logic ALL)\n{}\n", text.join("\n"));
        if fs::write(file, content).is_err() {
            self.stats.unwritten += 1;
        }
    }
}

fn check(solver: &Solver) -> Answer {
    let begun = Instant::now();
    match solver.check() {
        SatResult::Unsat => Answer::No,
        SatResult::Sat => Answer::Yes(solver.get_model()),
        SatResult::Unknown => Answer::Unknown(format!(
            "{} after {:.1} s",
            solver.get_reason_unknown().unwrap_or_else(|| "no reason given".into()),
            begun.elapsed().as_secs_f64()
        )),
    }
}
