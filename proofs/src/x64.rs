//! The JIT's encoder: `decode(encode(i)) == i` for every form and every choice of registers, with symbolic immediates and
//! displacements. That the decoder reads bytes as the processor does is tested against an independent one in the JIT.

use crate::obligation::Obligation;
use crate::theory::{Context, Statement, Theory};
use jit::x64::decode::Decoded;
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp, Stub, encode};
use semantics::insn::{Size, Width};
use semantics::word::{Flag, Word};

/// A form of instruction: everything but registers, immediates and displacements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Inst::AluRr`].
    AluRr(AluOp, Width),
    /// [`Inst::AluRi`].
    AluRi(AluOp, Width),
    /// [`Inst::Neg`].
    Neg(Width),
    /// [`Inst::MovRr`].
    MovRr(Width),
    /// [`Inst::MovZx`].
    MovZx,
    /// [`Inst::MovSx`].
    MovSx,
    /// [`Inst::MovAbs`].
    MovAbs,
    /// [`Inst::Load`].
    Load(Size),
    /// [`Inst::Store`].
    Store(Size),
    /// [`Inst::StoreImm`].
    StoreImm(Size),
    /// [`Inst::LoadSx`].
    LoadSx(Size),
    /// [`Inst::ShiftImm`].
    ShiftImm(ShiftOp, Width),
    /// [`Inst::ShiftCl`].
    ShiftCl(ShiftOp, Width),
    /// [`Inst::ShiftX`], whose amount is in this register.
    ShiftX(ShiftOp, Width, Reg),
    /// [`Inst::Imul`].
    Imul(Width),
    /// [`Inst::ImulImm`].
    ImulImm(Width),
    /// [`Inst::Div`].
    Div(bool, Width),
    /// [`Inst::SignRdx`].
    SignRdx(Width),
    /// [`Inst::MovZxRr`].
    MovZxRr(Size),
    /// [`Inst::MovSxRr`].
    MovSxRr(Size, Width),
    /// [`Inst::Bswap`].
    Bswap(Width),
    /// [`Inst::Lock`].
    Lock(LockOp, Width),
    /// [`Inst::Skip`].
    Skip(Option<Cc>),
    /// [`Inst::Retry`].
    Retry,
    /// [`Inst::Push`].
    Push,
    /// [`Inst::Pop`].
    Pop,
    /// [`Inst::CallReg`].
    CallReg,
    /// [`Inst::JmpReg`].
    JmpReg,
    /// [`Inst::Ret`].
    Ret,
    /// [`Inst::Branch`].
    Branch(Branch, Reach),
}

/// Bytes of a jump inside a sequence, any number for its round trip.
const SKIPPED: u8 = 0x2b;

const WIDTHS: [Width; 2] = [Width::W64, Width::W32];

impl Form {
    /// All of them.
    pub fn all() -> Vec<Form> {
        let alu = AluOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width)));
        let alu = alu.flat_map(|(op, width)| [Form::AluRr(op, width), Form::AluRi(op, width)]);
        let by_width = WIDTHS.into_iter().flat_map(|width| [Form::Neg(width), Form::MovRr(width)]);
        let by_size =
            Size::ALL.into_iter().flat_map(|size| [Form::Load(size), Form::Store(size), Form::StoreImm(size)]);
        let others =
            [Form::MovZx, Form::MovSx, Form::MovAbs, Form::Push, Form::Pop, Form::CallReg, Form::JmpReg, Form::Ret];
        let kinds = Cc::ALL.into_iter().map(Branch::Jcc).chain([Branch::Jmp]);
        let branches = kinds.flat_map(|kind| [Reach::Short, Reach::Near].map(|reach| Form::Branch(kind, reach)));
        let stubs = Stub::ALL.into_iter().map(Branch::Stub);
        let call = stubs.chain([Branch::Local]).map(|call| Form::Branch(call, Reach::Near));
        let skips = Cc::ALL.into_iter().map(Some).chain([None]).map(Form::Skip);
        let jumps = branches.chain(call).chain(skips).chain([Form::Retry]);
        alu.chain(by_width).chain(by_size).chain(others).chain(Form::arithmetic()).chain(jumps).collect()
    }
    /// Shifts, products, quotients, extensions, byte order and what nothing interrupts.
    fn arithmetic() -> impl Iterator<Item = Form> {
        let shifts = ShiftOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))).flat_map(|(op, width)| {
            let amounts = [Reg::Rax, Reg::Rcx, Reg::R8, Reg::R15].map(|amount| Form::ShiftX(op, width, amount));
            amounts.into_iter().chain([Form::ShiftImm(op, width), Form::ShiftCl(op, width)])
        });
        let by_width = WIDTHS.into_iter().flat_map(|width| {
            let div = [true, false].map(|signed| Form::Div(signed, width));
            let extend = [Size::B, Size::H].map(|size| Form::MovSxRr(size, width));
            let lock = LockOp::ALL.map(|op| Form::Lock(op, width));
            let others = [Form::Imul(width), Form::ImulImm(width), Form::SignRdx(width), Form::Bswap(width)];
            div.into_iter().chain(extend).chain(lock).chain(others)
        });
        let loads = [Size::B, Size::H, Size::W].map(Form::LoadSx);
        let extend = [Form::MovZxRr(Size::B), Form::MovZxRr(Size::H), Form::MovSxRr(Size::W, Width::W64)];
        shifts.chain(by_width).chain(loads).chain(extend)
    }
    /// The name of the obligation that it belongs to: one per kind of instruction.
    fn kind(self) -> &'static str {
        match self {
            Form::AluRr(..) => "alu_rr",
            Form::AluRi(..) => "alu_ri",
            Form::Neg(_) => "neg",
            Form::MovRr(_) => "mov_rr",
            Form::MovZx => "mov_zx",
            Form::MovSx => "mov_sx",
            Form::MovAbs => "mov_abs",
            Form::Load(_) => "load",
            Form::Store(_) => "store",
            Form::StoreImm(_) => "store_imm",
            Form::LoadSx(_) => "load_sx",
            Form::ShiftImm(..) => "shift_imm",
            Form::ShiftCl(..) => "shift_cl",
            Form::ShiftX(..) => "shift_x",
            Form::Imul(_) => "imul",
            Form::ImulImm(_) => "imul_imm",
            Form::Div(..) => "div",
            Form::SignRdx(_) => "sign_rdx",
            Form::MovZxRr(_) => "mov_zx_rr",
            Form::MovSxRr(..) => "mov_sx_rr",
            Form::Bswap(_) => "bswap",
            Form::Lock(..) => "lock",
            Form::Skip(_) => "skip",
            Form::Retry => "retry",
            Form::Push => "push",
            Form::Pop => "pop",
            Form::CallReg => "call_reg",
            Form::JmpReg => "jmp_reg",
            Form::Ret => "ret",
            Form::Branch(..) => "branch",
        }
    }
    /// How many registers it names.
    fn registers(self) -> usize {
        match self {
            Form::AluRr(..)
            | Form::MovRr(_)
            | Form::Load(_)
            | Form::Store(_)
            | Form::LoadSx(_)
            | Form::ShiftX(..)
            | Form::Imul(_)
            | Form::ImulImm(_)
            | Form::MovZxRr(_)
            | Form::MovSxRr(..)
            | Form::Lock(..) => 2,
            Form::Ret | Form::Branch(..) | Form::SignRdx(_) | Form::Skip(_) | Form::Retry => 0,
            _ => 1,
        }
    }
    /// The instruction of this form with these registers and any immediate and displacement.
    fn instruction<A: Theory>(self, a: Reg, b: Reg, cx: &mut Context<'_, A>) -> Inst<A> {
        match self {
            Form::AluRr(op, width) => Inst::AluRr { op, width, dst: a, src: b },
            Form::AluRi(op, width) => Inst::AluRi { op, width, dst: a, imm: cx.word("imm") },
            Form::Neg(width) => Inst::Neg { width, dst: a },
            Form::MovRr(width) => Inst::MovRr { width, dst: a, src: b },
            Form::MovZx => Inst::MovZx { dst: a, imm: cx.word("imm") },
            Form::MovSx => Inst::MovSx { dst: a, imm: cx.word("imm") },
            Form::MovAbs => Inst::MovAbs { dst: a, imm: cx.word("imm64") },
            Form::Load(size) => Inst::Load { size, dst: a, base: b, disp: cx.word("disp") },
            Form::Store(size) => Inst::Store { size, base: a, disp: cx.word("disp"), src: b },
            Form::StoreImm(size) => Inst::StoreImm { size, base: a, disp: cx.word("disp"), imm: cx.word("imm") },
            Form::LoadSx(size) => Inst::LoadSx { size, dst: a, base: b, disp: cx.word("disp") },
            Form::ShiftImm(op, width) => Inst::ShiftImm { op, width, dst: a, amount: cx.word("amount") },
            Form::ShiftCl(op, width) => Inst::ShiftCl { op, width, dst: a },
            Form::ShiftX(op, width, amount) => Inst::ShiftX { op, width, dst: a, src: b, amount },
            Form::Imul(width) => Inst::Imul { width, dst: a, src: b },
            Form::ImulImm(width) => Inst::ImulImm { width, dst: a, src: b, imm: cx.word("imm") },
            Form::Div(signed, width) => Inst::Div { signed, width, src: a },
            Form::SignRdx(width) => Inst::SignRdx { width },
            Form::MovZxRr(size) => Inst::MovZxRr { size, dst: a, src: b },
            Form::MovSxRr(size, width) => Inst::MovSxRr { size, width, dst: a, src: b },
            Form::Bswap(width) => Inst::Bswap { width, dst: a },
            Form::Lock(op, width) => Inst::Lock { op, width, base: a, disp: cx.word("disp"), src: b },
            Form::Skip(cc) => Inst::Skip { cc, count: 1, bytes: SKIPPED },
            Form::Retry => Inst::Retry { bytes: SKIPPED },
            Form::Push => Inst::Push { src: a },
            Form::Pop => Inst::Pop { dst: a },
            Form::CallReg => Inst::CallReg { target: a },
            Form::JmpReg => Inst::JmpReg { target: a },
            Form::Ret => Inst::Ret,
            Form::Branch(kind, _) => Inst::Branch(kind),
        }
    }
}

/// One obligation per kind of instruction.
pub fn obligations() -> Vec<Obligation> {
    let mut kinds: Vec<(&str, Vec<Case>)> = Vec::new();
    for form in Form::all() {
        let all = |used: bool| if used { &Reg::ALL[..] } else { &[Reg::Rax][..] };
        let (first, second) = (all(form.registers() > 0), all(form.registers() > 1));
        let cases = first.iter().flat_map(|a| second.iter().map(move |b| (form, *a, *b)));
        match kinds.iter_mut().find(|(kind, _)| *kind == form.kind()) {
            Some((_, known)) => known.extend(cases),
            None => kinds.push((form.kind(), cases.collect())),
        }
    }
    let obligation = |(kind, cases)| Obligation::jit(format!("x64::encode::{kind}"), None, RoundTrip { cases });
    kinds.into_iter().map(obligation).collect()
}

/// An encoder: the JIT's, or one with a mistake.
type Encode<A> = fn(&Inst<A>, &mut Vec<<A as semantics::word::Algebra>::W8>);

/// A form with its registers, as far as it has any.
type Case = (Form, Reg, Reg);

struct RoundTrip {
    cases: Vec<Case>,
}

impl Statement for RoundTrip {
    fn cases(&self) -> usize {
        self.cases.len()
    }
    fn case_name(&self, case: usize) -> String {
        let (form, a, b) = self.cases[case];
        match form.registers() {
            0 => format!("{form:?}"),
            1 => format!("{form:?} {a:?}"),
            _ => format!("{form:?} {a:?} {b:?}"),
        }
    }
    fn state<A: Theory>(&self, case: usize, cx: &mut Context<'_, A>) {
        let (form, a, b) = self.cases[case];
        let mut bytes = Vec::new();
        if let Form::Branch(kind, reach) = form {
            return branch_round_trip(kind, reach, cx);
        }
        let inst: Inst<A> = form.instruction(a, b, cx);
        let encode: Encode<A> = cx.plant().and_then(plant::encoder).unwrap_or(encode::encode);
        encode(&inst, &mut bytes);
        match A::decode_x64(&bytes) {
            // A jump inside a sequence is read as the branch that it is.
            Some((Decoded::Branch { branch, reach: Reach::Short, rel }, length)) => {
                let (expected, distance) = match form {
                    Form::Skip(cc) => (cc.map_or(Branch::Jmp, Branch::Jcc), u32::from(SKIPPED)),
                    _ => (Branch::Jcc(Cc::Ne), u32::from(SKIPPED).wrapping_neg()),
                };
                let is_jump = matches!(form, Form::Skip(_) | Form::Retry) && length == bytes.len();
                cx.claim("the same jump", A::Flag::lit(is_jump && branch == expected));
                cx.claim("the same distance", rel.same(&A::W32::lit(u64::from(distance))));
            }
            Some((Decoded::Inst(decoded), length)) => {
                cx.claim("all bytes are used", A::Flag::lit(length == bytes.len()));
                cx.claim("the same instruction", same_inst(&inst, &decoded));
            }
            _ => cx.claim("it decodes", A::Flag::lit(false)),
        }
    }
}

fn branch_round_trip<A: Theory>(kind: Branch, reach: Reach, cx: &mut Context<'_, A>) {
    let rel: A::W32 = cx.word_where("rel", |rel: &A::W32| match reach {
        Reach::Short => rel.shl(&A::W32::lit(24)).ashr(&A::W32::lit(24)).same(rel),
        Reach::Near => A::Flag::lit(true),
    });
    let mut bytes = Vec::new();
    encode::branch::<A>(kind, reach, &rel, &mut bytes);
    // Both are a call; they differ in what the displacement is made from.
    let expected = match kind {
        Branch::Stub(_) => Branch::Local,
        other => other,
    };
    let predicted = encode::branch_len(kind, reach) as usize;
    cx.claim("the length that layout counts with", A::Flag::lit(predicted == bytes.len()));
    match A::decode_x64(&bytes) {
        Some((Decoded::Branch { branch, reach: far, rel: decoded }, length)) => {
            cx.claim("all bytes are used", A::Flag::lit(length == bytes.len()));
            cx.claim("the same branch", A::Flag::lit(branch == expected && far == reach));
            cx.claim("the same displacement", decoded.same(&rel));
        }
        _ => cx.claim("it decodes", A::Flag::lit(false)),
    }
}

/// Whether two instructions are the same: an immediate that is stored counts only as far as it is stored.
#[allow(clippy::match_same_arms)] // an arm per instruction
fn same_inst<A: Theory>(left: &Inst<A>, right: &Inst<A>) -> A::Flag {
    use Inst::{
        AluRi, AluRr, Bswap, CallReg, Div, Imul, ImulImm, JmpReg, Load, LoadSx, Lock, MovAbs, MovRr, MovSx, MovSxRr,
        MovZx, MovZxRr, Neg, Pop, Push, Ret, ShiftCl, ShiftImm, ShiftX, SignRdx, Store, StoreImm,
    };
    let flag = A::Flag::lit;
    match (left, right) {
        (AluRr { op, width, dst, src }, AluRr { op: o, width: w, dst: d, src: s }) => {
            flag((op, width, dst, src) == (o, w, d, s))
        }
        (AluRi { op, width, dst, imm }, AluRi { op: o, width: w, dst: d, imm: i }) => {
            flag((op, width, dst) == (o, w, d)).and(&imm.same(i))
        }
        (Neg { width, dst }, Neg { width: w, dst: d }) => flag((width, dst) == (w, d)),
        (MovRr { width, dst, src }, MovRr { width: w, dst: d, src: s }) => flag((width, dst, src) == (w, d, s)),
        (MovZx { dst, imm }, MovZx { dst: d, imm: i }) | (MovSx { dst, imm }, MovSx { dst: d, imm: i }) => {
            flag(dst == d).and(&imm.same(i))
        }
        (MovAbs { dst, imm }, MovAbs { dst: d, imm: i }) => flag(dst == d).and(&imm.same(i)),
        (Load { size, dst, base, disp }, Load { size: n, dst: d, base: b, disp: o }) => {
            flag((size, dst, base) == (n, d, b)).and(&disp.same(o))
        }
        (Store { size, base, disp, src }, Store { size: n, base: b, disp: o, src: s }) => {
            flag((size, base, src) == (n, b, s)).and(&disp.same(o))
        }
        (StoreImm { size, base, disp, imm }, StoreImm { size: n, base: b, disp: o, imm: i }) => {
            let unused = A::W32::lit(32 - u64::from(size.bytes().min(4) * 8));
            let stored = imm.shl(&unused).same(&i.shl(&unused));
            flag((size, base) == (n, b)).and(&disp.same(o)).and(&stored)
        }
        (LoadSx { size, dst, base, disp }, LoadSx { size: n, dst: d, base: b, disp: o }) => {
            flag((size, dst, base) == (n, d, b)).and(&disp.same(o))
        }
        (ShiftImm { op, width, dst, amount }, ShiftImm { op: o, width: w, dst: d, amount: a }) => {
            flag((op, width, dst) == (o, w, d)).and(&amount.same(a))
        }
        (ImulImm { width, dst, src, imm }, ImulImm { width: w, dst: d, src: s, imm: i }) => {
            flag((width, dst, src) == (w, d, s)).and(&imm.same(i))
        }
        (Lock { op, width, base, disp, src }, Lock { op: o, width: w, base: b, disp: p, src: s }) => {
            flag((op, width, base, src) == (o, w, b, s)).and(&disp.same(p))
        }
        (ShiftCl { op, width, dst }, ShiftCl { op: o, width: w, dst: d }) => flag((op, width, dst) == (o, w, d)),
        (ShiftX { op, width, dst, src, amount }, ShiftX { op: o, width: w, dst: d, src: s, amount: a }) => {
            flag((op, width, dst, src, amount) == (o, w, d, s, a))
        }
        (Imul { width, dst, src }, Imul { width: w, dst: d, src: s }) => flag((width, dst, src) == (w, d, s)),
        (Div { signed, width, src }, Div { signed: g, width: w, src: s }) => flag((signed, width, src) == (g, w, s)),
        (SignRdx { width }, SignRdx { width: w }) => flag(width == w),
        (MovZxRr { size, dst, src }, MovZxRr { size: n, dst: d, src: s }) => flag((size, dst, src) == (n, d, s)),
        (MovSxRr { size, width, dst, src }, MovSxRr { size: n, width: w, dst: d, src: s }) => {
            flag((size, width, dst, src) == (n, w, d, s))
        }
        (Bswap { width, dst }, Bswap { width: w, dst: d }) => flag((width, dst) == (w, d)),
        (Push { src }, Push { src: s }) => flag(src == s),
        (Pop { dst }, Pop { dst: d }) => flag(dst == d),
        (CallReg { target }, CallReg { target: t }) | (JmpReg { target }, JmpReg { target: t }) => flag(target == t),
        (Ret, Ret) => flag(true),
        _ => flag(false),
    }
}

/// Planted mistakes of the encoder. It is no table of rules, so each is a wrapper around the right one.
pub mod plant {
    use super::{Encode, Flag, Inst, Reg, Size, Theory, Width, Word};
    use jit::x64::encode::encode;
    use semantics::word::Convert;

    /// Their names, with what goes wrong.
    pub const ALL: [(&str, &str); 5] = [
        ("x64::byte_register_without_rex", "a byte store of rsi or rdi without a REX prefix stores dh or bh"),
        ("x64::sib_forgotten", "an access relative to r12 without a SIB byte takes the displacement for one"),
        ("x64::imm8_unsigned", "an immediate of 128 to 255 is taken to fit 8 bits, which sign-extend"),
        ("x64::extended_byte_without_rex", "movzx of the low byte of rsi or rdi without a REX prefix extends dh or bh"),
        ("x64::r8_taken_for_rax", "r8, numbered like rax but for a bit of REX, takes the opcodes that only rax has"),
    ];

    /// The encoder with this mistake.
    pub fn encoder<A: Theory>(name: &str) -> Option<Encode<A>> {
        match name {
            "x64::byte_register_without_rex" => Some(byte_register_without_rex),
            "x64::sib_forgotten" => Some(sib_forgotten),
            "x64::imm8_unsigned" => Some(imm8_unsigned),
            "x64::extended_byte_without_rex" => Some(extended_byte_without_rex),
            "x64::r8_taken_for_rax" => Some(r8_taken_for_rax),
            _ => None,
        }
    }

    fn byte_register_without_rex<A: Theory>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
        let start = out.len();
        encode(inst, out);
        let legacy = |reg: &Reg| reg.number() < 8;
        if matches!(inst, Inst::Store { size: Size::B, base, src, .. }
            if legacy(base) && matches!(src, Reg::Rsi | Reg::Rdi))
        {
            out.remove(start);
        }
    }

    fn sib_forgotten<A: Theory>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
        let start = out.len();
        encode(inst, out);
        if let Inst::Load { size: Size::Dw, base: Reg::R12, .. } = inst {
            // REX, opcode, ModRM, SIB.
            out.remove(start + 3);
        }
    }

    fn imm8_unsigned<A: Theory>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
        if let Inst::AluRi { op, width, dst, imm } = inst
            && imm.ult(&A::W32::lit(256)).decide()
        {
            let low: A::W8 = imm.zx();
            let short: Inst<A> = Inst::AluRi { op: *op, width: *width, dst: *dst, imm: low.sx() };
            return encode(&short, out);
        }
        encode(inst, out);
    }

    fn extended_byte_without_rex<A: Theory>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
        let start = out.len();
        encode(inst, out);
        if matches!(inst, Inst::MovZxRr { size: Size::B, dst, src }
            if dst.number() < 8 && matches!(src, Reg::Rsi | Reg::Rdi))
        {
            out.remove(start);
        }
    }

    fn r8_taken_for_rax<A: Theory>(inst: &Inst<A>, out: &mut Vec<A::W8>) {
        let start = out.len();
        match inst {
            Inst::AluRi { op, width, dst: Reg::R8, imm } => {
                encode::<A>(&Inst::AluRi { op: *op, width: *width, dst: Reg::Rax, imm: imm.clone() }, out);
                if *width == Width::W64 {
                    out[start] = A::W8::lit(0x49);
                } else {
                    out.insert(start, A::W8::lit(0x41));
                }
            }
            inst => encode(inst, out),
        }
    }
}
