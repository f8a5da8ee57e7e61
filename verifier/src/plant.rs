//! Planted mistakes: real bugs of verifiers, each replacing rows of the table of [`rules`](crate::rules). Whatever claims
//! to find unsoundness is tried on them.

use crate::bounds::{self, Fit};
use crate::domain::Domain;
use crate::insn::jump::Refined;
use crate::insn::{alu, endian, jump, mov, muldiv, shift};
use crate::range::Range;
use crate::rules::Rules;
use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{AluOp, Cond, MulDivOp, Order, ShiftOp, Size, Width};
use semantics::word::{Algebra, Convert, Flag, Word};

/// A mistake with its story.
#[derive(Clone, Copy, Debug)]
pub struct Plant<A: Algebra> {
    /// Its name.
    pub name: &'static str,
    /// What goes wrong, and where it once did.
    pub story: &'static str,
    /// Whether only the newest version of Linux follows the operation, so that no program shows it in an older dialect.
    pub only_newest: bool,
    /// Makes the mistake.
    pub apply: fn(&mut Rules<A>),
}

/// All that lose values.
#[allow(clippy::too_many_lines)] // a table
pub fn all<A: Algebra>() -> [Plant<A>; 31] {
    [
        Plant {
            name: "mov32_sign_extended",
            story: "a 32-bit move of a negative immediate is taken for 64 ones (CVE-2017-16995)",
            only_newest: false,
            apply: mov32_sign_extended,
        },
        Plant {
            name: "mov32_signed_bounds",
            story: "zero-extension keeps a positive signed maximum though the minimum is negative (Linux 3a71dc366d4a)",
            only_newest: false,
            apply: mov32_signed_bounds,
        },
        Plant {
            name: "add32_on_64_bits",
            story: "32-bit addition is computed on 64 bits and not truncated (CVE-2017-17852)",
            only_newest: false,
            apply: add32_on_64_bits,
        },
        Plant {
            name: "sub64_ignores_overflow",
            story: "signed subtraction keeps its bounds though an end overflows (Linux bc895e8b2a64)",
            only_newest: false,
            apply: sub64_ignores_overflow,
        },
        Plant {
            name: "and64_stale_half",
            story: "where both low halves are known the bounds of the result's low half are left stale (CVE-2021-3490)",
            only_newest: false,
            apply: and64_stale_half,
        },
        Plant {
            name: "or32_upper_bound",
            story: "a disjunction is taken to be no larger than its larger operand",
            only_newest: false,
            apply: or32_upper_bound,
        },
        Plant {
            name: "jslt64_off_by_one",
            story: "signed less-than shaves off one value too many",
            only_newest: false,
            apply: jslt64_off_by_one,
        },
        Plant {
            name: "jset64_learns_all_bits",
            story: "a jump taken because some bits are set is taken to say that all of them are",
            only_newest: false,
            apply: jset64_learns_all_bits,
        },
        Plant {
            name: "jeq32_narrows_64_bits",
            story: "a 32-bit comparison narrows what is known of all 64 bits (CVE-2020-8835)",
            only_newest: false,
            apply: jeq32_narrows_64_bits,
        },
        Plant {
            name: "packet_range_off_by_one",
            story: "a pointer found at or below the packet's end is granted the byte that it points to",
            only_newest: false,
            apply: packet_range_off_by_one,
        },
        Plant {
            name: "rsh64_signed_bounds",
            story: "a logical shift right shifts the signed bounds too (CVE-2017-17853)",
            only_newest: false,
            apply: rsh64_signed_bounds,
        },
        Plant {
            name: "rsh32_on_64_bits",
            story: "a 32-bit shift right lets bits of the high half into the low one (CVE-2018-18445)",
            only_newest: false,
            apply: rsh32_on_64_bits,
        },
        Plant {
            name: "arsh32_zero_extended",
            story: "a 32-bit arithmetic shift copies bit 63 of the zero-extended number (Linux 0af2ffc93a4b)",
            only_newest: false,
            apply: arsh32_zero_extended,
        },
        Plant {
            name: "jsgt64_sets_unsigned_bounds",
            story: "a signed comparison moves the unsigned bounds (Linux 4cabc5b186b5)",
            only_newest: false,
            apply: jsgt64_sets_unsigned_bounds,
        },
        Plant {
            name: "jge64_narrows_half",
            story: "the low half gets the end of a 64-bit range that fits 32 bits though the other end does not (CVE-2021-31440)",
            only_newest: false,
            apply: jge64_narrows_half,
        },
        Plant {
            name: "jslt32_on_64_bits",
            story: "a 32-bit comparison is decided on all 64 bits (PREVAIL 5650251f)",
            only_newest: false,
            apply: jslt32_on_64_bits,
        },
        Plant {
            name: "movsx32_stale_bits",
            story: "a 32-bit sign extension leaves the known bits of the narrow number (Linux 44b7f7151dfc)",
            only_newest: false,
            apply: movsx32_stale_bits,
        },
        Plant {
            name: "movsx32_not_cut",
            story: "a 32-bit sign extension leaves a 64-bit one (PREVAIL df5641a3)",
            only_newest: false,
            apply: movsx32_not_cut,
        },
        Plant {
            name: "ldsx_zero_extended",
            story: "a sign-extending load is bounded like a zero-extending one (PREVAIL 098eac90)",
            only_newest: false,
            apply: ldsx_zero_extended,
        },
        Plant {
            name: "rsh64_never_negative",
            story: "a shifted number is taken to be not negative, though the shift may be by 0 (PREVAIL 6025c9b9)",
            only_newest: false,
            apply: rsh64_never_negative,
        },
        Plant {
            name: "and32_sign_extended",
            story: "a 32-bit conjunction of constants is sign-extended (PREVAIL cf6574ce)",
            only_newest: false,
            apply: and32_sign_extended,
        },
        Plant {
            name: "div64_by_zero_unknown_path",
            story: "a quotient by 0 is taken to be that by 1, as if the program had gone on otherwise (Linux f6b1b3bf0d5f)",
            only_newest: true,
            apply: div64_by_zero_unknown_path,
        },
        Plant {
            name: "mod64_by_zero_is_zero",
            story: "a remainder by 0 is taken to be 0 and not the dividend (Linux f6b1b3bf0d5f)",
            only_newest: true,
            apply: mod64_by_zero_is_zero,
        },
        Plant {
            name: "sdiv64_min_by_minus_one",
            story: "the smallest number divided by -1 is taken to be out of the range",
            only_newest: true,
            apply: sdiv64_min_by_minus_one,
        },
        Plant {
            name: "mul64_ignores_overflow",
            story: "ends of products are kept though they overflow (CVE-2017-17852)",
            only_newest: false,
            apply: mul64_ignores_overflow,
        },
        Plant {
            name: "be16_upper_kept",
            story: "a byte swap of 16 bits keeps what was above them",
            only_newest: true,
            apply: be16_upper_kept,
        },
        Plant {
            name: "fill_keeps_sign",
            story: "a narrow fill is sign-extended (Linux 811c363645b3)",
            only_newest: false,
            apply: fill_keeps_sign,
        },
        Plant {
            name: "mov32_unsynced",
            story: "after a 32-bit move the views do not tell each other what they know: a constant has a range (CVE-2021-45402)",
            only_newest: false,
            apply: mov32_unsynced,
        },
        Plant {
            name: "region_unbounded",
            story: "variable offsets have no limit: their sum with the constant one wraps at 32 bits (Linux 107c26a70ca8, CVE-2023-52676)",
            only_newest: false,
            apply: region_unbounded,
        },
        Plant {
            name: "region_least_unchecked",
            story: "of a variable offset only the largest value is looked at, as if it were unsigned (CVE-2017-17854)",
            only_newest: false,
            apply: region_least_unchecked,
        },
        Plant {
            name: "narrow_spill_linked",
            story: "a number stays linked with its register though the spill keeps only its low bytes (Linux 713274f1f2c8)",
            only_newest: false,
            apply: |rules| rules.fits = |_, _| A::Flag::lit(true),
        },
    ]
}

/// Others that only know less than they could, or say something of states that cannot arise: whatever claims to find
/// unsoundness must not be troubled by them.
pub fn harmless<A: Algebra>() -> [Plant<A>; 5] {
    [
        Plant {
            name: "jset64_keeps_ranges",
            story: "where no bit is set the ranges stay, and contradict the bits on a path that cannot arise (CVE-2025-39748)",
            only_newest: false,
            apply: jset64_keeps_ranges,
        },
        Plant {
            name: "jgt64_strict_halves",
            story: "a range that just fits the low half is not copied there (Linux b9979db83401)",
            only_newest: false,
            apply: jgt64_strict_halves,
        },
        Plant {
            name: "add64_without_single_value",
            story: "known bits and a range with one number in common do not make a constant (Linux efc11a667878)",
            only_newest: false,
            apply: add64_without_single_value,
        },
        Plant {
            name: "jne64_shaves_nothing",
            story: "a range is not narrowed by a constant at its end that it is found to differ from (Linux d028f87517d6)",
            only_newest: false,
            apply: jne64_shaves_nothing,
        },
        Plant {
            name: "mul64_signs_forgotten",
            story: "products of numbers that may be negative may be anything (as before Linux 6.14)",
            only_newest: false,
            apply: mul64_signs_forgotten,
        },
    ]
}

/// The mistake with this name.
pub fn by_name<A: Algebra>(name: &str) -> Option<Plant<A>> {
    all().into_iter().chain(harmless()).find(|plant| plant.name == name)
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

fn rsh64_signed_bounds<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.shift[ShiftOp::Rsh as usize] = |domain, dst, src| {
        let right = shift::transfer(ShiftOp::Rsh, Width::W64, domain, dst, src);
        let wrong = Scalar { smin: dst.smin.lshr(&src.umin), smax: dst.smax.lshr(&src.umin), ..right.clone() };
        let known = alu::is_constant(Width::W64, src).and(&src.umin.ult(&A::W64::lit(u64::from(A::W64::BITS))));
        Scalar::select(&known.and(&dst.smax.is_negative().not()), &wrong.sync_in(domain), &right)
    };
}

fn rsh32_on_64_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.shift[ShiftOp::Rsh as usize] =
        |domain, dst, src| shift::transfer(ShiftOp::Rsh, Width::W64, domain, dst, src).cut_to(Size::W, domain);
}

fn arsh32_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.shift[ShiftOp::Arsh as usize] = |domain, dst, src| {
        let wide = dst.zero_extend_32().sync_in(domain);
        shift::transfer(ShiftOp::Arsh, Width::W64, domain, &wide, src).cut_to(Size::W, domain)
    };
}

fn jsgt64_sets_unsigned_bounds<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Sgt as usize].holds = |domain, dst, src| {
        let mut refined = jump::unsynced(Cond::Sgt, Width::W64, true, dst, src);
        refined.dst.umin = dst.umin.umax(&src.smin.add(&A::W64::lit(1)));
        refined.sync_in(domain)
    };
}

fn jge64_narrows_half<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Ge as usize].holds = |domain, dst, src| {
        let mut refined = jump::unsynced(Cond::Ge, Width::W64, true, dst, src);
        let fits = refined.dst.umin.ule(&A::zext(&A::W32::ones()));
        let narrowed = refined.dst.u32_min.umax(&A::low(&refined.dst.umin));
        refined.dst.u32_min = A::W32::select(&fits, &narrowed, &refined.dst.u32_min);
        refined.sync_in(domain)
    };
}

fn jslt32_on_64_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.branch[Cond::Slt as usize].taken =
        |domain, dst, src| jump::branch_taken(Cond::Slt, Width::W64, domain, dst, src);
}

fn movsx32_stale_bits<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.mov_sx = |size, domain, src| {
        let right = mov::sign_extended(size, Width::W32, src);
        Scalar { var_off: src.var_off.cast::<A::W32>().cast(), ..right }.sync_in(domain)
    };
}

fn movsx32_not_cut<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.mov_sx = |size, domain, src| mov::sign_extend(size, Width::W64, domain, src);
}

fn ldsx_zero_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.load_sx = |size, domain, loaded| loaded.cut_to(size, domain);
}

fn rsh64_never_negative<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.shift[ShiftOp::Rsh as usize] = |domain, dst, src| {
        let right = shift::transfer(ShiftOp::Rsh, Width::W64, domain, dst, src);
        Scalar { smin: right.smin.smax(&A::W64::lit(0)), ..right }.sync_in(domain)
    };
}

fn and32_sign_extended<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.alu[AluOp::And as usize] = |domain, dst, src| {
        let right = alu::transfer(AluOp::And, Width::W32, domain, dst, src);
        let wrong = Scalar::constant(&A::sext(&A::low(&right.var_off.value)));
        Scalar::select(&right.is_constant(), &wrong, &right)
    };
}

fn div64_by_zero_unknown_path<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.muldiv[MulDivOp::Div as usize] = |domain, dst, src| {
        let right = muldiv::transfer(MulDivOp::Div, Width::W64, domain, dst, src);
        Scalar::select(&src.is_constant().and(&src.umax.is_zero()), dst, &right)
    };
}

fn mod64_by_zero_is_zero<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.muldiv[MulDivOp::Mod as usize] = |domain, dst, src| {
        let right = muldiv::transfer(MulDivOp::Mod, Width::W64, domain, dst, src);
        Scalar::select(&src.is_constant().and(&src.umax.is_zero()), &Scalar::constant(&A::W64::lit(0)), &right)
    };
}

fn sdiv64_min_by_minus_one<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.muldiv[MulDivOp::Sdiv as usize] = |domain, dst, src| {
        let right = muldiv::transfer(MulDivOp::Sdiv, Width::W64, domain, dst, src);
        let minus_one = src.is_constant().and(&src.var_off.value.same(&A::W64::ones()));
        let wrong = Scalar { smax: right.smax.smin(&dst.smin.neg().smax(&A::W64::lit(0))), ..right.clone() };
        let wrong = Scalar { smin: wrong.smin.smax(&A::W64::signed_min().add(&A::W64::lit(1))), ..wrong };
        let begins = dst.smin.same(&A::W64::signed_min()).and(&dst.smax.differs(&A::W64::signed_max()));
        Scalar::select(&minus_one.and(&begins), &wrong.sync_in(domain), &right)
    };
}

fn mul64_ignores_overflow<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.muldiv[MulDivOp::Mul as usize] = |domain, dst, src| {
        let right = muldiv::multiplied(Width::W64, domain, dst, src);
        Scalar { umin: dst.umin.mul(&src.umin), umax: dst.umax.mul(&src.umax), ..right }.sync_in(domain)
    };
}

fn be16_upper_kept<A: Algebra>(rules: &mut Rules<A>) {
    rules.endian[Order::Be as usize] = |size, domain, dst| {
        let right = endian::transfer(Order::Be, size, domain, dst);
        if size != Size::H {
            return right;
        }
        let swapped: Tnum<A::W64> = dst.var_off.cast::<A::W16>().swap_bytes().cast();
        let low: A::W64 = A::W16::ones().zx();
        let high = low.not();
        let kept = Tnum { value: dst.var_off.value.and(&high), mask: dst.var_off.mask.and(&high) };
        Scalar { var_off: swapped.or(&kept), ..Scalar::unknown() }.sync_in(domain)
    };
}

fn fill_keeps_sign<A: Algebra>(rules: &mut Rules<A>) {
    rules.fill = |size, domain, held| mov::sign_extend(size, Width::W64, domain, held);
}

fn region_unbounded<A: Algebra>(rules: &mut Rules<A>) {
    rules.region = |var, off, extent| Fit { unbounded: A::Flag::lit(false), ..bounds::region(var, off, extent) };
}

fn region_least_unchecked<A: Algebra>(rules: &mut Rules<A>) {
    rules.region = |var, off, extent| {
        let never = A::Flag::lit(false);
        Fit { negative: never.clone(), below: never, ..bounds::region(var, off, extent) }
    };
}

fn mov32_unsynced<A: Algebra>(rules: &mut Rules<A>) {
    rules.w32.mov = |_, src| src.zero_extend_32();
}

fn jset64_keeps_ranges<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Set as usize].fails = |domain, dst, src| {
        let refined = jump::refine(Cond::Set, Width::W64, domain, false, dst, src);
        Refined { dst: refined.dst.meet(dst).sync_in(domain), src: refined.src.meet(src).sync_in(domain) }
    };
}

fn jgt64_strict_halves<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Gt as usize].fails = |domain, dst, src| {
        let refined = jump::unsynced(Cond::Gt, Width::W64, false, dst, src);
        if domain.constants_teach {
            jump::refine(Cond::Gt, Width::W64, domain, false, dst, src)
        } else {
            let edge = refined.dst.umax.same(&A::zext(&A::W32::ones()));
            let apart = Refined { dst: refined.dst.bounds_from_tnum(), src: refined.src.bounds_from_tnum() };
            let synced = refined.sync_in(domain);
            Refined {
                dst: Scalar::select(&edge, &apart.dst, &synced.dst),
                src: Scalar::select(&edge, &apart.src, &synced.src),
            }
        }
    };
}

fn add64_without_single_value<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.alu[AluOp::Add as usize] = |_, dst, src| alu::transfer(AluOp::Add, Width::W64, &Domain::V6_12, dst, src);
}

fn jne64_shaves_nothing<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Ne as usize].holds = |_, dst, src| Refined { dst: dst.clone(), src: src.clone() };
}

fn mul64_signs_forgotten<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.muldiv[MulDivOp::Mul as usize] =
        |_, dst, src| muldiv::transfer(MulDivOp::Mul, Width::W64, &Domain::V6_1, dst, src);
}
