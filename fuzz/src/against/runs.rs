//! Runs of programs that a kernel takes: on both of its engines and on our interpreter.

use std::sync::{Arc, Mutex};

use linux::{Kernel, LinuxEngine, Machine, Settings};
use semantics::engine::{Engine, LinuxMode, LinuxVersion};
use semantics::memory::{ArenaError, Memory};
use semantics::program::Program;
use semantics::world::World;

use super::relation::Relation;
use super::subject::{Content, Origin, Subject};
use crate::finding::Objection;
use crate::oracle::Oracle;
use crate::outside::{BATCH, Counts, Outside, fit};
use crate::target::Target;
use crate::test::Test;

/// A kernel's engines, and a world for ours.
#[derive(Debug)]
pub struct Runs {
    outside: Outside,
    world: World,
}

/// What a program is run on, each as a test. What the generator made is fitted to what a kernel takes, what somebody wrote is not.
pub fn tests(subject: &Subject, program: &Arc<Program>) -> Vec<Test> {
    let Ok(Content::Case(case)) = &subject.content else { return Vec::new() };
    let test = |run: &corpus::Run| Test { program: Arc::clone(program), input: run.input.clone() };
    let tests = case.runs.iter().map(test);
    if matches!(subject.origin, Origin::Generated { .. }) { tests.map(fit).collect() } else { tests.collect() }
}

impl Runs {
    /// On a guest with this kernel, which starts when there is something to run.
    pub fn on(kernel: &Kernel) -> Result<Runs, ArenaError> {
        let (major, minor) = kernel.number();
        let version = LinuxVersion { major: major as u16, minor: minor as u16 };
        let machine = Arc::new(Mutex::new(Machine::new(kernel.clone(), Settings::default())));
        let engine = |mode| Ok(Box::new(LinuxEngine::new(Arc::clone(&machine), version, mode)?) as Box<dyn Engine>);
        let engines: Result<Vec<_>, ArenaError> = LinuxMode::ALL.into_iter().map(engine).collect();
        // That the kernel takes a program is known: who verified it here does not matter.
        Ok(Runs { outside: Outside::new(engines?, Target::Closed), world: World::new(Memory::detached()?) })
    }

    /// What the kernel's engines object to, by the number beside the test.
    pub fn ask(&mut self, tests: &[(usize, Test)]) -> Vec<(usize, Objection)> {
        let mut found = Vec::new();
        for batch in tests.chunks(BATCH) {
            let asked: Vec<&Test> = batch.iter().map(|(_, test)| test).collect();
            let objections = self.outside.ask(&asked, &mut self.world);
            found.extend(batch.iter().zip(objections).filter_map(|((at, _), objection)| Some((*at, objection?))));
        }
        found
    }

    /// How often what came of runs.
    pub fn counts(&self) -> &Counts {
        &self.outside.counts
    }
}

/// How sides stand to each other whose runs somebody objects to.
pub fn relation(objection: &Objection) -> Relation {
    match (objection.oracle, objection.kind.as_str()) {
        (Oracle::Survives, _) => Relation::Warning,
        (Oracle::Agree, kind) if kind.ends_with("packet") => Relation::OtherPacket,
        (Oracle::Agree, kind) if kind.contains("value of map") => Relation::OtherMap,
        _ => Relation::OtherResult,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::memory::Object;
    use semantics::outcome::Difference;

    #[test]
    fn objections_have_their_relations() {
        let at = |object| Difference::Byte { object, key: Vec::new(), offset: 0, values: (0, 1) };
        let relation = |difference| relation(&Objection::disagreement("linux-6.1-jit", &difference));
        assert_eq!(relation(Difference::Result(Ok(0), Ok(1))), Relation::OtherResult);
        assert_eq!(relation(at(Object::Packet)), Relation::OtherPacket);
        assert_eq!(relation(at(Object::MapValue(0))), Relation::OtherMap);
        assert_eq!(relation(Difference::Object(Object::MapValue(0))), Relation::OtherMap);
    }
}
