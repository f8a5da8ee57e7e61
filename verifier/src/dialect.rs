//! Where versions of Linux differ, as far as the modelled instructions can tell.

use semantics::insn::Version;

/// The rules of one version, as named differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The version it stands for.
    pub name: &'static str,
    /// Instructions of later versions are refused.
    pub version: Version,
    /// A register that holds 0 is spilled like others (since 6.8); before, its bytes became zeros.
    pub zero_spills: bool,
    /// Immediates may be stored into the context (since 6.4).
    pub st_imm_to_ctx: bool,
    /// The ranges of both operands decide a jump; before 6.4 the source had to be a constant.
    pub two_ranges_decide: bool,
    /// `!=` a constant at the end of a range shaves it off (since 6.8).
    pub ne_shaves: bool,
    /// Negation keeps track of ranges (since 6.17).
    pub neg_tracked: bool,
    /// Ranges without a common number decide `==` and `!=` (since 6.4); before, both sides had to be constants.
    pub apart_decides: bool,
    /// Known bits that differ decide them too (since 6.18, and in later 6.12.y).
    pub bits_decide: bool,
    /// Results are compared by their signed bounds (since 6.8); before, by known bits.
    pub results_by_bounds: bool,
    /// The context passes as memory of helpers at first, and is refused for what they do with it (since 7.0).
    pub context_as_memory: bool,
    /// What keys and values of maps may lie in, in the words of its messages (`mem_types`): what those kinds are is the
    /// same for all programs that are followed.
    pub memory_kinds: &'static str,
}

impl Dialect {
    /// Linux 6.1.
    pub const V6_1: Dialect = Dialect {
        name: "6.1",
        version: Version(6, 1),
        zero_spills: false,
        st_imm_to_ctx: false,
        two_ranges_decide: false,
        ne_shaves: false,
        neg_tracked: false,
        apart_decides: false,
        bits_decide: false,
        results_by_bounds: false,
        context_as_memory: false,
        memory_kinds: "fp, pkt, pkt_meta, map_key, map_value",
    };
    /// Linux 6.8, the default.
    pub const V6_8: Dialect = Dialect {
        name: "6.8",
        version: Version(6, 8),
        zero_spills: true,
        st_imm_to_ctx: true,
        two_ranges_decide: true,
        ne_shaves: true,
        neg_tracked: false,
        apart_decides: true,
        bits_decide: false,
        results_by_bounds: true,
        context_as_memory: false,
        memory_kinds: "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
    };
    /// Linux 6.12.
    pub const V6_12: Dialect = Dialect { name: "6.12", version: Version(6, 12), bits_decide: true, ..Dialect::V6_8 };
    /// Linux 7.2.
    pub const V7_2: Dialect = Dialect {
        name: "7.2",
        version: Version(7, 2),
        neg_tracked: true,
        context_as_memory: true,
        memory_kinds: "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_, ctx",
        ..Dialect::V6_12
    };
    /// All of them, ascending.
    pub const ALL: [Dialect; 4] = [Dialect::V6_1, Dialect::V6_8, Dialect::V6_12, Dialect::V7_2];

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
