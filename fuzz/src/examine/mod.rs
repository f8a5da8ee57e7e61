//! Examinations: programs that show everything about one thing, for engines to agree on.
//!
//! A program made at random shows what it happens to come across. An examination is made from a declaration (a row of
//! the instruction table, a helper, a type of map) and goes through the operands at which meanings change; what it sees it
//! stores into a map, whole, so that engines of which only R0's low half is visible are compared in all bits.

use corpus::case::{Case, Run, Verdict};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::map::{MapDef, MapType};
use semantics::program::{Program, ProgramError};
use semantics::program_type::ProgramType;
use semantics::world::Input;

pub mod forms;
pub mod helpers;
pub mod maps;

/// Values of 64 bits where signs, carries and widths change.
pub const VALUES: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x8000_0000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ff80,
    0x0123_4567_89ab_cdef,
];

/// Immediates where encodings and signs change.
pub const IMMEDIATES: [i32; 16] =
    [0, 1, 2, -1, -2, 7, 31, 63, 127, -128, 128, 255, 0x7fff, i32::MAX, i32::MIN, 0x1234_5678];

/// The map that an examination reads from, and the one that it writes what it sees to.
const INPUT: usize = 0;
const OUTPUT: usize = 1;
/// Registers that hold the addresses of their values.
const IN: Reg = Reg::R6;
const OUT: Reg = Reg::R7;

/// Bytes of a value of either map.
const VALUE_LEN: u32 = 1024;
/// Things that one program shows.
const ITEMS: usize = 32;

/// A program that reads from one map and writes to another, being written.
struct Sheet {
    insns: Vec<Insn>,
    /// Bytes of what it has written.
    seen: i16,
    /// Its maps: the one it reads from, the one it writes to, and others.
    maps: Vec<MapDef>,
}

impl Sheet {
    fn new() -> Sheet {
        let maps = vec![array("input", VALUE_LEN), array("output", VALUE_LEN)];
        let mut sheet = Sheet { insns: Vec::new(), seen: 0, maps };
        sheet.wide(Insn::new(Opcode::LddwMapValue).dst(IN).imm(INPUT as i32));
        sheet.wide(Insn::new(Opcode::LddwMapValue).dst(OUT).imm(OUTPUT as i32));
        sheet
    }
    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }
    fn wide(&mut self, insn: Insn) {
        self.insns.extend([insn, Insn::new(Opcode::WideTail)]);
    }
    /// Puts one of the two operands of an item into a register.
    fn operand(&mut self, reg: Reg, item: usize, which: usize) {
        self.push(Insn::new(Opcode::LdxDw).dst(reg).src(IN).off((16 * item + 8 * which) as i16));
    }
    /// A copy of a register.
    fn copy(&mut self, dst: Reg, src: Reg) {
        self.push(Insn::new(Opcode::Mov64X).dst(dst).src(src));
    }
    /// Writes a register down.
    fn see(&mut self, reg: Reg) {
        self.push(Insn::new(Opcode::StxDw).dst(OUT).src(reg).off(self.seen));
        self.seen += 8;
    }
    /// The case that it is, with these operands on its runs: `operands(run, item)`.
    fn case(
        mut self,
        name: String,
        runs: usize,
        operands: impl Fn(usize, usize) -> [u64; 2],
    ) -> Result<Case, ProgramError> {
        assert!(self.seen as u32 <= VALUE_LEN && 16 * ITEMS as u32 <= VALUE_LEN);
        self.push(Insn::new(Opcode::Mov64K).dst(Reg::R0));
        self.push(Insn::new(Opcode::Exit));
        let value = |run| {
            let mut bytes: Vec<u8> =
                (0..ITEMS).flat_map(|item| operands(run, item)).flat_map(u64::to_le_bytes).collect();
            bytes.resize(VALUE_LEN as usize, 0);
            bytes
        };
        let input = |run| Input {
            packet: vec![0; PACKET_LEN],
            elements: vec![(INPUT, vec![0; 4], value(run))],
            ..Input::default()
        };
        case_of(name, self.maps, self.insns, (0..runs).map(input).collect())
    }
}

/// An array of one element.
fn array(name: &str, value_size: u32) -> MapDef {
    MapDef::new(name, MapType::ARRAY, 4, value_size, 1)
}

/// A socket filter that must be accepted, with these inputs.
fn case_of(name: String, maps: Vec<MapDef>, insns: Vec<Insn>, inputs: Vec<Input>) -> Result<Case, ProgramError> {
    let program = Program::new(name.clone(), ProgramType::SocketFilter, "GPL", maps, insns)?;
    let runs = inputs.into_iter().map(|input| Run { input, ..Run::default() }).collect();
    Ok(Case { verdict: Verdict::Accept, runs, ..Case::of_program(name, &program) })
}

/// Bytes of the packet that programs are run on, which they do not look at.
const PACKET_LEN: usize = 64;
