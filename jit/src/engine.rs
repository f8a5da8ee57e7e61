//! The JIT as an [`Engine`].

use semantics::engine::{Engine, EngineId, Lack};
use semantics::program::Verified;
use semantics::trap::{Trap, Unsupported};
use semantics::world::World;

use crate::image::Image;
use crate::layout::{Code, compile};
use crate::rules::Rules;
use crate::runtime;

/// What findings and messages call it.
pub const NAME: &str = "jit";

/// Bytes of a fresh image; a program of a thousand instructions fits.
const CAPACITY: usize = 1 << 14;

/// Compiles to x86-64 and runs natively. One per worker process: what it loads replaces what it loaded before.
#[derive(Debug)]
pub struct Jit {
    rules: Rules,
    code: Code,
    image: Image,
    loaded: bool,
}

impl Jit {
    /// A JIT with the rules for this processor.
    pub fn new() -> Result<Jit, Unsupported> {
        Jit::with_rules(Rules::for_this_processor())
    }
    /// A JIT with these rules.
    pub fn with_rules(rules: Rules) -> Result<Jit, Unsupported> {
        let image = Image::new(CAPACITY).map_err(|_| facility("executable memory"))?;
        Ok(Jit { rules, code: Code::default(), image, loaded: false })
    }
    /// The code of the program loaded last.
    pub fn code(&self) -> &Code {
        &self.code
    }
    /// Where that code runs.
    pub fn image(&self) -> &Image {
        &self.image
    }
}

impl Engine for Jit {
    fn id(&self) -> EngineId {
        if self.rules.blinding().is_some() { EngineId::JitBlinded } else { EngineId::Jit }
    }

    fn load(&mut self, program: &Verified) -> Result<(), Lack> {
        self.loaded = false;
        compile(program, &self.rules, &mut self.code)?;
        self.rules.renew_keys();
        self.image.load(self.code.bytes()).map_err(|_| facility("executable memory"))?;
        self.image.watch(self.code.body());
        self.loaded = true;
        Ok(())
    }

    #[inline]
    fn run(&mut self, world: &mut World) -> Result<u64, Trap> {
        if !self.loaded {
            return missing("a loaded program");
        }
        if !world.memory.is_native() {
            return missing("guest memory at its own addresses");
        }
        // SAFETY: the image holds the code of a verified program, and guest memory lies where the code expects it.
        unsafe { runtime::run(&self.image, &self.code, world) }
    }
}

#[cold]
#[inline(never)]
fn missing(what: &'static str) -> Result<u64, Trap> {
    Err(facility(what).into())
}

fn facility(facility: &'static str) -> Unsupported {
    Unsupported::Facility { engine: NAME, facility }
}
