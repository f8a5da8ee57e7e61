//! Memory in proofs: an array of symbolic bytes, and its counterpart over numbers for replays.

use crate::sym::{SFlag, Sym, Symbolic};
use crate::theory::{Memory, Number, Numbers, Theory};
use semantics::insn::Size;
use semantics::word::{Algebra, Convert, Flag, Word};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use z3::ast::{Array, Ast};
use z3::{FuncDecl, Sort};

/// The name of the array that is the initial memory.
pub const INITIAL: &str = "memory";

/// What was done to memory, in order.
#[derive(Clone, Debug)]
enum Access<W> {
    Load(Size, W),
    Store(Size, W),
    Call(Vec<W>),
}

/// Whether two logs hold the same accesses.
/// A load that the right side makes once more right away, as the loop around a compare-and-exchange does, counts once.
fn same_log<W: Word>(left: &[Access<W>], right: &[Access<W>]) -> W::Flag {
    if let ([Access::Load(size, addr), ..], [Access::Load(n, a), Access::Load(m, b), rest @ ..]) = (left, right)
        && left.len() + 1 == right.len()
        && (size == n && n == m)
    {
        let again: Vec<Access<W>> = [Access::Load(*m, b.clone())].into_iter().chain(rest.iter().cloned()).collect();
        return addr.same(a).and(&same_log(left, &again));
    }
    if left.len() != right.len() {
        return W::Flag::lit(false);
    }
    left.iter().zip(right).fold(W::Flag::lit(true), |all, (l, r)| {
        all.and(&match (l, r) {
            (Access::Load(n, a), Access::Load(m, b)) | (Access::Store(n, a), Access::Store(m, b)) if n == m => {
                a.same(b)
            }
            (Access::Call(a), Access::Call(b)) if a.len() == b.len() => {
                a.iter().zip(b).fold(W::Flag::lit(true), |all, (a, b)| all.and(&a.same(b)))
            }
            _ => W::Flag::lit(false),
        })
    })
}

/// An array of bytes over all 64-bit addresses.
#[derive(Clone, Debug)]
pub struct SymMemory {
    bytes: Array,
    accesses: Vec<Access<Sym<64>>>,
}

impl SymMemory {
    /// The array that stands for all initial memories.
    pub fn array() -> Array {
        Array::new_const(INITIAL, &Sort::bitvector(64), &Sort::bitvector(8))
    }
    /// An unknown function of memory and `args`.
    fn unknown(&self, name: &str, args: &[Sym<64>], range: &Sort) -> z3::ast::Dynamic {
        let word = Sort::bitvector(64);
        let memory = Sort::array(&word, &Sort::bitvector(8));
        let domain: Vec<&Sort> = args.iter().map(|_| &word).chain([&memory]).collect();
        let actual: Vec<&dyn Ast> =
            args.iter().map(|arg| arg.term() as &dyn Ast).chain([&self.bytes as &dyn Ast]).collect();
        FuncDecl::new(name, &domain, range).apply(&actual)
    }
}

impl Memory<Symbolic> for SymMemory {
    fn initial(_: &mut dyn Numbers) -> Self {
        SymMemory { bytes: Self::array(), accesses: Vec::new() }
    }
    fn load(&mut self, size: Size, addr: &Sym<64>) -> Sym<64> {
        self.accesses.push(Access::Load(size, addr.clone()));
        let byte = |k: u32| {
            let at = addr.add(&Sym::lit(u64::from(k)));
            self.bytes.select(at.term()).as_bv().expect("memory holds bytes")
        };
        let value = (0..size.bytes()).map(byte).reduce(|low, high| high.concat(&low)).expect("at least one byte");
        Sym::build(&value.zero_ext(64 - 8 * size.bytes()))
    }
    fn store(&mut self, size: Size, addr: &Sym<64>, value: &Sym<64>) {
        self.accesses.push(Access::Store(size, addr.clone()));
        for k in 0..size.bytes() {
            let at = addr.add(&Sym::lit(u64::from(k)));
            let byte: Sym<8> = value.lshr(&Sym::lit(u64::from(8 * k))).zx();
            self.bytes = self.bytes.store(at.term(), byte.term());
        }
    }
    fn call(&mut self, args: &[Sym<64>]) -> Sym<64> {
        self.accesses.push(Access::Call(args.to_vec()));
        let result = self.unknown("call_result", args, &Sort::bitvector(64)).as_bv().expect("the declared range");
        let memory = Sort::array(&Sort::bitvector(64), &Sort::bitvector(8));
        self.bytes = self.unknown("call_memory", args, &memory).as_array().expect("the declared range");
        Sym::build(&result)
    }
    fn note(&mut self, question: &[Sym<64>]) {
        self.accesses.push(Access::Call(question.to_vec()));
    }
    fn same(&self, other: &Self) -> SFlag {
        self.bytes.eq(&other.bytes).simplify().into()
    }
    fn same_accesses(&self, other: &Self) -> SFlag {
        same_log(&self.accesses, &other.accesses)
    }
}

/// Numbered bytes over an initial content. A call, unknown in proofs, is here a hash of its arguments and of memory.
#[derive(Clone)]
pub struct ByteMap<A: Algebra> {
    initial: Rc<dyn Fn(u64) -> u8>,
    /// Which call gave the content below `written`; 0 before the first.
    epoch: u64,
    written: BTreeMap<u64, u8>,
    accesses: Vec<Access<A::W64>>,
}

impl<A: Algebra> Debug for ByteMap<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteMap")
            .field("written", &self.written)
            .field("accesses", &self.accesses)
            .finish_non_exhaustive()
    }
}

/// One round of a mixing function (splitmix64).
pub(crate) fn mix(seed: u64, value: u64) -> u64 {
    let mut z = seed.wrapping_add(value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl<A: Algebra> ByteMap<A> {
    /// The byte as it was before anything was written, or as the last call left it.
    fn below(&self, addr: u64) -> u8 {
        if self.epoch == 0 { (self.initial)(addr) } else { mix(self.epoch, addr) as u8 }
    }
    fn byte(&self, addr: u64) -> u8 {
        self.written.get(&addr).copied().unwrap_or_else(|| self.below(addr))
    }
}

impl<A: Theory<Flag = bool>> Memory<A> for ByteMap<A>
where
    A::W64: Number,
    A::W8: Number,
{
    fn initial(numbers: &mut dyn Numbers) -> Self {
        ByteMap { initial: numbers.bytes(), epoch: 0, written: BTreeMap::new(), accesses: Vec::new() }
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> A::W64 {
        self.accesses.push(Access::Load(size, addr.clone()));
        (0..size.bytes()).fold(A::W64::lit(0), |value, k| {
            let byte = A::W8::lit(u64::from(self.byte(addr.add(&A::W64::lit(u64::from(k))).number())));
            let wide: A::W64 = byte.zx();
            value.or(&wide.shl(&A::W64::lit(u64::from(A::W8::BITS * k))))
        })
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) {
        self.accesses.push(Access::Store(size, addr.clone()));
        for k in 0..size.bytes() {
            let byte: A::W8 = value.lshr(&A::W64::lit(u64::from(A::W8::BITS * k))).zx();
            self.written.insert(addr.add(&A::W64::lit(u64::from(k))).number(), byte.number() as u8);
        }
    }
    fn call(&mut self, args: &[A::W64]) -> A::W64 {
        self.accesses.push(Access::Call(args.to_vec()));
        let args = args.iter().map(Number::number);
        let changed = self.written.iter().filter(|(addr, byte)| self.below(**addr) != **byte);
        let bytes = changed.flat_map(|(addr, byte)| [*addr, u64::from(*byte)]);
        self.epoch = args.chain(bytes).fold(mix(1, self.epoch), mix) | 1;
        self.written.clear();
        A::W64::lit(mix(self.epoch, 0))
    }
    fn note(&mut self, question: &[A::W64]) {
        self.accesses.push(Access::Call(question.to_vec()));
    }
    fn same(&self, other: &Self) -> bool {
        let mut touched = self.written.keys().chain(other.written.keys());
        self.epoch == other.epoch && touched.all(|addr| self.byte(*addr) == other.byte(*addr))
    }
    fn same_accesses(&self, other: &Self) -> bool {
        same_log(&self.accesses, &other.accesses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::word::Concrete;

    struct Zeros;
    impl Numbers for Zeros {
        fn number(&mut self, _: &str, _: u32) -> u64 {
            0
        }
        fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8> {
            Rc::new(|_| 0)
        }
    }

    #[test]
    fn both_memories_read_back_what_was_written() {
        let mut bytes = ByteMap::<Concrete>::initial(&mut Zeros);
        bytes.store(Size::Dw, &u64::MAX, &0x1122_3344_5566_7788);
        assert_eq!(bytes.load(Size::W, &1), 0x3344_5566, "addresses wrap");
        let mut terms = SymMemory::initial(&mut Zeros);
        terms.store(Size::Dw, &Sym::lit(u64::MAX), &Sym::lit(0x1122_3344_5566_7788));
        assert_eq!(terms.load(Size::W, &Sym::lit(1)).literal(), Some(0x3344_5566));
    }

    #[test]
    fn writing_the_same_byte_is_no_difference_but_another_access_is() {
        let initial = ByteMap::<Concrete>::initial(&mut Zeros);
        let (mut left, mut right) = (initial.clone(), initial);
        left.store(Size::B, &4, &0);
        assert!(left.same(&right) && !left.same_accesses(&right));
        right.store(Size::H, &4, &0);
        assert!(left.same(&right) && !left.same_accesses(&right));
        assert_eq!(left.call(&[1, 2]), right.call(&[1, 2]), "equal memories and arguments, equal results");
        assert_ne!(left.call(&[1, 2]), right.call(&[1, 3]));
        assert!(!left.same(&right));
    }
}
