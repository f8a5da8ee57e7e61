//! Every instruction on the operands where its meaning changes: one case per row of the instruction table.

use corpus::case::Case;
use semantics::insn::{AtomicOp, Insn, MulDivOp, Op, Opcode, Reg, Width};
use semantics::program::ProgramError;
use semantics::world::Input;

use super::{IMMEDIATES, ITEMS, OUT, PACKET_LEN, Sheet, VALUES, array, case_of};

/// Why a row has no case of its own here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// It is part of every case, or of those of helpers and subprograms.
    InOthers,
    /// It has no meaning without something that no engine here has.
    NoMeaning,
}

/// Destination and source of the items, in turns: those with and without prefixes in native code, R0, and one for both.
const REGISTERS: [(Reg, Reg); 8] = [
    (Reg::R1, Reg::R2),
    (Reg::R0, Reg::R3),
    (Reg::R8, Reg::R9),
    (Reg::R5, Reg::R4),
    (Reg::R3, Reg::R3),
    (Reg::R9, Reg::R0),
    (Reg::R4, Reg::R8),
    (Reg::R9, Reg::R9),
];
/// Where packets are read: inside, at the end, beyond, and at the negative places that Linux gives a meaning to.
const OFFSETS: [i32; 18] = [
    0,
    1,
    12,
    13,
    PACKET_LEN as i32 - 18,
    PACKET_LEN as i32 - 17,
    PACKET_LEN as i32 - 16,
    PACKET_LEN as i32 - 15,
    PACKET_LEN as i32 - 14,
    PACKET_LEN as i32,
    i32::MAX,
    -1,
    -0x10_0000,
    -0x10_0000 + 4,
    -0x20_0000,
    -0x20_0000 + 12,
    -0x20_0001,
    i32::MIN,
];

/// The cases of a row; or where it is shown instead.
pub fn cases(opcode: Opcode) -> Result<Result<Vec<Case>, Elsewhere>, ProgramError> {
    let name = format!("form {}", opcode.row().name);
    let one = |case: Result<Case, ProgramError>| Ok(Ok(vec![case?]));
    match opcode.op() {
        Op::Jump { .. } => one(jump(opcode, name)),
        Op::Ja | Op::Gotol => one(goto(opcode, name)),
        Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. } => one(load(opcode, name)),
        Op::Store { .. } | Op::StoreRelease { .. } => one(store(opcode, name)),
        Op::Atomic { .. } => one(atomic(opcode, name)),
        Op::Packet { .. } => Ok(Ok(packet(opcode, &name)?)),
        Op::Wide(semantics::insn::Wide::Imm64) => one(constants(name)),
        Op::Wide(semantics::insn::Wide::Variable) | Op::CallKfunc => Ok(Err(Elsewhere::NoMeaning)),
        Op::Wide(_) | Op::WideTail | Op::CallHelper | Op::CallLocal | Op::Exit => Ok(Err(Elsewhere::InOthers)),
        op if op.reads_src() => one(binary(opcode, name)),
        _ => one(unary(opcode, name)),
    }
}

/// The immediate of an item: the kernel refuses shifts by the width or more, and quotients by 0.
fn immediate(op: Op, item: usize) -> i32 {
    let imm = IMMEDIATES[item % IMMEDIATES.len()];
    let is_any = |field| field == semantics::insn::table::Field::Any;
    match op {
        Op::Shift { width: Width::W32, .. } => imm & 31,
        Op::Shift { .. } => imm & 63,
        Op::MulDiv { op: MulDivOp::Mul, .. } => imm,
        Op::MulDiv { .. } if imm == 0 => 3,
        _ if is_any(Opcode::of(op).row().fields.imm) => imm,
        _ => 0,
    }
}

/// All pairs of values over the runs.
fn pairs(run: usize, item: usize) -> [u64; 2] {
    let pair = run * ITEMS + item;
    [VALUES[pair / VALUES.len() % VALUES.len()], VALUES[pair % VALUES.len()]]
}
const PAIR_RUNS: usize = VALUES.len() * VALUES.len() / ITEMS;

/// Each item meets all values over the runs.
fn turns(run: usize, item: usize) -> [u64; 2] {
    [VALUES[(run + item) % VALUES.len()], VALUES[(run + 7 * item) % VALUES.len()]]
}

fn binary(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    for item in 0..ITEMS {
        let (dst, src) = REGISTERS[item % REGISTERS.len()];
        sheet.operand(dst, item, 0);
        sheet.operand(src, item, 1);
        sheet.push(Insn::new(opcode).dst(dst).src(src));
        sheet.see(dst);
        sheet.see(src);
    }
    sheet.case(name, PAIR_RUNS, pairs)
}

fn unary(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    for item in 0..ITEMS {
        let (dst, _) = REGISTERS[item / 2 % REGISTERS.len()];
        sheet.operand(dst, item, 0);
        sheet.push(Insn::new(opcode).dst(dst).imm(immediate(opcode.op(), item)));
        sheet.see(dst);
    }
    sheet.case(name, VALUES.len(), turns)
}

fn constants(name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    for (item, value) in VALUES.into_iter().enumerate() {
        let (dst, _) = REGISTERS[item % REGISTERS.len()];
        sheet.wide(Insn::new(Opcode::Lddw).dst(dst).wide(value));
        sheet.see(dst);
    }
    sheet.case(name, 1, turns)
}

fn jump(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    let reads_src = opcode.op().reads_src();
    for item in 0..ITEMS {
        let (dst, src) = REGISTERS[item % REGISTERS.len()];
        sheet.operand(dst, item, 0);
        if reads_src {
            sheet.operand(src, item, 1);
        }
        let (src, imm) = if reads_src { (src, 0) } else { (Reg::R0, immediate(opcode.op(), item)) };
        sheet.push(Insn::new(opcode).dst(dst).src(src).imm(imm).off(2));
        sheet.push(Insn::new(Opcode::Mov64K).dst(Reg::R0).imm(2));
        sheet.push(Insn::new(Opcode::Ja).off(1));
        sheet.push(Insn::new(Opcode::Mov64K).dst(Reg::R0).imm(1));
        sheet.see(Reg::R0);
    }
    if reads_src { sheet.case(name, PAIR_RUNS, pairs) } else { sheet.case(name, VALUES.len(), turns) }
}

/// Forward over instructions that would change what is seen, and back to one of them.
fn goto(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    let to = |distance: i16| Insn::new(opcode).off(distance).imm(distance.into());
    let set = |value| Insn::new(Opcode::Mov64K).dst(Reg::R0).imm(value);
    // Only one of the two fields belongs to the instruction: the encoding leaves the other out.
    let to = |distance| if opcode == Opcode::Ja { to(distance).imm(0) } else { to(distance).off(0) };
    sheet.push(set(1));
    sheet.push(to(2));
    sheet.push(set(2));
    sheet.push(to(1));
    sheet.push(to(-3));
    sheet.see(Reg::R0);
    sheet.case(name, 1, turns)
}

/// Reads around the middle of what a case is given: from `r - 64` to `r + 64`, misaligned as well where that is allowed.
fn load(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    let size = size(opcode.op());
    let is_atomic = matches!(opcode.op(), Op::LoadAcquire { .. });
    for item in 0..ITEMS {
        let (dst, src) = REGISTERS[item % REGISTERS.len()];
        let off = 5 * item as i16 - 64;
        let off = if is_atomic { off / size * size } else { off };
        sheet.copy(src, super::IN);
        sheet.push(Insn::new(Opcode::Add64K).dst(src).imm(128));
        sheet.push(Insn::new(opcode).dst(dst).src(src).off(off));
        sheet.see(dst);
    }
    sheet.case(name, VALUES.len(), turns)
}

/// Writes into the middle of 8 bytes that hold something else.
fn store(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    let size = size(opcode.op());
    let reads_src = opcode.op().reads_src();
    let is_atomic = matches!(opcode.op(), Op::StoreRelease { .. });
    for item in 0..ITEMS {
        let (dst, src) = REGISTERS[item % REGISTERS.len()];
        // A pointer that is stored is another number on each engine.
        let src = if dst == src { Reg::R2 } else { src };
        let place = sheet.seen;
        sheet.operand(src, item, 0);
        sheet.see(src);
        sheet.operand(src, item, 1);
        sheet.copy(dst, OUT);
        sheet.push(Insn::new(Opcode::Add64K).dst(dst).imm(256));
        let within = item as i16 % (9 - size);
        let within = if is_atomic { within / size * size } else { within };
        let insn = Insn::new(opcode).dst(dst).off(place - 256 + within);
        let insn = if reads_src { insn.src(src) } else { insn.imm(IMMEDIATES[item % IMMEDIATES.len()]) };
        sheet.push(insn);
    }
    sheet.case(name, VALUES.len(), turns)
}

fn atomic(opcode: Opcode, name: String) -> Result<Case, ProgramError> {
    let Op::Atomic { op, size, .. } = opcode.op() else { unreachable!("an atomic operation") };
    let mut sheet = Sheet::new();
    for item in 0..ITEMS {
        // Where a word is exchanged, the other one of the 8 bytes must stay as it is.
        let within = if size.bytes() == 4 && item % 2 == 1 { 4 } else { 0 };
        let pointer = [Reg::R1, Reg::R8, Reg::R5, Reg::R9][item % 4];
        let src = match (op, item % 3) {
            (_, 0) => Reg::R2,
            (AtomicOp::Cmpxchg, 1) => Reg::R0,
            _ => Reg::R4,
        };
        let place = sheet.seen;
        sheet.operand(Reg::R3, item, 0);
        sheet.see(Reg::R3);
        sheet.operand(src, item, 1);
        if op == AtomicOp::Cmpxchg && src != Reg::R0 {
            // Compared with what is there, and with something else.
            let at = if item % 4 < 2 { (OUT, place + within) } else { (super::IN, 16 * item as i16 + 8) };
            let load = if size.bytes() == 4 { Opcode::LdxW } else { Opcode::LdxDw };
            sheet.push(Insn::new(load).dst(Reg::R0).src(at.0).off(at.1));
        }
        sheet.copy(pointer, OUT);
        sheet.push(Insn::new(opcode).dst(pointer).src(src).off(place + within));
        sheet.see(src);
        if op == AtomicOp::Cmpxchg {
            sheet.see(Reg::R0);
        }
    }
    sheet.case(name, PAIR_RUNS, pairs)
}

/// A read of the packet ends the program where there are no such bytes: one case per place.
fn packet(opcode: Opcode, name: &str) -> Result<Vec<Case>, ProgramError> {
    let by_register = opcode.op().reads_src();
    let bytes: Vec<u8> = (0..PACKET_LEN as u8).map(|byte| byte.wrapping_mul(37) ^ 0xa5).collect();
    let case = |offset: i32| {
        // With a register, half of the place is in it and half in the instruction.
        let half = if by_register { offset / 2 } else { 0 };
        let value = Insn::new(Opcode::LddwMapValue).dst(OUT);
        let insns = vec![
            Insn::new(Opcode::Mov64X).dst(Reg::R6).src(Reg::R1),
            value,
            Insn::new(Opcode::WideTail),
            Insn::new(Opcode::StDw).dst(OUT).off(8).imm(1),
            Insn::new(Opcode::Mov64K).dst(Reg::R2).imm(half),
            Insn::new(opcode).src(if by_register { Reg::R2 } else { Reg::R0 }).imm(offset - half),
            Insn::new(Opcode::StxDw).dst(OUT).src(Reg::R0),
            Insn::new(Opcode::Exit),
        ];
        let input = Input { packet: bytes.clone(), ..Input::default() };
        case_of(format!("{name} at {offset}"), vec![array("output", 16)], insns, vec![input])
    };
    OFFSETS.into_iter().map(case).collect()
}

/// Bytes of an access.
fn size(op: Op) -> i16 {
    match op {
        Op::Load { size }
        | Op::LoadSx { size }
        | Op::LoadAcquire { size }
        | Op::Store { size, .. }
        | Op::StoreRelease { size }
        | Op::Atomic { size, .. } => size.bytes() as i16,
        _ => unreachable!("an access to memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::insn::table::TABLE;
    use semantics::interpreter;
    use semantics::memory::{Memory, Object};
    use semantics::world::World;

    /// What the cases of a row come to; `None` for a row that has none.
    fn seen(world: &mut World, opcode: Opcode) -> Option<Vec<Vec<u8>>> {
        let cases = cases(opcode).unwrap().ok()?;
        let mut seen = Vec::new();
        for case in &cases {
            let program = case.program().unwrap();
            world.load(&program).unwrap();
            for run in &case.runs {
                world.reset(&run.input).unwrap();
                let stop = interpreter::run(&program, world, 1 << 20, &mut ());
                let outcome = world.outcome(stop.result);
                assert!(outcome.result.is_ok(), "{}: {:?}", case.name, outcome.result);
                let output = outcome.objects().filter(|piece| matches!(piece.object, Object::MapValue(_))).last();
                seen.push(output.unwrap().bytes.to_vec());
            }
        }
        Some(seen)
    }

    /// Each case runs to its end, and no engine could take one row for another: what the cases come to tells all rows apart
    /// that do not mean the same.
    #[test]
    fn every_row_shows_itself() {
        let mut world = World::new(Memory::detached().unwrap());
        let mut rows: Vec<(Opcode, Vec<Vec<u8>>)> = Vec::new();
        let mut alike = Vec::new();
        for row in TABLE {
            let Some(seen) = seen(&mut world, row.opcode) else { continue };
            let same = rows.iter().filter(|(_, other)| *other == seen);
            alike.extend(same.map(|(other, _)| (*other, row.opcode)));
            rows.push((row.opcode, seen));
        }
        assert_eq!(rows.len() + 11, TABLE.len());
        // A jump of 32 bits leads where one of 16 does, big-endian is swapped here, an ordered access is an access, and
        // a place in the packet is the same whoever adds it up.
        let expected = [
            (Opcode::Be16, Opcode::Bswap16),
            (Opcode::Be32, Opcode::Bswap32),
            (Opcode::Be64, Opcode::Bswap64),
            (Opcode::Mov64K, Opcode::StDw),
            (Opcode::LdxB, Opcode::LoadAcquireB),
            (Opcode::StxB, Opcode::StoreReleaseB),
            (Opcode::StxDw, Opcode::StoreReleaseDw),
            (Opcode::LdAbsW, Opcode::LdIndW),
            (Opcode::LdAbsH, Opcode::LdIndH),
            (Opcode::LdAbsB, Opcode::LdIndB),
            (Opcode::Ja, Opcode::Gotol),
        ];
        assert_eq!(alike, expected);
    }
}
