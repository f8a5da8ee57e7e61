//! What holds of every state, on every path, whatever the program: a state that breaks it was made by a mistake of the rules,
//! also where no run ever comes there (kernel: `reg_bounds_sanity_check`, `verifier_bug`).

use crate::domain::Sync;
use crate::env::Env;
use crate::explore::Exploration;
use crate::scalar::Scalar;
use crate::state::{BEYOND_PACKET_END, Byte, Flags, Kind, Number, RegState, SLOTS, Slot, State};
use semantics::insn::{Reg, Size};
use semantics::memory::layout::FRAMES_MAX;

/// The largest range that a comparison can prove, bytes: of a pointer strictly below the end one more than `MAX_PACKET_OFF`.
const PACKET_RANGE_MAX: i32 = 0x1_0000;

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    /// A view of a number is empty: a minimum above its maximum, or a bit that is both known and unknown.
    #[error("a view of the number is empty")]
    Empty,
    /// The known bits are all there is, and a range says something else.
    #[error("the bits are all known, but the number is not")]
    Constant,
    /// A range is one number, which another view does not contain.
    #[error("a range is one number that another view excludes")]
    Excluded,
    /// The number of a map, an id, or a frame that is none.
    #[error("an id that was never given, or a map or frame that is not there")]
    Stray,
    /// What only pointers have, on a number; or what some pointers never have.
    #[error("flags, offset or range that nothing of this kind has")]
    Attributes,
    /// R10 is not the top of the frame.
    #[error("the frame pointer does not point to the top of its frame")]
    FramePointer,
    /// Registers that are linked hold different numbers.
    #[error("registers with one id that cannot hold the same")]
    Links,
    /// Bytes of a slot that no store leaves so.
    #[error("bytes of a stack slot that no store leaves")]
    Slot,
    /// A reference is held twice, or named but not held.
    #[error("a reference that is held twice, or not held")]
    Reference,
}

/// Where in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In a register of a frame.
    Register(usize, Reg),
    /// In the stack of a frame, so many bytes below its top.
    Stack(usize, usize),
    /// In what all frames share.
    Whole,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Spot::Register(frame, reg) => write!(f, "{reg} of frame {frame}"),
            Spot::Stack(frame, depth) => write!(f, "r10-{depth} of frame {frame}"),
            Spot::Whole => f.write_str("the state"),
        }
    }
}

/// An invariant that a state breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("behind insn {insn}, {spot}: {flaw}")]
pub struct Broken {
    /// The instruction that left the state, in slots.
    pub insn: usize,
    /// Where.
    pub spot: Spot,
    /// What.
    pub flaw: Flaw,
}

impl Exploration<'_> {
    /// Notes the first state that breaks an invariant, which the instruction at hand left.
    #[inline(never)]
    pub(crate) fn check_invariants(&mut self, of: Which) {
        if self.store.broken.is_some() {
            return;
        }
        let (state, dead) = match of {
            Which::Path => (&self.state, &mut self.at.dead),
            Which::Taken => (&self.taken, &mut self.dead[1]),
        };
        // What is linked there has been forgotten in parts.
        *dead = *dead || holds_nothing(state);
        if let Err((spot, flaw)) = check(&self.env, state, *dead) {
            self.store.broken = Some(Broken { insn: self.at.pc, spot, flaw });
        }
    }
}

/// Whether a jump taught of one of these registers that it holds no number at all: then no run goes this way, and what was
/// known of it is forgotten.
pub(crate) fn has_forgotten(before: &[Option<(Reg, RegState)>], state: &State) -> bool {
    before.iter().flatten().any(|(reg, held)| {
        let unknown = Number::unknown();
        held.kind == Kind::Scalar && held.var != unknown && state.reg(*reg).var == unknown
    })
}

/// Which of the states under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// That of the path.
    Path,
    /// That of a jump's other way.
    Taken,
}

/// Whether some number of the state has no value: its views contain values each, but none in common. Then no run comes there.
fn holds_nothing(state: &State) -> bool {
    let empty = |held: &RegState| held.kind == Kind::Scalar && is_void(&held.var);
    let own = (&state.regs, &state.stack);
    let mut frames = state.callers.iter().map(|caller| (&caller.regs, &caller.stack)).chain([own]);
    frames
        .any(|(regs, stack)| regs.iter().any(empty) || stack.iter().any(|slot| slot.is_spilled() && empty(&slot.spill)))
}

/// Whether no number with the known bits lies in one of the ranges.
fn is_void(number: &Number) -> bool {
    let Scalar { var_off, umin, umax, smin, smax, u32_min, u32_max, s32_min, s32_max } = *number;
    let misses = |value: u64, mask: u64, sign: u64, min: u64, max: u64| {
        // With the sign bit turned signed numbers are in the order of unsigned ones.
        let (value, min, max) = (value ^ sign & !mask, min ^ sign, max ^ sign);
        min <= max && next_member(value, mask, min).is_none_or(|first| first > max)
    };
    let (low, low_mask) = (u64::from(var_off.value as u32), u64::from(var_off.mask as u32));
    var_off.mask != u64::MAX
        && (misses(var_off.value, var_off.mask, 0, umin, umax)
            || misses(var_off.value, var_off.mask, 1 << 63, smin, smax)
            || misses(low, low_mask, 0, u32_min.into(), u32_max.into())
            || misses(low, low_mask, 1 << 31, s32_min.into(), s32_max.into()))
}

/// The smallest number from `at` on with these known bits.
fn next_member(value: u64, mask: u64, at: u64) -> Option<u64> {
    let candidate = value | at & mask;
    if candidate == at {
        return Some(at);
    }
    let highest = (candidate ^ at).ilog2();
    let below = |bit: u32| (1u64 << bit) - 1;
    if candidate > at {
        return Some(candidate & !below(highest) | value & below(highest));
    }
    // An unknown bit further up has to be set.
    let free = mask & !at & !below(highest);
    let bit = (free != 0).then(|| free.trailing_zeros())?;
    Some(candidate & !below(bit) | 1 << bit | value & below(bit))
}

/// The first invariant that the state breaks. On a path that no run takes, what is linked may differ.
pub(crate) fn check(env: &Env<'_>, state: &State, dead: bool) -> Result<(), (Spot, Flaw)> {
    let own = (&state.regs, &state.stack);
    let frames = || state.callers.iter().map(|caller| (&caller.regs, &caller.stack)).chain([own]).enumerate();
    if state.depth() >= FRAMES_MAX as usize {
        return Err((Spot::Whole, Flaw::Stray));
    }
    check_references(state).map_err(|flaw| (Spot::Whole, flaw))?;
    let mut links = Links::default();
    for (frame, (regs, stack)) in frames() {
        let top = RegState { frame: frame as u8, ..RegState::pointer(Kind::Fp) };
        if regs[Reg::FP.index()] != top {
            return Err((Spot::Register(frame, Reg::FP), Flaw::FramePointer));
        }
        if stack.len() > SLOTS {
            return Err((Spot::Stack(frame, 8 * stack.len()), Flaw::Slot));
        }
        for (at, held) in regs.iter().enumerate() {
            let found = check_reg(env, state, held).and_then(|()| if dead { Ok(()) } else { links.note(held) });
            found.map_err(|flaw| (Spot::Register(frame, Reg::ALL[at]), flaw))?;
        }
        for (at, slot) in stack.iter().enumerate() {
            let mut found = check_slot(slot);
            if slot.is_spilled() {
                found = found.and_then(|()| check_reg(env, state, &slot.spill));
                if slot.bytes == [Byte::Spill; 8] && !dead {
                    found = found.and_then(|()| links.note(&slot.spill));
                }
            }
            found.map_err(|flaw| (Spot::Stack(frame, 8 * (at + 1)), flaw))?;
        }
    }
    Ok(())
}

/// Each reference is held once and has an id.
fn check_references(state: &State) -> Result<(), Flaw> {
    for (at, held) in state.references.iter().enumerate() {
        if held.id == 0 || state.references[..at].iter().any(|other| other.id == held.id) {
            return Err(Flaw::Reference);
        }
    }
    Ok(())
}

fn check_reg(env: &Env<'_>, state: &State, held: &RegState) -> Result<(), Flaw> {
    if held.kind == Kind::NotInit {
        return Ok(());
    }
    check_number(&held.var, env.dialect.domain.sync)?;
    let fits = match held.kind {
        Kind::Scalar => held.flags == Flags::NONE && held.off == 0 && held.range == 0 && held.reference == 0,
        Kind::Packet | Kind::PacketMeta => (BEYOND_PACKET_END..=PACKET_RANGE_MAX).contains(&held.range),
        _ => held.range == 0,
    };
    if !fits {
        return Err(Flaw::Attributes);
    }
    let is_map = matches!(held.kind, Kind::MapPtr | Kind::MapValue | Kind::MapKey);
    let maps = env.program.maps().len();
    let stray = is_map && (held.map & !crate::env::INNER) as usize >= maps
        || held.kind == Kind::Fp && usize::from(held.frame) > state.depth()
        || held.id > env.last_id;
    if stray {
        return Err(Flaw::Stray);
    }
    if held.reference != 0 && state.references.iter().all(|reference| reference.id != held.reference) {
        return Err(Flaw::Reference);
    }
    Ok(())
}

/// No view of a number is empty; what the bits say alone, the ranges say too; and a range that is one number is one that the
/// other views contain.
fn check_number(number: &Number, sync: Sync) -> Result<(), Flaw> {
    // Before 6.8 a state that no run comes to is kept as it is, empty or not.
    if sync == Sync::Signs && !number.well_formed() {
        return Ok(());
    }
    if !number.well_formed() {
        return Err(Flaw::Empty);
    }
    let Scalar { var_off, umin, umax, smin, smax, u32_min, u32_max, s32_min, s32_max } = *number;
    let value = var_off.value;
    if var_off.mask == 0 && [umin, umax, smin, smax] != [value; 4]
        || var_off.mask as u32 == 0 && [u32_min, u32_max, s32_min, s32_max] != [value as u32; 4]
    {
        return Err(Flaw::Constant);
    }
    let single = |min: u64, max: u64| min != max || number.contains(&min);
    if !single(umin, umax) || !single(smin, smax) {
        return Err(Flaw::Excluded);
    }
    Ok(())
}

/// A spilled register lies in the lowest bytes of its slot, a pointer in all of them.
fn check_slot(slot: &Slot) -> Result<(), Flaw> {
    let spilled = slot.spilled_bytes();
    let elsewhere = slot.bytes[spilled..].contains(&Byte::Spill);
    let whole = Size::ALL.iter().any(|size| size.bytes() as usize == spilled);
    let fits = match slot.spill.kind {
        _ if elsewhere => false,
        _ if spilled == 0 => true,
        Kind::Scalar => whole,
        Kind::NotInit => false,
        _ => spilled == 8,
    };
    if fits { Ok(()) } else { Err(Flaw::Slot) }
}

/// Numbers and pointers by their ids: all with one id hold the same, so they have something in common.
#[derive(Default)]
struct Links {
    seen: [Option<(u32, Kind, Number)>; 16],
    used: usize,
}

impl Links {
    fn note(&mut self, held: &RegState) -> Result<(), Flaw> {
        if held.id == 0 || held.kind != Kind::Scalar {
            return Ok(());
        }
        let mut seen = self.seen[..self.used].iter().flatten();
        match seen.find(|(id, ..)| *id == held.id) {
            Some((_, kind, other)) if *kind == held.kind => {
                let (a, b) = (&other.var_off, &held.var.var_off);
                let clash = (a.value ^ b.value) & !a.mask & !b.mask;
                if clash == 0 && other.meet(&held.var).well_formed() { Ok(()) } else { Err(Flaw::Links) }
            }
            Some(_) => Err(Flaw::Links),
            None => {
                if let Some(free) = self.seen.get_mut(self.used) {
                    *free = Some((held.id, held.kind, held.var));
                    self.used += 1;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_member_is_found() {
        for value in 0..16u64 {
            for mask in (0..16u64).filter(|mask| value & mask == 0) {
                for at in 0..16u64 {
                    let wanted = (at..16).find(|number| number & !mask == value);
                    assert_eq!(next_member(value, mask, at), wanted, "{value} {mask} {at}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_noticed() {
        let void =
            Scalar { umin: 8, umax: 0x86, var_off: crate::tnum::Tnum { value: 7, mask: 0x80 }, ..Number::unknown() };
        assert!(is_void(&void) && !is_void(&Number::unknown()) && !is_void(&Number::constant(&u64::MAX)));
        assert_eq!(check_number(&Scalar { umin: 1, umax: 0, ..Number::unknown() }, Sync::Halves), Err(Flaw::Empty));
        let half = Scalar { smin: 0, ..Number::constant(&7) };
        assert_eq!(check_number(&half, Sync::Halves), Err(Flaw::Constant));
        let excluded =
            Scalar { umin: 9, umax: 9, var_off: crate::tnum::Tnum { value: 0, mask: 6 }, ..Number::unknown() };
        assert_eq!(check_number(&excluded, Sync::Halves), Err(Flaw::Excluded));
    }
}
