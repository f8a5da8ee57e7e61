//! Constant strings, and formats (kernel: `ARG_PTR_TO_CONST_STR`, `check_bpf_snprintf_call`, `bpf_bprintf_prepare`).

use crate::access::{self, Use};
use crate::env::Env;
use crate::refusal::{CallRefusal, Stop};
use crate::state::{RegState, State};
use semantics::insn::Reg;
use semantics::map::{Contents, MapDef, MapType, RDONLY_PROG};

/// The first value of an array.
fn value(map: &MapDef) -> Vec<u8> {
    let mut bytes = match &map.contents {
        Contents::Bytes(bytes) => bytes.clone(),
        Contents::Elements(all) => {
            let first = all.iter().find(|(key, _)| key.iter().all(|byte| *byte == 0));
            first.map_or_else(Vec::new, |(_, value)| value.clone())
        }
        Contents::Empty | Contents::Maps(_) | Contents::Programs(_) => Vec::new(),
    };
    bytes.resize(map.value_size as usize, 0);
    bytes
}

/// The string at a constant address, without its end; `None` if it has none.
fn string(map: &MapDef, held: &RegState) -> Option<Vec<u8>> {
    let start = i64::from(held.off).wrapping_add(held.var.var_off.value as i64);
    let mut bytes = value(map).get(usize::try_from(start).ok()?..)?.to_vec();
    bytes.truncate(bytes.iter().position(|byte| *byte == 0)?);
    Some(bytes)
}

/// A string that neither program nor user space can change.
pub(super) fn check_constant(env: &mut Env<'_>, state: &mut State, reg: Reg, held: &RegState) -> Result<(), Stop> {
    let map = env.map(held.map);
    if map.flags & RDONLY_PROG == 0 || !map.frozen {
        return Err(CallRefusal::StringWritable { reg }.into());
    }
    if held.var.var_off.mask != 0 {
        return Err(CallRefusal::StringVariable { reg }.into());
    }
    if map.map_type != MapType::ARRAY || map.max_entries != 1 {
        return Err(CallRefusal::StringMap { reg }.into());
    }
    let way = Use { write: false, none_allowed: false, raw: false };
    access::for_helper(env, state, reg, i64::from(map.value_size) - i64::from(held.off), way)?;
    string(map, held).map(|_| ()).ok_or_else(|| CallRefusal::StringEndless { reg }.into())
}

/// The format in R3 and the numbers for it, whose bytes R5 counts.
pub(super) fn check_format(env: &Env<'_>, state: &State) -> Result<(), CallRefusal> {
    let (reg, bytes) = (Reg::R3, state.reg(Reg::R5).var.var_off.value);
    let refusal = CallRefusal::Format { reg };
    let format = string(env.map(state.reg(reg).map), state.reg(reg)).ok_or(refusal)?;
    if bytes % 8 == 0 && is_format(&format, bytes / 8) { Ok(()) } else { Err(refusal) }
}

/// Whether all conversions are known, and no more than `numbers`.
fn is_format(format: &[u8], numbers: u64) -> bool {
    let at = |index: usize| format.get(index).copied().unwrap_or(0);
    let ends = |byte: u8| byte == 0 || byte.is_ascii_whitespace() || byte == 0x0b || byte.is_ascii_punctuation();
    let (mut index, mut taken) = (0, 0);
    while index < format.len() {
        let byte = at(index);
        let is_text = byte >= 0x80 || (0x20..0x7f).contains(&byte) || (9..=13).contains(&byte);
        if !is_text {
            return false;
        }
        index += 1;
        if byte != b'%' {
            continue;
        }
        if at(index) == b'%' {
            index += 1;
            continue;
        }
        if taken >= numbers {
            return false;
        }
        taken += 1;
        while matches!(at(index), b'0' | b'+' | b'-' | b' ') {
            index += 1;
        }
        while at(index).is_ascii_digit() {
            index += 1;
        }
        let used = match (at(index), at(index + 1), at(index + 2)) {
            (b'p' | b's', next, _) if ends(next) => 1,
            (b'c' | b'i' | b'd' | b'u' | b'x' | b'X', ..) => 1,
            (b'p', b'k' | b'u', b's') if ends(at(index + 3)) => 3,
            (b'p', b'i' | b'I', b'4' | b'6') | (b'l', b'l', b'i' | b'd' | b'u' | b'x' | b'X') => 3,
            (b'p', b'K' | b'x' | b's' | b'S' | b'B', _) | (b'l', b'i' | b'd' | b'u' | b'x' | b'X', _) => 2,
            _ => return false,
        };
        index += used;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_format;

    #[test]
    fn formats() {
        for good in ["", "100%%", "%d %+05lld", "%pI4 %pK", "%s, %pks\n", "%c%x", "\u{fc}", "%p"] {
            assert!(is_format(good.as_bytes(), 2), "{good}");
        }
        for bad in ["%d%d%d", "%", "%f", "%sx", "%pZ", "%pksx", "\x01", "%\u{fc}", "%ls"] {
            assert!(!is_format(bad.as_bytes(), 2), "{bad}");
        }
    }
}
