//! A program as it is loaded: instructions, maps, type and license, checked for structure.

use std::sync::Arc;

use crate::insn::{Insn, Op, Opcode, Wide};
use crate::map::MapDef;
use crate::program_type::ProgramType;

/// The most slots of a program (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const INSNS_MAX: usize = 1_000_000;

/// A structurally sound program: every jump leads to an instruction, and control cannot run off its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // `program_type` is the kernel's word, and `type` Rust's
pub struct Program {
    name: String,
    program_type: ProgramType,
    license: String,
    maps: Vec<MapDef>,
    insns: Vec<Insn>,
}

/// Why instructions are no program. Indices count slots, as the kernel's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is nothing to run.
    #[error("the program has no instructions")]
    Empty,
    /// More than [`INSNS_MAX`] slots.
    #[error("the program has {0} instructions, the limit is {INSNS_MAX}")]
    TooLong(usize),
    /// A jump out of the program.
    #[error("jump out of range from insn {from} to {to}")]
    JumpOutOfRange {
        /// The jump.
        from: usize,
        /// Where it leads.
        to: i64,
    },
    /// A jump to the second slot of a wide instruction.
    #[error("jump into the middle of ldimm64 insn {wide} from insn {from}")]
    JumpIntoWide {
        /// The jump.
        from: usize,
        /// The wide instruction.
        wide: usize,
    },
    /// A wide instruction whose second slot is missing, or a second slot on its own.
    #[error("insn {0}: a 64-bit immediate takes two slots")]
    BrokenWide(usize),
    /// The last instruction is neither exit nor an unconditional jump.
    #[error("last insn {0} is not an exit or jmp")]
    FallsOff(usize),
    /// A map index beyond the program's list.
    #[error("insn {at}: fd {map} is not pointing to valid bpf_map")]
    NoSuchMap {
        /// The instruction.
        at: usize,
        /// The index it names.
        map: u32,
    },
}

impl Program {
    /// Checks the structure of `insns`, one entry per slot.
    ///
    /// ```
    /// use semantics::insn::{Insn, Opcode};
    /// use semantics::program::{Program, ProgramError};
    /// use semantics::program_type::ProgramType;
    /// let exit = Insn::new(Opcode::Exit);
    /// assert!(Program::new("p", ProgramType::Xdp, "GPL", vec![], vec![exit]).is_ok());
    /// assert_eq!(Program::new("p", ProgramType::Xdp, "GPL", vec![], vec![]), Err(ProgramError::Empty));
    /// ```
    pub fn new(
        name: impl Into<String>,
        program_type: ProgramType,
        license: impl Into<String>,
        maps: Vec<MapDef>,
        insns: Vec<Insn>,
    ) -> Result<Program, ProgramError> {
        check(&insns, maps.len())?;
        Ok(Program { name: name.into(), program_type, license: license.into(), maps, insns })
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its type, which fixes the context and the helpers.
    pub fn program_type(&self) -> ProgramType {
        self.program_type
    }
    /// Its license string.
    pub fn license(&self) -> &str {
        &self.license
    }
    /// Whether GPL-only helpers are open to it (`license_is_gpl_compatible`).
    pub fn is_gpl_compatible(&self) -> bool {
        matches!(
            self.license.as_str(),
            "GPL" | "GPL v2" | "GPL and additional rights" | "Dual BSD/GPL" | "Dual MIT/GPL" | "Dual MPL/GPL"
        )
    }
    /// Its maps; [`Opcode::LddwMap`] names them by index.
    pub fn maps(&self) -> &[MapDef] {
        &self.maps
    }
    /// Its instructions, one entry per slot; the second slot of a wide one is [`Opcode::WideTail`].
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }
    /// Instructions with their slots, without the tails of wide ones.
    pub fn instructions(&self) -> impl Iterator<Item = (usize, &Insn)> {
        self.insns.iter().enumerate().filter(|(_, insn)| insn.opcode != Opcode::WideTail)
    }
    /// The same program with other instructions.
    pub fn with_insns(&self, insns: Vec<Insn>) -> Result<Program, ProgramError> {
        check(&insns, self.maps.len())?;
        Ok(Program { insns, ..self.clone() })
    }
}

fn check(insns: &[Insn], maps: usize) -> Result<(), ProgramError> {
    let Some(last) = insns.last() else { return Err(ProgramError::Empty) };
    if insns.len() > INSNS_MAX {
        return Err(ProgramError::TooLong(insns.len()));
    }
    let mut tail_due = false;
    for (at, insn) in insns.iter().enumerate() {
        if tail_due != (insn.opcode == Opcode::WideTail) {
            return Err(ProgramError::BrokenWide(if tail_due { at - 1 } else { at }));
        }
        let op = insn.op();
        tail_due = matches!(op, Op::Wide(_));
        if op == Op::Wide(Wide::Map) && (insn.imm as usize >= maps || insn.imm_hi != 0) {
            return Err(ProgramError::NoSuchMap { at, map: insn.imm });
        }
        if op.is_jump() {
            let to = insn.target(at);
            match usize::try_from(to).ok().and_then(|to| insns.get(to)) {
                None => return Err(ProgramError::JumpOutOfRange { from: at, to }),
                Some(target) if target.opcode == Opcode::WideTail => {
                    return Err(ProgramError::JumpIntoWide { from: at, wide: to as usize - 1 });
                }
                Some(_) => {}
            }
        }
    }
    if tail_due {
        return Err(ProgramError::BrokenWide(insns.len() - 1));
    }
    match last.op() {
        Op::Exit | Op::Ja => Ok(()),
        _ => Err(ProgramError::FallsOff(insns.len() - 1)),
    }
}

/// A program that native code may run: accepted by the verifier, or trusted by name.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Program>);

impl Verified {
    /// Declares a program fit to run natively.
    ///
    /// # Safety
    /// Every access that the program makes lies inside the regions of its world, and it ends; or the process that runs
    /// it is isolated and may be lost.
    pub unsafe fn trust(program: Arc<Program>) -> Verified {
        Verified(program)
    }
    /// The program.
    pub fn program(&self) -> &Program {
        &self.0
    }
    /// The program, shared.
    pub fn share(&self) -> Arc<Program> {
        Arc::clone(&self.0)
    }
}
