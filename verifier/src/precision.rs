//! How close the verifier's operators come to the best: exhaustive counts at 6 bits, beside what versions of Linux know.
//!
//! For each pair of operands the best result is the least set of the domain around all concrete results. It is found by
//! computing them all; an operator is optimal there if its result has as many members.

use crate::domain::Domain;
use crate::insn::{alu, endian, mov, muldiv, shift};
use crate::scalar::Scalar;
use crate::tnum::Tnum;
use semantics::insn::{AluOp, MulDivOp, Order, ShiftOp, Size, Width};
use semantics::word::narrow::{Eighth, Narrow};
use semantics::word::{Algebra, Convert, Word};

/// Registers of 6 bits with halves of 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Six;

impl Algebra for Six {
    type Flag = bool;
    type W8 = Narrow<1>;
    type W16 = Narrow<2>;
    type W32 = Narrow<3>;
    type W64 = Narrow<6>;
}

/// How an operator did over all operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The operator, and what it was tried on.
    pub operator: String,
    /// How many operands or pairs of them.
    pub operands: u64,
    /// By domain, ascending: of how many the result is the best.
    pub optimal: Vec<(&'static str, u64)>,
}

/// Every operator.
pub fn rows() -> Vec<Row> {
    let mut rows = tnum_products();
    let (tnums, intervals) = (all_tnums::<6>(), intervals());
    for op in AluOp::ALL {
        let transfer = |domain: &Domain, x: &Scalar<Six>, y: &Scalar<Six>| alu::transfer(op, Width::W64, domain, x, y);
        let name = format!("{op:?}, known bits and constants").to_lowercase();
        rows.push(pairs(name, &scalars(&tnums), &constants(), transfer, |x, y| op.apply(x, y)));
        let name = format!("{op:?}, ranges and constants").to_lowercase();
        rows.push(pairs(name, &intervals, &constants(), transfer, |x, y| op.apply(x, y)));
    }
    for op in MulDivOp::ALL {
        let transfer =
            |domain: &Domain, x: &Scalar<Six>, y: &Scalar<Six>| muldiv::transfer(op, Width::W64, domain, x, y);
        let name = format!("{op:?}, known bits by constants").to_lowercase();
        rows.push(pairs(name, &scalars(&tnums), &constants(), transfer, |x, y| op.apply(x, y)));
        let name = format!("{op:?}, ranges by constants").to_lowercase();
        rows.push(pairs(name, &intervals, &constants(), transfer, |x, y| op.apply(x, y)));
    }
    for op in ShiftOp::ALL {
        let amounts: Vec<_> = (0..6).map(|amount| Scalar::constant(&Narrow::new(amount))).collect();
        let transfer =
            |domain: &Domain, x: &Scalar<Six>, y: &Scalar<Six>| shift::transfer(op, Width::W64, domain, x, y);
        let name = format!("{op:?}, ranges by constants").to_lowercase();
        rows.push(pairs(name, &intervals, &amounts, transfer, |x, y| op.apply(x, y)));
    }
    rows.extend(unary());
    rows
}

/// Products of known bits alone: of all pairs of 6 bits, not cut, by the algorithm of Linux before 6.18, since then, and
/// here.
fn tnum_products() -> Vec<Row> {
    let tnums: Vec<Tnum<u16>> = all_tnums::<6>()
        .iter()
        .map(|of| Tnum { value: u16::from(of.value.get()), mask: u16::from(of.mask.get()) })
        .collect();
    let algorithms: [(&'static str, &Domain); 3] =
        [("to 6.17", &Domain::V6_1), ("since 6.18", &Domain::V7_2), ("best", &Domain::BEST)];
    let mut optimal = algorithms.map(|(name, _)| (name, 0));
    let members: Vec<Vec<u16>> = tnums.iter().map(|of| (0..64).filter(|word| of.contains(word)).collect()).collect();
    for (a, xs) in tnums.iter().zip(&members) {
        for (b, ys) in tnums.iter().zip(&members) {
            let products = xs.iter().flat_map(|x| ys.iter().map(move |y| Tnum::constant(x * y)));
            let best = products.reduce(|x, y| x.union(&y)).expect("a tnum has members");
            for ((_, count), (_, domain)) in optimal.iter_mut().zip(algorithms) {
                *count += u64::from(muldiv::product_bits(domain, a, b) == best);
            }
        }
    }
    let operands = (tnums.len() * tnums.len()) as u64;
    vec![Row { operator: "tnum products, all pairs".to_owned(), operands, optimal: optimal.to_vec() }]
}

/// Every tnum.
fn all_tnums<const N: u32>() -> Vec<Tnum<Narrow<N>>> {
    let tnums = Narrow::<N>::all().flat_map(|value| Narrow::all().map(move |mask| Tnum { value, mask }));
    tnums.filter(Tnum::well_formed).collect()
}

fn scalars(tnums: &[Tnum<Narrow<6>>]) -> Vec<Scalar<Six>> {
    tnums.iter().map(|bits| Scalar { var_off: *bits, ..Scalar::unknown() }.sync()).collect()
}

/// Every unsigned range.
fn intervals<A: Algebra<Flag = bool, W64 = Narrow<N>>, const N: u32>() -> Vec<Scalar<A>> {
    let ends = Narrow::<N>::all().flat_map(|umin| Narrow::all().map(move |umax| (umin, umax)));
    let ends = ends.filter(|(umin, umax)| umin <= umax);
    ends.map(|(umin, umax)| Scalar { umin, umax, ..Scalar::unknown() }.sync()).collect()
}

fn constants() -> Vec<Scalar<Six>> {
    Narrow::all().map(|word| Scalar::constant(&word)).collect()
}

/// How many words the set has.
fn count<A: Algebra<Flag = bool, W64 = Narrow<N>>, const N: u32>(of: &Scalar<A>) -> usize {
    Narrow::<N>::all().filter(|word| of.contains(word)).count()
}

/// The least set around all of them.
fn best<A: Algebra<Flag = bool>>(results: impl Iterator<Item = A::W64>) -> Option<Scalar<A>> {
    results.map(|word| Scalar::constant(&word)).reduce(|a, b| a.join(&b)).map(|hull| hull.sync())
}

fn pairs(
    operator: String,
    left: &[Scalar<Six>],
    right: &[Scalar<Six>],
    transfer: impl Fn(&Domain, &Scalar<Six>, &Scalar<Six>) -> Scalar<Six>,
    meaning: impl Fn(&Narrow<6>, &Narrow<6>) -> Narrow<6>,
) -> Row {
    let mut optimal: Vec<_> = Domain::ALL.iter().map(|domain| (domain.name, 0)).collect();
    for a in left {
        let xs: Vec<_> = Narrow::all().filter(|x| a.contains(x)).collect();
        for b in right {
            let ys: Vec<_> = Narrow::all().filter(|y| b.contains(y)).collect();
            let results = xs.iter().flat_map(|x| ys.iter().map(|y| meaning(x, y)));
            let least = best::<Six>(results).map_or(0, |best| count(&best));
            for ((_, optimal), domain) in optimal.iter_mut().zip(&Domain::ALL) {
                *optimal += u64::from(count(&transfer(domain, a, b)) == least);
            }
        }
    }
    Row { operator, operands: (left.len() * right.len()) as u64, optimal }
}

/// Byte order and sign extension need registers of 8 bits, of which a byte is one.
fn unary() -> Vec<Row> {
    type Operand = (Scalar<Eighth>, Vec<Narrow<8>>);
    let with_members = |of: Scalar<Eighth>| -> Operand { (of, Narrow::all().filter(|x| of.contains(x)).collect()) };
    let bits = all_tnums::<8>().into_iter().map(|bits| Scalar { var_off: bits, ..Scalar::unknown() }.sync());
    let inputs: [(&str, Vec<Operand>); 2] = [
        ("known bits", bits.map(with_members).collect()),
        ("ranges", intervals().into_iter().map(with_members).collect()),
    ];
    let row = |operator: String,
               operands: &[Operand],
               transfer: &dyn Fn(&Domain, &Scalar<Eighth>) -> Scalar<Eighth>,
               meaning: &dyn Fn(&Narrow<8>) -> Narrow<8>| {
        let mut optimal: Vec<_> = Domain::ALL.iter().map(|domain| (domain.name, 0)).collect();
        for (of, members) in operands {
            let least = best::<Eighth>(members.iter().map(meaning)).map_or(0, |best| count(&best));
            for ((_, optimal), domain) in optimal.iter_mut().zip(&Domain::ALL) {
                *optimal += u64::from(count(&transfer(domain, of)) == least);
            }
        }
        Row { operator, operands: operands.len() as u64, optimal }
    };
    let mut rows = Vec::new();
    for (kind, operands) in &inputs {
        let swap = |domain: &Domain, of: &Scalar<Eighth>| endian::transfer(Order::Be, Size::W, domain, of);
        let swapped = |x: &Narrow<8>| Eighth::zext(&Eighth::low(x).swap_bytes());
        rows.push(row(format!("be32, {kind}"), operands, &swap, &swapped));
        let swap = |domain: &Domain, of: &Scalar<Eighth>| endian::transfer(Order::Swap, Size::Dw, domain, of);
        rows.push(row(format!("bswap64, {kind}"), operands, &swap, &|x: &Narrow<8>| x.swap_bytes()));
        let extend = |domain: &Domain, of: &Scalar<Eighth>| mov::sign_extend(Size::W, Width::W64, domain, of);
        let extended = |x: &Narrow<8>| Eighth::low(x).sx();
        rows.push(row(format!("movsx32, {kind}"), operands, &extend, &extended));
        let extend = |domain: &Domain, of: &Scalar<Eighth>| mov::sign_extend(Size::H, Width::W64, domain, of);
        let extended = |x: &Narrow<8>| -> Narrow<8> {
            let low: Narrow<2> = x.zx();
            low.sx()
        };
        rows.push(row(format!("movsx16, {kind}"), operands, &extend, &extended));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures that the algorithm's authors counted.
    #[test]
    fn tnum_products_are_as_close_as_published() {
        let [row] = &tnum_products()[..] else { panic!("one row") };
        assert_eq!(row.operands, 531_441);
        let of = |name| row.optimal.iter().find(|(domain, _)| *domain == name).expect("a domain of this name").1;
        assert_eq!((of("to 6.17"), of("since 6.18")), (202_444, 432_406));
        assert!(of("best") > of("since 6.18"));
    }

    /// What goes beyond Linux is closer, and nowhere further off.
    #[test]
    fn beyond_linux_is_closer() {
        let mut closer = 0;
        for row in unary() {
            let [.., (_, newest), (_, best)] = row.optimal[..] else { panic!("domains") };
            assert!(best >= newest, "{}: {best} of {newest}", row.operator);
            closer += u32::from(best > newest);
        }
        assert!(closer > 0);
    }
}
