//! Any input read as assembly gives a program that its listing gives back, or an error; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use semantics::{asm, disasm};

fuzz_target!(|input: &str| {
    if let Ok(insns) = asm::assemble(input) {
        assert_eq!(asm::assemble(&disasm::disassemble(&insns)), Ok(insns));
    }
});
