//! Mistakes in the meaning, each of which a sample has to notice.

use std::ops::Range;

use jit::x64::meaning::{Cpu, Fault, Flags, Outside, run};
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reg, ShiftOp};
use semantics::insn::{Flow, Size, Width};
use semantics::word::Concrete;

use crate::sample::{Meaning, Window};

type Processor = Cpu<Concrete, Window>;

/// A mistake: its name, where it lies, and the meaning that has it.
pub struct Wrong {
    pub name: &'static str,
    pub concerns: fn(&Inst) -> bool,
    pub meaning: Meaning,
}

/// The right meaning, then `$change` of what it did: the instruction, the state before and the state after.
macro_rules! wrong {
    ($($name:literal, $form:pat => |$inst:pat_param, $before:pat_param, $cpu:pat_param| $change:expr;)*) => {
        pub const ALL: &[Wrong] = &[$(Wrong {
            name: $name,
            concerns: |inst| matches!(inst, $form),
            meaning: |code, cpu| {
                let before = cpu.clone();
                let flow = run(code, cpu)?;
                let change: fn(Inst, Processor, &mut Processor) = |$inst, $before, $cpu| $change;
                if matches!(flow, Flow::Next) {
                    change(code[0], before, cpu);
                }
                Ok(flow)
            },
        }),*];
    };
}

const W32: Width = Width::W32;
const W64: Width = Width::W64;
const LOW: u64 = 0xffff_ffff;

fn flags(cpu: &mut Processor) -> &mut Flags<bool> {
    cpu.flags.as_mut().expect("flags that this mistake changes")
}

fn upper(value: u64, low: u64) -> u64 {
    value & !LOW | low & LOW
}

wrong! {
    "add forgets the carry", Inst::AluRr { op: AluOp::Add, .. } => |_, _, cpu| flags(cpu).carry = false;
    "sub overflows as add does", Inst::AluRr { op: AluOp::Sub, width: W64, .. } => |inst, before, cpu| {
        let Inst::AluRr { dst, src, .. } = inst else { return };
        let (left, right) = (before.get(dst) as i64, before.get(src) as i64);
        flags(cpu).overflow = left.overflowing_add(right).1;
    };
    "cmp writes its result", Inst::AluRi { op: AluOp::Cmp, width: W64, .. } => |inst, _, cpu| {
        let Inst::AluRi { dst, imm, .. } = inst else { return };
        cpu.set(dst, cpu.get(dst).wrapping_sub(imm as i32 as u64));
    };
    "and of 32 bits keeps the upper half", Inst::AluRr { op: AluOp::And, width: W32, .. } => |inst, before, cpu| {
        let Inst::AluRr { dst, .. } = inst else { return };
        cpu.set(dst, upper(before.get(dst), cpu.get(dst)));
    };
    "xor keeps the carry", Inst::AluRr { op: AluOp::Xor, .. } => |_, before, cpu| {
        flags(cpu).carry = before.flags.is_some_and(|flags| flags.carry);
    };
    "an immediate of 64 bits is extended with zeros", Inst::AluRi { op: AluOp::Or, width: W64, .. } => |inst, before, cpu| {
        let Inst::AluRi { dst, imm, .. } = inst else { return };
        cpu.set(dst, before.get(dst) | u64::from(imm));
    };
    "neg borrows from 0 and from nothing else", Inst::Neg { .. } => |_, _, cpu| flags(cpu).carry ^= true;
    "neg never overflows", Inst::Neg { .. } => |_, _, cpu| flags(cpu).overflow = false;
    "mov of 32 bits keeps the upper half", Inst::MovRr { width: W32, .. } => |inst, before, cpu| {
        let Inst::MovRr { dst, .. } = inst else { return };
        cpu.set(dst, upper(before.get(dst), cpu.get(dst)));
    };
    "a store of an immediate extends it with zeros", Inst::StoreImm { size: Size::Dw, .. } => |inst, before, cpu| {
        let Inst::StoreImm { base, disp, imm, .. } = inst else { return };
        store(cpu, Size::Dw, before.get(base).wrapping_add(disp as i32 as u64), u64::from(imm));
    };
    "a load of 2 bytes keeps the rest", Inst::Load { size: Size::H, .. } => |inst, before, cpu| {
        let Inst::Load { dst, .. } = inst else { return };
        cpu.set(dst, before.get(dst) & !0xffff | cpu.get(dst));
    };
    "movsx clears the upper half", Inst::LoadSx { .. } => |inst, _, cpu| {
        let Inst::LoadSx { dst, .. } = inst else { return };
        cpu.set(dst, cpu.get(dst) & LOW);
    };
    "an amount of 64-bit shifts is taken modulo 32", Inst::ShiftCl { op: ShiftOp::Shl, width: W64, .. } => |inst, before, cpu| {
        let Inst::ShiftCl { dst, .. } = inst else { return };
        cpu.set(dst, before.get(dst) << (before.get(Reg::Rcx) & 31));
    };
    "an amount of 32-bit shifts is not reduced", Inst::ShiftImm { op: ShiftOp::Shr, width: W32, .. } => |inst, before, cpu| {
        let Inst::ShiftImm { dst, amount, .. } = inst else { return };
        cpu.set(dst, (before.get(dst) & LOW).checked_shr(u32::from(amount)).unwrap_or(0));
    };
    "sar shifts in zeros", Inst::ShiftX { op: ShiftOp::Sar, width: W64, .. } => |inst, before, cpu| {
        let Inst::ShiftX { dst, src, amount, .. } = inst else { return };
        cpu.set(dst, before.get(src) >> (before.get(amount) & 63));
    };
    "shlx sets flags", Inst::ShiftX { op: ShiftOp::Shl, .. } => |inst, _, cpu| {
        let Inst::ShiftX { dst, .. } = inst else { return };
        let value = cpu.get(dst);
        flags(cpu).zero = value == 0;
    };
    "a shift by 0 leaves the zero flag to the result", Inst::ShiftImm { op: ShiftOp::Shl, width: W64, .. } => |inst, before, cpu| {
        let Inst::ShiftImm { dst, .. } = inst else { return };
        let zero = cpu.get(dst) == 0;
        cpu.flags = before.flags.map(|flags| Flags { zero, ..flags });
    };
    "the product of 32 bits is not cut", Inst::Imul { width: W32, .. } => |inst, before, cpu| {
        let Inst::Imul { dst, src, .. } = inst else { return };
        cpu.set(dst, (before.get(dst) & LOW).wrapping_mul(before.get(src) & LOW));
    };
    "imul leaves the flags", Inst::ImulImm { .. } => |_, before, cpu| cpu.flags = before.flags;
    "idiv rounds down", Inst::Div { signed: true, width: W64, .. } => |inst, before, cpu| {
        let Inst::Div { src, .. } = inst else { return };
        let (left, right) = (before.get(Reg::Rax) as i64, before.get(src) as i64);
        cpu.set(Reg::Rax, left.wrapping_div_euclid(right) as u64);
    };
    "div of 32 bits keeps the upper half of rdx", Inst::Div { signed: false, width: W32, .. } => |_, before, cpu| {
        cpu.set(Reg::Rdx, upper(before.get(Reg::Rdx), cpu.get(Reg::Rdx)));
    };
    "cdq fills all of rdx", Inst::SignRdx { width: W32 } => |_, _, cpu| {
        cpu.set(Reg::Rdx, cpu.get(Reg::Rdx) as i32 as u64);
    };
    "bswap of 32 bits keeps the upper half", Inst::Bswap { width: W32, .. } => |inst, before, cpu| {
        let Inst::Bswap { dst, .. } = inst else { return };
        cpu.set(dst, upper(before.get(dst), cpu.get(dst)));
    };
    "cmpxchg of 32 bits clears the upper half on success", Inst::Lock { op: LockOp::Cmpxchg, width: W32, .. } => |_, _, cpu| {
        cpu.set(Reg::Rax, cpu.get(Reg::Rax) & LOW);
    };
    "cmpxchg of 32 bits keeps the upper half on failure", Inst::Lock { op: LockOp::Cmpxchg, width: W32, .. } => |_, before, cpu| {
        cpu.set(Reg::Rax, upper(before.get(Reg::Rax), cpu.get(Reg::Rax)));
    };
    "xadd leaves its register", Inst::Lock { op: LockOp::Xadd, .. } => |inst, before, cpu| {
        let Inst::Lock { src, .. } = inst else { return };
        cpu.set(src, before.get(src));
    };
    "xchg sets flags", Inst::Lock { op: LockOp::Xchg, .. } => |_, _, cpu| flags(cpu).carry = false;
    "push of rsp stores what it becomes", Inst::Push { .. } => |inst, _, cpu| {
        let (top, Inst::Push { src }) = (cpu.get(Reg::Rsp), inst) else { return };
        store(cpu, Size::Dw, top, cpu.get(src));
    };
    "pop of rsp moves it on", Inst::Pop { .. } => |inst, _, cpu| {
        if matches!(inst, Inst::Pop { dst: Reg::Rsp }) {
            cpu.set(Reg::Rsp, cpu.get(Reg::Rsp).wrapping_add(8));
        }
    };
}

fn store(cpu: &mut Processor, size: Size, addr: u64, value: u64) {
    cpu.outside.store(size, &addr, &value).expect("where it was stored before");
}

/// Conditions that read the wrong flags: as a branch, with another condition in its place.
pub const CONDITIONS: &[(Cc, Cc)] = &[
    (Cc::Le, Cc::L),
    (Cc::G, Cc::Ge),
    (Cc::L, Cc::S),
    (Cc::Ge, Cc::Ns),
    (Cc::Be, Cc::B),
    (Cc::A, Cc::Ae),
    (Cc::O, Cc::No),
    (Cc::E, Cc::Be),
];

/// A branch or a jump inside a sequence on the wrong one of [`CONDITIONS`].
pub fn condition(code: &[Inst], cpu: &mut Processor) -> Result<Flow<bool>, Fault<Range<u64>>> {
    let other = |cc: Cc| CONDITIONS.iter().find(|(right, _)| *right == cc).map_or(cc, |(_, wrong)| *wrong);
    let mut code = code.to_vec();
    match &mut code[0] {
        Inst::Branch(Branch::Jcc(cc)) | Inst::Skip { cc: Some(cc), .. } => *cc = other(*cc),
        _ => {}
    }
    run(&code, cpu)
}
