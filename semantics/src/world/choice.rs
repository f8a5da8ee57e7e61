//! Choices that the specification leaves open, drawn from a seed so that every engine sees the same.

/// A seeded source of choices (the sequence of `SplitMix64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Choice(u64);

impl Choice {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Choice {
        Choice(seed)
    }
    /// Any 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Any 32-bit number.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}
