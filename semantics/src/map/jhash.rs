//! The hash function of the kernel's tables: Bob Jenkins' lookup3 (`include/linux/jhash.h`).

/// What the three words start from, together with length and seed.
const START: u32 = 0xdead_beef;

/// `jhash(key, length, seed)`. That of whole 32-bit words is the same as `jhash2` of them, since they are little-endian.
pub(super) fn jhash(key: &[u8], seed: u32) -> u32 {
    let start = START.wrapping_add(key.len() as u32).wrapping_add(seed);
    let mut state = [start; 3];
    let mut rest = key;
    while rest.len() > 12 {
        let (head, tail) = rest.split_at(12);
        add(&mut state, head);
        mix(&mut state);
        rest = tail;
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        finish(&mut state);
    }
    state[2]
}

/// Adds up to twelve bytes, with zeros behind them.
#[inline]
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(bytes.chunks(4)) {
        let value = match bytes.try_into() {
            Ok(whole) => u32::from_le_bytes(whole),
            Err(_) => bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)),
        };
        *word = word.wrapping_add(value);
    }
}

fn mix(state: &mut [u32; 3]) {
    // Each step takes the word behind from the one at hand, stirs it, and moves that on.
    for (step, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (a, b, c) = (step % 3, (step + 1) % 3, (step + 2) % 3);
        state[a] = state[a].wrapping_sub(state[c]) ^ state[c].rotate_left(turn);
        state[c] = state[c].wrapping_add(state[b]);
    }
}

fn finish(state: &mut [u32; 3]) {
    for (step, turn) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
        let (to, from) = ((step + 2) % 3, (step + 1) % 3);
        state[to] = (state[to] ^ state[from]).wrapping_sub(state[from].rotate_left(turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that the inventor of the function gives (`hashlittle` with these seeds), and the kernel's empty key.
    #[test]
    fn agrees_with_known_values() {
        let text = b"Four score and seven years ago";
        assert_eq!(jhash(text, 0), 0x1777_0551);
        assert_eq!(jhash(text, 1), 0xcd62_8161);
        assert_eq!(jhash(&[], 0), START);
    }
}
