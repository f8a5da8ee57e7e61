//! Random draws of a test: seeded by campaign and number, so the same numbers give the same tests on any worker.

use semantics::world::Choice;

/// A source of random draws.
#[derive(Clone, Copy, Debug)]
pub struct Dice(Choice);

/// Immediates where encodings, signs and widths change.
const BOUNDARIES: [i32; 22] = [
    0,
    1,
    -1,
    2,
    7,
    8,
    63,
    64,
    127,
    128,
    -128,
    -129,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    -0x8000,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
    0x5555_5555,
];

impl Dice {
    /// The draws of test `number` of the campaign with this seed.
    pub fn new(seed: u64, number: u64) -> Dice {
        let mut mixed = Choice::new(seed);
        Dice(Choice::new(mixed.next_u64() ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }
    /// Any 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// A number below `limit`, which is not 0.
    #[inline]
    pub fn below(&mut self, limit: usize) -> usize {
        ((self.0.next_u32() as u64 * limit as u64) >> 32) as usize
    }
    /// True `n` times of `of`.
    #[inline]
    pub fn chance(&mut self, n: usize, of: usize) -> bool {
        self.below(of) < n
    }
    /// One of `choices`, which are not empty.
    #[inline]
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
    /// An immediate: mostly a boundary, near one, or small; sometimes any.
    #[inline]
    pub fn imm(&mut self) -> i32 {
        match self.below(8) {
            0..=3 => self.pick(&BOUNDARIES),
            4 => self.pick(&BOUNDARIES).wrapping_add(self.below(5) as i32 - 2),
            5 => self.below(64) as i32,
            _ => self.bits() as i32,
        }
    }
    /// A 64-bit constant of the same kinds.
    #[inline]
    pub fn wide(&mut self) -> u64 {
        match self.below(4) {
            0 => i64::from(self.imm()) as u64,
            1 => u64::from(self.imm() as u32),
            2 => (1u64 << self.below(64)).wrapping_add(self.below(3) as u64).wrapping_sub(1),
            _ => self.bits(),
        }
    }
}
