//! Statements as LLVM writes them, and Linux's verifier and bpftool: `r1 = *(u32 *)(r2 + 4)`.

use super::lexer::TokenKind;
use super::parser::{self, Goal, Parser, Statement};
use super::{AsmErrorKind, Fail, mnemonic, suggest};
use crate::insn::{
    AluOp, AtomicOp, Cond, Insn, Mode, MulDivOp, Op, Opcode, Order, Reg, ShiftOp, Size, Source, Wide, Width,
};

/// What can begin a statement.
const STATEMENT: &str = "a register, `*(`, `if`, `goto`, `call`, `exit`, `lock` or a mnemonic";
const KEYWORDS: [&str; 8] = ["if", "goto", "gotol", "call", "exit", "lock", "store_release", "ld_pseudo"];
/// Functions on the right of `=`.
const FUNCTIONS: [&str; 11] = [
    "atomic_fetch_add",
    "atomic_fetch_or",
    "atomic_fetch_and",
    "atomic_fetch_xor",
    "atomic64_fetch_add",
    "xchg_64",
    "xchg32_32",
    "cmpxchg_64",
    "cmpxchg32_32",
    "load_acquire",
    "map",
];

impl<'a> Parser<'a> {
    /// The statement that comes next, with the code in front of it in the kernel's log.
    pub(super) fn pseudo_c(&mut self, code: Option<u8>) -> Result<Statement<'a>, Fail> {
        let Some(token) = self.peek() else { return Err(self.expected(STATEMENT)) };
        if token.text == "*" {
            return self.store().map(|insn| (insn, None));
        }
        if let Some((dst, width)) = token.register() {
            self.skip(1);
            return self.assignment(dst, width, code);
        }
        self.skip(1);
        match token.text {
            "if" => self.conditional(),
            "goto" => self.target(Insn::new(Opcode::Ja)),
            "gotol" => self.target(Insn::new(Opcode::Gotol)),
            "call" => self.call(code),
            "exit" => Ok((Insn::new(Opcode::Exit), None)),
            "lock" => self.locked_place().map(|insn| (insn, None)),
            "store_release" => self.store_release().map(|insn| (insn, None)),
            "ld_pseudo" => self.ld_pseudo().map(|insn| (insn, None)),
            word => {
                if let Some(kind) = mnemonic::reserved(word) {
                    return Err((token.column, kind));
                }
                self.unread();
                Err(self.mistaken(STATEMENT, suggest::nearest(word, KEYWORDS.into_iter().chain(mnemonic::names()))))
            }
        }
    }

    /// `dst = ...` and `dst op= ...`; the register is behind us.
    fn assignment(&mut self, dst: Reg, width: Width, code: Option<u8>) -> Result<Statement<'a>, Fail> {
        let Some(operator) = self.peek() else { return Err(self.expected("an assignment")) };
        if operator.text != "=" {
            let op = operator.text.strip_suffix('=').and_then(|symbol| binary(symbol, width));
            let Some(op) = op else { return Err(self.expected("an assignment")) };
            self.skip(1);
            return self.operand(dst, width, op).map(|insn| (insn, None));
        }
        self.skip(1);
        let Some(token) = self.peek() else { return Err(self.expected("a value")) };
        let insn = match token.text {
            "*" => self.load(dst, width)?,
            "-" if self.rest().get(1).is_some_and(|token| token.register().is_some()) => self.negation(dst, width)?,
            "(" => self.sign_extension(dst, width)?,
            "map" | "map_idx" | "var" | "subprog" if self.refers() => return self.reference(dst, width),
            _ if token.register().is_some() => self.operand(dst, width, |source| Op::Mov { width, source })?,
            _ if token.kind == TokenKind::Word => return self.word(dst, width),
            _ => self.constant(dst, width, code)?,
        };
        Ok((insn, None))
    }

    /// A register or an immediate as the second operand.
    fn operand(&mut self, dst: Reg, width: Width, op: impl Fn(Source) -> Op) -> Result<Insn, Fail> {
        if self.peek().is_some_and(|token| token.register().is_some()) {
            let src = self.reg_of(width)?;
            return Ok(Insn::new(Opcode::of(op(Source::X))).dst(dst).src(src));
        }
        let imm = self.imm("a register or a number")?;
        Ok(Insn::new(Opcode::of(op(Source::K))).dst(dst).imm(imm))
    }

    /// A register of this width.
    fn reg_of(&mut self, width: Width) -> Result<Reg, Fail> {
        match self.peek().and_then(|token| token.register().map(|register| (register, token))) {
            Some(((reg, of), _)) if of == width => {
                self.skip(1);
                Ok(reg)
            }
            Some((_, token)) => Err((token.column, AsmErrorKind::MixedWidths(token.text.to_owned()))),
            None => Err(self.expected(match width {
                Width::W64 => "a 64-bit register",
                Width::W32 => "a 32-bit register",
            })),
        }
    }

    /// A register that holds a value of this size: Linux writes `r1` also for the low half.
    fn reg_for(&mut self, size: Size) -> Result<Reg, Fail> {
        let (reg, _) = self.reg_and_width(size)?;
        Ok(reg)
    }

    fn reg_and_width(&mut self, size: Size) -> Result<(Reg, Width), Fail> {
        match self.peek().and_then(|token| token.register().map(|(reg, width)| (reg, width, token))) {
            Some((_, Width::W32, token)) if size == Size::Dw => {
                Err((token.column, AsmErrorKind::MixedWidths(token.text.to_owned())))
            }
            Some((reg, width, _)) => {
                self.skip(1);
                Ok((reg, width))
            }
            None => Err(self.expected("a register")),
        }
    }

    /// Consumes this register, which the instruction names twice.
    fn same(&mut self, reg: Reg, expected: &'static str) -> Result<(), Fail> {
        match self.peek().and_then(|token| token.register()) {
            Some((other, _)) if other == reg => {
                self.skip(1);
                Ok(())
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// `dst = -dst`.
    fn negation(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        self.skip(1);
        if self.peek().and_then(|token| token.register()).is_some_and(|(reg, _)| reg != dst) {
            return Err(self.expected("the register that is assigned to"));
        }
        self.reg_of(width)?;
        Ok(Insn::new(Opcode::of(Op::Neg { width })).dst(dst))
    }

    /// `dst = (s8)src`.
    fn sign_extension(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        const TYPES: &str = "`s8`, `s16`, or, of 64 bits, `s32`";
        self.skip(1);
        let name = self.peek().map_or("", |token| token.text);
        let from = [Size::B, Size::H, Size::W].into_iter().find(|size| size.signed_name() == name);
        let Some(from) = from.filter(|from| *from != Size::W || width == Width::W64) else {
            return Err(self.expected(TYPES));
        };
        self.skip(1);
        self.expect(")")?;
        let src = self.reg_of(width)?;
        Ok(Insn::new(Opcode::of(Op::MovSx { from, width })).dst(dst).src(src))
    }

    /// `dst = 5` and `dst = 5 ll`; Linux's log has no `ll` but the code.
    fn constant(&mut self, dst: Reg, width: Width, code: Option<u8>) -> Result<Insn, Fail> {
        let column = self.column();
        let value = self.number("a value")?;
        let wide = self.take("ll") || code == Some(Opcode::Lddw.row().code);
        if wide && width == Width::W32 {
            return Err((column, AsmErrorKind::MixedWidths(format!("{value} ll"))));
        }
        let imm = parser::to_imm(column, value, wide)?;
        if wide {
            return Ok(Insn::new(Opcode::Lddw).dst(dst).wide(imm));
        }
        Ok(Insn::new(Opcode::of(Op::Mov { width, source: Source::K })).dst(dst).imm(imm as i32))
    }

    /// A word on the right of `=`: a function, a byte order, or `name ll`, LLVM's reference to a symbol.
    fn word(&mut self, dst: Reg, width: Width) -> Result<Statement<'a>, Fail> {
        let Some(word) = self.peek() else { return Err(self.expected("a value")) };
        let insn = if let Some((order, size)) = byte_order(word.text) {
            self.skip(1);
            self.endian(dst, width, order, size)?
        } else if let Some((op, size)) = atomic_function(word.text) {
            self.skip(1);
            self.atomic(dst, width, op, size)?
        } else if word.text == "load_acquire" {
            self.skip(1);
            self.load_acquire(dst, width)?
        } else if let Some(kind) = mnemonic::reserved(word.text) {
            return Err((word.column, kind));
        } else {
            return self.symbol(dst, width);
        };
        Ok((insn, None))
    }

    /// `dst = be16 dst`.
    fn endian(&mut self, dst: Reg, width: Width, order: Order, size: Size) -> Result<Insn, Fail> {
        if self.peek().and_then(|token| token.register()).is_some_and(|(reg, _)| reg != dst) {
            return Err(self.expected("the register that is assigned to"));
        }
        let column = self.column();
        self.reg_of(Width::W64)?;
        if width == Width::W32 {
            return Err((column, AsmErrorKind::MixedWidths(dst.to_string())));
        }
        Ok(Insn::new(Opcode::of(Op::Endian { order, size })).dst(dst))
    }

    /// `name ll` and `name+8 ll`.
    fn symbol(&mut self, dst: Reg, width: Width) -> Result<Statement<'a>, Fail> {
        let Some(name) = self.next() else { return Err(self.expected("a value")) };
        let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
        let addend = if signed { Some(self.imm("an offset")?) } else { None };
        if !self.take("ll") {
            if signed {
                return Err(self.expected("ll"));
            }
            self.unread();
            return Err(self.mistaken("a value", suggest::nearest(name.text, FUNCTIONS)));
        }
        if width == Width::W32 {
            return Err((name.column, AsmErrorKind::MixedWidths(format!("{} ll", name.text))));
        }
        let insn = Insn::new(Opcode::LddwMap).dst(dst);
        Ok((insn, Some((Goal::Symbol(addend), name))))
    }

    /// Whether `map` and its like are followed by what makes a reference of them, and are no names of symbols.
    fn refers(&self) -> bool {
        self.rest().get(1).is_some_and(|token| token.text == "[" || token.kind == TokenKind::Number)
    }

    /// `map[counts] ll`, `map[0][0]+0x8 ll`, `map_idx[1] ll`, `var[0x5] ll`, `subprog[+0x5] ll`; bpftool's `map[id:5]` and
    /// `map[idx:5]+8`; `map 0 ll`. Linux's log has no `ll`.
    fn reference(&mut self, dst: Reg, width: Width) -> Result<Statement<'a>, Fail> {
        let Some(word) = self.next() else { return Err(self.expected("a value")) };
        if width == Width::W32 {
            return Err((word.column, AsmErrorKind::MixedWidths(format!("{} ll", word.text))));
        }
        let wide = |kind| Insn::new(Opcode::of(Op::Wide(kind))).dst(dst);
        let bracket = self.take("[");
        let (insn, goal) = match word.text {
            "var" => (wide(Wide::Variable).imm(self.imm("the number of a variable")?), None),
            "subprog" => self.target(wide(Wide::Code))?,
            _ => {
                let indexed = word.text == "map_idx" || self.take_all(&["idx", ":"]);
                let _ = indexed || self.take_all(&["id", ":"]);
                let insn = wide(if indexed { Wide::MapIndex } else { Wide::Map });
                self.map(insn, bracket)?
            }
        };
        if bracket {
            self.expect("]")?;
        }
        let (insn, goal) = self.value_offset(insn, goal)?;
        self.take("ll");
        Ok((insn, goal))
    }

    /// The name or the number of a map.
    fn map(&mut self, insn: Insn, bracket: bool) -> Result<Statement<'a>, Fail> {
        match self.peek() {
            Some(token) if bracket && token.kind == TokenKind::Word => {
                self.skip(1);
                Ok((insn, Some((Goal::Map, token))))
            }
            _ => {
                let column = self.column();
                let value = self.number(if bracket { "the name or number of a map" } else { "`[` or a number" })?;
                let index = parser::within(column, "the number of a map", value, 0, i128::from(u32::MAX))?;
                Ok((insn.imm(index as u32 as i32), None))
            }
        }
    }

    /// `[0]+0x8` behind a map: an offset into its first value.
    fn value_offset(
        &mut self,
        insn: Insn,
        goal: Option<(Goal, super::lexer::Token<'a>)>,
    ) -> Result<Statement<'a>, Fail> {
        let value = match insn.op() {
            Op::Wide(Wide::Map) => Opcode::of(Op::Wide(Wide::MapValue)),
            Op::Wide(Wide::MapIndex) => Opcode::of(Op::Wide(Wide::MapIndexValue)),
            _ => return Ok((insn, goal)),
        };
        let first = self.take_all(&["[", "0", "]"]);
        let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
        if !first && !signed {
            return Ok((insn, goal));
        }
        let offset = if signed { self.imm("an offset")? } else { 0 };
        let mut insn = Insn { opcode: value, ..insn };
        insn.imm_hi = offset as u32;
        Ok((insn, goal))
    }

    /// `ld_pseudo r1, 1, 5`: destination, kind, immediate.
    fn ld_pseudo(&mut self) -> Result<Insn, Fail> {
        let dst = self.reg_of(Width::W64)?;
        self.expect(",")?;
        let column = self.column();
        let value = self.number("the kind of the immediate")?;
        let last = Wide::ALL.len() as i128 - 1;
        let kind = Wide::ALL[parser::within(column, "the kind of an immediate", value, 0, last)? as usize];
        self.expect(",")?;
        let column = self.column();
        let imm = self.imm64()?;
        let insn = Insn::new(Opcode::of(Op::Wide(kind))).dst(dst);
        if kind.has_high_half() {
            return Ok(insn.wide(imm));
        }
        Ok(insn.imm(parser::to_imm(column, i128::from(imm), false)? as i32))
    }

    /// `dst = *(u32 *)(src + 4)` and `r0 = *(u32 *)skb[...]`.
    fn load(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        let column = self.column();
        self.expect("*")?;
        let (size, signed) = self.pointer(true)?;
        // LLVM prints the half register for sizes up to 4 bytes: the encoding is the same.
        if width == Width::W32 && (size == Size::Dw || signed) {
            let name = if signed { size.signed_name() } else { size.type_name() };
            return Err((column, AsmErrorKind::MixedWidths(format!("*({name} *)"))));
        }
        if self.peek().is_some_and(|token| token.text == "skb") {
            return self.packet(column, dst, size, signed);
        }
        self.expect("(")?;
        let (src, off) = self.address()?;
        self.close()?;
        let op = if signed { Op::LoadSx { size } } else { Op::Load { size } };
        Ok(Insn::new(Opcode::of(op)).dst(dst).src(src).off(off))
    }

    /// `skb[4]`, `skb[r1]` and `skb[r1 + 4]`.
    fn packet(&mut self, column: usize, dst: Reg, size: Size, signed: bool) -> Result<Insn, Fail> {
        let fail = |expected, found: String| (column, AsmErrorKind::Expected { expected, found, nearest: None });
        if dst != Reg::R0 {
            return Err(fail("r0 to be assigned to", dst.to_string()));
        }
        if size == Size::Dw || signed {
            let name = if signed { size.signed_name() } else { size.type_name() };
            return Err(fail("`u8`, `u16` or `u32` of a packet", format!("*({name} *)")));
        }
        self.skip(1);
        self.expect("[")?;
        let insn = if self.peek().is_some_and(|token| token.register().is_some()) {
            let src = self.reg_of(Width::W64)?;
            let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
            // Linux puts `+` before a negative number, too.
            let doubled = matches!(self.rest(), [plus, minus, ..] if plus.text == "+" && minus.text == "-");
            self.skip(usize::from(doubled));
            let imm = if signed { self.imm("an offset")? } else { 0 };
            Insn::new(Opcode::of(Op::Packet { mode: Mode::Ind, size })).src(src).imm(imm)
        } else {
            let imm = self.imm("a register or a number")?;
            Insn::new(Opcode::of(Op::Packet { mode: Mode::Abs, size })).imm(imm)
        };
        self.expect("]")?;
        Ok(insn)
    }

    /// `*(u32 *)(dst + 4) = ...`.
    fn store(&mut self) -> Result<Insn, Fail> {
        self.expect("*")?;
        let (size, dst, off) = self.place()?;
        if self.peek().is_some_and(|token| atomic_symbol(token.text).is_some()) {
            return Err(self.expected("`=`; an atomic operation has `lock` in front"));
        }
        self.expect("=")?;
        if self.peek().is_some_and(|token| token.register().is_some()) {
            let src = self.reg_for(size)?;
            return Ok(Insn::new(Opcode::of(Op::Store { size, source: Source::X })).dst(dst).src(src).off(off));
        }
        let imm = self.imm("a register or a number")?;
        Ok(Insn::new(Opcode::of(Op::Store { size, source: Source::K })).dst(dst).off(off).imm(imm))
    }

    /// `lock *(u64 *)(r1 + 0) += r2`; the `lock` is behind us.
    fn locked_place(&mut self) -> Result<Insn, Fail> {
        self.expect("*")?;
        let (size, dst, off) = self.atomic_place()?;
        let Some(op) = self.peek().and_then(|token| atomic_symbol(token.text)) else {
            return Err(self.expected("`+=`, `|=`, `&=` or `^=`"));
        };
        self.skip(1);
        let src = self.reg_for(size)?;
        Ok(Insn::new(Opcode::of(Op::Atomic { op, fetch: false, size })).dst(dst).src(src).off(off))
    }

    /// The arguments of `src = atomic_fetch_add((u64 *)(r1 + 0), src)` and its like; the function's name is behind us.
    fn atomic(&mut self, target: Reg, width: Width, op: AtomicOp, size: Option<Size>) -> Result<Insn, Fail> {
        self.expect("(")?;
        let column = self.column();
        // LLVM's exchanges have the size in their names.
        let (size, dst, off) = if self.peek().is_some_and(|token| token.text == "(") {
            let (of, dst, off) = self.atomic_place()?;
            if size.is_some_and(|size| size != of) {
                return Err((column, AsmErrorKind::MixedWidths(format!("({} *)", of.type_name()))));
            }
            (of, dst, off)
        } else if let Some(size) = size {
            let (dst, off) = self.address()?;
            (size, dst, off)
        } else {
            return Err(self.expected("`(u32 *)` or `(u64 *)`"));
        };
        if width == Width::W32 && size == Size::Dw {
            return Err((column, AsmErrorKind::MixedWidths(format!("({} *)", size.type_name()))));
        }
        self.expect(",")?;
        let insn = Insn::new(Opcode::of(Op::Atomic { op, fetch: true, size })).dst(dst).off(off);
        let insn = if op == AtomicOp::Cmpxchg {
            if target != Reg::R0 {
                let found = target.to_string();
                let expected = "the register that is assigned to, r0";
                return Err((column, AsmErrorKind::Expected { expected, found, nearest: None }));
            }
            self.same(Reg::R0, "r0")?;
            self.expect(",")?;
            insn.src(self.reg_for(size)?)
        } else {
            self.same(target, "the register that is assigned to")?;
            insn.src(target)
        };
        self.expect(")")?;
        Ok(insn)
    }

    /// `dst = load_acquire((u32 *)(src + 4))`; the name is behind us.
    fn load_acquire(&mut self, dst: Reg, width: Width) -> Result<Insn, Fail> {
        self.expect("(")?;
        let column = self.column();
        let (size, src, off) = self.place()?;
        self.expect(")")?;
        if width == Width::W32 && size == Size::Dw {
            return Err((column, AsmErrorKind::MixedWidths(format!("({} *)", size.type_name()))));
        }
        Ok(Insn::new(Opcode::of(Op::LoadAcquire { size })).dst(dst).src(src).off(off))
    }

    /// `store_release((u32 *)(dst + 4), src)`; the name is behind us.
    fn store_release(&mut self) -> Result<Insn, Fail> {
        self.expect("(")?;
        let (size, dst, off) = self.place()?;
        self.expect(",")?;
        let src = self.reg_for(size)?;
        self.expect(")")?;
        Ok(Insn::new(Opcode::of(Op::StoreRelease { size })).dst(dst).src(src).off(off))
    }

    /// `(u32 *)` or, where it may be, `(s32 *)`: size and whether it is signed.
    fn pointer(&mut self, signed: bool) -> Result<(Size, bool), Fail> {
        self.expect("(")?;
        let name = self.peek().map_or("", |token| token.text);
        let unsigned = Size::ALL.into_iter().find(|size| size.type_name() == name);
        let extended = [Size::B, Size::H, Size::W].into_iter().find(|size| signed && size.signed_name() == name);
        let Some(size) = unsigned.or(extended) else {
            return Err(self.expected(if signed {
                "`u8`, `u16`, `u32`, `u64`, `s8`, `s16` or `s32`"
            } else {
                "`u8`, `u16`, `u32` or `u64`"
            }));
        };
        self.skip(1);
        self.expect("*")?;
        self.expect(")")?;
        Ok((size, unsigned.is_none()))
    }

    /// `(u32 *)(r1 + 4)`.
    fn place(&mut self) -> Result<(Size, Reg, i16), Fail> {
        let (size, _) = self.pointer(false)?;
        self.expect("(")?;
        let (reg, off) = self.address()?;
        self.close()?;
        Ok((size, reg, off))
    }

    /// The same of a size that atomic operations have.
    fn atomic_place(&mut self) -> Result<(Size, Reg, i16), Fail> {
        let column = self.rest().get(1).map_or(self.column(), |token| token.column);
        let place = self.place()?;
        if matches!(place.0, Size::W | Size::Dw) {
            return Ok(place);
        }
        let (expected, found) = ("`u32` or `u64`", place.0.type_name().to_owned());
        Err((column, AsmErrorKind::Expected { expected, found, nearest: None }))
    }

    /// `r1 + 4`, `r1 +4` or `r1`.
    fn address(&mut self) -> Result<(Reg, i16), Fail> {
        let Some((reg, Width::W64)) = self.peek().and_then(|token| token.register()) else {
            return Err(self.expected("a 64-bit register"));
        };
        self.skip(1);
        let column = self.column();
        let signed = self.peek().is_some_and(|token| matches!(token.text, "+" | "-"));
        let off = if signed { self.number("an offset")? } else { 0 };
        Ok((reg, parser::off16(column, off)?))
    }

    /// `)` behind an address.
    fn close(&mut self) -> Result<(), Fail> {
        if self.take(")") { Ok(()) } else { Err(self.expected("`+`, `-` or `)`")) }
    }

    /// `if dst cond source goto target`; the `if` is behind us.
    fn conditional(&mut self) -> Result<Statement<'a>, Fail> {
        let Some((dst, width)) = self.peek().and_then(|token| token.register()) else {
            return Err(self.expected("a register"));
        };
        self.skip(1);
        let symbol = self.peek().map_or("", |token| token.text);
        let Some(cond) = Cond::ALL.into_iter().find(|cond| cond.symbol() == symbol) else {
            return Err(self.expected("a comparison"));
        };
        self.skip(1);
        let insn = self.operand(dst, width, |source| Op::Jump { cond, width, source })?;
        self.expect("goto")?;
        self.target(insn)
    }

    /// `call 1`, `call bpf_map_lookup_elem#1`, `call pc+3`, `call local f`, `call f`; the `call` is behind us.
    fn call(&mut self, code: Option<u8>) -> Result<Statement<'a>, Fail> {
        let Some(token) = self.peek() else { return Err(self.expected("the number or name of a helper, or a label")) };
        if token.kind != TokenKind::Word {
            let insn = Insn::new(Opcode::Call).imm(self.imm("the number or name of a helper, or a label")?);
            self.remark();
            return Ok((insn, None));
        }
        if token.register().is_some() {
            return Err((token.column, AsmErrorKind::Reserved("call by register")));
        }
        if self.take("local") {
            return self.call_local();
        }
        let second = self.rest().get(1).map_or("", |token| token.text);
        if token.text == "pc" && matches!(second, "+" | "-") {
            let (insn, _) = self.target(Insn::new(Opcode::CallLocal))?;
            // bpftool adds the name of the subprogram.
            if self.take("#") {
                self.finish();
            }
            return Ok((insn, None));
        }
        if self.take_all(&["kernel", "-", "function", "#"]) || self.take_all(&["kfunc", "#"]) {
            return Ok((Insn::new(Opcode::CallKfunc).imm(self.imm("the number of a kernel function")?), None));
        }
        self.skip(1);
        if self.take("#") {
            return self.numbered_call(token, code).map(|insn| (insn, None));
        }
        self.remark();
        Ok((Insn::new(Opcode::Call), Some((Goal::Callee, token))))
    }

    /// `call bpf_map_lookup_elem#1`: the name and `#` are behind us. bpftool has another number there than the helper's, and
    /// the log of a call to a kernel function has that function's BTF number.
    fn numbered_call(&mut self, name: super::lexer::Token<'a>, code: Option<u8>) -> Result<Insn, Fail> {
        let column = self.column();
        let imm = self.imm("the number of a helper")?;
        let call = Insn::new(Opcode::Call);
        let numbered = u32::try_from(imm).ok().and_then(crate::helper::fact);
        match (super::helper_id(name.text), numbered) {
            (Some(id), Some(fact)) if fact.id != id => {
                let kind = AsmErrorKind::OtherHelper { name: name.text.to_owned(), id, number: imm };
                Err((column, kind))
            }
            (Some(id), _) => Ok(call.imm(id as i32)),
            (None, _) if matches!(name.text, "unknown" | "bpf_unspec") => Ok(call.imm(imm)),
            // The name is the kernel's, which knows more of them than we do.
            (None, None) if code.is_some() => Ok(Insn::new(Opcode::CallKfunc).imm(imm)),
            (None, _) => Err((name.column, super::unknown_helper(name.text))),
        }
    }

    /// The last token was not for us.
    fn unread(&mut self) {
        self.back(1);
    }
}

/// The operation of `dst symbol= source`.
fn binary(symbol: &str, width: Width) -> Option<impl Fn(Source) -> Op> {
    let alu = AluOp::ALL.into_iter().find(|op| op.symbol() == symbol);
    let shift = ShiftOp::ALL.into_iter().find(|op| op.symbol() == symbol);
    let muldiv = MulDivOp::ALL.into_iter().find(|op| op.symbol() == symbol);
    (alu.is_some() || shift.is_some() || muldiv.is_some()).then_some(move |source| match (alu, shift, muldiv) {
        (Some(op), ..) => Op::Alu { op, width, source },
        (_, Some(op), _) => Op::Shift { op, width, source },
        (_, _, Some(op)) => Op::MulDiv { op, width, source },
        _ => Op::Mov { width, source },
    })
}

/// The operation of `lock *(...) symbol src`.
fn atomic_symbol(symbol: &str) -> Option<AtomicOp> {
    let symbol = symbol.strip_suffix('=')?;
    AtomicOp::ALL.into_iter().find(|op| op.symbol() == Some(symbol))
}

/// `be16` and its like.
fn byte_order(word: &str) -> Option<(Order, Size)> {
    let sizes = [Size::H, Size::W, Size::Dw];
    let all = Order::ALL.into_iter().flat_map(|order| sizes.map(|size| (order, size)));
    all.into_iter()
        .find(|(order, size)| word.strip_prefix(order.prefix()).is_some_and(|bits| bits.parse() == Ok(size.bits())))
}

/// The operation of an atomic function that returns what was there, and its size if the name says it.
fn atomic_function(word: &str) -> Option<(AtomicOp, Option<Size>)> {
    match word {
        "xchg_64" => return Some((AtomicOp::Xchg, Some(Size::Dw))),
        "xchg32_32" => return Some((AtomicOp::Xchg, Some(Size::W))),
        "cmpxchg_64" => return Some((AtomicOp::Cmpxchg, Some(Size::Dw))),
        "cmpxchg32_32" => return Some((AtomicOp::Cmpxchg, Some(Size::W))),
        _ => {}
    }
    // LLVM's `atomic_fetch_add` is of both sizes, Linux's of 32 bits.
    let (name, size) = match word.strip_prefix("atomic64_") {
        Some(name) => (name, Some(Size::Dw)),
        None => (word.strip_prefix("atomic_")?, None),
    };
    let op = AtomicOp::ALL.into_iter().find(|op| match op {
        AtomicOp::Xchg | AtomicOp::Cmpxchg => op.name() == name,
        _ => name.strip_prefix("fetch_") == Some(op.name()),
    })?;
    Some((op, size))
}
