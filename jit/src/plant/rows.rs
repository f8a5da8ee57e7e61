//! Planted mistakes of single instructions: other rows of the rules.

use semantics::insn::{AluOp, AtomicOp, Cond, Insn, MulDivOp, Op, Opcode, ShiftOp, Size, Source, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

use super::{Plant, but, replace};
use crate::insn::alu::zero;
use crate::insn::{lower_op, native};
use crate::rules::Rules;
use crate::x64::{self, Branch, Cc, Inst, Reg};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant(
            "alu::identity32_dropped",
            "w += 0 and its like emit nothing, so the upper half survives (Linux s390, db7bee653859)",
            identity32_dropped,
        ),
        plant(
            "alu::and64_zero_extended",
            "r &= imm takes the 32-bit form also for a negative immediate, so the upper half is cleared",
            and64_zero_extended,
        ),
        plant(
            "alu::sub_swapped",
            "dst -= src computes src - dst (Linux x86-32, b9aa0b35d878: operands of sbb swapped)",
            sub_swapped,
        ),
        plant(
            "mov::self32_elided",
            "w1 = w1 emits nothing, as its 64-bit sister may, so the upper half survives",
            self32_elided,
        ),
        plant(
            "mov::imm64_zero_extended",
            "r = -1 becomes 0xffffffff: the immediate is not sign-extended",
            imm64_zero_extended,
        ),
        plant("wide::high_half_lost", "a wide immediate whose upper half is 1 is moved as 32 bits", high_half_lost),
        plant(
            "load_store::upper_half_kept",
            "a 32-bit load leaves the upper half as it was (Linux x86-32, 5fa9a98fb103)",
            upper_half_kept,
        ),
        plant("load_store::store_too_wide", "a 16-bit store of a register writes 32 bits", store_too_wide),
        plant(
            "load_store::displacement_wrapped",
            "a displacement of 128 is taken for one that fits 8 bits and becomes -128",
            displacement_wrapped,
        ),
        plant("jump::signed_as_unsigned", "s> is compared unsigned: -1 s> 1", signed_as_unsigned),
        plant(
            "jump::set_as_compare",
            "jset compares instead of testing: taken where the operands differ",
            set_as_compare,
        ),
        plant("jump::set_clobbers", "jset ands into its destination (Linux x86-32, 50fe7ebb6475)", set_clobbers),
        plant(
            "jump::set32_tests64",
            "a 32-bit jset of registers also tests the upper half (Linux x86-32, 80f1f8503635)",
            set32_tests64,
        ),
        plant(
            "jump::zero_tested_signed",
            "r > 0 becomes a test whose sign bit counts: not taken for -1",
            zero_tested_signed,
        ),
        plant("call::id_in_r8", "the helper's number overwrites the fifth argument", id_in_r8),
        plant("shift::arsh32_on_64_bits", "a 32-bit arithmetic shift takes its sign from bit 63", arsh32_on_64_bits),
        plant("shift::operands_swapped", "dst <<= src shifts src by dst", shift_operands_swapped),
        plant("muldiv::zero_unguarded", "a division by register does not look for 0, and faults", zero_unguarded),
        plant("muldiv::dividend_zero_extended", "a signed dividend is zero-extended", dividend_zero_extended),
        plant("muldiv::remainder_by_zero_is_zero", "x % 0 is 0, as x / 0 is", remainder_by_zero_is_zero),
        plant("mov::movsx_zero_extended", "r = (s8)r zero-extends", movsx_zero_extended),
        plant("endian::be16_upper_kept", "be16 swaps two bytes and keeps the others (ubpf, 3cf0200a)", be16_upper_kept),
        plant("load_store::ldsx_zero_extended", "a sign-extending load zero-extends", ldsx_zero_extended),
        plant(
            "atomic::cmpxchg32_upper_kept",
            "a 32-bit compare-and-exchange that succeeds leaves the upper half of R0",
            cmpxchg32_upper_kept,
        ),
        plant(
            "atomic::fetch_forgotten",
            "a fetching addition does not fetch (Linux powerpc64, 419ac821766c)",
            fetch_forgotten,
        ),
        plant("atomic::r0_not_brought_back", "a fetching loop leaves the old value in R0, too", r0_not_brought_back),
        plant("call::frame_shared", "a subprogram gets the frame of its caller", frame_shared),
        plant("call::r9_not_kept", "a subprogram's R9 stays after it", r9_not_kept),
    ]
}

fn identity32_dropped<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Alu { op, width: Width::W32, source: Source::K } if op != AluOp::And);
    replace(rules, matches, |insn, out| {
        if !insn.imm.is_zero().decide() {
            lower_op(insn.op(), insn, out);
        }
    });
}

fn and64_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::And64K,
        Some(|insn, out| {
            let (op, dst) = (x64::AluOp::And, native(insn.dst));
            out.push(Inst::AluRi { op, width: Width::W32, dst, imm: insn.imm.clone() });
        }),
    );
}

fn sub_swapped<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Sub64X,
        Some(|insn, out| {
            lower_op(insn.op(), insn, out);
            out.push(Inst::Neg { width: Width::W64, dst: native(insn.dst) });
        }),
    );
}

fn self32_elided<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Mov32X,
        Some(|insn, out| {
            if insn.dst != insn.src {
                lower_op(insn.op(), insn, out);
            }
        }),
    );
}

fn imm64_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Mov64K,
        Some(|insn, out| {
            out.push(Inst::MovZx { dst: native(insn.dst), imm: insn.imm.clone() });
        }),
    );
}

fn high_half_lost<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Lddw,
        Some(|insn: &Insn<A>, out| {
            if insn.imm_hi.same(&A::W32::lit(1)).decide() {
                out.push(Inst::MovZx { dst: native(insn.dst), imm: insn.imm.clone() });
            } else {
                lower_op(insn.op(), insn, out);
            }
        }),
    );
}

fn upper_half_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::LdxW,
        Some(|insn, out| {
            // dst ^= (dst ^ value) with the 32-bit difference: the upper half of the old value stays.
            let (base, dst, disp) = (native(insn.src), native(insn.dst), insn.off.sx());
            let (op, src) = (x64::AluOp::Xor, Reg::R11);
            out.push(Inst::Load { size: Size::W, dst: src, base, disp });
            out.push(Inst::AluRr { op, width: Width::W32, dst: src, src: dst });
            out.push(Inst::AluRr { op, width: Width::W64, dst, src });
        }),
    );
}

fn store_too_wide<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::StxH,
        Some(|insn, out| {
            let (base, src) = (native(insn.dst), native(insn.src));
            out.push(Inst::Store { size: Size::W, base, disp: insn.off.sx(), src });
        }),
    );
}

fn displacement_wrapped<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Load { .. }),
        |insn, out| {
            let Op::Load { size } = insn.op() else { return };
            let off: A::W32 = insn.off.sx();
            let disp = if off.same(&A::W32::lit(128)).decide() { off.neg() } else { off };
            out.push(Inst::Load { size, dst: native(insn.dst), base: native(insn.src), disp });
        },
    );
}

fn signed_as_unsigned<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Jump { cond: Cond::Sgt, .. }),
        |insn, out| {
            let Op::Jump { width, source, .. } = insn.op() else { return };
            lower_op(Op::Jump { cond: Cond::Gt, width, source }, insn, out);
        },
    );
}

fn set_as_compare<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Jump { cond: Cond::Set, .. }),
        |insn, out| {
            let Op::Jump { width, source, .. } = insn.op() else { return };
            lower_op(Op::Jump { cond: Cond::Ne, width, source }, insn, out);
        },
    );
}

fn set_clobbers<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Jump { cond: Cond::Set, source: Source::K, .. }),
        |insn, out| {
            let Op::Jump { width, .. } = insn.op() else { return };
            let (op, dst) = (x64::AluOp::And, native(insn.dst));
            out.push(Inst::AluRi { op, width, dst, imm: insn.imm.clone() });
            out.push(Inst::Branch(Branch::Jcc(Cc::Ne)));
        },
    );
}

fn set32_tests64<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Jset32X,
        Some(|insn, out| {
            lower_op(Op::Jump { cond: Cond::Set, width: Width::W64, source: Source::X }, insn, out);
        }),
    );
}

fn zero_tested_signed<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Jump { cond: Cond::Gt, source: Source::K, .. }),
        |insn, out| {
            lower_op(insn.op(), insn, out);
            if insn.imm.is_zero().decide() {
                out.pop();
                out.push(Inst::Branch(Branch::Jcc(Cc::G)));
            }
        },
    );
}

fn id_in_r8<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Call,
        Some(|insn, out| {
            out.push(Inst::MovZx { dst: Reg::R8, imm: insn.imm.clone() });
            lower_op(insn.op(), insn, out);
        }),
    );
}

fn arsh32_on_64_bits<A: Algebra>(rules: &mut Rules<A>) {
    replace(
        rules,
        |op| matches!(op, Op::Shift { op: ShiftOp::Arsh, width: Width::W32, source: Source::K }),
        |insn, out| {
            lower_op(Op::Shift { op: ShiftOp::Arsh, width: Width::W64, source: Source::K }, insn, out);
            out.push(Inst::MovRr { width: Width::W32, dst: native(insn.dst), src: native(insn.dst) });
        },
    );
}

fn shift_operands_swapped<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Lsh64X,
        Some(|insn, out| {
            let (dst, src) = (native(insn.dst), native(insn.src));
            out.push(Inst::ShiftX { op: x64::ShiftOp::Shl, width: Width::W64, dst, src, amount: dst });
        }),
    );
}

fn zero_unguarded<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mod, source: Source::X, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| matches!(inst, Inst::Skip { .. }).then_some(None));
    });
}

fn dividend_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Sdiv, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| matches!(inst, Inst::SignRdx { .. }).then(|| Some(zero(Reg::Rdx))));
    });
}

fn remainder_by_zero_is_zero<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mod, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        if insn.imm.is_zero().decide() {
            out.push(zero(native(insn.dst)));
        } else {
            lower_op(insn.op(), insn, out);
        }
    });
}

fn movsx_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MovSx { from: Size::B, .. });
    replace(rules, matches, |insn, out| {
        out.push(Inst::MovZxRr { size: Size::B, dst: native(insn.dst), src: native(insn.src) });
    });
}

fn be16_upper_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Be16,
        Some(|insn, out| {
            // dst ^= (dst ^ swapped) with the 16-bit difference: the other bytes of the old value stay.
            let (dst, src) = (native(insn.dst), Reg::R11);
            let (op, width) = (x64::AluOp::Xor, Width::W64);
            out.push(Inst::MovRr { width, dst: src, src: dst });
            out.push(Inst::Bswap { width: Width::W32, dst: src });
            out.push(Inst::ShiftImm { op: x64::ShiftOp::Shr, width: Width::W32, dst: src, amount: A::W8::lit(16) });
            out.push(Inst::AluRr { op, width, dst: src, src: dst });
            out.push(Inst::MovZxRr { size: Size::H, dst: src, src });
            out.push(Inst::AluRr { op, width, dst, src });
        }),
    );
}

fn ldsx_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::LoadSx { size: Size::W });
    replace(rules, matches, |insn, out| lower_op(Op::Load { size: Size::W }, insn, out));
}

fn cmpxchg32_upper_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::AtomicCmpxchg32,
        Some(|insn, out| but(insn, out, |inst| matches!(inst, Inst::MovRr { .. }).then_some(None))),
    );
}

fn fetch_forgotten<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Atomic { op: AtomicOp::Add, fetch: true, .. });
    replace(rules, matches, |insn, out| {
        let Op::Atomic { op, size, .. } = insn.op() else { return };
        lower_op(Op::Atomic { op, fetch: false, size }, insn, out);
    });
}

fn r0_not_brought_back<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Atomic { op: AtomicOp::Xor, fetch: true, .. });
    replace(rules, matches, |insn, out| {
        lower_op(insn.op(), insn, out);
        if native(insn.src) != Reg::Rax {
            out.pop();
        }
    });
}

fn frame_shared<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::CallLocal,
        Some(|insn, out| but(insn, out, |inst| matches!(inst, Inst::AluRi { .. }).then_some(None))),
    );
}

fn r9_not_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::CallLocal,
        Some(|insn, out| {
            but(insn, out, |inst| {
                matches!(inst, Inst::Pop { dst: Reg::R15 }).then_some(Some(Inst::Pop { dst: Reg::R11 }))
            });
        }),
    );
}
