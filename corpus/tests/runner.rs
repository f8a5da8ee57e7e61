//! The runner notices each kind of failure: one that could not fail would prove nothing.

use std::path::Path;
use std::sync::Arc;

use corpus::runner::{CaseResult, Judgement, On, Runner, Skip, Untried};
use semantics::engine::{Engine, EngineId, Lack};
use semantics::interpreter::Interpreter;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::trap::{Trap, Unsupported};
use semantics::world::World;

fn world() -> World {
    World::new(Memory::detached().expect("guest memory"))
}

/// What becomes of a case on the interpreter, in words.
fn interpreted(yaml: &str) -> String {
    let case = corpus::read::parse(yaml, Path::new("f")).unwrap_or_else(|error| panic!("{error}")).remove(0);
    Runner::new(&mut world()).run(&case).to_string()
}

/// A verifier that says the same of every program.
fn accept(program: &Arc<Program>) -> Judgement {
    // SAFETY: the programs of these tests run on the interpreter only, which checks every access.
    Judgement::Accepted { verified: unsafe { Verified::trust(Arc::clone(program)) }, log: "all is well".to_owned() }
}

fn verified(yaml: &str, verify: &mut dyn FnMut(&Arc<Program>) -> Judgement) -> String {
    let case = corpus::read::parse(yaml, Path::new("f")).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let mut verify = |program: &Arc<Program>| verify(program);
    Runner::new(&mut world()).verify(&mut verify).run(&case).to_string()
}

#[test]
fn results_packets_and_maps_are_compared() {
    let map = "maps: {m: {type: hash, key_size: 1, value_size: 1, max_entries: 2}}";
    let array = "maps: {m: {type: array, key_size: 4, value_size: 1, max_entries: 2}}";
    let input = |rest: &str| format!("- {{name: n, asm: r0 = 1; exit, {map}, inputs: [{{{rest}}}]}}");
    for (yaml, expected) in [
        ("- {name: n, asm: r0 = 1; exit, result: 1}".to_owned(), "passed"),
        (
            "- {name: n, asm: r0 = 1; exit, result: 2}".to_owned(),
            "failed: input 0: interpreter ends with 0x1, expected is 0x2",
        ),
        (input("expect: {trap: fuel}"), "failed: input 0: interpreter ends with 0x1, expected is a trap with `fuel`"),
        (input("expect: {return: 2}"), "failed: input 0: interpreter ends with 0x1, expected is 0x2 in the low half"),
        (
            input("packet: '01', expect: {packet: '02'}"),
            "failed: input 0: interpreter leaves the packet 01, expected is 02",
        ),
        (
            input("maps: {m: [{key: '05', value: '06'}]}, expect: {maps: {m: []}}"),
            "failed: input 0: interpreter leaves m[05] = 06, expected is nothing",
        ),
        (
            input("expect: {maps: {m: [{key: '05', value: '06'}]}}"),
            "failed: input 0: interpreter leaves m[05] = nothing, expected is 06",
        ),
        (input("expect: {maps: {m: []}}"), "passed"),
        (
            format!(
                "- {{name: n, asm: r0 = 1; exit, {array}, inputs: [{{maps: {{m: [{{key: '01000000', value: '02'}}]}}, expect: {{maps: {{m: []}}}}}}]}}"
            ),
            "failed: input 0: interpreter leaves m[01000000] = 02, expected is 00",
        ),
        (
            "- {name: n, asm: 'again: goto again', result: 0}".to_owned(),
            "failed: input 0: interpreter ends with the trap `out of fuel`, expected is 0x0",
        ),
        ("- {name: n, asm: r0 = 1}".to_owned(), "failed: no program: last insn is not an exit or jmp: insn 0"),
        ("- {name: n, asm: r0 = 1, expect: {verdict: reject, message: last insn}}".to_owned(), "passed"),
        (
            "- {name: n, asm: r0 = 1, expect: {verdict: reject, message: other}}".to_owned(),
            "failed: the log lacks `other`; its end: last insn is not an exit or jmp: insn 0",
        ),
        (
            "- {name: n, hex: e500000000000000 9500000000000000, result: 1}".to_owned(),
            "skipped: instruction not modelled: may_goto",
        ),
        ("- {name: n, asm: call 147; exit, result: 0}".to_owned(), "skipped: helper d_path#147 is not modelled"),
        ("- {name: n, asm: r0 = 1; exit}".to_owned(), "skipped: nothing to run"),
    ] {
        assert_eq!(interpreted(&yaml), expected, "{yaml}");
    }
}

#[test]
fn verdicts_and_messages_are_compared() {
    let rejected = |_: &Arc<Program>| Judgement::Rejected { log: "first\nsecond\n".to_owned() };
    let case = |expect: &str| format!("- {{name: n, asm: r0 = 1; exit, expect: {{{expect}}}}}");
    for (expect, expected) in [
        ("verdict: reject", "passed"),
        ("verdict: reject, message: [first, second]", "passed"),
        ("verdict: reject, message: [second, first]", "failed: the log lacks `first`; its end: second"),
        ("verdict: accept", "failed: rejected: second"),
        ("verdict: any", "skipped: nothing to run"),
    ] {
        assert_eq!(verified(&case(expect), &mut { rejected }), expected, "{expect}");
    }
    assert_eq!(verified(&case("verdict: reject"), &mut accept), "failed: accepted, expected is a rejection");
    assert_eq!(verified(&case("verdict: accept, message: well"), &mut accept), "passed");
    let lacking = |_: &Arc<Program>| Judgement::Unsupported(Skip::Helper("none"));
    assert_eq!(verified(&case("verdict: accept"), &mut { lacking }), "skipped: helper not modelled: none");
    // What the verifier cannot judge still runs, and that it was not judged is kept.
    let run =
        |verdict, result| format!("- {{name: n, asm: r0 = 1; exit, result: {result}, expect: {{verdict: {verdict}}}}}");
    for verdict in ["accept", "reject"] {
        let case = corpus::read::parse(&run(verdict, 1), Path::new("f")).expect("a case").remove(0);
        let mut verify = |program: &Arc<Program>| lacking(program);
        let mut world = world();
        let CaseResult::Passed(untried) = Runner::new(&mut world).verify(&mut verify).run(&case) else {
            panic!("{verdict}: it does not pass");
        };
        assert_eq!(untried, [Untried { on: On::Verifier, why: Skip::Helper("none") }]);
        assert!(verified(&run(verdict, 2), &mut { lacking }).starts_with("failed: input 0"));
    }
}

/// An engine with a mistake in it.
struct Wrong(Interpreter);

impl Engine for Wrong {
    fn id(&self) -> EngineId {
        EngineId::Other("wrong")
    }
    fn load(&mut self, program: &Verified) -> Result<(), Lack> {
        self.0.load(program)
    }
    fn run(&mut self, world: &mut World) -> Result<u64, Trap> {
        self.0.run(world).map(|r0| r0 ^ 1 << 40)
    }
}

#[test]
fn engines_are_compared_with_each_other() {
    let yaml = "- {name: n, asm: r0 = 1; exit, inputs: [{expect: {return: 1}}]}";
    let case = corpus::read::parse(yaml, Path::new("f")).expect("a case").remove(0);
    let (mut world, mut wrong, mut right) = (world(), Wrong(Interpreter::default()), Interpreter::default());
    let result = Runner::new(&mut world).verify(&mut accept).engine(&mut right).run(&case);
    assert!(matches!(result, CaseResult::Passed(_)), "{result}");
    let result = Runner::new(&mut world).verify(&mut accept).engine(&mut wrong).run(&case);
    assert_eq!(
        result.to_string(),
        "failed: input 0: interpreter and wrong disagree: r0 = 0x1 against r0 = 0x10000000001"
    );
}

/// An engine that lacks something is left out, and that is kept.
#[test]
fn an_engine_that_lacks_something_is_left_out() {
    struct Lacking;
    impl Engine for Lacking {
        fn id(&self) -> EngineId {
            EngineId::Other("lacking")
        }
        fn load(&mut self, _: &Verified) -> Result<(), Lack> {
            Err(Unsupported::Insn { engine: "lacking", insn: "Mov64K" }.into())
        }
        fn run(&mut self, _: &mut World) -> Result<u64, Trap> {
            unreachable!("nothing is loaded")
        }
    }
    let yaml = "- {name: n, asm: r0 = 1; exit, result: 1}";
    let case = corpus::read::parse(yaml, Path::new("f")).expect("a case").remove(0);
    let (mut world, mut lacking) = (world(), Lacking);
    let result = Runner::new(&mut world).verify(&mut accept).engine(&mut lacking).run(&case);
    let CaseResult::Passed(untried) = result else { panic!("{result}") };
    assert_eq!(untried.len(), 1);
    assert_eq!(untried[0].on, On::Engine(EngineId::Other("lacking")));
    assert_eq!(untried[0].why.to_string(), "lacking does not have the instruction Mov64K");
}

/// A native engine never gets what nobody accepted.
#[test]
fn unverified_programs_stay_on_the_interpreter() {
    let yaml = "- {name: n, asm: r0 = 1; exit, result: 1, expect: {verdict: any}}";
    let case = corpus::read::parse(yaml, Path::new("f")).expect("a case").remove(0);
    let (mut world, mut wrong) = (world(), Wrong(Interpreter::default()));
    let result = Runner::new(&mut world).engine(&mut wrong).run(&case);
    assert!(matches!(result, CaseResult::Passed(_)), "{result}");
    let result = Runner::new(&mut world).without_interpreter().engine(&mut wrong).run(&case);
    assert!(matches!(result, CaseResult::Skipped(Skip::NotVerified)), "{result}");
}
