//! The programs of the contests in Rust, as the compiler makes scalar code of them.
//!
//! Nothing is done to keep it from merging or reordering. Vectors are kept out: memory is read and written by volatile
//! accesses, of which each is made on its own, and the loops in registers carry values from turn to turn. The compiler
//! unrolls loops over memory, which no translation of one instruction at a time can do, so there is a rolled form of
//! those, too: an empty `asm!` in each turn, which is no instruction, keeps it so.

use std::hint::black_box;

use super::programs::{COPIED, PACKET, TURNS};

/// What programs are given.
pub type Packet = [u8; PACKET];

/// [`nothing`](super::programs::nothing).
#[inline(never)]
pub fn nothing(_: &mut Packet) -> u64 {
    black_box(0)
}

/// [`mixed_alu`](super::programs::mixed_alu).
#[inline(never)]
pub fn mixed_alu(_: &mut Packet) -> u64 {
    let (mut r0, mut r2, mut r4, mut r5) = (4660u64, 7u64, 9u64, 11u64);
    let mut r3 = black_box(TURNS);
    while r3 != 0 {
        let r1 = r0 << 3;
        r0 = r0.wrapping_add(r3);
        r2 ^= r1;
        r4 = u64::from((r4 as u32).wrapping_add(4660));
        r5 = (r5 >> 1) ^ r4;
        r4 = r4.wrapping_add(u64::from(r2 as u32) & 0xff);
        r2 = r2.wrapping_sub(5);
        r5 |= 0x10001;
        r0 = r0.wrapping_mul(8);
        r2 = u64::from((r2 as i32 >> 1) as u32);
        r3 -= 1;
    }
    r0 ^ r2 ^ r4 ^ r5
}

/// [`alu_chain`](super::programs::alu_chain).
#[inline(never)]
pub fn alu_chain(_: &mut Packet) -> u64 {
    let (mut r0, mut r4) = (0u64, 7u64);
    let mut r3 = black_box(TURNS);
    while r3 != 0 {
        let r5 = r0 & 0xffff;
        r0 = r0.wrapping_add(r3) ^ r4;
        r4 = u64::from((r4 as u32).wrapping_add(r5 as u32));
        r0 = r0.wrapping_sub(r4);
        r4 = (r4 | 1).wrapping_neg();
        r3 -= 1;
    }
    r0
}

/// Ends a turn that is not to be merged with others.
#[inline(always)]
fn turn<const ROLLED: bool>() {
    if ROLLED {
        // SAFETY: no instruction.
        unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }
}

/// [`checksum`](super::programs::checksum).
#[inline(never)]
pub fn checksum<const ROLLED: bool>(packet: &mut Packet) -> u64 {
    let mut sum = 0;
    for half in packet.as_chunks::<2>().0 {
        // SAFETY: a reference is valid to read.
        sum += u64::from(u16::from_le_bytes(unsafe { std::ptr::read_volatile(half) }));
        turn::<ROLLED>();
    }
    sum
}

/// Copies `COPIED` bytes, one `T` at a time: [`copy_words`](super::programs::copy_words) and
/// [`copy_bytes`](super::programs::copy_bytes).
#[inline(never)]
pub fn copy<T: Copy, const ROLLED: bool>(packet: &mut Packet) -> u64 {
    let bytes: &mut [u8] = black_box(packet);
    if bytes.len() < 2 * COPIED {
        return 1;
    }
    let (from, to) = bytes.split_at_mut(COPIED);
    let (from, to) = (from.as_ptr().cast::<T>(), to.as_mut_ptr().cast::<T>());
    for at in 0..COPIED / size_of::<T>() {
        // SAFETY: both halves have that many; the packet is aligned, and so is its middle, to 8 bytes.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        turn::<ROLLED>();
    }
    0
}

/// [`divisions`](super::programs::divisions).
#[inline(never)]
pub fn divisions(_: &mut Packet) -> u64 {
    let (mut r0, mut r5) = (0u64, 1_000_003u64);
    let mut r3 = black_box(TURNS);
    while r3 != 0 {
        r0 = r0.wrapping_add(r5 / 8).wrapping_add(r5 % 64).wrapping_add(u64::from(r5 as u32 % 10));
        r5 = r5.wrapping_add(12345);
        r0 = r0.wrapping_add(r5 / r3);
        r3 -= 1;
    }
    r0
}
