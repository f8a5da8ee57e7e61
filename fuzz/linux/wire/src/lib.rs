//! What a guest is asked and what it answers, as host and agent see it.
//!
//! Messages lie in memory that both map: an [`Ask`] at its start, [`Answer`]s in the part behind [`ASKS_LEN`]. A serial
//! line carries one short [`Signal`] for each, so that a guest that dies is known by the job it was at.

use serde::{Deserialize, Serialize};

mod frame;
mod job;

pub use frame::{FrameError, decode, encode};
pub use job::{
    Answer, Attach, Element, Engine, Fd, FdField, Job, Line, Load, Map, MapOp, Mishap, Outcome, Program, Ran, Run,
    Stage, Step, Trial, Update, Value,
};

/// Changes with every change of a message: a guest with an agent of another version is refused.
pub const VERSION: u32 = 4;

/// Bytes of the memory that host and guest share.
pub const SHARED_LEN: usize = 64 << 20;
/// Of them, the bytes for what is asked.
pub const ASKS_LEN: usize = 16 << 20;
/// And for answers, from [`ASKS_LEN`] on.
pub const ANSWERS_LEN: usize = SHARED_LEN - ASKS_LEN;

/// What a host asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Do these jobs, one after the other; an [`Answer`] for each.
    Jobs(Vec<Job>),
}

/// An [`Ask`] that is only lent: the same bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Asked<'a> {
    /// [`Ask::Jobs`].
    Jobs(&'a [Job]),
}

/// A line on the serial port, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Guest: it is ready, with an agent of this version, on this release of Linux.
    Hello {
        /// [`VERSION`] of the agent.
        version: u32,
        /// `uname -r`.
        release: String,
    },
    /// Host: an [`Ask`] of this length is there.
    Ask {
        /// Bytes.
        len: usize,
    },
    /// Guest: it begins with the job of this number.
    At {
        /// From 0 in each [`Ask`].
        job: u32,
    },
    /// Guest: the answer to a job is there.
    Answer {
        /// The job.
        job: u32,
        /// Bytes behind [`ASKS_LEN`].
        at: usize,
        /// Bytes.
        len: usize,
    },
    /// Guest: the answer to a job is longer than the memory for answers.
    Overlong {
        /// The job.
        job: u32,
        /// Bytes.
        len: usize,
    },
    /// Guest: there is no room for the next answer until the host says [`Signal::Read`].
    Full,
    /// Host: all answers so far are read.
    Read,
    /// Guest: all jobs are done.
    Done,
    /// Guest: it cannot go on, for this reason.
    Failed {
        /// One line.
        reason: String,
    },
}

impl Signal {
    /// The line, with its end.
    pub fn to_line(&self) -> String {
        match self {
            Signal::Hello { version, release } => format!("hello {version} {release}\n"),
            Signal::Ask { len } => format!("ask {len}\n"),
            Signal::At { job } => format!("at {job}\n"),
            Signal::Answer { job, at, len } => format!("answer {job} {at} {len}\n"),
            Signal::Overlong { job, len } => format!("overlong {job} {len}\n"),
            Signal::Full => "full\n".to_owned(),
            Signal::Read => "read\n".to_owned(),
            Signal::Done => "done\n".to_owned(),
            Signal::Failed { reason } => format!("failed {}\n", reason.replace('\n', " ")),
        }
    }

    /// Reads a line; `None` for anything else.
    pub fn from_line(line: &str) -> Option<Signal> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').filter(|word| !word.is_empty()).collect();
        let number = |word: &str| word.parse::<usize>().ok();
        let job = |word: &str| word.parse::<u32>().ok();
        Some(match (word, &words[..]) {
            ("hello", [version, release]) => {
                Signal::Hello { version: version.parse().ok()?, release: (*release).to_owned() }
            }
            ("ask", [len]) => Signal::Ask { len: number(len)? },
            ("at", [at]) => Signal::At { job: job(at)? },
            ("answer", [of, at, len]) => Signal::Answer { job: job(of)?, at: number(at)?, len: number(len)? },
            ("overlong", [of, len]) => Signal::Overlong { job: job(of)?, len: number(len)? },
            ("full", []) => Signal::Full,
            ("read", []) => Signal::Read,
            ("done", []) => Signal::Done,
            ("failed", _) => Signal::Failed { reason: rest.to_owned() },
            _ => return None,
        })
    }
}
