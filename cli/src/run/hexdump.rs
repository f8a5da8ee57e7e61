//! Bytes as `hexdump -C` prints them, beside the names of their addresses.

use std::fmt::Write;

use super::view::View;

/// `bytes` from `addr` on, 16 per line.
pub fn hexdump(addr: u64, bytes: &[u8], view: &View<'_>) -> String {
    let mut dump = String::new();
    for (at, line) in bytes.chunks(16).enumerate() {
        let addr = addr + 16 * at as u64;
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            line.iter().map(|byte| if matches!(byte, 0x20..0x7f) { *byte as char } else { '.' }).collect();
        let name = view.name(addr).unwrap_or_default();
        let _ = writeln!(dump, "{name:<16} {:<47}  |{text}|", hex.join(" "));
    }
    dump
}
