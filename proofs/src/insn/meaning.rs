//! Laws of the semantics itself, of no verifier and no JIT: what every instruction leaves alone, that its formula is its
//! meaning, and what instructions say together.
//!
//! The state before is any; each claim is about [`exec`](semantics::insn::exec) run on it, once or several times.

use super::machine::Bpf;
use crate::obligation::Obligation;
use crate::theory::{Context, Memory, Statement, Theory};
use semantics::insn::formula::Formula;
use semantics::insn::table::TABLE;
use semantics::insn::{self, AtomicOp, Field, Flow, Insn, MulDivOp, Op, Opcode, Reg, Room, Row, Size, Source, Width};
use semantics::word::{Algebra, Flag, Word};

/// The obligations about rows, then the laws.
pub fn obligations() -> Vec<Obligation> {
    let of = |name: String, room: Room, statement: Claim| {
        Obligation::semantics(format!("insn::{}::meaning::{name}", room.name()), Some(room), statement)
    };
    let rows = TABLE.iter().filter(|row| row.op != Op::WideTail).flat_map(move |row| {
        let path = row.path();
        let halves = is_alu32(row.op).then(|| (format!("zero_extends_{path}"), Kind::ZeroExtends));
        let always = [(format!("formula_{path}"), Kind::Formula), (format!("frame_{path}"), Kind::Frame)];
        let kinds = always.into_iter().chain(halves);
        kinds.map(move |(name, kind)| of(name, row.op.room(), Claim { row, kind })).collect::<Vec<_>>()
    });
    let laws = LAWS.iter().map(move |law| {
        let row = law.opcode.row();
        of(format!("{}_{}", law.name, row.path()), row.op.room(), Claim { row, kind: Kind::Law(law.kind) })
    });
    rows.chain(laws).collect()
}

/// Arithmetic of 32 bits.
fn is_alu32(op: Op) -> bool {
    matches!(
        op,
        Op::Alu { width: Width::W32, .. }
            | Op::Neg { width: Width::W32 }
            | Op::Shift { width: Width::W32, .. }
            | Op::MulDiv { width: Width::W32, .. }
            | Op::Mov { width: Width::W32, .. }
            | Op::MovSx { width: Width::W32, .. }
            | Op::Endian { size: Size::W, .. }
    )
}

/// A law, of the instruction that it begins with.
struct Law {
    name: &'static str,
    opcode: Opcode,
    kind: LawKind,
}

/// What a law says. `x` is the destination before, `y` the source.
#[derive(Clone, Copy)]
enum LawKind {
    /// Twice is what this does once.
    TwiceIs(Opcode),
    /// Twice is as before.
    Involution,
    /// Of its own result it is that result.
    Idempotent,
    /// Does what this does.
    Is(Opcode),
    /// And then this, with the same source: as before.
    UndoneBy(Opcode),
    /// A shift by more than the width is one by the amount modulo the width.
    ModuloWidth,
    /// By 0 the result is this: 0, or `x`.
    ByZero(Gives),
    /// By 1 the result is `x`; a remainder is 0.
    ByOne,
    /// The least number by -1.
    Overflow,
    /// Taken exactly where this is not.
    Complement(Opcode),
    /// Taken exactly where this is with its operands exchanged.
    Exchanged(Opcode),
    /// Compares and exchanges.
    Exchange,
    /// Of the old value and the new one: memory then holds the second, the source the first.
    Fetch,
    /// What was stored at a place is loaded there, extended as the load does it.
    LoadedBy(Opcode),
    /// Other bytes stay.
    Elsewhere,
    /// Both halves of the constant.
    Halves,
}

/// What a quotient or a remainder by 0 is.
#[derive(Clone, Copy)]
enum Gives {
    Zero,
    Dividend,
}

macro_rules! laws {
    ($($name:ident $opcode:ident $kind:expr;)*) => {
        &[$(Law { name: stringify!($name), opcode: Opcode::$opcode, kind: $kind }),*]
    };
}

use Gives::{Dividend, Zero};
use LawKind::{
    ByOne, ByZero, Complement, Elsewhere, Exchange, Exchanged, Fetch, Halves, Idempotent, Involution, Is, LoadedBy,
    ModuloWidth, Overflow, TwiceIs, UndoneBy,
};

static LAWS: &[Law] = laws! {
    undone_by_sub Add64X UndoneBy(Opcode::Sub64X);
    undone_by_add Sub64X UndoneBy(Opcode::Add64X);
    undone_by_itself Xor64X UndoneBy(Opcode::Xor64X);
    undone_by_sub Add64K UndoneBy(Opcode::Sub64K);
    undone_by_itself Xor64K UndoneBy(Opcode::Xor64K);
    involution Neg64 Involution;
    twice_is_zext Neg32 TwiceIs(Opcode::Le32);
    twice_is_once And64X TwiceIs(Opcode::And64X);
    twice_is_once Or64X TwiceIs(Opcode::Or64X);
    twice_is_once And32X TwiceIs(Opcode::And32X);
    twice_is_once Or32X TwiceIs(Opcode::Or32X);
    modulo_width Lsh64K ModuloWidth;
    modulo_width Rsh64K ModuloWidth;
    modulo_width Arsh64K ModuloWidth;
    modulo_width Lsh32K ModuloWidth;
    modulo_width Rsh32K ModuloWidth;
    modulo_width Arsh32K ModuloWidth;
    modulo_width Lsh64X ModuloWidth;
    modulo_width Rsh64X ModuloWidth;
    modulo_width Arsh64X ModuloWidth;
    modulo_width Lsh32X ModuloWidth;
    modulo_width Rsh32X ModuloWidth;
    modulo_width Arsh32X ModuloWidth;
    by_zero Div64X ByZero(Zero);
    by_zero Div32X ByZero(Zero);
    by_zero Sdiv64X ByZero(Zero);
    by_zero Sdiv32X ByZero(Zero);
    by_zero Mod64X ByZero(Dividend);
    by_zero Mod32X ByZero(Dividend);
    by_zero Smod64X ByZero(Dividend);
    by_zero Smod32X ByZero(Dividend);
    by_one Mul64X ByOne;
    by_one Div64X ByOne;
    by_one Div32X ByOne;
    by_one Sdiv64X ByOne;
    by_one Sdiv32X ByOne;
    by_one Mod64X ByOne;
    by_one Mod32X ByOne;
    by_one Smod64X ByOne;
    by_one Smod32X ByOne;
    overflow Sdiv64X Overflow;
    overflow Sdiv32X Overflow;
    overflow Smod64X Overflow;
    overflow Smod32X Overflow;
    idempotent Movsx8To32 Idempotent;
    idempotent Movsx16To32 Idempotent;
    idempotent Movsx8To64 Idempotent;
    idempotent Movsx16To64 Idempotent;
    idempotent Movsx32To64 Idempotent;
    idempotent Mov32X Idempotent;
    involution Be64 Involution;
    involution Bswap64 Involution;
    twice_is_zext Be16 TwiceIs(Opcode::Le16);
    twice_is_zext Be32 TwiceIs(Opcode::Le32);
    twice_is_zext Bswap16 TwiceIs(Opcode::Le16);
    twice_is_zext Bswap32 TwiceIs(Opcode::Le32);
    is_bswap Be16 Is(Opcode::Bswap16);
    is_bswap Be32 Is(Opcode::Bswap32);
    is_bswap Be64 Is(Opcode::Bswap64);
    twice_is_once Le16 TwiceIs(Opcode::Le16);
    twice_is_once Le32 TwiceIs(Opcode::Le32);
    involution Le64 Involution;
    complement Jeq64X Complement(Opcode::Jne64X);
    complement Jgt64X Complement(Opcode::Jle64X);
    complement Jge64X Complement(Opcode::Jlt64X);
    complement Jsgt64X Complement(Opcode::Jsle64X);
    complement Jsge64X Complement(Opcode::Jslt64X);
    complement Jeq32X Complement(Opcode::Jne32X);
    complement Jgt32X Complement(Opcode::Jle32X);
    complement Jge32X Complement(Opcode::Jlt32X);
    complement Jsgt32X Complement(Opcode::Jsle32X);
    complement Jsge32X Complement(Opcode::Jslt32X);
    complement Jeq64K Complement(Opcode::Jne64K);
    complement Jgt64K Complement(Opcode::Jle64K);
    complement Jge64K Complement(Opcode::Jlt64K);
    complement Jsgt64K Complement(Opcode::Jsle64K);
    complement Jsge64K Complement(Opcode::Jslt64K);
    complement Jeq32K Complement(Opcode::Jne32K);
    complement Jgt32K Complement(Opcode::Jle32K);
    complement Jge32K Complement(Opcode::Jlt32K);
    complement Jsgt32K Complement(Opcode::Jsle32K);
    complement Jsge32K Complement(Opcode::Jslt32K);
    exchanged Jgt64X Exchanged(Opcode::Jlt64X);
    exchanged Jge64X Exchanged(Opcode::Jle64X);
    exchanged Jsgt64X Exchanged(Opcode::Jslt64X);
    exchanged Jsge64X Exchanged(Opcode::Jsle64X);
    exchanged Jset64X Exchanged(Opcode::Jset64X);
    exchanged Jgt32X Exchanged(Opcode::Jlt32X);
    exchanged Jsgt32X Exchanged(Opcode::Jslt32X);
    exchange AtomicCmpxchg32 Exchange;
    exchange AtomicCmpxchg64 Exchange;
    fetch AtomicFetchAdd32 Fetch;
    fetch AtomicFetchOr32 Fetch;
    fetch AtomicFetchAnd32 Fetch;
    fetch AtomicFetchXor32 Fetch;
    fetch AtomicXchg32 Fetch;
    fetch AtomicFetchAdd64 Fetch;
    fetch AtomicFetchOr64 Fetch;
    fetch AtomicFetchAnd64 Fetch;
    fetch AtomicFetchXor64 Fetch;
    fetch AtomicXchg64 Fetch;
    loaded_by_ldx StxB LoadedBy(Opcode::LdxB);
    loaded_by_ldx StxH LoadedBy(Opcode::LdxH);
    loaded_by_ldx StxW LoadedBy(Opcode::LdxW);
    loaded_by_ldx StxDw LoadedBy(Opcode::LdxDw);
    loaded_by_ldxs StxB LoadedBy(Opcode::LdxsB);
    loaded_by_ldxs StxH LoadedBy(Opcode::LdxsH);
    loaded_by_ldxs StxW LoadedBy(Opcode::LdxsW);
    loaded_by_acquire StoreReleaseB LoadedBy(Opcode::LoadAcquireB);
    loaded_by_acquire StoreReleaseH LoadedBy(Opcode::LoadAcquireH);
    loaded_by_acquire StoreReleaseW LoadedBy(Opcode::LoadAcquireW);
    loaded_by_acquire StoreReleaseDw LoadedBy(Opcode::LoadAcquireDw);
    elsewhere StxB Elsewhere;
    elsewhere StxH Elsewhere;
    elsewhere StxW Elsewhere;
    elsewhere StB Elsewhere;
    elsewhere AtomicCmpxchg64 Elsewhere;
    halves Lddw Halves;
};

/// A claim about a row.
struct Claim {
    row: &'static Row,
    kind: Kind,
}

enum Kind {
    /// The formula that is printed does the same.
    Formula,
    /// What the table says is not written stays; memory too, where nothing is stored.
    Frame,
    /// The upper half of the destination is 0.
    ZeroExtends,
    /// One of the laws.
    Law(LawKind),
}

/// The operands of every law and the registers that are any.
const DST: Reg = Reg::R1;
const SRC: Reg = Reg::R2;

impl Statement for Claim {
    /// Formulas are compared on the choices of registers that matter: different, the same, R0 as one or as both.
    fn cases(&self) -> usize {
        if matches!(self.kind, Kind::Formula | Kind::Frame) { choices(self.row).len() } else { 1 }
    }
    fn case_name(&self, case: usize) -> String {
        let (dst, src) = choices(self.row)[case];
        format!("{} dst {dst} src {src}", self.row.name)
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (dst, src) = choices(self.row)[case];
        let insn = Insn { dst, src, ..any_operands(self.row, cx) };
        let calls = matches!(self.row.op, Op::CallHelper | Op::CallKfunc);
        let before: Bpf<A> = Bpf::any(cx, None, None, calls);
        match self.kind {
            Kind::Formula => formula(self.row.op, &insn, before, cx),
            Kind::Frame => frame(self.row.op, &insn, &before, cx),
            Kind::ZeroExtends => {
                let after = run(&insn, &before);
                let half = A::W64::lit(u64::from(A::W32::BITS));
                cx.claim("the upper half", value(&after, insn.dst).lshr(&half).is_zero());
            }
            Kind::Law(kind) => law(kind, self.row, &insn, &before, cx),
        }
    }
}

fn choices(row: &Row) -> &'static [(Reg, Reg)] {
    const ALL: [(Reg, Reg); 5] = [(DST, SRC), (DST, DST), (Reg::R0, SRC), (DST, Reg::R0), (Reg::R0, Reg::R0)];
    match (row.fields.dst, row.fields.src) {
        (Field::Any, Field::Any) => &ALL,
        (Field::Any, _) => &[(DST, Reg::R0), (Reg::R0, Reg::R0)],
        (_, Field::Any) => &[(Reg::R0, SRC), (Reg::R0, Reg::R0)],
        _ => &[(Reg::R0, Reg::R0)],
    }
}

/// Any immediate and offset, where the encoding leaves them open.
fn any_operands<A: Theory>(row: &Row, cx: &mut Context<'_, A>) -> Insn<A> {
    let zero: Insn<A> = Insn::new(row.opcode);
    Insn {
        off: if row.fields.off == Field::Any { cx.word("off") } else { zero.off.clone() },
        imm: if row.fields.imm == Field::Any { cx.word("imm") } else { zero.imm.clone() },
        imm_hi: if matches!(row.op, Op::Wide(_)) { cx.word("imm_hi") } else { zero.imm_hi.clone() },
        ..zero
    }
}

/// The state after.
fn run<A: Theory>(insn: &Insn<A>, before: &Bpf<A>) -> Bpf<A> {
    run_flow(insn, before).0
}

fn run_flow<A: Theory>(insn: &Insn<A>, before: &Bpf<A>) -> (Bpf<A>, Flow<A::Flag>) {
    let mut state = before.clone();
    let Ok(flow) = insn::exec(insn, &mut state);
    (state, flow)
}

fn value<A: Theory>(state: &Bpf<A>, reg: Reg) -> &A::W64 {
    &state.regs[reg.index()]
}

fn same_flow<F: Flag>(left: &Flow<F>, right: &Flow<F>) -> F {
    match (left, right) {
        (Flow::Next, Flow::Next) | (Flow::Exit, Flow::Exit) | (Flow::Call, Flow::Call) => F::lit(true),
        (Flow::Branch(left), Flow::Branch(right))
        | (Flow::Leave(left), Flow::Leave(right))
        | (Flow::Tail(left), Flow::Tail(right)) => left.iff(right),
        _ => F::lit(false),
    }
}

fn formula<A: Theory>(op: Op, insn: &Insn<A>, before: Bpf<A>, cx: &mut Context<'_, A>) {
    if let Op::MulDiv { width, source, .. } = op {
        // Each case of the formula is proven by itself: together they would be a question about dividers.
        let divisor = match (width, source) {
            (_, Source::K) => A::sext(&insn.imm),
            (Width::W64, Source::X) => value(&before, insn.src).clone(),
            (Width::W32, Source::X) => A::sext(&A::low(value(&before, insn.src))),
        };
        let _ = divisor.is_zero().decide() || divisor.same(&A::W64::ones()).decide();
    }
    let (expected, flow) = run_flow(insn, &before);
    let mut actual = before;
    let Ok(actual_flow) = Formula::of(op).eval(insn, &mut actual);
    cx.claim("control", same_flow(&flow, &actual_flow));
    for reg in Reg::ALL {
        cx.claim(format!("{reg}"), value(&actual, reg).same(value(&expected, reg)));
    }
    cx.claim("memory", actual.memory.same(&expected.memory));
    cx.claim("accesses", actual.memory.same_accesses(&expected.memory));
}

fn frame<A: Theory>(op: Op, insn: &Insn<A>, before: &Bpf<A>, cx: &mut Context<'_, A>) {
    let after = run(insn, before);
    let calls = matches!(op, Op::CallHelper | Op::CallKfunc);
    let to_r0 = calls || matches!(op, Op::Packet { .. } | Op::Atomic { op: AtomicOp::Cmpxchg, .. });
    let is_written = |reg: Reg| {
        (op.writes_dst() && reg == insn.dst)
            || (op.writes_src() && reg == insn.src)
            || (to_r0 && reg == Reg::R0)
            || (calls && Reg::ARGS.contains(&reg))
    };
    for reg in Reg::ALL.into_iter().filter(|reg| !is_written(*reg)) {
        cx.claim(format!("{reg} stays"), value(&after, reg).same(value(before, reg)));
    }
    if !calls && !matches!(op, Op::Store { .. } | Op::Atomic { .. } | Op::StoreRelease { .. }) {
        cx.claim("memory stays", after.memory.same(&before.memory));
    }
    // Registers that the table does not call read have no influence, on the result nor on where memory is accessed.
    let reads_r0 = matches!(op, Op::Exit | Op::Atomic { op: AtomicOp::Cmpxchg, .. });
    for (reg, read) in [(insn.dst, op.reads_dst()), (insn.src, op.reads_src())] {
        let otherwise = (reg == insn.dst && op.reads_dst()) || (reg == insn.src && op.reads_src());
        if read || otherwise || (reads_r0 && reg == Reg::R0) || (calls && Reg::ARGS.contains(&reg)) {
            continue;
        }
        let mut changed = before.clone();
        changed.regs[reg.index()] = before.regs[reg.index()].not();
        let (other, other_flow) = run_flow(insn, &changed);
        let flow = run_flow(insn, before).1;
        cx.claim(format!("{reg} is not read: control"), same_flow(&flow, &other_flow));
        cx.claim(format!("{reg} is not read: memory"), other.memory.same_accesses(&after.memory));
        for result in Reg::ALL.into_iter().filter(|result| *result != reg || is_written(reg)) {
            let same = value(&other, result).same(value(&after, result));
            cx.claim(format!("{reg} is not read: {result}"), same);
        }
    }
}

/// The same registers and constants, another operation.
fn with<A: Algebra>(insn: &Insn<A>, opcode: Opcode) -> Insn<A> {
    Insn { opcode, ..insn.clone() }
}

fn law<A: Theory>(kind: LawKind, row: &Row, insn: &Insn<A>, before: &Bpf<A>, cx: &mut Context<'_, A>) {
    let after = run(insn, before);
    let of = |state: &Bpf<A>| value(state, insn.dst).clone();
    let (x, y) = (of(before), value(before, insn.src).clone());
    match kind {
        TwiceIs(opcode) => {
            let once = run(&with(insn, opcode), before);
            cx.claim("twice", of(&run(insn, &after)).same(&of(&once)));
        }
        Idempotent => {
            let again = Insn { src: insn.dst, ..insn.clone() };
            cx.claim("again", of(&run(&again, &after)).same(&of(&after)));
        }
        Involution => cx.claim("twice", of(&run(insn, &after)).same(&x)),
        Is(opcode) => cx.claim("the result", of(&after).same(&of(&run(&with(insn, opcode), before)))),
        UndoneBy(opcode) => cx.claim("undone", of(&run(&with(insn, opcode), &after)).same(&x)),
        ModuloWidth => modulo_width(row, insn, before, cx),
        ByZero(_) | ByOne | Overflow => division(kind, row, &x, &y, &of(&after), cx),
        Complement(opcode) | Exchanged(opcode) => {
            let mut other = before.clone();
            if matches!(kind, Exchanged(_)) {
                other.regs.swap(insn.dst.index(), insn.src.index());
            }
            let flows = (run_flow(insn, before).1, run_flow(&with(insn, opcode), &other).1);
            let (Flow::Branch(taken), Flow::Branch(other)) = flows else {
                return cx.claim("jumps", A::Flag::lit(false));
            };
            cx.claim("taken", if matches!(kind, Complement(_)) { taken.xor(&other) } else { taken.iff(&other) });
        }
        Exchange | Fetch => exchange(row, insn, before, cx),
        LoadedBy(opcode) => {
            let back = Insn { dst: Reg::R3, src: DST, ..with(insn, opcode) };
            let (loaded, low) = (run(&back, &after), extended::<A>(opcode.op(), &y));
            cx.claim("loaded", value(&loaded, Reg::R3).same(&low));
        }
        Elsewhere => {
            // A distance rather than a place: common addends cancel, and no solver has to find that out.
            let size = A::W64::lit(u64::from(access(row.op).bytes()));
            let distance: A::W64 = cx.word_where("distance", |distance: &A::W64| distance.ult(&size).not());
            let place = x.add(&insn.displacement()).add(&distance);
            let (mut then, mut now) = (before.memory.clone(), after.memory.clone());
            cx.claim("the byte", now.load(Size::B, &place).same(&then.load(Size::B, &place)));
        }
        Halves => {
            let half = A::W64::lit(u64::from(A::W32::BITS));
            let result = of(&after);
            cx.claim("the low half", A::low(&result).same(&insn.imm));
            cx.claim("the high half", A::low(&result.lshr(&half)).same(&insn.imm_hi));
        }
    }
}

/// How many bytes it accesses.
fn access(op: Op) -> Size {
    match op {
        Op::Load { size }
        | Op::LoadSx { size }
        | Op::Store { size, .. }
        | Op::Atomic { size, .. }
        | Op::LoadAcquire { size }
        | Op::StoreRelease { size } => size,
        other => unreachable!("{other:?} accesses no memory"),
    }
}

/// What a load gives back of a value: by shifts, not as the instructions do it.
fn extended<A: Theory>(op: Op, value: &A::W64) -> A::W64 {
    let unused = A::W64::lit(u64::from(A::W64::BITS - access(op).bytes() * A::W8::BITS));
    let high = value.shl(&unused);
    if matches!(op, Op::LoadSx { .. }) { high.ashr(&unused) } else { high.lshr(&unused) }
}

fn modulo_width<A: Theory>(row: &Row, insn: &Insn<A>, before: &Bpf<A>, cx: &mut Context<'_, A>) {
    let Op::Shift { width, .. } = row.op else { unreachable!("{:?} is no shift", row.op) };
    let bits = u64::from(if width == Width::W64 { A::W64::BITS } else { A::W32::BITS });
    let after = run(insn, before);
    let (mut less, mut state) = (insn.clone(), before.clone());
    less.imm = less.imm.and(&A::W32::lit(bits - 1));
    if row.op.reads_src() {
        state.regs[insn.src.index()] = value(before, insn.src).and(&A::W64::lit(bits - 1));
    }
    cx.claim("the result", value(&run(&less, &state), insn.dst).same(value(&after, insn.dst)));
}

/// Laws of quotients and remainders; operands of 32 bits are compared as such. That quotient and remainder belong together
/// is beyond bit-vector solvers at these widths; `semantics/tests/division.rs` shows it for all values of 8 bits.
fn division<A: Theory>(kind: LawKind, row: &Row, x: &A::W64, y: &A::W64, result: &A::W64, cx: &mut Context<'_, A>) {
    let Op::MulDiv { op, width, .. } = row.op else { unreachable!("{:?} divides nothing", row.op) };
    match width {
        Width::W64 => division_at::<A, A::W64>(kind, op, x, y, result, cx),
        Width::W32 => division_at::<A, A::W32>(kind, op, &A::low(x), &A::low(y), &A::low(result), cx),
    }
}

fn division_at<A: Theory, W: Word<Flag = A::Flag>>(
    kind: LawKind,
    op: MulDivOp,
    x: &W,
    y: &W,
    result: &W,
    cx: &mut Context<'_, A>,
) {
    let remainder = matches!(op, MulDivOp::Mod | MulDivOp::Smod);
    let zero = W::lit(0);
    match kind {
        ByZero(of) => {
            let expected = if matches!(of, Zero) { &zero } else { x };
            cx.claim("by 0", y.is_zero().implies(&result.same(expected)));
        }
        ByOne => {
            let expected = if remainder { &zero } else { x };
            cx.claim("by 1", y.same(&W::lit(1)).implies(&result.same(expected)));
        }
        Overflow => {
            let overflows = x.same(&W::signed_min()).and(&y.same(&W::ones()));
            let expected = if remainder { &zero } else { x };
            cx.claim("the least number by -1", overflows.implies(&result.same(expected)));
        }
        _ => unreachable!("a law of another room"),
    }
}

/// What an atomic operation with fetch leaves in memory and in the register that receives the old value.
fn exchange<A: Theory>(row: &Row, insn: &Insn<A>, before: &Bpf<A>, cx: &mut Context<'_, A>) {
    let Op::Atomic { op, size, .. } = row.op else { unreachable!("{:?} is not atomic", row.op) };
    let addr = value(before, insn.dst).add(&insn.displacement());
    let low = |word: &A::W64| if size == Size::Dw { word.clone() } else { A::zext(&A::low(word)) };
    let (mut then, after) = (before.memory.clone(), run(insn, before));
    let mut now = after.memory.clone();
    let (old, new) = (then.load(size, &addr), now.load(size, &addr));
    let (src, r0) = (low(value(before, insn.src)), low(value(before, Reg::R0)));
    let receiver = if op == AtomicOp::Cmpxchg { Reg::R0 } else { insn.src };
    cx.claim("the old value is fetched", value(&after, receiver).same(&old));
    let expected = match op {
        AtomicOp::Add => low(&old.add(&src)),
        AtomicOp::Or => old.or(&src),
        AtomicOp::And => old.and(&src),
        AtomicOp::Xor => old.xor(&src),
        AtomicOp::Xchg => src,
        AtomicOp::Cmpxchg => {
            let equal = old.same(&r0);
            cx.claim("success", equal.implies(&new.same(&src)));
            cx.claim("failure", equal.or(&now.same(&then)));
            return;
        }
    };
    cx.claim("memory holds the new value", new.same(&expected));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obligation::Outcome;

    /// Claims that are false: each is refuted, with values that fail on the running code.
    #[test]
    fn false_laws_are_refuted() {
        let law = |opcode: Opcode, kind| Claim { row: opcode.row(), kind: Kind::Law(kind) };
        let wrong = [
            ("add64 twice", law(Opcode::Add64X, Involution)),
            ("be16 is le16", law(Opcode::Be16, Is(Opcode::Le16))),
            ("jgt is the complement of jlt", law(Opcode::Jgt64X, Complement(Opcode::Jlt64X))),
            ("mod by 0 is 0", law(Opcode::Mod32X, ByZero(Zero))),
            ("movsx is mov", law(Opcode::Movsx8To64, Is(Opcode::Mov64X))),
            ("add64 zero-extends", Claim { row: Opcode::Add64X.row(), kind: Kind::ZeroExtends }),
        ];
        for (name, claim) in wrong {
            let obligation = Obligation::semantics(name, None, claim);
            let Outcome::Refuted(counterexample) = obligation.prove(None) else { panic!("{name} was not refuted") };
            assert!(obligation.replay(&counterexample, None), "{name}: {counterexample}");
        }
    }

    #[test]
    fn every_row_has_its_formula_proven() {
        let names: Vec<String> = obligations().into_iter().map(|obligation| obligation.name).collect();
        for row in TABLE.iter().filter(|row| row.op != Op::WideTail) {
            for kind in ["formula", "frame"] {
                let name = format!("insn::{}::meaning::{kind}_{}", row.op.room().name(), row.path());
                assert!(names.contains(&name), "{name}");
            }
        }
        let halves = names.iter().filter(|name| name.contains("zero_extends")).count();
        assert_eq!(halves, TABLE.iter().filter(|row| is_alu32(row.op)).count());
    }
}
