//! Numbers in text, and texts against each other (`kernel/bpf/helpers.c`, `lib/kstrtox.c`).

use super::{Call, Helper, ResultClass, id};
use crate::errno::Errno;
use crate::trap::{ArgumentFault, Trap};

/// The helpers of this topic.
pub const HELPERS: &[Helper] = &[
    Helper { id: id("strtol"), changes: &[], results: CONSUMED, meaning: strtol },
    Helper { id: id("strtoul"), changes: &[], results: CONSUMED, meaning: strtoul },
    Helper { id: id("strncmp"), changes: &[], results: &[ResultClass::Range(-1, 1)], meaning: strncmp },
];

/// How many characters were read, or why there is no number.
const CONSUMED: &[ResultClass] =
    &[ResultClass::Range(1, i32::MAX as i64), ResultClass::Error(Errno::Einval), ResultClass::Error(Errno::Erange)];

/// The bits of the flags that are the base (`BPF_STRTOX_BASE_MASK`).
const BASE_MASK: u64 = 0x1f;
/// So many characters of a number are looked at, sign and spaces aside.
const DIGITS_MAX: usize = 63;

/// A number as text has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    magnitude: u64,
    is_negative: bool,
    /// Characters from the start of the text to the end of the number.
    consumed: usize,
}

/// `isspace` of the kernel, which takes the no-break space of Latin-1 for one.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

/// Which base a text is in where that is left to it, and how many of its characters say so
/// (`_parse_integer_fixup_radix`).
fn base_of(text: &[u8], base: u32) -> (u32, usize) {
    let has_prefix = matches!(text, [b'0', b'x' | b'X', ..]);
    let base = match (base, text) {
        (0, [b'0', b'x' | b'X', digit, ..]) if digit.is_ascii_hexdigit() => 16,
        (0, [b'0', ..]) => 8,
        (0, _) => 10,
        (base, _) => base,
    };
    (base, if base == 16 && has_prefix { 2 } else { 0 })
}

/// The number that a text begins with in a base from 8 to 16, and how many digits it has; `None` if it does not fit
/// (`_parse_integer`).
fn digits(text: &[u8], base: u32) -> Option<(u64, usize)> {
    let values = text.iter().map_while(|byte| char::from(*byte).to_digit(base));
    values.map(u64::from).try_fold((0u64, 0), |(number, count), digit| {
        Some((number.checked_mul(base.into())?.checked_add(digit)?, count + 1))
    })
}

/// The number that `text` begins with. In this order: an empty text, another base and other flags (EINVAL), nothing
/// behind spaces and sign (EINVAL), a number of more than 64 bits (ERANGE), no digit (EINVAL) (`__bpf_strtoull`).
fn parse(text: &[u8], flags: u64) -> Result<Number, Errno> {
    let base = (flags & BASE_MASK) as u32;
    if text.is_empty() || !matches!(base, 0 | 8 | 10 | 16) || flags & !BASE_MASK != 0 {
        return Err(Errno::Einval);
    }
    let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
    let is_negative = text.get(spaces) == Some(&b'-');
    let start = spaces + usize::from(is_negative);
    let rest = &text[start..];
    let rest = &rest[..rest.len().min(DIGITS_MAX)];
    if rest.is_empty() {
        return Err(Errno::Einval);
    }
    let (base, prefix) = base_of(rest, base);
    match digits(&rest[prefix..], base) {
        None => Err(Errno::Erange),
        Some((_, 0)) => Err(Errno::Einval),
        Some((magnitude, count)) => Ok(Number { magnitude, is_negative, consumed: start + prefix + count }),
    }
}

/// `bpf_strtol(buf, buf_len, flags, res)`: the signed number that the text begins with goes to `res`, which keeps what
/// it holds where there is none; how many characters it took. The lower 5 bits of the flags are the base: 8, 10, 16, or
/// 0 for what the prefix says.
fn strtol(call: &mut Call<'_>) -> Result<u64, Trap> {
    convert(call, |number| {
        let value = if number.is_negative { number.magnitude.wrapping_neg() } else { number.magnitude };
        let is_too_large = if number.is_negative { value as i64 > 0 } else { (value as i64) < 0 };
        if is_too_large { Err(Errno::Erange) } else { Ok(value) }
    })
}

/// `bpf_strtoul(buf, buf_len, flags, res)`: as [`strtol`] for an unsigned number. A minus sign is EINVAL, but ERANGE
/// comes before it.
fn strtoul(call: &mut Call<'_>) -> Result<u64, Trap> {
    convert(call, |number| if number.is_negative { Err(Errno::Einval) } else { Ok(number.magnitude) })
}

fn convert(call: &mut Call<'_>, value: fn(Number) -> Result<u64, Errno>) -> Result<u64, Trap> {
    let text = call.bytes(1, call.arg(2))?;
    let parsed = parse(text, call.arg(3)).and_then(|number| Ok((value(number)?, number.consumed)));
    // The verifier takes the result's place for memory that is read, so that it may lie where programs cannot write.
    call.bytes(4, 8)?;
    match parsed {
        Ok((value, consumed)) => {
            call.world.memory.poke(call.arg(4), &value.to_le_bytes());
            Ok(consumed as u64)
        }
        Err(errno) => Ok(errno.result()),
    }
}

/// `bpf_strncmp(s1, s1_sz, s2)`: -1, 0 or 1 as the first `s1_sz` bytes of `s1`, or those up to its NUL, come before
/// `s2`, are equal to it, or come behind it. `s2` ends with a NUL.
fn strncmp(call: &mut Call<'_>) -> Result<u64, Trap> {
    let ours = call.bytes(1, call.int(2) as u64)?;
    let theirs = call.string(3).map_err(|_| call.fault(3, ArgumentFault::NotAString))?;
    let theirs = theirs.iter().chain(&[0]);
    let differing = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs || **ours == 0);
    let order = differing.map_or(0, |(ours, theirs)| ours.cmp(theirs) as i64);
    Ok(order as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, base: u64) -> Result<(u64, usize), Errno> {
        parse(text.as_bytes(), base).map(|number| (number.magnitude, number.consumed))
    }

    #[test]
    fn bases_are_stated_or_found() {
        assert_eq!(read("0x1f", 0), Ok((31, 4)));
        assert_eq!(read("0X1Fg", 16), Ok((31, 4)));
        assert_eq!(read("1f", 16), Ok((31, 2)));
        assert_eq!(read("0755", 0), Ok((0o755, 4)));
        assert_eq!(read("789", 8), Ok((7, 1)));
        assert_eq!(read("0xg", 0), Ok((0, 1)), "octal: the x is no digit");
        assert_eq!(read("0xg", 16), Err(Errno::Einval), "the prefix is gone");
        assert_eq!(read("5", 2), Err(Errno::Einval));
        assert_eq!(read("5", 0x2a), Err(Errno::Einval));
    }

    /// Later fixes of the kernel write a zero there.
    #[test]
    fn without_a_number_the_place_keeps_what_it_holds() {
        let mut world = crate::world::World::new(crate::memory::Memory::detached().unwrap());
        world.reset(&crate::world::Input::default()).unwrap();
        let (text, place) = (crate::memory::layout::frame_bottom(0), crate::memory::layout::frame_bottom(0) + 8);
        for (digits, result, left) in [(b"12", 2, 12), (b"ab", Errno::Einval.result(), 12)] {
            world.memory.poke(text, digits);
            assert_eq!(super::super::call(&mut world, id("strtol"), [text, 2, 10, place, 0], &mut ()), Ok(result));
            assert_eq!(world.memory.peek(place, 8), u64::to_le_bytes(left));
        }
    }

    #[test]
    fn so_many_digits_count() {
        let text = format!(" -{}1", "0".repeat(63));
        assert_eq!(read(&text, 10), Ok((0, 65)));
        assert_eq!(read("18446744073709551615", 10), Ok((u64::MAX, 20)));
        assert_eq!(read("18446744073709551616", 10), Err(Errno::Erange));
        assert_eq!(read("-", 10), Err(Errno::Einval));
        assert_eq!(read("+5", 10), Err(Errno::Einval));
        assert_eq!(read("\u{a0}", 10), Err(Errno::Einval));
        assert_eq!(parse(b"\xa0\t7", 10), Ok(Number { magnitude: 7, is_negative: false, consumed: 3 }));
    }
}
