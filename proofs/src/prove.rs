//! Proving a statement for all values, case by case and path by path.

use crate::check;
use crate::explore::{self, Undecided, explore};
use crate::memory::SymMemory;
use crate::obligation::{Counterexample, Outcome, Unknown};
use crate::solver::{self, Answer};
use crate::sym::{SFlag, Symbolic};
use crate::theory::{Context, Goal, Numbers, Statement};
use crate::whole::Whole;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use z3::ast::{Ast, BV, Bool};
use z3::{DeclKind, Model};

/// Remembers which variables a statement takes.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, u32>);

impl Numbers for Names {
    fn number(&mut self, name: &str, bits: u32) -> u64 {
        // One name would tie together what is meant to be independent.
        assert!(self.0.insert(name.to_owned(), bits).is_none(), "two variables are called {name}");
        0
    }
    fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8> {
        Rc::new(|_| 0)
    }
}

/// Proves every case, or gives the first result that is not a proof.
pub fn prove<S: Statement>(statement: &S, plant: Option<&str>) -> Outcome {
    let attempt = || (0..statement.cases()).try_for_each(|case| prove_case(statement, case, plant));
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(ControlFlow::Continue(())) if statement.cases() == 0 => Unknown::Empty { case: String::new() }.into(),
        Ok(ControlFlow::Continue(())) => Outcome::Proven,
        Ok(ControlFlow::Break(outcome)) => outcome,
        Err(payload) => {
            explore::reset();
            match payload.downcast::<Undecided>() {
                Ok(undecided) => Unknown::Solver { goal: "a decision".into(), reason: undecided.0 }.into(),
                Err(payload) => Unknown::Panicked { message: check::panic_message(&*payload) }.into(),
            }
        }
    }
}

fn prove_case<S: Statement>(statement: &S, case: usize, plant: Option<&str>) -> ControlFlow<Outcome> {
    let task = Task { statement, case, plant };
    let mut vacuous = true;
    let run = || {
        let mut names = Names::default();
        let mut cx = Context::<Symbolic>::new(&mut names, plant);
        statement.state(case, &mut cx);
        (cx.goals, names)
    };
    explore(run, |(goals, names), condition| {
        match solver::satisfiable(condition) {
            Ok(true) => vacuous = false,
            Ok(false) => return ControlFlow::Continue(()),
            Err(reason) => return stop(Unknown::Solver { goal: "the assumptions".into(), reason }),
        }
        if goals.is_empty() {
            return stop(Unknown::Empty { case: statement.case_name(case) });
        }
        goals.iter().try_for_each(|goal| task.prove_goal(goal, &names, condition))
    })?;
    if vacuous { stop(Unknown::Vacuous { case: statement.case_name(case) }) } else { ControlFlow::Continue(()) }
}

fn stop(reason: Unknown) -> ControlFlow<Outcome> {
    ControlFlow::Break(reason.into())
}

struct Task<'a, S> {
    statement: &'a S,
    case: usize,
    plant: Option<&'a str>,
}

impl<S: Statement> Task<'_, S> {
    fn prove_goal(&self, goal: &Goal<SFlag>, names: &Names, condition: &[Bool]) -> ControlFlow<Outcome> {
        let mut proven = !goal.lemmas.is_empty();
        for lemma in &goal.lemmas {
            match violation(lemma, condition) {
                Answer::No => continue,
                // Values that break a lemma usually break the goal.
                Answer::Yes(Some(model)) => {
                    if let Some(found) = self.replayed(goal, names, model) {
                        return ControlFlow::Break(Outcome::Refuted(found));
                    }
                }
                Answer::Yes(None) | Answer::Unknown(_) => {}
            }
            proven = false;
            break;
        }
        if proven {
            return ControlFlow::Continue(());
        }
        if !goal.lemmas.is_empty()
            && let Some(found) = check::search(self.statement, self.case, self.plant)
        {
            // The goal without its argument is large: running it is often quicker than solving it.
            return ControlFlow::Break(Outcome::Refuted(found));
        }
        match violation(&goal.flag, condition) {
            Answer::No => ControlFlow::Continue(()),
            Answer::Unknown(reason) => stop(Unknown::Solver { goal: goal.name.clone(), reason }),
            Answer::Yes(None) => unreachable!("a model was asked for"),
            Answer::Yes(Some(model)) => {
                let (counterexample, fails) = self.replay(goal, names, model);
                ControlFlow::Break(if fails {
                    Outcome::Refuted(counterexample)
                } else {
                    Unknown::Spurious { counterexample }.into()
                })
            }
        }
    }

    fn replayed(&self, goal: &Goal<SFlag>, names: &Names, model: Model) -> Option<Counterexample> {
        let (counterexample, fails) = self.replay(goal, names, model);
        fails.then_some(counterexample)
    }

    /// The model's values, and whether the code that runs fails on them.
    fn replay(&self, goal: &Goal<SFlag>, names: &Names, model: Model) -> (Counterexample, bool) {
        let value = |(name, bits): (&String, &u32)| {
            // A variable is a term of bits or an integer, never both: the other one has no value in the model.
            let integer = model.eval(&Whole::<64>::integer(name), false).and_then(|term| term.as_u64());
            let bits = || model.eval(&BV::new_const(name.as_str(), *bits), true).and_then(|term| term.as_u64());
            (name.clone(), integer.or_else(bits).unwrap_or(0))
        };
        let values: BTreeMap<String, u64> = names.0.iter().map(value).collect();
        let read = Rc::new(RefCell::new(BTreeMap::new()));
        let bytes = {
            let read = Rc::clone(&read);
            move |addr: u64| {
                let byte = model.eval(&SymMemory::array().select(&BV::from_u64(addr, 64)), true);
                let byte = byte.and_then(|byte| byte.as_bv()?.as_u64()).unwrap_or(0) as u8;
                read.borrow_mut().insert(addr, byte);
                byte
            }
        };
        let failed = check::failing_goal(self.statement, self.case, self.plant, values.clone(), Rc::new(bytes));
        let counterexample = Counterexample {
            case: self.case,
            case_name: self.statement.case_name(self.case),
            bits: 64,
            goal: failed.clone().unwrap_or_else(|| goal.name.clone()),
            values,
            memory: read.borrow().clone(),
        };
        (counterexample, failed.is_some())
    }
}

/// Values that meet the condition and break the flag. Each way to break it is a question of its own: together they can
/// take the solver a hundred times as long.
fn violation(flag: &SFlag, condition: &[Bool]) -> Answer {
    let negated = flag.term().not().simplify();
    let mut answer = Answer::No;
    for way in disjuncts(&negated) {
        if way.as_bool() == Some(false) {
            continue;
        }
        let query: Vec<Bool> = condition.iter().cloned().chain([way]).collect();
        match solver::model(&query) {
            Answer::No => {}
            Answer::Yes(model) => return Answer::Yes(model),
            unknown @ Answer::Unknown(_) => answer = unknown,
        }
    }
    answer
}

/// The terms of a disjunction, or the term itself; also below a conjunction with one.
fn disjuncts(term: &Bool) -> Vec<Bool> {
    let children = |term: &Bool| {
        term.children().iter().map(|part| part.as_bool().expect("parts of a Boolean")).collect::<Vec<_>>()
    };
    let is = |term: &Bool, kind| term.is_app() && term.decl().kind() == kind;
    if is(term, DeclKind::Or) {
        return children(term);
    }
    if is(term, DeclKind::And) {
        let mut rest = children(term);
        if let Some(at) = rest.iter().position(|part| is(part, DeclKind::Or)) {
            let either = rest.swap_remove(at);
            return children(&either).into_iter().map(|way| Bool::and(&rest) & way).collect();
        }
    }
    vec![term.clone()]
}
