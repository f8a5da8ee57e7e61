//! Planted mistakes of all floors under one name each: a fuzzer that does not find them finds nothing.

use jit::Rules as JitRules;
use semantics::helper::{self, Call, Helper};
use semantics::map::Errno;
use semantics::trap::Trap;
use semantics::word::Concrete;
use verifier::rules::Rules as VerifierRules;

use crate::target::Target;

/// Where a mistake is planted.
#[derive(Clone, Copy, Debug)]
pub enum Site {
    /// The JIT's lowering.
    Jit(fn(&mut JitRules<Concrete>)),
    /// The verifier's domain.
    Verifier(fn(&mut VerifierRules<Concrete>)),
    /// The meaning of a helper, which then breaks its declaration.
    Helper(fn() -> Helper),
    /// The meaning of a helper, within its declaration. All engines of ours share it, so only a kernel objects.
    Shared(fn() -> Helper),
}

/// A planted mistake.
#[derive(Clone, Debug)]
pub struct Plant {
    /// `floor::mistake`.
    pub name: String,
    /// What goes wrong, in one line.
    pub story: &'static str,
    /// Where.
    pub site: Site,
}

impl Plant {
    /// What shows it: the generator of verified programs makes what the verifier follows, that of closed ones every
    /// instruction, that of paths what pruning has to keep apart.
    pub fn target(&self) -> Target {
        match self.site {
            Site::Jit(_) => Target::Closed,
            Site::Verifier(_) if ["verifier::prune_", "verifier::call_"].iter().any(|of| self.name.starts_with(of)) => {
                Target::VerifierPrune
            }
            Site::Verifier(_) | Site::Helper(_) | Site::Shared(_) => Target::InterpreterVsJit,
        }
    }
}

/// All of them.
pub fn all() -> Vec<Plant> {
    let jit = jit::plant::plants::<Concrete>().into_iter().map(|plant| Plant {
        name: format!("jit::{}", plant.name),
        story: plant.story,
        site: Site::Jit(plant.install),
    });
    let rules = verifier::prune::plant::all::<Concrete>();
    let numbers = verifier::plant::all::<Concrete>().into_iter().filter(|plant| !plant.only_newest);
    let verifier = numbers.chain(rules).map(|plant| Plant {
        name: format!("verifier::{}", plant.name),
        story: plant.story,
        site: Site::Verifier(plant.apply),
    });
    jit.chain(verifier).chain(helpers()).collect()
}

/// The mistake of this name.
pub fn by_name(name: &str) -> Option<Plant> {
    all().into_iter().find(|plant| plant.name == name)
}

fn helpers() -> [Plant; 4] {
    [
        Plant {
            name: "helper::prandom_sign_extended".to_owned(),
            story: "get_prandom_u32 returns its 32 bits sign-extended, outside its declared results",
            site: Site::Helper(|| Helper {
                meaning: |call| Ok(i64::from(call.world.choice.next_u32() as i32) as u64),
                ..declared("get_prandom_u32")
            }),
        },
        Plant {
            name: "helper::lookup_clobbers_key".to_owned(),
            story: "map_lookup_elem writes to the key on the stack, which it only declares to read",
            site: Site::Helper(|| Helper { meaning: clobbering_lookup, ..declared("map_lookup_elem") }),
        },
        Plant {
            name: "helper::ktime_kills".to_owned(),
            story: "ktime_get_ns takes the process down",
            site: Site::Helper(|| Helper { meaning: |_| std::process::abort(), ..declared("ktime_get_ns") }),
        },
        Plant {
            name: "helper::update_says_enoent".to_owned(),
            story: "map_update_elem says ENOENT, not EEXIST, of an element that is there and must not be",
            site: Site::Shared(|| Helper { meaning: update_of_none, ..declared("map_update_elem") }),
        },
    ]
}

fn declared(name: &str) -> Helper {
    *helper::by_id(helper::id(name)).expect("a modelled helper")
}

fn update_of_none(call: &mut Call<'_>) -> Result<u64, Trap> {
    let result = (declared("map_update_elem").meaning)(call)?;
    Ok(if result == Errno::Eexist.result() { Errno::Enoent.result() } else { result })
}

fn clobbering_lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    let result = (declared("map_lookup_elem").meaning)(call)?;
    let key = call.arg(2);
    if let Ok([first, ..]) = call.world.memory.write(key, 1) {
        *first ^= 1;
    }
    Ok(result)
}
