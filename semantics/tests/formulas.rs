//! The formulas that `touchstone isa` prints say what `exec` does: compared on every value of narrow worlds, and on
//! boundary and random values at full width, registers, memory, accesses and control.

use std::cell::RefCell;
use std::fmt::Debug;

use semantics::insn::formula::{Binary, Expr, Formula, Operand, Step};
use semantics::insn::table::TABLE;
use semantics::insn::{self, Field, Flow, Insn, Machine, Op, Opcode, Reg, Row, Size, Wide};
use semantics::word::narrow::{Eighth, Narrow, Sixteenth};
use semantics::word::{Algebra, Concrete, Convert, Word};

/// A world of numbers.
trait Numbers: Algebra<Flag = bool> {
    fn number(word: &Self::W64) -> u64;
}

impl Numbers for Concrete {
    fn number(word: &u64) -> u64 {
        *word
    }
}
impl Numbers for Eighth {
    fn number(word: &Narrow<8>) -> u64 {
        u64::from(word.get())
    }
}
impl Numbers for Sixteenth {
    fn number(word: &Narrow<4>) -> u64 {
        u64::from(word.get())
    }
}

/// What was asked of memory and of the world, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Load(Size, u64),
    Store(Size, u64, u64),
    Packet(Size, u64),
    Helper(u64),
    Kfunc(u64),
    MapValue(u64),
    Variable(u64),
    Code(u64),
}

/// A state that answers every question with `answer`, cut to what was asked for, and remembers the questions.
#[derive(Clone, Debug)]
struct State<A: Algebra> {
    regs: [A::W64; 3],
    answer: u64,
    asked: RefCell<Vec<Asked>>,
}

impl<A: Numbers> State<A> {
    fn ask(&self, asked: Asked) -> A::W64 {
        self.asked.borrow_mut().push(asked);
        A::W64::lit(self.answer)
    }
    /// The low `size` bytes.
    fn cut(size: Size, value: &A::W64) -> A::W64 {
        match size {
            Size::B => Convert::<A::W8>::zx(value).zx(),
            Size::H => Convert::<A::W16>::zx(value).zx(),
            Size::W => A::low(value).zx(),
            Size::Dw => value.clone(),
        }
    }
    fn wide(value: &A::W32) -> u64 {
        A::number(&A::zext(value))
    }
    fn seen(&self, flow: Flow<bool>) -> (Vec<u64>, Vec<Asked>, Flow<bool>) {
        (self.regs.iter().map(A::number).collect(), self.asked.borrow().clone(), flow)
    }
}

impl<A: Numbers> Machine<A> for State<A> {
    type Fault = std::convert::Infallible;
    fn reg(&self, reg: Reg) -> &A::W64 {
        &self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: A::W64) {
        self.regs[reg.index()] = value;
    }
    fn load(&mut self, size: Size, addr: &A::W64) -> Result<A::W64, Self::Fault> {
        Ok(Self::cut(size, &self.ask(Asked::Load(size, A::number(addr)))))
    }
    fn store(&mut self, size: Size, addr: &A::W64, value: &A::W64) -> Result<(), Self::Fault> {
        self.ask(Asked::Store(size, A::number(addr), A::number(&Self::cut(size, value))));
        Ok(())
    }
    fn call_helper(&mut self, id: &A::W32) -> Result<bool, Self::Fault> {
        self.regs[0] = self.ask(Asked::Helper(Self::wide(id)));
        Ok(A::number(&self.regs[0]) % 2 == 1)
    }
    fn call_kfunc(&mut self, id: &A::W32) -> Result<(), Self::Fault> {
        self.regs[0] = self.ask(Asked::Kfunc(Self::wide(id)));
        Ok(())
    }
    fn load_packet(&mut self, size: Size, offset: &A::W32) -> Result<(A::W64, bool), Self::Fault> {
        let value = Self::cut(size, &self.ask(Asked::Packet(size, Self::wide(offset))));
        Ok((value, self.answer.count_ones().is_multiple_of(2)))
    }
    fn map_value(&self, map: &A::W32) -> Result<A::W64, Self::Fault> {
        Ok(self.ask(Asked::MapValue(Self::wide(map))))
    }
    fn variable(&self, id: &A::W32) -> Result<A::W64, Self::Fault> {
        Ok(self.ask(Asked::Variable(Self::wide(id))))
    }
    fn code(&self, distance: &A::W32) -> Result<A::W64, Self::Fault> {
        Ok(self.ask(Asked::Code(Self::wide(distance))))
    }
}

/// The values of one comparison, in the order of [`widths`].
type Values = [u64; 7];

/// Bits of: R0, destination, source, offset, immediate, second immediate, answer; 0 where the row has no use for one.
fn widths<A: Numbers>(row: &Row) -> [u32; 7] {
    let (op, fields) = (row.op, row.fields);
    let used = |used: bool, bits: u32| if used { bits } else { 0 };
    let any = |field: Field, bits: u32| used(field == Field::Any, bits);
    let compares = matches!(op, Op::Atomic { op: insn::AtomicOp::Cmpxchg, .. });
    let asks = match op {
        Op::Load { size }
        | Op::LoadSx { size }
        | Op::LoadAcquire { size }
        | Op::Atomic { size, .. }
        | Op::Packet { size, .. } => (size.bytes() * A::W8::BITS).min(A::W64::BITS),
        Op::Wide(kind) if kind != Wide::Imm64 => A::W64::BITS,
        Op::CallHelper | Op::CallKfunc => A::W64::BITS,
        _ => 0,
    };
    [
        used(compares, A::W64::BITS),
        any(fields.dst, used(op.reads_dst(), A::W64::BITS)),
        any(fields.src, used(op.reads_src(), A::W64::BITS)),
        any(fields.off, A::W16::BITS),
        any(fields.imm, A::W32::BITS),
        used(matches!(op, Op::Wide(_)), A::W32::BITS),
        asks,
    ]
}

/// Registers of the operands: distinct, the same, R0 as either or both.
const REGISTERS: [(Reg, Reg); 5] =
    [(Reg::R1, Reg::R2), (Reg::R1, Reg::R1), (Reg::R0, Reg::R1), (Reg::R1, Reg::R0), (Reg::R0, Reg::R0)];

/// The first difference between the formula and `exec` on these values.
fn difference<A: Numbers>(row: &Row, formula: &Formula, values: Values) -> Option<String> {
    let [r0, dst, src, off, imm, imm_hi, answer] = values;
    let choices =
        if row.fields.dst == Field::Any || row.fields.src == Field::Any { &REGISTERS[..] } else { &REGISTERS[..1] };
    for (dst_reg, src_reg) in choices {
        let insn: Insn<A> = Insn {
            opcode: row.opcode,
            dst: *dst_reg,
            src: *src_reg,
            off: A::W16::lit(off),
            imm: A::W32::lit(imm),
            imm_hi: A::W32::lit(imm_hi),
        };
        let mut state = State::<A> { regs: [r0, dst, src].map(A::W64::lit), answer, asked: RefCell::default() };
        let mut other = state.clone();
        let Ok(expected) = insn::exec(&insn, &mut state);
        let Ok(actual) = formula.eval(&insn, &mut other);
        let (expected, actual) = (state.seen(expected), other.seen(actual));
        if expected != actual {
            return Some(format!(
                "{} at {} bits, dst {dst_reg} src {src_reg}, r0, dst, src, off, imm, imm_hi, answer = {values:x?}:\n  \
                 exec    {expected:x?}\n  formula {actual:x?}\n  {formula}",
                row.name,
                A::W64::BITS
            ));
        }
    }
    None
}

/// Compares on every value of all variables that the row has, if these are at most `most` bits together.
fn exhaust<A: Numbers>(row: &Row, formula: &Formula, most: u32) -> Option<Result<u64, String>> {
    let widths = widths::<A>(row);
    let bits: u32 = widths.iter().sum();
    (bits <= most).then(|| {
        for number in 0..1u64 << bits {
            let mut rest = number;
            let values = widths.map(|width| {
                let value = rest & ((1 << width) - 1);
                rest >>= width;
                value
            });
            if let Some(found) = difference::<A>(row, formula, values) {
                return Err(found);
            }
        }
        Ok(1 << bits)
    })
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Compares at full width: every pair of boundary values, and random ones.
fn sample(row: &Row, formula: &Formula) -> Result<(), String> {
    const EDGES: [u64; 14] = [
        0,
        1,
        2,
        7,
        31,
        32,
        63,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
    ];
    let mut seed = u64::from(row.code);
    for (at, dst) in EDGES.iter().enumerate() {
        for src in EDGES {
            let other = EDGES[(at * 5 + 3) % EDGES.len()];
            let values = [other, *dst, src, src & 0xffff, src, other, *dst];
            difference::<Concrete>(row, formula, values).map_or(Ok(()), Err)?;
        }
    }
    for _ in 0..500 {
        let mut values = [(); 7].map(|()| mix(&mut seed));
        // What is compared is sometimes equal.
        match mix(&mut seed) % 4 {
            0 => values[1] = values[2],
            1 => values[0] = values[6],
            2 => values[1] = values[4] as i32 as u64,
            _ => {}
        }
        difference::<Concrete>(row, formula, values).map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// All that is compared of one row: how many narrow values, or the first difference.
fn check(row: &Row, formula: &Formula) -> Result<u64, String> {
    sample(row, formula)?;
    let small =
        exhaust::<Sixteenth>(row, formula, 18).unwrap_or_else(|| panic!("{} has too many variables", row.name))?;
    // Registers of 8 bits, immediates of 4, offsets of 2: all but the widest atomic operations.
    let large = exhaust::<Eighth>(row, formula, 18).transpose()?;
    Ok(small + large.unwrap_or(0))
}

#[test]
fn every_formula_is_exec() {
    let mut values = 0;
    for row in TABLE {
        values += check(row, &Formula::of(row.op)).unwrap_or_else(|difference| panic!("{difference}"));
    }
    println!("{} formulas, {values} narrow values", TABLE.len());
    assert!(values > 1_000_000, "{values}");
}

/// Where a jump or a call leads is what [`Insn::target`] says.
#[test]
fn every_distance_is_the_targets() {
    let mut seen = 0;
    for row in TABLE {
        let formula = Formula::of(row.op);
        for distance in [0i16, 1, -1, i16::MAX, i16::MIN] {
            let insn = Insn::new(row.opcode).off(distance).imm(i32::from(distance).wrapping_mul(0x10001));
            if let Some(expr) = formula.distance() {
                let slots: u64 = expr.constant::<Concrete>(&insn).expect("a distance is a constant");
                assert_eq!(insn.target(5), 6 + slots as i64, "{}", row.name);
                seen += 1;
            }
        }
        assert_eq!(formula.distance().is_some(), row.op.is_jump() || row.op == Op::CallLocal, "{}", row.name);
    }
    assert!(seen > 200);
}

/// What a formula sets last.
fn value(formula: &mut Formula) -> &mut Expr {
    match formula.steps.last_mut() {
        Some(Step::Set(_, value)) => value,
        other => panic!("{other:?}"),
    }
}

/// A formula with a mistake: every one of these must be noticed.
fn planted() -> Vec<(Opcode, Formula)> {
    let change = |opcode: Opcode, change: fn(&mut Formula)| {
        let mut formula = Formula::of(opcode.op());
        change(&mut formula);
        assert_ne!(formula, Formula::of(opcode.op()));
        (opcode, formula)
    };
    vec![
        change(Opcode::Add64X, |f| {
            let Expr::Binary(op, ..) = value(f) else { panic!() };
            *op = Binary::Sub;
        }),
        // The upper half kept by a modulo of 32 bits.
        change(Opcode::Mod32X, |f| {
            let Expr::Zext(_, of) = value(f) else { panic!() };
            *value(f) = Expr::Sext(Size::W, Size::Dw, of.clone());
        }),
        change(Opcode::Sdiv64X, |f| {
            let Expr::Select(_, zero, _) = value(f) else { panic!() };
            **zero = Expr::Number(-1, Size::Dw);
        }),
        change(Opcode::Be32, |f| {
            *value(f) = Expr::Zext(Size::W, Box::new(Expr::Low(Size::W, Box::new(Expr::Reg(Operand::Dst)))));
        }),
        // The old value to the wrong register.
        change(Opcode::AtomicCmpxchg64, |f| f.steps[2] = Step::Set(Operand::Src, Expr::Old(Size::Dw))),
        // No write where nothing is exchanged would be another meaning too.
        change(Opcode::AtomicCmpxchg32, |f| drop(f.steps.remove(1))),
        change(Opcode::LdxsB, |f| *value(f) = Expr::Zext(Size::B, Box::new(Expr::Old(Size::B)))),
        change(Opcode::StxH, |f| {
            let Step::Store(size, ..) = &mut f.steps[0] else { panic!() };
            *size = Size::W;
        }),
        change(Opcode::Jsle64X, |f| {
            let Step::Goto(Some(insn::formula::Test::Compare(cond, ..)), _) = &mut f.steps[0] else { panic!() };
            *cond = insn::Cond::Le;
        }),
        change(Opcode::LdAbsW, |f| drop(f.steps.pop())),
        change(Opcode::Lddw, |f| *value(f) = Expr::Zext(Size::W, Box::new(Expr::Imm))),
        change(Opcode::Exit, |f| f.steps.clear()),
    ]
}

#[test]
fn planted_mistakes_are_noticed() {
    for (opcode, formula) in planted() {
        let found = check(opcode.row(), &formula).expect_err(&formula.to_string());
        assert!(found.starts_with(opcode.row().name), "{found}");
        println!("{found}\n");
    }
}

/// Formulas that people know by heart.
#[test]
fn they_read_well() {
    let read = |opcode: Opcode| Formula::of(opcode.op()).to_string();
    assert_eq!(read(Opcode::Add32K), "dst = zext32(low32(dst) + imm)");
    assert_eq!(read(Opcode::Lsh64X), "dst = dst << (src & 63)");
    assert_eq!(read(Opcode::Sdiv64X), "dst = src == 0 ? 0 : src == -1 ? -dst : dst s/ src");
    assert_eq!(read(Opcode::LdxsW), "dst = sext32(*(u32 *)(src + sext16(off)))");
    assert_eq!(read(Opcode::Lddw), "dst = (zext32(next_imm) << 32) | zext32(imm)");
    assert_eq!(read(Opcode::Jset32K), "pc = (low32(dst) & imm) != 0 ? pc + 1 + sext16(off) : pc + 1");
    assert_eq!(
        read(Opcode::AtomicFetchAdd64),
        "old = *(u64 *)(dst + sext16(off)); *(u64 *)(dst + sext16(off)) = old + src; src = old"
    );
    assert_eq!(
        read(Opcode::LdIndH),
        "old, found = ntoh(*(u16 *)(packet + (low32(src) + imm))); r0 = found ? zext16(old) : 0; \
         if not found: return r0"
    );
}
