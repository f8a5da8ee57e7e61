//! What our verifier and a kernel say of a program.

use std::sync::Arc;

use corpus::case::Malformed;
use linux::guest::Unanswered;
use semantics::encoding::{DecodeError, DecodeErrorKind};
use semantics::program::Program;
use verifier::{Dialect, Options, Verdict, Verifier};
use wire::{Answer, Stage};

use super::message;

/// What our verifier says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ours {
    /// It accepts, having followed so many instructions.
    Accept {
        /// Over all paths.
        insns: u32,
    },
    /// It rejects.
    Reject {
        /// In the kernel's words.
        message: String,
        /// The message goes on behind the kernel's words, because it was not the verifier that found it but the decoder.
        is_longer: bool,
    },
    /// It cannot say: what is not modelled.
    Unsupported(Unsupported),
}

/// What of a program is not modelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Something of the verifier.
    #[error(transparent)]
    Verifier(#[from] verifier::Unsupported),
    /// An instruction.
    #[error("the instruction {0} is not modelled")]
    Insn(&'static str),
    /// The program could not be read.
    #[error("{0}")]
    Read(String),
}

/// What a kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Theirs {
    /// It accepts, having followed so many instructions.
    Accept {
        /// Over all paths, if the log says it.
        insns: Option<u32>,
    },
    /// It rejects.
    Reject {
        /// The last lines of the log about the program.
        message: String,
        /// `E*`.
        errno: i32,
    },
    /// It was not asked, or said no before its verifier looked at the program.
    Impossible(Impossible),
    /// The guest was lost over it.
    Lost {
        /// What happened.
        why: String,
    },
}

/// Why a kernel's verifier said nothing of a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The case cannot be put to a guest.
    #[error("{0}")]
    Case(String),
    /// Question or answer is too long.
    #[error("question or answer is too long for a guest")]
    TooLong,
    /// Something before the program failed, or the program without a word in the log.
    #[error("{} ({})", stage(what), errno_name(*errno))]
    Stage {
        /// What.
        what: Stage,
        /// `E*`.
        errno: i32,
    },
}

fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Engine => "the engine cannot be switched".to_owned(),
        Stage::Btf => "the BTF is refused".to_owned(),
        Stage::Map(_) => "a map is refused".to_owned(),
        Stage::Element(_) => "an element of a map is refused".to_owned(),
        Stage::Attach(name) => format!("nothing to attach to: {name}"),
        Stage::Program(_) => "the program is refused without a word".to_owned(),
        Stage::Fallback => "the program was not made for the engine".to_owned(),
    }
}

/// The name of an error number that `bpf(2)` may give.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        7 => "E2BIG",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        22 => "EINVAL",
        28 => "ENOSPC",
        34 => "ERANGE",
        95 => "EOPNOTSUPP",
        524 => "ENOTSUPP",
        _ => return format!("error {errno}"),
    };
    name.to_owned()
}

impl Ours {
    /// What `verifier` says of a program, or of what is none.
    pub fn ask(verifier: &mut Verifier, program: &Result<Arc<Program>, Malformed>, dialect: Dialect) -> Ours {
        match program {
            Ok(program) => match verifier.verify(program, &Options { dialect, ..Options::default() }) {
                Verdict::Accept(accepted) => Ours::Accept { insns: accepted.stats.insns },
                Verdict::Reject(rejection) => Ours::Reject { message: rejection.message(), is_longer: false },
                Verdict::Unsupported(what) => Ours::Unsupported(what.into()),
            },
            Err(malformed) => Ours::of_malformed(malformed, dialect),
        }
    }

    fn of_malformed(malformed: &Malformed, dialect: Dialect) -> Ours {
        let reject = |message: String| Ours::Reject { message, is_longer: true };
        match malformed {
            Malformed::Decode(DecodeError { kind, .. }) => match kind {
                DecodeErrorKind::Unsupported { what, since, .. } if *since <= dialect.version => {
                    Ours::Unsupported(Unsupported::Insn(what))
                }
                kind => reject(kind.to_string()),
            },
            Malformed::Structure(error) => reject(error.to_string()),
            Malformed::Asm(_) | Malformed::Load(_) => Ours::Unsupported(Unsupported::Read(malformed.to_string())),
        }
    }
}

impl Theirs {
    /// What an answer says of the program, under the first of the engines that it was asked for.
    pub fn read(answer: &Result<Answer, Unanswered>) -> Theirs {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Unanswered::TooLong(_) | Unanswered::Overlong(_)) => return Theirs::Impossible(Impossible::TooLong),
            Err(lost) => return Theirs::Lost { why: lost.to_string() },
        };
        let Some(trial) = answer.trials.first() else {
            return Theirs::Lost { why: "an answer without a trial".to_owned() };
        };
        let load = &trial.load;
        let message = message::last(&load.log);
        match &load.result {
            Ok(()) => Theirs::Accept { insns: message::processed(&load.log) },
            Err((Stage::Program(_), errno)) if !message.is_empty() => Theirs::Reject { message, errno: *errno },
            Err((what, errno)) => Theirs::Impossible(Impossible::Stage { what: what.clone(), errno: *errno }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Engine, Load, Trial};

    #[allow(clippy::unnecessary_wraps)] // what a guest gives
    fn answer(result: Result<(), (Stage, i32)>, log: &str) -> Result<Answer, Unanswered> {
        let load = Load { result, log: log.to_owned(), log_level: 2, verified_insns: 0 };
        Ok(Answer { trials: vec![Trial::new(Engine::Jit, load)], ..Answer::default() })
    }

    #[test]
    fn what_answers_say() {
        let accepted = "0: (95) exit\nprocessed 7 insns (limit 1000000)\n";
        assert_eq!(Theirs::read(&answer(Ok(()), accepted)), Theirs::Accept { insns: Some(7) });
        let rejected = "0: (95) exit\nR0 !read_ok\nprocessed 1 insns\n";
        let program = || Err((Stage::Program(0), 13));
        assert_eq!(
            Theirs::read(&answer(program(), rejected)),
            Theirs::Reject { message: "R0 !read_ok".to_owned(), errno: 13 }
        );
        let Theirs::Impossible(impossible) = Theirs::read(&answer(Err((Stage::Map(0), 22)), "")) else { panic!() };
        assert_eq!(impossible.to_string(), "a map is refused (EINVAL)");
        assert!(matches!(Theirs::read(&answer(program(), "")), Theirs::Impossible(_)));
        assert!(matches!(Theirs::read(&Ok(Answer::default())), Theirs::Lost { .. }));
    }
}
