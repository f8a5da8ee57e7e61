//! Engines with worlds of their own: what is objected to, and what is only counted. No kernel is needed: they are made up.

use std::sync::Arc;

use fuzz::finding::Objection;
use fuzz::oracle::Oracle;
use fuzz::outside::{Outside, dialect, fit};
use fuzz::target::Target;
use fuzz::test::Test;
use semantics::engine::{Engine, EngineId, Lack, LinuxMode, LinuxVersion};
use semantics::interpreter::Interpreter;
use semantics::memory::Memory;
use semantics::outcome::Sight;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::trap::{RunLack, Trap, Unsupported};
use semantics::world::{Input, World};

const VERSION: LinuxVersion = LinuxVersion { major: 6, minor: 1 };
const ID: EngineId = EngineId::Linux(VERSION, LinuxMode::Jit);

/// How a made-up kernel differs from the interpreter.
#[derive(Clone, Copy)]
enum Mistake {
    None,
    /// R0 is this much larger.
    R0(u64),
    Refuses,
    Warns,
    CannotRun,
}

struct Fake(Interpreter, Mistake);

impl Engine for Fake {
    fn id(&self) -> EngineId {
        ID
    }
    fn sight(&self) -> Sight {
        Sight { whole_r0: true, ..Sight::USER_SPACE }
    }
    fn load(&mut self, program: &Verified) -> Result<(), Lack> {
        match self.1 {
            Mistake::Refuses => {
                Err(Lack::Refused { engine: ID, log: "0: (b7)\nR1 is wrong\nprocessed 1 insns".into() })
            }
            _ => self.0.load(program),
        }
    }
    fn run(&mut self, world: &mut World) -> Result<u64, Trap> {
        match self.1 {
            Mistake::CannotRun => Err(Unsupported::Run { engine: ID, why: RunLack::TestRun(524) }.into()),
            Mistake::R0(by) => self.0.run(world).map(|r0| r0.wrapping_add(by)),
            _ => self.0.run(world),
        }
    }
    fn complaint(&mut self) -> Option<String> {
        matches!(self.1, Mistake::Warns).then(|| "WARNING: CPU: 0 PID: 71 at kernel/bpf/verifier.c:5\nRIP".to_owned())
    }
}

fn test(text: &str) -> Test {
    let insns = semantics::asm::assemble(text).expect("assembly");
    let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
    fit(Test { program: Arc::new(program), input: Input::default() })
}

/// What is objected to, and what is counted.
fn ask(mistake: Mistake, text: &str, target: Target) -> (Option<Objection>, Vec<String>) {
    let mut outside = Outside::new(vec![Box::new(Fake(Interpreter::default(), mistake))], target);
    let mut world = World::new(Memory::detached().expect("memory"));
    let test = test(text);
    let objection = outside.ask(&[&test], &mut world).remove(0);
    (objection, outside.counts.into_keys().collect())
}

#[test]
fn mistakes_are_found_and_the_rest_is_counted() {
    let of = |mistake, text| ask(mistake, text, Target::InterpreterVsJit);
    let plain = "r0 = 1; exit";
    assert_eq!(of(Mistake::None, plain), (None, vec!["linux-6.1-jit compared: whole".to_owned()]));
    let wrong = of(Mistake::R0(1 << 40), plain).0.expect("an objection");
    assert_eq!(
        (wrong.oracle, wrong.engines),
        (Oracle::Agree, vec!["interpreter".to_owned(), "linux-6.1-jit".to_owned()])
    );
    let refused = of(Mistake::Refuses, plain).0.expect("an objection");
    assert_eq!((refused.oracle, refused.kind.as_str()), (Oracle::Verdict, "R# is wrong"));
    let warns = of(Mistake::Warns, plain).0.expect("an objection");
    assert_eq!(
        (warns.oracle, warns.kind.as_str()),
        (Oracle::Survives, "WARNING: CPU: # PID: # at kernel/bpf/verifier.c:#")
    );
    let (objection, counts) = of(Mistake::CannotRun, plain);
    assert_eq!((objection, counts[0].as_str()), (None, "linux-6.1-jit not run: BPF_PROG_TEST_RUN fails with ENOTSUPP"));
    // Nobody verified a closed program here, and what both refuse is none.
    assert_eq!(ask(Mistake::Refuses, plain, Target::Closed).0, None);
    assert_eq!(of(Mistake::Refuses, "r0 = r6; exit").0, None);
}

/// What is computed from addresses, clocks and random numbers is not compared; what is not computed from them is.
#[test]
fn what_is_left_open_is_not_compared() {
    let of = |text| ask(Mistake::R0(1), text, Target::InterpreterVsJit);
    let open = [
        "r0 = r1; exit",
        "w0 = w10; exit",
        "call ktime_get_ns; r0 >>= 3; exit",
        "call get_prandom_u32; if r0 > 5 goto +1; r0 = 0; exit",
        "*(u64 *)(r10 - 8) = r10; r0 = *(u64 *)(r10 - 8); exit",
    ];
    for text in open {
        assert_eq!(of(text).0, None, "{text}");
    }
    let determined = [
        "r2 = *(u32 *)(r1 + 0); r0 = *(u32 *)(r1 + 4); r0 -= r2; exit",
        "call get_prandom_u32; r0 = 7; exit",
        "r0 = r10; r0 -= r10; exit",
        "*(u64 *)(r10 - 8) = 3; r0 = *(u64 *)(r10 - 8); exit",
    ];
    for text in determined {
        assert!(of(text).0.is_some(), "{text}");
    }
}

#[test]
fn each_kernel_has_the_rules_of_its_version_or_of_the_one_before() {
    let name = |major, minor| dialect(LinuxVersion { major, minor }).name;
    assert_eq!([name(5, 10), name(6, 1), name(6, 12), name(7, 2), name(8, 0)], ["6.1", "6.1", "6.12", "7.2", "7.2"]);
}
