//! What eBPF programs mean: an executable formal semantics.
//!
//! # Reading guide
//! 1. [`word`]: the algebra of bit-vectors that everything is written over, once, for running and for proving.
//! 2. [`insn`]: the instruction [`table`](insn::table) and, one room per family, what each instruction does
//!    ([`insn::alu`] is the shortest). [`encoding`], [`asm`] and [`disasm`] are driven by the same table.
//! 3. [`program`]: what the loader ([`loader`]) or the assembler makes and everything else takes.
//! 4. [`memory`]: guest memory, regions with rights at fixed addresses ([`memory::layout`]).
//! 5. [`program_type`], [`map`], [`helper`]: what surrounds a program, declared once and used by every floor.
//! 6. [`world`]: the modelled kernel; [`interpreter`] runs a program on it; an [`engine`] is whatever can; an
//!    [`outcome`] is all that can be observed.
//!
//! # From bytes to an outcome
//! ```
//! use semantics::{asm, interpreter, memory::Memory, program::Program, program_type::ProgramType, world};
//!
//! let insns = asm::assemble("r0 = 2\n r0 += 5\n exit")?;
//! let program = Program::new("sum", ProgramType::Xdp, "GPL", vec![], insns)?;
//! let mut world = world::World::new(Memory::detached()?);
//! world.load(&program)?;
//! world.reset(&world::Input { packet: vec![0; 64], ..Default::default() })?;
//! let stop = interpreter::run(&program, &mut world, 1000, &mut ());
//! assert_eq!(stop.result, Ok(7));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How to add an instruction
//! 1. Add a row to [`insn::table`]: name, code, fields, operation. The decoder, the assembler, the dispatch of the
//!    interpreter and the generators know it from then on.
//! 2. Give its [`insn::Op`] a meaning in its room, `semantics/src/insn/<room>.rs`, generic over the algebra, and an arm in
//!    [`insn::exec_op`]; its text in [`disasm`] and [`asm`].
//! 3. In the rooms of the same name: `transfer` in the verifier, `lower` in the JIT, the obligations in the proofs.
//! 4. Add its cases to `corpus/insn/<room>.yaml`. Tests that walk the table fail for each floor that was forgotten.

pub mod asm;
pub mod csum;
pub mod disasm;
pub mod encoding;
pub mod engine;
pub mod errno;
pub mod helper;
pub mod insn;
pub mod interpreter;
pub mod loader;
pub mod map;
pub mod memory;
pub mod open;
pub mod outcome;
pub mod program;
pub mod program_type;
pub mod provenance;
pub mod trap;
pub mod word;
pub mod world;
