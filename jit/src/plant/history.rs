//! Mistakes that JITs have really made, as far as they mean something here.

use semantics::insn::{MulDivOp, Op, Opcode, Order, ShiftOp, Size, Source, Width};
use semantics::word::{Algebra, Flag, Word};

use super::{Plant, but, replace};
use crate::insn::{lower_op, native, shift};
use crate::rules::Rules;
use crate::x64::{AluOp, Inst, Reg};

/// All of them.
pub(super) fn plants<A: Algebra>() -> Vec<Plant<A>> {
    let plant = |name, story, install| Plant { name, story, install };
    vec![
        plant(
            "atomic::r0_source_overwritten",
            "a fetching loop with R0 as source combines what was in memory with itself (Linux x86-64, b29dd96b905f; ubpf, a25446f7)",
            r0_source_overwritten,
        ),
        plant(
            "muldiv::zero_tested_64",
            "a 32-bit division looks for 0 in 64 bits and faults on 0x100000000 (Linux x86-64, 68fda450a7df)",
            zero_tested_64,
        ),
        plant(
            "muldiv::sdiv32_sign_extended",
            "the result of a 32-bit signed division is sign-extended (Linux LoongArch, dacd348b8a99)",
            sdiv32_sign_extended,
        ),
        plant(
            "muldiv::skip_too_short",
            "the jump over a division misses its last byte: some registers take a longer encoding (rbpf, 0f36550)",
            skip_too_short,
        ),
        plant(
            "muldiv::mul_zero_squares",
            "a multiplication by 0 is taken for one without an immediate: dst *= dst (solana rbpf, b20e773)",
            mul_zero_squares,
        ),
        plant(
            "shift::rcx_brought_back",
            "a shift of rcx by a register brings the old rcx back over the result (Linux x86-64, 2014)",
            rcx_brought_back,
        ),
        plant(
            "shift::by_zero_dropped",
            "a 32-bit shift by 0 emits nothing, so the upper half survives (Linux x86-32, 6fa632e719ee: shifts by 0)",
            by_zero_dropped,
        ),
        plant(
            "wide::tail_has_code",
            "the second slot of a wide instruction has a place of its own (Linux arm64, ddc665a4bb4b)",
            tail_has_code,
        ),
        plant(
            "load_store::ldsx_offset_dropped",
            "a sign-extending load forgets its offset (Linux arm64: the offset was taken for a register)",
            ldsx_offset_dropped,
        ),
        plant(
            "endian::be64_upper_cleared",
            "a 64-bit byte swap is taken for 32-bit arithmetic and clears the upper half (Linux powerpc32, 48164fccdff6)",
            be64_upper_cleared,
        ),
        plant(
            "endian::le16_upper_kept",
            "le16 changes nothing, so the upper bits survive (ubpf, 1086d004)",
            le16_upper_kept,
        ),
    ]
}

fn r0_source_overwritten<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Atomic { fetch: true, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| match inst {
            // Where R0 is put aside is the operand only if R0 is the source.
            Inst::AluRr { op, width, dst, src: Reg::R11 } => {
                Some(Some(Inst::AluRr { op: *op, width: *width, dst: *dst, src: Reg::Rax }))
            }
            _ => None,
        });
    });
}

fn zero_tested_64<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Div, width: Width::W32, source: Source::X });
    replace(rules, matches, |insn, out| {
        let start = out.len();
        lower_op(insn.op(), insn, out);
        for inst in &mut out[start..] {
            match inst {
                // The divisor is moved and tested whole.
                Inst::MovRr { width, dst: Reg::R11, .. } | Inst::AluRr { op: AluOp::Test, width, .. } => {
                    *width = Width::W64;
                }
                _ => {}
            }
        }
    });
}

fn sdiv32_sign_extended<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Sdiv, width: Width::W32, .. });
    replace(rules, matches, |insn, out| {
        lower_op(insn.op(), insn, out);
        let dst = native(insn.dst);
        out.push(Inst::MovSxRr { size: Size::W, width: Width::W64, dst, src: dst });
    });
}

fn skip_too_short<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mod, source: Source::X, .. });
    replace(rules, matches, |insn, out| {
        but(insn, out, |inst| match inst {
            Inst::Skip { cc, count, bytes } => Some(Some(Inst::Skip { cc: *cc, count: *count, bytes: *bytes - 1 })),
            _ => None,
        });
    });
}

fn mul_zero_squares<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::MulDiv { op: MulDivOp::Mul, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        let Op::MulDiv { width, .. } = insn.op() else { return };
        if insn.imm.is_zero().decide() {
            out.push(Inst::Imul { width, dst: native(insn.dst), src: native(insn.dst) });
        } else {
            lower_op(insn.op(), insn, out);
        }
    });
}

fn rcx_brought_back<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(
        Opcode::Lsh64X,
        Some(|insn, out| {
            shift::lower_without_bmi2(ShiftOp::Lsh, Width::W64, Source::X, insn, out);
            if native(insn.dst) == Reg::Rcx && native(insn.src) != Reg::Rcx {
                // What is brought back is not the result.
                out.pop();
                out.insert(0, Inst::MovRr { width: Width::W64, dst: Reg::R10, src: Reg::Rcx });
                out.push(Inst::MovRr { width: Width::W64, dst: Reg::Rcx, src: Reg::R10 });
            }
        }),
    );
}

fn by_zero_dropped<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Shift { width: Width::W32, source: Source::K, .. });
    replace(rules, matches, |insn, out| {
        if !insn.imm.is_zero().decide() {
            lower_op(insn.op(), insn, out);
        }
    });
}

fn tail_has_code<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(Opcode::WideTail, Some(|_, out| out.push(Inst::MovRr { width: Width::W64, dst: Reg::R9, src: Reg::R9 })));
}

fn ldsx_offset_dropped<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::LoadSx { .. });
    replace(rules, matches, |insn, out| {
        let insn = semantics::insn::Insn { off: A::W16::lit(0), ..insn.clone() };
        lower_op(insn.op(), &insn, out);
    });
}

fn be64_upper_cleared<A: Algebra>(rules: &mut Rules<A>) {
    let matches = |op| matches!(op, Op::Endian { order: Order::Be, size: Size::Dw });
    replace(rules, matches, |insn, out| {
        lower_op(insn.op(), insn, out);
        let dst = native(insn.dst);
        out.push(Inst::MovRr { width: Width::W32, dst, src: dst });
    });
}

fn le16_upper_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.set(Opcode::Le16, Some(|_, _| {}));
}
