//! Short loops lie within a line of the instruction cache, wherever they begin, and still do what they did.

use std::sync::Arc;

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use jit::plant::plants;
use jit::{Code, Jit, Rules, compile};
use semantics::asm::assemble;
use semantics::engine::Engine;
use semantics::insn::{Insn, Opcode, Reg};
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::word::Concrete;
use semantics::world::{Input, World};

fn verified(insns: Vec<Insn>) -> Verified {
    let program = Program::new("align", ProgramType::Xdp, "GPL", vec![], insns).unwrap();
    // SAFETY: these programs end and touch nothing but registers.
    unsafe { Verified::trust(Arc::new(program)) }
}

/// Bytes of code before the first loop: 2 or 3 at a time.
fn filler(bytes: usize) -> Vec<Insn> {
    let short = Insn::new(Opcode::Mov32X).dst(Reg::R0).src(Reg::R1);
    let long = Insn::new(Opcode::Mov64X).dst(Reg::R0).src(Reg::R1);
    let mut insns = vec![short; bytes / 2 - bytes % 2];
    insns.extend(vec![long; bytes % 2]);
    insns
}

/// Where loops lie: first byte and the one behind the last.
fn loops(program: &Verified) -> Vec<(usize, usize)> {
    let mut code = Code::default();
    compile(program, &Rules::standard(), &mut code).unwrap();
    let insns = program.program().insns();
    let jumps = insns.iter().enumerate().filter(|(_, insn)| insn.op().is_jump() && (insn.off as i16) < 0);
    jumps.map(|(slot, insn)| (code.slot(insn.target(slot) as usize), code.slot(slot + 1))).collect()
}

fn crosses(lies: &(usize, usize)) -> bool {
    lies.0 / 64 != (lies.1 - 1) / 64
}

/// Three loops of `body` one after the other, a short one within the second.
fn program(bytes: usize, body: &str) -> Vec<Insn> {
    let mut insns = filler(bytes);
    let text = format!(
        "r0 = 0\n r2 = 10\n a: {body} r2 -= 1\n if r2 != 0 goto a\n r0 *= 3\n r2 = 10\n b: r3 = 3\n
         c: {body} r3 -= 1\n if r3 != 0 goto c\n r2 -= 1\n if r2 != 0 goto b\n r0 *= 7\n r2 = 100\n
         d: {body} r2 -= 1\n if r2 != 0 goto d\n r0 ^= r2\n exit"
    );
    insns.extend(assemble(&text).unwrap());
    insns
}

#[test]
fn short_loops_lie_within_a_line() {
    for bytes in 4..70 {
        for body in ["r0 += 5\n", "r0 += r2\n r0 ^= 77\n", "r0 += 100000\n r0 ^= r2\n"] {
            let program = verified(program(bytes, body));
            let all = loops(&program);
            assert_eq!(all.len(), 4);
            for lies in all.iter().filter(|(start, end)| end - start <= 32) {
                assert!(!crosses(lies), "{bytes} bytes before {body}: {lies:x?}");
            }
        }
    }
}

/// What is not short is left where it is, and so lies across lines somewhere: the check above can fail.
#[test]
fn long_loops_lie_anywhere() {
    let body = "r0 += 100000\n r0 ^= 100000\n r0 += 100000\n r0 ^= 100000\n";
    let crossing = |bytes| loops(&verified(program(bytes, body))).iter().any(crosses);
    assert!((4..70).any(crossing));
}

/// Whether every jump leads where it should, by an independent decoder.
fn jumps_land(program: &Verified, rules: &Rules) -> bool {
    let mut code = Code::default();
    compile(program, rules, &mut code).unwrap();
    let insns = program.program().insns();
    insns.iter().enumerate().filter(|(_, insn)| insn.op().is_jump()).all(|(slot, insn)| {
        let start = code.slot(slot);
        let bytes = &code.bytes()[start..code.slot(slot + 1)];
        let decoder = Decoder::with_ip(64, bytes, start as u64, DecoderOptions::NONE);
        let branch = decoder.into_iter().find(|inst| inst.flow_control() != FlowControl::Next);
        branch.is_some_and(|branch| branch.near_branch64() as usize == code.slot(insn.target(slot) as usize))
    })
}

#[test]
fn branches_move_with_nops() {
    let plants = plants::<Concrete>();
    let plant = plants.iter().find(|plant| plant.name == "layout::nops_move_slots_only").unwrap();
    let mut wrong = Rules::standard();
    (plant.install)(&mut wrong);
    let mut found = 0;
    for bytes in 4..70 {
        let program = verified(program(bytes, "r0 += r2\n r0 ^= 77\n"));
        assert!(jumps_land(&program, &Rules::standard()), "{bytes} bytes before");
        found += usize::from(!jumps_land(&program, &wrong));
    }
    assert!(found > 10, "of 66 programs {found} have nops, or their branches do not matter");
}

#[test]
fn padded_programs_run() {
    let mut world = World::new(Memory::native().unwrap());
    let mut jit = Jit::new().unwrap();
    for bytes in 4..70 {
        let program = verified(program(bytes, "r0 += r2\n r0 ^= 77\n"));
        world.load(program.program()).unwrap();
        world.reset(&Input::default()).unwrap();
        let expected = semantics::interpreter::run(program.program(), &mut world, 1 << 20, &mut ()).result;
        jit.load(&program).unwrap();
        assert_eq!(jit.run(&mut world), expected, "{bytes} bytes before");
        assert!(expected.is_ok());
    }
}
