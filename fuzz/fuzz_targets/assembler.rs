//! Any input read as assembly gives a value or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let _ = semantics::asm::assemble(input);
});
