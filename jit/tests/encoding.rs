//! The encoder against iced-x86, an independent decoder: every form, register, and class of immediate and displacement.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, MemorySize, Mnemonic, OpKind, Register};
use jit::x64::decode::{Decoded, decode};
use jit::x64::encode::{branch, branch_len, encode};
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp, Stub};
use semantics::insn::{Size, Width};
use semantics::word::Concrete;

/// Both sides of every border between encodings, and of the widths themselves.
const VALUES: [i32; 14] =
    [0, 1, -1, 0x11, 126, 127, 128, -127, -128, -129, 0x1234_5678, -0x1234_5678, i32::MAX, i32::MIN];
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

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

fn bytes(width: Width) -> usize {
    if width == Width::W64 { 8 } else { 4 }
}

/// Encodes, decodes with both decoders, and gives what iced saw.
fn seen(inst: Inst) -> Instruction {
    let mut code = Vec::new();
    encode(&inst, &mut code);
    match decode::<Concrete>(&code) {
        Some((Decoded::Inst(back), len)) => assert_eq!((normal(inst), code.len()), (back, len), "{code:02x?}"),
        other => panic!("{inst:?} as {code:02x?} decodes to {other:?}"),
    }
    let mut decoder = Decoder::with_ip(64, &code, 0, DecoderOptions::NONE);
    let seen = decoder.decode();
    assert!(!seen.is_invalid() && seen.len() == code.len(), "{inst:?} as {code:02x?}: {seen}");
    seen
}

/// A store of fewer than 4 bytes holds no more of its immediate.
fn normal(inst: Inst) -> Inst {
    match inst {
        Inst::StoreImm { size: Size::B, base, disp, imm } => {
            Inst::StoreImm { size: Size::B, base, disp, imm: imm as i8 as u32 }
        }
        Inst::StoreImm { size: Size::H, base, disp, imm } => {
            Inst::StoreImm { size: Size::H, base, disp, imm: imm as i16 as u32 }
        }
        other => other,
    }
}

fn is_memory(seen: &Instruction, operand: u32, base: Reg, disp: i32) {
    assert_eq!(seen.op_kind(operand), OpKind::Memory, "{seen}");
    assert_eq!((seen.memory_base(), seen.memory_index()), (full(base), Register::None), "{seen}");
    assert_eq!(seen.memory_displacement64(), disp as i64 as u64, "{seen}");
}

fn is_register(seen: &Instruction, operand: u32, register: Register) {
    assert_eq!((seen.op_kind(operand), seen.op_register(operand)), (OpKind::Register, register), "{seen}");
}

fn mnemonic(op: AluOp) -> Mnemonic {
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

fn pairs() -> impl Iterator<Item = (Reg, Reg)> {
    Reg::ALL.into_iter().flat_map(|a| Reg::ALL.map(|b| (a, b)))
}

#[test]
fn register_forms() {
    for ((dst, src), width) in pairs().flat_map(|pair| WIDTHS.map(|width| (pair, width))) {
        for op in AluOp::ALL {
            let seen = seen(Inst::AluRr { op, width, dst, src });
            assert_eq!(seen.mnemonic(), mnemonic(op));
            is_register(&seen, 0, part(dst, bytes(width)));
            is_register(&seen, 1, part(src, bytes(width)));
        }
        let seen = seen(Inst::MovRr { width, dst, src });
        assert_eq!(seen.mnemonic(), Mnemonic::Mov);
        is_register(&seen, 0, part(dst, bytes(width)));
        is_register(&seen, 1, part(src, bytes(width)));
    }
}

#[test]
fn one_register_forms() {
    for reg in Reg::ALL {
        for width in WIDTHS {
            let seen = seen(Inst::Neg { width, dst: reg });
            assert_eq!((seen.mnemonic(), seen.op_count()), (Mnemonic::Neg, 1));
            is_register(&seen, 0, part(reg, bytes(width)));
        }
        for (inst, wanted) in [
            (Inst::Push { src: reg }, Mnemonic::Push),
            (Inst::Pop { dst: reg }, Mnemonic::Pop),
            (Inst::CallReg { target: reg }, Mnemonic::Call),
            (Inst::JmpReg { target: reg }, Mnemonic::Jmp),
        ] {
            let seen = seen(inst);
            assert_eq!((seen.mnemonic(), seen.op_count()), (wanted, 1));
            is_register(&seen, 0, full(reg));
        }
    }
    assert_eq!(seen(Inst::Ret).code(), Code::Retnq);
}

#[test]
fn immediate_forms() {
    for (dst, imm) in Reg::ALL.into_iter().flat_map(|dst| VALUES.map(|imm| (dst, imm))) {
        for (op, width) in AluOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
            let seen = seen(Inst::AluRi { op, width, dst, imm: imm as u32 });
            assert_eq!(seen.mnemonic(), mnemonic(op));
            is_register(&seen, 0, part(dst, bytes(width)));
            let (mask, wanted) =
                if width == Width::W64 { (u64::MAX, imm as i64 as u64) } else { (0xffff_ffff, imm as u32 as u64) };
            assert_eq!(seen.immediate(1) & mask, wanted, "{seen}");
            let short = i8::try_from(imm).is_ok() && op != AluOp::Test;
            let rex = usize::from(width == Width::W64 || dst.number() >= 8);
            assert_eq!(seen.len(), rex + 2 + if short { 1 } else { 4 }, "the shorter encoding: {seen}");
        }
        let zx = seen(Inst::MovZx { dst, imm: imm as u32 });
        assert_eq!((zx.mnemonic(), zx.immediate(1)), (Mnemonic::Mov, imm as u32 as u64));
        is_register(&zx, 0, part(dst, 4));
        let sx = seen(Inst::MovSx { dst, imm: imm as u32 });
        assert_eq!((sx.mnemonic(), sx.immediate(1)), (Mnemonic::Mov, imm as i64 as u64));
        is_register(&sx, 0, full(dst));
        let imm64 = (imm as u64) << 32 | 0x89ab_cdef;
        let abs = seen(Inst::MovAbs { dst, imm: imm64 });
        assert_eq!((abs.mnemonic(), abs.immediate(1)), (Mnemonic::Mov, imm64));
        is_register(&abs, 0, full(dst));
    }
}

#[test]
fn memory_forms() {
    for ((reg, base), disp) in pairs().flat_map(|pair| VALUES.map(|disp| (pair, disp))) {
        for size in Size::ALL {
            let len = size.bytes() as usize;
            let load = seen(Inst::Load { size, dst: reg, base, disp: disp as u32 });
            assert_eq!(load.mnemonic(), if len < 4 { Mnemonic::Movzx } else { Mnemonic::Mov });
            assert_eq!(load.memory_size().size(), len);
            is_register(&load, 0, part(reg, len.max(4)));
            is_memory(&load, 1, base, disp);
            let store = seen(Inst::Store { size, base, disp: disp as u32, src: reg });
            assert_eq!((store.mnemonic(), store.memory_size().size()), (Mnemonic::Mov, len));
            is_memory(&store, 0, base, disp);
            is_register(&store, 1, part(reg, len));
        }
    }
}

#[test]
fn stores_of_immediates() {
    for base in Reg::ALL {
        for (disp, imm) in VALUES.into_iter().flat_map(|disp| VALUES.map(|imm| (disp, imm))) {
            for size in Size::ALL {
                let store = seen(Inst::StoreImm { size, base, disp: disp as u32, imm: imm as u32 });
                let (wanted, memory) = match size {
                    Size::B => (imm as u8 as u64, MemorySize::UInt8),
                    Size::H => (imm as u16 as u64, MemorySize::UInt16),
                    Size::W => (imm as u32 as u64, MemorySize::UInt32),
                    Size::Dw => (imm as i64 as u64, MemorySize::UInt64),
                };
                assert_eq!((store.mnemonic(), store.memory_size()), (Mnemonic::Mov, memory));
                is_memory(&store, 0, base, disp);
                assert_eq!(store.immediate(1), wanted, "{store}");
            }
        }
    }
}

#[test]
fn shifts() {
    for (dst, width) in Reg::ALL.into_iter().flat_map(|dst| WIDTHS.map(|width| (dst, width))) {
        for op in ShiftOp::ALL {
            let (by_imm, by_reg) = match op {
                ShiftOp::Shl => (Mnemonic::Shl, Mnemonic::Shlx),
                ShiftOp::Shr => (Mnemonic::Shr, Mnemonic::Shrx),
                ShiftOp::Sar => (Mnemonic::Sar, Mnemonic::Sarx),
            };
            for amount in 0..=255u8 {
                let seen = seen(Inst::ShiftImm { op, width, dst, amount });
                assert_eq!((seen.mnemonic(), seen.immediate(1)), (by_imm, u64::from(amount)));
                is_register(&seen, 0, part(dst, bytes(width)));
            }
            let by_cl = seen(Inst::ShiftCl { op, width, dst });
            assert_eq!(by_cl.mnemonic(), by_imm);
            is_register(&by_cl, 0, part(dst, bytes(width)));
            is_register(&by_cl, 1, Register::CL);
            for (src, amount) in pairs() {
                let seen = seen(Inst::ShiftX { op, width, dst, src, amount });
                assert_eq!(seen.mnemonic(), by_reg);
                for (operand, reg) in [dst, src, amount].into_iter().enumerate() {
                    is_register(&seen, operand as u32, part(reg, bytes(width)));
                }
            }
        }
    }
}

#[test]
fn products_and_quotients() {
    for ((dst, src), width) in pairs().flat_map(|pair| WIDTHS.map(|width| (pair, width))) {
        let product = seen(Inst::Imul { width, dst, src });
        assert_eq!((product.mnemonic(), product.op_count()), (Mnemonic::Imul, 2));
        is_register(&product, 0, part(dst, bytes(width)));
        is_register(&product, 1, part(src, bytes(width)));
        for imm in VALUES {
            let seen = seen(Inst::ImulImm { width, dst, src, imm: imm as u32 });
            assert_eq!((seen.mnemonic(), seen.op_count()), (Mnemonic::Imul, 3));
            is_register(&seen, 0, part(dst, bytes(width)));
            is_register(&seen, 1, part(src, bytes(width)));
            assert_eq!(seen.immediate(2) as u32, imm as u32);
        }
        for signed in [false, true] {
            let seen = seen(Inst::Div { signed, width, src });
            assert_eq!(seen.mnemonic(), if signed { Mnemonic::Idiv } else { Mnemonic::Div });
            is_register(&seen, 0, part(src, bytes(width)));
        }
        let sign = seen(Inst::SignRdx { width });
        assert_eq!(sign.mnemonic(), if width == Width::W64 { Mnemonic::Cqo } else { Mnemonic::Cdq });
    }
}

#[test]
fn extensions_and_byte_order() {
    for (dst, src) in pairs() {
        for size in [Size::B, Size::H] {
            let zx = seen(Inst::MovZxRr { size, dst, src });
            assert_eq!(zx.mnemonic(), Mnemonic::Movzx);
            is_register(&zx, 0, part(dst, 4));
            is_register(&zx, 1, part(src, size.bytes() as usize));
        }
        let from = |width| [Size::B, Size::H, Size::W].map(|size| (size, width));
        for (size, width) in WIDTHS.into_iter().flat_map(from).filter(|pair| *pair != (Size::W, Width::W32)) {
            let sx = seen(Inst::MovSxRr { size, width, dst, src });
            assert_eq!(sx.mnemonic(), if size == Size::W { Mnemonic::Movsxd } else { Mnemonic::Movsx });
            is_register(&sx, 0, part(dst, bytes(width)));
            is_register(&sx, 1, part(src, size.bytes() as usize));
        }
        for (size, disp) in [Size::B, Size::H, Size::W].into_iter().flat_map(|size| VALUES.map(|disp| (size, disp))) {
            let load = seen(Inst::LoadSx { size, dst, base: src, disp: disp as u32 });
            assert_eq!(load.mnemonic(), if size == Size::W { Mnemonic::Movsxd } else { Mnemonic::Movsx });
            assert_eq!(load.memory_size().size(), size.bytes() as usize);
            is_register(&load, 0, full(dst));
            is_memory(&load, 1, src, disp);
        }
        for width in WIDTHS {
            let swap = seen(Inst::Bswap { width, dst });
            assert_eq!(swap.mnemonic(), Mnemonic::Bswap);
            is_register(&swap, 0, part(dst, bytes(width)));
        }
        let rol = seen(Inst::Rol16 { dst });
        assert_eq!((rol.mnemonic(), rol.immediate(1)), (Mnemonic::Rol, 8));
        is_register(&rol, 0, part(dst, 2));
    }
}

#[test]
fn locked_forms() {
    for ((src, base), disp) in pairs().flat_map(|pair| VALUES.map(|disp| (pair, disp))) {
        for (op, width) in LockOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
            let seen = seen(Inst::Lock { op, width, base, disp: disp as u32, src });
            let wanted = match op {
                LockOp::Alu(op) => mnemonic(op),
                LockOp::Xadd => Mnemonic::Xadd,
                LockOp::Xchg => Mnemonic::Xchg,
                LockOp::Cmpxchg => Mnemonic::Cmpxchg,
            };
            assert_eq!((seen.mnemonic(), seen.memory_size().size()), (wanted, bytes(width)));
            // An exchange with memory is locked without saying so.
            assert_eq!(seen.has_lock_prefix(), op != LockOp::Xchg);
            is_memory(&seen, 0, base, disp);
            is_register(&seen, 1, part(src, bytes(width)));
        }
    }
}

#[test]
fn jumps_inside_a_sequence() {
    let target = |inst: Inst| {
        let mut code = Vec::new();
        encode(&inst, &mut code);
        let seen = Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE).decode();
        assert_eq!(seen.len(), code.len());
        (seen.condition_code(), seen.near_branch64())
    };
    for bytes in 0..0x80u8 {
        for cc in Cc::ALL {
            let skip = Inst::Skip { cc: Some(cc), count: 1, bytes };
            assert_eq!(target(skip), (condition(cc), 0x1002 + u64::from(bytes)));
        }
        let always = target(Inst::Skip { cc: None, count: 1, bytes });
        assert_eq!(always, (iced_x86::ConditionCode::None, 0x1002 + u64::from(bytes)));
        let retry = target(Inst::Retry { bytes });
        assert_eq!(retry, (iced_x86::ConditionCode::ne, 0x1002 - u64::from(bytes)));
    }
}

#[test]
fn branches() {
    let kinds = Cc::ALL.map(Branch::Jcc).into_iter().chain([Branch::Jmp, Branch::Local, Branch::Stub(Stub::Helper)]);
    for (kind, reach) in kinds.flat_map(|kind| [Reach::Short, Reach::Near].map(|reach| (kind, reach))) {
        let near = reach == Reach::Near || matches!(kind, Branch::Stub(_) | Branch::Local);
        for rel in VALUES.into_iter().filter(|rel| near || i8::try_from(*rel).is_ok()) {
            let mut code = Vec::new();
            branch::<Concrete>(kind, reach, &(rel as u32), &mut code);
            assert_eq!(code.len(), branch_len(kind, reach) as usize);
            let seen = Decoder::with_ip(64, &code, 0x1_0000_0000, DecoderOptions::NONE).decode();
            assert_eq!(seen.len(), code.len());
            assert_eq!(seen.near_branch64() as i64, seen.next_ip() as i64 + i64::from(rel), "{seen}");
            let opcode = code[usize::from(code[0] == 0x0f)];
            match kind {
                Branch::Jcc(cc) => {
                    assert!(seen.is_jcc_short_or_near());
                    assert_eq!((opcode & 15, seen.condition_code()), (cc as u8, condition(cc)));
                }
                Branch::Jmp => assert!(seen.is_jmp_short_or_near()),
                Branch::Stub(_) | Branch::Local => assert!(seen.is_call_near()),
            }
            let kind = match kind {
                Branch::Stub(_) => Branch::Local,
                other => other,
            };
            let Some((Decoded::Branch { branch, reach, rel: back }, len)) = decode::<Concrete>(&code) else {
                panic!("{seen} does not decode");
            };
            assert_eq!((branch, reach == Reach::Near, back, len), (kind, near, rel as u32, code.len()));
        }
    }
}

fn condition(cc: Cc) -> iced_x86::ConditionCode {
    use iced_x86::ConditionCode as C;
    match cc {
        Cc::O => C::o,
        Cc::No => C::no,
        Cc::B => C::b,
        Cc::Ae => C::ae,
        Cc::E => C::e,
        Cc::Ne => C::ne,
        Cc::Be => C::be,
        Cc::A => C::a,
        Cc::S => C::s,
        Cc::Ns => C::ns,
        Cc::L => C::l,
        Cc::Ge => C::ge,
        Cc::Le => C::le,
        Cc::G => C::g,
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
