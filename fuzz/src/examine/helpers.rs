//! Helpers on the arguments where their results change, in sequences: what a call returns, and what it leaves in maps.

use corpus::case::{Case, Code, Run};
use semantics::helper;
use semantics::insn::{Insn, Op, Opcode, Reg};
use semantics::map::{Contents, MapDef, MapType, NO_PREALLOC};
use semantics::program::ProgramError;
use semantics::world::Input;

use super::{ITEMS, PACKET_LEN, Sheet};
use crate::dice::Dice;

/// Keys of maps that hold at most [`ENTRIES`] elements.
const KEYS: [u64; 8] = [0, 1, 2, 3, 4, 5, 0x8000_0000, 0xffff_ffff];
/// Flags of an update; `BPF_F_LOCK` is 4.
const FLAGS: [u64; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 32, 1 << 32 | 1, u64::MAX];
const ENTRIES: u32 = 4;
/// Sequences of calls.
const RUNS: usize = 24;
/// Where keys and values lie on the stack.
const KEY: i16 = -8;
const VALUE: i16 = -16;
/// The map under examination: behind the two of every [`Sheet`].
const SUBJECT: i32 = 2;

/// The cases of a helper; none for one that has none yet.
pub fn cases(name: &str) -> Result<Vec<Case>, ProgramError> {
    match name {
        "map_update_elem" => subjects().iter().map(update).collect(),
        "map_lookup_elem" => subjects().iter().map(lookup).collect(),
        "tail_call" => Ok(tail_calls()),
        "loop" => Ok(loops()),
        "ktime_get_ns" => Ok(vec![clock()]),
        "get_prandom_u32" => Ok(vec![random()]),
        _ => Ok(Vec::new()),
    }
}

/// The maps that map helpers are called for.
fn subjects() -> [MapDef; 4] {
    let def = |name, map_type, flags| MapDef { flags, ..MapDef::new(name, map_type, 4, 8, ENTRIES) };
    [
        def("array", MapType::ARRAY, 0),
        def("hash", MapType::HASH, 0),
        def("hash_no_prealloc", MapType::HASH, NO_PREALLOC),
        MapDef { key_size: 8, value_size: 12, max_entries: 2, ..def("hash_wide", MapType::HASH, 0) },
    ]
}

/// Key and flags of each call: all pairs in order, then any.
fn calls(run: usize, item: usize) -> [u64; 2] {
    let pair = run * ITEMS + item;
    if pair < KEYS.len() * FLAGS.len() {
        return [KEYS[pair % KEYS.len()], FLAGS[pair / KEYS.len()]];
    }
    let mut dice = Dice::new(run as u64, item as u64);
    // Mostly flags that do something.
    let flags = if dice.chance(3, 4) { FLAGS[dice.below(3)] } else { dice.pick(&FLAGS) };
    [dice.pick(&KEYS), flags]
}

/// The call of a map helper; key and value lie on the stack.
fn map_call(sheet: &mut Sheet, name: &str) {
    let id = helper::id(name) as i32;
    sheet.wide(Insn::new(Opcode::LddwMap).dst(Reg::R1).imm(SUBJECT));
    for (reg, offset) in [(Reg::R2, KEY), (Reg::R3, VALUE)] {
        sheet.copy(reg, Reg::FP);
        sheet.push(Insn::new(Opcode::Add64K).dst(reg).imm(offset.into()));
    }
    sheet.push(Insn::new(Opcode::of(Op::CallHelper)).imm(id));
}

fn on_stack(sheet: &mut Sheet, reg: Reg, offset: i16) {
    sheet.push(Insn::new(Opcode::StxDw).dst(Reg::FP).src(reg).off(offset));
}

fn update(subject: &MapDef) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    // A value may be longer than 8 bytes: what lies behind its start is the key.
    for item in 0..ITEMS {
        sheet.operand(Reg::R8, item, 0);
        on_stack(&mut sheet, Reg::R8, KEY);
        sheet.push(Insn::new(Opcode::Mov64K).dst(Reg::R9).imm(item as i32 + 1));
        on_stack(&mut sheet, Reg::R9, VALUE);
        sheet.operand(Reg::R4, item, 1);
        map_call(&mut sheet, "map_update_elem");
        // Linux before 6.4 loses the sign on its way through native code: that has a case of its own.
        sheet.push(Insn::new(Opcode::Mov32X).dst(Reg::R0).src(Reg::R0));
        sheet.see(Reg::R0);
    }
    sheet.maps.push(subject.clone());
    sheet.case(format!("helper map_update_elem on {}", subject.name), RUNS, calls)
}

/// Lookups before and after updates; a value that is found is changed through the pointer.
fn lookup(subject: &MapDef) -> Result<Case, ProgramError> {
    let mut sheet = Sheet::new();
    for item in 0..ITEMS {
        sheet.operand(Reg::R8, item, 0);
        on_stack(&mut sheet, Reg::R8, KEY);
        on_stack(&mut sheet, Reg::R8, VALUE);
        if item % 2 == 0 {
            sheet.operand(Reg::R4, item, 1);
            map_call(&mut sheet, "map_update_elem");
        }
        map_call(&mut sheet, "map_lookup_elem");
        sheet.push(Insn::new(Opcode::Mov64K).dst(Reg::R9).imm(-1));
        sheet.push(Insn::new(Opcode::Jeq64K).dst(Reg::R0).off(3));
        sheet.push(Insn::new(Opcode::LdxW).dst(Reg::R9).src(Reg::R0).off(4));
        sheet.push(Insn::new(Opcode::Add64K).dst(Reg::R9).imm(1));
        sheet.push(Insn::new(Opcode::StxW).dst(Reg::R0).src(Reg::R9).off(4));
        sheet.see(Reg::R9);
    }
    sheet.maps.push(subject.clone());
    sheet.case(format!("helper map_lookup_elem on {}", subject.name), RUNS, calls)
}

/// A case in assembly, run once per operand, which lies in the first 8 bytes of the map `input`.
fn case(name: String, maps: Vec<MapDef>, targets: &[(&str, &str)], asm: &str, operands: &[u64]) -> Case {
    let input = maps.iter().position(|def| def.name == "input").expect("a map for the operand");
    let run = |operand: &u64| Run {
        input: Input {
            packet: vec![0; PACKET_LEN],
            elements: vec![(input, vec![0; 4], operand.to_le_bytes().to_vec())],
            ..Input::default()
        },
        ..Run::default()
    };
    let numbered = |asm: &str| {
        let called = ["tail_call", "loop", "ktime_get_ns", "get_prandom_u32"];
        called.iter().fold(asm.to_owned(), |asm, name| {
            asm.replace(&format!("call {name}\n"), &format!("call {}\n", helper::id(name)))
        })
    };
    let runs = operands.iter().map(run).collect();
    let targets = targets.iter().map(|(name, asm)| ((*name).to_owned(), numbered(asm))).collect();
    Case { targets, runs, ..Case::new(name, maps, Code::Asm(numbered(asm))) }
}

/// Indices of a program array: held, empty, beyond, and those that only their low half makes valid.
const INDICES: [u64; 10] = [0, 1, 2, 3, 4, 0xffff_ffff, 1 << 32, (1 << 32) + 2, (1 << 63) + 1, u64::MAX];

fn tail_calls() -> Vec<Case> {
    let programs = |held: &[(u32, &str)]| MapDef {
        contents: Contents::Programs(held.iter().map(|(at, name)| (*at, (*name).to_owned())).collect()),
        ..MapDef::new("table", MapType::PROG_ARRAY, 4, 4, 4)
    };
    let array = |name: &str| super::array(name, 8);
    let jump = "r6 = r1\nr9 = map[input][0]+0x0 ll\nr3 = *(u64 *)(r9 + 0)\nr2 = map[table] ll\ncall tail_call\nr0 = 77\nexit\n";
    let there = "r8 = map[output][0]+0x0 ll\nr1 = *(u64 *)(r8 + 0)\nr1 += 1\n*(u64 *)(r8 + 0) = r1\nr0 = 5\nexit\n";
    let maps = vec![array("input"), array("output"), programs(&[(0, "a"), (2, "b")])];
    let b = "r0 = 9\nexit\n";
    let one = case("helper tail_call by index".to_owned(), maps, &[("a", there), ("b", b)], jump, &INDICES);
    // Each counts, and goes on in itself or in the other, until no call is left.
    let again = |index: u32| {
        format!(
            "r6 = r1\nr8 = map[output][0]+0x0 ll\nr1 = *(u64 *)(r8 + 0)\nr1 += 1\n*(u64 *)(r8 + 0) = r1\nr1 = r6\n\
             r2 = map[table] ll\nr3 = {index}\ncall tail_call\nr8 = map[output][0]+0x0 ll\nr0 = *(u64 *)(r8 + 0)\nexit\n"
        )
    };
    let chain = |name: &str, held: &[(u32, &str)], targets: &[(&str, &str)], first: u32| {
        let maps = vec![array("input"), array("output"), programs(held)];
        case(format!("helper tail_call {name}"), maps, targets, &again(first), &[0])
    };
    vec![
        one,
        chain("to itself", &[(0, "main")], &[], 0),
        chain("to another that calls itself", &[(1, "a")], &[("a", &again(1))], 1),
        chain("to and fro", &[(0, "main"), (1, "a")], &[("a", &again(0))], 1),
        chain("into an empty slot", &[(0, "main")], &[], 3),
    ]
}

/// Turns that are asked for. The kernel takes no more than 8 Mi. Of a loop that Linux's verifier puts into the program all 64 bits
/// count, of a call 32: what has more is left out.
const TURNS: [u64; 7] = [0, 1, 2, 31, 1000, (8 << 20) + 1, 0xffff_ffff];

/// The low half of what it returns: where Linux's verifier knows that the flags are 0 it puts the loop into the program, with
/// -E2BIG as a number of 32 bits.
fn loops() -> Vec<Case> {
    let array = |name: &str| super::array(name, 8);
    let maps = || vec![array("input"), array("output")];
    let asm = |stop: u32, flags: &str| {
        format!(
            "r9 = map[input][0]+0x0 ll\nr1 = *(u64 *)(r9 + 0)\nr2 = body ll\nr3 = r10\nr3 += -8\n*(u64 *)(r10 - 8) = 0\n\
             r4 = {flags}\ncall loop\nw0 = w0\nr8 = map[output][0]+0x0 ll\n*(u64 *)(r8 + 0) = r0\nr0 = *(u64 *)(r10 - 8)\nexit\n\
             body:\nr3 = *(u64 *)(r2 + 0)\nr3 += r1\nr3 += 1\n*(u64 *)(r2 + 0) = r3\nr0 = 0\nif r1 < {stop} goto out\n\
             r0 = 1\nout: exit\n"
        )
    };
    let one = |name: &str, stop, flags| case(format!("helper loop {name}"), maps(), &[], &asm(stop, flags), &TURNS);
    vec![one("to its end", 2000, "0"), one("with an early end", 17, "0"), one("with a flag", 2000, "1")]
}

/// The clock does not go back; nothing more can be said of it.
fn clock() -> Case {
    let asm =
        "call ktime_get_ns\nr6 = r0\ncall ktime_get_ns\nr1 = 0\nif r0 < r6 goto back\nr1 = 1\nback: r0 = r1\nexit\n";
    case("helper ktime_get_ns".to_owned(), vec![super::array("input", 8)], &[], asm, &[0])
}

/// 32 bits: the upper half is 0.
fn random() -> Case {
    let asm = "call get_prandom_u32\nr0 >>= 32\nexit\n";
    case("helper get_prandom_u32".to_owned(), vec![super::array("input", 8)], &[], asm, &[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::interpreter;
    use semantics::memory::Memory;
    use semantics::world::World;

    /// Cases run to their end. Helpers without any are put to kernels by programs that are made from their declarations.
    #[test]
    fn helpers_show_themselves() {
        let mut examined = Vec::new();
        let mut world = World::new(Memory::detached().unwrap());
        for (_, helper) in helper::modelled() {
            let cases = cases(helper.fact().name).unwrap();
            if !cases.is_empty() {
                examined.push(helper.fact().name);
            }
            for case in cases {
                let program = case.program().unwrap_or_else(|error| panic!("{}: {error}", case.name));
                world.load(&program).unwrap();
                for run in &case.runs {
                    world.reset(&run.input).unwrap();
                    let stop = interpreter::run(&program, &mut world, 1 << 26, &mut ());
                    assert!(stop.result.is_ok(), "{}: {:?}", case.name, stop.result);
                }
            }
        }
        for name in ["map_update_elem", "map_lookup_elem", "tail_call", "loop", "ktime_get_ns", "get_prandom_u32"] {
            assert!(examined.contains(&name), "{name}");
        }
    }
}
