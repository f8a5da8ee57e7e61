//! Planted mistakes of all floors that proofs are about, and which obligation each must fail.

use crate::obligation::Floor;
use semantics::word::Concrete;

/// A mistake that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// What goes wrong.
    pub story: &'static str,
    /// Where.
    pub floor: Floor,
    /// The obligation that is refuted where it is planted; others may be, too.
    pub refuted_by: Option<&'static str>,
}

/// All mistakes that can be planted.
pub fn all() -> Vec<Planted> {
    let verifier = verifier::plant::all::<Concrete>();
    let verifier = verifier.iter().map(|plant| (plant.name, plant.story, Floor::Verifier));
    let jit = jit::plant::plants::<Concrete>();
    let jit = jit.iter().map(|plant| (plant.name, plant.story, Floor::Jit));
    let encoder = crate::x64::plant::ALL.iter();
    let encoder = encoder.map(|(name, story)| (*name, *story, Floor::Jit));
    let helpers = crate::helper::tail_call::plant::ALL.iter();
    let helpers = helpers.map(|(name, story)| (*name, *story, Floor::Semantics));
    let planted = |(name, story, floor)| {
        let refuted_by = REFUTED.iter().find(|(plant, _)| *plant == name).map(|(_, obligation)| *obligation);
        Planted { name, story, floor, refuted_by }
    };
    verifier.chain(jit).chain(encoder).chain(helpers).map(planted).collect()
}

/// The mistake of this name.
pub fn by_name(name: &str) -> Option<Planted> {
    all().into_iter().find(|plant| plant.name == name)
}

/// Mistake and obligation.
const REFUTED: &[(&str, &str)] = &[
    ("helper::tail_calls_34", "helper::tail_call::spend"),
    ("helper::tail_calls_uncounted", "helper::tail_call::spend"),
    ("mov32_sign_extended", "insn::mov::transfer::mov32_k"),
    ("mov32_signed_bounds", "insn::mov::transfer::mov32_x"),
    ("add32_on_64_bits", "insn::alu::transfer::add32_x"),
    ("or32_upper_bound", "insn::alu::transfer::or32_x"),
    ("jeq32_narrows_64_bits", "insn::jump::refine_holds::jeq32_x"),
    ("sub64_ignores_overflow", "insn::alu::transfer::sub64_x"),
    ("and64_stale_half", "insn::alu::transfer::and64_x"),
    ("jslt64_off_by_one", "insn::jump::refine_holds::jslt64_x"),
    ("jset64_learns_all_bits", "insn::jump::refine_holds::jset64_k"),
    ("rsh64_signed_bounds", "insn::shift::transfer::rsh64_k"),
    ("rsh32_on_64_bits", "insn::shift::transfer::rsh32_k"),
    ("arsh32_zero_extended", "insn::shift::transfer::arsh32_k"),
    ("jsgt64_sets_unsigned_bounds", "insn::jump::refine_holds::jsgt64_k"),
    ("jge64_narrows_half", "insn::jump::refine_holds::jge64_k"),
    ("jslt32_on_64_bits", "insn::jump::taken::jslt32_x"),
    ("movsx32_stale_bits", "insn::mov::transfer::movsx8_to32"),
    ("movsx32_not_cut", "insn::mov::transfer::movsx8_to32"),
    ("ldsx_zero_extended", "insn::load_store::transfer::ldxs_b"),
    ("rsh64_never_negative", "insn::shift::transfer::rsh64_k"),
    ("and32_sign_extended", "insn::alu::transfer::and32_x"),
    ("div64_by_zero_unknown_path", "insn::muldiv::transfer::div64_x"),
    ("mod64_by_zero_is_zero", "insn::muldiv::transfer::mod64_x"),
    ("sdiv64_min_by_minus_one", "insn::muldiv::transfer::sdiv64_k"),
    ("mul64_ignores_overflow", "insn::muldiv::transfer::mul64_x"),
    ("be16_upper_kept", "insn::endian::transfer::be16"),
    ("fill_keeps_sign", "scalar::cut_to"),
    ("mov32_unsynced", "insn::mov::transfer::mov32_x"),
    ("packet_range_off_by_one", "insn::jump::packet_range"),
    ("region_unbounded", "bounds::region"),
    ("region_least_unchecked", "bounds::region"),
    ("narrow_spill_linked", "scalar::fits"),
    ("alu::identity32_dropped", "insn::alu::lower::add32_k"),
    ("alu::and64_zero_extended", "insn::alu::lower::and64_k"),
    ("alu::sub_swapped", "insn::alu::lower::sub64_x"),
    ("mov::self32_elided", "insn::mov::lower::mov32_x"),
    ("mov::imm64_zero_extended", "insn::mov::lower::mov64_k"),
    ("wide::high_half_lost", "insn::wide::lower::lddw"),
    ("load_store::upper_half_kept", "insn::load_store::lower::ldx_w"),
    ("load_store::store_too_wide", "insn::load_store::lower::stx_h"),
    ("load_store::displacement_wrapped", "insn::load_store::lower::ldx_dw"),
    ("jump::signed_as_unsigned", "insn::jump::lower::jsgt64_x"),
    ("jump::set_as_compare", "insn::jump::lower::jset32_k"),
    ("jump::zero_tested_signed", "insn::jump::lower::jgt64_k"),
    ("jump::set_clobbers", "insn::jump::lower::jset64_k"),
    ("jump::set32_tests64", "insn::jump::lower::jset32_x"),
    ("call::id_in_r8", "insn::call::lower::call"),
    ("shift::arsh32_on_64_bits", "insn::shift::lower::arsh32_k"),
    ("shift::operands_swapped", "insn::shift::lower::lsh64_x"),
    ("muldiv::zero_unguarded", "insn::muldiv::lower::mod64_x"),
    ("muldiv::dividend_zero_extended", "insn::muldiv::lower::sdiv64_k"),
    ("muldiv::remainder_by_zero_is_zero", "insn::muldiv::lower::mod32_k"),
    ("mov::movsx_zero_extended", "insn::mov::lower::movsx8_to64"),
    ("endian::be16_upper_kept", "insn::endian::lower::be16"),
    ("load_store::ldsx_zero_extended", "insn::load_store::lower::ldxs_w"),
    ("atomic::cmpxchg32_upper_kept", "insn::atomic::lower::atomic_cmpxchg32"),
    ("atomic::fetch_forgotten", "insn::atomic::lower::atomic_fetch_add64"),
    ("atomic::r0_not_brought_back", "insn::atomic::lower::atomic_fetch_xor32"),
    ("call::frame_shared", "insn::call::lower::call_local"),
    ("call::r9_not_kept", "insn::call::lower::call_local"),
    ("blind::key_kept", "insn::mov::lower_blinded::mov64_k"),
    ("blind::key_zero_extended", "insn::alu::lower_blinded::or64_k"),
    ("blind::constant_in_the_clear", "insn::load_store::lower_blinded::st_w"),
    ("blind::high_half_in_the_clear", "insn::wide::lower_blinded::lddw"),
    ("blind::sign_shows", "insn::alu::lower_blinded::and64_k"),
    ("blind::compare_in_place", "insn::jump::lower_blinded::jeq64_k"),
    ("blind::blinded_again", "insn::jump::lower_blinded::jlt32_k"),
    ("blind::divisor_over_rax", "insn::muldiv::lower_blinded::mod64_k"),
    ("blind::sign_forgotten", "insn::muldiv::lower_blinded::sdiv64_k"),
    ("x64::byte_register_without_rex", "x64::encode::store"),
    ("x64::sib_forgotten", "x64::encode::load"),
    ("x64::imm8_unsigned", "x64::encode::alu_ri"),
    ("x64::extended_byte_without_rex", "x64::encode::mov_zx_rr"),
    ("x64::r8_taken_for_rax", "x64::encode::alu_ri"),
    ("frame::r15_not_saved", "frame::trampoline"),
    ("frame::stack_misaligned", "frame::helper_stub"),
    ("frame::trap_tested_32", "frame::tail_stub"),
    ("frame::trap_stays_deep", "frame::packet_stub"),
    ("frame::result_narrowed", "frame::helper_stub"),
    ("frame::tail_context_lost", "frame::tail_stub"),
    ("frame::missing_bytes_trap", "frame::packet_stub"),
    ("frame::frame_pointer_is_stack", "frame::trampoline"),
    ("call::tail_into_nothing", "insn::call::lower::call"),
    ("call::tail_takes_first_frame", "insn::call::lower::call"),
    ("call::tail_jumps_to_result", "insn::call::lower::call"),
    ("call::arguments_pushed", "insn::call::lower::call_local"),
    ("packet::missing_goes_on", "insn::packet::lower::ld_abs_w"),
    ("packet::immediate_forgotten", "insn::packet::lower::ld_ind_b"),
    ("packet::half_as_word", "insn::packet::lower::ld_abs_h"),
    ("wide::offset_dropped", "insn::wide::lower::lddw_map_value"),
    ("wide::address_32", "insn::wide::lower::lddw_code"),
    ("atomic::r0_source_overwritten", "insn::atomic::lower::atomic_fetch_or64"),
    ("muldiv::zero_tested_64", "insn::muldiv::lower::div32_x"),
    ("muldiv::sdiv32_sign_extended", "insn::muldiv::lower::sdiv32_k"),
    ("muldiv::skip_too_short", "insn::muldiv::lower::mod64_x"),
    ("muldiv::mul_zero_squares", "insn::muldiv::lower::mul32_k"),
    ("shift::rcx_brought_back", "insn::shift::lower::lsh64_x"),
    ("shift::by_zero_dropped", "insn::shift::lower::rsh32_k"),
    ("wide::tail_has_code", "insn::wide::lower::wide_tail"),
    ("load_store::ldsx_offset_dropped", "insn::load_store::lower::ldxs_b"),
    ("endian::be64_upper_cleared", "insn::endian::lower::be64"),
    ("endian::le16_upper_kept", "insn::endian::lower::le16"),
    ("muldiv::sign_bit_is_a_power", "insn::muldiv::lower::div64_k"),
    ("muldiv::masked_with_the_power", "insn::muldiv::lower::mod64_k"),
    ("muldiv::remainder_for_quotient", "insn::muldiv::lower::sdiv32_k"),
    ("alu::byte_as_half", "insn::alu::lower::and32_k"),
    ("alu::minus_128_negated_once", "insn::alu::lower::sub64_k"),
    ("layout::reaches_128", "layout::settled"),
    ("layout::from_start", "layout::lands"),
    ("layout::shrinks", "layout::grow"),
    ("layout::nops_move_slots_only", "layout::padded"),
];
