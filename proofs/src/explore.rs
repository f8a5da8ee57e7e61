//! Control decisions in the symbolic world: [`explore`] runs a function once per feasible path.
//!
//! A decision on a literal never forks. On any other flag the solver says which outcomes the path condition admits; the
//! function is re-run from the start with the recorded outcomes until every open one was taken. The function must
//! therefore be deterministic, and [`explore`] asserts that a replay used its whole script.

use crate::solver;
use std::cell::RefCell;
use std::ops::ControlFlow;
use z3::ast::{Ast, Bool};

/// A decision that was taken.
#[derive(Clone, Copy, Debug)]
struct Step {
    outcome: bool,
    /// Whether the other outcome is feasible too and still to be taken.
    open: bool,
}

#[derive(Debug, Default)]
struct Path {
    script: Vec<Step>,
    next: usize,
    condition: Vec<Bool>,
}

thread_local! {
    static PATH: RefCell<Option<Path>> = const { RefCell::new(None) };
}

/// The most paths of one case; more means that a choice should have been a `select`.
pub const MAX_PATHS: usize = 4096;

/// The way out of a function under exploration when the solver cannot answer: never mistaken for a proof.
#[derive(Debug)]
pub struct Undecided(pub String);

/// Ends the exploration with the reason why no proof is possible.
pub fn give_up(reason: impl Into<String>) -> ! {
    std::panic::resume_unwind(Box::new(Undecided(reason.into())))
}

/// Runs `run` once per feasible path and hands its result and the path condition to `each`, until that breaks.
pub fn explore<T, B>(mut run: impl FnMut() -> T, mut each: impl FnMut(T, &[Bool]) -> ControlFlow<B>) -> ControlFlow<B> {
    let mut script = Vec::new();
    for _ in 0..MAX_PATHS {
        PATH.set(Some(Path { script, ..Path::default() }));
        let result = run();
        let path = PATH.take().expect("explorations do not nest");
        assert_eq!(path.next, path.script.len(), "the function is not deterministic");
        each(result, &path.condition)?;
        script = path.script;
        while script.pop_if(|step| !step.open).is_some() {}
        match script.last_mut() {
            None => return ControlFlow::Continue(()),
            Some(step) => *step = Step { outcome: !step.outcome, open: false },
        }
    }
    give_up(format!("more than {MAX_PATHS} paths"))
}

/// Forgets an exploration that a panic ended.
pub(crate) fn reset() {
    PATH.set(None);
}

/// Adds an assumption to the condition of the current path, so that later decisions know of it.
pub(crate) fn assume(flag: &Bool) {
    PATH.with_borrow_mut(|path| {
        if let Some(path) = path {
            path.condition.push(flag.simplify());
        }
    });
}

/// The outcome of a decision on the current path.
pub(crate) fn decide(flag: &Bool) -> bool {
    let flag = flag.simplify();
    if let Some(literal) = flag.as_bool() {
        return literal;
    }
    let Some(mut path) = PATH.take() else { panic!("a decision on data outside of an exploration: {flag}") };
    if path.next == path.script.len() {
        let feasible = |outcome: &Bool| {
            let mut query = path.condition.clone();
            query.push(outcome.clone());
            solver::satisfiable(&query).unwrap_or_else(|reason| give_up(reason))
        };
        let yes = feasible(&flag);
        let open = yes && feasible(&flag.not().simplify());
        path.script.push(Step { outcome: yes, open });
    }
    let outcome = path.script[path.next].outcome;
    path.next += 1;
    path.condition.push(if outcome { flag } else { flag.not().simplify() });
    PATH.set(Some(path));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sym::{SFlag, Sym};
    use semantics::word::{Flag, Word};

    #[test]
    fn every_feasible_path_is_taken_once() {
        let x = Sym::<64>::new("x");
        let run = || {
            let small = x.ult(&Sym::lit(10)).decide();
            let even = x.and(&Sym::lit(1)).is_zero().decide();
            // infeasible where x is small
            let large = x.ult(&Sym::lit(100)).not().decide();
            (small, even, large)
        };
        let mut seen = Vec::new();
        let _ = explore(run, |result, condition| {
            seen.push((result, condition.len()));
            ControlFlow::<()>::Continue(())
        });
        seen.sort_unstable();
        let paths: Vec<_> = seen.iter().map(|(path, _)| *path).collect();
        let (t, f) = (true, false);
        assert_eq!(paths, [(f, f, f), (f, f, t), (f, t, f), (f, t, t), (t, f, f), (t, t, f)]);
        assert!(seen.iter().all(|(_, conditions)| *conditions == 3));
    }

    #[test]
    fn literals_never_fork() {
        let run = || SFlag::lit(true).decide() && Sym::<8>::lit(3).ult(&Sym::lit(4)).decide();
        let mut results = Vec::new();
        let _ = explore(run, |result, _| {
            results.push(result);
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(results, [true]);
    }

    #[test]
    #[should_panic(expected = "not deterministic")]
    fn a_run_that_ends_early_is_noticed() {
        let mut first = true;
        let run = || std::mem::take(&mut first) && Sym::<8>::new("x").is_zero().decide();
        let _ = explore(run, |_, _| ControlFlow::<()>::Continue(()));
    }
}
