//! The meaning of the subset against the processor: random states go through both.

mod common;
#[path = "common/divide.rs"]
mod divide;
#[path = "common/forms.rs"]
mod forms;
#[path = "common/native.rs"]
mod native;
#[path = "common/sample.rs"]
mod sample;
#[path = "common/wrong.rs"]
mod wrong;

use common::Random;
use forms::{Form, Operands, WIDTHS, forms};
use jit::Rules;
use jit::insn::native as native_of;
use jit::x64::meaning::Fault;
use jit::x64::{Branch, Cc, Inst, Reg};
use native::State;
use sample::{Aim, MEANING, Sample, is_supported};
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op};

/// At least a million of each form.
const STATES: usize = 1 << 20;

/// A group of forms and the test that samples them.
macro_rules! groups {
    ($($group:ident $test:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Group {
            $($group),*
        }
        $(#[test]
        fn $test() {
            check(Group::$group);
        })*
    };
}

groups! {
    Registers registers;
    Immediates immediates;
    Moves moves;
    Memory memory;
    Shifts shifts;
    Products products;
    Quotients quotients;
    Locked locked;
    Jumps jumps;
    Stack stack;
}

/// Where it is sampled: a new kind of instruction does not compile without its place.
fn group(inst: &Inst) -> Group {
    match inst {
        Inst::AluRr { .. } | Inst::Neg { .. } => Group::Registers,
        Inst::AluRi { .. } => Group::Immediates,
        Inst::MovRr { .. }
        | Inst::MovZx { .. }
        | Inst::MovSx { .. }
        | Inst::MovAbs { .. }
        | Inst::MovZxRr { .. }
        | Inst::MovSxRr { .. }
        | Inst::SignRdx { .. }
        | Inst::Bswap { .. } => Group::Moves,
        Inst::Load { .. } | Inst::Store { .. } | Inst::StoreImm { .. } | Inst::LoadSx { .. } => Group::Memory,
        Inst::ShiftImm { .. } | Inst::ShiftCl { .. } | Inst::ShiftX { .. } => Group::Shifts,
        Inst::Imul { .. } | Inst::ImulImm { .. } => Group::Products,
        Inst::Div { .. } => Group::Quotients,
        Inst::Lock { .. } => Group::Locked,
        Inst::Skip { .. } | Inst::Retry { .. } | Inst::Branch(_) | Inst::JmpReg { .. } => Group::Jumps,
        Inst::Push { .. } | Inst::Pop { .. } | Inst::CallReg { .. } | Inst::Ret => Group::Stack,
    }
}

fn check(wanted: Group) {
    let mut sample = Sample::new(wanted as u64);
    for form in forms().into_iter().filter(|form| group(&form.inst) == wanted && is_supported(form)) {
        if let Err(mismatch) = sample.form(form, STATES, MEANING) {
            panic!("{mismatch}");
        }
    }
}

#[test]
fn every_form_is_sampled() {
    assert_eq!(forms::missing(&forms()), Vec::<String>::new());
}

/// A sample that could not fail would show nothing.
#[test]
fn mistakes_are_noticed() {
    let mut sample = Sample::new(1);
    for wrong in wrong::ALL {
        let concerned: Vec<Form> = forms().into_iter().filter(|form| (wrong.concerns)(&form.inst)).collect();
        assert!(!concerned.is_empty(), "{}", wrong.name);
        for form in concerned.into_iter().filter(is_supported) {
            assert!(sample.form(form, 1, wrong.meaning).is_err(), "{} in {form:?}", wrong.name);
            assert_eq!(sample.form(form, 1, MEANING), Ok(()));
        }
    }
    for (cc, _) in wrong::CONDITIONS {
        let is_it = |form: &Form| match form.inst {
            Inst::Branch(Branch::Jcc(other)) | Inst::Skip { cc: Some(other), .. } => other == *cc,
            _ => false,
        };
        for form in forms().into_iter().filter(is_it) {
            assert!(sample.form(form, 1, wrong::condition).is_err(), "{form:?}");
        }
    }
}

/// What the meaning calls a fault, the processor refuses to divide. (It does divide some that the meaning refuses: those
/// whose dividend is no extension of `rax`, which lowering never makes.)
#[test]
fn refused_divisions() {
    let mut random = Random(7);
    for (signed, width) in [false, true].into_iter().flat_map(|signed| WIDTHS.map(|width| (signed, width))) {
        for src in Reg::ALL {
            let inst = Inst::Div { signed, width, src };
            let states: Vec<State> = (0..64).map(|_| divide::undividable(&mut random, signed, width, src)).collect();
            for state in &states {
                assert_eq!(MEANING(&[inst], &mut sample::processor(state, 0)), Err(Fault::Division), "{state:x?}");
            }
            assert_eq!(divide::refusals(&inst, &states), states.len(), "{inst:?}");
            let divided = State { regs: Reg::ALL.map(|reg| u64::from(reg != Reg::Rdx)), ..State::ZERO };
            let refused = divide::refusals(&inst, &[divided]);
            assert_eq!(refused == 1, src == Reg::Rdx, "1 by 1, and by 0 where that is the upper half: {inst:?}");
        }
    }
}

/// Nothing reads flags that the manual leaves undefined: every jump on them is a fault.
#[test]
fn undefined_flags_are_not_read() {
    let mut undefined = 0;
    for form in forms().into_iter().filter(|form| !matches!(group(&form.inst), Group::Jumps | Group::Stack)) {
        let inst = form.with(&Operands { regs: [Reg::Rbx, Reg::Rbx, Reg::Rcx], imm: 1, disp: 0 });
        let state = State { regs: std::array::from_fn(|reg| [1, 1, 0, 1][reg % 4]), ..State::ZERO };
        let after = |next: Inst| MEANING(&[inst, next], &mut sample::processor(&state, 1));
        // Some or all of them, as it depends on the amount too: the meaning defines none.
        let expected = matches!(group(&inst), Group::Products | Group::Quotients)
            || matches!(inst, Inst::ShiftImm { .. } | Inst::ShiftCl { .. });
        undefined += usize::from(expected);
        for cc in Cc::ALL {
            assert_eq!(after(Inst::Branch(Branch::Jcc(cc))) == Err(Fault::UndefinedFlags), expected, "{inst:?}");
            assert_eq!(after(Inst::Skip { cc: Some(cc), count: 0, bytes: 0 }) == Err(Fault::UndefinedFlags), expected);
        }
        assert_eq!(after(Inst::Retry { bytes: 0 }) == Err(Fault::UndefinedFlags), expected);
    }
    assert_eq!(undefined, 4 + 4 + 12);
}

/// What lowering makes of divisions and of fetching loops, with its jumps inside, as the processor runs it.
#[test]
fn sequences_with_jumps() {
    let mut sample = Sample::new(11);
    let rules = Rules::standard();
    let has_jumps = |op: Op| matches!(op, Op::MulDiv { .. } | Op::Atomic { fetch: true, .. });
    for row in TABLE.iter().filter(|row| has_jumps(row.op)) {
        let lowered = |random: &mut Random| {
            let (dst, src) = (random.pick(&semantics::insn::Reg::ALL), random.pick(&semantics::insn::Reg::ALL));
            let (insn, mut code) = (Insn::new(row.opcode).dst(dst).src(src), Vec::new());
            if matches!(row.op, Op::Atomic { .. }) {
                let off = random.off();
                rules.lower(&insn.off(off), &mut code).expect("a rule");
                return (code, Aim::Memory(native_of(dst), off as u32, 8));
            }
            rules.lower(&insn.imm(random.imm()), &mut code).expect("a rule");
            (code, Aim::Anything)
        };
        assert_eq!(sample.straight(1, lowered), Ok(()), "{}", row.name);
    }
}
