//! What a claim is stated with: variables, assumptions and goals, in whichever world.
//!
//! A [`Statement`] is written once, generic over the [`Theory`]. On [`Symbolic`](crate::sym::Symbolic) it is proven for
//! all values; on [`Concrete`] it is evaluated on given ones, which is how counterexamples are replayed on the code that
//! runs; on the scaled-down worlds it is checked for every value, or a sample.

use crate::memory::ByteMap;
use jit::x64::decode::{self, Decoded};
use semantics::insn::Size;
use semantics::word::narrow::{Eighth, Narrow, Sixteenth};
use semantics::word::{Algebra, Concrete, Flag, Word};
use std::fmt::Debug;
use std::rc::Rc;

/// A word that can stand for any value.
pub trait Variable: Word {
    /// The variable with this name; a world of numbers takes its value from `number`.
    fn variable(name: &str, number: u64) -> Self;
}

/// A word whose products can be spoken of before they are cut to its width.
pub trait Exact: Variable {
    /// Whether the product of the signed `left` is at most that of the signed `right`.
    fn products_ordered(left: (&Self, &Self), right: (&Self, &Self)) -> Self::Flag;
    /// Whether the product of the signed factors is the signed `word`.
    fn product_is(left: &Self, right: &Self, word: &Self) -> Self::Flag;
    /// Whether `(2 * rest + bit) * factor` is `bit * factor + rest * (2 * factor)`, unsigned.
    fn product_splits(rest: &Self, bit: &Self, factor: &Self) -> Self::Flag;
    /// The low bits of the product of the signed factors.
    fn signed_product(left: &Self, right: &Self) -> Self;
    /// Whether the product of the unsigned factors is at most `most`.
    fn product_at_most(left: &Self, right: &Self, most: &Self) -> Self::Flag;
}

/// A word that is a number.
pub trait Number: Word<Flag = bool> {
    /// Its unsigned value.
    fn number(&self) -> u64;
}

/// A world in which claims can be stated.
pub trait Theory: Algebra<W8: Variable, W16: Variable, W32: Variable, W64: Variable> {
    /// Its memory.
    type Memory: Memory<Self>;
    /// A double word whose products and quotients are those of integers; other operations may have no meaning.
    type Whole64: Exact<Flag = Self::Flag>;
    /// The same for a word.
    type Whole32: Exact<Flag = Self::Flag>;
    /// Told of every assumption as it is made: the symbolic world then explores only what it admits.
    fn assumed(_flag: &Self::Flag) {}
    /// Decodes one x86 instruction; `None` also in worlds whose bytes do not have 8 bits.
    fn decode_x64(_bytes: &[Self::W8]) -> Option<(Decoded<Self>, usize)> {
        None
    }
}

/// Little-endian byte memory over the whole address space that remembers in which order it was accessed.
pub trait Memory<A: Algebra>: Clone + Debug {
    /// Memory before the first access, any contents; a world of numbers takes its bytes from `numbers`.
    fn initial(numbers: &mut dyn Numbers) -> Self;
    /// Reads `size` bytes, zero-extended.
    fn load(&mut self, size: Size, addr: &A::W64) -> A::W64;
    /// Writes the low `size` bytes of `value`.
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64);
    /// An unknown function of the arguments and all memory: its result; it may have changed any byte.
    fn call(&mut self, args: &[A::W64]) -> A::W64;
    /// Remembers among the accesses that the world was asked this.
    fn note(&mut self, question: &[A::W64]);
    /// Whether all bytes are equal.
    fn same(&self, other: &Self) -> A::Flag;
    /// Whether the same accesses were made in the same order: kind, size and address; calls with equal arguments.
    fn same_accesses(&self, other: &Self) -> A::Flag;
}

/// Where the values of variables come from.
pub trait Numbers {
    /// The value of the variable with this name and width in bits.
    fn number(&mut self, name: &str, bits: u32) -> u64;
    /// The bytes of the initial memory, by address.
    fn bytes(&mut self) -> Rc<dyn Fn(u64) -> u8>;
    /// How often a value may be drawn anew until it meets a condition: 1 where the values are given.
    fn draws(&self) -> u32 {
        1
    }
}

/// A claim about code that is generic over the world.
pub trait Statement: Send + Sync + 'static {
    /// How many cases it has, such as choices of registers; each is stated and proven by itself.
    fn cases(&self) -> usize {
        1
    }
    /// What the case is called in a counterexample.
    fn case_name(&self, _case: usize) -> String {
        String::new()
    }
    /// States the case: takes variables, assumes, claims.
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>);
}

/// Something claimed.
#[derive(Clone, Debug)]
pub struct Goal<F> {
    /// What is claimed.
    pub name: String,
    /// Holds wherever the assumptions do.
    pub flag: F,
    /// If all of these hold, `flag` does, by other obligations: see [`Context::claim_by`]. Empty: no such argument.
    pub lemmas: Vec<F>,
}

/// The statement being made.
pub struct Context<'a, A: Theory> {
    numbers: &'a mut dyn Numbers,
    plant: Option<&'a str>,
    /// What was assumed, in order.
    pub assumptions: Vec<A::Flag>,
    /// What was claimed, in order.
    pub goals: Vec<Goal<A::Flag>>,
}

impl<A: Theory> Debug for Context<'_, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("assumptions", &self.assumptions)
            .field("goals", &self.goals)
            .finish_non_exhaustive()
    }
}

impl<'a, A: Theory> Context<'a, A> {
    /// Nothing assumed, nothing claimed; `plant` names the mistake that the rules under proof shall contain.
    pub fn new(numbers: &'a mut dyn Numbers, plant: Option<&'a str>) -> Self {
        Context { numbers, plant, assumptions: Vec::new(), goals: Vec::new() }
    }
    /// The mistake to plant into the rules under proof.
    pub fn plant(&self) -> Option<&'a str> {
        self.plant
    }
    /// Any word. Names must be unique within a statement; a proof of one that repeats a name fails.
    pub fn word<W: Variable>(&mut self, name: &str) -> W {
        W::variable(name, self.numbers.number(name, W::BITS))
    }
    /// Any word that meets the condition.
    pub fn word_where<W: Variable<Flag = A::Flag>>(&mut self, name: &str, condition: impl Fn(&W) -> A::Flag) -> W {
        let mut word: W = self.word(name);
        for _ in 1..self.numbers.draws() {
            if condition(&word).decide() {
                break;
            }
            word = self.word(name);
        }
        self.assume(&condition(&word));
        word
    }
    /// Initial memory, any contents.
    pub fn memory(&mut self) -> A::Memory {
        A::Memory::initial(self.numbers)
    }
    /// The claims hold only where this does.
    pub fn assume(&mut self, flag: &A::Flag) {
        A::assumed(flag);
        self.assumptions.push(flag.clone());
    }
    /// This holds wherever the assumptions do.
    pub fn claim(&mut self, name: impl Into<String>, flag: A::Flag) {
        self.claim_by(name, flag, Vec::new());
    }
    /// This holds wherever the assumptions do, and it is enough to show the `lemmas`: other obligations, which the
    /// statement's documentation names, close the gap. Where a lemma fails, `flag` itself decides.
    pub fn claim_by(&mut self, name: impl Into<String>, flag: A::Flag, lemmas: Vec<A::Flag>) {
        self.goals.push(Goal { name: name.into(), flag, lemmas });
    }
}

impl Theory for Concrete {
    type Memory = ByteMap<Self>;
    type Whole64 = <Concrete as Algebra>::W64;
    type Whole32 = <Concrete as Algebra>::W32;
    fn decode_x64(bytes: &[u8]) -> Option<(Decoded<Self>, usize)> {
        decode::decode(bytes)
    }
}
impl Theory for Eighth {
    type Memory = ByteMap<Self>;
    type Whole64 = <Eighth as Algebra>::W64;
    type Whole32 = <Eighth as Algebra>::W32;
}
impl Theory for Sixteenth {
    type Memory = ByteMap<Self>;
    type Whole64 = <Sixteenth as Algebra>::W64;
    type Whole32 = <Sixteenth as Algebra>::W32;
}

/// The number as a signed one of the word's width.
fn signed<W: Number>(word: &W) -> i128 {
    let shift = 64 - W::BITS;
    i128::from(((word.number() << shift) as i64) >> shift)
}

macro_rules! exact {
    ({$($generics:tt)*} $word:ty) => {
        impl<$($generics)*> Exact for $word {
            fn products_ordered(left: (&Self, &Self), right: (&Self, &Self)) -> bool {
                signed(left.0) * signed(left.1) <= signed(right.0) * signed(right.1)
            }
            fn product_is(left: &Self, right: &Self, word: &Self) -> bool {
                signed(left) * signed(right) == signed(word)
            }
            fn signed_product(left: &Self, right: &Self) -> Self {
                left.mul(right)
            }
            fn product_at_most(left: &Self, right: &Self, most: &Self) -> bool {
                u128::from(left.number()) * u128::from(right.number()) <= u128::from(most.number())
            }
            fn product_splits(rest: &Self, bit: &Self, factor: &Self) -> bool {
                let [rest, bit, factor] = [rest, bit, factor].map(|word| u128::from(word.number()));
                // Both sides modulo 2^128, which only the largest of 64 bits exceed.
                (2 * rest + bit).wrapping_mul(factor) == (bit * factor).wrapping_add(rest.wrapping_mul(2 * factor))
            }
        }
    };
}
exact!({const N: u32} Narrow<N>);

macro_rules! numbers {
    ($($word:ty)*) => { $(
        impl Variable for $word {
            fn variable(_: &str, number: u64) -> Self {
                <$word>::lit(number)
            }
        }
        impl Number for $word {
            fn number(&self) -> u64 {
                u64::from(*self)
            }
        }
        exact!({} $word);
    )* };
}
numbers!(u8 u16 u32 u64);

impl<const N: u32> Variable for Narrow<N> {
    fn variable(_: &str, number: u64) -> Self {
        Self::lit(number)
    }
}
impl<const N: u32> Number for Narrow<N> {
    fn number(&self) -> u64 {
        u64::from(self.get())
    }
}
