//! An access that the verifier accepts lies inside its object, whatever the variable part of its address turns out to be.

use crate::domain;
use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use semantics::word::{Flag, Word};
use verifier::bounds::Extent;

/// The obligations about accesses.
pub fn obligations() -> Vec<Obligation> {
    vec![
        Obligation::verifier("bounds::address", None, Address),
        Obligation::verifier("bounds::region", None, Region),
        Obligation::verifier("bounds::packet", None, Packet),
    ]
}

/// An access of some bytes to an object of some length.
fn extent<A: Theory>(cx: &mut Context<'_, A>) -> Extent<A> {
    let len: A::W64 = cx.word_where("len", |len: &A::W64| len.is_negative().not());
    Extent { size: cx.word("size"), len, none_allowed: cx.word::<A::W8>("none_allowed").is_zero() }
}

/// Whether the bytes from `place` on are bytes of the object.
fn lies<A: Theory>(place: &A::W64, extent: &Extent<A>) -> A::Flag {
    let Extent { size, len, .. } = extent;
    let first = place.is_negative().not().and(&place.sle(len));
    first.and(&size.is_negative().not()).and(&size.sle(&len.sub(place)))
}

/// Claims that the bytes at `place` behind `base` are bytes of the object there, and that no address wraps: for which it is
/// enough that they lie in its length (`bounds::address`).
fn claim_inside<A: Theory>(
    cx: &mut Context<'_, A>,
    accepted: &A::Flag,
    (base, place): (&A::W64, &A::W64),
    extent: &Extent<A>,
) {
    let start = base.add(place);
    let (end, object_end) = (start.add(&extent.size), base.add(&extent.len));
    let lies = accepted.implies(&lies(place, extent));
    let mut claim = |name: &str, flag: A::Flag| cx.claim_by(name, accepted.implies(&flag), vec![lies.clone()]);
    claim("it begins in the object", base.ule(&start));
    claim("it does not wrap", start.ule(&end));
    claim("it ends in the object", end.ule(&object_end));
    let none = extent.size.is_zero();
    cx.claim("it has bytes unless none are allowed", accepted.and(&none).implies(&extent.none_allowed));
}

/// What lies in the length of an object has addresses in it.
struct Address;

impl Statement for Address {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let extent = extent(cx);
        let place: A::W64 = cx.word("place");
        let base = base(cx, &extent.len);
        let start = base.add(&place);
        let (end, object_end) = (start.add(&extent.size), base.add(&extent.len));
        let inside = base.ule(&start).and(&start.ule(&end)).and(&end.ule(&object_end));
        cx.claim("it is inside", lies(&place, &extent).implies(&inside));
    }
}

/// Where an object begins that ends before addresses do.
fn base<A: Theory>(cx: &mut Context<'_, A>, len: &A::W64) -> A::W64 {
    cx.word_where("base", |base: &A::W64| base.ule(&base.add(len)))
}

/// Map values, keys, and memory of a known length; since 7.2 also packets, as far as they are known to be there.
struct Region;

impl Statement for Region {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let index: A::W64 = cx.word("index");
        let (var, off) = (domain::scalar(cx, "index", &index), cx.word::<A::W32>("off"));
        let extent = extent(cx);
        let base = base(cx, &extent.len);
        let accepted = (domain::rules(cx).region)(&var, &off, &extent).is_inside();
        claim_inside(cx, &accepted, (&base, &A::sext(&off).add(&index)), &extent);
    }
}

/// Packets: `len` bytes are known to lie behind the place that the variable part leads to.
struct Packet;

impl Statement for Packet {
    fn state<A: Theory>(&self, _: usize, cx: &mut Context<'_, A>) {
        let index: A::W64 = cx.word("index");
        let (var, off) = (domain::scalar(cx, "index", &index), cx.word::<A::W32>("off"));
        let extent = extent(cx);
        let place = base(cx, &extent.len);
        let fit = verifier::bounds::packet(&var, &off, &extent);
        claim_inside(cx, &fit.is_inside(), (&place, &A::sext(&off)), &extent);
        cx.claim("the place is not before the packet", fit.is_inside().implies(&index.is_negative().not()));
    }
}
