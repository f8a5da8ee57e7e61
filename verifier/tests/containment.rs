//! Accepted programs run without a trap and inside the recorded states; with a planted mistake some do not.

use semantics::asm::assemble;
use semantics::insn::table::TABLE;
use semantics::insn::{AluOp, Cond, Insn, Op, Opcode, Reg, Source, Wide, Width};
use semantics::interpreter::{Observer, Registers, run};
use semantics::map::{MapDef, MapType};
use semantics::memory::Memory;
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::provenance::Provenance;
use semantics::word::Concrete;
use semantics::world::{Input, World};
use std::sync::Arc;
use verifier::rules::Rules;
use verifier::{Escape, Options, Snapshot, States, Verdict, Verifier, plant};

struct Watch<'a> {
    states: &'a States,
    origins: Provenance,
    escape: Option<Escape>,
}

impl Observer for Watch<'_> {
    fn before(&mut self, pc: usize, insn: &Insn, regs: &Registers, world: &mut World) {
        self.origins.arrive(pc, regs, world);
        let run = Snapshot { regs, memory: &world.memory, packet: &world.packet, origins: Some(&self.origins) };
        if self.escape.is_none() {
            self.escape = self.states.contains(pc, &run).err();
        }
        self.origins.step(pc, insn, regs, world);
    }
}

fn map() -> MapDef {
    MapDef::new("m", MapType::ARRAY, 4, 16, 4)
}

/// Why a run is unsound, if it is: a trap, or an escape.
fn unsound(verifier: &mut Verifier, world: &mut World, program: &Arc<Program>, packets: &[Vec<u8>]) -> Option<String> {
    let options = Options { record: true, ..Options::default() };
    let Verdict::Accept(accepted) = verifier.verify(program, &options) else { return None };
    let states = accepted.states.unwrap();
    world.load(program).unwrap();
    let found = packets.iter().find_map(|packet| {
        world.reset(&Input { packet: packet.clone(), ..Input::default() }).unwrap();
        let mut watch = Watch { states: &states, origins: Provenance::default(), escape: None };
        let stop = run(program, world, 10_000, &mut watch);
        match (stop.result, watch.escape) {
            (Ok(_), None) => None,
            (result, escape) => Some(format!("{result:?} {}", escape.map_or_else(String::new, |e| e.to_string()))),
        }
    });
    verifier.recycle(states);
    found
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
    fn imm(&mut self) -> i32 {
        let edges = [0, 1, 2, 7, 8, 14, 15, 16, 31, 255, -1, -2, -8, i32::MAX, i32::MIN, i32::MIN + 1, 0xffff];
        if self.below(4) == 0 { self.below(1 << 32) as i32 } else { self.pick(&edges) }
    }
}

const REGS: [Reg; 5] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4];

/// Random numbers from the packet, then arithmetic, spills, comparisons and accesses with what came of them.
fn random_program(random: &mut Random) -> Vec<Insn> {
    let mut insns = assemble(
        "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r2 = r6\n r2 += 32\n r0 = 0\n if r2 > r7 goto +0\n \
         r9 = *(u64 *)(r6 + 0)\n r0 = *(u64 *)(r6 + 8)\n r1 = *(u32 *)(r6 + 16)\n r2 = *(u16 *)(r6 + 20)\n \
         r3 = *(u8 *)(r6 + 22)\n r4 = 1\n r8 = r10\n r8 += -32\n *(u64 *)(r10 - 32) = r9\n *(u64 *)(r10 - 24) = r9",
    )
    .unwrap();
    let start = insns.len();
    let body = 8 + random.below(12) as usize;
    while insns.len() < start + body {
        let left = (start + body - insns.len()) as u64;
        let (dst, src) = (random.pick(&REGS), random.pick(&REGS));
        let width = random.pick(&[Width::W64, Width::W32]);
        let source = random.pick(&[Source::K, Source::X]);
        let op = match random.below(14) {
            0..4 => Op::Alu { op: random.pick(&AluOp::ALL), width, source },
            4 => Op::Mov { width, source },
            5 => Op::Neg { width },
            6..9 => Op::Jump { cond: random.pick(&Cond::ALL), width, source },
            9 => {
                let (into, at) = (random.below(2) == 0, -8 * (1 + random.below(4) as i16));
                insns.push(if into {
                    Insn::new(random.pick(&[Opcode::StxDw, Opcode::StxW, Opcode::StxB])).dst(Reg::R10).src(src).off(at)
                } else {
                    Insn::new(random.pick(&[Opcode::LdxDw, Opcode::LdxW, Opcode::LdxB])).dst(dst).src(Reg::R10).off(at)
                });
                continue;
            }
            10 => {
                insns.extend(assemble("r5 = r6\n r5 += r3\n r5 += 4").unwrap());
                let compare = random.pick(&["if r5 > r7 goto +1", "if r5 >= r7 goto +1", "if r7 >= r5 goto +0"]);
                insns.extend(assemble(compare).unwrap());
                let access = random.pick(&["r0 = *(u8 *)(r5 - 1)", "r0 = *(u8 *)(r5 + 0)", "r0 = *(u32 *)(r5 - 4)"]);
                insns.extend(assemble(access).unwrap());
                continue;
            }
            11 => {
                // A map value, spilled and filled; then numbers again, some of them linked.
                let lookup = "*(u32 *)(r10 - 36) = 2\n r2 = r10\n r2 += -36\n r1 = map 0 ll\n call 1\n r1 = r9\n r3 = r9\n \
                              r3 &= 255\n r2 = r3\n w4 = w9\n r4 &= 7\n if r0 == 0 goto +5\n *(u64 *)(r10 - 48) = r0\n \
                              r5 = *(u64 *)(r10 - 48)\n r5 += r4\n *(u8 *)(r5 + 1) = 3\n r0 = *(u64 *)(r5 + 0)\n r0 = r1";
                insns.extend(assemble(lookup).unwrap());
                continue;
            }
            12 => {
                // Linked numbers, one of which then bounds an access.
                let bounded = random.pick(&["if r3 > 24 goto +4", "if w3 > 24 goto +4", "if r4 s> 24 goto +4"]);
                insns.extend(assemble(random.pick(&["r4 = r3", "r3 = r4", "w4 = w3"])).unwrap());
                insns.extend(assemble(bounded).unwrap());
                insns.extend(assemble("if r3 s< 0 goto +3\n r5 = r8\n r5 += r4\n *(u8 *)(r5 + 0) = 7").unwrap());
                continue;
            }
            _ => {
                insns.extend(assemble("r5 = r8\n r5 += r4\n *(u8 *)(r5 + 0) = 7").unwrap());
                continue;
            }
        };
        let insn = Insn::new(Opcode::of(op)).dst(dst);
        let insn = if source == Source::X && op.reads_src() { insn.src(src) } else { insn };
        let insn = if source == Source::K && !matches!(op, Op::Neg { .. }) { insn.imm(random.imm()) } else { insn };
        insns.push(if op.is_jump() { insn.off(random.below(left) as i16) } else { insn });
    }
    for _ in 0..24 {
        insns.push(Insn::new(Opcode::Mov64K).dst(Reg::R5));
    }
    insns.push(Insn::new(Opcode::Exit));
    // The prologue leaves where the packet is too short.
    insns[5].off = (insns.len() - 7) as u16;
    insns
}

/// The first unsound program among `rounds`, and how many were accepted up to it.
fn search(rules: Rules<Concrete>, rounds: usize) -> (Option<String>, usize) {
    let mut verifier = Verifier::with_rules(rules);
    let mut world = World::new(Memory::detached().unwrap());
    let mut random = Random(7);
    let mut accepted = 0;
    for _ in 0..rounds {
        let Ok(program) = Program::new("random", ProgramType::Xdp, "GPL", vec![map()], random_program(&mut random))
        else {
            continue;
        };
        let program = Arc::new(program);
        let packets = [0, 1, 2, 3].map(|kind| {
            let byte = |random: &mut Random| match kind {
                0 => random.below(256) as u8,
                1 => random.pick(&[0, 0xff]),
                2 => random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                _ => u8::from(random.below(8) == 0),
            };
            (0..33 + random.below(3) * 20).map(|_| byte(&mut random)).collect::<Vec<u8>>()
        });
        accepted += usize::from(verifier.verify(&program, &Options::default()).is_accept());
        if let Some(found) = unsound(&mut verifier, &mut world, &program, &packets) {
            let listing: Vec<_> = program.instructions().map(|(at, insn)| format!("{at}: {insn}")).collect();
            return (Some(format!("{found}\n{}", listing.join("\n"))), accepted);
        }
    }
    (None, accepted)
}

#[test]
fn runs_stay_inside_the_states() {
    let (found, accepted) = search(Rules::default(), 4_000);
    if let Some(found) = found {
        panic!("{found}");
    }
    assert!(accepted > 1_000, "{accepted} accepted");
}

/// Any rows of the table with any operands, mostly nonsense.
fn arbitrary_program(random: &mut Random) -> Vec<Insn> {
    let mut insns = assemble("r0 = 0").unwrap();
    for _ in 0..=random.below(10) {
        let row = &TABLE[random.below(TABLE.len() as u64) as usize];
        let reg = |random: &mut Random| Reg::ALL[random.below(11) as usize];
        let off = random.pick(&[0, 1, 2, -1, -4, -8, -16, 4, 8, 12, i16::MAX, i16::MIN]);
        let mut insn = Insn::new(row.opcode).dst(reg(random)).src(reg(random)).off(off).imm(random.imm());
        match row.op {
            Op::WideTail => continue,
            Op::Wide(Wide::Map) => insn = insn.imm(0),
            Op::Jump { .. } | Op::Ja => insn = insn.off(random.below(3) as i16),
            Op::CallHelper => insn = insn.imm(random.pick(&[1, 2, 5, 7])),
            _ => {}
        }
        insns.push(insn);
        if insn.slots() == 2 {
            insns.push(Insn::new(Opcode::WideTail));
        }
    }
    insns.extend(assemble("r3 = 0\n r4 = 0\n r0 = 0\n exit").unwrap());
    insns
}

#[test]
fn arbitrary_programs_get_a_verdict_that_holds() {
    let mut verifier = Verifier::default();
    let mut world = World::new(Memory::detached().unwrap());
    let mut random = Random(99);
    let mut verdicts = 0;
    for _ in 0..20_000 {
        let insns = arbitrary_program(&mut random);
        let Ok(program) = Program::new("arbitrary", ProgramType::Xdp, "GPL", vec![map()], insns) else { continue };
        let program = Arc::new(program);
        verdicts += 1;
        if let Verdict::Reject(rejection) = verifier.verify(&program, &Options { log: true, ..Options::default() }) {
            assert!(!rejection.to_string().is_empty() && rejection.insn < program.insns().len());
        } else if let Some(found) = unsound(&mut verifier, &mut world, &program, &[vec![0xff; 64]]) {
            panic!("{found}\n{program:?}");
        }
    }
    assert!(verdicts > 5_000, "{verdicts}");
}

#[test]
fn most_planted_mistakes_show_in_runs() {
    // The programs here are of moves, arithmetic and jumps.
    let names = ["mov32_sign_extended", "mov32_signed_bounds", "add32_on_64_bits", "sub64_ignores_overflow"];
    let more = ["or32_upper_bound", "jslt64_off_by_one", "jset64_learns_all_bits", "jeq32_narrows_64_bits"];
    let more = more.into_iter().chain(["and64_stale_half", "packet_range_off_by_one"]);
    let shown = names.into_iter().chain(more).map(|name| {
        let mut rules = Rules::default();
        (plant::by_name::<Concrete>(name).expect("a plant of this name").apply)(&mut rules);
        (name, search(rules, 20_000).0.is_some())
    });
    let missed: Vec<_> = shown.filter(|(_, shown)| !shown).map(|(name, _)| name).collect();
    assert!(missed.is_empty(), "not found by random programs: {missed:?}");
}

#[test]
fn map_values_and_loops_are_contained() {
    let text = "r9 = 0\n again: *(u32 *)(r10 - 4) = r9\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n if r0 == 0 goto out\n \
                r3 = *(u64 *)(r0 + 8)\n r3 &= 7\n r4 = r0\n r4 += r3\n *(u8 *)(r4 + 0) = 5\n *(u64 *)(r10 - 16) = r0\n \
                r5 = *(u64 *)(r10 - 16)\n *(u64 *)(r5 + 8) = r9\n r9 += 1\n if r9 < 6 goto again\n out: r0 = r9\n exit";
    let insns = assemble(text).unwrap();
    let program = Arc::new(Program::new("loop", ProgramType::Xdp, "GPL", vec![map()], insns).unwrap());
    let mut verifier = Verifier::default();
    let mut world = World::new(Memory::detached().unwrap());
    assert!(verifier.verify(&program, &Options::default()).is_accept());
    assert_eq!(unsound(&mut verifier, &mut world, &program, &[vec![0; 64]]), None);
}

#[test]
fn values_outside_of_the_states_escape() {
    let insns = assemble("r0 = *(u32 *)(r1 + 12)\n r0 &= 7\n *(u64 *)(r10 - 8) = r0\n r0 = 1\n exit").unwrap();
    let program = Arc::new(Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).unwrap());
    let Verdict::Accept(accepted) =
        Verifier::default().verify(&program, &Options { record: true, ..Options::default() })
    else {
        panic!()
    };
    let states = accepted.states.unwrap();
    let mut world = World::new(Memory::detached().unwrap());
    world.load(&program).unwrap();
    world.reset(&Input { packet: vec![0; 64], ..Input::default() }).unwrap();
    let mut regs = [0; 11];
    regs[1] = semantics::memory::layout::CONTEXT;
    regs[10] = semantics::memory::layout::frame_top(0);
    let at = |pc, regs: &Registers, world: &World| {
        states.contains(pc, &Snapshot { regs, memory: &world.memory, packet: &world.packet, origins: None })
    };
    regs[0] = 7;
    assert_eq!(at(2, &regs, &world), Ok(()));
    assert_eq!(at(4, &regs, &world), Err(Escape::Register { insn: 4, reg: Reg::R0, value: 7 }));
    regs[0] = 8;
    assert_eq!(at(2, &regs, &world), Err(Escape::Register { insn: 2, reg: Reg::R0, value: 8 }));
    regs[0] = 7;
    world.memory.poke(regs[10] - 8, &9u64.to_le_bytes());
    assert_eq!(at(3, &regs, &world), Err(Escape::Stack { insn: 3, depth: 8, value: 9 }));
    regs[10] -= 8;
    let stray = Escape::Register { insn: 2, reg: Reg::FP, value: regs[10] };
    assert_eq!(at(2, &regs, &world), Err(stray));
    assert_eq!(at(7, &regs, &world), Err(Escape::Unexplored { insn: 7 }));
}

/// A pointer that nobody uses may go over many elements: only what it was made from says whether it is where it can be.
#[test]
fn pointers_that_wander_are_judged_by_what_they_were_made_from() {
    struct Moved<'a> {
        states: &'a States,
        origins: Provenance,
        seen: [Option<Result<(), Escape>>; 3],
    }
    impl Observer for Moved<'_> {
        fn before(&mut self, pc: usize, insn: &Insn, regs: &Registers, world: &mut World) {
            self.origins.arrive(pc, regs, world);
            if insn.opcode == Opcode::Add64K && insn.imm == 7 {
                let contains = |regs: &Registers, origins| {
                    self.states.contains(pc, &Snapshot { regs, memory: &world.memory, packet: &world.packet, origins })
                };
                let mut moved = *regs;
                moved[4] += 0x10_0000;
                let origins = Some(&self.origins);
                self.seen = [contains(regs, origins), contains(&moved, None), contains(&moved, origins)].map(Some);
            }
            self.origins.step(pc, insn, regs, world);
        }
    }
    let text = "r6 = *(u32 *)(r1 + 12)\n *(u32 *)(r10 - 4) = 2\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n \
                if r0 == 0 goto out\n r6 &= 0xfffff\n r4 = r0\n r4 += r6\n *(u64 *)(r10 - 16) = r4\n \
                r4 = *(u64 *)(r10 - 16)\n r6 += 7\n out: r0 = 0\n exit";
    let map = MapDef::new("m", MapType::ARRAY, 4, 16, 1 << 16);
    let program = Program::new("wander", ProgramType::Xdp, "GPL", vec![map], assemble(text).unwrap()).unwrap();
    let program = Arc::new(program);
    let options = Options { record: true, ..Options::default() };
    let states = Verifier::default().verify(&program, &options).accepted().unwrap().states.unwrap();
    let mut world = World::new(Memory::detached().unwrap());
    world.load(&program).unwrap();
    world.reset(&Input { packet: vec![0; 64], ..Input::default() }).unwrap();
    let mut moved = Moved { states: &states, origins: Provenance::default(), seen: [None; 3] };
    run(&program, &mut world, 1000, &mut moved).result.unwrap();
    let [there, unwatched, watched] = moved.seen.map(Option::unwrap);
    assert_eq!((there, unwatched), (Ok(()), Ok(())), "many elements could be meant");
    assert!(matches!(watched, Err(Escape::Register { reg: Reg::R4, .. })), "{watched:?}");
}
