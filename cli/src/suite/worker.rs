//! Worker processes of `touchstone suite` on the JIT: each may be lost with a case.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::Context;
use corpus::runner::{CaseResult, Failure, Judgement, Runner, Skip};
use corpus::suite::{self, Entry};
use corpus::{Case, Ending, Verdict};
use semantics::engine::EngineId;
use semantics::memory::Memory;
use semantics::world::World;
use verifier::{Dialect, Verifier};

use super::Reply;
use crate::{Status, judge};

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// The file
    file: PathBuf,
    /// The first case, from 0
    start: usize,
    #[command(flatten)]
    codegen: judge::Codegen,
}

/// How long a worker may take for a case.
const PATIENCE: Duration = Duration::from_secs(10);

/// The replies of worker processes, begun anew behind each case that one was lost with.
pub(super) fn isolated(file: &Path, entries: &[Entry], codegen: judge::Codegen) -> anyhow::Result<Vec<Reply>> {
    let mut replies: Vec<Reply> = Vec::with_capacity(entries.len());
    while replies.len() < entries.len() {
        if let Err(skip) = &entries[replies.len()].case {
            replies.push(Reply::skipped(skip));
            continue;
        }
        let mut worker = Worker::start(file, replies.len(), codegen)?;
        let lost = loop {
            match worker.lines.recv_timeout(PATIENCE) {
                Ok(line) => replies.push(serde_json::from_str(&line).context("a worker of the suite")?),
                Err(mpsc::RecvTimeoutError::Timeout) => break Some("it hung".to_owned()),
                Err(mpsc::RecvTimeoutError::Disconnected) => break worker.end()?,
            }
            if replies.len() == entries.len() {
                break None;
            }
        };
        if let Some(what) = lost {
            replies.push(CaseResult::Failed(Box::new(Failure::Lost { engine: EngineId::Jit, what })).into());
        }
    }
    Ok(replies)
}

/// A worker process and the lines that it says.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(file: &Path, start: usize, codegen: judge::Codegen) -> anyhow::Result<Worker> {
        let executable = std::env::current_exe().context("this executable")?;
        let mut child = Command::new(executable)
            .arg("suite-worker")
            .arg(file)
            .arg(start.to_string())
            .args(codegen.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("a worker of the suite")?;
        let stdout = child.stdout.take().context("a worker of the suite")?;
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take_while(|line| say.send(line.clone()).is_ok()).for_each(drop);
        });
        Ok(Worker { child, lines })
    }

    /// What became of a worker that says no more.
    fn end(&mut self) -> anyhow::Result<Option<String>> {
        let status = self.child.wait().context("a worker of the suite")?;
        Ok(Some(format!("its process ended: {status}")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the verifier already says of a case: that a program is refused that has to fail, which native code would show only
/// by chance; or that nobody can tell whether it deserves the verdict that the case states.
fn foreseen(case: &Case) -> Option<CaseResult> {
    let traps = |run: &corpus::Run| matches!(run.expect.result, Some(Ending::Trap(_)));
    let must_fail = case.verdict == Verdict::Any && !case.runs.is_empty() && case.runs.iter().all(traps);
    if case.verdict == Verdict::Any && !must_fail {
        return None;
    }
    let program = Arc::new(case.program().ok()?);
    match judge::judge(&mut Verifier::default(), &program, Dialect::default()) {
        // An instruction that only the verifier lacks runs on the word of a case that wants it accepted: this process may
        // be lost.
        Judgement::Unsupported(Skip::NotFollowed(_)) if case.verdict == Verdict::Accept => None,
        Judgement::Unsupported(skip) => Some(CaseResult::Skipped(skip)),
        Judgement::Rejected { .. } if must_fail => Some(CaseResult::Passed(Vec::new())),
        _ => None,
    }
}

/// The whole of a worker process: one line per case.
pub fn work(args: &WorkerArgs, out: &mut dyn Write) -> anyhow::Result<Status> {
    let mut jit = args.codegen.jit()?;
    let mut world = World::new(Memory::native().context("guest memory")?);
    for entry in suite::read(&args.file)?.iter().skip(args.start) {
        let reply = match &entry.case {
            Err(skip) => Reply::skipped(skip),
            Ok(case) => {
                if let Some(result) = foreseen(case) {
                    result.into()
                } else {
                    let runner = Runner::new(&mut world).without_interpreter().engine(&mut jit);
                    // SAFETY: this process exists to be lost; whoever started it notes that and goes on with the next.
                    unsafe { runner.trusting() }.run(case).into()
                }
            }
        };
        serde_json::to_writer(&mut *out, &reply)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(Status::Fine)
}
