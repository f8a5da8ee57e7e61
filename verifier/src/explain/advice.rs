//! What is missing, in plain words with numbers, and what to do about it.

use super::way::{Held, Place, Way};
use crate::refusal::{MemoryRefusal as M, Refusal};
use crate::state::{Flags, Kind, RegState, STACK_BOTTOM};
use crate::verdict::Rejection;
use semantics::helper;
use semantics::insn::{Op, Reg};
use semantics::program::Program;
use std::fmt;

/// What is missing, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What is missing, a sentence.
    pub missing: String,
    /// What to do, a sentence, if there is something more to say.
    pub suggestion: Option<String>,
}

/// An access that was refused.
struct Access<'a> {
    program: &'a Program,
    way: &'a Way,
    /// The instruction, in slots.
    insn: usize,
    /// The register with the address, and what it holds.
    reg: Reg,
    held: &'a RegState,
    /// Bytes.
    size: i64,
    /// What is added to the register: by the instruction, and before it as a constant.
    fixed: i64,
}

/// Explains a rejection: with numbers where the way to it was kept.
pub fn advice(rejection: &Rejection, program: &Program) -> Advice {
    let advice = rejection.way.as_deref().and_then(|way| {
        if let Refusal::Memory(M::Leak { insn, .. }) = rejection.refusal {
            return Some(leak(rejection, program, insn));
        }
        of_register(rejection, program, way)
    });
    advice.unwrap_or_else(|| Advice { missing: rejection.explanation(), suggestion: None })
}

fn of_register(rejection: &Rejection, program: &Program, way: &Way) -> Option<Advice> {
    use Refusal as R;
    let reg = rejection.register()?;
    let held = way.reg(reg);
    let insn = &program.insns()[rejection.insn];
    let access = |size: i64| {
        let off = if insn.op() == Op::CallHelper { 0 } else { i64::from(insn.off as i16) };
        let fixed = i64::from(held.off) + off;
        Access { program, way, insn: rejection.insn, reg, held, size, fixed }
    };
    let size = match insn.op() {
        Op::Load { size } | Op::LoadSx { size } | Op::Store { size, .. } | Op::Atomic { size, .. } => {
            size.bytes().into()
        }
        _ => 1,
    };
    match rejection.refusal {
        R::PacketBounds { size, .. } | R::PacketRegion { size, .. } => access(size).packet(),
        R::MapBounds { size, value_size, .. } => Some(access(size).inside("value", value_size.into())),
        R::Memory(M::KeyBounds { size, key_size, .. }) => Some(access(size).inside("key", key_size.into())),
        R::Memory(M::MemBounds { size, mem_size, .. }) => Some(access(size).inside("memory", mem_size.into())),
        R::StackBounds { size, .. } | R::VariableStackBounds { size, .. } => access(size).stack(),
        R::UnboundedStack { .. } => access(size).stack(),
        R::NegativeIndex { .. } | R::Unbounded { .. } => access(size).unbounded(),
        R::NoMemory { kind, .. } if kind.flags.any(Flags::MAYBE_NULL) => access(size).null(),
        R::NoMemory { kind, .. } if kind.kind == Kind::Scalar => access(size).number(),
        R::NotReadable { .. } => Some(access(size).uninitialised()),
        _ => None,
    }
}

/// A reference that is still held where the path ends.
fn leak(rejection: &Rejection, program: &Program, acquired: usize) -> Advice {
    let name = helper::fact(program.insns()[acquired].imm).map_or("the call", |fact| fact.name);
    let (from, to) = (line(program, acquired), line(program, rejection.insn));
    Advice {
        missing: format!(
            "What {name} gave at instruction {acquired}{from} is still held at instruction {}{to}.",
            rejection.insn
        ),
        suggestion: Some(format!("Release it on this path, too, before instruction {}{to}.", rejection.insn)),
    }
}

/// Where an instruction comes from, if that is known: ` (file.c:12)`.
fn line(program: &Program, slot: usize) -> String {
    let line = program.debug().line_at(slot);
    line.map_or(String::new(), |line| {
        let file = line.file.rsplit('/').next().unwrap_or(&line.file);
        format!(" ({file}:{})", line.line)
    })
}

/// An offset or a bound: small ones in decimal.
struct Number(i128);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small if small.abs() <= 0xf_ffff => write!(f, "{small}"),
            large if large < 0 => write!(f, "-{:#x}", -large),
            large => write!(f, "{large:#x}"),
        }
    }
}

/// `1 byte`, `8 bytes`.
fn bytes(count: i64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{} bytes", Number(count.into())) }
}

impl Access<'_> {
    /// The least and the greatest offset from the start of the object.
    fn span(&self) -> (i128, i128) {
        let var = &self.held.var;
        let fixed = i128::from(self.fixed);
        // A number that may be negative has no useful greatest one without a sign.
        let most = if (var.smin as i64) < 0 { i128::from(var.smax as i64) } else { i128::from(var.umax) };
        (i128::from(var.smin as i64) + fixed, most + fixed)
    }
    fn is_known(&self) -> bool {
        self.held.var.var_off.mask == 0
    }
    /// `14`, or `0..255`.
    fn shown_span(&self) -> String {
        let (least, most) = self.span();
        if least == most { Number(least).to_string() } else { format!("{}..{}", Number(least), Number(most)) }
    }
    fn line(&self, slot: usize) -> String {
        line(self.program, slot)
    }
    fn before(&self, slot: usize) -> String {
        format!("before instruction {slot}{}", self.line(slot))
    }

    fn packet(&self) -> Option<Advice> {
        let proven = i64::from(self.held.range.max(0));
        let (least, most) = self.span();
        if !self.held.kind.is_packet() {
            return None;
        }
        if least < 0 {
            return Some(self.negative(None));
        }
        let end = if self.held.kind == Kind::PacketMeta { "data" } else { "data_end" };
        let from = if self.held.kind == Kind::PacketMeta { "metadata" } else { "packet" };
        // Ranges are counted from behind what varies.
        let need = self.fixed + self.size;
        if self.is_known() {
            let last = least + i128::from(self.size) - 1;
            let which = if self.size == 1 {
                format!("byte {}", Number(least))
            } else {
                format!("bytes {} to {}", Number(least), Number(last))
            };
            let known = match proven {
                0 => format!("nothing was compared with {end}"),
                proven => format!("only its first {} are known to be there", bytes(proven)),
            };
            let start = if from == "metadata" { "data_meta" } else { "data" };
            return Some(Advice {
                missing: format!("The instruction accesses {which} of the {from}; on this path {known}."),
                suggestion: Some(format!("Leave where `{start} + {need} > {end}`, {}.", self.before(self.insn))),
            });
        }
        if most + i128::from(self.size) > 0xffff {
            return self.unbounded();
        }
        Some(Advice {
            missing: format!(
                "{} has a variable part, and the instruction needs {} from there on; on this path {} are known to be there.",
                self.reg,
                bytes(need),
                if proven == 0 { "none".to_owned() } else { format!("only {proven}") }
            ),
            suggestion: Some(format!(
                "Leave where `{} + {} > {end}`, with the pointer as it is accessed, {}.",
                self.reg,
                need - i64::from(self.held.off),
                self.before(self.insn)
            )),
        })
    }

    /// An access inside `len` bytes.
    fn inside(&self, what: &str, len: i64) -> Advice {
        let (least, _) = self.span();
        if least < 0 {
            return self.negative(Some(len));
        }
        let limit = len - self.size;
        let accessed = format!(
            "{} accessed",
            if self.size == 1 { "1 byte is".to_owned() } else { format!("{} bytes are", self.size) }
        );
        if self.is_known() {
            let suggestion =
                (limit >= 0).then(|| format!("The last offset at which {} fit is {limit}.", bytes(self.size)));
            return Advice {
                missing: format!(
                    "{accessed} at offset {} and would end at {}, the {what} has {}.",
                    Number(least),
                    Number(least + i128::from(self.size)),
                    bytes(len)
                ),
                suggestion,
            };
        }
        Advice {
            missing: format!("The offset can be {}, {accessed}, the {what} has {}.", self.shown_span(), bytes(len)),
            suggestion: self.compare(limit),
        }
    }

    /// To compare the number that was added last, so that the whole offset is `limit` at most.
    fn compare(&self, limit: i64) -> Option<String> {
        let limit = limit - self.fixed;
        if limit < 0 {
            return Some(
                "No number that could be added makes it fit: the constant part alone leads too far.".to_owned(),
            );
        }
        let (at, reg, held) = self.way.added_last(self.program, self.reg)?;
        let slot = self.way.events[at].insn;
        let others = self.held.var.umax != held.var.umax;
        let sum = if others { ", less what else is added," } else { "" };
        let negative = (held.var.smin as i64) < 0;
        let unsigned = if negative { " as an unsigned number" } else { "" };
        Some(format!("Compare {reg} with {limit}{sum}{unsigned} {}: `if {reg} > {limit}`, leave.", self.before(slot)))
    }

    fn negative(&self, len: Option<i64>) -> Advice {
        if self.is_known() {
            let (least, _) = self.span();
            return Advice {
                missing: format!("{} points {} before its object.", self.reg, bytes((-least) as i64)),
                suggestion: None,
            };
        }
        Advice {
            missing: format!("The offset can be {}: it may be negative.", self.shown_span()),
            suggestion: self.compare(len.unwrap_or(0xffff) - self.size),
        }
    }

    /// The length of what the register points into, if it is one length.
    fn object_len(&self) -> Option<i64> {
        match self.held.kind {
            Kind::MapValue => self.program.maps().get(self.held.map as usize).map(|map| map.value_size.into()),
            Kind::Mem => Some(self.held.what.into()),
            kind if kind.is_packet() => Some(0xffff),
            _ => None,
        }
    }

    fn unbounded(&self) -> Option<Advice> {
        if self.held.kind == Kind::Scalar {
            // A length that a helper is given.
            let negative = (self.held.var.smin as i64) < 0;
            let range = format!("{} can be {}", self.reg, self.shown_span());
            return Some(Advice {
                missing: format!(
                    "{range}{}.",
                    if negative { ": it may be negative" } else { ", which is no bound on a length" }
                ),
                suggestion: Some(format!(
                    "Compare {} as an unsigned number with the length of the memory, {}.",
                    self.reg,
                    self.before(self.insn)
                )),
            });
        }
        let len = self.object_len()?;
        let (least, _) = self.span();
        if least < 0 && (self.held.var.smin as i64) < 0 {
            return Some(self.negative(Some(len)));
        }
        Some(Advice {
            missing: format!(
                "The offset can be {}, {}.",
                self.shown_span(),
                match self.held.kind {
                    kind if kind.is_packet() => "which no packet has".to_owned(),
                    _ => format!("the value has {}", bytes(len)),
                }
            ),
            suggestion: self.compare(len - self.size),
        })
    }

    fn stack(&self) -> Option<Advice> {
        let (least, most) = self.span();
        let lowest = i128::from(STACK_BOTTOM);
        let highest = -i128::from(self.size);
        let frame = "the frame is from r10-512 up to r10";
        if self.is_known() {
            return Some(Advice {
                missing: format!("{} at r10{}: {frame}.", bytes(self.size), Plus(least)),
                suggestion: (lowest <= highest)
                    .then(|| format!("{} fit from r10{} to r10{}.", bytes(self.size), Plus(lowest), Plus(highest))),
            });
        }
        let (at, reg, held) = self.way.added_last(self.program, self.reg)?;
        let slot = self.way.events[at].insn;
        // What the address is without the number.
        let base = i128::from(self.fixed);
        let (from, to) = (lowest - base, highest - base);
        let is_whole = held.var == self.held.var;
        Some(Advice {
            missing: format!(
                "The address can be r10{} to r10{}, {} accessed; {frame}.",
                Plus(least),
                Plus(most),
                match self.size {
                    1 => "1 byte is".to_owned(),
                    size => format!("{size} bytes are"),
                }
            ),
            suggestion: is_whole
                .then(|| format!("Bound {reg} to {}..{} {}.", Number(from), Number(to), self.before(slot))),
        })
    }

    fn null(&self) -> Option<Advice> {
        let place = Place::Reg(self.way.last.depth() as u8, self.reg);
        let origin = self.way.origin(self.program, place);
        let call = origin.iter().find(|origin| self.program.insns()[origin.event.insn].op() == Op::CallHelper)?;
        let insn = &self.program.insns()[call.event.insn];
        let name = helper::fact(insn.imm).map_or("the call", |fact| fact.name);
        let slot = call.event.insn;
        Some(Advice {
            missing: format!(
                "{} is what {name} returned at instruction {slot}{}, which may be 0.",
                self.reg,
                self.line(slot)
            ),
            suggestion: Some(format!("Leave where `{} == 0`, {}.", self.reg, self.before(self.insn))),
        })
    }

    fn number(&self) -> Option<Advice> {
        let place = Place::Reg(self.way.last.depth() as u8, self.reg);
        let origin = self.way.origin(self.program, place);
        // A pointer that became a number on the way.
        let was = origin.iter().rev().find_map(|origin| match origin.change.held {
            Held::Reg(held) if held.kind.is_pointer() => Some((origin, held)),
            _ => None,
        })?;
        let slot = self.way.events[was.0.at].insn;
        let is_null = was.1.maybe_null() && self.held.as_constant() == Some(0);
        let missing = if is_null {
            format!("On this path {} is 0: it is what instruction {slot}{} returned.", self.reg, self.line(slot))
        } else {
            format!(
                "{} was an address ({}) at instruction {slot}{}, and has become a number since.",
                self.reg,
                was.1.ty(),
                self.line(slot)
            )
        };
        Some(Advice { missing, suggestion: None })
    }

    fn uninitialised(&self) -> Advice {
        let place = Place::Reg(self.way.last.depth() as u8, self.reg);
        let origin = self.way.origin(self.program, place);
        let Some(cleared) = origin.last() else {
            return Advice {
                missing: format!("No instruction on this path writes {} before it is read.", self.reg),
                suggestion: None,
            };
        };
        let slot = cleared.event.insn;
        let is_argument = Reg::ARGS.contains(&self.reg);
        Advice {
            missing: format!(
                "What was in {} is gone since the call at instruction {slot}{}.",
                self.reg,
                self.line(slot)
            ),
            suggestion: is_argument
                .then(|| "Keep what is needed behind a call in r6 to r9, or on the stack.".to_owned()),
        }
    }
}

/// An offset behind `r10`.
struct Plus(i128);

impl fmt::Display for Plus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.0 < 0 { "" } else { "+" }, Number(self.0))
    }
}
