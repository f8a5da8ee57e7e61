//! Guest memory over terms: one array of bytes for packets and map values, and single bytes at known places for frames and
//! the context.

use crate::sym::Sym;
use semantics::insn::Size;
use semantics::word::{Convert, Word};
use std::collections::BTreeMap;
use z3::Sort;
use z3::ast::Array;

/// The memory of a path.
#[derive(Clone, Debug)]
pub(super) struct SymBytes {
    /// Before the program ran.
    pub initial: Array,
    now: Array,
    /// Addresses of the array that were read.
    pub read: Vec<Sym<64>>,
    /// Bytes at known places.
    known: BTreeMap<u64, Sym<8>>,
}

impl SymBytes {
    pub fn new() -> SymBytes {
        let initial = Array::new_const("memory", &Sort::bitvector(64), &Sort::bitvector(8));
        SymBytes { now: initial.clone(), initial, read: Vec::new(), known: BTreeMap::new() }
    }
    /// The byte at an address of the array.
    pub fn byte(&mut self, addr: &Sym<64>) -> Sym<8> {
        self.read.push(addr.clone());
        Sym::build(&self.now.select(addr.term()).as_bv().expect("memory holds bytes"))
    }
    /// The byte that was there before the program ran.
    pub fn initial_byte(&self, addr: &Sym<64>) -> Sym<8> {
        Sym::build(&self.initial.select(addr.term()).as_bv().expect("memory holds bytes"))
    }
    pub fn set_byte(&mut self, addr: &Sym<64>, byte: &Sym<8>) {
        self.now = self.now.store(addr.term(), byte.term());
    }
    /// The byte at a known place, if one was put there.
    pub fn known(&self, addr: u64) -> Option<&Sym<8>> {
        self.known.get(&addr)
    }
    pub fn set_known(&mut self, addr: u64, byte: Sym<8>) {
        self.known.insert(addr, byte);
    }
}

/// Little-endian bytes as a number, zero-extended.
pub(super) fn number(bytes: &[Sym<8>]) -> Sym<64> {
    bytes.iter().enumerate().fold(Sym::lit(0), |value, (at, byte)| {
        let wide: Sym<64> = byte.zx();
        value.or(&wide.shl(&Sym::lit(8 * at as u64)))
    })
}

/// The low bytes of a number.
pub(super) fn bytes(value: &Sym<64>, count: u64) -> Vec<Sym<8>> {
    (0..count).map(|at| value.lshr(&Sym::lit(8 * at)).zx()).collect()
}

/// `addr + k`.
pub(super) fn at(addr: &Sym<64>, k: u64) -> Sym<64> {
    addr.add(&Sym::lit(k))
}

/// Bytes of an access.
pub(super) fn len(size: Size) -> u64 {
    u64::from(size.bytes())
}
