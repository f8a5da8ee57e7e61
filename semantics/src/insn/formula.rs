//! The meaning of an instruction as a formula: one line to read, `dst = src == 0 ? 0 : dst / src`.
//!
//! A [`Formula`] is made from the [`Op`] alone and printed as it is evaluated: [`Formula::eval`] runs it on any [`Machine`],
//! as [`exec`](super::exec) does. It is no second semantics that could drift: tests compare the two on every value of the
//! narrow worlds, and the proofs crate shows at 64 bits that they agree (`insn::*::meaning::formula_*`).
//!
//! To read one: steps happen in order. `low16(x)` are the low 16 bits, `zext16` and `sext16` extend 16 bits to 64 with zeros
//! or the sign, `sext8to32` to 32; `s/`, `s%`, `s>>`, `s<` are signed; `bswap32` turns four bytes around; `*(u32 *)(a)` are
//! the four little-endian bytes at `a`. `+`, `-`, `*` and `-x` wrap around.
//!
//! ```
//! use semantics::insn::{Opcode, formula::Formula};
//! assert_eq!(Formula::of(Opcode::Add32X.op()).to_string(), "dst = zext32(low32(dst) + low32(src))");
//! assert_eq!(Formula::of(Opcode::Div64X.op()).to_string(), "dst = src == 0 ? 0 : dst / src");
//! ```

use std::fmt::{self, Display, Formatter};

use super::{
    AluOp, AtomicOp, Cond, Flow, Insn, Machine, Mode, MulDivOp, Op, Order, Reg, ShiftOp, Size, Source, Wide, Width,
    wide,
};
use crate::word::{Algebra, Convert, Flag, Word};

/// A register of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The destination.
    Dst,
    /// The source.
    Src,
    /// R0, which some instructions imply.
    R0,
}

/// An operation on two words of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Sdiv,
    Smod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
}

/// What only the world knows, by a number of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The handle of a map.
    Map,
    /// The address of a map's first value.
    MapValue,
    /// The address of a kernel variable.
    Variable,
    /// The address of a subprogram.
    Code,
}

/// A word. Its width follows from its parts; both sides of an operation have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// 64 bits of a register.
    Reg(Operand),
    /// The offset, 16 bits.
    Off,
    /// The immediate, 32 bits.
    Imm,
    /// The immediate of the second slot, 32 bits.
    NextImm,
    /// What the step before read: `old` of this size.
    Old(Size),
    /// A constant of this size.
    Number(i64, Size),
    /// The width of this size less 1, of this size: 63 or 31.
    ShiftMask(Size),
    /// The width of an immediate, 64 bits: 32.
    ImmWidth,
    /// Extended to 64 bits with zeros.
    Zext(Size, Box<Expr>),
    /// Extended with the sign, from this size to that.
    Sext(Size, Size, Box<Expr>),
    /// The low bits.
    Low(Size, Box<Expr>),
    /// Two's complement negation.
    Neg(Box<Expr>),
    /// The bytes in opposite order.
    Swap(Size, Box<Expr>),
    /// An operation.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// A choice.
    Select(Box<Test>, Box<Expr>, Box<Expr>),
    /// What the world has under this number, 64 bits.
    World(World, Box<Expr>),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// A comparison of two words of one width.
    Compare(Cond, Expr, Expr),
    /// Whether the packet bytes that the step before read are there.
    Found,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `reg = value` of 64 bits.
    Set(Operand, Expr),
    /// `old = *(size *)(address)`.
    Load(Size, Expr),
    /// `*(size *)(address) = value` of that size.
    Store(Size, Expr, Expr),
    /// `old = packet bytes at this offset`, in network order, and whether they are there.
    Packet(Size, Expr),
    /// The helper with this number.
    Helper(Expr),
    /// The kernel function with this BTF number.
    Kfunc(Expr),
    /// To `pc + 1 + distance` where the condition holds; without one always.
    Goto(Option<Test>, Expr),
    /// Into the subprogram at `pc + 1 + distance`.
    Call(Expr),
    /// Out of the function unless the condition holds.
    ExitUnless(Test),
    /// Out of the function.
    Exit,
    /// Nothing executes this.
    Never,
}

/// The steps of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// In order.
    pub steps: Vec<Step>,
}

const DST: Expr = Expr::Reg(Operand::Dst);
const SRC: Expr = Expr::Reg(Operand::Src);

fn low(size: Size, of: Expr) -> Expr {
    match (size, of) {
        (Size::Dw, of) => of,
        (Size::W, Expr::Imm) => Expr::Imm,
        (size, of) => Expr::Low(size, Box::new(of)),
    }
}
fn zext(size: Size, of: Expr) -> Expr {
    if size == Size::Dw { of } else { Expr::Zext(size, Box::new(of)) }
}
fn sext(size: Size, of: Expr) -> Expr {
    if size == Size::Dw { of } else { Expr::Sext(size, Size::Dw, Box::new(of)) }
}
fn binary(op: Binary, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}
fn select(test: Test, yes: Expr, no: Expr) -> Expr {
    Expr::Select(Box::new(test), Box::new(yes), Box::new(no))
}
fn displaced(base: Expr) -> Expr {
    binary(Binary::Add, base, sext(Size::H, Expr::Off))
}
fn size_of(width: Width) -> Size {
    match width {
        Width::W32 => Size::W,
        Width::W64 => Size::Dw,
    }
}
/// The second operand at a width.
fn operand(width: Width, source: Source) -> Expr {
    match (width, source) {
        (Width::W64, Source::K) => sext(Size::W, Expr::Imm),
        (Width::W32, Source::K) => Expr::Imm,
        (width, Source::X) => low(size_of(width), SRC),
    }
}
/// `dst = f(dst at the width, second operand)`.
fn onto_dst(width: Width, value: impl FnOnce(Size, Expr) -> Expr) -> Vec<Step> {
    let size = size_of(width);
    vec![Step::Set(Operand::Dst, zext(size, value(size, low(size, DST))))]
}

impl Formula {
    /// The formula of this operation.
    pub fn of(op: Op) -> Formula {
        let steps = match op {
            Op::Alu { op, width, source } => onto_dst(width, |_, dst| binary(alu(op), dst, operand(width, source))),
            Op::Neg { width } => onto_dst(width, |_, dst| Expr::Neg(Box::new(dst))),
            Op::Shift { op, width, source } => onto_dst(width, |size, dst| {
                let amount = binary(Binary::And, operand(width, source), Expr::ShiftMask(size));
                binary(shift(op), dst, amount)
            }),
            Op::MulDiv { op, width, source } => {
                onto_dst(width, |size, dst| muldiv(op, size, &dst, &operand(width, source)))
            }
            Op::Mov { width, source } => onto_dst(width, |_, _| operand(width, source)),
            Op::MovSx { from, width } => onto_dst(width, |size, _| Expr::Sext(from, size, Box::new(low(from, SRC)))),
            Op::Endian { order, size } => {
                let bytes = low(size, DST);
                let value = if order == Order::Le { bytes } else { Expr::Swap(size, Box::new(bytes)) };
                vec![Step::Set(Operand::Dst, zext(size, value))]
            }
            Op::Wide(kind) => vec![Step::Set(Operand::Dst, wide_value(kind))],
            Op::WideTail => vec![Step::Never],
            Op::Load { size } | Op::LoadAcquire { size } => {
                vec![Step::Load(size, displaced(SRC)), Step::Set(Operand::Dst, zext(size, Expr::Old(size)))]
            }
            Op::LoadSx { size } => {
                vec![Step::Load(size, displaced(SRC)), Step::Set(Operand::Dst, sext(size, Expr::Old(size)))]
            }
            Op::Store { size, source } => {
                let value = match (size, source) {
                    (Size::Dw, Source::K) => sext(Size::W, Expr::Imm),
                    (size, Source::K) => low(size, Expr::Imm),
                    (size, Source::X) => low(size, SRC),
                };
                vec![Step::Store(size, displaced(DST), value)]
            }
            Op::StoreRelease { size } => vec![Step::Store(size, displaced(DST), low(size, SRC))],
            Op::Atomic { op, fetch, size } => atomic(op, fetch, size),
            Op::Packet { mode, size } => {
                let at = match mode {
                    Mode::Abs => Expr::Imm,
                    Mode::Ind => binary(Binary::Add, low(Size::W, SRC), Expr::Imm),
                };
                let value = select(Test::Found, zext(size, Expr::Old(size)), Expr::Number(0, Size::Dw));
                vec![Step::Packet(size, at), Step::Set(Operand::R0, value), Step::ExitUnless(Test::Found)]
            }
            Op::Jump { cond, width, source } => {
                let test = Test::Compare(cond, low(size_of(width), DST), operand(width, source));
                vec![Step::Goto(Some(test), sext(Size::H, Expr::Off))]
            }
            Op::Ja => vec![Step::Goto(None, sext(Size::H, Expr::Off))],
            Op::Gotol => vec![Step::Goto(None, sext(Size::W, Expr::Imm))],
            Op::CallHelper => vec![Step::Helper(Expr::Imm)],
            Op::CallLocal => vec![Step::Call(sext(Size::W, Expr::Imm))],
            Op::CallKfunc => vec![Step::Kfunc(Expr::Imm)],
            Op::Exit => vec![Step::Exit],
        };
        Formula { steps }
    }
    /// How many slots behind the next one a jump or a call of a subprogram leads, if this is one.
    pub fn distance(&self) -> Option<&Expr> {
        self.steps.iter().find_map(|step| match step {
            Step::Goto(_, distance) | Step::Call(distance) => Some(distance),
            _ => None,
        })
    }
}

fn alu(op: AluOp) -> Binary {
    match op {
        AluOp::Add => Binary::Add,
        AluOp::Sub => Binary::Sub,
        AluOp::And => Binary::And,
        AluOp::Or => Binary::Or,
        AluOp::Xor => Binary::Xor,
    }
}

fn shift(op: ShiftOp) -> Binary {
    match op {
        ShiftOp::Lsh => Binary::Shl,
        ShiftOp::Rsh => Binary::Shr,
        ShiftOp::Arsh => Binary::Sar,
    }
}

/// No operator is used where mathematics leaves it open: not by 0, and no quotient that does not fit.
fn muldiv(op: MulDivOp, size: Size, dst: &Expr, src: &Expr) -> Expr {
    let is = |number| Test::Compare(Cond::Eq, src.clone(), Expr::Number(number, size));
    let zero = Expr::Number(0, size);
    let quotient = |op| binary(op, dst.clone(), src.clone());
    match op {
        MulDivOp::Mul => quotient(Binary::Mul),
        MulDivOp::Div => select(is(0), zero, quotient(Binary::Div)),
        MulDivOp::Mod => select(is(0), dst.clone(), quotient(Binary::Mod)),
        MulDivOp::Sdiv => select(is(0), zero, select(is(-1), Expr::Neg(Box::new(dst.clone())), quotient(Binary::Sdiv))),
        MulDivOp::Smod => select(is(0), dst.clone(), select(is(-1), zero, quotient(Binary::Smod))),
    }
}

fn wide_value(kind: Wide) -> Expr {
    let world = |what| Expr::World(what, Box::new(Expr::Imm));
    let next = || zext(Size::W, Expr::NextImm);
    match kind {
        Wide::Imm64 => {
            let high = binary(Binary::Shl, next(), Expr::ImmWidth);
            binary(Binary::Or, high, zext(Size::W, Expr::Imm))
        }
        Wide::Map | Wide::MapIndex => world(World::Map),
        Wide::MapValue | Wide::MapIndexValue => binary(Binary::Add, world(World::MapValue), next()),
        Wide::Variable => world(World::Variable),
        Wide::Code => world(World::Code),
    }
}

fn atomic(op: AtomicOp, fetch: bool, size: Size) -> Vec<Step> {
    let (old, src) = (Expr::Old(size), low(size, SRC));
    let new = match op {
        AtomicOp::Add => binary(Binary::Add, old, src),
        AtomicOp::Or => binary(Binary::Or, old, src),
        AtomicOp::And => binary(Binary::And, old, src),
        AtomicOp::Xor => binary(Binary::Xor, old, src),
        AtomicOp::Xchg => src,
        AtomicOp::Cmpxchg => {
            let expected = low(size, Expr::Reg(Operand::R0));
            select(Test::Compare(Cond::Eq, old.clone(), expected), src, old)
        }
    };
    let receiver = if op == AtomicOp::Cmpxchg { Operand::R0 } else { Operand::Src };
    let fetched = fetch.then(|| Step::Set(receiver, zext(size, Expr::Old(size))));
    [Step::Load(size, displaced(DST)), Step::Store(size, displaced(DST), new)].into_iter().chain(fetched).collect()
}

/// A word of one of the four widths.
#[derive(Clone, Debug)]
enum Value<A: Algebra> {
    B(A::W8),
    H(A::W16),
    W(A::W32),
    Dw(A::W64),
}

/// The same of each width.
macro_rules! each {
    ($value:expr, $word:ident => $of:expr) => {
        match $value {
            Value::B($word) => Value::B($of),
            Value::H($word) => Value::H($of),
            Value::W($word) => Value::W($of),
            Value::Dw($word) => Value::Dw($of),
        }
    };
}

/// One operation on two words of a width; formulas are made so that no others meet.
macro_rules! both {
    ($pair:expr, ($left:ident, $right:ident) $(=> $wrap:ident)? ; $of:expr) => {
        match $pair {
            (Value::B($left), Value::B($right)) => both!(@wrap $($wrap)? B $of),
            (Value::H($left), Value::H($right)) => both!(@wrap $($wrap)? H $of),
            (Value::W($left), Value::W($right)) => both!(@wrap $($wrap)? W $of),
            (Value::Dw($left), Value::Dw($right)) => both!(@wrap $($wrap)? Dw $of),
            (left, right) => unreachable!("a formula joins two widths: {left:?} and {right:?}"),
        }
    };
    (@wrap Value $size:ident $of:expr) => { Value::$size($of) };
    (@wrap $size:ident $of:expr) => { $of };
}

impl<A: Algebra> Value<A> {
    /// A word of this size, from one of any width: extended with zeros or cut.
    fn sized(size: Size, value: &A::W64) -> Self {
        match size {
            Size::B => Value::B(value.zx()),
            Size::H => Value::H(value.zx()),
            Size::W => Value::W(value.zx()),
            Size::Dw => Value::Dw(value.clone()),
        }
    }
    fn zx(&self) -> A::W64 {
        match self {
            Value::B(word) => word.zx(),
            Value::H(word) => word.zx(),
            Value::W(word) => word.zx(),
            Value::Dw(word) => word.clone(),
        }
    }
    fn sx(&self) -> A::W64 {
        match self {
            Value::B(word) => word.sx(),
            Value::H(word) => word.sx(),
            Value::W(word) => word.sx(),
            Value::Dw(word) => word.clone(),
        }
    }
    fn word32(&self) -> A::W32 {
        self.zx().zx()
    }
}

/// One evaluation.
struct Eval<'a, A: Algebra, M> {
    insn: &'a Insn<A>,
    machine: &'a mut M,
    old: A::W64,
    found: A::Flag,
}

impl Formula {
    /// Runs the formula, as [`exec`](super::exec) runs the instruction.
    pub fn eval<A: Algebra, M: Machine<A>>(&self, insn: &Insn<A>, machine: &mut M) -> Result<Flow<A::Flag>, M::Fault> {
        let mut eval = Eval { insn, machine, old: A::W64::lit(0), found: A::Flag::lit(false) };
        let mut flow = Flow::Next;
        for step in &self.steps {
            if let Some(next) = eval.step(step)? {
                flow = next;
            }
        }
        Ok(flow)
    }
}

impl Expr {
    /// The value where no register, no memory and nothing of the world occurs, such as a distance; 64 bits.
    pub fn constant<A: Algebra>(&self, insn: &Insn<A>) -> Option<A::W64> {
        Some(match self {
            Expr::Off => insn.off.zx(),
            Expr::Imm => insn.imm.zx(),
            Expr::Sext(Size::H, Size::Dw, of) if **of == Expr::Off => insn.off.sx(),
            Expr::Sext(Size::W, Size::Dw, of) if **of == Expr::Imm => insn.imm.sx(),
            _ => return None,
        })
    }
}

impl<A: Algebra, M: Machine<A>> Eval<'_, A, M> {
    fn reg(&self, operand: Operand) -> Reg {
        match operand {
            Operand::Dst => self.insn.dst,
            Operand::Src => self.insn.src,
            Operand::R0 => Reg::R0,
        }
    }

    fn step(&mut self, step: &Step) -> Result<Option<Flow<A::Flag>>, M::Fault> {
        match step {
            Step::Set(operand, value) => {
                let value = self.expr(value)?.zx();
                self.machine.set_reg(self.reg(*operand), value);
            }
            Step::Load(size, addr) => {
                let addr = self.expr(addr)?.zx();
                self.old = self.machine.load(*size, &addr)?;
            }
            Step::Store(size, addr, value) => {
                let (addr, value) = (self.expr(addr)?.zx(), self.expr(value)?.zx());
                self.machine.store(*size, &addr, &value)?;
            }
            Step::Packet(size, offset) => {
                let offset = self.expr(offset)?.word32();
                (self.old, self.found) = self.machine.load_packet(*size, &offset)?;
            }
            Step::Helper(id) => {
                let id = self.expr(id)?.word32();
                return Ok(Some(Flow::Tail(self.machine.call_helper(&id)?)));
            }
            Step::Kfunc(id) => {
                let id = self.expr(id)?.word32();
                self.machine.call_kfunc(&id)?;
            }
            Step::Goto(None, _) => return Ok(Some(Flow::Branch(A::Flag::lit(true)))),
            Step::Goto(Some(test), _) => return Ok(Some(Flow::Branch(self.test(test)?))),
            Step::Call(_) => return Ok(Some(Flow::Call)),
            Step::ExitUnless(test) => return Ok(Some(Flow::Leave(self.test(test)?.not()))),
            Step::Exit | Step::Never => return Ok(Some(Flow::Exit)),
        }
        Ok(None)
    }

    fn expr(&self, expr: &Expr) -> Result<Value<A>, M::Fault> {
        Ok(match expr {
            Expr::Reg(operand) => Value::Dw(self.machine.reg(self.reg(*operand)).clone()),
            Expr::Off => Value::H(self.insn.off.clone()),
            Expr::Imm => Value::W(self.insn.imm.clone()),
            Expr::NextImm => Value::W(self.insn.imm_hi.clone()),
            Expr::Old(size) => Value::sized(*size, &self.old),
            Expr::ImmWidth => Value::Dw(A::W64::lit(u64::from(A::W32::BITS))),
            Expr::Number(number, size) => Value::sized(*size, &A::W64::lit(*number as u64)),
            Expr::ShiftMask(Size::W) => Value::W(A::W32::lit(u64::from(A::W32::BITS) - 1)),
            Expr::ShiftMask(_) => Value::Dw(A::W64::lit(u64::from(A::W64::BITS) - 1)),
            Expr::Zext(_, of) => Value::Dw(self.expr(of)?.zx()),
            Expr::Sext(_, to, of) => Value::sized(*to, &self.expr(of)?.sx()),
            Expr::Low(size, of) => Value::sized(*size, &self.expr(of)?.zx()),
            Expr::Neg(of) => each!(self.expr(of)?, word => word.neg()),
            Expr::Swap(_, of) => each!(self.expr(of)?, word => swapped::<A, _>(&word)),
            Expr::Binary(op, left, right) => {
                both!((self.expr(left)?, self.expr(right)?), (a, b) => Value; apply(*op, &a, &b))
            }
            Expr::Select(test, yes, no) => {
                let test = self.test(test)?;
                both!((self.expr(yes)?, self.expr(no)?), (a, b) => Value; Word::select(&test, &a, &b))
            }
            Expr::World(world, number) => {
                let number = self.expr(number)?.word32();
                Value::Dw(match world {
                    World::Map => wide::map_handle::<A>(&number),
                    World::MapValue => self.machine.map_value(&number)?,
                    World::Variable => self.machine.variable(&number)?,
                    World::Code => self.machine.code(&number)?,
                })
            }
        })
    }

    fn test(&self, test: &Test) -> Result<A::Flag, M::Fault> {
        Ok(match test {
            Test::Compare(cond, left, right) => {
                both!((self.expr(left)?, self.expr(right)?), (a, b); compare(*cond, &a, &b))
            }
            Test::Found => self.found.clone(),
        })
    }
}

/// The bytes in opposite order, one by one: not by the operation that `exec` uses.
fn swapped<A: Algebra, W: Word>(value: &W) -> W {
    let byte = A::W8::BITS;
    (0..W::BITS / byte).fold(W::lit(0), |all, k| {
        let one = value.lshr(&W::lit(u64::from(byte * k))).and(&W::lit((1 << byte) - 1));
        all.or(&one.shl(&W::lit(u64::from(W::BITS - byte * (k + 1)))))
    })
}

fn apply<W: Word>(op: Binary, a: &W, b: &W) -> W {
    match op {
        Binary::Add => a.add(b),
        Binary::Sub => a.sub(b),
        Binary::Mul => a.mul(b),
        Binary::Div => a.udiv(b),
        Binary::Mod => a.urem(b),
        Binary::Sdiv => a.sdiv(b),
        Binary::Smod => a.srem(b),
        Binary::And => a.and(b),
        Binary::Or => a.or(b),
        Binary::Xor => a.xor(b),
        Binary::Shl => a.shl(b),
        Binary::Shr => a.lshr(b),
        Binary::Sar => a.ashr(b),
    }
}

fn compare<W: Word>(cond: Cond, a: &W, b: &W) -> W::Flag {
    match cond {
        Cond::Eq => a.same(b),
        Cond::Ne => a.same(b).not(),
        Cond::Gt => b.ult(a),
        Cond::Ge => a.ult(b).not(),
        Cond::Lt => a.ult(b),
        Cond::Le => b.ult(a).not(),
        Cond::Sgt => b.slt(a),
        Cond::Sge => a.slt(b).not(),
        Cond::Slt => a.slt(b),
        Cond::Sle => b.slt(a).not(),
        Cond::Set => a.and(b).same(&W::lit(0)).not(),
    }
}

impl Binary {
    fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Mod => "%",
            Binary::Sdiv => "s/",
            Binary::Smod => "s%",
            Binary::And => "&",
            Binary::Or => "|",
            Binary::Xor => "^",
            Binary::Shl => "<<",
            Binary::Shr => ">>",
            Binary::Sar => "s>>",
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operand::Dst => "dst",
            Operand::Src => "src",
            Operand::R0 => "r0",
        })
    }
}

impl Expr {
    /// As an operand: in parentheses where it is an operation.
    fn inner(&self) -> impl Display + '_ {
        fmt::from_fn(move |f| match self {
            Expr::Binary(..) | Expr::Select(..) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        })
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Reg(operand) => write!(f, "{operand}"),
            Expr::Off => f.write_str("off"),
            Expr::Imm => f.write_str("imm"),
            Expr::NextImm => f.write_str("next_imm"),
            Expr::Old(_) => f.write_str("old"),
            Expr::Number(number, _) => write!(f, "{number}"),
            Expr::ImmWidth => f.write_str("32"),
            Expr::ShiftMask(size) => write!(f, "{}", size.bits() - 1),
            Expr::Zext(from, of) => write!(f, "zext{}({of})", from.bits()),
            Expr::Sext(from, Size::Dw, of) => write!(f, "sext{}({of})", from.bits()),
            Expr::Sext(from, to, of) => write!(f, "sext{}to{}({of})", from.bits(), to.bits()),
            Expr::Low(size, of) => write!(f, "low{}({of})", size.bits()),
            Expr::Neg(of) => write!(f, "-{}", of.inner()),
            Expr::Swap(size, of) => write!(f, "bswap{}({of})", size.bits()),
            Expr::Binary(op, left, right) => write!(f, "{} {} {}", left.inner(), op.symbol(), right.inner()),
            Expr::Select(test, yes, no) => {
                // A choice binds to the right.
                write!(f, "{test} ? {} : {no}", yes.inner())
            }
            Expr::World(World::Map, of) => write!(f, "map({of})"),
            Expr::World(World::MapValue, of) => write!(f, "map_value({of})"),
            Expr::World(World::Variable, of) => write!(f, "variable({of})"),
            Expr::World(World::Code, of) => write!(f, "code(pc + 1 + sext32({of}))"),
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Test::Compare(Cond::Set, left, right) => write!(f, "({} & {}) != 0", left.inner(), right.inner()),
            Test::Compare(cond, left, right) => write!(f, "{} {} {}", left.inner(), cond.symbol(), right.inner()),
            Test::Found => f.write_str("found"),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Set(operand, value) => write!(f, "{operand} = {value}"),
            Step::Load(size, addr) => write!(f, "old = *({} *)({addr})", size.type_name()),
            Step::Store(size, addr, value) => write!(f, "*({} *)({addr}) = {value}", size.type_name()),
            Step::Packet(size, at) => {
                write!(f, "old, found = ntoh(*({} *)(packet + {}))", size.type_name(), at.inner())
            }
            Step::Helper(id) => {
                write!(f, "r0 = helper({id})(r1, r2, r3, r4, r5); r1..r5 = open; if tail: pc = its first instruction")
            }
            Step::Kfunc(id) => write!(f, "r0 = kernel_function({id})(r1, r2, r3, r4, r5); r1..r5 = open"),
            Step::Goto(None, distance) => write!(f, "pc = pc + 1 + {distance}"),
            Step::Goto(Some(test), distance) => write!(f, "pc = {test} ? pc + 1 + {distance} : pc + 1"),
            Step::Call(distance) => write!(f, "push(pc + 1, r6..r9, r10); pc = pc + 1 + {distance}"),
            Step::ExitUnless(test) => write!(f, "if not {test}: return r0"),
            Step::Exit => f.write_str("return r0"),
            Step::Never => f.write_str("never executed"),
        }
    }
}

impl Display for Formula {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A value read only once is written where it is used.
        if let [Step::Load(size, addr), Step::Set(to, value)] = &self.steps[..] {
            let read = format!("*({} *)({addr})", size.type_name());
            return write!(f, "{to} = {}", value.to_string().replace("old", &read));
        }
        for (at, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
