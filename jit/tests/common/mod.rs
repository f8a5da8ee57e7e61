//! What the tests share: random numbers that like borders, and a memory that native and BPF code see alike.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

/// A seeded generator (`SplitMix64`).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
    /// A value of 64 bits, often near a power of two, either sign.
    pub fn word(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => self.next() >> self.below(64),
            _ => {
                let near = (1u64 << self.below(64)).wrapping_add(self.below(3) as u64).wrapping_sub(1);
                if self.below(2) == 0 { near } else { near.wrapping_neg() }
            }
        }
    }
    /// 0, 1, -1, 127, 128, -128, -129 and the like.
    pub fn imm(&mut self) -> i32 {
        const BORDERS: [i32; 11] = [0, 1, -1, 127, 128, -128, -129, i32::MAX, i32::MIN, 0x7fff, 0xff];
        if self.below(2) == 0 { self.pick(&BORDERS) } else { self.word() as i32 }
    }
    pub fn off(&mut self) -> i16 {
        const BORDERS: [i16; 9] = [0, 1, -1, 127, 128, -128, -129, i16::MAX, i16::MIN];
        if self.below(2) == 0 { self.pick(&BORDERS) } else { self.next() as i16 }
    }
}
