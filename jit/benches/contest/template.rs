//! A peer: code from templates, as ubpf makes it, and rbpf, whose JIT is a port of ubpf's.
//!
//! One fixed sequence per opcode: every immediate and every branch has 32 bits, RCX takes shift amounts and divisors (so R4
//! lives elsewhere), RAX and RDX are pushed around a division, and a product is a division's sequence too. It knows what the
//! contests use; anything else is a panic. Unlike rbpf it shows its bytes, so that their number can be compared.

use std::ops::Range;

use semantics::insn::{AluOp, Cond, Insn, MulDivOp, Op, Reg, ShiftOp, Size, Source, Wide, Width};

const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;
const RSP: u8 = 4;
const RBP: u8 = 5;

/// Pushed and popped.
const KEPT: [u8; 5] = [RBP, 3, 13, 14, 15];

fn native(reg: Reg) -> u8 {
    [RAX, 7, 6, RDX, 9, 8, 3, 13, 14, 15, RBP][reg.index()]
}

/// A compiled program in memory of its own.
pub struct Template {
    start: *mut libc::c_void,
    len: usize,
}

impl Template {
    /// Compiles a program.
    pub fn new(insns: &[Insn]) -> Template {
        let (bytes, _) = Template::bytes(insns);
        let len = bytes.len();
        // SAFETY: a new mapping, filled before it becomes executable.
        let start = unsafe {
            let (private, rights) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
            let start = libc::mmap(std::ptr::null_mut(), len, rights, private, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            start.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), len);
            assert_eq!(libc::mprotect(start, len, libc::PROT_READ | libc::PROT_EXEC), 0);
            start
        };
        Template { start, len }
    }

    /// The code of a program, and which part of it is neither entry nor exit.
    pub fn bytes(insns: &[Insn]) -> (Vec<u8>, Range<usize>) {
        let mut code = Assembler::default();
        for reg in KEPT {
            code.push(reg);
        }
        code.alu(Width::W64, 0x89, RSP, RBP);
        code.alu_imm(Width::W64, 0x81, 5, RSP, 512);
        // The program is called, so that its exit is a return.
        code.out.extend([0xe8, 5, 0, 0, 0, 0xe9]);
        let over = code.out.len();
        code.long(0);
        let body = code.out.len();
        for (slot, insn) in insns.iter().enumerate() {
            code.places.push(code.out.len());
            code.insn(slot, insn);
        }
        let end = code.out.len();
        code.out[over..over + 4].copy_from_slice(&((end - over - 4) as u32).to_le_bytes());
        code.alu_imm(Width::W64, 0x81, 0, RSP, 512);
        for reg in KEPT.into_iter().rev() {
            code.pop(reg);
        }
        code.out.push(0xc3);
        (code.resolve(), body..end)
    }

    /// Runs the code with this in R1.
    ///
    /// # Safety
    /// The program stays within what its argument points to.
    pub unsafe fn run(&self, argument: u64) -> u64 {
        // SAFETY: the mapping holds a function that keeps to the ABI.
        let function: extern "sysv64" fn(u64) -> u64 = unsafe { std::mem::transmute(self.start) };
        function(argument)
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // SAFETY: the mapping made above.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

#[derive(Default)]
struct Assembler {
    out: Vec<u8>,
    places: Vec<usize>,
    /// Where displacements lie, and the slots they lead to.
    jumps: Vec<(usize, usize)>,
}

impl Assembler {
    fn long(&mut self, value: u32) {
        self.out.extend(value.to_le_bytes());
    }
    fn rex(&mut self, width: Width, reg: u8, base: u8) {
        let bits = u8::from(width == Width::W64) << 3 | reg >> 3 << 2 | base >> 3;
        if bits != 0 {
            self.out.push(0x40 | bits);
        }
    }
    fn push(&mut self, reg: u8) {
        self.rex(Width::W32, 0, reg);
        self.out.push(0x50 | reg & 7);
    }
    fn pop(&mut self, reg: u8) {
        self.rex(Width::W32, 0, reg);
        self.out.push(0x58 | reg & 7);
    }
    fn alu(&mut self, width: Width, opcode: u8, reg: u8, base: u8) {
        self.rex(width, reg, base);
        self.out.extend([opcode, 0xc0 | (reg & 7) << 3 | base & 7]);
    }
    fn alu_imm(&mut self, width: Width, opcode: u8, extension: u8, dst: u8, imm: u32) {
        self.alu(width, opcode, extension, dst);
        self.long(imm);
    }
    fn mov(&mut self, dst: u8, src: u8) {
        self.alu(Width::W64, 0x89, src, dst);
    }
    fn load_imm(&mut self, dst: u8, imm: i64) {
        if let Ok(imm) = i32::try_from(imm) {
            self.alu_imm(Width::W64, 0xc7, 0, dst, imm as u32);
        } else {
            self.rex(Width::W64, 0, dst);
            self.out.push(0xb8 | dst & 7);
            self.out.extend(imm.to_le_bytes());
        }
    }
    fn memory(&mut self, reg: u8, base: u8, disp: i16) {
        let modrm = (reg & 7) << 3 | base & 7;
        match i8::try_from(disp) {
            Ok(0) if base & 7 != RBP => self.out.push(modrm),
            Ok(disp) => self.out.extend([0x40 | modrm, disp as u8]),
            Err(_) => {
                self.out.push(0x80 | modrm);
                self.long(i32::from(disp) as u32);
            }
        }
    }
    fn jump(&mut self, opcode: &[u8], slot: usize) {
        self.out.extend(opcode);
        self.jumps.push((self.out.len(), slot));
        self.long(0);
    }
    fn resolve(mut self) -> Vec<u8> {
        for (at, slot) in self.jumps {
            let distance = self.places[slot] as i64 - (at as i64 + 4);
            self.out[at..at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
        }
        self.out
    }

    fn insn(&mut self, slot: usize, insn: &Insn) {
        let (dst, src, imm, off) = (native(insn.dst), native(insn.src), insn.imm, insn.off as i16);
        match insn.op() {
            Op::Alu { op, width, source } => {
                let number = [0u8, 5, 4, 1, 6][alu_index(op)];
                match source {
                    Source::K => self.alu_imm(width, 0x81, number, dst, imm),
                    Source::X => self.alu(width, number * 8 + 1, src, dst),
                }
            }
            Op::Neg { width } => self.alu(width, 0xf7, 3, dst),
            Op::Shift { op, width, source } => {
                let extension = match op {
                    ShiftOp::Lsh => 4,
                    ShiftOp::Rsh => 5,
                    ShiftOp::Arsh => 7,
                };
                if source == Source::K {
                    self.alu(width, 0xc1, extension, dst);
                    self.out.push(imm as u8);
                } else {
                    self.mov(RCX, src);
                    self.alu(width, 0xd3, extension, dst);
                }
            }
            Op::MulDiv { op, width, source } => self.mul_div(slot, op, width, source, insn),
            Op::Mov { width: Width::W64, source: Source::X } => self.mov(dst, src),
            Op::Mov { width, source: Source::X } => self.alu(width, 0x89, src, dst),
            Op::Mov { width: Width::W64, .. } => self.load_imm(dst, i64::from(imm as i32)),
            Op::Mov { width, .. } => self.alu_imm(width, 0xc7, 0, dst, imm),
            Op::Wide(Wide::Imm64) => self.load_imm(dst, insn.wide_imm() as i64),
            Op::WideTail => {}
            Op::Load { size } => {
                self.rex(if size == Size::Dw { Width::W64 } else { Width::W32 }, dst, src);
                self.out.extend(match size {
                    Size::B => &[0x0f, 0xb6][..],
                    Size::H => &[0x0f, 0xb7],
                    Size::W | Size::Dw => &[0x8b],
                });
                self.memory(dst, src, off);
            }
            Op::Store { size, source: Source::X } => {
                if size == Size::H {
                    self.out.push(0x66);
                }
                if size == Size::B && src & 8 == 0 && dst & 8 == 0 {
                    self.out.push(0x40);
                }
                self.rex(if size == Size::Dw { Width::W64 } else { Width::W32 }, src, dst);
                self.out.push(if size == Size::B { 0x88 } else { 0x89 });
                self.memory(src, dst, off);
            }
            Op::Jump { cond, width, source } => {
                match (cond, source) {
                    (Cond::Set, Source::K) => self.alu_imm(width, 0xf7, 0, dst, imm),
                    (Cond::Set, Source::X) => self.alu(width, 0x85, src, dst),
                    (_, Source::K) => self.alu_imm(width, 0x81, 7, dst, imm),
                    (_, Source::X) => self.alu(width, 0x39, src, dst),
                }
                self.jump(&[0x0f, 0x80 + condition(cond)], insn.target(slot) as usize);
            }
            Op::Ja => self.jump(&[0xe9], insn.target(slot) as usize),
            Op::Exit => self.out.push(0xc3),
            other => panic!("{other:?} is in no contest"),
        }
    }

    /// `dst` by `src` or a constant that is not 0, through RAX, RDX and RCX.
    fn mul_div(&mut self, slot: usize, op: MulDivOp, width: Width, source: Source, insn: &Insn) {
        let (dst, src) = (native(insn.dst), native(insn.src));
        let (is_mul, is_mod) = (op == MulDivOp::Mul, op == MulDivOp::Mod);
        if source == Source::X && !is_mul {
            self.load_imm(RCX, slot as i64);
            self.alu(width, 0x85, src, src);
            if is_mod {
                self.jump(&[0x0f, 0x84], slot + 1);
            } else {
                self.out.extend([0x75, if dst >= 8 { 8 } else { 7 }]);
                self.alu(Width::W32, 0x31, dst, dst);
                self.jump(&[0xe9], slot + 1);
            }
        }
        let kept = [RAX, RDX].into_iter().filter(|reg| *reg != dst);
        for reg in kept.clone() {
            self.push(reg);
        }
        match source {
            Source::K => self.load_imm(RCX, i64::from(insn.imm as i32)),
            Source::X => self.mov(RCX, src),
        }
        self.mov(RAX, dst);
        if !is_mul {
            self.alu(Width::W32, 0x31, RDX, RDX);
        }
        self.alu(width, 0xf7, if is_mul { 4 } else { 6 }, RCX);
        self.mov(dst, if is_mod { RDX } else { RAX });
        for reg in kept.rev() {
            self.pop(reg);
        }
    }
}

fn alu_index(op: AluOp) -> usize {
    match op {
        AluOp::Add => 0,
        AluOp::Sub => 1,
        AluOp::And => 2,
        AluOp::Or => 3,
        AluOp::Xor => 4,
    }
}

fn condition(cond: Cond) -> u8 {
    match cond {
        Cond::Lt => 0x2,
        Cond::Ge => 0x3,
        Cond::Eq => 0x4,
        Cond::Ne | Cond::Set => 0x5,
        Cond::Le => 0x6,
        Cond::Gt => 0x7,
        Cond::Slt => 0xc,
        Cond::Sge => 0xd,
        Cond::Sle => 0xe,
        Cond::Sgt => 0xf,
    }
}
