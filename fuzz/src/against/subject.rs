//! Programs that both sides are asked about: cases of suites, programs of objects, generated ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::case::{Case, Code, Malformed, Run, Verdict};
use corpus::error::ReadError;
use corpus::runner::Skip;
use corpus::suite;
use semantics::insn::table::TABLE;
use semantics::loader::{LoadError, LoadOptions, Object};
use semantics::program::{Program, ProgramError};
use semantics::{encoding, helper};

use super::mutate;
use crate::dice::Dice;
use crate::examine::{forms, helpers};
use crate::generate::Options;
use crate::target::{Generator, Target};
use crate::test::Test;

/// A program with where it is from.
#[derive(Debug)]
pub struct Subject {
    /// Where it is from.
    pub origin: Origin,
    /// The program, or why there is none that a kernel could be asked about.
    pub content: Result<Content, Lack>,
}

/// A program as it is handed in.
#[derive(Clone, Debug)]
pub enum Content {
    /// Instructions as they are written, which may be none.
    Case(Box<Case>),
    /// A program that was loaded from an object.
    Program(Arc<Program>),
}

/// Where a program is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A case or an object's program, by its name in the file.
    File {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// An examination, by its name.
    Examined {
        /// Of what.
        what: Examined,
        /// The name of its case.
        name: String,
    },
    /// The generator.
    Generated {
        /// How it is made.
        make: Make,
        /// The seed.
        seed: u64,
        /// The number under this seed.
        number: u64,
    },
}

impl Origin {
    /// What `touchstone compare` is to be given for this program alone.
    pub fn arguments(&self) -> String {
        match self {
            Origin::File { path, name } => format!("{} --case {}", quoted(&path.display().to_string()), quoted(name)),
            Origin::Examined { what, name } => format!("--examine {} --case {}", what.name(), quoted(name)),
            Origin::Generated { make, seed, number } => {
                format!("--generated 1 --target {} --seed {seed} --number {number}", make.name())
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, name } => write!(f, "{}: {name}", path.display()),
            Origin::Examined { name, .. } => f.write_str(name),
            Origin::Generated { make, seed, number } => write!(f, "{} {seed}/{number}", make.name()),
        }
    }
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Why there is no program to ask a kernel about.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// A case that says something that is not modelled.
    #[error(transparent)]
    Skip(#[from] Skip),
    /// A program of an object that cannot be loaded.
    #[error("the object's program cannot be loaded: {0}")]
    Load(#[from] Box<LoadError>),
    /// The case cannot be handed to a kernel.
    #[error("the case cannot be handed in: {0}")]
    Case(#[from] Malformed),
}

/// What programs are examinations of ([`crate::examine`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Examined {
    /// The rows of the instruction table.
    Forms,
    /// The helpers that are modelled.
    Helpers,
    /// Maps from user space: no programs ([`super::Bench::examine_maps`]).
    Maps,
}

impl Examined {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Examined::Forms => "forms",
            Examined::Helpers => "helpers",
            Examined::Maps => "maps",
        }
    }

    /// All its programs.
    pub fn subjects(self) -> Result<Vec<Subject>, ProgramError> {
        let cases: Result<Vec<Vec<Case>>, ProgramError> = match self {
            // A row without a case is shown by others.
            Examined::Forms => TABLE.iter().map(|row| Ok(forms::cases(row.opcode)?.unwrap_or_default())).collect(),
            Examined::Helpers => helper::modelled().map(|(_, helper)| helpers::cases(helper.fact().name)).collect(),
            Examined::Maps => Ok(Vec::new()),
        };
        let subject = |case: Case| Subject {
            origin: Origin::Examined { what: self, name: case.name.clone() },
            content: Ok(Content::Case(Box::new(case))),
        };
        Ok(cases?.into_iter().flatten().map(subject).collect())
    }
}

/// Which programs the generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Make {
    /// Well-typed ones, of which our verifier accepts most.
    Verified,
    /// The same with a few instructions changed, of which most are rejected.
    Rejected,
    /// Over every instruction that the JIT lowers, safe by construction.
    Closed,
}

impl Make {
    /// All of them.
    pub const ALL: [Make; 3] = [Make::Verified, Make::Rejected, Make::Closed];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Make::Verified => "verified",
            Make::Rejected => "rejected",
            Make::Closed => "closed",
        }
    }
    /// The one with this name.
    pub fn by_name(name: &str) -> Option<Make> {
        Make::ALL.into_iter().find(|make| make.name() == name)
    }
    fn target(self) -> Target {
        match self {
            Make::Verified | Make::Rejected => Target::InterpreterVsJit,
            Make::Closed => Target::Closed,
        }
    }
}

/// Makes programs by number.
#[derive(Debug)]
pub struct Maker {
    make: Make,
    seed: u64,
    generator: Generator,
}

impl Maker {
    /// Of programs of this kind, under this seed.
    pub fn new(make: Make, seed: u64) -> Maker {
        Maker { make, seed, generator: Generator::new(make.target(), Options::default(), &[]) }
    }

    /// Program `number`: the same for the same seed.
    pub fn subject(&self, number: u64) -> Subject {
        let test = self.generator.test(Dice::new(self.seed, number));
        let slots = match self.make {
            Make::Verified | Make::Closed => encoding::encode(test.program.insns()),
            // Other draws than those that the program was made with.
            Make::Rejected => mutate::mutated(&test.program, &mut Dice::new(!self.seed, number)),
        };
        let origin = Origin::Generated { make: self.make, seed: self.seed, number };
        Subject { content: Ok(Content::Case(Box::new(case(&test, slots, &origin)))), origin }
    }
}

fn case(test: &Test, slots: Vec<u8>, origin: &Origin) -> Case {
    let mut case = Case::of_program(origin.to_string(), &test.program);
    case.code = Code::Slots(slots);
    case.verdict = Verdict::Any;
    case.runs = vec![Run { input: test.input.clone(), ..Run::default() }];
    case
}

/// Why a file has no programs.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// It holds no cases.
    #[error(transparent)]
    Cases(#[from] ReadError),
    /// It is no object.
    #[error("{path}: {error}")]
    Object {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: Box<LoadError>,
    },
}

/// The programs of a file.
pub fn read(file: &Path) -> Result<Vec<Subject>, FileError> {
    let origin = |name: String| Origin::File { path: file.to_owned(), name };
    if file.extension().is_none_or(|extension| extension != "o") {
        let subject = |entry: suite::Entry| Subject {
            origin: origin(entry.name),
            content: entry.case.map(|case| Content::Case(Box::new(case))).map_err(Lack::from),
        };
        return Ok(suite::read(file)?.into_iter().map(subject).collect());
    }
    let bytes = std::fs::read(file).map_err(|error| FileError::Io { path: file.to_owned(), error })?;
    let no_object = |error: LoadError| FileError::Object { path: file.to_owned(), error: Box::new(error) };
    let object = Object::parse(&bytes).map_err(no_object)?;
    let options = LoadOptions::default();
    let programs = object.programs();
    let subjects = programs.into_iter().zip(object.load_all(&options)).map(|(section, loaded)| Subject {
        origin: origin(section.program),
        content: loaded.map(|program| Content::Program(Arc::new(program))).map_err(|error| Box::new(error).into()),
    });
    Ok(subjects.collect())
}

impl Content {
    /// The program as we read it.
    pub fn program(&self) -> Result<Arc<Program>, Malformed> {
        match self {
            Content::Case(case) => Ok(Arc::new(case.program()?)),
            Content::Program(program) => Ok(Arc::clone(program)),
        }
    }

    /// As a case of the corpus: the program as assembly where it is one.
    pub fn case(&self, name: &str) -> Case {
        match self {
            Content::Program(program) => Case::of_program(name, program),
            Content::Case(case) => {
                let mut case = Case::clone(case);
                if let (Code::Slots(_), Ok(program)) = (&case.code, case.program()) {
                    case.code = Case::of_program(name, &program).code;
                }
                name.clone_into(&mut case.name);
                case
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_give_the_same_programs() {
        for make in Make::ALL {
            let slots = |number| match Maker::new(make, 1).subject(number).content {
                Ok(Content::Case(case)) => case.code,
                other => panic!("{other:?}"),
            };
            assert_eq!(slots(7), slots(7));
            assert_ne!(slots(7), slots(8));
            assert_eq!(Make::by_name(make.name()), Some(make));
        }
    }

    #[test]
    fn arguments_are_words_of_a_shell() {
        let origin = Origin::File { path: "a b/c.yaml".into(), name: "it's".to_owned() };
        assert_eq!(origin.arguments(), r"'a b/c.yaml' --case 'it'\''s'");
        let origin = Origin::Generated { make: Make::Rejected, seed: 3, number: 9 };
        assert_eq!(origin.arguments(), "--generated 1 --target rejected --seed 3 --number 9");
    }
}
