//! Planted mistakes: real bugs of verifiers, each replacing rows of the table of [`rules`](crate::rules). Whatever claims
//! to find unsoundness is tried on them.

use crate::insn::{alu, jump, mov};
use crate::range::Range;
use crate::rules::Rules;
use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Cond, Width};
use semantics::word::{Algebra, Flag, Word};

/// A mistake with its story.
#[derive(Clone, Copy, Debug)]
pub struct Plant<A: Algebra> {
    /// Its name.
    pub name: &'static str,
    /// What goes wrong, and where it once did.
    pub story: &'static str,
    /// Makes the mistake.
    pub apply: fn(&mut Rules<A>),
}

/// All of them.
pub fn all<A: Algebra>() -> [Plant<A>; 10] {
    [
        Plant {
            name: "mov32_sign_extended",
            story: "a 32-bit move of a negative immediate is taken for 64 ones (CVE-2017-16995)",
            apply: mov32_sign_extended,
        },
        Plant {
            name: "mov32_signed_bounds",
            story: "zero-extension keeps a positive signed maximum though the minimum is negative (Linux 3a71dc366d4a)",
            apply: mov32_signed_bounds,
        },
        Plant {
            name: "add32_on_64_bits",
            story: "32-bit addition is computed on 64 bits and not truncated (CVE-2017-17852)",
            apply: add32_on_64_bits,
        },
        Plant {
            name: "sub64_ignores_overflow",
            story: "signed subtraction keeps its bounds though an end overflows (Linux bc895e8b2a64)",
            apply: sub64_ignores_overflow,
        },
        Plant {
            name: "and64_stale_half",
            story: "where both low halves are known the bounds of the result's low half are left stale (CVE-2021-3490)",
            apply: and64_stale_half,
        },
        Plant {
            name: "or32_upper_bound",
            story: "a disjunction is taken to be no larger than its larger operand",
            apply: or32_upper_bound,
        },
        Plant {
            name: "jslt64_off_by_one",
            story: "signed less-than shaves off one value too many",
            apply: jslt64_off_by_one,
        },
        Plant {
            name: "jset64_learns_all_bits",
            story: "a jump taken because some bits are set is taken to say that all of them are",
            apply: jset64_learns_all_bits,
        },
        Plant {
            name: "jeq32_narrows_64_bits",
            story: "a 32-bit comparison narrows what is known of all 64 bits (CVE-2020-8835)",
            apply: jeq32_narrows_64_bits,
        },
        Plant {
            name: "packet_range_off_by_one",
            story: "a pointer found at or below the packet's end is granted the byte that it points to",
            apply: packet_range_off_by_one,
        },
    ]
}

/// The mistake with this name.
pub fn by_name<A: Algebra>(name: &str) -> Option<Plant<A>> {
    all().into_iter().find(|plant| plant.name == name)
}

fn mov32_sign_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.mov_immediate = |imm| mov::immediate(Width::W64, imm);
}

fn mov32_signed_bounds<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.mov = |domain, src| {
        let wrong = src.zero_extend_32();
        let positive = src.s32_max.is_negative().not().and(&src.s32_max.is_zero().not());
        let smax = A::W64::select(&positive, &A::zext(&src.s32_max), &wrong.smax);
        Scalar { smax, ..wrong }.sync_in(domain)
    };
}

fn add32_on_64_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.alu[AluOp::Add as usize] = |domain, dst, src| alu::transfer(AluOp::Add, Width::W64, domain, dst, src);
}

fn sub64_ignores_overflow<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.alu[AluOp::Sub as usize] = |domain, dst, src| {
        let right = alu::unsynced(AluOp::Sub, Width::W64, domain, dst, src);
        Scalar { smin: dst.smin.sub(&src.smax), smax: dst.smax.sub(&src.smin), ..right }.sync_in(domain)
    };
}

fn and64_stale_half<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.alu[AluOp::And as usize] = |domain, dst, src| {
        let right = alu::unsynced(AluOp::And, Width::W64, domain, dst, src);
        let stale = Scalar::from_views(right.var_off.clone(), right.wide(), dst.half());
        Scalar::select(&dst.is_constant_32().and(&src.is_constant_32()), &stale, &right).sync_in(domain)
    };
}

fn or32_upper_bound<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.alu[AluOp::Or as usize] = |domain, dst, src| {
        let bits: Tnum<A::W32> = dst.var_off.cast::<A::W32>().or(&src.var_off.cast());
        let (dst, src) = (dst.half(), src.half());
        Scalar::from_half(&bits, Range::unsigned(dst.umin.umax(&src.umin), dst.umax.umax(&src.umax))).sync_in(domain)
    };
}

fn jslt64_off_by_one<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Slt as usize].holds = |domain, dst, src| {
        let mut refined = jump::unsynced(Cond::Slt, Width::W64, true, dst, src);
        refined.dst.smax = dst.smax.smin(&src.smax.sub(&A::W64::lit(2)));
        refined.sync_in(domain)
    };
}

fn jset64_learns_all_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Set as usize].holds = |domain, dst, src| {
        let mut refined = jump::unsynced(Cond::Set, Width::W64, true, dst, src);
        let wrong = Scalar { var_off: dst.var_off.or(&src.var_off), ..dst.clone() };
        refined.dst = Scalar::select(&src.is_constant(), &wrong, &refined.dst);
        refined.sync_in(domain)
    };
}

fn jeq32_narrows_64_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.branch[Cond::Eq as usize].holds =
        |domain, dst, src| jump::refine(Cond::Eq, Width::W64, domain, true, dst, src);
}

fn packet_range_off_by_one<A: Algebra>(rules: &mut Rules<A>) {
    rules.packet_range = |off, _| off + 1;
}
