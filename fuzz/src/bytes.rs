//! Any byte string as a test, and every test as a byte string: what coverage-guided fuzzers mutate.
//!
//! A header (program type, maps, packet, seed) is followed by instructions as they are encoded, eight bytes each. What
//! does not fit is repaired after decoding rather than refused, so almost every mutation of a test is a test, and the
//! inputs that a fuzzer keeps are readable programs.

use std::sync::Arc;

use crate::generate::{MAP_TYPES, PROGRAM_TYPES};
use arbitrary::{Arbitrary, Unstructured};
use semantics::encoding::Slot;
use semantics::helper;
use semantics::insn::table::{Field, Row, TABLE};
use semantics::insn::{Insn, Op, Opcode, Reg, Wide};
use semantics::map::{MapDef, MapType};
use semantics::program::Program;
use semantics::world::{Input, WorldConfig};

use crate::test::Test;

/// The most slots that are read.
const SLOTS_MAX: usize = 512;
/// The longest packet that is read.
const PACKET_MAX: usize = 255;

impl<'a> Arbitrary<'a> for Test {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let len = u.arbitrary_len::<u8>()?;
        Ok(decode(u.bytes(len)?))
    }
    fn arbitrary_take_rest(u: Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(decode(u.take_rest()))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next byte; 0 when there are no more.
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// Reads a test.
pub fn decode(bytes: &[u8]) -> Test {
    let mut reader = Reader(bytes);
    let program_type = PROGRAM_TYPES[usize::from(reader.byte()) % PROGRAM_TYPES.len()];
    let maps: Vec<MapDef> = (0..reader.byte() % 3).map(|at| map(&mut reader, at)).collect();
    let packet_len = usize::from(reader.byte()).min(PACKET_MAX);
    let packet = reader.bytes(packet_len);
    let seed = u64::from(reader.byte());
    let slots: Vec<Slot> = reader
        .0
        .chunks_exact(8)
        .take(SLOTS_MAX)
        .map(|c| Slot::from_bytes(c.try_into().expect("eight bytes")))
        .collect();
    let mut insns = repair(&slots, maps.len());
    if Program::new("bytes", program_type, "GPL", maps.clone(), insns.clone()).is_err() {
        insns.iter_mut().for_each(forget_call);
    }
    let program = Program::new("bytes", program_type, "GPL", maps, insns).expect("repaired");
    let world = WorldConfig { seed, ..WorldConfig::default() };
    Test { program: Arc::new(program), input: Input { packet, world, ..Input::default() } }
}

/// The size of keys, where it is not free.
fn key_size(map_type: MapType) -> Option<u32> {
    match map_type {
        MapType::ARRAY | MapType::PROG_ARRAY | MapType::PERCPU_ARRAY => Some(4),
        MapType::QUEUE | MapType::STACK | MapType::BLOOM_FILTER => Some(0),
        _ => None,
    }
}

fn map(reader: &mut Reader<'_>, at: u8) -> MapDef {
    let number = usize::from(reader.byte()) % (MAP_TYPES.len() + 1);
    // Behind the others, what tail calls need.
    let map_type = MAP_TYPES.get(number).copied().unwrap_or(MapType::PROG_ARRAY);
    let key_size = key_size(map_type).unwrap_or_else(|| u32::from(reader.byte() % 16) + 1);
    let (value_size, max_entries) = (u32::from(reader.byte() % 64) + 1, u32::from(reader.byte() % 8) + 1);
    let value_size = if map_type == MapType::PROG_ARRAY { 4 } else { value_size };
    MapDef::new(format!("m{at}"), map_type, key_size, value_size, max_entries)
}

/// Writes a test so that [`decode`] reads it again, as far as the header can say it: of the input only packet and seed.
pub fn encode(test: &Test) -> Vec<u8> {
    let program = &test.program;
    let position = PROGRAM_TYPES.iter().position(|t| *t == program.program_type()).unwrap_or(0);
    let mut bytes = vec![position as u8, program.maps().len() as u8];
    for map in program.maps() {
        bytes.push(MAP_TYPES.iter().position(|t| *t == map.map_type).unwrap_or(MAP_TYPES.len()) as u8);
        if key_size(map.map_type).is_none() {
            bytes.push(map.key_size as u8 - 1);
        }
        bytes.extend([map.value_size as u8 - 1, map.max_entries as u8 - 1]);
    }
    let packet = &test.input.packet[..test.input.packet.len().min(PACKET_MAX)];
    bytes.push(packet.len() as u8);
    bytes.extend_from_slice(packet);
    bytes.push(test.input.world.seed as u8);
    bytes.extend(semantics::encoding::encode(program.insns()));
    bytes
}

/// Instructions that make a structurally sound program, close to `slots`.
pub fn repair(slots: &[Slot], maps: usize) -> Vec<Insn> {
    let mut insns: Vec<Insn> = Vec::with_capacity(slots.len() + 2);
    while insns.len() < slots.len() {
        let insn = repair_one(&slots[insns.len()], maps);
        insns.push(insn);
        if let Op::Wide(kind) = insn.op() {
            // The high half comes from the next slot, whatever else that slot says.
            let high = slots.get(insns.len()).map_or(0, |slot| slot.imm as u32);
            insns.last_mut().expect("just pushed").imm_hi = if kind == Wide::Imm64 { high } else { 0 };
            insns.push(Insn::new(Opcode::WideTail));
        }
    }
    if insns.last().is_none_or(|last| !matches!(last.op(), Op::Exit | Op::Ja)) {
        insns.push(Insn::new(Opcode::Exit));
    }
    for at in 0..insns.len() {
        if insns[at].op().is_jump() {
            let distance = repair_jump(&insns, at);
            let far = insns[at].op() == Op::Gotol;
            insns[at] = if far { insns[at].imm(i32::from(distance)) } else { insns[at].off(distance) };
        }
    }
    insns
}

/// Where calls do not cut the program into sound subprograms there are none.
fn forget_call(insn: &mut Insn) {
    match insn.op() {
        Op::CallLocal => *insn = Insn::new(Opcode::Mov64K),
        Op::Wide(Wide::Code) => *insn = Insn::new(Opcode::of(Op::Wide(Wide::Imm64))).dst(insn.dst).imm(insn.imm as i32),
        _ => {}
    }
}

/// A distance that stays in the program and off the tails of wide instructions.
fn repair_jump(insns: &[Insn], at: usize) -> i16 {
    let len = insns.len() as i64;
    let mut target = insns[at].target(at);
    if !(0..len).contains(&target) {
        target = target.rem_euclid(len);
    }
    if insns[target as usize].opcode == Opcode::WideTail {
        target -= 1;
    }
    i16::try_from(target - at as i64 - 1).unwrap_or(0)
}

fn repair_one(slot: &Slot, maps: usize) -> Insn {
    let row = pick_row(slot, maps);
    let register = |field: Field, number: u8| match field {
        Field::Any => Reg::ALL[usize::from(number) % Reg::ALL.len()],
        Field::Only(_) => Reg::R0,
    };
    let mut insn =
        Insn::new(row.opcode).dst(register(row.fields.dst, slot.dst)).src(register(row.fields.src, slot.src));
    // The frame pointer is read-only: every verifier refuses a write, so a test of one is worth little.
    if row.op.writes_dst() && insn.dst == Reg::FP {
        insn.dst = Reg::R0;
    }
    if row.fields.off == Field::Any {
        insn = insn.off(slot.off);
    }
    if row.fields.imm == Field::Any {
        insn = insn.imm(slot.imm);
    }
    match row.op {
        Op::Wide(kind) if kind.names_map() => insn.imm(slot.imm.rem_euclid(maps.max(1) as i32)),
        Op::CallHelper if helper::by_id(insn.imm).is_none() => {
            let count = helper::modelled().count();
            let nth = helper::modelled().nth(slot.imm.unsigned_abs() as usize % count);
            insn.imm(nth.map_or(0, |(_, helper)| helper.id as i32))
        }
        _ => insn,
    }
}

/// Whether all that judges a test has the instruction.
fn is_judged(op: Op) -> bool {
    jit::insn::is_lowered(op) && verifier::insn::is_followed(op)
}

fn pick_row(slot: &Slot, maps: usize) -> &'static Row {
    let names_map = |op| matches!(op, Op::Wide(kind) if kind.names_map());
    let usable = |row: &&Row| row.op != Op::WideTail && is_judged(row.op) && (maps > 0 || !names_map(row.op));
    let selected = |row: &&Row| row.fields.src.admits(i32::from(slot.src)) || row.fields.src == Field::Only(0);
    let exact = TABLE.iter().filter(usable).filter(|row| row.code == slot.code);
    // What offset and immediate select comes first, then what the source register does.
    let whole = |row: &&Row| {
        let fields = &row.fields;
        fields.src.admits(i32::from(slot.src)) && fields.off.admits(i32::from(slot.off)) && fields.imm.admits(slot.imm)
    };
    exact
        .clone()
        .find(whole)
        .or_else(|| exact.clone().find(|row| row.fields.src.admits(i32::from(slot.src))))
        .or_else(|| exact.clone().find(selected))
        .or_else(|| TABLE.iter().filter(usable).nth(usize::from(slot.code) % TABLE.iter().filter(usable).count()))
        .unwrap_or(&TABLE[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::generate::{Generator, Options};

    #[test]
    fn any_bytes_make_a_test() {
        let mut dice = Dice::new(1, 1);
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len).map(|_| dice.bits() as u8).collect();
            let test = decode(&bytes);
            // What was read is written and read again unchanged.
            assert_eq!(decode(&encode(&test)), test, "{len} bytes");
        }
    }

    #[test]
    fn generated_programs_survive_the_encoding() {
        let generator = Generator::new(Options::default());
        for number in 0..300 {
            let test = generator.test(Dice::new(7, number));
            let again = decode(&encode(&test));
            assert_eq!(again.program.insns(), test.program.insns(), "test {number}");
            assert_eq!(again.input.packet, test.input.packet);
        }
    }
}
