//! The encoder against iced-x86: every form, all registers, and every class of immediate and displacement.
//!
//! Its decoder has to read what was meant, without a byte too many; its encoder must not find a shorter way to say it.

#[path = "common/forms.rs"]
mod forms;
#[path = "common/shortest.rs"]
mod shortest;

use forms::{Form, Operands, bytes, forms};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use jit::x64::decode::{Decoded, decode};
use jit::x64::encode::{branch_len, encode};
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp};
use semantics::insn::{Size, Width};
use semantics::word::Concrete;
use shortest::Shortest;

/// Both sides of every border between encodings, and of the widths themselves.
const VALUES: [i32; 20] = [
    0,
    1,
    -1,
    0x11,
    126,
    127,
    128,
    255,
    256,
    -127,
    -128,
    -129,
    0x7fff,
    0x8000,
    -0x8000,
    -0x8001,
    0x1234_5678,
    -0x1234_5678,
    i32::MAX,
    i32::MIN,
];

/// As above for 64 bits.
const WIDE: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) + 1,
    i64::MAX as u64,
    i64::MIN as u64,
    i32::MIN as i64 as u64,
    i32::MIN as i64 as u64 - 1,
    -129i64 as u64,
    u64::MAX,
    0x0123_4567_89ab_cdef,
];

/// Where the code lies.
const START: u64 = 0x1_0000_0000;

const REGS64: [Register; 16] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RBX,
    Register::RSP,
    Register::RBP,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

fn full(reg: Reg) -> Register {
    REGS64[reg.index()]
}

/// The register that this size names: never ah, ch, dh or bh.
fn part(reg: Reg, bytes: usize) -> Register {
    const LOW: [Register; 16] = [
        Register::AL,
        Register::CL,
        Register::DL,
        Register::BL,
        Register::SPL,
        Register::BPL,
        Register::SIL,
        Register::DIL,
        Register::R8L,
        Register::R9L,
        Register::R10L,
        Register::R11L,
        Register::R12L,
        Register::R13L,
        Register::R14L,
        Register::R15L,
    ];
    match bytes {
        1 => LOW[reg.index()],
        2 => Register::AX + reg.number() as u32,
        4 => Register::EAX + reg.number() as u32,
        _ => full(reg),
    }
}

/// An operand as the manual would have it.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Register(Register),
    /// So many bytes at a base register with a displacement.
    Memory(Size, Reg, u32),
    /// A value of so many bytes.
    Imm(u64, usize),
    /// A distance from the end of the instruction.
    Target(i32),
}

/// What iced should see of an instruction.
struct Expected {
    mnemonic: Mnemonic,
    operands: Vec<Operand>,
    lock: bool,
}

fn len_of(width: Width) -> usize {
    if width == Width::W64 { 8 } else { 4 }
}

/// A register of this width.
fn wide(reg: Reg, width: Width) -> Operand {
    Operand::Register(part(reg, len_of(width)))
}

/// A register of this size.
fn sized(reg: Reg, size: Size) -> Operand {
    Operand::Register(part(reg, size.bytes() as usize))
}

/// The register that a load of this size fills.
fn loaded(reg: Reg, size: Size) -> Operand {
    Operand::Register(part(reg, size.bytes().max(4) as usize))
}

/// An immediate of 32 bits in an operation of this width.
fn imm32(imm: u32, width: Width) -> Operand {
    Operand::Imm(if width == Width::W64 { imm as i32 as u64 } else { u64::from(imm) }, len_of(width))
}

/// What each instruction should look like; a new kind does not compile without its arm.
#[allow(clippy::too_many_lines)] // a table, an arm per instruction
fn expected(inst: &Inst, rel: i32) -> Expected {
    use Mnemonic as M;
    use Operand::{Imm, Memory, Target};
    let lock = matches!(inst, Inst::Lock { op, .. } if *op != LockOp::Xchg);
    let (mnemonic, operands) = match *inst {
        Inst::AluRr { op, width, dst, src } => (alu(op), vec![wide(dst, width), wide(src, width)]),
        Inst::AluRi { op, width, dst, imm } => (alu(op), vec![wide(dst, width), imm32(imm, width)]),
        Inst::Neg { width, dst } => (M::Neg, vec![wide(dst, width)]),
        Inst::MovRr { width, dst, src } => (M::Mov, vec![wide(dst, width), wide(src, width)]),
        Inst::MovZx { dst, imm } => (M::Mov, vec![wide(dst, Width::W32), imm32(imm, Width::W32)]),
        Inst::MovSx { dst, imm } => (M::Mov, vec![wide(dst, Width::W64), imm32(imm, Width::W64)]),
        Inst::MovAbs { dst, imm } => (M::Mov, vec![wide(dst, Width::W64), Imm(imm, 8)]),
        Inst::Load { size, dst, base, disp } => {
            let mnemonic = if size.bytes() < 4 { M::Movzx } else { M::Mov };
            (mnemonic, vec![loaded(dst, size), Memory(size, base, disp)])
        }
        Inst::Store { size, base, disp, src } => (M::Mov, vec![Memory(size, base, disp), sized(src, size)]),
        Inst::StoreImm { size, base, disp, imm } => {
            let bytes = size.bytes() as usize;
            let kept = if size == Size::Dw { u64::MAX } else { (1 << size.bits()) - 1 };
            (M::Mov, vec![Memory(size, base, disp), Imm(imm as i32 as u64 & kept, bytes)])
        }
        Inst::LoadSx { size, dst, base, disp } => {
            (sign_extending(size), vec![wide(dst, Width::W64), Memory(size, base, disp)])
        }
        Inst::ShiftImm { op, width, dst, amount } => (shift(op).0, vec![wide(dst, width), Imm(u64::from(amount), 1)]),
        Inst::ShiftCl { op, width, dst } => (shift(op).0, vec![wide(dst, width), sized(Reg::Rcx, Size::B)]),
        Inst::ShiftX { op, width, dst, src, amount } => {
            (shift(op).1, [dst, src, amount].map(|reg| wide(reg, width)).to_vec())
        }
        Inst::Imul { width, dst, src } => (M::Imul, vec![wide(dst, width), wide(src, width)]),
        Inst::ImulImm { width, dst, src, imm } => {
            (M::Imul, vec![wide(dst, width), wide(src, width), imm32(imm, width)])
        }
        Inst::Div { signed, width, src } => (if signed { M::Idiv } else { M::Div }, vec![wide(src, width)]),
        Inst::SignRdx { width } => (if width == Width::W64 { M::Cqo } else { M::Cdq }, vec![]),
        Inst::MovZxRr { size, dst, src } => (M::Movzx, vec![wide(dst, Width::W32), sized(src, size)]),
        Inst::MovSxRr { size, width, dst, src } => (sign_extending(size), vec![wide(dst, width), sized(src, size)]),
        Inst::Bswap { width, dst } => (M::Bswap, vec![wide(dst, width)]),
        Inst::Lock { op, width, base, disp, src } => {
            let size = if width == Width::W64 { Size::Dw } else { Size::W };
            (locked(op), vec![Memory(size, base, disp), wide(src, width)])
        }
        Inst::Skip { cc, bytes, .. } => (cc.map_or(M::Jmp, jcc), vec![Target(i32::from(bytes))]),
        Inst::Retry { bytes } => (M::Jne, vec![Target(-i32::from(bytes))]),
        Inst::Push { src } => (M::Push, vec![wide(src, Width::W64)]),
        Inst::Pop { dst } => (M::Pop, vec![wide(dst, Width::W64)]),
        Inst::CallReg { target } => (M::Call, vec![wide(target, Width::W64)]),
        Inst::JmpReg { target } => (M::Jmp, vec![wide(target, Width::W64)]),
        Inst::Ret => (M::Ret, vec![]),
        Inst::Branch(Branch::Jcc(cc)) => (jcc(cc), vec![Target(rel)]),
        Inst::Branch(Branch::Jmp) => (M::Jmp, vec![Target(rel)]),
        Inst::Branch(Branch::Stub(_) | Branch::Local) => (M::Call, vec![Target(rel)]),
    };
    Expected { mnemonic, operands, lock }
}

fn alu(op: AluOp) -> Mnemonic {
    match op {
        AluOp::Add => Mnemonic::Add,
        AluOp::Or => Mnemonic::Or,
        AluOp::And => Mnemonic::And,
        AluOp::Sub => Mnemonic::Sub,
        AluOp::Xor => Mnemonic::Xor,
        AluOp::Cmp => Mnemonic::Cmp,
        AluOp::Test => Mnemonic::Test,
    }
}

/// By an immediate or `cl`, and with BMI2.
fn shift(op: ShiftOp) -> (Mnemonic, Mnemonic) {
    match op {
        ShiftOp::Shl => (Mnemonic::Shl, Mnemonic::Shlx),
        ShiftOp::Shr => (Mnemonic::Shr, Mnemonic::Shrx),
        ShiftOp::Sar => (Mnemonic::Sar, Mnemonic::Sarx),
    }
}

fn locked(op: LockOp) -> Mnemonic {
    match op {
        LockOp::Alu(op) => alu(op),
        LockOp::Xadd => Mnemonic::Xadd,
        LockOp::Xchg => Mnemonic::Xchg,
        LockOp::Cmpxchg => Mnemonic::Cmpxchg,
    }
}

fn sign_extending(size: Size) -> Mnemonic {
    if size == Size::W { Mnemonic::Movsxd } else { Mnemonic::Movsx }
}

fn jcc(cc: Cc) -> Mnemonic {
    match cc {
        Cc::O => Mnemonic::Jo,
        Cc::No => Mnemonic::Jno,
        Cc::B => Mnemonic::Jb,
        Cc::Ae => Mnemonic::Jae,
        Cc::E => Mnemonic::Je,
        Cc::Ne => Mnemonic::Jne,
        Cc::Be => Mnemonic::Jbe,
        Cc::A => Mnemonic::Ja,
        Cc::S => Mnemonic::Js,
        Cc::Ns => Mnemonic::Jns,
        Cc::L => Mnemonic::Jl,
        Cc::Ge => Mnemonic::Jge,
        Cc::Le => Mnemonic::Jle,
        Cc::G => Mnemonic::Jg,
    }
}

fn is_operand(seen: &Instruction, at: u32, expected: Operand) -> bool {
    let kind = seen.op_kind(at);
    match expected {
        Operand::Register(register) => kind == OpKind::Register && seen.op_register(at) == register,
        Operand::Memory(size, base, disp) => {
            kind == OpKind::Memory
                && seen.memory_size().size() == size.bytes() as usize
                && (seen.memory_base(), seen.memory_index()) == (full(base), Register::None)
                && seen.memory_displacement64() == disp as i32 as u64
                && seen.segment_prefix() == Register::None
        }
        Operand::Imm(value, bytes) => {
            let kept = if bytes == 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
            seen.try_immediate(at).is_ok_and(|seen| seen & kept == value)
        }
        Operand::Target(rel) => {
            kind == OpKind::NearBranch64 && seen.near_branch64() == seen.next_ip().wrapping_add(rel as u64)
        }
    }
}

/// What the JIT's own decoder should make of it: fewer than 4 stored bytes hold no more of their immediate, and jumps look
/// alike.
fn read_back(inst: &Inst, reach: Reach, rel: i32) -> Decoded<Concrete> {
    let jump = |branch, reach, rel: i32| Decoded::Branch { branch, reach, rel: rel as u32 };
    match *inst {
        Inst::StoreImm { size: Size::B, base, disp, imm } => {
            Decoded::Inst(Inst::StoreImm { size: Size::B, base, disp, imm: imm as i8 as u32 })
        }
        Inst::StoreImm { size: Size::H, base, disp, imm } => {
            Decoded::Inst(Inst::StoreImm { size: Size::H, base, disp, imm: imm as i16 as u32 })
        }
        Inst::Skip { cc, bytes, .. } => jump(cc.map_or(Branch::Jmp, Branch::Jcc), Reach::Short, i32::from(bytes)),
        Inst::Retry { bytes } => jump(Branch::Jcc(Cc::Ne), Reach::Short, -i32::from(bytes)),
        Inst::Branch(Branch::Stub(_)) => jump(Branch::Local, reach, rel),
        Inst::Branch(branch) => jump(branch, reach, rel),
        inst => Decoded::Inst(inst),
    }
}

fn same(left: &Decoded<Concrete>, right: &Decoded<Concrete>) -> bool {
    match (left, right) {
        (Decoded::Inst(left), Decoded::Inst(right)) => left == right,
        (Decoded::Branch { branch, reach, rel }, Decoded::Branch { branch: b, reach: r, rel: l }) => {
            (branch, reach, rel) == (b, r, l)
        }
        _ => false,
    }
}

/// Both decoders read `code` as the instruction, and all of it.
fn check(inst: &Inst, reach: Reach, rel: i32, code: &[u8]) -> Result<Instruction, String> {
    let seen = Decoder::with_ip(64, code, START, DecoderOptions::NONE).decode();
    let complain = |what: &str| Err(format!("{what}: {inst:?} as {code:02x?}, seen as {seen}"));
    let expected = expected(inst, rel);
    if seen.is_invalid() || seen.len() != code.len() {
        return complain("length");
    }
    if seen.mnemonic() != expected.mnemonic || seen.op_count() as usize != expected.operands.len() {
        return complain("mnemonic");
    }
    if !expected.operands.iter().zip(0..).all(|(operand, at)| is_operand(&seen, at, *operand)) {
        return complain("operands");
    }
    if (seen.has_lock_prefix(), seen.has_rep_prefix(), seen.has_repne_prefix()) != (expected.lock, false, false) {
        return complain("prefixes");
    }
    match decode::<Concrete>(code) {
        Some((back, len)) if len == code.len() && same(&back, &read_back(inst, reach, rel)) => Ok(seen),
        other => complain(&format!("{other:?} by the own decoder")),
    }
}

/// Calls `visit` with every instruction of the form that is checked: all registers, each class of immediate and
/// displacement. A branch comes with the distance that it goes.
fn instructions(form: Form, mut visit: impl FnMut(Inst, i32)) {
    let named = form.registers();
    let choices = |at: usize| if named > at { &Reg::ALL[..] } else { &Reg::ALL[..1] };
    let imms: Vec<u64> = match form.inst {
        Inst::ShiftImm { .. } => (0..=255).collect(),
        Inst::Skip { .. } => (0..=127).collect(),
        Inst::Retry { .. } => (0..=128).collect(),
        Inst::MovAbs { .. } => WIDE.to_vec(),
        _ if form.has_imm() => VALUES.map(|imm| imm as u64).to_vec(),
        _ => vec![0],
    };
    let is_branch = matches!(form.inst, Inst::Branch(_));
    let near = form.reach == Reach::Near;
    let rels = VALUES.into_iter().filter(|rel| *rel == 0 || is_branch && (near || i8::try_from(*rel).is_ok()));
    let rels: Vec<i32> = rels.collect();
    let disps = if form.has_disp() { &VALUES[..] } else { &VALUES[..1] };
    for (a, b, c) in choices(0).iter().flat_map(|a| {
        let pairs = choices(1).iter().flat_map(|b| choices(2).iter().map(|c| (*b, *c)));
        pairs.map(|(b, c)| (*a, b, c))
    }) {
        for (imm, disp) in imms.iter().flat_map(|imm| disps.iter().map(|disp| (*imm, *disp as u32))) {
            for rel in &rels {
                visit(form.with(&Operands { regs: [a, b, c], imm, disp }), *rel);
            }
        }
    }
}

#[test]
fn every_form_is_checked() {
    assert_eq!(forms::missing(&forms()), Vec::<String>::new());
    let without = forms().into_iter().filter(|form| form.inst != Inst::Ret).collect::<Vec<_>>();
    assert_eq!(forms::missing(&without), ["Inst::Ret"]);
}

#[test]
fn every_encoding_is_what_was_meant() {
    let (mut count, mut shortest) = (0, Shortest::new());
    for form in forms() {
        instructions(form, |inst, rel| {
            let code = bytes(&inst, form.reach, rel as u32);
            let seen = check(&inst, form.reach, rel, &code).unwrap_or_else(|complaint| panic!("{complaint}"));
            assert_eq!(shortest.of_code(&seen), code.len(), "a byte too many: {inst:?} as {code:02x?}");
            if let Inst::Branch(kind) = inst {
                assert_eq!(code.len(), branch_len(kind, form.reach) as usize, "{inst:?}");
            }
            count += 1;
        });
    }
    assert!(count > 200_000, "{count}");
}

/// Bytes by which iced knows a shorter way to say the same, with the reason why it is not taken.
fn longer_than_needed(inst: &Inst) -> (usize, &'static str) {
    match *inst {
        Inst::MovAbs { imm, .. } if i32::try_from(imm as i64).is_ok() => (3, "whoever knows the value takes MovSx"),
        _ => (0, ""),
    }
}

/// Registers that encodings treat differently, one of each kind.
const KINDS: [Reg; 8] = [Reg::Rax, Reg::Rcx, Reg::Rsp, Reg::Rbp, Reg::Rsi, Reg::R8, Reg::R12, Reg::R13];

#[test]
fn no_encoding_is_shorter() {
    let mut shortest = Shortest::new();
    for form in forms().into_iter().filter(|form| !matches!(form.inst, Inst::Branch(_))) {
        let named = form.registers();
        instructions(form, |inst, rel| {
            let code = bytes(&inst, form.reach, rel as u32);
            let seen = Decoder::with_ip(64, &code, START, DecoderOptions::NONE).decode();
            let registers = (0..seen.op_count()).map(|at| seen.op_register(at)).chain([seen.memory_base()]);
            let kind =
                |reg: Register| reg == Register::None || KINDS.iter().any(|kind| full(*kind) == reg.full_register());
            if named < 2 || registers.into_iter().all(kind) {
                let (longer, reason) = longer_than_needed(&inst);
                assert_eq!(shortest.of_any(&seen) + longer, code.len(), "{inst:?} as {code:02x?} ({reason})");
            }
        });
    }
}

/// Makes right bytes wrong.
type Spoil = fn(&Inst, &mut Vec<u8>);

/// Wrong encoders: what is wrong, and what makes it so.
const WRONG: [(&str, Spoil); 13] = [
    ("a byte of rsi or rdi without REX is one of dh or bh", |inst, code| {
        if matches!(inst, Inst::Store { size: Size::B, .. }) && code[0] == 0x40 {
            code.remove(0);
        }
    }),
    ("r12 as a base without SIB", |inst, code| {
        if matches!(inst, Inst::Load { size: Size::Dw, base: Reg::R12, .. }) {
            code.remove(3);
        }
    }),
    ("r13 as a base without displacement", |inst, code| {
        if matches!(inst, Inst::Store { size: Size::W, base: Reg::R13, disp: 0, .. }) {
            code.pop();
            *code.last_mut().unwrap() &= 0x3f;
        }
    }),
    ("128 in 8 bits, which sign-extend", |inst, code| {
        if let Inst::AluRi { op, width, dst, imm: 128 } = *inst {
            code.clear();
            encode::<Concrete>(&Inst::AluRi { op, width, dst, imm: -128i32 as u32 }, code);
        }
    }),
    ("-1 in 32 bits", |inst, code| {
        if matches!(inst, Inst::AluRi { dst: Reg::Rcx, width: Width::W32, imm: u32::MAX, .. }) && code.len() == 3 {
            code[0] = 0x81;
            code.extend([0xff; 3]);
        }
    }),
    ("a displacement of 0 in 8 bits", |inst, code| {
        if matches!(inst, Inst::Load { size: Size::W, dst: Reg::Rax, base: Reg::Rax, disp: 0 }) {
            code[1] |= 0x40;
            code.push(0);
        }
    }),
    ("REX without need", |inst, code| {
        if matches!(inst, Inst::Push { src: Reg::Rbx }) {
            code.insert(0, 0x40);
        }
    }),
    ("REX.R and REX.B swapped", |inst, code| {
        if matches!(inst, Inst::Imul { .. }) && code[0] & 0xf0 == 0x40 {
            code[0] = code[0] & !5 | (code[0] & 1) << 2 | (code[0] & 4) >> 2;
        }
    }),
    ("an amount of shlx that is not inverted", |inst, code| {
        if matches!(inst, Inst::ShiftX { .. }) {
            code[2] ^= 0x78;
        }
    }),
    ("xchg with a lock that it has already", |inst, code| {
        if matches!(inst, Inst::Lock { op: LockOp::Xchg, .. }) {
            code.insert(0, 0xf0);
        }
    }),
    ("4 bytes of immediate where 2 are stored", |inst, code| {
        if matches!(inst, Inst::StoreImm { size: Size::H, .. }) {
            code.extend([0, 0]);
        }
    }),
    ("a jump counted from its first byte", |inst, code| {
        if matches!(inst, Inst::Skip { .. }) {
            code[1] = code[1].wrapping_add(2);
        }
    }),
    ("movsxd of 32 bits", |inst, code| {
        if matches!(inst, Inst::LoadSx { size: Size::W, .. }) {
            code[0] &= !8;
        }
    }),
];

/// A check that could not fail would show nothing.
#[test]
fn wrong_encodings_are_noticed() {
    let mut shortest = Shortest::new();
    let mut counts = WRONG.map(|_| (0, 0));
    for form in forms().into_iter().filter(|form| !matches!(form.inst, Inst::Branch(_))) {
        instructions(form, |inst, rel| {
            let right = bytes(&inst, form.reach, rel as u32);
            for ((_, wrong), (changed, noticed)) in WRONG.iter().zip(&mut counts) {
                let mut code = right.clone();
                wrong(&inst, &mut code);
                if code != right {
                    *changed += 1;
                    let too_long = |seen| shortest.of_any(&seen) < code.len();
                    *noticed += usize::from(check(&inst, form.reach, rel, &code).map_or(true, too_long));
                }
            }
        });
    }
    for ((name, _), (changed, noticed)) in WRONG.iter().zip(counts) {
        assert!(changed > 0 && noticed == changed, "{name}: {noticed} of {changed}");
    }
}

/// Whatever our decoder accepts, iced reads the same: no second reading of a byte string.
#[test]
fn decoder_accepts_nothing_else() {
    let mut accepted = 0;
    for first in 0..=u16::MAX {
        for third in [0x00u8, 0x05, 0x24, 0x44, 0x84, 0xc0, 0xc4, 0xd8, 0xe7, 0xff] {
            let [a, b] = first.to_be_bytes();
            let code = [a, b, third, 0x24, 0x7f, 0x80, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa];
            let Some((decoded, len)) = decode::<Concrete>(&code) else { continue };
            let seen = Decoder::with_ip(64, &code, 0, DecoderOptions::NONE).decode();
            assert_eq!(seen.len(), len, "{code:02x?} as {seen} and {decoded:?}");
            accepted += 1;
            // Encoding what was read may choose shorter bytes, but means the same.
            if let Decoded::Inst(inst) = decoded {
                let mut again = Vec::new();
                encode(&inst, &mut again);
                let back = Decoder::with_ip(64, &again, 0, DecoderOptions::NONE).decode();
                assert_eq!((back.mnemonic(), back.op0_register()), (seen.mnemonic(), seen.op0_register()), "{seen}");
            }
        }
    }
    assert!(accepted > 5_000, "{accepted}");
}
