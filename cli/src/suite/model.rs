//! What the model says of a case before a kernel is asked: inputs that a test run takes, and what of a run is determined.

use corpus::case::Case;
use fuzz::outside::LONG_RESULTS;
use semantics::engine::LinuxVersion;
use semantics::insn::Version;
use semantics::interpreter::{self, FUEL};
use semantics::memory::{ArenaError, Memory};
use semantics::open::{Open, Origins};
use semantics::outcome::{Outcome, Sight};
use semantics::program::Program;
use semantics::world::{Input, World};

/// Bytes of a packet that every test run takes: a link-layer header and something behind it.
const PACKET_MIN: usize = 20;
/// What must be alike for a longer packet to stand for a shorter one.
const BUT_THE_PACKET: Sight = Sight { whole_r0: true, packet: false, ..Sight::USER_SPACE };

/// A case as a kernel is asked about it.
#[derive(Debug)]
pub(super) struct Prepared {
    /// With packets that a test run takes, where that makes no difference.
    pub case: Case,
    /// What is open in each run; nothing where the model cannot run it.
    pub open: Vec<Open>,
}

/// Runs cases to learn about them.
#[derive(Debug)]
pub(super) struct Model {
    world: World,
    /// The kernel's operations of maps return `int`.
    int_errors: bool,
}

impl Model {
    /// For what this version of Linux is asked.
    pub(super) fn new(kernel: LinuxVersion) -> Result<Model, ArenaError> {
        Ok(Model { world: World::new(Memory::detached()?), int_errors: kernel < LONG_RESULTS })
    }

    /// A packet too short for a test run is filled up with zeros if the program comes to the same with that.
    pub(super) fn prepare(&mut self, case: &Case) -> Prepared {
        let mut case = case.clone();
        let mut open = vec![Open::default(); case.runs.len()];
        let Ok(program) = case.program() else { return Prepared { case, open } };
        if self.world.load(&program).is_err() {
            return Prepared { case, open };
        }
        for (run, open) in case.runs.iter_mut().zip(&mut open) {
            let Some((ours, ours_open)) = self.run(&program, &run.input) else { continue };
            if run.input.packet.len() < PACKET_MIN && run.expect.packet.is_none() {
                let mut longer = run.input.clone();
                longer.packet.resize(PACKET_MIN, 0);
                let other = self.run(&program, &longer);
                let is_same =
                    |(other, _): &(Outcome, Open)| ours.difference_within(other, BUT_THE_PACKET, &ours_open).is_none();
                if other.as_ref().is_some_and(is_same) {
                    run.input = longer;
                }
            }
            *open = ours_open;
        }
        Prepared { case, open }
    }

    fn run(&mut self, program: &Program, input: &Input) -> Option<(Outcome, Open)> {
        self.world.reset(input).ok()?;
        let mut origins = if self.int_errors { Origins::with_int_errors() } else { Origins::default() };
        let stop = interpreter::run(program, &mut self.world, FUEL, &mut origins);
        stop.result.is_ok().then(|| (self.world.outcome(stop.result), origins.finish(&self.world)))
    }
}

/// The first instruction that this version of Linux does not have yet, and the one that has it.
pub(super) fn newer(case: &Case, kernel: LinuxVersion) -> Option<(&'static str, Version)> {
    let program = case.program().ok()?;
    let kernel = Version(kernel.major, kernel.minor);
    let rows = program.insns().iter().map(|insn| insn.opcode.row());
    rows.map(|row| (row.name, row.op.since())).find(|(_, since)| *since > kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::case::Run;
    use semantics::program_type::ProgramType;

    fn prepared(text: &str) -> Prepared {
        let insns = semantics::asm::assemble(text).expect("assembly");
        let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
        let case = Case { runs: vec![Run::default()], ..Case::of_program("p", &program) };
        Model::new(LinuxVersion { major: 6, minor: 12 }).expect("memory").prepare(&case)
    }

    #[test]
    fn packets_are_filled_up_where_nobody_looks() {
        assert_eq!(prepared("r0 = 7; exit").case.runs[0].input.packet, vec![0; PACKET_MIN]);
        let length = "r2 = *(u32 *)(r1 + 0); r0 = *(u32 *)(r1 + 4); r0 -= r2; exit";
        assert!(prepared(length).case.runs[0].input.packet.is_empty());
    }

    #[test]
    fn what_is_open_is_known() {
        assert!(prepared("call ktime_get_ns; exit").open[0].result());
        assert!(!prepared("call ktime_get_ns; r0 = 1; exit").open[0].result());
    }

    #[test]
    fn instructions_have_their_age() {
        let case = |text| prepared(text).case;
        let version = |major, minor| LinuxVersion { major, minor };
        assert_eq!(newer(&case("r0 = 1; r0 s/= r0; exit"), version(6, 1)), Some(("Sdiv64X", Version(6, 6))));
        assert_eq!(newer(&case("r0 = 1; r0 s/= r0; exit"), version(6, 6)), None);
        assert_eq!(newer(&case("r0 = 1; exit"), version(6, 1)), None);
    }
}
