//! Comparisons counted and grouped by cause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use corpus::case::{Case, Verdict};
use semantics::insn::Version;
use verifier::explained::Explained;

use super::message;
use super::opinion::{Ours, Theirs, errno_name};
use super::relation::{Cause, Relation};
use super::runs;
use super::subject::{Examined, Origin, Subject};
use crate::examine::maps;
use crate::finding::Objection;
use crate::outside::Counts;

/// Examples that are kept of each group.
pub const EXAMPLES: usize = 3;

/// What became of one program on one kernel.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The program.
    pub subject: &'a Subject,
    /// What we say.
    pub ours: Ours,
    /// What they say.
    pub theirs: Theirs,
    /// How that relates.
    pub cause: Cause,
    /// Why they differ, if that is known.
    pub explained: Option<&'static Explained>,
    /// What the kernel wrote to its own log meanwhile.
    pub warnings: Vec<String>,
    /// What one of the kernel's engines objects to in a run.
    pub run: Option<Objection>,
}

/// Programs with the same cause.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
    /// Why they differ, if that is known.
    pub explained: Option<&'static Explained>,
    /// The first of them as a case that states what the kernel says, if somebody is wrong.
    pub case: Option<Case>,
}

/// One program of a group.
#[derive(Clone, Debug)]
pub struct Example {
    /// Where it is from.
    pub origin: Origin,
    /// What we say, with particulars.
    pub ours: String,
    /// What they say, with particulars.
    pub theirs: String,
}

/// What became of all programs on one kernel.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The kernel's version.
    pub kernel: Version,
    /// The dialect that it was compared with.
    pub dialect: &'static str,
    /// Programs compared.
    pub programs: u64,
    /// By cause, the gravest first.
    pub groups: BTreeMap<Cause, Group>,
    /// Instructions that both sides followed in programs that both accept: ours, theirs.
    pub insns: (u64, u64),
    /// Programs that both accept after the same number of instructions, and those where we need more, and fewer.
    pub same_insns: u64,
    /// See [`Tally::same_insns`].
    pub more_insns: u64,
    /// See [`Tally::same_insns`].
    pub fewer_insns: u64,
    /// Guests that were started.
    pub guests: u32,
    /// How long it took.
    pub elapsed: Duration,
    /// How often what came of runs on the kernel's engines.
    pub runs: Counts,
}

impl Comparison<'_> {
    /// The program as a case that states what the kernel says.
    fn case(&self, relation: Relation) -> Option<Case> {
        let mut case = self.subject.content.as_ref().ok()?.case("against");
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        (case.verdict, case.message) = match &self.theirs {
            Theirs::Accept { .. } => (Verdict::Accept, Vec::new()),
            Theirs::Reject { message, .. } => (Verdict::Reject, lines(message)),
            _ => (Verdict::Any, Vec::new()),
        };
        // What a program is run on says nothing about its verdict.
        if relation <= Relation::OtherMessage {
            case.runs.clear();
        }
        Some(case)
    }
}

impl Ours {
    /// It in words, with particulars.
    pub fn words(&self) -> String {
        match self {
            Ours::Accept { .. } => "accepted".to_owned(),
            Ours::Reject { message, .. } => message.clone(),
            Ours::Unsupported(what) => what.to_string(),
        }
    }
}

impl Theirs {
    /// It in words, with particulars.
    pub fn words(&self) -> String {
        match self {
            Theirs::Accept { .. } => "accepted".to_owned(),
            Theirs::Reject { message, .. } => message.clone(),
            Theirs::Impossible(what) => what.to_string(),
            Theirs::Lost { why } => why.clone(),
        }
    }
}

impl Tally {
    /// Nothing compared yet.
    pub fn new(kernel: Version, dialect: &'static str) -> Tally {
        Tally {
            kernel,
            dialect,
            programs: 0,
            groups: BTreeMap::new(),
            insns: (0, 0),
            same_insns: 0,
            more_insns: 0,
            fewer_insns: 0,
            guests: 0,
            elapsed: Duration::ZERO,
            runs: Counts::new(),
        }
    }

    /// Counts a comparison.
    pub fn add(&mut self, comparison: &Comparison<'_>) {
        self.programs += 1;
        if let (Ours::Accept { insns }, Theirs::Accept { insns: Some(theirs) }) = (&comparison.ours, &comparison.theirs)
        {
            self.insns = (self.insns.0 + u64::from(*insns), self.insns.1 + u64::from(*theirs));
            match insns.cmp(theirs) {
                std::cmp::Ordering::Equal => self.same_insns += 1,
                std::cmp::Ordering::Greater => self.more_insns += 1,
                std::cmp::Ordering::Less => self.fewer_insns += 1,
            }
        }
        let example = || Example {
            origin: comparison.subject.origin.clone(),
            ours: comparison.ours.words(),
            theirs: comparison.theirs.words(),
        };
        self.group(comparison, comparison.cause.clone(), comparison.explained, example());
        if let Some(objection) = &comparison.run {
            let (ours, theirs) = ("interpreter".to_owned(), objection.kind.clone());
            let engines = objection.engines.last().map_or_else(String::new, |engine| format!("{engine}: "));
            let cause = Cause { relation: runs::relation(objection), ours, theirs: format!("{engines}{theirs}") };
            self.group(comparison, cause, None, Example { theirs: objection.text.clone(), ..example() });
        }
        if let Some(first) = comparison.warnings.first() {
            let theirs = super::message::cause(first);
            let cause = Cause { relation: Relation::Warning, ours: String::new(), theirs };
            self.group(comparison, cause, None, Example { theirs: comparison.warnings.join("\n"), ..example() });
        }
    }

    /// Counts what a kernel and the model say of a map and of commands on it.
    pub fn add_map(&mut self, name: &str, differences: &BTreeSet<maps::Difference>) {
        self.programs += 1;
        let mut count = |relation, ours: String, theirs: String| {
            let cause = Cause { relation, ours: message::cause(&ours), theirs: message::cause(&theirs) };
            let (examples, explained, case) = (Vec::new(), None, None);
            let group = self.groups.entry(cause).or_insert(Group { count: 0, examples, explained, case });
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                let origin = Origin::Examined { what: Examined::Maps, name: name.to_owned() };
                group.examples.push(Example { origin, ours, theirs });
            }
        };
        if differences.is_empty() {
            count(Relation::BothAccept, "alike".to_owned(), "alike".to_owned());
        }
        for difference in differences {
            match difference {
                maps::Difference::Unsupported => {
                    count(Relation::Unsupported, "the map is not modelled".to_owned(), String::new());
                }
                maps::Difference::Creation { theirs, ours } => {
                    let said = |errno: i32| if errno == 0 { "made".to_owned() } else { errno_name(errno) };
                    count(Relation::OtherMap, said(*ours), said(*theirs));
                }
                maps::Difference::Step { theirs, ours, .. } => count(Relation::OtherMap, ours.clone(), theirs.clone()),
            }
        }
    }

    fn group(
        &mut self,
        comparison: &Comparison<'_>,
        cause: Cause,
        explained: Option<&'static Explained>,
        example: Example,
    ) {
        let relation = cause.relation;
        let group = self.groups.entry(cause).or_insert_with(|| {
            let case = if relation.is_disagreement() { comparison.case(relation) } else { None };
            Group { count: 0, examples: Vec::new(), explained, case }
        });
        group.count += 1;
        // A group is explained if all of it is.
        group.explained = group.explained.filter(|_| explained.is_some());
        if group.examples.len() < EXAMPLES {
            group.examples.push(example);
        }
    }

    /// How many programs stand in this relation.
    pub fn count(&self, relation: Relation) -> u64 {
        self.groups.iter().filter(|(cause, _)| cause.relation == relation).map(|(_, group)| group.count).sum()
    }

    /// Disagreements that nothing explains.
    pub fn unexplained(&self) -> u64 {
        let is_open = |cause: &Cause, group: &Group| cause.relation.is_disagreement() && group.explained.is_none();
        self.groups.iter().filter(|(cause, group)| is_open(cause, group)).map(|(_, group)| group.count).sum()
    }

    /// Groups by weight: the gravest relation first, those that are explained last in it, then the largest.
    pub fn by_weight(&self) -> Vec<(&Cause, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(cause, group)| {
            (cause.relation, group.explained.is_some(), std::cmp::Reverse(group.count), *cause)
        });
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::against::relation::relate;
    use crate::against::subject::Lack;
    use Relation as R;
    use corpus::runner::Skip;

    fn subject(number: u64) -> Subject {
        let origin = Origin::File { path: "cases.yaml".into(), name: format!("case {number}") };
        Subject { origin, content: Err(Lack::Skip(Skip::NothingToRun)) }
    }

    fn add(tally: &mut Tally, number: u64, ours: &str, theirs: &str, warnings: &[&str]) {
        let ours = match ours {
            "accepted" => Ours::Accept { insns: 3 },
            message => Ours::Reject { message: message.to_owned(), is_longer: false },
        };
        let theirs = match theirs {
            "accepted" => Theirs::Accept { insns: Some(4) },
            message => Theirs::Reject { message: message.to_owned(), errno: 13 },
        };
        let cause = relate(&ours, &theirs);
        let warnings = warnings.iter().map(|&text| text.to_owned()).collect();
        tally.add(&Comparison { subject: &subject(number), ours, theirs, cause, explained: None, warnings, run: None });
    }

    #[test]
    fn groups_are_causes_and_the_gravest_comes_first() {
        let mut tally = Tally::new(Version(6, 1), "6.1");
        for number in 0..5 {
            add(&mut tally, number, &format!("R{number} !read_ok"), "unknown opcode 8f", &[]);
        }
        add(&mut tally, 5, "accepted", "R0 !read_ok", &[]);
        add(&mut tally, 6, "accepted", "accepted", &[]);
        add(&mut tally, 7, "R0 !read_ok", "R0 !read_ok", &["WARNING: CPU: 0 PID: 1"]);
        let groups = tally.by_weight();
        let seen: Vec<_> = groups.iter().map(|(cause, group)| (cause.relation, group.count)).collect();
        let expected =
            [(R::Warning, 1), (R::OnlyWeAccept, 1), (R::OtherMessage, 5), (R::BothAccept, 1), (R::BothReject, 1)];
        assert_eq!(seen, expected);
        assert_eq!((tally.programs, tally.unexplained(), tally.count(R::OtherMessage)), (8, 7, 5));
        assert_eq!((tally.insns, tally.fewer_insns), ((3, 4), 1));
        let examples = &groups[2].1.examples;
        assert_eq!(examples.len(), EXAMPLES);
        assert_eq!(examples[1].ours, "R1 !read_ok");
        assert_eq!(examples[1].origin.arguments(), "cases.yaml --case 'case 1'");
    }
}
