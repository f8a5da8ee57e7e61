//! How closely numbers are followed: what versions of Linux make of the same operands, as named differences.
//!
//! Every rule is given the domain that it shall be exact to. All domains are sound, and proven so; they differ in what
//! they still know.

/// What the views of a number tell each other (`reg_bounds_sync`), ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sync {
    /// The two ranges of one width learn the sign from each other; what is known of the low half stays there.
    Signs,
    /// Ranges of the whole and of its low half narrow each other (since 6.8).
    Halves,
    /// Also ranges that wrap around: a signed range that crosses 0 and an unsigned one that overlaps one side of it
    /// (since 6.17, and in later 6.12.y); and numbers that are their own sign-extended low half (since 6.12).
    Crossing,
    /// Also known bits and a range that have one number in common (since 7.0).
    Single,
}

/// The differences. `false` is the older behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// The version of Linux, or `best`.
    pub name: &'static str,
    /// What the views tell each other.
    pub sync: Sync,
    /// `or`, `xor` and `mul` are followed also where the second operand is not a constant (since 6.11).
    pub any_operand: bool,
    /// Sums and differences keep their ends where both of them overflow (since 6.17).
    pub both_ends_overflow: bool,
    /// Negation is a subtraction from 0 (since 6.17); before, it left anything.
    pub neg: bool,
    /// Products of signed ranges are the hull of the products of their ends (since 6.14); before, only factors that are
    /// not negative and fit half the width were followed.
    pub signed_products: bool,
    /// Known bits are multiplied as by hand, with a union for each unknown bit (since 6.18).
    pub long_multiplication: bool,
    /// Quotients and remainders by constants have ranges (since 7.0).
    pub division: bool,
    /// Byte swaps keep known bits (since 7.0).
    pub byte_swaps: bool,
    /// The ranges of both operands decide a jump (since 6.4); before, the source had to be a constant, and of `==` and
    /// `!=` both.
    pub ranges_decide: bool,
    /// Known bits that differ decide `==` and `!=` (since 6.18, and in later 6.12.y).
    pub bits_decide: bool,
    /// A register compared with itself decides (since 6.19).
    pub itself_decides: bool,
    /// A jump does not go where what it would teach contradicts itself (since 7.1).
    pub ways_simulated: bool,
    /// A comparison teaches the operand that is not constant, with the other's value (before 6.8); since then both teach
    /// each other.
    pub constants_teach: bool,
    /// More than any Linux: products, quotients and remainders by constants, byte swaps and sign extension.
    pub beyond_linux: bool,
}

impl Domain {
    /// Linux 6.1.
    pub const V6_1: Domain = Domain {
        name: "6.1",
        sync: Sync::Signs,
        any_operand: false,
        both_ends_overflow: false,
        neg: false,
        signed_products: false,
        long_multiplication: false,
        division: false,
        byte_swaps: false,
        ranges_decide: false,
        bits_decide: false,
        itself_decides: false,
        ways_simulated: false,
        constants_teach: true,
        beyond_linux: false,
    };
    /// Linux 6.8.
    pub const V6_8: Domain =
        Domain { name: "6.8", sync: Sync::Halves, ranges_decide: true, constants_teach: false, ..Domain::V6_1 };
    /// Linux 6.12.
    pub const V6_12: Domain =
        Domain { name: "6.12", sync: Sync::Crossing, any_operand: true, bits_decide: true, ..Domain::V6_8 };
    /// Linux 7.2.
    pub const V7_2: Domain = Domain {
        name: "7.2",
        sync: Sync::Single,
        both_ends_overflow: true,
        neg: true,
        signed_products: true,
        long_multiplication: true,
        division: true,
        byte_swaps: true,
        itself_decides: true,
        ways_simulated: true,
        ..Domain::V6_12
    };
    /// As much as this verifier can know.
    pub const BEST: Domain = Domain { name: "best", beyond_linux: true, ..Domain::V7_2 };
    /// All of them, from the coarsest to the finest.
    pub const ALL: [Domain; 5] = [Domain::V6_1, Domain::V6_8, Domain::V6_12, Domain::V7_2, Domain::BEST];
}

impl Default for Domain {
    fn default() -> Self {
        Domain::V6_8
    }
}
