//! The forms of instruction: kind, operation, width, size and condition, without registers, immediates and displacements.
#![allow(dead_code, reason = "each test file uses a part of it")]

use jit::x64::encode::{Buffer, branch, encode, encode_to};
use jit::x64::{AluOp, Branch, Cc, Inst, LockOp, Reach, Reg, ShiftOp, Stub};
use semantics::insn::{Size, Width};
use semantics::word::Concrete;

pub const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// An instruction of the form, whatever its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub inst: Inst,
    /// How far a [`Branch`] reaches; [`Reach::Near`] for all else.
    pub reach: Reach,
}

/// What an instruction of any form can be made from.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// The registers in the order of the fields: destination first, base before source in a store.
    pub regs: [Reg; 3],
    /// Immediate, amount of a shift, or distance of a jump inside a sequence.
    pub imm: u64,
    pub disp: u32,
}

impl Operands {
    pub const ZERO: Operands = Operands { regs: [Reg::Rax; 3], imm: 0, disp: 0 };
}

impl Form {
    const fn plain(inst: Inst) -> Form {
        Form { inst, reach: Reach::Near }
    }

    /// The instruction with these operands. A new kind of instruction does not compile without its arm.
    pub fn with(self, operands: &Operands) -> Inst {
        let Operands { regs: [a, b, c], imm: imm64, disp } = *operands;
        let imm = imm64 as u32;
        match self.inst {
            Inst::AluRr { op, width, .. } => Inst::AluRr { op, width, dst: a, src: b },
            Inst::AluRi { op, width, .. } => Inst::AluRi { op, width, dst: a, imm },
            Inst::Neg { width, .. } => Inst::Neg { width, dst: a },
            Inst::MovRr { width, .. } => Inst::MovRr { width, dst: a, src: b },
            Inst::MovZx { .. } => Inst::MovZx { dst: a, imm },
            Inst::MovSx { .. } => Inst::MovSx { dst: a, imm },
            Inst::MovAbs { .. } => Inst::MovAbs { dst: a, imm: imm64 },
            Inst::Load { size, .. } => Inst::Load { size, dst: a, base: b, disp },
            Inst::Store { size, .. } => Inst::Store { size, base: a, disp, src: b },
            Inst::StoreImm { size, .. } => Inst::StoreImm { size, base: a, disp, imm },
            Inst::LoadSx { size, .. } => Inst::LoadSx { size, dst: a, base: b, disp },
            Inst::ShiftImm { op, width, .. } => Inst::ShiftImm { op, width, dst: a, amount: imm as u8 },
            Inst::ShiftCl { op, width, .. } => Inst::ShiftCl { op, width, dst: a },
            Inst::ShiftX { op, width, .. } => Inst::ShiftX { op, width, dst: a, src: b, amount: c },
            Inst::Imul { width, .. } => Inst::Imul { width, dst: a, src: b },
            Inst::ImulImm { width, .. } => Inst::ImulImm { width, dst: a, src: b, imm },
            Inst::Div { signed, width, .. } => Inst::Div { signed, width, src: a },
            Inst::SignRdx { width } => Inst::SignRdx { width },
            Inst::MovZxRr { size, .. } => Inst::MovZxRr { size, dst: a, src: b },
            Inst::MovSxRr { size, width, .. } => Inst::MovSxRr { size, width, dst: a, src: b },
            Inst::Bswap { width, .. } => Inst::Bswap { width, dst: a },
            Inst::Lock { op, width, .. } => Inst::Lock { op, width, base: a, disp, src: b },
            Inst::Skip { cc, .. } => Inst::Skip { cc, count: 1, bytes: imm as u8 },
            Inst::Retry { .. } => Inst::Retry { bytes: imm as u8 },
            Inst::Push { .. } => Inst::Push { src: a },
            Inst::Pop { .. } => Inst::Pop { dst: a },
            Inst::CallReg { .. } => Inst::CallReg { target: a },
            Inst::JmpReg { .. } => Inst::JmpReg { target: a },
            Inst::Ret => Inst::Ret,
            Inst::Branch(branch) => Inst::Branch(branch),
        }
    }

    /// How many registers it names, 0 to 3.
    pub fn registers(self) -> usize {
        let zero = self.with(&Operands::ZERO);
        let named = |at: &usize| {
            let mut operands = Operands::ZERO;
            operands.regs[*at] = Reg::R9;
            self.with(&operands) != zero
        };
        (0..3).filter(named).count()
    }
    /// Whether it holds an immediate or an amount.
    pub fn has_imm(self) -> bool {
        self.with(&Operands { imm: 1, ..Operands::ZERO }) != self.with(&Operands::ZERO)
    }
    /// Whether it holds a displacement from a base register.
    pub fn has_disp(self) -> bool {
        self.with(&Operands { disp: 1, ..Operands::ZERO }) != self.with(&Operands::ZERO)
    }
}

/// The bytes of an instruction; those of a branch that goes `rel` bytes far.
pub fn bytes(inst: &Inst, reach: Reach, rel: u32) -> Vec<u8> {
    let mut code = Vec::new();
    match inst {
        Inst::Branch(kind) => branch::<Concrete>(*kind, reach, &rel, &mut code),
        inst => {
            // What layout appends is what is proven.
            let mut buffer = Buffer::default();
            encode_to(inst, &mut buffer);
            buffer.append_to(&mut code);
            let mut proven = Vec::new();
            encode(inst, &mut proven);
            assert_eq!(code, proven, "{inst:?}");
        }
    }
    code
}

/// All of them.
pub fn forms() -> Vec<Form> {
    let (a, b) = (Reg::Rax, Reg::Rax);
    let mut insts = vec![
        Inst::MovZx { dst: a, imm: 0 },
        Inst::MovSx { dst: a, imm: 0 },
        Inst::MovAbs { dst: a, imm: 0 },
        Inst::Retry { bytes: 0 },
        Inst::Push { src: a },
        Inst::Pop { dst: a },
        Inst::CallReg { target: a },
        Inst::JmpReg { target: a },
        Inst::Ret,
        Inst::MovSxRr { size: Size::W, width: Width::W64, dst: a, src: b },
    ];
    insts.extend(WIDTHS.into_iter().flat_map(of_width));
    for size in Size::ALL {
        insts.push(Inst::Load { size, dst: a, base: b, disp: 0 });
        insts.push(Inst::Store { size, base: a, disp: 0, src: b });
        insts.push(Inst::StoreImm { size, base: a, disp: 0, imm: 0 });
    }
    insts.extend([Size::B, Size::H, Size::W].map(|size| Inst::LoadSx { size, dst: a, base: b, disp: 0 }));
    insts.extend([Size::B, Size::H].map(|size| Inst::MovZxRr { size, dst: a, src: b }));
    insts.extend(Cc::ALL.map(Some).into_iter().chain([None]).map(|cc| Inst::Skip { cc, count: 1, bytes: 0 }));
    insts.into_iter().map(Form::plain).chain(branches()).collect()
}

fn of_width(width: Width) -> Vec<Inst> {
    let (a, b) = (Reg::Rax, Reg::Rax);
    let mut insts = vec![
        Inst::Neg { width, dst: a },
        Inst::MovRr { width, dst: a, src: b },
        Inst::Imul { width, dst: a, src: b },
        Inst::ImulImm { width, dst: a, src: b, imm: 0 },
        Inst::Div { signed: false, width, src: a },
        Inst::Div { signed: true, width, src: a },
        Inst::SignRdx { width },
        Inst::Bswap { width, dst: a },
    ];
    for op in AluOp::ALL {
        insts.extend([Inst::AluRr { op, width, dst: a, src: b }, Inst::AluRi { op, width, dst: a, imm: 0 }]);
    }
    for op in ShiftOp::ALL {
        insts.extend([Inst::ShiftImm { op, width, dst: a, amount: 0 }, Inst::ShiftCl { op, width, dst: a }]);
        insts.push(Inst::ShiftX { op, width, dst: a, src: b, amount: a });
    }
    insts.extend([Size::B, Size::H].map(|size| Inst::MovSxRr { size, width, dst: a, src: b }));
    insts.extend(LockOp::ALL.map(|op| Inst::Lock { op, width, base: a, disp: 0, src: b }));
    insts
}

fn branches() -> impl Iterator<Item = Form> {
    let both = Cc::ALL.map(Branch::Jcc).into_iter().chain([Branch::Jmp]);
    let both = both.flat_map(|kind| [(kind, Reach::Short), (kind, Reach::Near)]);
    let near = Stub::ALL.map(Branch::Stub).into_iter().chain([Branch::Local]).map(|kind| (kind, Reach::Near));
    both.chain(near).map(|(kind, reach)| Form { inst: Inst::Branch(kind), reach })
}

/// The names of the variants of an enum of the subset, as its source lists them.
fn declared(name: &str) -> Vec<&'static str> {
    const SOURCE: &str = include_str!("../../src/x64/mod.rs");
    let from = SOURCE.find(&format!("pub enum {name}")).expect("an enum of the subset");
    let body = SOURCE[from..].lines().skip(1).take_while(|line| *line != "}");
    let variants = body.filter(|line| line.len() > 4 && line.as_bytes()[4].is_ascii_uppercase());
    let word = |line: &'static str| line.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap();
    let variants: Vec<&str> = variants.map(word).collect();
    assert!(!variants.is_empty(), "{name}");
    variants
}

/// Kinds of instruction that `forms` lacks, and operations that the lists lack which they are made from.
pub fn missing(forms: &[Form]) -> Vec<String> {
    let insts = forms.iter().map(|form| format!("{:?}", form.inst)).collect();
    let branch = |form: &Form| if let Inst::Branch(kind) = form.inst { Some(format!("{kind:?}")) } else { None };
    let lists: [(&str, Vec<String>); 8] = [
        ("Inst", insts),
        ("Branch", forms.iter().filter_map(branch).collect()),
        ("AluOp", debug(&AluOp::ALL)),
        ("ShiftOp", debug(&ShiftOp::ALL)),
        ("LockOp", debug(&LockOp::ALL)),
        ("Cc", debug(&Cc::ALL)),
        ("Stub", debug(&Stub::ALL)),
        ("Reg", debug(&Reg::ALL)),
    ];
    let lacks = |(name, listed): (&'static str, Vec<String>)| {
        let kinds: Vec<String> =
            listed.iter().map(|debug| debug.split(['(', ' ']).next().unwrap().to_owned()).collect();
        let unlisted = declared(name).into_iter().filter(move |variant| !kinds.iter().any(|kind| kind == variant));
        unlisted.map(move |variant| format!("{name}::{variant}"))
    };
    lists.into_iter().flat_map(lacks).collect()
}

fn debug<T: std::fmt::Debug>(all: &[T]) -> Vec<String> {
    all.iter().map(|each| format!("{each:?}")).collect()
}
