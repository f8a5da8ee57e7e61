//! Formats of what programs print (kernel/bpf/helpers.c: `bpf_bprintf_prepare`; lib/vsprintf.c: `bstr_printf`).
//!
//! Two passes, as in the kernel: the first checks the format and copies the arguments into a buffer of 512 bytes, strings and
//! whatever addresses lead to with them; the second prints from the buffer alone.

use crate::errno::Errno;
use crate::trap::Trap;
use crate::world::user::is_user;
use crate::world::{World, symbols};

/// Bytes of the buffer of arguments (`MAX_BPRINTF_BIN_ARGS`).
const ARGUMENTS_LEN: usize = 512;

/// Arguments as the second pass reads them.
#[derive(Debug)]
pub(super) struct Arguments {
    bytes: [u8; ARGUMENTS_LEN],
    used: usize,
}

/// A byte of a format; behind its end lies NUL.
fn at(format: &[u8], index: usize) -> u8 {
    format.get(index).copied().unwrap_or(0)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ')
}

/// What may follow a conversion that letters could go on.
fn ends(byte: u8) -> bool {
    byte == 0 || is_space(byte) || byte.is_ascii_punctuation()
}

/// Where a string lies that `%s` and its like print.
#[derive(Clone, Copy, Debug)]
enum Half {
    Either,
    Kernel,
    User,
}

/// A conversion, as the first pass takes it.
#[derive(Clone, Copy, Debug)]
enum Conversion {
    /// An integer of so many bytes, or an address that is printed as one.
    Number(usize),
    Char,
    Text(Half),
    /// `%pB`: a return address as a symbol.
    Backtrace,
    /// An address of the network of 4 or 16 bytes, by reference.
    Ip {
        letter: u8,
        len: usize,
    },
}

/// The conversion whose first byte behind flags and width is at `index`, and the index of its last byte.
fn conversion(format: &[u8], index: usize) -> Result<(Conversion, usize), Errno> {
    use Conversion::{Backtrace, Char, Ip, Number, Text};
    let next = |ahead: usize| at(format, index + ahead);
    let text = |half, last: usize| {
        if ends(at(format, last + 1)) { Ok((Text(half), last)) } else { Err(Errno::Einval) }
    };
    match (next(0), next(1), next(2)) {
        (b'p', of, _) if ends(of) => Ok((Number(8), index)),
        (b'p', b'k', b's') => text(Half::Kernel, index + 2),
        (b'p', b'u', b's') => text(Half::User, index + 2),
        (b'p', b'B', _) => Ok((Backtrace, index + 1)),
        (b'p', letter @ (b'i' | b'I'), of @ (b'4' | b'6')) => {
            Ok((Ip { letter, len: if of == b'4' { 4 } else { 16 } }, index + 2))
        }
        (b's', ..) => text(Half::Either, index),
        (b'c', ..) => Ok((Char, index)),
        (b'i' | b'd' | b'u' | b'x' | b'X', ..) => Ok((Number(4), index)),
        (b'p', b'K' | b'x' | b's' | b'S', _) | (b'l', b'i' | b'd' | b'u' | b'x' | b'X', _) => {
            Ok((Number(8), index + 1))
        }
        (b'l', b'l', b'i' | b'd' | b'u' | b'x' | b'X') => Ok((Number(8), index + 2)),
        _ => Err(Errno::Einval),
    }
}

/// Checks a format (without its NUL) and gathers its arguments. Text is printable ASCII and white space; each conversion needs an
/// argument (EINVAL); what does not fit the buffer is ENOSPC.
pub(super) fn prepare(world: &mut World, format: &[u8], args: &[u64]) -> Result<Result<Arguments, Errno>, Trap> {
    let mut gathered = Arguments { bytes: [0; ARGUMENTS_LEN], used: 0 };
    let (mut index, mut taken) = (0, 0);
    while index < format.len() {
        let byte = format[index];
        if !(is_space(byte) || (0x20..0x7f).contains(&byte)) {
            return Ok(Err(Errno::Einval));
        }
        index += 1;
        if byte != b'%' {
            continue;
        }
        if at(format, index) == b'%' {
            index += 1;
            continue;
        }
        let Some(arg) = args.get(taken) else { return Ok(Err(Errno::Einval)) };
        while matches!(at(format, index), b'0' | b'+' | b'-' | b' ') {
            index += 1;
        }
        while at(format, index).is_ascii_digit() {
            index += 1;
        }
        let (conversion, last) = match conversion(format, index) {
            Ok(found) => found,
            Err(errno) => return Ok(Err(errno)),
        };
        if let Err(errno) = gathered.gather(world, conversion, *arg)? {
            return Ok(Err(errno));
        }
        taken += 1;
        index = last + 1;
    }
    Ok(Ok(gathered))
}

impl Arguments {
    fn room(&self) -> usize {
        ARGUMENTS_LEN.saturating_sub(self.used)
    }

    /// Adds what a conversion needs of its argument.
    fn gather(&mut self, world: &mut World, conversion: Conversion, arg: u64) -> Result<Result<(), Errno>, Trap> {
        match conversion {
            Conversion::Number(width) => {
                self.used = self.used.next_multiple_of(4);
                if self.room() < width {
                    return Ok(Err(Errno::Enospc));
                }
                self.bytes[self.used..self.used + width].copy_from_slice(&arg.to_le_bytes()[..width]);
                self.used += width;
            }
            Conversion::Char => {
                if self.room() == 0 {
                    return Ok(Err(Errno::Enospc));
                }
                self.bytes[self.used] = arg as u8;
                self.used += 1;
            }
            Conversion::Text(half) => {
                if self.room() == 0 {
                    return Ok(Err(Errno::Enospc));
                }
                self.string(world, half, arg)?;
            }
            Conversion::Backtrace => self.text(&backtrace(world, arg)),
            Conversion::Ip { letter, len } => {
                if self.room() < len {
                    return Ok(Err(Errno::Enospc));
                }
                let mut address = [0; 16];
                match world.kernel_bytes(arg, len as u64) {
                    Ok(bytes) => address[..len].copy_from_slice(bytes),
                    // All zeros.
                    Err(refused) => drop(refused.errno()?),
                }
                self.text(&ip(&address[..len], letter));
            }
        }
        Ok(Ok(()))
    }

    /// `bpf_trace_copy_string`: what cannot be read prints as nothing. An empty string of user space counts 0 bytes, so the next
    /// argument takes its place.
    fn string(&mut self, world: &mut World, half: Half, addr: u64) -> Result<(), Trap> {
        let room = self.room() as u64;
        let is_of_user = match half {
            Half::User => true,
            Half::Kernel => false,
            Half::Either => is_user(addr),
        };
        let read = if is_of_user {
            world.user_string(addr, room).map_err(Into::into)
        } else {
            world
                .kernel_string(addr, room)
                .map(|string| (string.len() as u64, string))
                .map(|(len, string)| (string, len))
        };
        match read {
            Ok((bytes, len)) => {
                self.bytes[self.used..self.used + bytes.len()].copy_from_slice(&bytes);
                self.used += len as usize;
            }
            Err(refused) => {
                refused.errno()?;
                self.bytes[self.used] = 0;
                self.used += 1;
            }
        }
        Ok(())
    }

    /// Text that is ready to be printed, with its NUL; what does not fit is cut off, and counts all the same.
    fn text(&mut self, text: &[u8]) {
        let len = text.len().min(self.room().saturating_sub(1));
        if self.room() > 0 {
            self.bytes[self.used..self.used + len].copy_from_slice(&text[..len]);
            self.bytes[self.used + len] = 0;
        }
        self.used += text.len() + 1;
    }
}

/// `%pi4`, `%pI4`, `%pi6`, `%pI6`: the small letter has no colons, and decimals of three digits.
fn ip(bytes: &[u8], letter: u8) -> Vec<u8> {
    let is_plain = letter == b'i';
    let text = if bytes.len() == 4 {
        let decimal = |byte: &u8| if is_plain { format!("{byte:03}") } else { byte.to_string() };
        bytes.iter().map(decimal).collect::<Vec<_>>().join(".")
    } else {
        let pairs = bytes.chunks_exact(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect::<Vec<_>>();
        pairs.join(if is_plain { "" } else { ":" })
    };
    text.into_bytes()
}

/// `%pB`: the symbol of the call before a return address (`sprint_backtrace`).
fn backtrace(world: &World, addr: u64) -> Vec<u8> {
    let symbol = symbols::at(&world.symbols, addr.wrapping_sub(1));
    let text = symbol.map_or_else(
        || format!("{addr:#x}"),
        |of| format!("{}+{:#x}/{:#x}", of.name, addr.wrapping_sub(of.at), of.size),
    );
    text.into_bytes()
}

/// Flags and width of a conversion.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    /// Bytes to fill; `None` where none are stated.
    width: Option<i64>,
}

impl Spec {
    /// What stands between `%` and the conversion, and the index behind it (`format_decode`).
    fn read(format: &[u8], mut index: usize) -> (Spec, usize) {
        let mut spec = Spec::default();
        loop {
            match at(format, index) {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            index += 1;
        }
        let mut width = 0u32;
        let start = index;
        while at(format, index).is_ascii_digit() {
            width = width.wrapping_mul(10).wrapping_add(u32::from(at(format, index) - b'0'));
            index += 1;
        }
        if index > start {
            // The kernel keeps 24 bits of it, with sign.
            spec.width = Some(i64::from((width << 8) as i32 >> 8));
        }
        (spec, index)
    }
    fn pads(&self, len: usize) -> usize {
        self.width.map_or(0, |width| usize::try_from(width - len as i64).unwrap_or(0))
    }
}

/// What was printed: as many bytes as there is room for, and how many there would have been.
#[derive(Debug)]
pub(super) struct Printed {
    /// The text, which may be cut off.
    pub text: Vec<u8>,
    /// Bytes of all of it.
    pub len: usize,
    room: usize,
}

impl Printed {
    fn put(&mut self, bytes: &[u8]) {
        let fits = self.room.saturating_sub(self.len).min(bytes.len());
        self.text.extend_from_slice(&bytes[..fits]);
        self.len += bytes.len();
    }
    fn pad(&mut self, byte: u8, count: usize) {
        let fits = self.room.saturating_sub(self.len).min(count);
        self.text.resize(self.text.len() + fits, byte);
        self.len += count;
    }
    /// Text in its field, filled with blanks.
    fn field(&mut self, spec: Spec, text: &[u8]) {
        let pads = spec.pads(text.len());
        self.pad(b' ', if spec.left { 0 } else { pads });
        self.put(text);
        self.pad(b' ', if spec.left { pads } else { 0 });
    }
    /// A number in its field (`number`).
    fn number(&mut self, spec: Spec, sign: &str, digits: &str) {
        let pads = spec.pads(sign.len() + digits.len());
        let (before, zeros, behind) = match (spec.left, spec.zero) {
            (true, _) => (0, 0, pads),
            (false, true) => (0, pads, 0),
            (false, false) => (pads, 0, 0),
        };
        self.pad(b' ', before);
        self.put(sign.as_bytes());
        self.pad(b'0', zeros);
        self.put(digits.as_bytes());
        self.pad(b' ', behind);
    }
    /// An address as a number: of 16 digits where no width is stated (`pointer_string`).
    fn address(&mut self, spec: Spec, addr: u64) {
        let spec = if spec.width.is_none() { Spec { width: Some(16), zero: true, ..spec } } else { spec };
        self.number(spec, "", &format!("{addr:x}"));
    }
}

/// Prints a format that was checked, with the arguments that were gathered for it, into `room` bytes.
pub(super) fn print(world: &World, format: &[u8], arguments: &Arguments, room: usize) -> Printed {
    let mut printed = Printed { text: Vec::new(), len: 0, room };
    let mut source = Source { bytes: &arguments.bytes, at: 0 };
    let mut index = 0;
    while index < format.len() {
        if format[index] != b'%' {
            let text = format[index..].iter().take_while(|byte| **byte != b'%').count();
            printed.put(&format[index..index + text]);
            index += text;
            continue;
        }
        let (spec, next) = Spec::read(format, index + 1);
        index = next + 1;
        match at(format, next) {
            b'%' => printed.put(b"%"),
            b'c' => {
                let byte = source.take::<1>();
                printed.field(spec, &byte);
            }
            b's' => {
                let text = source.string();
                printed.field(spec, text);
            }
            b'p' => {
                pointer(world, &mut printed, &mut source, spec, format, index);
                // Letters and digits behind it count as its own.
                index += format[index..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            }
            _ => {
                let longs = format[next..].iter().take_while(|byte| **byte == b'l').count();
                index += longs;
                let letter = at(format, next + longs);
                let value = source.number(longs > 0);
                integer(&mut printed, spec, letter, longs > 0, value);
            }
        }
    }
    printed
}

/// `%d`, `%i`, `%u`, `%x`, `%X`.
fn integer(printed: &mut Printed, spec: Spec, letter: u8, is_long: bool, value: u64) {
    let signed = if is_long { value as i64 } else { i64::from(value as u32 as i32) };
    match letter {
        b'd' | b'i' => {
            let sign = match signed {
                ..0 => "-",
                _ if spec.plus => "+",
                _ if spec.space => " ",
                _ => "",
            };
            printed.number(spec, sign, &signed.unsigned_abs().to_string());
        }
        b'u' => printed.number(spec, "", &value.to_string()),
        b'X' => printed.number(spec, "", &format!("{value:X}")),
        _ => printed.number(spec, "", &format!("{value:x}")),
    }
}

/// `%p` and what begins with it; `index` is behind the letter.
fn pointer(world: &World, printed: &mut Printed, source: &mut Source<'_>, spec: Spec, format: &[u8], index: usize) {
    let letter = at(format, index);
    match letter {
        b'S' | b's' => {
            let addr = source.number(true);
            let text = match (symbols::at(&world.symbols, addr), letter) {
                (None, _) => format!("{addr:#x}"),
                (Some(of), b's') => of.name.to_owned(),
                (Some(of), _) => format!("{}+{:#x}/{:#x}", of.name, addr - of.at, of.size),
            };
            printed.field(spec, text.as_bytes());
        }
        b'x' => printed.address(spec, source.number(true)),
        b'K' if world.trace.config.kptr_restrict >= 2 => {
            source.number(true);
            printed.address(spec, 0);
        }
        b'K' => hashed(world, printed, spec, source.number(true)),
        // What is ready is copied as it is, whatever the width; but where there is no room left, it is passed over, and the next
        // conversion finds it.
        of if of.is_ascii_alphanumeric() => {
            if printed.len < printed.room {
                let text = source.string();
                printed.put(text);
            }
        }
        _ => hashed(world, printed, spec, source.number(true)),
    }
}

/// An address that is not to be known; NULL and errors are shown (`default_pointer`).
fn hashed(world: &World, printed: &mut Printed, spec: Spec, addr: u64) {
    const ERRNO_MAX: u64 = 4095;
    let is_shown = addr == 0 || addr >= ERRNO_MAX.wrapping_neg();
    printed.address(spec, if is_shown { addr } else { u64::from(world.trace.hashed(addr)) });
}

/// Reads gathered arguments.
struct Source<'a> {
    bytes: &'a [u8; ARGUMENTS_LEN],
    at: usize,
}

impl<'a> Source<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        for byte in &mut taken {
            *byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.at += 1;
        }
        taken
    }
    /// A number of 4 or 8 bytes.
    fn number(&mut self, is_long: bool) -> u64 {
        self.at = self.at.next_multiple_of(4);
        if is_long { u64::from_le_bytes(self.take()) } else { u64::from(u32::from_le_bytes(self.take())) }
    }
    fn string(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let len = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        self.at += len + 1;
        &rest[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, layout};
    use crate::world::Input;
    use crate::world::{Bytes, UserRange};

    fn world() -> World {
        let mut input = Input { packet: b"text\0\x7f\x00\x00\x01\0\x20\x01\x0d\xb8".to_vec(), ..Input::default() };
        input.packet.extend([0; 12]);
        let user = |at, bytes: &[u8]| UserRange {
            at,
            bytes: Bytes(bytes.to_vec()),
            len: 0,
            readable: true,
            writable: true,
            present: true,
        };
        input.world.user.ranges = vec![user(0x1000, b"user\0"), user(0x2000, b"\0")];
        let mut world = World::new(Memory::detached().unwrap());
        world.reset(&input).unwrap();
        world
    }

    fn show(format: &str, args: &[u64]) -> Result<String, Errno> {
        cut(format, args, 1024).map(|(text, _)| text)
    }

    fn cut(format: &str, args: &[u64], room: usize) -> Result<(String, usize), Errno> {
        let mut world = world();
        let arguments = prepare(&mut world, format.as_bytes(), args).unwrap()?;
        let printed = print(&world, format.as_bytes(), &arguments, room);
        Ok((String::from_utf8(printed.text).unwrap(), printed.len))
    }

    #[test]
    fn numbers() {
        let minus = -5i64 as u64;
        for (format, arg, text) in [
            ("%d", minus, "-5"),
            ("%i|", 7, "7|"),
            ("%u", minus, "4294967291"),
            ("%lu", minus, "18446744073709551611"),
            ("%lld", minus, "-5"),
            ("%ld", 1 << 40, "1099511627776"),
            ("%d", 1 << 40, "0"),
            ("%x %%", 0xabc, "abc %"),
            ("%X", 0xabc, "ABC"),
            ("%5d|", minus, "   -5|"),
            ("%-5d|", minus, "-5   |"),
            ("%05d|", minus, "-0005|"),
            ("%-05d|", minus, "-5   |"),
            ("%+d", 5, "+5"),
            ("% d", 5, " 5"),
            ("%+x", 5, "5"),
            ("%08llx", 0xdead, "0000dead"),
            ("%2d", 100, "100"),
        ] {
            assert_eq!(show(format, &[arg]), Ok(text.to_owned()), "{format}");
        }
    }

    #[test]
    fn characters_and_strings() {
        let packet = layout::PACKET;
        for (format, arg, text) in [
            ("%c|", u64::from(b'a'), "a|"),
            ("%3c|", u64::from(b'a'), "  a|"),
            ("%-3c|", u64::from(b'a'), "a  |"),
            ("%s|", packet, "text|"),
            ("%s|", 0x1000, "user|"),
            ("%6s|", packet, "  text|"),
            ("%-6s|", packet, "text  |"),
            ("%06s|", packet, "  text|"),
            ("%pks|", packet, "text|"),
            ("%pks|", 0x1000, "|"),
            ("%pus|", 0x1000, "user|"),
            ("%pus|", packet, "|"),
            ("%s|", 0, "|"),
        ] {
            assert_eq!(show(format, &[arg]), Ok(text.to_owned()), "{format}");
        }
        // An empty string of user space takes no place: the next argument is read in its stead.
        assert_eq!(show("<%pus> <%s>", &[0x2000, packet]), Ok("<text> <>".to_owned()));
        assert_eq!(show("<%pks> <%s>", &[packet + 4, packet]), Ok("<> <text>".to_owned()));
    }

    #[test]
    fn addresses() {
        let function = 0xffff_ffff_8120_0000;
        for (format, arg, text) in [
            ("%px", 0xabc, "0000000000000abc"),
            ("%5px|", 0xabc, "  abc|"),
            ("%p", 0, "0000000000000000"),
            ("%p", -22i64 as u64, "ffffffffffffffea"),
            ("%ps", function + 4, "schedule"),
            ("%pS", function + 4, "schedule+0x4/0x120"),
            ("%pB", function + 4, "schedule+0x4/0x120"),
            ("%pB", function + 0x120, "schedule+0x120/0x120"),
            ("%pS", 0x1234, "0x1234"),
            ("%pxyz!", 1, "0000000000000001!"),
        ] {
            assert_eq!(show(format, &[arg]), Ok(text.to_owned()), "{format}");
        }
        let hashed = show("%p %p", &[layout::PACKET, layout::PACKET]).unwrap();
        let (one, two) = hashed.split_once(' ').unwrap();
        assert!(one == two && one.starts_with("00000000") && one.len() == 16);
        assert_ne!(show("%pK", &[layout::PACKET]), show("%pK", &[layout::PACKET + 1]));
    }

    #[test]
    fn network_addresses() {
        let (four, six) = (layout::PACKET + 5, layout::PACKET + 10);
        for (format, arg, text) in [
            ("%pI4", four, "127.0.0.1"),
            ("%pi4", four, "127.000.000.001"),
            ("%pI6", six, "2001:0db8:0000:0000:0000:0000:0000:0000"),
            ("%pi6", six, "20010db8000000000000000000000000"),
            ("%20pI4|", four, "127.0.0.1|"),
            ("%pI6c|", 0, "0000:0000:0000:0000:0000:0000:0000:0000|"),
        ] {
            assert_eq!(show(format, &[arg]), Ok(text.to_owned()), "{format}");
        }
        // Where there is no room it does not even count.
        assert_eq!(cut("%pI4", &[four], 0), Ok((String::new(), 0)));
        assert_eq!(cut("ab%pI4", &[four], 5), Ok(("ab127".to_owned(), 11)));
    }

    #[test]
    fn what_is_no_format() {
        for bad in [
            "%", "%f", "%o", "%sx", "%pZ", "%pksx", "\x01", "\u{fc}", "%ls", "%lllx", "%.3d", "%5%", "%-", "%pi5",
            "%d%d",
        ] {
            assert_eq!(show(bad, &[1]), Err(Errno::Einval), "{bad}");
        }
        assert_eq!(show("%d", &[]), Err(Errno::Einval));
        assert_eq!(show("100%%\n", &[]), Ok("100%\n".to_owned()));
    }

    #[test]
    fn what_does_not_fit() {
        assert_eq!(cut("%10d", &[1], 4), Ok(("    ".to_owned(), 10)));
        assert_eq!(cut("%8388607d", &[1], 4), Ok(("    ".to_owned(), 8_388_607)));
        assert_eq!(cut("%8388608d", &[1], 4), Ok(("1".to_owned(), 1)));
        let mut world = world();
        let mut long = vec![b'x'; 600];
        long.push(0);
        world.memory.poke(layout::frame_bottom(0), &long[..512]);
        let text = layout::frame_bottom(0);
        world.memory.poke(text + 511, &[0]);
        let arguments = prepare(&mut world, b"%s", &[text]).unwrap().unwrap();
        assert_eq!(print(&world, b"%s", &arguments, 1024).len, 511);
        assert_eq!(prepare(&mut world, b"%s%d", &[text, 1]).unwrap().unwrap_err(), Errno::Enospc);
        assert_eq!(prepare(&mut world, b"%s%c", &[text, 1]).unwrap().unwrap_err(), Errno::Enospc);
        assert_eq!(prepare(&mut world, b"%s%s", &[text, 1]).unwrap().unwrap_err(), Errno::Enospc);
        assert_eq!(prepare(&mut world, b"%s%pI4", &[text, 1]).unwrap().unwrap_err(), Errno::Enospc);
    }
}
