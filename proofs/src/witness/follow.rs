//! The rejected path over terms: `exec` of every instruction, and what it takes to go that way.

use super::Lack;
use super::memory::{SymBytes, at, bytes, len, number};
use crate::sym::{SFlag, Sym, Symbolic};
use semantics::helper;
use semantics::insn::{AluOp, Flow, Insn, Machine, Op, Reg, Size, Source, Wide, Width, exec};
use semantics::memory::{Object, Region, layout};
use semantics::program::Program;
use semantics::program_type::{ContextField, FieldKind, ProgramType};
use semantics::word::{Flag, Word};
use semantics::world::{World, WorldConfig};
use verifier::Rejection;
use verifier::explain::{Place, Way};
use verifier::state::Kind;
use z3::ast::{Ast, Bool};

/// The packet of the world whose context shows where packet pointers lead: it has the header of a link layer.
pub(super) const SAMPLE_LEN: usize = 64;
/// Bytes of the header of a link layer: the shortest packet that a kernel runs a program on.
const HEADER: u64 = 14;
/// The most bytes of read-only contents that are stated.
const CONTENTS_MAX: usize = 4096;

/// The access that was refused.
pub(super) struct Access {
    addr: Sym<64>,
    size: u64,
    write: bool,
    /// The object that the address was made from.
    origin: Option<Origin>,
}

/// Where an address came from: an object with its length.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub base: Sym<64>,
    pub len: Sym<64>,
}

/// An element of a map that was looked up.
pub(super) struct Element {
    pub map: usize,
    pub key: Vec<Sym<8>>,
    pub addr: Sym<64>,
    pub present: SFlag,
    /// Whether it is there only because the input has it.
    pub is_created: bool,
}

/// Why a path is left.
pub(super) enum Fault {
    Lack(Lack),
    /// The access of the last instruction.
    Reached(Sym<64>, u64),
}

impl From<Lack> for Fault {
    fn from(lack: Lack) -> Fault {
        Fault::Lack(lack)
    }
}

/// A path under way.
pub(super) struct Follower<'a> {
    pub program: &'a Program,
    way: &'a Way,
    pub rejection: &'a Rejection,
    /// The regions of a world with a packet of [`SAMPLE_LEN`] bytes, and what its context holds.
    regions: Vec<Region>,
    context: Vec<u8>,
    pub regs: [Sym<64>; 11],
    origins: [Option<Origin>; 11],
    /// Origins of what lies in 8 bytes of the stack.
    spilled: Vec<(u64, Origin)>,
    callers: Vec<([Sym<64>; 5], [Option<Origin>; 5])>,
    pub memory: SymBytes,
    /// Bytes of the packet.
    pub len: Sym<64>,
    /// Fields of the context that were read before anything was written there.
    pub fields: Vec<(String, Sym<64>)>,
    pub elements: Vec<Element>,
    /// Maps that were updated.
    pub updated: Vec<usize>,
    /// The clock at the start, if it is read.
    pub clock: Option<Sym<64>>,
    /// How often it is read.
    pub readings: u64,
    /// Random numbers drawn.
    pub draws: u32,
    /// Values named so far.
    results: u32,
    /// What it takes to go this way.
    pub conditions: Vec<Bool>,
    /// What else was assumed, though an input need not have it.
    pub restricted: Option<&'static str>,
    /// The instruction, among the events.
    event: usize,
    /// Where the address came from that the instruction yields.
    pub origin: Option<Origin>,
}

impl<'a> Follower<'a> {
    /// At the program's entry.
    pub fn new(program: &'a Program, world: &World, way: &'a Way, rejection: &'a Rejection) -> Follower<'a> {
        let mut regs: [Sym<64>; 11] = std::array::from_fn(|_| Sym::lit(0));
        regs[Reg::R1.index()] = Sym::lit(layout::CONTEXT);
        regs[Reg::FP.index()] = Sym::lit(layout::frame_top(0));
        let packet_len: Sym<64> = Sym::new("packet_len");
        let context_len = u64::from(program.program_type().declaration().context_len);
        Follower {
            program,
            way,
            rejection,
            regions: world.memory.regions().copied().collect(),
            context: world.memory.peek(layout::CONTEXT, context_len).to_vec(),
            regs,
            origins: std::array::from_fn(|_| None),
            spilled: Vec::new(),
            callers: Vec::new(),
            memory: SymBytes::new(),
            conditions: vec![packet_len.ule(&Sym::lit(layout::PACKET_MAX)).term().clone()],
            len: packet_len,
            fields: Vec::new(),
            elements: Vec::new(),
            updated: Vec::new(),
            clock: None,
            readings: 0,
            draws: 0,
            results: 0,
            restricted: None,
            event: 0,
            origin: None,
        }
    }

    pub fn pc(&self) -> usize {
        self.way.events[self.event].insn
    }
    pub fn is_last(&self) -> bool {
        self.event + 1 == self.way.events.len()
    }
    pub fn holds(&mut self, flag: &SFlag) {
        self.conditions.push(flag.term().simplify());
    }
    pub fn fresh(&mut self, what: &str) -> Sym<64> {
        self.results += 1;
        Sym::new(&format!("{what}_{}", self.results))
    }

    /// Follows the path up to the access that was refused.
    pub fn follow(&mut self) -> Result<Access, Lack> {
        self.state_contents()?;
        for at in 0..self.way.events.len() {
            self.event = at;
            let insn = self.program.insns()[self.pc()];
            if !self.is_last()
                && self.way.events[at + 1].frame > self.way.events[at].frame
                && insn.op() == Op::CallHelper
            {
                return Err(Lack::Helper {
                    insn: self.pc(),
                    name: helper::fact(insn.imm).map_or("a helper", |fact| fact.name),
                });
            }
            let origin = self.origin_behind(&insn);
            let flow = match exec(&symbolic(&insn), self) {
                Ok(flow) => flow,
                Err(Fault::Lack(lack)) => return Err(lack),
                Err(Fault::Reached(addr, size)) => return Ok(self.access(&insn, addr, size)),
            };
            self.track(&insn, origin);
            self.go(&insn, flow);
        }
        Err(Lack::NoAccess)
    }

    fn access(&self, insn: &Insn, addr: Sym<64>, size: u64) -> Access {
        let write = matches!(insn.op(), Op::Store { .. } | Op::StoreRelease { .. } | Op::Atomic { .. });
        let base = match insn.op() {
            Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. } => insn.src,
            Op::CallHelper => self.rejection.register().unwrap_or(Reg::R1),
            _ => insn.dst,
        };
        Access { addr, size, write, origin: self.origins[base.index()].clone() }
    }

    /// Control goes where the path goes.
    fn go(&mut self, insn: &Insn, flow: Flow<SFlag>) {
        match flow {
            Flow::Next => {}
            Flow::Branch(flag) => match self.way.taken(self.event, self.program) {
                Some(true) => self.holds(&flag),
                Some(false) => self.holds(&flag.not()),
                None => {}
            },
            Flow::Leave(flag) | Flow::Tail(flag) => self.holds(&flag.not()),
            Flow::Call => {
                let saved = std::array::from_fn(|at| self.regs[at + 6].clone());
                let origins = std::array::from_fn(|at| self.origins[at + 6].clone());
                self.callers.push((saved, origins));
                self.regs[Reg::FP.index()] = Sym::lit(layout::frame_top(self.callers.len() as u64));
            }
            Flow::Exit => {
                if let (Op::Exit, Some((saved, origins))) = (insn.op(), self.callers.pop()) {
                    for (at, (reg, origin)) in saved.into_iter().zip(origins).enumerate() {
                        self.regs[at + 6] = reg;
                        self.origins[at + 6] = origin;
                    }
                }
            }
        }
    }

    /// What maps that programs only read hold from the start, as far as this path takes addresses in them.
    fn state_contents(&mut self) -> Result<(), Lack> {
        let mut stated = Vec::new();
        for event in &self.way.events {
            let insn = &self.program.insns()[event.insn];
            let Op::Wide(Wide::MapValue | Wide::MapIndexValue) = insn.op() else { continue };
            let index = insn.imm as usize;
            let def = &self.program.maps()[index];
            if stated.contains(&index) {
                continue;
            }
            stated.push(index);
            let Some(region) = self.values(index) else { continue };
            if def.is_read_only() {
                let semantics::map::Contents::Bytes(contents) = &def.contents else { continue };
                if contents.len() > CONTENTS_MAX {
                    return Err(Lack::Contents { map: def.name.clone() });
                }
                for (k, byte) in contents.iter().enumerate() {
                    let held = self.memory.initial_byte(&Sym::lit(region.base + k as u64));
                    let same = held.same(&Sym::lit(u64::from(*byte)));
                    self.holds(&same);
                }
            } else {
                let key = bytes(&Sym::lit(0), def.key_size.into());
                let (addr, present) = (Sym::lit(region.base), SFlag::lit(true));
                self.elements.push(Element { map: index, key, addr, present, is_created: false });
            }
        }
        Ok(())
    }

    /// The region of a map's values.
    pub fn values(&self, map: usize) -> Option<Region> {
        self.regions.iter().find(|region| region.object == Object::MapValue(map as u32)).copied()
    }

    // ---- where addresses come from

    /// The origin of what the instruction computes, from before it.
    fn origin_behind(&self, insn: &Insn) -> Option<Origin> {
        let of = |reg: Reg| self.origins[reg.index()].clone();
        match insn.op() {
            Op::Mov { width: Width::W64, source: Source::X } => of(insn.src),
            Op::Alu { op: AluOp::Add | AluOp::Sub, width: Width::W64, source } => match source {
                Source::X => of(insn.dst).or_else(|| of(insn.src)),
                Source::K => of(insn.dst),
            },
            Op::Load { size: Size::Dw } => {
                let addr = self.regs[insn.src.index()].add(&Sym::lit(insn.displacement())).literal()?;
                self.spilled.iter().find(|(slot, _)| *slot == addr).map(|(_, origin)| origin.clone())
            }
            _ => None,
        }
    }

    fn track(&mut self, insn: &Insn, origin: Option<Origin>) {
        match insn.op() {
            Op::Load { .. } => {
                let found = origin.or_else(|| self.origin.take());
                self.origins[insn.dst.index()] = found;
            }
            Op::Store { size, source } => {
                let addr = self.regs[insn.dst.index()].add(&Sym::lit(insn.displacement())).literal();
                if let Some(addr) = addr {
                    self.spilled.retain(|(slot, _)| slot + 8 <= addr || addr + len(size) <= *slot);
                    let stored = self.origins[insn.src.index()].clone();
                    if let (Size::Dw, Source::X, Some(origin)) = (size, source, stored) {
                        self.spilled.push((addr, origin));
                    }
                }
            }
            Op::CallHelper => self.origins[0] = self.origin.take(),
            op if op.writes_dst() => self.origins[insn.dst.index()] = origin,
            _ => {}
        }
        self.origin = None;
    }

    // ---- the question

    /// Whether the access leaves the object that its address was made from.
    pub fn leaves_object(&self, access: &Access) -> Bool {
        let rights = self.traps(access);
        let Some(Origin { base, len }) = &access.origin else { return rights };
        let off = access.addr.sub(base);
        let size = Sym::lit(access.size);
        let inside = off.ule(len).and(&size.ule(&len.sub(&off)));
        Bool::or(&[inside.not().term(), &rights])
    }

    /// Whether the interpreter traps on the access: no region permits it.
    pub fn traps(&self, access: &Access) -> Bool {
        let permitted: Vec<Bool> = self
            .regions
            .iter()
            .filter(|region| region.object != Object::Context && (region.writable || !access.write))
            .map(|region| self.inside(region, access).term().clone())
            .chain(self.context_permits(access))
            .collect();
        Bool::or(&permitted).not().simplify()
    }

    fn inside(&self, region: &Region, access: &Access) -> SFlag {
        let size = Sym::lit(access.size);
        let off = access.addr.sub(&Sym::lit(region.base));
        if region.object == Object::Packet {
            return off.ule(&self.len).and(&size.ule(&self.len.sub(&off)));
        }
        if region.len < access.size {
            return SFlag::lit(false);
        }
        let last = Sym::lit(region.len - access.size);
        if region.count == 1 {
            return off.ule(&last);
        }
        let in_part = off.urem(&Sym::lit(region.stride)).ule(&last);
        off.ult(&Sym::lit(region.stride * region.count)).and(&in_part)
    }

    /// Accesses of the context go by its declaration.
    fn context_permits(&self, access: &Access) -> Option<Bool> {
        let declaration = self.program.program_type().declaration();
        let off = access.addr.sub(&Sym::lit(layout::CONTEXT));
        let permitted = match off.literal() {
            Some(off) => {
                let size = Size::ALL.into_iter().find(|size| len(*size) == access.size)?;
                let off = i64::try_from(off).ok()?;
                SFlag::lit(declaration.access(self.program.attach_type(), off, size, access.write).is_some())
            }
            // Not asked for: it would be another mistake.
            None => off.ult(&Sym::lit(declaration.context_len.into())),
        };
        Some(permitted.term().clone())
    }

    /// What makes an input plain, the plainest first.
    pub fn plainer(&self) -> Vec<Vec<Bool>> {
        let within = |most: u64| {
            let least = Sym::lit(HEADER).ule(&self.len);
            vec![least.and(&self.len.ule(&Sym::lit(most))).term().clone()]
        };
        let default = WorldConfig::default().clock_ns;
        let clock: Vec<Bool> = self.clock.iter().map(|clock| clock.same(&Sym::lit(default)).term().clone()).collect();
        let exact = |most: u64| within(most).into_iter().chain(clock.clone()).collect();
        vec![exact(HEADER), exact(SAMPLE_LEN as u64), within(SAMPLE_LEN as u64), within(1514)]
    }

    // ---- memory

    /// The bytes at `addr`, which the verifier found to be there.
    pub fn read(&mut self, addr: &Sym<64>, count: u64, base: Reg) -> Result<Vec<Sym<8>>, Fault> {
        if let Some(place) = addr.literal() {
            if self.is_frame(place) {
                return Ok((0..count).map(|k| self.stack_byte(place + k)).collect());
            }
            if let Some(off) = self.context_offset(place) {
                return self.read_context(off, count);
            }
        } else {
            self.no_stack(base)?;
        }
        Ok((0..count).map(|k| self.memory.byte(&at(addr, k))).collect())
    }

    fn write(&mut self, addr: &Sym<64>, count: u64, value: &Sym<64>, base: Reg) -> Result<(), Fault> {
        let place = addr.literal();
        if place.is_none() {
            self.no_stack(base)?;
        }
        let is_known = place.is_some_and(|place| self.is_frame(place) || self.context_offset(place).is_some());
        for (k, byte) in (0..).zip(bytes(value, count)) {
            match place {
                Some(place) if is_known => self.memory.set_known(place + k, byte),
                _ => self.memory.set_byte(&at(addr, k), &byte),
            }
        }
        Ok(())
    }

    /// A byte of the stack. The model's frames begin as zeros, a kernel's do not.
    fn stack_byte(&mut self, place: u64) -> Sym<8> {
        if let Some(byte) = self.memory.known(place) {
            return byte.clone();
        }
        self.restricted.get_or_insert("the stack begins as zeros");
        Sym::lit(0)
    }
    fn is_frame(&self, addr: u64) -> bool {
        let mut frames = self.regions.iter().filter(|region| matches!(region.object, Object::Frame(_)));
        frames.any(|frame| (frame.base..frame.end()).contains(&addr))
    }
    fn context_offset(&self, addr: u64) -> Option<u64> {
        addr.checked_sub(layout::CONTEXT).filter(|off| *off < self.context.len() as u64)
    }
    /// An address that varies must not lead into a frame.
    fn no_stack(&self, base: Reg) -> Result<(), Fault> {
        let frame = self.way.events[self.event].frame;
        let held = self.way.held_before(self.event, Place::Reg(frame, base));
        let is_stack = base == Reg::FP
            || held.is_none_or(|held| !matches!(held.kind, Kind::Packet | Kind::PacketMeta | Kind::MapValue));
        if is_stack { Err(Lack::VariableStack { insn: self.pc() }.into()) } else { Ok(()) }
    }

    fn read_context(&mut self, off: u64, count: u64) -> Result<Vec<Sym<8>>, Fault> {
        let lack = Lack::Context { insn: self.pc(), offset: off };
        let declaration = self.program.program_type().declaration();
        let size = Size::ALL.into_iter().find(|size| len(*size) == count);
        let attach = self.program.attach_type();
        let field = size.and_then(|size| declaration.access(attach, off as i64, size, false));
        let Some(field) = field else { return Err(lack.into()) };
        let element = u64::from(field.element.min(8));
        let start = u64::from(field.offset) + (off - u64::from(field.offset)) / element * element;
        if off + count > start + element {
            return Err(lack.into());
        }
        if self.memory.known(layout::CONTEXT + start).is_none() {
            let value = self.field(field, start).ok_or(lack)?;
            for (k, byte) in (0..).zip(bytes(&value, element)) {
                let place = layout::CONTEXT + start + k;
                // What the program wrote to some of its bytes stays.
                if self.memory.known(place).is_none() {
                    self.memory.set_known(place, byte);
                }
            }
        }
        self.origin = self.packet_origin(field.kind, start);
        let known = (0..count).map(|k| self.memory.known(layout::CONTEXT + off + k).cloned());
        known.collect::<Option<Vec<_>>>().ok_or(Fault::Lack(Lack::Context { insn: self.pc(), offset: off }))
    }

    /// What a field holds when the program is entered.
    fn field(&mut self, field: &ContextField, start: u64) -> Option<Sym<64>> {
        let element = u64::from(field.element.min(8));
        match field.kind {
            FieldKind::Scalar if field.is_settable() => {
                let name = if field.element < field.len {
                    format!("{}[{}]", field.name, (start - u64::from(field.offset)) / element)
                } else {
                    field.name.to_owned()
                };
                let value: Sym<64> = Sym::new(&format!("context_{name}"));
                if element < 8 {
                    let fits = value.ult(&Sym::lit(1 << (8 * element)));
                    self.holds(&fits);
                }
                self.fields.push((name, value.clone()));
                Some(value)
            }
            FieldKind::Packet | FieldKind::PacketMeta => {
                let start = self.packet_start(start);
                self.has_header(start > layout::PACKET);
                if field.kind == FieldKind::PacketMeta {
                    self.restricted.get_or_insert("packets come without metadata");
                }
                Some(Sym::lit(start))
            }
            FieldKind::PacketEnd => Some(Sym::lit(layout::PACKET).add(&self.len)),
            _ => None,
        }
    }
    /// Where it matters, packets are long enough for the header of a link layer.
    fn has_header(&mut self, matters: bool) {
        if matters {
            let long = Sym::lit(HEADER).ule(&self.len);
            self.holds(&long);
            self.restricted.get_or_insert("packets have the header of a link layer");
        }
    }
    /// The address in a field, as the context of the sample has it.
    fn packet_start(&self, start: u64) -> u64 {
        (0..4).fold(0, |value, k| value | u64::from(self.context[start as usize + k]) << (8 * k))
    }
    fn packet_origin(&self, kind: FieldKind, start: u64) -> Option<Origin> {
        matches!(kind, FieldKind::Packet | FieldKind::PacketMeta).then(|| {
            let base = self.packet_start(start);
            Origin { base: Sym::lit(base), len: self.len.sub(&Sym::lit(base - layout::PACKET)) }
        })
    }
}

/// The instruction over terms.
fn symbolic(insn: &Insn) -> Insn<Symbolic> {
    Insn {
        opcode: insn.opcode,
        dst: insn.dst,
        src: insn.src,
        off: Sym::lit(insn.off.into()),
        imm: Sym::lit(insn.imm.into()),
        imm_hi: Sym::lit(insn.imm_hi.into()),
    }
}

impl Machine<Symbolic> for Follower<'_> {
    type Fault = Fault;

    fn reg(&self, reg: Reg) -> &Sym<64> {
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: Sym<64>) {
        // What is known stays small, however it was computed.
        self.regs[reg.index()] = value.literal().map_or(value, Sym::lit);
    }
    fn load(&mut self, size: Size, addr: &Sym<64>) -> Result<Sym<64>, Fault> {
        if self.is_last() {
            return Err(Fault::Reached(addr.clone(), len(size)));
        }
        let insn = &self.program.insns()[self.pc()];
        let base = if matches!(insn.op(), Op::Atomic { .. }) { insn.dst } else { insn.src };
        Ok(number(&self.read(addr, len(size), base)?))
    }
    fn store(&mut self, size: Size, addr: &Sym<64>, value: &Sym<64>) -> Result<(), Fault> {
        if self.is_last() {
            return Err(Fault::Reached(addr.clone(), len(size)));
        }
        let base = self.program.insns()[self.pc()].dst;
        self.write(addr, len(size), value, base)
    }
    fn call_helper(&mut self, id: &Sym<32>) -> Result<SFlag, Fault> {
        let id = id.literal().expect("numbers of helpers are literals") as u32;
        if id == helper::tail_call::ID {
            // There are no other programs: it falls through.
            self.regs[0] = Sym::lit(0);
        } else {
            self.regs[0] = self.helper(id)?;
        }
        Ok(SFlag::lit(false))
    }
    fn call_kfunc(&mut self, _: &Sym<32>) -> Result<(), Fault> {
        Err(Lack::Kfunc { insn: self.pc() }.into())
    }
    fn load_packet(&mut self, size: Size, offset: &Sym<32>) -> Result<(Sym<64>, SFlag), Fault> {
        let lack = Fault::Lack(Lack::PacketLoad { insn: self.pc() });
        let offset = offset.literal().and_then(|offset| u64::try_from(offset as u32 as i32).ok()).ok_or(lack)?;
        let link_layer = matches!(self.program.program_type(), ProgramType::SchedCls | ProgramType::SchedAct);
        let start = offset + if link_layer { 0 } else { HEADER };
        self.has_header(!link_layer);
        let base = Sym::lit(layout::PACKET + start);
        let mut bytes: Vec<Sym<8>> = (0..len(size)).map(|k| self.memory.byte(&at(&base, k))).collect();
        bytes.reverse();
        Ok((number(&bytes), Sym::lit(start + len(size)).ule(&self.len)))
    }
    fn map_value(&self, map: &Sym<32>) -> Result<Sym<64>, Fault> {
        let region = map.literal().and_then(|map| self.values(map as usize));
        region.map(|region| Sym::lit(region.base)).ok_or_else(|| Lack::Address { insn: self.pc() }.into())
    }
    fn variable(&self, _: &Sym<32>) -> Result<Sym<64>, Fault> {
        Err(Lack::Address { insn: self.pc() }.into())
    }
    fn code(&self, distance: &Sym<32>) -> Result<Sym<64>, Fault> {
        let distance = distance.literal().unwrap_or(0) as u32 as i32;
        Ok(Sym::lit(layout::code_handle((self.pc() as u64 + 1).wrapping_add_signed(distance.into()))))
    }
}
