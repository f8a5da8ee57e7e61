//! Snippets of code on the processor: a loop around each takes a batch of states through it.

use std::cell::UnsafeCell;
use std::mem::offset_of;

use jit::image::Image;
use jit::x64::encode::{branch, encode};
use jit::x64::{AluOp, Branch, Cc, Inst, Reach, Reg};
use semantics::insn::{Size, Width};
use semantics::word::Concrete;

/// Bytes of memory that a state brings with it.
pub const WINDOW: usize = 64;

/// CF, ZF, SF, OF.
pub const FLAGS: [u32; 4] = [0, 6, 7, 11];

/// All that a snippet can see and change.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct State {
    /// Memory. It is one cache line, so that nothing locked crosses two, which is slow and may even be forbidden.
    pub window: [u8; WINDOW],
    /// By [`Reg::index`].
    pub regs: [u64; 16],
    /// As `popfq` and `pushfq` have them.
    pub flags: u64,
}

impl State {
    pub const ZERO: State = State { window: [0; WINDOW], regs: [0; 16], flags: 0x202 };

    pub fn flags(&self) -> [bool; 4] {
        FLAGS.map(|bit| self.flags >> bit & 1 == 1)
    }
}

/// What the loop keeps while all registers belong to the snippet.
#[repr(C)]
struct Kept {
    stack_pointer: u64,
    rax: u64,
    input: u64,
    output: u64,
    left: u64,
}

/// Saved by a function that changes them.
const CALLEE_SAVED: [Reg; 6] = [Reg::Rbx, Reg::Rbp, Reg::R12, Reg::R13, Reg::R14, Reg::R15];

/// Executable memory with snippets in it.
pub struct Native {
    image: Image,
    code: Vec<u8>,
    kept: Box<UnsafeCell<Kept>>,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where the loop begins in `before`.
    head: usize,
    /// Where `after` holds the distance back to it.
    back: usize,
}

impl Native {
    /// Room for snippets of `capacity` bytes with the loops around them.
    pub fn new(capacity: usize) -> Native {
        let kept = Kept { stack_pointer: 0, rax: 0, input: 0, output: 0, left: 0 };
        let mut native = Native {
            image: Image::new(capacity).expect("executable memory"),
            code: Vec::with_capacity(capacity),
            kept: Box::new(UnsafeCell::new(kept)),
            before: Vec::new(),
            after: Vec::new(),
            head: 0,
            back: 0,
        };
        native.write_before();
        native.write_after();
        native
    }

    fn kept(&self) -> u64 {
        self.kept.get() as u64
    }

    /// A function of input, output and how many states there are: registers as a state has them, in the order that
    /// leaves `rdi`, which points to it, to the end. Flags are set before `rsp` is gone.
    fn write_before(&mut self) {
        let (kept, code) = (self.kept(), &mut self.before);
        for src in CALLEE_SAVED {
            encode::<Concrete>(&Inst::Push { src }, code);
        }
        encode::<Concrete>(&Inst::MovAbs { dst: Reg::Rax, imm: kept }, code);
        encode(&store(Reg::Rax, offset_of!(Kept, stack_pointer), Reg::Rsp), code);
        self.head = code.len();
        encode(&store(Reg::Rax, offset_of!(Kept, input), Reg::Rdi), code);
        encode(&store(Reg::Rax, offset_of!(Kept, output), Reg::Rsi), code);
        encode(&store(Reg::Rax, offset_of!(Kept, left), Reg::Rdx), code);
        encode(&load(Reg::Rcx, Reg::Rdi, offset_of!(State, flags)), code);
        encode::<Concrete>(&Inst::Push { src: Reg::Rcx }, code);
        code.push(0x9d); // popfq
        for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::Rdi).chain([Reg::Rdi]) {
            encode(&load(reg, Reg::Rdi, offset_of!(State, regs) + 8 * reg.index()), code);
        }
    }

    /// No register is free after the snippet, so `rax` goes to an absolute address first. `mov` keeps flags.
    fn write_after(&mut self) {
        let (kept, code) = (self.kept(), &mut self.after);
        code.extend([0x48, 0xa3]); // mov [moffs64], rax
        code.extend((kept + offset_of!(Kept, rax) as u64).to_le_bytes());
        encode::<Concrete>(&Inst::MovAbs { dst: Reg::Rax, imm: kept }, code);
        encode(&load(Reg::Rax, Reg::Rax, offset_of!(Kept, output)), code);
        for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::Rax) {
            encode(&store(Reg::Rax, offset_of!(State, regs) + 8 * reg.index(), reg), code);
        }
        encode::<Concrete>(&Inst::MovAbs { dst: Reg::Rcx, imm: kept }, code);
        encode(&load(Reg::Rsp, Reg::Rcx, offset_of!(Kept, stack_pointer)), code);
        code.push(0x9c); // pushfq
        encode::<Concrete>(&Inst::Pop { dst: Reg::Rdx }, code);
        encode(&store(Reg::Rax, offset_of!(State, flags), Reg::Rdx), code);
        encode(&load(Reg::Rdx, Reg::Rcx, offset_of!(Kept, rax)), code);
        encode(&store(Reg::Rax, offset_of!(State, regs), Reg::Rdx), code);
        encode(&load(Reg::Rdi, Reg::Rcx, offset_of!(Kept, input)), code);
        encode(&load(Reg::Rdx, Reg::Rcx, offset_of!(Kept, left)), code);
        encode(&mov(Reg::Rsi, Reg::Rax), code);
        encode(&mov(Reg::Rax, Reg::Rcx), code);
        let step = size_of::<State>() as u32;
        for (op, dst, imm) in [(AluOp::Add, Reg::Rdi, step), (AluOp::Add, Reg::Rsi, step), (AluOp::Sub, Reg::Rdx, 1)] {
            encode::<Concrete>(&Inst::AluRi { op, width: Width::W64, dst, imm }, code);
        }
        branch::<Concrete>(Branch::Jcc(Cc::Ne), Reach::Near, &0, code);
        self.back = code.len() - 4;
        for dst in CALLEE_SAVED.into_iter().rev() {
            encode::<Concrete>(&Inst::Pop { dst }, code);
        }
        encode::<Concrete>(&Inst::Ret, code);
    }

    /// Forgets all snippets.
    pub fn clear(&mut self) {
        self.code.clear();
    }

    /// The address at which the body of the next snippet will begin.
    pub fn next(&self) -> u64 {
        (self.image.range().start + self.code.len() + self.before.len()) as u64
    }

    /// Adds a snippet, which control reaches at its first byte and leaves after its last; gives what [`Native::run`] knows
    /// it by.
    pub fn add(&mut self, body: &[u8]) -> usize {
        let entry = self.code.len();
        self.code.extend_from_slice(&self.before);
        self.code.extend_from_slice(body);
        let back = self.code.len() + self.back;
        self.code.extend_from_slice(&self.after);
        let rel = (entry + self.head) as i32 - (back as i32 + 4);
        self.code[back..back + 4].copy_from_slice(&rel.to_le_bytes());
        entry
    }

    /// Puts the snippets where they can be run.
    pub fn load(&mut self) {
        assert!(self.code.len() <= self.image.capacity(), "addresses are known by now");
        self.image.load(&self.code).expect("executable memory");
    }

    /// Takes each of `states` through the snippet and leaves what became of it in `output`, whose windows are the memory that
    /// registers may point to: they begin as whoever calls left them.
    pub fn run(&mut self, entry: usize, states: &[State], output: &mut [State]) {
        assert!(!states.is_empty() && states.len() == output.len());
        let start = (self.image.range().start + entry) as *const u8;
        // SAFETY: a snippet was loaded there, between the two halves of a function of this type, which keeps to the ABI; it
        // touches `kept`, the states, and what registers of the states point to: a window.
        unsafe {
            let function: extern "sysv64" fn(*const State, *mut State, usize) = std::mem::transmute(start);
            function(states.as_ptr(), output.as_mut_ptr(), states.len());
        }
    }
}

fn load(dst: Reg, base: Reg, disp: usize) -> Inst {
    Inst::Load { size: Size::Dw, dst, base, disp: disp as u32 }
}

fn store(base: Reg, disp: usize, src: Reg) -> Inst {
    Inst::Store { size: Size::Dw, base, disp: disp as u32, src }
}

fn mov(dst: Reg, src: Reg) -> Inst {
    Inst::MovRr { width: Width::W64, dst, src }
}
