//! Symbols of the kernel (`kernel/kallsyms.c`).

use serde::{Deserialize, Serialize};

use super::config::ConfigError;

/// A symbol that a world adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolConfig {
    /// Its name.
    pub name: String,
    /// Its address.
    pub at: u64,
    /// Bytes from there to the next one.
    pub size: u64,
}

/// Symbols that every world has: name, address, size.
const ALWAYS: [(&str, u64, u64); 7] = [
    ("_text", 0xffff_ffff_8100_0000, 0x1000),
    ("bpf_fentry_test1", 0xffff_ffff_8110_0000, 0x10),
    ("bpf_fentry_test2", 0xffff_ffff_8110_0010, 0x10),
    (JUST_RETURN.0, JUST_RETURN.1, 0x10),
    ("schedule", 0xffff_ffff_8120_0000, 0x120),
    ("do_unlinkat", 0xffff_ffff_8130_0000, 0x340),
    ("vfs_read", 0xffff_ffff_8140_0000, 0x400),
];

/// The function that an overridden one goes on in.
const JUST_RETURN: (&str, u64) = ("just_return_func", 0xffff_ffff_8111_0000);
/// Its address.
pub const JUST_RETURN_FUNC: u64 = JUST_RETURN.1;

/// A symbol that an address lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its address.
    pub at: u64,
    /// Its bytes.
    pub size: u64,
}

/// All symbols: those that a world adds, then those that each has.
fn all(added: &[SymbolConfig]) -> impl Iterator<Item = Symbol<'_>> {
    let added = added.iter().map(|of| Symbol { name: &of.name, at: of.at, size: of.size });
    added.chain(ALWAYS.iter().map(|(name, at, size)| Symbol { name, at: *at, size: *size }))
}

/// The address of a symbol (`kallsyms_lookup_name`).
pub fn address(added: &[SymbolConfig], name: &[u8]) -> Option<u64> {
    all(added).find(|symbol| symbol.name.as_bytes() == name).map(|symbol| symbol.at)
}

/// The symbol that an address lies in (`kallsyms_lookup`).
pub fn at(added: &[SymbolConfig], addr: u64) -> Option<Symbol<'_>> {
    all(added).find(|symbol| addr.wrapping_sub(symbol.at) < symbol.size)
}

/// Whether the symbols that a world adds lie in the kernel's half, and none in another.
pub fn check(added: &[SymbolConfig]) -> Result<(), ConfigError> {
    const KERNEL: u64 = 1 << 63;
    for (nth, symbol) in added.iter().enumerate() {
        let overlaps = |other: Symbol<'_>| symbol.at < other.at + other.size && other.at < symbol.at + symbol.size;
        let is_symbol = !symbol.name.is_empty() && symbol.name.len() < 512 && !symbol.name.contains('\0');
        let is_range = symbol.at >= KERNEL && symbol.size > 0 && symbol.at.checked_add(symbol.size).is_some();
        if !is_symbol || !is_range || all(&added[..nth]).any(|other| overlaps(other) || other.name == symbol.name) {
            return Err(ConfigError::Symbol(symbol.name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_found_both_ways() {
        let added = [SymbolConfig { name: "mine".to_owned(), at: 0xffff_ffff_a000_0000, size: 8 }];
        assert_eq!(check(&added), Ok(()));
        assert_eq!(address(&added, b"mine"), Some(0xffff_ffff_a000_0000));
        assert_eq!(at(&added, 0xffff_ffff_a000_0007).map(|symbol| symbol.name), Some("mine"));
        assert_eq!(at(&added, 0xffff_ffff_a000_0008), None);
        assert_eq!(address(&[], b"mine"), None);
        let taken = [SymbolConfig { name: "other".to_owned(), at: 0xffff_ffff_8110_000f, size: 8 }];
        assert!(check(&taken).is_err());
    }
}
