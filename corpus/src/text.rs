//! Numbers and bytes as case files and command lines write them.

use crate::error::HexError;

/// Bytes from pairs of hexadecimal digits; blanks and line ends between digits are ignored.
///
/// ```
/// assert_eq!(corpus::text::bytes("00 ff\n0a"), Ok(vec![0, 255, 10]));
/// assert!(corpus::text::bytes("0g").is_err());
/// ```
pub fn bytes(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u8> = None;
    for (at, found) in text.chars().enumerate().filter(|(_, c)| !c.is_ascii_whitespace()) {
        let digit = found.to_digit(16).ok_or(HexError::Digit { found, at })? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(HexError::Odd(bytes.len() * 2 + 1)),
    }
}

/// Bytes as hexadecimal digits without blanks.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number of 64 bits: decimal or hexadecimal; a negative one as its two's complement.
///
/// ```
/// assert_eq!(corpus::text::number("0x10"), Some(16));
/// assert_eq!(corpus::text::number("-1"), Some(u64::MAX));
/// assert_eq!(corpus::text::number("0x1_0000_0000_0000_0000"), None);
/// ```
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (radix, digits) =
        digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).map_or((10, digits), |rest| (16, rest));
    if digits.is_empty() || !digits.chars().all(|c| c == '_' || c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    match negative {
        false => Some(value),
        true if value <= 1 << 63 => Some(value.wrapping_neg()),
        true => None,
    }
}
