//! The verifier and the JIT as the corpus' runner takes them.

use std::sync::Arc;

use anyhow::{Context, bail};
use corpus::runner::{Judgement, Skip};
use semantics::program::{Program, Verified};
use verifier::{Dialect, Options, Verdict, Verifier};

/// The dialect of this name.
pub fn dialect(name: &str) -> Result<Dialect, String> {
    let names = || Dialect::ALL.map(|dialect| dialect.name).join(", ");
    Dialect::from_name(name).ok_or_else(|| format!("there is no dialect {name}; there are: {}", names()))
}

/// Asks the verifier, with a log whose end is the reason of a rejection.
pub fn judge(verifier: &mut Verifier, program: &Arc<Program>, dialect: Dialect) -> Judgement {
    match verifier.verify(program, &Options { dialect, record: false, log: true }) {
        Verdict::Accept(accepted) => Judgement::Accepted { verified: accepted.verified, log: accepted.log },
        Verdict::Reject(rejection) => {
            let message = rejection.message();
            let mut log = rejection.log;
            if !log.contains(&message) {
                log = format!("{log}\n{message}\n");
            }
            Judgement::Rejected { log }
        }
        Verdict::Unsupported(verifier::Unsupported::Helper { name, .. }) => Judgement::Unsupported(Skip::Helper(name)),
        Verdict::Unsupported(verifier::Unsupported::Insn { name }) => Judgement::Unsupported(Skip::NotFollowed(name)),
        Verdict::Unsupported(what) => Judgement::Unsupported(Skip::Verifier(what.to_string())),
    }
}

/// The program, verified; an error if the verifier does not accept it.
pub fn verified(program: &Arc<Program>, dialect: Dialect) -> anyhow::Result<Result<Verified, String>> {
    match verifier::verify(program, &Options { dialect, ..Options::default() }) {
        Verdict::Accept(accepted) => Ok(Ok(accepted.verified)),
        Verdict::Reject(rejection) => Ok(Err(rejection.to_string())),
        Verdict::Unsupported(what) => bail!("{}: {what}", program.name()),
    }
}

/// A JIT.
pub fn jit() -> anyhow::Result<jit::Jit> {
    jit::Jit::new().context("the JIT")
}
