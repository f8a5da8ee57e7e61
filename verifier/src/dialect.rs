//! Where versions of Linux differ, as far as the modelled instructions can tell.

use semantics::insn::Version;

/// The rules of one version, as named differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The version it stands for.
    pub name: &'static str,
    /// Instructions of later versions are refused.
    pub version: Version,
    /// A stored immediate is remembered like a spilled register (since 6.3).
    pub st_imm_spills: bool,
    /// Part of a spilled 0 is 0 (since 6.8).
    pub zero_fills: bool,
    /// Immediates may be stored into the context (since 6.4).
    pub st_imm_to_ctx: bool,
    /// The ranges of both operands decide a jump; before 6.4 the source had to be a constant.
    pub two_ranges_decide: bool,
    /// `!=` a constant at the end of a range shaves it off (since 6.8).
    pub ne_shaves: bool,
    /// Negation keeps track of ranges (since 6.17).
    pub neg_tracked: bool,
}

impl Dialect {
    /// Linux 6.1.
    pub const V6_1: Dialect = Dialect {
        name: "6.1",
        version: Version(6, 1),
        st_imm_spills: false,
        zero_fills: false,
        st_imm_to_ctx: false,
        two_ranges_decide: false,
        ne_shaves: false,
        neg_tracked: false,
    };
    /// Linux 6.8, the default.
    pub const V6_8: Dialect = Dialect {
        name: "6.8",
        version: Version(6, 8),
        st_imm_spills: true,
        zero_fills: true,
        st_imm_to_ctx: true,
        two_ranges_decide: true,
        ne_shaves: true,
        neg_tracked: false,
    };
    /// Linux 7.2.
    pub const V7_2: Dialect = Dialect { name: "7.2", version: Version(7, 2), neg_tracked: true, ..Dialect::V6_8 };
    /// All of them, ascending.
    pub const ALL: [Dialect; 3] = [Dialect::V6_1, Dialect::V6_8, Dialect::V7_2];

    /// The dialect of this name.
    ///
    /// ```
    /// use verifier::dialect::Dialect;
    /// assert_eq!(Dialect::from_name("6.8"), Some(Dialect::default()));
    /// ```
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.name == name)
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
