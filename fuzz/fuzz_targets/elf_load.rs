//! Any input read as an ELF object gives a value or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = semantics::loader::load(input, None);
});
