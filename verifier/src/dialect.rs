//! Where versions of Linux differ, as far as the modelled instructions can tell.

use crate::domain::Domain;
use crate::refusal::{Bits, Constant};
use crate::tnum::Tnum;
use semantics::insn::{Op, Version};

/// The rules of one version, as named differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The version it stands for.
    pub name: &'static str,
    /// Instructions of later versions are refused.
    pub version: Version,
    /// A register that holds 0 is spilled like others (since 6.8); before, its bytes became zeros.
    pub zero_spills: bool,
    /// An immediate 0 is spilled like others (since 6.9); before, its bytes became zeros.
    pub zero_imm_spills: bool,
    /// Spilled numbers stay linked with their registers, whatever is known of them, and are read in part (since 6.9).
    pub spills_link: bool,
    /// A pointer that equals one that is not null is not null (since 6.2).
    pub pointers_teach_null: bool,
    /// Memory and trusted objects are not null, too, on either side of a comparison (since 6.8).
    pub more_not_null: bool,
    /// Hooks of security modules return 0 or an error (since 6.12).
    pub hooks_return_errors: bool,
    /// No instruction falls into a loop that it is in, and no function calls itself; since 6.8 only what follows from paths
    /// counts.
    pub loops_by_jumps: bool,
    /// Immediates may be stored into the context (since 6.4).
    pub st_imm_to_ctx: bool,
    /// Results are compared by their signed bounds (since 6.8); before, by known bits.
    pub results_by_bounds: bool,
    /// `gotol` is there before its time (6.6): later 6.1.y got the jump, and none of the other instructions that came with it.
    pub gotol_early: bool,
    /// Values of arrays at an index that is known and inside are not null (in 7.2, not in 6.12).
    pub constant_keys: bool,
    /// An address has one offset: what is constant in it is part of what varies (in 7.2, not in 6.12). Its bounds then
    /// are those of the sum.
    pub one_offset: bool,
    /// Whether a helper reads or writes memory that it is given is known (in 7.2, not in 6.12): what it only reads stays.
    pub helper_ways: bool,
    /// What is known whole is printed as a number (since 6.8; in 7.2 with a sign); before, as bits.
    pub constant: Constant,
    /// The constant part of a variable offset into the stack is printed (since 6.8).
    pub variable_stack_off: bool,
    /// What is said of a helper that programs of a type may not call: other words since 6.10.
    pub closed_helper: &'static str,
    /// A 32-bit move of a number that fits 32 bits links the copy (since 6.4).
    pub links_narrow_moves: bool,
    /// How closely numbers are followed.
    pub domain: Domain,
    /// What is said of a tail call into a map that has no programs (`record_func_key`): in 7.2 other words than in 6.12.
    pub no_prog_array: &'static str,
    /// The context passes as memory of helpers at first, and is refused for what they do with it (since 7.0).
    pub context_as_memory: bool,
    /// Helpers demand what they did at first: those of ring buffers know their records as allocated memory, objects of storages may
    /// not be null (until 6.2).
    pub early_prototypes: bool,
    /// What a helper writes is said of its arguments (`MEM_WRITE`, since 6.12 and in later 6.1.y); before, it was what need not
    /// be initialised, if its size was constant.
    pub writes_declared: bool,
    /// Numbers that a helper writes are memory like other (since 6.12, and in later 6.1.y).
    pub numbers_written: bool,
    /// Sizes that may be 0 are named, with their range (since 6.8).
    pub zero_sizes_named: bool,
    /// Bytes of the stack that were never written may be read (`allow_uninit_stack`, since 6.3 and in later 6.1.y).
    pub uninit_stack: bool,
    /// What leaves a program while something is held is named alike for all that is held (`check_resource_leak`, in 7.2, not in
    /// 6.12).
    pub leaks_alike: bool,
    /// What a helper takes is named by its register, also of dynptrs and references (in 7.2, not in 6.12).
    pub registers_named: bool,
    /// Programs that trace may use maps with timers (in 7.2, not in 6.12).
    pub tracing_timers: bool,
    /// Offsets of values that an instruction names lie below 2^29 (not in 7.2): else they are as others out of bounds.
    pub direct_offsets: bool,
    /// An argument that is a pointer is read whole or not at all (since 6.13, and in later 6.12.y).
    pub whole_pointers: bool,
    /// Loads that extend the sign read no pointers of the context (since 6.12, CVE-2024-47702).
    pub unsigned_pointers: bool,
}

impl Dialect {
    /// Linux 6.1.
    pub const V6_1: Dialect = Dialect {
        name: "6.1",
        version: Version(6, 1),
        zero_spills: false,
        zero_imm_spills: false,
        spills_link: false,
        pointers_teach_null: false,
        more_not_null: false,
        hooks_return_errors: false,
        loops_by_jumps: true,
        st_imm_to_ctx: false,
        results_by_bounds: false,
        gotol_early: true,
        constant_keys: false,
        one_offset: false,
        helper_ways: false,
        constant: Constant::Bits,
        variable_stack_off: false,
        closed_helper: "unknown func",
        links_narrow_moves: false,
        domain: Domain::V6_1,
        no_prog_array: "kernel subsystem misconfigured verifier",
        context_as_memory: false,
        early_prototypes: true,
        writes_declared: true,
        numbers_written: true,
        zero_sizes_named: false,
        uninit_stack: true,
        leaks_alike: false,
        registers_named: false,
        tracing_timers: false,
        direct_offsets: true,
        whole_pointers: false,
        unsigned_pointers: false,
    };
    /// An early 6.1.y, such as 6.1.176. No dialect of its own: what it refuses beyond [`Dialect::V6_1`] is explained by it.
    pub const V6_1_EARLY: Dialect = Dialect { uninit_stack: false, ..Dialect::V6_1 };
    /// Linux 6.8, the default.
    pub const V6_8: Dialect = Dialect {
        name: "6.8",
        version: Version(6, 8),
        zero_spills: true,
        zero_imm_spills: false,
        spills_link: false,
        pointers_teach_null: true,
        more_not_null: true,
        hooks_return_errors: false,
        loops_by_jumps: false,
        st_imm_to_ctx: true,
        results_by_bounds: true,
        gotol_early: false,
        constant_keys: false,
        one_offset: false,
        helper_ways: false,
        constant: Constant::Unsigned,
        variable_stack_off: true,
        closed_helper: "unknown func",
        links_narrow_moves: true,
        domain: Domain::V6_8,
        no_prog_array: "kernel subsystem misconfigured verifier",
        context_as_memory: false,
        early_prototypes: false,
        writes_declared: false,
        numbers_written: false,
        zero_sizes_named: true,
        uninit_stack: true,
        leaks_alike: false,
        registers_named: false,
        tracing_timers: false,
        direct_offsets: true,
        whole_pointers: false,
        unsigned_pointers: false,
    };
    /// Linux 6.12.
    pub const V6_12: Dialect = Dialect {
        name: "6.12",
        version: Version(6, 12),
        zero_imm_spills: true,
        spills_link: true,
        hooks_return_errors: true,
        domain: Domain::V6_12,
        writes_declared: true,
        numbers_written: true,
        closed_helper: "program of this type cannot use helper",
        whole_pointers: true,
        unsigned_pointers: true,
        ..Dialect::V6_8
    };
    /// Linux 7.2.
    pub const V7_2: Dialect = Dialect {
        name: "7.2",
        version: Version(7, 2),
        constant_keys: true,
        one_offset: true,
        helper_ways: true,
        no_prog_array: "expected prog array map for tail call",
        constant: Constant::Signed,
        domain: Domain::V7_2,
        context_as_memory: true,
        leaks_alike: true,
        registers_named: true,
        tracing_timers: true,
        direct_offsets: false,
        ..Dialect::V6_12
    };
    /// All of them, ascending.
    pub const ALL: [Dialect; 4] = [Dialect::V6_1, Dialect::V6_8, Dialect::V6_12, Dialect::V7_2];

    /// Whether it has the instruction.
    pub fn has(&self, op: Op) -> bool {
        op.since() <= self.version || self.gotol_early && op == Op::Gotol
    }

    /// Known bits as its messages show them.
    pub(crate) fn bits(&self, tnum: Tnum<u64>) -> Bits {
        Bits { tnum, constant: self.constant }
    }

    /// The dialect of this name.
    ///
    /// ```
    /// use verifier::dialect::Dialect;
    /// assert_eq!(Dialect::from_name("6.8"), Some(Dialect::default()));
    /// ```
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.name == name)
    }

    /// The dialect of a kernel of this version: the last one that is not newer, else the first.
    ///
    /// ```
    /// use semantics::insn::Version;
    /// use verifier::dialect::Dialect;
    /// assert_eq!(Dialect::of_version(Version(6, 17)), Dialect::V6_12);
    /// assert_eq!(Dialect::of_version(Version(5, 10)), Dialect::V6_1);
    /// ```
    pub fn of_version(version: Version) -> Dialect {
        Dialect::ALL.into_iter().rfind(|dialect| dialect.version <= version).unwrap_or(Dialect::V6_1)
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect::V6_8
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
