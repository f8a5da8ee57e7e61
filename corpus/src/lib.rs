//! Cases: programs, the verdicts they deserve, and what must come of running them; the one crate that reads and writes
//! YAML.
//!
//! A [`case`] file is documented in the `README.md` beside this crate. [`read`](mod@read) makes cases of it, or says in
//! which line it is wrong; [`write`](mod@write) is the inverse. The [`runner`] runs a case on engines and compares.
//! [`suite`] makes cases of other projects' test suites; [`pcap`] reads packets from capture files.

pub mod case;
pub mod error;
pub mod pcap;
mod place;
mod raw;
pub mod read;
pub mod runner;
pub mod suite;
pub mod text;
pub mod write;

pub use case::{Case, Code, Ending, Expected, FindingNote, Run, Verdict};
pub use error::{ReadError, Reason};
pub use runner::{CaseResult, Runner};
