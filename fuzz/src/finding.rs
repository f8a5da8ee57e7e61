//! What an oracle objects to.

use semantics::engine::EngineId;
use semantics::helper;
use semantics::insn::{Op, Opcode};
use semantics::outcome::Difference;
use semantics::program::Program;
use semantics::trap::Trap;
use serde::{Deserialize, Serialize};
use verifier::Pruning;
use verifier::invariant::Broken;

use crate::oracle::Oracle;
use crate::target::Target;
use crate::test::Test;

/// What is wrong with a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// The oracle that raised it.
    pub oracle: Oracle,
    /// The engines that it is about.
    pub engines: Vec<String>,
    /// What it is about, without values: equal for two objections of the same kind.
    pub kind: String,
    /// It in words, with values.
    pub text: String,
}

impl Objection {
    fn new(oracle: Oracle, engines: &[&str], kind: String, text: String) -> Objection {
        Objection { oracle, engines: engines.iter().map(|&e| e.to_owned()).collect(), kind, text }
    }

    /// `agree`: the interpreter and `engine` came to different outcomes.
    pub fn disagreement(engine: &str, difference: &Difference) -> Objection {
        let text = format!("interpreter and {engine} differ: {difference}");
        Objection::new(Oracle::Agree, &["interpreter", engine], difference.field(), text)
    }

    /// `agree`: the worker process died or hung while it ran the test, natively as a rule.
    pub fn death(how: &str) -> Objection {
        Objection::new(Oracle::Agree, &["worker"], format!("death by {how}"), format!("the worker process died: {how}"))
    }

    /// `contained`: before the instruction at slot `at` the run is outside the verifier's states.
    pub fn escape(at: usize, what: &str, place: &str) -> Objection {
        let text = format!("at insn {at} the run left the verifier's states: {what}");
        Objection::new(Oracle::Contained, &["interpreter"], place.to_owned(), text)
    }

    /// `invariant`: the verifier came to a state that cannot be.
    pub fn broken(broken: &Broken) -> Objection {
        let text = format!("a state of the verifier cannot be: {broken}");
        Objection::new(Oracle::Invariant, &["verifier"], broken.flaw.to_string(), text)
    }

    /// `pruned`: the verdict is another one where paths are cut short.
    pub fn pruned(pruning: Pruning, with: &str, without: &str) -> Objection {
        let text = format!("the verdict depends on pruning: {} says {with}, without it: {without}", pruning.name());
        Objection::new(Oracle::Pruned, &["verifier"], pruning.name().to_owned(), text)
    }

    /// `contained` or `contract`: an accepted program trapped at slot `at`.
    pub fn trapped(at: usize, trap: &Trap) -> Objection {
        if let Trap::Contract { .. } = trap {
            return Objection::new(
                Oracle::Contract,
                &["interpreter"],
                contract_kind(trap),
                format!("insn {at}: {trap}"),
            );
        }
        let text = format!("the verifier accepted the program, but insn {at} traps: {trap}");
        Objection::new(Oracle::Contained, &["interpreter"], format!("trap {}", trap_kind(trap)), text)
    }

    /// `verdict`: the kernel refuses what our verifier accepts, with this line.
    pub fn refused(engine: EngineId, line: &str) -> Objection {
        let text = format!("the verifier accepts the program, {engine} refuses it: {line}");
        Objection::new(Oracle::Verdict, &["verifier", &engine.to_string()], without_numbers(line), text)
    }

    /// `survives`: a kernel warned, hung or died.
    pub fn complaint(engine: EngineId, text: &str) -> Objection {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Objection::new(Oracle::Survives, &[&engine.to_string()], without_numbers(line), format!("{engine}: {text}"))
    }

    /// `no_panic`: something of ours panicked.
    pub fn panic(message: &str) -> Objection {
        Objection::new(Oracle::NoPanic, &[], message.to_owned(), format!("panic: {message}"))
    }
}

/// A line without its numbers, which change while a finding shrinks.
fn without_numbers(line: &str) -> String {
    let mut kind = String::with_capacity(line.len());
    for c in line.trim().chars() {
        match c {
            '0'..='9' if kind.ends_with('#') => {}
            '0'..='9' => kind.push('#'),
            c => kind.push(c),
        }
    }
    kind
}

fn contract_kind(trap: &Trap) -> String {
    use semantics::trap::Breach;
    match trap {
        Trap::Contract { helper, breach: Breach::Result(_) } => format!("{helper} result"),
        Trap::Contract { helper, breach: Breach::Wrote(object) } => format!("{helper} wrote {object}"),
        other => trap_kind(other).to_owned(),
    }
}

fn trap_kind(trap: &Trap) -> &'static str {
    match trap {
        Trap::Memory { write: true, .. } => "store",
        Trap::Memory { write: false, .. } => "load",
        Trap::OutOfFuel | Trap::Stopped => "fuel",
        Trap::CallDepth => "call depth",
        Trap::NoSocketBuffer(_) => "no socket buffer",
        Trap::NoDirectValue(_) => "no direct value",
        Trap::Argument { helper, .. } | Trap::Contract { helper, .. } => helper,
        Trap::UnknownHelper(_) | Trap::Unsupported(_) => "unsupported",
        Trap::Panic => "panic",
        Trap::Native { fault, .. } => fault.name(),
    }
}

impl std::fmt::Display for Objection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.oracle.name(), self.text)
    }
}

/// A test and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The program and its input.
    pub test: Test,
    /// What is wrong.
    pub objection: Objection,
    /// The planted mistake that was installed, if any.
    pub plant: Option<String>,
    /// What it was looked for with.
    pub target: Target,
}

impl Finding {
    /// What makes it another finding than the next one: oracle, engines, what differs, and the instruction forms and
    /// helpers of the (shrunk) program that are not mere scaffolding.
    pub fn meaning(&self) -> String {
        let Objection { oracle, engines, kind, .. } = &self.objection;
        let forms = forms(&self.test.program);
        format!("{} {}: {kind} [{}]", oracle.name(), engines.join("/"), forms.join(" "))
    }
}

/// Names of the instruction forms and helpers in a program, without moves of constants and exits.
fn forms(program: &Program) -> Vec<String> {
    let scaffolding = [Opcode::Exit, Opcode::Mov64K, Opcode::Mov32K, Opcode::Lddw, Opcode::LddwMap, Opcode::Mov64X];
    let name = |insn: &semantics::insn::Insn| match (insn.op(), helper::fact(insn.imm)) {
        (Op::CallHelper, Some(fact)) => fact.name.to_owned(),
        _ => insn.opcode.row().name.to_owned(),
    };
    let is_scaffolding = |insn: &semantics::insn::Insn| scaffolding.contains(&insn.opcode);
    let all: Vec<_> = program.instructions().map(|(_, insn)| *insn).collect();
    let mut forms: Vec<String> = all.iter().filter(|insn| !is_scaffolding(insn)).map(name).collect();
    if forms.is_empty() {
        // The mistake is in the scaffolding itself.
        forms = all.iter().filter(|insn| insn.opcode != Opcode::Exit).map(name).collect();
    }
    forms.sort();
    forms.dedup();
    forms
}
