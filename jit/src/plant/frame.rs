//! Planted mistakes of trampoline, stubs, calls and what they are given: other rows of [`Frame`](crate::frame::Frame), other
//! code for calls and packet loads, other constants.

use semantics::helper::tail_call;
use semantics::insn::{Insn, Mode, Op, Opcode, Reg as Bpf, Size, Width};
use semantics::memory::layout::frame_top;
use semantics::word::{Algebra, Flag, Word};

use super::{Plant, but, replace};
use crate::frame;
use crate::insn::{lower_op, native, packet};
use crate::rules::Rules;
use crate::x64::{AluOp, Cc, Inst, Reg, Stub};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant("frame::r15_not_saved", "the trampoline leaves r15, R9, as the program left it", r15_not_saved),
        plant(
            "frame::stack_misaligned",
            "stubs call with the stack pointer 8 off (solana rbpf, 68abc2c)",
            stack_misaligned,
        ),
        plant("frame::trap_tested_32", "a stub looks for a trap in the low half of a stack pointer", trap_tested_32),
        plant(
            "frame::trap_stays_deep",
            "after a trap, registers are taken from wherever the stack is",
            trap_stays_deep,
        ),
        plant(
            "frame::result_narrowed",
            "the result of a helper is zero-extended from 32 bits: -EINVAL is positive",
            result_narrowed,
        ),
        plant("frame::tail_context_lost", "a tail call leaves in R1 what the runtime left in rdi", tail_context_lost),
        plant("frame::missing_bytes_trap", "a packet that is too short is taken for a trap", missing_bytes_trap),
        plant(
            "frame::frame_pointer_is_stack",
            "R10 is the native stack pointer instead of the top of the frame (ubpf, 8be50595: its bottom)",
            frame_pointer_is_stack,
        ),
        plant("call::tail_into_nothing", "a tail call that finds no program jumps to address 0", tail_into_nothing),
        plant(
            "call::tail_takes_first_frame",
            "a program that is tail-called gets the first frame",
            tail_takes_first_frame,
        ),
        plant(
            "call::tail_jumps_to_result",
            "a tail call jumps to R0, which the stub has cleared",
            tail_jumps_to_result,
        ),
        plant(
            "call::arguments_pushed",
            "a call of a subprogram saves R1, too, and misaligns the stack",
            arguments_pushed,
        ),
        plant("packet::missing_goes_on", "a load of bytes that are not there goes on with R0 = 0", missing_goes_on),
        plant("packet::immediate_forgotten", "an indirect load forgets the immediate", immediate_forgotten),
        plant("packet::half_as_word", "a load of 2 bytes asks for 4", half_as_word),
        plant("wide::offset_dropped", "the address of a map value forgets the offset in it", offset_dropped),
        plant("wide::address_32", "the address of a subprogram loses its upper half", address_32),
    ]
}

fn r15_not_saved<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.trampoline = |out| {
        frame::trampoline(out);
        for inst in out.iter_mut() {
            match inst {
                Inst::Push { src } if *src == Reg::R15 => *src = Reg::R14,
                Inst::Pop { dst } if *dst == Reg::R15 => *dst = Reg::R11,
                _ => {}
            }
        }
    };
}

/// Appends the stub, but for what `wrong` makes of its instructions: another, or none.
fn stub_but<A: Algebra>(
    stub: Stub,
    function: u64,
    out: &mut Vec<Inst<A>>,
    wrong: impl Fn(&Inst<A>) -> Option<Option<Inst<A>>>,
) {
    let start = out.len();
    frame::stub(stub, function, out);
    if let Some((at, other)) = (start..out.len()).find_map(|at| Some((at, wrong(&out[at])?))) {
        match other {
            Some(other) => out[at] = other,
            None => drop(out.remove(at)),
        }
    }
}

fn stack_misaligned<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        let start = out.len();
        stub_but(stub, function, out, |inst| matches!(inst, Inst::Push { .. }).then_some(None));
        let popped = out[start..].iter().position(|inst| matches!(inst, Inst::Pop { .. }));
        out.remove(start + popped.expect("a stub pops what it has pushed"));
    };
}

fn trap_tested_32<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        stub_but(stub, function, out, |inst| match inst {
            Inst::AluRr { op: AluOp::Test, dst, src, .. } => {
                Some(Some(Inst::AluRr { op: AluOp::Test, width: Width::W32, dst: *dst, src: *src }))
            }
            _ => None,
        });
    };
}

fn trap_stays_deep<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        stub_but(stub, function, out, |inst| matches!(inst, Inst::MovRr { dst: Reg::Rsp, .. }).then_some(None));
    };
}

fn result_narrowed<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        let start = out.len();
        frame::stub(stub, function, out);
        if stub == Stub::Helper {
            let call = out[start..].iter().position(|inst| matches!(inst, Inst::CallReg { .. }));
            let at = start + call.expect("a stub calls") + 1;
            out.insert(at, Inst::MovRr { width: Width::W32, dst: Reg::Rax, src: Reg::Rax });
        }
    };
}

fn tail_context_lost<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        stub_but(stub, function, out, |inst| {
            matches!(inst, Inst::Pop { dst: Reg::Rdi }).then_some(Some(Inst::Pop { dst: Reg::Rcx }))
        });
    };
}

fn missing_bytes_trap<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.stub = |stub, function, out| {
        stub_but(stub, function, out, |inst| match inst {
            Inst::Skip { cc: Some(Cc::A), count, bytes } => {
                Some(Some(Inst::Skip { cc: Some(Cc::Ae), count: *count, bytes: *bytes }))
            }
            _ => None,
        });
    };
}

fn frame_pointer_is_stack<A: Algebra>(rules: &mut Rules<A>) {
    rules.frame.trampoline = |out| {
        frame::trampoline(out);
        let load = out.iter_mut().find(|inst| matches!(inst, Inst::Load { dst, .. } if *dst == native(Bpf::FP)));
        if let Some(load) = load {
            *load = Inst::MovRr { width: Width::W64, dst: native(Bpf::FP), src: Reg::Rsp };
        }
    };
}

/// Whether the instruction is a tail call.
fn is_tail<A: Algebra>(insn: &Insn<A>) -> bool {
    insn.imm.same(&A::W32::lit(u64::from(tail_call::ID))).decide()
}

fn tail_into_nothing<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(Opcode::Call, Some(|insn, out| but(insn, out, |inst| matches!(inst, Inst::Skip { .. }).then_some(None))));
}

fn tail_takes_first_frame<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Call,
        Some(|insn, out| {
            lower_op(insn.op(), insn, out);
            if is_tail(insn) {
                out.insert(0, Inst::MovAbs { dst: native(Bpf::FP), imm: A::W64::lit(frame_top(0)) });
            }
        }),
    );
}

fn tail_jumps_to_result<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Call,
        Some(|insn, out| {
            lower_op(insn.op(), insn, out);
            if is_tail(insn) {
                out.pop();
                out.pop();
                // As long as the instruction that it replaces.
                out.push(Inst::Skip { cc: Some(Cc::E), count: 1, bytes: 2 });
                out.push(Inst::JmpReg { target: Reg::Rax });
            }
        }),
    );
}

fn arguments_pushed<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::CallLocal,
        Some(|insn, out| {
            out.push(Inst::Push { src: native(Bpf::R1) });
            lower_op(insn.op(), insn, out);
            out.push(Inst::Pop { dst: Reg::R11 });
        }),
    );
}

fn missing_goes_on<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Packet { mode: Mode::Abs, .. }),
        |insn, out| {
            lower_op(insn.op(), insn, out);
            out.truncate(out.len() - 3);
        },
    );
}

fn immediate_forgotten<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Packet { mode: Mode::Ind, .. }),
        |insn, out| but(insn, out, |inst| matches!(inst, Inst::AluRi { .. }).then_some(None)),
    );
}

fn half_as_word<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Packet { mode: Mode::Abs, size: Size::H }),
        |insn, out| packet::lower(Mode::Abs, Size::W, insn, out),
    );
}

fn offset_dropped<A: Algebra>(rules: &mut Rules<A>) {
    rules.link = |insn, address| {
        let zero = Insn { imm_hi: A::W32::lit(0), ..insn.clone() };
        crate::link::linked(&zero, address)
    };
}

fn address_32<A: Algebra>(rules: &mut Rules<A>) {
    rules.link = |insn, address| Insn { imm_hi: A::W32::lit(0), ..crate::link::linked(insn, address) };
}
